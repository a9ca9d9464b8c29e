//! The `--network` argument that most subcommands share.

use std::path::PathBuf;

use cbdc_simulator::network::Network;
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
}
