//! Households, stored by column.

use cbdc_ledger::identity::HolderId;

/// The employer of a household that lives on a pension.
pub const NO_EMPLOYER: u32 = u32::MAX;

/// All households. Amounts are minor units.
#[derive(Clone, Debug, Default)]
pub struct Households {
    pub deposit_minor: Vec<i64>,
    pub cash_minor: Vec<i64>,
    /// CBDC in the wallet. The ledger's record is authoritative; this column follows it by outcomes.
    pub cbdc_minor: Vec<i64>,
    pub loan_minor: Vec<i64>,
    /// Income after tax a month at wage level 1.
    pub income_minor: Vec<i64>,
    /// Its wallet's account id, 0 without one.
    pub wallet: Vec<u64>,
    /// The last sequence number used by its wallet.
    pub sequence: Vec<u32>,
    pub employer: Vec<u32>,
    /// The firm that its bills are paid to.
    pub biller: Vec<u32>,
    /// The index of its bank.
    pub bank: Vec<u16>,
    pub age: Vec<u8>,
    /// Whether it would ever adopt CBDC.
    pub may_adopt: Vec<bool>,
    /// Taste for CBDC, logit points.
    pub taste: Vec<f32>,
    /// Taste for banknotes around 1.
    pub cash_taste: Vec<f32>,
    /// Spending a month and liquid wealth at rest, minor units at price level 1.
    pub normal_minor: Vec<f32>,
    pub wealth_minor: Vec<f32>,
    /// Mean number of payments a day this month, and the largest it makes, minor units.
    pub payments_a_day: Vec<f32>,
    pub largest_minor: Vec<f32>,
    /// Bills to be paid this month.
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

    /// The pseudonym under which the registrar knows the household.
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
