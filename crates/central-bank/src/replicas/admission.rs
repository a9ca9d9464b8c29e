//! Nodes that join and leave, as the committee decides.
//!
//! The committee's proposals change the members of the network; which of them order is in the ordered log. Two things
//! keep the second in step with the first:
//!
//! - A node that the committee has admitted asks the leader, again and again until it votes, to let it order
//!   ([`AskToJoin`]). The leader agrees to whoever is an active member in the role central-bank. In the same way a node
//!   that has moved makes its new address known.
//! - The leader takes the vote of whoever is no active member any more ([`TakeVotes`]). If that is the leader itself,
//!   it hands over at once, for which the others hear it a moment longer ([`super::connections`]).
//!
//! Changes are made one at a time, each by agreement of those before it ([`cbdc_ordering::Ordering::admit`]), and only
//! once a majority of those after it keeps what is not in the log ([`super::kept_requests`]).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cbdc_environment::thread;
use cbdc_ledger::Reason;
use cbdc_ledger::member::Role;
use cbdc_ledger::{Height, MemberId};
use cbdc_node::LedgerHandle;
use cbdc_ordering::{MemberState, MembershipError, Ordering};
use cbdc_proto::internal as wire;
use cbdc_proto::internal::sealing_client::SealingClient;
use cbdc_proto::status::{invalid, leader_named_by, not_authorised, refusal_of, unavailable};
use cbdc_proto::transport::log_limit::LogLimit;
use cbdc_proto::transport::refuses_certificate;
use cbdc_storage::{Column, Durability, Store, StoreError, WriteBatch};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::connections::Connections;
use super::kept_requests::{NotChanged, OtherNodes};
use super::member_id;
use super::succession::Succession;
use crate::config::{OrderingMember, is_host_and_port};
use crate::issuance_queue::IssuanceQueue;
use crate::leading::Leading;

/// The time that the leader gives a new node to catch up, before the node asks again.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);
/// The pauses of a node that joins between two requests: from the shortest to the longest, while nobody knows it.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));
/// The interval at which the leader compares who votes with who is a member.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// Lets nodes order, on the leader.
#[derive(Clone)]
pub struct Admission {
    pub ordering: Arc<Ordering>,
    pub ledger: LedgerHandle,
    pub leading: Arc<Leading>,
    pub others: Arc<OtherNodes>,
    pub issuance_queue: IssuanceQueue,
}

impl Admission {
    /// Lets a node order that the committee has admitted. Answers when it votes; if its log is new, when it learns.
    ///
    /// # Errors
    /// `NOT_LEADER`; `NOT_AUTHORISED` for a node that is no active member; `UNAVAILABLE` while it has not caught up;
    /// `FAILED_PRECONDITION` for one that votes already, and has lost its log.
    pub async fn admit(&self, member: MemberId, address: String, is_new: bool) -> Result<(), Status> {
        self.leading.require().await?;
        if !is_host_and_port(&address) {
            return Err(invalid("address", format!("expected host:port, found `{address}`")));
        }
        self.check_is_member(member)?;
        if is_new {
            self.check_has_no_vote(member)?;
        }
        match self.let_order(u64::from(member.0), address.clone(), is_new).await {
            Ok(()) if is_new => Ok(()),
            Ok(()) => {
                tracing::info!(%member, address, "a node of the central bank orders with the others now");
                Ok(())
            }
            Err(NotChanged::Membership(MembershipError::NotLeader { .. })) => self.leading.require().await,
            Err(error) => {
                tracing::warn!(%member, address, %error, "a node of the central bank has no vote yet");
                Err(unavailable(error.to_string()))
            }
        }
    }

    async fn let_order(&self, member: u64, address: String, is_new: bool) -> Result<(), NotChanged> {
        if is_new {
            return Ok(self.ordering.let_learn(member, address).await?);
        }
        match self.ordering.learn(member, address, CATCH_UP_MAX).await? {
            true => Ok(()),
            false => self.others.give_vote(member, &self.issuance_queue).await,
        }
    }

    fn check_has_no_vote(&self, member: MemberId) -> Result<(), Status> {
        let votes = |state: &MemberState| state.votes && state.member == u64::from(member.0);
        if !self.ordering.members().iter().any(votes) {
            return Ok(());
        }
        let refusal = format!(
            "central-bank {member} votes already, and its log is new: it has lost the one with which it voted. Dismiss \
            it, and admit it anew under another number"
        );
        // It asks twice a second.
        if let Some(refused) = LOST_LOGS.count(1) {
            tracing::error!(target: "security", refused, "{refusal}");
        }
        Err(Status::failed_precondition(refusal))
    }

