//! The trust anchor of a client: genesis, and the membership that was followed from it.
//!
//! Genesis names the network (its hash is part of everything that is signed), the central bank's first keys (which
//! headers and receipts are checked with) and each node's first key (so that a connection reaches the right node). A
//! client with a genesis that it trusts need trust no bank.
//!
//! When the committee replaces keys, the anchor follows by itself. A node that shows another key, or a header that
//! other keys signed, makes it ask that node for the proofs of the [membership
//! changes](cbdc_ledger::membership_change); what they prove counts from then on, and is kept in [`Anchor::FOLLOWED`]
//! beside the genesis. Receipts of before stay proved by the keys of their time. A node can withhold proofs, which
//! leaves the anchor as it was; it can forge none.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use cbdc_ledger::block::ProofError;
use cbdc_ledger::encoding::{Reader, Writer};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::membership_change::{FollowedMembership, MembershipChange, MembershipChangeError};
use cbdc_ledger::{Amount, BankId, Command, Genesis, MemberId, NetworkId, PublicKey, Receipt, SignedHeader, Timestamp};
use cbdc_proto::transport::{FollowedKeys, NodeIdentity, ServerTrust};
use cbdc_proto::wall_clock::wall_clock;
use cbdc_proto::{durable_file, membership};

use crate::connection::Connection;
use crate::error::ClientError;

/// A genesis with its hash, which is the network's id, and the membership that was followed from it. Clones share what
/// they follow.
#[derive(Clone, Debug)]
pub struct Anchor {
    genesis: Genesis,
    network: NetworkId,
    followed: Arc<RwLock<Followed>>,
    /// The file that keeps the proofs.
    file: Option<PathBuf>,
}

/// The membership in force, and the proofs that led there.
#[derive(Debug)]
struct Followed {
    membership: FollowedMembership,
    proofs: Vec<MembershipChange>,
}

impl Anchor {
    /// Trusts a genesis.
    pub fn new(genesis: Genesis) -> Anchor {
        let network = genesis.network();
        let followed = Followed { membership: FollowedMembership::of(&genesis), proofs: Vec::new() };
        Anchor { genesis, network, followed: Arc::new(RwLock::new(followed)), file: None }
    }

    /// The name of the file, beside the genesis, that keeps the proofs of the membership changes that were followed.
    pub const FOLLOWED: &'static str = "membership.bin";

    /// Reads a `genesis.bin`, and beside it what was followed before. The proofs are checked again; from the first that
    /// does not hold on, they are fetched anew when they are needed.
    ///
    /// # Errors
    /// [`ClientError::File`] if it cannot be read, [`ClientError::Genesis`] if it is not a sound genesis.
    pub fn load(path: &Path) -> Result<Anchor, ClientError> {
        let bytes = cbdc_proto::bounded_file::read(path)
            .map_err(|error| ClientError::File { path: path.to_owned(), reason: error.to_string() })?;
        let mut anchor = Anchor::new(Genesis::from_bytes(&bytes)?);
        let file = path.with_file_name(Anchor::FOLLOWED);
        let kept = cbdc_proto::bounded_file::read(&file).unwrap_or_default();
        let mut read = Reader::new("followed membership", &kept);
        while let Ok(length) = read.u32() {
            let change = read.raw(length as usize).ok().and_then(|bytes| MembershipChange::from_bytes(bytes).ok());
            if change.is_none_or(|change| anchor.follow([change]).is_err()) {
                break;
            }
        }
        anchor.file = Some(file);
        Ok(anchor)
    }

    /// The members and their keys, as far as membership was followed.
    pub fn membership(&self) -> FollowedMembership {
        self.read(|followed| followed.membership.clone())
    }

    /// Follows membership changes, oldest first; those that were followed before are passed over. Returns whether any
    /// was new.
    ///
    /// # Errors
    /// The first change that is not proved; those before it count.
    pub fn follow(&self, changes: impl IntoIterator<Item = MembershipChange>) -> Result<bool, MembershipChangeError> {
        let mut followed = self.followed.write().unwrap_or_else(PoisonError::into_inner);
        let before = followed.membership.height();
        let result = changes.into_iter().try_for_each(|change| {
            if change.height() > followed.membership.height() {
                followed.membership.follow(&change)?;
                followed.proofs.push(change);
            }
            Ok(())
        });
        let is_newer = followed.membership.height() > before;
        if is_newer && let Some(file) = &self.file {
            // Whoever cannot write it fetches the proofs again.
            drop(keep(file, &followed.proofs));
        }
        result.map(|()| is_newer)
    }

    /// Asks the node at the other end of a connection for the changes above what was followed, and follows them.
    /// Returns whether any was new.
    ///
    /// # Errors
    /// [`ClientError::Membership`] if the node gives none, or one that is not proved.
    pub async fn follow_from(&self, connection: &Connection) -> Result<bool, ClientError> {
        let above = self.read(|followed| followed.membership.height());
        let changes = membership::fetch_over(connection.channel(), above).await;
        let changes = changes.map_err(|error| ClientError::Membership(error.to_string()))?;
        self.follow(changes).map_err(|error| ClientError::Membership(error.to_string()))
    }

