//! A scripted node of the central bank: it stands before a real one, and passes on to it what a node would do itself.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use cbdc_client::{BankId, MemberId, Role};
use cbdc_devnet::Network;
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::Answer;
use cbdc_proto::status::not_leader;
use cbdc_proto::transport::{ClientAuthentication, MESSAGE_BYTES_MAX, connect, incoming};
use cbdc_proto::v1;
use cbdc_proto::v1::leadership_server::{Leadership, LeadershipServer};
use cbdc_proto::v1::settlement_client::SettlementClient;
use cbdc_proto::v1::settlement_server::{Settlement, SettlementServer};
use futures::Stream;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

/// What a front does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// It leads, in this term.
    Leads(u64),
    /// It does not lead, and names the leader if it knows one.
    Follows(Option<SocketAddr>),
    /// The same, and it has none of the chain yet.
    Lags(Option<SocketAddr>),
    /// It leads as far as it knows, and answers *unknown* to everything, whatever becomes of it.
    Doubts(u64),
    /// It accepts everything and never answers.
    Frozen,
    /// Its streams break, and it answers no call.
    Gone,
}

/// A node of the central bank, by what it does.
pub struct Front {
    pub address: SocketAddr,
    part: watch::Sender<Part>,
    asked: Arc<AtomicUsize>,
}

impl Front {
    /// A front with the central bank's own key, before the real node. It speaks to it as bank 1.
    pub async fn start(network: &Network, number: u32, part: Part) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (part, asked) = (watch::Sender::new(part), Arc::new(AtomicUsize::new(0)));
        let node = network.central_bank();
        let trust = network.anchor().trust(node.role(), node.id()).unwrap();
        let as_bank = network.identity(Role::Bank, MemberId(BankId(1).0)).unwrap();
        let real = connect(network.address(node).unwrap(), Some(&as_bank), &trust).unwrap();
        let service = Service { number, address, part: part.subscribe(), asked: asked.clone(), real };
        let identity = network.identity(Role::CentralBank, MemberId(1)).unwrap();
        let anybody = ClientAuthentication::Optional(Arc::new(|_: &cbdc_ledger::PublicKey| true));
        let settlement = SettlementServer::new(service.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let server = tonic::transport::Server::builder()
            .add_service(settlement)
            .add_service(LeadershipServer::new(service.clone()))
            .add_service(Chain(service.clone()))
            .add_service(Policy(service.clone()))
            .add_service(Health(service));
        tokio::spawn(server.serve_with_incoming(incoming(listener.into(), &identity, anybody).unwrap()));
        Front { address, part, asked }
    }

    /// Makes it do something else from now on.
    pub fn becomes(&self, part: Part) {
        self.part.send_replace(part);
    }

    /// How often it was asked for a stream or for who leads.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Service {
    number: u32,
    address: SocketAddr,
    part: watch::Receiver<Part>,
    asked: Arc<AtomicUsize>,
    real: Channel,
}

impl Service {
    /// Waits while it is frozen; an error unless it leads.
    async fn leads(&self) -> Result<Part, Status> {
        let mut part = self.part.clone();
        let part = part.wait_for(|part| *part != Part::Frozen).await.map_err(|_| gone())?.clone();
        match &part {
            Part::Leads(_) | Part::Doubts(_) => Ok(part),
            Part::Follows(leader) | Part::Lags(leader) => Err(not_leader(leader.map(|at| at.to_string()).as_deref())),
            Part::Frozen | Part::Gone => Err(gone()),
        }
    }

