//! Wallets that move to another bank: nothing of them is lost, and a bank without customers can be dismissed.

use std::collections::BTreeSet;

use crate::model::network::{DAY_MS, Network, account, amount, batch_seed, key, remuneration, unsigned};
use crate::model::samples::{chunks_of, load};
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::command::{FreezeKind, GovernanceAction, MoveWallet, Signer};
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::governance::ProposalStatus;
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::{PolicyChange, WorkPerBlock};
use cbdc_ledger::programme::{Classes, Cohort, Funding, Grant, Purpose};
use cbdc_ledger::verification::verify_batches;
use cbdc_ledger::{AccountId, BankId, Class, Command, Ledger, MemberId, Outcome, Reason, Timestamp};
use cbdc_signatures::Trust;

fn refused(reason: Reason, limit: u64, amount: u64) -> Outcome {
    Outcome::refused(reason, limit, amount)
}

fn moved(network: &mut Network, wallet: AccountId, bank: u16) -> AccountId {
    AccountId::from_u64(network.must_settle(network.moving(wallet, bank))).unwrap()
}

fn resolve(network: &mut Network, bank: u16) {
    network.enact(vec![GovernanceAction::BankStatus { bank: BankId(bank), status: BankStatus::Resolved }]);
}

/// Alice at bank 1 with money that is free, held, bound to a purpose and frozen, and a shop at bank 2.
fn network() -> (Network, AccountId, AccountId) {
    let mut network = Network::build(|_| {});
    let alice = network.open(1, "alice", Class::HOUSEHOLD);
    let shop = network.open(2, "shop", Class::MERCHANT);
    network.fund(alice, 1_000);
    network.fund(shop, 500);
    let purpose = Purpose {
        expires_at: network.now.plus_ms(30 * DAY_MS),
        payees: Classes::of([Class::MERCHANT]),
        funding: Funding::Equity,
    };
    let cohort = Cohort { class: Class::HOUSEHOLD, bank: None, first: 0 };
    network.enact(vec![
        GovernanceAction::Grant(Grant { cohort, amount_each: amount(50), purpose: Some(purpose) }),
        remuneration(Class::HOUSEHOLD, &[], 20_000),
    ]);
    network.block(&[]);
    network.must_settle(network.link(alice, 1));
    network.must_settle(network.order(FreezeKind::Freeze, alice, 100));
    (network, alice, shop)
}

#[test]
fn everything_of_a_wallet_is_at_the_new_bank_and_works_there() {
    let (mut network, alice, shop) = network();
    network.wait(3 * DAY_MS);
    network.block(&[]);
    let paid = network.must_settle(network.hold(alice, shop, 120));
    let due = network.must_settle(network.hold(shop, alice, 30));
    let before = network.ledger.account_today(alice).unwrap();
    let (supply, person) = (*network.ledger.supply(), *network.ledger.holder_of(alice).unwrap());

    let new = moved(&mut network, alice, 3);
    assert_eq!(new, account(3, 1));
    let after = *network.ledger.account(new).unwrap();
    // What was linked to the old bank is linked to the new one; one more sequence number is used.
    let expected = cbdc_ledger::Account { linked_bank: BankId(3), window: after.window, ..before };
    assert_eq!(after, expected);
    assert_eq!(after.window.lowest_unused(), before.window.lowest_unused() + 1);
    let old = network.ledger.account(alice).unwrap();
    assert_eq!((old.open, old.posted(), old.frozen, old.moved_to()), (false, 0, amount(0), Some(new)));
    assert_eq!(network.ledger.moved_to(alice), Some(new));
    let there = *network.ledger.holder_of(new).unwrap();
    assert_eq!((there.id, there.posted, there.wallets, there.allowance()), (person.id, person.posted, 1, Some(new)));
    assert_eq!(*network.ledger.supply(), supply, "no money is made or lost");
    network.ledger.check_invariants().unwrap();

    // The key signs for the new account alone; a payment to the old one is refused and names the new one.
    let alices_key = key("wallet of alice at 1").public_key();
    assert_eq!(network.ledger.wallet_by_key(BankId(3), alices_key), Some(new));
    assert_eq!(network.ledger.wallet_by_key(BankId(1), alices_key), None);
    assert_eq!(network.settle(network.transfer(alice, shop, 1)), refused(Reason::UnknownAccount, 0, 0));
    let to_old = network.transfer(shop, alice, 1);
    assert_eq!(network.settle(to_old), refused(Reason::WalletMoved, 0, new.to_u64()));
    network.must_settle(network.transfer(shop, new, 1));
    network.must_settle(network.transfer(new, shop, 1));

    // Both holds are captured, the shop's at the shop's bank, the wallet's own at its new one.
    network.must_settle(network.capture(2, paid, 120));
    assert_eq!(network.settle(network.capture(1, due, 30)), refused(Reason::UnknownHold, 0, 0));
    network.must_settle(network.capture(3, due, 30));
    network.must_settle(network.order(FreezeKind::Unfreeze, new, 100));
    assert_eq!(network.ledger.programmes().earmarks_of(alice).count(), 0);

    let (chunks, _) = chunks_of(&mut network);
    let loaded = load(&chunks).unwrap();
    assert_eq!((loaded.moved_to(alice), loaded.wallet_by_key(BankId(3), alices_key)), (Some(new), Some(new)));
    assert_eq!(loaded.wallet_by_key(BankId(1), alices_key), None);
}

