//! Proofs of membership changes: how trust in a genesis leads to the keys in force today.
//!
//! Genesis names the first members and their keys. The state root in a block's header covers the members after that
//! block, and the header is signed by the central bank's nodes as the members *before* it name them. So whoever trusts
//! a genesis can follow the changes one after the other. Each is proved by a signed header, the digests of the state's
//! sections, and the members themselves. The node that serves the proofs needs no trust: a false proof is refused.
//!
//! Keys stay the same between two changes. A header that a former key signed proves nothing above the block that
//! replaced the key, and what was signed below it stays proved.
//!
//! Version 1 of the formats has no state root, and therefore no such proofs.

use std::collections::BTreeMap;

use cbdc_signatures::PublicKey;

use crate::chain::receipt::Receipt;
use crate::chain::signed_header::{ProofError, SignedHeader};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::command::Command;
use crate::ledger::Ledger;
use crate::ledger::genesis::Genesis;
use crate::state::member::{Members, Role};
use crate::state::sections::{Section, Sections, digest};
use crate::types::format::FormatVersion;
use crate::types::identity::{Height, MemberId, NetworkId};

/// The members after a block that changed them, with their proof.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MembershipChange {
    header: SignedHeader,
    sections: Sections,
    /// Without the sequence numbers that they have used.
    members: Members,
}

/// Why a membership change is not accepted.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipChangeError {
    #[error("expected a membership change above block {expected}, found one at block {found}")]
    OutOfOrder { expected: Height, found: Height },
    #[error("the membership change at block {height} is not signed as the members before it require: {error}")]
    Header { height: Height, error: ProofError },
    #[error("the header of block {height} does not cover the members; version 1 of the formats has no state root")]
    NoStateRoot { height: Height },
    #[error("the section digests are not those under the state root of block {height}")]
    OtherSections { height: Height },
    #[error("the members are not those under the state root of block {height}")]
    OtherMembers { height: Height },
}

impl MembershipChange {
    /// The change that the ledger's newest block made; `None` in version 1 of the formats.
    pub fn of(header: SignedHeader, ledger: &Ledger) -> Option<MembershipChange> {
        let is_provable = header.header.format > FormatVersion::One;
        let (sections, members) = (*ledger.sections(), ledger.members().trial());
        is_provable.then_some(MembershipChange { header, sections, members })
    }

    /// The block that made the change.
    pub fn height(&self) -> Height {
        self.header.header.height
    }

    /// The members after it.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The same change, proved by the same header with other signatures.
    #[must_use]
    pub fn with_signatures_of(self, header: &SignedHeader) -> MembershipChange {
        MembershipChange { header: header.clone(), ..self }
    }

    /// The signed header, the digests of the sections, and the members.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(4096);
        self.header.encode(&mut out);
        out.raw(&self.sections.to_bytes());
        self.members.encode_without_windows(&mut out);
        out.finish()
    }

    /// Reads what [`MembershipChange::to_bytes`] gave. Nothing is proved yet.
    pub fn from_bytes(bytes: &[u8]) -> Result<MembershipChange, DecodeError> {
        let mut input = Reader::new("membership change", bytes);
        let header = SignedHeader::decode(&mut input)?;
        let sections = Sections::from_bytes(input.raw(Sections::BYTES)?).expect("as many bytes as sections have");
        let members = Members::decode_with_windows_of(&Members::default(), &mut input)?;
        input.finish()?;
        Ok(MembershipChange { header, sections, members })
    }
}

/// The central bank's nodes that sign headers, above a height.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Signers {
    above: Height,
    required: u16,
    keys: BTreeMap<MemberId, PublicKey>,
}

impl Signers {
    fn of(above: Height, members: &Members) -> Signers {
        let nodes = members.active_in(Role::CentralBank);
        let keys = nodes.map(|seat| (seat.member.id, seat.member.signing_key)).collect();
        Signers { above, required: members.header_signatures(), keys }
    }
}

/// The membership as followed from a genesis: the members in force, and who signed headers before.
#[derive(Clone, Debug)]
pub struct FollowedMembership {
    network: NetworkId,
    height: Height,
    members: Members,
    /// The signers by height, from genesis on; a new entry only where the signers changed.
    signers: Vec<Signers>,
}

impl FollowedMembership {
    /// The members that genesis names.
    pub fn of(genesis: &Genesis) -> FollowedMembership {
        let mut members = Members::new(genesis.threshold, genesis.header_signatures);
        genesis.members.iter().cloned().for_each(|member| members.admit(member));
        let signers = vec![Signers::of(Height(0), &members)];
        FollowedMembership { network: genesis.network(), height: Height(0), members, signers }
    }

    /// The block that made the newest change that was followed; 0 for genesis.
    pub fn height(&self) -> Height {
        self.height
    }

    /// The members as of the newest change that was followed.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Follows the next change. One at or below the present height is out of order.
    ///
    /// # Errors
    /// The change is not proved; nothing was followed.
    pub fn follow(&mut self, change: &MembershipChange) -> Result<(), MembershipChangeError> {
        let (height, header) = (change.height(), &change.header);
        if height <= self.height {
            return Err(MembershipChangeError::OutOfOrder { expected: self.height, found: height });
        }
        self.check_header(header).map_err(|error| MembershipChangeError::Header { height, error })?;
        if header.header.format == FormatVersion::One {
            return Err(MembershipChangeError::NoStateRoot { height });
        }
        if change.sections.root(self.network) != header.header.state_root {
            return Err(MembershipChangeError::OtherSections { height });
        }
        if digest(|out| change.members.encode_without_windows(out)) != change.sections.of(Section::Members) {
            return Err(MembershipChangeError::OtherMembers { height });
        }
        (self.height, self.members) = (height, change.members.clone());
        let signers = Signers::of(height, &self.members);
        let last = self.signers.last().expect("those of genesis are there");
        if (signers.required, &signers.keys) != (last.required, &last.keys) {
            self.signers.push(signers);
        }
        Ok(())
    }

    /// The membership as far as changes are proved, oldest first; those that were followed before are passed over.
    #[must_use]
    pub fn followed(mut self, changes: impl Iterator<Item = MembershipChange>) -> FollowedMembership {
        for change in changes {
            if change.height() > self.height && self.follow(&change).is_err() {
                break;
            }
        }
        self
    }

    /// The keys with which a node of the central bank signed at a height, or signs from it on: two, if the block there
    /// replaced its key; none, if it was no active member.
    pub fn signing_keys(&self, height: Height, node: MemberId) -> impl Iterator<Item = PublicKey> {
        let (before, after) = (self.signers_at(height), self.signers_at(height.next()));
        [before, after].into_iter().filter_map(move |signers| signers.keys.get(&node).copied())
    }

    /// Checks that a header is signed by enough of the nodes that signed headers at its height, as far as changes were
    /// followed.
    pub fn check_header(&self, header: &SignedHeader) -> Result<(), ProofError> {
        let signers = self.signers_at(header.header.height);
        header.check(self.network, signers.required, |node| signers.keys.get(&node).copied())
    }

    /// Checks a receipt's path, its header's signatures and its command; gives the command.
    pub fn check_receipt(&self, receipt: &Receipt) -> Result<Command, ProofError> {
        let signers = self.signers_at(receipt.header.header.height);
        receipt.check(self.network, signers.required, |node| signers.keys.get(&node).copied())
    }

    /// A block that changes the signers is still signed by those before it.
    fn signers_at(&self, height: Height) -> &Signers {
        let at = self.signers.partition_point(|signers| signers.above < height);
        &self.signers[at.saturating_sub(1)]
    }
}
