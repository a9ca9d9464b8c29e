//! Payments that holders signed: transfers and defunds, singly or in volume.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, Payment, PaymentKind};
use cbdc_ledger::{Ledger, Outcome, Reason, Signed};
use cbdc_node::budget::{Charge, Exceeded};
use cbdc_node::source_standing::Tally;
use cbdc_node::{Share, SourceStanding};
use cbdc_proto::answers::Answers;
use cbdc_proto::convert::{outcome_to_message, payment_from_message, required};
use cbdc_proto::packed::{Answer, BATCH_COMMANDS_MAX, State};
use cbdc_proto::status::{invalid, may_settle_until, not_authorised, refusal_of};
use cbdc_proto::v1;
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use super::context::{BankContext, status_unknown, to_its_end, turn};
use super::payment_relay::PaymentRelay;
use super::record_status::RefusedBy;
use super::tally::{tally_of, tally_of_kept_back, tally_of_one};
use super::top_up::TopUpService;
use crate::metrics::Metrics;

/// Batches of one stream that may be in flight; then the stream is read no further.
const BATCHES_MAX: usize = 64;

/// The answers to one stream of batches.
pub type OutcomeBatches = Pin<Box<dyn Stream<Item = Result<v1::OutcomeBatch, Status>> + Send>>;

/// Serves payments.
pub struct PaymentService {
    pub context: BankContext,
    pub payment_relay: PaymentRelay,
    pub top_ups: TopUpService,
    /// Whether payments are accepted into the outbox while the central bank cannot be reached.
    pub accept_when_unreachable: bool,
    pub metrics: Arc<Metrics>,
    /// The longest time for which a stream may have nothing in flight.
    pub stream_idle_max: Duration,
    /// Cancelled once the node stops.
    pub stop: CancellationToken,
}

impl PaymentService {
    pub async fn submit_one(
        self: &Arc<Self>,
        request: v1::SubmitTransferRequest,
    ) -> Result<v1::SubmitTransferResponse, Status> {
        use v1::submit_transfer_response::State as Progress;
        let payment = payment_from_message(&required("payment", request.payment)?)?;
        let answer = self.pay(payment, request.accept_when_unreachable && self.accept_when_unreachable).await?;
        if answer.state == State::Accepted {
            return Ok(v1::SubmitTransferResponse { state: Progress::Accepted.into(), outcome: None });
        }
        let outcome = outcome_to_message(&answer.outcome, answer.height, answer.index);
        Ok(v1::SubmitTransferResponse { state: Progress::Final.into(), outcome: Some(outcome) })
    }

    pub async fn defund(self: &Arc<Self>, request: v1::DefundRequest) -> Result<v1::DefundResponse, Status> {
        let payment = payment_from_message(&required("payment", request.payment)?)?;
        if payment.record.kind != PaymentKind::Defund {
            let refused = invalid("payment.kind", "expected a defund");
            return Err(may_settle_until(&refused, payment.record.head.valid_until));
        }
        let answer = self.pay(payment, false).await?;
        // The chain credits the deposit: wait for it, so that the next reader sees it.
        self.context.replica_at(answer.height).await;
        Ok(v1::DefundResponse { outcome: Some(outcome_to_message(&answer.outcome, answer.height, answer.index)) })
    }

    /// Submits one payment. The answer was ordered, or accepted if that is allowed; everything else is an error.
    async fn pay(self: &Arc<Self>, payment: Signed<Payment>, may_accept: bool) -> Result<Answer, Status> {
        // It may settle if it is submitted to another bank.
        let elsewhere = |refused: Status| may_settle_until(&refused, payment.record.head.valid_until);
        let may_top_up = self.require_holders_payment(&payment.record).map_err(elsewhere)?;
        let admission = &self.payment_relay.admission;
        let slowed = Outcome::refused(Reason::Overloaded, 0, 0);
        let answered = match turn().await {
            Some(turn) if admission.is_slowed(payment.record.from) => {
                turn.answered(tally_of_kept_back());
                self.payment_relay.records.answer_refusal(&payment.into(), slowed, RefusedBy::Bank).await
            }
            Some(turn) => {
                let service = self.clone();
                let paying = to_its_end(async move {
                    let height = service.context.ledger.read(Ledger::height);
                    let answered = match may_top_up {
                        true => service.top_ups.pay(payment, may_accept).await,
                        false => service.payment_relay.pay(payment, may_accept).await,
                    };
                    turn.answered(tally_of_one(&answered, height));
                    answered
                });
                paying.await.unwrap_or_else(|| Err(status_unknown()))
            }
            None => self.payment_relay.records.answer_refusal(&payment.into(), slowed, RefusedBy::Bank).await,
        };
        match &answered {
            Ok(answer) => self.metrics.answered_one(answer),
            Err(status) => {
                let refusal = refusal_of(status).unwrap_or(Answer::unknown().outcome);
                let is_unknown = refusal.reason.leaves_status_open();
                self.metrics.answered_one(&if is_unknown { Answer::unknown() } else { Answer::not_ordered(refusal) });
            }
        }
        answered
    }

