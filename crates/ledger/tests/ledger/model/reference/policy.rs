//! The parameters of policy as plain numbers, and what may be in force together.

use std::collections::BTreeMap;

use cbdc_ledger::policy::{
    Capitalisation, FeeSchedule, FeeTo, KeyRates, Parameters, PolicyChange, ReserveRules, Tiers, VelocityRule,
};
use cbdc_ledger::{Amount, Class};

use super::{DAY_MS, MAX, minor};

/// Yearly rates in ppm of the part of a balance up to each bound, and of what lies above all bounds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rates {
    pub tiers: Vec<(i128, i128)>,
    pub above: i128,
}

/// Bounds with a flat part and a share in ppm, and whether the payee's bank has the fee (or equity).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Fee {
    pub to_bank: bool,
    pub brackets: Vec<(i128, i128, i128)>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Policy {
    pub cap: Option<i128>,
    pub quota: Option<i128>,
    pub quota_of_bank: BTreeMap<u16, i128>,
    pub holding: BTreeMap<Class, i128>,
    pub payment: BTreeMap<Class, i128>,
    pub day: BTreeMap<Class, i128>,
    pub month: BTreeMap<Class, i128>,
    /// Payments and window in ms.
    pub velocity: BTreeMap<Class, (i128, i128)>,
    pub rates: BTreeMap<Class, Rates>,
    pub payer_fee: BTreeMap<Class, Fee>,
    pub payee_fee: BTreeMap<Class, Fee>,
    /// Interest is posted every day, not every month.
    pub daily: bool,
    pub policy_rate: i128,
    pub deposit_rate: i128,
    pub lending_rate: i128,
    pub penalty_rate: i128,
    pub reserve_rate_up_to: i128,
    pub reserve_rate_above: i128,
    pub requirement_ppm: i128,
    pub period_days: i128,
    pub shortfall_rate: i128,
    pub haircut_ppm: i128,
    pub work: i128,
}

impl Rates {
    /// The interest that a balance accrues in a day, in minor units × ppm.
    pub fn accrual(&self, balance: i128, has_allowance: bool) -> i128 {
        let (mut sum, mut from) = (0, 0);
        for (bound, rate) in &self.tiers {
            if has_allowance && balance > from {
                sum += (balance.min(*bound) - from) * rate;
                from = *bound;
            }
        }
        sum + (balance - from).max(0) * self.above
    }

    fn of(tiers: &Tiers) -> Rates {
        let bounded = tiers.bounded().iter().map(|tier| (minor(tier.up_to), i128::from(tier.rate.0))).collect();
        Rates { tiers: bounded, above: i128::from(tiers.above().0) }
    }
}

impl Fee {
    pub fn of_amount(&self, amount: i128) -> i128 {
        let found = self.brackets.iter().find(|(up_to, ..)| amount <= *up_to);
        let Some((_, flat, share)) = found.or(self.brackets.last()) else { return 0 };
        (flat + amount * share / 1_000_000).min(MAX)
    }

