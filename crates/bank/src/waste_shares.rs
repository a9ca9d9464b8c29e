//! Accounts' shares of what the bank may waste at the central bank.
//!
//! The central bank slows a bank of whose commands too many are refused ([`cbdc_node::standing`]), and with it all of
//! the bank's customers. A customer can come from many addresses, each with an allowance of its own
//! ([`cbdc_node::source_standing`]); so the bank also counts by account, whatever the address:
//!
//! 1. It keeps its own standing as the central bank sees it, from the answers to what it relayed.
//! 2. An account with [`WATCHED_FROM`] answers other than *settled* is *watched* until half a minute after the last
//!    one; while a quarter of the bank's allowance is used up, every account with such an answer is. A watched
//!    account's records are compared with the replica before they are relayed, once it has followed all that was
//!    answered: those that the chain refuses for certain, and those outside the window, are answered here. Of each
//!    number only one copy is in flight. So repeated, expired and stale records of it cost the central bank nothing.
//! 3. What only the ledger can refuse, such as an unfunded payment, uses its number and draws on the account's share:
//!    an account is *slowed* while it has wasted more than what is left to the bank. One account may so waste half of
//!    the bank's allowance, two a third each, and so on: what others do not use is lent, and something is always left.
//!    (The rule is that of dynamic thresholds for shared buffers, Choudhury and Hahne, 1998.) Waste is forgotten over
//!    time, by all accounts together at half the speed at which the bank's allowance is refilled.
//!
//! Only what its holder signed, and the chain decided for the first time, counts as an account's waste: a stranger who
//! sends an old record again can have an account watched, which costs its holder next to nothing, and never slowed.
//!
//! Wallets of other banks, whose commands this bank relays if it has consented to them, are counted together: who
//! signed such a command is often not known here, so that a stranger can send any number of them, each in another
//! wallet's name. All of them together have a sixteenth of the bank's allowance ([`OTHERS`]).
//!
//! # Bounds
//! [`ACCOUNTS_MAX`] accounts; beyond that a further one is not counted. While every command settles, nothing here is
//! locked, looked up or allocated; while few are refused, no account is looked up.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cbdc_ledger::AccountId;
use cbdc_node::standing::{Allowance, MEMBER, Standing, Waste};

/// The allowance of all wallets of other banks.
const OTHERS: Allowance = Allowance { waste_per_s: MEMBER.waste_per_s / 16, allowance_max: MEMBER.allowance_max / 16 };
/// Their commands that may be in flight.
const OTHERS_IN_FLIGHT_MAX: usize = 64;
/// The number of accounts that are counted.
const ACCOUNTS_MAX: usize = 65_536;
/// The time for which an account is watched after the last answer other than *settled*.
const WATCHED_FOR: Duration = Duration::from_secs(30);
/// The answers other than *settled* after which an account is watched: as many as its window has numbers.
const WATCHED_FROM: u32 = 64;
/// The least time between two searches for accounts to forget.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// The unit of an account's waste: millionths of the cost of verifying one good signature.
const UNIT: i64 = 1_000_000;

/// The shares of all accounts.
#[derive(Default)]
pub struct WasteShares {
    /// Whether anything is counted.
    counts: AtomicBool,
    /// Whether any account may be watched or slowed.
    acts: AtomicBool,
    state: Mutex<Option<State>>,
}

struct State {
    /// The bank's standing at the central bank.
    bank: Standing,
    /// The standing of all wallets of other banks.
    others: Standing,
    others_in_flight: usize,
    accounts: HashMap<AccountId, Account>,
    /// Records of watched accounts in flight, by account and number.
    in_flight: HashSet<(AccountId, u64)>,
    looked_at: Instant,
}

struct Account {
    wasted: i64,
    /// Answers other than *settled*.
    answers: u32,
    counted_at: Instant,
    watched_until: Instant,
}

/// How an account's next record is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Treatment {
    /// Relayed without a look.
    Plain,
    /// Compared with the replica first.
    Watched,
    /// Refused: the account has used up its share.
    Slowed,
}

/// The answer to a relayed record, as far as it is waste.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wasted {
    /// The chain decided it for the first time, and refused it.
    Refused,
    /// It was answered without being ordered, or by a position it had before.
    NotOrdered,
    BadSignature,
}

impl State {
    fn new(now: Instant) -> State {
        State {
            bank: Standing::new(MEMBER, now),
            others: Standing::new(OTHERS, now),
            others_in_flight: 0,
            accounts: HashMap::new(),
            in_flight: HashSet::new(),
            looked_at: now,
        }
    }

