//! Results of a simulation: tables of plain rows, a digest over all of them, and a summary.
//!
//! Every table is declared once, with its columns' names and units; [`Cell`]s let a writer (CSV, Parquet) or a reader
//! walk over any of them. Amounts are minor units (cents), rates parts per million a year.
//!
//! The digest covers every cell of every table and the hash of the ledger's last header, which in turn covers every
//! command and every outcome of the run. Wall-clock time is not part of it.

use cbdc_ledger::time::LedgerDay;
use serde::Serialize;

/// A value in a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Integer(i64),
    /// A whole number, or nothing where there is none.
    Optional(Option<i64>),
    Number(f64),
    Text(String),
    /// A calendar date, as days since 1970-01-01.
    Date(i32),
}

/// A calendar date: `2027-01-31`.
pub type Date = String;

/// A whole number where there is one.
pub type Optional = Option<i64>;

fn days_since_1970(date: &str) -> i32 {
    date.parse::<LedgerDay>().map_or(0, |day| i32::try_from(day.0).unwrap_or(i32::MAX))
}

/// A row whose columns are known by name.
pub trait Row {
    /// The table's name, as a file's stem.
    const TABLE: &'static str;
    /// The columns, in order.
    const COLUMNS: &'static [&'static str];
    /// Its values, in the order of the columns.
    fn cells(&self) -> Vec<Cell>;
}

macro_rules! cell {
    (i64, $value:expr) => {
        Cell::Integer($value)
    };
    (f64, $value:expr) => {
        Cell::Number($value)
    };
    (String, $value:expr) => {
        Cell::Text($value.clone())
    };
    (Date, $value:expr) => {
        Cell::Date(days_since_1970(&$value))
    };
    (Optional, $value:expr) => {
        Cell::Optional($value)
    };
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident $table:literal { $($field:ident: $kind:ident, $meaning:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Default, Serialize)]
        pub struct $name { $(#[doc = $meaning] pub $field: $kind,)* }

        impl Row for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];
            fn cells(&self) -> Vec<Cell> {
                vec![$(cell!($kind, self.$field)),*]
            }
        }
    };
}

table! {
    /// The economy at the end of a period; flows are those of the period.
    MacroRow "macro" {
        day: i64, "Days since the start at the period's end.";
        date: Date, "The calendar date.";
        deposits_households_minor: i64, "Sight deposits of households.";
        deposits_firms_minor: i64, "Sight deposits of firms.";
        deposits_investors_minor: i64, "Sight deposits of investors.";
        cash_minor: i64, "Banknotes in hands other than banks'.";
        vault_minor: i64, "Banknotes in banks' vaults.";
        cbdc_households_minor: i64, "CBDC in households' wallets.";
        cbdc_firms_minor: i64, "CBDC in firms' wallets.";
        cbdc_treasuries_minor: i64, "CBDC in banks' treasuries.";
        reserves_minor: i64, "Banks' reserves at the central bank.";
        deposit_facility_minor: i64, "Banks' overnight deposits at the central bank.";
        central_bank_loans_minor: i64, "Loans of the central bank to banks.";
        central_bank_securities_minor: i64, "Securities of the central bank.";
        central_bank_equity_minor: i64, "Equity of the central bank.";
        government_minor: i64, "The government's account at the central bank.";
        bonds_minor: i64, "Government bonds outstanding.";
        loans_minor: i64, "Bank loans to households and firms.";
        interbank_minor: i64, "Loans between banks, overnight.";
        wholesale_minor: i64, "Banks' wholesale funding.";
        bank_equity_minor: i64, "Banks' equity.";
        consumption_minor: i64, "Household consumption in the period.";
        income_minor: i64, "Household income after tax in the period.";
        bank_interest_minor: i64, "Net interest income of banks in the period.";
        write_offs_minor: i64, "Loans written off in the period.";
        fees_minor: i64, "Fees on CBDC payments in the period.";
        central_bank_coupons_minor: i64, "Coupons earned by the central bank in the period.";
        central_bank_interest_minor: i64, "Interest it paid to banks and on wallets, less what they paid, in the period.";
        remittance_minor: i64, "What it remitted to the government in the period.";
        price_level: f64, "Consumer prices, 1 at the start.";
        inflation_ppm: i64, "Yearly rate of inflation.";
        output_gap_ppm: i64, "Real spending against its normal level.";
        policy_rate_ppm: i64, "The central bank's policy rate.";
        deposit_facility_rate_ppm: i64, "The deposit facility's rate.";
        interbank_rate_ppm: i64, "Rate of loans between banks.";
        cbdc_rate_ppm: i64, "Rate of the first tier of CBDC.";
        deposit_rate_ppm: i64, "Mean rate of sight deposits, by volume.";
        loan_rate_ppm: i64, "Mean rate of loans, by volume.";
        holding_limit_minor: Optional, "Households' holding limit; nothing where there is none.";
        adopters: i64, "Households with a wallet.";
        at_limit: i64, "Households whose wallet is within 1 % of the limit.";
        trust_banks: f64, "Mean trust in banks, 0 to 1.";
        trust_cbdc: f64, "Trust in CBDC, 0 to 1.";
        banks_alive: i64, "Banks in business.";
    }
}

