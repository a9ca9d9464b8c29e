//! The bank's gRPC service, as `proto/cbdc/v1/bank.proto` documents it. One room for each kind of caller's wish:
//!
//! | room | calls |
//! |---|---|
//! | [`wallet`] | open, get, deposit |
//! | [`payment`] | transfers, defunds, quotes, in ones and in volume |
//! | [`top_up`] | transfers above the payer's balance, topped up from the deposit |
//! | [`holder_command`] | whatever else a holder signs |
//! | [`hold`] | open holds; capturing and voiding them |
//! | [`funding`] | from the deposit to the wallet |
//! | [`back_office`] | credits, issuance, statements, reserves, closing, treasury: with the bank's own node key only |
//! | [`history`] | receipts and past payments |
//!
//! A command that was ordered is answered with OK and its outcome, settled or refused. One that was not ordered is a status
//! with `google.rpc.ErrorInfo`. *Settled* is said only when the central bank or the chain has said so.

mod back_office;
mod funding;
mod history;
mod hold;
mod holder_command;
mod payment;
mod top_up;
mod wallet;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cbdc_ledger::command::Record;
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Amount, BankId, Command, Genesis, Height, MemberId, Outcome, Reason, Signed};
use cbdc_node::{Archive, ArchiveError, LedgerHandle, Membership};
use cbdc_proto::answers::Answers;
use cbdc_proto::convert::account;
use cbdc_proto::packed::{Answer, State};
use cbdc_proto::status::{invalid, not_authorised, of_reason, of_refusal, unavailable};
use cbdc_proto::v1;
use futures::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::central_bank_client::CentralBankClient;
use crate::deposit_service::DepositService;
use crate::history::History;
use crate::metrics::Metrics;
use crate::own_sequence::Taken;
use crate::precheck::EdgeVerifier;
use crate::relay::{CentralBankEndpoint, Relay};
use crate::signing::BankSigner;

/// How long the outcome of a command is waited for.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long it is waited for while the central bank cannot be reached.
const PATIENCE_UNREACHABLE: Duration = Duration::from_secs(2);
/// How long the replica is waited for after an outcome is known.
const REPLICA_PATIENCE: Duration = Duration::from_secs(5);
/// How often a command of the bank's own is signed anew because its number was used.
const NUMBERS_TRIED: usize = 8;

/// Everything that the service works with.
pub struct Desks {
    pub bank: BankId,
    pub genesis: Arc<Genesis>,
    pub ledger: LedgerHandle,
    pub membership: Membership,
    pub archive: Arc<Archive>,
    pub history: Arc<History>,
    pub desk: Arc<DepositService>,
    pub relay: Relay,
    pub signer: Arc<BankSigner>,
    pub precheck: Option<EdgeVerifier>,
    pub central_bank_endpoint: Arc<CentralBankEndpoint>,
    pub central_bank: CentralBankClient,
    pub accept_when_unreachable: bool,
    pub metrics: Arc<Metrics>,
    pub stop: CancellationToken,
}

#[derive(Clone)]
pub struct BankService(pub Arc<Desks>);

/// An amount field that must be more than zero.
fn positive_amount(amount_minor: u64) -> Result<Amount, Status> {
    match amount_minor {
        0 => Err(invalid("amount_minor", "expected more than 0, found 0")),
        minor => Ok(Amount::from_minor(minor)),
    }
}

impl Desks {
    /// Whether this bank keeps its own part of the chain only.
    fn is_partial_replica(&self) -> bool {
        self.ledger.read(|ledger| ledger.partial_replica_of().is_some())
    }

    /// An account of this bank, in IBAN form.
    fn own_account(&self, field: &str, text: &str) -> Result<AccountId, Status> {
        let account = account(field, text)?;
        if account.bank != self.bank {
            let sentence =
                format!("{field}: expected an account of bank {}, found one of bank {}", self.bank, account.bank);
            return Err(of_reason(Reason::WrongBank, sentence));
        }
        Ok(account)
    }

