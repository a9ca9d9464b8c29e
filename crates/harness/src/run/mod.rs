//! A run: from a scenario to a result.
//!
//! 1. A network is made in a folder of its own and started, each node a process (or all in this one).
//! 2. Set-up: issuance, wallets, funding ([`setup`]).
//! 3. Every payment is planned and signed before the clock starts ([`signed_payments`]).
//! 4. The load is offered open loop ([`load`], [`unary`]); the scenario's events happen at their times ([`committee`]),
//!    and the central bank's books are looked at once a second.
//! 5. When all is answered, the answers are compared with the chain ([`reconcile`]), the chain is audited from genesis
//!    ([`audit`]), and the banks' deposits are compared with what it moved ([`deposits`]).
//! 6. The result goes to `summary.json` and `report.html`.
//!
//! [`maximum`] makes such runs at rising rates, to find the highest one within a bound on latency.
//!
//! Nodes run with the settings of real use: signatures, fsync, TLS and policy are on, and the result says so.

pub mod audit;
pub mod bulk;
pub mod committee;
pub mod deposits;
pub mod load;
pub mod maximum;
pub mod probe;
pub mod reconcile;
pub mod setup;
pub mod signed_payments;
pub mod stream_outcome;
pub mod unary;

mod events;
mod nodes;
mod observer;
mod orders;
mod progress;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use cbdc_client::{NetworkFolder, NodeName, Role, v1};
use cbdc_ledger::{AccountId, Timestamp};
use cbdc_proto::packed::Answer;

use self::deposits::Deposits;
use self::load::{DRAIN_MAX, Live, StreamRunner};
use self::nodes::Nodes;
use self::observer::Observer;
use self::progress::Progress;
use self::signed_payments::SignedPayments;
use self::stream_outcome::{Figures, StreamOutcome};
use crate::measure::cpu::{CpuClock, CpuSpent};
use crate::measure::machine::Machine;
use crate::report;
use crate::result::{AuditVerdict, Checks, LoadGenerator, PolicyVersionReport, RunResult, SupplyTerms};
use crate::scenario::{Mode, Scenario};
use cbdc_devnet::Network;

/// How a run is made.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    pub scenario: PathBuf,
    /// `key=value` overrides, in order.
    pub overrides: Vec<(String, String)>,
    /// Where `summary.json`, `report.html` and the run's network go; a second run replaces all three.
    pub out: PathBuf,
    /// All nodes in this process, for quick tests.
    pub in_process: bool,
    /// No progress bar.
    pub quiet: bool,
    /// The command line, for the report.
    pub command: String,
}

/// A node's counters by name.
type Counters = BTreeMap<String, f64>;

/// The load generator is the bottleneck when payments leave it late, by its own fault, by more than this share of the bound on
/// latency; within the two figures below.
const LATE_SHARE: f64 = 0.25;
const LATE_MS_MIN: f64 = 5.0;
const LATE_MS_MAX: f64 = 50.0;
/// Cores that are busier than this have nothing left to give; if the generator used more than the second share of what the run
/// used, it filled them itself.
const FULL_SHARE: f64 = 0.9;
const OWN_WORK_SHARE: f64 = 0.5;
/// How long payments signed now stay valid, ms.
const VALIDITY_MS: u64 = 20 * 60 * 60 * 1_000;

/// Makes a run and writes its files.
pub async fn bench(options: &BenchOptions) -> Result<RunResult> {
    let scenario = Scenario::load_with(&options.scenario, &options.overrides)?;
    std::fs::create_dir_all(&options.out).with_context(|| format!("making the folder {}", options.out.display()))?;
    let result = run(&scenario, options).await?;
    write_files(&result, &options.out)?;
    Ok(result)
}

/// Writes `summary.json` and `report.html`.
fn write_files(result: &RunResult, out: &Path) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    write("summary.json", result.to_json()?)?;
    write("report.html", report::page(result))
}

/// Makes a run.
pub async fn run(scenario: &Scenario, options: &BenchOptions) -> Result<RunResult> {
    let progress = Progress::new(options.quiet);
    let machine = Machine::read();
    let mut result =
        RunResult::begin(scenario, env!("CARGO_PKG_VERSION"), &options.command, &machine, options.in_process);
    result.started_unix_ms = now_ms();

    progress.step("starting the network");
    let network_dir = options.out.join("bench-network");
    let network = Network::create_or_replace(&network_dir, &nodes::spec(scenario))?;
    let mut nodes = Nodes::start(&network, options.in_process).await?;
    let prepared = prepare(scenario, &network, &progress).await;
    let measured = match prepared {
        Ok(prepared) => measure(scenario, &network, &mut nodes, prepared, &progress, &mut result).await,
        Err(error) => Err(error),
    };
    nodes.shutdown().await;
    measured?;
    progress.done();
    Ok(result)
}

