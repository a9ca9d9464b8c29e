//! Every node of a network as its own process.
//!
//! * A node is `PROGRAM node central-bank|bank --config FILE --stop-with-parent`, its log in its folder.
//! * Its standard input is the reading end of a pipe. The pipe closes when this process ends, however it ends, and the
//!   node stops.
//! * A node is ready when gRPC health reports it. One that dies before is reported with the end of its log.
//! * Stopping is SIGTERM, then SIGKILL after a grace period, to exactly the processes started here.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use cbdc_client::{ClientError, NodeName, Role};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::error::NetworkError;
use super::network::Network;
use super::ports::check_can_start;

/// The time that a node may take to serve; a restart replays its log first.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The time that a node may take to stop after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(20);
const LOG_TAIL_LINES: usize = 20;

/// The running processes of a network. Dropping it kills them.
pub struct Processes {
    network: Network,
    program: PathBuf,
    children: BTreeMap<NodeName, Child>,
}

impl Processes {
    /// Starts every node from this very program, and waits until all are ready.
    pub async fn start(network: &Network) -> Result<Processes, NetworkError> {
        let program = std::env::current_exe().map_err(|source| NetworkError::Spawn {
            node: network.central_bank(),
            program: PathBuf::from("this program"),
            source,
        })?;
        Processes::start_from(network, &program).await
    }

    /// Starts every node from a given `cbdc` program.
    pub async fn start_from(network: &Network, program: &Path) -> Result<Processes, NetworkError> {
        let nodes: Vec<NodeName> = network.nodes().collect();
        check_can_start(network)?;
        let mut processes =
            Processes { network: network.clone(), program: program.to_owned(), children: BTreeMap::new() };
        for node in &nodes {
            processes.spawn(*node)?;
        }
        let is_bank = |node: &&NodeName| node.role() == Role::Bank;
        for node in nodes.iter().filter(|node| !is_bank(node)) {
            processes.wait_ready(*node).await?;
        }
        network.follow_membership().await;
        for node in nodes.iter().filter(is_bank) {
            processes.wait_ready(*node).await?;
        }
        Ok(processes)
    }

    /// The process id of a running node.
    pub fn pid(&self, node: NodeName) -> Option<u32> {
        self.children.get(&node).and_then(Child::id)
    }

    /// The process ids of all running nodes, the central bank's first.
    pub fn pids(&self) -> Vec<(NodeName, u32)> {
        self.children.iter().filter_map(|(node, child)| Some((*node, child.id()?))).collect()
    }

    /// Kills a node at once, as `kill -9` does, and waits until it is gone.
    pub async fn kill(&mut self, node: NodeName) -> Result<(), NetworkError> {
        let mut child = self.children.remove(&node).ok_or(NetworkError::NotRunning { node })?;
        child.kill().await.map_err(|error| NetworkError::Node { node, reason: format!("cannot be killed: {error}") })
    }

    /// Stops one node gracefully.
    pub async fn stop_node(&mut self, node: NodeName) -> Result<(), NetworkError> {
        let child = self.children.remove(&node).ok_or(NetworkError::NotRunning { node })?;
        stop_child(node, child).await
    }

    /// Pauses a node as SIGSTOP does: it does nothing, and its connections stay open.
    pub async fn pause(&mut self, node: NodeName) -> Result<(), NetworkError> {
        signal(self.pid(node).ok_or(NetworkError::NotRunning { node })?, "-STOP").await;
        Ok(())
    }

    /// Lets a paused node go on.
    pub async fn resume(&mut self, node: NodeName) -> Result<(), NetworkError> {
        signal(self.pid(node).ok_or(NetworkError::NotRunning { node })?, "-CONT").await;
        Ok(())
    }

    /// Starts a node that was killed or has ended, or stops a running one gracefully first; waits until it is ready.
    pub async fn restart(&mut self, node: NodeName) -> Result<(), NetworkError> {
        if let Some(child) = self.children.remove(&node) {
            stop_child(node, child).await?;
        }
        self.spawn(node)?;
        self.wait_ready(node).await
    }

    /// A node that has ended by itself since the last call, if any, with its exit status and the end of its log.
    pub fn ended(&mut self) -> Option<(NodeName, NetworkError)> {
        let is_over = |(node, child): (&NodeName, &mut Child)| Some((*node, child.try_wait().ok()??));
        let (node, status) = self.children.iter_mut().find_map(is_over)?;
        self.children.remove(&node);
        Some((node, died(&self.network, node, status)))
    }

