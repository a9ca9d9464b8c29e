//! What every node is, central bank or commercial bank: a ledger kept from a chain, an archive of blocks, a chain
//! service, a membership that decides who may call, and a server for all of it.
//!
//! | module | idea |
//! |---|---|
//! | [`config`] | configuration files, with errors that name file and line |
//! | [`state`] | the ledger that one thread writes and all services read |
//! | [`membership`] | who is at the other end of a connection, and what role they have |
//! | [`archive`] | blocks on disk: headers, proposals, outcomes |
//! | [`recovery`] | checkpoints: writing one, starting from one |
//! | [`checkpoints`] | when one falls due, and the thread that writes it |
//! | [`chain`] | the chain service, the same on every node |
//! | [`recent_blocks`] | the newest blocks, in memory |
//! | [`filtered_blocks`] | the blocks of banks with partial replicas |
//! | [`re_sign`] | signing again where another record took the sequence number |
//! | [`views`] | messages made from a ledger: wallets, quotes, holds |
//! | [`audit`] | verifying a chain from genesis |
//! | [`server`] | serving gRPC with bounded everything, health and reflection |
//! | [`standing`] | how much work whoever submits has wasted of late, and who is slowed |
//! | [`limits`] | what a node gives to its callers: section `[limits]` of its configuration |
//! | [`budget`] | memory of connections, messages, requests and answers |
//! | [`calls`] | what each call may send, and what it takes of the budget |
//! | [`connections`] | limits on connections: customers', and each member's own |
//! | [`metering`] | charging one connection's requests on the budget |
//! | [`look_up`] | look-ups that block: few at once, in turn |
//! | [`telemetry`] | metrics for Prometheus |
//!
//! It lies between `ordering` and the two kinds of node, so that neither has to borrow from the other.

#![forbid(unsafe_code)]

pub mod archive;
pub mod audit;
pub mod budget;
pub mod calls;
pub mod chain;
pub mod checkpoints;
pub mod config;
pub mod connections;
pub mod filtered_blocks;
pub mod limits;
pub mod look_up;
pub mod membership;
pub mod metering;
pub mod re_sign;
pub mod recent_blocks;
pub mod recovery;
pub mod server;
pub mod standing;
pub mod state;
pub mod telemetry;
pub mod views;

pub use archive::{Archive, ArchiveError, BlockParts, ProposalSource};
pub use budget::{Budget, Share};
pub use chain::ChainService;
pub use checkpoints::Checkpoints;
pub use config::{ConfigError, load_config};
pub use filtered_blocks::FilteredBlocks;
pub use limits::Limits;
pub use look_up::look_up;
pub use membership::Membership;
pub use state::LedgerHandle;
