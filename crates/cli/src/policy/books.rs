//! `cbdc policy balance-sheet`, `profit-and-loss`, `aggregates` and `supply`: the central bank's books.
//!
//! In JSON every amount is a number of minor units, except that a sum beyond 64 bits is a string of its digits.

use cbdc_client::anchor::group_thousands;
use cbdc_client::{Amount, Anchor, RatePpm, Timestamp, v1};
use cbdc_ledger::policy::text::show_rate;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::network::NetworkArgument;
use crate::output::{Output, fields, money, sum_minor, table};

/// Show the central bank's balance sheet
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy balance-sheet
  cbdc policy balance-sheet --unposted
  cbdc policy balance-sheet --json

With --json amounts are numbers of minor units; a sum beyond 64 bits is a string of its digits. Without --unposted
the unposted amounts are null.")]
pub struct BalanceSheet {
    /// Also add up the interest accrued on wallets but not posted; this reads every wallet while the ledger waits,
    /// which takes seconds on a large ledger
    #[arg(long)]
    unposted: bool,
    #[command(flatten)]
    network: NetworkArgument,
}

impl BalanceSheet {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let governance = network.governance_reader().await?;
        let sheet = match self.unposted {
            true => governance.balance_sheet_with_unposted_interest().await?,
            false => governance.balance_sheet().await?,
        };
        output.print(sheet_object(&anchor, &sheet), || {
            let banks = banks_table(&anchor, &sheet.banks);
            let mut parts = vec![
                format!("balance sheet as of block {} ({})\n", sheet.height, Timestamp(sheet.time_ms)),
                sheet_table(&anchor, &sheet),
                banks,
            ];
            parts.extend(loans_table(&anchor, &sheet.banks));
            parts.extend(unposted_line(&anchor, &sheet));
            parts.join("\n")
        });
        Ok(())
    }
}

fn sheet_object(anchor: &Anchor, sheet: &v1::BalanceSheet) -> Value {
    let banks: Vec<Value> = sheet.banks.iter().map(bank_object).collect();
    json!({
        "currency": anchor.currency(),
        "currency_exponent": anchor.genesis().currency_exponent,
        "height": sheet.height,
        "time_ms": sheet.time_ms,
        "securities_minor": sheet.securities_minor,
        "securities_nominal_minor": sheet.securities_nominal_minor,
        "banknotes_minor": sheet.banknotes_minor,
        "cbdc_minor": sheet.cbdc_minor,
        "offline_minor": sheet.offline_minor,
        "government_minor": sheet.government_minor,
        "equity_minor": sum_minor(&sheet.equity_minor),
        "unposted_interest_minor": sheet.unposted_interest_minor.as_deref().map(sum_minor),
        "unposted_demurrage_minor": sheet.unposted_demurrage_minor.as_deref().map(sum_minor),
        "banks": banks,
    })
}

fn bank_object(bank: &v1::BankBooks) -> Value {
    let loan = |loan: &v1::Loan| {
        json!({
            "principal_minor": loan.principal_minor,
            "rate_ppm": loan.rate_ppm,
            "matures": loan.matures,
            "overdue": loan.overdue,
        })
    };
    json!({
        "bank": bank.bank,
        "name": bank.name,
        "status": bank.status,
        "overdue": bank.overdue,
        "loans_minor": bank.loans_minor,
        "loans": bank.loans.iter().map(loan).collect::<Vec<_>>(),
        "reserves_minor": bank.reserves_minor,
        "requirement_minor": bank.requirement_minor,
        "deposit_facility_minor": bank.deposit_facility_minor,
        "treasury_minor": bank.treasury_minor,
        "issued_today_minor": bank.issued_today_minor,
        "collateral_minor": bank.collateral_minor,
        "collateral_after_haircut_minor": bank.collateral_after_haircut_minor,
        "deposits_reported_minor": bank.deposits_reported_minor,
    })
}

