//! Metrics for Prometheus, one exporter per process.
//!
//! Several nodes in one process (tests, `cbdc up`) share the first one's exporter.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use cbdc_signatures::{Backend, Selection};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

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

static EXPORTER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// Starts the exporter, unless this process has one already. Must be called within a tokio runtime.
pub fn serve_metrics(address: SocketAddr) -> Result<(), TelemetryError> {
    let mut exporter = EXPORTER.lock().unwrap_or_else(PoisonError::into_inner);
    if exporter.is_some() {
        return Ok(());
    }
    let failed = |reason: String| TelemetryError::Listen { address, reason };
    let (recorder, serve) = PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS_S)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_commands".to_owned()), &BATCH_BUCKETS))
        .and_then(PrometheusBuilder::build)
        .map_err(|error| failed(error.to_string()))?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| failed(error.to_string()))?;
    tokio::spawn(async move {
        if serve.await.is_err() {
            tracing::error!(%address, "metrics are no longer served");
        }
    });
    *exporter = Some(handle);
    Ok(())
}

/// Selects the backend that verifies signatures, and reports it in the log and in the metrics.
///
/// `cbdc_signature_backend` is 1 with the backend's name as a label; `cbdc_signature_backend_rejected_total` counts
/// failed self-checks.
pub fn report_signature_backend() {
    let Selection { backend, rejected } = Backend::select_checked();
    gauge!("cbdc_signature_backend", "backend" => backend.name()).set(1.0);
    counter!("cbdc_signature_backend_rejected_total").increment(u64::from(rejected.is_some()));
    match rejected {
        Some(rejected) => tracing::error!(
            %backend, %rejected, "a signature backend failed its self-check and is not used: look into this machine"
        ),
        None => tracing::info!(%backend, "signature backend selected"),
    }
}

/// This process's metrics as its exporter shows them; empty if there is none.
pub fn render() -> String {
    EXPORTER.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(PrometheusHandle::render).unwrap_or_default()
}
