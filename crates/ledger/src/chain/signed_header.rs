//! Headers with the signatures of the central bank's nodes.

use std::collections::{BTreeMap, BTreeSet};

use cbdc_signatures::{Batch, BatchSeed, DecompressedKey, PublicKey, Signature, SigningKey};

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::command::{Domain, signing_prefix};
use crate::state::header::Header;
use crate::state::member::{Members, Role};
use crate::types::identity::{Height, MemberId, NetworkId};

/// A header and the signatures of voting nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedHeader {
    /// The header.
    pub header: Header,
    /// The nodes that signed, with their signatures.
    pub signatures: Vec<(MemberId, Signature)>,
}

/// The reason why a header or a receipt proves nothing.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error(
        "the header of block {height} has {found} valid signatures of the central bank's nodes, {required} are required"
    )]
    TooFewSignatures { height: Height, required: u16, found: usize },
    #[error("the receipt's path does not lead to the commands root of block {height}")]
    PathElsewhere { height: Height },
    #[error("the receipt's command cannot be read: {0}")]
    Decode(#[from] DecodeError),
}

impl SignedHeader {
    /// Signs a header as a voting node.
    pub fn sign(header: Header, network: NetworkId, node: MemberId, key: &SigningKey) -> SignedHeader {
        let signature = key.sign([&signing_prefix(Domain::Header, network), &header.hash()]);
        SignedHeader { header, signatures: vec![(node, signature)] }
    }

    /// Checks that enough distinct nodes signed. `key_of` gives a node's key.
    pub fn check(
        &self,
        network: NetworkId,
        required: u16,
        key_of: impl Fn(MemberId) -> Option<PublicKey>,
    ) -> Result<(), ProofError> {
        let (prefix, hash) = (signing_prefix(Domain::Header, network), self.header.hash());
        let mut signers = BTreeSet::new();
        for (node, signature) in &self.signatures {
            let key = (!signers.contains(node)).then(|| key_of(*node)?.decompress().ok()).flatten();
            if key.is_some_and(|key| cbdc_signatures::verify(&key, [&prefix, &hash], signature)) {
                signers.insert(*node);
            }
        }
        self.check_count(required, signers.len())
    }

    fn check_count(&self, required: u16, found: usize) -> Result<(), ProofError> {
        if found < usize::from(required) {
            return Err(ProofError::TooFewSignatures { height: self.header.height, required, found });
        }
        Ok(())
    }

    /// Like [`SignedHeader::check`] for each, with all signatures verified together.
    fn check_each(
        headers: &[SignedHeader],
        network: NetworkId,
        required: u16,
        key_of: impl Fn(MemberId) -> Option<PublicKey>,
        seed: BatchSeed,
    ) -> Vec<Result<(), ProofError>> {
        let prefix = signing_prefix(Domain::Header, network);
        let hashes: Vec<Hash> = headers.iter().map(|signed| signed.header.hash()).collect();
        let nodes: BTreeSet<MemberId> =
            headers.iter().flat_map(|signed| &signed.signatures).map(|(node, _)| *node).collect();
        let ready = |node: MemberId| Some((node, key_of(node)?.decompress().ok()?));
        let keys: BTreeMap<MemberId, DecompressedKey> = nodes.into_iter().filter_map(ready).collect();
        let mut batch = Batch::with_capacity(headers.len());
        let mut claimed = Vec::with_capacity(headers.len());
        for (at, (signed, hash)) in headers.iter().zip(&hashes).enumerate() {
            for (node, signature) in &signed.signatures {
                if let Some(key) = keys.get(node) {
                    batch.push(key, [&prefix, hash], signature);
                    claimed.push((at, *node));
                }
            }
        }
        let verdicts = batch.verdicts(seed).into_iter();
        let signers: BTreeSet<(usize, MemberId)> =
            claimed.into_iter().zip(verdicts).filter(|(_, good)| *good).map(|(signer, _)| signer).collect();
        let verdict = |(at, signed): (usize, &SignedHeader)| {
            let found = signers.range((at, MemberId(0))..=(at, MemberId(u16::MAX))).count();
            signed.check_count(required, found)
        };
        headers.iter().enumerate().map(verdict).collect()
    }

    /// Like [`SignedHeader::check`], with the keys of a ledger's members.
    pub fn check_by_members(&self, network: NetworkId, required: u16, members: &Members) -> Result<(), ProofError> {
        self.check(network, required, |node| key_of_member(members, node))
    }

    /// Like [`SignedHeader::check_by_members`] for each, with all signatures verified together.
    pub fn check_each_by_members(
        headers: &[SignedHeader],
        network: NetworkId,
        required: u16,
        members: &Members,
        seed: BatchSeed,
    ) -> Vec<Result<(), ProofError>> {
        SignedHeader::check_each(headers, network, required, |node| key_of_member(members, node), seed)
    }

    /// Appends the header, the number of signatures (2), and each node (2) with its signature (64).
    pub fn encode(&self, out: &mut Writer) {
        out.raw(&self.header.to_bytes()).u16(self.signatures.len() as u16);
        for (node, signature) in &self.signatures {
            out.u16(node.0).raw(&signature.0);
        }
    }

    /// Reads what [`SignedHeader::encode`] wrote.
    pub fn decode(input: &mut Reader<'_>) -> Result<SignedHeader, DecodeError> {
        let header = Header::decode(input)?;
        let mut signatures = Vec::new();
        for _ in 0..input.u16()? {
            signatures.push((MemberId(input.u16()?), Signature(input.array()?)));
        }
        Ok(SignedHeader { header, signatures })
    }
}

/// The key with which a node of the central bank signs headers.
fn key_of_member(members: &Members, node: MemberId) -> Option<PublicKey> {
    Some(members.active(Role::CentralBank, node)?.member.signing_key)
}
