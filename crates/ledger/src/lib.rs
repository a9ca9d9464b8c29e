//! The ledger of a retail central bank digital currency: money, accounts, policy, commands, blocks and proofs.
//!
//! # What it promises
//! The ledger is a pure state machine. [`Ledger::apply`] takes the next ordered block proposal and returns the sealed
//! block; nothing else changes it. It reads no clock, no disk, no network and no random source, so the same proposals
//! give the same blocks, to the byte, on a live node, on a replica, under audit and in virtual time.
//!
//! Input reaches `apply` only as [`VerifiedProposal`], whose constructors are named for who checked the signatures. The
//! rule for signatures is that of `cbdc_signatures`; checking many at once takes secret randomness, which the caller
//! provides.
//!
//! # Invariants
//! The rest of the code and the documents refer to these by number.
//!
//! * <a id="I0"></a>**I0** Every entry debits and credits the same amount: `Books::post` is the only way to
//!   move money in the books.
//! * <a id="I1"></a>**I1** The CBDC in the books equals the sum of all wallets, and the sum of the supply terms:
//!   issued − redeemed + reverse waterfall − waterfall + interest − demurrage − fees + unbacked + targeted − expired
//!   − offline loaded + offline unloaded ([`SupplyTerms`]).
//! * <a id="I2"></a>**I2** Assets equal liabilities plus equity.
//! * <a id="I3"></a>**I3** Funding, defunding and waterfalls keep the sum of a holder's deposit, wallet and money in
//!   transit between them. The ledger sees only wallets and a bank only its deposits, so the load harness checks it,
//!   with both sets of books at hand.
//! * <a id="I4"></a>**I4** No balance is below zero, and held money never exceeds the balance.
//! * <a id="I5"></a>**I5** A sequence number settles at most once.
//! * <a id="I6"></a>**I6** A refused command changes nothing but its outcome and its sequence number.
//! * <a id="I7"></a>**I7** A change of policy costs the same with any number of wallets: rules read the parameters in
//!   force when a command is applied, and enacting new ones visits no wallet.
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
//! | `state` | the records: [`account`], [`holder`], [`hold`], [`freeze`], [`member`], [`sequence`], [`books`], [`bank_position`], [`programme`], [`header`]; and what keeps them, such as [`cow_vec`] |
//! | `policy` | [`policy`]: parameter sets, and one module a rule |
//! | `command` | [`command`]: the signed records; [`authority`]: who may sign and submit them |
//! | `governance` | [`governance`]: the committee's proposals and votes |
//! | `ledger` | [`genesis`], [`ledger`]: the whole state in one struct, what can be read of it, and its invariants |
//! | `transition` | [`transition`]: how each command changes the state |
//! | `chain` | [`command_batch`], [`block_proposal`], [`directory`], [`verification`], [`block`], [`receipt`], [`virtual_time`]: from bytes to sealed blocks and proofs |
//! | `sync` | [`checkpoint`], [`checkpoint_seal`], [`filtered_block`]: saving a ledger, and following one bank's part of it |

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
pub use sync::{checkpoint, checkpoint_seal, filtered_block};
pub use types::{amount, format, identity, outcome, time};

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
