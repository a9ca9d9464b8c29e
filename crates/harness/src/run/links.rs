//! The links between nodes, which a scenario may cut or slow: a TCP proxy in front of each node of the central bank.
//!
//! 1. The network's configurations name the proxies' addresses: each of the central bank's nodes, and each bank,
//!    reaches a node of the central bank through the proxy before it. Customers and the run itself reach every node
//!    directly.
//! 2. Who calls is read from the kernel: the process among the network's nodes that owns the other end of the
//!    connection. So a link is known by both its ends, and each way is ruled by itself.
//! 3. A way that is cut is frozen: nothing is passed on and nothing is closed, as on a broken line. What was sent stays
//!    on the way and arrives when the way is open again.
//! 4. A slow way passes each chunk on after its delay, at no more than its rate.
//! 5. A lossy way holds up a chunk now and then, by 200 to 400 ms, and all behind it: that is what a lost segment does
//!    to a TCP connection, which waits for its retransmission and delivers in order. Segments themselves cannot be lost
//!    in a proxy.
//!
//! The proxies run in this process, so their CPU time counts as the load generator's.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use cbdc_client::{NetworkFolder, NodeName};
use cbdc_devnet::free_address;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::scenario::Direction;

/// What is read and passed on at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// The chunks of a connection that may be on the way; further ones stay with their sender.
const CHUNKS_ON_THE_WAY: usize = 256;

/// The time after which a lost segment arrives, ms: Linux sends again after 200 ms at the least, and twice that the
/// second time.
const RETRANSMITTED_AFTER_MS: (u64, u64) = (200, 400);

/// The rules of all links.
#[derive(Debug, Default)]
struct Rules {
    cuts: Vec<(BTreeSet<NodeName>, Direction)>,
    slow: Vec<(BTreeSet<NodeName>, Pace)>,
}

/// The pace of a slow link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    pub delay: Duration,
    /// 0 for any.
    pub bytes_per_s: u64,
    /// The share of chunks that are held up as if a segment had been lost, in millionths.
    pub loss_ppm: u32,
}

impl Pace {
    /// The delay of one chunk; `random` is any number of 64 bits.
    fn delay_of_chunk(&self, random: u64) -> Duration {
        let (draw, late) = (random % 1_000_000, random / 1_000_000);
        let (min, max) = RETRANSMITTED_AFTER_MS;
        let is_lost = draw < u64::from(self.loss_ppm);
        self.delay + Duration::from_millis(if is_lost { min + late % (max - min + 1) } else { 0 })
    }
}

/// One way of a link.
#[derive(Debug, Clone, Copy)]
struct Way {
    from: NodeName,
    to: NodeName,
}

impl Way {
    fn back(self) -> Way {
        Way { from: self.to, to: self.from }
    }
}

impl Rules {
    fn is_cut(&self, way: Way) -> bool {
        self.cuts.iter().any(|(nodes, direction)| {
            let leaves = nodes.contains(&way.from) && !nodes.contains(&way.to);
            let enters = nodes.contains(&way.to) && !nodes.contains(&way.from);
            match direction {
                Direction::Both => leaves || enters,
                Direction::In => enters,
                Direction::Out => leaves,
            }
        })
    }

    fn pace(&self, way: Way) -> Pace {
        let crosses = |nodes: &BTreeSet<NodeName>| nodes.contains(&way.from) != nodes.contains(&way.to);
        // The newest rule that concerns the way.
        self.slow.iter().rev().find(|(nodes, _)| crosses(nodes)).map(|(_, pace)| *pace).unwrap_or_default()
    }
}

/// The links of a network. Dropping it ends the proxies.
pub struct Links {
    rules: watch::Sender<Rules>,
    listeners: Vec<(SocketAddr, TcpListener)>,
    proxies: JoinSet<()>,
}

