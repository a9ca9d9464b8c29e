//! The fixed little-endian layout of everything that is signed or hashed, and of most that is stored.
//!
//! There is one writer and one reader. A value has exactly one encoding, and the reader refuses any other: reserved
//! bytes must be zero, booleans 0 or 1, and no byte may be left over ([`Reader::finish`]). Bulk data is sent and stored
//! in the shorter forms of [`crate::codec::compact`].

use cbdc_signatures::PublicKey;

pub use crate::types::hex::{hex, hex_decode};

/// An error in encoded bytes.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes are left than the next value takes.
    #[error("the bytes end early: {what} needs {needed} bytes, {left} are left")]
    TooShort { what: &'static str, needed: usize, left: usize },
    /// Bytes follow the last value.
    #[error("{left} bytes are left over after {what}")]
    LeftOver { what: &'static str, left: usize },
    /// A value that no encoder writes.
    #[error("{what} has the value {found}, expected {expected}")]
    Value { what: &'static str, expected: &'static str, found: u64 },
}

/// The version with which every signed or stored record begins.
pub const VERSION: u8 = 1;

/// Appends values in their fixed layout.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer with memory for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Writer { bytes: Vec::with_capacity(capacity) }
    }

    /// Appends a byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Appends 2 bytes, little-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Appends 4 bytes, little-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Appends 8 bytes, little-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Appends 16 bytes, little-endian, two's complement.
    pub fn i128(&mut self, value: i128) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Appends an optional value: a byte 0 or 1, then the value (zero if missing).
    pub fn optional_u64(&mut self, value: Option<u64>) -> &mut Self {
        self.u8(u8::from(value.is_some())).u64(value.unwrap_or(0))
    }

    /// Appends an optional key: a byte 0 or 1, then the key (zeros if missing).
    pub(crate) fn optional_key(&mut self, key: &Option<PublicKey>) -> &mut Self {
        self.u8(u8::from(key.is_some())).raw(&key.map_or([0; 32], |key| key.0))
    }

    /// Appends a text of at most 255 bytes, length first.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let length =
            u8::try_from(text.len()).expect("texts are checked to be at most 255 bytes before they are encoded");
        self.u8(length).raw(text.as_bytes())
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends `count` reserved bytes, which are zero.
    pub fn reserved(&mut self, count: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len() + count, 0);
        self
    }

    /// The number of bytes written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Clears the writer and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Drops the first `length` bytes.
    pub fn forget(&mut self, length: usize) {
        self.bytes.drain(..length);
    }

    /// Takes the bytes out and leaves the writer empty.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// Fills a record of `N` bytes. Every offset is known at compile time, so that no check remains once it is inlined.
pub(crate) struct Fixed<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Fixed<N> {
    #[inline]
    pub(crate) fn new() -> Self {
        Fixed { bytes: [0; N], filled: 0 }
    }

    #[inline]
    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    #[inline]
    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    #[inline]
    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    #[inline]
    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    #[inline]
    pub(crate) fn i128(&mut self, value: i128) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    #[inline]
    pub(crate) fn raw<const M: usize>(&mut self, bytes: &[u8; M]) -> &mut Self {
        self.bytes[self.filled..][..M].copy_from_slice(bytes);
        self.filled += M;
        self
    }

    /// Skips `count` reserved bytes; they are zero already.
    #[inline]
    pub(crate) fn reserved(&mut self, count: usize) -> &mut Self {
        self.filled += count;
        self
    }

    /// The record, after every byte of it was given.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8; N] {
        assert!(self.filled == N, "expected a record of {N} bytes, found {}", self.filled);
        &self.bytes
    }
}

