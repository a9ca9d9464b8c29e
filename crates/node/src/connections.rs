//! The connections of a node, and whose they are.
//!
//! There is a limit on the connections of all customers, on those of each address, and on those of each member, which
//! do not count as customers'. At a limit, the connection that has been idle longest gives way, of the same address or
//! member first: an idle wallet connects again when it needs to. If none is idle, the
//! address with the most connections loses its oldest, unless the new one's address would then have as many: so a few
//! addresses cannot keep the others out. Otherwise the new connection is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cbdc_proto::transport::Peer;
use cbdc_proto::transport::limits::{CUSTOMER_FRAME_BYTES_MAX, FRAME_BYTES_MAX};
use tokio_util::sync::CancellationToken;

use crate::budget::{Budget, Charge, Exceeded, Share, Tenant};
use crate::limits::Limits;
use crate::metering::Activity;

/// The memory of TLS and HTTP/2 for a connection, apart from a frame.
const STATE_BYTES: usize = 16 * 1024;

/// The reason why a connection is not served.
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
    by_tenant: HashMap<Tenant, HashMap<u64, Entry>>,
    customers: usize,
    next: u64,
}

struct Entry {
    activity: Arc<Activity>,
    gives_way: CancellationToken,
}

/// The right to have one connection open; dropping it gives the right back.
pub struct ConnectionPermit {
    connections: Connections,
    tenant: Tenant,
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

    /// The number of open connections of customers and of members.
    pub fn count(&self) -> (usize, usize) {
        let table = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = table.by_tenant.values().map(HashMap::len).sum();
        (table.customers, all - table.customers)
    }

    /// Admits a new connection.
    pub fn enter(&self, peer: &Peer) -> Result<ConnectionPermit, Refused> {
        let tenant = Tenant::of(peer);
        let share = self.budget.share(tenant);
        let frame_bytes = if tenant.is_member() { FRAME_BYTES_MAX } else { CUSTOMER_FRAME_BYTES_MAX };
        let charge = share.take(STATE_BYTES + frame_bytes as usize)?;
        let mut table = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        table.end_one_if_full(tenant, &self.limits)?;
        let (activity, gives_way, number) = (Activity::new(), CancellationToken::new(), table.next);
        table.next += 1;
        table.customers += usize::from(!tenant.is_member());
        let entry = Entry { activity: activity.clone(), gives_way: gives_way.clone() };
        table.by_tenant.entry(tenant).or_default().insert(number, entry);
        drop(table);
        Ok(ConnectionPermit { connections: self.clone(), tenant, number, share, activity, gives_way, _charge: charge })
    }
}

impl Table {
    fn end_one_if_full(&mut self, tenant: Tenant, limits: &Limits) -> Result<(), Refused> {
        let of_tenant = self.by_tenant.get(&tenant).map_or(0, HashMap::len);
        let (limit_name, limit) = match tenant.is_member() {
            true => ("limits.connections_per_member", limits.connections_per_member),
            false => ("limits.connections_per_address", limits.connections_per_address),
        };
        if of_tenant >= limit as usize {
            return self.end_most_idle(|of| of == tenant, limit_name, limit);
        }
        if !tenant.is_member() && self.customers >= limits.connections as usize {
            let ended = self.end_most_idle(|of| !of.is_member(), "limits.connections", limits.connections);
            return ended.or_else(|refused| self.end_one_of_most(of_tenant).ok_or(refused));
        }
        Ok(())
    }

    fn end_most_idle(
        &mut self,
        of: impl Fn(Tenant) -> bool,
        limit_name: &'static str,
        limit: u32,
    ) -> Result<(), Refused> {
        let candidates = self.by_tenant.iter().filter(|(tenant, _)| of(**tenant));
        let idle = candidates.flat_map(|(tenant, entries)| {
            entries.iter().filter_map(|(number, entry)| Some((entry.activity.idle_for()?, *tenant, *number)))
        });
        let (_, tenant, number) =
            idle.max_by_key(|(idle_for, ..)| *idle_for).ok_or(Refused::TooMany { limit_name, limit })?;
        if let Some(entry) = self.remove(tenant, number) {
            entry.gives_way.cancel();
        }
        Ok(())
    }

