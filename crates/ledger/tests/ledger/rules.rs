//! One test per rule of the specification: what it refuses, with which reason, and at which value.

use crate::model;
use crate::model::network::{
    DAY_MS, HOUR_MS, Network, RESERVES, START, account, amount, batch_seed, holder, key, member, proposal, unsigned,
};
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::books::BookAccount;
use cbdc_ledger::command::{
    Ballot, Choice, FreezeKind, GovernanceAction, GovernanceProposal, Head, IssuanceKind, OpenWallet, Payment,
    ReplaceKey, Signer,
};
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::governance::ProposalStatus;
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::PolicyChange;
use cbdc_ledger::verification::verify_batches;
use cbdc_ledger::{AccountId, BankId, Class, Command, Genesis, MemberId, Outcome, Reason, Timestamp, VerifiedProposal};
use cbdc_signatures::Trust;

fn refused(reason: Reason, limit: u64, amount: u64) -> Outcome {
    Outcome::refused(reason, limit, amount)
}

fn holding_limit(minor: u64) -> GovernanceAction {
    GovernanceAction::Policy(PolicyChange::HoldingLimit { class: Class::HOUSEHOLD, limit: Some(amount(minor)) })
}

fn day_limit(minor: u64) -> GovernanceAction {
    GovernanceAction::Policy(PolicyChange::DayLimit { class: Class::HOUSEHOLD, limit: Some(amount(minor)) })
}

/// Two holders at two banks, the first with 1,000.
fn alice_and_bob() -> (Network, AccountId, AccountId) {
    let mut network = Network::build(|_| {});
    let alice = network.open(1, "alice", Class::HOUSEHOLD);
    let bob = network.open(2, "bob", Class::HOUSEHOLD);
    network.fund(alice, 1_000);
    (network, alice, bob)
}

// Limits on a holder.

#[test]
fn the_holding_limit_counts_a_holders_wallets_at_all_banks() {
    let (mut network, alice, bob) = alice_and_bob();
    let bob_elsewhere = network.open(1, "bob", Class::HOUSEHOLD);
    network.enact(vec![holding_limit(500)]);
    for (payee, minor, expected) in [
        (bob, 300, Outcome::settled()),
        (bob_elsewhere, 201, refused(Reason::HoldingLimit, 500, 201)),
        (bob_elsewhere, 200, Outcome::settled()),
        (bob, 1, refused(Reason::HoldingLimit, 500, 1)),
    ] {
        assert_eq!(network.settle(network.transfer(alice, payee, minor)), expected, "{minor} to {payee}");
    }
    network.must_settle(network.issuance(IssuanceKind::Issue, 2, 10));
    assert_eq!(network.settle(network.funding(bob, 1)), refused(Reason::HoldingLimit, 500, 1));
    // Between the holder's own wallets nothing is added.
    network.must_settle(network.transfer(bob, bob_elsewhere, 300));
    assert_eq!(network.available(bob_elsewhere), 500);
}

#[test]
fn a_lowered_holding_limit_takes_nothing_and_lets_the_holder_spend() {
    let (mut network, alice, bob) = alice_and_bob();
    network.enact(vec![holding_limit(100)]);
    assert_eq!(network.available(alice), 1_000);
    network.must_settle(network.transfer(alice, bob, 100));
    network.must_settle(network.defunding(alice, 850));
    assert_eq!(network.settle(network.funding(alice, 51)), refused(Reason::HoldingLimit, 100, 51));
    network.must_settle(network.funding(alice, 50));
}

#[test]
fn a_holding_limit_of_one_class_does_not_bind_another() {
    let (mut network, alice, _) = alice_and_bob();
    let shop = network.open(3, "shop", Class::MERCHANT);
    network.enact(vec![holding_limit(1)]);
    network.must_settle(network.transfer(alice, shop, 1_000));
}

#[test]
fn a_days_payments_are_counted_from_midnight_to_midnight_of_the_ledger() {
    let (mut network, alice, bob) = alice_and_bob();
    let alice_elsewhere = network.open(3, "alice", Class::HOUSEHOLD);
    network.enact(vec![day_limit(100)]);
    network.now = Timestamp(START.0 + DAY_MS - 1);
    network.must_settle(network.transfer(alice, bob, 60));
    assert_eq!(network.settle(network.transfer(alice, bob, 41)), refused(Reason::DayLimit, 100, 101));
    // A refused payment, one to oneself and a defunding are no payments of the day.
    network.must_settle(network.transfer(alice, alice_elsewhere, 200));
    network.must_settle(network.defunding(alice, 200));
    network.must_settle(network.transfer(alice_elsewhere, bob, 40));
    assert_eq!(network.settle(network.transfer(alice, bob, 1)), refused(Reason::DayLimit, 100, 101));
    network.wait(1);
    network.must_settle(network.transfer(alice, bob, 100));
}

#[test]
fn the_ledger_day_turns_at_the_offset_of_genesis() {
    let mut network = Network::build(|genesis| genesis.day_offset_minutes = 60);
    let (alice, bob) = (network.open(1, "alice", Class::HOUSEHOLD), network.open(1, "bob", Class::HOUSEHOLD));
    network.fund(alice, 300);
    network.enact(vec![day_limit(100)]);
    network.now = Timestamp(START.0 + DAY_MS - HOUR_MS - 1);
    network.must_settle(network.transfer(alice, bob, 100));
    assert_eq!(network.settle(network.transfer(alice, bob, 1)), refused(Reason::DayLimit, 100, 101));
    network.wait(1);
    network.must_settle(network.transfer(alice, bob, 100));
}

