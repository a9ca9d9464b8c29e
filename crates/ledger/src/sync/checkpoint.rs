//! A checkpoint: the whole ledger at one height, as a stream of chunks.
//!
//! [`Ledger::snapshot`] takes a snapshot that later blocks do not change, in well under a millisecond per million
//! wallets; it is encoded while blocks continue to be applied. Chunks are self-contained and in a fixed order:
//!
//! | section | chunk |
//! |---|---|
//! | 1 | version (1; this is 2), header of the tip, digests of the sections (384), genesis, length of the state (8); |
//! | | in a partial replica, its bank (2) |
//! | 5 | a part of the state, one stream cut into parts: members, policy, proposals, books, banks' positions, |
//! | | holds, freezes, programmes, sweep, reclassified holders |
//! | 2 | holders: first position, count, (record, times of recent payments) |
//! | 3 | a bank: number, issuance of the day |
//! | 6 | retired keys of the bank of the last section 3: count, keys |
//! | 4 | accounts of the bank of the last section 3: first serial, count, (record, key) |
//!
//! A partial replica has two more sections at the end: 7, holders (count, (position, record)), and 8, linked
//! wallets of other banks (count, (account, record, key)), and it begins with 9, the root of each bank's keys (count,
//! (bank, root)).
//!
//! The root is BLAKE3 over all chunks, each preceded by its length. A load checks
//!
//! 1. the root, so that the chunks are those that were written;
//! 2. the invariants;
//! 3. that balance sheet, positions, version of policy and CBDC are those of the header;
//! 4. in version 2 of the formats, that the digests are those under the header's state root, and that each section of
//!    the state has its digest. In a checkpoint of a checkpoint block that includes holders, and the balances root
//!    covers the accounts, so that every byte of the state is checked. A partial replica checks the sections that it
//!    keeps.

use std::sync::Arc;

use cbdc_signatures::PublicKey;

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::governance::GovernanceProposals;
use crate::ledger::genesis::{Genesis, GenesisError};
use crate::ledger::{InvariantBroken, Ledger};
use crate::policy::PolicyVersions;
use crate::state::account::{ACCOUNT_BYTES, Account};
use crate::state::bank_accounts::BankAccounts;
use crate::state::bank_position::Positions;
use crate::state::bank_table::BankTable;
use crate::state::books::Books;
use crate::state::class_history::ClassHistory;
use crate::state::dirty_set::DirtySet;
use crate::state::freeze::Freezes;
use crate::state::header::{Header, books_digest};
use crate::state::hold::Holds;
use crate::state::holder::{HOLDER_BYTES, Holder, holder_key};
use crate::state::index::Index;
use crate::state::member::Members;
use crate::state::partial_replica::PartialReplica;
use crate::state::programme::Programmes;
use crate::state::recent_payments::RecentPayments;
use crate::state::remuneration_sweep::RemunerationSweep;
use crate::state::sections::{Section, Sections};
use crate::types::amount::Amount;
use crate::types::format::FormatVersion;
use crate::types::identity::{AccountId, BankId, Height, NetworkId};
use crate::types::time::LedgerDay;

/// Records per chunk: about 400 KiB.
const RECORDS: usize = 4096;

const MAIN: u8 = 1;
const HOLDERS: u8 = 2;
const BANK: u8 = 3;
const ACCOUNTS: u8 = 4;
const STATE: u8 = 5;
const RETIRED_KEYS: u8 = 6;
const KNOWN_HOLDERS: u8 = 7;
const LINKED: u8 = 8;
const KEY_ROOTS: u8 = 9;

/// The version of a checkpoint's layout.
const CHECKPOINT_VERSION: u8 = 2;

/// Bytes of the state in a chunk.
const STATE_BYTES: usize = 1 << 20;

/// A snapshot of the ledger, which later blocks do not change.
pub struct LedgerSnapshot(Ledger);

