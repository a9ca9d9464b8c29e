//! The status of a refused record: a pure decision about what may be answered, so that the chain never contradicts it.
//!
//! A *record* is one signed command: an account, a sequence number, the bytes. A *copy* of it is one sending of the
//! bytes. A refusal before ordering concerns one copy; the answer concerns the record. Other copies may be in flight,
//! and whoever has the record can send it again.
//!
//! # The answer
//! The first row that applies decides.
//!
//! | what is known | answer |
//! |---|---|
//! | the replica is behind what the central bank has answered, and shows nothing | wait for it, then `UNAVAILABLE` |
//! | the chain has used the number for this record | OK with its outcome, which is final |
//! | … for another record | `SEQUENCE_CONFLICT`, final |
//! | … and only the wallet's own bank knows for which | `SEQUENCE_USED`: the first outcome stands |
//! | the chain's time has passed valid-until | `EXPIRED`, final |
//! | the key in force is newer than the one in the record | `KEY_CHANGED`, final |
//! | nobody can order the record ([`Reason::shows_never_ordered`]) | the refusal, final |
//! | the central bank does not know an account that this replica has, so it has lost blocks | `UNAVAILABLE` |
//! | the chain's time has passed valid-until, and only the wallet's own bank knows the number | `UNAVAILABLE` |
//! | another copy is unanswered, or the refusal itself leaves that open | `UNAVAILABLE`: send the same record again |
//! | nothing of that | the refusal, and until when the record may settle |
//!
//! So while a copy is unanswered, everything that does not follow from the chain or the record itself is `UNAVAILABLE`:
//! this machine's clock, funds as the replica sees them, a full queue, a missing link.
//!
//! # Why the order of the readings matters
//! Unanswered copies are read before the chain. A copy that is answered in between, or leaves the outbox because a
//! block has its number, counts as unanswered; read in the other order, it would be seen in neither.
//!
//! # Where the facts come from
//! The replica's window says whether a number is used, its history by which record, and its tip is the chain's time:
//! every later block has a later time. [`super::unanswered`] has the copies whose answer never came, the outbox those
//! that are sent until it comes. [`super::records`] combines these facts.

use cbdc_ledger::command::Signer;
use cbdc_ledger::outcome::OtherCopies;
use cbdc_ledger::sequence::SequenceStatus;
use cbdc_ledger::{AccountId, Command, Height, Ledger, Outcome, Reason, Timestamp};
use cbdc_proto::packed::Answer;

use crate::history::payment_of;

/// A record's identity: the signer and number it uses, its valid-until, and the version of the key that signed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordId {
    pub account: AccountId,
    pub sequence: u64,
    pub valid_until: Timestamp,
    pub key_version: u32,
}

impl RecordId {
    /// The identity of a record that a holder signed, including a payment inside the bank's own order; `None` for a
    /// command that a member signs.
    pub fn of(command: &Command) -> Option<RecordId> {
        let (account, head) = match (payment_of(command), command.signer()) {
            (Some(payment), _) => (payment.record.from, payment.record.head),
            (None, Signer::Holder(account)) => (account, *command.head()),
            (None, Signer::Member(..)) => return None,
        };
        let (sequence, valid_until, key_version) = (head.sequence, head.valid_until, head.key_version);
        Some(RecordId { account, sequence, valid_until, key_version })
    }
}

/// The refuser of a record before ordering, and what follows for other copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusedBy {
    /// This bank.
    Bank,
    /// The central bank, for a copy.
    CentralBank(OtherCopies),
    /// The central bank, for the bank's own order that carries the record (a top-up): that says nothing about the
    /// record.
    CentralBankTheOrder,
}

/// A refused record.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    pub command: &'a Command,
    pub id: RecordId,
    pub refusal: Outcome,
    pub by: RefusedBy,
}

/// The status of a record's number in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberStatus {
    Unused,
    Used,
    /// This replica does not have the account.
    NotKnown,
}

/// The replica's view of a record at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OnChain {
    pub number: NumberStatus,
    /// The version of the account's key in force.
    pub key_version: Option<u32>,
    /// Whether the account is there and open.
    pub is_open: bool,
    pub height: Height,
    pub time: Timestamp,
}

impl OnChain {
    /// The view of a replica's ledger.
    pub fn of(ledger: &Ledger, id: &RecordId) -> OnChain {
        let account = ledger.account(id.account);
        let number = match account.map(|account| account.window.status(id.sequence)) {
            Some(SequenceStatus::Used) => NumberStatus::Used,
            Some(SequenceStatus::Free | SequenceStatus::OutOfWindow) => NumberStatus::Unused,
            // A full replica has every account: one that does not exist has used no number.
            None if ledger.partial_replica_of().is_none() => NumberStatus::Unused,
            None => NumberStatus::NotKnown,
        };
        let key_version = account.map(|account| account.key_version);
        let is_open = account.is_some_and(|account| account.open);
        OnChain { number, key_version, is_open, height: ledger.height(), time: ledger.tip().time }
    }

    /// Whether no later block can settle the record, which has not settled so far.
    pub fn excludes(&self, id: &RecordId) -> Option<Outcome> {
        if self.number != NumberStatus::Unused {
            return None;
        }
        if self.has_expired(id) {
            return Some(Outcome::refused(Reason::Expired, id.valid_until.0, self.time.0));
        }
        let (in_force, named) = (self.key_version?, id.key_version);
        // A replaced key does not return.
        let is_replaced = named < in_force;
        is_replaced.then(|| Outcome::refused(Reason::KeyChanged, u64::from(in_force), u64::from(named)))
    }

