//! A levered bank that can suffer a run, and the effect of CBDC on the probability of one.
//!
//! Assets of 1 are funded by deposits and worth; in calm times a share of deposits has become CBDC and the bank is that
//! much smaller with the same worth (slow). A crisis brings a return z. Depositors can run if, once all who can flee
//! have fled and assets have been sold for them at a falling price, the remainder does not pay those who stay (fast).
//! The probability of a run is that of a return below the highest z at which this holds.

use crate::normal;

/// One bank under one design.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bank {
    /// Assets over worth without CBDC.
    pub leverage: f64,
    /// Share of deposits that is CBDC in calm times.
    pub gone: f64,
    /// Share of the remaining deposits that can flee at once.
    pub flight: f64,
    /// Share of their price that assets lose if all are sold.
    pub fire_sale: f64,
    /// Standard deviation of the log return.
    pub risk: f64,
}

impl Bank {
    /// Probability of a run in a year.
    pub fn run_probability(&self) -> f64 {
        normal::cumulative(libm::log(self.highest_return_with_run()) / self.risk)
    }

    /// The return below which a run is possible, by bisection.
    fn highest_return_with_run(&self) -> f64 {
        let (mut low, mut high) = (1e-6, 4.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.can_be_run_at(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        0.5 * (low + high)
    }

    fn can_be_run_at(&self, gross_return: f64) -> bool {
        let worth = 1.0 / self.leverage;
        let deposits = (1.0 - worth) * (1.0 - self.gone);
        let assets = worth + deposits;
        let fleeing = self.flight * deposits;
        // Sold assets s fetch s · z · (1 − fire_sale · s / assets): the smaller root of that, if it can be paid at all.
        let loss = self.fire_sale / assets;
        let discriminant = 1.0 - 4.0 * loss * fleeing / gross_return;
        if discriminant < 0.0 {
            return true;
        }
        let sold = if loss > 0.0 { (1.0 - discriminant.sqrt()) / (2.0 * loss) } else { fleeing / gross_return };
        let left = (assets - sold) * gross_return;
        sold > assets || left < deposits - fleeing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Bank = Bank { leverage: 12.0, gone: 0.0, flight: 0.05, fire_sale: 0.25, risk: 0.05 };

    #[test]
    fn without_flight_a_run_is_insolvency() {
        let bank = Bank { flight: 0.0, ..USUAL };
        let deposits = 1.0 - 1.0 / 12.0;
        assert!((bank.highest_return_with_run() - deposits).abs() < 1e-9);
    }

    #[test]
    fn less_leverage_makes_runs_rarer_and_more_flight_more_frequent() {
        assert!(Bank { gone: 0.2, ..USUAL }.run_probability() < USUAL.run_probability());
        assert!(Bank { flight: 0.9, ..USUAL }.run_probability() > USUAL.run_probability());
        assert!(Bank { fire_sale: 0.4, ..USUAL }.run_probability() > USUAL.run_probability());
    }

    #[test]
    fn sold_assets_pay_what_flees() {
        let bank = Bank { flight: 1.0, gone: 0.0, leverage: 2.0, fire_sale: 0.0, risk: 0.05 };
        assert!((bank.highest_return_with_run() - 0.5).abs() < 1e-9);
    }
}
