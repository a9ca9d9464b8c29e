//! A bank's back office: deposits, holds for its payees, issuance, reserves, closing wallets and the treasury.
//!
//! These calls require the bank's own node certificate; others are refused with `NOT_AUTHORISED`. Amounts in messages
//! are minor units.

use std::future::Future;

use bytes::Bytes;
use cbdc_ledger::command::{BankConsent, IssuanceKind};
use cbdc_ledger::{AccountId, Amount, BankId};
use cbdc_proto::convert;
use cbdc_proto::packed::Answer;
use cbdc_proto::v1;
use cbdc_proto::v1::consent_request::To;
use tonic::{Response, Status};

use crate::connection::Connection;
use crate::consent::ask_consent;
use crate::error::ClientError;
use crate::submission::{SubmissionStatus, TIMEOUT, until_known};

/// The most balances in one request to accept deposits: about a megabyte.
const BALANCES_AT_ONCE: usize = 25_000;

/// The answer to a request to issue or redeem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IssuanceAnswer {
    /// The operator endorsed it, and the order was settled or refused; or its status could not be learned.
    Ordered(SubmissionStatus),
    /// It waits for the operator.
    Waiting,
}

/// A client of a bank's back office. Clones share the connection.
#[derive(Clone, Debug)]
pub struct BankOffice {
    connection: Connection,
}

impl BankOffice {
    /// A client over a connection that leads to the bank and shows the bank's own node certificate.
    pub fn new(connection: Connection) -> BankOffice {
        BankOffice { connection }
    }

    /// Credits a customer's deposit, as a salary or a payment of cash would. Safe to repeat with the same `request_id`.
    pub async fn credit_deposit(
        &self,
        account: AccountId,
        amount: Amount,
        request_id: [u8; 16],
    ) -> Result<v1::Deposit, ClientError> {
        let request = self.connection.request(v1::CreditDepositRequest {
            account: account.to_string(),
            amount_minor: amount.minor(),
            request_id: Bytes::copy_from_slice(&request_id),
        });
        self.connection.ask(self.connection.bank().credit_deposit(request)).await
    }

    /// Asks the central bank to issue CBDC against the bank's reserves, or to redeem it. Asks again until the status is
    /// known. Safe to repeat with the same `request_id`.
    pub async fn request_issuance(
        &self,
        kind: IssuanceKind,
        amount: Amount,
        request_id: [u8; 16],
    ) -> Result<IssuanceAnswer, ClientError> {
        let kind = match kind {
            IssuanceKind::Issue => v1::request_bank_issuance_request::Kind::Issue,
            IssuanceKind::Redeem => v1::request_bank_issuance_request::Kind::Redeem,
        };
        let request_id = Bytes::copy_from_slice(&request_id);
        let request = v1::RequestBankIssuanceRequest { kind: kind.into(), amount_minor: amount.minor(), request_id };
        let attempt = || async {
            let asked = self.connection.bank().request_issuance(self.connection.request(request.clone())).await;
            match asked?.into_inner().outcome {
                // The central bank keeps it until the operator agrees.
                None => Ok(Answer::accepted()),
                Some(outcome) => convert::outcome_from_message(&outcome),
            }
        };
        Ok(match until_known(&self.connection, TIMEOUT, || self.within_deadline(attempt())).await? {
            SubmissionStatus::Accepted => IssuanceAnswer::Waiting,
            status => IssuanceAnswer::Ordered(status),
        })
    }

    /// The bank's consent to link another bank's wallet to a deposit here, for
    /// [`Wallet::link_bank_with`](crate::Wallet::link_bank_with).
    pub async fn consent_to_link(&self, account: AccountId) -> Result<BankConsent, ClientError> {
        ask_consent(&self.connection, account, To::LinkBank).await
    }

    /// Pays a hold out to its payee, a customer of this bank, and returns the rest to the payer. Takes effect once: a
    /// repetition is refused with `UNKNOWN_HOLD`.
    pub async fn capture(&self, hold: u64, amount: Amount) -> Result<SubmissionStatus, ClientError> {
        let request = self.connection.request(v1::CaptureHoldRequest { hold, amount_minor: amount.minor() });
        let outcome = self.connection.ask(self.connection.bank().capture_hold(request)).await?;
        self.status(&outcome)
    }

    /// Returns a hold to its payer. A repetition is refused with `UNKNOWN_HOLD`.
    pub async fn void(&self, hold: u64) -> Result<SubmissionStatus, ClientError> {
        let request = self.connection.request(v1::VoidHoldRequest { hold });
        let outcome = self.connection.ask(self.connection.bank().void_hold(request)).await?;
        self.status(&outcome)
    }

    /// A page of a customer's open holds, by number. `page_size` is at most 500; `from` is an earlier page's token.
    pub async fn holds(
        &self,
        account: AccountId,
        page_size: u32,
        from: Option<String>,
    ) -> Result<v1::ListHoldsResponse, ClientError> {
        let (account, page_token) = (account.to_string(), from.unwrap_or_default());
        let request = self.connection.request(v1::ListHoldsRequest { account, page_size, page_token });
        self.connection.ask(self.connection.bank().list_holds(request)).await
    }

