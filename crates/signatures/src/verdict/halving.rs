//! Halving of scalars: from `s·B − k·A − R = 0` to an equation with scalars of half the length.
//!
//! For any `k` there are `u` and `v` of some 126 bits with `u = v·k` modulo the order `l`: every remainder with its
//! cofactor in Euclid's algorithm on `l` and `k` is such a pair. Multiplied by `v`, which has an inverse, the equation
//! is `(v·s)·B − u·A − v·R = 0`, and it holds, times 8, exactly if the first one does. Of its three scalars only that
//! of `B` is long, and there are tables of `B`. So half of the doublings of a verification are saved (Antipa and
//! others, 2005).
//!
//! The quotients are Lehmer's: found from the leading 64 bits of both numbers for as long as these determine them
//! (Collins' condition), and then applied to all bits. [`Halved::of`] checks the result by multiplication: no verdict
//! depends on Euclid's algorithm.

use curve25519_dalek::scalar::Scalar;

/// The order `l` of the base point, little-endian.
pub(crate) const ORDER: [u64; 4] = [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6, 0, 0x1000_0000_0000_0000];

/// The bound on the halved scalars: 32 signed digits of four bits hold them.
const HALF_MAX: u128 = 1 << 127;

/// `base·B − of_key·A ∓ of_commitment·R`, which is zero, times 8, exactly if the signature is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Halved {
    /// `v·s`, little-endian and reduced.
    pub(crate) base: [u8; 32],
    /// `u`.
    pub(crate) of_key: u128,
    /// The absolute value of `v`.
    pub(crate) of_commitment: u128,
    /// Whether `v` is below zero, so that `R` is added.
    pub(crate) adds_commitment: bool,
}

impl Halved {
    /// The halved equation from the challenge `k` and the response `s`. `None` if no short scalars were found, which
    /// nobody has seen.
    pub(crate) fn of(challenge: &Scalar, response: &Scalar) -> Option<Halved> {
        let (of_key, of_commitment, adds_commitment) = halve(words_of(challenge.as_bytes()));
        let absolute = Scalar::from(of_commitment);
        let v = if adds_commitment { -absolute } else { absolute };
        // `0 < |v| <= 2^127 < l`: it has an inverse.
        let is_sound =
            of_key <= HALF_MAX && (1..=HALF_MAX).contains(&of_commitment) && v * challenge == Scalar::from(of_key);
        let base = (v * response).to_bytes();
        is_sound.then_some(Halved { base, of_key, of_commitment, adds_commitment })
    }
}

/// The little-endian words of bytes.
pub(crate) fn words_of(bytes: &[u8; 32]) -> [u64; 4] {
    let (words, _) = bytes.as_chunks::<8>();
    [words[0], words[1], words[2], words[3]].map(u64::from_le_bytes)
}

/// `u`, the absolute value of `v`, and whether `v` is negative.
fn halve(challenge: [u64; 4]) -> (u128, u128, bool) {
    let mut pair = Remainders { larger: ORDER, smaller: challenge, of_larger: 0, of_smaller: 1, is_odd: false };
    while !is_half(&pair.smaller) {
        pair = pair.applied(&pair.leading_quotients());
    }
    let [low, high, ..] = pair.smaller;
    (u128::from(high) << 64 | u128::from(low), pair.of_smaller, pair.is_odd)
}

/// Whether a number is below `2^127`.
fn is_half(number: &[u64; 4]) -> bool {
    number[3] | number[2] | number[1] >> 63 == 0
}

/// Two consecutive remainders, and the absolute values of their cofactors, whose signs alternate.
#[derive(Clone, Copy)]
struct Remainders {
    larger: [u64; 4],
    smaller: [u64; 4],
    of_larger: u128,
    of_smaller: u128,
    /// Whether the number of steps is odd, so that the cofactor of the smaller one is negative.
    is_odd: bool,
}

/// The effect of some steps of Euclid's algorithm: `(x, y)` becomes `(a·x − b·y, d·y − c·x)`, or its negative after an
/// odd number of steps.
struct Steps {
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    is_odd: bool,
}

