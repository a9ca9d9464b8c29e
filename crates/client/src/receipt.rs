//! Verified receipts, in memory and as files.
//!
//! A receipt proves the position and outcome of one command in a block that the central bank signed. It needs no server: saved
//! as bytes (the message `cbdc.v1.Receipt`), it can be checked years later against genesis alone.

use std::path::Path;

use cbdc_ledger::command::Signer;
use cbdc_ledger::{AccountId, Command, MemberId, Outcome, Receipt, Timestamp};
use cbdc_proto::convert::{receipt_from_message, receipt_to_message};
use cbdc_proto::v1;
use prost::Message;

use crate::anchor::Anchor;
use crate::error::ClientError;
use crate::position::BlockPosition;

/// A receipt whose path and signatures hold. Only [`VerifiedReceipt::check`] makes one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedReceipt {
    receipt: Receipt,
    command: Command,
}

impl VerifiedReceipt {
    /// Checks a receipt: its path, its header's signatures and its command.
    ///
    /// # Errors
    /// [`ClientError::Proof`] if any of them does not hold under the keys that genesis names.
    pub fn check(receipt: Receipt, anchor: &Anchor) -> Result<VerifiedReceipt, ClientError> {
        let command = anchor.check_proof(&receipt)?;
        Ok(VerifiedReceipt { receipt, command })
    }

    /// Reads the bytes of a saved receipt and checks it.
    ///
    /// # Errors
    /// [`ClientError::Usage`] if they are no receipt, [`ClientError::Proof`] if it does not hold.
    pub fn from_bytes(bytes: &[u8], anchor: &Anchor) -> Result<VerifiedReceipt, ClientError> {
        let message =
            v1::Receipt::decode(bytes).map_err(|error| ClientError::Usage(format!("this is no receipt: {error}")))?;
        let receipt = receipt_from_message(&message)
            .map_err(|status| ClientError::Usage(format!("this is no receipt: {}", status.message())))?;
        VerifiedReceipt::check(receipt, anchor)
    }

    /// Reads a saved receipt from a file and checks it.
    ///
    /// # Errors
    /// [`ClientError::File`] if it cannot be read; otherwise as [`VerifiedReceipt::from_bytes`].
    pub fn load(path: &Path, anchor: &Anchor) -> Result<VerifiedReceipt, ClientError> {
        let bytes = std::fs::read(path)
            .map_err(|error| ClientError::File { path: path.to_owned(), reason: error.to_string() })?;
        VerifiedReceipt::from_bytes(&bytes, anchor)
    }

    /// The bytes to save: the message `cbdc.v1.Receipt`.
    pub fn to_bytes(&self) -> Vec<u8> {
        receipt_to_message(&self.receipt).encode_to_vec()
    }

    /// The receipt itself.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The command that it proves, with its signature.
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// The command's outcome.
    pub fn outcome(&self) -> Outcome {
        self.receipt.outcome
    }

    /// The command's position in the chain.
    pub fn position(&self) -> BlockPosition {
        BlockPosition { height: self.receipt.header.header.height, index: self.receipt.index }
    }

    /// The block's time.
    pub fn time(&self) -> Timestamp {
        self.receipt.header.header.time
    }

    /// The central bank's nodes that signed the block's header.
    pub fn signers(&self) -> Vec<MemberId> {
        self.receipt.header.signatures.iter().map(|(node, _)| *node).collect()
    }

    /// Checks that this is the receipt asked for: a sound receipt of another command proves nothing.
    pub(crate) fn expect_position(self, position: BlockPosition) -> Result<VerifiedReceipt, ClientError> {
        if self.position() == position {
            return Ok(self);
        }
        Err(ClientError::OtherReceipt {
            expected: format!("command {position}"),
            found: format!("command {}", self.position()),
        })
    }

