//! This bank's testimony to the central bank before it follows it: its newest header, and its clock. A central bank
//! that has lost blocks thus learns of them before it seals others at their heights.

use std::sync::Arc;

use cbdc_ledger::{Height, Ledger};
use cbdc_node::{Archive, LedgerHandle};
use cbdc_proto::convert::header_to_message;
use cbdc_proto::v1;
use cbdc_proto::wall_clock::wall_clock;
use tonic::Status;

/// The newest block that this bank has.
#[derive(Clone)]
pub struct ChainHead {
    pub ledger: LedgerHandle,
    pub archive: Arc<Archive>,
}

impl ChainHead {
    /// The height of the next block, and the testimony as of the one before.
    pub fn testimony(&self) -> Result<(Height, v1::Testimony), Status> {
        let height = self.ledger.read(Ledger::height);
        let newest = self.archive.header(height).map_err(|error| Status::data_loss(error.to_string()))?;
        let newest = newest.map(|(header, _)| header_to_message(&header));
        Ok((height.next(), v1::Testimony { newest, clock_ms: wall_clock().0 }))
    }
}
