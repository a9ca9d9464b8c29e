//! `cbdc keys`: the keys of a member that joins a network.

use std::path::PathBuf;

use anyhow::Context;
use cbdc_client::{MemberId, Role};
use clap::Args;
use serde_json::json;

use crate::output::{Output, fields, shell_word};
use crate::policy::member_file::member;

/// Make the keys of a member that joins a network: a node of the central bank, a bank, an operator, …
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc keys central-bank-4                       into ./central-bank-4
  cbdc keys bank-4 --name \"Fourth Bank\" --dir mynet
  cbdc keys operator-2

Writes signing.key, node.key and node.pem, which stay on the member's own machine, and member.toml with the public keys,
by which the committee admits it (cbdc policy propose admit=MEMBER:FILE) or replaces the keys that it has
(replace-keys=MEMBER:FILE, for which the name is taken out of the file). Nothing that exists is overwritten.")]
pub struct Keys {
    /// The member: its role and a number that no member of the role has had, as in central-bank-4
    #[arg(value_name = "MEMBER", value_parser = member)]
    member: (Role, MemberId),
    /// Its name in the list of members; by default role and number
    #[arg(long)]
    name: Option<String>,
    /// The folder in which the member's own is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

impl Keys {
    pub fn run(self, output: &Output) -> anyhow::Result<()> {
        let (role, id) = self.member;
        let called = format!("{role}-{id}");
        let (folder, name) = (self.dir.join(&called), self.name.unwrap_or_else(|| called.clone()));
        let made = cbdc_devnet::make_keys(&folder, role, id, name)?;
        let node_key = made.node_key.context("a member that was made has a node key")?;
        let file = folder.join("member.toml");
        let quoted = toml::Value::from(made.name.as_str());
        let (signing_key, node_key) = (made.signing_key.to_string(), node_key.to_string());
        let text = format!("name = {quoted}\nsigning_key = \"{signing_key}\"\nnode_key = \"{node_key}\"\n");
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let admit = format!("cbdc policy propose admit={called}:{} --approve", shell_word(&file));
        let object = json!({
            "member": called, "folder": folder, "file": file, "signing_key": signing_key, "node_key": node_key,
        });
        output.print(object, || {
            fields(&[
                ("keys", format!("{}, for this member's machine alone", folder.display())),
                ("public", file.display().to_string()),
                ("signing key", signing_key.clone()),
                ("node key", node_key.clone()),
                ("next", admit.clone()),
            ])
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cbdc_client::GovernanceAction;

    use super::*;
    use crate::policy::member_file::admission;

    #[test]
    fn the_committee_can_admit_whoever_has_made_keys_and_keys_are_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let member = (Role::CentralBank, MemberId(4));
        let make = || {
            let keys = Keys { member, name: Some("Node \"four\"".to_owned()), dir: folder.path().to_owned() };
            keys.run(&Output::new(true))
        };
        make().unwrap();
        let own = folder.path().join("central-bank-4");
        let typed = format!("central-bank-4:{}", own.join("member.toml").display());
        let Ok(GovernanceAction::AdmitMember(admitted)) = admission(&typed) else { panic!("{typed}") };
        assert_eq!((admitted.role, admitted.id, admitted.name.as_str()), (member.0, member.1, "Node \"four\""));
        let signing = cbdc_client::read_signing_key(&own.join("signing.key")).unwrap();
        assert_eq!(signing.public_key(), admitted.signing_key);
        assert!(make().unwrap_err().to_string().contains("exists already"));
    }
}
