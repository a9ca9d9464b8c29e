//! The configuration compared with the network: the operator that it names, and the nodes that it lists.

use cbdc_ledger::member::Role;
use cbdc_ledger::{Ledger, MemberId};
use cbdc_ordering::MemberState;
use cbdc_proto::transport::key_file::read_signing_key;

use crate::config::{Config, OrderingSection};
use crate::issuance_queue::OperatorKey;
use crate::node::StartError;

/// The key of the operator in whose name this node endorses requests, if the configuration has a section `[operator]`.
///
/// # Errors
/// [`StartError::Operator`] if its file cannot be used.
pub fn operator_key(config: &Config) -> Result<Option<OperatorKey>, StartError> {
    let Some(operator) = &config.operator else { return Ok(None) };
    let member = MemberId(operator.member);
    let key = read_signing_key(&operator.signing_key).map_err(|error| StartError::Operator {
        key: "signing_key",
        expected: format!("the file with the key of operator {member}, at {}", operator.signing_key.display()),
        found: error.to_string(),
    })?;
    Ok(Some(OperatorKey { member, key }))
}

/// Checks that the operator in the configuration is one, and that the key is the one in force.
///
/// # Errors
/// [`StartError::Operator`] for one who never was an operator, or never had this key. What the committee has changed
/// since keeps no node from starting, and neither does what a node among several may not have in its log yet: then the
/// node says that it endorses nothing by itself.
pub fn check_operator(ledger: &Ledger, config: &Config) -> Result<(), StartError> {
    let Some(OperatorKey { member, key }) = operator_key(config)? else { return Ok(()) };
    let (height, members) = (ledger.height(), ledger.members());
    let seat = members.seat(Role::Operator, member);
    let (name, expected, found) = match seat {
        Some(seat) if seat.active && seat.member.signing_key == key.public_key() => return Ok(()),
        Some(seat) if seat.active => {
            let expected = format!("the key of operator {member} at height {height}, {}", seat.member.signing_key);
            ("signing_key", expected, key.public_key().to_string())
        }
        _ => {
            let active = members.seats().filter(|seat| seat.active && seat.member.role == Role::Operator);
            let active: Vec<String> = active.map(|seat| seat.member.id.to_string()).collect();
            let known = if active.is_empty() { "none".to_owned() } else { active.join(", ") };
            ("member", format!("an active operator at height {height} ({known})"), member.to_string())
        }
    };
    let error = StartError::Operator { key: name, expected, found };
    let may_lag = config.ordering.as_ref().is_some_and(|section| section.join || height.0 > 0);
    let was_changed = seat.is_some_and(|seat| !seat.active || seat.key_version > 0);
    if !may_lag && !was_changed {
        return Err(error);
    }
    tracing::warn!(%error, "this node endorses no request by itself: its operator is not one of its newest block");
    Ok(())
}

/// The differences between the nodes that the configuration lists and those that order by the log, whose addresses
/// count. `None` if there are none, or the log has no nodes yet.
pub fn other_nodes(own: MemberId, section: &OrderingSection, orders: &[MemberState]) -> Option<String> {
    let listed = section.members.iter().filter(|listed| listed.member != own.0);
    let listed: Vec<(u64, &str)> = listed.map(|listed| (u64::from(listed.member), listed.address.as_str())).collect();
    let orders: Vec<&MemberState> = orders.iter().filter(|state| state.member != u64::from(own.0)).collect();
    if orders.is_empty() {
        return None;
    }
    let by_list = listed.iter().filter_map(|(member, address)| match orders.iter().find(|it| it.member == *member) {
        None => Some(format!("central-bank-{member} at {address} is listed and does not order")),
        Some(it) if it.address != *address => {
            Some(format!("central-bank-{member} is listed at {address} and is reached at {}", it.address))
        }
        Some(_) => None,
    });
    let beyond = orders.iter().filter(|it| listed.iter().all(|(member, _)| *member != it.member));
    let beyond = beyond.map(|it| format!("central-bank-{} at {} orders and is not listed", it.member, it.address));
    let differences: Vec<String> = by_list.chain(beyond).collect();
    (!differences.is_empty()).then(|| differences.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OrderingMember;

    fn section(listed: &[(u16, &str)]) -> OrderingSection {
        let members =
            listed.iter().map(|(member, address)| OrderingMember { member: *member, address: (*address).to_owned() });
        OrderingSection::of(members.collect())
    }

    fn orders(nodes: &[(u64, &str)]) -> Vec<MemberState> {
        let state = |(member, address): &(u64, &str)| MemberState {
            member: *member,
            address: (*address).to_owned(),
            votes: true,
            lag: None,
        };
        nodes.iter().map(state).collect()
    }

    #[test]
    fn each_difference_between_the_listed_nodes_and_those_that_order_is_named() {
        let listed = section(&[(1, "a:1"), (2, "b:1"), (3, "c:1")]);
        let differences = |nodes: &[(u64, &str)]| other_nodes(MemberId(1), &listed, &orders(nodes));
        assert_eq!(differences(&[(1, "a:1"), (2, "b:1"), (3, "c:1")]), None);
        // Its own new address a node makes known itself; and an empty log says nothing.
        assert_eq!(differences(&[(1, "x:1"), (2, "b:1"), (3, "c:1")]), None);
        assert_eq!(differences(&[]), None);
        let found = differences(&[(1, "a:1"), (2, "b:2"), (4, "d:1")]).unwrap();
        for part in [
            "central-bank-2 is listed at b:1 and is reached at b:2",
            "central-bank-3 at c:1 is listed and does not order",
            "central-bank-4 at d:1 orders and is not listed",
        ] {
            assert!(found.contains(part), "{part}: {found}");
        }
    }
}
