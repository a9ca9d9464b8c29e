//! The bank's gRPC service, as `proto/cbdc/v1/bank.proto` documents it, with one module per kind of call:
//!
//! | module | calls |
//! |---|---|
//! | [`session`] | opening sessions; identifying callers |
//! | [`wallet`] | open, get, deposit, quote |
//! | [`payment`] | transfers and defunds, singly and in volume, counted by [`tally`] |
//! | [`top_up`] | transfers above the payer's balance, topped up from the deposit |
//! | [`holder_command`] | all other commands that holders sign |
//! | [`consent`] | the bank's consent to holders' requests |
//! | [`hold`] | open holds; capturing and voiding them |
//! | [`funding`] | funding, from the deposit to the wallet |
//! | [`back_office`] | credits, issuance, statements, reserves, closing, treasury: only with the bank's own node key |
//! | [`history`] | receipts and past payments |
//!
//! Each keeps only what it needs. They share [`context`], and build on [`own_command`] (commands that the bank signs),
//! [`own_request`] (those that the back office names by an id), [`payment_relay`] (payments as they are), [`admission`]
//! (which of them are relayed), [`records`] (the facts about a record that a holder signed, including [`unanswered`]
//! copies) and [`record_status`] (what may be answered about it).
//!
//! A command that was ordered is answered with OK and its outcome, settled or refused. One that was not ordered is a
//! status with `google.rpc.ErrorInfo`. *Settled* is answered only once the central bank or the chain has said so.

mod admission;
mod back_office;
mod consent;
mod context;
mod funding;
mod history;
mod hold;
mod holder_command;
mod own_command;
mod own_request;
mod payment;
mod payment_relay;
mod record_status;
mod records;
mod session;
mod staged_balances;
mod tally;
mod top_up;
mod unanswered;
mod wallet;

use std::sync::Arc;

use cbdc_proto::v1;
use tonic::{Request, Response, Status, Streaming};

pub use admission::Admission;
pub use back_office::BackOfficeService;
pub use consent::ConsentService;
pub use context::BankContext;
pub use funding::FundingService;
pub use history::HistoryService;
pub use hold::HoldService;
pub use holder_command::HolderCommandService;
pub use own_command::OwnCommands;
pub use own_request::OwnRequestSender;
pub use payment::PaymentService;
pub use payment_relay::PaymentRelay;
pub use records::{Records, latest_valid_until};
pub use session::SessionService;
pub use staged_balances::StagedBalances;
pub use top_up::TopUpService;
pub use unanswered::Unanswered;
pub use wallet::WalletService;

/// The gRPC service: each call goes to the part that serves it.
#[derive(Clone)]
pub struct BankService {
    pub sessions: Arc<SessionService>,
    pub wallets: Arc<WalletService>,
    pub payments: Arc<PaymentService>,
    pub holder_commands: Arc<HolderCommandService>,
    pub consents: Arc<ConsentService>,
    pub holds: Arc<HoldService>,
    pub funding: Arc<FundingService>,
    pub history: Arc<HistoryService>,
    pub back_office: Arc<BackOfficeService>,
}

#[tonic::async_trait]
impl v1::bank_server::Bank for BankService {
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::BankStatus>, Status> {
        Ok(Response::new(self.wallets.status()))
    }

