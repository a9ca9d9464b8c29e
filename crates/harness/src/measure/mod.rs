//! Measurements of a run: latency from the moment a payment was due, throughput, outcomes by the second, the machine,
//! CPU time.
//!
//! Recorders are plain values. A run fills them from each task's records after the load, so that nothing is shared or
//! counted while the clock runs. All times are nanoseconds from the start of the load.

pub mod amounts;
pub mod core_speed;
pub mod cpu;
pub mod disk;
pub mod gaps;
pub mod latency;
pub mod machine;
pub mod stalls;
pub mod thread_cpu;
pub mod throughput;
pub mod timeline;

pub use cpu::{CpuClock, CpuError, CpuSpent};
pub use latency::LatencyRecorder;
pub use machine::Machine;
pub use throughput::SettledRates;
pub use timeline::Timeline;
