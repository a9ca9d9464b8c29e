//! Transfers that their payer allows the linked bank to top up (reverse waterfall).
//!
//! 1. The payment's signature, number and time are checked here: only then is a deposit debited.
//! 2. Where the wallet covers the payment, or funds are not what it lacks, the transfer is relayed as it is and the ledger
//!    decides.
//! 3. Otherwise, if the wallet is linked to this bank, the desk debits the deposit by the most that the bank promises and puts
//!    the top-up into the outbox: one synced write. The promise is the amount and the largest fee, as far as the deposit
//!    reaches, so that a payment that settles in between does not make it too small.
//! 4. The outcome tells what was drawn; the rest goes back to the deposit.
//!
//! The payer may be another bank's customer. This bank cannot relay such a payment as it is, so it tops it up even where
//! nothing lacks.

use std::sync::Arc;

use cbdc_ledger::command::Payment;
use cbdc_ledger::{Amount, BankId, Ledger, Outcome, Reason, Signed};
use cbdc_proto::packed::Answer;
use cbdc_proto::status::{of_refusal, unavailable};
use tonic::Status;

use super::{Desks, NUMBERS_TRIED, PATIENCE, fate_unknown, payment};
use crate::desk::TopUp;
use crate::outbox::Release;
use crate::signing::probable_time;

/// Hands one payment in, topped up where that is needed. The answer was ordered, or accepted where that is allowed.
pub async fn pay(desks: &Arc<Desks>, transfer: Signed<Payment>, may_accept: bool) -> Result<Answer, Status> {
    for _ in 0..NUMBERS_TRIED {
        if let Some(answer) = payment::answered_before(desks, transfer).await? {
            return Ok(answer);
        }
        let lacking = desks.ledger.read(|ledger| lacking(ledger, desks.bank, &transfer.record));
        let Some(lacking) = lacking.map_err(|refusal| of_refusal(&refusal))? else {
            return payment::try_pay(desks, transfer, may_accept).await;
        };
        let wanted = transfer.record.amount.plus(transfer.record.max_fee).unwrap_or(Amount::MAX);
        let may_begin = desks.relay.is_reachable();
        let released = desks.desk.top_up(TopUp { transfer, lacking, wanted, may_begin }).await;
        match tokio::time::timeout(PATIENCE, released.map_err(|refusal| refused(&refusal))?).await {
            Ok(Ok(Release::Ordered(placed))) => {
                return Ok(Answer::ordered(placed.height, placed.index, placed.outcome));
            }
            // Another record has used the payer's number, which is looked up, or the bank's, which is exchanged.
            Ok(Ok(Release::GivenBack(Reason::SequenceUsed | Reason::SequenceConflict))) => {}
            // The bank's own order was valid for a short time only; the payer's transfer may be for hours yet.
            Ok(Ok(Release::GivenBack(Reason::Expired))) if is_valid(desks, &transfer.record) => {}
            Ok(Ok(Release::GivenBack(reason))) => return Err(of_refusal(&Outcome::refused(reason, 0, 0))),
            Ok(Err(_)) | Err(_) => return Err(fate_unknown()),
        }
    }
    Err(fate_unknown())
}

fn is_valid(desks: &Desks, transfer: &Payment) -> bool {
    transfer.head.valid_until >= desks.ledger.read(|ledger| probable_time(ledger.tip().time))
}

/// What the bank `own` would have to add now; `None` where the transfer is relayed as it is.
fn lacking(ledger: &Ledger, own: BankId, transfer: &Payment) -> Result<Option<Amount>, Outcome> {
    let Payment { from, to, amount, max_fee, .. } = *transfer;
    let quoted = ledger.quote(from, to, amount, max_fee, probable_time(ledger.tip().time)).outcome;
    let lacking = match quoted.reason {
        // What is needed, less what there is.
        Reason::InsufficientFunds | Reason::FundsFrozen => {
            Amount::from_minor(quoted.amount.saturating_sub(quoted.limit))
        }
        _ => Amount::ZERO,
    };
    let linked = ledger.account(from).map_or(BankId(0), |account| account.linked_bank);
    match from.bank == own {
        true if lacking.is_zero() => Ok(None),
        _ if linked == own => Ok(Some(lacking)),
        _ => Err(Outcome::refused(Reason::NotLinked, u64::from(linked.0), u64::from(own.0))),
    }
}

fn refused(refusal: &Outcome) -> Status {
    match refusal.reason {
        Reason::Unavailable => unavailable("the central bank cannot be reached; nothing was debited"),
        _ => of_refusal(refusal),
    }
}
