//! The machine that simulated nodes see: the C library's clock and randomness, replaced on the simulation's thread.
//!
//! Whatever a library asks the operating system for, it asks through the C library: `clock_gettime` for the time and
//! `getrandom` (or the system call of that name) for entropy. This program defines those functions itself. On the
//! thread of a simulation they answer with the simulation's time and with bytes from its seed; on every other thread
//! they pass the call on. So a hash map's order, a TLS handshake and a library's own timer follow the seed too, without
//! knowing of it.
//!
//! Time stands still between two ticks; the wall clock of each node is off by as much as its faults say.

// The one place where this crate needs it: functions under names that the linker looks for.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The wall clock at the beginning of every simulation: 2026-01-05 00:00 UTC, a Monday.
pub const EPOCH_MS: u64 = 1_767_571_200_000;
/// The monotonic clock at the beginning: not zero, so that a library may subtract from it.
const BOOT_NS: u64 = 3_600_000_000_000;

thread_local! {
    static IS_SIMULATED: Cell<bool> = const { Cell::new(false) };
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
    static WALL_OFFSET_NS: Cell<i64> = const { Cell::new(0) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    static HOST: Cell<usize> = const { Cell::new(0) };
}

/// Puts the machine in force on this thread, for good: a run has a thread of its own.
pub fn begin(seed: u64) {
    RANDOM.set(seed);
    NOW_NS.set(0);
    IS_SIMULATED.set(true);
}

/// The time since the simulation began, in ns.
pub fn now_ns() -> u64 {
    NOW_NS.get()
}

/// Moves time on.
pub fn set_now_ns(now_ns: u64) {
    NOW_NS.set(now_ns);
}

/// The number of the host that runs now.
pub fn host() -> usize {
    HOST.get()
}

/// Lets a host run whose wall clock is off by `wall_offset_ns`.
pub fn enter(host: usize, wall_offset_ns: i64) {
    HOST.set(host);
    WALL_OFFSET_NS.set(wall_offset_ns);
}

/// The next 64 random bits: SplitMix64 (Steele, Lea and Flood, 2014).
fn next_random() -> u64 {
    let state = RANDOM.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    RANDOM.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Fills `length` bytes at `bytes` from the seed.
///
/// # Safety
/// They must be writable.
unsafe fn fill(bytes: *mut u8, length: usize) {
    let mut at = 0;
    while at < length {
        let word = next_random().to_le_bytes();
        let count = word.len().min(length - at);
        // SAFETY: `at + count` is at most `length`.
        unsafe { std::ptr::copy_nonoverlapping(word.as_ptr(), bytes.add(at), count) };
        at += count;
    }
}

type SystemCall = unsafe extern "C" fn(libc::c_long, i64, i64, i64, i64, i64, i64) -> libc::c_long;

/// The C library's own `syscall`.
fn system_call() -> SystemCall {
    static FOUND: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());
    let mut found = FOUND.load(Ordering::Acquire);
    if found.is_null() {
        // Two threads may look it up at once, and find the same. A lock might wait by this very call.
        // SAFETY: the name ends with a zero.
        found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"syscall".as_ptr()) };
        assert!(!found.is_null(), "the C library has no function `syscall`");
        FOUND.store(found, Ordering::Release);
    }
    // SAFETY: the C library's function of this name has this shape.
    unsafe { std::mem::transmute::<*mut libc::c_void, SystemCall>(found) }
}

/// Takes the place of the C library's function.
///
/// # Safety
/// As documented there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(bytes: *mut libc::c_void, length: libc::size_t, flags: libc::c_uint) -> isize {
    if IS_SIMULATED.get() {
        // SAFETY: the caller says so.
        unsafe { fill(bytes.cast(), length) };
        return length as isize;
    }
    // SAFETY: the caller's arguments are passed on.
    unsafe { system_call()(libc::SYS_getrandom, bytes as i64, length as i64, flags.into(), 0, 0, 0) as isize }
}

/// Takes the place of the C library's function, whose further arguments are in the registers of a function with six.
///
/// # Safety
/// As documented there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: libc::c_long,
    first: i64,
    second: i64,
    third: i64,
    fourth: i64,
    fifth: i64,
    sixth: i64,
) -> libc::c_long {
    if number == libc::SYS_getrandom && IS_SIMULATED.get() {
        // SAFETY: the caller says so.
        unsafe { fill(first as *mut u8, second as usize) };
        return second as libc::c_long;
    }
    // SAFETY: the caller's arguments are passed on.
    unsafe { system_call()(number, first, second, third, fourth, fifth, sixth) }
}

/// Takes the place of the C library's function.
///
/// # Safety
/// As documented there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    let ns = match clock {
        _ if !IS_SIMULATED.get() => None,
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => {
            Some((EPOCH_MS * 1_000_000 + NOW_NS.get()).saturating_add_signed(WALL_OFFSET_NS.get()))
        }
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_BOOTTIME => {
            Some(BOOT_NS + NOW_NS.get())
        }
        _ => None,
    };
    let Some(ns) = ns else {
        // SAFETY: the caller's arguments are passed on.
        return unsafe { system_call()(libc::SYS_clock_gettime, clock.into(), time as i64, 0, 0, 0, 0) as libc::c_int };
    };
    let found = libc::timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 };
    // SAFETY: the caller says that it is writable.
    unsafe { time.write(found) };
    0
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    use super::*;

    /// What a simulation's thread sees.
    fn on_a_thread<T: Send + 'static>(seed: u64, look: impl FnOnce() -> T + Send + 'static) -> T {
        let run = move || {
            begin(seed);
            look()
        };
        std::thread::spawn(run).join().unwrap()
    }

    #[test]
    fn hash_maps_and_libraries_draw_from_the_seed() {
        let drawn = |seed| {
            on_a_thread(seed, || {
                let mut bytes = [0; 32];
                rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes).unwrap();
                (RandomState::new().hash_one("order"), bytes)
            })
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn time_moves_only_with_the_simulation() {
        let seen = on_a_thread(1, || {
            let (began, wall) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
            set_now_ns(5_000_000_000);
            enter(3, -2_000_000_000);
            (began.elapsed(), wall, SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
        });
        let epoch = Duration::from_millis(EPOCH_MS);
        assert_eq!(seen, (Duration::from_secs(5), epoch, epoch + Duration::from_secs(3)));
        // Elsewhere it is the machine's.
        assert!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap() > epoch + Duration::from_secs(86_400));
    }
}
