//! A bank's node: starting it in the right order, and stopping it.
//!
//! # Start
//! 1. Read genesis, certificate and keys; open the store.
//! 2. Load the newest checkpoint, replay the archive above it, and check both: a chain that does not verify is not served.
//! 3. Load deposits and outbox.
//! 4. Bind the port, so that a busy one is found now; start the desk, the replica, the relay and the follower.
//! 5. Serve. The node is healthy from here on: it has caught up with what it had.
//!
//! # Stop
//! On [`Node::shutdown`], or when a part cannot go on: no new requests, open ones get a few seconds, the threads end, the
//! store is flushed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle as Thread;
use std::time::Duration;

use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::genesis::GenesisError;
use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, Genesis, Height, Ledger, MemberId, SigningKey};
use cbdc_node::archive::ProposalsByHeight;
use cbdc_node::chain::RecentBlocks;
use cbdc_node::recovery::{self, RecoveryError};
use cbdc_node::server::{ServeError, bind, serve, with_health_and_reflection};
use cbdc_node::telemetry::{TelemetryError, report_signature_backend, serve_metrics};
use cbdc_node::{Archive, ArchiveError, ChainService, Checkpoints, LedgerHandle, Membership};
use cbdc_proto::transport::key_file::read_signing_key;
use cbdc_proto::transport::{ClientAuthentication, IdentityError, MESSAGE_BYTES_MAX, NodeIdentity, ServerTrust};
use cbdc_proto::v1::bank_server::BankServer;
use cbdc_proto::v1::chain_server::ChainServer;
use cbdc_storage::{RocksStore, Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::config::{Config, Keeps};
use crate::desk::{Desk, DeskError};
use crate::dispatch::Dispatcher;
use crate::edge::EdgeVerifier;
use crate::follower::{Follower, node_keys};
use crate::history::History;
use crate::metrics::Metrics;
use crate::own_part;
use crate::questions::Questions;
use crate::relay::{CentralBank, Relay};
use crate::replica::{BlockError, ReplayError, Replica, replay};
use crate::service::{BankService, Desks};
use crate::signing::BankSigner;

/// Blocks, or groups of extracts, on their way to the replica thread.
const DELIVERIES_MAX: usize = 8;
/// How long threads and tasks may take to end.
const GRACE: Duration = Duration::from_secs(8);
/// How long the store is waited for at the end, so that a start right after finds it unlocked.
const CLOSING: Duration = Duration::from_secs(2);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot read the genesis {path}: {reason}")]
    ReadGenesis { path: PathBuf, reason: String },
    #[error("the genesis {path} is not acceptable: {error}")]
    Genesis { path: PathBuf, error: GenesisError },
    #[error("`{key}` needs the full chain: expected it together with replica = \"full\", found it with \"own\"")]
    NeedsFullReplica { key: &'static str },
    #[error(
        "the data folder {path} was kept with replica = \"{found}\", the configuration says \"{expected}\"; go back to that, or let the bank follow the chain anew in an empty folder (its deposits are in the old one)"
    )]
    OtherReplica { path: PathBuf, expected: &'static str, found: &'static str },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    History(#[from] ArchiveError),
    #[error(transparent)]
    Desk(#[from] DeskError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("starting was broken off: {0}")]
    BrokenOff(#[from] tokio::task::JoinError),
}

/// Why a node had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("the node stopped, because the chain could not be followed: {0}")]
    Block(#[from] BlockError),
    #[error("the node stopped, because its books could not be kept: {0}")]
    Desk(#[from] DeskError),
    #[error("the node stopped, because it could no longer serve: {0}")]
    Serve(#[from] ServeError),
}

/// A running node.
pub struct Node {
    address: SocketAddr,
    ledger: LedgerHandle,
    /// No new requests.
    stop: CancellationToken,
    serving: JoinHandle<()>,
    /// Nothing more is sent or followed.
    halt: CancellationToken,
    failures: mpsc::UnboundedReceiver<NodeError>,
    tasks: Vec<JoinHandle<()>>,
    threads: Vec<Thread<()>>,
    store: Arc<dyn Store>,
}

impl Node {
    /// Where it serves gRPC.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves when the node had to stop by itself, with the reason.
    pub async fn stopped(&mut self) -> Result<(), NodeError> {
        match self.failures.recv().await {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Stops gracefully: open requests are answered first, for a few seconds at most.
    pub async fn shutdown(self) {
        let Node { ledger, stop, serving, halt, tasks, threads, store, .. } = self;
        ledger.close();
        stop.cancel();
        let ended = async {
            // A task that panicked has ended as well.
            let _ = serving.await;
            halt.cancel();
            for task in tasks {
                let _ = task.await;
            }
            let joined =
                tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
            let _ = joined.await;
        };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("not everything ended in time; what is durable stays so");
        }
        // A checkpoint that is being written, and streams that were just cut, let go of the store within moments.
        let mut waited = Duration::ZERO;
        while Arc::strong_count(&store) > 1 && waited < CLOSING {
            tokio::time::sleep(CLOSING / 100).await;
            waited += CLOSING / 100;
        }
        let flushed = tokio::task::spawn_blocking(move || {
            let flushed = store.flush();
            store.close();
            flushed
        })
        .await;
        if let Ok(Err(error)) = flushed {
            tracing::error!(%error, "the store could not be flushed");
        }
    }
}

/// Starts a bank's node on the store in its data folder.
///
/// # Errors
/// Each says what was expected, what was found and what to do.
pub async fn start(config: Config) -> Result<Node, StartError> {
    let folder = config.data_dir.clone();
    let store = tokio::task::spawn_blocking(move || RocksStore::open(folder)).await??;
    start_on(config, Arc::new(store)).await
}

/// Starts a bank's node on a given store.
pub async fn start_on(config: Config, store: Arc<dyn Store>) -> Result<Node, StartError> {
    if let Some(address) = config.metrics_listen {
        serve_metrics(address)?;
    }
    report_signature_backend();
    check_replica(&config)?;
    let genesis = Arc::new(read_genesis(&config)?);
    let identity = NodeIdentity::load(&config.certificate, &config.private_key)?;
    let signing_key = read_signing_key(&config.signing_key)?;
    let bank = BankId(config.bank);
    let archive = Arc::new(Archive::new(store.clone(), Arc::new(ProposalsByHeight(store.clone()))));
    let (ledger, checkpoints) = recover(store.clone(), archive.clone(), genesis.clone(), &config).await?;
    warn_of_other_keys(&ledger, bank, &identity, &signing_key);
    // The port is bound before anything is started, so that a failure leaves nothing running.
    let listener = bind(config.listen).await?;
    let address = listener.local_addr()?;
    let launch = Launch { config, store, genesis, identity, signing_key, bank, archive, checkpoints };
    launch.run(ledger, listener, address).await
}

fn read_genesis(config: &Config) -> Result<Genesis, StartError> {
    let path = config.genesis.clone();
    match std::fs::read(&path) {
        Ok(bytes) => Genesis::from_bytes(&bytes).map_err(|error| StartError::Genesis { path, error }),
        Err(error) => Err(StartError::ReadGenesis { path, reason: error.to_string() }),
    }
}

/// Refuses what only a full replica can do.
fn check_replica(config: &Config) -> Result<(), StartError> {
    match config.replica {
        Keeps::Own if config.verify_blocks => Err(StartError::NeedsFullReplica { key: "verify_blocks" }),
        Keeps::Own if !config.peers.is_empty() => Err(StartError::NeedsFullReplica { key: "peers" }),
        _ => Ok(()),
    }
}

/// The ledger of the newest checkpoint, and above it what the archive holds; and what is known of its checkpoints.
async fn recover(
    store: Arc<dyn Store>,
    archive: Arc<Archive>,
    genesis: Arc<Genesis>,
    config: &Config,
) -> Result<(Ledger, Checkpoints), StartError> {
    let (keeps, bank, path) = (config.replica, BankId(config.bank), config.data_dir.clone());
    let every_blocks = config.checkpoint_every_blocks;
    let recovering = move || {
        let (mut ledger, checkpoint) = recovery::load(&store, Genesis::clone(&genesis))?;
        if checkpoint.is_none() && keeps == Keeps::Own {
            ledger = Ledger::of_bank(Genesis::clone(&genesis), bank).map_err(RecoveryError::from)?;
        }
        let has_blocks = archive.newest()?.is_some();
        let kept = if has_blocks { archive.keeps_extracts()? } else { keeps == Keeps::Own };
        let commands = match (keeps, kept) {
            (Keeps::Own, false) => {
                return Err(StartError::OtherReplica { path, expected: "own", found: "full" });
            }
            (Keeps::Full, true) => {
                return Err(StartError::OtherReplica { path, expected: "full", found: "own" });
            }
            (Keeps::Full, false) => replay(&mut ledger, &archive)?,
            (Keeps::Own, true) => own_part::replay(&mut ledger, &archive)?,
        };
        let last = Height(checkpoint.map_or(0, |manifest| manifest.height));
        Ok((ledger, Checkpoints::new(every_blocks, last, commands)))
    };
    tokio::task::spawn_blocking(recovering).await?
}

/// Keys other than the ledger's do not keep the node from starting: the chain may name them in blocks to come.
fn warn_of_other_keys(ledger: &Ledger, bank: BankId, identity: &NodeIdentity, signing_key: &SigningKey) {
    let height = ledger.height();
    let Some(seat) = ledger.members().active(Role::Bank, MemberId(bank.0)) else {
        tracing::warn!(%bank, %height, "this bank is no active member as far as its replica knows; the central bank will not let it in");
        return;
    };
    let (expected, found) = (seat.member.node_key, identity.public_key());
    if expected != Some(found) {
        let expected = expected.map_or_else(|| "none".to_owned(), |key| key.to_string());
        tracing::warn!(%bank, %height, expected, %found, "the certificate carries another node key than membership names");
    }
    let (expected, found) = (seat.member.signing_key, signing_key.public_key());
    if expected != found {
        tracing::warn!(%bank, %height, %expected, %found, "the signing key is another than membership names; what this bank signs will be refused");
    }
}

/// What a start has at hand.
struct Launch {
    config: Config,
    store: Arc<dyn Store>,
    genesis: Arc<Genesis>,
    identity: NodeIdentity,
    signing_key: SigningKey,
    bank: BankId,
    archive: Arc<Archive>,
    checkpoints: Checkpoints,
}

impl Launch {
    async fn run(
        self,
        ledger: Ledger,
        listener: tokio::net::TcpListener,
        address: SocketAddr,
    ) -> Result<Node, StartError> {
        let Launch { config, store, genesis, identity, signing_key, bank, archive, checkpoints } = self;
        let metrics = Arc::new(Metrics::register(bank));
        let tip = (ledger.height(), ledger.tip().time);
        metrics.height(tip.0);
        let membership = Membership::of(&ledger);
        let verifies = config.verify_at_edge || config.verify_blocks || !config.peers.is_empty();
        let directory = verifies.then(|| Arc::new(KeyDirectory::of(&ledger)));
        let ledger = LedgerHandle::new(ledger);
        let signer = Arc::new(BankSigner::new(bank, signing_key, ledger.clone()));
        let (desk, desk_work) = Desk::load(store.clone(), signer.clone(), tip, metrics.clone())?;

        let central_bank = Arc::new(central_bank(&config, identity.clone(), ledger.clone()));
        let (stop, halt) = (CancellationToken::new(), CancellationToken::new());
        let (fail, failures) = failures(&stop);
        let recent = RecentBlocks::default();
        let history = Arc::new(History::open(store.clone(), archive.clone(), bank)?);
        let replica = Replica {
            bank,
            genesis: genesis.clone(),
            ledger: ledger.clone(),
            store: store.clone(),
            recent: recent.clone(),
            membership: membership.clone(),
            directory: directory.clone(),
            desk: desk.clone(),
            history: history.clone(),
            metrics: metrics.clone(),
            verify_blocks: config.verify_blocks,
            checkpoints,
        };
        let (deliver, deliveries) = mpsc::channel(DELIVERIES_MAX);
        let threads = vec![
            thread("desk", fail.clone(), move || Ok(desk_work.run()?))?,
            thread("replica", fail.clone(), move || Ok(replica.run(deliveries)?))?,
        ];
        let (relay, relaying) = Relay::start(central_bank.clone(), metrics.clone(), halt.clone());
        let follower = Follower::new(central_bank.clone(), &config.peers, ledger.clone(), deliver, metrics.clone());
        let questions = Questions::new(central_bank.clone());
        let dispatcher = Dispatcher { bank, desk: desk.clone(), relay: relay.clone(), ledger: ledger.clone() };

        let desks = Desks {
            bank,
            genesis: genesis.clone(),
            ledger: ledger.clone(),
            membership: membership.clone(),
            archive: archive.clone(),
            history,
            desk,
            relay,
            signer,
            edge: directory
                .filter(|_| config.verify_at_edge)
                .map(|directory| EdgeVerifier { network: genesis.network(), directory }),
            central_bank,
            questions,
            accept_when_unreachable: config.accept_when_unreachable,
            metrics,
            stop: stop.clone(),
        };
        let node_ledger = ledger.clone();
        let chain = ChainService { genesis, ledger, archive, recent, membership: membership.clone(), extracts: None };
        let routes = Routes::new(bounded(BankServer::new(BankService(Arc::new(desks)))))
            .add_service(ChainServer::new(chain).max_encoding_message_size(MESSAGE_BYTES_MAX));
        let (routes, health) = with_health_and_reflection(routes).await?;
        let clients = ClientAuthentication::Optional(Arc::new(membership));
        let serving = {
            let (identity, stop) = (identity, stop.clone());
            async move {
                health.set(true).await;
                if let Err(error) = serve(listener, &identity, clients, routes, stop).await {
                    fail(NodeError::Serve(error));
                }
            }
        };
        let tasks =
            vec![relaying, tokio::spawn(follower.run(halt.clone())), tokio::spawn(dispatcher.run(halt.clone()))];
        let serving = tokio::spawn(serving);
        tracing::info!(%bank, %address, height = %tip.0, "the bank's node is ready");
        Ok(Node { address, ledger: node_ledger, stop, serving, halt, failures, tasks, threads, store })
    }
}

/// Messages of customers are bounded more tightly than those of members.
fn bounded(server: BankServer<BankService>) -> BankServer<BankService> {
    const CUSTOMER_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
    server.max_decoding_message_size(CUSTOMER_MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}

fn central_bank(config: &Config, identity: NodeIdentity, ledger: LedgerHandle) -> CentralBank {
    let trust = move || ServerTrust::AnyOf(ledger.read(|ledger| node_keys(ledger, Role::CentralBank)));
    CentralBank { address: config.central_bank.clone(), identity, trust: Box::new(trust) }
}

/// How a part of the node says that it cannot go on: the node stops.
type Fail = Arc<dyn Fn(NodeError) + Send + Sync>;

fn failures(stop: &CancellationToken) -> (Fail, mpsc::UnboundedReceiver<NodeError>) {
    let (tell, failures) = mpsc::unbounded_channel();
    let stop = stop.clone();
    let fail = move |error: NodeError| {
        tracing::error!(%error, "the node stops");
        // Whoever holds the node hears the first failure; later ones only repeat it.
        let _ = tell.send(error);
        stop.cancel();
    };
    (Arc::new(fail), failures)
}

fn thread(
    name: &str,
    fail: Fail,
    work: impl FnOnce() -> Result<(), NodeError> + Send + 'static,
) -> std::io::Result<Thread<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(error) = work() {
            fail(error);
        }
    })
}
