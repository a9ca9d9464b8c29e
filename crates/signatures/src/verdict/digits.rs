//! Signed digits of scalars: four bits wide for the points of a signature, eight for the base point.

/// Digits of four bits of a number up to `2^127`.
pub(super) const NIBBLES: usize = 32;
/// Digits of eight bits of a scalar.
pub(super) const BYTES: usize = 32;

/// Digits of a number up to `2^127`: from −8 to 7; the highest from 0 to 8.
pub(super) fn nibbles(number: u128) -> [i8; NIBBLES] {
    // 8 in every digit but the highest, added so that no digit is below zero and all carries are made.
    const OFFSET: u128 = 0x0888_8888_8888_8888_8888_8888_8888_8888;
    let shifted = number.wrapping_add(OFFSET);
    let mut digits = [0; NIBBLES];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(shifted.to_le_bytes()) {
        pair[0] = (byte & 0xf) as i8 - 8;
        pair[1] = (byte >> 4) as i8 - 8;
    }
    digits[NIBBLES - 1] += 8;
    digits
}

/// Digits of a scalar below `2^254`: from −128 to 127; the highest from 0 to 64.
pub(super) fn bytes(scalar: &[u8; 32]) -> [i8; BYTES] {
    const OFFSET: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;
    let (halves, _) = scalar.as_chunks::<16>();
    let (low, carry) = u128::from_le_bytes(halves[0]).overflowing_add(OFFSET);
    let high = u128::from_le_bytes(halves[1]).wrapping_add(OFFSET & u128::MAX >> 8).wrapping_add(u128::from(carry));
    let mut digits = [0; BYTES];
    for (digit, byte) in digits.iter_mut().zip(low.to_le_bytes().into_iter().chain(high.to_le_bytes())) {
        *digit = (byte ^ 0x80) as i8;
    }
    digits[BYTES - 1] = (digits[BYTES - 1] as u8 ^ 0x80) as i8;
    digits
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::scalar::Scalar;
    use proptest::prelude::*;

    use super::*;

    fn value(digits: &[i8], base: u64) -> Scalar {
        digits.iter().rev().fold(Scalar::ZERO, |sum, digit| {
            let absolute = Scalar::from(digit.unsigned_abs());
            sum * Scalar::from(base) + if *digit < 0 { -absolute } else { absolute }
        })
    }

    fn check_nibbles(number: u128) {
        let digits = nibbles(number);
        assert!(digits[..NIBBLES - 1].iter().all(|digit| (-8..8).contains(digit)), "{number:x}: {digits:?}");
        assert!((0..=8).contains(&digits[NIBBLES - 1]), "{number:x}: {digits:?}");
        assert_eq!(value(&digits, 16), Scalar::from(number), "{number:x}");
    }

    #[test]
    fn digits_at_their_ends_give_the_number_again() {
        let repeated = |nibble: u128| nibble * (u128::MAX / 15);
        for nibble in 0..16 {
            for bits in 0..128 {
                check_nibbles((repeated(nibble) & ((1 << bits) - 1)).min(1 << 127));
            }
        }
        check_nibbles(1 << 127);
        check_nibbles((1 << 127) - 1);
        let minus_one = -Scalar::ONE;
        assert_eq!(value(&bytes(minus_one.as_bytes()), 256), minus_one);
        for byte in [0, 1, 0x7f, 0x80, 0x81, 0xff] {
            let mut scalar = [byte; 32];
            scalar[31] &= 0xf;
            assert_eq!(value(&bytes(&scalar), 256), Scalar::from_bytes_mod_order(scalar), "{byte:x}");
        }
    }

    proptest! {
        #[test]
        fn digits_give_the_number_again(number in 0..=1_u128 << 127, scalar: [u8; 32]) {
            check_nibbles(number);
            let scalar = Scalar::from_bytes_mod_order(scalar);
            let digits = bytes(scalar.as_bytes());
            prop_assert!((0..=64).contains(&digits[BYTES - 1]));
            prop_assert_eq!(value(&digits, 256), scalar);
        }
    }
}
