//! `cbdc bench faults`: real faults on a network whose central bank has three nodes, and a checker of all answers.

use std::path::PathBuf;
use std::time::Duration;

use cbdc_client::random_bytes;
use cbdc_harness::faults::{FaultOptions, run};
use clap::Args;

use crate::exit::AuditFound;
use crate::output::Output;
use crate::shutdown;

/// Disturb a network of three central-bank nodes, and check every answer that its clients got
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc bench faults --minutes 2
  cbdc bench faults --minutes 30 --seed 4711 --json

Two banks and 48 wallets pay while nodes of the central bank are killed, paused, cut off, slowed, restarted and made to
hand over. The faults are drawn from the seed, which is printed first; the same seed gives the same faults. Afterwards
every answer and read is compared with every block of every node. Exit code 5 if a promise was broken; the folder given
with --out then has the network, its logs and the history.")]
pub struct Faults {
    /// Time in which faults are made, in minutes
    #[arg(long, value_name = "N", default_value_t = 30.0, value_parser = minutes)]
    minutes: f64,
    /// Seed of the faults; by default a new one, which is printed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Payments a second, of all wallets together
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    rate_per_s: u32,
    /// Folder for the network, its logs, the history and faults.json; a second run replaces them
    #[arg(long, value_name = "DIR", default_value = "results/faults")]
    out: PathBuf,
    /// Do not tell each fault
    #[arg(long)]
    quiet: bool,
}

impl Faults {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let seed = self.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(random_bytes())));
        // Always, so that a run that fails can be repeated.
        output.note(&format!("seed {seed}: `cbdc bench faults --seed {seed}` makes the same faults"));
        let options = FaultOptions {
            seed,
            duration: Duration::from_secs_f64(self.minutes * 60.0),
            rate_per_s: f64::from(self.rate_per_s),
            out: self.out.clone(),
            program: None,
            plan: None,
            patience: FaultOptions::PATIENCE,
        };
        let tell = |what: &str| {
            if !self.quiet {
                output.note(what);
            }
        };
        let result = tokio::select! {
            biased;
            // The nodes are children of this process and end with it.
            signal = shutdown::requested(false) => {
                return Err(anyhow::anyhow!("interrupted by {signal}; {} holds no result", self.out.display()));
            }
            result = run(&options, tell) => result?,
        };
        output.print(serde_json::to_value(&result)?, || result.text());
        if result.violations.is_empty() { Ok(()) } else { Err(AuditFound.into()) }
    }
}

fn minutes(text: &str) -> Result<f64, String> {
    let found = text.parse::<f64>().ok().filter(|minutes| (0.1..=10_000.0).contains(minutes));
    found.ok_or_else(|| format!("expected 0.1 to 10000 minutes, found `{text}`"))
}
