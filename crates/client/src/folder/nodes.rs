//! The nodes of a network's folder: those of today's members, as far as the folder knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, MemberId};
use serde::Deserialize;

use super::NodeName;
use crate::anchor::Anchor;
use crate::error::ClientError;

/// The keys of a node's configuration that clients read.
#[derive(Clone, Debug, Deserialize)]
pub struct NodeAddresses {
    pub listen: String,
    pub metrics_listen: Option<String>,
    pub data_dir: PathBuf,
}

/// The keys of the file `NODE` in a data folder that say whose data they are.
#[derive(Deserialize)]
struct DataOwner {
    network: String,
    role: String,
    member: u16,
}

/// Every node that has a place in the folder: those of active members, whose folders must be whole if genesis names
/// them, and those of members that membership as it was followed does not know, if their data folder is prepared.
pub fn listed(dir: &Path, anchor: &Anchor) -> Result<BTreeMap<NodeName, NodeAddresses>, ClientError> {
    let membership = anchor.membership();
    let members = membership.members();
    let is_founder = |name: NodeName| {
        anchor.genesis().members.iter().any(|member| (member.role, member.id) == (name.role(), name.id()))
    };
    let mut nodes = BTreeMap::new();
    for seat in members.seats().filter(|seat| seat.active) {
        let Some(name) = name_of(seat.member.role, seat.member.id) else { continue };
        let config = config_of(dir, name);
        if is_founder(name) || config.is_file() {
            nodes.insert(name, read_addresses(&config)?);
        }
    }
    for name in folders(dir).filter(|name| members.seat(name.role(), name.id()).is_none()) {
        // A folder that is not one of this network's nodes is none of its business, whatever it lacks.
        if let Ok(addresses) = read_addresses(&config_of(dir, name))
            && is_prepared(&dir.join(name.to_string()).join(&addresses.data_dir), name, anchor)
        {
            nodes.insert(name, addresses);
        }
    }
    Ok(nodes)
}

fn name_of(role: Role, id: MemberId) -> Option<NodeName> {
    match role {
        Role::CentralBank => Some(NodeName::CentralBank(id)),
        Role::Bank => Some(NodeName::Bank(BankId(id.0))),
        _ => None,
    }
}

fn config_of(dir: &Path, name: NodeName) -> PathBuf {
    dir.join(name.to_string()).join("config.toml")
}

/// The folders with a node's name.
fn folders(dir: &Path) -> impl Iterator<Item = NodeName> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let text = entry.file_name().into_string().ok()?;
        text.parse().ok().filter(|name: &NodeName| name.to_string() == text)
    })
}

/// Whether a data folder is prepared for this node of this network.
fn is_prepared(data: &Path, name: NodeName, anchor: &Anchor) -> bool {
    let text = cbdc_proto::bounded_file::read_text(&data.join("NODE")).unwrap_or_default();
    toml::from_str::<DataOwner>(&text).is_ok_and(|owner| {
        owner.network == anchor.network().to_string() && owner.role == name.role().name() && owner.member == name.id().0
    })
}

fn read_addresses(config: &Path) -> Result<NodeAddresses, ClientError> {
    let wrong = |reason: String| ClientError::File { path: config.to_owned(), reason };
    let text = cbdc_proto::bounded_file::read_text(config).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))
}
