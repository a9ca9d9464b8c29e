//! Checkpoints from another node: what the network's nodes have signed is installed, anything else is refused, with the
//! reason.

use std::sync::Arc;

use cbdc_central_bank::replicas::checkpoints::VerifiedCheckpoints;
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::command::{GovernanceAction, GovernanceProposal, Head, Signed};
use cbdc_ledger::member::Role;
use cbdc_ledger::membership_change::MembershipChange;
use cbdc_ledger::{
    Command, Genesis, Ledger, MemberId, Signature, SignedHeader, SigningKey, Timestamp, VerifiedProposal,
};
use cbdc_node::Archive;
use cbdc_node::recovery::{self, CheckpointSigner};
use cbdc_ordering::snapshot::SnapshotSource;
use cbdc_proto::internal::CheckpointProof;
use cbdc_storage::{CheckpointManifest, Durability, LogPosition, MemoryStore, Store, WriteBatch};

/// A chain of a network of three nodes, two of which sign each header; and what one of the nodes has in its store.
struct Chain {
    genesis: Genesis,
    ledger: Ledger,
    keys: [Arc<SigningKey>; 3],
    store: Arc<dyn Store>,
}

impl Chain {
    fn new() -> Chain {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec {
            ports: Ports::Free,
            banks: 1,
            central_banks: 3,
            header_signatures: 2,
            threshold: 1,
            ..NetworkSpec::default()
        };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        let keys = [1, 2, 3].map(|member| Arc::new(network.signing_key(Role::CentralBank, MemberId(member)).unwrap()));
        let genesis = network.anchor().genesis().clone();
        let ledger = Ledger::new(genesis.clone()).unwrap();
        Chain { genesis, ledger, keys, store: Arc::new(MemoryStore::new()) }
    }

    /// The same network with the keys of others, whose chain begins anew.
    fn forged(&self) -> Chain {
        let keys = [21, 22, 23].map(|seed| Arc::new(SigningKey::from_seed([seed; 32])));
        let (genesis, ledger) = (self.genesis.clone(), Ledger::new(self.genesis.clone()).unwrap());
        Chain { genesis, ledger, keys, store: Arc::new(MemoryStore::new()) }
    }

    /// A header with the signatures of some members.
    fn signed(&self, header: cbdc_ledger::Header, signers: &[u16]) -> SignedHeader {
        let network = self.ledger.network();
        let mut signatures = Vec::new();
        for member in signers {
            let key = &self.keys[usize::from(*member) - 1];
            signatures.extend(SignedHeader::sign(header, network, MemberId(*member), key).signatures);
        }
        SignedHeader { header, signatures }
    }

    /// Settles a block in which `actions` are decided, which the next one enacts.
    fn enact(&mut self, actions: Vec<GovernanceAction>, asks_for_checkpoint: bool) {
        self.block(actions, false);
        self.block(Vec::new(), asks_for_checkpoint);
    }

    /// Settles a block in which `actions` are proposed, if any are, and archives it with the signatures of members 1
    /// and 2.
    fn block(&mut self, actions: Vec<GovernanceAction>, asks_for_checkpoint: bool) {
        let time = self.ledger.tip().time.plus_ms(1);
        let has_command = u32::from(!actions.is_empty());
        let mut bytes = vec![1, u8::from(asks_for_checkpoint), 0, 0];
        bytes.extend(has_command.to_le_bytes());
        bytes.extend(time.0.to_le_bytes());
        if has_command > 0 {
            let sequence = self.ledger.members().active(Role::Committee, MemberId(1)).unwrap().window.lowest_unused();
            let head = Head { flags: 0, key_version: 0, sequence, valid_until: time };
            let (effective_at, expires_at) = (time, Timestamp(time.0 + 1_000));
            let record = GovernanceProposal { head, member: MemberId(1), effective_at, expires_at, actions };
            bytes.extend(Command::from(Signed { record, signature: Signature([0; 64]) }).to_bytes());
        }
        let block = self.ledger.apply(&VerifiedProposal::from_own_log(&bytes).unwrap());
        assert!(block.outcomes.iter().all(cbdc_ledger::Outcome::is_settled), "{:?}", block.outcomes);
        let signed = self.signed(block.header, &[1, 2]);
        self.archive(&signed, block.changes.members);
    }

