//! Filtered blocks: the parts of a block for a bank that follows headers and its own customers instead of the whole
//! chain.
//!
//! A full replica applies every payment of the network. A partial replica applies none: for each block it gets the
//! header and a filtered block, and stores its own accounts as the block left them. It checks ([`Ledger::follow`]):
//!
//! * that the header continues the chain; the caller checks its signatures;
//! * that the changed accounts of the bank are the complete data of its leaf under the header's effects root: none is
//!   missing, added or altered;
//! * that balance sheet and positions have the header's digest, and the policy in force has the header's version;
//! * from version 2 of the formats on, that the digests of the state's sections are those under the header's state
//!   root, and that members, policy, the keys of the bank's wallets and the classes of reclassified holders have their
//!   digests;
//!
//! * that the entries of each of the bank's wallets add up to the change of its balance.
//!
//! Commands and holders are taken on trust from the central bank, whose node key the connection proved; a receipt
//! proves any command on demand.
//!
//! # Layout
//! Accounts, outcomes and commands are in their compact encodings, numbers as in [`crate::codec::compact`]: filtered
//! blocks are most of what a bank receives and stores.
//!
//! | part | encoding |
//! |---|---|
//! | version (1; this is 5), reserved (1), bank (2) | |
//! | path of the bank's leaf | index (2), number of banks (2), length (1), hashes; zeros before the bank is a member |
//! | changed accounts of the bank | count (4), (serials passed over (number), record (compact)) in serial order |
//! | linked wallets of other banks | count (4), (account (8), record (compact)): |
//! | | changed wallets that are linked to the bank, and those that a command of the block linked anew |
//! | keys | count (4), (account (8), key (32)): of opened wallets and replaced keys among the above |
//! | holders | count (4), (position (4), record (64)): holders of those, and reclassified ones |
//! | waterfalls | count (4), (command (4), wallet (8), amount (8), to the deposit (1)): |
//! | | between wallets and deposits at this bank |
//! | entries | count (4), entries ([`Entry::encode`]) of the bank's wallets, in the block's order |
//! | books | length (4), balance sheet and positions where they changed |
//! | members | length (4), the members without the sequence numbers that they have used, where members changed |
//! | policy | count (4), the versions of policy that began with the block |
//! | classes | count (4), (position (4), count (4), (day (4), class (1))) of each holder who was reclassified |
//! | digests | count (1; 0 where none changed), digest (32) of each section; |
//! | | then count (2; 0 where no key changed), (bank (2), root of its keys (32)) |
//! | commands | count (4), (commands passed over (number), outcome (compact), command (compact)): |
//! | | those that name the bank or an account of it |

use std::collections::{BTreeMap, BTreeSet};

use arrayvec::ArrayVec;
use cbdc_signatures::PublicKey;

use super::entry_sums::first_unexplained;
use crate::chain::bank_leaf::BankLeaf;
use crate::chain::block::Block;
use crate::chain::block_proposal::BlockProposal;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle;
use crate::codec::merkle::Hash;
use crate::command::{Command, Signer};
use crate::ledger::{Ledger, digest_of_roots};
use crate::policy::PolicyVersions;
use crate::state::account::Account;
use crate::state::bank_accounts::BankAccounts;
use crate::state::bank_position::Positions;
use crate::state::books::Books;
use crate::state::class_history::{self, Classes};
use crate::state::header::{Header, books_digest};
use crate::state::holder::Holder;
use crate::state::key_table::KeyTable;
use crate::state::member::{Members, Role};
use crate::state::merkle_map::Encoded;
use crate::state::prefetch::{PREFETCH_BATCH, prefetch_accounts};
use crate::state::sections::{Section, Sections};
use crate::state::sequence::SequenceStatus;
use crate::transition::changes::{Changes, DepositDirection, DepositMovement, KeyChange};
use crate::transition::entry::Entry;
use crate::types::amount::Amount;
use crate::types::format::FormatVersion;
use crate::types::identity::{AccountId, BankId, Height, MemberId};
use crate::types::outcome::{Outcome, Stage};

/// The first byte of a filtered block.
const FILTERED_BLOCK_VERSION: u8 = 5;
/// Bytes of the shortest account entry: a number of one byte, and the lengths of 14 words.
const ACCOUNT_ENTRY_BYTES_MIN: usize = 8;
/// Bytes of the shortest entry of a wallet: the lengths of 6 words, serial, cause and amount.
const ENTRY_BYTES_MIN: usize = 6;
/// The approximate bytes of a short command entry: a bound on what is reserved.
const COMMAND_ENTRY_BYTES_MIN: usize = 80;

