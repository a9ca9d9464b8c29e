//! The chain service: the same on the central bank, which seals blocks, and on banks, which follow them.
//!
//! Recent blocks are kept in memory in the form in which they are sent, so that followers who keep up never touch the
//! disk; one that falls behind is served from the archive, at its own pace. A slow reader never delays settlement.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, Genesis, Height, MemberId};
use cbdc_proto::convert::{header_to_message, receipt_to_message};
use cbdc_proto::status::{not_found, not_served, unavailable};
use cbdc_proto::transport::Peer;
use cbdc_proto::v1;
use cbdc_storage::CheckpointStore;
use futures::Stream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::archive::{Archive, ArchiveError, BlockParts};
use crate::filtered_blocks::FilteredBlocks;
use crate::look_up::look_up;
use crate::membership::Membership;
use crate::recent_blocks::RecentBlocks;
use crate::state::LedgerHandle;

/// The time that each byte of filtered blocks adds to the pause after them. Filtered blocks of blocks sealed meanwhile
/// are sent together: a message costs each end as much as some hundred payments in it do. On a quiet network a bank
/// sees every block at once.
const PAUSE_PER_FILTERED_BYTE: Duration = Duration::from_micros(1);
/// The longest pause. On a busy network a partial replica lags by it, and so does everything that only the replica
/// shows (fundings, defundings, top-ups). Answers to payments on a stream are not affected.
const FILTERED_PAUSE_MAX: Duration = Duration::from_millis(20);

/// A block as it is sent.
pub fn block_to_message(parts: &BlockParts) -> v1::Block {
    v1::Block {
        header: Some(header_to_message(&parts.header)),
        proposal: parts.proposal.clone(),
        outcomes: parts.outcomes.clone(),
        sections: Bytes::new(),
    }
}

/// Receives what members know of the chain before they follow it.
#[tonic::async_trait]
pub trait Witness: Send + Sync {
    /// Refuses to serve a chain that lacks blocks which the network has settled.
    ///
    /// # Errors
    /// The status to answer every call with.
    fn require_whole(&self) -> Result<(), Status>;

    /// Takes the testimony of a member, which keeps whole blocks or filtered ones.
    ///
    /// # Errors
    /// The status to refuse the stream with: the node must not be followed.
    async fn testify(
        &self,
        member: (Role, MemberId),
        testimony: v1::Testimony,
        keeps_blocks: bool,
    ) -> Result<(), Status>;
}

/// Membership changes that are read at once.
const MEMBERSHIP_CHANGES_AT_ONCE: usize = 16;

pub struct ChainService {
    pub genesis: Arc<Genesis>,
    pub ledger: LedgerHandle,
    pub archive: Arc<Archive>,
    pub recent: RecentBlocks,
    pub membership: Membership,
    /// The source of filtered blocks; only the central bank has one.
    pub filtered_blocks: Option<FilteredBlocks>,
    /// Hears the testimony of those who follow; only the central bank has one.
    pub witness: Option<Arc<dyn Witness>>,
}

impl ChainService {
    async fn hear(
        &self,
        member: (Role, MemberId),
        testimony: Option<v1::Testimony>,
        keeps_blocks: bool,
    ) -> Result<(), Status> {
        match (&self.witness, testimony) {
            (Some(witness), Some(testimony)) => witness.testify(member, testimony, keeps_blocks).await,
            _ => Ok(()),
        }
    }

    /// Refuses to serve a chain that lacks blocks.
    fn require_whole(&self) -> Result<(), Status> {
        self.witness.as_ref().map_or(Ok(()), |witness| witness.require_whole())
    }

    /// Refuses to serve blocks where none are kept, or some are lost.
    fn require_blocks(&self) -> Result<(), Status> {
        self.require_whole()?;
        match self.ledger.read(|ledger| ledger.partial_replica_of()) {
            None => Ok(()),
            Some(bank) => Err(not_served(format!(
                "bank {bank} keeps a partial replica and no whole blocks; ask the central bank"
            ))),
        }
    }

    /// Reads the archive without blocking an async thread.
    async fn look<R: Send + 'static>(
        archive: &Arc<Archive>,
        look: impl FnOnce(&Archive) -> Result<R, ArchiveError> + Send + 'static,
    ) -> Result<R, Status> {
        let archive = archive.clone();
        let looked = look_up(move || look(&archive)).await;
        looked.map_err(|_| unavailable("the node is stopping"))?.map_err(|error| {
            tracing::error!(%error, "the block archive cannot be read");
            Status::data_loss(error.to_string())
        })
    }
}

