//! A network of members for the tests: each with a runtime and a store of its own, connected by gRPC over loopback
//! through links that can be cut in one direction.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cbdc_ordering::members::{Admission, Channels, Members, MembersServer, Watching};
use cbdc_ordering::snapshot::{CheckpointSnapshots, SnapshotSource};
use cbdc_ordering::{
    CommittedReceiver, Delivered, MemberId, Ordering, OrderingConfig, OrderingError, Position, ProposeError,
};
use cbdc_storage::{CheckpointManifest, CheckpointWriter, MemoryStore, Store, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Extensions, Request, Status};

/// The longest time that a test waits for anything.
pub const TIMEOUT: Duration = Duration::from_secs(15);

pub fn bytes(text: impl ToString) -> Bytes {
    Bytes::from(text.to_string())
}

/// Waits until `condition` holds.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

/// The member that calls, as the listener knows it.
#[derive(Clone, Copy)]
struct Caller(MemberId);

/// Admits whoever the listener says, except those that are turned away.
#[derive(Debug)]
struct ByListener;

impl Admission for ByListener {
    fn member(&self, extensions: &Extensions) -> Result<MemberId, Status> {
        match extensions.get::<Caller>() {
            Some(Caller(0)) => Err(Status::permission_denied("not a node of the central bank")),
            Some(Caller(member)) => Ok(*member),
            None => Err(Status::unauthenticated("no certificate")),
        }
    }
}

/// The channels of one member, each through the proxy of its link.
#[derive(Debug)]
struct ThroughLinks {
    own: MemberId,
    links: Arc<Links>,
}

impl Channels for ThroughLinks {
    fn channel(&self, member: MemberId, _: &str) -> Result<Channel, String> {
        let link = self.links.link(self.own, member);
        let endpoint = Endpoint::from_shared(format!("http://{}", link.entry)).map_err(|error| error.to_string())?;
        Ok(endpoint.connect_timeout(Duration::from_millis(500)).connect_lazy())
    }
}

/// One direction between two members.
#[derive(Clone, Debug)]
struct Link {
    /// Where the calling member connects.
    entry: SocketAddr,
    /// Where the called member listens for this caller; `None` while it is down.
    exit: Arc<Mutex<Option<SocketAddr>>>,
    /// Whether nothing passes, in either direction of the connection.
    is_cut: watch::Sender<bool>,
}

#[derive(Debug)]
pub struct Links {
    runtime: tokio::runtime::Handle,
    links: Mutex<BTreeMap<(MemberId, MemberId), Link>>,
}

impl Links {
    fn new(runtime: tokio::runtime::Handle) -> Arc<Self> {
        Arc::new(Links { runtime, links: Mutex::default() })
    }

    fn link(&self, from: MemberId, to: MemberId) -> Link {
        let mut links = self.links.lock().unwrap();
        if let Some(link) = links.get(&(from, to)) {
            return link.clone();
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let entry = listener.local_addr().unwrap();
        let link = Link { entry, exit: Arc::default(), is_cut: watch::channel(false).0 };
        let (exit, is_cut) = (link.exit.clone(), link.is_cut.clone());
        self.runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(carry(connection, exit.clone(), is_cut.subscribe()));
            }
        });
        links.insert((from, to), link.clone());
        link
    }
}

