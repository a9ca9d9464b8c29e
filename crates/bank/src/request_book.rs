//! The request book: what the back office asked for under its ids, transfers of reserves and requests to issue and
//! redeem.
//!
//! A request is signed once, and kept with its id before it is first sent. Under the same id the *same* record is sent
//! again, which settles at most once; a new one is signed only where the chain shows that the first never settles. The
//! chain brings the outcome, which stays with the id: ids are kept as long as the bank's books.
//!
//! # Layout of [`Column::Deposits`], each record sealed under its key, integers little-endian
//! | key | value |
//! |---|---|
//! | 3, request id (16) | kind (1), bank paid (2), amount (8), sequence (8), valid until (8), key version (4), |
//! | | state (1), then, once its outcome is known, height (8), index (4), outcome (24); then the signed record |

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use cbdc_ledger::command::{Head, IssuanceKind};
use cbdc_ledger::encoding::{DecodeError, Reader, Writer};
use cbdc_ledger::{Amount, BankId, Command, Height, Outcome, Timestamp};
use cbdc_storage::{Column, Direction, KeyRange, Store, WriteBatch, sealed};

use crate::deposits::{DepositError, OrderedOutcome, RequestId, damaged, open, request_key};

/// The first byte of a request's key, besides those of the deposit book.
const OWN_REQUEST: u8 = 3;

/// The back office's intent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intent {
    /// A transfer of this bank's reserves to another one.
    TransferReserves { to: BankId, amount: Amount },
    /// An issue of CBDC against reserves, or a redemption.
    Issuance { kind: IssuanceKind, amount: Amount },
}

/// The progress of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Its outcome is not known.
    Open,
    /// The chain has its outcome.
    Ordered(OrderedOutcome),
    /// The operator has rejected it: it never settles.
    Rejected,
}

/// A stored request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnRequest {
    pub intent: Intent,
    pub sequence: u64,
    pub valid_until: Timestamp,
    pub key_version: u32,
    pub progress: Progress,
    /// The signed record: a command, or a request that an operator's command carries.
    pub record: Bytes,
}

impl OwnRequest {
    /// A request that was just signed.
    pub fn new(intent: Intent, head: &Head, record: Bytes) -> OwnRequest {
        let Head { sequence, valid_until, key_version, .. } = *head;
        OwnRequest { intent, sequence, valid_until, key_version, progress: Progress::Open, record }
    }

    /// Whether a command of a block is this request, or carries it.
    fn is_in(&self, command: &[u8]) -> bool {
        match self.intent {
            Intent::TransferReserves { .. } => self.record == command,
            Intent::Issuance { .. } => match Command::from_bytes(command) {
                Ok(Command::Issuance(order)) => order.record.request.to_bytes() == self.record[..],
                _ => false,
            },
        }
    }
}

/// The ids of requests that the chain has not decided, by the bank's sequence number: those whose outcome is awaited,
/// and rejected ones. (A central bank that lost its rejections could still order one of these: whatever the operator
/// said, the chain is right.)
#[derive(Default)]
pub struct OpenRequests(BTreeMap<u64, Undecided>);

struct Undecided {
    id: RequestId,
    is_rejected: bool,
}

