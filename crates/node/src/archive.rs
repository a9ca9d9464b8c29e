//! The archive: blocks on disk.
//!
//! A block is kept in three parts that its height joins: the signed header (with the log index of its block proposal),
//! the outcomes, and the block proposal itself, which the central bank keeps in its ordered log and a bank in its own
//! store; [`ProposalSource`] hides the difference. Headers and outcomes can be recomputed from the block proposals, so
//! writing them needs no fsync. A partial replica has the bank's filtered block instead of outcomes and block proposal.
//! Every record is checked when it is read; a flipped bit is reported with its height.

use std::sync::Arc;

use bytes::Bytes;
use cbdc_ledger::block::command_leaves;
use cbdc_ledger::block_proposal::BlockProposal;
use cbdc_ledger::encoding::{DecodeError, Reader, Writer};
use cbdc_ledger::membership_change::{FollowedMembership, MembershipChange};
use cbdc_ledger::outcome::OUTCOME_BYTES;
use cbdc_ledger::{Genesis, Height, Outcome, Receipt, SignedHeader};
use cbdc_proto::convert::outcomes_to_bytes;
use cbdc_storage::{Column, Direction, HeaderStore, KeyRange, Store, StoreError, StoredHeader, WriteBatch, sealed};

/// The store of block proposals.
pub trait ProposalSource: Send + Sync + 'static {
    /// The block proposal of the block at `height`, whose header names `log_index`.
    fn proposal(&self, height: Height, log_index: u64) -> Result<Option<Bytes>, ArchiveError>;
}

/// No block proposals, for whoever reads only headers and membership changes.
pub struct NoProposals;