/// The reason why a filtered block is refused. The ledger is unchanged.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilteredBlockError {
    #[error("the filtered block cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("expected a filtered block for bank {expected}, found one for bank {found}")]
    OtherBank { expected: BankId, found: BankId },
    #[error("expected block {expected} on this chain, found block {found} or another parent")]
    OtherParent { expected: Height, found: Height },
    #[error("the changed accounts are not those under the effects root of block {height}")]
    OtherAccounts { height: Height },
    #[error("the balance sheet is not the one that the header of block {height} names")]
    OtherBooks { height: Height },
    #[error("the policy is in version {found}, the header of block {height} names version {expected}")]
    OtherPolicy { height: Height, expected: u32, found: u32 },
    #[error("the state after block {height} differs from its header in the {section}")]
    OtherState { height: Height, section: Section },
    #[error("the digests after block {height} are not those under its header's state root")]
    OtherDigests { height: Height },
    #[error("block {height} goes back from version {expected} of the formats to {found}")]
    OtherFormat { height: Height, expected: FormatVersion, found: FormatVersion },
    #[error("block {height} has an account {account} without the data that belongs to it")]
    Incomplete { height: Height, account: AccountId },
    #[error("the entries of {account} in block {height} do not add up to the change of its balance")]
    OtherEntries { height: Height, account: AccountId },
    #[error("block {height} uses sequence number {sequence} of this bank, which is not free")]
    SequenceNotFree { height: Height, sequence: u64 },
}

/// A command of a filtered block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCommand {
    /// Its index in the block.
    pub index: u32,
    /// The offset of its outcome in the filtered block; the command follows.
    pub offset: u32,
    /// The command's outcome.
    pub outcome: Outcome,
    /// The command.
    pub command: Command,
}

impl OwnCommand {
    /// Reads outcome and command, which begin at `offset`, from the front of `input`.
    fn decode(input: &mut Reader<'_>, index: u32, offset: usize) -> Result<OwnCommand, DecodeError> {
        let (outcome, command) = (Outcome::decode_compact(input)?, Command::decode_compact(input)?);
        Ok(OwnCommand { index, offset: offset as u32, outcome, command })
    }
}

/// The result of following a filtered block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedBlock {
    /// The commands that name the bank or an account of it, in the block's order.
    pub commands: Vec<OwnCommand>,
    /// Keys, members, changed accounts, deposits and entries, as far as they are this bank's.
    pub changes: Changes,
}

/// The filtered blocks of a block for `banks`. `ledger` is the ledger after the block, `parent` the header before it.
pub fn filtered_blocks(
    ledger: &Ledger,
    banks: &[BankId],
    parent: &Header,
    proposal: &BlockProposal<'_>,
    block: &Block,
) -> Vec<(BankId, Vec<u8>)> {
    let leaf_index = |bank: &BankId| ledger.banks().position(|known| known == *bank);
    let mut builders: Vec<FilteredBlockBuilder> = banks
        .iter()
        .map(|bank| FilteredBlockBuilder::new(*bank, leaf_index(bank), block.changes.accounts.len()))
        .collect();
    if builders.is_empty() {
        return Vec::new();
    }
    let shared = Shared::of(ledger, parent, proposal, block);
    for account in &block.changes.accounts {
        let record = ledger.account(*account).expect("a changed account exists");
        for builder in &mut builders {
            if builder.bank == account.bank {
                builder.add_own(account.serial, record);
            } else if record.linked_bank == builder.bank || shared.linked_anew.contains(account) {
                builder.add_linked(*account, record);
            }
        }
    }
    for change in &block.changes.keys {
        for builder in &mut builders {
            let is_linked = ledger.account(change.account).is_some_and(|account| account.linked_bank == builder.bank);
            if builder.bank == change.account.bank || is_linked {
                builder.add_key(ledger, change.account);
            }
        }
    }
    for account in &shared.linked_anew {
        builders
            .iter_mut()
            .filter(|builder| builder.bank != account.bank)
            .for_each(|builder| builder.add_key(ledger, *account));
    }
    for movement in &block.changes.deposits {
        builders
            .iter_mut()
            .filter(|builder| builder.bank == movement.bank)
            .for_each(|builder| builder.add_movement(movement));
    }
    for entry in &block.changes.entries {
        builders
            .iter_mut()
            .filter(|builder| builder.bank == entry.wallet.bank)
            .for_each(|builder| builder.add_entry(entry));
    }
    for (index, (command, outcome)) in (0..).zip(proposal.commands.iter().zip(&block.outcomes)) {
        let named = banks_of(command);
        for builder in builders.iter_mut().filter(|builder| named.contains(&builder.bank)) {
            builder.add_command(index, command, outcome);
        }
    }
    builders.into_iter().map(|builder| (builder.bank, builder.finish(&shared, block))).collect()
}

