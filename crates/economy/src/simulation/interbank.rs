//! The interbank market: overnight loans of reserves between banks, before any goes to the central bank.
//!
//! In the evening banks that expect more reserves than they want lend to those that expect fewer, through a central
//! counterparty, so that a bank has one position: what it lent, or owes below zero. All get the same share of what they
//! offer or ask for, and a bank gets no more of what it asks for than its trust. The rate is inside the corridor, the
//! higher the scarcer reserves are:
//!
//! ```text
//! rate = deposit rate + (lending rate − deposit rate) · asked / (asked + offered)
//! ```
//!
//! Loans and interest are due the next morning and cleared with the day's payments. The positions of a failed bank pass
//! to the bank that takes it over.

use super::Economy;
use crate::accounts::{interest, portion, ppm, split_within};

impl Economy<'_> {
    /// Claims of last night fall due, with a day's interest.
    pub(super) fn repay_interbank(&mut self) {
        let rate_ppm = ppm(self.macro_state.interbank_rate);
        let lent: Vec<i64> = self.banks.iter().map(|bank| bank.interbank_minor.max(0)).collect();
        let owed: Vec<i64> = self.banks.iter().map(|bank| (-bank.interbank_minor).max(0)).collect();
        let earned: Vec<i64> = lent.iter().map(|lent| interest(*lent, rate_ppm, 1)).collect();
        // What all earn is what all pay, to the unit; at a negative rate the lenders pay.
        let sum = earned.iter().sum::<i64>();
        let paid = split_within(sum.abs(), &owed);
        for (index, bank) in self.banks.iter_mut().enumerate() {
            let gained = earned[index] - sum.signum() * paid[index];
            bank.clearing_minor -= std::mem::take(&mut bank.interbank_minor) + gained;
            bank.earn(gained);
        }
    }

    /// Lends tonight's surplus of reserves to banks that are short of them.
    pub(super) fn lend_between_banks(&mut self) {
        let position = |index: usize| match self.banks[index].is_active() && !self.banks[index].is_failing {
            true => self.reserves_after_clearing(index) - self.reserves_wanted(index),
            false => 0,
        };
        let positions: Vec<i64> = (0..self.banks.len()).map(position).collect();
        let offered: Vec<i64> = positions.iter().map(|position| (*position).max(0)).collect();
        let asked: Vec<i64> = positions
            .iter()
            .zip(&self.banks)
            .map(|(position, bank)| portion((-position).max(0), ppm(bank.trust), 1_000_000))
            .collect();
        let (supply, demand) = (offered.iter().sum::<i64>(), asked.iter().sum::<i64>());
        let key_rates = self.authority.ledger().parameters().key_rates;
        let (floor, ceiling) = (f64::from(key_rates.deposit.0) / 1e6, f64::from(key_rates.lending.0) / 1e6);
        let tightness = if demand > 0 { demand as f64 / (demand as f64 + supply as f64) } else { 0.0 };
        self.macro_state.interbank_rate = floor + (ceiling - floor) * tightness;
        let traded = supply.min(demand);
        let (lent, borrowed) = (split_within(traded, &offered), split_within(traded, &asked));
        for (index, bank) in self.banks.iter_mut().enumerate() {
            let change = lent[index] - borrowed[index];
            bank.interbank_minor += change;
            bank.clearing_minor += change;
        }
    }
}