impl OpenRequests {
    /// Passes each request that the chain has not decided to `each`.
    pub fn load(store: &Arc<dyn Store>, mut each: impl FnMut(&OwnRequest)) -> Result<OpenRequests, DepositError> {
        let (mut open, mut failed) = (OpenRequests::default(), None);
        store.scan(
            Column::Deposits,
            &KeyRange::with_prefix([OWN_REQUEST]),
            Direction::Forward,
            &mut |key, record| {
                let id: Option<RequestId> = key.get(1..).and_then(|id| id.try_into().ok());
                let read = id.ok_or_else(|| damaged(key, "its key is no request id"));
                match read.and_then(|id| Ok((id, decode(key, record)?))) {
                    Ok((id, request)) => {
                        if matches!(request.progress, Progress::Open | Progress::Rejected) {
                            each(&request);
                            let is_rejected = request.progress == Progress::Rejected;
                            // Of two requests with the same number, only the later one can be open.
                            let known = open.0.entry(request.sequence).or_insert(Undecided { id, is_rejected });
                            if known.is_rejected {
                                *known = Undecided { id, is_rejected };
                            }
                        }
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                }
            },
        )?;
        failed.map_or(Ok(open), Err)
    }

    /// Notes a request that was just signed. Another one that had its sequence number is past its end and never
    /// settles: unless it was rejected, its id may begin anew.
    pub fn begin(&mut self, batch: &mut WriteBatch, request: &OwnRequest, id: RequestId) {
        if let Some(earlier) = self.0.insert(request.sequence, Undecided { id, is_rejected: false })
            && earlier.id != id
            && !earlier.is_rejected
        {
            batch.delete(Column::Deposits, request_key(OWN_REQUEST, &earlier.id));
        }
    }

    /// Notes that a request with a sequence number was rejected.
    pub fn rejected(&mut self, sequence: u64, id: &RequestId) {
        if let Some(undecided) = self.0.get_mut(&sequence).filter(|undecided| undecided.id == *id) {
            undecided.is_rejected = true;
        }
    }

    /// Books that the chain used one of the bank's sequence numbers: for an undecided request, which now has its
    /// outcome, or for another record, so that the request never settles and, unless it was rejected, its id may begin
    /// anew.
    pub fn number_used(
        &mut self,
        store: &dyn Store,
        batch: &mut WriteBatch,
        (sequence, command): (u64, &[u8]),
        ordered: OrderedOutcome,
    ) -> Result<(), DepositError> {
        let Some(Undecided { id, .. }) = self.0.remove(&sequence) else { return Ok(()) };
        match own_request_of(store, &id)? {
            Some(request) if request.sequence != sequence => {}
            Some(request) if request.is_in(command) => {
                put_own_request(batch, &id, &OwnRequest { progress: Progress::Ordered(ordered), ..request });
            }
            Some(request) if request.progress == Progress::Rejected => {}
            _ => _ = batch.delete(Column::Deposits, request_key(OWN_REQUEST, &id)),
        }
        Ok(())
    }
}

/// The request that was begun under an id.
pub fn own_request_of(store: &dyn Store, id: &RequestId) -> Result<Option<OwnRequest>, DepositError> {
    let key = request_key(OWN_REQUEST, id);
    store.get(Column::Deposits, &key)?.map(|record| decode(&key, &record)).transpose()
}

pub fn put_own_request(batch: &mut WriteBatch, id: &RequestId, request: &OwnRequest) {
    let key = request_key(OWN_REQUEST, id);
    let mut value = Writer::with_capacity(96 + request.record.len());
    let (kind, to, amount) = match request.intent {
        Intent::TransferReserves { to, amount } => (0, to, amount),
        Intent::Issuance { kind: IssuanceKind::Issue, amount } => (1, BankId(0), amount),
        Intent::Issuance { kind: IssuanceKind::Redeem, amount } => (2, BankId(0), amount),
    };
    value.u8(kind).u16(to.0).u64(amount.minor());
    value.u64(request.sequence).u64(request.valid_until.0).u32(request.key_version);
    match &request.progress {
        Progress::Open => _ = value.u8(0),
        Progress::Ordered(ordered) => {
            value.u8(1).u64(ordered.height.0).u32(ordered.index);
            ordered.outcome.encode(&mut value);
        }
        Progress::Rejected => _ = value.u8(2),
    }
    value.raw(&request.record);
    batch.put(Column::Deposits, key, sealed::seal(&key, &value.finish()));
}

fn decode(key: &[u8], record: &[u8]) -> Result<OwnRequest, DepositError> {
    let mut input = open(key, record)?;
    read(&mut input).map_err(|error| damaged(key, error))
}

fn read(input: &mut Reader<'_>) -> Result<OwnRequest, DecodeError> {
    let (kind, to, amount) = (input.u8()?, BankId(input.u16()?), Amount::from_minor(input.u64()?));
    let intent = match kind {
        0 => Intent::TransferReserves { to, amount },
        1 => Intent::Issuance { kind: IssuanceKind::Issue, amount },
        2 => Intent::Issuance { kind: IssuanceKind::Redeem, amount },
        other => return Err(input.wrong("kind 0, 1 or 2", u64::from(other))),
    };
    let (sequence, valid_until, key_version) = (input.u64()?, Timestamp(input.u64()?), input.u32()?);
    let progress = match input.u8()? {
        0 => Progress::Open,
        1 => {
            let (height, index) = (Height(input.u64()?), input.u32()?);
            Progress::Ordered(OrderedOutcome { height, index, outcome: Outcome::decode(input)? })
        }
        2 => Progress::Rejected,
        other => return Err(input.wrong("state 0, 1 or 2", u64::from(other))),
    };
    let record = Bytes::copy_from_slice(input.raw(input.left())?);
    Ok(OwnRequest { intent, sequence, valid_until, key_version, progress, record })
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::Reason;
    use cbdc_storage::{Durability, MemoryStore};

    use super::*;

    fn request(intent: Intent) -> OwnRequest {
        let head = Head { flags: 0, key_version: 3, sequence: 11, valid_until: Timestamp(70) };
        OwnRequest::new(intent, &head, Bytes::from_static(b"a record"))
    }

    fn intents() -> [Intent; 3] {
        let amount = Amount::from_minor(9);
        [
            Intent::TransferReserves { to: BankId(2), amount },
            Intent::Issuance { kind: IssuanceKind::Issue, amount },
            Intent::Issuance { kind: IssuanceKind::Redeem, amount },
        ]
    }

    #[test]
    fn requests_survive_being_stored_and_what_the_chain_has_not_decided_is_found_again() {
        let outcome = Outcome::refused(Reason::IssuanceQuota, 1, 2);
        let ordered = OrderedOutcome { height: Height(3), index: 2, outcome };
        for progress in [Progress::Open, Progress::Ordered(ordered), Progress::Rejected] {
            let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
            let requests = intents().map(|intent| OwnRequest { progress, ..request(intent) });
            let mut batch = WriteBatch::new();
            (1_u8..).zip(&requests).for_each(|(id, request)| put_own_request(&mut batch, &[id; 16], request));
            store.write(batch, Durability::Buffered).unwrap();
            for (id, request) in (1_u8..).zip(&requests) {
                assert_eq!(own_request_of(&*store, &[id; 16]).unwrap().as_ref(), Some(request));
            }
            assert_eq!(own_request_of(&*store, &[9; 16]).unwrap(), None);
            let mut open = 0;
            OpenRequests::load(&store, |_| open += 1).unwrap();
            assert_eq!(open, if matches!(progress, Progress::Ordered(_)) { 0 } else { 3 });
        }
    }

    #[test]
    fn a_number_that_another_record_used_lets_the_id_begin_anew_and_its_own_keeps_the_outcome() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let (id, request) = ([5; 16], request(intents()[0]));
        let ordered = OrderedOutcome { height: Height(3), index: 2, outcome: Outcome::settled() };
        for (command, expected) in [(b"a record".as_slice(), Some(Progress::Ordered(ordered))), (b"another", None)] {
            let (mut open, mut batch) = (OpenRequests::default(), WriteBatch::new());
            put_own_request(&mut batch, &id, &request);
            open.begin(&mut batch, &request, id);
            store.write(batch, Durability::Buffered).unwrap();
            let mut batch = WriteBatch::new();
            open.number_used(&*store, &mut batch, (12, command), ordered).unwrap();
            assert!(batch.is_empty(), "another number's");
            open.number_used(&*store, &mut batch, (11, command), ordered).unwrap();
            store.write(batch, Durability::Buffered).unwrap();
            assert_eq!(own_request_of(&*store, &id).unwrap().map(|found| found.progress), expected);
        }
    }

