//! `cbdc wallet designate`: the wallet that has the tier allowance.

use clap::Args;
use serde_json::json;

use super::format::position_text;
use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Give a wallet its holder's tier allowance
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet designate alice

A holder's allowance of remunerated money counts on one wallet; the first one opened has it until another is
designated.")]
pub struct Designate {
    /// The wallet's name
    name: String,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Designate {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let wallet = self.network.open()?.wallet(&self.name)?;
        let position = wallet.designate().await?.settled()?;
        let object =
            json!({ "name": self.name, "has_allowance": true, "height": position.height.0, "index": position.index });
        output.print(object, || {
            fields(&[("tier allowance", format!("on {}", self.name)), ("position", position_text(position))])
        });
        Ok(())
    }
}
