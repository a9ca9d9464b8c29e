//! `cbdc policy history`: every version of policy, its changes and its votes.

use cbdc_client::{Timestamp, v1};
use clap::Args;
use serde_json::{Value, json};

use super::paging::Page;
use super::proposal::{proposal_object, voters};
use crate::network::NetworkArgument;
use crate::output::{Output, table};

/// Show each version of policy: its date, votes and changes; newest first
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy history
  cbdc policy history --count 100 --json")]
pub struct History {
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    network: NetworkArgument,
}

impl History {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let answer = network.governance_reader().await?.policy_versions(self.page.count, self.page.token).await?;
        let versions: Vec<Value> = answer.versions.iter().map(object).collect();
        let next = Some(&answer.next_page_token).filter(|token| !token.is_empty());
        output.print(json!({ "versions": versions, "next_page_token": next }), || {
            let versions = answer.versions.iter().map(paragraph).collect::<Vec<_>>().join("\n");
            let network = self.network.suffix();
            let more = next.map(|token| format!("\nEarlier ones: cbdc policy history --page {token}{network}"));
            versions + &more.unwrap_or_default()
        });
        Ok(())
    }
}

fn object(version: &v1::PolicyVersion) -> Value {
    let change =
        |change: &v1::ParameterChange| json!({ "name": change.name, "before": change.before, "after": change.after });
    json!({
        "version": version.version,
        "in_force_since_ms": version.in_force_since_ms,
        "proposal": version.proposal.as_ref().map(proposal_object),
        "changes": version.changes.iter().map(change).collect::<Vec<_>>(),
    })
}

fn paragraph(version: &v1::PolicyVersion) -> String {
    let since = Timestamp(version.in_force_since_ms);
    let origin = match &version.proposal {
        None => "given by genesis".to_owned(),
        Some(proposal) => {
            let (number, proposer) = (proposal.number, proposal.proposed_by);
            let (approving, opposing) = (voters(proposal, true), voters(proposal, false));
            let against = if opposing.is_empty() { String::new() } else { format!(", against: {opposing}") };
            format!("proposal {number} of committee-{proposer}; for: {approving}{against}")
        }
    };
    let row = |change: &v1::ParameterChange| vec![change.name.clone(), change.before.clone(), change.after.clone()];
    let changes = match version.changes.is_empty() {
        true => "It changes nothing.\n".to_owned(),
        false => table(&["parameter", "before", "after"], &version.changes.iter().map(row).collect::<Vec<_>>()),
    };
    format!("version {} since {since}\n{origin}\n{changes}", version.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_says_who_decided_it_and_what_it_changed() {
        let vote = |member, approve| v1::Vote { member, approve, counts: true };
        let proposal = v1::GovernanceProposal {
            number: 4,
            proposed_by: 2,
            votes: vec![vote(1, true), vote(2, true), vote(3, false)],
            ..v1::GovernanceProposal::default()
        };
        let change =
            v1::ParameterChange { name: "supply-cap".to_owned(), before: "none".to_owned(), after: "5.00".to_owned() };
        let version =
            v1::PolicyVersion { version: 2, in_force_since_ms: 1, proposal: Some(proposal), changes: vec![change] };
        assert_eq!(
            paragraph(&version),
            "version 2 since 1970-01-01T00:00:00.001Z\n\
             proposal 4 of committee-2; for: committee-1, committee-2, against: committee-3\n\
             parameter   before  after\nsupply-cap  none    5.00\n"
        );
        let genesis = v1::PolicyVersion { version: 1, proposal: None, changes: Vec::new(), ..version };
        assert!(paragraph(&genesis).contains("given by genesis\nIt changes nothing."));
    }
}
