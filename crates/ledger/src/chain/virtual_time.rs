//! Virtual time: a ledger that a simulation drives without signatures, and that cannot be any real network's.
//!
//! A simulated economy settles millions of payments whose signatures would prove nothing: one program plays every
//! holder, bank and committee seat. Its authority replaces them here; everything else (sequence numbers, limits, books,
//! blocks) is the ledger that settles real money.
//!
//! # The seal is data
//! A cargo feature would not protect anything: features unify across a workspace. Instead a [`VirtualLedger`] exists
//! only for a genesis in which the signing key of **every** member is [`member_key`]: one well-known point whose
//! private key nobody knows. So
//! 1. no real network can be driven this way: its members' keys are other keys, and [`VirtualLedger::new`] refuses it;
//! 2. no node can serve a virtual network: nobody can sign a command, a certificate or a header for it;
//! 3. an unsigned proposal never leaves this module: [`VirtualLedger::apply`] makes the [`VerifiedProposal`] for its
//!    own ledger and drops it, so that it cannot be carried to another one.
//!
//! # Keys that nobody holds
//! [`member_key`] and [`wallet_key`] are the first BLAKE3 digests of a fixed text and a counter that encode a point of
//! large order. A private key to such a point is a discrete logarithm that nobody chose. They cost about two
//! decompressions to find and none to use.

use std::ops::Deref;

use cbdc_signatures::{PublicKey, Signature};

use super::block::Block;
use super::verification::VerifiedProposal;
use crate::codec::encoding::DecodeError;
use crate::ledger::Ledger;
use crate::ledger::genesis::{Genesis, GenesisError};
use crate::state::member::Role;

/// A placeholder for a signature: zeros, valid under no key that a network may admit.
pub const UNSIGNED: Signature = Signature([0; 64]);

const MEMBER_TEXT: &[u8] = b"cbdc virtual time: the key of every member, which nobody holds";
const WALLET_TEXT: &[u8] = b"cbdc virtual time: the key of a wallet, which nobody holds";

/// The signing key of every member of a virtual network.
pub fn member_key() -> PublicKey {
    key_of(MEMBER_TEXT, 0)
}

/// The key of the simulation's wallet with this number.
pub fn wallet_key(number: u64) -> PublicKey {
    key_of(WALLET_TEXT, number)
}

/// The first digest of text, number and a counter that a ledger accepts as a key.
fn key_of(text: &[u8], number: u64) -> PublicKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(text).update(&number.to_le_bytes());
    let mut digests = hasher.finalize_xof();
    loop {
        let mut bytes = [0; 32];
        digests.fill(&mut bytes);
        let key = PublicKey(bytes);
        if key.check_for_account().is_ok() {
            return key;
        }
    }
}

/// The reason why a genesis gives no virtual ledger.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VirtualTimeError {
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    #[error(
        "expected the virtual key, which nobody holds, as the signing key of every member, found {found} at {role} \
         {id}: a network whose members can sign is not driven without signatures"
    )]
    MemberCanSign { role: Role, id: u16, found: PublicKey },
}

/// A ledger whose proposals need no signatures, because its genesis cannot be any real network's.
pub struct VirtualLedger(Ledger);

impl VirtualLedger {
    /// The ledger at height 0.
    ///
    /// # Errors
    /// The genesis is unsound, or a member has another key.
    pub fn new(genesis: Genesis) -> Result<VirtualLedger, VirtualTimeError> {
        let nobody = member_key();
        if let Some(member) = genesis.members.iter().find(|member| member.signing_key != nobody) {
            let (role, id, found) = (member.role, member.id.0, member.signing_key);
            return Err(VirtualTimeError::MemberCanSign { role, id, found });
        }
        Ok(VirtualLedger(Ledger::new(genesis)?))
    }

    /// Applies an unsigned proposal: the simulation vouches for every command in it.
    ///
    /// # Errors
    /// The bytes are not a block proposal.
    pub fn apply(&mut self, proposal: &[u8]) -> Result<Block, DecodeError> {
        let verified = VerifiedProposal::from_own_log(proposal)?;
        Ok(self.0.apply(&verified))
    }
}

impl Deref for VirtualLedger {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::genesis::DayCount;
    use crate::state::member::Member;
    use crate::types::identity::MemberId;
    use crate::types::time::Timestamp;

    fn genesis() -> Genesis {
        let member = |role: Role| Member {
            role,
            id: MemberId(1),
            name: role.name().to_owned(),
            signing_key: member_key(),
            node_key: None,
        };
        let roles = [Role::CentralBank, Role::Committee, Role::Operator, Role::Registrar, Role::Bank];
        Genesis {
            format: crate::FormatVersion::One,
            currency: *b"XTS",
            currency_exponent: 2,
            day_count: DayCount::Actual365,
            day_offset_minutes: 0,
            created_at: Timestamp(0),
            validity_ms_max: 86_400_000,
            header_signatures: 1,
            threshold: 1,
            members: roles.map(member).to_vec(),
            books: Default::default(),
            policy: Default::default(),
        }
    }

    #[test]
    fn a_network_with_a_member_that_can_sign_is_refused() {
        assert!(VirtualLedger::new(genesis()).is_ok());
        let mut real = genesis();
        real.members[2].signing_key = crate::SigningKey::from_seed([7; 32]).public_key();
        let refusal = VirtualLedger::new(real).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refusal.contains("operator 1"), "{refusal}");
    }

    #[test]
    fn the_keys_that_nobody_holds_are_pinned() {
        assert_eq!(member_key(), key_of(MEMBER_TEXT, 0));
        assert_ne!(wallet_key(1), wallet_key(2));
        assert!((0..64).all(|number| wallet_key(number).check_for_account().is_ok()));
        assert_eq!(member_key().to_string(), "2f30ec8caeb39cd917271fb54ae41122719f4e3e9fb8e6b1f8d23430309c5a0e");
    }
}
