//! The keys of the central bank's nodes, as a bank knows them.
//!
//! They are those of the bank's own ledger. A bank that was away while the committee replaced one cannot learn so from
//! blocks, since it connects to nobody who has them: it asks for the [proofs](cbdc_ledger::membership_change) instead,
//! and trusts what they prove until its ledger has followed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{PoisonError, RwLock};

use cbdc_ledger::member::Role;
use cbdc_ledger::membership_change::FollowedMembership;
use cbdc_ledger::{Height, PublicKey};
use cbdc_node::LedgerHandle;
use cbdc_proto::membership;
use cbdc_proto::transport::{FollowedKeys, NodeIdentity};

/// The keys of the central bank's nodes.
pub struct CentralBankKeys {
    ledger: LedgerHandle,
    /// Membership that is newer than the ledger's, as long as it is.
    ahead: RwLock<FollowedMembership>,
}

impl CentralBankKeys {
    /// Those of a ledger.
    pub fn new(ledger: LedgerHandle) -> CentralBankKeys {
        let ahead = RwLock::new(ledger.read(|ledger| FollowedMembership::of(ledger.genesis())));
        CentralBankKeys { ledger, ahead }
    }

    fn ahead<T>(&self, look: impl FnOnce(&FollowedMembership) -> T) -> T {
        look(&self.ahead.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl FollowedKeys for CentralBankKeys {
    fn keys(&self) -> Vec<PublicKey> {
        let (height, mut keys) =
            self.ledger.read(|ledger| (ledger.height(), ledger.members().node_keys(Role::CentralBank)));
        self.ahead(|ahead| {
            if ahead.height() > height {
                keys.extend(ahead.members().node_keys(Role::CentralBank));
            }
        });
        keys
    }

    fn follow<'a>(
        &'a self,
        address: &'a str,
        identity: Option<&'a NodeIdentity>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let above: Height = self.ahead(FollowedMembership::height);
            let changes = match membership::fetch(address, identity, above).await {
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
                tracing::info!(%address, %height, "the central bank's keys were followed");
            }
            height > before
        })
    }
}
