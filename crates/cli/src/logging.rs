//! Logs: to standard error for a single node, into a file for a network in the foreground.
//!
//! `CBDC_LOG` chooses what is logged: a level, as in `CBDC_LOG=debug`, or levels by module, as in
//! `CBDC_LOG=cbdc_bank=debug,info`. By default that is `info`, and only warnings of openraft, which tells every step.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, anyhow};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The variable of the environment that chooses what is logged.
const VARIABLE: &str = "CBDC_LOG";

/// Logs to standard error.
pub fn to_stderr() -> anyhow::Result<()> {
    start(std::io::stderr)
}

/// Logs to the end of a file.
pub fn to_file(path: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    start(Mutex::new(file.with_context(|| format!("cannot write the log {}", path.display()))?))
}

fn start(writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) -> anyhow::Result<()> {
    let chosen = std::env::var_os(VARIABLE).map(|chosen| chosen.to_string_lossy().into_owned());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    tracing_subscriber::registry().with(lines).with(filter(chosen.as_deref())?).init();
    Ok(())
}

/// What `chosen` lets through; without a choice, the default.
fn filter(chosen: Option<&str>) -> anyhow::Result<Targets> {
    let Some(chosen) = chosen.filter(|chosen| !chosen.trim().is_empty()) else {
        return Ok(Targets::new().with_default(LevelFilter::INFO).with_target("openraft", LevelFilter::WARN));
    };
    chosen.parse().map_err(|error| {
        anyhow!(
            "{VARIABLE}: expected error, warn, info, debug, trace or off, alone or as module=level, with commas \
             between them; found {chosen:?} ({error})"
        )
    })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_are_chosen_for_all_and_by_module() {
        let default = filter(None).unwrap();
        assert!(default.would_enable("cbdc_bank::relay", &Level::INFO));
        assert!(!default.would_enable("cbdc_bank::relay", &Level::DEBUG));
        assert!(!default.would_enable("openraft::core", &Level::INFO));
        let chosen = filter(Some("cbdc_bank=debug,warn")).unwrap();
        assert!(chosen.would_enable("cbdc_bank::relay", &Level::DEBUG));
        assert!(!chosen.would_enable("openraft::core", &Level::INFO));
    }

    #[test]
    fn what_is_no_level_is_refused() {
        let error = filter(Some("cbdc_bank=loud")).unwrap_err().to_string();
        assert!(error.contains("CBDC_LOG") && error.contains("cbdc_bank=loud"), "{error}");
    }
}
