//! The reply cache: a command that was ordered before is answered with its first outcome.
//!
//! The table holds the recent blocks as they are. Their commands are indexed by the sequence numbers that they used
//! only on demand, so that settling pays nothing for it: repetitions are rare. Older outcomes are in the history of the
//! command's bank.
//!
//! # What a repetition costs
//! - The first request after a block was added indexes its commands, each of them once, however many requests there
//!   are.
//! - A look-up then takes one probe per [`Generation`] of the index, of which there are a few, and decodes one command.
//!
//! So `n` repetitions among `m` commands of recent blocks take `n + m` steps, in whatever messages they arrive.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use cbdc_ledger::block_proposal::{BlockProposal, PROPOSAL_HEAD_BYTES};
use cbdc_ledger::command::{Command, Signer};
use cbdc_ledger::encoding::Reader;
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::Stage;
use cbdc_ledger::{Height, MemberId, Outcome, Reason};
use cbdc_proto::packed::Answer;

const BLOCKS_MAX: usize = 8_192;
const BYTES_MAX: usize = 128 * 1024 * 1024;
/// The approximate bytes of an outcome and its entry in the index.
const BYTES_A_COMMAND: usize = 88;
/// The approximate number of commands in one generation of the index.
const GENERATION_COMMANDS: usize = 131_072;

#[derive(Clone, Default)]
pub struct ReplyCache(Arc<Shared>);

#[derive(Default)]
struct Shared {
    recent: RwLock<Recent>,
    index: Mutex<Index>,
}

/// The recent blocks, oldest first.
#[derive(Default)]
struct Recent {
    blocks: VecDeque<Arc<RecentBlock>>,
    bytes: usize,
}

struct RecentBlock {
    height: Height,
    proposal: Bytes,
    outcomes: Vec<Outcome>,
}

/// A command's block position, and its offset in the block proposal.
#[derive(Clone, Copy)]
struct Position {
    height: Height,
    index: u32,
    start: u32,
}

/// The recent blocks' commands by the sequence numbers that they used.
#[derive(Default)]
struct Index {
    /// The height up to which blocks are indexed.
    upto: Height,
    /// Oldest first. The oldest is dropped once none of its blocks is kept.
    generations: VecDeque<Generation>,
    /// Commands decoded so far, for tests that count.
    decoded: u64,
}

/// The commands of some consecutive blocks.
#[derive(Default)]
struct Generation {
    last: Height,
    positions: HashMap<(Signer, u64), Position>,
}

impl Recent {
    fn push(&mut self, block: RecentBlock) {
        self.bytes += block.bytes();
        self.blocks.push_back(Arc::new(block));
        while self.blocks.len() > BLOCKS_MAX || self.bytes > BYTES_MAX && self.blocks.len() > 1 {
            if let Some(oldest) = self.blocks.pop_front() {
                self.bytes -= oldest.bytes();
            }
        }
    }

    fn at(&self, height: Height) -> Option<&Arc<RecentBlock>> {
        let at = self.blocks.binary_search_by_key(&height, |block| block.height).ok()?;
        self.blocks.get(at)
    }

    /// The oldest height that is kept, and the blocks after one.
    fn after(&self, height: Height) -> (Height, Vec<Arc<RecentBlock>>) {
        let first = self.blocks.partition_point(|block| block.height <= height);
        let oldest = self.blocks.front().map_or(Height(0), |block| block.height);
        (oldest, self.blocks.range(first..).cloned().collect())
    }
}

impl RecentBlock {
    fn bytes(&self) -> usize {
        self.proposal.len() + self.outcomes.len() * BYTES_A_COMMAND
    }

    fn command(&self, start: u32) -> Option<Command> {
        let bytes = self.proposal.get(start as usize..)?;
        Command::decode(&mut Reader::new("command", bytes)).ok()
    }
}

impl Index {
    /// Indexes the blocks added since the last call, and drops those no longer kept.
    fn follow(&mut self, oldest: Height, added: &[Arc<RecentBlock>]) {
        while self.generations.front().is_some_and(|generation| generation.last < oldest) {
            self.generations.pop_front();
        }
        for block in added {
            self.add(block);
        }
    }

    fn add(&mut self, block: &RecentBlock) {
        self.upto = block.height;
        let Ok(proposal) = BlockProposal::decode(&block.proposal) else { return };
        let is_full = |generation: &Generation| generation.positions.len() >= GENERATION_COMMANDS;
        if self.generations.back().is_none_or(is_full) {
            self.generations.push_back(Generation::default());
        }
        let Some(generation) = self.generations.back_mut() else { return };
        generation.last = block.height;
        let mut start = PROPOSAL_HEAD_BYTES;
        let commands = proposal.commands.iter().zip(proposal.encoded_commands());
        for (index, ((command, encoded), outcome)) in commands.zip(&block.outcomes).enumerate() {
            if outcome.reason.stage() != Stage::BeforeOrdering {
                let position = Position { height: block.height, index: index as u32, start: start as u32 };
                each_sequence(command, |key| {
                    generation.positions.insert(key, position);
                });
            }
            start += encoded.len();
            self.decoded += 1;
        }
    }

