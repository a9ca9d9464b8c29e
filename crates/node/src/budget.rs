//! The memory budget of a node: the memory of connections, unfinished messages, requests in work and unread answers.
//!
//! 1. There is one [`Budget`] per node ([`Limits::memory_mib`]). Customers may use three quarters of it, so that
//!    members always find memory.
//! 2. Each tenant, a member or a customers' address, has a [`Share`] of it that it cannot pass: a quarter. So a few
//!    addresses can use all of the customers' part. Others still find memory for a connection and a few calls
//!    ([`SMALL_BYTES`]): together they may use another eighth.
//! 3. Code that needs memory for a tenant takes a [`Charge`] first, which gives it back when it is dropped. If there is
//!    not enough, the request is refused with RESOURCE_EXHAUSTED, and the status names the limit.
//! 4. Answers are counted without being refused: each is bounded by the charge of its call, and by its window while it
//!    is not read.
//!
//! [`Share::current`] is the share of the current request, for handlers that keep more than their call was charged.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use cbdc_ledger::PublicKey;
use cbdc_proto::status::exhausted;
use cbdc_proto::transport::Peer;
use cbdc_proto::transport::handshakes::customers_address;
use tokio::sync::Semaphore;
use tonic::Status;

use crate::limits::Limits;
use crate::source_standing::{SourceStanding, Standings};

/// Look-ups of one tenant that may run, or be next to run, at once.
const LOOK_UPS_PER_TENANT: usize = 2;
/// An address that uses no more than this finds memory even if others have used up the customers' part.
pub const SMALL_BYTES: usize = 2 * 1024 * 1024;

/// A user of the node's memory, look-ups and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tenant {
    /// A member, by its node key.
    Member(PublicKey),
    /// Customers, by their address.
    Customers(IpAddr),
    /// A customer whose address is not known.
    Unknown,
}

impl Tenant {
    /// The tenant of a connection.
    pub fn of(peer: &Peer) -> Tenant {
        match (peer.node_key, peer.address) {
            (Some(key), _) => Tenant::Member(key),
            (None, Some(address)) => Tenant::Customers(customers_address(address)),
            (None, None) => Tenant::Unknown,
        }
    }

    /// Whether it is a member.
    pub fn is_member(&self) -> bool {
        matches!(self, Tenant::Member(_))
    }
}

/// The memory budget of a node. Clones share it.
#[derive(Clone)]
pub struct Budget(Arc<Node>);

struct Node {
    all: Counter,
    customers: Counter,
    /// The part of the customers' memory that addresses with little use may take.
    customers_bytes_with_small: usize,
    share_bytes: usize,
    shares: Mutex<HashMap<Tenant, Weak<ShareInner>>>,
    standings: Standings,
}

/// One tenant's share of the budget. Clones share it.
#[derive(Clone)]
pub struct Share(Arc<ShareInner>);

struct ShareInner {
    node: Arc<Node>,
    tenant: Tenant,
    used: Counter,
    look_ups: Arc<Semaphore>,
    standing: Arc<SourceStanding>,
}

/// A number of bytes taken; given back when this is dropped.
pub struct Charge {
    share: Share,
    bytes: usize,
}

/// The error of exceeding a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{limit_name} is {limit} bytes, and this would make it {amount}")]
pub struct Exceeded {
    /// The limit's name in the documentation.
    pub limit_name: &'static str,
    /// The limit, bytes.
    pub limit: usize,
    /// The amount that would be taken, bytes.
    pub amount: usize,
}

impl From<Exceeded> for Status {
    fn from(exceeded: Exceeded) -> Status {
        exhausted(exceeded.limit_name, exceeded.limit as u64, exceeded.amount as u64, true)
    }
}

struct Counter {
    limit_name: &'static str,
    limit: usize,
    used: AtomicUsize,
}

