//! Failure: a failed bank is resolved overnight, and its customers move to another bank.
//!
//! 1. A bank fails when its capital ratio falls below the trigger, when only emergency lending kept it paying, or by a
//!    shock. The active bank with the most equity takes over; without one the simulation ends.
//! 2. The committee suspends the failed bank on the ledger. Its loans are transferred at a discount, which is the
//!    acquirer's gain.
//! 3. Negative equity is covered in the order of [`Resolution`](crate::behaviour::Resolution); the government pays its
//!    part in bonds.
//! 4. Customers, loans, bonds, banknotes, funding and the rest of equity pass to the acquirer. Holders open wallets
//!    there, move their CBDC over and link them; CBDC bears no loss.
//! 5. The shell keeps enough reserves to repay the central bank; its net position there it owes to the acquirer. When
//!    it owes nothing more and its last maintenance period is over, it hands over the remainder, and the committee
//!    resolves it.

use cbdc_ledger::amount::Amount;
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::command::GovernanceAction;
use cbdc_ledger::identity::{AccountId, Class};

use super::Economy;
use crate::accounts::{Flow, Sector, in_euros, portion, ppm};
use crate::agent::{BankPhase, Firms, Households};
use crate::authority::{Transfer, account, minor};
use crate::error::EconomyError;

/// The shell of a failed bank, which repays the bank's debt to the central bank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shell {
    pub(super) bank: usize,
    pub(super) acquirer: usize,
    /// First day on which it may be resolved.
    pub(super) from_day: u32,
}

/// A wallet that its holder has left, but that may still receive interest for its last days.
#[derive(Clone, Copy, Debug)]
pub(super) struct AbandonedWallet {
    pub(super) household: usize,
    pub(super) wallet: u64,
    pub(super) sequence: u32,
}

/// Money moved between wallets of one holder, which is free.
fn own_transfer(from: AccountId, to: AccountId, held_minor: i64, sequence: u32) -> Transfer {
    Transfer { from, to, amount: minor(held_minor), max_fee: Amount::ZERO, sequence: u64::from(sequence) }
}

