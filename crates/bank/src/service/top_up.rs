//! Transfers that their payer allows the linked bank to top up (reverse waterfall).
//!
//! 1. The payment's signature, number and time are checked here: only then is a deposit debited.
//! 2. Where this bank has nothing to add (its own customer's wallet covers the payment, funds are not what it lacks, or the
//!    wallet is not linked to this bank), the transfer is relayed as it is and the ledger decides.
//! 3. The desk debits the deposit by the most that the bank promises and puts the top-up into the outbox: one synced write. The
//!    promise is the amount and the largest fee, as far as the deposit reaches, so that a payment that settles in between
//!    does not make it too small. Where the deposit is too small already, the ledger says so (`TOP_UP_MAXIMUM`).
//! 4. The outcome tells what was drawn; the rest goes back to the deposit.
//!
//! The payer may be another bank's customer. This bank cannot relay such a payment as it is, so it tops it up even where
//! nothing lacks.
//!
//! Nothing is refused here that may have been ordered: an earlier copy may stand in blocks that the replica has not seen yet,
//! since it lags behind after a crash. The central bank knows, and so what concerns this bank's own customers it decides.

use std::sync::Arc;

use cbdc_ledger::command::Payment;
use cbdc_ledger::{Amount, BankId, Ledger, Outcome, Reason, Signed};
use cbdc_node::views::probable_time;
use cbdc_proto::packed::Answer;
use cbdc_proto::status::{of_refusal, unavailable};
use tonic::Status;

use super::{Desks, NUMBERS_TRIED, TIMEOUT, payment, status_unknown};
use crate::deposit_service::TopUp;
use crate::outbox::Release;

/// Hands one payment in, topped up where that is needed. The answer was ordered, or accepted where that is allowed.
pub async fn pay(desks: &Arc<Desks>, transfer: Signed<Payment>, may_accept: bool) -> Result<Answer, Status> {
    for _ in 0..NUMBERS_TRIED {
        let unsound = match payment::answered_before(desks, transfer).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => None,
            Err(status) => Some(status),
        };
        let is_own = transfer.record.from.bank == desks.bank;
        if is_own && (unsound.is_some() || !desks.ledger.read(|ledger| adds(ledger, desks.bank, &transfer.record))) {
            return payment::try_pay(desks, transfer, may_accept).await;
        }
        let refused_here = unsound.or_else(|| not_linked(desks, &transfer.record));
        let wanted = transfer.record.amount.plus(transfer.record.max_fee).unwrap_or(Amount::MAX);
        let may_begin = refused_here.is_none() && desks.relay.is_reachable();
        let promised = desks.desk.top_up(TopUp { transfer, wanted, may_begin }).await;
        let released = promised.map_err(|refusal| refused_here.unwrap_or_else(|| refused(&refusal)))?;
        match tokio::time::timeout(TIMEOUT, released).await {
            Ok(Ok(Release::Ordered(ordered))) => {
                return Ok(Answer::ordered(ordered.height, ordered.index, ordered.outcome));
            }
            // Another record has used the payer's number, which is looked up, or the bank's, which is exchanged.
            Ok(Ok(Release::GivenBack(Reason::SequenceUsed | Reason::SequenceConflict))) => {}
            // The bank's own order was valid for a short time only; the payer's transfer may be for hours yet.
            Ok(Ok(Release::GivenBack(Reason::Expired))) if is_valid(desks, &transfer.record) => {}
            Ok(Ok(Release::GivenBack(reason))) => return Err(of_refusal(&Outcome::refused(reason, 0, 0))),
            Ok(Err(_)) | Err(_) => return Err(status_unknown()),
        }
    }
    Err(status_unknown())
}

fn is_valid(desks: &Desks, transfer: &Payment) -> bool {
    transfer.head.valid_until >= desks.ledger.read(|ledger| probable_time(ledger.tip().time))
}

/// Whether the bank `own` adds to a transfer of its own customer: one who is linked to it and lacks funds.
fn adds(ledger: &Ledger, own: BankId, transfer: &Payment) -> bool {
    let Payment { from, to, amount, max_fee, .. } = *transfer;
    if ledger.partial_replica_of().is_some() {
        // The payee's side and the fee are not known here: whatever the wallet might lack is promised.
        let most = amount.plus(max_fee).unwrap_or(Amount::MAX);
        let spendable = ledger.account_today(from).map_or(Amount::ZERO, |account| account.spendable());
        return linked_bank(ledger, transfer) == own && spendable < most;
    }
    let quote = || ledger.quote(from, to, amount, max_fee, probable_time(ledger.tip().time)).outcome.reason;
    linked_bank(ledger, transfer) == own && matches!(quote(), Reason::InsufficientFunds | Reason::FundsFrozen)
}

fn linked_bank(ledger: &Ledger, transfer: &Payment) -> BankId {
    ledger.account(transfer.from).map_or(BankId(0), |account| account.linked_bank)
}

/// The refusal of a payer who is not linked to this bank.
fn not_linked(desks: &Desks, transfer: &Payment) -> Option<Status> {
    let (linked, own) = (desks.ledger.read(|ledger| linked_bank(ledger, transfer)), desks.bank);
    (linked != own).then(|| of_refusal(&Outcome::refused(Reason::NotLinked, u64::from(linked.0), u64::from(own.0))))
}

fn refused(refusal: &Outcome) -> Status {
    match refusal.reason {
        Reason::Unavailable => unavailable("the central bank cannot be reached; nothing was debited"),
        _ => of_refusal(refusal),
    }
}
