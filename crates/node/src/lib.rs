//! The parts common to every node, central bank or commercial bank: a ledger kept from a chain, an archive of blocks, a
//! chain service, a membership that decides who may call, and a server for all of it.
//!
//! | module | idea |
//! |---|---|
//! | [`config`] | configuration files, with errors that name file and line |
//! | [`data_folder`] | whose data a folder holds |
//! | [`state`] | the ledger that one thread writes and all services read |
//! | [`membership`] | the members at the other end of connections, and their roles |
//! | [`followed_keys`] | members' node keys, also those that replaced the ones in this node's ledger |
//! | [`archive`] | blocks on disk: headers, block proposals, outcomes |
//! | [`recovery`] | checkpoints: writing one, starting from one |
//! | [`checkpoint_proof`] | trusting a checkpoint from another node |
//! | [`checkpoints`] | their schedule, and the thread that writes them |
//! | [`chain`] | the chain service, the same on every node |
//! | [`recent_blocks`] | the newest blocks, in memory |
//! | [`filtered_blocks`] | filtered blocks for banks with partial replicas |
//! | [`re_sign`] | re-signing if another record took the sequence number |
//! | [`views`] | messages made from a ledger: wallets, quotes, holds |
//! | [`audit`] | verifying a chain from genesis |
//! | [`server`] | serving gRPC, with everything bounded; health and reflection |
//! | [`descriptors`] | enough file descriptors, or no start |
//! | [`folder_watch`] | noticing that the data folder of a running node is gone |
//! | [`standing`] | the work that a source has wasted recently, and which sources are slowed |
//! | [`source_standing`] | the standing of each customers' address or member, and its turns |
//! | [`limits`] | limits on callers: section `[limits]` of the configuration |
//! | [`budget`] | memory of connections, messages, requests and answers |
//! | [`calls`] | the calls' message sizes and charges on the budget |
//! | [`connections`] | limits on connections: customers', and each member's own |
//! | [`metering`] | charging a connection's requests to the budget |
//! | [`unread`] | data that has arrived on a connection's streams and was not read |
//! | [`look_up`] | blocking look-ups: few at once, in turn |
//! | [`telemetry`] | metrics for Prometheus |
//!
//! It lies between `ordering` and the two kinds of node, so that neither depends on the other.

#![forbid(unsafe_code)]

pub mod archive;
pub mod audit;
pub mod budget;
pub mod calls;
pub mod chain;
pub mod checkpoint_proof;
pub mod checkpoints;
pub mod config;
pub mod connections;
pub mod data_folder;
pub mod descriptors;
pub mod evidence;
pub mod filtered_blocks;
pub mod folder_watch;
pub mod followed_keys;
pub mod limits;
pub mod look_up;
pub mod membership;
pub mod metering;
pub mod re_sign;
pub mod recent_blocks;
pub mod recovery;
pub mod server;
pub mod source_standing;
pub mod standing;
pub mod state;
pub mod telemetry;
pub mod unread;
pub mod views;

pub use archive::{Archive, ArchiveError, BlockParts, ProposalSource};
pub use budget::{Budget, Share};
pub use chain::ChainService;
pub use checkpoints::Checkpoints;
pub use config::{ConfigError, load_config};
pub use data_folder::{DataFolderError, Owner};
pub use filtered_blocks::FilteredBlocks;
pub use followed_keys::RoleKeys;
pub use limits::Limits;
pub use look_up::look_up;
pub use membership::Membership;
pub use source_standing::SourceStanding;
pub use state::{LedgerHandle, NotAnnounced};
