//! The central bank's policy: its parameters at the start, scheduled changes, and rules.
//!
//! `[policy]` gives the first policy, which genesis fixes. `[[schedule]]` changes keys of it on a day. `[[rule]]`
//! decides at intervals. All act on the ledger by the committee's proposals and votes, or by the desk's market
//! operations.
//!
//! | rule | sets | from |
//! |---|---|---|
//! | `taylor` | the policy rate | inflation and output gap |
//! | `mccallum` | base money, by market operations | growth of nominal spending against its target, growth of velocity |
//! | `k-percent` | base money, by market operations | nothing: it grows by k a year |
//! | `limit-ladder` | the holding limit, by `steps_minor` | CBDC over deposits against `share_low` and `share_high` |
//! | `tier-ladder` | both CBDC rates | the deposit facility's rate: r₁ = max(0, DFR − s), r₂ = min(0, DFR − s) |
//! | `expression` | `lever` | the text in `expression` |
//!
//! A rule that sets base money sets no rate: the policy rate then follows the money market, where base money is held in
//! proportion to nominal spending and the less of it the higher the rate (`rate_semi_elasticity`, 0 to leave the rate).

use cbdc_ledger::policy::FeeSchedule;
use cbdc_ledger::policy::text::fee_schedule;
use cbdc_scenario_file::document::Value;
use cbdc_scenario_file::{ScenarioError, Section};
use serde::Serialize;

use super::whole;
use crate::expression::Expression;

type Result<T> = std::result::Result<T, ScenarioError>;

const RATE_PPM_MAX: i64 = 500_000;
const MINOR_MAX: u64 = 1_000_000_000_000_000;
/// Decimals of the currency, in which fees are written.
const EXPONENT: u8 = 2;
const FEE_EXAMPLE: &str = "\"0.10 + 0.5 % up to 100, 1 above, to payee-bank\"";

/// `[policy]`: the policy at the start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Policy {
    /// Households' holding limit; `"none"` in the file means no limit.
    pub holding_limit_minor: Option<u64>,
    /// Firms' holding limit: 0 sends everything to their deposit.
    pub firm_limit_minor: Option<u64>,
    pub supply_cap_minor: Option<u64>,
    /// Limits on a household's CBDC payments: each, per day and per month.
    pub payment_limit_minor: Option<u64>,
    pub day_limit_minor: Option<u64>,
    pub month_limit_minor: Option<u64>,
    /// Fees of CBDC payments: charged to households as payers, and withheld from firms as payees, in the ledger's
    /// notation: `0.10 + 0.5 % up to 100, 1 above, to payee-bank`, or `none`.
    pub payer_fee: String,
    pub merchant_fee: String,
    /// Whether wallets are linked to a deposit, to which CBDC above the limit goes.
    pub waterfall: bool,
    /// Whether a payment above the wallet's balance draws the remainder from the deposit.
    pub reverse_waterfall: bool,
    pub policy_rate_ppm: i64,
    /// Distances of the deposit facility's rate below, and of the lending and penalty rates above, the policy rate.
    pub corridor_below_ppm: i64,
    pub corridor_above_ppm: i64,
    pub penalty_above_ppm: i64,
    /// Rate of CBDC up to `cbdc_tier_minor`, and above it. Without a bound the first holds for all.
    pub cbdc_rate_ppm: i64,
    pub cbdc_tier_minor: Option<u64>,
    pub cbdc_rate_above_ppm: i64,
    pub capitalisation: Capitalisation,
    pub reserves_rate_ppm: i64,
    pub requirement_ppm: u64,
    pub maintenance_days: u64,
    pub haircut_ppm: u64,
    pub committee_seats: u16,
    pub committee_threshold: u16,
}

/// A key of a scenario with the value in force, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provision {
    /// The key in a scenario: `policy.holding_limit_minor`.
    pub key: String,
    pub value: String,
    pub meaning: &'static str,
}

