//! `[load]`: the offered payments, their times, and how they are sent.
//!
//! The load is open loop: payments fall due at times that do not depend on answers. Time 0 is the start of the load;
//! the warm-up comes first and is not measured, followed by `duration_s` measured seconds.

use cbdc_devnet::policy::MINOR_MAX;
use serde::Serialize;

use super::error::ScenarioError;
use super::section::Section;

/// The highest rate that a scenario may offer.
pub const RATE_PER_S_MAX: f64 = 10_000_000.0;

/// The rate over time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "profile", rename_all = "kebab-case")]
pub enum Profile {
    /// Evenly spaced payments.
    Constant {
        /// Payments a second.
        rate_per_s: f64,
    },
    /// Independent payments at a mean rate.
    Poisson {
        /// Mean payments a second.
        rate_per_s: f64,
    },
    /// A rate that changes linearly over the measured time; the warm-up runs at the first rate. Independent payments.
    Ramp {
        /// Rate at the start.
        from_per_s: f64,
        /// Rate at the end.
        to_per_s: f64,
    },
    /// A base rate, multiplied during the first `burst_on_s` of every `burst_period_s`. Independent payments.
    Burst {
        /// Rate outside bursts.
        rate_per_s: f64,
        /// The rate in a burst over the rate outside.
        burst_factor: f64,
        /// From the start of one burst to the start of the next.
        burst_period_s: f64,
        /// The duration of a burst.
        burst_on_s: f64,
    },
}

impl Profile {
    /// The word of the scenario file.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Constant { .. } => "constant",
            Self::Poisson { .. } => "poisson",
            Self::Ramp { .. } => "ramp",
            Self::Burst { .. } => "burst",
        }
    }

    /// The highest rate that it reaches.
    pub fn peak_per_s(&self) -> f64 {
        match *self {
            Self::Constant { rate_per_s } | Self::Poisson { rate_per_s } => rate_per_s,
            Self::Ramp { from_per_s, to_per_s } => from_per_s.max(to_per_s),
            Self::Burst { rate_per_s, burst_factor, .. } => rate_per_s * burst_factor.max(1.0),
        }
    }

    /// The mean rate over whole periods.
    pub fn mean_per_s(&self) -> f64 {
        match *self {
            Self::Constant { rate_per_s } | Self::Poisson { rate_per_s } => rate_per_s,
            Self::Ramp { from_per_s, to_per_s } => (from_per_s + to_per_s) / 2.0,
            Self::Burst { rate_per_s, burst_factor, burst_period_s, burst_on_s } => {
                rate_per_s * (1.0 + (burst_factor - 1.0) * burst_on_s / burst_period_s)
            }
        }
    }
}

/// The way in which payments reach a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Batches on one long-lived stream per bank.
    Stream,
    /// One call per payment.
    Unary,
}

impl Mode {
    /// The word of the scenario file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Unary => "unary",
        }
    }
}

/// The source of amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "amounts", rename_all = "kebab-case")]
pub enum Amounts {
    /// The table of `workload::amounts`: payments in the euro area, 2022.
    #[serde(rename = "space-2022")]
    Space2022,
    /// Always the same.
    Fixed {
        /// Minor units of every payment.
        amount_minor: u64,
    },
    /// Every whole amount from least to most is equally likely.
    Uniform {
        /// Least minor units.
        amount_minor_min: u64,
        /// Most minor units.
        amount_minor_max: u64,
    },
}

impl Amounts {
    /// The word of the scenario file.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Space2022 => "space-2022",
            Self::Fixed { .. } => "fixed",
            Self::Uniform { .. } => "uniform",
        }
    }
}

/// The choice of payees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payees {
    /// People pay merchants at the point of sale, businesses online, other people person to person.
    ByChannel,
    /// Any wallet pays any other.
    Any,
}

