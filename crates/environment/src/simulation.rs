//! The simulation that is in force on this thread, if any.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::network::{Connecting, SimulatedListener};

/// What stands in for the machine. All nodes of a simulation run on one thread.
pub trait Simulation {
    /// Listens on an address of the node that runs now.
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn SimulatedListener>>;

    /// Connects the node that runs now to an address (`host:port`).
    fn connect(&self, address: &str) -> Connecting;

    /// How long the disk of the node that runs now takes for the next piece of work.
    fn disk_takes(&self) -> Duration;
}

thread_local! {
    static IN_FORCE: RefCell<Option<Rc<dyn Simulation>>> = const { RefCell::new(None) };
}

/// Ends a simulation however its run ends.
struct Ends(Option<Rc<dyn Simulation>>);

impl Drop for Ends {
    fn drop(&mut self) {
        IN_FORCE.with(|in_force| in_force.replace(self.0.take()));
    }
}

/// Puts a simulation in force on this thread while `run` runs.
pub fn simulate<R>(simulation: Rc<dyn Simulation>, run: impl FnOnce() -> R) -> R {
    let before = IN_FORCE.with(|in_force| in_force.replace(Some(simulation)));
    let _ends = Ends(before);
    run()
}

/// Whether this thread is a simulation's.
pub(crate) fn is_simulated() -> bool {
    IN_FORCE.with(|in_force| in_force.borrow().is_some())
}

pub(crate) fn in_force() -> Option<Rc<dyn Simulation>> {
    IN_FORCE.with(|in_force| in_force.borrow().clone())
}
