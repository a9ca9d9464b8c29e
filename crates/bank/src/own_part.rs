//! Following the own part of the chain: headers, and the central bank's extracts for this bank.
//!
//! # On receiving an extract
//! 1. One that is known already is passed over; one that leaves a gap is refused.
//! 2. The header must continue this chain, and enough nodes of the central bank must have signed it.
//! 3. [`Ledger::follow`] checks the own accounts against the header's effects root, balance sheet and policy, and takes them
//!    over.
//! 4. Header, extract, history, deposit entries and outbox releases are written in one batch, as of a full replica.
//!
//! Only the central bank is followed: a failure anywhere stops the node, naming the height.

use bytes::Bytes;
use cbdc_ledger::extract::{Followed, OwnCommand};
use cbdc_ledger::settlement::LOOK_AHEAD;
use cbdc_ledger::{BankId, Ledger, SignedHeader};
use cbdc_node::{Archive, audit};
use cbdc_proto::v1;
use cbdc_storage::WriteBatch;

use crate::deposits::Placed;
use crate::desk::{Effect, arrivals_of, effects_of};
use crate::history::Draft;
use crate::replica::{BlockError, ReplayError, Replica, replay_each};

/// Follows what the archive holds above the ledger's height, checking each extract again. Gives the number of commands.
pub fn replay(ledger: &mut Ledger, archive: &Archive) -> Result<u64, ReplayError> {
    replay_each(ledger, archive, |ledger, height, _| {
        let commands = audit::follow_own_part(archive, ledger).map_err(|what| ReplayError::Extract { height, what })?;
        Ok(commands.len())
    })
}

impl Replica {
    /// Takes the next block over from the central bank's extract.
    pub(crate) fn follow_extract(&mut self, message: &v1::BlockExtract) -> Result<(), BlockError> {
        let started = std::time::Instant::now();
        let Some(header) = self.next_header(message.header.as_ref())? else { return Ok(()) };
        let height = header.header.height;
        let follow = |ledger: &Ledger, followed: &Followed| self.follow_changes(ledger, &followed.changes);
        let followed = self.ledger.follow(&header.header, &message.extract, follow);
        let followed = followed.map_err(|error| BlockError::Extract { height, error })?;
        self.book_extract(&header, &message.extract, &followed)?;
        self.ledger.announce(height);
        self.metrics.block_applied(height, started.elapsed());
        self.checkpoint(height, followed.commands.len());
        Ok(())
    }

    /// Writes the extract and everything that it drives.
    fn book_extract(&self, header: &SignedHeader, extract: &Bytes, followed: &Followed) -> Result<(), BlockError> {
        let height = header.header.height;
        let mut batch = WriteBatch::new();
        Archive::put_extract(&mut batch, header, extract);
        let mut history = self.history.draft(height, followed.commands.len());
        let mut effects = Vec::new();
        let watches_holders = self.desk.watches_holders();
        for commands in followed.commands.chunks(LOOK_AHEAD) {
            history.fetch(commands.iter().map(|own| &own.command));
            for own in commands {
                enter(self.bank, own, (&mut history, &mut effects), height, watches_holders);
            }
        }
        arrivals_of(self.bank, &followed.changes.deposits, &mut effects);
        history.put(&mut batch);
        let booked = self.desk.follow_block(batch, &effects, (height, header.header.time));
        booked.map_err(|error| BlockError::Books { height, error })
    }
}

/// A command's lines of the history, and what it means to the books.
fn enter(
    bank: BankId,
    own: &OwnCommand,
    (history, effects): (&mut Draft<'_>, &mut Vec<Effect>),
    height: cbdc_ledger::Height,
    watches_holders: bool,
) {
    let OwnCommand { index, offset, outcome, ref command } = *own;
    history.add(command, index, offset, &outcome);
    if crate::replica::moves_nothing_here(command) && !watches_holders {
        return;
    }
    let bytes = || Bytes::from(command.to_bytes());
    effects_of(bank, command, bytes, Placed { height, index, outcome }, watches_holders, effects);
}
