//! Payments that holders signed: transfers and defunds, one by one or in volume.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_ledger::command::{Domain, FLAG_REVERSE_WATERFALL, Payment, PaymentKind, Record, Signer, signing_prefix};
use cbdc_ledger::sequence::SequenceStatus;
use cbdc_ledger::{Outcome, Reason, Signed};
use cbdc_node::views::{self, probable_time};
use cbdc_proto::answers::Answers;
use cbdc_proto::convert::{outcome_to_message, payment_from_message, required};
use cbdc_proto::packed::{Answer, BATCH_COMMANDS_MAX, PACKED_BYTES, State, pack, unordered_reason};
use cbdc_proto::status::{invalid, not_authorised, of_refusal};
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tonic::{Status, Streaming};

use super::{Desks, Reply, look_up, only_answer, status_unknown, top_up, wallet};
use crate::history::payment_of;
use crate::precheck::{self, Checked};

/// Batches of one stream that may be in flight; then the stream is read no further.
const BATCHES_MAX: usize = 64;
/// How often the history is asked for a number that the ledger says is used, and the pause between.
const HISTORY_LOOKS: usize = 40;
const HISTORY_PAUSE: Duration = Duration::from_millis(50);

pub async fn submit_one(
    desks: &Arc<Desks>,
    request: v1::SubmitTransferRequest,
) -> Result<v1::SubmitTransferResponse, Status> {
    use v1::submit_transfer_response::State as Progress;
    let payment = payment_from_message(&required("payment", request.payment)?)?;
    let answer = pay(desks, payment, request.accept_when_unreachable && desks.accept_when_unreachable).await?;
    if answer.state == State::Accepted {
        return Ok(v1::SubmitTransferResponse { state: Progress::Accepted.into(), outcome: None });
    }
    let outcome = outcome_to_message(&answer.outcome, answer.height, answer.index);
    Ok(v1::SubmitTransferResponse { state: Progress::Final.into(), outcome: Some(outcome) })
}

pub async fn defund(desks: &Arc<Desks>, request: v1::DefundRequest) -> Result<v1::DefundResponse, Status> {
    let payment = payment_from_message(&required("payment", request.payment)?)?;
    if payment.record.kind != PaymentKind::Defund {
        return Err(invalid("payment.kind", "expected a defund"));
    }
    let account = payment.record.from;
    let answer = pay(desks, payment, false).await?;
    // The chain credits the deposit: wait for it, so that the answer shows it.
    desks.replica_at(answer.height).await;
    Ok(v1::DefundResponse {
        outcome: Some(outcome_to_message(&answer.outcome, answer.height, answer.index)),
        deposit: Some(wallet::deposit_of(desks, account)),
    })
}

/// Hands one payment in. The answer was ordered, or accepted where that is allowed; everything else is an error.
async fn pay(desks: &Arc<Desks>, payment: Signed<Payment>, may_accept: bool) -> Result<Answer, Status> {
    if payment.record.kind == PaymentKind::Fund {
        return Err(not_authorised(
            "expected a transfer or a defund, which holders sign; a fund is the bank's own to sign",
        ));
    }
    // A payment may be topped up by another bank than the payer's own.
    let may_top_up = payment.record.head.flags & FLAG_REVERSE_WATERFALL != 0;
    if payment.record.from.bank != desks.bank && !may_top_up {
        return Err(not_authorised(format!(
            "the payer is a customer of bank {}, this is bank {}",
            payment.record.from.bank, desks.bank
        )));
    }
    let answered = match may_top_up {
        true => top_up::pay(desks, payment, may_accept).await,
        false => try_pay(desks, payment, may_accept).await,
    };
    match &answered {
        Ok(answer) => desks.metrics.answered_one(answer),
        Err(status) => {
            let refusal = cbdc_proto::status::refusal_of(status).unwrap_or(Answer::unknown().outcome);
            let is_unknown = refusal.reason == Reason::Unavailable;
            desks.metrics.answered_one(&if is_unknown { Answer::unknown() } else { Answer::not_ordered(refusal) });
        }
    }
    answered
}

/// Hands a payment of this bank's own customer in as it is.
pub async fn try_pay(desks: &Arc<Desks>, payment: Signed<Payment>, may_accept: bool) -> Result<Answer, Status> {
    if may_accept && !desks.relay.is_reachable() {
        return accept(desks, payment).await;
    }
    let command = Bytes::from(payment.to_bytes());
    let checked = verified(desks, precheck::check(desks.bank, command)).await;
    let answer = only_answer(&relay(desks, checked).await);
    match answer.state {
        State::Final if answer.is_ordered() => Ok(answer),
        State::Final => Err(of_refusal(&answer.outcome)),
        _ if may_accept => accept(desks, payment).await,
        _ => Err(status_unknown()),
    }
}

