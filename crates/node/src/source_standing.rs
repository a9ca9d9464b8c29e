//! The standing of a source of customers' commands: a source most of whose commands are refused has to wait.
//!
//! A bank answers for what it relays: the central bank slows a member of whose commands too many are refused, and with
//! it all of the bank's customers. So each source, which is a customers' address or a member, has an allowance of its
//! own, far below a bank's. All streams and calls of the source share it, at once or one after another, and it outlives
//! them.
//!
//! 1. Whatever is submitted asks for a turn ([`SourceStanding::turn`]). It gets one at once while the source has
//!    allowance left and few enough commands in flight; otherwise it waits in line.
//! 2. Few commands may be in flight at first ([`IN_FLIGHT`]), and as many more as have settled. So junk is answered
//!    before much of it is in flight, and nobody waits behind it.
//! 3. The results of the commands are noted when they are answered ([`Turn::answered`]).
//!
//! An allowance is full again half a minute after the last waste; then the source is forgotten ([`Standings`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::budget::{Share, Tenant};
use crate::standing::{CUSTOMER, Standing, Waste};

/// The most commands of one source in flight: at first, and for one whose commands all settle.
pub const IN_FLIGHT: (usize, usize) = (2_048, 524_288);
/// The number of sources that are remembered. Above it, a new one has a standing only while it is connected.
const SOURCES_MAX: usize = 65_536;
/// The number of sources above which those with a full allowance are forgotten.
const SOURCES_USUAL: usize = 1_024;
/// The least time between two searches for sources to forget.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// The results of commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    pub settled: usize,
    /// Ordered and refused.
    pub refused: usize,
    /// Refused before it was ordered, or ordered earlier.
    pub not_ordered: usize,
    pub bad_signatures: usize,
}

/// The standing of one source.
pub struct SourceStanding {
    state: Mutex<State>,
    /// Held by the first in line; the others wait for it in order.
    first_in_line: tokio::sync::Mutex<()>,
    /// Tells the first in line that commands were answered.
    changed: Notify,
}

struct State {
    standing: Standing,
    in_flight: usize,
    in_flight_max: usize,
    waiting: usize,
}

/// Commands that have their turn, and are in flight until this is dropped.
pub struct Turn {
    standing: Arc<SourceStanding>,
    count: usize,
}

impl State {
    /// Takes a turn for `count` commands, or returns when there may be one if nothing is answered before.
    fn take(&mut self, count: usize) -> Result<(), Option<Instant>> {
        let refilled = self.standing.refilled(Instant::now());
        if refilled.is_some() || self.in_flight >= self.in_flight_max {
            return Err(refilled);
        }
        self.in_flight += count;
        Ok(())
    }
}

