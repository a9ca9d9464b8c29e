//! The `--network` argument that most subcommands share.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cbdc_client::Anchor;
use cbdc_devnet::Network;
use clap::Args;

use crate::output::{quoted, shell_word};

static OPENED: OnceLock<Network> = OnceLock::new();

/// The network that this run has opened first, if any.
pub fn opened() -> Option<&'static Network> {
    OPENED.get()
}

/// Its genesis: errors show amounts in its currency.
pub fn opened_anchor() -> Option<&'static Anchor> {
    opened().map(|network| network.anchor().as_ref())
}

#[derive(Args, Debug)]
pub struct NetworkArgument {
    /// The network's folder
    #[arg(long, value_name = "DIR", env = "CBDC_NETWORK", default_value = "network")]
    pub network: PathBuf,
    /// Where a node of the central bank is reached, if the folder does not say so; may be given several times
    #[arg(long = "central-bank", value_name = "ADDRESS")]
    pub central_banks: Vec<String>,
}

impl NetworkArgument {
    pub fn open(&self) -> anyhow::Result<Network> {
        let network = Network::open_with(&self.network, &self.central_banks)?;
        let _ = OPENED.set(network.clone());
        Ok(network)
    }

    /// The argument that a printed command needs to find the same network, if any.
    pub fn suffix(&self) -> String {
        let is_usual = self.network == Path::new("network");
        let is_in_environment = std::env::var_os("CBDC_NETWORK").is_some_and(|dir| dir == *self.network);
        let network = match is_usual || is_in_environment {
            true => String::new(),
            false => format!(" --network {}", shell_word(&self.network)),
        };
        let central_banks = self.central_banks.iter().map(|address| format!(" --central-bank {}", quoted(address)));
        central_banks.fold(network, |words, more| words + &more)
    }
}
