//! Holds: which are open, and capturing and voiding them for this bank's payees.

use std::sync::Arc;

use cbdc_ledger::command::{ReleaseHold, ReleaseKind};
use cbdc_ledger::hold::Hold;
use cbdc_ledger::{Amount, Outcome, Reason};
use cbdc_proto::convert::outcome_to_message;
use cbdc_proto::status::{invalid, of_refusal};
use cbdc_proto::v1;
use tonic::Status;

use super::{Desks, positive_amount};
use crate::signing::SHORT_VALIDITY;

const PAGE_SIZE: u32 = 50;
const PAGE_SIZE_MAX: u32 = 500;

pub fn list(desks: &Desks, request: &v1::ListHoldsRequest) -> Result<v1::ListHoldsResponse, Status> {
    let account = desks.own_account("account", &request.account)?;
    let size = match request.page_size {
        0 => PAGE_SIZE,
        size if size <= PAGE_SIZE_MAX => size,
        size => return Err(invalid("page_size", format!("expected at most {PAGE_SIZE_MAX}, found {size}"))),
    } as usize;
    // A token is the number of the last hold shown.
    let after: u64 = match request.page_token.as_str() {
        "" => 0,
        token => token.parse().map_err(|_| invalid("page_token", "expected it as the last answer gave it"))?,
    };
    let holds: Vec<v1::OpenHold> = desks.ledger.read(|ledger| {
        ledger.holds().of_wallet(account, after).take(size).map(|(number, hold)| entry(number, hold)).collect()
    });
    let next_page_token = match holds.last() {
        Some(last) if holds.len() == size => last.hold.to_string(),
        _ => String::new(),
    };
    Ok(v1::ListHoldsResponse { holds, next_page_token })
}

fn entry(number: u64, hold: &Hold) -> v1::OpenHold {
    v1::OpenHold {
        hold: number,
        from: hold.payer.to_string(),
        to: hold.payee.to_string(),
        maximum_minor: hold.maximum.minor(),
        max_fee_minor: hold.max_fee.minor(),
        expires_at_ms: hold.expires_at.0,
    }
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
