//! The deposit service on a store that crashes and fails.

use std::sync::Arc;

use cbdc_ledger::command::{DesignateWallet, FLAG_REVERSE_WATERFALL, Head};
use cbdc_ledger::genesis::{DayCount, NetworkId, opening_books};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::outcome::Charges;
use cbdc_ledger::policy::Parameters;
use cbdc_ledger::{BankId, FormatVersion, Genesis, Ledger, MemberId, SigningKey};
use cbdc_node::LedgerHandle;
use cbdc_storage::{Fault, MemoryStore};

use super::*;

const BANK: BankId = BankId(1);
const REQUEST: RequestId = [7; 16];

impl DepositService {
    fn deposit(&self, account: AccountId) -> Deposit {
        self.lock().deposits.get(account)
    }
}

fn account() -> AccountId {
    AccountId::new(BANK, 1)
}

fn amount(minor: u64) -> Amount {
    Amount::from_minor(minor)
}

fn key() -> SigningKey {
    SigningKey::from_seed([4; 32])
}

fn ledger() -> LedgerHandle {
    let roles = [Role::CentralBank, Role::Committee, Role::Operator, Role::Bank, Role::Registrar];
    let member = |role: Role| Member {
        role,
        id: MemberId(1),
        name: role.name().to_owned(),
        signing_key: SigningKey::from_seed([role as u8; 32]).public_key(),
        node_key: None,
    };
    let genesis = Genesis {
        format: FormatVersion::NEWEST,
        currency: *b"XTS",
        currency_exponent: 2,
        day_count: DayCount::Actual365,
        day_offset_minutes: 0,
        created_at: Timestamp(1_000),
        validity_ms_max: 86_400_000,
        header_signatures: 1,
        threshold: 1,
        members: roles.map(member).to_vec(),
        books: opening_books([(BANK, amount(1_000))], amount(0), amount(0)).unwrap(),
        policy: Parameters::default(),
    };
    LedgerHandle::new(Ledger::new(genesis).unwrap())
}

/// A deposit service with its writer thread, as the node starts it on this store.
fn open(store: &Arc<MemoryStore>) -> Arc<DepositService> {
    let signer = Arc::new(BankSigner::new(BANK, Arc::new(key()), ledger()));
    let store: Arc<dyn Store> = store.clone();
    let tip = (Height(0), Timestamp(1_000));
    let started = FolderAtStart { is_continued: true, is_empty: false, started_at: wall_clock() };
    open_in(store, signer, tip, started)
}

fn open_in(
    store: Arc<dyn Store>,
    signer: Arc<BankSigner>,
    tip: (Height, Timestamp),
    started: FolderAtStart,
) -> Arc<DepositService> {
    let (unanswered, metrics) = (Arc::new(Unanswered::new(BANK, Timestamp(0))), Arc::new(Metrics::register(BANK)));
    let (service, writer) = DepositService::load(store, signer, tip, (started, unanswered), metrics).unwrap();
    let write = async move || writer.run().await.expect("the store works");
    cbdc_environment::thread::thread("deposits", write).unwrap();
    service
}

/// The store as a killed process leaves it.
fn crash(store: &Arc<MemoryStore>, service: Arc<DepositService>) -> Arc<DepositService> {
    drop(service);
    store.crash();
    open(store)
}

async fn credited(store: &Arc<MemoryStore>, minor: u64) -> Arc<DepositService> {
    let service = open(store);
    service.credit([1; 16], account(), amount(minor)).await.unwrap();
    service
}

async fn begin(service: &DepositService, minor: u64) -> oneshot::Receiver<Release> {
    match service.fund(REQUEST, account(), amount(minor), true).await.unwrap() {
        FundingState::InTransit(released) => released,
        FundingState::OrderedOutcome(ordered) => panic!("expected a funding in transit, found {ordered:?}"),
    }
}

fn sent(service: &DepositService) -> (OutboxKey, Bytes) {
    let due = service.due(10);
    assert_eq!(due.len(), 1);
    due[0].clone()
}

