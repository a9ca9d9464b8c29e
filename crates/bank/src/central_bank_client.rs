//! Requests to the central bank that a partial replica cannot answer, over one connection that is reopened after a
//! failure.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cbdc_proto::status::{passed_on, unavailable};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::relay::CentralBankEndpoint;

/// The longest time that the central bank may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client for requests that a partial replica cannot answer.
pub struct CentralBankClient {
    central_bank: Arc<CentralBankEndpoint>,
    channel: Mutex<Option<Channel>>,
}

impl CentralBankClient {
    pub fn new(central_bank: Arc<CentralBankEndpoint>) -> CentralBankClient {
        CentralBankClient { central_bank, channel: Mutex::new(None) }
    }

    fn channel(&self) -> Result<Channel, Status> {
        let mut kept = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(channel) => Ok(channel.clone()),
            None => {
                let made = self.central_bank.channel().map_err(|error| unavailable(error.to_string()))?;
                Ok(kept.insert(made).clone())
            }
        }
    }

    /// Forwards a call and returns the central bank's answer.
    pub async fn ask<R, F>(&self, ask: impl FnOnce(Channel) -> F) -> Result<R, Status>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let answered = tokio::time::timeout(TIMEOUT, ask(self.channel()?)).await;
        let late = |_| Err(unavailable(format!("the central bank gave no answer within {} s", TIMEOUT.as_secs())));
        let answered = answered.unwrap_or_else(late).map_err(passed_on);
        if answered.as_ref().is_err_and(|status| status.code() == Code::Unavailable) {
            // The central bank's keys may have changed.
            *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answered.map(Response::into_inner)
    }
}