/// The reason why a checkpoint cannot be loaded.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("the checkpoint cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("the checkpoint's genesis is not acceptable: {0}")]
    Genesis(#[from] GenesisError),
    #[error("the checkpoint's chunks are not in order: expected {expected}, found section {found}")]
    OutOfOrder { expected: &'static str, found: u8 },
    #[error("the checkpoint's root is not the one recorded for it: expected {expected}, found {found}")]
    Root { expected: String, found: String },
    #[error("the checkpoint's ledger is not valid: {0}")]
    Invariant(#[from] InvariantBroken),
    #[error(
        "the checkpoint differs from the header of block {height} in its {part}: expected {expected}, found {found}"
    )]
    OtherState { height: Height, part: &'static str, expected: String, found: String },
}

impl Ledger {
    /// Takes a snapshot at the present height.
    pub fn snapshot(&mut self) -> LedgerSnapshot {
        LedgerSnapshot(Ledger {
            genesis: self.genesis.clone(),
            network: self.network,
            format: self.format,
            tip: self.tip,
            tip_hash: self.tip_hash,
            sections: self.sections,
            members: self.members.clone(),
            policy: self.policy.clone(),
            proposals: self.proposals.clone(),
            books: self.books.clone(),
            supply: self.supply,
            banks: self.banks.iter_mut().map(|(bank, accounts)| (bank, accounts.snapshot())).collect(),
            holders: self.holders.snapshot(),
            recent_payments: self.recent_payments.snapshot(),
            holder_index: Index::default(),
            class_history: self.class_history.clone(),
            holds: self.holds.snapshot(),
            freezes: self.freezes.clone(),
            programmes: self.programmes.snapshot(),
            positions: self.positions.clone(),
            sweep: self.sweep,
            partial_replica: self.partial_replica.clone(),
        })
    }
}

impl BankAccounts {
    /// Everything but the index, which is rebuilt from the keys.
    fn snapshot(&mut self) -> BankAccounts {
        BankAccounts {
            accounts: self.accounts.snapshot(),
            keys: self.keys.snapshot(),
            retired_keys: self.retired_keys.clone(),
            key_index: Index::default(),
            dirty: DirtySet::default(),
            issued_today: self.issued_today,
            issued_day: self.issued_day,
        }
    }
}

/// Hashes a checkpoint's chunks one after the other.
#[derive(Default)]
pub struct RootHasher(blake3::Hasher);

impl RootHasher {
    /// Adds the next chunk.
    pub fn chunk(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }

    /// The root over the chunks so far.
    pub fn root(&self) -> Hash {
        *self.0.finalize().as_bytes()
    }
}

impl LedgerSnapshot {
    /// The header of the block at which the snapshot was taken.
    pub fn header(&self) -> &Header {
        &self.0.tip
    }

    /// The network whose ledger it is.
    pub fn network(&self) -> NetworkId {
        self.0.network
    }

    /// The height at which the snapshot was taken.
    pub fn height(&self) -> Height {
        self.0.tip.height
    }

    /// Passes every chunk to `take`, in order, and returns the root.
    pub fn write<E>(&self, mut take: impl FnMut(Vec<u8>) -> Result<(), E>) -> Result<Hash, E> {
        let mut hasher = RootHasher::default();
        let mut emit = |bytes: Vec<u8>| {
            hasher.chunk(&bytes);
            take(bytes)
        };
        let state = self.state();
        emit(self.main_chunk(state.len()))?;
        for part in state.chunks(STATE_BYTES) {
            emit([&[STATE], part].concat())?;
        }
        drop(state);
        let holders: Vec<_> = self.0.holders.iter().zip(self.0.recent_payments.iter()).collect();
        for (part, records) in holders.chunks(RECORDS).enumerate() {
            let mut out = Writer::with_capacity(16 + records.len() * HOLDER_BYTES);
            out.u8(HOLDERS).u64((part * RECORDS) as u64).u32(records.len() as u32);
            for (holder, recent) in records {
                holder.encode(&mut out);
                recent.encode(&mut out);
            }
            emit(out.finish())?;
        }
        for (bank, accounts) in self.0.banks.iter() {
            emit(bank_chunk(bank, accounts))?;
            let retired: Vec<_> = accounts.retired_keys.iter().collect();
            for keys in retired.chunks(RECORDS) {
                let mut out = Writer::with_capacity(8 + keys.len() * 32);
                out.u8(RETIRED_KEYS).u32(keys.len() as u32);
                keys.iter().for_each(|(key, ())| {
                    out.raw(*key);
                });
                emit(out.finish())?;
            }
            let mut records = accounts.accounts.iter().zip(accounts.keys.iter());
            for first in (0..accounts.accounts.len()).step_by(RECORDS) {
                let count = RECORDS.min(accounts.accounts.len() - first);
                let mut out = Writer::with_capacity(16 + count * (ACCOUNT_BYTES + 32));
                out.u8(ACCOUNTS).u64(first as u64).u32(count as u32);
                for (account, key) in records.by_ref().take(count) {
                    account.encode(&mut out);
                    out.raw(&key.0);
                }
                emit(out.finish())?;
            }
        }
        if let Some(part) = &self.0.partial_replica {
            part_chunks(part).try_for_each(&mut emit)?;
        }
        Ok(hasher.root())
    }

    fn main_chunk(&self, state_bytes: usize) -> Vec<u8> {
        let ledger = &self.0;
        let genesis = ledger.genesis.to_bytes();
        let mut out = Writer::with_capacity(genesis.len() + 1024);
        out.u8(MAIN).u8(CHECKPOINT_VERSION).raw(&ledger.tip.to_bytes());
        out.raw(ledger.sections.digests().as_flattened());
        out.u32(genesis.len() as u32).raw(&genesis).u64(state_bytes as u64);
        if let Some(bank) = ledger.partial_replica_of() {
            out.u16(bank.0);
        }
        out.finish()
    }

    /// The state apart from holders and accounts.
    fn state(&self) -> Vec<u8> {
        let ledger = &self.0;
        let mut out = Writer::with_capacity(65_536);
        ledger.members.encode(&mut out);
        ledger.policy.encode(&mut out);
        ledger.proposals.encode(&mut out);
        ledger.books.encode(&mut out);
        ledger.positions.encode(&mut out);
        ledger.holds.encode(&mut out);
        ledger.freezes.encode(&mut out);
        ledger.programmes.encode(&mut out);
        ledger.sweep.encode(&mut out);
        ledger.class_history.encode(&mut out);
        out.finish()
    }
}

fn part_chunks(part: &PartialReplica) -> impl Iterator<Item = Vec<u8>> {
    let holders: Vec<_> = part.holders.iter().collect();
    let linked: Vec<_> = part.linked.iter().collect();
    let mut roots = Writer::with_capacity(8 + part.key_roots.len() * 34);
    roots.u8(KEY_ROOTS).u16(part.key_roots.len() as u16);
    part.key_roots.iter().for_each(|(bank, root)| {
        roots.u16(bank.0).raw(root);
    });
    let mut chunks = vec![roots.finish()];
    for holders in holders.chunks(RECORDS) {
        let mut out = Writer::with_capacity(8 + holders.len() * (4 + HOLDER_BYTES));
        out.u8(KNOWN_HOLDERS).u32(holders.len() as u32);
        holders.iter().for_each(|(position, holder)| holder.encode(out.u32(**position)));
        chunks.push(out.finish());
    }
    for linked in linked.chunks(RECORDS) {
        let mut out = Writer::with_capacity(8 + linked.len() * (8 + ACCOUNT_BYTES + 32));
        out.u8(LINKED).u32(linked.len() as u32);
        for (account, (record, key)) in linked {
            record.encode(out.u64(account.to_u64()));
            out.raw(&key.0);
        }
        chunks.push(out.finish());
    }
    chunks.into_iter()
}

fn bank_chunk(bank: BankId, accounts: &BankAccounts) -> Vec<u8> {
    let mut out = Writer::with_capacity(64);
    out.u8(BANK).u16(bank.0).u64(accounts.issued_today.minor()).u32(accounts.issued_day.0);
    out.finish()
}

/// Rebuilds a ledger from chunks in order.
#[derive(Default)]
pub struct Loader {
    hasher: RootHasher,
    beginning: Option<Beginning>,
    ledger: Option<Ledger>,
    bank: Option<BankId>,
}

/// The content of the first chunk, and the state read so far.
struct Beginning {
    tip: Header,
    sections: Sections,
    genesis: Genesis,
    state: Vec<u8>,
    state_bytes: u64,
    /// The bank of a partial replica.
    part_of: Option<BankId>,
}

impl Loader {
    /// Takes the next chunk.
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        self.hasher.chunk(bytes);
        let mut input = Reader::new("checkpoint", bytes);
        let section = input.u8()?;
        match (section, &mut self.ledger) {
            (MAIN, None) if self.beginning.is_none() => self.beginning = Some(read_main(&mut input)?),
            (STATE, None) => {
                let Some(beginning) = &mut self.beginning else {
                    return Err(CheckpointError::OutOfOrder { expected: "the main section", found: section });
                };
                beginning.state.extend_from_slice(input.raw(input.left())?);
                let (expected, found) = (beginning.state_bytes, beginning.state.len() as u64);
                if found > expected {
                    return Err(input.wrong("a state of the length that the main section names", found).into());
                }
            }
            (HOLDERS, Some(ledger)) => read_holders(&mut input, ledger)?,
            (BANK, Some(ledger)) => self.bank = Some(read_bank(&mut input, ledger)?),
            (RETIRED_KEYS, Some(ledger)) => read_retired_keys(&mut input, accounts_of(ledger, self.bank, section)?)?,
            (ACCOUNTS, Some(ledger)) => read_accounts(&mut input, accounts_of(ledger, self.bank, section)?)?,
            (KNOWN_HOLDERS, Some(ledger)) => read_known_holders(&mut input, part_of(ledger, section)?)?,
            (KEY_ROOTS, Some(ledger)) => read_key_roots(&mut input, part_of(ledger, section)?)?,
            (LINKED, Some(ledger)) => read_linked(&mut input, part_of(ledger, section)?)?,
            (found, None) => {
                return Err(CheckpointError::OutOfOrder { expected: "the main section, then the state", found });
            }
            (found, Some(_)) => {
                return Err(CheckpointError::OutOfOrder { expected: "holders, banks or accounts", found });
            }
        }
        if self.beginning.as_ref().is_some_and(|beginning| beginning.state.len() as u64 >= beginning.state_bytes)
            && let Some(beginning) = self.beginning.take()
        {
            self.ledger = Some(read_state(beginning)?);
        }
        Ok(input.finish()?)
    }

    /// Checks the root and the invariants, and returns the ledger.
    pub fn finish(self, expected_root: Hash) -> Result<Ledger, CheckpointError> {
        let found = self.hasher.root();
        if found != expected_root {
            let (expected, found) = (crate::codec::encoding::hex(&expected_root), crate::codec::encoding::hex(&found));
            return Err(CheckpointError::Root { expected, found });
        }
        let mut ledger = self.ledger.ok_or(CheckpointError::OutOfOrder { expected: "the main section", found: 0 })?;
        ledger.check_invariants()?;
        ledger.check_against_header()?;
        ledger.index();
        Ok(ledger)
    }
}

