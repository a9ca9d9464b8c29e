//! A bank's node: starting it in the right order, and stopping it.
//!
//! # Start
//! 1. Read genesis, certificate and keys; open the store.
//! 2. Load the newest checkpoint, replay the archive above it, and check both: a chain that does not verify is not
//!    served.
//! 3. Bind the port, so that a busy one is noticed now.
//! 4. Take the marks of the last stop, load deposits and outbox; start the deposit service, the replica, the relay and
//!    the follower.
//! 5. Serve. The node is healthy from here on: it has replayed everything that it had stored.
//!
//! # Stop
//! On [`Node::shutdown`], or when a part fails: no new requests, open ones get a few seconds, the threads end, the
//! store is flushed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cbdc_environment::network::Listener;
use cbdc_environment::thread::{self, Thread};
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::genesis::NetworkId;
use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, Genesis, Height, Ledger, MemberId, PublicKey, SigningKey, Timestamp};
use cbdc_node::archive::ProposalsByHeight;
use cbdc_node::data_folder::{GenesisFileError, read_genesis};
use cbdc_node::descriptors::{self, TooFew};
use cbdc_node::folder_watch::{self, FolderGone, FolderWatch};
use cbdc_node::recent_blocks::RecentBlocks;
use cbdc_node::recovery::{self, RecoveryError};
use cbdc_node::server::{ServeError, bind, serve, with_health_and_reflection};
use cbdc_node::telemetry::{TelemetryError, report_signature_backend, serve_metrics};
use cbdc_node::views::probable_time;
use cbdc_node::{
    Archive, ArchiveError, Budget, ChainService, Checkpoints, DataFolderError, LedgerHandle, Membership, Owner,
    RoleKeys,
};
use cbdc_proto::transport::key_file::read_signing_key;
use cbdc_proto::transport::{ClientAuthentication, IdentityError, MESSAGE_BYTES_MAX, NodeIdentity, ServerTrust};
use cbdc_proto::v1::bank_server::BankServer;
use cbdc_proto::v1::chain_server::ChainServer;
use cbdc_proto::wall_clock::wall_clock;
use cbdc_storage::{Store, StoreError};
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::catching_up::FolderAtStart;
use crate::central_bank_client::CentralBankClient;
use crate::central_bank_nodes::CentralBankNodes;
use crate::config::{Config, ReplicaKind};
use crate::deposit_service::{DepositService, DepositServiceError, DepositWriter};
use crate::dispatch::Dispatcher;
use crate::follower::Follower;
use crate::history::History;
use crate::metrics::Metrics;
use crate::orderly_stop;
use crate::partial_replica;
use crate::precheck::SignaturePrecheck;
use crate::relay::Relay;
use crate::replica::{BlockError, ReplayError, Replica, replay};
use crate::service::{
    Admission, BackOfficeService, BankContext, BankService, ConsentService, FundingService, HistoryService,
    HoldService, HolderCommandService, OwnCommands, OwnRequestSender, PaymentRelay, PaymentService, Records,
    SessionService, StagedBalances, TopUpService, Unanswered, WalletService, latest_valid_until,
};
use crate::sessions::Sessions;
use crate::signing::BankSigner;
use crate::testimony::ChainHead;

/// Blocks, or groups of filtered blocks, on their way to the replica thread.
const DELIVERIES_MAX: usize = 8;
/// The longest time that threads and tasks may take to end.
const GRACE: Duration = Duration::from_secs(8);
/// The longest wait for the store at the end, so that an immediate restart finds it unlocked.
const CLOSING: Duration = Duration::from_secs(2);