    fn check_is_member(&self, member: MemberId) -> Result<(), Status> {
        let is_active = self.ledger.read(|ledger| ledger.members().active(Role::CentralBank, member).is_some());
        if is_active {
            return Ok(());
        }
        Err(not_authorised(format!("central-bank {member} is not an active member: the committee admits it first")))
    }
}

/// Nodes that have lost the log with which they voted, and ask to order.
static LOST_LOGS: LogLimit = LogLimit::new();

/// The beginning of a node that joins with a new log: it grants no vote before a leader has let it learn, which none
/// does if the log says that it votes. It may be a node that has lost the log with which it voted.
pub struct Beginning(Arc<dyn Store>);

/// Kept in the store from the first start until a leader has let the node learn.
const BEGINNING: &[u8] = b"joins-with-new-log";

impl Beginning {
    /// That of the node in a store; `begins` at the first start of one that joins.
    ///
    /// # Errors
    /// The store has failed.
    pub fn open(store: Arc<dyn Store>, begins: bool) -> Result<Beginning, StoreError> {
        if begins {
            let mut batch = WriteBatch::new();
            batch.put(Column::Meta, BEGINNING, vec![1]);
            store.write(batch, Durability::Synced)?;
        }
        Ok(Beginning(store))
    }

    /// Whether no leader has let this node learn yet.
    pub fn is_new(&self) -> bool {
        // A store that cannot be read is no reason to vote.
        self.0.get(Column::Meta, BEGINNING).map_or(true, |found| found.is_some())
    }

    /// Notes that a leader has let this node learn, or that it votes alone by order.
    ///
    /// # Errors
    /// The store has failed.
    pub async fn end(&self) -> Result<(), StoreError> {
        let mut batch = WriteBatch::new();
        batch.delete(Column::Meta, BEGINNING);
        let store = self.0.clone();
        let written = thread::blocking(move || store.write(batch, Durability::Synced)).await;
        let broken =
            |error| StoreError::Io { path: PathBuf::new(), doing: "noting it".into(), reason: format!("{error}") };
        written.unwrap_or_else(|error| Err(broken(error)))
    }
}

/// Asks to order, until this node votes and is known at its address.
pub struct AskToJoin {
    pub member: MemberId,
    pub members: Vec<OrderingMember>,
    pub connections: Arc<Connections>,
    /// For a node that leads already, and is known at another address.
    pub admission: Admission,
    /// Whether this node has begun with a new log, and no leader has let it learn yet.
    pub beginning: Beginning,
    pub stop: CancellationToken,
}

