//! Randomness for keys and ids, drawn from the operating system.

use rand::TryRng;

/// 16 random bytes from the operating system, for a holder's pseudonymous id or a request id.
///
/// # Panics
/// Like [`random_bytes`].
pub fn random_id() -> [u8; 16] {
    random_bytes()
}

/// Random bytes from the operating system.
///
/// # Panics
/// If the operating system gives none: no key or id is better than a guessable one.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).expect("a running operating system gives random bytes");
    bytes
}
