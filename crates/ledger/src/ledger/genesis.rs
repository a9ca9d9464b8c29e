//! Genesis: the initial state of a network, and the network id, which is its hash.
//!
//! Its fixed layout is hashed, so that networks that differ in currency, members, opening balance sheet or first policy
//! have different ids, and nothing signed for one is valid on the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::policy::Parameters;
use crate::state::books::Books;
use crate::state::member::{Member, Role};
use crate::types::amount::Amount;
use crate::types::format::FormatVersion;
use crate::types::identity::BankId;
use crate::types::time::Timestamp;

pub use crate::types::identity::NetworkId;
pub use crate::types::time::DayCount;

/// The initial state of a network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Genesis {
    /// The version of the formats that the network begins with.
    pub format: FormatVersion,
    /// ISO 4217 code, three capital letters, or a test code such as `XTS`.
    pub currency: [u8; 3],
    /// Decimals of the major unit, at most 6.
    pub currency_exponent: u8,
    /// The number of days in a year of interest.
    pub day_count: DayCount,
    /// The ledger day's offset from UTC, −720 to 840 minutes.
    pub day_offset_minutes: i16,
    /// The time of the genesis block.
    pub created_at: Timestamp,
    /// The longest time from now to a record's valid-until, ms.
    pub validity_ms_max: u64,
    /// The number of header signatures that a bank requires.
    pub header_signatures: u16,
    /// The number of committee members who must approve a proposal.
    pub threshold: u16,
    /// The first members.
    pub members: Vec<Member>,
    /// The opening balance sheet.
    pub books: Books,
    /// The first version of policy.
    pub policy: Parameters,
}

/// Why a genesis is refused.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    #[error("the genesis bytes cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("the currency must be three capital letters with at most 6 decimals, found {code:?} with {exponent}")]
    Currency { code: String, exponent: u8 },
    #[error("the ledger day's offset from UTC must be between -720 and 840 minutes, found {found}")]
    DayOffset { found: i16 },
    #[error("a record's validity must be between 1 minute and 7 days, found {found} ms")]
    Validity { found: u64 },
    #[error("{role} {id} is named twice")]
    MemberTwice { role: Role, id: u16 },
    #[error("the name of {role} {id} must have 1 to 64 bytes")]
    MemberName { role: Role, id: u16 },
    #[error("the signing key of {role} {id} cannot be used: {reason}")]
    MemberKey { role: Role, id: u16, reason: String },
    #[error("two nodes of the central bank share a signing key, {role} {id} is the second")]
    SigningKeyTwice { role: Role, id: u16 },
    #[error("two members share a node key, {role} {id} is the second")]
    NodeKeyTwice { role: Role, id: u16 },
    #[error("a bank's number must be 1 to 65535, found 0, which is the central bank's")]
    BankZero,
    #[error("there must be at least one {role}, found none")]
    NoMember { role: Role },
    #[error("the committee's threshold must be between 1 and its {seats} seats, found {found}")]
    Threshold { seats: usize, found: u16 },
    #[error(
        "the header signatures required must lie between 1 and the {nodes} nodes of the central bank, found {found}"
    )]
    HeaderSignatures { nodes: usize, found: u16 },
    #[error(
        "the opening balance sheet does not balance: assets {assets}, liabilities {liabilities}, equity {equity} minor \
        units"
    )]
    Unbalanced { assets: i128, liabilities: i128, equity: i128 },
    #[error(
        "the opening balance sheet must hold no CBDC, found {found} minor units: issue it by command, so that every \
        unit has a record"
    )]
    OpeningCbdc { found: u64 },
    #[error(
        "the first policy cannot be in force: the deposit rate must not be above the policy rate, nor that above the \
        lending rate, nor that above the penalty rate; shares are at most 1,000,000 ppm; a velocity rule counts 1 to \
        64 payments in at most 31 days; work per block is 1 to 65,536"
    )]
    Policy,
    #[error(
        "the opening balance sheet must hold no loans to banks, found {found} minor units to bank {bank}: lend by \
        command, so that every loan has its terms"
    )]
    OpeningLoans { bank: BankId, found: u64 },
    #[error("the opening balance sheet names bank {bank}, which is not a member")]
    UnknownBank { bank: BankId },
}

impl Genesis {
    /// The network's id.
    pub fn network(&self) -> NetworkId {
        NetworkId(*blake3::hash(&self.to_bytes()).as_bytes())
    }

    /// Checks everything that a ledger relies on.
    pub fn validate(&self) -> Result<(), GenesisError> {
        if !self.currency.iter().all(u8::is_ascii_uppercase) || self.currency_exponent > 6 {
            let code = String::from_utf8_lossy(&self.currency).into_owned();
            return Err(GenesisError::Currency { code, exponent: self.currency_exponent });
        }
        if !(-720..=840).contains(&self.day_offset_minutes) {
            return Err(GenesisError::DayOffset { found: self.day_offset_minutes });
        }
        if !(60_000..=604_800_000).contains(&self.validity_ms_max) {
            return Err(GenesisError::Validity { found: self.validity_ms_max });
        }
        self.validate_members()?;
        if !self.policy.is_sound() {
            return Err(GenesisError::Policy);
        }
        self.validate_books()
    }

