//! Funding, from the deposit to the wallet. The request carries no signature, so it needs the holder's session.
//!
//! 1. The deposit service debits the deposit and puts the signed fund command into the outbox: one synced write.
//! 2. The dispatcher sends it until its outcome is known; the chain brings the outcome and ends the transit.
//! 3. The caller is answered. A caller that gave up waiting repeats the request id and gets the same answer.

use cbdc_ledger::outcome::OtherCopies;
use cbdc_ledger::{AccountId, Amount, Outcome, Reason};
use cbdc_node::re_sign::{Attempt, sign_until_done};
use cbdc_proto::convert::{exact, outcome_to_message};
use cbdc_proto::status::{of_refusal, unavailable};
use cbdc_proto::v1;
use tonic::Status;

use super::context::{BankContext, positive_amount};
use super::session::Caller;
use crate::deposit_service::FundingState;
use crate::deposits::{OrderedOutcome, RequestId};
use crate::outbox::Release;
use crate::relay::ANSWER_TIMEOUT;

/// Serves fundings, for the wallet's holder alone.
pub struct FundingService {
    pub context: BankContext,
}

impl FundingService {
    pub async fn fund(&self, caller: &Caller, request: &v1::FundRequest) -> Result<v1::FundResponse, Status> {
        let account = self.context.own_account("account", &request.account)?;
        caller.require_holder(account)?;
        let amount = positive_amount(request.amount_minor)?;
        let id = exact("request_id", &request.request_id)?;
        self.context.require_open_wallet(account)?;
        sign_until_done(|| self.fund_once(id, account, amount)).await
    }

    async fn fund_once(
        &self,
        id: RequestId,
        account: AccountId,
        amount: Amount,
    ) -> Attempt<Result<v1::FundResponse, Status>> {
        let may_begin = self.context.relay.is_reachable();
        let released = match self.context.deposits.fund(id, account, amount, may_begin).await {
            Ok(FundingState::OrderedOutcome(ordered)) => Ok(Ok(Release::Ordered(ordered))),
            Ok(FundingState::InTransit(released)) => tokio::time::timeout(ANSWER_TIMEOUT, released).await,
            Err(refusal) => return Attempt::Done(Err(refused(&refusal))),
        };
        match released {
            Ok(Ok(Release::Ordered(ordered))) => Attempt::Done(Ok(self.answer(account, &ordered).await)),
            Ok(Ok(Release::GivenBack(reason))) => {
                let given_back = Err(of_refusal(&Outcome::refused(reason, 0, 0)));
                // A returned funding can never settle, and the deposit is as before.
                match reason.shows_sequence_taken(OtherCopies::NotOrdered) {
                    true => Attempt::SignAgain(given_back),
                    false => Attempt::Done(given_back),
                }
            }
            Ok(Err(_)) | Err(_) => Attempt::Done(Err(unavailable(
                "the funding is in transit and its outcome not known yet; ask again with the same request_id",
            ))),
        }
    }

    async fn answer(&self, account: AccountId, ordered: &OrderedOutcome) -> v1::FundResponse {
        v1::FundResponse {
            outcome: Some(outcome_to_message(&ordered.outcome, ordered.height, ordered.index)),
            // Not shown while it is in doubt.
            deposit: self.context.deposit_of(account).await.ok(),
        }
    }
}

fn refused(refusal: &Outcome) -> Status {
    match refusal.reason {
        Reason::Unavailable => unavailable("the central bank cannot be reached; nothing was debited"),
        _ => of_refusal(refusal),
    }
}
