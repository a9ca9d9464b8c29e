//! Copies of records that were sent to the central bank and not answered.
//!
//! A copy is entered when it is sent and removed when it is answered; one whose caller gave up, whose answer did not
//! come in time or whose stream broke stays, until the chain has decided its record. Batches of a stream are entered
//! only when they end without an answer.
//!
//! Bounded: when the table is full, every record counts as in doubt until the records that did not fit can no longer
//! settle. After a restart it is not known what the previous process had sent, so the same holds for every record for
//! as long as one may be valid.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cbdc_ledger::{AccountId, Timestamp};

use super::record_status::RecordId;

/// The number of records that are kept individually.
const RECORDS_MAX: usize = 65_536;
/// The advance of the chain's time after which the table is searched again for decided records, ms.
const SEARCH_EVERY_MS: u64 = 1_000;

/// The unanswered copies of this process.
pub struct Unanswered(Mutex<Table>);

struct Table {
    records: HashMap<(AccountId, u64), Record>,
    /// The chain time until which every record is in doubt.
    all_until: Timestamp,
    /// The chain time at which the full table was last searched.
    searched_at: Option<Timestamp>,
}

/// The unanswered copies of the records with one number.
struct Record {
    id: RecordId,
    copies: u32,
}

/// A copy that was sent. If it is dropped without being [`SentCopy::answered`], it stays unanswered.
#[must_use]
pub struct SentCopy<'a> {
    unanswered: &'a Unanswered,
    id: RecordId,
    /// Whether it is in the table.
    is_noted: bool,
}

impl Unanswered {
    /// An empty table, with every record in doubt until `all_until`.
    pub fn new(all_until: Timestamp) -> Unanswered {
        Unanswered(Mutex::new(Table { records: HashMap::new(), all_until, searched_at: None }))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a copy that is sent. `now` is the chain's time, `latest` the latest valid-until that a record may have,
    /// and `is_decided` says which records the chain has decided.
    pub fn sent(
        &self,
        id: RecordId,
        (now, latest): (Timestamp, Timestamp),
        is_decided: impl Fn(&RecordId) -> bool,
    ) -> SentCopy<'_> {
        let is_noted = self.lock().note(id, (now, latest), is_decided);
        SentCopy { unanswered: self, id, is_noted }
    }

    /// Whether a copy of a record is unanswered, or may be, at a `time` of the chain.
    pub fn holds(&self, id: &RecordId, time: Timestamp) -> bool {
        let table = self.lock();
        time <= table.all_until || table.records.contains_key(&(id.account, id.sequence))
    }
}

impl Table {
    fn note(
        &mut self,
        id: RecordId,
        (now, latest): (Timestamp, Timestamp),
        is_decided: impl Fn(&RecordId) -> bool,
    ) -> bool {
        let key = (id.account, id.sequence);
        if let Some(record) = self.records.get_mut(&key) {
            record.copies = record.copies.saturating_add(1);
            record.id.valid_until = record.id.valid_until.max(id.valid_until);
            record.id.key_version = record.id.key_version.max(id.key_version);
            return true;
        }
        if self.records.len() >= RECORDS_MAX && self.searched_at.is_none_or(|at| at.plus_ms(SEARCH_EVERY_MS) <= now) {
            self.records.retain(|_, record| !is_decided(&record.id));
            self.searched_at = Some(now);
        }
        if self.records.len() >= RECORDS_MAX {
            // A record that is valid for longer than genesis allows is refused once it is ordered.
            self.all_until = self.all_until.max(id.valid_until.min(latest));
            return false;
        }
        self.records.insert(key, Record { id, copies: 1 });
        true
    }

    fn answered(&mut self, id: &RecordId) {
        let key = (id.account, id.sequence);
        let Some(record) = self.records.get_mut(&key) else { return };
        record.copies -= 1;
        if record.copies == 0 {
            self.records.remove(&key);
        }
    }
}

impl SentCopy<'_> {
    /// Removes a copy that was answered, or never left this node.
    pub fn answered(self) {
        if self.is_noted {
            self.unanswered.lock().answered(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::BankId;

    use super::*;

    fn record(sequence: u64, valid_until: u64) -> RecordId {
        let account = AccountId::new(BankId(1), 1);
        RecordId { account, sequence, valid_until: Timestamp(valid_until), key_version: 0 }
    }

    fn send(unanswered: &Unanswered, sequence: u64, valid_until: u64, now: u64) -> SentCopy<'_> {
        let times = (Timestamp(now), Timestamp(now + 10_000));
        unanswered.sent(record(sequence, valid_until), times, move |record| record.valid_until < Timestamp(now))
    }

    fn holds(unanswered: &Unanswered, sequence: u64, time: u64) -> bool {
        unanswered.holds(&record(sequence, 0), Timestamp(time))
    }

    #[test]
    fn a_record_is_in_doubt_until_each_of_its_copies_is_answered() {
        let unanswered = Unanswered::new(Timestamp(0));
        let (first, second) = (send(&unanswered, 1, 2_000, 1_000), send(&unanswered, 1, 2_000, 1_000));
        first.answered();
        assert!(holds(&unanswered, 1, 1_000) && !holds(&unanswered, 2, 1_000));
        second.answered();
        assert!(!holds(&unanswered, 1, 1_000));
        // Its caller gave up.
        drop(send(&unanswered, 1, 2_000, 1_000));
        send(&unanswered, 1, 2_000, 1_000).answered();
        assert!(holds(&unanswered, 1, 1_000));
    }

    #[test]
    fn what_does_not_fit_puts_all_in_doubt_and_what_is_decided_makes_room() {
        let unanswered = Unanswered::new(Timestamp(0));
        (1..=RECORDS_MAX as u64).for_each(|sequence| drop(send(&unanswered, sequence, 2_000, 1_000)));
        assert!(!holds(&unanswered, 1_000_000, 1_000));
        let refused = send(&unanswered, 1_000_000, 3_000, 1_000);
        for sequence in [1_000_000, 1_000_001] {
            assert!(holds(&unanswered, sequence, 3_000) && !holds(&unanswered, sequence, 3_001));
        }
        // It is not in the table, so its answer removes no other.
        refused.answered();
        assert!(holds(&unanswered, 1, 3_001));
        // Nobody puts all in doubt for longer than a record may be valid.
        drop(send(&unanswered, 1_000_001, u64::MAX, 1_000));
        assert!(holds(&unanswered, 1_000_002, 11_000) && !holds(&unanswered, 1_000_002, 11_001));
        drop(send(&unanswered, 2_000_000, 40_000, 20_000));
        assert!(holds(&unanswered, 2_000_000, 20_000) && !holds(&unanswered, 1, 20_000));
    }

    #[test]
    fn after_a_restart_every_record_is_in_doubt_for_as_long_as_one_may_be_valid() {
        let restarted = Unanswered::new(Timestamp(10_000));
        assert!(holds(&restarted, 1, 10_000) && !holds(&restarted, 1, 10_001));
    }
}
