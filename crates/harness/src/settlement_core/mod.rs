//! The settlement core alone: transfers through real ordering, applied and sealed, without signatures and without gRPC.
//!
//! It compares with ledgers that check no signatures, and shows the cost of turning a block proposal's bytes into a
//! durable block.
//!
//! 1. A ledger is made with funded wallets at [`BANKS`] banks ([`funded_ledger`]). That is set-up: it is neither
//!    ordered nor measured.
//! 2. One thread draws random transfers and encodes them into block proposals ([`transfers`]).
//! 3. These go through [`cbdc_ordering::Ordering`], one member over RocksDB with its fsync, several in flight; another
//!    thread reads each committed proposal as a node's settlement reads its own log, applies it, signs the header and
//!    archives header and outcomes ([`pipeline`]). While one proposal is on its way to disk, the next is prepared and
//!    the one before is applied.
//! 4. The first twentieth is warm-up and is not measured.
//! 5. The ledger's invariants are checked, the money must equal the issuance, every block proposal must have had a
//!    sync, and the archive must end at the ledger's height.
//!
//! What is on: ordering, fsync, every rule of policy (unless asked otherwise), books, roots, header signature, archive.
//! What is off: payers' signatures, gRPC, TLS, answers to banks.

mod funded_ledger;
mod pipeline;
mod result;
mod transfers;
mod unsigned;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cbdc_ledger::{Amount, Ledger};
use cbdc_ordering::{Ordering, OrderingConfig};
use cbdc_storage::{HeaderStore, RocksStore, Store};

pub use result::{BatchLatencyMs, CoreChecks, CoreCpu, CoreResult, StoreFacts};
pub use unsigned::BANKS;

use crate::measure::cpu::own_cpu_us;
use crate::measure::machine::Machine;
use crate::measure::{disk, thread_cpu};
use pipeline::{Lap, Pipeline, Settling};
use transfers::Transfers;

/// The divisor of the transfers that gives the number settled before the clock starts.
const WARM_UP_DIVISOR: u64 = 20;

/// The options of the measurement.
#[derive(Debug, Clone)]
pub struct CoreOptions {
    /// Funded wallets.
    pub wallets: u32,
    /// Transfers in a block proposal.
    pub batch: u32,
    /// Transfers that are measured.
    pub transfers: u64,
    /// The most block proposals between being proposed and being settled.
    pub in_flight: u32,
    /// Whether every rule that can apply to a payment is in force (none refuses), or no rule at all.
    pub policy: bool,
    /// The store's folder, which is kept; if absent a temporary one, which is removed.
    pub data: Option<PathBuf>,
    /// The command line, for the result.
    pub command: String,
}

/// Measures the core. `note` is called with each step.
pub async fn measure(options: &CoreOptions, note: impl Fn(&str)) -> Result<CoreResult> {
    let mut result = CoreResult::begin(options, &Machine::read());
    let began = Instant::now();
    note(&format!("opening and funding {} wallets", options.wallets));
    let ledger = tokio::task::block_in_place(|| funded_ledger::make(options.wallets, options.policy))?;
    result.set_up_s = began.elapsed().as_secs_f64();

    let folder = Folder::make(options.data.as_deref())?;
    note("measuring the machine");
    tokio::task::block_in_place(|| result.machine.measure(&folder.path))?;
    result.store = StoreFacts::of(&folder.path, disk::filesystem_of(&folder.path), folder.kept);
    let store = Arc::new(RocksStore::open(&folder.path)?);
    let (ordering, committed) = Ordering::start(OrderingConfig::default(), store.clone(), None).await?;
    let settling = Settling::new(ledger, store.clone(), committed);
    let mut pipeline = Pipeline::new(Arc::new(ordering), settling, options.in_flight);
    let mut transfers = Transfers::new(options.wallets);

    note("warming up");
    let batch = options.batch as usize;
    let warm_up = (options.transfers / WARM_UP_DIVISOR).max(1);
    (transfers, _) = pipeline.run(transfers, warm_up, batch).await?;
    note(&format!("settling {} transfers", options.transfers));
    let before = Marks::read(store.as_ref());
    let (_, lap) = pipeline.run(transfers, options.transfers, batch).await?;
    let after = Marks::read(store.as_ref());
    account(&mut result, &lap, &before, &after);

    note("checking the books");
    let ledger = pipeline.finish().await?;
    check(&mut result, &ledger, store.clone())?;
    drop(store);
    Ok(result)
}

