//! A development network's folder: created or opened.
//!
//! Connections to the network (wallets, governance, the chain) are made by `cbdc_client`'s [`NetworkFolder`], to which
//! [`Network`] derefs.

use std::ops::Deref;
use std::path::Path;

use cbdc_client::NetworkFolder;

use super::create::{self, Existing};
use super::error::NetworkError;
use super::spec::NetworkSpec;

/// A development network's folder.
#[derive(Clone, Debug)]
pub struct Network(NetworkFolder);

impl Network {
    /// Creates a network in a folder that does not exist yet or is empty.
    pub fn create(dir: &Path, spec: &NetworkSpec) -> Result<Network, NetworkError> {
        create::create(dir, spec, Existing::Refuse)?;
        Network::open(dir)
    }

    /// Like [`Network::create`], but replaces an existing network with all its data.
    pub fn create_or_replace(dir: &Path, spec: &NetworkSpec) -> Result<Network, NetworkError> {
        create::create(dir, spec, Existing::Replace)?;
        Network::open(dir)
    }

    pub fn open(dir: &Path) -> Result<Network, NetworkError> {
        Network::open_with(dir, &[])
    }

    /// Opens a network, with the addresses of nodes of the central bank that its folder does not name.
    pub fn open_with(dir: &Path, central_banks: &[String]) -> Result<Network, NetworkError> {
        Ok(Network(NetworkFolder::open_with(dir, central_banks)?))
    }

    /// Follows membership from the central bank, so that members admitted since can be reached. One that cannot tell
    /// it now, because it has lost blocks for one, leaves what was known.
    pub(crate) async fn follow_membership(&self) {
        if let Ok(node) = self.reading_node().await
            && let Ok(connection) = self.connect_reader(node).await
        {
            drop(self.anchor().follow_from(&connection).await);
        }
    }
}

impl Deref for Network {
    type Target = NetworkFolder;

    fn deref(&self) -> &NetworkFolder {
        &self.0
    }
}
