//! What is looked at in every tick: who leads, what is decided, and what counts as committed.

use std::sync::PoisonError;

use cbdc_client::NodeName;
use cbdc_harness::history::Property;
use cbdc_storage::Store;

use super::{Node, World};
use crate::committee::Decision;
use crate::{leadership, machine};

impl World {
    /// Judges whether a majority has what counts as committed.
    pub(super) fn look_after_quorum(&mut self) {
        if !self.plan.keeps_members() {
            return;
        }
        let central_banks = || self.nodes.iter().filter(|node| matches!(node.name, NodeName::CentralBank(_)));
        let committed =
            central_banks().filter_map(Node::member).filter_map(|member| member.told.get()?.borrow().committed);
        let disks: Vec<&dyn Store> = central_banks().map(|node| &*node.disk as &dyn Store).collect();
        if let Some(sentence) = self.quorum.look(committed.max(), &disks) {
            self.recorder.violation(Property::CommittedByMajority, sentence);
        }
    }

    /// Tells of what the committee decides.
    pub(super) fn look_after_decisions(&mut self) {
        let begun = std::mem::take(&mut self.decided.lock().unwrap_or_else(PoisonError::into_inner).begun);
        for decision in begun {
            if let Decision::Dismiss { node } = decision {
                // It hands leadership over, if it has it.
                self.nodes[node].calm.disturb();
            }
            self.tell(None, format!("the committee decides: {decision}"));
        }
    }

    /// Whether a node orders no more, or not yet, by the committee's decision.
    pub(super) fn is_dismissed(&self, name: NodeName) -> bool {
        let decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        decided.orders.get(&name) == Some(&false)
    }

    /// Tells of a new leader, and judges whether there was need of one.
    pub(super) fn look_after_leader(&mut self) {
        let order = |node: &&Node| matches!(node.name, NodeName::CentralBank(_)) && !self.is_dismissed(node.name);
        let count = self.nodes.iter().filter(order).count();
        let running: Vec<leadership::Member<'_>> = self.nodes.iter().filter(order).filter_map(Node::member).collect();
        let Some(new) = self.leaders.look(&running, count, machine::now_ns()) else { return };
        if let Some(deposed) = new.deposed {
            let sentence = format!(
                "central-bank-{} leads in term {} at {} ms, although central-bank-{deposed} and a majority were \
                 undisturbed",
                new.leader,
                new.term,
                machine::now_ns() / 1_000_000
            );
            self.recorder.violation(Property::KeepsLeader, sentence);
        }
        let is_leader = |node: &Node| matches!(node.name, NodeName::CentralBank(id) if u64::from(id.0) == new.leader);
        let index = self.nodes.iter().position(is_leader);
        self.tell(index, format!("leads in term {}", new.term));
    }
}
