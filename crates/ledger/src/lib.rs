//! The ledger of a retail central bank digital currency: money, accounts, policy, commands, blocks and proofs.
//!
//! # What it promises
//! The ledger is a pure state machine. [`Ledger::apply`] takes the next ordered proposal and returns the sealed
//! block; nothing else changes it. It reads no clock, no disk, no network and no random source, so the same
//! proposals give the same blocks, to the byte, on a live node, on a replica, under audit and in virtual time.
//!
//! Input reaches `apply` only as [`VerifiedProposal`]: somebody checked the signatures, and the constructor's
//! name says who. The rule for signatures is `cbdc_signatures`' own; checking many at once takes secret randomness, which the
//! caller hands in.
//!
//! # Invariants, checked by [`Ledger::check_invariants`]
//! * **I0** every entry debits and credits the same amount: [`books::Books::post`] is the only way to move money.
//! * **I1** CBDC in the books equals the sum of all wallets, and its change equals the sum of the supply terms.
//! * **I2** assets equal liabilities plus equity.
//! * **I4** no balance below zero; held money never exceeds the balance (balances are unsigned and checked).
//! * **I5** a sequence number settles at most once.
//! * **I6** a refused command changes nothing but its outcome and its sequence number.
//!
//! # Rooms, low to high
//! | room | holds |
//! |---|---|
//! | [`amount`], [`time`], [`identity`] | units: minor units, milliseconds and ledger days, account numbers |
//! | [`encoding`], [`compact`] | the fixed little-endian layout of everything signed or hashed, and shorter forms for bulk |
//! | [`command`] | what may be asked of the ledger, as signed records |
//! | [`authority`] | who may ask it: one table of role × command |
//! | [`outcome`] | what may be answered: one table of reasons |
//! | [`sequence`], [`pages`], [`account`], [`holder`], [`member`], [`books`] | the state |
//! | [`hold`], [`programme`], [`bank_position`] | promises to payees, cohorts' money, banks' terms: the rare state beside |
//! | [`policy`] | parameter sets, votes, and one room a rule |
//! | [`settlement`] | how each command changes the state |
//! | [`command_batch`], [`proposal`] | commands that travel and are ordered together, with their bytes |
//! | [`merkle`], [`block`] | blocks, receipts and their proofs |
//! | [`filtered_block`] | one bank's part of a block, for banks that follow headers |
//! | [`genesis`], [`checkpoint`], [`ledger`] | beginning, saving and reading a ledger |
//! | [`directory`], [`verification`] | keys of accounts and members, and the way from bytes to [`VerifiedProposal`] |
//! | [`virtual_time`] | a ledger that a simulation drives without signatures, sealed by its genesis |

#![forbid(unsafe_code)]

pub mod account;
pub mod amount;
pub mod authority;
mod bank_leaf;
pub mod bank_position;
mod bank_table;
pub mod block;
pub mod block_proposal;
pub mod books;
pub mod checkpoint;
pub mod command;
pub mod command_batch;
pub mod compact;
pub mod directory;
pub mod encoding;
pub mod filtered_block;
pub mod genesis;
pub mod hold;
pub mod holder;
pub mod identity;
pub mod ledger;
pub mod member;
pub mod merkle;
pub mod outcome;
pub mod pages;
pub mod policy;
pub mod programme;
pub mod sequence;
pub mod settlement;
pub mod time;
mod touched;
pub mod verification;
pub mod virtual_time;

pub use account::Account;
pub use amount::Amount;
pub use block::{Block, Header, Receipt, SignedHeader, SupplyTerms};
pub use block_proposal::BlockProposal;
pub use cbdc_signatures::{PublicKey, Signature, SigningKey};
pub use command::Command;
pub use command_batch::CommandBatch;
pub use genesis::{Genesis, NetworkId};
pub use identity::{AccountId, BankId, Class, Height, HolderId, MemberId};
pub use ledger::Ledger;
pub use outcome::{Outcome, Reason};
pub use time::Timestamp;
pub use verification::{Signed, VerifiedBatch, VerifiedProposal};
