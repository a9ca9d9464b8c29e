//! Succession: following who leads, and handing over.
//!
//! This node leads ([`Leading`]) once ordering says so and settlement has applied the first entry of its term: by then
//! everything that was ordered before is in the ledger. A fresh leader's clock starts over from the newest block, and
//! it collects the issuance requests that the others keep.
//!
//! # The planned hand-over
//! 1. Calls and streams wait; what was taken is ordered, settled and answered.
//! 2. Ordering hands over to the node that was named, or to the one that is furthest.
//! 3. Those who wait are told where the new leader is. If there is none after all, this node leads on and they go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as MemoryOrdering};
use std::time::{Duration, Instant};

use cbdc_ledger::MemberId;
use cbdc_node::LedgerHandle;
use cbdc_ordering::{HandOverError, Leadership, Ordering};
use metrics::{counter, gauge};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::kept_requests::OtherNodes;
use super::member_id;
use crate::batch::Batch;
use crate::clock::Clock;
use crate::issuance_queue::IssuanceQueue;
use crate::leading::{Leader, Leading, Standing};
use crate::metrics as names;
use crate::shares::work_queue::WorkQueue;
use crate::witnesses::Witnesses;

/// The longest time for answering what was taken, and again for the successor's log.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);
/// The interval at which a leader that hands over looks whether all is answered.
const DRAIN_POLL: Duration = Duration::from_millis(1);
/// The interval of the metrics.
const METRICS_EVERY: Duration = Duration::from_secs(1);
/// The interval at which a leader looks whether it is followed.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A leader that a majority has not followed for so long takes no more commands: another may lead by now.
const UNFOLLOWED_MAX: Duration = Duration::from_millis(500);
/// A leader that was not heard for so long is not named any more; that is longer than the failure detector waits.
const UNHEARD_MAX: Duration = Duration::from_secs(1);
/// The pause of a leader whose clock has jumped between two attempts to hand over.
const CLOCK_HAND_OVER_EVERY: Duration = Duration::from_secs(5);

/// The reason why leadership was not handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotHandedOver {
    #[error("this node does not lead, or hands over already")]
    NotLeader,
    #[error("the commands in flight were not all answered within {} ms", .0.as_millis())]
    NotAnswered(Duration),
    #[error(transparent)]
    Ordering(#[from] HandOverError),
}

/// A hand-over that was completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOver {
    pub leader: Leader,
    pub term: u64,
    /// The time for which no command was taken.
    pub pause: Duration,
}

/// Follows the leadership, and hands it over.
pub struct Succession {
    pub member: MemberId,
    pub ordering: Arc<Ordering>,
    pub leading: Arc<Leading>,
    pub clock: Arc<Clock>,
    pub ledger: LedgerHandle,
    pub work: Arc<WorkQueue<Batch>>,
    pub witnesses: Arc<Witnesses>,
    /// The other nodes, from which a new leader collects what they keep.
    pub others: Arc<OtherNodes>,
    pub issuance_queue: IssuanceQueue,
    /// The term of which settlement has applied the first entry, if this node leads in it.
    pub term_began: watch::Receiver<Option<u64>>,
    /// The hand-overs that were completed.
    pub hand_overs: AtomicU64,
    pub stop: CancellationToken,
}

