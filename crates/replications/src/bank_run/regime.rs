//! Six regimes: the central bank's rates, and who bears a failed bank's loss.

use serde::Serialize;

use super::parameters::Parameters;

/// The six regimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Regime {
    /// Lending dearer than the deposit facility; CBDC pays nothing.
    Corridor,
    /// Every rate of the central bank is zero, and so are deposit rates.
    ZeroRates,
    /// One rate for reserves, lending and CBDC.
    Floor,
    /// A bank fails, and the state makes it whole.
    BailOut,
    /// A bank fails, and its creditors make it whole.
    BailIn,
    /// A bank fails, and the state makes depositors whole.
    DepositInsurance,
}

/// Rates of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// On banks' borrowing from the central bank.
    pub lending: f64,
    /// On reserves.
    pub reserves: f64,
    /// On CBDC.
    pub cbdc: f64,
    /// Ceiling of deposit rates.
    pub deposit_ceiling: f64,
}

impl Regime {
    /// All six, in the paper's order.
    pub const ALL: [Self; 6] =
        [Self::Corridor, Self::ZeroRates, Self::Floor, Self::BailOut, Self::BailIn, Self::DepositInsurance];

    /// The regime in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Corridor => "corridor",
            Self::ZeroRates => "zero rates",
            Self::Floor => "floor",
            Self::BailOut => "bail-out",
            Self::BailIn => "bail-in",
            Self::DepositInsurance => "deposit insurance",
        }
    }

    /// Whether a bank fails.
    pub fn has_failure(self) -> bool {
        matches!(self, Self::BailOut | Self::BailIn | Self::DepositInsurance)
    }

    /// The central bank's rates; regimes with a failure have a corridor.
    pub fn rates(self, p: &Parameters) -> Rates {
        match self {
            Self::ZeroRates => Rates { lending: 0.0, reserves: 0.0, cbdc: 0.0, deposit_ceiling: 0.0 },
            Self::Floor => Rates {
                lending: p.floor,
                reserves: p.floor,
                cbdc: p.floor,
                deposit_ceiling: p.deposit_ceiling * p.floor,
            },
            _ => Rates {
                lending: p.ceiling,
                reserves: p.bottom,
                cbdc: 0.0,
                deposit_ceiling: p.deposit_ceiling * 0.5 * (p.ceiling + p.bottom),
            },
        }
    }
}
