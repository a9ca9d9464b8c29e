//! Policy: dated sets of parameters, changed only by the committee, and one room for each rule.
//!
//! A set is never edited. A motion that is carried gives a new version, in force from the first block at or after its
//! effective time; a receipt names the version under which its command was settled. A change costs the same with any
//! number of wallets (I7): rules read the set in force when a command is applied, and nothing sweeps the wallets.
//!
//! | room | rule |
//! |---|---|
//! | [`parameters`] | the set, its versions and changes |
//! | [`motions`] | proposals under vote, and what falls due |
//! | [`supply_cap`], [`issuance_quota`] | how much may be issued |
//! | [`holding_limit`] | how much a person may hold, across banks |
//! | [`payment_limit`], [`day_limit`] | how much a payment may be, and a person's payments of a day |

pub mod day_limit;
pub mod holding_limit;
pub mod issuance_quota;
pub mod motions;
pub mod parameters;
pub mod payment_limit;
pub mod supply_cap;

pub use motions::{Ballots, Fate, Motions, Proposed};
pub use parameters::{ClassRules, Parameters, PolicyChange, PolicySet, PolicyVersions};