    fn wasted(&self, account: &Account, now: Instant) -> i64 {
        let passed_us = now.saturating_duration_since(account.counted_at).as_micros();
        let passed_us = i64::try_from(passed_us).unwrap_or(i64::MAX);
        // All accounts together forget at half the speed at which the bank's allowance is refilled.
        let forgotten = passed_us.saturating_mul(MEMBER.waste_per_s) / 2 / self.accounts.len().max(1) as i64;
        account.wasted.saturating_sub(forgotten).max(0)
    }

    /// Whether so much of the bank's allowance is used up that every account with a refusal is watched.
    fn is_low(&self, now: Instant) -> bool {
        self.bank.left(now) < MEMBER.allowance_max / 4 * 3
    }

    fn treatment(&self, account: AccountId, now: Instant) -> Treatment {
        let Some(known) = self.accounts.get(&account) else { return Treatment::Plain };
        let wasted = self.wasted(known, now);
        let is_watched = now < known.watched_until && (known.answers >= WATCHED_FROM || self.is_low(now));
        match () {
            () if wasted > 0 && wasted > self.bank.left(now).saturating_mul(UNIT) => Treatment::Slowed,
            () if is_watched => Treatment::Watched,
            () => Treatment::Plain,
        }
    }

    /// Whether any account may be watched or slowed.
    fn acts(&self, now: Instant) -> bool {
        self.is_low(now) || !self.in_flight.is_empty() || self.accounts.values().any(|it| it.answers >= WATCHED_FROM)
    }

    /// Counts a wasted command of an account; of another bank's wallet if it is `None`.
    fn count(&mut self, account: Option<AccountId>, wasted: Wasted, now: Instant) {
        let (waste, own) = match wasted {
            Wasted::Refused => (Waste::Refused, UNIT),
            Wasted::NotOrdered => (Waste::NotVerified, 0),
            Wasted::BadSignature => (Waste::BadSignature, 0),
        };
        self.bank.wasted(now, waste, 1);
        let Some(account) = account else { return self.others.wasted(now, waste, 1) };
        // Anybody can write an account's number into a record.
        if wasted == Wasted::BadSignature {
            return;
        }
        let before = self.accounts.get(&account).map(|known| (self.wasted(known, now), known.answers));
        if before.is_some() || self.accounts.len() < ACCOUNTS_MAX {
            let (wasted, answers) = before.unwrap_or_default();
            let wasted = wasted.saturating_add(own).min(2 * MEMBER.allowance_max * UNIT);
            let (answers, watched_until) = (answers.saturating_add(1), now + WATCHED_FOR);
            self.accounts.insert(account, Account { wasted, answers, counted_at: now, watched_until });
        }
    }

    /// Forgets accounts with nothing against them. Returns whether anything is still counted.
    fn forget(&mut self, now: Instant) -> bool {
        let is_over = |known: &Account| now >= known.watched_until && self.wasted(known, now) == 0;
        let over: Vec<_> =
            self.accounts.iter().filter(|(_, known)| is_over(known)).map(|(account, _)| *account).collect();
        for account in over {
            self.accounts.remove(&account);
        }
        self.looked_at = now;
        !self.accounts.is_empty() || !self.in_flight.is_empty() || !self.bank.is_full(now)
    }
}

impl WasteShares {
    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is counted, so that settled commands count as well.
    pub fn is_counting(&self) -> bool {
        self.counts.load(Ordering::Relaxed)
    }

    /// Whether any account may be watched or slowed.
    pub fn is_acting(&self) -> bool {
        self.acts.load(Ordering::Relaxed)
    }

    /// The treatments of accounts' next records, in order. Empty if all are plain.
    pub fn treatments(&self, now: Instant, accounts: impl Iterator<Item = Option<AccountId>>) -> Vec<Treatment> {
        if !self.is_acting() {
            return Vec::new();
        }
        let state = self.lock();
        let Some(state) = &*state else { return Vec::new() };
        let treatment = |account: Option<AccountId>| match account {
            Some(account) => state.treatment(account, now),
            None => Treatment::Plain,
        };
        let treatments: Vec<_> = accounts.map(treatment).collect();
        if treatments.iter().all(|treatment| *treatment == Treatment::Plain) { Vec::new() } else { treatments }
    }

