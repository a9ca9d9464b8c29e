//! The number of signatures that a core verifies per second, as a yardstick of the machine, and how steady it is.

use std::time::{Duration, Instant};

use cbdc_signatures::{Batch, BatchSeed, DecompressedKey, SigningKey};
use rand::rngs::SysRng;

/// The duration of the measurement, which is split into parts: on shared machines a core slows down every second or
/// two.
const MEASURE: Duration = Duration::from_secs(2);
const PART: Duration = Duration::from_millis(100);
/// Signatures in a measured batch.
const BATCH: usize = 512;

/// The speed of a core on this machine now.
pub struct CoreSpeed {
    /// Signatures that it verifies per second, in batches.
    pub verify_per_s: f64,
    /// The slowest tenth of a second, as a share of the median one.
    pub slowest_share: f64,
}

/// Measures a core, for two seconds.
pub fn core_speed() -> CoreSpeed {
    let keys: Vec<SigningKey> = (0..BATCH).map(|number| SigningKey::from_seed([number as u8; 32])).collect();
    let message = [7_u8; 72];
    let prefix = [1_u8; 40];
    let signatures: Vec<_> = keys.iter().map(|key| key.sign([&prefix, &message])).collect();
    let public: Vec<DecompressedKey> = keys.iter().filter_map(|key| key.public_key().decompress().ok()).collect();
    let (began, mut verified, mut parts) = (Instant::now(), 0_u64, Vec::new());
    let (mut part_began, mut in_part) = (began, 0);
    while began.elapsed() < MEASURE {
        let mut batch = Batch::with_capacity(BATCH);
        for (key, signature) in public.iter().zip(&signatures) {
            batch.push(key, [&prefix, &message], signature);
        }
        in_part += batch.verdicts(BatchSeed::draw(&mut SysRng)).iter().filter(|good| **good).count() as u64;
        if part_began.elapsed() >= PART {
            parts.push(in_part as f64 / part_began.elapsed().as_secs_f64());
            verified += in_part;
            (part_began, in_part) = (Instant::now(), 0);
        }
    }
    verified += in_part;
    let verify_per_s = verified as f64 / began.elapsed().as_secs_f64();
    parts.sort_by(f64::total_cmp);
    let median = parts.get(parts.len() / 2).copied().unwrap_or(verify_per_s);
    CoreSpeed { verify_per_s, slowest_share: parts.first().map_or(1.0, |slowest| slowest / median) }
}
