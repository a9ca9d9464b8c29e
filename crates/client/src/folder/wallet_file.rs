//! A named wallet: `NAME.toml` with its public data, `NAME.key` with its seed (mode 0600).

use std::path::{Path, PathBuf};

use cbdc_ledger::{AccountId, BankId, Class, HolderId, SigningKey};
use cbdc_proto::durable_file;
use cbdc_proto::transport::key_file::{read_signing_key, write_signing_key};
use serde::{Deserialize, Serialize};

use crate::error::ClientError;
use crate::random::{random_bytes, random_id};

/// A named wallet without its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalletFile {
    /// The wallet's name, which is the name of its files too.
    pub name: String,
    /// The wallet's bank.
    pub bank: BankId,
    /// The holder's class.
    pub class: Class,
    /// The wallet's holder; the wallets of one holder share the holder's limits.
    pub holder: HolderId,
    /// Present once the wallet is open.
    pub account: Option<AccountId>,
    /// Whether `cbdc up` has already funded it.
    pub funded: bool,
}

/// The keys of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: String,
    bank: u16,
    class: String,
    holder: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(default)]
    funded: bool,
}

impl WalletFile {
    /// Checks a wallet's name: 1 to 32 lower-case letters, digits, `-` or `_`, since it is also a file name.
    ///
    /// # Errors
    /// [`ClientError::Usage`] otherwise.
    pub fn check_name(name: &str) -> Result<(), ClientError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(is_plain) || name.starts_with('-') {
            let rule = "expected a wallet's name of 1 to 32 lower-case letters, digits, - or _";
            return Err(ClientError::Usage(format!("{rule}, found `{name}`")));
        }
        Ok(())
    }

    pub(super) fn load(dir: &Path, name: &str) -> Result<WalletFile, ClientError> {
        WalletFile::check_name(name)?;
        let path = dir.join(format!("{name}.toml"));
        if !path.is_file() {
            let known = WalletFile::all(dir)?.into_iter().map(|file| file.name).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() {
                "there is none yet; open one with `cbdc wallet open NAME`".to_owned()
            } else {
                format!("there are {known}")
            };
            return Err(ClientError::NotFound(format!("no wallet is called `{name}`: {known}")));
        }
        WalletFile::read(&path)
    }

    fn read(path: &Path) -> Result<WalletFile, ClientError> {
        let wrong = |reason: String| ClientError::File { path: path.to_owned(), reason };
        let text = cbdc_proto::bounded_file::read_text(path).map_err(|error| wrong(error.to_string()))?;
        let text: Text = toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
        WalletFile::check_name(&text.name)?;
        Ok(WalletFile {
            name: text.name,
            bank: BankId(text.bank),
            class: text.class.parse().map_err(wrong)?,
            holder: text.holder.parse().map_err(wrong)?,
            account: text.account.map(|account| account.parse()).transpose().map_err(wrong)?,
            funded: text.funded,
        })
    }

    pub(super) fn all(dir: &Path) -> Result<Vec<WalletFile>, ClientError> {
        let Ok(entries) = std::fs::read_dir(dir) else { return Ok(Vec::new()) };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        paths.iter().map(|path| WalletFile::read(path)).collect()
    }

    /// The file with that name; if there is none, a new one with a new key and a new holder.
    pub(super) fn load_or_create(
        dir: &Path,
        name: &str,
        bank: BankId,
        class: Class,
    ) -> Result<WalletFile, ClientError> {
        WalletFile::check_name(name)?;
        std::fs::create_dir_all(dir)
            .map_err(|error| ClientError::File { path: dir.to_owned(), reason: error.to_string() })?;
        if dir.join(format!("{name}.toml")).is_file() {
            let file = WalletFile::load(dir, name)?;
            if (file.bank, file.class) != (bank, class) {
                let found = format!("a {} wallet at bank {}", file.class, file.bank);
                return Err(ClientError::Usage(format!("the name `{name}` is taken by {found}; choose another name")));
            }
            return Ok(file);
        }
        let key_path = dir.join(format!("{name}.key"));
        if !key_path.exists() {
            let written = write_signing_key(&key_path, &random_bytes());
            written.map_err(|error| ClientError::File { path: key_path, reason: error.to_string() })?;
        }
        let file = WalletFile {
            name: name.to_owned(),
            bank,
            class,
            holder: HolderId(random_id()),
            account: None,
            funded: false,
        };
        file.save(dir)?;
        Ok(file)
    }

    /// Reads the wallet's key.
    pub fn key(&self, wallets_dir: &Path) -> Result<SigningKey, ClientError> {
        Ok(read_signing_key(&wallets_dir.join(format!("{}.key", self.name)))?)
    }

    /// Writes the file durably: a reader sees the old text or the new one.
    pub fn save(&self, wallets_dir: &Path) -> Result<(), ClientError> {
        let text = Text {
            name: self.name.clone(),
            bank: self.bank.0,
            class: self.class.to_string(),
            holder: self.holder.to_string(),
            account: self.account.map(|account| account.to_string()),
            funded: self.funded,
        };
        let path = wallets_dir.join(format!("{}.toml", self.name));
        let text = toml::to_string(&text).map_err(|error| ClientError::Usage(error.to_string()))?;
        let written = durable_file::replace(&path, text.as_bytes(), durable_file::READABLE);
        written.map_err(|error| ClientError::File { path, reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("cbdc-wallet-file-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        path
    }

    #[test]
    fn a_wallet_that_was_begun_is_continued_with_the_same_key_and_holder() {
        let dir = folder("continued");
        let first = WalletFile::load_or_create(&dir, "alice", BankId(1), Class::HOUSEHOLD).unwrap();
        let mut second = WalletFile::load_or_create(&dir, "alice", BankId(1), Class::HOUSEHOLD).unwrap();
        assert_eq!(first, second);
        second.account = Some(AccountId::new(BankId(1), 7));
        second.save(&dir).unwrap();
        assert_eq!(WalletFile::load(&dir, "alice").unwrap(), second);
        assert_eq!(WalletFile::all(&dir).unwrap().len(), 1);
        assert!(first.key(&dir).is_ok());
    }

    #[test]
    fn a_name_leads_to_one_wallet_only() {
        let dir = folder("taken");
        WalletFile::load_or_create(&dir, "alice", BankId(1), Class::HOUSEHOLD).unwrap();
        let error = WalletFile::load_or_create(&dir, "alice", BankId(2), Class::HOUSEHOLD).unwrap_err();
        assert!(error.to_string().contains("household wallet at bank 1"), "{error}");
    }

    #[test]
    fn a_name_is_no_path() {
        for name in ["", "..", "../alice", "a/b", "Alice", "-x", "a b"] {
            assert!(WalletFile::check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let dir = folder("unknown");
        WalletFile::load_or_create(&dir, "alice", BankId(1), Class::HOUSEHOLD).unwrap();
        let message = WalletFile::load(&dir, "alcie").unwrap_err().to_string();
        assert!(message.contains("`alcie`") && message.contains("alice"), "{message}");
    }
}
