//! The accounts of the economy: sectors, and the flows between them.
//!
//! Money is whole minor units. A flow is recorded once, with payer and payee, so that flows sum to zero by
//! construction; each sector's net worth is computed from its balance sheet. The end of every day checks, to the unit,
//! that the flows explain the change of worth ([`crate::simulation`]).

/// The sectors of the economy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Sector {
    Households = 0,
    Firms = 1,
    Banks = 2,
    Government = 3,
    CentralBank = 4,
    Investors = 5,
}

impl Sector {
    pub const ALL: [Sector; 6] =
        [Sector::Households, Sector::Firms, Sector::Banks, Sector::Government, Sector::CentralBank, Sector::Investors];

    pub fn name(self) -> &'static str {
        match self {
            Sector::Households => "households",
            Sector::Firms => "firms",
            Sector::Banks => "banks",
            Sector::Government => "government",
            Sector::CentralBank => "central bank",
            Sector::Investors => "investors",
        }
    }
}

/// The reasons for which net worth passes from one sector to another. A loan or a deposit moves none and is no flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Flow {
    Consumption = 0,
    Wages,
    Taxes,
    Pensions,
    Purchases,
    DepositInterest,
    LoanInterest,
    Coupons,
    WholesaleInterest,
    CentralBankInterest,
    WalletInterest,
    Dividends,
    WriteOffs,
    Costs,
    Resolution,
    Fees,
    Remittance,
}

impl Flow {
    pub const COUNT: usize = 17;
}

/// The flows of a day or a period: `received[flow][sector]`, negative where it paid.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    received: [[i128; 6]; Flow::COUNT],
}

impl Flows {
    /// Records that `from` paid `to`; a negative amount goes the other way.
    pub fn record(&mut self, flow: Flow, from: Sector, to: Sector, amount_minor: i64) {
        self.received[flow as usize][from as usize] -= i128::from(amount_minor);
        self.received[flow as usize][to as usize] += i128::from(amount_minor);
    }

    /// A sector's receipts less its payments, over all flows.
    pub fn net(&self, sector: Sector) -> i128 {
        self.received.iter().map(|row| row[sector as usize]).sum()
    }

    /// A sector's receipts less its payments in one flow.
    pub fn of(&self, flow: Flow, sector: Sector) -> i128 {
        self.received[flow as usize][sector as usize]
    }

    /// Adds the flows of a day to those of a period.
    pub fn add(&mut self, day: &Flows) {
        for (sum, row) in self.received.iter_mut().zip(&day.received) {
            sum.iter_mut().zip(row).for_each(|(sum, amount)| *sum += amount);
        }
    }
}

/// A part of an amount: amount × numerator ÷ denominator, rounded toward zero; 0 if the denominator is 0.
pub fn portion(amount_minor: i64, numerator: i64, denominator: i64) -> i64 {
    if denominator <= 0 {
        return 0;
    }
    (i128::from(amount_minor) * i128::from(numerator) / i128::from(denominator)) as i64
}

/// Splits an amount over weights to the unit: each gets its share rounded down, the first with any weight the
/// remainder.
pub fn split(amount_minor: i64, weights: &[i64]) -> Vec<i64> {
    let whole: i64 = weights.iter().sum();
    let mut parts: Vec<i64> = weights.iter().map(|weight| portion(amount_minor, *weight, whole)).collect();
    let rest = amount_minor - parts.iter().sum::<i64>();
    if let Some(first) = weights.iter().position(|weight| *weight > 0) {
        parts[first] += rest;
    }
    parts
}

/// Splits an amount, at most the sum of the bounds, over them to the unit, none above its bound.
pub fn split_within(amount_minor: i64, bounds: &[i64]) -> Vec<i64> {
    let whole: i64 = bounds.iter().sum();
    let mut parts: Vec<i64> = bounds.iter().map(|bound| portion(amount_minor, *bound, whole)).collect();
    let mut rest = amount_minor - parts.iter().sum::<i64>();
    for (part, bound) in parts.iter_mut().zip(bounds) {
        let more = (bound - *part).min(rest);
        *part += more;
        rest -= more;
    }
    parts
}

/// Interest of some days on a balance, rounded toward zero: balance × ppm × days ÷ (365 × 1,000,000).
pub fn interest(balance_minor: i64, rate_ppm: i64, days: u32) -> i64 {
    (i128::from(balance_minor) * i128::from(rate_ppm) * i128::from(days) / (365 * 1_000_000)) as i64
}

/// A rate as a share a year in parts per million.
pub fn ppm(share: f64) -> i64 {
    (share * 1e6).round().clamp(-1e9, 1e9) as i64
}

/// An amount in the words of the events: `EUR 1,234.56`.
pub fn in_euros(amount_minor: i64) -> String {
    let (sign, size) = (if amount_minor < 0 { "-" } else { "" }, amount_minor.unsigned_abs());
    format!("EUR {sign}{}.{:02}", cbdc_report::format::count(size / 100), size % 100)
}

/// A rate in the words of the events: `2.15 %`.
pub fn in_percent(rate_ppm: i64) -> String {
    format!("{} %", rate_ppm as f64 / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_loses_nothing() {
        assert_eq!(split(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(split(7, &[0, 5]), [0, 7]);
        assert_eq!(split(7, &[0, 0]), [0, 0]);
        assert_eq!(split(0, &[3, 4]), [0, 0]);
    }

    #[test]
    fn no_part_is_above_its_bound() {
        assert_eq!(split_within(5, &[2, 2, 2]), [2, 2, 1]);
        assert_eq!(split_within(6, &[2, 2, 2]), [2, 2, 2]);
        assert_eq!(split_within(0, &[0, 0]), [0, 0]);
    }

    #[test]
    fn events_tell_amounts_and_rates_as_people_do() {
        assert_eq!([0, -5, 123_456_789].map(in_euros), ["EUR 0.00", "EUR -0.05", "EUR 1,234,567.89"]);
        assert_eq!([0, 21_500, -10_000, 1].map(in_percent), ["0 %", "2.15 %", "-1 %", "0.0001 %"]);
    }

    #[test]
    fn flows_sum_to_nothing() {
        let mut flows = Flows::default();
        flows.record(Flow::Wages, Sector::Firms, Sector::Households, 100);
        flows.record(Flow::Taxes, Sector::Firms, Sector::Government, 30);
        assert_eq!(flows.net(Sector::Firms), -130);
        assert_eq!(Sector::ALL.iter().map(|sector| flows.net(*sector)).sum::<i128>(), 0);
    }
}
