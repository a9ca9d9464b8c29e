//! The transition: how a block proposal changes the ledger.
//!
//! 1. The block's time is the proposal's, but never before the parent's.
//! 2. Whatever is due at that time is done, in this order: ledger days end (interest and repayments of banks), a sweep
//!    posts the interest of idle wallets, holds and purpose-bound money expire, governance proposals are enacted or
//!    expire, programmes pay their cohorts, and a resolved bank's customers move to another bank. Policy bounds each of
//!    the five kinds of work per block.
//! 3. Each command, in order: its signer is *admitted* (known, key in force, sequence number free; a refusal here uses
//!    no sequence number), the sequence number is used, and the command's own module checks its rules in a fixed order
//!    and then changes the state, or refuses and changes nothing.
//!
//! `chain` then seals the block: roots, balance sheet, supply terms.
//!
//! Modules: `payment`, `transfer`, `hold`, `credit` (a credit to a wallet and what it moves elsewhere), `remuneration`,
//! `wallet`, `relocation` (from bank to bank), `consent`, `issuance`, `order`, `operation`, `day_end`, `programme`,
//! `committee`.

pub mod changes;
mod committee;
mod consent;
mod context;
mod credit;
mod day_end;
mod due;
pub mod entry;
mod hold;
mod issuance;
mod operation;
mod order;
mod party;
mod payment;
mod prefetch;
mod programme;
mod relocation;
mod remuneration;
mod settle;
mod transfer;
mod wallet;

pub use due::DueUntil;
pub use payment::Quote;
pub(crate) use settle::run;
