//! Firms: employers and merchants in one, stored by column.

use cbdc_ledger::identity::HolderId;

/// All firms. Amounts are minor units.
#[derive(Clone, Debug, Default)]
pub struct Firms {
    pub deposit_minor: Vec<i64>,
    /// Banknotes taken today; they go to the bank in the evening.
    pub cash_minor: Vec<i64>,
    pub cbdc_minor: Vec<i64>,
    pub loan_minor: Vec<i64>,
    /// Gross wages a month at wage level 1.
    pub wages_minor: Vec<i64>,
    /// Revenue less wages and interest since the month began.
    pub surplus_minor: Vec<i64>,
    pub wallet: Vec<u64>,
    pub sequence: Vec<u32>,
    pub bank: Vec<u16>,
    /// A table that contains each firm in proportion to its share of customers: a uniform draw from it picks a payee.
    pub popularity: Vec<u32>,
}

impl Firms {
    pub fn len(&self) -> usize {
        self.deposit_minor.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pseudonym under which the registrar knows the firm.
    pub fn holder(firm: usize) -> HolderId {
        super::households::holder_id(b"firm\0\0\0\0", firm)
    }
}
