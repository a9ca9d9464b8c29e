//! What settling costs on one thread: transfers in proposals of 4,096, already decoded and verified, between wallets picked
//! at random. The work includes outcomes, leaves, effects and the header, as on every node.
//!
//! Names are `ledger::apply/wallets=count`; the throughput shown is in transfers a second. More wallets cost more only by
//! the caches that they miss.
//!
//! Run: `cargo bench -p cbdc-benches --bench apply`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cbdc_ledger::command::{
    Certificate, Head, IssuanceKind, IssuanceOrder, IssuanceRequest, OpenWallet, Payment, PaymentKind,
};
use cbdc_ledger::genesis::{DayCount, opening_books};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::Parameters;
use cbdc_ledger::{
    AccountId, Amount, BankId, Class, Command, Genesis, HolderId, Ledger, MemberId, Signature, Signed, SigningKey,
    Timestamp, VerifiedProposal,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BATCH: usize = 4_096;
const WALLETS: [u32; 2] = [1_000, 100_000];
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

fn genesis(wallets: u32) -> Genesis {
    let roles = [Role::CentralBank, Role::Committee, Role::Operator, Role::Registrar, Role::Bank];
    let member = |role: Role| Member {
        role,
        id: MemberId(u16::from(role == Role::Bank)),
        name: role.to_string(),
        signing_key: SigningKey::from_seed(seed(u32::MAX - role as u32)).public_key(),
        node_key: None,
    };
    let mut policy = Parameters::default();
    let rules = &mut policy.classes[Class::HOUSEHOLD.index()];
    // Limits that bind nobody, so that each is tested.
    rules.holding_limit = Some(Amount::MAX);
    rules.payment_limit = Some(Amount::MAX);
    rules.day_limit = Some(Amount::MAX);
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

fn encode(commands: impl IntoIterator<Item = Command>) -> Vec<u8> {
    let (mut bytes, mut count) = (Vec::new(), 0u32);
    for command in commands {
        bytes.extend(command.to_bytes());
        count += 1;
    }
    [&[1, 0, 0, 0][..], &count.to_le_bytes(), &START.0.to_le_bytes(), &bytes].concat()
}

fn apply(ledger: &mut Ledger, bytes: &[u8]) {
    let block = ledger.apply(&VerifiedProposal::from_own_log(bytes).expect("the proposal decodes"));
    assert!(block.outcomes.iter().all(|outcome| outcome.is_settled()), "all settle");
}

fn head(sequence: u64) -> Head {
    Head { flags: 0, key_version: 0, sequence, valid_until: START }
}

fn signed<R>(record: R) -> Command
where
    Command: From<Signed<R>>,
{
    Signed { record, signature: UNSIGNED }.into()
}

fn payment(kind: PaymentKind, sequence: u64, from: AccountId, to: AccountId, minor: u64) -> Command {
    let (head, amount) = (head(sequence), Amount::from_minor(minor));
    signed(Payment { kind, head, from, to, amount, max_fee: Amount::ZERO, reference: [0; 16] })
}

/// A bank with funded wallets, one a person.
fn ledger(wallets: u32) -> Ledger {
    let mut ledger = Ledger::new(genesis(wallets)).expect("the genesis is valid");
    let certificate = Certificate { registrar: MemberId(0), registrar_key_version: 0, signature: UNSIGNED };
    let open = |number: u32| {
        let mut holder = HolderId([0; 16]);
        holder.0[..4].copy_from_slice(&number.to_le_bytes());
        let key = SigningKey::from_seed(seed(number)).public_key();
        let head = head(u64::from(number));
        signed(OpenWallet { head, bank: BANK, class: Class::HOUSEHOLD, holder, key, certificate })
    };
    apply(&mut ledger, &encode((1..=wallets).map(open)));
    let first = u64::from(wallets) + 1;
    let amount = Amount::from_minor(u64::from(wallets) * OPENING_MINOR);
    let record = IssuanceRequest { kind: IssuanceKind::Issue, head: head(first), bank: BANK, amount };
    let request = Signed { record, signature: UNSIGNED };
    apply(&mut ledger, &encode([signed(IssuanceOrder { head: head(1), operator: MemberId(0), request })]));
    let fund = |number: u32| {
        let sequence = first + u64::from(number);
        payment(PaymentKind::Fund, sequence, AccountId::treasury(BANK), AccountId::new(BANK, number), OPENING_MINOR)
    };
    apply(&mut ledger, &encode((1..=wallets).map(fund)));
    ledger
}

/// Random transfers, each payer with its next number.
struct Transfers {
    next_number: Vec<u64>,
    random: u64,
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
        encode((0..BATCH).map(|_| self.next()).collect::<Vec<_>>())
    }
}

fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger::apply");
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(20);
    for wallets in WALLETS {
        let mut ledger = ledger(wallets);
        let mut transfers = Transfers { next_number: vec![0; wallets as usize], random: 1 };
        group.bench_function(format!("wallets={wallets}"), |bencher| {
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
        ledger.check_invariants().expect("the invariants hold after the benchmark");
    }
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
