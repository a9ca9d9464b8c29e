//! Development networks: a folder with everything that a network needs, and its nodes, running.
//!
//! * [`policy`]: a first policy, as written in scenarios and presets;
//! * `spec`: the shape of a network;
//! * `create`: genesis, keys, certificates and configurations, into a new folder;
//! * `ports`: the ports on which its nodes listen;
//! * `network`: the folder, created or opened;
//! * `processes`: every node as its own process;
//! * `in_process`: the same nodes in this process, ready in a fraction of a second.

#![forbid(unsafe_code)]

mod create;
mod error;
mod in_process;
mod network;
pub mod policy;
mod ports;
mod processes;
mod spec;

pub use create::make_keys;
pub use error::NetworkError;
pub use in_process::InProcess;
pub use network::Network;
pub use ports::free_address;
pub use processes::Processes;
pub use spec::{NetworkSpec, Ports, SequencerSpec};
