//! The cost of settling on one thread: transfers in block proposals of 4,096, already decoded and verified, between
//! wallets picked at random. The work includes outcomes, leaves, effects and the header, as on every node.
//!
//! `ledger::settle` is the part that checks the rules and changes the state; the rest is sealing the block.
//!
//! Names are `ledger::apply/policy=off/wallets=count`, and `policy=on` beside it: limits on holdings, payments, days
//! and months, velocity, tiers of interest, fees and links to a bank, all in force and none of them binding. The
//! throughput shown is in transfers a second. More wallets cost more only by the caches that they miss.
//!
//! Headers carry a state root; CBDC_BENCH_FORMAT=1 measures without it.
//!
//! `ledger::enact_rates/wallets=count` is a vote that changes every class's rates: the block that takes up the proposal
//! and the block that enacts it. It costs the same with any number of wallets. CBDC_BENCH_WALLETS adds a number of
//! wallets to both, such as 10000000 (which takes 4 GiB and several minutes to set up).
//!
//! Run: `cargo bench -p cbdc-ledger --bench apply`.

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::command::{GovernanceAction, GovernanceProposal, PaymentKind};
use cbdc_ledger::policy::{Parameters, PolicyChange, Tiers};
use cbdc_ledger::{AccountId, Block, Class, Command, Ledger, MemberId, Timestamp, VerifiedProposal};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use support::{BANK, START, apply, encode, everything, head, ledger, payment, signed, wallet_counts};

const BATCH: usize = 4_096;

/// Random transfers, each payer with the last sequence number it used.
struct Transfers {
    last_sequence: Vec<u64>,
    random: u64,
    time: Timestamp,
}

impl Transfers {
    fn pick(&mut self) -> usize {
        // Knuth's MMIX generator; its upper bits are good enough to spread accesses.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) % self.last_sequence.len() as u64) as usize
    }

    fn next(&mut self) -> Command {
        let (payer, mut payee) = (self.pick(), self.pick());
        if payer == payee {
            payee = (payee + 1) % self.last_sequence.len();
        }
        self.last_sequence[payer] += 1;
        let account = |at: usize| AccountId::new(BANK, at as u32 + 1);
        payment(PaymentKind::Transfer, self.last_sequence[payer], account(payer), account(payee), 1)
    }

    fn proposal(&mut self) -> Vec<u8> {
        // Each block proposal is later than the one before, so that the velocity rule's window moves on.
        self.time = self.time.plus_ms(2);
        encode(self.time, (0..BATCH).map(|_| self.next()).collect::<Vec<_>>())
    }
}

/// The whole block.
fn applied(ledger: &mut Ledger, verified: &VerifiedProposal<'_>) -> (Block, Duration) {
    let start = Instant::now();
    let block = ledger.apply(verified);
    (block, start.elapsed())
}

/// Until the state has changed and the block is yet to be sealed.
fn settled(ledger: &mut Ledger, verified: &VerifiedProposal<'_>) -> (Block, Duration) {
    let (start, mut spent) = (Instant::now(), Duration::ZERO);
    let block = ledger.apply_noting_settled(verified, &mut || spent = start.elapsed());
    (block, spent)
}

fn apply_transfers(criterion: &mut Criterion) {
    transfers(criterion, "ledger::apply", applied);
    transfers(criterion, "ledger::settle", settled);
}

fn transfers(
    criterion: &mut Criterion,
    name_of_group: &str,
    timed: fn(&mut Ledger, &VerifiedProposal<'_>) -> (Block, Duration),
) {
    let mut group = criterion.benchmark_group(name_of_group);
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(20);
    for wallets in wallet_counts() {
        for (name, policy) in [("off", Parameters::default()), ("on", everything())] {
            // Built when it is measured, so that a filter on the command line avoids the other set-ups.
            let mut made = None;
            let mut transfers = Transfers { last_sequence: vec![0; wallets as usize], random: 1, time: START };
            group.bench_function(format!("policy={name}/wallets={wallets}"), |bencher| {
                let ledger = made.get_or_insert_with(|| ledger(wallets, policy.clone()));
                bencher.iter_custom(|iterations| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..iterations {
                        let bytes = transfers.proposal();
                        let verified = VerifiedProposal::from_own_log(&bytes).expect("the proposal decodes");
                        let (block, taken) = black_box(timed(ledger, black_box(&verified)));
                        spent += taken;
                        assert!(block.outcomes.iter().all(|outcome| outcome.is_settled()), "all settle");
                    }
                    spent
                });
            });
            if let Some(ledger) = made {
                ledger.check_invariants().expect("the invariants hold after the benchmark");
            }
        }
    }
    group.finish();
}

fn enact_rates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger::enact_rates");
    group.sample_size(20);
    for wallets in [10].into_iter().chain(wallet_counts()) {
        let mut made = None;
        let mut sequence = 0;
        group.bench_function(format!("wallets={wallets}"), |bencher| {
            let ledger = made.get_or_insert_with(|| ledger(wallets, everything()));
            bencher.iter_custom(|iterations| {
                let mut spent = Duration::ZERO;
                for _ in 0..iterations {
                    sequence += 1;
                    let rate = RatePpm(10_000 + (sequence % 2) as i32);
                    let action = |class| {
                        GovernanceAction::Policy(PolicyChange::Remuneration { class, tiers: Tiers::flat(rate) })
                    };
                    let (effective_at, expires_at) = (START, Timestamp(START.0 + 60_000));
                    let actions = Class::all().map(action).collect();
                    let member = MemberId(0);
                    let proposal =
                        GovernanceProposal { head: head(sequence), member, effective_at, expires_at, actions };
                    let (proposal, nothing) = (encode(START, [signed(proposal)]), encode(START, []));
                    let start = Instant::now();
                    apply(ledger, &proposal);
                    apply(ledger, &nothing);
                    spent += start.elapsed();
                }
                spent
            });
        });
        if let Some(ledger) = made {
            let tiers = ledger.parameters().class(Class::HOUSEHOLD).tiers;
            assert!(tiers.bounded().is_empty(), "the new rates are in force");
        }
    }
    group.finish();
}

criterion_group!(benches, apply_transfers, enact_rates);
criterion_main!(benches);
