//! How long settlement pauses for a snapshot of a ledger with many open holds, which add nothing to it.
//!
//! Run: `cargo bench -p cbdc-ledger --bench snapshot`.

mod support;

use std::hint::black_box;

use cbdc_ledger::command::PlaceHold;
use cbdc_ledger::policy::Parameters;
use cbdc_ledger::{AccountId, Amount};
use criterion::{Criterion, criterion_group, criterion_main};

use support::{BANK, START, apply, encode, head, ledger, signed};

/// The most holds that one payer may have open.
const HOLDS_OF_A_PAYER: u32 = 64;

fn benchmark(criterion: &mut Criterion) {
    for holds in [64_000, 1_000_000_u32] {
        let wallets = holds / HOLDS_OF_A_PAYER;
        let mut live = ledger(wallets, Parameters::default());
        for number in 0..HOLDS_OF_A_PAYER {
            let hold = |wallet: u32| {
                let (from, to) = (AccountId::new(BANK, wallet), AccountId::new(BANK, wallet % wallets + 1));
                let (maximum, max_fee) = (Amount::from_minor(100), Amount::ZERO);
                let (head, expires_at) = (head(u64::from(number) + 1), START.plus_ms(80_000_000));
                signed(PlaceHold { head, from, to, maximum, max_fee, expires_at, reference: [0; 16] })
            };
            apply(&mut live, &encode(START, (1..=wallets).map(hold)));
        }
        assert_eq!(live.holds().open().count(), holds as usize);
        let mut group = criterion.benchmark_group("snapshot");
        group.bench_function(format!("holds={holds}"), |bencher| bencher.iter(|| black_box(live.snapshot())));
        group.finish();
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
