//! Every conversion between messages and the ledger's types: there and back, and what is refused by name.

use cbdc_ledger::block::{SignedHeader, SupplyTerms};
use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, Head, Payment, PaymentKind, Signed};
use cbdc_ledger::outcome::Charges;
use cbdc_ledger::{
    AccountId, Amount, BankId, Header, Height, MemberId, Outcome, Reason, Receipt, Signature, Timestamp,
};
use cbdc_proto::convert::*;
use cbdc_proto::packed::Answer;
use cbdc_proto::status::refusal_of;
use cbdc_proto::v1;
use tonic::{Code, Status};

fn payment(kind: PaymentKind, flags: u16) -> Signed<Payment> {
    let head = Head { flags, key_version: 3, sequence: u64::MAX, valid_until: Timestamp(u64::MAX / 2) };
    let (from, to) = (AccountId::new(BankId(1), 7), AccountId::new(BankId(u16::MAX), u32::MAX));
    let (amount, max_fee) = (Amount::from_minor(u64::MAX), Amount::from_minor(5));
    let record = Payment { kind, head, from, to, amount, max_fee, reference: [9; 16] };
    Signed { record, signature: Signature([8; 64]) }
}

fn header() -> SignedHeader {
    let header = Header {
        format: cbdc_ledger::FormatVersion::Two,
        height: Height(u64::MAX),
        time: Timestamp(u64::MAX),
        parent: [1; 32],
        command_count: u32::MAX,
        commands_root: [2; 32],
        effects_root: [3; 32],
        balances_root: [0; 32],
        state_root: [5; 32],
        books_digest: [4; 32],
        policy_version: 5,
        cbdc: Amount::from_minor(u64::MAX),
        supply: SupplyTerms::default(),
    };
    SignedHeader {
        header,
        signatures: vec![(MemberId(1), Signature([6; 64])), (MemberId(u16::MAX), Signature([7; 64]))],
    }
}

/// Refused as an invalid argument whose sentence names the field.
fn names<T: std::fmt::Debug>(field: &str, converted: Result<T, Status>) {
    let status = converted.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains(field), "expected {field} in {status:?}");
    assert_eq!(refusal_of(&status).unwrap().reason, Reason::Malformed, "{status:?}");
}

#[test]
fn payments_of_every_kind_come_back_as_they_were() {
    for (kind, flags) in [
        (PaymentKind::Transfer, 0),
        (PaymentKind::Transfer, FLAG_REVERSE_WATERFALL),
        (PaymentKind::Defund, 0),
        (PaymentKind::Fund, 0),
    ] {
        let payment = payment(kind, flags);
        assert_eq!(payment_from_message(&payment_to_message(&payment)).unwrap(), payment);
    }
}

#[test]
fn a_payment_without_a_reference_has_one_of_zeros() {
    let mut message = payment_to_message(&payment(PaymentKind::Transfer, 0));
    message.reference = Default::default();
    assert_eq!(payment_from_message(&message).unwrap().record.reference, [0; 16]);
}

#[test]
fn a_payment_that_is_not_well_formed_is_refused_and_the_field_named() {
    let good = payment_to_message(&payment(PaymentKind::Transfer, 0));
    let with = |change: fn(&mut v1::SignedPayment)| {
        let mut message = good.clone();
        change(&mut message);
        payment_from_message(&message)
    };
    names("payment.kind", with(|message| message.kind = 0));
    names("payment.kind", with(|message| message.kind = 99));
    names("payment.from", with(|message| message.from = "XC00".to_owned()));
    names("payment.to", with(|message| message.to.clear()));
    names("payment.reference", with(|message| message.reference = vec![0; 15].into()));
    names("payment.signature", with(|message| message.signature = vec![0; 63].into()));
    let top_up_of_a_defund = |message: &mut v1::SignedPayment| {
        message.kind = v1::signed_payment::Kind::Defund.into();
        message.top_up = true;
    };
    names("payment.top_up", with(top_up_of_a_defund));
}

#[test]
fn every_outcome_comes_back_with_its_position() {
    for reason in Reason::ALL {
        let fee = cbdc_ledger::Amount::from_minor(5);
        let outcome = match reason {
            Reason::Settled => Outcome::paid(Charges { fee, ..Charges::default() }),
            reason => Outcome::refused(*reason, u64::MAX, 7),
        };
        let message = outcome_to_message(&outcome, Height(3), 4);
        assert_eq!(outcome_from_message(&message).unwrap(), Answer::ordered(Height(3), 4, outcome));
        assert_eq!(message.settled, *reason == Reason::Settled);
    }
    let unknown = v1::Outcome { reason: "NO_SUCH_REASON".to_owned(), ..Default::default() };
    let settled = outcome_to_message(&Outcome::settled(), Height(3), 4);
    let too_large = v1::Outcome { fee_minor: 1 << 48, ..settled };
    // An answer that cannot be read says nothing of the command: it may have settled.
    for (field, answer) in [("outcome.reason", unknown), ("outcome.fee_minor", too_large)] {
        let status = outcome_from_message(&answer).unwrap_err();
        assert!(status.message().contains(field), "expected {field} in {status:?}");
        assert_eq!(
            (status.code(), refusal_of(&status).unwrap().reason),
            (Code::Unavailable, Reason::Unavailable),
            "{status:?}"
        );
    }
}

#[test]
fn outcomes_of_a_block_take_24_bytes_each() {
    let paid = Outcome::paid(Charges { fee: Charges::FEE_MAX, ..Charges::default() });
    let outcomes = [Outcome::settled(), paid, Outcome::refused(Reason::Expired, 5, u64::MAX)];
    let bytes = outcomes_to_bytes(&outcomes);
    assert_eq!(bytes.len(), 3 * 24);
    assert_eq!(outcomes_from_bytes(&bytes).unwrap(), outcomes);
    assert_eq!(outcomes_from_bytes(&[]).unwrap(), []);
    names("outcomes", outcomes_from_bytes(&bytes[..71]));
}

#[test]
fn a_header_comes_back_with_its_signatures() {
    let good = header_to_message(&header());
    assert_eq!(header_from_message(&good).unwrap(), header());
    let with = |change: fn(&mut v1::SignedHeader)| {
        let mut message = good.clone();
        change(&mut message);
        header_from_message(&message)
    };
    names("header", with(|message| message.header = message.header.slice(1..)));
    names("signatures.node", with(|message| message.signatures[0].node = 65_536));
    names("signatures.signature", with(|message| message.signatures[1].signature = vec![0; 65].into()));
}

#[test]
fn a_receipt_comes_back_whole() {
    let outcome = Outcome::settled_with(1);
    let receipt = Receipt { header: header(), index: 9, command: vec![1, 2, 3], outcome, path: vec![[5; 32]; 3] };
    let good = receipt_to_message(&receipt);
    assert_eq!(receipt_from_message(&good).unwrap(), receipt);
    let with = |change: fn(&mut v1::Receipt)| {
        let mut message = good.clone();
        change(&mut message);
        receipt_from_message(&message)
    };
    names("header", with(|message| message.header = None));
    names("outcome", with(|message| message.outcome = Default::default()));
    names("path", with(|message| message.path[2] = vec![0; 31].into()));
}

#[test]
fn a_number_that_is_no_members_is_refused() {
    assert_eq!(number_u16("bank", 65_535).unwrap(), 65_535);
    names("bank", number_u16("bank", 65_536));
    names("command", required::<u8>("command", None));
    names("public_key", public_key("public_key", &[0; 31]));
}