impl SourceStanding {
    /// The standing of a new source.
    pub fn new() -> Arc<SourceStanding> {
        let standing = Standing::new(CUSTOMER, Instant::now());
        let state = State { standing, in_flight: 0, in_flight_max: IN_FLIGHT.0, waiting: 0 };
        Arc::new(SourceStanding {
            state: Mutex::new(state),
            first_in_line: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// The standing of the source whose request this task serves; a new one outside of a request.
    pub fn current() -> Arc<SourceStanding> {
        Share::current().map_or_else(SourceStanding::new, |share| share.standing())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether commands would get a turn at once.
    pub fn has_capacity(&self) -> bool {
        let mut state = self.lock();
        state.waiting == 0 && state.take(0).is_ok()
    }

    /// Waits until commands would get a turn.
    pub async fn until_capacity(self: &Arc<Self>) {
        drop(self.turn(0).await);
    }

    /// Waits for the turn of `count` commands.
    pub async fn turn(self: &Arc<Self>, count: usize) -> Turn {
        let turn = || Turn { standing: self.clone(), count };
        let waiting = {
            let mut state = self.lock();
            if state.waiting == 0 && state.take(count).is_ok() {
                return turn();
            }
            state.waiting += 1;
            Waiting(self)
        };
        let first = self.first_in_line.lock().await;
        loop {
            let refilled = match self.lock().take(count) {
                Ok(()) => break,
                Err(refilled) => refilled,
            };
            let refilled = async {
                match refilled {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = refilled => {}
                () = self.changed.notified() => {}
            }
        }
        drop((first, waiting));
        turn()
    }

    /// Waits for the turn of one command, for a limited time.
    pub async fn turn_within(self: &Arc<Self>, wait_max: Duration) -> Option<Turn> {
        tokio::time::timeout(wait_max, self.turn(1)).await.ok()
    }

    /// Whether the source has its full allowance.
    fn is_as_new(&self) -> bool {
        self.lock().standing.is_full(Instant::now())
    }
}

impl Turn {
    /// Notes the results of the commands.
    pub fn answered(self, tally: Tally) {
        let (now, mut state) = (Instant::now(), self.standing.lock());
        state.standing.settled(now, tally.settled);
        state.standing.wasted(now, Waste::Refused, tally.refused);
        state.standing.wasted(now, Waste::NotVerified, tally.not_ordered);
        state.standing.wasted(now, Waste::BadSignature, tally.bad_signatures);
        let wasted = tally.refused + tally.not_ordered + tally.bad_signatures;
        state.in_flight_max = match wasted > tally.settled {
            true => IN_FLIGHT.0,
            false => (state.in_flight_max + tally.settled).min(IN_FLIGHT.1),
        };
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.standing.lock().in_flight -= self.count;
        self.standing.changed.notify_one();
    }
}

/// A caller that waits for its turn.
struct Waiting<'a>(&'a SourceStanding);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

/// The standings of all sources of a node.
#[derive(Default)]
pub struct Standings(Mutex<Known>);

#[derive(Default)]
struct Known {
    standings: HashMap<Tenant, Arc<SourceStanding>>,
    /// The time of the last search for sources to forget.
    looked_at: Option<Instant>,
}

impl Standings {
    /// The standing of a source, the same until it is forgotten.
    pub fn of(&self, tenant: Tenant) -> Arc<SourceStanding> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.standings.get(&tenant) {
            return found.clone();
        }
        if known.standings.len() >= SOURCES_USUAL && known.looked_at.is_none_or(|at| at.elapsed() > LOOKS_EVERY) {
            known.forget();
        }
        let standing = SourceStanding::new();
        if known.standings.len() < SOURCES_MAX {
            known.standings.insert(tenant, standing.clone());
        }
        standing
    }
}

impl Known {
    /// Forgets sources that are not connected and have their full allowance.
    fn forget(&mut self) {
        self.standings.retain(|_, standing| Arc::strong_count(standing) > 1 || !standing.is_as_new());
        self.looked_at = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn customers(number: u32) -> Tenant {
        Tenant::Customers(Ipv4Addr::from_bits(number).into())
    }

    /// Notes bad signatures of a source.
    fn found_bad(standing: &Arc<SourceStanding>, count: usize) {
        let tally = Tally { bad_signatures: count, ..Tally::default() };
        Turn { standing: standing.clone(), count: 0 }.answered(tally);
    }

    async fn has_turn(standing: &Arc<SourceStanding>) -> bool {
        standing.turn_within(Duration::from_millis(5)).await.is_some()
    }

    #[tokio::test]
    async fn a_source_that_repeats_waits_on_all_its_streams_and_one_that_pays_does_not() {
        let standing = SourceStanding::new();
        for _ in 0..100 {
            standing.turn(9_192).await.answered(Tally { settled: 8_192, refused: 1_000, ..Tally::default() });
        }
        assert!(standing.has_capacity());
        for _ in 0..9 {
            Turn { standing: standing.clone(), count: 0 }.answered(Tally {
                settled: 1,
                not_ordered: 8_191,
                ..Tally::default()
            });
        }
        assert!(!standing.has_capacity() && !has_turn(&standing).await);
    }

    #[tokio::test]
    async fn as_many_more_are_in_flight_as_have_settled_until_most_are_refused() {
        let standing = SourceStanding::new();
        let most = || standing.lock().in_flight_max;
        let note = |tally| Turn { standing: standing.clone(), count: 0 }.answered(tally);
        assert_eq!(most(), 2_048);
        note(Tally { settled: 8_192, refused: 1_000, ..Tally::default() });
        assert_eq!(most(), 10_240);
        (0..100).for_each(|_| note(Tally { settled: 8_192, ..Tally::default() }));
        assert_eq!(most(), IN_FLIGHT.1);
        note(Tally { settled: 1, not_ordered: 2, ..Tally::default() });
        assert_eq!(most(), 2_048);
        let first = standing.turn(3_000).await;
        assert!(!has_turn(&standing).await, "what one stream has in flight counts for the others");
        drop(first);
        assert!(has_turn(&standing).await);
    }

    #[tokio::test]
    async fn those_who_wait_have_their_turn_one_by_one_in_their_order() {
        let standing = SourceStanding::new();
        let mut turn = Some(standing.turn(IN_FLIGHT.0).await);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for number in 0..4 {
            let (standing, order) = (standing.clone(), order.clone());
            waiting.push(tokio::spawn(async move {
                let turn = standing.turn(IN_FLIGHT.0).await;
                order.lock().unwrap().push(number);
                tokio::task::yield_now().await;
                drop(turn);
            }));
            tokio::task::yield_now().await;
        }
        // A caller that gives up delays nobody.
        waiting.remove(1).abort();
        tokio::task::yield_now().await;
        drop(turn.take());
        futures::future::join_all(waiting).await;
        assert_eq!(*order.lock().unwrap(), [0, 2, 3]);
        assert!(standing.has_capacity());
        assert_eq!(standing.lock().in_flight, 0);
    }

    #[test]
    fn a_source_is_remembered_while_something_is_held_against_it_and_forgotten_after() {
        let standings = Standings::default();
        found_bad(&standings.of(customers(0)), 2_000);
        let connected = standings.of(customers(1));
        for number in 2..=SOURCES_USUAL as u32 {
            drop(standings.of(customers(number)));
        }
        assert!(!standings.of(customers(0)).has_capacity());
        let left = standings.0.lock().unwrap().standings.len();
        assert_eq!(left, 3, "the one with something against it, the one that is connected, and the newest");
        drop(connected);
    }

    #[test]
    fn many_sources_with_something_against_them_take_bounded_memory() {
        let standings = Standings::default();
        (0..SOURCES_MAX as u32 + 10).for_each(|number| found_bad(&standings.of(customers(number)), 1));
        assert_eq!(standings.0.lock().unwrap().standings.len(), SOURCES_MAX);
    }
}