/// What stands ready when the clock starts.
struct Prepared {
    payments: SignedPayments,
    /// The account of each wallet, by index.
    accounts: Vec<AccountId>,
    /// The banks' deposits before the set-up.
    deposits: Deposits,
}

/// Issuance, wallets and signatures: everything before the clock starts.
async fn prepare(scenario: &Scenario, folder: &NetworkFolder, progress: &Progress) -> Result<Prepared> {
    let deposits = Deposits::open(folder).await?;
    let bar = progress.counted("opening and funding wallets", u64::from(scenario.wallets.count));
    let purses = if bulk::is_wanted(scenario) {
        bulk::open_wallets(folder, scenario, |count| bar.add(count)).await?
    } else {
        setup::issue(folder, scenario).await?;
        setup::open_wallets(folder, scenario, || bar.add(1)).await?
    };
    let expected = crate::workload::plan::Plan::new(scenario).expected();
    let bar = progress.counted("signing payments", expected);
    let network = folder.anchor().network();
    let valid_until = Timestamp(now_ms() + VALIDITY_MS);
    let payments = tokio::task::block_in_place(|| {
        signed_payments::sign_all(scenario, network, &purses, valid_until, |count| bar.add(count))
    });
    Ok(Prepared { payments, accounts: purses.iter().map(|purse| purse.account).collect(), deposits })
}

#[allow(clippy::too_many_arguments)]
async fn measure(
    scenario: &Scenario,
    network: &Network,
    nodes: &mut Nodes,
    prepared: Prepared,
    progress: &Progress,
    result: &mut RunResult,
) -> Result<()> {
    let Prepared { mut payments, accounts, deposits } = prepared;
    progress.step("measuring the machine: what a core verifies, and how long it stalls when idle");
    let folder: &NetworkFolder = network;
    tokio::task::block_in_place(|| result.machine.measure(folder.dir()))?;
    let central = folder.central_bank();
    let before = counters(folder, nodes).await;
    let clock = CpuClock::start(nodes.process_ids()).ok();

    result.supply_before = supply_before(folder).await?;
    let live = Arc::new(Live::default());
    let start = Instant::now() + Duration::from_millis(200);
    let load_began_ms = now_ms() + 200;
    let observer = Observer::start(folder, start, scenario.load.total_s())?;
    let streams = start_streams(scenario, folder, &mut payments, start, &live)?;
    let events = events::happen(scenario, folder, &accounts, nodes, start);
    let display = progress.live(scenario, start, live.clone(), observer.supply());
    let (outcomes, events) = tokio::join!(futures::future::join_all(streams), events);
    let outcomes: Vec<StreamOutcome> =
        outcomes.into_iter().collect::<Result<_, _>>().context("a stream of the load failed")?;
    display.abort();
    result.events = events;

    let cpu = clock.and_then(|clock| clock.stop().ok());
    let after = counters(folder, nodes).await;
    let samples = observer.finish().await;
    let answers = summarize(scenario, result, outcomes, payments.amounts.clone(), samples);
    account_for_cpu(result, &answers, cpu.as_ref(), nodes, (&before, &after));
    let is_late_ms = (result.slo.p99_ms * LATE_SHARE).clamp(LATE_MS_MIN, LATE_MS_MAX);
    judge_generator(&mut result.load_generator, is_late_ms);

    progress.step("comparing every answer with the chain");
    let chain = folder.chain(central)?;
    let reconciled = reconcile::reconcile(&chain, &payments, &answers).await?;
    let audit::Audited { report: audited, mut versions, holdings, flows, tip } =
        audit::audit(network, central, load_began_ms, progress).await?;
    let terms = audited.supply.iter().map(|(name, minor)| (*name, *minor));
    result.supply = supply_terms(terms, audited.cbdc_minor);
    count_under_versions(&mut versions, reconciled.versions);
    result.policy.versions = versions;
    result.policy.not_ordered = reconciled.not_ordered;
    result.holdings = holdings;
    progress.step("comparing the banks' deposits with the chain");
    let stopped = deposits::stopped(scenario, &result.events);
    let credited = setup::credited(scenario);
    let (of_banks, differing) = deposits.check(folder, tip, &flows, &credited, &stopped).await?;
    result.deposits = of_banks;
    let findings: Vec<String> = [audited.findings, reconciled.findings, differing].concat();
    result.audit = AuditVerdict { ok: audited.ok && findings.is_empty(), blocks: audited.blocks, findings };
    result.checks = checks(&before, &after, result.settled, scenario.events.is_empty());
    Ok(())
}

