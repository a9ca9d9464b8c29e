//! The ledger of a retail central bank digital currency: money, accounts, policy, commands, blocks and proofs.
//!
//! # What it promises
//! The ledger is a pure state machine. [`Ledger::apply`] takes the next ordered block proposal and returns the sealed
//! block; nothing else changes it. It reads no clock, disk, network or random source, so the same proposals give the
//! same blocks, to the byte, on a live node, on a replica, under audit and in virtual time.
//!
//! Input reaches `apply` only as [`VerifiedProposal`], whose constructors are named for who checked the signatures.
//! `cbdc_signatures` defines when a signature is valid; checking many at once takes secret randomness, which the caller
//! provides.
//!
//! # Invariants
//! I0 to I7 are defined in `docs/reference/invariants.md`: I0 entries balance, I1 supply, I2 the balance sheet, I3
//! deposits, I4 no debt, I5 once, I6 refusals, I7 policy is cheap. Code and documents refer to them by number.
//!
//! [`Ledger::check_invariants`] checks I1, I2 and I4 over the whole state; I0 holds by construction, and tests against
//! an independent reference model hold the ledger to I5 and I6.
//!
//! # Folders, low to high
//! A file imports only from its own folder and from folders above it in this table.
//!
//! | folder | holds |
//! |---|---|
//! | `types` | [`amount`], [`format`], [`time`], [`identity`], [`outcome`]: units, names and answers |
//! | `codec` | [`encoding`], [`compact`], [`merkle`]: how values become bytes and digests |
//! | `state` | the records: [`account`], [`holder`], [`hold`], [`freeze`], [`member`], [`sequence`], [`books`], |
//! | | [`bank_position`], [`programme`], [`header`]; and what keeps them, such as [`cow_vec`] |
//! | `policy` | [`policy`]: parameter sets, and one module a rule |
//! | `command` | [`command`]: the signed records; [`authority`]: who may sign and submit them |
//! | `governance` | [`governance`]: the committee's proposals and votes |
//! | `ledger` | [`genesis`], [`ledger`]: the whole state in one struct, what can be read of it, and its invariants |
//! | `transition` | [`transition`]: how each command changes the state |
//! | `chain` | [`command_batch`], [`block_proposal`], [`directory`], [`verification`], [`block`], [`receipt`], |
//! | | [`virtual_time`]: from bytes to sealed blocks and proofs |
//! | `sync` | [`checkpoint`], [`checkpoint_signature`], [`filtered_block`]: saving a ledger, following a bank's part |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod chain;
mod codec;
pub mod command;
pub mod governance;
pub mod ledger;
pub mod policy;
mod state;
mod sync;
pub mod transition;
mod types;

pub use chain::{
    block, block_proposal, command_batch, directory, receipt, signed_header, slice_verification, verification,
    virtual_time,
};
pub use codec::{compact, encoding, merkle};
pub use command::authority;
pub use ledger::genesis;
pub use state::{
    account, bank_position, books, cow_vec, freeze, header, hold, holder, member, prefetch, programme, sections,
    sequence,
};
pub use sync::{checkpoint, checkpoint_signature, filtered_block, membership_change};
pub use types::{amount, format, identity, outcome, text, time};

pub use account::Account;
pub use amount::Amount;
pub use block::Block;
pub use block_proposal::BlockProposal;
pub use cbdc_signatures::{PublicKey, Signature, SigningKey};
pub use command::{Command, Signed};
pub use command_batch::{CommandBatch, VerifiedBatch};
pub use format::FormatVersion;
pub use genesis::Genesis;
pub use header::{Header, SupplyTerms};
pub use identity::{AccountId, BankId, Class, Height, HolderId, MemberId, NetworkId};
pub use ledger::Ledger;
pub use outcome::{Outcome, Reason};
pub use receipt::Receipt;
pub use signed_header::SignedHeader;
pub use time::Timestamp;
pub use verification::VerifiedProposal;
