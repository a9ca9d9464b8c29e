//! Programmes: payments of the central bank to whole cohorts, as unbacked issuance or as targeted money bound to a
//! purpose.
//!
//! A proposal of the committee founds a *programme*. The ledger pays the cohort holder by holder, bounded per block,
//! into each holder's allowance wallet; a credit that a rule refuses is counted and skipped. Targeted money is
//! *earmarked*: it may be spent only at payees of certain classes, the earliest expiry first, and the rest returns to
//! the account that funded it when the programme expires.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::merkle_map::{Encoded, MerkleMap};
use super::sections::{Kept, digest};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId, Class};
use crate::types::time::Timestamp;

/// The holders that a programme pays: those of a class whose allowance wallet is open, in the order of their
/// registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cohort {
    /// The class.
    pub class: Class,
    /// The bank of the allowance wallet, if the cohort is limited to one.
    pub bank: Option<BankId>,
    /// The number of holders, the first registered; 0 is all.
    pub first: u32,
}

/// The account of the books that pays, and takes back expired money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Funding {
    /// The central bank's equity.
    Equity = 1,
    /// The government's account.
    Government = 2,
}

impl Funding {
    /// The name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Funding::Equity => "equity",
            Funding::Government => "government",
        }
    }
}

impl fmt::Display for Funding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Funding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "equity" => Ok(Funding::Equity),
            "government" => Ok(Funding::Government),
            _ => Err(format!("expected a funding account (equity, government), found `{text}`")),
        }
    }
}

/// A set of classes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Classes(pub u8);

impl Classes {
    /// The set of the given classes.
    pub fn of(classes: impl IntoIterator<Item = Class>) -> Classes {
        Classes(classes.into_iter().fold(0, |set, class| set | 1 << class.index()))
    }

    /// Whether a class is in the set.
    pub fn contains(self, class: Class) -> bool {
        self.0 >> class.index() & 1 == 1
    }

    /// The classes of the set, in order.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::all().filter(move |class| self.contains(*class))
    }
}

/// The purpose that money is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Purpose {
    /// The time from which it cannot be spent and leaves the books.
    pub expires_at: Timestamp,
    /// The classes of payees at which it may be spent.
    pub payees: Classes,
    /// The account that pays, and takes back expired money.
    pub funding: Funding,
}

/// The terms of a programme's payment to each holder of its cohort. Without a purpose it is unbacked issuance out of
/// equity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The holders whom the programme pays.
    pub cohort: Cohort,
    /// The amount for each holder.
    pub amount_each: Amount,
    /// The purpose that the money is bound to; `None` for unbacked issuance.
    pub purpose: Option<Purpose>,
}

/// A programme and its progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Programme {
    /// The grant that the programme pays.
    pub grant: Grant,
    /// The next holder to consider, by position of registration.
    pub next_holder: u32,
    /// The position after the last holder.
    pub end: u32,
    /// Holders who were paid.
    pub paid: u32,
    /// Holders whose credit a rule refused.
    pub refused: u32,
    /// The amount taken back at expiry.
    pub expired: Amount,
}

impl Programme {
    pub(crate) fn is_paying(&self) -> bool {
        self.next_holder < self.end
    }
}

/// Purpose-bound money of one programme on one wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Earmark {
    /// The remaining amount.
    pub amount: Amount,
    /// The part that holds have reserved.
    pub held: Amount,
}

impl Earmark {
    /// The part that no hold has reserved.
    pub fn free(&self) -> Amount {
        self.amount.minus_or_zero(self.held)
    }
}

impl Encoded for Earmark {
    fn encode(&self, out: &mut Writer) {
        out.u64(self.amount.minor()).u64(self.held.minor());
    }
}

fn earmark_key(wallet: AccountId, programme: u64) -> [u8; 16] {
    (u128::from(wallet.to_u64()) << 64 | u128::from(programme)).to_be_bytes()
}

/// The wallet's number and the programme's.
fn of_earmark_key(key: &[u8; 16]) -> (u64, u64) {
    let key = u128::from_be_bytes(*key);
    ((key >> 64) as u64, key as u64)
}

/// All programmes by number from 1, and the earmarks that they left on wallets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Programmes {
    programmes: Vec<Programme>,
    /// Numbers of the programmes that are still paying, in order.
    paying: BTreeSet<u64>,
    /// Programmes with a purpose that have not completely expired.
    by_expiry: BTreeSet<(Timestamp, u64)>,
    /// The earmarks by wallet and programme.
    by_wallet: MerkleMap<16, Earmark>,
    by_programme: BTreeSet<(u64, AccountId)>,
    /// The digest of the programmes, without earmarks.
    digest: Kept<Hash>,
}