impl Links {
    /// Listens at a free address for each node of the central bank.
    pub async fn listen(central_banks: u32) -> Result<Links> {
        let mut listeners = Vec::new();
        for _ in 0..central_banks {
            let address = free_address().context("no free port for a proxy")?;
            let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
            listeners.push((address, listener));
        }
        Ok(Links { rules: watch::Sender::default(), listeners, proxies: JoinSet::new() })
    }

    /// The proxies' addresses, in the order of the nodes.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Passes on to the nodes of the network from now on.
    pub fn serve(&mut self, network: &NetworkFolder) -> Result<()> {
        let nodes: Vec<(NodeName, PathBuf)> = network.nodes().map(|node| (node, network.config_path(node))).collect();
        for (node, (at, listener)) in network.central_banks().zip(std::mem::take(&mut self.listeners)) {
            let proxy = Proxy { node, address: network.address(node)?.to_owned(), at, nodes: nodes.clone() };
            self.proxies.spawn(proxy.serve(listener, self.rules.clone()));
        }
        Ok(())
    }

    /// Cuts these nodes off from all others.
    pub fn cut(&self, nodes: BTreeSet<NodeName>, direction: Direction) {
        self.rules.send_modify(|rules| rules.cuts.push((nodes, direction)));
    }

    /// Slows the links between these nodes and all others.
    pub fn slow(&self, nodes: BTreeSet<NodeName>, pace: Pace) {
        self.rules.send_modify(|rules| rules.slow.push((nodes, pace)));
    }

    /// Opens every way again, at full speed.
    pub fn heal(&self) {
        self.rules.send_replace(Rules::default());
    }
}

/// The proxy before one node.
struct Proxy {
    node: NodeName,
    /// Where the node listens.
    address: String,
    /// Where the proxy does.
    at: SocketAddr,
    /// All nodes, with the configurations that their processes were started with.
    nodes: Vec<(NodeName, PathBuf)>,
}

impl Proxy {
    async fn serve(self, listener: TcpListener, rules: watch::Sender<Rules>) {
        let proxy = std::sync::Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            let Ok((caller, peer)) = listener.accept().await else { continue };
            let (proxy, rules) = (proxy.clone(), rules.subscribe());
            connections.spawn(async move { proxy.pass_on(caller, peer, rules).await });
            while connections.try_join_next().is_some() {}
        }
    }

    async fn pass_on(
        self: std::sync::Arc<Self>,
        caller: TcpStream,
        peer: SocketAddr,
        mut rules: watch::Receiver<Rules>,
    ) {
        let finder = self.clone();
        let found = tokio::task::spawn_blocking(move || caller_of(peer, finder.at, &finder.nodes)).await;
        // A caller that is no node is not on a link of the network's.
        let way = found.ok().flatten().map(|from| Way { from, to: self.node });
        let is_open = |rules: &Rules| way.is_none_or(|way| !rules.is_cut(way) && !rules.is_cut(way.back()));
        if rules.wait_for(is_open).await.is_err() {
            return;
        }
        let Ok(node) = TcpStream::connect(&self.address).await else { return };
        caller.set_nodelay(true).ok();
        node.set_nodelay(true).ok();
        let ((from_caller, to_caller), (from_node, to_node)) = (caller.into_split(), node.into_split());
        // A connection that has ended on one side is of no use on the other.
        tokio::select! {
            () = relay(from_caller, to_node, way, rules.clone()) => {}
            () = relay(from_node, to_caller, way.map(Way::back), rules) => {}
        }
    }
}

