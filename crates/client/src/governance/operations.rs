//! The operator: issuance that banks request, operations with banks, and the clock.

use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::command::{IssuanceOrder, IssuanceRequest, Operation, OperationKind, Signed};
use cbdc_ledger::member::Role;
use cbdc_ledger::time::LedgerDay;
use cbdc_ledger::{Amount, BankId, Timestamp};
use cbdc_proto::v1;

use super::GovernanceClient;
use crate::error::ClientError;
use crate::submission::SubmissionStatus;

/// The terms of an operation apart from kind, bank and amount; zero if its kind does not use them.
#[derive(Clone, Copy, Default)]
struct Terms {
    price_ppm: u32,
    rate: RatePpm,
    matures: LedgerDay,
}

impl GovernanceClient {
    /// The banks' signed issuance requests that wait for the operator.
    pub async fn waiting_requests(&self) -> Result<Vec<Signed<IssuanceRequest>>, ClientError> {
        let message = v1::ListIssuanceRequestsRequest {};
        let answer = self
            .ask(message, |mut policy, request| async move { policy.list_issuance_requests(request).await })
            .await?;
        let read = |bytes: &bytes::Bytes| {
            Signed::<IssuanceRequest>::from_bytes(bytes).map_err(|error| self.central_bank.any().bad_answer(error))
        };
        answer.requests.iter().map(read).collect()
    }

    /// Endorses a bank's request: signs and submits the order on it.
    pub async fn endorse(&self, request: Signed<IssuanceRequest>) -> Result<SubmissionStatus, ClientError> {
        self.command(Role::Operator, |head, operator| IssuanceOrder { head, operator, request }).await
    }

    /// Rejects a bank's waiting request for good: it is no longer listed, the bank is told when it asks again, and no
    /// operator can order it any more.
    pub async fn reject(&self, request: &Signed<IssuanceRequest>) -> Result<(), ClientError> {
        let (bank, sequence) = (u32::from(request.record.bank.0), request.record.head.sequence);
        let message = v1::RejectIssuanceRequestRequest { bank, sequence };
        self.ask(message, |mut policy, request| async move { policy.reject_issuance_request(request).await })
            .await
            .map(drop)
    }

    /// Makes an operation without terms: banknotes, government payments, overnight facilities, collateral.
    ///
    /// # Errors
    /// [`ClientError::Usage`] for a kind that needs a price ([`buy_securities`](GovernanceClient::buy_securities),
    /// [`sell_securities`](GovernanceClient::sell_securities)) or a rate and a maturity
    /// ([`refinance`](GovernanceClient::refinance)).
    pub async fn operate(
        &self,
        kind: OperationKind,
        bank: BankId,
        amount: Amount,
    ) -> Result<SubmissionStatus, ClientError> {
        let missing = match kind {
            OperationKind::BuySecurities | OperationKind::SellSecurities => "a price",
            OperationKind::Refinance => "a rate and a maturity",
            _ => return self.operation(kind, bank, amount, Terms::default()).await,
        };
        Err(ClientError::Usage(format!("expected {missing} for {}, found none", kind.kind().name())))
    }

    /// Buys securities of a nominal amount from a bank. A price of 1,000,000 ppm is par.
    pub async fn buy_securities(
        &self,
        bank: BankId,
        nominal: Amount,
        price_ppm: u32,
    ) -> Result<SubmissionStatus, ClientError> {
        let terms = Terms { price_ppm, ..Terms::default() };
        self.operation(OperationKind::BuySecurities, bank, nominal, terms).await
    }

    /// Sells securities of a nominal amount to a bank. A price of 1,000,000 ppm is par.
    pub async fn sell_securities(
        &self,
        bank: BankId,
        nominal: Amount,
        price_ppm: u32,
    ) -> Result<SubmissionStatus, ClientError> {
        let terms = Terms { price_ppm, ..Terms::default() };
        self.operation(OperationKind::SellSecurities, bank, nominal, terms).await
    }

    /// Lends to a bank at a yearly rate until the beginning of a ledger day.
    pub async fn refinance(
        &self,
        bank: BankId,
        amount: Amount,
        rate: RatePpm,
        matures: LedgerDay,
    ) -> Result<SubmissionStatus, ClientError> {
        let terms = Terms { rate, matures, ..Terms::default() };
        self.operation(OperationKind::Refinance, bank, amount, terms).await
    }

    async fn operation(
        &self,
        kind: OperationKind,
        bank: BankId,
        amount: Amount,
        terms: Terms,
    ) -> Result<SubmissionStatus, ClientError> {
        let Terms { price_ppm, rate, matures } = terms;
        let operation = |head, operator| Operation { kind, head, operator, bank, amount, price_ppm, rate, matures };
        self.command(Role::Operator, operation).await
    }

    /// The central bank's clock, those of the banks, and what would fall due if the clock were accepted.
    pub async fn clock(&self) -> Result<v1::ClockState, ClientError> {
        let message = v1::GetClockRequest {};
        self.ask(message, |mut policy, request| async move { policy.get_clock(request).await }).await
    }

    /// Accepts the central bank's clock as it is now, after it has jumped. Returns that clock's time.
    pub async fn accept_clock(&self) -> Result<Timestamp, ClientError> {
        let message = v1::AcceptClockRequest {};
        let answer = self.ask(message, |mut policy, request| async move { policy.accept_clock(request).await }).await?;
        Ok(Timestamp(answer.time_ms))
    }
}
