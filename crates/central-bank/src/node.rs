//! The node: starting, serving, stopping.
//!
//! Start, in this order, so that the cheapest mistakes are found first: configuration, keys, port, store, checkpoint,
//! ordering, replay, services. Health reports "serving" only when the whole log was replayed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as MemoryOrdering};

use cbdc_environment::network::Listener;
use cbdc_environment::{thread, timer};
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::member::Role;
use cbdc_ledger::membership_change::MembershipChange;
use cbdc_ledger::{Genesis, Height, Ledger, MemberId, PublicKey, SignedHeader, SigningKey, Timestamp};
use cbdc_node::data_folder::{GenesisFileError, read_genesis};
use cbdc_node::descriptors::{self, TooFew};
use cbdc_node::folder_watch::{self, FolderGone, FolderWatch};
use cbdc_node::recent_blocks::RecentBlocks;
use cbdc_node::recovery::{RecoveryError, newest_checkpoint};
use cbdc_node::server::{Health, ServeError, bind, serve, with_health_and_reflection};
use cbdc_node::telemetry::{TelemetryError, report_signature_backend, serve_metrics};
use cbdc_node::{
    Archive, ArchiveError, Budget, ChainService, Checkpoints, DataFolderError, FilteredBlocks, LedgerHandle,
    Membership, Owner, ProposalSource, RoleKeys,
};
use cbdc_ordering::members::{Members, MembersServer};
use cbdc_ordering::{CommittedReceiver, Leadership, Ordering, OrderingConfig, OrderingError, Position};
use cbdc_proto::internal::sealing_server::SealingServer;
use cbdc_proto::transport::key_file::read_signing_key;
use cbdc_proto::transport::{ClientAuthentication, IdentityError, MESSAGE_BYTES_MAX, NodeIdentity, Pins};
use cbdc_proto::v1;
use cbdc_proto::wall_clock::wall_clock;
use cbdc_storage::{SlowStore, Store, StoreError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::batch::Batch;
use crate::clock::Clock;
use crate::config::{Config, OrderingMember, OrderingSection, is_host_and_port};
use crate::configured;
use crate::intake::Intake;
use crate::issuance_queue::IssuanceQueue;
use crate::leading::{Leading, Standing};
use crate::publication::{Publication, Publisher};
use crate::recovery::Recovery;
use crate::rejections::Rejections;
use crate::replicas::admission::{Admission, AskToJoin, Beginning, TakeVotes};
use crate::replicas::checkpoints::VerifiedCheckpoints;
use crate::replicas::confirmation::Confirmation;
use crate::replicas::connections::FollowMembers;
use crate::replicas::exchange::{Comparison, FollowSeals, OtherHeader, SealingService};
use crate::replicas::founding::{self, HasBlocks};
use crate::replicas::kept_requests::OtherNodes;
use crate::replicas::seals::Seals;
use crate::replicas::succession::Succession;
use crate::replicas::{self, Connections};
use crate::reply_cache::ReplyCache;
use crate::sequencer::Sequencer;
use crate::service::leadership::LeadershipService;
use crate::service::policy::{PolicyService, Surveys};
use crate::service::settlement::SettlementService;
use crate::settlement::{Among, Settlement, SettlementError, signers};
use crate::shares::Source;
use crate::shares::conduct::Conduct;
use crate::shares::work_queue::WorkQueue;
use crate::verification::Verifier;
use crate::verified_queue;
use crate::witnesses::Witnesses;
use crate::{metrics, repetition, verification};

/// The longest time that settlement may take to end once ordering has stopped.
const SETTLING_MAX: std::time::Duration = std::time::Duration::from_secs(10);
/// The name of the service whose health says whether blocks are sealed.
const SETTLEMENT: &str = v1::settlement_server::SERVICE_NAME;
/// The time that the others have for taking the vote of this node once it was dismissed.
const VOTE_TAKEN_MAX: std::time::Duration = std::time::Duration::from_secs(15);
/// The interval at which a node that was dismissed looks whether it still votes.
const VOTE_POLL: std::time::Duration = std::time::Duration::from_millis(50);
/// The blocks that the reply cache loads after a start.
const REPLIES_RELOADED: u64 = 1_024;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Genesis(#[from] GenesisFileError),
    #[error(transparent)]
    Descriptors(#[from] TooFew),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(
        "central-bank {member} is not an active member of the network at height {height}, where this node's log ends"
    )]
    NotAMember { member: MemberId, height: Height },
    #[error(
        "central-bank {member} was dismissed{}, and is no member at height {height}, where this node's log ends; a node \
        comes back under another number, once the committee has admitted that",
        .at.map_or_else(String::new, |at| format!(" at height {at}"))
    )]
    Dismissed { member: MemberId, at: Option<Height>, height: Height },
    #[error(
        "the {what} of central-bank {member} in {} is {found}, but membership at height {height}, where this node's \
        log ends, names {expected}; start the node with that one", path.display()
    )]
    OtherKey {
        what: &'static str,
        path: std::path::PathBuf,
        member: MemberId,
        height: Height,
        expected: String,
        found: String,
    },
    #[error("the section [ordering] of the configuration: expected {expected}, found {found}")]
    OrderingSection { expected: String, found: String },
    #[error("the key {key} in the section [operator] of the configuration: expected {expected}, found {found}")]
    Operator { key: &'static str, expected: String, found: String },
    #[error(
        "--recover-from is for a node that orders alone: this one gets lost blocks from the others (section [ordering])"
    )]
    RecoverAmong,
    #[error(
        "--majority-lost is for one of several nodes that order together, and this one orders alone by its \
        configuration (it has no section [ordering])"
    )]
    GoOnAlone,
    #[error(
        "a header counts once {required} nodes of the central bank have signed it (membership at height {height}), and \
        this node orders alone: list the others in the section [ordering] of the configuration"
    )]
    TooFewToSign { required: u16, height: Height },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    DataFolder(DataFolderError),
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error(transparent)]
    Ordering(#[from] OrderingError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    LostBlocks(#[from] crate::recovery::RecoveryError),
    #[error(
        "central-bank {} at {} has {} blocks, and this node has none: it would begin a second history. If it is new, or \
        has lost its disk, it joins the others: set join = true in the section [ordering] of its configuration. Under \
        the number of a node whose disk was lost it must not come back while the others go on: dismiss that one, and \
        admit this one under another number",
        .0.member, .0.address, .0.height
    )]
    HasBlocks(HasBlocks),
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
    #[error("the node stopped while it was starting: {0}")]
    Stopped(#[from] NodeError),
}

