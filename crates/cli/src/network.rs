//! The `--network` argument that most subcommands share.

use std::path::{Path, PathBuf};

use cbdc_devnet::Network;
use clap::Args;

#[derive(Args, Debug)]
pub struct NetworkArgument {
    /// The network's folder
    #[arg(long, value_name = "DIR", env = "CBDC_NETWORK", default_value = "network")]
    pub network: PathBuf,
}

impl NetworkArgument {
    pub fn open(&self) -> anyhow::Result<Network> {
        Ok(Network::open(&self.network)?)
    }

    /// What a command to be pasted needs so that it finds the same network.
    pub fn suffix(&self) -> String {
        let is_usual = self.network == Path::new("network");
        let is_in_environment = std::env::var_os("CBDC_NETWORK").is_some_and(|dir| dir == *self.network);
        match is_usual || is_in_environment {
            true => String::new(),
            false => format!(" --network {}", crate::init::shell_word(&self.network)),
        }
    }
}
