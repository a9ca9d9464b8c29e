//! Payments that may have been ordered before: what this bank's history says of them.
//!
//! The replica's ledger tells whether a sequence number is used, the history by which record. The ledger knows of a
//! block a moment before the history does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_ledger::command::{Domain, Payment, Record, Signer, signing_prefix};
use cbdc_ledger::sequence::SequenceStatus;
use cbdc_ledger::{Command, Outcome, Reason, Signed};
use cbdc_node::ArchiveError;
use cbdc_node::views::probable_time;
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, PACKED_BYTES, pack, unordered_reason};
use cbdc_proto::status::of_refusal;
use tonic::Status;

use super::context::{BankContext, look_up, status_unknown};
use crate::history::{History, payment_of};

/// How often the history is asked for a sequence number that the ledger says is used, and the pause between.
const HISTORY_LOOKS: usize = 40;
const HISTORY_PAUSE: Duration = Duration::from_millis(50);

/// Finds the answers to payments that were ordered before.
#[derive(Clone)]
pub struct EarlierPayments {
    pub context: BankContext,
    pub history: Arc<History>,
}

impl EarlierPayments {
    /// The answer to a payment that was ordered before, as this bank's history has it; `None` for a sound one that was
    /// not.
    ///
    /// # Errors
    /// The payment is not sound, or its sequence number was used by another command, or by one that is not known here.
    pub async fn answer_to(&self, payment: Signed<Payment>) -> Result<Option<Answer>, Status> {
        for _ in 0..HISTORY_LOOKS {
            match self.look_for_answer(payment).await {
                Err(refusal)
                    if refusal.reason == Reason::SequenceUsed && payment.record.from.bank == self.context.bank =>
                {
                    tokio::time::sleep(HISTORY_PAUSE).await;
                }
                looked => return looked.map_err(|refusal| of_refusal(&refusal)),
            }
        }
        Err(status_unknown())
    }

    async fn look_for_answer(&self, payment: Signed<Payment>) -> Result<Option<Answer>, Outcome> {
        let (context, history) = (self.context.clone(), self.history.clone());
        let answered = look_up(move || match sound(&context, &payment) {
            Ok(SequenceStatus::Used) => first_outcome(&history, &payment).map(|first| match first {
                Some(answer) if answer.is_ordered() => Ok(Some(answer)),
                Some(answer) => Err(answer.outcome),
                None => Err(Outcome::refused(Reason::SequenceUsed, 0, 0)),
            }),
            Ok(_) => Ok(Ok(None)),
            Err(refusal) => Ok(Err(refusal)),
        });
        answered.await.unwrap_or(Err(Outcome::refused(Reason::Unavailable, 0, 0)))
    }

    /// Replaces each answer that says no more than that the number is used by what this bank's history says of the
    /// record: it may have been ordered so long ago that the central bank no longer has its outcome.
    pub async fn complete(&self, records: &Bytes, answers: Answers) -> Answers {
        let Answers::Each(packed) = &answers else { return answers };
        if !packed.chunks_exact(PACKED_BYTES).any(says_used) {
            return answers;
        }
        let (history, packed, records) = (self.history.clone(), packed.clone(), records.clone());
        let looked = look_up(move || {
            let mut looked = Vec::with_capacity(packed.len());
            for (packed, record) in packed.chunks_exact(PACKED_BYTES).zip(records.chunks_exact(SIGNED_PAYMENT_BYTES)) {
                match says_used(packed).then(|| first_outcome_of(&history, record)).transpose()?.flatten() {
                    Some(answer) => looked.extend_from_slice(&pack(&[answer])),
                    None => looked.extend_from_slice(packed),
                }
            }
            Ok(Answers::Each(looked.into()))
        });
        looked.await.unwrap_or(answers)
    }
}

/// Whether an answer says that the number was used before.
fn says_used(packed: &[u8]) -> bool {
    matches!(unordered_reason(packed), Some(Reason::SequenceUsed | Reason::SequenceConflict))
}

fn first_outcome_of(history: &History, record: &[u8]) -> Result<Option<Answer>, ArchiveError> {
    match Command::from_bytes(record) {
        Ok(Command::Payment(payment)) => first_outcome(history, &payment),
        _ => Ok(None),
    }
}

/// The answer to a payment whose number is used: its own outcome, or a conflict where another record used the number.
/// `None` where this bank does not know.
fn first_outcome(history: &History, payment: &Signed<Payment>) -> Result<Option<Answer>, ArchiveError> {
    let past = history.by_sequence(payment.record.from, payment.record.head.sequence)?;
    Ok(past.map(|past| match payment_of(&past.command) == Some(payment) {
        true => Answer::ordered(past.ordered.height, past.ordered.index, past.ordered.outcome),
        false => Answer::not_ordered(Outcome::refused(Reason::SequenceConflict, 0, 0)),
    }))
}

/// Whether a payment's payer, key, sequence number, time and signature are good as far as is known here.
fn sound(context: &BankContext, payment: &Signed<Payment>) -> Result<SequenceStatus, Outcome> {
    let Payment { head, from, .. } = &payment.record;
    // Of other banks' wallets a partial replica has the linked ones only.
    let unknown = match context.is_partial_replica() && from.bank != context.bank {
        true => Outcome::refused(Reason::NotLinked, 0, u64::from(context.bank.0)),
        false => Outcome::refused(Reason::UnknownAccount, 0, 0),
    };
    let (key, status, network) = context.ledger.read(|ledger| {
        let now = probable_time(ledger.tip().time);
        let status = match ledger.check_admission(Signer::Holder(*from), head, now) {
            Ok(admission) => admission.validity.map(|()| SequenceStatus::Free)?,
            // It may have expired since it was ordered, but was never valid for longer than genesis allows.
            Err(refusal) if refusal.reason == Reason::SequenceUsed => match ledger.check_validity(head, now) {
                Err(refusal) if refusal.reason == Reason::ValidityTooLong => return Err(refusal),
                _ => SequenceStatus::Used,
            },
            Err(refusal) if refusal.reason == Reason::UnknownAccount => return Err(unknown),
            Err(refusal) => return Err(refusal),
        };
        Ok((ledger.key(*from).ok_or(unknown)?, status, ledger.network()))
    })?;
    let prefix = signing_prefix(Domain::Command, network);
    let bad_signature = Outcome::refused(Reason::BadSignature, 0, 0);
    let key = key.decompress().map_err(|_| bad_signature)?;
    if !cbdc_signatures::verify(&key, [&prefix, &payment.record.to_bytes()], &payment.signature) {
        return Err(bad_signature);
    }
    Ok(status)
}