impl From<DataFolderError> for StartError {
    fn from(error: DataFolderError) -> StartError {
        match error {
            DataFolderError::Store(error) => StartError::Store(error),
            error => StartError::DataFolder(error),
        }
    }
}

/// The reason why a node stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Settlement(#[from] SettlementError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    FolderGone(#[from] FolderGone),
    #[error(transparent)]
    OtherHeader(#[from] OtherHeader),
    #[error("settlement ended unexpectedly; see the log")]
    Settled,
    #[error("the server failed: {0}; see the log")]
    Panicked(String),
}

/// A running node.
pub struct Node {
    address: SocketAddr,
    stop: CancellationToken,
    settled: Settled,
    server: JoinHandle<Result<(), ServeError>>,
    folder_gone: FolderWatch,
    ordering: Arc<Ordering>,
    health: Health,
    ledger: LedgerHandle,
    budget: Budget,
    store: Arc<dyn Store>,
    work: Arc<WorkQueue<Batch>>,
    /// The header of the leader that differs from this node's, once there is one.
    differs: watch::Receiver<Option<OtherHeader>>,
    /// `None` for a node that orders alone.
    succession: Option<Arc<Succession>>,
    /// The height at which this node was dismissed; `None` for one that orders alone.
    dismissed: Option<watch::Receiver<Option<Height>>>,
    member: MemberId,
}

