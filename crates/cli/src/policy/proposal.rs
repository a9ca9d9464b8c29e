//! `cbdc policy propose`, `vote` and `proposals`: the committee's governance proposals.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cbdc_client::{GovernanceClient, MemberId, Role, Timestamp, v1};
use cbdc_ledger::governance::ProposalStatus;
use cbdc_ledger::governance::proposal::HORIZON_MS_MAX;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::action;
use super::paging::Page;
use crate::network::NetworkArgument;
use crate::output::{Output, fields, table};

/// Propose actions to the committee; proposing counts as a vote for them
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:
  cbdc policy propose holding-limit.household=2000 --as 1
  cbdc policy propose supply-cap=5000000 issuance-quota=none --as 1 --effective-in-s 60
  cbdc policy propose payment-limit.household=500 --approve    and vote for it as enough members
  cbdc policy propose policy-rate=2% deposit-rate=1.5% lending-rate=2.5% penalty-rate=5%
  cbdc policy propose remuneration.household=\"1 % up to 3000, 0 % above\"
  cbdc policy propose grant=\"25.00 to household first 100\"
  cbdc policy propose bank-status=bank-2:suspended
  cbdc policy propose admit=bank-4:bank-4.toml replace-keys=operator-1:operator.toml

{}", action::ACTIONS_HELP))]
pub struct Propose {
    /// The actions, enacted together
    #[arg(required = true, value_name = "ACTION")]
    actions: Vec<String>,
    /// The committee member who proposes
    #[arg(long = "as", value_name = "MEMBER", default_value_t = 1)]
    member: u16,
    /// Seconds until it takes effect, if it is approved by then
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = within_horizon())]
    effective_in_s: u64,
    /// Seconds until it expires, if it is not approved by then
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = within_horizon())]
    expires_in_s: u64,
    /// Also vote for it as other members, up to the threshold (a development network holds all their keys), and wait
    /// until it is enacted if it takes effect at once
    #[arg(long, alias = "carry")]
    approve: bool,
    #[command(flatten)]
    network: NetworkArgument,
}

/// The seconds that the ledger accepts as a date's distance.
fn within_horizon() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(..=HORIZON_MS_MAX / 1_000)
}

