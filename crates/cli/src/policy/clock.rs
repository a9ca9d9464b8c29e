//! `cbdc policy accept-clock`: what the central bank's clock shows after it has jumped, and accepting it.

use cbdc_client::{Anchor, Role, Timestamp, v1};
use clap::Args;
use serde_json::json;

use crate::network::NetworkArgument;
use crate::output::{Output, duration, fields, money};

/// A difference between two members' clocks that may as well be the time that a message took.
const MEASURING_ERROR_MS: u64 = 1_000;

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

/// The banks' clocks against the central bank's.
fn banks_clocks(banks: &[v1::BankClock]) -> String {
    let show = |bank: &v1::BankClock| {
        let by_ms = bank.ahead_ms.unsigned_abs();
        let word = if bank.ahead_ms < 0 { "behind" } else { "ahead" };
        match by_ms <= MEASURING_ERROR_MS {
            true => format!("bank {} agrees", bank.bank),
            false => format!("bank {} {} {word}", bank.bank, duration(by_ms as f64 / 1_000.0)),
        }
    };
    match banks.is_empty() {
        true => "none has told its clock since the node started".to_owned(),
        false => banks.iter().map(show).collect::<Vec<_>>().join(", "),
    }
}

fn table(anchor: &Anchor, state: &v1::ClockState, due: &v1::DueByClock) -> String {
    let sum = |minor: &str| minor.parse().map_or_else(|_| format!("{minor} minor units"), |minor| money(anchor, minor));
    fields(&[
        ("central bank's clock", Timestamp(state.time_ms).to_string()),
        ("expected", state.expected_ms.map_or_else(|| "this time".to_owned(), |time| Timestamp(time).to_string())),
        ("newest block", Timestamp(state.last_block_ms).to_string()),
        ("banks' clocks", banks_clocks(&state.banks)),
        ("days that would end", due.days.to_string()),
        ("interest due", sum(&due.interest_minor)),
        ("demurrage due", sum(&due.demurrage_minor)),
        ("holds that expire", due.holds.to_string()),
        ("purpose-bound money that expires", money(anchor, due.purpose_bound_minor)),
        ("proposals that take effect or expire", due.proposals.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_within_the_time_of_a_message_is_none() {
        let clock = |bank, ahead_ms| v1::BankClock { bank, ahead_ms };
        let banks = [clock(1, -3), clock(2, 1_000), clock(3, -7_200_000), clock(4, 5_000)];
        assert_eq!(banks_clocks(&banks), "bank 1 agrees, bank 2 agrees, bank 3 2.0 h behind, bank 4 5 s ahead");
    }
}