    fn archive(&self, signed: &SignedHeader, changes_members: bool) {
        let mut batch = WriteBatch::new();
        Archive::put(&mut batch, signed, 1, &[]);
        if changes_members {
            Archive::put_membership_change(&mut batch, &MembershipChange::of(signed.clone(), &self.ledger).unwrap());
        }
        self.store.write(batch, Durability::Synced).unwrap();
    }

    /// Writes the checkpoint of the present height, as member 1 does.
    fn checkpoint(&mut self) -> Sent {
        crate::running::remove_checkpoints(self.store.as_ref());
        let position = LogPosition { term: 1, index: self.ledger.height().0 };
        let signer = CheckpointSigner { role: Role::CentralBank, member: MemberId(1), key: self.keys[0].clone() };
        let manifest = recovery::write(&self.store, &self.ledger.snapshot(), position, &signer).unwrap();
        let source = VerifiedCheckpoints::new(self.store.clone(), &Ledger::new(self.genesis.clone()).unwrap());
        let proof = source.proof(&manifest).unwrap();
        Sent { manifest, proof, source }
    }

    /// A node of the network that knows nothing but genesis.
    fn newcomer(&self) -> VerifiedCheckpoints {
        VerifiedCheckpoints::new(Arc::new(MemoryStore::new()), &Ledger::new(self.genesis.clone()).unwrap())
    }
}

/// A checkpoint as it is sent.
struct Sent {
    manifest: CheckpointManifest,
    proof: CheckpointProof,
    source: VerifiedCheckpoints,
}

impl Sent {
    fn verify(&self, receiver: &VerifiedCheckpoints) -> Result<(), String> {
        let mut chunks = (0..self.manifest.chunk_count).map(|chunk| self.source.read_chunk(&self.manifest, chunk));
        receiver.verify(&self.manifest, &self.proof, &mut chunks)
    }

    fn install(&self, receiver: &VerifiedCheckpoints) {
        let mut chunks = (0..self.manifest.chunk_count).map(|chunk| self.source.read_chunk(&self.manifest, chunk));
        receiver.install(&self.manifest, &mut chunks).unwrap();
    }
}

#[test]
fn a_checkpoint_that_the_networks_nodes_have_signed_is_installed_and_passed_on() {
    let mut chain = Chain::new();
    chain.block(Vec::new(), true);
    let (sent, newcomer) = (chain.checkpoint(), chain.newcomer());
    sent.verify(&newcomer).unwrap();
    sent.install(&newcomer);
    newcomer.forget_unless_installed();
    assert_eq!(newcomer.ledger_of(&sent.manifest).unwrap().tip_hash(), chain.ledger.tip_hash());
    // It has no blocks from before, and proves its checkpoint all the same.
    let proof = newcomer.proof(&sent.manifest).unwrap();
    let passed_on = Sent { manifest: sent.manifest, proof, source: newcomer };
    passed_on.verify(&chain.newcomer()).unwrap();
}

