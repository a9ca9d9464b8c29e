//! Tests of the implementation behind the interface: openraft's own suite, the purge marker, three members within the
//! process. One member is tested from outside, in `tests/one_member.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cbdc_storage::{CheckpointManifest, CheckpointStore, CheckpointWriter, MemoryStore, RocksStore, Store, StoreError};
use openraft::storage::RaftLogStorage;
use openraft::testing::{StoreBuilder, Suite};
use openraft::{BasicNode, CommittedLeaderId};
use tokio::sync::watch;

use crate::delivery::{self, CommittedReceiver, Delivered};
use crate::error::OrderingError;
use crate::in_process::Wires;
use crate::leadership::Leadership;
use crate::log_store::{LogStore, UseAmong};
use crate::ordering::{Ordering, OrderingConfig};
use crate::snapshot::{CheckpointSnapshots, SnapshotSource};
use crate::state_machine::StateMachine;
use crate::types::{LogId, MemberId, Membership, Position, RaftIoError, RaftStorageError, StoredMembership, Types};

const TIMEOUT: Duration = Duration::from_secs(20);

fn bytes(text: impl ToString) -> Bytes {
    Bytes::from(text.to_string())
}

async fn start(store: &Arc<impl Store>, resume_after: Option<Position>) -> (Ordering, CommittedReceiver) {
    Ordering::start(OrderingConfig::default(), store.clone(), resume_after).await.unwrap()
}

/// The next `count` proposals. A checkpoint between them is passed over.
async fn receive(receiver: &mut CommittedReceiver, count: usize) -> Vec<(Position, Bytes)> {
    let mut received = Vec::new();
    while received.len() < count {
        let next = tokio::time::timeout(TIMEOUT, receiver.recv_delivered()).await;
        let next = next.expect("a proposal is delivered in time").unwrap().expect("ordering goes on");
        if let Delivered::Proposal(committed) = next {
            received.push((committed.position, committed.proposal));
        }
    }
    received
}

/// Ends the member without letting it write anything more, as a crash does.
async fn crash(ordering: Ordering, store: &MemoryStore) {
    ordering.raft().shutdown().await.unwrap();
    drop(ordering);
    store.crash();
}

// --- openraft's own suite -------------------------------------------------------------------------------------------

/// Takes a checkpoint of the applied state whenever openraft wants a snapshot: the suite expects that of a state
/// machine.
struct CheckpointAtOnce(Arc<dyn Store>, CheckpointSnapshots);

impl SnapshotSource for CheckpointAtOnce {
    fn build(&self, applied: Option<Position>) -> Result<Option<CheckpointManifest>, StoreError> {
        let Some(position) = applied else { return Ok(None) };
        let mut writer = CheckpointWriter::begin(self.0.clone(), position.index)?;
        writer.chunk(b"state")?;
        writer.finish(position, [0; 32], b"").map(Some)
    }
    fn latest(&self) -> Result<Option<CheckpointManifest>, StoreError> {
        self.1.latest()
    }
    fn read_chunk(&self, manifest: &CheckpointManifest, chunk: u32) -> Result<Bytes, StoreError> {
        self.1.read_chunk(manifest, chunk)
    }
    fn install(
        &self,
        manifest: &CheckpointManifest,
        chunks: &mut dyn Iterator<Item = Result<Bytes, StoreError>>,
    ) -> Result<(), StoreError> {
        self.1.install(manifest, chunks)
    }
}

struct Builder<F>(F);

type Guard = (Option<tempfile::TempDir>, CommittedReceiver, watch::Sender<()>);