#[test]
fn the_payment_limit_binds_one_payment_to_another_holder() {
    let (mut network, alice, bob) = alice_and_bob();
    let alice_elsewhere = network.open(2, "alice", Class::HOUSEHOLD);
    let limit = Some(amount(50));
    network.enact(vec![GovernanceAction::Policy(PolicyChange::PaymentLimit { class: Class::HOUSEHOLD, limit })]);
    for (payee, minor, expected) in [
        (bob, 51, refused(Reason::PaymentLimit, 50, 51)),
        (bob, 50, Outcome::settled()),
        (bob, 50, Outcome::settled()),
        (alice_elsewhere, 500, Outcome::settled()),
    ] {
        assert_eq!(network.settle(network.transfer(alice, payee, minor)), expected);
    }
}

// Admission.

#[test]
fn admission_says_before_ordering_what_settling_will_refuse_without_using_a_number() {
    let (mut network, alice, bob) = alice_and_bob();
    network.must_settle(network.transfer(alice, bob, 1));
    let head = network.head(Signer::Holder(alice));
    let (now, latest) = (network.now, network.now.plus_ms(DAY_MS));
    for (head, admission) in [
        (Head { sequence: 1, ..head }, Err(refused(Reason::SequenceUsed, 0, 0))),
        (Head { sequence: 66, ..head }, Err(refused(Reason::SequenceOutOfWindow, 2, 66))),
        (Head { key_version: 1, ..head }, Err(refused(Reason::KeyChanged, 0, 1))),
        // The key is looked at before the number, and both before the validity, whose refusal uses the number.
        (Head { key_version: 1, sequence: 1, ..head }, Err(refused(Reason::KeyChanged, 0, 1))),
        (Head { valid_until: Timestamp(now.0 - 1), ..head }, Ok(Err(refused(Reason::Expired, now.0 - 1, now.0)))),
        (
            Head { sequence: 3, valid_until: Timestamp(latest.0 + 1), ..head },
            Ok(Err(refused(Reason::ValidityTooLong, latest.0, latest.0 + 1))),
        ),
        (Head { sequence: 4, ..head }, Ok(Ok(()))),
    ] {
        let admitted = network.ledger.check_admission(Signer::Holder(alice), &head, now);
        assert_eq!(admitted.map(|admission| admission.validity), admission);
        let window = network.ledger.account(alice).unwrap().window;
        let outcome = network.settle(Payment { head, ..network.transfer(alice, bob, 1) });
        let (Err(expected) | Ok(Err(expected)) | Ok(Ok(expected))) =
            admission.map(|it| it.map(|()| Outcome::settled()));
        assert_eq!(outcome, expected);
        let is_unused = network.ledger.account(alice).unwrap().window == window;
        assert_eq!(is_unused, admission.is_err(), "{expected}");
    }
    let stranger = Signer::Holder(account(1, 99));
    let unknown = network.ledger.check_admission(stranger, &head, now);
    assert_eq!(unknown.err(), Some(refused(Reason::UnknownAccount, 0, 0)));
}

// Payments.

#[test]
fn payments_are_refused_in_a_fixed_order_with_the_rule_and_its_figures() {
    let (mut network, alice, bob) = alice_and_bob();
    let closed = network.open(2, "carol", Class::HOUSEHOLD);
    network.must_settle(network.closing(closed));
    let treasury = AccountId::treasury(BankId(1));
    for (to, minor, expected) in [
        (bob, 0, refused(Reason::AmountZero, 0, 0)),
        (alice, 1, refused(Reason::SameAccount, 0, 0)),
        (alice, 0, refused(Reason::AmountZero, 0, 0)),
        (closed, 1, refused(Reason::UnknownPayee, 0, 0)),
        (treasury, 1, refused(Reason::UnknownPayee, 0, 0)),
        (account(2, 99), 1, refused(Reason::UnknownPayee, 0, 0)),
        (account(77, 1), 1, refused(Reason::UnknownPayee, 0, 0)),
        (bob, 1_001, refused(Reason::InsufficientFunds, 1_000, 1_001)),
        (bob, 1_000, Outcome::settled()),
    ] {
        assert_eq!(network.settle(network.transfer(alice, to, minor)), expected, "{minor} to {to}");
    }
}

#[test]
fn a_bank_funds_only_its_own_customers_and_only_from_its_treasury() {
    let (mut network, alice, bob) = alice_and_bob();
    network.must_settle(network.issuance(IssuanceKind::Issue, 1, 100));
    let mut to_another = network.funding(alice, 10);
    to_another.to = bob;
    assert_eq!(network.settle(to_another), refused(Reason::WrongBank, 0, 0));
    let mut from_a_customer = network.funding(alice, 10);
    (from_a_customer.from, from_a_customer.to) = (alice, account(1, 2));
    assert_eq!(network.settle(from_a_customer), refused(Reason::WrongBank, 0, 0));
    assert_eq!(network.settle(network.funding(alice, 101)), refused(Reason::InsufficientFunds, 100, 101));
    let mut elsewhere = network.defunding(alice, 10);
    elsewhere.to = AccountId::treasury(BankId(2));
    assert_eq!(network.settle(elsewhere), refused(Reason::WrongBank, 0, 0));
}

#[test]
fn commands_that_name_no_member_or_account_are_refused_and_use_nothing() {
    let mut network = Network::build(|_| {});
    let unknown = refused(Reason::UnknownMember, 0, 0);
    assert_eq!(network.settle(network.opening(9, "alice", Class::HOUSEHOLD)), unknown);
    assert_eq!(network.settle(network.funding(account(0, 1), 1)), unknown);
    assert_eq!(network.settle(network.reserves_transfer(9, 1, 1)), unknown);
    assert_eq!(network.settle(network.reserves_transfer(1, 9, 1)), refused(Reason::BankNotActive, 0, 0));
    assert_eq!(network.settle(network.issuance(IssuanceKind::Issue, 9, 1)), unknown);
    assert_eq!(network.settle(network.closing(account(1, 7))), refused(Reason::UnknownPayee, 0, 0));
    let from_treasury = network.transfer(account(1, 0), account(1, 1), 5);
    assert_eq!(network.settle(from_treasury), refused(Reason::UnknownAccount, 0, 0));
    assert_eq!(
        network.settle(network.transfer(account(9, 1), account(1, 1), 5)),
        refused(Reason::UnknownAccount, 0, 0)
    );
}

