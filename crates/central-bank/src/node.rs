//! The node: starting, serving, stopping.
//!
//! Start, in this order, so that the cheapest mistakes are found first: configuration, keys, port, store, checkpoint,
//! ordering, replay, services. Health reports "serving" only when the whole log was replayed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::member::Role;
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
    Membership, Owner, ProposalSource,
};
use cbdc_ordering::{CommittedReceiver, Ordering, OrderingConfig, OrderingError, Position};
use cbdc_proto::transport::key_file::read_signing_key;
use cbdc_proto::transport::{ClientAuthentication, IdentityError, MESSAGE_BYTES_MAX, NodeIdentity};
use cbdc_proto::v1;
use cbdc_proto::wall_clock::wall_clock;
use cbdc_storage::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::batch::Batch;
use crate::clock::Clock;
use crate::config::Config;
use crate::intake::Intake;
use crate::issuance_queue::{IssuanceQueue, OperatorKey};
use crate::recovery::Recovery;
use crate::rejections::Rejections;
use crate::reply_cache::ReplyCache;
use crate::sequencer::Sequencer;
use crate::service::policy::{PolicyService, Surveys};
use crate::service::settlement::SettlementService;
use crate::settlement::{Settlement, SettlementError, key_in_force};
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
    let store = owner.open(&config.data_dir, &genesis)?;
    let folder_gone = folder_watch::watch(config.data_dir.clone(), owner);
    let environment = Environment { store: store.clone(), wall_clock: Box::new(wall_clock) };
    let started = start_with(config, genesis, identity, key, listener, environment).await;
    if started.is_err() {
        // Threads of a failed start must not keep the store open.
        drop(tokio::task::spawn_blocking(move || store.close()).await);
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
    Ok((genesis, identity, read_signing_key(&config.signing_key)?))
}

async fn start_with(
    config: Config,
    genesis: Genesis,
    identity: NodeIdentity,
    key: SigningKey,
    listener: TcpListener,
    environment: Environment,
) -> Result<Node, StartError> {
    metrics::describe();
    let Environment { store, wall_clock } = environment;
    let address = listener.local_addr().map_err(StartError::Thread)?;
    let (ledger, manifest) = cbdc_node::recovery::load(&store, genesis, Some(&key.public_key()))?;
    let own_key = key.public_key();
    if let Some(address) = config.metrics_listen {
        serve_metrics(address)?;
    }
    report_signature_backend();

    let resume_after =
        manifest.map(|manifest| Position { term: manifest.position.term, index: manifest.position.index });
    let (ordering, committed) = Ordering::start(OrderingConfig::default(), store.clone(), resume_after).await?;
    let mut parts = Parts::assemble(&config, ledger, key, store.clone(), Arc::new(ordering), wall_clock)?;
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
    parts.ledger.read(|ledger| check_keys(ledger, &config, &identity, &own_key))?;
    parts.ledger.read(|ledger| parts.clock.resume_after((ledger.height(), ledger.tip().time)));
    parts.witnesses.recall()?;
    // The thread of the sequencer's timer starts here: a node that cannot have it does not start.
    async_io::Timer::after(std::time::Duration::from_micros(1)).await;
    tokio::spawn(pipeline.sequencer.run(pipeline.verified));

    let (routes, health) = with_health_and_reflection(parts.routes()).await?;
    let (stop, budget) = (CancellationToken::new(), Budget::new(&config.limits));
    tokio::spawn(report_conduct(parts.work.clone(), stop.clone()));
    let clients = ClientAuthentication::Required(Arc::new(parts.membership.clone()));
    let server = tokio::spawn({
        let (stop, budget, limits) = (stop.clone(), budget.clone(), config.limits);
        async move { serve(listener, &identity, clients, routes, (&limits, &budget), stop).await }
    });
    if let Ok(result) = settled.try_recv() {
        return Err(result.err().map_or(NodeError::Settled, NodeError::from).into());
    }
    health.set_service(SETTLEMENT, false).await;
    health.set(true).await;
    tokio::spawn(report_health(health.clone(), parts.clock.clone(), parts.witnesses.clone(), stop.clone()));
    let height = parts.ledger.read(Ledger::height);
    tracing::info!(%address, %height, network = %parts.network, "the central bank is serving");
    Ok(Node {
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
    })
}

