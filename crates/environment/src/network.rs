//! Listening and connecting: TCP, or a simulation's network.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::simulation::in_force;

/// A connection that is being made in a simulation.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn SimulatedStream>>> + Send>>;

/// One end of a simulated connection.
pub trait SimulatedStream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Ready once there is something to read, or the end.
    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A simulated address that is listened on. It is free again once this is dropped.
pub trait SimulatedListener: Send + Sync {
    /// The address.
    fn local_address(&self) -> SocketAddr;

    /// The next connection, and where it comes from.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn SimulatedStream>, SocketAddr)>>;
}

/// One end of a connection.
pub enum Stream {
    /// A socket.
    Tcp(TcpStream),
    /// A simulation's.
    Simulated(Box<dyn SimulatedStream>),
}

/// A bound address.
pub struct Listener(Bound);

enum Bound {
    Tcp(TcpListener),
    Simulated(Box<dyn SimulatedListener>),
}

/// Connects to an address (`host:port`). Small writes are sent at once.
pub async fn connect(address: &str) -> io::Result<Stream> {
    let connecting = in_force().map(|simulation| simulation.connect(address));
    if let Some(connecting) = connecting {
        return Ok(Stream::Simulated(connecting.await?));
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}

impl Listener {
    /// Listens on an address.
    pub async fn bind(address: SocketAddr) -> io::Result<Listener> {
        let listening = in_force().map(|simulation| simulation.listen(address));
        match listening {
            Some(listening) => Ok(Listener(Bound::Simulated(listening?))),
            None => Ok(Listener(Bound::Tcp(TcpListener::bind(address).await?))),
        }
    }

    /// The address that it listens on.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Bound::Tcp(listener) => listener.local_addr(),
            Bound::Simulated(listener) => Ok(listener.local_address()),
        }
    }

    /// The next connection, and where it comes from. Small writes are sent at once. Cancel-safe.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match &self.0 {
            Bound::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), address))
            }
            Bound::Simulated(listener) => {
                let (stream, address) = std::future::poll_fn(|cx| listener.poll_accept(cx)).await?;
                Ok((Stream::Simulated(stream), address))
            }
        }
    }
}

impl Stream {
    /// Ready once there is something to read, or the end.
    pub fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => stream.poll_read_ready(cx),
            Stream::Simulated(stream) => stream.poll_read_ready(cx),
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener(Bound::Tcp(listener))
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Stream {
        Stream::Tcp(stream)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stream::Tcp(stream) => stream.fmt(formatter),
            Stream::Simulated(_) => formatter.write_str("a simulated connection"),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, out),
            Stream::Simulated(stream) => Pin::new(stream).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Simulated(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Stream::Simulated(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Simulated(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Simulated(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Simulated(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
