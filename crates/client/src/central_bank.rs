//! The central bank as one member reaches it: all its nodes, and the one that leads.
//!
//! Only the leader takes commands, and it is preferred for reading. With a single node, everything is as over that
//! node's [`Connection`]. With several:
//!
//! 1. *Finding the leader.* All nodes are asked at once; of those that say that they lead, the one of the highest term
//!    counts, once a majority has answered, unless another node names a leader of a later term: then it was deposed and
//!    has not heard of it. It is kept until a call to it fails.
//! 2. *Reading.* The leader is asked, then the others, until one answers.
//! 3. *A command.* It goes to the leader. If that one is lost while the command is under way, the status is unknown and
//!    the same record is sent to the next leader, until the timeout. If none leads, nothing was sent.
//! 4. *A silent leader.* While a call waits, the nodes are asked again from time to time; the call is given up once
//!    another one leads in a later term.
//!
//! An address that a node names as the leader's and that is not known yet is connected to as well: any node of the
//! central bank is recognised by its key.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cbdc_ledger::MemberId;
use cbdc_proto::packed::Answer;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;

use crate::connection::{Connection, DEADLINE};
use crate::error::ClientError;
use crate::leadership::Leadership;
use crate::submission::{Attempts, SubmissionStatus, until_known};

/// The time that a node has to say whether it leads.
const LEADERSHIP_TIMEOUT: Duration = Duration::from_secs(2);
/// The interval at which the nodes are asked again while a call waits for its answer.
const WATCH_EVERY: Duration = Duration::from_millis(500);
/// The pause before all nodes are asked again for what none of them has answered.
const PAUSE: Duration = Duration::from_millis(50);

/// Connects to a node of the central bank at an address that only another node has named.
type Dial = Arc<dyn Fn(&str) -> Result<Connection, ClientError> + Send + Sync>;

/// The central bank's nodes. Clones share the connections, and which of them leads.
#[derive(Clone)]
pub struct CentralBank {
    shared: Arc<Shared>,
}

struct Shared {
    nodes: Mutex<Vec<Connection>>,
    leader: Mutex<Option<Leader>>,
    dial: Option<Dial>,
}

/// The node that leads, and its term.
#[derive(Clone)]
struct Leader {
    connection: Connection,
    term: u64,
    member: MemberId,
}

impl Leader {
    /// The order in which leaders were elected: two may be in one term, of which the one with the higher number is the
    /// later.
    fn rank(&self) -> (u64, MemberId) {
        (self.term, self.member)
    }
}

impl From<Connection> for CentralBank {
    /// A central bank of which one node is known.
    fn from(connection: Connection) -> CentralBank {
        CentralBank::of(vec![connection], None)
    }
}

impl CentralBank {
    /// The nodes at the other ends of connections that show the same member's node certificate.
    ///
    /// # Errors
    /// [`ClientError::Usage`] if there is none.
    pub fn new(nodes: Vec<Connection>) -> Result<CentralBank, ClientError> {
        match nodes.is_empty() {
            true => Err(ClientError::Usage("expected at least one node of the central bank, found none".to_owned())),
            false => Ok(CentralBank::of(nodes, None)),
        }
    }

