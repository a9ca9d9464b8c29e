//! Freezes: how much each court has frozen of a wallet. Their sum is the frozen amount on the account.

use super::merkle_map::{Encoded, MerkleMap};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, MemberId};

impl Encoded for Amount {
    fn encode(&self, out: &mut Writer) {
        out.u64(self.minor());
    }
}

/// Frozen amounts by wallet and court.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Freezes(MerkleMap<10, Amount>);

fn key_of(wallet: AccountId, court: MemberId) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&wallet.to_u64().to_be_bytes());
    key[8..].copy_from_slice(&court.0.to_be_bytes());
    key
}

/// The wallet's number and the court.
fn of_key(key: &[u8; 10]) -> (u64, MemberId) {
    let [wallet @ .., high, low] = *key;
    (u64::from_be_bytes(wallet), MemberId(u16::from_be_bytes([high, low])))
}

impl Freezes {
    /// The amount that a court has frozen on a wallet.
    pub fn of_court(&self, wallet: AccountId, court: MemberId) -> Amount {
        self.0.get(&key_of(wallet, court)).copied().unwrap_or_default()
    }

    /// The amounts that courts have frozen on a wallet, in order of number.
    pub fn of_wallet(&self, wallet: AccountId) -> impl Iterator<Item = (MemberId, Amount)> {
        let entries = self.0.from(&key_of(wallet, MemberId(0))).map(|(key, amount)| (of_key(key), *amount));
        let own = entries.take_while(move |((found, _), _)| *found == wallet.to_u64());
        own.map(|((_, court), amount)| (court, amount))
    }

    /// Sets the amount that a court has frozen; zero removes the entry.
    pub(crate) fn set(&mut self, wallet: AccountId, court: MemberId, amount: Amount) {
        if amount.is_zero() {
            self.0.remove(&key_of(wallet, court));
        } else {
            self.0.insert(key_of(wallet, court), amount);
        }
    }

    /// Transfers all freezes of a wallet to the account that replaces it.
    pub(crate) fn hand_on(&mut self, from: AccountId, to: AccountId) {
        let frozen: Vec<(MemberId, Amount)> = self.of_wallet(from).collect();
        for (court, amount) in frozen {
            self.set(from, court, Amount::ZERO);
            self.set(to, court, amount);
        }
    }

    /// The root over all freezes.
    pub(crate) fn root(&self) -> Hash {
        self.0.root()
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u64(self.0.len() as u64);
        for (key, amount) in self.0.iter() {
            let (wallet, court) = of_key(key);
            out.u64(wallet).u16(court.0).u64(amount.minor());
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Freezes, DecodeError> {
        let mut freezes = Freezes::default();
        for _ in 0..input.u64()? {
            let (wallet, court) = (AccountId::decode(input)?, MemberId(input.u16()?));
            freezes.set(wallet, court, Amount::from_minor(input.u64()?));
        }
        Ok(freezes)
    }
}