/// The banks that a command names, or whose accounts it names. Bank 0 is none.
fn banks_of(command: &Command) -> [BankId; 3] {
    const NONE: BankId = BankId(0);
    match command {
        Command::Payment(signed) => [signed.record.from.bank, signed.record.to.bank, NONE],
        Command::OpenWallet(signed) => [signed.record.bank, NONE, NONE],
        Command::CloseWallet(signed) => [signed.record.account.bank, NONE, NONE],
        Command::ReplaceKey(signed) => [signed.record.account.bank, NONE, NONE],
        Command::Issuance(signed) => [signed.record.request.record.bank, NONE, NONE],
        Command::ReservesTransfer(signed) => [signed.record.from, signed.record.to, NONE],
        Command::Freeze(signed) => [signed.record.account.bank, NONE, NONE],
        Command::Seize(signed) => [signed.record.account.bank, signed.record.to.bank, NONE],
        Command::Propose(_) | Command::Vote(_) | Command::Reclassify(_) => [NONE; 3],
        Command::ReverseWaterfall(signed) => {
            let transfer = &signed.record.transfer.record;
            [signed.record.bank, transfer.from.bank, transfer.to.bank]
        }
        Command::Hold(signed) => [signed.record.from.bank, signed.record.to.bank, NONE],
        Command::Release(signed) => [signed.record.bank, NONE, NONE],
        Command::LinkBank(signed) => [signed.record.account.bank, signed.record.bank, NONE],
        Command::DesignateWallet(signed) => [signed.record.account.bank, NONE, NONE],
        Command::MoveWallet(signed) => [signed.record.account.bank, signed.record.bank, NONE],
        Command::Operation(signed) => [signed.record.bank, NONE, NONE],
        Command::DepositStatement(signed) => [signed.record.bank, NONE, NONE],
    }
}

/// The data that all filtered blocks of a block share.
struct Shared {
    books: Vec<u8>,
    members: Vec<u8>,
    /// Versions of policy, then classes.
    rules: Vec<u8>,
    digests: Vec<u8>,
    linked_anew: BTreeSet<AccountId>,
    /// Holders whose class changed, with their positions.
    reclassified: BTreeMap<u32, Holder>,
}

impl Shared {
    fn of(ledger: &Ledger, parent: &Header, proposal: &BlockProposal<'_>, block: &Block) -> Shared {
        let (mut linked_anew, mut reclassified) = (BTreeSet::new(), BTreeMap::new());
        let holder = |position: u32| Some((position, *ledger.holders.get(position as usize)?));
        for (command, outcome) in proposal.commands.iter().zip(&block.outcomes) {
            match command {
                Command::LinkBank(signed) if outcome.is_settled() => {
                    linked_anew.insert(signed.record.account);
                }
                Command::Reclassify(signed) if outcome.is_settled() => {
                    reclassified.extend(ledger.holder_position(signed.record.holder).and_then(holder));
                }
                _ => {}
            }
        }
        let mut books = Writer::default();
        if parent.books_digest != block.header.books_digest {
            ledger.books.encode(&mut books);
            ledger.positions.encode(&mut books);
        }
        let (mut members, mut rules) = (Writer::default(), Writer::default());
        if block.changes.members {
            ledger.members.encode_without_windows(&mut members);
        }
        ledger.policy.encode_after(parent.policy_version, &mut rules);
        let classes = |position: &u32| Some((*position, ledger.class_history.get(*position)?));
        let classes: Vec<(u32, &Classes)> = reclassified.keys().filter_map(classes).collect();
        rules.u32(classes.len() as u32);
        classes.iter().for_each(|(position, classes)| classes.encode(rules.u32(*position)));
        let digests = Shared::digests(ledger, parent, block);
        let (books, members, rules) = (books.finish(), members.finish(), rules.finish());
        Shared { books, members, rules, digests, linked_anew, reclassified }
    }
}

impl Shared {
    fn digests(ledger: &Ledger, parent: &Header, block: &Block) -> Vec<u8> {
        let mut out = Writer::default();
        if parent.state_root == block.header.state_root {
            out.u8(0).u16(0);
            return out.finish();
        }
        out.u8(Section::ALL.len() as u8).raw(ledger.sections.digests().as_flattened());
        let is_first = parent.format == FormatVersion::One;
        if !is_first && block.changes.keys.is_empty() && !block.changes.members {
            out.u16(0);
            return out.finish();
        }
        out.u16(ledger.banks().count() as u16);
        ledger.key_roots().for_each(|(bank, root)| {
            out.u16(bank.0).raw(&root);
        });
        out.finish()
    }
}