/// The load of a scenario.
///
/// | key | default | range or words |
/// |---|---|---|
/// | `profile` | `"poisson"` | `"constant"`, `"poisson"`, `"ramp"`, `"burst"` |
/// | `rate_per_s` | 1,000 | constant, poisson, burst: above 0, to 10 million |
/// | `from_per_s`, `to_per_s` | 100, 1,000 | ramp only |
/// | `burst_factor`, `burst_period_s`, `burst_on_s` | 4, 10, a tenth of the period | burst only |
/// | `duration_s` | 10 | 0.1 to 86,400 |
/// | `warm_up_s` | 1 | 0 to 3,600 |
/// | `mode` | `"stream"` | `"stream"`, `"unary"` |
/// | `batch_size` | 250 | most payments in one message, 1 to 8,192 |
/// | `batch_delay_ms` | 2 | longest wait for a message to fill, 0 to 1,000 |
/// | `in_flight_max` | 16,384 | unanswered payments a bank, 1 to 1,048,576 |
/// | `cross_bank_share` | 0.5 (0 with one bank) | share of payments to another bank's customer, 0 to 1 |
/// | `payee_skew` | 0.8 | Zipf exponent of payees' popularity; 0 = all alike, to 3 |
/// | `payees` | `"by-channel"` | `"by-channel"`, `"any"` |
/// | `amounts` | `"space-2022"` | `"space-2022"`, `"fixed"`, `"uniform"` |
/// | `amount_minor` | 1,000 | fixed only |
/// | `amount_minor_min`, `amount_minor_max` | 100, 10,000 | uniform only |
/// | `max_fee_minor` | what the policy at the start asks | the largest fee that payers sign for |
/// | `top_up_share` | 0 | share of linked holders' payments that may be topped up from the deposit, 0 to 1 |
///
/// A payment that may be topped up (the reverse waterfall) is sent as one call to the payer's bank in either mode: a
/// bank does not top up payments in batches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// The rate over time.
    #[serde(flatten)]
    pub profile: Profile,
    /// Measured time, after the warm-up.
    pub duration_s: f64,
    /// Unmeasured time before it.
    pub warm_up_s: f64,
    /// The way in which payments reach a bank.
    pub mode: Mode,
    /// Most payments in one message.
    pub batch_size: u32,
    /// Longest wait for a message to fill.
    pub batch_delay_ms: f64,
    /// Unanswered payments a bank; beyond it the generator waits, and the wait counts as latency.
    pub in_flight_max: u32,
    /// Share of payments whose payee is another bank's customer.
    pub cross_bank_share: f64,
    /// Zipf exponent of payees' popularity.
    pub payee_skew: f64,
    /// The choice of payees.
    pub payees: Payees,
    /// The source of amounts.
    #[serde(flatten)]
    pub amounts: Amounts,
    /// The largest fee that payers sign for; absent: for each payment its fee under the policy at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_fee_minor: Option<u64>,
    /// Share of linked holders' payments that their bank may top up from the deposit.
    pub top_up_share: f64,
}

impl Load {
    /// Warm-up and measured time together.
    pub fn total_s(&self) -> f64 {
        self.warm_up_s + self.duration_s
    }

    pub(super) fn read(mut section: Section<'_>, banks: u32) -> Result<Self, ScenarioError> {
        let profile = read_profile(&mut section)?;
        let duration_s = section.number("duration_s", 0.1..=86_400.0, 10.0)?;
        let warm_up_s = section.number("warm_up_s", 0.0..=3_600.0, 1.0)?;
        let mode = section.choice("mode", &[("stream", Mode::Stream), ("unary", Mode::Unary)])?;
        let batch_size = section.integer("batch_size", 1..=8_192, 250)? as u32;
        let batch_delay_ms = section.number("batch_delay_ms", 0.0..=1_000.0, 2.0)?;
        let in_flight_max = section.integer("in_flight_max", 1..=1_048_576, 16_384)? as u32;
        let share = if banks == 1 { 0.0 } else { 0.5 };
        let cross_bank_share = section.number("cross_bank_share", 0.0..=1.0, share)?;
        if banks == 1 && cross_bank_share > 0.0 {
            let found = format!("{cross_bank_share} with a single bank");
            return Err(section.mistake("cross_bank_share", "0, or network.banks of at least 2", found));
        }
        let payee_skew = section.number("payee_skew", 0.0..=3.0, 0.8)?;
        let payees = section.choice("payees", &[("by-channel", Payees::ByChannel), ("any", Payees::Any)])?;
        let amounts = read_amounts(&mut section)?;
        let max_fee_minor = section.optional_integer("max_fee_minor", 0..=MINOR_MAX)?;
        let top_up_share = section.number("top_up_share", 0.0..=1.0, 0.0)?;
        section.end()?;
        Ok(Self {
            profile,
            duration_s,
            warm_up_s,
            mode,
            batch_size,
            batch_delay_ms,
            in_flight_max,
            cross_bank_share,
            payee_skew,
            payees,
            amounts,
            max_fee_minor,
            top_up_share,
        })
    }
}

