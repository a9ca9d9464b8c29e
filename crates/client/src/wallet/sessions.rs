//! The holder's sessions: one per bank, opened when a call first needs it and renewed before it ends.
//!
//! Clones of a wallet share them. Calls that arrive while a session is being opened wait for it, and share a failure
//! too. If the bank no longer knows a session (it was restarted), a call opens another and tries once more.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cbdc_ledger::command::SessionStatement;
use cbdc_ledger::{AccountId, BankId, NetworkId, Reason, SigningKey, Timestamp};
use cbdc_proto::convert::exact;
use cbdc_proto::status::refusal_of;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use tokio::sync::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::connection::Connection;

/// The sessions of one wallet's holder.
pub(super) struct Sessions {
    network: NetworkId,
    key: Arc<SigningKey>,
    key_version: u32,
    account: AccountId,
    /// The newest attempt at each bank.
    newest: Mutex<BTreeMap<BankId, Attempt>>,
}

/// The result of an attempt to open a session: the session, or the time and reason of the failure.
type Attempt = Result<Session, (Instant, Status)>;

#[derive(Clone)]
struct Session {
    /// `Bearer TOKEN`.
    authorization: MetadataValue<Ascii>,
    renew_at: Instant,
}

impl Sessions {
    pub fn new(network: NetworkId, key: Arc<SigningKey>, key_version: u32, account: AccountId) -> Arc<Sessions> {
        Arc::new(Sessions { network, key, key_version, account, newest: Mutex::default() })
    }

    /// Makes a call within the holder's session with `bank`, to which `connection` leads.
    pub async fn call<M, T, F>(
        &self,
        bank: BankId,
        connection: &Connection,
        message: M,
        call: impl Fn(BankClient<Channel>, Request<M>) -> F,
    ) -> Result<T, Status>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut session = self.session(bank, connection, None).await?;
        let mut renewed = false;
        loop {
            let mut request = connection.request(message.clone());
            request.metadata_mut().insert("authorization", session.authorization.clone());
            match connection.send(call(connection.bank(), request)).await {
                Err(status) if is_over(&status) && !renewed => {
                    session = self.session(bank, connection, Some(&session)).await?;
                    renewed = true;
                }
                answered => return answered,
            }
        }
    }

    /// The metadata `authorization` of a call to `bank`, within a session that is open or opened now.
    pub async fn authorization(&self, bank: BankId, connection: &Connection) -> Result<MetadataValue<Ascii>, Status> {
        Ok(self.session(bank, connection, None).await?.authorization)
    }

    /// The open session with a bank, or a new one; never `refused`.
    async fn session(
        &self,
        bank: BankId,
        connection: &Connection,
        refused: Option<&Session>,
    ) -> Result<Session, Status> {
        let asked_at = Instant::now();
        let mut newest = self.newest.lock().await;
        let is_refused = |found: &Session| refused.is_some_and(|refused| refused.authorization == found.authorization);
        match newest.get(&bank) {
            Some(Ok(found)) if found.renew_at > Instant::now() && !is_refused(found) => return Ok(found.clone()),
            // The attempt that this call has waited for: another attempt for each call would take as long again.
            Some(Err((failed_at, status))) if *failed_at > asked_at => return Err(status.clone()),
            _ => {}
        }
        let opened = self.open(bank, connection).await;
        newest.insert(bank, opened.clone().map_err(|status| (Instant::now(), status)));
        opened
    }

    async fn open(&self, bank: BankId, connection: &Connection) -> Result<Session, Status> {
        let began = Instant::now();
        let request = connection.request(v1::BeginSessionRequest {});
        let given = connection.send(connection.bank().begin_session(request)).await?;
        // A challenge that cannot be signed is no refusal of what the call asks for.
        let challenge = exact("challenge", &given.challenge).map_err(|status| Status::unknown(status.message()))?;
        let expires_at = Timestamp(given.expires_at_ms);
        // The intended bank, whoever gave the challenge: at another one the statement opens nothing.
        let Sessions { key_version, account, .. } = *self;
        let statement = SessionStatement { bank, key_version, account, expires_at, challenge };
        let signed = statement.sign(self.network, &self.key);
        let statement = Bytes::copy_from_slice(&signed.to_bytes());
        let request = connection.request(v1::OpenSessionRequest { statement });
        let opened = connection.send(connection.bank().open_session(request)).await?;
        let authorization = MetadataValue::try_from(format!("Bearer {}", opened.token));
        let mut authorization =
            authorization.map_err(|_| Status::unknown("the bank's token is no text that can be sent back"))?;
        authorization.set_sensitive(true);
        // A tenth of its time is reserved for calls in flight, and for clocks that differ in speed.
        let lasts = Duration::from_millis(opened.expires_in_ms / 10 * 9);
        Ok(Session { authorization, renew_at: began + lasts.min(LASTS_MAX) })
    }
}

/// The longest time for which any bank's session is used, whatever the bank says.
const LASTS_MAX: Duration = Duration::from_secs(3_600);

/// Whether a status says that the call has no session, or that it has ended.
fn is_over(status: &Status) -> bool {
    let reason = refusal_of(status).map(|refusal| refusal.reason);
    matches!(reason, Some(Reason::NoSession | Reason::SessionExpired))
}