    async fn begin_session(
        &self,
        _: Request<v1::BeginSessionRequest>,
    ) -> Result<Response<v1::BeginSessionResponse>, Status> {
        Ok(Response::new(self.sessions.begin()))
    }

    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        self.sessions.open_in_turn(&request.into_inner()).await.map(Response::new)
    }

    async fn open_wallet(
        &self,
        request: Request<v1::OpenWalletRequest>,
    ) -> Result<Response<v1::OpenWalletResponse>, Status> {
        self.wallets.open_in_turn(request.into_inner()).await.map(Response::new)
    }

    async fn get_wallet(&self, request: Request<v1::GetWalletRequest>) -> Result<Response<v1::Wallet>, Status> {
        let caller = self.sessions.caller(&request);
        self.wallets.get(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn quote_transfer(&self, request: Request<v1::QuoteTransferRequest>) -> Result<Response<v1::Quote>, Status> {
        let caller = self.sessions.caller(&request);
        self.wallets.quote_transfer(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn submit_transfer(
        &self,
        request: Request<v1::SubmitTransferRequest>,
    ) -> Result<Response<v1::SubmitTransferResponse>, Status> {
        self.payments.submit_one(request.into_inner()).await.map(Response::new)
    }

    type SubmitTransfersStream = payment::OutcomeBatches;

    async fn submit_transfers(
        &self,
        request: Request<Streaming<v1::CommandBatch>>,
    ) -> Result<Response<Self::SubmitTransfersStream>, Status> {
        Ok(Response::new(self.payments.clone().submit_many(request.into_inner())))
    }

    async fn submit_holder_command(
        &self,
        request: Request<v1::SubmitHolderCommandRequest>,
    ) -> Result<Response<v1::Outcome>, Status> {
        self.holder_commands.submit(request.into_inner()).await.map(Response::new)
    }

    async fn consent(&self, request: Request<v1::ConsentRequest>) -> Result<Response<v1::ConsentResponse>, Status> {
        let by_back_office = self.sessions.caller(&request).is_back_office();
        self.consents.consent(&request.into_inner(), by_back_office).map(Response::new)
    }

    async fn list_holds(
        &self,
        request: Request<v1::ListHoldsRequest>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        let caller = self.sessions.caller(&request);
        self.holds.list(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn fund(&self, request: Request<v1::FundRequest>) -> Result<Response<v1::FundResponse>, Status> {
        let caller = self.sessions.caller(&request);
        self.funding.fund(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn defund(&self, request: Request<v1::DefundRequest>) -> Result<Response<v1::DefundResponse>, Status> {
        self.payments.defund(request.into_inner()).await.map(Response::new)
    }

    async fn get_deposit(&self, request: Request<v1::GetDepositRequest>) -> Result<Response<v1::Deposit>, Status> {
        let caller = self.sessions.caller(&request);
        self.wallets.deposit(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn get_receipt(&self, request: Request<v1::GetBankReceiptRequest>) -> Result<Response<v1::Receipt>, Status> {
        let caller = self.sessions.caller(&request);
        self.history.receipt(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn list_payments(
        &self,
        request: Request<v1::ListPaymentsRequest>,
    ) -> Result<Response<v1::ListPaymentsResponse>, Status> {
        let caller = self.sessions.caller(&request);
        self.history.list(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn credit_deposit(
        &self,
        request: Request<v1::CreditDepositRequest>,
    ) -> Result<Response<v1::Deposit>, Status> {
        self.back_office.require(&request)?;
        self.back_office.credit(&request.into_inner()).await.map(Response::new)
    }

    async fn request_issuance(
        &self,
        request: Request<v1::RequestBankIssuanceRequest>,
    ) -> Result<Response<v1::RequestBankIssuanceResponse>, Status> {
        self.back_office.require(&request)?;
        self.back_office.request_issuance(&request.into_inner()).await.map(Response::new)
    }

    async fn capture_hold(&self, request: Request<v1::CaptureHoldRequest>) -> Result<Response<v1::Outcome>, Status> {
        self.back_office.require(&request)?;
        self.holds.capture(&request.into_inner()).await.map(Response::new)
    }

    async fn void_hold(&self, request: Request<v1::VoidHoldRequest>) -> Result<Response<v1::Outcome>, Status> {
        self.back_office.require(&request)?;
        self.holds.void(&request.into_inner()).await.map(Response::new)
    }

    async fn report_deposits(
        &self,
        request: Request<v1::ReportDepositsRequest>,
    ) -> Result<Response<v1::ReportDepositsResponse>, Status> {
        self.back_office.require(&request)?;
        self.back_office.report_deposits().await.map(Response::new)
    }

    async fn list_deposits(
        &self,
        request: Request<v1::ListDepositsRequest>,
    ) -> Result<Response<v1::ListDepositsResponse>, Status> {
        self.back_office.require(&request)?;
        self.back_office.list_deposits(&request.into_inner()).await.map(Response::new)
    }

    async fn accept_deposits(
        &self,
        request: Request<v1::AcceptDepositsRequest>,
    ) -> Result<Response<v1::AcceptDepositsResponse>, Status> {
        self.back_office.require(&request)?;
        self.back_office.accept_deposits(&request.into_inner()).await.map(Response::new)
    }

    async fn transfer_reserves(
        &self,
        request: Request<v1::TransferReservesRequest>,
    ) -> Result<Response<v1::Outcome>, Status> {
        self.back_office.require(&request)?;
        self.back_office.transfer_reserves(&request.into_inner()).await.map(Response::new)
    }

    async fn close_wallet(&self, request: Request<v1::CloseWalletRequest>) -> Result<Response<v1::Outcome>, Status> {
        self.back_office.require(&request)?;
        self.back_office.close_wallet(&request.into_inner()).await.map(Response::new)
    }

    async fn get_treasury(&self, request: Request<v1::GetTreasuryRequest>) -> Result<Response<v1::Treasury>, Status> {
        self.back_office.require(&request)?;
        self.back_office.treasury().map(Response::new)
    }
}