    fn of(schedule: &FeeSchedule) -> Fee {
        let bracket = |bracket: &cbdc_ledger::policy::FeeBracket| {
            (minor(bracket.up_to), minor(bracket.flat), i128::from(bracket.share_ppm))
        };
        Fee { to_bank: schedule.to == FeeTo::PayeeBank, brackets: schedule.brackets().iter().map(bracket).collect() }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn velocity(rule: Option<VelocityRule>) -> Option<(i128, i128)> {
    rule.map(|rule| (i128::from(rule.payments), i128::from(rule.window_ms)))
}

impl Policy {
    pub fn of(parameters: &Parameters) -> Policy {
        let quota_of_bank = &parameters.issuance_quota_of_bank;
        let mut policy = Policy {
            cap: parameters.supply_cap.map(minor),
            quota: parameters.issuance_quota.map(minor),
            quota_of_bank: quota_of_bank.iter().map(|(bank, quota)| (bank.0, minor(*quota))).collect(),
            haircut_ppm: i128::from(parameters.haircut_ppm),
            work: i128::from(parameters.work_per_block.0),
            daily: parameters.capitalisation == Capitalisation::Daily,
            ..Policy::default()
        };
        policy.set_key_rates(&parameters.key_rates);
        policy.set_reserve_rules(&parameters.reserves);
        for class in Class::all() {
            let rules = parameters.class(class);
            let limit = |limit: Option<Amount>| limit.map(minor);
            put(&mut policy.holding, class, limit(rules.holding_limit));
            put(&mut policy.payment, class, limit(rules.payment_limit));
            put(&mut policy.day, class, limit(rules.day_limit));
            put(&mut policy.month, class, limit(rules.month_limit));
            put(&mut policy.velocity, class, velocity(rules.velocity));
            policy.rates.insert(class, Rates::of(&rules.tiers));
            policy.payer_fee.insert(class, Fee::of(&rules.payer_fee));
            policy.payee_fee.insert(class, Fee::of(&rules.payee_fee));
        }
        policy
    }

    fn set_key_rates(&mut self, rates: &KeyRates) {
        (self.policy_rate, self.deposit_rate) = (i128::from(rates.policy.0), i128::from(rates.deposit.0));
        (self.lending_rate, self.penalty_rate) = (i128::from(rates.lending.0), i128::from(rates.penalty.0));
    }

    fn set_reserve_rules(&mut self, rules: &ReserveRules) {
        self.reserve_rate_up_to = i128::from(rules.rate_up_to.0);
        self.reserve_rate_above = i128::from(rules.rate_above.0);
        self.requirement_ppm = i128::from(rules.requirement_ppm);
        self.period_days = i128::from(rules.period_days);
        self.shortfall_rate = i128::from(rules.shortfall_rate.0);
    }

    pub fn change(&mut self, change: &PolicyChange) {
        match *change {
            PolicyChange::SupplyCap(cap) => self.cap = cap.map(minor),
            PolicyChange::IssuanceQuota(quota) => self.quota = quota.map(minor),
            PolicyChange::IssuanceQuotaOfBank { bank, quota } => {
                put(&mut self.quota_of_bank, bank.0, quota.map(minor));
            }
            PolicyChange::HoldingLimit { class, limit } => put(&mut self.holding, class, limit.map(minor)),
            PolicyChange::PaymentLimit { class, limit } => put(&mut self.payment, class, limit.map(minor)),
            PolicyChange::DayLimit { class, limit } => put(&mut self.day, class, limit.map(minor)),
            PolicyChange::MonthLimit { class, limit } => put(&mut self.month, class, limit.map(minor)),
            PolicyChange::Velocity { class, rule } => put(&mut self.velocity, class, velocity(rule)),
            PolicyChange::Remuneration { class, tiers } => put(&mut self.rates, class, Some(Rates::of(&tiers))),
            PolicyChange::Capitalisation(capitalisation) => self.daily = capitalisation == Capitalisation::Daily,
            PolicyChange::PayerFee { class, schedule } => put(&mut self.payer_fee, class, Some(Fee::of(&schedule))),
            PolicyChange::PayeeFee { class, schedule } => put(&mut self.payee_fee, class, Some(Fee::of(&schedule))),
            PolicyChange::KeyRates(rates) => self.set_key_rates(&rates),
            PolicyChange::Reserves(rules) => self.set_reserve_rules(&rules),
            PolicyChange::Haircut { ppm } => self.haircut_ppm = i128::from(ppm),
            PolicyChange::WorkPerBlock(work) => self.work = i128::from(work.0),
        }
    }

    /// Whether all of it can be in force together.
    pub fn is_sound(&self) -> bool {
        self.deposit_rate <= self.policy_rate
            && self.policy_rate <= self.lending_rate
            && self.lending_rate <= self.penalty_rate
            && self.requirement_ppm <= 1_000_000
            && self.shortfall_rate >= 0
            && self.haircut_ppm <= 1_000_000
            && (1..=65_536).contains(&self.work)
            && self
                .velocity
                .values()
                .all(|(payments, window)| (1..=64).contains(payments) && (1..=31 * DAY_MS).contains(window))
    }

    pub fn quota_for(&self, bank: u16) -> Option<i128> {
        self.quota_of_bank.get(&bank).copied().or(self.quota)
    }

    pub fn requirement(&self, base: i128) -> i128 {
        base * self.requirement_ppm / 1_000_000
    }

    pub fn after_haircut(&self, collateral: i128) -> i128 {
        collateral * (1_000_000 - self.haircut_ppm) / 1_000_000
    }
}
