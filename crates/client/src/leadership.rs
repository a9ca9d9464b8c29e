//! Leadership at the central bank: which of its nodes leads, how far the others are, and handing leadership over.
//!
//! Every node answers [`Leadership::of`] as it knows it: nodes may differ for as long as leadership changes, and the
//! higher term is the newer one. Only the leader serves [`hand_over`].

use cbdc_ledger::{Height, MemberId, Reason};
use cbdc_proto::status::refusal_of;
use cbdc_proto::v1;
use cbdc_proto::v1::leadership_client::LeadershipClient;

use crate::connection::Connection;
use crate::error::{ClientError, of_status};

/// Leadership as one node of the central bank knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leadership {
    /// The node that was asked.
    pub member: MemberId,
    /// The node that leads; `None` while none is known to.
    pub leader: Option<MemberId>,
    /// The term of leadership: each leader has one of its own, higher than all before.
    pub term: u64,
    /// The height of the asked node's newest block.
    pub height: Height,
    /// The time without a leader at the last change that the asked node has seen, in milliseconds; `None` if it has
    /// seen none since its start.
    pub last_hand_over_ms: Option<u64>,
    /// The nodes that order, by number.
    pub nodes: Vec<OrderingNode>,
}

/// A node of the central bank that orders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderingNode {
    /// The node's member number.
    pub member: MemberId,
    /// The address at which members reach it; empty for a node that orders alone.
    pub address: String,
    /// The part that it has.
    pub part: NodePart,
    /// The entries of the log that it still lacks. Only the leader knows it of others.
    pub lag_entries: Option<u64>,
}

/// The part of a node in ordering.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodePart {
    /// It orders and settles; commands go to it.
    Leader,
    /// It votes, and follows the leader.
    Follower,
    /// It receives the log and does not vote yet.
    Learner,
}

impl NodePart {
    /// The stable name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            NodePart::Leader => "leader",
            NodePart::Follower => "follower",
            NodePart::Learner => "learner",
        }
    }
}

/// The result of a planned hand-over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandOver {
    /// The node that leads now.
    pub leader: MemberId,
    /// Its address.
    pub address: String,
    /// Its term.
    pub term: u64,
    /// The time for which no command was ordered, in milliseconds.
    pub pause_ms: u64,
}

impl Leadership {
    /// Asks the node at the other end of a connection, which shows a member's node certificate.
    ///
    /// # Errors
    /// [`ClientError::BadAnswer`] if the answer violates the contract; otherwise those of a call.
    pub async fn of(connection: &Connection) -> Result<Leadership, ClientError> {
        let request = connection.request(v1::GetLeadershipRequest {});
        let answer = connection.ask(client(connection).get_leadership(request)).await?;
        let leader = answer.leader.map(|leader| member(connection, leader)).transpose()?;
        Ok(Leadership {
            member: member(connection, answer.member)?,
            leader,
            term: answer.term,
            height: Height(answer.height),
            last_hand_over_ms: answer.last_hand_over_ms,
            nodes: answer.nodes.into_iter().map(|node| ordering_node(connection, node)).collect::<Result<_, _>>()?,
        })
    }

    /// The node that leads, with its address, if the asked node knows one.
    pub fn leading_node(&self) -> Option<&OrderingNode> {
        self.nodes.iter().find(|node| Some(node.member) == self.leader)
    }

    /// Whether the asked node itself leads.
    pub fn leads(&self) -> bool {
        self.leader == Some(self.member)
    }
}

/// Hands leadership over to `successor`, or to the node that is furthest. The connection leads to the leader and shows
/// an operator's node certificate. What the leader has taken is answered first, and nothing is refused. Where the
/// leader itself is the successor, it leads on, in its term. Not safe to repeat blindly: leadership may move once more.
///
/// # Errors
/// [`ClientError::NotHandedOver`] if no successor follows closely enough (the node answers `UNAVAILABLE`): the leader
/// leads on. [`ClientError::NoAnswer`] if the node does not lead (`NOT_LEADER`), or the connection broke; otherwise
/// those of a call.
pub async fn hand_over(connection: &Connection, successor: Option<MemberId>) -> Result<HandOver, ClientError> {
    let request = v1::HandOverRequest { successor: successor.map(|successor| u32::from(successor.0)) };
    let answer = connection.send(client(connection).hand_over(connection.request(request))).await;
    let answer = answer.map_err(|status| match refusal_of(&status) {
        // The node's own word, and not that of a connection that broke.
        Some(said) if said.reason == Reason::Unavailable => {
            ClientError::NotHandedOver { reason: status.message().to_owned() }
        }
        _ => of_status(connection.address(), &status),
    })?;
    Ok(HandOver {
        leader: member(connection, answer.leader)?,
        address: answer.address,
        term: answer.term,
        pause_ms: answer.pause_ms,
    })
}

fn client(connection: &Connection) -> LeadershipClient<tonic::transport::Channel> {
    LeadershipClient::new(connection.channel())
}

fn ordering_node(connection: &Connection, node: v1::CentralBankNode) -> Result<OrderingNode, ClientError> {
    let part = match node.part() {
        v1::NodePart::Leader => NodePart::Leader,
        v1::NodePart::Follower => NodePart::Follower,
        v1::NodePart::Learner => NodePart::Learner,
        v1::NodePart::Unspecified => {
            let found = node.part;
            return Err(connection.bad_answer(format!("expected the part of a node from 1 to 3, found {found}")));
        }
    };
    let member = member(connection, node.member)?;
    Ok(OrderingNode { member, address: node.address, part, lag_entries: node.lag_entries })
}

fn member(connection: &Connection, number: u32) -> Result<MemberId, ClientError> {
    let wrong = |_| connection.bad_answer(format!("expected the number of a member up to 65535, found {number}"));
    u16::try_from(number).map(MemberId).map_err(wrong)
}
