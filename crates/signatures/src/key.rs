//! Public keys: as bytes, and decompressed for verification.

use std::fmt;
use std::str::FromStr;

use std::sync::OnceLock;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};

use crate::backend::{Backend, Simd};
use crate::decompress::{Cache, DecompressX};
use crate::point::{CachedPoint, ExtendedPoint};

/// A public key as signed and stored: any 32 bytes; [`PublicKey::decompress`] checks them.
///
/// Keys that differ in a byte are different keys, even if they encode the same point: the bytes are hashed into every
/// signature. Shown and parsed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Prepares the key for verification; takes a few microseconds, so keep the result while its wallet is active.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] if the bytes encode no point under ZIP-215. Every signature by such a key is invalid.
    /// Keys of small order and non-canonical encodings are accepted here.
    pub fn decompress(&self) -> Result<DecompressedKey, KeyError> {
        let point = CompressedEdwardsY(self.0).decompress().ok_or(KeyError::NotAPoint { found: *self })?;
        Ok(DecompressedKey { public_key: *self, x: OnceLock::new(), dalek: OnceLock::from(Box::new(point)) })
    }

    pub(crate) fn decompress_all_on(backend: Backend, keys: &[PublicKey]) -> Vec<Option<DecompressedKey>> {
        match backend.avx512() {
            // The library decompresses a single key faster.
            Some(simd) if keys.len() > 1 => PublicKey::decompress_all_by(simd, keys),
            _ => keys.iter().map(|key| key.decompress().ok()).collect(),
        }
    }

    pub(crate) fn decompress_all_by(simd: impl Simd, keys: &[PublicKey]) -> Vec<Option<DecompressedKey>> {
        let encodings: Vec<[u8; 32]> = keys.iter().map(|key| key.0).collect();
        let found = simd.run(DecompressX(&encodings)).into_iter();
        let key = |(key, x): (&PublicKey, Option<[u8; 32]>)| {
            Some(DecompressedKey { public_key: *key, x: OnceLock::from(x?), dalek: OnceLock::new() })
        };
        keys.iter().zip(found).map(key).collect()
    }

    /// The requirement on a new key when an account is opened or its key replaced.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] as above; [`KeyError::SmallOrder`] if anybody could make signatures for the key.
    pub fn check_for_account(&self) -> Result<(), KeyError> {
        if self.decompress()?.dalek_point().is_small_order() {
            return Err(KeyError::SmallOrder { found: *self });
        }
        Ok(())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::write_hex(f, &self.0)
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

/// The reason why a text is not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyParseError {
    /// The text is too short or too long.
    #[error(
        "expected a public key of 64 hexadecimal digits, found {found_digits} characters; give it without prefix or \
         spaces"
    )]
    Length {
        /// Characters in the text.
        found_digits: usize,
    },
    /// A character is not one of `0-9`, `a-f`, `A-F`.
    #[error("expected a public key of 64 hexadecimal digits, found {found:?} at position {position}, counted from 0")]
    Digit {
        /// Position of the character, from 0.
        position: usize,
        /// The character.
        found: char,
    },
}

/// The reason why bytes are not accepted as a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No point of the curve has this encoding.
    #[error(
        "expected a public key that encodes a point of edwards25519, found {found}, which encodes none; make sure that \
         the key was copied whole and is an Ed25519 key"
    )]
    NotAPoint {
        /// The key that was refused.
        found: PublicKey,
    },
    /// The point's order divides 8, so signatures under this key prove nothing.
    #[error(
        "expected a public key whose point has large order, found {found}, whose order divides 8, so that anybody can \
         sign for it; generate a new key pair"
    )]
    SmallOrder {
        /// The key that was refused.
        found: PublicKey,
    },
}

/// A public key that is known to encode a point, with that point, so that verifying a signature need not decompress the
/// key.
///
/// The point is kept in two forms, each computed at its first use: batches on SIMD lanes need its `x` (`y` is in the
/// encoding), single verification and the portable backend need curve25519-dalek's point. At least one is there from
/// the start. One is cached for each active wallet, hence the size is fixed here; dalek's point, 160 bytes more, is
/// kept only for keys that need it.
#[derive(Clone)]
pub struct DecompressedKey {
    public_key: PublicKey,
    /// The canonical `x`, little-endian.
    x: OnceLock<[u8; 32]>,
    /// `A` itself, not its negative: the equation is written as `R + k·A − s·B`, where negating `s` is cheap.
    dalek: OnceLock<Box<EdwardsPoint>>,
}

const _: () = assert!(size_of::<DecompressedKey>() <= 88);

impl DecompressedKey {
    const IS_A_POINT: &str = "a decompressed key is made only from an encoding of a point";

    /// The key's original bytes.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    pub(crate) fn public_key_bytes(&self) -> &[u8; 32] {
        &self.public_key.0
    }

    pub(crate) fn dalek_point(&self) -> &EdwardsPoint {
        self.dalek.get_or_init(|| {
            Box::new(CompressedEdwardsY(self.public_key.0).decompress().expect(DecompressedKey::IS_A_POINT))
        })
    }

    /// Appends the points of `keys` to `points`.
    pub(crate) fn cache(simd: impl Simd, keys: &[&DecompressedKey], points: &mut Vec<CachedPoint>) {
        let missing: Vec<&DecompressedKey> = keys.iter().copied().filter(|key| key.x.get().is_none()).collect();
        let encodings: Vec<[u8; 32]> = missing.iter().map(|key| key.public_key.0).collect();
        for (key, x) in missing.iter().zip(simd.run(DecompressX(&encodings))) {
            // Another thread may have been faster, with the same result.
            let _ = key.x.set(x.expect(DecompressedKey::IS_A_POINT));
        }
        let coordinates = |key: &&DecompressedKey| (key.public_key.0, *key.x.get().expect("it was just set"));
        let coordinates: Vec<_> = keys.iter().map(coordinates).collect();
        simd.run(Cache { coordinates: &coordinates, points });
    }
}

/// The base point.
pub(crate) fn base_point() -> ExtendedPoint {
    ExtendedPoint::of_affine(&BASE_X, &BASE_ENCODING)
}

/// The base point's encoding: `y = 4/5`.
const BASE_ENCODING: [u8; 32] = {
    let mut encoding = [0x66; 32];
    encoding[0] = 0x58;
    encoding
};
/// Its `x`, which is even.
const BASE_X: [u8; 32] = [
    0x1a, 0xd5, 0x25, 0x8f, 0x60, 0x2d, 0x56, 0xc9, 0xb2, 0xa7, 0x25, 0x95, 0x60, 0xc7, 0x2c, 0x69, 0x5c, 0xdc, 0xd6,
    0xfd, 0x31, 0xe2, 0xa4, 0xc0, 0xfe, 0x53, 0x6e, 0xcd, 0xd3, 0x36, 0x69, 0x21,
];

impl fmt::Debug for DecompressedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecompressedKey({})", self.public_key)
    }
}
