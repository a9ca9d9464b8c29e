//! Holds: placing, capturing and voiding them, and what happens when they expire.
//!
//! Placing a hold tests what the payer can promise: the largest payment, the fee and the money (purpose-bound money by
//! the payee's class at that time). Limits on payments by day, month or window, the payee's limit and the fee in force
//! are tested at capture, when the money settles.

use super::context::{Settled, Transition, refuse};
use super::entry::Cause;
use super::party::check_parties;
use super::remuneration::Flows;
use super::transfer::{Draw, Fee, PayerSide, check_spendable, payer_fee};
use crate::command::{PlaceHold, ReleaseHold, ReleaseKind};
use crate::policy::payment_limit;
use crate::state::hold::{HOLDS_MAX, Hold};
use crate::types::amount::Amount;
use crate::types::identity::BankId;
use crate::types::outcome::{Charges, Outcome, Reason};

/// The longest time to a hold's expiry: 31 days.
const HOLD_MS_MAX: u64 = 31 * 86_400_000;

impl Transition<'_> {
    /// The result is the hold's number.
    pub(super) fn place_hold(&mut self, record: &PlaceHold) -> Settled {
        let (from, to, maximum) = (record.from, record.to, record.maximum);
        check_parties(from, to, maximum)?;
        let at = self.at();
        let payee = at.payee_wallet(to)?;
        self.check_hold_expiry(record)?;
        let count = self.ledger.holds.count_of(from);
        if count >= HOLDS_MAX {
            return Err(Outcome::refused(Reason::TooManyHolds, HOLDS_MAX as u64, count as u64 + 1));
        }
        let pair = at.pair(from, to, payee);
        let mut draw = Draw::default();
        if !pair.is_own() {
            let party = at.party_of(&pair.payer.account);
            payment_limit::check(party.rules.payment_limit, maximum)?;
            payer_fee(&party, maximum, record.max_fee)?;
            // An earmark that expires together with the hold is fine: holds expire first.
            let before_expiry = crate::types::time::Timestamp(record.expires_at.0.saturating_sub(1));
            draw = at.draw(&pair, maximum, before_expiry);
        }
        let mut payer = pair.payer;
        let own = maximum.minus_or_zero(draw.sum);
        check_spendable(&payer.account, u128::from(own.minor()) + u128::from(record.max_fee.minor()), &draw)?;
        let held = own.plus(record.max_fee).expect("what can be spent fits the range");
        self.post_flows(&Flows::default().with(&payer))?;

        payer.account.available = payer.account.available.minus_or_zero(held);
        payer.account.held = payer.account.held.plus(held).expect("all CBDC fits the range, so a wallet's does");
        self.store(from, &payer, Amount::ZERO, Amount::ZERO);
        for (programme, drawn) in &draw.earmarks {
            self.change_earmark(from, *programme, |earmark| {
                earmark.held = earmark.held.plus(*drawn).expect("only what is free is drawn");
            });
        }
        let (max_fee, expires_at) = (record.max_fee, record.expires_at);
        let hold = Hold { payer: from, payee: to, maximum, max_fee, expires_at, held, earmarks: draw.earmarks };
        Ok(Outcome::settled_with(self.ledger.holds.insert(hold)))
    }

    fn check_hold_expiry(&self, record: &PlaceHold) -> Result<(), Outcome> {
        if record.expires_at <= self.time {
            return Err(Outcome::refused(Reason::Expired, record.expires_at.0, self.time.0));
        }
        let latest = self.time.plus_ms(HOLD_MS_MAX);
        if record.expires_at > latest {
            return Err(Outcome::refused(Reason::ValidityTooLong, latest.0, record.expires_at.0));
        }
        Ok(())
    }

    pub(super) fn release_hold(&mut self, release: &ReleaseHold) -> Settled {
        if release.kind == ReleaseKind::Capture && release.amount.is_zero() {
            return refuse(Reason::AmountZero);
        }
        let hold = self.hold_of(release.bank, release.hold)?;
        match release.kind {
            ReleaseKind::Capture => self.capture(release.hold, &hold, release.amount),
            ReleaseKind::Void => {
                self.return_hold(release.hold);
                Ok(Outcome::settled())
            }
        }
    }

    /// An open hold for a payee of the bank, with the payee's present account.
    fn hold_of(&self, bank: BankId, number: u64) -> Result<Hold, Outcome> {
        let hold = self.ledger.holds.get(number).filter(|hold| hold.expires_at > self.time);
        let present = |hold: &Hold| self.ledger.moved_to(hold.payee).unwrap_or(hold.payee);
        let hold = hold.map(|hold| Hold { payee: present(hold), ..hold.clone() });
        hold.filter(|hold| hold.payee.bank == bank).ok_or(Outcome::refused(Reason::UnknownHold, 0, 0))
    }

    /// Pays from the held money, bound money first, and returns the rest.
    fn capture(&mut self, number: u64, hold: &Hold, amount: Amount) -> Settled {
        if amount > hold.maximum {
            return Err(Outcome::refused(Reason::HoldExceeded, hold.maximum.minor(), amount.minor()));
        }
        let at = self.at();
        let payee = at.payee_wallet(hold.payee)?;
        let mut pair = at.pair(hold.payer, hold.payee, payee);
        let mut fee = Fee::NONE;
        if !pair.is_own() {
            let party = at.party_of(&pair.payer.account);
            at.check_limits(&party, pair.payer.account.holder, amount)?;
            fee = payer_fee(&party, amount, hold.max_fee)?;
        }
        let mut draw = Draw::default();
        for (programme, held) in &hold.earmarks {
            let drawn = (*held).min(amount.minus_or_zero(draw.sum));
            draw.earmarks.push((*programme, drawn));
            draw.sum = draw.sum.plus(drawn).expect("what is drawn is at most the amount");
        }
        let paid = amount.minus_or_zero(draw.sum).plus(fee.amount);
        let paid = paid.expect("the amount and the fee are at most what is held");
        let returned = hold.held.minus(paid).expect("the amount and the fee are at most what is held");
        let payer = &mut pair.payer;
        payer.join(at.holder(payer.account.holder));
        payer.account.held = payer.account.held.minus_or_zero(hold.held);
        payer.account.available = payer.account.available.plus(returned).expect("it was available before");
        payer.account.earmarked = payer.account.earmarked.minus_or_zero(draw.sum);
        // Returned money counts as a credit: a claim must not be evaded by holding money.
        payer.take_claim(returned);
        let side = PayerSide { fee, own_money: paid, reverse_waterfall: None };
        let payout = at.payout(side, &mut pair, amount)?;
        let outcome = self.pay_out(&pair, &payout)?;
        self.enter_capture(number, hold, amount, outcome.charges());
        for ((programme, drawn), (_, held)) in draw.earmarks.iter().zip(&hold.earmarks) {
            self.change_earmark(hold.payer, *programme, |earmark| {
                earmark.amount = earmark.amount.minus_or_zero(*drawn);
                earmark.held = earmark.held.minus_or_zero(*held);
            });
        }
        self.ledger.holds.remove(number);
        Ok(outcome)
    }

    /// Records what a capture moved: its record names the hold and no wallet.
    fn enter_capture(&mut self, number: u64, hold: &Hold, amount: Amount, charges: Charges) {
        let (payer, payee) = (hold.payer, hold.payee);
        self.enter(payer, Cause::Captured, amount, Some(payee), number);
        self.enter(payer, Cause::Fee, charges.fee, None, number);
        self.enter(payee, Cause::CaptureReceived, amount, Some(payer), number);
        self.enter(payee, Cause::PayeeFee, charges.payee_fee, None, number);
    }

    /// Returns everything that a hold reserved. The payer's unpaid demurrage is taken from it.
    fn return_hold(&mut self, number: u64) {
        let Some(hold) = self.ledger.holds.remove(number) else { return };
        let mut payer = self.at().current_with_claim(hold.payer);
        payer.account.held = payer.account.held.minus_or_zero(hold.held);
        payer.account.available = payer.account.available.plus(hold.held).expect("it was available before");
        payer.take_claim(hold.held);
        let posted = self.post_flows(&Flows::default().with(&payer));
        posted.expect("interest is posted only where it fits, and demurrage is a part of all CBDC");
        self.store(hold.payer, &payer, Amount::ZERO, Amount::ZERO);
        for (programme, held) in hold.earmarks {
            self.change_earmark(hold.payer, programme, |earmark| earmark.held = earmark.held.minus_or_zero(held));
        }
    }

    /// Voids holds that have expired.
    pub(super) fn expire_holds(&mut self) {
        while let Some(number) = self.ledger.holds.expired_by(self.time) {
            if !self.take_work() {
                return;
            }
            self.return_hold(number);
            self.changes.work.holds_expired += 1;
        }
    }
}