    fn real(&self) -> SettlementClient<Channel> {
        SettlementClient::new(self.real.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

fn gone() -> Status {
    Status::unavailable("the connection broke")
}

#[tonic::async_trait]
impl Settlement for Service {
    type SubmitStream = Pin<Box<dyn Stream<Item = Result<v1::OutcomeBatch, Status>> + Send>>;

    async fn submit(
        &self,
        request: Request<Streaming<v1::CommandBatch>>,
    ) -> Result<Response<Self::SubmitStream>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.leads().await?;
        let mut batches = request.into_inner();
        let sent = async_stream::stream! {
            while let Ok(Some(batch)) = batches.message().await {
                yield batch;
            }
        };
        let mut answers = self.real().submit(sent).await?.into_inner();
        let (service, mut part) = (self.clone(), self.part.clone());
        let answered = async_stream::try_stream! {
            loop {
                let began_as = service.leads().await?;
                // `None` when it does something else now.
                let answer = tokio::select! {
                    answer = answers.message() => Some(answer),
                    _ = part.wait_for(|part| *part != began_as) => None,
                };
                let Some(answer) = answer else { continue };
                let Some(answer) = answer? else { break };
                if let Part::Doubts(_) = began_as {
                    let batch = answer.batch_id;
                    let count = Answers::from_message(answer).map_err(Status::internal)?.len();
                    yield Answers::all(Answer::unknown(), count).into_message(batch, false);
                } else {
                    service.leads().await?;
                    yield answer;
                }
            }
        };
        Ok(Response::new(Box::pin(answered)))
    }

    async fn submit_command(
        &self,
        request: Request<v1::SubmitCommandRequest>,
    ) -> Result<Response<v1::Outcome>, Status> {
        self.leads().await?;
        self.real().submit_command(request.into_inner()).await
    }

    async fn request_issuance(
        &self,
        request: Request<v1::RequestIssuanceRequest>,
    ) -> Result<Response<v1::RequestIssuanceResponse>, Status> {
        self.leads().await?;
        self.real().request_issuance(request.into_inner()).await
    }

    async fn get_wallet(&self, request: Request<v1::GetWalletRequest>) -> Result<Response<v1::Wallet>, Status> {
        self.leads().await?;
        self.real().get_wallet(request.into_inner()).await
    }

    async fn quote_transfer(&self, request: Request<v1::QuoteTransferRequest>) -> Result<Response<v1::Quote>, Status> {
        self.leads().await?;
        self.real().quote_transfer(request.into_inner()).await
    }

    async fn list_holds(
        &self,
        request: Request<v1::ListHoldsRequest>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        self.leads().await?;
        self.real().list_holds(request.into_inner()).await
    }
}

#[tonic::async_trait]
impl Leadership for Service {
    async fn get_leadership(
        &self,
        _: Request<v1::GetLeadershipRequest>,
    ) -> Result<Response<v1::GetLeadershipResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut part = self.part.clone();
        let part = part.wait_for(|part| *part != Part::Frozen).await.map_err(|_| gone())?.clone();
        let node = |member, address: SocketAddr, part: v1::NodePart| v1::CentralBankNode {
            member,
            address: address.to_string(),
            part: part.into(),
            lag_entries: None,
        };
        let own = node(self.number, self.address, v1::NodePart::Follower);
        let (term, leader, nodes) = match part {
            Part::Leads(term) | Part::Doubts(term) => (term, Some(self.number), vec![own]),
            Part::Follows(Some(at)) | Part::Lags(Some(at)) => {
                (0, Some(99), vec![own, node(99, at, v1::NodePart::Leader)])
            }
            Part::Follows(None) | Part::Lags(None) => (0, None, vec![own]),
            Part::Frozen | Part::Gone => return Err(gone()),
        };
        let member = self.number;
        Ok(Response::new(v1::GetLeadershipResponse { member, leader, term, height: 0, last_hand_over_ms: None, nodes }))
    }

    async fn hand_over(&self, _: Request<v1::HandOverRequest>) -> Result<Response<v1::HandOverResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// Passes a service's requests on to the real node, whoever leads.
macro_rules! passed_on {
    ($service:ident, $name:literal) => {
        #[derive(Clone)]
        struct $service(Service);

        impl tonic::server::NamedService for $service {
            const NAME: &'static str = $name;
        }

        impl tower::Service<http::Request<Body>> for $service {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Body>) -> Self::Future {
                let Service { mut part, real, .. } = self.0.clone();
                Box::pin(async move {
                    let now = part.wait_for(|part| *part != Part::Frozen).await.map(|part| part.clone());
                    let refused = match now {
                        Ok(Part::Gone) | Err(_) => gone(),
                        Ok(Part::Lags(_)) => Status::not_found("there is no block yet"),
                        Ok(_) => match tower::ServiceExt::oneshot(real, request).await {
                            Ok(response) => return Ok(response),
                            Err(error) => Status::unavailable(error.to_string()),
                        },
                    };
                    Ok(refused.into_http())
                })
            }
        }
    };
}

passed_on!(Chain, "cbdc.v1.Chain");
passed_on!(Policy, "cbdc.v1.Policy");
passed_on!(Health, "grpc.health.v1.Health");
