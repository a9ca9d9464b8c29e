//! `cbdc policy freeze` and `unfreeze`: a court's orders.

use cbdc_client::{Fate, MemberId, Role};
use clap::Args;
use serde_json::json;

use crate::exit::Usage;
use crate::network::NetworkArgument;
use crate::output::Output;

#[derive(Args, Debug)]
struct Order {
    /// A wallet's name or an account number
    wallet: String,
    /// Major units, such as 50
    amount: String,
    /// The court's own number of the order, at most 16 bytes
    #[arg(long, value_name = "TEXT", default_value = "")]
    order: String,
    #[command(flatten)]
    network: NetworkArgument,
}

/// Freeze an amount: its holder may not spend it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy freeze alice 50 --order AZ-17/2026")]
pub struct Freeze {
    #[command(flatten)]
    order: Order,
}

/// Lift a freeze, or part of it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy unfreeze alice 50")]
pub struct Unfreeze {
    #[command(flatten)]
    order: Order,
}

impl Freeze {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        self.order.run(true, output).await
    }
}

impl Unfreeze {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        self.order.run(false, output).await
    }
}

impl Order {
    async fn run(self, freezes: bool, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = anchor.parse(&self.amount)?;
        let account = network.account_of(&self.wallet)?;
        let mut order = [0; 16];
        let room = order.get_mut(..self.order.len());
        let room = room
            .ok_or_else(|| Usage(format!("expected an order's number of at most 16 bytes, found `{}`", self.order)))?;
        room.copy_from_slice(self.order.as_bytes());
        let court = network.desk(Role::Order, MemberId(1))?;
        let fate: Fate = match freezes {
            true => court.freeze(account, amount, order).await?,
            false => court.unfreeze(account, amount, order).await?,
        };
        let place = fate.settled()?;
        let word = if freezes { "frozen" } else { "unfrozen" };
        let object = json!({
            "kind": word,
            "account": account.to_string(),
            "amount_minor": amount.minor(),
            "height": place.height.0,
            "index": place.index,
        });
        output.print(object, || format!("{word} {} on {account} at {place}", anchor.show(amount)));
        Ok(())
    }
}