// Sequence numbers and time.

#[test]
fn a_number_is_used_by_settling_and_by_refusal_and_never_twice() {
    let (mut network, alice, bob) = alice_and_bob();
    let payment = network.transfer(alice, bob, 10);
    network.must_settle(payment);
    assert_eq!(network.settle(payment), refused(Reason::SequenceUsed, 0, 0));
    let too_much = network.transfer(alice, bob, 5_000);
    assert_eq!(network.settle(too_much), refused(Reason::InsufficientFunds, 990, 5_000));
    assert_eq!(network.settle(too_much), refused(Reason::SequenceUsed, 0, 0), "a refusal is final");
    let twice = network.transfer(alice, bob, 1);
    assert_eq!(
        network.block(&[unsigned(twice), unsigned(twice)]).outcomes,
        [Outcome::settled(), refused(Reason::SequenceUsed, 0, 0)]
    );
}

#[test]
fn numbers_may_be_used_in_any_order_within_64_of_the_lowest_unused() {
    let (mut network, alice, bob) = alice_and_bob();
    for (number, expected) in [
        (0, refused(Reason::SequenceUsed, 0, 0)),
        (65, refused(Reason::SequenceOutOfWindow, 1, 65)),
        (64, Outcome::settled()),
        (2, Outcome::settled()),
        (66, refused(Reason::SequenceOutOfWindow, 1, 66)),
        (1, Outcome::settled()),
        (66, Outcome::settled()),
        (67, refused(Reason::SequenceOutOfWindow, 3, 67)),
        (64, refused(Reason::SequenceUsed, 0, 0)),
    ] {
        let mut payment = network.transfer(alice, bob, 1);
        payment.head.sequence = number;
        assert_eq!(network.settle(payment), expected, "number {number}");
    }
}

#[test]
fn a_record_is_valid_until_its_last_millisecond_and_at_most_as_far_ahead_as_genesis_says() {
    let (mut network, alice, bob) = alice_and_bob();
    let (now, longest) = (network.now.0, network.now.0 + DAY_MS);
    for (until, expected) in [
        (now - 1, refused(Reason::Expired, now - 1, now)),
        (now, Outcome::settled()),
        (longest, Outcome::settled()),
        (longest + 1, refused(Reason::ValidityTooLong, longest, longest + 1)),
    ] {
        let mut payment = network.transfer(alice, bob, 1);
        payment.head.valid_until = Timestamp(until);
        assert_eq!(network.settle(payment), expected);
        assert_eq!(network.settle(payment).reason, Reason::SequenceUsed, "an ordered command uses its number");
    }
}

#[test]
fn time_never_runs_backwards() {
    let (mut network, ..) = alice_and_bob();
    network.wait(10);
    network.block(&[]);
    network.now = Timestamp(network.now.0 - 5);
    assert_eq!(network.block(&[]).header.time, Timestamp(START.0 + 10));
}

// Base money.

#[test]
fn issuing_moves_reserves_into_the_treasury_and_redeeming_moves_them_back() {
    let mut network = Network::build(|_| {});
    network.must_settle(network.issuance(IssuanceKind::Issue, 1, 700));
    let reserves = |network: &Network| network.ledger.books().balance(BookAccount::Reserves(BankId(1)));
    assert_eq!((reserves(&network), network.available(account(1, 0))), (i128::from(RESERVES - 700), 700));
    assert_eq!(
        network.settle(network.issuance(IssuanceKind::Redeem, 1, 701)),
        refused(Reason::InsufficientFunds, 700, 701)
    );
    network.must_settle(network.issuance(IssuanceKind::Redeem, 1, 300));
    assert_eq!((reserves(&network), network.available(account(1, 0))), (i128::from(RESERVES - 400), 400));
    let supply = network.ledger.supply();
    assert_eq!((supply.issued.minor(), supply.redeemed.minor(), supply.net()), (700, 300, 400));
    let too_much = network.issuance(IssuanceKind::Issue, 1, RESERVES);
    assert_eq!(network.settle(too_much), refused(Reason::InsufficientReserves, RESERVES - 400, RESERVES));
}

#[test]
fn the_supply_cap_stops_issuance_and_nothing_else() {
    let mut network = Network::build(|genesis| genesis.policy.supply_cap = Some(amount(1_000)));
    let alice = network.open(1, "alice", Class::HOUSEHOLD);
    network.must_settle(network.issuance(IssuanceKind::Issue, 1, 600));
    for (minor, expected) in [
        (401, refused(Reason::SupplyCap, 1_000, 1_001)),
        (400, Outcome::settled()),
        (1, refused(Reason::SupplyCap, 1_000, 1_001)),
    ] {
        assert_eq!(network.settle(network.issuance(IssuanceKind::Issue, 2, minor)), expected);
    }
    network.enact(vec![GovernanceAction::Policy(PolicyChange::SupplyCap(Some(amount(10))))]);
    network.must_settle(network.funding(alice, 600));
    network.must_settle(network.issuance(IssuanceKind::Redeem, 2, 400));
    assert_eq!(network.settle(network.issuance(IssuanceKind::Issue, 2, 1)), refused(Reason::SupplyCap, 10, 601));
}

#[test]
fn the_issuance_quota_is_gross_a_ledger_day_and_a_banks_own_comes_first() {
    let mut network = Network::build(|genesis| {
        genesis.policy.issuance_quota = Some(amount(100));
        genesis.policy.issuance_quota_of_bank.insert(BankId(2), amount(150));
    });
    for (kind, bank, minor, expected) in [
        (IssuanceKind::Issue, 1, 101, refused(Reason::IssuanceQuota, 100, 101)),
        (IssuanceKind::Issue, 1, 100, Outcome::settled()),
        (IssuanceKind::Redeem, 1, 100, Outcome::settled()),
        (IssuanceKind::Issue, 1, 1, refused(Reason::IssuanceQuota, 100, 101)),
        (IssuanceKind::Issue, 2, 150, Outcome::settled()),
        (IssuanceKind::Issue, 2, 1, refused(Reason::IssuanceQuota, 150, 151)),
    ] {
        assert_eq!(network.settle(network.issuance(kind, bank, minor)), expected, "{kind:?} {minor} for {bank}");
    }
    network.wait(DAY_MS);
    network.must_settle(network.issuance(IssuanceKind::Issue, 1, 100));
}

