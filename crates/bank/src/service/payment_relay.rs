//! Relaying payments as their holders signed them: prechecked, submitted to the central bank, answered.

use std::sync::Arc;

use bytes::Bytes;
use cbdc_ledger::command::Payment;
use cbdc_ledger::{Outcome, Reason, Signed};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, State};
use cbdc_proto::status::of_refusal;
use tonic::Status;

use super::context::{BankContext, only_answer, status_unknown};
use super::earlier_payment::EarlierPayments;
use crate::metrics::Metrics;
use crate::precheck::{self, Checked, SignaturePrecheck};

/// Relays payments of this bank's own customers.
#[derive(Clone)]
pub struct PaymentRelay {
    pub context: BankContext,
    pub earlier: EarlierPayments,
    /// Verifies signatures before they are relayed, where the bank is set to.
    pub precheck: Option<Arc<SignaturePrecheck>>,
    pub metrics: Arc<Metrics>,
}

impl PaymentRelay {
    /// Submits one payment. The answer was ordered, or accepted where that is allowed; everything else is an error.
    pub async fn pay(&self, payment: Signed<Payment>, may_accept: bool) -> Result<Answer, Status> {
        if may_accept && !self.context.relay.is_reachable() {
            return self.accept(payment).await;
        }
        let answer = only_answer(&self.submit(Bytes::from(payment.to_bytes())).await);
        match answer.state {
            State::Final if answer.is_ordered() => Ok(answer),
            State::Final => Err(of_refusal(&answer.outcome)),
            _ if may_accept => self.accept(payment).await,
            _ => Err(status_unknown()),
        }
    }

    /// Submits packed payments and gives the answers to all of them; the length must be a multiple of a payment's.
    pub async fn submit(&self, commands: Bytes) -> Answers {
        let checked = self.verified(precheck::check(self.context.bank, commands)).await;
        let answered = match checked.count {
            0 => Answers::all(Answer::unknown(), 0),
            count => match self.context.relay.submit(checked.relayed.clone(), count, self.context.timeout()) {
                Ok(relayed) => {
                    let answers = relayed.await.answers;
                    self.earlier.complete(&checked.relayed, answers).await
                }
                Err(_) => Answers::all(Answer::not_ordered(Outcome::refused(Reason::Overloaded, 0, 0)), count),
            },
        };
        checked.merge(answered)
    }

    /// Verifies signatures before they are relayed, where the bank is set to.
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

    /// Takes a payment into the outbox while the central bank cannot be reached, after the checks that the replica
    /// allows.
    async fn accept(&self, payment: Signed<Payment>) -> Result<Answer, Status> {
        if let Some(answer) = self.earlier.answer_to(payment).await? {
            return Ok(answer);
        }
        let Payment { from, amount, .. } = payment.record;
        let spendable =
            self.context.ledger.read(|ledger| ledger.account_today(from).map(|account| account.spendable()));
        if let Some(spendable) = spendable.filter(|spendable| *spendable < amount) {
            return Err(of_refusal(&Outcome::refused(Reason::InsufficientFunds, spendable.minor(), amount.minor())));
        }
        self.context.deposits.accept(payment).await.map_err(|refusal| of_refusal(&refusal))?;
        Ok(Answer::accepted())
    }
}
