//! The gRPC server: bounded connections, messages, streams and windows; health and reflection in addition to the node's
//! own services.
//!
//! A connection passes three gates: the TLS handshake ([`cbdc_proto::transport::server`]), which has a deadline; a
//! permit from the [connections](crate::connections); and, for each request, the [budget](crate::budget). Members are
//! read with large windows and frames, since they send batches; customers with small ones.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use cbdc_environment::network::Listener;
use cbdc_proto::transport::limits::{
    CONNECTION_WINDOW_BYTES, CUSTOMER_CONNECTION_WINDOW_BYTES, CUSTOMER_FRAME_BYTES_MAX, CUSTOMER_STREAM_WINDOW_BYTES,
    FRAME_BYTES_MAX, HEADER_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, SEND_BYTES_MAX, STREAM_WINDOW_BYTES,
};
use cbdc_proto::transport::log_limit::LogLimit;
use cbdc_proto::transport::server::Connection;
use cbdc_proto::transport::{ClientAuthentication, NodeIdentity, incoming};
use futures::StreamExt;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::server::Connected;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::budget::Budget;
use crate::connections::{ConnectionPermit, Connections, Refused};
use crate::limits::Limits;
use crate::metering::Metered;
use crate::unread::Unread;

/// The time that a connection giving way has to finish its requests.
const GIVING_WAY: Duration = Duration::from_secs(1);
/// The interval at which the gauges are set.
const GAUGES_EVERY: Duration = Duration::from_secs(1);
/// The time that open requests have to end once the node stops.
const GRACE: Duration = Duration::from_secs(5);
/// The time that connections have to close once they are cut.
const CLOSING: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {reason}; another program may use the port")]
    Bind { address: String, reason: String },
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("gRPC reflection cannot be set up: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Binds an address, so that a busy port is noticed before anything else starts.
pub async fn bind(address: SocketAddr) -> Result<Listener, ServeError> {
    Listener::bind(address)
        .await
        .map_err(|error| ServeError::Bind { address: address.to_string(), reason: error.to_string() })
}

/// The health of a node, reported by `grpc.health.v1` under the empty service name.
#[derive(Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Sets whether the node is ready to serve.
    pub async fn set(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.0.set_service_status("", status).await;
    }

    /// Sets whether a service of a serving node does its work: the empty name says only that the node is there.
    pub async fn set_service(&self, service: &'static str, works: bool) {
        let status = if works { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.0.set_service_status(service, status).await;
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

/// Counts a refusal because of a limit: `memory`, `message_bytes` or `connections`.
pub(crate) fn count_refused(what: &'static str) {
    counter!("cbdc_refused_by_limit_total", "limit" => what).increment(1);
}

/// Serves until `stop` is cancelled; then lets open requests end, for a few seconds at most, and cuts the remaining
/// connections: when this returns, no request holds any part of the node.
pub async fn serve(
    listener: Listener,
    identity: &NodeIdentity,
    clients: ClientAuthentication,
    routes: Routes,
    (limits, budget): (&Limits, &Budget),
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let (cut, tasks) = (CancellationToken::new(), TaskTracker::new());
    let connections = Connections::new(limits.clone(), budget.clone());
    let serving = Serving {
        routes: routes.prepare(),
        streams_max: limits.streams_per_connection,
        tasks: tasks.clone(),
        stop: stop.clone(),
        cut: cut.clone(),
    };
    accept(Box::pin(incoming(listener, identity, clients)?), &connections, budget, &serving).await;
    drop(serving);
    tasks.close();
    // Streams that their clients hold open do not keep the node from stopping.
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        cut.cancel();
        if tokio::time::timeout(CLOSING, tasks.wait()).await.is_err() {
            tracing::warn!(tasks = tasks.len(), "connections did not close in time; they close with the process");
        }
    }
    Ok(())
}

/// Accepts connections until the node stops.
async fn accept(
    mut incoming: impl futures::Stream<Item = std::io::Result<Connection>> + Unpin,
    connections: &Connections,
    budget: &Budget,
    serving: &Serving,
) {
    let log_limit = LogLimit::new();
    let mut gauges = tokio::time::interval(GAUGES_EVERY);
    loop {
        let accepted = tokio::select! {
            () = serving.stop.cancelled() => return,
            Some(accepted) = incoming.next() => accepted,
            _ = gauges.tick() => {
                set_gauges(connections, budget);
                continue;
            }
        };
        let Ok(connection) = accepted else { continue };
        let peer = connection.connect_info();
        match connections.enter(&peer) {
            Ok(permit) => drop(serving.tasks.spawn(serving.clone().connection(connection, permit))),
            Err(error) => {
                count_refused(if matches!(error, Refused::Memory(_)) { "memory" } else { "connections" });
                if let Some(refused) = log_limit.count(1) {
                    let address = peer.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
                    tracing::warn!(
                        target: "security", %address, %error, refused,
                        "a connection was refused (count since the last such line)"
                    );
                }
            }
        }
    }
}

fn set_gauges(connections: &Connections, budget: &Budget) {
    let (customers, members) = connections.count();
    gauge!("cbdc_connections", "of" => "customers").set(customers as f64);
    gauge!("cbdc_connections", "of" => "members").set(members as f64);
    gauge!("cbdc_memory_budget_used_bytes").set(budget.used_bytes() as f64);
    gauge!("cbdc_memory_budget_limit_bytes").set(budget.limit_bytes() as f64);
}

/// The parts shared by all connections.
#[derive(Clone)]
struct Serving {
    routes: Routes,
    streams_max: u32,
    /// Open connections and requests.
    tasks: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// Runs requests concurrently.
#[derive(Clone)]
struct Executor(TaskTracker);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        self.0.spawn(request);
    }
}

impl Serving {
    async fn connection(self, connection: Connection, permit: ConnectionPermit) {
        let peer = connection.connect_info();
        let protocol = self.protocol(permit.share.tenant().is_member());
        let (share, activity) = (permit.share.clone(), permit.activity.clone());
        let unread = Unread::new(&share);
        let metered = Metered { routes: self.routes, peer, share, activity, unread };
        let mut served = pin!(protocol.serve_connection(TokioIo::new(connection), metered));
        let ends = tokio::select! {
            ended = &mut served => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection failed");
                }
                return;
            }
            () = self.stop.cancelled() => None,
            () = permit.gives_way.cancelled() => Some(GIVING_WAY),
        };
        served.as_mut().graceful_shutdown();
        let overdue = async {
            match ends {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = served => {}
            () = overdue => {}
            () = self.cut.cancelled() => {}
        }
    }

    fn protocol(&self, is_member: bool) -> http2::Builder<Executor> {
        let (stream_window, connection_window, frame_bytes) = match is_member {
            true => (STREAM_WINDOW_BYTES, CONNECTION_WINDOW_BYTES, FRAME_BYTES_MAX),
            false => (CUSTOMER_STREAM_WINDOW_BYTES, CUSTOMER_CONNECTION_WINDOW_BYTES, CUSTOMER_FRAME_BYTES_MAX),
        };
        let mut protocol = http2::Builder::new(Executor(self.tasks.clone()));
        protocol
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .initial_stream_window_size(stream_window)
            .initial_connection_window_size(connection_window)
            .max_frame_size(frame_bytes)
            .max_concurrent_streams(self.streams_max)
            .max_header_list_size(HEADER_BYTES_MAX)
            .max_send_buf_size(SEND_BYTES_MAX);
        protocol
    }
}