impl Ledger {
    /// Checks the state against the tip's header.
    fn check_against_header(&mut self) -> Result<(), CheckpointError> {
        let tip = self.tip;
        let compare = |part: &'static str, expected: Hash, found: Hash| match expected == found {
            true => Ok(()),
            false => {
                let [expected, found] = [expected, found].map(|hash| crate::codec::encoding::hex(&hash));
                Err(CheckpointError::OtherState { height: tip.height, part, expected, found })
            }
        };
        // The genesis of version 1 hashes the positions as they are before the first members have theirs.
        if tip.height.0 > 0 || tip.format > FormatVersion::One {
            compare("balance sheet", tip.books_digest, books_digest(&self.books, &self.positions))?;
        }
        let number = |part, expected: u64, found: u64| match expected == found {
            true => Ok(()),
            false => {
                let (expected, found) = (expected.to_string(), found.to_string());
                Err(CheckpointError::OtherState { height: tip.height, part, expected, found })
            }
        };
        number("CBDC", tip.cbdc.minor(), self.books.cbdc().minor())?;
        number("version of policy", tip.policy_version.into(), self.policy.in_force().version.into())?;
        if tip.format == FormatVersion::One {
            return Ok(());
        }
        compare("list of digests", tip.state_root, self.sections.root(self.network))?;
        let (kept, found) = match self.partial_replica {
            None => (&Section::ALL[..], self.digest_sections(tip.is_of_checkpoint())),
            Some(_) => (&PartialReplica::SECTIONS[..], self.digest_part()),
        };
        for section in kept {
            compare(section.name(), self.sections.of(*section), found.of(*section))?;
        }
        match self.partial_replica.is_none() && tip.is_of_checkpoint() {
            true => compare("accounts", tip.balances_root, self.balances_root()),
            false => Ok(()),
        }
    }

    /// Builds the indexes, which no checkpoint holds.
    fn index(&mut self) {
        let holders = &self.holders;
        self.holder_index = Index::over(0..holders.len() as u32, |position| holder_key(holders, position));
        for (_, accounts) in self.banks.iter_mut() {
            accounts.index();
        }
        let moved = self.holds.payees().filter_map(|payee| Some((payee, self.moved_to(payee)?))).collect();
        self.holds.index_former(moved);
    }
}

