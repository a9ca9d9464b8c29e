//! A wallet's or treasury's record: fixed size, at most two cache lines.

use super::sequence::Window;
use crate::codec::encoding::{DecodeError, Fixed, Reader, Writer};
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId};
use crate::types::time::LedgerDay;

use std::mem::offset_of;

/// Bytes of an account record in checkpoints and in the effects root.
pub const ACCOUNT_BYTES: usize = 96;
/// Words of a record in its compact encoding.
const COMPACT_WORDS: usize = 14;

// Records are 96 bytes apart on multiples of 32, so that each lies in two cache lines, never in three: the first field
// in one, the last field in the other, wherever the record begins.
const _: () = assert!(size_of::<Account>() == 96 && align_of::<Account>() == 32);
const _: () = assert!(offset_of!(Account, accrued) == 0 && offset_of!(Account, open) == 95);

/// Marks a treasury, which belongs to no holder.
pub const NO_HOLDER: u32 = u32::MAX;

/// An account's record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(32))]
pub struct Account {
    /// Interest of the days before `accrued_to` that is not posted yet, in minor units × ppm × days, unrounded. For a
    /// closed wallet that has moved, the id of the account that replaced it.
    pub accrued: i128,
    /// Posted and not held or locked; part of it may be frozen.
    pub available: Amount,
    /// Held for a payee until capture, void or expiry. (Earmarked money under a hold stays in `earmarked`.)
    pub held: Amount,
    /// Locked under a condition.
    pub locked: Amount,
    /// Bound to a purpose.
    pub earmarked: Amount,
    /// The amount that courts have frozen. It may exceed `available`: the rest is a lien on later credits.
    pub frozen: Amount,
    /// Demurrage that fell due on the wallet and could not be paid, before it joins the holder's claim; zero in a
    /// stored record.
    pub claim: Amount,
    /// Sequence numbers of the holder's commands. (A treasury's commands use its bank's own window.)
    pub window: Window,
    /// Index of the holder, or [`NO_HOLDER`].
    pub holder: u32,
    /// The number of times the key was replaced.
    pub key_version: u32,
    /// The first day for which interest has not accrued.
    pub accrued_to: LedgerDay,
    /// The bank that takes money above the holding limit, by the holder's standing consent; bank 0 is none.
    pub linked_bank: BankId,
    /// Whether the wallet has the holder's tier allowance.
    pub has_allowance: bool,
    /// False once closed.
    pub open: bool,
}

impl Account {
    /// An empty account, opened on `today`.
    pub(crate) fn new(holder: u32, today: LedgerDay) -> Account {
        Account {
            available: Amount::ZERO,
            held: Amount::ZERO,
            locked: Amount::ZERO,
            earmarked: Amount::ZERO,
            frozen: Amount::ZERO,
            window: Window::default(),
            holder,
            key_version: 0,
            accrued: 0,
            claim: Amount::ZERO,
            accrued_to: today,
            linked_bank: BankId(0),
            has_allowance: false,
            open: true,
        }
    }

    /// The account that replaced the wallet when it moved to another bank.
    pub fn moved_to(&self) -> Option<AccountId> {
        // A closed account accrues nothing, and no wallet has id 0.
        let id = u64::try_from(self.accrued).ok().filter(|id| !self.open && *id != 0)?;
        AccountId::from_u64(id)
    }

    /// The balance that counts towards the holding limit and earns interest: everything but purpose-bound money.
    pub fn own(&self) -> i128 {
        self.posted() - i128::from(self.earmarked.minor())
    }

    /// The amount that the holder may spend now.
    pub fn spendable(&self) -> Amount {
        self.available.minus_or_zero(self.frozen)
    }

    /// All money on the account.
    pub fn posted(&self) -> i128 {
        [self.available, self.held, self.locked, self.earmarked].iter().map(|part| i128::from(part.minor())).sum()
    }

    /// Reads a word of each of the record's two cache lines, which brings them into the cache.
    #[inline]
    pub(crate) fn prefetch(&self) -> u64 {
        self.accrued as u64 ^ u64::from(self.open)
    }

    /// Appends the record: 96 bytes.
    #[inline]
    pub fn encode(&self, out: &mut Writer) {
        let [lowest_unused, used] = self.window.parts();
        let mut record = Fixed::<ACCOUNT_BYTES>::new();
        record.u64(self.available.minor()).u64(self.held.minor()).u64(self.locked.minor());
        record.u64(self.earmarked.minor()).u64(self.frozen.minor());
        record.u64(lowest_unused).u64(used);
        record.u32(self.holder).u32(self.key_word());
        record.i128(self.accrued).u64(self.claim.minor()).u32(self.accrued_to.0);
        record.u16(self.linked_bank.0).u8(u8::from(self.has_allowance)).reserved(1);
        out.raw(record.as_bytes());
    }