#[test]
fn a_checkpoint_is_proved_across_replaced_keys_and_dismissed_nodes() {
    let mut chain = Chain::new();
    let (role, id) = (Role::CentralBank, MemberId(1));
    let key = SigningKey::from_seed([9; 32]);
    let node_key = Some(SigningKey::from_seed([10; 32]).public_key());
    let signing_key = key.public_key();
    chain.enact(vec![GovernanceAction::ReplaceKeys { role, id, signing_key, node_key }], false);
    chain.keys[0] = Arc::new(key);
    chain.enact(vec![GovernanceAction::DismissMember { role, id: MemberId(3) }], false);
    chain.block(Vec::new(), true);
    let mut sent = chain.checkpoint();
    assert_eq!(sent.proof.membership_changes.len(), 2);
    sent.verify(&chain.newcomer()).unwrap();
    let changes = std::mem::take(&mut sent.proof.membership_changes);
    let refused = sent.verify(&chain.newcomer()).unwrap_err();
    assert!(refused.contains("header does not count"), "{refused}");
    // A receiver that knows the changes needs none.
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut batch = WriteBatch::new();
    for change in &changes {
        Archive::put_membership_change(&mut batch, &MembershipChange::from_bytes(change).unwrap());
    }
    store.write(batch, Durability::Synced).unwrap();
    sent.verify(&VerifiedCheckpoints::new(store, &Ledger::new(chain.genesis.clone()).unwrap())).unwrap();
}

#[test]
fn a_checkpoint_that_was_altered_consistently_is_refused_with_the_reason() {
    let mut chain = Chain::new();
    chain.enact(Vec::new(), true);
    let genuine = chain.checkpoint();
    let header_of = |proof: &CheckpointProof| proof.header.clone();

    // Another history, whose roots are all as they should be; even its members are the forger's.
    let mut forged = chain.forged();
    let replaced = |member: u16, key: &SigningKey| GovernanceAction::ReplaceKeys {
        role: Role::CentralBank,
        id: MemberId(member),
        signing_key: key.public_key(),
        node_key: Some(SigningKey::from_seed([30 + member as u8; 32]).public_key()),
    };
    let actions = forged.keys.iter().zip(1..).map(|(key, member)| replaced(member, key)).collect();
    forged.enact(actions, true);
    let mut sent = forged.checkpoint();
    for changes in [sent.proof.membership_changes.clone(), Vec::new()] {
        sent.proof.membership_changes = changes;
        let refused = sent.verify(&chain.newcomer()).unwrap_err();
        assert!(refused.contains("header does not count"), "{refused}");
    }
    // The header that was signed does not go with another ledger.
    sent.proof.header = header_of(&genuine.proof);
    let refused = sent.verify(&chain.newcomer()).unwrap_err();
    assert!(refused.contains("another block 2"), "{refused}");

    // One of the network's own nodes alone, where two have to sign.
    let mut lone = Chain { keys: chain.keys.clone(), ..chain.forged() };
    lone.enact(vec![GovernanceAction::Threshold(2)], true);
    let mut sent = lone.checkpoint();
    sent.verify(&chain.newcomer()).unwrap();
    let one = lone.signed(*lone.ledger.tip(), &[1]);
    lone.archive(&one, true);
    sent.proof = sent.source.proof(&sent.manifest).unwrap();
    let refused = sent.verify(&chain.newcomer()).unwrap_err();
    assert!(refused.contains("header does not count"), "{refused}");

    // The right ledger, whose chunks nobody of the network has signed.
    let key = std::mem::replace(&mut chain.keys[0], Arc::new(SigningKey::from_seed([40; 32])));
    let sent = chain.checkpoint();
    let refused = sent.verify(&chain.newcomer()).unwrap_err();
    assert!(refused.contains("chunks are not signed"), "{refused}");
    chain.keys[0] = key;

    // Without a proof there is nothing to trust; and what was refused is not kept.
    let (newcomer, empty) = (chain.newcomer(), CheckpointProof::default());
    let sent = Sent { proof: empty, ..chain.checkpoint() };
    let refused = sent.verify(&newcomer).unwrap_err();
    assert!(refused.contains("proof cannot be read"), "{refused}");
    assert!(newcomer.latest().unwrap().is_none() && newcomer.ledger_of(&sent.manifest).is_err());
    chain.checkpoint().verify(&newcomer).unwrap();
    newcomer.forget_unless_installed();
    assert!(newcomer.ledger_of(&sent.manifest).is_err(), "verified, and not installed");
}
