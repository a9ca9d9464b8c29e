//! The nodes of a run: each in its own process, or all in this one.

use anyhow::{Result, bail};
use cbdc_client::{MemberId, NodeName};
use cbdc_ledger::{Amount, BankId};

use std::net::SocketAddr;

use super::setup::funding_needed;
use crate::scenario::{self, Replica, Scenario};
use cbdc_devnet::policy::CURRENCY_EXPONENT;
use cbdc_devnet::{InProcess, Network, NetworkSpec, Ports, Processes};

/// The network of a scenario: free ports, reserves that cover the wallets, the scenario's policy. Nodes reach the
/// central bank's at `reached_at`, if these are any.
pub fn spec(scenario: &Scenario, reached_at: Vec<SocketAddr>) -> NetworkSpec {
    let needed = funding_needed(scenario).into_iter().max().unwrap_or(0);
    let default = NetworkSpec::default();
    NetworkSpec {
        banks: scenario.network.banks as u16,
        central_banks: scenario.network.central_banks as u16,
        header_signatures: scenario.network.header_signatures as u16,
        reached_at,
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

    /// The processes of the central bank's nodes that run; none if they are not processes of their own.
    pub fn central_bank_processes(&self) -> Vec<u32> {
        match self {
            Nodes::Processes(processes, network) => {
                network.central_banks().filter_map(|node| processes.pid(node)).collect()
            }
            Nodes::InProcess(_) => Vec::new(),
        }
    }

    pub async fn kill(&mut self, node: NodeName) -> Result<()> {
        Ok(self.processes()?.kill(node).await?)
    }

    pub async fn stop(&mut self, node: NodeName) -> Result<()> {
        Ok(self.processes()?.stop_node(node).await?)
    }

    pub async fn restart(&mut self, node: NodeName) -> Result<()> {
        Ok(self.processes()?.restart(node).await?)
    }

    pub async fn pause(&mut self, node: NodeName) -> Result<()> {
        Ok(self.processes()?.pause(node).await?)
    }

    pub async fn resume(&mut self, node: NodeName) -> Result<()> {
        Ok(self.processes()?.resume(node).await?)
    }

    fn processes(&mut self) -> Result<&mut Processes> {
        match self {
            Nodes::Processes(processes, _) => Ok(processes),
            Nodes::InProcess(_) => {
                bail!("a node that runs in this process cannot be stopped alone; run without --in-process")
            }
        }
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

/// The network's name of a scenario's node.
pub fn name_of(node: scenario::NodeName) -> NodeName {
    match node {
        scenario::NodeName::CentralBank(index) => NodeName::CentralBank(MemberId(index as u16 + 1)),
        scenario::NodeName::Bank(index) => NodeName::Bank(BankId(index as u16 + 1)),
    }
}
