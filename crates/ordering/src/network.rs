//! The network of a member that orders alone. That of several is [`crate::members`].

use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::{BasicNode, RaftNetwork, RaftNetworkFactory};

use crate::types::{MemberId, Types};

/// A network without peers: every call finds its target unreachable.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NoPeers;

/// The result of a call to a peer.
#[derive(Debug, thiserror::Error)]
#[error("member {0} cannot be reached: this member orders alone")]
struct NoSuchPeer(MemberId);

/// The connection to one peer that cannot be reached.
#[derive(Debug)]
pub(crate) struct NoPeer(MemberId);

impl RaftNetworkFactory<Types> for NoPeers {
    type Network = NoPeer;

    async fn new_client(&mut self, target: MemberId, _node: &BasicNode) -> NoPeer {
        NoPeer(target)
    }
}

type CallResult<T, E> = Result<T, RPCError<MemberId, BasicNode, E>>;

#[expect(clippy::result_large_err, reason = "openraft's own error type")]
impl NoPeer {
    fn unreachable<T, E: std::error::Error>(&self) -> CallResult<T, E> {
        Err(RPCError::Unreachable(Unreachable::new(&NoSuchPeer(self.0))))
    }
}

impl RaftNetwork<Types> for NoPeer {
    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> CallResult<AppendEntriesResponse<MemberId>, RaftError<MemberId>> {
        self.unreachable()
    }

    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> CallResult<InstallSnapshotResponse<MemberId>, RaftError<MemberId, InstallSnapshotError>> {
        self.unreachable()
    }

    async fn vote(
        &mut self,
        _: VoteRequest<MemberId>,
        _: RPCOption,
    ) -> CallResult<VoteResponse<MemberId>, RaftError<MemberId>> {
        self.unreachable()
    }
}
