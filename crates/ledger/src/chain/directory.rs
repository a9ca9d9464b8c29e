//! The keys in force, for verifying in parallel while the ledger settles.
//!
//! Settlement publishes key changes after each block; verifiers take a [`KeySnapshot`] once per batch and read it
//! without locks. Keys are decompressed at their first use, those of a batch together, and kept, so that a wallet's key
//! is decompressed once in all. Look-ups go by dense account id.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, RwLock};

use cbdc_signatures::{DecompressedKey, PublicKey};

use crate::command::Signer;
use crate::ledger::Ledger;
use crate::state::cow_vec::CowVec;
use crate::state::member::Role;
use crate::transition::changes::Changes;
use crate::types::identity::{AccountId, BankId, HolderId, MemberId};
use crate::types::outcome::{Outcome, Reason};

/// Keys that verifiers share.
pub struct KeyDirectory {
    current: RwLock<Arc<KeySnapshot>>,
}

/// The keys at one moment.
#[derive(Clone, Default)]
pub struct KeySnapshot {
    banks: BTreeMap<BankId, CowVec<HolderKey>>,
    members: BTreeMap<(Role, MemberId), KeySlot>,
}

#[derive(Clone)]
struct HolderKey {
    slot: KeySlot,
    open: bool,
    holder: HolderId,
}

#[derive(Clone)]
struct KeySlot {
    key: PublicKey,
    version: u32,
    decompressed: OnceLock<Arc<DecompressedKey>>,
}

impl KeySlot {
    fn new(key: PublicKey, version: u32) -> KeySlot {
        KeySlot { key, version, decompressed: OnceLock::new() }
    }

    fn in_version(&self, version: u32) -> Result<&DecompressedKey, Outcome> {
        if self.version != version {
            return Err(Outcome::refused(Reason::KeyChanged, u64::from(self.version), u64::from(version)));
        }
        if let Some(key) = self.decompressed.get() {
            return Ok(key);
        }
        let key = self.key.decompress().map_err(|_| Outcome::refused(Reason::BadSignature, 0, 0))?;
        Ok(self.decompressed.get_or_init(|| Arc::new(key)))
    }
}

impl KeySnapshot {
    fn of(ledger: &Ledger) -> KeySnapshot {
        let mut snapshot = KeySnapshot { banks: BTreeMap::new(), members: member_keys(ledger) };
        for bank in ledger.banks() {
            let mut wallets = CowVec::default();
            ledger.wallets_of(bank).for_each(|(account, _)| {
                wallets.push(holder_key(ledger, account));
            });
            wallets.share();
            snapshot.banks.insert(bank, wallets);
        }
        snapshot
    }

    /// Decompresses the signers' keys that were not used before, all together. [`KeySnapshot::find`] refuses bytes that
    /// are not a key.
    pub fn make_ready(&self, signers: impl Iterator<Item = Signer>) {
        let mut unused: Vec<&KeySlot> =
            signers.filter_map(|signer| self.slot(signer)).filter(|slot| slot.decompressed.get().is_none()).collect();
        // A signer may occur in a batch many times.
        unused.sort_unstable_by_key(|slot| std::ptr::from_ref(*slot));
        unused.dedup_by(|one, next| std::ptr::eq(*one, *next));
        let keys: Vec<PublicKey> = unused.iter().map(|slot| slot.key).collect();
        for (slot, key) in unused.iter().zip(PublicKey::decompress_all(&keys)) {
            if let Some(key) = key {
                slot.decompressed.get_or_init(|| Arc::new(key));
            }
        }
    }

    fn slot(&self, signer: Signer) -> Option<&KeySlot> {
        match signer {
            Signer::Holder(account) => self.wallet(account).ok().map(|wallet| &wallet.slot),
            Signer::Member(role, id) => self.members.get(&(role, id)),
        }
    }

    /// The signer's key, if `version` is the one in force.
    pub fn find(&self, signer: Signer, version: u32) -> Result<&DecompressedKey, Outcome> {
        match signer {
            Signer::Holder(account) => self.open_wallet(account)?.slot.in_version(version),
            Signer::Member(role, id) => match self.members.get(&(role, id)) {
                Some(slot) => slot.in_version(version),
                None => Err(Outcome::refused(Reason::UnknownMember, 0, 0)),
            },
        }
    }

    /// The holder of a wallet, including closed ones: a certificate for a wallet that was closed while the command was
    /// in flight must stay verifiable, since the ledger used the command's sequence number.
    pub fn holder_of(&self, account: AccountId) -> Result<HolderId, Outcome> {
        self.wallet(account).map(|wallet| wallet.holder)
    }

    fn open_wallet(&self, account: AccountId) -> Result<&HolderKey, Outcome> {
        let unknown = Outcome::refused(Reason::UnknownAccount, 0, 0);
        self.wallet(account).and_then(|wallet| if wallet.open { Ok(wallet) } else { Err(unknown) })
    }

    fn wallet(&self, account: AccountId) -> Result<&HolderKey, Outcome> {
        let serial = account.serial.checked_sub(1).map(|index| index as usize);
        let wallet = serial.and_then(|index| self.banks.get(&account.bank)?.get(index));
        wallet.ok_or(Outcome::refused(Reason::UnknownAccount, 0, 0))
    }
}

impl KeyDirectory {
    /// The keys of a ledger's present state.
    pub fn of(ledger: &Ledger) -> KeyDirectory {
        KeyDirectory { current: RwLock::new(Arc::new(KeySnapshot::of(ledger))) }
    }

    /// Takes over the keys of another ledger, in place of all that was followed.
    pub fn replace(&self, ledger: &Ledger) {
        let next = Arc::new(KeySnapshot::of(ledger));
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = next;
    }

    /// The keys in force now.
    pub fn snapshot(&self) -> Arc<KeySnapshot> {
        self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Publishes a block's key changes. `ledger` is the ledger after that block.
    pub fn follow(&self, ledger: &Ledger, changes: &Changes) {
        let (keys, members) = (&changes.keys, changes.members);
        if keys.is_empty() && !members {
            return;
        }
        let mut next = KeySnapshot::clone(&self.snapshot());
        for change in keys {
            let wallets = next.banks.entry(change.account.bank).or_default();
            let index = change.account.serial as usize - 1;
            let wallet = holder_key(ledger, change.account);
            match wallets.get_mut(index) {
                Some(slot) => *slot = wallet,
                None => {
                    wallets.push(wallet);
                }
            }
        }
        if members {
            next.members = member_keys(ledger);
        }
        // The next block's copy shares what the block leaves unchanged.
        next.banks.values_mut().for_each(CowVec::share);
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(next);
    }
}

fn holder_key(ledger: &Ledger, account: AccountId) -> HolderKey {
    let wallet = ledger.account(account).expect("the account was just opened, changed or listed");
    let key = ledger.key(account).expect("every wallet has a key");
    let holder = ledger.holder_of(account).expect("every wallet has a holder");
    HolderKey { slot: KeySlot::new(key, wallet.key_version), open: wallet.open, holder: holder.id }
}

fn member_keys(ledger: &Ledger) -> BTreeMap<(Role, MemberId), KeySlot> {
    let active = ledger.members().seats().filter(|seat| seat.active);
    active
        .map(|seat| ((seat.member.role, seat.member.id), KeySlot::new(seat.member.signing_key, seat.key_version)))
        .collect()
}
