//! The settlement service, where banks submit commands.

use std::pin::Pin;
use std::sync::Arc;

use cbdc_ledger::command::{IssuanceRequest, Signed};
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Command, MemberId, Outcome, Reason, Timestamp};
use cbdc_node::{LedgerHandle, Membership, NotAnnounced, Share, views};
use cbdc_proto::answers::Answers;
use cbdc_proto::convert::{account, outcome_to_message};
use cbdc_proto::packed::{Answer, State};
use cbdc_proto::status::{invalid, not_found, of_final_refusal, of_refusal, of_refusal_until, unavailable};
use cbdc_proto::transport::Peer;
use cbdc_proto::v1;
use futures::{Stream, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::batch::Reply;
use crate::intake::{Intake, decode_commands};
use crate::issuance_queue::IssuanceQueue;
use crate::leading::Leading;
use crate::witnesses::Witnesses;

/// Batches of one stream that may be in flight; beyond that, the stream is not read.
const BATCHES_IN_FLIGHT_MAX: usize = 256;

pub struct SettlementService {
    pub intake: Intake,
    pub membership: Membership,
    pub issuance_queue: IssuanceQueue,
    pub ledger: LedgerHandle,
    pub witnesses: Arc<Witnesses>,
    pub leading: Arc<Leading>,
}

impl SettlementService {
    fn require<T>(&self, request: &Request<T>, roles: &[Role]) -> Result<(Role, MemberId), Status> {
        self.witnesses.require(&self.membership, request, roles)
    }

    /// An account of the calling bank.
    fn account_of_caller<T>(&self, request: &Request<T>, field: &str, text: &str) -> Result<AccountId, Status> {
        let (_, bank) = self.require(request, &[Role::Bank])?;
        let found = account(field, text)?;
        if found.bank.0 != bank.0 {
            return Err(invalid(
                field,
                format!("expected an account of bank {bank}, found one of bank {}", found.bank),
            ));
        }
        Ok(found)
    }
}

type Replies = Pin<Box<dyn Stream<Item = Result<v1::OutcomeBatch, Status>> + Send>>;

#[tonic::async_trait]
impl v1::settlement_server::Settlement for SettlementService {
    type SubmitStream = Replies;

    async fn submit(&self, request: Request<Streaming<v1::CommandBatch>>) -> Result<Response<Replies>, Status> {
        let member = self.require(&request, &SUBMITTER_ROLES)?;
        self.leading.require().await?;
        let peer = Peer::of(&request);
        let batches = request.into_inner();
        let (sender, replies) = mpsc::unbounded_channel();
        let stream = CommandStream {
            member,
            peer,
            share: Share::current(),
            intake: self.intake.clone(),
            membership: self.membership.clone(),
            witnesses: self.witnesses.clone(),
            leading: self.leading.clone(),
            replies: sender,
            in_flight: Arc::new(Semaphore::new(BATCHES_IN_FLIGHT_MAX)),
        };
        tokio::spawn(stream.run(batches));
        // A permit is given back only when its reply has been sent, so a caller that does not read its replies is soon
        // not read either, and the channel stays bounded.
        let replies =
            UnboundedReceiverStream::new(replies).map(|reply: Result<Sent, Status>| reply.map(|sent| sent.batch));
        Ok(Response::new(Box::pin(replies)))
    }

    async fn submit_command(
        &self,
        request: Request<v1::SubmitCommandRequest>,
    ) -> Result<Response<v1::Outcome>, Status> {
        let member = self.require(&request, &SUBMITTER_ROLES)?;
        self.leading.require().await?;
        submit_unary(&self.intake, member, &request.into_inner().command).await
    }

    async fn request_issuance(
        &self,
        request: Request<v1::RequestIssuanceRequest>,
    ) -> Result<Response<v1::RequestIssuanceResponse>, Status> {
        let (_, bank) = self.require(&request, &[Role::Bank])?;
        self.leading.require().await?;
        let signed = Signed::<IssuanceRequest>::from_bytes(&request.into_inner().request)
            .map_err(|error| invalid("request", error))?;
        if signed.record.bank.0 != bank.0 {
            return Err(invalid(
                "request",
                format!("expected a request of bank {bank}, found one of {}", signed.record.bank),
            ));
        }
        let valid_until = signed.record.head.valid_until;
        // The operator's order is what is submitted: a fault in it says nothing about the bank's request.
        let refused = |refusal: &Outcome| not_ordered(refusal, valid_until);
        let answer = self.issuance_queue.request(signed).await.map_err(|refusal| refused(&refusal))?;
        let outcome = answer.map(|answer| answer_to_message(&answer, refused)).transpose()?;
        Ok(Response::new(v1::RequestIssuanceResponse { outcome }))
    }

    async fn get_wallet(&self, request: Request<v1::GetWalletRequest>) -> Result<Response<v1::Wallet>, Status> {
        use v1::get_wallet_request::Wallet;
        let Some(Wallet::Account(text)) = request.get_ref().wallet.clone() else {
            return Err(invalid("wallet", "expected an account number"));
        };
        let id = self.account_of_caller(&request, "account", &text)?;
        let found = self.ledger.read_announced(|ledger| views::wallet(ledger, id)).await.map_err(not_announced)?;
        found.map(Response::new).ok_or_else(|| not_found(format!("there is no wallet {id}")))
    }

    async fn quote_transfer(&self, request: Request<v1::QuoteTransferRequest>) -> Result<Response<v1::Quote>, Status> {
        let from = self.account_of_caller(&request, "from", &request.get_ref().from)?;
        let quote = self.ledger.read_announced(|ledger| views::quote(ledger, from, request.get_ref())).await;
        quote.map_err(not_announced)?.map(Response::new)
    }

    async fn list_holds(
        &self,
        request: Request<v1::ListHoldsRequest>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        let account = self.account_of_caller(&request, "account", &request.get_ref().account)?;
        let holds = self.ledger.read_announced(|ledger| views::holds(ledger, account, request.get_ref())).await;
        holds.map_err(not_announced)?.map(Response::new)
    }
}

/// The status of a read that waited in vain for its block to be published.
pub fn not_announced(error: NotAnnounced) -> Status {
    unavailable(error.to_string())
}

/// Roles that may submit commands of some kind; intake checks which kinds.
pub const SUBMITTER_ROLES: [Role; 5] = [Role::Bank, Role::Operator, Role::Committee, Role::Registrar, Role::Court];

/// Decodes one command, submits it and waits for its answer.
pub async fn submit_unary(
    intake: &Intake,
    member: (Role, MemberId),
    bytes: &[u8],
) -> Result<Response<v1::Outcome>, Status> {
    let command = Command::from_bytes(bytes).map_err(|error| invalid("command", error))?;
    let valid_until = command.head().valid_until;
    let answer = intake.submit_one(member, command).await;
    let refused = |refusal: &Outcome| match refusal.reason {
        // The chain or the record itself shows it.
        Reason::SequenceConflict | Reason::Expired => of_final_refusal(refusal),
        reason if reason.shows_never_ordered() => of_final_refusal(refusal),
        _ => not_ordered(refusal, valid_until),
    };
    answer_to_message(&answer, refused).map(Response::new)
}

/// The answer to a command that used its sequence number as a message; any other as a status.
fn answer_to_message(answer: &Answer, refused: impl Fn(&Outcome) -> Status) -> Result<v1::Outcome, Status> {
    match answer.state {
        State::Final if answer.has_used_its_number() => {
            Ok(outcome_to_message(&answer.outcome, answer.height, answer.index))
        }
        State::Final => Err(refused(&answer.outcome)),
        State::Accepted | State::Unknown => {
            Err(unavailable("the node is stopping; whether the command was ordered is not known: send it again"))
        }
    }
}

/// The status of a copy that used no sequence number, after which another one may settle.
fn not_ordered(refusal: &Outcome, valid_until: Timestamp) -> Status {
    match refusal.reason {
        Reason::SequenceUsed => of_refusal(refusal),
        reason if reason.leaves_status_open() => of_refusal(refusal),
        // No order that carries the request is admitted any more.
        Reason::RequestRejected => of_final_refusal(refusal),
        _ => of_refusal_until(refusal, valid_until),
    }
}

/// A reply that holds its permit until it has been sent.
struct Sent {
    batch: v1::OutcomeBatch,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

struct CommandStream {
    member: (Role, MemberId),
    peer: Peer,
    /// The member's share of the node's memory.
    share: Option<Share>,
    intake: Intake,
    membership: Membership,
    witnesses: Arc<Witnesses>,
    leading: Arc<Leading>,
    replies: mpsc::UnboundedSender<Result<Sent, Status>>,
    in_flight: Arc<Semaphore>,
}

impl CommandStream {
    async fn run(self, mut batches: Streaming<v1::CommandBatch>) {
        let (witnesses, leading) = (self.witnesses.clone(), self.leading.clone());
        let ends = async {
            tokio::select! {
                status = witnesses.until_lost() => status,
                status = leading.until_deposed() => status,
            }
        };
        tokio::pin!(ends);
        loop {
            let Ok(permit) = self.in_flight.clone().acquire_owned().await else { return };
            // While leadership is handed over, nothing is read.
            let next = async {
                leading.until_it_takes().await;
                batches.message().await
            };
            let batch = tokio::select! {
                biased;
                status = &mut ends => {
                    drop(permit);
                    return self.end_with(status).await;
                }
                batch = next => batch,
                () = self.replies.closed() => return,
            };
            // A stream that ends or breaks ends the loop; batches in flight are still answered, if anybody listens.
            let v1::CommandBatch { batch_id, commands, takes_runs } = match batch {
                Ok(Some(batch)) => batch,
                Ok(None) => return,
                Err(status) => {
                    drop(permit);
                    return self.end_with(status).await;
                }
            };
            if let Err(status) = self.membership.require_peer(&self.peer, &SUBMITTER_ROLES) {
                drop(permit);
                return self.end_with(status).await;
            }
            // Held until the batch is answered.
            let charge = self.share.as_ref().map(|share| share.take(commands.len())).transpose();
            match decode_commands(commands) {
                Ok(commands) => {
                    let (replies, overloaded) = (self.replies.clone(), charge.as_ref().err().copied());
                    let reply: Reply = Box::new(move |answers: Answers| {
                        let batch = answers.into_message(batch_id, takes_runs);
                        drop((replies.send(Ok(Sent { batch, _permit: permit })), charge));
                    });
                    if let Some(exceeded) = overloaded {
                        let (limit, amount) = (exceeded.limit as u64, exceeded.amount as u64);
                        let refused = Outcome::refused(Reason::Overloaded, limit, amount);
                        reply(Answers::all(Answer::not_ordered(refused), commands.len()));
                        continue;
                    }
                    // While there is no capacity for the batch, the stream is not read.
                    tokio::select! {
                        () = self.intake.submit(self.member, commands, reply) => {}
                        () = self.replies.closed() => return,
                    }
                }
                Err(error) => {
                    drop(permit);
                    return self.end_with(invalid("commands", format!("batch {batch_id}: {error}"))).await;
                }
            }
        }
    }

    /// Ends the stream with a status, which speaks of the batch that was read last: those before it are answered first.
    async fn end_with(&self, status: Status) {
        let answered = self.in_flight.acquire_many(BATCHES_IN_FLIGHT_MAX as u32);
        tokio::select! {
            _ = answered => drop(self.replies.send(Err(status))),
            () = self.replies.closed() => {}
        }
    }
}
