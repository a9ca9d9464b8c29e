//! Conversions between messages and the ledger's types: all of them.
//!
//! A conversion from a message may fail, with `INVALID_ARGUMENT` and a sentence that names the field, what was expected
//! and what was found.

use cbdc_ledger::block::SignedHeader;
use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, Head, Payment, PaymentKind, Signed};
use cbdc_ledger::encoding::{Reader, Writer};
use cbdc_ledger::outcome::{Charges, OUTCOME_BYTES};
use cbdc_ledger::{AccountId, Amount, Header, Height, MemberId, Outcome, PublicKey, Receipt, Signature, Timestamp};
use tonic::Status;

use crate::packed::{Answer, State};
use crate::status::{invalid, unavailable};
use crate::v1;

/// An account number in IBAN form.
pub fn account(field: &str, text: &str) -> Result<AccountId, Status> {
    text.parse().map_err(|error: String| invalid(field, error))
}

/// Bytes of an exact length.
pub fn exact<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], Status> {
    bytes.try_into().map_err(|_| invalid(field, format!("expected {N} bytes, found {}", bytes.len())))
}

/// A member's or bank's number.
pub fn number_u16(field: &str, number: u32) -> Result<u16, Status> {
    u16::try_from(number).map_err(|_| invalid(field, format!("expected at most 65535, found {number}")))
}

/// A mandatory message field.
pub fn required<T>(field: &str, value: Option<T>) -> Result<T, Status> {
    value.ok_or_else(|| invalid(field, "expected a value, found none"))
}

/// A signed payment as a message.
pub fn payment_to_message(signed: &Signed<Payment>) -> v1::SignedPayment {
    let Payment { kind, head, from, to, amount, max_fee, reference } = &signed.record;
    let kind = match kind {
        PaymentKind::Transfer => v1::signed_payment::Kind::Transfer,
        PaymentKind::Defund => v1::signed_payment::Kind::Defund,
        PaymentKind::Fund => v1::signed_payment::Kind::Fund,
    };
    v1::SignedPayment {
        kind: kind.into(),
        from: from.to_string(),
        to: to.to_string(),
        amount_minor: amount.minor(),
        max_fee_minor: max_fee.minor(),
        sequence: head.sequence,
        key_version: head.key_version,
        valid_until_ms: head.valid_until.0,
        reference: reference.to_vec().into(),
        signature: signed.signature.0.to_vec().into(),
        top_up: head.flags & FLAG_REVERSE_WATERFALL != 0,
    }
}

/// A signed payment from a message.
///
/// # Errors
/// `INVALID_ARGUMENT` names the field, what was expected and what was found.
pub fn payment_from_message(message: &v1::SignedPayment) -> Result<Signed<Payment>, Status> {
    let kind = match message.kind() {
        v1::signed_payment::Kind::Transfer => PaymentKind::Transfer,
        v1::signed_payment::Kind::Defund => PaymentKind::Defund,
        v1::signed_payment::Kind::Fund => PaymentKind::Fund,
        v1::signed_payment::Kind::Unspecified => {
            return Err(invalid("payment.kind", format!("expected transfer, defund or fund, found {}", message.kind)));
        }
    };
    let reference = match message.reference.len() {
        0 => [0; 16],
        _ => exact("payment.reference", &message.reference)?,
    };
    if message.top_up && kind != PaymentKind::Transfer {
        return Err(invalid("payment.top_up", "expected it on a transfer only"));
    }
    let head = Head {
        flags: if message.top_up { FLAG_REVERSE_WATERFALL } else { 0 },
        key_version: message.key_version,
        sequence: message.sequence,
        valid_until: Timestamp(message.valid_until_ms),
    };
    let record = Payment {
        kind,
        head,
        from: account("payment.from", &message.from)?,
        to: account("payment.to", &message.to)?,
        amount: Amount::from_minor(message.amount_minor),
        max_fee: Amount::from_minor(message.max_fee_minor),
        reference,
    };
    Ok(Signed { record, signature: Signature(exact("payment.signature", &message.signature)?) })
}

/// A message for an outcome at its block position.
pub fn outcome_to_message(outcome: &Outcome, height: Height, index: u32) -> v1::Outcome {
    v1::Outcome {
        settled: outcome.is_settled(),
        reason: outcome.reason.name().to_owned(),
        message: outcome.reason.text().to_owned(),
        limit: outcome.limit,
        amount: outcome.amount,
        later_may_help: outcome.reason.later_may_help(),
        height: height.0,
        index,
        fee_minor: outcome.charges().fee.minor(),
    }
}

