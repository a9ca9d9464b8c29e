//! `cbdc bench core`: the settlement core alone, measured.

use std::path::PathBuf;

use cbdc_harness::settlement_core::{CoreOptions, CoreResult, measure};
use clap::{Args, ValueEnum};

use crate::exit::AuditFound;
use crate::invocation::command_line;
use crate::output::{Output, fields};

/// Measure the settlement core alone: no signatures, no network; ordering, fsync, policy, books and archive
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc bench core
  cbdc bench core --wallets 10000 --batch 1000 --transfers 1000000 --json
  cbdc bench core --policy none --data /mnt/disk/core

For comparison with ledgers that check no signatures. Transfers between random wallets are ordered, each proposal with
its own fsync, and applied, sealed and archived as a node does it. Exit code 5 if the books do not agree afterwards.")]
pub struct Core {
    /// Funded wallets
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u32).range(2..=50_000_000)
    )]
    wallets: u32,
    /// Transfers in a block proposal
    #[arg(long, value_name = "N", default_value_t = 8_189, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Transfers to measure, after a twentieth more to warm up
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4_000_000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000)
    )]
    transfers: u64,
    /// Block proposals in flight, from being proposed to being settled
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    in_flight: u32,
    /// Either every rule for payments, with bounds that refuse none, or no rule
    #[arg(long, value_enum, default_value = "all")]
    policy: Policy,
    /// An empty folder for the store, which is kept; by default a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// No progress notes
    #[arg(long)]
    quiet: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Policy {
    All,
    None,
}

impl Core {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let options = CoreOptions {
            wallets: self.wallets,
            batch: self.batch,
            transfers: self.transfers,
            in_flight: self.in_flight,
            policy: matches!(self.policy, Policy::All),
            data: self.data,
            command: command_line(),
        };
        let is_quiet = self.quiet || output.json;
        let note = |what: &str| {
            if !is_quiet {
                output.note(what);
            }
        };
        let result = measure(&options, note).await?;
        output.print(serde_json::to_value(&result)?, || text(&result));
        if result.findings.is_empty() { Ok(()) } else { Err(AuditFound.into()) }
    }
}

fn text(result: &CoreResult) -> String {
    let cpu = &result.cpu_us_per_transfer;
    let stages = [
        ("prepare", cpu.prepare),
        ("ordering", cpu.ordering),
        ("log writer", cpu.log_writer),
        ("decode", cpu.decode),
        ("apply and seal", cpu.apply),
        ("archive", cpu.archive),
        ("store's background", cpu.store_background),
    ];
    let stages: Vec<String> = stages.iter().map(|(name, us)| format!("{name} {us:.3}")).collect();
    let latency = &result.batch_latency_ms;
    let machine = &result.machine;
    let on = |is_on: bool| if is_on { "on" } else { "OFF" };
    let checks = &result.checks;
    let books = if checks.books { "agree".to_owned() } else { format!("DO NOT AGREE: {}", result.findings.join("; ")) };
    fields(&[
        ("transfers/s", format!("{:.0}", result.transfers_per_s)),
        ("settled", format!("{} of {} in {:.2} s", result.settled, result.transfers, result.duration_s)),
        ("proposals", format!("{} of {}, {} in flight", result.proposals, result.batch, result.in_flight)),
        ("fsyncs", format!("{} ({} by RocksDB's count)", result.fsyncs, result.wal_syncs_by_rocksdb)),
        ("batch latency", format!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", latency.p50, latency.p99, latency.max)),
        ("wallets", format!("{} at {} banks, set up in {:.1} s", result.wallets, result.banks, result.set_up_s)),
        ("CPU", format!("{:.3} \u{b5}s a transfer", cpu.total)),
        ("by stage", stages.join(", ")),
        ("checks", format!("signatures OFF, fsync {}, policy {}", on(checks.fsync), on(checks.policy))),
        ("books", books),
        ("store", format!("{} ({})", result.store.folder, result.store.filesystem)),
        ("machine", format!("{} cores, {}, {} GiB", machine.cores, machine.cpu, machine.memory_gib)),
    ])
}