/// A filtered block under construction.
struct FilteredBlockBuilder {
    bank: BankId,
    /// The index of its leaf; `None` before the bank is a member.
    leaf_index: Option<usize>,
    own: Writer,
    own_count: u32,
    /// The serial behind the last of them.
    next_serial: u32,
    linked: Writer,
    linked_count: u32,
    keys: Writer,
    key_count: u32,
    holders: BTreeMap<u32, Holder>,
    movements: Writer,
    movement_count: u32,
    entries: Writer,
    entry_count: u32,
    commands: Writer,
    command_count: u32,
    /// The index behind the last of them.
    next_index: u32,
}

impl FilteredBlockBuilder {
    fn new(bank: BankId, leaf_index: Option<usize>, changed: usize) -> FilteredBlockBuilder {
        FilteredBlockBuilder {
            bank,
            leaf_index,
            own: Writer::with_capacity(changed * 16),
            own_count: 0,
            next_serial: 0,
            linked: Writer::default(),
            linked_count: 0,
            keys: Writer::default(),
            key_count: 0,
            holders: BTreeMap::new(),
            movements: Writer::default(),
            movement_count: 0,
            entries: Writer::default(),
            entry_count: 0,
            commands: Writer::with_capacity(changed * 80),
            command_count: 0,
            next_index: 0,
        }
    }

    fn add_own(&mut self, serial: u32, record: &Account) {
        record.encode_compact(self.own.number(u64::from(serial - self.next_serial)));
        self.own_count += 1;
        self.next_serial = serial + 1;
    }

    fn add_linked(&mut self, account: AccountId, record: &Account) {
        record.encode_compact(self.linked.u64(account.to_u64()));
        self.linked_count += 1;
    }

    fn add_key(&mut self, ledger: &Ledger, account: AccountId) {
        let (Some(key), Some(record)) = (ledger.key(account), ledger.account(account)) else { return };
        self.keys.u64(account.to_u64()).raw(&key.0);
        self.key_count += 1;
        self.holders.extend(ledger.holders.get(record.holder as usize).map(|holder| (record.holder, *holder)));
    }

    fn add_movement(&mut self, movement: &DepositMovement) {
        let to_deposit = movement.direction == DepositDirection::ToDeposit;
        self.movements.u32(movement.index).u64(movement.wallet.to_u64()).u64(movement.amount.minor());
        self.movements.u8(u8::from(to_deposit));
        self.movement_count += 1;
    }

    fn add_entry(&mut self, entry: &Entry) {
        entry.encode(&mut self.entries);
        self.entry_count += 1;
    }

    fn add_command(&mut self, index: u32, command: &Command, outcome: &Outcome) {
        outcome.encode_compact(self.commands.number(u64::from(index - self.next_index)));
        command.encode_compact(&mut self.commands);
        self.command_count += 1;
        self.next_index = index + 1;
    }

    fn finish(mut self, shared: &Shared, block: &Block) -> Vec<u8> {
        let path = self.leaf_index.and_then(|index| merkle::path(&block.effect_leaves, index)).unwrap_or_default();
        let (index, banks) = self.leaf_index.map_or((0, 0), |index| (index as u16, block.effect_leaves.len() as u16));
        let sections = [&self.own, &self.linked, &self.keys, &self.movements, &self.entries, &self.commands];
        let bytes: usize = sections.iter().map(|section| section.len()).sum();
        let mut out =
            Writer::with_capacity(bytes + shared.books.len() + shared.members.len() + shared.rules.len() + 1024);
        out.u8(FILTERED_BLOCK_VERSION).reserved(1).u16(self.bank.0);
        out.u16(index).u16(banks).u8(path.len() as u8).raw(path.as_flattened());
        out.u32(self.own_count).raw(self.own.as_bytes());
        out.u32(self.linked_count).raw(self.linked.as_bytes());
        out.u32(self.key_count).raw(self.keys.as_bytes());
        self.holders.extend(&shared.reclassified);
        out.u32(self.holders.len() as u32);
        self.holders.iter().for_each(|(position, holder)| holder.encode(out.u32(*position)));
        out.u32(self.movement_count).raw(self.movements.as_bytes());
        out.u32(self.entry_count).raw(self.entries.as_bytes());
        out.u32(shared.books.len() as u32).raw(&shared.books);
        out.u32(shared.members.len() as u32).raw(&shared.members).raw(&shared.rules);
        out.raw(&shared.digests);
        out.u32(self.command_count).raw(self.commands.as_bytes());
        out.finish()
    }
}

