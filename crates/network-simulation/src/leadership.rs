//! Who leads, as the nodes of the central bank know it, and whether a leader was deposed without need.
//!
//! A leader that a majority hears goes on leading: a node that was cut off and comes back, however long it has called
//! for an election, must not end a term that serves. So a new term is judged: if its former leader had led for a while,
//! and had been undisturbed together with a majority for [`CALM_NS`], nobody had a reason to stand.

use std::sync::OnceLock;

use cbdc_ordering::{Leadership, MemberId, Role};
use tokio::sync::watch;

/// How long nodes must have been undisturbed for a new term to need no excuse, ns. An election that a disturbance
/// brought about is over by then.
const CALM_NS: u64 = 5_000_000_000;
/// How long a leader must have led, ns.
const ESTABLISHED_NS: u64 = 1_000_000_000;

/// Where a node of the central bank tells who leads; empty until it serves, and for a bank.
pub type Told = OnceLock<watch::Receiver<Leadership>>;

/// Whether disturbances strike a node, and since when none does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calm {
    disturbances: u32,
    since_ns: u64,
}

impl Calm {
    /// A disturbance begins.
    pub fn disturb(&mut self) {
        self.disturbances += 1;
    }

    /// One is over.
    pub fn calm(&mut self, now_ns: u64) {
        self.disturbances = self.disturbances.saturating_sub(1);
        self.since_ns = now_ns;
    }

    /// It begins anew, as far as it can.
    pub fn starts(&mut self, now_ns: u64) {
        self.since_ns = now_ns;
    }

    fn is_calm(&self, now_ns: u64) -> bool {
        self.disturbances == 0 && self.since_ns + CALM_NS <= now_ns
    }
}

/// The leader of a term. Of two in one term, the one with the higher number was elected later.
#[derive(Debug, Clone, Copy)]
struct Term {
    term: u64,
    leader: MemberId,
    since_ns: u64,
}

/// A node of the central bank that runs.
pub struct Member<'a> {
    pub id: MemberId,
    pub told: &'a Told,
    pub calm: Calm,
}

/// A new leader.
#[derive(Debug, PartialEq, Eq)]
pub struct NewLeader {
    pub term: u64,
    pub leader: MemberId,
    /// The leader that was deposed without need.
    pub deposed: Option<MemberId>,
}

/// The latest term with a leader.
#[derive(Debug, Default)]
pub struct Leaders(Option<Term>);

impl Leaders {
    /// Looks who leads now, among `count` nodes of which `running` run. Returns a leader that is new.
    pub fn look(&mut self, running: &[Member<'_>], count: usize, now_ns: u64) -> Option<NewLeader> {
        let leads = |member: &Member<'_>| {
            let leadership = member.told.get()?.borrow();
            (leadership.role == Role::Leader).then_some((leadership.term, member.id))
        };
        let (term, leader) = running.iter().filter_map(leads).max()?;
        let former = self.0.replace(Term { term, leader, since_ns: now_ns });
        if let Some(former) = former
            && (former.term, former.leader) >= (term, leader)
        {
            self.0 = Some(former);
            return None;
        }
        let calm = || running.iter().filter(|member| member.calm.is_calm(now_ns)).map(|member| member.id);
        let is_deposed = |former: &Term| {
            let is_established = former.since_ns + ESTABLISHED_NS <= now_ns;
            is_established && calm().any(|member| member == former.leader) && calm().count() > count / 2
        };
        Some(NewLeader { term, leader, deposed: former.filter(is_deposed).map(|former| former.leader) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn leads(term: u64) -> Told {
        let leadership = Leadership { role: Role::Leader, term, leader: Some(1), committed: None, hand_over_ms: None };
        let told = Told::new();
        told.set(watch::channel(leadership).1).unwrap();
        told
    }

    #[test]
    fn a_leader_is_deposed_without_need_if_it_and_a_majority_were_calm() {
        let (old, new, silent) = (leads(1), leads(2), Told::new());
        let (calm, mut struck) = (Calm::default(), Calm::default());
        struck.disturb();
        let mut leaders = Leaders::default();
        let first = [Member { id: 1, told: &old, calm }, Member { id: 2, told: &silent, calm }];
        assert_eq!(leaders.look(&first, 3, S), Some(NewLeader { term: 1, leader: 1, deposed: None }));
        assert_eq!(leaders.look(&first, 3, 2 * S), None);
        let second = |former: Calm, other: Calm| {
            let mut leaders = Leaders(Some(Term { term: 1, leader: 1, since_ns: S }));
            let running = [
                Member { id: 1, told: &old, calm: former },
                Member { id: 2, told: &silent, calm: other },
                Member { id: 3, told: &new, calm: struck },
            ];
            leaders.look(&running, 3, 20 * S).unwrap().deposed
        };
        assert_eq!(second(calm, calm), Some(1));
        assert_eq!(second(struck, calm), None, "the leader was disturbed");
        assert_eq!(second(calm, struck), None, "a majority was");
        let mut back = struck;
        back.calm(18 * S);
        assert_eq!(second(calm, back), None, "until just now");
    }
}
