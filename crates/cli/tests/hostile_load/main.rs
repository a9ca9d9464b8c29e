//! Hostile load: how much of their rate honest customers keep, how long they wait and how much memory a node takes,
//! while others do their worst. Nothing is asserted but that honest payments settle: figures are printed as tables.
//!
//! Real nodes, each a process of the program: a central bank, and banks 1 (hostile, or with hostile customers) and 2.
//! The load of honest customers is open loop, and latency runs from the moment a payment was due.
//! The floods take seven minutes, the other parts one or two each.
//!
//!     cargo test --release -p cbdc --test hostile_load -- --ignored --nocapture --test-threads 1
//!
//! | module | holds |
//! |---|---|
//! | [`network`] | the processes, funded wallets, signed payments, the memory of a process |
//! | [`honest`] | customers who pay at a fixed rate, and what became of it |
//! | [`hostile`] | floods, copies, unfinished messages, unread answers, silent connections |

mod honest;
mod hostile;
mod network;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::honest::{Figures, Honest};
use self::hostile::{FLOODS, Flooding};
use self::network::{Hostile, MIB};

/// The length of each phase: before, during and after an attack.
const PHASE: Duration = Duration::from_secs(8);
/// The time after a flood within which they should have recovered.
const RECOVERS_WITHIN: Duration = Duration::from_secs(1);

fn row(name: &str, alone: &Figures, beside: &Figures, after: &Figures, more: &str) {
    println!("| {name} | {alone} | {beside} | {after} | {more} |");
}

fn heading() {
    println!("\n| beside | alone: /s, p50, p99 ms | beside it | from 1 s after | flood |\n|---|---|---|---|---|");
}

/// Honest customers of bank 2, and again of bank 1, beside each kind of flood.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for minutes"]
async fn floods() {
    let network = Hostile::start().await;
    for (who, honest_at) in [("bank 1", 2), ("customers of bank 1", 2), ("customers of bank 1", 1)] {
        println!("\nFloods by {who}, honest customers at bank {honest_at}:");
        heading();
        for flood in FLOODS {
            let honest = Honest::start(&network, honest_at).await;
            honest.figures(PHASE / 4).await;
            let alone = honest.figures(PHASE).await;
            let flooding = match who {
                "bank 1" => Flooding::by_bank(&network, flood).await,
                _ => Flooding::by_customers(&network, flood).await,
            };
            tokio::time::sleep(Duration::from_millis(500)).await;
            let (before, began) = (flooding.answered(), Instant::now());
            let beside = honest.figures(PHASE).await;
            let rate = (flooding.answered() - before) as f64 / began.elapsed().as_secs_f64();
            flooding.stop();
            tokio::time::sleep(RECOVERS_WITHIN).await;
            let after = honest.figures(PHASE / 2).await;
            row(flood.name, &alone, &beside, &after, &format!("{rate:.0} answers/s"));
            assert!(honest.stop().await > 0, "honest payments settle");
        }
    }
    network.stop().await;
}

/// Messages of 8,192 copies of one new payment: eight, sent once, on one stream or on eight.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for minutes"]
async fn copies() {
    let network = Hostile::start().await;
    for honest_at in [2, 1] {
        println!("\nEight messages of 8,192 copies by a customer of bank 1, honest customers at bank {honest_at}:");
        heading();
        for (round, streams) in [(0, 1), (1, 8)] {
            let honest = Honest::start(&network, honest_at).await;
            honest.figures(PHASE / 4).await;
            let alone = honest.figures(PHASE).await;
            let sequence = 1 + round + 2 * u64::from(honest_at - 1);
            let (beside, took) = tokio::join!(honest.figures(PHASE / 2), hostile::copies(&network, sequence, streams));
            tokio::time::sleep(RECOVERS_WITHIN).await;
            let after = honest.figures(PHASE / 2).await;
            let gap = beside.longest_gap.as_millis();
            let more =
                format!("{streams} streams; all answered after {:.2} s; longest gap {gap} ms", took.as_secs_f64());
            row("copies", &alone, &beside, &after, &more);
            assert!(honest.stop().await > 0, "honest payments settle");
        }
    }
    network.stop().await;
}

/// The memory of bank 1 under attacks on it, and how long a new customer waits meanwhile.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for minutes"]
async fn memory() {
    let network = Hostile::start().await;
    // History to be asked for.
    let honest = Honest::start(&network, 1).await;
    honest.figures(PHASE).await;
    honest.stop().await;
    println!(
        "\n| bank 1 | before, MiB | most | 5 s after | a new customer's first answer, ms | honest /s, p50, p99 ms |"
    );
    println!("|---|---|---|---|---|---|");
    for attack in hostile::MEMORY {
        let honest = Honest::start(&network, 2).await;
        let before = network.resident();
        network.forget_most();
        let attacking = attack.start(&network).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let waited = network.new_customer().await;
        let beside = honest.figures(PHASE / 2).await;
        let most = network.most_resident();
        let [answered, refused] = [&attacking.answered, &attacking.refused].map(|count| count.load(Ordering::Relaxed));
        drop(attacking);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let [before, most, after] = [before, most, network.resident()].map(|bytes| bytes / MIB);
        let name = attack.name();
        println!(
            "| {name} ({answered} answered, {refused} refused) | {before} | {most} | {after} | {} | {beside} |",
            waited.as_millis()
        );
        assert!(honest.stop().await > 0, "honest payments settle");
    }
    network.stop().await;
}

/// Silent TCP connections to both nodes, while a new customer and a restarted bank connect.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for minutes"]
async fn silence() {
    let mut network = Hostile::start().await;
    println!(
        "\n| 600 silent connections to each node | a new customer's first answer, ms | bank 2, restarted, has the \
         central bank, ms |"
    );
    println!("|---|---|---|");
    let [customer, bank] = [network.new_customer().await, network.restart_bank_2().await].map(|time| time.as_millis());
    println!("| none | {customer} | {bank} |");
    for (name, renewed) in [("once", false), ("renewed when ended", true)] {
        let silent = hostile::silent(&network, 600, renewed).await;
        let mut customers = Vec::new();
        for _ in 0..20 {
            customers.push(network.new_customer().await.as_millis());
        }
        customers.sort_unstable();
        let bank = network.restart_bank_2().await.as_millis();
        println!("| {name} | {} to {}, half of them {} | {bank} |", customers[0], customers[19], customers[10]);
        drop(silent);
    }
    network.stop().await;
}
