//! Points put together of coordinates that are known.
//!
//! curve25519-dalek offers no way to make a point of its coordinates, or to tell them. So this room looks once, at its first
//! use, how the library lays a point out in memory: it compares eight points of the library's own making with the coordinates
//! that [`super::lanes`] computes for their encodings. Only if each of the four coordinates is found at one and the same place
//! in all eight are points put together and taken apart that way; else, as on any other processor, the library does all by
//! itself. So nothing about the layout is assumed, and a fault in the arithmetic would show before it is used.

use std::sync::OnceLock;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;

use super::decompress::eight_coordinates;
use super::lanes::{self, Limbs, ONE};

/// The extended coordinates of a point.
#[derive(Clone, Copy)]
pub(crate) struct Coordinates {
    pub(crate) x: Limbs,
    pub(crate) y: Limbs,
    pub(crate) z: Limbs,
    pub(crate) t: Limbs,
}

/// In which quarter of a point's memory each coordinate stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    x: usize,
    y: usize,
    z: usize,
    t: usize,
}

/// How this build of curve25519-dalek lays points out, if that could be found and the processor can make use of it: where there
/// is a layout, [`super::lanes`] may be used.
pub(crate) fn found() -> Option<Layout> {
    static FOUND: OnceLock<Option<Layout>> = OnceLock::new();
    *FOUND.get_or_init(find)
}

fn find() -> Option<Layout> {
    if !lanes::is_available() || size_of::<EdwardsPoint>() != size_of::<[Limbs; 4]>() {
        return None;
    }
    let points: [EdwardsPoint; 8] =
        std::array::from_fn(|number| EdwardsPoint::mul_base(&Scalar::from((number * number + 2) as u64)));
    let encodings = points.map(|point| point.compress().0);
    // SAFETY: the processor has the features that the function is compiled for.
    let coordinates = unsafe { eight_coordinates(&encodings) };
    let mut layouts = encodings
        .iter()
        .zip(coordinates)
        .map(|(encoding, coordinates)| Layout::of(&CompressedEdwardsY(*encoding).decompress()?, &coordinates?));
    let first = layouts.next()??;
    // Sums take keys and the base point for points whose Z is 1, as it is in all that were read from their encodings.
    let base = first.coordinates(&ED25519_BASEPOINT_POINT);
    (layouts.all(|layout| layout == Some(first)) && base.z == ONE).then_some(first)
}

impl Layout {
    fn of(point: &EdwardsPoint, coordinates: &Coordinates) -> Option<Layout> {
        let quarters = quarters(point).map(canonical);
        let place = |limbs: Limbs| quarters.iter().position(|quarter| *quarter == canonical(limbs));
        let Coordinates { x, y, t, .. } = *coordinates;
        let layout = Layout { x: place(x)?, y: place(y)?, z: place(ONE)?, t: place(t)? };
        let mut taken = [layout.x, layout.y, layout.z, layout.t];
        taken.sort_unstable();
        (taken == [0, 1, 2, 3]).then_some(layout)
    }

    pub(crate) fn point(self, coordinates: &Coordinates) -> EdwardsPoint {
        let mut quarters = [[0; 5]; 4];
        quarters[self.x] = coordinates.x;
        quarters[self.y] = coordinates.y;
        quarters[self.z] = coordinates.z;
        quarters[self.t] = coordinates.t;
        // SAFETY: a layout is found only where a point is as large as four times five limbs and each of its coordinates
        // was seen as five limbs in one quarter; limbs are integers, for which any value is valid, and those here are
        // in the range that the library itself keeps to.
        unsafe { std::mem::transmute_copy(&quarters) }
    }

    pub(crate) fn coordinates(self, point: &EdwardsPoint) -> Coordinates {
        let quarters = quarters(point);
        Coordinates { x: quarters[self.x], y: quarters[self.y], z: quarters[self.z], t: quarters[self.t] }
    }
}

fn quarters(point: &EdwardsPoint) -> [Limbs; 4] {
    const { assert!(size_of::<EdwardsPoint>() >= size_of::<[Limbs; 4]>()) };
    // SAFETY: no more bytes are read than the point has, and any bytes make integers. Should a point have padding somewhere,
    // no layout is found in which all four coordinates stand.
    unsafe { std::mem::transmute_copy(point) }
}

/// The limbs of the same element below `p = 2^255 − 19`, each below 2^51.
fn canonical(limbs: Limbs) -> Limbs {
    const MASK: u64 = (1 << 51) - 1;
    let mut limbs = limbs;
    for _ in 0..3 {
        for at in 0..5 {
            let carry = limbs[at] >> 51;
            limbs[at] &= MASK;
            match at {
                4 => limbs[0] = limbs[0].wrapping_add(19 * carry),
                _ => limbs[at + 1] = limbs[at + 1].wrapping_add(carry),
            }
        }
    }
    let is_reduced = limbs[0] < MASK - 18 || limbs[1..].iter().any(|limb| *limb != MASK);
    if is_reduced { limbs } else { [limbs[0] - (MASK - 18), 0, 0, 0, 0] }
}
