//! A wallet's reading: its bank's status, its money, its deposits, its history and its receipts. All but the status
//! need the holder's session.

use std::future::Future;

use bytes::Bytes;
use cbdc_ledger::{AccountId, Amount, BankId};
use cbdc_proto::v1::bank_client::BankClient;
use cbdc_proto::{convert, v1};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::{Balance, HistoryPage, Wallet};
use crate::connection::Connection;
use crate::error::{ClientError, of_status};
use crate::position::BlockPosition;
use crate::receipt::VerifiedReceipt;

impl Wallet {
    /// The bank's status.
    ///
    /// # Errors
    /// [`ClientError::OtherNetwork`] if it serves another network.
    pub async fn status(&self) -> Result<v1::BankStatus, ClientError> {
        let request = self.connection.request(v1::GetStatusRequest {});
        let status = self.connection.ask(self.connection.bank().get_status(request)).await?;
        if status.network_id.as_ref() != self.anchor.network().0 {
            let found = cbdc_ledger::encoding::hex(&status.network_id);
            return Err(ClientError::OtherNetwork { expected: self.anchor.network().to_string(), found });
        }
        Ok(status)
    }

    /// The wallet as its bank's replica has it.
    pub async fn details(&self) -> Result<v1::Wallet, ClientError> {
        let wallet = Some(v1::get_wallet_request::Wallet::Account(self.account.to_string()));
        let request = v1::GetWalletRequest { wallet };
        self.read(request, |mut bank, request| async move { bank.get_wallet(request).await }).await
    }

    /// The wallet's money, as its bank's replica has it.
    pub async fn balance(&self) -> Result<Balance, ClientError> {
        Ok(Balance::from_message(&self.details().await?))
    }

    /// Whether a transfer would settle at present, as far as that does not depend on what the payee holds, and what it
    /// would cost payer and payee. Not binding.
    pub async fn quote(&self, to: AccountId, amount: Amount) -> Result<v1::Quote, ClientError> {
        let message = v1::QuoteTransferRequest {
            from: self.account.to_string(),
            to: to.to_string(),
            amount_minor: amount.minor(),
            max_fee_minor: None,
        };
        self.read(message, |mut bank, request| async move { bank.quote_transfer(request).await }).await
    }

    /// A page of the open holds of which this wallet is payer or payee, by number. `page_size` is at most 500; `from`
    /// is an earlier page's token.
    pub async fn holds(&self, page_size: u32, from: Option<String>) -> Result<v1::ListHoldsResponse, ClientError> {
        let message =
            v1::ListHoldsRequest { account: self.account.to_string(), page_size, page_token: from.unwrap_or_default() };
        self.read(message, |mut bank, request| async move { bank.list_holds(request).await }).await
    }

    /// The wallet's deposit at its own bank.
    pub async fn deposit(&self) -> Result<v1::Deposit, ClientError> {
        self.deposit_at(self.account.bank, &self.connection).await
    }

    /// The wallet's deposit at another bank, to which the wallet is or was linked and to which `connection` leads.
    pub async fn deposit_at(&self, bank: BankId, connection: &Connection) -> Result<v1::Deposit, ClientError> {
        let request = v1::GetDepositRequest { account: self.account.to_string() };
        let call = |mut bank: BankClient<Channel>, request| async move { bank.get_deposit(request).await };
        let answer = self.sessions.call(bank, connection, request, call).await;
        answer.map_err(|status| of_status(connection.address(), &status))
    }

    /// The metadata `authorization` of the holder's session with the wallet's bank, for calls over
    /// [`Connection::channel`] that this crate does not wrap. Get it anew for each call.
    pub async fn authorization(&self) -> Result<MetadataValue<Ascii>, ClientError> {
        let authorization = self.sessions.authorization(self.account.bank, &self.connection).await;
        authorization.map_err(|status| of_status(self.connection.address(), &status))
    }

    /// Reads at the wallet's own bank.
    async fn read<M: Clone, T, F>(
        &self,
        message: M,
        call: impl Fn(BankClient<Channel>, Request<M>) -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let answer = self.sessions.call(self.account.bank, &self.connection, message, call).await;
        answer.map_err(|status| of_status(self.connection.address(), &status))
    }

    /// A page of the wallet's payments, newest first. `page_size` is at most 500; `from` is an earlier page's `next`.
    pub async fn history(&self, page_size: u32, from: Option<String>) -> Result<HistoryPage, ClientError> {
        let message = v1::ListPaymentsRequest {
            account: self.account.to_string(),
            page_size,
            page_token: from.unwrap_or_default(),
        };
        let answer = self.read(message, |mut bank, request| async move { bank.list_payments(request).await }).await?;
        HistoryPage::from_message(answer).map_err(|reason| self.connection.bad_answer(reason))
    }

    /// The receipt of the command at a position, checked against genesis.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the bank does not have it yet; [`ClientError::Proof`] and
    /// [`ClientError::OtherReceipt`] if it does not prove that command.
    pub async fn receipt(&self, position: BlockPosition) -> Result<VerifiedReceipt, ClientError> {
        let message = v1::get_bank_receipt_request::BlockPosition { height: position.height.0, index: position.index };
        self.checked_receipt(v1::get_bank_receipt_request::Command::Position(message)).await?.expect_position(position)
    }

    /// The receipt of this wallet's command with a sequence number, checked against genesis.
    ///
    /// # Errors
    /// Like [`Wallet::receipt`].
    pub async fn receipt_of_sequence(&self, sequence: u64) -> Result<VerifiedReceipt, ClientError> {
        let message = v1::get_bank_receipt_request::SequenceNumber { account: self.account.to_string(), sequence };
        let receipt = self.checked_receipt(v1::get_bank_receipt_request::Command::Sequence(message)).await?;
        receipt.expect_sequence(self.account, sequence)
    }

    async fn checked_receipt(
        &self,
        command: v1::get_bank_receipt_request::Command,
    ) -> Result<VerifiedReceipt, ClientError> {
        let request = v1::GetBankReceiptRequest { command: Some(command), command_hash: Bytes::new() };
        let message = self.read(request, |mut bank, request| async move { bank.get_receipt(request).await }).await?;
        let receipt = convert::receipt_from_message(&message).map_err(|status| self.connection.unreadable(status))?;
        self.anchor.check(&self.connection, || VerifiedReceipt::check(receipt.clone(), &self.anchor)).await
    }
}
