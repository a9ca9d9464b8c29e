//! Names on the ledger: banks, accounts, holders, classes, members, heights.
//!
//! Account ids are dense integers (bank, serial): the ledger allots a wallet's serial when it is opened and never
//! reuses it. People see the IBAN form (ISO 13616): the network's country code `XC` (user-assigned in ISO 3166), two
//! check digits by ISO 7064 MOD 97-10, five digits of bank, ten of serial. Example: `XC96 0000 1000 0000 007`.

use std::fmt;
use std::str::FromStr;

use super::hex::{hex, hex_decode};
use super::text::excerpt;

const IBAN_COUNTRY: &str = "XC";

/// A commercial bank's number; 0 is the central bank itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct BankId(pub u16);

/// A member's number within its role: committee seats, operators, registrars, courts and auditors are numbered
/// separately.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct MemberId(pub u16);

/// The number of a block; the genesis block has height 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Height(pub u64);

/// A pseudonymous person or firm, joined across banks by the registrar. No personal data is on the ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HolderId(pub [u8; 16]);

/// BLAKE3 of the encoded genesis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NetworkId(pub [u8; 32]);

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkId({self})")
    }
}

/// A class of holders; policy sets limits by class.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Class(pub u8);

impl Class {
    /// Private persons.
    pub const HOUSEHOLD: Class = Class(0);
    /// Retailers and others who sell to the public.
    pub const MERCHANT: Class = Class(1);
    /// Other firms.
    pub const BUSINESS: Class = Class(2);
    /// Public bodies.
    pub const GOVERNMENT: Class = Class(3);
    /// The number of classes for which a parameter set has figures.
    pub const COUNT: usize = 8;
    const NAMES: [&'static str; Class::COUNT] =
        ["household", "merchant", "business", "government", "tier-1", "tier-2", "tier-3", "visitor"];

    /// Whether policy has figures for the class.
    pub fn is_known(self) -> bool {
        usize::from(self.0) < Class::COUNT
    }

    /// The class's index in tables by class.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Every class, in order.
    pub fn all() -> impl Iterator<Item = Class> {
        (0..Class::COUNT as u8).map(Class)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Class::NAMES.get(self.index()) {
            Some(name) => f.write_str(name),
            None => write!(f, "class-{}", self.0),
        }
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let index = Class::NAMES.iter().position(|name| *name == text);
        index
            .map(|index| Class(index as u8))
            .ok_or_else(|| format!("expected a class ({}), found `{text}`", Class::NAMES.join(", ")))
    }
}

/// A wallet or a treasury: a bank and a serial within it. Serial 0 is the bank's treasury.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct AccountId {
    /// The bank that keeps the account.
    pub bank: BankId,
    /// The account's number at that bank, from 1; 0 is the treasury.
    pub serial: u32,
}

impl AccountId {
    /// The account with a serial at a bank.
    pub const fn new(bank: BankId, serial: u32) -> Self {
        AccountId { bank, serial }
    }

    /// A bank's treasury.
    pub const fn treasury(bank: BankId) -> Self {
        AccountId { bank, serial: 0 }
    }

    /// Whether this is a bank's treasury.
    pub const fn is_treasury(self) -> bool {
        self.serial == 0
    }

    /// The id as one integer: bank × 2^32 + serial.
    pub const fn to_u64(self) -> u64 {
        ((self.bank.0 as u64) << 32) | self.serial as u64
    }

    /// The id that an integer encodes; `None` if it is above the largest bank number.
    pub const fn from_u64(id: u64) -> Option<Self> {
        if id >> 48 != 0 {
            return None;
        }
        Some(AccountId { bank: BankId((id >> 32) as u16), serial: id as u32 })
    }

    fn check_digits(bban: &str) -> u32 {
        // ISO 7064 MOD 97-10 over the number, the country as digits (X=33, C=12) and 00.
        let remainder =
            format!("{bban}331200").bytes().fold(0, |remainder, digit| (remainder * 10 + u32::from(digit - b'0')) % 97);
        98 - remainder
    }
}

