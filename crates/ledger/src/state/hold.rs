//! Holds: money that a payer has promised to a payee with a signature, until it is captured, voided or expires.
//!
//! A hold draws first on earmarked money of the payer that may be spent at the payee and outlives the hold, then on
//! available money, which moves to `held` together with the largest fee that the payer accepts. Earmarked money under a
//! hold stays in its earmark, marked as held there.

use std::collections::{BTreeMap, BTreeSet};

use super::merkle_map::{Encoded, MerkleMap};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::types::amount::Amount;
use crate::types::identity::AccountId;
use crate::types::time::Timestamp;

/// The number of holds that one payer may have open.
pub const HOLDS_MAX: usize = 64;

/// An open hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The payer's wallet.
    pub payer: AccountId,
    /// The payee's wallet.
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
    /// The holds of a wallet, as payer and as payee.
    by_wallet: BTreeSet<(AccountId, u64)>,
    last: u64,
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

    /// The open holds of which a wallet is payer or payee, by number, after a number.
    pub fn of_wallet(&self, wallet: AccountId, after: u64) -> impl Iterator<Item = (u64, &Hold)> {
        let from = (wallet, after.saturating_add(1));
        let numbers = self.by_wallet.range(from..=(wallet, u64::MAX)).map(|(_, number)| *number);
        numbers.filter_map(|number| Some((number, self.get(number)?)))
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
        self.by_wallet.extend([(hold.payer, number), (hold.payee, number)]);
        self.open.insert(number.to_be_bytes(), hold);
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Hold> {
        let hold = self.open.remove(&number.to_be_bytes())?;
        self.by_expiry.remove(&(hold.expires_at, number));
        for wallet in [hold.payer, hold.payee] {
            self.by_wallet.remove(&(wallet, number));
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

    /// Transfers a wallet's holds, as payer and as payee, to the account that replaces it.
    pub(crate) fn hand_on(&mut self, from: AccountId, to: AccountId) {
        let numbers: Vec<u64> = self.of_wallet(from, 0).map(|(number, _)| number).collect();
        for number in numbers {
            let Some(mut hold) = self.remove(number) else { continue };
            for wallet in [&mut hold.payer, &mut hold.payee].into_iter().filter(|wallet| **wallet == from) {
                *wallet = to;
            }
            self.put(number, hold);
        }
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
