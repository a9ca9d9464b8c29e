//! The process's backend: the fastest one that passes a self-check.
//!
//! [`Backend::select_checked`] detects the best backend, compares it with the portable one on known good and known bad
//! batches, and falls back if they differ. It happens once per process, at the program's start or else at the first
//! use. This crate logs nothing: the caller reads the [`Selection`] and reports it.
//!
//! The self-check verifies batches, so this module stands above [`crate::batch`]; what is verified by the process's
//! backend begins here.

use std::sync::OnceLock;

use crate::Signature;
use crate::backend::Backend;
use crate::batch::{Batch, BatchSeed};
use crate::key::{DecompressedKey, PublicKey};
use crate::signing::SigningKey;

/// The result of the start-up self-check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Selection {
    /// The backend in use from now on.
    pub backend: Backend,
    /// The backend that this processor offers and that gave a wrong verdict: a fault of processor, compiler or code
    /// that needs investigation.
    pub rejected: Option<Backend>,
}

/// The selection of this process, made once.
static SELECTION: OnceLock<Selection> = OnceLock::new();

impl Backend {
    /// Selects the backend of this process: the fastest one that gives the portable one's verdicts on known batches.
    ///
    /// The first call takes some milliseconds; every later one returns the same [`Selection`]. Call it at the start of
    /// a program, and log and count a rejected backend.
    pub fn select_checked() -> Selection {
        *SELECTION.get_or_init(|| select(Backend::detect(), verdicts))
    }

    /// The selection, if anything has been verified in a batch or selected so far: for a warning at a program's end.
    pub fn selection() -> Option<Selection> {
        SELECTION.get().copied()
    }

    /// The backend of this process, selected by [`Backend::select_checked`].
    pub fn selected() -> Backend {
        Backend::select_checked().backend
    }
}

impl Batch<'_> {
    /// An empty batch with space for `capacity` signatures; more may be pushed. The process's backend verifies it.
    pub fn with_capacity(capacity: usize) -> Self {
        Batch::of(Backend::selected(), capacity)
    }
}

impl PublicKey {
    /// Like [`PublicKey::decompress`] for each, faster together; `None` for bytes that encode no point.
    pub fn decompress_all(keys: &[PublicKey]) -> Vec<Option<DecompressedKey>> {
        PublicKey::decompress_all_on(Backend::selected(), keys)
    }
}

/// Batch sizes on both sides of every change of method: one point or two in the lanes, eight, a sum, and each width of
/// the digits of a scalar.
const SIZES: [usize; 12] = [1, 2, 3, 4, 5, 8, 9, 17, 33, 64, 130, 600];
/// Batches up to this size are also judged with every signature bad.
const ALL_BAD_UP_TO: usize = 33;
/// Distinct signatures; larger batches repeat them.
const DISTINCT: usize = 40;
const PREFIX: &[u8] = b"self-check of a backend";

/// A signature on [`PREFIX`] and its own body.
#[derive(Clone)]
struct Known {
    key: PublicKey,
    body: Vec<u8>,
    signature: Signature,
    #[cfg_attr(not(test), expect(dead_code, reason = "the portable backend says it; tests compare"))]
    is_valid: bool,
}

/// The candidate, if it gives the portable backend's verdicts on every known batch; else the portable backend.
fn select(candidate: Backend, verdicts: impl Fn(Backend, &[Known]) -> Vec<bool>) -> Selection {
    let agrees = || batches().iter().all(|batch| verdicts(candidate, batch) == verdicts(Backend::Portable, batch));
    if candidate == Backend::Portable || agrees() {
        return Selection { backend: candidate, rejected: None };
    }
    Selection { backend: Backend::Portable, rejected: Some(candidate) }
}

