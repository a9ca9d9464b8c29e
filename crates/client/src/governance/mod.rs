//! Governance at the central bank: the commands of committee, operator, registrar and court, and the data that every
//! member may read.
//!
//! A client that only reads needs no key. One that signs is made with [`GovernanceClient::with_signer`]; the ledger
//! checks that the signer's role may sign the command:
//!
//! - committee: [`propose`](GovernanceClient::propose), [`vote`](GovernanceClient::vote)
//! - operator: [`waiting_requests`](GovernanceClient::waiting_requests), [`endorse`](GovernanceClient::endorse),
//!   [`reject`](GovernanceClient::reject), [`accept_clock`](GovernanceClient::accept_clock),
//!   [`operate`](GovernanceClient::operate) and the other operations
//! - registrar: [`reclassify`](GovernanceClient::reclassify)
//! - court: [`freeze`](GovernanceClient::freeze), [`unfreeze`](GovernanceClient::unfreeze),
//!   [`seize`](GovernanceClient::seize)
//!
//! The connections must show that member's node certificate: the role that submits a command is checked as well.
//!
//! Modules: `reading` (policy, votes, books, programmes) and `operations` (the operator); the rest is here.

mod operations;
mod reading;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cbdc_ledger::command::{
    Ballot, Choice, FreezeKind, FreezeOrder, GovernanceAction, GovernanceProposal, Head, Reclassify, Record,
    SeizeOrder, Signed,
};
use cbdc_ledger::member::Role;
use cbdc_ledger::sequence::MEMBER_WINDOW;
use cbdc_ledger::{AccountId, Amount, Class, Command, HolderId, MemberId, Reason, SigningKey, Timestamp};
use cbdc_proto::convert;
use cbdc_proto::v1;
use cbdc_proto::v1::policy_client::PolicyClient;
use tokio::sync::Mutex;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::anchor::Anchor;
use crate::central_bank::CentralBank;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::sequence::SequenceAllocator;
use crate::submission::{SubmissionStatus, TIMEOUT};

/// A member's role, number and signing key, with which commands are signed.
#[derive(Clone)]
pub struct MemberSigner {
    role: Role,
    id: MemberId,
    key: Arc<SigningKey>,
}

impl MemberSigner {
    /// The signer of a member.
    pub fn new(role: Role, id: MemberId, key: SigningKey) -> MemberSigner {
        MemberSigner { role, id, key: Arc::new(key) }
    }
}

/// The signer's key version and sequence numbers, as reported by the ledger.
struct SequenceState {
    key_version: u32,
    allocator: SequenceAllocator,
}

/// A client of the central bank's governance. Clones share the connections and the sequence numbers.
#[derive(Clone)]
pub struct GovernanceClient {
    central_bank: CentralBank,
    anchor: Arc<Anchor>,
    signer: Option<MemberSigner>,
    sequence_state: Arc<Mutex<Option<SequenceState>>>,
    timeout: Duration,
}

impl GovernanceClient {
    /// A client for reading. `central_bank` is a connection to its only node, or those to all of them; they show a
    /// member's node certificate.
    pub fn new(central_bank: impl Into<CentralBank>, anchor: Arc<Anchor>) -> GovernanceClient {
        let central_bank = central_bank.into();
        GovernanceClient { central_bank, anchor, signer: None, sequence_state: Arc::default(), timeout: TIMEOUT }
    }

    /// Makes the client sign for a member.
    pub fn with_signer(mut self, signer: MemberSigner) -> GovernanceClient {
        self.signer = Some(signer);
        self.sequence_state = Arc::default();
        self
    }

    /// Sets the time for which a command is sent again before its status counts as unknown; 30 s unless set.
    pub fn with_timeout(mut self, timeout: Duration) -> GovernanceClient {
        self.timeout = timeout;
        self
    }