/// Waits for the next block; false once there will be none.
async fn goes_on(announced: &mut watch::Receiver<Height>, closed: &CancellationToken) -> bool {
    tokio::select! {
        changed = announced.changed() => changed.is_ok(),
        () = closed.cancelled() => false,
    }
}

/// The pause after this many bytes of filtered blocks.
fn pause_after(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    PAUSE_PER_FILTERED_BYTE.saturating_mul(bytes).min(FILTERED_PAUSE_MAX)
}

/// Lets every member read the chain.
fn require_member<T>(membership: &Membership, request: &Request<T>) -> Result<(), Status> {
    membership.require(request, &Role::ALL).map(drop)
}

type Reply<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl v1::chain_server::Chain for ChainService {
    async fn get_genesis(&self, request: Request<v1::GetGenesisRequest>) -> Result<Response<v1::Genesis>, Status> {
        require_member(&self.membership, &request)?;
        Ok(Response::new(v1::Genesis { genesis: self.genesis.to_bytes().into() }))
    }

    async fn get_header(&self, request: Request<v1::GetHeaderRequest>) -> Result<Response<v1::SignedHeader>, Status> {
        require_member(&self.membership, &request)?;
        // Also where blocks are lost: by its headers banks tell whether others were sealed in their place.
        let newest = *self.ledger.announced().borrow();
        let height = request.into_inner().height.map_or(newest, Height);
        let found = ChainService::look(&self.archive, move |archive| archive.header(height)).await?;
        match found.filter(|_| height <= newest) {
            Some((header, _)) => Ok(Response::new(header_to_message(&header))),
            None => Err(no_block(height, newest)),
        }
    }

    async fn get_block(&self, request: Request<v1::GetBlockRequest>) -> Result<Response<v1::Block>, Status> {
        require_member(&self.membership, &request)?;
        self.require_blocks()?;
        let newest = *self.ledger.announced().borrow();
        let height = Height(request.into_inner().height);
        let found = ChainService::look(&self.archive, move |archive| archive.block(height)).await?;
        match found.filter(|_| height <= newest) {
            Some(parts) => Ok(Response::new(block_to_message(&parts))),
            None => Err(no_block(height, newest)),
        }
    }

    type FollowStream = Reply<v1::Block>;

    async fn follow(&self, request: Request<v1::FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        let member = self.membership.require(&request, &Role::ALL)?;
        let peer = Peer::of(&request);
        let v1::FollowRequest { from_height, testimony } = request.into_inner();
        // Also where blocks are known to be lost: this bank may tell more of them.
        self.hear(member, testimony, true).await?;
        self.require_blocks()?;
        let mut next = Height(from_height.max(1));
        let mut announced = self.ledger.announced();
        // At once, so that the caller asks another node: one that took over a checkpoint has no earlier blocks.
        let newest = *announced.borrow();
        if next <= newest && self.recent.get(next).is_none() {
            let found = ChainService::look(&self.archive, move |archive| archive.header(next)).await?;
            found.ok_or_else(|| no_block(next, newest))?;
        }
        let closed = self.ledger.closed().clone();
        let (recent, archive, membership) = (self.recent.clone(), self.archive.clone(), self.membership.clone());
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            loop {
                let newest = *announced.borrow_and_update();
                while next <= newest {
                    membership.require_peer(&peer, &Role::ALL)?;
                    let block = match recent.get(next) {
                        Some(block) => block,
                        None => {
                            let wanted = next;
                            let parts = ChainService::look(&archive, move |archive| archive.block(wanted)).await?;
                            block_to_message(&parts.ok_or_else(|| no_block(wanted, newest))?)
                        }
                    };
                    yield block;
                    next = next.next();
                }
                if !goes_on(&mut announced, &closed).await {
                    break;
                }
            }
        })))
    }

    type FollowFilteredBlocksStream = Reply<v1::FilteredBlock>;

    async fn follow_filtered_blocks(
        &self,
        request: Request<v1::FollowFilteredBlocksRequest>,
    ) -> Result<Response<Self::FollowFilteredBlocksStream>, Status> {
        let (role, member) = self.membership.require(&request, &[Role::Bank])?;
        let peer = Peer::of(&request);
        let filtered_blocks = self.filtered_blocks.clone();
        let filtered_blocks =
            filtered_blocks.ok_or_else(|| not_served("only the central bank makes filtered blocks"))?;
        let bank = BankId(member.0);
        let v1::FollowFilteredBlocksRequest { from_height, testimony } = request.into_inner();
        self.hear((role, member), testimony, false).await?;
        self.require_whole()?;
        filtered_blocks.asked_for(bank);
        let mut next = Height(from_height.max(1));
        let mut announced = self.ledger.announced();
        let closed = self.ledger.closed().clone();
        let (archive, genesis, membership) = (self.archive.clone(), self.genesis.clone(), self.membership.clone());
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            let mut not_before = tokio::time::Instant::now();
            loop {
                tokio::time::sleep_until(not_before).await;
                let newest = *announced.borrow_and_update();
                let mut sent_bytes = 0;
                while next <= newest {
                    membership.require_peer(&peer, &[Role::Bank])?;
                    if let Some(filtered_block) = filtered_blocks.get(bank, next) {
                        sent_bytes += filtered_block.filtered_block.len();
                        yield filtered_block;
                        next = next.next();
                        continue;
                    }
                    let mut again = filtered_blocks.make_again(&archive, &genesis, bank, (next, newest)).await;
                    while let Some(filtered_block) = again.recv().await {
                        yield filtered_block?;
                        next = next.next();
                    }
                }
                not_before = tokio::time::Instant::now() + pause_after(sent_bytes);
                if !goes_on(&mut announced, &closed).await {
                    break;
                }
            }
        })))
    }

    async fn get_receipt(&self, request: Request<v1::GetReceiptRequest>) -> Result<Response<v1::Receipt>, Status> {
        require_member(&self.membership, &request)?;
        self.require_blocks()?;
        let v1::GetReceiptRequest { height, index } = request.into_inner();
        let receipt = ChainService::look(&self.archive, move |archive| archive.receipt(Height(height), index)).await?;
        let missing = || not_found(format!("there is no command {index} in block {height}"));
        Ok(Response::new(receipt_to_message(&receipt.ok_or_else(missing)?)))
    }

    type GetMembershipChangesStream = Reply<v1::MembershipChange>;

    async fn get_membership_changes(
        &self,
        request: Request<v1::GetMembershipChangesRequest>,
    ) -> Result<Response<Self::GetMembershipChangesStream>, Status> {
        self.require_whole()?;
        let mut above = Height(request.into_inner().above_height);
        let (archive, newest) = (self.archive.clone(), *self.ledger.announced().borrow());
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            loop {
                let wanted = above;
                let look = move |archive: &Archive| archive.membership_changes(wanted, MEMBERSHIP_CHANGES_AT_ONCE);
                let changes = ChainService::look(&archive, look).await?;
                let is_last = changes.len() < MEMBERSHIP_CHANGES_AT_ONCE;
                for (height, change) in changes.into_iter().filter(|(height, _)| *height <= newest) {
                    yield v1::MembershipChange { change };
                    above = height;
                }
                if is_last || above == wanted {
                    break;
                }
            }
        })))
    }

    type GetCheckpointStream = Reply<v1::CheckpointPart>;

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<Self::GetCheckpointStream>, Status> {
        require_member(&self.membership, &request)?;
        self.require_blocks()?;
        let checkpoints = CheckpointStore::new(self.archive.store().clone());
        let failed = |error: cbdc_storage::StoreError| Status::data_loss(error.to_string());
        let manifest = checkpoints.latest().map_err(failed)?.ok_or_else(|| not_found("there is no checkpoint yet"))?;
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            yield part(v1::checkpoint_part::Part::Manifest(v1::CheckpointManifest {
                height: manifest.height,
                root: Bytes::copy_from_slice(&manifest.root),
                chunk_count: manifest.chunk_count,
                signature: manifest.extra.clone(),
            }));
            for chunk in 0..manifest.chunk_count {
                let (checkpoints, height) = (checkpoints.clone(), manifest.height);
                let bytes = look_up(move || checkpoints.read_chunk(height, chunk)).await;
                let bytes = bytes.map_err(|_| unavailable("the node is stopping"))?.map_err(failed)?;
                yield part(v1::checkpoint_part::Part::Chunk(bytes));
            }
        })))
    }
}

fn part(part: v1::checkpoint_part::Part) -> v1::CheckpointPart {
    v1::CheckpointPart { part: Some(part) }
}

fn no_block(height: Height, newest: Height) -> Status {
    not_found(format!("there is no block {height}; the newest is {newest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_network_waits_for_nothing_and_a_busy_one_for_a_bounded_time() {
        assert_eq!(pause_after(0), Duration::ZERO);
        assert_eq!(pause_after(400), Duration::from_micros(400));
        assert_eq!([30_000, usize::MAX].map(pause_after), [FILTERED_PAUSE_MAX; 2]);
    }
}
