//! A bank whose data folder is older than what it has done since: what the chain tells is booked from it, and no
//! deposit is shown or moved until the back office has settled what only the bank knew.

use std::path::PathBuf;

use crate::customers::{BANK, head, open};
use crate::running::{bank_config, central_bank_config, copy_folder, until};
use cbdc_client::{
    AccountId, Amount, BankId, ClientError, MemberId, NodeName, Role, SigningKey, SubmissionStatus, Wallet, random_id,
};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::Reason;
use cbdc_ledger::command::{IssuanceKind, Payment, PaymentKind, Record};
use cbdc_proto::convert::payment_to_message;
use cbdc_proto::status::refusal_of;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use tonic::Status;

const FUNDED: [u8; 16] = [9; 16];

fn amount(minor: u64) -> Amount {
    Amount::from_minor(minor)
}

fn assert_refused<T: std::fmt::Debug>(answer: Result<T, ClientError>, reason: Reason) {
    match answer {
        Err(ClientError::Refused(refusal)) if refusal.reason() == reason => {}
        other => panic!("expected {reason}, found {other:?}"),
    }
}

fn assert_in_doubt<T: std::fmt::Debug>(answer: Result<T, ClientError>) {
    assert_refused(answer, Reason::DepositsInDoubt);
}

async fn restart(network: &Network, bank: cbdc_bank::Node) -> cbdc_bank::Node {
    bank.shutdown().await;
    cbdc_bank::start(bank_config(network, 1)).await.unwrap()
}

/// The customer's money: on the deposit, and in the wallet.
async fn money_of(wallet: &Wallet) -> (u64, u64) {
    (wallet.deposit().await.unwrap().balance_minor, wallet.balance().await.unwrap().available.minor())
}

/// The token of the page that begins with a statement's first line.
fn line_token(statement: &v1::ListDepositsResponse) -> String {
    let account: AccountId = statement.deposits[0].deposit.as_ref().unwrap().account.parse().unwrap();
    account.to_u64().to_string()
}

/// What the last of several requests names as missing is not set without it.
async fn accepts_balances_from_several_requests_only_whole(
    network: &Network,
    statement: u64,
    [alice, bob]: [AccountId; 2],
) {
    let office = network.connect_member(Role::Bank, MemberId(BANK.0), NodeName::Bank(BANK)).unwrap();
    let mut office = BankClient::new(office.channel());
    let mut ask = async |account: AccountId, balance_minor: u64, more: bool, balances_total: u64| {
        let balances = vec![v1::DepositBalance { account: account.to_string(), balance_minor }];
        let request = v1::AcceptDepositsRequest { statement, balances, more, balances_total };
        office.accept_deposits(request).await.map(|answer| answer.into_inner())
    };
    for _ in 0..2 {
        let kept = ask(alice, 400, true, 0).await.unwrap();
        assert_eq!((kept.accepted, kept.kept), (false, 1));
    }
    let refused = ask(bob, 1, false, 3).await.unwrap_err();
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::Malformed, "{refused:?}");
    let forgotten = ask(bob, 1, false, 2).await.unwrap_err();
    assert_eq!(refusal_of(&forgotten).unwrap().reason, Reason::Malformed, "{forgotten:?}");
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
    // Calls made before the bank has caught up wait until it has.
    assert_in_doubt(office.deposit(alice.account()).await);
    assert_in_doubt(office.credit_deposit(alice.account(), amount(1), random_id()).await);
    assert!(bank.height() >= height);
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
    accepts_balances_from_several_requests_only_whole(&network, statement.statement, [alice.account(), bob.account()])
        .await;
    // A page that is not the first one is no new statement; a first page is.
    office.deposits(1, Some(line_token(&statement))).await.unwrap();
    let older = statement.statement;
    let statement = office.deposits(50, None).await.unwrap();
    assert_eq!(statement.statement, older, "nothing has changed since");
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

/// A bank whose folder was copied after a stop, and that has credited and funded since. Nobody runs.
struct Outdated {
    network: Network,
    folder: tempfile::TempDir,
    account: AccountId,
}

impl Outdated {
    const CREDITED: u64 = 2_000;
    const FUNDED_SINCE: u64 = 600;

    async fn create(banks: u16) -> Outdated {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec {
            ports: Ports::Free,
            banks,
            full_replicas: banks,
            automatic_operator: true,
            ..NetworkSpec::default()
        };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        let central_bank = cbdc_central_bank::start(central_bank_config(&network)).await.unwrap();
        let mut others = Vec::new();
        for other in 2..=banks {
            others.push(cbdc_bank::start(bank_config(&network, other)).await.unwrap());
        }
        let bank = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
        let office = network.bank_office(BANK).unwrap();
        office.request_issuance(IssuanceKind::Issue, amount(100_000), random_id()).await.unwrap();
        let alice = open(&network, 10).await;
        let account = alice.account();
        office.credit_deposit(account, amount(Self::CREDITED), random_id()).await.unwrap();
        bank.shutdown().await;
        copy_folder(&bank_config(&network, 1).data_dir, &folder.path().join("older"));

        let bank = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
        alice.fund(amount(Self::FUNDED_SINCE), random_id()).await.unwrap().settled().unwrap();
        until("the others follow", || others.iter().all(|other| other.height() == bank.height())).await;
        bank.shutdown().await;
        for other in others {
            other.shutdown().await;
        }
        central_bank.shutdown().await;
        Outdated { network, folder, account }
    }