    /// The trust anchor of the network.
    pub fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// Proposes actions, and votes for them. The status's result is the proposal's number.
    ///
    /// The first block at or after `effective_at` enacts the proposal if it is approved by then; one that is not
    /// approved by `expires_at` expires.
    pub async fn propose(
        &self,
        actions: Vec<GovernanceAction>,
        effective_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<SubmissionStatus, ClientError> {
        if actions.is_empty() || actions.len() > cbdc_ledger::command::committee::ACTIONS_MAX {
            return Err(ClientError::Usage(format!("expected 1 to 64 actions, found {}", actions.len())));
        }
        self.command(Role::Committee, |head, member| GovernanceProposal {
            head,
            member,
            effective_at,
            expires_at,
            actions: actions.clone(),
        })
        .await
    }

    /// Votes on a proposal, or withdraws it; a later vote replaces an earlier one. Only its proposer may withdraw it.
    pub async fn vote(&self, proposal: u64, choice: Choice) -> Result<SubmissionStatus, ClientError> {
        self.command(Role::Committee, |head, member| Ballot { head, member, choice, proposal }).await
    }

    /// Freezes a further amount on a wallet. `order` is the court's own number of the order.
    pub async fn freeze(
        &self,
        account: AccountId,
        amount: Amount,
        order: [u8; 16],
    ) -> Result<SubmissionStatus, ClientError> {
        let kind = FreezeKind::Freeze;
        self.command(Role::Court, |head, court| FreezeOrder { kind, head, court, account, amount, order }).await
    }

    /// Releases an amount that is frozen on a wallet.
    pub async fn unfreeze(
        &self,
        account: AccountId,
        amount: Amount,
        order: [u8; 16],
    ) -> Result<SubmissionStatus, ClientError> {
        let kind = FreezeKind::Unfreeze;
        self.command(Role::Court, |head, court| FreezeOrder { kind, head, court, account, amount, order }).await
    }

    /// Takes up to an amount from a wallet and pays it to the wallet `to`. The status's result is the amount taken, in
    /// minor units; the rest is a lien on later credits. `released` is the part of an earlier freeze that the order
    /// replaces.
    pub async fn seize(
        &self,
        account: AccountId,
        amount: Amount,
        to: AccountId,
        released: Amount,
        order: [u8; 16],
    ) -> Result<SubmissionStatus, ClientError> {
        self.command(Role::Court, |head, court| SeizeOrder { head, court, account, amount, to, released, order }).await
    }

    /// Moves a holder to another class from now on.
    pub async fn reclassify(&self, holder: HolderId, class: Class) -> Result<SubmissionStatus, ClientError> {
        self.command(Role::Registrar, |head, registrar| Reclassify { head, registrar, class, holder }).await
    }

    /// Signs a record with the next unused sequence number and submits it until its status is known.
    async fn command<R>(
        &self,
        role: Role,
        record: impl Fn(Head, MemberId) -> R,
    ) -> Result<SubmissionStatus, ClientError>
    where
        R: Record,
        Command: From<Signed<R>>,
    {
        let signer = self.signer_for(role)?;
        let head = self.head().await?;
        let signed = record(head, signer.id).sign(self.anchor.network(), &signer.key);
        let bytes = bytes::Bytes::from(Command::from(signed).to_bytes());
        let attempt = |node: Connection| {
            let message = v1::SubmitPolicyCommandRequest { command: bytes.clone() };
            async move {
                let outcome = node.send(node.policy().submit(node.request(message))).await?;
                convert::outcome_from_message(&outcome)
            }
        };
        let status = self.central_bank.submit(self.timeout, attempt).await;
        self.settle_sequence(head.sequence, &status).await;
        status
    }

    /// Makes a call that is safe to repeat.
    async fn ask<M: Clone, T, F>(
        &self,
        message: M,
        call: impl Fn(PolicyClient<Channel>, Request<M>) -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let asked = |node: Connection| {
            let answer = call(node.policy(), node.request(message.clone()));
            async move { node.ask(answer).await }
        };
        self.central_bank.ask(asked).await
    }

    fn signer_for(&self, role: Role) -> Result<&MemberSigner, ClientError> {
        match &self.signer {
            Some(signer) if signer.role == role => Ok(signer),
            Some(signer) => {
                Err(ClientError::WrongRole { expected: role.name(), found: format!("{} {}", signer.role, signer.id) })
            }
            None => Err(ClientError::WrongRole { expected: role.name(), found: "nobody".to_owned() }),
        }
    }

    async fn head(&self) -> Result<Head, ClientError> {
        let mut sequence_state = self.sequence_state.lock().await;
        if sequence_state.is_none() {
            *sequence_state = Some(self.ask_sequence_state().await?);
        }
        let sequence_state = sequence_state.as_mut().expect("set just above");
        let sequence =
            sequence_state.allocator.take().ok_or(ClientError::SequencesExhausted { window: MEMBER_WINDOW })?;
        Ok(Head { flags: 0, key_version: sequence_state.key_version, sequence, valid_until: self.anchor.valid_until() })
    }

    async fn ask_sequence_state(&self) -> Result<SequenceState, ClientError> {
        let signer =
            self.signer.as_ref().ok_or(ClientError::WrongRole { expected: "member", found: "nobody".to_owned() })?;
        let members = self.members().await?.members;
        let is_own = |member: &&v1::Member| member.role == signer.role.name() && member.id == u32::from(signer.id.0);
        let own = members
            .iter()
            .find(is_own)
            .ok_or_else(|| ClientError::NotFound(format!("the central bank knows no {} {}", signer.role, signer.id)))?;
        let allocator = SequenceAllocator::new(MEMBER_WINDOW, own.next_sequence);
        Ok(SequenceState { key_version: own.key_version, allocator })
    }

    async fn settle_sequence(&self, sequence: u64, status: &Result<SubmissionStatus, ClientError>) {
        let mut sequence_state = self.sequence_state.lock().await;
        let must_ask_again = match (status, sequence_state.as_mut()) {
            (_, None) => false,
            (Ok(SubmissionStatus::Accepted | SubmissionStatus::Unknown { .. }), Some(_)) => false,
            (Ok(SubmissionStatus::Refused(refusal)), Some(sequence_state)) if refusal.position.is_none() => {
                // Whoever has a record that was outside the window can send it again later: its number is not reused.
                if refusal.reason() != Reason::SequenceOutOfWindow {
                    sequence_state.allocator.give_back(sequence);
                }
                refusal.reason().says_sequence_used() || refusal.reason() == Reason::KeyChanged
            }
            (Ok(_), Some(sequence_state)) => {
                sequence_state.allocator.mark_used(sequence);
                false
            }
            (Err(_), Some(sequence_state)) => {
                sequence_state.allocator.give_back(sequence);
                false
            }
        };
        if must_ask_again {
            *sequence_state = None;
        }
    }
}