    /// Reports the sum of customers' deposits to the central bank; returns the amount reported. Safe to repeat: the
    /// newest report counts.
    pub async fn report_deposits(&self) -> Result<(SubmissionStatus, Amount), ClientError> {
        let request = self.connection.request(v1::ReportDepositsRequest {});
        let answer = self.connection.ask(self.connection.bank().report_deposits(request)).await?;
        let outcome = answer.outcome.unwrap_or_default();
        Ok((self.status(&outcome)?, Amount::from_minor(answer.deposits_minor)))
    }

    /// A page of the statement of deposits, by account, also while they are in doubt. `page_size` is at most 500;
    /// `from` is an earlier page's token.
    pub async fn deposits(
        &self,
        page_size: u32,
        from: Option<String>,
    ) -> Result<v1::ListDepositsResponse, ClientError> {
        let page_token = from.unwrap_or_default();
        let request = self.connection.request(v1::ListDepositsRequest { page_size, page_token });
        self.connection.ask(self.connection.bank().list_deposits(request)).await
    }

    /// Accepts the deposits in doubt as the statement with this number shows them, with these balances set: all or
    /// none, however many they are. Refused with `DEPOSITS_IN_DOUBT` unless that statement was shown last, or if
    /// something has changed since. False if they were not in doubt: nothing is done, so that it is safe to repeat.
    pub async fn accept_deposits(
        &self,
        statement: u64,
        balances: impl IntoIterator<Item = (AccountId, Amount)>,
    ) -> Result<bool, ClientError> {
        let balance = |(account, balance): (AccountId, Amount)| v1::DepositBalance {
            account: account.to_string(),
            balance_minor: balance.minor(),
        };
        let balances: Vec<v1::DepositBalance> = balances.into_iter().map(balance).collect();
        let balances_total = if balances.len() > BALANCES_AT_ONCE { balances.len() as u64 } else { 0 };
        let mut parts = balances.chunks(BALANCES_AT_ONCE).peekable();
        loop {
            let balances = parts.next().unwrap_or_default().to_vec();
            let more = parts.peek().is_some();
            let balances_total = if more { 0 } else { balances_total };
            let request = v1::AcceptDepositsRequest { statement, balances, more, balances_total };
            let request = self.connection.request(request);
            let answer = self.connection.ask(self.connection.bank().accept_deposits(request)).await?;
            if !more || answer.kept == 0 {
                return Ok(answer.accepted);
            }
        }
    }

    /// Transfers reserves of this bank to another. Asks again until the status is known. Safe to repeat with the same
    /// `request_id`.
    pub async fn transfer_reserves(
        &self,
        to: BankId,
        amount: Amount,
        request_id: [u8; 16],
    ) -> Result<SubmissionStatus, ClientError> {
        let (to, amount_minor, request_id) = (u32::from(to.0), amount.minor(), Bytes::copy_from_slice(&request_id));
        let request = v1::TransferReservesRequest { to, amount_minor, request_id };
        let attempt = || async {
            let asked = self.connection.bank().transfer_reserves(self.connection.request(request.clone())).await;
            convert::outcome_from_message(&asked?.into_inner())
        };
        until_known(&self.connection, TIMEOUT, || self.within_deadline(attempt())).await
    }

    /// An attempt that is given up at the connection's deadline, whatever the other end does.
    async fn within_deadline(&self, attempt: impl Future<Output = Result<Answer, Status>>) -> Result<Answer, Status> {
        self.connection.send(async { attempt.await.map(Response::new) }).await
    }

    /// Closes an empty wallet of this bank. Takes effect once: a repetition finds no wallet
    /// ([`ClientError::NotFound`]).
    pub async fn close_wallet(&self, account: AccountId) -> Result<SubmissionStatus, ClientError> {
        let request = self.connection.request(v1::CloseWalletRequest { account: account.to_string() });
        let outcome = self.connection.ask(self.connection.bank().close_wallet(request)).await?;
        self.status(&outcome)
    }

    fn status(&self, outcome: &v1::Outcome) -> Result<SubmissionStatus, ClientError> {
        let answer = convert::outcome_from_message(outcome).map_err(|status| self.connection.unreadable(status))?;
        Ok(SubmissionStatus::of_answer(&answer))
    }

    /// The treasury, the deposit book's totals and the bank's reserves.
    pub async fn treasury(&self) -> Result<v1::Treasury, ClientError> {
        let request = self.connection.request(v1::GetTreasuryRequest {});
        self.connection.ask(self.connection.bank().get_treasury(request)).await
    }

    /// A customer's wallet.
    pub async fn wallet(&self, account: AccountId) -> Result<v1::Wallet, ClientError> {
        let wallet = Some(v1::get_wallet_request::Wallet::Account(account.to_string()));
        let request = self.connection.request(v1::GetWalletRequest { wallet });
        self.connection.ask(self.connection.bank().get_wallet(request)).await
    }

    /// The deposit of a customer's wallet, or of a wallet of another bank that is linked to this one.
    pub async fn deposit(&self, account: AccountId) -> Result<v1::Deposit, ClientError> {
        let request = self.connection.request(v1::GetDepositRequest { account: account.to_string() });
        self.connection.ask(self.connection.bank().get_deposit(request)).await
    }
}
