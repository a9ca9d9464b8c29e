//! A change of policy while the load runs: proposed by one committee member, voted for by as many as are needed.

use anyhow::{Context, Result, bail};
use cbdc_client::{Fate, Measure, NetworkFolder, PolicyChange, Role, Timestamp};
use cbdc_ledger::Amount;

use super::now_ms;
use super::setup::ledger_class;
use crate::scenario::{self, Class, Limit, PerClass};

/// How long a proposal stays open, ms.
const OPEN_MS: u64 = 60_000;

/// Has the committee decide a change that is in force from the next block after the vote.
pub async fn decide(folder: &NetworkFolder, change: &scenario::PolicyChange) -> Result<String> {
    let measures: Vec<Measure> = changes(change).into_iter().map(Measure::Policy).collect();
    let committee: Vec<_> = {
        let desk = folder.reading_desk()?;
        let members = desk.members().await?;
        let seats = members.members.iter().filter(|member| member.role == Role::Committee.name() && member.active);
        seats.take(members.threshold as usize).map(|member| cbdc_client::MemberId(member.id as u16)).collect()
    };
    let Some((first, others)) = committee.split_first() else { bail!("the network has no committee") };
    let now = now_ms();
    let proposer = folder.desk(Role::Committee, *first)?;
    let proposed = proposer.propose(measures, Timestamp(now), Timestamp(now + OPEN_MS)).await?;
    let (_, number) = proposed.result().context("proposing a change of policy")?;
    for member in others {
        let voted: Fate = folder.desk(Role::Committee, *member)?.vote(number, true).await?;
        voted.settled().with_context(|| format!("committee member {member} voting on proposal {number}"))?;
    }
    Ok(format!("proposal {number}, carried by {} votes", committee.len()))
}

/// The ledger's changes for a scenario's.
fn changes(change: &scenario::PolicyChange) -> Vec<PolicyChange> {
    let amount = |limit: Limit| limit.minor().map(Amount::from_minor);
    let mut changes = Vec::new();
    changes.extend(change.supply_cap_minor.map(|cap| PolicyChange::SupplyCap(amount(cap))));
    changes.extend(change.issuance_quota_minor.map(|quota| PolicyChange::IssuanceQuota(amount(quota))));
    let mut per_class = |limits: &PerClass<Option<Limit>>,
                         make: fn(cbdc_ledger::Class, Option<Amount>) -> PolicyChange| {
        for class in Class::ALL {
            changes.extend(limits.get(class).map(|limit| make(ledger_class(class), amount(limit))));
        }
    };
    per_class(&change.holding_limit_minor, |class, limit| PolicyChange::HoldingLimit { class, limit });
    per_class(&change.payment_limit_minor, |class, limit| PolicyChange::PaymentLimit { class, limit });
    per_class(&change.day_limit_minor, |class, limit| PolicyChange::DayLimit { class, limit });
    changes
}