impl Counter {
    fn new(limit_name: &'static str, limit: usize) -> Counter {
        Counter { limit_name, limit, used: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize, limit: usize) -> Result<(), Exceeded> {
        let amount = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if amount <= limit {
            return Ok(());
        }
        self.give_back(bytes);
        Err(Exceeded { limit_name: self.limit_name, limit, amount })
    }

    fn take_anyway(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Budget {
    /// The budget set by a node's limits.
    pub fn new(limits: &Limits) -> Budget {
        Budget(Arc::new(Node {
            all: Counter::new("limits.memory_mib", limits.memory_bytes()),
            customers: Counter::new("customers' part of limits.memory_mib", limits.customers_bytes()),
            customers_bytes_with_small: limits.customers_bytes_with_small(),
            share_bytes: limits.share_bytes(),
            shares: Mutex::default(),
            standings: Standings::default(),
        }))
    }

    /// Bytes that are taken now.
    pub fn used_bytes(&self) -> usize {
        self.0.all.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be taken.
    pub fn limit_bytes(&self) -> usize {
        self.0.all.limit
    }

    /// The share of a tenant, the same for all its connections.
    pub fn share(&self, tenant: Tenant) -> Share {
        let mut shares = self.0.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&tenant).and_then(Weak::upgrade) {
            return Share(share);
        }
        let limit_name = match tenant.is_member() {
            true => "a member's share of limits.memory_mib",
            false => "an address's share of limits.memory_mib",
        };
        let share = Arc::new(ShareInner {
            node: self.0.clone(),
            tenant,
            used: Counter::new(limit_name, self.0.share_bytes),
            look_ups: Arc::new(Semaphore::new(LOOK_UPS_PER_TENANT)),
            standing: self.0.standings.of(tenant),
        });
        shares.insert(tenant, Arc::downgrade(&share));
        Share(share)
    }
}

impl Drop for ShareInner {
    fn drop(&mut self) {
        let mut shares = self.node.shares.lock().unwrap_or_else(PoisonError::into_inner);
        // The tenant may have a new share already.
        if shares.get(&self.tenant).is_some_and(|share| share.strong_count() == 0) {
            shares.remove(&self.tenant);
        }
    }
}

tokio::task_local! {
    static CURRENT: Share;
}

impl Share {
    /// Runs a request on behalf of this share's tenant.
    pub async fn scope<F: Future>(self, request: F) -> F::Output {
        CURRENT.scope(self, request).await
    }

    /// Makes a piece of an answer on behalf of this share's tenant.
    pub fn enter<R>(self, piece: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self, piece)
    }

    /// The share of the request that this task serves; `None` outside of a handler and its answer.
    pub fn current() -> Option<Share> {
        CURRENT.try_with(Share::clone).ok()
    }

    /// The tenant whose share it is.
    pub fn tenant(&self) -> Tenant {
        self.0.tenant
    }

    /// Takes bytes, if there are enough.
    pub fn take(&self, bytes: usize) -> Result<Charge, Exceeded> {
        let mut charge = Charge { share: self.clone(), bytes: 0 };
        charge.set(bytes)?;
        Ok(charge)
    }

    /// Takes bytes for the request that this task serves, if there are enough; `None` outside of one.
    pub fn take_current(bytes: usize) -> Result<Option<Charge>, Exceeded> {
        Share::current().map(|share| share.take(bytes)).transpose()
    }

    /// Takes bytes for memory that is in use already.
    pub fn take_anyway(&self, bytes: usize) -> Charge {
        self.counters().for_each(|counter| counter.take_anyway(bytes));
        Charge { share: self.clone(), bytes }
    }

    /// Counts an answer's bytes until they have been sent.
    pub fn count(&self, bytes: Bytes) -> Bytes {
        let _charge = self.take_anyway(bytes.len());
        Bytes::from_owner(Counted { bytes, _charge })
    }

    /// The tenant's standing, which outlives its connections.
    pub fn standing(&self) -> Arc<SourceStanding> {
        self.0.standing.clone()
    }

    /// The queue in which this tenant's look-ups wait for each other.
    pub(crate) fn look_ups(&self) -> Arc<Semaphore> {
        self.0.look_ups.clone()
    }

    /// The tenant's own counter first: it is the one that fills up.
    fn counters(&self) -> impl Iterator<Item = &Counter> {
        let customers = (!self.0.tenant.is_member()).then_some(&self.0.node.customers);
        [&self.0.used].into_iter().chain(customers).chain([&self.0.node.all])
    }

    /// The limit of one of the counters for this tenant, which was charged at its own.
    fn limit(&self, counter: &Counter) -> usize {
        let is_small = self.0.used.used.load(Ordering::Relaxed) <= SMALL_BYTES;
        match std::ptr::eq(counter, &self.0.node.customers) {
            true if is_small => self.0.node.customers_bytes_with_small,
            _ => counter.limit,
        }
    }
}

struct Counted {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Charge {
    /// Takes more, or gives some back, so that the total is `bytes`. If there is not enough, the charge is unchanged.
    pub fn set(&mut self, bytes: usize) -> Result<(), Exceeded> {
        if bytes <= self.bytes {
            let less = self.bytes - bytes;
            self.share.counters().for_each(|counter| counter.give_back(less));
            self.bytes = bytes;
            return Ok(());
        }
        let more = bytes - self.bytes;
        for (at, counter) in self.share.counters().enumerate() {
            if let Err(exceeded) = counter.take(more, self.share.limit(counter)) {
                self.share.counters().take(at).for_each(|taken| taken.give_back(more));
                return Err(exceeded);
            }
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.share.counters().for_each(|counter| counter.give_back(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn budget() -> Budget {
        Budget::new(&Limits { memory_mib: 32, ..Limits::default() })
    }

    fn customers(last: u8) -> Tenant {
        Tenant::Customers([10, 0, 0, last].into())
    }

    #[test]
    fn no_source_takes_more_than_its_share_and_customers_leave_room_for_members() {
        let budget = budget();
        let shares: Vec<Share> = (0..4).map(|last| budget.share(customers(last))).collect();
        let charges: Vec<_> = shares.iter().map(|share| share.take(8 * MIB)).collect();
        let refused = charges[3].as_ref().err().unwrap();
        assert_eq!((refused.limit_name, refused.limit), ("customers' part of limits.memory_mib", 24 * MIB));
        // Addresses with little use still find memory, up to an eighth.
        let small: Vec<_> = (4..8).map(|last| budget.share(customers(last)).take(MIB).unwrap()).collect();
        let refused = budget.share(customers(8)).take(1).err().unwrap();
        assert_eq!((refused.limit_name, refused.limit), ("customers' part of limits.memory_mib", 28 * MIB));
        drop(small);
        let refused = budget.share(customers(0)).take(1).err().unwrap();
        assert_eq!((refused.limit_name, refused.limit), ("an address's share of limits.memory_mib", 8 * MIB));
        let member = budget.share(Tenant::Member(PublicKey([1; 32])));
        let of_member = member.take(8 * MIB).unwrap();
        assert_eq!(budget.used_bytes(), 32 * MIB);
        let other = budget.share(Tenant::Member(PublicKey([2; 32])));
        assert_eq!(other.take(1).err().unwrap().limit_name, "limits.memory_mib");
        drop((charges, of_member));
        assert_eq!(budget.used_bytes(), 0, "a refusal takes nothing, and all is given back");
    }

    #[test]
    fn a_charge_that_cannot_grow_stays_what_it_was() {
        let budget = budget();
        let share = budget.share(customers(1));
        let mut charge = share.take(6 * MIB).unwrap();
        charge.set(9 * MIB).unwrap_err();
        assert_eq!(budget.used_bytes(), 6 * MIB);
        charge.set(MIB).unwrap();
        assert_eq!(budget.used_bytes(), MIB);
        charge.set(8 * MIB).unwrap();
        drop(charge);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn an_answer_is_counted_until_its_last_piece_has_left() {
        let budget = budget();
        let mut answer = budget.share(customers(1)).count(Bytes::from(vec![7; MIB]));
        let head = answer.split_to(10);
        drop(answer);
        assert_eq!(budget.used_bytes(), MIB);
        assert_eq!(head, vec![7; 10]);
        drop(head);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_source_that_is_gone_leaves_nothing_behind() {
        let budget = budget();
        let (one, again) = (budget.share(customers(1)), budget.share(customers(1)));
        let charge = one.take(5).unwrap();
        assert_eq!(again.0.used.used.load(Ordering::Relaxed), 5, "both are one share");
        drop((one, again));
        assert_eq!(budget.0.shares.lock().unwrap().len(), 1);
        drop(charge);
        assert!(budget.0.shares.lock().unwrap().is_empty());
    }
}
