//! Fees on payments between holders: brackets of the amount, for a class as payer and for a class as payee.
//!
//! A payer's fee is debited in addition to the amount, and refused above the `max_fee` that the payer signed. A payee's
//! fee is withheld from the credit. Either goes to the central bank's equity or to the treasury of the payee's bank.
//! Funding, defunding and transfers between wallets of the same holder are free.

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::Amount;

/// The largest number of brackets.
pub const BRACKETS_MAX: usize = 4;

/// The recipient of a fee.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum FeeTo {
    /// The central bank's equity.
    #[default]
    Equity = 1,
    /// The treasury of the payee's bank.
    PayeeBank = 2,
}

impl FeeTo {
    /// The name in texts.
    pub fn name(self) -> &'static str {
        match self {
            FeeTo::Equity => "equity",
            FeeTo::PayeeBank => "payee-bank",
        }
    }
}

/// The fee of amounts up to a bound: a flat part and a share of the amount, rounded down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FeeBracket {
    /// The largest amount of the bracket.
    pub up_to: Amount,
    /// The flat part.
    pub flat: Amount,
    /// The share of the amount, ppm.
    pub share_ppm: u32,
}

impl FeeBracket {
    /// The share of an amount, rounded down.
    fn share(&self, amount: Amount) -> Amount {
        let share = match amount.minor().checked_mul(u64::from(self.share_ppm)) {
            Some(product) => product / 1_000_000,
            // A share is at most the amount, so it fits.
            None => (u128::from(amount.minor()) * u128::from(self.share_ppm) / 1_000_000) as u64,
        };
        Amount::from_minor(share)
    }
}

/// A fee schedule: ascending brackets. The last one also applies to every amount above its bound; without brackets
/// there is no fee.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FeeSchedule {
    /// The recipient of the fee.
    pub to: FeeTo,
    brackets: [FeeBracket; BRACKETS_MAX],
    count: u8,
}

impl FeeSchedule {
    /// A schedule of brackets; `None` if there are too many, the bounds do not ascend, or a share exceeds the whole
    /// amount.
    pub fn new(to: FeeTo, brackets: &[FeeBracket]) -> Option<FeeSchedule> {
        let ascending = brackets.windows(2).all(|pair| pair[0].up_to < pair[1].up_to);
        let shares = brackets.iter().all(|bracket| bracket.share_ppm <= 1_000_000);
        if brackets.len() > BRACKETS_MAX || !ascending || !shares {
            return None;
        }
        let mut schedule = FeeSchedule { to, count: brackets.len() as u8, ..FeeSchedule::default() };
        schedule.brackets[..brackets.len()].copy_from_slice(brackets);
        Some(schedule)
    }

    /// The brackets, in ascending order.
    pub fn brackets(&self) -> &[FeeBracket] {
        &self.brackets[..usize::from(self.count)]
    }

    /// The fee of a payment.
    pub fn fee(&self, amount: Amount) -> Amount {
        let brackets = self.brackets();
        let Some(bracket) = brackets.iter().find(|bracket| amount <= bracket.up_to).or(brackets.last()) else {
            return Amount::ZERO;
        };
        bracket.flat.plus(bracket.share(amount)).unwrap_or(Amount::MAX)
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u8(self.to as u8).u8(self.count);
        for bracket in self.brackets() {
            out.u64(bracket.up_to.minor()).u64(bracket.flat.minor()).u32(bracket.share_ppm);
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<FeeSchedule, DecodeError> {
        let to = match input.u8()? {
            1 => FeeTo::Equity,
            2 => FeeTo::PayeeBank,
            other => return Err(input.wrong("1 (equity) or 2 (the payee's bank)", u64::from(other))),
        };
        let count = input.u8()?;
        if usize::from(count) > BRACKETS_MAX {
            return Err(input.wrong("at most 4 brackets", u64::from(count)));
        }
        let mut brackets = Vec::with_capacity(BRACKETS_MAX);
        for _ in 0..count {
            let (up_to, flat) = (Amount::from_minor(input.u64()?), Amount::from_minor(input.u64()?));
            brackets.push(FeeBracket { up_to, flat, share_ppm: input.u32()? });
        }
        FeeSchedule::new(to, &brackets)
            .ok_or_else(|| input.wrong("ascending brackets with shares up to 1,000,000 ppm", u64::from(count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_holds_up_to_its_bound_and_the_last_one_beyond() {
        let amount = Amount::from_minor;
        let bracket = |up_to, flat, share_ppm| FeeBracket { up_to: amount(up_to), flat: amount(flat), share_ppm };
        let brackets = [bracket(5_000, 10, 0), bracket(50_000, 25, 0), bracket(100_000, 50, 1_000)];
        let schedule = FeeSchedule::new(FeeTo::Equity, &brackets).unwrap();
        for (paid, fee) in
            [(0, 10), (5_000, 10), (5_001, 25), (50_000, 25), (50_001, 100), (100_999, 150), (1_000_000, 1_050)]
        {
            assert_eq!(schedule.fee(amount(paid)), amount(fee), "{paid}");
        }
        assert_eq!(FeeSchedule::default().fee(amount(7)), Amount::ZERO);
        assert!(FeeSchedule::new(FeeTo::Equity, &[bracket(5, 0, 1_000_001)]).is_none());
    }
}
