//! A development network's folder, as its clients read it: genesis, members' keys, nodes' addresses, wallets.
//!
//! ```text
//! DIR/genesis.bin                the trust anchor
//! DIR/genesis.toml               the same for people; no program reads it
//! DIR/ca.pem                     the authority over all node certificates, for clients in other languages
//! DIR/<role>-<number>/           one folder a member: signing.key, node.key, node.pem
//! DIR/central-bank-1/config.toml, DIR/bank-1/config.toml, …   where each node listens
//! DIR/bank-1/data/NODE                                        whose data a node's folder holds
//! DIR/wallets/NAME.toml, NAME.key                             named wallets
//! ```
//!
//! Such a folder holds every party's keys, which a real network keeps apart: it is for development, tests and
//! measurements. `cbdc init` and `cbdc up` create one. One with a part of it serves as well: on a machine with one
//! node, `genesis.bin` and that node's folder, from whose configuration the central bank's other nodes are known.

mod acting;
mod leading;
mod nodes;
mod wallet_file;

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, BankId, Class, MemberId, SigningKey};
use cbdc_proto::transport::NodeIdentity;
use cbdc_proto::transport::key_file::read_signing_key;

use crate::anchor::Anchor;
use crate::bank_office::BankOffice;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::registrar::Registrar;
use crate::wallet::Wallet;

pub use leading::{AskedNode, HandOverOutcome, Leaderships};
use nodes::NodeAddresses;
pub use wallet_file::WalletFile;

/// A node of a network: a central bank's, or a commercial bank's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodeName {
    /// A node of the central bank.
    CentralBank(MemberId),
    /// A commercial bank's node.
    Bank(BankId),
}

impl NodeName {
    /// The member's role.
    pub fn role(self) -> Role {
        match self {
            NodeName::CentralBank(_) => Role::CentralBank,
            NodeName::Bank(_) => Role::Bank,
        }
    }

    /// The member's number.
    pub fn id(self) -> MemberId {
        match self {
            NodeName::CentralBank(id) => id,
            NodeName::Bank(bank) => MemberId(bank.0),
        }
    }
}

impl fmt::Display for NodeName {
    /// The name of the node's folder: `bank-2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.role(), self.id())
    }
}

impl FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a node such as central-bank-1 or bank-2, found `{text}`");
        let (role, number) = text.rsplit_once('-').ok_or_else(wrong)?;
        let number = number.parse().map_err(|_| wrong())?;
        match role {
            "central-bank" => Ok(NodeName::CentralBank(MemberId(number))),
            "bank" => Ok(NodeName::Bank(BankId(number))),
            _ => Err(wrong()),
        }
    }
}

/// An opened folder of a development network.
#[derive(Clone, Debug)]
pub struct NetworkFolder {
    dir: PathBuf,
    anchor: Arc<Anchor>,
    nodes: BTreeMap<NodeName, NodeAddresses>,
}

impl NetworkFolder {
    /// The name of the file that marks a folder as a network's.
    pub const GENESIS: &'static str = "genesis.bin";

    /// Opens a folder. Reads no secret yet. Its nodes are those of the active members as far as membership was
    /// followed, and those of other members whose data folder is prepared: the committee admitted them since.
    ///
    /// # Errors
    /// [`ClientError::File`] if it holds no network, a node's configuration cannot be read, or no address of a node of
    /// the central bank is known.
    pub fn open(dir: &Path) -> Result<NetworkFolder, ClientError> {
        NetworkFolder::open_with(dir, &[])
    }

    /// Opens a folder, with the addresses of nodes of the central bank that are known beyond it.
    ///
    /// # Errors
    /// Those of [`NetworkFolder::open`].
    pub fn open_with(dir: &Path, central_banks: &[String]) -> Result<NetworkFolder, ClientError> {
        let genesis = dir.join(NetworkFolder::GENESIS);
        if !NetworkFolder::is_there(dir)? {
            let reason =
                "it holds no network (no genesis.bin); make one with `cbdc init` or `cbdc up`, or name another folder"
                    .to_owned();
            return Err(ClientError::File { path: dir.to_owned(), reason });
        }
        let anchor = Arc::new(Anchor::load(&genesis)?);
        let nodes = nodes::listed(dir, &anchor, central_banks)?;
        Ok(NetworkFolder { dir: dir.to_owned(), anchor, nodes })
    }

