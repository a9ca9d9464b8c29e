//! The simulation: one day after the other, every movement of CBDC a command on the ledger.
//!
//! # A day
//! 1. *Opening* (`opening` for the first): the day's first block lets the ledger end the day before (interest and
//!    repayments of banks, interest on wallets, proposals); banks book their earnings at the central bank.
//! 2. *Events* (`events`): shocks, scheduled policy, rules.
//! 3. *Month* (`month`): on the first: interest, credit, defaults, prices, rates, purchases; bills on the third;
//!    wages and pensions on payday.
//! 4. *Decisions* (`decision`): each household's intents for today, a function of its own state and its own random
//!    numbers alone. This phase may run on several threads, which do not affect the order of its results.
//! 5. *Settlement* (`settlement`): intents become commands and entries, one after the other: wallets opened, banknotes
//!    drawn, wallets funded, payments made.
//! 6. *Closing* (`closing`): banks clear with each other and with the government, lend to each other (`interbank`),
//!    raise or place reserves.
//! 7. *Failure* (`failure`): a bank that has failed is resolved.
//! 8. *Identities* (`identity`): every balance sheet must balance, to the unit.
//!
//! # Exactness
//! Money is whole minor units. Behaviours compute with `f64`, in operations that give the same bits on any machine
//! ([`rng`](crate::rng)); amounts are rounded to minor units before anything moves.

mod closing;
mod decision;
mod events;
mod failure;
mod fees;
mod identity;
mod intent;
mod interbank;
mod liquidity;
mod money;
mod month;
mod opening;
mod profit;
mod rest;
mod rows;
mod settlement;

use cbdc_ledger::Outcome;
use cbdc_ledger::books::BookAccount;
use cbdc_ledger::command::GovernanceAction;
use cbdc_ledger::identity::{AccountId, BankId, Class};
use cbdc_ledger::time::LedgerDay;

use crate::accounts::{Flow, Flows, Sector};
use crate::agent::{Bank, Firms, Households, Investors};
use crate::authority::Authority;
use crate::behaviour::{AmountTable, Behaviours};
use crate::calendar::Day;
use crate::error::EconomyError;
use crate::results::{EventRow, Results};
use crate::scenario::{Scenario, Values};

/// Progress of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub day: u32,
    pub days: u32,
    pub households: u32,
}

/// The progress callback's answer: whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    On,
    Stop,
}

/// Simulates a scenario with a seed. `progress` is called after every day and may stop the run.
///
/// # Errors
/// The scenario cannot be opened, an identity does not hold, or `progress` asked to stop. There are no partial results.
/// If the last bank fails the run ends on that day, which is a result: [`Results::is_collapsed`].
pub fn simulate(
    scenario: &Scenario,
    seed: u64,
    progress: &mut dyn FnMut(Progress) -> Go,
) -> Result<Results, EconomyError> {
    let mut economy = Economy::open(scenario, seed)?;
    let days = scenario.values.time.days;
    let households = scenario.values.households.count;
    for number in 0..days {
        match economy.simulate_day(number) {
            // The run ends here: the collapse is its result.
            Err(EconomyError::NoBankLeft { .. }) => {
                economy.collapse()?;
                break;
            }
            other => other?,
        }
        let go = progress(Progress { day: number + 1, days, households });
        if go == Go::Stop {
            return Err(EconomyError::Stopped { day: number + 1, days });
        }
    }
    economy.into_results(scenario)
}

