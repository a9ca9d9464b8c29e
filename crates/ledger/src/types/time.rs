//! Time as the ledger knows it: milliseconds since the Unix epoch, ledger days and calendar months.
//!
//! Time enters only as a block's timestamp. A ledger day runs from midnight to midnight at the fixed offset from UTC in
//! the genesis (no daylight saving: a day always has 24 hours).

use std::fmt;

const MS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since 1970-01-01T00:00:00 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Timestamp(pub u64);

/// Days since 1970-01-01 in the ledger's own offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct LedgerDay(pub u32);

/// A calendar month, as year × 12 + month − 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Month(pub u32);

/// The calendar date of a ledger day (proleptic Gregorian).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date {
    /// The calendar year.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// The number of days in a year of interest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum DayCount {
    /// 365 days.
    Actual365 = 1,
    /// 360 days.
    Actual360 = 2,
}

impl DayCount {
    /// The days of a year.
    pub fn days(self) -> u32 {
        match self {
            DayCount::Actual365 => 365,
            DayCount::Actual360 => 360,
        }
    }
}

impl Timestamp {
    /// The ledger day at an offset from UTC of `offset_minutes`.
    pub fn ledger_day(self, offset_minutes: i16) -> LedgerDay {
        let local = i64::try_from(self.0).unwrap_or(i64::MAX).saturating_add(i64::from(offset_minutes) * 60_000);
        let days = local.div_euclid(MS_PER_DAY).max(0);
        LedgerDay(u32::try_from(days).unwrap_or(u32::MAX))
    }

    /// The time `ms` milliseconds later, or the last representable one.
    pub fn plus_ms(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }
}

impl LedgerDay {
    /// The calendar date, by Howard Hinnant's `civil_from_days`.
    pub fn date(self) -> Date {
        let shifted = i64::from(self.0) + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Date { year: year as i32, month: month as u8, day: day as u8 }
    }
}

impl LedgerDay {
    /// The ledger day of a calendar date, by Howard Hinnant's `days_from_civil`. `None` if there is no such date, or
    /// before 1970.
    pub fn of_date(date: Date) -> Option<LedgerDay> {
        let year = i64::from(date.year) - i64::from(date.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = (i64::from(date.month) + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(date.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let day = LedgerDay(u32::try_from(era * 146_097 + day_of_era - 719_468).ok()?);
        (day.date() == date).then_some(day)
    }

    /// The day after, or the last representable one.
    pub fn next(self) -> LedgerDay {
        LedgerDay(self.0.saturating_add(1))
    }

    /// The calendar month of the day.
    pub fn month(self) -> Month {
        let date = self.date();
        Month((date.year * 12) as u32 + u32::from(date.month) - 1)
    }

    /// The first day of this day's calendar month.
    pub fn first_of_month(self) -> LedgerDay {
        LedgerDay(self.0.saturating_sub(u32::from(self.date().day) - 1))
    }

    /// The first day of the calendar month after this day's.
    pub fn first_of_next_month(self) -> LedgerDay {
        // The first day of any month plus 31 days lies in the next month.
        LedgerDay(self.first_of_month().0.saturating_add(31)).first_of_month().max(self.next())
    }

    /// The time at which this day begins, at an offset from UTC of `offset_minutes`.
    pub fn start(self, offset_minutes: i16) -> Timestamp {
        let local = i64::from(self.0) * MS_PER_DAY - i64::from(offset_minutes) * 60_000;
        Timestamp(u64::try_from(local).unwrap_or(0))
    }
}

impl std::str::FromStr for LedgerDay {
    type Err = String;

    /// Reads a date such as `2026-11-23`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a date such as 2026-11-23, from 1970 on, found `{text}`");
        let mut parts = text.split('-');
        let mut part = |digits: usize| parts.next().filter(|part| part.len() == digits)?.parse::<u16>().ok();
        let (year, month, day) = (part(4), part(2), part(2));
        let date = match (year, month, day, parts.next()) {
            (Some(year), Some(month), Some(day), None) => {
                Date { year: i32::from(year), month: month as u8, day: day as u8 }
            }
            _ => return Err(wrong()),
        };
        LedgerDay::of_date(date).ok_or_else(wrong)
    }
}

impl fmt::Display for LedgerDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date();
        write!(f, "{:04}-{:02}-{:02}", date.year, date.month, date.day)
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 in UTC, to the millisecond.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0 % MS_PER_DAY as u64;
        let (hour, minute, second, milli) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", self.ledger_day(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (day, text) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (19_782, "2024-02-29"),
            (19_783, "2024-03-01"),
            (20_780, "2026-11-23"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(LedgerDay(day).to_string(), text);
        }
    }

    #[test]
    fn the_ledger_day_turns_at_local_midnight() {
        let last_ms = Timestamp(20_780 * 86_400_000 - 3_600_000 - 1);
        assert_eq!(last_ms.ledger_day(60), LedgerDay(20_779));
        assert_eq!(last_ms.plus_ms(1).ledger_day(60), LedgerDay(20_780));
        assert_eq!(last_ms.plus_ms(1).ledger_day(-60), LedgerDay(20_779));
        assert_eq!(
            (Timestamp(0).ledger_day(-60), Timestamp(u64::MAX).ledger_day(0)),
            (LedgerDay(0), LedgerDay(u32::MAX))
        );
        assert_eq!(last_ms.plus_ms(1).to_string(), "2026-11-22T23:00:00.000Z");
    }
}
