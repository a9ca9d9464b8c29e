//! Holds: money that a payer has promised to a payee with a signature, until it is captured, voided or expires.
//!
//! A hold draws first on earmarked money of the payer that may be spent at the payee and outlives the hold, then on
//! available money, which moves to `held` together with the largest fee that the payer accepts. Earmarked money under a
//! hold stays in its earmark, marked as held there.
//!
//! Anybody may promise money to a payee, so a payee may have any number of holds. When a payee's wallet moves to
//! another account, a bounded number of them is rewritten ([`HANDED_ON_MAX`]); the others keep the old account's
//! number, which leads to the present one ([`crate::Ledger::moved_to`]). They are captured, voided and listed like all
//! others.

use std::collections::{BTreeMap, BTreeSet};

use super::merkle_map::{Encoded, MerkleMap};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::types::amount::Amount;
use crate::types::identity::AccountId;
use crate::types::time::Timestamp;

/// The number of holds that one payer may have open.
pub const HOLDS_MAX: usize = 64;
/// The number of holds of a payee that are rewritten when the payee's wallet moves.
pub const HANDED_ON_MAX: usize = 256;

/// An open hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The payer's wallet.
    pub payer: AccountId,
    /// The payee's wallet; where it has moved since, possibly an account that it had before.
    pub payee: AccountId,
    /// The most that may be captured.
    pub maximum: Amount,
    /// The largest fee that the payer accepts; held in addition to the maximum.
    pub max_fee: Amount,
    /// From this time on it cannot be captured, and its money returns.
    pub expires_at: Timestamp,
    /// The amount held on the payer's account.
    pub held: Amount,
    /// The amounts held in earmarks: programme and amount, in the order in which they were drawn on.
    pub earmarks: Vec<(u64, Amount)>,
}

impl Encoded for Hold {
    fn encode(&self, out: &mut Writer) {
        out.u64(self.payer.to_u64()).u64(self.payee.to_u64()).u64(self.maximum.minor());
        out.u64(self.max_fee.minor()).u64(self.expires_at.0).u64(self.held.minor()).u32(self.earmarks.len() as u32);
        for (programme, amount) in &self.earmarks {
            out.u64(*programme).u64(amount.minor());
        }
    }
}

/// All open holds by number. Numbers begin at 1 and are never reused.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holds {
    open: MerkleMap<8, Hold>,
    by_expiry: BTreeSet<(Timestamp, u64)>,
    of_payer: BTreeMap<AccountId, u32>,
    by_payer: BTreeSet<(AccountId, u64)>,
    by_payee: BTreeSet<(AccountId, u64)>,
    former: FormerAccounts,
    last: u64,
}

/// Accounts from which wallets have moved and which open holds still name as payees.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct FormerAccounts {
    of: BTreeMap<AccountId, BTreeSet<AccountId>>,
    present: BTreeMap<AccountId, AccountId>,
}

impl FormerAccounts {
    fn of(&self, present: AccountId) -> impl Iterator<Item = AccountId> {
        self.of.get(&present).into_iter().flatten().copied()
    }

    fn insert(&mut self, former: AccountId, present: AccountId) {
        self.remove(former);
        self.of.entry(present).or_default().insert(former);
        self.present.insert(former, present);
    }

    fn remove(&mut self, former: AccountId) {
        let Some(present) = self.present.remove(&former) else { return };
        if let Some(of) = self.of.get_mut(&present) {
            of.remove(&former);
            if of.is_empty() {
                self.of.remove(&present);
            }
        }
    }
}

impl Holds {
    /// The open hold with a number.
    pub fn get(&self, number: u64) -> Option<&Hold> {
        self.open.get(&number.to_be_bytes())
    }

    /// All open holds, in order of number.
    pub fn open(&self) -> impl Iterator<Item = (u64, &Hold)> {
        self.open.iter().map(|(number, hold)| (u64::from_be_bytes(*number), hold))
    }

    /// The open holds of which a wallet is payer or payee, by number, after a number. An account from which the wallet
    /// has moved has none.
    pub fn of_wallet(&self, wallet: AccountId, after: u64) -> impl Iterator<Item = (u64, &Hold)> {
        let is_former = self.former.present.contains_key(&wallet);
        let payees = std::iter::once(wallet).filter(|_| !is_former).chain(self.former.of(wallet));
        let (payees, mut last) = (payees.collect::<Vec<_>>(), after);
        std::iter::from_fn(move || {
            let from = last.checked_add(1)?;
            let next = |index: &BTreeSet<(AccountId, u64)>, wallet: AccountId| {
                index.range((wallet, from)..=(wallet, u64::MAX)).next().map(|(_, number)| *number)
            };
            let as_payee = payees.iter().filter_map(|payee| next(&self.by_payee, *payee));
            last = next(&self.by_payer, wallet).into_iter().chain(as_payee).min()?;
            Some((last, self.get(last)?))
        })
    }

