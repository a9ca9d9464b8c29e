//! Errors of development networks.

use std::path::PathBuf;

use cbdc_client::{ClientError, NodeName};
use cbdc_ledger::genesis::GenesisError;
use cbdc_proto::transport::IdentityError;

/// An error of a network's folder or its nodes.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(
        "{path} exists already and was left as it is; choose another folder, or say that it may be replaced (--force)"
    )]
    Exists { path: PathBuf },
    #[error("{path} exists already and was left as it is: keys are never replaced; choose another folder or number")]
    KeysExist { path: PathBuf },
    #[error("{path} is not a network's folder (it has no genesis.bin), so it is not replaced; choose another folder")]
    NotANetwork { path: PathBuf },
    #[error("{path} is in use: {node} runs on its data; stop the network before it is replaced")]
    InUse { path: PathBuf, node: NodeName },
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
    #[error(transparent)]
    DataFolder(#[from] cbdc_node::DataFolderError),
    #[error("no free port was found: {0}")]
    Ports(std::io::Error),
    #[error(
        "{node} cannot listen on {address}: {reason}; another network may be running: stop it, or make this one with \
        another base port"
    )]
    PortTaken { node: NodeName, address: String, reason: String },
    #[error(
        "{node} runs already{}: its data in {data} are open there; stop it first, since \
         every node of the network is started here", .pid.map_or(String::new(), |pid| format!(", as process {pid}"))
    )]
    RunsAlready { node: NodeName, data: PathBuf, pid: Option<u32> },
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
