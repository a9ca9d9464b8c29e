//! Events: shocks, scheduled policy and rules, in this order, in the morning.
//!
//! Policy changes are governance proposals that the committee makes, approves and has enacted; limits apply from the
//! next block, rates from the next ledger day. Base money is changed by market operations with banks, at par.

use cbdc_ledger::amount::Amount;
use cbdc_ledger::books::BookAccount;
use cbdc_ledger::command::{GovernanceAction, OperationKind};
use cbdc_ledger::identity::Class;
use cbdc_ledger::policy::PolicyChange;

use super::Economy;
use super::opening::{key_rates, tiers};
use crate::accounts::{Flow, Sector, in_euros, in_percent, portion, ppm, split};
use crate::authority::minor;
use crate::error::EconomyError;
use crate::expression::{Expression, Sight};
use crate::scenario::policy::{Lever, Rule, RuleKind, Scheduled, schedule_of};
use crate::scenario::shock::{Shock, ShockKind};

/// The range of the policy rate that follows the money market: below it the public holds banknotes instead.
const LOWER_BOUND: f64 = -0.005;
const UPPER_BOUND: f64 = 0.3;

/// Smallest change of a rate that leads to a proposal.
const RATE_STEP_PPM: i64 = 100;

fn cbdc_rates_in_words(rate_ppm: i64, bound: Option<u64>, above_ppm: i64) -> String {
    match bound {
        None => format!("CBDC rate {}", in_percent(rate_ppm)),
        Some(bound) => {
            let (rate, above) = (in_percent(rate_ppm), in_percent(above_ppm));
            format!("CBDC rate {rate} up to {}, {above} above", in_euros(bound as i64))
        }
    }
}

