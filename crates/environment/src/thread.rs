//! Loops and pieces of work that keep the processor, or wait for the disk, for longer than a task may.
//!
//! A loop is an `async` function. On a machine it has a thread of its own, which runs nothing else; it may block there.
//! What it awaits must not need a runtime: channels, notifications and the timers of [`crate::timer`] do not.

use std::io;

use tokio::task::JoinHandle;

use crate::simulation::{in_force, is_simulated};

/// A loop that was started. Dropping this does not end it.
pub struct Thread(Kind);

enum Kind {
    Machine(std::thread::JoinHandle<()>),
    Simulated(JoinHandle<()>),
}

/// Starts a loop.
///
/// # Errors
/// The machine gives no thread.
pub fn thread<F>(name: &str, work: impl FnOnce() -> F + Send + 'static) -> io::Result<Thread>
where
    F: Future<Output = ()> + Send + 'static,
{
    if is_simulated() {
        return Ok(Thread(Kind::Simulated(tokio::spawn(work()))));
    }
    let run = move || futures::executor::block_on(work());
    Ok(Thread(Kind::Machine(std::thread::Builder::new().name(name.to_owned()).spawn(run)?)))
}

impl Thread {
    /// Waits until the loop has ended and all that it held is released. One that panicked has ended too.
    pub async fn ended(self) {
        match self.0 {
            Kind::Machine(thread) => drop(blocking(move || drop(thread.join())).await),
            Kind::Simulated(task) => drop(task.await),
        }
    }

    /// [`Self::ended`] for those who cannot await. In a simulation the loop ends a moment later.
    pub fn join(self) {
        match self.0 {
            Kind::Machine(thread) => drop(thread.join()),
            Kind::Simulated(_) => {}
        }
    }
}

/// Runs one piece of work where it keeps no task from running.
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match is_simulated() {
        true => tokio::spawn(async {
            work_begins().await;
            work()
        }),
        false => tokio::task::spawn_blocking(work),
    }
}

/// Stands before a piece of work for which a loop waits for the disk. On a machine the work itself takes its time; in a
/// simulation it takes none, so it comes later by as much.
pub async fn work_begins() {
    let takes = in_force().map(|simulation| simulation.disk_takes());
    if let Some(takes) = takes.filter(|takes| !takes.is_zero()) {
        tokio::time::sleep(takes).await;
    }
}