fn ordered(outcome: Outcome) -> OrderedOutcome {
    OrderedOutcome { height: Height(1), index: 0, outcome }
}

/// The outcome of a topped-up payment.
fn drew(minor: u64) -> Outcome {
    Outcome::paid(Charges { reverse_waterfall: amount(minor), ..Charges::default() })
}

/// A block in which `command` used the bank's first number.
fn follow(service: &DepositService, command: &Bytes, outcome: Outcome) {
    let effect = Effect::OwnSequenceUsed { sequence: 1, command: command.clone(), ordered: ordered(outcome) };
    service.follow_block(WriteBatch::new(), &[effect], (Height(1), Timestamp(2_000))).unwrap();
}

fn deposit(balance: u64, in_transit: u64) -> Deposit {
    Deposit { balance: amount(balance), in_transit: amount(in_transit) }
}

#[tokio::test]
async fn a_debit_and_its_command_survive_a_crash_together() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    begin(&service, 40).await;
    let (_, command) = sent(&service);

    let service = crash(&store, service);
    assert_eq!(service.deposit(account()), deposit(60, 40));
    assert_eq!(sent(&service).1, command);

    let released = begin(&service, 40).await;
    assert_eq!(service.outbox_len(), 1);
    follow(&service, &command, Outcome::settled());
    assert_eq!(released.await.unwrap(), Release::Ordered(ordered(Outcome::settled())));
    assert_eq!(service.deposit(account()), deposit(60, 0));
    let again = service.fund(REQUEST, account(), amount(40), false).await.unwrap();
    assert!(matches!(again, FundingState::OrderedOutcome(found) if found == ordered(Outcome::settled())));
}

#[tokio::test]
async fn an_outcome_that_a_crash_lost_is_booked_again_and_only_once() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    begin(&service, 40).await;
    let (_, command) = sent(&service);
    let defunded = Effect::Arrived { account: account(), amount: amount(5) };
    follow(&service, &command, Outcome::settled());
    service.follow_block(WriteBatch::new(), std::slice::from_ref(&defunded), (Height(2), Timestamp(2_000))).unwrap();
    assert_eq!(service.deposit(account()), deposit(65, 0));

    let service = crash(&store, service);
    assert_eq!(service.deposit(account()), deposit(60, 40));
    follow(&service, &command, Outcome::settled());
    service.follow_block(WriteBatch::new(), &[defunded], (Height(2), Timestamp(2_000))).unwrap();
    assert_eq!((service.deposit(account()), service.outbox_len()), (deposit(65, 0), 0));
}

#[tokio::test]
async fn a_refused_funding_is_back_on_the_deposit() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    begin(&service, 40).await;
    let refusal = Outcome::refused(Reason::HoldingLimit, 30, 40);
    follow(&service, &sent(&service).1, refusal);
    assert_eq!(service.deposit(account()), deposit(100, 0));
    let again = service.fund(REQUEST, account(), amount(40), true).await.unwrap();
    assert!(matches!(again, FundingState::OrderedOutcome(found) if found.outcome == refusal));
}

#[tokio::test]
async fn a_funding_whose_number_another_record_used_is_given_back_and_may_begin_anew() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    let released = begin(&service, 40).await;
    follow(&service, &Bytes::from_static(b"another record"), Outcome::settled());
    assert_eq!(released.await.unwrap(), Release::GivenBack(Reason::SequenceConflict));
    assert_eq!((service.deposit(account()), service.outbox_len()), (deposit(100, 0), 0));
    begin(&service, 40).await;
    assert_eq!(service.deposit(account()), deposit(60, 40));
}

#[tokio::test]
async fn what_expires_on_the_chain_is_given_back() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    let released = begin(&service, 40).await;
    assert!(service.expired().is_empty());
    service.follow_block(WriteBatch::new(), &[], (Height(1), Timestamp(u64::MAX))).unwrap();
    let expired = service.expired();
    assert_eq!(expired, [OutboxKey::Own { sequence: 1 }]);
    service.give_back(expired[0], Reason::Expired).await;
    assert_eq!(released.await.unwrap(), Release::GivenBack(Reason::Expired));
    assert_eq!(service.deposit(account()), deposit(100, 0));
}

