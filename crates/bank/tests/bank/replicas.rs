//! A central bank of three real nodes: customers pay on while its leader leaves, and desks act.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cbdc_client::{Amount, BankId, GovernanceAction, NodeName, PolicyChange, Role, Wallet, random_id};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_proto::convert::payment_to_message;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use tokio::task::JoinHandle;

use crate::customers::{now, open};
use crate::running::{bank_config, until};

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
