//! Versions of policy: the parameters, proposers and votes, and each version's changes.

use cbdc_ledger::governance::{ProposalRecord, ProposalStatus};
use cbdc_ledger::member::Role;
use cbdc_ledger::policy::{Parameters, PolicySet, text};
use cbdc_ledger::{Amount, BankId, Class, Ledger, MemberId};
use cbdc_proto::v1;

use super::format::action_text;
use super::page::Page;

/// A set of parameters, as the answer for a height.
pub fn set_to_message(ledger: &Ledger, set: &PolicySet, height: u64) -> v1::PolicySet {
    let parameters = &set.parameters;
    let class = |class: Class| {
        let rules = parameters.class(class);
        v1::ClassRules {
            class: class.to_string(),
            holding_limit_minor: rules.holding_limit.map(Amount::minor),
            payment_limit_minor: rules.payment_limit.map(Amount::minor),
            day_limit_minor: rules.day_limit.map(Amount::minor),
            month_limit_minor: rules.month_limit.map(Amount::minor),
        }
    };
    let quota =
        |(bank, quota): (&BankId, &Amount)| v1::BankQuota { bank: u32::from(bank.0), quota_minor: quota.minor() };
    let shown = text::show(parameters, ledger.genesis().currency_exponent);
    v1::PolicySet {
        version: set.version,
        in_force_since_ms: set.in_force_since.0,
        supply_cap_minor: parameters.supply_cap.map(Amount::minor),
        issuance_quota_minor: parameters.issuance_quota.map(Amount::minor),
        bank_quotas: parameters.issuance_quota_of_bank.iter().map(quota).collect(),
        classes: Class::all().map(class).collect(),
        height,
        parameters: shown.into_iter().map(|(name, value)| v1::Parameter { name, value }).collect(),
    }
}

/// A page of versions, each with the governance proposal that enacted it.
pub fn list_versions(ledger: &Ledger, page: &Page) -> v1::ListPolicyVersionsResponse {
    let version = |set: &PolicySet| {
        let brought_by = ledger.proposals().of_policy_version(set.version);
        v1::PolicyVersion {
            version: set.version,
            in_force_since_ms: set.in_force_since.0,
            proposal: brought_by.map(|proposed| proposal_to_message(ledger, proposed)),
            changes: changes(ledger, set),
        }
    };
    let (sets, next_page_token) = page.cut(ledger.policy().all().iter().rev(), |set| u64::from(set.version));
    v1::ListPolicyVersionsResponse { versions: sets.into_iter().map(version).collect(), next_page_token }
}

/// The changes that a version made.
fn changes(ledger: &Ledger, set: &PolicySet) -> Vec<v1::ParameterChange> {
    let none = Parameters::default();
    let before = set.version.checked_sub(1).and_then(|version| ledger.policy().version(version));
    let before = before.map_or(&none, |set| &set.parameters);
    let exponent = ledger.genesis().currency_exponent;
    let shown_before = text::show(before, exponent);
    let value_before = |name: &str| {
        let shown = shown_before.iter().find(|(shown, _)| shown == name);
        shown.map_or("none".to_owned(), |(_, value)| value.clone())
    };
    let change = |(name, after): (String, String)| v1::ParameterChange { before: value_before(&name), name, after };
    text::differences(before, &set.parameters, exponent).into_iter().map(change).collect()
}

/// A page of governance proposals.
pub fn list_proposals(ledger: &Ledger, page: &Page) -> v1::ListProposalsResponse {
    let (proposals, next_page_token) = page.cut(ledger.proposals().all().rev(), |proposed| proposed.number);
    let proposals = proposals.into_iter().map(|proposed| proposal_to_message(ledger, proposed)).collect();
    v1::ListProposalsResponse { proposals, next_page_token }
}

fn proposal_to_message(ledger: &Ledger, proposed: &ProposalRecord) -> v1::GovernanceProposal {
    let exponent = ledger.genesis().currency_exponent;
    let vote = |(member, approve): (&MemberId, &bool)| v1::Vote {
        member: u32::from(member.0),
        approve: *approve,
        counts: proposed.status != ProposalStatus::Open || ledger.members().active(Role::Committee, *member).is_some(),
    };
    v1::GovernanceProposal {
        number: proposed.number,
        proposed_by: u32::from(proposed.proposal.member.0),
        status: proposed.status.name().to_owned(),
        approved: ledger.approved(proposed.number),
        effective_at_ms: proposed.proposal.effective_at.0,
        expires_at_ms: proposed.proposal.expires_at.0,
        closed_at_ms: proposed.closed_at.0,
        actions: proposed.proposal.actions.iter().map(|action| action_text(action, exponent)).collect(),
        votes: proposed.ballots.iter().map(vote).collect(),
    }
}
