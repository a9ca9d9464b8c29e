//! The central bank's nodes, of which one leads.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{NetworkFolder, NodeName};
use crate::error::{ClientError, no_answer};
use crate::leadership::Leadership;

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