#[tokio::test]
async fn a_repeated_request_acts_once_and_another_one_under_its_name_is_refused() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    assert_eq!(service.credit([1; 16], account(), amount(100)).await, Ok(deposit(100, 0)));
    let other = service.credit([1; 16], account(), amount(101)).await.unwrap_err();
    assert_eq!(other.reason, Reason::RequestConflict);
    let both = tokio::join!(begin(&service, 40), begin(&service, 40));
    drop(both);
    assert_eq!((service.deposit(account()), service.outbox_len()), (deposit(60, 40), 1));
    let other = service.fund(REQUEST, account(), amount(41), true).await.unwrap_err();
    assert_eq!(other.reason, Reason::RequestConflict);
}

#[tokio::test]
async fn many_requests_at_once_share_a_sync() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 10_000).await;
    let before = store.sync_count();
    let requests = (0..500_u16).map(|number| {
        let mut request = [9; 16];
        request[..2].copy_from_slice(&number.to_le_bytes());
        service.fund(request, account(), amount(1), true)
    });
    let begun = futures::future::join_all(requests).await;
    assert!(begun.iter().all(Result::is_ok));
    assert_eq!(service.deposit(account()), deposit(9_500, 500));
    let syncs = store.sync_count() - before;
    assert!((1..250).contains(&syncs), "500 requests took {syncs} syncs");
}

#[tokio::test]
async fn after_a_failed_write_debit_and_command_are_both_there_or_neither_is() {
    for (fault, left, commands) in [(Fault::Io, deposit(100, 0), 0), (Fault::IoAfterWriting, deposit(60, 40), 1)] {
        let store = Arc::new(MemoryStore::new());
        let service = credited(&store, 100).await;
        store.fail_next_write(fault);
        let failed = service.fund(REQUEST, account(), amount(40), true).await.unwrap_err();
        assert_eq!(failed.reason, Reason::Unavailable);
        let service = crash(&store, service);
        assert_eq!((service.deposit(account()), service.outbox_len()), (left, commands), "{fault:?}");
    }
}

const OTHER_BANK: BankId = BankId(2);

/// A transfer that its payer allows the bank to top up, with the payer's number.
fn transfer(payer: AccountId, minor: u64, sequence: u64) -> Signed<Payment> {
    let valid_until = Timestamp(u64::MAX / 2);
    let head = Head { flags: FLAG_REVERSE_WATERFALL, key_version: 0, sequence, valid_until };
    let (kind, to) = (PaymentKind::Transfer, AccountId::new(BANK, 99));
    Payment { kind, head, from: payer, to, amount: amount(minor), max_fee: Amount::ZERO, reference: [0; 16] }
        .sign(NetworkId([0; 32]), &key())
}

fn topping_up(transfer: Signed<Payment>) -> TopUp {
    TopUp { transfer, wanted: transfer.record.amount, may_begin: true }
}

/// A block of these commands, with its waterfalls.
fn block(service: &DepositService, commands: &[(Bytes, Outcome)], moved: &[DepositMovement]) {
    let mut effects = Vec::new();
    for (index, (bytes, outcome)) in (0..).zip(commands) {
        let ordered = OrderedOutcome { height: Height(1), index, outcome: *outcome };
        let command = Command::from_bytes(bytes).unwrap();
        effects_of(BANK, &command, || bytes.clone(), ordered, service.watches_holders(), &mut effects);
    }
    arrivals_of(BANK, moved, &mut effects);
    service.follow_block(WriteBatch::new(), &effects, (Height(1), Timestamp(2_000))).unwrap();
}

fn movement(bank: BankId, wallet: AccountId, minor: u64, direction: DepositDirection) -> DepositMovement {
    DepositMovement { index: 0, bank, wallet, amount: amount(minor), direction }
}

