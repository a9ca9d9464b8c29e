//! What banks earn and owe on their accounts at the central bank: key rates, reserves and collateral.
//!
//! How these are applied at each day change is told in `settlement::day_end`.

use crate::amount::{Amount, RatePpm};
use crate::encoding::{DecodeError, Reader, Writer};

/// The rates of the standing facilities around the policy rate, and the penalty rate of what is overdue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyRates {
    pub policy: RatePpm,
    pub deposit: RatePpm,
    pub lending: RatePpm,
    pub penalty: RatePpm,
}

impl KeyRates {
    /// deposit ≤ policy ≤ lending ≤ penalty.
    pub fn is_sound(&self) -> bool {
        self.deposit <= self.policy && self.policy <= self.lending && self.lending <= self.penalty
    }
}

/// Remuneration of reserves, and the reserve requirement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReserveRules {
    /// Rate of reserves up to the requirement.
    pub rate_up_to: RatePpm,
    /// Rate of reserves above the requirement (of all reserves where there is none).
    pub rate_above: RatePpm,
    /// Required share of the deposits that the bank reported, ppm.
    pub requirement_ppm: u32,
    /// Length of a maintenance period in days; 0 means that there is no requirement.
    pub period_days: u16,
    /// Yearly rate of the penalty on the average shortfall of a period.
    pub shortfall_rate: RatePpm,
}

impl ReserveRules {
    pub fn is_sound(&self) -> bool {
        self.requirement_ppm <= 1_000_000 && self.shortfall_rate.0 >= 0
    }

    /// The requirement for a base of reported deposits, rounded down.
    pub fn requirement(&self, base: Amount) -> Amount {
        Amount::from_minor((u128::from(base.minor()) * u128::from(self.requirement_ppm) / 1_000_000) as u64)
    }
}

/// What collateral is worth after the haircut, rounded down.
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

impl ReserveRules {
    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u32(self.rate_up_to.0 as u32).u32(self.rate_above.0 as u32).u32(self.requirement_ppm);
        out.u16(self.period_days).u32(self.shortfall_rate.0 as u32);
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<ReserveRules, DecodeError> {
        let (rate_up_to, rate_above) = (RatePpm(input.u32()? as i32), RatePpm(input.u32()? as i32));
        let (requirement_ppm, period_days) = (input.u32()?, input.u16()?);
        let shortfall_rate = RatePpm(input.u32()? as i32);
        Ok(ReserveRules { rate_up_to, rate_above, requirement_ppm, period_days, shortfall_rate })
    }
}
