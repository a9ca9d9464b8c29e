//! `cbdc policy accept-clock`: what the central bank's clock shows after it has jumped, and accepting it.

use cbdc_client::{Anchor, Role, Timestamp, v1};
use clap::Args;
use serde_json::json;

use crate::network::NetworkArgument;
use crate::output::{Output, duration, fields, money};

/// After the central bank's clock has jumped: show it and what would fall due, and accept it with --yes
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy accept-clock          the clocks, and what would fall due
  cbdc policy accept-clock --yes    accept the central bank's clock as it is

Until an operator accepts the clock, the central bank seals no block. Set a wrong clock right instead: what has been
sealed at a later time stays, and block time never goes back.")]
pub struct AcceptClock {
    /// Accept the clock
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    network: NetworkArgument,
}

impl AcceptClock {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let governance = network.acting(Role::Operator).await?;
        let state = governance.clock().await?;
        let has_jumped = state.expected_ms.is_some();
        let accepted = match self.yes && has_jumped {
            true => Some(governance.accept_clock().await?),
            false => None,
        };
        let due = state.due.clone().unwrap_or_default();
        let object = json!({
            "time_ms": state.time_ms,
            "expected_ms": state.expected_ms,
            "last_block_ms": state.last_block_ms,
            "banks": state
                .banks
                .iter()
                .map(|bank| json!({ "bank": bank.bank, "ahead_ms": bank.ahead_ms }))
                .collect::<Vec<_>>(),
            "due": {
                "days": due.days,
                "interest_minor": due.interest_minor,
                "demurrage_minor": due.demurrage_minor,
                "holds": due.holds,
                "purpose_bound_minor": due.purpose_bound_minor,
                "proposals": due.proposals,
            },
            "accepted_ms": accepted.map(|time| time.0),
        });
        output.print(object, || {
            let ending = match (accepted, has_jumped) {
                (Some(time), _) => format!("Accepted: blocks are sealed again, from {time}."),
                (None, true) => format!(
                    "The clock has jumped, and no block is sealed. Nothing was accepted; to accept this clock:\
                     \n  cbdc policy accept-clock --yes{}",
                    self.network.suffix()
                ),
                (None, false) => "The clock has not jumped: there is nothing to accept.".to_owned(),
            };
            format!("{}\n\n{ending}", table(&anchor, &state, &due).trim_end())
        });
        Ok(())
    }
}

fn table(anchor: &Anchor, state: &v1::ClockState, due: &v1::DueByClock) -> String {
    let bank = |bank: &v1::BankClock| {
        let word = if bank.ahead_ms < 0 { "behind" } else { "ahead" };
        format!("bank {} {} {word}", bank.bank, duration(bank.ahead_ms.unsigned_abs() as f64 / 1_000.0))
    };
    let banks = match state.banks.is_empty() {
        true => "none has told its clock since the node started".to_owned(),
        false => state.banks.iter().map(bank).collect::<Vec<_>>().join(", "),
    };
    let sum = |minor: &str| minor.parse().map_or_else(|_| format!("{minor} minor units"), |minor| money(anchor, minor));
    fields(&[
        ("central bank's clock", Timestamp(state.time_ms).to_string()),
        ("expected", state.expected_ms.map_or_else(|| "this time".to_owned(), |time| Timestamp(time).to_string())),
        ("newest block", Timestamp(state.last_block_ms).to_string()),
        ("banks' clocks", banks),
        ("days that would end", due.days.to_string()),
        ("interest due", sum(&due.interest_minor)),
        ("demurrage due", sum(&due.demurrage_minor)),
        ("holds that expire", due.holds.to_string()),
        ("purpose-bound money that expires", money(anchor, due.purpose_bound_minor)),
        ("proposals that take effect or expire", due.proposals.to_string()),
    ])
}