impl ProposalSource for NoProposals {
    fn proposal(&self, _: Height, _: u64) -> Result<Option<Bytes>, ArchiveError> {
        Ok(None)
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum ArchiveError {
    #[error("the block archive cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("block {height} is damaged: {what}")]
    Damaged { height: Height, what: String },
}

/// A block as it is kept and sent.
#[derive(Clone, Debug)]
pub struct BlockParts {
    pub header: SignedHeader,
    pub log_index: u64,
    pub proposal: Bytes,
    /// 24 bytes per command.
    pub outcomes: Bytes,
}

/// The prefix of the keys of membership changes' proofs, before the height.
const MEMBERSHIP_PREFIX: &[u8] = b"membership/";

pub struct Archive {
    store: Arc<dyn Store>,
    headers: HeaderStore,
    proposals: Arc<dyn ProposalSource>,
}

impl Archive {
    pub fn new(store: Arc<dyn Store>, proposals: Arc<dyn ProposalSource>) -> Archive {
        Archive { headers: HeaderStore::new(store.clone()), store, proposals }
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Adds a block's header and outcomes to a batch. The block proposal is kept elsewhere.
    pub fn put(batch: &mut WriteBatch, header: &SignedHeader, log_index: u64, outcomes: &[Outcome]) {
        Archive::put_header(batch, header, log_index);
        let height = header.header.height.0;
        let mut record = Writer::with_capacity(outcomes.len() + 1024);
        outcomes.iter().for_each(|outcome| outcome.encode_compact(&mut record));
        let mut record = record.finish();
        sealed::seal_in_place(&height.to_be_bytes(), &mut record);
        batch.put(Column::Outcomes, height.to_be_bytes(), record);
    }

    fn put_header(batch: &mut WriteBatch, header: &SignedHeader, log_index: u64) {
        let mut encoded = Writer::with_capacity(1024);
        header.encode(&mut encoded);
        let height = header.header.height.0;
        HeaderStore::put(batch, &StoredHeader { height, log_index, header: encoded.finish().into() });
    }

    /// Adds a block's header and a bank's filtered block to a batch: all that a partial replica keeps.
    pub fn put_filtered_block(batch: &mut WriteBatch, header: &SignedHeader, filtered_block: &[u8]) {
        Archive::put_header(batch, header, 0);
        let key = header.header.height.0.to_be_bytes();
        batch.put(Column::FilteredBlocks, key, sealed::seal(&key, filtered_block));
    }

    /// Adds the proof of a membership change to a batch.
    pub fn put_membership_change(batch: &mut WriteBatch, change: &MembershipChange) {
        let key = [MEMBERSHIP_PREFIX, &change.height().0.to_be_bytes()].concat();
        let record = sealed::seal(&key, &change.to_bytes());
        batch.put(Column::Meta, key, record);
    }

    /// The proofs of the membership changes above a height, oldest first, at most so many.
    pub fn membership_changes(&self, above: Height, count_max: usize) -> Result<Vec<(Height, Bytes)>, ArchiveError> {
        let mut range = KeyRange::with_prefix(MEMBERSHIP_PREFIX);
        range.from = [MEMBERSHIP_PREFIX, &above.0.saturating_add(1).to_be_bytes()].concat();
        let mut changes = Vec::new();
        for (key, record) in self.store.collect(Column::Meta, &range, Direction::Forward, count_max)? {
            let height = Height(key.last_chunk().map_or(0, |height| u64::from_be_bytes(*height)));
            let change = sealed::open(&key, &record)
                .map_err(|error| ArchiveError::Damaged { height, what: format!("its membership change: {error}") })?;
            changes.push((height, record.slice_ref(change)));
        }
        Ok(changes)
    }

    /// Membership as far as the proofs here lead from a genesis.
    ///
    /// # Errors
    /// The proofs cannot be read.
    pub fn followed_membership(&self, genesis: &Genesis) -> Result<FollowedMembership, ArchiveError> {
        let changes = self.membership_changes(Height(0), usize::MAX)?;
        let changes = changes.iter().filter_map(|(_, change)| MembershipChange::from_bytes(change).ok());
        Ok(FollowedMembership::of(genesis).followed(changes))
    }

    /// Whether filtered blocks are kept here instead of whole blocks.
    pub fn keeps_filtered_blocks(&self) -> Result<bool, ArchiveError> {
        Ok(!self.store.collect(Column::FilteredBlocks, &KeyRange::all(), Direction::Forward, 1)?.is_empty())
    }

    /// The header of a block and this bank's filtered block. `None` if there is none, or if whole blocks are kept.
    pub fn filtered_block(&self, height: Height) -> Result<Option<(SignedHeader, Bytes)>, ArchiveError> {
        // Filtered blocks first: most nodes have none and stop here.
        let Some(record) = self.store.get(Column::FilteredBlocks, &height.0.to_be_bytes())? else { return Ok(None) };
        let Some((header, _)) = self.header(height)? else { return Ok(None) };
        let filtered_block = sealed::open(&height.0.to_be_bytes(), &record)
            .map_err(|error| ArchiveError::Damaged { height, what: format!("its filtered block: {error}") })?;
        let filtered_block = record.slice_ref(filtered_block);
        Ok(Some((header, filtered_block)))
    }

    /// The signed header at a height and the log index of its block proposal.
    pub fn header(&self, height: Height) -> Result<Option<(SignedHeader, u64)>, ArchiveError> {
        let Some(stored) = self.headers.get(height.0)? else { return Ok(None) };
        let mut input = Reader::new("signed header", &stored.header);
        let header = SignedHeader::decode(&mut input).and_then(|header| input.finish().map(|()| header));
        let header = header.map_err(|error| damaged(height, &error))?;
        Ok(Some((header, stored.log_index)))
    }

    /// The height of the newest header, if there is one.
    pub fn newest(&self) -> Result<Option<Height>, ArchiveError> {
        Ok(self.headers.last()?.map(|stored| Height(stored.height)))
    }

    /// A whole block. `None` if there is none yet, or if it is no longer kept.
    pub fn block(&self, height: Height) -> Result<Option<BlockParts>, ArchiveError> {
        let Some((header, log_index)) = self.header(height)? else { return Ok(None) };
        let Some(proposal) = self.proposals.proposal(height, log_index)? else { return Ok(None) };
        let Some(record) = self.store.get(Column::Outcomes, &height.0.to_be_bytes())? else { return Ok(None) };
        let outcomes = sealed::open(&height.0.to_be_bytes(), &record)
            .map_err(|error| ArchiveError::Damaged { height, what: format!("its outcomes: {error}") })?;
        let outcomes = read_outcomes(outcomes, Outcome::decode_compact).map_err(|error| damaged(height, &error))?;
        let outcomes = outcomes_to_bytes(&outcomes).into();
        Ok(Some(BlockParts { header, log_index, proposal, outcomes }))
    }

    /// The receipt of one command.
    pub fn receipt(&self, height: Height, index: u32) -> Result<Option<Receipt>, ArchiveError> {
        let Some(parts) = self.block(height)? else { return Ok(None) };
        let proposal = BlockProposal::decode(&parts.proposal).map_err(|error| damaged(height, &error))?;
        let outcomes = decode_outcomes(&parts.outcomes).map_err(|error| damaged(height, &error))?;
        if outcomes.len() != proposal.commands.len() {
            let what = format!("it has {} commands and {} outcomes", proposal.commands.len(), outcomes.len());
            return Err(ArchiveError::Damaged { height, what });
        }
        let leaves = command_leaves(proposal.encoded_commands().zip(&outcomes));
        let at = index as usize;
        let (Some(command), Some(outcome)) = (proposal.command_bytes(at), outcomes.get(at)) else {
            return Ok(None);
        };
        Ok(Receipt::build(parts.header, &leaves, index, command.to_vec(), *outcome))
    }
}

/// Reads outcomes in the form in which they are sent with blocks.
pub fn decode_outcomes(bytes: &[u8]) -> Result<Vec<Outcome>, DecodeError> {
    read_outcomes(bytes, Outcome::decode)
}

fn read_outcomes(
    bytes: &[u8],
    one: fn(&mut Reader<'_>) -> Result<Outcome, DecodeError>,
) -> Result<Vec<Outcome>, DecodeError> {
    let mut input = Reader::new("outcomes", bytes);
    let mut outcomes = Vec::with_capacity(bytes.len() / OUTCOME_BYTES);
    while !input.is_empty() {
        outcomes.push(one(&mut input)?);
    }
    Ok(outcomes)
}

fn damaged(height: Height, error: &DecodeError) -> ArchiveError {
    ArchiveError::Damaged { height, what: error.to_string() }
}

/// Block proposals by height in the log column: a bank's replica.
pub struct ProposalsByHeight(pub Arc<dyn Store>);

impl ProposalsByHeight {
    pub fn put(batch: &mut WriteBatch, height: Height, proposal: &[u8]) {
        batch.put(Column::Log, height.0.to_be_bytes(), sealed::seal(&height.0.to_be_bytes(), proposal));
    }
}

impl ProposalSource for ProposalsByHeight {
    fn proposal(&self, height: Height, _: u64) -> Result<Option<Bytes>, ArchiveError> {
        let Some(record) = self.0.get(Column::Log, &height.0.to_be_bytes())? else { return Ok(None) };
        let proposal = sealed::open(&height.0.to_be_bytes(), &record)
            .map_err(|error| ArchiveError::Damaged { height, what: format!("its proposal: {error}") })?;
        Ok(Some(record.slice_ref(proposal)))
    }
}
