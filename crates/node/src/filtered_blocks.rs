//! Filtered blocks, for banks with partial replicas.
//!
//! Settlement makes them as it seals a block, for the banks that ask for them. Each bank's newest are kept in memory;
//! for a bank that fell further behind, the missing ones are made again, from the newest checkpoint or from genesis,
//! alongside settlement and for one bank at a time.
//!
//! Which banks will ask is not known at start, so the first blocks are filtered for all of them: a bank that reconnects
//! a moment after the central bank's start need not wait. A bank that has not asked by the time its ring is full is
//! left out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cbdc_environment::thread;
use cbdc_ledger::filtered_block::filtered_blocks;
use cbdc_ledger::{BankId, Genesis, Height, Ledger, SignedHeader, VerifiedProposal};
use cbdc_proto::convert::header_to_message;
use cbdc_proto::v1;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;

use crate::archive::Archive;
use crate::recent_blocks::{RECENT_BYTES, Ring};
use crate::recovery;

/// The number of filtered blocks that may be made again ahead of their reader.
const AHEAD: usize = 16;

/// Bytes of filtered blocks kept in memory, for all banks together: a payment is in those of at most two banks, with
/// the accounts that it changed.
const RECENT_BYTES_ALL: usize = 4 * RECENT_BYTES;

#[derive(Default)]
struct Reader {
    ring: Ring<v1::FilteredBlock>,
    has_asked: bool,
}

/// The newest filtered blocks of each bank that reads them.
#[derive(Clone)]
pub struct FilteredBlocks {
    readers: Arc<Mutex<BTreeMap<BankId, Reader>>>,
    /// Held while a ledger is rebuilt: one at a time.
    again: Arc<Semaphore>,
}

impl FilteredBlocks {
    /// Filtered blocks for any of `banks`.
    pub fn new(banks: impl IntoIterator<Item = BankId>) -> FilteredBlocks {
        let readers = banks.into_iter().map(|bank| (bank, Reader::default())).collect();
        FilteredBlocks { readers: Arc::new(Mutex::new(readers)), again: Arc::new(Semaphore::new(1)) }
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, BTreeMap<BankId, Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a bank reads filtered blocks from now on.
    pub fn asked_for(&self, bank: BankId) {
        self.readers().entry(bank).or_default().has_asked = true;
    }

    /// The banks for which filtered blocks are made.
    pub fn wanted(&self) -> Vec<BankId> {
        let mut readers = self.readers();
        readers.retain(|_, reader| reader.has_asked || !reader.ring.is_full());
        readers.keys().copied().collect()
    }

    /// Adds the result of [`filtered_blocks`] for a block.
    pub fn push(&self, header: &SignedHeader, made: Vec<(BankId, Vec<u8>)>) {
        let mut readers = self.readers();
        let bytes_max = RECENT_BYTES_ALL / readers.len().max(1);
        for (bank, filtered_block) in made {
            if let Some(reader) = readers.get_mut(&bank) {
                let bytes = filtered_block.len();
                let message = v1::FilteredBlock {
                    header: Some(header_to_message(header)),
                    filtered_block: filtered_block.into(),
                };
                reader.ring.push(header.header.height, message, bytes, bytes_max);
            }
        }
    }

    /// Forgets all of them: the next block does not follow on the last.
    pub fn clear(&self) {
        self.readers().values_mut().for_each(|reader| reader.ring.clear());
    }

    pub(crate) fn get(&self, bank: BankId, height: Height) -> Option<v1::FilteredBlock> {
        self.readers().get(&bank)?.ring.get(height)
    }

    /// Makes the filtered blocks of a range of heights again, up to the first that is in memory. Yields at least one,
    /// or an error.
    pub(crate) async fn make_again(
        &self,
        archive: &Arc<Archive>,
        genesis: &Arc<Genesis>,
        bank: BankId,
        (from, to): (Height, Height),
    ) -> mpsc::Receiver<Result<v1::FilteredBlock, Status>> {
        let (send, receive) = mpsc::channel(AHEAD);
        let (filtered_blocks, archive, genesis) = (self.clone(), archive.clone(), genesis.clone());
        let turn = self.again.clone().acquire_owned().await;
        let rebuild = async move || {
            let _turn = turn;
            tracing::info!(%bank, %from, "rebuilding filtered blocks for a bank that fell behind");
            let is_needless = |height: Height| height > from && filtered_blocks.get(bank, height).is_some();
            if let Err(status) = again(&archive, &genesis, bank, (from, to), is_needless, &send).await {
                drop(send.send(Err(status)).await);
            }
        };
        if let Err(error) = thread::thread("filtered-blocks", rebuild) {
            tracing::error!(%error, "no thread for rebuilding filtered blocks");
        }
        receive
    }
}

async fn again(
    archive: &Archive,
    genesis: &Genesis,
    bank: BankId,
    (from, to): (Height, Height),
    is_needless: impl Fn(Height) -> bool + Send,
    send: &mpsc::Sender<Result<v1::FilteredBlock, Status>>,
) -> Result<(), Status> {
    let lost = |what: String| {
        tracing::error!(%bank, what, "filtered blocks cannot be rebuilt");
        Status::data_loss(what)
    };
    let mut ledger = ledger_before(archive, genesis, from).map_err(&lost)?;
    while ledger.height() < to {
        let height = ledger.height().next();
        if is_needless(height) {
            return Ok(());
        }
        let found = archive.block(height).map_err(|error| lost(error.to_string()))?;
        let parts = found.ok_or_else(|| lost(format!("block {height} is no longer kept")))?;
        let proposal = VerifiedProposal::from_own_log(&parts.proposal)
            .map_err(|error| lost(format!("block {height}: {error}")))?;
        let parent = *ledger.tip();
        let block = ledger.apply(&proposal);
        if block.header != parts.header.header {
            return Err(lost(format!("block {height}, applied again, gives another header")));
        }
        if height < from {
            continue;
        }
        for (_, filtered_block) in filtered_blocks(&ledger, &[bank], &parent, proposal.proposal(), &block) {
            let message = v1::FilteredBlock {
                header: Some(header_to_message(&parts.header)),
                filtered_block: filtered_block.into(),
            };
            if send.send(Ok(message)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A ledger below `height`: that of the newest checkpoint, if it is old enough.
fn ledger_before(archive: &Archive, genesis: &Genesis, height: Height) -> Result<Ledger, String> {
    match recovery::load(archive.store(), genesis.clone(), None) {
        Ok((ledger, _)) if ledger.height() < height => Ok(ledger),
        // A checkpoint may be replaced while it is read: genesis is always there.
        _ => Ledger::new(genesis.clone()).map_err(|error| error.to_string()),
    }
}