/// A decoded filtered block, not applied yet.
struct Read {
    path: Vec<Hash>,
    leaf_index: usize,
    banks: usize,
    own: Vec<(u32, Account)>,
    /// The bank's leaf under the effects root, computed from these accounts.
    leaf: Hash,
    linked: Vec<(AccountId, Account)>,
    keys: BTreeMap<AccountId, PublicKey>,
    holders: BTreeMap<u32, Holder>,
    movements: Vec<DepositMovement>,
    entries: Vec<Entry>,
    books: Option<(Books, Positions)>,
    members: Option<Members>,
    policy: Option<PolicyVersions>,
    classes: Vec<(u32, Classes)>,
    /// The digests of the sections, if any changed.
    sections: Option<Sections>,
    /// The root of each bank's keys, if any key changed.
    key_roots: Option<BTreeMap<BankId, Hash>>,
    commands: Vec<OwnCommand>,
}

fn read_many<T>(
    input: &mut Reader<'_>,
    least_bytes: usize,
    mut one: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = input.u32()? as usize;
    // A false count reserves no more than the input justifies.
    let mut read = Vec::with_capacity(count.min(input.left() / least_bytes));
    for _ in 0..count {
        read.push(one(input)?);
    }
    Ok(read)
}

/// The index that follows the last one after `passed_over` others; `next` becomes the one after it.
fn index_after(next: &mut u32, input: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let passed_over = input.number()?;
    let index = u32::try_from(passed_over).ok().and_then(|passed_over| next.checked_add(passed_over));
    let index =
        index.filter(|index| *index < u32::MAX).ok_or_else(|| input.wrong("an index below 2^32 - 1", passed_over))?;
    *next = index + 1;
    Ok(index)
}

/// Reads the bank's changed accounts and computes its leaf.
fn read_own(input: &mut Reader<'_>, bank: BankId) -> Result<(Vec<(u32, Account)>, Hash), DecodeError> {
    let mut next = 0;
    let own = read_many(input, ACCOUNT_ENTRY_BYTES_MIN, |input| {
        Ok((index_after(&mut next, input)?, Account::decode_compact(input)?))
    })?;
    let mut leaf = BankLeaf::new(bank);
    own.iter().for_each(|(serial, record)| leaf.add(*serial, record));
    Ok((own, leaf.finish()))
}

/// Reads the head up to the bank.
fn read_bank(input: &mut Reader<'_>) -> Result<BankId, DecodeError> {
    match input.u8()? {
        FILTERED_BLOCK_VERSION => {}
        other => return Err(input.wrong("version 5", u64::from(other))),
    }
    input.reserved(1)?;
    input.u16().map(BankId)
}

impl Read {
    fn from_bytes(bytes: &[u8], bank: BankId, ledger: &Ledger) -> Result<Read, FilteredBlockError> {
        let mut input = Reader::new("filtered block", bytes);
        let found = read_bank(&mut input)?;
        if found != bank {
            return Err(FilteredBlockError::OtherBank { expected: bank, found });
        }
        let (leaf_index, banks) = (usize::from(input.u16()?), usize::from(input.u16()?));
        let path = (0..input.u8()?).map(|_| input.array()).collect::<Result<Vec<Hash>, _>>()?;
        let (own, leaf) = read_own(&mut input, bank)?;
        let linked = read_many(&mut input, 8 + ACCOUNT_ENTRY_BYTES_MIN, |input| {
            Ok((AccountId::decode(input)?, Account::decode_compact(input)?))
        })?;
        let keys = read_many(&mut input, 40, |input| Ok((AccountId::decode(input)?, PublicKey(input.array()?))))?;
        let holders = read_many(&mut input, 68, |input| Ok((input.u32()?, Holder::decode(input)?)))?;
        let (keys, holders) = (keys.into_iter().collect(), holders.into_iter().collect());
        let movements = read_many(&mut input, 21, |input| {
            let (index, wallet) = (input.u32()?, AccountId::decode(input)?);
            let amount = Amount::from_minor(input.u64()?);
            let direction = if input.boolean()? { DepositDirection::ToDeposit } else { DepositDirection::FromDeposit };
            Ok(DepositMovement { index, bank, wallet, amount, direction })
        })?;
        let entries = read_many(&mut input, ENTRY_BYTES_MIN, |input| Entry::decode(input, bank))?;
        let books = match input.u32()? as usize {
            0 => None,
            length => Some(read_books(input.raw(length)?)?),
        };
        let members = match input.u32()? as usize {
            0 => None,
            length => Some(read_members(input.raw(length)?, &ledger.members)?),
        };
        let policy = ledger.policy.decode_after(&mut input, ledger.genesis.day_offset_minutes)?;
        let classes = read_many(&mut input, 13, class_history::decode_one)?;
        let sections = read_sections(&mut input)?;
        let key_roots = read_key_roots(&mut input)?;
        let mut next = 0;
        let commands = read_many(&mut input, COMMAND_ENTRY_BYTES_MIN, |input| {
            let index = index_after(&mut next, input)?;
            OwnCommand::decode(input, index, bytes.len() - input.left())
        })?;
        input.finish()?;
        Ok(Read {
            path,
            leaf_index,
            banks,
            own,
            leaf,
            linked,
            keys,
            holders,
            movements,
            entries,
            books,
            members,
            policy,
            classes,
            sections,
            key_roots,
            commands,
        })
    }
}

