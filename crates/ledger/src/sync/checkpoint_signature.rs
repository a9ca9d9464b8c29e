//! A node's signature over a checkpoint that it wrote: it vouches that these chunks are the ledger at that block.
//!
//! The signed message is, behind the prefix of [`Domain::Checkpoint`], the hash of the block's header (32) and the root
//! over the chunks (32). The header names the block and, from version 2 of the formats on, covers the state; the root
//! covers every byte that was written.
//!
//! Layout: version (1), role (1), member (2), signature (64).

use cbdc_signatures::{PublicKey, Signature, SigningKey};

use crate::codec::encoding::{DecodeError, Reader, VERSION, Writer};
use crate::codec::merkle::Hash;
use crate::command::{Domain, signing_prefix};
use crate::state::member::Role;
use crate::types::identity::{MemberId, NetworkId};

/// The writer of a checkpoint, and its signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckpointSignature {
    /// The node's role.
    pub role: Role,
    /// The node's number within the role.
    pub member: MemberId,
    /// The signature of the member's signing key.
    pub signature: Signature,
}

/// The message that is signed behind the prefix.
fn message(header_hash: &Hash, root: &Hash) -> [u8; 64] {
    let mut message = [0; 64];
    message[..32].copy_from_slice(header_hash);
    message[32..].copy_from_slice(root);
    message
}

impl CheckpointSignature {
    /// Signs a checkpoint of the block with `header_hash` whose chunks have `root`.
    pub fn sign(
        network: NetworkId,
        (role, member): (Role, MemberId),
        key: &SigningKey,
        header_hash: &Hash,
        root: &Hash,
    ) -> CheckpointSignature {
        let signature = key.sign([&signing_prefix(Domain::Checkpoint, network), &message(header_hash, root)]);
        CheckpointSignature { role, member, signature }
    }

    /// Whether `key` signed.
    pub fn is_signed_by(&self, network: NetworkId, key: &PublicKey, header_hash: &Hash, root: &Hash) -> bool {
        let (prefix, message) = (signing_prefix(Domain::Checkpoint, network), message(header_hash, root));
        key.decompress().is_ok_and(|key| cbdc_signatures::verify(&key, [&prefix, &message], &self.signature))
    }

    /// The encoded signature, with its signer.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(68);
        out.u8(VERSION).u8(self.role as u8).u16(self.member.0).raw(&self.signature.0);
        out.finish()
    }

    /// Reads what [`CheckpointSignature::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<CheckpointSignature, DecodeError> {
        let mut input = Reader::new("signature of a checkpoint", bytes);
        input.version()?;
        let (role, member) = (Role::decode(&mut input)?, MemberId(input.u16()?));
        let signature = Signature(input.array()?);
        input.finish()?;
        Ok(CheckpointSignature { role, member, signature })
    }
}
