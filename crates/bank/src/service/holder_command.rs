//! Commands other than payments that holders sign: consent to the waterfall, the wallet of the tier allowance, holds.

use std::sync::Arc;

use cbdc_ledger::command::Signer;
use cbdc_ledger::{AccountId, Command, Outcome, Reason};
use cbdc_proto::convert::outcome_to_message;
use cbdc_proto::packed::{Answer, State};
use cbdc_proto::status::{invalid, not_authorised, of_refusal};
use cbdc_proto::v1;
use tonic::Status;

use super::context::{BankContext, look_up, only_answer, status_unknown};
use crate::history::{History, payment_of};
use crate::metrics::Metrics;
use crate::precheck::SignaturePrecheck;

/// Relays holders' commands other than payments.
pub struct HolderCommandService {
    pub context: BankContext,
    pub precheck: Option<Arc<SignaturePrecheck>>,
    pub history: Arc<History>,
    pub metrics: Arc<Metrics>,
}

impl HolderCommandService {
    pub async fn submit(&self, request: &v1::SubmitHolderCommandRequest) -> Result<v1::Outcome, Status> {
        let command = Command::from_bytes(&request.command).map_err(|error| invalid("command", error))?;
        let signer = self.signer_here(&command)?;
        // The replica may not know the key of another bank's holder.
        let precheck = self.precheck.as_ref().filter(|_| signer.bank == self.context.bank);
        if let Some(Err(refusal)) = precheck.map(|precheck| precheck.verify_one(&command)) {
            if refusal.reason == Reason::BadSignature {
                self.precheck.iter().for_each(|precheck| precheck.log_bad(1));
                self.metrics.security_events(1);
            }
            return Err(of_refusal(&refusal));
        }
        let Ok(relayed) = self.context.relay.submit(request.command.clone(), 1, self.context.timeout()) else {
            return Err(of_refusal(&Outcome::refused(Reason::Overloaded, 0, 0)));
        };
        let answer = only_answer(&relayed.await.answers);
        let answer = match answer.state {
            State::Final if answer.is_ordered() => answer,
            State::Final => self.first_outcome(signer, command, answer.outcome).await?,
            _ => return Err(status_unknown()),
        };
        // Once told that it settled, the caller finds it in what this bank shows.
        self.context.replica_at(answer.height).await;
        Ok(outcome_to_message(&answer.outcome, answer.height, answer.index))
    }

    /// The wallet whose holder signed: of this bank, or one whose holder this bank has given its consent.
    fn signer_here(&self, command: &Command) -> Result<AccountId, Status> {
        if payment_of(command).is_some() {
            return Err(invalid(
                "command",
                "expected a command that is no payment; SubmitTransfer and Defund take payments",
            ));
        }
        let is_consented = command.consented().is_some_and(|(statement, _)| statement.bank == self.context.bank);
        match command.signer() {
            Signer::Holder(account) if account.bank == self.context.bank || is_consented => Ok(account),
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

    /// The answer to a command that was not ordered now. Where its sequence number was used before, this bank's history
    /// may know that it was by this very command.
    async fn first_outcome(&self, signer: AccountId, command: Command, refusal: Outcome) -> Result<Answer, Status> {
        if !matches!(refusal.reason, Reason::SequenceUsed | Reason::SequenceConflict) {
            return Err(of_refusal(&refusal));
        }
        let sequence = command.head().sequence;
        let history = self.history.clone();
        let past = look_up(move || history.by_sequence(signer, sequence)).await?;
        match past.filter(|past| past.command == command) {
            Some(past) => Ok(Answer::ordered(past.ordered.height, past.ordered.index, past.ordered.outcome)),
            None => Err(of_refusal(&refusal)),
        }
    }
}
