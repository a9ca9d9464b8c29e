//! Parameters as people write and read them: `holding-limit.household = 3000.00`.
//!
//! One grammar serves the command line, scenario files, presets and voters. Amounts are in major units, rates in
//! percent a year with at most four decimals (or in ppm), and everything is exact.
//!
//! | name | value |
//! |---|---|
//! | `supply-cap`, `issuance-quota`, `issuance-quota.bank-2` | amount or `none` |
//! | `holding-limit.CLASS`, `payment-limit.CLASS`, `day-limit.CLASS`, `month-limit.CLASS` | amount or `none` |
//! | `velocity.CLASS` | `10 in 24 h` (units ms, s, min, h, d) or `none` |
//! | `remuneration.CLASS` | `-1 %`, or `0 % up to 3000, -1 % above` |
//! | `payer-fee.CLASS`, `payee-fee.CLASS` | `none`, or `0.10 + 0.5 % up to 100, 1 above, to payee-bank` |
//! | `capitalisation` | `daily` or `monthly` |
//! | `policy-rate`, `deposit-rate`, `lending-rate`, `penalty-rate` | rate |
//! | `reserves-rate-up-to`, `reserves-rate-above`, `reserve-requirement`, `shortfall-rate`, `haircut` | rate or share |
//! | `maintenance-period` | days; 0 for no requirement |
//! | `work-per-block` | units of the ledger's own work |

use super::change::PolicyChange;
use super::fee::{FeeBracket, FeeSchedule, FeeTo};
use super::parameters::{ClassRules, Parameters};
use super::remuneration::{Capitalisation, Tier, Tiers};
use super::velocity::VelocityRule;
use super::work::WorkPerBlock;
use crate::types::amount::{Amount, RatePpm};
use crate::types::identity::{BankId, Class};

/// Names of parameters of banks' accounts at the central bank.
pub const BANK_NAMES: [&str; 10] = [
    "policy-rate",
    "deposit-rate",
    "lending-rate",
    "penalty-rate",
    "reserves-rate-up-to",
    "reserves-rate-above",
    "reserve-requirement",
    "shortfall-rate",
    "maintenance-period",
    "haircut",
];
/// Names of parameters that apply to all, including those of banks.
pub const NAMES: [&str; 14] = {
    let [policy, deposit, lending, penalty, up_to, above, requirement, shortfall, period, haircut] = BANK_NAMES;
    [
        "supply-cap",
        "issuance-quota",
        "capitalisation",
        policy,
        deposit,
        lending,
        penalty,
        up_to,
        above,
        requirement,
        shortfall,
        period,
        haircut,
        "work-per-block",
    ]
};
/// Names of parameters that each class has.
pub const CLASS_NAMES: [&str; 8] = [
    "holding-limit",
    "payment-limit",
    "day-limit",
    "month-limit",
    "velocity",
    "remuneration",
    "payer-fee",
    "payee-fee",
];

/// Sets one parameter. `exponent` is the currency's number of decimals.
///
/// # Errors
/// The message says what was expected and what was found; the parameters are then unchanged.
pub fn set(parameters: &mut Parameters, name: &str, value: &str, exponent: u8) -> Result<(), String> {
    let value = value.trim();
    match name.split_once('.') {
        Some(("issuance-quota", bank)) => {
            let bank = self::bank(bank)?;
            let quota = limit(value, exponent)?;
            parameters.apply(&PolicyChange::IssuanceQuotaOfBank { bank, quota });
            Ok(())
        }
        Some((name, class)) if CLASS_NAMES.contains(&name) => {
            let class: Class = class.parse()?;
            set_for_class(&mut parameters.classes[class.index()], name, value, exponent)
        }
        None if CLASS_NAMES.contains(&name) => Err(format!("name a class, as in {name}.household")),
        None if NAMES.contains(&name) => set_for_all(parameters, name, value, exponent),
        _ => Err(format!(
            "expected a parameter ({}, or {} with a class, as in holding-limit.household), found `{name}`",
            NAMES.join(", "),
            CLASS_NAMES.join(", ")
        )),
    }
}

/// Reads a bank such as `bank-2`.
pub fn bank(text: &str) -> Result<BankId, String> {
    let number = text.strip_prefix("bank-").and_then(|number| number.parse().ok());
    number.map(BankId).ok_or_else(|| format!("expected a bank such as bank-2, found `{text}`"))
}

