//! The leadership service: who leads, how far the others are, and the planned hand-over.

use std::sync::Arc;

use cbdc_ledger::member::Role;
use cbdc_ledger::{Ledger, MemberId};
use cbdc_node::{LedgerHandle, Membership};
use cbdc_ordering::{MemberState, Ordering};
use cbdc_proto::convert::number_u16;
use cbdc_proto::status::{not_served, unavailable};
use cbdc_proto::v1;
use tonic::{Request, Response, Status};

use crate::leading::Leading;
use crate::replicas::succession::{NotHandedOver, Succession};

pub struct LeadershipService {
    pub member: MemberId,
    pub membership: Membership,
    pub ordering: Arc<Ordering>,
    pub ledger: LedgerHandle,
    pub leading: Arc<Leading>,
    /// `None` for a node that orders alone.
    pub succession: Option<Arc<Succession>>,
}

impl LeadershipService {
    /// The nodes that order, and the one that leads.
    fn nodes(&self) -> (Option<u32>, Vec<v1::CentralBankNode>) {
        let own = u32::from(self.member.0);
        let Some(succession) = &self.succession else {
            let part = v1::NodePart::Leader.into();
            let alone = v1::CentralBankNode { member: own, address: String::new(), part, lag_entries: Some(0) };
            return (Some(own), vec![alone]);
        };
        let leader = succession.heard_leader().map(|leader| u32::from(leader.0));
        (leader, self.ordering.members().into_iter().map(|state| LeadershipService::node(state, leader)).collect())
    }

    /// The answer where this node leads, and is to lead.
    fn leads_on(&self) -> v1::HandOverResponse {
        let own = u64::from(self.member.0);
        let address = self.ordering.members().into_iter().find(|state| state.member == own).map(|state| state.address);
        v1::HandOverResponse {
            leader: u32::from(self.member.0),
            address: address.unwrap_or_default(),
            term: self.ordering.leadership().borrow().term,
            pause_ms: 0,
        }
    }

    fn node(state: MemberState, leader: Option<u32>) -> v1::CentralBankNode {
        let member = u32::try_from(state.member).unwrap_or_default();
        let part = match (leader == Some(member), state.votes) {
            (true, _) => v1::NodePart::Leader,
            (false, true) => v1::NodePart::Follower,
            (false, false) => v1::NodePart::Learner,
        };
        v1::CentralBankNode { member, address: state.address, part: part.into(), lag_entries: state.lag }
    }
}

#[tonic::async_trait]
impl v1::leadership_server::Leadership for LeadershipService {
    async fn get_leadership(
        &self,
        request: Request<v1::GetLeadershipRequest>,
    ) -> Result<Response<v1::GetLeadershipResponse>, Status> {
        self.membership.require(&request, &Role::ALL)?;
        let known = *self.ordering.leadership().borrow();
        let (leader, nodes) = self.nodes();
        Ok(Response::new(v1::GetLeadershipResponse {
            member: u32::from(self.member.0),
            leader,
            term: known.term,
            height: self.ledger.read(Ledger::height).0,
            last_hand_over_ms: known.hand_over_ms,
            nodes,
        }))
    }

    async fn hand_over(&self, request: Request<v1::HandOverRequest>) -> Result<Response<v1::HandOverResponse>, Status> {
        let (_, operator) = self.membership.require(&request, &[Role::Operator])?;
        let Some(succession) = &self.succession else {
            return Err(not_served("this node orders alone, so there is no other to hand over to"));
        };
        let successor = request.into_inner().successor.map(|number| number_u16("successor", number)).transpose()?;
        self.leading.require().await?;
        if successor == Some(self.member.0) {
            return Ok(Response::new(self.leads_on()));
        }
        tracing::info!(%operator, ?successor, "an operator asks for a hand-over");
        match succession.hand_over(successor.map(MemberId)).await {
            Ok(done) => Ok(Response::new(v1::HandOverResponse {
                leader: u32::from(done.leader.member.0),
                address: done.leader.address,
                term: done.term,
                pause_ms: u64::try_from(done.pause.as_millis()).unwrap_or(u64::MAX),
            })),
            Err(NotHandedOver::NotLeader) => {
                self.leading.require().await?;
                Err(unavailable("leadership is being handed over already"))
            }
            Err(error) => Err(unavailable(error.to_string())),
        }
    }
}