/// The keys of `[policy]` and their meaning, in the order of output.
const MEANINGS: [(&str, &str); 24] = [
    ("holding_limit_minor", "largest holding of a household, over all banks"),
    ("firm_limit_minor", "largest holding of a firm; 0 sends all to its deposit"),
    ("payment_limit_minor", "largest payment of a household"),
    ("day_limit_minor", "most that a household may pay on a day"),
    ("month_limit_minor", "most that a household may pay in a month"),
    ("payer_fee", "fee charged to a household that pays, EUR"),
    ("merchant_fee", "fee withheld from a firm that is paid, EUR"),
    ("waterfall", "CBDC above the limit goes to the deposit"),
    ("reverse_waterfall", "a payment above the balance draws the remainder from the deposit"),
    ("supply_cap_minor", "most CBDC that banks may have issued"),
    ("cbdc_rate_ppm", "rate of CBDC up to the tier's bound, a year"),
    ("cbdc_tier_minor", "the tier's bound"),
    ("cbdc_rate_above_ppm", "rate of CBDC above it, a year"),
    ("capitalisation", "when interest on CBDC is posted"),
    ("policy_rate_ppm", "rate of refinancing, a year"),
    ("corridor_below_ppm", "distance of the deposit facility's rate below it"),
    ("corridor_above_ppm", "distance of the lending facility's rate above it"),
    ("penalty_above_ppm", "distance of the penalty rate above it"),
    ("reserves_rate_ppm", "rate of reserves above the requirement, a year"),
    ("requirement_ppm", "required reserves over deposits"),
    ("maintenance_days", "days over which required reserves are averaged"),
    ("haircut_ppm", "taken off the value of collateral"),
    ("committee_seats", "seats of the committee"),
    ("committee_threshold", "votes that approve a proposal"),
];

/// The times at which interest on CBDC is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capitalisation {
    Monthly,
    Daily,
}

impl Policy {
    pub(super) fn read(root: &mut Section<'_>) -> Result<Policy> {
        let mut section = root.section("policy")?;
        let mut rate = |key, default: i64| {
            whole(&mut section, key, -RATE_PPM_MAX, RATE_PPM_MAX).map(|rate| rate.unwrap_or(default))
        };
        let (policy_rate_ppm, cbdc_rate_ppm) = (rate("policy_rate_ppm", 21_500)?, rate("cbdc_rate_ppm", 0)?);
        let cbdc_rate_above_ppm = rate("cbdc_rate_above_ppm", cbdc_rate_ppm)?;
        let reserves_rate_ppm = rate("reserves_rate_ppm", 0)?;
        let seats = section.integer("committee_seats", 1..=32, 3)? as u16;
        let policy = Policy {
            holding_limit_minor: limit(&mut section, "holding_limit_minor")?.unwrap_or(Some(300_000)),
            firm_limit_minor: limit(&mut section, "firm_limit_minor")?.unwrap_or(Some(0)),
            supply_cap_minor: limit(&mut section, "supply_cap_minor")?.unwrap_or(None),
            payment_limit_minor: limit(&mut section, "payment_limit_minor")?.unwrap_or(None),
            day_limit_minor: limit(&mut section, "day_limit_minor")?.unwrap_or(None),
            month_limit_minor: limit(&mut section, "month_limit_minor")?.unwrap_or(None),
            payer_fee: fee(&mut section, "payer_fee")?.unwrap_or_else(|| "none".to_owned()),
            merchant_fee: fee(&mut section, "merchant_fee")?.unwrap_or_else(|| "none".to_owned()),
            waterfall: section.boolean("waterfall", true)?,
            reverse_waterfall: section.boolean("reverse_waterfall", true)?,
            policy_rate_ppm,
            corridor_below_ppm: section.integer("corridor_below_ppm", 0..=RATE_PPM_MAX as u64, 1_500)? as i64,
            corridor_above_ppm: section.integer("corridor_above_ppm", 0..=RATE_PPM_MAX as u64, 2_500)? as i64,
            penalty_above_ppm: section.integer("penalty_above_ppm", 0..=RATE_PPM_MAX as u64, 25_000)? as i64,
            cbdc_rate_ppm,
            cbdc_tier_minor: limit(&mut section, "cbdc_tier_minor")?.unwrap_or(None),
            cbdc_rate_above_ppm,
            capitalisation: section
                .choice("capitalisation", &[("monthly", Capitalisation::Monthly), ("daily", Capitalisation::Daily)])?,
            reserves_rate_ppm,
            requirement_ppm: section.integer("requirement_ppm", 0..=1_000_000, 10_000)?,
            maintenance_days: section.integer("maintenance_days", 0..=366, 42)?,
            haircut_ppm: section.integer("haircut_ppm", 0..=900_000, 150_000)?,
            committee_seats: seats,
            committee_threshold: section.integer(
                "committee_threshold",
                1..=u64::from(seats),
                u64::from(seats / 2 + 1),
            )? as u16,
        };
        if policy.penalty_above_ppm < policy.corridor_above_ppm {
            let expected = format!("at least corridor_above_ppm, {}", policy.corridor_above_ppm);
            return Err(section.mistake("penalty_above_ppm", expected, policy.penalty_above_ppm.to_string()));
        }
        if !policy.waterfall && policy.firm_limit_minor == Some(0) {
            let expected = "true while firm_limit_minor is 0: without a waterfall no firm could be paid; or give \
                            firm_limit_minor = \"none\"";
            return Err(section.mistake("waterfall", expected, "false"));
        }
        section.end()?;
        Ok(policy)
    }
}

