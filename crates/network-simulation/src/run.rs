//! A run: a network, its clients and its faults, from one seed to a verdict.
//!
//! 1. The network's folder is made, with keys from the seed: genesis, certificates and configurations as `cbdc init`
//!    writes them, in memory (`/dev/shm`). The nodes start, each on its own host and disk.
//! 2. Wallets are opened and funded; then the clients pay, ask again and read, as in `cbdc bench faults`.
//! 3. Faults begin and end at their planned times.
//! 4. All is healed, and nodes that are down start again. From then on every payment must have its outcome, and all
//!    nodes the same chain, within a bound of simulated time.
//! 5. The nodes stop, and the history is compared with every block of every node ([`cbdc_harness::history`]).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
use cbdc_ordering::members::Flaw;
use cbdc_proto::wall_clock::wall_clock;
use cbdc_storage::{Fault as DiskFault, MemoryStore, Store};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::canary::Canary;
use crate::clients::{ClientWork, PATIENCE, Progress};
use crate::committee::{Committee, Decided, Decision};
use crate::disk::Life;
use crate::faults::{Fault, Planned};
use crate::hosts::{Host, TICK_NS};
use crate::leadership::{self, Calm, Leaders, Told};
use crate::life::{State, live};
use crate::links::{self, HostId, Link, PORT_BASE};
use crate::machine;
use crate::newcomer;
use crate::plan::{Plan, Shape};
use crate::quorum::Quorum;
use crate::trace::Trace;

