//! The simulated network: listeners, connections, and links that fail; and how long the hosts' disks take.
//!
//! It carries bytes as TCP does: in order, each once, or not at all. What a lossy network costs there is time, so loss,
//! duplication and reordering show as delay, and between two connections as another order. A link can be slow or cut,
//! in one direction or both; what was sent on a cut link arrives after it heals. A connection breaks when one of its
//! ends does, and the other end is told, unless the machine vanished without a word.
//!
//! Everything that is under way is in one queue, ordered by its time of arrival and then by when it was sent. A message
//! takes a tick at least, so hosts can run one after the other within a tick without seeing each other's future. What
//! an end writes within a tick is one message, as it is to a kernel that is not asked more often.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cbdc_environment::Simulation;
use cbdc_environment::network::{Connecting, SimulatedListener, SimulatedStream};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::hosts::TICK_NS;
use crate::machine;
use crate::trace::Trace;

/// A host's number.
pub type HostId = usize;

/// The bytes that may be under way in one direction of a connection.
const WINDOW_BYTES: usize = 4 << 20;
/// The longest time until something is sent again after a link heals, ns.
const RETRANSMIT_NS: u64 = 200_000_000;

/// The longest time that a healthy disk takes, ns.
const DISK_NS: u64 = 3_000_000;

/// How long a link takes, and whether it is cut.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The shortest and the longest time that a message takes, ns.
    pub latency_ns: (u64, u64),
    /// The share of messages that are sent again, a retransmission later.
    pub loss: f64,
    pub is_cut: bool,
}

impl Default for Link {
    fn default() -> Link {
        Link { latency_ns: (TICK_NS, 2 * TICK_NS), loss: 0.0, is_cut: false }
    }
}

/// One end of a connection: 0 connected, 1 accepted.
type Side = usize;

enum Arrival {
    /// A connection request.
    Request { connection: usize, address: SocketAddr },
    /// The request was answered: accepted or not.
    Answer { connection: usize, is_accepted: bool },
    /// The next of the messages sent to this end.
    Bytes { connection: usize, to: Side },
    /// No more bytes for this end.
    End { connection: usize, to: Side },
    /// This end is broken.
    Reset { connection: usize, to: Side },
}

/// Something under way.
struct UnderWay {
    at_ns: u64,
    number: u64,
    from: HostId,
    to: HostId,
    what: Arrival,
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &UnderWay) -> bool {
        self.number == other.number
    }
}

impl Eq for UnderWay {}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &UnderWay) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnderWay {
    fn cmp(&self, other: &UnderWay) -> std::cmp::Ordering {
        (self.at_ns, self.number).cmp(&(other.at_ns, other.number))
    }
}

/// What one end has received.
#[derive(Default)]
struct Received {
    bytes: VecDeque<u8>,
    has_ended: bool,
    is_reset: bool,
    reader: Option<Waker>,
    /// The other end's writer, waiting for room.
    writer: Option<Waker>,
    /// Messages under way to this end, the latest sent at `sent_at_ns`.
    sent: VecDeque<Vec<u8>>,
    sent_at_ns: u64,
    /// Bytes sent to this end that it has not read yet.
    unread: usize,
    /// The arrival of the last bytes sent to this end, ns: later ones come after it.
    last_at_ns: u64,
}

struct Connection {
    hosts: [HostId; 2],
    ends: [Received; 2],
    answer: Option<bool>,
    connecting: Option<Waker>,
    /// Ends that were dropped.
    dropped: [bool; 2],
    /// Bytes were sent to an end whose host had vanished: they are sent again until somebody answers.
    is_unanswered: [bool; 2],
}

struct Listening {
    host: HostId,
    number: u64,
    accepted: VecDeque<usize>,
    waker: Option<Waker>,
}

struct Inner {
    random: StdRng,
    trace: Trace,
    links: BTreeMap<(HostId, HostId), Link>,
    held: BTreeMap<(HostId, HostId), Vec<UnderWay>>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    number: u64,
    listening: BTreeMap<SocketAddr, Listening>,
    connections: BTreeMap<usize, Connection>,
    /// Hosts that are gone without a word: nobody is told of their connections.
    silent: Vec<HostId>,
    /// Hosts whose disks are slow, with the longest time that one takes, ns.
    slow_disks: BTreeMap<HostId, u64>,
}

/// The network. Clones share it.
#[derive(Clone)]
pub struct Network(Arc<Mutex<Inner>>);

