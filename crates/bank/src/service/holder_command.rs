//! Commands other than payments that holders sign: consent to the waterfall, the wallet of the tier allowance, holds.
//!
//! A wallet of another bank may be linked to this bank, or move here, with this bank's consent. That consent is
//! verified first. Anybody can get one, and a partial replica does not know the holder's key: so all such commands
//! together have a small share of what this bank may waste at the central bank ([`crate::waste_shares`]), and few lines
//! among its unanswered records ([`super::unanswered`]).

use std::sync::Arc;

use bytes::Bytes;
use cbdc_ledger::authority;
use cbdc_ledger::command::Signer;
use cbdc_ledger::{AccountId, Command, Height, Ledger, Outcome, Reason};
use cbdc_proto::convert::outcome_to_message;
use cbdc_proto::packed::{Answer, State};
use cbdc_proto::status::{invalid, may_settle_until, not_authorised};
use cbdc_proto::v1;
use tonic::Status;

use super::admission::{Admission, overloaded};
use super::consent;
use super::context::{BankContext, only_answer, status_unknown, to_its_end, turn};
use super::record_status::RefusedBy;
use super::records::Records;
use super::tally::{tally_of_kept_back, tally_of_one};
use super::unanswered::SentCopy;
use crate::history::payment_of;
use crate::metrics::Metrics;
use crate::relay::{Relayed, Timeout};
use crate::waste_shares::OfOthers;

/// Relays holders' commands other than payments.
pub struct HolderCommandService {
    pub context: BankContext,
    pub admission: Admission,
    pub records: Records,
    pub metrics: Arc<Metrics>,
}

/// The account at whose expense a refusal is.
enum Account {
    /// A wallet of this bank.
    Own(AccountId),
    /// All wallets of other banks together.
    Others(OfOthers),
}

impl HolderCommandService {
    pub async fn submit(self: &Arc<Self>, request: v1::SubmitHolderCommandRequest) -> Result<v1::Outcome, Status> {
        let command = Command::from_bytes(&request.command).map_err(|error| invalid("command", error))?;
        // It may settle if it is submitted by another call or to another bank.
        let elsewhere = |refused: Status| may_settle_until(&refused, command.head().valid_until);
        let signer = self.signer_here(&command).map_err(elsewhere)?;
        let Some(turn) = turn().await else {
            let answer = self.records.answer_refusal(&command, overloaded(), RefusedBy::Bank).await?;
            return Ok(outcome_to_message(&answer.outcome, answer.height, answer.index));
        };
        let service = self.clone();
        let relaying = to_its_end(async move {
            let height = service.context.ledger.read(Ledger::height);
            let admitted = service.admit(&command, signer);
            let is_kept_back = admitted.as_ref().is_err_and(|refusal| refusal.reason == Reason::Overloaded);
            let answered = match admitted {
                Ok(account) => service.relay(&command, request.command, account, height).await,
                Err(refusal) => service.records.answer_refusal(&command, refusal, RefusedBy::Bank).await,
            };
            turn.answered(if is_kept_back { tally_of_kept_back() } else { tally_of_one(&answered, height) });
            answered
        });
        let answer = relaying.await.unwrap_or_else(|| Err(status_unknown()))?;
        // A caller told that it settled finds it in this bank's answers.
        self.context.replica_at(answer.height).await;
        Ok(outcome_to_message(&answer.outcome, answer.height, answer.index))
    }

    /// Decides whether a command is relayed, and at whose expense, or gives this bank's refusal.
    fn admit(&self, command: &Command, signer: AccountId) -> Result<Account, Outcome> {
        let is_own = signer.bank == self.context.bank;
        if is_own && self.admission.is_slowed(signer) {
            return Err(overloaded());
        }
        let verified = match is_own {
            true => self.verify(command),
            false => self.verify_of_another_bank(command),
        };
        if verified.is_err_and(|refusal| refusal.reason == Reason::BadSignature) {
            self.admission.precheck.iter().for_each(|precheck| precheck.log_bad(1));
            self.metrics.security_events(1);
        }
        verified?;
        match is_own {
            true => Ok(Account::Own(signer)),
            false => self.admission.begin_of_others().map(Account::Others).ok_or_else(overloaded),
        }
    }

    /// Verifies a command's signatures, if the bank is configured to.
    fn verify(&self, command: &Command) -> Result<(), Outcome> {
        self.admission.precheck.as_ref().map_or(Ok(()), |precheck| precheck.verify_one(command))
    }

    /// Verifies this bank's consent in the command of another bank's holder, and the rest as far as is known here.
    fn verify_of_another_bank(&self, command: &Command) -> Result<(), Outcome> {
        if consent::is_forged(&self.context.ledger, self.context.bank, command) {
            return Err(Outcome::refused(Reason::BadSignature, 0, 0));
        }
        // A partial replica does not have the holder's key; another may not have it yet.
        match self.context.is_partial_replica() {
            true => Ok(()),
            false => self.verify(command).or_else(|refusal| match refusal.reason {
                Reason::BadSignature => Err(refusal),
                _ => Ok(()),
            }),
        }
    }

    /// Relays a command when the chain has reached `height`.
    async fn relay(
        &self,
        command: &Command,
        encoded: Bytes,
        account: Account,
        height: Height,
    ) -> Result<Answer, Status> {
        let sent = self.records.sent(command);
        let relayed = match self.context.relay.submit(encoded, 1, Timeout::Usual) {
            Ok(relayed) => relayed.await,
            Err(_) => Relayed::refused(Reason::Overloaded, 1),
        };
        let answer = only_answer(&relayed.answers);
        match account {
            Account::Own(signer) => self.admission.answered_one(signer, &answer, height),
            Account::Others(share) => share.answered_one(&answer, height),
        }
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
