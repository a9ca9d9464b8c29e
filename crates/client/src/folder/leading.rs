//! The central bank's nodes, of which one leads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cbdc_ledger::MemberId;
use cbdc_ledger::member::Role;
use tokio::task::JoinSet;

use super::{NetworkFolder, NodeName};
use crate::connection::Connection;
use crate::error::{ClientError, no_answer};
use crate::leadership::{HandOver, Leadership, NodePart, OrderingNode, hand_over};

/// The time that a node has to say who leads.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// The pause between two questions while nobody leads.
const LEADER_POLL: Duration = Duration::from_millis(50);

/// A node of the central bank, and what it says of leadership.
#[derive(Debug)]
pub struct AskedNode {
    /// The node, by the number in its answer; without an answer, by the folder or the node that named it.
    pub node: NodeName,
    /// The address at which it was asked; empty if no address of it is known.
    pub address: String,
    /// Its answer.
    pub answer: Result<Leadership, ClientError>,
}

/// Leadership as all nodes of the central bank that could be asked know it, by number.
#[derive(Debug)]
pub struct Leaderships(pub Vec<AskedNode>);

impl Leaderships {
    /// The answers.
    pub fn answers(&self) -> impl Iterator<Item = &Leadership> {
        self.0.iter().filter_map(|asked| asked.answer.as_ref().ok())
    }

    /// The leader of the highest term, by what the nodes know. `None` if none of them knows one, or the one that others
    /// name says itself that it does not lead: it is not followed by a majority.
    pub fn leader(&self) -> Option<NodeName> {
        let denies =
            |leader: MemberId, term| self.answers().any(|own| own.member == leader && !own.leads() && own.term >= term);
        let leaders = self.answers().filter_map(|known| Some((known.term, known.leads(), known.leader?)));
        let leaders = leaders.filter(|(term, _, leader)| !denies(*leader, *term));
        leaders.max().map(|(_, _, leader)| NodeName::CentralBank(leader))
    }

    /// The nodes that order, as the leader lists them; while nobody leads, as the node of the highest term does.
    pub fn listed(&self) -> &[OrderingNode] {
        let leader = self.leader();
        let by_leader = self.answers().find(|own| Some(NodeName::CentralBank(own.member)) == leader);
        by_leader.or_else(|| self.answers().max_by_key(|own| own.term)).map_or(&[], |own| &own.nodes)
    }

    /// The nodes that vote: those that are listed as such, or all that could be asked if none is listed.
    pub fn voters(&self) -> Vec<NodeName> {
        let listed = self.listed().iter().filter(|listed| listed.part != NodePart::Learner);
        let voters: Vec<NodeName> = listed.map(|listed| NodeName::CentralBank(listed.member)).collect();
        match voters.is_empty() {
            true => self.0.iter().map(|asked| asked.node).collect(),
            false => voters,
        }
    }

    /// The nodes that vote and have answered.
    pub fn reached(&self) -> Vec<NodeName> {
        let has_answered = |node: &NodeName| self.0.iter().any(|asked| asked.node == *node && asked.answer.is_ok());
        self.voters().into_iter().filter(has_answered).collect()
    }

    /// The number of nodes that must hear each other for one to lead.
    pub fn majority(&self) -> usize {
        self.voters().len() / 2 + 1
    }

    /// The sentence for a network in which nobody leads: how many nodes are there, how many are needed, which are away.
    pub fn why_nobody_leads(&self) -> String {
        let (voters, reached) = (self.voters(), self.reached());
        let list = |nodes: Vec<&NodeName>| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let away = list(voters.iter().filter(|node| !reached.contains(node)).collect());
        let here = match reached.len() {
            0 => "none".to_owned(),
            count => format!("{count} ({})", list(reached.iter().collect())),
        };
        let (of, needed) = (voters.len(), self.majority());
        match away.is_empty() {
            true => format!(
                "all {of} nodes of the central bank are reached, and none leads: they are electing one, or do not \
                 reach each other"
            ),
            false => format!(
                "of the central bank's {of} nodes {here} {} reached, and {needed} are needed, which hear each other; \
                 away: {away}",
                if reached.len() == 1 { "is" } else { "are" }
            ),
        }
    }
}

/// A hand-over as it was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandOverOutcome {
    /// Another node leads now.
    Done(HandOver),
    /// The node that was named leads already.
    LedAlready(HandOver),
}

impl HandOverOutcome {
    /// Who leads now.
    pub fn now(&self) -> &HandOver {
        let (HandOverOutcome::Done(now) | HandOverOutcome::LedAlready(now)) = self;
        now
    }
}