fn sheet_table(anchor: &Anchor, sheet: &v1::BalanceSheet) -> String {
    let sum =
        |of: fn(&v1::BankBooks) -> u64| money_of_sum(anchor, sheet.banks.iter().map(|bank| i128::from(of(bank))).sum());
    let of_banks =
        |of: fn(&v1::BankBooks) -> u64| -> i128 { sheet.banks.iter().map(|bank| i128::from(of(bank))).sum() };
    let assets = i128::from(sheet.securities_minor) + of_banks(|bank| bank.loans_minor);
    let own = [sheet.banknotes_minor, sheet.cbdc_minor, sheet.offline_minor, sheet.government_minor];
    let liabilities = own.iter().map(|minor| i128::from(*minor)).sum::<i128>()
        + of_banks(|bank| bank.reserves_minor)
        + of_banks(|bank| bank.deposit_facility_minor);
    let both_sides = sheet.equity_minor.parse::<i128>().map_or(liabilities, |equity| liabilities + equity);
    let nominal = format!("securities (nominal {})", money(anchor, sheet.securities_nominal_minor));
    let rows = [
        ("assets", nominal.as_str(), money(anchor, sheet.securities_minor)),
        ("", "loans to banks", sum(|bank| bank.loans_minor)),
        ("", "sum", money_of_sum(anchor, assets)),
        ("liabilities", "banknotes", money(anchor, sheet.banknotes_minor)),
        ("", "banks' reserves", sum(|bank| bank.reserves_minor)),
        ("", "deposit facility", sum(|bank| bank.deposit_facility_minor)),
        ("", "CBDC", money(anchor, sheet.cbdc_minor)),
        ("", "government", money(anchor, sheet.government_minor)),
        ("", "sum", money_of_sum(anchor, liabilities)),
        ("equity", "", money_of_text(anchor, &sheet.equity_minor)),
        ("liabilities and equity", "sum", money_of_sum(anchor, both_sides)),
    ];
    let rows = rows.map(|(side, account, amount)| vec![side.to_owned(), account.to_owned(), amount]);
    table(&["side", "account", ">amount"], &rows)
}

fn banks_table(anchor: &Anchor, banks: &[v1::BankBooks]) -> String {
    let row = |bank: &v1::BankBooks| {
        let status = if bank.overdue { format!("{}, overdue", bank.status) } else { bank.status.clone() };
        let amounts = [
            bank.reserves_minor,
            bank.loans_minor,
            bank.deposit_facility_minor,
            bank.collateral_minor,
            bank.treasury_minor,
            bank.issued_today_minor,
        ];
        [bank.name.clone(), status].into_iter().chain(amounts.map(|minor| money(anchor, minor))).collect()
    };
    let rows: Vec<Vec<String>> = banks.iter().map(row).collect();
    let headings = [
        "bank",
        "status",
        ">reserves",
        ">loans",
        ">deposit facility",
        ">collateral",
        ">CBDC in treasury",
        ">issued today",
    ];
    table(&headings, &rows)
}

fn loans_table(anchor: &Anchor, banks: &[v1::BankBooks]) -> Option<String> {
    let row = |bank: &v1::BankBooks, loan: &v1::Loan| {
        vec![
            bank.name.clone(),
            money(anchor, loan.principal_minor),
            loan.rate_ppm.map_or("lending rate".to_owned(), |ppm| show_rate(RatePpm(ppm))),
            loan.matures.clone(),
            if loan.overdue { "overdue" } else { "" }.to_owned(),
        ]
    };
    let rows: Vec<_> = banks.iter().flat_map(|bank| bank.loans.iter().map(move |loan| row(bank, loan))).collect();
    let headings = ["borrower", ">principal", ">rate a year", "matures", ""];
    (!rows.is_empty()).then(|| table(&headings, &rows))
}

fn unposted_line(anchor: &Anchor, sheet: &v1::BalanceSheet) -> Option<String> {
    let interest = money_of_text(anchor, sheet.unposted_interest_minor.as_ref()?);
    let demurrage = money_of_text(anchor, sheet.unposted_demurrage_minor.as_ref()?);
    Some(format!("Accrued on wallets and not posted yet: interest {interest}, demurrage {demurrage}"))
}

