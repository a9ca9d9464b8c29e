//! Compact encodings for bulk data: numbers without their leading zeros.
//!
//! Nothing that is signed or hashed is encoded like this; that has its fixed layout ([`crate::codec::encoding`]). Here
//! too a value has exactly one encoding, and any other is refused.
//!
//! | value | encoding |
//! |---|---|
//! | number | seven bits a byte, the lowest first; the highest bit of a byte says that another follows |
//! | `N` words | `N` lengths in bytes, four bits each, lower half first; then so many bytes of each, little-endian |

use super::encoding::{DecodeError, Reader, Writer};

/// Words of the longest row.
const WORDS_MAX: usize = 16;
/// Bytes of the longest row.
const ROW_BYTES_MAX: usize = WORDS_MAX / 2 + WORDS_MAX * 8;
/// The mask of the lowest bytes of a word, by their number.
const MASKS: [u64; 16] = {
    let mut masks = [u64::MAX; 16];
    let mut length = 0;
    while length < 8 {
        masks[length] = (1 << (length * 8)) - 1;
        length += 1;
    }
    masks
};

impl Writer {
    /// Appends a number, seven bits a byte.
    pub fn number(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8)
    }

    /// Appends an even number of words, at most 16.
    #[inline]
    pub fn words<const N: usize>(&mut self, words: &[u64; N]) -> &mut Self {
        const { assert!(N.is_multiple_of(2) && N <= WORDS_MAX) };
        let mut row = [0; ROW_BYTES_MAX];
        let mut at = N / 2;
        for (index, word) in words.iter().enumerate() {
            let bytes = bytes_of(*word);
            row[index / 2] |= (bytes << (index % 2 * 4)) as u8;
            row[at..at + 8].copy_from_slice(&word.to_le_bytes());
            at += bytes;
        }
        self.raw(&row[..at])
    }
}

impl Reader<'_> {
    /// Reads a number, seven bits a byte.
    pub fn number(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for index in 0..10 {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7F);
            if (index > 0 && byte == 0) || (index == 9 && byte > 1) {
                return Err(self.wrong("a number of at most 64 bits without leading zeros", u64::from(byte)));
            }
            value |= bits << (index * 7);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        unreachable!("the tenth byte ends the number or is refused")
    }

    /// Reads an even number of words, at most 16.
    #[inline]
    pub fn words<const N: usize>(&mut self) -> Result<[u64; N], DecodeError> {
        const { assert!(N.is_multiple_of(2) && N <= WORDS_MAX) };
        match self.peek().and_then(row_of) {
            Some((words, length)) => self.raw(length).map(|_| words),
            None => self.words_one_by_one(),
        }
    }

    /// Reads a row that is malformed, or is followed by fewer bytes than the longest row has.
    #[cold]
    fn words_one_by_one<const N: usize>(&mut self) -> Result<[u64; N], DecodeError> {
        let mut lengths = [0; WORDS_MAX / 2];
        let lengths = &mut lengths[..N / 2];
        lengths.copy_from_slice(self.raw(N / 2)?);
        let mut words = [0; N];
        for (index, word) in words.iter_mut().enumerate() {
            let length = usize::from(lengths[index / 2] >> (index % 2 * 4) & 15);
            if length > 8 {
                return Err(self.wrong("at most 8 bytes", length as u64));
            }
            let mut bytes = [0; 8];
            bytes[..length].copy_from_slice(self.raw(length)?);
            *word = u64::from_le_bytes(bytes);
            if bytes_of(*word) != length {
                return Err(self.wrong("a word without leading zeros", *word));
            }
        }
        Ok(words)
    }

    /// A word that was read, as 32 bits.
    pub(crate) fn half(&self, word: u64) -> Result<u32, DecodeError> {
        u32::try_from(word).map_err(|_| self.wrong("at most 32 bits", word))
    }
}

/// The number of bytes of a word without its leading zeros.
#[inline]
fn bytes_of(word: u64) -> usize {
    8 - (word.leading_zeros() / 8) as usize
}