    /// Refuses payments that this bank does not serve; for others, returns whether the payer allows a top-up.
    fn require_holders_payment(&self, payment: &Payment) -> Result<bool, Status> {
        if payment.kind == PaymentKind::Fund {
            return Err(not_authorised(
                "expected a transfer or a defund, which holders sign; a fund is the bank's own to sign",
            ));
        }
        // A payment may be topped up by a bank other than the payer's own.
        let may_top_up = payment.head.flags & FLAG_REVERSE_WATERFALL != 0;
        if payment.from.bank != self.context.bank && !may_top_up {
            return Err(not_authorised(format!(
                "the payer is a customer of bank {}, this is bank {}",
                payment.from.bank, self.context.bank
            )));
        }
        Ok(may_top_up)
    }

    /// Serves one stream of batches.
    ///
    /// No more than 64 batches of a stream are in flight, and few payments until some have settled. The stream is
    /// driven by its reader: a client that stops reading its answers is read no further either, keeps a bounded amount
    /// of memory, and holds nobody else up. Nor does one most of whose payments are refused, or repeated: it waits for
    /// its turn ([`cbdc_node::source_standing`]). One that has nothing in flight for [`Self::stream_idle_max`] ends.
    pub fn submit_many(self: Arc<Self>, mut batches: Streaming<v1::CommandBatch>) -> OutcomeBatches {
        let standing = SourceStanding::current();
        Box::pin(async_stream::try_stream! {
            let mut in_flight = FuturesUnordered::new();
            let (mut is_open, mut may_read) = (true, false);
            let mut wrong = None;
            while is_open || !in_flight.is_empty() {
                let may_take_batch = is_open && in_flight.len() < BATCHES_MAX;
                let reads_on = may_take_batch && (may_read || standing.has_capacity());
                let event = tokio::select! {
                    Some(answer) = in_flight.next(), if !in_flight.is_empty() => Event::Answered(answer),
                    batch = batches.message(), if reads_on => Event::Came(batch),
                    () = until_capacity(&standing), if may_take_batch && !reads_on => Event::MayRead,
                    () = self.stop.cancelled(), if is_open => Event::Stopped,
                    () = tokio::time::sleep(self.stream_idle_max), if in_flight.is_empty() && reads_on => Event::Idle,
                };
                match event {
                    Event::Answered(answer) => yield answer,
                    Event::Came(Ok(None)) => is_open = false,
                    Event::Came(batch) => match batch.map(Option::unwrap_or_default).and_then(of_a_fit_size) {
                        Ok(batch) => {
                            may_read = false;
                            let charge = Share::take_current(batch.commands.len());
                            in_flight.push(self.clone().answer_batch(batch, charge, standing.clone()));
                        }
                        // No more is read. The status speaks of this batch alone: those before it are answered first.
                        Err(status) => (wrong, is_open) = (Some(status), false),
                    },
                    Event::MayRead => may_read = true,
                    // The node stops: nothing more is read, and batches in flight are answered.
                    Event::Stopped => is_open = false,
                    Event::Idle => Err(idle(self.stream_idle_max))?,
                }
            }
            wrong.map_or(Ok(()), Err)?;
        })
    }

    /// Answers one batch once it is its turn. Memory was taken for it until it is answered.
    ///
    /// The batch waits and is answered in a task of its own: a stream whose answers are not read is not run further,
    /// and must not keep others of its source from their turns. If the stream ends before the batch's turn, the batch
    /// is not submitted.
    async fn answer_batch(
        self: Arc<Self>,
        batch: v1::CommandBatch,
        charge: Result<Option<Charge>, Exceeded>,
        standing: Arc<SourceStanding>,
    ) -> v1::OutcomeBatch {
        let v1::CommandBatch { batch_id, commands, takes_runs } = batch;
        let count = commands.len() / SIGNED_PAYMENT_BYTES;
        let stream_ended = CancellationToken::new();
        let _ended = stream_ended.clone().drop_guard();
        let answered = to_its_end(async move {
            let turn = tokio::select! {
                turn = standing.turn(count) => turn,
                () = stream_ended.cancelled() => return None,
            };
            let height = self.context.ledger.read(Ledger::height);
            let (answers, kept_back) = match &charge {
                Ok(_) => self.payment_relay.submit(commands).await,
                Err(exceeded) => {
                    let refused = Outcome::refused(Reason::Overloaded, exceeded.limit as u64, exceeded.amount as u64);
                    (Answers::all(Answer::not_ordered(refused), count), 0)
                }
            };
            self.metrics.answered(&answers);
            let tally = tally_of(&answers, height);
            turn.answered(Tally { not_ordered: tally.not_ordered + kept_back, ..tally });
            Some(answers)
        });
        let answers = answered.await.flatten().unwrap_or_else(|| Answers::all(Answer::unknown(), count));
        answers.into_message(batch_id, takes_runs)
    }
}

/// Waits until the source has capacity, in a task of its own for the same reason as a batch.
async fn until_capacity(standing: &Arc<SourceStanding>) {
    let standing = standing.clone();
    drop(AbortOnDropHandle::new(tokio::spawn(async move { standing.until_capacity().await })).await);
}

enum Event {
    Answered(v1::OutcomeBatch),
    Came(Result<Option<v1::CommandBatch>, Status>),
    MayRead,
    Stopped,
    Idle,
}

fn idle(for_so_long: Duration) -> Status {
    Status::deadline_exceeded(format!(
        "nothing was in flight on this stream for {} s, so it ends; open another one for the next payments",
        for_so_long.as_secs()
    ))
}

fn of_a_fit_size(batch: v1::CommandBatch) -> Result<v1::CommandBatch, Status> {
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
    Ok(batch)
}
