//! `cbdc wallet link` and `unlink`: the holder's standing consent to the waterfall.

use cbdc_client::{BankId, SubmissionStatus};
use clap::Args;
use serde_json::json;

use super::format::position_text;
use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Let a bank move what exceeds the holding limit to the deposit there, and top payments up from it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet link alice --bank 1
  cbdc wallet link alice --bank 2     the deposit may be at another bank than the wallet

The consent holds until it is revoked: cbdc wallet unlink alice")]
pub struct Link {
    /// The wallet's name
    name: String,
    /// The bank's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    bank: u16,
    #[command(flatten)]
    network: NetworkArgument,
}

/// Revoke the consent of `link`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet unlink alice

Credits above the holding limit are refused from then on.")]
pub struct Unlink {
    /// The wallet's name
    name: String,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Link {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let bank = BankId(self.bank);
        let network = self.network.open()?;
        let wallet = network.wallet(&self.name)?;
        let status = match wallet.account().bank == bank {
            true => wallet.link_bank().await?,
            // Another bank's consent is requested as its back office: a development network holds all keys.
            false => {
                let consent = network.bank_office(bank)?.consent_to_link(wallet.account()).await?;
                wallet.link_bank_with(bank, consent).await?
            }
        };
        report(output, &self.name, bank, status)
    }
}

impl Unlink {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let status = self.network.open()?.wallet(&self.name)?.unlink_bank().await?;
        report(output, &self.name, BankId(0), status)
    }
}

fn report(output: &Output, name: &str, bank: BankId, status: SubmissionStatus) -> anyhow::Result<()> {
    let position = status.settled()?;
    let object = json!({ "name": name, "linked_bank": bank.0, "height": position.height.0, "index": position.index });
    output.print(object, || {
        let linked = if bank == BankId(0) { "none".to_owned() } else { bank.to_string() };
        fields(&[("wallet", name.to_owned()), ("linked bank", linked), ("position", position_text(position))])
    });
    Ok(())
}