/// Carries one connection, while the link is not cut: bytes wait then, as on a dead wire.
async fn carry(entry: TcpStream, exit: Arc<Mutex<Option<SocketAddr>>>, is_cut: watch::Receiver<bool>) {
    let Some(address) = *exit.lock().unwrap() else { return };
    let Ok(exit) = TcpStream::connect(address).await else { return };
    let _ = (entry.set_nodelay(true), exit.set_nodelay(true));
    let (mut entry_read, mut entry_write) = entry.into_split();
    let (mut exit_read, mut exit_write) = exit.into_split();
    let (there_cut, back_cut) = (is_cut.clone(), is_cut);
    let there = copy(&mut entry_read, &mut exit_write, there_cut);
    let back = copy(&mut exit_read, &mut entry_write, back_cut);
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut is_cut: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if is_cut.wait_for(|is_cut| !*is_cut).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// A source of checkpoints that can be told to refuse them.
struct Checking {
    checkpoints: CheckpointSnapshots,
    refuses: Arc<Mutex<bool>>,
    refused: Arc<Mutex<usize>>,
}

impl SnapshotSource for Checking {
    fn build(&self, applied: Option<Position>) -> Result<Option<CheckpointManifest>, StoreError> {
        self.checkpoints.build(applied)
    }
    fn latest(&self) -> Result<Option<CheckpointManifest>, StoreError> {
        self.checkpoints.latest()
    }
    fn read_chunk(&self, manifest: &CheckpointManifest, chunk: u32) -> Result<Bytes, StoreError> {
        self.checkpoints.read_chunk(manifest, chunk)
    }
    fn verify(
        &self,
        _: &CheckpointManifest,
        _: &cbdc_proto::internal::CheckpointProof,
        chunks: &mut dyn Iterator<Item = Result<Bytes, StoreError>>,
    ) -> Result<(), String> {
        let read: Result<Vec<Bytes>, StoreError> = chunks.collect();
        read.map_err(|error| error.to_string())?;
        if *self.refuses.lock().unwrap() {
            *self.refused.lock().unwrap() += 1;
            return Err("its root is another".into());
        }
        Ok(())
    }
    fn install(
        &self,
        manifest: &CheckpointManifest,
        chunks: &mut dyn Iterator<Item = Result<Bytes, StoreError>>,
    ) -> Result<(), StoreError> {
        self.checkpoints.install(manifest, chunks)
    }
}

/// A member that runs.
struct Running {
    runtime: Runtime,
    ordering: Arc<Ordering>,
    delivered: Arc<Mutex<Vec<Delivered>>>,
}

/// The parts of a member that outlive a crash.
struct Machine {
    store: Arc<dyn Store>,
    memory: Option<Arc<MemoryStore>>,
    /// Holders of the store while the member is down: the test's.
    holders: usize,
    snapshot_folder: tempfile::TempDir,
    refuses_snapshots: Arc<Mutex<bool>>,
    refused_snapshots: Arc<Mutex<usize>>,
    /// Delivered in earlier lives.
    delivered_before: Vec<Delivered>,
    running: Option<Running>,
}

/// The settings of a network.
#[derive(Clone)]
pub struct Settings {
    pub silence_ms: (u64, u64),
    pub proposal_timeout: Duration,
    pub entries_kept: u64,
}

impl Default for Settings {
    /// Limits long enough for a busy machine.
    fn default() -> Self {
        Settings { silence_ms: (250, 1_000), proposal_timeout: Duration::from_secs(10), entries_kept: 0 }
    }
}

/// A network of members.
pub struct Network {
    settings: Settings,
    founders: BTreeMap<MemberId, String>,
    links: Arc<Links>,
    machines: BTreeMap<MemberId, Machine>,
    /// Runs the links.
    _wires: Runtime,
}

impl Network {
    /// Members 1 to `count` on stores in memory, all started.
    pub fn start(count: u64, settings: Settings) -> Self {
        Network::start_on(count, settings, |_| {
            let memory = Arc::new(MemoryStore::new());
            (memory.clone() as Arc<dyn Store>, Some(memory))
        })
    }

    /// Members 1 to `count` on stores of the caller's, all started.
    pub fn start_on(
        count: u64,
        settings: Settings,
        mut store: impl FnMut(MemberId) -> (Arc<dyn Store>, Option<Arc<MemoryStore>>),
    ) -> Self {
        let mut network = Network::found(count, settings);
        for member in 1..=count {
            let (store, memory) = store(member);
            network.add(member, store, memory);
            network.start_member(member);
        }
        network
    }

    /// A network of members 1 to `count`, none of which runs yet.
    pub fn found(count: u64, settings: Settings) -> Self {
        let founders: BTreeMap<MemberId, String> = (1..=count).map(|member| (member, address(member))).collect();
        let wires = runtime(1);
        let links = Links::new(wires.handle().clone());
        Network { settings, founders, links, machines: BTreeMap::new(), _wires: wires }
    }

    /// Starts a founder for the first time, on a store in memory.
    pub fn start_founder(&mut self, member: MemberId) {
        let memory = Arc::new(MemoryStore::new());
        self.add(member, memory.clone(), Some(memory));
        self.start_member(member);
    }

    fn add(&mut self, member: MemberId, store: Arc<dyn Store>, memory: Option<Arc<MemoryStore>>) {
        let machine = Machine {
            holders: Arc::strong_count(&store),
            store,
            memory,
            snapshot_folder: tempfile::tempdir().unwrap(),
            refuses_snapshots: Arc::default(),
            refused_snapshots: Arc::default(),
            delivered_before: Vec::new(),
            running: None,
        };
        self.machines.insert(member, machine);
    }

    /// A further member, on an empty store, which waits to be admitted.
    pub fn start_newcomer(&mut self, member: MemberId) {
        assert!(!self.founders.contains_key(&member));
        self.start_founder(member);
    }

    /// Starts a member that is down, on what its store holds.
    pub fn start_member(&mut self, member: MemberId) {
        let founders = if self.founders.contains_key(&member) { self.founders.clone() } else { BTreeMap::new() };
        let config = OrderingConfig {
            member,
            members: founders,
            delivery_capacity: 10_000,
            entries_kept_for_followers: self.settings.entries_kept,
            ..OrderingConfig::default()
        };
        let (silence_min, silence_max) = self.settings.silence_ms;
        let channels = Arc::new(ThroughLinks { own: member, links: self.links.clone() });
        let machine = self.machines.get_mut(&member).unwrap();
        let folder = machine.snapshot_folder.path().to_owned();
        let members = Members {
            watching: Watching {
                silence: (Duration::from_millis(silence_min), Duration::from_millis(silence_max)),
                ..Watching::default()
            },
            proposal_timeout: self.settings.proposal_timeout,
            ..Members::new(channels, Arc::new(ByListener), folder)
        };
        let source = Arc::new(Checking {
            checkpoints: CheckpointSnapshots::new(machine.store.clone()),
            refuses: machine.refuses_snapshots.clone(),
            refused: machine.refused_snapshots.clone(),
        });
        let resume_after = source.latest().unwrap().map(|manifest| manifest.position);
        let runtime = runtime(1);
        let store = machine.store.clone();
        let (ordering, receiver, service) = runtime
            .block_on(async move { Ordering::start_among(config, members, store, resume_after, source).await })
            .unwrap();
        let delivered = Arc::<Mutex<Vec<Delivered>>>::default();
        runtime.spawn(collect(receiver, delivered.clone()));
        machine.running = Some(Running { runtime, ordering: Arc::new(ordering), delivered });
        // A listener for each possible caller: by it the caller is known. Number 0 is a stranger's.
        for caller in (0..=8).filter(|caller| *caller != member) {
            self.listen(member, caller, service.clone());
        }
    }

    fn listen(&self, member: MemberId, caller: MemberId, service: MembersServer) {
        let running = self.machines[&member].running.as_ref().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        *self.links.link(caller, member).exit.lock().unwrap() = Some(listener.local_addr().unwrap());
        let service = InterceptedService::new(service, move |mut request: Request<()>| {
            request.extensions_mut().insert(Caller(caller));
            Ok(request)
        });
        running.runtime.spawn(async move {
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            Server::builder().add_service(service).serve_with_incoming(incoming).await
        });
    }

    /// Ends a member without any farewell, as a lost machine does; what was not synced is gone.
    pub fn kill(&mut self, member: MemberId) {
        let machine = self.machines.get_mut(&member).unwrap();
        let Running { runtime, ordering, delivered } = machine.running.take().expect("it runs");
        for caller in (0..=8).filter(|caller| *caller != member) {
            *self.links.link(caller, member).exit.lock().unwrap() = None;
        }
        drop(ordering);
        runtime.shutdown_timeout(Duration::from_secs(5));
        machine.delivered_before.append(&mut delivered.lock().unwrap());
        if let Some(memory) = &machine.memory {
            // The thread that writes the log has ended when nobody else holds the store.
            wait_for("the store is free", || (Arc::strong_count(&machine.store) <= machine.holders).then_some(()));
            memory.crash();
        }
    }

    /// Gives a member that is down an empty disk.
    pub fn lose_disk(&mut self, member: MemberId) {
        let machine = self.machines.get_mut(&member).unwrap();
        assert!(machine.running.is_none());
        let memory = Arc::new(MemoryStore::new());
        (machine.store, machine.memory) = (memory.clone(), Some(memory));
        machine.holders = 2;
    }

    pub fn running(&self) -> Vec<MemberId> {
        let running = self.machines.iter().filter(|(_, machine)| machine.running.is_some());
        running.map(|(member, _)| *member).collect()
    }

    pub fn store(&self, member: MemberId) -> Arc<dyn Store> {
        self.machines[&member].store.clone()
    }

    fn run(&self, member: MemberId) -> &Running {
        self.machines[&member].running.as_ref().expect("it runs")
    }

    pub fn ordering(&self, member: MemberId) -> Arc<Ordering> {
        self.run(member).ordering.clone()
    }

    /// The outcome of `future` on the runtime of `member`.
    pub fn on<T>(&self, member: MemberId, future: impl Future<Output = T>) -> T {
        let runtime = self.run(member).runtime.handle();
        runtime.block_on(async { tokio::time::timeout(TIMEOUT, future).await.expect("it ends in time") })
    }

    /// Runs `future` on the runtime of `member` meanwhile.
    pub fn meanwhile<T: Send + 'static>(
        &self,
        member: MemberId,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.run(member).runtime.spawn(future)
    }

    /// Cuts, or mends, both directions between `member` and all others.
    pub fn cut_off(&self, member: MemberId, is_cut: bool) {
        for other in self.machines.keys().copied().filter(|other| *other != member) {
            self.cut(member, other, is_cut);
            self.cut(other, member, is_cut);
        }
    }

    /// Cuts, or mends, the calls from one member to another, with their answers.
    pub fn cut(&self, from: MemberId, to: MemberId, is_cut: bool) {
        self.links.link(from, to).is_cut.send_replace(is_cut);
    }

    /// A channel by which `caller` reaches `member`.
    pub fn channel(&self, caller: MemberId, member: MemberId) -> Channel {
        let channels = ThroughLinks { own: caller, links: self.links.clone() };
        self.on(member, async { channels.channel(member, "").unwrap() })
    }

    pub fn refuse_snapshots(&self, member: MemberId, refuses: bool) {
        *self.machines[&member].refuses_snapshots.lock().unwrap() = refuses;
    }

    pub fn refused_snapshots(&self, member: MemberId) -> usize {
        *self.machines[&member].refused_snapshots.lock().unwrap()
    }

    /// The member that leads by its own account, in the latest term of those that run and are not in `except`.
    pub fn leader(&self, except: &[MemberId]) -> MemberId {
        wait_for("somebody leads", || {
            let leaders = self.running().into_iter().filter(|member| !except.contains(member)).filter_map(|member| {
                let leadership = *self.run(member).ordering.leadership().borrow();
                leadership.is_leader().then_some((leadership.term, member))
            });
            leaders.max().map(|(_, member)| member)
        })
    }

    /// Proposes to whoever leads until it is acknowledged. `except` are not asked.
    pub fn propose(&self, proposal: impl ToString, except: &[MemberId]) -> (MemberId, Position) {
        let proposal = bytes(proposal);
        wait_for("a proposal is acknowledged", || {
            let leader = self.leader(except);
            match self.propose_to(leader, proposal.clone()) {
                Ok(position) => Some((leader, position)),
                Err(_) => None,
            }
        })
    }

    pub fn propose_to(&self, member: MemberId, proposal: Bytes) -> Result<Position, ProposeError> {
        let ordering = self.ordering(member);
        self.on(member, async move { ordering.propose(proposal).await })
    }

    /// Everything delivered on `member` in this and earlier lives.
    pub fn delivered(&self, member: MemberId) -> Vec<Delivered> {
        let machine = &self.machines[&member];
        let mut delivered = machine.delivered_before.clone();
        if let Some(running) = &machine.running {
            delivered.extend(running.delivered.lock().unwrap().iter().cloned());
        }
        delivered
    }

    /// The proposals delivered on `member`, each once, in order of the log.
    pub fn proposals(&self, member: MemberId) -> BTreeMap<u64, (Position, Bytes)> {
        let mut proposals = BTreeMap::new();
        for delivered in self.delivered(member) {
            if let Delivered::Proposal(committed) = delivered {
                let found = (committed.position, committed.proposal);
                let before = proposals.insert(committed.position.index, found.clone());
                assert!(before.is_none_or(|before| before == found), "member {member} delivered two at {found:?}");
            }
        }
        proposals
    }

    /// Waits until every running member has delivered up to `last`, and checks that all agree and that everything
    /// `acknowledged` is there.
    pub fn check_agreement(&self, last: Position, acknowledged: &[(Position, Bytes)]) {
        let mut agreed: BTreeMap<u64, (Position, Bytes)> = BTreeMap::new();
        for member in self.running() {
            self.wait_until_delivered(member, last);
        }
        for member in self.machines.keys() {
            for (index, found) in self.proposals(*member) {
                let known = agreed.entry(index).or_insert_with(|| found.clone());
                assert_eq!(*known, found, "member {member} differs at {index}");
            }
        }
        for (position, proposal) in acknowledged {
            assert_eq!(agreed.get(&position.index), Some(&(*position, proposal.clone())), "it was acknowledged");
        }
    }

    pub fn wait_until_delivered(&self, member: MemberId, last: Position) {
        wait_for(&format!("member {member} has delivered {last:?}"), || {
            let reached = self.run(member).ordering.leadership().borrow().committed >= Some(last.index);
            let is_there =
                reached && self.delivered(member).last().is_some_and(|delivered| position(delivered) >= last);
            is_there.then_some(())
        });
    }

    /// Takes a checkpoint of everything that `member` has delivered up to `at`, of `height`.
    pub fn take_checkpoint(&self, member: MemberId, height: u64, at: Position) {
        self.wait_until_delivered(member, at);
        let mut writer = CheckpointWriter::begin(self.store(member), height).unwrap();
        for chunk in 0..3u8 {
            writer.chunk(&vec![chunk; 300_000]).unwrap();
        }
        writer.finish(at, [height as u8; 32], b"signed").unwrap();
        let ordering = self.ordering(member);
        self.on(member, async { ordering.checkpoint_taken(at).await }).unwrap();
        wait_for("the log before it is purged", || (ordering.state().purged >= Some(at.index)).then_some(()));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for machine in self.machines.values_mut() {
            if let Some(running) = machine.running.take() {
                drop(running.ordering);
                running.runtime.shutdown_background();
            }
        }
    }
}

pub fn position(delivered: &Delivered) -> Position {
    match delivered {
        Delivered::Proposal(committed) => committed.position,
        Delivered::Checkpoint(manifest) => manifest.position,
        Delivered::TermBegan { position, .. } => *position,
    }
}

pub fn address(member: MemberId) -> String {
    format!("member-{member}")
}

async fn collect(mut receiver: CommittedReceiver, delivered: Arc<Mutex<Vec<Delivered>>>) -> Result<(), OrderingError> {
    while let Some(next) = receiver.recv_delivered().await? {
        delivered.lock().unwrap().push(next);
    }
    Ok(())
}
