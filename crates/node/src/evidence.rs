//! Evidence, kept in a node's store, that the node has lost blocks: a header which nodes of the central bank signed and
//! which is not of the chain here.
//!
//! Record: column `meta`, key `evidence/` and the height (u64, big-endian), sealed; the signed header.

use std::sync::Arc;

use cbdc_ledger::encoding::{Reader, Writer, hex};
use cbdc_ledger::{Height, SignedHeader};
use cbdc_storage::{Column, Direction, Durability, KeyRange, Store, StoreError, WriteBatch, sealed};

use crate::archive::Archive;

const PREFIX: &[u8] = b"evidence/";

/// Keeps a header as evidence. Durable when it returns.
pub fn keep(store: &Arc<dyn Store>, header: &SignedHeader) -> Result<(), StoreError> {
    let key = [PREFIX, &header.header.height.0.to_be_bytes()].concat();
    let mut bytes = Writer::with_capacity(1024);
    header.encode(&mut bytes);
    let mut batch = WriteBatch::new();
    let record = sealed::seal(&key, &bytes.finish());
    batch.put(Column::Meta, key, record);
    store.write(batch, Durability::Synced)
}

/// The findings that a store's evidence gives against the chain there. A header that the chain has by now gives none.
pub(crate) fn findings(store: &Arc<dyn Store>, archive: &Archive) -> Result<Vec<String>, StoreError> {
    let mut findings = Vec::new();
    for (key, record) in store.collect(Column::Meta, &KeyRange::with_prefix(PREFIX), Direction::Forward, usize::MAX)? {
        // A damaged record is a finding of its column.
        let Ok(bytes) = sealed::open(&key, &record) else { continue };
        let Ok(shown) = SignedHeader::decode(&mut Reader::new("evidence", bytes)) else { continue };
        let height: Height = shown.header.height;
        let own = archive.header(height).ok().flatten().map(|(own, _)| own.header.hash());
        let shown = shown.header.hash();
        match own {
            Some(own) if own == shown => {}
            Some(own) => findings.push(format!(
                "block {height}: a bank has shown another signed header, {}; this chain has {}",
                hex(&shown),
                hex(&own)
            )),
            None => findings.push(format!(
                "block {height} ({}): a bank has shown its signed header, and it is missing here",
                hex(&shown)
            )),
        }
    }
    Ok(findings)
}
