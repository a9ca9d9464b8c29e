//! Checkpoints from the leader, for a node that is too far behind for the log.
//!
//! A received checkpoint is loaded whole before anything of it is installed. It does not vouch for itself: it comes
//! with its block's signed header and the membership changes that lead to those who signed it, and is checked against
//! what this node trusts already ([`cbdc_node::checkpoint_proof`]). The ledger that came out is handed to settlement,
//! so that it is not loaded twice.
//!
//! A checkpoint is installed and written one at a time: two at once would remove each other's chunks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cbdc_ledger::member::Members;
use cbdc_ledger::{Genesis, Height, Ledger};
use cbdc_node::checkpoint_proof::CheckpointProof;
use cbdc_node::recovery::{RecoveryError, load_checkpoint};
use cbdc_ordering::Position;
use cbdc_ordering::snapshot::{CheckpointSnapshots, SnapshotSource};
use cbdc_proto::internal as wire;
use cbdc_storage::{CheckpointManifest, CheckpointStore, Store, StoreError};

type Chunks<'a> = dyn Iterator<Item = Result<Bytes, StoreError>> + 'a;

/// The checkpoints of a node's store, verified by the ledger.
pub struct VerifiedCheckpoints {
    store: Arc<dyn Store>,
    inner: CheckpointSnapshots,
    genesis: Arc<Genesis>,
    /// The members of this node's ledger when it started.
    members: Members,
    writing: Arc<Mutex<()>>,
    verified: Mutex<Option<Verified>>,
}

/// The checkpoint that was verified last.
struct Verified {
    manifest: CheckpointManifest,
    ledger: Ledger,
    proof: CheckpointProof,
    is_installed: bool,
}

impl VerifiedCheckpoints {
    /// The checkpoints in the store of a node that starts with a ledger.
    pub fn new(store: Arc<dyn Store>, ledger: &Ledger) -> VerifiedCheckpoints {
        let inner = CheckpointSnapshots::new(store.clone());
        let (genesis, members) = (Arc::new(ledger.genesis().clone()), ledger.members().clone());
        VerifiedCheckpoints { store, inner, genesis, members, writing: Arc::default(), verified: Mutex::default() }
    }

    fn verified(&self) -> MutexGuard<'_, Option<Verified>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
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
        let verified = self.verified().take();
        match verified {
            Some(verified) if verified.manifest == *manifest => Ok(verified.ledger),
            _ => {
                // It was verified before it was stored here.
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

    fn proof(&self, manifest: &CheckpointManifest) -> Result<wire::CheckpointProof, String> {
        let proof = CheckpointProof::read(&self.store, Height(manifest.height)).map_err(|error| error.to_string())?;
        let proof = proof.ok_or_else(|| format!("the header of block {} is not kept here", manifest.height))?;
        let (header, membership_changes) = proof.to_parts();
        Ok(wire::CheckpointProof { header, membership_changes })
    }

    fn verify(
        &self,
        manifest: &CheckpointManifest,
        proof: &wire::CheckpointProof,
        chunks: &mut Chunks<'_>,
    ) -> Result<(), String> {
        let proof = CheckpointProof::from_parts(&proof.header, &proof.membership_changes);
        let proof = proof.map_err(|error| format!("its proof cannot be read: {error}"))?;
        let ledger = proof.verify(manifest, chunks, &self.genesis, (&self.store, &self.members));
        let ledger = ledger.map_err(|error| error.to_string())?;
        *self.verified() = Some(Verified { manifest: manifest.clone(), ledger, proof, is_installed: false });
        Ok(())
    }

    fn forget_unless_installed(&self) {
        drop(self.verified().take_if(|verified| !verified.is_installed));
    }

    fn install(&self, manifest: &CheckpointManifest, chunks: &mut Chunks<'_>) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verified) = self.verified().as_ref().filter(|verified| verified.manifest == *manifest) {
            verified.proof.keep(&self.store)?;
        }
        self.inner.install(manifest, chunks)?;
        if let Some(verified) = self.verified().as_mut().filter(|verified| verified.manifest == *manifest) {
            verified.is_installed = true;
        }
        Ok(())
    }
}
