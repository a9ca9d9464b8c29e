//! The nodes of a network's folder: those of today's members, as far as the folder knows.
//!
//! A development network's folder has a folder for each node. On a machine of its own a node has its folder alone, and
//! a desk has perhaps none: the central bank's other nodes are then elsewhere, at the addresses under `[ordering]` of
//! the nodes that are here, or in a bank's `central_bank`, or named by the caller.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, MemberId};
use serde::Deserialize;

use super::NodeName;
use crate::anchor::Anchor;
use crate::error::ClientError;

/// Where a node is reached, and its data if they are in this folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeAddresses {
    /// Where clients reach it.
    pub address: String,
    /// The address of its metrics; `None` too for a node that is elsewhere.
    pub metrics_address: Option<String>,
    /// Its data folder, relative to its own; `None` for a node that is elsewhere.
    pub data_dir: Option<PathBuf>,
    /// Whether its number is a guess: whoever gave the address did not say which of the central bank's nodes it is.
    pub is_guess: bool,
}

impl NodeAddresses {
    fn elsewhere(address: &str, is_guess: bool) -> NodeAddresses {
        NodeAddresses { address: address.to_owned(), metrics_address: None, data_dir: None, is_guess }
    }
}

/// The keys of a node's configuration that clients read.
#[derive(Clone, Debug, Deserialize)]
struct NodeConfig {
    listen: String,
    metrics_listen: Option<String>,
    data_dir: PathBuf,
    /// Of a node of the central bank.
    ordering: Option<OrderingSection>,
    /// Of a bank's node.
    central_bank: Option<OneOrSeveral>,
}

#[derive(Clone, Debug, Deserialize)]
struct OrderingSection {
    #[serde(default)]
    members: Vec<OrderingMember>,
}

#[derive(Clone, Debug, Deserialize)]
struct OrderingMember {
    member: u16,
    address: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

impl NodeConfig {
    fn ordering_members(&self) -> &[OrderingMember] {
        self.ordering.as_ref().map_or(&[], |section| &section.members)
    }

    /// The central bank's nodes, as a bank's configuration has them.
    fn central_banks(&self) -> &[String] {
        match &self.central_bank {
            None => &[],
            Some(OneOrSeveral::One(address)) => std::slice::from_ref(address),
            Some(OneOrSeveral::Several(addresses)) => addresses,
        }
    }

    /// The addresses of the node whose configuration this is. One that listens on every address of its machine is
    /// reached where the others reach it.
    fn addresses(&self, name: NodeName) -> NodeAddresses {
        let is_everywhere = self.listen.parse().is_ok_and(|it: std::net::SocketAddr| it.ip().is_unspecified());
        let own = self.ordering_members().iter().find(|it| NodeName::CentralBank(MemberId(it.member)) == name);
        let address = own.filter(|_| is_everywhere).map_or(&self.listen, |own| &own.address);
        NodeAddresses {
            address: address.clone(),
            metrics_address: self.metrics_listen.clone(),
            data_dir: Some(self.data_dir.clone()),
            is_guess: false,
        }
    }
}

/// The keys of the file `NODE` in a data folder that say whose data they are.
#[derive(Deserialize)]
struct DataOwner {
    network: String,
    role: String,
    member: u16,
}

/// Every node that the folder knows. `central_banks` are addresses of nodes of the central bank that the caller knows
/// beyond it.
pub fn listed(
    dir: &Path,
    anchor: &Anchor,
    central_banks: &[String],
) -> Result<BTreeMap<NodeName, NodeAddresses>, ClientError> {
    let here = here(dir, anchor)?;
    let mut nodes: BTreeMap<NodeName, NodeAddresses> =
        here.iter().map(|(name, config)| (*name, config.addresses(*name))).collect();
    let membership = anchor.membership();
    let seats = membership.members().seats().filter(|seat| seat.active && seat.member.role == Role::CentralBank);
    let seats: Vec<MemberId> = seats.map(|seat| seat.member.id).collect();
    for listed in here.values().flat_map(NodeConfig::ordering_members) {
        let id = MemberId(listed.member);
        if seats.contains(&id) {
            let elsewhere = || NodeAddresses::elsewhere(&listed.address, false);
            nodes.entry(NodeName::CentralBank(id)).or_insert_with(elsewhere);
        }
    }
    let is_any_known = nodes.keys().any(|name| name.role() == Role::CentralBank);
    let of_banks = here.values().flat_map(NodeConfig::central_banks).filter(|_| !is_any_known);
    for address in central_banks.iter().chain(of_banks) {
        let is_known =
            |(name, node): (&NodeName, &NodeAddresses)| name.role() == Role::CentralBank && node.address == *address;
        let mut numbers = seats.iter().copied().chain((1..).map(MemberId));
        let number = numbers.find(|id| !nodes.contains_key(&NodeName::CentralBank(*id)));
        if let (false, Some(number)) = (nodes.iter().any(is_known), number) {
            nodes.insert(NodeName::CentralBank(number), NodeAddresses::elsewhere(address, true));
        }
    }
    if nodes.keys().any(|name| name.role() == Role::CentralBank) {
        return Ok(nodes);
    }
    let reason = "it does not say where the central bank is reached: expected a folder such as central-bank-1 or bank-1 \
                  with a config.toml, or --central-bank ADDRESS";
    Err(ClientError::File { path: dir.to_owned(), reason: reason.to_owned() })
}

/// Every node whose folder is in this one: those of active members, and those of members that membership as it was
/// followed does not know, if their data folder is prepared. A member that genesis names must have a configuration in
/// its folder; without a folder, its node is elsewhere.
fn here(dir: &Path, anchor: &Anchor) -> Result<BTreeMap<NodeName, NodeConfig>, ClientError> {
    let membership = anchor.membership();
    let members = membership.members();
    let is_founder = |name: NodeName| {
        anchor.genesis().members.iter().any(|member| (member.role, member.id) == (name.role(), name.id()))
    };
    let mut nodes = BTreeMap::new();
    for seat in members.seats().filter(|seat| seat.active) {
        let Some(name) = name_of(seat.member.role, seat.member.id) else { continue };
        let (folder, config) = (dir.join(name.to_string()), config_of(dir, name));
        if (is_founder(name) && folder.is_dir()) || config.is_file() {
            nodes.insert(name, read_config(&config)?);
        }
    }
    for name in folders(dir).filter(|name| members.seat(name.role(), name.id()).is_none()) {
        // A folder that is not one of this network's nodes is none of its business, whatever it lacks.
        if let Ok(config) = read_config(&config_of(dir, name))
            && is_prepared(&dir.join(name.to_string()).join(&config.data_dir), name, anchor)
        {
            nodes.insert(name, config);
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

fn read_config(config: &Path) -> Result<NodeConfig, ClientError> {
    let wrong = |reason: String| ClientError::File { path: config.to_owned(), reason };
    let text = cbdc_proto::bounded_file::read_text(config).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))
}
