//! `cbdc chain members` and `cbdc chain hand-over`: the central bank's nodes, of which one leads.

use cbdc_client::{
    AskedNode, ClientError, HandOverOutcome, Leadership, Leaderships, MemberId, NodeName, NodePart, OrderingNode,
};
use clap::Args;
use serde_json::{Value, json};

use crate::exit::Told;
use crate::network::NetworkArgument;
use crate::output::{Output, table};

pub const MEMBERS_HELP: &str = "Examples:
  cbdc chain members
  cbdc chain members --json
  cbdc chain members --network . --central-bank cb2.example:7000

Every node is asked, and shown as it answers: its term, its height, and how long the network was without a leader at the
last change that it saw. The leader orders and settles; followers vote and follow; a learner receives the log and does
not vote yet; a node that is away did not answer; one that is outside orders with nobody: it waits to be admitted, or
was dismissed. LAG is what a node still lacks, in entries of the log, as the leader knows it. The folder of any one node
is enough: the others are asked where its configuration and their answers say.

If nobody leads, that is said, with what a majority lacks, and the exit code is 4.";

pub const HAND_OVER_HELP: &str = "Examples:
  cbdc chain hand-over
  cbdc chain hand-over --to central-bank-3
  cbdc chain hand-over --to 3

The leader takes no more commands, answers those that it has, and another node leads: the one that follows most closely,
or the one named. Commands that come meanwhile wait at the banks. If no other node follows closely enough, the leader
leads on, and the command fails with the reason. If the node that is named leads already, nothing changes.";

/// Asks every node of the central bank who leads.
///
/// # Errors
/// Nobody leads, which the answer says.
pub async fn show(network: &NetworkArgument, output: &Output) -> anyhow::Result<()> {
    let known = network.open()?.leaderships().await;
    output.print(object(&known), || text(&known));
    match known.leader() {
        Some(_) => Ok(()),
        None => Err(Told(ClientError::NoLeader { said: known.why_nobody_leads() }).into()),
    }
}

/// The arguments of `cbdc chain hand-over`.
#[derive(Args, Debug)]
pub struct HandOver {
    /// The node that shall lead, as central-bank-3 or 3; by default the one that follows most closely
    #[arg(long, value_name = "NODE", value_parser = central_bank_node)]
    to: Option<MemberId>,
    #[command(flatten)]
    network: NetworkArgument,
}

/// Reads a node of the central bank, by its name or its number.
fn central_bank_node(text: &str) -> Result<MemberId, String> {
    let number = match text.parse() {
        Ok(NodeName::CentralBank(id)) => Some(id.0),
        Ok(NodeName::Bank(_)) => None,
        Err(_) => text.parse().ok(),
    };
    let expected = || format!("expected a node of the central bank, such as central-bank-3 or 3, found `{text}`");
    number.filter(|number| *number > 0).map(MemberId).ok_or_else(expected)
}

impl HandOver {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let (now, is_done) = match self.network.open()?.hand_over(self.to).await? {
            HandOverOutcome::Done(now) => (now, true),
            HandOverOutcome::LedAlready(now) => (now, false),
        };
        let node = NodeName::CentralBank(now.leader).to_string();
        let object = json!({
            "handed_over": is_done,
            "leader": now.leader.0,
            "node": node,
            "address": now.address,
            "term": now.term,
            "pause_ms": now.pause_ms,
        });
        output.print(object, || match is_done {
            true => format!("{node} leads now, in term {}; nothing was ordered for {} ms", now.term, now.pause_ms),
            false => format!("{node} leads already, in term {}; nothing has changed", now.term),
        });
        Ok(())
    }
}

/// A node in one row, by what it says itself and what the leader says of it.
struct Row<'a> {
    node: NodeName,
    asked: Option<&'a AskedNode>,
    listed: Option<&'a OrderingNode>,
    leads: bool,
}

/// Every node that was asked, and those that are listed and could not be.
fn rows(known: &Leaderships) -> Vec<Row<'_>> {
    let (list, leader) = (known.listed(), known.leader());
    let mut nodes: Vec<NodeName> = known.0.iter().map(|asked| asked.node).collect();
    nodes.extend(list.iter().map(|listed| NodeName::CentralBank(listed.member)));
    nodes.sort_unstable();
    nodes.dedup();
    let row = |node| Row {
        node,
        asked: known.0.iter().find(|asked| asked.node == node),
        listed: list.iter().find(|listed| NodeName::CentralBank(listed.member) == node),
        leads: leader == Some(node),
    };
    nodes.into_iter().map(row).collect()
}

impl<'a> Row<'a> {
    fn own(&self) -> Option<&'a Leadership> {
        self.asked.and_then(|asked| asked.answer.as_ref().ok())
    }

    fn address(&self) -> Option<&'a str> {
        let asked = self.asked.map(|asked| asked.address.as_str());
        let listed = self.listed.map(|listed| listed.address.as_str()).filter(|address| !address.is_empty());
        listed.or(asked).filter(|address| !address.is_empty())
    }

    /// The part of a node that answers, and of the leader wherever it is: what others say of a node that is away does
    /// not tell what it does.
    fn part(&self) -> &'static str {
        match (self.leads, self.own(), self.listed) {
            (true, ..) => NodePart::Leader.name(),
            (false, None, _) => "away",
            (false, Some(_), Some(listed)) if listed.part == NodePart::Learner => NodePart::Learner.name(),
            (false, Some(_), Some(_)) => NodePart::Follower.name(),
            // It waits to be admitted, or was dismissed.
            (false, Some(_), None) => "outside",
        }
    }

    /// Why a node that is away was not reached.
    fn failure(&self) -> Option<String> {
        match self.asked.map(|asked| &asked.answer) {
            Some(Ok(_)) => None,
            Some(Err(ClientError::UnknownMember { .. })) => Some(format!(
                "it is no member, as far as this folder has followed: the committee admits it with `cbdc policy \
                 propose admit={}:FILE`, and `cbdc anchor --update` follows that",
                self.node
            )),
            Some(Err(error)) => Some(error.to_string()),
            None => Some("its address is not known".to_owned()),
        }
    }
}

