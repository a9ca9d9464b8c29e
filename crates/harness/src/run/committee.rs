//! Decisions of the committee while the load runs: one member proposes, as many as needed vote, and the ledger enacts.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use cbdc_client::{BankId, Choice, GovernanceAction, NetworkFolder, Role, SubmissionStatus};
use cbdc_ledger::Amount;
use cbdc_ledger::policy::{Parameters, text};
use cbdc_ledger::programme::{Classes, Cohort, Grant, Purpose};
use cbdc_proto::wall_clock::wall_clock;
use tokio::time::Instant;

use crate::scenario::{GrantFigures, NodeName};
use cbdc_devnet::policy::PolicyChange;

/// The time for which a proposal stays open, ms.
const OPEN_MS: u64 = 60_000;
/// The longest time from the last vote to enactment.
const ENACTED_WITHIN: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(20);

/// The committee of a network, with the parameters now in force.
pub struct Committee<'a> {
    folder: &'a NetworkFolder,
    in_force: Parameters,
}

impl<'a> Committee<'a> {
    /// The committee before its first decision; `in_force` is genesis' policy.
    pub fn new(folder: &'a NetworkFolder, in_force: Parameters) -> Self {
        Self { folder, in_force }
    }

    /// Applies a change of policy, by its differences from the parameters in force.
    pub async fn change_policy(&mut self, change: &PolicyChange) -> Result<String> {
        let mut wished = self.in_force.clone();
        change.apply(&mut wished);
        let changes = text::changes(&self.in_force, &wished);
        if changes.is_empty() {
            return Ok("in force already".to_owned());
        }
        let note = self.decide(changes.into_iter().map(GovernanceAction::Policy).collect()).await?;
        let version = self.folder.governance_reader().await?.policy(None).await?.version;
        self.in_force = wished;
        Ok(format!("version {version} in force: {note}"))
    }

    /// Founds a programme that pays a cohort.
    pub async fn grant(&self, figures: &GrantFigures) -> Result<String> {
        let purpose = figures.purpose.as_ref().map(|purpose| Purpose {
            expires_at: wall_clock().plus_ms(purpose.expires_in_s * 1_000),
            payees: Classes::of(purpose.payees.iter().copied()),
            funding: purpose.funding,
        });
        let bank = figures.bank.map(bank_id);
        let cohort = Cohort { class: figures.class, bank, first: figures.first };
        self.decide(vec![GovernanceAction::Grant(Grant {
            cohort,
            amount_each: Amount::from_minor(figures.amount_minor),
            purpose,
        })])
        .await
    }

    /// Proposes actions and votes for them; they are in force from the next block after the last vote.
    pub async fn decide(&self, actions: Vec<GovernanceAction>) -> Result<String> {
        let folder = self.folder;
        let reader = folder.governance_reader().await?;
        let members = reader.members().await?;
        let seats = members.members.iter().filter(|member| member.role == Role::Committee.name() && member.active);
        let seats: Vec<_> =
            seats.take(members.threshold as usize).map(|member| cbdc_client::MemberId(member.id as u16)).collect();
        let Some((first, others)) = seats.split_first() else { bail!("the network has no committee") };
        let now = wall_clock();
        let proposer = folder.governance(Role::Committee, *first)?;
        let proposed = proposer.propose(actions, now, now.plus_ms(OPEN_MS)).await?;
        let (_, number) = proposed.result().context("proposing")?;
        for member in others {
            let voted: SubmissionStatus =
                folder.governance(Role::Committee, *member)?.vote(number, Choice::Approve).await?;
            voted.settled().with_context(|| format!("committee member {member} voting on proposal {number}"))?;
        }
        self.enacted(number).await?;
        Ok(format!("proposal {number}, approved by {} votes", seats.len()))
    }

    async fn enacted(&self, number: u64) -> Result<()> {
        let reader = self.folder.governance_reader().await?;
        let give_up = Instant::now() + ENACTED_WITHIN;
        loop {
            let page = reader.proposals(20, None).await?;
            let status = page.proposals.iter().find(|proposal| proposal.number == number).map(|found| &*found.status);
            match status {
                Some("enacted") => return Ok(()),
                Some("open") | None if Instant::now() < give_up => tokio::time::sleep(POLL_EVERY).await,
                Some(status) => bail!("proposal {number} was not enacted but is {status}"),
                None => bail!("proposal {number} is not among the newest ones"),
            }
        }
    }
}

/// The ledger's number of a scenario's bank.
pub fn bank_id(node: NodeName) -> BankId {
    match node {
        NodeName::CentralBank(_) => BankId(0),
        NodeName::Bank(index) => BankId(index as u16 + 1),
    }
}
