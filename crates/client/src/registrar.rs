//! A registrar: certifies holders' keys, each certificate for one use.

use std::sync::Arc;

use cbdc_ledger::command::{Certificate, CertifiedFor, Head, OpenWallet, Statement};
use cbdc_ledger::{AccountId, BankId, Class, HolderId, MemberId, NetworkId, PublicKey, SigningKey};

/// The validity of a certificate: a day.
const VALIDITY_MS: u64 = 86_400_000;

/// A registrar's signing key, and its identity in certificates.
#[derive(Clone)]
pub struct Registrar {
    network: NetworkId,
    id: MemberId,
    key_version: u32,
    key: Arc<SigningKey>,
}

impl Registrar {
    /// The registrar of a network with this version of its key, 0 until it is replaced.
    pub fn new(network: NetworkId, id: MemberId, key_version: u32, key: SigningKey) -> Registrar {
        Registrar { network, id, key_version, key: Arc::new(key) }
    }

    /// Certifies a holder's key for opening one wallet at a bank, until a day from now.
    pub fn register(&self, bank: BankId, holder: HolderId, class: Class, key: PublicKey) -> Registration {
        let valid_until = cbdc_proto::wall_clock::wall_clock().plus_ms(VALIDITY_MS);
        let statement = Statement { purpose: CertifiedFor::Open(bank), holder, class, key, valid_until };
        Registration { network: self.network, statement, certificate: self.certify(&statement) }
    }

    /// Certifies that a holder's key replaces one version of a wallet's key, until a day from now.
    pub fn replace_key(
        &self,
        (account, version): (AccountId, u32),
        holder: HolderId,
        class: Class,
        key: PublicKey,
    ) -> Registration {
        let valid_until = cbdc_proto::wall_clock::wall_clock().plus_ms(VALIDITY_MS);
        let purpose = CertifiedFor::ReplaceKey { account, version };
        let statement = Statement { purpose, holder, class, key, valid_until };
        Registration { network: self.network, statement, certificate: self.certify(&statement) }
    }

    fn certify(&self, statement: &Statement) -> Certificate {
        statement.certify(self.network, self.id, self.key_version, &self.key)
    }
}

/// A registrar's certificate, and the certified statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registration {
    /// The network that the certificate is for.
    pub network: NetworkId,
    /// Holder, class and key, and the purpose of the certificate.
    pub statement: Statement,
    /// The registrar's signature.
    pub certificate: Certificate,
}

impl Registration {
    /// The bank's record that opens the wallet, agreed to with the holder's key; `None` if the certificate is not for
    /// an opening.
    pub fn opening(&self, head: Head, key: &SigningKey) -> Option<OpenWallet> {
        let Statement { purpose: CertifiedFor::Open(bank), holder, class, key: public_key, .. } = self.statement else {
            return None;
        };
        let agreement = self.statement.agree(self.network, &self.certificate, key);
        Some(OpenWallet { head, bank, class, holder, key: public_key, certificate: self.certificate, agreement })
    }
}