    /// The treatment of one account's next record.
    pub fn treatment(&self, now: Instant, account: AccountId) -> Treatment {
        self.treatments(now, std::iter::once(Some(account))).first().copied().unwrap_or(Treatment::Plain)
    }

    /// Notes that a watched account's record is in flight until the guard is dropped. `None` if another with its
    /// number is.
    pub fn begin(self: &Arc<Self>, account: AccountId, number: u64) -> Option<InFlight> {
        let mut state = self.lock();
        let state = state.as_mut()?;
        state.in_flight.insert((account, number)).then(|| InFlight { shares: self.clone(), record: (account, number) })
    }

    /// Notes the answers to records that were relayed: how many settled, and the others.
    pub fn answered(&self, now: Instant, settled: usize, wasted: impl Iterator<Item = (AccountId, Wasted)>) {
        self.note(now, settled, wasted.map(|(account, wasted)| (Some(account), wasted)));
    }

    /// Notes that a command of another bank's wallet is in flight until the guard is dropped. `None` if such wallets
    /// have used up their share.
    pub fn begin_of_others(self: &Arc<Self>, now: Instant) -> Option<OfOthers> {
        let mut state = self.lock();
        let state = state.get_or_insert_with(|| State::new(now));
        if state.others.is_slowed(now) || state.others_in_flight >= OTHERS_IN_FLIGHT_MAX {
            return None;
        }
        state.others_in_flight += 1;
        Some(OfOthers(self.clone()))
    }

    /// Notes answers to records that were relayed; those of other banks' wallets have no account.
    fn note(&self, now: Instant, settled: usize, wasted: impl Iterator<Item = (Option<AccountId>, Wasted)>) {
        let mut wasted = wasted.peekable();
        if wasted.peek().is_none() && !self.is_counting() {
            return;
        }
        let mut state = self.lock();
        let state = state.get_or_insert_with(|| State::new(now));
        state.bank.settled(now, settled);
        let mut acts = self.is_acting();
        for (account, wasted) in wasted {
            state.count(account, wasted, now);
            let known = account.and_then(|account| state.accounts.get(&account));
            acts = acts || known.is_some_and(|known| known.answers >= WATCHED_FROM);
        }
        acts = acts || state.is_low(now);
        let mut counts = true;
        if now.saturating_duration_since(state.looked_at) >= LOOKS_EVERY {
            counts = state.forget(now);
            acts = state.acts(now);
        }
        self.counts.store(counts, Ordering::Relaxed);
        self.acts.store(acts, Ordering::Relaxed);
    }
}

/// A watched account's record in flight.
pub struct InFlight {
    shares: Arc<WasteShares>,
    record: (AccountId, u64),
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(state) = &mut *self.shares.lock() {
            state.in_flight.remove(&self.record);
        }
    }
}

/// A command of another bank's wallet in flight.
pub struct OfOthers(Arc<WasteShares>);

impl OfOthers {
    /// Notes the command's answer: whether it settled, or else what it wasted.
    pub fn answered(self, now: Instant, has_settled: bool, wasted: Option<Wasted>) {
        self.0.note(now, usize::from(has_settled), wasted.map(|wasted| (None, wasted)).into_iter());
    }
}