fn read_main(input: &mut Reader<'_>) -> Result<Beginning, CheckpointError> {
    match input.u8()? {
        CHECKPOINT_VERSION => {}
        other => return Err(input.wrong("version 2", u64::from(other)).into()),
    }
    let tip = Header::decode(input)?;
    let mut digests = [[0; 32]; Section::ALL.len()];
    for digest in &mut digests {
        *digest = input.array()?;
    }
    let length = input.u32()? as usize;
    let genesis = Genesis::from_bytes(input.raw(length)?)?;
    let state_bytes = input.u64()?;
    let part_of = if input.is_empty() { None } else { Some(BankId(input.u16()?)) };
    Ok(Beginning { tip, sections: Sections::of_digests(digests), genesis, state: Vec::new(), state_bytes, part_of })
}

fn read_state(beginning: Beginning) -> Result<Ledger, CheckpointError> {
    let Beginning { tip, sections, genesis, state, part_of, .. } = beginning;
    let mut input = Reader::new("checkpoint", &state);
    let day_offset_minutes = genesis.day_offset_minutes;
    let ledger = Ledger {
        network: genesis.network(),
        genesis: Arc::new(genesis),
        format: tip.format,
        tip_hash: tip.hash(),
        sections,
        tip,
        members: Members::decode(&mut input)?,
        policy: PolicyVersions::decode(&mut input, day_offset_minutes)?,
        proposals: GovernanceProposals::decode(&mut input)?,
        books: Books::decode(&mut input)?,
        supply: tip.supply,
        positions: Positions::decode(&mut input)?,
        holds: Holds::decode(&mut input)?,
        freezes: Freezes::decode(&mut input)?,
        programmes: Programmes::decode(&mut input)?,
        sweep: RemunerationSweep::decode(&mut input)?,
        class_history: ClassHistory::decode(&mut input)?,
        banks: BankTable::default(),
        holders: Default::default(),
        recent_payments: Default::default(),
        holder_index: Index::default(),
        partial_replica: part_of.map(|bank| Box::new(PartialReplica::new(bank))),
    };
    input.finish()?;
    Ok(ledger)
}

