//! The days of a simulation: dates, days of the week, paydays and holidays.

use cbdc_ledger::time::{Date, LedgerDay};

/// A day of the simulation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Day {
    /// Days since the start, from 0.
    pub number: u32,
    /// The same day on the ledger's calendar.
    pub ledger_day: LedgerDay,
    pub date: Date,
    /// 0 is Monday.
    pub weekday: usize,
    /// Number of days in its month.
    pub month_days: u32,
}

impl Day {
    pub fn new(start: LedgerDay, number: u32) -> Day {
        let ledger_day = LedgerDay(start.0 + number);
        // 1970-01-01 was a Thursday.
        let weekday = ((ledger_day.0 + 3) % 7) as usize;
        let month_days = ledger_day.first_of_next_month().0 - ledger_day.first_of_month().0;
        Day { number, ledger_day, date: ledger_day.date(), weekday, month_days }
    }

    /// Whether the month begins today.
    pub fn is_first_of_month(&self) -> bool {
        self.date.day == 1
    }

    /// Whether today is the `wanted` day of the month, or its last day if the month is shorter.
    pub fn is_day_of_month(&self, wanted: u32) -> bool {
        u32::from(self.date.day) == wanted.min(self.month_days)
    }

    /// Christmas, New Year and 1 May: the holidays at fixed dates that TARGET and most of the euro area share.
    pub fn is_holiday(&self) -> bool {
        matches!((self.date.month, self.date.day), (1, 1) | (5, 1) | (12, 25 | 26))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_week_and_the_month_are_those_of_the_calendar() {
        let monday = Day::new("2026-11-23".parse().unwrap(), 0);
        assert_eq!((monday.weekday, monday.month_days), (0, 30));
        let last = Day::new("2026-11-23".parse().unwrap(), 7);
        assert!(last.is_day_of_month(31) && !last.is_first_of_month());
        assert!(Day::new("2026-12-25".parse().unwrap(), 0).is_holiday());
    }
}
