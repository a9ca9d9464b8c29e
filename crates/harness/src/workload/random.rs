//! Independent random number generators from one seed.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The generator number `number` of a seed.
pub(crate) fn rng(seed: u64, number: u8) -> StdRng {
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = number;
    StdRng::from_seed(bytes)
}
