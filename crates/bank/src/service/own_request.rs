//! What the back office asks for under its ids: transfers of reserves, and requests to issue and redeem.
//!
//! 1. The deposit service signs the request and keeps it with its id: one synced write. Asking again under the same id
//!    finds the same record, or its outcome.
//! 2. The record is sent, and its answer awaited. No answer leaves the status unknown: the caller asks again under the
//!    same id, which sends the same record.
//! 3. The chain brings the outcome, also of a record whose answer never came, and the id keeps it.
//!
//! The chain decides whether a record that was refused before ordering may still settle: only if it cannot is another
//! one signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cbdc_ledger::{Outcome, Reason};
use cbdc_node::re_sign::{Attempt, sign_until_done};
use cbdc_proto::convert::outcome_from_message;
use cbdc_proto::packed::{Answer, State};
use cbdc_proto::status::{of_final_refusal, of_refusal, passed_on, refusal_of, unavailable};
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use tonic::Status;

use super::context::{BankContext, only_answer};
use crate::central_bank_client::{self, ASK_AGAIN_FOR};
use crate::central_bank_nodes::CentralBankNodes;
use crate::deposit_service::BegunRequest;
use crate::deposits::RequestId;
use crate::relay::{ANSWER_TIMEOUT, Timeout};
use crate::request_book::{Intent, Progress};

/// The pause before the replica is asked again for what used a number.
const PAUSE: Duration = Duration::from_millis(100);

/// The sender of the back office's requests.
pub struct OwnRequestSender {
    pub context: BankContext,
    pub central_bank_nodes: Arc<CentralBankNodes>,
}

/// The result of sending a record.
enum Sent {
    Ordered(Answer),
    /// The operator has still to agree.
    Waits,
    Refused {
        refusal: Outcome,
        resent: bool,
    },
    Unknown,
}

impl OwnRequestSender {
    /// Asks for `intent` under an id. `None` while the request waits for the operator.
    pub async fn ask(&self, id: RequestId, intent: Intent) -> Result<Option<Answer>, Status> {
        sign_until_done(|| self.ask_once(id, intent)).await
    }

    async fn ask_once(&self, id: RequestId, intent: Intent) -> Attempt<Result<Option<Answer>, Status>> {
        let BegunRequest { request, is_new } = match self.context.deposits.request(id, intent).await {
            Ok(begun) => begun,
            Err(refusal) => return Attempt::Done(Err(of_refusal(&refusal))),
        };
        match request.progress {
            Progress::Open => {}
            Progress::Ordered(first) => {
                return Attempt::Done(Ok(Some(Answer::ordered(first.height, first.index, first.outcome))));
            }
            Progress::Rejected => return Attempt::Done(Err(of_final_refusal(&rejected()))),
        }
        let sent = match intent {
            Intent::TransferReserves { .. } => self.send_command(request.record).await,
            Intent::Issuance { .. } => self.send_request(request.record).await,
        };
        match sent {
            Sent::Ordered(answer) => {
                self.context.replica_at(answer.height).await;
                Attempt::Done(Ok(Some(answer)))
            }
            Sent::Waits => Attempt::Done(Ok(None)),
            Sent::Unknown => Attempt::Done(Err(unknown())),
            Sent::Refused { refusal, resent } => self.refused(id, refusal, is_new && !resent).await,
        }
    }

    /// The consequence of a refusal before ordering. `is_only_copy` says that no other copy was ever sent.
    async fn refused(
        &self,
        id: RequestId,
        refusal: Outcome,
        is_only_copy: bool,
    ) -> Attempt<Result<Option<Answer>, Status>> {
        match refusal.reason {
            Reason::RequestRejected => {
                // Where that cannot be kept, it is asked for again, and rejected again.
                match self.context.deposits.rejected(id).await {
                    Ok(()) => Attempt::Done(Err(of_final_refusal(&refusal))),
                    Err(unkept) => Attempt::Done(Err(of_refusal(&unkept))),
                }
            }
            // This record or another has used the number, or neither can any more: the replica will show which.
            reason if reason.says_sequence_used() || matches!(reason, Reason::Expired | Reason::KeyChanged) => {
                self.context.replica_at(self.context.relay.answered_up_to()).await;
                tokio::time::sleep(PAUSE).await;
                Attempt::AskAgain(Err(unknown()))
            }
            reason if reason.shows_never_ordered() || (is_only_copy && reason != Reason::Unavailable) => {
                Attempt::Done(Err(of_refusal(&refusal)))
            }
            _ => Attempt::Done(Err(unknown())),
        }
    }

    async fn send_command(&self, record: Bytes) -> Sent {
        let Ok(relayed) = self.context.relay.submit(record, 1, Timeout::Usual) else {
            return Sent::Refused { refusal: Outcome::refused(Reason::Overloaded, 0, 0), resent: false };
        };
        let relayed = relayed.await;
        let answer = only_answer(&relayed.answers);
        match answer.state {
            State::Final if answer.has_used_its_number() => Sent::Ordered(answer),
            State::Final => Sent::Refused { refusal: answer.outcome, resent: relayed.resent },
            State::Accepted | State::Unknown => Sent::Unknown,
        }
    }

    /// Sends a request for the operator to the node that leads. It goes to another one only after an attempt that was
    /// not answered, or that was answered with that the node does not lead.
    async fn send_request(&self, request: Bytes) -> Sent {
        let began = tokio::time::Instant::now();
        let attempts = AtomicU32::new(0);
        loop {
            let asked = self.central_bank_nodes.first_of(|address| {
                attempts.fetch_add(1, Ordering::Relaxed);
                self.send_request_to(address, request.clone())
            });
            let answered = match tokio::time::timeout_at(began + ANSWER_TIMEOUT, asked).await {
                Ok(Ok((_, answered))) => answered,
                Ok(Err(_)) if self.central_bank_nodes.are_several() && began.elapsed() < ASK_AGAIN_FOR => {
                    tokio::time::sleep(central_bank_client::PAUSE).await;
                    continue;
                }
                Ok(Err(_)) | Err(_) => return Sent::Unknown,
            };
            return match answered {
                Ok(answer) => match answer.outcome.map(|outcome| outcome_from_message(&outcome)) {
                    None => Sent::Waits,
                    Some(Ok(answer)) if answer.has_used_its_number() => Sent::Ordered(answer),
                    Some(_) => Sent::Unknown,
                },
                Err(refusal) => Sent::Refused { refusal, resent: attempts.into_inner() > 1 },
            };
        }
    }

    /// One node's answer; an error if its status leaves open what became of the request.
    async fn send_request_to(
        &self,
        address: Arc<str>,
        request: Bytes,
    ) -> Result<Result<v1::RequestIssuanceResponse, Outcome>, Status> {
        let channel = self.central_bank_nodes.channel(&address).map_err(|error| unavailable(error.to_string()))?;
        let message = v1::RequestIssuanceRequest { request };
        match SettlementClient::new(channel).request_issuance(message).await.map_err(passed_on) {
            Ok(answer) => Ok(Ok(answer.into_inner())),
            Err(status) => match refusal_of(&status) {
                Some(refusal) if !refusal.reason.leaves_status_open() => Ok(Err(refusal)),
                _ => Err(status),
            },
        }
    }
}

fn rejected() -> Outcome {
    Outcome::refused(Reason::RequestRejected, 0, 0)
}

fn unknown() -> Status {
    unavailable(
        "the central bank has not answered: what became of the request is not known; ask again with the same \
        request_id, which is safe",
    )
}
