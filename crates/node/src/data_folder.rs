//! The owner of the data in a folder.
//!
//! The file `NODE` in a node's data folder names the network, the member whose node it is, and whether a store was
//! begun there; the store names network and member once more. A start compares both with the configuration before
//! anything is read or written: a node never continues with the data of another member or network, and never begins a
//! new chain because its disk is not mounted.
//!
//! - **A first start is explicit.** [`Owner::prepare`] (`cbdc init`, `cbdc node … --new`) writes the file into a folder
//!   that is missing or has no data; without the file nothing starts. A member that genesis does not name was admitted
//!   later (`--admitted`), or does not exist.
//! - **Data without the file**, or with a damaged one, are adopted by [`Owner::adopt`] (`cbdc node … --adopt`), which
//!   compares them with genesis and member as far as their records show.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cbdc_ledger::encoding::hex;
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Genesis, Height, Ledger, MemberId};
use cbdc_proto::durable_file;
use cbdc_storage::{Column, Direction, Durability, KeyRange, RocksStore, Store, StoreError, WriteBatch, sealed};
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, ArchiveError, ProposalsByHeight};

/// The name of the file that names a data folder's owner.
pub const NODE_FILE: &str = "NODE";
/// The file that every store has.
pub(crate) const STORE_FILE: &str = "CURRENT";
/// The key under which the store names its owner.
const OWNER_KEY: &[u8] = b"owner";
/// Digits of the file's own checksum.
const CHECK_DIGITS: usize = 16;

/// Why a node does not start on a data folder.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    #[error(
        "the folder {} holds no data of {owner}, and none are begun unasked: if they are on a disk that is not \
        mounted, mount it; for a first start add --new (`cbdc node … --config FILE --new`)", path.display()
    )]
    NoData { path: PathBuf, owner: Owner },
    #[error(
        "the store that {owner} had in {} is gone, though its file {NODE_FILE} is there: mount its disk or restore \
        the folder from a copy; if there is none, {} (see docs/operations/nodes.md)", path.display(), owner.without_copy()
    )]
    StoreGone { path: PathBuf, owner: Owner },
    #[error(
        "the folder {} holds data, but no file {NODE_FILE} that says whose: put that file back, or, for data of \
        {owner}, start once with --adopt, which looks at what the data themselves tell", path.display()
    )]
    Unnamed { path: PathBuf, owner: Owner },
    #[error(
        "the file {} is damaged ({reason}): put a copy of it back, or, for data of {owner}, start once with --adopt, \
        which looks at what the data themselves tell", path.display()
    )]
    DamagedFile { path: PathBuf, reason: String, owner: Owner },
    #[error(
        "the folder {} holds data of {found}, and the configuration is that of {expected}; a node goes on with its own \
        data and its own genesis alone", path.display()
    )]
    OtherOwner { path: PathBuf, expected: Owner, found: Owner },
    #[error(
        "the folder {} holds data of another network or member than {expected}: {found}", path.display()
    )]
    OtherData { path: PathBuf, expected: Owner, found: String },
    #[error(
        "the folder {} holds data already, so that this is no first start; leave --new out, or name another folder",
        path.display()
    )]
    NotNew { path: PathBuf },
    #[error("the folder {} has nothing to take over; for a first start use --new instead of --adopt", path.display())]
    NothingToAdopt { path: PathBuf },
    #[error(
        "the genesis names no {owner}: expected one of {known}; if the committee admitted it later, say so at its \
        first start (--new --admitted)"
    )]
    NoMember { owner: Owner, known: String },
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("the genesis is not acceptable: {0}")]
    Genesis(#[from] cbdc_ledger::genesis::GenesisError),
}

/// Why the genesis that a configuration names cannot be used.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, thiserror::Error)]
pub enum GenesisFileError {
    #[error("cannot read the genesis {}: {reason}", path.display())]
    Read { path: PathBuf, reason: String },
    #[error("the genesis {} is not acceptable: {error}", path.display())]
    NotAcceptable { path: PathBuf, error: cbdc_ledger::genesis::GenesisError },
}

/// Reads the genesis file that a node's configuration names.
///
/// # Errors
/// It cannot be read, or is no sound genesis.
pub fn read_genesis(path: &Path) -> Result<Genesis, GenesisFileError> {
    let bytes = cbdc_proto::bounded_file::read(path)
        .map_err(|error| GenesisFileError::Read { path: path.to_owned(), reason: error.to_string() })?;
    Genesis::from_bytes(&bytes).map_err(|error| GenesisFileError::NotAcceptable { path: path.to_owned(), error })
}

/// The member whose node a data folder belongs to, and its network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The network's id: the digest of its genesis.
    network: String,
    role: Role,
    member: MemberId,
}

/// The contents of a folder's file besides the owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FolderState {
    /// Whether a store was begun here.
    pub begun: bool,
    /// Whether the committee admitted the member after genesis.
    pub admitted: bool,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} of network {}", self.role, self.member, self.network)
    }
}

/// The file's contents.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeFile {
    network: String,
    role: String,
    member: u16,
    begun: bool,
    admitted: bool,
    /// The first digits of BLAKE3 over the rest.
    check: String,
}

