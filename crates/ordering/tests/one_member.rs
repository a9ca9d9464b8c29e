//! One member through the public door: on memory and on RocksDB, over crashes, failing disks and damaged logs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cbdc_ordering::{CommittedReceiver, Ordering, OrderingConfig, OrderingError, Position, ProposeError};
use cbdc_storage::{Column, Fault, MemoryStore, RocksStore, Store};

const TIMEOUT: Duration = Duration::from_secs(20);

fn bytes(text: impl ToString) -> Bytes {
    Bytes::from(text.to_string())
}

async fn start(store: &Arc<impl Store>, resume_after: Option<Position>) -> (Ordering, CommittedReceiver) {
    Ordering::start(OrderingConfig::default(), store.clone(), resume_after).await.unwrap()
}

/// The next `count` proposals.
async fn receive(receiver: &mut CommittedReceiver, count: usize) -> Vec<(Position, Bytes)> {
    let mut received = Vec::new();
    while received.len() < count {
        let next = tokio::time::timeout(TIMEOUT, receiver.recv()).await.expect("a proposal is delivered in time");
        let committed = next.unwrap().expect("ordering goes on");
        received.push((committed.position, committed.proposal));
    }
    received
}

async fn nothing_more(receiver: &mut CommittedReceiver) {
    let more = tokio::time::timeout(Duration::from_millis(100), receiver.recv()).await;
    assert!(!matches!(more, Ok(Ok(Some(_)))), "nothing is delivered twice: {more:?}");
}

/// Ends the member without letting it write anything more, as a crash does.
async fn crash(ordering: Ordering, store: &MemoryStore) {
    store.fail_every(1, Fault::Io);
    // What it could not write as it stopped is an error, and the point.
    let _ = ordering.shutdown().await;
    store.crash();
}

#[tokio::test]
async fn proposals_are_delivered_once_in_order_with_the_positions_that_were_answered() {
    let store = Arc::new(MemoryStore::new());
    let (ordering, mut receiver) = start(&store, None).await;
    assert_eq!(ordering.last_position(), None);
    let mut expected = Vec::new();
    for number in 0..20 {
        expected.push((ordering.propose(bytes(number)).await.unwrap(), bytes(number)));
    }
    assert_eq!(receive(&mut receiver, 20).await, expected);
    assert!(expected.is_sorted_by_key(|(position, _)| position.index));
    nothing_more(&mut receiver).await;
    for (position, proposal) in &expected {
        assert_eq!(ordering.read_proposal(position.index).unwrap().as_ref(), Some(proposal));
    }
    assert_eq!(ordering.read_proposal(0).unwrap(), None, "the first entry is the membership");
    assert_eq!(ordering.read_proposal(1000).unwrap(), None);
    let state = ordering.state();
    assert!(state.is_leader && state.leader == Some(1) && state.voters == [1] && state.failure.is_none());
    assert_eq!(state.last_index, Some(expected[19].0.index));
    ordering.shutdown().await.unwrap();
    assert_eq!(receiver.recv().await.unwrap(), None, "the receiver ends with ordering");
}

#[tokio::test]
async fn pipelined_proposals_keep_their_order() {
    let store = Arc::new(MemoryStore::new());
    let (ordering, mut receiver) = start(&store, None).await;
    let mut pending = Vec::new();
    for number in 0..50 {
        pending.push(ordering.propose_pipelined(bytes(number)).await.unwrap());
    }
    let delivered = receive(&mut receiver, 50).await;
    for (number, (answer, (position, proposal))) in pending.into_iter().zip(delivered).enumerate() {
        assert_eq!((answer.await.unwrap(), proposal), (position, bytes(number)));
    }
}

