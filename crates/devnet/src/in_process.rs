//! All nodes of a network in this process: the quickest way to a running network.
//!
//! They are the same nodes, with the same stores, TLS and ports. Only features that need processes are missing: CPU
//! time by node, and killing a node.

use std::collections::BTreeMap;

use cbdc_client::NodeName;
use cbdc_ledger::BankId;

use super::error::NetworkError;
use super::network::Network;
use super::ports::check_port;

/// The running nodes. Dropping it does not stop them; [`InProcess::stop`] does.
pub struct InProcess {
    central_bank: cbdc_central_bank::Node,
    banks: BTreeMap<BankId, cbdc_bank::Node>,
}

impl InProcess {
    /// Starts the central bank, then every bank, and returns when all serve.
    pub async fn start(network: &Network) -> Result<InProcess, NetworkError> {
        let nodes: Vec<NodeName> = network.nodes().collect();
        for node in &nodes {
            check_port(*node, network.address(*node)?)?;
        }
        let name = network.central_bank();
        let config =
            cbdc_central_bank::Config::load(&network.config_path(name)).map_err(|error| failed(name, error))?;
        let central_bank = cbdc_central_bank::start(config).await.map_err(|error| failed(name, error))?;
        network.follow_membership().await;
        let mut running = InProcess { central_bank, banks: BTreeMap::new() };
        for bank in network.banks() {
            match start_bank(network, bank).await {
                Ok(node) => drop(running.banks.insert(bank, node)),
                Err(error) => {
                    running.stop().await;
                    return Err(error);
                }
            }
        }
        Ok(running)
    }

    /// Waits until a node stops by itself, because it must not continue, and returns which and why.
    pub async fn stopped(&mut self, central_bank: NodeName) -> NetworkError {
        let ended = |name: NodeName, ended: Result<(), String>| NetworkError::Node {
            node: name,
            reason: ended.err().unwrap_or_else(|| "it stopped".to_owned()),
        };
        let banks = self.banks.iter_mut().map(|(bank, node)| {
            Box::pin(
                async move { ended(NodeName::Bank(*bank), node.stopped().await.map_err(|error| error.to_string())) },
            )
        });
        let first_bank = futures::future::select_all(banks);
        tokio::select! {
            result = self.central_bank.stopped() => ended(central_bank, result.map_err(|error| error.to_string())),
            (error, _, _) = first_bank => error,
        }
    }

    /// Stops every node gracefully: the banks first, so that commands in flight are answered.
    pub async fn stop(self) {
        for node in self.banks.into_values() {
            node.shutdown().await;
        }
        self.central_bank.shutdown().await;
    }
}

async fn start_bank(network: &Network, bank: BankId) -> Result<cbdc_bank::Node, NetworkError> {
    let name = NodeName::Bank(bank);
    let config = cbdc_bank::Config::load(&network.config_path(name)).map_err(|error| failed(name, error))?;
    cbdc_bank::start(config).await.map_err(|error| failed(name, error))
}

fn failed(node: NodeName, error: impl std::error::Error) -> NetworkError {
    NetworkError::Node { node, reason: error.to_string() }
}
