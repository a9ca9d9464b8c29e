//! The central bank's nodes, of which one leads.

use std::time::Duration;

use cbdc_ledger::MemberId;
use cbdc_ledger::member::Role;
use tokio::task::JoinSet;

use super::{NetworkFolder, NodeName};
use crate::connection::Connection;
use crate::error::{ClientError, no_answer};
use crate::leadership::{HandOver, Leadership, hand_over};

/// The time that a node has to say who leads.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

impl NetworkFolder {
    /// Leadership as each node of the central bank knows it, by number. All are asked at the same time.
    pub async fn leaderships(&self) -> Vec<(NodeName, Result<Leadership, ClientError>)> {
        let mut asked = JoinSet::new();
        for node in self.central_banks() {
            let folder = self.clone();
            asked.spawn(async move { (node, folder.leadership_by(node).await) });
        }
        let mut known = asked.join_all().await;
        known.sort_unstable_by_key(|(node, _)| *node);
        known
    }

    async fn leadership_by(&self, node: NodeName) -> Result<Leadership, ClientError> {
        let ask = async {
            let connection = self.connect_reader(node).await?;
            Leadership::of(&connection).await
        };
        match tokio::time::timeout(ANSWER_WITHIN, ask).await {
            Ok(answer) => answer,
            Err(_) => Err(no_answer(self.address(node)?, ANSWER_WITHIN)),
        }
    }

    /// The node of the central bank that leads: the only one, or the one of the highest term that any node knows.
    /// `None` if nobody who answers knows one.
    pub async fn leader(&self) -> Option<NodeName> {
        if self.central_banks().count() == 1 {
            return Some(self.central_bank());
        }
        NetworkFolder::newest_leader(&self.leaderships().await)
    }

    /// The leader of the highest term, by what the nodes know.
    pub fn newest_leader(known: &[(NodeName, Result<Leadership, ClientError>)]) -> Option<NodeName> {
        let known = known.iter().filter_map(|(_, known)| known.as_ref().ok());
        let leaders = known.filter_map(|known| Some((known.term, known.leads(), known.leader?)));
        leaders.max().map(|(_, _, leader)| NodeName::CentralBank(leader))
    }

    /// Hands leadership over to `successor`, or to the node that follows most closely, for an operator whose keys are
    /// in this folder.
    ///
    /// # Errors
    /// [`ClientError::Usage`] if there is only one node, or the successor is none; [`ClientError::NobodyActs`] without
    /// an operator's keys; otherwise those of [`hand_over`].
    pub async fn hand_over(&self, successor: Option<MemberId>) -> Result<HandOver, ClientError> {
        let nodes: Vec<NodeName> = self.central_banks().collect();
        let names = nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if let Some(other) = successor.map(NodeName::CentralBank).filter(|other| !nodes.contains(other)) {
            return Err(ClientError::Usage(format!("expected one of {names}, found {other}")));
        }
        if nodes.len() == 1 {
            let only = "the central bank has one node: there is none to hand leadership over to";
            return Err(ClientError::Usage(only.to_owned()));
        }
        let Some(leader) = self.leader().await else {
            let reason = format!("none of {names} knows a leader; see `cbdc chain members`");
            return Err(ClientError::NoAnswer { address: self.address(nodes[0])?.to_owned(), reason });
        };
        hand_over(&self.operator_at(leader).await?, successor).await
    }

    /// A connection of the first operator in this folder that the node admits.
    async fn operator_at(&self, node: NodeName) -> Result<Connection, ClientError> {
        let mut failure = None;
        for id in self.at_hand(Role::Operator) {
            let connection = self.connect_member(Role::Operator, id, node)?;
            match Leadership::of(&connection).await {
                Ok(_) => return Ok(connection),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| {
            ClientError::NobodyActs(format!("there are no keys of an operator in {}", self.dir().display()))
        }))
    }

    /// A node of the central bank for reading: the first that answers, if there are several.
    ///
    /// # Errors
    /// Why one of them does not answer, if none does.
    pub async fn reading_node(&self) -> Result<NodeName, ClientError> {
        if self.central_banks().count() == 1 {
            return Ok(self.central_bank());
        }
        let mut asked = JoinSet::new();
        for node in self.central_banks() {
            let folder = self.clone();
            asked.spawn(async move { folder.connect_reader(node).await.map(|_| node) });
        }
        let mut failure = None;
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(node)) => return Ok(node),
                Ok(Err(error)) => failure = Some(error),
                Err(_) => {}
            }
        }
        Err(failure.unwrap_or_else(|| ClientError::NobodyActs("no node of the central bank was asked".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::{Height, MemberId};

    use super::*;

    #[test]
    fn of_two_that_lead_the_one_of_the_higher_term_does() {
        let node = |number| NodeName::CentralBank(MemberId(number));
        let knows = |member: u16, leader: Option<u16>, term| {
            let (member, leader) = (MemberId(member), leader.map(MemberId));
            let known = Leadership { member, leader, term, height: Height(9), last_hand_over_ms: None, nodes: vec![] };
            (NodeName::CentralBank(member), Ok(known))
        };
        let away = || (node(2), Err(ClientError::Accepted));
        let newest = NetworkFolder::newest_leader;
        assert_eq!(newest(&[]), None);
        assert_eq!(newest(&[knows(1, None, 7), away()]), None);
        // Node 1 is cut off, and has not heard that node 3 follows it.
        assert_eq!(newest(&[knows(1, Some(1), 4), away(), knows(3, Some(3), 5)]), Some(node(3)));
        assert_eq!(newest(&[knows(1, None, 6), away(), knows(3, Some(3), 5)]), Some(node(3)));
    }
}
