//! Limits on a holder, under attack: one holder, wallets at three banks, everything at once; and what expires while
//! nobody acts.

use crate::model;
use crate::model::network::{BANKS, DAY_MS, HOUR_MS, Network, amount, holder, unsigned, velocity};
use cbdc_ledger::command::{GovernanceAction, IssuanceKind};
use cbdc_ledger::outcome::Charges;
use cbdc_ledger::policy::PolicyChange;
use cbdc_ledger::programme::{Classes, Cohort, Funding, Grant, Purpose};
use cbdc_ledger::{AccountId, Amount, Class, Command, Outcome, Reason};

const LIMIT: u64 = 1_000;

fn policy(change: PolicyChange) -> GovernanceAction {
    GovernanceAction::Policy(change)
}

/// Mallory has a wallet at each bank; so has a rich friend, with 3,000 in each.
struct Attack {
    network: Network,
    own: Vec<AccountId>,
    friends: Vec<AccountId>,
}

impl Attack {
    fn new() -> Attack {
        let mut network = Network::build(|_| {});
        let own = BANKS.map(|bank| network.open(bank, "mallory", Class::HOUSEHOLD)).to_vec();
        let friends = BANKS.map(|bank| network.open(bank, "friend", Class::MERCHANT)).to_vec();
        friends.iter().for_each(|friend| network.fund(*friend, 3_000));
        Attack { network, own, friends }
    }

    fn held(&self) -> u64 {
        self.network.ledger.holder(holder("mallory")).unwrap().posted.minor()
    }

    /// Settles commands whose heads are taken one after the other for each signer, in one block.
    fn at_once(&mut self, commands: Vec<(AccountId, Command)>) -> Vec<Outcome> {
        let commands: Vec<Command> = commands.into_iter().map(|(_, command)| command).collect();
        self.network.block(&commands).outcomes
    }

    /// Ten transfers from each of `payers` to each of `payees` in one block, with consecutive numbers.
    fn flood(&mut self, payers: &[AccountId], payees: &[AccountId], minor: u64) -> Vec<Outcome> {
        let mut commands = Vec::new();
        for payer in payers {
            let first = self.network.transfer(*payer, payees[0], minor).head.sequence;
            for (number, payee) in payees.iter().cycle().take(10).enumerate() {
                let mut transfer = self.network.transfer(*payer, *payee, minor);
                transfer.head.sequence = first + number as u64;
                commands.push((*payer, unsigned(transfer)));
            }
        }
        self.at_once(commands)
    }
}

fn settled(outcomes: &[Outcome]) -> u64 {
    outcomes.iter().filter(|outcome| outcome.is_settled()).count() as u64
}

#[test]
fn no_way_of_being_paid_at_several_banks_at_once_leads_above_the_holding_limit() {
    let mut attack = Attack::new();
    let change = PolicyChange::HoldingLimit { class: Class::HOUSEHOLD, limit: Some(amount(LIMIT)) };
    attack.network.enact(vec![policy(change)]);
    let (own, friends) = (attack.own.clone(), attack.friends.clone());

    // Thirty transfers of 99 over three banks, in one block: ten fit.
    let outcomes = attack.flood(&friends, &own, 99);
    assert_eq!((settled(&outcomes), attack.held()), (10, 990));
    assert!(outcomes.iter().all(|outcome| outcome.is_settled() || outcome.reason == Reason::HoldingLimit));

    // Funding by each bank, a captured hold, and a top-up whose remainder stays on the payer's own wallet.
    for (bank, wallet) in BANKS.iter().zip(&own) {
        attack.network.must_settle(attack.network.issuance(IssuanceKind::Issue, *bank, 11));
        assert_eq!(attack.network.settle(attack.network.funding(*wallet, 11)).reason, Reason::HoldingLimit);
    }
    let hold = attack.network.must_settle(attack.network.hold(friends[0], own[1], 11));
    assert_eq!(attack.network.settle(attack.network.capture(own[1].bank.0, hold, 11)).reason, Reason::HoldingLimit);
    attack.network.must_settle(attack.network.capture(own[1].bank.0, hold, 10));
    assert_eq!(attack.held(), LIMIT);

    // Money set aside in a hold still counts.
    attack.network.must_settle(attack.network.hold(own[0], friends[0], 90));
    assert_eq!(attack.network.settle(attack.network.transfer(friends[1], own[2], 1)).reason, Reason::HoldingLimit);
}