    /// Fails if a node has ended by itself since the last call.
    pub fn check_alive(&mut self) -> Result<(), NetworkError> {
        self.ended().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Stops every node gracefully: the banks first, together, then the central bank's followers, then its leader.
    pub async fn stop(mut self) -> Result<(), NetworkError> {
        let leader = self.network.leader().await;
        let children = std::mem::take(&mut self.children);
        let (banks, central_banks): (Vec<_>, Vec<_>) =
            children.into_iter().partition(|(node, _)| node.role() == Role::Bank);
        let (leaders, followers): (Vec<_>, Vec<_>) =
            central_banks.into_iter().partition(|(node, _)| Some(*node) == leader);
        for group in [banks, followers, leaders] {
            let stopped =
                futures::future::join_all(group.into_iter().map(|(node, child)| stop_child(node, child))).await;
            stopped.into_iter().collect::<Result<Vec<()>, _>>()?;
        }
        Ok(())
    }

    fn spawn(&mut self, node: NodeName) -> Result<(), NetworkError> {
        let log = open_log(&self.network.log_path(node))?;
        let log_too =
            log.try_clone().map_err(|source| NetworkError::Write { path: self.network.log_path(node), source })?;
        let kind = match node {
            NodeName::CentralBank(_) => "central-bank",
            NodeName::Bank(_) => "bank",
        };
        let child = Command::new(&self.program)
            .args(["node", kind, "--stop-with-parent", "--config"])
            .arg(self.network.config_path(node))
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(log_too)
            // Ctrl-C goes to the whole group of the terminal: nodes of their own group are stopped by us, in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| NetworkError::Spawn { node, program: self.program.clone(), source })?;
        self.children.insert(node, child);
        Ok(())
    }

    async fn wait_ready(&mut self, node: NodeName) -> Result<(), NetworkError> {
        let give_up = Instant::now() + READY_WITHIN;
        loop {
            let child = self.children.get_mut(&node).ok_or(NetworkError::NotRunning { node })?;
            if let Ok(Some(status)) = child.try_wait() {
                self.children.remove(&node);
                return Err(died(&self.network, node, status));
            }
            match is_ready(&self.network, node).await {
                Ok(true) => return Ok(()),
                // A node that has not read its ledger yet admits nobody.
                Ok(false)
                | Err(ClientError::Unreachable { .. } | ClientError::NoAnswer { .. } | ClientError::NobodyActs(_)) => {}
                Err(error) => return Err(error.into()),
            }
            if Instant::now() >= give_up {
                let log = self.network.log_path(node);
                return Err(NetworkError::NotReady { node, waited_s: READY_WITHIN.as_secs(), tail: tail(&log), log });
            }
            sleep(POLL_EVERY).await;
        }
    }
}

async fn is_ready(network: &Network, node: NodeName) -> Result<bool, ClientError> {
    network.connect_reader(node).await?.with_deadline(Duration::from_secs(2)).is_ready().await
}

fn open_log(path: &Path) -> Result<File, NetworkError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|source| NetworkError::Write { path: path.to_owned(), source })
}

fn died(network: &Network, node: NodeName, status: ExitStatus) -> NetworkError {
    let log = network.log_path(node);
    NetworkError::Died { node, status: status.to_string(), tail: tail(&log), log }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

/// SIGTERM, then SIGKILL if that is not enough.
async fn stop_child(node: NodeName, mut child: Child) -> Result<(), NetworkError> {
    let failed = |error: std::io::Error| NetworkError::Node { node, reason: format!("cannot be stopped: {error}") };
    if let Some(pid) = child.id() {
        signal(pid, "-TERM").await;
        // A paused process takes the signal when it goes on.
        signal(pid, "-CONT").await;
    }
    // Without kill(1), the closed pipe has the same effect.
    drop(child.stdin.take());
    match timeout(STOP_WITHIN, child.wait()).await {
        Ok(ended) => ended.map(drop).map_err(failed),
        Err(_) => child.kill().await.map_err(failed),
    }
}

/// Sends a signal to one process through kill(1): the standard library can only send SIGKILL.
async fn signal(pid: u32, name: &str) {
    let kill = Command::new("kill").args([name, &pid.to_string()]).stderr(Stdio::null()).status();
    kill.await.ok();
}

#[cfg(test)]
mod tests {
    use super::super::spec::{NetworkSpec, Ports};
    use super::*;

    fn network(folder: &Path) -> Network {
        let spec = NetworkSpec { ports: Ports::Free, banks: 1, ..NetworkSpec::default() };
        Network::create(&folder.join("net"), &spec).unwrap()
    }

    #[tokio::test]
    async fn a_node_that_dies_at_once_is_reported_with_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let network = network(folder.path());
        std::fs::write(network.log_path(network.central_bank()), "the last words\n").unwrap();
        let error = Processes::start_from(&network, Path::new("/bin/false")).await.err().unwrap();
        assert!(matches!(&error, NetworkError::Died { tail, .. } if tail == "the last words"), "{error}");
    }

    #[tokio::test]
    async fn a_busy_port_is_named_before_anything_starts() {
        let folder = tempfile::tempdir().unwrap();
        let network = network(folder.path());
        let address = network.address(NodeName::Bank(cbdc_ledger::BankId(1))).unwrap();
        let _taken = std::net::TcpListener::bind(address).unwrap();
        let error = Processes::start_from(&network, Path::new("/bin/false")).await.err().unwrap();
        assert!(matches!(error, NetworkError::PortTaken { node: NodeName::Bank(_), .. }), "{error}");
    }

    #[test]
    fn the_tail_is_the_last_twenty_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("node.log");
        std::fs::write(&log, (0..50).map(|line| format!("line {line}\n")).collect::<String>()).unwrap();
        assert_eq!(tail(&log).lines().next(), Some("line 30"));
        assert_eq!(tail(&folder.path().join("missing")), "");
    }
}
