//! The relay of payments as their holders signed them: admitted, submitted to the central bank, answered.

use std::time::Duration;

use bytes::Bytes;
use cbdc_ledger::command::Payment;
use cbdc_ledger::{Command, Ledger, Outcome, Reason, Signed};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, State};
use tonic::Status;

use super::admission::Admission;
use super::context::{BankContext, only_answer};
use super::record_status::RefusedBy;
use super::records::Records;
use super::unanswered::SentCopy;
use crate::relay::{Relayed, Timeout};

/// Relays payments of this bank's own customers.
#[derive(Clone)]
pub struct PaymentRelay {
    pub context: BankContext,
    pub records: Records,
    pub admission: Admission,
    /// The wait for a payment's outcome, after which it may be accepted.
    pub accept_after: Duration,
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
        let height = self.context.ledger.read(Ledger::height);
        // Held until it is answered.
        let admitted = self.admission.admit(payment.to_bytes().into()).await;
        if let Some(refusal) = admitted.checked.refusal_of_only() {
            return self.records.answer_refusal(&command, refusal, RefusedBy::Bank).await;
        }
        let sent = self.records.sent(&command);
        let timeout = if may_accept { Timeout::Exactly(self.accept_after) } else { Timeout::Usual };
        let Ok(relayed) = self.context.relay.submit(admitted.checked.relayed.clone(), 1, timeout) else {
            sent.into_iter().for_each(SentCopy::answered);
            let overloaded = Outcome::refused(Reason::Overloaded, 0, 0);
            return self.records.answer_refusal(&command, overloaded, RefusedBy::Bank).await;
        };
        let relayed = relayed.await;
        let answer = only_answer(&relayed.answers);
        self.admission.answered_one(payment.record.from, &answer, height);
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
            _ => Err(self.context.status_unknown()),
        }
    }

    /// Submits packed payments, whose length must be a multiple of a payment's. Returns all answers, and how many of
    /// the payments were kept back because their accounts have used up their shares.
    pub async fn submit(&self, commands: Bytes) -> (Answers, usize) {
        let height = self.context.ledger.read(Ledger::height);
        let mut admitted = self.admission.admit(commands).await;
        let (relayed, count) = (admitted.checked.relayed.clone(), admitted.checked.count);
        let answered = match count {
            0 => Answers::all(Answer::unknown(), 0),
            count => {
                let sent = self.records.sent_batch(relayed.clone());
                let answered = match self.context.relay.submit(relayed.clone(), count, Timeout::Usual) {
                    Ok(answered) => answered.await,
                    Err(_) => Relayed::refused(Reason::Overloaded, count),
                };
                self.admission.answered(&relayed, &answered.answers, height);
                self.records.complete(sent, answered).await
            }
        };
        // What was not relayed is judged last: other copies of it may have been in the same batch.
        let to_judge = admitted.to_judge();
        let kept_back = to_judge.iter().filter(|(.., refusal)| refusal.reason == Reason::Overloaded).count();
        if !to_judge.is_empty() {
            for (at, answer) in self.records.answers_to_refused(to_judge).await {
                admitted.checked.answer(at, answer);
            }
        }
        (admitted.checked.merge(answered), kept_back)
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