/// The store and the clock of a node; tests use a failing disk or a jumping clock.
pub struct Environment {
    pub store: Arc<dyn Store>,
    pub wall_clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// A starting node. Boxed, so that a node's code is compiled once, here, and not again in every program and test that
/// starts one.
pub type Starting = Pin<Box<dyn Future<Output = Result<Node, StartError>> + Send>>;

/// Starts the node on RocksDB in its data folder and on the machine's clock.
#[inline(never)]
pub fn start(config: Config) -> Starting {
    Box::pin(start_on_disk(config))
}

/// Starts the node on a given store and clock.
#[inline(never)]
pub fn start_on(config: Config, environment: Environment) -> Starting {
    Box::pin(async {
        let listener = bind(config.listen).await?;
        let (genesis, identity, key) = read_files(&config)?;
        owner(&config, &genesis).claim(&environment.store, &genesis, &config.data_dir)?;
        start_with(config, genesis, identity, key, listener, environment).await
    })
}

async fn start_on_disk(config: Config) -> Result<Node, StartError> {
    // Keys, genesis and port first: mistakes in them are found before the store is opened.
    let listener = bind(config.listen).await?;
    let (genesis, identity, key) = read_files(&config)?;
    descriptors::raise(&config.limits)?;
    let owner = owner(&config, &genesis);
    let mut store = owner.open(&config.data_dir, &genesis)?;
    if let Some(file) = &config.sync_delay_ms_file {
        tracing::warn!(file = %file.display(), "syncs of the disk wait as long as a file says: for tests only");
        store = Arc::new(SlowStore::new(store, file.clone()));
    }
    let folder_gone = folder_watch::watch(config.data_dir.clone(), owner);
    let environment = Environment { store: store.clone(), wall_clock: Box::new(wall_clock) };
    let started = start_with(config, genesis, identity, key, listener, environment).await;
    if started.is_err() {
        // Threads of a failed start must not keep the store open.
        drop(thread::blocking(move || store.close()).await);
    }
    Ok(Node { folder_gone, ..started? })
}

fn owner(config: &Config, genesis: &Genesis) -> Owner {
    Owner::new(genesis, Role::CentralBank, MemberId(config.member))
}

/// Prepares the data folder for a first start. `admitted`: the committee admitted the member after genesis.
///
/// # Errors
/// The folder holds data already, or is prepared for another node.
pub fn prepare_data_folder(config: &Config, admitted: bool) -> Result<(), StartError> {
    let genesis = read_genesis(&config.genesis)?;
    Ok(owner(config, &genesis).prepare(&genesis, admitted, &config.data_dir)?)
}

/// Adopts a data folder whose file `NODE` is missing or damaged.
///
/// # Errors
/// The data are another node's or another network's, or there are none.
pub fn adopt_data_folder(config: &Config, admitted: bool) -> Result<(), StartError> {
    let genesis = read_genesis(&config.genesis)?;
    Ok(owner(config, &genesis).adopt(&genesis, admitted, &config.data_dir)?)
}

fn read_files(config: &Config) -> Result<(Genesis, NodeIdentity, SigningKey), StartError> {
    let genesis = read_genesis(&config.genesis)?;
    let identity = NodeIdentity::load(&config.certificate, &config.private_key)?;
    configured::operator_key(config)?;
    Ok((genesis, identity, read_signing_key(&config.signing_key)?))
}

async fn start_with(
    config: Config,
    genesis: Genesis,
    identity: NodeIdentity,
    key: SigningKey,
    listener: Listener,
    environment: Environment,
) -> Result<Node, StartError> {
    metrics::describe();
    let Environment { store, wall_clock } = environment;
    let address = listener.local_address().map_err(StartError::Thread)?;
    check_ordering(&config)?;
    let (ledger, manifest) = cbdc_node::recovery::load(&store, genesis, Some(&key.public_key()))?;
    let own_key = key.public_key();
    if let Some(address) = config.metrics_listen {
        serve_metrics(address)?;
    }
    report_signature_backend();

    let resume_after =
        manifest.map(|manifest| Position { term: manifest.position.term, index: manifest.position.index });
    let membership = Membership::of(&ledger);
    let ledger = LedgerHandle::new(ledger);
    let started = start_ordering(&config, &ledger, &identity, &membership, &store, resume_after).await?;
    let StartedOrdering { ordering, committed, replicas, founds } = started;
    let mut parts = Parts::assemble(&config, ledger, key, store.clone(), ordering, membership, wall_clock)?;
    let dismissed = replicas.as_ref().map(|replicas| replicas.dismissed.subscribe());
    let pins: Arc<dyn Pins> = match &replicas {
        Some(replicas) => replicas.connections.clone(),
        None => Arc::new(parts.membership.clone()),
    };
    if let Some(replicas) = &replicas {
        parts.issuance_queue = parts.issuance_queue.with_keepers(replicas.others.clone());
        parts.witnesses.note_members(replicas.connections.keys().clone());
    }
    parts.replicas = replicas;
    parts.applied.send_replace(resume_after);
    parts.reload_reply_cache()?;
    let (settled, pipeline) = parts.start_threads(&config, committed)?;
    let mut settled = parts.replay(settled).await?;
    if let Some(address) = &config.recover_from {
        let (ledger, ordering, applied) = (&parts.ledger, &*parts.ordering, parts.applied.subscribe());
        let recovered = parts.recovered.clone();
        Recovery { address, identity: &identity, ledger, ordering, applied, recovered }.run().await?;
    }
    // Keys, clock and sequencing start from the ledger as it is now, not from the checkpoint or from what was
    // recovered.
    let checked = parts.ledger.read(|ledger| check_keys(ledger, &config, &identity, &own_key));
    checked.map_err(|error| dismissed_at(error, &parts.archive))?;
    parts.ledger.read(|ledger| check_header_signatures(ledger, &config))?;
    parts.ledger.read(|ledger| configured::check_operator(ledger, &config))?;
    if let Some(section) = &config.ordering
        && let Some(found) = configured::other_nodes(parts.member, section, &parts.ordering.members())
    {
        tracing::warn!(
            found,
            "other nodes order than the configuration lists under [ordering]; those that order count"
        );
    }
    parts.ledger.read(|ledger| parts.clock.resume_after((ledger.height(), ledger.tip().time)));
    parts.witnesses.recall()?;
    // The thread of the sequencer's timer starts here: a node that cannot have it does not start.
    timer::until(std::time::Instant::now() + std::time::Duration::from_micros(1)).await;
    tokio::spawn(pipeline.sequencer.run(pipeline.verified));

    let (stop, budget) = (CancellationToken::new(), Budget::new(&config.limits));
    let (routes, succession) = parts.routes(&config, &stop);
    let (routes, health) = with_health_and_reflection(routes).await?;
    tokio::spawn(report_conduct(parts.work.clone(), stop.clone()));
    let clients = ClientAuthentication::Required(pins);
    let founding = (identity.clone(), others_of(&config));
    let server = tokio::spawn({
        let (stop, budget, limits) = (stop.clone(), budget.clone(), config.limits);
        async move { serve(listener, &identity, clients, routes, (&limits, &budget), stop).await }
    });
    if let Ok(result) = settled.try_recv() {
        return Err(result.err().map_or(NodeError::Settled, NodeError::from).into());
    }
    health.set_service(SETTLEMENT, false).await;
    let reported =
        Reported { clock: parts.clock.clone(), witnesses: parts.witnesses.clone(), leading: parts.leading.clone() };
    let network = parts.network;
    let node = Node {
        address,
        stop,
        settled,
        server,
        ordering: parts.ordering,
        health,
        folder_gone: Box::pin(std::future::pending()),
        ledger: parts.ledger,
        budget,
        store,
        work: parts.work,
        differs: parts.differs.subscribe(),
        succession,
        dismissed,
        member: parts.member,
    };
    if founds {
        // The node answers others that start at the same time.
        let (identity, others) = founding;
        if let Some(found) = founding::ask_others(&others, &identity, &node.ledger).await {
            node.shutdown().await;
            return Err(StartError::HasBlocks(found));
        }
        node.ordering.begin_to_vote();
    }
    node.health.set(true).await;
    tokio::spawn(report_health(node.health.clone(), reported, node.stop.clone()));
    tracing::info!(%address, height = %node.height(), %network, "the central bank is serving");
    Ok(node)
}

/// The nodes that order with this one, by its configuration.
fn others_of(config: &Config) -> Vec<OrderingMember> {
    let listed = config.ordering.iter().flat_map(|section| section.members.iter());
    listed.filter(|other| other.member != config.member).cloned().collect()
}

/// Ordering as it was started, alone or with others.
struct StartedOrdering {
    ordering: Arc<Ordering>,
    committed: CommittedReceiver,
    replicas: Option<Replicas>,
    /// Whether this node begins the log with others.
    founds: bool,
}

/// The parts of a node that orders with others.
struct Replicas {
    server: MembersServer,
    connections: Arc<Connections>,
    others: Arc<OtherNodes>,
    beginning: Beginning,
    checkpoints: Arc<VerifiedCheckpoints>,
    seals: Arc<Seals>,
    term_began: watch::Sender<Option<u64>>,
    dismissed: watch::Sender<Option<Height>>,
}

async fn start_ordering(
    config: &Config,
    ledger: &LedgerHandle,
    identity: &NodeIdentity,
    membership: &Membership,
    store: &Arc<dyn Store>,
    resume_after: Option<Position>,
) -> Result<StartedOrdering, StartError> {
    let Some(section) = &config.ordering else {
        let started = Ordering::start(OrderingConfig::default(), store.clone(), resume_after).await?;
        return Ok(StartedOrdering {
            ordering: Arc::new(started.0),
            committed: started.1,
            replicas: None,
            founds: false,
        });
    };
    let (genesis, height) = ledger.read(|ledger| (Arc::new(ledger.genesis().clone()), ledger.height()));
    let founds = !section.join && cbdc_ordering::is_new(store.as_ref())?;
    if founds {
        check_founders(&genesis, section)?;
    }
    if section.join {
        // It may have been started without that before, and was told to join.
        cbdc_ordering::found_nothing(store.as_ref())?;
    }
    let checkpoints = Arc::new(ledger.read(|ledger| VerifiedCheckpoints::new(store.clone(), ledger)));
    // Its own key is no other node's.
    let keys = Arc::new(RoleKeys::new(ledger.clone(), Role::CentralBank, Some(identity.public_key())));
    let connections = Arc::new(Connections::new(identity.clone(), membership.clone(), keys));
    let members = Members {
        flaw: config.flaw,
        ..Members::new(connections.clone(), connections.clone(), config.data_dir.clone())
    };
    let begins = section.join && cbdc_ordering::is_new(store.as_ref())?;
    let beginning = Beginning::open(store.clone(), begins)?;
    if config.go_on_alone {
        beginning.end().await?;
        let own = section.members.iter().find(|member| member.member == config.member);
        let address = own.map(|member| member.address.clone()).unwrap_or_default();
        Ordering::go_on_alone(store.clone(), u64::from(config.member), address).await?;
    }
    // A node that goes on alone has begun by now.
    let ordering_config = replicas::ordering_config(MemberId(config.member), section, (founds, beginning.is_new()));
    let (ordering, committed, server) =
        Ordering::start_among(ordering_config, members, store.clone(), resume_after, checkpoints.clone()).await?;
    let ordering = Arc::new(ordering);
    let others = Arc::new(OtherNodes::new(MemberId(config.member), ordering.clone(), connections.clone()));
    let seals = Arc::new(Seals::new(height));
    let (term_began, dismissed) = (watch::channel(None).0, watch::channel(None).0);
    let replicas = Replicas { server, connections, others, beginning, checkpoints, seals, term_began, dismissed };
    Ok(StartedOrdering { ordering, committed, replicas: Some(replicas), founds })
}

/// Checks the section `[ordering]`.
fn check_ordering(config: &Config) -> Result<(), StartError> {
    let Some(section) = &config.ordering else {
        return if config.go_on_alone { Err(StartError::GoOnAlone) } else { Ok(()) };
    };
    let wrong =
        |expected: &str, found: String| Err(StartError::OrderingSection { expected: expected.to_owned(), found });
    let mut numbers: Vec<u16> = section.members.iter().map(|member| member.member).collect();
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.len() < count {
        return wrong("each node once", "a member number twice".to_owned());
    }
    if !numbers.contains(&config.member) {
        return wrong(&format!("this node, member {}, among them", config.member), format!("{numbers:?}"));
    }
    for OrderingMember { member, address } in &section.members {
        if !is_host_and_port(address) {
            return wrong("an address such as 10.0.0.1:7000", format!("`{address}` for member {member}"));
        }
    }
    if config.recover_from.is_some() {
        return Err(StartError::RecoverAmong);
    }
    Ok(())
}

/// Refuses to begin a network's log with other nodes than genesis names: each would begin a log of its own.
fn check_founders(genesis: &Genesis, section: &OrderingSection) -> Result<(), StartError> {
    let nodes = genesis.members.iter().filter(|member| member.role == Role::CentralBank);
    let founders: BTreeSet<u16> = nodes.map(|member| member.id.0).collect();
    let listed: BTreeSet<u16> = section.members.iter().map(|member| member.member).collect();
    if founders == listed {
        return Ok(());
    }
    let expected = format!(
        "the nodes that genesis names, {founders:?}, at the first start (join = true for one that comes later)"
    );
    Err(StartError::OrderingSection { expected, found: format!("{listed:?}") })
}

/// Refuses to order alone where a header needs several signatures.
fn check_header_signatures(ledger: &Ledger, config: &Config) -> Result<(), StartError> {
    let required = ledger.members().header_signatures();
    match config.ordering {
        None if required > 1 => Err(StartError::TooFewToSign { required, height: ledger.height() }),
        _ => Ok(()),
    }
}

fn check_keys(ledger: &Ledger, config: &Config, identity: &NodeIdentity, key: &PublicKey) -> Result<(), StartError> {
    let (height, member) = (ledger.height(), MemberId(config.member));
    let Some(seat) = ledger.members().active(Role::CentralBank, member) else {
        // A node that joins learns from the others that it was admitted.
        let joins = config.ordering.as_ref().is_some_and(|section| section.join);
        let was_dismissed = ledger.members().seat(Role::CentralBank, member).is_some();
        return match (joins, was_dismissed) {
            (true, _) => Ok(()),
            (false, true) => Err(StartError::Dismissed { member, at: None, height }),
            (false, false) => Err(StartError::NotAMember { member, height }),
        };
    };
    let other = |what, path: &std::path::Path, expected: String, found: String| {
        let error = StartError::OtherKey { what, path: path.to_owned(), member, height, expected, found };
        if config.ordering.is_none() {
            return Err(error);
        }
        // Its log may not reach the block that replaced them. Until it does, the node signs nothing.
        tracing::warn!(%error, "the keys are not those of this node's newest block");
        Ok(())
    };
    if seat.member.signing_key != *key {
        other("signing key", &config.signing_key, seat.member.signing_key.to_string(), key.to_string())?;
    }
    match seat.member.node_key {
        Some(node_key) if node_key == identity.public_key() => Ok(()),
        expected => {
            let expected = expected.map_or("none".to_owned(), |key| key.to_string());
            other("certificate's key", &config.certificate, expected, identity.public_key().to_string())
        }
    }
}

/// Adds the height at which a node was dismissed, if its archive has the proof.
fn dismissed_at(error: StartError, archive: &Archive) -> StartError {
    let StartError::Dismissed { member, height, .. } = error else { return error };
    let changes = archive.membership_changes(Height(0), usize::MAX).unwrap_or_default();
    let is_active = |change: &[u8]| {
        let change = MembershipChange::from_bytes(change).ok()?;
        Some(change.members().active(Role::CentralBank, member).is_some())
    };
    let since = changes.iter().rev().take_while(|(_, change)| is_active(change) == Some(false));
    StartError::Dismissed { member, height, at: since.last().map(|(at, _)| *at) }
}

/// Reports the members' conduct once a second.
async fn report_conduct(work: Arc<WorkQueue<Batch>>, stop: CancellationToken) {
    let mut every = tokio::time::interval(std::time::Duration::from_secs(1));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => work.report(),
            () = stop.cancelled() => return,
        }
    }
}

