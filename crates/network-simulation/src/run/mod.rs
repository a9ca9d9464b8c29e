//! A run: a network, its clients and its faults, from one seed to a verdict.
//!
//! 1. The network's folder is made, with keys from the seed: genesis, certificates and configurations as `cbdc init`
//!    writes them, in memory (`/dev/shm`). The nodes start, each on its own host and disk.
//! 2. Wallets are opened and funded; then the clients pay, ask again and read, as in `cbdc bench faults`.
//! 3. Faults begin and end at their planned times.
//! 4. All is healed, and nodes that are down start again. From then on every payment must have its outcome, and all
//!    nodes the same chain, within a bound of simulated time.
//! 5. The nodes stop, and the history is compared with every block of every node ([`cbdc_harness::history`]).

mod disturbances;
mod lives;
mod watching;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use cbdc_client::NodeName;
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_environment::simulate;
use cbdc_harness::faults::clients::Lives;
use cbdc_harness::faults::ending;
use cbdc_harness::faults::recorder::Recorder;
use cbdc_harness::history::{Property, Violation, check};
use cbdc_harness::run::nodes;
use cbdc_harness::scenario::Scenario;
use cbdc_ledger::member::Member;
use cbdc_storage::{MemoryStore, Store};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::canary::Canary;
use crate::clients::{ClientWork, PATIENCE, Progress};
use crate::committee::{Committee, Decided};
use crate::disk::Life;
use crate::faults::Planned;
use crate::hosts::{Host, TICK_NS};
use crate::leadership::{self, Calm, Leaders, Told};
use crate::life::State;
use crate::links::{self, HostId, PORT_BASE};
use crate::machine;
use crate::newcomer;
use crate::plan::{Plan, Shape};
use crate::quorum::Quorum;
use crate::trace::Trace;

/// The host of all clients.
const CLIENTS: HostId = 900;
/// The longest time for starting and opening wallets, ns.
const SETUP_MAX_NS: u64 = 120_000_000_000;

/// What a run is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// From which everything follows.
    pub seed: u64,
    /// The network, its clients and its faults.
    pub plan: Plan,
    /// Whether the trace's lines are kept.
    pub keeps_trace: bool,
    /// Whether the story is told as it happens.
    pub tells: bool,
    /// What is broken on purpose.
    pub canary: Option<Canary>,
}

/// What came of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    pub seed: u64,
    pub plan: Plan,
    /// The faults of the plan that were made: none strikes a node that is down or struck already.
    pub faults: Vec<Planned>,
    /// What was found wrong: the property and a sentence.
    pub violations: Vec<(String, String)>,
    /// Payments handed in.
    pub payments: u64,
    /// Those answered settled.
    pub settled: u64,
    /// Those refused for good.
    pub refused: u64,
    /// Those refused for now, whose payer gave them up.
    pub given_up: u64,
    /// Those without a final answer: a violation.
    pub open: u64,
    pub reads: u64,
    /// The blocks of the chain.
    pub blocks: u64,
    /// The simulated time, ms.
    pub simulated_ms: u64,
    /// The number of lines of the trace, and their hash.
    pub trace_lines: u64,
    pub trace_hash: String,
    /// The trace itself, if it was kept.
    #[serde(skip)]
    pub trace: Option<String>,
    /// The names of the nodes, in the order of their numbers in faults.
    pub nodes: Vec<String>,
    /// What happened, for people.
    pub story: Vec<Event>,
    /// When payments were first answered settled, ms.
    pub settled_ms: Vec<u64>,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub at_ms: u64,
    /// The node that it is about, if it is about one.
    pub node: Option<usize>,
    pub what: String,
}

/// Makes a run on a thread of its own.
///
/// # Errors
/// The network cannot be created or set up, or the run panicked. A broken promise is no error, but among the outcome's
/// violations.
pub fn run(options: &Options) -> Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("cbdc-simulation-").tempdir_in(memory_folder())?;
    let (options, path) = (options.clone(), folder.path().to_owned());
    crate::handshakes::install();
    let run = move || {
        machine::begin(options.seed);
        let plan = options.plan.clone();
        let trace = Trace::new(options.keeps_trace);
        crate::logging::on_this_thread(trace.clone());
        let network = links::Network::new(StdRng::seed_from_u64(options.seed ^ 1), trace.clone());
        simulate(std::rc::Rc::new(network.clone()), || World::create(&options, plan, &path, network, trace)?.run())
    };
    let thread = std::thread::Builder::new().name("simulation".into()).stack_size(16 << 20).spawn(run)?;
    thread.join().map_err(|_| anyhow::anyhow!("the simulation panicked; see above"))?
}

/// A folder in memory, where the system has one.
pub(crate) fn memory_folder() -> std::path::PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() }
}

