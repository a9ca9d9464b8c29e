//! The runtime: the threads on which the program waits for the network.

use std::num::NonZero;

use tokio::runtime::{Builder, Runtime};

/// The variable that overrides the number of workers, as in every program on tokio.
const WORKERS: &str = "TOKIO_WORKER_THREADS";

/// Starts one worker for every two cores: verification, settlement and the store have their own threads, and idle
/// workers cost them time by waking and sleeping. On two cores one worker instead of two saved 11 % of a payment's CPU
/// time.
pub fn start() -> std::io::Result<Runtime> {
    let mut runtime = Builder::new_multi_thread();
    if std::env::var_os(WORKERS).is_none() {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        runtime.worker_threads(cores.div_ceil(2));
    }
    runtime.enable_all().build()
}
