//! Real faults on a real network, while clients note everything they are answered: `cbdc bench faults`.
//!
//! 1. Three nodes of the central bank and two banks run as processes, each on its own RocksDB. Links to the central
//!    bank's nodes go through proxies ([`crate::run::links`]).
//! 2. A few dozen wallets pay, ask again, look receipts up and read balances; the supply is read at each node of the
//!    central bank ([`clients`]). All of it is noted, with times ([`recorder`]).
//! 3. Faults come one after the other, drawn from a seed that is printed first ([`plan`], [`injection`]). After each,
//!    the network must settle again. While the banks are left with a minority, what they answer as settled is looked up
//!    at the majority before the cut is healed.
//! 4. When the time is over, everything is healed, the clients learn what became of their payments, and the history is
//!    compared with every block of every node ([`ending`], [`crate::history`]).
//!
//! The plan repeats from its seed; what happens in the network then does not, since processes and clocks are real.
//!
//! Not made here, since they need a hook within the node: slow disks and jumping clocks. Loss is modelled by the time
//! that it costs.

pub mod clients;
pub mod ending;
mod injection;
mod payer;
mod persons;
pub mod plan;
mod reader;
pub mod recorder;
mod result;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cbdc_client::{BlockPosition, Height, NetworkFolder, NodeName};
use cbdc_devnet::{Network, Processes};
use cbdc_storage::{RocksStore, Store};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::clients::{Clients, Lives, command_hash};
use self::injection::{Begun, Injection};
use self::plan::{Plan, Planned};
use self::recorder::Recorder;
pub use self::result::{FaultRecord, FaultRun, Gaps};
use crate::history::{Hash, History, Moment, Property, check};
use crate::measure::gaps::longest;
use crate::run::leaders::Leaders;
use crate::run::links::Links;
use crate::run::{nodes, own_folder, setup};
use crate::scenario::Scenario;

/// The payers.
const WALLETS: u32 = 48;
/// A gap that begins this long after a fault is over is not its work.
const GAP_BEGINS_WITHIN: Duration = Duration::from_secs(2);
/// Blocks that are looked up at the majority.
const COMPARED_BLOCKS_MAX: usize = 200;

/// Options of a run.
#[derive(Debug, Clone)]
pub struct FaultOptions {
    pub seed: u64,
    /// The time in which faults are made.
    pub duration: Duration,
    /// Payments a second, all payers together.
    pub rate_per_s: f64,
    /// The folder for the network, its logs and the history; replaced by the next run.
    pub out: PathBuf,
    /// The program that the nodes are run with; this one if absent.
    pub program: Option<PathBuf>,
    /// The faults; drawn from the seed if absent.
    pub plan: Option<Vec<Planned>>,
    /// The longest time that anything may take once nothing disturbs the network: to settle again, to have the same
    /// chain everywhere, to tell the clients what became of their payments.
    pub patience: Duration,
}

impl FaultOptions {
    /// The patience of a run, unless it is a test of its own.
    pub const PATIENCE: Duration = Duration::from_secs(60);
}

/// Makes a run. `tell` is given each fault as it begins and ends.
///
/// # Errors
/// The network cannot be created, started or read. A broken promise is no error, but among the result's violations.
pub async fn run(options: &FaultOptions, tell: impl Fn(&str)) -> Result<FaultRun> {
    let _own = own_folder(&options.out)?;
    let scenario = scenario(options.seed)?;
    let mut links = Links::listen(scenario.network.central_banks).await?;
    let spec = nodes::spec(&scenario, links.addresses());
    let network = Network::create_or_replace(&options.out.join("faults-network"), &spec)?;
    links.serve(&network)?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("finding this program")?,
    };
    let nodes = Processes::start_from(&network, &program).await?;
    setup::issue(&network, &scenario).await?;
    let purses = setup::open_wallets(&network, &scenario, || {}).await?;

    let recorder = Arc::new(Recorder::default());
    let lives = Lives::default();
    let leaders = Leaders::watch(&network, recorder.begun());
    let clients = Clients::start(&network, purses, (options.seed, options.rate_per_s), &recorder, &lives)?;
    let injection = Injection { network: network.clone(), nodes, links, lives };
    let mut making = Making {
        injection,
        recorder: recorder.clone(),
        patience: options.patience,
        faults: Vec::new(),
        compared: 0,
        tell: &tell,
    };
    let made = making.faults(options).await;
    let duration_s = recorder.now().as_secs_f64();
    // Whatever went wrong, what was answered is compared all the same.
    if let Err(error) = made {
        recorder.violation(Property::Serves, format!("at {duration_s:.1} s, {error:#}"));
    }
    tell("the faults are over; what became of the payments is learned");
    clients.finish(options.patience).await;
    let leader_changes = leaders.seen().len().saturating_sub(1) as u64;
    drop(leaders);
    ending::wait_for_the_same(&network, network.nodes().collect(), &recorder, options.patience).await;
    let Making { injection, faults, compared, .. } = making;
    if let Err(error) = injection.nodes.stop().await {
        tell(&format!("a node could not be stopped: {error}"));
    }
    tell("the chain is replayed, and compared with the history");
    let (history, mut violations) = recorder.take();
    write_history(&options.out.join("history.jsonl"), &history)?;
    let (ending, audited) =
        tokio::task::block_in_place(|| ending::collect(&network, &history, on_disk(&network), |_| true))?;
    violations.extend(check(&history, &ending));
    let mut result = FaultRun {
        seed: options.seed,
        duration_s,
        operations: history.counts(),
        faults: with_gaps(faults, &history),
        leader_changes,
        gaps: Gaps::default(),
        gaps_by_kind: BTreeMap::new(),
        blocks: audited.blocks,
        compared_with_the_majority: compared,
        violations,
        folder: options.out.display().to_string(),
    };
    result.sum_up();
    let path = options.out.join("faults.json");
    std::fs::write(&path, serde_json::to_string_pretty(&result)?)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(result)
}