/// Verifies signatures at the edge, where the bank is set to.
async fn verified(desks: &Arc<Desks>, checked: Checked) -> Checked {
    if desks.precheck.is_none() || checked.count == 0 {
        return checked;
    }
    let (at_edge, relayed) = (desks.clone(), checked.relayed.clone());
    let verified = tokio::task::spawn_blocking(move || match &at_edge.precheck {
        Some(verifier) => checked.verified(verifier),
        None => checked,
    });
    match verified.await {
        Ok(verified) => {
            let bad = verified.bad_signatures();
            if bad > 0 {
                tracing::warn!(target: "security", bad, "customers' payments with bad signatures were refused");
                desks.metrics.security_events(bad);
            }
            verified
        }
        // The node is stopping: the central bank verifies.
        Err(_) => precheck::check(desks.bank, relayed),
    }
}

/// Relays what was checked and gives the answers to the whole batch.
async fn relay(desks: &Arc<Desks>, checked: Checked) -> Answers {
    let answered = match checked.count {
        0 => Answers::all(Answer::unknown(), 0),
        count => match desks.relay.submit(checked.relayed.clone(), count, desks.timeout()) {
            Ok(relayed) => {
                let answers = relayed.await.answers;
                reply_cache(desks, &checked.relayed, answers).await
            }
            Err(_) => Answers::all(Answer::not_ordered(Outcome::refused(Reason::Overloaded, 0, 0)), count),
        },
    };
    checked.merge(answered)
}

/// Whether an answer says that the number was used before.
fn says_used(packed: &[u8]) -> bool {
    matches!(unordered_reason(packed), Some(Reason::SequenceUsed | Reason::SequenceConflict))
}

/// A record that was ordered so long ago that the central bank no longer knows its outcome: this bank's history does.
async fn reply_cache(desks: &Arc<Desks>, records: &Bytes, answers: Answers) -> Answers {
    let Answers::Each(packed) = &answers else { return answers };
    if !packed.chunks_exact(PACKED_BYTES).any(says_used) {
        return answers;
    }
    let (packed, records) = (packed.clone(), records.clone());
    let looked = look_up(desks, move |desks| {
        let mut looked = Vec::with_capacity(packed.len());
        for (packed, record) in packed.chunks_exact(PACKED_BYTES).zip(records.chunks_exact(SIGNED_PAYMENT_BYTES)) {
            match says_used(packed).then(|| first_outcome(desks, record)).transpose()?.flatten() {
                Some(answer) => looked.extend_from_slice(&pack(&[answer])),
                None => looked.extend_from_slice(packed),
            }
        }
        Ok(Answers::Each(looked.into()))
    });
    looked.await.unwrap_or(answers)
}

/// What became of a record whose number is used: its own outcome, or a conflict where another record used the number.
/// `None` where this bank does not know.
fn first_outcome(desks: &Desks, record: &[u8]) -> Result<Option<Answer>, cbdc_node::ArchiveError> {
    let Ok(cbdc_ledger::Command::Payment(payment)) = cbdc_ledger::Command::from_bytes(record) else { return Ok(None) };
    let past = desks.history.by_number(payment.record.from, payment.record.head.sequence)?;
    Ok(past.map(|past| match payment_of(&past.command) == Some(&payment) {
        true => Answer::ordered(past.ordered.height, past.ordered.index, past.ordered.outcome),
        false => Answer::not_ordered(Outcome::refused(Reason::SequenceConflict, 0, 0)),
    }))
}

/// Takes a payment into the outbox while the central bank cannot be reached, after the checks that the replica allows.
async fn accept(desks: &Arc<Desks>, payment: Signed<Payment>) -> Result<Answer, Status> {
    if let Some(answer) = answered_before(desks, payment).await? {
        return Ok(answer);
    }
    let Payment { from, amount, .. } = payment.record;
    let spendable = desks.ledger.read(|ledger| ledger.account_today(from).map(|account| account.spendable()));
    if let Some(spendable) = spendable.filter(|spendable| *spendable < amount) {
        return Err(of_refusal(&Outcome::refused(Reason::InsufficientFunds, spendable.minor(), amount.minor())));
    }
    desks.desk.accept(payment).await.map_err(|refusal| of_refusal(&refusal))?;
    Ok(Answer::accepted())
}

/// The answer to a payment that was ordered before, as this bank's history has it; `None` for a sound one that was not.
///
/// # Errors
/// The payment is not sound, or its number was used by another command, or by what is not known here.
pub async fn answered_before(desks: &Arc<Desks>, payment: Signed<Payment>) -> Result<Option<Answer>, Status> {
    // The replica's ledger knows of a block a moment before the history does.
    for _ in 0..HISTORY_LOOKS {
        match look_for_answer(desks, payment).await {
            Err(refusal) if refusal.reason == Reason::SequenceUsed && payment.record.from.bank == desks.bank => {
                tokio::time::sleep(HISTORY_PAUSE).await;
            }
            looked => return looked.map_err(|refusal| of_refusal(&refusal)),
        }
    }
    Err(status_unknown())
}

async fn look_for_answer(desks: &Arc<Desks>, payment: Signed<Payment>) -> Result<Option<Answer>, Outcome> {
    let answered = look_up(desks, move |desks| match sound(desks, &payment) {
        Ok(SequenceStatus::Used) => first_outcome(desks, &payment.to_bytes()).map(|first| match first {
            Some(answer) if answer.is_ordered() => Ok(Some(answer)),
            Some(answer) => Err(answer.outcome),
            None => Err(Outcome::refused(Reason::SequenceUsed, 0, 0)),
        }),
        Ok(_) => Ok(Ok(None)),
        Err(refusal) => Ok(Err(refusal)),
    });
    answered.await.unwrap_or(Err(Outcome::refused(Reason::Unavailable, 0, 0)))
}

