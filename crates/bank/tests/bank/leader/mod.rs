//! A central bank of several nodes, as a bank meets it: which of them it sends commands to, and what becomes of those
//! that were under way when the leader was lost. The nodes are [fronts](front) before one real node, so that a payment
//! which two of them are sent meets one ledger.

mod front;

use std::time::Duration;

use cbdc_client::{
    Amount, BankId, CentralBank, ClientError, Connection, GovernanceAction, GovernanceClient, MemberId, MemberSigner,
    Role, Wallet, random_id,
};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_proto::convert::payment_to_message;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use tokio::task::JoinHandle;

use self::front::{Front, Part};
use crate::customers::{now, open};
use crate::running::{bank_config, central_bank_config, until};

const TERM: u64 = 5;
/// Payments that are made one after another.
const PAYMENTS: u64 = 12;

/// A bank with a payer and a payee, before some fronts.
struct Running {
    network: Network,
    real: cbdc_central_bank::Node,
    fronts: Vec<Front>,
    bank: cbdc_bank::Node,
    payer: Wallet,
    payee: Wallet,
    folder: tempfile::TempDir,
}

impl Running {
    /// The bank is given the addresses of the first `configured` fronts. One of them has to lead.
    async fn start(parts: Vec<Part>, configured: usize) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec {
            ports: Ports::Free,
            banks: 1,
            full_replicas: 1,
            automatic_operator: true,
            ..NetworkSpec::default()
        };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        let real = cbdc_central_bank::start(central_bank_config(&network)).await.unwrap();
        let mut fronts = Vec::new();
        for (number, part) in (1..).zip(parts) {
            fronts.push(Front::start(&network, number, part).await);
        }
        let mut config = bank_config(&network, 1);
        config.central_bank = fronts[..configured].iter().map(|front| front.address.to_string()).collect();
        let bank = cbdc_bank::start(config).await.unwrap();
        let office = network.bank_office(BankId(1)).unwrap();
        office.request_issuance(cbdc_client::IssuanceKind::Issue, minor(100_000), random_id()).await.unwrap();
        let (payer, payee) = (open(&network, 10).await, open(&network, 11).await);
        office.credit_deposit(payer.account(), minor(5_000), random_id()).await.unwrap();
        payer.fund(minor(2_000), random_id()).await.unwrap().settled().unwrap();
        Running { network, real, fronts, bank, payer, payee, folder }
    }

    /// Two fronts, of which the first leads.
    async fn of_two() -> Running {
        Running::start(vec![Part::Leads(TERM), Part::Follows(None)], 2).await
    }

    /// Makes the payments one after another. Each is sent to the bank once, and has to be answered as settled.
    fn pay(&self) -> JoinHandle<()> {
        let (payer, payee) = (self.payer.clone(), self.payee.account());
        let mut bank = BankClient::new(self.network.connect_customer(BankId(1)).unwrap().channel());
        tokio::spawn(async move {
            for number in 1..=PAYMENTS {
                let payment = payer.sign_transfer(payee, minor(number), [0; 16]).await.unwrap();
                let payment = Some(payment_to_message(&payment));
                let request = v1::SubmitTransferRequest { payment, accept_when_unreachable: false };
                let answer = bank.submit_transfer(request).await;
                let answer = answer.unwrap_or_else(|status| panic!("payment {number}: {status:?}")).into_inner();
                let outcome = answer.outcome.expect("a final answer has an outcome");
                assert!(outcome.settled, "payment {number}: {outcome:?}");
            }
        })
    }

    async fn status(&self) -> v1::BankStatus {
        let connection = self.network.connect_customer(BankId(1)).unwrap();
        BankClient::new(connection.channel()).get_status(v1::GetStatusRequest {}).await.unwrap().into_inner()
    }

    async fn relays_to(&self, front: usize) -> bool {
        let status = self.status().await;
        status.central_bank_leads && status.central_bank_node == self.fronts[front].address.to_string()
    }

    /// Asserts that the payee has each payment once, and stops everything.
    async fn stop_with_each_paid_once(self) {
        let (paid, left) = (PAYMENTS * (PAYMENTS + 1) / 2, 2_000 - PAYMENTS * (PAYMENTS + 1) / 2);
        // The answers may be ahead of the bank's replica.
        let height = self.real.height();
        until("the bank has followed the chain", || self.bank.height() >= height).await;
        let payee = self.payee.balance().await.unwrap().posted;
        let payer = self.payer.balance().await.unwrap().posted;
        assert_eq!((payee, payer), (minor(paid), minor(left)));
        self.stop().await;
    }

    async fn stop(self) {
        self.bank.shutdown().await;
        self.real.shutdown().await;
        drop(self.folder);
    }
}