impl<F> StoreBuilder<Types, LogStore, StateMachine, Guard> for Builder<F>
where
    F: Fn() -> (Arc<dyn Store>, Option<tempfile::TempDir>) + Send + Sync,
{
    async fn build(&self) -> Result<(Guard, LogStore, StateMachine), RaftStorageError> {
        let (store, folder) = (self.0)();
        let failure = Arc::new(OnceLock::new());
        let log = LogStore::open(store.clone(), failure.clone(), UseAmong::One)
            .map_err(|error| RaftIoError::read_logs(openraft::AnyError::new(&error)))?;
        let (stop, stopping) = watch::channel(());
        let (delivery, receiver) = delivery::channel(1, 1000, failure, stopping);
        let source = Arc::new(CheckpointAtOnce(store.clone(), CheckpointSnapshots::new(store)));
        let machine = StateMachine::new(
            delivery,
            log.clone(),
            source,
            None,
            Default::default(),
            Arc::new(watch::channel(Leadership::unknown()).0),
        );
        Ok(((folder, receiver, stop), log, machine))
    }
}

#[test]
fn openrafts_suite_passes_in_memory() {
    Suite::test_all(Builder(|| (Arc::new(MemoryStore::new()) as Arc<dyn Store>, None))).unwrap();
}

#[test]
fn openrafts_suite_passes_on_rocksdb() {
    Suite::test_all(Builder(|| {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(RocksStore::open(folder.path()).unwrap());
        (store, Some(folder))
    }))
    .unwrap();
}

// --- the purge marker
// -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_checkpoint_moves_the_marker_and_the_archive_stays() {
    let store = Arc::new(MemoryStore::new());
    let config = OrderingConfig { entries_kept_for_followers: 0, ..OrderingConfig::default() };
    let (ordering, mut receiver) = Ordering::start(config, store.clone(), None).await.unwrap();
    for number in 0..10 {
        ordering.propose(bytes(number)).await.unwrap();
    }
    let delivered = receive(&mut receiver, 10).await;
    let at = delivered[5].0;
    CheckpointWriter::begin(store.clone(), 6).unwrap().finish(at, [0; 32], b"").unwrap();
    ordering.checkpoint_taken(at).await.unwrap();
    let mut metrics = ordering.raft().metrics();
    let purged = metrics.wait_for(|metrics| metrics.purged.is_some_and(|purged| purged.index == at.index));
    tokio::time::timeout(TIMEOUT, purged).await.expect("the marker moves").unwrap();
    assert_eq!(ordering.state().checkpoint, Some(at));
    for (position, proposal) in &delivered {
        assert_eq!(ordering.read_proposal(position.index).unwrap().as_ref(), Some(proposal));
    }
    let elsewhere = Position { term: 99, index: at.index };
    assert!(matches!(ordering.checkpoint_taken(elsewhere).await, Err(OrderingError::CheckpointNotInLog { .. })));
    crash(ordering, &store).await;

    let (ordering, mut receiver) = start(&store, Some(at)).await;
    assert_eq!(receive(&mut receiver, 4).await, delivered[6..]);
    crash(ordering, &store).await;
    let (_ordering, mut receiver) = start(&store, None).await;
    assert_eq!(receive(&mut receiver, 10).await, delivered, "the archive replays from the beginning");
}

// --- three members --------------------------------------------------------------------------------------------------

struct Member {
    ordering: Arc<Ordering>,
    receiver: CommittedReceiver,
    store: Arc<MemoryStore>,
}

async fn start_member(
    member: MemberId,
    store: Arc<MemoryStore>,
    wires: &Wires,
    resume_after: Option<Position>,
) -> Member {
    let config = OrderingConfig {
        member,
        members: (1..=3).map(|member| (member, format!("in-process-{member}"))).collect(),
        delivery_capacity: 10_000,
        heartbeat_ms: 30,
        election_timeout_ms: (150, 300),
        entries_kept_for_followers: 0,
        ..OrderingConfig::default()
    };
    let source = Arc::new(CheckpointSnapshots::new(store.clone()));
    let (ordering, receiver) =
        Ordering::start_with(config, store.clone(), UseAmong::Several, resume_after, wires.end_of(member), source)
            .await
            .unwrap();
    wires.connect(member, ordering.raft());
    Member { ordering: Arc::new(ordering), receiver, store }
}