fn set_for_all(parameters: &mut Parameters, name: &str, value: &str, exponent: u8) -> Result<(), String> {
    match name {
        "supply-cap" => parameters.supply_cap = limit(value, exponent)?,
        "issuance-quota" => parameters.issuance_quota = limit(value, exponent)?,
        "capitalisation" => {
            parameters.capitalisation = match value {
                "daily" => Capitalisation::Daily,
                "monthly" => Capitalisation::Monthly,
                _ => return Err(format!("expected daily or monthly, found `{value}`")),
            }
        }
        "policy-rate" => parameters.key_rates.policy = rate(value)?,
        "deposit-rate" => parameters.key_rates.deposit = rate(value)?,
        "lending-rate" => parameters.key_rates.lending = rate(value)?,
        "penalty-rate" => parameters.key_rates.penalty = rate(value)?,
        "reserves-rate-up-to" => parameters.reserves.rate_up_to = rate(value)?,
        "reserves-rate-above" => parameters.reserves.rate_above = rate(value)?,
        "reserve-requirement" => parameters.reserves.requirement_ppm = share(value)?,
        "shortfall-rate" => parameters.reserves.shortfall_rate = rate(value)?,
        "maintenance-period" => {
            let days = value.strip_suffix("days").or(value.strip_suffix("day")).unwrap_or(value).trim();
            parameters.reserves.period_days =
                days.parse().map_err(|_| format!("expected a number of days, found `{value}`"))?;
        }
        "haircut" => parameters.haircut_ppm = share(value)?,
        _ => {
            let work = value.parse().ok().map(WorkPerBlock).filter(|work| work.is_sound());
            parameters.work_per_block =
                work.ok_or_else(|| format!("expected a number from 1 to {}, found `{value}`", WorkPerBlock::MAX))?;
        }
    }
    Ok(())
}

fn set_for_class(rules: &mut ClassRules, name: &str, value: &str, exponent: u8) -> Result<(), String> {
    match name {
        "holding-limit" => rules.holding_limit = limit(value, exponent)?,
        "payment-limit" => rules.payment_limit = limit(value, exponent)?,
        "day-limit" => rules.day_limit = limit(value, exponent)?,
        "month-limit" => rules.month_limit = limit(value, exponent)?,
        "velocity" => rules.velocity = velocity(value)?,
        "remuneration" => rules.tiers = tiers(value, exponent)?,
        "payer-fee" => rules.payer_fee = fee_schedule(value, exponent)?,
        _ => rules.payee_fee = fee_schedule(value, exponent)?,
    }
    Ok(())
}

fn limit(text: &str, exponent: u8) -> Result<Option<Amount>, String> {
    if text == "none" { Ok(None) } else { Amount::parse_major(text, exponent).map(Some) }
}

/// Reads a rate: `2 %`, `-0.25 %`, `20000 ppm`.
pub fn rate(text: &str) -> Result<RatePpm, String> {
    let wrong = || format!("expected a rate such as 2 %, -0.25 % (at most four decimals) or 20000 ppm, found `{text}`");
    if let Some(ppm) = text.strip_suffix("ppm") {
        return ppm.trim().parse().map(RatePpm).map_err(|_| wrong());
    }
    let percent = text.strip_suffix('%').unwrap_or(text).trim();
    let (is_negative, digits) = percent.strip_prefix('-').map_or((false, percent), |digits| (true, digits));
    let ppm = Amount::parse_major(digits, 4).map_err(|_| wrong())?;
    let ppm = i32::try_from(ppm.minor()).map_err(|_| wrong())?;
    Ok(RatePpm(if is_negative { -ppm } else { ppm }))
}

fn share(text: &str) -> Result<u32, String> {
    let share = rate(text)?.0;
    let share = u32::try_from(share).ok().filter(|share| *share <= 1_000_000);
    share.ok_or_else(|| format!("expected a share from 0 % to 100 %, found `{text}`"))
}

