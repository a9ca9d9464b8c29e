//! Outcomes as streams carry them: 32 bytes each, in the order of the batch's commands.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | height, 0 if the command was not ordered |
//! | 8 | 4 | index in the block |
//! | 12 | 2 | reason code |
//! | 14 | 2 | state ([`State`]) |
//! | 16 | 8 | limit |
//! | 24 | 8 | amount |

use bytes::{BufMut, Bytes, BytesMut};
use cbdc_ledger::{Height, Outcome, Reason};

/// Commands that one batch of a stream may hold, from a customer to a bank and from a bank to the central bank alike.
pub const BATCH_COMMANDS_MAX: usize = 8_192;
/// Bytes of a packed outcome.
pub const PACKED_BYTES: usize = 32;

/// The state of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum State {
    /// The outcome is final: ordered, or refused before ordering.
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

    /// The answer to a command that stands in a block.
    pub fn ordered(height: Height, index: u32, outcome: Outcome) -> Answer {
        Answer { state: State::Final, height, index, outcome }
    }

    /// The answer where the status is not known: send the same record again.
    pub fn unknown() -> Answer {
        let outcome = Outcome::refused(Reason::Unavailable, 0, 0);
        Answer { state: State::Unknown, height: Height(0), index: 0, outcome }
    }

    /// The answer to a command in the durable outbox, which is not settled.
    pub fn accepted() -> Answer {
        Answer { state: State::Accepted, ..Answer::unknown() }
    }

    /// Whether the command stands in a block.
    pub fn is_ordered(&self) -> bool {
        self.height.0 > 0
    }
}

/// Packs answers, [`PACKED_BYTES`] each, in their order.
pub fn pack(answers: &[Answer]) -> Bytes {
    let mut out = BytesMut::with_capacity(answers.len() * PACKED_BYTES);
    for answer in answers {
        out.put_u64_le(answer.height.0);
        out.put_u32_le(answer.index);
        out.put_u16_le(answer.outcome.reason as u16);
        out.put_u16_le(answer.state as u16);
        out.put_u64_le(answer.outcome.limit);
        out.put_u64_le(answer.outcome.amount);
    }
    out.freeze()
}

/// Reads packed outcomes.
///
/// # Errors
/// A sentence, where the bytes are no whole number of outcomes or hold an unknown code.
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
    Reason::from_code(u16::from_le_bytes([outcome[12], outcome[13]])).filter(|_| !was_ordered)
}

/// The state and the reason's code of a packed outcome, read in place; both unchecked numbers of the wire.
///
/// # Panics
/// `outcome` has fewer than [`PACKED_BYTES`] bytes.
pub fn state_and_code(outcome: &[u8]) -> (u16, u16) {
    let number = |at: usize| u16::from_le_bytes([outcome[at], outcome[at + 1]]);
    (number(14), number(12))
}

fn unpack_one(bytes: &[u8]) -> Result<Answer, String> {
    let integer = |at: usize, width: usize| {
        bytes[at..at + width].iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
    };
    let code = integer(12, 2) as u16;
    let reason = Reason::from_code(code).ok_or_else(|| format!("expected a known reason code, found {code}"))?;
    let state = match integer(14, 2) {
        0 => State::Final,
        1 => State::Accepted,
        2 => State::Unknown,
        other => return Err(format!("expected state 0, 1 or 2, found {other}")),
    };
    let outcome = Outcome { reason, limit: integer(16, 8), amount: integer(24, 8) };
    Ok(Answer { state, height: Height(integer(0, 8)), index: integer(8, 4) as u32, outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_packing() {
        let answers = [
            Answer::ordered(Height(u64::MAX), u32::MAX, Outcome::refused(Reason::HoldingLimit, 3, u64::MAX)),
            Answer::not_ordered(Outcome::refused(Reason::BadSignature, 0, 0)),
            Answer::accepted(),
            Answer::unknown(),
        ];
        assert_eq!(unpack(&pack(&answers)).unwrap(), answers);
        let reasons = pack(&answers).chunks_exact(PACKED_BYTES).map(unordered_reason).collect::<Vec<_>>();
        let unavailable = Some(Reason::Unavailable);
        assert_eq!(reasons, [None, Some(Reason::BadSignature), unavailable, unavailable]);
    }

    #[test]
    fn what_is_no_packed_outcome_is_refused() {
        assert!(unpack(&[0; 31]).unwrap_err().contains("multiple of 32"));
        let mut bytes = pack(&[Answer::accepted()]).to_vec();
        bytes[12] = 250;
        assert!(unpack(&bytes).unwrap_err().contains("found 250"));
    }
}