    /// An account that has a deposit here or may have one: of this bank, or linked to it.
    fn deposit_account(&self, field: &str, text: &str) -> Result<AccountId, Status> {
        let found = account(field, text)?;
        let is_linked = || {
            self.ledger.read(|ledger| ledger.open_wallet(found).is_some_and(|wallet| wallet.linked_bank == self.bank))
        };
        if found.bank == self.bank || self.desk.has_linked_deposit(found) || is_linked() {
            return Ok(found);
        }
        let sentence = format!(
            "{field}: expected an account of bank {}, or one that is linked to it; found one of bank {}",
            self.bank, found.bank
        );
        Err(of_reason(Reason::WrongBank, sentence))
    }

    /// Refuses an account that is no open wallet.
    fn require_open_wallet(&self, account: AccountId) -> Result<(), Status> {
        match self.ledger.read(|ledger| ledger.open_wallet(account).is_some()) {
            true => Ok(()),
            false => Err(of_refusal(&Outcome::refused(Reason::UnknownAccount, 0, 0))),
        }
    }

    /// Lets only the bank's own back office pass.
    fn require_back_office<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let (_, member) = self.membership.require(request, &[Role::Bank])?;
        if member != MemberId(self.bank.0) {
            return Err(not_authorised(format!(
                "expected the node key of bank {}, found that of bank {member}",
                self.bank
            )));
        }
        Ok(())
    }

    fn timeout(&self) -> Duration {
        if self.relay.is_reachable() { TIMEOUT } else { PATIENCE_UNREACHABLE }
    }

    /// Waits until the replica has followed the block at `height`; false if that takes too long.
    async fn replica_at(&self, height: Height) -> bool {
        let mut announced = self.ledger.announced();
        let reached = announced.wait_for(|reached| *reached >= height);
        matches!(tokio::time::timeout(REPLICA_PATIENCE, reached).await, Ok(Ok(_)))
    }

    /// Signs a command of the bank's own, hands it in, and waits until the replica has followed it. Its outcome is final.
    ///
    /// A number that turns out to be used is exchanged for another.
    async fn settle_own<R>(
        &self,
        validity: Duration,
        make: impl Fn(cbdc_ledger::command::Head) -> R,
    ) -> Result<Answer, Status>
    where
        R: Record,
        Signed<R>: Into<Command>,
    {
        let mut refusal = Outcome::refused(Reason::SequenceUsed, 0, 0);
        for _ in 0..NUMBERS_TRIED {
            let signed = self.signer.sign(validity, &make).map_err(|refusal| of_refusal(&refusal))?;
            let head = *signed.record.head();
            let taken = Taken::new(self.signer.numbers.clone(), head.sequence, head.valid_until);
            let command: Command = signed.into();
            let Ok(relayed) = self.relay.submit(command.to_bytes().into(), 1, self.timeout()) else {
                taken.never_sent();
                return Err(of_refusal(&Outcome::refused(Reason::Overloaded, 0, 0)));
            };
            let relayed = relayed.await;
            let answer = only_answer(&relayed.answers);
            if answer.state != State::Final {
                return Err(status_unknown());
            }
            if answer.is_ordered() {
                if self.replica_at(answer.height).await {
                    taken.used();
                }
                return Ok(answer);
            }
            refusal = answer.outcome;
            let number_was_taken = matches!(refusal.reason, Reason::SequenceUsed | Reason::SequenceConflict);
            if number_was_taken && relayed.resent {
                // The number may have been used by this very command: another one might act twice.
                return Err(status_unknown());
            }
            if !number_was_taken {
                if !relayed.resent {
                    taken.never_sent();
                }
                return Err(of_refusal(&refusal));
            }
        }
        Err(of_refusal(&refusal))
    }
}

/// The answer to the only command of a submission.
fn only_answer(answers: &Answers) -> Answer {
    answers.only().unwrap_or_else(Answer::unknown)
}

fn status_unknown() -> Status {
    unavailable(
        "the central bank has not answered: whether the command was ordered is not known; ask again, or send the same request again, which is safe",
    )
}

/// Looks something up that may touch the disk.
async fn look_up<R: Send + 'static>(
    desks: &Arc<Desks>,
    look: impl FnOnce(&Desks) -> Result<R, ArchiveError> + Send + 'static,
) -> Result<R, Status> {
    let desks = desks.clone();
    let looked = tokio::task::spawn_blocking(move || look(&desks)).await;
    looked.map_err(|_| unavailable("the node is stopping"))?.map_err(|error| {
        tracing::error!(%error, "the archive cannot be read");
        Status::data_loss(error.to_string())
    })
}

