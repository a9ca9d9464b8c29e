//! A receipt with fixed bytes.

use cbdc_client::{AccountId, Amount, Anchor, BankId, Height, MemberId, SigningKey, Timestamp};
use cbdc_ledger::block::command_leaf;
use cbdc_ledger::command::{Head, Payment, PaymentKind, Record};
use cbdc_ledger::{Header, Outcome, Receipt, SignedHeader, SupplyTerms, merkle};

use super::key;

/// The payer of every payment in the block.
pub fn payer() -> AccountId {
    AccountId::new(BankId(1), 7)
}

/// The receipt of the third of five payments, in block 17, whose header `node_key` signs.
pub fn receipt(anchor: &Anchor, node_key: &SigningKey) -> Receipt {
    let payment = |sequence: u64| {
        let payment = Payment {
            kind: PaymentKind::Transfer,
            head: Head { sequence, ..Head::default() },
            from: payer(),
            to: AccountId::new(BankId(2), 9),
            amount: Amount::from_minor(1250),
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
        format: cbdc_ledger::FormatVersion::One,
        height: Height(17),
        time: Timestamp(2),
        parent: [3; 32],
        command_count: 5,
        commands_root: merkle::root(&leaves),
        effects_root: [4; 32],
        balances_root: [0; 32],
        state_root: [0; 32],
        books_digest: [5; 32],
        policy_version: 1,
        cbdc: Amount::ZERO,
        supply: SupplyTerms::default(),
    };
    let header = SignedHeader::sign(header, anchor.network(), MemberId(1), node_key);
    Receipt::build(header, &leaves, 2, commands[2].clone(), outcome).unwrap()
}
