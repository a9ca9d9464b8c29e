//! Households, a column a property.

use cbdc_ledger::identity::HolderId;

/// Marks a household without an employer: it lives on a pension.
pub const NO_EMPLOYER: u32 = u32::MAX;

/// All households. Amounts are minor units.
#[derive(Clone, Debug, Default)]
pub struct Households {
    pub deposit_minor: Vec<i64>,
    pub cash_minor: Vec<i64>,
    /// What the ledger holds for the household: its own record is the truth, this column follows it by outcomes.
    pub cbdc_minor: Vec<i64>,
    pub loan_minor: Vec<i64>,
    /// Income after tax a month at wage level 1.
    pub income_minor: Vec<i64>,
    /// Its wallet's account id, 0 without one.
    pub wallet: Vec<u64>,
    /// Numbers used by its wallet.
    pub sequence: Vec<u32>,
    pub employer: Vec<u32>,
    /// Where its bills go.
    pub biller: Vec<u32>,
    /// Its bank's place, from 0.
    pub bank: Vec<u16>,
    pub age: Vec<u8>,
    /// Whether it would ever adopt CBDC.
    pub may_adopt: Vec<bool>,
    /// Taste for CBDC, logit points.
    pub taste: Vec<f32>,
    /// Taste for banknotes around 1.
    pub cash_taste: Vec<f32>,
    /// Mean payments a day, by what it means to spend this month.
    pub payments_a_day: Vec<f32>,
    /// What it means to pay by bills this month.
    pub bill_minor: Vec<i64>,
}

impl Households {
    pub fn len(&self) -> usize {
        self.deposit_minor.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Deposit, banknotes and CBDC.
    pub fn liquid_minor(&self, household: usize) -> i64 {
        self.deposit_minor[household] + self.cash_minor[household] + self.cbdc_minor[household]
    }

    /// The pseudonym under which the registrar knows it.
    pub fn holder(household: usize) -> HolderId {
        holder_id(b"househol", household)
    }
}

pub(super) fn holder_id(kind: &[u8; 8], index: usize) -> HolderId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(kind);
    id[8..].copy_from_slice(&(index as u64).to_le_bytes());
    HolderId(id)
}
