//! Seasonality: how payments vary over the week, the month and the year.
//!
//! - `calendar`: busier Fridays and Saturdays, quiet Sundays, a wave after payday, a busy December, quiet holidays.
//! - `even`: every day alike.

use super::{behaviour, parameters};
use crate::calendar::Day;
use cbdc_ledger::time::LedgerDay;

parameters! {
    "seasonality" {
        friday = 1.15, 0.0 to 5.0, "payments on a Friday against a Monday";
        saturday = 1.25, 0.0 to 5.0, "payments on a Saturday against a Monday";
        sunday = 0.65, 0.0 to 5.0, "payments on a Sunday against a Monday";
        holiday = 0.4, 0.0 to 5.0, "payments on a holiday against another day";
        december = 1.15, 0.0 to 5.0, "payments in December against another month";
        payday_boost = 0.2, 0.0 to 5.0, "how many more payments, as a share, on the days after payday";
        payday_days = 4.0, 0.0 to 28.0, "days that the boost lasts";
    }
}

behaviour! {
    /// The seasonal behaviour.
    Seasonality "seasonality" { Calendar "calendar", Even "even", }
}

impl Seasonality {
    fn equation(&self) -> &'static str {
        match self.model {
            Model::Calendar => {
                "factor = weekday · holiday · december · (1 + boost while days since payday < days), scaled so that the \
                mean of all years is 1"
            }
            Model::Even => "factor = 1",
        }
    }

    fn source(&self) -> &'static str {
        "shape after New Zealand's payments of 2017, busiest on Saturday [A]; sizes are this project's choice"
    }

    /// The mean of the unscaled factors over 28 years, after which days of the week and of the year come together
    /// again.
    pub fn mean(&self, start: LedgerDay, payday: u32) -> f64 {
        if self.model == Model::Even {
            return 1.0;
        }
        let (mut sum, mut last_payday) = (0.0, None);
        for number in 0..28 * 365 + 7 {
            let day = Day::new(start, number);
            // As in the simulation, where the payday itself has the boost.
            if day.is_day_of_month(payday) {
                last_payday = Some(number);
            }
            sum += self.factor(&day, last_payday.map(|payday| number - payday));
        }
        (sum / f64::from(28 * 365 + 7)).max(1e-9)
    }

    /// The number of payments on a day relative to a Monday's, before scaling.
    pub fn factor(&self, day: &Day, days_since_payday: Option<u32>) -> f64 {
        let parameters = &self.parameters;
        if self.model == Model::Even {
            return 1.0;
        }
        let week = [1.0, 1.0, 1.0, 1.0, parameters.friday, parameters.saturday, parameters.sunday];
        let mut factor = week[day.weekday];
        if day.is_holiday() {
            factor *= parameters.holiday;
        }
        if day.date.month == 12 {
            factor *= parameters.december;
        }
        if days_since_payday.is_some_and(|days| f64::from(days) < parameters.payday_days) {
            factor *= 1.0 + parameters.payday_boost;
        }
        factor
    }
}