impl Remainders {
    /// The steps that the leading 64 bits determine, up to the first remainder below `2^127`.
    fn leading_quotients(&self) -> Steps {
        let (mut x, mut y, shift) = leading(&self.larger, &self.smaller);
        // The value of `2^127` among the leading bits.
        let half = if shift < 127 { 1_u64.checked_shl(127 - shift).unwrap_or(u64::MAX) } else { 1 };
        let mut steps = Steps { a: 1, b: 0, c: 0, d: 1, is_odd: false };
        while y >= half {
            let quotient = x / y;
            let remainder = x.wrapping_sub(quotient.wrapping_mul(y));
            // Cofactors times remainders are below 2^64, and so are cofactors.
            let c = steps.a.wrapping_add(quotient.wrapping_mul(steps.c));
            let d = steps.b.wrapping_add(quotient.wrapping_mul(steps.d));
            if remainder < d || y.wrapping_sub(remainder) < steps.d.wrapping_add(d) {
                break;
            }
            (x, y) = (y, remainder);
            steps = Steps { a: steps.c, b: steps.d, c, d, is_odd: !steps.is_odd };
        }
        steps
    }

    /// The remainders after the steps; if there are none, after one division of which only the leading bits of the
    /// quotient are known.
    fn applied(&self, steps: &Steps) -> Remainders {
        if steps.b == 0 {
            return self.divided();
        }
        let (x, y) = (&self.larger, &self.smaller);
        let (larger, smaller) = if steps.is_odd {
            (difference(y, steps.b, x, steps.a), difference(x, steps.c, y, steps.d))
        } else {
            (difference(x, steps.a, y, steps.b), difference(y, steps.d, x, steps.c))
        };
        let cofactor = |of_larger: u64, of_smaller: u64| {
            let larger = self.of_larger.wrapping_mul(u128::from(of_larger));
            larger.wrapping_add(self.of_smaller.wrapping_mul(u128::from(of_smaller)))
        };
        Remainders {
            larger,
            smaller,
            of_larger: cofactor(steps.a, steps.b),
            of_smaller: cofactor(steps.c, steps.d),
            is_odd: self.is_odd != steps.is_odd,
        }
    }

    /// Part of a step whose quotient is large or hard to determine: subtracts the smaller number times the largest
    /// power of two. It removes one bit of the quotient, so no pair of numbers needs many.
    fn divided(&self) -> Remainders {
        let excess = bits(&self.larger) - bits(&self.smaller);
        let fits = |by: &u32| is_at_most(&shifted(&self.smaller, *by), &self.larger);
        let by = if fits(&excess) { excess } else { excess - 1 };
        let remainder = difference(&self.larger, 1, &shifted(&self.smaller, by), 1);
        let cofactor = self.of_larger.wrapping_add(self.of_smaller.wrapping_shl(by));
        if !is_at_most(&self.smaller, &remainder) {
            Remainders {
                larger: self.smaller,
                smaller: remainder,
                of_larger: self.of_smaller,
                of_smaller: cofactor,
                is_odd: !self.is_odd,
            }
        } else {
            Remainders { larger: remainder, of_larger: cofactor, ..*self }
        }
    }
}

fn is_at_most(x: &[u64; 4], y: &[u64; 4]) -> bool {
    x.iter().rev().le(y.iter().rev())
}

/// The bit length of a number that is not zero.
fn bits(number: &[u64; 4]) -> u32 {
    let top = number.iter().rposition(|word| *word != 0).unwrap_or(0);
    64 * (top as u32 + 1) - number[top].leading_zeros()
}

/// `2^by·number`, below `2^256`; `by` is below 128.
fn shifted(number: &[u64; 4], by: u32) -> [u64; 4] {
    let words = (by / 64) as usize;
    let (high, low) = (by % 64, 63 - by % 64);
    std::array::from_fn(|at| {
        let word = |at: Option<usize>| at.map_or(0, |at| number[at]);
        let below = at.checked_sub(words + 1);
        word(at.checked_sub(words)) << high | word(below) >> 1 >> low
    })
}

/// The leading 64 bits of the larger number, the same bits of the other, and how many bits are below.
fn leading(larger: &[u64; 4], smaller: &[u64; 4]) -> (u64, u64, u32) {
    // The caller's larger number has more than 127 bits.
    let top = (1..4).rev().find(|at| larger[*at] != 0).unwrap_or(1);
    let zeros = larger[top].leading_zeros();
    let bits = |number: &[u64; 4]| {
        let two = u128::from(number[top]) << 64 | u128::from(number[top - 1]);
        (two << zeros >> 64) as u64
    };
    (bits(larger), bits(smaller), 64 * top as u32 - zeros)
}

