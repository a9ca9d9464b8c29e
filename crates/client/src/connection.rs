//! A connection to one node, with a deadline on every call.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cbdc_proto::transport::{MESSAGE_BYTES_MAX, NodeIdentity, ServerTrust, connect};
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use cbdc_proto::v1::chain_client::ChainClient;
use cbdc_proto::v1::policy_client::PolicyClient;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::error::{ClientError, no_answer, of_status};

/// The time that a call waits for its answer, unless set otherwise.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// A connection to one node. It connects at its first use and again whenever it breaks; clones share it.
#[derive(Clone, Debug)]
pub struct Connection {
    channel: Channel,
    address: Arc<str>,
    deadline: Duration,
}

impl Connection {
    /// Prepares a connection to `address` (`host:port`). Members show an `identity`; customers have none. Nothing is
    /// sent yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Connect`] if the address or the identity cannot be used.
    pub fn new(address: &str, identity: Option<&NodeIdentity>, trust: &ServerTrust) -> Result<Connection, ClientError> {
        let channel = connect(address, identity, trust)?;
        Ok(Connection { channel, address: address.into(), deadline: DEADLINE })
    }

    /// Sets another deadline for each call.
    pub fn with_deadline(mut self, deadline: Duration) -> Connection {
        self.deadline = deadline;
        self
    }

    /// The node's address, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether the node reports itself ready to serve.
    pub async fn is_ready(&self) -> Result<bool, ClientError> {
        let mut client = HealthClient::new(self.channel.clone());
        let answer = self.ask(client.check(self.request(HealthCheckRequest::default()))).await?;
        Ok(answer.status() == ServingStatus::Serving)
    }

    /// The time that a call waits for its answer.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Asks for the newest header, as any member may, to find out whether the node lets this connection read.
    pub(crate) async fn newest_header(&self) -> Result<(), ClientError> {
        match self.ask(self.chain().get_header(self.request(v1::GetHeaderRequest { height: None }))).await {
            // Before the first block there is none.
            Ok(_) | Err(ClientError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The channel itself, for services that this crate does not wrap.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn bank(&self) -> BankClient<Channel> {
        BankClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn policy(&self) -> PolicyClient<Channel> {
        PolicyClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn chain(&self) -> ChainClient<Channel> {
        ChainClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Wraps a message in a request that carries the deadline.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        request
    }

    /// Sends a command; the caller judges what a status means for it.
    pub(crate) async fn send<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
        match tokio::time::timeout(self.deadline, call).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} ms", self.deadline.as_millis()))),
        }
    }

    /// Makes a call that changes nothing: every failure is an error.
    pub(crate) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, ClientError> {
        match tokio::time::timeout(self.deadline, call).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(|status| of_status(&self.address, &status)),
            Err(_) => Err(no_answer(&self.address, self.deadline)),
        }
    }

    /// The error for an answer that violates the contract.
    pub(crate) fn bad_answer(&self, reason: impl std::fmt::Display) -> ClientError {
        ClientError::BadAnswer { address: self.address.to_string(), reason: reason.to_string() }
    }

    /// The error for a field that cannot be read.
    pub(crate) fn unreadable(&self, status: Status) -> ClientError {
        self.bad_answer(status.message())
    }
}