fn accounts_of(ledger: &mut Ledger, bank: Option<BankId>, section: u8) -> Result<&mut BankAccounts, CheckpointError> {
    let accounts = bank.and_then(|bank| ledger.banks.get_mut(bank));
    accounts.ok_or(CheckpointError::OutOfOrder { expected: "a bank", found: section })
}

fn read_retired_keys(input: &mut Reader<'_>, accounts: &mut BankAccounts) -> Result<(), CheckpointError> {
    for _ in 0..input.u32()? {
        accounts.retired_keys.insert(input.array()?, ());
    }
    Ok(())
}

fn part_of(ledger: &mut Ledger, section: u8) -> Result<&mut PartialReplica, CheckpointError> {
    ledger
        .partial_replica
        .as_deref_mut()
        .ok_or(CheckpointError::OutOfOrder { expected: "a whole ledger", found: section })
}

fn read_known_holders(input: &mut Reader<'_>, part: &mut PartialReplica) -> Result<(), CheckpointError> {
    for _ in 0..input.u32()? {
        part.holders.insert(input.u32()?, Holder::decode(input)?);
    }
    Ok(())
}

fn read_key_roots(input: &mut Reader<'_>, part: &mut PartialReplica) -> Result<(), CheckpointError> {
    for _ in 0..input.u16()? {
        part.key_roots.insert(BankId(input.u16()?), input.array()?);
    }
    Ok(())
}

fn read_linked(input: &mut Reader<'_>, part: &mut PartialReplica) -> Result<(), CheckpointError> {
    for _ in 0..input.u32()? {
        let account = AccountId::decode(input)?;
        part.linked.insert(account, (Account::decode(input)?, PublicKey(input.array()?)));
    }
    Ok(())
}

fn read_holders(input: &mut Reader<'_>, ledger: &mut Ledger) -> Result<(), CheckpointError> {
    expect_position(input, ledger.holders.len())?;
    for _ in 0..input.u32()? {
        ledger.holders.push(Holder::decode(input)?);
        let recent = RecentPayments::decode(input)?;
        let position = ledger.recent_payments.push_default();
        if !recent.is_empty() {
            *ledger.recent_payments.get_mut(position).expect("the record was just appended") = recent;
        }
    }
    Ok(())
}

fn read_bank(input: &mut Reader<'_>, ledger: &mut Ledger) -> Result<BankId, CheckpointError> {
    let bank = BankId(input.u16()?);
    let issued_today = Amount::from_minor(input.u64()?);
    let issued_day = LedgerDay(input.u32()?);
    ledger.banks.insert(bank, BankAccounts { issued_today, issued_day, ..BankAccounts::default() });
    Ok(bank)
}

fn read_accounts(input: &mut Reader<'_>, accounts: &mut BankAccounts) -> Result<(), CheckpointError> {
    expect_position(input, accounts.accounts.len())?;
    for _ in 0..input.u32()? {
        accounts.accounts.push(Account::decode(input)?);
        accounts.keys.push(PublicKey(input.array()?));
    }
    Ok(())
}

fn expect_position(input: &mut Reader<'_>, expected: usize) -> Result<(), CheckpointError> {
    match input.u64()? {
        position if position == expected as u64 => Ok(()),
        position => Err(input.wrong("the position after the last record", position).into()),
    }
}