/// How long an approved proposal that takes effect at once is waited for: its block is cut within moments.
const ENACTMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// The status of a proposal once it is closed, or after [`ENACTMENT_TIMEOUT`].
async fn closed_status(governance: &GovernanceClient, number: u64) -> anyhow::Result<String> {
    let began = Instant::now();
    loop {
        let page = governance.proposals(100, None).await?;
        let found = page.proposals.into_iter().find(|proposal| proposal.number == number);
        let status = found.map_or_else(|| "unknown".to_owned(), |proposal| proposal.status);
        if status != ProposalStatus::Open.name() || began.elapsed() > ENACTMENT_TIMEOUT {
            return Ok(status);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Propose {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let governance = network.governance(Role::Committee, MemberId(self.member))?;
        let actions = action::parse(&anchor, &governance.parameters().await?, &self.actions)?;
        let now = now();
        let (effective_at, expires_at) =
            (now.plus_ms(self.effective_in_s * 1_000), now.plus_ms(self.expires_in_s * 1_000));
        let (position, number) = governance.propose(actions, effective_at, expires_at).await?.result()?;
        let mut voters = vec![self.member];
        if self.approve {
            let members = governance.members().await?;
            let seats = members.members.iter().filter(|member| member.active && member.role == Role::Committee.name());
            let others = seats.filter_map(|member| u16::try_from(member.id).ok()).filter(|id| *id != self.member);
            for id in others.take(members.threshold.saturating_sub(1) as usize) {
                network
                    .governance(Role::Committee, MemberId(id))?
                    .vote(number, cbdc_client::Choice::Approve)
                    .await?
                    .settled()?;
                voters.push(id);
            }
        }
        let status = match self.approve && self.effective_in_s == 0 {
            true => closed_status(&governance, number).await?,
            false => ProposalStatus::Open.name().to_owned(),
        };
        let object = json!({
            "proposal": number, "height": position.height.0, "index": position.index, "votes_for": voters,
            "status": status,
        });
        output.print(object, || {
            let voters = voters.iter().map(|id| format!("committee-{id}")).collect::<Vec<_>>().join(", ");
            let mut rows = vec![("proposal", number.to_string()), ("for it", voters), ("status", status)];
            if !self.approve {
                let another = if self.member == 1 { 2 } else { 1 };
                rows.push(("next", format!("cbdc policy vote {number} yes --as {another}")));
            }
            rows.push(("see", "cbdc policy proposals".to_owned()));
            fields(&rows)
        });
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Choice {
    /// For it
    Yes,
    /// Against it
    No,
    /// Take it back: only the member that proposed it may
    Withdraw,
}

impl Choice {
    fn on_ledger(self) -> cbdc_client::Choice {
        match self {
            Choice::Yes => cbdc_client::Choice::Approve,
            Choice::No => cbdc_client::Choice::Reject,
            Choice::Withdraw => cbdc_client::Choice::Withdraw,
        }
    }
}

/// Vote on a proposal, or withdraw it; a later vote replaces an earlier one
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy vote 1 yes --as 2
  cbdc policy vote 1 no --as 3
  cbdc policy vote 1 withdraw --as 1")]
pub struct Vote {
    /// The proposal's number
    proposal: u64,
    choice: Choice,
    /// The committee member who votes
    #[arg(long = "as", value_name = "MEMBER")]
    member: u16,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Vote {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let governance = network.governance(Role::Committee, MemberId(self.member))?;
        let position = governance.vote(self.proposal, self.choice.on_ledger()).await?.settled()?;
        let (choice, does) = match self.choice {
            Choice::Yes => ("approve", "votes for"),
            Choice::No => ("reject", "votes against"),
            Choice::Withdraw => ("withdraw", "withdraws"),
        };
        let object = json!({
            "proposal": self.proposal, "member": self.member, "choice": choice,
            "height": position.height.0, "index": position.index,
        });
        output.print(object, || format!("committee-{} {does} proposal {} ({position})", self.member, self.proposal));
        Ok(())
    }
}

/// List proposals with their votes, newest first
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy proposals
  cbdc policy proposals --count 100 --json")]
pub struct Proposals {
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Proposals {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let answer = network.governance_reader()?.proposals(self.page.count, self.page.token).await?;
        let proposals: Vec<Value> = answer.proposals.iter().map(proposal_object).collect();
        let next = Some(&answer.next_page_token).filter(|token| !token.is_empty());
        output.print(json!({ "proposals": proposals, "next_page_token": next }), || {
            if answer.proposals.is_empty() {
                return "There is no proposal yet. Make one: cbdc policy propose --help".to_owned();
            }
            let row = |proposal: &v1::GovernanceProposal| {
                // What is decided stays as it was counted; an open proposal counts the seats that there are now.
                let counts = |vote: &&v1::Vote| vote.counts || proposal.status != ProposalStatus::Open.name();
                let votes =
                    |approve| proposal.votes.iter().filter(counts).filter(|vote| vote.approve == approve).count();
                vec![
                    proposal.number.to_string(),
                    if proposal.status == "open" && proposal.approved {
                        "approved".to_owned()
                    } else {
                        proposal.status.clone()
                    },
                    format!("{} : {}", votes(true), votes(false)),
                    Timestamp(proposal.effective_at_ms).to_string(),
                    proposal.actions.join("; "),
                ]
            };
            let rows: Vec<_> = answer.proposals.iter().map(row).collect();
            table(&[">number", "status", "for : against", "effective at", "actions"], &rows)
        });
        Ok(())
    }
}

/// A proposal as a JSON object.
pub fn proposal_object(proposal: &v1::GovernanceProposal) -> Value {
    let votes: Vec<Value> = proposal
        .votes
        .iter()
        .map(|vote| json!({ "member": vote.member, "approve": vote.approve, "counts": vote.counts }))
        .collect();
    json!({
        "number": proposal.number,
        "proposed_by": proposal.proposed_by,
        "status": proposal.status,
        "approved": proposal.approved,
        "effective_at_ms": proposal.effective_at_ms,
        "expires_at_ms": proposal.expires_at_ms,
        "closed_at_ms": proposal.closed_at_ms,
        "actions": proposal.actions,
        "votes": votes,
    })
}

/// The members who voted for a proposal, or against it: `committee-1, committee-2`.
pub fn voters(proposal: &v1::GovernanceProposal, approve: bool) -> String {
    let voters = proposal.votes.iter().filter(|vote| vote.approve == approve);
    voters.map(|vote| format!("committee-{}", vote.member)).collect::<Vec<_>>().join(", ")
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
