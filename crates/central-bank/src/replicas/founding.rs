//! The first start of a node that begins a network's log with others: it asks them whether there is a network already.
//!
//! A node on an empty folder without `join = true` would begin a second history with others like it. So it neither
//! votes nor stands before each of the others has said how many blocks it has, or could not be reached. If one has
//! blocks, the node does not start. Whether it is new, or was there before and has lost its disk, an operator knows.
//!
//! Others that cannot be reached may be those that have the blocks. What such nodes would begin then, the banks stop
//! ([`crate::witnesses`]).

use std::sync::Arc;
use std::time::Duration;

use cbdc_ledger::member::Role;
use cbdc_ledger::{Height, MemberId};
use cbdc_node::{LedgerHandle, RoleKeys};
use cbdc_proto::transport::{NodeIdentity, ServerTrust, connect};
use cbdc_proto::v1;
use cbdc_proto::v1::leadership_client::LeadershipClient;
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::config::OrderingMember;

/// The time that each of the others has to answer. One that replays its log answers only after that; one that is not
/// there refuses at once.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Another node, which has blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HasBlocks {
    pub member: MemberId,
    pub address: String,
    pub height: Height,
}

/// Asks the others, all at once; returns the one that has the most blocks, if any has some.
pub async fn ask_others(
    others: &[OrderingMember],
    identity: &NodeIdentity,
    ledger: &LedgerHandle,
) -> Option<HasBlocks> {
    // Those who have blocks may have replaced their keys in them.
    let keys = Arc::new(RoleKeys::new(ledger.clone(), Role::CentralBank, Some(identity.public_key())));
    let asked: FuturesUnordered<_> = others.iter().map(|other| ask(other, identity, keys.clone())).collect();
    asked.filter_map(std::future::ready).collect::<Vec<_>>().await.into_iter().max_by_key(|found| found.height)
}

async fn ask(other: &OrderingMember, identity: &NodeIdentity, keys: Arc<RoleKeys>) -> Option<HasBlocks> {
    let channel = connect(&other.address, Some(identity), &ServerTrust::Followed(keys)).ok()?;
    let mut client = LeadershipClient::new(channel);
    let asked = client.get_leadership(v1::GetLeadershipRequest {});
    let answer = match tokio::time::timeout(ANSWER_MAX, asked).await {
        Ok(Ok(answer)) => answer.into_inner(),
        Ok(Err(status)) => {
            tracing::debug!(member = other.member, address = other.address, status = %status.message(), "not reached");
            return None;
        }
        Err(_) => {
            tracing::info!(member = other.member, address = other.address, "another node has not answered in time");
            return None;
        }
    };
    let (member, address, height) = (MemberId(other.member), other.address.clone(), Height(answer.height));
    (height > Height(0)).then_some(HasBlocks { member, address, height })
}
