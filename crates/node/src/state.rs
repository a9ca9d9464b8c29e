//! The node's ledger: one thread applies blocks, all services read.
//!
//! Reading takes a shared lock for the moment of the look-up; applying a block and taking a snapshot take it
//! exclusively. It is never held across an await.

use std::sync::{Arc, PoisonError, RwLock};

use cbdc_ledger::checkpoint::LedgerSnapshot;
use cbdc_ledger::filtered_block::{AppliedBlock, FilteredBlockError};
use cbdc_ledger::{Block, Header, Height, Ledger, VerifiedProposal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

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
