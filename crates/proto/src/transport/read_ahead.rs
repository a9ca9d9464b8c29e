//! Reading from a socket in large pieces, with a buffer only while it holds data.
//!
//! TLS alone would ask the kernel for 4 KiB at a time. A permanent buffer would cost each idle connection 64 KiB, and
//! strangers can have many idle connections.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use cbdc_environment::network::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::limits;

/// A socket that is read [`limits::READ_BYTES`] at a time.
#[derive(Debug)]
pub struct ReadAhead {
    stream: Stream,
    read: BytesMut,
}

impl ReadAhead {
    /// Wraps a socket.
    pub fn new(stream: Stream) -> ReadAhead {
        ReadAhead { stream, read: BytesMut::new() }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let ReadAhead { stream, read } = &mut *self;
        if read.is_empty() {
            // Only a socket with data to read gets a buffer.
            if stream.poll_read_ready(cx)?.is_pending() {
                *read = BytesMut::new();
                return Poll::Pending;
            }
            read.reserve(limits::READ_BYTES);
            ready!(poll_read_buf(Pin::new(stream), cx, read))?;
        }
        let bytes = read.len().min(out.remaining());
        out.put_slice(&read[..bytes]);
        read.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn what_was_sent_is_read_in_order_and_an_idle_socket_keeps_no_buffer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut far = ReadAhead::new(listener.accept().await.unwrap().0.into());
        let sent: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
        let (copy, mut found) = (sent.clone(), vec![0; sent.len()]);
        let writing = tokio::spawn(async move {
            near.write_all(&copy).await.unwrap();
            near
        });
        for piece in found.chunks_mut(999) {
            far.read_exact(piece).await.unwrap();
        }
        assert!(found == sent);
        let near = writing.await.unwrap();
        let mut byte = [0];
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), far.read(&mut byte)).await.is_err());
        assert_eq!(far.read.capacity(), 0);
        drop(near);
        assert_eq!(far.read(&mut byte).await.unwrap(), 0, "the end is read as the end");
    }
}
