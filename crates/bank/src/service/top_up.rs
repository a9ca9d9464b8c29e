//! Transfers that their payer allows the linked bank to top up (reverse waterfall).
//!
//! 1. The payment's signature, sequence number and time are checked here: only then is a deposit debited.
//! 2. If this bank has nothing to add (its own customer's wallet covers the payment, funds are not what it lacks, or
//!    the wallet is not linked to this bank), the transfer is relayed as it is and the ledger decides.
//! 3. The deposit service debits the deposit by the bank's promise and puts the top-up into the outbox: one synced
//!    write. The promise is the amount and the largest fee, as far as the deposit reaches, so that a payment that
//!    settles in between does not make it too small. If the deposit is too small already, the ledger says so
//!    (`TOP_UP_MAXIMUM`).
//! 4. The outcome says how much was drawn; the rest returns to the deposit.
//!
//! The payer may be another bank's customer. This bank cannot relay such a payment as it is, so it tops it up even if
//! nothing is lacking.
//!
//! Nothing is refused here that may have been ordered: an earlier copy may be in blocks that the replica has not seen
//! yet, since it lags after a crash. The central bank knows, and so decides what concerns this bank's own customers.

use cbdc_ledger::command::Payment;
use cbdc_ledger::outcome::OtherCopies;
use cbdc_ledger::{Amount, BankId, Ledger, Outcome, Reason, Signed};
use cbdc_node::re_sign::{Attempt, sign_until_done};
use cbdc_node::views::probable_time;
use cbdc_proto::packed::Answer;
use tonic::Status;

use super::context::{BankContext, status_unknown};
use super::payment_relay::PaymentRelay;
use super::record_status::RefusedBy;
use super::records::Records;
use crate::deposit_service::TopUp;
use crate::outbox::Release;
use crate::relay::ANSWER_TIMEOUT;

/// Pays with top-ups.
pub struct TopUpService {
    pub context: BankContext,
    pub records: Records,
    pub payment_relay: PaymentRelay,
}

impl TopUpService {
    /// Submits one payment, topped up if needed. The answer was ordered, or accepted if that is allowed.
    pub async fn pay(&self, transfer: Signed<Payment>, may_accept: bool) -> Result<Answer, Status> {
        sign_until_done(|| self.pay_once(transfer, may_accept)).await
    }

    async fn pay_once(&self, transfer: Signed<Payment>, may_accept: bool) -> Attempt<Result<Answer, Status>> {
        let height = self.context.ledger.read(Ledger::height);
        let unsound = match self.records.answer_to(transfer).await {
            Ok(Some(answer)) => return Attempt::Done(Ok(answer)),
            Ok(None) => None,
            Err(refusal) => Some(refusal),
        };
        let (own, is_own) = (self.context.bank, transfer.record.from.bank == self.context.bank);
        if is_own && (unsound.is_some() || !self.context.ledger.read(|ledger| adds(ledger, own, &transfer.record))) {
            return Attempt::Done(self.payment_relay.pay(transfer, may_accept).await);
        }
        let refused_here = unsound.or_else(|| self.not_linked(&transfer.record));
        let wanted = transfer.record.amount.plus(transfer.record.max_fee).unwrap_or(Amount::MAX);
        let may_begin = refused_here.is_none() && self.context.relay.is_reachable();
        let released = match self.context.deposits.top_up(TopUp { transfer, wanted, may_begin }).await {
            Ok(released) => released,
            Err(refusal) => {
                let refusal = refused_here.unwrap_or(refusal);
                let answer = self.records.answer_refusal(&transfer.into(), refusal, RefusedBy::Bank).await;
                return Attempt::Done(answer);
            }
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, released).await {
            Ok(Ok(Release::Ordered(ordered))) => {
                let answer = Answer::ordered(ordered.height, ordered.index, ordered.outcome);
                // The bank's own order, where it is refused, counts against the bank as the payer's record would.
                self.payment_relay.admission.answered_one(transfer.record.from, &answer, height);
                Attempt::Done(Ok(answer))
            }
            Ok(Ok(Release::GivenBack(reason))) if self.may_sign_again(reason, &transfer.record) => {
                Attempt::SignAgain(Err(status_unknown()))
            }
            // The bank's order never settles; the payer's transfer, which this bank sent in no other, may still settle
            // elsewhere.
            Ok(Ok(Release::GivenBack(reason))) => {
                let (refusal, by) = (Outcome::refused(reason, 0, 0), RefusedBy::CentralBankTheOrder);
                Attempt::Done(self.records.answer_refusal(&transfer.into(), refusal, by).await)
            }
            Ok(Err(_)) | Err(_) => Attempt::Done(Err(self.context.status_unknown())),
        }
    }

    /// Whether to sign another order for a top-up that was returned, and so can never settle.
    fn may_sign_again(&self, reason: Reason, transfer: &Payment) -> bool {
        // Another record has used the bank's number, which is replaced, or the payer's, which the next attempt looks
        // up.
        let sequence_was_taken = reason.shows_sequence_taken(OtherCopies::NotOrdered);
        // The bank's own order was valid for a short time only; the payer's transfer may be valid for hours.
        sequence_was_taken || reason == Reason::Expired && self.is_valid(transfer)
    }

    fn is_valid(&self, transfer: &Payment) -> bool {
        transfer.head.valid_until >= self.context.ledger.read(|ledger| probable_time(ledger.tip().time))
    }

    /// The refusal of a payer who is not linked to this bank.
    fn not_linked(&self, transfer: &Payment) -> Option<Outcome> {
        let (linked, own) = (self.context.ledger.read(|ledger| linked_bank(ledger, transfer)), self.context.bank);
        (linked != own).then(|| Outcome::refused(Reason::NotLinked, u64::from(linked.0), u64::from(own.0)))
    }
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
