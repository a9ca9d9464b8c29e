//! Credits to wallets, the waterfall, and the reverse waterfall that tops a payer up.
//!
//! 1. A claim of unpaid demurrage is taken from the credit first.
//! 2. The holding limit is tested on what is kept. If the holder would exceed it, the excess (at most the credit, and
//!    no more than court orders leave free) goes to the deposit at the wallet's linked bank, or the credit is refused.
//!    Money that the holder had before is never moved: a holder above a lowered limit keeps it and may spend it.
//!
//! A reverse waterfall takes two signatures. It adds exactly what the payer lacks, at most what the bank promised,
//! against the bank's reserves, and only if the whole payment settles.

use super::changes::{DepositDirection, DepositMovement};
use super::context::{Settled, StateAt, Transition};
use super::entry::Cause;
use super::party::{Party, check_parties};
use super::remuneration::{Current, Flows};
use crate::command::{ReverseWaterfall, Signer};
use crate::policy::{holding_limit, issuance_quota, supply_cap};
use crate::state::member::Role;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId, MemberId};
use crate::types::outcome::{Outcome, Reason};

/// A bank's promise to add from the payer's deposit.
#[derive(Clone, Copy)]
pub(super) struct TopUp {
    pub(super) bank: BankId,
    pub(super) maximum: Amount,
}

/// The parts of a credit. A claim that was taken from it counts as the wallet's demurrage.
pub(super) struct Credit {
    /// The amount credited, less what went to the linked bank.
    pub(super) credited: Amount,
    pub(super) waterfall: Option<(BankId, Amount)>,
}

impl Credit {
    /// A credit to a wallet, joined with its holder's claim, that meets no holding limit.
    #[inline]
    pub(super) fn unlimited(wallet: &mut Current, amount: Amount) -> Credit {
        wallet.credit(amount);
        Credit { credited: amount, waterfall: None }
    }
}

impl Transition<'_> {
    /// Settles a transfer with the linked bank's promise. Either both sequence numbers are used or none.
    pub(super) fn reverse_waterfall(&mut self, order: &ReverseWaterfall) -> Settled {
        let transfer = &order.transfer.record;
        let (bank, payer) = (Signer::Member(Role::Bank, MemberId(order.bank.0)), transfer.signer());
        let promise = self.ledger.check_admission(bank, &order.head, self.time)?;
        let payment = self.ledger.check_admission(payer, &transfer.head, self.time)?;
        // Only the linked bank may use up the payer's sequence number.
        self.at().check_link(transfer.from, order.bank)?;
        self.consume(bank, order.head.sequence);
        self.consume(payer, transfer.head.sequence);
        promise.validity?;
        payment.validity?;
        self.at().unsuspended_bank(order.bank)?;
        check_parties(transfer.from, transfer.to, transfer.amount)?;
        let top_up = TopUp { bank: order.bank, maximum: order.maximum };
        let outcome = self.transfer(transfer, Some(top_up))?;
        let lacked = outcome.charges().reverse_waterfall;
        if !lacked.is_zero() {
            self.count_issuance(order.bank, lacked);
        }
        Ok(outcome)
    }

    /// Counts new CBDC towards the bank's gross issuance of the day.
    pub(super) fn count_issuance(&mut self, bank: BankId, amount: Amount) {
        let today = self.today;
        let accounts = self.ledger.banks.get_mut(bank).expect("an admitted bank has accounts");
        accounts.issued_today = accounts.issued_on(today).plus(amount).unwrap_or(Amount::MAX);
        accounts.issued_day = today;
    }

    /// Records the deposits that the banks have to move.
    pub(super) fn note_deposits(&mut self, payer: AccountId, payee: AccountId, flows: &Flows) {
        let index = self.index;
        let mut note = |flow: Option<(BankId, Amount)>, wallet: AccountId, direction: DepositDirection| {
            if let Some((bank, amount)) = flow {
                self.changes.deposits.push(DepositMovement { index, bank, wallet, amount, direction });
            }
        };
        note(flows.reverse_waterfall, payer, DepositDirection::FromDeposit);
        note(flows.waterfall, payee, DepositDirection::ToDeposit);
        if let Some((bank, amount)) = flows.waterfall {
            self.enter(payee, Cause::Waterfall, amount, None, u64::from(bank.0));
        }
    }
}

