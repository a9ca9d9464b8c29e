//! Replicas: the nodes of the central bank that order together.
//!
//! Each applies what is ordered, and seals and signs each block; only the leader takes commands and answers them.
//!
//! | file | idea |
//! |---|---|
//! | [`connections`] | connections between the nodes, and who may call |
//! | [`seals`] | the headers and signatures that the nodes have computed |
//! | [`exchange`] | showing them to each other, and noticing another header than the leader's |
//! | [`checkpoints`] | checkpoints from the leader, for a node that is far behind |
//! | [`confirmation`] | whether this node leads with all that was ordered, or has lost blocks |
//! | [`founding`] | the first start of a node, and whether there is a network already |
//! | [`succession`] | following the leadership, handing it over |
//! | [`kept_requests`] | issuance requests that the nodes keep for each other |
//! | [`admission`] | nodes that join and leave, as the committee decides |

pub mod admission;
pub mod checkpoints;
pub mod confirmation;
pub mod connections;
pub mod exchange;
pub mod founding;
pub mod kept_requests;
pub mod seals;
pub mod succession;

use std::collections::BTreeMap;

use cbdc_ledger::MemberId;
use cbdc_ordering::OrderingConfig;

use crate::config::OrderingSection;
pub use connections::Connections;

/// The configuration of ordering for one of several nodes. `founds`: it begins the log. `only_learns`: it may have lost
/// the one with which it voted.
pub(crate) fn ordering_config(
    member: MemberId,
    section: &OrderingSection,
    (founds, only_learns): (bool, bool),
) -> OrderingConfig {
    let listed = || section.members.iter().map(|member| (u64::from(member.member), member.address.clone()));
    OrderingConfig {
        member: u64::from(member.0),
        members: if section.join { BTreeMap::new() } else { listed().collect() },
        entries_kept_for_followers: section.entries_for_followers,
        abstains: founds,
        only_learns,
        ..OrderingConfig::default()
    }
}

/// A member's number, as ordering has it, in the role central-bank.
pub(crate) fn member_id(member: cbdc_ordering::MemberId) -> Option<MemberId> {
    u16::try_from(member).ok().map(MemberId)
}
