//! Verdicts: the validity of each signature, by an equation of its own.
//!
//! A bad signature costs exactly as much as a good one, and no verdict depends on another: this is for few signatures,
//! and for those of a source that sends bad ones. Many good ones are cheaper in one sum ([`crate::msm`]).
//!
//! 1. The scalars of the equation are halved ([`halving`]), so that 128 doublings suffice instead of 253.
//! 2. Eight signatures have a SIMD lane each; three or four have two each ([`lanes`]). For one or two, the lanes hold
//!    the coordinates of two points ([`pairs`]).
//!
//! All compute the same equation with the same digits.

mod base;
mod digits;
pub(crate) mod halving;
mod lanes;
mod pairs;

use crate::backend::{Operation, Simd};
use crate::point::CachedPoint;
pub(crate) use base::BaseTables;
use halving::Halved;

/// The equation of a signature, and the indexes of its points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Equation {
    /// The index of the key among the points.
    pub(crate) key: u32,
    /// The index of the commitment among the points.
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
        let mask = |valid: u8, count: usize| (0..count).map(move |at| valid >> at & 1 == 1);
        for equations in self.equations.chunks(8) {
            match equations {
                [] => {}
                [one] => verdicts.push(pairs::verify_one(simd, base, self.points, one)),
                [one, two] => verdicts.extend(pairs::verify_two(simd, base, self.points, [one, two])),
                three_or_four @ ([_, _, _] | [_, _, _, _]) => {
                    let valid = lanes::verify_four(simd, base, self.points, three_or_four);
                    verdicts.extend(mask(valid, three_or_four.len()));
                }
                more => verdicts.extend(mask(lanes::verify_eight(simd, base, self.points, more), more.len())),
            }
        }
        verdicts
    }
}
