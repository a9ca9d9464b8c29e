//! The terms under which banks hold reserves in a maintenance period.

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::{Amount, RatePpm};

/// Remuneration of reserves, and the reserve requirement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReserveRules {
    /// Rate of reserves up to the requirement.
    pub rate_up_to: RatePpm,
    /// Rate of reserves above the requirement (of all reserves if there is none).
    pub rate_above: RatePpm,
    /// Required share of the deposits that the bank reported, ppm.
    pub requirement_ppm: u32,
    /// Length of a maintenance period in days; 0 means that there is no requirement.
    pub period_days: u16,
    /// Yearly rate of the penalty on the average shortfall of a period.
    pub shortfall_rate: RatePpm,
}

impl ReserveRules {
    /// Whether the rules can be in force: a share of at most the whole, and no negative penalty.
    pub fn is_sound(&self) -> bool {
        self.requirement_ppm <= 1_000_000 && self.shortfall_rate.0 >= 0
    }

    /// The requirement for a base of reported deposits, rounded down.
    pub fn requirement(&self, base: Amount) -> Amount {
        Amount::from_minor((u128::from(base.minor()) * u128::from(self.requirement_ppm) / 1_000_000) as u64)
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
