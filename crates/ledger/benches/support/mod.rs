//! Support of the ledger's benchmarks: a bank with many funded wallets, and commands for them.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::command::{
    Certificate, Head, IssuanceKind, IssuanceOrder, IssuanceRequest, OpenWallet, Payment, PaymentKind,
};
use cbdc_ledger::genesis::{DayCount, opening_books};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::{ClassRules, FeeBracket, FeeSchedule, FeeTo, Parameters, Tier, Tiers, VelocityRule};
use cbdc_ledger::{
    AccountId, Amount, BankId, Class, Command, FormatVersion, Genesis, HolderId, Ledger, MemberId, Signature, Signed,
    SigningKey, Timestamp, VerifiedProposal,
};

pub const BANK: BankId = BankId(1);
pub const START: Timestamp = Timestamp(1_795_392_000_000);
/// The log is trusted for signatures: `apply` never looks at them.
const UNSIGNED: Signature = Signature([0; 64]);
const OPENING_MINOR: u64 = 1_000_000_000;

fn seed(number: u32) -> [u8; 32] {
    let mut seed = [5; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    seed
}

/// Every rule that a payment can meet, none of which binds.
pub fn everything() -> Parameters {
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

/// The newest version of the formats, or the one that CBDC_BENCH_FORMAT names: 1 is without a state root.
fn format() -> FormatVersion {
    let named = std::env::var("CBDC_BENCH_FORMAT").ok().and_then(|number| number.parse().ok());
    named.and_then(FormatVersion::from_number).unwrap_or(FormatVersion::NEWEST)
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
        format: format(),
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

pub fn encode(time: Timestamp, commands: impl IntoIterator<Item = Command>) -> Vec<u8> {
    let (mut bytes, mut count) = (Vec::new(), 0u32);
    for command in commands {
        bytes.extend(command.to_bytes());
        count += 1;
    }
    [&[1, 0, 0, 0][..], &count.to_le_bytes(), &time.0.to_le_bytes(), &bytes].concat()
}

pub fn apply(ledger: &mut Ledger, bytes: &[u8]) {
    let block = ledger.apply(&VerifiedProposal::from_own_log(bytes).expect("the proposal decodes"));
    assert!(block.outcomes.iter().all(|outcome| outcome.is_settled()), "all settle");
}

pub fn head(sequence: u64) -> Head {
    Head { flags: 0, key_version: 0, sequence, valid_until: START.plus_ms(80_000_000) }
}

pub fn signed<R>(record: R) -> Command
where
    Command: From<Signed<R>>,
{
    Signed { record, signature: UNSIGNED }.into()
}

pub fn payment(kind: PaymentKind, sequence: u64, from: AccountId, to: AccountId, minor: u64) -> Command {
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

/// A bank with funded wallets, one a holder.
pub fn ledger(wallets: u32, policy: Parameters) -> Ledger {
    let mut ledger = Ledger::new(genesis(wallets, policy)).expect("the genesis is valid");
    let (valid_until, signature) = (START.plus_ms(80_000_000), UNSIGNED);
    let certificate = Certificate { registrar: MemberId(0), registrar_key_version: 0, valid_until, signature };
    let open = |number: u32| {
        let mut holder = HolderId([0; 16]);
        holder.0[..4].copy_from_slice(&number.to_le_bytes());
        let key = SigningKey::from_seed(seed(number)).public_key();
        let head = head(u64::from(number));
        signed(OpenWallet { head, bank: BANK, class: Class::HOUSEHOLD, holder, key, certificate, agreement: UNSIGNED })
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

/// The numbers of wallets to measure with: 1,000, 100,000 and 1 million, and what CBDC_BENCH_WALLETS adds.
pub fn wallet_counts() -> Vec<u32> {
    let more = std::env::var("CBDC_BENCH_WALLETS").ok().and_then(|count| count.parse().ok());
    [1_000, 100_000, 1_000_000].into_iter().chain(more).collect()
}