/// Passes bytes on, under the rules of the way, until either end closes.
async fn relay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Option<Way>,
    mut rules: watch::Receiver<Rules>,
) {
    let (on_the_way, mut arrivals) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_ON_THE_WAY);
    let paces = rules.clone();
    let read = async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(length @ 1..) = from.read(&mut chunk).await {
            let delay = way.map_or(Duration::ZERO, |way| paces.borrow().pace(way).delay_of_chunk(random()));
            if on_the_way.send((Instant::now() + delay, chunk[..length].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async {
        let is_open = |rules: &Rules| way.is_none_or(|way| !rules.is_cut(way));
        while let Some((due, chunk)) = arrivals.recv().await {
            sleep_until(due).await;
            if rules.wait_for(is_open).await.is_err() {
                return;
            }
            let rate = way.map_or(0, |way| rules.borrow().pace(way).bytes_per_s);
            if rate > 0 {
                sleep(Duration::from_secs_f64(chunk.len() as f64 / rate as f64)).await;
            }
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        // That the other end is gone cannot be seen across a cut either.
        rules.wait_for(is_open).await.ok();
    };
    tokio::pin!(read, write);
    // The end of writing ends the connection. The end of reading does once what is on the way has arrived.
    tokio::select! {
        () = &mut write => {}
        () = &mut read => write.await,
    }
}

/// A number of 64 bits for the times of losses, which no plan needs to repeat.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The node whose process owns the end `peer` of a connection to `at`. Processes are known by the configuration that
/// they were started with.
fn caller_of(peer: SocketAddr, at: SocketAddr, nodes: &[(NodeName, PathBuf)]) -> Option<NodeName> {
    let inode = inode_of(&fs::read_to_string("/proc/net/tcp").ok()?, peer, at)?;
    let socket = format!("socket:[{inode}]");
    let processes =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    processes.filter_map(|process| Some((process, node_of(process, nodes)?))).find_map(|(process, node)| {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?;
        let is_it = |entry: std::io::Result<fs::DirEntry>| {
            entry.ok().and_then(|entry| fs::read_link(entry.path()).ok()).is_some_and(|link| link == Path::new(&socket))
        };
        descriptors.into_iter().any(is_it).then_some(node)
    })
}

/// The node that a process runs, by its command line.
fn node_of(process: u32, nodes: &[(NodeName, PathBuf)]) -> Option<NodeName> {
    let line = fs::read(format!("/proc/{process}/cmdline")).ok()?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let config = words.windows(2).find(|pair| pair[0] == b"--config")?[1];
    let is_its = |(_, path): &&(NodeName, PathBuf)| path.as_os_str().as_encoded_bytes() == config;
    nodes.iter().find(is_its).map(|(node, _)| *node)
}

/// The inode of the socket at the end `local` of a connection to `remote`, in the table of `/proc/net/tcp`.
fn inode_of(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let (local, remote) = (as_in_table(local)?, as_in_table(remote)?);
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1..3)? == [local.as_str(), remote.as_str()]).then(|| fields.get(9)?.parse().ok())?
    })
}

