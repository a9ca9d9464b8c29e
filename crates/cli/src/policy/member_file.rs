//! A member's file, named by `admit` and `replace-keys`: public keys in hexadecimal digits.
//!
//! ```toml
//! name = "Fourth Bank"     # of a new member only
//! signing_key = "…"        # 64 digits
//! node_key = "…"           # 64 digits; only of members that connect to nodes
//! ```

use std::path::Path;

use cbdc_client::{GovernanceAction, MemberId, Role};
use cbdc_ledger::PublicKey;
use cbdc_ledger::encoding::hex_decode;
use cbdc_ledger::member::Member;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberFile {
    name: Option<String>,
    signing_key: String,
    node_key: Option<String>,
}

/// Reads `bank-4:bank-4.toml` as a new member.
pub fn admission(text: &str) -> Result<GovernanceAction, String> {
    let ((role, id), file) = read(text)?;
    let expected = || format!("expected name = \"…\" of 1 to {} bytes in the file", Member::NAME_BYTES_MAX);
    let name = file.name.ok_or_else(|| format!("{}, found none", expected()))?;
    if name.is_empty() || name.len() > Member::NAME_BYTES_MAX {
        return Err(format!("{}, found {} bytes", expected(), name.len()));
    }
    let (signing_key, node_key) = (signing_key(&file.signing_key)?, node_key(file.node_key.as_deref())?);
    Ok(GovernanceAction::AdmitMember(Member { role, id, name, signing_key, node_key }))
}

/// Reads `bank-2:keys.toml` as a member's new keys. If the file has no node key, the member has none afterwards.
pub fn replacement(text: &str) -> Result<GovernanceAction, String> {
    let ((role, id), file) = read(text)?;
    if let Some(name) = file.name {
        return Err(format!("expected keys alone in the file, since a member keeps its name; found name = \"{name}\""));
    }
    let (signing_key, node_key) = (signing_key(&file.signing_key)?, node_key(file.node_key.as_deref())?);
    Ok(GovernanceAction::ReplaceKeys { role, id, signing_key, node_key })
}

/// Reads a member such as `bank-2`.
pub fn member(text: &str) -> Result<(Role, MemberId), String> {
    let member = text.rsplit_once('-').and_then(|(role, id)| Some((role.parse().ok()?, MemberId(id.parse().ok()?))));
    member.ok_or_else(|| format!("expected a member such as bank-2, found `{text}`"))
}

fn read(text: &str) -> Result<((Role, MemberId), MemberFile), String> {
    let wrong = || format!("expected a member and its file, as in bank-4:bank-4.toml, found `{text}`");
    let (who, path) = text.split_once(':').filter(|(_, path)| !path.is_empty()).ok_or_else(wrong)?;
    let who = member(who)?;
    let content =
        cbdc_proto::bounded_file::read_text(Path::new(path)).map_err(|error| format!("cannot read {path}: {error}"))?;
    let file = toml::from_str(&content).map_err(|error| {
        format!("expected signing_key, perhaps node_key, and a new member's name in {path}: {}", error.message())
    })?;
    Ok((who, file))
}

/// Reads a signing key. One that is not a point or has small order is refused, as by the ledger.
fn signing_key(text: &str) -> Result<PublicKey, String> {
    let key = key("signing_key", text)?;
    key.check_for_account().map_err(|error| format!("signing_key: {error}"))?;
    Ok(key)
}

fn node_key(text: Option<&str>) -> Result<Option<PublicKey>, String> {
    text.map(|text| key("node_key", text)).transpose()
}

fn key(field: &str, text: &str) -> Result<PublicKey, String> {
    let bytes = hex_decode(text).and_then(|bytes| bytes.try_into().ok());
    bytes.map(PublicKey).ok_or_else(|| format!("{field}: expected 64 hexadecimal digits, found `{text}`"))
}

#[cfg(test)]
mod tests {
    use cbdc_client::SigningKey;

    use super::*;

    fn public_key(seed: u8) -> PublicKey {
        SigningKey::from_seed([seed; 32]).public_key()
    }

    /// Writes the text into a file and names it with the member.
    fn typed(dir: &Path, member: &str, text: &str) -> String {
        let path = dir.join("member.toml");
        std::fs::write(&path, text).unwrap();
        format!("{member}:{}", path.display())
    }

    #[test]
    fn a_new_member_and_new_keys_are_read_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let (signing, node) = (public_key(1), public_key(2));
        let keys = format!("signing_key = \"{signing}\"\nnode_key = \"{node}\"\n");
        let (role, id, node_key) = (Role::Bank, MemberId(4), Some(node));
        let member = Member { role, id, name: "Fourth Bank".to_owned(), signing_key: signing, node_key };
        let admitted = admission(&typed(folder.path(), "bank-4", &format!("name = \"Fourth Bank\"\n{keys}")));
        assert_eq!(admitted, Ok(GovernanceAction::AdmitMember(member)));

        let replaced = replacement(&typed(folder.path(), "bank-4", &keys));
        assert_eq!(replaced, Ok(GovernanceAction::ReplaceKeys { role, id, signing_key: signing, node_key }));
        let without_node =
            replacement(&typed(folder.path(), "central-bank-1", &format!("signing_key = \"{signing}\"")));
        let (role, id) = (Role::CentralBank, MemberId(1));
        assert_eq!(without_node, Ok(GovernanceAction::ReplaceKeys { role, id, signing_key: signing, node_key: None }));
    }

    #[test]
    fn what_is_no_member_or_no_file_is_refused_with_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let key = public_key(1);
        let signing = format!("signing_key = \"{key}\"\n");
        let small_order = format!("name = \"B\"\nsigning_key = \"01{}\"", "00".repeat(31));
        let long = "x".repeat(65);
        for (member, text, expected) in [
            ("bank-4", signing.clone(), "expected name"),
            ("bank-4", format!("name = \"\"\n{signing}"), "found 0 bytes"),
            ("bank-4", format!("name = \"{long}\"\n{signing}"), "found 65 bytes"),
            ("bank-4", "name = \"B\"".to_owned(), "signing_key"),
            ("bank-4", "name = \"B\"\nsigning_key = \"12\"".to_owned(), "expected 64 hexadecimal digits"),
            ("bank-4", format!("name = \"B\"\n{signing}node_key = \"xy\""), "node_key: expected 64"),
            ("bank-4", format!("name = \"B\"\n{signing}key = \"12\""), "node_key"),
            ("bank-4", small_order, "signing_key: "),
            ("bnak-4", signing.clone(), "expected a member such as bank-2"),
            ("bank", signing.clone(), "expected a member such as bank-2"),
        ] {
            let message = admission(&typed(folder.path(), member, &text)).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
        let named = replacement(&typed(folder.path(), "bank-4", &format!("name = \"B\"\n{signing}"))).unwrap_err();
        assert!(named.contains("keeps its name"), "{named}");
        for text in ["bank-4", "bank-4:", "bank-4:/nowhere/at-all.toml"] {
            assert!(admission(text).is_err(), "{text}");
        }
    }
}
