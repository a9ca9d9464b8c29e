//! The nodes of a run: each in its own process, or all in this one.

use anyhow::{Result, bail};
use cbdc_client::NodeName;
use cbdc_ledger::{Amount, BankId};

use super::setup::funding_needed;
use crate::scenario::{self, Replica, Scenario};
use cbdc_devnet::policy::CURRENCY_EXPONENT;
use cbdc_devnet::{InProcess, Network, NetworkSpec, Ports, Processes};

/// The network of a scenario: free ports, reserves that cover the wallets, the scenario's policy.
pub fn spec(scenario: &Scenario) -> NetworkSpec {
    let needed = funding_needed(scenario).into_iter().max().unwrap_or(0);
    let default = NetworkSpec::default();
    NetworkSpec {
        banks: scenario.network.banks as u16,
        ports: Ports::Free,
        currency: scenario.currency().to_owned(),
        currency_exponent: CURRENCY_EXPONENT,
        policy: scenario.policy.parameters.clone(),
        opening_reserves: default.opening_reserves.max(Amount::from_minor(needed)),
        precheck_signatures: scenario.network.precheck_signatures,
        full_replicas: if scenario.network.replica == Replica::Full { NetworkSpec::BANKS_MAX } else { 0 },
        ..default
    }
}

pub enum Nodes {
    Processes(Processes, Network),
    InProcess(InProcess),
}

impl Nodes {
    pub async fn start(network: &Network, in_process: bool) -> Result<Nodes> {
        if in_process {
            return Ok(Nodes::InProcess(InProcess::start(network).await?));
        }
        Ok(Nodes::Processes(Processes::start(network).await?, network.clone()))
    }

    /// Ids of all processes of the run, this one included.
    pub fn process_ids(&self) -> Vec<u32> {
        let mut ids = vec![std::process::id()];
        if let Nodes::Processes(processes, _) = self {
            ids.extend(processes.pids().into_iter().map(|(_, id)| id));
        }
        ids
    }

    pub fn central_bank_process(&self) -> Option<u32> {
        match self {
            Nodes::Processes(processes, network) => processes.pid(network.central_bank()),
            Nodes::InProcess(_) => None,
        }
    }

    pub async fn kill(&mut self, node: scenario::NodeName) -> Result<()> {
        let (processes, node) = self.process(node)?;
        Ok(processes.kill(node).await?)
    }

    pub async fn stop(&mut self, node: scenario::NodeName) -> Result<()> {
        let (processes, node) = self.process(node)?;
        Ok(processes.stop_node(node).await?)
    }

    pub async fn restart(&mut self, node: scenario::NodeName) -> Result<()> {
        let (processes, node) = self.process(node)?;
        Ok(processes.restart(node).await?)
    }

    fn process(&mut self, node: scenario::NodeName) -> Result<(&mut Processes, NodeName)> {
        let Nodes::Processes(processes, network) = self else {
            bail!("a node that runs in this process cannot be stopped alone; run without --in-process");
        };
        let node = match node {
            scenario::NodeName::CentralBank => network.central_bank(),
            scenario::NodeName::Bank(index) => NodeName::Bank(BankId(index as u16 + 1)),
        };
        Ok((processes, node))
    }

    pub async fn shutdown(self) {
        match self {
            Nodes::Processes(processes, _) => {
                if let Err(error) = processes.stop().await {
                    tracing::warn!(%error, "a node could not be stopped");
                }
            }
            Nodes::InProcess(nodes) => nodes.stop().await,
        }
    }
}
