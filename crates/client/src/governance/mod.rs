//! The policy desk: what a committee member, an operator, a registrar or a court does, and what every member may read.
//!
//! A desk that only reads needs no key. One that signs is made with [`GovernanceClient::with_signer`]; the ledger checks that the
//! seal's role may do what it signs:
//!
//! | role | may |
//! |---|---|
//! | committee | [`propose`](GovernanceClient::propose), [`vote`](GovernanceClient::vote) |
//! | operator | [`waiting_requests`](GovernanceClient::waiting_requests), [`endorse`](GovernanceClient::endorse), [`operate`](GovernanceClient::operate) and the other operations, [`accept_clock`](GovernanceClient::accept_clock) |
//! | registrar | [`reclassify`](GovernanceClient::reclassify) |
//! | order (court) | [`freeze`](GovernanceClient::freeze), [`unfreeze`](GovernanceClient::unfreeze), [`seize`](GovernanceClient::seize) |
//!
//! The connection must show that member's node certificate: the role that hands a command in is checked as well.
//!
//! Rooms: `reading` (policy, votes, books, programmes), `operations` (the operator's desk); the rest is here.

mod operations;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use cbdc_ledger::command::{
    Ballot, FreezeKind, FreezeOrder, GovernanceAction, GovernanceProposal, Head, Reclassify, Record, SeizeOrder, Signed,
};
use cbdc_ledger::member::Role;
use cbdc_ledger::sequence::MEMBER_WINDOW;
use cbdc_ledger::{AccountId, Amount, Class, Command, HolderId, MemberId, Reason, SigningKey, Timestamp};
use cbdc_proto::convert;
use cbdc_proto::v1;
use tokio::sync::Mutex;

use crate::anchor::Anchor;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::sequence::SequenceAllocator;
use crate::submission::{SubmissionStatus, TIMEOUT, until_known};

/// A member's role, number and signing key.
#[derive(Clone)]
pub struct MemberSigner {
    role: Role,
    id: MemberId,
    key: Arc<SigningKey>,
}

impl MemberSigner {
    pub fn new(role: Role, id: MemberId, key: SigningKey) -> MemberSigner {
        MemberSigner { role, id, key: Arc::new(key) }
    }
}

/// Numbers and key version, as the ledger told them.
struct Standing {
    key_version: u32,
    numbers: SequenceAllocator,
}

/// A desk at the central bank. Clones share the connection and the numbers.
#[derive(Clone)]
pub struct GovernanceClient {
    connection: Connection,
    anchor: Arc<Anchor>,
    seal: Option<MemberSigner>,
    standing: Arc<Mutex<Option<Standing>>>,
    timeout: Duration,
}

impl GovernanceClient {
    /// A desk that reads. `connection` leads to the central bank and shows a member's node certificate.
    pub fn new(connection: Connection, anchor: Arc<Anchor>) -> GovernanceClient {
        GovernanceClient { connection, anchor, seal: None, standing: Arc::default(), timeout: TIMEOUT }
    }

    /// The same desk, able to sign.
    pub fn with_signer(mut self, seal: MemberSigner) -> GovernanceClient {
        self.seal = Some(seal);
        self.standing = Arc::default();
        self
    }

    /// How long a command is sent again before its status is called unknown; 30 s unless told otherwise.
    pub fn with_timeout(mut self, timeout: Duration) -> GovernanceClient {
        self.timeout = timeout;
        self
    }

    pub fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// Proposes actions, and votes for them. A settled proposal's number is the status's result.
    ///
    /// The first block at or after `effective_at` enacts the proposal if it is approved by then; one that is not approved
    /// by `expires_at` expires.
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

    /// Votes on a proposal; a later vote replaces an earlier one.
    pub async fn vote(&self, proposal: u64, approve: bool) -> Result<SubmissionStatus, ClientError> {
        self.command(Role::Committee, |head, member| Ballot { head, member, approve, proposal }).await
    }

    /// Adds an amount to what a wallet's holder may not spend. `order` is the court's own number of the order.
    pub async fn freeze(
        &self,
        account: AccountId,
        amount: Amount,
        order: [u8; 16],
    ) -> Result<SubmissionStatus, ClientError> {
        let kind = FreezeKind::Freeze;
        self.command(Role::Court, |head, court| FreezeOrder { kind, head, court, account, amount, order }).await
    }

