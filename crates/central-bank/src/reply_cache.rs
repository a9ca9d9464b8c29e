//! The reply cache: a command that was ordered before is answered as it was the first time.
//!
//! The table holds the recent blocks as they are. Its look-up is built for a block only when somebody asks, so that
//! settling costs nothing for it: repetitions are rare. Older outcomes are in the history of the command's bank.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use cbdc_ledger::block_proposal::BlockProposal;
use cbdc_ledger::command::{Command, Signer};
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::Stage;
use cbdc_ledger::{Height, MemberId, Outcome, Reason};
use cbdc_proto::packed::Answer;

const BLOCKS_MAX: usize = 8_192;
const BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes that an outcome and its entry in a look-up take, about.
const BYTES_A_COMMAND: usize = 88;

#[derive(Clone, Default)]
pub struct ReplyCache(Arc<RwLock<Table>>);

#[derive(Default)]
struct Table {
    blocks: VecDeque<Arc<RecentBlock>>,
    bytes: usize,
}

struct RecentBlock {
    height: Height,
    proposal: Bytes,
    outcomes: Vec<Outcome>,
    places: OnceLock<HashMap<(Signer, u64), u32>>,
}

impl RecentBlock {
    /// The indices of the commands, by the sequence numbers that they used.
    fn places(&self) -> &HashMap<(Signer, u64), u32> {
        self.places.get_or_init(|| {
            let mut places = HashMap::new();
            let Ok(proposal) = BlockProposal::decode(&self.proposal) else { return places };
            for (place, (command, outcome)) in proposal.commands.iter().zip(&self.outcomes).enumerate() {
                if outcome.reason.stage() != Stage::BeforeOrdering {
                    for key in sequences_of(command) {
                        places.insert(key, place as u32);
                    }
                }
            }
            places
        })
    }

    fn command(&self, place: u32) -> Option<Command> {
        BlockProposal::decode(&self.proposal).ok()?.commands.get(place as usize).cloned()
    }
}

/// The signers and sequence numbers that a command uses: an issuance uses its bank's beside the operator's.
fn sequences_of(command: &Command) -> Vec<(Signer, u64)> {
    let mut sequences = vec![(command.signer(), command.head().sequence)];
    if let Command::Issuance(signed) = command {
        let request = &signed.record.request.record;
        sequences.push((Signer::Member(Role::Bank, MemberId(request.bank.0)), request.head.sequence));
    }
    if let Command::ReverseWaterfall(signed) = command {
        let transfer = &signed.record.transfer.record;
        sequences.push((transfer.signer(), transfer.head.sequence));
    }
    sequences
}

/// Whether a command that was ordered is this one, or carries it: a payer's transfer settles inside the bank's order
/// that tops it up, and must never be taken for a conflict with itself.
fn carries(first: &Command, command: &Command) -> bool {
    match (first, command) {
        (Command::ReverseWaterfall(order), Command::Payment(payment)) => order.record.transfer == *payment,
        _ => first == command,
    }
}

impl ReplyCache {
    /// Adds the next block.
    pub fn push(&self, height: Height, proposal: Bytes, outcomes: Vec<Outcome>) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.bytes += proposal.len() + outcomes.len() * BYTES_A_COMMAND;
        table.blocks.push_back(Arc::new(RecentBlock { height, proposal, outcomes, places: OnceLock::new() }));
        while table.blocks.len() > BLOCKS_MAX || table.bytes > BYTES_MAX && table.blocks.len() > 1 {
            if let Some(oldest) = table.blocks.pop_front() {
                table.bytes -= oldest.proposal.len() + oldest.outcomes.len() * BYTES_A_COMMAND;
            }
        }
    }

    /// The answer to a command whose sequence number was used before: its first outcome, or a conflict if another
    /// command used the number.
    pub fn answer_to_repetition(&self, command: &Command) -> Answer {
        match self.find(command.signer(), command.head().sequence) {
            Some((first, answer)) if carries(&first, command) => answer,
            Some(_) => Answer::not_ordered(Outcome::refused(Reason::SequenceConflict, 0, command.head().sequence)),
            None => Answer::not_ordered(Outcome::refused(Reason::SequenceUsed, 0, command.head().sequence)),
        }
    }

    /// The command that used a sequence number, and its answer, if it is recent.
    pub fn find(&self, signer: Signer, sequence: u64) -> Option<(Command, Answer)> {
        let blocks: Vec<Arc<RecentBlock>> =
            self.0.read().unwrap_or_else(PoisonError::into_inner).blocks.iter().rev().cloned().collect();
        blocks.iter().find_map(|block| {
            let place = *block.places().get(&(signer, sequence))?;
            let outcome = *block.outcomes.get(place as usize)?;
            Some((block.command(place)?, Answer::ordered(block.height, place, outcome)))
        })
    }
}