    /// Whether the chain has decided: a copy in flight no longer changes anything.
    pub fn is_decided(&self, id: &RecordId) -> bool {
        self.number == NumberStatus::Used || self.excludes(id).is_some()
    }

    /// Whether the chain has decided, even if this replica cannot know how: what is remembered of copies in flight is
    /// of no further use.
    pub fn is_over(&self, id: &RecordId) -> bool {
        self.has_expired(id) || self.is_decided(id)
    }

    fn has_expired(&self, id: &RecordId) -> bool {
        id.valid_until < self.time
    }
}

/// The record that used a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstUse {
    /// This one; its answer.
    This(Answer),
    Another,
    /// The block is in this replica, but not in its history yet.
    NotYetKnown,
    /// Only the wallet's own bank knows, or it lies too far back to be looked for.
    KnownElsewhere,
}

/// The bank's facts, in the order in which they must be read.
pub trait Knowledge {
    type Error;

    /// 1. Whether a copy other than the refused one is unanswered, for each record, as far as this bank sent it.
    fn unanswered(&self, refused: &[Refused<'_>]) -> Vec<bool>;
    /// 2. The newest block of which the central bank has reported an outcome.
    fn answered_up_to(&self) -> Height;
    /// 3. The replica's view of each record.
    fn on_chain(&self, refused: &[Refused<'_>]) -> Vec<OnChain>;
    /// 4. The record that used the number, if any.
    fn first_use(&self, refused: &Refused<'_>) -> Result<FirstUse, Self::Error>;
}

/// The answer that may be given about a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The chain has its outcome.
    Ordered(Answer),
    /// It never settles.
    Final(Outcome),
    /// Its number is used, and the first outcome stands, whichever it is.
    FirstOutcomeStands(Outcome),
    /// The present copy was not ordered and no other is in flight from here; the record may settle until its
    /// valid-until if somebody sends it.
    NotFinal(Outcome),
    /// A copy may have been ordered. The refusal is the present copy's.
    Unknown(Outcome),
    /// The replica or the history lacks the deciding block. If it never arrives, the record's status is unknown.
    NotYet(Outcome),
}

/// The facts that must be read before the chain, for some records.
pub struct BeforeTheChain {
    unanswered: Vec<bool>,
    /// The block that the replica must have reached.
    pub answered_up_to: Height,
}

/// Reads the facts that must be read before the chain.
pub fn read_before_the_chain<K: Knowledge>(knowledge: &K, refused: &[Refused<'_>]) -> BeforeTheChain {
    let unanswered = knowledge.unanswered(refused);
    // Read second: an answer that removed a copy from the table is counted here.
    BeforeTheChain { unanswered, answered_up_to: knowledge.answered_up_to() }
}

/// Decides what may be answered about some records that were refused before ordering; `before` was read for the same
/// ones. May read the history from disk.
pub fn judge<K: Knowledge>(
    knowledge: &K,
    refused: &[Refused<'_>],
    before: &BeforeTheChain,
) -> Result<Vec<Verdict>, K::Error> {
    let on_chain = knowledge.on_chain(refused);
    let facts = refused.iter().zip(&before.unanswered).zip(&on_chain);
    facts
        .map(|((refused, unanswered), chain)| judge_one(knowledge, refused, *unanswered, before.answered_up_to, chain))
        .collect()
}

fn judge_one<K: Knowledge>(
    knowledge: &K,
    refused: &Refused<'_>,
    unanswered: bool,
    answered_up_to: Height,
    chain: &OnChain,
) -> Result<Verdict, K::Error> {
    let refusal = refused.refusal;
    if chain.number == NumberStatus::Used {
        return Ok(match knowledge.first_use(refused)? {
            FirstUse::This(answer) => Verdict::Ordered(answer),
            FirstUse::Another => Verdict::Final(Outcome::refused(Reason::SequenceConflict, 0, refused.id.sequence)),
            FirstUse::NotYetKnown => Verdict::NotYet(refusal),
            FirstUse::KnownElsewhere => {
                Verdict::FirstOutcomeStands(Outcome::refused(Reason::SequenceUsed, 0, refused.id.sequence))
            }
        });
    }
    if let Some(decided) = chain.excludes(&refused.id) {
        return Ok(Verdict::Final(decided));
    }
    Ok(match (refused.by, refusal.reason) {
        (RefusedBy::Bank | RefusedBy::CentralBank(_), reason) if reason.shows_never_ordered() => {
            Verdict::Final(refusal)
        }
        // It speaks of its own chain, which this replica follows.
        (RefusedBy::CentralBank(_), Reason::SequenceConflict | Reason::Expired) => Verdict::Final(refusal),
        (RefusedBy::CentralBank(_), Reason::SequenceUsed) => Verdict::NotYet(refusal),
        (_, Reason::Unavailable | Reason::LostBlocks) => Verdict::Unknown(refusal),
        // It has lost blocks that this replica has, and does not know it yet.
        (RefusedBy::CentralBank(_), Reason::UnknownAccount) if chain.is_open => Verdict::Unknown(refusal),
        // It may have settled before it expired, and what was sent of it may be forgotten ([`OnChain::is_over`]).
        _ if chain.number == NumberStatus::NotKnown && chain.has_expired(&refused.id) => Verdict::Unknown(refusal),
        _ if unanswered => Verdict::Unknown(refusal),
        _ if chain.height < answered_up_to => Verdict::NotYet(refusal),
        _ => Verdict::NotFinal(refusal),
    })
}

#[cfg(test)]
mod tests;
