//! Counting the committee's votes.

use std::collections::BTreeMap;

use crate::state::member::{Members, Role};
use crate::types::identity::MemberId;

/// The last vote of each member that voted: whether it approves.
pub type Ballots = BTreeMap<MemberId, bool>;

/// Whether at least the threshold of active committee members approve. Votes of dismissed members no longer count.
pub(crate) fn is_approved(ballots: &Ballots, members: &Members) -> bool {
    let approves = |(id, approve): &(&MemberId, &bool)| **approve && members.active(Role::Committee, **id).is_some();
    ballots.iter().filter(approves).count() >= usize::from(members.threshold())
}
