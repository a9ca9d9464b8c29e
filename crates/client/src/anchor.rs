//! The trust anchor of a client: genesis, and nothing else.
//!
//! Genesis names the network (its hash is part of everything that is signed), the central bank's keys (which verify
//! headers and receipts) and each node's key (so that a connection reaches the right node). A client with a trusted
//! genesis need trust no bank. It does not know keys that the committee replaced later: checks then fail until the
//! client has a newer anchor; they never succeed wrongly.

use std::path::Path;

use cbdc_ledger::block::ProofError;
use cbdc_ledger::member::Role;
use cbdc_ledger::{Amount, BankId, Command, Genesis, MemberId, NetworkId, PublicKey, Receipt, SignedHeader, Timestamp};
use cbdc_proto::transport::ServerTrust;

use crate::error::ClientError;

/// A genesis with its hash, which is the network's id.
#[derive(Clone, Debug)]
pub struct Anchor {
    genesis: Genesis,
    network: NetworkId,
}

impl Anchor {
    /// Trusts a genesis.
    pub fn new(genesis: Genesis) -> Anchor {
        let network = genesis.network();
        Anchor { genesis, network }
    }

    /// Reads a `genesis.bin`.
    ///
    /// # Errors
    /// [`ClientError::File`] if it cannot be read, [`ClientError::Genesis`] if it is not a sound genesis.
    pub fn load(path: &Path) -> Result<Anchor, ClientError> {
        let bytes = cbdc_proto::bounded_file::read(path)
            .map_err(|error| ClientError::File { path: path.to_owned(), reason: error.to_string() })?;
        Ok(Anchor::new(Genesis::from_bytes(&bytes)?))
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

    /// Trusts exactly one node: the key that genesis names for it.
    ///
    /// # Errors
    /// [`ClientError::UnknownMember`] if genesis names no such member, or no node key for it.
    pub fn trust(&self, role: Role, id: MemberId) -> Result<ServerTrust, ClientError> {
        let node_key = |member: &&cbdc_ledger::member::Member| member.role == role && member.id == id;
        let found = self.genesis.members.iter().find(node_key).and_then(|member| member.node_key);
        found.map(ServerTrust::NodeKey).ok_or_else(|| ClientError::UnknownMember {
            role: role.name().to_owned(),
            id: id.0,
            known: self.known_nodes(),
        })
    }

    fn known_nodes(&self) -> String {
        let with_key = self.genesis.members.iter().filter(|member| member.node_key.is_some());
        with_key.map(|member| format!("{} {}", member.role, member.id)).collect::<Vec<_>>().join(", ")
    }

    fn central_bank_key(&self, node: MemberId) -> Option<PublicKey> {
        let is_node = |member: &&cbdc_ledger::member::Member| member.role == Role::CentralBank && member.id == node;
        self.genesis.members.iter().find(is_node).map(|member| member.signing_key)
    }

    /// Checks that enough of the central bank's nodes signed a header.
    ///
    /// # Errors
    /// The first signature that does not verify, or the number of missing ones.
    pub fn check_header(&self, header: &SignedHeader) -> Result<(), ProofError> {
        header.check(self.network, self.genesis.header_signatures, |node| self.central_bank_key(node))
    }

    /// Checks a receipt's path, its header's signatures and its command; returns the command.
    pub(crate) fn check_proof(&self, receipt: &Receipt) -> Result<Command, ProofError> {
        receipt.check(self.network, self.genesis.header_signatures, |node| self.central_bank_key(node))
    }

    /// The valid-until of a record signed now: an hour from now, or half of what genesis allows if that is less, so
    /// that a slightly wrong clock does no harm.
    pub(crate) fn valid_until(&self) -> Timestamp {
        now().plus_ms((self.genesis.validity_ms_max / 2).min(3_600_000))
    }
}

/// The machine's clock.
pub(crate) fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
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
