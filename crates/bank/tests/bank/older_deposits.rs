//! A bank whose data folder is older than what it has done since: what the chain tells is booked from it, and no
//! deposit is shown or moved until the back office has settled what only the bank knew.

use crate::customers::{BANK, open};
use crate::running::{bank_config, central_bank_config, copy_folder, until};
use cbdc_client::{Amount, ClientError, SubmissionStatus, Wallet, random_id};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::Reason;
use cbdc_ledger::command::IssuanceKind;

const FUNDED: [u8; 16] = [9; 16];

fn amount(minor: u64) -> Amount {
    Amount::from_minor(minor)
}

fn assert_in_doubt<T: std::fmt::Debug>(answer: Result<T, ClientError>) {
    match answer {
        Err(ClientError::Refused(refusal)) if refusal.reason() == Reason::DepositsInDoubt => {}
        other => panic!("expected DEPOSITS_IN_DOUBT, found {other:?}"),
    }
}

async fn restart(network: &Network, bank: cbdc_bank::Node) -> cbdc_bank::Node {
    bank.shutdown().await;
    cbdc_bank::start(bank_config(network, 1)).await.unwrap()
}

/// The customer's money: on the deposit, and in the wallet.
async fn money_of(wallet: &Wallet) -> (u64, u64) {
    (wallet.deposit().await.unwrap().balance_minor, wallet.balance().await.unwrap().available.minor())
}

/// Restores bank 1 from an older copy of its folder, or begins an empty one, and settles what is missing.
async fn older_folder(full_replicas: u16, from_a_copy: bool) {
    let folder = tempfile::tempdir().unwrap();
    let automatic_operator = true;
    let spec =
        NetworkSpec { ports: Ports::Free, banks: 1, full_replicas, automatic_operator, ..NetworkSpec::default() };
    let network = Network::create(&folder.path().join("net"), &spec).unwrap();
    let (data, older) = (bank_config(&network, 1).data_dir, folder.path().join("older"));
    let central_bank = cbdc_central_bank::start(central_bank_config(&network)).await.unwrap();
    let bank = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
    let office = network.bank_office(BANK).unwrap();
    office.request_issuance(IssuanceKind::Issue, amount(100_000), random_id()).await.unwrap();
    let (alice, bob) = (open(&network, 10).await, open(&network, 11).await);
    office.credit_deposit(alice.account(), amount(2_000), random_id()).await.unwrap();
    alice.fund(amount(1_000), random_id()).await.unwrap().settled().unwrap();
    bank.shutdown().await;
    copy_folder(&data, &older);

    let bank = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
    office.credit_deposit(alice.account(), amount(500), random_id()).await.unwrap();
    alice.fund(amount(1_200), FUNDED).await.unwrap().settled().unwrap();
    alice.submit(&alice.sign_defund(amount(100)).await.unwrap()).await.unwrap().settled().unwrap();
    assert_eq!(money_of(&alice).await, (400, 2_100));
    let height = bank.height();
    bank.shutdown().await;
    std::fs::remove_dir_all(&data).unwrap();
    match from_a_copy {
        true => copy_folder(&older, &data),
        false => cbdc_bank::prepare_data_folder(&bank_config(&network, 1), false).unwrap(),
    }

    let bank = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
    until("the bank has the chain again", || bank.height() >= height).await;
    // A restart forgets nothing of it.
    let bank = restart(&network, bank).await;
    assert_in_doubt(alice.deposit().await);
    assert_in_doubt(office.credit_deposit(alice.account(), amount(1), random_id()).await);
    assert_in_doubt(alice.fund(amount(1), random_id()).await.and_then(SubmissionStatus::settled));
    assert_in_doubt(office.report_deposits().await);
    assert!(office.treasury().await.unwrap().deposits_in_doubt);
    alice.pay(bob.account(), amount(50)).await.unwrap();

    let statement = office.deposits(50, None).await.unwrap();
    let line = &statement.deposits[0];
    let missing = if from_a_copy { 200 } else { 2_200 };
    assert_eq!((statement.in_doubt, statement.corrected, statement.shortfall_minor), (true, 1, missing));
    assert_eq!(line.deposit.as_ref().unwrap().account, alice.account().to_string());
    assert_eq!(line.deposit.as_ref().unwrap().balance_minor, 100, "what arrived after the fundings");
    assert_eq!((line.debited_minor, line.shortfall_minor), (missing + if from_a_copy { 1_000 } else { 0 }, missing));

    assert_in_doubt(office.accept_deposits(0, []).await);
    let balances = [(alice.account(), amount(400))];
    assert!(office.accept_deposits(statement.statement, balances).await.unwrap());
    assert!(!office.accept_deposits(statement.statement, balances).await.unwrap());
    let bank = restart(&network, bank).await;
    assert_eq!(money_of(&alice).await, (400, 2_050), "the money that there was before");
    // What settled under an id settles under it once.
    alice.fund(amount(1_200), FUNDED).await.unwrap().settled().unwrap();
    alice.fund(amount(150), random_id()).await.unwrap().settled().unwrap();
    assert_eq!(money_of(&alice).await, (250, 2_200));
    bank.shutdown().await;
    central_bank.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_restored_from_an_older_copy_debits_what_settled_since_and_serves_no_deposit_until_accepted() {
    older_folder(1, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_with_a_partial_replica() {
    older_folder(0, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_begins_anew_in_an_empty_folder_shows_what_is_missing() {
    older_folder(1, false).await;
}
