//! Ports of a network's nodes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use cbdc_client::NodeName;

use super::error::NetworkError;
use super::network::Network;
use super::spec::Ports;

/// Offset of a node's metrics port above its gRPC port.
const METRICS_ABOVE: u16 = 100;

/// The addresses of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NodePorts {
    pub listen: SocketAddr,
    pub metrics: SocketAddr,
}

/// Offset of the gRPC ports of the central bank's second node and those after it, without their number: above those of
/// all banks and their metrics.
const FURTHER_CENTRAL_BANKS_ABOVE: u16 = 200;

/// The ports of all nodes.
pub(super) struct NetworkPorts {
    /// In order, from the central bank's node 1.
    pub central_banks: Vec<NodePorts>,
    /// In order, from bank 1.
    pub banks: Vec<NodePorts>,
}

/// Chooses the ports of a network with so many nodes of the central bank and so many banks.
pub(super) fn choose(ports: Ports, central_banks: u16, banks: u16) -> Result<NetworkPorts, NetworkError> {
    match ports {
        Ports::From(base) => {
            let at = |offset: u16| NodePorts {
                listen: loopback(base + offset),
                metrics: loopback(base + offset + METRICS_ABOVE),
            };
            let central_banks = (1..=central_banks).map(|node| at(central_bank_offset(node))).collect();
            Ok(NetworkPorts { central_banks, banks: (1..=banks).map(at).collect() })
        }
        Ports::Free => {
            let free = |count| free(usize::from(count)).map_err(NetworkError::Ports);
            Ok(NetworkPorts { central_banks: free(central_banks)?, banks: free(banks)? })
        }
    }
}

fn central_bank_offset(node: u16) -> u16 {
    if node == 1 { 0 } else { FURTHER_CENTRAL_BANKS_ABOVE + node }
}

/// The offset of the highest port above the base.
pub(super) fn highest_above_base(central_banks: u16, banks: u16) -> u16 {
    METRICS_ABOVE + banks.max(central_bank_offset(central_banks))
}

/// Ports below the range of ephemeral ports, so that no outgoing connection occupies one.
const FREE_FROM: u16 = 20_000;
const FREE_COUNT: u16 = 12_000;

fn free(nodes: usize) -> std::io::Result<Vec<NodePorts>> {
    (0..nodes).map(|_| Ok(NodePorts { listen: free_address()?, metrics: free_address()? })).collect()
}

/// A free address on loopback, given out once by this process, which begins at its own offset. Another program might
/// take it before it is listened on; whoever listens then reports it.
///
/// # Errors
/// No port of the range is free.
pub fn free_address() -> std::io::Result<SocketAddr> {
    static GIVEN_OUT: AtomicU32 = AtomicU32::new(0);
    let own_offset = std::process::id().wrapping_mul(7_919);
    for _ in 0..FREE_COUNT {
        let offset = own_offset.wrapping_add(GIVEN_OUT.fetch_add(1, Ordering::Relaxed)) % u32::from(FREE_COUNT);
        let address = loopback(FREE_FROM + offset as u16);
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(std::io::Error::other(format!("expected a free port from {FREE_FROM} to {}", FREE_FROM + FREE_COUNT - 1)))
}

/// Fails if a node runs already, or its port is taken, before anything starts.
pub(super) fn check_can_start(network: &Network) -> Result<(), NetworkError> {
    for node in network.nodes() {
        let data = network.data_dir(node)?;
        if cbdc_storage::is_locked(&data) {
            return Err(NetworkError::RunsAlready { node, pid: cbdc_storage::locked_by(&data), data });
        }
    }
    network.nodes().try_for_each(|node| check_port(node, network.address(node)?))
}

fn check_port(node: NodeName, address: &str) -> Result<(), NetworkError> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => Err(NetworkError::PortTaken { node, address: address.to_owned(), reason: error.to_string() }),
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn free_ports_are_all_different() {
        let ports = choose(Ports::Free, 3, 27).unwrap();
        assert_eq!((ports.central_banks.len(), ports.banks.len(), all(&ports).len()), (3, 27, 60));
    }

    #[test]
    fn banks_follow_the_central_bank_and_metrics_lie_a_hundred_above() {
        let ports = choose(Ports::From(7000), 1, 3).unwrap();
        let (central_bank, last) = (ports.central_banks[0], ports.banks[2]);
        assert_eq!((central_bank.listen.port(), last.listen.port(), last.metrics.port()), (7000, 7003, 7103));
        assert_eq!(all(&ports).last(), Some(&(7000 + highest_above_base(1, 3))));
    }

    #[test]
    fn further_nodes_of_the_central_bank_collide_with_nothing() {
        let ports = choose(Ports::From(7000), 7, 99).unwrap();
        let found: Vec<u16> = ports.central_banks[..3].iter().map(|node| node.listen.port()).collect();
        assert_eq!((found, ports.central_banks[2].metrics.port()), (vec![7000, 7202, 7203], 7303));
        assert_eq!(all(&ports).len(), 2 * (7 + 99));
        assert_eq!(all(&ports).last(), Some(&(7000 + highest_above_base(7, 99))));
    }

    fn all(ports: &NetworkPorts) -> BTreeSet<u16> {
        let nodes = ports.central_banks.iter().chain(&ports.banks);
        nodes.flat_map(|node| [node.listen.port(), node.metrics.port()]).collect()
    }
}