#[test]
fn topping_up_ones_own_other_wallet_keeps_to_the_holding_limit() {
    let mut attack = Attack::new();
    let change = PolicyChange::HoldingLimit { class: Class::HOUSEHOLD, limit: Some(amount(LIMIT)) };
    attack.network.enact(vec![policy(change)]);
    let own = attack.own.clone();
    attack.network.fund(own[0], 400);
    attack.network.must_settle(attack.network.link(own[0], 1));
    // 400 of it moves, 601 would come from bank 1: together one above the limit, so nothing happens.
    let above = attack.network.reverse_waterfall(1, 1_000, attack.network.transfer(own[0], own[1], 1_001));
    assert_eq!(attack.network.settle(above), Outcome::refused(Reason::HoldingLimit, LIMIT, 601));
    assert_eq!((attack.held(), attack.network.available(own[0])), (400, 400));
    let exact = attack.network.reverse_waterfall(1, 1_000, attack.network.transfer(own[0], own[1], 1_000));
    assert_eq!(
        attack.network.settle(exact),
        Outcome::paid(Charges { reverse_waterfall: amount(600), ..Charges::default() })
    );
    assert_eq!(attack.held(), LIMIT);
    // What adds nothing is never refused.
    attack.network.must_settle(attack.network.transfer(own[1], own[2], 1_000));
}

#[test]
fn a_refusal_for_the_holding_limit_is_the_same_whatever_the_payee_holds() {
    let refusals = [0, 900].map(|held| {
        let mut attack = Attack::new();
        let change = PolicyChange::HoldingLimit { class: Class::HOUSEHOLD, limit: Some(amount(LIMIT)) };
        attack.network.enact(vec![policy(change)]);
        if held > 0 {
            attack.network.fund(attack.own[2], held);
        }
        attack.network.settle(attack.network.transfer(attack.friends[0], attack.own[0], 1_500))
    });
    assert_eq!(refusals, [Outcome::refused(Reason::HoldingLimit, LIMIT, 1_500); 2]);
}

#[test]
fn quotes_are_the_same_whatever_the_payee_holds() {
    let quotes = [0, 1, 900, LIMIT].map(|held| {
        let mut attack = Attack::new();
        let change = PolicyChange::HoldingLimit { class: Class::HOUSEHOLD, limit: Some(amount(LIMIT)) };
        attack.network.enact(vec![policy(change)]);
        if held > 0 {
            attack.network.fund(attack.own[2], held);
        }
        let (from, to, ledger) = (attack.friends[0], attack.own[0], &attack.network.ledger);
        [1, 99, 100, 101, LIMIT, LIMIT + 1]
            .map(|minor| ledger.quote(from, to, amount(minor), Amount::MAX, attack.network.now))
    });
    assert!(quotes.iter().all(|found| found == &quotes[0]), "{quotes:?}");
    let above = quotes[0][5].outcome;
    assert_eq!(above, Outcome::refused(Reason::HoldingLimit, LIMIT, LIMIT + 1));
}

#[test]
fn a_holder_above_a_lowered_limit_spends_from_every_bank_and_receives_at_none() {
    let mut attack = Attack::new();
    let (own, friends) = (attack.own.clone(), attack.friends.clone());
    attack.flood(&friends, &own, 100);
    assert_eq!(attack.held(), 3_000);
    let change = PolicyChange::HoldingLimit { class: Class::HOUSEHOLD, limit: Some(amount(LIMIT)) };
    attack.network.enact(vec![policy(change)]);
    for wallet in &own {
        assert_eq!(attack.network.settle(attack.network.transfer(friends[0], *wallet, 1)).reason, Reason::HoldingLimit);
        attack.network.must_settle(attack.network.transfer(*wallet, friends[0], 600));
    }
    assert_eq!(attack.held(), 1_200);
    // The next credit takes nothing of the earlier balance, and with a consent goes to the deposit whole.
    attack.network.must_settle(attack.network.link(own[0], 1));
    assert_eq!(attack.network.settle(attack.network.transfer(friends[0], own[0], 50)), Outcome::settled());
    assert_eq!(attack.held(), 1_200);
}

#[test]
fn payments_of_a_day_a_month_and_a_window_count_over_all_banks() {
    let mut attack = Attack::new();
    let (own, friends) = (attack.own.clone(), attack.friends.clone());
    attack.flood(&friends, &own, 100);
    let class = Class::HOUSEHOLD;
    attack.network.enact(vec![
        policy(PolicyChange::DayLimit { class, limit: Some(amount(100)) }),
        policy(PolicyChange::MonthLimit { class, limit: Some(amount(250)) }),
        velocity(class, 12, HOUR_MS),
    ]);
    // Each of thirty payments of 10 a day: ten fit; the third day the month's limit leaves five.
    for expected in [10, 10, 5, 0] {
        let outcomes = attack.flood(&own, &friends, 10);
        assert_eq!(settled(&outcomes), expected);
        attack.network.wait(DAY_MS);
    }
    // A new month. Only the window limits payments of 1: twelve, and after it twelve more.
    attack.network.wait(10 * DAY_MS);
    for _ in 0..2 {
        let outcomes = attack.flood(&own, &friends, 1);
        assert_eq!(settled(&outcomes), 12);
        assert!(outcomes.iter().all(|outcome| outcome.is_settled() || outcome.reason == Reason::Velocity));
        // Nothing within the window, up to its very edge.
        attack.network.wait(HOUR_MS - 1);
        assert_eq!(settled(&attack.flood(&own, &friends, 1)), 0);
        attack.network.wait(1);
    }
}