table! {
    /// A bank at the end of a period.
    BankRow "banks" {
        day: i64, "Days since the start at the period's end.";
        date: Date, "The calendar date.";
        bank: i64, "The bank's number.";
        status: String, "active, suspended or resolved.";
        reserves_minor: i64, "Asset: reserves.";
        deposit_facility_minor: i64, "Asset: overnight deposits at the central bank.";
        treasury_minor: i64, "Asset: CBDC.";
        vault_minor: i64, "Asset: banknotes.";
        bonds_minor: i64, "Asset: government bonds.";
        loans_minor: i64, "Asset: loans.";
        estate_minor: i64, "Asset: what shells of failed banks still owe it; below zero, what the shell owes.";
        interbank_minor: i64, "Asset: overnight loans to banks; below zero, loans from banks.";
        deposits_minor: i64, "Liability: deposits of households, firms and investors.";
        wholesale_minor: i64, "Liability: wholesale funding.";
        central_bank_loans_minor: i64, "Liability: loans of the central bank.";
        equity_minor: i64, "Assets less liabilities.";
        capital_ratio_ppm: i64, "Equity over risk-weighted assets.";
        liquidity_ratio_ppm: i64, "Liquid assets over deposits and wholesale funding.";
        deposit_rate_ppm: i64, "Rate of sight deposits.";
        loan_rate_ppm: i64, "Rate of new and old loans.";
        interest_minor: i64, "Net interest income in the period.";
        customers: i64, "Households that bank here.";
        cbdc_customers_minor: i64, "CBDC of its customers.";
    }
}

table! {
    /// Percentiles of households at the end of a period.
    HouseholdRow "households" {
        day: i64, "Days since the start at the period's end.";
        date: Date, "The calendar date.";
        percentile: i64, "Of households, by the column's own order.";
        deposit_minor: i64, "Sight deposits.";
        cash_minor: i64, "Banknotes.";
        cbdc_minor: i64, "CBDC, of households with a wallet.";
        wealth_minor: i64, "Deposits, banknotes and CBDC less loans.";
    }
}

table! {
    /// Payments of a period by instrument.
    PaymentRow "payments" {
        day: i64, "Days since the start at the period's end.";
        date: Date, "The calendar date.";
        instrument: String, "cbdc, cash, deposit (card or transfer) or bill.";
        count: i64, "Payments made.";
        value_minor: i64, "Their value.";
        reverse_waterfall_minor: i64, "Of CBDC payments: what came from deposits.";
        waterfall_minor: i64, "Of CBDC payments: what went to deposits.";
        refused: i64, "Refused by the ledger, and then paid otherwise or not at all.";
        declined: i64, "Not made for want of money.";
    }
}

table! {
    /// Decisions, who took them, and their effect.
    EventRow "events" {
        day: i64, "Days since the start.";
        date: Date, "The calendar date.";
        kind: String, "schedule, rule, shock, bank or run.";
        what: String, "In words.";
        proposal: i64, "The proposal's number on the ledger; 0 where none was needed.";
        policy_version: i64, "The version of policy in force afterwards.";
    }
}

/// Counts of the CBDC movements that the ledger settled and refused.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct LedgerWork {
    pub height: u64,
    pub commands: u64,
    pub settled: u64,
    pub refused: u64,
    /// Refusals by the ledger's reason.
    pub refusals: std::collections::BTreeMap<String, u64>,
    /// Settled commands by kind.
    pub kinds: std::collections::BTreeMap<String, u64>,
    /// BLAKE3 of the last header.
    pub tip: String,
}

