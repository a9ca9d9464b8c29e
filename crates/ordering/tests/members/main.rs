//! Several members through the public door, over gRPC on loopback: leaders are killed, cut off and hand over, members
//! fall behind, join and leave. No test asserts a time; each is bounded by [`network::TIMEOUT`].

mod network;
mod random_faults;

use std::sync::Arc;
use std::time::Duration;

use cbdc_ordering::{Delivered, HandOverError, MemberId, MembershipError, Position, ProposeError, Role};
use cbdc_storage::{
    CheckpointStore, Column, Direction, Durability, KeyRange, MemoryStore, RocksStore, Store, StoreError, WriteBatch,
};
use tokio::sync::watch;

use network::{Network, Settings, address, bytes, position, wait_for};

/// A network of `count` with a leader; some proposals are acknowledged.
fn settled(count: u64, settings: Settings) -> (Network, MemberId, Vec<(Position, bytes::Bytes)>) {
    let network = Network::start(count, settings);
    let mut acknowledged = Vec::new();
    for number in 0..10 {
        acknowledged.push((network.propose(number, &[]).1, bytes(number)));
    }
    let leader = network.leader(&[]);
    (network, leader, acknowledged)
}

fn others(network: &Network, member: MemberId) -> Vec<MemberId> {
    network.running().into_iter().filter(|other| *other != member).collect()
}

fn last_of(acknowledged: &[(Position, bytes::Bytes)]) -> Position {
    acknowledged.iter().map(|(position, _)| *position).max().unwrap()
}

#[test]
fn three_members_go_on_when_their_leader_is_lost_and_lose_nothing() {
    let (mut network, mut leader, mut acknowledged) = settled(3, Settings::default());
    for life in 0..2 {
        network.kill(leader);
        let lost = leader;
        for number in 0..10 {
            let proposal = format!("{life}/{number}");
            acknowledged.push((network.propose(&proposal, &[]).1, bytes(&proposal)));
        }
        leader = network.leader(&[]);
        assert_ne!(leader, lost);
        let leadership = *network.ordering(leader).leadership().borrow();
        assert!(leadership.hand_over_ms.is_some() && leadership.role == Role::Leader, "{leadership:?}");
        network.start_member(lost);
        network.check_agreement(last_of(&acknowledged), &acknowledged);
    }
}

#[test]
fn a_member_that_stands_no_more_votes_and_is_never_elected() {
    let (mut network, leader, _) = settled(3, Settings::default());
    let [stays, goes] = others(&network, leader)[..] else { panic!("three members") };
    // By its place, it would stand first.
    let (stays, goes) = (stays.max(goes), stays.min(goes));
    network.ordering(goes).stand_no_more();
    network.kill(leader);
    network.propose("with its vote", &[]);
    assert_eq!(network.leader(&[]), stays);
    // Of two that are left it votes for the other again, and alone it does not try.
    network.kill(stays);
    network.start_member(stays);
    network.propose("with its vote again", &[]);
    assert_eq!(network.leader(&[]), stays);
}

#[test]
fn on_rocksdb_five_members_outlive_two() {
    let folders: Vec<tempfile::TempDir> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut network = Network::start_on(5, Settings::default(), |member| {
        let store = RocksStore::open(folders[member as usize - 1].path()).unwrap();
        (Arc::new(store) as Arc<dyn Store>, None)
    });
    let mut acknowledged = Vec::new();
    let mut propose = |network: &Network, name: &str| {
        for number in 0..5 {
            let proposal = bytes(format!("{name}/{number}").repeat(1_000));
            let text = String::from_utf8(proposal.to_vec()).unwrap();
            acknowledged.push((network.propose(text, &[]).1, proposal));
        }
        acknowledged.clone()
    };
    propose(&network, "all");
    let mut lost = Vec::new();
    for name in ["four", "three"] {
        lost.push(network.leader(&[]));
        network.kill(lost[lost.len() - 1]);
        propose(&network, name);
    }
    for member in lost {
        network.start_member(member);
    }
    let acknowledged = propose(&network, "all again");
    network.check_agreement(last_of(&acknowledged), &acknowledged);
}