/// An address in the form of `/proc/net/tcp`: the bytes of the address as a number of this machine.
fn as_in_table(address: SocketAddr) -> Option<String> {
    match address {
        SocketAddr::V4(v4) => Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port())),
        SocketAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use cbdc_client::{BankId, MemberId};

    use super::*;

    fn central_bank(number: u16) -> NodeName {
        NodeName::CentralBank(MemberId(number))
    }

    fn way(from: NodeName, to: NodeName) -> Way {
        Way { from, to }
    }

    #[test]
    fn a_partition_cuts_between_its_sides_and_not_within_them() {
        let (one, two, three, bank) = (central_bank(1), central_bank(2), central_bank(3), NodeName::Bank(BankId(1)));
        let mut rules = Rules::default();
        assert!(!rules.is_cut(way(one, two)));
        rules.cuts.push(([one, bank].into(), Direction::Both));
        assert!(rules.is_cut(way(one, two)) && rules.is_cut(way(two, one)) && rules.is_cut(way(bank, three)));
        assert!(!rules.is_cut(way(bank, one)) && !rules.is_cut(way(two, three)));
    }

    #[test]
    fn a_one_way_cut_leaves_the_other_way() {
        let (one, two) = (central_bank(1), central_bank(2));
        let cut = |direction| Rules { cuts: vec![([one].into(), direction)], slow: Vec::new() };
        let ways = |rules: Rules| (rules.is_cut(way(two, one)), rules.is_cut(way(one, two)));
        assert_eq!(ways(cut(Direction::In)), (true, false));
        assert_eq!(ways(cut(Direction::Out)), (false, true));
    }

    #[test]
    fn the_newest_pace_of_a_link_counts() {
        let (one, two, three) = (central_bank(1), central_bank(2), central_bank(3));
        let pace = |ms| Pace { delay: Duration::from_millis(ms), ..Pace::default() };
        let rules = Rules { cuts: Vec::new(), slow: vec![([one].into(), pace(50)), ([two].into(), pace(9))] };
        assert_eq!(rules.pace(way(one, two)), pace(9));
        assert_eq!(rules.pace(way(three, one)), pace(50));
        assert_eq!(rules.pace(way(three, three)), Pace::default());
    }

    #[test]
    fn a_lost_chunk_is_late_and_the_others_are_not() {
        let pace = Pace { delay: Duration::from_millis(5), loss_ppm: 200_000, ..Pace::default() };
        let delays: Vec<u64> = (0..10_000).map(|_| pace.delay_of_chunk(random()).as_millis() as u64).collect();
        let late: Vec<u64> = delays.iter().copied().filter(|delay| *delay != 5).collect();
        assert!((1_500..2_500).contains(&late.len()), "{} of 10,000 chunks are late", late.len());
        assert!(late.iter().all(|delay| (205..=405).contains(delay)), "{late:?}");
        assert_eq!(Pace::default().delay_of_chunk(random()), Duration::ZERO);
    }

    #[test]
    fn a_socket_is_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:9C40 0100007F:1B58 01 00000000:00000000 02:0000 00000000     0        0 4711 2 0000\n";
        let [local, remote] = ["127.0.0.1:40000", "127.0.0.1:7000"].map(|address| address.parse().unwrap());
        assert_eq!(inode_of(table, local, remote), Some(4711));
        assert_eq!(inode_of(table, remote, local), None);
    }

    /// A process that connects to an address given on its command line, as a node would with its configuration.
    #[tokio::test]
    async fn a_node_is_told_from_others_by_the_process_that_calls() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}; read -r line <&3", at.port());
        let config = PathBuf::from("/net/central-bank-2/config.toml");
        let mut child = tokio::process::Command::new("bash")
            .args(["-c", &script, "--config"])
            .arg(&config)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (_stream, peer) = listener.accept().await.unwrap();
        let nodes = [(central_bank(1), PathBuf::from("/net/central-bank-1/config.toml")), (central_bank(2), config)];
        assert_eq!(caller_of(peer, at, &nodes), Some(central_bank(2)));
        let own = TcpStream::connect(at).await.unwrap();
        assert_eq!(caller_of(own.local_addr().unwrap(), at, &nodes), None, "this process runs no node");
        child.kill().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_sent_across_a_cut_arrives_when_it_is_healed() {
        let rules = watch::Sender::<Rules>::default();
        let (one, two) = (central_bank(1), central_bank(2));
        let (mut sender, from) = tokio::io::duplex(1_024);
        let (to, mut receiver) = tokio::io::duplex(1_024);
        let relaying = tokio::spawn(relay(from, to, Some(way(one, two)), rules.subscribe()));
        let mut received = [0; 5];
        sender.write_all(b"first").await.unwrap();
        receiver.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"first");

        rules.send_modify(|rules| rules.cuts.push(([two].into(), Direction::Both)));
        sender.write_all(b"later").await.unwrap();
        drop(sender);
        let early = tokio::time::timeout(Duration::from_millis(50), receiver.read(&mut received)).await;
        assert!(early.is_err(), "neither bytes nor an end come through");
        rules.send_replace(Rules::default());
        receiver.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"later");
        relaying.await.unwrap();
        assert_eq!(receiver.read(&mut received).await.unwrap(), 0, "the end follows");
    }
}