fn minor(amount: u64) -> Amount {
    Amount::from_minor(amount)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_lead_names_the_one_that_does() {
    // The address of the second is known before it starts to lead only to the first front.
    let running = Running::start(vec![Part::Leads(TERM), Part::Leads(TERM + 1)], 1).await;
    assert!(running.relays_to(0).await);
    running.fronts[0].becomes(Part::Follows(Some(running.fronts[1].address)));
    running.pay().await.unwrap();
    assert!(running.relays_to(1).await, "the bank was given no address but that of the first");
    running.stop_with_each_paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_finds_the_leader_where_nobody_names_it() {
    let running = Running::start(vec![Part::Follows(None), Part::Gone, Part::Leads(TERM)], 3).await;
    running.pay().await.unwrap();
    assert!(running.relays_to(2).await);
    running.stop_with_each_paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_under_way_when_the_leader_is_lost_settle_once_at_the_next_one() {
    let running = Running::of_two().await;
    let payments = running.pay();
    tokio::time::sleep(Duration::from_millis(20)).await;
    running.fronts[0].becomes(Part::Gone);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(running.status().await.central_bank_reachable, "a moment without a leader is no outage");
    running.fronts[1].becomes(Part::Leads(TERM + 1));
    payments.await.unwrap();
    running.stop_with_each_paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_falls_silent_is_left_once_another_one_leads() {
    let running = Running::of_two().await;
    running.fronts[0].becomes(Part::Frozen);
    let payments = running.pay();
    running.fronts[1].becomes(Part::Leads(TERM + 1));
    payments.await.unwrap();
    assert!(running.relays_to(1).await);
    running.stop_with_each_paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_slow_is_not_left() {
    let running = Running::of_two().await;
    running.fronts[0].becomes(Part::Frozen);
    // It says that it leads, and has been deposed.
    running.fronts[1].becomes(Part::Leads(TERM - 1));
    let payments = running.pay();
    let before = running.fronts[1].asked();
    until("the other node was asked who leads", || running.fronts[1].asked() > before + 3).await;
    running.fronts[0].becomes(Part::Leads(TERM));
    payments.await.unwrap();
    assert!(running.relays_to(0).await);
    running.stop_with_each_paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deposed_leader_does_not_know_is_sent_to_its_successor() {
    let running = Running::of_two().await;
    running.fronts[0].becomes(Part::Doubts(TERM));
    let payments = running.pay();
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.fronts[1].becomes(Part::Leads(TERM + 1));
    running.fronts[0].becomes(Part::Follows(Some(running.fronts[1].address)));
    payments.await.unwrap();
    running.stop_with_each_paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_knows_nothing_for_a_moment_is_sent_the_same_again() {
    let running = Running::of_two().await;
    running.fronts[0].becomes(Part::Doubts(TERM));
    let payments = running.pay();
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.fronts[0].becomes(Part::Leads(TERM));
    payments.await.unwrap();
    running.stop_with_each_paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_name_each_other_are_not_asked_without_end() {
    let running = Running::of_two().await;
    let [first, second] = &running.fronts[..] else { panic!("two fronts") };
    let before = first.asked() + second.asked();
    first.becomes(Part::Follows(Some(second.address)));
    second.becomes(Part::Follows(Some(first.address)));
    let payments = running.pay();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = first.asked() + second.asked() - before;
    assert!((4..300).contains(&asked), "asked {asked} times");
    second.becomes(Part::Leads(TERM + 1));
    payments.await.unwrap();
    running.stop_with_each_paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lags_is_passed_over_and_blames_nobody() {
    let running = Running::of_two().await;
    running.pay().await.unwrap();
    let Running { network, real, fronts, bank, payer, payee, folder } = running;
    let height = bank.height();
    bank.shutdown().await;
    // The bank is ahead of the first node, which it asks first.
    fronts[0].becomes(Part::Lags(Some(fronts[1].address)));
    fronts[1].becomes(Part::Leads(TERM + 1));
    let mut config = bank_config(&network, 1);
    config.central_bank = fronts.iter().map(|front| front.address.to_string()).collect();
    let bank = cbdc_bank::start(config).await.unwrap();
    payer.pay(payee.account(), minor(1)).await.unwrap().status.settled().unwrap();
    until("the bank follows the chain", || bank.height() > height).await;
    let running = Running { network, real, fronts, bank, payer, payee, folder };
    assert_eq!(running.status().await.central_bank_state, "SERVING");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bank_says_which_node_it_sends_commands_to() {
    let running = Running::of_two().await;
    assert!(running.relays_to(0).await);
    running.fronts[0].becomes(Part::Follows(None));
    for _ in 0..800 {
        if !running.status().await.central_bank_leads {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let status = running.status().await;
    assert!(!status.central_bank_leads && status.central_bank_node == running.fronts[0].address.to_string());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_node_leads_desks_are_told_what_each_has_said() {
    let running = Running::of_two().await;
    let (network, committee) = (&running.network, (Role::Committee, MemberId(1)));
    let node = network.central_bank();
    let trust = network.anchor().trust(node.role(), node.id()).unwrap();
    let identity = network.identity(committee.0, committee.1).unwrap();
    let connected = running.fronts.iter().map(|front| {
        let address = front.address.to_string();
        Connection::new(&address, Some(&identity), &trust).unwrap()
    });
    let signer = MemberSigner::new(committee.0, committee.1, network.signing_key(committee.0, committee.1).unwrap());
    let central_bank = CentralBank::new(connected.collect()).unwrap();
    let desk = GovernanceClient::new(central_bank, network.anchor().clone()).with_signer(signer);
    let desk = desk.with_timeout(Duration::from_millis(300));
    let propose = || desk.propose(vec![GovernanceAction::Threshold(2)], now(), now().plus_ms(60_000));

    running.fronts[0].becomes(Part::Follows(None));
    running.fronts[1].becomes(Part::Follows(Some(running.fronts[0].address)));
    let none = propose().await.unwrap_err();
    assert!(matches!(none, ClientError::NoLeader { .. }), "nothing was sent: {none}");
    for front in &running.fronts {
        assert!(none.to_string().contains(&front.address.to_string()), "{} is not in: {none}", front.address);
    }
    // What may be read is read wherever there is an answer.
    assert!(!desk.members().await.unwrap().members.is_empty());
    running.fronts[0].becomes(Part::Gone);
    assert!(!desk.members().await.unwrap().members.is_empty());
    running.stop().await;
}
