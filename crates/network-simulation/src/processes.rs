//! Seeds in processes of their own: nothing of another is left over, so a seed does the same in each.
//!
//! A child is forked from a process that has one thread and has run nothing yet: it has only chosen and checked the
//! backend of the signatures, which takes as long as a short seed. The child leaves its outcome, and what it says on
//! standard error, in files without a name, which the parent reads when it has ended.

// The one place beside `machine`: `fork` and `waitpid`.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use cbdc_signatures::Backend;

use crate::run::{Options, Outcome, memory_folder, run};

/// Processes that run seeds, or have ended without being heard yet.
pub struct Processes {
    running: BTreeMap<libc::pid_t, Child>,
}

struct Child {
    seed: u64,
    outcome: File,
    errors: File,
}

impl Processes {
    /// No process yet.
    ///
    /// # Errors
    /// This process has other threads: a fork would find their locks as they are in that moment.
    pub fn new() -> Result<Processes> {
        Backend::select_checked();
        let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        ensure!(threads == 1, "expected one thread before seeds are run, found {threads}");
        Ok(Processes { running: BTreeMap::new() })
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Starts a run.
    ///
    /// # Errors
    /// The system has no file or no process to give.
    pub fn start(&mut self, options: Options) -> Result<()> {
        let file = || tempfile::tempfile_in(memory_folder()).context("a file for a seed's outcome");
        let (outcome, errors) = (file()?, file()?);
        // What is buffered would be written twice.
        drop((std::io::stdout().flush(), std::io::stderr().flush()));
        // SAFETY: this process has one thread, so the child finds every lock free.
        let process = unsafe { libc::fork() };
        match process {
            -1 => Err(std::io::Error::last_os_error()).context("starting a seed's process"),
            0 => {
                // SAFETY: both descriptors are open; a standard error that stays where it was does no harm.
                unsafe { libc::dup2(errors.as_raw_fd(), libc::STDERR_FILENO) };
                let is_written = match run(&options) {
                    Ok(ran) => serde_json::to_writer(&outcome, &ran).is_ok(),
                    Err(error) => {
                        eprintln!("{error:#}");
                        false
                    }
                };
                std::process::exit(if is_written { 0 } else { 1 });
            }
            child => {
                self.running.insert(child, Child { seed: options.seed, outcome, errors });
                Ok(())
            }
        }
    }

    /// Waits until a run has ended, and returns its seed and its outcome; `None` if none runs.
    pub fn next_ended(&mut self) -> Option<(u64, Result<Outcome>)> {
        while !self.running.is_empty() {
            let mut status = 0;
            // SAFETY: `status` is a place for the answer.
            let ended = unsafe { libc::waitpid(-1, &raw mut status, 0) };
            if let Some(child) = self.running.remove(&ended) {
                return Some((child.seed, child.read()));
            }
        }
        None
    }

    /// Makes one run, with none beside it.
    ///
    /// # Errors
    /// The run gave no outcome.
    pub fn run(&mut self, options: Options) -> Result<Outcome> {
        self.start(options)?;
        self.next_ended().context("a process that was just started")?.1
    }
}

impl Child {
    fn read(mut self) -> Result<Outcome> {
        let said = read(&mut self.outcome)?;
        serde_json::from_str(&said).with_context(|| {
            let errors = read(&mut self.errors).unwrap_or_default();
            format!("seed {} gave no outcome: {}", self.seed, errors.lines().next().unwrap_or("it said nothing"))
        })
    }
}

fn read(file: &mut File) -> Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}
