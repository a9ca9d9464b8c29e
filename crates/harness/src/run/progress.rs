//! Progress on the terminal: a bar for each step, and live figures during the load.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::load::Live;
use crate::scenario::Scenario;

pub struct Progress {
    bar: ProgressBar,
}

/// A step that counts.
pub struct Counted(ProgressBar);

impl Counted {
    pub fn add(&self, count: u64) {
        self.0.inc(count);
    }

    pub fn set(&self, at: u64, of: u64) {
        self.0.set_length(of);
        self.0.set_position(at);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

impl Progress {
    pub fn new(quiet: bool) -> Progress {
        let bar = ProgressBar::new_spinner();
        if quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Progress { bar }
    }

    /// A step without a count.
    pub fn step(&self, what: &'static str) {
        self.bar.set_style(style("{spinner} {msg} {elapsed}"));
        self.bar.set_message(what);
        self.bar.enable_steady_tick(Duration::from_millis(120));
    }

    /// A step of `total` parts.
    pub fn counted(&self, what: &'static str, total: u64) -> Counted {
        self.bar.reset();
        self.bar.set_length(total);
        self.bar.set_style(style("{msg:<34} {bar:30} {human_pos}/{human_len} {per_sec} eta {eta}"));
        self.bar.set_message(what);
        Counted(self.bar.clone())
    }

    /// The figures of the load, until the returned task is aborted.
    pub fn live(&self, scenario: &Scenario, start: Instant, live: Arc<Live>, supply: Arc<AtomicI64>) -> JoinHandle<()> {
        let (bar, total_s) = (self.bar.clone(), scenario.load.total_s());
        bar.reset();
        bar.set_length(total_s.ceil() as u64);
        bar.set_style(style("{bar:30} {pos}/{len} s  {msg}"));
        tokio::spawn(async move {
            let mut settled_before = 0;
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            loop {
                tick.tick().await;
                let settled = live.settled.load(Ordering::Relaxed);
                let mut recent = std::mem::take(&mut *live.recent_us.lock().unwrap_or_else(PoisonError::into_inner));
                // Sorting all of them would block the generator's thread for milliseconds.
                let at = recent.len() * 99 / 100;
                let p99_us = if recent.is_empty() { 0 } else { *recent.select_nth_unstable(at).1 };
                let p99_ms = f64::from(p99_us) / 1_000.0;
                bar.set_position(start.elapsed().as_secs().min(total_s.ceil() as u64));
                bar.set_message(format!(
                    "{:>7} settled/s  p99 {p99_ms:>7.1} ms  refused {}  supply {} minor",
                    settled - settled_before,
                    live.refused.load(Ordering::Relaxed),
                    supply.load(Ordering::Relaxed)
                ));
                settled_before = settled;
            }
        })
    }

    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}
