//! A bank on loopback that answers as a test tells it to, and remembers what it was sent.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use cbdc_client::{Anchor, BankId, NetworkFolder, Reason, Wallet};
use cbdc_ledger::Outcome;
use cbdc_ledger::command::{SessionStatement, SignedSession};
use cbdc_proto::answers::Answers;
use cbdc_proto::convert::{outcome_to_message, receipt_to_message};
use cbdc_proto::packed::{Answer, State};
use cbdc_proto::status::of_refusal;
use cbdc_proto::transport::{ClientAuthentication, incoming};
use cbdc_proto::v1;
use cbdc_proto::v1::bank_server::{Bank, BankServer};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::receipt::payer;
use super::{central_bank_key, receipt, write_network};

/// A stream's reaction to a batch: the messages to send, and whether it breaks after them.
pub type OnBatch = dyn Fn(&v1::CommandBatch) -> (Vec<v1::OutcomeBatch>, bool) + Send + Sync;

/// The script of a bank, shared with the test.
#[derive(Default)]
pub struct Script {
    /// The answers to transfers, in order; the last one is given again and again.
    pub transfers: Mutex<VecDeque<Result<Answer, Status>>>,
    /// Every transfer, in order.
    pub submitted: Mutex<Vec<v1::SignedPayment>>,
    /// Whether each of them might be accepted.
    pub may_accept: Mutex<Vec<bool>>,
    pub next_sequence: Mutex<u64>,
    /// The id that the bank states; its own network's without it.
    pub network_id: Mutex<Option<[u8; 32]>>,
    pub on_batch: Mutex<Option<Arc<OnBatch>>>,
    /// Every request to open a wallet, in order.
    pub opened: Mutex<Vec<v1::OpenWalletRequest>>,
    pub history: Mutex<Vec<v1::PaymentEntry>>,
    /// Every session that was opened, in order; only the newest counts.
    pub sessions: Mutex<Vec<SessionStatement>>,
    /// How long a session lasts; 15 minutes without it.
    pub session_ms: Mutex<Option<u64>>,
    /// Tokens that the bank does not know any more.
    pub forgotten: Mutex<Vec<String>>,
}

impl Script {
    fn require_newest_session<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let found = request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let expected = format!("Bearer token-{}", self.sessions.lock().unwrap().len());
        if self.forgotten.lock().unwrap().contains(&expected) || found != Some(expected) {
            return Err(of_refusal(&Outcome::refused(Reason::NoSession, 0, 0)));
        }
        Ok(())
    }
}

/// A running bank and the folder of its network.
pub struct FakeBank {
    pub script: Arc<Script>,
    pub folder: NetworkFolder,
    pub dir: tempfile::TempDir,
}

impl FakeBank {
    pub async fn start() -> FakeBank {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let identity = write_network(dir.path(), &listener.local_addr().unwrap().to_string());
        let folder = NetworkFolder::open(dir.path()).unwrap();
        let script = Arc::new(Script { next_sequence: Mutex::new(1), ..Script::default() });
        let service = Service { script: script.clone(), anchor: folder.anchor().clone() };
        let no_members = ClientAuthentication::Optional(Arc::new(|_: &cbdc_ledger::PublicKey| false));
        let incoming = incoming(listener.into(), &identity, no_members).unwrap();
        let server = tonic::transport::Server::builder().add_service(BankServer::new(service));
        tokio::spawn(server.serve_with_incoming(incoming));
        FakeBank { script, folder, dir }
    }

    /// The wallet that the bank knows, with account 7.
    pub fn wallet(&self) -> Wallet {
        let connection = self.folder.connect_customer(BankId(1)).unwrap();
        Wallet::new(connection, self.folder.anchor().clone(), super::key(99), payer())
    }

    /// Answers transfers in this order; the last answer is given again and again.
    pub fn answer_transfers(&self, answers: impl IntoIterator<Item = Result<Answer, Status>>) {
        *self.script.transfers.lock().unwrap() = answers.into_iter().collect();
    }

    pub fn on_batch(&self, react: impl Fn(&v1::CommandBatch) -> (Vec<v1::OutcomeBatch>, bool) + Send + Sync + 'static) {
        *self.script.on_batch.lock().unwrap() = Some(Arc::new(react));
    }
}

/// The message that answers a batch, one answer a payment.
pub fn answered(batch_id: u64, answers: &[Answer]) -> v1::OutcomeBatch {
    Answers::from(answers).into_message(batch_id, false)
}

struct Service {
    script: Arc<Script>,
    anchor: Arc<Anchor>,
}

type Reply<T> = Result<Response<T>, Status>;

/// Calls that no test makes, in the form that `async_trait` gives them.
macro_rules! not_scripted {
    ($($call:ident: $request:ty => $response:ty,)*) => {$(
        fn $call<'a, 'b>(&'a self, _: Request<$request>) -> Pin<Box<dyn Future<Output = Reply<$response>> + Send + 'b>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async { Err(Status::unimplemented(stringify!($call))) })
        }
    )*};
}

#[tonic::async_trait]
impl Bank for Service {
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Reply<v1::BankStatus> {
        let network_id = self.script.network_id.lock().unwrap().unwrap_or(self.anchor.network().0);
        Ok(Response::new(v1::BankStatus { network_id: network_id.to_vec().into(), ..v1::BankStatus::default() }))
    }

