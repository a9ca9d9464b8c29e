//! From the deposit to the wallet.
//!
//! 1. The desk debits the deposit and puts the signed fund command into the outbox: one synced write.
//! 2. The dispatcher sends it until its outcome is known; the chain brings the outcome and releases what is in transit.
//! 3. The caller is answered. One that gave up waiting sends the same request id again and is answered the same.

use std::sync::Arc;

use cbdc_ledger::{Outcome, Reason};
use cbdc_proto::convert::{exact, outcome_to_message};
use cbdc_proto::status::{of_reason, of_refusal, unavailable};
use cbdc_proto::v1;
use tonic::Status;

use super::{Desks, NUMBERS_TRIED, TIMEOUT, positive_amount, wallet};
use crate::deposit_service::FundingState;
use crate::deposits::OrderedOutcome;
use crate::outbox::Release;

pub async fn fund(desks: &Arc<Desks>, request: &v1::FundRequest) -> Result<v1::FundResponse, Status> {
    let account = desks.own_account("account", &request.account)?;
    let amount = positive_amount(request.amount_minor)?;
    let id = exact("request_id", &request.request_id)?;
    desks.require_open_wallet(account)?;
    for _ in 0..NUMBERS_TRIED {
        let may_begin = desks.relay.is_reachable();
        let state = desks.desk.fund(id, account, amount, may_begin).await.map_err(|refusal| refused(&refusal))?;
        let released = match state {
            FundingState::OrderedOutcome(ordered) => Ok(Ok(Release::Ordered(ordered))),
            FundingState::InTransit(released) => tokio::time::timeout(TIMEOUT, released).await,
        };
        match released {
            Ok(Ok(Release::Ordered(ordered))) => return Ok(answer(desks, account, &ordered)),
            // Another record has used its number; the deposit is as it was. Begin anew, with another number.
            Ok(Ok(Release::GivenBack(Reason::SequenceUsed | Reason::SequenceConflict))) => {}
            Ok(Ok(Release::GivenBack(reason))) => return Err(of_refusal(&Outcome::refused(reason, 0, 0))),
            Ok(Err(_)) | Err(_) => {
                return Err(unavailable(
                    "the funding is in transit and its outcome not known yet; ask again with the same request_id",
                ));
            }
        }
    }
    Err(of_refusal(&Outcome::refused(Reason::SequenceUsed, 0, 0)))
}

fn refused(refusal: &Outcome) -> Status {
    match refusal.reason {
        Reason::SequenceConflict => {
            of_reason(refusal.reason, "request_id: it was used before, for another account or amount")
        }
        Reason::Unavailable => unavailable("the central bank cannot be reached; nothing was debited"),
        _ => of_refusal(refusal),
    }
}

fn answer(desks: &Desks, account: cbdc_ledger::AccountId, ordered: &OrderedOutcome) -> v1::FundResponse {
    v1::FundResponse {
        outcome: Some(outcome_to_message(&ordered.outcome, ordered.height, ordered.index)),
        deposit: Some(wallet::deposit_of(desks, account)),
    }
}