fn read_books(bytes: &[u8]) -> Result<(Books, Positions), DecodeError> {
    let mut input = Reader::new("balance sheet", bytes);
    let read = (Books::decode(&mut input)?, Positions::decode(&mut input)?);
    input.finish().map(|()| read)
}

fn read_sections(input: &mut Reader<'_>) -> Result<Option<Sections>, DecodeError> {
    let mut digests = [[0; 32]; Section::ALL.len()];
    match usize::from(input.u8()?) {
        0 => return Ok(None),
        count if count == digests.len() => {}
        count => return Err(input.wrong("12 digests or none", count as u64)),
    }
    for digest in &mut digests {
        *digest = input.array()?;
    }
    Ok(Some(Sections::of_digests(digests)))
}

fn read_key_roots(input: &mut Reader<'_>) -> Result<Option<BTreeMap<BankId, Hash>>, DecodeError> {
    let mut roots = BTreeMap::new();
    for _ in 0..input.u16()? {
        roots.insert(BankId(input.u16()?), input.array()?);
    }
    Ok((!roots.is_empty()).then_some(roots))
}

fn read_members(bytes: &[u8], before: &Members) -> Result<Members, DecodeError> {
    let mut input = Reader::new("members", bytes);
    let members = Members::decode_with_windows_of(before, &mut input)?;
    input.finish().map(|()| members)
}

/// The bank for which a filtered block is made; `None` if the bytes are not one.
pub fn bank_of(filtered_block: &[u8]) -> Option<BankId> {
    read_bank(&mut Reader::new("filtered block", filtered_block)).ok()
}

/// Reads the command at `index` of its block, whose outcome begins at `offset`.
pub fn read_command(filtered_block: &[u8], index: u32, offset: u32) -> Result<OwnCommand, DecodeError> {
    let mut input = Reader::new("filtered block", filtered_block);
    input.raw(offset as usize)?;
    OwnCommand::decode(&mut input, index, offset as usize)
}

impl Ledger {
    /// Follows the next block: checks its header and the filtered block for this ledger's bank, and takes the bank's
    /// part over. The caller has checked the header's signatures.
    ///
    /// # Errors
    /// The filtered block is not what the header describes; nothing was changed.
    ///
    /// # Panics
    /// This is a whole ledger ([`Ledger::partial_replica_of`] is `None`).
    pub fn follow(&mut self, header: &Header, filtered_block: &[u8]) -> Result<AppliedBlock, FilteredBlockError> {
        let bank = self.partial_replica_of().expect("only a partial replica follows filtered blocks");
        let expected = self.height().next();
        if header.height != expected || header.parent != self.tip_hash {
            return Err(FilteredBlockError::OtherParent { expected, found: header.height });
        }
        let read = Read::from_bytes(filtered_block, bank, self)?;
        self.check_filtered_block(header, bank, &read)?;
        Ok(self.take_over(header, bank, read))
    }

    fn check_filtered_block(&self, header: &Header, bank: BankId, read: &Read) -> Result<(), FilteredBlockError> {
        let height = header.height;
        let root = merkle::root_from_path(read.leaf, read.leaf_index, read.banks, &read.path);
        let members = read.members.as_ref().unwrap_or(&self.members);
        let is_member = members.seat(Role::Bank, MemberId(bank.0)).is_some();
        // Before a bank is a member it has no leaf and no accounts.
        if (is_member && root != Some(header.effects_root)) || (!is_member && !read.own.is_empty()) {
            return Err(FilteredBlockError::OtherAccounts { height });
        }
        let digest =
            read.books.as_ref().map_or(self.tip.books_digest, |(books, positions)| books_digest(books, positions));
        if digest != header.books_digest {
            return Err(FilteredBlockError::OtherBooks { height });
        }
        let policy = read.policy.as_ref().unwrap_or(&self.policy);
        let (expected, found) = (header.policy_version, policy.in_force().version);
        if expected != found {
            return Err(FilteredBlockError::OtherPolicy { height, expected, found });
        }
        self.check_complete(height, bank, read)?;
        let known = self.banks.get(bank).map(|own| &own.accounts);
        if let Some(account) = first_unexplained(bank, known, &read.own, (&read.entries, &read.commands)) {
            return Err(FilteredBlockError::OtherEntries { height, account });
        }
        self.check_sequences(height, bank, &read.commands)?;
        self.check_state(header, bank, read)
    }

