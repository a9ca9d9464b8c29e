//! I3 under kills: deposits, wallets and the money in transit between them, on real nodes of which one or two are
//! killed at random moments while waterfalls, top-ups, fundings and defunds are in flight.
//!
//! 1. Holders at three banks pay each other ([`holders`]); the holding limit is so low that most payments overflow onto
//!    the payee's deposit or are topped up from the payer's, often at another bank than the wallet's.
//! 2. Each round kills: the central bank, a bank, or two nodes at once, so that one comes back while the other is away.
//! 3. After a few rounds the holders pause. By then each must have been told the outcome that the chain has, each bank
//!    must show the amounts that follow from the chain ([`books`]), and nothing may be in transit.
//! 4. At the end the chain is audited, as the central bank and as each bank has it.

use std::process::Command;
use std::time::{Duration, Instant};

use cbdc_client::{Amount, BankOffice, Class, Height, NodeName, SubmissionStatus, v1};
use cbdc_devnet::{Network, NetworkSpec, Ports, Processes};

use crate::books::{Books, Ordered};
use crate::holders::{self, HOLDING_LIMIT, Holder, Intent, Paying, Told};
use crate::kills::{Dice, away_s, rounds_and_seed};

const BANKS: u16 = 3;
const HOLDERS: u64 = 12;
/// Rounds between two checks of the books.
const ROUNDS_AT_ONCE: u64 = 4;
/// The time within which the banks must have booked everything.
const BOOKED_WITHIN: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(50);

fn spec() -> NetworkSpec {
    let mut spec = NetworkSpec { banks: BANKS, ports: Ports::Free, ..NetworkSpec::default() }.without_limits();
    spec.policy.classes[Class::HOUSEHOLD.index()].holding_limit = Some(Amount::from_minor(HOLDING_LIMIT));
    // Often, so that a node comes back from a checkpoint and the blocks above it.
    spec.checkpoint_every_blocks = Some(100);
    // The other two are partial replicas.
    spec.full_replicas = 1;
    spec
}

/// Kills one or two nodes at a random moment and restarts them. Returns whether money was in transit just before.
async fn round(network: &Network, nodes: &mut Processes, dice: &mut Dice) -> bool {
    let all: Vec<NodeName> = network.nodes().collect();
    let first = dice.among(0..all.len() as u64) as usize;
    let second = (first + dice.among(1..all.len() as u64) as usize) % all.len();
    let killed: Vec<NodeName> = if dice.share() < 0.4 { vec![all[first], all[second]] } else { vec![all[first]] };
    tokio::time::sleep(Duration::from_secs_f64(0.2 + dice.share() * 0.6)).await;
    let was_in_transit = is_in_transit(network).await;
    for node in &killed {
        nodes.kill(*node).await.unwrap();
        tokio::time::sleep(Duration::from_secs_f64(dice.share() * 0.1)).await;
    }
    tokio::time::sleep(Duration::from_secs_f64(away_s(dice))).await;
    for node in &killed {
        nodes.restart(*node).await.unwrap();
    }
    was_in_transit
}

async fn is_in_transit(network: &Network) -> bool {
    for bank in network.banks() {
        let treasury = network.bank_office(bank).unwrap().treasury().await.unwrap();
        if treasury.in_transit_minor > 0 {
            return true;
        }
    }
    false
}

/// Each payer was told the outcome that the chain has, and the chain holds nothing that no holder signed.
fn check_told(books: &Books, told: &[Told]) {
    let mut found = 0;
    for told in told {
        let ordered = match &told.intent {
            Intent::Payment(payment) => {
                let by_sequence = books.payments.get(&(told.account, payment.record.head.sequence));
                by_sequence.filter(|ordered| ordered.payment == *payment)
            }
            Intent::Funding { request, .. } => books.fundings.get(request),
        };
        match (&told.status, ordered) {
            (SubmissionStatus::Settled { position, charges, .. }, Some(Ordered { position: at, outcome, .. })) => {
                assert!(
                    outcome.is_settled() && position == at && *charges == outcome.charges(),
                    "{told:?}, but {ordered:?}"
                );
            }
            (SubmissionStatus::Refused(refusal), Some(Ordered { position, outcome, .. })) => {
                let same = refusal.position == Some(*position) && refusal.outcome == *outcome;
                assert!(same, "{told:?}, but {ordered:?}");
            }
            // A funding that was refused leaves no trace in the books of fundings.
            (SubmissionStatus::Refused(refusal), None) => {
                let is_funding = matches!(told.intent, Intent::Funding { .. });
                assert!(refusal.position.is_none() || is_funding, "{told:?}, but it is not in the chain");
            }
            (status, ordered) => panic!("{status:?} of {:?}, but {ordered:?}", told.intent),
        }
        found += usize::from(ordered.is_some());
    }
    assert_eq!(found, books.payments.len() + books.fundings.len(), "payments in the chain that nobody made");
}

