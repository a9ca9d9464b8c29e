//! Following the chain: from the central bank, or from a peer bank while the central bank cannot be reached.
//!
//! 1. Ask the central bank for the blocks above the replica's height, and deliver each to the replica as it arrives
//!    (filtered blocks that arrive together are delivered together). Any of its nodes will do, the leader first.
//!    - When another node leads, that one is followed: the one before may be cut off, and silent.
//!    - A node that does not lead and has fewer blocks than this bank lags. It is passed over, and nothing is said of
//!      lost blocks: only a leader can have lost any.
//! 2. If that fails, ask the next peer, in rotation. A peer's blocks are delivered one by one, each after the verdict
//!    on the last.
//!    - A peer that serves bad data (a block that does not verify, another block than requested, a message that is too
//!      large or unreadable) is dropped for a while, and the event recorded.
//!    - A peer that cannot be reached, or whose stream breaks, is left alone for longer each time.
//!    - A peer that does not keep its [pace](crate::pace), or is silent while others prove newer blocks, is left alone;
//!      so is a slow one, if another has newer blocks.
//!    - Another silent peer may have nothing newer: the next one is asked.
//! 3. While a peer serves, the central bank is tried again every few seconds, and preferred as soon as it answers.
//!
//! A partial replica follows only the central bank's filtered blocks.
//!
//! After a start the first of them who answers names the chain's head ([`crate::catching_up`]), before its blocks are
//! followed. A node of the central bank that does not lead counts as a peer there, since it may lag.
//!
//! The only position kept is the replica's height: blocks that arrive twice are skipped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cbdc_ledger::member::Role;
use cbdc_ledger::{Height, Ledger, Reason, SignedHeader};
use cbdc_node::{LedgerHandle, RoleKeys};
use cbdc_proto::convert::header_from_message;
use cbdc_proto::status::refusal_of;
use cbdc_proto::transport::log_limit::LogLimit;
use cbdc_proto::transport::{MESSAGE_BYTES_MAX, ServerTrust, connect};
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::catching_up::HeadSource;
use crate::central_bank_nodes::{CentralBankNodes, Claim, PresentNode};
use crate::deposit_service::DepositService;
use crate::metrics::Metrics;
use crate::pace::{Kept, LOOK_EVERY, Pace};

use crate::replica::{BlockSource, Delivery};
use crate::testimony::ChainHead;

/// The longest time that opening a stream may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// The first and the longest pause after a round in which nobody could be reached; it doubles each time.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The first such pause where the central bank has several nodes.
const SHORT_PAUSE: Duration = Duration::from_millis(10);
/// The longest time that a leader may lack blocks which this bank has, before it is shown them: it may be applying what
/// is in its log.
const LEADER_APPLIES_FOR: Duration = Duration::from_secs(2);
/// The interval at which it is asked again meanwhile.
const LEADER_APPLIES_POLL: Duration = Duration::from_millis(50);
/// The interval at which the central bank is tried while a peer serves, and its leader while another node does.
const RETRY: Duration = Duration::from_secs(3);
/// The most filtered blocks that are followed together.
const BLOCKS_TOGETHER_MAX: usize = 16;
/// The time for which a peer that served bad data is left alone.
const DROPPED_FOR: Duration = Duration::from_secs(600);
/// The time for which a peer that kept blocks back is left alone.
const HELD_BACK_FOR: Duration = Duration::from_secs(60);
/// The first and the longest time for which a peer that could not be followed is left alone; it doubles each time.
const LEFT_ALONE_FOR: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The longest time from block to block that a peer may take before the next peer is asked.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// A bank that serves the chain.
struct Peer {
    address: String,
    left_alone_until: Option<Instant>,
    /// The time for which it is left alone the next time that it cannot be followed.
    pause: Duration,
    /// Whether it had nothing new when it was followed last.
    is_quiet: bool,
}

/// The reason why a peer is no longer followed.
enum PeerEnded {
    /// It served bad data.
    Bad(String),
    /// It could not be reached, or the stream ended.
    Broken(String),
    /// It sent nothing for a while, and nobody is known to have more.
    Silent,
    /// It sent less than there is.
    HeldBack(String),
    /// It is slow, and another one has newer blocks.
    Slow(String),
    /// The central bank was followed again.
    Replaced,
}