    async fn begin_session(&self, _: Request<v1::BeginSessionRequest>) -> Reply<v1::BeginSessionResponse> {
        let challenge = vec![7; 32].into();
        Ok(Response::new(v1::BeginSessionResponse { challenge, expires_at_ms: 1_800_000_000_000 }))
    }

    async fn open_session(&self, request: Request<v1::OpenSessionRequest>) -> Reply<v1::OpenSessionResponse> {
        let signed = SignedSession::from_bytes(&request.into_inner().statement).unwrap();
        assert!(signed.is_signed_by(self.anchor.network(), super::key(99).public_key()));
        let mut sessions = self.script.sessions.lock().unwrap();
        sessions.push(signed.statement);
        let expires_in_ms = self.script.session_ms.lock().unwrap().unwrap_or(900_000);
        Ok(Response::new(v1::OpenSessionResponse { token: format!("token-{}", sessions.len()), expires_in_ms }))
    }

    async fn open_wallet(&self, request: Request<v1::OpenWalletRequest>) -> Reply<v1::OpenWalletResponse> {
        self.script.opened.lock().unwrap().push(request.into_inner());
        Ok(Response::new(v1::OpenWalletResponse { account: payer().to_string(), outcome: None }))
    }

    async fn get_wallet(&self, request: Request<v1::GetWalletRequest>) -> Reply<v1::Wallet> {
        self.script.require_newest_session(&request)?;
        let next_sequence = *self.script.next_sequence.lock().unwrap();
        let wallet = v1::Wallet {
            account: payer().to_string(),
            next_sequence,
            available_minor: 5,
            height: 17,
            ..v1::Wallet::default()
        };
        Ok(Response::new(wallet))
    }

    async fn submit_transfer(&self, request: Request<v1::SubmitTransferRequest>) -> Reply<v1::SubmitTransferResponse> {
        let request = request.into_inner();
        self.script.may_accept.lock().unwrap().push(request.accept_when_unreachable);
        self.script.submitted.lock().unwrap().push(request.payment.unwrap());
        let mut answers = self.script.transfers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        let answer = answer.expect("the test scripts transfers")?;
        let state = match answer.state {
            State::Accepted => v1::submit_transfer_response::State::Accepted,
            _ => v1::submit_transfer_response::State::Final,
        };
        let outcome = Some(outcome_to_message(&answer.outcome, answer.height, answer.index));
        Ok(Response::new(v1::SubmitTransferResponse { state: state.into(), outcome }))
    }

    type SubmitTransfersStream = ReceiverStream<Result<v1::OutcomeBatch, Status>>;

    async fn submit_transfers(
        &self,
        request: Request<Streaming<v1::CommandBatch>>,
    ) -> Reply<Self::SubmitTransfersStream> {
        let (mut batches, (replies, outgoing)) = (request.into_inner(), mpsc::channel(16));
        let react = self.script.on_batch.lock().unwrap().clone().expect("the test scripts batches");
        tokio::spawn(async move {
            while let Some(Ok(batch)) = batches.next().await {
                let (messages, breaks) = react(&batch);
                for message in messages {
                    replies.send(Ok(message)).await.ok();
                }
                if breaks {
                    replies.send(Err(Status::unavailable("the node stops"))).await.ok();
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn get_receipt(&self, _: Request<v1::GetBankReceiptRequest>) -> Reply<v1::Receipt> {
        // The same receipt, whatever is asked for: the client must notice.
        Ok(Response::new(receipt_to_message(&receipt::receipt(&self.anchor, &central_bank_key()))))
    }

    async fn list_payments(&self, _: Request<v1::ListPaymentsRequest>) -> Reply<v1::ListPaymentsResponse> {
        let payments = self.script.history.lock().unwrap().clone();
        Ok(Response::new(v1::ListPaymentsResponse { payments, ..v1::ListPaymentsResponse::default() }))
    }

    not_scripted! {
        quote_transfer: v1::QuoteTransferRequest => v1::Quote,
        submit_holder_command: v1::SubmitHolderCommandRequest => v1::Outcome,
        consent: v1::ConsentRequest => v1::ConsentResponse,
        list_holds: v1::ListHoldsRequest => v1::ListHoldsResponse,
        fund: v1::FundRequest => v1::FundResponse,
        defund: v1::DefundRequest => v1::DefundResponse,
        get_deposit: v1::GetDepositRequest => v1::Deposit,
        credit_deposit: v1::CreditDepositRequest => v1::Deposit,
        request_issuance: v1::RequestBankIssuanceRequest => v1::RequestBankIssuanceResponse,
        capture_hold: v1::CaptureHoldRequest => v1::Outcome,
        void_hold: v1::VoidHoldRequest => v1::Outcome,
        report_deposits: v1::ReportDepositsRequest => v1::ReportDepositsResponse,
        list_deposits: v1::ListDepositsRequest => v1::ListDepositsResponse,
        accept_deposits: v1::AcceptDepositsRequest => v1::AcceptDepositsResponse,
        transfer_reserves: v1::TransferReservesRequest => v1::Outcome,
        close_wallet: v1::CloseWalletRequest => v1::Outcome,
        get_treasury: v1::GetTreasuryRequest => v1::Treasury,
    }
}
