//! Governance actions as sentences, for those who vote on them.

use cbdc_ledger::command::GovernanceAction;
use cbdc_ledger::policy::text;
use cbdc_ledger::programme::Grant;

/// An action as a sentence. `exponent` is the currency's number of decimals.
pub fn action_text(action: &GovernanceAction, exponent: u8) -> String {
    match action {
        GovernanceAction::Policy(change) => text::describe(change, exponent),
        GovernanceAction::Grant(grant) => grant_text(grant, exponent),
        GovernanceAction::MoveCustomers { from, to } => format!("customers of bank {from} move to bank {to}"),
        GovernanceAction::BankStatus { bank, status } => format!("bank {bank} is {status}"),
        GovernanceAction::AdmitMember(member) => format!("admit {} {} ({})", member.role, member.id, member.name),
        GovernanceAction::ReplaceKeys { role, id, .. } => format!("replace the keys of {role} {id}"),
        GovernanceAction::DismissMember { role, id } => format!("dismiss {role} {id}"),
        GovernanceAction::Threshold(threshold) => format!("committee threshold: {threshold}"),
        GovernanceAction::HeaderSignatures(count) => format!("signatures of nodes on a header: {count}"),
        GovernanceAction::FormatVersion(version) => format!("formats of the chain: version {version}"),
    }
}

fn grant_text(grant: &Grant, exponent: u8) -> String {
    let amount = grant.amount_each.to_major(exponent);
    let cohort = &grant.cohort;
    let bank = cohort.bank.map(|bank| format!(" of bank {bank}")).unwrap_or_default();
    let first = if cohort.first == 0 { "all".to_owned() } else { format!("the first {}", cohort.first) };
    let whom = format!("{first} {} holders{bank}", cohort.class);
    match grant.purpose {
        None => format!("pay {amount} of unbacked money to {whom}"),
        Some(purpose) => {
            let payees = purpose.payees.iter().map(|class| class.to_string()).collect::<Vec<_>>().join(", ");
            let (funding, end) = (purpose.funding, purpose.expires_at);
            format!("pay {amount} out of {funding} to {whom}, to be spent with {payees} by {end}")
        }
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::bank_position::BankStatus;
    use cbdc_ledger::programme::{Classes, Cohort, Funding, Purpose};
    use cbdc_ledger::{Amount, BankId, Class, Timestamp};

    use super::*;

    #[test]
    fn a_grant_says_who_is_paid_what_for_what_and_until_when() {
        let cohort = Cohort { class: Class::HOUSEHOLD, bank: Some(BankId(2)), first: 100 };
        let unbacked = Grant { cohort, amount_each: Amount::from_minor(2_500), purpose: None };
        assert_eq!(
            action_text(&GovernanceAction::Grant(unbacked), 2),
            "pay 25.00 of unbacked money to the first 100 household holders of bank 2"
        );
        let purpose = Purpose {
            expires_at: Timestamp(1_000),
            payees: Classes::of([Class::MERCHANT, Class::BUSINESS]),
            funding: Funding::Government,
        };
        let targeted = Grant { cohort: Cohort { bank: None, first: 0, ..cohort }, purpose: Some(purpose), ..unbacked };
        assert_eq!(
            action_text(&GovernanceAction::Grant(targeted), 2),
            "pay 25.00 out of government to all household holders, to be spent with merchant, business by \
            1970-01-01T00:00:01.000Z"
        );
        let suspended = GovernanceAction::BankStatus { bank: BankId(2), status: BankStatus::Suspended };
        assert_eq!(action_text(&suspended, 2), "bank 2 is suspended");
    }
}