/// Three nodes of the central bank, two banks, no limits.
fn scenario(seed: u64) -> Result<Scenario> {
    let text = format!(
        "seed = {}\n[network]\ncentral_banks = 3\nbanks = 2\n[wallets]\ncount = {WALLETS}\n\
         opening_balance_minor = 5_000_000\n",
        seed & i64::MAX as u64
    );
    Ok(Scenario::parse("faults.toml", "faults", &text, &[])?)
}

/// Faults being made.
struct Making<'a, T> {
    injection: Injection,
    recorder: Arc<Recorder>,
    patience: Duration,
    faults: Vec<FaultRecord>,
    compared: u64,
    tell: &'a T,
}

impl<T: Fn(&str)> Making<'_, T> {
    async fn faults(&mut self, options: &FaultOptions) -> Result<()> {
        let until = Instant::now() + options.duration;
        self.settles_again(Moment::ZERO, "the start").await;
        let drawn = || Box::new(Plan::new(options.seed)) as Box<dyn Iterator<Item = Planned> + Send>;
        let given = options.plan.clone().map(|plan| Box::new(plan.into_iter()) as _);
        for planned in given.unwrap_or_else(drawn) {
            if Instant::now() + planned.calm >= until {
                break;
            }
            sleep(planned.calm).await;
            self.fault(&planned).await?;
        }
        Ok(())
    }

    async fn fault(&mut self, planned: &Planned) -> Result<()> {
        let fault = planned.fault;
        let began = self.recorder.now();
        let ends = Instant::now() + planned.lasts;
        let begun = self.injection.begin(&fault).await.with_context(|| fault.to_string())?;
        self.say(format!("{fault}: {}, for {:.1} s", begun.struck, planned.lasts.as_secs_f64()));
        sleep_until(ends).await;
        if fault.leaves_the_banks_with_a_minority() {
            self.compare_with_the_majority(&begun, began).await;
        }
        self.injection.end(&begun).await.with_context(|| format!("ending: {fault}"))?;
        let ended = self.recorder.now();
        self.settles_again(ended, fault.kind()).await;
        let again = self.recorder.now() - ended;
        self.say(format!("{}: over, settled again {:.2} s later", fault.kind(), again.as_secs_f64()));
        for (node, why) in self.injection.restart_ended().await? {
            let sentence = format!("{node} ended by itself by {:.1} s: {why}", self.recorder.now().as_secs_f64());
            self.say(sentence.clone());
            self.recorder.violation(Property::Serves, sentence);
        }
        self.faults.push(FaultRecord {
            kind: fault.kind(),
            what: fault.to_string(),
            nodes: begun.struck,
            began_s: began.as_secs_f64(),
            ended_s: ended.as_secs_f64(),
            gap_ms: None,
        });
        Ok(())
    }

    fn say(&self, what: String) {
        (self.tell)(&format!("[{:7.1} s] {what}", self.recorder.now().as_secs_f64()));
    }

    /// Waits until a payment settles that was sent after `since`.
    async fn settles_again(&self, since: Moment, what: &str) {
        let mut settled = self.recorder.settled();
        if timeout(self.patience, settled.wait_for(|asked| *asked > since)).await.is_err() {
            let (at, within) = (since.as_secs_f64(), self.patience.as_secs());
            let sentence = format!("nothing settled within {within} s after {what} was over, at {at:.1} s");
            self.say(sentence.clone());
            self.recorder.violation(Property::Serves, sentence);
        }
    }

    /// Looks up at the majority what was answered as settled while the banks were left with a minority.
    async fn compare_with_the_majority(&mut self, begun: &Begun, since: Moment) {
        let answered = self.recorder.settled_since(since);
        let Some(highest) = answered.iter().map(|(_, position)| position.height).max() else { return };
        let network = &self.injection.network;
        let give_up = Instant::now() + self.patience;
        let knowing = loop {
            match at_height(network, &begun.majority, highest).await {
                None if Instant::now() < give_up => sleep(Duration::from_millis(100)).await,
                found => break found,
            }
        };
        let Some(node) = knowing else {
            let sentence = format!(
                "while {} was cut off from the majority, from {:.1} s on, a payment was answered settled at height \
                 {highest}, which the majority has not reached {} s later",
                begun.struck,
                since.as_secs_f64(),
                self.patience.as_secs()
            );
            self.recorder.violation(Property::AnswersStand, sentence);
            return;
        };
        match missing_at(network, node, &answered).await {
            Ok((compared, missing)) => {
                self.compared += compared;
                for position in missing {
                    let sentence = format!(
                        "while {} was cut off from the majority, from {:.1} s on, a payment was answered settled at \
                         {position}, where {node}, of the majority, has another command",
                        begun.struck,
                        since.as_secs_f64()
                    );
                    self.recorder.violation(Property::AnswersStand, sentence);
                }
            }
            Err(error) => self.say(format!("{node} could not be compared with the minority: {error:#}")),
        }
    }
}

