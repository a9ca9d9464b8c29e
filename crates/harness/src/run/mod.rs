//! A run: from a scenario to a result.
//!
//! 1. A network is created in its own folder and started, each node in its own process (or all in this one).
//! 2. Set-up: issuance, wallets, funding ([`setup`]).
//! 3. Every payment is planned and signed before the clock starts ([`signed_payments`]).
//! 4. The load is offered open loop ([`load`], [`unary`]); the scenario's events happen at their times ([`committee`]),
//!    and the central bank's balance sheet is sampled once a second.
//! 5. When everything is answered, the answers are compared with the chain ([`reconcile`]), the chain is audited from
//!    genesis ([`audit`]), and the banks' deposits are compared with its flows ([`deposits`]).
//! 6. The result goes to `summary.json` and `report.html`.
//!
//! [`maximum`] makes such runs at rising rates, to find the highest one within a bound on latency.
//!
//! Nodes run with production settings: signatures, fsync, TLS and policy are on, and the result says so.

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

mod disks;
mod disturbances;
mod events;
pub(crate) mod leaders;
pub(crate) mod links;
pub mod nodes;
mod observer;
mod orders;
pub(crate) mod progress;
mod summary;
mod supply;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cbdc_client::{NetworkFolder, NodeName, Role};
use cbdc_ledger::AccountId;
use cbdc_proto::wall_clock::wall_clock;

use self::deposits::Deposits;
use self::leaders::Leaders;
use self::links::Links;
use self::load::{DRAIN_MAX, Live, StreamRunner};
use self::nodes::Nodes;
use self::observer::Observer;
use self::progress::Progress;
use self::signed_payments::SignedPayments;
use self::stream_outcome::StreamOutcome;
use crate::measure::cpu::CpuClock;
use crate::measure::machine::Machine;
use crate::report;
use crate::result::{AuditVerdict, RunResult};
use crate::scenario::{self, Mode, NodeChoice, Scenario};
use cbdc_devnet::Network;

/// The validity of payments signed now, ms.
const VALIDITY_MS: u64 = 20 * 60 * 60 * 1_000;

/// Options of a run.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    pub scenario: PathBuf,
    /// `key=value` overrides, in order.
    pub overrides: Vec<(String, String)>,
    /// The folder for `summary.json`, `report.html` and the run's network; a second run replaces all three.
    pub out: PathBuf,
    /// Runs all nodes in this process, for quick tests.
    pub in_process: bool,
    /// Shows no progress bar.
    pub quiet: bool,
    /// The command line, for the report.
    pub command: String,
}

/// Makes a run and writes its files.
pub async fn bench(options: &BenchOptions) -> Result<RunResult> {
    let scenario = Scenario::load_with(&options.scenario, &options.overrides)?;
    let _own = own_folder(&options.out)?;
    let result = run(&scenario, options).await?;
    write_files(&result, &options.out)?;
    Ok(result)
}

/// Makes a folder for a run's files, and keeps other runs out of it while the result lives.
///
/// # Errors
/// The folder cannot be made, or another run writes into it.
pub fn own_folder(out: &Path) -> Result<File> {
    std::fs::create_dir_all(out).with_context(|| format!("making the folder {}", out.display()))?;
    let folder = File::open(out).with_context(|| format!("opening the folder {}", out.display()))?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another run writes into {}; wait until it has ended, or name another folder with --out",
                out.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking the folder {}", out.display())),
    }
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
    result.started_unix_ms = wall_clock().0;

    progress.step("starting the network");
    let network_dir = options.out.join("bench-network");
    let rules_links = scenario.events.iter().any(|event| event.action.is_about_links()) && !options.in_process;
    let mut links = if rules_links { Some(Links::listen(scenario.network.central_banks).await?) } else { None };
    let reached_at = links.as_ref().map(Links::addresses).unwrap_or_default();
    let network = Network::create_or_replace(&network_dir, &nodes::spec(scenario, reached_at))?;
    links.iter_mut().try_for_each(|links| links.serve(&network))?;
    let mut nodes = Nodes::start(&network, options.in_process).await?;
    let prepared = prepare(scenario, &network, &progress).await;
    let measured = match prepared {
        Ok(prepared) => measure(scenario, &network, &mut nodes, links.as_ref(), prepared, &progress, &mut result).await,
        Err(error) => Err(error),
    };
    nodes.shutdown().await;
    measured?;
    progress.done();
    Ok(result)
}

