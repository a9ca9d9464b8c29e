//! openraft's log on the node's store.
//!
//! # Layout
//! [`Column::Log`] holds the entries ([`crate::log_record`]). [`Column::Raft`] holds, each sealed under its key, as
//! JSON:
//!
//! | key | value |
//! |---|---|
//! | `vote` | the vote; synced |
//! | `committed` | the last committed log id that was noted |
//! | `purged` | the purge marker |
//! | `snapshot` | log id and membership of the newest snapshot, see `state_machine` |
//! | `membership/` index (u64 big-endian) | each membership entry again, to be found without a search |
//!
//! # Rules
//! 1. All writes go through one dedicated thread, one after another: openraft requires it, and no async thread waits
//!    for a disk.
//! 2. **Each proposal is one synced write**, even if openraft appends several entries at once (for a follower that
//!    catches up). A group commit of several would be faster there; but the design lets an operator check that "syncs
//!    are never fewer than proposals", and a leader appends one at a time anyway.
//! 3. `committed` is a hint written along with the next entry at no extra cost. If it is lost, openraft finds it again.
//! 4. Purging moves only the marker: openraft sees nothing at or before it, the archive keeps it
//!    ([`LogStore::read_archive`]). The exception are entries that a snapshot overtook before they were known to be
//!    committed: they are removed, because the archive must hold nothing that was not agreed on.
//! 5. The newest entries are kept in memory ([`TAIL_BYTES_MAX`]), so that applying and replicating read no disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::ops::{Bound, ControlFlow, RangeBounds};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cbdc_environment::thread::{self, Thread};
use cbdc_storage::{Column, Direction, Durability, KeyRange, Store, StoreError, WriteBatch, sealed};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    AnyError, BasicNode, CommittedLeaderId, EntryPayload, LogState, OptionalSend, RaftLogId, RaftLogReader,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Failure, OrderingError};
use crate::log_record;
use crate::types::{
    Entry, LogId, MemberId, Membership, Position, Proposal, RaftIoError, RaftStorageError, StoredMembership, Types,
    Vote, position_of,
};

/// Bytes of proposals kept in memory behind the end of the log.
const TAIL_BYTES_MAX: usize = 32 << 20;
/// Bytes of proposals read from the archive at once.
const READ_BYTES_MAX: usize = 8 << 20;

const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
const SNAPSHOT: &str = "snapshot";
const MEMBERSHIP_PREFIX: &[u8] = b"membership/";

type Work = Box<dyn FnOnce(&dyn Store) + Send>;

/// The log. Clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    store: Arc<dyn Store>,
    failure: Failure,
    use_among: UseAmong,
    /// `None` only while the last clone is being dropped.
    writer: Option<mpsc::UnboundedSender<Work>>,
    writer_thread: Option<Thread>,
    known: Mutex<Known>,
}

/// Whether one member uses the log, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UseAmong {
    One,
    /// Entries stay with their records, to be sent as they are. A member that led when it stopped does not lead again
    /// without an election: an entry of that term may be with others and not be here.
    Several,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The thread ends when its queue is closed and empty; then the store may be opened again.
        drop(self.writer.take());
        if let Some(thread) = self.writer_thread.take() {
            thread.join();
        }
    }
}

/// Whether the member has not voted, and its log has at most the founding entry.
pub(crate) fn is_new(store: &dyn Store) -> Result<bool, OrderingError> {
    let vote: Option<Vote> = read_record(store, VOTE)?;
    let last = last_entry(store)?.map(|entry| entry.log_id);
    Ok(vote.is_none() && last.is_none_or(|last| last == LogId::default()))
}

/// Removes the founding entry of a member that [is new](is_new).
pub(crate) fn found_nothing(store: &dyn Store) -> Result<(), OrderingError> {
    if is_new(store)? && last_entry(store)?.is_some() {
        let mut batch = WriteBatch::new();
        remove_from(&mut batch, 0);
        store.write(batch, Durability::Synced)?;
    }
    Ok(())
}