fn velocity(text: &str) -> Result<Option<VelocityRule>, String> {
    if text == "none" {
        return Ok(None);
    }
    let wrong = || {
        format!(
            "expected a rule such as 10 in 24 h (1 to 64 payments in at most 31 d; units ms, s, min, h, d), or none, \
            found `{text}`"
        )
    };
    let (payments, window) = text.split_once(" in ").ok_or_else(wrong)?;
    let window = window.trim();
    let unit_at = window.find(|character: char| !character.is_ascii_digit()).ok_or_else(wrong)?;
    let (count, unit) = window.split_at(unit_at);
    let unit_ms: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let window_ms = count.parse::<u64>().ok().and_then(|count| count.checked_mul(unit_ms)).ok_or_else(wrong)?;
    let rule = VelocityRule { payments: payments.trim().parse().map_err(|_| wrong())?, window_ms };
    if rule.is_sound() { Ok(Some(rule)) } else { Err(wrong()) }
}

/// One part of a list such as `0 % up to 3000`; the bound is `None` for `above`, and for a part alone.
fn bounded_part(part: &str, exponent: u8) -> Result<(&str, Option<Amount>), String> {
    let part = part.trim();
    if let Some((value, bound)) = part.split_once("up to") {
        return Ok((value.trim(), Some(Amount::parse_major(bound.trim(), exponent)?)));
    }
    Ok((part.strip_suffix("above").unwrap_or(part).trim(), None))
}