impl Network {
    /// A network of healthy links.
    pub fn new(random: StdRng, trace: Trace) -> Network {
        Network(Arc::new(Mutex::new(Inner {
            random,
            trace,
            links: BTreeMap::new(),
            held: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            number: 0,
            listening: BTreeMap::new(),
            connections: BTreeMap::new(),
            silent: Vec::new(),
            slow_disks: BTreeMap::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets all links: those that are not named are healthy. What was held by a cut that is over arrives now.
    pub fn set_links(&self, links: BTreeMap<(HostId, HostId), Link>) {
        let mut inner = self.lock();
        inner.links = links;
        let is_open = |way: &(HostId, HostId)| inner.links.get(way).is_none_or(|link| !link.is_cut);
        let open: Vec<(HostId, HostId)> = inner.held.keys().copied().filter(is_open).collect();
        for (from, to) in open {
            inner.send_held(from, to);
        }
    }

    /// Sets the disks that are slow, with the longest time that one takes, ns.
    pub fn set_slow_disks(&self, slow: BTreeMap<HostId, u64>) {
        self.lock().slow_disks = slow;
    }

    /// Breaks every connection of a host that is about to end. The others are told, unless it vanishes `silently`.
    pub fn host_ends(&self, host: HostId, silently: bool) {
        let mut inner = self.lock();
        inner.listening.retain(|_, listening| listening.host != host);
        if silently {
            inner.silent.push(host);
            return;
        }
        let ends = |(number, connection): (&usize, &Connection)| {
            let own = connection.hosts.iter().position(|of| *of == host)?;
            Some((*number, own))
        };
        let broken: Vec<(usize, Side)> = inner.connections.iter().filter_map(ends).collect();
        for (number, own) in broken {
            inner.send(host, number, 1 - own, |connection, to| Arrival::Reset { connection, to });
        }
    }

    /// A host is there again: what was sent to its former connections in vain meets one that knows nothing of them.
    pub fn host_starts(&self, host: HostId) {
        let mut inner = self.lock();
        if !inner.silent.contains(&host) {
            return;
        }
        inner.silent.retain(|silent| *silent != host);
        let unanswered = |(number, connection): (&usize, &Connection)| {
            let own = connection.hosts.iter().position(|of| *of == host)?;
            (connection.dropped[own] && connection.is_unanswered[own]).then_some((*number, own))
        };
        let ends: Vec<(usize, Side)> = inner.connections.iter().filter_map(unanswered).collect();
        for (number, own) in ends {
            inner.send(host, number, 1 - own, |connection, to| Arrival::Reset { connection, to });
        }
    }

    /// Delivers what has arrived by now.
    pub fn deliver(&self) {
        let now = machine::now_ns();
        loop {
            let mut inner = self.lock();
            let due = inner.under_way.peek().is_some_and(|next| next.0.at_ns <= now);
            if !due {
                return;
            }
            let Some(Reverse(arrived)) = inner.under_way.pop() else { return };
            let link = inner.links.get(&(arrived.from, arrived.to)).copied().unwrap_or_default();
            if link.is_cut {
                inner.held.entry((arrived.from, arrived.to)).or_default().push(arrived);
                continue;
            }
            let woken = inner.arrive(arrived);
            drop(inner);
            // Without the lock: a waker may run code.
            woken.into_iter().for_each(Waker::wake);
        }
    }
}

impl Inner {
    fn latency(&mut self, from: HostId, to: HostId) -> u64 {
        let link = self.links.get(&(from, to)).copied().unwrap_or_default();
        let (least, most) = link.latency_ns;
        let mut latency = self.random.random_range(least..=most.max(least));
        while link.loss > 0.0 && self.random.random_bool(link.loss) {
            latency += RETRANSMIT_NS;
        }
        latency
    }

    fn push(&mut self, at_ns: u64, from: HostId, to: HostId, what: Arrival) {
        self.number += 1;
        let number = self.number;
        self.under_way.push(Reverse(UnderWay { at_ns, number, from, to, what }));
    }

    /// Sends something to an end of a connection, after what was sent there before.
    fn send(&mut self, from: HostId, number: usize, to: Side, what: impl FnOnce(usize, Side) -> Arrival) {
        if self.silent.contains(&from) {
            return;
        }
        let Some(host) = self.connections.get(&number).map(|connection| connection.hosts[to]) else { return };
        let at_ns = machine::now_ns() + self.latency(from, host);
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let at_ns = at_ns.max(connection.ends[to].last_at_ns);
        connection.ends[to].last_at_ns = at_ns;
        self.push(at_ns, from, host, what(number, to));
    }

    fn send_held(&mut self, from: HostId, to: HostId) {
        let Some(held) = self.held.remove(&(from, to)) else { return };
        let at_ns = machine::now_ns() + self.random.random_range(1_000_000..=RETRANSMIT_NS);
        for under_way in held {
            if let Arrival::Bytes { connection, to: side, .. }
            | Arrival::End { connection, to: side }
            | Arrival::Reset { connection, to: side } = &under_way.what
                && let Some(connection) = self.connections.get_mut(connection)
            {
                // What is sent from now on comes after it.
                let last = &mut connection.ends[*side].last_at_ns;
                *last = at_ns.max(*last);
            }
            self.push(at_ns, from, to, under_way.what);
        }
    }

    fn arrive(&mut self, arrived: UnderWay) -> Vec<Waker> {
        let UnderWay { from, to, what, number, .. } = arrived;
        let mut woken = Vec::new();
        match what {
            Arrival::Request { connection, address } => {
                let listening = self.listening.get_mut(&address).filter(|listening| listening.host == to);
                let is_accepted = listening.is_some();
                if let Some(listening) = listening {
                    listening.accepted.push_back(connection);
                    woken.extend(listening.waker.take());
                }
                self.trace.note(|| format!("{number} {from}>{to} connect {is_accepted}"));
                let at_ns = machine::now_ns() + self.latency(to, from);
                // A machine that vanished does not refuse either.
                if !self.silent.contains(&to) {
                    self.push(at_ns, to, from, Arrival::Answer { connection, is_accepted });
                }
            }
            Arrival::Answer { connection, is_accepted } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.answer = Some(is_accepted);
                    woken.extend(connection.connecting.take());
                }
            }
            Arrival::Bytes { connection, to: side } => {
                let sent = self.connections.get_mut(&connection).and_then(|found| found.ends[side].sent.pop_front());
                let Some(bytes) = sent else { return woken };
                self.trace.note(|| {
                    let hash = u32::from_le_bytes(blake3::hash(&bytes).as_bytes()[..4].try_into().expect("4 bytes"));
                    format!("{number} {from}>{to} {} bytes {hash:08x}", bytes.len())
                });
                if let Some(found) = self.connections.get_mut(&connection) {
                    if self.silent.contains(&to) {
                        found.is_unanswered[side] = true;
                    } else if found.dropped[side] {
                        self.send(to, connection, 1 - side, |connection, to| Arrival::Reset { connection, to });
                    } else if !found.ends[side].is_reset {
                        found.ends[side].bytes.extend(bytes);
                        woken.extend(found.ends[side].reader.take());
                    }
                }
            }
            Arrival::End { connection, to: side } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.ends[side].has_ended = true;
                    woken.extend(connection.ends[side].reader.take());
                }
            }
            Arrival::Reset { connection, to: side } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    let end = &mut connection.ends[side];
                    end.is_reset = true;
                    woken.extend(end.reader.take());
                    woken.extend(connection.ends[1 - side].writer.take());
                    woken.extend(connection.connecting.take());
                }
            }
        }
        woken
    }

    fn drop_end(&mut self, number: usize, side: Side) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.dropped[side] = true;
        let host = connection.hosts[side];
        if connection.dropped == [true, true] {
            self.connections.remove(&number);
            return;
        }
        self.send(host, number, 1 - side, |connection, to| Arrival::End { connection, to });
    }
}