    /// Appends the record in its compact form: most of its words are small or zero.
    pub(crate) fn encode_compact(&self, out: &mut Writer) {
        let [lowest_unused, used] = self.window.parts();
        let (accrued, accrued_above) = (self.accrued as u64, (self.accrued >> 64) as u64);
        out.words::<COMPACT_WORDS>(&[
            self.available.minor(),
            self.held.minor(),
            self.locked.minor(),
            self.earmarked.minor(),
            self.frozen.minor(),
            self.claim.minor(),
            lowest_unused,
            used,
            u64::from(self.holder),
            u64::from(self.key_word()),
            accrued,
            accrued_above,
            u64::from(self.accrued_to.0),
            u64::from(self.linked_bank.0) << 1 | u64::from(self.has_allowance),
        ]);
    }

    pub(crate) fn decode_compact(input: &mut Reader<'_>) -> Result<Account, DecodeError> {
        let [available, held, locked, earmarked, frozen, claim, rest @ ..] = input.words::<COMPACT_WORDS>()?;
        let [available, held, locked, earmarked, frozen, claim] =
            [available, held, locked, earmarked, frozen, claim].map(Amount::from_minor);
        let [lowest_unused, used, holder, key, accrued, accrued_above, accrued_to, linked] = rest;
        let linked_bank = u16::try_from(linked >> 1).map_err(|_| input.wrong("a bank's number", linked >> 1))?;
        let key = input.half(key)?;
        Ok(Account {
            available,
            held,
            locked,
            earmarked,
            frozen,
            claim,
            window: Window::of_parts([lowest_unused, used]),
            holder: input.half(holder)?,
            key_version: key >> 1,
            open: key & 1 == 1,
            accrued: i128::from(accrued_above as i64) << 64 | i128::from(accrued),
            accrued_to: LedgerDay(input.half(accrued_to)?),
            linked_bank: BankId(linked_bank),
            has_allowance: linked & 1 == 1,
        })
    }

    /// The key's version, and whether the account is open.
    fn key_word(&self) -> u32 {
        self.key_version << 1 | u32::from(self.open)
    }

    /// Reads what [`Account::encode`] wrote.
    pub fn decode(input: &mut Reader<'_>) -> Result<Account, DecodeError> {
        let mut amount = || input.u64().map(Amount::from_minor);
        let (available, held, locked, earmarked, frozen) = (amount()?, amount()?, amount()?, amount()?, amount()?);
        let window = Window::decode(input)?;
        let holder = input.u32()?;
        let key = input.u32()?;
        let (accrued, claim) = (input.i128()?, Amount::from_minor(input.u64()?));
        let (accrued_to, linked_bank, has_allowance) =
            (LedgerDay(input.u32()?), BankId(input.u16()?), input.boolean()?);
        input.reserved(1)?;
        Ok(Account {
            available,
            held,
            locked,
            earmarked,
            frozen,
            window,
            holder,
            key_version: key >> 1,
            accrued,
            claim,
            accrued_to,
            linked_bank,
            has_allowance,
            open: key & 1 == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encoding::hex;

    fn compact(account: &Account) -> Vec<u8> {
        let mut out = Writer::default();
        account.encode_compact(&mut out);
        let mut input = Reader::new("account", out.as_bytes());
        assert_eq!(Account::decode_compact(&mut input).unwrap(), *account);
        assert!(input.is_empty());
        out.finish()
    }

    #[test]
    fn a_compact_record_is_short_for_a_plain_wallet_and_exact_for_any() {
        let mut plain = Account::new(5, LedgerDay(20_000));
        plain.available = Amount::from_minor(20_000_000);
        // Lengths: available 4; lowest unused number, holder and the open account's word 1 each; the day 2.
        assert_eq!(hex(&compact(&plain)), "04000001110002002d3101010501204e");
        let full = Account {
            accrued: -1,
            available: Amount::from_minor(u64::MAX),
            held: Amount::from_minor(1),
            locked: Amount::from_minor(1 << 56),
            earmarked: Amount::from_minor(256),
            frozen: Amount::from_minor(u64::MAX),
            claim: Amount::from_minor(255),
            window: Window::of_parts([u64::MAX, u64::MAX]),
            holder: NO_HOLDER,
            key_version: u32::MAX >> 1,
            accrued_to: LedgerDay(u32::MAX),
            linked_bank: BankId(u16::MAX),
            has_allowance: true,
            open: false,
        };
        compact(&full);
        compact(&Account { accrued: i128::MIN, ..full });
        compact(&Account { accrued: i128::MAX, ..plain });
    }
}