#[test]
fn an_issuance_uses_both_signers_numbers_or_neither() {
    let mut network = Network::build(|_| {});
    let numbers = |network: &Network| {
        let lowest = |role, id| network.ledger.members().seat(role, MemberId(id)).unwrap().window.lowest_unused();
        (lowest(Role::Operator, 0), lowest(Role::Bank, 1))
    };
    let good = network.issuance(IssuanceKind::Issue, 1, 10);
    let with = |change: &dyn Fn(&mut Head, &mut Head)| {
        let mut order = good;
        change(&mut order.head, &mut order.request.record.head);
        order
    };
    for (order, expected, after) in [
        (with(&|_, bank| bank.sequence = 0), refused(Reason::SequenceUsed, 0, 0), (1, 1)),
        (with(&|_, bank| bank.sequence = 65_537), refused(Reason::SequenceOutOfWindow, 1, 65_537), (1, 1)),
        (with(&|_, bank| bank.key_version = 3), refused(Reason::KeyChanged, 0, 3), (1, 1)),
        (with(&|operator, _| operator.key_version = 3), refused(Reason::KeyChanged, 0, 3), (1, 1)),
        (with(&|_, bank| bank.valid_until = Timestamp(0)), refused(Reason::Expired, 0, START.0), (2, 2)),
        (with(&|operator, bank| (operator.sequence, bank.sequence) = (2, 2)), Outcome::settled(), (3, 3)),
    ] {
        assert_eq!(network.settle(order), expected);
        assert_eq!(numbers(&network), after);
    }
}

#[test]
fn reserves_move_between_active_banks_only() {
    let mut network = Network::build(|_| {});
    for (to, minor, expected) in [
        (2, 0, refused(Reason::AmountZero, 0, 0)),
        (1, 5, refused(Reason::SameAccount, 0, 0)),
        (2, RESERVES + 1, refused(Reason::InsufficientReserves, RESERVES, RESERVES + 1)),
        (2, RESERVES, Outcome::settled()),
    ] {
        assert_eq!(network.settle(network.reserves_transfer(1, to, minor)), expected);
    }
    network.enact(vec![GovernanceAction::BankStatus { bank: BankId(3), status: BankStatus::Resolved }]);
    assert_eq!(network.settle(network.reserves_transfer(2, 3, 1)), refused(Reason::BankNotActive, 0, 0));
    assert_eq!(network.settle(network.reserves_transfer(3, 2, 1)), refused(Reason::BankNotActive, 0, 0));
    assert_eq!(network.settle(network.reserves_transfer(9, 2, 1)), refused(Reason::UnknownMember, 0, 0));
}

// Wallets.

#[test]
fn opening_a_wallet_demands_a_known_class_a_sound_new_key_and_a_certificate_in_force() {
    let mut network = Network::build(|_| {});
    let alice = network.open(1, "alice", Class::HOUSEHOLD);
    assert_eq!(alice, account(1, 1));
    let with = |network: &Network, change: &dyn Fn(&mut cbdc_ledger::command::OpenWallet)| {
        let mut open = network.opening(1, "bob", Class::HOUSEHOLD);
        change(&mut open);
        open
    };
    let small_order = cbdc_ledger::PublicKey([0; 32]);
    let taken = network.ledger.key(alice).unwrap();
    for (open, expected) in [
        (with(&network, &|open| open.class = Class(8)), refused(Reason::UnknownClass, 0, 0)),
        (with(&network, &|open| open.certificate.registrar = MemberId(1)), refused(Reason::UnknownRegistrar, 0, 0)),
        (with(&network, &|open| open.certificate.registrar_key_version = 1), refused(Reason::UnknownRegistrar, 0, 0)),
        (with(&network, &|open| open.key = small_order), refused(Reason::KeyUnacceptable, 0, 0)),
        (with(&network, &|open| open.key = taken), refused(Reason::KeyInUse, 0, 0)),
        (
            with(&network, &|open| open.certificate.valid_until = Timestamp(network.now.0 - 1)),
            refused(Reason::CertificateExpired, network.now.0 - 1, network.now.0),
        ),
        (
            with(&network, &|open| (open.holder, open.class) = (holder("alice"), Class::MERCHANT)),
            refused(Reason::HolderClassMismatch, 0, 1),
        ),
    ] {
        let mut open = open;
        open.head = network.opening(1, "bob", Class::HOUSEHOLD).head;
        assert_eq!(network.settle(open), expected);
    }
    assert_eq!(network.open(1, "bob", Class::HOUSEHOLD), account(1, 2), "refusals use no serial");
}

#[test]
fn a_replaced_key_signs_no_more_and_never_comes_back_at_any_bank() {
    let (mut network, alice, bob) = alice_and_bob();
    let in_flight = network.transfer(alice, bob, 10);
    let old_key = network.ledger.key(alice).unwrap();
    network.must_settle(network.replacing(alice, "alice's new phone"));
    assert_eq!(network.settle(in_flight), refused(Reason::KeyChanged, 1, 0));
    network.must_settle(network.transfer(alice, bob, 10));
    let mut again = network.opening(1, "alice", Class::HOUSEHOLD);
    again.key = old_key;
    assert_eq!(network.settle(again), refused(Reason::KeyInUse, 0, 0));
    // Nor over a wallet that the holder has at another bank, nor one in force elsewhere.
    let elsewhere = network.open(2, "alice", Class::HOUSEHOLD);
    for known in [old_key, network.ledger.key(alice).unwrap()] {
        let mut back = network.replacing(elsewhere, "any");
        back.key = known;
        assert_eq!(network.settle(back), refused(Reason::KeyInUse, 0, 0));
        let mut anew = network.opening(3, "alice", Class::HOUSEHOLD);
        anew.key = known;
        assert_eq!(network.settle(anew), refused(Reason::KeyInUse, 0, 0));
    }
    assert_eq!(network.ledger.wallet_by_key(BankId(1), old_key), None);
    assert_eq!(network.ledger.wallet_by_key(BankId(1), key("alice's new phone").public_key()), Some(alice));
}

