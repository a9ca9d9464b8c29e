//! `cbdc chain members` and `cbdc chain hand-over`: the central bank's nodes, of which one leads.

use cbdc_client::{ClientError, Leadership, MemberId, NetworkFolder, NodeName, OrderingNode};
use clap::Args;
use serde_json::{Value, json};

use crate::network::NetworkArgument;
use crate::output::{Output, table};

pub const MEMBERS_HELP: &str = "Examples:
  cbdc chain members
  cbdc chain members --json

Every node is asked, and shown as it answers: its term, its height, and how long the network was without a leader at the
last change that it saw. The leader orders and settles; followers vote and follow; a learner receives the log and does
not vote yet. LAG is what a node still lacks, in entries of the log, as the leader knows it.";

pub const HAND_OVER_HELP: &str = "Examples:
  cbdc chain hand-over
  cbdc chain hand-over --to 3

The leader takes no more commands, answers those that it has, and another node leads: the one that follows most closely,
or the one named. Commands that come meanwhile wait at the banks. If no other node follows closely enough, the leader
leads on, and the command fails with the reason.";

/// Asks every node of the central bank who leads.
pub async fn show(network: &NetworkArgument, output: &Output) -> anyhow::Result<()> {
    let network = network.open()?;
    let known = network.leaderships().await;
    if known.iter().all(|(_, known)| known.is_err()) {
        let first = known.into_iter().find_map(|(_, known)| known.err());
        return Err(first.unwrap_or_else(|| ClientError::NotFound("the network has no node".to_owned())).into());
    }
    output.print(object(&known), || text(&known));
    Ok(())
}

/// The arguments of `cbdc chain hand-over`.
#[derive(Args, Debug)]
pub struct HandOver {
    /// The node that shall lead, by its number; by default the one that follows most closely
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    to: Option<u16>,
    #[command(flatten)]
    network: NetworkArgument,
}

impl HandOver {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let now = network.hand_over(self.to.map(MemberId)).await?;
        let node = NodeName::CentralBank(now.leader).to_string();
        let object = json!({
            "leader": now.leader.0,
            "node": node,
            "address": now.address,
            "term": now.term,
            "pause_ms": now.pause_ms,
        });
        output.print(object, || {
            format!("{node} leads now, in term {}; nothing was ordered for {} ms", now.term, now.pause_ms)
        });
        Ok(())
    }
}

type Known = [(NodeName, Result<Leadership, ClientError>)];

/// A node in one row, by what it says itself and what the leader says of it.
struct Row<'a> {
    node: NodeName,
    own: Result<&'a Leadership, Option<&'a ClientError>>,
    listed: Option<&'a OrderingNode>,
}

/// Every node that the folder knows, and those that the leader lists beyond them.
fn rows(known: &Known) -> Vec<Row<'_>> {
    let answers = || known.iter().filter_map(|(_, own)| own.as_ref().ok());
    let leader = NetworkFolder::newest_leader(known);
    let by_leader = answers().find(|own| Some(NodeName::CentralBank(own.member)) == leader);
    // While nobody leads, the list of any node will do: only the lag is missing in it.
    let list = by_leader.or_else(|| answers().max_by_key(|own| own.term)).map_or(&[][..], |own| &own.nodes);
    let listed = |node: NodeName| list.iter().find(|listed| NodeName::CentralBank(listed.member) == node);
    let of_folder =
        known.iter().map(|(node, own)| Row { node: *node, own: own.as_ref().map_err(Some), listed: listed(*node) });
    let is_beyond = |node: &&OrderingNode| !known.iter().any(|(name, _)| *name == NodeName::CentralBank(node.member));
    let beyond = list.iter().filter(is_beyond).map(|node| Row {
        node: NodeName::CentralBank(node.member),
        own: Err(None),
        listed: Some(node),
    });
    of_folder.chain(beyond).collect()
}