    /// Ends the oldest connection of the address with the most, if it has more than `of_newcomer` and one.
    fn end_one_of_most(&mut self, of_newcomer: usize) -> Option<()> {
        let of_customers = self.by_tenant.iter().filter(|(tenant, _)| !tenant.is_member());
        let (tenant, entries) = of_customers.max_by_key(|(_, entries)| entries.len())?;
        let (tenant, oldest) = (*tenant, *entries.keys().min().filter(|_| entries.len() > of_newcomer + 1)?);
        self.remove(tenant, oldest)?.gives_way.cancel();
        Some(())
    }

    fn remove(&mut self, tenant: Tenant, number: u64) -> Option<Entry> {
        let entries = self.by_tenant.get_mut(&tenant)?;
        let entry = entries.remove(&number)?;
        if entries.is_empty() {
            self.by_tenant.remove(&tenant);
        }
        self.customers -= usize::from(!tenant.is_member());
        Some(entry)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut table = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        // It is already gone if the connection had to give way.
        drop(table.remove(self.tenant, self.number));
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
        let ended = [&other, &first, &second, &third].map(|permit| permit.gives_way.is_cancelled());
        assert_eq!(ended, [false, true, false, false]);
        assert_eq!(connections.count(), (3, 0), "one that gives way is counted no more");
        drop((other, first, second, third));
        assert_eq!(connections.count(), (0, 0));
        assert_eq!(connections.budget.used_bytes(), 0);
    }

    #[test]
    fn members_connect_when_customers_have_used_up_their_limit() {
        let limits = Limits { connections: 3, connections_per_member: 4, ..Limits::default() };
        let connections = connections(limits);
        let customers: Vec<ConnectionPermit> = (0..3).map(|last| connections.enter(&customer(last)).unwrap()).collect();
        let members: Vec<ConnectionPermit> = (0..4).map(|_| connections.enter(&member(1)).unwrap()).collect();
        let another = connections.enter(&member(2)).unwrap();
        assert_eq!(connections.count(), (3, 5));
        assert!(customers.iter().chain(&members).chain([&another]).all(|permit| !permit.gives_way.is_cancelled()));
        let fifth = connections.enter(&member(1)).unwrap();
        assert!(members.iter().any(|permit| permit.gives_way.is_cancelled()));
        drop(fifth);
    }

    #[test]
    fn a_few_addresses_whose_connections_are_all_busy_keep_no_other_out() {
        let limits = Limits { connections: 6, connections_per_address: 4, ..Limits::default() };
        let connections = connections(limits);
        let busy = |last| {
            let permit = connections.enter(&customer(last))?;
            let request = permit.activity.open_request();
            Ok::<_, Refused>((permit, request))
        };
        let first: Vec<_> = (0..4).map(|_| busy(1).unwrap()).collect();
        let second: Vec<_> = (0..2).map(|_| busy(2).unwrap()).collect();
        let third = busy(3).unwrap();
        let ended: Vec<bool> = first.iter().chain(&second).map(|(permit, _)| permit.gives_way.is_cancelled()).collect();
        assert_eq!(ended, [true, false, false, false, false, false]);
        // An address that has as many as the others gets no more.
        let again = busy(3).unwrap();
        assert!(matches!(busy(3), Err(Refused::TooMany { limit: 6, .. })));
        drop((first, second, third, again));
        assert_eq!(connections.count(), (0, 0));
    }

    #[test]
    fn whoever_has_taken_the_memory_gets_no_further_connection() {
        let limits = Limits { memory_mib: 32, ..Limits::default() };
        let connections = connections(limits);
        let peer = customer(1);
        let taken = connections.budget.share(Tenant::of(&peer)).take(8 * 1024 * 1024).unwrap();
        assert!(matches!(connections.enter(&peer), Err(Refused::Memory(_))));
        assert!(connections.enter(&customer(2)).is_ok());
        drop(taken);
        assert!(connections.enter(&peer).is_ok());
    }
}