impl Owner {
    /// The owner of a node's data.
    pub fn new(genesis: &Genesis, role: Role, member: MemberId) -> Owner {
        Owner { network: genesis.network().to_string(), role, member }
    }

    /// What becomes of a node whose store is gone, where no copy is left: it begins no chain of its own.
    fn without_copy(&self) -> &'static str {
        match self.role {
            Role::CentralBank => "its blocks are recovered from a bank that keeps whole ones (--recover-from)",
            _ => "it follows the chain again in another folder, and its deposits are then in doubt",
        }
    }

    /// The network's id in hexadecimal digits.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// The owner that a folder's file names, and the file's other contents; `None` if there is no file.
    ///
    /// # Errors
    /// The fault of the file.
    pub fn read(folder: &Path) -> Result<Option<(Owner, FolderState)>, String> {
        let text = match cbdc_proto::bounded_file::read_text(&folder.join(NODE_FILE)) {
            Err(_) if !folder.join(NODE_FILE).exists() => return Ok(None),
            read => read.map_err(|error| error.to_string())?,
        };
        let file: NodeFile = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
        let owner = Owner { role: file.role.parse()?, network: file.network, member: MemberId(file.member) };
        let state = FolderState { begun: file.begun, admitted: file.admitted };
        let expected = owner.check_digits(state);
        if file.check != expected {
            return Err(format!("expected check = \"{expected}\" for what it says, found \"{}\"", file.check));
        }
        Ok(Some((owner, state)))
    }

    /// Prepares a folder for a first start, making it if it is missing.
    ///
    /// # Errors
    /// [`DataFolderError::NotNew`] where it holds data, whosever they are.
    pub fn prepare(&self, genesis: &Genesis, admitted: bool, folder: &Path) -> Result<(), DataFolderError> {
        let path = || folder.to_owned();
        self.check_member(genesis, admitted)?;
        if folder.join(STORE_FILE).exists() {
            return Err(DataFolderError::NotNew { path: path() });
        }
        match Owner::read(folder) {
            Ok(None) => {}
            Ok(Some((_, state))) if state.begun => {
                return Err(DataFolderError::StoreGone { path: path(), owner: self.clone() });
            }
            Ok(Some((found, _))) => self.expect(folder, found)?,
            Err(reason) => return Err(self.damaged(folder, reason)),
        }
        fs::create_dir_all(folder).map_err(|error| DataFolderError::Write { path: path(), error })?;
        self.write(folder, FolderState { begun: false, admitted })
    }

    /// Refuses a folder that is not this owner's, or holds nothing and was not prepared.
    pub fn check(&self, genesis: &Genesis, folder: &Path) -> Result<(), DataFolderError> {
        let (path, owner) = (folder.to_owned(), self.clone());
        let has_store = folder.join(STORE_FILE).exists();
        match Owner::read(folder) {
            Ok(None) if has_store => Err(DataFolderError::Unnamed { path, owner }),
            Ok(None) => Err(DataFolderError::NoData { path, owner }),
            Ok(Some((found, state))) => {
                self.expect(folder, found)?;
                self.check_member(genesis, state.admitted)?;
                if state.begun && !has_store { Err(DataFolderError::StoreGone { path, owner }) } else { Ok(()) }
            }
            Err(reason) => Err(self.damaged(folder, reason)),
        }
    }

    /// Opens the store of this owner in a folder, and notes that it was begun.
    pub fn open(&self, folder: &Path, genesis: &Genesis) -> Result<Arc<dyn Store>, DataFolderError> {
        self.check(genesis, folder)?;
        let store: Arc<dyn Store> = Arc::new(RocksStore::open(folder)?);
        let claimed = self.claim(&store, genesis, folder).and_then(|()| self.note_begun(folder));
        if let Err(error) = claimed {
            store.close();
            return Err(error);
        }
        Ok(store)
    }

    /// Adopts a folder whose file is missing or damaged, after comparing the data themselves with this owner.
    pub fn adopt(&self, genesis: &Genesis, admitted: bool, folder: &Path) -> Result<(), DataFolderError> {
        self.check_member(genesis, admitted)?;
        if !folder.join(STORE_FILE).exists() {
            return Err(DataFolderError::NothingToAdopt { path: folder.to_owned() });
        }
        if let Ok(Some((found, _))) = Owner::read(folder) {
            self.expect(folder, found)?;
        }
        let store: Arc<dyn Store> = Arc::new(RocksStore::open(folder)?);
        let claimed = self.claim(&store, genesis, folder);
        store.close();
        claimed?;
        tracing::warn!(folder = %folder.display(), owner = %self, "data were taken over");
        self.write(folder, FolderState { begun: true, admitted })
    }

    /// Compares with the owner that a store names. One that names none is compared with genesis and member as far as
    /// its records show, and then names this owner.
    pub fn claim(&self, store: &Arc<dyn Store>, genesis: &Genesis, folder: &Path) -> Result<(), DataFolderError> {
        if let Some(record) = store.get(Column::Meta, OWNER_KEY)? {
            let named = sealed::open(OWNER_KEY, &record).map_err(|damage| damage.to_string());
            let found = named.and_then(|bytes| String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string()));
            return match found {
                Ok(found) if found == self.to_string() => Ok(()),
                Ok(found) => Err(self.other(folder, format!("its store says that they are those of {found}"))),
                Err(reason) => Err(self.other(folder, format!("its store cannot tell whose they are: {reason}"))),
            };
        }
        if let Some(found) = self.contradiction(store, genesis)? {
            return Err(self.other(folder, found));
        }
        let mut batch = WriteBatch::new();
        batch.put(Column::Meta, OWNER_KEY, sealed::seal(OWNER_KEY, self.to_string().as_bytes()));
        Ok(store.write(batch, Durability::Synced)?)
    }

    /// The evidence in a store's records against this owner.
    fn contradiction(&self, store: &Arc<dyn Store>, genesis: &Genesis) -> Result<Option<String>, DataFolderError> {
        let first = |column| store.collect(column, &KeyRange::all(), Direction::Forward, 1);
        let archive = Archive::new(store.clone(), Arc::new(ProposalsByHeight(store.clone())));
        if let Some((header, _)) = archive.header(Height(1))? {
            let expected = Ledger::new(genesis.clone())?.tip_hash();
            if header.header.parent != expected {
                let [expected, found] = [expected, header.header.parent].map(|hash| hex(&hash));
                return Ok(Some(format!("its first block follows a genesis of hash {found}, expected {expected}")));
            }
        }
        let is_ordered_here = !first(Column::Raft)?.is_empty();
        match self.role {
            Role::CentralBank if !is_ordered_here && archive.newest()?.is_some() => {
                return Ok(Some("it is a bank's replica, without a log".to_owned()));
            }
            Role::Bank if is_ordered_here => return Ok(Some("it is the central bank's log".to_owned())),
            _ => {}
        }
        let of_bank = match archive.filtered_block(Height(1))? {
            Some((_, filtered_block)) => cbdc_ledger::filtered_block::bank_of(&filtered_block),
            None => {
                let deposits = store.collect(Column::Deposits, &KeyRange::with_prefix([0]), Direction::Forward, 1)?;
                let key = deposits.first().and_then(|(key, _)| key.last_chunk::<8>().copied());
                key.and_then(|key| AccountId::from_u64(u64::from_be_bytes(key))).map(|account| account.bank)
            }
        };
        Ok(of_bank.filter(|bank| bank.0 != self.member.0).map(|bank| format!("it has the deposits of bank {bank}")))
    }

    /// Refuses a member that is not known to exist.
    fn check_member(&self, genesis: &Genesis, admitted: bool) -> Result<(), DataFolderError> {
        let known = || genesis.members.iter().filter(|member| member.role == self.role).map(|member| member.id);
        if (admitted && self.member.0 > 0) || known().any(|id| id == self.member) {
            return Ok(());
        }
        let known = known().map(|id| id.to_string()).collect::<Vec<_>>().join(", ");
        Err(DataFolderError::NoMember { owner: self.clone(), known })
    }

    fn note_begun(&self, folder: &Path) -> Result<(), DataFolderError> {
        let admitted = matches!(Owner::read(folder), Ok(Some((_, state))) if state.admitted);
        self.write(folder, FolderState { begun: true, admitted })
    }

    fn expect(&self, folder: &Path, found: Owner) -> Result<(), DataFolderError> {
        if found == *self {
            return Ok(());
        }
        Err(DataFolderError::OtherOwner { path: folder.to_owned(), expected: self.clone(), found })
    }

    fn other(&self, folder: &Path, found: String) -> DataFolderError {
        DataFolderError::OtherData { path: folder.to_owned(), expected: self.clone(), found }
    }

    fn damaged(&self, folder: &Path, reason: String) -> DataFolderError {
        DataFolderError::DamagedFile { path: folder.join(NODE_FILE), reason, owner: self.clone() }
    }

    fn check_digits(&self, state: FolderState) -> String {
        let mut digits = hex(blake3::hash(format!("{self} {state:?}").as_bytes()).as_bytes());
        digits.truncate(CHECK_DIGITS);
        digits
    }

    /// Writes the file whole or not at all.
    fn write(&self, folder: &Path, state: FolderState) -> Result<(), DataFolderError> {
        if Owner::read(folder) == Ok(Some((self.clone(), state))) {
            return Ok(());
        }
        let Owner { network, role, member } = self;
        let (check, FolderState { begun, admitted }) = (self.check_digits(state), state);
        let text = format!(
            "# Whose data this folder holds. A node does not start without this file, nor with another one's.\n\
             network = \"{network}\"\nrole = \"{role}\"\nmember = {member}\nbegun = {begun}\n\
             admitted = {admitted}\ncheck = \"{check}\"\n"
        );
        let path = folder.join(NODE_FILE);
        let written = durable_file::replace(&path, text.as_bytes(), durable_file::READABLE);
        written.map_err(|error| DataFolderError::Write { path, error })
    }
}
