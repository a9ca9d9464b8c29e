//! Outcomes as streams carry them: 40 bytes each, in the order of the batch's commands.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | height, 0 if the command was not ordered |
//! | 8 | 4 | index in the block |
//! | 12 | 2 | state ([`State`]) |
//! | 14 | 2 | reserved |
//! | 16 | 24 | the outcome as blocks hold it: reason code (2), the payer's fee (6), limit (8), amount (8) |

use bytes::Bytes;
use cbdc_ledger::encoding::{Reader, Writer};
use cbdc_ledger::outcome::{OUTCOME_BYTES, Stage};
use cbdc_ledger::{Height, Outcome, Reason};

/// The commands that one batch of a stream may hold, both from a customer to a bank and from a bank to the central
/// bank.
pub const BATCH_COMMANDS_MAX: usize = 8_192;
/// Bytes of a packed outcome.
pub const PACKED_BYTES: usize = 16 + OUTCOME_BYTES;

/// The state of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum State {
    /// Settled or refused. A refusal before ordering (height 0) concerns this copy; the page of reasons says which are
    /// final for the record.
    Final = 0,
    /// In the bank's durable outbox; not settled.
    Accepted = 1,
    /// Not known here; send the same record again.
    Unknown = 2,
}

/// The answer to one command of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Final, accepted or unknown.
    pub state: State,
    /// Zero if the command was not ordered.
    pub height: Height,
    /// The index in the block.
    pub index: u32,
    /// Settled, or the refusal.
    pub outcome: Outcome,
}

impl Answer {
    /// Refused before ordering: no sequence number was used.
    pub fn not_ordered(outcome: Outcome) -> Answer {
        Answer { state: State::Final, height: Height(0), index: 0, outcome }
    }

    /// The answer to a command in a block.
    pub fn ordered(height: Height, index: u32, outcome: Outcome) -> Answer {
        Answer { state: State::Final, height, index, outcome }
    }

    /// The answer if the status is not known: send the same record again.
    pub fn unknown() -> Answer {
        let outcome = Outcome::refused(Reason::Unavailable, 0, 0);
        Answer { state: State::Unknown, height: Height(0), index: 0, outcome }
    }

    /// The answer to a command in the durable outbox, which is not settled.
    pub fn accepted() -> Answer {
        Answer { state: State::Accepted, ..Answer::unknown() }
    }

    /// Whether the command is in a block.
    pub fn is_ordered(&self) -> bool {
        self.height.0 > 0
    }

    /// Whether the command is in a block and has used its sequence number there, so that the outcome is final. (If
    /// another block was faster, a command may be ordered without any effect.)
    pub fn has_used_its_number(&self) -> bool {
        self.is_ordered() && self.outcome.reason.stage() != Stage::BeforeOrdering
    }
}

/// Packs answers, [`PACKED_BYTES`] each, in their order.
pub fn pack(answers: &[Answer]) -> Bytes {
    let mut out = Writer::with_capacity(answers.len() * PACKED_BYTES);
    for answer in answers {
        out.u64(answer.height.0).u32(answer.index).u16(answer.state as u16).reserved(2);
        answer.outcome.encode(&mut out);
    }
    out.finish().into()
}

/// Reads packed outcomes.
///
/// # Errors
/// A sentence, if the bytes are not a whole number of outcomes or hold an unknown code.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Answer>, String> {
    if !bytes.len().is_multiple_of(PACKED_BYTES) {
        return Err(format!("expected a multiple of {PACKED_BYTES} bytes of outcomes, found {}", bytes.len()));
    }
    bytes.chunks_exact(PACKED_BYTES).map(unpack_one).collect()
}

/// The reason of a packed outcome whose command was not ordered, read in place. `None` for an ordered one, and for an
/// unknown code.
///
/// # Panics
/// `outcome` has fewer than [`PACKED_BYTES`] bytes.
pub fn unordered_reason(outcome: &[u8]) -> Option<Reason> {
    let was_ordered = outcome[..8] != [0; 8];
    Reason::from_code(u16::from_le_bytes([outcome[16], outcome[17]])).filter(|_| !was_ordered)
}

/// Whether a packed outcome leaves open what became of the command, because it is unknown or the node has ceased to
/// lead; read in place.
///
/// # Panics
/// `outcome` has fewer than [`PACKED_BYTES`] bytes.
pub fn is_unknown(outcome: &[u8]) -> bool {
    let (state, code) = state_and_code(outcome);
    let was_ordered = outcome[..8] != [0; 8];
    state == State::Unknown as u16 || !was_ordered && code == Reason::NotLeader as u16
}

/// The state and the reason's code of a packed outcome, read in place; both are unchecked numbers from the wire.
///
/// # Panics
/// `outcome` has fewer than [`PACKED_BYTES`] bytes.
pub fn state_and_code(outcome: &[u8]) -> (u16, u16) {
    let number = |at: usize| u16::from_le_bytes([outcome[at], outcome[at + 1]]);
    (number(12), number(16))
}

fn unpack_one(bytes: &[u8]) -> Result<Answer, String> {
    let mut input = Reader::new("packed outcome", bytes);
    let mut read = || {
        let (height, index, state) = (Height(input.u64()?), input.u32()?, input.u16()?);
        let state = match state {
            0 => State::Final,
            1 => State::Accepted,
            2 => State::Unknown,
            other => return Err(input.wrong("state 0, 1 or 2", u64::from(other))),
        };
        input.reserved(2)?;
        Ok(Answer { state, height, index, outcome: Outcome::decode(&mut input)? })
    };
    read().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::outcome::Charges;

    use super::*;

    #[test]
    fn answers_survive_packing() {
        let answers = [
            Answer::ordered(Height(u64::MAX), u32::MAX, Outcome::refused(Reason::HoldingLimit, 3, u64::MAX)),
            Answer::ordered(Height(3), 1, Outcome::paid(Charges { fee: Charges::FEE_MAX, ..Charges::default() })),
            Answer::not_ordered(Outcome::refused(Reason::BadSignature, 0, 0)),
            Answer::accepted(),
            Answer::unknown(),
        ];
        assert_eq!(unpack(&pack(&answers)).unwrap(), answers);
        let reasons = pack(&answers).chunks_exact(PACKED_BYTES).map(unordered_reason).collect::<Vec<_>>();
        let unavailable = Some(Reason::Unavailable);
        assert_eq!(reasons, [None, None, Some(Reason::BadSignature), unavailable, unavailable]);
    }

    #[test]
    fn what_is_no_packed_outcome_is_refused() {
        assert!(unpack(&[0; 39]).unwrap_err().contains("multiple of 40"));
        let mut bytes = pack(&[Answer::accepted()]).to_vec();
        bytes[16] = 250;
        let error = unpack(&bytes).unwrap_err();
        assert!(error.contains("value 250"), "{error}");
        bytes[12] = 3;
        assert!(unpack(&bytes).unwrap_err().contains("value 3"));
    }
}
