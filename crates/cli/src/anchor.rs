//! `cbdc anchor`: whose keys this network's clients trust, and following those that the committee replaced.

use cbdc_client::{ClientError, Height, NodeName};
use clap::Args;
use serde_json::{Value, json};

use crate::network::NetworkArgument;
use crate::output::{Output, fields, table};

/// Show the keys that are trusted, as followed from genesis, and follow newer ones
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc anchor                           the members and keys in force, as far as they were followed
  cbdc anchor --update                  first asks every node for the membership changes since
  cbdc anchor --update --from bank-2    asks this node

Genesis is trusted. The committee's changes of members and keys are followed from it, each proved by a header that the
keys before it signed, whoever serves the proofs. Other commands follow by themselves when they meet a new key; what
was followed is kept in membership.bin beside the genesis.")]
pub struct Anchor {
    /// Ask nodes for newer membership changes
    #[arg(long)]
    update: bool,
    /// The node to ask: central-bank-1, bank-1, …
    #[arg(long, value_name = "NODE", requires = "update")]
    from: Option<NodeName>,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Anchor {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let before = network.anchor().membership().height();
        if self.update {
            let nodes: Vec<NodeName> = self.from.map_or_else(|| network.nodes().collect(), |node| vec![node]);
            let (mut answered, mut failed) = (0, None);
            for node in nodes {
                match ask(&network, node).await {
                    Ok(()) => answered += 1,
                    Err(error) => failed = Some(error),
                }
            }
            if let (0, Some(error)) = (answered, failed) {
                return Err(error.into());
            }
        }
        let membership = network.anchor().membership();
        let members: Vec<Value> = membership
            .members()
            .seats()
            .map(|seat| {
                json!({
                    "member": format!("{}-{}", seat.member.role, seat.member.id),
                    "name": seat.member.name,
                    "active": seat.active,
                    "key_version": seat.key_version,
                    "signing_key": seat.member.signing_key.to_string(),
                    "node_key": seat.member.node_key.map(|key| key.to_string()),
                })
            })
            .collect();
        let object = json!({
            "network_id": network.anchor().network().to_string(),
            "followed_to": membership.height().0,
            "is_newer": membership.height() > before,
            "members": members,
        });
        output.print(object, || {
            let followed = match membership.height() {
                Height(0) => "nothing beyond genesis".to_owned(),
                height => format!("to the membership change of block {height}"),
            };
            let about = fields(&[("network", network.anchor().network().to_string()), ("followed", followed)]);
            let text = |member: &Value, key: &str| member[key].as_str().unwrap_or("-").to_owned();
            let row = |member: &Value| {
                let state = if member["active"] == true { "active" } else { "dismissed" };
                let [who, signing, node] = ["member", "signing_key", "node_key"].map(|key| text(member, key));
                vec![who, state.to_owned(), member["key_version"].to_string(), signing, node]
            };
            let rows: Vec<Vec<String>> = members.iter().map(row).collect();
            format!("{about}\n{}", table(&["member", "state", "version", "signing key", "node key"], &rows))
        });
        Ok(())
    }
}

/// Asks one node for the changes that were not followed yet.
async fn ask(network: &cbdc_devnet::Network, node: NodeName) -> Result<(), ClientError> {
    let connection = match node {
        NodeName::Bank(bank) => network.connect_customer(bank)?,
        NodeName::CentralBank(_) => network.connect_reader(node).await?,
    };
    network.anchor().follow_from(&connection).await.map(drop)
}