/// The state known without reading the store.
#[derive(Default)]
struct Known {
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The last committed log id that openraft reported, and whether the store has it.
    committed: Option<LogId>,
    committed_is_stored: bool,
    tail: VecDeque<Entry>,
    tail_bytes: usize,
}

impl Known {
    fn remember(&mut self, entry: &Entry) {
        if self.tail.back().is_some_and(|last| last.log_id.index + 1 != entry.log_id.index) {
            self.forget_tail();
        }
        self.last = Some(entry.log_id);
        self.tail_bytes += payload_bytes(entry);
        self.tail.push_back(entry.clone());
        while self.tail_bytes > TAIL_BYTES_MAX && self.tail.len() > 1 {
            self.tail_bytes -= self.tail.pop_front().map_or(0, |entry| payload_bytes(&entry));
        }
    }

    fn forget_tail(&mut self) {
        self.tail.clear();
        self.tail_bytes = 0;
    }

    /// The entries of `first..=last` that the tail has, if it has the first.
    fn in_tail(&self, first: u64, last: u64, bytes_max: usize) -> Option<Vec<Entry>> {
        let start = self.tail.front()?.log_id.index;
        let skip = usize::try_from(first.checked_sub(start)?).ok()?;
        let mut bytes = 0;
        let entries = self.tail.iter().skip(skip).take_while(|entry| {
            let fits = bytes == 0 || bytes + payload_bytes(entry) <= bytes_max;
            bytes += payload_bytes(entry).max(1);
            entry.log_id.index <= last && fits
        });
        let entries: Vec<Entry> = entries.cloned().collect();
        (!entries.is_empty()).then_some(entries)
    }
}

fn payload_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.bytes.len(),
        _ => 0,
    }
}

impl LogStore {
    /// The log in `store`. Reads its known state and starts the writer thread.
    pub(crate) fn open(store: Arc<dyn Store>, failure: Failure, use_among: UseAmong) -> Result<Self, OrderingError> {
        let purged: Option<LogId> = read_record(store.as_ref(), PURGED)?;
        let committed: Option<LogId> = read_record(store.as_ref(), COMMITTED)?;
        let last = last_entry(store.as_ref())?.map(|entry| entry.log_id);
        let known = Known { purged, last: last.max(purged), committed, committed_is_stored: true, ..Known::default() };

        let (writer, mut queue) = mpsc::unbounded_channel::<Work>();
        let writers_store = store.clone();
        let write = async move || {
            while let Some(work) = queue.recv().await {
                thread::work_begins().await;
                work(writers_store.as_ref());
            }
        };
        let writer_thread = thread::thread("log-writer", write).map_err(|error| {
            OrderingError::Stopped(format!("the log's writer thread could not be started: {error}"))
        })?;
        let shared = Shared {
            store,
            failure,
            use_among,
            writer: Some(writer),
            writer_thread: Some(writer_thread),
            known: Mutex::new(known),
        };
        Ok(LogStore { shared: Arc::new(shared) })
    }

    /// Writes the first entry, which names the founding members, if the log is empty and this member never voted.
    ///
    /// openraft can do it as well, but then stands for election at once: each founder that starts would depose the
    /// leader whom those before it have elected.
    pub(crate) async fn found(&self, membership: Membership) -> Result<(), OrderingError> {
        let vote: Option<Vote> = read_record(self.shared.store.as_ref(), VOTE)?;
        if self.last().is_some() || vote.is_some() {
            return Ok(());
        }
        let first = Entry { log_id: LogId::default(), payload: EntryPayload::Membership(membership.clone()) };
        let written = first.clone();
        self.on_writer(move |store| {
            let mut batch = WriteBatch::new();
            batch.put(Column::Log, log_record::key(written.log_id.index), log_record::record_of(&written));
            put_membership(&mut batch, &written.log_id, &membership);
            store.write(batch, Durability::Synced)
        })
        .await?;
        self.known().remember(&first);
        Ok(())
    }