/// The host of all clients.
const CLIENTS: HostId = 900;
/// The threads of a process with one run.
const THREADS: usize = 2;
/// The longest time for starting and opening wallets, ns.
const SETUP_MAX_NS: u64 = 120_000_000_000;
/// How long a canary's leader keeps what it has already acknowledged before it sends it to the others.
const PROPOSAL_KEPT: Duration = Duration::from_millis(20);
/// How long a flapping node is away, and then back, ns.
const FLAP_NS: u64 = 150_000_000;
/// The pause before a node that ended by itself is started again, ns.
const RESTART_AFTER_NS: u64 = 500_000_000;

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
    /// Whether this run has the process for itself: then nothing else may start a thread.
    pub is_alone: bool,
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

    /// Judges whether a majority has what counts as committed.
    fn look_after_quorum(&mut self) {
        if !self.plan.keeps_members() {
            return;
        }
        let central_banks = || self.nodes.iter().filter(|node| matches!(node.name, NodeName::CentralBank(_)));
        let committed =
            central_banks().filter_map(Node::member).filter_map(|member| member.told.get()?.borrow().committed);
        let disks: Vec<&dyn Store> = central_banks().map(|node| &*node.disk as &dyn Store).collect();
        if let Some(sentence) = self.quorum.look(committed.max(), &disks) {
            self.recorder.violation(Property::CommittedByMajority, sentence);
        }
    }

    /// Tells of what the committee decides.
    fn look_after_decisions(&mut self) {
        let begun = std::mem::take(&mut self.decided.lock().unwrap_or_else(PoisonError::into_inner).begun);
        for decision in begun {
            if let Decision::Dismiss { node } = decision {
                // It hands leadership over, if it has it.
                self.nodes[node].calm.disturb();
            }
            self.tell(None, format!("the committee decides: {decision}"));
        }
    }

    /// Whether a node orders no more, or not yet, by the committee's decision.
    fn is_dismissed(&self, name: NodeName) -> bool {
        let decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        decided.orders.get(&name) == Some(&false)
    }

    /// Tells of a new leader, and judges whether there was need of one.
    fn look_after_leader(&mut self) {
        let order = |node: &&Node| matches!(node.name, NodeName::CentralBank(_)) && !self.is_dismissed(node.name);
        let count = self.nodes.iter().filter(order).count();
        let running: Vec<leadership::Member<'_>> = self.nodes.iter().filter(order).filter_map(Node::member).collect();
        let Some(new) = self.leaders.look(&running, count, machine::now_ns()) else { return };
        if let Some(deposed) = new.deposed {
            let sentence = format!(
                "central-bank-{} leads in term {} at {} ms, although central-bank-{deposed} and a majority were \
                 undisturbed",
                new.leader,
                new.term,
                machine::now_ns() / 1_000_000
            );
            self.recorder.violation(Property::KeepsLeader, sentence);
        }
        let is_leader = |node: &Node| matches!(node.name, NodeName::CentralBank(id) if u64::from(id.0) == new.leader);
        let index = self.nodes.iter().position(is_leader);
        self.tell(index, format!("leads in term {}", new.term));
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

    /// Takes down nodes that have ended, and starts those that are due.
    fn look_after_nodes(&mut self) -> Result<()> {
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            let state = node.running.as_ref().map(Running::state);
            if node.running.as_ref().is_some_and(|running| running.life.is_over()) && state != Some(State::Stopped) {
                self.kill(index, false);
                self.tell(Some(index), "is gone".to_owned());
                continue;
            }
            match state {
                Some(State::Ended(why)) => {
                    let (name, disk_fails) = (node.name, node.disk_fails);
                    self.kill(index, false);
                    if why.contains("dismissed") && self.is_dismissed(name) {
                        self.nodes[index].is_gone = true;
                        self.tell(Some(index), "has left: it was dismissed".to_owned());
                        continue;
                    }
                    self.nodes[index].starts_at_ns.get_or_insert(machine::now_ns() + RESTART_AFTER_NS);
                    self.tell(Some(index), format!("ended by itself: {why}"));
                    if !disk_fails {
                        self.recorder.violation(Property::Serves, format!("{name} ended by itself: {why}"));
                    }
                }
                Some(State::Stopped) => {
                    self.kill(index, false);
                    self.tell(Some(index), "has stopped".to_owned());
                }
                None if node.starts_at_ns.is_some_and(|at| at <= machine::now_ns()) && !node.is_gone => {
                    node.starts_at_ns = None;
                    self.tell(Some(index), "starts again".to_owned());
                    self.start(index)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn start(&mut self, index: usize) -> Result<()> {
        let canary = self.options.canary;
        let node = &mut self.nodes[index];
        let lies = match node.name {
            NodeName::CentralBank(_) => canary == Some(Canary::AcknowledgesBeforeSync),
            NodeName::Bank(_) => canary == Some(Canary::AcceptsBeforeSync),
        };
        self.links.host_starts(node.id);
        let (stop, stopping) = watch::channel(false);
        let (life, state) = (Life::new(node.disk.clone(), lies), Arc::<Mutex<State>>::default());
        let told = Arc::<Told>::default();
        node.calm.starts(machine::now_ns());
        node.disk_fails = false;
        let path = self.network.config_path(node.name);
        let store: Arc<dyn Store> = Arc::new(life.clone());
        let tell = (state.clone(), told.clone());
        let host = match node.name {
            NodeName::CentralBank(_) => {
                let mut config = cbdc_central_bank::Config::load(&path)?;
                config.metrics_listen = None;
                config.verification_threads = 1;
                if let Some(ordering) = &mut config.ordering {
                    ordering.entries_for_followers = self.plan.shape.entries_for_followers;
                }
                config.flaw = match canary {
                    Some(Canary::AcknowledgesBeforeQuorum) => Some(Flaw::AcknowledgesUnanswered(PROPOSAL_KEPT)),
                    Some(Canary::SkipsPreVotes) => Some(Flaw::SkipsPreVotes),
                    _ => None,
                };
                let environment = cbdc_central_bank::Environment { store, wall_clock: Box::new(wall_clock) };
                let starting = cbdc_central_bank::start_on(config, environment);
                Host::start(node.id, node.wall_offset_ns, live(starting, stopping, tell))
            }
            NodeName::Bank(_) => {
                let mut config = cbdc_bank::Config::load(&path)?;
                config.metrics_listen = None;
                let starting = cbdc_bank::start_on(config, store);
                Host::start(node.id, node.wall_offset_ns, live(starting, stopping, tell))
            }
        };
        node.running = Some(Running { host, life, stop, state, told });
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        *lives.entry(node.name).or_default() += 1;
        Ok(())
    }

    /// Takes a node's host down at once.
    fn kill(&mut self, index: usize, silently: bool) {
        let node = &mut self.nodes[index];
        let Some(running) = node.running.take() else { return };
        running.life.end();
        self.links.host_ends(node.id, silently);
        running.host.kill();
        // What was not synced survives a process, often; of a machine, any number of the first writes may.
        let pending = node.disk.pending();
        let kept = match self.random.random_range(0..3) {
            0 => 0,
            1 if !silently => pending,
            _ => self.random.random_range(0..=pending),
        };
        node.disk.crash_keeping(kept);
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

    /// Makes the faults at their times.
    fn make(&mut self, faults: &[Planned]) -> Result<()> {
        let began_ns = machine::now_ns();
        self.tell(None, "the faults begin".to_owned());
        let at = |ms: u64| began_ns + ms * 1_000_000;
        let mut pending: Vec<Planned> = faults.to_vec();
        pending.sort_by_key(|planned| planned.at_ms);
        pending.reverse();
        let mut open: Vec<Planned> = Vec::new();
        let last = faults.iter().map(|planned| planned.at_ms + planned.lasts_ms).max().unwrap_or(0);
        let until = at(last.max(self.plan.shape.duration_ms));
        while machine::now_ns() < until {
            while let Some(planned) = pending.pop_if(|planned| at(planned.at_ms) <= machine::now_ns()) {
                // One fault at a time for each node, and only for one that runs.
                let is_struck = |open: &Planned| open.fault.node() == planned.fault.node();
                let is_down = planned.fault.node().is_some_and(|node| self.nodes[node].running.is_none());
                if is_down || open.iter().any(is_struck) {
                    continue;
                }
                self.begun.push(planned);
                self.begin(&planned);
                open.push(planned);
            }
            self.links.set_links(self.links_now(&open));
            self.links.set_slow_disks(self.slow_disks_now(&open));
            let now = machine::now_ns();
            let (over, still): (Vec<Planned>, Vec<Planned>) =
                open.into_iter().partition(|planned| at(planned.at_ms + planned.lasts_ms) <= now);
            open = still;
            for planned in &over {
                self.end(planned);
            }
            self.tick()?;
        }
        for planned in &open {
            self.end(planned);
        }
        Ok(())
    }

    /// The links as the open faults leave them.
    fn links_now(&self, open: &[Planned]) -> BTreeMap<(HostId, HostId), Link> {
        let mut links: BTreeMap<(HostId, HostId), Link> = BTreeMap::new();
        let hosts: Vec<HostId> = self.nodes.iter().map(|node| node.id).chain([CLIENTS]).collect();
        for planned in open {
            let struck = planned.fault.node().map(|node| self.nodes[node].id);
            for from in &hosts {
                for to in hosts.iter().filter(|to| *to != from) {
                    let (outgoing, incoming) = (Some(*from) == struck, Some(*to) == struck);
                    let is_cut = match planned.fault {
                        Fault::Isolate { .. } => outgoing || incoming,
                        Fault::Mute { .. } => outgoing,
                        Fault::Deafen { .. } => incoming,
                        Fault::Flap { .. } => (outgoing || incoming) && is_flapped_away(),
                        _ => false,
                    };
                    let slower_ns = match planned.fault {
                        Fault::Slow { by_ms, .. } if outgoing || incoming => by_ms * 1_000_000,
                        _ => 0,
                    };
                    let loss = if let Fault::Loss { one_in } = planned.fault { 1.0 / f64::from(one_in) } else { 0.0 };
                    if is_cut || slower_ns > 0 || loss > 0.0 {
                        let link = links.entry((*from, *to)).or_default();
                        link.is_cut |= is_cut;
                        link.latency_ns.1 += slower_ns;
                        link.loss = link.loss.max(loss);
                    }
                }
            }
        }
        links
    }

    /// The disks that are slow, with the longest time that they take, ns.
    fn slow_disks_now(&self, open: &[Planned]) -> BTreeMap<HostId, u64> {
        let slow = |planned: &Planned| match planned.fault {
            Fault::SlowDisk { node, by_ms } => Some((self.nodes[node].id, by_ms * 1_000_000)),
            _ => None,
        };
        open.iter().filter_map(slow).collect()
    }

    fn begin(&mut self, planned: &Planned) {
        self.tell(planned.fault.node(), format!("{}, for {} ms", planned.fault, planned.lasts_ms));
        self.struck_by(planned).for_each(|node| node.calm.disturb());
        match planned.fault {
            Fault::Kill { node, silently } => self.kill(node, silently),
            Fault::KillAfterWrites { node, writes } => {
                if let Some(running) = &self.nodes[node].running {
                    running.life.end_after(writes);
                }
            }
            Fault::Stop { node } => {
                if let Some(running) = &self.nodes[node].running {
                    running.stop.send_replace(true);
                }
            }
            Fault::Pause { node } => {
                let until = machine::now_ns() + planned.lasts_ms * 1_000_000;
                if let Some(running) = &mut self.nodes[node].running {
                    running.host.pause_until(until);
                }
            }
            Fault::ClockStep { node, by_ms } => self.put_clock(node, by_ms),
            Fault::DiskFails { node } => {
                let node = &mut self.nodes[node];
                if node.running.is_some() {
                    node.disk_fails = true;
                    node.disk.fail_next_write(DiskFault::IoAfterWriting);
                }
            }
            Fault::Isolate { .. }
            | Fault::Mute { .. }
            | Fault::Deafen { .. }
            | Fault::Flap { .. }
            | Fault::Slow { .. }
            | Fault::SlowDisk { .. }
            | Fault::Loss { .. } => {}
        }
    }

    /// The nodes that a fault strikes.
    fn struck_by(&mut self, planned: &Planned) -> impl Iterator<Item = &mut Node> {
        let struck = planned.fault.node();
        self.nodes
            .iter_mut()
            .enumerate()
            .filter(move |(node, _)| struck.is_none_or(|of| of == *node))
            .map(|(_, node)| node)
    }

    fn end(&mut self, planned: &Planned) {
        self.struck_by(planned).for_each(|node| node.calm.calm(machine::now_ns()));
        match planned.fault {
            Fault::Kill { node, .. } | Fault::Stop { node } | Fault::DiskFails { node } => {
                self.nodes[node].starts_at_ns = Some(machine::now_ns());
            }
            // It may have had less to write.
            Fault::KillAfterWrites { node, .. } => {
                self.kill(node, false);
                self.nodes[node].starts_at_ns = Some(machine::now_ns());
            }
            Fault::ClockStep { node, by_ms } => self.put_clock(node, -by_ms),
            _ => {}
        }
    }

    fn put_clock(&mut self, node: usize, by_ms: i64) {
        let node = &mut self.nodes[node];
        node.wall_offset_ns += by_ms * 1_000_000;
        if let Some(running) = &mut node.running {
            running.host.wall_offset_ns = node.wall_offset_ns;
        }
    }

    /// Ends everything that disturbs, and starts what is down.
    fn heal(&mut self) -> Result<()> {
        self.links.set_links(BTreeMap::new());
        self.links.set_slow_disks(BTreeMap::new());
        self.tell(None, "the faults are over".to_owned());
        let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
        if self.options.is_alone && threads > THREADS {
            let sentence = format!("expected {THREADS} threads, this one and its parent, found {threads}");
            self.recorder.violation(Property::Serves, sentence);
        }
        for node in &mut self.nodes {
            node.starts_at_ns.get_or_insert(machine::now_ns());
        }
        self.tick()
    }

    /// Stops the nodes in order: the banks first.
    fn stop_all(&mut self) -> Result<()> {
        if let Some(clients) = self.clients.take() {
            self.links.host_ends(CLIENTS, false);
            clients.kill();
        }
        for is_bank in [true, false] {
            for node in &mut self.nodes {
                node.starts_at_ns = None;
                if matches!(node.name, NodeName::Bank(_)) == is_bank
                    && let Some(running) = &node.running
                {
                    running.stop.send_replace(true);
                }
            }
            let of_this_kind = |node: &Node| matches!(node.name, NodeName::Bank(_)) == is_bank;
            let have_stopped = self.until(PATIENCE.as_nanos() as u64, |world| {
                world.nodes.iter().filter(|node| of_this_kind(node)).all(|node| node.running.is_none())
            })?;
            if !have_stopped {
                let sentence = format!("a node did not stop within {} s", PATIENCE.as_secs());
                self.recorder.violation(Property::Serves, sentence);
            }
        }
        for index in 0..self.nodes.len() {
            self.kill(index, false);
        }
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

/// Whether a flapping node is away now.
fn is_flapped_away() -> bool {
    (machine::now_ns() / FLAP_NS).is_multiple_of(2)
}
