//! A chain on disk: kept, read back, audited, and damage to it named.

use std::sync::Arc;

use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::block_proposal::BlockProposalBuilder;
use cbdc_ledger::member::Role;
use cbdc_ledger::{Genesis, Height, Ledger, MemberId, SignedHeader, SigningKey, VerifiedProposal};
use cbdc_node::archive::ProposalsByHeight;
use cbdc_node::audit::Auditor;
use cbdc_node::{Archive, ArchiveError};
use cbdc_storage::{Column, Durability, MemoryStore, Store, WriteBatch};

const BLOCKS: u64 = 5;

/// An archive of five blocks without commands, as a central bank seals and a bank keeps them.
struct Kept {
    genesis: Genesis,
    store: Arc<MemoryStore>,
    archive: Archive,
}

fn central_bank() -> (Genesis, SigningKey) {
    let folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec { ports: Ports::Free, banks: 1, ..NetworkSpec::default() };
    let network = Network::create(&folder.path().join("net"), &spec).unwrap();
    let key = network.signing_key(Role::CentralBank, MemberId(1)).unwrap();
    (network.anchor().genesis().clone(), key)
}

impl Kept {
    fn new() -> Kept {
        let (genesis, key) = central_bank();
        let store = Arc::new(MemoryStore::new());
        let mut ledger = Ledger::new(genesis.clone()).unwrap();
        for _ in 0..BLOCKS {
            let proposal = BlockProposalBuilder::default().finish(ledger.tip().time.plus_ms(1));
            let block = ledger.apply(&VerifiedProposal::from_built(&proposal));
            let header = SignedHeader::sign(block.header, ledger.network(), MemberId(1), &key);
            let mut batch = WriteBatch::new();
            Archive::put(&mut batch, &header, 0, &block.outcomes);
            ProposalsByHeight::put(&mut batch, block.header.height, proposal.bytes());
            store.write(batch, Durability::Buffered).unwrap();
        }
        let kept: Arc<dyn Store> = store.clone();
        let archive = Archive::new(kept.clone(), Arc::new(ProposalsByHeight(kept)));
        Kept { genesis, store, archive }
    }

    /// The height of the last block that verifies, and what is wrong with the next.
    fn audit(&self) -> (u64, Option<String>) {
        let mut auditor = Auditor::new(self.genesis.clone()).unwrap();
        while let Some(parts) = self.archive.block(auditor.height().next()).unwrap() {
            if let Err(finding) = auditor.block(&parts) {
                return (auditor.height().0, Some(finding));
            }
        }
        (auditor.height().0, None)
    }
}

#[test]
fn a_chain_comes_back_whole_and_verifies_from_genesis() {
    let kept = Kept::new();
    assert_eq!(kept.archive.newest().unwrap(), Some(Height(BLOCKS)));
    assert_eq!(kept.audit(), (BLOCKS, None));
    assert!(!kept.archive.keeps_filtered_blocks().unwrap());
    assert!(kept.archive.header(Height(BLOCKS + 1)).unwrap().is_none());
    assert!(kept.archive.receipt(Height(1), 0).unwrap().is_none(), "a block without commands has no receipts");
}

#[test]
fn a_flipped_bit_anywhere_in_a_block_is_an_error_that_names_its_height() {
    for column in [Column::Headers, Column::Log, Column::Outcomes] {
        let kept = Kept::new();
        kept.store.flip_bit(column, &3_u64.to_be_bytes(), 1);
        let error = kept.archive.block(Height(3)).unwrap_err();
        assert!(error.to_string().contains('3'), "{column}: {error}");
        assert!(matches!(error, ArchiveError::Damaged { height: Height(3), .. } | ArchiveError::Store(_)), "{error}");
        assert!(kept.archive.block(Height(2)).unwrap().is_some() && kept.archive.block(Height(4)).unwrap().is_some());
    }
}

#[test]
fn a_block_that_another_key_signed_ends_the_audit_and_is_named() {
    let kept = Kept::new();
    let (signed, log_index) = kept.archive.header(Height(4)).unwrap().unwrap();
    let forged =
        SignedHeader::sign(signed.header, kept.genesis.network(), MemberId(1), &SigningKey::from_seed([9; 32]));
    let mut batch = WriteBatch::new();
    Archive::put(&mut batch, &forged, log_index, &[]);
    kept.store.write(batch, Durability::Buffered).unwrap();
    let (verified, finding) = kept.audit();
    assert_eq!(verified, 3);
    assert!(finding.as_ref().is_some_and(|finding| finding.contains("block 4")), "{finding:?}");
}

#[test]
fn filtered_blocks_are_kept_beside_their_headers_and_damage_to_one_is_named() {
    let kept = Kept::new();
    let (header, _) = kept.archive.header(Height(2)).unwrap().unwrap();
    let mut batch = WriteBatch::new();
    Archive::put_filtered_block(&mut batch, &header, b"what concerns the bank");
    kept.store.write(batch, Durability::Buffered).unwrap();
    assert!(kept.archive.keeps_filtered_blocks().unwrap());
    let (found, filtered_block) = kept.archive.filtered_block(Height(2)).unwrap().unwrap();
    assert_eq!((found, &filtered_block[..]), (header, &b"what concerns the bank"[..]));
    assert!(kept.archive.filtered_block(Height(3)).unwrap().is_none());
    kept.store.flip_bit(Column::FilteredBlocks, &2_u64.to_be_bytes(), 1);
    let error = kept.archive.filtered_block(Height(2)).unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged { height: Height(2), .. }), "{error}");
}
