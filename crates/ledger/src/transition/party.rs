//! The parties of a payment.

use super::context::{StateAt, refuse};
use crate::policy::ClassRules;
use crate::state::account::Account;
use crate::state::holder::Holder;
use crate::types::amount::Amount;
use crate::types::identity::AccountId;
use crate::types::outcome::{Outcome, Reason};

/// A holder and the rules of their class.
pub(super) struct Party<'a> {
    pub(super) holder: &'a Holder,
    pub(super) rules: &'a ClassRules,
}

/// Checks that need no account.
pub(super) fn check_parties(from: AccountId, to: AccountId, amount: Amount) -> Result<(), Outcome> {
    if amount.is_zero() {
        return refuse(Reason::AmountZero);
    }
    if from == to {
        return refuse(Reason::SameAccount);
    }
    Ok(())
}

impl<'a> StateAt<'a> {
    /// The payee's wallet, which must be open.
    pub(super) fn payee_wallet(&self, to: AccountId) -> Result<&'a Account, Outcome> {
        self.ledger.open_wallet(to).ok_or_else(|| self.no_payee(to))
    }

    /// The reason why an account cannot be paid. For a wallet that has moved, it names the new account: the payer has
    /// to sign for the account they pay.
    #[cold]
    #[inline(never)]
    fn no_payee(&self, to: AccountId) -> Outcome {
        match self.ledger.moved_to(to) {
            Some(account) => Outcome::refused(Reason::WalletMoved, 0, account.to_u64()),
            None => Outcome::refused(Reason::UnknownPayee, 0, 0),
        }
    }

    pub(super) fn holder(&self, position: u32) -> &'a Holder {
        self.ledger.holders.get(position as usize).expect("every wallet has a holder")
    }

    /// The holder of a wallet, with the rules of their class.
    #[inline(always)]
    pub(super) fn party_of(&self, wallet: &Account) -> Party<'a> {
        let holder = self.holder(wallet.holder);
        Party { holder, rules: self.parameters().class(holder.class) }
    }
}
