//! Banks: their balance sheets, apart from the accounts that the ledger's books keep.

use cbdc_ledger::identity::BankId;

/// The phases of a bank's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BankPhase {
    Active,
    /// Failed: its customers have moved, and its shell repays the central bank.
    WindingDown,
    Resolved,
}

/// A bank. Its reserves, deposit facility, CBDC and central-bank loans are only in the ledger's books.
#[derive(Clone, Debug)]
pub struct Bank {
    pub id: BankId,
    pub phase: BankPhase,
    /// Banknotes in its vault.
    pub vault_minor: i64,
    pub bonds_minor: i64,
    pub loans_minor: i64,
    /// Deposits of all its customers.
    pub deposits_minor: i64,
    pub wholesale_minor: i64,
    /// The part of the wholesale funding that was raised to replace lost reserves, and that matures.
    pub raised_minor: i64,
    /// Equity, updated by every gain and loss; the identities compare it with the balance sheet.
    pub equity_minor: i64,
    /// Owed to other banks for its customers' payments of today; settled in the evening.
    pub clearing_minor: i64,
    /// Owed to the government on its customers' behalf, likewise.
    pub fiscal_minor: i64,
    /// Claims on the shells of banks that it took over; for a shell, its debt, as a negative amount.
    pub estate_minor: i64,
    /// Lent to other banks overnight; below zero, borrowed from them.
    pub interbank_minor: i64,
    /// Pledged as collateral at the central bank.
    pub pledged_minor: i64,
    /// Reserves + facility − loans at the central bank when the day's last block was sealed.
    pub at_central_bank_minor: i64,
    pub deposit_rate: f64,
    pub loan_rate: f64,
    pub trust: f64,
    /// Net interest since the period began.
    pub interest_minor: i64,
    /// Whether it is resolved tonight: out of capital, kept paying only by emergency lending, or declared failing by a
    /// shock.
    pub is_failing: bool,
}

impl Bank {
    pub fn is_active(&self) -> bool {
        self.phase == BankPhase::Active
    }

    /// Books a gain, or a loss below zero.
    pub fn gain(&mut self, amount_minor: i64) {
        self.equity_minor += amount_minor;
    }

    /// Books net interest.
    pub fn earn(&mut self, amount_minor: i64) {
        self.equity_minor += amount_minor;
        self.interest_minor += amount_minor;
    }

    /// Equity over risk-weighted loans. Without loans a bank with equity has a ratio of 1, and one without equity has
    /// nothing to go on with: minus 1.
    pub fn capital_ratio(&self, risk_weight: f64) -> f64 {
        let weighted = self.loans_minor as f64 * risk_weight;
        match weighted > 0.0 {
            true => self.equity_minor as f64 / weighted,
            false if self.equity_minor >= 0 => 1.0,
            false => -1.0,
        }
    }

    /// Debt over equity, as RM in Barucci et al.; very high if equity is gone.
    pub fn risk(&self) -> f64 {
        let debt = (self.deposits_minor + self.wholesale_minor) as f64;
        if self.equity_minor > 0 { debt / self.equity_minor as f64 } else { 1e6 }
    }
}