impl Simulation for Network {
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn SimulatedListener>> {
        let mut inner = self.lock();
        if inner.listening.contains_key(&address) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{address} is listened on already")));
        }
        let host = machine::host();
        inner.number += 1;
        let number = inner.number;
        inner.listening.insert(address, Listening { host, number, accepted: VecDeque::new(), waker: None });
        Ok(Box::new(Listener { network: self.clone(), address, number }))
    }

    fn connect(&self, address: &str) -> Connecting {
        let (network, from) = (self.clone(), machine::host());
        let address: Result<SocketAddr, _> = address.parse();
        Box::pin(async move {
            let address = address.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            let stream = network.request(from, address)?;
            std::future::poll_fn(|cx| stream.poll_answer(cx)).await?;
            Ok(Box::new(stream) as Box<dyn SimulatedStream>)
        })
    }

    fn disk_takes(&self) -> Duration {
        Duration::from_nanos(self.disk_takes_ns())
    }
}

impl Network {
    fn disk_takes_ns(&self) -> u64 {
        let mut inner = self.lock();
        let longest_ns = inner.slow_disks.get(&machine::host()).copied().unwrap_or(DISK_NS);
        // Often it is quick: then what one node writes together, another writes in two.
        match inner.random.random_bool(0.5) {
            true => 0,
            false => inner.random.random_range(0..=longest_ns),
        }
    }

