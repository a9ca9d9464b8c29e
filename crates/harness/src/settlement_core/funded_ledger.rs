//! A ledger with funded wallets, made by unsigned commands: banks, keys, holders, issuance and funding are as in a
//! network, and `from_own_log` trusts the log for the signatures.

use anyhow::{Result, ensure};
use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::command::{
    Certificate, IssuanceKind, IssuanceOrder, IssuanceRequest, OpenWallet, Payment, PaymentKind,
};
use cbdc_ledger::genesis::{DayCount, opening_books};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::{ClassRules, FeeBracket, FeeSchedule, FeeTo, Parameters, Tier, Tiers, VelocityRule};
use cbdc_ledger::{
    AccountId, Amount, BankId, Class, Command, FormatVersion, Genesis, HolderId, Ledger, MemberId, PublicKey, Signed,
    SigningKey, VerifiedProposal,
};

use super::unsigned::{BANKS, START, UNSIGNED, VALID_UNTIL, VALIDITY_MS_MAX, account, encode, head, unsigned};

/// Opening balance of each wallet.
pub const OPENING_MINOR: u64 = 1_000_000_000;
/// Commands of the set-up in one block proposal.
const AT_ONCE: usize = 50_000;
const OPERATOR: MemberId = MemberId(0);

/// A ledger with `wallets` funded wallets, each of another holder, under every rule that can apply to a payment or
/// under none.
pub fn make(wallets: u32, policy: bool) -> Result<Ledger> {
    let policy = if policy { every_rule() } else { Parameters::default() };
    let mut ledger = Ledger::new(genesis(wallets, policy))?;
    let numbers: Vec<u32> = (0..wallets).collect();
    open_all(&mut ledger, &numbers)?;
    let of_bank = wallets.div_ceil(u32::from(BANKS));
    for bank in 1..=BANKS {
        settle_all(&mut ledger, [issue(BankId(bank), of_bank)])?;
    }
    for numbers in numbers.chunks(AT_ONCE) {
        settle_all(&mut ledger, numbers.iter().map(|wallet| fund(*wallet, of_bank)))?;
    }
    Ok(ledger)
}

/// Opens the wallets; the next keys are made while these are opened.
fn open_all(ledger: &mut Ledger, wallets: &[u32]) -> Result<()> {
    std::thread::scope(|scope| {
        let (made, keys_made) = std::sync::mpsc::sync_channel(1);
        scope.spawn(move || wallets.chunks(AT_ONCE).all(|wallets| made.send(keys(wallets)).is_ok()));
        for (wallets, keys) in wallets.chunks(AT_ONCE).zip(keys_made) {
            settle_all(ledger, wallets.iter().zip(keys).map(|(wallet, key)| open(*wallet, key)))?;
        }
        Ok(())
    })
}

fn settle_all(ledger: &mut Ledger, commands: impl IntoIterator<Item = Command>) -> Result<()> {
    let bytes = encode(START, commands);
    let block = ledger.apply(&VerifiedProposal::from_own_log(&bytes)?);
    let refused = block.outcomes.iter().find(|outcome| !outcome.is_settled());
    ensure!(refused.is_none(), "the set-up of the core's ledger was refused: {}", refused.expect("it is there"));
    Ok(())
}

/// Public keys, made on all cores.
fn keys(wallets: &[u32]) -> Vec<PublicKey> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let chunk = wallets.len().div_ceil(cores).max(1);
    let key = |wallet: &u32| SigningKey::from_seed(seed(5, *wallet)).public_key();
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            wallets.chunks(chunk).map(|part| scope.spawn(move || part.iter().map(key).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().expect("making keys does not panic")).collect()
    })
}

fn seed(purpose: u8, number: u32) -> [u8; 32] {
    let mut seed = [purpose; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    seed
}

fn open(wallet: u32, key: PublicKey) -> Command {
    let AccountId { bank, serial, .. } = account(wallet);
    let mut holder = HolderId([0; 16]);
    holder.0[..4].copy_from_slice(&wallet.to_le_bytes());
    let (valid_until, signature) = (VALID_UNTIL, UNSIGNED);
    let certificate = Certificate { registrar: MemberId(0), registrar_key_version: 0, valid_until, signature };
    let head = head(u64::from(serial));
    unsigned(OpenWallet { head, bank, class: Class::HOUSEHOLD, holder, key, certificate, agreement: UNSIGNED })
}

fn issue(bank: BankId, wallets: u32) -> Command {
    let amount = Amount::from_minor(u64::from(wallets) * OPENING_MINOR);
    let record = IssuanceRequest { kind: IssuanceKind::Issue, head: head(u64::from(wallets) + 1), bank, amount };
    let request = Signed { record, signature: UNSIGNED };
    unsigned(IssuanceOrder { head: head(u64::from(bank.0)), operator: OPERATOR, request })
}

/// Funds a wallet. The bank has used sequence numbers before, for opening `of_bank` wallets and requesting issuance.
fn fund(wallet: u32, of_bank: u32) -> Command {
    let to = account(wallet);
    let head = head(u64::from(of_bank) + 1 + u64::from(to.serial));
    let (from, amount) = (AccountId::treasury(to.bank), Amount::from_minor(OPENING_MINOR));
    unsigned(Payment { kind: PaymentKind::Fund, head, from, to, amount, max_fee: Amount::ZERO, reference: [0; 16] })
}

/// Every rule that can apply to a payment, with bounds that refuse none.
fn every_rule() -> Parameters {
    let limit = Some(Amount::MAX);
    let tier = Tier { up_to: Amount::from_minor(300_000), rate: RatePpm(20_000) };
    let bracket = FeeBracket { up_to: Amount::MAX, flat: Amount::from_minor(1), share_ppm: 1_000 };
    let mut policy = Parameters { supply_cap: limit, ..Parameters::default() };
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
    let member = |role: Role, id: u16| Member {
        role,
        id: MemberId(id),
        name: format!("{role}-{id}"),
        signing_key: SigningKey::from_seed(seed(role as u8, u32::from(id))).public_key(),
        node_key: None,
    };
    let single = [Role::CentralBank, Role::Committee, Role::Operator, Role::Registrar].map(|role| member(role, 0));
    let banks = (1..=BANKS).map(|bank| member(Role::Bank, bank));
    let reserves = Amount::from_minor((u64::from(wallets) + 1) * OPENING_MINOR);
    let books = opening_books((1..=BANKS).map(|bank| (BankId(bank), reserves)), Amount::ZERO, Amount::ZERO);
    Genesis {
        format: FormatVersion::NEWEST,
        currency: *b"XTS",
        currency_exponent: 2,
        day_count: DayCount::Actual365,
        day_offset_minutes: 60,
        created_at: START,
        validity_ms_max: VALIDITY_MS_MAX,
        header_signatures: 1,
        threshold: 1,
        members: single.into_iter().chain(banks).collect(),
        books: books.expect("reserves of 2^32 wallets fit into 64 bits"),
        policy,
    }
}