    fn data(&self) -> PathBuf {
        bank_config(&self.network, 1).data_dir
    }

    /// Puts the older copy in the folder's place.
    fn restore(&self) {
        std::fs::remove_dir_all(self.data()).unwrap();
        copy_folder(&self.folder.path().join("older"), &self.data());
    }

    async fn start(&self) -> cbdc_bank::Node {
        cbdc_bank::start(bank_config(&self.network, 1)).await.unwrap()
    }

    /// The deposit's balance, as the back office is told.
    async fn balance(&self) -> Result<u64, ClientError> {
        let deposit = self.network.bank_office(BANK).unwrap().deposit(self.account).await;
        deposit.map(|deposit| deposit.balance_minor)
    }

    async fn credit(&self) -> Result<u64, ClientError> {
        let office = self.network.bank_office(BANK).unwrap();
        let deposit = office.credit_deposit(self.account, amount(1), random_id()).await;
        deposit.map(|deposit| deposit.balance_minor)
    }

    /// The refusal of a payment whose number is out of the window. The bank knows that no copy of it may settle unless
    /// it may have sent some.
    async fn refusal(&self) -> Status {
        let payment = Payment {
            kind: PaymentKind::Transfer,
            head: head(500),
            from: self.account,
            to: AccountId::new(BANK, 999),
            amount: amount(1),
            max_fee: Amount::ZERO,
            reference: [0; 16],
        };
        let payment = payment.sign(self.network.anchor().network(), &SigningKey::from_seed([10; 32]));
        let request =
            v1::SubmitTransferRequest { payment: Some(payment_to_message(&payment)), accept_when_unreachable: false };
        let mut client = BankClient::new(self.network.connect_customer(BANK).unwrap().channel());
        client.submit_transfer(request).await.unwrap_err()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_to_ask_a_bank_goes_on_in_the_folder_in_which_it_stopped_and_in_no_copy_of_it() {
    let outdated = Outdated::create(1).await;
    let left = Outdated::CREDITED - Outdated::FUNDED_SINCE;
    for _ in 0..2 {
        let bank = outdated.start().await;
        assert_eq!(outdated.balance().await.unwrap(), left);
        bank.shutdown().await;
    }
    // The copy was made after an orderly stop as well.
    outdated.restore();
    let bank = outdated.start().await;
    assert_refused(outdated.balance().await, Reason::CatchingUp);
    assert_refused(outdated.credit().await, Reason::CatchingUp);
    let office = outdated.network.bank_office(BANK).unwrap();
    let statement = office.deposits(50, None).await.unwrap().statement;
    assert_refused(office.accept_deposits(statement, []).await, Reason::CatchingUp);

    let central_bank = cbdc_central_bank::start(central_bank_config(&outdated.network)).await.unwrap();
    until("the bank has the chain again", || bank.height() == central_bank.height()).await;
    assert_in_doubt(outdated.balance().await);
    assert_in_doubt(outdated.credit().await);
    bank.shutdown().await;
    central_bank.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_names_the_head_that_a_bank_has_to_reach_while_the_central_bank_is_away() {
    let outdated = Outdated::create(2).await;
    let peer = cbdc_bank::start(bank_config(&outdated.network, 2)).await.unwrap();
    let start = async || {
        let mut config = bank_config(&outdated.network, 1);
        config.peers = vec![outdated.network.address(NodeName::Bank(BankId(2))).unwrap().to_owned()];
        cbdc_bank::start(config).await.unwrap()
    };
    // As after a crash: there is no mark.
    std::fs::remove_file(outdated.data().join("STOPPED")).unwrap();
    let bank = start().await;
    assert_eq!(outdated.balance().await.unwrap(), Outdated::CREDITED - Outdated::FUNDED_SINCE);
    bank.shutdown().await;
    outdated.restore();
    let bank = start().await;
    assert_in_doubt(outdated.balance().await);
    bank.shutdown().await;
    peer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_known_after_a_stop_and_neither_from_a_copy_nor_in_an_empty_folder() {
    let outdated = Outdated::create(1).await;
    let central_bank = cbdc_central_bank::start(central_bank_config(&outdated.network)).await.unwrap();
    let bank = outdated.start().await;
    let refused = outdated.refusal().await;
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::SequenceOutOfWindow, "{refused:?}");
    bank.shutdown().await;

    outdated.restore();
    let bank = outdated.start().await;
    assert_in_doubt(outdated.balance().await);
    let refused = outdated.refusal().await;
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::Unavailable, "{refused:?}");
    bank.shutdown().await;

    std::fs::remove_dir_all(outdated.data()).unwrap();
    cbdc_bank::prepare_data_folder(&bank_config(&outdated.network, 1), false).unwrap();
    let bank = outdated.start().await;
    assert_in_doubt(outdated.balance().await);
    let refused = outdated.refusal().await;
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::Unavailable, "{refused:?}");
    bank.shutdown().await;
    central_bank.shutdown().await;
}