#[tokio::test]
async fn a_waterfall_arrives_on_the_deposit_at_the_linked_bank_once_over_a_crash() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    let linked = AccountId::new(OTHER_BANK, 1);
    let moved = [
        movement(BANK, account(), 30, DepositDirection::ToDeposit),
        movement(BANK, linked, 7, DepositDirection::ToDeposit),
        movement(OTHER_BANK, account(), 500, DepositDirection::ToDeposit),
        // Debited when it was promised.
        movement(BANK, account(), 600, DepositDirection::FromDeposit),
    ];
    block(&service, &[], &moved);
    let deposits = |service: &DepositService| (service.deposit(account()), service.deposit(linked), service.totals());
    assert_eq!(deposits(&service), (deposit(130, 0), deposit(7, 0), (137, 0)));
    assert!(service.has_linked_deposit(linked));

    // Block and movements were one write, which the crash lost: the block comes again.
    let service = crash(&store, service);
    assert_eq!(deposits(&service), (deposit(100, 0), deposit(0, 0), (100, 0)));
    block(&service, &[], &moved);
    assert_eq!(deposits(&service), (deposit(130, 0), deposit(7, 0), (137, 0)));
}

#[tokio::test]
async fn a_promise_and_its_command_survive_a_crash_together_and_only_what_was_drawn_leaves() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    let payment = transfer(account(), 80, 5);
    drop(service.top_up(topping_up(payment)).await.unwrap());
    let (_, command) = sent(&service);

    let service = crash(&store, service);
    assert_eq!((service.deposit(account()), service.watches_holders()), (deposit(20, 80), true));
    assert_eq!(sent(&service).1, command);

    // The same payment waits for the same promise, even if no new one may be made.
    let again = TopUp { may_begin: false, ..topping_up(payment) };
    let released = service.top_up(again.clone()).await.unwrap();
    assert_eq!((service.deposit(account()), service.outbox_len()), (deposit(20, 80), 1));
    let outcome = drew(30);
    block(&service, &[(command, outcome)], &[movement(BANK, account(), 30, DepositDirection::FromDeposit)]);
    assert_eq!(released.await.unwrap(), Release::Ordered(ordered(outcome)));
    assert_eq!(
        (service.deposit(account()), service.outbox_len(), service.watches_holders()),
        (deposit(70, 0), 0, false)
    );
    assert_eq!(service.top_up(again).await.unwrap_err().reason, Reason::Unavailable);
}

#[tokio::test]
async fn a_refused_top_up_is_back_on_the_deposit_whole() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    let released = service.top_up(topping_up(transfer(account(), 80, 5))).await.unwrap();
    let refusal = Outcome::refused(Reason::HoldingLimit, 30, 40);
    block(&service, &[(sent(&service).1, refusal)], &[]);
    assert_eq!(released.await.unwrap(), Release::Ordered(ordered(refusal)));
    assert_eq!((service.deposit(account()), service.outbox_len()), (deposit(100, 0), 0));
}

#[tokio::test]
async fn a_promise_goes_no_further_than_the_deposit_and_one_number_is_topped_up_once() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    let _released = service.top_up(topping_up(transfer(account(), 800, 5))).await.unwrap();
    assert_eq!(service.deposit(account()), deposit(0, 100));
    let other = service.top_up(topping_up(transfer(account(), 801, 5))).await.unwrap_err();
    assert_eq!(other.reason, Reason::SequenceConflict);
}

