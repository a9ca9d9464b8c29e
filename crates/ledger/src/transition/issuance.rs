//! Issue, redeem and reserves transfers: the entries that move base money between reserves and CBDC.

use super::context::{Settled, Transition, refuse};
use crate::command::{IssuanceKind, IssuanceOrder, ReservesTransfer, Signer};
use crate::state::books::{BookAccount, PostingError};
use crate::state::member::Role;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId, MemberId};
use crate::types::outcome::{Outcome, Reason};

impl Transition<'_> {
    /// Settles the operator's order on a bank's request. Either both sequence numbers are used or none.
    pub(super) fn issuance(&mut self, order: &IssuanceOrder) -> Settled {
        let request = &order.request.record;
        let operator = Signer::Member(Role::Operator, order.operator);
        let bank = Signer::Member(Role::Bank, MemberId(request.bank.0));
        let endorsement = self.ledger.check_admission(operator, &order.head, self.time)?;
        let requested = self.ledger.check_admission(bank, &request.head, self.time)?;
        self.consume(operator, order.head.sequence);
        self.consume(bank, request.head.sequence);
        endorsement.validity?;
        requested.validity?;
        if request.amount.is_zero() {
            return refuse(Reason::AmountZero);
        }
        match request.kind {
            IssuanceKind::Issue => self.issue(request.bank, request.amount),
            IssuanceKind::Redeem => self.redeem(request.bank, request.amount),
        }
    }

    fn issue(&mut self, bank: BankId, amount: Amount) -> Settled {
        self.at().unsuspended_bank(bank)?;
        self.at().check_supply(bank, amount)?;
        let overflow = Outcome::refused(Reason::Overflow, 0, amount.minor());
        let treasury = self.treasury_credit(bank, amount)?;
        let issued = self.ledger.supply.issued.plus(amount).ok_or(overflow)?;
        self.post(BookAccount::Reserves(bank), BookAccount::Cbdc, amount)?;

        self.ledger.supply.issued = issued;
        self.account_mut(AccountId::treasury(bank)).available = treasury;
        self.count_issuance(bank, amount);
        Ok(Outcome::settled())
    }

    fn redeem(&mut self, bank: BankId, amount: Amount) -> Settled {
        self.at().active_bank(bank)?;
        let overflow = Outcome::refused(Reason::Overflow, 0, amount.minor());
        let available =
            self.ledger.account(AccountId::treasury(bank)).map_or(Amount::ZERO, |account| account.spendable());
        let Some(treasury) = available.minus(amount) else {
            return Err(Outcome::refused(Reason::InsufficientFunds, available.minor(), amount.minor()));
        };
        let redeemed = self.ledger.supply.redeemed.plus(amount).ok_or(overflow)?;
        self.post(BookAccount::Cbdc, BookAccount::Reserves(bank), amount)?;

        self.ledger.supply.redeemed = redeemed;
        self.account_mut(AccountId::treasury(bank)).available = treasury;
        Ok(Outcome::settled())
    }

    pub(super) fn reserves_transfer(&mut self, transfer: &ReservesTransfer) -> Settled {
        if transfer.amount.is_zero() {
            return refuse(Reason::AmountZero);
        }
        if transfer.from == transfer.to {
            return refuse(Reason::SameAccount);
        }
        self.at().active_bank(transfer.to)?;
        let (debit, credit) = (BookAccount::Reserves(transfer.from), BookAccount::Reserves(transfer.to));
        self.post(debit, credit, transfer.amount)?;
        Ok(Outcome::settled())
    }

    /// Posts one entry; or refuses, naming the account that prevents it, and changes nothing.
    pub(super) fn post(&mut self, debit: BookAccount, credit: BookAccount, amount: Amount) -> Result<(), Outcome> {
        self.ledger.books.post(debit, credit, amount).map_err(|error| posting_refusal(error, amount))
    }
}

/// The refusal of an entry that cannot be posted.
fn posting_refusal(error: PostingError, amount: Amount) -> Outcome {
    match error {
        PostingError::TooLittle { account: BookAccount::Reserves(_), has } => {
            Outcome::refused(Reason::InsufficientReserves, has.minor(), amount.minor())
        }
        PostingError::TooLittle { has, .. } => Outcome::refused(Reason::InsufficientFunds, has.minor(), amount.minor()),
        PostingError::TooMuch { .. } => Outcome::refused(Reason::Overflow, 0, amount.minor()),
    }
}