/// All results of a simulation.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct Results {
    pub name: String,
    pub scenario_hash: String,
    pub seed: u64,
    /// The version of this program.
    pub version: String,
    pub households: u64,
    /// Days simulated: those of the scenario, or up to the collapse.
    pub days: u32,
    /// Whether the last bank failed, which ended the run.
    pub is_collapsed: bool,
    pub macro_rows: Vec<MacroRow>,
    pub bank_rows: Vec<BankRow>,
    pub household_rows: Vec<HouseholdRow>,
    pub payment_rows: Vec<PaymentRow>,
    pub event_rows: Vec<EventRow>,
    /// Households' wallets by their holdings at the end: up to 10 % of the limit, …, up to 100 %, above.
    pub holdings_of_limit: Vec<u64>,
    pub ledger: LedgerWork,
    /// BLAKE3 over all of the above.
    pub digest: String,
}

/// The figures of a run that a sweep collects, with stable keys.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct Summary {
    pub scenario: String,
    pub scenario_hash: String,
    pub seed: u64,
    pub version: String,
    pub digest: String,
    pub households: u64,
    pub days: u32,
    pub adopters_share: f64,
    pub cbdc_households_minor: i64,
    pub cbdc_of_liquid_wealth: f64,
    pub deposits_minor: i64,
    pub deposits_change: f64,
    pub cash_minor: i64,
    pub reserves_minor: i64,
    pub deposit_facility_minor: i64,
    pub central_bank_loans_minor: i64,
    pub wholesale_minor: i64,
    pub loans_minor: i64,
    pub loans_change: f64,
    pub bank_equity_minor: i64,
    pub banks_failed: i64,
    /// 1 if the last bank failed, which ended the run, else 0: its mean over runs is the share that collapsed.
    pub collapsed: i64,
    pub deposit_rate_ppm: i64,
    pub loan_rate_ppm: i64,
    pub policy_rate_ppm: i64,
    pub inflation_ppm: i64,
    pub consumption_minor: i64,
    pub payments: i64,
    pub payments_cbdc_share: f64,
    pub payments_cash_share: f64,
    pub payments_value_minor: i64,
    pub ledger_commands: u64,
    pub ledger_refused: u64,
    /// Over the whole run.
    pub fees_minor: i64,
    /// The extreme over the ends of the periods.
    pub cbdc_households_minor_max: i64,
    pub central_bank_loans_minor_max: i64,
    pub reserves_and_facility_minor_min: i64,
}

