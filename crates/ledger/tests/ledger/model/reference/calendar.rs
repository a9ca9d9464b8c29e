//! The calendar, counted day by day: no formula, only months, years and the rule of leap years.

fn is_leap(year: i128) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn length(year: i128, month: i128) -> i128 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month (1 to 12) and day of the month (1 to 31) of a day counted from 1970-01-01.
pub fn date_of(day: i128) -> (i128, i128, i128) {
    let (mut left, mut year, mut month) = (day, 1970, 1);
    while left >= 365 + i128::from(is_leap(year)) {
        left -= 365 + i128::from(is_leap(year));
        year += 1;
    }
    while left >= length(year, month) {
        left -= length(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

/// The calendar month of a day.
pub fn month_of(day: i128) -> (i128, i128) {
    let (year, month, _) = date_of(day);
    (year, month)
}

/// The day of a date.
pub fn day_of(year: i128, month: i128, day: i128) -> i128 {
    let years: i128 = (1970..year).map(|year| 365 + i128::from(is_leap(year))).sum();
    let months: i128 = (1..month).map(|month| length(year, month)).sum();
    years + months + day - 1
}
