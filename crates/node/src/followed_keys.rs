//! The node keys of a role's members, as a node knows them: those of its own ledger.
//!
//! A node that was away while the committee replaced one cannot learn so from blocks, since it connects to nobody who
//! has them: it asks for the [proofs](cbdc_ledger::membership_change) instead, and trusts what they prove until its
//! ledger has followed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{PoisonError, RwLock};

use cbdc_ledger::block::ProofError;
use cbdc_ledger::member::Role;
use cbdc_ledger::membership_change::{FollowedMembership, MembershipChange};
use cbdc_ledger::{Height, PublicKey, SignedHeader};
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
        let mut followed = self.ahead(Clone::clone);
        let (before, result) = (followed.height(), changes.iter().try_for_each(|change| followed.follow(change)));
        if let Err(error) = result {
            tracing::warn!(target: "security", %address, %error, "a membership change is not proved");
        }
        let height = followed.height();
        *self.ahead.write().unwrap_or_else(PoisonError::into_inner) = followed;
        if height > before {
            tracing::info!(%address, %height, role = %self.role, "members' keys were followed");
        }
        height > before
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