/// The words of the row at the front of `bytes`, and its length; `None` if it is malformed.
#[inline]
fn row_of<const N: usize>(bytes: &[u8; ROW_BYTES_MAX]) -> Option<([u64; N], usize)> {
    let mut at = N / 2;
    let mut is_well_formed = true;
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        let length = usize::from(bytes[index / 2] >> (index % 2 * 4) & 15);
        let next: &[u8; 8] = bytes.get(at..)?.first_chunk()?;
        *word = u64::from_le_bytes(*next) & MASKS[length];
        is_well_formed &= bytes_of(*word) == length;
        at += length;
    }
    is_well_formed.then_some((words, at))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A word; all lengths are equally likely.
    pub(crate) fn word() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0u32..=64).prop_map(|(word, cut)| word.checked_shr(cut).unwrap_or(0))
    }

    proptest! {
        #[test]
        fn numbers_and_words_are_read_as_they_were_written(words in prop::array::uniform8(word())) {
            let mut out = Writer::default();
            out.words(&words);
            for word in words {
                out.number(word);
            }
            let mut input = Reader::new("test", out.as_bytes());
            prop_assert_eq!(input.words::<8>().unwrap(), words);
            for word in words {
                prop_assert_eq!(input.number().unwrap(), word);
            }
            prop_assert!(input.is_empty());
        }

        /// With enough bytes behind it, a row is read in one go.
        #[test]
        fn a_row_says_the_same_whatever_stands_behind_it(
            mut bytes in prop::collection::vec(any::<u8>(), 0..80),
            small in any::<bool>(),
            behind in any::<u8>(),
        ) {
            if small {
                bytes.iter_mut().for_each(|byte| *byte &= 0x33);
            }
            let mut alone = Reader::new("test", &bytes);
            let read_alone = alone.words::<8>();
            let length = bytes.len() - alone.left();
            let padded = [&bytes[..], &[behind; ROW_BYTES_MAX]].concat();
            let mut input = Reader::new("test", &padded);
            let read = input.words::<8>();
            if let Err(DecodeError::TooShort { .. }) = read_alone {
                prop_assume!(false);
            }
            prop_assert_eq!(&read, &read_alone);
            if read.is_ok() {
                prop_assert_eq!(padded.len() - input.left(), length);
            }
        }

        #[test]
        fn what_can_be_read_has_one_encoding(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            small in any::<bool>(),
        ) {
            let bytes: Vec<u8> = bytes.into_iter().map(|byte| if small { byte & 0x33 } else { byte }).collect();
            let mut input = Reader::new("test", &bytes);
            if let Ok(number) = input.number() {
                let read = bytes.len() - input.left();
                prop_assert_eq!(&Writer::default().number(number).finish(), &bytes[..read]);
            }
            let mut input = Reader::new("test", &bytes);
            if let Ok(words) = input.words::<8>() {
                let read = bytes.len() - input.left();
                prop_assert_eq!(&Writer::default().words(&words).finish(), &bytes[..read]);
            }
        }
    }

    #[test]
    fn small_is_short_and_the_largest_fits() {
        assert_eq!(Writer::default().number(127).as_bytes(), [127]);
        assert_eq!(Writer::default().number(128).as_bytes(), [0x80, 1]);
        assert_eq!(Writer::default().number(u64::MAX).len(), 10);
        assert_eq!(Writer::default().words(&[0, 0x1_00, 0, 7]).as_bytes(), [0x20, 0x10, 0, 1, 7]);
        assert_eq!(Writer::default().words(&[u64::MAX; 2]).len(), 17);
    }

    #[test]
    fn other_encodings_are_refused() {
        let number = |bytes: &[u8]| Reader::new("test", bytes).number();
        assert!(number(&[0x80, 0]).is_err(), "a leading zero");
        assert!(number(&[0xFF; 10]).is_err(), "70 bits");
        assert!(number(&[0x80]).is_err(), "cut");
        let words = |bytes: &[u8]| Reader::new("test", bytes).words::<2>();
        assert!(words(&[0x01, 0]).is_err(), "a leading zero");
        assert!(words(&[0x09, 1, 1, 1, 1, 1, 1, 1, 1, 1]).is_err(), "nine bytes");
        assert!(words(&[0x02, 1]).is_err(), "cut");
        assert_eq!(words(&[0x02, 1, 1]), Ok([257, 0]));
    }
}
