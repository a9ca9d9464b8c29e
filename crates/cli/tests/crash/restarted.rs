//! What a bank knows of unanswered copies after it was stopped, and after it was killed (SIGKILL).
//!
//! A record whose number lies far ahead is refused by the central bank. That may be said of it only if no copy can be
//! on its way: after an orderly stop that is known of every account without unanswered copies, after a kill of none.

use std::time::Duration;

use cbdc_client::{Amount, BankId, SigningKey};
use cbdc_devnet::{Network, NetworkSpec, Ports, Processes};
use cbdc_ledger::command::{Payment, Signed};
use cbdc_proto::v1::bank_client::BankClient;

use crate::holders::{self, Holder};
use crate::stopped::{Payer, Signal, Told};

const HOUR_MS: u64 = 3_600_000;
const FAR_AHEAD: u64 = 1_000;

fn payer<'a>(network: &'a Network, holders: &'a [Holder], number: usize) -> Payer<'a> {
    Payer {
        folder: network,
        client: BankClient::new(network.connect_customer(BankId(1)).unwrap().channel()),
        wallet: &holders[number].wallet,
        key: SigningKey::from_seed([number as u8; 32]),
        from: holders[number].account(),
        to: holders[1 - number].account(),
    }
}

/// What is said of a record once the bank has the central bank again.
async fn told_of(payer: &Payer<'_>, record: &Signed<Payment>, settles: &Signed<Payment>) -> Told {
    assert_eq!(payer.final_answer(settles).await, Told::Settled);
    payer.submit(record, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_was_stopped_knows_what_is_unanswered_and_one_that_was_killed_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec { banks: 1, ports: Ports::Free, ..NetworkSpec::default() }.without_limits();
    let network = Network::create(&folder.path().join("net"), &spec).unwrap();
    let mut nodes = Processes::start_from(&network, env!("CARGO_BIN_EXE_cbdc").as_ref()).await.unwrap();
    let bank = cbdc_client::NodeName::Bank(BankId(1));
    let central = nodes.pid(network.central_bank()).unwrap();
    let holders = holders::open(&network, 2).await;
    for (holder, request) in holders.iter().zip(1..) {
        holder.wallet.fund(Amount::from_minor(100), [request; 16]).await.unwrap().settled().unwrap();
    }
    let (one, other) = (payer(&network, &holders, 0), payer(&network, &holders, 1));
    let (ones, others) = (one.sign(FAR_AHEAD, HOUR_MS), other.sign(FAR_AHEAD, HOUR_MS));
    let mut sequence = other.next_sequence().await;
    let mut next = || {
        sequence += 1;
        other.sign(sequence - 1, HOUR_MS)
    };
    assert!(matches!(told_of(&other, &others, &next()).await, Told::NotYet(_)));

    // One holder's payment is unanswered when the bank is stopped.
    let unanswered = one.sign(one.next_sequence().await, HOUR_MS);
    Signal::ready("STOP", central).send();
    assert_eq!(one.submit(&unanswered, false).await, Told::Unknown);
    nodes.stop_node(bank).await.unwrap();
    Signal::ready("CONT", central).send();
    nodes.restart(bank).await.unwrap();
    assert!(matches!(told_of(&other, &others, &next()).await, Told::NotYet(_)), "nothing of this one is unanswered");
    assert_eq!(one.submit(&ones, false).await, Told::Unknown, "which of this one's is unanswered is not known");
    assert_eq!(one.final_answer(&unanswered).await, Told::Settled);

    // Whatever a process had sent that was killed may be on its way; also for the next one, stopped in an orderly way.
    nodes.kill(bank).await.unwrap();
    for _ in 0..2 {
        nodes.restart(bank).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(told_of(&other, &others, &next()).await, Told::Unknown);
    }
    nodes.stop().await.unwrap();
}
