//! Following the chain as a partial replica: headers, and the central bank's filtered blocks for this bank.
//!
//! # On receiving filtered blocks in a row
//! 1. A block that is already known is skipped; one that leaves a gap is refused.
//! 2. Each header must continue this chain, and enough nodes of the central bank must have signed it. The signatures of
//!    all headers are verified together; those after a block that changed the members, in a new batch.
//! 3. [`Ledger::follow`] checks the own accounts against the header's effects root, balance sheet and policy, and
//!    stores them.
//! 4. Headers, filtered blocks, history, deposit entries and outbox releases are written in one batch, as in a full
//!    replica.
//!
//! Only the central bank is followed: any failure stops the node, naming the height.

use std::time::Instant;

use bytes::Bytes;
use cbdc_ledger::filtered_block::{AppliedBlock, OwnCommand};
use cbdc_ledger::prefetch::PREFETCH_BATCH;
use cbdc_ledger::{BankId, Ledger, SignedHeader};
use cbdc_node::{Archive, audit};
use cbdc_proto::v1;
use cbdc_storage::WriteBatch;

use crate::deposit_service::{Effect, arrivals_of, effects_of};
use crate::deposits::OrderedOutcome;
use crate::history::HistoryUpdate;
use crate::last_alive::went_through;
use crate::replica::{BlockError, ReplayError, Replica, replay_each};

/// Follows the archive's blocks above the ledger's height, checking each filtered block again. Returns the number of
/// commands.
pub fn replay(ledger: &mut Ledger, archive: &Archive) -> Result<u64, ReplayError> {
    replay_each(ledger, archive, |ledger, height, _| {
        let commands = audit::follow_partial_replica(archive, ledger)
            .map_err(|what| ReplayError::FilteredBlock { height, what })?;
        Ok(commands.len())
    })
}

impl Replica {
    /// Follows the central bank's next filtered blocks.
    pub(crate) fn follow_filtered_blocks(&mut self, messages: &[v1::FilteredBlock]) -> Result<(), BlockError> {
        let headers = self.next_headers(messages.iter().map(|message| message.header.as_ref()))?;
        let mut ahead = &headers[..];
        // Known ones came first.
        let mut filtered_blocks = &messages[messages.len() - headers.len()..];
        while !ahead.is_empty() {
            let followed = self.follow_under_present_members(ahead, filtered_blocks)?;
            (ahead, filtered_blocks) = (&ahead[followed..], &filtered_blocks[followed..]);
        }
        Ok(())
    }

    /// Follows blocks and writes them together, up to the first that changes the members: only then is it known who may
    /// sign the next ones. Returns their number, at least one.
    fn follow_under_present_members(
        &mut self,
        headers: &[SignedHeader],
        filtered_blocks: &[v1::FilteredBlock],
    ) -> Result<usize, BlockError> {
        let started = Instant::now();
        let verdicts = self.check_signatures(headers);
        let (mut batch, mut effects) = (WriteBatch::new(), Vec::new());
        let mut history = self.history.update();
        let mut taken_over = Vec::with_capacity(headers.len());
        for ((header, message), signed) in headers.iter().zip(filtered_blocks).zip(verdicts) {
            let height = header.header.height;
            let follow = |ledger: &Ledger, followed: &AppliedBlock| self.follow_changes(ledger, &followed.changes);
            let taken = signed.map_err(BlockError::from).and_then(|()| {
                let followed = self.ledger.follow(&header.header, &message.filtered_block, follow);
                followed.map_err(|error| BlockError::FilteredBlock { height, error })
            });
            let followed = match taken {
                Ok(followed) => followed,
                Err(error) if taken_over.is_empty() => return Err(error),
                // The blocks before it are written first; then it is tried again.
                Err(_) => break,
            };
            let watches_holders = self.deposits.watches_holders();
            Archive::put_filtered_block(&mut batch, header, &message.filtered_block);
            self.put_membership_change(&mut batch, header, &followed.changes);
            let went_through = || followed.commands.iter().any(|own| went_through(self.bank, &own.command));
            effects.extend(self.sign_of_life(&header.header, went_through));
            history.begin(height, followed.commands.len(), &followed.changes.entries);
            for commands in followed.commands.chunks(PREFETCH_BATCH) {
                history.prefetch(commands.iter().map(|own| &own.command));
                for own in commands {
                    enter(self.bank, own, (&mut history, &mut effects), height, watches_holders);
                }
            }
            arrivals_of(self.bank, &followed.changes.deposits, &mut effects);
            history.put(&mut batch);
            taken_over.push((header.header, followed.commands.len()));
            // The signers may change from here on; and a checkpoint is of the ledger right after a checkpoint block.
            if followed.changes.members || header.header.is_of_checkpoint() {
                break;
            }
        }
        let (newest, _) = *taken_over.last().expect("the first block was taken over, or its error returned");
        let booked = self.deposits.follow_block(batch, &effects, (newest.height, newest.time));
        booked.map_err(|error| BlockError::Books { height: newest.height, error })?;
        drop(history);
        self.ledger.announce(newest.height);
        for (header, commands) in &taken_over {
            self.metrics.block_applied(header.height, started.elapsed() / taken_over.len() as u32);
            self.checkpoints.note(header.height, *commands);
        }
        self.checkpoint(&newest);
        Ok(taken_over.len())
    }
}

/// Adds a command's history lines, and its effects on the books.
fn enter(
    bank: BankId,
    own: &OwnCommand,
    (history, effects): (&mut HistoryUpdate<'_>, &mut Vec<Effect>),
    height: cbdc_ledger::Height,
    watches_holders: bool,
) {
    let OwnCommand { index, offset, outcome, ref command } = *own;
    history.add(command, index, offset, &outcome);
    if crate::replica::moves_nothing_here(command) && !watches_holders {
        return;
    }
    let bytes = || Bytes::from(command.to_bytes());
    effects_of(bank, command, bytes, OrderedOutcome { height, index, outcome }, watches_holders, effects);
}
