//! Amounts of money in minor units (cents), and rates.
//!
//! An [`Amount`] is unsigned and exact. Arithmetic returns `Option`: the caller decides what an overflow means, and
//! nothing wraps. Sums over a whole ledger and equity use `i128`, which cannot overflow for any number of 64-bit
//! amounts that fits in memory.

use std::fmt;

/// Money in minor units of the ledger's currency.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u64);

impl Amount {
    /// Zero.
    pub const ZERO: Amount = Amount(0);
    /// The largest amount, 2^64 − 1 minor units.
    pub const MAX: Amount = Amount(u64::MAX);

    /// An amount of `minor` minor units.
    pub const fn from_minor(minor: u64) -> Self {
        Amount(minor)
    }

    /// The number of minor units.
    pub const fn minor(self) -> u64 {
        self.0
    }

    /// Whether the amount is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` above 2^64 − 1 minor units.
    pub const fn plus(self, other: Amount) -> Option<Amount> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Amount(sum)),
            None => None,
        }
    }

    /// The difference, or `None` below zero.
    pub const fn minus(self, other: Amount) -> Option<Amount> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Amount(difference)),
            None => None,
        }
    }

    /// The difference, or zero if `other` is larger.
    pub const fn minus_or_zero(self, other: Amount) -> Amount {
        Amount(self.0.saturating_sub(other.0))
    }

    /// The amount as text in major units with `exponent` decimals: 123456 with exponent 2 is `1234.56`.
    pub fn to_major(self, exponent: u8) -> String {
        let unit = 10u64.pow(u32::from(exponent.min(18)));
        if exponent == 0 {
            return self.0.to_string();
        }
        format!("{}.{:0width$}", self.0 / unit, self.0 % unit, width = usize::from(exponent))
    }

    /// Reads an amount in major units, such as `12`, `12.5` or `12.50`, exactly.
    ///
    /// # Errors
    /// The text is not a decimal number, has more decimals than `exponent`, or is too large; the message says which.
    pub fn parse_major(text: &str, exponent: u8) -> Result<Amount, String> {
        let wrong = |why: &str| {
            format!("expected an amount with at most {exponent} decimals, such as 12.50, found `{text}`: {why}")
        };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) {
            return Err(wrong("it is not a plain decimal number"));
        }
        if decimals.len() > usize::from(exponent) {
            return Err(wrong("it has too many decimals"));
        }
        let padded = format!("{whole}{decimals:0<width$}", width = usize::from(exponent));
        padded.parse().map(Amount).map_err(|_| wrong("it is too large"))
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} minor", self.0)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A yearly rate in parts per million: 20,000 is 2 % a year. A negative rate is a charge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct RatePpm(pub i32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_units_are_read_and_shown_exactly() {
        for (text, minor) in
            [("0", 0), ("12", 1200), ("12.5", 1250), ("12.50", 1250), ("0.01", 1), ("184467440737095516.15", u64::MAX)]
        {
            assert_eq!(Amount::parse_major(text, 2), Ok(Amount(minor)), "{text}");
        }
        assert_eq!(Amount(1250).to_major(2), "12.50");
        assert_eq!(Amount(5).to_major(2), "0.05");
        assert_eq!(Amount(5).to_major(0), "5");
    }

    #[test]
    fn what_is_no_exact_amount_is_refused_with_a_reason() {
        for text in ["", ".5", "-1", "1e3", "1,5", "1.005", "184467440737095516.16", "+1", "٣"] {
            assert!(Amount::parse_major(text, 2).is_err(), "{text}");
        }
    }
}