/// The state of the economy as a whole.
#[derive(Clone, Debug)]
struct MacroState {
    price_level: f64,
    /// A share a year.
    inflation: f64,
    output_gap: f64,
    wage_level: f64,
    trust_cbdc: f64,
    /// The first day on which CBDC can be used again.
    outage_until: u32,
    /// Share of wages lost, and until when.
    income_loss: f64,
    income_loss_until: u32,
    /// Spending day by day and by bills since the month began, the sum of the seasonality's daily factors, and how
    /// often bills fell due.
    month_retail_minor: i64,
    month_bills_minor: i64,
    month_seasonality: f64,
    month_bills: u32,
    /// Months of wages received, less months of spending due, since the start.
    months_ahead: f64,
    /// Last night's rate between banks, a share a year.
    interbank_rate: f64,
    last_payday: Option<u32>,
    money: money::MoneyHistory,
    /// Base money as the last rule's decision meant it to be, minor units; 0 before one.
    base_target_minor: f64,
    adopters: u32,
    month_taxes_minor: i64,
    /// Pensions and coupons, less the central bank's remittance.
    month_obligations_minor: i64,
}

/// A payment instrument's use in a period.
#[derive(Clone, Copy, Debug, Default)]
struct InstrumentUse {
    count: i64,
    value_minor: i64,
    reverse_waterfall_minor: i64,
    waterfall_minor: i64,
    refused: i64,
    declined: i64,
}

/// A running economy.
struct Economy<'a> {
    values: &'a Values,
    seed: u64,
    threads: usize,
    day: Day,
    authority: Authority,
    households: Households,
    firms: Firms,
    banks: Vec<Bank>,
    investors: Investors,
    /// Government bonds outstanding.
    bonds_minor: i64,
    amounts: AmountTable,
    /// The mean of the seasonality's unscaled factors.
    seasonality_mean: f64,
    rest: rest::Rest,
    macro_state: MacroState,
    flows_today: Flows,
    flows_period: Flows,
    /// Net worth of each sector at the end of the day before.
    worth: [i128; 6],
    /// The uses by instrument: CBDC, cash, deposit, bill.
    used: [InstrumentUse; 4],
    period_income_minor: i64,
    intents: Vec<Vec<intent::Intent>>,
    /// Failed banks that still repay the central bank, and all there ever were.
    shells: Vec<failure::Shell>,
    all_shells: Vec<failure::Shell>,
    abandoned: Vec<failure::AbandonedWallet>,
    results: Results,
}

const CBDC: usize = 0;
const CASH: usize = 1;
const DEPOSIT: usize = 2;
const BILL: usize = 3;
const INSTRUMENTS: [&str; 4] = ["cbdc", "cash", "deposit", "bill"];

