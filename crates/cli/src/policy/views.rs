//! `cbdc policy show`, `balance-sheet`, `supply` and `members`: what every member may read.

use cbdc_client::{Amount, Timestamp};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::network::NetworkArgument;
use crate::output::{Output, fields, limit, money, table};

/// Show the parameters of policy in force, or an earlier version
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy show
  cbdc policy show --version-number 1 --json")]
pub struct Show {
    /// An earlier version
    #[arg(long, value_name = "N")]
    version_number: Option<u32>,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Show {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let set = network.reading_desk()?.policy(self.version_number).await?;
        let classes: Map<String, Value> = set
            .classes
            .iter()
            .map(|rules| {
                let limits = json!({
                    "holding_limit_minor": rules.holding_limit_minor,
                    "payment_limit_minor": rules.payment_limit_minor,
                    "day_limit_minor": rules.day_limit_minor,
                });
                (rules.class.clone(), limits)
            })
            .collect();
        let quotas: Map<String, Value> =
            set.bank_quotas.iter().map(|quota| (format!("bank-{}", quota.bank), json!(quota.quota_minor))).collect();
        let object = json!({
            "version": set.version,
            "in_force_since_ms": set.in_force_since_ms,
            "supply_cap_minor": set.supply_cap_minor,
            "issuance_quota_minor": set.issuance_quota_minor,
            "issuance_quota_of_bank_minor": quotas,
            "classes": classes,
            "height": set.height,
        });
        output.print(object, || {
            let mut rows = vec![
                ("policy version", set.version.to_string()),
                ("in force since", Timestamp(set.in_force_since_ms).to_string()),
                ("supply cap", limit(&anchor, set.supply_cap_minor)),
                ("issuance quota", format!("{} a bank and day", limit(&anchor, set.issuance_quota_minor))),
            ];
            for quota in &set.bank_quotas {
                rows.push(("", format!("{} for bank {}", money(&anchor, quota.quota_minor), quota.bank)));
            }
            let rules = set.classes.iter().map(|rules| {
                let limits = [rules.holding_limit_minor, rules.payment_limit_minor, rules.day_limit_minor];
                std::iter::once(rules.class.clone()).chain(limits.map(|minor| limit(&anchor, minor))).collect()
            });
            let rules: Vec<Vec<String>> = rules.collect();
            format!(
                "{}\n{}",
                fields(&rows),
                table(&["class", ">holding limit", ">payment limit", ">day limit"], &rules)
            )
        });
        Ok(())
    }
}

/// Show the central bank's balance sheet
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy balance-sheet")]
pub struct BalanceSheet {
    #[command(flatten)]
    network: NetworkArgument,
}

impl BalanceSheet {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let sheet = network.reading_desk()?.balance_sheet().await?;
        let banks: Vec<Value> = sheet
            .banks
            .iter()
            .map(|bank| {
                json!({
                    "bank": bank.bank,
                    "name": bank.name,
                    "loans_minor": bank.loans_minor,
                    "reserves_minor": bank.reserves_minor,
                    "deposit_facility_minor": bank.deposit_facility_minor,
                    "treasury_minor": bank.treasury_minor,
                    "issued_today_minor": bank.issued_today_minor,
                })
            })
            .collect();
        let object = json!({
            "height": sheet.height,
            "time_ms": sheet.time_ms,
            "securities_minor": sheet.securities_minor,
            "banknotes_minor": sheet.banknotes_minor,
            "cbdc_minor": sheet.cbdc_minor,
            "offline_minor": sheet.offline_minor,
            "government_minor": sheet.government_minor,
            "equity_minor": sheet.equity_minor,
            "banks": banks,
        });
        output.print(object, || {
            let sum = |of: fn(&cbdc_client::v1::BankBooks) -> u64| sheet.banks.iter().map(of).sum::<u64>();
            let equity = sheet.equity_minor.parse::<i128>().unwrap_or_default();
            let sign = if equity < 0 { "-" } else { "" };
            let equity = u64::try_from(equity.unsigned_abs()).unwrap_or(u64::MAX);
            let rows = [
                ("assets", "securities", money(&anchor, sheet.securities_minor)),
                ("", "loans to banks", money(&anchor, sum(|bank| bank.loans_minor))),
                ("liabilities", "banknotes", money(&anchor, sheet.banknotes_minor)),
                ("", "banks' reserves", money(&anchor, sum(|bank| bank.reserves_minor))),
                ("", "deposit facility", money(&anchor, sum(|bank| bank.deposit_facility_minor))),
                ("", "CBDC", money(&anchor, sheet.cbdc_minor)),
                ("", "government", money(&anchor, sheet.government_minor)),
                ("equity", "", format!("{sign}{}", money(&anchor, equity))),
            ];
            let rows = rows.map(|(side, account, amount)| vec![side.to_owned(), account.to_owned(), amount]);
            let banks = sheet.banks.iter().map(|bank| {
                let amounts = [bank.reserves_minor, bank.treasury_minor, bank.issued_today_minor];
                std::iter::once(bank.name.clone()).chain(amounts.map(|minor| money(&anchor, minor))).collect()
            });
            let banks: Vec<Vec<String>> = banks.collect();
            let sheet_table = table(&["side", "account", ">amount"], &rows);
            let banks_table = table(&["bank", ">reserves", ">CBDC in treasury", ">issued today"], &banks);
            format!(
                "balance sheet as of block {} ({})\n\n{sheet_table}\n{banks_table}",
                sheet.height,
                Timestamp(sheet.time_ms)
            )
        });
        Ok(())
    }
}

/// Show the CBDC in circulation and the terms that it is the sum of
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
        let supply = network.reading_desk()?.supply().await?;
        let terms: Map<String, Value> =
            supply.terms.iter().map(|term| (format!("{}_minor", term.name), json!(term.amount_minor))).collect();
        let object = json!({
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

/// List the members with their keys
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy members")]
pub struct Members {
    #[command(flatten)]
    network: NetworkArgument,
}

impl Members {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let answer = network.reading_desk()?.members().await?;
        let hex = cbdc_ledger::encoding::hex;
        let members: Vec<Value> = answer
            .members
            .iter()
            .map(|member| {
                json!({
                    "role": member.role,
                    "number": member.id,
                    "name": member.name,
                    "active": member.active,
                    "signing_key": hex(&member.signing_key),
                    "node_key": member.node_key.as_ref().map(|key| hex(key)),
                    "key_version": member.key_version,
                    "next_sequence": member.next_sequence,
                })
            })
            .collect();
        output.print(json!({ "members": members, "threshold": answer.threshold }), || {
            let row = |member: &cbdc_client::v1::Member| {
                vec![
                    format!("{}-{}", member.role, member.id),
                    member.name.clone(),
                    if member.active { "active" } else { "dismissed" }.to_owned(),
                    member.next_sequence.to_string(),
                    hex(&member.signing_key),
                ]
            };
            let rows: Vec<_> = answer.members.iter().map(row).collect();
            let members = table(&["member", "name", "standing", ">next number", "signing key"], &rows);
            format!("{members}\n{} committee members must approve a motion.", answer.threshold)
        });
        Ok(())
    }
}
