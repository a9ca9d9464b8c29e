//! The check that the entries of a filtered block add up to the changes of its bank's wallets: the statements that a
//! bank gives its customers then add up, whoever made the filtered block.

use std::iter;

use arrayvec::ArrayVec;

use super::filtered_block::OwnCommand;
use crate::state::account::Account;
use crate::state::cow_vec::CowVec;
use crate::state::prefetch::{PREFETCH_BATCH, prefetch_accounts};
use crate::transition::entry::{Entry, entries_of};
use crate::types::identity::{AccountId, BankId};

/// The changed accounts of a bank, with the part of each wallet's change that no entry has explained yet.
struct Unexplained {
    bank: BankId,
    serials: Vec<u32>,
    changes: Vec<i128>,
    /// Positions, plus one, of serials by their hash; 0 is free. At most half are in use.
    slots: Vec<u32>,
}

impl Unexplained {
    /// `known` are the bank's accounts before the block, `changed` those that it changes.
    fn of(bank: BankId, known: Option<&CowVec<Account>>, changed: &[(u32, Account)]) -> Unexplained {
        let mut unexplained = Unexplained {
            bank,
            serials: changed.iter().map(|(serial, _)| *serial).collect(),
            changes: Vec::with_capacity(changed.len()),
            slots: vec![0; (2 * changed.len()).next_power_of_two()],
        };
        let before = |serial: u32| known.and_then(|accounts| accounts.get(serial as usize));
        for accounts in changed.chunks(PREFETCH_BATCH) {
            let known = accounts.iter().filter_map(|(serial, _)| before(*serial));
            prefetch_accounts(&known.collect::<ArrayVec<_, PREFETCH_BATCH>>());
            for (serial, record) in accounts {
                let change = record.posted() - before(*serial).map_or(0, Account::posted);
                // A treasury has no entries.
                unexplained.changes.push(if *serial == 0 { 0 } else { change });
            }
        }
        for (position, serial) in (1..).zip(&unexplained.serials) {
            let free = probes(&unexplained.slots, *serial).find(|slot| unexplained.slots[*slot] == 0);
            unexplained.slots[free.expect("half of the slots stay free")] = position;
        }
        unexplained
    }

    /// Subtracts an entry of one of the bank's wallets; `false` if that wallet did not change.
    fn explain(&mut self, entry: &Entry) -> bool {
        let serial = entry.wallet.serial;
        for slot in probes(&self.slots, serial) {
            let Some(position) = self.slots[slot].checked_sub(1) else { return false };
            if self.serials[position as usize] == serial {
                self.changes[position as usize] -= entry.change();
                return true;
            }
        }
        false
    }

    fn first(&self) -> Option<AccountId> {
        let position = self.changes.iter().position(|change| *change != 0)?;
        Some(AccountId::new(self.bank, self.serials[position]))
    }
}

/// The slots that may hold a serial, in order.
fn probes(slots: &[u32], serial: u32) -> impl Iterator<Item = usize> + use<> {
    let mask = slots.len() - 1;
    let mut slot = (serial.wrapping_mul(0x9E37_79B9) >> 7) as usize & mask;
    iter::repeat_with(move || {
        let this = slot;
        slot = (slot + 1) & mask;
        this
    })
}

/// The first wallet of a bank whose entries do not add up to the change of its balance.
pub(super) fn first_unexplained(
    bank: BankId,
    known: Option<&CowVec<Account>>,
    changed: &[(u32, Account)],
    (entries, commands): (&[Entry], &[OwnCommand]),
) -> Option<AccountId> {
    let mut unexplained = Unexplained::of(bank, known, changed);
    for entry in entries {
        if !unexplained.explain(entry) {
            return Some(entry.wallet);
        }
    }
    for own in commands {
        let told = entries_of(&own.command, own.index, &own.outcome);
        for entry in told.iter().filter(|entry| entry.wallet.bank == bank) {
            if !unexplained.explain(entry) {
                return Some(entry.wallet);
            }
        }
    }
    unexplained.first()
}
