//! Policy: dated sets of parameters, changed only by the committee, and one module per rule.
//!
//! A set is never edited. An approved proposal creates a new version, in force from the first block at or after its
//! effective time; a receipt names the version under which its command was settled. A change costs the same with any
//! number of wallets (I7): rules read the set in force when a command is applied.
//!
//! | module | rule |
//! |---|---|
//! | [`parameters`] | the set, its versions and changes |
//! | [`supply_cap`], [`issuance_quota`] | limits on issuance |
//! | [`holding_limit`] | the most that a holder may have, across banks |
//! | [`payment_limit`], [`day_limit`], [`month_limit`] | the most that a holder may pay at once, in a day, in a month |
//! | [`velocity`] | the number of payments that a holder may make within a rolling window |
//! | [`remuneration`] | tiers of interest on wallets, and demurrage |
//! | [`fee`] | payers' and payees' fees |
//! | [`reserves`] | key rates, reserves and collateral of banks |
//! | [`text`] | parameters as people write and read them |

pub mod change;
pub mod day_limit;
pub mod fee;
pub mod holding_limit;
pub mod issuance_quota;
pub mod month_limit;
pub mod parameters;
pub mod payment_limit;
pub mod rate_schedule;
pub mod remuneration;
pub mod reserves;
pub mod supply_cap;
pub mod text;
pub mod velocity;
pub mod versions;
pub mod work;

pub use change::PolicyChange;
pub use fee::{FeeBracket, FeeSchedule, FeeTo};
pub use parameters::{ClassRules, Parameters};
pub use remuneration::{Capitalisation, Tier, Tiers};
pub use reserves::{KeyRates, ReserveRules};
pub use velocity::VelocityRule;
pub use versions::{PolicySet, PolicyVersions};
pub use work::WorkPerBlock;