struct Node {
    name: NodeName,
    id: HostId,
    disk: Arc<MemoryStore>,
    wall_offset_ns: i64,
    running: Option<Running>,
    /// When it is started again, ns.
    starts_at_ns: Option<u64>,
    /// Whether its disk was made to fail in this life.
    disk_fails: bool,
    calm: Calm,
    /// Whether it was dismissed, and has ended for good.
    is_gone: bool,
}

struct Running {
    host: Host,
    life: Life,
    stop: watch::Sender<bool>,
    state: Arc<Mutex<State>>,
    told: Arc<Told>,
}

impl Node {
    /// A node of the central bank that runs.
    fn member(&self) -> Option<leadership::Member<'_>> {
        let (NodeName::CentralBank(id), Some(running)) = (self.name, &self.running) else { return None };
        Some(leadership::Member { id: u64::from(id.0), told: &running.told, calm: self.calm })
    }
}

impl Running {
    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct World {
    options: Options,
    plan: Plan,
    network: Network,
    links: links::Network,
    trace: Trace,
    random: StdRng,
    nodes: Vec<Node>,
    clients: Option<Host>,
    recorder: Arc<Recorder>,
    lives: Lives,
    progress: Arc<Mutex<Progress>>,
    finish: watch::Sender<bool>,
    leaders: Leaders,
    quorum: Quorum,
    /// The node that waits to be admitted, until the committee has it.
    newcomer: Option<Member>,
    decided: Arc<Mutex<Decided>>,
    story: Vec<Event>,
    /// The faults that were made.
    begun: Vec<Planned>,
}

impl World {
    fn create(options: &Options, plan: Plan, folder: &Path, links: links::Network, trace: Trace) -> Result<World> {
        let scenario = scenario(options.seed, &plan.shape)?;
        let spec = NetworkSpec {
            ports: Ports::From(PORT_BASE),
            checkpoint_every_blocks: Some(plan.shape.checkpoint_every_blocks),
            full_replicas: plan.shape.full_replicas,
            ..nodes::spec(&scenario, Vec::new())
        };
        let dir = folder.join("network");
        let mut network = Network::create(&dir, &spec)?;
        let newcomer = match plan.admits() {
            true => Some(newcomer::prepare(&network, plan.shape.central_banks)?),
            false => None,
        };
        if newcomer.is_some() {
            // It has one node more now.
            network = Network::open(&dir)?;
        }
        let mut nodes = Vec::new();
        for name in network.nodes() {
            let address: std::net::SocketAddr = network.address(name)?.parse()?;
            nodes.push(Node {
                name,
                id: HostId::from(address.port() - PORT_BASE),
                disk: Arc::new(MemoryStore::new()),
                wall_offset_ns: 0,
                running: None,
                starts_at_ns: None,
                disk_fails: false,
                calm: Calm::default(),
                is_gone: false,
            });
        }
        Ok(World {
            options: options.clone(),
            plan,
            network,
            links,
            trace,
            random: StdRng::seed_from_u64(options.seed),
            nodes,
            clients: None,
            recorder: Arc::new(Recorder::default()),
            lives: Lives::default(),
            progress: Arc::default(),
            finish: watch::channel(false).0,
            leaders: Leaders::default(),
            quorum: Quorum::default(),
            newcomer,
            decided: Arc::default(),
            story: Vec::new(),
            begun: Vec::new(),
        })
    }

    fn run(mut self) -> Result<Outcome> {
        for node in 0..self.nodes.len() {
            self.start(node)?;
        }
        self.start_clients()?;
        let begun = self.until(SETUP_MAX_NS, |world| world.progress() != Progress::SettingUp)?;
        if let Progress::Failed(why) = self.progress() {
            anyhow::bail!("setting the network up: {why}");
        }
        anyhow::ensure!(begun, "the network was not set up within {} s", SETUP_MAX_NS / 1_000_000_000);
        let faults = self.plan.faults.clone();
        self.make(&faults)?;
        self.heal()?;
        let healed_at = self.recorder.now();
        let patience = PATIENCE.as_nanos() as u64;
        if !self.until(patience, |world| *world.recorder.settled().borrow() > healed_at)? {
            let sentence = format!("nothing settled within {} s after the faults were over", PATIENCE.as_secs());
            self.recorder.violation(Property::Serves, sentence);
        }
        self.finish.send_replace(true);
        if !self.until(4 * patience, |world| world.progress() == Progress::Finished)? {
            self.recorder.violation(Property::Serves, "the clients did not finish in time".to_owned());
        }
        self.stop_all()?;
        self.judge()
    }

    fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds an event to the story.
    fn tell(&mut self, node: Option<usize>, what: String) {
        let event = Event { at_ms: machine::now_ns() / 1_000_000, node, what };
        let line = event.line(&self.names());
        self.trace.note(|| line.clone());
        if self.options.tells {
            println!("{line}");
        }
        self.story.push(event);
    }

    fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.to_string()).collect()
    }

    /// Runs every host for one tick.
    fn tick(&mut self) -> Result<()> {
        self.links.deliver();
        let mut order: Vec<usize> = (0..=self.nodes.len()).collect();
        order.shuffle(&mut self.random);
        for index in order {
            let host = match self.nodes.get_mut(index) {
                Some(node) => node.running.as_mut().map(|running| &mut running.host),
                None => self.clients.as_mut(),
            };
            if let Some(host) = host {
                host.tick();
            }
        }
        machine::set_now_ns(machine::now_ns() + TICK_NS);
        self.look_after_decisions();
        self.look_after_leader();
        self.look_after_quorum();
        self.look_after_nodes()
    }

    /// Ticks until something is so, for `limit_ns` at most. Returns whether it is.
    fn until(&mut self, limit_ns: u64, is_so: impl Fn(&World) -> bool) -> Result<bool> {
        let give_up = machine::now_ns() + limit_ns;
        while machine::now_ns() < give_up {
            self.tick()?;
            if is_so(self) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn start_clients(&mut self) -> Result<()> {
        let committee = Committee {
            folder: (*self.network).clone(),
            decisions: self.plan.decisions.clone(),
            newcomer: self.newcomer.take(),
            decided: self.decided.clone(),
            finish: self.finish.subscribe(),
        };
        let work = ClientWork {
            committee,
            network: self.network.clone(),
            scenario: scenario(self.options.seed, &self.plan.shape)?,
            drawing: (self.options.seed, self.plan.shape.rate_per_s),
            recorder: self.recorder.clone(),
            lives: self.lives.clone(),
            progress: self.progress.clone(),
            finish: self.finish.subscribe(),
        };
        self.clients = Some(Host::start(CLIENTS, 0, work.run()));
        Ok(())
    }

    fn judge(self) -> Result<Outcome> {
        let (history, mut violations) = self.recorder.take();
        let panics = crate::logging::take_panics();
        violations.extend(panics.into_iter().map(|sentence| Violation { property: Property::Serves, sentence }));
        let store_of = |node: NodeName| -> Result<Arc<dyn Store>> {
            let found = self.nodes.iter().find(|of| of.name == node).context("a node of the network")?;
            Ok(found.disk.clone())
        };
        let (ending, audited) = ending::collect(&self.network, &history, store_of, |node| !self.is_dismissed(node))?;
        violations.extend(check(&history, &ending));
        let (counts, (trace_lines, trace_hash)) = (history.counts(), self.trace.digest());
        let open = counts.unknown + counts.accepted;
        if open > 0 {
            let sentence = format!("{open} payments had no final answer long after the faults were over");
            violations.push(Violation { property: Property::Serves, sentence });
        }
        let told = |violation: Violation| (format!("{:?}", violation.property), violation.sentence);
        Ok(Outcome {
            seed: self.options.seed,
            nodes: self.names(),
            plan: self.plan,
            faults: self.begun,
            violations: violations.into_iter().map(told).collect(),
            payments: counts.payments,
            settled: counts.settled,
            refused: counts.refused,
            given_up: counts.refused_for_now,
            open,
            reads: counts.reads,
            blocks: audited.blocks,
            simulated_ms: machine::now_ns() / 1_000_000,
            trace_lines,
            trace_hash,
            trace: self.trace.take_lines(),
            settled_ms: history.settled_ns().into_iter().map(|ns| ns / 1_000_000).collect(),
            story: self.story,
        })
    }
}

impl Event {
    /// The event in a line.
    pub fn line(&self, nodes: &[String]) -> String {
        let who = self.node.and_then(|node| nodes.get(node)).map_or_else(String::new, |name| format!("{name} "));
        format!("{:>8} ms  {who}{}", self.at_ms, self.what)
    }
}

fn scenario(seed: u64, shape: &Shape) -> Result<Scenario> {
    let Shape { central_banks, header_signatures, banks, wallets, .. } = shape;
    // The scenario's own load is not used; its rate must suit the number of wallets.
    let text = format!(
        "seed = {}\n[network]\ncentral_banks = {central_banks}\nheader_signatures = {header_signatures}\n\
         banks = {banks}\n[wallets]\ncount = {wallets}\nopening_balance_minor = 5_000_000\n[load]\n\
         rate_per_s = 20\n",
        seed & i64::MAX as u64
    );
    Ok(Scenario::parse("simulation.toml", "simulation", &text, &[])?)
}
