//! Serving gRPC: bounded messages, streams and windows; health and reflection beside the node's own services.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cbdc_proto::transport::limits::{
    CONNECTION_WINDOW_BYTES, FRAME_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW_BYTES,
};
use cbdc_proto::transport::server::Connection;
use cbdc_proto::transport::{ClientAuthentication, NodeIdentity, Peer, incoming};
use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Streams that one connection may have open.
const STREAMS_MAX: u32 = 1024;
/// Requests of one connection that are worked on at once.
const REQUESTS_MAX: usize = 1024;
/// How long open requests may take to end once the node stops.
const GRACE: Duration = Duration::from_secs(5);
/// How long connections may take to close once they are cut.
const CLOSING: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {reason}; another program may use the port")]
    Bind { address: String, reason: String },
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("gRPC reflection cannot be set up: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("the server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// Binds an address, so that a busy port is found before anything else starts.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Bind { address: address.to_string(), reason: error.to_string() })
}

/// The health of a node, as `grpc.health.v1` tells it for the empty service name.
#[derive(Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Ready to serve, or not.
    pub async fn set(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.0.set_service_status("", status).await;
    }
}

/// Adds health and reflection to a node's own services. Health begins as not serving.
pub async fn with_health_and_reflection(routes: Routes) -> Result<(Routes, Health), ServeError> {
    let (reporter, health_service) = tonic_health::server::health_reporter();
    let health = Health(reporter);
    health.set(false).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(cbdc_proto::v1::DESCRIPTORS)
        .build_v1()?;
    Ok((routes.add_service(health_service).add_service(reflection), health))
}

/// Serves until `stop`; then lets open requests end, for a few seconds at most, and cuts the connections that are left:
/// when this returns, no request holds any part of the node.
pub async fn serve(
    listener: TcpListener,
    identity: &NodeIdentity,
    clients: ClientAuthentication,
    routes: Routes,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let (cut, open) = (CancellationToken::new(), TaskTracker::new());
    let cuttable = {
        let (cut, open) = (cut.clone(), open.clone());
        move |connection: io::Result<Connection>| connection.map(|connection| Cuttable::new(connection, &cut, &open))
    };
    let connections = incoming(listener, identity, clients)?.map(cuttable);
    let served = {
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_concurrent_streams(STREAMS_MAX)
            .concurrency_limit_per_connection(REQUESTS_MAX)
            .add_routes(routes)
            .serve_with_incoming_shutdown(connections, stop.clone().cancelled_owned());
        tokio::pin!(server);
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = &mut server => Ok(ended?),
            // Streams that their clients hold open do not keep the node from stopping.
            () = overdue => Ok(()),
        }
    };
    cut.cancel();
    open.close();
    if tokio::time::timeout(CLOSING, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "connections did not close in time; they close with the process");
    }
    served
}

/// A connection that can be cut from this side, and that is counted while it is open.
struct Cuttable {
    connection: Connection,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _open: TaskTrackerToken,
}

impl Cuttable {
    fn new(connection: Connection, cut: &CancellationToken, open: &TaskTracker) -> Cuttable {
        Cuttable { connection, cut: Box::pin(cut.clone().cancelled_owned()), _open: open.token() }
    }

    /// Ends what is pending once the connection is cut.
    fn or_cut<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_pending() && self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        polled
    }
}

impl Connected for Cuttable {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.connection.connect_info()
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.connection).poll_read(cx, buf);
        self.or_cut(cx, polled)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.connection).poll_write(cx, buf);
        self.or_cut(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.connection).poll_write_vectored(cx, bufs);
        self.or_cut(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.connection).poll_flush(cx);
        self.or_cut(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.connection).poll_shutdown(cx);
        self.or_cut(cx, polled)
    }
}
