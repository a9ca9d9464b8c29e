//! What settling costs on one thread: transfers in proposals of 4,096, already decoded and verified, between wallets picked
//! at random. The work includes outcomes, leaves, effects and the header, as on every node.
//!
//! Names are `ledger::apply/policy=off/wallets=count`, and `policy=on` beside it: limits on holdings, payments, days and
//! months, velocity, tiers of interest, fees and links to a bank, all in force and none of them binding. The throughput
//! shown is in transfers a second. More wallets cost more only by the caches that they miss.
//!
//! `ledger::enact_rates/wallets=count` is a vote that changes every class's rates: the block that takes the motion up and
//! the block that enacts it. It costs the same with any number of wallets. CBDC_BENCH_WALLETS adds a number of wallets to
//! both, such as 10000000 (which takes 4 GiB and several minutes to set up).
//!
//! Run: `cargo bench -p cbdc-benches --bench apply`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::command::{
    Certificate, Head, IssuanceKind, IssuanceOrder, IssuanceRequest, Measure, Motion, OpenWallet, Payment, PaymentKind,
};
use cbdc_ledger::genesis::{DayCount, opening_books};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::{
    ClassRules, FeeBracket, FeeSchedule, FeeTo, Parameters, PolicyChange, Tier, Tiers, VelocityRule,
};
use cbdc_ledger::{
    AccountId, Amount, BankId, Class, Command, Genesis, HolderId, Ledger, MemberId, Signature, Signed, SigningKey,
    Timestamp, VerifiedProposal,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BATCH: usize = 4_096;
const WALLETS: [u32; 3] = [1_000, 100_000, 1_000_000];
const BANK: BankId = BankId(1);
const START: Timestamp = Timestamp(1_795_392_000_000);
/// The log's word is taken for signatures: `apply` never looks at them.
const UNSIGNED: Signature = Signature([0; 64]);
const OPENING_MINOR: u64 = 1_000_000_000;

fn seed(number: u32) -> [u8; 32] {
    let mut seed = [5; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    seed
}

/// Every rule that a payment can meet, none of which binds.
fn everything() -> Parameters {
    let mut policy = Parameters::default();
    let limit = Some(Amount::MAX);
    let tier = Tier { up_to: Amount::from_minor(300_000), rate: RatePpm(20_000) };
    let bracket = FeeBracket { up_to: Amount::MAX, flat: Amount::from_minor(1), share_ppm: 1_000 };
    policy.supply_cap = limit;
    for rules in &mut policy.classes {
        *rules = ClassRules {
            holding_limit: limit,
            payment_limit: limit,
            day_limit: limit,
            month_limit: limit,
            velocity: Some(VelocityRule { payments: 64, window_ms: 1 }),
            tiers: Tiers::new(&[tier], RatePpm(-10_000)).expect("one tier is sound"),
            payer_fee: FeeSchedule::new(FeeTo::PayeeBank, &[bracket]).expect("one bracket is sound"),
            payee_fee: FeeSchedule::default(),
        };
    }
    policy
}

fn genesis(wallets: u32, policy: Parameters) -> Genesis {
    let roles = [Role::CentralBank, Role::Committee, Role::Operator, Role::Registrar, Role::Bank];
    let member = |role: Role| Member {
        role,
        id: MemberId(u16::from(role == Role::Bank)),
        name: role.to_string(),
        signing_key: SigningKey::from_seed(seed(u32::MAX - role as u32)).public_key(),
        node_key: None,
    };
    let reserves = Amount::from_minor(u64::from(wallets) * OPENING_MINOR);
    Genesis {
        currency: *b"XTS",
        currency_exponent: 2,
        day_count: DayCount::Actual365,
        day_offset_minutes: 60,
        created_at: START,
        validity_ms_max: 86_400_000,
        header_signatures: 1,
        threshold: 1,
        members: roles.map(member).into(),
        books: opening_books([(BANK, reserves)], Amount::ZERO, Amount::ZERO).expect("the opening books fit"),
        policy,
    }
}

fn encode(time: Timestamp, commands: impl IntoIterator<Item = Command>) -> Vec<u8> {
    let (mut bytes, mut count) = (Vec::new(), 0u32);
    for command in commands {
        bytes.extend(command.to_bytes());
        count += 1;
    }
    [&[1, 0, 0, 0][..], &count.to_le_bytes(), &time.0.to_le_bytes(), &bytes].concat()
}

fn apply(ledger: &mut Ledger, bytes: &[u8]) {
    let block = ledger.apply(&VerifiedProposal::from_own_log(bytes).expect("the proposal decodes"));
    assert!(block.outcomes.iter().all(|outcome| outcome.is_settled()), "all settle");
}

fn head(sequence: u64) -> Head {
    Head { flags: 0, key_version: 0, sequence, valid_until: START.plus_ms(80_000_000) }
}

fn signed<R>(record: R) -> Command
where
    Command: From<Signed<R>>,
{
    Signed { record, signature: UNSIGNED }.into()
}

fn payment(kind: PaymentKind, sequence: u64, from: AccountId, to: AccountId, minor: u64) -> Command {
    let (head, amount) = (head(sequence), Amount::from_minor(minor));
    signed(Payment { kind, head, from, to, amount, max_fee: Amount::from_minor(1), reference: [0; 16] })
}

/// Applies one command for each wallet, in proposals of a size that fits the memory.
fn in_proposals(ledger: &mut Ledger, wallets: u32, command: impl Fn(u32) -> Command) {
    for first in (1..=wallets).step_by(50_000) {
        let last = wallets.min(first + 49_999);
        apply(ledger, &encode(START, (first..=last).map(&command)));
    }
}

/// A bank with funded wallets, one a person.
fn ledger(wallets: u32, policy: Parameters) -> Ledger {
    let mut ledger = Ledger::new(genesis(wallets, policy)).expect("the genesis is valid");
    let certificate = Certificate { registrar: MemberId(0), registrar_key_version: 0, signature: UNSIGNED };
    let open = |number: u32| {
        let mut holder = HolderId([0; 16]);
        holder.0[..4].copy_from_slice(&number.to_le_bytes());
        let key = SigningKey::from_seed(seed(number)).public_key();
        let head = head(u64::from(number));
        signed(OpenWallet { head, bank: BANK, class: Class::HOUSEHOLD, holder, key, certificate })
    };
    in_proposals(&mut ledger, wallets, open);
    let first = u64::from(wallets) + 1;
    let amount = Amount::from_minor(u64::from(wallets) * OPENING_MINOR);
    let record = IssuanceRequest { kind: IssuanceKind::Issue, head: head(first), bank: BANK, amount };
    let request = Signed { record, signature: UNSIGNED };
    apply(&mut ledger, &encode(START, [signed(IssuanceOrder { head: head(1), operator: MemberId(0), request })]));
    let fund = |number: u32| {
        let sequence = first + u64::from(number);
        payment(PaymentKind::Fund, sequence, AccountId::treasury(BANK), AccountId::new(BANK, number), OPENING_MINOR)
    };
    in_proposals(&mut ledger, wallets, fund);
    ledger
}

/// Random transfers, each payer with its next number.
struct Transfers {
    next_number: Vec<u64>,
    random: u64,
    time: Timestamp,
}

impl Transfers {
    fn pick(&mut self) -> usize {
        // Knuth's MMIX generator; its upper bits are good enough to spread accesses.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) % self.next_number.len() as u64) as usize
    }

    fn next(&mut self) -> Command {
        let (payer, mut payee) = (self.pick(), self.pick());
        if payer == payee {
            payee = (payee + 1) % self.next_number.len();
        }
        self.next_number[payer] += 1;
        let account = |place: usize| AccountId::new(BANK, place as u32 + 1);
        payment(PaymentKind::Transfer, self.next_number[payer], account(payer), account(payee), 1)
    }

    fn proposal(&mut self) -> Vec<u8> {
        // Each proposal comes later than the one before, so that the velocity rule's window moves on.
        self.time = self.time.plus_ms(2);
        encode(self.time, (0..BATCH).map(|_| self.next()).collect::<Vec<_>>())
    }
}

fn wallet_counts() -> Vec<u32> {
    let more = std::env::var("CBDC_BENCH_WALLETS").ok().and_then(|count| count.parse().ok());
    WALLETS.into_iter().chain(more).collect()
}

fn apply_transfers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger::apply");
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(20);
    for wallets in wallet_counts() {
        for (name, policy) in [("off", Parameters::default()), ("on", everything())] {
            // Made when it is measured: a filter on the command line then spares the rest.
            let mut made = None;
            let mut transfers = Transfers { next_number: vec![0; wallets as usize], random: 1, time: START };
            group.bench_function(format!("policy={name}/wallets={wallets}"), |bencher| {
                let ledger = made.get_or_insert_with(|| ledger(wallets, policy.clone()));
                bencher.iter_custom(|iterations| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..iterations {
                        let bytes = transfers.proposal();
                        let verified = VerifiedProposal::from_own_log(&bytes).expect("the proposal decodes");
                        let start = Instant::now();
                        let block = black_box(ledger.apply(black_box(&verified)));
                        spent += start.elapsed();
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
                    let measure =
                        |class| Measure::Policy(PolicyChange::Remuneration { class, tiers: Tiers::flat(rate) });
                    let (effective_at, lapses_at) = (START, Timestamp(START.0 + 60_000));
                    let measures = Class::all().map(measure).collect();
                    let member = MemberId(0);
                    let motion = Motion { head: head(sequence), member, effective_at, lapses_at, measures };
                    let (motion, nothing) = (encode(START, [signed(motion)]), encode(START, []));
                    let start = Instant::now();
                    apply(ledger, &motion);
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
