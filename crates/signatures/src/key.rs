//! Public keys: as bytes, and decompressed for verification.

use std::fmt;
use std::str::FromStr;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};

use super::decompress::decompress;

/// A public key as signed and stored: 32 bytes. Any bytes; [`PublicKey::decompress`] judges them.
///
/// Keys that differ in a byte are different keys, even where they encode the same point: the bytes are hashed into
/// every signature. Shown and parsed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The key made ready for verification; takes a few microseconds, so keep the result while its wallet is active.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] if the bytes encode no point under ZIP-215. Every signature by such a key is invalid.
    /// Keys of small order and encodings that are not canonical are accepted here.
    pub fn decompress(&self) -> Result<DecompressedKey, KeyError> {
        let point = CompressedEdwardsY(self.0).decompress().ok_or(KeyError::NotAPoint { found: *self })?;
        Ok(DecompressedKey { public_key: *self, point })
    }

    /// As [`PublicKey::decompress`] does with each, in less time together; `None` of bytes that encode no point.
    pub fn decompress_all(keys: &[PublicKey]) -> Vec<Option<DecompressedKey>> {
        let encodings: Vec<[u8; 32]> = keys.iter().map(|key| key.0).collect();
        let points = decompress(&encodings).into_iter();
        keys.iter().zip(points).map(|(key, point)| Some(DecompressedKey { public_key: *key, point: point? })).collect()
    }

    /// What opening an account, or replacing its key, demands of the new key.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] as above; [`KeyError::SmallOrder`] if anybody could make signatures for the key.
    pub fn check_for_account(&self) -> Result<(), KeyError> {
        if self.decompress()?.point.is_small_order() {
            return Err(KeyError::SmallOrder { found: *self });
        }
        Ok(())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::write_hex(f, &self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found_digits = text.chars().count();
        if found_digits != 64 {
            return Err(PublicKeyParseError::Length { found_digits });
        }
        let mut bytes = [0; 32];
        for (position, character) in text.chars().enumerate() {
            let digit = character
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
                .ok_or(PublicKeyParseError::Digit { position, found: character })?;
            bytes[position / 2] = bytes[position / 2] << 4 | digit;
        }
        Ok(Self(bytes))
    }
}

/// Why a text is not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyParseError {
    /// The text is too short or too long.
    #[error(
        "expected a public key of 64 hexadecimal digits, found {found_digits} characters; give it without prefix or spaces"
    )]
    Length {
        /// Characters in the text.
        found_digits: usize,
    },
    /// A character is none of `0-9`, `a-f`, `A-F`.
    #[error("expected a public key of 64 hexadecimal digits, found {found:?} at position {position}, counted from 0")]
    Digit {
        /// Position of the character, from 0.
        position: usize,
        /// The character.
        found: char,
    },
}

/// Why bytes do not serve as a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No point of the curve has this encoding.
    #[error(
        "expected a public key that encodes a point of edwards25519, found {found}, which encodes none; make sure that the key was copied whole and is an Ed25519 key"
    )]
    NotAPoint {
        /// The key that was refused.
        found: PublicKey,
    },
    /// The point's order divides 8, so signatures under this key prove nothing.
    #[error(
        "expected a public key whose point has large order, found {found}, whose order divides 8, so that anybody can sign for it; generate a new key pair"
    )]
    SmallOrder {
        /// The key that was refused.
        found: PublicKey,
    },
}

/// A public key with its point at hand, so that a signature costs no decompression of the key.
///
/// 192 bytes: the 32 of the key and 160 of the point. Cached for each active wallet, hence the size is fixed here.
#[derive(Clone)]
pub struct DecompressedKey {
    public_key: PublicKey,
    /// `A` itself, not its negative: the equation is written as `R + k·A − s·B`, where the cheap `s` is negated.
    point: EdwardsPoint,
}

const _: () = assert!(size_of::<DecompressedKey>() == 192);

impl DecompressedKey {
    /// The key as it was given, byte for byte.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    pub(crate) fn public_key_bytes(&self) -> &[u8; 32] {
        &self.public_key.0
    }

    pub(crate) fn point(&self) -> &EdwardsPoint {
        &self.point
    }
}

impl fmt::Debug for DecompressedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecompressedKey({})", self.public_key)
    }
}
