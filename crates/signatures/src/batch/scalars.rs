//! Scalars of a batch: canonical ones, coefficients, and sums of products.

use curve25519_dalek::scalar::Scalar;
use rand::Rng;
use rand::rngs::StdRng;

use crate::verdict::halving::{ORDER, words_of};

/// The words of a scalar below the order; `None` for any other.
pub(super) fn canonical(bytes: &[u8; 32]) -> Option<[u64; 4]> {
    let words = words_of(bytes);
    words.iter().rev().lt(ORDER.iter().rev()).then_some(words)
}

/// A coefficient.
pub(super) fn draw(coefficients: &mut StdRng) -> i128 {
    let mut bytes = [0; 16];
    coefficients.fill_bytes(&mut bytes);
    i128::from_le_bytes(bytes)
}

/// The scalar of a signed integer.
pub(super) fn signed(integer: i128) -> Scalar {
    let absolute = Scalar::from(integer.unsigned_abs());
    if integer < 0 { -absolute } else { absolute }
}

/// A sum of products of scalars, reduced once at its end: 512 bits hold any number of products of 128 bits times 253.
#[derive(Default)]
pub(super) struct ScalarProducts([u64; 8]);

impl ScalarProducts {
    pub(super) fn add(&mut self, factor: u128, scalar: &[u64; 4]) {
        for (from, factor) in [factor as u64, (factor >> 64) as u64].into_iter().enumerate() {
            let mut carried = 0;
            for (at, sum) in self.0[from..].iter_mut().enumerate() {
                // A product of words, a word and a carry never exceed 128 bits.
                let product = u128::from(factor) * u128::from(scalar.get(at).copied().unwrap_or(0));
                let next = product + u128::from(*sum) + u128::from(carried);
                (*sum, carried) = (next as u64, (next >> 64) as u64);
            }
        }
    }

    pub(super) fn reduced(&self) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&std::array::from_fn(|byte| self.0[byte / 8].to_le_bytes()[byte % 8]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scalars_below_the_order_are_canonical() {
        let minus_one = (-Scalar::ONE).to_bytes();
        assert!(canonical(&minus_one).is_some());
        let mut order = minus_one;
        order[0] += 1;
        assert_eq!(canonical(&order), None);
        assert_eq!(canonical(&[0xff; 32]), None);
        assert_eq!(canonical(&[0; 32]), Some([0; 4]));
    }

    proptest! {
        #[test]
        fn products_are_added_as_the_library_adds_them(
            terms in prop::collection::vec((any::<u128>(), any::<[u8; 32]>()), 0..20),
        ) {
            let (mut products, mut expected) = (ScalarProducts::default(), Scalar::ZERO);
            for (factor, bytes) in terms {
                let scalar = Scalar::from_bytes_mod_order(bytes);
                products.add(factor, &canonical(&scalar.to_bytes()).unwrap());
                expected += Scalar::from(factor) * scalar;
                let is_canonical = bool::from(Scalar::from_canonical_bytes(bytes).is_some());
                prop_assert_eq!(canonical(&bytes).is_some(), is_canonical);
            }
            prop_assert_eq!(products.reduced(), expected);
        }
    }
}