#[test]
fn a_cut_off_leader_answers_nothing_as_committed_and_its_tail_is_overwritten_on_disk() {
    let settings = Settings { proposal_timeout: Duration::from_millis(400), ..Settings::default() };
    let (network, leader, mut acknowledged) = settled(3, settings);
    let ordering = network.ordering(leader);
    network.cut_off(leader, true);
    let mut unknown = Vec::new();
    for number in 0..5 {
        unknown.push(network.meanwhile(leader, {
            let ordering = ordering.clone();
            async move { ordering.propose(bytes(format!("cut off {number}"))).await }
        }));
    }
    for outcome in unknown {
        let outcome = network.on(leader, outcome).unwrap();
        assert!(matches!(outcome, Err(ProposeError::Unknown { .. })), "{outcome:?}");
    }
    // It soon takes nothing more, which is then certain.
    wait_for("it notices that nobody follows", || {
        let refused = network.propose_to(leader, bytes("cut off at last")).unwrap_err();
        refused.is_certainly_not_ordered().then_some(())
    });
    let tail = ordering.state().last_index.unwrap();
    let was_there = ordering.read_proposal(tail).unwrap().expect("the tail is on disk");
    assert!(was_there.starts_with(b"cut off"));
    for number in 0..10 {
        acknowledged.push((network.propose(format!("after {number}"), &[leader]).1, bytes(format!("after {number}"))));
    }
    network.cut_off(leader, false);
    network.check_agreement(last_of(&acknowledged), &acknowledged);
    wait_for("the tail is overwritten", || {
        let now = ordering.read_proposal(tail).unwrap();
        now.is_none_or(|now| !now.starts_with(b"cut off")).then_some(())
    });
    let ours = cbdc_ordering::read_logged_proposal(network.store(leader).as_ref(), tail).unwrap();
    let theirs =
        cbdc_ordering::read_logged_proposal(network.store(others(&network, leader)[0]).as_ref(), tail).unwrap();
    assert_eq!(ours, theirs, "on disk as well");
    assert!(!network.proposals(leader).values().any(|(_, proposal)| proposal.starts_with(b"cut off")));
}

#[test]
fn a_member_that_returns_deposes_nobody() {
    let (network, leader, mut acknowledged) = settled(3, Settings::default());
    let term = network.ordering(leader).leadership().borrow().term;
    let away = others(&network, leader)[0];
    // In both directions; then it alone does not hear, and may ask for votes all the time.
    for is_heard in [false, true] {
        network.cut_off(away, true);
        if is_heard {
            for other in others(&network, away) {
                network.cut(away, other, false);
            }
        }
        std::thread::sleep(Duration::from_millis(1_500));
        acknowledged.push((network.propose(is_heard, &[away]).1, bytes(is_heard)));
        network.cut_off(away, false);
        network.check_agreement(last_of(&acknowledged), &acknowledged);
        let leadership = *network.ordering(away).leadership().borrow();
        assert_eq!((leadership.leader, leadership.term), (Some(leader), term), "the leader leads on");
    }
}

#[test]
fn a_founder_that_starts_late_deposes_nobody() {
    let mut network = Network::found(5, Settings::default());
    for early in 1..=3 {
        network.start_founder(early);
    }
    let (leader, position) = network.propose("three of five", &[]);
    let term = network.ordering(leader).leadership().borrow().term;
    for late in [4, 5] {
        network.start_founder(late);
        network.wait_until_delivered(late, position);
    }
    let (_, last) = network.propose("all", &[]);
    network.check_agreement(last, &[(position, bytes("three of five")), (last, bytes("all"))]);
    assert_eq!((network.leader(&[]), network.ordering(leader).leadership().borrow().term), (leader, term));
}

