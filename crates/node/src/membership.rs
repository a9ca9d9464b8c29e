//! The members behind connections.
//!
//! The TLS handshake proves a node key; the ledger's members say whose it is. Services check each request here, and
//! long streams each batch, so that a dismissed member is shut out at once. Only a node of the central bank may still
//! be recognised for a moment: the others need it to hand its part over.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use cbdc_ledger::member::Role;
use cbdc_ledger::{Ledger, MemberId, PublicKey};
use cbdc_proto::status::not_authorised;
use cbdc_proto::transport::{Peer, Pins};
use tokio::time::Instant;
use tonic::{Request, Status};

/// The most members that have left and are remembered.
const LEFT_MAX: usize = 16;

/// The node keys in force.
#[derive(Clone, Default)]
pub struct Membership {
    keys: Arc<RwLock<Keys>>,
}

#[derive(Default)]
struct Keys {
    active: BTreeMap<PublicKey, (Role, MemberId)>,
    /// The members that were dismissed last, in the role central-bank.
    left: VecDeque<Left>,
}

/// A member that was dismissed while this node ran.
#[derive(Clone, Copy)]
struct Left {
    key: PublicKey,
    id: MemberId,
    at: Instant,
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
        let active: BTreeMap<_, _> =
            active.filter_map(|seat| Some((seat.member.node_key?, (seat.member.role, seat.member.id)))).collect();
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut keys.active, active);
        // A key that was replaced is of nobody any more; one of a member that was dismissed still says who it was.
        for (key, (role, id)) in before {
            let is_active = ledger.members().active(role, id).is_some();
            if role == Role::CentralBank && !is_active {
                keys.left.push_back(Left { key, id, at: Instant::now() });
            }
        }
        while keys.left.len() > LEFT_MAX {
            keys.left.pop_front();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node of the central bank with a node key, if it was dismissed at most so long ago.
    pub fn left_with_key(&self, key: &PublicKey, within: Duration) -> Option<MemberId> {
        let keys = self.read();
        keys.left.iter().find(|left| left.key == *key && left.at.elapsed() <= within).map(|left| left.id)
    }

    /// The node key of a node of the central bank, if it was dismissed at most so long ago.
    pub fn key_of_left(&self, id: MemberId, within: Duration) -> Option<PublicKey> {
        let keys = self.read();
        keys.left.iter().rev().find(|left| left.id == id && left.at.elapsed() <= within).map(|left| left.key)
    }

    /// The member with a node key.
    pub fn of_key(&self, key: &PublicKey) -> Option<(Role, MemberId)> {
        self.read().active.get(key).copied()
    }

    /// The node key of a member, if it is active and has one.
    pub fn node_key(&self, role: Role, id: MemberId) -> Option<PublicKey> {
        self.read().active.iter().find(|(_, member)| **member == (role, id)).map(|(key, _)| *key)
    }

    /// The node keys of the active members in a role.
    pub fn node_keys(&self, role: Role) -> Vec<PublicKey> {
        self.read().active.iter().filter(|(_, (of, _))| *of == role).map(|(key, _)| *key).collect()
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
