//! Metrics of nodes, before and after a run.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use cbdc_client::{NetworkFolder, NodeName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A node's counters by name.
pub type Counters = BTreeMap<String, f64>;

/// The counters of a node of a network, empty if it serves none.
pub async fn counters(folder: &NetworkFolder, node: NodeName) -> Counters {
    match folder.metrics_address(node) {
        Ok(Some(address)) => scrape(address).await.unwrap_or_default(),
        _ => Counters::new(),
    }
}

/// A node's counters and gauges, summed over labels, from its Prometheus endpoint.
pub async fn scrape(address: &str) -> Result<Counters> {
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

/// Counters of the nodes in this process, in the form of [`scrape`].
pub fn own() -> Counters {
    parse(&cbdc_node::telemetry::render())
}

fn parse(text: &str) -> Counters {
    let mut totals = Counters::new();
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
