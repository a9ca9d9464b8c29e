//! Encodings of outcomes: in blocks, and compact for bulk data.

use super::encoding::{DecodeError, Reader, Writer};
use crate::types::outcome::{Outcome, Reason};

impl Outcome {
    /// Appends the outcome as blocks hold it, 24 bytes: reason (2), the payer's fee (6), limit (8), amount (8).
    #[inline]
    pub fn encode(&self, out: &mut Writer) {
        let [low, high] = (self.reason as u16).to_le_bytes();
        let [a, b, c, d, e, f] = self.fee;
        out.u64(u64::from_le_bytes([low, high, a, b, c, d, e, f])).u64(self.limit).u64(self.amount);
    }

    /// Appends the outcome for bulk data: a zero for a settled command with nothing to add, else a one and
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
        let fee = input.array()?;
        if reason != Reason::Settled && fee != [0; 6] {
            return Err(input.wrong("no fee of what was refused", u64::from(fee[0])));
        }
        Ok(Outcome { reason, fee, limit: input.u64()?, amount: input.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::amount::Amount;
    use crate::types::outcome::{Charges, OUTCOME_BYTES};

    #[test]
    fn a_compact_outcome_has_one_encoding() {
        let minor = Amount::from_minor;
        let charges = Charges { fee: minor(1 << 40), payee_fee: minor(3), reverse_waterfall: Amount::ZERO };
        let outcomes = [Outcome::settled(), Outcome::paid(charges), Outcome::refused(Reason::Expired, u64::MAX, 7)];
        let mut out = Writer::default();
        outcomes.iter().for_each(|outcome| outcome.encode_compact(&mut out));
        assert_eq!(out.len(), 1 + 2 * (1 + OUTCOME_BYTES));
        let mut input = Reader::new("test", out.as_bytes());
        assert_eq!([(); 3].map(|()| Outcome::decode_compact(&mut input).unwrap()), outcomes);
        let mut long = vec![1];
        long.resize(1 + OUTCOME_BYTES, 0);
        assert!(Outcome::decode_compact(&mut Reader::new("test", &long)).is_err());
        // A refusal has no fee.
        (long[1], long[3]) = (Reason::Expired as u8, 1);
        assert!(Outcome::decode(&mut Reader::new("test", &long[1..])).is_err());
    }
}
