//! The bank's consent to holders' requests: to link a wallet to it, or to move one to it from another bank.
//!
//! A consent alone has no effect: the holder's record carries it. So anybody gets it for a wallet of this bank, and for
//! a wallet that moves here, whose holder the registrar has certified. Linking a wallet of another bank to a deposit
//! here is up to the bank's own back office.
//!
//! A record of another bank's wallet with a forged consent is not relayed ([`is_forged`]).

use std::sync::Arc;

use cbdc_ledger::command::{Domain, Kind, signing_prefix};
use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, Command, MemberId, PublicKey};
use cbdc_node::LedgerHandle;
use cbdc_proto::convert::account;
use cbdc_proto::status::{invalid, not_authorised, of_refusal};
use cbdc_proto::v1;
use cbdc_proto::v1::consent_request::To;
use tonic::Status;

use super::context::BankContext;
use crate::signing::BankSigner;

/// Whether a command carries a consent in this bank's name that is not signed with the key it names, the bank's key in
/// force. One that names another key may have settled under it: the chain decides.
pub fn is_forged(ledger: &LedgerHandle, own: BankId, command: &Command) -> bool {
    let Some((statement, consent)) = command.consented().filter(|(statement, _)| statement.bank == own) else {
        return false;
    };
    let (network, key) = ledger.read(|ledger| {
        let seat = ledger.members().active(Role::Bank, MemberId(own.0));
        let seat = seat.filter(|seat| seat.key_version == consent.bank_key_version);
        (ledger.network(), seat.map(|seat| seat.member.signing_key))
    });
    let message = statement.to_bytes(consent.bank_key_version);
    let message = [&signing_prefix(Domain::Consent, network)[..], &message];
    let is_good =
        |key: PublicKey| key.decompress().is_ok_and(|key| cbdc_signatures::verify(&key, message, &consent.signature));
    key.is_some_and(|key| !is_good(key))
}

/// Gives the bank's consents.
pub struct ConsentService {
    pub context: BankContext,
    pub signer: Arc<BankSigner>,
}

impl ConsentService {
    pub fn consent(&self, request: &v1::ConsentRequest, by_back_office: bool) -> Result<v1::ConsentResponse, Status> {
        let wallet = account("account", &request.account)?;
        let is_own = wallet.bank == self.context.bank;
        let kind = match request.to() {
            To::LinkBank if is_own || by_back_office => Kind::LinkBank,
            To::LinkBank => {
                return Err(not_authorised(format!(
                    "a wallet of bank {} is linked to bank {} by that bank's back office alone",
                    wallet.bank, self.context.bank
                )));
            }
            To::MoveWallet if is_own => {
                return Err(invalid("account", "expected a wallet of another bank, found one of this bank"));
            }
            To::MoveWallet => Kind::MoveWallet,
            To::Unspecified => {
                return Err(invalid("to", format!("expected link-bank or move-wallet, found {}", request.to)));
            }
        };
        let consent = self.signer.consent(kind, wallet).map_err(|refusal| of_refusal(&refusal))?;
        Ok(v1::ConsentResponse {
            bank_key_version: consent.bank_key_version,
            valid_until_ms: consent.valid_until.0,
            signature: consent.signature.0.to_vec().into(),
        })
    }
}