impl Economy<'_> {
    pub(super) fn failures(&mut self) -> Result<(), EconomyError> {
        self.tend_shells()?;
        let (trigger, risk_weight) = (self.behaviours().resolution.parameters.trigger, self.values.banks.risk_weight);
        // All are marked before any is resolved, so that no failing bank takes over another.
        for bank in &mut self.banks {
            bank.is_failing |= bank.is_active() && bank.capital_ratio(risk_weight) < trigger;
        }
        for index in 0..self.banks.len() {
            if self.banks[index].is_active() && self.banks[index].is_failing {
                self.resolve(index)?;
            }
        }
        Ok(())
    }

    fn resolve(&mut self, failed: usize) -> Result<(), EconomyError> {
        let able = (0..self.banks.len()).filter(|bank| self.banks[*bank].is_active() && !self.banks[*bank].is_failing);
        let acquirer = able.max_by_key(|bank| (self.banks[*bank].equity_minor, std::cmp::Reverse(*bank)));
        let acquirer = acquirer.ok_or(EconomyError::NoBankLeft { day: self.day.number })?;
        let id = self.banks[failed].id;
        self.authority.state_deposits(id, Amount::ZERO);
        self.settle_all()?;
        let suspend = GovernanceAction::BankStatus { bank: id, status: BankStatus::Suspended };
        let proposal = self.approve(vec![suspend])?;

        let discount = ppm(self.behaviours().resolution.parameters.fire_sale);
        let discount = portion(self.banks[failed].loans_minor, discount, 1_000_000);
        self.banks[failed].gain(-discount);
        self.banks[acquirer].gain(discount);
        let equity = self.banks[failed].equity_minor;
        let borne = self.bear_losses(failed);
        self.hand_over(failed, acquirer)?;
        self.move_customers(failed, acquirer)?;

        let contagion = self.behaviours().trust.parameters.contagion;
        self.banks.iter_mut().for_each(|bank| bank.trust = (bank.trust - contagion).max(0.0));
        let maintenance = self.values.policy.maintenance_days as u32;
        let shell = Shell { bank: failed, acquirer, from_day: self.day.number + maintenance + 1 };
        self.shells.push(shell);
        self.all_shells.push(shell);
        let what = format!(
            "bank {id} fails with equity of {}; bank {} takes over; borne by investors {}, depositors {}, government \
            {}",
            in_euros(equity),
            self.banks[acquirer].id,
            in_euros(borne[0]),
            in_euros(borne[1]),
            in_euros(borne[2])
        );
        self.note_event("bank", what, proposal);
        Ok(())
    }

    /// Covers negative equity. Returns the losses of investors, depositors and the government.
    fn bear_losses(&mut self, failed: usize) -> [i64; 3] {
        let resolution = self.behaviours().resolution;
        let mut shortfall = (-self.banks[failed].equity_minor).max(0);
        let mut borne = [0; 3];
        if resolution.bails_in() {
            let written_down = self.investors.wholesale_minor[failed].min(shortfall);
            self.investors.wholesale_minor[failed] -= written_down;
            let bank = &mut self.banks[failed];
            bank.wholesale_minor -= written_down;
            bank.raised_minor = bank.raised_minor.min(bank.wholesale_minor);
            bank.gain(written_down);
            self.flows_today.record(Flow::Resolution, Sector::Investors, Sector::Banks, written_down);
            borne[0] = written_down;
            shortfall -= written_down;
        }
        let at_bank = |banks: &[u16], index: usize| usize::from(banks[index]) == failed;
        let exposed_of = |deposit: i64| resolution.exposed_minor(deposit);
        let of_investors = if resolution.bails_in() { self.investors.deposit_minor[failed] } else { 0 };
        let mut exposed = of_investors;
        for (banks, deposits) in
            [(&self.households.bank, &self.households.deposit_minor), (&self.firms.bank, &self.firms.deposit_minor)]
        {
            exposed += (0..deposits.len())
                .filter(|index| at_bank(banks, *index))
                .map(|index| exposed_of(deposits[index]))
                .sum::<i64>();
        }
        let taken = shortfall.min(exposed);
        let mut lost_in_all = portion(of_investors, taken, exposed);
        self.investors.deposit_minor[failed] -= lost_in_all;
        self.flows_today.record(Flow::Resolution, Sector::Investors, Sector::Banks, lost_in_all);
        for (sector, banks, deposits) in [
            (Sector::Households, &self.households.bank, &mut self.households.deposit_minor),
            (Sector::Firms, &self.firms.bank, &mut self.firms.deposit_minor),
        ] {
            let mut lost = 0;
            for (_, deposit) in deposits.iter_mut().enumerate().filter(|(index, _)| at_bank(banks, *index)) {
                let loss = portion(exposed_of(*deposit), taken, exposed);
                *deposit -= loss;
                lost += loss;
            }
            self.flows_today.record(Flow::Resolution, sector, Sector::Banks, lost);
            lost_in_all += lost;
        }
        let bank = &mut self.banks[failed];
        bank.deposits_minor -= lost_in_all;
        bank.gain(lost_in_all);
        borne[1] = lost_in_all;
        // The government bears the remainder, rounding included, in bonds.
        let rest = shortfall - lost_in_all;
        bank.bonds_minor += rest;
        bank.gain(rest);
        self.bonds_minor += rest;
        self.flows_today.record(Flow::Resolution, Sector::Government, Sector::Banks, rest);
        borne[2] = rest;
        borne
    }

    /// Passes everything to the acquirer, except the accounts at the central bank; of the reserves, those that the
    /// shell does not need.
    fn hand_over(&mut self, failed: usize, acquirer: usize) -> Result<(), EconomyError> {
        let shell = &mut self.banks[failed];
        let take = std::mem::take::<i64>;
        let passed = [
            take(&mut shell.vault_minor),
            take(&mut shell.bonds_minor),
            take(&mut shell.loans_minor),
            take(&mut shell.deposits_minor),
            take(&mut shell.wholesale_minor),
            take(&mut shell.raised_minor),
            take(&mut shell.interbank_minor),
        ];
        let (equity, estate) = (take(&mut shell.equity_minor), take(&mut shell.estate_minor));
        shell.phase = BankPhase::WindingDown;
        let acquirer_bank = &mut self.banks[acquirer];
        acquirer_bank.vault_minor += passed[0];
        acquirer_bank.bonds_minor += passed[1];
        acquirer_bank.loans_minor += passed[2];
        acquirer_bank.deposits_minor += passed[3];
        acquirer_bank.wholesale_minor += passed[4];
        acquirer_bank.raised_minor += passed[5];
        acquirer_bank.interbank_minor += passed[6];
        acquirer_bank.estate_minor += estate;
        acquirer_bank.gain(equity);
        self.investors.deposit_minor[acquirer] += take(&mut self.investors.deposit_minor[failed]);
        self.investors.wholesale_minor[acquirer] += take(&mut self.investors.wholesale_minor[failed]);
        self.balance_shell(failed, acquirer, false)?;
        // The shell owes its net position at the central bank to the acquirer.
        let kept = self.at_central_bank(failed);
        self.banks[failed].estate_minor = -kept;
        self.banks[acquirer].estate_minor += kept;
        self.note_at_central_bank(failed);
        self.note_at_central_bank(acquirer);
        Ok(())
    }

    fn note_at_central_bank(&mut self, index: usize) {
        self.banks[index].at_central_bank_minor = self.at_central_bank(index);
    }

    /// Moves reserves between shell and acquirer so that the shell can repay its loans; all of them at the end.
    fn balance_shell(&mut self, shell: usize, acquirer: usize, is_last: bool) -> Result<(), EconomyError> {
        let [reserves, facility, loans] = self.central_bank_accounts(shell);
        // Five in a thousand exceed interest and penalty for the remaining days.
        let needed = if is_last || loans == 0 { 0 } else { loans + portion(loans, 5, 1_000) + 1 };
        let surplus = reserves + facility - needed;
        let (from, to, amount) = match surplus {
            0.. => (shell, acquirer, surplus.min(reserves)),
            _ => (acquirer, shell, (-surplus).min(self.central_bank_accounts(acquirer)[0])),
        };
        if amount > 0 && (is_last || surplus < 0 || loans > 0) {
            self.authority.transfer_reserves(self.banks[from].id, self.banks[to].id, minor(amount));
            self.settle_all()?;
        }
        Ok(())
    }

    /// Holders move to the acquirer with their deposits, loans and wallets.
    fn move_customers(&mut self, failed: usize, acquirer: usize) -> Result<(), EconomyError> {
        let here = failed as u16;
        let of_bank =
            |banks: &[u16]| -> Vec<usize> { (0..banks.len()).filter(|index| banks[*index] == here).collect() };
        let (households, firms) = (of_bank(&self.households.bank), of_bank(&self.firms.bank));
        households.iter().for_each(|household| self.households.bank[*household] = acquirer as u16);
        firms.iter().for_each(|firm| self.firms.bank[*firm] = acquirer as u16);
        self.move_household_wallets(&households)?;
        let with_wallet: Vec<usize> = firms.into_iter().filter(|firm| self.firms.wallet[*firm] != 0).collect();
        for chunk in with_wallet.chunks(4_096) {
            let wanted = chunk.iter().map(|index| (acquirer as u16, Class::BUSINESS, Firms::holder(*index))).collect();
            let accounts = self.open_wallets(wanted)?;
            for (firm, new) in chunk.iter().zip(&accounts) {
                let sequence = self.firms.sequence[*firm] + 1;
                if let (Some(from), held @ 1..) = (account(self.firms.wallet[*firm]), self.firms.cbdc_minor[*firm]) {
                    self.authority.transfer(own_transfer(from, *new, held, sequence));
                }
                self.firms.wallet[*firm] = new.to_u64();
                self.firms.sequence[*firm] = 1;
            }
            self.settle_all()?;
        }
        // A credit to a new wallet pays the demurrage that its holder still owes.
        self.take_over_demurrage();
        Ok(())
    }

    /// Opens wallets for households at the banks where they are customers now, and moves their CBDC there.
    pub(super) fn move_household_wallets(&mut self, households: &[usize]) -> Result<(), EconomyError> {
        let has_wallet = |household: &usize| self.households.wallet[*household] != 0;
        let with_wallet: Vec<usize> = households.iter().copied().filter(has_wallet).collect();
        for chunk in with_wallet.chunks(4_096) {
            let wanted = chunk
                .iter()
                .map(|index| (self.households.bank[*index], Class::HOUSEHOLD, Households::holder(*index)))
                .collect();
            let accounts = self.open_wallets(wanted)?;
            for (household, new) in chunk.iter().zip(&accounts) {
                let old = self.households.wallet[*household];
                let mut sequence = self.households.sequence[*household];
                if let (Some(from), held @ 1..) = (account(old), self.households.cbdc_minor[*household]) {
                    sequence += 1;
                    self.authority.transfer(own_transfer(from, *new, held, sequence));
                }
                self.authority.designate(*new, 2);
                self.abandoned.push(AbandonedWallet { household: *household, wallet: old, sequence });
                self.households.wallet[*household] = new.to_u64();
                self.households.sequence[*household] = 2;
            }
            self.settle_all()?;
        }
        Ok(())
    }

    /// Moves interest that the ledger posted on abandoned wallets to their holders' present wallets. Returns the
    /// amount.
    pub(super) fn collect_from_abandoned(&mut self) -> Result<i64, EconomyError> {
        let mut collected = 0;
        let mut abandoned = std::mem::take(&mut self.abandoned);
        for left in &mut abandoned {
            let Some(old) = account(left.wallet) else { continue };
            let held = self.authority.ledger().account(old).map_or(0, |account| account.available.minor() as i64);
            let Some(new) = account(self.households.wallet[left.household]).filter(|_| held > 0) else { continue };
            left.sequence += 1;
            self.authority.transfer(own_transfer(old, new, held, left.sequence));
            self.households.cbdc_minor[left.household] += held;
            collected += held;
        }
        self.abandoned = abandoned;
        self.settle_all()?;
        Ok(collected)
    }

    fn tend_shells(&mut self) -> Result<(), EconomyError> {
        let mut shells = std::mem::take(&mut self.shells);
        let mut tended = Ok(());
        shells.retain(|shell| match tended.is_ok().then(|| self.tend_shell(shell)) {
            Some(Ok(stays)) => stays,
            Some(Err(error)) => {
                tended = Err(error);
                true
            }
            None => true,
        });
        self.shells.append(&mut shells);
        tended
    }

    /// Whether the shell still has something to repay or await.
    fn tend_shell(&mut self, shell: &Shell) -> Result<bool, EconomyError> {
        let Shell { bank, acquirer, from_day } = *shell;
        // The acquirer may have failed since: the shell's customers are then with its own acquirer.
        let acquirer = self.final_acquirer(acquirer);
        let [_, facility, loans] = self.central_bank_accounts(bank);
        let is_last = loans == 0 && facility == 0 && self.day.number >= from_day;
        let before = self.at_central_bank(bank);
        self.balance_shell(bank, acquirer, is_last)?;
        let moved = before - self.at_central_bank(bank);
        // The acquirer bears the shell's interest and penalties.
        let earned = self.banks[bank].equity_minor;
        self.banks[bank].gain(-earned);
        self.banks[acquirer].gain(earned);
        self.banks[bank].estate_minor += moved - earned;
        self.banks[acquirer].estate_minor += earned - moved;
        self.note_at_central_bank(bank);
        self.note_at_central_bank(acquirer);
        if !is_last {
            return Ok(true);
        }
        let id = self.banks[bank].id;
        let resolved = GovernanceAction::BankStatus { bank: id, status: BankStatus::Resolved };
        let proposal = self.approve(vec![resolved])?;
        self.banks[bank].phase = BankPhase::Resolved;
        self.note_event("bank", format!("bank {id} is wound down"), proposal);
        Ok(false)
    }

    fn final_acquirer(&self, acquirer: usize) -> usize {
        let mut last = acquirer;
        while let Some(shell) = self.all_shells.iter().find(|shell| shell.bank == last) {
            last = shell.acquirer;
        }
        last
    }
}