    /// The number of holds that a payer has open.
    pub fn count_of(&self, payer: AccountId) -> usize {
        self.of_payer.get(&payer).map_or(0, |count| *count as usize)
    }

    /// The time at which the next hold expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.by_expiry.first().map(|(time, _)| *time)
    }

    /// The number of the hold that expires first, if that is due by `now`.
    pub(crate) fn expired_by(&self, now: Timestamp) -> Option<u64> {
        self.by_expiry.first().filter(|(time, _)| *time <= now).map(|(_, number)| *number)
    }

    pub(crate) fn insert(&mut self, hold: Hold) -> u64 {
        self.last += 1;
        self.put(self.last, hold);
        self.last
    }

    fn put(&mut self, number: u64, hold: Hold) {
        self.by_expiry.insert((hold.expires_at, number));
        *self.of_payer.entry(hold.payer).or_default() += 1;
        self.by_payer.insert((hold.payer, number));
        self.by_payee.insert((hold.payee, number));
        self.open.insert(number.to_be_bytes(), hold);
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Hold> {
        let hold = self.open.remove(&number.to_be_bytes())?;
        self.by_expiry.remove(&(hold.expires_at, number));
        self.by_payer.remove(&(hold.payer, number));
        self.by_payee.remove(&(hold.payee, number));
        if !self.names_as_payee(hold.payee) {
            self.former.remove(hold.payee);
        }
        if let Some(count) = self.of_payer.get_mut(&hold.payer) {
            *count -= 1;
            if *count == 0 {
                self.of_payer.remove(&hold.payer);
            }
        }
        Some(hold)
    }

    /// The number of the last hold, and the hash over the open ones.
    pub(crate) fn digests(&self) -> (u64, Hash) {
        (self.last, self.open.root())
    }

    /// The part that a checkpoint holds, without the indexes derived from it: no hold is copied.
    pub(crate) fn snapshot(&self) -> Holds {
        Holds { open: self.open.clone(), last: self.last, ..Holds::default() }
    }

    fn names_as_payee(&self, account: AccountId) -> bool {
        self.by_payee.range((account, 0)..=(account, u64::MAX)).next().is_some()
    }

    /// Transfers a wallet's holds to the account that replaces it: all as payer, a bounded number as payee. The others
    /// are found under the new account as well.
    pub(crate) fn hand_on(&mut self, from: AccountId, to: AccountId) {
        let payees: Vec<AccountId> = std::iter::once(from).chain(self.former.of(from)).collect();
        let as_payee = payees.iter().flat_map(|payee| self.by_payee.range((*payee, 0)..=(*payee, u64::MAX)));
        let as_payer = self.by_payer.range((from, 0)..=(from, u64::MAX));
        let numbers = as_payer.chain(as_payee.take(HANDED_ON_MAX)).map(|(_, number)| *number).collect::<Vec<_>>();
        for number in numbers {
            let Some(mut hold) = self.remove(number) else { continue };
            match hold.payer == from {
                true => hold.payer = to,
                false => hold.payee = to,
            }
            self.put(number, hold);
        }
        for former in payees.into_iter().filter(|payee| self.names_as_payee(*payee)).collect::<Vec<_>>() {
            self.former.insert(former, to);
        }
    }

    /// The accounts that open holds name as payees.
    pub(crate) fn payees(&self) -> impl Iterator<Item = AccountId> {
        let mut next = self.by_payee.first();
        std::iter::from_fn(move || {
            let (payee, _) = *next?;
            next = self.by_payee.range((payee, u64::MAX)..).find(|(other, _)| *other != payee);
            Some(payee)
        })
    }

    /// Builds the index of former accounts, which no checkpoint holds: those that are payees and have moved, each with
    /// its present account.
    pub(crate) fn index_former(&mut self, moved: Vec<(AccountId, AccountId)>) {
        self.former = FormerAccounts::default();
        moved.into_iter().for_each(|(former, present)| self.former.insert(former, present));
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u64(self.last).u64(self.open.len() as u64);
        self.open().for_each(|(number, hold)| hold.encode(out.u64(number)));
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Holds, DecodeError> {
        let mut holds = Holds { last: input.u64()?, ..Holds::default() };
        for _ in 0..input.u64()? {
            let number = input.u64()?;
            let (payer, payee) = (AccountId::decode(input)?, AccountId::decode(input)?);
            let (maximum, max_fee) = (Amount::from_minor(input.u64()?), Amount::from_minor(input.u64()?));
            let (expires_at, held) = (Timestamp(input.u64()?), Amount::from_minor(input.u64()?));
            let mut earmarks = Vec::new();
            for _ in 0..input.u32()? {
                earmarks.push((input.u64()?, Amount::from_minor(input.u64()?)));
            }
            holds.put(number, Hold { payer, payee, maximum, max_fee, expires_at, held, earmarks });
        }
        Ok(holds)
    }
}
