//! Development networks: a folder with everything that a network needs, and its nodes, running.
//!
//! * [`spec`]: what a network shall be like;
//! * [`create`]: genesis, keys, certificates and configurations, into a new folder;
//! * [`ports`]: which ports its nodes listen on;
//! * [`processes`]: every node its own process;
//! * [`in_process`]: the same nodes in this process, ready in a fraction of a second.
//!
//! [`Network`] is an opened folder. What connects to it (wallets, desks, the chain) is `cbdc_client`'s
//! [`NetworkFolder`], which it derefs to.

pub mod create;
pub mod in_process;
pub mod ports;
pub mod processes;
pub mod spec;

use std::ops::Deref;
use std::path::{Path, PathBuf};

use cbdc_client::{ClientError, NetworkFolder, NodeName};
use cbdc_ledger::genesis::GenesisError;
use cbdc_proto::transport::IdentityError;

pub use in_process::InProcess;
pub use processes::Processes;
pub use spec::{NetworkSpec, Ports};

/// What can go wrong with a network's folder or its nodes.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(
        "{path} exists already and was left as it is; choose another folder, or say that it may be replaced (--force)"
    )]
    Exists { path: PathBuf },
    #[error("{path} is no network's folder (it has no genesis.bin), so it is not replaced; choose another folder")]
    NotANetwork { path: PathBuf },
    #[error("expected {expected}, found {found}")]
    Spec { expected: String, found: String },
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("genesis cannot be used: {0}")]
    Genesis(#[from] GenesisError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no free port was found: {0}")]
    Ports(std::io::Error),
    #[error(
        "{node} cannot listen on {address}: {reason}; another network may be running: stop it, or make this one with another base port"
    )]
    PortTaken { node: NodeName, address: String, reason: String },
    #[error("{node} cannot be started from {program}: {source}")]
    Spawn { node: NodeName, program: PathBuf, source: std::io::Error },
    #[error("{node} ended ({status}); the end of {log}:\n{tail}")]
    Died { node: NodeName, status: String, log: PathBuf, tail: String },
    #[error("{node} was not ready within {waited_s} s; the end of {log}:\n{tail}")]
    NotReady { node: NodeName, waited_s: u64, log: PathBuf, tail: String },
    #[error("{node} is not running")]
    NotRunning { node: NodeName },
    #[error("{node}: {reason}")]
    Node { node: NodeName, reason: String },
}

/// A development network's folder.
#[derive(Clone, Debug)]
pub struct Network(NetworkFolder);

impl Network {
    /// Makes a network in a folder that does not exist yet, or is empty.
    pub fn create(dir: &Path, spec: &NetworkSpec) -> Result<Network, NetworkError> {
        create::create(dir, spec, create::Existing::Refuse)?;
        Network::open(dir)
    }

    /// As [`Network::create`], and a network that is there already is replaced, with all its data.
    pub fn create_or_replace(dir: &Path, spec: &NetworkSpec) -> Result<Network, NetworkError> {
        create::create(dir, spec, create::Existing::Replace)?;
        Network::open(dir)
    }

    pub fn open(dir: &Path) -> Result<Network, NetworkError> {
        Ok(Network(NetworkFolder::open(dir)?))
    }
}

impl Deref for Network {
    type Target = NetworkFolder;

    fn deref(&self) -> &NetworkFolder {
        &self.0
    }
}
