//! `cbdc bank report-deposits`.

use cbdc_client::BankId;
use clap::Args;
use serde_json::json;

use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Report customers' deposits to the central bank, which computes the reserve requirement from them
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc bank report-deposits --bank 1
  cbdc bank report-deposits --bank 1 --json

The sum is that of the deposit book, including what is in transit. The newest report counts when a
maintenance period begins.")]
pub struct ReportDeposits {
    /// The bank's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    bank: u16,
    #[command(flatten)]
    network: NetworkArgument,
}

impl ReportDeposits {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let (status, deposits) = network.bank_office(BankId(self.bank))?.report_deposits().await?;
        let position = status.settled()?;
        let object = json!({
            "bank": self.bank,
            "deposits_minor": deposits.minor(),
            "height": position.height.0,
            "index": position.index,
        });
        output.print(object, || {
            fields(&[
                ("reported", anchor.show(deposits)),
                ("bank", self.bank.to_string()),
                ("position", position.to_string()),
            ])
        });
        Ok(())
    }
}
