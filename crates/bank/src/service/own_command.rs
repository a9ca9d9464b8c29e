//! Commands that the bank signs itself and for whose outcome a caller waits.

use std::sync::Arc;
use std::time::Duration;

use cbdc_ledger::command::{Head, Record};
use cbdc_ledger::{Command, Outcome, Reason, Signed};
use cbdc_node::re_sign::{Attempt, sign_until_done};
use cbdc_proto::packed::{Answer, State};
use cbdc_proto::status::of_refusal;
use tonic::Status;

use super::context::{BankContext, only_answer, status_unknown};
use crate::own_sequence::Taken;
use crate::relay::Timeout;
use crate::signing::BankSigner;

/// Signs and settles the bank's own commands.
#[derive(Clone)]
pub struct OwnCommands {
    pub context: BankContext,
    pub signer: Arc<BankSigner>,
}

impl OwnCommands {
    /// Signs a command, submits it, and waits until the replica has followed it. Its outcome is final.
    ///
    /// If another record has used the sequence number, the command is re-signed with another.
    pub async fn settle<R>(&self, validity: Duration, make: impl Fn(Head) -> R) -> Result<Answer, Status>
    where
        R: Record,
        Signed<R>: Into<Command>,
    {
        sign_until_done(|| self.settle_once(validity, &make)).await
    }

    async fn settle_once<R>(&self, validity: Duration, make: impl Fn(Head) -> R) -> Attempt<Result<Answer, Status>>
    where
        R: Record,
        Signed<R>: Into<Command>,
    {
        let signed = match self.signer.sign(validity, make) {
            Ok(signed) => signed,
            Err(refusal) => return Attempt::Done(Err(of_refusal(&refusal))),
        };
        let head = *signed.record.head();
        let taken = Taken::new(self.signer.sequence.clone(), head.sequence, head.valid_until);
        let command: Command = signed.into();
        let Ok(relayed) = self.context.relay.submit(command.to_bytes().into(), 1, Timeout::Usual) else {
            taken.never_sent();
            return Attempt::Done(Err(of_refusal(&Outcome::refused(Reason::Overloaded, 0, 0))));
        };
        let relayed = relayed.await;
        let answer = only_answer(&relayed.answers);
        if answer.state != State::Final {
            return Attempt::Done(Err(self.context.status_unknown()));
        }
        if answer.has_used_its_number() {
            if self.context.replica_at(answer.height).await {
                taken.used();
            }
            return Attempt::Done(Ok(answer));
        }
        let refusal = answer.outcome;
        match refusal.reason {
            reason if reason.shows_sequence_taken(relayed.other_copies()) => {
                Attempt::SignAgain(Err(of_refusal(&refusal)))
            }
            // A copy of this very command may have used it, and another command might act twice.
            Reason::SequenceUsed => Attempt::Done(Err(status_unknown())),
            // Another copy may have been ordered, or may be yet.
            reason if relayed.resent && !reason.shows_never_ordered() => Attempt::Done(Err(status_unknown())),
            _ => {
                taken.never_sent();
                Attempt::Done(Err(of_refusal(&refusal)))
            }
        }
    }
}
