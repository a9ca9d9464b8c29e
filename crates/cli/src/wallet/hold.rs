//! `cbdc wallet hold` and `holds`: money held for a payee.

use cbdc_client::{AccountId, Amount, BlockPosition, PaymentTerms, Timestamp, Wallet, v1};
use cbdc_ledger::Command;
use cbdc_proto::wall_clock::wall_clock;
use clap::Args;
use serde_json::{Value, json};

use super::format::{grouped, grouped_text, parse_amount, position_text};
use super::pay::reference;
use super::pending::{InFlight, InsteadArgument, Intent, Pending};
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money, table};

/// Hold money for a payee, whose bank may capture it until it expires
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet hold alice bakery 20 --expires-in-s 3600
  cbdc wallet hold alice hotel 300 --expires-in-s 604800 --max-fee 1.50

The hold's number is printed; the payee's bank captures it: cbdc wallet capture 7 18.50 --bank 1
If interrupted, run the same command again: it submits the same signed record, which cannot hold the money twice.")]
pub struct Hold {
    /// The paying wallet's name
    from: String,
    /// A wallet's name or an account number
    to: String,
    /// The most that may be captured, major units
    amount: String,
    /// Seconds until the money returns, at most 31 days
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=31 * 86_400))]
    expires_in_s: u64,
    /// The largest fee to accept, major units; held in addition to the amount
    #[arg(long, value_name = "AMOUNT", default_value = "0")]
    max_fee: String,
    /// At most 16 bytes for the payee to read
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference: String,
    #[command(flatten)]
    instead: InsteadArgument,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Hold {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let (maximum, max_fee) = (parse_amount(&anchor, &self.amount)?, parse_amount(&anchor, &self.max_fee)?);
        let terms = PaymentTerms { reference: reference(&self.reference)?, max_fee, top_up: false };
        let to = network.account_of(&self.to)?;
        let pending = Pending::of(&self.network, &network, &self.from, output)?;
        let wallet = pending.wallet(&network, false).await?;
        let lasts_s = self.expires_in_s;
        let is_same = |earlier: &InFlight| earlier.lasts_s == lasts_s && is_same(&earlier.command, to, maximum, &terms);
        let intent = Intent { is_same, lasts_s, instead: self.instead.instead };
        let sign = async |wallet: &Wallet| {
            // Not before the chain's clock, so that on a machine with a slow clock the hold lasts as long as requested.
            let now = Timestamp(wallet.status().await?.time_ms);
            let expires_at = now.max(wall_clock()).plus_ms(lasts_s * 1_000);
            Ok(wallet.sign_hold(to, maximum, expires_at, &terms).await?.into())
        };
        let made = pending.make(output, &wallet, intent, sign).await?;
        pending.show(output, made, |command, status| {
            let (position, number) = status.result()?;
            let expires_at = match command {
                Command::Hold(hold) => hold.record.expires_at,
                _ => Timestamp(0),
            };
            self.report(output, &wallet, (to, maximum, max_fee), (position, number, expires_at));
            Ok(())
        })
    }

    fn report(
        &self,
        output: &Output,
        wallet: &Wallet,
        (to, maximum, max_fee): (AccountId, Amount, Amount),
        (position, hold, expires_at): (BlockPosition, u64, Timestamp),
    ) {
        let anchor = wallet.anchor();
        let object = json!({
            "hold": hold,
            "from": wallet.account().to_string(),
            "to": to.to_string(),
            "maximum_minor": maximum.minor(),
            "max_fee_minor": max_fee.minor(),
            "expires_at_ms": expires_at.0,
            "height": position.height.0,
            "index": position.index,
        });
        output.print(object, || {
            fields(&[
                ("hold", hold.to_string()),
                ("at most", anchor.show(maximum)),
                ("from", format!("{}  {}", grouped(wallet.account()), self.from)),
                ("to", grouped(to)),
                ("expires", expires_at.to_string()),
                ("position", position_text(position)),
            ])
        });
    }
}

/// Whether the earlier command is a hold for the same payee, with the same terms.
fn is_same(earlier: &Command, to: AccountId, maximum: Amount, terms: &PaymentTerms) -> bool {
    let Command::Hold(earlier) = earlier else { return false };
    let earlier = &earlier.record;
    (earlier.to, earlier.maximum, earlier.max_fee, earlier.reference) == (to, maximum, terms.max_fee, terms.reference)
}

/// List the open holds of which a wallet is payer or payee
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet holds bakery
  cbdc wallet holds alice --json")]
pub struct Holds {
    /// The wallet's name
    name: String,
    /// Holds on the page
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    count: u32,
    /// Continue from here: `next_page_token` of an earlier answer
    #[arg(long, value_name = "TOKEN")]
    page: Option<String>,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Holds {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let wallet = network.wallet(&self.name)?;
        let page = wallet.holds(self.count, self.page).await?;
        let next = Some(&page.next_page_token).filter(|token| !token.is_empty());
        let objects: Vec<_> = page.holds.iter().map(object).collect();
        output.print(json!({ "holds": objects, "next_page_token": next }), || {
            if page.holds.is_empty() {
                return format!("{} has no open holds.", self.name);
            }
            let row = |hold: &v1::OpenHold| {
                let (sign, other) = seen_from(wallet.account(), hold);
                let maximum = format!("{sign}{}", money(&anchor, hold.maximum_minor));
                vec![hold.hold.to_string(), other, maximum, Timestamp(hold.expires_at_ms).to_string()]
            };
            let rows: Vec<_> = page.holds.iter().map(row).collect();
            let mut text = table(&[">hold", "with", ">at most", "expires"], &rows);
            if let Some(token) = next {
                let (name, count, suffix) = (&self.name, self.count, self.network.suffix());
                text.push_str(&format!("\nmore: cbdc wallet holds {name} --count {count} --page {token}{suffix}\n"));
            }
            text
        });
        Ok(())
    }
}

/// The sign of a hold from the account's point of view, and the other account.
fn seen_from(account: AccountId, hold: &v1::OpenHold) -> (&'static str, String) {
    match hold.from == account.to_string() {
        true => ("-", grouped_text(&hold.to)),
        false => ("+", grouped_text(&hold.from)),
    }
}

fn object(hold: &v1::OpenHold) -> Value {
    json!({
        "hold": hold.hold,
        "from": hold.from,
        "to": hold.to,
        "maximum_minor": hold.maximum_minor,
        "max_fee_minor": hold.max_fee_minor,
        "expires_at_ms": hold.expires_at_ms,
    })
}