/// A backend's verdicts on a batch, with its keys decompressed by the same backend; false if the key is not a point.
fn verdicts(backend: Backend, signatures: &[Known]) -> Vec<bool> {
    let encoded: Vec<PublicKey> = signatures.iter().map(|known| known.key).collect();
    let keys: Vec<Option<DecompressedKey>> = PublicKey::decompress_all_on(backend, &encoded);
    let mut batch = Batch::on_backend(backend);
    for (known, key) in signatures.iter().zip(&keys) {
        if let Some(key) = key {
            batch.push(key, [PREFIX, &known.body], &known.signature);
        }
    }
    // Not secret: nobody chose these signatures to fool the check.
    let mut verdicts = batch.verdicts(BatchSeed::fixed([0x5e; 32])).into_iter();
    keys.iter().map(|key| key.is_some() && verdicts.next().unwrap_or(false)).collect()
}

/// The known batches, for each size: all good, one bad in each of several ways, all bad.
fn batches() -> Vec<Vec<Known>> {
    let good: Vec<Known> = (0..DISTINCT).map(known).collect();
    let mut batches = Vec::new();
    for size in SIZES {
        let all_good: Vec<Known> = good.iter().cycle().take(size).cloned().collect();
        if size <= ALL_BAD_UP_TO {
            batches.push(all_good.iter().map(|known| spoilt(known, 0)).collect());
        }
        let ways = if size < ALL_BAD_UP_TO { 0..WAYS } else { size % WAYS..size % WAYS + 1 };
        for way in ways {
            let mut one_bad = all_good.clone();
            let at = (way * 7 + size / 2) % size;
            one_bad[at] = spoilt(&one_bad[at], way);
            batches.push(one_bad);
        }
        batches.push(all_good);
    }
    batches
}

fn known(number: usize) -> Known {
    let signing_key = SigningKey::from_seed([number as u8; 32]);
    // One to three blocks of SHA-512, in no particular order of length.
    let body = vec![number as u8; number * 37 % 200];
    let signature = signing_key.sign([PREFIX, &body]);
    Known { key: signing_key.public_key(), body, signature, is_valid: true }
}

/// The number of ways to spoil a signature.
const WAYS: usize = 5;

fn spoilt(known: &Known, way: usize) -> Known {
    let mut spoilt = Known { is_valid: false, ..known.clone() };
    match way {
        0 => spoilt.body.push(1),
        // Another R, a point or not; another s; s beyond the order.
        1 => spoilt.signature.0[0] ^= 1,
        2 => spoilt.signature.0[32] ^= 1,
        3 => spoilt.signature.0[63] |= 0x80,
        // A key that is not a point: no point has y = 2.
        _ => {
            spoilt.key = PublicKey([0; 32]);
            spoilt.key.0[0] = 2;
        }
    }
    spoilt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_batches_hold_good_and_bad_signatures_of_which_the_portable_backend_finds_each() {
        for batch in batches() {
            let expected: Vec<bool> = batch.iter().map(|known| known.is_valid).collect();
            assert_eq!(verdicts(Backend::Portable, &batch), expected);
        }
        let all: Vec<bool> = batches().concat().iter().map(|known| known.is_valid).collect();
        let bad = all.iter().filter(|is_valid| !**is_valid).count();
        assert!(bad > 40 && all.len() > 1_000, "{bad} bad of {}", all.len());
    }

    #[test]
    fn a_backend_with_one_wrong_verdict_is_rejected() {
        for wrong_batch in 0..batches().len() {
            let seen = std::cell::Cell::new(0);
            let faulty = |backend: Backend, batch: &[Known]| {
                let mut verdicts = vec![true; batch.len()];
                if backend != Backend::Portable {
                    let last = verdicts.len() - 1;
                    verdicts[last] = seen.replace(seen.get() + 1) != wrong_batch;
                }
                verdicts
            };
            let rejected = Selection { backend: Backend::Portable, rejected: Some(Backend::Avx512) };
            assert_eq!(select(Backend::Avx512, faulty), rejected, "batch {wrong_batch}");
        }
        let sound = |_: Backend, batch: &[Known]| vec![true; batch.len()];
        assert_eq!(select(Backend::Avx512, sound), Selection { backend: Backend::Avx512, rejected: None });
    }

    #[test]
    fn this_process_selects_what_it_detects() {
        assert_eq!(Backend::select_checked(), Selection { backend: Backend::detect(), rejected: None });
        assert_eq!(Backend::selected(), Backend::detect());
    }
}
