//! `cbdc policy members`: the members and their keys.

use clap::Args;
use serde_json::{Value, json};

use crate::network::NetworkArgument;
use crate::output::{Output, table};

/// List the members with their keys
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy members")]
pub struct Members {
    #[command(flatten)]
    network: NetworkArgument,
}

impl Members {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let answer = network.governance_reader().await?.members().await?;
        let hex = cbdc_ledger::encoding::hex;
        let members: Vec<Value> = answer
            .members
            .iter()
            .map(|member| {
                json!({
                    "role": member.role,
                    "number": member.id,
                    "name": member.name,
                    "active": member.active,
                    "signing_key": hex(&member.signing_key),
                    "node_key": member.node_key.as_ref().map(|key| hex(key)),
                    "key_version": member.key_version,
                    "next_sequence": member.next_sequence,
                })
            })
            .collect();
        output.print(json!({ "members": members, "threshold": answer.threshold }), || {
            let row = |member: &cbdc_client::v1::Member| {
                vec![
                    format!("{}-{}", member.role, member.id),
                    member.name.clone(),
                    if member.active { "active" } else { "dismissed" }.to_owned(),
                    member.next_sequence.to_string(),
                    hex(&member.signing_key),
                ]
            };
            let rows: Vec<_> = answer.members.iter().map(row).collect();
            let members = table(&["member", "name", "status", ">next sequence", "signing key"], &rows);
            let must = match answer.threshold {
                1 => "1 committee member must".to_owned(),
                threshold => format!("{threshold} committee members must"),
            };
            format!("{members}\n{must} approve a proposal.")
        });
        Ok(())
    }
}
