//! The node's ledger: one thread applies blocks, all services read.
//!
//! Reading takes a shared lock for the moment of the look-up; applying a block and taking a snapshot take it
//! exclusively. It is never held across an await.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cbdc_ledger::checkpoint::LedgerSnapshot;
use cbdc_ledger::filtered_block::{AppliedBlock, FilteredBlockError};
use cbdc_ledger::{Block, Header, Height, Ledger, VerifiedProposal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The longest time that a reader waits until the block that it has read is announced.
const ANNOUNCED_MAX: Duration = Duration::from_secs(2);

/// A block that was applied here and not announced in time: not as many nodes as it takes have signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "block {0} was not signed yet by as many nodes of the central bank as it takes, so nothing that depends on it is told"
)]
pub struct NotAnnounced(pub Height);

#[derive(Clone)]
pub struct LedgerHandle {
    ledger: Arc<RwLock<Ledger>>,
    height: watch::Sender<Height>,
    closed: CancellationToken,
}

impl LedgerHandle {
    pub fn new(ledger: Ledger) -> LedgerHandle {
        let (height, _) = watch::channel(ledger.height());
        LedgerHandle { ledger: Arc::new(RwLock::new(ledger)), height, closed: CancellationToken::new() }
    }

    /// Reads from the present ledger.
    pub fn read<R>(&self, look: impl FnOnce(&Ledger) -> R) -> R {
        look(&self.ledger.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads from the present ledger, and returns what was read once its newest block is announced: what is told to
    /// anybody counts.
    ///
    /// # Errors
    /// That takes too long, or the node stops.
    pub async fn read_announced<R>(&self, look: impl FnOnce(&Ledger) -> R) -> Result<R, NotAnnounced> {
        let (found, height) = self.read(|ledger| (look(ledger), ledger.height()));
        self.until_announced(height).await.map(|()| found)
    }

    /// Waits until a block was announced.
    ///
    /// # Errors
    /// That takes too long, or the node stops.
    pub async fn until_announced(&self, height: Height) -> Result<(), NotAnnounced> {
        if self.newest_announced() >= height {
            return Ok(());
        }
        match tokio::time::timeout(ANNOUNCED_MAX, self.wait_until_announced(height)).await {
            Ok(true) => Ok(()),
            _ => Err(NotAnnounced(height)),
        }
    }

    /// The height of the last announced block.
    pub fn newest_announced(&self) -> Height {
        *self.height.borrow()
    }

    /// Applies the next block proposal and lets `then` see the ledger after it. Only the thread that settles calls
    /// this.
    pub fn apply<R>(&self, proposal: &VerifiedProposal<'_>, then: impl FnOnce(&Ledger, Block) -> R) -> R {
        let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
        let block = ledger.apply(proposal);
        then(&ledger, block)
    }

    /// Follows the next filtered block and lets `then` see the ledger after it. Only the thread that follows the chain
    /// calls this.
    pub fn follow(
        &self,
        header: &Header,
        filtered_block: &[u8],
        then: impl FnOnce(&Ledger, &AppliedBlock),
    ) -> Result<AppliedBlock, FilteredBlockError> {
        let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
        let followed = ledger.follow(header, filtered_block)?;
        then(&ledger, &followed);
        Ok(followed)
    }

    /// A snapshot at the present height that later blocks do not change. Only the thread that settles or follows calls
    /// this.
    pub fn snapshot(&self) -> LedgerSnapshot {
        self.ledger.write().unwrap_or_else(PoisonError::into_inner).snapshot()
    }

    /// Takes another ledger's place, which was verified. Only the thread that settles calls this.
    pub fn replace(&self, ledger: Ledger) {
        *self.ledger.write().unwrap_or_else(PoisonError::into_inner) = ledger;
    }

    /// Announces to followers that a block can be read from the archive.
    pub fn announce(&self, height: Height) {
        self.height.send_if_modified(|newest| {
            let is_newer = *newest < height;
            *newest = height.max(*newest);
            is_newer
        });
    }

    /// The height of the last announced block, with notification of changes.
    pub fn announced(&self) -> watch::Receiver<Height> {
        self.height.subscribe()
    }

    /// Waits until a block was announced; false if the node stops before.
    pub async fn wait_until_announced(&self, height: Height) -> bool {
        let mut announced = self.announced();
        tokio::select! {
            biased;
            reached = announced.wait_for(|newest| *newest >= height) => reached.is_ok(),
            () = self.closed.cancelled() => false,
        }
    }

    /// Closes the streams that follow the chain when the node stops, so that they do not delay it.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Cancelled once the node stops.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}