#[tokio::test]
async fn a_restart_delivers_again_from_what_the_checkpoint_holds() {
    let store = Arc::new(MemoryStore::new());
    let (ordering, mut receiver) = start(&store, None).await;
    for number in 0..10 {
        ordering.propose(bytes(number)).await.unwrap();
    }
    let first_life = receive(&mut receiver, 10).await;
    crash(ordering, &store).await;

    for resume in [None, Some(first_life[0].0), Some(first_life[6].0), Some(first_life[9].0)] {
        let (ordering, mut receiver) = start(&store, resume).await;
        let again: Vec<_> = first_life.iter().filter(|(position, _)| Some(*position) > resume).cloned().collect();
        assert_eq!(ordering.last_position(), again.last().map(|(position, _)| *position));
        assert_eq!(receive(&mut receiver, again.len()).await, again, "resuming after {resume:?}");
        nothing_more(&mut receiver).await;
        crash(ordering, &store).await;
    }
    let (ordering, mut receiver) = start(&store, Some(first_life[9].0)).await;
    let position = ordering.propose(bytes("new")).await.unwrap();
    assert!(position.index > first_life[9].0.index);
    assert_eq!(receive(&mut receiver, 1).await, [(position, bytes("new"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_member_takes_proposals_as_soon_as_it_has_started() {
    let store = Arc::new(MemoryStore::new());
    let mut checkpoint = None;
    for life in 0..60 {
        let (ordering, mut receiver) = start(&store, checkpoint).await;
        assert!(ordering.state().is_leader, "life {life}");
        let position = ordering.propose(bytes(life)).await.unwrap();
        assert_eq!(receive(&mut receiver, 1).await, [(position, bytes(life))]);
        assert_eq!(ordering.state().term, 1, "a restart needs no election");
        checkpoint = Some(position);
        if life % 2 == 0 { ordering.shutdown().await.unwrap() } else { crash(ordering, &store).await }
    }
}

#[tokio::test]
async fn no_acknowledged_proposal_is_lost_by_a_crash_at_any_moment() {
    for rounds in 1..12usize {
        let store = Arc::new(MemoryStore::new());
        let mut known: Vec<(Position, Bytes)> = Vec::new();
        for round in 0..3 {
            let (ordering, mut receiver) = start(&store, None).await;
            let mut pending = Vec::new();
            for number in 0..20 {
                pending.push((
                    bytes(format!("{round}/{number}")),
                    ordering.propose_pipelined(bytes(format!("{round}/{number}"))).await.unwrap(),
                ));
            }
            let mut acknowledged = Vec::new();
            for (proposal, answer) in pending.drain(..rounds) {
                // The receiver is drained meanwhile, or delivery would hold the answers back.
                let received = async {
                    while acknowledged.len() < 1000 {
                        receiver.recv().await.unwrap();
                    }
                };
                tokio::select! {
                    position = answer => acknowledged.push((position.unwrap(), proposal)),
                    () = received => unreachable!("fewer proposals than that"),
                }
            }
            crash(ordering, &store).await;

            let (ordering, mut receiver) = start(&store, None).await;
            let mut delivered = Vec::new();
            while let Some(last) = ordering.last_position()
                && delivered.last().is_none_or(|(position, _)| *position < last)
            {
                delivered.extend(receive(&mut receiver, 1).await);
            }
            assert!(delivered.is_sorted_by_key(|(position, _)| position.index));
            assert_eq!(delivered[..known.len()], known[..], "what was delivered stays as it was");
            for wanted in &acknowledged {
                assert!(delivered.contains(wanted), "{wanted:?} was acknowledged");
            }
            known = delivered;
            crash(ordering, &store).await;
        }
    }
}

#[tokio::test]
async fn a_failing_disk_is_an_error_and_never_a_committed_proposal() {
    for fault in [Fault::Io, Fault::DiskFull, Fault::IoAfterWriting] {
        let store = Arc::new(MemoryStore::new());
        let (ordering, mut receiver) = start(&store, None).await;
        let before = ordering.propose(bytes("before")).await.unwrap();
        store.fail_next_write(fault);
        let refused = ordering.propose(bytes("failed")).await.unwrap_err();
        assert!(
            matches!(&refused, ProposeError::Storage(error) if error.is_disk_full() == (fault == Fault::DiskFull)),
            "{refused}"
        );
        let later = ordering.propose(bytes("later")).await.unwrap_err();
        assert!(!later.is_certainly_not_ordered(), "{later}");
        assert_eq!(receive(&mut receiver, 1).await, [(before, bytes("before"))]);
        let end = receiver.recv().await.unwrap_err();
        assert!(matches!(end, OrderingError::Storage(_)), "{end}");
        assert!(ordering.state().failure.is_some() && !ordering.state().is_leader);
        crash(ordering, &store).await;

        let (_ordering, mut receiver) = start(&store, None).await;
        assert_eq!(receive(&mut receiver, 1).await, [(before, bytes("before"))]);
        if fault == Fault::IoAfterWriting {
            assert_eq!(receive(&mut receiver, 1).await[0].1, bytes("failed"), "unknown may mean ordered");
        }
        nothing_more(&mut receiver).await;
    }
}

#[tokio::test]
async fn a_slow_caller_holds_proposers_back_and_loses_nothing() {
    let store = Arc::new(MemoryStore::new());
    let config = OrderingConfig { delivery_capacity: 2, in_flight_max: 4, ..OrderingConfig::default() };
    let (ordering, mut receiver) = Ordering::start(config, store, None).await.unwrap();
    let ordering = Arc::new(ordering);
    let proposers: Vec<_> = (0..30)
        .map(|number| {
            tokio::spawn({
                let ordering = ordering.clone();
                async move { ordering.propose(bytes(number)).await }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answered = proposers.iter().filter(|proposer| proposer.is_finished()).count();
    assert!(answered <= 3, "{answered} were answered while nobody received");
    assert_eq!(receive(&mut receiver, 30).await.len(), 30);
    for proposer in proposers {
        proposer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_caller_that_receives_nothing() {
    let store = Arc::new(MemoryStore::new());
    let config = OrderingConfig { delivery_capacity: 1, ..OrderingConfig::default() };
    let (ordering, _receiver) = Ordering::start(config, store, None).await.unwrap();
    let mut pending = Vec::new();
    for number in 0..5 {
        pending.push(ordering.propose_pipelined(bytes(number)).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::timeout(Duration::from_secs(3), ordering.shutdown()).await.unwrap().unwrap();
    for answer in pending {
        assert!(matches!(answer.await, Ok(_) | Err(ProposeError::Unknown { .. })));
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_log_is_refused() {
    let store = Arc::new(MemoryStore::new());
    let (ordering, _receiver) = start(&store, None).await;
    let position = ordering.propose(bytes("one")).await.unwrap();
    crash(ordering, &store).await;
    for wrong in [Position { term: position.term + 1, ..position }, Position { index: position.index + 5, ..position }]
    {
        let refused = Ordering::start(OrderingConfig::default(), store.clone(), Some(wrong)).await.err().unwrap();
        assert!(
            matches!(refused, OrderingError::CheckpointNotInLog { expected, .. } if expected == wrong),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_is_named_and_nothing_behind_it_is_delivered() {
    let store = Arc::new(MemoryStore::new());
    let (ordering, mut receiver) = start(&store, None).await;
    for number in 0..10 {
        ordering.propose(bytes(number)).await.unwrap();
    }
    let delivered = receive(&mut receiver, 10).await;
    crash(ordering, &store).await;
    let damaged = delivered[4].0.index;
    store.flip_bit(Column::Log, &damaged.to_be_bytes(), 150);

    let (ordering, mut receiver) = start(&store, None).await;
    assert!(
        matches!(ordering.read_proposal(damaged), Err(OrderingError::DamagedEntry { index, .. }) if index == damaged)
    );
    let mut seen = 0;
    let error = loop {
        match tokio::time::timeout(TIMEOUT, receiver.recv()).await.unwrap() {
            Ok(Some(committed)) => {
                assert_eq!((committed.position, committed.proposal), delivered[seen]);
                seen += 1;
            }
            Ok(None) => panic!("the damage is said"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, OrderingError::DamagedEntry { index, .. } if index == damaged), "{error}");
    assert!(seen <= 4);
}

#[tokio::test]
async fn a_list_with_other_members_is_refused_while_there_is_no_network() {
    let members = BTreeMap::from([(1, "a".to_string()), (2, "b".to_string())]);
    let config = OrderingConfig { members, ..OrderingConfig::default() };
    let refused = Ordering::start(config, Arc::new(MemoryStore::new()), None).await.err().unwrap();
    assert!(matches!(refused, OrderingError::Configuration(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_rocksdb_syncs_are_never_fewer_than_proposals_by_both_counts() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(RocksStore::open(folder.path()).unwrap());
    let (ordering, mut receiver) = start(&store, None).await;
    let (ours, theirs) = (store.sync_count(), store.wal_syncs_by_rocksdb());
    let drain = tokio::spawn(async move { receive(&mut receiver, 200).await });
    let mut pending = Vec::new();
    for number in 0..200 {
        pending.push(ordering.propose_pipelined(bytes(number)).await.unwrap());
        if pending.len() == 50 {
            for answer in pending.drain(..) {
                answer.await.unwrap();
            }
        }
    }
    drain.await.unwrap();
    let (ours, theirs) = (store.sync_count() - ours, store.wal_syncs_by_rocksdb() - theirs);
    assert!(ours >= 200 && theirs >= 200, "{ours} by our count, {theirs} by RocksDB's");
    assert!(ours <= 202, "{ours} syncs for 200 proposals: one each");
    ordering.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_rocksdb_a_stopped_member_frees_its_folder_and_starts_again_promptly() {
    let folder = tempfile::tempdir().unwrap();
    let mut delivered: Vec<(Position, Bytes)> = Vec::new();
    for life in 0..4 {
        let store = Arc::new(RocksStore::open(folder.path()).unwrap());
        let begun = std::time::Instant::now();
        let (ordering, mut receiver) = start(&store, None).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "a single member leads at once");
        assert_eq!(receive(&mut receiver, delivered.len()).await, delivered);
        let proposal = Bytes::from(vec![life; 200_000]);
        let position = ordering.propose(proposal.clone()).await.unwrap();
        assert_eq!(receive(&mut receiver, 1).await, [(position, proposal.clone())]);
        delivered.push((position, proposal));
        ordering.shutdown().await.unwrap();
        drop((store, receiver));
    }
}
