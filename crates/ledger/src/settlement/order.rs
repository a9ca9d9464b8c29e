//! Freezing: an order bars a holder from spending an amount.
//!
//! The amount may exceed the balance: the rest is a lien, so that later credits are frozen until it is covered.

use super::{Settled, Settlement, refuse};
use crate::command::{FreezeKind, FreezeOrder};
use crate::outcome::{Outcome, Reason};

impl Settlement<'_> {
    pub(super) fn freeze(&mut self, order: &FreezeOrder) -> Settled {
        if order.amount.is_zero() {
            return refuse(Reason::AmountZero);
        }
        let Some(wallet) = self.ledger.open_wallet(order.account).copied() else { return refuse(Reason::UnknownPayee) };
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
        self.account_mut(order.account).frozen = frozen;
        Ok(Outcome::settled())
    }
}