#[test]
fn the_designated_wallet_closes_after_the_holder_has_designated_another() {
    let mut network = Network::build(|_| {});
    let first = network.open(1, "alice", Class::HOUSEHOLD);
    let second = network.open(2, "alice", Class::HOUSEHOLD);
    assert_eq!(network.settle(network.closing(first)), refused(Reason::DesignatedWallet, 0, 0));
    network.must_settle(network.designation(second));
    network.must_settle(network.closing(first));
    assert!(network.ledger.account(second).unwrap().has_allowance);
    // The last one closes, after which no wallet is left that could have the allowance.
    network.must_settle(network.closing(second));
}

#[test]
fn only_an_empty_wallet_without_a_lien_is_closed() {
    let (mut network, alice, bob) = alice_and_bob();
    assert_eq!(network.settle(network.closing(alice)), refused(Reason::BalanceNotZero, 0, 1_000));
    network.must_settle(network.order(FreezeKind::Freeze, bob, 40));
    assert_eq!(network.settle(network.closing(bob)), refused(Reason::FundsFrozen, 0, 40));
    network.must_settle(network.order(FreezeKind::Unfreeze, bob, 40));
    network.must_settle(network.closing(bob));
    assert_eq!(network.settle(network.closing(bob)), refused(Reason::UnknownPayee, 0, 0));
    assert_eq!(network.ledger.holder(holder("bob")).unwrap().wallets, 0);
    assert_eq!(network.open(2, "carol", Class::HOUSEHOLD), account(2, 2), "a serial is never used again");
}

// Orders.

#[test]
fn freezing_more_than_the_balance_is_a_lien_on_later_credits() {
    let (mut network, alice, bob) = alice_and_bob();
    network.must_settle(network.order(FreezeKind::Freeze, bob, 150));
    network.must_settle(network.transfer(alice, bob, 100));
    assert_eq!(network.settle(network.transfer(bob, alice, 1)), refused(Reason::FundsFrozen, 0, 1));
    network.must_settle(network.transfer(alice, bob, 100));
    assert_eq!(network.settle(network.transfer(bob, alice, 51)), refused(Reason::FundsFrozen, 50, 51));
    assert_eq!(network.settle(network.defunding(bob, 201)), refused(Reason::InsufficientFunds, 50, 201));
    network.must_settle(network.defunding(bob, 50));
    assert_eq!(
        network.settle(network.order(FreezeKind::Unfreeze, bob, 151)),
        refused(Reason::FreezeExceeded, 150, 151)
    );
    network.must_settle(network.order(FreezeKind::Unfreeze, bob, 150));
    network.must_settle(network.transfer(bob, alice, 150));
    let treasury = AccountId::treasury(BankId(1));
    assert_eq!(network.settle(network.order(FreezeKind::Freeze, treasury, 1)), refused(Reason::UnknownPayee, 0, 0));
}

// Proposals.

fn status(network: &Network, number: u64) -> ProposalStatus {
    network.ledger.proposals().get(number).unwrap().status
}

#[test]
fn an_approved_proposal_is_enacted_by_the_first_block_at_its_effective_time() {
    let mut network = Network::build(|_| {});
    let mut proposal = network.proposal(vec![holding_limit(500)]);
    proposal.effective_at = network.now.plus_ms(HOUR_MS);
    let number = network.must_settle(proposal.clone());
    assert_eq!(network.ledger.next_due(), Some(proposal.expires_at), "one of two votes");
    network.must_settle(network.ballot(1, true, number));
    assert_eq!((network.ledger.approved(number), network.ledger.next_due()), (true, Some(proposal.effective_at)));
    network.wait(HOUR_MS - 1);
    assert_eq!(network.block(&[]).header.policy_version, 1);
    network.wait(1);
    let block = network.block(&[]);
    assert_eq!(
        (block.header.policy_version, block.changes.proposals_closed, status(&network, number)),
        (2, vec![number], ProposalStatus::Enacted)
    );
    assert_eq!(network.ledger.policy().in_force().in_force_since, proposal.effective_at);
    assert_eq!(network.ledger.policy().version(1).unwrap().parameters.class(Class::HOUSEHOLD).holding_limit, None);
    assert_eq!(network.settle(network.ballot(2, false, number)), refused(Reason::ProposalClosed, 0, 0));
    assert_eq!(network.settle(network.ballot(2, true, 2)), refused(Reason::UnknownProposal, 0, 0));
    assert_eq!(network.settle(network.ballot(2, true, 0)), refused(Reason::UnknownProposal, 0, 0));
}

#[test]
fn a_proposal_that_is_not_approved_in_time_expires() {
    let mut network = Network::build(|_| {});
    let number = network.must_settle(network.proposal(vec![holding_limit(500)]));
    // Seat 1 changes its vote before a block enacts it.
    let yes = unsigned(network.ballot(1, true, number));
    let mut no = network.ballot(1, false, number);
    no.head.sequence += 1;
    network.block(&[yes, unsigned(no)]);
    network.wait(DAY_MS - 1);
    network.block(&[]);
    assert_eq!(status(&network, number), ProposalStatus::Open);
    network.wait(1);
    assert_eq!(network.block(&[]).header.policy_version, 1);
    assert_eq!(status(&network, number), ProposalStatus::Expired);
}

