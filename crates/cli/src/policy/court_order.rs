//! `cbdc policy freeze`, `unfreeze` and `seize`: a court's orders.

use cbdc_client::{Amount, Role, SubmissionStatus};
use clap::Args;
use serde_json::json;

use crate::exit::Usage;
use crate::network::NetworkArgument;
use crate::output::Output;
use crate::wallet::format::grouped;

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

/// Freeze an amount, so that its holder may not spend it
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
        let order = order_number(&self.order)?;
        let court = network.acting(Role::Court).await?;
        let status: SubmissionStatus = match freezes {
            true => court.freeze(account, amount, order).await?,
            false => court.unfreeze(account, amount, order).await?,
        };
        let position = status.settled()?;
        let word = if freezes { "frozen" } else { "unfrozen" };
        let object = json!({
            "kind": word,
            "account": account.to_string(),
            "amount_minor": amount.minor(),
            "height": position.height.0,
            "index": position.index,
        });
        output.print(object, || format!("{word} {} on {} at {position}", anchor.show(amount), grouped(account)));
        Ok(())
    }
}

/// Take money from a wallet and pay it to another; a shortfall becomes a lien on later credits
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy seize alice 50 --to bob --order AZ-17/2026
  cbdc policy seize alice 50 --to bob --order AZ-17/2026 --release 50    and end its freeze of 50")]
pub struct Seize {
    #[command(flatten)]
    order: Order,
    /// The wallet that the order pays to: its name or account number
    #[arg(long, value_name = "WALLET")]
    to: String,
    /// The part of an earlier freeze that this order replaces; other orders' freezes stay
    #[arg(long, value_name = "AMOUNT", default_value = "0")]
    release: String,
}

impl Seize {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let Seize { order: Order { wallet, amount, order, network }, to, release } = self;
        let network = network.open()?;
        let anchor = network.anchor().clone();
        let (amount, released) = (anchor.parse(&amount)?, anchor.parse(&release)?);
        let (account, to) = (network.account_of(&wallet)?, network.account_of(&to)?);
        let court = network.acting(Role::Court).await?;
        let (position, taken_minor) =
            court.seize(account, amount, to, released, order_number(&order)?).await?.result()?;
        let lacking_minor = amount.minor().saturating_sub(taken_minor);
        let object = json!({
            "kind": "seized",
            "account": account.to_string(),
            "to": to.to_string(),
            "amount_minor": amount.minor(),
            "taken_minor": taken_minor,
            "lien_minor": lacking_minor,
            "height": position.height.0,
            "index": position.index,
        });
        output.print(object, || {
            let taken = anchor.show(Amount::from_minor(taken_minor));
            let lien = match lacking_minor {
                0 => String::new(),
                lacking => format!("; {} more is a lien on later credits", anchor.show(Amount::from_minor(lacking))),
            };
            format!("seized {taken} from {}, paid to {} at {position}{lien}", grouped(account), grouped(to))
        });
        Ok(())
    }
}

/// The court's number of an order, padded with zeros.
fn order_number(text: &str) -> Result<[u8; 16], Usage> {
    let mut order = [0; 16];
    let start = order.get_mut(..text.len());
    let start =
        start.ok_or_else(|| Usage(format!("expected an order's number of at most 16 bytes, found `{text}`")))?;
    start.copy_from_slice(text.as_bytes());
    Ok(order)
}