#[derive(Clone, Copy)]
enum ProfileWord {
    Poisson,
    Constant,
    Ramp,
    Burst,
}

fn read_profile(section: &mut Section<'_>) -> Result<Profile, ScenarioError> {
    let words = [
        ("poisson", ProfileWord::Poisson),
        ("constant", ProfileWord::Constant),
        ("ramp", ProfileWord::Ramp),
        ("burst", ProfileWord::Burst),
    ];
    let word = section.choice("profile", &words)?;
    let rates = 0.001..=RATE_PER_S_MAX;
    if !matches!(word, ProfileWord::Ramp) {
        section.only_when(&["from_per_s", "to_per_s"], "this key only with profile = \"ramp\"");
    }
    if !matches!(word, ProfileWord::Burst) {
        let keys = ["burst_factor", "burst_period_s", "burst_on_s"];
        section.only_when(&keys, "this key only with profile = \"burst\"");
    }
    match word {
        ProfileWord::Constant => Ok(Profile::Constant { rate_per_s: section.number("rate_per_s", rates, 1_000.0)? }),
        ProfileWord::Poisson => Ok(Profile::Poisson { rate_per_s: section.number("rate_per_s", rates, 1_000.0)? }),
        ProfileWord::Ramp => {
            section.only_when(&["rate_per_s"], "`from_per_s` and `to_per_s` with profile = \"ramp\"");
            Ok(Profile::Ramp {
                from_per_s: section.number("from_per_s", rates.clone(), 100.0)?,
                to_per_s: section.number("to_per_s", rates, 1_000.0)?,
            })
        }
        ProfileWord::Burst => {
            let rate_per_s = section.number("rate_per_s", rates, 1_000.0)?;
            let burst_factor = section.number("burst_factor", 0.0..=1_000.0, 4.0)?;
            let burst_period_s = section.number("burst_period_s", 0.01..=86_400.0, 10.0)?;
            let burst_on_s = section.number("burst_on_s", 0.001..=burst_period_s, burst_period_s / 10.0)?;
            Ok(Profile::Burst { rate_per_s, burst_factor, burst_period_s, burst_on_s })
        }
    }
}

#[derive(Clone, Copy)]
enum AmountsWord {
    Space2022,
    Fixed,
    Uniform,
}

fn read_amounts(section: &mut Section<'_>) -> Result<Amounts, ScenarioError> {
    let words =
        [("space-2022", AmountsWord::Space2022), ("fixed", AmountsWord::Fixed), ("uniform", AmountsWord::Uniform)];
    let word = section.choice("amounts", &words)?;
    if !matches!(word, AmountsWord::Fixed) {
        section.only_when(&["amount_minor"], "this key only with amounts = \"fixed\"");
    }
    if !matches!(word, AmountsWord::Uniform) {
        section.only_when(&["amount_minor_min", "amount_minor_max"], "this key only with amounts = \"uniform\"");
    }
    match word {
        AmountsWord::Space2022 => Ok(Amounts::Space2022),
        AmountsWord::Fixed => {
            Ok(Amounts::Fixed { amount_minor: section.integer("amount_minor", 1..=MINOR_MAX, 1_000)? })
        }
        AmountsWord::Uniform => {
            let amount_minor_min = section.integer("amount_minor_min", 1..=MINOR_MAX, 100)?;
            let most = 10_000.max(amount_minor_min);
            let amount_minor_max = section.integer("amount_minor_max", amount_minor_min..=MINOR_MAX, most)?;
            Ok(Amounts::Uniform { amount_minor_min, amount_minor_max })
        }
    }
}
