//! Hosts: each a runtime of its own on the one thread, with a clock that moves a tick at a time.
//!
//! A host's runtime has its clock paused. In each tick it runs until nothing is left to do before the tick's end; its
//! timers fire in order on the way. The order of the hosts within a tick is drawn anew each time. To kill a host is to
//! drop its runtime with all its tasks; to pause it is to leave it out for some ticks, after which its timers are late,
//! as they are for a process that was stopped.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::links::HostId;
use crate::machine;

/// The length of a tick, ns.
pub const TICK_NS: u64 = 2_000_000;

/// A host that runs.
pub struct Host {
    id: HostId,
    runtime: Runtime,
    /// Its clock at the beginning, and when that was.
    begun: Instant,
    begun_ns: u64,
    /// How far the wall clock is off, ns.
    pub wall_offset_ns: i64,
    /// Until when it is left out, ns.
    paused_until_ns: u64,
    was_paused: bool,
}

impl Host {
    /// Starts a host with its main task.
    pub fn start(id: HostId, wall_offset_ns: i64, main: impl Future<Output = ()> + Send + 'static) -> Host {
        machine::enter(id, wall_offset_ns);
        let built = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = built.expect("a runtime without input and output takes nothing that could be missing");
        let begun = runtime.block_on(async { Instant::now() });
        runtime.spawn(main);
        Host { id, runtime, begun, begun_ns: machine::now_ns(), wall_offset_ns, paused_until_ns: 0, was_paused: false }
    }

    /// Leaves the host out until a time, ns.
    pub fn pause_until(&mut self, until_ns: u64) {
        self.paused_until_ns = until_ns;
        self.was_paused = true;
    }

    /// Runs the host until the end of the tick that begins now.
    pub fn tick(&mut self) {
        let now_ns = machine::now_ns();
        if self.paused_until_ns > now_ns {
            return;
        }
        machine::enter(self.id, self.wall_offset_ns);
        let at = |time_ns: u64| self.begun + Duration::from_nanos(time_ns - self.begun_ns);
        let (now, end) = (at(now_ns), at(now_ns + TICK_NS));
        let jumps = std::mem::take(&mut self.was_paused);
        self.runtime.block_on(async {
            if jumps {
                // All at once: to the process, no time has passed.
                tokio::time::advance(now - Instant::now()).await;
            }
            tokio::time::sleep_until(end).await;
        });
    }

    /// Kills the host: all its tasks are gone.
    pub fn kill(self) {
        machine::enter(self.id, self.wall_offset_ns);
        drop(self.runtime);
    }
}
