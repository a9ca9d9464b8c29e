//! The proof of a checkpoint that comes from another node of the central bank.
//!
//! What a node trusts already decides: its genesis, and the members that followed from it. The proof is the signed
//! header of the checkpoint's block, with the proofs of the membership changes up to it. It is checked in this order:
//!
//! 1. The changes lead from the members that the receiver knows to those at the block's height.
//! 2. As many of these as membership requires have signed the header.
//! 3. The ledger that comes out of the chunks ends with exactly that header, which covers its whole state.
//! 4. One of those members has signed the chunks' root, which covers every byte of them.
//!
//! Nothing of it is taken from the checkpoint itself: one that was altered, and whose roots and signature were made
//! anew, is refused. Version 1 of the formats proves no membership changes; there the members of the receiver's own
//! ledger count too.
//!
//! A node that has installed a checkpoint keeps its proof, so that it can pass it on. Record: column `meta`, key
//! `checkpoint-header/` and the height (u64, big-endian), sealed; the signed header. The membership changes join those
//! of the archive.

use std::sync::Arc;

use bytes::Bytes;
use cbdc_ledger::block::ProofError;
use cbdc_ledger::checkpoint_signature::CheckpointSignature;
use cbdc_ledger::encoding::{DecodeError, Reader, Writer};
use cbdc_ledger::member::{Members, Role};
use cbdc_ledger::membership_change::{FollowedMembership, MembershipChange};
use cbdc_ledger::{FormatVersion, Genesis, Height, Ledger, SignedHeader};
use cbdc_storage::{CheckpointManifest, Column, Durability, Store, StoreError, WriteBatch, sealed};

use crate::archive::{Archive, ArchiveError, NoProposals};
use crate::recovery::{RecoveryError, read_chunks};

const PREFIX: &[u8] = b"checkpoint-header/";

/// The proof of a checkpoint.
#[derive(Clone, Debug)]
pub struct CheckpointProof {
    /// The signed header of its block.
    pub header: SignedHeader,
    /// The membership changes up to it, oldest first.
    pub changes: Vec<MembershipChange>,
}

