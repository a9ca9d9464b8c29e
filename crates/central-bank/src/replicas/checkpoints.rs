//! Checkpoints from the leader, for a node that is too far behind for the log.
//!
//! A received checkpoint is loaded whole before anything of it is installed: its root, the ledger's invariants, the
//! network and the signature of the node that wrote it are checked as at a start. The ledger that came out is handed to
//! settlement, so that it is not loaded twice.
//!
//! A checkpoint is installed and written one at a time: two at once would remove each other's chunks.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cbdc_ledger::{Genesis, Ledger};
use cbdc_node::recovery::{RecoveryError, load_checkpoint, read_checkpoint};
use cbdc_ordering::Position;
use cbdc_ordering::snapshot::{CheckpointSnapshots, SnapshotSource};
use cbdc_storage::{CheckpointManifest, CheckpointStore, Store, StoreError};

type Chunks<'a> = dyn Iterator<Item = Result<Bytes, StoreError>> + 'a;

/// The checkpoints of a node's store, verified by the ledger.
pub struct VerifiedCheckpoints {
    store: Arc<dyn Store>,
    inner: CheckpointSnapshots,
    genesis: Arc<Genesis>,
    writing: Arc<Mutex<()>>,
    /// The ledger of the checkpoint that was verified last.
    verified: Mutex<Option<(CheckpointManifest, Ledger)>>,
}

impl VerifiedCheckpoints {
    pub fn new(store: Arc<dyn Store>, genesis: Arc<Genesis>) -> VerifiedCheckpoints {
        let inner = CheckpointSnapshots::new(store.clone());
        VerifiedCheckpoints { store, inner, genesis, writing: Arc::default(), verified: Mutex::default() }
    }

    /// Held while a checkpoint is written.
    pub fn writing(&self) -> Arc<Mutex<()>> {
        self.writing.clone()
    }

    /// The ledger of an installed checkpoint.
    ///
    /// # Errors
    /// The checkpoint cannot be read back.
    pub fn ledger_of(&self, manifest: &CheckpointManifest) -> Result<Ledger, RecoveryError> {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner).take();
        match verified {
            Some((of, ledger)) if of == *manifest => Ok(ledger),
            _ => {
                let checkpoints = CheckpointStore::new(self.store.clone());
                load_checkpoint(&checkpoints, manifest.height, &self.genesis, None).map(|(ledger, _)| ledger)
            }
        }
    }
}

impl SnapshotSource for VerifiedCheckpoints {
    fn build(&self, applied: Option<Position>) -> Result<Option<CheckpointManifest>, StoreError> {
        self.inner.build(applied)
    }

    fn latest(&self) -> Result<Option<CheckpointManifest>, StoreError> {
        self.inner.latest()
    }

    fn read_chunk(&self, manifest: &CheckpointManifest, chunk: u32) -> Result<Bytes, StoreError> {
        self.inner.read_chunk(manifest, chunk)
    }

    fn verify(&self, manifest: &CheckpointManifest, chunks: &mut Chunks<'_>) -> Result<(), String> {
        let ledger = read_checkpoint(manifest, chunks, &self.genesis, None).map_err(|error| error.to_string())?;
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner) = Some((manifest.clone(), ledger));
        Ok(())
    }

    fn install(&self, manifest: &CheckpointManifest, chunks: &mut Chunks<'_>) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner.install(manifest, chunks)
    }
}
