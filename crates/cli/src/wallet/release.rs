//! `cbdc wallet capture` and `void`: the payee's bank ends a hold.

use cbdc_client::BankId;
use clap::Args;
use serde_json::json;

use super::format::{charges_rows, parse_amount, position_text};
use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Pay a hold out to its payee, as the payee's bank, and return the rest
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet capture 7 18.50
  cbdc wallet capture 7 18.50 --bank 2     the payee's wallet is at bank 2

A hold is captured once. `cbdc wallet holds NAME` lists the open ones.")]
pub struct Capture {
    /// The hold's number
    #[arg(value_name = "HOLD")]
    hold: u64,
    /// Major units, at most the amount held
    amount: String,
    /// The payee's bank
    #[arg(long, value_name = "N", default_value_t = 1)]
    bank: u16,
    #[command(flatten)]
    network: NetworkArgument,
}

/// Return a hold to its payer, as the payee's bank
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet void 7
  cbdc wallet void 7 --bank 2     the payee's wallet is at bank 2")]
pub struct Void {
    /// The hold's number
    #[arg(value_name = "HOLD")]
    hold: u64,
    /// The payee's bank
    #[arg(long, value_name = "N", default_value_t = 1)]
    bank: u16,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Capture {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = parse_amount(&anchor, &self.amount)?;
        let status = network.bank_office(BankId(self.bank))?.capture(self.hold, amount).await?;
        let (position, charges) = status.charges()?;
        let object = json!({
            "hold": self.hold,
            "captured_minor": amount.minor(),
            "fee_minor": charges.fee.minor(),
            "payee_fee_minor": charges.payee_fee.minor(),
            "credited_minor": amount.minus_or_zero(charges.payee_fee).minor(),
            "height": position.height.0,
            "index": position.index,
        });
        output.print(object, || {
            let mut rows = vec![("captured", anchor.show(amount)), ("hold", self.hold.to_string())];
            rows.extend(charges_rows(&anchor, amount, &charges));
            rows.push(("position", position_text(position)));
            fields(&rows)
        });
        Ok(())
    }
}

impl Void {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let position = network.bank_office(BankId(self.bank))?.void(self.hold).await?.settled()?;
        let object =
            json!({ "hold": self.hold, "captured_minor": 0, "height": position.height.0, "index": position.index });
        output.print(object, || {
            fields(&[("voided", format!("hold {}", self.hold)), ("position", position_text(position))])
        });
        Ok(())
    }
}
