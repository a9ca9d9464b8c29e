//! Number formats: thousands separators, a fitting number of digits.

/// 1234567 as `1,234,567`.
pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A rate or another large figure without decimals.
pub fn rounded(number: f64) -> String {
    let sign = if number.round() < 0.0 { "-" } else { "" };
    format!("{sign}{}", count(number.abs().round() as u64))
}

/// A figure with about three significant digits: `0.42`, `4.20`, `42.0`, `420`, `4,200`.
pub fn figure(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 || size == 0.0 => rounded(number),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A share from 0 to 1 as a percentage; a share above 0 never reads as 0.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        value if value < 0.01 => "< 0.01 %".to_owned(),
        value if value < 10.0 => format!("{value:.2} %"),
        value => format!("{value:.1} %"),
    }
}

/// One part of a whole; 0 of 0 is 0.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A given figure as people write it: `200`, `2.5`.
pub fn given(number: f64) -> String {
    if number.abs() >= 1_000.0 { rounded(number) } else { format!("{}", (number * 1_000.0).round() / 1_000.0) }
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(rounded(-1_234.6), "-1,235");
    }

    #[test]
    fn a_small_share_does_not_read_as_none() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_001), "< 0.01 %");
        assert_eq!(percent(0.123_4), "12.3 %");
    }
}