#[tokio::test]
async fn a_top_up_whose_payer_used_the_number_otherwise_is_given_back_and_its_own_number_is_free() {
    let head = Head { sequence: 5, ..Head::default() };
    let designate = DesignateWallet { head, account: account() }.sign(NetworkId([0; 32]), &key());
    let plain = transfer(account(), 80, 5);
    for used_by in [designate.to_bytes(), plain.to_bytes()] {
        let store = Arc::new(MemoryStore::new());
        let service = credited(&store, 100).await;
        let released = service.top_up(topping_up(plain)).await.unwrap();
        let refused_before_ordering = Outcome::refused(Reason::SequenceUsed, 0, 0);
        block(&service, &[(sent(&service).1, refused_before_ordering)], &[]);
        assert_eq!(service.deposit(account()), deposit(20, 80), "what used no number says nothing");
        block(&service, &[(used_by.into(), Outcome::settled())], &[]);
        assert_eq!(released.await.unwrap(), Release::GivenBack(Reason::SequenceUsed));
        assert_eq!((service.deposit(account()), service.watches_holders()), (deposit(100, 0), false));
        let _released = service.top_up(topping_up(transfer(account(), 80, 6))).await.unwrap();
        let again: Vec<_> = service.due(10).into_iter().map(|(key, _)| key).collect();
        assert_eq!(again, [OutboxKey::Own { sequence: 1 }]);
    }
}

#[tokio::test]
async fn an_accepted_payment_that_was_topped_up_meanwhile_has_settled() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    // The ledger here has no wallet, so only payments of zero are accepted.
    let beyond = service.accept(transfer(account(), 1, 6)).await.unwrap_err();
    assert_eq!(beyond, Outcome::refused(Reason::NotAccepted, 0, 1));
    let payment = transfer(account(), 0, 5);
    service.accept(payment).await.unwrap();
    let topped_up = service.top_up(TopUp { wanted: amount(80), ..topping_up(payment) }).await.unwrap();
    let due = service.due(10);
    let (_, order) = due.iter().find(|(key, _)| matches!(key, OutboxKey::Own { .. })).unwrap();
    block(&service, &[(order.clone(), drew(30))], &[]);
    assert_eq!(topped_up.await.unwrap(), Release::Ordered(ordered(drew(30))));
    assert_eq!(
        (service.deposit(account()), service.outbox_len(), service.watches_holders()),
        (deposit(70, 0), 0, false)
    );
}

#[tokio::test]
async fn after_a_failed_write_promise_and_command_are_both_there_or_neither_is() {
    for (fault, left, commands) in [(Fault::Io, deposit(100, 0), 0), (Fault::IoAfterWriting, deposit(20, 80), 1)] {
        let store = Arc::new(MemoryStore::new());
        let service = credited(&store, 100).await;
        store.fail_next_write(fault);
        let failed = service.top_up(topping_up(transfer(account(), 80, 5))).await.unwrap_err();
        assert_eq!(failed.reason, Reason::Unavailable);
        let service = crash(&store, service);
        assert_eq!((service.deposit(account()), service.outbox_len()), (left, commands), "{fault:?}");
    }
}

/// A funding of this bank's that it made on another data folder.
fn funding_elsewhere(request: RequestId, minor: u64, sequence: u64) -> Bytes {
    let head = Head { flags: 0, key_version: 0, sequence, valid_until: Timestamp(5_000) };
    let (kind, from, to) = (PaymentKind::Fund, AccountId::treasury(BANK), account());
    Payment { kind, head, from, to, amount: amount(minor), max_fee: Amount::ZERO, reference: request }
        .sign(NetworkId([0; 32]), &key())
        .to_bytes()
        .into()
}

/// What the chain has corrected of the account: debited, shortfall; and the number of the statement.
fn corrected(service: &DepositService) -> (u64, u64, u64) {
    let page = service.statement(0, 10).unwrap();
    let (_, _, found) = page.deposits.iter().find(|(found, ..)| *found == account()).unwrap();
    (found.debited.minor(), found.shortfall.minor(), page.revision)
}

