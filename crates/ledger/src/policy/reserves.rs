//! Banks' accounts at the central bank: key rates, reserves and collateral.
//!
//! `transition::day_end` describes how these are applied at the end of each day.

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::{Amount, RatePpm};

pub use crate::state::reserve_rules::ReserveRules;

/// The rates of the standing facilities around the policy rate, and the penalty rate of overdue loans.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyRates {
    /// The policy rate.
    pub policy: RatePpm,
    /// The rate of the deposit facility.
    pub deposit: RatePpm,
    /// The rate of the lending facility.
    pub lending: RatePpm,
    /// The rate of overdue loans.
    pub penalty: RatePpm,
}

impl KeyRates {
    /// Whether deposit ≤ policy ≤ lending ≤ penalty.
    pub fn is_sound(&self) -> bool {
        self.deposit <= self.policy && self.policy <= self.lending && self.lending <= self.penalty
    }
}

/// The value of collateral after the haircut, rounded down.
pub fn after_haircut(pledged: Amount, haircut_ppm: u32) -> Amount {
    let share = 1_000_000 - u128::from(haircut_ppm.min(1_000_000));
    Amount::from_minor((u128::from(pledged.minor()) * share / 1_000_000) as u64)
}

impl KeyRates {
    pub(crate) fn encode(&self, out: &mut Writer) {
        for rate in [self.policy, self.deposit, self.lending, self.penalty] {
            out.u32(rate.0 as u32);
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<KeyRates, DecodeError> {
        let mut rate = || input.u32().map(|rate| RatePpm(rate as i32));
        Ok(KeyRates { policy: rate()?, deposit: rate()?, lending: rate()?, penalty: rate()? })
    }
}
