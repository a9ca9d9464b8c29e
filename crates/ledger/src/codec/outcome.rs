//! Outcomes in blocks and in bulk.

use super::encoding::{DecodeError, Reader, Writer};
use crate::types::outcome::{Outcome, Reason};

impl Outcome {
    /// Appends the outcome as blocks hold it: 24 bytes.
    pub fn encode(&self, out: &mut Writer) {
        out.u16(self.reason as u16).reserved(6).u64(self.limit).u64(self.amount);
    }

    /// As it is sent and stored in bulk: a zero for what settled and has nothing to add, else a one and
    /// [`Outcome::encode`].
    pub fn encode_compact(&self, out: &mut Writer) {
        if *self == Outcome::settled() {
            out.u8(0);
        } else {
            self.encode(out.u8(1));
        }
    }

    /// Reads what [`Outcome::encode_compact`] wrote.
    pub fn decode_compact(input: &mut Reader<'_>) -> Result<Outcome, DecodeError> {
        if !input.boolean()? {
            return Ok(Outcome::settled());
        }
        match Outcome::decode(input)? {
            outcome if outcome == Outcome::settled() => Err(input.wrong("an outcome that says more", 0)),
            outcome => Ok(outcome),
        }
    }

    /// Reads what [`Outcome::encode`] wrote.
    pub fn decode(input: &mut Reader<'_>) -> Result<Outcome, DecodeError> {
        let code = input.u16()?;
        let reason = Reason::from_code(code).ok_or_else(|| input.wrong("a known reason", u64::from(code)))?;
        input.reserved(6)?;
        Ok(Outcome { reason, limit: input.u64()?, amount: input.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::outcome::OUTCOME_BYTES;

    #[test]
    fn a_compact_outcome_has_one_encoding() {
        let outcomes = [Outcome::settled(), Outcome::paid(3, 0), Outcome::refused(Reason::Expired, u64::MAX, 7)];
        let mut out = Writer::default();
        outcomes.iter().for_each(|outcome| outcome.encode_compact(&mut out));
        assert_eq!(out.len(), 1 + 2 * (1 + OUTCOME_BYTES));
        let mut input = Reader::new("test", out.as_bytes());
        assert_eq!([(); 3].map(|()| Outcome::decode_compact(&mut input).unwrap()), outcomes);
        let mut long = vec![1];
        long.resize(1 + OUTCOME_BYTES, 0);
        assert!(Outcome::decode_compact(&mut Reader::new("test", &long)).is_err());
    }
}
