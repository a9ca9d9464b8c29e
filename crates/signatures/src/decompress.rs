//! Decompression: points from their encodings, eight at a time.
//!
//! Decompressing a point takes a square root: about 250 squarings, each of which waits for the one before. Eight of
//! them in the lanes of AVX-512 take little longer than one.
//!
//! It accepts what ZIP-215 accepts: `y` is reduced modulo `p`, and either sign bit is valid with `x = 0`.

use crate::backend::{Operation, Simd};
use crate::field::{
    D, FieldElement, FieldX8, Limbs, ONE, Power, SQRT_M1, TWICE_D, ZERO, bytes_of_limbs, limbs_of_bytes,
};
use crate::point::{AffineX8, CachedPoint};

/// Appends the points of `encodings` to `points`, and returns which are points; the identity replaces the others.
pub(crate) struct Decompress<'a> {
    pub(crate) encodings: &'a [[u8; 32]],
    pub(crate) points: &'a mut Vec<CachedPoint>,
}

impl Operation for Decompress<'_> {
    type Output = Vec<bool>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<bool> {
        let mut are_points = Vec::with_capacity(self.encodings.len());
        if let [encoding] = self.encodings {
            // Seven of eight lanes would be idle, and 64-bit registers have less latency in dependent multiplications.
            let point = decompress(encoding);
            self.points.push(point.unwrap_or(CachedPoint::IDENTITY));
            are_points.push(point.is_some());
            return are_points;
        }
        for (count, encodings) in chunks_of_eight(self.encodings) {
            let (points, mask) = decompress_x8(simd, &encodings);
            let cached = points.cached().store();
            for (lane, point) in cached[..count].iter().enumerate() {
                let is_point = mask >> lane & 1 == 1;
                self.points.push(if is_point { *point } else { CachedPoint::IDENTITY });
                are_points.push(is_point);
            }
        }
        are_points
    }
}

/// The canonical `x` of the point of each encoding, as 32 bytes, little-endian; `None` if it encodes no point.
pub(crate) struct DecompressX<'a>(pub(crate) &'a [[u8; 32]]);

impl Operation for DecompressX<'_> {
    type Output = Vec<Option<[u8; 32]>>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let mut found = Vec::with_capacity(self.0.len());
        for (count, encodings) in chunks_of_eight(self.0) {
            let (points, mask) = decompress_x8(simd, &encodings);
            let x = points.x.canonical().store();
            found.extend((0..count).map(|lane| (mask >> lane & 1 == 1).then(|| bytes_of_limbs(x[lane]))));
        }
        found
    }
}

/// Appends points whose `x` is known to `points`: pairs of encoding and `x`.
pub(crate) struct Cache<'a> {
    pub(crate) coordinates: &'a [([u8; 32], [u8; 32])],
    pub(crate) points: &'a mut Vec<CachedPoint>,
}

impl Operation for Cache<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (count, pairs) in chunks_of_eight(self.coordinates) {
            let (encodings, x) = (pairs.map(|(encoding, _)| encoding), pairs.map(|(_, x)| x));
            let points = AffineX8 { x: load(simd, &x), y: load(simd, &encodings) };
            self.points.extend_from_slice(&points.cached().store()[..count]);
        }
    }
}

/// Chunks of eight, each with the number of its lanes that count; the others repeat its first and are not read.
fn chunks_of_eight<T: Copy>(all: &[T]) -> impl Iterator<Item = (usize, [T; 8])> + '_ {
    all.chunks(8).map(|chunk| {
        let mut lanes = [chunk[0]; 8];
        lanes[..chunk.len()].copy_from_slice(chunk);
        (chunk.len(), lanes)
    })
}

/// The elements of eight encodings, without their sign bits.
#[inline(always)]
fn load<S: Simd>(simd: S, encodings: &[[u8; 32]; 8]) -> FieldX8<S> {
    let mut lanes = [[0; 8]; 5];
    for (lane, encoding) in encodings.iter().enumerate() {
        let limbs: Limbs = limbs_of_bytes(encoding);
        for limb in 0..5 {
            lanes[limb][lane] = limbs[limb];
        }
    }
    FieldX8::load(simd, &lanes)
}

/// Eight points, and the lanes whose encodings are valid.
#[inline(always)]
fn decompress_x8<S: Simd>(simd: S, encodings: &[[u8; 32]; 8]) -> (AffineX8<S>, u8) {
    let y = load(simd, encodings);
    let signs = (0..8).fold(0, |signs, lane| signs | (encodings[lane][31] >> 7) << lane);
    let one = FieldX8::splat(simd, ONE);
    let yy = y.square();
    let u = yy.sub(&one);
    let v = yy.mul(&FieldX8::splat(simd, D)).add(&one);
    let root = candidate_root(&u, &v);
    let check = v.mul(&root.square());
    let is_root = check.sub(&u).zero_lanes();
    let is_root_of_negative = check.add(&u).zero_lanes();
    let turned = root.mul(&FieldX8::splat(simd, SQRT_M1));
    let root = turned.select(is_root_of_negative & !is_root, &root).canonical();
    // The root whose parity is the sign bit.
    let negative = FieldX8::splat(simd, ZERO).sub(&root);
    let x = negative.select(root.odd_lanes_of_canonical() ^ signs, &root);
    (AffineX8 { x, y }, is_root | is_root_of_negative)
}

/// One point; `None` if the encoding is invalid. The steps are those of [`decompress_x8`].
fn decompress(encoding: &[u8; 32]) -> Option<CachedPoint> {
    let y = FieldElement(limbs_of_bytes(encoding));
    let yy = y.square();
    let (u, v) = (yy.sub(&FieldElement::ONE), yy.mul(&FieldElement(D)).add(&FieldElement::ONE));
    let root = candidate_root(&u, &v);
    let check = v.mul(&root.square());
    let root = match (check == u, check.add(&u).is_zero()) {
        (true, _) => root,
        (false, true) => root.mul(&FieldElement(SQRT_M1)),
        (false, false) => return None,
    };
    let root = FieldElement(root.canonical());
    let is_odd = root.0[0] & 1 == 1;
    let x = if is_odd == (encoding[31] >> 7 == 1) { root } else { FieldElement::ZERO.sub(&root) };
    let xy2d = x.mul(&y).mul(&FieldElement(TWICE_D));
    Some(CachedPoint::of_limbs(y.sub(&x).0, FieldElement(y.add(&x).0).canonical(), xy2d.0))
}

/// RFC 8032's candidate for a square root of `u/v`: `u·v³·(u·v⁷)^((p−5)/8)`.
#[inline(always)]
fn candidate_root<F: Power>(u: &F, v: &F) -> F {
    let v3 = v.square().mul(v);
    let v7 = v3.square().mul(v);
    u.mul(&v3).mul(&u.mul(&v7).pow_p58())
}
