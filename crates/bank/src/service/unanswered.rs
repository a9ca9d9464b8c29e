//! Copies of records that were sent to the central bank and not answered.
//!
//! A copy is noted when it is sent and crossed out when it is answered; one whose caller gave up, whose answer did not
//! come in time or whose stream broke stays, until the chain has decided its record. The records of a stream's batch
//! are noted only when it ends without an answer; until then the batch itself is kept, and searched where it matters.
//!
//! # Bounds
//! An account has [`LINES_MAX`] lines, as many as its window has numbers, and where a further record of it is sent, all
//! of its records are in doubt until that one can settle no more. Nobody else's are. Only where more than
//! [`OWN`]'s number of this bank's accounts have unanswered records does that hold of every one of them.
//!
//! Accounts of other banks, in whose names strangers may send records ([`super::holder_command`]), have a smaller table
//! of their own ([`OTHERS`]): however many there are, no record of this bank's accounts is in doubt for them.
//!
//! # Over a restart
//! A node that stops in an orderly way leaves a [mark](Unanswered::mark): the accounts whose records are in doubt, and
//! until when. The next one [takes](Unanswered::take_mark) it: the mark is deleted, durably, before anything is sent.
//! Without one, or where it comes with a copy of the folder ([`crate::orderly_stop`]), nothing is known of what the
//! process before had sent, and every record is in doubt for as long as one may be valid. The same holds from the
//! moment at which the chain shows that the folder is older than the bank ([`crate::deposit_doubt`]), and of an empty
//! folder, until the chain shows that the bank is new ([`crate::catching_up`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cbdc_ledger::command::packed::PackedPayment;
use cbdc_ledger::{AccountId, BankId, Timestamp};
use cbdc_storage::{Column, Durability, Store, StoreError, WriteBatch, sealed};

use super::record_status::RecordId;

/// Lines of one account.
const LINES_MAX: usize = 64;
/// The bounds of the accounts of this bank.
const OWN: Bounds = Bounds { accounts: 65_536, lines: 262_144 };
/// The bounds of the accounts of other banks.
const OTHERS: Bounds = Bounds { accounts: 1_024, lines: 4_096 };
/// The chain's time between two searches of a full table for decided records, ms.
const SEARCH_EVERY_MS: u64 = 1_000;
/// The key of the mark, in [`Column::Meta`].
const MARK: &[u8] = b"unanswered_at_stop";

/// The unanswered copies of this process.
pub struct Unanswered {
    tables: Mutex<Tables>,
    batches: Mutex<Batches>,
}

/// Batches that were sent, and neither answered nor noted yet, by number.
#[derive(Default)]
struct Batches {
    in_flight: BTreeMap<u64, Bytes>,
    next: u64,
}

struct Tables {
    bank: BankId,
    own: Table,
    others: Table,
    /// The number of the next line.
    next: u64,
    /// The chain's time until which every record is in doubt, because it is not known what processes before have sent.
    before_until: Timestamp,
}

/// The unanswered records of this bank's accounts, or of the others.
struct Table {
    bounds: Bounds,
    accounts: HashMap<AccountId, Account>,
    /// Lines of all its accounts.
    lines: usize,
    /// The chain's time until which every record of its accounts is in doubt.
    all_until: Timestamp,
    /// The chain's time at which it was searched last because it was full.
    searched_at: Option<Timestamp>,
}

#[derive(Clone, Copy)]
struct Bounds {
    /// Accounts that are remembered one by one.
    accounts: usize,
    /// Lines of all of them.
    lines: usize,
}

/// The unanswered records of one account.
#[derive(Default)]
struct Account {
    lines: Vec<Line>,
    /// The chain's time until which every record of the account is in doubt.
    all_until: Timestamp,
}

/// The unanswered copies of the records with one number.
struct Line {
    number: u64,
    id: RecordId,
    copies: u32,
}

/// A copy that was sent. Dropped without being [`SentCopy::answered`], it stays unanswered.
#[must_use]
pub struct SentCopy<'a> {
    unanswered: &'a Unanswered,
    account: AccountId,
    /// The number of its line, where it has one.
    line: Option<u64>,
}

