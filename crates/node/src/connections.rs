//! The connections of a node, and whose they are.
//!
//! Customers have places together and for each address, every member has places of its own. Where a place is wanted and
//! none is free, the connection that has been idle for longest gives way, of the same address or member first: an idle
//! wallet connects again when it needs to. Where none is idle, the new connection is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cbdc_proto::transport::Peer;
use cbdc_proto::transport::limits::{CUSTOMER_FRAME_BYTES_MAX, FRAME_BYTES_MAX};
use tokio_util::sync::CancellationToken;

use crate::budget::{Budget, Charge, Exceeded, Share, Source};
use crate::limits::Limits;
use crate::metering::Activity;

/// What TLS and HTTP/2 keep of a connection beside a frame.
const STATE_BYTES: usize = 16 * 1024;

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{limit_name} is {limit}, and none of those connections is idle")]
    TooMany { limit_name: &'static str, limit: u32 },
    #[error(transparent)]
    Memory(#[from] Exceeded),
}

/// The connections of one node. Clones share them.
#[derive(Clone)]
pub struct Connections {
    limits: Arc<Limits>,
    budget: Budget,
    open: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    by_source: HashMap<Source, HashMap<u64, Entry>>,
    customers: usize,
    next: u64,
}

struct Entry {
    activity: Arc<Activity>,
    gives_way: CancellationToken,
}

/// A connection's place; it is free again when this is dropped.
pub struct Place {
    connections: Connections,
    source: Source,
    number: u64,
    pub share: Share,
    pub activity: Arc<Activity>,
    /// Cancelled when the connection has to give way.
    pub gives_way: CancellationToken,
    _charge: Charge,
}

impl Connections {
    /// No connections yet.
    pub fn new(limits: Limits, budget: Budget) -> Connections {
        Connections { limits: Arc::new(limits), budget, open: Arc::default() }
    }

    /// Customers' and members' connections that are open.
    pub fn count(&self) -> (usize, usize) {
        let table = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = table.by_source.values().map(HashMap::len).sum();
        (table.customers, all - table.customers)
    }

    /// Gives a new connection a place.
    pub fn enter(&self, peer: &Peer) -> Result<Place, Refused> {
        let source = Source::of(peer);
        let share = self.budget.share(source);
        let frame_bytes = if source.is_member() { FRAME_BYTES_MAX } else { CUSTOMER_FRAME_BYTES_MAX };
        let charge = share.take(STATE_BYTES + frame_bytes as usize)?;
        let mut table = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        table.make_room(source, &self.limits)?;
        let (activity, gives_way, number) = (Activity::new(), CancellationToken::new(), table.next);
        table.next += 1;
        table.customers += usize::from(!source.is_member());
        let entry = Entry { activity: activity.clone(), gives_way: gives_way.clone() };
        table.by_source.entry(source).or_default().insert(number, entry);
        drop(table);
        Ok(Place { connections: self.clone(), source, number, share, activity, gives_way, _charge: charge })
    }
}

impl Table {
    fn make_room(&mut self, source: Source, limits: &Limits) -> Result<(), Refused> {
        let of_source = self.by_source.get(&source).map_or(0, HashMap::len);
        let (limit_name, limit) = match source.is_member() {
            true => ("limits.connections_per_member", limits.connections_per_member),
            false => ("limits.connections_per_address", limits.connections_per_address),
        };
        if of_source >= limit as usize {
            return self.end_most_idle(|of| of == source, limit_name, limit);
        }
        if !source.is_member() && self.customers >= limits.connections as usize {
            return self.end_most_idle(|of| !of.is_member(), "limits.connections", limits.connections);
        }
        Ok(())
    }

    fn end_most_idle(
        &mut self,
        of: impl Fn(Source) -> bool,
        limit_name: &'static str,
        limit: u32,
    ) -> Result<(), Refused> {
        let candidates = self.by_source.iter().filter(|(source, _)| of(**source));
        let idle = candidates.flat_map(|(source, entries)| {
            entries.iter().filter_map(|(number, entry)| Some((entry.activity.idle_for()?, *source, *number)))
        });
        let (_, source, number) =
            idle.max_by_key(|(idle_for, ..)| *idle_for).ok_or(Refused::TooMany { limit_name, limit })?;
        if let Some(entry) = self.remove(source, number) {
            entry.gives_way.cancel();
        }
        Ok(())
    }

    fn remove(&mut self, source: Source, number: u64) -> Option<Entry> {
        let entries = self.by_source.get_mut(&source)?;
        let entry = entries.remove(&number)?;
        if entries.is_empty() {
            self.by_source.remove(&source);
        }
        self.customers -= usize::from(!source.is_member());
        Some(entry)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        // It is gone already where the connection had to give way.
        drop(table.remove(self.source, self.number));
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::PublicKey;

    use super::*;

    fn connections(limits: Limits) -> Connections {
        Connections::new(limits.clone(), Budget::new(&limits))
    }

    fn customer(last: u8) -> Peer {
        Peer { node_key: None, address: Some(([10, 0, 0, last], 5).into()) }
    }

    fn member(number: u8) -> Peer {
        Peer { node_key: Some(PublicKey([number; 32])), ..customer(1) }
    }

    #[test]
    fn an_address_that_is_full_ends_its_own_most_idle_connection() {
        let limits = Limits { connections: 5, connections_per_address: 2, ..Limits::default() };
        let connections = connections(limits);
        let other = connections.enter(&customer(2)).unwrap();
        let first = connections.enter(&customer(1)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = connections.enter(&customer(1)).unwrap();
        let third = connections.enter(&customer(1)).unwrap();
        let ended = [&other, &first, &second, &third].map(|place| place.gives_way.is_cancelled());
        assert_eq!(ended, [false, true, false, false]);
        assert_eq!(connections.count(), (3, 0), "one that gives way is counted no more");
        drop((other, first, second, third));
        assert_eq!(connections.count(), (0, 0));
        assert_eq!(connections.budget.used_bytes(), 0);
    }

    #[test]
    fn members_have_places_of_their_own_when_customers_have_taken_all_of_theirs() {
        let limits = Limits { connections: 3, connections_per_member: 4, ..Limits::default() };
        let connections = connections(limits);
        let customers: Vec<Place> = (0..3).map(|last| connections.enter(&customer(last)).unwrap()).collect();
        let members: Vec<Place> = (0..4).map(|_| connections.enter(&member(1)).unwrap()).collect();
        let another = connections.enter(&member(2)).unwrap();
        assert_eq!(connections.count(), (3, 5));
        assert!(customers.iter().chain(&members).chain([&another]).all(|place| !place.gives_way.is_cancelled()));
        let fifth = connections.enter(&member(1)).unwrap();
        assert!(members.iter().any(|place| place.gives_way.is_cancelled()));
        drop(fifth);
    }

    #[test]
    fn whoever_has_taken_the_memory_gets_no_further_connection() {
        let limits = Limits { memory_mib: 32, ..Limits::default() };
        let connections = connections(limits);
        let peer = customer(1);
        let taken = connections.budget.share(Source::of(&peer)).take(8 * 1024 * 1024).unwrap();
        assert!(matches!(connections.enter(&peer), Err(Refused::Memory(_))));
        assert!(connections.enter(&customer(2)).is_ok());
        drop(taken);
        assert!(connections.enter(&peer).is_ok());
    }
}