/// Counters at one moment.
struct Marks {
    fsyncs: u64,
    wal_syncs: u64,
    process_us: u64,
    threads_us: std::collections::BTreeMap<String, f64>,
}

impl Marks {
    fn read(store: &RocksStore) -> Marks {
        Marks {
            fsyncs: store.sync_count(),
            wal_syncs: store.wal_syncs_by_rocksdb(),
            process_us: own_cpu_us().unwrap_or(0),
            threads_us: thread_cpu::by_name_us(),
        }
    }
}

fn account(result: &mut CoreResult, lap: &Lap, before: &Marks, after: &Marks) {
    let transfers = lap.settled + lap.refused;
    result.proposals = lap.proposals;
    result.settled = lap.settled;
    result.refused = lap.refused;
    result.refusals = lap.refusals.clone();
    result.duration_s = lap.duration.as_secs_f64();
    result.transfers_per_s = lap.settled as f64 / result.duration_s.max(1e-9);
    result.batch_latency_ms = BatchLatencyMs::of(&lap.latency);
    result.fsyncs = after.fsyncs - before.fsyncs;
    result.wal_syncs_by_rocksdb = after.wal_syncs.saturating_sub(before.wal_syncs);
    let each = |us: f64| us / transfers.max(1) as f64;
    let threads = |prefix: &str| {
        let sum = |marks: &Marks| -> f64 {
            marks.threads_us.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, us)| us).sum()
        };
        each(sum(after) - sum(before))
    };
    let stage = |time: std::time::Duration| each(time.as_secs_f64() * 1e6);
    result.cpu_us_per_transfer = CoreCpu {
        total: each(after.process_us.saturating_sub(before.process_us) as f64),
        prepare: stage(lap.prepare),
        ordering: threads("tokio"),
        log_writer: threads("log-writer"),
        decode: stage(lap.decode),
        apply: stage(lap.apply),
        archive: stage(lap.archive),
        store_background: threads("rocksdb"),
    };
}

fn check(result: &mut CoreResult, ledger: &Ledger, store: Arc<dyn Store>) -> Result<()> {
    let mut findings = Vec::new();
    if let Err(broken) = ledger.check_invariants() {
        findings.push(broken.to_string());
    }
    let wallets: i128 =
        ledger.banks().map(|bank| ledger.wallets_of(bank).map(|(_, account)| account.posted()).sum::<i128>()).sum();
    let treasuries: i128 = ledger
        .banks()
        .filter_map(|bank| ledger.account(cbdc_ledger::AccountId::treasury(bank)))
        .map(cbdc_ledger::Account::posted)
        .sum();
    let issued = i128::from(ledger.supply().issued.minor());
    if wallets + treasuries != issued || ledger.supply().net() != issued {
        findings.push(format!("wallets and treasuries hold {}, {issued} was issued", wallets + treasuries));
    }
    if result.fsyncs < result.proposals {
        findings.push(format!("{} syncs were made for {} proposals", result.fsyncs, result.proposals));
    }
    let archived = HeaderStore::new(store).last()?.map(|stored| stored.height);
    if archived != Some(ledger.height().0) {
        findings.push(format!("the archive ends at {archived:?}, the ledger at {}", ledger.height()));
    }
    if result.settled + result.refused != result.transfers {
        let outcomes = result.settled + result.refused;
        findings.push(format!("{} transfers were proposed, {outcomes} have an outcome", result.transfers));
    }
    result.issued_minor = ledger.supply().issued.minor();
    result.held_minor = Amount::from_minor(u64::try_from(wallets + treasuries).unwrap_or(0)).minor();
    result.checks.fsync = result.fsyncs >= result.proposals && !result.store.is_in_memory();
    result.checks.books = findings.is_empty();
    result.findings = findings;
    Ok(())
}

/// The store's folder: removed at the end unless the user named it.
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    fn make(named: Option<&Path>) -> Result<Folder> {
        let kept = named.is_some();
        let path = match named {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("cbdc-bench-core-{}", std::process::id())),
        };
        std::fs::create_dir_all(&path).with_context(|| format!("making the folder {}", path.display()))?;
        let is_empty = std::fs::read_dir(&path)?.next().is_none();
        if !is_empty {
            bail!("{}: expected an empty folder for the store, found files in it; name another", path.display());
        }
        Ok(Folder { path, kept })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
