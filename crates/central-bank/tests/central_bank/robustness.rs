//! Faults that must neither stop a central bank's service nor make it state what is not so: a failing disk, a jumping
//! clock, a client that stops reading, noise on its port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cbdc_central_bank::{Config, Environment, Node, start_on};
use cbdc_client::{Connection, GovernanceClient, MemberSigner, SubmissionStatus};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::command::{Head, IssuanceKind, IssuanceRequest, Record};
use cbdc_ledger::member::Role;
use cbdc_ledger::{Amount, BankId, Class, Command, HolderId, MemberId, Reason, SigningKey, Timestamp};
use cbdc_proto::status::{Finality, refusal_of};
use cbdc_proto::transport::connect;
use cbdc_proto::v1::settlement_client::SettlementClient;
use cbdc_proto::v1::{self, chain_client::ChainClient};
use cbdc_storage::{Fault, MemoryStore, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::transport::Channel;

fn now_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A central bank on a store in memory and a clock that can be set.
struct TestCentralBank {
    network: Network,
    store: Arc<MemoryStore>,
    offset_ms: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

impl TestCentralBank {
    fn new() -> TestCentralBank {
        TestCentralBank::of(NetworkSpec::default())
    }

    fn of(spec: NetworkSpec) -> TestCentralBank {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec { ports: Ports::Free, banks: 2, ..spec };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        TestCentralBank { network, store: Arc::new(MemoryStore::new()), offset_ms: Arc::default(), _folder: folder }
    }

    async fn start(&self) -> Node {
        let config = Config::load(&self.network.config_path(self.network.central_bank())).unwrap();
        let offset = self.offset_ms.clone();
        let wall_clock = Box::new(move || Timestamp(now_ms().wrapping_add(offset.load(Ordering::SeqCst))));
        let store: Arc<dyn Store> = self.store.clone();
        start_on(config, Environment { store, wall_clock }).await.unwrap()
    }

    fn channel(&self, node: &Node, role: Role, id: u16) -> Channel {
        let identity = self.network.identity(role, MemberId(id)).unwrap();
        let central = self.network.central_bank();
        let trust = self.network.anchor().trust(central.role(), central.id()).unwrap();
        connect(&node.address().to_string(), Some(&identity), &trust).unwrap()
    }

    /// The operator.
    fn operator(&self, node: &Node) -> GovernanceClient {
        let central = self.network.central_bank();
        let trust = self.network.anchor().trust(central.role(), central.id()).unwrap();
        let identity = self.network.identity(Role::Operator, MemberId(1)).unwrap();
        let connection = Connection::new(&node.address().to_string(), Some(&identity), &trust).unwrap();
        let key = self.network.signing_key(Role::Operator, MemberId(1)).unwrap();
        let signer = MemberSigner::new(Role::Operator, MemberId(1), key);
        GovernanceClient::new(connection, self.network.anchor().clone()).with_signer(signer)
    }

    /// Bank 1 opens its `number`th wallet.
    fn open_wallet(&self, number: u8) -> Command {
        let key = SigningKey::from_seed([number; 32]);
        let registrar = self.network.first_registrar().unwrap();
        let registration = registrar.register(BankId(1), HolderId([number; 16]), Class::HOUSEHOLD, key.public_key());
        let time = now_ms().wrapping_add(self.offset_ms.load(Ordering::SeqCst));
        let head =
            Head { flags: 0, key_version: 0, sequence: u64::from(number), valid_until: Timestamp(time + 7_200_000) };
        let record = registration.opening(head, &key).unwrap();
        let bank = self.network.signing_key(Role::Bank, MemberId(1)).unwrap();
        record.sign(self.network.anchor().network(), &bank).into()
    }

    async fn submit(&self, node: &Node, command: &Command) -> Result<v1::Outcome, tonic::Status> {
        let request = v1::SubmitCommandRequest { command: command.to_bytes().into() };
        let mut settlement = SettlementClient::new(self.channel(node, Role::Bank, 1));
        let answer = tokio::time::timeout(Duration::from_secs(20), settlement.submit_command(request)).await;
        answer.expect("an answer comes in time").map(tonic::Response::into_inner)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_stops_the_node_and_loses_nothing_that_was_answered() {
    for fault in [Fault::Io, Fault::DiskFull, Fault::IoAfterWriting] {
        let central_bank = TestCentralBank::new();
        let mut node = central_bank.start().await;
        let (one, two) = (central_bank.open_wallet(1), central_bank.open_wallet(2));
        let first = central_bank.submit(&node, &one).await.unwrap();
        assert!(first.settled, "{first:?}");

        central_bank.store.fail_next_write(fault);
        let unanswered = central_bank.submit(&node, &two).await.unwrap_err();
        assert_eq!(refusal_of(&unanswered).unwrap().reason, Reason::Unavailable, "{unanswered:?}");
        let why =
            tokio::time::timeout(Duration::from_secs(10), node.stopped()).await.expect("the node stops").unwrap_err();
        assert!(!why.to_string().is_empty());
        node.shutdown().await;

        // A restart on what the disk kept: the first wallet is there, the second has exactly one status.
        central_bank.store.crash();
        let node = central_bank.start().await;
        assert_eq!(central_bank.submit(&node, &one).await.unwrap(), first, "the first outcome is kept");
        let second = central_bank.submit(&node, &two).await.unwrap();
        assert!(second.settled);
        assert_eq!(central_bank.submit(&node, &two).await.unwrap(), second);
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_the_operator_over_a_restart_and_can_be_rejected() {
    let spec = NetworkSpec { automatic_operator: false, ..NetworkSpec::default() };
    let central_bank = TestCentralBank::of(spec);
    let network = &central_bank.network;
    let bank_key = network.signing_key(Role::Bank, MemberId(1)).unwrap();
    let request = |sequence: u64| {
        let head = Head { flags: 0, key_version: 0, sequence, valid_until: Timestamp(now_ms() + 600_000) };
        let (kind, amount) = (IssuanceKind::Issue, Amount::from_minor(100 * sequence));
        IssuanceRequest { kind, head, bank: BankId(1), amount }.sign(network.anchor().network(), &bank_key)
    };
    let requests: Vec<_> = (1..=3).map(request).collect();
    let ask = |node: &Node, index: usize| {
        let mut settlement = SettlementClient::new(central_bank.channel(node, Role::Bank, 1));
        let message = v1::RequestIssuanceRequest { request: requests[index].to_bytes().into() };
        async move { settlement.request_issuance(message).await.map(|answer| answer.into_inner().outcome) }
    };
    let node = central_bank.start().await;
    for index in [0, 1, 2, 0] {
        assert_eq!(ask(&node, index).await.unwrap(), None, "it waits, however often it is asked for");
    }
    node.shutdown().await;
    central_bank.store.crash();

    let node = central_bank.start().await;
    let operator = central_bank.operator(&node);
    assert_eq!(operator.waiting_requests().await.unwrap(), requests);
    for _ in 0..2 {
        operator.reject(&requests[1]).await.unwrap();
    }
    assert_eq!(operator.waiting_requests().await.unwrap(), [requests[0], requests[2]]);
    // Whoever kept a copy cannot have it ordered.
    let endorse_the_rejected = async |node: &Node| {
        let SubmissionStatus::Refused(refusal) = central_bank.operator(node).endorse(requests[1]).await.unwrap() else {
            panic!("the rejected request was ordered");
        };
        assert_eq!((refusal.reason(), refusal.finality), (Reason::RequestRejected, Finality::Final), "{refusal:?}");
    };
    endorse_the_rejected(&node).await;
    operator.endorse(requests[0]).await.unwrap().settled().unwrap();
    assert_eq!(operator.waiting_requests().await.unwrap(), [requests[2]]);
    let gone = operator.reject(&requests[0]).await.unwrap_err();
    assert!(matches!(gone, cbdc_client::ClientError::NotFound(_)), "{gone}");
    node.shutdown().await;
    central_bank.store.crash();

    let node = central_bank.start().await;
    assert_eq!(central_bank.operator(&node).waiting_requests().await.unwrap(), [requests[2]]);
    endorse_the_rejected(&node).await;
    let rejected = ask(&node, 1).await.unwrap_err();
    assert_eq!(refusal_of(&rejected).unwrap().reason, Reason::RequestRejected, "{rejected:?}");
    assert!(ask(&node, 0).await.unwrap().unwrap().settled);
    node.shutdown().await;
    central_bank.store.crash();

    // What waits is no damage to an audit.
    let store: Arc<dyn Store> = central_bank.store.clone();
    let genesis = network.anchor().genesis().clone();
    let report = cbdc_node::audit::audit_store(&store, genesis, Vec::new(), &mut |_, _| {}).unwrap();
    assert!(report.ok, "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jumping_clock_stops_sealing_until_an_operator_accepts_it() {
    let central_bank = TestCentralBank::new();
    let node = central_bank.start().await;
    assert!(central_bank.submit(&node, &central_bank.open_wallet(1)).await.unwrap().settled);
    for (number, jump_ms) in [(2, 3_600_000_u64), (3, 3_600_000_u64.wrapping_neg())] {
        central_bank.offset_ms.fetch_add(jump_ms, Ordering::SeqCst);
        let refused = central_bank.submit(&node, &central_bank.open_wallet(number)).await.unwrap_err();
        assert_eq!(refusal_of(&refused).unwrap().reason, Reason::ClockJump);
        let mut policy = v1::policy_client::PolicyClient::new(central_bank.channel(&node, Role::Operator, 1));
        policy.accept_clock(v1::AcceptClockRequest {}).await.unwrap();
        // After the jump back the records' validity, not the clock, decides: block time never goes back.
        let outcome = central_bank.submit(&node, &central_bank.open_wallet(number)).await.unwrap();
        assert!(outcome.settled, "{outcome:?}");
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_long_after_the_last_block_seals_nothing_until_an_operator_accepts_the_clock() {
    const DAYS: u64 = 400;
    let central_bank = TestCentralBank::new();
    let node = central_bank.start().await;
    assert!(central_bank.submit(&node, &central_bank.open_wallet(1)).await.unwrap().settled);
    node.shutdown().await;

    central_bank.offset_ms.store(DAYS * 86_400_000, Ordering::SeqCst);
    let node = central_bank.start().await;
    let refused = central_bank.submit(&node, &central_bank.open_wallet(2)).await.unwrap_err();
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::ClockJump);
    assert_eq!(node.height().0, 1, "nothing falls due either");
    let operator = central_bank.operator(&node);
    let state = operator.clock().await.unwrap();
    assert!(state.expected_ms.is_some(), "{state:?}");
    assert_eq!(u64::from(state.due.unwrap().days), DAYS);
    operator.accept_clock().await.unwrap();
    assert_eq!(operator.clock().await.unwrap().expected_ms, None);
    // Ordered again, though the certificate of then has long expired.
    assert!(central_bank.submit(&node, &central_bank.open_wallet(2)).await.unwrap().height > 1);
    node.shutdown().await;

    // Within the bound the node goes on by itself.
    central_bank.offset_ms.store((DAYS + 6) * 86_400_000, Ordering::SeqCst);
    let node = central_bank.start().await;
    assert!(central_bank.submit(&node, &central_bank.open_wallet(3)).await.unwrap().height > 2);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clocks_of_most_banks_are_believed_before_the_node_s_own() {
    let central_bank = TestCentralBank::new();
    let node = central_bank.start().await;
    assert!(central_bank.submit(&node, &central_bank.open_wallet(1)).await.unwrap().settled);
    node.shutdown().await;
    for (number, dissenting, is_sealed) in [(2, vec![2], true), (3, vec![1, 2], false)] {
        let node = central_bank.start().await;
        for bank in [1, 2] {
            let ahead_ms = if dissenting.contains(&bank) { 3_600_000 } else { 0 };
            let testimony = Some(v1::Testimony { clock_ms: now_ms() + ahead_ms, ..v1::Testimony::default() });
            let mut chain = v1::chain_client::ChainClient::new(central_bank.channel(&node, Role::Bank, bank));
            chain.follow(v1::FollowRequest { from_height: 1, testimony }).await.unwrap();
        }
        let answer = central_bank.submit(&node, &central_bank.open_wallet(number)).await;
        assert_eq!(answer.is_ok(), is_sealed, "{answer:?}");
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_holds_nobody_up() {
    let central_bank = TestCentralBank::new();
    let node = central_bank.start().await;
    // Bank 2 sends without end and reads nothing.
    let (sender, batches) = tokio::sync::mpsc::channel::<v1::CommandBatch>(1);
    let mut greedy = SettlementClient::new(central_bank.channel(&node, Role::Bank, 2));
    let unread = greedy.submit(tokio_stream::wrappers::ReceiverStream::new(batches)).await.unwrap();
    let mut record = central_bank.open_wallet(1).to_bytes();
    record[24] = 2;
    let commands: bytes::Bytes = record.repeat(1_000).into();
    let mut sent = 0_u64;
    let filling = async {
        loop {
            let batch = v1::CommandBatch { batch_id: sent, commands: commands.clone(), takes_runs: false };
            sender.send(batch).await.unwrap();
            sent += 1;
        }
    };
    // The node soon stops reading from it, too.
    assert!(tokio::time::timeout(Duration::from_secs(4), filling).await.is_err(), "sending stalls");
    assert!(sent < 5_000, "{sent} batches were taken from a client that reads nothing");
    // Others are served as usual.
    assert!(central_bank.submit(&node, &central_bank.open_wallet(1)).await.unwrap().settled);
    drop(unread);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_on_the_port_disturbs_nobody() {
    let central_bank = TestCentralBank::new();
    let node = central_bank.start().await;
    let mut noise: u64 = 0x2545_f491_4f6c_dd1d;
    let mut silent = Vec::new();
    for round in 0..60 {
        let mut stream = tokio::net::TcpStream::connect(node.address()).await.unwrap();
        let bytes: Vec<u8> = (0..round * 40)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise as u8
            })
            .collect();
        // The node may hang up in the middle.
        stream.write_all(&bytes).await.ok();
        if round % 3 == 0 {
            silent.push(stream);
        } else {
            let mut answer = Vec::new();
            drop(tokio::time::timeout(Duration::from_millis(50), stream.read_to_end(&mut answer)).await);
        }
    }
    assert!(central_bank.submit(&node, &central_bank.open_wallet(1)).await.unwrap().settled);
    // A member may send nonsense inside TLS too: it is answered with a sentence.
    let mut settlement = SettlementClient::new(central_bank.channel(&node, Role::Bank, 1));
    for length in [0, 1, 23, 24, 135, 136, 137, 4_000] {
        let request = v1::SubmitCommandRequest { command: vec![1; length].into() };
        let status = settlement.submit_command(request).await.unwrap_err();
        assert_eq!(refusal_of(&status).unwrap().reason, Reason::Malformed, "{status:?}");
    }
    let mut chain = ChainClient::new(central_bank.channel(&node, Role::Auditor, 1));
    assert!(chain.get_block(v1::GetBlockRequest { height: u64::MAX }).await.is_err());
    assert!(chain.get_receipt(v1::GetReceiptRequest { height: 1, index: u32::MAX }).await.is_err());
    node.shutdown().await;
}