#[test]
fn a_wallet_moves_on_and_back_and_its_first_account_names_the_last() {
    let (mut network, alice, shop) = network();
    let there = moved(&mut network, alice, 2);
    let back = moved(&mut network, there, 1);
    assert_eq!((there, back), (account(2, 2), account(1, 2)));
    for old in [alice, there] {
        assert_eq!(network.settle(network.transfer(shop, old, 1)), refused(Reason::WalletMoved, 0, back.to_u64()));
    }
    let alices_key = key("wallet of alice at 1").public_key();
    assert_eq!(network.ledger.wallet_by_key(BankId(1), alices_key), Some(back));
    let (chunks, _) = chunks_of(&mut network);
    assert_eq!(load(&chunks).unwrap().wallet_by_key(BankId(1), alices_key), Some(back));
    // Nobody else can use the key now either.
    let mut thief = network.opening(3, "thief", Class::HOUSEHOLD);
    thief.key = alices_key;
    assert_eq!(network.settle(thief), refused(Reason::KeyInUse, 0, 0));
}

/// The holds on a wallet, page by page, by number.
fn listed(ledger: &Ledger, wallet: AccountId) -> Vec<u64> {
    let mut listed: Vec<u64> = Vec::new();
    loop {
        let after = listed.last().copied().unwrap_or(0);
        let page: Vec<u64> = ledger.holds().of_wallet(wallet, after).take(1_000).map(|(number, _)| number).collect();
        if page.is_empty() {
            return listed;
        }
        listed.extend(page);
    }
}

#[test]
fn however_many_holds_strangers_have_placed_for_a_payee_she_moves_and_they_follow_her() {
    // As many payers with 64 holds each as hold more than twice what a move rewrites.
    const PAYERS: usize = 2 * 256 / 64 + 2;
    let (mut network, alice, shop) = network();
    let payers: Vec<AccountId> =
        (0..PAYERS).map(|number| network.open(2, &format!("stranger {number}"), Class::HOUSEHOLD)).collect();
    for payer in &payers {
        network.fund(*payer, 64);
    }
    for _ in 0..64 {
        let holds = payers.iter().map(|payer| unsigned(network.hold(*payer, alice, 1))).collect::<Vec<_>>();
        assert!(network.block(&holds).outcomes.iter().all(Outcome::is_settled));
    }
    let own = network.must_settle(network.hold(alice, shop, 5));
    let all = listed(&network.ledger, alice);
    assert_eq!(all.len(), PAYERS * 64 + 1);

    let cbdc = network.ledger.books().cbdc();
    let there = moved(&mut network, alice, 3);
    let back = moved(&mut network, there, 1);
    let last = moved(&mut network, back, 2);
    network.ledger.check_invariants().unwrap();
    assert_eq!(network.ledger.books().cbdc(), cbdc, "no money is made or lost");
    let named: BTreeSet<AccountId> = network.ledger.holds().open().map(|(_, hold)| hold.payee).collect();
    assert!(named.len() > 2, "some are found through accounts that she had before: {named:?}");
    assert_eq!(listed(&network.ledger, last), all);
    for old in [alice, there, back] {
        assert!(listed(&network.ledger, old).is_empty());
    }
    // A checkpoint brings all of that back.
    let (chunks, _) = chunks_of(&mut network);
    let loaded = load(&chunks).unwrap();
    assert_eq!((loaded.holds(), listed(&loaded, last)), (network.ledger.holds(), all.clone()));

    // Each is captured at her present bank, and at no other, whichever of her accounts it names.
    let mut sample: Vec<u64> = Vec::new();
    for name in &named {
        sample.extend(network.ledger.holds().open().filter(|(_, hold)| hold.payee == *name).map(|(it, _)| it).take(2));
    }
    let mut expected = network.ledger.account(last).unwrap().posted();
    for number in sample.into_iter().filter(|number| *number != own) {
        for bank in [1, 3] {
            assert_eq!(network.settle(network.capture(bank, number, 1)), refused(Reason::UnknownHold, 0, 0));
        }
        network.must_settle(network.capture(2, number, 1));
        expected += 1;
        network.ledger.check_invariants().unwrap();
    }
    assert_eq!(network.ledger.account(last).unwrap().posted(), expected);
    network.must_settle(network.void(2, all[all.len() - 2]));
    network.must_settle(network.capture(2, own, 5));
    // The rest expires, and nothing of the old accounts is left.
    network.wait(32 * DAY_MS);
    while network.ledger.holds().open().next().is_some() {
        network.block(&[]);
    }
    network.ledger.check_invariants().unwrap();
    let (chunks, _) = chunks_of(&mut network);
    assert_eq!(load(&chunks).unwrap().holds(), network.ledger.holds());
}

