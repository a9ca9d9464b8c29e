//! Decisions: what each household intends to do today.
//!
//! A household considers its own state, its bank's terms and policy, and draws from its own stream of random numbers.
//! It changes nothing, so households can be processed in any order and on any number of threads: each thread takes a
//! contiguous range, and all intents are settled in the order of households.

use cbdc_ledger::policy::FeeSchedule;

use super::Economy;
use super::fees::fee_of;
use super::intent::{Intent, IntentKind};
use crate::behaviour::{Channel, PortfolioView};
use crate::rng::{Purpose, Stream};

/// The state that all households share today.
struct Today<'a> {
    economy: &'a Economy<'a>,
    seasonality: f64,
    /// An adopter's probability of paying with CBDC where that is free.
    cbdc_probability: f64,
    /// The schedule charged to payers; `None` if they pay nothing.
    payer_fees: Option<FeeSchedule>,
    is_outage: bool,
    adopted_share: f64,
    cbdc_rate: f64,
    /// The bound of CBDC's first tier, and the rate above it.
    tier: Option<(f64, f64)>,
    limit_minor: Option<i64>,
    bank_risk: Vec<f64>,
    /// The highest trust in an active bank, and the indices of the banks that enjoy it.
    best_trust: f64,
    best_banks: Vec<u32>,
    price_level: f64,
    /// Banknotes stored at rest, as a share of liquid wealth at rest.
    stored_share: f64,
    rebalance_days: u32,
}

impl Economy<'_> {
    /// Today's seasonal factor.
    pub(super) fn seasonality_today(&self) -> f64 {
        let since_payday = self.macro_state.last_payday.map(|payday| self.day.number - payday);
        self.behaviours().seasonality.factor(&self.day, since_payday) / self.seasonality_mean
    }

    /// Fills `intents`, one list per thread, in the order of households.
    pub(super) fn decide(&mut self) {
        let mut lists = std::mem::take(&mut self.intents);
        lists.resize_with(self.threads, Vec::new);
        let active = || self.banks.iter().enumerate().filter(|(_, bank)| bank.is_active());
        let best_trust = active().map(|(_, bank)| bank.trust).fold(0.0, f64::max);
        let best_banks = active().filter(|(_, bank)| bank.trust == best_trust).map(|(index, _)| index as u32).collect();
        let today = Today {
            economy: self,
            seasonality: self.seasonality_today(),
            cbdc_probability: self.behaviours().instrument.cbdc_probability(self.macro_state.trust_cbdc),
            payer_fees: Some(self.payer_fees()).filter(|schedule| !schedule.brackets().is_empty()),
            is_outage: self.is_outage(),
            adopted_share: f64::from(self.macro_state.adopters) / self.households.len().max(1) as f64,
            cbdc_rate: self.cbdc_rate(),
            tier: self.cbdc_tier(),
            limit_minor: self.holding_limit_minor(),
            bank_risk: self.banks.iter().map(|bank| bank.risk()).collect(),
            best_trust,
            best_banks,
            price_level: self.macro_state.price_level,
            stored_share: self.stored_share(),
            rebalance_days: self.behaviours().portfolio.parameters.rebalance_days as u32,
        };
        let run = self.households.len().div_ceil(self.threads).max(1);
        let decide_run = |index: usize, list: &mut Vec<Intent>| {
            list.clear();
            let end = ((index + 1) * run).min(self.households.len());
            (index * run..end).for_each(|household| today.decide(household, list));
        };
        match lists.as_mut_slice() {
            [only] => decide_run(0, only),
            many => std::thread::scope(|scope| {
                for (index, list) in many.iter_mut().enumerate() {
                    let decide_run = &decide_run;
                    scope.spawn(move || decide_run(index, list));
                }
            }),
        }
        self.intents = lists;
    }
}

