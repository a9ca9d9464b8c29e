//! The cost of a start and of a checkpoint, and the memory of a wallet.
//!
//! For each number of wallets (1,000, 100,000 and 1 million, and what CBDC_BENCH_WALLETS adds, such as 10000000): the
//! bytes that the process keeps for each, every wallet with a holder of its own and one payment made; how long
//! settlement takes for an empty checkpoint block, which covers all accounts and holders, and pauses for the snapshot;
//! how long writing the checkpoint takes, without a disk; and how long a start takes to read it, with its root, the
//! indexes and the invariants checked.
//!
//! One run of each, on the calling thread. Memory is the growth of the process's resident set (Linux only).
//!
//! Run: `cargo bench -p cbdc-ledger --bench checkpoint`.

mod support;

use std::convert::Infallible;
use std::time::Instant;

use cbdc_ledger::VerifiedProposal;
use cbdc_ledger::block_proposal::BlockProposalBuilder;
use cbdc_ledger::checkpoint::Loader;
use cbdc_ledger::policy::Parameters;

use support::{START, ledger, wallet_counts};

fn main() {
    println!(
        "| wallets | bytes a wallet | checkpoint block, ms | snapshot, ms | write, s | checkpoint, bytes a wallet | \
         load and check, s |"
    );
    println!("|---|---|---|---|---|---|---|");
    for wallets in wallet_counts() {
        measure(wallets);
    }
}

fn measure(wallets: u32) {
    let before = resident_bytes();
    let mut live = ledger(wallets, Parameters::default());
    let kept = resident_bytes().saturating_sub(before);

    let mut builder = BlockProposalBuilder::default();
    builder.ask_for_checkpoint();
    let proposal = builder.finish(START);
    let began = Instant::now();
    live.apply(&VerifiedProposal::from_built(&proposal));
    let block_ms = began.elapsed().as_secs_f64() * 1e3;

    let began = Instant::now();
    let snapshot = live.snapshot();
    let pause = began.elapsed();

    let began = Instant::now();
    let mut chunks = Vec::new();
    let keep = |chunk| {
        chunks.push(chunk);
        Ok::<_, Infallible>(())
    };
    let Ok(root) = snapshot.write(keep);
    let write = began.elapsed();
    let written: usize = chunks.iter().map(Vec::len).sum();
    let (height, tip) = (live.height(), live.tip_hash());
    drop((live, snapshot));

    let began = Instant::now();
    let mut loader = Loader::default();
    for chunk in chunks.drain(..) {
        loader.chunk(&chunk).expect("what was written can be read");
    }
    let loaded = loader.finish(root).expect("the root and the invariants hold");
    let load = began.elapsed();
    assert_eq!((loaded.height(), loaded.tip_hash()), (height, tip));

    let each = |bytes: usize| bytes / wallets as usize;
    let (kept, written) = (each(kept), each(written));
    let (snapshot_ms, write_s, load_s) = (pause.as_secs_f64() * 1e3, write.as_secs_f64(), load.as_secs_f64());
    println!("| {wallets} | {kept} | {block_ms:.2} | {snapshot_ms:.2} | {write_s:.2} | {written} | {load_s:.2} |");
}

/// The process's resident memory; 0 where the system does not say.
fn resident_bytes() -> usize {
    const PAGE_BYTES: usize = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|pages| pages.split_whitespace().nth(1)?.parse::<usize>().ok()).map_or(0, |pages| pages * PAGE_BYTES)
}