/// The first of these nodes that has the block at a height.
async fn at_height(network: &Network, nodes: &[NodeName], height: Height) -> Option<NodeName> {
    for node in nodes {
        if ending::newest(network, *node).await.is_ok_and(|newest| newest >= height) {
            return Some(*node);
        }
    }
    None
}

/// Compares answers with the chain of a node; returns how many were, and the positions where something else stands.
async fn missing_at(
    network: &Network,
    node: NodeName,
    answered: &[(Hash, BlockPosition)],
) -> Result<(u64, Vec<BlockPosition>)> {
    let chain = network.chain(node).await?;
    let heights: BTreeSet<Height> = answered.iter().map(|(_, position)| position.height).collect();
    let mut missing = Vec::new();
    let mut compared = 0;
    for height in heights.into_iter().rev().take(COMPARED_BLOCKS_MAX) {
        let commands = chain.block(height).await?.commands();
        for (record, position) in answered.iter().filter(|(_, position)| position.height == height) {
            compared += 1;
            if commands.get(position.index as usize).map(command_hash) != Some(*record) {
                missing.push(*position);
            }
        }
    }
    Ok((compared, missing))
}

/// Fills in the gap that each fault made.
fn with_gaps(mut faults: Vec<FaultRecord>, history: &History) -> Vec<FaultRecord> {
    let settled = history.settled_ns();
    let ns = |seconds: f64| (seconds * 1e9) as u64;
    let next: Vec<f64> = faults.iter().skip(1).map(|fault| fault.began_s).chain([f64::INFINITY]).collect();
    for (fault, next_s) in faults.iter_mut().zip(next) {
        let until_s = (fault.ended_s + GAP_BEGINS_WITHIN.as_secs_f64()).min(next_s);
        // A fault is over when payments settle again, so its gap ends before the next one begins.
        let own = settled.partition_point(|at| *at <= ns(next_s));
        let gap = longest(&settled[..own], ns(fault.began_s), ns(until_s));
        fault.gap_ms = gap.map(|gap| ((gap.to_ns - gap.from_ns) as f64 / 1e4).round() / 100.0);
    }
    faults
}

/// The stores of nodes that have stopped.
fn on_disk(folder: &NetworkFolder) -> impl Fn(NodeName) -> Result<Arc<dyn Store>> {
    |node| Ok(Arc::new(RocksStore::open_read_only(&folder.data_dir(node)?)?))
}

/// Writes the history, one operation a line.
fn write_history(path: &Path, history: &History) -> Result<()> {
    let write = || {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        for (number, payment) in history.payments.iter().enumerate() {
            let answers: Vec<_> = payment
                .answers
                .iter()
                .map(|answered| {
                    serde_json::json!({
                        "asked_s": answered.asked.as_secs_f64(),
                        "answered_s": answered.answered.as_secs_f64(),
                        "answer": answered.answer.to_string(),
                    })
                })
                .collect();
            let line = serde_json::json!({
                "payment": number,
                "record": cbdc_ledger::encoding::hex(&payment.record),
                "payer": payment.payer.to_string(),
                "payee": payment.payee.to_string(),
                "amount_minor": payment.amount.minor(),
                "sequence": payment.sequence,
                "handed_in_s": payment.handed_in.as_secs_f64(),
                "answers": answers,
            });
            writeln!(file, "{line}")?;
        }
        for read in &history.reads {
            let line = serde_json::json!({
                "read": read.subject.to_string(),
                "client": read.client,
                "node": read.node,
                "asked_s": read.asked.as_secs_f64(),
                "answered_s": read.answered.as_secs_f64(),
                "height": read.height.0,
                "minor": read.minor,
            });
            writeln!(file, "{line}")?;
        }
        file.flush()
    };
    write().with_context(|| format!("writing {}", path.display()))
}
