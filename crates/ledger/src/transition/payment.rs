//! Payments: transfer ([`super::transfer`]), fund and defund; and quotes of transfers.

use super::context::{Settled, StateAt, Transition, refuse};
use super::party::check_parties;
use super::remuneration::Flows;
use super::transfer::{Draw, check_spendable, payee_fee};
use crate::command::{Head, Payment, PaymentKind};
use crate::ledger::Ledger;
use crate::types::amount::Amount;
use crate::types::identity::AccountId;
use crate::types::outcome::{Outcome, Reason};
use crate::types::time::Timestamp;

/// The result that a transfer would have at a given time, by the same rules that settle it. It reveals nothing of what
/// the payee holds, and so not what would go to the payee's deposit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    /// Settled, or the refusal.
    pub outcome: Outcome,
    /// The payer's fee, in addition to the amount.
    pub fee: Amount,
    /// The fee withheld from the payee.
    pub payee_fee: Amount,
}

impl Ledger {
    /// The result of a transfer if it settled at `time`, which is not before the last block's, as far as it does not
    /// depend on what the payee holds: the holding limit refuses only amounts that exceed it by themselves.
    pub fn quote(&self, from: AccountId, to: AccountId, amount: Amount, max_fee: Amount, time: Timestamp) -> Quote {
        let refused = |outcome, fee| Quote { outcome, fee, payee_fee: Amount::ZERO };
        let at = StateAt::new(self, time.max(self.tip.time));
        let is_payer = self.open_wallet(from).is_some();
        if !is_payer {
            return refused(Outcome::refused(Reason::UnknownAccount, 0, 0), Amount::ZERO);
        }
        let is_own = self.account(to).is_some_and(|payee| Some(payee.holder) == self.account(from).map(|it| it.holder));
        let schedule =
            self.holder_of(from).filter(|_| !is_own).map(|holder| &at.parameters().class(holder.class).payer_fee);
        let fee = schedule.map_or(Amount::ZERO, |schedule| schedule.fee(amount));
        let (sequence, reference) = (0, [0; 16]);
        let head = Head { flags: 0, key_version: 0, sequence, valid_until: time };
        let payment = Payment { kind: PaymentKind::Transfer, head, from, to, amount, max_fee, reference };
        let transfer = || {
            check_parties(from, to, amount)?;
            let payee = at.payee_wallet(to)?;
            at.transfer(&payment, None, &mut at.pair(from, to, payee))
        };
        match transfer() {
            // Otherwise a payer could search for the amount at which the payee reaches the limit.
            Err(outcome) if !is_own && hangs_on_holdings(&outcome) => {
                let payee = self.account(to).map(|account| payee_fee(&at.party_of(account), amount).amount);
                Quote { outcome: Outcome::settled(), fee, payee_fee: payee.unwrap_or(Amount::ZERO) }
            }
            Err(outcome) => refused(outcome, fee),
            Ok((payout, _)) => Quote { outcome: Outcome::settled(), fee, payee_fee: payout.payee_fee },
        }
    }
}

/// Whether a refusal depends on what the payee holds besides the amount.
fn hangs_on_holdings(refusal: &Outcome) -> bool {
    matches!(refusal.reason, Reason::HoldingLimit | Reason::LinkedBankInactive) && refusal.amount <= refusal.limit
}

impl Transition<'_> {
    pub(super) fn payment(&mut self, payment: &Payment) -> Settled {
        check_parties(payment.from, payment.to, payment.amount)?;
        match payment.kind {
            PaymentKind::Transfer => self.transfer(payment, None),
            PaymentKind::Defund => self.defund(payment),
            PaymentKind::Fund => self.fund(payment),
        }
    }

    /// Treasury to a customer's wallet.
    #[inline(never)]
    fn fund(&mut self, payment: &Payment) -> Settled {
        if !payment.from.is_treasury() || payment.to.bank != payment.from.bank {
            return refuse(Reason::WrongBank);
        }
        let at = self.at();
        at.payee_wallet(payment.to)?;
        let (mut treasury, mut wallet) = (at.current(payment.from), at.current(payment.to));
        check_spendable(&treasury.account, payment.amount.minor().into(), &Draw::default())?;
        let credit = at.credit(&mut wallet, payment.amount)?;
        let flows = Flows { waterfall: credit.waterfall, ..Flows::default() }.with(&wallet);
        self.post_flows(&flows)?;

        treasury.account.available = treasury.account.available.minus_or_zero(payment.amount);
        self.store(payment.from, &treasury, Amount::ZERO, Amount::ZERO);
        self.store(payment.to, &wallet, credit.credited, Amount::ZERO);
        self.note_deposits(payment.from, payment.to, &flows);
        Ok(Outcome::settled())
    }

    /// Wallet to the treasury of its own bank.
    #[inline(never)]
    fn defund(&mut self, payment: &Payment) -> Settled {
        if payment.to != AccountId::treasury(payment.from.bank) {
            return refuse(Reason::WrongBank);
        }
        self.at().active_bank(payment.to.bank)?;
        let mut wallet = self.at().current(payment.from);
        check_spendable(&wallet.account, payment.amount.minor().into(), &Draw::default())?;
        let treasury = self.treasury_credit(payment.to.bank, payment.amount)?;
        self.post_flows(&Flows::default().with(&wallet))?;

        wallet.account.available = wallet.account.available.minus_or_zero(payment.amount);
        self.store(payment.from, &wallet, Amount::ZERO, payment.amount);
        self.account_mut(payment.to).available = treasury;
        Ok(Outcome::settled())
    }
}
