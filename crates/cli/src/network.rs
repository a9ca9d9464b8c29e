//! The `--network` argument that most subcommands share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use cbdc_client::Anchor;
use cbdc_devnet::Network;
use clap::Args;

use crate::output::shell_word;

static CURRENCY: OnceLock<Arc<Anchor>> = OnceLock::new();

/// The genesis of the network that this run has opened, if any: errors show amounts in its currency.
pub fn opened() -> Option<&'static Anchor> {
    CURRENCY.get().map(Arc::as_ref)
}

#[derive(Args, Debug)]
pub struct NetworkArgument {
    /// The network's folder
    #[arg(long, value_name = "DIR", env = "CBDC_NETWORK", default_value = "network")]
    pub network: PathBuf,
}

impl NetworkArgument {
    pub fn open(&self) -> anyhow::Result<Network> {
        let network = Network::open(&self.network)?;
        // Errors show amounts in the currency of the run's first network.
        let _ = CURRENCY.set(network.anchor().clone());
        Ok(network)
    }

    /// The argument that a printed command needs to find the same network, if any.
    pub fn suffix(&self) -> String {
        let is_usual = self.network == Path::new("network");
        let is_in_environment = std::env::var_os("CBDC_NETWORK").is_some_and(|dir| dir == *self.network);
        match is_usual || is_in_environment {
            true => String::new(),
            false => format!(" --network {}", shell_word(&self.network)),
        }
    }
}
