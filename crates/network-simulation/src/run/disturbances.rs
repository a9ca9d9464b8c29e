//! The faults of a run: begun and ended at their times, and healed in the end.

use std::collections::BTreeMap;

use anyhow::Result;
use cbdc_harness::history::Property;
use cbdc_storage::Fault as DiskFault;

use super::{CLIENTS, Node, World};
use crate::faults::{Fault, Planned};
use crate::links::{HostId, Link};
use crate::machine;

/// The threads of a process with one run.
const THREADS: usize = 2;
/// How long a flapping node is away, and then back, ns.
const FLAP_NS: u64 = 150_000_000;

impl World {
    /// Makes the faults at their times.
    pub(super) fn make(&mut self, faults: &[Planned]) -> Result<()> {
        let began_ns = machine::now_ns();
        self.tell(None, "the faults begin".to_owned());
        let at = |ms: u64| began_ns + ms * 1_000_000;
        let mut pending: Vec<Planned> = faults.to_vec();
        pending.sort_by_key(|planned| planned.at_ms);
        pending.reverse();
        let mut open: Vec<Planned> = Vec::new();
        let last = faults.iter().map(|planned| planned.at_ms + planned.lasts_ms).max().unwrap_or(0);
        let until = at(last.max(self.plan.shape.duration_ms));
        while machine::now_ns() < until {
            while let Some(planned) = pending.pop_if(|planned| at(planned.at_ms) <= machine::now_ns()) {
                // One fault at a time for each node, and only for one that runs.
                let is_struck = |open: &Planned| open.fault.node() == planned.fault.node();
                let is_down = planned.fault.node().is_some_and(|node| self.nodes[node].running.is_none());
                if is_down || open.iter().any(is_struck) {
                    continue;
                }
                self.begun.push(planned);
                self.begin(&planned);
                open.push(planned);
            }
            self.links.set_links(self.links_now(&open));
            self.links.set_slow_disks(self.slow_disks_now(&open));
            let now = machine::now_ns();
            let (over, still): (Vec<Planned>, Vec<Planned>) =
                open.into_iter().partition(|planned| at(planned.at_ms + planned.lasts_ms) <= now);
            open = still;
            for planned in &over {
                self.end(planned);
            }
            self.tick()?;
        }
        for planned in &open {
            self.end(planned);
        }
        Ok(())
    }

    /// The links as the open faults leave them.
    fn links_now(&self, open: &[Planned]) -> BTreeMap<(HostId, HostId), Link> {
        let mut links: BTreeMap<(HostId, HostId), Link> = BTreeMap::new();
        let hosts: Vec<HostId> = self.nodes.iter().map(|node| node.id).chain([CLIENTS]).collect();
        for planned in open {
            let struck = planned.fault.node().map(|node| self.nodes[node].id);
            for from in &hosts {
                for to in hosts.iter().filter(|to| *to != from) {
                    let (outgoing, incoming) = (Some(*from) == struck, Some(*to) == struck);
                    let is_cut = match planned.fault {
                        Fault::Isolate { .. } => outgoing || incoming,
                        Fault::Mute { .. } => outgoing,
                        Fault::Deafen { .. } => incoming,
                        Fault::Flap { .. } => (outgoing || incoming) && is_flapped_away(),
                        _ => false,
                    };
                    let slower_ns = match planned.fault {
                        Fault::Slow { by_ms, .. } if outgoing || incoming => by_ms * 1_000_000,
                        _ => 0,
                    };
                    let loss = if let Fault::Loss { one_in } = planned.fault { 1.0 / f64::from(one_in) } else { 0.0 };
                    if is_cut || slower_ns > 0 || loss > 0.0 {
                        let link = links.entry((*from, *to)).or_default();
                        link.is_cut |= is_cut;
                        link.latency_ns.1 += slower_ns;
                        link.loss = link.loss.max(loss);
                    }
                }
            }
        }
        links
    }

