//! Simulated household-days a second on one core, with every CBDC movement settled on the ledger.
//!
//! Names are `economy::simulate/wallets=share`: the share of households that have a wallet from the first day.
//! Throughput is in household-days a second. Opening the economy is part of each run, as it is of each run of a sweep.
//!
//! Run: `cargo bench -p cbdc-economy --bench simulate`.

use cbdc_economy::{Go, Scenario, simulate};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const HOUSEHOLDS: u64 = 20_000;
const DAYS: u64 = 60;

fn scenario(adopted: f64) -> Scenario {
    let text = format!("[households]\ncount = {HOUSEHOLDS}\n[time]\ndays = {DAYS}\n[adoption]\ninitial = {adopted}\n");
    let mut scenario = Scenario::parse("benchmark.toml", &text).expect("the scenario is sound");
    scenario.threads = 1;
    scenario
}

fn household_days(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("economy::simulate");
    group.throughput(Throughput::Elements(HOUSEHOLDS * DAYS)).sample_size(10);
    for adopted in [0.0, 0.4, 0.7] {
        let scenario = scenario(adopted);
        group.bench_function(format!("wallets={adopted}"), |bencher| {
            bencher.iter(|| simulate(&scenario, 1, &mut |_| Go::On).expect("all identities hold"));
        });
    }
    group.finish();
}

criterion_group!(benches, household_days);
criterion_main!(benches);