impl Row<'_> {
    fn part(&self) -> Option<&'static str> {
        self.listed.map(|listed| listed.part.name())
    }

    fn failure(&self) -> Option<String> {
        match self.own {
            Ok(_) => None,
            Err(Some(error)) => Some(error.to_string()),
            Err(None) => Some("its folder is not in this network's".to_owned()),
        }
    }
}

fn object(known: &Known) -> Value {
    let leader = NetworkFolder::newest_leader(known);
    let members: Vec<Value> = rows(known)
        .iter()
        .map(|row| {
            json!({
                "member": row.node.id().0,
                "node": row.node.to_string(),
                "address": row.listed.map(|listed| &listed.address),
                "part": row.part(),
                "term": row.own.ok().map(|own| own.term),
                "height": row.own.ok().map(|own| own.height.0),
                "lag_entries": row.listed.and_then(|listed| listed.lag_entries),
                "last_hand_over_ms": row.own.ok().and_then(|own| own.last_hand_over_ms),
                "not_reached": row.failure(),
            })
        })
        .collect();
    json!({ "leader": leader.map(|leader| leader.id().0), "members": members })
}

fn text(known: &Known) -> String {
    let shown = |value: Option<u64>, unit: &str| value.map_or("-".to_owned(), |value| format!("{value}{unit}"));
    let rows = rows(known);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let own = row.own.ok();
            vec![
                row.node.to_string(),
                row.listed.map(|listed| listed.address.as_str()).filter(|it| !it.is_empty()).unwrap_or("-").to_owned(),
                row.part().unwrap_or("-").to_owned(),
                shown(own.map(|own| own.term), ""),
                shown(own.map(|own| own.height.0), ""),
                shown(row.listed.and_then(|listed| listed.lag_entries), ""),
                shown(own.and_then(|own| own.last_hand_over_ms), " ms"),
            ]
        })
        .collect();
    let mut text = table(&["node", "address", "part", ">term", ">height", ">lag", ">last hand-over"], &cells);
    if NetworkFolder::newest_leader(known).is_none() {
        text.push_str("\nNobody leads: payments wait until a majority of the nodes agrees on a leader.\n");
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
    use cbdc_client::{Height, NodePart};

    use super::*;

    fn knows(member: u16, leader: Option<u16>, term: u64) -> (NodeName, Result<Leadership, ClientError>) {
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
        (NodeName::CentralBank(MemberId(member)), Ok(own))
    }

    fn away(member: u16) -> (NodeName, Result<Leadership, ClientError>) {
        let error = ClientError::Unreachable { address: "10.0.0.9:7000".to_owned(), reason: "refused".to_owned() };
        (NodeName::CentralBank(MemberId(member)), Err(error))
    }

    #[test]
    fn each_node_is_shown_by_its_own_answer_and_the_leaders() {
        // Node 1 is cut off, and takes itself for the leader of a term that is over.
        let known = [knows(1, Some(1), 4), knows(2, Some(2), 5), away(3)];
        let object = object(&known);
        assert_eq!(object["leader"], 2);
        let parts: Vec<_> = (0..3).map(|row| object["members"][row]["part"].as_str().unwrap()).collect();
        assert_eq!(parts, ["follower", "leader", "follower"]);
        assert_eq!((&object["members"][0]["term"], &object["members"][0]["lag_entries"]), (&json!(4), &json!(1)));
        assert_eq!((&object["members"][2]["height"], &object["members"][2]["lag_entries"]), (&json!(null), &json!(3)));
        let text = text(&known);
        assert!(text.contains("central-bank-3 was not reached: ") && !text.contains("Nobody leads"), "{text}");
    }

    #[test]
    fn nodes_beyond_the_folder_are_shown_and_that_nobody_leads_is_said() {
        let known = [knows(1, None, 4)];
        let object = object(&known);
        assert_eq!((&object["leader"], object["members"].as_array().map(Vec::len)), (&json!(null), Some(3)));
        let text = text(&known);
        assert!(text.contains("Nobody leads") && text.contains("central-bank-2 was not reached: its folder"), "{text}");
    }
}
