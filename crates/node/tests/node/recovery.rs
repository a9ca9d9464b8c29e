//! Starting from a checkpoint: what the node wrote and signed comes back; anything else is refused and named.

use std::sync::Arc;

use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::block_proposal::BlockProposalBuilder;
use cbdc_ledger::checkpoint::RootHasher;
use cbdc_ledger::command::{Command, GovernanceAction, GovernanceProposal, Head, Signed};
use cbdc_ledger::member::Role;
use cbdc_ledger::{FormatVersion, Genesis, Ledger, MemberId, PublicKey, Signature, SigningKey, VerifiedProposal};
use cbdc_node::audit::difference;
use cbdc_node::checkpoints::{CheckpointStep, Checkpoints};
use cbdc_node::recovery::{self, CheckpointSigner, RecoveryError};
use cbdc_storage::{CheckpointStore, CheckpointWriter, LogPosition, MemoryStore, Store};

const POSITION: LogPosition = LogPosition { term: 1, index: 2 };

/// A central bank's ledger of version 2, and its node's key.
struct Node {
    genesis: Genesis,
    ledger: Ledger,
    key: Arc<SigningKey>,
}

impl Node {
    fn new() -> Node {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec { ports: Ports::Free, banks: 1, ..NetworkSpec::default() };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        let key = Arc::new(network.signing_key(Role::CentralBank, MemberId(1)).unwrap());
        let genesis = network.anchor().genesis().clone();
        assert_eq!(genesis.format, FormatVersion::NEWEST);
        Node { ledger: Ledger::new(genesis.clone()).unwrap(), genesis, key }
    }

    fn block(&mut self, asks_for_checkpoint: bool) {
        let mut builder = BlockProposalBuilder::default();
        if asks_for_checkpoint {
            builder.ask_for_checkpoint();
        }
        let proposal = builder.finish(self.ledger.tip().time.plus_ms(1));
        self.ledger.apply(&VerifiedProposal::from_built(&proposal));
    }

    fn signer(&self, key: &Arc<SigningKey>) -> CheckpointSigner {
        CheckpointSigner { role: Role::CentralBank, member: MemberId(1), key: key.clone() }
    }

    /// A store with the checkpoint of the present height, signed with a key.
    fn written_with(&mut self, key: &Arc<SigningKey>) -> Arc<dyn Store> {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        recovery::write(&store, &self.ledger.snapshot(), POSITION, &self.signer(key)).unwrap();
        store
    }

    fn load(&self, store: &Arc<dyn Store>, own_key: Option<PublicKey>) -> Result<Ledger, RecoveryError> {
        let checkpoints = CheckpointStore::new(store.clone());
        let height = *checkpoints.heights().unwrap().last().unwrap();
        let loaded = recovery::load_checkpoint(&checkpoints, height, &self.genesis, own_key.as_ref());
        // A refused checkpoint is skipped.
        let (started, used) = recovery::load(store, self.genesis.clone(), own_key.as_ref()).unwrap();
        assert_eq!((used.is_some(), started.height().0 > 0), (loaded.is_ok(), loaded.is_ok()));
        loaded.map(|(ledger, _)| ledger)
    }
}

/// The same checkpoint with `alter` done to its chunks, under the root that they then have and the signature that there
/// was.
fn altered(store: &Arc<dyn Store>, alter: impl FnOnce(&mut Vec<Vec<u8>>)) -> Arc<dyn Store> {
    let checkpoints = CheckpointStore::new(store.clone());
    let manifest = checkpoints.latest().unwrap().unwrap();
    let read = |chunk| checkpoints.read_chunk(manifest.height, chunk).unwrap().to_vec();
    let mut chunks: Vec<Vec<u8>> = (0..manifest.chunk_count).map(read).collect();
    alter(&mut chunks);
    let copy: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (mut writer, mut hasher) =
        (CheckpointWriter::begin(copy.clone(), manifest.height).unwrap(), RootHasher::default());
    for chunk in &chunks {
        hasher.chunk(chunk);
        writer.chunk(chunk).unwrap();
    }
    writer.finish(manifest.position, hasher.root(), &manifest.extra).unwrap();
    copy
}