impl Drop for OfOthers {
    fn drop(&mut self) {
        if let Some(state) = &mut *self.0.lock() {
            state.others_in_flight -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::BankId;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn account(serial: u32) -> AccountId {
        AccountId::new(BankId(1), serial)
    }

    fn refused(shares: &WasteShares, now: Instant, serial: u32, count: usize) {
        shares.answered(now, 0, std::iter::repeat_n((account(serial), Wasted::Refused), count));
    }

    /// The waste of accounts that each send unfunded payments as fast as they are let, over `seconds`.
    fn waste(accounts: u32, per_ms: usize, seconds: u64) -> (Vec<usize>, bool) {
        let shares = WasteShares::default();
        let (began, mut bank) = (Instant::now(), Standing::new(MEMBER, Instant::now()));
        let (mut sent, mut was_slowed) = (vec![0; accounts as usize], false);
        for ms in 0..seconds * 1_000 {
            let now = began + Duration::from_millis(ms);
            for (serial, sent) in (0..accounts).zip(&mut sent) {
                if shares.treatment(now, account(serial)) != Treatment::Slowed {
                    refused(&shares, now, serial, per_ms);
                    bank.wasted(now, Waste::Refused, per_ms);
                    *sent += per_ms;
                }
            }
            was_slowed |= bank.is_slowed(now);
        }
        (sent, was_slowed)
    }

    #[test]
    fn no_account_and_no_few_accounts_use_up_the_banks_allowance_from_however_many_addresses() {
        for accounts in [1, 2, 9, 40] {
            let (sent, was_slowed) = waste(accounts, 64, 20);
            assert!(!was_slowed, "{accounts} accounts had the bank slowed: {sent:?}");
            let most = sent.iter().max().unwrap();
            assert!(sent.iter().all(|sent| *sent * 2 >= *most), "equal shares: {sent:?}");
        }
        // What others do not use is lent.
        let alone = waste(1, 64, 1).0[0];
        assert!(alone > MEMBER.allowance_max as usize / 2, "{alone}");
    }

    #[test]
    fn a_few_refusals_here_and_there_have_nobody_watched() {
        let (shares, now) = (WasteShares::default(), Instant::now());
        (0..4_000).for_each(|serial| refused(&shares, now, serial, 1));
        refused(&shares, now, 1, 62);
        assert!(!shares.is_acting() && shares.treatment(now, account(1)) == Treatment::Plain);
        refused(&shares, now, 1, 1);
        assert!(shares.is_acting() && shares.treatment(now, account(1)) == Treatment::Watched);
        assert_eq!(shares.treatment(now, account(2)), Treatment::Plain);
        shares.answered(now + 300 * SECOND, 1, std::iter::empty());
        assert!(!shares.is_acting() && !shares.is_counting());
    }

    #[test]
    fn one_with_few_refusals_is_served_beside_one_that_is_slowed() {
        let (shares, now) = (WasteShares::default(), Instant::now());
        refused(&shares, now, 1, 20_000);
        refused(&shares, now, 2, 3);
        let treatments = shares.treatments(now, [1, 2, 3].map(account).map(Some).into_iter());
        assert_eq!(treatments, [Treatment::Slowed, Treatment::Watched, Treatment::Plain]);
        assert_ne!(shares.treatment(now + 4 * SECOND, account(1)), Treatment::Slowed);
        let later = now + 31 * SECOND;
        shares.answered(later, 1, std::iter::empty());
        assert!(!shares.is_counting(), "all is forgotten");
    }

    #[test]
    fn what_a_stranger_can_send_has_nobody_slowed() {
        let (shares, now) = (WasteShares::default(), Instant::now());
        for wasted in [Wasted::NotOrdered, Wasted::BadSignature] {
            shares.answered(now, 0, std::iter::repeat_n((account(1), wasted), 200_000));
            assert_eq!(shares.treatment(now, account(1)), Treatment::Watched);
        }
        assert_eq!(shares.treatment(now, account(2)), Treatment::Plain);
    }

    #[test]
    fn wallets_of_other_banks_waste_a_small_part_of_the_allowance_however_many_they_are() {
        let (shares, now) = (Arc::new(WasteShares::default()), Instant::now());
        let in_flight: Vec<_> = std::iter::from_fn(|| shares.begin_of_others(now)).take(1_000).collect();
        assert_eq!(in_flight.len(), OTHERS_IN_FLIGHT_MAX);
        drop(in_flight);
        let bad = std::iter::from_fn(|| shares.begin_of_others(now)).take(10_000);
        let bad = bad.map(|one| one.answered(now, false, Some(Wasted::BadSignature))).count();
        assert!((100..=200).contains(&bad), "{bad}");
        let state = shares.lock();
        let state = state.as_ref().unwrap();
        assert!(state.accounts.is_empty() && !state.is_low(now));
    }

    #[test]
    fn one_copy_of_a_watched_accounts_number_is_in_flight() {
        let (shares, now) = (Arc::new(WasteShares::default()), Instant::now());
        refused(&shares, now, 1, 64);
        let first = shares.begin(account(1), 7).unwrap();
        assert!(shares.begin(account(1), 7).is_none() && shares.begin(account(2), 7).is_some());
        drop(first);
        assert!(shares.begin(account(1), 7).is_some());
    }

    #[test]
    fn many_accounts_take_bounded_memory() {
        let (shares, now) = (WasteShares::default(), Instant::now());
        (0..ACCOUNTS_MAX as u32 + 10).for_each(|serial| refused(&shares, now, serial, 1));
        assert_eq!(shares.lock().as_ref().unwrap().accounts.len(), ACCOUNTS_MAX);
    }
}
