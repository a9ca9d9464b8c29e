//! Connections between the nodes of the central bank: mutual TLS with the keys that membership names today.

use std::fmt;
use std::time::Duration;

use cbdc_ledger::MemberId;
use cbdc_ledger::member::Role;
use cbdc_node::Membership;
use cbdc_ordering::members::{Admission, Channels};
use cbdc_proto::status::not_authorised;
use cbdc_proto::transport::{NodeIdentity, Peer, ServerTrust, connect};
use tonic::transport::Channel;
use tonic::{Extensions, Status};

use super::member_id;

/// The time for which the others still hear a node that was dismissed: it hands leadership over meanwhile. Its vote
/// counts until they have taken it, so what it says as a voter is not wrong.
const HEARD_AFTER_DISMISSAL: Duration = Duration::from_secs(5);
/// The time for which the others still call it, to take its vote.
const CALLED_AFTER_DISMISSAL: Duration = Duration::from_secs(15);

/// Connects to other nodes, and tells them apart.
pub struct Connections {
    pub identity: NodeIdentity,
    pub membership: Membership,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl Connections {
    /// A channel to a node of the central bank.
    pub fn to(&self, member: MemberId, address: &str) -> Result<Channel, String> {
        let key = self.membership.node_key(Role::CentralBank, member);
        let key = key.or_else(|| self.membership.key_of_left(member, CALLED_AFTER_DISMISSAL));
        let key = key.ok_or_else(|| format!("central-bank {member} is no active member, so its key is not known"))?;
        connect(address, Some(&self.identity), &ServerTrust::NodeKey(key)).map_err(|error| error.to_string())
    }

    /// A channel to whichever node of the central bank is at an address.
    pub fn to_any(&self, address: &str) -> Result<Channel, String> {
        let keys = self.membership.node_keys(Role::CentralBank);
        connect(address, Some(&self.identity), &ServerTrust::AnyOf(keys)).map_err(|error| error.to_string())
    }

    /// The node of the central bank that makes a call.
    pub fn caller(&self, extensions: &Extensions) -> Result<MemberId, Status> {
        let peer = extensions.get::<Peer>().ok_or_else(|| not_authorised("expected a member's certificate"))?;
        self.membership.require_peer(peer, &[Role::CentralBank]).map(|(_, member)| member)
    }
}

impl Channels for Connections {
    fn channel(&self, member: u64, address: &str) -> Result<Channel, String> {
        let member =
            member_id(member).ok_or_else(|| format!("expected a member number up to 65535, found {member}"))?;
        self.to(member, address)
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