type Reply<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl v1::bank_server::Bank for BankService {
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::BankStatus>, Status> {
        Ok(Response::new(wallet::status(&self.0)))
    }

    async fn open_wallet(&self, request: Request<v1::OpenWalletRequest>) -> Result<Response<v1::Wallet>, Status> {
        wallet::open(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn get_wallet(&self, request: Request<v1::GetWalletRequest>) -> Result<Response<v1::Wallet>, Status> {
        wallet::get(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn quote_transfer(&self, request: Request<v1::QuoteTransferRequest>) -> Result<Response<v1::Quote>, Status> {
        payment::quote_transfer(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn submit_transfer(
        &self,
        request: Request<v1::SubmitTransferRequest>,
    ) -> Result<Response<v1::SubmitTransferResponse>, Status> {
        payment::submit_one(&self.0, request.into_inner()).await.map(Response::new)
    }

    type SubmitTransfersStream = Reply<v1::OutcomeBatch>;

    async fn submit_transfers(
        &self,
        request: Request<Streaming<v1::CommandBatch>>,
    ) -> Result<Response<Self::SubmitTransfersStream>, Status> {
        Ok(Response::new(payment::submit_many(self.0.clone(), request.into_inner())))
    }

    async fn submit_holder_command(
        &self,
        request: Request<v1::SubmitHolderCommandRequest>,
    ) -> Result<Response<v1::Outcome>, Status> {
        holder_command::submit(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn list_holds(
        &self,
        request: Request<v1::ListHoldsRequest>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        hold::list(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn fund(&self, request: Request<v1::FundRequest>) -> Result<Response<v1::FundResponse>, Status> {
        funding::fund(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn defund(&self, request: Request<v1::DefundRequest>) -> Result<Response<v1::DefundResponse>, Status> {
        payment::defund(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn get_deposit(&self, request: Request<v1::GetDepositRequest>) -> Result<Response<v1::Deposit>, Status> {
        wallet::deposit(&self.0, &request.into_inner()).map(Response::new)
    }

    async fn get_receipt(&self, request: Request<v1::GetBankReceiptRequest>) -> Result<Response<v1::Receipt>, Status> {
        history::receipt(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn list_payments(
        &self,
        request: Request<v1::ListPaymentsRequest>,
    ) -> Result<Response<v1::ListPaymentsResponse>, Status> {
        history::list(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn credit_deposit(
        &self,
        request: Request<v1::CreditDepositRequest>,
    ) -> Result<Response<v1::Deposit>, Status> {
        self.0.require_back_office(&request)?;
        back_office::credit(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn request_issuance(
        &self,
        request: Request<v1::RequestBankIssuanceRequest>,
    ) -> Result<Response<v1::RequestBankIssuanceResponse>, Status> {
        self.0.require_back_office(&request)?;
        back_office::request_issuance(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn capture_hold(&self, request: Request<v1::CaptureHoldRequest>) -> Result<Response<v1::Outcome>, Status> {
        self.0.require_back_office(&request)?;
        hold::capture(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn void_hold(&self, request: Request<v1::VoidHoldRequest>) -> Result<Response<v1::Outcome>, Status> {
        self.0.require_back_office(&request)?;
        hold::void(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn report_deposits(
        &self,
        request: Request<v1::ReportDepositsRequest>,
    ) -> Result<Response<v1::ReportDepositsResponse>, Status> {
        self.0.require_back_office(&request)?;
        back_office::report_deposits(&self.0).await.map(Response::new)
    }

    async fn transfer_reserves(
        &self,
        request: Request<v1::TransferReservesRequest>,
    ) -> Result<Response<v1::Outcome>, Status> {
        self.0.require_back_office(&request)?;
        back_office::transfer_reserves(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn close_wallet(&self, request: Request<v1::CloseWalletRequest>) -> Result<Response<v1::Outcome>, Status> {
        self.0.require_back_office(&request)?;
        back_office::close_wallet(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn get_treasury(&self, request: Request<v1::GetTreasuryRequest>) -> Result<Response<v1::Treasury>, Status> {
        self.0.require_back_office(&request)?;
        back_office::treasury(&self.0).map(Response::new)
    }
}
