//! The history index: each customer's payments and other commands, and every change of their balance.
//!
//! The records themselves are in the archive; a line of the index holds only the position of a command and the offset
//! of its record in the block proposal, or in the bank's filtered block. A payment that a bank topped up is listed as
//! the payment itself. A change of a wallet that no payment's record and outcome show (interest, a capture, a grant) is
//! a line that holds the [`Entry`] itself. So the entries of a wallet's history add up to its balance.
//!
//! # How it is kept
//! One record per block holds the lines of all own customers ([`row`]), written in the block's own batch. Each line
//! names the block of the same wallet's previous line, and of its previous line that used the wallet's own sequence
//! number; the heights of each wallet's newest lines are in memory ([`newest`]). So a payment costs about 40 bytes in a
//! large write, never its own entry in a tree, and a history is read backwards, one record per step. A payment is found
//! by its sequence number without reading everything that a merchant received.
//!
//! Nobody makes a call read much of a long history: a list goes on at the [page](Page) after it, and a look-up ends
//! ([`Sought::TooFarBack`]) once it has read [`ROWS_MAX`] records.
//!
//! A look-up reads whole blocks, so its result is cached for a while ([`asked`]): copies of an old payment, in whatever
//! messages they arrive, take one look-up.
//!
//! The heights in memory are saved with each checkpoint; a start reads them and the records since.

mod asked;
mod newest;
mod row;

use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard};

use cbdc_ledger::block::{Entry, entries_of, ordinal_of};
use cbdc_ledger::command::{Payment, PaymentKind, Signer};
use cbdc_ledger::encoding::{Reader, Writer};
use cbdc_ledger::filtered_block::read_command;
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::{OUTCOME_BYTES, Stage};
use cbdc_ledger::sequence::WALLET_WINDOW;
use cbdc_ledger::{AccountId, BankId, Command, Height, MemberId, Outcome, Signed, Timestamp};
use cbdc_node::{Archive, ArchiveError};
use cbdc_storage::{Column, Store, WriteBatch, sealed};

use self::asked::Asked;
use self::newest::{Newest, row_key};
use self::row::{LINE_BYTES_USUAL, Line, Links, Side, lines};
use crate::deposits::OrderedOutcome;

/// The position of a line: its block's height, and its command's index, or `u32::MAX` for the ledger's own work.
pub type LinePosition = (Height, u32);

/// Records that one call reads.
pub const ROWS_MAX: usize = 8_192;

/// Records that a call may still read.
#[derive(Debug)]
pub struct RowsLeft(usize);

impl RowsLeft {
    /// The records that a call about one command may read.
    pub fn of_one() -> RowsLeft {
        RowsLeft(ROWS_MAX)
    }

    /// The records that a call about several commands may read: a few more for each.
    pub fn of_many(commands: usize) -> RowsLeft {
        RowsLeft(ROWS_MAX.saturating_add(commands.saturating_mul(4)))
    }
}

/// A part of a wallet's history, newest first.
#[derive(Debug)]
pub struct Page {
    pub changes: Vec<PastChange>,
    /// The line before which the history goes on, if it does.
    pub next: Option<LinePosition>,
}

/// The result of looking for a command by its sequence number.
#[derive(Clone, Debug)]
pub enum Sought {
    Found(Box<PastCommand>),
    /// This replica does not know it.
    Unknown,
    /// It was not looked for to the end.
    TooFarBack,
}

/// A line of a wallet's history: the effects of one command, or of the ledger's own work in one block.
#[derive(Clone, Debug)]
pub struct PastChange {
    pub position: LinePosition,
    pub time: Timestamp,
    /// The command with its outcome, if it is a payment of this wallet or its holder's own.
    pub command: Option<(Command, Outcome)>,
    /// The changes of the wallet's balance, in the order of their causes; none for a refused payment.
    pub entries: Vec<Entry>,
}

