//! Ports of a network's nodes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use cbdc_client::NodeName;

use super::error::NetworkError;
use super::spec::Ports;

/// Offset of a node's metrics port above its gRPC port.
const METRICS_ABOVE: u16 = 100;

/// The addresses of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NodePorts {
    pub listen: SocketAddr,
    pub metrics: SocketAddr,
}

/// Ports of `nodes` nodes, the central bank's first.
pub(super) fn choose(ports: Ports, nodes: u16) -> Result<Vec<NodePorts>, NetworkError> {
    match ports {
        Ports::From(base) => Ok((0..nodes)
            .map(|node| NodePorts { listen: loopback(base + node), metrics: loopback(base + METRICS_ABOVE + node) })
            .collect()),
        Ports::Free => free(usize::from(nodes)).map_err(NetworkError::Ports),
    }
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

/// Fails if a node's port is taken, before anything starts.
pub(super) fn check_port(node: NodeName, address: &str) -> Result<(), NetworkError> {
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
        let ports = choose(Ports::Free, 30).unwrap();
        let distinct: BTreeSet<u16> = ports.iter().flat_map(|node| [node.listen.port(), node.metrics.port()]).collect();
        assert_eq!((ports.len(), distinct.len()), (30, 60));
    }

    #[test]
    fn banks_follow_the_central_bank_and_metrics_lie_a_hundred_above() {
        let ports = choose(Ports::From(7000), 4).unwrap();
        assert_eq!((ports[0].listen.port(), ports[3].listen.port(), ports[3].metrics.port()), (7000, 7003, 7103));
    }
}