fn start_streams(
    scenario: &Scenario,
    folder: &NetworkFolder,
    payments: &mut SignedPayments,
    start: Instant,
    live: &Arc<Live>,
) -> Result<Vec<tokio::task::JoinHandle<StreamOutcome>>> {
    let mut tasks = Vec::new();
    let banks = folder.banks().collect::<Vec<_>>().into_iter().cycle();
    for (number, (bank, stream)) in banks.zip(std::mem::take(&mut payments.streams)).enumerate() {
        let may_top_up = number >= payments.banks;
        let runner = StreamRunner {
            stream: Arc::new(stream),
            load: scenario.load.clone(),
            connection: folder.connect_customer(bank)?,
            start,
            live: live.clone(),
            timeout: DRAIN_MAX,
        };
        tasks.push(match scenario.load.mode {
            Mode::Stream if !may_top_up => tokio::spawn(runner.run()),
            _ => {
                let trust = folder.anchor().trust(Role::Bank, cbdc_client::MemberId(bank.0))?;
                let address = folder.address(NodeName::Bank(bank))?;
                let channel = cbdc_proto::transport::connect(address, None, &trust)?;
                tokio::spawn(unary::run(runner, channel))
            }
        });
    }
    Ok(tasks)
}

/// Fills in what the load gave, and returns the answers by stream. Only payments due after the warm-up count.
fn summarize(
    scenario: &Scenario,
    result: &mut RunResult,
    outcomes: Vec<StreamOutcome>,
    amounts: Vec<crate::result::AmountBucket>,
    samples: Vec<observer::Sample>,
) -> Vec<Vec<Option<Answer>>> {
    let warm_up_ns = (scenario.load.warm_up_s * 1e9) as u64;
    let mut figures = Figures::new(warm_up_ns, scenario.load.total_s());
    let mut answers = Vec::new();
    for outcome in outcomes {
        figures.count(&outcome);
        let counted = outcome.answers.iter().zip(&outcome.due_ns).filter(|(_, due)| **due >= warm_up_ns);
        for (answer, _) in counted {
            result.offered += 1;
            match answer {
                Some(answer) if answer.outcome.is_settled() => result.settled += 1,
                Some(answer) => {
                    result.refused += 1;
                    *result.refusals.entry(answer.outcome.reason.name().to_owned()).or_default() += 1;
                }
                None => result.failed += 1,
            }
        }
        answers.push(outcome.answers);
    }
    let Figures { latency, mut timeline, rates, lateness, own_lateness } = figures;
    for sample in &samples {
        timeline.supply(sample.at_ns, sample.cbdc_minor);
    }
    result.latency_ms = latency.summary();
    result.latency_distribution = latency.distribution();
    result.slo.held = result.latency_ms.p99 <= result.slo.p99_ms && result.failed == 0;
    let [late_ms_p99, own_late_ms_p99] = [lateness, own_lateness].map(|lateness| lateness.summary().p99);
    result.load_generator = LoadGenerator { late_ms_p99, own_late_ms_p99, ..LoadGenerator::default() };
    result.timeline = timeline.seconds();
    result.settled_per_s = rates.due_per_s();
    result.settled_in_window_per_s = rates.in_window_per_s();
    result.supply_over_time = samples.iter().filter_map(|sample| sample.supply).collect();
    result.books = samples.into_iter().map(|sample| sample.books).collect();
    result.amounts = amounts;
    answers
}

/// The central bank's counters; none where it shows none.
async fn counters(folder: &NetworkFolder, nodes: &Nodes) -> Counters {
    if matches!(nodes, Nodes::InProcess(_)) {
        return probe::own();
    }
    match folder.metrics_address(folder.central_bank()) {
        Ok(Some(address)) => probe::scrape(address).await.unwrap_or_default(),
        _ => Counters::new(),
    }
}

/// By how much a counter grew; one that begins anew, because its node was restarted, counts from zero.
fn growth(before: &Counters, after: &Counters, name: &str) -> f64 {
    let [before, after] = [before, after].map(|counters| counters.get(name).copied().unwrap_or(0.0));
    if after >= before { after - before } else { after }
}

/// CPU time of all processes, load generator included, per payment that was answered.
fn account_for_cpu(
    result: &mut RunResult,
    answers: &[Vec<Option<Answer>>],
    cpu: Option<&CpuSpent>,
    nodes: &Nodes,
    (before, after): (&Counters, &Counters),
) {
    let answered = answers.iter().flatten().flatten().count().max(1) as f64;
    result.cpu_us_per_payment.verify = growth(before, after, "cbdc_verify_cpu_ns_total") / 1_000.0 / answered;
    let Some(cpu) = cpu else { return };
    let own = std::process::id();
    let sum = |wanted: &dyn Fn(u32) -> bool| {
        cpu.by_process_us.iter().filter(|(id, _)| wanted(**id)).map(|(_, us)| *us as f64).sum::<f64>() / answered
    };
    result.cpu_us_per_payment.total = sum(&|_| true);
    if let Some(central) = nodes.central_bank_process() {
        result.cpu_us_per_payment.central_bank = Some(sum(&|id| id == central));
        result.cpu_us_per_payment.banks = Some(sum(&|id| id != central && id != own));
        result.cpu_us_per_payment.load_generator = Some(sum(&|id| id == own));
        result.load_generator.cpu_share = Some(sum(&|id| id == own) / sum(&|_| true).max(f64::MIN_POSITIVE));
    }
    let (busy, others) = cpu.busy_shares(result.machine.cores);
    (result.load_generator.machine_busy_share, result.load_generator.others_busy_share) = (busy, others);
}