    /// Those at the other ends of connections, of which there is at least one. `dial` connects to further ones.
    pub(crate) fn of(nodes: Vec<Connection>, dial: Option<Dial>) -> CentralBank {
        CentralBank { shared: Arc::new(Shared { nodes: Mutex::new(nodes), leader: Mutex::default(), dial }) }
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.shared.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept_leader(&self) -> MutexGuard<'_, Option<Leader>> {
        self.shared.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, if only one node is known.
    fn only(&self) -> Option<Connection> {
        match &self.nodes()[..] {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// A connection to name in errors.
    pub(crate) fn any(&self) -> Connection {
        let leader = self.kept_leader().as_ref().map(|leader| leader.connection.clone());
        leader.unwrap_or_else(|| self.nodes().first().expect("there is at least one node").clone())
    }

    /// The node that leads, as far as is known.
    async fn leader(&self) -> Result<Leader, ClientError> {
        if let Some(leader) = &*self.kept_leader() {
            return Ok(leader.clone());
        }
        let found = self.find().await?;
        *self.kept_leader() = Some(found.clone());
        Ok(found)
    }

    /// Has the leader looked for at the next call.
    fn forget_leader(&self) {
        *self.kept_leader() = None;
    }

    /// Asks all nodes who leads.
    async fn find(&self) -> Result<Leader, ClientError> {
        let mut asked = JoinSet::new();
        let ask = |node: Connection| async move {
            let answer = tokio::time::timeout(LEADERSHIP_TIMEOUT, Leadership::of(&node)).await;
            (node, answer.ok())
        };
        let mut known: Vec<Connection> = self.nodes().clone();
        known.iter().for_each(|node| drop(asked.spawn(ask(node.clone()))));
        let majority = known.len() / 2 + 1;
        let (mut best, mut answered, mut said): (Option<Leader>, _, _) = (None, 0, Vec::new());
        // The newest term in which a node is known to lead. A higher one without a leader deposes nobody yet.
        let mut newest = (0, MemberId(0));
        let mut unreachable = Vec::new();
        while let Some(Ok((node, answer))) = asked.join_next().await {
            if let Some(Ok(leadership)) = &answer
                && let Some(leader) = leadership.leader
            {
                newest = newest.max((leadership.term, leader));
            }
            match answer {
                Some(Ok(leadership)) if leadership.leads() => {
                    answered += 1;
                    if best.as_ref().is_none_or(|best| best.rank() < (leadership.term, leadership.member)) {
                        best = Some(Leader { connection: node, term: leadership.term, member: leadership.member });
                    }
                }
                Some(Ok(leadership)) => {
                    answered += 1;
                    let named = leadership.leading_node().map(|leader| leader.address.clone());
                    said.push(match &named {
                        Some(address) => format!("{}: the node at {address} leads", node.address()),
                        None => format!("{}: it knows no leader", node.address()),
                    });
                    if let Some(address) = named.filter(|address| !address.is_empty())
                        && let Some(named) = self.connect_to(&address, &known)
                    {
                        known.push(named.clone());
                        asked.spawn(ask(named));
                    }
                }
                Some(Err(ClientError::Unreachable { address, reason })) => unreachable.push((address, reason)),
                Some(Err(error)) => said.push(error.to_string()),
                None => said.push(format!("{}: it has not answered in time", node.address())),
            }
            if answered >= majority && best.as_ref().is_some_and(|best| best.rank() >= newest) {
                break;
            }
        }
        match best {
            Some(leader) if leader.rank() >= newest => Ok(leader),
            Some(deposed) => {
                let address = deposed.connection.address();
                said.push(format!("{address}: it takes itself for the leader of term {}", deposed.term));
                Err(no_leader(said))
            }
            None if said.is_empty() => Err(none_reachable(&unreachable)),
            None => {
                said.extend(unreachable.iter().map(|(address, reason)| format!("{address}: {reason}")));
                Err(no_leader(said))
            }
        }
    }

    /// A connection to a node that another one has named, unless it is known.
    fn connect_to(&self, address: &str, known: &[Connection]) -> Option<Connection> {
        if known.iter().any(|node| node.address() == address) {
            return None;
        }
        let connection = self.shared.dial.as_ref()?(address).ok()?;
        self.nodes().push(connection.clone());
        Some(connection)
    }

    /// Waits until another node leads in a later term.
    async fn until_another_leads(&self, leader: &Leader) {
        loop {
            tokio::time::sleep(WATCH_EVERY).await;
            if let Ok(found) = self.find().await
                && found.rank() > leader.rank()
            {
                *self.kept_leader() = Some(found);
                return;
            }
        }
    }

    /// Makes a call that changes nothing, or that is safe to repeat in any case, at the node that leads, or else at one
    /// that answers.
    ///
    /// # Errors
    /// That of the only node; [`ClientError::NoLeader`] where there are several and none answers.
    pub(crate) async fn ask<T, F>(&self, call: impl Fn(Connection) -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        if let Some(only) = self.only() {
            return call(only).await;
        }
        let began = Instant::now();
        loop {
            let mut said = Vec::new();
            let mut unreachable = Vec::new();
            let mut note = |error| match error {
                ClientError::Unreachable { address, reason } => unreachable.push((address, reason)),
                error => said.push(error.to_string()),
            };
            let leader = match self.leader().await {
                Ok(leader) => {
                    let answer = tokio::select! {
                        answer = call(leader.connection.clone()) => Some(answer),
                        () = self.until_another_leads(&leader) => None,
                    };
                    match answer {
                        Some(Err(error)) if may_be_asked_elsewhere(&error) => {
                            self.forget_leader();
                            note(error);
                        }
                        Some(answer) => return answer,
                        None => continue,
                    }
                    Some(leader)
                }
                Err(_) => None,
            };
            let tried = leader.map(|leader| leader.connection.address().to_owned());
            let others = self.nodes().clone();
            for node in others.into_iter().filter(|node| Some(node.address()) != tried.as_deref()) {
                match call(node).await {
                    Err(error) if may_be_asked_elsewhere(&error) => note(error),
                    answer => return answer,
                }
            }
            if said.is_empty() {
                return Err(none_reachable(&unreachable));
            }
            if began.elapsed() >= DEADLINE / 2 {
                said.extend(unreachable.iter().map(|(address, reason)| format!("{address}: {reason}")));
                return Err(no_leader(said));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends the same record until its status is known or `timeout` has passed: to the node that leads.
    ///
    /// # Errors
    /// Those of a submission to the only node; [`ClientError::NoLeader`] if none of several leads: nothing was sent.
    pub(crate) async fn submit<F, A>(&self, timeout: Duration, attempt: F) -> Result<SubmissionStatus, ClientError>
    where
        F: Fn(Connection) -> A,
        A: Future<Output = Result<Answer, Status>>,
    {
        if let Some(only) = self.only() {
            return until_known(&only, timeout, || attempt(only.clone())).await;
        }
        let mut attempts = Attempts::until(Instant::now() + timeout);
        loop {
            let tried = match self.leader().await {
                Ok(leader) => {
                    let answer = tokio::select! {
                        answer = attempt(leader.connection.clone()) => answer,
                        () = self.until_another_leads(&leader) => {
                            Err(Status::unavailable("another node of the central bank leads now"))
                        }
                    };
                    if answer.is_err() {
                        self.forget_leader();
                    }
                    match attempts.note(&leader.connection, answer) {
                        // It has just gone, and nothing was sent to it: the others choose another one.
                        Err(gone @ ClientError::Unreachable { .. }) => Err(no_leader(vec![gone.to_string()])),
                        noted => noted,
                    }
                }
                Err(error) => Err(error),
            };
            if let Some(ended) = attempts.ended(tried) {
                return ended;
            }
            attempts.pause().await;
        }
    }
}

/// Whether another node may have an answer where this one has none.
fn may_be_asked_elsewhere(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. } | ClientError::NoAnswer { .. })
}

/// The error where no node can be reached at all.
fn none_reachable(nodes: &[(String, String)]) -> ClientError {
    let addresses: Vec<&str> = nodes.iter().map(|(address, _)| address.as_str()).collect();
    let mut reasons: Vec<&str> = nodes.iter().map(|(_, reason)| reason.as_str()).collect();
    reasons.dedup();
    ClientError::Unreachable { address: addresses.join(", "), reason: reasons.join("; ") }
}

fn no_leader(said: Vec<String>) -> ClientError {
    ClientError::NoLeader { said: said.join("; ") }
}
