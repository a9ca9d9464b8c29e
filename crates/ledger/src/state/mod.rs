//! The ledger's records, and the containers that hold them.

pub mod account;
pub(crate) mod balances;
pub(crate) mod bank_accounts;
pub mod bank_position;
pub(crate) mod bank_table;
pub mod books;
pub(crate) mod class_history;
pub mod cow_vec;
pub(crate) mod dirty_set;
pub mod freeze;
pub mod header;
pub mod hold;
pub mod holder;
pub(crate) mod index;
pub(crate) mod key_table;
pub mod member;
pub(crate) mod merkle_map;
pub(crate) mod partial_replica;
pub mod prefetch;
pub mod programme;
pub(crate) mod recent_payments;
pub(crate) mod remuneration_sweep;
pub mod reserve_rules;
pub mod sections;
pub mod sequence;