/// The parts that health is made of.
struct Reported {
    clock: Arc<Clock>,
    witnesses: Arc<Witnesses>,
    leading: Arc<Leading>,
}

/// Reports the node as not serving while it may not seal blocks, and its settlement also while it waits for the banks
/// after its start, or does not lead.
async fn report_health(health: Health, reported: Reported, stop: CancellationToken) {
    let Reported { clock, witnesses, leading } = reported;
    let mut every = tokio::time::interval(std::time::Duration::from_millis(250));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut was_serving, mut was_settling) = (true, false);
    let (mut waited, mut standing) = (witnesses.watch_waited(), leading.watch());
    loop {
        let still_waits = !*waited.borrow_and_update();
        let leads = !matches!(*standing.borrow_and_update(), Standing::Follows(_));
        // A follower seals nothing, whatever its clock says.
        let is_serving = !witnesses.has_lost_blocks() && (!leads || clock.stamp().is_ok());
        let is_settling = is_serving && leads && *waited.borrow();
        if is_serving != was_serving {
            health.set(is_serving).await;
            was_serving = is_serving;
        }
        if is_settling != was_settling {
            health.set_service(SETTLEMENT, is_settling).await;
            was_settling = is_settling;
        }
        tokio::select! {
            _ = every.tick() => {}
            _ = waited.changed(), if still_waits => {}
            _ = standing.changed() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Waits for a header of the leader that differs from this node's; for ever, if nobody compares.
async fn other_header(differs: &mut watch::Receiver<Option<OtherHeader>>) -> OtherHeader {
    loop {
        if let Some(found) = &*differs.borrow_and_update() {
            return found.clone();
        }
        if differs.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Waits until this node was dismissed and the others have taken its vote, or have had the time to; for ever, if it
/// orders alone.
async fn dismissed(
    dismissed: Option<&mut watch::Receiver<Option<Height>>>,
    ordering: &Ordering,
    member: MemberId,
) -> Height {
    let Some(dismissed) = dismissed else { return std::future::pending().await };
    let found = dismissed.wait_for(Option::is_some).await.ok().and_then(|height| *height);
    let Some(height) = found else { return std::future::pending().await };
    let votes = || ordering.members().iter().any(|state| state.votes && state.member == u64::from(member.0));
    let until = tokio::time::Instant::now() + VOTE_TAKEN_MAX;
    while votes() && tokio::time::Instant::now() < until {
        tokio::time::sleep(VOTE_POLL).await;
    }
    height
}

/// Reports when settlement ends, and why.
type Settled = oneshot::Receiver<Result<(), SettlementError>>;

/// The parts that begin to run only when replay has ended.
struct Pipeline {
    sequencer: Sequencer,
    verified: verified_queue::Receiver,
}

/// The parts of a node, connected but not yet running.
struct Parts {
    network: cbdc_ledger::NetworkId,
    member: MemberId,
    key: Option<SigningKey>,
    genesis: Arc<Genesis>,
    ledger: LedgerHandle,
    directory: Arc<KeyDirectory>,
    membership: Membership,
    archive: Arc<Archive>,
    recent: RecentBlocks,
    filtered_blocks: FilteredBlocks,
    reply_cache: ReplyCache,
    ordering: Arc<Ordering>,
    applied: watch::Sender<Option<Position>>,
    clock: Arc<Clock>,
    witnesses: Arc<Witnesses>,
    leading: Arc<Leading>,
    differs: watch::Sender<Option<OtherHeader>>,
    /// `None` for a node that orders alone.
    replicas: Option<Replicas>,
    /// The block that is being recovered.
    recovered: watch::Sender<Option<SignedHeader>>,
    intake: Intake,
    work: Arc<WorkQueue<Batch>>,
    issuance_queue: IssuanceQueue,
}

/// Block proposals from the ordered log.
struct LogProposals(Arc<Ordering>);

impl ProposalSource for LogProposals {
    fn proposal(&self, height: Height, log_index: u64) -> Result<Option<bytes::Bytes>, ArchiveError> {
        let proposal = self.0.read_proposal(log_index);
        proposal.map_err(|error| ArchiveError::Damaged { height, what: error.to_string() })
    }
}

impl Parts {
    fn assemble(
        config: &Config,
        ledger: LedgerHandle,
        key: SigningKey,
        store: Arc<dyn Store>,
        ordering: Arc<Ordering>,
        membership: Membership,
        wall_clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Result<Parts, StartError> {
        let (network, genesis, directory, filtered_blocks, tip) = ledger.read(|ledger| {
            let (genesis, directory) = (Arc::new(ledger.genesis().clone()), Arc::new(KeyDirectory::of(ledger)));
            let tip = (ledger.height(), ledger.tip().time);
            (ledger.network(), genesis, directory, FilteredBlocks::new(ledger.banks()), tip)
        });
        let clock = Arc::new(Clock::with_wall(tip, config.clock_gap_max(), wall_clock));
        let work = WorkQueue::new(config.sequencer.queue_commands_max);
        let rejections = Rejections::default();
        let intake = Intake::new(work.clone(), rejections.clone());
        let reply_cache = ReplyCache::default();
        let operator = configured::operator_key(config)?;
        let (shared_ledger, shared_intake) = (ledger.clone(), intake.clone());
        let replies = reply_cache.clone();
        let issuance_queue =
            IssuanceQueue::open(network, operator, shared_ledger, shared_intake, rejections, replies, store.clone())?;
        let archive = Arc::new(Archive::new(store, Arc::new(LogProposals(ordering.clone()))));
        let leading = Arc::new(Leading::new(config.ordering.is_none()));
        // A node that goes on alone may lack what only the lost ones had.
        let voters = ordering.members().into_iter().filter(|state| state.votes).count();
        let has_replicas = config.ordering.as_ref().is_some_and(|section| section.join || voters > 1);
        let applied = watch::channel(None).0;
        let mut witnesses = Witnesses::new(ledger.clone(), archive.clone(), clock.clone());
        if config.ordering.is_some() {
            let (ordering, leading, applied) = (ordering.clone(), leading.clone(), applied.subscribe());
            witnesses = witnesses.among(Confirmation { ordering, leading, applied }, has_replicas);
        }
        let witnesses = Arc::new(witnesses);
        Ok(Parts {
            network,
            member: MemberId(config.member),
            key: Some(key),
            genesis,
            ledger,
            directory,
            membership,
            archive,
            recent: RecentBlocks::default(),
            filtered_blocks,
            reply_cache,
            ordering,
            applied,
            clock,
            witnesses,
            leading,
            differs: watch::channel(None).0,
            replicas: None,
            recovered: watch::channel(None).0,
            intake,
            work,
            issuance_queue,
        })
    }

    /// Fills the reply cache from the archive, since blocks before the checkpoint do not pass through settlement again.
    fn reload_reply_cache(&self) -> Result<(), ArchiveError> {
        let tip = self.ledger.read(Ledger::height).0;
        for height in tip.saturating_sub(REPLIES_RELOADED) + 1..=tip {
            let Some(parts) = self.archive.block(Height(height))? else { continue };
            let outcomes = cbdc_node::archive::decode_outcomes(&parts.outcomes)
                .map_err(|error| ArchiveError::Damaged { height: Height(height), what: error.to_string() })?;
            self.reply_cache.push(Height(height), parts.proposal, outcomes);
        }
        Ok(())
    }

    /// Starts verification, sequencing and settlement; the receiver reports when settlement ends.
    fn start_threads(
        &mut self,
        config: &Config,
        committed: CommittedReceiver,
    ) -> Result<(Settled, Pipeline), StartError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if config.verification_threads == 0 { cores } else { config.verification_threads };
        let (verified, verified_batches) = verified_queue::verified_queue();
        let verifier = Verifier {
            network: self.network,
            directory: self.directory.clone(),
            ledger: self.ledger.clone(),
            reply_cache: self.reply_cache.clone(),
        };
        verification::start(&verifier, threads, &self.work, &verified).map_err(StartError::Thread)?;

        let (announce, in_flight) = mpsc::unbounded_channel();
        let checkpoint_wanted = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let sequencer = Sequencer {
            config: config.sequencer.clone(),
            clock: self.clock.clone(),
            ordering: self.ordering.clone(),
            ledger: self.ledger.clone(),
            in_flight: announce,
            permits: Arc::new(Semaphore::new(config.sequencer.proposals_in_flight_max.max(1))),
            checkpoint_wanted: checkpoint_wanted.clone(),
            witnesses: self.witnesses.clone(),
            leading: self.leading.clone(),
            wait_for_banks: std::time::Duration::from_millis(config.wait_for_banks_ms),
        };
        let publisher = Publisher {
            network: self.network,
            ledger: self.ledger.clone(),
            archive: self.archive.clone(),
            recent: self.recent.clone(),
            filtered_blocks: self.filtered_blocks.clone(),
            repetitions: repetition::start(self.reply_cache.clone()).map_err(StartError::Thread)?,
        };
        let publication = match &self.replicas {
            None => Publication::alone(publisher),
            Some(replicas) => Publication::among(publisher, replicas.seals.clone()).map_err(StartError::Thread)?,
        };
        let among = self.replicas.as_ref().map(|replicas| Among {
            comparison: self.comparison(replicas),
            checkpoints: replicas.checkpoints.clone(),
            term_began: replicas.term_began.clone(),
            dismissed: replicas.dismissed.clone(),
            verifies: config.ordering.as_ref().is_some_and(|section| section.verify_on_followers),
        });
        let settlement = Settlement {
            network: self.network,
            member: self.member,
            key: Arc::new(self.key.take().expect("threads are started once")),
            ledger: self.ledger.clone(),
            directory: self.directory.clone(),
            membership: self.membership.clone(),
            archive: self.archive.clone(),
            filtered_blocks: self.filtered_blocks.clone(),
            publication,
            reply_cache: self.reply_cache.clone(),
            ordering: self.ordering.clone(),
            checkpoints: Checkpoints::new(
                config.checkpoint_every_blocks.max(1),
                self.ledger.read(Ledger::height).max(newest_checkpoint(self.archive.store())),
                0,
            ),
            applied: self.applied.clone(),
            in_flight,
            runtime: tokio::runtime::Handle::current(),
            checkpoint_wanted,
            replayed_until: self.ordering.last_position().map_or(0, |last| last.index),
            signers: self.ledger.read(signers),
            among,
            recovered: self.recovered.subscribe(),
        };
        let (ended, settled) = oneshot::channel();
        let run = async move || drop(ended.send(settlement.run(committed).await));
        thread::thread("settlement", run).map_err(StartError::Thread)?;
        Ok((settled, Pipeline { sequencer, verified: verified_batches }))
    }

    fn comparison(&self, replicas: &Replicas) -> Comparison {
        let (seals, leading, differs) = (replicas.seals.clone(), self.leading.clone(), self.differs.clone());
        Comparison { seals, leading, differs }
    }

    /// Waits until everything that was in the log at the start is applied.
    async fn replay(&self, mut settled: Settled) -> Result<Settled, StartError> {
        let Some(last) = self.ordering.last_position() else { return Ok(settled) };
        let mut applied = self.applied.subscribe();
        let caught_up = applied.wait_for(|position| position.is_some_and(|position| position.index >= last.index));
        tokio::select! {
            _ = caught_up => Ok(settled),
            ended = &mut settled => {
                let error = ended.ok().and_then(Result::err).map_or(NodeError::Settled, NodeError::from);
                Err(error.into())
            }
        }
    }

    /// The services, and the tasks of a node that orders with others.
    fn routes(&mut self, config: &Config, stop: &CancellationToken) -> (Routes, Option<Arc<Succession>>) {
        let settlement = SettlementService {
            intake: self.intake.clone(),
            membership: self.membership.clone(),
            issuance_queue: self.issuance_queue.clone(),
            ledger: self.ledger.clone(),
            witnesses: self.witnesses.clone(),
            leading: self.leading.clone(),
        };
        let policy = PolicyService {
            intake: self.intake.clone(),
            ledger: self.ledger.clone(),
            membership: self.membership.clone(),
            issuance_queue: self.issuance_queue.clone(),
            clock: self.clock.clone(),
            witnesses: self.witnesses.clone(),
            leading: self.leading.clone(),
            archive: self.archive.clone(),
            surveys: Surveys::default(),
        };
        let chain = ChainService {
            genesis: self.genesis.clone(),
            ledger: self.ledger.clone(),
            archive: self.archive.clone(),
            recent: self.recent.clone(),
            membership: self.membership.clone(),
            filtered_blocks: Some(self.filtered_blocks.clone()),
            witness: Some(self.witnesses.clone()),
        };
        let settlement =
            v1::settlement_server::SettlementServer::new(settlement).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let chain = v1::chain_server::ChainServer::new(chain).max_encoding_message_size(MESSAGE_BYTES_MAX);
        let routes =
            Routes::new(settlement).add_service(v1::policy_server::PolicyServer::new(policy)).add_service(chain);
        let (routes, succession) = match self.replicas.take() {
            None => (routes, None),
            Some(replicas) => {
                let (routes, succession) = self.start_replicas(routes, replicas, config, stop);
                (routes, Some(succession))
            }
        };
        let leadership = LeadershipService {
            member: self.member,
            membership: self.membership.clone(),
            ordering: self.ordering.clone(),
            ledger: self.ledger.clone(),
            leading: self.leading.clone(),
            succession: succession.clone(),
        };
        (routes.add_service(v1::leadership_server::LeadershipServer::new(leadership)), succession)
    }

    /// Starts the tasks of a node that orders with others, and adds the services between the nodes.
    fn start_replicas(
        &self,
        routes: Routes,
        replicas: Replicas,
        config: &Config,
        stop: &CancellationToken,
    ) -> (Routes, Arc<Succession>) {
        let comparison = self.comparison(&replicas);
        let Replicas { server, connections, others, beginning, seals, term_began, dismissed, .. } = replicas;
        let (member, ordering, ledger) = (self.member, self.ordering.clone(), self.ledger.clone());
        let succession = Arc::new(Succession {
            member,
            others: others.clone(),
            issuance_queue: self.issuance_queue.clone(),
            ordering: ordering.clone(),
            leading: self.leading.clone(),
            clock: self.clock.clone(),
            ledger: ledger.clone(),
            work: self.work.clone(),
            witnesses: self.witnesses.clone(),
            term_began: term_began.subscribe(),
            hand_overs: AtomicU64::new(0),
            stop: stop.clone(),
        });
        tokio::spawn(succession.clone().follow());
        let follow_seals = FollowSeals {
            member,
            ordering: ordering.clone(),
            connections: connections.clone(),
            comparison,
            ledger: ledger.clone(),
            stop: stop.clone(),
        };
        tokio::spawn(follow_seals.run());
        let take_votes = TakeVotes {
            member,
            succession: succession.clone(),
            ledger: ledger.clone(),
            dismissed: dismissed.subscribe(),
            stop: stop.clone(),
        };
        tokio::spawn(take_votes.run());
        let listed: Vec<OrderingMember> =
            config.ordering.iter().flat_map(|section| section.members.iter().cloned()).collect();
        let follow_members = FollowMembers {
            member,
            members: listed.clone(),
            ordering: ordering.clone(),
            connections: connections.clone(),
            stop: stop.clone(),
        };
        tokio::spawn(follow_members.run());
        let admission = Admission {
            ordering,
            ledger: ledger.clone(),
            leading: self.leading.clone(),
            others,
            issuance_queue: self.issuance_queue.clone(),
        };
        let ask = AskToJoin {
            member,
            members: listed,
            connections: connections.clone(),
            admission: admission.clone(),
            beginning,
            stop: stop.clone(),
        };
        tokio::spawn(ask.run());
        let (archive, issuance_queue) = (self.archive.clone(), self.issuance_queue.clone());
        let sealing = SealingService { connections, seals, archive, ledger, admission, issuance_queue };
        (routes.add_service(server).add_service(SealingServer::new(sealing)), succession)
    }
}

impl Node {
    /// The node's listening addresses.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The height of the last block settled.
    pub fn height(&self) -> Height {
        self.ledger.read(Ledger::height)
    }

    /// The number of times that this node has handed leadership over, as opposed to losing it.
    pub fn hand_overs(&self) -> u64 {
        self.succession.as_ref().map_or(0, |succession| succession.hand_overs.load(MemoryOrdering::Relaxed))
    }

    /// Who leads, as this node knows it.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.ordering.leadership()
    }

    /// The outcomes of each member's commands since the node started.
    pub fn conduct(&self) -> BTreeMap<Source, Conduct> {
        self.work.conduct()
    }

    /// The memory that its callers use.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Waits until the node stops by itself, because it must not go on.
    pub async fn stopped(&mut self) -> Result<(), NodeError> {
        tokio::select! {
            ended = &mut self.settled => {
                Err(ended.ok().and_then(Result::err).map_or(NodeError::Settled, NodeError::from))
            }
            gone = &mut self.folder_gone => {
                tracing::error!(error = %gone, "the node stops");
                self.health.set(false).await;
                self.stop.cancel();
                Err(gone.into())
            }
            height = dismissed(self.dismissed.as_mut(), &self.ordering, self.member) => {
                self.health.set(false).await;
                self.stop.cancel();
                Err(SettlementError::Dismissed { member: self.member, height }.into())
            }
            found = other_header(&mut self.differs) => {
                self.health.set(false).await;
                self.stop.cancel();
                Err(found.into())
            }
            served = &mut self.server => match served {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.into()),
                Err(panicked) => Err(NodeError::Panicked(panicked.to_string())),
            },
        }
    }

    /// Stops the node in an orderly way: no new requests, open streams end, durable commands are settled and answered,
    /// the store is closed.
    pub async fn shutdown(self) {
        let Node { stop, settled, server, ordering, health, ledger, store, succession, differs, .. } = self;
        // Nobody waits for an election if the leader leaves in order.
        if let Some(succession) = succession.filter(|_| differs.borrow().is_none()) {
            succession.leave().await;
        }
        health.set(false).await;
        ledger.close();
        stop.cancel();
        ordering.end_streams();
        if !server.is_finished() {
            drop(server.await);
        }
        if let Err(error) = ordering.stop().await {
            tracing::warn!(%error, "ordering did not stop cleanly");
        }
        // The channel is closed already if settlement ended by itself.
        if !settled.is_terminated() && tokio::time::timeout(SETTLING_MAX, settled).await.is_err() {
            tracing::warn!("settlement did not end in time; what is durable stays so");
        }
        let closed = thread::blocking(move || {
            let flushed = store.flush();
            store.close();
            flushed
        });
        if let Ok(Err(error)) = closed.await {
            tracing::warn!(%error, "the store could not be flushed");
        }
        tracing::info!("the central bank has stopped");
    }
}