impl PeerEnded {
    fn of(status: &Status) -> PeerEnded {
        let reason = format!("{:?}: {}", status.code(), status.message());
        // The data received is not a message, or a larger one than any honest node sends. A connection that broke, or a
        // peer that stops, has a transport error as its source.
        let is_bad = match status.code() {
            Code::OutOfRange => true,
            Code::Internal => std::error::Error::source(status).is_none(),
            _ => false,
        };
        if is_bad { PeerEnded::Bad(reason) } else { PeerEnded::Broken(reason) }
    }
}

pub struct Follower {
    nodes: Arc<CentralBankNodes>,
    /// The node of the central bank that was followed last.
    followed: Mutex<Option<Arc<str>>>,
    peer_keys: Arc<RoleKeys>,
    peers: Vec<Peer>,
    next_peer: usize,
    ledger: LedgerHandle,
    chain_head: ChainHead,
    deposits: Arc<DepositService>,
    deliveries: mpsc::Sender<Delivery>,
    metrics: Arc<Metrics>,
    log_limit: LogLimit,
}

/// The replica thread is gone: the node stops.
struct Gone;

/// When the chain is to be followed again, once it can no longer be.
enum Next {
    /// Another node of the central bank is preferred.
    AtOnce,
    AfterPause,
}

impl Follower {
    pub fn new(
        nodes: Arc<CentralBankNodes>,
        peers: &[String],
        chain_head: ChainHead,
        deposits: Arc<DepositService>,
        deliveries: mpsc::Sender<Delivery>,
        metrics: Arc<Metrics>,
    ) -> Follower {
        let peers = peers
            .iter()
            .map(|address| Peer {
                address: address.clone(),
                left_alone_until: None,
                pause: LEFT_ALONE_FOR.0,
                is_quiet: false,
            })
            .collect();
        let (role, own_key) = (Role::Bank, nodes.identity.public_key());
        let peer_keys = Arc::new(RoleKeys::new(chain_head.ledger.clone(), role, Some(own_key)));
        let (ledger, log_limit) = (chain_head.ledger.clone(), LogLimit::new());
        Follower {
            nodes,
            followed: Mutex::new(None),
            peer_keys,
            peers,
            next_peer: 0,
            ledger,
            chain_head,
            deposits,
            deliveries,
            metrics,
            log_limit,
        }
    }

