//! Handshakes in flight: connections that have not identified themselves yet.
//!
//! Anybody can open a connection and say nothing. So each has a deadline, and where there are too many, of one address
//! or of all, the oldest gives way to the newest: an honest handshake takes milliseconds, and is admitted however
//! many silent connections there are.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// Handshakes of all addresses that may be in flight at once.
const HANDSHAKES_MAX: usize = 1_024;
/// Handshakes of one address that may be in flight at once.
const HANDSHAKES_PER_ADDRESS_MAX: usize = 128;

/// The part of an address that identifies one customer: an IPv4 address, or an IPv6 network of 64 bits.
pub fn customers_address(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// The handshakes in flight.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshakes(Arc<Mutex<InFlight>>);

#[derive(Debug, Default)]
struct InFlight {
    /// The handshakes by address, oldest first.
    by_address: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
    count: usize,
    next: u64,
}

/// The right to one handshake in flight; dropping it gives the right back.
#[derive(Debug)]
pub(super) struct HandshakePermit {
    handshakes: Handshakes,
    address: IpAddr,
    number: u64,
    /// Cancelled when the handshake has to give way.
    pub gives_way: CancellationToken,
}

impl Handshakes {
    /// Admits one more handshake.
    pub fn enter(&self, address: SocketAddr) -> HandshakePermit {
        let address = customers_address(address);
        let gives_way = CancellationToken::new();
        let mut in_flight = self.lock();
        let of_address = in_flight.by_address.get(&address).map_or(0, BTreeMap::len);
        if of_address >= HANDSHAKES_PER_ADDRESS_MAX {
            in_flight.end_oldest_of(address);
        } else if in_flight.count >= HANDSHAKES_MAX {
            let oldest =
                in_flight.by_address.iter().min_by_key(|(_, numbers)| numbers.first_key_value().map(|(n, _)| *n));
            if let Some(address) = oldest.map(|(address, _)| *address) {
                in_flight.end_oldest_of(address);
            }
        }
        let number = in_flight.next;
        in_flight.next += 1;
        in_flight.count += 1;
        in_flight.by_address.entry(address).or_default().insert(number, gives_way.clone());
        drop(in_flight);
        HandshakePermit { handshakes: self.clone(), address, number, gives_way }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, InFlight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight {
    fn end_oldest_of(&mut self, address: IpAddr) {
        let oldest = self.by_address.get(&address).and_then(|numbers| numbers.first_key_value());
        if let Some((number, gives_way)) = oldest.map(|(number, token)| (*number, token.clone())) {
            gives_way.cancel();
            self.remove(address, number);
        }
    }

    fn remove(&mut self, address: IpAddr, number: u64) {
        let Some(numbers) = self.by_address.get_mut(&address) else { return };
        self.count -= usize::from(numbers.remove(&number).is_some());
        if numbers.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        self.handshakes.lock().remove(self.address, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u32) -> SocketAddr {
        SocketAddr::from(((0x0a00_0000 + last).to_be_bytes(), 9))
    }

    #[test]
    fn an_address_that_is_silent_too_often_ends_its_own_oldest_and_nobody_elses() {
        let handshakes = Handshakes::default();
        let other = handshakes.enter(address(2));
        let silent: Vec<HandshakePermit> =
            (0..=HANDSHAKES_PER_ADDRESS_MAX).map(|_| handshakes.enter(address(1))).collect();
        let ended: Vec<bool> = silent.iter().map(|permit| permit.gives_way.is_cancelled()).collect();
        assert!(ended[0] && !ended[1..].contains(&true) && !other.gives_way.is_cancelled());
        assert_eq!(handshakes.lock().count, HANDSHAKES_PER_ADDRESS_MAX + 1);
    }

    #[test]
    fn at_the_limit_the_oldest_gives_way_to_the_newest() {
        let handshakes = Handshakes::default();
        let silent: Vec<HandshakePermit> =
            (0..HANDSHAKES_MAX as u32).map(|last| handshakes.enter(address(last))).collect();
        let honest = handshakes.enter(address(u32::from(u16::MAX)));
        assert!(silent[0].gives_way.is_cancelled() && !silent[1].gives_way.is_cancelled());
        assert!(!honest.gives_way.is_cancelled());
        drop((silent, honest));
        let in_flight = handshakes.lock();
        assert_eq!((in_flight.count, in_flight.by_address.len()), (0, 0));
    }

    #[test]
    fn an_ipv6_customer_is_a_network_and_a_mapped_ipv4_address_is_itself() {
        let of = |text: &str| customers_address(text.parse().unwrap());
        assert_eq!(of("[2001:db8:1:2:3:4:5:6]:1"), of("[2001:db8:1:2:ffff::1]:2"));
        assert_ne!(of("[2001:db8:1:2::1]:1"), of("[2001:db8:1:3::1]:1"));
        assert_eq!(of("[::ffff:10.0.0.1]:1"), of("10.0.0.1:7"));
    }
}
