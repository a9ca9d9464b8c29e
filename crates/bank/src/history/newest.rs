//! The heights of each wallet's newest lines.
//!
//! 16 bytes for each of the bank's own wallets, in the order of serials, and a map for the few others (payers at other
//! banks that this one topped up). Saved as chunks of 24 bytes per wallet with lines, then a record that names their
//! height and number; only that record makes a save valid.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use cbdc_ledger::cow_vec::CowVec;
use cbdc_ledger::encoding::DecodeError;
use cbdc_ledger::{AccountId, BankId, Height};
use cbdc_node::ArchiveError;
use cbdc_storage::{Column, Direction, Durability, KeyRange, Store, StoreError, WriteBatch, sealed};

use super::row::{Links, lines};

/// First bytes of the keys of [`Column::History`].
const ROW: u8 = b'r';
const CHUNK: u8 = b'n';
const SAVED: &[u8] = b"saved";
/// Wallets in one chunk.
const CHUNK_WALLETS: usize = 16_384;

pub struct Newest {
    bank: BankId,
    own: CowVec<Links>,
    others: BTreeMap<AccountId, Links>,
}

impl Newest {
    pub fn new(bank: BankId) -> Newest {
        Newest { bank, own: CowVec::default(), others: BTreeMap::new() }
    }

    /// A snapshot that later lines do not change.
    pub fn snapshot(&mut self) -> Newest {
        Newest { bank: self.bank, own: self.own.snapshot(), others: self.others.clone() }
    }

    pub fn get(&self, wallet: AccountId) -> Links {
        let found =
            if wallet.bank == self.bank { self.own.get(wallet.serial as usize) } else { self.others.get(&wallet) };
        found.copied().unwrap_or_default()
    }

    fn get_mut(&mut self, wallet: AccountId) -> &mut Links {
        if wallet.bank != self.bank {
            return self.others.entry(wallet).or_default();
        }
        let serial = wallet.serial as usize;
        while self.own.len() <= serial {
            self.own.push(Links::default());
        }
        self.own.get_mut(serial).expect("there is an entry up to this serial")
    }

    /// Links a wallet's next line, in the block at `height`, to those before it.
    pub fn link(&mut self, wallet: AccountId, is_numbered: bool, height: Height) -> Links {
        let newest = self.get_mut(wallet);
        let before = *newest;
        newest.any = height.0;
        if is_numbered {
            newest.numbered = height.0;
        }
        before
    }

    /// Adds a block's record that was written before.
    fn follow(&mut self, height: Height, row: &[u8]) -> Result<(), DecodeError> {
        for line in lines(row) {
            let line = line?;
            self.link(line.wallet, line.is_numbered(), height);
        }
        Ok(())
    }

    fn wallets(&self) -> impl Iterator<Item = (AccountId, Links)> {
        let own = self.own.iter().enumerate().map(|(serial, links)| (AccountId::new(self.bank, serial as u32), *links));
        own.filter(|(_, links)| links.any > 0).chain(self.others.iter().map(|(wallet, links)| (*wallet, *links)))
    }

    /// Writes a snapshot in the background, replacing the one saved before.
    pub fn save(&self, store: &Arc<dyn Store>, height: Height) -> Result<(), StoreError> {
        let mut wallets = self.wallets();
        let mut chunks = 0u32;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_WALLETS * 24);
            for (wallet, links) in wallets.by_ref().take(CHUNK_WALLETS) {
                [wallet.to_u64(), links.any, links.numbered].iter().for_each(|word| chunk.extend(word.to_le_bytes()));
            }
            if chunk.is_empty() {
                break;
            }
            let key = chunk_key(height, chunks);
            sealed::seal_in_place(&key, &mut chunk);
            let mut batch = WriteBatch::new();
            batch.put(Column::History, key, chunk);
            store.write(batch, Durability::Bulk)?;
            chunks += 1;
        }
        store.flush()?;
        let mut batch = WriteBatch::new();
        let saved = [&height.0.to_le_bytes()[..], &chunks.to_le_bytes()].concat();
        batch.put(Column::History, SAVED, sealed::seal(SAVED, &saved));
        batch.delete_range(Column::History, chunk_key(Height(0), 0), chunk_key(height, 0));
        store.write(batch, Durability::Buffered)
    }

    /// Loads the heights as of the block at `newest`: the saved ones, and the records since.
    pub fn load(store: &Arc<dyn Store>, bank: BankId, newest: Height) -> Result<Newest, ArchiveError> {
        let mut loaded = Newest::new(bank);
        let from = loaded.read_saved(store)?;
        let mut failed = Ok(());
        let rows = KeyRange::between(row_key(from.next()), row_key(newest.next()));
        store.scan(Column::History, &rows, Direction::Forward, &mut |key, value| {
            let height = key.get(1..9).and_then(|height| height.try_into().ok()).map_or(0, u64::from_be_bytes);
            failed = match sealed::open(key, value) {
                Ok(row) => loaded.follow(Height(height), row).map_err(|error| damaged(Height(height), error)),
                Err(error) => Err(damaged(Height(height), error)),
            };
            if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        failed.map(|()| loaded)
    }

    fn read_saved(&mut self, store: &Arc<dyn Store>) -> Result<Height, ArchiveError> {
        let Some(saved) = store.get(Column::History, SAVED)? else { return Ok(Height(0)) };
        let record = sealed::open(SAVED, &saved).map_err(|error| damaged(Height(0), error))?;
        let (Some(height), Some(chunks)) = (record.first_chunk::<8>(), record.last_chunk::<4>()) else {
            return Err(damaged(Height(0), "the record of what was saved is cut"));
        };
        let (height, chunks) = (Height(u64::from_le_bytes(*height)), u32::from_le_bytes(*chunks));
        for number in 0..chunks {
            let key = chunk_key(height, number);
            let chunk = store.get(Column::History, &key)?.ok_or_else(|| damaged(height, "a chunk is missing"))?;
            let chunk = sealed::open(&key, &chunk).map_err(|error| damaged(height, error))?;
            for words in chunk.as_chunks::<24>().0 {
                let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| words[at * 8 + byte]));
                let wallet = AccountId::from_u64(word(0)).ok_or_else(|| damaged(height, "it names no wallet"))?;
                *self.get_mut(wallet) = Links { any: word(1), numbered: word(2) };
            }
        }
        Ok(height)
    }
}

/// The key of a block's lines.
pub fn row_key(height: Height) -> [u8; 9] {
    let mut key = [ROW; 9];
    key[1..].copy_from_slice(&height.0.to_be_bytes());
    key
}

fn chunk_key(height: Height, number: u32) -> [u8; 13] {
    let mut key = [CHUNK; 13];
    key[1..9].copy_from_slice(&height.0.to_be_bytes());
    key[9..].copy_from_slice(&number.to_be_bytes());
    key
}

fn damaged(height: Height, what: impl std::fmt::Display) -> ArchiveError {
    ArchiveError::Damaged { height, what: format!("the history index: {what}") }
}
