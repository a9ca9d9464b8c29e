//! `cbdc`: a retail central bank digital currency on one machine, from the first key to the last receipt.
//!
//! One file a subcommand. What all share: [`arguments`] (the command line), [`output`] (for people or as JSON),
//! [`exit`] (codes that scripts can use), [`logging`], [`allocator`] and [`runtime`] (memory and threads).

#![deny(unsafe_code)]

// Tells mimalloc how long it keeps freed memory: a call into C, of which the binding has no safe form.
#[allow(unsafe_code)]
mod allocator;
mod arguments;
mod audit;
mod bank;
mod bench;
mod chain;
mod completions;
mod exit;
mod init;
mod logging;
mod network;
mod node;
mod output;
mod policy;
mod preset;
mod replications;
mod runtime;
mod simulate;
mod sweep;
mod up;
mod wallet;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    exit::code_of(|arguments, output| async move { arguments.run(&output).await })
}
