//! A bank's leaf under the effects root: its number, then each of its changed accounts, serial and record, in serial
//! order.

use crate::codec::encoding::Writer;
use crate::codec::merkle::{Hash, LeafHasher};
use crate::state::account::{ACCOUNT_BYTES, Account};
use crate::types::identity::BankId;

/// The bytes that are gathered before they are hashed: 64 of BLAKE3's chunks. With a power of two, each run begins
/// where the hash can continue with whole vectors, and a run stays in the nearest caches.
const RUN: usize = 64 * 1024;

pub(crate) struct BankLeaf {
    hasher: LeafHasher,
    run: Writer,
}

impl BankLeaf {
    pub(crate) fn new(bank: BankId) -> BankLeaf {
        let mut run = Writer::with_capacity(RUN + 4 + ACCOUNT_BYTES);
        run.u16(bank.0);
        BankLeaf { hasher: LeafHasher::default(), run }
    }

    #[inline]
    pub(crate) fn add(&mut self, serial: u32, account: &Account) {
        account.encode(self.run.u32(serial));
        if self.run.len() >= RUN {
            self.hasher.update(&self.run.as_bytes()[..RUN]);
            self.run.forget(RUN);
        }
    }

    pub(crate) fn finish(mut self) -> Hash {
        self.hasher.update(self.run.as_bytes());
        self.hasher.finish()
    }
}