/// Whether the load generator was late, and if so, by its own fault or for want of a core.
fn judge_generator(generator: &mut LoadGenerator, is_late_ms: f64) {
    let is_late = generator.own_late_ms_p99 > is_late_ms;
    let is_full = generator.machine_busy_share + generator.others_busy_share > FULL_SHARE;
    let is_its_own_work = generator.cpu_share.is_some_and(|share| share > OWN_WORK_SHARE);
    generator.starved = is_late && is_full && !is_its_own_work;
    generator.bottleneck = is_late && !generator.starved;
}

/// The supply report as the central bank gives it now.
async fn supply_before(folder: &NetworkFolder) -> Result<SupplyTerms> {
    Ok(terms_of(&folder.reading_desk()?.supply().await?))
}

fn terms_of(supply: &v1::Supply) -> SupplyTerms {
    supply_terms(supply.terms.iter().map(|term| (term.name.as_str(), term.amount_minor)), supply.cbdc_minor)
}

fn supply_terms<'a>(terms: impl Iterator<Item = (&'a str, u64)>, wallets_minor: u64) -> SupplyTerms {
    let terms: BTreeMap<&str, u64> = terms.collect();
    let term = |name: &str| i64::try_from(terms.get(name).copied().unwrap_or(0)).unwrap_or(i64::MAX);
    SupplyTerms {
        issued_minor: term("issued"),
        redeemed_minor: term("redeemed"),
        waterfall_minor: term("waterfall"),
        reverse_waterfall_minor: term("reverse_waterfall"),
        interest_minor: term("interest"),
        demurrage_minor: term("demurrage"),
        fees_minor: term("fees"),
        unbacked_minor: term("unbacked"),
        targeted_minor: term("targeted"),
        expired_minor: term("expired"),
        wallets_minor: i64::try_from(wallets_minor).unwrap_or(i64::MAX),
    }
}

/// Puts what was counted under each version beside what the version says.
fn count_under_versions(versions: &mut [PolicyVersionReport], mut counted: BTreeMap<u32, PolicyVersionReport>) {
    for said in versions {
        let counted = counted.remove(&said.version).unwrap_or_default();
        let changed = std::mem::take(&mut said.changed);
        *said = PolicyVersionReport { version: said.version, since_s: said.since_s, changed, ..counted };
    }
}

/// Which checks were on, as the run itself shows: signatures verified and syncs made, by the node's own counters.
fn checks(before: &Counters, after: &Counters, settled: u64, counters_are_whole: bool) -> Checks {
    let growth = |name: &str| growth(before, after, name);
    Checks {
        // A node that was restarted has counted only since.
        signatures: growth("cbdc_verified_commands_total") >= if counters_are_whole { settled as f64 } else { 1.0 },
        fsync: growth("cbdc_proposals_total") > 0.0 && growth("cbdc_wal_syncs_total") >= growth("cbdc_proposals_total"),
        // Nodes speak nothing but TLS 1.3, and the ledger applies every rule to every command.
        tls: true,
        policy: true,
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// A folder for a run's files where the user named none.
pub fn default_out(scenario: &Path) -> PathBuf {
    let stem = scenario.file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
    PathBuf::from("results").join(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_generator_is_the_bottleneck_unless_others_left_it_no_core() {
        let judged = |own_late_ms_p99, machine_busy_share, cpu_share| {
            let mut generator =
                LoadGenerator { own_late_ms_p99, machine_busy_share, cpu_share, ..LoadGenerator::default() };
            judge_generator(&mut generator, 25.0);
            (generator.bottleneck, generator.starved)
        };
        assert_eq!(judged(24.0, 1.0, Some(0.1)), (false, false), "it was in time");
        assert_eq!(judged(26.0, 0.5, Some(0.1)), (true, false), "there were cores left");
        assert_eq!(judged(26.0, 0.98, Some(0.1)), (false, true));
        assert_eq!(judged(26.0, 0.98, Some(0.6)), (true, false), "it filled the cores itself");
        assert_eq!(judged(26.0, 0.98, None), (false, true), "one process: nobody can tell them apart");
    }
}
