//! Money: what the quantity rules observe, month by month.
//!
//! Velocity is nominal spending over base money. McCallum (1988, Carnegie-Rochester Conference Series 29) lets the base
//! grow by the target for spending, less the mean growth of velocity over four years, plus a response to spending that
//! grows more slowly than its target.

/// Months over which the growth of velocity is averaged, and that of spending measured.
const VELOCITY_MONTHS: usize = 48;
const SPENDING_MONTHS: usize = 12;

/// Nominal spending and base money at the ends of months, the last four years and the month before them.
#[derive(Clone, Debug, Default)]
pub(super) struct MoneyHistory {
    months: Vec<(f64, f64)>,
}

impl MoneyHistory {
    pub(super) const NEW: MoneyHistory = MoneyHistory { months: Vec::new() };

    /// Adds a month.
    pub(super) fn note(&mut self, spending: f64, base_minor: f64) {
        if self.months.len() > VELOCITY_MONTHS {
            self.months.remove(0);
        }
        self.months.push((spending, base_minor.max(1.0)));
    }

    /// The growth of spending over the last year and of velocity over the last four, as shares a year; before there are
    /// so many months spending is taken to have grown as `usual`, and velocity not at all.
    pub(super) fn growth_a_year(&self, usual: f64) -> (f64, f64) {
        let Some((spending, base)) = self.months.last() else { return (usual, 0.0) };
        let count = self.months.len() - 1;
        let since = |months: usize| self.months[count - months.min(count)];
        let over = |months: usize, growth: f64, otherwise: f64| {
            let known = months.min(count) as f64;
            (growth + otherwise * (months as f64 - known) / 12.0) * 12.0 / months as f64
        };
        let (then, _) = since(SPENDING_MONTHS);
        let grown = over(SPENDING_MONTHS, libm::log(spending / then), usual);
        let (then, base_then) = since(VELOCITY_MONTHS);
        let velocity = over(VELOCITY_MONTHS, libm::log(spending / then) - libm::log(base / base_then), 0.0);
        (grown, velocity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_months_known_and_usual_before() {
        let mut history = MoneyHistory::default();
        assert_eq!(history.growth_a_year(0.02), (0.02, 0.0));
        for month in 0..=60 {
            history.note(libm::exp(0.03 * f64::from(month) / 12.0), libm::exp(0.05 * f64::from(month) / 12.0));
        }
        let (spending, velocity) = history.growth_a_year(0.02);
        assert!((spending - 0.03).abs() < 1e-9 && (velocity + 0.02).abs() < 1e-9, "{spending} {velocity}");
        assert_eq!(history.months.len(), VELOCITY_MONTHS + 1);
    }
}