    /// Whether a folder holds a network.
    ///
    /// # Errors
    /// [`ClientError::File`] if that cannot be found out: the folder may not be read, for one.
    pub fn is_there(dir: &Path) -> Result<bool, ClientError> {
        let genesis = dir.join(NetworkFolder::GENESIS);
        match std::fs::metadata(&genesis) {
            Ok(found) => Ok(found.is_file()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(ClientError::File { path: genesis, reason: error.to_string() }),
        }
    }

    /// The folder's path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The trust anchor of the network.
    pub fn anchor(&self) -> &Arc<Anchor> {
        &self.anchor
    }

    /// Every node, the central bank's first.
    pub fn nodes(&self) -> impl Iterator<Item = NodeName> {
        self.nodes.keys().copied()
    }

    /// Every commercial bank.
    pub fn banks(&self) -> impl Iterator<Item = BankId> {
        self.nodes.keys().filter_map(|name| match name {
            NodeName::Bank(bank) => Some(*bank),
            NodeName::CentralBank(_) => None,
        })
    }

    /// Every node of the central bank, by number.
    pub fn central_banks(&self) -> impl Iterator<Item = NodeName> {
        self.nodes().filter(|name| name.role() == Role::CentralBank)
    }

    /// The first node of the central bank. It may be away, or follow another one.
    pub fn central_bank(&self) -> NodeName {
        self.central_banks().next().expect("a folder opens only if it knows one")
    }

    /// The nodes that genesis names, that are active still as far as membership was followed, and that have no folder
    /// here.
    pub fn nodes_elsewhere(&self) -> Vec<NodeName> {
        let membership = self.anchor.membership();
        let founders = self.anchor.genesis().members.iter();
        let founders = founders.filter(|member| membership.members().active(member.role, member.id).is_some());
        let nodes = founders.filter_map(|member| match member.role {
            Role::CentralBank => Some(NodeName::CentralBank(member.id)),
            Role::Bank => Some(NodeName::Bank(BankId(member.id.0))),
            _ => None,
        });
        nodes.filter(|node| self.nodes.get(node).is_none_or(|addresses| addresses.data_dir.is_none())).collect()
    }

    /// The address at which a node serves gRPC, `host:port`.
    pub fn address(&self, node: NodeName) -> Result<&str, ClientError> {
        Ok(&self.addresses(node)?.address)
    }

    /// The address at which a node serves its metrics, if it does.
    pub fn metrics_address(&self, node: NodeName) -> Result<Option<&str>, ClientError> {
        Ok(self.addresses(node)?.metrics_address.as_deref())
    }

    /// The folder of a node's data.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such node, or its data are elsewhere.
    pub fn data_dir(&self, node: NodeName) -> Result<PathBuf, ClientError> {
        let data_dir = self.addresses(node)?.data_dir.as_ref();
        let elsewhere = || ClientError::NotFound(format!("the data of {node} are not in {}", self.dir.display()));
        Ok(self.node_dir(node).join(data_dir.ok_or_else(elsewhere)?))
    }

    /// The file of a node's configuration.
    pub fn config_path(&self, node: NodeName) -> PathBuf {
        self.node_dir(node).join("config.toml")
    }

    /// The file to which a node's process writes its log.
    pub fn log_path(&self, node: NodeName) -> PathBuf {
        self.node_dir(node).join("node.log")
    }

    fn node_dir(&self, node: NodeName) -> PathBuf {
        self.dir.join(node.to_string())
    }

    fn addresses(&self, node: NodeName) -> Result<&NodeAddresses, ClientError> {
        self.nodes.get(&node).ok_or_else(|| {
            let known = self.nodes.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            ClientError::NotFound(format!("the network has no node {node}; it has {known}"))
        })
    }

    fn member_dir(&self, role: Role, id: MemberId) -> PathBuf {
        self.dir.join(format!("{role}-{id}"))
    }

    /// A member's certificate and node key.
    pub fn identity(&self, role: Role, id: MemberId) -> Result<NodeIdentity, ClientError> {
        let dir = self.member_dir(role, id);
        Ok(NodeIdentity::load(&dir.join("node.pem"), &dir.join("node.key"))?)
    }

    /// A member's signing key.
    pub fn signing_key(&self, role: Role, id: MemberId) -> Result<SigningKey, ClientError> {
        Ok(read_signing_key(&self.member_dir(role, id).join("signing.key"))?)
    }

    /// Connects to a bank as a customer, without a certificate.
    pub fn connect_customer(&self, bank: BankId) -> Result<Connection, ClientError> {
        let node = NodeName::Bank(bank);
        // First, so that an unknown member is reported as such and not as a missing file.
        let trust = self.anchor.trust(node.role(), node.id())?;
        Connection::new(self.address(node)?, None, &trust)
    }

    /// Connects to a node as a member, with its certificate.
    pub fn connect_member(&self, role: Role, id: MemberId, node: NodeName) -> Result<Connection, ClientError> {
        // First, so that an unknown member is reported as such.
        let trust = match self.nodes.get(&node) {
            Some(addresses) if addresses.is_guess => self.anchor.trust_any(node.role()),
            _ => self.anchor.trust(node.role(), node.id())?,
        };
        let identity = self.identity(role, id)?;
        Connection::new(self.address(node)?, Some(&identity), &trust)
    }

    /// Connects to a node of the central bank at an address that another one has named, as a member.
    fn connect_named(&self, role: Role, id: MemberId, address: &str) -> Result<Connection, ClientError> {
        Connection::new(address, Some(&self.identity(role, id)?), &self.anchor.trust_any(Role::CentralBank))
    }

    /// A client of a bank's back office, with the bank's certificate.
    pub fn bank_office(&self, bank: BankId) -> Result<BankOffice, ClientError> {
        Ok(BankOffice::new(self.connect_member(Role::Bank, MemberId(bank.0), NodeName::Bank(bank))?))
    }

    /// The first registrar named in genesis, with the key in the folder: valid until the committee changes it.
    pub fn first_registrar(&self) -> Result<Registrar, ClientError> {
        let registrars = self.anchor.genesis().members.iter().filter(|member| member.role == Role::Registrar);
        let first = registrars.map(|member| member.id).min().expect("a valid genesis names a registrar");
        Ok(Registrar::new(self.anchor.network(), first, 0, self.signing_key(Role::Registrar, first)?))
    }

    /// The files of all named wallets, by name.
    pub fn wallet_files(&self) -> Result<Vec<WalletFile>, ClientError> {
        WalletFile::all(&self.wallets_dir())
    }

    /// The file of a named wallet.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is none of that name.
    pub fn wallet_file(&self, name: &str) -> Result<WalletFile, ClientError> {
        WalletFile::load(&self.wallets_dir(), name)
    }

    /// A named wallet that is open, ready to pay.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is none of that name, or it was never opened.
    pub fn wallet(&self, name: &str) -> Result<Wallet, ClientError> {
        let file = self.wallet_file(name)?;
        let account = file.account.ok_or_else(|| {
            ClientError::NotFound(format!("the wallet `{name}` was never opened; run `cbdc wallet open {name}` again"))
        })?;
        let connection = self.connect_customer(account.bank)?;
        Ok(Wallet::new(connection, self.anchor.clone(), file.key(&self.wallets_dir())?, account))
    }

    /// Opens a named wallet, or continues where an earlier attempt stopped: its key and file are written before the
    /// bank is asked, and the bank answers a repeated request with the same wallet.
    pub async fn open_wallet(&self, name: &str, bank: BankId, class: Class) -> Result<WalletFile, ClientError> {
        self.addresses(NodeName::Bank(bank))?;
        let dir = self.wallets_dir();
        let mut file = WalletFile::load_or_create(&dir, name, bank, class)?;
        if file.account.is_some() {
            return Ok(file);
        }
        let key = file.key(&dir)?;
        let registrar = self.registrar().await?;
        let registration = registrar.register(file.bank, file.holder, file.class, key.public_key());
        let connection = self.connect_customer(file.bank)?;
        let wallet = Wallet::open(connection, self.anchor.clone(), key, &registration).await?;
        file.account = Some(wallet.account());
        file.save(&dir)?;
        Ok(file)
    }

    /// Moves a named wallet to another bank, or records the bank to which the committee has moved it.
    pub async fn move_wallet(&self, name: &str, bank: BankId) -> Result<WalletFile, ClientError> {
        let (wallet, mut file) = (self.wallet(name)?, self.wallet_file(name)?);
        let account = match wallet.moved_account().await? {
            Some(account) => account,
            None => wallet.move_to(bank, self.connect_customer(bank)?).await?.account(),
        };
        (file.bank, file.account) = (account.bank, Some(account));
        file.save(&self.wallets_dir())?;
        Ok(file)
    }

    /// The account of a named wallet, or of an account number.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it is neither, or the wallet was never opened.
    pub fn account_of(&self, name_or_number: &str) -> Result<AccountId, ClientError> {
        if let Ok(file) = self.wallet_file(name_or_number) {
            return file
                .account
                .ok_or_else(|| ClientError::NotFound(format!("the wallet `{name_or_number}` was never opened")));
        }
        name_or_number.parse().map_err(|number_error: String| {
            let known = self
                .wallet_files()
                .unwrap_or_default()
                .into_iter()
                .map(|file| file.name)
                .collect::<Vec<_>>()
                .join(", ");
            ClientError::NotFound(format!(
                "`{name_or_number}` is neither a wallet here ({known}) nor an account number: {number_error}"
            ))
        })
    }

    /// The folder of the named wallets.
    pub fn wallets_dir(&self) -> PathBuf {
        self.dir.join("wallets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_survive_being_shown_and_read() {
        for name in [NodeName::CentralBank(MemberId(1)), NodeName::Bank(BankId(65535))] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for text in ["bank", "bank-", "bank-70000", "committee-1", ""] {
            assert!(text.parse::<NodeName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_folder_without_a_network_is_refused_with_what_to_do() {
        let message = NetworkFolder::open(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(message.contains("/nonexistent") && message.contains("cbdc up"), "{message}");
    }
}
