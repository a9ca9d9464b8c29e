//! Checkpoints: written from a snapshot of the ledger, and read at start.
//!
//! A start takes the newest checkpoint, checks its root and the ledger's invariants, and hands the ledger over; the
//! caller replays the log from there. A checkpoint that does not verify stops the node: it names the height, and an
//! operator decides, because silently going back could hide tampering.

use std::ops::ControlFlow;
use std::sync::Arc;

use cbdc_ledger::checkpoint::{CheckpointError, LedgerSnapshot, Loader};
use cbdc_ledger::{Genesis, Height, Ledger};
use cbdc_storage::{CheckpointManifest, CheckpointStore, CheckpointWriter, LogPosition, Store, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error(
        "the checkpoint at height {height} does not verify: {error}; keep the folder as evidence; a bank may then \
        start in an empty one and follows the chain again, the central bank needs a copy of its own"
    )]
    Checkpoint { height: Height, error: CheckpointError },
    #[error("the data folder belongs to network {found}, the configured genesis is network {expected}")]
    OtherNetwork { expected: String, found: String },
    #[error("the genesis is not acceptable: {0}")]
    Genesis(#[from] cbdc_ledger::genesis::GenesisError),
}

/// The ledger to start from, and the checkpoint that it came from, if there was one.
pub fn load(store: &Arc<dyn Store>, genesis: Genesis) -> Result<(Ledger, Option<CheckpointManifest>), RecoveryError> {
    let checkpoints = CheckpointStore::new(store.clone());
    let Some(manifest) = checkpoints.latest()? else { return Ok((Ledger::new(genesis)?, None)) };
    let height = Height(manifest.height);
    let mut loader = Loader::default();
    let mut failed = None;
    checkpoints.read_chunks(&manifest, &mut |chunk: bytes::Bytes| match loader.chunk(&chunk) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    let loaded = match failed {
        Some(error) => Err(error),
        None => loader.finish(manifest.root),
    };
    let ledger = loaded.map_err(|error| RecoveryError::Checkpoint { height, error })?;
    if ledger.network() != genesis.network() {
        let (expected, found) = (genesis.network().to_string(), ledger.network().to_string());
        return Err(RecoveryError::OtherNetwork { expected, found });
    }
    tracing::info!(%height, wallets = ledger.wallet_count(), "started from a checkpoint");
    Ok((ledger, Some(manifest)))
}

/// Writes a checkpoint from a snapshot; when it returns, the checkpoint is durable.
pub fn write(
    store: &Arc<dyn Store>,
    snapshot: &LedgerSnapshot,
    position: LogPosition,
) -> Result<CheckpointManifest, StoreError> {
    let mut writer = CheckpointWriter::begin(store.clone(), snapshot.height().0)?;
    let root = snapshot.write(|chunk| writer.chunk(&chunk))?;
    writer.finish(position, root, &[])
}
