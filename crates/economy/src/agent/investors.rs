//! Investors: they own banks and firms, fund banks, hold bonds, and pass their income on to households.

/// All investors together. Amounts are minor units.
#[derive(Clone, Debug, Default)]
pub struct Investors {
    /// Sight deposits by bank.
    pub deposit_minor: Vec<i64>,
    /// Wholesale funding lent, by bank.
    pub wholesale_minor: Vec<i64>,
    pub bonds_minor: i64,
    /// Income not yet passed on to households.
    pub income_minor: i64,
}

impl Investors {
    pub fn deposits_minor(&self) -> i64 {
        self.deposit_minor.iter().sum()
    }
}
