//! The chain service of a real central bank: headers, blocks, receipts, following, checkpoints, and who may ask.

use cbdc_client::{BlockPosition, VerifiedReceipt};
use cbdc_ledger::Height;
use cbdc_ledger::member::Role;
use cbdc_proto::convert::{header_from_message, receipt_from_message};
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;
use cbdc_proto::v1::checkpoint_part::Part;
use tokio_stream::StreamExt;
use tonic::Code;

use crate::running::Running;

#[tokio::test(flavor = "multi_thread")]
async fn every_role_reads_headers_blocks_and_receipts_that_prove_themselves() {
    let running = Running::start().await;
    let opening = running.opening(1);
    let outcome = running.settle(&opening).await;
    let anchor = running.network.anchor();
    for role in Role::ALL {
        let mut chain = ChainClient::new(running.as_member(role, 1));
        let genesis = chain.get_genesis(v1::GetGenesisRequest {}).await.unwrap().into_inner().genesis;
        assert_eq!(genesis, anchor.genesis().to_bytes(), "{role}");

        let newest = chain.get_header(v1::GetHeaderRequest { height: None }).await.unwrap().into_inner();
        let newest = header_from_message(&newest).unwrap();
        anchor.check_header(&newest).unwrap();
        assert!(newest.header.height >= Height(outcome.height));

        let block = chain.get_block(v1::GetBlockRequest { height: outcome.height }).await.unwrap().into_inner();
        let header = header_from_message(block.header.as_ref().unwrap()).unwrap();
        anchor.check_header(&header).unwrap();
        assert_eq!(header.header.height, Height(outcome.height));

        let request = v1::GetReceiptRequest { height: outcome.height, index: outcome.index };
        let receipt = receipt_from_message(&chain.get_receipt(request).await.unwrap().into_inner()).unwrap();
        let receipt = VerifiedReceipt::check(receipt, anchor).unwrap();
        assert_eq!((receipt.command(), receipt.outcome().is_settled()), (&opening, true));
        assert_eq!(receipt.position(), BlockPosition { height: Height(outcome.height), index: outcome.index });
    }
    running.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_not_is_not_found_and_the_newest_height_is_named() {
    let running = Running::start().await;
    let newest = running.settle(&running.opening(1)).await.height;
    let mut chain = ChainClient::new(running.as_member(Role::Auditor, 1));
    let beyond = newest + 1_000;
    let header = chain.get_header(v1::GetHeaderRequest { height: Some(beyond) }).await.unwrap_err();
    let block = chain.get_block(v1::GetBlockRequest { height: beyond }).await.unwrap_err();
    for status in [header, block] {
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
        assert!(status.message().contains(&beyond.to_string()), "{status:?}");
    }
    let receipt = chain.get_receipt(v1::GetReceiptRequest { height: newest, index: 1_000 }).await.unwrap_err();
    assert_eq!(receipt.code(), Code::NotFound, "{receipt:?}");
    let checkpoint = chain.get_checkpoint(v1::GetCheckpointRequest {}).await.unwrap_err();
    assert_eq!(checkpoint.code(), Code::NotFound, "{checkpoint:?}");
    running.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_gets_the_past_and_then_each_block_as_it_is_sealed() {
    let running = Running::start().await;
    let past = running.settle(&running.opening(1)).await.height;
    let mut chain = ChainClient::new(running.as_member(Role::Auditor, 1));
    let mut blocks = chain.follow(v1::FollowRequest { from_height: 1, testimony: None }).await.unwrap().into_inner();
    let mut heights = Vec::new();
    let mut read_up_to = async |height: u64| {
        while heights.last().is_none_or(|last| *last < height) {
            let block = blocks.next().await.expect("the stream goes on").unwrap();
            heights.push(header_from_message(block.header.as_ref().unwrap()).unwrap().header.height.0);
        }
    };
    read_up_to(past).await;
    let sealed = running.settle(&running.opening(2)).await.height;
    read_up_to(sealed).await;
    assert_eq!(heights, (1..=sealed).collect::<Vec<_>>());
    running.node.shutdown().await;
    assert!(!matches!(blocks.next().await, Some(Ok(_))), "the stream ends with the node");
}

#[tokio::test(flavor = "multi_thread")]
async fn filtered_blocks_are_for_banks_alone() {
    let running = Running::start().await;
    let height = running.settle(&running.opening(1)).await.height;
    for role in Role::ALL {
        let mut chain = ChainClient::new(running.as_member(role, 1));
        let followed = chain
            .follow_filtered_blocks(v1::FollowFilteredBlocksRequest { from_height: height, testimony: None })
            .await;
        match role {
            Role::Bank => {
                let first = followed.unwrap().into_inner().next().await.unwrap().unwrap();
                let header = header_from_message(first.header.as_ref().unwrap()).unwrap();
                assert_eq!(header.header.height, Height(height));
                assert!(!first.filtered_block.is_empty());
            }
            _ => assert_eq!(followed.unwrap_err().code(), Code::PermissionDenied, "{role}"),
        }
    }
    running.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_comes_with_its_manifest_first() {
    let running = Running::start_with(|config| config.checkpoint_every_blocks = 1).await;
    let mut chain = ChainClient::new(running.as_member(Role::Auditor, 1));
    let mut parts = None;
    for number in 1..=100 {
        running.settle(&running.opening(number)).await;
        if let Ok(answer) = chain.get_checkpoint(v1::GetCheckpointRequest {}).await {
            parts = Some(answer.into_inner());
            break;
        }
    }
    let mut parts = parts.expect("a checkpoint is written in time");
    let Some(Part::Manifest(manifest)) = parts.next().await.unwrap().unwrap().part else {
        panic!("the manifest comes first");
    };
    let mut hash = blake3::Hasher::new();
    let mut chunks = 0;
    while let Some(part) = parts.next().await {
        let Some(Part::Chunk(chunk)) = part.unwrap().part else { panic!("only chunks follow") };
        hash.update(&(chunk.len() as u64).to_le_bytes()).update(&chunk);
        chunks += 1;
    }
    assert_eq!((chunks, hash.finalize().as_bytes().to_vec()), (manifest.chunk_count, manifest.root.to_vec()));
    running.node.shutdown().await;
}