impl Economy<'_> {
    fn simulate_day(&mut self, number: u32) -> Result<(), EconomyError> {
        self.day = Day::new(self.values.time.first_day(), number);
        self.flows_today = Flows::default();
        self.open_day()?;
        self.events()?;
        self.month()?;
        self.decide();
        self.settle_intents()?;
        self.close_day()?;
        self.failures()?;
        self.check_identities()?;
        let time = &self.values.time;
        if (number + 1).is_multiple_of(time.period_days) || number + 1 == time.days {
            self.note_period();
        }
        Ok(())
    }

    /// Ends the run on the day on which the last bank failed.
    fn collapse(&mut self) -> Result<(), EconomyError> {
        self.check_identities()?;
        let what = "the last bank fails: nobody is left to take over its customers, and the run ends";
        self.note_event("bank", what.to_owned(), 0);
        self.note_period();
        self.results.is_collapsed = true;
        Ok(())
    }

    /// Applies the day's first block, with which the ledger ends the day before.
    fn open_day(&mut self) -> Result<(), EconomyError> {
        let day = self.day.ledger_day;
        self.authority.advance_to(day.start(0).plus_ms(60_000));
        self.settle_all()?;
        // Posting interest to all wallets takes as many blocks as it needs.
        while self.authority.ledger().next_due().is_some_and(|due| due <= self.authority.ledger().tip().time) {
            self.settle_all()?;
        }
        for index in 0..self.banks.len() {
            let now = self.at_central_bank(index);
            let bank = &mut self.banks[index];
            let earned = now - bank.at_central_bank_minor;
            bank.earn(earned);
            self.flows_today.record(Flow::CentralBankInterest, Sector::CentralBank, Sector::Banks, earned);
        }
        self.repay_interbank();
        self.take_over_wallet_interest()?;
        let decay = self.behaviours().trust.decay();
        self.banks.iter_mut().for_each(|bank| bank.trust = 1.0 - (1.0 - bank.trust) * decay);
        self.macro_state.trust_cbdc = 1.0 - (1.0 - self.macro_state.trust_cbdc) * decay;
        if self.is_outage() {
            let loss = self.behaviours().trust.parameters.outage_loss;
            self.macro_state.trust_cbdc = (self.macro_state.trust_cbdc - loss).max(0.0);
        }
        Ok(())
    }

    /// Books the interest that the ledger posted on wallets since yesterday.
    fn take_over_wallet_interest(&mut self) -> Result<(), EconomyError> {
        let ledger = self.authority.ledger();
        let rates = ledger.policy().rates();
        let yesterday = LedgerDay(self.day.ledger_day.0.saturating_sub(1));
        if !rates.any_rate_between(LedgerDay(0), self.day.ledger_day)
            || rates.last_capitalisation(self.day.ledger_day) <= yesterday
        {
            return Ok(());
        }
        let interest = self.read_wallets() + self.collect_from_abandoned()?;
        self.flows_today.record(Flow::WalletInterest, Sector::CentralBank, Sector::Households, interest);
        Ok(())
    }

    /// Books demurrage: a credit pays it first, which no outcome reports, so it is read from the ledger's records.
    fn take_over_demurrage(&mut self) {
        let charges = |tiers: &cbdc_ledger::policy::Tiers| {
            tiers.above().0 < 0 || tiers.bounded().iter().any(|tier| tier.rate.0 < 0)
        };
        let rates = self.authority.ledger().policy().rates().all();
        if rates.iter().any(|rates| rates.tiers.iter().any(charges)) {
            let taken = self.read_wallets();
            self.flows_today.record(Flow::WalletInterest, Sector::CentralBank, Sector::Households, taken);
        }
    }

    /// Reads every wallet's balance from the ledger. Returns the change of households' balances; that of firms is
    /// recorded as a flow.
    fn read_wallets(&mut self) -> i64 {
        let ledger = self.authority.ledger();
        let mut posted = [0_i64; 2];
        let columns = [
            (&self.households.wallet, &mut self.households.cbdc_minor),
            (&self.firms.wallet, &mut self.firms.cbdc_minor),
        ];
        for (at, (wallets, balances)) in columns.into_iter().enumerate() {
            for (wallet, balance) in wallets.iter().zip(balances).filter(|(wallet, _)| **wallet != 0) {
                let account = AccountId::from_u64(*wallet).and_then(|id| ledger.account(id));
                let now = account.map_or(0, |account| account.available.minor() as i64);
                posted[at] += now - *balance;
                *balance = now;
            }
        }
        let [to_households, to_firms] = posted;
        self.flows_today.record(Flow::WalletInterest, Sector::CentralBank, Sector::Firms, to_firms);
        to_households
    }

    fn behaviours(&self) -> &Behaviours {
        &self.values.behaviours
    }

    fn is_outage(&self) -> bool {
        self.day.number < self.macro_state.outage_until
    }

    /// Reserves + deposit facility − loans of a bank at the central bank.
    fn at_central_bank(&self, bank: usize) -> i64 {
        let [reserves, facility, loans] = self.central_bank_accounts(bank);
        reserves + facility - loans
    }

    /// A bank's reserves, deposit facility and loans in the ledger's books.
    fn central_bank_accounts(&self, bank: usize) -> [i64; 3] {
        let (books, id) = (self.authority.ledger().books(), self.banks[bank].id);
        [BookAccount::Reserves(id), BookAccount::DepositFacility(id), BookAccount::Loans(id)]
            .map(|account| books.balance(account) as i64)
    }

    /// CBDC in a bank's treasury.
    fn treasury(&self, bank: BankId) -> i64 {
        let treasury = self.authority.ledger().account(AccountId::treasury(bank));
        treasury.map_or(0, |account| account.available.minor() as i64)
    }

    /// The policy rate in force on the ledger, as a share a year.
    fn policy_rate(&self) -> f64 {
        f64::from(self.authority.ledger().parameters().key_rates.policy.0) / 1e6
    }

    /// The rate of reserves above the requirement, as a share a year.
    fn reserves_rate(&self) -> f64 {
        f64::from(self.authority.ledger().parameters().reserves.rate_above.0) / 1e6
    }

    fn deposit_facility_rate(&self) -> f64 {
        f64::from(self.authority.ledger().parameters().key_rates.deposit.0) / 1e6
    }

    /// The rate of CBDC's first tier.
    fn cbdc_rate(&self) -> f64 {
        let tiers = &self.authority.ledger().parameters().class(Class::HOUSEHOLD).tiers;
        let first = tiers.bounded().first().map_or(tiers.above(), |tier| tier.rate);
        f64::from(first.0) / 1e6
    }

    /// The bound of CBDC's first tier, minor units, and the rate above it, as a share a year.
    fn cbdc_tier(&self) -> Option<(f64, f64)> {
        let tiers = &self.authority.ledger().parameters().class(Class::HOUSEHOLD).tiers;
        let first = tiers.bounded().first()?;
        Some((first.up_to.minor() as f64, f64::from(tiers.above().0) / 1e6))
    }

    fn holding_limit_minor(&self) -> Option<i64> {
        let limit = self.authority.ledger().parameters().class(Class::HOUSEHOLD).holding_limit;
        limit.map(|limit| limit.minor().min(i64::MAX as u64) as i64)
    }

    /// Applies the waiting commands, all of which must settle.
    fn settle_all(&mut self) -> Result<Vec<Outcome>, EconomyError> {
        let outcomes = self.settle()?;
        match outcomes.iter().find(|outcome| !outcome.is_settled()) {
            None => Ok(outcomes),
            Some(refusal) => Err(EconomyError::Refused {
                day: self.day.number,
                what: "a command of a bank or the operator",
                outcome: *refusal,
            }),
        }
    }

    /// Applies the waiting commands.
    fn settle(&mut self) -> Result<Vec<Outcome>, EconomyError> {
        self.authority.settle().map_err(|error| self.dated(error))
    }

    /// Applies the waiting commands; returns with each outcome the amount that its waterfall moved to the payee's
    /// deposit, minor units.
    fn settle_with_waterfalls(&mut self) -> Result<Vec<(Outcome, i64)>, EconomyError> {
        self.authority.settle_with_waterfalls().map_err(|error| self.dated(error))
    }

    /// Has the committee approve actions and the ledger enact them. Returns the proposal's number.
    fn approve(&mut self, actions: Vec<GovernanceAction>) -> Result<u64, EconomyError> {
        let threshold = self.values.policy.committee_threshold;
        self.authority.enact(actions, threshold).map_err(|error| self.dated(error))
    }

    /// Adds the day to an error of the authority, which does not know it.
    fn dated(&self, error: EconomyError) -> EconomyError {
        match error {
            EconomyError::Refused { what, outcome, .. } => {
                EconomyError::Refused { day: self.day.number, what, outcome }
            }
            other => other,
        }
    }

    /// Records an event in the results.
    fn note_event(&mut self, kind: &str, what: String, proposal: u64) {
        let ledger = self.authority.ledger();
        self.results.event_rows.push(EventRow {
            day: i64::from(self.day.number),
            date: self.day.ledger_day.to_string(),
            kind: kind.to_owned(),
            what,
            proposal: proposal as i64,
            policy_version: i64::from(ledger.policy().in_force().version),
        });
    }

    /// Moves money from a deposit at one bank to a deposit at another; the banks settle in the evening.
    fn clear(&mut self, from_bank: usize, to_bank: usize, amount_minor: i64) {
        let from = &mut self.banks[from_bank];
        from.deposits_minor -= amount_minor;
        from.clearing_minor += amount_minor;
        let to = &mut self.banks[to_bank];
        to.deposits_minor += amount_minor;
        to.clearing_minor -= amount_minor;
    }
}
