//! Requests for a bank's consent.

use cbdc_ledger::command::BankConsent;
use cbdc_ledger::{AccountId, Signature, Timestamp};
use cbdc_proto::convert::exact;
use cbdc_proto::v1;
use cbdc_proto::v1::consent_request::To;

use crate::connection::Connection;
use crate::error::ClientError;

/// Asks the bank at the other end for its consent to a record that a wallet's holder is about to sign.
pub(crate) async fn ask_consent(
    connection: &Connection,
    account: AccountId,
    to: To,
) -> Result<BankConsent, ClientError> {
    let request = v1::ConsentRequest { account: account.to_string(), to: to.into() };
    let answer = connection.ask(connection.bank().consent(connection.request(request))).await?;
    let signature = exact("signature", &answer.signature).map_err(|status| connection.unreadable(status))?;
    Ok(BankConsent {
        bank_key_version: answer.bank_key_version,
        valid_until: Timestamp(answer.valid_until_ms),
        signature: Signature(signature),
    })
}
