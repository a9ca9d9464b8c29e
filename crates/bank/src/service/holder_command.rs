//! Commands other than payments that holders sign: consent to the waterfall, the wallet of the tier allowance, holds.

use std::sync::Arc;

use bytes::Bytes;
use cbdc_ledger::authority;
use cbdc_ledger::command::Signer;
use cbdc_ledger::{AccountId, Command, Ledger, Outcome, Reason};
use cbdc_proto::convert::outcome_to_message;
use cbdc_proto::packed::{Answer, State};
use cbdc_proto::status::{invalid, may_settle_until, not_authorised};
use cbdc_proto::v1;
use tonic::Status;

use super::admission::Admission;
use super::context::{BankContext, only_answer, status_unknown, to_its_end, turn};
use super::record_status::RefusedBy;
use super::records::Records;
use super::tally::tally_of_one;
use super::unanswered::SentCopy;
use crate::history::payment_of;
use crate::metrics::Metrics;
use crate::relay::{Relayed, Timeout};

/// Relays holders' commands other than payments.
pub struct HolderCommandService {
    pub context: BankContext,
    pub admission: Admission,
    pub records: Records,
    pub metrics: Arc<Metrics>,
}

impl HolderCommandService {
    pub async fn submit(self: &Arc<Self>, request: v1::SubmitHolderCommandRequest) -> Result<v1::Outcome, Status> {
        let command = Command::from_bytes(&request.command).map_err(|error| invalid("command", error))?;
        // It may settle if it is submitted by another call or to another bank.
        let elsewhere = |refused: Status| may_settle_until(&refused, command.head().valid_until);
        let signer = self.signer_here(&command).map_err(elsewhere)?;
        let turn = turn().await.filter(|_| !self.admission.is_slowed(signer));
        let Some(turn) = turn else {
            let slowed = Outcome::refused(Reason::Overloaded, 0, 0);
            let answer = self.records.answer_refusal(&command, slowed, RefusedBy::Bank).await?;
            return Ok(outcome_to_message(&answer.outcome, answer.height, answer.index));
        };
        let service = self.clone();
        let relaying = to_its_end(async move {
            let height = service.context.ledger.read(Ledger::height);
            let answered = service.relay(&command, request.command, signer).await;
            if let Ok(answer) = &answered {
                service.admission.answered_one(signer, answer, height);
            }
            turn.answered(tally_of_one(&answered, height));
            answered
        });
        let answer = relaying.await.unwrap_or_else(|| Err(status_unknown()))?;
        // A caller told that it settled finds it in this bank's answers.
        self.context.replica_at(answer.height).await;
        Ok(outcome_to_message(&answer.outcome, answer.height, answer.index))
    }

    async fn relay(&self, command: &Command, encoded: Bytes, signer: AccountId) -> Result<Answer, Status> {
        // The replica may not know the key of another bank's holder.
        let precheck = self.admission.precheck.as_ref().filter(|_| signer.bank == self.context.bank);
        if let Some(Err(refusal)) = precheck.map(|precheck| precheck.verify_one(command)) {
            if refusal.reason == Reason::BadSignature {
                precheck.iter().for_each(|precheck| precheck.log_bad(1));
                self.metrics.security_events(1);
            }
            return self.records.answer_refusal(command, refusal, RefusedBy::Bank).await;
        }
        let sent = self.records.sent(command);
        let relayed = match self.context.relay.submit(encoded, 1, Timeout::Usual) {
            Ok(relayed) => relayed.await,
            Err(_) => Relayed::refused(Reason::Overloaded, 1),
        };
        let answer = only_answer(&relayed.answers);
        match answer.state {
            State::Final if answer.has_used_its_number() => {
                sent.into_iter().for_each(SentCopy::answered);
                Ok(answer)
            }
            State::Final => {
                sent.into_iter().filter(|_| !relayed.resent).for_each(SentCopy::answered);
                let by = RefusedBy::CentralBank(relayed.other_copies());
                self.records.answer_refusal(command, answer.outcome, by).await
            }
            _ => Err(self.context.status_unknown()),
        }
    }

    /// The wallet whose holder signed: a wallet of this bank, or one with this bank's consent.
    fn signer_here(&self, command: &Command) -> Result<AccountId, Status> {
        if payment_of(command).is_some() {
            return Err(invalid(
                "command",
                "expected a command that is no payment; SubmitTransfer and Defund take payments",
            ));
        }
        match command.signer() {
            Signer::Holder(account) if authority::is_of_bank(command, self.context.bank) => Ok(account),
            Signer::Holder(account) => Err(not_authorised(format!(
                "the signer is a customer of bank {}, this is bank {}",
                account.bank, self.context.bank
            ))),
            Signer::Member(role, _) => Err(not_authorised(format!(
                "expected a command that a holder signs, found `{}`, which a {role} signs",
                command.kind().name()
            ))),
        }
    }
}
