//! Simulating a part of a plan on the cores of one machine.
//!
//! 1. Finished runs are skipped. The requested number of threads take the others one by one, in the order of their
//!    numbers; each run is simulated and written by one thread ([`run_folder`]).
//! 2. The calling thread checks the progress ten times a second and may stop: runs in flight then end after their
//!    current day and leave nothing, and finished runs stay.
//! 3. A run that fails does not end the others; it is reported at the end. An economy that loses its last bank is no
//!    such failure, but a result. A disk error ends all.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cbdc_economy::{EconomyError, Go, simulate};

use crate::error::SweepError;
use crate::part::Part;
use crate::plan::{Plan, Run};
use crate::run_folder;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Progress of a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Finished runs, skipped ones included.
    pub runs_done: usize,
    /// Runs of the part.
    pub runs: usize,
    /// Household-days simulated by this call.
    pub household_days_done: f64,
    /// Household-days that this call has to simulate.
    pub household_days: f64,
    /// Wall-clock time since the call.
    pub elapsed: Duration,
}

impl Progress {
    /// Time left at the pace so far; `None` until there is a pace.
    pub fn left(&self) -> Option<Duration> {
        let is_paced = self.household_days_done > 0.0 && self.elapsed >= Duration::from_secs(1);
        let rest = (self.household_days - self.household_days_done).max(0.0);
        is_paced.then(|| self.elapsed.mul_f64(rest / self.household_days_done))
    }
}

/// The progress callback, which decides whether to continue.
pub type OnProgress<'a> = dyn FnMut(Progress) -> Go + 'a;

/// The outcome of running a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Runs simulated now.
    pub simulated: usize,
    /// Runs that were finished before.
    pub skipped: usize,
}

/// The threads that a machine offers.
pub fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Simulates a part of the folder's plan.
///
/// # Errors
/// The callback stopped it, a run failed, or the disk failed. Finished runs are kept in each case.
pub fn run(
    folder: &Path,
    plan: &Plan,
    part: Part,
    threads: usize,
    watch: &mut OnProgress<'_>,
) -> Result<Done, SweepError> {
    let mine: Vec<Run> = plan.runs.iter().copied().filter(|run| part.has(run.run)).collect();
    let mut open = Vec::new();
    for run in &mine {
        if run_folder::record(folder, plan, *run)?.is_none() {
            open.push(*run);
        }
    }
    let work = Work {
        folder,
        plan,
        open: &open,
        next: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        household_days: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    let skipped = mine.len() - open.len();
    let failures = work.on(threads.clamp(1, open.len().max(1)), skipped, mine.len(), watch)?;
    let done = skipped + work.done.load(Ordering::Relaxed);
    let runs = failures.iter().map(|(run, _)| *run).collect();
    match failures.into_iter().next() {
        Some((run, error)) => Err(SweepError::Failed { runs, all: mine.len(), run, error }),
        None if done < mine.len() => Err(SweepError::Stopped { done, all: mine.len() }),
        None => Ok(Done { simulated: open.len(), skipped }),
    }
}

/// Estimates the time that one thread takes for all runs of a plan: simulates the first run for `budget` and keeps
/// nothing.
///
/// # Errors
/// The first run fails at once.
pub fn estimate(plan: &Plan, budget: Duration) -> Result<Duration, SweepError> {
    let Some(first) = plan.runs.first() else { return Ok(Duration::ZERO) };
    let scenario = plan.scenario(plan.design(*first))?;
    let start = Instant::now();
    let mut opening = None;
    let mut last = (0, start);
    let outcome = simulate(&scenario, first.seed, &mut |progress| {
        let now = Instant::now();
        opening.get_or_insert((progress.day, now));
        last = (progress.day, now);
        if now.duration_since(start) >= budget { Go::Stop } else { Go::On }
    });
    if let Err(error) = outcome
        && !matches!(error, EconomyError::Stopped { .. })
    {
        return Err(SweepError::Failed {
            runs: vec![first.run],
            all: plan.runs.len(),
            run: first.run,
            error: Box::new(error),
        });
    }
    let (first_day, opened) = opening.unwrap_or((0, start));
    let households = plan.design(*first).households as f64;
    let setup_s = opened.duration_since(start).as_secs_f64() / households;
    let days = f64::from(last.0.saturating_sub(first_day)).max(1.0);
    let day_s = last.1.duration_since(opened).as_secs_f64() / (households * days);
    let all =
        plan.runs.iter().map(|run| plan.household_days(*run) * day_s + plan.design(*run).households as f64 * setup_s);
    Ok(Duration::from_secs_f64(all.sum()))
}

struct Work<'a> {
    folder: &'a Path,
    plan: &'a Plan,
    open: &'a [Run],
    next: AtomicUsize,
    done: AtomicUsize,
    household_days: AtomicU64,
    stop: AtomicBool,
}

type Failure = (u32, Box<EconomyError>);

impl Work<'_> {
    /// Works on all open runs; the calling thread watches.
    fn on(
        &self,
        threads: usize,
        skipped: usize,
        runs: usize,
        watch: &mut OnProgress<'_>,
    ) -> Result<Vec<Failure>, SweepError> {
        let start = Instant::now();
        let household_days: f64 = self.open.iter().map(|run| self.plan.household_days(*run)).sum();
        let mut look = || {
            watch(Progress {
                runs_done: skipped + self.done.load(Ordering::Relaxed),
                runs,
                household_days_done: self.household_days.load(Ordering::Relaxed) as f64,
                household_days,
                elapsed: start.elapsed(),
            })
        };
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let sender = sender.clone();
                scope.spawn(move || sender.send(self.take_runs()));
            }
            drop(sender);
            let mut failures = Vec::new();
            let mut refused = None;
            loop {
                if look() == Go::Stop {
                    self.stop.store(true, Ordering::Relaxed);
                }
                match receiver.recv_timeout(LOOK_EVERY) {
                    Ok(Ok(more)) => failures.extend(more),
                    Ok(Err(error)) => {
                        self.stop.store(true, Ordering::Relaxed);
                        refused.get_or_insert(error);
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
            }
            failures.sort_by_key(|(run, _)| *run);
            refused.map_or(Ok(failures), Err)
        })
    }

    /// One thread: run after run, until none is left.
    fn take_runs(&self) -> Result<Vec<Failure>, SweepError> {
        let mut failures = Vec::new();
        while let Some(run) = self.open.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            match self.simulate(*run)? {
                Ok(()) => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) if matches!(*error, EconomyError::Stopped { .. }) => break,
                Err(error) => failures.push((run.run, error)),
            }
        }
        Ok(failures)
    }

    fn simulate(&self, run: Run) -> Result<Result<(), Box<EconomyError>>, SweepError> {
        let scenario = self.plan.scenario(self.plan.design(run))?;
        let mut seen = 0;
        let results = simulate(&scenario, run.seed, &mut |progress| {
            let days = u64::from(progress.day.saturating_sub(seen));
            seen = progress.day;
            self.household_days.fetch_add(days * self.plan.design(run).households, Ordering::Relaxed);
            if self.stop.load(Ordering::Relaxed) { Go::Stop } else { Go::On }
        });
        match results {
            Ok(results) => run_folder::write(self.folder, self.plan, run, &results).map(Ok),
            Err(error) => Ok(Err(Box::new(error))),
        }
    }
}