    /// Appends a membership of one voter, this member, in a term above all that it knows, without agreement.
    pub(crate) async fn append_only_voter(&self, member: MemberId, address: String) -> Result<LogId, OrderingError> {
        let vote: Option<Vote> = read_record(self.shared.store.as_ref(), VOTE)?;
        let last = self.last();
        let term = vote.map_or(0, |vote| vote.leader_id.term).max(last.map_or(0, |last| last.leader_id.term)) + 1;
        let index = last.map_or(0, |last| last.index + 1);
        let log_id = LogId::new(CommittedLeaderId::new(term, member), index);
        let nodes = BTreeMap::from([(member, BasicNode::new(address))]);
        let membership = Membership::new(vec![BTreeSet::from([member])], nodes);
        let entry = Entry { log_id, payload: EntryPayload::Membership(membership.clone()) };
        let written = entry.clone();
        self.on_writer(move |store| {
            let mut batch = WriteBatch::new();
            batch.put(Column::Log, log_record::key(index), log_record::record_of(&written));
            put_membership(&mut batch, &written.log_id, &membership);
            put_record(&mut batch, VOTE, &Vote::new(term, member));
            store.write(batch, Durability::Synced)
        })
        .await?;
        self.known().remember(&entry);
        Ok(log_id)
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.known().last
    }

