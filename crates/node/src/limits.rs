//! Limits on a node's callers: section `[limits]` of its configuration.
//!
//! ```toml
//! [limits]
//! memory_mib = 512              # for connections, unfinished messages, requests and answers, beyond the ledger
//! connections = 4096            # of customers, all together
//! connections_per_address = 1024
//! connections_per_member = 64
//! streams_per_connection = 256
//! stream_idle_s = 60            # a customer's stream of payments with nothing in flight for this long ends
//! ```
//!
//! Every key has a default, and a value outside of its range is an error that names it.

use crate::config::within;

const MIB: usize = 1024 * 1024;

/// The limits of one node. Every key has a default; unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory for connections, unfinished messages, requests in work and unread answers, MiB. The ledger and the store
    /// have their own in addition.
    #[serde(deserialize_with = "within::<_, _, 32, 1_048_576>")]
    pub memory_mib: u32,
    /// Connections of customers. At the limit, the one that was idle for longest gives way.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    pub connections: u32,
    /// Connections of customers from one address.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    pub connections_per_address: u32,
    /// Connections of one member; they count apart from customers'.
    #[serde(deserialize_with = "within::<_, _, 4, 65_536>")]
    pub connections_per_member: u32,
    /// Calls that one connection may have open; further ones wait at their caller.
    #[serde(deserialize_with = "within::<_, _, 4, 65_536>")]
    pub streams_per_connection: u32,
    /// The longest time for which a customer's stream of payments may have nothing in flight, s; then it ends.
    #[serde(deserialize_with = "within::<_, _, 1, 86_400>")]
    pub stream_idle_s: u32,
}

/// The default longest time for which a customer's stream of payments may have nothing in flight.
pub const STREAM_IDLE_S: u32 = 60;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_mib: 512,
            connections: 4_096,
            connections_per_address: 1_024,
            connections_per_member: 64,
            streams_per_connection: 256,
            stream_idle_s: STREAM_IDLE_S,
        }
    }
}

impl Limits {
    /// The memory of the whole node, bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_mib as usize * MIB
    }

    /// The part that customers may use; the rest is reserved for members.
    pub fn customers_bytes(&self) -> usize {
        self.memory_bytes() / 4 * 3
    }

    /// The part that customers may use, including the reserve for addresses with little use.
    pub fn customers_bytes_with_small(&self) -> usize {
        self.memory_bytes() / 8 * 7
    }

    /// The part that one address, or one member, may use.
    pub fn share_bytes(&self) -> usize {
        self.memory_bytes() / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_default_and_a_range() {
        assert_eq!(toml::from_str::<Limits>("").unwrap(), Limits::default());
        let set = toml::from_str::<Limits>("memory_mib = 64\nconnections = 7").unwrap();
        assert_eq!((set.memory_bytes(), set.connections, set.streams_per_connection), (64 << 20, 7, 256));
        for key in ["memory_mib", "connections", "connections_per_address", "connections_per_member", "stream_idle_s"] {
            for wrong in ["0", "-1", "4294967296"] {
                let error = toml::from_str::<Limits>(&format!("{key} = {wrong}")).unwrap_err().to_string();
                assert!(error.contains(&format!("found {wrong}")) && error.contains("from"), "{error}");
            }
        }
        assert!(toml::from_str::<Limits>("memory = 1").unwrap_err().to_string().contains("memory_mib"));
    }
}
