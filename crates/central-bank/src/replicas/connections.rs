//! Connections between the nodes of the central bank: mutual TLS with the keys that membership names today.
//!
//! A node that was away may have an old ledger, while it is needed for a majority: others were admitted, or given new
//! keys, meanwhile. So what counts is the ledger together with the [proofs](RoleKeys) of newer membership, which lead
//! from the members that this node knows to those of today. They are asked for when a node calls that is not known
//! ([`FollowMembers`]), and banks show them ([`crate::witnesses`]).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cbdc_ledger::member::Role;
use cbdc_ledger::{MemberId, PublicKey};
use cbdc_node::{Membership, RoleKeys};
use cbdc_ordering::Ordering;
use cbdc_ordering::members::{Admission, Channels};
use cbdc_proto::status::not_authorised;
use cbdc_proto::transport::{FollowedKeys, NodeIdentity, Peer, Pins, ServerTrust, connect};
use futures::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Extensions, Status};

use super::member_id;
use crate::config::OrderingMember;

/// The pause after proofs of newer membership were asked for.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);
/// The interval at which a node without a leader asks for them, even if nobody has called.
const FOLLOW_WITHOUT_LEADER: Duration = Duration::from_secs(5);

/// The time for which the others still hear a node that was dismissed: it hands leadership over meanwhile. Its vote
/// counts until they have taken it, so what it says as a voter is not wrong.
const HEARD_AFTER_DISMISSAL: Duration = Duration::from_secs(5);
/// The time for which the others still call it, to take its vote.
const CALLED_AFTER_DISMISSAL: Duration = Duration::from_secs(15);

/// Connects to other nodes, and tells them apart.
pub struct Connections {
    identity: NodeIdentity,
    membership: Membership,
    /// Those of the other nodes, by the ledger and by proofs.
    keys: Arc<RoleKeys>,
    /// Notified when somebody calls whose key is not known.
    unknown: Notify,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl Connections {
    pub fn new(identity: NodeIdentity, membership: Membership, keys: Arc<RoleKeys>) -> Connections {
        Connections { identity, membership, keys, unknown: Notify::new() }
    }

    /// The keys of the other nodes.
    pub fn keys(&self) -> &Arc<RoleKeys> {
        &self.keys
    }

    /// A channel to a node of the central bank.
    pub fn to(&self, member: MemberId, address: &str) -> Result<Channel, String> {
        let key = self.keys.node_key(member);
        let key = key.or_else(|| self.membership.key_of_left(member, CALLED_AFTER_DISMISSAL));
        self.with_key(member, address, key)
    }

    /// A channel to a node that votes: it may have been dismissed, and votes until a majority has taken its vote.
    pub fn to_voter(&self, member: MemberId, address: &str) -> Result<Channel, String> {
        self.with_key(member, address, self.keys.last_node_key(member))
    }

    fn with_key(&self, member: MemberId, address: &str, key: Option<PublicKey>) -> Result<Channel, String> {
        let key = key.ok_or_else(|| format!("central-bank {member} is no active member, so its key is not known"))?;
        connect(address, Some(&self.identity), &ServerTrust::NodeKey(key)).map_err(|error| error.to_string())
    }

    /// A channel to whichever node of the central bank is at an address.
    pub fn to_any(&self, address: &str) -> Result<Channel, String> {
        let trust = ServerTrust::Followed(self.keys.clone());
        connect(address, Some(&self.identity), &trust).map_err(|error| error.to_string())
    }

    /// The node of the central bank that makes a call.
    pub fn caller(&self, extensions: &Extensions) -> Result<MemberId, Status> {
        let peer = extensions.get::<Peer>().ok_or_else(|| not_authorised("expected a member's certificate"))?;
        let by_ledger = self.membership.require_peer(peer, &[Role::CentralBank]).map(|(_, member)| member);
        by_ledger.or_else(|status| {
            let proved = peer.node_key.as_ref().and_then(|key| self.keys.member_of(key));
            proved.ok_or(status)
        })
    }
}

impl Pins for Connections {
    fn is_member(&self, key: &PublicKey) -> bool {
        let is_known = self.membership.of_key(key).is_some() || self.keys.member_of(key).is_some();
        if !is_known {
            self.unknown.notify_one();
        }
        is_known
    }
}

/// Asks the other nodes for proofs of newer membership when it may be needed.
pub struct FollowMembers {
    pub member: MemberId,
    /// The nodes that the configuration lists: those of the log may all be gone.
    pub members: Vec<OrderingMember>,
    pub ordering: Arc<Ordering>,
    pub connections: Arc<Connections>,
    pub stop: CancellationToken,
}

impl FollowMembers {
    /// Runs until the node stops.
    pub async fn run(self) {
        loop {
            tokio::select! {
                () = self.connections.unknown.notified() => {}
                () = tokio::time::sleep(FOLLOW_WITHOUT_LEADER) => {
                    if self.ordering.leadership().borrow().leader.is_some() {
                        continue;
                    }
                }
                () = self.stop.cancelled() => return,
            }
            let addresses = self.addresses();
            let Connections { keys, identity, .. } = &*self.connections;
            join_all(addresses.iter().map(|address| keys.follow(address, Some(identity)))).await;
            tokio::select! {
                () = tokio::time::sleep(FOLLOW_PAUSE) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    fn addresses(&self) -> BTreeSet<String> {
        let own = u64::from(self.member.0);
        let listed = self.members.iter().map(|member| (u64::from(member.member), member.address.clone()));
        let in_log = self.ordering.members().into_iter().map(|state| (state.member, state.address));
        listed.chain(in_log).filter(|(member, _)| *member != own).map(|(_, address)| address).collect()
    }
}

impl Channels for Connections {
    fn channel(&self, member: u64, address: &str) -> Result<Channel, String> {
        let member =
            member_id(member).ok_or_else(|| format!("expected a member number up to 65535, found {member}"))?;
        self.to_voter(member, address)
    }
}

impl Admission for Connections {
    /// The member that orders; for a moment also one that was dismissed and may have to hand over.
    fn member(&self, extensions: &Extensions) -> Result<u64, Status> {
        let caller = self.caller(extensions).or_else(|refused| {
            let key = extensions.get::<Peer>().and_then(|peer| peer.node_key);
            key.and_then(|key| self.membership.left_with_key(&key, HEARD_AFTER_DISMISSAL)).ok_or(refused)
        });
        caller.map(|member| u64::from(member.0))
    }
}