impl Today<'_> {
    fn decide(&self, household: usize, intents: &mut Vec<Intent>) {
        let (economy, households) = (self.economy, &self.economy.households);
        let day = economy.day.number;
        let mut stream = Stream::of(economy.seed, Purpose::Day, day, household as u32);
        let has_wallet = households.wallet[household] != 0;
        let mut intent = |kind, payee, amount_minor| {
            intents.push(Intent { household: household as u32, kind, payee, amount_minor });
        };

        if !has_wallet && households.may_adopt[household] && !self.is_outage {
            let adoption = &economy.behaviours().adoption;
            let age = households.age[household];
            let trust_bank = economy.banks[usize::from(households.bank[household])].trust;
            let trust_cbdc = economy.macro_state.trust_cbdc;
            if stream.happens(adoption.hazard_a_day(self.adopted_share, trust_cbdc, trust_bank, age)) {
                intent(IntentKind::Open, 0, 0);
            }
        }
        if let Some(bank) = self.switch(household, &mut stream) {
            intent(IntentKind::Switch, bank, 0);
        }
        let looks = (day + household as u32).is_multiple_of(self.rebalance_days) || day == 0;
        if has_wallet && !self.is_outage && looks {
            let change = self.rebalancing(household);
            match change {
                0 => {}
                1.. => intent(IntentKind::Fund, 0, change),
                _ => intent(IntentKind::Defund, 0, -change),
            }
        }

        let mean = f64::from(households.payments_a_day[household]) * self.seasonality;
        let largest = f64::from(households.largest_minor[household]);
        let instrument = &economy.behaviours().instrument;
        let taste = f64::from(households.cash_taste[household]);
        // Expected cash spending a day, at the share of an average payment.
        let average = (economy.amounts.mean_minor * self.price_level).min(largest);
        let cash_share = instrument.cash_probability(Channel::PointOfSale, average, taste);
        let spending = f64::from(households.payments_a_day[household]) * average * cash_share;
        let bank = &economy.banks[usize::from(households.bank[household])];
        let cash = &economy.behaviours().cash;
        let store = match bank.trust < 1.0 {
            true => {
                let liquid = households.liquid_minor(household) as f64;
                cash.store_minor(liquid, bank.trust, self.is_insured(household))
            }
            false => 0,
        };
        let beyond_store = households.cash_minor[household] - store - self.stored_at_rest(household);
        let drawn = cash.drawn_minor(beyond_store, spending, bank.deposit_rate);
        if drawn > 0 {
            intent(IntentKind::Draw, 0, drawn);
        }
        let returned = cash.returned_minor(beyond_store, spending);
        if looks && returned > 0 {
            intent(IntentKind::Return, 0, returned);
        }

        let payments = stream.poisson(mean, libm::exp(-mean));
        for _ in 0..payments {
            let (channel, amount) = economy.amounts.draw(&mut stream);
            let amount = (f64::from(amount) * self.price_level).min(largest).max(1.0);
            let bits = stream.bits();
            let point = (bits >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0);
            // The bits below those of the point choose the payee.
            let draw = (stream.bits() >> 32) as usize;
            let is_to_person = channel == Channel::PersonToPerson;
            let payee = if is_to_person {
                let others = households.len() as u64;
                let payee = ((draw as u64 * others) >> 32) as u32;
                if payee as usize == household { (payee + 1) % others as u32 } else { payee }
            } else {
                economy.firms.popularity[draw & (economy.firms.popularity.len() - 1)]
            };
            if is_to_person && payee as usize == household {
                continue;
            }
            let cbdc = if has_wallet && !self.is_outage { self.probability_of_cbdc(amount) } else { 0.0 };
            let cash = instrument.cash_probability(channel, amount, taste);
            let instrument = match point {
                point if point < cbdc => super::CBDC,
                point if point < cbdc + (1.0 - cbdc) * cash => super::CASH,
                _ => super::DEPOSIT,
            };
            intent(IntentKind::Pay { instrument: instrument as u8, is_to_person }, payee, amount as i64);
        }
    }

    /// The bank to which a household switches today. Nothing is drawn unless a bank leads in trust.
    fn switch(&self, household: usize, stream: &mut Stream) -> Option<u32> {
        let (economy, households) = (self.economy, &self.economy.households);
        let behaviours = economy.behaviours();
        let lead = self.best_trust - economy.banks[usize::from(households.bank[household])].trust;
        if households.loan_minor[household] > 0 || !behaviours.switching.minds(lead) {
            return None;
        }
        let leaves = stream.happens(behaviours.switching.probability_a_day(lead, self.is_insured(household)));
        leaves.then(|| self.best_banks[stream.below(self.best_banks.len() as u32) as usize])
    }

    /// Banknotes that a household stores at rest.
    fn stored_at_rest(&self, household: usize) -> i64 {
        (f64::from(self.economy.households.wealth_minor[household]) * self.stored_share * self.price_level) as i64
    }

    /// Whether no loss of its bank can reach a household's deposit.
    fn is_insured(&self, household: usize) -> bool {
        let deposit = self.economy.households.deposit_minor[household];
        self.economy.behaviours().resolution.exposed_minor(deposit) == 0
    }

    /// The probability that an adopter pays an amount with CBDC.
    fn probability_of_cbdc(&self, amount_minor: f64) -> f64 {
        let Some(fees) = &self.payer_fees else { return self.cbdc_probability };
        let fee = fee_of(fees, amount_minor as i64) as f64;
        self.cbdc_probability * self.economy.behaviours().instrument.in_spite_of_fee(fee, amount_minor)
    }

    /// The amount that a household would move into its wallet, or out of it where negative.
    fn rebalancing(&self, household: usize) -> i64 {
        let (economy, households) = (self.economy, &self.economy.households);
        let bank = &economy.banks[usize::from(households.bank[household])];
        let portfolio = &economy.behaviours().portfolio;
        let largest = f64::from(households.largest_minor[household]);
        let average = economy.amounts.mean_up_to(largest / self.price_level) * self.price_level;
        let spending = f64::from(households.payments_a_day[household]) * average;
        let view = PortfolioView {
            liquid_minor: households.liquid_minor(household) as f64,
            spending_minor_a_day: spending * self.probability_of_cbdc(average),
            rate_spread: self.cbdc_rate - bank.deposit_rate,
            trust_bank: bank.trust,
            is_insured: self.is_insured(household),
            trust_cbdc: economy.macro_state.trust_cbdc,
            taste: f64::from(households.taste[household]),
            bank_risk: self.bank_risk[usize::from(households.bank[household])],
        };
        let held = households.cbdc_minor[household];
        let most = held + households.deposit_minor[household].max(0);
        let most = self.limit_minor.map_or(most, |limit| most.min(limit));
        // The tolerance is relative to the attainable target: relative to an unbounded one it would cover any gap.
        let tier = self.tier.map(|(bound, above)| (bound, above - bank.deposit_rate));
        let wanted = portfolio.wanted_by_tiers_minor(&view, tier).min(most as f64) as i64;
        let change = wanted - held;
        let left_alone = (wanted as f64 * portfolio.parameters.tolerance) as i64;
        if change.abs() <= left_alone { 0 } else { change }
    }
}
