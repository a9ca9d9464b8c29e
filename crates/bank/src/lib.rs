//! A commercial bank's node: its customers' gRPC service, its deposit book, and its replica of the chain.
//!
//! # What it promises
//! * *Settled* is answered only once the central bank or the chain has said so; *accepted* means only that the command
//!   is in the durable outbox.
//! * A customer's money moves only with the customer's signature; the bank relays records and cannot make them.
//! * Deposit + in transit + wallet stays constant over funding, defunding and waterfalls, over any crash (I3); also for
//!   wallets of other banks that are linked to this one.
//! * Everything that the chain drives happens exactly once: a block and its effects on the bank's books are one write,
//!   with the block's height as cursor.
//! * Everything is bounded: batches, queues, streams, commands in flight. Overload is answered at once and loses
//!   nothing.
//!
//! # Modules
//! | module | idea |
//! |---|---|
//! | [`config`] | the configuration file |
//! | [`node`] | starting in the right order, stopping |
//! | `service` | the gRPC service |
//! | `precheck` | the checks on customers' batches before they are relayed |
//! | `waste_shares` | accounts' shares of the commands that may be refused before the central bank slows the bank |
//! | `relay` | one long-lived stream of commands to the central bank |
//! | `central_bank_nodes` | the central bank's nodes, and the one that leads |
//! | `leader_search`, `leader_watch` | finding that one; noticing that a silent one no longer leads |
//! | `follower`, `replica` | fetching blocks; verifying, applying and booking them |
//! | `pace` | the pace at which a peer must serve blocks |
//! | `partial_replica`, `central_bank_client` | following filtered blocks only; asking the central bank for the rest |
//! | `sessions` | holders' challenges and bearer tokens, without stored state |
//! | `deposit_service` | deposits and outbox, which change together |
//! | `deposits`, `outbox` | the deposit book; commands whose outcome is awaited |
//! | `deposit_doubt`, `last_alive` | a deposit book older than what the bank has done, and how that is found |
//! | `catching_up`, `orderly_stop` | until when deposits wait after a start; whether the last stop left this folder |
//! | `request_book` | what the back office asked for under its ids: reserves, issuance |
//! | `dispatch` | sending the commands of the outbox |
//! | `own_sequence`, `signing` | the bank's own sequence numbers and signatures |
//! | `history` | the positions of each customer's payments in the chain |
//! | `metrics` | metrics |
//!
//! A bank with a full replica that cannot reach the central bank follows the chain from a peer bank. It does not relay
//! commands through one: the central bank takes a customer's command only from the customer's own bank
//! ([`cbdc_ledger::authority`]).

#![forbid(unsafe_code)]

mod catching_up;
mod central_bank_client;
mod central_bank_nodes;
pub mod config;
mod deposit_doubt;
mod deposit_service;
mod deposits;
mod dispatch;
mod follower;
mod history;
mod last_alive;
mod leader_search;
mod leader_watch;
mod metrics;
pub mod node;
mod orderly_stop;
mod outbox;
mod own_sequence;
mod pace;
mod partial_replica;
mod precheck;
mod relay;
mod replica;
mod request_book;
mod service;
mod sessions;
mod signing;
mod testimony;
mod waste_shares;

pub use cbdc_node::ConfigError;
pub use config::{Config, ReplicaKind};
pub use node::{Node, NodeError, StartError, adopt_data_folder, prepare_data_folder, start, start_on};
