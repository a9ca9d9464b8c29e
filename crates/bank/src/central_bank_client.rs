//! Requests to the central bank that a partial replica cannot answer, over connections that are reopened after a
//! failure. They only read, so that several nodes may be asked: the present one first, and others while that one does
//! not lead or does not answer.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cbdc_proto::status::{passed_on, unavailable};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::central_bank_nodes::CentralBankNodes;

/// The longest time that the central bank may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The time within which its nodes are asked again, where it has several and none of them has answered: a new leader is
/// found well within it.
pub const ASK_AGAIN_FOR: Duration = Duration::from_secs(2);
/// The pause before that.
pub const PAUSE: Duration = Duration::from_millis(20);

/// A client for requests that a partial replica cannot answer.
pub struct CentralBankClient {
    nodes: Arc<CentralBankNodes>,
    channels: Mutex<HashMap<Arc<str>, Channel>>,
}

impl CentralBankClient {
    pub fn new(nodes: Arc<CentralBankNodes>) -> CentralBankClient {
        CentralBankClient { nodes, channels: Mutex::default() }
    }

    fn channel(&self, address: &Arc<str>) -> Result<Channel, Status> {
        let mut kept = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(address) {
            Some(channel) => Ok(channel.clone()),
            None => {
                let made = self.nodes.channel(address).map_err(|error| unavailable(error.to_string()))?;
                kept.insert(address.clone(), made.clone());
                Ok(made)
            }
        }
    }

    /// Forwards a call and returns the central bank's answer.
    pub async fn ask<R, F>(&self, ask: impl Fn(Channel) -> F) -> Result<R, Status>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let began = tokio::time::Instant::now();
        let late = |_| Err(unavailable(format!("the central bank gave no answer within {} s", TIMEOUT.as_secs())));
        loop {
            let asked = self.nodes.first_of(|address| self.ask_at(address, &ask));
            let answered = tokio::time::timeout_at(began + TIMEOUT, asked).await.unwrap_or_else(late);
            match answered {
                Ok((_, answer)) => return answer,
                Err(_) if self.nodes.are_several() && began.elapsed() < ASK_AGAIN_FOR => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(status) => return Err(status),
            }
        }
    }

    /// One node's answer; an error if another one may be asked instead.
    async fn ask_at<R, F>(&self, address: Arc<str>, ask: impl Fn(Channel) -> F) -> Result<Result<R, Status>, Status>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        match ask(self.channel(&address)?).await.map_err(passed_on) {
            Err(status) if status.code() == Code::Unavailable => {
                // The central bank's keys may have changed.
                self.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(&address);
                Err(status)
            }
            answered => Ok(answered.map(Response::into_inner)),
        }
    }
}
