//! Logs: to standard error for a single node, into a file for a network in the foreground.
//!
//! `CBDC_LOG` chooses what is logged: a level, as in `CBDC_LOG=debug`, or levels by module, as in
//! `CBDC_LOG=cbdc_bank=debug,info`. By default that is `info`, and of openraft only what ends it: it warns of every
//! message that a change of the leader overtakes, and of every attempt to reach a member that is away, five lines a
//! try. What an operator has to know of both is said by `cbdc_ordering` and `cbdc_central_bank`, once.

use std::fmt::Debug;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, anyhow};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{self, SubscriberExt};
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
    subscriber(writer, chosen.as_deref())?.init();
    Ok(())
}

/// What writes the lines that `chosen` lets through; without a choice, those of the default.
fn subscriber(
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
    chosen: Option<&str>,
) -> anyhow::Result<impl Subscriber + Send + Sync> {
    let chosen = chosen.filter(|chosen| !chosen.trim().is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let without_votes = chosen.is_none().then_some(WithoutVotes);
    Ok(tracing_subscriber::registry().with(lines).with(without_votes).with(filter(chosen)?))
}

/// Leaves out what openraft says of each vote that it cannot ask for, among errors that end it: a member that is away
/// is asked at every election.
struct WithoutVotes;

impl<S: Subscriber> Layer<S> for WithoutVotes {
    fn event_enabled(&self, event: &Event<'_>, _: layer::Context<'_, S>) -> bool {
        if event.metadata().target() != "openraft::core::raft_core" {
            return true;
        }
        let mut message = Message::default();
        event.record(&mut message);
        message.0 != "while requesting vote"
    }
}

/// The message of an event.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// What `chosen` lets through; without a choice, the default.
fn filter(chosen: Option<&str>) -> anyhow::Result<Targets> {
    let Some(chosen) = chosen else {
        return Ok(Targets::new()
            .with_default(LevelFilter::INFO)
            .with_target("openraft", LevelFilter::ERROR)
            .with_target("openraft::replication", LevelFilter::OFF));
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
    use std::sync::Arc;

    use tracing::Level;

    use super::*;

    #[test]
    fn levels_are_chosen_for_all_and_by_module() {
        let default = filter(None).unwrap();
        assert!(default.would_enable("cbdc_bank::relay", &Level::INFO));
        assert!(!default.would_enable("cbdc_bank::relay", &Level::DEBUG));
        assert!(default.would_enable("openraft::core", &Level::ERROR));
        assert!(!default.would_enable("openraft::core", &Level::WARN));
        assert!(!default.would_enable("openraft::replication", &Level::ERROR));
        let chosen = filter(Some("cbdc_bank=debug,warn")).unwrap();
        assert!(chosen.would_enable("cbdc_bank::relay", &Level::DEBUG));
        assert!(!chosen.would_enable("openraft::core", &Level::INFO));
    }

    /// The text of all lines that are logged with that choice.
    fn logged(chosen: Option<&str>) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let to = lines.clone();
        tracing::subscriber::with_default(subscriber(move || to.clone(), chosen).unwrap(), || {
            tracing::error!(target: "openraft::core::raft_core", "while requesting vote");
            tracing::error!(target: "openraft::core::raft_core", "the disk is gone");
            tracing::error!(target: "openraft::replication", "a member is away");
            tracing::info!(target: "cbdc_bank", "while requesting vote");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn of_openraft_only_what_ends_it_is_logged_unless_more_is_asked_for() {
        let text = logged(None);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("the disk is gone") && text.contains("cbdc_bank: while requesting vote"), "{text}");
        assert_eq!(logged(Some("info")).lines().count(), 4);
    }

    #[test]
    fn what_is_no_level_is_refused() {
        let error = filter(Some("cbdc_bank=loud")).unwrap_err().to_string();
        assert!(error.contains("CBDC_LOG") && error.contains("cbdc_bank=loud"), "{error}");
    }
}
