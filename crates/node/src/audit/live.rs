//! Auditing a running network through a node's chain service.

use cbdc_ledger::{Genesis, Height};
use cbdc_proto::convert::header_from_message;
use cbdc_proto::transport::MESSAGE_BYTES_MAX;
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;
use tonic::transport::Channel;

use super::{AuditError, AuditReport, Auditor, ExpectedHead, Head};
use crate::archive::BlockParts;

fn rpc(status: tonic::Status) -> AuditError {
    AuditError::Rpc(Box::new(status))
}

/// The newest block of a node; `None` if nothing was sealed yet.
pub async fn newest_head(channel: Channel) -> Result<Option<Head>, AuditError> {
    match ChainClient::new(channel).get_header(v1::GetHeaderRequest { height: None }).await {
        Ok(header) => {
            let header = header_from_message(&header.into_inner()).map_err(rpc)?.header;
            Ok(Some(Head { height: header.height, hash: header.hash() }))
        }
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(rpc(status)),
    }
}

/// Audits a running network through a node's chain service, up to the newest block at the start.
pub async fn audit_live(
    channel: Channel,
    genesis: Genesis,
    expected: Vec<ExpectedHead>,
    mut progress: impl FnMut(Height, Height),
) -> Result<AuditReport, AuditError> {
    let newest = newest_head(channel.clone()).await?.map_or(Height(0), |head| head.height);
    let mut client = ChainClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut auditor = Auditor::new(genesis)?.expecting(expected);
    let mut blocks =
        client.follow(v1::FollowRequest { from_height: 1, testimony: None }).await.map_err(rpc)?.into_inner();
    while auditor.height() < newest {
        let Some(block) = blocks.message().await.map_err(rpc)? else {
            let finding = format!("the node ended the chain at block {}, its newest was {newest}", auditor.height());
            return Ok(auditor.finish(Some(finding)));
        };
        let header =
            block.header.as_ref().ok_or_else(|| rpc(tonic::Status::data_loss("a block came without a header")))?;
        let header = header_from_message(header).map_err(rpc)?;
        let parts = BlockParts { header, log_index: 0, proposal: block.proposal, outcomes: block.outcomes };
        // Verifying takes a while; other tasks of this thread continue.
        let verified = tokio::task::block_in_place(|| auditor.block(&parts));
        if let Err(finding) = verified {
            return Ok(auditor.finish(Some(finding)));
        }
        progress(auditor.height(), newest);
    }
    Ok(auditor.finish(None))
}
