//! `cbdc policy reclassify`: the registrar moves a holder to another class.

use cbdc_client::{Class, HolderId, NetworkFolder, Role};
use clap::Args;
use serde_json::json;

use crate::network::NetworkArgument;
use crate::output::Output;

/// Move a holder to another class, as the registrar; its limits, rates and fees apply from now on
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy reclassify alice merchant
  cbdc policy reclassify 5f0e4d3c2b1a09182736455463728190 tier-2")]
pub struct Reclassify {
    /// A wallet's name, or a holder id of 32 hexadecimal digits
    holder: String,
    /// household, merchant, business, government, tier-1, tier-2, tier-3, visitor
    class: Class,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Reclassify {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let holder = holder_of(&network, &self.holder)?;
        let registrar = network.acting(Role::Registrar).await?;
        let position = registrar.reclassify(holder, self.class).await?.settled()?;
        let object = json!({
            "holder": holder.to_string(),
            "class": self.class.to_string(),
            "height": position.height.0,
            "index": position.index,
        });
        output.print(object, || format!("holder {holder} is in the class {} from {position} on", self.class));
        Ok(())
    }
}

fn holder_of(network: &NetworkFolder, name_or_id: &str) -> anyhow::Result<HolderId> {
    match (network.wallet_file(name_or_id), name_or_id.parse()) {
        (Ok(file), _) => Ok(file.holder),
        (Err(_), Ok(holder)) => Ok(holder),
        (Err(error), Err(_)) => Err(error.into()),
    }
}