    /// The purge marker.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.known().purged
    }

    /// The last entry recorded as committed.
    pub(crate) fn committed(&self) -> Option<LogId> {
        self.known().committed
    }

    /// The number of holders of this log: the caller of `shutdown` waits until it is the only one.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.shared)
    }

    /// The entry at `index`, purged or not.
    pub(crate) fn entry(&self, index: u64) -> Result<Option<Entry>, OrderingError> {
        if let Some(mut entries) = self.known().in_tail(index, index, usize::MAX) {
            return Ok(entries.pop());
        }
        let record =
            self.shared.store.get(Column::Log, &log_record::key(index)).map_err(|error| name_index(index, error))?;
        record.map(|record| log_record::decode(index, &record)).transpose()
    }

    /// Some entries of `first..=last`, purged or not, beginning with `first`: at least one, at most [`READ_BYTES_MAX`].
    pub(crate) async fn read_archive(&self, first: u64, last: u64) -> Result<Vec<Entry>, OrderingError> {
        let entries = self.read(first, last, READ_BYTES_MAX).await?;
        match entries.first() {
            Some(entry) if entry.log_id.index == first => {}
            _ => return Err(OrderingError::MissingEntry { expected: first }),
        }
        for (entry, expected) in entries.iter().zip(first..) {
            if entry.log_id.index != expected {
                return Err(OrderingError::MissingEntry { expected });
            }
        }
        Ok(entries)
    }

    /// The last proposal in `first..=last`.
    pub(crate) fn last_proposal(&self, first: u64, last: u64) -> Result<Option<Position>, OrderingError> {
        for index in (first..=last).rev() {
            match self.entry(index)? {
                Some(Entry { log_id, payload: EntryPayload::Normal(_) }) => return Ok(Some(position_of(&log_id))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The membership in force after the entry at `index`.
    pub(crate) fn membership_at(&self, index: u64) -> Result<StoredMembership, OrderingError> {
        let range = KeyRange::between(MEMBERSHIP_PREFIX, membership_key(index.saturating_add(1)));
        let records = self.shared.store.collect(Column::Raft, &range, Direction::Reverse, 1)?;
        match records.first() {
            Some((key, record)) => {
                let (log_id, membership): (LogId, Membership) = open_record("membership", key, record)?;
                Ok(StoredMembership::new(Some(log_id), membership))
            }
            None => Ok(StoredMembership::default()),
        }
    }

    /// The record of the newest snapshot.
    pub(crate) fn snapshot_note(&self) -> Result<Option<(LogId, StoredMembership)>, OrderingError> {
        read_record(self.shared.store.as_ref(), SNAPSHOT)
    }

    /// Records log id and membership of the newest snapshot.
    pub(crate) async fn note_snapshot(&self, log_id: LogId, membership: StoredMembership) -> Result<(), OrderingError> {
        self.on_writer(move |store| {
            let mut batch = WriteBatch::new();
            put_record(&mut batch, SNAPSHOT, &(log_id, &membership));
            // An installed snapshot's membership is nowhere else, so it is stored with the other memberships.
            if let Some(membership_id) = membership.log_id() {
                put_membership(&mut batch, membership_id, membership.membership());
            }
            store.write(batch, Durability::Synced)
        })
        .await
    }

    /// Writes the hint of the committed log id, if the store does not have it. For an orderly stop.
    pub(crate) async fn store_committed(&self) -> Result<(), OrderingError> {
        let Some(committed) = self.take_committed() else { return Ok(()) };
        self.on_writer(move |store| {
            let mut batch = WriteBatch::new();
            put_record(&mut batch, COMMITTED, &committed);
            store.write(batch, Durability::Synced)
        })
        .await
    }

    fn take_committed(&self) -> Option<LogId> {
        let mut known = self.known();
        if known.committed_is_stored {
            return None;
        }
        known.committed_is_stored = true;
        known.committed
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change of `Known` is complete before anything can panic.
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the writer thread and waits for it.
    async fn on_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, OrderingError> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |store| {
            let _ = answer.send(work(store));
        });
        let sent = self.shared.writer.as_ref().is_some_and(|writer| writer.send(work).is_ok());
        let outcome = if sent { answered.await.ok() } else { None };
        let outcome = outcome.unwrap_or_else(|| {
            Err(StoreError::Io {
                path: PathBuf::new(),
                doing: "writing the log".into(),
                reason: "the log's writer thread ended".into(),
            })
        });
        outcome.map_err(|error| self.failed(error.into()))
    }

    /// Records the first failure, which is why this member will stop.
    fn failed(&self, error: OrderingError) -> OrderingError {
        let _ = self.shared.failure.set(error.clone());
        error
    }

    /// The stored entries of `first..=last`, at most `bytes_max` of proposals and at least one.
    async fn read(&self, first: u64, last: u64, bytes_max: usize) -> Result<Vec<Entry>, OrderingError> {
        if first > last {
            return Ok(Vec::new());
        }
        if let Some(entries) = self.known().in_tail(first, last, bytes_max) {
            return Ok(entries);
        }
        let log = self.clone();
        let read = thread::blocking(move || read_entries(log.shared.store.as_ref(), first, last, bytes_max)).await;
        let read =
            read.unwrap_or_else(|error| Err(OrderingError::Stopped(format!("reading the log broke off: {error}"))));
        read.map_err(|error| self.failed(error))
    }
}

fn read_entries(store: &dyn Store, first: u64, last: u64, bytes_max: usize) -> Result<Vec<Entry>, OrderingError> {
    let range = match last.checked_add(1) {
        Some(end) => KeyRange::between(log_record::key(first), log_record::key(end)),
        None => KeyRange::starting_at(log_record::key(first)),
    };
    let (mut entries, mut bytes, mut damage) = (Vec::new(), 0, None);
    let scanned = store.scan(Column::Log, &range, Direction::Forward, &mut |key, record| {
        let decoded = log_record::index_of(key).and_then(|index| log_record::decode(index, &record.to_vec().into()));
        match decoded {
            Ok(entry) => {
                let more = payload_bytes(&entry);
                if bytes > 0 && bytes + more > bytes_max {
                    return ControlFlow::Break(());
                }
                bytes += more.max(1);
                entries.push(entry);
                ControlFlow::Continue(())
            }
            Err(error) => {
                damage = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    // A store that itself finds the damage names only the preceding entry: the damaged one is the next.
    scanned.map_err(|error| name_index(first + entries.len() as u64, error))?;
    damage.map_or(Ok(entries), Err)
}

/// The last entry of the archive.
fn last_entry(store: &dyn Store) -> Result<Option<Entry>, OrderingError> {
    let mut last = None;
    store.scan(Column::Log, &KeyRange::all(), Direction::Reverse, &mut |key, record| {
        last = Some(log_record::index_of(key).and_then(|index| log_record::decode(index, &record.to_vec().into())));
        ControlFlow::Break(())
    })?;
    last.transpose()
}

fn name_index(index: u64, error: StoreError) -> OrderingError {
    match error {
        StoreError::Damaged { column: Column::Log, reason, .. } => OrderingError::DamagedEntry { index, reason },
        other => other.into(),
    }
}

fn membership_key(index: u64) -> Vec<u8> {
    [MEMBERSHIP_PREFIX, &index.to_be_bytes()].concat()
}

fn put_membership(batch: &mut WriteBatch, log_id: &LogId, membership: &Membership) {
    let key = membership_key(log_id.index);
    let record = sealed::seal(&key, &to_json(&(log_id, membership)));
    batch.put(Column::Raft, key, record);
}

fn put_record(batch: &mut WriteBatch, name: &str, value: &impl Serialize) {
    batch.put(Column::Raft, name, sealed::seal(name.as_bytes(), &to_json(value)));
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value)
        .expect("votes, log ids and memberships have only numbers and strings, which JSON can hold")
}

fn read_record<T: DeserializeOwned>(store: &dyn Store, name: &'static str) -> Result<Option<T>, OrderingError> {
    let record = store.get(Column::Raft, name.as_bytes())?;
    record.map(|record| open_record(name, name.as_bytes(), &record)).transpose()
}

fn open_record<T: DeserializeOwned>(name: &'static str, key: &[u8], record: &[u8]) -> Result<T, OrderingError> {
    let damaged = |reason: String| OrderingError::DamagedRecord { record: name, reason };
    let bytes = sealed::open(key, record).map_err(|damage| damaged(damage.to_string()))?;
    serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))
}

/// Adds the removal of every entry from `index` on, with its membership.
fn remove_from(batch: &mut WriteBatch, index: u64) {
    batch.delete_range(Column::Log, log_record::key(index), log_record::key(u64::MAX));
    batch.delete_range(Column::Raft, membership_key(index), membership_key(u64::MAX));
}

fn read_failed(error: OrderingError) -> RaftStorageError {
    RaftIoError::read_logs(AnyError::new(&error)).into()
}

fn write_failed(error: OrderingError) -> RaftStorageError {
    RaftIoError::write_logs(AnyError::new(&error)).into()
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, RaftStorageError> {
        let mut first = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let last = match range.end_bound() {
            Bound::Included(last) => *last,
            Bound::Excluded(0) => return Ok(Vec::new()),
            Bound::Excluded(end) => end - 1,
            Bound::Unbounded => u64::MAX,
        };
        if let Some(purged) = self.known().purged {
            first = first.max(purged.index + 1);
        }
        self.read(first, last, usize::MAX).await.map_err(read_failed)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, RaftStorageError> {
        self.read(start, end.saturating_sub(1), READ_BYTES_MAX).await.map_err(read_failed)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, RaftStorageError> {
        let known = self.known();
        Ok(LogState { last_purged_log_id: known.purged, last_log_id: known.last })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), RaftStorageError> {
        let vote = *vote;
        let saved = self.on_writer(move |store| {
            let mut batch = WriteBatch::new();
            put_record(&mut batch, VOTE, &vote);
            store.write(batch, Durability::Synced)
        });
        saved.await.map_err(|error| RaftIoError::write_vote(AnyError::new(&error)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, RaftStorageError> {
        let vote: Result<Option<Vote>, _> = read_record(self.shared.store.as_ref(), VOTE);
        let mut vote = vote.map_err(|error| RaftIoError::read_vote(AnyError::new(&error)))?;
        if let (Some(vote), UseAmong::Several) = (&mut vote, self.shared.use_among) {
            vote.committed = false;
        }
        Ok(vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), RaftStorageError> {
        let mut known = self.known();
        known.committed = committed;
        known.committed_is_stored = false;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, RaftStorageError> {
        Ok(self.committed())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), RaftStorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        for entry in &entries {
            if let EntryPayload::Normal(Proposal { appended: Some(appended), .. }) = &entry.payload {
                appended.store(true, std::sync::atomic::Ordering::Release);
            }
        }
        let written = entries.clone();
        let keeps_records = self.shared.use_among == UseAmong::Several;
        let mut committed = self.take_committed();
        let begun = std::time::Instant::now();
        let appended = self
            .on_writer(move |store| {
                let mut records = Vec::new();
                for entry in &written {
                    let mut batch = WriteBatch::new();
                    let record = log_record::record_of(entry);
                    if keeps_records {
                        records.push(record.clone());
                    }
                    batch.put(Column::Log, log_record::key(entry.log_id.index), record);
                    if let EntryPayload::Membership(membership) = &entry.payload {
                        put_membership(&mut batch, &entry.log_id, membership);
                    }
                    if let Some(committed) = committed.take() {
                        put_record(&mut batch, COMMITTED, &committed);
                    }
                    store.write(batch, Durability::Synced)?;
                }
                Ok(records)
            })
            .await;
        match appended {
            Ok(records) => {
                if keeps_records {
                    let pairs = entries.into_iter().zip(&records);
                    entries = pairs.map(|(entry, record)| log_record::with_record(entry, record)).collect();
                }
            }
            Err(error) => {
                callback.log_io_completed(Err(std::io::Error::other(error.to_string())));
                return Err(write_failed(error));
            }
        }
        metrics::histogram!("cbdc_ordering_append_seconds").record(begun.elapsed().as_secs_f64());
        metrics::counter!("cbdc_ordering_entries_appended_total").increment(entries.len() as u64);
        {
            let mut known = self.known();
            entries.iter().for_each(|entry| known.remember(entry));
        }
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), RaftStorageError> {
        tracing::info!(from = log_id.index, "log entries that were never committed are replaced by the leader's");
        let removed = self.on_writer(move |store| {
            let mut batch = WriteBatch::new();
            remove_from(&mut batch, log_id.index);
            store.write(batch, Durability::Synced)
        });
        removed.await.map_err(write_failed)?;
        let last = last_entry(self.shared.store.as_ref()).map_err(read_failed)?.map(|entry| entry.log_id);
        let mut known = self.known();
        known.last = last.max(known.purged);
        known.forget_tail();
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), RaftStorageError> {
        let committed = self.committed();
        let is_here = self.entry(log_id.index).map_err(read_failed)?.is_some_and(|entry| *entry.get_log_id() == log_id);
        // Rule 4: an entry that is missing here was overtaken by a snapshot, and so was everything not known to be
        // committed.
        let overtaken_from = (!is_here).then(|| committed.map_or(0, |committed| committed.index + 1));
        // The snapshot's membership is nowhere else.
        let note = self.snapshot_note().map_err(read_failed)?.filter(|(noted, _)| *noted == log_id);
        let purged = self.on_writer(move |store| {
            let mut batch = WriteBatch::new();
            if let Some(index) = overtaken_from {
                batch.delete_range(
                    Column::Log,
                    log_record::key(index),
                    log_record::key(log_id.index.saturating_add(1)),
                );
                let memberships = (membership_key(index), membership_key(log_id.index.saturating_add(1)));
                batch.delete_range(Column::Raft, memberships.0, memberships.1);
                if let Some((_, membership)) = &note
                    && let Some(membership_id) = membership.log_id()
                {
                    put_membership(&mut batch, membership_id, membership.membership());
                }
            }
            put_record(&mut batch, PURGED, &log_id);
            store.write(batch, Durability::Synced)
        });
        purged.await.map_err(write_failed)?;
        let mut known = self.known();
        known.purged = known.purged.max(Some(log_id));
        known.last = known.last.max(Some(log_id));
        if overtaken_from.is_some() {
            known.forget_tail();
        }
        Ok(())
    }
}
