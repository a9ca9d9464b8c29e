//! The bank's own back office: money paid in, issuance, statements of deposits, reserves paid to other banks, closing wallets,
//! the treasury.

use std::sync::Arc;

use cbdc_ledger::command::{CloseWallet, DepositStatement, IssuanceKind, IssuanceRequest, ReservesTransfer};
use cbdc_ledger::{AccountId, Amount, BankId, Outcome, Reason};
use cbdc_proto::convert::{exact, number_u16, outcome_from_message, outcome_to_message};
use cbdc_proto::status::{invalid, of_reason, of_refusal, refusal_of, unavailable};
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use tonic::Status;

use super::{Desks, NUMBERS_TRIED, positive_amount, wallet};
use crate::own_sequence::Taken;
use crate::signing::{REQUEST_VALIDITY, SHORT_VALIDITY};

pub async fn credit(desks: &Arc<Desks>, request: &v1::CreditDepositRequest) -> Result<v1::Deposit, Status> {
    let account = desks.deposit_account("account", &request.account)?;
    let amount = positive_amount(request.amount_minor)?;
    let id = exact("request_id", &request.request_id)?;
    desks.require_open_wallet(account)?;
    desks.desk.credit(id, account, amount).await.map_err(|refusal| match refusal.reason {
        Reason::SequenceConflict => {
            of_reason(refusal.reason, "request_id: it was used before, for another account or amount")
        }
        _ => of_refusal(&refusal),
    })?;
    Ok(wallet::deposit_of(desks, account))
}

pub async fn request_issuance(
    desks: &Arc<Desks>,
    request: &v1::RequestBankIssuanceRequest,
) -> Result<v1::RequestBankIssuanceResponse, Status> {
    use v1::request_bank_issuance_request::Kind;
    let kind = match request.kind() {
        Kind::Issue => IssuanceKind::Issue,
        Kind::Redeem => IssuanceKind::Redeem,
        Kind::Unspecified => return Err(invalid("kind", format!("expected issue or redeem, found {}", request.kind))),
    };
    let amount = positive_amount(request.amount_minor)?;
    let channel = desks.central_bank_endpoint.channel().map_err(|error| unavailable(error.to_string()))?;
    let mut client = SettlementClient::new(channel);
    let mut last = of_refusal(&Outcome::refused(Reason::SequenceUsed, 0, 0));
    for _ in 0..NUMBERS_TRIED {
        let make = |head| IssuanceRequest { kind, head, bank: desks.bank, amount };
        let signed = desks.signer.sign(REQUEST_VALIDITY, make).map_err(|refusal| of_refusal(&refusal))?;
        let head = signed.record.head;
        let taken = Taken::new(desks.signer.numbers.clone(), head.sequence, head.valid_until);
        let message = v1::RequestIssuanceRequest { request: signed.to_bytes().into() };
        match client.request_issuance(message).await {
            Ok(answer) => {
                let Some(outcome) = answer.into_inner().outcome else {
                    // It waits for the operator, and its number with it.
                    return Ok(v1::RequestBankIssuanceResponse { outcome: None });
                };
                let answer = outcome_from_message(&outcome)?;
                if answer.is_ordered() && desks.replica_at(answer.height).await {
                    taken.used();
                }
                return Ok(v1::RequestBankIssuanceResponse { outcome: Some(outcome) });
            }
            Err(status) => match refusal_of(&status).map(|refusal| refusal.reason) {
                Some(Reason::SequenceUsed | Reason::SequenceConflict) => last = status,
                Some(Reason::Unavailable) | None => return Err(status),
                Some(_) => {
                    taken.never_sent();
                    return Err(status);
                }
            },
        }
    }
    Err(last)
}

/// States the deposit book's own sum. What is in transit is owed to customers until it has arrived.
pub async fn report_deposits(desks: &Arc<Desks>) -> Result<v1::ReportDepositsResponse, Status> {
    let (balances, in_transit) = desks.desk.totals();
    let deposits = Amount::from_minor(minor(balances + in_transit));
    let make = |head| DepositStatement { head, bank: desks.bank, deposits };
    let answer = desks.settle_own(SHORT_VALIDITY, make).await?;
    Ok(v1::ReportDepositsResponse {
        outcome: Some(outcome_to_message(&answer.outcome, answer.height, answer.index)),
        deposits_minor: deposits.minor(),
    })
}

/// Pays reserves to another bank. Each call signs a new transfer, so whoever does not learn its status must not just ask again.
pub async fn transfer_reserves(
    desks: &Arc<Desks>,
    request: &v1::TransferReservesRequest,
) -> Result<v1::Outcome, Status> {
    let (to, amount) = (BankId(number_u16("to", request.to)?), positive_amount(request.amount_minor)?);
    let make = |head| ReservesTransfer { head, from: desks.bank, to, amount };
    let settled = desks.settle_own(SHORT_VALIDITY, make).await;
    let answer = settled.map_err(|status| match refusal_of(&status).map(|refusal| refusal.reason) {
        Some(Reason::Unavailable) => unavailable(
            "the central bank has not answered: whether the reserves were moved is not known; look at the treasury before asking again, which would be another transfer",
        ),
        _ => status,
    })?;
    Ok(outcome_to_message(&answer.outcome, answer.height, answer.index))
}

/// Closes an empty wallet of this bank's. The deposit beside it stays the customer's.
pub async fn close_wallet(desks: &Arc<Desks>, request: &v1::CloseWalletRequest) -> Result<v1::Outcome, Status> {
    let account = desks.own_account("account", &request.account)?;
    desks.require_open_wallet(account)?;
    let answer = desks.settle_own(SHORT_VALIDITY, |head| CloseWallet { head, account }).await?;
    Ok(outcome_to_message(&answer.outcome, answer.height, answer.index))
}

fn minor(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}

pub fn treasury(desks: &Desks) -> Result<v1::Treasury, Status> {
    let id = AccountId::treasury(desks.bank);
    let (deposits, in_transit) = desks.desk.totals();
    desks.ledger.read(|ledger| {
        let account = ledger.account(id).ok_or_else(|| of_refusal(&Outcome::refused(Reason::UnknownMember, 0, 0)))?;
        Ok(v1::Treasury {
            account: id.to_string(),
            available_minor: account.spendable().minor(),
            deposits_minor: minor(deposits),
            in_transit_minor: minor(in_transit),
            reserves_minor: ledger.books().bank(desks.bank).reserves.minor(),
            height: ledger.height().0,
        })
    })
}
