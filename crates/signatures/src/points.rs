//! The points of a batch, read and ready to be summed up: the keys, the commitments, and the base point.
//!
//! Sums of many points are computed eight side by side where the processor can ([`super::sum`]), else by the library.

use std::iter::{once, repeat_n};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;

use super::DecompressedKey;
use super::decompress::decompress;
#[cfg(target_arch = "x86_64")]
use super::{
    decompress,
    layout::{self, Layout},
    sum::{Row, Terms},
};

/// Batches of so many signatures or more are summed up eight side by side, and so are their parts.
#[cfg(target_arch = "x86_64")]
const SIDE_BY_SIDE_FROM: usize = 16;

pub(crate) enum Points<'a> {
    Library {
        keys: Vec<&'a EdwardsPoint>,
        /// The base point stands for those that are none; no sum uses it.
        commitments: Vec<EdwardsPoint>,
    },
    #[cfg(target_arch = "x86_64")]
    SideBySide {
        layout: Layout,
        /// The identity, the base point, all keys, all commitments.
        rows: Vec<Row>,
        signatures: usize,
    },
}

/// What the points of one signature count in a sum.
pub(crate) struct Factors {
    /// Which signature.
    pub(crate) position: usize,
    pub(crate) of_key: Scalar,
    pub(crate) of_commitment: Scalar,
}

impl<'a> Points<'a> {
    /// The points of as many signatures as there are keys and encoded commitments; and which commitments are points.
    pub(crate) fn read(keys: impl Iterator<Item = &'a DecompressedKey>, commitments: &[[u8; 32]]) -> (Self, Vec<bool>) {
        #[cfg(target_arch = "x86_64")]
        if commitments.len() >= SIDE_BY_SIDE_FROM
            && let Some(layout) = layout::found()
        {
            let signatures = commitments.len();
            let mut rows = Vec::with_capacity(2 + 2 * signatures);
            rows.push(Row::IDENTITY);
            let known = once(&ED25519_BASEPOINT_POINT).chain(keys.map(DecompressedKey::point));
            Row::of_points(layout, known, &mut rows);
            let are_points = decompress::read_rows(layout, commitments, &mut rows);
            return (Points::SideBySide { layout, rows, signatures }, are_points);
        }
        let read = decompress(commitments);
        let points = Points::Library {
            keys: keys.map(DecompressedKey::point).collect(),
            commitments: read.iter().map(|point| point.unwrap_or(ED25519_BASEPOINT_POINT)).collect(),
        };
        (points, read.iter().map(Option::is_some).collect())
    }

    /// `base·B + Σ (of_key·A + of_commitment·R)` over some of the signatures.
    pub(crate) fn sum(&self, base: Scalar, factors: &[Factors]) -> EdwardsPoint {
        match self {
            Points::Library { keys, commitments } => {
                let padding = padding(factors.len());
                EdwardsPoint::vartime_multiscalar_mul(
                    once(base)
                        .chain(factors.iter().map(|each| each.of_key))
                        .chain(factors.iter().map(|each| each.of_commitment))
                        .chain(repeat_n(Scalar::ZERO, padding)),
                    once(&ED25519_BASEPOINT_POINT)
                        .chain(factors.iter().map(|each| keys[each.position]))
                        .chain(factors.iter().map(|each| &commitments[each.position]))
                        .chain(repeat_n(&ED25519_BASEPOINT_POINT, padding)),
                )
            }
            #[cfg(target_arch = "x86_64")]
            Points::SideBySide { layout, rows, signatures } => {
                let mut terms = Terms::of(rows, 1 + 2 * factors.len());
                terms.push(1, base.to_bytes());
                for each in factors {
                    terms.push(2 + each.position, each.of_key.to_bytes());
                    terms.push(2 + signatures + each.position, each.of_commitment.to_bytes());
                }
                terms.sum(*layout)
            }
        }
    }
}

/// How many terms of zero to add, for speed alone.
///
/// curve25519-dalek 5 takes Straus' algorithm below 190 points, Pippenger's from there on. The tables of Straus outgrow the
/// first-level cache well before that. Terms of zero cost Pippenger next to nothing, so they bring it in earlier.
fn padding(signatures: usize) -> usize {
    const PIPPENGER_FROM_POINTS: usize = 190;
    const PIPPENGER_PAYS_FROM_SIGNATURES: usize = 40;
    if signatures < PIPPENGER_PAYS_FROM_SIGNATURES {
        return 0;
    }
    PIPPENGER_FROM_POINTS.saturating_sub(2 * signatures + 1)
}