impl Succession {
    /// Follows the leadership until the node stops.
    pub async fn follow(self: Arc<Self>) {
        let (mut leadership, mut term_began) = (self.ordering.leadership(), self.term_began.clone());
        let (mut look, mut every) = (tokio::time::interval(LOOK_EVERY), tokio::time::interval(METRICS_EVERY));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut clock_handed_over = Instant::now();
        // The term in which this node leads.
        let mut leads_in = None;
        loop {
            let known = *leadership.borrow_and_update();
            let began = *term_began.borrow_and_update();
            self.follow_to(&known, began, &mut leads_in).await;
            tokio::select! {
                changed = leadership.changed() => if changed.is_err() { return },
                changed = term_began.changed() => if changed.is_err() { return },
                _ = look.tick() => {}
                _ = every.tick() => {
                    self.report(&known);
                    self.witnesses.forget_what_is_found();
                    if self.ordering.members().iter().filter(|state| state.votes).count() > 1 {
                        self.witnesses.note_replicas();
                    }
                    let has_jumped = self.clock.stamp().is_err();
                    let may_try = clock_handed_over.elapsed() > CLOCK_HAND_OVER_EVERY;
                    if known.is_leader() && may_try && has_jumped {
                        clock_handed_over = Instant::now();
                        let of = self.clone();
                        tokio::spawn(async move { of.leave_with_jumped_clock().await });
                    }
                }
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn follow_to(&self, known: &Leadership, began: Option<u64>, leads_in: &mut Option<u64>) {
        let leads_now = known.is_leader() && began == Some(known.term) && self.is_followed();
        if leads_now && *leads_in == Some(known.term) {
            return;
        }
        if leads_now {
            // Of another term than the last, if it led: nothing is taken in between.
            self.leading.set(Standing::Follows(None));
            self.others.collect(known.term, &self.issuance_queue).await;
            let still = *self.ordering.leadership().borrow();
            if !still.is_leader() || still.term != known.term {
                // The watch has another turn.
                return;
            }
            self.clock.take_over_at(self.ledger.read(|ledger| ledger.tip().time));
            counter!(names::LEADERSHIPS).increment(1);
            tracing::info!(term = known.term, "this node leads");
            *leads_in = Some(known.term);
            self.leading.set(Standing::Leads);
            self.report(known);
            return;
        }
        *leads_in = None;
        let leader = known.leader.filter(|leader| *leader != u64::from(self.member.0));
        let standing = Standing::Follows(leader.and_then(|leader| self.leader(leader)));
        if *self.leading.watch().borrow() == standing {
            return;
        }
        match &standing {
            Standing::Follows(Some(Leader { member, address })) => {
                tracing::info!(leader = %member, address, term = known.term, "another node leads");
            }
            _ if known.is_leader() && began == Some(known.term) => {
                tracing::warn!(term = known.term, "no majority follows this node: it takes no more commands");
            }
            _ => tracing::info!(term = known.term, "no node is known to lead"),
        }
        self.leading.set(standing);
        self.report(known);
    }

    /// The leader, if this node leads and a majority follows it, or has heard another one lately. Without either nobody
    /// may lead any more.
    pub fn heard_leader(&self) -> Option<MemberId> {
        let leader = self.ordering.leadership().borrow().leader?;
        let is_known = match leader == u64::from(self.member.0) {
            true => self.is_followed(),
            false => {
                let silent_ms = self.ordering.state().leader_silent_ms.unwrap_or_default();
                Duration::from_millis(silent_ms) <= UNHEARD_MAX
            }
        };
        member_id(leader).filter(|_| is_known)
    }

    /// Whether a majority has followed this leader lately. Its own disk counts for it.
    fn is_followed(&self) -> bool {
        let silent_ms = self.ordering.state().majority_silent_ms.unwrap_or_default();
        Duration::from_millis(silent_ms) <= UNFOLLOWED_MAX
    }

    fn leader(&self, member: u64) -> Option<Leader> {
        let found = self.ordering.members().into_iter().find(|state| state.member == member)?;
        Some(Leader { member: member_id(member)?, address: found.address })
    }

    fn report(&self, known: &Leadership) {
        gauge!(names::IS_LEADER).set(if known.is_leader() { 1.0 } else { 0.0 });
        gauge!(names::TERM).set(known.term as f64);
        if let Some(ms) = known.hand_over_ms {
            gauge!(names::WITHOUT_LEADER).set(ms as f64 / 1_000.0);
        }
        for state in self.ordering.members() {
            if let Some(lag) = state.lag {
                gauge!(names::LAG, "node" => state.member.to_string()).set(lag as f64);
            }
        }
    }

    /// Hands leadership over because the node stops.
    pub async fn leave(&self) {
        match self.hand_over(None).await {
            Ok(done) => tracing::info!(successor = %done.leader.member, "leadership was handed over before the stop"),
            Err(NotHandedOver::NotLeader) => {}
            Err(error) => tracing::warn!(%error, "the node stops although it leads"),
        }
    }

    async fn leave_with_jumped_clock(&self) {
        match self.hand_over(None).await {
            Ok(done) => tracing::warn!(
                successor = %done.leader.member,
                "this node's clock has jumped, so it has handed leadership over"
            ),
            Err(error) => {
                tracing::error!(%error, "this node's clock has jumped, and leadership could not be handed over");
            }
        }
    }

    /// Hands leadership over, to `successor` or to the node that is furthest.
    ///
    /// # Errors
    /// [`NotHandedOver`]: this node leads on, if it led.
    pub async fn hand_over(&self, successor: Option<MemberId>) -> Result<HandedOver, NotHandedOver> {
        if !self.leading.begin_to_hand_over() {
            return Err(NotHandedOver::NotLeader);
        }
        let began = Instant::now();
        let result = self.drain_and_hand_over(successor, began).await;
        match &result {
            Ok(done) => {
                self.hand_overs.fetch_add(1, MemoryOrdering::Relaxed);
                self.leading.set(Standing::Follows(Some(done.leader.clone())));
            }
            Err(_) => self.leading.lead_on(),
        }
        result
    }

    /// Hands over, also where this node was elected and has not begun to order yet. Returns the successor.
    pub async fn step_aside(&self) -> Result<u64, NotHandedOver> {
        if self.leading.leads() {
            return self.hand_over(None).await.map(|done| u64::from(done.leader.member.0));
        }
        Ok(self.ordering.hand_over(None, HAND_OVER_MAX).await?.successor)
    }

    async fn drain_and_hand_over(
        &self,
        successor: Option<MemberId>,
        began: Instant,
    ) -> Result<HandedOver, NotHandedOver> {
        let drained = async {
            while !self.work.is_idle() {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        tokio::time::timeout(HAND_OVER_MAX, drained).await.map_err(|_| NotHandedOver::NotAnswered(HAND_OVER_MAX))?;
        let successor = successor.map(|member| u64::from(member.0));
        let done = self.ordering.hand_over(successor, HAND_OVER_MAX).await?;
        let leader = self.leader(done.successor).ok_or_else(|| {
            HandOverError::NoSuccessor(format!("central-bank {} leads, and has no address", done.successor))
        })?;
        Ok(HandedOver { leader, term: done.term, pause: began.elapsed() })
    }
}