/// An amount in minor units, or the word `none`; absent is `None`.
fn limit(section: &mut Section<'_>, key: &'static str) -> Result<Option<Option<u64>>> {
    let is_none = section.find(key).is_some_and(|node| matches!(&node.value, Value::Text(word) if word == "none"));
    if is_none {
        return Ok(Some(None));
    }
    if section.find(key).is_some_and(|node| matches!(node.value, Value::Text(_))) {
        let expected = format!("a whole number from 0 to {MINOR_MAX}, or \"none\"");
        return Err(section.mistake(key, expected, "another text"));
    }
    Ok(section.optional_integer(key, 0..=MINOR_MAX)?.map(Some))
}

impl Policy {
    /// Every key with its value and meaning.
    pub fn listed(&self) -> Vec<Provision> {
        provisions("policy", self, &MEANINGS)
    }
}

/// The keys of a table with the values in force and their meanings.
pub(super) fn provisions(
    table: &str,
    values: &impl Serialize,
    meanings: &[(&'static str, &'static str)],
) -> Vec<Provision> {
    let values = serde_json::to_value(values).expect("numbers and texts always have a JSON form");
    let told = |value: &serde_json::Value| match value {
        serde_json::Value::Null => "none".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    meanings
        .iter()
        .map(|(key, meaning)| Provision { key: format!("{table}.{key}"), value: told(&values[key]), meaning })
        .collect()
}

/// Checks that a rate above a tier has a tier to be above, at the start and after each scheduled change.
pub(super) fn check_tiers(
    root: &mut Section<'_>,
    policy: &Policy,
    schedule: &[Scheduled],
    rules: &[Rule],
) -> Result<()> {
    let expected = "a tier, `cbdc_tier_minor`, for a rate above it";
    let is_lost = |rate: i64, tier: Option<u64>, above: i64| tier.is_none() && above != rate;
    let Policy { cbdc_rate_ppm: rate, cbdc_tier_minor: tier, cbdc_rate_above_ppm: above, .. } = *policy;
    if is_lost(rate, tier, above) {
        return Err(root.section("policy")?.mistake("cbdc_rate_above_ppm", expected, above.to_string()));
    }
    // A ladder of tiers or an expression may have set a tier meanwhile.
    let sets_rates = |rule: &Rule| {
        matches!(rule.kind, RuleKind::TierLadder { .. } | RuleKind::Expression { lever: Lever::CbdcRate, .. })
    };
    if rules.iter().any(sets_rates) {
        return Ok(());
    }
    let mut changes: Vec<(usize, &Scheduled)> = schedule.iter().enumerate().collect();
    changes.sort_by_key(|(_, change)| change.day);
    let (mut rate, mut tier, mut above) = (rate, tier, above);
    for (index, change) in changes {
        rate = change.cbdc_rate_ppm.unwrap_or(rate);
        tier = change.cbdc_tier_minor.unwrap_or(tier);
        // As on the ledger: without a tier one rate holds for all.
        above = change.cbdc_rate_above_ppm.unwrap_or(if tier.is_none() { rate } else { above });
        if is_lost(rate, tier, above) {
            let section = root.sections("schedule")?.swap_remove(index);
            return Err(section.mistake("cbdc_rate_above_ppm", expected, above.to_string()));
        }
    }
    Ok(())
}

/// A fee in the ledger's notation, or a number for a flat one; absent is `None`.
fn fee(section: &mut Section<'_>, key: &'static str) -> Result<Option<String>> {
    let Some(node) = section.find(key) else { return Ok(None) };
    let text = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Integer(major) => major.to_string(),
        Value::Number(major) => major.to_string(),
        _ => return Err(section.wrong(node, &format!("a fee in EUR such as {FEE_EXAMPLE}, or \"none\""))),
    };
    if let Err(mistake) = fee_schedule(&text, EXPONENT) {
        let reason = mistake.split_once(", found ").map_or(mistake.as_str(), |(expected, _)| expected);
        let expected = format!("a fee in EUR such as {FEE_EXAMPLE}, or \"none\" ({reason})");
        return Err(section.mistake_at(node, expected, format!("\"{text}\"")));
    }
    Ok(Some(text))
}