#[test]
fn a_proposal_that_an_earlier_one_made_impossible_is_void() {
    let mut network = Network::build(|_| {});
    let first = network.must_settle(network.proposal(vec![GovernanceAction::AdmitMember(member(Role::Bank, 4))]));
    let second = network
        .must_settle(network.proposal(vec![GovernanceAction::AdmitMember(member(Role::Bank, 4)), holding_limit(1)]));
    let mut ballots: Vec<Command> = Vec::new();
    for number in [first, second] {
        let mut ballot = network.ballot(1, true, number);
        ballot.head.sequence += ballots.len() as u64;
        ballots.push(unsigned(ballot));
    }
    network.block(&ballots);
    assert_eq!(network.block(&[]).changes.proposals_closed, [first, second]);
    assert_eq!((status(&network, first), status(&network, second)), (ProposalStatus::Enacted, ProposalStatus::Void));
    assert_eq!(network.ledger.policy().in_force().version, 1, "a proposal is enacted whole or not at all");
}

#[test]
fn an_admitted_bank_has_a_treasury_and_may_act_at_once() {
    let mut network = Network::build(|_| {});
    let number = network.must_settle(network.proposal(vec![GovernanceAction::AdmitMember(member(Role::Bank, 7))]));
    network.must_settle(network.ballot(2, true, number));
    let first = unsigned(network.opening(7, "alice", Class::HOUSEHOLD));
    let block = network.block(&[first]);
    assert!(block.changes.members && block.outcomes[0].is_settled(), "{}", block.outcomes[0]);
    network.must_settle(network.reserves_transfer(1, 7, 500));
    network.fund(account(7, 1), 500);
    assert_eq!(network.available(account(7, 1)), 500);
}

#[test]
fn a_bank_is_dismissed_only_when_nothing_of_it_is_left_on_the_ledger() {
    let mut network = Network::build(|_| {});
    let alice = network.open(1, "alice", Class::HOUSEHOLD);
    let dismiss = |network: &Network| {
        network.proposal(vec![GovernanceAction::DismissMember { role: Role::Bank, id: MemberId(1) }])
    };
    let refusal = refused(Reason::ActionUnacceptable, 0, 0);
    // A wallet and reserves; then reserves alone.
    assert_eq!(network.settle(dismiss(&network)), refusal);
    network.must_settle(network.closing(alice));
    assert_eq!(network.settle(dismiss(&network)), refusal);
    let reserves = network.ledger.books().bank(BankId(1)).reserves.minor();
    network.must_settle(network.reserves_transfer(1, 2, reserves));

    // A wallet that is opened between the vote and the effective time makes the proposal void.
    let mut late = dismiss(&network);
    late.effective_at = network.now.plus_ms(HOUR_MS);
    let number = network.must_settle(late);
    network.must_settle(network.ballot(1, true, number));
    let bob = network.open(1, "bob", Class::HOUSEHOLD);
    network.wait(HOUR_MS);
    network.block(&[]);
    assert_eq!(status(&network, number), ProposalStatus::Void);

    network.must_settle(network.closing(bob));
    network.enact(vec![GovernanceAction::DismissMember { role: Role::Bank, id: MemberId(1) }]);
    assert_eq!(network.ledger.positions().status(BankId(1)), Some(BankStatus::Dismissed));
    assert_eq!(network.settle(network.opening(1, "carol", Class::HOUSEHOLD)), refused(Reason::UnknownMember, 0, 0));
    assert_eq!(network.settle(network.issuance(IssuanceKind::Issue, 1, 1)), refused(Reason::UnknownMember, 0, 0));
}

#[test]
fn a_dismissed_seats_vote_no_longer_counts() {
    let mut network = Network::build(|_| {});
    let mut proposal = network.proposal(vec![holding_limit(500)]);
    proposal.effective_at = network.now.plus_ms(HOUR_MS);
    let number = network.must_settle(proposal);
    network.must_settle(network.ballot(2, true, number));
    assert!(network.ledger.approved(number));
    network.enact(vec![GovernanceAction::DismissMember { role: Role::Committee, id: MemberId(2) }]);
    assert!(!network.ledger.approved(number));
    assert_eq!(network.settle(network.ballot(2, true, number)), refused(Reason::UnknownMember, 0, 0));
}

#[test]
fn the_committee_cannot_vote_the_network_out_of_action() {
    let mut network = Network::build(|_| {});
    let dismiss = |role, id| GovernanceAction::DismissMember { role, id: MemberId(id) };
    let shared = Some(key("one node key for two").public_key());
    let replace = |id| GovernanceAction::ReplaceKeys {
        role: Role::Bank,
        id: MemberId(id),
        signing_key: key("new").public_key(),
        node_key: shared,
    };
    let unsound = cbdc_ledger::PublicKey([0; 32]);
    let weak =
        |id| GovernanceAction::ReplaceKeys { role: Role::Bank, id: MemberId(id), signing_key: unsound, node_key: None };
    let quota = |bank| {
        GovernanceAction::Policy(PolicyChange::IssuanceQuotaOfBank { bank: BankId(bank), quota: Some(amount(1)) })
    };
    for (actions, index) in [
        (vec![GovernanceAction::Threshold(0)], 0),
        (vec![GovernanceAction::Threshold(4)], 0),
        (vec![dismiss(Role::Committee, 0), dismiss(Role::Committee, 1)], 1),
        (vec![dismiss(Role::CentralBank, 0)], 0),
        (vec![holding_limit(1), dismiss(Role::Bank, 9)], 1),
        (vec![GovernanceAction::AdmitMember(member(Role::Bank, 0))], 0),
        (vec![GovernanceAction::AdmitMember(member(Role::Bank, 1))], 0),
        (vec![replace(1), replace(2)], 1),
        (vec![weak(1)], 0),
        (vec![quota(9)], 0),
    ] {
        let outcome = network.settle(network.proposal(actions.clone()));
        assert_eq!(outcome, refused(Reason::ActionUnacceptable, 0, index), "{actions:?}");
    }
    network.must_settle(
        network
            .proposal(vec![GovernanceAction::AdmitMember(member(Role::Committee, 3)), GovernanceAction::Threshold(4)]),
    );
    network.must_settle(network.proposal(vec![GovernanceAction::AdmitMember(member(Role::Bank, 9)), quota(9)]));
}

