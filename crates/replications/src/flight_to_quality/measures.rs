//! The measures of a run: means over the steps that are kept.

/// Sums of one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Units produced.
    pub output: f64,
    /// Units sold.
    pub sold: f64,
    /// Minor units sold for.
    pub sales: f64,
    /// Share of households without work.
    pub unemployment: f64,
    /// Loans granted.
    pub loans: f64,
    /// Interest on them.
    pub loan_interest: f64,
    /// Debts between banks while loans are out.
    pub interbank: f64,
    /// Interbank demand that found no lender.
    pub interbank_unmet: f64,
    /// Worth of active banks.
    pub worth: f64,
    /// Their risk-weighted assets.
    pub risk_weighted: f64,
    /// Their RM, summed.
    pub risk: f64,
    /// Active banks.
    pub active_banks: f64,
    /// Banks.
    pub bank_steps: f64,
    /// Banks that failed.
    pub bank_defaults: f64,
    /// Firms alive.
    pub firm_steps: f64,
    /// Firms that failed.
    pub firm_defaults: f64,
    /// CBDC held.
    pub cbdc: f64,
    /// Households' wealth.
    pub household_wealth: f64,
    /// Firms' wealth.
    pub firm_wealth: f64,
    /// Banks' wealth.
    pub bank_wealth: f64,
    /// Banks' losses in sales.
    pub losses_by_sales: f64,
    /// Banks' losses on firms.
    pub losses_by_firms: f64,
    /// Losses through failed banks.
    pub losses_by_banks: f64,
}

/// Sums over the steps kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measures {
    steps: f64,
    sum: Sample,
    unemployment: Vec<f64>,
}

/// One figure of a run, with the paper's name.
pub struct Measure {
    /// Key in tables.
    pub name: &'static str,
    /// Digits after the point.
    pub digits: usize,
    /// Reads it.
    pub read: fn(&Measures) -> f64,
}

/// The figures that are compared.
pub const MEASURES: [Measure; 16] = [
    Measure { name: "CBDC, % of wealth", digits: 1, read: |m| m.percent(m.sum.cbdc, m.wealth()) },
    Measure { name: "output", digits: 1, read: |m| m.mean(m.sum.output) },
    Measure { name: "real GDP", digits: 1, read: |m| m.mean(m.sum.sold) },
    Measure { name: "unemployment, %", digits: 2, read: |m| 100.0 * m.mean(m.sum.unemployment) },
    Measure { name: "loan rate, %", digits: 4, read: |m| m.percent(m.sum.loan_interest, m.sum.loans) },
    Measure { name: "credit / GDP, %", digits: 2, read: |m| m.percent(m.sum.loans, m.sum.sales) },
    Measure { name: "CET1 / RWA, %", digits: 3, read: |m| m.percent(m.sum.worth, m.sum.risk_weighted) },
    Measure { name: "interbank, % of GDP", digits: 3, read: |m| m.percent(m.sum.interbank, m.sum.sales) },
    Measure { name: "sought in vain, % of GDP", digits: 3, read: |m| m.percent(m.sum.interbank_unmet, m.sum.sales) },
    Measure { name: "firms' wealth, %", digits: 2, read: |m| m.percent(m.sum.firm_wealth, m.wealth()) },
    Measure { name: "banks' wealth, %", digits: 2, read: |m| m.percent(m.sum.bank_wealth, m.wealth()) },
    Measure { name: "firm default, %", digits: 3, read: |m| m.percent(m.sum.firm_defaults, m.sum.firm_steps) },
    Measure { name: "bank default, %", digits: 3, read: |m| m.percent(m.sum.bank_defaults, m.sum.bank_steps) },
    Measure { name: "mean RM", digits: 2, read: |m| m.sum.risk / m.sum.active_banks },
    Measure { name: "losses in sales, % of GDP", digits: 3, read: |m| m.percent(m.sum.losses_by_sales, m.sum.sales) },
    Measure { name: "losses on firms, % of GDP", digits: 3, read: |m| m.percent(m.sum.losses_by_firms, m.sum.sales) },
];

impl Measures {
    /// Adds a step.
    pub fn add(&mut self, sample: &Sample) {
        self.steps += 1.0;
        self.unemployment.push(sample.unemployment);
        let sum = &mut self.sum;
        for (total, part) in [
            (&mut sum.output, sample.output),
            (&mut sum.sold, sample.sold),
            (&mut sum.sales, sample.sales),
            (&mut sum.unemployment, sample.unemployment),
            (&mut sum.loans, sample.loans),
            (&mut sum.loan_interest, sample.loan_interest),
            (&mut sum.interbank, sample.interbank),
            (&mut sum.interbank_unmet, sample.interbank_unmet),
            (&mut sum.worth, sample.worth),
            (&mut sum.risk_weighted, sample.risk_weighted),
            (&mut sum.risk, sample.risk),
            (&mut sum.active_banks, sample.active_banks),
            (&mut sum.bank_steps, sample.bank_steps),
            (&mut sum.bank_defaults, sample.bank_defaults),
            (&mut sum.firm_steps, sample.firm_steps),
            (&mut sum.firm_defaults, sample.firm_defaults),
            (&mut sum.cbdc, sample.cbdc),
            (&mut sum.household_wealth, sample.household_wealth),
            (&mut sum.firm_wealth, sample.firm_wealth),
            (&mut sum.bank_wealth, sample.bank_wealth),
            (&mut sum.losses_by_sales, sample.losses_by_sales),
            (&mut sum.losses_by_firms, sample.losses_by_firms),
            (&mut sum.losses_by_banks, sample.losses_by_banks),
        ] {
            *total += part;
        }
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.steps
    }

    fn percent(&self, part: f64, whole: f64) -> f64 {
        if whole == 0.0 { 0.0 } else { 100.0 * part / whole }
    }

    fn wealth(&self) -> f64 {
        self.sum.household_wealth + self.sum.firm_wealth + self.sum.bank_wealth
    }
}