impl AskToJoin {
    /// Runs until this node votes, or stops.
    pub async fn run(self) {
        let own = self.members.iter().find(|member| member.member == self.member.0);
        let Some(own) = own.map(|member| member.address.clone()) else { return };
        let others: Vec<&OrderingMember> =
            self.members.iter().filter(|member| member.member != self.member.0).collect();
        let mut others = others.into_iter().cycle();
        let mut hint: Option<String> = None;
        let mut last_said = String::new();
        let mut has_asked = false;
        while self.beginning.is_new() || !self.is_in_place(&own) {
            has_asked = true;
            let is_new = self.beginning.is_new();
            let next = hint.take().or_else(|| Some(others.next()?.address.clone()));
            let (address, answer) = match (self.admission.leading.leads(), next) {
                (true, _) => (own.clone(), self.admission.admit(self.member, own.clone(), is_new).await),
                (false, Some(address)) => {
                    let answer = self.ask(&address, &own, is_new).await;
                    (address, answer)
                }
                // It has nobody to ask, and is about to lead.
                (false, None) if !is_new => (own.clone(), Ok(())),
                (false, None) => (own.clone(), Err(Status::unavailable("the configuration lists no other node"))),
            };
            if answer.is_ok() && is_new {
                if let Err(error) = self.beginning.end().await {
                    tracing::error!(%error, "it cannot be noted that this node learns");
                    return;
                }
                self.admission.ordering.vote_again();
                continue;
            }
            let mut pause = ASK_AGAIN.0;
            if let Err(status) = answer {
                hint = leader_named_by(&status).flatten().filter(|address| !address.is_empty());
                let is_refused = refusal_of(&status).is_some_and(|refusal| refusal.reason == Reason::NotAuthorised);
                let said = match is_refused || refuses_certificate(&status) {
                    true => {
                        pause = ASK_AGAIN.1;
                        self.not_admitted()
                    }
                    false => format!("this node does not order yet: {}", status.message()),
                };
                if said != last_said && hint.is_none() {
                    tracing::info!(%address, "{said}");
                    last_said = said;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
        }
        if has_asked {
            tracing::info!(address = own, "this node orders with the others");
        }
    }

    /// Why the others know no member with this node's certificate, as far as its own chain says.
    fn not_admitted(&self) -> String {
        let member = self.member;
        let (height, was_known) = self.admission.ledger.read(|ledger| {
            let seat = ledger.members().seat(Role::CentralBank, member);
            (ledger.height(), seat.map(|seat| seat.active))
        });
        match was_known {
            None => format!(
                "central-bank {member} is not admitted yet: the committee has to admit it, with the keys that this \
                 node has (cbdc policy propose admit=...). It asks again until then"
            ),
            Some(false) => format!(
                "central-bank {member} was dismissed, at block {height} or before. A node that was dismissed comes back \
                 under another number, once the committee has admitted that"
            ),
            Some(true) => format!(
                "the other nodes know no central-bank {member} with this node's certificate: the committee has \
                 dismissed it, or replaced its keys, after block {height}, where its chain ends"
            ),
        }
    }

    fn is_in_place(&self, address: &str) -> bool {
        let own = u64::from(self.member.0);
        let known = self.admission.ordering.members();
        known.iter().any(|state| state.member == own && state.votes && state.address == address)
    }

    async fn ask(&self, address: &str, own: &str, is_new: bool) -> Result<(), Status> {
        // The address may be the leader's, whose number is not known here.
        let channel = self.connections.to_any(address).map_err(Status::unavailable)?;
        let mut client = SealingClient::new(channel);
        let asked = client.join(wire::JoinRequest { address: own.to_owned(), is_new });
        let answered = tokio::time::timeout(CATCH_UP_MAX + Duration::from_secs(5), asked).await;
        answered.map_err(|_| Status::deadline_exceeded("no answer"))?.map(drop)
    }
}

/// Takes the vote of nodes that are no active members any more.
pub struct TakeVotes {
    pub member: MemberId,
    pub succession: Arc<Succession>,
    pub ledger: LedgerHandle,
    /// The height at which this node was dismissed.
    pub dismissed: watch::Receiver<Option<Height>>,
    pub stop: CancellationToken,
}

impl TakeVotes {
    /// Runs until the node stops.
    pub async fn run(mut self) {
        let mut every = tokio::time::interval(COMPARE_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                Ok(()) = self.dismissed.changed() => {}
                () = self.stop.cancelled() => return,
            }
            let Succession { ordering, others, issuance_queue, .. } = &*self.succession;
            if self.dismissed.borrow().is_some() {
                ordering.stand_no_more();
                // It may have been elected before it learned of its dismissal, and lead without having begun to order.
                if ordering.leadership().borrow().is_leader() {
                    self.leave().await;
                }
                continue;
            }
            if !self.succession.leading.leads() {
                continue;
            }
            let orders = ordering.members().into_iter().filter_map(|state| member_id(state.member));
            let gone: Vec<MemberId> = self.ledger.read(|ledger| {
                orders.filter(|member| ledger.members().active(Role::CentralBank, *member).is_none()).collect()
            });
            for member in gone {
                match member == self.member {
                    true => self.leave().await,
                    false => match others.dismiss(u64::from(member.0), issuance_queue).await {
                        Ok(()) => tracing::info!(%member, "a node that was dismissed orders no more"),
                        Err(error) => tracing::warn!(%member, %error, "a node that was dismissed still votes"),
                    },
                }
            }
        }
    }

    /// Hands leadership over, since this node was dismissed.
    async fn leave(&self) {
        match self.succession.step_aside().await {
            Ok(successor) => tracing::info!(successor, "this node was dismissed, and has handed leadership over"),
            Err(error) => tracing::warn!(%error, "this node was dismissed, and leads still"),
        }
    }
}