    /// Takes an amount off what a wallet's holder may not spend.
    pub async fn unfreeze(
        &self,
        account: AccountId,
        amount: Amount,
        order: [u8; 16],
    ) -> Result<SubmissionStatus, ClientError> {
        let kind = FreezeKind::Unfreeze;
        self.command(Role::Court, |head, court| FreezeOrder { kind, head, court, account, amount, order }).await
    }

    /// Takes up to an amount off a wallet and pays it to the order's wallet. What was taken is the status's result, in
    /// minor units; the rest is a lien on later credits. `released` is how much of an earlier freeze the order replaces.
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

    /// Puts a holder into another class, from now on.
    pub async fn reclassify(&self, holder: HolderId, class: Class) -> Result<SubmissionStatus, ClientError> {
        self.command(Role::Registrar, |head, registrar| Reclassify { head, registrar, class, holder }).await
    }

    /// Signs a record with the seal's next number and sends it until its status is known.
    async fn command<R>(
        &self,
        role: Role,
        record: impl Fn(Head, MemberId) -> R,
    ) -> Result<SubmissionStatus, ClientError>
    where
        R: Record,
        Command: From<Signed<R>>,
    {
        let seal = self.seal_of(role)?;
        let head = self.head().await?;
        let signed = record(head, seal.id).sign(self.anchor.network(), &seal.key);
        let bytes = bytes::Bytes::from(Command::from(signed).to_bytes());
        let attempt = || async {
            let message = v1::SubmitPolicyCommandRequest { command: bytes.clone() };
            let outcome =
                self.connection.send(self.connection.policy().submit(self.connection.request(message))).await?;
            convert::outcome_from_message(&outcome)
        };
        let status = until_known(&self.connection, self.timeout, attempt).await;
        self.settle_number(head.sequence, &status).await;
        status
    }

    fn seal_of(&self, role: Role) -> Result<&MemberSigner, ClientError> {
        match &self.seal {
            Some(seal) if seal.role == role => Ok(seal),
            Some(seal) => {
                Err(ClientError::WrongRole { expected: role.name(), found: format!("{} {}", seal.role, seal.id) })
            }
            None => Err(ClientError::WrongRole { expected: role.name(), found: "nobody".to_owned() }),
        }
    }

    async fn head(&self) -> Result<Head, ClientError> {
        let mut standing = self.standing.lock().await;
        if standing.is_none() {
            *standing = Some(self.ask_standing().await?);
        }
        let standing = standing.as_mut().expect("set just above");
        let sequence = standing.numbers.take().ok_or(ClientError::NumbersExhausted { window: MEMBER_WINDOW })?;
        Ok(Head { flags: 0, key_version: standing.key_version, sequence, valid_until: self.anchor.valid_until() })
    }

    async fn ask_standing(&self) -> Result<Standing, ClientError> {
        let seal =
            self.seal.as_ref().ok_or(ClientError::WrongRole { expected: "member", found: "nobody".to_owned() })?;
        let members = self.members().await?.members;
        let is_own = |member: &&v1::Member| member.role == seal.role.name() && member.id == u32::from(seal.id.0);
        let own = members
            .iter()
            .find(is_own)
            .ok_or_else(|| ClientError::NotFound(format!("the central bank knows no {} {}", seal.role, seal.id)))?;
        let numbers = SequenceAllocator::new(MEMBER_WINDOW, own.next_sequence);
        Ok(Standing { key_version: own.key_version, numbers })
    }

    async fn settle_number(&self, number: u64, status: &Result<SubmissionStatus, ClientError>) {
        let mut standing = self.standing.lock().await;
        let must_ask_again = match (status, standing.as_mut()) {
            (_, None) => false,
            (Ok(SubmissionStatus::Accepted | SubmissionStatus::Unknown { .. }), Some(_)) => false,
            (Ok(SubmissionStatus::Refused(refusal)), Some(standing)) if refusal.place.is_none() => {
                standing.numbers.give_back(number);
                let stale =
                    [Reason::SequenceUsed, Reason::SequenceConflict, Reason::SequenceOutOfWindow, Reason::KeyChanged];
                stale.contains(&refusal.reason())
            }
            (Ok(_), Some(standing)) => {
                standing.numbers.mark_used(number);
                false
            }
            (Err(_), Some(standing)) => {
                standing.numbers.give_back(number);
                false
            }
        };
        if must_ask_again {
            *standing = None;
        }
    }
}
