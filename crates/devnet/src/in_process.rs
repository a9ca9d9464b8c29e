//! All nodes of a network in this process: the quickest way to a running network.
//!
//! They are the same nodes, with the same stores, TLS and ports. Only features that need processes are missing: CPU
//! time by node, and killing a node.

use std::collections::BTreeMap;

use cbdc_client::NodeName;
use futures::FutureExt;
use futures::future::{join_all, select_all};

use super::error::NetworkError;
use super::network::Network;
use super::ports::check_can_start;

/// The running nodes. Dropping it does not stop them; [`InProcess::stop`] does.
pub struct InProcess {
    network: Network,
    central_banks: BTreeMap<NodeName, cbdc_central_bank::Node>,
    banks: BTreeMap<NodeName, cbdc_bank::Node>,
}

impl InProcess {
    /// Starts the central bank's nodes, together, then every bank, and returns when all serve.
    pub async fn start(network: &Network) -> Result<InProcess, NetworkError> {
        check_can_start(network)?;
        let mut running =
            InProcess { network: network.clone(), central_banks: BTreeMap::new(), banks: BTreeMap::new() };
        match running.start_all().await {
            Ok(()) => Ok(running),
            Err(error) => {
                running.stop().await;
                Err(error)
            }
        }
    }

    async fn start_all(&mut self) -> Result<(), NetworkError> {
        let network = self.network.clone();
        let names: Vec<NodeName> = network.central_banks().collect();
        let started = join_all(names.iter().map(|name| start_central_bank(&network, *name))).await;
        let mut failure = None;
        for (name, started) in names.into_iter().zip(started) {
            match started {
                Ok(node) => drop(self.central_banks.insert(name, node)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)?;
        network.follow_membership().await;
        for bank in network.banks().map(NodeName::Bank) {
            self.banks.insert(bank, start_bank(&network, bank).await?);
        }
        Ok(())
    }

    /// Waits until a node stops by itself, because it must not continue, and returns which and why.
    pub async fn stopped(&mut self) -> (NodeName, NetworkError) {
        let central_banks = self.central_banks.iter_mut().map(|(name, node)| {
            async move { (*name, node.stopped().await.map_err(|error| error.to_string())) }.boxed()
        });
        let banks = self.banks.iter_mut().map(|(name, node)| {
            async move { (*name, node.stopped().await.map_err(|error| error.to_string())) }.boxed()
        });
        let ((node, ended), ..) = select_all(central_banks.chain(banks)).await;
        self.central_banks.remove(&node);
        self.banks.remove(&node);
        let reason = ended.err().unwrap_or_else(|| "it stopped".to_owned());
        (node, NetworkError::Node { node, reason })
    }

    /// Stops every node gracefully: the banks first, so that commands in flight are answered, then the central bank's
    /// followers, then its leader.
    pub async fn stop(mut self) {
        for node in self.banks.into_values() {
            node.shutdown().await;
        }
        let leader = match self.network.leader().await {
            Some(leader) => self.central_banks.remove(&leader),
            None => None,
        };
        join_all(self.central_banks.into_values().map(cbdc_central_bank::Node::shutdown)).await;
        if let Some(leader) = leader {
            leader.shutdown().await;
        }
    }
}

async fn start_central_bank(network: &Network, name: NodeName) -> Result<cbdc_central_bank::Node, NetworkError> {
    let config = cbdc_central_bank::Config::load(&network.config_path(name)).map_err(|error| failed(name, error))?;
    cbdc_central_bank::start(config).await.map_err(|error| failed(name, error))
}

async fn start_bank(network: &Network, name: NodeName) -> Result<cbdc_bank::Node, NetworkError> {
    let config = cbdc_bank::Config::load(&network.config_path(name)).map_err(|error| failed(name, error))?;
    cbdc_bank::start(config).await.map_err(|error| failed(name, error))
}

fn failed(node: NodeName, error: impl std::error::Error) -> NetworkError {
    NetworkError::Node { node, reason: error.to_string() }
}
