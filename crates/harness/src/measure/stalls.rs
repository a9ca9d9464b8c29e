//! The stalls of an idle machine: a floor under every latency measured on it.
//!
//! On a shared or virtual machine a sync sometimes takes a tenth of a second, and a core is lent to another guest. No
//! ledger answers sooner than its disk, so a run measures this before its load, with idle nodes, and a reader can tell
//! which part of a tail is the machine's.
//!
//! For [`MEASURE`]: sleep 2 ms, append 32 KiB to a file in the run's folder, sync it. That is roughly the log's writing
//! at ten thousand payments a second.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const MEASURE: Duration = Duration::from_secs(1);
const SLEEP: Duration = Duration::from_millis(2);
const WRITE_BYTES: usize = 32 * 1024;

/// The stalls of an idle machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stalls {
    /// 99 % of the syncs took at most this long.
    pub sync_ms_p99: f64,
    /// The longest sync.
    pub sync_ms_max: f64,
    /// The most by which a sleeping program was woken too late.
    pub oversleep_ms_max: f64,
}

/// Measures the machine, and the disk below `folder`.
///
/// # Errors
/// No file can be created in the folder.
pub fn measure(folder: &Path) -> io::Result<Stalls> {
    let path = folder.join("stalls.tmp");
    let measured = File::create(&path).and_then(|file| measure_with(file, Instant::now() + MEASURE));
    drop(fs::remove_file(&path));
    measured
}

fn measure_with(mut file: File, until: Instant) -> io::Result<Stalls> {
    let written = [0x5A; WRITE_BYTES];
    let (mut syncs, mut oversleep) = (Vec::new(), Duration::ZERO);
    while syncs.is_empty() || Instant::now() < until {
        let slept = Instant::now();
        std::thread::sleep(SLEEP);
        oversleep = oversleep.max(slept.elapsed().saturating_sub(SLEEP));
        let began = Instant::now();
        file.write_all(&written)?;
        file.sync_data()?;
        syncs.push(began.elapsed());
    }
    syncs.sort_unstable();
    let at = |share: f64| milliseconds(syncs[((syncs.len() - 1) as f64 * share).round() as usize]);
    Ok(Stalls { sync_ms_p99: at(0.99), sync_ms_max: at(1.0), oversleep_ms_max: milliseconds(oversleep) })
}

/// Milliseconds, to two decimals.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_takes_files_is_measured_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let stalls = measure(folder.path()).unwrap();
        assert!(stalls.sync_ms_p99 <= stalls.sync_ms_max, "{stalls:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(measure(&folder.path().join("missing")).is_err());
    }
}