fn proposal_of(network: &Network, seat: u16, actions: Vec<GovernanceAction>) -> GovernanceProposal {
    GovernanceProposal {
        head: network.member_head(Role::Committee, seat),
        member: MemberId(seat),
        ..network.proposal(actions)
    }
}

#[test]
fn a_seat_has_few_proposals_open_and_places_are_kept_for_its_dismissal() {
    let mut network = Network::build(|genesis| {
        genesis.members.extend((3..10).map(|seat| member(Role::Committee, seat)));
    });
    for _ in 0..8 {
        network.must_settle(proposal_of(&network, 2, vec![holding_limit(1)]));
    }
    let ninth = proposal_of(&network, 2, vec![holding_limit(1)]);
    assert_eq!(network.settle(ninth), refused(Reason::TooManyProposals, 8, 9));
    // Seats 2 to 9 fill the list together; seat 0 can still have one of them dismissed, which voids its open proposals.
    for seat in 3..10 {
        for _ in 0..8 {
            network.must_settle(proposal_of(&network, seat, vec![holding_limit(1)]));
        }
    }
    assert_eq!(network.settle(network.proposal(vec![holding_limit(1)])), refused(Reason::TooManyProposals, 64, 65));
    let dismissal = GovernanceAction::DismissMember { role: Role::Committee, id: MemberId(2) };
    let number = network.must_settle(network.proposal(vec![dismissal]));
    network.must_settle(network.ballot(1, true, number));
    assert_eq!(network.block(&[]).changes.proposals_closed.len(), 1 + 8);
    assert_eq!(status(&network, 1), ProposalStatus::Void);
    network.must_settle(network.proposal(vec![holding_limit(1)]));
}

#[test]
fn a_seat_makes_a_bounded_number_of_proposals_a_day() {
    let mut network = Network::build(|_| {});
    let propose_and_withdraw = |network: &mut Network, action: GovernanceAction| {
        let number = network.must_settle(network.proposal(vec![action]));
        network.must_settle(Ballot { choice: Choice::Withdraw, ..network.ballot(0, true, number) });
    };
    let dismissal = GovernanceAction::DismissMember { role: Role::Committee, id: MemberId(2) };
    for _ in 0..64 {
        propose_and_withdraw(&mut network, holding_limit(1));
    }
    let one_more = network.proposal(vec![holding_limit(1)]);
    assert_eq!(network.settle(one_more), refused(Reason::TooManyProposals, 64, 65));
    for _ in 0..16 {
        propose_and_withdraw(&mut network, dismissal.clone());
    }
    assert_eq!(network.settle(network.proposal(vec![dismissal])), refused(Reason::TooManyProposals, 80, 81));
    // The other seats have limits of their own, and the next day starts anew.
    network.must_settle(proposal_of(&network, 1, vec![holding_limit(1)]));
    network.now = network.now.plus_ms(DAY_MS);
    propose_and_withdraw(&mut network, holding_limit(1));
}

#[test]
fn a_proposal_that_cannot_be_approved_any_more_is_rejected_and_its_proposer_may_withdraw_it() {
    let mut network = Network::build(|_| {});
    let number = network.must_settle(network.proposal(vec![holding_limit(1)]));
    network.must_settle(network.ballot(1, false, number));
    assert_eq!(status(&network, number), ProposalStatus::Open, "seat 2 may still approve it");
    network.must_settle(network.ballot(2, false, number));
    assert_eq!(status(&network, number), ProposalStatus::Rejected);
    assert_eq!(network.settle(network.ballot(1, true, number)), refused(Reason::ProposalClosed, 0, 0));

    let number = network.must_settle(network.proposal(vec![holding_limit(1)]));
    let withdraw = |seat| Ballot { choice: Choice::Withdraw, ..network.ballot(seat, true, number) };
    let (by_another, by_proposer) = (withdraw(1), withdraw(0));
    assert_eq!(network.settle(by_another), refused(Reason::NotTheProposer, 0, 0));
    network.must_settle(by_proposer);
    assert_eq!(status(&network, number), ProposalStatus::Withdrawn);
}

#[test]
fn a_proposal_takes_effect_and_expires_within_a_year() {
    let mut network = Network::build(|_| {});
    let latest = network.now.plus_ms(366 * DAY_MS);
    for (effective_at, expires_at, found) in [
        (network.now, Timestamp(latest.0 + 1), latest.0 + 1),
        (Timestamp(latest.0 + 1), Timestamp(latest.0 + 2), latest.0 + 1),
        (Timestamp(u64::MAX), Timestamp(u64::MAX), u64::MAX),
    ] {
        let mut proposal = network.proposal(vec![holding_limit(1)]);
        (proposal.effective_at, proposal.expires_at) = (effective_at, expires_at);
        assert_eq!(network.settle(proposal), refused(Reason::ValidityTooLong, latest.0, found));
    }
    let mut proposal = network.proposal(vec![holding_limit(1)]);
    (proposal.effective_at, proposal.expires_at) = (latest, latest);
    network.must_settle(proposal);
}

#[test]
fn no_two_nodes_sign_with_one_key_and_more_may_have_to_sign_a_header() {
    let mut network = Network::build(|_| {});
    let second = GovernanceAction::AdmitMember(member(Role::CentralBank, 1));
    let twin = GovernanceAction::AdmitMember(Member {
        signing_key: member(Role::CentralBank, 0).signing_key,
        ..member(Role::CentralBank, 1)
    });
    let same_key = GovernanceAction::ReplaceKeys {
        role: Role::CentralBank,
        id: MemberId(1),
        signing_key: member(Role::CentralBank, 0).signing_key,
        node_key: None,
    };
    let two = GovernanceAction::HeaderSignatures(2);
    for (actions, index) in [
        (vec![twin], 0),
        (vec![second.clone(), same_key], 1),
        (vec![two.clone()], 0),
        (vec![GovernanceAction::HeaderSignatures(0)], 0),
    ] {
        let outcome = network.settle(network.proposal(actions));
        assert_eq!(outcome, refused(Reason::ActionUnacceptable, 0, index));
    }
    network.enact(vec![second, two]);
    assert_eq!(network.ledger.members().header_signatures(), 2);
}

