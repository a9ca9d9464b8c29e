//! The node keys of a role's members, as a node knows them: those of its own ledger.
//!
//! A node that was away while the committee replaced one cannot learn so from blocks, since it connects to nobody who
//! has them: it asks for the [proofs](cbdc_ledger::membership_change) instead, and trusts what they prove until its
//! ledger has followed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{PoisonError, RwLock};

use cbdc_ledger::block::ProofError;
use cbdc_ledger::member::{Members, Role};
use cbdc_ledger::membership_change::{FollowedMembership, MembershipChange};
use cbdc_ledger::{Height, MemberId, PublicKey, SignedHeader};
use cbdc_proto::membership::{self, FetchError};
use cbdc_proto::transport::{FollowedKeys, NodeIdentity};
use tonic::transport::Channel;

use crate::state::LedgerHandle;

/// The keys of a role's nodes, other than one's own.
pub struct RoleKeys {
    ledger: LedgerHandle,
    role: Role,
    own: Option<PublicKey>,
    /// Membership that is newer than the ledger's, as long as it is.
    ahead: RwLock<FollowedMembership>,
}

impl RoleKeys {
    /// Those of a ledger. `own` is the node's own key if it has that role.
    pub fn new(ledger: LedgerHandle, role: Role, own: Option<PublicKey>) -> RoleKeys {
        let ahead = RwLock::new(ledger.read(|ledger| FollowedMembership::of(ledger.genesis())));
        RoleKeys { ledger, role, own, ahead }
    }

    /// Checks that enough nodes of the central bank signed a header: by the present members of the ledger, or by those
    /// that were followed.
    pub fn check_header(&self, header: &SignedHeader) -> Result<(), ProofError> {
        let present = self.ledger.read(|ledger| {
            let members = ledger.members();
            header.check_by_members(ledger.network(), members.header_signatures(), members)
        });
        present.or_else(|error| self.ahead(|ahead| ahead.check_header(header)).map_err(|_| error))
    }

    /// Asks a node for membership changes, over a connection. Returns whether any was new.
    pub async fn follow_over(&self, channel: Channel, address: &str) -> bool {
        let above: Height = self.ahead(FollowedMembership::height);
        self.take(membership::fetch_over(channel, above).await, address)
    }

    fn take(&self, fetched: Result<Vec<MembershipChange>, FetchError>, address: &str) -> bool {
        let changes = match fetched {
            Ok(changes) => changes,
            Err(error) => {
                tracing::debug!(%address, %error, "no membership changes came from a node with another key");
                return false;
            }
        };
        self.follow_proofs(&changes, address)
    }

    /// Follows membership changes that came from somewhere; those at or below the height that was followed already are
    /// passed over. Returns whether any was new.
    pub fn follow_proofs(&self, changes: &[MembershipChange], from: &str) -> bool {
        let mut followed = self.ahead(Clone::clone);
        let before = followed.height();
        let mut newer = changes.iter().filter(|change| change.height() > before);
        if let Err(error) = newer.try_for_each(|change| followed.follow(change)) {
            tracing::warn!(target: "security", %from, %error, "a membership change is not proved");
        }
        let height = followed.height();
        let mut ahead = self.ahead.write().unwrap_or_else(PoisonError::into_inner);
        if height > ahead.height() {
            *ahead = followed;
        }
        drop(ahead);
        if height > before {
            tracing::info!(%from, %height, role = %self.role, "members' keys were followed");
        }
        height > before
    }

    /// The height of the newest membership change that was followed.
    pub fn followed_to(&self) -> Height {
        self.ahead(FollowedMembership::height)
    }

    /// The node key of an active member, by proofs that are newer than the ledger, or else by the ledger: one that the
    /// proofs have dismissed is still known until this node has applied that block.
    pub fn node_key(&self, member: MemberId) -> Option<PublicKey> {
        let of = |members: &Members| members.active(self.role, member)?.member.node_key;
        let (height, present) = self.ledger.read(|ledger| (ledger.height(), of(ledger.members())));
        self.ahead(|ahead| if ahead.height() > height { of(ahead.members()) } else { None }).or(present)
    }

    /// The node key that a member has, or had when it was dismissed.
    pub fn last_node_key(&self, member: MemberId) -> Option<PublicKey> {
        let last = || self.ledger.read(|ledger| ledger.members().seat(self.role, member)?.member.node_key);
        self.node_key(member).or_else(last)
    }

    /// The active member that has a node key, by the ledger or by proofs of newer membership.
    pub fn member_of(&self, key: &PublicKey) -> Option<MemberId> {
        let of = |members: &Members| {
            let mut seats = members.active_in(self.role);
            seats.find(|seat| seat.member.node_key.as_ref() == Some(key)).map(|seat| seat.member.id)
        };
        let (height, present) = self.ledger.read(|ledger| (ledger.height(), of(ledger.members())));
        present.or_else(|| self.ahead(|ahead| if ahead.height() > height { of(ahead.members()) } else { None }))
    }

    fn ahead<T>(&self, look: impl FnOnce(&FollowedMembership) -> T) -> T {
        look(&self.ahead.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl FollowedKeys for RoleKeys {
    fn keys(&self) -> Vec<PublicKey> {
        let (height, mut keys) = self.ledger.read(|ledger| (ledger.height(), ledger.members().node_keys(self.role)));
        self.ahead(|ahead| {
            if ahead.height() > height {
                keys.extend(ahead.members().node_keys(self.role));
            }
        });
        keys.retain(|key| Some(*key) != self.own);
        keys
    }

    fn follow<'a>(
        &'a self,
        address: &'a str,
        identity: Option<&'a NodeIdentity>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let above: Height = self.ahead(FollowedMembership::height);
            self.take(membership::fetch(address, identity, above).await, address)
        })
    }
}