impl Programmes {
    /// All programmes, in order of number.
    pub fn all(&self) -> &[Programme] {
        &self.programmes
    }

    /// The programme with a number.
    pub fn get(&self, number: u64) -> Option<&Programme> {
        self.programmes.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Programme> {
        self.digest.forget();
        self.programmes.get_mut(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// Whether any wallet holds purpose-bound money.
    pub fn has_earmarks(&self) -> bool {
        !self.by_wallet.is_empty()
    }

    /// The earmarks of a wallet, by programme.
    pub fn earmarks_of(&self, wallet: AccountId) -> impl Iterator<Item = (u64, Earmark)> {
        let marks = self.by_wallet.from(&earmark_key(wallet, 0)).map(|(key, earmark)| (of_earmark_key(key), *earmark));
        marks
            .take_while(move |((found, _), _)| *found == wallet.to_u64())
            .map(|((_, number), earmark)| (number, earmark))
    }

    /// The amount of a programme's purpose-bound money still on wallets. Linear in their number.
    pub fn outstanding(&self, number: u64) -> Amount {
        let of_programme = (number, AccountId::default())..=(number, AccountId::new(BankId(u16::MAX), u32::MAX));
        let marks = self.by_programme.range(of_programme).filter_map(|(_, wallet)| self.earmark(*wallet, number));
        marks
            .fold(Amount::ZERO, |sum, mark| sum.plus(mark.amount).expect("earmarks are a part of all CBDC, which fits"))
    }

    /// Earmarks of a wallet that may be spent at a payee of `class` and that last beyond `until`: earliest expiry
    /// first, then by programme.
    pub fn spendable(&self, wallet: AccountId, class: Class, until: Timestamp) -> Vec<(u64, Earmark)> {
        let purpose = |number: u64| self.get(number).and_then(|programme| programme.grant.purpose);
        let mut found: Vec<(Timestamp, u64, Earmark)> = Vec::new();
        for (number, earmark) in self.earmarks_of(wallet) {
            if let Some(purpose) = purpose(number)
                && purpose.payees.contains(class)
                && purpose.expires_at > until
            {
                found.push((purpose.expires_at, number, earmark));
            }
        }
        found.sort_by_key(|(expires_at, number, _)| (*expires_at, *number));
        found.into_iter().map(|(_, number, earmark)| (number, earmark)).collect()
    }

    /// The time at which the next programme expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.by_expiry.first().map(|(time, _)| *time)
    }

    /// The programme that was founded first among those still paying.
    pub(crate) fn next_paying(&self) -> Option<u64> {
        self.paying.first().copied()
    }

    /// The first programme that has expired by `now`, and a wallet that still holds its money.
    pub(crate) fn expired_by(&self, now: Timestamp) -> Option<(u64, Option<AccountId>)> {
        let (_, number) = self.by_expiry.first().filter(|(time, _)| *time <= now)?;
        let next = self.by_programme.range((*number, AccountId::default())..).next();
        Some((*number, next.filter(|(of, _)| of == number).map(|(_, wallet)| *wallet)))
    }

    pub(crate) fn found(&mut self, grant: Grant, end: u32) -> u64 {
        self.digest.forget();
        self.programmes.push(Programme { grant, next_holder: 0, end, paid: 0, refused: 0, expired: Amount::ZERO });
        let number = self.programmes.len() as u64;
        self.index(number);
        number
    }

    fn index(&mut self, number: u64) {
        let programme = self.get(number).expect("the programme was just added");
        let (is_paying, purpose) = (programme.is_paying(), programme.grant.purpose);
        if is_paying {
            self.paying.insert(number);
        }
        if let Some(purpose) = purpose {
            self.by_expiry.insert((purpose.expires_at, number));
        }
    }

    /// Records that a programme has no more holders to pay.
    pub(crate) fn paid_out(&mut self, number: u64) {
        self.paying.remove(&number);
        if let Some(programme) = self.get_mut(number) {
            programme.next_holder = programme.end;
        }
    }

    /// Records that no money of a programme is left.
    pub(crate) fn close(&mut self, number: u64) {
        self.digest.forget();
        if let Some(purpose) = self.get(number).and_then(|programme| programme.grant.purpose) {
            self.by_expiry.remove(&(purpose.expires_at, number));
        }
        self.paid_out(number);
    }

    pub(crate) fn earmark(&self, wallet: AccountId, number: u64) -> Option<Earmark> {
        self.by_wallet.get(&earmark_key(wallet, number)).copied()
    }

    /// Sets an earmark; zero removes it.
    pub(crate) fn set_earmark(&mut self, wallet: AccountId, number: u64, earmark: Earmark) {
        if earmark.amount.is_zero() {
            self.by_wallet.remove(&earmark_key(wallet, number));
            self.by_programme.remove(&(number, wallet));
        } else {
            self.by_wallet.insert(earmark_key(wallet, number), earmark);
            self.by_programme.insert((number, wallet));
        }
    }

    /// The part that a checkpoint holds, without the indexes derived from it: no earmark is copied.
    pub(crate) fn snapshot(&self) -> Programmes {
        let (programmes, by_expiry) = (self.programmes.clone(), self.by_expiry.clone());
        Programmes { programmes, by_expiry, by_wallet: self.by_wallet.clone(), ..Programmes::default() }
    }

    /// The digests of the programmes and of the earmarks.
    pub(crate) fn digests(&self) -> [Hash; 2] {
        [self.digest.get(|| digest(|out| self.encode_programmes(out))), self.by_wallet.root()]
    }

    /// Transfers a wallet's earmarks to the account that replaces it.
    pub(crate) fn hand_on(&mut self, from: AccountId, to: AccountId) {
        let earmarks: Vec<(u64, Earmark)> = self.earmarks_of(from).collect();
        for (number, earmark) in earmarks {
            self.set_earmark(from, number, Earmark { amount: Amount::ZERO, held: Amount::ZERO });
            self.set_earmark(to, number, earmark);
        }
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        self.encode_programmes(out);
        out.u64(self.by_wallet.len() as u64);
        for (key, earmark) in self.by_wallet.iter() {
            let (wallet, number) = of_earmark_key(key);
            earmark.encode(out.u64(wallet).u64(number));
        }
    }

    fn encode_programmes(&self, out: &mut Writer) {
        out.u64(self.programmes.len() as u64);
        for (index, programme) in self.programmes.iter().enumerate() {
            programme.grant.encode(out);
            out.u32(programme.next_holder).u32(programme.end).u32(programme.paid).u32(programme.refused);
            out.u64(programme.expired.minor());
            let number = index as u64 + 1;
            let is_open =
                programme.grant.purpose.is_some_and(|purpose| self.by_expiry.contains(&(purpose.expires_at, number)));
            out.u8(u8::from(is_open));
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Programmes, DecodeError> {
        let mut programmes = Programmes::default();
        for number in 1..=input.u64()? {
            let grant = Grant::decode(input)?;
            let (next_holder, end, paid, refused) = (input.u32()?, input.u32()?, input.u32()?, input.u32()?);
            let expired = Amount::from_minor(input.u64()?);
            programmes.programmes.push(Programme { grant, next_holder, end, paid, refused, expired });
            programmes.index(number);
            if !input.boolean()?
                && let Some(purpose) = grant.purpose
            {
                programmes.by_expiry.remove(&(purpose.expires_at, number));
            }
        }
        for _ in 0..input.u64()? {
            let (wallet, number) = (AccountId::decode(input)?, input.u64()?);
            let (amount, held) = (Amount::from_minor(input.u64()?), Amount::from_minor(input.u64()?));
            programmes.set_earmark(wallet, number, Earmark { amount, held });
        }
        Ok(programmes)
    }
}

impl Grant {
    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u8(self.cohort.class.0).u16(self.cohort.bank.map_or(0, |bank| bank.0)).u32(self.cohort.first);
        out.u64(self.amount_each.minor()).u8(u8::from(self.purpose.is_some()));
        if let Some(purpose) = self.purpose {
            out.u64(purpose.expires_at.0).u8(purpose.payees.0).u8(purpose.funding as u8);
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Grant, DecodeError> {
        let class = Class::decode(input)?;
        let bank = Some(BankId(input.u16()?)).filter(|bank| bank.0 != 0);
        let cohort = Cohort { class, bank, first: input.u32()? };
        let amount_each = Amount::from_minor(input.u64()?);
        let mut purpose = None;
        if input.boolean()? {
            let (expires_at, payees) = (Timestamp(input.u64()?), Classes(input.u8()?));
            let funding = match input.u8()? {
                1 => Funding::Equity,
                2 => Funding::Government,
                other => return Err(input.wrong("1 (equity) or 2 (government)", u64::from(other))),
            };
            purpose = Some(Purpose { expires_at, payees, funding });
        }
        Ok(Grant { cohort, amount_each, purpose })
    }
}
