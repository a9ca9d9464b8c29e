//! A network between members of one process, for tests: it can cut a member off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::{BasicNode, RaftNetwork, RaftNetworkFactory};

use crate::types::{MemberId, Raft, Types};

/// The members connected to each other.
#[derive(Clone, Default)]
pub struct Wires {
    members: Arc<Mutex<BTreeMap<MemberId, Raft>>>,
    cut: Arc<Mutex<BTreeSet<MemberId>>>,
}

impl Wires {
    pub fn connect(&self, member: MemberId, raft: Raft) {
        self.members.lock().unwrap().insert(member, raft);
        self.cut.lock().unwrap().remove(&member);
    }

    pub fn cut_off(&self, member: MemberId) {
        self.cut.lock().unwrap().insert(member);
    }

    pub fn disconnect(&self, member: MemberId) {
        self.members.lock().unwrap().remove(&member);
    }

    pub fn end_of(&self, member: MemberId) -> WireEnd {
        WireEnd { wires: self.clone(), from: member }
    }
}

pub struct WireEnd {
    wires: Wires,
    from: MemberId,
}

impl RaftNetworkFactory<Types> for WireEnd {
    type Network = Wire;

    async fn new_client(&mut self, target: MemberId, _: &BasicNode) -> Wire {
        Wire { wires: self.wires.clone(), from: self.from, to: target }
    }
}

pub struct Wire {
    wires: Wires,
    from: MemberId,
    to: MemberId,
}

#[derive(Debug, thiserror::Error)]
#[error("the wire is cut")]
struct Cut;

type CallResult<T, E> = Result<T, RPCError<MemberId, BasicNode, E>>;

#[expect(clippy::result_large_err, reason = "openraft's own error type")]
impl Wire {
    fn peer<E: std::error::Error>(&self) -> CallResult<Raft, E> {
        let cut = self.wires.cut.lock().unwrap();
        let peer = self.wires.members.lock().unwrap().get(&self.to).cloned();
        match peer.filter(|_| !cut.contains(&self.from) && !cut.contains(&self.to)) {
            Some(peer) => Ok(peer),
            None => Err(RPCError::Unreachable(Unreachable::new(&Cut))),
        }
    }

    fn remote<E: std::error::Error>(&self, error: E) -> RPCError<MemberId, BasicNode, E> {
        RPCError::RemoteError(RemoteError::new(self.to, error))
    }
}

impl RaftNetwork<Types> for Wire {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> CallResult<AppendEntriesResponse<MemberId>, RaftError<MemberId>> {
        self.peer()?.append_entries(request).await.map_err(|error| self.remote(error))
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> CallResult<InstallSnapshotResponse<MemberId>, RaftError<MemberId, InstallSnapshotError>> {
        self.peer()?.install_snapshot(request).await.map_err(|error| self.remote(error))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<MemberId>,
        _: RPCOption,
    ) -> CallResult<VoteResponse<MemberId>, RaftError<MemberId>> {
        self.peer()?.vote(request).await.map_err(|error| self.remote(error))
    }
}