impl PastChange {
    /// The payment, if it is one.
    pub fn payment(&self) -> Option<&Signed<Payment>> {
        self.command.as_ref().and_then(|(command, _)| payment_of(command))
    }

    /// The change of the wallet's balance, in minor units.
    pub fn sum(&self) -> i128 {
        self.entries.iter().map(Entry::change).sum()
    }
}

/// A command that used a holder's sequence number.
#[derive(Clone, Debug)]
pub struct PastCommand {
    pub command: Command,
    pub ordered: OrderedOutcome,
    pub time: Timestamp,
}

/// The payment that a command is or tops up.
pub fn payment_of(command: &Command) -> Option<&Signed<Payment>> {
    match command {
        Command::Payment(payment) => Some(payment),
        Command::ReverseWaterfall(order) => Some(&order.record.transfer),
        _ => None,
    }
}

/// The history index: it is written here, and histories are read from it.
pub struct History {
    bank: BankId,
    store: Arc<dyn Store>,
    archive: Arc<Archive>,
    newest: RwLock<Newest>,
    asked: Mutex<Asked>,
}

/// Lines of blocks before they are written. The index cannot be read until this is dropped: drop it once the batch is
/// written.
pub struct HistoryUpdate<'a> {
    bank: BankId,
    height: Height,
    newest: RwLockWriteGuard<'a, Newest>,
    row: Writer,
    /// The block's entries of own wallets, and the number of those that have lines.
    entries: Vec<Entry>,
    entered: usize,
}

impl HistoryUpdate<'_> {
    /// Begins the record of the next block, which has these entries in addition to those of its payments.
    pub fn begin(&mut self, height: Height, commands: usize, entries: &[Entry]) {
        self.height = height;
        self.entered = 0;
        self.entries.clear();
        self.entries.extend(entries.iter().filter(|entry| entry.wallet.bank == self.bank));
        self.row = Writer::with_capacity(commands * 2 * LINE_BYTES_USUAL);
    }

    /// Prefetches the newest lines of the commands' own wallets, many at once: one by one, each would be a cache miss.
    /// Commands are given [`cbdc_ledger::prefetch::PREFETCH_BATCH`] at a time.
    pub fn prefetch<'c>(&self, commands: impl Iterator<Item = &'c Command>) {
        let wallets = commands.filter_map(payment_of).flat_map(|payment| [payment.record.from, payment.record.to]);
        let own = wallets.filter(|wallet| wallet.bank == self.bank);
        black_box(own.fold(0, |read, wallet| read ^ self.newest.get(wallet).any));
    }

    /// Adds a command: a payment for each side that is an own wallet, any other command of a holder for that holder.
    ///
    /// A refused payment is in the payer's history only. A command that used no sequence number is in none.
    pub fn add(&mut self, command: &Command, index: u32, offset: u32, outcome: &Outcome) {
        if outcome.reason.stage() == Stage::BeforeOrdering {
            return;
        }
        self.enter_before(ordinal_of(index));
        match (payment_of(command), command.signer()) {
            (Some(payment), signer) => {
                let payment = &payment.record;
                // The bank must find the payments that it topped up, including those of other banks' customers.
                let is_known =
                    payment.from.bank == self.bank || signer == Signer::Member(Role::Bank, MemberId(self.bank.0));
                if is_known && payment.kind != PaymentKind::Fund {
                    self.add_line(payment.from, Side::Outgoing, (index, offset), payment.head.sequence);
                }
                if payment.to.bank == self.bank && payment.kind != PaymentKind::Defund && outcome.is_settled() {
                    self.add_line(payment.to, Side::Incoming, (index, offset), 0);
                }
            }
            (None, Signer::Holder(wallet)) if wallet.bank == self.bank => {
                self.add_line(wallet, Side::Other, (index, offset), command.head().sequence);
            }
            _ => {}
        }
    }

    fn add_line(&mut self, wallet: AccountId, side: Side, (index, offset): (u32, u32), sequence: u64) {
        let before = Links::default();
        let mut line = Line { wallet, side, index, offset, sequence, before };
        line.before = self.newest.link(wallet, line.is_numbered(), self.height);
        line.encode(&mut self.row);
    }

    /// Adds the lines of entries before an ordinal in the block: a wallet's lines are in the block's order.
    fn enter_before(&mut self, ordinal: u64) {
        while let Some(entry) = self.entries.get(self.entered).filter(|entry| entry.ordinal() < ordinal).copied() {
            self.entered += 1;
            self.add_line(entry.wallet, Side::Entry(entry), (entry.index, 0), 0);
        }
    }

    /// Adds the block's record to the batch that writes the block.
    pub fn put(&mut self, batch: &mut WriteBatch) {
        self.enter_before(u64::MAX);
        if self.row.is_empty() {
            return;
        }
        let key = row_key(self.height);
        let mut row = self.row.finish();
        sealed::seal_in_place(&key, &mut row);
        batch.put(Column::History, key, row);
    }
}

