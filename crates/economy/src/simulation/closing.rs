//! Closing: in the evening banks clear with each other and with the government, and adjust their reserves.
//!
//! 1. Firms bring the day's banknotes to their banks; banks return notes beyond their vaults' need to the central
//!    bank; CBDC left in treasuries is redeemed.
//! 2. A government short of money sells bonds to investors and, by their deposits, to banks, as they hold them.
//! 3. A bank with reserves above its target repays maturing wholesale funding, and lends what is left to banks that are
//!    short ([`interbank`](super::interbank)); one that still expects to fall short raises funds
//!    ([`Funding`](crate::behaviour::Funding)).
//! 4. A bank that still cannot make the evening's payments borrows overnight against all it may pledge. If that is not
//!    enough, the central bank lends against the government's guarantee, and the bank is resolved tonight.
//! 5. Taxes, government payments and transfers between banks are settled on the ledger.
//! 6. Reserves above the target go to the deposit facility for the night, if it pays more than reserves.

use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::command::{IssuanceKind, OperationKind};
use cbdc_ledger::policy::reserves::after_haircut;
use cbdc_ledger::time::LedgerDay;

use super::Economy;
use crate::accounts::{in_euros, portion, split, split_within};
use crate::authority::minor;
use crate::error::EconomyError;

