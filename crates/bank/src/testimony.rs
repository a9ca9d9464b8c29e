//! This bank's testimony to the central bank before it follows it: its newest header, and its clock. A central bank
//! that has lost blocks thus learns of them before it seals others at their heights.
//!
//! The central bank is asked for its own newest block first. Where this bank has more, or another block, the testimony
//! says so in full: this bank's header at that height, and the membership changes by which the newer ones are signed.

use std::sync::Arc;

use cbdc_ledger::{Height, Ledger, SignedHeader};
use cbdc_node::{Archive, ArchiveError, LedgerHandle};
use cbdc_proto::convert::header_to_message;
use cbdc_proto::v1;
use cbdc_proto::wall_clock::wall_clock;
use tonic::Status;

/// The most bytes of membership changes in a testimony: what a message holds beside the headers.
const CHANGES_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Membership changes that are read at once.
const CHANGES_AT_ONCE: usize = 64;

/// The newest block that this bank has.
#[derive(Clone)]
pub struct ChainHead {
    pub ledger: LedgerHandle,
    pub archive: Arc<Archive>,
}

impl ChainHead {
    pub fn height(&self) -> Height {
        self.ledger.read(Ledger::height)
    }

    /// This bank's header at a height.
    pub fn header(&self, height: Height) -> Result<Option<SignedHeader>, Status> {
        let found = self.archive.header(height).map_err(damaged)?;
        Ok(found.map(|(header, _)| header))
    }

    /// The testimony as of a height that this bank has reached. `common` is the central bank's header at the lower one
    /// of both chains' heights, absent at height 0 and where it tells none; `is_ahead` says whether this bank's chain
    /// is the longer one.
    pub fn testimony(
        &self,
        height: Height,
        common: Option<&SignedHeader>,
        is_ahead: bool,
    ) -> Result<v1::Testimony, Status> {
        let newest = self.header(height)?.as_ref().map(header_to_message);
        let mut testimony = v1::Testimony { newest, clock_ms: wall_clock().0, ..v1::Testimony::default() };
        let at = common.map_or(Height(0), |common| common.header.height);
        let own = self.header(at)?;
        let is_fork = common.map(|common| common.header.hash()) != own.as_ref().map(|own| own.header.hash());
        if is_ahead {
            testimony.at_head = own.as_ref().map(header_to_message);
        }
        if is_ahead || is_fork || common.is_none() {
            testimony.membership_changes = self.changes_above(if is_fork { Height(0) } else { at })?;
        }
        Ok(testimony)
    }

    /// The membership changes above a height, as far as they fit.
    fn changes_above(&self, mut above: Height) -> Result<Vec<v1::MembershipChange>, Status> {
        let (mut changes, mut bytes) = (Vec::new(), 0);
        loop {
            let found = self.archive.membership_changes(above, CHANGES_AT_ONCE).map_err(damaged)?;
            let is_last = found.len() < CHANGES_AT_ONCE;
            for (height, change) in found {
                bytes += change.len();
                if bytes > CHANGES_BYTES_MAX {
                    return Ok(changes);
                }
                changes.push(v1::MembershipChange { change });
                above = height;
            }
            if is_last {
                return Ok(changes);
            }
        }
    }
}

fn damaged(error: ArchiveError) -> Status {
    Status::data_loss(error.to_string())
}
