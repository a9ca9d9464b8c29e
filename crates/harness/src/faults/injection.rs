//! Faults, carried out on the processes and links of a network.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, Result};
use cbdc_client::NodeName;
use cbdc_devnet::{Network, Processes};
use tokio::time::{Instant, sleep};

use super::clients::Lives;
use super::plan::{Fault, Part, Side};
use crate::run::links::{Links, Pace};

/// The longest time in which a leader must be found.
const LEADER_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(50);

/// A network that can be disturbed.
pub(super) struct Injection {
    pub network: Network,
    pub nodes: Processes,
    pub links: Links,
    pub lives: Lives,
}

/// A fault that has begun.
pub(super) struct Begun {
    /// The nodes that it struck, in words.
    pub struck: String,
    down: Vec<NodeName>,
    paused: Vec<NodeName>,
    /// Whether it rules links.
    cuts: bool,
    /// The nodes on the side of the majority, where the banks were left with a minority.
    pub majority: Vec<NodeName>,
}

impl Injection {
    /// The node that leads, and the followers by number.
    async fn parts(&self) -> Result<(NodeName, Vec<NodeName>)> {
        let give_up = Instant::now() + LEADER_WITHIN;
        loop {
            if let Some(leader) = self.network.leader().await {
                return Ok((leader, self.network.central_banks().filter(|node| *node != leader).collect()));
            }
            anyhow::ensure!(Instant::now() < give_up, "no leader is known within {} s", LEADER_WITHIN.as_secs());
            sleep(POLL_EVERY).await;
        }
    }

    /// Begins a fault; a hand-over and a rolling restart are over when this returns.
    pub async fn begin(&mut self, fault: &Fault) -> Result<Begun> {
        let (leader, followers) = self.parts().await?;
        let named = |part: Part| match part {
            Part::Leader => leader,
            Part::Follower(index) => followers[index % followers.len()],
        };
        let all: Vec<NodeName> = self.network.central_banks().collect();
        let mut begun =
            Begun { struck: String::new(), down: vec![], paused: vec![], cuts: false, majority: Vec::new() };
        match *fault {
            Fault::Kill(part) => begun.down = vec![named(part)],
            Fault::KillAll => begun.down = all.clone(),
            Fault::Pause(part) => begun.paused = vec![named(part)],
            Fault::Cut(side, direction) => {
                let banks = self.network.banks().map(NodeName::Bank);
                let sides: Vec<BTreeSet<NodeName>> = match side {
                    Side::One(part) => vec![[named(part)].into()],
                    Side::LeaderAndBanks => {
                        begun.majority = followers.clone();
                        vec![banks.chain([leader]).collect()]
                    }
                    Side::Majority(index) => {
                        begun.majority = vec![leader, named(Part::Follower(index))];
                        vec![begun.majority.iter().copied().collect()]
                    }
                    Side::Each => all.iter().map(|node| [*node].into()).collect(),
                };
                begun.cuts = true;
                begun.struck = text(sides.iter().flatten());
                sides.into_iter().for_each(|nodes| self.links.cut(nodes, direction));
            }
            Fault::Slow(part, delay) => self.pace(&mut begun, named(part), Pace { delay, ..Pace::default() }),
            Fault::Lossy(part, loss_ppm) => {
                self.pace(&mut begun, named(part), Pace { loss_ppm, ..Pace::default() });
            }
            Fault::HandOver => {
                begun.struck = match self.network.hand_over(None).await {
                    Ok(done) => {
                        let successor = NodeName::CentralBank(done.now().leader);
                        format!("{leader} to {successor}, nothing ordered for {} ms", done.now().pause_ms)
                    }
                    // The leader leads on where no successor follows closely enough, which is no fault of its.
                    Err(error) => format!("{leader} did not: {error}"),
                };
            }
            Fault::RollingRestart => {
                for node in followers.iter().copied().chain([leader]) {
                    self.restart(node).await?;
                }
                begun.struck = text(followers.iter().chain([&leader]));
            }
        }
        for node in &begun.down {
            self.nodes.kill(*node).await?;
        }
        for node in &begun.paused {
            self.nodes.pause(*node).await?;
        }
        if begun.struck.is_empty() {
            begun.struck = text(begun.down.iter().chain(&begun.paused));
        }
        Ok(begun)
    }

    fn pace(&self, begun: &mut Begun, node: NodeName, pace: Pace) {
        begun.cuts = true;
        begun.struck = node.to_string();
        self.links.slow([node].into(), pace);
    }

    /// Ends a fault: everything is as before, as far as it is up to the outside.
    pub async fn end(&mut self, begun: &Begun) -> Result<()> {
        if begun.cuts {
            self.links.heal();
        }
        for node in &begun.paused {
            self.nodes.resume(*node).await?;
        }
        // They serve before they know a leader, so one can wait for the other.
        for node in &begun.down {
            self.restart(*node).await?;
        }
        Ok(())
    }

    async fn restart(&mut self, node: NodeName) -> Result<()> {
        self.count_start(node);
        self.nodes.restart(node).await.with_context(|| format!("{node} was restarted"))
    }

    fn count_start(&self, node: NodeName) {
        *self.lives.lock().unwrap_or_else(PoisonError::into_inner).entry(node).or_insert(1) += 1;
    }

    /// Starts the nodes again that have ended by themselves; returns which, and why.
    pub async fn restart_ended(&mut self) -> Result<Vec<(NodeName, String)>> {
        let mut ended = Vec::new();
        while let Some((node, why)) = self.nodes.ended() {
            ended.push((node, why.to_string()));
        }
        for (node, _) in &ended {
            self.restart(*node).await?;
        }
        Ok(ended)
    }
}

fn text<'a>(nodes: impl Iterator<Item = &'a NodeName>) -> String {
    nodes.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