#[test]
fn a_move_takes_the_new_banks_consent_and_a_bank_in_good_standing() {
    let (mut network, alice, _) = network();
    assert_eq!(network.settle(network.moving(alice, 1)), refused(Reason::SameBank, 0, 0));
    let moving = network.moving(alice, 3);
    let mut late = moving;
    late.consent.valid_until = Timestamp(network.now.0 - 1);
    let expected = refused(Reason::CertificateExpired, network.now.0 - 1, network.now.0);
    assert_eq!(network.settle(late), expected);
    let unknown = MoveWallet { bank: BankId(9), ..network.moving(alice, 3) };
    assert_eq!(network.settle(unknown), refused(Reason::ConsentVoid, 0, 0));

    let verdict = |network: &Network, command: Command| {
        let directory = KeyDirectory::of(&network.ledger);
        let (_, refusals) =
            verify_batches(network.id(), &directory, vec![(command.into(), Trust::Clean)], batch_seed()).remove(0);
        refusals.first().map(|(_, refusal)| refusal.reason)
    };
    let signed = |network: &Network, moving| network.sign(moving, "wallet of alice at 1");
    assert_eq!(verdict(&network, signed(&network, network.moving(alice, 3))), None);
    // A consent is one bank's, for one wallet and one purpose.
    let another = MoveWallet { bank: BankId(2), ..network.moving(alice, 3) };
    assert_eq!(verdict(&network, signed(&network, another)), Some(Reason::BadSignature));
    let mut link = network.link(alice, 3);
    link.consent = Some(network.moving(alice, 3).consent);
    let link = network.sign(link, "wallet of alice at 1");
    assert_eq!(verdict(&network, link), Some(Reason::BadSignature));
    assert_eq!(verdict(&network, network.sign(network.link(alice, 3), "wallet of alice at 1")), None);

    network.enact(vec![GovernanceAction::BankStatus { bank: BankId(3), status: BankStatus::Suspended }]);
    assert_eq!(network.settle(network.moving(alice, 3)), refused(Reason::BankSuspended, 0, 0));
}

#[test]
fn a_resolved_banks_customers_move_in_steps_and_then_it_is_dismissed() {
    let mut network = Network::build(|_| {});
    let wallets: Vec<AccountId> =
        (0..9).map(|number| network.open(1, &format!("person {number}"), Class::HOUSEHOLD)).collect();
    for wallet in &wallets {
        network.fund(*wallet, 100);
    }
    let there = network.open(2, "merchant", Class::MERCHANT);
    network.must_settle(network.issuance(cbdc_ledger::command::IssuanceKind::Issue, 1, 70));
    let hold = network.must_settle(network.hold(wallets[3], there, 40));
    let move_customers = |from, to| GovernanceAction::MoveCustomers { from: BankId(from), to: BankId(to) };
    let unacceptable = |network: &mut Network, action| network.settle(network.proposal(vec![action])).reason;
    assert_eq!(unacceptable(&mut network, move_customers(1, 2)), Reason::ActionUnacceptable, "it is not resolved");
    resolve(&mut network, 1);
    for to in [1, 9] {
        assert_eq!(unacceptable(&mut network, move_customers(1, to)), Reason::ActionUnacceptable, "to {to}");
    }
    let dismissal = GovernanceAction::DismissMember { role: Role::Bank, id: MemberId(1) };
    assert_eq!(unacceptable(&mut network, dismissal.clone()), Reason::ActionUnacceptable, "it has customers");

    let work = WorkPerBlock(2);
    network.enact(vec![GovernanceAction::Policy(PolicyChange::WorkPerBlock(work))]);
    let (cbdc, reserves) = (network.ledger.books().cbdc(), network.ledger.books().bank(BankId(2)).reserves);
    network.enact(vec![move_customers(1, 2)]);
    let mut steps = 1;
    assert_eq!(unacceptable(&mut network, dismissal.clone()), Reason::ActionUnacceptable, "they are on their way");
    while network.ledger.positions().bank(BankId(1)).unwrap().handover.is_some() {
        assert_eq!(network.ledger.next_due(), Some(network.ledger.tip().time), "it goes on by itself");
        network.block(&[]);
        network.ledger.check_invariants().unwrap();
        steps += 1;
        assert!(steps < 20);
    }
    assert!(steps > 2, "{steps}");
    for (number, wallet) in wallets.iter().enumerate() {
        let new = network.ledger.moved_to(*wallet).unwrap();
        assert_eq!(new, account(2, 2 + number as u32));
        assert_eq!(network.ledger.account(new).unwrap().posted(), 100);
    }
    // The treasury was redeemed, and the reserves moved too.
    let after = network.ledger.books().cbdc();
    assert_eq!(after, cbdc.minus(amount(70)).unwrap());
    let of = |bank| network.ledger.books().bank(BankId(bank)).reserves;
    assert_eq!(of(1), amount(0));
    assert!(of(2) > reserves);
    network.ledger.check_invariants().unwrap();
    network.must_settle(network.capture(2, hold, 40));

    network.enact(vec![dismissal]);
    assert_eq!(network.ledger.positions().status(BankId(1)), Some(BankStatus::Dismissed));
}