#[test]
fn a_leader_that_nobody_hears_is_replaced_and_steps_down() {
    let (network, leader, mut acknowledged) = settled(3, Settings::default());
    for other in others(&network, leader) {
        network.cut(leader, other, true);
    }
    let (successor, position) = network.propose("next", &[leader]);
    acknowledged.push((position, bytes("next")));
    assert_ne!(successor, leader);
    // It hears the new leader, whose calls reach it.
    wait_for("the former leader steps down", || {
        let leadership = *network.ordering(leader).leadership().borrow();
        (leadership.role == Role::Follower && leadership.leader.is_some_and(|other| other != leader)).then_some(())
    });
    network.check_agreement(last_of(&acknowledged), &acknowledged);
}

#[test]
fn a_hand_over_refuses_nothing_that_was_taken() {
    let (network, leader, mut acknowledged) = settled(3, Settings::default());
    let wanted = others(&network, leader)[1];
    let ordering = network.ordering(leader);
    // Proposals go on all the time; each is acknowledged, or certainly not ordered.
    let proposer = network.meanwhile(leader, {
        let ordering = ordering.clone();
        async move {
            let mut outcomes = Vec::new();
            for number in 0.. {
                let proposal = bytes(format!("taken {number}"));
                match ordering.propose_pipelined(proposal.clone()).await {
                    Ok(pending) => outcomes.push((proposal, tokio::spawn(pending))),
                    Err(error) => return (outcomes, error),
                }
            }
            unreachable!("it ends when it is refused")
        }
    });
    std::thread::sleep(Duration::from_millis(50));
    let done = network.on(leader, ordering.hand_over(Some(wanted), Duration::from_secs(10))).unwrap();
    assert_eq!(done.successor, wanted);
    let (outcomes, refused) = network.on(leader, proposer).unwrap();
    assert!(refused.is_certainly_not_ordered(), "{refused}");
    assert!(!outcomes.is_empty());
    for (proposal, pending) in outcomes {
        let answer = network.on(leader, pending).unwrap();
        acknowledged.push((answer.unwrap_or_else(|error| panic!("it was taken: {error}")), proposal));
    }
    let (by, position) = network.propose("after", &[]);
    assert_eq!(by, wanted);
    acknowledged.push((position, bytes("after")));
    network.check_agreement(last_of(&acknowledged), &acknowledged);

    // And back, to whoever is furthest; the former leader refuses with a hint.
    let hint = network.propose_to(leader, bytes("hint")).unwrap_err();
    assert!(
        matches!(hint, ProposeError::NotLeader { leader: Some(hinted), term } if hinted == wanted && term == done.term)
    );
    let nothing = network.on(leader, ordering.hand_over(None, Duration::from_secs(1))).unwrap_err();
    assert_eq!(nothing, HandOverError::NotLeader { leader: Some(wanted) });
    let stranger = network.ordering(wanted);
    let nobody = network.on(wanted, stranger.hand_over(Some(7), Duration::from_secs(1))).unwrap_err();
    assert!(matches!(nobody, HandOverError::NoSuccessor(_)), "{nobody}");
    let (by, position) = network.propose("it leads on", &[]);
    assert_eq!(by, wanted, "a hand-over that fails changes nothing");
    acknowledged.push((position, bytes("it leads on")));
    network.check_agreement(last_of(&acknowledged), &acknowledged);
}

#[test]
fn a_hand_over_without_anybody_who_is_up_to_date_is_given_up_and_the_leader_leads_on() {
    let (network, leader, mut acknowledged) = settled(3, Settings::default());
    let away = others(&network, leader)[0];
    network.cut_off(away, true);
    acknowledged.push((network.propose("without it", &[away]).1, bytes("without it")));
    let ordering = network.ordering(leader);
    let outcome = network.on(leader, ordering.hand_over(Some(away), Duration::from_millis(200))).unwrap_err();
    assert!(matches!(outcome, HandOverError::Timeout { .. }), "{outcome}");
    acknowledged.push((network.propose("on", &[away]).1, bytes("on")));
    network.cut_off(away, false);
    network.check_agreement(last_of(&acknowledged), &acknowledged);
}