/// `a·x − b·y`, which is not negative.
fn difference(x: &[u64; 4], a: u64, y: &[u64; 4], b: u64) -> [u64; 4] {
    let mut difference = [0; 4];
    let (mut carried, mut borrowed) = (0_u64, 0_u64);
    for at in 0..4 {
        let added = u128::from(x[at]) * u128::from(a) + u128::from(carried);
        let subtracted = u128::from(y[at]) * u128::from(b) + u128::from(borrowed);
        carried = (added >> 64) as u64;
        let (word, is_below) = (added as u64).overflowing_sub(subtracted as u64);
        // At most 2^64 − 1 of the product, and only beside a low word that is not zero: no overflow.
        borrowed = ((subtracted >> 64) as u64).wrapping_add(u64::from(is_below));
        difference[at] = word;
    }
    difference
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `Halved::of` checks the soundness of its result itself; this checks that it finds one and how short it is.
    fn check(challenge: Scalar) -> Result<(), TestCaseError> {
        let response = -Scalar::from(12_345_u64);
        let halved = Halved::of(&challenge, &response);
        prop_assert!(halved.is_some(), "{challenge:?}");
        let Halved { base, of_key, of_commitment, adds_commitment } = halved.expect("it was just checked");
        prop_assert!(of_key < 1 << 127 && of_commitment < 1 << 126, "{of_key} {of_commitment}");
        let v = Scalar::from(of_commitment);
        let v = if adds_commitment { -v } else { v };
        prop_assert_eq!(v * challenge, Scalar::from(of_key));
        prop_assert_eq!(Scalar::from_bytes_mod_order(base), v * response);
        Ok(())
    }

    #[test]
    fn challenges_at_the_ends_are_halved() {
        let two = Scalar::from(2_u64);
        let power = |exponent: usize| (0..exponent).fold(Scalar::ONE, |power, _| power * two);
        for exponent in 0..253 {
            for challenge in
                [power(exponent), -power(exponent), power(exponent) - Scalar::ONE, power(exponent).invert()]
            {
                check(challenge).unwrap();
            }
        }
        check(Scalar::ZERO).unwrap();
        // Close to a fraction of the order: the first quotients are small, the next one is huge.
        for denominator in (2..200_u64).chain([1 << 31, 1 << 32, (1 << 32) + 1, u64::MAX]) {
            let fraction = Scalar::from(denominator).invert();
            for offset in [0, 1, u64::MAX] {
                for numerator in [1, denominator / 2, denominator - 1] {
                    check(fraction * Scalar::from(numerator) + Scalar::from(offset)).unwrap();
                    check(fraction * Scalar::from(numerator) - Scalar::from(offset)).unwrap();
                }
            }
        }
    }

    proptest! {
        #![proptest_config(crate::tests::backends::cases(20_000))]

        #[test]
        fn any_challenge_is_halved(bytes: [u8; 32]) {
            check(Scalar::from_bytes_mod_order(bytes))?;
        }

        /// Made from a chain of quotients, some of them huge: `k` is nearly `l·x/y`.
        #[test]
        fn challenges_with_huge_quotients_are_halved(x in 1..=u64::MAX, y in 1..=u64::MAX, z: u128) {
            check(Scalar::from(x) * Scalar::from(y).invert())?;
            check(Scalar::from(x) * Scalar::from(y).invert() + Scalar::from(z))?;
            check(Scalar::from(z) * Scalar::from(u128::from(y) << 60 | 1).invert())?;
        }

        #[test]
        fn differences_of_products_are_those_of_scalars(
            x: [u64; 3],
            y: [u64; 3],
            a in 0..1_u64 << 59,
            b in 0..1_u64 << 59,
        ) {
            let number = |[low, middle, high]: [u64; 3]| [low, middle, high, 0];
            let value = |words: [u64; 4]| {
                let base = Scalar::from(1_u128 << 64);
                words.iter().rev().fold(Scalar::ZERO, |sum, word| sum * base + Scalar::from(*word))
            };
            let (x, y) = (number(x), number(y));
            let zero = [0; 4];
            let (ax, by) = (difference(&x, a, &zero, 0), difference(&y, b, &zero, 0));
            prop_assert_eq!(value(ax), value(x) * Scalar::from(a));
            let (larger, smaller) = if is_at_most(&by, &ax) { ((x, a), (y, b)) } else { ((y, b), (x, a)) };
            let found = difference(&larger.0, larger.1, &smaller.0, smaller.1);
            let expected = value(larger.0) * Scalar::from(larger.1) - value(smaller.0) * Scalar::from(smaller.1);
            prop_assert_eq!(value(found), expected);
        }
    }
}
