//! The bytes of one log entry, in [`Column::Log`](cbdc_storage::Column::Log).
//!
//! Key: index, u64 big-endian. Value: version (1 byte), term (u64), member (u64), kind (1 byte: 0 blank, 1 proposal, 2
//! membership), payload, sealed under the key; integers little-endian. A proposal's payload is the proposal's bytes as
//! they were given; a membership's is JSON, because it is openraft's type and rare.

use bytes::Bytes;
use cbdc_storage::sealed;
use openraft::{CommittedLeaderId, EntryPayload};

use crate::error::OrderingError;
use crate::types::{Entry, LogId, Proposal};

const VERSION: u8 = 1;
const BLANK: u8 = 0;
const PROPOSAL: u8 = 1;
const MEMBERSHIP: u8 = 2;
const PREFIX_BYTES: usize = 1 + 8 + 8 + 1;

/// The key of the entry at `index`.
pub(crate) fn key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The index that `key` encodes.
pub(crate) fn index_of(key: &[u8]) -> Result<u64, OrderingError> {
    let bytes = <[u8; 8]>::try_from(key).map_err(|_| OrderingError::DamagedRecord {
        record: "log key",
        reason: format!("it has {} bytes, and an index has 8", key.len()),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

/// The record of `entry`: the one that it came in, if there is one.
pub(crate) fn record_of(entry: &Entry) -> Bytes {
    match &entry.payload {
        EntryPayload::Normal(Proposal { record: Some(record), .. }) => record.clone(),
        _ => encode(entry).into(),
    }
}

/// The entry with its record, so that it is not encoded again. The proposal then shares the record's memory.
pub(crate) fn with_record(entry: Entry, record: &Bytes) -> Entry {
    match entry.payload {
        EntryPayload::Normal(proposal) => {
            let bytes = record.slice(PREFIX_BYTES..PREFIX_BYTES + proposal.bytes.len());
            let proposal = Proposal { bytes, record: Some(record.clone()), appended: proposal.appended };
            Entry { payload: EntryPayload::Normal(proposal), ..entry }
        }
        _ => entry,
    }
}

/// The record of `entry`, encoded.
fn encode(entry: &Entry) -> Vec<u8> {
    let membership;
    let (kind, payload): (u8, &[u8]) = match &entry.payload {
        EntryPayload::Blank => (BLANK, &[]),
        EntryPayload::Normal(proposal) => (PROPOSAL, &proposal.bytes),
        EntryPayload::Membership(members) => {
            membership =
                serde_json::to_vec(members).expect("a membership has only numbers and strings, which JSON can hold");
            (MEMBERSHIP, &membership)
        }
    };
    let mut record = Vec::with_capacity(PREFIX_BYTES + payload.len() + sealed::SEAL_BYTES);
    record.push(VERSION);
    record.extend_from_slice(&entry.log_id.leader_id.term.to_le_bytes());
    record.extend_from_slice(&entry.log_id.leader_id.node_id.to_le_bytes());
    record.push(kind);
    record.extend_from_slice(payload);
    sealed::seal_in_place(&key(entry.log_id.index), &mut record);
    record
}

/// The entry at `index` in `record`. A proposal shares the record's memory.
///
/// # Errors
/// [`OrderingError::DamagedEntry`] naming the index.
pub(crate) fn decode(index: u64, record: &Bytes) -> Result<Entry, OrderingError> {
    let damaged = |reason: String| OrderingError::DamagedEntry { index, reason };
    let opened = sealed::open(&key(index), record).map_err(|damage| damaged(damage.to_string()))?.len();
    if opened < PREFIX_BYTES {
        return Err(damaged(format!("it has {opened} bytes, and an entry has at least {PREFIX_BYTES}")));
    }
    if record[0] != VERSION {
        return Err(damaged(format!("its format is version {}, this program reads version {VERSION}", record[0])));
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&record[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let log_id = LogId::new(CommittedLeaderId::new(number(1), number(9)), index);
    let payload = record.slice(PREFIX_BYTES..opened);
    let payload = match record[PREFIX_BYTES - 1] {
        BLANK => EntryPayload::Blank,
        PROPOSAL => EntryPayload::Normal(Proposal { bytes: payload, record: Some(record.clone()), appended: None }),
        MEMBERSHIP => {
            EntryPayload::Membership(serde_json::from_slice(&payload).map_err(|error| damaged(error.to_string()))?)
        }
        other => return Err(damaged(format!("its kind is {other}, and kinds go from 0 to 2"))),
    };
    Ok(Entry { log_id, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn entry(payload: EntryPayload<crate::types::Types>) -> Entry {
        Entry { log_id: LogId::new(CommittedLeaderId::new(3, 7), 42), payload }
    }

    #[test]
    fn every_kind_of_entry_comes_back_and_any_flipped_bit_names_the_index() {
        let members = crate::types::Membership::new(vec![BTreeSet::from([1, 2])], None);
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Proposal::new(Bytes::new())),
            EntryPayload::Normal(Proposal::new(Bytes::from_static(b"proposal"))),
            EntryPayload::Membership(members),
        ] {
            let entry = entry(payload);
            let record = encode(&entry);
            assert_eq!(decode(42, &record.clone().into()).unwrap(), entry);
            for bit in 0..record.len() * 8 {
                let mut flipped = record.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(matches!(decode(42, &flipped.into()), Err(OrderingError::DamagedEntry { index: 42, .. })));
            }
            assert!(decode(43, &record.into()).is_err(), "an entry under another index is found");
        }
    }

    #[test]
    fn the_layout_is_pinned() {
        let record = encode(&entry(EntryPayload::Normal(Proposal::new(Bytes::from_static(b"AB")))));
        assert_eq!(record[..20], [1, 3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, b'A', b'B']);
        assert_eq!(record.len(), 20 + sealed::SEAL_BYTES);
    }
}
