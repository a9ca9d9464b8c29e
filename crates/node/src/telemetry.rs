//! Metrics for Prometheus, one exporter a process.
//!
//! Several nodes in one process (tests, `cbdc up`) share the first one's exporter.

use std::net::SocketAddr;
use std::sync::Mutex;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("metrics cannot be served on {address}: {reason}")]
    Listen { address: SocketAddr, reason: String },
}

/// Upper bounds of the latency buckets, seconds.
const LATENCY_BUCKETS_S: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Upper bounds of the batch size buckets, commands.
const BATCH_BUCKETS: [f64; 9] = [1.0, 8.0, 32.0, 128.0, 512.0, 2048.0, 4096.0, 8192.0, 16384.0];

/// Starts the exporter, unless this process has one already. Must be called within a tokio runtime.
pub fn serve_metrics(address: SocketAddr) -> Result<(), TelemetryError> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if *started {
        return Ok(());
    }
    let failed = |error: metrics_exporter_prometheus::BuildError| TelemetryError::Listen { address, reason: error.to_string() };
    PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS_S)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_commands".to_owned()), &BATCH_BUCKETS))
        .and_then(PrometheusBuilder::install)
        .map_err(failed)?;
    *started = true;
    Ok(())
}