/// Takes values from the front of bytes.
pub struct Reader<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which errors call `what`.
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Reader { bytes, what }
    }

    /// The next `count` bytes as they are.
    #[inline]
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(count) else { return Err(self.too_short(count)) };
        self.bytes = rest;
        Ok(taken)
    }

    /// The next `N` bytes, without taking them; `None` if fewer are left.
    pub(crate) fn peek<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.bytes.first_chunk()
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    /// The next `N` bytes as a record of fixed layout.
    #[inline]
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<FixedReader<'a, N>, DecodeError> {
        let Some((bytes, rest)) = self.bytes.split_first_chunk() else { return Err(self.too_short(N)) };
        self.bytes = rest;
        Ok(FixedReader { bytes, taken: 0 })
    }

    #[cold]
    fn too_short(&self, needed: usize) -> DecodeError {
        DecodeError::TooShort { what: self.what, needed, left: self.bytes.len() }
    }

    /// Reads a byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.raw(1)?[0])
    }

    /// Reads 2 bytes, little-endian.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Reads 4 bytes, little-endian.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads 8 bytes, little-endian.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads 16 bytes, little-endian, two's complement.
    pub fn i128(&mut self) -> Result<i128, DecodeError> {
        self.array().map(i128::from_le_bytes)
    }

    /// Reads a byte that is 0 or 1.
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.wrong("0 or 1", u64::from(other))),
        }
    }

    /// Reads what [`Writer::optional_u64`] wrote.
    pub fn optional_u64(&mut self) -> Result<Option<u64>, DecodeError> {
        let present = self.boolean()?;
        let value = self.u64()?;
        if !present && value != 0 {
            return Err(self.wrong("0 where a value is missing", value));
        }
        Ok(present.then_some(value))
    }

    pub(crate) fn optional_key(&mut self) -> Result<Option<PublicKey>, DecodeError> {
        let present = self.boolean()?;
        let key: [u8; 32] = self.array()?;
        if !present && key != [0; 32] {
            return Err(self.wrong("zeros where a key is missing", 1));
        }
        Ok(present.then_some(PublicKey(key)))
    }

    /// Reads what [`Writer::text`] wrote.
    pub fn text(&mut self) -> Result<String, DecodeError> {
        let length = usize::from(self.u8()?);
        let bytes = self.raw(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.wrong("UTF-8 text", length as u64))
    }

    /// Refuses anything but zeros in `count` reserved bytes.
    pub fn reserved(&mut self, count: usize) -> Result<(), DecodeError> {
        match self.raw(count)?.iter().find(|byte| **byte != 0) {
            None => Ok(()),
            Some(byte) => Err(self.wrong("0 in reserved bytes", u64::from(*byte))),
        }
    }

    /// Reads a version and refuses any but [`VERSION`].
    pub fn version(&mut self) -> Result<(), DecodeError> {
        let found = self.u8()?;
        self.known_version(found)
    }

    /// Refuses any version but [`VERSION`].
    pub(crate) fn known_version(&self, found: u8) -> Result<(), DecodeError> {
        match found {
            VERSION => Ok(()),
            other => Err(self.wrong("version 1", u64::from(other))),
        }
    }

    /// The error of a value `found` where another was expected.
    pub fn wrong(&self, expected: &'static str, found: u64) -> DecodeError {
        DecodeError::Value { what: self.what, expected, found }
    }

    /// Whether no byte is left.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of bytes left.
    pub fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Refuses bytes left over.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(DecodeError::LeftOver { what: self.what, left }),
        }
    }
}

/// Takes a record of `N` bytes apart. Every offset is known at compile time, so that no check remains once it is
/// inlined.
pub(crate) struct FixedReader<'a, const N: usize> {
    bytes: &'a [u8; N],
    taken: usize,
}

impl<const N: usize> FixedReader<'_, N> {
    #[inline]
    pub(crate) fn array<const M: usize>(&mut self) -> [u8; M] {
        let mut array = [0; M];
        array.copy_from_slice(&self.bytes[self.taken..][..M]);
        self.taken += M;
        array
    }

    /// Checks that every byte of the record was taken.
    #[inline]
    pub(crate) fn finish(self) {
        assert!(self.taken == N, "expected all {N} bytes of a record to be read, found {}", self.taken);
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}
