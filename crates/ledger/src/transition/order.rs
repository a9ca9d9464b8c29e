//! Court orders: freezing bars a holder from spending an amount, seizing takes it.
//!
//! A frozen amount may exceed the balance: the rest is a lien, so that later credits are frozen until it is covered.
//! Seizing takes available money, frozen money included; any shortfall stays as such a lien. An order says how much of
//! an earlier freeze it replaces; other orders' freezes stay. The ledger records which court has frozen how much: a
//! court lifts or replaces its own freezes, and those of a dismissed court. Held and purpose-bound money is not taken.
//! The wallet that an order pays to may exceed the holding limit.

use super::context::{Settled, Transition, refuse};
use super::credit::Credit;
use super::entry::Cause;
use super::party::check_parties;
use super::remuneration::Flows;
use crate::command::{FreezeKind, FreezeOrder, SeizeOrder};
use crate::state::member::Role;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, MemberId};
use crate::types::outcome::{Outcome, Reason};

impl Transition<'_> {
    pub(super) fn freeze(&mut self, order: &FreezeOrder) -> Settled {
        if order.amount.is_zero() {
            return refuse(Reason::AmountZero);
        }
        self.at().payee_wallet(order.account)?;
        // Demurrage takes only spendable money: the days so far count with what was frozen then.
        let mut current = self.at().current(order.account);
        let wallet = current.account;
        let frozen = match order.kind {
            FreezeKind::Freeze => {
                let overflow = Outcome::refused(Reason::Overflow, 0, order.amount.minor());
                wallet.frozen.plus(order.amount).ok_or(overflow)?
            }
            FreezeKind::Unfreeze => {
                self.check_releasable(order.account, order.court, order.amount)?;
                wallet.frozen.minus_or_zero(order.amount)
            }
        };
        self.post_flows(&Flows::default().with(&current))?;
        match order.kind {
            FreezeKind::Freeze => self.freeze_for(order.account, order.court, order.amount),
            FreezeKind::Unfreeze => self.release_for(order.account, order.court, order.amount),
        }
        current.account.frozen = frozen;
        self.store(order.account, &current, Amount::ZERO, Amount::ZERO);
        Ok(Outcome::settled())
    }

    /// The result is what was taken.
    pub(super) fn seize(&mut self, seize: &SeizeOrder) -> Settled {
        check_parties(seize.account, seize.to, seize.amount)?;
        self.at().payee_wallet(seize.account)?;
        self.at().payee_wallet(seize.to)?;
        let (mut wallet, mut payee) = (self.at().current(seize.account), self.at().current_with_claim(seize.to));
        self.check_releasable(seize.account, seize.court, seize.released)?;
        let frozen = wallet.account.frozen.minus_or_zero(seize.released);
        let taken = seize.amount.min(wallet.account.available);
        let lien = seize.amount.minus_or_zero(taken);
        let overflow = Outcome::refused(Reason::Overflow, 0, seize.amount.minor());
        wallet.account.available = wallet.account.available.minus_or_zero(taken);
        wallet.account.frozen = frozen.plus(lien).ok_or(overflow)?;
        if wallet.account.holder == payee.account.holder {
            wallet.hand_claim_to(&mut payee);
        }
        let credit = Credit::unlimited(&mut payee, taken);
        self.post_flows(&Flows::default().with(&wallet).with(&payee))?;

        self.release_for(seize.account, seize.court, seize.released);
        self.freeze_for(seize.account, seize.court, lien);
        self.store(seize.account, &wallet, Amount::ZERO, taken);
        self.store(seize.to, &payee, credit.credited, Amount::ZERO);
        self.enter(seize.account, Cause::Seized, taken, Some(seize.to), 0);
        self.enter(seize.to, Cause::SeizureReceived, taken, Some(seize.account), 0);
        Ok(Outcome::settled_with(taken.minor()))
    }

    /// Checks that a court may lift an amount on a wallet.
    fn check_releasable(&self, wallet: AccountId, court: MemberId, amount: Amount) -> Result<(), Outcome> {
        let releasable = |(by, _): &(MemberId, Amount)| self.may_release(court, *by);
        let frozen = self.ledger.freezes.of_wallet(wallet).filter(releasable);
        let sum = frozen.fold(Amount::ZERO, |sum, (_, part)| sum.plus(part).unwrap_or(Amount::MAX));
        if amount > sum {
            return Err(Outcome::refused(Reason::FreezeExceeded, sum.minor(), amount.minor()));
        }
        Ok(())
    }

    /// Whether a court may lift an order: its own, or one of a dismissed court.
    fn may_release(&self, court: MemberId, frozen_by: MemberId) -> bool {
        court == frozen_by || self.ledger.members.active(Role::Court, frozen_by).is_none()
    }

    fn freeze_for(&mut self, wallet: AccountId, court: MemberId, amount: Amount) {
        let freezes = &mut self.ledger.freezes;
        let sum = freezes.of_court(wallet, court).plus(amount).expect("the sum over all courts fits the range");
        freezes.set(wallet, court, sum);
    }

    /// Lifts an amount that was checked: the court's own orders first, then those of dismissed courts.
    fn release_for(&mut self, wallet: AccountId, court: MemberId, amount: Amount) {
        let mut frozen: Vec<(MemberId, Amount)> = self.ledger.freezes.of_wallet(wallet).collect();
        frozen.retain(|(by, _)| self.may_release(court, *by));
        frozen.sort_by_key(|(by, _)| (*by != court, *by));
        let mut left = amount;
        for (by, part) in frozen {
            let lifted = part.min(left);
            self.ledger.freezes.set(wallet, by, part.minus_or_zero(lifted));
            left = left.minus_or_zero(lifted);
        }
    }
}