#[test]
fn what_one_court_has_frozen_another_does_not_release() {
    let (mut network, alice, shop) = network();
    let second = Member {
        role: Role::Court,
        id: MemberId(7),
        name: "Second court".to_owned(),
        signing_key: key("court-7").public_key(),
        node_key: None,
    };
    network.enact(vec![GovernanceAction::AdmitMember(second)]);
    let by = |network: &Network, court: u16, kind, minor| {
        let mut order = network.order(kind, alice, minor);
        (order.court, order.head) = (MemberId(court), network.head(Signer::Member(Role::Court, MemberId(court))));
        order
    };
    assert_eq!(network.settle(by(&network, 7, FreezeKind::Unfreeze, 1)), refused(Reason::FreezeExceeded, 0, 1));
    network.must_settle(by(&network, 7, FreezeKind::Freeze, 40));
    assert_eq!(network.ledger.account(alice).unwrap().frozen, amount(140));
    assert_eq!(network.settle(by(&network, 7, FreezeKind::Unfreeze, 41)), refused(Reason::FreezeExceeded, 40, 41));
    assert_eq!(network.settle(by(&network, 0, FreezeKind::Unfreeze, 101)), refused(Reason::FreezeExceeded, 100, 101));
    // Nor can a seizure that replaces it.
    let mut seizure = network.seizure(alice, 10, shop);
    (seizure.court, seizure.released) = (MemberId(7), amount(41));
    seizure.head = network.head(Signer::Member(Role::Court, MemberId(7)));
    assert_eq!(network.settle(seizure), refused(Reason::FreezeExceeded, 40, 41));
    let frozen = |network: &Network| network.ledger.freezes().of_wallet(alice).collect::<Vec<_>>();
    assert_eq!(frozen(&network), [(MemberId(0), amount(100)), (MemberId(7), amount(40))]);

    // A seizure's lien is its court's.
    let mut seizure = network.seizure(alice, 2_000, shop);
    (seizure.court, seizure.released) = (MemberId(7), amount(40));
    seizure.head = network.head(Signer::Member(Role::Court, MemberId(7)));
    let taken = network.must_settle(seizure);
    assert_eq!(frozen(&network), [(MemberId(0), amount(100)), (MemberId(7), amount(2_000 - taken))]);
    network.must_settle(by(&network, 7, FreezeKind::Unfreeze, 2_000 - taken));

    // The other courts lift what a dismissed court has left, after their own.
    network.must_settle(by(&network, 7, FreezeKind::Freeze, 5));
    network.enact(vec![GovernanceAction::DismissMember { role: Role::Court, id: MemberId(0) }]);
    network.must_settle(by(&network, 7, FreezeKind::Unfreeze, 25));
    assert_eq!(frozen(&network), [(MemberId(0), amount(80))]);
    network.must_settle(by(&network, 7, FreezeKind::Unfreeze, 80));
    assert_eq!((frozen(&network).len(), network.ledger.account(alice).unwrap().frozen), (0, amount(0)));
    network.ledger.check_invariants().unwrap();
    assert_eq!(network.ledger.proposals().all().next_back().unwrap().status, ProposalStatus::Enacted);
}