    fn find(&self, key: &(Signer, u64)) -> Option<Position> {
        self.generations.iter().rev().find_map(|generation| generation.positions.get(key)).copied()
    }
}

/// The signers and sequence numbers that a command uses: an issuance uses its bank's and the operator's.
fn each_sequence(command: &Command, mut take: impl FnMut((Signer, u64))) {
    take((command.signer(), command.head().sequence));
    if let Command::Issuance(signed) = command {
        let request = &signed.record.request.record;
        take((Signer::Member(Role::Bank, MemberId(request.bank.0)), request.head.sequence));
    }
    if let Command::ReverseWaterfall(signed) = command {
        let transfer = &signed.record.transfer.record;
        take((transfer.signer(), transfer.head.sequence));
    }
}

/// Whether an ordered command is this one, or carries it: a payer's transfer settles inside the order of the bank that
/// tops it up, and must never be taken for a conflict with itself.
fn carries(first: &Command, command: &Command) -> bool {
    match (first, command) {
        (Command::ReverseWaterfall(order), Command::Payment(payment)) => order.record.transfer == *payment,
        _ => first == command,
    }
}

impl ReplyCache {
    /// Adds the next block.
    pub fn push(&self, height: Height, proposal: Bytes, outcomes: Vec<Outcome>) {
        let mut recent = self.0.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.push(RecentBlock { height, proposal, outcomes });
    }

    /// The answers to commands whose sequence numbers were used before, in order: each its first outcome, or a conflict
    /// if another command used the number. `None` for one whose number was used above `announced`: that block is not
    /// published, so what happened in it is not told yet.
    pub fn answers_to_repetitions<'a>(
        &self,
        commands: impl Iterator<Item = &'a Command>,
        announced: Height,
    ) -> Vec<Option<Answer>> {
        let reading = self.read();
        commands.map(|command| reading.answer_to(command, announced)).collect()
    }

    /// The command that used a sequence number, and its answer, if it is recent.
    pub fn find(&self, signer: Signer, sequence: u64) -> Option<(Command, Answer)> {
        self.read().find(signer, sequence)
    }

    fn read(&self) -> Reading<'_> {
        let mut index = self.0.index.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = || self.0.recent.read().unwrap_or_else(PoisonError::into_inner);
        // Settlement must not wait for the indexing: it adds the next block.
        let (oldest, added) = recent().after(index.upto);
        index.follow(oldest, &added);
        Reading { index, recent: recent() }
    }

    /// Commands decoded for the index so far.
    #[cfg(test)]
    fn decoded(&self) -> u64 {
        self.0.index.lock().unwrap().decoded
    }
}

/// The index and the blocks at one moment.
struct Reading<'a> {
    index: MutexGuard<'a, Index>,
    recent: RwLockReadGuard<'a, Recent>,
}

