//! Verdicts: whether each signature is valid, by an equation of its own.
//!
//! A bad signature costs exactly what a good one costs, and one verdict says nothing about another: this is for few
//! signatures, and for those of a source that sends bad ones. Many good ones are cheaper in one sum ([`crate::msm`]).
//!
//! 1. The scalars of the equation are halved ([`halving`]), so that 128 doublings do instead of 253.
//! 2. From five signatures on each has a SIMD lane of its own ([`lanes`]); up to four are verified in pairs, with their
//!    coordinates in the lanes ([`pairs`]), which takes half of the time of eight lanes for two of them.
//!
//! Both ways compute the same equation with the same digits.

mod base;
mod digits;
pub(crate) mod halving;
mod lanes;
mod pairs;

use crate::backend::{Operation, Simd};
use crate::point::CachedPoint;
use base::BaseTables;
use halving::Halved;

/// From so many signatures on, the lanes take less time than pairs.
const LANES_FROM: usize = 5;

/// The equation of a signature, and where its points stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Equation {
    /// Where the key stands among the points.
    pub(crate) key: u32,
    /// Where the commitment stands.
    pub(crate) commitment: u32,
    pub(crate) halved: Halved,
}

/// Whether each equation holds.
pub(crate) struct Verdicts<'a> {
    pub(crate) points: &'a [CachedPoint],
    pub(crate) equations: &'a [Equation],
}

impl Operation for Verdicts<'_> {
    type Output = Vec<bool>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<bool> {
        let base = BaseTables::get();
        let mut verdicts = Vec::with_capacity(self.equations.len());
        for equations in self.equations.chunks(8) {
            if equations.len() >= LANES_FROM {
                let valid = lanes::verify(simd, base, self.points, equations);
                verdicts.extend((0..equations.len()).map(|lane| valid >> lane & 1 == 1));
                continue;
            }
            let (pairs, alone) = equations.as_chunks::<2>();
            for [first, second] in pairs {
                verdicts.extend(pairs::verify_two(simd, base, self.points, [first, second]));
            }
            for equation in alone {
                verdicts.push(pairs::verify_one(simd, base, self.points, equation));
            }
        }
        verdicts
    }
}