    #[test]
    fn a_rejected_request_stays_rejected_over_a_restart_unless_the_chain_has_it_ordered() {
        let (id, other) = ([5; 16], [6; 16]);
        let rejected = OwnRequest { progress: Progress::Rejected, ..request(intents()[0]) };
        let ordered = OrderedOutcome { height: Height(3), index: 2, outcome: Outcome::settled() };
        let found = |decide: &dyn Fn(&mut OpenRequests, &dyn Store, &mut WriteBatch)| {
            let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
            let mut batch = WriteBatch::new();
            put_own_request(&mut batch, &id, &rejected);
            store.write(batch, Durability::Buffered).unwrap();
            let (mut open, mut batch) = (OpenRequests::load(&store, |_| ()).unwrap(), WriteBatch::new());
            decide(&mut open, &*store, &mut batch);
            store.write(batch, Durability::Buffered).unwrap();
            own_request_of(&*store, &id).unwrap().expect("it is kept").progress
        };
        let used = |command: &'static [u8]| {
            move |open: &mut OpenRequests, store: &dyn Store, batch: &mut WriteBatch| {
                open.number_used(store, batch, (11, command), ordered).unwrap();
            }
        };
        assert_eq!(found(&used(b"a record")), Progress::Ordered(ordered));
        assert_eq!(found(&used(b"another")), Progress::Rejected);
        assert_eq!(found(&|open, _, batch| open.begin(batch, &request(intents()[1]), other)), Progress::Rejected);
    }

    #[test]
    fn an_id_whose_number_was_signed_with_again_may_begin_anew() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let (first, second, request) = ([5; 16], [6; 16], request(intents()[0]));
        let mut open = OpenRequests::default();
        for id in [first, second] {
            let mut batch = WriteBatch::new();
            put_own_request(&mut batch, &id, &request);
            open.begin(&mut batch, &request, id);
            store.write(batch, Durability::Buffered).unwrap();
        }
        assert_eq!(own_request_of(&*store, &first).unwrap(), None);
        assert_eq!(own_request_of(&*store, &second).unwrap(), Some(request));
    }
}
