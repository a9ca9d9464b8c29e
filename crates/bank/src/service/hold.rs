//! Holds: which are open, and capturing and voiding them for this bank's payees.

use std::sync::Arc;

use cbdc_ledger::command::{ReleaseHold, ReleaseKind};
use cbdc_ledger::{Amount, Outcome, Reason};
use cbdc_node::views;
use cbdc_proto::convert::outcome_to_message;
use cbdc_proto::status::of_refusal;
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use tonic::Status;

use super::{Desks, positive_amount};
use crate::signing::SHORT_VALIDITY;

pub async fn list(desks: &Desks, request: v1::ListHoldsRequest) -> Result<v1::ListHoldsResponse, Status> {
    let account = desks.own_account("account", &request.account)?;
    if desks.is_partial_replica() {
        return desks
            .central_bank
            .ask(|channel| async { SettlementClient::new(channel).list_holds(request).await })
            .await;
    }
    desks.ledger.read(|ledger| views::holds(ledger, account, &request))
}

pub async fn capture(desks: &Arc<Desks>, request: &v1::CaptureHoldRequest) -> Result<v1::Outcome, Status> {
    let amount = positive_amount(request.amount_minor)?;
    release(desks, ReleaseKind::Capture, request.hold, amount).await
}

pub async fn void(desks: &Arc<Desks>, request: &v1::VoidHoldRequest) -> Result<v1::Outcome, Status> {
    release(desks, ReleaseKind::Void, request.hold, Amount::ZERO).await
}

async fn release(desks: &Arc<Desks>, kind: ReleaseKind, hold: u64, amount: Amount) -> Result<v1::Outcome, Status> {
    // Another bank's hold costs this bank no number. One that this replica does not know yet may exist: the ledger decides.
    let is_anothers =
        desks.ledger.read(|ledger| ledger.holds().get(hold).is_some_and(|hold| hold.payee.bank != desks.bank));
    if is_anothers {
        return Err(of_refusal(&Outcome::refused(Reason::UnknownHold, 0, hold)));
    }
    let make = |head| ReleaseHold { kind, head, bank: desks.bank, hold, amount };
    let answer = desks.settle_own(SHORT_VALIDITY, make).await?;
    Ok(outcome_to_message(&answer.outcome, answer.height, answer.index))
}