#[test]
fn expiry_leaves_nothing_behind_without_traffic_and_under_a_hold() {
    let mut network = Network::build(|genesis| genesis.policy.work_per_block = cbdc_ledger::policy::WorkPerBlock(2));
    let holders: Vec<AccountId> =
        (0..9).map(|number| network.open(1 + number % 3, &format!("holder {number}"), Class::HOUSEHOLD)).collect();
    let shop = network.open(2, "shop", Class::MERCHANT);
    let expires_at = network.now.plus_ms(DAY_MS);
    let cohort = Cohort { class: Class::HOUSEHOLD, bank: None, first: 0 };
    let purpose = Purpose { expires_at, payees: Classes::of([Class::MERCHANT]), funding: Funding::Equity };
    network.enact(vec![GovernanceAction::Grant(Grant { cohort, amount_each: amount(55), purpose: Some(purpose) })]);
    let idle = |network: &mut Network| {
        // Blocks are cut only when the ledger says that one is due.
        let mut blocks = 0;
        while let Some(due) = network.ledger.next_due() {
            network.now = network.now.max(due);
            network.block(&[]);
            blocks += 1;
            assert!(blocks < 50, "the ledger comes to rest");
        }
    };
    // Payments continue over several blocks; then two holders set their money aside until the very end, and one spends
    // some.
    for _ in 0..8 {
        network.block(&[]);
    }
    assert_eq!(network.ledger.supply().targeted, amount(9 * 55));
    for holder in &holders[..2] {
        let mut hold = network.hold(*holder, shop, 55);
        hold.expires_at = expires_at;
        network.must_settle(hold);
    }
    network.must_settle(network.transfer(holders[8], shop, 20));
    idle(&mut network);
    let left: i128 = holders.iter().map(|holder| network.ledger.account(*holder).unwrap().posted()).sum();
    assert_eq!((left, network.ledger.holds().open().count()), (0, 0));
    assert_eq!(network.ledger.supply().expired, amount(9 * 55 - 20));
    assert_eq!((network.available(shop), network.ledger.books().cbdc()), (20, amount(20)));
    assert!(!network.ledger.programmes().has_earmarks());
}

#[test]
fn a_checkpoint_holds_more_promises_and_purpose_bound_money_than_fit_in_one_chunk() {
    let mut network = Network::build(|_| {});
    let shop = network.open(2, "shop", Class::MERCHANT);
    let holders: Vec<AccountId> =
        (0..600).map(|number| network.open(1, &format!("holder {number}"), Class::HOUSEHOLD)).collect();
    let expires_at = network.now.plus_ms(DAY_MS);
    let cohort = Cohort { class: Class::HOUSEHOLD, bank: None, first: 0 };
    let purpose = Purpose { expires_at, payees: Classes::of([Class::MERCHANT]), funding: Funding::Equity };
    network.enact(vec![GovernanceAction::Grant(Grant { cohort, amount_each: amount(64), purpose: Some(purpose) })]);
    for holder in &holders {
        let first = network.hold(*holder, shop, 1);
        let holds = (0..64).map(|number| {
            let mut hold = first;
            hold.head.sequence += number;
            hold.expires_at = expires_at;
            unsigned(hold)
        });
        let holds: Vec<Command> = holds.collect();
        assert_eq!(settled(&network.block(&holds).outcomes), 64);
    }
    let (mut chunks, frozen) = (Vec::new(), network.ledger.snapshot());
    let root = frozen.write(|chunk| {
        chunks.push(chunk);
        Ok::<_, std::convert::Infallible>(())
    });
    assert!(chunks.iter().all(|chunk| chunk.len() < 2 << 20), "no chunk is large");
    assert!(chunks.iter().map(Vec::len).sum::<usize>() > 3 << 20, "all of them together are");
    let mut loader = cbdc_ledger::checkpoint::Loader::default();
    chunks.iter().for_each(|chunk| loader.chunk(chunk).unwrap());
    let mut loaded = loader.finish(root.unwrap()).unwrap();
    // The loaded ledger continues as the original does: everything expires.
    let block = model::network::apply(&mut loaded, expires_at, &[]);
    network.now = expires_at;
    assert_eq!(network.block(&[]), block);
}