/// openraft 0.9.24: a follower behind a log that was purged as a whole stayed behind.
#[test]
fn a_follower_behind_a_fully_purged_log_gets_the_checkpoint_and_then_the_log() {
    let (mut network, leader, mut acknowledged) = settled(3, Settings::default());
    let away = others(&network, leader)[0];
    network.kill(away);
    for number in 0..10 {
        acknowledged.push((network.propose(format!("away {number}"), &[]).1, bytes(format!("away {number}"))));
    }
    let at = last_of(&acknowledged);
    for member in network.running() {
        network.take_checkpoint(member, 20, at);
    }
    // A snapshot that does not verify leaves nothing, and the member goes on as it was.
    network.refuse_snapshots(away, true);
    network.start_member(away);
    wait_for("the snapshot is refused", || (network.refused_snapshots(away) > 0).then_some(()));
    assert!(CheckpointStore::new(network.store(away)).latest().unwrap().is_none());
    assert!(network.ordering(away).state().failure.is_none());
    network.refuse_snapshots(away, false);

    let (_, last) = network.propose("behind the checkpoint", &[]);
    network.wait_until_delivered(away, last);
    let delivered = network.delivered(away);
    let checkpoint = delivered.iter().position(|delivered| matches!(delivered, Delivered::Checkpoint(_)));
    let checkpoint = checkpoint.expect("the checkpoint is delivered");
    assert_eq!(position(&delivered[checkpoint]), at);
    assert!(delivered[checkpoint + 1..].iter().all(|delivered| position(delivered) > at));
    let installed = CheckpointStore::new(network.store(away)).latest().unwrap().unwrap();
    let theirs = CheckpointStore::new(network.store(leader)).latest().unwrap().unwrap();
    assert_eq!(installed, theirs);
    network.check_agreement(last, &[]);
}

/// openraft 0.9.24 committed with two of five voters.
#[test]
fn five_voters_commit_nothing_with_two() {
    let settings = Settings { proposal_timeout: Duration::from_millis(500), ..Settings::default() };
    let (network, leader, mut acknowledged) = settled(5, settings);
    let others = others(&network, leader);
    for away in &others[1..] {
        for near in [leader, others[0]] {
            network.cut(near, *away, true);
            network.cut(*away, near, true);
        }
    }
    let outcome = network.propose_to(leader, bytes("two of five"));
    assert!(matches!(outcome, Err(ProposeError::Unknown { .. })), "{outcome:?}");
    for member in network.running() {
        assert!(!network.proposals(member).values().any(|(_, proposal)| *proposal == bytes("two of five")));
    }
    // The three go on.
    let (by, position) = network.propose("three of five", &[leader, others[0]]);
    assert!(others[1..].contains(&by));
    acknowledged.push((position, bytes("three of five")));
    for away in &others[1..] {
        for near in [leader, others[0]] {
            network.cut(near, *away, false);
            network.cut(*away, near, false);
        }
    }
    network.check_agreement(last_of(&acknowledged), &acknowledged);
}

/// openraft 0.9 never answers a proposal that a snapshot overtakes; 0.9.24 also kept the former leader's tail where the
/// snapshot conflicts with it.
#[test]
fn proposals_of_a_former_leader_that_a_snapshot_overtakes_are_answered_as_unknown() {
    let settings = Settings { proposal_timeout: Duration::from_secs(3_600), ..Settings::default() };
    let (network, leader, mut acknowledged) = settled(3, settings);
    let ordering = network.ordering(leader);
    network.cut_off(leader, true);
    let mut stranded = Vec::new();
    for number in 0..5 {
        stranded.push(network.meanwhile(leader, {
            let ordering = ordering.clone();
            async move { ordering.propose(bytes(format!("stranded {number}"))).await }
        }));
    }
    wait_for("they are in its log", || {
        let tail = ordering.state().last_index?;
        ordering.read_proposal(tail).unwrap().filter(|tail| *tail == bytes("stranded 4"))
    });
    for number in 0..20 {
        acknowledged.push((network.propose(format!("on {number}"), &[leader]).1, bytes(format!("on {number}"))));
    }
    let at = last_of(&acknowledged);
    for member in others(&network, leader) {
        network.take_checkpoint(member, 30, at);
    }
    network.cut_off(leader, false);
    for outcome in stranded {
        let outcome = network.on(leader, outcome).unwrap();
        assert!(matches!(outcome, Err(ProposeError::Unknown { .. })), "{outcome:?}");
    }
    let (_, last) = network.propose("last", &[]);
    network.wait_until_delivered(leader, last);
    assert!(network.delivered(leader).iter().any(|delivered| matches!(delivered, Delivered::Checkpoint(_))));
    assert!(!network.proposals(leader).values().any(|(_, proposal)| proposal.starts_with(b"stranded")));
    // Nothing that was not agreed on stays in the archive.
    for index in 0..=last.index {
        let kept = ordering.read_proposal(index).unwrap();
        assert!(kept.is_none_or(|kept| !kept.starts_with(b"stranded")), "{index}");
    }
}

