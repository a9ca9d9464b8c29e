//! The relay of payments as their holders signed them: prechecked, submitted to the central bank, answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cbdc_ledger::command::Payment;
use cbdc_ledger::{Command, Outcome, Reason, Signed};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, State};
use tonic::Status;

use super::context::{BankContext, only_answer, status_unknown};
use super::record_status::RefusedBy;
use super::records::Records;
use super::unanswered::SentCopy;
use crate::metrics::Metrics;
use crate::precheck::{self, Checked, SignaturePrecheck};
use crate::relay::Relayed;

/// Relays payments of this bank's own customers.
#[derive(Clone)]
pub struct PaymentRelay {
    pub context: BankContext,
    pub records: Records,
    /// Verifies signatures before relaying, if the bank is configured to.
    pub precheck: Option<Arc<SignaturePrecheck>>,
    /// The wait for a payment's outcome, after which it may be accepted.
    pub accept_after: Duration,
    pub metrics: Arc<Metrics>,
}

impl PaymentRelay {
    /// Submits one payment. The answer used the payment's number, or the payment was accepted if that is allowed;
    /// everything else is an error.
    pub async fn pay(&self, payment: Signed<Payment>, may_accept: bool) -> Result<Answer, Status> {
        let is_reachable = self.context.relay.is_reachable();
        if may_accept && !is_reachable {
            return self.accept(payment).await;
        }
        let command = Command::from(payment);
        let checked = self.verified(precheck::check(self.context.bank, payment.to_bytes().into())).await;
        if let Some(refusal) = checked.refusal_of_only() {
            return self.records.answer_refusal(&command, refusal, RefusedBy::Bank).await;
        }
        let sent = self.records.sent(&command);
        let wait = if may_accept { self.accept_after } else { self.context.timeout() };
        let Ok(relayed) = self.context.relay.submit(checked.relayed, 1, wait) else {
            sent.into_iter().for_each(SentCopy::answered);
            let overloaded = Outcome::refused(Reason::Overloaded, 0, 0);
            return self.records.answer_refusal(&command, overloaded, RefusedBy::Bank).await;
        };
        let relayed = relayed.await;
        let answer = only_answer(&relayed.answers);
        match answer.state {
            State::Final if answer.has_used_its_number() => {
                sent.into_iter().for_each(SentCopy::answered);
                Ok(answer)
            }
            State::Final => {
                // Only this copy is answered, not one that a broken stream may have left in flight.
                sent.into_iter().filter(|_| !relayed.resent).for_each(SentCopy::answered);
                let by = RefusedBy::CentralBank(relayed.other_copies());
                self.records.answer_refusal(&command, answer.outcome, by).await
            }
            _ if may_accept => self.accept(payment).await,
            _ => Err(status_unknown()),
        }
    }

    /// Submits packed payments and returns all answers; the length must be a multiple of a payment's.
    pub async fn submit(&self, commands: Bytes) -> Answers {
        let checked = self.verified(precheck::check(self.context.bank, commands)).await;
        let answered = match checked.count {
            0 => Answers::all(Answer::unknown(), 0),
            count => {
                let sent = self.records.sent_batch(checked.relayed.clone());
                let relayed = match self.context.relay.submit(checked.relayed.clone(), count, self.context.timeout()) {
                    Ok(relayed) => relayed.await,
                    Err(_) => Relayed::refused(Reason::Overloaded, count),
                };
                self.records.complete(sent, relayed).await
            }
        };
        checked.merge(answered)
    }

    /// Verifies signatures before relaying, if the bank is configured to.
    async fn verified(&self, checked: Checked) -> Checked {
        let Some(precheck) = self.precheck.clone().filter(|_| checked.count > 0) else { return checked };
        let relayed = checked.relayed.clone();
        let (turn, log) = (precheck.turn().await, precheck.clone());
        let verified = tokio::task::spawn_blocking(move || {
            let verified = checked.verified(&precheck);
            drop(turn);
            verified
        });
        match verified.await {
            Ok(verified) => {
                let bad = verified.bad_signatures();
                if bad > 0 {
                    log.log_bad(bad);
                    self.metrics.security_events(bad);
                }
                verified
            }
            // The node is stopping: the central bank verifies.
            Err(_) => precheck::check(self.context.bank, relayed),
        }
    }

    /// Accepts a payment into the outbox while the central bank does not answer, after the checks that the replica
    /// allows.
    async fn accept(&self, payment: Signed<Payment>) -> Result<Answer, Status> {
        let refusal = match self.records.answer_to(payment).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => match self.context.deposits.accept(payment).await {
                Ok(()) => return Ok(Answer::accepted()),
                Err(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        self.records.answer_refusal(&payment.into(), refusal, RefusedBy::Bank).await
    }
}