    /// Checks what a node sent. If the keys that are known do not prove it, the node is asked for membership changes,
    /// and the check is made again with what they prove.
    pub(crate) async fn check<T>(
        &self,
        connection: &Connection,
        check: impl Fn() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        match check() {
            Err(ClientError::Proof(_)) if self.follow_from(connection).await.is_ok_and(|is_newer| is_newer) => check(),
            checked => checked,
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Followed) -> T) -> T {
        look(&self.followed.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The genesis itself.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The network's id, part of everything that is signed.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The currency's code, such as `XTS`.
    pub fn currency(&self) -> &str {
        std::str::from_utf8(&self.genesis.currency).unwrap_or("???")
    }

    /// The amount as text in major units with the currency, for people: `3,012.50 XTS`.
    pub fn show(&self, amount: Amount) -> String {
        format!("{} {}", group_thousands(&amount.to_major(self.genesis.currency_exponent)), self.currency())
    }

    /// Reads an amount in major units, exactly: `12`, `12.5` or `12.50`.
    ///
    /// # Errors
    /// [`ClientError::Usage`] if it is not an amount, or finer than the currency's minor unit.
    pub fn parse(&self, text: &str) -> Result<Amount, ClientError> {
        Amount::parse_major(text, self.genesis.currency_exponent).map_err(ClientError::Usage)
    }

    /// The banks that genesis names.
    pub fn banks(&self) -> impl Iterator<Item = (BankId, &str)> {
        let banks = self.genesis.members.iter().filter(|member| member.role == Role::Bank);
        banks.map(|member| (BankId(member.id.0), member.name.as_str()))
    }

    /// Trusts exactly one node: the one that membership names, with the key in force.
    ///
    /// # Errors
    /// [`ClientError::UnknownMember`] if membership names no such active member, as far as it was followed, or no node
    /// key for it.
    pub fn trust(&self, role: Role, id: MemberId) -> Result<ServerTrust, ClientError> {
        let node = FollowedNode { anchor: self.clone(), role, id: Some(id) };
        if node.keys().is_empty() {
            let (role, known) = (role.name().to_owned(), self.known_nodes());
            return Err(ClientError::UnknownMember { role, id: id.0, known });
        }
        Ok(ServerTrust::Followed(Arc::new(node)))
    }

    /// Trusts any node of a role that membership names, with the key in force.
    pub(crate) fn trust_any(&self, role: Role) -> ServerTrust {
        ServerTrust::Followed(Arc::new(FollowedNode { anchor: self.clone(), role, id: None }))
    }

    fn known_nodes(&self) -> String {
        let membership = self.membership();
        let with_key = membership.members().seats().filter(|seat| seat.active && seat.member.node_key.is_some());
        with_key.map(|seat| format!("{} {}", seat.member.role, seat.member.id)).collect::<Vec<_>>().join(", ")
    }

    /// Checks that enough of the central bank's nodes signed a header, with the keys of its height.
    ///
    /// # Errors
    /// The first signature that does not hold, or the number that is missing.
    pub fn check_header(&self, header: &SignedHeader) -> Result<(), ProofError> {
        self.read(|followed| followed.membership.check_header(header))
    }

    /// Checks a receipt's path, its header's signatures and its command; gives the command.
    pub(crate) fn check_proof(&self, receipt: &Receipt) -> Result<Command, ProofError> {
        self.read(|followed| followed.membership.check_receipt(receipt))
    }

    /// The valid-until of a record signed now: an hour from now, or half of what genesis allows if that is less, so
    /// that a slightly wrong clock does no harm.
    pub(crate) fn valid_until(&self) -> Timestamp {
        wall_clock().plus_ms((self.genesis.validity_ms_max / 2).min(3_600_000))
    }
}

/// A node whose keys are followed.
struct FollowedNode {
    anchor: Anchor,
    role: Role,
    /// `None` for any node of the role.
    id: Option<MemberId>,
}

impl FollowedKeys for FollowedNode {
    fn keys(&self) -> Vec<PublicKey> {
        let is_one = |member: &Member| member.role == self.role && self.id.is_none_or(|id| member.id == id);
        let node_keys = |followed: &Followed| {
            let active = followed.membership.members().seats().filter(|seat| seat.active && is_one(&seat.member));
            active.filter_map(|seat| seat.member.node_key).collect()
        };
        self.anchor.read(node_keys)
    }

    fn follow<'a>(
        &'a self,
        address: &'a str,
        identity: Option<&'a NodeIdentity>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let above = self.anchor.read(|followed| followed.membership.height());
            match membership::fetch(address, identity, above).await {
                Ok(changes) => self.anchor.follow(changes).unwrap_or(false),
                Err(_) => false,
            }
        })
    }
}

/// Keeps proofs in a file, whole or not at all: each with its length before it.
fn keep(file: &Path, proofs: &[MembershipChange]) -> std::io::Result<()> {
    let mut out = Writer::default();
    for proof in proofs {
        let bytes = proof.to_bytes();
        out.u32(bytes.len() as u32).raw(&bytes);
    }
    durable_file::replace(file, &out.finish(), durable_file::READABLE)
}

/// A decimal number with commas between the thousands of its whole part: `-1234567.80` becomes `-1,234,567.80`.
pub fn group_thousands(number: &str) -> String {
    let (whole, decimals) = number.find('.').map_or((number, ""), |point| number.split_at(point));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = sign.to_owned();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + decimals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let shown = ["0", "999.00", "-1000", "123456.78", "-1234567.80"].map(group_thousands);
        assert_eq!(shown, ["0", "999.00", "-1,000", "123,456.78", "-1,234,567.80"]);
    }
}
