//! The history of a run as its clients saw it, and the checker that compares it with the chain as it ended.
//!
//! A client notes each payment before it hands it in, and each answer when it comes; each read likewise. All times are
//! of one monotonic clock. From that, and from the blocks of every node afterwards, [`check`] finds out whether the
//! network kept what it answered:
//!
//! 1. whatever was answered settled, or refused at a position, stands there in the chain;
//! 2. nothing settles twice, and no sequence number is used twice;
//! 3. whatever was refused for good is settled nowhere;
//! 4. order agrees with real time: if A was answered before B was handed in, A stands before B;
//! 5. each read equals the replay of the chain at its height, and a client's reads at one node do not go back;
//! 6. all nodes have the same block at each height;
//! 7. the chain verifies from genesis, with money conserved (the audit, whose findings are passed in).
//!
//! The checker knows nothing of nodes, faults or protocols: it judges from the outside.

mod check;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cbdc_client::{AccountId, Amount, BlockPosition, Height, Reason};
use cbdc_ledger::command::Signer;
use serde::Serialize;

pub use check::{Property, Violation, check};

/// A time, from the beginning of the run.
pub type Moment = Duration;

/// The hash of a signed record, or of a block.
pub type Hash = [u8; 32];

/// Everything that clients did and were answered.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// In the order in which they were noted; the index is a payment's number in sentences.
    pub payments: Vec<Payment>,
    pub reads: Vec<Read>,
}

/// A payment as its payer knows it.
#[derive(Debug, Clone)]
pub struct Payment {
    /// The hash of the command's bytes.
    pub record: Hash,
    pub payer: AccountId,
    pub payee: AccountId,
    pub amount: Amount,
    pub sequence: u64,
    /// Before it was sent for the first time.
    pub handed_in: Moment,
    /// Its answers: the same record may be sent again, whatever was answered.
    pub answers: Vec<Answered>,
    /// Whether its payer asked no more once the bank had accepted it.
    pub is_left: bool,
}

/// An answer to a payment.
#[derive(Debug, Clone)]
pub struct Answered {
    pub asked: Moment,
    pub answered: Moment,
    pub answer: Answer,
}

/// What a payer was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Settled, at this position.
    Settled(BlockPosition),
    /// Ordered at this position, and refused by a rule.
    RefusedAt(BlockPosition, Reason),
    /// Not ordered, and will never settle.
    RefusedForGood(Reason),
    /// Not ordered, and may settle yet.
    RefusedForNow(Reason),
    /// In the bank's outbox.
    Accepted,
    /// It may have settled or not, or no answer came.
    Unknown(String),
}

impl Answer {
    /// The position that it names.
    pub fn position(&self) -> Option<BlockPosition> {
        match self {
            Answer::Settled(position) | Answer::RefusedAt(position, _) => Some(*position),
            _ => None,
        }
    }

    /// Whether nothing can follow that says otherwise.
    pub fn is_final(&self) -> bool {
        matches!(self, Answer::Settled(_) | Answer::RefusedAt(..) | Answer::RefusedForGood(_))
    }

    /// Whether it says that the payment settled.
    pub fn is_settled(&self) -> bool {
        matches!(self, Answer::Settled(_))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Settled(position) => write!(f, "settled at {position}"),
            Answer::RefusedAt(position, reason) => write!(f, "refused at {position} with {reason}"),
            Answer::RefusedForGood(reason) => write!(f, "refused for good with {reason}"),
            Answer::RefusedForNow(reason) => write!(f, "refused for now with {reason}"),
            Answer::Accepted => f.write_str("accepted"),
            Answer::Unknown(why) => write!(f, "unknown ({why})"),
        }
    }
}

/// What a read is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The money on a wallet.
    Balance(AccountId),
    /// All CBDC in circulation.
    Supply,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Balance(account) => write!(f, "the balance of {account}"),
            Subject::Supply => f.write_str("the supply"),
        }
    }
}

/// An answered read.
#[derive(Debug, Clone)]
pub struct Read {
    pub client: String,
    /// The node that answered. One that was started again counts as another: it may not know yet how much of its log is
    /// committed.
    pub node: String,
    pub subject: Subject,
    pub asked: Moment,
    pub answered: Moment,
    pub height: Height,
    pub minor: u64,
}

/// The network as it ended.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// The chain, from height 1.
    pub chain: Vec<Vec<Ordered>>,
    /// The hash of each block of each node, from height 1.
    pub nodes: Vec<NodeBlocks>,
    /// The replay of the chain, for each read; absent above the chain's end.
    pub replay: BTreeMap<(Height, Subject), u64>,
    /// The findings of the audit.
    pub findings: Vec<String>,
    /// What lifted a person's wallets together above the holding limit.
    pub above_limits: Vec<String>,
}

/// A command in a block.
#[derive(Debug, Clone, Copy)]
pub struct Ordered {
    /// The hash of its bytes.
    pub record: Hash,
    pub signer: Signer,
    pub sequence: u64,
    /// Its outcome's reason.
    pub reason: Reason,
}

/// The blocks of a node.
#[derive(Debug, Clone)]
pub struct NodeBlocks {
    pub node: String,
    /// By height. A node that began from a checkpoint has none before it.
    pub blocks: BTreeMap<Height, Hash>,
}

/// The number of operations by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub payments: u64,
    /// Answered settled.
    pub settled: u64,
    /// Answered refused, for good.
    pub refused: u64,
    /// Last answered refused, and may settle yet.
    pub refused_for_now: u64,
    /// Accepted, and left to the bank.
    pub left: u64,
    /// Last answered accepted, by a payer that went on asking.
    pub accepted: u64,
    /// Never answered otherwise than unknown.
    pub unknown: u64,
    /// All answers to payments, of which each may have several.
    pub answers: u64,
    /// Answers that left the outcome open.
    pub unknown_answers: u64,
    pub reads: u64,
}

impl History {
    /// What became of the operations.
    pub fn counts(&self) -> Counts {
        let mut counts =
            Counts { payments: self.payments.len() as u64, reads: self.reads.len() as u64, ..Counts::default() };
        for payment in &self.payments {
            counts.answers += payment.answers.len() as u64;
            let open = payment.answers.iter().filter(|answered| matches!(answered.answer, Answer::Unknown(_)));
            counts.unknown_answers += open.count() as u64;
            *match payment.outcome() {
                Some(Answer::Settled(_)) => &mut counts.settled,
                Some(Answer::RefusedAt(..) | Answer::RefusedForGood(_)) => &mut counts.refused,
                Some(Answer::RefusedForNow(_)) => &mut counts.refused_for_now,
                Some(Answer::Accepted) if payment.is_left => &mut counts.left,
                Some(Answer::Accepted) => &mut counts.accepted,
                Some(Answer::Unknown(_)) | None => &mut counts.unknown,
            } += 1;
        }
        counts
    }

    /// The times at which payments were first answered settled, sorted, in ns.
    pub fn settled_ns(&self) -> Vec<u64> {
        let first = |payment: &Payment| payment.answers.iter().find(|answered| answered.answer.is_settled()).cloned();
        let mut times: Vec<u64> =
            self.payments.iter().filter_map(first).map(|answered| answered.answered.as_nanos() as u64).collect();
        times.sort_unstable();
        times
    }
}

impl Payment {
    /// The first final answer; otherwise the last one.
    pub fn outcome(&self) -> Option<&Answer> {
        let mut answers = self.answers.iter().map(|answered| &answered.answer);
        answers.clone().find(|answer| answer.is_final()).or_else(|| answers.next_back())
    }
}