impl History {
    /// The index as of the archive's newest block.
    pub fn open(store: Arc<dyn Store>, archive: Arc<Archive>, bank: BankId) -> Result<History, ArchiveError> {
        let height = archive.newest()?.unwrap_or_default();
        let newest = RwLock::new(Newest::load(&store, bank, height)?);
        Ok(History { bank, store, archive, newest, asked: Mutex::default() })
    }

    /// An update for the next blocks, none of them begun.
    pub fn update(&self) -> HistoryUpdate<'_> {
        let newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        HistoryUpdate {
            bank: self.bank,
            height: Height(0),
            newest,
            row: Writer::default(),
            entries: Vec::new(),
            entered: 0,
        }
    }

    /// The rows to save with a checkpoint at the height of the last block.
    pub fn snapshot(&self) -> Newest {
        self.newest.write().unwrap_or_else(PoisonError::into_inner).snapshot()
    }

    fn newest_of(&self, wallet: AccountId) -> Links {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).get(wallet)
    }

    /// A wallet's payments and other changes of its balance up to the block at `height`, newest first, at most `limit`.
    /// Blocks.
    pub fn newest(&self, wallet: AccountId, height: Height, limit: usize) -> Result<Page, ArchiveError> {
        let mut chain = self.chain(wallet, self.newest_of(wallet).any, |before| before.any);
        // A moment ago that block was the newest.
        while chain.step()? && chain.height > height {
            chain.lines.clear();
        }
        self.page(chain, limit)
    }

    /// The same before one of the wallet's own lines; `None` if the wallet has no line there. Blocks.
    pub fn before(&self, wallet: AccountId, before: LinePosition, limit: usize) -> Result<Option<Page>, ArchiveError> {
        self.chain_before(wallet, before)?.map(|chain| self.page(chain, limit)).transpose()
    }

    fn page(&self, mut chain: Chain<'_>, limit: usize) -> Result<Page, ArchiveError> {
        let (mut changes, mut last) = (Vec::new(), None);
        while changes.len() < limit {
            let Some((height, lines)) = chain.next_position()? else {
                // At the end, unless reading was broken off.
                return Ok(Page { changes, next: last.filter(|_| chain.is_broken_off) });
            };
            let Some(change) = self.change(chain.wallet, height, &lines)? else {
                return Ok(Page { changes, next: None });
            };
            last = Some(change.position);
            // Of a holder's own commands, only those that concern money are shown.
            if change.payment().is_some() || !change.entries.is_empty() {
                changes.push(change);
            }
        }
        Ok(Page { changes, next: last })
    }

    /// Whether an entry of a wallet was caused by the command at a position. Reads one record. Blocks.
    pub fn has_entry_at(&self, wallet: AccountId, (height, index): LinePosition) -> Result<bool, ArchiveError> {
        let mut chain = self.chain(wallet, height.0, |before| before.any);
        chain.step()?;
        Ok(chain.lines.iter().any(|line| line.index == index && matches!(line.side, Side::Entry(_))))
    }

    /// The change recorded by the lines of one position; `None` if the block is no longer kept.
    fn change(&self, wallet: AccountId, height: Height, lines: &[Line]) -> Result<Option<PastChange>, ArchiveError> {
        let index = lines.first().map_or(u32::MAX, |line| line.index);
        let entry = |line: &Line| if let Side::Entry(entry) = line.side { Some(entry) } else { None };
        let mut entries: Vec<Entry> = lines.iter().filter_map(entry).collect();
        let of_command = lines.iter().find(|line| entry(line).is_none());
        let (command, time) = match of_command.map(|line| self.read(height, line)).transpose()? {
            Some(None) => return Ok(None),
            Some(Some(past)) => {
                let told = entries_of(&past.command, index, &past.ordered.outcome);
                entries.extend(told.into_iter().filter(|entry| entry.wallet == wallet));
                (Some((past.command, past.ordered.outcome)), past.time)
            }
            None => match self.archive.header(height)? {
                Some((header, _)) => (None, header.header.time),
                None => return Ok(None),
            },
        };
        entries.sort_by_key(|entry| entry.cause);
        Ok(Some(PastChange { position: (height, index), time, command, entries }))
    }

    /// The command that used a wallet's sequence number, if this replica knows it. Blocks.
    pub fn by_sequence(
        &self,
        wallet: AccountId,
        sequence: u64,
        rows_left: &mut RowsLeft,
    ) -> Result<Sought, ArchiveError> {
        let asked = || self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = asked().get(wallet, sequence) {
            return Ok(Sought::Found(Box::new(known)));
        }
        let mut chain = self.chain(wallet, self.newest_of(wallet).numbered, |before| before.numbered);
        chain.rows_left = rows_left.0;
        let found = self.find_by_sequence(&mut chain, sequence);
        rows_left.0 = chain.rows_left;
        Ok(match found? {
            Some(found) => {
                asked().insert(wallet, sequence, &found);
                Sought::Found(Box::new(found))
            }
            None if chain.is_broken_off => Sought::TooFarBack,
            None => Sought::Unknown,
        })
    }

    fn find_by_sequence(&self, chain: &mut Chain<'_>, sequence: u64) -> Result<Option<PastCommand>, ArchiveError> {
        while let Some((height, line)) = chain.next()? {
            if !line.is_numbered() {
                continue;
            }
            if line.sequence == sequence {
                return self.read(height, &line);
            }
            // When this number was used, the window reached at most 64 above it: all earlier ones are below that.
            if sequence >= line.sequence.saturating_add(WALLET_WINDOW) {
                break;
            }
        }
        Ok(None)
    }

    /// A wallet's lines backwards from the block at `height`, by the links that `follow` picks.
    fn chain(&self, wallet: AccountId, height: u64, follow: fn(&Links) -> u64) -> Chain<'_> {
        Chain {
            store: &self.store,
            wallet,
            follow,
            next: height,
            height: Height(0),
            lines: Vec::new(),
            rows_left: ROWS_MAX,
            is_broken_off: false,
        }
    }

    /// A wallet's lines before one of them; `None` if it has none there, from where its lines could not be followed.
    fn chain_before(
        &self,
        wallet: AccountId,
        (height, index): LinePosition,
    ) -> Result<Option<Chain<'_>>, ArchiveError> {
        let mut chain = self.chain(wallet, height.0, |before| before.any);
        chain.step()?;
        if !chain.lines.iter().any(|line| line.index == index) {
            return Ok(None);
        }
        chain.lines.retain(|line| ordinal_of(line.index) < ordinal_of(index));
        Ok(Some(chain))
    }

    /// Reads one command from the archive; `None` if its block is no longer kept.
    fn read(&self, height: Height, line: &Line) -> Result<Option<PastCommand>, ArchiveError> {
        let index = line.index;
        if let Some((header, filtered_block)) = self.archive.filtered_block(height)? {
            let own = read_command(&filtered_block, index, line.offset)
                .map_err(|error| damaged(height, index, &error.to_string()))?;
            let ordered = OrderedOutcome { height, index: own.index, outcome: own.outcome };
            return Ok(Some(PastCommand { command: own.command, ordered, time: header.header.time }));
        }
        let Some(block) = self.archive.block(height)? else { return Ok(None) };
        let damaged = |what: &str| damaged(height, index, what);
        let record = block.proposal.get(line.offset as usize..).ok_or_else(|| damaged("its record is missing"))?;
        let command =
            Command::decode(&mut Reader::new("command", record)).map_err(|error| damaged(&error.to_string()))?;
        let at = index as usize * OUTCOME_BYTES;
        let outcome = block.outcomes.get(at..at + OUTCOME_BYTES).ok_or_else(|| damaged("its outcome is missing"))?;
        let outcome =
            Outcome::decode(&mut Reader::new("outcome", outcome)).map_err(|error| damaged(&error.to_string()))?;
        let ordered = OrderedOutcome { height, index, outcome };
        Ok(Some(PastCommand { command, ordered, time: block.header.header.time }))
    }
}