/// An answer from a message.
///
/// # Errors
/// An unknown reason, or a fee above [`Charges::FEE_MAX`]: what became of the command is then not known.
pub fn outcome_from_message(message: &v1::Outcome) -> Result<Answer, Status> {
    let reason = cbdc_ledger::Reason::from_name(&message.reason)
        .ok_or_else(|| unavailable(format!("outcome.reason: expected a known reason, found `{}`", message.reason)))?;
    let outcome = match reason {
        cbdc_ledger::Reason::Settled => {
            let fee = Some(Amount::from_minor(message.fee_minor)).filter(|fee| *fee <= Charges::FEE_MAX);
            let fee = fee.ok_or_else(|| {
                unavailable(format!("outcome.fee_minor: expected at most 2^48 - 1, found {}", message.fee_minor))
            })?;
            let (payee_fee, reverse_waterfall) =
                (Amount::from_minor(message.amount), Amount::from_minor(message.limit));
            Outcome::paid(Charges { fee, payee_fee, reverse_waterfall })
        }
        reason => Outcome::refused(reason, message.limit, message.amount),
    };
    Ok(Answer { state: State::Final, height: Height(message.height), index: message.index, outcome })
}

/// Outcomes as blocks keep them, 24 bytes each.
pub fn outcomes_to_bytes(outcomes: &[Outcome]) -> Vec<u8> {
    let mut out = Writer::with_capacity(outcomes.len() * OUTCOME_BYTES);
    outcomes.iter().for_each(|outcome| outcome.encode(&mut out));
    out.finish()
}

/// The outcomes of a block, 24 bytes each.
///
/// # Errors
/// The bytes are not outcomes.
pub fn outcomes_from_bytes(bytes: &[u8]) -> Result<Vec<Outcome>, Status> {
    let mut input = Reader::new("outcomes", bytes);
    let mut outcomes = Vec::with_capacity(bytes.len() / OUTCOME_BYTES);
    while !input.is_empty() {
        outcomes.push(Outcome::decode(&mut input).map_err(|error| invalid("outcomes", error))?);
    }
    Ok(outcomes)
}

/// A signed header as a message.
pub fn header_to_message(signed: &SignedHeader) -> v1::SignedHeader {
    let signature = |(node, signature): &(MemberId, Signature)| v1::NodeSignature {
        node: u32::from(node.0),
        signature: signature.0.to_vec().into(),
    };
    v1::SignedHeader {
        header: signed.header.to_bytes().into(),
        signatures: signed.signatures.iter().map(signature).collect(),
    }
}

/// A signed header from a message.
///
/// # Errors
/// `INVALID_ARGUMENT` if the bytes are not a header or a signature has another length.
pub fn header_from_message(message: &v1::SignedHeader) -> Result<SignedHeader, Status> {
    let header = Header::from_bytes(&message.header).map_err(|error| invalid("header", error))?;
    let signature = |signature: &v1::NodeSignature| {
        let node = MemberId(number_u16("signatures.node", signature.node)?);
        Ok((node, Signature(exact("signatures.signature", &signature.signature)?)))
    };
    Ok(SignedHeader { header, signatures: message.signatures.iter().map(signature).collect::<Result<_, Status>>()? })
}

/// A receipt as a message.
pub fn receipt_to_message(receipt: &Receipt) -> v1::Receipt {
    v1::Receipt {
        header: Some(header_to_message(&receipt.header)),
        index: receipt.index,
        command: receipt.command.clone().into(),
        outcome: outcomes_to_bytes(&[receipt.outcome]).into(),
        path: receipt.path.iter().map(|hash| hash.to_vec().into()).collect(),
    }
}

/// A receipt from a message.
///
/// # Errors
/// `INVALID_ARGUMENT` names the malformed part.
pub fn receipt_from_message(message: &v1::Receipt) -> Result<Receipt, Status> {
    let outcomes = outcomes_from_bytes(&message.outcome)?;
    let [outcome] = outcomes[..] else {
        return Err(invalid(
            "outcome",
            format!("expected one outcome of 24 bytes, found {} bytes", message.outcome.len()),
        ));
    };
    Ok(Receipt {
        header: header_from_message(required("header", message.header.as_ref())?)?,
        index: message.index,
        command: message.command.to_vec(),
        outcome,
        path: message.path.iter().map(|hash| exact("path", hash)).collect::<Result<_, _>>()?,
    })
}

/// A public key field.
pub fn public_key(field: &str, bytes: &[u8]) -> Result<PublicKey, Status> {
    exact(field, bytes).map(PublicKey)
}