/// The schedule that a fee's text stands for.
pub fn schedule_of(fee: &str) -> FeeSchedule {
    fee_schedule(fee, EXPONENT).expect("the fee was checked when it was read")
}

/// `[[schedule]]`: changes on a day. Absent keys stay as they are.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct Scheduled {
    /// Days since the start.
    pub day: u32,
    pub holding_limit_minor: Option<Option<u64>>,
    pub supply_cap_minor: Option<Option<u64>>,
    pub payment_limit_minor: Option<Option<u64>>,
    pub day_limit_minor: Option<Option<u64>>,
    pub month_limit_minor: Option<Option<u64>>,
    pub payer_fee: Option<String>,
    pub merchant_fee: Option<String>,
    pub policy_rate_ppm: Option<i64>,
    pub cbdc_rate_ppm: Option<i64>,
    pub cbdc_tier_minor: Option<Option<u64>>,
    pub cbdc_rate_above_ppm: Option<i64>,
    /// Market operations, at par, spread over the banks by deposits.
    pub buy_securities_minor: u64,
    pub sell_securities_minor: u64,
}

impl Scheduled {
    pub(super) fn read_all(root: &mut Section<'_>) -> Result<Vec<Scheduled>> {
        root.sections("schedule")?
            .into_iter()
            .map(|mut section| {
                let scheduled = Scheduled {
                    day: section.integer("day", 0..=36_525, 0)? as u32,
                    holding_limit_minor: limit(&mut section, "holding_limit_minor")?,
                    supply_cap_minor: limit(&mut section, "supply_cap_minor")?,
                    payment_limit_minor: limit(&mut section, "payment_limit_minor")?,
                    day_limit_minor: limit(&mut section, "day_limit_minor")?,
                    month_limit_minor: limit(&mut section, "month_limit_minor")?,
                    payer_fee: fee(&mut section, "payer_fee")?,
                    merchant_fee: fee(&mut section, "merchant_fee")?,
                    policy_rate_ppm: whole(&mut section, "policy_rate_ppm", -RATE_PPM_MAX, RATE_PPM_MAX)?,
                    cbdc_rate_ppm: whole(&mut section, "cbdc_rate_ppm", -RATE_PPM_MAX, RATE_PPM_MAX)?,
                    cbdc_tier_minor: limit(&mut section, "cbdc_tier_minor")?,
                    cbdc_rate_above_ppm: whole(&mut section, "cbdc_rate_above_ppm", -RATE_PPM_MAX, RATE_PPM_MAX)?,
                    buy_securities_minor: section.integer("buy_securities_minor", 0..=MINOR_MAX, 0)?,
                    sell_securities_minor: section.integer("sell_securities_minor", 0..=MINOR_MAX, 0)?,
                };
                section.end()?;
                Ok(scheduled)
            })
            .collect()
    }
}

/// The levers that an expression may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lever {
    /// The policy rate, as a share a year.
    PolicyRate,
    /// Both CBDC rates, as a share a year.
    CbdcRate,
    /// Minor units.
    HoldingLimit,
}

/// The kinds of rules.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// Without a neutral rate, that at rest: the first policy rate less the anchor of expectations.
    Taylor {
        neutral_rate: Option<f64>,
        inflation_target: f64,
        on_inflation: f64,
        on_gap: f64,
        smoothing: f64,
        floor: f64,
    },
    /// Without a target, the anchor of expectations.
    Mccallum {
        growth_target: Option<f64>,
        response: f64,
        rate_semi_elasticity: f64,
    },
    KPercent {
        growth: f64,
        rate_semi_elasticity: f64,
    },
    LimitLadder {
        steps_minor: Vec<u64>,
        share_low: f64,
        share_high: f64,
    },
    TierLadder {
        spread: f64,
    },
    Expression {
        lever: Lever,
        expression: String,
    },
}

/// `[[rule]]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// First day on which it decides, and days between two decisions.
    pub from_day: u32,
    pub every_days: u32,
    pub kind: RuleKind,
}

