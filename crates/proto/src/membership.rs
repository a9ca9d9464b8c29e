//! Fetching proofs of membership changes from a node that needs no trust.
//!
//! Whoever was away while the committee replaced a node's key meets a certificate that is not known. The proofs lead
//! from the members that are known to those in force, and prove themselves, so that they may come over a connection to
//! a node with any key.

use std::time::Duration;

use cbdc_ledger::Height;
use cbdc_ledger::membership_change::MembershipChange;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::transport::{ConnectError, NodeIdentity, ServerTrust, connect};
use crate::v1;

/// The time for all proofs together.
const FETCH_MAX: Duration = Duration::from_secs(2);
/// The most changes that are taken at once; more are fetched by asking again.
const CHANGES_MAX: usize = 10_000;

/// Why no proofs were fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The node did not answer, or refused.
    #[error("the node gave no membership changes: {0}")]
    Status(Box<Status>),
    /// A change cannot be read.
    #[error("a membership change cannot be read: {0}")]
    Unreadable(#[from] cbdc_ledger::encoding::DecodeError),
}

impl From<Status> for FetchError {
    fn from(status: Status) -> FetchError {
        FetchError::Status(Box::new(status))
    }
}

/// The membership changes above a height, from the node at an address, whichever key it shows.
pub async fn fetch(
    address: &str,
    identity: Option<&NodeIdentity>,
    above: Height,
) -> Result<Vec<MembershipChange>, FetchError> {
    fetch_over(connect(address, identity, &ServerTrust::AnyKey)?, above).await
}

/// The membership changes above a height, over a connection.
pub async fn fetch_over(channel: Channel, above: Height) -> Result<Vec<MembershipChange>, FetchError> {
    let mut request = Request::new(v1::GetMembershipChangesRequest { above_height: above.0 });
    request.set_timeout(FETCH_MAX);
    let fetching = async {
        let mut chain = v1::chain_client::ChainClient::new(channel);
        let mut stream = chain.get_membership_changes(request).await?.into_inner();
        let mut changes = Vec::new();
        while let Some(message) = stream.message().await? {
            changes.push(MembershipChange::from_bytes(&message.change)?);
            if changes.len() == CHANGES_MAX {
                break;
            }
        }
        Ok(changes)
    };
    let late = |_| Err(Status::deadline_exceeded("not all membership changes came in time").into());
    tokio::time::timeout(FETCH_MAX, fetching).await.unwrap_or_else(late)
}