impl NetworkFolder {
    /// Leadership as each node of the central bank knows it. All are asked at the same time; then those that they name
    /// beyond the folder, or at another address than it has.
    pub async fn leaderships(&self) -> Leaderships {
        let mut asked: JoinSet<AskedNode> = JoinSet::new();
        for node in self.central_banks() {
            let (folder, address) = (self.clone(), self.address(node).unwrap_or_default().to_owned());
            asked.spawn(async move {
                let connect = folder.connect_reader(node);
                let answer = leadership_by(connect, &address).await;
                AskedNode { node, address, answer }
            });
        }
        let first = by_number(asked.join_all().await);
        let mut beyond: JoinSet<AskedNode> = JoinSet::new();
        let known = Leaderships(first.into_values().collect());
        for listed in known.listed().iter().filter(|listed| !listed.address.is_empty()) {
            let node = NodeName::CentralBank(listed.member);
            let is_missed = known.0.iter().find(|asked| asked.node == node).is_none_or(|asked| match &asked.answer {
                Err(ClientError::Unreachable { .. }) => asked.address != listed.address,
                // Membership was not followed so far; whoever it admits since is known by its key.
                Err(ClientError::UnknownMember { .. }) => true,
                _ => false,
            });
            if is_missed {
                let (folder, address) = (self.clone(), listed.address.clone());
                beyond.spawn(async move {
                    let connect = folder.connect_reader_named(&address);
                    let answer = leadership_by(connect, &address).await;
                    AskedNode { node, address, answer }
                });
            }
        }
        Leaderships(by_number(known.0.into_iter().chain(beyond.join_all().await)).into_values().collect())
    }

    /// The node of the central bank that leads: the only one, or the one of the highest term that any node knows.
    /// `None` if nobody who answers knows one.
    pub async fn leader(&self) -> Option<NodeName> {
        if self.central_banks().count() == 1 && self.nodes_elsewhere().is_empty() {
            return Some(self.central_bank());
        }
        self.leaderships().await.leader()
    }

    /// The node that leads, once there is one: a network that starts, or has just lost its leader, elects first. `None`
    /// if that takes longer than `limit`.
    pub async fn leader_within(&self, limit: Duration) -> Option<NodeName> {
        let give_up = Instant::now() + limit;
        loop {
            let leader = self.leader().await;
            if leader.is_some() || Instant::now() >= give_up {
                return leader;
            }
            tokio::time::sleep(LEADER_POLL).await;
        }
    }