    fn validate_members(&self) -> Result<(), GenesisError> {
        let mut seen = BTreeSet::new();
        let (mut node_keys, mut signing_keys) = (BTreeSet::new(), BTreeSet::new());
        let mut count: BTreeMap<Role, usize> = BTreeMap::new();
        for Member { role, id, name, signing_key, node_key } in &self.members {
            let (role, id) = (*role, id.0);
            if !seen.insert((role, id)) {
                return Err(GenesisError::MemberTwice { role, id });
            }
            if role == Role::Bank && id == 0 {
                return Err(GenesisError::BankZero);
            }
            if name.is_empty() || name.len() > Member::NAME_BYTES_MAX {
                return Err(GenesisError::MemberName { role, id });
            }
            signing_key.check_for_account().map_err(|error| GenesisError::MemberKey {
                role,
                id,
                reason: error.to_string(),
            })?;
            if role == Role::CentralBank && !signing_keys.insert(*signing_key) {
                return Err(GenesisError::SigningKeyTwice { role, id });
            }
            if node_key.is_some_and(|key| !node_keys.insert(key)) {
                return Err(GenesisError::NodeKeyTwice { role, id });
            }
            *count.entry(role).or_default() += 1;
        }
        let of = |role: Role| count.get(&role).copied().unwrap_or(0);
        for role in [Role::CentralBank, Role::Committee, Role::Operator, Role::Registrar] {
            if of(role) == 0 {
                return Err(GenesisError::NoMember { role });
            }
        }
        if self.threshold == 0 || usize::from(self.threshold) > of(Role::Committee) {
            return Err(GenesisError::Threshold { seats: of(Role::Committee), found: self.threshold });
        }
        if self.header_signatures == 0 || usize::from(self.header_signatures) > of(Role::CentralBank) {
            return Err(GenesisError::HeaderSignatures { nodes: of(Role::CentralBank), found: self.header_signatures });
        }
        Ok(())
    }

    fn validate_books(&self) -> Result<(), GenesisError> {
        let books = &self.books;
        if !books.balances() {
            let (assets, liabilities, equity) = (books.assets(), books.liabilities(), books.equity());
            return Err(GenesisError::Unbalanced { assets, liabilities, equity });
        }
        if !books.cbdc().is_zero() {
            return Err(GenesisError::OpeningCbdc { found: books.cbdc().minor() });
        }
        if let Some((bank, lent)) = books.banks().find(|(_, bank)| !bank.loans.is_zero()) {
            return Err(GenesisError::OpeningLoans { bank, found: lent.loans.minor() });
        }
        let is_member =
            |bank: &BankId| self.members.iter().any(|member| member.role == Role::Bank && member.id.0 == bank.0);
        match books.banks().map(|(bank, _)| bank).find(|bank| !is_member(bank)) {
            Some(bank) => Err(GenesisError::UnknownBank { bank }),
            None => Ok(()),
        }
    }

    /// The encoded genesis, whose hash is the network's id.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(1024);
        out.u8(self.format as u8).raw(&self.currency).u8(self.currency_exponent).u8(self.day_count as u8);
        out.u16(self.day_offset_minutes as u16).u64(self.created_at.0).u64(self.validity_ms_max);
        out.u16(self.header_signatures).u16(self.threshold).u32(self.members.len() as u32);
        self.members.iter().for_each(|member| member.encode(&mut out));
        self.books.encode_opening(&mut out);
        self.policy.encode(&mut out);
        out.finish()
    }

    /// Reads and validates.
    pub fn from_bytes(bytes: &[u8]) -> Result<Genesis, GenesisError> {
        let mut input = Reader::new("genesis", bytes);
        let genesis = Genesis::decode(&mut input)?;
        input.finish()?;
        genesis.validate()?;
        Ok(genesis)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Genesis, DecodeError> {
        let format = FormatVersion::decode(input)?;
        let currency = input.array()?;
        let currency_exponent = input.u8()?;
        let day_count = match input.u8()? {
            1 => DayCount::Actual365,
            2 => DayCount::Actual360,
            other => return Err(input.wrong("1 (actual/365) or 2 (actual/360)", u64::from(other))),
        };
        let day_offset_minutes = input.u16()? as i16;
        let created_at = Timestamp(input.u64()?);
        let validity_ms_max = input.u64()?;
        let (header_signatures, threshold) = (input.u16()?, input.u16()?);
        let members = (0..input.u32()?).map(|_| Member::decode(input)).collect::<Result<_, _>>()?;
        let books = Books::decode_opening(input)?;
        let policy = Parameters::decode(input)?;
        Ok(Genesis {
            format,
            currency,
            currency_exponent,
            day_count,
            day_offset_minutes,
            created_at,
            validity_ms_max,
            header_signatures,
            threshold,
            members,
            books,
            policy,
        })
    }
}

/// Composes an opening balance sheet: reserves of each bank, backed by securities, and banknotes.
///
/// Entries: securities = reserves + banknotes + equity.
pub fn opening_books(
    reserves: impl IntoIterator<Item = (BankId, Amount)>,
    banknotes: Amount,
    equity: Amount,
) -> Option<Books> {
    let mut books = Books { banknotes, equity: i128::from(equity.minor()), ..Books::default() };
    let mut securities = banknotes.plus(equity)?;
    for (bank, amount) in reserves {
        books.banks.entry(bank).or_default().reserves = amount;
        securities = securities.plus(amount)?;
    }
    (books.securities, books.securities_nominal) = (securities, securities);
    Some(books)
}
