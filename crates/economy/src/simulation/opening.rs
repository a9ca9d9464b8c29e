//! The first day: agents are drawn, balance sheets set up, the ledger's genesis written, and firms given their wallets.
//!
//! 1. Households and firms are drawn from their distributions; a household's employer and biller by firms' size. A
//!    household's deposit is what is left of its last wages, and savings. Then everybody is [at rest](super::rest).
//! 2. A bank's balance sheet follows from its customers: deposits and loans are theirs; reserves, vault cash, equity
//!    and wholesale funding are shares; bonds are the residual. If that would be negative, wholesale funding fills the
//!    gap.
//! 3. The central bank's balance sheet follows from the banks': reserves and banknotes as liabilities, its equity, and
//!    securities against all of it. All bonds are the government's.

use std::collections::BTreeMap;

use cbdc_ledger::amount::{Amount, RatePpm};
use cbdc_ledger::genesis::{DayCount, opening_books};
use cbdc_ledger::identity::{AccountId, BankId, Class, MemberId};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::{Capitalisation, KeyRates, Parameters, ReserveRules, Tier, Tiers, WorkPerBlock};
use cbdc_ledger::virtual_time::member_key;
use cbdc_ledger::{FormatVersion, Genesis, HolderId};

use super::month::months_until_payday;
use super::{Economy, InstrumentUse, MacroState};
use crate::accounts::{Flows, portion};
use crate::agent::{Bank, BankPhase, Firms, Households, Investors, NO_EMPLOYER};
use crate::authority::Authority;
use crate::calendar::Day;
use crate::error::EconomyError;
use crate::results::Results;
use crate::rng::{Purpose, Stream};
use crate::scenario::policy::{Capitalisation as Posting, Policy, schedule_of};
use crate::scenario::{Scenario, Values};

