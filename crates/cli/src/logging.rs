//! Logs: to standard error for a single node, into a file for a network in the foreground.
//!
//! `CBDC_LOG` chooses what is logged, as in `CBDC_LOG=debug` or `CBDC_LOG=cbdc_bank=debug,info`.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

fn filter() -> EnvFilter {
    EnvFilter::try_from_env("CBDC_LOG").unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Logs to standard error.
pub fn to_stderr() {
    tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).with_ansi(false).init();
}

/// Logs to the end of a file.
pub fn to_file(path: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.with_context(|| format!("cannot write the log {}", path.display()))?;
    tracing_subscriber::fmt().with_env_filter(filter()).with_writer(Mutex::new(file)).with_ansi(false).init();
    Ok(())
}
