//! `cbdc node`: one node in the foreground, as a service manager or a container runs it.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

/// Run one node in the foreground
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc node central-bank --config network/central-bank-1/config.toml
  cbdc node bank --config network/bank-1/config.toml
  cbdc node bank --config bank-4/config.toml --new --admitted   the first start of one that joined

It logs to standard error (CBDC_LOG chooses what) and stops gracefully on Ctrl-C and SIGTERM. Without --new it starts on
its own data alone, so that a disk that is not mounted begins no new chain.")]
pub struct Node {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand, Debug)]
enum Kind {
    /// The central bank: orders, settles and publishes; policy and governance
    #[command(after_help = "Examples:\n  cbdc node central-bank --config network/central-bank-1/config.toml")]
    CentralBank {
        #[command(flatten)]
        options: Options,
        /// First recover blocks that this node has lost, from the bank at this address
        #[arg(long, value_name = "ADDRESS")]
        recover_from: Option<String>,
        /// Go on with this node alone, since a majority of the central bank's nodes is lost for good: what only they
        /// had is lost too. They must never start again on their data; new nodes join this one. For one start
        #[arg(long)]
        majority_lost: bool,
    },
    /// A commercial bank: its customers' wallets and deposits, a replica of the chain
    #[command(after_help = "Examples:\n  cbdc node bank --config network/bank-1/config.toml")]
    Bank(Options),
}

#[derive(Args, Debug)]
struct Options {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Stop when standard input closes, because the program that started the node has ended
    #[arg(long)]
    stop_with_parent: bool,
    /// This is the first start: begin a store in a data folder that holds nothing
    #[arg(long, conflicts_with = "adopt")]
    new: bool,
    /// Adopt data whose file NODE is missing or damaged, after comparing their records with genesis and member
    #[arg(long)]
    adopt: bool,
    /// The committee admitted this member, which genesis does not name; with --new or --adopt
    #[arg(long)]
    admitted: bool,
}

impl Options {
    /// Prepares or adopts the data folder, if asked to.
    fn data_folder<E>(
        &self,
        prepare: impl FnOnce(bool) -> Result<(), E>,
        adopt: impl FnOnce(bool) -> Result<(), E>,
    ) -> Result<(), E> {
        match (self.new, self.adopt) {
            (true, _) => prepare(self.admitted),
            (false, true) => adopt(self.admitted),
            (false, false) => Ok(()),
        }
    }

    /// Waits until the node stops by itself, which is an error if it says why, or a stop is requested.
    async fn until_stopped<E>(&self, stopped: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        tokio::select! {
            ended = stopped => ended,
            why = crate::shutdown::requested(self.stop_with_parent) => {
                tracing::info!(why, "stopping");
                Ok(())
            }
        }
    }
}

impl Node {
    pub async fn run(self) -> anyhow::Result<()> {
        crate::logging::to_stderr()?;
        match self.kind {
            Kind::CentralBank { options, recover_from, majority_lost } => {
                let no_start = || format!("the central bank's node cannot start by {}", options.config.display());
                let mut config = cbdc_central_bank::Config::load(&options.config)?;
                config.recover_from = recover_from;
                config.go_on_alone = majority_lost;
                let prepare = |admitted| cbdc_central_bank::prepare_data_folder(&config, admitted);
                let adopt = |admitted| cbdc_central_bank::adopt_data_folder(&config, admitted);
                options.data_folder(prepare, adopt).with_context(no_start)?;
                let mut node = cbdc_central_bank::start(config).await.with_context(no_start)?;
                let ended = options.until_stopped(node.stopped()).await;
                node.shutdown().await;
                ended.context("the central bank's node stopped by itself")
            }
            Kind::Bank(options) => {
                let no_start = || format!("the bank's node cannot start by {}", options.config.display());
                let config = cbdc_bank::Config::load(&options.config)?;
                let prepare = |admitted| cbdc_bank::prepare_data_folder(&config, admitted);
                let adopt = |admitted| cbdc_bank::adopt_data_folder(&config, admitted);
                options.data_folder(prepare, adopt).with_context(no_start)?;
                let mut node = cbdc_bank::start(config).await.with_context(no_start)?;
                let ended = options.until_stopped(node.stopped()).await;
                node.shutdown().await;
                ended.context("the bank's node stopped by itself")
            }
        }
    }
}