/// Show the central bank's profit and loss since genesis, by source
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy profit-and-loss
  cbdc policy profit-and-loss --json

With --json amounts are numbers of minor units; a sum beyond 64 bits is a string of its digits.")]
pub struct ProfitAndLoss {
    #[command(flatten)]
    network: NetworkArgument,
}

impl ProfitAndLoss {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let profit = network.governance_reader().await?.profit_and_loss().await?;
        let items: Map<String, Value> =
            profit.items.iter().map(|item| (format!("{}_minor", item.name), sum_minor(&item.amount_minor))).collect();
        let object = json!({
            "currency": anchor.currency(),
            "currency_exponent": anchor.genesis().currency_exponent,
            "height": profit.height,
            "time_ms": profit.time_ms,
            "opening_equity_minor": sum_minor(&profit.opening_equity_minor),
            "income": items,
            "total_minor": sum_minor(&profit.total_minor),
            "equity_minor": sum_minor(&profit.equity_minor),
        });
        output.print(object, || {
            let mut rows =
                vec![vec!["equity at genesis".to_owned(), money_of_text(&anchor, &profit.opening_equity_minor)]];
            for item in profit.items.iter().filter(|item| item.amount_minor != "0") {
                rows.push(vec![item.name.replace('_', " "), money_of_text(&anchor, &item.amount_minor)]);
            }
            rows.push(vec!["profit or loss since".to_owned(), money_of_text(&anchor, &profit.total_minor)]);
            rows.push(vec!["equity now".to_owned(), money_of_text(&anchor, &profit.equity_minor)]);
            let heading = format!("as of block {} ({})", profit.height, Timestamp(profit.time_ms));
            table(&[heading.as_str(), ">amount"], &rows)
        });
        Ok(())
    }
}

/// Show base money (M0), and the CBDC by class and by bank
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy aggregates
  cbdc policy aggregates --json

Looks at every wallet, which takes seconds on a large ledger. With --json amounts are numbers of minor units; a sum
beyond 64 bits is a string of its digits.")]
pub struct Aggregates {
    #[command(flatten)]
    network: NetworkArgument,
}

impl Aggregates {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let aggregates = network.governance_reader().await?.aggregates().await?;
        output.print(aggregates_object(&anchor, &aggregates), || {
            let base = fields(&[
                ("base money (M0)", money_of_text(&anchor, &aggregates.m0_minor)),
                ("  banknotes", money(&anchor, aggregates.banknotes_minor)),
                ("  banks' reserves", money_of_text(&anchor, &aggregates.reserves_minor)),
                ("  deposit facility", money_of_text(&anchor, &aggregates.deposit_facility_minor)),
                ("  CBDC", money(&anchor, aggregates.cbdc_minor)),
                ("open holds", aggregates.open_holds.to_string()),
                ("as of block", aggregates.height.to_string()),
            ]);
            let classes = parts_table(&anchor, "class", &aggregates.classes);
            let banks = parts_table(&anchor, "bank", &aggregates.banks);
            format!("{base}\n{classes}\n{banks}")
        });
        Ok(())
    }
}

fn aggregates_object(anchor: &Anchor, aggregates: &v1::Aggregates) -> Value {
    let parts = |all: &[v1::CbdcParts]| -> Map<String, Value> {
        let object = |parts: &v1::CbdcParts| {
            json!({
                "wallets": parts.wallets,
                "available_minor": parts.available_minor,
                "held_minor": parts.held_minor,
                "locked_minor": parts.locked_minor,
                "earmarked_minor": parts.earmarked_minor,
                "treasury_minor": parts.treasury_minor,
            })
        };
        all.iter().map(|parts| (parts.name.clone(), object(parts))).collect()
    };
    json!({
        "currency": anchor.currency(),
        "currency_exponent": anchor.genesis().currency_exponent,
        "height": aggregates.height,
        "time_ms": aggregates.time_ms,
        "m0_minor": sum_minor(&aggregates.m0_minor),
        "banknotes_minor": aggregates.banknotes_minor,
        "reserves_minor": sum_minor(&aggregates.reserves_minor),
        "deposit_facility_minor": sum_minor(&aggregates.deposit_facility_minor),
        "cbdc_minor": aggregates.cbdc_minor,
        "offline_minor": aggregates.offline_minor,
        "classes": parts(&aggregates.classes),
        "banks": parts(&aggregates.banks),
        "open_holds": aggregates.open_holds,
    })
}