impl StateAt<'_> {
    /// Credits a copy of a wallet that was brought to today.
    #[inline]
    pub(super) fn credit(&self, wallet: &mut Current, amount: Amount) -> Result<Credit, Outcome> {
        self.credit_party(&self.party_of(&wallet.account), wallet, amount)
    }

    /// Like [`StateAt::credit`], for a holder who was looked up before.
    #[inline(always)]
    pub(super) fn credit_party(
        &self,
        party: &Party<'_>,
        wallet: &mut Current,
        amount: Amount,
    ) -> Result<Credit, Outcome> {
        let overflow = Outcome::refused(Reason::Overflow, 0, amount.minor());
        let before =
            party.holder.posted.plus(wallet.interest).and_then(|sum| sum.minus(wallet.demurrage)).ok_or(overflow)?;
        before.plus(amount).ok_or(overflow)?;
        wallet.join(party.holder);
        let kept = wallet.credit(amount);
        let held = before.plus(kept).ok_or(overflow)?;

        let mut credit = Credit { credited: amount, waterfall: None };
        let Some(limit) = party.rules.holding_limit else { return Ok(credit) };
        let excess = holding_limit::excess(limit, held).min(kept);
        if excess.is_zero() {
            return Ok(credit);
        }
        let bank = wallet.account.linked_bank;
        if bank == BankId(0) {
            return Err(Outcome::refused(Reason::HoldingLimit, limit.minor(), amount.minor()));
        }
        if self.unsuspended_bank(bank).is_err() {
            return Err(Outcome::refused(Reason::LinkedBankInactive, limit.minor(), amount.minor()));
        }
        // A lien comes before the waterfall: money that a court order claims stays.
        let swept = excess.min(wallet.account.spendable());
        wallet.account.available = wallet.account.available.minus_or_zero(swept);
        credit.credited = amount.minus_or_zero(swept);
        credit.waterfall = Some((bank, swept)).filter(|_| !swept.is_zero());
        Ok(credit)
    }

    /// Checks that the payer's standing consent names the bank that tops up.
    fn check_link(&self, payer: AccountId, bank: BankId) -> Result<(), Outcome> {
        let linked = self.ledger.account(payer).map_or(BankId(0), |account| account.linked_bank);
        if linked != bank {
            return Err(Outcome::refused(Reason::NotLinked, u64::from(linked.0), u64::from(bank.0)));
        }
        Ok(())
    }

    /// Checks that the bank may add what the payer lacks: its promise, its quota, the supply cap, its reserves.
    pub(super) fn check_top_up(&self, top_up: TopUp, lacking: u128) -> Result<Amount, Outcome> {
        let minor = u64::try_from(lacking).unwrap_or(u64::MAX);
        if lacking > u128::from(top_up.maximum.minor()) {
            return Err(Outcome::refused(Reason::TopUpMaximum, top_up.maximum.minor(), minor));
        }
        let lacking = Amount::from_minor(minor);
        let overflow = Outcome::refused(Reason::Overflow, 0, minor);
        self.check_supply(top_up.bank, lacking)?;
        let reserves = self.ledger.books.bank(top_up.bank).reserves;
        if reserves < lacking {
            return Err(Outcome::refused(Reason::InsufficientReserves, reserves.minor(), lacking.minor()));
        }
        self.ledger.books.cbdc().plus(lacking).ok_or(overflow)?;
        Ok(lacking)
    }

    /// Checks that new CBDC through a bank keeps to its quota and to the supply cap.
    pub(super) fn check_supply(&self, bank: BankId, amount: Amount) -> Result<(), Outcome> {
        let parameters = self.parameters();
        let issued = self.ledger.banks.get(bank).map_or(Amount::ZERO, |accounts| accounts.issued_on(self.today));
        issuance_quota::check(parameters.issuance_quota_of(bank), issued, amount)?;
        supply_cap::check(parameters.supply_cap, self.ledger.books.cbdc(), amount)
    }
}