/// Whether a payment's payer, key, number, time and signature are good as far as is known here.
fn sound(desks: &Desks, payment: &Signed<Payment>) -> Result<SequenceStatus, Outcome> {
    let Payment { head, from, .. } = &payment.record;
    // Of other banks' wallets a bank that keeps its own part knows the linked ones.
    let unknown = match desks.is_partial_replica() && from.bank != desks.bank {
        true => Outcome::refused(Reason::NotLinked, 0, u64::from(desks.bank.0)),
        false => Outcome::refused(Reason::UnknownAccount, 0, 0),
    };
    let (key, status) = desks.ledger.read(|ledger| {
        let now = probable_time(ledger.tip().time);
        let status = match ledger.check_admission(Signer::Holder(*from), head, now) {
            Ok(admission) => admission.validity.map(|()| SequenceStatus::Free)?,
            // It may have expired since it was ordered; never was it valid for longer than genesis allows.
            Err(refusal) if refusal.reason == Reason::SequenceUsed => match ledger.check_validity(head, now) {
                Err(refusal) if refusal.reason == Reason::ValidityTooLong => return Err(refusal),
                _ => SequenceStatus::Used,
            },
            Err(refusal) if refusal.reason == Reason::UnknownAccount => return Err(unknown),
            Err(refusal) => return Err(refusal),
        };
        Ok((ledger.key(*from).ok_or(unknown)?, status))
    })?;
    let prefix = signing_prefix(Domain::Command, desks.genesis.network());
    let bad_signature = Outcome::refused(Reason::BadSignature, 0, 0);
    let key = key.decompress().map_err(|_| bad_signature)?;
    if !cbdc_signatures::verify(&key, [&prefix, &payment.record.to_bytes()], &payment.signature) {
        return Err(bad_signature);
    }
    Ok(status)
}

/// Serves one stream of batches.
///
/// No more than 64 batches of a stream are in flight. The stream is driven by its reader: a client that stops reading its
/// answers is read no further either, keeps a bounded amount of memory, and holds nobody else up.
pub fn submit_many(desks: Arc<Desks>, mut batches: Streaming<v1::CommandBatch>) -> Reply<v1::OutcomeBatch> {
    Box::pin(async_stream::try_stream! {
        let mut in_flight = FuturesUnordered::new();
        let mut is_open = true;
        while is_open || !in_flight.is_empty() {
            let event = tokio::select! {
                Some(answer) = in_flight.next(), if !in_flight.is_empty() => Event::Answered(answer),
                batch = batches.message(), if is_open && in_flight.len() < BATCHES_MAX => Event::Came(batch),
                () = desks.stop.cancelled(), if is_open => Event::Stopped,
            };
            match event {
                Event::Answered(answer) => yield answer,
                Event::Came(batch) => match batch? {
                    Some(batch) => {
                        check_size(&batch)?;
                        in_flight.push(answer_batch(desks.clone(), batch));
                    }
                    None => is_open = false,
                },
                // The node stops: no more is read, what is in flight is answered.
                Event::Stopped => is_open = false,
            }
        }
    })
}

enum Event {
    Answered(v1::OutcomeBatch),
    Came(Result<Option<v1::CommandBatch>, Status>),
    Stopped,
}

fn check_size(batch: &v1::CommandBatch) -> Result<(), Status> {
    let length = batch.commands.len();
    if !length.is_multiple_of(SIGNED_PAYMENT_BYTES) {
        return Err(invalid(
            "commands",
            format!("expected payments of {SIGNED_PAYMENT_BYTES} bytes each, found {length} bytes"),
        ));
    }
    let count = length / SIGNED_PAYMENT_BYTES;
    if count > BATCH_COMMANDS_MAX {
        return Err(invalid(
            "commands",
            format!("expected at most {BATCH_COMMANDS_MAX} payments in a batch, found {count}"),
        ));
    }
    Ok(())
}

async fn answer_batch(desks: Arc<Desks>, batch: v1::CommandBatch) -> v1::OutcomeBatch {
    let checked = verified(&desks, precheck::check(desks.bank, batch.commands)).await;
    let answers = relay(&desks, checked).await;
    desks.metrics.answered(&answers);
    answers.into_message(batch.batch_id, batch.takes_runs)
}

/// What a transfer would meet now. What the payee's side says the central bank knows, where this bank keeps its own part only.
pub async fn quote_transfer(desks: &Desks, request: v1::QuoteTransferRequest) -> Result<v1::Quote, Status> {
    let from = desks.own_account("from", &request.from)?;
    if desks.is_partial_replica() {
        let ask = |channel| async { SettlementClient::new(channel).quote_transfer(request).await };
        return desks.central_bank.ask(ask).await;
    }
    desks.ledger.read(|ledger| views::quote(ledger, from, &request))
}