#[test]
fn a_checkpoint_comes_back_under_the_nodes_own_key_or_the_one_it_had_then() {
    let mut node = Node::new();
    node.block(true);
    let (own, store) = (node.key.clone(), node.written_with(&node.key.clone()));
    let tip = node.ledger.tip_hash();
    let another = SigningKey::from_seed([7; 32]).public_key();
    for own_key in [Some(own.public_key()), None, Some(another)] {
        assert_eq!(node.load(&store, own_key).unwrap().tip_hash(), tip);
    }
    let stranger = Arc::new(SigningKey::from_seed([8; 32]));
    let store = node.written_with(&stranger);
    let refused = node.load(&store, Some(own.public_key())).map(|_| ());
    assert!(
        matches!(&refused, Err(RecoveryError::Signature { what, .. }) if what.contains("central-bank 1")),
        "{refused:?}"
    );
}

#[test]
fn a_checkpoint_that_was_altered_is_refused_even_under_the_root_that_it_then_has() {
    let mut node = Node::new();
    node.block(true);
    let (own, store) = (node.key.public_key(), node.written_with(&node.key.clone()));
    assert!(node.load(&altered(&store, |_| {}), Some(own)).is_ok());
    // The header, of which no section of the state repeats time, parent and what the block held.
    for at in (0..402).step_by(3) {
        let spoilt = altered(&store, |chunks| chunks[0][at] ^= 1);
        assert!(node.load(&spoilt, Some(own)).is_err(), "byte {at} of the first chunk");
    }
    let spoilt = altered(&store, |chunks| {
        let last = chunks.last_mut().unwrap();
        let at = last.len() - 1;
        last[at] ^= 1;
    });
    assert!(matches!(node.load(&spoilt, Some(own)), Err(RecoveryError::Checkpoint { .. })));
}

#[test]
fn a_checkpoint_of_a_block_that_sums_up_less_is_refused() {
    let mut node = Node::new();
    node.block(true);
    node.block(false);
    let (own, store) = (node.key.public_key(), node.written_with(&node.key.clone()));
    let refused = node.load(&store, Some(own)).map(|_| ());
    assert!(
        matches!(&refused, Err(RecoveryError::Signature { what, .. }) if what.contains("no checkpoint block")),
        "{refused:?}"
    );
}

#[test]
fn a_replica_that_comes_to_another_state_names_the_section() {
    let (mut node, mut other) = (Node::new(), Node::new());
    other.ledger = Ledger::new(node.genesis.clone()).unwrap();
    node.block(false);
    let head = Head { flags: 0, key_version: 0, sequence: 1, valid_until: node.ledger.tip().time };
    let (effective_at, expires_at) = (head.valid_until, head.valid_until);
    let actions = vec![GovernanceAction::Threshold(1)];
    let record = GovernanceProposal { head, member: MemberId(1), effective_at, expires_at, actions };
    let command = Command::from(Signed { record, signature: Signature([0; 64]) });
    let bytes = [&[1, 0, 0, 0, 1, 0, 0, 0][..], &head.valid_until.0.to_le_bytes(), &command.to_bytes()].concat();
    let block = other.ledger.apply(&VerifiedProposal::from_own_log(&bytes).unwrap());
    assert!(block.outcomes[0].is_settled(), "{:?}", block.outcomes);
    let computed = (node.ledger.tip(), node.ledger.sections());
    let claimed = other.ledger.sections().to_bytes();
    let network = node.ledger.network();
    let named = difference(computed, (other.ledger.tip(), &claimed), network);
    assert_eq!(named, "the state differs in its section: sequence numbers of members");
    // Digests that are not those under the header's root name nothing.
    let forged = difference(computed, (other.ledger.tip(), &claimed[32..]), network);
    assert!(forged.starts_with("its commands root is"), "{forged}");
}

#[test]
fn a_checkpoint_block_is_asked_for_once_and_everybody_writes_there() {
    let mut node = Node::new();
    let mut orders = Checkpoints::new(2, node.ledger.height(), 0);
    let mut follows = Checkpoints::new(2, node.ledger.height(), 0);
    let (mut steps, mut written) = (Vec::new(), Vec::new());
    for asks in [false, false, false, true, false] {
        node.block(asks);
        let header = *node.ledger.tip();
        orders.note(header.height, 1);
        follows.note(header.height, 1);
        steps.push(orders.step(&header, || 0));
        written.push(follows.is_due_at(&header, || 0));
    }
    use CheckpointStep::{Ask, Wait, Write};
    assert_eq!(steps, [Wait, Ask, Wait, Write, Ask], "the last is due again, since none was begun");
    assert_eq!(written, [false, false, false, true, false]);
}