#[tokio::test]
async fn a_settled_funding_that_the_book_does_not_know_is_debited_and_puts_deposits_in_doubt() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    let refusal = Outcome::refused(Reason::HoldingLimit, 1, 2);
    block(&service, &[(funding_elsewhere([8; 16], 30, 1), refusal)], &[]);
    assert!(!service.deposits_in_doubt(), "a refused one took nothing from the deposit");
    block(&service, &[(funding_elsewhere([9; 16], 70, 2), Outcome::settled())], &[]);
    assert_eq!((service.deposit(account()), service.deposits_in_doubt()), (deposit(30, 0), true));
    block(&service, &[(funding_elsewhere([10; 16], 50, 3), Outcome::settled())], &[]);
    assert_eq!(service.deposit(account()), deposit(0, 0));
    let (debited, shortfall, _) = corrected(&service);
    assert_eq!((debited, shortfall), (120, 20));
    // Its request finds its outcome.
    let again = service.fund([9; 16], account(), amount(70), true).await.unwrap();
    assert!(matches!(again, FundingState::OrderedOutcome(found) if found.outcome.is_settled()), "{again:?}");
}

#[tokio::test]
async fn a_settled_top_up_that_the_book_does_not_know_debits_what_it_drew() {
    let made = credited(&Arc::new(MemoryStore::new()), 100).await;
    let _released = made.top_up(topping_up(transfer(account(), 80, 5))).await.unwrap();
    let service = credited(&Arc::new(MemoryStore::new()), 100).await;
    block(&service, &[(sent(&made).1, drew(30))], &[movement(BANK, account(), 30, DepositDirection::FromDeposit)]);
    assert_eq!((service.deposit(account()), service.deposits_in_doubt()), (deposit(70, 0), true));
    assert_eq!(corrected(&service).0, 30);
}

#[tokio::test]
async fn a_request_that_was_signed_again_elsewhere_is_debited_once() {
    let service = credited(&Arc::new(MemoryStore::new()), 100).await;
    let released = begin(&service, 40).await;
    let (_, first) = sent(&service);
    // The first record was given back there, and the request signed again with another number.
    block(&service, &[(funding_elsewhere(REQUEST, 40, 2), Outcome::settled())], &[]);
    assert_eq!(released.await.unwrap(), Release::GivenBack(Reason::SequenceUsed));
    assert_eq!((service.deposit(account()), service.outbox_len()), (deposit(60, 0), 0));
    let again = service.fund(REQUEST, account(), amount(40), true).await.unwrap();
    assert!(matches!(again, FundingState::OrderedOutcome(found) if found.outcome.is_settled()), "{again:?}");
    // Should the first record settle against all expectation, its money has left the deposit as well.
    block(&service, &[(first, Outcome::settled())], &[]);
    assert_eq!(service.deposit(account()), deposit(20, 0));
}

#[tokio::test]
async fn a_number_that_another_funding_used_gives_back_the_one_and_debits_the_other() {
    let service = credited(&Arc::new(MemoryStore::new()), 100).await;
    let _released = begin(&service, 40).await;
    block(&service, &[(funding_elsewhere([8; 16], 25, 1), Outcome::settled())], &[]);
    assert_eq!((service.deposit(account()), service.outbox_len()), (deposit(75, 0), 0));
}

#[tokio::test]
async fn what_this_folder_gave_back_and_what_it_booked_is_not_debited_again() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    let released = begin(&service, 40).await;
    let (key, _) = sent(&service);
    service.give_back(key, Reason::Expired).await;
    assert_eq!(released.await.unwrap(), Release::GivenBack(Reason::Expired));
    let _released = begin(&service, 40).await;
    let (_, command) = sent(&service);
    follow(&service, &command, Outcome::settled());
    assert_eq!((service.deposit(account()), service.deposits_in_doubt()), (deposit(60, 0), false));
}