#[derive(Clone, Copy)]
enum Word {
    Taylor,
    Mccallum,
    KPercent,
    LimitLadder,
    TierLadder,
    Expression,
}

const WORDS: &[(&str, Word)] = &[
    ("taylor", Word::Taylor),
    ("mccallum", Word::Mccallum),
    ("k-percent", Word::KPercent),
    ("limit-ladder", Word::LimitLadder),
    ("tier-ladder", Word::TierLadder),
    ("expression", Word::Expression),
];

impl Rule {
    pub(super) fn read_all(root: &mut Section<'_>) -> Result<Vec<Rule>> {
        root.sections("rule")?.into_iter().map(Rule::read).collect()
    }

    fn read(mut section: Section<'_>) -> Result<Rule> {
        if !section.gives("kind") {
            let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
            return Err(section.mistake("kind", format!("`kind`, one of {}", words.join(", ")), "none"));
        }
        let word = section.choice("kind", WORDS)?;
        let from_day = section.integer("from_day", 1..=36_525, 30)? as u32;
        let every_days = section.integer("every_days", 1..=36_525, 42)? as u32;
        let kind = match word {
            Word::Taylor => RuleKind::Taylor {
                neutral_rate: section.optional_number("neutral_rate", -0.1..=0.2)?,
                inflation_target: section.number("inflation_target", -0.1..=0.5, 0.02)?,
                on_inflation: section.number("on_inflation", -10.0..=10.0, 0.5)?,
                on_gap: section.number("on_gap", -10.0..=10.0, 0.5)?,
                smoothing: section.number("smoothing", 0.0..=1.0, 0.8)?,
                floor: section.number("floor", -0.5..=0.5, 0.0)?,
            },
            Word::Mccallum => RuleKind::Mccallum {
                growth_target: section.optional_number("growth_target", -0.5..=1.0)?,
                response: section.number("response", 0.0..=10.0, 0.25)?,
                rate_semi_elasticity: section.number("rate_semi_elasticity", 0.0..=1000.0, 10.0)?,
            },
            Word::KPercent => RuleKind::KPercent {
                growth: section.number("growth", -0.9..=10.0, 0.03)?,
                rate_semi_elasticity: section.number("rate_semi_elasticity", 0.0..=1000.0, 10.0)?,
            },
            Word::LimitLadder => RuleKind::LimitLadder {
                steps_minor: steps(&mut section)?,
                share_low: section.number("share_low", 0.0..=1.0, 0.02)?,
                share_high: section.number("share_high", 0.0..=1.0, 0.05)?,
            },
            Word::TierLadder => RuleKind::TierLadder { spread: section.number("spread", -0.5..=0.5, 0.01)? },
            Word::Expression => {
                let levers = [
                    ("policy-rate", Lever::PolicyRate),
                    ("cbdc-rate", Lever::CbdcRate),
                    ("holding-limit", Lever::HoldingLimit),
                ];
                let lever = section.choice("lever", &levers)?;
                let expression = section.required_text("expression")?;
                if let Err(mistake) = Expression::parse(&expression) {
                    let (expected, found) = mistake.split_once(", found ").unwrap_or((mistake.as_str(), "this"));
                    let expected = expected.trim_start_matches("expected ");
                    return Err(section.mistake("expression", expected, found));
                }
                RuleKind::Expression { lever, expression }
            }
        };
        section.end()?;
        Ok(Rule { from_day, every_days, kind })
    }
}

/// Ascending limits, at least one.
fn steps(section: &mut Section<'_>) -> Result<Vec<u64>> {
    let expected = format!("a list of whole numbers from 0 to {MINOR_MAX}, each above the one before");
    let Some(node) = section.find("steps_minor") else {
        return Ok(vec![50_000, 100_000, 200_000, 300_000]);
    };
    let Value::List(items) = &node.value else { return Err(section.wrong(node, &expected)) };
    let mut steps = Vec::with_capacity(items.len());
    for item in items {
        match item.value {
            Value::Integer(minor)
                if (0..=i128::from(MINOR_MAX)).contains(&minor)
                    && steps.last().is_none_or(|last| i128::from(*last) < minor) =>
            {
                steps.push(minor as u64);
            }
            _ => return Err(section.wrong(item, &expected)),
        }
    }
    if steps.is_empty() {
        return Err(section.mistake_at(node, expected, "an empty list"));
    }
    Ok(steps)
}
