//! Rows that a period adds to the tables.

use std::collections::BTreeMap;

use cbdc_ledger::books::BookAccount;

use super::{Economy, INSTRUMENTS};
use crate::accounts::{Flow, Flows, Sector, ppm};
use crate::agent::Bank;
use crate::error::EconomyError;
use crate::results::{BankRow, HouseholdRow, LedgerWork, MacroRow, PaymentRow, Results};
use crate::scenario::Scenario;

/// The percentiles of households in the table; the hundredth is the largest.
const PERCENTILES: [usize; 10] = [1, 5, 10, 25, 50, 75, 90, 95, 99, 100];

impl Economy<'_> {
    pub(super) fn note_period(&mut self) {
        // The opening is day 0; a period ends with the days that are over.
        let is_opening = self.results.macro_rows.is_empty();
        let day = if is_opening { 0 } else { i64::from(self.day.number) + 1 };
        let date = self.day.ledger_day.to_string();
        let macro_row = self.macro_row(day, &date);
        self.results.macro_rows.push(macro_row);
        self.note_banks(day, &date);
        self.note_households(day, &date);
        if !is_opening {
            self.note_payments(day, &date);
        }
        self.flows_period = Flows::default();
        self.period_income_minor = 0;
    }

    fn macro_row(&self, day: i64, date: &str) -> MacroRow {
        let sum = |column: &[i64]| column.iter().sum::<i64>();
        let of_banks = |value: &dyn Fn(usize) -> i64| (0..self.banks.len()).map(value).sum::<i64>();
        let books = self.authority.ledger().books();
        let flow = |flow, sector| self.flows_period.of(flow, sector) as i64;
        let limit = self.holding_limit_minor();
        let near_limit = |limit: i64| {
            let bound = limit - limit / 100;
            self.households.cbdc_minor.iter().filter(|held| **held >= bound && **held > 0).count() as i64
        };
        MacroRow {
            day,
            date: date.to_owned(),
            deposits_households_minor: sum(&self.households.deposit_minor),
            deposits_firms_minor: sum(&self.firms.deposit_minor),
            deposits_investors_minor: self.investors.deposits_minor(),
            cash_minor: sum(&self.households.cash_minor) + sum(&self.firms.cash_minor),
            vault_minor: of_banks(&|bank| self.banks[bank].vault_minor),
            cbdc_households_minor: sum(&self.households.cbdc_minor),
            cbdc_firms_minor: sum(&self.firms.cbdc_minor),
            cbdc_treasuries_minor: of_banks(&|bank| self.treasury(self.banks[bank].id)),
            reserves_minor: of_banks(&|bank| self.central_bank_accounts(bank)[0]),
            deposit_facility_minor: of_banks(&|bank| self.central_bank_accounts(bank)[1]),
            central_bank_loans_minor: of_banks(&|bank| self.central_bank_accounts(bank)[2]),
            central_bank_securities_minor: books.balance(BookAccount::Securities) as i64,
            central_bank_equity_minor: books.equity() as i64,
            government_minor: books.balance(BookAccount::Government) as i64,
            bonds_minor: self.bonds_minor,
            loans_minor: of_banks(&|bank| self.banks[bank].loans_minor),
            interbank_minor: of_banks(&|bank| self.banks[bank].interbank_minor.max(0)),
            wholesale_minor: of_banks(&|bank| self.banks[bank].wholesale_minor),
            bank_equity_minor: of_banks(&|bank| self.banks[bank].equity_minor),
            consumption_minor: flow(Flow::Consumption, Sector::Firms),
            income_minor: self.period_income_minor,
            bank_interest_minor: of_banks(&|bank| self.banks[bank].interest_minor),
            write_offs_minor: -flow(Flow::WriteOffs, Sector::Banks),
            fees_minor: -flow(Flow::Fees, Sector::Households) - flow(Flow::Fees, Sector::Firms),
            central_bank_coupons_minor: flow(Flow::Coupons, Sector::CentralBank),
            central_bank_interest_minor: -flow(Flow::CentralBankInterest, Sector::CentralBank)
                - flow(Flow::WalletInterest, Sector::CentralBank),
            remittance_minor: -flow(Flow::Remittance, Sector::CentralBank),
            price_level: self.macro_state.price_level,
            inflation_ppm: ppm(self.macro_state.inflation),
            output_gap_ppm: ppm(self.macro_state.output_gap),
            policy_rate_ppm: ppm(self.policy_rate()),
            deposit_facility_rate_ppm: ppm(self.deposit_facility_rate()),
            interbank_rate_ppm: ppm(self.macro_state.interbank_rate),
            cbdc_rate_ppm: ppm(self.cbdc_rate()),
            deposit_rate_ppm: ppm(self.mean_deposit_rate()),
            loan_rate_ppm: ppm(self.mean_loan_rate()),
            holding_limit_minor: limit,
            adopters: i64::from(self.macro_state.adopters),
            at_limit: limit.map_or(0, near_limit),
            trust_banks: self.mean_trust(),
            trust_cbdc: self.macro_state.trust_cbdc,
            banks_alive: self.banks.iter().filter(|bank| bank.is_active() && !bank.is_failing).count() as i64,
        }
    }

    /// The mean rate of sight deposits, by volume.
    pub(super) fn mean_deposit_rate(&self) -> f64 {
        self.mean_by(|bank| bank.deposit_rate, |bank| bank.deposits_minor as f64)
    }

    /// The mean rate of loans, by volume.
    pub(super) fn mean_loan_rate(&self) -> f64 {
        self.mean_by(|bank| bank.loan_rate, |bank| bank.loans_minor as f64)
    }

    /// The mean trust in banks in business.
    pub(super) fn mean_trust(&self) -> f64 {
        self.mean_by(|bank| bank.trust, |bank| f64::from(u8::from(bank.is_active())))
    }

    /// A weighted mean over banks; 0 where all weights are 0.
    fn mean_by(&self, value: fn(&Bank) -> f64, weight: fn(&Bank) -> f64) -> f64 {
        let whole: f64 = self.banks.iter().map(weight).sum();
        let sum: f64 = self.banks.iter().map(|bank| value(bank) * weight(bank)).sum();
        if whole > 0.0 { sum / whole } else { 0.0 }
    }

    fn note_banks(&mut self, day: i64, date: &str) {
        let mut customers = vec![(0_i64, 0_i64); self.banks.len()];
        for (bank, cbdc) in self.households.bank.iter().zip(&self.households.cbdc_minor) {
            let (count, held) = &mut customers[usize::from(*bank)];
            (*count, *held) = (*count + 1, *held + cbdc);
        }
        for (index, (count, held)) in customers.into_iter().enumerate() {
            let [reserves_minor, deposit_facility_minor, central_bank_loans_minor] = self.central_bank_accounts(index);
            let bank = &self.banks[index];
            let status = self.authority.ledger().positions().status(bank.id).unwrap_or_default();
            let row = BankRow {
                day,
                date: date.to_owned(),
                bank: i64::from(bank.id.0),
                status: status.to_string(),
                reserves_minor,
                deposit_facility_minor,
                treasury_minor: self.treasury(bank.id),
                vault_minor: bank.vault_minor,
                bonds_minor: bank.bonds_minor,
                loans_minor: bank.loans_minor,
                estate_minor: bank.estate_minor,
                interbank_minor: bank.interbank_minor,
                deposits_minor: bank.deposits_minor,
                wholesale_minor: bank.wholesale_minor,
                central_bank_loans_minor,
                equity_minor: bank.equity_minor,
                capital_ratio_ppm: ppm(bank.capital_ratio(self.values.banks.risk_weight)),
                liquidity_ratio_ppm: ppm(self.liquidity_ratio(index)),
                deposit_rate_ppm: ppm(bank.deposit_rate),
                loan_rate_ppm: ppm(bank.loan_rate),
                interest_minor: bank.interest_minor,
                customers: count,
                cbdc_customers_minor: held,
            };
            self.results.bank_rows.push(row);
            self.banks[index].interest_minor = 0;
        }
    }

    fn note_households(&mut self, day: i64, date: &str) {
        let households = &self.households;
        let with_wallet = households.cbdc_minor.iter().zip(&households.wallet);
        let columns = [
            percentiles(households.deposit_minor.clone()),
            percentiles(households.cash_minor.clone()),
            percentiles(with_wallet.filter(|(_, wallet)| **wallet != 0).map(|(held, _)| *held).collect()),
            percentiles(
                (0..households.len())
                    .map(|index| households.liquid_minor(index) - households.loan_minor[index])
                    .collect(),
            ),
        ];
        for (index, percentile) in PERCENTILES.into_iter().enumerate() {
            self.results.household_rows.push(HouseholdRow {
                day,
                date: date.to_owned(),
                percentile: percentile as i64,
                deposit_minor: columns[0][index],
                cash_minor: columns[1][index],
                cbdc_minor: columns[2][index],
                wealth_minor: columns[3][index],
            });
        }
    }

    fn note_payments(&mut self, day: i64, date: &str) {
        for (instrument, used) in INSTRUMENTS.into_iter().zip(std::mem::take(&mut self.used)) {
            self.results.payment_rows.push(PaymentRow {
                day,
                date: date.to_owned(),
                instrument: instrument.to_owned(),
                count: used.count,
                value_minor: used.value_minor,
                reverse_waterfall_minor: used.reverse_waterfall_minor,
                waterfall_minor: used.waterfall_minor,
                refused: used.refused,
                declined: used.declined,
            });
        }
    }

    pub(super) fn into_results(mut self, scenario: &Scenario) -> Result<Results, EconomyError> {
        let ledger = self.authority.ledger();
        let (settled, refused) = self.authority.counts();
        let (mut kinds, mut refusals) = (BTreeMap::new(), BTreeMap::new());
        for ((kind, reason), count) in self.authority.tally() {
            let (table, key) = if *reason == "SETTLED" { (&mut kinds, kind) } else { (&mut refusals, reason) };
            *table.entry((*key).to_owned()).or_default() += count;
        }
        let work = LedgerWork {
            height: ledger.height().0,
            commands: settled + refused,
            settled,
            refused,
            refusals,
            kinds,
            tip: cbdc_ledger::encoding::hex(&ledger.tip_hash()),
        };
        let mut holdings = vec![0_u64; 11];
        if let Some(limit) = self.holding_limit_minor().filter(|limit| *limit > 0) {
            let with_wallet = self.households.cbdc_minor.iter().zip(&self.households.wallet);
            for (held, _) in with_wallet.filter(|(_, wallet)| **wallet != 0) {
                let tenth = if *held > limit { 10 } else { (held * 10 - 1).max(0) / limit };
                holdings[tenth.clamp(0, 10) as usize] += 1;
            }
        }
        let results = &mut self.results;
        results.name = scenario.name.clone();
        results.scenario_hash = scenario.hash();
        results.seed = self.seed;
        results.version = env!("CARGO_PKG_VERSION").to_owned();
        results.households = u64::from(self.values.households.count);
        results.days = if results.is_collapsed { self.day.number + 1 } else { self.values.time.days };
        results.holdings_of_limit = holdings;
        results.ledger = work;
        results.seal();
        Ok(self.results)
    }
}

/// The kept percentiles of a column; zeros if it is empty.
fn percentiles(mut column: Vec<i64>) -> [i64; PERCENTILES.len()] {
    column.sort_unstable();
    PERCENTILES.map(|percentile| {
        let index = (column.len() * percentile / 100).min(column.len().saturating_sub(1));
        column.get(index).copied().unwrap_or(0)
    })
}
