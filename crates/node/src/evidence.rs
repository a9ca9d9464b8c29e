//! Evidence, kept in a node's store, that the node has lost blocks: a header which nodes of the central bank signed and
//! which is not of the chain here.
//!
//! Record: column `meta`, key `evidence/` and the height (u64, big-endian), sealed; the signed header.

use std::sync::Arc;

use cbdc_ledger::SignedHeader;
use cbdc_ledger::encoding::{Reader, Writer, hex};
use cbdc_ledger::merkle::Hash;
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

/// A header that a bank has shown and that is not of the chain here.
pub struct Unresolved {
    pub shown: SignedHeader,
    /// The hash of the block here at its height; `None` above the chain.
    pub own: Option<Hash>,
}

/// The evidence in a store that still holds against the chain there: a header that the chain has by now is none. A
/// damaged record is skipped; an audit names it.
pub fn unresolved(store: &Arc<dyn Store>, archive: &Archive) -> Result<Vec<Unresolved>, StoreError> {
    let mut unresolved = Vec::new();
    for (key, record) in store.collect(Column::Meta, &KeyRange::with_prefix(PREFIX), Direction::Forward, usize::MAX)? {
        let Ok(bytes) = sealed::open(&key, &record) else { continue };
        let Ok(shown) = SignedHeader::decode(&mut Reader::new("evidence", bytes)) else { continue };
        let own = archive.header(shown.header.height).ok().flatten().map(|(own, _)| own.header.hash());
        if own != Some(shown.header.hash()) {
            unresolved.push(Unresolved { shown, own });
        }
    }
    Ok(unresolved)
}

/// What an audit finds in the evidence.
pub(crate) fn findings(store: &Arc<dyn Store>, archive: &Archive) -> Result<Vec<String>, StoreError> {
    let finding = |Unresolved { shown, own }: Unresolved| {
        let (height, shown) = (shown.header.height, hex(&shown.header.hash()));
        match own.map(|own| hex(&own)) {
            Some(own) => {
                format!("block {height}: a bank has shown another signed header, {shown}; this chain has {own}")
            }
            None => format!("block {height} ({shown}): a bank has shown its signed header, and it is missing here"),
        }
    };
    Ok(unresolved(store, archive)?.into_iter().map(finding).collect())
}
