//! The designs that are compared, and the two readings of bank risk.

use serde::Serialize;

use crate::conversion::Conversion;

/// Without CBDC, or with one of the five conversion rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Design {
    /// No CBDC.
    Base,
    /// CBDC under a rule.
    Cbdc(Conversion),
}

impl Design {
    /// All designs, in the paper's order.
    pub const ALL: [Self; 6] = [
        Self::Base,
        Self::Cbdc(Conversion::C0),
        Self::Cbdc(Conversion::C1),
        Self::Cbdc(Conversion::C2),
        Self::Cbdc(Conversion::C3),
        Self::Cbdc(Conversion::C4),
    ];

    /// The paper's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Cbdc(rule) => rule.name(),
        }
    }
}

/// The two readings of RM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Risk {
    /// The ratio as printed: (deposits + interbank borrowing) / worth.
    Printed,
    /// Risk-weighted assets / worth, which fits the printed thresholds and mean capital ratios better.
    RiskWeighted,
}

impl Risk {
    /// Both readings.
    pub const ALL: [Self; 2] = [Self::Printed, Self::RiskWeighted];

    /// The reading in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Printed => "RM as printed",
            Self::RiskWeighted => "RM as risk-weighted assets over worth",
        }
    }
}
