//! Small measurements around a run: a node's counters, and what a core can verify.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cbdc_ledger::SigningKey;
use cbdc_ledger::signature::{Batch, DecompressedKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a core is measured.
const MEASURE: Duration = Duration::from_millis(400);
/// Signatures in a measured batch: as many as a node verifies together.
const BATCH: usize = 512;

/// Signatures that one core verifies a second, in batches, on this machine now.
pub fn verify_per_core_s() -> f64 {
    let keys: Vec<SigningKey> = (0..BATCH).map(|number| SigningKey::from_seed([number as u8; 32])).collect();
    let message = [7_u8; 72];
    let prefix = [1_u8; 40];
    let signatures: Vec<_> = keys.iter().map(|key| key.sign([&prefix, &message])).collect();
    let public: Vec<DecompressedKey> = keys.iter().filter_map(|key| key.public_key().decompress().ok()).collect();
    let (began, mut verified) = (Instant::now(), 0_u64);
    while began.elapsed() < MEASURE {
        let mut batch = Batch::with_capacity(BATCH);
        for (key, signature) in public.iter().zip(&signatures) {
            batch.push(key, [&prefix, &message], signature);
        }
        verified += batch.verdicts().iter().filter(|good| **good).count() as u64;
    }
    verified as f64 / began.elapsed().as_secs_f64()
}

/// A node's counters and gauges, summed over labels, as its Prometheus endpoint shows them.
pub async fn scrape(address: &str) -> Result<BTreeMap<String, f64>> {
    let fetch = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), fetch).await;
    let answer = answer.context("the metrics endpoint did not answer within 5 s")?;
    Ok(parse(&answer.with_context(|| format!("reading metrics from {address}"))?))
}

/// Counters of the nodes in this process, as [`scrape`] gives a remote node's.
pub fn own() -> BTreeMap<String, f64> {
    parse(&cbdc_node::telemetry::render())
}

fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut totals = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let name = name.split('{').next().unwrap_or(name);
        *totals.entry(name.to_owned()).or_insert(0.0) += value;
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_labels() {
        let totals = parse("# HELP a b\na{x=\"1\"} 2\na{x=\"2\"} 3\nb 0.5\nnoise\n");
        assert_eq!(totals, BTreeMap::from([("a".to_owned(), 5.0), ("b".to_owned(), 0.5)]));
    }
}