fn object(known: &Leaderships) -> Value {
    let members: Vec<Value> = rows(known)
        .iter()
        .map(|row| {
            let own = row.own();
            json!({
                "member": row.node.id().0,
                "node": row.node.to_string(),
                "address": row.address(),
                "part": row.part(),
                "term": own.map(|own| own.term),
                "height": own.map(|own| own.height.0),
                "lag_entries": row.listed.and_then(|listed| listed.lag_entries),
                "last_hand_over_ms": own.and_then(|own| own.last_hand_over_ms),
                "not_reached": row.failure(),
            })
        })
        .collect();
    let leader = known.leader();
    json!({
        "leader": leader.map(|leader| leader.id().0),
        "voters": known.voters().len(),
        "reached": known.reached().len(),
        "majority": known.majority(),
        "nobody_leads": leader.is_none().then(|| known.why_nobody_leads()),
        "members": members,
    })
}

fn text(known: &Leaderships) -> String {
    let shown = |value: Option<u64>, unit: &str| value.map_or("-".to_owned(), |value| format!("{value}{unit}"));
    let rows = rows(known);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let own = row.own();
            vec![
                row.node.to_string(),
                row.address().unwrap_or("-").to_owned(),
                row.part().to_owned(),
                shown(own.map(|own| own.term), ""),
                shown(own.map(|own| own.height.0), ""),
                shown(row.listed.and_then(|listed| listed.lag_entries), ""),
                shown(own.and_then(|own| own.last_hand_over_ms), " ms"),
            ]
        })
        .collect();
    let mut text = table(&["node", "address", "part", ">term", ">height", ">lag", ">last hand-over"], &cells);
    if known.leader().is_none() {
        let why = known.why_nobody_leads();
        text.push_str(&format!("\nNobody leads: {why}. Until then nothing is settled, and payments wait.\n"));
    }
    for row in &rows {
        if let Some(failure) = row.failure() {
            text.push_str(&format!("\n{} was not reached: {failure}", row.node));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use cbdc_client::Height;

    use super::*;

    fn knows(member: u16, leader: Option<u16>, term: u64) -> AskedNode {
        let nodes = (1..=3)
            .map(|node| OrderingNode {
                member: MemberId(node),
                address: format!("10.0.0.{node}:7000"),
                part: if Some(node) == leader { NodePart::Leader } else { NodePart::Follower },
                lag_entries: (Some(member) == leader).then_some(u64::from(node)),
            })
            .collect();
        let own = Leadership {
            member: MemberId(member),
            leader: leader.map(MemberId),
            term,
            height: Height(40 + u64::from(member)),
            last_hand_over_ms: Some(31),
            nodes,
        };
        let address = format!("10.0.0.{member}:7000");
        AskedNode { node: NodeName::CentralBank(MemberId(member)), address, answer: Ok(own) }
    }

    fn away(member: u16) -> AskedNode {
        let address = format!("10.0.0.{member}:7000");
        let error = ClientError::Unreachable { address: address.clone(), reason: "refused".to_owned() };
        AskedNode { node: NodeName::CentralBank(MemberId(member)), address, answer: Err(error) }
    }

    fn parts(object: &Value) -> Vec<&str> {
        object["members"].as_array().unwrap().iter().map(|member| member["part"].as_str().unwrap()).collect()
    }

    #[test]
    fn each_node_is_shown_by_its_own_answer_and_the_leaders() {
        // Node 1 is cut off, and takes itself for the leader of a term that is over.
        let known = Leaderships(vec![knows(1, Some(1), 4), knows(2, Some(2), 5), away(3)]);
        let object = object(&known);
        assert_eq!(object["leader"], 2);
        assert_eq!(parts(&object), ["follower", "leader", "away"]);
        assert_eq!((&object["members"][0]["term"], &object["members"][0]["lag_entries"]), (&json!(4), &json!(1)));
        assert_eq!((&object["members"][2]["height"], &object["members"][2]["lag_entries"]), (&json!(null), &json!(3)));
        let text = text(&known);
        assert!(text.contains("central-bank-3 was not reached: ") && !text.contains("Nobody leads"), "{text}");
    }

    #[test]
    fn where_nobody_leads_that_is_said_with_who_is_away_and_what_is_needed() {
        let known = Leaderships(vec![knows(1, None, 4)]);
        let object = object(&known);
        assert_eq!((&object["leader"], &object["reached"], &object["majority"]), (&json!(null), &json!(1), &json!(2)));
        assert_eq!(parts(&object), ["follower", "away", "away"]);
        let text = text(&known);
        for part in ["Nobody leads: ", "2 are needed", "away: central-bank-2, central-bank-3", "2 was not reached: its"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_node_is_named_by_its_name_or_its_number() {
        assert_eq!(central_bank_node("3"), Ok(MemberId(3)));
        assert_eq!(central_bank_node("central-bank-3"), Ok(MemberId(3)));
        for wrong in ["bank-3", "0", "central-bank-0", "central-bank", "70000", ""] {
            assert!(central_bank_node(wrong).unwrap_err().contains("central-bank-3 or 3"), "{wrong}");
        }
    }
}
