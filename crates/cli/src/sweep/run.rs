//! `cbdc sweep run`: simulates one part of a plan on this machine's cores.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use cbdc_economy::Go;
use cbdc_sweep::run::all_threads;
use cbdc_sweep::{Part, Progress};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::failure::classified;
use crate::output::{Output, draws, duration, fields};
use crate::shutdown;

/// The interval of progress lines without a terminal, such as in a scheduler's log.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Simulate one part of a plan
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc sweep run results/sweeps/holding-limit
  cbdc sweep run results/sweeps/holding-limit --index 2 --count 8 --threads 4
  cbdc sweep run results/sweeps/holding-limit --json --quiet

Index and count also come from SLURM_ARRAY_TASK_ID (or JOB_COMPLETION_INDEX) and SLURM_ARRAY_TASK_COUNT; with neither,
all runs are simulated. Runs that are done are skipped, and each is written completely or not at all: after Ctrl-C or
a kill the same command continues. Exit code 2 if the part does not exist.")]
pub struct Run {
    /// The plan's folder
    folder: PathBuf,
    /// The part, from 0
    #[arg(long, value_name = "I")]
    index: Option<u32>,
    /// The number of parts
    #[arg(long, value_name = "K")]
    count: Option<u32>,
    /// Runs at once; by default as many as this machine has cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

impl Run {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let part = Part::chosen(self.index, self.count, &|name| std::env::var(name).ok());
        let part = part.map_err(|error| classified(error.into()))?;
        let plan = cbdc_sweep::Plan::open(&self.folder).map_err(classified)?;
        let threads = self.threads.map_or_else(all_threads, usize::from);
        let stop = Arc::new(AtomicBool::new(false));
        let mut shown = Shown::new(self.quiet || output.json);
        let (asked, folder, start) = (stop.clone(), self.folder.clone(), Instant::now());
        let mut task = tokio::task::spawn_blocking(move || {
            let done = cbdc_sweep::run(&folder, &plan, part, threads, &mut |progress| {
                shown.update(&progress);
                if asked.load(Ordering::Relaxed) { Go::Stop } else { Go::On }
            });
            shown.bar.finish_and_clear();
            done
        });
        let done = tokio::select! {
            done = &mut task => done,
            _ = shutdown::requested(false) => {
                stop.store(true, Ordering::Relaxed);
                task.await
            }
        };
        let done =
            done.context("the sweep's thread ended early, which is a defect of this program")?.map_err(classified)?;
        let wall_s = start.elapsed().as_secs_f64();
        let object = json!({
            "folder": self.folder.display().to_string(),
            "index": part.index(),
            "count": part.count(),
            "simulated": done.simulated,
            "skipped": done.skipped,
            "threads": threads,
            "wall_s": wall_s,
        });
        output.print(object, || {
            fields(&[
                ("part", format!("{} of {} (from 0)", part.index(), part.count())),
                ("runs", format!("{} simulated, {} done before", done.simulated, done.skipped)),
                ("time", format!("{} on {threads} threads", duration(wall_s))),
                ("next", format!("cbdc sweep merge {}", self.folder.display())),
            ])
        });
        Ok(())
    }
}

/// A bar on a terminal; elsewhere one line per minute.
struct Shown {
    bar: ProgressBar,
    lines: bool,
    last_line: Instant,
}

impl Shown {
    fn new(quiet: bool) -> Shown {
        let draws = draws();
        let bar = ProgressBar::new(1_000);
        if quiet || !draws {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{bar:30} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
        Shown { bar, lines: !quiet && !draws, last_line: Instant::now() }
    }

    fn update(&mut self, progress: &Progress) {
        let share = progress.household_days_done / progress.household_days.max(1.0);
        let left = progress.left().map(|left| format!(", {} left", duration(left.as_secs_f64()))).unwrap_or_default();
        let words = format!("{} of {} runs{left}", progress.runs_done, progress.runs);
        if self.lines && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            eprintln!("{words}");
        }
        self.bar.set_position((share * 1_000.0) as u64);
        self.bar.set_message(words);
    }
}