/// The reason why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Genesis(#[from] GenesisFileError),
    #[error("`{key}` needs the full chain: expected it together with replica = \"full\", found it with \"partial\"")]
    NeedsFullReplica { key: &'static str },
    #[error(
        "the data folder {path} was kept with replica = \"{found}\", the configuration says \"{expected}\"; go back to \
        that, or let the bank follow the chain anew in an empty folder (its deposits are in the old one)"
    )]
    OtherReplica { path: PathBuf, expected: &'static str, found: &'static str },
    #[error(transparent)]
    Descriptors(#[from] TooFew),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(
        "the {what} in {} is that of {owner} at height {height}, and not of bank {bank}: name that bank's own file in \
        the configuration", path.display()
    )]
    OtherMembersKey { what: &'static str, path: PathBuf, bank: MemberId, owner: String, height: Height },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    DataFolder(DataFolderError),
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    History(#[from] ArchiveError),
    #[error(transparent)]
    DepositService(#[from] DepositServiceError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("the start was interrupted: {0}")]
    BrokenOff(#[from] tokio::task::JoinError),
}

impl From<DataFolderError> for StartError {
    fn from(error: DataFolderError) -> StartError {
        match error {
            DataFolderError::Store(error) => StartError::Store(error),
            error => StartError::DataFolder(error),
        }
    }
}

/// The reason why a node had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("the node stopped, because the chain could not be followed: {0}")]
    Block(#[from] BlockError),
    #[error("the node stopped, because its books could not be kept: {0}")]
    DepositService(#[from] DepositServiceError),
    #[error("the node stopped, because it could no longer serve: {0}")]
    Serve(#[from] ServeError),
    #[error(transparent)]
    FolderGone(#[from] FolderGone),
}

/// A running node.
pub struct Node {
    address: SocketAddr,
    ledger: LedgerHandle,
    /// Cancelled to refuse new requests.
    stop: CancellationToken,
    serving: JoinHandle<()>,
    /// Cancelled to stop sending and following.
    halt: CancellationToken,
    failures: mpsc::UnboundedReceiver<NodeError>,
    folder_gone: FolderWatch,
    folder: PathBuf,
    tasks: Vec<JoinHandle<()>>,
    threads: Vec<Thread>,
    budget: Budget,
    unanswered: Arc<Unanswered>,
    relay: Relay,
    store: Arc<dyn Store>,
}

impl Node {
    /// The address on which it serves gRPC.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The height of the last block applied.
    pub fn height(&self) -> Height {
        self.ledger.read(Ledger::height)
    }

    /// The memory that its callers use.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Resolves when the node had to stop by itself, with the reason.
    pub async fn stopped(&mut self) -> Result<(), NodeError> {
        tokio::select! {
            failure = self.failures.recv() => failure.map_or(Ok(()), Err),
            gone = &mut self.folder_gone => {
                tracing::error!(error = %gone, "the node stops");
                self.stop.cancel();
                Err(gone.into())
            }
        }
    }

    /// Stops gracefully: open requests are answered first, for a few seconds at most.
    pub async fn shutdown(self) {
        let Node { ledger, stop, serving, halt, tasks, threads, unanswered, relay, folder, store, .. } = self;
        ledger.close();
        stop.cancel();
        let ended = async {
            // A task that panicked has ended as well.
            let _ = serving.await;
            halt.cancel();
            for task in tasks {
                let _ = task.await;
            }
            for thread in threads {
                thread.ended().await;
            }
        };
        let has_ended = tokio::time::timeout(GRACE, ended).await.is_ok();
        if !has_ended {
            tracing::warn!("not everything ended in time; what is durable stays so");
        }
        // A checkpoint in progress, and streams just cut, release the store within moments.
        let mut waited = Duration::ZERO;
        while Arc::strong_count(&store) > 1 && waited < CLOSING {
            tokio::time::sleep(CLOSING / 100).await;
            waited += CLOSING / 100;
        }
        let times = ledger.read(|ledger| (ledger.tip().time, latest_valid_until(ledger)));
        // What was answered at a height that the replica has not reached would look as if it were never ordered.
        let has_seen_answers = ledger.read(Ledger::height) >= relay.answered_up_to();
        let flushed = thread::blocking(move || {
            // Nothing is sent any more, and all that was is answered, and seen to be, or noted.
            if has_ended
                && has_seen_answers
                && unanswered.is_complete()
                && let Err(error) = unanswered.mark(&*store, times)
            {
                tracing::warn!(
                    %error,
                    "what was not answered could not be noted: every record counts as in doubt after the next start"
                );
            }
            if has_ended && let Err(error) = orderly_stop::leave(&folder, &*store) {
                tracing::debug!(%error, "the mark of an orderly stop could not be left");
            }
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

/// A starting node. Boxed, so that a node's code is compiled once, here, and not again in every program and test that
/// starts one.
pub type Starting = Pin<Box<dyn Future<Output = Result<Node, StartError>> + Send>>;

/// Starts a bank's node on the store in its data folder.
///
/// # Errors
/// Each error says what was expected, what was found and what to do.
#[inline(never)]
pub fn start(config: Config) -> Starting {
    Box::pin(async {
        let genesis = Arc::new(read_genesis(&config.genesis)?);
        descriptors::raise(&config.limits)?;
        let (owner, folder, of) = (owner(&config, &genesis), config.data_dir.clone(), genesis.clone());
        let folder_gone = folder_watch::watch(folder.clone(), owner.clone());
        let store = thread::blocking(move || owner.open(&folder, &of)).await??;
        Ok(Node { folder_gone, ..start_with(config, genesis, store).await? })
    })
}

/// Starts a bank's node on a given store.
#[inline(never)]
pub fn start_on(config: Config, store: Arc<dyn Store>) -> Starting {
    Box::pin(async {
        let genesis = Arc::new(read_genesis(&config.genesis)?);
        owner(&config, &genesis).claim(&store, &genesis, &config.data_dir)?;
        start_with(config, genesis, store).await
    })
}

fn owner(config: &Config, genesis: &Genesis) -> Owner {
    Owner::new(genesis, Role::Bank, MemberId(config.bank))
}

/// Prepares the data folder for a first start. `admitted`: the committee admitted the bank after genesis.
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

async fn start_with(config: Config, genesis: Arc<Genesis>, store: Arc<dyn Store>) -> Result<Node, StartError> {
    if let Some(address) = config.metrics_listen {
        serve_metrics(address)?;
    }
    report_signature_backend();
    check_replica(&config)?;
    let identity = NodeIdentity::load(&config.certificate, &config.private_key)?;
    let signing_key = Arc::new(read_signing_key(&config.signing_key)?);
    let bank = BankId(config.bank);
    let archive = Arc::new(Archive::new(store.clone(), Arc::new(ProposalsByHeight(store.clone()))));
    let (ledger, checkpoints) =
        recover(store.clone(), archive.clone(), genesis.clone(), &config, signing_key.public_key()).await?;
    check_keys(&ledger, &config, &identity, &signing_key)?;
    // The port is bound before anything is started, so that a failure leaves nothing running.
    let listener = bind(config.listen).await?;
    let address = listener.local_address()?;
    let launch = Launch { config, store, genesis, identity, signing_key, bank, archive, checkpoints };
    launch.run(ledger, listener, address).await
}

/// Refuses settings that need a full replica.
fn check_replica(config: &Config) -> Result<(), StartError> {
    match config.replica {
        ReplicaKind::Partial if config.verify_blocks => Err(StartError::NeedsFullReplica { key: "verify_blocks" }),
        ReplicaKind::Partial if !config.peers.is_empty() => Err(StartError::NeedsFullReplica { key: "peers" }),
        _ => Ok(()),
    }
}

/// The ledger from the newest checkpoint and the archive above it, and the record of its checkpoints.
async fn recover(
    store: Arc<dyn Store>,
    archive: Arc<Archive>,
    genesis: Arc<Genesis>,
    config: &Config,
    own_key: PublicKey,
) -> Result<(Ledger, Checkpoints), StartError> {
    let (kind, bank, path) = (config.replica, BankId(config.bank), config.data_dir.clone());
    let every_blocks = config.checkpoint_every_blocks;
    let recovering = move || {
        let newest_checkpoint = recovery::newest_checkpoint(&store);
        let (mut ledger, checkpoint) = recovery::load(&store, Genesis::clone(&genesis), Some(&own_key))?;
        if checkpoint.is_none() && kind == ReplicaKind::Partial {
            ledger = Ledger::of_bank(Genesis::clone(&genesis), bank).map_err(RecoveryError::from)?;
        }
        let has_blocks = archive.newest()?.is_some();
        let kept = if has_blocks { archive.keeps_filtered_blocks()? } else { kind == ReplicaKind::Partial };
        let commands = match (kind, kept) {
            (ReplicaKind::Partial, false) => {
                return Err(StartError::OtherReplica { path, expected: "partial", found: "full" });
            }
            (ReplicaKind::Full, true) => {
                return Err(StartError::OtherReplica { path, expected: "full", found: "partial" });
            }
            (ReplicaKind::Full, false) => replay(&mut ledger, &archive)?,
            (ReplicaKind::Partial, true) => partial_replica::replay(&mut ledger, &archive)?,
        };
        let last = Height(checkpoint.map_or(0, |manifest| manifest.height)).max(newest_checkpoint);
        Ok((ledger, Checkpoints::new(every_blocks, last, commands)))
    };
    thread::blocking(recovering).await?
}

/// Refuses another member's keys. Others that the ledger does not name as this bank's do not prevent a start: the chain
/// may name them in later blocks.
fn check_keys(
    ledger: &Ledger,
    config: &Config,
    identity: &NodeIdentity,
    signing_key: &SigningKey,
) -> Result<(), StartError> {
    let (height, bank) = (ledger.height(), MemberId(config.bank));
    let (node_key, signing_key) = (identity.public_key(), signing_key.public_key());
    let own = ledger.members().active(Role::Bank, bank).map(|seat| &seat.member);
    for member in ledger.members().seats().filter(|seat| seat.active).map(|seat| &seat.member) {
        let other = |what, path: &PathBuf| {
            let owner = format!("{}-{}", member.role, member.id);
            Err(StartError::OtherMembersKey { what, path: path.clone(), bank, owner, height })
        };
        if member.node_key == Some(node_key) && own.is_none_or(|own| own.node_key != Some(node_key)) {
            return other("certificate", &config.certificate);
        }
        if member.signing_key == signing_key && own.is_none_or(|own| own.signing_key != signing_key) {
            return other("signing key", &config.signing_key);
        }
    }
    let Some(own) = own else {
        tracing::warn!(
            %bank, %height,
            "this bank is not an active member according to its replica; the central bank will refuse it"
        );
        return Ok(());
    };
    let (expected, found) = (own.node_key, node_key);
    if expected != Some(found) {
        let (expected, file) =
            (expected.map_or("none".to_owned(), |key| key.to_string()), config.certificate.display());
        tracing::warn!(
            %bank, %height, %file, expected, %found,
            "the certificate carries another node key than membership names"
        );
    }
    let (expected, found) = (own.signing_key, signing_key);
    if expected != found {
        let file = config.signing_key.display();
        tracing::warn!(
            %bank, %height, %file, %expected, %found,
            "the signing key is another than membership names; what this bank signs will be refused"
        );
    }
    Ok(())
}

/// The parts of a starting node.
struct Launch {
    config: Config,
    store: Arc<dyn Store>,
    genesis: Arc<Genesis>,
    identity: NodeIdentity,
    signing_key: Arc<SigningKey>,
    bank: BankId,
    archive: Arc<Archive>,
    checkpoints: Checkpoints,
}

impl Launch {
    async fn run(self, ledger: Ledger, listener: Listener, address: SocketAddr) -> Result<Node, StartError> {
        let (bank, height) = (self.bank, ledger.height());
        let (books, deposit_writer) = self.load_books(ledger)?;
        let (stop, halt) = (CancellationToken::new(), CancellationToken::new());
        let (fail, failures) = failures(&stop);
        let (deliver, deliveries) = mpsc::channel(DELIVERIES_MAX);
        let Launch { config, store, genesis, identity, archive, checkpoints, .. } = self;
        let replica = books.replica(&config, (store.clone(), genesis.clone()), checkpoints);
        let recent = replica.recent.clone();
        let threads = vec![
            thread("deposits", fail.clone(), async move || Ok(deposit_writer.run().await?))?,
            thread("replica", fail.clone(), async move || Ok(replica.run(deliveries).await?))?,
        ];
        let nodes = Arc::new(central_bank_nodes(&config, identity.clone(), books.ledger.clone()));
        let (relay, relaying) = Relay::start(nodes.clone(), books.metrics.clone(), halt.clone());
        let follower = {
            let chain_head = ChainHead { ledger: books.ledger.clone(), archive: archive.clone() };
            let (deposits, metrics) = (books.deposits.clone(), books.metrics.clone());
            Follower::new(nodes.clone(), &config.peers, chain_head, deposits, deliver, metrics)
        };
        let context =
            BankContext { bank, ledger: books.ledger.clone(), deposits: books.deposits.clone(), relay: relay.clone() };
        let dispatcher =
            Dispatcher { bank, deposits: books.deposits.clone(), relay: relay.clone(), ledger: books.ledger.clone() };
        let service = books.service(&context, &config, archive.clone(), nodes, stop.clone());
        let chain = ChainService {
            genesis,
            ledger: books.ledger.clone(),
            archive,
            recent,
            membership: books.membership.clone(),
            filtered_blocks: None,
            witness: None,
        };
        let routes = Routes::new(bounded(BankServer::new(service)))
            .add_service(ChainServer::new(chain).max_encoding_message_size(MESSAGE_BYTES_MAX));
        let (routes, health) = with_health_and_reflection(routes).await?;
        let clients = ClientAuthentication::Optional(Arc::new(books.membership));
        let budget = Budget::new(&config.limits);
        let serving = {
            let (stop, budget, limits) = (stop.clone(), budget.clone(), config.limits.clone());
            async move {
                health.set(true).await;
                let within = (&limits, &budget);
                if let Err(error) = serve(listener, &identity, clients, routes, within, stop).await {
                    fail(NodeError::Serve(error));
                }
            }
        };
        let tasks =
            vec![relaying, tokio::spawn(follower.run(halt.clone())), tokio::spawn(dispatcher.run(halt.clone()))];
        let serving = tokio::spawn(serving);
        tracing::info!(%bank, %address, %height, "the bank's node is ready");
        Ok(Node {
            address,
            ledger: books.ledger,
            stop,
            serving,
            halt,
            failures,
            tasks,
            threads,
            budget,
            unanswered: books.unanswered,
            relay,
            folder_gone: Box::pin(std::future::pending()),
            folder: config.data_dir,
            store,
        })
    }

    /// Loads what the bank keeps, and takes the marks of the last stop.
    fn load_books(&self, ledger: Ledger) -> Result<(Books, DepositWriter), StartError> {
        let Launch { config, store, bank, .. } = self;
        let metrics = Arc::new(Metrics::register(*bank));
        let tip = (ledger.height(), ledger.tip().time);
        metrics.height(tip.0);
        let membership = Membership::of(&ledger);
        let verifies = config.precheck_signatures || config.verify_blocks || !config.peers.is_empty();
        let directory = verifies.then(|| Arc::new(KeyDirectory::of(&ledger)));
        let ledger = LedgerHandle::new(ledger);
        let signing_key = self.signing_key.clone();
        let signer = Arc::new(BankSigner::new(*bank, signing_key.clone(), ledger.clone()));
        let history = Arc::new(History::open(store.clone(), self.archive.clone(), *bank)?);
        // Before anything is sent: whoever is killed from here on has left no mark.
        let is_continued = orderly_stop::take(&config.data_dir, &**store)?;
        let left = Unanswered::take_mark(*bank, &**store)?.filter(|_| is_continued);
        let unanswered = Arc::new(left.unwrap_or_else(|| Unanswered::new(*bank, ledger.read(latest_valid_until))));
        let folder = FolderAtStart { is_continued, is_empty: tip.0 == Height(0), started_at: wall_clock() };
        let (deposits, writer) =
            DepositService::load(store.clone(), signer.clone(), tip, (folder, unanswered.clone()), metrics.clone())?;
        let books = Books {
            bank: *bank,
            network: self.genesis.network(),
            ledger,
            membership,
            directory,
            signing_key,
            signer,
            history,
            deposits,
            unanswered,
            metrics,
        };
        Ok((books, writer))
    }
}

/// What a bank keeps, loaded.
struct Books {
    bank: BankId,
    network: NetworkId,
    ledger: LedgerHandle,
    membership: Membership,
    /// Present if signatures are verified here.
    directory: Option<Arc<KeyDirectory>>,
    signing_key: Arc<SigningKey>,
    signer: Arc<BankSigner>,
    history: Arc<History>,
    deposits: Arc<DepositService>,
    unanswered: Arc<Unanswered>,
    metrics: Arc<Metrics>,
}

impl Books {
    fn replica(
        &self,
        config: &Config,
        (store, genesis): (Arc<dyn Store>, Arc<Genesis>),
        checkpoints: Checkpoints,
    ) -> Replica {
        let (role, member) = (Role::Bank, MemberId(self.bank.0));
        Replica {
            bank: self.bank,
            genesis,
            ledger: self.ledger.clone(),
            store,
            recent: RecentBlocks::default(),
            membership: self.membership.clone(),
            directory: self.directory.clone(),
            deposits: self.deposits.clone(),
            history: self.history.clone(),
            metrics: self.metrics.clone(),
            verify_blocks: config.verify_blocks,
            checkpoints,
            signer: recovery::CheckpointSigner { role, member, key: self.signing_key.clone() },
        }
    }

    /// The service, from its calls down to the relay.
    fn service(
        &self,
        context: &BankContext,
        config: &Config,
        archive: Arc<Archive>,
        central_bank_nodes: Arc<CentralBankNodes>,
        stop: CancellationToken,
    ) -> BankService {
        let (history, unanswered) = (self.history.clone(), self.unanswered.clone());
        let records = Records { context: context.clone(), history: history.clone(), unanswered };
        let directory = self.directory.clone().filter(|_| config.precheck_signatures);
        let precheck = directory.map(|directory| Arc::new(SignaturePrecheck::new(self.network, directory)));
        let own_commands = OwnCommands { context: context.clone(), signer: self.signer.clone() };
        let central_bank = Arc::new(CentralBankClient::new(central_bank_nodes.clone()));
        let (shares, metrics) = (Arc::default(), self.metrics.clone());
        let admission = Admission { context: context.clone(), shares, precheck, metrics: metrics.clone() };
        let payments = payment_service(&records, &admission, &metrics, config, stop);
        let context = context.clone();
        BankService {
            sessions: Arc::new(self.session_service(&context)),
            wallets: Arc::new(WalletService {
                context: context.clone(),
                own_commands: own_commands.clone(),
                central_bank: central_bank.clone(),
            }),
            payments: Arc::new(payments),
            holder_commands: Arc::new(HolderCommandService { context: context.clone(), admission, records, metrics }),
            consents: Arc::new(ConsentService { context: context.clone(), signer: self.signer.clone() }),
            holds: Arc::new(HoldService {
                context: context.clone(),
                own_commands: own_commands.clone(),
                central_bank: central_bank.clone(),
            }),
            funding: Arc::new(FundingService { context: context.clone() }),
            history: Arc::new(HistoryService { context: context.clone(), history, archive, central_bank }),
            back_office: Arc::new(BackOfficeService {
                own_request_sender: OwnRequestSender { context: context.clone(), central_bank_nodes },
                context,
                own_commands,
                membership: self.membership.clone(),
                staged_balances: StagedBalances::default(),
            }),
        }
    }

    fn session_service(&self, context: &BankContext) -> SessionService {
        let mut secret = [0; 32];
        SysRng.try_fill_bytes(&mut secret).expect("a running operating system gives random bytes");
        SessionService {
            context: context.clone(),
            sessions: Sessions::new(self.bank, secret, probable_time(Timestamp(0))),
            membership: self.membership.clone(),
            metrics: self.metrics.clone(),
        }
    }
}

/// The payment service, from customers down to the relay.
fn payment_service(
    records: &Records,
    admission: &Admission,
    metrics: &Arc<Metrics>,
    config: &Config,
    stop: CancellationToken,
) -> PaymentService {
    let context = &records.context;
    let payment_relay = PaymentRelay {
        context: context.clone(),
        records: records.clone(),
        admission: admission.clone(),
        accept_after: Duration::from_millis(config.accept_after_ms),
    };
    let top_ups =
        TopUpService { context: context.clone(), records: records.clone(), payment_relay: payment_relay.clone() };
    PaymentService {
        context: context.clone(),
        payment_relay,
        top_ups,
        accept_when_unreachable: config.accept_when_unreachable,
        metrics: metrics.clone(),
        stream_idle_max: Duration::from_secs(config.limits.stream_idle_s.into()),
        stop,
    }
}

/// Customers' messages have tighter bounds than members'.
fn bounded(server: BankServer<BankService>) -> BankServer<BankService> {
    const CUSTOMER_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
    server.max_decoding_message_size(CUSTOMER_MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}

fn central_bank_nodes(config: &Config, identity: NodeIdentity, ledger: LedgerHandle) -> CentralBankNodes {
    let keys = Arc::new(RoleKeys::new(ledger, Role::CentralBank, None));
    CentralBankNodes::new(&config.central_bank, identity, Box::new(move || ServerTrust::Followed(keys.clone())))
}

/// Called by a failing part of the node: the node stops.
type Fail = Arc<dyn Fn(NodeError) + Send + Sync>;

fn failures(stop: &CancellationToken) -> (Fail, mpsc::UnboundedReceiver<NodeError>) {
    let (tell, failures) = mpsc::unbounded_channel();
    let stop = stop.clone();
    let fail = move |error: NodeError| {
        tracing::error!(%error, "the node stops");
        // The node's holder gets the first failure; later ones only repeat it.
        let _ = tell.send(error);
        stop.cancel();
    };
    (Arc::new(fail), failures)
}

fn thread<F>(name: &str, fail: Fail, work: impl FnOnce() -> F + Send + 'static) -> std::io::Result<Thread>
where
    F: Future<Output = Result<(), NodeError>> + Send + 'static,
{
    thread::thread(name, async move || {
        if let Err(error) = work().await {
            fail(error);
        }
    })
}
