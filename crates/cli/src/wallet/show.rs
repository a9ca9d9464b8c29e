//! `cbdc wallet show`: a wallet in full.

use cbdc_client::{AccountId, Anchor, BankId, ClientError, NetworkFolder, Timestamp, Wallet, v1};
use clap::Args;
use serde_json::{Value, json};

use super::format::grouped;
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};

/// Show a wallet's money, its deposits and its next sequence number
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet show alice
  cbdc wallet show alice --json")]
pub struct Show {
    /// The wallet's name
    name: String,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Show {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let wallet = network.wallet(&self.name)?;
        let details = wallet.details().await?;
        // The ledger's figures are shown even if the bank does not serve deposits.
        let deposit = Shown::of(wallet.deposit().await, &anchor);
        let account: AccountId = wallet.account();
        let linked = linked_deposit(&network, &wallet, details.linked_bank).await;
        let object = json!({
            "name": self.name,
            "account": account.to_string(),
            "bank": account.bank.0,
            "class": details.class,
            "posted_minor": details.posted_minor,
            "available_minor": details.available_minor,
            "held_minor": details.held_minor,
            "earmarked_minor": details.earmarked_minor,
            "earmarks": details.earmarks.iter().map(earmark_object).collect::<Vec<_>>(),
            "frozen_minor": details.frozen_minor,
            "claim_minor": details.claim_minor,
            "accrued_interest_minor": details.accrued_interest_minor,
            "has_allowance": details.has_allowance,
            "linked_bank": details.linked_bank,
            "deposit_minor": deposit.minor(|deposit| deposit.balance_minor),
            "deposit_in_transit_minor": deposit.minor(|deposit| deposit.in_transit_minor),
            "deposit_not_shown": deposit.why(),
            "linked_deposit_minor": linked.as_ref().and_then(|linked| linked.minor(|deposit| deposit.balance_minor)),
            "linked_deposit_not_shown": linked.as_ref().and_then(Shown::why),
            "next_sequence": details.next_sequence,
            "height": details.height,
        });
        output.print(object, || {
            let mut rows = vec![
                ("wallet", self.name.clone()),
                ("account", grouped(account)),
                ("bank", account.bank.to_string()),
                ("class", details.class.clone()),
                ("available", money(&anchor, details.available_minor)),
            ];
            for (label, minor) in [("held", details.held_minor), ("frozen", details.frozen_minor)] {
                if minor > 0 {
                    rows.push((label, money(&anchor, minor)));
                }
            }
            match details.claim_minor {
                Some(0) => {}
                Some(minor) => rows.push(("owed", money(&anchor, minor))),
                None => rows.push(("owed", "not known while the central bank does not answer".to_owned())),
            }
            rows.extend(details.earmarks.iter().map(|earmark| ("earmarked", earmark_text(&anchor, earmark))));
            match details.accrued_interest_minor {
                0 => {}
                minor if minor > 0 => rows.push(("interest so far", money(&anchor, minor.unsigned_abs()))),
                minor => rows.push(("interest so far", format!("-{}", money(&anchor, minor.unsigned_abs())))),
            }
            if details.has_allowance {
                rows.push(("tier allowance", "on this wallet".to_owned()));
            }
            rows.push(("deposit", deposit.text(&anchor)));
            if details.linked_bank > 0 {
                let other = linked.as_ref().map(|deposit| format!(", deposit there {}", deposit.text(&anchor)));
                rows.push(("linked bank", format!("{}{}", details.linked_bank, other.unwrap_or_default())));
            }
            rows.push(("next sequence", details.next_sequence.to_string()));
            rows.push(("as of block", details.height.to_string()));
            fields(&rows)
        });
        Ok(())
    }
}

/// A deposit, or why it is not shown.
enum Shown {
    Deposit(v1::Deposit),
    Not(String),
}

impl Shown {
    fn of(asked: Result<v1::Deposit, ClientError>, anchor: &Anchor) -> Shown {
        match asked {
            Ok(deposit) => Shown::Deposit(deposit),
            Err(ClientError::Refused(refusal)) => Shown::Not(refusal.describe(anchor)),
            Err(error) => Shown::Not(error.to_string()),
        }
    }

    fn minor(&self, part: impl Fn(&v1::Deposit) -> u64) -> Option<u64> {
        match self {
            Shown::Deposit(deposit) => Some(part(deposit)),
            Shown::Not(_) => None,
        }
    }

    fn why(&self) -> Option<&str> {
        match self {
            Shown::Deposit(_) => None,
            Shown::Not(why) => Some(why),
        }
    }

    fn text(&self, anchor: &Anchor) -> String {
        match self {
            Shown::Deposit(deposit) => money(anchor, deposit.balance_minor),
            Shown::Not(why) => format!("not shown: {why}"),
        }
    }
}

/// The deposit at the linked bank, if that is another bank.
async fn linked_deposit(network: &NetworkFolder, wallet: &Wallet, linked_bank: u32) -> Option<Shown> {
    let bank = BankId(u16::try_from(linked_bank).ok()?);
    if bank == BankId(0) || bank == wallet.account().bank {
        return None;
    }
    let deposit = match network.connect_customer(bank) {
        Ok(connection) => wallet.deposit_at(bank, &connection).await,
        Err(error) => Err(error),
    };
    Some(Shown::of(deposit, network.anchor()))
}

fn earmark_text(anchor: &Anchor, earmark: &v1::Earmark) -> String {
    format!(
        "{} for {} until {}",
        money(anchor, earmark.amount_minor),
        earmark.payee_classes.join(", "),
        Timestamp(earmark.expires_at_ms)
    )
}

fn earmark_object(earmark: &v1::Earmark) -> Value {
    json!({
        "programme": earmark.programme,
        "amount_minor": earmark.amount_minor,
        "held_minor": earmark.held_minor,
        "expires_at_ms": earmark.expires_at_ms,
        "payee_classes": earmark.payee_classes,
    })
}