    fn request(&self, from: HostId, address: SocketAddr) -> io::Result<Stream> {
        let mut inner = self.lock();
        let to = host_of(address)?;
        inner.number += 1;
        let connection = inner.number as usize;
        inner.connections.insert(
            connection,
            Connection {
                hosts: [from, to],
                ends: Default::default(),
                answer: None,
                connecting: None,
                dropped: [false; 2],
                is_unanswered: [false; 2],
            },
        );
        let at_ns = machine::now_ns() + inner.latency(from, to);
        inner.push(at_ns, from, to, Arrival::Request { connection, address });
        Ok(Stream { network: self.clone(), connection, side: 0 })
    }
}

/// The first port of a simulated network: host `n` listens on this + `n`.
pub const PORT_BASE: u16 = 10_000;

/// The host at an address.
fn host_of(address: SocketAddr) -> io::Result<HostId> {
    let number = address.port().checked_sub(PORT_BASE);
    number.map(HostId::from).ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "no simulated host"))
}

struct Listener {
    network: Network,
    address: SocketAddr,
    number: u64,
}

impl SimulatedListener for Listener {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn SimulatedStream>, SocketAddr)>> {
        let mut inner = self.network.lock();
        let Some(listening) = inner.listening.get_mut(&self.address) else { return Poll::Pending };
        let Some(connection) = listening.accepted.pop_front() else {
            listening.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let from = inner.connections.get(&connection).map_or(0, |connection| connection.hosts[0]);
        let stream = Stream { network: self.network.clone(), connection, side: 1 };
        // Many connections of one host look like those of one customer: they come from one address.
        Poll::Ready(Ok((Box::new(stream), SocketAddr::from(([10, 0, 0, from as u8], 40_000)))))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut inner = self.network.lock();
        if inner.listening.get(&self.address).is_some_and(|listening| listening.number == self.number) {
            inner.listening.remove(&self.address);
        }
    }
}

/// One end of a connection.
struct Stream {
    network: Network,
    connection: usize,
    side: Side,
}

impl Stream {
    fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.network.lock();
        let Some(connection) = inner.connections.get_mut(&self.connection) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        match connection.answer {
            Some(true) => Poll::Ready(Ok(())),
            Some(false) => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            None if connection.ends[0].is_reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => {
                connection.connecting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl SimulatedStream for Stream {
    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.network.lock();
        let Some(connection) = inner.connections.get_mut(&self.connection) else { return Poll::Ready(Ok(())) };
        let end = &mut connection.ends[self.side];
        if !end.bytes.is_empty() || end.has_ended || end.is_reset {
            return Poll::Ready(Ok(()));
        }
        end.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.network.lock();
        let Some(connection) = inner.connections.get_mut(&self.connection) else { return Poll::Ready(Ok(())) };
        let end = &mut connection.ends[self.side];
        if end.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if end.bytes.is_empty() {
            if end.has_ended {
                return Poll::Ready(Ok(()));
            }
            end.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = end.bytes.len().min(out.remaining());
        let (first, second) = end.bytes.as_slices();
        let from_first = count.min(first.len());
        out.put_slice(&first[..from_first]);
        out.put_slice(&second[..count - from_first]);
        end.bytes.drain(..count);
        end.unread -= count;
        let writer = end.writer.take();
        drop(inner);
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.network.lock();
        let (number, to) = (self.connection, 1 - self.side);
        if inner.silent.contains(&machine::host()) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let Some(connection) = inner.connections.get_mut(&number) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if connection.ends[self.side].is_reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let host = connection.hosts[self.side];
        let end = &mut connection.ends[to];
        let count = bytes.len().min(WINDOW_BYTES.saturating_sub(end.unread));
        if count == 0 && !bytes.is_empty() {
            end.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        end.unread += count;
        let now_ns = machine::now_ns();
        if end.sent_at_ns == now_ns
            && let Some(last) = end.sent.back_mut()
        {
            last.extend_from_slice(&bytes[..count]);
            return Poll::Ready(Ok(count));
        }
        end.sent.push_back(bytes[..count].to_vec());
        end.sent_at_ns = now_ns;
        inner.send(host, number, to, |connection, to| Arrival::Bytes { connection, to });
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.network.lock();
        let Some(connection) = inner.connections.get(&self.connection) else { return Poll::Ready(Ok(())) };
        let host = connection.hosts[self.side];
        inner.send(host, self.connection, 1 - self.side, |connection, to| Arrival::End { connection, to });
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.network.lock().drop_end(self.connection, self.side);
    }
}