    /// Follows the chain until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            Gone = self.follow() => {}
        }
    }

    async fn follow(&mut self) -> Gone {
        let shortest = |several| if several { SHORT_PAUSE } else { BACKOFF.0 };
        let mut pause = shortest(self.nodes.are_several());
        loop {
            let began = Instant::now();
            let followed = match self.ledger.read(|ledger| ledger.partial_replica_of()) {
                Some(_) => self.follow_partial_replica().await,
                None => match self.central().open().await {
                    Ok((address, blocks)) => self.follow_central(&address, blocks).await,
                    Err(status) => {
                        self.note_refusal(&status);
                        self.follow_peers().await
                    }
                },
            };
            if began.elapsed() > RETRY {
                pause = shortest(self.nodes.are_several());
            }
            match followed {
                Ok(Next::AfterPause) => {}
                Ok(Next::AtOnce) => continue,
                Err(gone) => return gone,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Tells the operator why the central bank may not be followed; the relay reports that it cannot be reached.
    fn note_refusal(&self, status: &Status) {
        if (has_lost_blocks(status) || status.code() == Code::FailedPrecondition)
            && let Some(refused) = self.log_limit.count(1)
        {
            let reason = status.message();
            tracing::error!(
                target: "security", reason, refused,
                "the central bank cannot be followed (count since the last such line)"
            );
            self.metrics.security_events(1);
        }
    }

    async fn follow_partial_replica(&self) -> Result<Next, Gone> {
        let (address, filtered_blocks) = match self.central().open_filtered_blocks().await {
            Ok(filtered_blocks) => filtered_blocks,
            Err(status) => {
                self.note_refusal(&status);
                return Ok(Next::AfterPause);
            }
        };
        self.note_followed(&address, "following filtered blocks of the central bank");
        let no_longer = no_longer_preferred(self.nodes.clone(), address);
        tokio::pin!(no_longer);
        // Filtered blocks that arrived together are followed together.
        let mut filtered_blocks = filtered_blocks.ready_chunks(BLOCKS_TOGETHER_MAX);
        loop {
            let came = tokio::select! {
                came = filtered_blocks.next() => came,
                () = &mut no_longer => return Ok(Next::AtOnce),
            };
            let Some(came) = came else { return Ok(Next::AfterPause) };
            let mut broken = None;
            let good: Vec<_> = came
                .into_iter()
                .map_while(|filtered_block| filtered_block.map_err(|status| broken = Some(status)).ok())
                .collect();
            if !good.is_empty() {
                self.deliveries.send(Delivery::FilteredBlocks(good)).await.map_err(|_| Gone)?;
            }
            if let Some(status) = broken {
                self.note_broken(&status);
                return Ok(Next::AfterPause);
            }
        }
    }

    /// Tells the operator which node is followed first, and when the only one is followed again.
    fn note_followed(&self, address: &Arc<str>, what: &str) {
        let before = self.followed.lock().unwrap_or_else(PoisonError::into_inner).replace(address.clone());
        match before {
            // Of a leader that has changed the relay tells.
            Some(_) if self.nodes.are_several() => tracing::debug!(%address, "{what}"),
            _ => tracing::info!(%address, "{what}"),
        }
    }

    /// Tells the operator that the central bank can no longer be followed. Where it has several nodes, another one is
    /// followed in a moment.
    fn note_broken(&self, status: &Status) {
        let status = status.message();
        match self.nodes.are_several() {
            true => tracing::debug!(status, "a node of the central bank can no longer be followed"),
            false => tracing::warn!(status, "the central bank's chain can no longer be followed"),
        }
    }

    async fn follow_central(&self, address: &Arc<str>, mut blocks: Streaming<v1::Block>) -> Result<Next, Gone> {
        self.note_followed(address, "following the chain from the central bank");
        let no_longer = no_longer_preferred(self.nodes.clone(), address.clone());
        tokio::pin!(no_longer);
        loop {
            let block = tokio::select! {
                block = blocks.message() => block,
                () = &mut no_longer => return Ok(Next::AtOnce),
            };
            match block {
                Ok(Some(block)) => {
                    let delivery = Delivery::Block { block, source: BlockSource::CentralBank, verdict: None };
                    self.deliveries.send(delivery).await.map_err(|_| Gone)?;
                }
                Ok(None) => return Ok(Next::AfterPause),
                Err(status) => {
                    self.note_broken(&status);
                    return Ok(Next::AfterPause);
                }
            }
        }
    }

    /// Tries each peer once, until one was followed or the central bank can be followed again.
    async fn follow_peers(&mut self) -> Result<Next, Gone> {
        for _ in 0..self.peers.len() {
            let at = self.next_peer % self.peers.len();
            self.next_peer = at + 1;
            let peer = &self.peers[at];
            if peer.left_alone_until.is_some_and(|until| until > Instant::now()) {
                continue;
            }
            let (address, began_at) = (peer.address.clone(), self.ledger.read(Ledger::height));
            let ended = match self.open_peer(&address).await {
                Ok((blocks, from)) => {
                    tracing::debug!(%address, "following the chain from a peer bank");
                    self.hear_heads().await;
                    self.follow_peer(at, blocks, from).await?
                }
                Err(status) => PeerEnded::of(&status),
            };
            let height = self.ledger.read(Ledger::height);
            let peer = &mut self.peers[at];
            if height > began_at {
                tracing::info!(%address, from = %began_at, to = %height, "followed the chain from a peer bank");
                peer.pause = LEFT_ALONE_FOR.0;
            }
            // While the central bank is away all peers are quiet, for as long as that lasts: one line a peer says so.
            let was_quiet = std::mem::replace(&mut peer.is_quiet, matches!(ended, PeerEnded::Silent));
            match ended {
                PeerEnded::Bad(reason) => {
                    tracing::warn!(
                        target: "security", %address, %reason, for_s = DROPPED_FOR.as_secs(),
                        "a peer bank served bad data and is dropped"
                    );
                    self.metrics.security_events(1);
                    peer.left_alone_until = Some(Instant::now() + DROPPED_FOR);
                }
                PeerEnded::Broken(reason) => {
                    tracing::warn!(
                        %address, %reason, for_s = peer.pause.as_secs(),
                        "a peer bank cannot be followed and is left alone"
                    );
                    peer.left_alone_until = Some(Instant::now() + peer.pause);
                    peer.pause = (peer.pause * 2).min(LEFT_ALONE_FOR.1);
                }
                PeerEnded::HeldBack(reason) => {
                    tracing::warn!(
                        target: "security", %address, %reason, for_s = HELD_BACK_FOR.as_secs(),
                        "a peer bank keeps blocks back and is left alone"
                    );
                    self.metrics.security_events(1);
                    peer.left_alone_until = Some(Instant::now() + HELD_BACK_FOR);
                }
                PeerEnded::Slow(reason) => {
                    tracing::info!(
                        %address, %reason, for_s = HELD_BACK_FOR.as_secs(),
                        "a peer bank is slow, and another one is asked"
                    );
                    peer.left_alone_until = Some(Instant::now() + HELD_BACK_FOR);
                }
                PeerEnded::Silent if !was_quiet => {
                    tracing::info!(
                        %address, %height,
                        "a peer bank has nothing newer; the peers are asked in turn until one has"
                    );
                }
                PeerEnded::Silent => {}
                PeerEnded::Replaced => return Ok(Next::AfterPause),
            }
        }
        Ok(Next::AfterPause)
    }

    async fn open_peer(&self, address: &str) -> Result<(Streaming<v1::Block>, Height), Status> {
        let from = self.ledger.read(|ledger| ledger.height().next());
        let request = v1::FollowRequest { from_height: from.0, testimony: None };
        Ok((open(self.to_peer(address)?, request).await?, from))
    }

    fn to_peer(&self, address: &str) -> Result<Channel, Status> {
        let trust = ServerTrust::Followed(self.peer_keys.clone());
        let channel = connect(address, Some(&self.nodes.identity), &trust);
        channel.map_err(|error| Status::unavailable(error.to_string()))
    }

    /// The newest block that each peer proves by its signed header, after a while.
    async fn heads(&self, after: Duration) -> Vec<Option<Height>> {
        tokio::time::sleep(after).await;
        futures::future::join_all(self.peers.iter().map(|peer| self.head_of(&peer.address))).await
    }

    /// Whether a peer other than the one at `at`, and not left alone now, has blocks above `height`.
    fn has_another(&self, at: usize, heads: &[Option<Height>], height: Height) -> bool {
        let may_be_asked = |peer: &Peer| peer.left_alone_until.is_none_or(|until| until <= Instant::now());
        let others = self.peers.iter().zip(heads).enumerate().filter(|(other, _)| *other != at);
        others.map(|(_, other)| other).any(|(peer, head)| may_be_asked(peer) && head.is_some_and(|head| head > height))
    }

    fn central(&self) -> Central {
        let (nodes, chain_head) = (self.nodes.clone(), self.chain_head.clone());
        Central { nodes, chain_head, deposits: self.deposits.clone() }
    }

    /// Takes the highest head that peers prove, until the central bank has named one.
    async fn hear_heads(&self) {
        if !self.deposits.heard_central_bank()
            && let Some(head) = self.heads(Duration::ZERO).await.into_iter().flatten().max()
        {
            self.deposits.head_named(head, HeadSource::Peer);
        }
    }

    /// A peer's newest block, where its header is signed as members sign: those of this bank's replica, or those to
    /// which the peer proves changes.
    async fn head_of(&self, address: &str) -> Option<Height> {
        let channel = self.to_peer(address).ok()?;
        let newest = header_at(&mut ChainClient::new(channel.clone()), None).await.ok()??;
        let keys = &self.peer_keys;
        let is_signed = keys.check_header(&newest).is_ok()
            || keys.follow_over(channel, address).await && keys.check_header(&newest).is_ok();
        is_signed.then_some(newest.header.height)
    }

    /// Follows the peer at `at` from a height on.
    async fn follow_peer(
        &self,
        at: usize,
        mut blocks: Streaming<v1::Block>,
        mut next: Height,
    ) -> Result<PeerEnded, Gone> {
        let central_again = central_again(self.central());
        tokio::pin!(central_again);
        let mut pace = Pace::new(Instant::now());
        let mut looking = Box::pin(self.heads(Duration::ZERO));
        let mut silent_at = Instant::now() + SILENCE_MAX;
        loop {
            let waits_since = Instant::now();
            let block = tokio::select! {
                block = tokio::time::timeout_at(silent_at.into(), blocks.message()) => block,
                heads = &mut looking => {
                    looking = Box::pin(self.heads(LOOK_EVERY));
                    pace.note(waits_since.elapsed(), 0);
                    let height = self.ledger.read(Ledger::height);
                    match pace.look(Instant::now(), height, heads.iter().copied().flatten().max().unwrap_or_default()) {
                        Kept::No => return Ok(held_back(height, &pace)),
                        Kept::Slowly if self.has_another(at, &heads, height) => {
                            let head = pace.head();
                            return Ok(PeerEnded::Slow(format!(
                                "it has brought this bank to block {height}, and block {head} is signed"
                            )));
                        }
                        Kept::Slowly | Kept::Yes => continue,
                    }
                }
                (address, blocks) = &mut central_again => {
                    return self.follow_central(&address, blocks).await.map(|_| PeerEnded::Replaced);
                }
            };
            let block = match block {
                Ok(Ok(Some(block))) => block,
                Ok(Ok(None)) => return Ok(PeerEnded::Broken("it ended the stream".to_owned())),
                Ok(Err(status)) => return Ok(PeerEnded::of(&status)),
                Err(_) => {
                    let height = self.ledger.read(Ledger::height);
                    return Ok(if pace.head() > height { held_back(height, &pace) } else { PeerEnded::Silent });
                }
            };
            pace.note(waits_since.elapsed(), block.proposal.len() + block.outcomes.len());
            // The replica skips blocks that it has: a peer that sends those would be followed for ever.
            let found =
                block.header.as_ref().map(|header| header_from_message(header).map(|signed| signed.header.height));
            if let Some(Ok(found)) = found
                && found != next
            {
                return Ok(PeerEnded::Bad(format!("expected block {next}, found block {found}")));
            }
            next = next.next();
            let (tell, verdict) = oneshot::channel();
            let delivery = Delivery::Block { block, source: BlockSource::Peer, verdict: Some(tell) };
            self.deliveries.send(delivery).await.map_err(|_| Gone)?;
            if let Err(error) = verdict.await.map_err(|_| Gone)? {
                return Ok(PeerEnded::Bad(error.to_string()));
            }
            silent_at = Instant::now() + SILENCE_MAX;
        }
    }
}

fn held_back(height: Height, pace: &Pace) -> PeerEnded {
    let head = pace.head();
    PeerEnded::HeldBack(format!("it brought this bank to block {height} only, and block {head} is signed"))
}

/// Waits until another node of the central bank is to be followed rather than the one at an address: when another one
/// comes to lead, or, while this one does not, after a while.
async fn no_longer_preferred(nodes: Arc<CentralBankNodes>, address: Arc<str>) {
    let mut present = nodes.watch();
    let at_first = present.borrow_and_update().clone();
    let other_leads = async {
        let is_other = |now: &PresentNode| now.leads && now.address != address && *now != at_first;
        if present.wait_for(is_other).await.is_err() {
            // The nodes are gone: the bank stops.
            std::future::pending().await
        }
    };
    match at_first.address == address {
        true => other_leads.await,
        false => drop(tokio::time::timeout(RETRY, other_leads).await),
    }
}

/// The central bank, as it is followed.
struct Central {
    nodes: Arc<CentralBankNodes>,
    chain_head: ChainHead,
    deposits: Arc<DepositService>,
}

/// What this bank tells a node before it follows it, and what the node has said.
struct Introduction {
    from: Height,
    testimony: v1::Testimony,
    /// The height of the node's chain, and whose word that is.
    head: (Height, HeadSource),
}

impl Central {
    /// Opens a stream of blocks at one of its nodes.
    async fn open(&self) -> Result<(Arc<str>, Streaming<v1::Block>), Status> {
        self.nodes.first_of(|address| self.open_at(address)).await
    }

    async fn open_at(&self, address: Arc<str>) -> Result<Streaming<v1::Block>, Status> {
        let mut client = self.client(&address)?;
        let Introduction { from, testimony, head } = self.introduce(&address, &mut client).await?;
        let request = v1::FollowRequest { from_height: from.0, testimony: Some(testimony) };
        let blocks = in_time(client.follow(request)).await?;
        self.deposits.head_named(head.0, head.1);
        Ok(blocks)
    }

    /// Opens a stream of filtered blocks at one of its nodes.
    async fn open_filtered_blocks(&self) -> Result<(Arc<str>, Streaming<v1::FilteredBlock>), Status> {
        self.nodes.first_of(|address| self.open_filtered_blocks_at(address)).await
    }

    async fn open_filtered_blocks_at(&self, address: Arc<str>) -> Result<Streaming<v1::FilteredBlock>, Status> {
        let mut client = self.client(&address)?;
        let Introduction { from, testimony, head } = self.introduce(&address, &mut client).await?;
        let request = v1::FollowFilteredBlocksRequest { from_height: from.0, testimony: Some(testimony) };
        let blocks = in_time(client.follow_filtered_blocks(request)).await?;
        self.deposits.head_named(head.0, head.1);
        Ok(blocks)
    }

    fn client(&self, address: &str) -> Result<ChainClient<Channel>, Status> {
        let channel = self.nodes.channel(address).map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(ChainClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// The height of the next block, the testimony as of the one before, and the height of the node's chain, which
    /// counts as the chain's head if it lets itself be followed: then no bank has shown that it has lost blocks.
    async fn introduce(&self, address: &Arc<str>, client: &mut ChainClient<Channel>) -> Result<Introduction, Status> {
        let leads = match self.nodes.are_several() {
            true => matches!(self.nodes.claim_of(address).await?, Claim::Leads(_)),
            false => true,
        };
        let own = self.chain_head.height();
        let newest = self.newest_header(client, leads, own).await?;
        let head = newest.as_ref().map_or(Height(0), |newest| newest.header.height);
        if head < own && !leads {
            return Err(Status::unavailable(format!(
                "the node lags: its newest block is {head}, and this bank has {own}"
            )));
        }
        let common = if head <= own { newest } else { header_at(client, Some(own)).await? };
        let testimony = self.chain_head.testimony(own, common.as_ref(), head < own)?;
        let source = if leads { HeadSource::CentralBank } else { HeadSource::Peer };
        Ok(Introduction { from: own.next(), testimony, head: (head, source) })
    }

    /// A node's newest header. A leader that lacks blocks which this bank has is given the time to apply its log.
    async fn newest_header(
        &self,
        client: &mut ChainClient<Channel>,
        leads: bool,
        own: Height,
    ) -> Result<Option<SignedHeader>, Status> {
        let began = Instant::now();
        loop {
            let newest = header_at(client, None).await?;
            let lacks = newest.as_ref().map_or(Height(0), |newest| newest.header.height) < own;
            let may_apply = leads && self.nodes.are_several() && began.elapsed() < LEADER_APPLIES_FOR;
            if !lacks || !may_apply {
                return Ok(newest);
            }
            tokio::time::sleep(LEADER_APPLIES_POLL).await;
        }
    }
}

/// Whether the central bank does not let itself be followed because it has lost blocks.
fn has_lost_blocks(status: &Status) -> bool {
    refusal_of(status).is_some_and(|refusal| refusal.reason == Reason::LostBlocks)
}

/// A node's header at a height, or its newest one; `None` if there is none, as at height 0.
async fn header_at(client: &mut ChainClient<Channel>, height: Option<Height>) -> Result<Option<SignedHeader>, Status> {
    if height == Some(Height(0)) {
        return Ok(None);
    }
    let request = v1::GetHeaderRequest { height: height.map(|height| height.0) };
    match in_time(client.get_header(request)).await {
        Ok(header) => header_from_message(&header).map(Some),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

/// The answer to a call, if it comes within the timeout for opening a stream.
async fn in_time<T>(asked: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Status> {
    Ok(tokio::time::timeout(OPEN_TIMEOUT, asked).await.map_err(|_| no_stream())??.into_inner())
}

fn no_stream() -> Status {
    Status::deadline_exceeded("no stream could be opened within 5 s")
}

/// Opens a stream of blocks.
async fn open(channel: Channel, request: v1::FollowRequest) -> Result<Streaming<v1::Block>, Status> {
    let mut client = ChainClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    in_time(client.follow(request)).await
}

/// Waits until the central bank can be followed again.
async fn central_again(central: Central) -> (Arc<str>, Streaming<v1::Block>) {
    loop {
        tokio::time::sleep(RETRY).await;
        if let Ok(followed) = central.open().await {
            return followed;
        }
    }
}