impl Unanswered {
    /// This process has sent nothing yet. What earlier processes have sent is not known: every record is in doubt until
    /// `before_until`.
    pub fn new(bank: BankId, before_until: Timestamp) -> Unanswered {
        Unanswered::of(Tables { before_until, ..Tables::new(bank) })
    }

    /// Notes that no process before this one can have sent anything.
    pub fn nothing_was_sent_before(&self) {
        self.lock().before_until = Timestamp(0);
    }

    /// Notes that it is not known what this bank has sent since its folder was copied: every record is in doubt until
    /// then.
    pub fn doubt_all_until(&self, until: Timestamp) {
        let mut tables = self.lock();
        tables.before_until = tables.before_until.max(until);
    }

    fn of(tables: Tables) -> Unanswered {
        Unanswered { tables: Mutex::new(tables), batches: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a copy is sent. `now` is the chain's time, `latest` the latest time until which a record may be
    /// valid, and `is_decided` tells of which records the chain has decided, so that no copy can settle any more.
    pub fn sent(
        &self,
        id: RecordId,
        (now, latest): (Timestamp, Timestamp),
        is_decided: impl Fn(&RecordId) -> bool,
    ) -> SentCopy<'_> {
        let line = self.lock().note(id, (now, latest), is_decided);
        SentCopy { unanswered: self, account: id.account, line }
    }

    /// Whether a copy of a record is unanswered, or may be, at a `time` of the chain.
    pub fn holds(&self, id: &RecordId, time: Timestamp) -> bool {
        let mut tables = self.lock();
        let before_until = tables.before_until;
        let table = tables.of_account(id.account);
        let of_account = |account: &Account| {
            time <= account.all_until || account.lines.iter().any(|line| line.id.sequence == id.sequence)
        };
        time <= table.all_until.max(before_until) || table.accounts.get(&id.account).is_some_and(of_account)
    }

    /// Notes that a batch of payments is sent, until its records are answered or noted. Returns its number.
    pub fn batch_begins(&self, payments: Bytes) -> u64 {
        let mut batches = self.batches();
        let number = batches.next;
        batches.next += 1;
        batches.in_flight.insert(number, payments);
        number
    }

    /// Notes that a batch was answered, or its records noted.
    pub fn batch_ended(&self, number: u64) {
        self.batches().in_flight.remove(&number);
    }

    /// The payments among those sought, by payer and sequence number, of which a copy is in a batch in flight other
    /// than `besides`. Reads every payment in flight.
    pub fn in_batches(&self, sought: &HashSet<(AccountId, u64)>, besides: Option<u64>) -> HashSet<(AccountId, u64)> {
        if sought.is_empty() {
            return HashSet::new();
        }
        let others = self
            .batches()
            .in_flight
            .iter()
            .filter(|(number, _)| Some(**number) != besides)
            .map(|(_, it)| it.clone())
            .collect::<Vec<_>>();
        let payments = others.iter().flat_map(|batch| PackedPayment::each(batch));
        let names = payments.filter_map(|payment| Some((payment.payer()?, payment.sequence())));
        names.filter(|name| sought.contains(name)).collect()
    }

    fn batches(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all that was sent is answered or noted.
    pub fn is_complete(&self) -> bool {
        self.batches().in_flight.is_empty()
    }

    /// Leaves a mark for the next process: the accounts whose records are in doubt at a `time` of the chain. Nothing
    /// may be sent any more. `latest` is the latest time until which a record may be valid.
    pub fn mark(&self, store: &dyn Store, (time, latest): (Timestamp, Timestamp)) -> Result<(), StoreError> {
        let tables = self.lock();
        let mut mark = Vec::new();
        for table in [&tables.own, &tables.others] {
            mark.extend(table.all_until.max(tables.before_until).0.to_le_bytes());
        }
        for (id, account) in tables.own.accounts.iter().chain(&tables.others.accounts) {
            let of_lines = account.lines.iter().map(|line| line.id.valid_until.min(latest));
            let until = of_lines.max().unwrap_or_default().max(account.all_until);
            if until >= time {
                [id.to_u64(), until.0].iter().for_each(|word| mark.extend(word.to_le_bytes()));
            }
        }
        let mut batch = WriteBatch::new();
        batch.put(Column::Meta, MARK, sealed::seal(MARK, &mark));
        store.write(batch, Durability::Synced)
    }

    /// Takes the mark that the process before has left, if it has: it is deleted, durably. A mark that cannot be read
    /// is none.
    pub fn take_mark(bank: BankId, store: &dyn Store) -> Result<Option<Unanswered>, StoreError> {
        let Some(sealed) = store.get(Column::Meta, MARK)? else { return Ok(None) };
        let mut batch = WriteBatch::new();
        batch.delete(Column::Meta, MARK);
        store.write(batch, Durability::Synced)?;
        let mark = sealed::open(MARK, &sealed).ok();
        Ok(mark.and_then(|mark| Tables::of_mark(bank, mark)).map(Unanswered::of))
    }
}

impl Tables {
    fn new(bank: BankId) -> Tables {
        Tables { bank, own: Table::new(OWN), others: Table::new(OTHERS), next: 0, before_until: Timestamp(0) }
    }

    fn of_mark(bank: BankId, mark: &[u8]) -> Option<Tables> {
        let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
        let (all_until, accounts) = mark.split_at_checked(16)?;
        if !accounts.len().is_multiple_of(16) {
            return None;
        }
        let mut tables = Tables::new(bank);
        tables.own.all_until = Timestamp(word(&all_until[..8])?);
        tables.others.all_until = Timestamp(word(&all_until[8..])?);
        for words in accounts.chunks_exact(16) {
            let (id, until) = (AccountId::from_u64(word(&words[..8])?)?, Timestamp(word(&words[8..])?));
            tables.of_account(id).accounts.insert(id, Account { lines: Vec::new(), all_until: until });
        }
        Some(tables)
    }

    /// The table that has an account's records.
    fn of_account(&mut self, account: AccountId) -> &mut Table {
        if account.bank == self.bank { &mut self.own } else { &mut self.others }
    }

    /// Gives the number of the line, if there is room for one.
    fn note(
        &mut self,
        id: RecordId,
        times: (Timestamp, Timestamp),
        is_decided: impl Fn(&RecordId) -> bool,
    ) -> Option<u64> {
        let next = self.next;
        let number = self.of_account(id.account).note(next, id, times, is_decided);
        self.next += u64::from(number == Some(next));
        number
    }
}

impl Table {
    fn new(bounds: Bounds) -> Table {
        let (accounts, all_until) = (HashMap::new(), Timestamp(0));
        Table { bounds, accounts, lines: 0, all_until, searched_at: None }
    }

    /// Gives the number of the line, if there is room for one: `next` for a new one.
    fn note(
        &mut self,
        next: u64,
        id: RecordId,
        (now, latest): (Timestamp, Timestamp),
        is_decided: impl Fn(&RecordId) -> bool,
    ) -> Option<u64> {
        // One that is valid for longer than genesis allows is refused once it is ordered.
        let until = id.valid_until.min(latest);
        let has_room =
            |table: &Table| table.accounts.contains_key(&id.account) || table.accounts.len() < table.bounds.accounts;
        if !has_room(self) || self.lines >= self.bounds.lines {
            self.forget_decided(now, &is_decided);
        }
        if !has_room(self) {
            self.all_until = self.all_until.max(until);
            return None;
        }
        let account = self.accounts.entry(id.account).or_default();
        if let Some(line) = account.lines.iter_mut().find(|line| line.id.sequence == id.sequence) {
            line.copies = line.copies.saturating_add(1);
            line.id.valid_until = line.id.valid_until.max(id.valid_until);
            line.id.key_version = line.id.key_version.max(id.key_version);
            return Some(line.number);
        }
        if account.lines.len() >= LINES_MAX || self.lines >= self.bounds.lines {
            let before = account.lines.len();
            account.lines.retain(|line| !is_decided(&line.id));
            self.lines -= before - account.lines.len();
        }
        if account.lines.len() >= LINES_MAX || self.lines >= self.bounds.lines {
            account.all_until = account.all_until.max(until);
            return None;
        }
        self.lines += 1;
        account.lines.push(Line { number: next, id, copies: 1 });
        Some(next)
    }

    /// Forgets decided records, and the accounts that have no others, unless that was done a moment ago.
    fn forget_decided(&mut self, now: Timestamp, is_decided: impl Fn(&RecordId) -> bool) {
        if self.searched_at.is_some_and(|at| now < at.plus_ms(SEARCH_EVERY_MS)) {
            return;
        }
        self.searched_at = Some(now);
        self.accounts.retain(|_, account| {
            account.lines.retain(|line| !is_decided(&line.id));
            !account.lines.is_empty() || account.all_until >= now
        });
        self.lines = self.accounts.values().map(|account| account.lines.len()).sum();
    }

    fn answered(&mut self, id: AccountId, number: u64) {
        let Some(account) = self.accounts.get_mut(&id) else { return };
        // Another record may have got the place of one that was decided: its line has another number.
        let Some(at) = account.lines.iter().position(|line| line.number == number) else { return };
        account.lines[at].copies -= 1;
        if account.lines[at].copies == 0 {
            account.lines.swap_remove(at);
            self.lines -= 1;
        }
        if account.lines.is_empty() && account.all_until == Timestamp(0) {
            self.accounts.remove(&id);
        }
    }
}

impl SentCopy<'_> {
    /// The copy was answered, or never left this node.
    pub fn answered(self) {
        if let Some(line) = self.line {
            self.unanswered.lock().of_account(self.account).answered(self.account, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::command::{Head, Payment, PaymentKind};
    use cbdc_ledger::{Amount, Signature, Signed};
    use cbdc_storage::MemoryStore;

    use super::*;

    const BANK: BankId = BankId(1);

    fn record(serial: u32, sequence: u64, valid_until: u64) -> RecordId {
        let account = AccountId::new(BANK, serial);
        RecordId { account, sequence, valid_until: Timestamp(valid_until), key_version: 0 }
    }

    fn send(unanswered: &Unanswered, id: RecordId, now: u64) -> SentCopy<'_> {
        let times = (Timestamp(now), Timestamp(now + 10_000));
        unanswered.sent(id, times, move |record| record.valid_until < Timestamp(now))
    }

    fn holds(unanswered: &Unanswered, serial: u32, sequence: u64, time: u64) -> bool {
        unanswered.holds(&record(serial, sequence, 0), Timestamp(time))
    }

    #[test]
    fn a_record_is_in_doubt_until_each_of_its_copies_is_answered() {
        let unanswered = Unanswered::new(BANK, Timestamp(0));
        let copy = || send(&unanswered, record(1, 1, 2_000), 1_000);
        let (first, second) = (copy(), copy());
        first.answered();
        assert!(holds(&unanswered, 1, 1, 1_000) && !holds(&unanswered, 1, 2, 1_000));
        second.answered();
        assert!(!holds(&unanswered, 1, 1, 1_000));
        // Its caller gave up.
        drop(copy());
        copy().answered();
        assert!(holds(&unanswered, 1, 1, 1_000));
    }

    #[test]
    fn a_payment_in_another_batch_in_flight_is_found_until_that_batch_ends() {
        let packed = |serial, sequence| {
            let (from, to) = (AccountId::new(BankId(1), serial), AccountId::new(BankId(2), 9));
            let head = Head { flags: 0, key_version: 0, sequence, valid_until: Timestamp(5) };
            let (amount, max_fee) = (Amount::from_minor(1), Amount::ZERO);
            let record = Payment { kind: PaymentKind::Transfer, head, from, to, amount, max_fee, reference: [0; 16] };
            Signed { record, signature: Signature([0; 64]) }.to_bytes()
        };
        let name = |serial, sequence| (AccountId::new(BankId(1), serial), sequence);
        let unanswered = Unanswered::new(BANK, Timestamp(0));
        let first = unanswered.batch_begins([packed(1, 1), packed(2, 1)].concat().into());
        let second = unanswered.batch_begins(packed(1, 2).into());
        let sought = HashSet::from([name(1, 1), name(1, 2), name(2, 2)]);
        assert_eq!(unanswered.in_batches(&sought, None), HashSet::from([name(1, 1), name(1, 2)]));
        assert_eq!(unanswered.in_batches(&sought, Some(second)), HashSet::from([name(1, 1)]));
        unanswered.batch_ended(first);
        assert!(!unanswered.is_complete() && unanswered.in_batches(&sought, Some(second)).is_empty());
        unanswered.batch_ended(second);
        assert!(unanswered.is_complete() && unanswered.in_batches(&sought, None).is_empty());
    }

    #[test]
    fn an_account_that_has_more_puts_its_own_records_in_doubt_and_nobody_elses() {
        let unanswered = Unanswered::new(BANK, Timestamp(0));
        (1..=LINES_MAX as u64).for_each(|sequence| drop(send(&unanswered, record(1, sequence, 2_000), 1_000)));
        assert!(!holds(&unanswered, 1, 1_000, 1_000));
        let refused = send(&unanswered, record(1, 1_000, 3_000), 1_000);
        for sequence in [1_000, 1_001] {
            assert!(holds(&unanswered, 1, sequence, 3_000) && !holds(&unanswered, 1, sequence, 3_001));
            assert!(!holds(&unanswered, 2, sequence, 1_000));
        }
        // It has no line, so its answer crosses out nobody else's.
        refused.answered();
        assert!(holds(&unanswered, 1, 1, 3_001));
        // No account is in doubt for longer than a record may be valid.
        drop(send(&unanswered, record(1, 1_001, u64::MAX), 1_000));
        assert!(holds(&unanswered, 1, 1_002, 11_000) && !holds(&unanswered, 1, 1_002, 11_001));
        // What is decided makes room.
        drop(send(&unanswered, record(1, 2_000, 40_000), 20_000));
        assert!(holds(&unanswered, 1, 2_000, 20_000) && !holds(&unanswered, 1, 1, 20_000));
    }

    #[test]
    fn more_accounts_than_are_remembered_put_all_in_doubt_and_what_is_decided_makes_room() {
        let unanswered = Unanswered::new(BANK, Timestamp(0));
        (1..=OWN.accounts as u32).for_each(|serial| drop(send(&unanswered, record(serial, 1, 2_000), 1_000)));
        let another = OWN.accounts as u32 + 1;
        assert!(!holds(&unanswered, another, 1, 1_000));
        drop(send(&unanswered, record(another, 1, u64::MAX), 1_000));
        assert!(holds(&unanswered, another + 1, 1, 11_000) && !holds(&unanswered, another + 1, 1, 11_001));
        drop(send(&unanswered, record(another, 1, 40_000), 20_000));
        assert!(holds(&unanswered, another, 1, 20_000) && !holds(&unanswered, 1, 1, 20_000));
        let tables = unanswered.lock();
        assert_eq!((tables.own.accounts.len(), tables.own.lines), (1, 1));
    }

    #[test]
    fn records_in_the_names_of_other_banks_accounts_put_nobodys_here_in_doubt() {
        let unanswered = Unanswered::new(BANK, Timestamp(0));
        let of_other =
            |serial, valid_until| RecordId { account: AccountId::new(BankId(2), serial), ..record(1, 1, valid_until) };
        let more_than_either_has = OWN.accounts as u32 + 10;
        (1..=more_than_either_has).for_each(|serial| drop(send(&unanswered, of_other(serial, 2_000), 1_000)));
        assert!(!holds(&unanswered, 1, 1, 1_000));
        drop(send(&unanswered, record(1, 1, 2_000), 1_000));
        assert!(holds(&unanswered, 1, 1, 1_000) && !holds(&unanswered, 2, 1, 1_000));
        // One for which there is no line any more may have been sent.
        assert!(unanswered.holds(&of_other(more_than_either_has, 0), Timestamp(2_000)));
        assert!(!unanswered.holds(&of_other(more_than_either_has, 0), Timestamp(2_001)));
        assert_eq!(unanswered.lock().others.accounts.len(), OTHERS.accounts);

        let store = MemoryStore::new();
        unanswered.mark(&store, (Timestamp(1_500), Timestamp(11_000))).unwrap();
        let next = Unanswered::take_mark(BANK, &store).unwrap().unwrap();
        assert!(holds(&next, 1, 1, 2_000) && !holds(&next, 2, 1, 1_500));
        assert!(next.holds(&of_other(more_than_either_has, 0), Timestamp(2_000)));

        // What has expired makes room.
        drop(send(&unanswered, of_other(5_000, 9_000), 5_000));
        assert_eq!(unanswered.lock().others.accounts.len(), 1);
    }

    #[test]
    fn decided_records_of_others_make_room_for_a_line() {
        let unanswered = Unanswered::new(BANK, Timestamp(0));
        let per_account = LINES_MAX as u64;
        for serial in 1..=(OWN.lines / LINES_MAX) as u32 {
            (1..=per_account).for_each(|sequence| drop(send(&unanswered, record(serial, sequence, 2_000), 1_000)));
        }
        assert_eq!(unanswered.lock().own.lines, OWN.lines);
        let another = OWN.accounts as u32;
        drop(send(&unanswered, record(another, 1, 9_000), 5_000));
        assert!(holds(&unanswered, another, 1, 5_000) && !holds(&unanswered, another, 2, 5_000));
        assert_eq!(unanswered.lock().own.lines, 1);
    }

    #[test]
    fn an_answer_crosses_out_no_later_record_with_the_same_number() {
        let unanswered = Unanswered::new(BANK, Timestamp(0));
        let old = send(&unanswered, record(1, 1, 2_000), 1_000);
        (2..=LINES_MAX as u64).for_each(|sequence| drop(send(&unanswered, record(1, sequence, 2_000), 1_000)));
        // All are decided, and make room; another record then takes the old one's number.
        drop(send(&unanswered, record(1, 100, 9_000), 5_000));
        drop(send(&unanswered, record(1, 1, 9_000), 5_000));
        old.answered();
        assert!(holds(&unanswered, 1, 1, 5_000));
    }

    #[test]
    fn after_a_restart_without_a_mark_every_record_is_in_doubt_for_as_long_as_one_may_be_valid() {
        let restarted = Unanswered::new(BANK, Timestamp(10_000));
        assert!(holds(&restarted, 1, 1, 10_000) && !holds(&restarted, 1, 1, 10_001));
    }

    #[test]
    fn a_mark_serves_once_and_names_the_accounts_in_doubt() {
        let store = MemoryStore::new();
        assert!(Unanswered::take_mark(BANK, &store).unwrap().is_none());
        let unanswered = Unanswered::new(BANK, Timestamp(500));
        drop(send(&unanswered, record(1, 1, 3_000), 1_000));
        drop(send(&unanswered, record(1, 2, u64::MAX), 1_000));
        drop(send(&unanswered, record(2, 1, 1_500), 1_000));
        send(&unanswered, record(3, 1, 3_000), 1_000).answered();
        unanswered.mark(&store, (Timestamp(2_000), Timestamp(11_000))).unwrap();

        let next = Unanswered::take_mark(BANK, &store).unwrap().expect("there is a mark");
        for sequence in [1, 2, 77] {
            assert!(holds(&next, 1, sequence, 11_000) && !holds(&next, 1, sequence, 11_001), "{sequence}");
        }
        assert!(!holds(&next, 2, 1, 2_000) && !holds(&next, 3, 1, 2_000));
        assert!(Unanswered::take_mark(BANK, &store).unwrap().is_none(), "whoever is killed from here on leaves none");
        // The next one's own records are known one by one.
        send(&next, record(4, 1, 3_000), 2_000).answered();
        assert!(!holds(&next, 4, 1, 2_000));
    }

    #[test]
    fn a_damaged_mark_is_none() {
        for damaged in [vec![], vec![7; 40], sealed::seal(MARK, &[1; 7]), sealed::seal(MARK, &[1; 20])] {
            let store = MemoryStore::new();
            let mut batch = WriteBatch::new();
            batch.put(Column::Meta, MARK, damaged);
            store.write(batch, Durability::Synced).unwrap();
            assert!(Unanswered::take_mark(BANK, &store).unwrap().is_none());
            assert!(store.get(Column::Meta, MARK).unwrap().is_none());
        }
    }
}
