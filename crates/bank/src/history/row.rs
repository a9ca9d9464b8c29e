//! The lines of one block, in the order of commands, the payer's before the payee's.
//!
//! Each line is a row of words without their leading zeros ([`cbdc_ledger::compact`]), about 20 bytes:
//!
//! | word | field |
//! |---|---|
//! | 0 | the wallet's serial |
//! | 1 | its bank, and in the lowest eight bits the [`Side`] |
//! | 2 | index of the command in its block |
//! | 3 | offset of its record in the block proposal, or of its outcome in the filtered block; 0 for an entry |
//! | 4 | the wallet's own sequence number that it used; 0 for an incoming payment or an entry |
//! | 5 | height of the block of this wallet's previous line; 0 for none |
//! | 6 | the same for its previous line that used its own sequence number |
//! | 7 | reserved |
//!
//! The line of an entry that no payment's record and outcome show is followed by the entry itself.

use cbdc_ledger::block::Entry;
use cbdc_ledger::encoding::{DecodeError, Reader, Writer};
use cbdc_ledger::{AccountId, BankId};

/// The bytes that suffice for most lines.
pub const LINE_BYTES_USUAL: usize = 20;

/// The wallet's side of a line's command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Outgoing,
    Incoming,
    /// A command of the holder other than a payment.
    Other,
    /// A change of the balance that no payment's record and outcome show.
    Entry(Entry),
}

/// The code of [`Side::Entry`].
const ENTRY: u64 = 3;

impl Side {
    fn code(&self) -> u64 {
        match self {
            Side::Outgoing => 0,
            Side::Incoming => 1,
            Side::Other => 2,
            Side::Entry(_) => ENTRY,
        }
    }
}

/// Heights of blocks with lines of a wallet; 0 for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Links {
    pub any: u64,
    /// The newest line that used the wallet's own sequence number.
    pub numbered: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    pub wallet: AccountId,
    pub side: Side,
    pub index: u32,
    pub offset: u32,
    pub sequence: u64,
    pub before: Links,
}

impl Line {
    /// Whether the command used the wallet's own sequence number.
    pub fn is_numbered(&self) -> bool {
        matches!(self.side, Side::Outgoing | Side::Other)
    }

    pub fn encode(&self, out: &mut Writer) {
        out.words(&[
            u64::from(self.wallet.serial),
            u64::from(self.wallet.bank.0) << 8 | self.side.code(),
            u64::from(self.index),
            u64::from(self.offset),
            self.sequence,
            self.before.any,
            self.before.numbered,
            0,
        ]);
        if let Side::Entry(entry) = &self.side {
            entry.encode(out);
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<Line, DecodeError> {
        let [serial, bank_and_side, index, offset, sequence, any, numbered, reserved] = input.words()?;
        let half = |word: u64| u32::try_from(word).map_err(|_| input.wrong("at most 32 bits", word));
        let bank = u16::try_from(bank_and_side >> 8).map_err(|_| input.wrong("a bank and a side", bank_and_side))?;
        let (serial, index) = (half(serial)?, half(index)?);
        let offset = half(offset)?;
        if reserved != 0 {
            return Err(input.wrong("0 in the reserved word", reserved));
        }
        let side = match bank_and_side & 0xFF {
            0 => Side::Outgoing,
            1 => Side::Incoming,
            2 => Side::Other,
            ENTRY => Side::Entry(Entry::decode(input, BankId(bank))?),
            other => return Err(input.wrong("side 0, 1, 2 or 3", other)),
        };
        Ok(Line {
            wallet: AccountId::new(BankId(bank), serial),
            side,
            index,
            offset,
            sequence,
            before: Links { any, numbered },
        })
    }
}

/// The lines of a block.
pub fn lines(row: &[u8]) -> impl Iterator<Item = Result<Line, DecodeError>> {
    let mut input = Reader::new("line of the history", row);
    std::iter::from_fn(move || {
        if input.is_empty() {
            return None;
        }
        let line = Line::decode(&mut input);
        if line.is_err() {
            input = Reader::new("line of the history", &[]);
        }
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::Amount;
    use cbdc_ledger::block::Cause;

    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written_and_a_cut_row_is_found() {
        let wallet = |bank, serial| AccountId::new(BankId(bank), serial);
        let line = |wallet, side, index| Line {
            wallet,
            side,
            index,
            offset: 16 + index * 136,
            sequence: 7,
            before: Links { any: u64::MAX, numbered: 3 },
        };
        let (amount, counterparty, number) = (Amount::from_minor(7), Some(wallet(2, 1)), 4);
        let entry = Entry { index: 9, wallet: wallet(1, 5), cause: Cause::Captured, amount, counterparty, number };
        let lines = [
            line(wallet(1, 5), Side::Outgoing, 0),
            line(wallet(u16::MAX, u32::MAX), Side::Incoming, 0),
            line(wallet(1, 5), Side::Other, 9),
            line(wallet(1, 5), Side::Entry(entry), 9),
            line(wallet(1, 5), Side::Incoming, 10),
        ];
        let mut row = Writer::default();
        lines.iter().for_each(|line| line.encode(&mut row));
        assert_eq!(super::lines(row.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap(), lines);
        let cut = &row.as_bytes()[..row.len() - 1];
        assert_eq!(super::lines(cut).filter(Result::is_err).count(), 1);
    }
}
