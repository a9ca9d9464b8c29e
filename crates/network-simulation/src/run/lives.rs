//! The nodes of a run: started, killed, started again, and stopped in the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use cbdc_client::NodeName;
use cbdc_harness::history::Property;
use cbdc_ordering::members::Flaw;
use cbdc_proto::wall_clock::wall_clock;
use cbdc_storage::Store;
use rand::RngExt;
use tokio::sync::watch;

use super::{CLIENTS, Node, Running, World};
use crate::canary::Canary;
use crate::clients::PATIENCE;
use crate::disk::Life;
use crate::hosts::Host;
use crate::leadership::Told;
use crate::life::{State, live};
use crate::machine;

/// How long a canary's leader keeps what it has already acknowledged before it sends it to the others.
const PROPOSAL_KEPT: Duration = Duration::from_millis(20);
/// The pause before a node that ended by itself is started again, ns.
const RESTART_AFTER_NS: u64 = 500_000_000;

impl World {
    /// Takes down nodes that have ended, and starts those that are due.
    pub(super) fn look_after_nodes(&mut self) -> Result<()> {
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            let state = node.running.as_ref().map(Running::state);
            if node.running.as_ref().is_some_and(|running| running.life.is_over()) && state != Some(State::Stopped) {
                self.kill(index, false);
                self.tell(Some(index), "is gone".to_owned());
                continue;
            }
            match state {
                Some(State::Ended(why)) => {
                    let (name, disk_fails) = (node.name, node.disk_fails);
                    self.kill(index, false);
                    if why.contains("dismissed") && self.is_dismissed(name) {
                        self.nodes[index].is_gone = true;
                        self.tell(Some(index), "has left: it was dismissed".to_owned());
                        continue;
                    }
                    self.nodes[index].starts_at_ns.get_or_insert(machine::now_ns() + RESTART_AFTER_NS);
                    self.tell(Some(index), format!("ended by itself: {why}"));
                    if !disk_fails {
                        self.recorder.violation(Property::Serves, format!("{name} ended by itself: {why}"));
                    }
                }
                Some(State::Stopped) => {
                    self.kill(index, false);
                    self.tell(Some(index), "has stopped".to_owned());
                }
                None if node.starts_at_ns.is_some_and(|at| at <= machine::now_ns()) && !node.is_gone => {
                    node.starts_at_ns = None;
                    self.tell(Some(index), "starts again".to_owned());
                    self.start(index)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn start(&mut self, index: usize) -> Result<()> {
        let canary = self.options.canary;
        let node = &mut self.nodes[index];
        let lies = match node.name {
            NodeName::CentralBank(_) => canary == Some(Canary::AcknowledgesBeforeSync),
            NodeName::Bank(_) => canary == Some(Canary::AcceptsBeforeSync),
        };
        self.links.host_starts(node.id);
        let (stop, stopping) = watch::channel(false);
        let (life, state) = (Life::new(node.disk.clone(), lies), Arc::<Mutex<State>>::default());
        let told = Arc::<Told>::default();
        node.calm.starts(machine::now_ns());
        node.disk_fails = false;
        let path = self.network.config_path(node.name);
        let store: Arc<dyn Store> = Arc::new(life.clone());
        let tell = (state.clone(), told.clone());
        let host = match node.name {
            NodeName::CentralBank(_) => {
                let mut config = cbdc_central_bank::Config::load(&path)?;
                config.metrics_listen = None;
                config.verification_threads = 1;
                if let Some(ordering) = &mut config.ordering {
                    ordering.entries_for_followers = self.plan.shape.entries_for_followers;
                }
                config.flaw = match canary {
                    Some(Canary::AcknowledgesBeforeQuorum) => Some(Flaw::AcknowledgesUnanswered(PROPOSAL_KEPT)),
                    Some(Canary::SkipsPreVotes) => Some(Flaw::SkipsPreVotes),
                    _ => None,
                };
                let environment = cbdc_central_bank::Environment { store, wall_clock: Box::new(wall_clock) };
                let starting = cbdc_central_bank::start_on(config, environment);
                Host::start(node.id, node.wall_offset_ns, live(starting, stopping, tell))
            }
            NodeName::Bank(_) => {
                let mut config = cbdc_bank::Config::load(&path)?;
                config.metrics_listen = None;
                let starting = cbdc_bank::start_on(config, store);
                Host::start(node.id, node.wall_offset_ns, live(starting, stopping, tell))
            }
        };
        node.running = Some(Running { host, life, stop, state, told });
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        *lives.entry(node.name).or_default() += 1;
        Ok(())
    }

    /// Takes a node's host down at once.
    pub(super) fn kill(&mut self, index: usize, silently: bool) {
        let node = &mut self.nodes[index];
        let Some(running) = node.running.take() else { return };
        running.life.end();
        self.links.host_ends(node.id, silently);
        running.host.kill();
        // What was not synced survives a process, often; of a machine, any number of the first writes may.
        let pending = node.disk.pending();
        let kept = match self.random.random_range(0..3) {
            0 => 0,
            1 if !silently => pending,
            _ => self.random.random_range(0..=pending),
        };
        node.disk.crash_keeping(kept);
    }

    /// Stops the nodes in order: the banks first.
    pub(super) fn stop_all(&mut self) -> Result<()> {
        if let Some(clients) = self.clients.take() {
            self.links.host_ends(CLIENTS, false);
            clients.kill();
        }
        for is_bank in [true, false] {
            for node in &mut self.nodes {
                node.starts_at_ns = None;
                if matches!(node.name, NodeName::Bank(_)) == is_bank
                    && let Some(running) = &node.running
                {
                    running.stop.send_replace(true);
                }
            }
            let of_this_kind = |node: &Node| matches!(node.name, NodeName::Bank(_)) == is_bank;
            let have_stopped = self.until(PATIENCE.as_nanos() as u64, |world| {
                world.nodes.iter().filter(|node| of_this_kind(node)).all(|node| node.running.is_none())
            })?;
            if !have_stopped {
                let sentence = format!("a node did not stop within {} s", PATIENCE.as_secs());
                self.recorder.violation(Property::Serves, sentence);
            }
        }
        for index in 0..self.nodes.len() {
            self.kill(index, false);
        }
        Ok(())
    }
}