/// The CBDC by class or bank, omitting those with neither a wallet nor money.
fn parts_table(anchor: &Anchor, heading: &str, all: &[v1::CbdcParts]) -> String {
    let row = |parts: &v1::CbdcParts| {
        let amounts =
            [parts.available_minor, parts.held_minor, parts.locked_minor, parts.earmarked_minor, parts.treasury_minor];
        let names = [parts.name.clone(), parts.wallets.to_string()];
        names.into_iter().chain(amounts.map(|minor| money(anchor, minor))).collect()
    };
    let with_money = all.iter().filter(|parts| parts.wallets > 0 || parts.treasury_minor > 0);
    let rows: Vec<Vec<String>> = with_money.map(row).collect();
    table(&[heading, ">wallets", ">available", ">held", ">locked", ">earmarked", ">treasury"], &rows)
}

/// Show the CBDC in circulation and the terms that add up to it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy supply --json")]
pub struct Supply {
    #[command(flatten)]
    network: NetworkArgument,
}

impl Supply {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let supply = network.governance_reader().await?.supply().await?;
        let terms: Map<String, Value> =
            supply.terms.iter().map(|term| (format!("{}_minor", term.name), json!(term.amount_minor))).collect();
        let object = json!({
            "currency": anchor.currency(),
            "currency_exponent": anchor.genesis().currency_exponent,
            "height": supply.height,
            "cbdc_minor": supply.cbdc_minor,
            "terms": terms,
            "wallets": supply.wallets,
            "holders": supply.holders,
        });
        output.print(object, || {
            let mut rows = vec![("in circulation", money(&anchor, supply.cbdc_minor))];
            for term in supply.terms.iter().filter(|term| term.amount_minor > 0) {
                rows.push((term.name.as_str(), anchor.show(Amount::from_minor(term.amount_minor))));
            }
            rows.push(("wallets", supply.wallets.to_string()));
            rows.push(("holders", supply.holders.to_string()));
            rows.push(("as of block", supply.height.to_string()));
            fields(&rows)
        });
        Ok(())
    }
}

/// Formats a sum of minor units, which may exceed 64 bits or be negative, in major units with the currency.
fn money_of_sum(anchor: &Anchor, minor: i128) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let exponent = anchor.genesis().currency_exponent;
    let unit = 10_u128.pow(u32::from(exponent));
    let (whole, part) = (minor.unsigned_abs() / unit, minor.unsigned_abs() % unit);
    let decimals = match exponent {
        0 => String::new(),
        digits => format!(".{part:0width$}", width = usize::from(digits)),
    };
    format!("{} {}", group_thousands(&format!("{sign}{whole}{decimals}")), anchor.currency())
}

/// Formats a sum as messages carry it; a text that is not a number is shown unchanged.
fn money_of_text(anchor: &Anchor, minor: &str) -> String {
    minor.parse().map_or_else(|_| minor.to_owned(), |minor| money_of_sum(anchor, minor))
}

#[cfg(test)]
mod tests {
    use super::super::action::tests::anchor;
    use super::*;

    #[test]
    fn sums_are_shown_exactly_beyond_64_bits_and_below_zero() {
        let anchor = anchor();
        let currency = anchor.currency();
        for (minor, shown) in [
            ("0", "0.00"),
            ("-5", "-0.05"),
            ("1250", "12.50"),
            ("-170141183460469231731687303715884105728", "-1,701,411,834,604,692,317,316,873,037,158,841,057.28"),
        ] {
            assert_eq!(money_of_text(&anchor, minor), format!("{shown} {currency}"));
        }
        let amount = Amount::from_minor(u64::MAX);
        assert_eq!(money_of_sum(&anchor, i128::from(u64::MAX)), anchor.show(amount));
    }
}
