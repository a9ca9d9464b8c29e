//! Acting members: those of a network that are active now and whose keys are in its folder.
//!
//! Genesis names the first members; since then the committee may have dismissed some, admitted others under another
//! number and replaced keys. So a member's actions are performed by the active member of the role whose keys in the
//! folder are the ones in force; if there are several, by the one with the lowest number. Data that every member may
//! read is read by the first member in the folder that the node admits, starting with the auditor.

use std::sync::Arc;
use std::time::Instant;

use cbdc_environment::network;
use cbdc_ledger::member::Role;
use cbdc_ledger::{MemberId, Reason};
use cbdc_proto::v1;

use super::{NetworkFolder, NodeName};
use crate::central_bank::CentralBank;
use crate::chain::Chain;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::governance::{GovernanceClient, MemberSigner};
use crate::registrar::Registrar;

/// The roles for reading, starting with the one whose purpose it is.
const READERS: [Role; 7] =
    [Role::Auditor, Role::Operator, Role::Committee, Role::Registrar, Role::Court, Role::Bank, Role::CentralBank];

impl NetworkFolder {
    /// The members of a role that have keys in this folder, whether or not they are still members, in order.
    pub fn at_hand(&self, role: Role) -> Vec<MemberId> {
        let number = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let (found, number) = name.rsplit_once('-')?;
            let id = MemberId(number.parse().ok()?);
            (found == role.name() && self.member_dir(role, id).join("node.pem").is_file()).then_some(id)
        };
        let mut numbers: Vec<MemberId> =
            std::fs::read_dir(&self.dir).into_iter().flatten().filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// A connection for data that every member may read: that of the first member in the folder that the node admits.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] or [`ClientError::NoAnswer`] if the node does not serve;
    /// [`ClientError::NobodyActs`] if it admits none of the members in the folder.
    pub async fn connect_reader(&self, node: NodeName) -> Result<Connection, ClientError> {
        self.reader_at(node).await.map(|(connection, ..)| connection)
    }

    /// The same at an address that a node of the central bank has named for another one.
    pub(super) async fn connect_reader_named(&self, address: &str) -> Result<Connection, ClientError> {
        let connect = |role, id| self.connect_named(role, id, address);
        self.reader_by(connect, &format!("the node at {address}")).await.map(|(connection, ..)| connection)
    }

    /// The same, with the member whose connection it is.
    async fn reader_at(&self, node: NodeName) -> Result<(Connection, Role, MemberId), ClientError> {
        self.reader_by(|role, id| self.connect_member(role, id, node), &node.to_string()).await
    }

    async fn reader_by(
        &self,
        connect: impl Fn(Role, MemberId) -> Result<Connection, ClientError>,
        node: &str,
    ) -> Result<(Connection, Role, MemberId), ClientError> {
        let mut turned_away = Vec::new();
        for (role, id) in READERS.into_iter().flat_map(|role| self.at_hand(role).into_iter().map(move |id| (role, id)))
        {
            let connection = connect(role, id)?;
            let began = Instant::now();
            let refusal = match connection.newest_header().await {
                Ok(()) => return Ok((connection, role, id)),
                Err(refusal) => refusal,
            };
            let is_turned_away = match &refusal {
                ClientError::Refused(refusal) => refusal.reason() == Reason::NotAuthorised,
                ClientError::Unreachable { .. } | ClientError::NoAnswer { .. } => {
                    // A certificate that no member has ends the connection; so does a node that is away or stalls.
                    let has_stalled = began.elapsed() >= connection.deadline();
                    !has_stalled && network::connect(connection.address()).await.is_ok()
                }
                _ => false,
            };
            if !is_turned_away {
                return Err(refusal);
            }
            turned_away.push(format!("{role}-{id}"));
        }
        let dir = self.dir.display();
        Err(ClientError::NobodyActs(match turned_away.as_slice() {
            [] => format!("expected keys of a member in {dir}, found none: only members may read this"),
            names => format!(
                "{node} lets none of the members in whose keys are in {dir} ({}): either none of them is a member any \
                 more, or it is no node of this network",
                names.join(", ")
            ),
        }))
    }

    /// A governance client for reading.
    pub async fn governance_reader(&self) -> Result<GovernanceClient, ClientError> {
        let (connection, role, id) = self.reader_at(self.reading_node().await?).await?;
        let central_bank = match self.central_banks().count() {
            1 => connection.into(),
            _ => self.central_bank_as(role, id)?,
        };
        Ok(GovernanceClient::new(central_bank, self.anchor.clone()))
    }