/// Why a received checkpoint is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProofRefused {
    #[error(transparent)]
    Checkpoint(#[from] RecoveryError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("its proof cannot be read: {0}")]
    Unreadable(#[from] DecodeError),
    #[error("its proof is of block {found}, and it is of block {expected}")]
    OtherHeight { expected: Height, found: Height },
    #[error("its block's header does not count: {0}")]
    Header(ProofError),
    #[error("its ledger ends with another block {height} than the one that was signed")]
    OtherBlock { height: Height },
    #[error("it holds a part of a ledger only")]
    Part,
    #[error("its chunks are not signed by a node of the central bank that signed headers at height {height}: {what}")]
    Writer { height: Height, what: String },
}

impl CheckpointProof {
    /// The proof of the checkpoint at a height that is kept in a store; `None` if its header is not there.
    ///
    /// # Errors
    /// The store cannot be read, or what is there is damaged.
    pub fn read(store: &Arc<dyn Store>, height: Height) -> Result<Option<CheckpointProof>, ArchiveError> {
        let archive = Archive::new(store.clone(), Arc::new(NoProposals));
        let header = match archive.header(height)? {
            Some((header, _)) => Some(header),
            None => kept_header(store, height)?,
        };
        let Some(header) = header else { return Ok(None) };
        let changes = archive.membership_changes(Height(0), usize::MAX)?;
        let changes = changes.iter().take_while(|(at, _)| *at <= height);
        let changes =
            changes.map(|(at, change)| MembershipChange::from_bytes(change).map_err(|error| damaged(*at, &error)));
        Ok(Some(CheckpointProof { header, changes: changes.collect::<Result<_, _>>()? }))
    }

    /// The bytes of the header and of each change.
    pub fn to_parts(&self) -> (Bytes, Vec<Bytes>) {
        (encoded(&self.header), self.changes.iter().map(|change| change.to_bytes().into()).collect())
    }

    /// Reads what [`CheckpointProof::to_parts`] gave. Nothing is proved yet.
    ///
    /// # Errors
    /// The bytes are no such parts.
    pub fn from_parts(header: &[u8], changes: &[Bytes]) -> Result<CheckpointProof, DecodeError> {
        let changes = changes.iter().map(|change| MembershipChange::from_bytes(change)).collect::<Result<_, _>>()?;
        Ok(CheckpointProof { header: decoded(header)?, changes })
    }

    /// Keeps the proof of a checkpoint that was installed.
    ///
    /// # Errors
    /// The store fails.
    pub fn keep(&self, store: &Arc<dyn Store>) -> Result<(), StoreError> {
        let key = key(self.header.header.height);
        let mut batch = WriteBatch::new();
        let record = sealed::seal(&key, &encoded(&self.header));
        batch.put(Column::Meta, key, record);
        self.changes.iter().for_each(|change| Archive::put_membership_change(&mut batch, change));
        store.write(batch, Durability::Synced)
    }

    /// The ledger of a checkpoint that this proves to whoever trusts a genesis. `own` is the store of the receiver,
    /// with the membership changes that it knows; `members` are those of its own ledger.
    ///
    /// # Errors
    /// [`ProofRefused`]: nothing of the checkpoint may be used.
    pub fn verify(
        &self,
        manifest: &CheckpointManifest,
        chunks: &mut dyn Iterator<Item = Result<Bytes, StoreError>>,
        genesis: &Genesis,
        (own, members): (&Arc<dyn Store>, &Members),
    ) -> Result<Ledger, ProofRefused> {
        let (height, found) = (Height(manifest.height), self.header.header.height);
        if found != height {
            return Err(ProofRefused::OtherHeight { expected: height, found });
        }
        let own = Archive::new(own.clone(), Arc::new(NoProposals));
        let followed = own.followed_membership(genesis)?.followed(self.changes.iter().cloned());
        self.check_header(genesis, &followed, members)?;
        let ledger = read_chunks(manifest, chunks, genesis)?;
        if ledger.tip_hash() != self.header.header.hash() {
            return Err(ProofRefused::OtherBlock { height });
        }
        if ledger.partial_replica_of().is_some() {
            return Err(ProofRefused::Part);
        }
        self.check_writer(manifest, &followed, members, &ledger)?;
        Ok(ledger)
    }

    fn check_header(
        &self,
        genesis: &Genesis,
        followed: &FollowedMembership,
        members: &Members,
    ) -> Result<(), ProofRefused> {
        let checked = followed.check_header(&self.header).or_else(|error| match self.header.header.format {
            FormatVersion::One => self.header.check_by_members(genesis.network(), members.header_signatures(), members),
            _ => Err(error),
        });
        checked.map_err(ProofRefused::Header)
    }

    fn check_writer(
        &self,
        manifest: &CheckpointManifest,
        followed: &FollowedMembership,
        members: &Members,
        ledger: &Ledger,
    ) -> Result<(), ProofRefused> {
        let height = ledger.height();
        let refused = |what: String| ProofRefused::Writer { height, what };
        let signature = CheckpointSignature::from_bytes(&manifest.extra).map_err(|error| refused(error.to_string()))?;
        let CheckpointSignature { role, member, .. } = signature;
        let own = members.active(role, member).map(|seat| seat.member.signing_key);
        let own = own.filter(|_| self.header.header.format == FormatVersion::One);
        let (network, hash) = (ledger.network(), ledger.tip_hash());
        let mut keys = followed.signing_keys(height, member).chain(own);
        let is_signed = keys.any(|key| signature.is_signed_by(network, &key, &hash, &manifest.root));
        match role == Role::CentralBank && is_signed {
            true => Ok(()),
            false => Err(refused(format!("{role} {member} has not"))),
        }
    }
}

fn key(height: Height) -> Vec<u8> {
    [PREFIX, &height.0.to_be_bytes()].concat()
}

fn encoded(header: &SignedHeader) -> Bytes {
    let mut out = Writer::with_capacity(1024);
    header.encode(&mut out);
    out.finish().into()
}

fn decoded(bytes: &[u8]) -> Result<SignedHeader, DecodeError> {
    let mut input = Reader::new("signed header", bytes);
    SignedHeader::decode(&mut input).and_then(|header| input.finish().map(|()| header))
}

/// The header of a checkpoint that was taken over, with its signatures.
fn kept_header(store: &Arc<dyn Store>, height: Height) -> Result<Option<SignedHeader>, ArchiveError> {
    let key = key(height);
    let Some(record) = store.get(Column::Meta, &key)? else { return Ok(None) };
    let bytes = sealed::open(&key, &record)
        .map_err(|error| ArchiveError::Damaged { height, what: format!("the header of its checkpoint: {error}") })?;
    decoded(bytes).map(Some).map_err(|error| damaged(height, &error))
}

fn damaged(height: Height, error: &DecodeError) -> ArchiveError {
    ArchiveError::Damaged { height, what: error.to_string() }
}
