//! The holder's standing consent, the wallet of their tier allowance, and reclassification by the registrar.

use super::context::{Settled, Transition, refuse};
use super::remuneration::Flows;
use crate::command::{DesignateWallet, LinkBank, Reclassify};
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId};
use crate::types::outcome::{Outcome, Reason};

impl Transition<'_> {
    /// Consents to the waterfall into the deposit at a bank; bank 0 revokes.
    pub(super) fn link_bank(&mut self, link: &LinkBank) -> Settled {
        if let Some(consent) = &link.consent {
            self.check_end(consent.valid_until)?;
        }
        if link.bank != BankId(0) && self.at().unsuspended_bank(link.bank).is_err() {
            return refuse(Reason::BankNotActive);
        }
        self.account_mut(link.account).linked_bank = link.bank;
        Ok(Outcome::settled())
    }

    /// Moves the holder's tier allowance to this wallet. Today's interest depends on where it is at the day's end.
    pub(super) fn designate_wallet(&mut self, designate: &DesignateWallet) -> Settled {
        let wallet = designate.account;
        let holder = self.ledger.account(wallet).expect("the signer was admitted").holder;
        let before = self.at().holder(holder).allowance();
        if before == Some(wallet) {
            return Ok(Outcome::settled());
        }
        let wallets: Vec<AccountId> = before.into_iter().chain([wallet]).collect();
        let current: Vec<_> = wallets.iter().map(|id| self.at().current(*id)).collect();
        let flows = current.iter().fold(Flows::default(), Flows::with);
        self.post_flows(&flows)?;

        for (id, mut current) in wallets.into_iter().zip(current) {
            current.account.has_allowance = id == wallet;
            self.store(id, &current, Amount::ZERO, Amount::ZERO);
        }
        self.holder_mut(holder).set_allowance(Some(wallet));
        Ok(Outcome::settled())
    }

    /// The new class holds at once; for remuneration, from today on.
    pub(super) fn reclassify(&mut self, order: &Reclassify) -> Settled {
        if !order.class.is_known() {
            return refuse(Reason::UnknownClass);
        }
        let Some(position) = self.ledger.holder_position(order.holder) else { return refuse(Reason::UnknownHolder) };
        let before = self.at().holder(position).class;
        if before == order.class {
            return Ok(Outcome::settled());
        }
        self.ledger.class_history.note(position, before, (self.today, order.class));
        self.holder_mut(position).class = order.class;
        Ok(Outcome::settled())
    }
}
