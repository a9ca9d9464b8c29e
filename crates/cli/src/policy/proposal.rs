//! `cbdc policy propose`, `vote` and `proposals`: the committee's governance proposals.

use std::time::{Duration, Instant};

use anyhow::Context;
use cbdc_client::{ClientError, GovernanceAction, GovernanceClient, MemberId, Role, Timestamp, v1};
use cbdc_ledger::governance::ProposalStatus;
use cbdc_ledger::governance::proposal::HORIZON_MS_MAX;
use cbdc_proto::wall_clock::wall_clock;
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

/// The range of seconds for a date that the ledger accepts.
fn within_horizon() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(..=HORIZON_MS_MAX / 1_000)
}

/// The longest wait for the enactment of an approved proposal that takes effect at once: its block is cut within
/// moments.
const ENACTMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// The present state of a proposal.
async fn find(governance: &GovernanceClient, number: u64) -> anyhow::Result<v1::GovernanceProposal> {
    // A page begins below its token.
    let page = governance.proposals(1, number.checked_add(1).map(|below| below.to_string())).await?;
    let found = page.proposals.into_iter().find(|proposal| proposal.number == number);
    found.with_context(|| format!("the central bank names no proposal {number}"))
}

/// A proposal, once it is closed if it is due to be enacted now, or after [`ENACTMENT_TIMEOUT`].
async fn after_enactment(governance: &GovernanceClient, number: u64) -> anyhow::Result<v1::GovernanceProposal> {
    let began = Instant::now();
    loop {
        let proposal = find(governance, number).await?;
        let is_due = is_open(&proposal) && proposal.approved && proposal.effective_at_ms <= wall_clock().0;
        if !is_due || began.elapsed() > ENACTMENT_TIMEOUT {
            return Ok(proposal);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn is_open(proposal: &v1::GovernanceProposal) -> bool {
    proposal.status == ProposalStatus::Open.name()
}

/// The counted votes for and against.
fn tally(proposal: &v1::GovernanceProposal) -> (usize, usize) {
    let count = |approve| proposal.votes.iter().filter(|vote| vote.counts && vote.approve == approve).count();
    (count(true), count(false))
}

/// The status of a proposal in words: `enacted by 2 : 0`, `approved by 2 : 0, takes effect at …`, `open at 1 : 0, 2
/// votes approve it`.
fn standing(proposal: &v1::GovernanceProposal, threshold: u32) -> String {
    let (approving, opposing) = tally(proposal);
    match (is_open(proposal), proposal.approved) {
        (false, _) => format!("{} by {approving} : {opposing}", proposal.status),
        (true, true) => {
            format!("approved by {approving} : {opposing}, takes effect at {}", Timestamp(proposal.effective_at_ms))
        }
        (true, false) => format!(
            "open at {approving} : {opposing}, {} {} it",
            votes(threshold),
            if threshold == 1 { "approves" } else { "approve" }
        ),
    }
}

fn votes(count: u32) -> String {
    if count == 1 { "1 vote".to_owned() } else { format!("{count} votes") }
}

/// An active seat that has not voted on a proposal.
fn seat_to_ask(proposal: &v1::GovernanceProposal, members: &[v1::Member]) -> Option<u32> {
    let has_voted = |seat: u32| proposal.votes.iter().any(|vote| vote.member == seat);
    let seats = members.iter().filter(|member| member.active && member.role == Role::Committee.name());
    seats.map(|member| member.id).find(|seat| !has_voted(*seat))
}

/// The roles that dismissals would leave without a member. (For the committee and the central bank's nodes, the ledger
/// itself keeps as many as it needs.)
fn emptied_roles(actions: &[GovernanceAction], members: &[v1::Member]) -> Vec<Role> {
    let is_emptied = |role: &Role| {
        let dismissed = |member: &&v1::Member| {
            actions.iter().any(|action| match action {
                GovernanceAction::DismissMember { role: found, id } => found == role && u32::from(id.0) == member.id,
                _ => false,
            })
        };
        let admits =
            |action: &GovernanceAction| matches!(action, GovernanceAction::AdmitMember(member) if member.role == *role);
        let mut active = members.iter().filter(|member| member.active && member.role == role.name()).peekable();
        active.peek().is_some() && active.all(|member| dismissed(&member)) && !actions.iter().any(admits)
    };
    Role::ALL.into_iter().filter(is_emptied).collect()
}

/// The note where actions make the number of the central bank's nodes even.
fn even_after(actions: &[GovernanceAction], members: &[v1::Member]) -> Option<String> {
    let is_node = |role: Role| role == Role::CentralBank;
    let mut nodes: Vec<u32> = active_nodes(members);
    let before = nodes.clone();
    for action in actions {
        match action {
            GovernanceAction::AdmitMember(member) if is_node(member.role) => nodes.push(u32::from(member.id.0)),
            GovernanceAction::DismissMember { role, id } if is_node(*role) => {
                nodes.retain(|node| *node != u32::from(id.0));
            }
            _ => {}
        }
    }
    (nodes != before).then(|| even_note(nodes.len())).flatten()
}

/// The numbers of the central bank's nodes that are active members.
fn active_nodes(members: &[v1::Member]) -> Vec<u32> {
    let nodes = members.iter().filter(|member| member.active && member.role == Role::CentralBank.name());
    nodes.map(|node| node.id).collect()
}

/// The note on an even number of the central bank's nodes.
fn even_note(nodes: usize) -> Option<String> {
    (nodes > 0 && nodes.is_multiple_of(2)).then(|| {
        format!(
            "note: with this the central bank has {nodes} nodes; an even number tolerates no more failures than {}: \
             admit another, or dismiss one",
            nodes - 1
        )
    })
}

/// Whether a proposal, by its actions as the central bank words them, admits or dismisses a node of the central bank.
fn changes_nodes(proposal: &v1::GovernanceProposal) -> bool {
    let node = Role::CentralBank.name();
    let starts = [format!("admit {node} "), format!("dismiss {node} ")];
    proposal.actions.iter().any(|action| starts.iter().any(|start| action.starts_with(start.as_str())))
}

/// The actions that nobody can perform once a role has no member.
fn without(role: Role) -> &'static str {
    match role {
        Role::Operator => "nobody can endorse issuance or make operations",
        Role::Registrar => "nobody can certify holders: no wallet can be opened",
        Role::Court => "nobody can freeze, release or seize",
        Role::Auditor => "nobody reads as the auditor; other members still can",
        Role::Bank => "nobody can open a wallet",
        Role::CentralBank | Role::Committee => "nothing can be decided",
    }
}

impl Propose {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let governance = network.acting_as(Role::Committee, MemberId(self.member)).await?;
        let actions = action::parse(&anchor, &governance.parameters().await?, &self.actions)?;
        let members = governance.members().await?;
        let warning = |role: Role| format!("warning: this dismisses the last {role}: from then on {}", without(role));
        let mut warnings: Vec<String> = emptied_roles(&actions, &members.members).into_iter().map(warning).collect();
        warnings.extend(even_after(&actions, &members.members));
        warnings.iter().for_each(|warning| output.note(warning));
        let now = wall_clock();
        let in_s = |seconds: u64| now.plus_ms(seconds.saturating_mul(1_000));
        let (effective_at, expires_at) = (in_s(self.effective_in_s), in_s(self.expires_in_s));
        let (position, number) = governance.propose(actions, effective_at, expires_at).await?.result()?;
        let mut voters = vec![self.member];
        if self.approve {
            let seats = members.members.iter().filter(|member| member.active && member.role == Role::Committee.name());
            let others = seats.filter_map(|member| u16::try_from(member.id).ok()).filter(|id| *id != self.member);
            for id in others {
                if voters.len() >= members.threshold as usize {
                    break;
                }
                let seat = match network.acting_as(Role::Committee, MemberId(id)).await {
                    Err(ClientError::NobodyActs(_)) => continue,
                    seat => seat?,
                };
                seat.vote(number, cbdc_client::Choice::Approve).await?.settled()?;
                voters.push(id);
            }
        }
        let proposal = after_enactment(&governance, number).await?;
        let object = json!({
            "proposal": number, "height": position.height.0, "index": position.index, "votes_for": voters,
            "status": proposal.status, "approved": proposal.approved, "warnings": warnings,
        });
        output.print(object, || {
            let voters = voters.iter().map(|id| format!("committee-{id}")).collect::<Vec<_>>().join(", ");
            let standing = standing(&proposal, members.threshold);
            let mut rows = vec![("proposal", number.to_string()), ("for it", voters), ("status", standing)];
            let suffix = self.network.suffix();
            if let (true, Some(seat)) =
                (is_open(&proposal) && !proposal.approved, seat_to_ask(&proposal, &members.members))
            {
                rows.push(("next", format!("cbdc policy vote {number} yes --as {seat}{suffix}")));
            }
            rows.push(("see", format!("cbdc policy proposals{suffix}")));
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
    /// Withdraw it: only the member that proposed it may
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
        let governance = network.acting_as(Role::Committee, MemberId(self.member)).await?;
        let position = governance.vote(self.proposal, self.choice.on_ledger()).await?.settled()?;
        let proposal = after_enactment(&governance, self.proposal).await?;
        let members = governance.members().await?;
        let is_enacted = proposal.status == ProposalStatus::Enacted.name();
        let even = even_note(active_nodes(&members.members).len()).filter(|_| is_enacted && changes_nodes(&proposal));
        even.iter().for_each(|note| output.note(note));
        let (choice, does) = match self.choice {
            Choice::Yes => ("approve", "votes for"),
            Choice::No => ("reject", "votes against"),
            Choice::Withdraw => ("withdraw", "withdraws"),
        };
        let object = json!({
            "proposal": self.proposal, "member": self.member, "choice": choice,
            "height": position.height.0, "index": position.index,
            "status": proposal.status, "approved": proposal.approved, "warnings": Vec::from_iter(even),
        });
        output.print(object, || {
            let (member, number, standing) = (self.member, self.proposal, standing(&proposal, members.threshold));
            format!("committee-{member} {does} proposal {number} ({position}): it is {standing}")
        });
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
        let answer = network.governance_reader().await?.proposals(self.page.count, self.page.token).await?;
        let proposals: Vec<Value> = answer.proposals.iter().map(proposal_object).collect();
        let next = Some(&answer.next_page_token).filter(|token| !token.is_empty());
        output.print(json!({ "proposals": proposals, "next_page_token": next }), || {
            if answer.proposals.is_empty() {
                return "There is no proposal yet. Make one: cbdc policy propose --help".to_owned();
            }
            let row = |proposal: &v1::GovernanceProposal| {
                let (approving, opposing) = tally(proposal);
                vec![
                    proposal.number.to_string(),
                    if proposal.status == "open" && proposal.approved {
                        "approved".to_owned()
                    } else {
                        proposal.status.clone()
                    },
                    format!("{approving} : {opposing}"),
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
    let voters = proposal.votes.iter().filter(|vote| vote.counts && vote.approve == approve);
    voters.map(|vote| format!("committee-{}", vote.member)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(role: Role, id: u32, active: bool) -> v1::Member {
        v1::Member { role: role.name().to_owned(), id, active, ..v1::Member::default() }
    }

    fn proposal(status: &str, votes: &[(u32, bool, bool)]) -> v1::GovernanceProposal {
        let vote = |(member, approve, counts): &(u32, bool, bool)| v1::Vote {
            member: *member,
            approve: *approve,
            counts: *counts,
        };
        v1::GovernanceProposal {
            status: status.to_owned(),
            votes: votes.iter().map(vote).collect(),
            ..v1::GovernanceProposal::default()
        }
    }

    #[test]
    fn a_dismissed_seats_vote_is_not_counted() {
        let votes = [(1, true, true), (2, true, false), (3, false, true)];
        assert_eq!(standing(&proposal("open", &votes), 2), "open at 1 : 1, 2 votes approve it");
        assert_eq!(standing(&proposal("rejected", &votes), 1), "rejected by 1 : 1");
        assert_eq!(voters(&proposal("enacted", &votes), true), "committee-1");
        let approved = v1::GovernanceProposal { approved: true, ..proposal("open", &votes[..1]) };
        assert_eq!(standing(&approved, 1), "approved by 1 : 0, takes effect at 1970-01-01T00:00:00.000Z");
        assert_eq!(standing(&proposal("open", &[]), 1), "open at 0 : 0, 1 vote approves it");
    }

    #[test]
    fn the_seat_to_ask_next_is_active_and_has_not_voted() {
        let seats = [
            member(Role::Auditor, 9, true),
            member(Role::Committee, 1, false),
            member(Role::Committee, 2, true),
            member(Role::Committee, 3, true),
        ];
        assert_eq!(seat_to_ask(&proposal("open", &[(2, true, true)]), &seats), Some(3));
        assert_eq!(seat_to_ask(&proposal("open", &[(2, true, true), (3, false, true)]), &seats), None);
    }

    #[test]
    fn an_even_number_of_nodes_is_noted_where_a_proposal_leads_to_it() {
        let node = |id| member(Role::CentralBank, id, true);
        let members = [node(1), node(2), node(3), member(Role::Bank, 1, true)];
        let key = cbdc_ledger::SigningKey::from_seed([1; 32]).public_key();
        let admit = |role, id| {
            let (id, name) = (MemberId(id), "New".to_owned());
            GovernanceAction::AdmitMember(cbdc_ledger::member::Member {
                role,
                id,
                name,
                signing_key: key,
                node_key: None,
            })
        };
        let dismiss = GovernanceAction::DismissMember { role: Role::CentralBank, id: MemberId(2) };
        let note = even_after(&[admit(Role::CentralBank, 4)], &members).unwrap();
        assert!(note.contains("has 4 nodes") && note.contains("no more failures than 3"), "{note}");
        assert!(even_after(std::slice::from_ref(&dismiss), &members).unwrap().contains("has 2 nodes"));
        assert_eq!(even_after(&[admit(Role::CentralBank, 4), dismiss], &members), None);
        assert_eq!(even_after(&[admit(Role::Bank, 4)], &members[..2]), None);
        let worded =
            |action: &str| v1::GovernanceProposal { actions: vec![action.to_owned()], ..proposal("open", &[]) };
        assert!(
            changes_nodes(&worded("admit central-bank 4 (New)")) && changes_nodes(&worded("dismiss central-bank 2"))
        );
        assert!(!changes_nodes(&worded("admit bank 4 (central-bank 4)")));
    }

    #[test]
    fn dismissing_the_last_member_of_a_role_is_noticed() {
        let members = [
            member(Role::Court, 1, true),
            member(Role::Auditor, 1, true),
            member(Role::Auditor, 2, true),
            member(Role::Operator, 1, false),
        ];
        let dismiss = |role, id| GovernanceAction::DismissMember { role, id: MemberId(id) };
        assert_eq!(emptied_roles(&[dismiss(Role::Court, 1)], &members), [Role::Court]);
        assert_eq!(emptied_roles(&[dismiss(Role::Auditor, 1)], &members), []);
        let both = [dismiss(Role::Auditor, 1), dismiss(Role::Auditor, 2)];
        assert_eq!(emptied_roles(&both, &members), [Role::Auditor]);
        let key = cbdc_ledger::SigningKey::from_seed([1; 32]).public_key();
        let (role, id, name) = (Role::Court, MemberId(2), "Court".to_owned());
        let successor = cbdc_ledger::member::Member { role, id, name, signing_key: key, node_key: None };
        let replaced = [dismiss(Role::Court, 1), GovernanceAction::AdmitMember(successor)];
        assert_eq!(emptied_roles(&replaced, &members), []);
    }
}