/// Walks a wallet's lines, newest first, one block's record per step.
struct Chain<'a> {
    store: &'a Arc<dyn Store>,
    wallet: AccountId,
    follow: fn(&Links) -> u64,
    /// The height of the next record; 0 at the end.
    next: u64,
    /// The block of the current record.
    height: Height,
    /// Its remaining lines, the next one last.
    lines: Vec<Line>,
    /// Records that may still be read.
    rows_left: usize,
    /// There are more records, and none may be read any more.
    is_broken_off: bool,
}

impl Chain<'_> {
    fn next(&mut self) -> Result<Option<(Height, Line)>, ArchiveError> {
        while self.lines.is_empty() {
            if !self.step()? {
                return Ok(None);
            }
        }
        Ok(self.lines.pop().map(|line| (self.height, line)))
    }

    /// The lines of the next position with lines.
    fn next_position(&mut self) -> Result<Option<(Height, Vec<Line>)>, ArchiveError> {
        let Some((height, line)) = self.next()? else { return Ok(None) };
        let first = self.lines.partition_point(|other| ordinal_of(other.index) < ordinal_of(line.index));
        let mut lines = self.lines.split_off(first);
        lines.push(line);
        Ok(Some((height, lines)))
    }

    /// Reads the next record; `false` at the end, or if it is no longer kept.
    fn step(&mut self) -> Result<bool, ArchiveError> {
        let height = Height(std::mem::take(&mut self.next));
        if height.0 == 0 {
            return Ok(false);
        }
        if self.rows_left == 0 {
            self.is_broken_off = true;
            return Ok(false);
        }
        self.rows_left -= 1;
        let key = row_key(height);
        let Some(record) = self.store.get(Column::History, &key)? else { return Ok(false) };
        let damaged = |error: &dyn std::fmt::Display| {
            let what = format!("its lines of the history: {error}");
            ArchiveError::Damaged { height, what }
        };
        let row = sealed::open(&key, &record).map_err(|error| damaged(&error))?;
        self.lines.clear();
        for line in lines(row) {
            let line = line.map_err(|error| damaged(&error))?;
            if line.wallet == self.wallet {
                self.lines.push(line);
            }
        }
        // All but the first of a block's lines lead to that block itself.
        let mut links = self.lines.iter().map(|line| (self.follow)(&line.before));
        self.next = links.find(|before| *before != height.0).unwrap_or(0);
        self.height = height;
        Ok(true)
    }
}

fn damaged(height: Height, index: u32, what: &str) -> ArchiveError {
    ArchiveError::Damaged { height, what: format!("command {index}: {what}") }
}

#[cfg(test)]
mod tests;
