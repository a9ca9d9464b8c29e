//! The members behind connections.
//!
//! The TLS handshake proves a node key; the ledger's members say whose it is. Services check each request here, and
//! long streams each batch, so that a dismissed member is shut out at once.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use cbdc_ledger::member::Role;
use cbdc_ledger::{Ledger, MemberId, PublicKey};
use cbdc_proto::status::not_authorised;
use cbdc_proto::transport::{Peer, Pins};
use tonic::{Request, Status};

/// The node keys in force.
#[derive(Clone, Default)]
pub struct Membership {
    keys: Arc<RwLock<BTreeMap<PublicKey, (Role, MemberId)>>>,
}

impl Membership {
    pub fn of(ledger: &Ledger) -> Membership {
        let membership = Membership::default();
        membership.follow(ledger);
        membership
    }

    /// Adopts the members of a ledger after a block that changed them.
    pub fn follow(&self, ledger: &Ledger) {
        let active = ledger.members().seats().filter(|seat| seat.active);
        let keys =
            active.filter_map(|seat| Some((seat.member.node_key?, (seat.member.role, seat.member.id)))).collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// The member with a node key.
    pub fn of_key(&self, key: &PublicKey) -> Option<(Role, MemberId)> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    /// The node key of a member, if it is active and has one.
    pub fn node_key(&self, role: Role, id: MemberId) -> Option<PublicKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|(_, member)| **member == (role, id)).map(|(key, _)| *key)
    }

    /// The node keys of the active members in a role.
    pub fn node_keys(&self, role: Role) -> Vec<PublicKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().filter(|(_, (of, _))| *of == role).map(|(key, _)| *key).collect()
    }

    /// The member at the other end of a request, which must have one of `roles`.
    pub fn require<T>(&self, request: &Request<T>, roles: &[Role]) -> Result<(Role, MemberId), Status> {
        self.require_peer(&Peer::of(request), roles)
    }

    pub fn require_peer(&self, peer: &Peer, roles: &[Role]) -> Result<(Role, MemberId), Status> {
        let wanted = || roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(" or ");
        let member = peer.node_key.as_ref().and_then(|key| self.of_key(key));
        match member {
            Some((role, id)) if roles.contains(&role) => Ok((role, id)),
            Some((role, id)) => {
                Err(not_authorised(format!("expected a member in the role {}, found {role} {id}", wanted())))
            }
            None => {
                Err(not_authorised(format!("expected a member's certificate ({}), found none that is known", wanted())))
            }
        }
    }
}

impl Pins for Membership {
    fn is_member(&self, key: &PublicKey) -> bool {
        self.of_key(key).is_some()
    }
}
