//! Identification of callers: a holder with a session, the bank's own back office, a member, or a stranger.
//!
//! Signed requests need no session. Every other request that reads a wallet or moves its holder's money is checked here
//! first, before anything is looked up, so that a stranger learns nothing, not even whether a wallet exists.

use std::sync::Arc;

use cbdc_ledger::command::session::SIGNED_SESSION_BYTES;
use cbdc_ledger::command::{SessionStatement, SignedSession};
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Ledger, MemberId, PublicKey, Reason};
use cbdc_node::Membership;
use cbdc_node::source_standing::Tally;
use cbdc_proto::status::{invalid, not_authorised, of_reason};
use cbdc_proto::transport::Peer;
use cbdc_proto::v1;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::context::{BankContext, slowed, turn};
use super::tally::tally_of_refusal;
use crate::metrics::Metrics;
use crate::sessions::{Refused, Session, Sessions};

/// Opens sessions, and identifies callers by them.
pub struct SessionService {
    pub context: BankContext,
    pub sessions: Sessions,
    pub membership: Membership,
    pub metrics: Arc<Metrics>,
}

/// The identity of a caller.
pub struct Caller {
    /// The member whose certificate the connection showed.
    member: Option<(Role, MemberId)>,
    is_back_office: bool,
    /// The wallet whose holder's session the call carries.
    session: Result<AccountId, NoSession>,
}

/// The reason why a call carries no session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NoSession {
    /// It names none.
    Missing,
    Refused(Refused),
    /// The wallet's key was replaced since.
    KeyReplaced,
}

impl SessionService {
    pub fn begin(&self) -> v1::BeginSessionResponse {
        let (challenge, expires_at) = self.sessions.challenge(self.sessions.now());
        v1::BeginSessionResponse { challenge: challenge.to_vec().into(), expires_at_ms: expires_at.0 }
    }

    /// Opens a session at the caller's turn: a bad signature counts against its source.
    pub async fn open_in_turn(&self, request: &v1::OpenSessionRequest) -> Result<v1::OpenSessionResponse, Status> {
        let turn = turn().await.ok_or_else(slowed)?;
        let opened = self.open(request);
        turn.answered(opened.as_ref().map_or_else(tally_of_refusal, |_| Tally::default()));
        opened
    }

    fn open(&self, request: &v1::OpenSessionRequest) -> Result<v1::OpenSessionResponse, Status> {
        let signed = SignedSession::from_bytes(&request.statement).map_err(|error| {
            invalid("statement", format!("expected one of {SIGNED_SESSION_BYTES} bytes with its signature: {error}"))
        })?;
        let SessionStatement { bank, key_version, account, expires_at, challenge } = signed.statement;
        if bank != self.sessions.bank {
            let own = self.sessions.bank;
            return Err(invalid("statement", format!("expected bank {own} in it, found {bank}: begin a session here")));
        }
        let now = self.sessions.now();
        self.sessions.check_challenge(challenge, expires_at, now).map_err(|refused| {
            let (reason, sentence) = match refused {
                Refused::NotOurs => (Reason::NoSession, "the challenge is not this bank's, or not with this end"),
                Refused::Expired => (Reason::SessionExpired, "the challenge was given out more than 60 s ago"),
            };
            of_reason(reason, format!("{sentence}: call BeginSession again"))
        })?;
        // The same answer to an unknown wallet, another key version and a bad signature.
        let key =
            self.context.ledger.read(|ledger| key_in_force(ledger, account)).filter(|(_, found)| *found == key_version);
        let network = self.context.ledger.read(Ledger::network);
        if !key.is_some_and(|(key, _)| signed.is_signed_by(network, key)) {
            self.metrics.security_events(1);
            return Err(of_reason(
                Reason::BadSignature,
                format!(
                    "expected the statement signed with the key of a wallet that is known here, in the version that is \
                    in force; {account} with key version {key_version} is no such wallet, or the signature is another's"
                ),
            ));
        }
        let token = self.sessions.token(&Session { account, key_version, expires_at });
        Ok(v1::OpenSessionResponse { token, expires_in_ms: expires_at.0.saturating_sub(now.0) })
    }

    /// The identity of a call's sender.
    pub fn caller<T>(&self, request: &Request<T>) -> Caller {
        let member = Peer::of(request).node_key.and_then(|key| self.membership.of_key(&key));
        let is_back_office = member == Some((Role::Bank, MemberId(self.sessions.bank.0)));
        Caller { member, is_back_office, session: self.session_of(request.metadata()) }
    }

    fn session_of(&self, metadata: &MetadataMap) -> Result<AccountId, NoSession> {
        let token = metadata.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let token = token.ok_or(NoSession::Missing)?;
        let Session { account, key_version, .. } =
            self.sessions.read(token.trim(), self.sessions.now()).map_err(NoSession::Refused)?;
        let in_force = self.context.ledger.read(|ledger| key_in_force(ledger, account));
        let is_in_force = in_force.is_some_and(|(_, version)| version == key_version);
        if is_in_force { Ok(account) } else { Err(NoSession::KeyReplaced) }
    }
}

/// The key in force for a wallet, and its version: its own or, if the wallet has moved to another bank, that of the
/// wallet that replaced it, as far as this replica knows it.
fn key_in_force(ledger: &Ledger, account: AccountId) -> Option<(PublicKey, u32)> {
    let mut speaker = account;
    while let Some(moved) = ledger.account(speaker)?.moved_to()
        && ledger.account(moved).is_some()
    {
        speaker = moved;
    }
    Some((ledger.key(speaker)?, ledger.account(speaker)?.key_version))
}

impl Caller {
    /// Whether the connection shows a member's certificate.
    pub fn is_member(&self) -> bool {
        self.member.is_some()
    }

    /// Whether the connection shows the bank's own certificate.
    pub fn is_back_office(&self) -> bool {
        self.is_back_office
    }

    /// The wallet whose holder calls.
    ///
    /// # Errors
    /// `NO_SESSION` or `SESSION_EXPIRED`.
    pub fn holder(&self) -> Result<AccountId, Status> {
        self.session.map_err(|missing| match missing {
            NoSession::Missing => of_reason(Reason::NoSession, Reason::NoSession.text()),
            NoSession::Refused(Refused::NotOurs) => of_reason(
                Reason::NoSession,
                "the token is none that this bank has given out since it was started: open a session again with \
                BeginSession and OpenSession",
            ),
            NoSession::Refused(Refused::Expired) => of_reason(
                Reason::SessionExpired,
                "the session is over: open one again with BeginSession and OpenSession",
            ),
            NoSession::KeyReplaced => of_reason(
                Reason::SessionExpired,
                "the wallet's key was replaced since the session was opened: open one with the new key",
            ),
        })
    }

    /// Admits the wallet's holder.
    pub fn require_holder(&self, account: AccountId) -> Result<(), Status> {
        match self.holder()? {
            holder if holder == account => Ok(()),
            _ => Err(not_authorised(format!("the session is another wallet's, this takes the holder of {account}"))),
        }
    }

    /// Admits the wallet's holder and the bank's back office.
    pub fn require_reader(&self, account: AccountId) -> Result<(), Status> {
        if self.is_back_office { Ok(()) } else { self.require_holder(account) }
    }
}