    /// The disks that are slow, with the longest time that they take, ns.
    fn slow_disks_now(&self, open: &[Planned]) -> BTreeMap<HostId, u64> {
        let slow = |planned: &Planned| match planned.fault {
            Fault::SlowDisk { node, by_ms } => Some((self.nodes[node].id, by_ms * 1_000_000)),
            _ => None,
        };
        open.iter().filter_map(slow).collect()
    }

    fn begin(&mut self, planned: &Planned) {
        self.tell(planned.fault.node(), format!("{}, for {} ms", planned.fault, planned.lasts_ms));
        self.struck_by(planned).for_each(|node| node.calm.disturb());
        match planned.fault {
            Fault::Kill { node, silently } => self.kill(node, silently),
            Fault::KillAfterWrites { node, writes } => {
                if let Some(running) = &self.nodes[node].running {
                    running.life.end_after(writes);
                }
            }
            Fault::Stop { node } => {
                if let Some(running) = &self.nodes[node].running {
                    running.stop.send_replace(true);
                }
            }
            Fault::Pause { node } => {
                let until = machine::now_ns() + planned.lasts_ms * 1_000_000;
                if let Some(running) = &mut self.nodes[node].running {
                    running.host.pause_until(until);
                }
            }
            Fault::ClockStep { node, by_ms } => self.put_clock(node, by_ms),
            Fault::DiskFails { node } => {
                let node = &mut self.nodes[node];
                if node.running.is_some() {
                    node.disk_fails = true;
                    node.disk.fail_next_write(DiskFault::IoAfterWriting);
                }
            }
            Fault::Isolate { .. }
            | Fault::Mute { .. }
            | Fault::Deafen { .. }
            | Fault::Flap { .. }
            | Fault::Slow { .. }
            | Fault::SlowDisk { .. }
            | Fault::Loss { .. } => {}
        }
    }

    /// The nodes that a fault strikes.
    fn struck_by(&mut self, planned: &Planned) -> impl Iterator<Item = &mut Node> {
        let struck = planned.fault.node();
        self.nodes
            .iter_mut()
            .enumerate()
            .filter(move |(node, _)| struck.is_none_or(|of| of == *node))
            .map(|(_, node)| node)
    }

    fn end(&mut self, planned: &Planned) {
        self.struck_by(planned).for_each(|node| node.calm.calm(machine::now_ns()));
        match planned.fault {
            Fault::Kill { node, .. } | Fault::Stop { node } | Fault::DiskFails { node } => {
                self.nodes[node].starts_at_ns = Some(machine::now_ns());
            }
            // It may have had less to write.
            Fault::KillAfterWrites { node, .. } => {
                self.kill(node, false);
                self.nodes[node].starts_at_ns = Some(machine::now_ns());
            }
            Fault::ClockStep { node, by_ms } => self.put_clock(node, -by_ms),
            _ => {}
        }
    }

    fn put_clock(&mut self, node: usize, by_ms: i64) {
        let node = &mut self.nodes[node];
        node.wall_offset_ns += by_ms * 1_000_000;
        if let Some(running) = &mut node.running {
            running.host.wall_offset_ns = node.wall_offset_ns;
        }
    }

    /// Ends everything that disturbs, and starts what is down.
    pub(super) fn heal(&mut self) -> Result<()> {
        self.links.set_links(BTreeMap::new());
        self.links.set_slow_disks(BTreeMap::new());
        self.tell(None, "the faults are over".to_owned());
        let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
        if threads > THREADS {
            let sentence = format!("expected {THREADS} threads, this one and its parent, found {threads}");
            self.recorder.violation(Property::Serves, sentence);
        }
        for node in &mut self.nodes {
            node.starts_at_ns.get_or_insert(machine::now_ns());
        }
        self.tick()
    }
}

/// Whether a flapping node is away now.
fn is_flapped_away() -> bool {
    (machine::now_ns() / FLAP_NS).is_multiple_of(2)
}
