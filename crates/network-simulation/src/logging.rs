//! The nodes' own log lines, in the trace: with simulated time and the number of the host.

use std::cell::RefCell;
use std::io;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::machine;
use crate::trace::Trace;

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Sends the log lines of this thread to a trace.
pub fn on_this_thread(trace: Trace) {
    TRACE.replace(Some(trace));
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_timer(NoTime)
        .with_writer(Lines)
        .finish();
    std::panic::set_hook(Box::new(note_panic));
    // One for the whole program: callers of another thread find no trace, and write nothing.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// Panics of tasks so far.
pub fn take_panics() -> Vec<String> {
    PANICS.take()
}

/// A task that panics ends alone: without this, nobody might notice.
fn note_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
    let payload = panic.payload();
    let message =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let sentence = format!(
        "a task of host {} panicked at {} ms, in {place}: {}",
        machine::host(),
        machine::now_ns() / 1_000_000,
        message.unwrap_or("without a message")
    );
    eprintln!("{sentence}");
    PANICS.with_borrow_mut(|panics| panics.push(sentence));
}

/// The trace adds the time itself.
struct NoTime;

impl FormatTime for NoTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "host {}", machine::host())
    }
}

#[derive(Clone, Copy)]
struct Lines;

impl MakeWriter<'_> for Lines {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        Lines
    }
}

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        TRACE.with_borrow(|trace| {
            if let Some(trace) = trace {
                trace.note(|| String::from_utf8_lossy(line).trim_end().to_owned());
            }
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
