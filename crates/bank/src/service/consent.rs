//! The bank's consent to holders' requests: to link a wallet to it, or to move one to it from another bank.
//!
//! A consent alone has no effect: the holder's record carries it. So anybody gets it for a wallet of this bank, and for
//! a wallet that moves here, whose holder the registrar has certified. Linking a wallet of another bank to a deposit
//! here is up to the bank's own back office.

use std::sync::Arc;

use cbdc_ledger::command::Kind;
use cbdc_proto::convert::account;
use cbdc_proto::status::{invalid, not_authorised, of_refusal};
use cbdc_proto::v1;
use cbdc_proto::v1::consent_request::To;
use tonic::Status;

use super::context::BankContext;
use crate::signing::BankSigner;

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