impl Reading<'_> {
    fn find(&self, signer: Signer, sequence: u64) -> Option<(Command, Answer)> {
        let Position { height, index, start } = self.index.find(&(signer, sequence))?;
        let block = self.recent.at(height)?;
        let outcome = *block.outcomes.get(index as usize)?;
        Some((block.command(start)?, Answer::ordered(height, index, outcome)))
    }

    fn answer_to(&self, command: &Command, announced: Height) -> Option<Answer> {
        let sequence = command.head().sequence;
        Some(match self.find(command.signer(), sequence) {
            Some((_, answer)) if answer.height > announced => return None,
            Some((first, answer)) if carries(&first, command) => answer,
            Some(_) => Answer::not_ordered(Outcome::refused(Reason::SequenceConflict, 0, sequence)),
            None => Answer::not_ordered(Outcome::refused(Reason::SequenceUsed, 0, sequence)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_ledger::command::{Head, Payment, PaymentKind, Record};
    use cbdc_ledger::encoding::Writer;
    use cbdc_ledger::{AccountId, Amount, BankId, NetworkId, SigningKey};

    fn payment(serial: u32, sequence: u64, amount: u64) -> Command {
        let (from, to) = (AccountId::new(BankId(1), serial), AccountId::new(BankId(2), 1));
        let head = Head { sequence, ..Head::default() };
        let amount = Amount::from_minor(amount);
        let payment =
            Payment { kind: PaymentKind::Transfer, head, from, to, amount, max_fee: Amount::ZERO, reference: [0; 16] };
        payment.sign(NetworkId([0; 32]), &SigningKey::from_seed([1; 32])).into()
    }

    fn push(cache: &ReplyCache, height: u64, commands: &[Command], outcomes: Vec<Outcome>) {
        let mut bytes = Writer::default();
        bytes.u8(cbdc_ledger::encoding::VERSION).reserved(3).u32(commands.len() as u32).u64(0);
        for command in commands {
            bytes.raw(&command.to_bytes());
        }
        cache.push(Height(height), bytes.finish().into(), outcomes);
    }

    fn settled(commands: &[Command]) -> Vec<Outcome> {
        vec![Outcome::settled(); commands.len()]
    }

    fn answers(cache: &ReplyCache, commands: &[Command]) -> Vec<Answer> {
        cache.answers_to_repetitions(commands.iter(), Height(u64::MAX)).into_iter().map(Option::unwrap).collect()
    }

    #[test]
    fn what_is_not_published_is_not_told() {
        let cache = ReplyCache::default();
        let blocks = [[payment(1, 1, 5)], [payment(1, 2, 5)]];
        push(&cache, 7, &blocks[0], settled(&blocks[0]));
        push(&cache, 8, &blocks[1], settled(&blocks[1]));
        // The second is no answer to a copy, nor is it told that its number is used.
        for asked in [payment(1, 2, 5), payment(1, 2, 6)] {
            let asked = [payment(1, 1, 5), asked];
            let told = |announced| {
                let told = cache.answers_to_repetitions(asked.iter(), Height(announced));
                told.iter().map(Option::is_some).collect::<Vec<_>>()
            };
            assert_eq!((told(6), told(7), told(8)), (vec![false; 2], vec![true, false], vec![true; 2]));
        }
    }

    #[test]
    fn a_repetition_has_the_first_outcome_and_another_command_conflicts() {
        let cache = ReplyCache::default();
        let blocks = [[payment(1, 1, 5), payment(2, 1, 5)], [payment(1, 2, 5), payment(2, 1, 5)]];
        push(&cache, 7, &blocks[0], settled(&blocks[0]));
        let used = Outcome::refused(Reason::SequenceUsed, 0, 0);
        push(&cache, 8, &blocks[1], vec![Outcome::settled(), used]);
        let settled_at = |height, index| Answer::ordered(Height(height), index, Outcome::settled());
        let refused = |reason, sequence| Answer::not_ordered(Outcome::refused(reason, 0, sequence));
        let asked = [payment(2, 1, 5), payment(1, 2, 5), payment(1, 1, 6), payment(1, 3, 5)];
        let expected = [
            settled_at(7, 1),
            settled_at(8, 0),
            refused(Reason::SequenceConflict, 1),
            refused(Reason::SequenceUsed, 3),
        ];
        assert_eq!(answers(&cache, &asked), expected);
    }

    #[test]
    fn repetitions_decode_each_command_of_a_block_once() {
        for size in [16, 32, 64] {
            let cache = ReplyCache::default();
            let commands: Vec<Command> = (1..=size).map(|serial| payment(serial, 1, 5)).collect();
            push(&cache, 1, &commands, settled(&commands));
            assert_eq!(cache.decoded(), 0, "nobody has asked yet");
            // Copies of one, within a message and across messages, and of all.
            let copies = vec![commands[3].clone(); size as usize];
            for asked in [&copies, &copies, &commands] {
                assert!(answers(&cache, asked).iter().all(Answer::is_ordered));
                assert_eq!(cache.decoded(), u64::from(size));
            }
            // Commands too old to be known cost no more, nor does a block that is added meanwhile.
            let old: Vec<Command> = (1..=size).map(|serial| payment(serial, 9, 5)).collect();
            assert!(!answers(&cache, &old).iter().any(Answer::is_ordered));
            push(&cache, 2, &[payment(1, 2, 5)], settled(&[payment(1, 2, 5)]));
            assert!(!answers(&cache, &old).iter().any(Answer::is_ordered));
            assert_eq!(cache.decoded(), u64::from(size) + 1);
        }
    }

    #[test]
    fn what_is_no_longer_kept_is_forgotten() {
        let cache = ReplyCache::default();
        let of = |height: u64| [payment(1, height, 5)];
        for height in 1..=BLOCKS_MAX as u64 + 2 {
            push(&cache, height, &of(height), settled(&of(height)));
            if height == 2 {
                assert!(answers(&cache, &of(1))[0].is_ordered());
            }
        }
        assert_eq!(answers(&cache, &of(2))[0].outcome.reason, Reason::SequenceUsed);
        assert!(answers(&cache, &of(3))[0].is_ordered());
        let generations = |cache: &ReplyCache| cache.0.index.lock().unwrap().generations.len();
        assert_eq!(generations(&cache), 1);
        // A generation is dropped once none of its blocks is kept.
        cache.0.index.lock().unwrap().generations.push_front(Generation { last: Height(2), ..Generation::default() });
        assert!(answers(&cache, &of(4))[0].is_ordered());
        assert_eq!(generations(&cache), 1);
    }
}