    /// The central bank's nodes as a member reaches them. Those that membership, as it was followed, does not know are
    /// left out, as long as there are others.
    fn central_bank_as(&self, role: Role, id: MemberId) -> Result<CentralBank, ClientError> {
        let connected = self.central_banks().map(|node| self.connect_member(role, id, node));
        let (mut nodes, mut unknown) = (Vec::new(), None);
        for connection in connected {
            match connection {
                Ok(connection) => nodes.push(connection),
                Err(error @ ClientError::UnknownMember { .. }) => unknown = unknown.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        if let (true, Some(error)) = (nodes.is_empty(), unknown) {
            return Err(error);
        }
        let (identity, anchor) = (self.identity(role, id)?, self.anchor.clone());
        let dial = move |address: &str| Connection::new(address, Some(&identity), &anchor.trust_any(Role::CentralBank));
        Ok(CentralBank::of(nodes, Some(Arc::new(dial))))
    }

    /// A reader of the chain from a node.
    pub async fn chain(&self, node: NodeName) -> Result<Chain, ClientError> {
        Ok(Chain::new(self.connect_reader(node).await?, self.anchor.clone()))
    }

    /// A governance client that signs for the active member of a role whose keys are in this folder.
    ///
    /// # Errors
    /// [`ClientError::NobodyActs`] if there is none; it says why.
    pub async fn acting(&self, role: Role) -> Result<GovernanceClient, ClientError> {
        let members = self.governance_reader().await?.members().await?.members;
        let of_role: Vec<&v1::Member> = members.iter().filter(|member| member.role == role.name()).collect();
        match of_role.iter().find(|member| member.active && self.has_keys_of(role, member)) {
            Some(member) => self.governance(role, number_of(member)),
            None => Err(ClientError::NobodyActs(self.why_nobody_acts(role, &of_role))),
        }
    }

    /// A governance client that signs for one member, if it is active and its keys are in this folder.
    ///
    /// # Errors
    /// [`ClientError::NobodyActs`] if there is no such member, it was dismissed, or its keys are not in the folder.
    pub async fn acting_as(&self, role: Role, id: MemberId) -> Result<GovernanceClient, ClientError> {
        let members = self.governance_reader().await?.members().await?.members;
        let of_role: Vec<&v1::Member> = members.iter().filter(|member| member.role == role.name()).collect();
        match of_role.iter().find(|member| number_of(member) == id) {
            Some(member) if member.active && self.has_keys_of(role, member) => self.governance(role, id),
            Some(member) => Err(ClientError::NobodyActs(self.why_nobody_acts(role, &[member]))),
            None => {
                let active = of_role.iter().filter(|member| member.active);
                let known: Vec<String> = active.map(|member| format!("{role}-{}", member.id)).collect();
                Err(ClientError::NobodyActs(format!("there is no {role}-{id}; there are {}", known.join(", "))))
            }
        }
    }

    /// The active registrar whose keys are in this folder. If the central bank cannot be asked, the one named in
    /// genesis.
    pub async fn registrar(&self) -> Result<Registrar, ClientError> {
        let role = Role::Registrar;
        let reader = match self.governance_reader().await {
            Err(
                ClientError::Unreachable { .. }
                | ClientError::NoLeader { .. }
                | ClientError::NoAnswer { .. }
                | ClientError::UnknownMember { .. },
            ) => {
                return self.first_registrar();
            }
            reader => reader?,
        };
        let members = reader.members().await?.members;
        let of_role: Vec<&v1::Member> = members.iter().filter(|member| member.role == role.name()).collect();
        match of_role.iter().find(|member| member.active && self.signs_as(role, member)) {
            Some(member) => {
                let id = number_of(member);
                let key = self.signing_key(role, id)?;
                Ok(Registrar::new(self.anchor.network(), id, member.key_version, key))
            }
            None => Err(ClientError::NobodyActs(self.why_nobody_acts(role, &of_role))),
        }
    }

    /// Whether the signing key in a member's folder is the one in force.
    fn signs_as(&self, role: Role, member: &v1::Member) -> bool {
        let key = self.signing_key(role, number_of(member));
        key.is_ok_and(|key| key.public_key().0[..] == member.signing_key[..])
    }

    fn has_keys_of(&self, role: Role, member: &v1::Member) -> bool {
        let id = number_of(member);
        let node_key = member.node_key.as_ref();
        let connects = node_key
            .is_some_and(|node_key| self.identity(role, id).is_ok_and(|it| it.public_key().0[..] == node_key[..]));
        self.signs_as(role, member) && connects
    }

    /// The reason why none of these members of a role can act from here.
    fn why_nobody_acts(&self, role: Role, members: &[&v1::Member]) -> String {
        let why = |member: &&v1::Member| {
            let name = format!("{role}-{}", member.id);
            let dir = self.member_dir(role, number_of(member));
            match (member.active, dir.is_dir()) {
                (false, _) => format!("{name} was dismissed"),
                (true, false) => format!("the keys of {name} are not in {}", dir.display()),
                (true, true) => format!("the keys in {} are not those of {name} that are in force", dir.display()),
            }
        };
        match members {
            [] => format!("this network has no {role}; the committee can admit one: {}", admission(role, 1)),
            members => {
                let next = members.iter().map(|member| member.id).max().unwrap_or(0) + 1;
                let reasons = members.iter().map(why).collect::<Vec<_>>().join("; ");
                let is_empty = !members.iter().any(|member| member.active) && role != Role::Committee;
                let advice = format!("; the committee can admit another: {}", admission(role, next));
                format!("no {role} can act from here: {reasons}{}", if is_empty { &advice } else { "" })
            }
        }
    }
}

/// The command that admits a member.
fn admission(role: Role, number: u32) -> String {
    format!("cbdc policy propose admit={role}-{number}:FILE --approve")
}

fn number_of(member: &v1::Member) -> MemberId {
    MemberId(u16::try_from(member.id).unwrap_or(u16::MAX))
}

impl NetworkFolder {
    /// A governance client that signs with a member's key in the folder, without checking whether the member is active.
    pub fn governance(&self, role: Role, id: MemberId) -> Result<GovernanceClient, ClientError> {
        if !self.member_dir(role, id).is_dir() {
            let known: Vec<String> = self.at_hand(role).iter().map(|id| format!("{role}-{id}")).collect();
            let dir = self.dir.display();
            let known = if known.is_empty() { "those of none".to_owned() } else { known.join(", ") };
            return Err(ClientError::NobodyActs(format!(
                "there are no keys of {role}-{id} in {dir}; there are {known}"
            )));
        }
        let central_bank = self.central_bank_as(role, id)?;
        let signer = MemberSigner::new(role, id, self.signing_key(role, id)?);
        Ok(GovernanceClient::new(central_bank, self.anchor.clone()).with_signer(signer))
    }
}
