//! Court orders: freezing bars a holder from spending an amount, seizing takes it.
//!
//! A frozen amount may exceed the balance: the rest is a lien, so that later credits are frozen until it is covered.
//! Seizing takes what is available, frozen money included; what is lacking stays as such a lien. An order says how much
//! of an earlier freeze it replaces; what other orders froze stays. Held and purpose-bound money is not taken. The
//! wallet that an order pays to may go above the holding limit.

use super::context::{Settled, Transition, refuse};
use super::credit::Credit;
use super::party::check_parties;
use super::remuneration::Flows;
use crate::command::{FreezeKind, FreezeOrder, SeizeOrder};
use crate::types::amount::Amount;
use crate::types::outcome::{Outcome, Reason};

impl Transition<'_> {
    pub(super) fn freeze(&mut self, order: &FreezeOrder) -> Settled {
        if order.amount.is_zero() {
            return refuse(Reason::AmountZero);
        }
        self.at().payee_wallet(order.account)?;
        // What may be spent decides what demurrage takes: the days so far go by what was frozen then.
        let mut current = self.at().current(order.account);
        let wallet = current.account;
        let frozen = match order.kind {
            FreezeKind::Freeze => wallet.frozen.plus(order.amount),
            FreezeKind::Unfreeze => wallet.frozen.minus(order.amount),
        };
        let Some(frozen) = frozen else {
            // More than the range allows, or more to unfreeze than is frozen.
            return Err(match order.kind {
                FreezeKind::Freeze => Outcome::refused(Reason::Overflow, 0, order.amount.minor()),
                FreezeKind::Unfreeze => {
                    Outcome::refused(Reason::FreezeExceeded, wallet.frozen.minor(), order.amount.minor())
                }
            });
        };
        self.post_flows(&Flows::default().with(&current))?;
        current.account.frozen = frozen;
        self.store(order.account, &current, Amount::ZERO, Amount::ZERO);
        Ok(Outcome::settled())
    }

    /// The result is what was taken.
    pub(super) fn seize(&mut self, seize: &SeizeOrder) -> Settled {
        check_parties(seize.account, seize.to, seize.amount)?;
        self.at().payee_wallet(seize.account)?;
        self.at().payee_wallet(seize.to)?;
        let (mut wallet, mut payee) = (self.at().current(seize.account), self.at().current(seize.to));
        let Some(frozen) = wallet.account.frozen.minus(seize.released) else {
            let (frozen, released) = (wallet.account.frozen.minor(), seize.released.minor());
            return Err(Outcome::refused(Reason::FreezeExceeded, frozen, released));
        };
        let taken = seize.amount.min(wallet.account.available);
        let lien = seize.amount.minus_or_zero(taken);
        let overflow = Outcome::refused(Reason::Overflow, 0, seize.amount.minor());
        wallet.account.available = wallet.account.available.minus_or_zero(taken);
        wallet.account.frozen = frozen.plus(lien).ok_or(overflow)?;
        let credit = Credit::unlimited(&mut payee, taken);
        self.post_flows(&Flows::default().with(&wallet).with(&payee))?;

        self.store(seize.account, &wallet, Amount::ZERO, taken);
        self.store(seize.to, &payee, credit.credited, Amount::ZERO);
        Ok(Outcome::settled_with(taken.minor()))
    }
}
