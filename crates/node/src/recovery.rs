//! Checkpoints: written from a snapshot of the ledger, and read at start.
//!
//! A start takes the newest checkpoint, checks its root, the ledger's invariants, that each part of the state matches
//! the header, and the signature of the node that wrote it, and returns the ledger; the caller replays the log from
//! there. A checkpoint only saves time. If it is damaged, or this node may not start from it, a security event is
//! logged and an older one is taken, or genesis: the replay gives the same ledger and compares every block. The
//! checkpoint is kept until two newer ones are written.
//!
//! The signature must be by the node's own key or, if that was replaced since, by the key in the ledger at that height.
//! In the latter case the checkpoint is trusted as the log is: the replay ends with members that name the node's
//! present key.

use std::sync::Arc;

use cbdc_ledger::checkpoint::{CheckpointError, LedgerSnapshot, Loader};
use cbdc_ledger::checkpoint_signature::CheckpointSignature;
use cbdc_ledger::member::Role;
use cbdc_ledger::{FormatVersion, Genesis, Height, Ledger, MemberId, PublicKey, SigningKey};
use cbdc_storage::{
    CheckpointId, CheckpointManifest, CheckpointStore, CheckpointWriter, LogPosition, Store, StoreError,
};

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("the checkpoint at height {height} does not verify: {error}")]
    Checkpoint { height: Height, error: CheckpointError },
    #[error("the checkpoint at height {height} is not one that this node may start from: {what}")]
    Signature { height: Height, what: String },
    #[error("the checkpoint is of network {found}, the configured genesis is network {expected}")]
    OtherNetwork { expected: String, found: String },
    #[error("the genesis is not acceptable: {0}")]
    Genesis(#[from] cbdc_ledger::genesis::GenesisError),
}

/// The node that writes checkpoints, and its signing key.
#[derive(Clone)]
pub struct CheckpointSigner {
    pub role: Role,
    pub member: MemberId,
    pub key: Arc<SigningKey>,
}

impl RecoveryError {
    /// Whether only a checkpoint is wrong, and no part of the chain.
    fn is_of_checkpoint(&self) -> bool {
        match self {
            RecoveryError::Checkpoint { .. } | RecoveryError::Signature { .. } | RecoveryError::OtherNetwork { .. } => {
                true
            }
            RecoveryError::Store(error) => error.is_damage(),
            RecoveryError::Genesis(_) => false,
        }
    }
}

/// The ledger to start from, and the checkpoint that it came from, if any. `own_key` is the key with which the node
/// signs.
pub fn load(
    store: &Arc<dyn Store>,
    genesis: Genesis,
    own_key: Option<&PublicKey>,
) -> Result<(Ledger, Option<CheckpointManifest>), RecoveryError> {
    let checkpoints = CheckpointStore::new(store.clone());
    let mut heights = match checkpoints.heights() {
        Err(error) if error.is_damage() => {
            tracing::error!(target: "security", %error, "no checkpoint can be read; starting from genesis");
            Vec::new()
        }
        heights => heights?,
    };
    while let Some(height) = heights.pop() {
        let error = match load_checkpoint(&checkpoints, height, &genesis, own_key) {
            Err(error) if error.is_of_checkpoint() => error,
            loaded => return loaded,
        };
        let next = heights.last().map_or_else(|| "genesis".to_owned(), |older| format!("that at height {older}"));
        tracing::error!(target: "security", %error, "a checkpoint is passed over; starting from {next}");
    }
    Ok((Ledger::new(genesis)?, None))
}

/// The height of the newest checkpoint, valid or not: the next one is written above it.
pub fn newest_checkpoint(store: &Arc<dyn Store>) -> Height {
    let heights = CheckpointStore::new(store.clone()).heights();
    Height(heights.ok().and_then(|heights| heights.last().copied()).unwrap_or(0))
}