    /// Hands leadership over to `successor`, or to the node that follows most closely, for an operator whose keys are
    /// in this folder.
    ///
    /// # Errors
    /// [`ClientError::Usage`] if there is only one node, or the successor is none; [`ClientError::NoLeader`] if nobody
    /// leads; [`ClientError::NobodyActs`] without an operator's keys; otherwise those of [`hand_over`].
    pub async fn hand_over(&self, successor: Option<MemberId>) -> Result<HandOverOutcome, ClientError> {
        let known = self.leaderships().await;
        let Some(leader) = known.leader() else {
            return Err(ClientError::NoLeader { said: known.why_nobody_leads() });
        };
        let voters = known.voters();
        let names = voters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if let Some(other) = successor.map(NodeName::CentralBank).filter(|other| !voters.contains(other)) {
            return Err(ClientError::Usage(format!("expected one of {names}, which vote, found {other}")));
        }
        if voters.len() == 1 {
            let only = "the central bank has one node: there is none to hand leadership over to";
            return Err(ClientError::Usage(only.to_owned()));
        }
        let by_list = known.listed().iter().find(|listed| NodeName::CentralBank(listed.member) == leader);
        let by_itself = known.0.iter().find(|asked| asked.node == leader && asked.answer.is_ok());
        let address = by_itself.map(|asked| &asked.address).or(by_list.map(|listed| &listed.address));
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Err(ClientError::NoLeader { said: format!("{leader} leads, and its address is not known") });
        };
        let led = known.answers().find(|own| NodeName::CentralBank(own.member) == leader);
        if let (true, Some(led)) = (successor.map(NodeName::CentralBank) == Some(leader), led) {
            let (leader, address) = (led.member, address.clone());
            return Ok(HandOverOutcome::LedAlready(HandOver { leader, address, term: led.term, pause_ms: 0 }));
        }
        let done = hand_over(&self.operator_at(address).await?, successor).await?;
        Ok(match NodeName::CentralBank(done.leader) == leader {
            true => HandOverOutcome::LedAlready(done),
            false => HandOverOutcome::Done(done),
        })
    }

    /// A connection of the first operator in this folder whom the node of the central bank at `address` admits.
    async fn operator_at(&self, address: &str) -> Result<Connection, ClientError> {
        let mut failure = None;
        for id in self.at_hand(Role::Operator) {
            let connection = self.connect_named(Role::Operator, id, address)?;
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

async fn leadership_by(
    connect: impl Future<Output = Result<Connection, ClientError>>,
    address: &str,
) -> Result<Leadership, ClientError> {
    let ask = async { Leadership::of(&connect.await?).await };
    match tokio::time::timeout(ANSWER_WITHIN, ask).await {
        Ok(answer) => answer,
        Err(_) => Err(no_answer(address, ANSWER_WITHIN)),
    }
}

/// Each node once, by the number in its answer; an answer counts more than none.
fn by_number(asked: impl IntoIterator<Item = AskedNode>) -> BTreeMap<NodeName, AskedNode> {
    let mut nodes: BTreeMap<NodeName, AskedNode> = BTreeMap::new();
    for asked in asked {
        let node = asked.answer.as_ref().map_or(asked.node, |own| NodeName::CentralBank(own.member));
        let is_better = asked.answer.is_ok() || !nodes.contains_key(&node);
        if is_better {
            nodes.insert(node, AskedNode { node, ..asked });
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::Height;

    use super::*;

    fn node(number: u16) -> NodeName {
        NodeName::CentralBank(MemberId(number))
    }

    fn knows(member: u16, leader: Option<u16>, term: u64) -> AskedNode {
        let nodes = (1..=3).map(|number| OrderingNode {
            member: MemberId(number),
            address: String::new(),
            part: NodePart::Follower,
            lag_entries: None,
        });
        let own = Leadership {
            member: MemberId(member),
            leader: leader.map(MemberId),
            term,
            height: Height(9),
            last_hand_over_ms: None,
            nodes: nodes.collect(),
        };
        AskedNode { node: node(member), address: String::new(), answer: Ok(own) }
    }

    fn away(number: u16) -> AskedNode {
        AskedNode { node: node(number), address: String::new(), answer: Err(ClientError::Accepted) }
    }

    #[test]
    fn of_two_that_lead_the_one_of_the_higher_term_does() {
        let leader = |asked: Vec<AskedNode>| Leaderships(asked).leader();
        assert_eq!(leader(vec![]), None);
        assert_eq!(leader(vec![knows(1, None, 7), away(2)]), None);
        // Node 1 is cut off, and has not heard that node 3 follows it.
        assert_eq!(leader(vec![knows(1, Some(1), 4), away(2), knows(3, Some(3), 5)]), Some(node(3)));
        assert_eq!(leader(vec![knows(1, None, 6), away(2), knows(3, Some(3), 5)]), Some(node(3)));
    }

    #[test]
    fn a_leader_that_says_itself_that_no_majority_follows_it_does_not_lead() {
        assert_eq!(Leaderships(vec![knows(1, None, 4), knows(2, Some(1), 4), away(3)]).leader(), None);
        // What it said in an earlier term does not matter, nor that it cannot be reached from here.
        assert_eq!(Leaderships(vec![knows(1, None, 3), knows(2, Some(1), 4)]).leader(), Some(node(1)));
        assert_eq!(Leaderships(vec![away(1), knows(2, Some(1), 4), knows(3, Some(1), 4)]).leader(), Some(node(1)));
    }

    #[test]
    fn it_is_said_who_is_away_and_how_many_are_needed() {
        let why = Leaderships(vec![knows(1, None, 4), away(2)]).why_nobody_leads();
        for part in ["3 nodes 1 (central-bank-1) is reached", "2 are needed", "away: central-bank-2, central-bank-3"] {
            assert!(why.contains(part), "{part}: {why}");
        }
        let all = Leaderships(vec![knows(1, None, 4), knows(2, None, 4), knows(3, None, 4)]);
        assert!(all.why_nobody_leads().starts_with("all 3 nodes"), "{}", all.why_nobody_leads());
        let none = Leaderships(vec![away(1), away(2), away(3)]);
        assert!(none.why_nobody_leads().contains("none are reached, and 2 are needed"), "{}", none.why_nobody_leads());
    }

    #[test]
    fn an_answer_names_the_node_whatever_number_was_guessed() {
        let known = by_number([AskedNode { node: node(1), ..knows(2, None, 4) }, away(2), away(3)]);
        let answered: Vec<_> = known.values().map(|asked| (asked.node, asked.answer.is_ok())).collect();
        assert_eq!(answered, [(node(2), true), (node(3), false)]);
    }
}
