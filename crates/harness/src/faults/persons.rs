//! Holding limits from the outside: what the wallets of each person hold together, block by block.
//!
//! A limit is a person's and not a wallet's. So no block may lift what a person holds over all banks when it is above
//! the limit afterwards. A limit that a block changes is judged from the next one on. The ledger's own sums are not
//! used.

use std::collections::BTreeMap;

use cbdc_ledger::{Class, HolderId, Ledger};

/// What is looked at in one block at most; a network with more wallets is not judged.
const WALLETS_MAX: usize = 1_000;

/// What each person held after the last block.
#[derive(Debug, Default)]
pub(super) struct Persons {
    held: BTreeMap<HolderId, i128>,
    policy_version: u32,
}

impl Persons {
    /// Looks after a block. Returns a sentence about each person who was lifted above a limit.
    pub fn look(&mut self, ledger: &Ledger) -> Vec<String> {
        let banks: Vec<_> = ledger.banks().collect();
        let mut held: BTreeMap<HolderId, (Class, i128)> = BTreeMap::new();
        for (count, (id, account)) in banks.into_iter().flat_map(|bank| ledger.wallets_of(bank)).enumerate() {
            if count == WALLETS_MAX {
                return Vec::new();
            }
            let Some(holder) = ledger.holder_of(id) else { continue };
            held.entry(holder.id).or_insert((holder.class, 0)).1 += account.own();
        }
        let version = ledger.policy().all().last().map_or(0, |set| set.version);
        let is_same = std::mem::replace(&mut self.policy_version, version) == version;
        let is_lifted = |(holder, (class, now)): (&HolderId, &(Class, i128))| {
            let limit = i128::from(ledger.parameters().class(*class).holding_limit?.minor());
            let before = self.held.get(holder).copied().unwrap_or_default();
            let is_above = *now > limit && *now > before && is_same;
            is_above.then(|| {
                let height = ledger.height();
                format!("block {height} lifts a person's wallets from {before} to {now} together, above {limit}")
            })
        };
        let lifted = held.iter().filter_map(is_lifted).collect();
        self.held = held.into_iter().map(|(holder, (_, held))| (holder, held)).collect();
        lifted
    }
}