impl fmt::Display for AccountId {
    /// The IBAN form without spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bban = format!("{:05}{:010}", self.bank.0, self.serial);
        write!(f, "{IBAN_COUNTRY}{:02}{bban}", AccountId::check_digits(&bban))
    }
}

/// The most characters of an account number that are read: `IBAN:`, country and 17 digits, and one too many.
const COMPACT_MAX: usize = 25;

impl FromStr for AccountId {
    type Err = String;

    /// Reads the IBAN form as people copy it: in small letters, after the word IBAN, in groups with spaces of any kind
    /// or hyphens between them. The check digits show whether it is right.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_separator =
            |character: char| character.is_whitespace() || matches!(character, '-' | '\u{2010}'..='\u{2015}');
        let compact: String = text.chars().filter(|character| !is_separator(*character)).take(COMPACT_MAX).collect();
        let compact = compact.to_ascii_uppercase();
        let compact = compact.strip_prefix("IBAN").map_or(compact.as_str(), |number| number.trim_start_matches(':'));
        let wrong = |why: &str| {
            let found = excerpt(text, 40);
            format!("expected an account number such as {}, found `{found}`: {why}", AccountId::new(BankId(1), 7))
        };
        let digits = compact.strip_prefix(IBAN_COUNTRY).ok_or_else(|| wrong("it does not start with XC"))?;
        if digits.len() != 17 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong("XC must be followed by 17 digits"));
        }
        let (check, bban) = digits.split_at(2);
        if check.parse() != Ok(AccountId::check_digits(bban)) {
            return Err(wrong("its check digits do not fit; a digit may be mistyped"));
        }
        let bank = bban[..5].parse().map_err(|_| wrong("the bank number is above 65535"))?;
        let serial = bban[5..].parse().map_err(|_| wrong("the serial is above 4294967295"))?;
        Ok(AccountId { bank: BankId(bank), serial })
    }
}

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HolderId({self})")
    }
}

impl FromStr for HolderId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = hex_decode(text).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(HolderId)
            .ok_or_else(|| format!("expected a holder id of 32 hexadecimal digits, found `{}`", excerpt(text, 40)))
    }
}

impl fmt::Display for BankId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Height {
    /// The height of the next block.
    pub fn next(self) -> Height {
        Height(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_numbers_survive_being_shown_and_read() {
        for id in
            [AccountId::new(BankId(1), 7), AccountId::treasury(BankId(65535)), AccountId::new(BankId(0), u32::MAX)]
        {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(AccountId::from_u64(id.to_u64()), Some(id));
        }
        assert_eq!(AccountId::from_u64(1 << 48), None);
    }

    #[test]
    fn account_numbers_are_read_as_people_copy_them() {
        let expected = Ok(AccountId::new(BankId(1), 7));
        for text in [
            "XC96 0000 1000 0000 007",
            "xc96\u{a0}0000\u{202f}1000 0000 007",
            "IBAN XC96-0000-1000-0000-007",
            "iban: XC96000010000000007\n",
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        let long = format!("XC96{}\u{1b}", "0".repeat(1_000_000)).parse::<AccountId>().unwrap_err();
        assert!(long.len() < 200 && long.contains("17 digits"), "{long}");
        for text in ["", "IBAN", "XC", "XC96 0000 1000 0000 0070", "XC96 0000 1000 0000 00", "ＸＣ96000010000000007"]
        {
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
    }

    #[test]
    fn any_single_mistyped_digit_is_found() {
        let good = AccountId::new(BankId(3), 123_456).to_string();
        for position in 2..good.len() {
            for digit in b'0'..=b'9' {
                let mut bytes = good.clone().into_bytes();
                if bytes[position] != digit {
                    bytes[position] = digit;
                    assert!(String::from_utf8(bytes).unwrap().parse::<AccountId>().is_err());
                }
            }
        }
    }

    #[test]
    fn the_iban_form_has_valid_check_digits() {
        // ISO 13616: move country and check digits to the end, letters to numbers, remainder by 97 is 1.
        let iban = AccountId::new(BankId(1), 7).to_string();
        let moved = format!("{}3312{}", &iban[4..], &iban[2..4]);
        assert_eq!(moved.parse::<u128>().unwrap() % 97, 1);
    }
}