impl Economy<'_> {
    pub(super) fn close_day(&mut self) -> Result<(), EconomyError> {
        self.take_over_demurrage();
        self.bank_takings();
        for index in 0..self.banks.len() {
            self.return_money(index);
        }
        self.settle_all()?;
        self.sell_bonds();
        for index in 0..self.banks.len() {
            self.repay_wholesale(index);
        }
        self.lend_between_banks();
        for index in 0..self.banks.len() {
            self.raise_funds(index)?;
        }
        for index in 0..self.banks.len() {
            // Receipts from other banks come after taxes, so both points must be reached.
            let taxes = self.banks[index].fiscal_minor - self.central_bank_accounts(index)[0];
            let lacking = taxes.max(-self.reserves_after_clearing(index));
            if lacking > 0 {
                self.cover(index, lacking);
            }
        }
        self.settle_all()?;
        self.clear_with_government();
        self.clear_between_banks();
        self.settle_all()?;
        for index in 0..self.banks.len() {
            self.place_overnight(index);
        }
        self.settle_all()?;
        for index in 0..self.banks.len() {
            self.banks[index].at_central_bank_minor = self.at_central_bank(index);
        }
        Ok(())
    }

    fn bank_takings(&mut self) {
        for firm in 0..self.firms.len() {
            let cash = std::mem::take(&mut self.firms.cash_minor[firm]);
            let bank = &mut self.banks[usize::from(self.firms.bank[firm])];
            self.firms.deposit_minor[firm] += cash;
            bank.deposits_minor += cash;
            bank.vault_minor += cash;
        }
    }

    fn return_money(&mut self, index: usize) {
        let wanted = portion(self.banks[index].deposits_minor, (self.values.banks.vault_share * 1e6) as i64, 1_000_000);
        let (bank, treasury) = (&mut self.banks[index], self.authority.ledger());
        let treasury = treasury.account(cbdc_ledger::AccountId::treasury(bank.id)).map_or(0, |it| it.available.minor());
        let surplus = bank.vault_minor - 2 * wanted;
        if surplus > 0 && bank.is_active() {
            let returned = bank.vault_minor - wanted;
            bank.vault_minor -= returned;
            self.authority.operation(OperationKind::DepositBanknotes, bank.id, minor(returned));
        }
        if treasury > 0 && bank.is_active() {
            self.authority.issuance(IssuanceKind::Redeem, bank.id, minor(treasury as i64));
        }
    }

    /// Sells bonds for government payments tonight that exceed its account and tonight's receipts.
    fn sell_bonds(&mut self) {
        let account = self.authority.ledger().books().balance(cbdc_ledger::books::BookAccount::Government) as i64;
        let due: i64 = self.banks.iter().map(|bank| bank.fiscal_minor).sum();
        let lacking = -(account + due);
        if lacking <= 0 {
            return;
        }
        let to_investors = portion(lacking, self.investors.bonds_minor, self.bonds_minor);
        let at_hand: Vec<i64> = self.investors.deposit_minor.iter().map(|minor| (*minor).max(0)).collect();
        let to_investors = to_investors.min(at_hand.iter().sum());
        for (index, paid) in split_within(to_investors, &at_hand).into_iter().enumerate() {
            self.investors.deposit_minor[index] -= paid;
            self.banks[index].deposits_minor -= paid;
            self.banks[index].fiscal_minor += paid;
        }
        self.investors.bonds_minor += to_investors;
        let weights: Vec<i64> =
            self.banks.iter().map(|bank| if bank.is_active() { bank.deposits_minor.max(1) } else { 0 }).collect();
        for (bank, sold) in self.banks.iter_mut().zip(split(lacking - to_investors, &weights)) {
            bank.bonds_minor += sold;
            bank.fiscal_minor += sold;
        }
        self.bonds_minor += lacking;
    }

    /// Reserves after tonight's payments; a shortfall is negative.
    pub(super) fn reserves_after_clearing(&self, index: usize) -> i64 {
        let bank = &self.banks[index];
        self.central_bank_accounts(index)[0] - bank.clearing_minor - bank.fiscal_minor
    }

    /// The reserves that a bank keeps: its target, plus repayments due tomorrow.
    pub(super) fn reserves_wanted(&self, index: usize) -> i64 {
        let target = (self.behaviours().funding.parameters.reserves_target * 1e6) as i64;
        portion(self.banks[index].deposits_minor.max(0), target, 1_000_000) + self.due_tomorrow(index)
    }

    /// The amount that repaying the central bank takes at the next day change, with a margin for interest.
    pub(super) fn due_tomorrow(&self, index: usize) -> i64 {
        let tomorrow = self.day.ledger_day.next();
        let position = self.authority.ledger().positions().bank(self.banks[index].id);
        let loans = position.into_iter().flat_map(|position| &position.loans);
        loans
            .filter(|loan| loan.matures <= tomorrow)
            .map(|loan| {
                let principal = loan.principal.minor() as i64;
                // Two days at 50 % a year are above any interest that accrues between now and then.
                principal + (loan.accrued / 365_000_000) as i64 + portion(principal, 3, 1_000) + 1
            })
            .sum()
    }

    fn raise_funds(&mut self, index: usize) -> Result<(), EconomyError> {
        let gap = self.reserves_wanted(index) - self.reserves_after_clearing(index);
        if gap <= 0 || !self.banks[index].is_active() {
            return Ok(());
        }
        let funding = &self.behaviours().funding;
        let policy_rate = self.policy_rate();
        let wholesale_rate = funding.wholesale_rate(policy_rate, self.banks[index].trust);
        if funding.asks_investors_first(wholesale_rate, policy_rate) {
            let left = gap - self.borrow_wholesale(index, gap);
            self.refinance(index, left)?;
        } else {
            let left = gap - self.refinance(index, gap)?;
            self.borrow_wholesale(index, left);
        }
        Ok(())
    }

    /// Investors move deposits from other banks, from each in proportion to the balance there, into wholesale funding
    /// of this one. Returns the amount.
    fn borrow_wholesale(&mut self, index: usize, wanted_minor: i64) -> i64 {
        let share = (self.behaviours().funding.parameters.wholesale_share_max * 1e6) as i64;
        let bank = &self.banks[index];
        let assets = bank.deposits_minor + bank.wholesale_minor + bank.equity_minor;
        let headroom = portion(assets, share, 1_000_000) - bank.wholesale_minor;
        let at_hand: Vec<i64> = (0..self.banks.len())
            .map(|other| {
                let lends = other != index && self.banks[other].is_active();
                if lends { self.investors.deposit_minor[other].max(0) } else { 0 }
            })
            .collect();
        let lent_in_all = wanted_minor.min(headroom).min(at_hand.iter().sum()).max(0);
        for (other, lent) in split_within(lent_in_all, &at_hand).into_iter().enumerate() {
            self.investors.deposit_minor[other] -= lent;
            self.clear(other, index, lent);
            // The amount arrived at this bank as funding, not as a deposit.
            self.banks[index].deposits_minor -= lent;
            self.banks[index].wholesale_minor += lent;
            self.banks[index].raised_minor += lent;
            self.investors.wholesale_minor[index] += lent;
        }
        lent_in_all
    }

    /// Repays maturing funding to investors' deposits at other banks, in proportion to these banks' deposits, as far as
    /// reserves above the target allow.
    fn repay_wholesale(&mut self, index: usize) {
        let raised = self.banks[index].raised_minor;
        if raised <= 0 || !self.banks[index].is_active() {
            return;
        }
        let days = self.behaviours().funding.parameters.wholesale_days as i64;
        let matured = (raised + days - 1) / days;
        let surplus = self.reserves_after_clearing(index) - self.reserves_wanted(index);
        let weights: Vec<i64> = (0..self.banks.len())
            .map(|other| {
                let takes = other != index && self.banks[other].is_active();
                if takes { self.banks[other].deposits_minor.max(0) } else { 0 }
            })
            .collect();
        for (other, repaid) in split(matured.min(surplus).max(0), &weights).into_iter().enumerate() {
            self.investors.deposit_minor[other] += repaid;
            self.clear(index, other, repaid);
            // The amount left this bank as funding, not as a deposit.
            let bank = &mut self.banks[index];
            bank.deposits_minor += repaid;
            bank.wholesale_minor -= repaid;
            bank.raised_minor -= repaid;
            self.investors.wholesale_minor[index] -= repaid;
        }
    }

    /// Borrows from the central bank at the policy rate, as far as collateral allows. Returns the amount.
    fn refinance(&mut self, index: usize, wanted_minor: i64) -> Result<i64, EconomyError> {
        let lent = wanted_minor.min(self.pledgeable_minor(index)).max(0);
        if lent == 0 {
            return Ok(0);
        }
        let days = self.behaviours().funding.parameters.refinancing_days as u32;
        let rate = RatePpm(self.authority.ledger().parameters().key_rates.policy.0);
        let matures = LedgerDay(self.day.ledger_day.0 + days.max(1));
        self.pledge_for(index, lent);
        self.authority.refinance(self.banks[index].id, minor(lent), rate, matures);
        // The proceeds must be in the books before the next bank decides.
        self.settle_all()?;
        Ok(lent)
    }

    /// Borrows overnight from the lending facility, as far as collateral allows. Returns the amount; the caller
    /// settles.
    pub(super) fn borrow_overnight(&mut self, index: usize, wanted_minor: i64) -> i64 {
        let lent = wanted_minor.min(self.pledgeable_minor(index)).max(0);
        if lent > 0 {
            self.pledge_for(index, lent);
            self.authority.operation(OperationKind::Lend, self.banks[index].id, minor(lent));
        }
        lent
    }

    /// Secures reserves for tonight's payments, in the last resort by emergency lending.
    fn cover(&mut self, index: usize, lacking: i64) {
        let lent = self.borrow_overnight(index, lacking);
        let rest = lacking - lent;
        if rest <= 0 {
            return;
        }
        // Emergency lending against the government's guarantee, noted as collateral; the bank is failing.
        let id = self.banks[index].id;
        let loans = self.central_bank_accounts(index)[2] + lent + rest;
        let guarantee = (self.collateral_for(loans) - self.banks[index].pledged_minor).max(1);
        self.authority.operation(OperationKind::Pledge, id, minor(guarantee));
        self.banks[index].pledged_minor += guarantee;
        self.authority.operation(OperationKind::Lend, id, minor(rest));
        self.banks[index].is_failing = true;
        let what = format!("bank {id} cannot pay and gets emergency liquidity of {}", in_euros(rest));
        self.note_event("bank", what, 0);
    }

    /// The amount that the central bank would still lend to a bank against its collateral.
    fn pledgeable_minor(&self, index: usize) -> i64 {
        let bank = &self.banks[index];
        let loans = (self.behaviours().funding.parameters.eligible_loans * 1e6) as i64;
        let headroom = bank.bonds_minor + portion(bank.loans_minor, loans, 1_000_000);
        let haircut = self.authority.ledger().parameters().haircut_ppm;
        let covered = after_haircut(minor(headroom), haircut).minor() as i64;
        (covered - self.central_bank_accounts(index)[2]).max(0)
    }

    /// The collateral that covers loans, rounded up.
    fn collateral_for(&self, loans_minor: i64) -> i64 {
        let share = 1_000_000 - i64::from(self.authority.ledger().parameters().haircut_ppm);
        portion(loans_minor, 1_000_000, share) + 2
    }

    /// Pledges enough collateral for a further loan.
    fn pledge_for(&mut self, index: usize, lent_minor: i64) {
        let loans = self.central_bank_accounts(index)[2];
        let lacking = self.collateral_for(loans + lent_minor) - self.banks[index].pledged_minor;
        if lacking > 0 {
            self.banks[index].pledged_minor += lacking;
            self.authority.operation(OperationKind::Pledge, self.banks[index].id, minor(lacking));
        }
    }

    /// Settles taxes and government payments, receipts first, so that the government's account covers its payments.
    fn clear_with_government(&mut self) {
        for (kind, sign) in [(OperationKind::CollectForGovernment, 1), (OperationKind::PayFromGovernment, -1)] {
            for bank in &mut self.banks {
                let amount = bank.fiscal_minor * sign;
                if amount > 0 {
                    self.authority.operation(kind, bank.id, minor(amount));
                    bank.fiscal_minor = 0;
                }
            }
        }
    }

    /// Settles the banks' net positions: debtors pay creditors, in order of number.
    fn clear_between_banks(&mut self) {
        let mut owing = 0;
        for owed in 0..self.banks.len() {
            while self.banks[owed].clearing_minor < 0 {
                while self.banks[owing].clearing_minor <= 0 {
                    owing += 1;
                }
                let amount = self.banks[owing].clearing_minor.min(-self.banks[owed].clearing_minor);
                self.banks[owing].clearing_minor -= amount;
                self.banks[owed].clearing_minor += amount;
                self.authority.transfer_reserves(self.banks[owing].id, self.banks[owed].id, minor(amount));
            }
        }
    }

    fn place_overnight(&mut self, index: usize) {
        let surplus = self.central_bank_accounts(index)[0] - self.reserves_wanted(index);
        let pays_more = self.deposit_facility_rate() > self.reserves_rate();
        if surplus > 0 && pays_more && self.banks[index].is_active() {
            self.authority.operation(OperationKind::PlaceDeposit, self.banks[index].id, minor(surplus));
        }
    }
}