/// Reads tiers: `0 % up to 3000, -1 % above`.
pub fn tiers(text: &str, exponent: u8) -> Result<Tiers, String> {
    let wrong = || {
        format!("expected tiers with ascending bounds, at most 3, such as 0 % up to 3000, -1 % above, found `{text}`")
    };
    let parts: Vec<&str> = text.split(',').collect();
    let (last, bounded) = parts.split_last().ok_or_else(wrong)?;
    let mut tiers = Vec::new();
    for part in bounded {
        let (value, bound) = bounded_part(part, exponent)?;
        tiers.push(Tier { up_to: bound.ok_or_else(wrong)?, rate: rate(value)? });
    }
    match bounded_part(last, exponent)? {
        (value, None) => Tiers::new(&tiers, rate(value)?).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

/// Reads fees: `10 up to 5000, 25 up to 50000, 50 above, to equity`.
pub fn fee_schedule(text: &str, exponent: u8) -> Result<FeeSchedule, String> {
    if text == "none" {
        return Ok(FeeSchedule::default());
    }
    let wrong = || {
        format!(
            "expected up to 4 fees with ascending bounds, such as 0.10 + 0.5 % up to 100, 1 above, to payee-bank, or \
            none, found `{text}`"
        )
    };
    let mut parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut to = FeeTo::Equity;
    if let Some(receiver) = parts.last().and_then(|last| last.strip_prefix("to ")) {
        to = match receiver.trim() {
            "equity" => FeeTo::Equity,
            "payee-bank" => FeeTo::PayeeBank,
            _ => return Err(wrong()),
        };
        parts.pop();
    }
    let mut brackets = Vec::new();
    let count = parts.len();
    for (position, part) in parts.into_iter().enumerate() {
        let (value, bound) = bounded_part(part, exponent)?;
        // The last bracket holds beyond its bound, so `above` needs none.
        let up_to = match bound {
            Some(bound) => bound,
            None if position + 1 == count => Amount::MAX,
            None => return Err(wrong()),
        };
        let (flat, share_of) = match value.split_once('+') {
            Some((flat, share_of)) => (flat.trim(), Some(share_of.trim())),
            None if value.ends_with('%') => ("0", Some(value)),
            None => (value, None),
        };
        let flat = Amount::parse_major(flat, exponent)?;
        brackets.push(FeeBracket { up_to, flat, share_ppm: share_of.map_or(Ok(0), share)? });
    }
    FeeSchedule::new(to, &brackets).filter(|_| count > 0).ok_or_else(wrong)
}

/// A rate as [`rate`] reads it: `2 %`, `-0.25 %`.
pub fn show_rate(rate: RatePpm) -> String {
    show_percent(i64::from(rate.0))
}

fn show_percent(ppm: i64) -> String {
    let digits = Amount::from_minor(ppm.unsigned_abs()).to_major(4);
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{}{digits} %", if ppm < 0 { "-" } else { "" })
}

fn show_limit(limit: Option<Amount>, exponent: u8) -> String {
    limit.map_or("none".to_owned(), |limit| limit.to_major(exponent))
}

fn show_velocity(rule: Option<VelocityRule>) -> String {
    let Some(rule) = rule else { return "none".to_owned() };
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];
    let (unit, ms) = units.into_iter().find(|(_, ms)| rule.window_ms.is_multiple_of(*ms)).unwrap_or(("ms", 1));
    format!("{} in {} {unit}", rule.payments, rule.window_ms / ms)
}

/// Tiers as [`tiers`] reads them.
pub fn show_tiers(tiers: &Tiers, exponent: u8) -> String {
    let bounded = tiers.bounded().iter();
    let mut parts: Vec<String> =
        bounded.map(|tier| format!("{} up to {}", show_rate(tier.rate), tier.up_to.to_major(exponent))).collect();
    let suffix = if parts.is_empty() { "" } else { " above" };
    parts.push(format!("{}{suffix}", show_rate(tiers.above())));
    parts.join(", ")
}

/// A fee schedule as [`fee_schedule`] reads it.
pub fn show_fees(schedule: &FeeSchedule, exponent: u8) -> String {
    if schedule.brackets().is_empty() {
        return "none".to_owned();
    }
    let part = |bracket: &FeeBracket| {
        let flat = bracket.flat.to_major(exponent);
        let fee = match (bracket.flat.is_zero(), bracket.share_ppm) {
            (_, 0) => flat,
            (true, ppm) => show_percent(i64::from(ppm)),
            (false, ppm) => format!("{flat} + {}", show_percent(i64::from(ppm))),
        };
        if bracket.up_to == Amount::MAX {
            format!("{fee} above")
        } else {
            format!("{fee} up to {}", bracket.up_to.to_major(exponent))
        }
    };
    let brackets: Vec<String> = schedule.brackets().iter().map(part).collect();
    format!("{}, to {}", brackets.join(", "), schedule.to.name())
}

/// Every parameter by name, in a fixed order, including those with the value of [`Parameters::default`].
pub fn show(parameters: &Parameters, exponent: u8) -> Vec<(String, String)> {
    let (rates, reserves) = (&parameters.key_rates, &parameters.reserves);
    let mut shown = vec![
        ("supply-cap".to_owned(), show_limit(parameters.supply_cap, exponent)),
        ("issuance-quota".to_owned(), show_limit(parameters.issuance_quota, exponent)),
    ];
    for (bank, quota) in &parameters.issuance_quota_of_bank {
        shown.push((format!("issuance-quota.bank-{bank}"), quota.to_major(exponent)));
    }
    let for_all = [
        ("capitalisation", parameters.capitalisation.name().to_owned()),
        ("policy-rate", show_rate(rates.policy)),
        ("deposit-rate", show_rate(rates.deposit)),
        ("lending-rate", show_rate(rates.lending)),
        ("penalty-rate", show_rate(rates.penalty)),
        ("reserves-rate-up-to", show_rate(reserves.rate_up_to)),
        ("reserves-rate-above", show_rate(reserves.rate_above)),
        ("reserve-requirement", show_percent(i64::from(reserves.requirement_ppm))),
        ("shortfall-rate", show_rate(reserves.shortfall_rate)),
        ("maintenance-period", format!("{} days", reserves.period_days)),
        ("haircut", show_percent(i64::from(parameters.haircut_ppm))),
        ("work-per-block", parameters.work_per_block.0.to_string()),
    ];
    shown.extend(for_all.map(|(name, value)| (name.to_owned(), value)));
    for class in Class::all() {
        let rules = parameters.class(class);
        let of_class = [
            show_limit(rules.holding_limit, exponent),
            show_limit(rules.payment_limit, exponent),
            show_limit(rules.day_limit, exponent),
            show_limit(rules.month_limit, exponent),
            show_velocity(rules.velocity),
            show_tiers(&rules.tiers, exponent),
            show_fees(&rules.payer_fee, exponent),
            show_fees(&rules.payee_fee, exponent),
        ];
        shown.extend(CLASS_NAMES.iter().zip(of_class).map(|(name, value)| (format!("{name}.{class}"), value)));
    }
    shown
}

/// The differences between two sets, in the text of the second: names and values.
pub fn differences(from: &Parameters, to: &Parameters, exponent: u8) -> Vec<(String, String)> {
    let before = show(from, exponent);
    let after = show(to, exponent);
    let mut differing: Vec<_> = after.iter().filter(|entry| !before.contains(entry)).cloned().collect();
    let is_gone = |(name, _): &&(String, String)| !after.iter().any(|(kept, _)| kept == name);
    differing.extend(before.iter().filter(is_gone).map(|(name, _)| (name.clone(), "none".to_owned())));
    differing
}

/// The changes that lead from one set to another.
pub fn changes(from: &Parameters, to: &Parameters) -> Vec<PolicyChange> {
    let mut changes = Vec::new();
    let mut note = |differs: bool, change: PolicyChange| {
        if differs {
            changes.push(change);
        }
    };
    note(from.supply_cap != to.supply_cap, PolicyChange::SupplyCap(to.supply_cap));
    note(from.issuance_quota != to.issuance_quota, PolicyChange::IssuanceQuota(to.issuance_quota));
    let banks = from.issuance_quota_of_bank.keys().chain(to.issuance_quota_of_bank.keys());
    for bank in banks.collect::<std::collections::BTreeSet<_>>() {
        let [before, after] = [from, to].map(|set| set.issuance_quota_of_bank.get(bank).copied());
        note(before != after, PolicyChange::IssuanceQuotaOfBank { bank: *bank, quota: after });
    }
    note(from.capitalisation != to.capitalisation, PolicyChange::Capitalisation(to.capitalisation));
    note(from.key_rates != to.key_rates, PolicyChange::KeyRates(to.key_rates));
    note(from.reserves != to.reserves, PolicyChange::Reserves(to.reserves));
    note(from.haircut_ppm != to.haircut_ppm, PolicyChange::Haircut { ppm: to.haircut_ppm });
    note(from.work_per_block != to.work_per_block, PolicyChange::WorkPerBlock(to.work_per_block));
    for class in Class::all() {
        let (before, after) = (from.class(class), to.class(class));
        let limit = after.holding_limit;
        note(before.holding_limit != limit, PolicyChange::HoldingLimit { class, limit });
        let limit = after.payment_limit;
        note(before.payment_limit != limit, PolicyChange::PaymentLimit { class, limit });
        let limit = after.day_limit;
        note(before.day_limit != limit, PolicyChange::DayLimit { class, limit });
        let limit = after.month_limit;
        note(before.month_limit != limit, PolicyChange::MonthLimit { class, limit });
        note(before.velocity != after.velocity, PolicyChange::Velocity { class, rule: after.velocity });
        note(before.tiers != after.tiers, PolicyChange::Remuneration { class, tiers: after.tiers });
        note(before.payer_fee != after.payer_fee, PolicyChange::PayerFee { class, schedule: after.payer_fee });
        note(before.payee_fee != after.payee_fee, PolicyChange::PayeeFee { class, schedule: after.payee_fee });
    }
    changes
}

/// A change as text, as voters read it.
pub fn describe(change: &PolicyChange, exponent: u8) -> String {
    let amount = |limit: &Option<Amount>| show_limit(*limit, exponent);
    match change {
        PolicyChange::SupplyCap(cap) => format!("supply-cap = {}", amount(cap)),
        PolicyChange::IssuanceQuota(quota) => format!("issuance-quota = {}", amount(quota)),
        PolicyChange::IssuanceQuotaOfBank { bank, quota } => format!("issuance-quota.bank-{bank} = {}", amount(quota)),
        PolicyChange::HoldingLimit { class, limit } => format!("holding-limit.{class} = {}", amount(limit)),
        PolicyChange::PaymentLimit { class, limit } => format!("payment-limit.{class} = {}", amount(limit)),
        PolicyChange::DayLimit { class, limit } => format!("day-limit.{class} = {}", amount(limit)),
        PolicyChange::MonthLimit { class, limit } => format!("month-limit.{class} = {}", amount(limit)),
        PolicyChange::Velocity { class, rule } => format!("velocity.{class} = {}", show_velocity(*rule)),
        PolicyChange::Remuneration { class, tiers } => {
            format!("remuneration.{class} = {}", show_tiers(tiers, exponent))
        }
        PolicyChange::Capitalisation(capitalisation) => format!("capitalisation = {}", capitalisation.name()),
        PolicyChange::PayerFee { class, schedule } => format!("payer-fee.{class} = {}", show_fees(schedule, exponent)),
        PolicyChange::PayeeFee { class, schedule } => format!("payee-fee.{class} = {}", show_fees(schedule, exponent)),
        PolicyChange::KeyRates(rates) => format!(
            "policy-rate = {}, deposit-rate = {}, lending-rate = {}, penalty-rate = {}",
            show_rate(rates.policy),
            show_rate(rates.deposit),
            show_rate(rates.lending),
            show_rate(rates.penalty)
        ),
        PolicyChange::Reserves(rules) => format!(
            "reserves-rate-up-to = {}, reserves-rate-above = {}, reserve-requirement = {}, shortfall-rate = {}, \
            maintenance-period = {} days",
            show_rate(rules.rate_up_to),
            show_rate(rules.rate_above),
            show_percent(i64::from(rules.requirement_ppm)),
            show_rate(rules.shortfall_rate),
            rules.period_days
        ),
        PolicyChange::Haircut { ppm } => format!("haircut = {}", show_percent(i64::from(*ppm))),
        PolicyChange::WorkPerBlock(work) => format!("work-per-block = {}", work.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [(&str, &str); 22] = [
        ("supply-cap", "1000000.00"),
        ("issuance-quota", "5.05"),
        ("issuance-quota.bank-2", "0.00"),
        ("capitalisation", "daily"),
        ("policy-rate", "2 %"),
        ("deposit-rate", "-0.25 %"),
        ("lending-rate", "2.5 %"),
        ("penalty-rate", "5.0001 %"),
        ("reserves-rate-up-to", "0 %"),
        ("reserves-rate-above", "-0.5 %"),
        ("reserve-requirement", "1 %"),
        ("shortfall-rate", "2.5 %"),
        ("maintenance-period", "42 days"),
        ("haircut", "12.5 %"),
        ("work-per-block", "100"),
        ("holding-limit.household", "3000.00"),
        ("month-limit.merchant", "0.01"),
        ("velocity.household", "10 in 1 d"),
        ("remuneration.household", "0 % up to 3000.00, 1 % up to 5000.00, -1 % above"),
        ("remuneration.business", "-0.5 %"),
        ("payer-fee.household", "10.00 up to 5000.00, 0.5 % up to 50000.00, 50.00 + 1 % above, to equity"),
        ("payee-fee.merchant", "0.2 % above, to payee-bank"),
    ];

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let mut parameters = Parameters::default();
        for (name, value) in VALUES {
            set(&mut parameters, name, value, 2).unwrap();
            assert!(show(&parameters, 2).contains(&(name.to_owned(), value.to_owned())), "{name} = {value}");
        }
        let mut again = Parameters::default();
        for change in changes(&again.clone(), &parameters) {
            again.apply(&change);
        }
        assert_eq!(again, parameters);
        assert_eq!(differences(&Parameters::default(), &parameters, 2).len(), VALUES.len() - 1, "one is a default");
        assert!(changes(&parameters, &parameters).is_empty());
    }

    #[test]
    fn units_and_short_forms_are_understood() {
        assert_eq!(rate("20000 ppm"), Ok(RatePpm(20_000)));
        assert_eq!(rate("2"), Ok(RatePpm(20_000)));
        assert_eq!(velocity("3 in 90 min").unwrap().unwrap().window_ms, 5_400_000);
        assert_eq!(velocity("3 in 36 h").map(show_velocity), Ok("3 in 36 h".to_owned()));
        assert_eq!(tiers("1%", 2), Ok(Tiers::flat(RatePpm(10_000))));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_an_example_and_changes_nothing() {
        let mut parameters = Parameters::default();
        for (name, value) in [
            ("holding-limit", "5"),
            ("holding-limit.houshold", "5"),
            ("holding-limit.household", "5.001"),
            ("velocity.household", "0 in 1 h"),
            ("velocity.household", "65 in 1 h"),
            ("velocity.household", "1 in 32 d"),
            ("velocity.household", "1 in h"),
            ("remuneration.household", "1 % up to 5, 2 % up to 5, 0 % above"),
            ("remuneration.household", "1 % up to 5"),
            ("remuneration.household", "1.00001 %"),
            ("payer-fee.household", "1 above, 2 above"),
            ("payer-fee.household", "101 %"),
            ("payer-fee.household", "1, to nobody"),
            ("haircut", "-1 %"),
            ("work-per-block", "0"),
            ("issuance-quota.2", "5"),
            ("interest", "5"),
            ("capitalisation", "yearly"),
        ] {
            let message = set(&mut parameters, name, value, 2).unwrap_err();
            assert!(message.contains("expected") || message.contains("name a class"), "{name} = {value}: {message}");
            assert_eq!(parameters, Parameters::default());
        }
    }
}