    /// Checks the sections that this replica keeps, as they are after the block, against the header.
    fn check_state(&self, header: &Header, bank: BankId, read: &Read) -> Result<(), FilteredBlockError> {
        let (height, expected, found) = (header.height, self.tip.format, header.format);
        if found < expected {
            return Err(FilteredBlockError::OtherFormat { height, expected, found });
        }
        if found == FormatVersion::One {
            return Ok(());
        }
        let sections = read.sections.as_ref().unwrap_or(&self.sections);
        if sections.root(self.network) != header.state_root {
            return Err(FilteredBlockError::OtherDigests { height });
        }
        let part = self.partial_replica.as_ref().expect("a part is kept");
        let members = read.members.as_ref().unwrap_or(&self.members);
        let policy = read.policy.as_ref().unwrap_or(&self.policy);
        // A clone shares all of the original's data.
        let mut classes = self.class_history.clone();
        read.classes.iter().for_each(|(position, history)| classes.set(*position, history.clone()));
        let key_roots = read.key_roots.as_ref().unwrap_or(&part.key_roots);
        for (section, digest) in [
            (Section::Members, members.digests()[0]),
            (Section::Policy, policy.digest()),
            (Section::Keys, digest_of_roots(key_roots.iter().map(|(bank, root)| (*bank, *root)))),
            (Section::Classes, classes.root()),
        ] {
            if sections.of(section) != digest {
                return Err(FilteredBlockError::OtherState { height, section });
            }
        }
        let own_keys = self.own_keys_after(bank, read);
        match own_keys.is_none_or(|root| key_roots.get(&bank) == Some(&root)) {
            true => Ok(()),
            false => Err(FilteredBlockError::OtherState { height, section: Section::Keys }),
        }
    }

    /// The root of the bank's keys after the block, if the block changes it.
    fn own_keys_after(&self, bank: BankId, read: &Read) -> Option<Hash> {
        let known = self.banks.get(bank);
        let count = known.map_or(0, |own| own.keys.len()) as u32;
        let mut changes: BTreeMap<u32, PublicKey> = BTreeMap::new();
        let opened = read.own.iter().filter(|(serial, _)| *serial >= count);
        changes.extend(opened.map(|(serial, _)| (*serial, PublicKey([0; 32]))));
        let own = read.keys.iter().filter(|(account, _)| account.bank == bank);
        changes.extend(own.map(|(account, key)| (account.serial, *key)));
        if changes.is_empty() && read.key_roots.is_none() {
            return None;
        }
        match known {
            Some(own) => Some(own.keys.root_with(&changes)),
            None if changes.is_empty() => None,
            None => Some(KeyTable::default().root_with(&changes)),
        }
    }

    /// Checks that new accounts follow the known ones without a gap, that each account that is new here comes with a
    /// key and a holder, and each key with an account.
    fn check_complete(&self, height: Height, bank: BankId, read: &Read) -> Result<(), FilteredBlockError> {
        let part = self.partial_replica.as_ref().expect("a part is kept");
        let has_key = |account: AccountId| read.keys.contains_key(&account);
        let has_holder =
            |record: &Account| part.holders.contains_key(&record.holder) || read.holders.contains_key(&record.holder);
        let mut next = self.banks.get(bank).map_or(0, |own| own.accounts.len()) as u32;
        let incomplete = |account| Err(FilteredBlockError::Incomplete { height, account });
        for (serial, record) in &read.own {
            let account = AccountId::new(bank, *serial);
            if *serial < next {
                continue;
            }
            // A newly admitted bank gets its treasury, which has neither.
            let is_whole = account.is_treasury() || (has_key(account) && has_holder(record));
            if *serial > next || !is_whole {
                return incomplete(account);
            }
            next += 1;
        }
        let of_nothing = |account: &&AccountId| account.bank == bank && account.serial >= next;
        if let Some(account) = read.keys.keys().find(of_nothing) {
            return incomplete(*account);
        }
        let known = |account: &AccountId| part.linked.contains_key(account) || has_key(*account);
        let is_whole = |(account, record): &&(AccountId, Account)| known(account) && has_holder(record);
        match read.linked.iter().filter(|(_, record)| record.linked_bank == bank).find(|linked| !is_whole(linked)) {
            Some((account, _)) => incomplete(*account),
            None => Ok(()),
        }
    }