impl Results {
    /// Visits every table: its name, its columns and its rows.
    pub fn for_each_table(&self, visit: &mut dyn FnMut(&'static str, &'static [&'static str], Vec<Vec<Cell>>)) {
        fn cells<R: Row>(rows: &[R]) -> Vec<Vec<Cell>> {
            rows.iter().map(Row::cells).collect()
        }
        visit(MacroRow::TABLE, MacroRow::COLUMNS, cells(&self.macro_rows));
        visit(BankRow::TABLE, BankRow::COLUMNS, cells(&self.bank_rows));
        visit(HouseholdRow::TABLE, HouseholdRow::COLUMNS, cells(&self.household_rows));
        visit(PaymentRow::TABLE, PaymentRow::COLUMNS, cells(&self.payment_rows));
        visit(EventRow::TABLE, EventRow::COLUMNS, cells(&self.event_rows));
    }

    /// Computes the digest over everything else except the scenario's name.
    pub(crate) fn seal(&mut self) {
        let mut hasher = blake3::Hasher::new();
        let text = |hasher: &mut blake3::Hasher, text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        };
        text(&mut hasher, &self.scenario_hash);
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(&[u8::from(self.is_collapsed)]);
        text(&mut hasher, &self.ledger.tip);
        self.holdings_of_limit.iter().for_each(|count| {
            hasher.update(&count.to_le_bytes());
        });
        self.for_each_table(&mut |name, columns, rows| {
            text(&mut hasher, name);
            columns.iter().for_each(|column| text(&mut hasher, column));
            for cell in rows.iter().flatten() {
                match cell {
                    Cell::Integer(number) => hasher.update(&number.to_le_bytes()),
                    Cell::Optional(None) => hasher.update(&[0]),
                    Cell::Optional(Some(number)) => hasher.update(&[1]).update(&number.to_le_bytes()),
                    Cell::Date(days) => hasher.update(&days.to_le_bytes()),
                    Cell::Number(number) => hasher.update(&number.to_bits().to_le_bytes()),
                    Cell::Text(words) => {
                        text(&mut hasher, words);
                        &mut hasher
                    }
                };
            }
        });
        self.digest = hasher.finalize().to_hex().to_string();
    }

    /// Summarises the end and the whole of the run.
    pub fn summary(&self) -> Summary {
        let (first, last) = match (self.macro_rows.first(), self.macro_rows.last()) {
            (Some(first), Some(last)) => (first.clone(), last.clone()),
            _ => Default::default(),
        };
        let deposits =
            |row: &MacroRow| row.deposits_households_minor + row.deposits_firms_minor + row.deposits_investors_minor;
        let of_rows = |value: fn(&MacroRow) -> i64| self.macro_rows.iter().map(value);
        let share = |part: i64, whole: i64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let sum = |instrument: &str, value: fn(&PaymentRow) -> i64| -> i64 {
            self.payment_rows.iter().filter(|row| row.instrument == instrument).map(value).sum()
        };
        let retail = |value: fn(&PaymentRow) -> i64| ["cbdc", "cash", "deposit"].map(|name| sum(name, value));
        let counts = retail(|row| row.count);
        let payments: i64 = counts.iter().sum();
        let liquid = last.deposits_households_minor + last.cash_minor + last.cbdc_households_minor;
        Summary {
            scenario: self.name.clone(),
            scenario_hash: self.scenario_hash.clone(),
            seed: self.seed,
            version: self.version.clone(),
            digest: self.digest.clone(),
            households: self.households,
            days: self.days,
            adopters_share: share(last.adopters, self.households as i64),
            cbdc_households_minor: last.cbdc_households_minor,
            cbdc_of_liquid_wealth: share(last.cbdc_households_minor, liquid),
            deposits_minor: deposits(&last),
            deposits_change: share(deposits(&last) - deposits(&first), deposits(&first)),
            cash_minor: last.cash_minor,
            reserves_minor: last.reserves_minor,
            deposit_facility_minor: last.deposit_facility_minor,
            central_bank_loans_minor: last.central_bank_loans_minor,
            wholesale_minor: last.wholesale_minor,
            loans_minor: last.loans_minor,
            loans_change: share(last.loans_minor - first.loans_minor, first.loans_minor),
            bank_equity_minor: last.bank_equity_minor,
            banks_failed: first.banks_alive - last.banks_alive,
            collapsed: i64::from(self.is_collapsed),
            deposit_rate_ppm: last.deposit_rate_ppm,
            loan_rate_ppm: last.loan_rate_ppm,
            policy_rate_ppm: last.policy_rate_ppm,
            inflation_ppm: last.inflation_ppm,
            consumption_minor: self.macro_rows.iter().map(|row| row.consumption_minor).sum(),
            payments,
            payments_cbdc_share: share(counts[0], payments),
            payments_cash_share: share(counts[1], payments),
            payments_value_minor: retail(|row| row.value_minor).iter().sum(),
            ledger_commands: self.ledger.commands,
            ledger_refused: self.ledger.refused,
            fees_minor: self.macro_rows.iter().map(|row| row.fees_minor).sum(),
            cbdc_households_minor_max: of_rows(|row| row.cbdc_households_minor).max().unwrap_or(0),
            central_bank_loans_minor_max: of_rows(|row| row.central_bank_loans_minor).max().unwrap_or(0),
            reserves_and_facility_minor_min: of_rows(|row| row.reserves_minor + row.deposit_facility_minor)
                .min()
                .unwrap_or(0),
        }
    }

    /// A table as comma-separated values, with a line of names.
    pub fn csv(columns: &[&str], rows: &[Vec<Cell>]) -> String {
        let mut text = columns.join(",");
        text.push('\n');
        for row in rows {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| match cell {
                    Cell::Integer(number) => number.to_string(),
                    Cell::Optional(number) => number.map(|number| number.to_string()).unwrap_or_default(),
                    Cell::Date(days) => LedgerDay(*days as u32).to_string(),
                    Cell::Number(number) => number.to_string(),
                    Cell::Text(words) => format!("\"{}\"", words.replace('"', "\"\"")),
                })
                .collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }
}