impl Economy<'_> {
    pub(super) fn events(&mut self) -> Result<(), EconomyError> {
        let (values, today) = (self.values, self.day.number);
        for shock in values.shocks.iter().filter(|shock| shock.day == today) {
            self.shock(shock)?;
        }
        for scheduled in values.schedule.iter().filter(|scheduled| scheduled.day == today) {
            self.scheduled(scheduled)?;
        }
        for rule in &values.rules {
            if today >= rule.from_day && (today - rule.from_day).is_multiple_of(rule.every_days) {
                self.rule(rule)?;
            }
        }
        Ok(())
    }

    /// Records shocks and policy changes after the last day, which never happen.
    pub(super) fn note_what_never_happens(&mut self) {
        let days = self.values.time.days;
        let shocks = self.values.shocks.iter().map(|shock| ("a shock", shock.day));
        let scheduled = self.values.schedule.iter().map(|scheduled| ("a scheduled change", scheduled.day));
        let rules = self.values.rules.iter().map(|rule| ("a rule that begins", rule.from_day));
        let late: Vec<(&str, u32)> = shocks.chain(scheduled).chain(rules).filter(|(_, day)| *day >= days).collect();
        for (what, day) in late {
            let last = days.saturating_sub(1);
            self.note_event("run", format!("{what} on day {day} never happens: the last day is {last}"), 0);
        }
    }

    fn shock(&mut self, shock: &Shock) -> Result<(), EconomyError> {
        let Shock { size, days, bank, .. } = *shock;
        let bank_index = usize::from(bank.max(1) - 1);
        match shock.kind {
            ShockKind::Rates => {
                let rate = ppm(self.policy_rate() + size);
                return self.set_policy_rate("shock", "rates", rate);
            }
            ShockKind::TrustBanks => {
                self.banks.iter_mut().for_each(|bank| bank.trust = (bank.trust - size).max(0.0));
                self.note_event("shock", format!("trust in all banks falls by {size}"), 0);
            }
            ShockKind::TrustBank => {
                self.banks[bank_index].trust = (self.banks[bank_index].trust - size).max(0.0);
                self.note_event("shock", format!("trust in bank {bank} falls by {size}"), 0);
            }
            ShockKind::TrustCbdc => {
                self.macro_state.trust_cbdc = (self.macro_state.trust_cbdc - size).max(0.0);
                self.note_event("shock", format!("trust in CBDC falls by {size}"), 0);
            }
            ShockKind::BankLoss => {
                let lost = self.write_off(bank_index, size);
                self.note_event("shock", format!("bank {bank} writes off loans of {}", in_euros(lost)), 0);
            }
            ShockKind::FailBank => {
                self.banks[bank_index].is_failing = self.banks[bank_index].is_active();
                self.note_event("shock", format!("bank {bank} is declared failing"), 0);
            }
            ShockKind::Income => {
                (self.macro_state.income_loss, self.macro_state.income_loss_until) = (size, self.day.number + days);
                self.plan_spending();
                self.note_event("shock", format!("wages fall by a share of {size} for {days} days"), 0);
            }
            ShockKind::Outage => {
                self.macro_state.outage_until = self.macro_state.outage_until.max(self.day.number + days);
                self.note_event("shock", format!("CBDC cannot be used for {days} days"), 0);
            }
        }
        Ok(())
    }

    /// Writes off a share of every loan of a bank.
    fn write_off(&mut self, bank_index: usize, share: f64) -> i64 {
        let mut whole = 0;
        let borrowers = [
            (Sector::Households, &self.households.bank, &mut self.households.loan_minor),
            (Sector::Firms, &self.firms.bank, &mut self.firms.loan_minor),
        ];
        for (sector, banks, loans) in borrowers {
            let mut lost = 0;
            for (_, loan) in banks.iter().zip(loans).filter(|(bank, _)| usize::from(**bank) == bank_index) {
                let loss = portion(*loan, ppm(share), 1_000_000);
                *loan -= loss;
                lost += loss;
            }
            self.banks[bank_index].loans_minor -= lost;
            self.banks[bank_index].gain(-lost);
            self.flows_today.record(Flow::WriteOffs, Sector::Banks, sector, lost);
            whole += lost;
        }
        whole
    }

    fn scheduled(&mut self, scheduled: &Scheduled) -> Result<(), EconomyError> {
        let (mut changes, mut words) = (Vec::new(), Vec::new());
        let amount = |limit: &Option<u64>| limit.map(Amount::from_minor);
        let said = |limit: &Option<u64>| limit.map_or("none".to_owned(), |limit| in_euros(limit as i64));
        if let Some(limit) = &scheduled.holding_limit_minor {
            changes.push(PolicyChange::HoldingLimit { class: Class::HOUSEHOLD, limit: amount(limit) });
            words.push(format!("holding limit {}", said(limit)));
        }
        if let Some(cap) = &scheduled.supply_cap_minor {
            changes.push(PolicyChange::SupplyCap(amount(cap)));
            words.push(format!("supply cap {}", said(cap)));
        }
        let class = Class::HOUSEHOLD;
        if let Some(limit) = &scheduled.payment_limit_minor {
            changes.push(PolicyChange::PaymentLimit { class, limit: amount(limit) });
            words.push(format!("payment limit {}", said(limit)));
        }
        if let Some(limit) = &scheduled.day_limit_minor {
            changes.push(PolicyChange::DayLimit { class, limit: amount(limit) });
            words.push(format!("day limit {}", said(limit)));
        }
        if let Some(limit) = &scheduled.month_limit_minor {
            changes.push(PolicyChange::MonthLimit { class, limit: amount(limit) });
            words.push(format!("month limit {}", said(limit)));
        }
        if let Some(fee) = &scheduled.payer_fee {
            changes.push(PolicyChange::PayerFee { class, schedule: schedule_of(fee) });
            words.push(format!("payers' fee {fee}"));
        }
        if let Some(fee) = &scheduled.merchant_fee {
            changes.push(PolicyChange::PayeeFee { class: Class::BUSINESS, schedule: schedule_of(fee) });
            words.push(format!("merchants' fee {fee}"));
        }
        if let Some(rate) = scheduled.policy_rate_ppm {
            changes.push(PolicyChange::KeyRates(key_rates(&self.values.policy, rate)));
            words.push(format!("policy rate {}", in_percent(rate)));
        }
        let (rate, bound, above) = self.cbdc_terms();
        let given = (
            scheduled.cbdc_rate_ppm.unwrap_or(rate),
            scheduled.cbdc_tier_minor.unwrap_or(bound),
            scheduled.cbdc_rate_above_ppm.unwrap_or(above),
        );
        if given != (rate, bound, above) {
            let tiers = tiers(given.0, given.1, given.2);
            changes.push(PolicyChange::Remuneration { class: Class::HOUSEHOLD, tiers });
            words.push(cbdc_rates_in_words(given.0, given.1, given.2));
        }
        if !changes.is_empty() {
            self.enact("schedule", words.join("; "), changes)?;
        }
        let change = scheduled.buy_securities_minor as i64 - scheduled.sell_securities_minor as i64;
        self.trade_securities("schedule", change)
    }

    /// CBDC's first rate, the first tier's bound, and the rate above it.
    fn cbdc_terms(&self) -> (i64, Option<u64>, i64) {
        let tiers = &self.authority.ledger().parameters().class(Class::HOUSEHOLD).tiers;
        let above = i64::from(tiers.above().0);
        match tiers.bounded().first() {
            Some(tier) => (i64::from(tier.rate.0), Some(tier.up_to.minor()), above),
            None => (above, None, above),
        }
    }

    fn rule(&mut self, rule: &Rule) -> Result<(), EconomyError> {
        let (inflation, gap, policy_rate) =
            (self.macro_state.inflation, self.macro_state.output_gap, self.policy_rate());
        match &rule.kind {
            RuleKind::Taylor { neutral_rate, inflation_target, on_inflation, on_gap, smoothing, floor } => {
                let neutral_rate = neutral_rate.unwrap_or(self.rest.real_rate);
                let wanted = neutral_rate + inflation + on_inflation * (inflation - inflation_target) + on_gap * gap;
                let rate = (smoothing * policy_rate + (1.0 - smoothing) * wanted).max(*floor);
                self.set_policy_rate("rule", "Taylor", ppm(rate))
            }
            RuleKind::Mccallum { growth_target, response, rate_semi_elasticity } => {
                let target = growth_target.unwrap_or_else(|| self.behaviours().prices.first_inflation());
                let (spending, velocity) = self.macro_state.money.growth_a_year(target);
                self.grow_base(target - velocity + response * (target - spending), rule.every_days)?;
                self.follow_money_market("McCallum", *rate_semi_elasticity)
            }
            RuleKind::KPercent { growth, rate_semi_elasticity } => {
                self.grow_base(*growth, rule.every_days)?;
                self.follow_money_market("k-percent", *rate_semi_elasticity)
            }
            RuleKind::LimitLadder { steps_minor, share_low, share_high } => {
                self.climb_limits(steps_minor, *share_low, *share_high)
            }
            RuleKind::TierLadder { spread } => {
                let rate = self.deposit_facility_rate() - spread;
                let bound = self.values.policy.cbdc_tier_minor.or(self.values.policy.holding_limit_minor);
                self.set_cbdc_rates("tier ladder", ppm(rate.max(0.0)), bound, ppm(rate.min(0.0)))
            }
            RuleKind::Expression { lever, expression } => {
                // It was parsed when the scenario was read.
                let Ok(parsed) = Expression::parse(expression) else { return Ok(()) };
                let value = parsed.value(&self.sight());
                if !value.is_finite() {
                    return Ok(());
                }
                match lever {
                    Lever::PolicyRate => self.set_policy_rate("rule", expression, ppm(value.clamp(-0.5, 0.5))),
                    Lever::CbdcRate => {
                        let rate = ppm(value.clamp(-0.5, 0.5));
                        self.set_cbdc_rates(expression, rate, None, rate)
                    }
                    Lever::HoldingLimit => self.set_limit(expression, value.clamp(0.0, 1e15) as u64),
                }
            }
        }
    }

    /// The values of an expression's names.
    fn sight(&self) -> Sight {
        [
            self.macro_state.inflation,
            self.macro_state.output_gap,
            self.macro_state.price_level,
            self.policy_rate(),
            self.mean_deposit_rate(),
            self.mean_loan_rate(),
            self.cbdc_rate(),
            self.cbdc_share(),
            f64::from(self.macro_state.adopters) / self.households.len().max(1) as f64,
            self.mean_trust(),
            self.holding_limit_minor().map_or(-1.0, |limit| limit as f64),
            f64::from(self.day.date.month),
        ]
    }

    /// Households' CBDC over their deposits.
    fn cbdc_share(&self) -> f64 {
        let sum = |column: &[i64]| column.iter().sum::<i64>() as f64;
        sum(&self.households.cbdc_minor) / sum(&self.households.deposit_minor).max(1.0)
    }

    /// Raises the limit by a step while holdings are low, lowers it while they are high.
    fn climb_limits(&mut self, steps: &[u64], low: f64, high: f64) -> Result<(), EconomyError> {
        let share = self.cbdc_share();
        let limit = self.holding_limit_minor().map_or(u64::MAX, |limit| limit as u64);
        let next = if share < low {
            steps.iter().find(|step| **step > limit)
        } else if share > high {
            steps.iter().rev().find(|step| **step < limit)
        } else {
            None
        };
        match next {
            Some(next) => self.set_limit("limit ladder", *next),
            None => Ok(()),
        }
    }

    fn set_limit(&mut self, why: &str, limit_minor: u64) -> Result<(), EconomyError> {
        if self.holding_limit_minor() == Some(limit_minor as i64) {
            return Ok(());
        }
        let limit = Some(Amount::from_minor(limit_minor));
        let change = PolicyChange::HoldingLimit { class: Class::HOUSEHOLD, limit };
        self.enact("rule", format!("{why}: holding limit {}", in_euros(limit_minor as i64)), vec![change])
    }

    fn set_policy_rate(&mut self, kind: &str, why: &str, rate_ppm: i64) -> Result<(), EconomyError> {
        if (rate_ppm - ppm(self.policy_rate())).abs() < RATE_STEP_PPM {
            return Ok(());
        }
        let change = PolicyChange::KeyRates(key_rates(&self.values.policy, rate_ppm));
        self.enact(kind, format!("{why}: policy rate {}", in_percent(rate_ppm)), vec![change])
    }

    fn set_cbdc_rates(
        &mut self,
        why: &str,
        rate_ppm: i64,
        bound: Option<u64>,
        above_ppm: i64,
    ) -> Result<(), EconomyError> {
        let (rate, _, above) = self.cbdc_terms();
        if (rate_ppm - rate).abs() < RATE_STEP_PPM && (above_ppm - above).abs() < RATE_STEP_PPM {
            return Ok(());
        }
        let tiers = tiers(rate_ppm, bound, above_ppm);
        let change = PolicyChange::Remuneration { class: Class::HOUSEHOLD, tiers };
        self.enact("rule", format!("{why}: {}", cbdc_rates_in_words(rate_ppm, bound, above_ppm)), vec![change])
    }

    fn enact(&mut self, kind: &str, what: String, changes: Vec<PolicyChange>) -> Result<(), EconomyError> {
        let actions = changes.into_iter().map(GovernanceAction::Policy).collect();
        let proposal = self.approve(actions)?;
        self.note_event(kind, what, proposal);
        Ok(())
    }

    /// Lets base money grow by a yearly share over some days, from where the last decision meant it to be: what
    /// interest and the government moved since is taken back.
    fn grow_base(&mut self, growth: f64, days: u32) -> Result<(), EconomyError> {
        let base = self.base_money_minor() as f64;
        let before = if self.macro_state.base_target_minor > 0.0 { self.macro_state.base_target_minor } else { base };
        let target = before * (1.0 + growth * f64::from(days) / 365.0);
        self.macro_state.base_target_minor = target;
        self.trade_securities("rule", (target - base) as i64)
    }

    /// Sets the policy rate at which the base money there is would be held.
    fn follow_money_market(&mut self, why: &str, semi_elasticity: f64) -> Result<(), EconomyError> {
        let demand_at_rest = self.rest.base_money_minor * self.nominal_spending();
        if semi_elasticity <= 0.0 || demand_at_rest <= 0.0 {
            return Ok(());
        }
        let plenty = (self.base_money_minor().max(1) as f64) / demand_at_rest;
        let rate = f64::from(self.values.policy.policy_rate_ppm as i32) / 1e6 - libm::log(plenty) / semi_elasticity;
        let rate = rate.clamp(LOWER_BOUND, UPPER_BOUND);
        self.set_policy_rate("rule", &format!("{why}, money market"), ppm(rate))
    }

    /// Banknotes, CBDC, and what banks hold at the central bank.
    pub(super) fn base_money_minor(&self) -> i64 {
        let books = self.authority.ledger().books();
        let of_banks: i64 =
            (0..self.banks.len()).map(|bank| self.central_bank_accounts(bank)[..2].iter().sum::<i64>()).sum();
        books.balance(BookAccount::Banknotes) as i64 + books.balance(BookAccount::Cbdc) as i64 + of_banks
    }

    /// Buys securities from banks, or sells them where negative, in proportion to deposits, as far as their bonds or
    /// reserves allow, and notes it.
    fn trade_securities(&mut self, kind: &str, change_minor: i64) -> Result<(), EconomyError> {
        if change_minor == 0 {
            return Ok(());
        }
        let traded = self.operate(change_minor)?;
        let verb = if change_minor > 0 { "buys" } else { "sells" };
        self.note_event(kind, format!("the central bank {verb} securities of {}", in_euros(traded)), 0);
        Ok(())
    }

    /// Lets base money grow with the anchor of expectations, unless a rule sets it.
    pub(super) fn operate_structurally(&mut self) -> Result<(), EconomyError> {
        let sets_base = |rule: &Rule| matches!(rule.kind, RuleKind::KPercent { .. } | RuleKind::Mccallum { .. });
        if self.values.rules.iter().any(sets_base) {
            return Ok(());
        }
        let change = (self.base_money_minor() as f64 * self.rest.growth) as i64;
        self.operate(change).map(|_| ())
    }

    /// A market operation; returns what was traded.
    fn operate(&mut self, change_minor: i64) -> Result<i64, EconomyError> {
        let weights: Vec<i64> =
            self.banks.iter().map(|bank| if bank.is_active() { bank.deposits_minor.max(0) } else { 0 }).collect();
        let mut traded = 0;
        for (index, part) in split(change_minor.abs(), &weights).into_iter().enumerate() {
            let held = self.authority.ledger().books().balance(BookAccount::Securities) as i64;
            let reserves = self.central_bank_accounts(index)[0];
            let bank = &mut self.banks[index];
            let (operation, part) = match change_minor > 0 {
                true => (OperationKind::BuySecurities, part.min(bank.bonds_minor)),
                false => (OperationKind::SellSecurities, part.min(reserves).min(held - traded)),
            };
            if part <= 0 {
                continue;
            }
            self.authority.operation(operation, bank.id, minor(part));
            bank.bonds_minor -= part * change_minor.signum();
            traded += part;
        }
        self.settle_all()?;
        Ok(traded)
    }
}