fn check_keys(ledger: &Ledger, config: &Config, identity: &NodeIdentity, key: &PublicKey) -> Result<(), StartError> {
    let (height, member) = (ledger.height(), MemberId(config.member));
    let seat = ledger.members().active(Role::CentralBank, member).ok_or(StartError::NotAMember { member, height })?;
    let other = |what, path: &std::path::Path, expected: String, found: String| {
        Err(StartError::OtherKey { what, path: path.to_owned(), member, height, expected, found })
    };
    if seat.member.signing_key != *key {
        return other("signing key", &config.signing_key, seat.member.signing_key.to_string(), key.to_string());
    }
    match seat.member.node_key {
        Some(node_key) if node_key == identity.public_key() => Ok(()),
        expected => {
            let expected = expected.map_or("none".to_owned(), |key| key.to_string());
            other("certificate's key", &config.certificate, expected, identity.public_key().to_string())
        }
    }
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

/// Reports the node as not serving while it may not seal blocks, and its settlement also while it waits for the banks
/// after its start.
async fn report_health(health: Health, clock: Arc<Clock>, witnesses: Arc<Witnesses>, stop: CancellationToken) {
    let mut every = tokio::time::interval(std::time::Duration::from_millis(250));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut was_serving, mut was_settling) = (true, false);
    let mut waited = witnesses.watch_waited();
    loop {
        let still_waits = !*waited.borrow_and_update();
        tokio::select! {
            _ = every.tick() => {}
            _ = waited.changed(), if still_waits => {}
            () = stop.cancelled() => return,
        }
        let is_serving = !witnesses.has_lost_blocks() && clock.stamp().is_ok();
        let is_settling = is_serving && *waited.borrow();
        if is_serving != was_serving {
            health.set(is_serving).await;
            was_serving = is_serving;
        }
        if is_settling != was_settling {
            health.set_service(SETTLEMENT, is_settling).await;
            was_settling = is_settling;
        }
    }
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
        ledger: Ledger,
        key: SigningKey,
        store: Arc<dyn Store>,
        ordering: Arc<Ordering>,
        wall_clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Result<Parts, StartError> {
        let (network, genesis) = (ledger.network(), Arc::new(ledger.genesis().clone()));
        let directory = Arc::new(KeyDirectory::of(&ledger));
        let membership = Membership::of(&ledger);
        let clock =
            Arc::new(Clock::with_wall((ledger.height(), ledger.tip().time), config.clock_gap_max(), wall_clock));
        let filtered_blocks = FilteredBlocks::new(ledger.banks());
        let ledger = LedgerHandle::new(ledger);
        let work = WorkQueue::new(config.sequencer.queue_commands_max);
        let rejections = Rejections::default();
        let intake = Intake::new(work.clone(), rejections.clone());
        let reply_cache = ReplyCache::default();
        let operator = match &config.operator {
            Some(operator) => {
                let key = read_signing_key(&operator.signing_key)?;
                Some(OperatorKey { member: MemberId(operator.member), key })
            }
            None => None,
        };
        let (shared_ledger, shared_intake) = (ledger.clone(), intake.clone());
        let replies = reply_cache.clone();
        let issuance_queue =
            IssuanceQueue::open(network, operator, shared_ledger, shared_intake, rejections, replies, store.clone())?;
        let archive = Arc::new(Archive::new(store, Arc::new(LogProposals(ordering.clone()))));
        let witnesses = Arc::new(Witnesses::new(ledger.clone(), archive.clone(), clock.clone()));
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
            applied: watch::channel(None).0,
            clock,
            witnesses,
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
            wait_for_banks: std::time::Duration::from_millis(config.wait_for_banks_ms),
        };
        let settlement = Settlement {
            network: self.network,
            member: self.member,
            key: Arc::new(self.key.take().expect("threads are started once")),
            ledger: self.ledger.clone(),
            directory: self.directory.clone(),
            membership: self.membership.clone(),
            archive: self.archive.clone(),
            recent: self.recent.clone(),
            filtered_blocks: self.filtered_blocks.clone(),
            reply_cache: self.reply_cache.clone(),
            ordering: self.ordering.clone(),
            checkpoints: Checkpoints::new(
                config.checkpoint_every_blocks.max(1),
                self.ledger.read(Ledger::height).max(newest_checkpoint(self.archive.store())),
                0,
            ),
            applied: self.applied.clone(),
            in_flight,
            repetitions: repetition::start(self.reply_cache.clone()).map_err(StartError::Thread)?,
            runtime: tokio::runtime::Handle::current(),
            checkpoint_wanted,
            replayed_until: self.ordering.last_position().map_or(0, |last| last.index),
            key_in_force: self.ledger.read(|ledger| key_in_force(ledger, self.member)),
            recovered: self.recovered.subscribe(),
        };
        let (ended, settled) = oneshot::channel();
        let run = move || drop(ended.send(settlement.run(committed)));
        std::thread::Builder::new().name("settlement".to_owned()).spawn(run).map_err(StartError::Thread)?;
        Ok((settled, Pipeline { sequencer, verified: verified_batches }))
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

    fn routes(&self) -> Routes {
        let settlement = SettlementService {
            intake: self.intake.clone(),
            membership: self.membership.clone(),
            issuance_queue: self.issuance_queue.clone(),
            ledger: self.ledger.clone(),
            witnesses: self.witnesses.clone(),
        };
        let policy = PolicyService {
            intake: self.intake.clone(),
            ledger: self.ledger.clone(),
            membership: self.membership.clone(),
            issuance_queue: self.issuance_queue.clone(),
            clock: self.clock.clone(),
            witnesses: self.witnesses.clone(),
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
        Routes::new(settlement).add_service(v1::policy_server::PolicyServer::new(policy)).add_service(chain)
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
        let Node { stop, settled, server, ordering, health, ledger, store, .. } = self;
        health.set(false).await;
        ledger.close();
        stop.cancel();
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
        let closed = tokio::task::spawn_blocking(move || {
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
