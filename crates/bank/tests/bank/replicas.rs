//! A central bank of three real nodes: customers pay on while its leader leaves, and desks act.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cbdc_client::{Amount, BankId, GovernanceAction, MemberId, NodeName, PolicyChange, Role, Wallet, random_id};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::Reason;
use cbdc_proto::convert::payment_to_message;
use cbdc_proto::status::refusal_of;
use cbdc_proto::transport::connect;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use cbdc_proto::v1::policy_client::PolicyClient;
use tokio::task::JoinHandle;

use crate::customers::{now, open};
use crate::running::{bank_config, copy_folder, until};

/// Payments that are made between two events.
const BETWEEN: u64 = 25;

struct Running {
    network: Network,
    central_banks: BTreeMap<NodeName, cbdc_central_bank::Node>,
    bank: cbdc_bank::Node,
    payer: Wallet,
    payee: Wallet,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start(full_replicas: u16) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec {
            ports: Ports::Free,
            banks: 1,
            central_banks: 3,
            full_replicas,
            automatic_operator: true,
            ..NetworkSpec::default()
        };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        let started = network.central_banks().map(|name| {
            let config = cbdc_central_bank::Config::load(&network.config_path(name)).unwrap();
            async move { (name, cbdc_central_bank::start(config).await.unwrap()) }
        });
        let central_banks = futures::future::join_all(started).await.into_iter().collect();
        let bank = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
        let office = network.bank_office(BankId(1)).unwrap();
        let issued = office.request_issuance(cbdc_client::IssuanceKind::Issue, minor(100_000), random_id()).await;
        issued.unwrap();
        let (payer, payee) = (open(&network, 10).await, open(&network, 11).await);
        office.credit_deposit(payer.account(), minor(50_000), random_id()).await.unwrap();
        payer.fund(minor(50_000), random_id()).await.unwrap().settled().unwrap();
        Running { network, central_banks, bank, payer, payee, _folder: folder }
    }

    async fn leader(&self) -> NodeName {
        loop {
            if let Some(leader) = self.network.leader().await {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stop_node(&mut self, name: NodeName) {
        self.central_banks.remove(&name).expect("it runs").shutdown().await;
    }

    async fn start_node(&mut self, name: NodeName) {
        let config = cbdc_central_bank::Config::load(&self.network.config_path(name)).unwrap();
        self.central_banks.insert(name, cbdc_central_bank::start(config).await.unwrap());
    }

    async fn stop(self) {
        self.bank.shutdown().await;
        futures::future::join_all(self.central_banks.into_values().map(cbdc_central_bank::Node::shutdown)).await;
    }
}

/// A customer who pays one minor unit after another, each sent once, and wants each settled.
struct Payments {
    paid: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    running: JoinHandle<Duration>,
}

impl Payments {
    fn begin(running: &Running) -> Payments {
        let (paid, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (payer, payee) = (running.payer.clone(), running.payee.account());
        let mut bank = BankClient::new(running.network.connect_customer(BankId(1)).unwrap().channel());
        let (count, ends) = (paid.clone(), stop.clone());
        let running = tokio::spawn(async move {
            let (mut longest, mut last) = (Duration::ZERO, Instant::now());
            while !ends.load(Ordering::SeqCst) {
                let payment = payer.sign_transfer(payee, minor(1), [0; 16]).await.unwrap();
                let payment = Some(payment_to_message(&payment));
                let request = v1::SubmitTransferRequest { payment, accept_when_unreachable: true };
                let answer = bank.submit_transfer(request).await.unwrap().into_inner();
                assert!(answer.outcome.as_ref().is_some_and(|outcome| outcome.settled), "{answer:?}");
                count.fetch_add(1, Ordering::SeqCst);
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            longest
        });
        Payments { paid, stop, running }
    }

    /// Waits until some more have settled.
    async fn go_on(&self) {
        let before = self.paid.load(Ordering::SeqCst);
        until("payments go on", || self.running.is_finished() || self.paid.load(Ordering::SeqCst) >= before + BETWEEN)
            .await;
    }

    /// Ends them; returns how many there were.
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        let longest = self.running.await.unwrap();
        println!("the longest time from one payment to the next: {} ms", longest.as_millis());
        self.paid.load(Ordering::SeqCst)
    }
}

fn minor(amount: u64) -> Amount {
    Amount::from_minor(amount)
}

fn action() -> GovernanceAction {
    let limit = Some(minor(77_000));
    GovernanceAction::Policy(PolicyChange::PaymentLimit { class: cbdc_client::Class::HOUSEHOLD, limit })
}

async fn payments_go_on_while_the_leader_leaves(full_replicas: u16) {
    let mut running = Running::start(full_replicas).await;
    let payments = Payments::begin(&running);
    payments.go_on().await;
    // Each of them leads or may, and leaves; in the end by command.
    for _ in 0..3 {
        let leader = running.leader().await;
        running.stop_node(leader).await;
        payments.go_on().await;
        running.start_node(leader).await;
        payments.go_on().await;
    }
    running.network.hand_over(None).await.unwrap();
    payments.go_on().await;
    let paid = payments.end().await;

    let height = |node: &cbdc_central_bank::Node| node.height();
    let newest = running.central_banks.values().map(height).max().unwrap();
    until("the bank has followed the chain", || running.bank.height() >= newest).await;
    let payee = running.payee.balance().await.unwrap().posted;
    let payer = running.payer.balance().await.unwrap().posted;
    assert_eq!((payee, payer), (minor(paid), minor(50_000 - paid)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_go_on_while_the_leader_leaves_with_full_replicas() {
    payments_go_on_while_the_leader_leaves(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_go_on_while_the_leader_leaves_with_partial_replicas() {
    payments_go_on_while_the_leader_leaves(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn desks_act_through_whichever_node_leads() {
    let mut running = Running::start(1).await;
    let committee = running.network.acting(Role::Committee).await.unwrap();
    for _ in 0..2 {
        let leader = running.leader().await;
        let (at, expires) = (now(), now().plus_ms(3_600_000));
        // The client knows that node as the leader.
        let (_, proposal) = committee.propose(vec![action()], at, expires).await.unwrap().result().unwrap();
        running.stop_node(leader).await;
        let (_, next) = committee.propose(vec![action()], at, expires).await.unwrap().result().unwrap();
        assert_eq!(next, proposal + 1, "each proposal was made once");
        // A client that has asked nobody yet meets a node that is away.
        let reader = running.network.governance_reader().await.unwrap();
        assert_eq!(reader.proposals(1, None).await.unwrap().proposals[0].number, next);
        running.start_node(leader).await;
    }
    running.stop().await;
}

impl Running {
    fn central_bank_config(&self, name: NodeName) -> cbdc_central_bank::Config {
        cbdc_central_bank::Config::load(&self.network.config_path(name)).unwrap()
    }

    /// Stops all nodes of the central bank and puts other data folders in the place of theirs.
    async fn replace_folders(&mut self, replace: impl Fn(NodeName, &std::path::Path)) {
        let names: Vec<NodeName> = self.central_banks.keys().copied().collect();
        for name in &names {
            self.stop_node(*name).await;
        }
        for name in &names {
            let data = self.central_bank_config(*name).data_dir;
            std::fs::remove_dir_all(&data).unwrap();
            replace(*name, &data);
        }
        let starts = names.iter().map(|name| cbdc_central_bank::start(self.central_bank_config(*name)));
        let started = futures::future::join_all(starts).await;
        self.central_banks = names.into_iter().zip(started.into_iter().map(Result::unwrap)).collect();
    }

    /// Waits until the node that leads refuses to answer, since it has lost blocks.
    async fn until_blocks_are_lost(&self) {
        let began = Instant::now();
        let identity = self.network.identity(Role::Bank, MemberId(1)).unwrap();
        loop {
            assert!(began.elapsed() < Duration::from_secs(60), "the bank has shown what was lost");
            tokio::time::sleep(Duration::from_millis(50)).await;
            let Some(leader) = self.network.leader().await else { continue };
            let trust = self.network.anchor().trust(leader.role(), leader.id()).unwrap();
            let channel = connect(self.network.address(leader).unwrap(), Some(&identity), &trust).unwrap();
            let asked = PolicyClient::new(channel).get_supply(v1::GetSupplyRequest {}).await;
            if asked.is_err_and(|status| refusal_of(&status).is_some_and(|found| found.reason == Reason::LostBlocks)) {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_begin_a_second_history_or_have_all_forgotten_blocks_seal_nothing_once_a_bank_has_shown_them() {
    let mut running = Running::start(1).await;
    for node in running.central_banks.keys().copied().collect::<Vec<_>>() {
        running.stop_node(node).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: NodeName| folder.path().join(name.to_string());
    for name in running.network.central_banks() {
        copy_folder(&running.central_bank_config(name).data_dir, &copy(name));
    }
    for name in running.network.central_banks().collect::<Vec<_>>() {
        running.start_node(name).await;
    }
    let settled = running.payer.pay(running.payee.account(), minor(1)).await;
    settled.unwrap().status.settled().unwrap();
    let newest = running.central_banks.values().map(cbdc_central_bank::Node::height).max().unwrap();
    until("the bank has followed the chain", || running.bank.height() >= newest).await;

    let network = running.network.clone();
    let older = |name: NodeName, data: &std::path::Path| copy_folder(&copy(name), data);
    let empty = |name: NodeName, _: &std::path::Path| {
        let config = cbdc_central_bank::Config::load(&network.config_path(name)).unwrap();
        cbdc_central_bank::prepare_data_folder(&config, false).unwrap();
    };
    for forgotten in [&empty as &dyn Fn(NodeName, &std::path::Path), &older] {
        running.replace_folders(forgotten).await;
        let before: Vec<_> = running.central_banks.values().map(cbdc_central_bank::Node::height).collect();
        running.until_blocks_are_lost().await;
        let paid = running.payer.sign_transfer(running.payee.account(), minor(1), [0; 16]).await.unwrap();
        let mut bank = BankClient::new(running.network.connect_customer(BankId(1)).unwrap().channel());
        let payment = Some(payment_to_message(&paid));
        let request = v1::SubmitTransferRequest { payment, accept_when_unreachable: false };
        assert!(bank.submit_transfer(request).await.is_err(), "nothing settles");
        let after: Vec<_> = running.central_banks.values().map(cbdc_central_bank::Node::height).collect();
        assert!(after.iter().zip(&before).all(|(after, before)| after >= before && *after < newest), "{after:?}");
        assert!(running.bank.height() == newest);
    }
    running.stop().await;
}