impl<'a> Economy<'a> {
    pub(super) fn open(scenario: &'a Scenario, seed: u64) -> Result<Economy<'a>, EconomyError> {
        let values = &scenario.values;
        let bank_shares = zipf(usize::from(values.banks.count), values.banks.size_exponent);
        let mut firms = draw_firms(values, seed, &bank_shares);
        let households = draw_households(values, seed, &bank_shares, &mut firms);
        fill_firms(values, &mut firms);
        let (banks, investors, reserves) = draw_up_banks(values, seed, &households, &firms);

        let banknotes =
            households.cash_minor.iter().sum::<i64>() + banks.iter().map(|bank| bank.vault_minor).sum::<i64>();
        let equity = values.investors.central_bank_equity_minor;
        let securities = banknotes + equity + reserves.iter().sum::<i64>();
        let bonds_minor = securities + investors.bonds_minor + banks.iter().map(|bank| bank.bonds_minor).sum::<i64>();
        let genesis = genesis(values, &reserves, banknotes, equity);
        let authority = Authority::new(genesis, values.banks.count, values.policy.committee_seats)?;
        let amounts = values.behaviours.workload.table();
        let mut economy = Economy {
            values,
            seed,
            threads: scenario.threads,
            day: Day::new(values.time.first_day(), 0),
            authority,
            households,
            firms,
            banks,
            investors,
            bonds_minor,
            amounts,
            seasonality_mean: values.behaviours.seasonality.mean(values.time.first_day(), values.time.payday),
            rest: super::rest::Rest::default(),
            macro_state: MacroState { inflation: values.behaviours.prices.first_inflation(), ..CLIMATE },
            flows_today: Flows::default(),
            flows_period: Flows::default(),
            worth: [0; 6],
            used: [InstrumentUse::default(); 4],
            period_income_minor: 0,
            intents: Vec::new(),
            shells: Vec::new(),
            all_shells: Vec::new(),
            abandoned: Vec::new(),
            results: Results::default(),
        };
        for index in 0..economy.banks.len() {
            economy.banks[index].at_central_bank_minor = economy.at_central_bank(index);
        }
        economy.note_what_never_happens();
        economy.open_first_wallets()?;
        economy.find_rest();
        economy.plan_spending();
        economy.worth = economy.worth_of_sectors();
        economy.check_range(&economy.worth)?;
        economy.note_period();
        Ok(economy)
    }

    /// Opens the wallets of firms that take CBDC and of households that begin with one.
    fn open_first_wallets(&mut self) -> Result<(), EconomyError> {
        let accepting = self.values.firms.accepting_share;
        let firms: Vec<usize> = (0..self.firms.len())
            .filter(|firm| Stream::of(self.seed, Purpose::Population, 1, *firm as u32).unit() < accepting)
            .collect();
        for chunk in firms.chunks(8_192) {
            let wanted =
                chunk.iter().map(|firm| (self.firms.bank[*firm], Class::BUSINESS, Firms::holder(*firm))).collect();
            for (firm, account) in chunk.iter().zip(self.open_wallets(wanted)?) {
                self.firms.wallet[*firm] = account.to_u64();
                self.firms.sequence[*firm] = 1;
            }
        }
        let (ceiling, initial) = self.behaviours().adoption.ceiling_and_initial();
        let initial = if ceiling > 0.0 { initial / ceiling } else { 0.0 };
        let households: Vec<usize> = (0..self.households.len())
            .filter(|household| {
                let draw = Stream::of(self.seed, Purpose::Population, 2, *household as u32).unit();
                self.households.may_adopt[*household] && draw < initial
            })
            .collect();
        self.open_household_wallets(&households)
    }

    /// Opens wallets for households, linked to their deposits if policy has waterfalls.
    pub(super) fn open_household_wallets(&mut self, households: &[usize]) -> Result<(), EconomyError> {
        for chunk in households.chunks(8_192) {
            let class = Class::HOUSEHOLD;
            let wanted =
                chunk.iter().map(|index| (self.households.bank[*index], class, Households::holder(*index))).collect();
            for (household, account) in chunk.iter().zip(self.open_wallets(wanted)?) {
                self.households.wallet[*household] = account.to_u64();
                self.households.sequence[*household] = 1;
            }
            self.macro_state.adopters += chunk.len() as u32;
        }
        Ok(())
    }

    /// Opens wallets and links them: the holders' first number is used, whether or not policy links.
    pub(super) fn open_wallets(&mut self, wanted: Vec<(u16, Class, HolderId)>) -> Result<Vec<AccountId>, EconomyError> {
        for (bank, class, holder) in &wanted {
            self.authority.open_wallet(BankId(bank + 1), *class, *holder);
        }
        let outcomes = self.settle_all()?;
        let accounts: Vec<AccountId> =
            outcomes.iter().filter_map(|outcome| AccountId::from_u64(outcome.amount)).collect();
        for account in &accounts {
            // Bank 0 means no link.
            let linked = if self.values.policy.waterfall { account.bank } else { BankId(0) };
            self.authority.link(*account, linked, 1);
        }
        self.settle_all()?;
        Ok(accounts)
    }
}

const CLIMATE: MacroState = MacroState {
    price_level: 1.0,
    inflation: 0.0,
    output_gap: 0.0,
    wage_level: 1.0,
    trust_cbdc: 1.0,
    outage_until: 0,
    income_loss: 0.0,
    income_loss_until: 0,
    month_retail_minor: 0,
    month_bills_minor: 0,
    month_seasonality: 0.0,
    month_bills: 0,
    months_ahead: 0.0,
    interbank_rate: 0.0,
    last_payday: None,
    money: super::money::MoneyHistory::NEW,
    base_target_minor: 0.0,
    adopters: 0,
    month_taxes_minor: 0,
    month_obligations_minor: 0,
};

/// Zipf shares: falling with a power of the rank, summing to 1.
fn zipf(count: usize, exponent: f64) -> Vec<f64> {
    let weights: Vec<f64> = (0..count).map(|rank| libm::pow(rank as f64 + 1.0, -exponent)).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The index of the share into which a point from 0 to 1 falls.
fn pick(shares: &[f64], mut point: f64) -> usize {
    for (index, share) in shares.iter().enumerate() {
        if point < *share {
            return index;
        }
        point -= share;
    }
    shares.len() - 1
}

fn draw_firms(values: &Values, seed: u64, bank_shares: &[f64]) -> Firms {
    let count = values.firms.count as usize;
    let shares = zipf(count, values.firms.size_exponent);
    // At least sixteen slots per firm, and at least one for the smallest.
    let slots = (count * 16).next_power_of_two().max(4_096);
    let mut popularity = Vec::with_capacity(slots);
    let mut reached = 0.0;
    for (firm, share) in shares.iter().enumerate() {
        reached += share * (slots - count) as f64;
        let until = ((reached as usize) + firm + 1).min(slots);
        popularity.resize(until.max(popularity.len()), firm as u32);
    }
    popularity.resize(slots, 0);
    let bank = (0..count)
        .map(|firm| pick(bank_shares, Stream::of(seed, Purpose::Population, 3, firm as u32).unit()) as u16)
        .collect();
    let zeros = || vec![0_i64; count];
    Firms {
        deposit_minor: zeros(),
        cash_minor: zeros(),
        cbdc_minor: zeros(),
        loan_minor: zeros(),
        wages_minor: zeros(),
        surplus_minor: zeros(),
        wallet: vec![0; count],
        sequence: vec![0; count],
        bank,
        popularity,
    }
}

fn draw_households(values: &Values, seed: u64, bank_shares: &[f64], firms: &mut Firms) -> Households {
    let (figures, behaviours) = (&values.households, &values.behaviours);
    let (ceiling, _) = behaviours.adoption.ceiling_and_initial();
    let count = figures.count as usize;
    let fiscal = &behaviours.fiscal.parameters;
    // The mean of income^on_income, so that deposits keep their mean.
    let elasticity = figures.deposit_on_income;
    let scale = libm::exp(0.5 * elasticity * (elasticity - 1.0) * figures.income_sigma * figures.income_sigma);
    // What pays the days until payday, and the bills if they come before it.
    let left_of_wages = months_until_payday(values, 0);
    let ages = f64::from(figures.age_max - figures.age_min + 1);
    let pensioners =
        (f64::from(figures.age_max) + 1.0 - fiscal.pension_age.ceil().max(f64::from(figures.age_min))) / ages;
    let mean_income = figures.income_minor_mean * (1.0 - pensioners.clamp(0.0, 1.0) * (1.0 - fiscal.pension_share));
    let mean_left = (left_of_wages * mean_income).max(1.0);
    // All money on deposits is what is left of wages and savings; savings are drawn, and the means add up.
    let left_scale = left_of_wages * (figures.deposit_minor_mean / mean_left).min(1.0);
    let savings_mean = (figures.deposit_minor_mean - mean_left).max(0.0);
    let mut households = Households::default();
    for index in 0..count {
        let mut stream = Stream::of(seed, Purpose::Population, 0, index as u32);
        let age = figures.age_min + stream.below(figures.age_max - figures.age_min + 1);
        let is_pensioner = f64::from(age) >= fiscal.pension_age;
        let drawn = stream.log_normal(figures.income_minor_mean, figures.income_sigma);
        let income = drawn * if is_pensioner { fiscal.pension_share } else { 1.0 };
        let relative = libm::pow(drawn / figures.income_minor_mean, elasticity) / scale;
        let savings = stream.log_normal(savings_mean * relative, figures.deposit_sigma);
        let deposit = left_scale * income + savings;
        let stored = figures.cash_stored_share * deposit;
        let cash = stored + figures.cash_minor_mean * 2.0 * stream.unit();
        let (borrows, loan) = (stream.unit(), stream.log_normal(figures.loan_minor_mean, figures.loan_sigma));
        let firm = |stream: &mut Stream| firms.popularity[stream.below(firms.popularity.len() as u32) as usize];
        let (employer, biller) = (firm(&mut stream), firm(&mut stream));
        let bank = pick(bank_shares, stream.unit());
        let may_adopt = stream.unit() < ceiling;
        let spread = behaviours.instrument.parameters.cash_taste_spread;
        households.income_minor.push(income.min(1e13) as i64);
        households.deposit_minor.push(deposit.min(1e13) as i64);
        households.cash_minor.push(cash as i64);
        households.cbdc_minor.push(0);
        households.loan_minor.push(if borrows < figures.borrower_share { loan.min(1e13) as i64 } else { 0 });
        households.employer.push(if is_pensioner { NO_EMPLOYER } else { employer });
        households.biller.push(biller);
        households.bank.push(bank as u16);
        households.age.push(age as u8);
        households.may_adopt.push(may_adopt);
        households.taste.push((figures.taste_sigma * stream.normal()) as f32);
        households.cash_taste.push((1.0 + spread * (2.0 * stream.unit() - 1.0)) as f32);
        households.wallet.push(0);
        households.sequence.push(0);
        households.normal_minor.push(0.0);
        households.wealth_minor.push(0.0);
        households.payments_a_day.push(0.0);
        households.largest_minor.push(0.0);
        households.bill_minor.push(0);
        if !is_pensioner {
            let gross = income / (1.0 - fiscal.tax);
            firms.wages_minor[employer as usize] += gross.min(1e13) as i64;
        }
    }
    households
}

fn fill_firms(values: &Values, firms: &mut Firms) {
    for firm in 0..firms.len() {
        let wages = firms.wages_minor[firm] as f64;
        firms.deposit_minor[firm] = (wages * values.firms.deposit_months) as i64;
        firms.loan_minor[firm] = (wages * values.firms.loan_months) as i64;
    }
}

fn draw_up_banks(
    values: &Values,
    seed: u64,
    households: &Households,
    firms: &Firms,
) -> (Vec<Bank>, Investors, Vec<i64>) {
    let figures = &values.banks;
    let count = usize::from(figures.count);
    let (mut deposits, mut loans) = (vec![0_i64; count], vec![0_i64; count]);
    let customers = [
        (&households.bank, &households.deposit_minor, &households.loan_minor),
        (&firms.bank, &firms.deposit_minor, &firms.loan_minor),
    ];
    for (banks, deposit, loan) in customers {
        for (index, bank) in banks.iter().enumerate() {
            deposits[usize::from(*bank)] += deposit[index];
            loans[usize::from(*bank)] += loan[index];
        }
    }
    let share = |amount: i64, share: f64| portion(amount, (share * 1e6) as i64, 1_000_000);
    let mut investors = Investors::default();
    let (mut banks, mut all_reserves) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for index in 0..count {
        let mut stream = Stream::of(seed, Purpose::Population, 4, index as u32);
        let mut around = |mean: f64, spread: f64| mean * (1.0 + spread * (2.0 * stream.unit() - 1.0));
        let of_investors = share(deposits[index], values.investors.deposit_share);
        let deposits_minor = deposits[index] + of_investors;
        let ratio = around(figures.capital_ratio, figures.capital_spread);
        let equity_minor = share(loans[index], ratio * figures.risk_weight);
        let reserves = share(deposits_minor, around(figures.reserves_share, figures.reserves_spread));
        let vault_minor = share(deposits_minor, figures.vault_share);
        let mut wholesale_minor = share(deposits_minor + equity_minor, figures.wholesale_share);
        let funds = deposits_minor + equity_minor + wholesale_minor;
        let mut bonds_minor = funds - loans[index] - reserves - vault_minor;
        if bonds_minor < 0 {
            (wholesale_minor, bonds_minor) = (wholesale_minor - bonds_minor, 0);
        }
        investors.deposit_minor.push(of_investors);
        investors.wholesale_minor.push(wholesale_minor);
        all_reserves.push(reserves);
        let policy_rate = values.policy.policy_rate_ppm as f64 / 1e6;
        let pricing = &values.behaviours.deposit_pricing;
        let settled = |rate: f64, step: &dyn Fn(f64) -> f64| (0..200).fold(rate, |rate, _| step(rate));
        let cbdc_rate = values.policy.cbdc_rate_ppm as f64 / 1e6;
        let (_, exposed) = values.behaviours.adoption.ceiling_and_initial();
        let deposit_rate = settled(0.0, &|rate| pricing.next_rate(rate, policy_rate, cbdc_rate, exposed));
        let loans_pricing = &values.behaviours.loan_pricing;
        let wholesale_rate = values.behaviours.funding.wholesale_rate(policy_rate, 1.0);
        let owed = (deposits_minor + wholesale_minor) as f64;
        let paid = deposits_minor as f64 * deposit_rate + wholesale_minor as f64 * wholesale_rate;
        let cost = if owed > 0.0 { paid / owed } else { policy_rate };
        let weighted = loans[index] as f64 * figures.risk_weight;
        let capital = if weighted > 0.0 { equity_minor as f64 / weighted } else { 1.0 };
        let missing = values.behaviours.credit.parameters.capital_target - capital;
        let loan_rate = settled(0.0, &|rate| loans_pricing.next_rate(rate, cost, policy_rate, missing));
        banks.push(Bank {
            id: BankId(index as u16 + 1),
            phase: BankPhase::Active,
            vault_minor,
            bonds_minor,
            loans_minor: loans[index],
            deposits_minor,
            wholesale_minor,
            raised_minor: 0,
            equity_minor,
            clearing_minor: 0,
            fiscal_minor: 0,
            estate_minor: 0,
            interbank_minor: 0,
            pledged_minor: 0,
            at_central_bank_minor: 0,
            deposit_rate,
            loan_rate,
            trust: 1.0,
            interest_minor: 0,
            is_failing: false,
        });
    }
    investors.bonds_minor = share(deposits.iter().sum(), values.investors.bond_share);
    (banks, investors, all_reserves)
}

/// Key rates from a policy rate and the corridor's widths.
pub(super) fn key_rates(policy: &Policy, policy_rate_ppm: i64) -> KeyRates {
    let rate = |ppm: i64| RatePpm(ppm.clamp(-1_000_000, 1_000_000) as i32);
    KeyRates {
        policy: rate(policy_rate_ppm),
        deposit: rate(policy_rate_ppm - policy.corridor_below_ppm),
        lending: rate(policy_rate_ppm + policy.corridor_above_ppm),
        penalty: rate(policy_rate_ppm + policy.penalty_above_ppm),
    }
}

/// CBDC's tiers: one rate up to a bound and another above it, or one for all.
pub(super) fn tiers(rate_ppm: i64, tier_minor: Option<u64>, above_ppm: i64) -> Tiers {
    let rate = |ppm: i64| RatePpm(ppm as i32);
    let bounded = tier_minor.and_then(|minor| {
        Tiers::new(&[Tier { up_to: Amount::from_minor(minor), rate: rate(rate_ppm) }], rate(above_ppm))
    });
    bounded.unwrap_or(Tiers::flat(rate(rate_ppm)))
}

fn genesis(values: &Values, reserves: &[i64], banknotes: i64, equity: i64) -> Genesis {
    let policy = &values.policy;
    let amount = |minor: i64| Amount::from_minor(minor.max(0) as u64);
    let mut parameters = Parameters {
        supply_cap: policy.supply_cap_minor.map(Amount::from_minor),
        issuance_quota: None,
        issuance_quota_of_bank: BTreeMap::new(),
        capitalisation: match policy.capitalisation {
            Posting::Monthly => Capitalisation::Monthly,
            Posting::Daily => Capitalisation::Daily,
        },
        key_rates: key_rates(policy, policy.policy_rate_ppm),
        reserves: ReserveRules {
            rate_up_to: RatePpm(0),
            rate_above: RatePpm(policy.reserves_rate_ppm as i32),
            requirement_ppm: policy.requirement_ppm as u32,
            period_days: policy.maintenance_days as u16,
            shortfall_rate: RatePpm(policy.penalty_above_ppm as i32),
        },
        haircut_ppm: policy.haircut_ppm as u32,
        work_per_block: WorkPerBlock(WorkPerBlock::MAX),
        ..Parameters::default()
    };
    let household = &mut parameters.classes[Class::HOUSEHOLD.index()];
    household.holding_limit = policy.holding_limit_minor.map(Amount::from_minor);
    household.payment_limit = policy.payment_limit_minor.map(Amount::from_minor);
    household.day_limit = policy.day_limit_minor.map(Amount::from_minor);
    household.month_limit = policy.month_limit_minor.map(Amount::from_minor);
    household.payer_fee = schedule_of(&policy.payer_fee);
    household.tiers = tiers(policy.cbdc_rate_ppm, policy.cbdc_tier_minor, policy.cbdc_rate_above_ppm);
    let business = &mut parameters.classes[Class::BUSINESS.index()];
    business.holding_limit = policy.firm_limit_minor.map(Amount::from_minor);
    business.payee_fee = schedule_of(&policy.merchant_fee);

    let member = |role: Role, id: u16| Member {
        role,
        id: MemberId(id),
        name: format!("{} {id}", role.name()),
        signing_key: member_key(),
        node_key: None,
    };
    let mut members: Vec<Member> =
        [Role::CentralBank, Role::Operator, Role::Registrar].map(|role| member(role, 1)).to_vec();
    members.extend((1..=policy.committee_seats).map(|seat| member(Role::Committee, seat)));
    members.extend((1..=values.banks.count).map(|bank| member(Role::Bank, bank)));
    let of_banks = reserves.iter().enumerate().map(|(index, minor)| (BankId(index as u16 + 1), amount(*minor)));
    Genesis {
        format: FormatVersion::One,
        currency: *b"EUR",
        currency_exponent: 2,
        day_count: DayCount::Actual365,
        day_offset_minutes: 0,
        created_at: values.time.first_day().start(0),
        validity_ms_max: 86_400_000,
        header_signatures: 1,
        threshold: policy.committee_threshold,
        members,
        books: opening_books(of_banks, amount(banknotes), amount(equity))
            .expect("the scenario bounds what households hold, so all sums fit"),
        policy: parameters,
    }
}