/// Everything that is prepared before the clock starts.
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
    let valid_until = wall_clock().plus_ms(VALIDITY_MS);
    let payments = tokio::task::block_in_place(|| {
        signed_payments::sign_all(scenario, network, &purses, valid_until, |count| bar.add(count))
    });
    Ok(Prepared { payments, accounts: purses.iter().map(|purse| purse.account).collect(), deposits })
}

async fn measure(
    scenario: &Scenario,
    network: &Network,
    nodes: &mut Nodes,
    links: Option<&Links>,
    prepared: Prepared,
    progress: &Progress,
    result: &mut RunResult,
) -> Result<()> {
    let Prepared { mut payments, accounts, deposits } = prepared;
    progress.step("measuring the machine: what a core verifies, and how long it stalls when idle");
    let folder: &NetworkFolder = network;
    tokio::task::block_in_place(|| result.machine.measure(folder.dir()))?;
    let before = nodes.counters(folder).await;
    let clock = CpuClock::start(nodes.process_ids()).ok();

    result.supply_before = supply::now(folder).await?;
    let live = Arc::new(Live::default());
    let start = Instant::now() + Duration::from_millis(200);
    let load_began_ms = wall_clock().0 + 200;
    let observer = Observer::start(folder, start, scenario.load.total_s()).await?;
    let streams = start_streams(scenario, folder, &mut payments, start, &live)?;
    let leaders = Leaders::watch(folder, start);
    let events = events::happen(scenario, folder, &accounts, nodes, links, start);
    let display = progress.live(scenario, start, live.clone(), observer.supply());
    let (outcomes, events) = tokio::join!(futures::future::join_all(streams), events);
    let outcomes: Vec<StreamOutcome> =
        outcomes.into_iter().collect::<Result<_, _>>().context("a stream of the load failed")?;
    display.abort();
    result.events = events;
    result.leaders = leaders.seen();
    drop(leaders);
    // What is compared and audited afterwards is the network as it was left, but not what a cut withholds from it.
    links.iter().for_each(|links| links.heal());
    disks::heal(folder)?;

    let cpu = clock.and_then(|clock| nodes.cpu(&clock));
    let (before, after) = (nodes.counted_from(before), nodes.counters(folder).await);
    let samples = observer.finish().await;
    let answers = summary::summarize(scenario, result, outcomes, payments.amounts.clone(), samples);
    summary::account_for_cpu(result, &answers, cpu.as_ref(), nodes, (&before, &after));
    summary::judge_generator(&mut result.load_generator, result.slo.p99_ms);

    progress.step("comparing every answer with the chain");
    // The leader has the newest block. Where nobody leads any more, any node will do.
    let central = match folder.leader().await {
        Some(leader) => leader,
        None => folder.reading_node().await?,
    };
    let chain = folder.chain(central).await?;
    let reconciled = reconcile::reconcile(&chain, &payments, &answers).await?;
    let audit::Audited { report: audited, mut versions, holdings, flows, tip } =
        audit::audit(network, central, load_began_ms, progress).await?;
    let terms = audited.supply.iter().map(|(name, minor)| (*name, *minor));
    result.supply = supply::terms(terms, audited.cbdc_minor);
    summary::count_under_versions(&mut versions, reconciled.versions);
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
    let is_central_bank = |node| !matches!(node, NodeChoice::Named(scenario::NodeName::Bank(_)));
    let was_restarted =
        scenario.events.iter().any(|event| event.action.interrupted_node().is_some_and(is_central_bank));
    result.checks = summary::checks(&before, &after, result.settled, was_restarted);
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

/// A folder for a run's files if the user named none.
pub fn default_out(scenario: &Path) -> PathBuf {
    let stem = scenario.file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
    PathBuf::from("results").join(stem)
}