    /// As [`VerifiedReceipt::expect_position`], by the holder's account and the sequence number.
    pub(crate) fn expect_sequence(self, account: AccountId, sequence: u64) -> Result<VerifiedReceipt, ClientError> {
        // A payment that was topped up is part of its bank's command, which has a signer and a sequence number of its own.
        let found = match &self.command {
            Command::ReverseWaterfall(order) => {
                let transfer = &order.record.transfer.record;
                (transfer.signer(), transfer.head.sequence)
            }
            command => (command.signer(), command.head().sequence),
        };
        if found == (Signer::Holder(account), sequence) {
            return Ok(self);
        }
        let expected = format!("sequence number {sequence} of account {account}");
        let found = format!("sequence number {} of {:?}", self.command.head().sequence, self.command.signer());
        Err(ClientError::OtherReceipt { expected, found })
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::block::command_leaf;
    use cbdc_ledger::books::Books;
    use cbdc_ledger::command::{Head, Payment, PaymentKind, Record};
    use cbdc_ledger::genesis::DayCount;
    use cbdc_ledger::member::{Member, Role};
    use cbdc_ledger::policy::Parameters;
    use cbdc_ledger::{Amount, BankId, Genesis, Header, Height, Reason, SignedHeader, SigningKey, SupplyTerms, merkle};

    use super::*;

    const NODE: u8 = 1;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32])
    }

    fn anchor() -> Anchor {
        let roles = [Role::CentralBank, Role::Committee, Role::Operator, Role::Registrar];
        let member = |(index, role): (usize, Role)| Member {
            role,
            id: MemberId(1),
            name: role.to_string(),
            signing_key: key(NODE + index as u8).public_key(),
            node_key: None,
        };
        Anchor::new(Genesis {
            currency: *b"XTS",
            currency_exponent: 2,
            day_count: DayCount::Actual365,
            day_offset_minutes: 0,
            created_at: Timestamp(1),
            validity_ms_max: 60_000,
            header_signatures: 1,
            threshold: 1,
            members: roles.into_iter().enumerate().map(member).collect(),
            books: Books::default(),
            policy: Parameters::default(),
        })
    }

    fn account() -> AccountId {
        AccountId::new(BankId(1), 7)
    }

    /// The receipt of the third of five payments, in a block signed by `node_key`.
    fn receipt(anchor: &Anchor, node_key: &SigningKey) -> Receipt {
        let payment = |sequence: u64| {
            let head = Head { sequence, ..Head::default() };
            let (to, amount) = (AccountId::new(BankId(2), 9), Amount::from_minor(1250));
            let payment = Payment {
                kind: PaymentKind::Transfer,
                head,
                from: account(),
                to,
                amount,
                max_fee: Amount::ZERO,
                reference: [0; 16],
            };
            payment.sign(anchor.network(), &key(99)).to_bytes()
        };
        let commands: Vec<Vec<u8>> = (1..=5).map(payment).collect();
        let outcome = Outcome::settled();
        let leaves: Vec<_> =
            commands.iter().zip(0..).map(|(command, index)| command_leaf(index, command, &outcome)).collect();
        let header = Header {
            height: Height(17),
            time: Timestamp(2),
            parent: [3; 32],
            command_count: 5,
            commands_root: merkle::root(&leaves),
            effects_root: [4; 32],
            balances_root: [0; 32],
            books_digest: [5; 32],
            policy_version: 1,
            cbdc: Amount::ZERO,
            supply: SupplyTerms::default(),
        };
        let header = SignedHeader::sign(header, anchor.network(), MemberId(1), node_key);
        Receipt::build(header, &leaves, 2, commands[2].clone(), outcome).unwrap()
    }

    #[test]
    fn a_saved_receipt_is_checked_with_genesis_alone() {
        let anchor = anchor();
        let verified = VerifiedReceipt::check(receipt(&anchor, &key(NODE)), &anchor).unwrap();
        let read = VerifiedReceipt::from_bytes(&verified.to_bytes(), &anchor).unwrap();
        assert_eq!(read, verified);
        assert_eq!(
            (read.position(), read.outcome().reason),
            (BlockPosition { height: Height(17), index: 2 }, Reason::Settled)
        );
    }

    #[test]
    fn a_receipt_with_any_bit_changed_is_refused() {
        let anchor = anchor();
        let bytes = VerifiedReceipt::check(receipt(&anchor, &key(NODE)), &anchor).unwrap().to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                VerifiedReceipt::from_bytes(&changed, &anchor).is_err(),
                "bit {bit} of {} changed nothing",
                bytes.len() * 8
            );
        }
    }

    #[test]
    fn a_receipt_cut_short_is_refused() {
        let anchor = anchor();
        let bytes = VerifiedReceipt::check(receipt(&anchor, &key(NODE)), &anchor).unwrap().to_bytes();
        assert!((0..bytes.len()).all(|length| VerifiedReceipt::from_bytes(&bytes[..length], &anchor).is_err()));
    }

    #[test]
    fn only_the_central_banks_keys_in_genesis_count() {
        let anchor = anchor();
        for seed in [NODE + 1, 99] {
            assert!(VerifiedReceipt::check(receipt(&anchor, &key(seed)), &anchor).is_err(), "signed by key {seed}");
        }
        let mut unsigned = receipt(&anchor, &key(NODE));
        unsigned.header.signatures.clear();
        assert!(VerifiedReceipt::check(unsigned, &anchor).is_err());
    }

    #[test]
    fn a_sound_receipt_of_something_else_is_refused() {
        let anchor = anchor();
        let verified = || VerifiedReceipt::check(receipt(&anchor, &key(NODE)), &anchor).unwrap();
        assert!(verified().expect_position(BlockPosition { height: Height(17), index: 2 }).is_ok());
        assert!(matches!(
            verified().expect_position(BlockPosition { height: Height(17), index: 1 }),
            Err(ClientError::OtherReceipt { .. })
        ));
        assert!(verified().expect_sequence(account(), 3).is_ok());
        assert!(matches!(verified().expect_sequence(account(), 2), Err(ClientError::OtherReceipt { .. })));
        assert!(matches!(
            verified().expect_sequence(AccountId::new(BankId(1), 8), 3),
            Err(ClientError::OtherReceipt { .. })
        ));
    }
}