/// Waits until a bank has booked the chain and released all that was in transit.
async fn booked(office: &BankOffice, tip: Height) -> v1::Treasury {
    let give_up = Instant::now() + BOOKED_WITHIN;
    loop {
        let treasury = office.treasury().await.unwrap();
        if treasury.height >= tip.0 && treasury.in_transit_minor == 0 {
            return treasury;
        }
        assert!(Instant::now() < give_up, "expected nothing in transit at height {tip}, found {treasury:?}");
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Each bank shows for each holder the amounts that follow from the chain, and nothing is in transit.
async fn check_banks(network: &Network, books: &Books, holders: &[Holder]) {
    let mut total = 0;
    for bank in network.banks() {
        let office = network.bank_office(bank).unwrap();
        let treasury = booked(&office, books.tip).await;
        let expected: u64 = books.deposits.iter().filter(|((at, _), _)| *at == bank).map(|(_, minor)| minor).sum();
        // A bank shows the deposits that it may have: those of its own customers and of wallets linked to it.
        for holder in holders.iter().filter(|holder| [holder.account().bank, holder.deposit_at].contains(&bank)) {
            let account = holder.account();
            let v1::Deposit { balance_minor, in_transit_minor, .. } = office.deposit(account).await.unwrap();
            let expected = books.deposits.get(&(bank, account)).copied().unwrap_or(0);
            assert_eq!((balance_minor, in_transit_minor), (expected, 0), "the deposit of {account} at bank {bank}");
        }
        assert_eq!(treasury.deposits_minor, expected, "all deposits at bank {bank}");
        total += treasury.deposits_minor;
    }
    for holder in holders {
        let posted = holder.wallet.balance().await.unwrap().posted.minor();
        assert_eq!(posted, books.wallets[&holder.account()], "the wallet {}", holder.account());
        total += posted;
    }
    let credited: u64 = holders.iter().map(|holder| holder.credited).sum();
    assert_eq!((total, books.total()), (credited, credited), "I3 over all holders");
}

/// `cbdc audit` of a stopped node's data folder.
fn audit(network: &Network, node: NodeName) {
    let audit = Command::new(env!("CARGO_BIN_EXE_cbdc"))
        .args(["audit", "--json", "--data"])
        .arg(network.data_dir(node).unwrap())
        .output()
        .unwrap();
    let (found, errors) = (String::from_utf8_lossy(&audit.stdout), String::from_utf8_lossy(&audit.stderr));
    assert!(audit.status.success(), "the audit of {node}: {found}\n{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_kill_no_cent_is_lost_or_doubled_between_wallets_and_deposits() {
    let (rounds, seed) = rounds_and_seed(24);
    let dice = &mut Dice::new(seed, 1);
    let folder = tempfile::tempdir().unwrap();
    let network = Network::create(&folder.path().join("net"), &spec()).unwrap();
    let mut nodes = Processes::start_from(&network, env!("CARGO_BIN_EXE_cbdc").as_ref()).await.unwrap();
    let holders = holders::open(&network, HOLDERS).await;
    let (mut books, mut told) = (Books::open(&holders), Vec::new());

    let (mut left, mut in_transit) = (rounds, 0);
    while left > 0 {
        let paying = Paying::begin(&holders, dice);
        for _ in 0..left.min(ROUNDS_AT_ONCE) {
            in_transit += u64::from(round(&network, &mut nodes, dice).await);
            left -= 1;
        }
        told.extend(paying.end().await);
        nodes.check_alive().unwrap();
        books.follow(&network.chain(network.central_bank()).await.unwrap()).await;
        check_told(&books, &told);
        check_banks(&network, &books, &holders).await;
    }

    println!("{} told, {:?}, in transit before {in_transit} of {rounds} rounds", told.len(), books.moved);
    assert!(in_transit >= rounds / 3, "money was in transit before {in_transit} of {rounds} rounds only");
    let moved = &books.moved;
    for (what, count) in [
        ("payments", moved.payments),
        ("waterfalls", moved.waterfalls),
        ("waterfalls to another bank", moved.waterfalls_across),
        ("top-ups", moved.top_ups),
        ("top-ups from another bank", moved.top_ups_across),
        ("refused top-ups", moved.top_ups_refused),
        ("fundings", moved.fundings),
    ] {
        assert!(count >= rounds, "only {count} {what} in {rounds} rounds");
    }
    nodes.stop().await.unwrap();
    network.nodes().for_each(|node| audit(&network, node));
}
