//! The nodes of a run: each in its own process, or all in this one.

use anyhow::{Result, bail};
use cbdc_client::{MemberId, NetworkFolder, NodeName, Role};
use cbdc_ledger::{Amount, BankId};
use futures::future::join_all;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::probe::{self, Counters};
use super::setup::funding_needed;
use crate::measure::cpu::{CpuClock, CpuSpent, process_cpu_us};
use crate::scenario::{self, Action, Replica, Scenario};
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
        slow_disks: scenario.events.iter().any(|event| matches!(event.action, Action::SlowDisk { .. })),
        verify_on_followers: scenario.network.verify_on_followers,
        precheck_signatures: scenario.network.precheck_signatures,
        full_replicas: if scenario.network.replica == Replica::Full { NetworkSpec::BANKS_MAX } else { 0 },
        ..default
    }
}

pub enum Nodes {
    Processes(OwnProcesses),
    InProcess(InProcess),
}

/// Nodes each in its own process.
pub struct OwnProcesses {
    processes: Processes,
    network: Network,
    /// Every process of the run so far.
    started: Vec<(NodeName, u32)>,
    /// The CPU time of those that have ended, as it was just before.
    ended_us: BTreeMap<u32, u64>,
    /// The counters of nodes of the central bank that were restarted, as they were when they were ready again.
    since_restart: BTreeMap<NodeName, Counters>,
}

impl Nodes {
    pub async fn start(network: &Network, in_process: bool) -> Result<Nodes> {
        if in_process {
            return Ok(Nodes::InProcess(InProcess::start(network).await?));
        }
        let processes = Processes::start(network).await?;
        Ok(Nodes::Processes(OwnProcesses {
            started: processes.pids(),
            processes,
            network: network.clone(),
            ended_us: BTreeMap::new(),
            since_restart: BTreeMap::new(),
        }))
    }

    /// Ids of all processes of the run so far, this one included.
    pub fn process_ids(&self) -> Vec<u32> {
        let mut ids = vec![std::process::id()];
        if let Nodes::Processes(own) = self {
            ids.extend(own.started.iter().map(|(_, id)| *id));
        }
        ids
    }

    /// CPU time since the clock started, if every process of the run could be read.
    pub fn cpu(&self, clock: &CpuClock) -> Option<CpuSpent> {
        match self {
            Nodes::Processes(own) => clock.stop(&self.process_ids(), &own.ended_us).ok(),
            Nodes::InProcess(_) => clock.stop(&[], &BTreeMap::new()).ok(),
        }
    }

    /// The processes of the central bank's nodes so far; none if they are not processes of their own.
    pub fn central_bank_processes(&self) -> Vec<u32> {
        match self {
            Nodes::Processes(own) => {
                let central_banks = own.started.iter().filter(|(node, _)| node.role() == Role::CentralBank);
                central_banks.map(|(_, id)| *id).collect()
            }
            Nodes::InProcess(_) => Vec::new(),
        }
    }

    /// The counters of each of the central bank's nodes, empty where one serves none; those of nodes in this process
    /// together.
    pub async fn counters(&self, folder: &NetworkFolder) -> Vec<Counters> {
        match self {
            Nodes::Processes(_) => join_all(folder.central_banks().map(|node| probe::counters(folder, node))).await,
            Nodes::InProcess(_) => vec![probe::own()],
        }
    }

    /// Those counters when the load began, and of nodes that were restarted since, when they were ready again.
    pub fn counted_from(&self, mut before: Vec<Counters>) -> Vec<Counters> {
        if let Nodes::Processes(own) = self {
            for (counters, node) in before.iter_mut().zip(own.network.central_banks()) {
                if let Some(since) = own.since_restart.get(&node) {
                    counters.clone_from(since);
                }
            }
        }
        before
    }

    pub async fn kill(&mut self, node: NodeName) -> Result<()> {
        let own = self.own()?;
        own.read_cpu(node);
        Ok(own.processes.kill(node).await?)
    }

    pub async fn stop(&mut self, node: NodeName) -> Result<()> {
        let own = self.own()?;
        own.read_cpu(node);
        Ok(own.processes.stop_node(node).await?)
    }

    pub async fn restart(&mut self, node: NodeName) -> Result<()> {
        let own = self.own()?;
        own.read_cpu(node);
        own.processes.restart(node).await?;
        own.started.extend(own.processes.pid(node).map(|id| (node, id)));
        if node.role() == Role::CentralBank {
            own.since_restart.insert(node, probe::counters(&own.network, node).await);
        }
        Ok(())
    }

    pub async fn pause(&mut self, node: NodeName) -> Result<()> {
        Ok(self.own()?.processes.pause(node).await?)
    }

    pub async fn resume(&mut self, node: NodeName) -> Result<()> {
        Ok(self.own()?.processes.resume(node).await?)
    }

    fn own(&mut self) -> Result<&mut OwnProcesses> {
        match self {
            Nodes::Processes(own) => Ok(own),
            Nodes::InProcess(_) => {
                bail!("a node that runs in this process cannot be stopped alone; run without --in-process")
            }
        }
    }

    pub async fn shutdown(self) {
        match self {
            Nodes::Processes(own) => {
                if let Err(error) = own.processes.stop().await {
                    tracing::warn!(%error, "a node could not be stopped");
                }
            }
            Nodes::InProcess(nodes) => nodes.stop().await,
        }
    }
}

impl OwnProcesses {
    /// Reads the CPU time of a node that is about to end.
    fn read_cpu(&mut self, node: NodeName) {
        let Some(id) = self.processes.pid(node) else { return };
        if let Ok(us) = process_cpu_us(id) {
            self.ended_us.insert(id, us);
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