/// openraft 0.9.24: a snapshot's membership could be older than the log's, and entries were lost with the quorum.
#[test]
fn a_snapshot_brings_the_members_of_its_position() {
    let (mut network, leader, mut acknowledged) = settled(3, Settings::default());
    let away = others(&network, leader)[0];
    network.kill(away);
    network.start_newcomer(4);
    let ordering = network.ordering(leader);
    network.on(leader, ordering.admit(4, address(4), Duration::from_secs(10))).unwrap();
    for number in 0..5 {
        acknowledged.push((network.propose(format!("four {number}"), &[]).1, bytes(format!("four {number}"))));
    }
    let at = last_of(&acknowledged);
    for member in network.running() {
        network.take_checkpoint(member, 40, at);
    }
    network.start_member(away);
    let (_, last) = network.propose("with all", &[]);
    network.wait_until_delivered(away, last);
    assert_eq!(network.ordering(away).state().voters, [1, 2, 3, 4]);
    // And it still knows them after a restart from that snapshot.
    network.kill(away);
    network.start_member(away);
    let (_, last) = network.propose("again", &[]);
    network.wait_until_delivered(away, last);
    assert_eq!(network.ordering(away).state().voters, [1, 2, 3, 4]);
    // Of four voters two are no majority.
    let others = others(&network, leader);
    network.cut_off(others[0], true);
    network.cut_off(others[1], true);
    let pending = network.meanwhile(leader, {
        let ordering = ordering.clone();
        async move { ordering.propose(bytes("two of four")).await }
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(!pending.is_finished());
    network.cut_off(others[0], false);
    network.cut_off(others[1], false);
    drop(network.on(leader, pending));
    let (_, last) = network.propose("in the end", &[]);
    network.check_agreement(last, &acknowledged);
}

#[test]
fn members_are_admitted_and_dismissed_one_at_a_time() {
    let (mut network, leader, mut acknowledged) = settled(3, Settings::default());
    let ordering = network.ordering(leader);
    // One that does not run does not catch up, and learns on.
    let behind = network.on(leader, ordering.admit(4, address(4), Duration::from_millis(300))).unwrap_err();
    assert!(matches!(behind, MembershipError::Behind { member: 4, .. }), "{behind}");
    assert_eq!(ordering.state().voters, [1, 2, 3]);
    assert!(ordering.members().iter().any(|state| state.member == 4 && !state.votes && state.lag > Some(0)));
    network.start_newcomer(4);
    network.on(leader, ordering.admit(4, address(4), Duration::from_secs(10))).unwrap();
    network.on(leader, ordering.admit(4, address(4), Duration::from_secs(10))).unwrap();
    assert_eq!(ordering.state().voters, [1, 2, 3, 4]);
    acknowledged.push((network.propose("four", &[]).1, bytes("four")));
    network.check_agreement(last_of(&acknowledged), &acknowledged);

    let away = others(&network, leader)[0];
    let follower = network.ordering(away);
    let elsewhere = network.on(away, follower.dismiss(4)).unwrap_err();
    assert_eq!(elsewhere, MembershipError::NotLeader { leader: Some(leader) });
    drop(follower);
    let itself = network.on(leader, ordering.dismiss(leader)).unwrap_err();
    assert!(matches!(itself, MembershipError::Refused(_)), "{itself}");
    network.on(leader, ordering.dismiss(away)).unwrap();
    network.on(leader, ordering.dismiss(away)).unwrap();
    assert!(!ordering.members().iter().any(|state| state.member == away));
    // The dismissed one hears nobody, and disturbs nobody.
    let term = ordering.leadership().borrow().term;
    std::thread::sleep(Duration::from_millis(1_500));
    acknowledged.push((network.propose("without it", &[]).1, bytes("without it")));
    assert_eq!((network.leader(&[]), ordering.leadership().borrow().term), (leader, term));
    network.kill(away);
    network.check_agreement(last_of(&acknowledged), &acknowledged);
}

#[test]
fn every_member_delivers_and_the_one_that_proposed_knows_it() {
    let (network, _, acknowledged) = settled(3, Settings::default());
    network.check_agreement(last_of(&acknowledged), &acknowledged);
    for (wanted, _) in &acknowledged {
        let led_by = network.running().into_iter().filter(|member| {
            network.delivered(*member).iter().any(|delivered| {
                matches!(
                    delivered,
                    Delivered::Proposal(committed) if committed.position == *wanted && committed.is_leader
                )
            })
        });
        assert_eq!(led_by.count(), 1, "{wanted:?}");
    }
}

/// A user of openraft reported appends before they were synced, and lost what was acknowledged.
#[test]
fn a_proposal_is_acknowledged_only_when_a_majority_has_synced_it() {
    let mut disks = std::collections::BTreeMap::new();
    let mut network = Network::start_on(3, Settings::default(), |member| {
        let memory = Arc::new(MemoryStore::new());
        let disk = Arc::new(Disk { store: memory.clone(), hangs: watch::channel(false).0 });
        disks.insert(member, disk.clone());
        (disk as Arc<dyn Store>, Some(memory))
    });
    network.propose("first", &[]);
    let leader = network.leader(&[]);
    let followers = others(&network, leader);
    for follower in &followers {
        disks[follower].hangs.send_replace(true);
    }
    let ordering = network.ordering(leader);
    let pending = network.meanwhile(leader, async move { ordering.propose(bytes("synced")).await });
    std::thread::sleep(Duration::from_millis(500));
    assert!(!pending.is_finished(), "one of three has synced it");
    for member in network.running() {
        assert!(!network.proposals(member).values().any(|(_, proposal)| *proposal == bytes("synced")));
    }
    disks[&followers[0]].hangs.send_replace(false);
    let position = network.on(leader, pending).unwrap().unwrap();
    // Both that have it lose their machines. The third never had it.
    network.kill(leader);
    network.kill(followers[0]);
    disks[&followers[1]].hangs.send_replace(false);
    network.start_member(leader);
    network.start_member(followers[0]);
    let (_, last) = network.propose("last", &[]);
    network.check_agreement(last, &[(position, bytes("synced")), (last, bytes("last"))]);
}

/// A disk whose syncs hang on demand.
#[derive(Debug)]
struct Disk {
    store: Arc<MemoryStore>,
    hangs: watch::Sender<bool>,
}

impl Store for Disk {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<bytes::Bytes>, StoreError> {
        self.store.get(column, key)
    }
    fn scan(
        &self,
        column: Column,
        range: &KeyRange,
        direction: Direction,
        visit: &mut (dyn FnMut(&[u8], &[u8]) -> std::ops::ControlFlow<()> + '_),
    ) -> Result<(), StoreError> {
        self.store.scan(column, range, direction, visit)
    }
    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
        let deadline = std::time::Instant::now() + network::TIMEOUT;
        while *self.hangs.borrow() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.store.write(batch, durability)
    }
    fn flush(&self) -> Result<(), StoreError> {
        self.store.flush()
    }
    fn reclaim(&self, column: Column, range: &KeyRange) -> Result<(), StoreError> {
        self.store.reclaim(column, range)
    }
    fn sync_count(&self) -> u64 {
        self.store.sync_count()
    }
    fn poisoned_by(&self) -> Option<StoreError> {
        self.store.poisoned_by()
    }
}

/// openraft panics in the leader when a follower no longer has what it had acknowledged.
#[test]
fn a_member_that_has_lost_its_disk_does_not_take_the_leader_down() {
    let (mut network, leader, mut acknowledged) = settled(3, Settings::default());
    let away = others(&network, leader)[0];
    network.check_agreement(last_of(&acknowledged), &acknowledged);
    network.kill(away);
    network.lose_disk(away);
    network.start_member(away);
    for number in 0..10 {
        let proposal = format!("on {number}");
        acknowledged.push((network.propose(&proposal, &[away]).1, bytes(&proposal)));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(network.leader(&[away]), leader);
    assert_eq!(network.ordering(leader).state().failure, None);
    // It is replaced under another number.
    network.kill(away);
    let ordering = network.ordering(leader);
    network.on(leader, ordering.dismiss(away)).unwrap();
    network.start_newcomer(4);
    network.on(leader, ordering.admit(4, address(4), Duration::from_secs(10))).unwrap();
    let (_, last) = network.propose("with the new one", &[]);
    acknowledged.push((last, bytes("with the new one")));
    network.check_agreement(last, &acknowledged);
}

#[test]
fn only_members_may_call_and_only_in_their_own_name() {
    use cbdc_proto::internal::ordering_client::OrderingClient;
    use cbdc_proto::internal::{LogId, PreVoteRequest, Vote, VoteRequest};
    let (network, leader, _) = settled(3, Settings::default());
    let term = network.ordering(leader).leadership().borrow().term;
    for (caller, code) in [(0, tonic::Code::PermissionDenied), (7, tonic::Code::PermissionDenied)] {
        let channel = network.channel(caller, leader);
        let refused = network.on(leader, async move {
            let mut client = OrderingClient::new(channel);
            // A stranger may ask nothing; a member may not vote for another.
            let vote = Some(Vote { term: 1_000, member: 1, committed: false });
            let last = Some(LogId { term: 1_000, member: 1, index: 1_000_000 });
            if caller == 0 {
                client.pre_vote(PreVoteRequest { vote, last }).await.map(|_| ()).unwrap_err()
            } else {
                client.vote(VoteRequest { vote, last }).await.map(|_| ()).unwrap_err()
            }
        });
        assert_eq!(refused.code(), code, "{refused}");
    }
    assert_eq!(network.ordering(leader).leadership().borrow().term, term);
}

#[test]
fn a_candidate_that_nobody_has_elected_hands_nothing_over() {
    use cbdc_proto::internal::ordering_client::OrderingClient;
    use cbdc_proto::internal::{HandOverRequest, Vote};
    let (network, leader, _) = settled(3, Settings::default());
    let term = network.ordering(leader).leadership().borrow().term;
    let others = others(&network, leader);
    let channel = network.channel(others[0], others[1]);
    let request = HandOverRequest {
        vote: Some(Vote { term: term + 1, member: others[0], committed: false }),
        successor: others[1],
        last: None,
    };
    let refused = network.on(leader, async move { OrderingClient::new(channel).hand_over(request).await.unwrap_err() });
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    assert_eq!(network.ordering(leader).leadership().borrow().term, term);
}

#[test]
fn a_majority_confirms_that_a_member_leads_and_no_other_is_confirmed() {
    let (mut network, leader, acknowledged) = settled(3, Settings::default());
    let limit = Duration::from_secs(5);
    let lead = network.on(leader, network.ordering(leader).confirm_leads(limit)).expect("it leads");
    assert!(lead.last_proposal >= Some(last_of(&acknowledged)), "{lead:?}");
    let others = others(&network, leader);
    assert_eq!(network.on(others[0], network.ordering(others[0]).confirm_leads(limit)), None);
    // One that is cut off still takes itself for the leader for a moment.
    others.iter().for_each(|other| network.kill(*other));
    let ordering = network.ordering(leader);
    assert_eq!(network.on(leader, ordering.confirm_leads(Duration::from_millis(300))), None);
}
