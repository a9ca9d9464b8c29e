//! The lines of one block: 40 bytes each, in the order of commands, the payer's before the payee's.
//!
//! | at | bytes | field, little-endian |
//! |---|---|---|
//! | 0 | 6 | wallet: serial (4), bank (2) |
//! | 6 | 1 | [`Side`] |
//! | 7 | 1 | reserved |
//! | 8 | 4 | index of the command in its block |
//! | 12 | 4 | where in the proposal its record begins |
//! | 16 | 8 | the wallet's own number that it used; 0 of an incoming payment |
//! | 24 | 8 | height of the block of this wallet's line before this one; 0 for none |
//! | 32 | 8 | the same of its line before this one that used its own number |

use cbdc_ledger::AccountId;

/// Bytes of a line.
pub const LINE_BYTES: usize = 40;

/// What a line's command is to the wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Side {
    Outgoing = 0,
    Incoming = 1,
    /// A command of the holder that is no payment.
    Other = 2,
}

/// Heights of blocks with lines of a wallet; 0 for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Links {
    pub any: u64,
    /// The newest that used the wallet's own number.
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
    /// Whether the command used the wallet's own number.
    pub fn is_numbered(&self) -> bool {
        self.side != Side::Incoming
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut line = [0; LINE_BYTES];
        line[..8].copy_from_slice(&self.wallet.to_u64().to_le_bytes());
        line[6] = self.side as u8;
        line[8..12].copy_from_slice(&self.index.to_le_bytes());
        line[12..16].copy_from_slice(&self.offset.to_le_bytes());
        line[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        line[24..32].copy_from_slice(&self.before.any.to_le_bytes());
        line[32..].copy_from_slice(&self.before.numbered.to_le_bytes());
        out.extend_from_slice(&line);
    }

    pub fn decode(line: &[u8; LINE_BYTES]) -> Option<Line> {
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| line[at + byte]));
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| line[at + byte]));
        let side = [Side::Outgoing, Side::Incoming, Side::Other].into_iter().find(|side| *side as u8 == line[6])?;
        Some(Line {
            wallet: wallet_of(line),
            side,
            index: u32_at(8),
            offset: u32_at(12),
            sequence: u64_at(16),
            before: Links { any: u64_at(24), numbered: u64_at(32) },
        })
    }
}

fn wallet_of(line: &[u8; LINE_BYTES]) -> AccountId {
    let mut wallet = [0; 8];
    wallet[..6].copy_from_slice(&line[..6]);
    AccountId::from_u64(u64::from_le_bytes(wallet)).expect("six bytes are below 2^48")
}

/// A wallet's lines in a block, from the last one down.
pub fn lines_of(row: &[u8], wallet: AccountId) -> impl Iterator<Item = Line> {
    let lines = row.as_chunks::<LINE_BYTES>().0.iter().rev();
    lines.filter(move |line| wallet_of(line) == wallet).filter_map(Line::decode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_ledger::BankId;

    #[test]
    fn a_line_is_read_as_it_was_written_and_only_as_its_wallets() {
        let wallet = |bank, serial| AccountId::new(BankId(bank), serial);
        let line = |wallet, side, index| Line {
            wallet,
            side,
            index,
            offset: 16 + index * 136,
            sequence: 7,
            before: Links { any: u64::MAX, numbered: 3 },
        };
        let lines = [
            line(wallet(1, 5), Side::Outgoing, 0),
            line(wallet(u16::MAX, u32::MAX), Side::Incoming, 0),
            line(wallet(1, 5), Side::Other, 9),
        ];
        let mut row = Vec::new();
        lines.iter().for_each(|line| line.encode(&mut row));
        assert_eq!(row.len(), 3 * LINE_BYTES);
        assert_eq!(lines_of(&row, wallet(1, 5)).collect::<Vec<_>>(), [lines[2], lines[0]]);
        assert_eq!(lines_of(&row, wallet(u16::MAX, u32::MAX)).collect::<Vec<_>>(), [lines[1]]);
        assert_eq!(lines_of(&row, wallet(1, 6)).count(), 0);
    }
}