    fn check_sequences(&self, height: Height, bank: BankId, commands: &[OwnCommand]) -> Result<(), FilteredBlockError> {
        let Some(seat) = self.members.seat(Role::Bank, MemberId(bank.0)) else { return Ok(()) };
        // A clone shares the window's ring until the first number is used.
        let mut window = seat.window.clone();
        for sequence in commands.iter().filter_map(|own| own_sequence(bank, own)) {
            if window.status(sequence) != SequenceStatus::Free {
                return Err(FilteredBlockError::SequenceNotFree { height, sequence });
            }
            window.consume(sequence);
        }
        Ok(())
    }

    fn take_over(&mut self, header: &Header, bank: BankId, read: Read) -> AppliedBlock {
        let (deposits, entries) = (read.movements, read.entries);
        let mut changes = Changes { members: read.members.is_some(), deposits, entries, ..Changes::default() };
        if let Some(members) = read.members {
            self.admit_banks(&members);
            self.members = members;
        }
        if let Some(policy) = read.policy {
            self.policy = policy;
        }
        read.classes.into_iter().for_each(|(position, classes)| self.class_history.set(position, classes));
        let numbers = read.commands.iter().filter_map(|own| own_sequence(bank, own));
        if let Some(seat) = self.members.seat_mut(Role::Bank, MemberId(bank.0)) {
            numbers.for_each(|sequence| seat.window.consume(sequence));
        }
        if let Some((books, positions)) = read.books {
            (self.books, self.positions) = (books, positions);
        }
        let part = self.partial_replica.as_mut().expect("a part is kept");
        part.holders.extend(read.holders);
        let keys = read.keys;
        if let Some(own) = self.banks.get_mut(bank) {
            changes.accounts.reserve(read.own.len());
            for accounts in read.own.chunks(PREFETCH_BATCH) {
                let known = accounts.iter().filter_map(|(serial, _)| own.accounts.get(*serial as usize));
                prefetch_accounts(&known.collect::<ArrayVec<_, PREFETCH_BATCH>>());
                for (serial, record) in accounts {
                    let key = keys.get(&AccountId::new(bank, *serial)).copied();
                    own.set(*serial, *record, key);
                    changes.accounts.push(AccountId::new(bank, *serial));
                }
            }
        }
        for (account, record) in read.linked {
            let known = part.linked.remove(&account).map(|(_, key)| key);
            if let (true, Some(key)) = (record.linked_bank == bank, keys.get(&account).copied().or(known)) {
                part.linked.insert(account, (record, key));
            }
        }
        if let Some(sections) = read.sections {
            self.sections = sections;
        }
        if let Some(key_roots) = read.key_roots {
            part.key_roots = key_roots;
        }
        if header.format > FormatVersion::One
            && let Some(own) = self.banks.get_mut(bank)
        {
            own.keys.root();
        }
        self.supply = header.supply;
        (self.format, self.tip) = (header.format, *header);
        self.tip_hash = header.hash();
        for account in keys.into_keys().filter(|account| account.bank == bank) {
            let wallet = self.account(account).expect("its record came with its key");
            let key = self.key(account).filter(|_| wallet.open);
            changes.keys.push(KeyChange { account, key, version: wallet.key_version });
        }
        AppliedBlock { commands: read.commands, changes }
    }

    /// Gives newly admitted banks their treasuries.
    fn admit_banks(&mut self, members: &Members) {
        let banks = members.seats().filter(|seat| seat.member.role == Role::Bank).map(|seat| BankId(seat.member.id.0));
        for bank in banks {
            if self.banks.get(bank).is_none() {
                self.banks.insert(bank, BankAccounts::with_treasury());
            }
        }
    }
}

/// The bank's own sequence number that a command used.
fn own_sequence(bank: BankId, own: &OwnCommand) -> Option<u64> {
    if own.outcome.reason.stage() == Stage::BeforeOrdering {
        return None;
    }
    match &own.command {
        Command::Issuance(signed) if signed.record.request.record.bank == bank => {
            Some(signed.record.request.record.head.sequence)
        }
        command if command.signer() == Signer::Member(Role::Bank, MemberId(bank.0)) => Some(command.head().sequence),
        _ => None,
    }
}
