//! `cbdc`: a retail central bank digital currency on one machine, from the first key to the last receipt.
//!
//! From the top: [`command_line`]; one file or folder per subcommand; and below them the shared parts: [`network`] (the
//! `--network` argument), [`invocation`] (the command line as typed), [`exit`] (exit codes), [`output`] (text or JSON),
//! [`shutdown`], [`waiting`] (for a central bank that does not settle), [`logging`], [`runtime`] (threads) and
//! [`allocator`] (memory).

#![deny(unsafe_code)]

// A call into C, for which the binding has no safe form, tells mimalloc how long to keep freed memory.
#[allow(unsafe_code)]
mod allocator;
mod anchor;
mod audit;
mod bank;
mod bench;
mod chain;
mod command_line;
mod completions;
mod earlier;
mod exit;
mod idempotent_request;
mod init;
mod invocation;
mod keys;
mod logging;
mod network;
mod node;
mod output;
mod policy;
mod preset;
mod replications;
mod runtime;
mod shutdown;
mod simulate;
mod sweep;
mod up;
mod version;
mod waiting;
mod wallet;

use std::process::ExitCode;
use std::time::Duration;

use cbdc_signatures::{Backend, Selection};

use crate::command_line::CommandLine;
use crate::output::Output;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    let command_line = CommandLine::read();
    let output = Output::new(command_line.json);
    let runtime = match runtime::start() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the system gives no threads: {error}");
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(command_line.run(&output));
    // Tasks that still wait for a peer do not delay the program's end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    warn_of_rejected_backend();
    exit::code_of(result, &output)
}

/// Warns if the processor's fast backend for verifying signatures failed its self-check. The portable one was used, so
/// all verdicts are right.
fn warn_of_rejected_backend() {
    if let Some(Selection { backend, rejected: Some(rejected) }) = Backend::selection() {
        eprintln!(
            "warning: the signature backend {rejected} failed its self-check, {backend} was used: look into this \
            machine"
        );
    }
}