#[tokio::test]
async fn deposits_in_doubt_move_for_nobody_until_they_are_accepted_as_they_are_stated() {
    let store = Arc::new(MemoryStore::new());
    let service = credited(&store, 100).await;
    block(&service, &[(funding_elsewhere([9; 16], 150, 1), Outcome::settled())], &[]);
    let in_doubt = |refused: Outcome| assert_eq!(refused.reason, Reason::DepositsInDoubt);
    in_doubt(service.credit([1; 16], account(), amount(100)).await.unwrap_err());
    in_doubt(service.credit([2; 16], account(), amount(1)).await.unwrap_err());
    in_doubt(service.fund([3; 16], account(), amount(1), true).await.unwrap_err());
    in_doubt(service.top_up(topping_up(transfer(account(), 80, 5))).await.unwrap_err());
    in_doubt(service.certain_deposit(account()).await.unwrap_err());
    in_doubt(service.certain_totals().await.unwrap_err());
    let (debited, shortfall, statement) = corrected(&service);
    assert_eq!((debited, shortfall, service.outbox_len()), (150, 50, 0));

    // A defund arrives meanwhile: what is set was not compared with it.
    block(&service, &[], &[movement(BANK, account(), 10, DepositDirection::ToDeposit)]);
    in_doubt(service.accept_deposits(statement, vec![(account(), amount(7))]).await.unwrap_err());
    for never_shown in [0, statement - 1, statement + 1] {
        in_doubt(service.accept_deposits(never_shown, vec![]).await.unwrap_err());
    }
    assert_eq!((service.deposit(account()), service.deposits_in_doubt()), (deposit(10, 0), true));

    let (.., statement) = corrected(&service);
    assert_eq!(service.accept_deposits(statement, vec![(account(), amount(17))]).await, Ok(true));
    let service = crash(&store, service);
    assert_eq!(service.certain_deposit(account()).await, Ok(deposit(17, 0)));
    assert_eq!(service.accept_deposits(statement, vec![(account(), amount(99))]).await, Ok(false));
    assert_eq!(service.credit([2; 16], account(), amount(1)).await, Ok(deposit(18, 0)));
    let (debited, shortfall, _) = corrected(&service);
    assert_eq!((debited, shortfall), (0, 0));
}

#[tokio::test]
async fn a_command_that_went_through_this_bank_before_its_folder_was_begun_puts_deposits_in_doubt() {
    let store = Arc::new(MemoryStore::new());
    let service = open(&store);
    assert!(service.searches_for_life(Timestamp(100_000)) && !service.searches_for_life(wall_clock()));
    let effect = Effect::RanElsewhere { height: Height(1) };
    service.follow_block(WriteBatch::new(), &[effect], (Height(1), Timestamp(100_000))).unwrap();
    assert!(service.deposits_in_doubt() && !service.searches_for_life(Timestamp(100_000)));
    // Nothing was corrected, and nothing is to be set: but a statement that nobody has seen is still not accepted.
    for never_shown in 0..4 {
        let refused = service.accept_deposits(never_shown, vec![]).await.unwrap_err();
        assert_eq!(refused.reason, Reason::DepositsInDoubt);
    }
    let page = service.statement(0, 10).unwrap();
    assert_eq!((page.since, page.corrected), (Some(Height(1)), (0, 0)));
    assert_eq!(service.accept_deposits(page.revision, vec![]).await, Ok(true));
    let service = crash(&store, service);
    assert!(!service.deposits_in_doubt());
}

#[tokio::test]
async fn calls_about_deposits_wait_until_the_node_has_caught_up() {
    let store = Arc::new(MemoryStore::new());
    drop(credited(&store, 100).await);
    let signer = Arc::new(BankSigner::new(BANK, Arc::new(key()), ledger()));
    let started = FolderAtStart { is_continued: false, is_empty: false, started_at: wall_clock() };
    let service = open_in(store.clone(), signer, (Height(0), Timestamp(1_000)), started);
    service.head_named(Height(2), HeadSource::CentralBank);
    let asked = {
        let service = service.clone();
        tokio::spawn(async move { service.certain_deposit(account()).await })
    };
    tokio::task::yield_now().await;
    block(&service, &[], &[]);
    assert!(!asked.is_finished());
    let page = service.statement(0, 10).unwrap();
    assert_eq!(page.catching_up_to, Some(Height(2)));
    service.follow_block(WriteBatch::new(), &[], (Height(2), Timestamp(2_000))).unwrap();
    assert_eq!(asked.await.unwrap(), Ok(deposit(100, 0)));
    assert_eq!(service.statement(0, 10).unwrap().catching_up_to, None);
}