#[test]
fn a_proposal_that_could_never_be_enacted_in_time_is_refused() {
    let mut network = Network::build(|_| {});
    let now = network.now.0;
    for (effective_at, expires_at) in [(now, now - 1), (now + 2, now + 1)] {
        let mut proposal = network.proposal(vec![holding_limit(1)]);
        (proposal.effective_at, proposal.expires_at) = (Timestamp(effective_at), Timestamp(expires_at));
        assert_eq!(network.settle(proposal), refused(Reason::Expired, expires_at, now));
    }
}

// Keys that change while a command is in flight.

#[test]
fn a_certificate_serves_once_for_one_purpose_at_one_bank_and_needs_the_holders_own_signature() {
    let mut network = Network::build(|_| {});
    let alice = network.open(1, "alice", Class::HOUSEHOLD);
    let second = network.open(2, "alice", Class::HOUSEHOLD);
    let opening = network.opening(1, "bob", Class::HOUSEHOLD);
    let replacing = network.replacing(alice, "alice's new phone");
    let verdict = |network: &Network, command: Command| {
        let directory = KeyDirectory::of(&network.ledger);
        let (_, refusals) =
            verify_batches(network.id(), &directory, vec![(command.into(), Trust::Clean)], batch_seed()).remove(0);
        refusals.first().map(|(_, refusal)| refusal.reason)
    };
    assert_eq!(verdict(&network, network.sign(opening, "bank-1")), None);
    assert_eq!(verdict(&network, network.sign(replacing, "bank-1")), None);

    // Another bank cannot use what was certified for this one, nor put the key over another wallet.
    let elsewhere = OpenWallet { bank: BankId(2), ..opening };
    assert_eq!(verdict(&network, network.sign(elsewhere, "bank-2")), Some(Reason::BadSignature));
    let over_another = ReplaceKey { account: second, ..replacing };
    assert_eq!(verdict(&network, network.sign(over_another, "bank-2")), Some(Reason::BadSignature));
    // What was certified for an opening replaces no key.
    let purpose = ReplaceKey { key: opening.key, certificate: opening.certificate, ..replacing };
    assert_eq!(verdict(&network, network.sign(purpose, "bank-1")), Some(Reason::BadSignature));
    // A longer validity is another statement; nobody opens a wallet without the holder.
    let mut longer = opening;
    longer.certificate.valid_until = longer.certificate.valid_until.plus_ms(1);
    let unwanted = OpenWallet { agreement: replacing.agreement, ..opening };
    for forged in [longer, unwanted] {
        assert_eq!(verdict(&network, network.sign(forged, "bank-1")), Some(Reason::BadSignature));
    }

    network.must_settle(replacing);
    let again = ReplaceKey { head: network.replacing(alice, "a third phone").head, ..replacing };
    assert_eq!(network.settle(again), refused(Reason::CertificateSpent, 1, 0));
}

#[test]
fn a_certificate_of_a_replaced_registrar_key_is_refused_and_uses_no_number() {
    let mut network = Network::build(|_| {});
    let in_flight = network.opening(1, "alice", Class::HOUSEHOLD);
    let (role, id, signing_key) = (Role::Registrar, MemberId(0), key("a new desk").public_key());
    network.enact(vec![GovernanceAction::ReplaceKeys { role, id, signing_key, node_key: None }]);
    // The key that could verify the certificate in an audit is gone, so the command has no effect at all.
    let directory = KeyDirectory::of(&network.ledger);
    let commands = [network.sign(in_flight, "bank-1")];
    let block = network.block(&commands);
    assert_eq!(block.outcomes, [refused(Reason::UnknownRegistrar, 0, 0)]);
    let bytes = proposal(network.now, &commands);
    assert!(VerifiedProposal::check(&bytes, &block.outcomes, network.id(), &directory, batch_seed()).is_ok());
    assert_eq!(network.ledger.members().bank(BankId(1)).unwrap().window.lowest_unused(), 1);
}

#[test]
fn a_key_replacement_for_a_wallet_closed_meanwhile_is_refused_and_stays_verifiable() {
    let (mut network, _, bob) = alice_and_bob();
    let replacing = network.replacing(bob, "bob's new phone");
    let mut closing = network.closing(bob);
    closing.head.sequence += 1;
    network.must_settle(closing);
    let directory = KeyDirectory::of(&network.ledger);
    let commands = [network.sign(replacing, "bank-2")];
    let block = network.block(&commands);
    assert_eq!(block.outcomes, [refused(Reason::UnknownPayee, 0, 0)]);
    let bytes = proposal(network.now, &commands);
    assert!(VerifiedProposal::check(&bytes, &block.outcomes, network.id(), &directory, batch_seed()).is_ok());
}

#[test]
fn a_genesis_with_equity_at_the_end_of_the_range_is_refused() {
    let mut genesis = model::network::genesis();
    let mut equity = Vec::new();
    equity.extend(1_000i128.to_le_bytes());
    let bytes = genesis.to_bytes();
    let at = bytes.windows(16).position(|window| window == equity).unwrap();
    for extreme in [i128::MAX, i128::MIN] {
        let mut spoilt = bytes.clone();
        spoilt[at..at + 16].copy_from_slice(&extreme.to_le_bytes());
        assert!(Genesis::from_bytes(&spoilt).is_err());
    }
    genesis.currency = *b"xts";
    assert!(genesis.validate().is_err());
}