/// Proposes to the current leader, until one of `members` acknowledges.
async fn propose_to_leader(members: &BTreeMap<MemberId, Member>, proposal: Bytes) -> (MemberId, Position) {
    let deadline = std::time::Instant::now() + TIMEOUT;
    loop {
        assert!(std::time::Instant::now() < deadline, "somebody leads in time");
        for (number, member) in members {
            if !member.ordering.state().is_leader {
                continue;
            }
            let answer = tokio::time::timeout(Duration::from_secs(1), member.ordering.propose(proposal.clone())).await;
            if let Ok(Ok(position)) = answer {
                return (*number, position);
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_agree_and_outlive_their_leader() {
    let wires = Wires::default();
    let mut members = BTreeMap::new();
    for number in 1..=3 {
        members.insert(number, start_member(number, Arc::new(MemoryStore::new()), &wires, None).await);
    }
    let mut acknowledged = Vec::new();
    let mut leader = 0;
    for number in 0..20 {
        let (by, position) = propose_to_leader(&members, bytes(number)).await;
        acknowledged.push((position, bytes(number)));
        leader = by;
    }

    // The leader is lost: cut off, stopped, and its machine crashes.
    wires.cut_off(leader);
    let lost = members.remove(&leader).unwrap();
    lost.ordering.raft().shutdown().await.unwrap();
    wires.disconnect(leader);
    let (store, mut lost_receiver) = (lost.store.clone(), lost.receiver);
    drop(lost.ordering);
    store.crash();
    let follower = members.values().next().unwrap();
    let not_leader = follower.ordering.state();
    if !not_leader.is_leader {
        let refused = follower.ordering.propose(bytes("to a follower")).await;
        assert!(refused.is_err() || follower.ordering.state().is_leader);
    }
    for number in 20..40 {
        let (_, position) = propose_to_leader(&members, bytes(number)).await;
        acknowledged.push((position, bytes(number)));
    }

    // It returns, and everyone has delivered the same.
    members.insert(leader, start_member(leader, store, &wires, None).await);
    let (_, last) = propose_to_leader(&members, bytes("last")).await;
    acknowledged.push((last, bytes("last")));
    let mut histories = Vec::new();
    for member in members.values_mut() {
        let mut history = Vec::new();
        while history.last().is_none_or(|(position, _): &(Position, Bytes)| *position < last) {
            history.extend(receive(&mut member.receiver, 1).await);
        }
        histories.push(history);
    }
    assert_eq!(histories[0], histories[1]);
    assert_eq!(histories[0], histories[2]);
    for wanted in &acknowledged {
        assert!(histories[0].contains(wanted), "{wanted:?} was acknowledged");
    }
    let mut before_loss = Vec::new();
    while let Ok(Some(committed)) = lost_receiver.recv().await {
        before_loss.push((committed.position, committed.proposal));
    }
    assert_eq!(histories[0][..before_loss.len()], before_loss[..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_too_far_behind_gets_the_checkpoint_and_then_the_log() {
    let wires = Wires::default();
    let mut members = BTreeMap::new();
    for number in 1..=3 {
        members.insert(number, start_member(number, Arc::new(MemoryStore::new()), &wires, None).await);
    }
    let (leader, _) = propose_to_leader(&members, bytes("first")).await;
    let behind = (1..=3).find(|number| *number != leader).unwrap();
    wires.cut_off(behind);
    let mut position = Position { term: 0, index: 0 };
    for number in 0..10 {
        position = propose_to_leader(&members, bytes(number)).await.1;
    }
    // Both others take a checkpoint and drop the log before it.
    for (_, member) in members.iter().filter(|(number, _)| **number != behind) {
        let mut metrics = member.ordering.raft().metrics();
        let applied =
            metrics.wait_for(|metrics| metrics.last_applied.is_some_and(|applied| applied.index >= position.index));
        tokio::time::timeout(TIMEOUT, applied).await.unwrap().unwrap();
        let mut writer = CheckpointWriter::begin(member.store.clone(), 11).unwrap();
        writer.chunk(b"the ledger").unwrap();
        writer.finish(position, [5; 32], b"").unwrap();
        member.ordering.checkpoint_taken(position).await.unwrap();
        let purged = metrics.wait_for(|metrics| metrics.purged.is_some_and(|purged| purged.index == position.index));
        tokio::time::timeout(TIMEOUT, purged).await.unwrap().unwrap();
    }
    wires.connect(behind, members[&behind].ordering.raft());
    let (_, last) = propose_to_leader(&members, bytes("behind the checkpoint")).await;

    let member = members.get_mut(&behind).unwrap();
    let mut history = Vec::new();
    while history.last().is_none_or(|(position, _): &(Position, Bytes)| *position < last) {
        history.extend(receive(&mut member.receiver, 1).await);
    }
    let installed = CheckpointStore::new(member.store.clone()).latest().unwrap().expect("the checkpoint was installed");
    assert_eq!((installed.position, installed.root), (position, [5; 32]));
    assert_eq!(history.last(), Some(&(last, bytes("behind the checkpoint"))));
    assert!(history.iter().all(|(delivered, _)| *delivered <= members[&leader].ordering.state().applied.unwrap()));
    assert!(!history.iter().any(|(_, proposal)| *proposal == bytes(9)), "what the checkpoint holds is not delivered");

    // The next snapshot's installation breaks off after its note: the member starts from the checkpoint that it has.
    let member = members.remove(&behind).unwrap();
    wires.cut_off(behind);
    member.ordering.raft().shutdown().await.unwrap();
    wires.disconnect(behind);
    let (store, mut receiver) = (member.store.clone(), member.receiver);
    drop(member.ordering);
    while let Ok(Some(_)) = receiver.recv().await {}
    let log = LogStore::open(store.clone(), Arc::new(OnceLock::new()), UseAmong::Several).unwrap();
    let (_, membership) = log.snapshot_note().unwrap().expect("the first one has a note");
    let beyond = LogId::new(CommittedLeaderId::new(last.term, leader), last.index + 100);
    log.note_snapshot(beyond, membership).await.unwrap();
    drop(log);
    let mut again = start_member(behind, store, &wires, Some(position)).await;
    let (_, latest) = propose_to_leader(&members, bytes("after the start")).await;
    let mut history = Vec::new();
    while history.last().is_none_or(|(position, _): &(Position, Bytes)| *position < latest) {
        history.extend(receive(&mut again.receiver, 1).await);
    }
    assert!(history.contains(&(last, bytes("behind the checkpoint"))));
}

#[tokio::test]
async fn memberships_that_a_snapshot_overtook_go_with_their_entries() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut log = LogStore::open(store, Arc::new(OnceLock::new()), UseAmong::Several).unwrap();
    let members = |voters: &[MemberId]| {
        let nodes = voters.iter().map(|voter| (*voter, BasicNode::new(format!("node-{voter}"))));
        Membership::new(vec![voters.iter().copied().collect()], nodes.collect::<BTreeMap<_, _>>())
    };
    log.found(members(&[1, 2, 3])).await.unwrap();
    let agreed = StoredMembership::new(Some(LogId::new(CommittedLeaderId::new(2, 2), 3)), members(&[1, 2, 3, 4]));
    let snapshot = LogId::new(CommittedLeaderId::new(2, 2), 9);
    // An entry that was never agreed on.
    log.append_only_voter(1, "node-1".into()).await.unwrap();
    assert!(log.membership_at(9).unwrap().membership().voter_ids().eq([1]));
    log.note_snapshot(snapshot, agreed.clone()).await.unwrap();
    log.save_committed(Some(LogId::default())).await.unwrap();
    log.purge(snapshot).await.unwrap();
    assert_eq!(log.membership_at(9).unwrap(), agreed);
    assert!(log.membership_at(2).unwrap().membership().voter_ids().eq([1, 2, 3]), "that of the beginning stays");
}