/// The ledger of one checkpoint in a node's own store. One that comes from another node has to be
/// [proved](crate::checkpoint_proof) before it is stored.
pub fn load_checkpoint(
    checkpoints: &CheckpointStore,
    height: CheckpointId,
    genesis: &Genesis,
    own_key: Option<&PublicKey>,
) -> Result<(Ledger, Option<CheckpointManifest>), RecoveryError> {
    let Some(manifest) = checkpoints.manifest(height)? else {
        return Err(RecoveryError::Signature { height: Height(height), what: "it has no manifest".to_owned() });
    };
    let mut chunks = (0..manifest.chunk_count).map(|chunk| checkpoints.read_chunk(manifest.height, chunk));
    let ledger = read_chunks(&manifest, &mut chunks, genesis)?;
    check_signature(&ledger, &manifest, own_key)?;
    let height = ledger.height();
    tracing::info!(%height, wallets = ledger.wallet_count(), "started from a checkpoint");
    Ok((ledger, Some(manifest)))
}

/// The ledger of a checkpoint's chunks, which are whole and of the network of a genesis. Whose they are is not checked.
///
/// # Errors
/// The chunks are damaged, or of another network.
pub(crate) fn read_chunks(
    manifest: &CheckpointManifest,
    chunks: &mut dyn Iterator<Item = Result<bytes::Bytes, StoreError>>,
    genesis: &Genesis,
) -> Result<Ledger, RecoveryError> {
    let height = Height(manifest.height);
    let damaged = |error| RecoveryError::Checkpoint { height, error };
    let mut loader = Loader::default();
    for chunk in chunks {
        loader.chunk(&chunk?).map_err(damaged)?;
    }
    let ledger = loader.finish(manifest.root).map_err(damaged)?;
    if ledger.network() != genesis.network() {
        let (expected, found) = (genesis.network().to_string(), ledger.network().to_string());
        return Err(RecoveryError::OtherNetwork { expected, found });
    }
    if ledger.format() > FormatVersion::One && !ledger.tip().is_of_checkpoint() {
        let what = "its block is no checkpoint block".to_owned();
        return Err(RecoveryError::Signature { height: ledger.height(), what });
    }
    Ok(ledger)
}

/// Refuses a checkpoint that is not signed correctly.
fn check_signature(
    ledger: &Ledger,
    manifest: &CheckpointManifest,
    own_key: Option<&PublicKey>,
) -> Result<(), RecoveryError> {
    let refused = |what: String| RecoveryError::Signature { height: ledger.height(), what };
    let signature = CheckpointSignature::from_bytes(&manifest.extra).map_err(|error| refused(error.to_string()))?;
    let (hash, CheckpointSignature { role, member, .. }) = (ledger.tip_hash(), signature);
    let is_of = |key: &PublicKey| signature.is_signed_by(ledger.network(), key, &hash, &manifest.root);
    if own_key.is_some_and(is_of) {
        return Ok(());
    }
    let known = ledger.members().seat(role, member).map(|seat| seat.member.signing_key);
    if !known.is_some_and(|key| is_of(&key)) {
        return Err(refused(format!("it is not signed with the key of {role} {member}")));
    }
    if own_key.is_some() {
        tracing::warn!(
            height = %ledger.height(), %role, %member,
            "the checkpoint is not signed with this node's present key, but with one that was in force at its height"
        );
    }
    Ok(())
}

/// Writes a checkpoint from a snapshot; durable when it returns.
pub fn write(
    store: &Arc<dyn Store>,
    snapshot: &LedgerSnapshot,
    position: LogPosition,
    signer: &CheckpointSigner,
) -> Result<CheckpointManifest, StoreError> {
    let mut writer = CheckpointWriter::begin(store.clone(), snapshot.height().0)?;
    let root = snapshot.write(|chunk| writer.chunk(&chunk))?;
    let (hash, who) = (snapshot.header().hash(), (signer.role, signer.member));
    let signature = CheckpointSignature::sign(snapshot.network(), who, &signer.key, &hash, &root);
    writer.finish(position, root, &signature.to_bytes())
}
