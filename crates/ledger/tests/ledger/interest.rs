//! Interest on wallets: a ledger that posts as late as it may, against a model that sweeps every wallet every day.
//!
//! Histories of rates, classes, allowances, transfers, liens, holds and dates, with so little work allowed in a block
//! that the ledger's own sweep is always behind. After every block each wallet, brought to today by the ledger's
//! reading of it, has the money, the claim and the unposted remainder of the model's to the unit.

use std::collections::BTreeSet;

use crate::model;
use crate::model::network::{DAY_MS, HOUR_MS, Network, amount, capitalisation, remuneration, unsigned};
use crate::model::reference::calendar::day_of;
use crate::model::reference::{Model, minor};
use cbdc_ledger::books::BookAccount;
use cbdc_ledger::command::{FreezeKind, GovernanceAction, IssuanceKind, Record};
use cbdc_ledger::genesis::DayCount;
use cbdc_ledger::policy::{Capitalisation, WorkPerBlock};
use cbdc_ledger::time::LedgerDay;
use cbdc_ledger::{AccountId, Amount, Class, Command, Genesis, Ledger, Signed, Timestamp};
use proptest::prelude::*;

/// Holders and the banks of their wallets; the allowance is the first one's.
const WALLETS: [(&str, u16); 5] = [("alice", 1), ("alice", 2), ("bob", 1), ("carol", 2), ("carol", 1)];
/// The classes among which holders move.
const CLASSES: u8 = 3;

#[derive(Clone, Debug)]
enum Event {
    Transfer { from: usize, to: usize, share_percent: u64 },
    Freeze { wallet: usize, share_percent: u64 },
    Unfreeze { wallet: usize, share_percent: u64 },
    Hold { from: usize, to: usize, share_percent: u64, days: u64 },
    Capture { hold: usize, share_percent: u64 },
    Void { hold: usize },
    Reclassify { wallet: usize, class: u8 },
    Designate { wallet: usize },
    Seize { from: usize, to: usize, share_percent: u64 },
    Rates { class: u8, bounded: Vec<(u64, i32)>, above: i32 },
    Capitalise { daily: bool },
    Nothing,
}

/// An event and how long after the one before.
#[derive(Clone, Debug)]
struct Step {
    after_ms: u64,
    event: Event,
}

fn events() -> impl Strategy<Value = Event> {
    let wallet = || 0..WALLETS.len();
    // Occasionally all of it, or more.
    let share = || prop_oneof![4 => 1..100u64, 2 => Just(100), 1 => 100..300u64];
    let rate = || prop_oneof![3 => -200_000..200_000, 1 => Just(0), 1 => -3_000_000..600_000, 1 => -20..20];
    let bounds = prop::collection::btree_map(1..900_000u64, rate(), 0..=3);
    prop_oneof![
        8 => (wallet(), wallet(), share())
            .prop_map(|(from, to, share_percent)| Event::Transfer { from, to, share_percent }),
        2 => (wallet(), share()).prop_map(|(wallet, share_percent)| Event::Freeze { wallet, share_percent }),
        1 => (wallet(), share()).prop_map(|(wallet, share_percent)| Event::Unfreeze { wallet, share_percent }),
        3 => (wallet(), wallet(), share(), 1..31u64)
            .prop_map(|(from, to, share_percent, days)| Event::Hold { from, to, share_percent, days }),
        2 => (0..4usize, 1..=100u64).prop_map(|(hold, share_percent)| Event::Capture { hold, share_percent }),
        1 => (0..4usize).prop_map(|hold| Event::Void { hold }),
        3 => (wallet(), 0..CLASSES).prop_map(|(wallet, class)| Event::Reclassify { wallet, class }),
        3 => wallet().prop_map(|wallet| Event::Designate { wallet }),
        1 => (wallet(), wallet(), share())
            .prop_map(|(from, to, share_percent)| Event::Seize { from, to, share_percent }),
        6 => (0..CLASSES, bounds, rate()).prop_map(|(class, bounded, above)| {
            Event::Rates { class, bounded: bounded.into_iter().collect(), above }
        }),
        2 => any::<bool>().prop_map(|daily| Event::Capitalise { daily }),
        3 => Just(Event::Nothing),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let after_ms = prop_oneof![
        4 => 0..4 * HOUR_MS,
        3 => 0..3 * DAY_MS,
        3 => Just(DAY_MS),
        2 => (26..33u64).prop_map(|days| days * DAY_MS),
        1 => (80..800u64).prop_map(|days| days * DAY_MS),
    ];
    (after_ms, events()).prop_map(|(after_ms, event)| Step { after_ms, event })
}

/// Days just before the ends of months and years, leap years among them.
fn beginnings() -> impl Strategy<Value = Timestamp> {
    let dates =
        [(2026, 11, 23), (2027, 1, 30), (2027, 2, 27), (2027, 12, 31), (2028, 2, 28), (2028, 2, 29), (2028, 3, 1)];
    let later = [(2096, 2, 28), (2100, 2, 28)];
    let dates = prop::sample::select([&dates[..], &later].concat());
    (dates, 0..DAY_MS).prop_map(|((year, month, day), ms)| Timestamp(day_of(year, month, day) as u64 * DAY_MS + ms))
}

/// The ledger, driven by its test network, and the model.
struct Both {
    network: Network,
    model: Model,
    wallets: Vec<AccountId>,
}

impl Both {
    fn new(genesis: impl FnOnce(&mut Genesis)) -> Both {
        let network = Network::build(genesis);
        let model = Model::new(network.ledger.genesis());
        Both { network, model, wallets: Vec::new() }
    }

    fn block(&mut self, commands: &[Command]) {
        let before = self.network.ledger.remuneration_sweep();
        let block = self.network.block(commands);
        self.model.swept = Some(self.swept_since(before));
        self.model.begin_block(self.network.now.0);
        let expected: Vec<_> = commands.iter().map(|command| self.model.settle(command)).collect();
        assert_eq!(block.outcomes, expected, "{commands:?}");
        compare(&self.network.ledger, &self.model);
    }

    /// The wallets that the last block's sweep reached. What could not be paid joins what the holder owes only then.
    fn swept_since(&self, (done, next): (LedgerDay, Option<AccountId>)) -> BTreeSet<AccountId> {
        let (done_now, next_now) = self.network.ledger.remuneration_sweep();
        if (done_now, next_now) == (done, next) {
            return BTreeSet::new();
        }
        let is_swept = |id: &AccountId| next.is_none_or(|next| *id >= next) && next_now.is_none_or(|end| *id < end);
        self.model.wallets.keys().copied().filter(is_swept).collect()
    }

    fn order<R: Record>(&mut self, record: R)
    where
        Command: From<Signed<R>>,
    {
        self.block(&[unsigned(record)]);
    }

    /// Proposes and carries actions; they are enacted with the next block.
    fn decide(&mut self, actions: Vec<GovernanceAction>) {
        let proposal = self.network.proposal(actions);
        self.order(proposal);
        let ballot = self.network.ballot(1, true, self.model.proposals.len() as u64);
        self.order(ballot);
    }

    fn open(&mut self, name: &str, bank: u16, class: Class, minor: u64) {
        let opening = self.network.opening(bank, name, class);
        self.order(opening);
        let id = *self.model.wallets.keys().find(|id| !self.wallets.contains(id)).expect("a wallet was opened");
        self.wallets.push(id);
        let issuance = self.network.issuance(IssuanceKind::Issue, bank, minor);
        self.order(issuance);
        let funding = self.network.funding(id, minor);
        self.order(funding);
    }

    /// A share of what a wallet may spend; at least 1.
    fn share(&self, wallet: AccountId, percent: u64) -> u64 {
        (self.model.spendable(wallet) as u64 * percent / 100).max(1)
    }

    fn play(&mut self, step: &Step) {
        self.network.wait(step.after_ms);
        let hold_at = |model: &Model, index: usize| {
            let (number, hold) = model.holds.iter().nth(index)?;
            Some((*number, hold.payee.bank.0, hold.maximum))
        };
        match step.event.clone() {
            Event::Transfer { from, to, share_percent } => {
                let (from, to) = (self.wallets[from], self.wallets[to]);
                let transfer = self.network.transfer(from, to, self.share(from, share_percent));
                self.order(transfer);
            }
            Event::Freeze { wallet, share_percent } => {
                let wallet = self.wallets[wallet];
                let minor = self.share(wallet, share_percent);
                let order = self.network.order(FreezeKind::Freeze, wallet, minor);
                self.order(order);
            }
            Event::Unfreeze { wallet, share_percent } => {
                let wallet = self.wallets[wallet];
                let minor = self.model.wallets[&wallet].frozen as u64 * share_percent / 100;
                let order = self.network.order(FreezeKind::Unfreeze, wallet, minor);
                self.order(order);
            }
            Event::Hold { from, to, share_percent, days } => {
                let (from, to) = (self.wallets[from], self.wallets[to]);
                let mut hold = self.network.hold(from, to, self.share(from, share_percent));
                hold.expires_at = self.network.now.plus_ms(days * DAY_MS);
                self.order(hold);
            }
            Event::Capture { hold, share_percent } => match hold_at(&self.model, hold) {
                Some((number, bank, maximum)) => {
                    let minor = (maximum as u64 * share_percent / 100).max(1);
                    let capture = self.network.capture(bank, number, minor);
                    self.order(capture);
                }
                None => self.block(&[]),
            },
            Event::Void { hold } => match hold_at(&self.model, hold) {
                Some((number, bank, _)) => {
                    let void = self.network.void(bank, number);
                    self.order(void);
                }
                None => self.block(&[]),
            },
            Event::Reclassify { wallet, class } => {
                let reclassification = self.network.reclassification(WALLETS[wallet].0, Class(class));
                self.order(reclassification);
            }
            Event::Designate { wallet } => {
                let designation = self.network.designation(self.wallets[wallet]);
                self.order(designation);
            }
            Event::Seize { from, to, share_percent } => {
                let (from, to) = (self.wallets[from], self.wallets[to]);
                let seizure = self.network.seizure(from, self.share(from, share_percent), to);
                self.order(seizure);
            }
            Event::Rates { class, bounded, above } => {
                self.decide(vec![remuneration(Class(class), &bounded, above)]);
            }
            Event::Capitalise { daily } => {
                let rule = if daily { Capitalisation::Daily } else { Capitalisation::Monthly };
                self.decide(vec![capitalisation(rule)]);
            }
            Event::Nothing => self.block(&[]),
        }
    }
}

fn compare(ledger: &Ledger, model: &Model) {
    let (mut today_sum, mut posted_sum) = (0, 0);
    for (id, expected) in &model.wallets {
        let today = ledger.account_today(*id).unwrap();
        assert_eq!(i128::from(today.accrued_to.0), model.today(), "{id} is brought to today");
        assert_eq!(
            (minor(today.available), minor(today.held), minor(today.claim), today.accrued),
            (expected.available, model.held(*id), expected.claim, expected.accrued),
            "available, held, claim and accrued of {id} on day {}",
            model.today()
        );
        assert_eq!((minor(today.frozen), today.has_allowance), (expected.frozen, expected.allowance), "{id}");
        today_sum += today.posted();
        posted_sum += ledger.account(*id).unwrap().posted();
    }
    for holder in model.classes.keys() {
        assert_eq!(minor(ledger.holder(*holder).unwrap().claim), model.claim_of(*holder), "claim on {holder}");
    }
    // What is posted and what is not posted yet amount to what the eager model has posted.
    let treasuries: i128 = model.treasuries.values().sum();
    assert_eq!(today_sum + treasuries, model.supply());
    assert_eq!(posted_sum + treasuries, ledger.books().balance(BookAccount::Cbdc));
}

/// The wallets of the test, with their money.
fn opened(genesis: impl FnOnce(&mut Genesis), money: &[u64; WALLETS.len()], classes: [u8; 3]) -> Both {
    let mut both = Both::new(genesis);
    for (index, (name, bank)) in WALLETS.into_iter().enumerate() {
        let class = Class(classes[["alice", "bob", "carol"].iter().position(|known| *known == name).unwrap()]);
        both.open(name, bank, class, money[index]);
    }
    both
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn late_posting_and_a_sweep_every_day_agree_to_the_unit(
        (created_at, offset, is_360, work) in (beginnings(), -720..840i16, any::<bool>(), 1..=3u32),
        (rate, is_daily) in (-200_000..200_000i32, any::<bool>()),
        money in prop::array::uniform5(1..1_000_000u64),
        classes in prop::array::uniform3(0..CLASSES),
        steps in prop::collection::vec(steps(), 1..60),
    ) {
        let genesis = |genesis: &mut Genesis| {
            genesis.created_at = created_at;
            genesis.day_offset_minutes = offset;
            genesis.day_count = if is_360 { DayCount::Actual360 } else { DayCount::Actual365 };
            genesis.policy.work_per_block = WorkPerBlock(work);
            genesis.policy.classes[0].tiers = model::network::tiers(&[(50_000, rate)], -rate / 2);
            genesis.policy.capitalisation = if is_daily { Capitalisation::Daily } else { Capitalisation::Monthly };
            genesis.books = model::network::books_with_reserves(3_000_000);
        };
        let mut both = opened(genesis, &money, classes);
        for step in &steps {
            both.play(step);
        }
    }
}

/// Frozen money pays no demurrage, so that a claim stands on the wallet that is seized; the holder's other wallet,
/// which receives the money, pays it.
#[test]
fn what_fell_due_on_a_seized_wallet_is_taken_from_what_its_holder_receives() {
    let genesis = |genesis: &mut Genesis| {
        genesis.policy.work_per_block = WorkPerBlock(1);
        genesis.policy.classes[2].tiers = model::network::tiers(&[], -2_000_000);
        genesis.policy.capitalisation = Capitalisation::Daily;
        genesis.books = model::network::books_with_reserves(3_000_000);
    };
    let mut both = opened(genesis, &[1_000, 1_000, 1_000, 100_000, 1_000], [0, 0, 2]);
    let [.., seized, receiving] = both.wallets[..] else { unreachable!("carol has two wallets") };
    both.play(&Step { after_ms: 0, event: Event::Freeze { wallet: 3, share_percent: 100 } });
    both.play(&Step { after_ms: 20 * DAY_MS, event: Event::Seize { from: 3, to: 4, share_percent: 100 } });
    // 100,000 at −200 % a year owe 10,958 after 20 days; the 1 that was seized goes there, to the last of it.
    let ledger = &both.network.ledger;
    assert_eq!(ledger.holder_of(seized).unwrap().claim, amount(10_957));
    assert_eq!(ledger.account(receiving).unwrap().available, amount(896));
}

/// What is told to fall due is what the block at that time does.
#[test]
fn what_falls_due_until_a_time_is_told_before_it_does() {
    let mut network = Network::build(|genesis| {
        genesis.policy.classes[0].tiers = model::network::tiers(&[], 20_000);
        genesis.policy.capitalisation = Capitalisation::Daily;
        genesis.books = model::network::books_with_reserves(3_000_000);
    });
    let (payer, payee) = (network.open(1, "alice", Class::HOUSEHOLD), network.open(2, "bob", Class::HOUSEHOLD));
    network.fund(payer, 1_000_000);
    let mut hold = network.hold(payer, payee, 100);
    hold.expires_at = network.now.plus_ms(DAY_MS);
    network.must_settle(hold);
    let mut proposal = network.proposal(vec![capitalisation(Capitalisation::Monthly)]);
    proposal.expires_at = network.now.plus_ms(2 * DAY_MS);
    network.must_settle(proposal);

    let later = network.now.plus_ms(30 * DAY_MS);
    let due = network.ledger.due_until(later);
    assert_eq!((due.days, due.holds, due.proposals), (30, 1, 1));
    assert!(due.interest > 1_600, "30 days of 2 % on 10,000.00: {due:?}");
    network.now = later;
    let block = network.block(&[]);
    assert_eq!(block.changes.work.holds_expired, 1);
    assert_eq!(block.changes.proposals_closed.len(), 1);
    assert_eq!(u128::from(block.header.supply.interest.minor()), due.interest);
    let nothing = network.ledger.due_until(later);
    assert_eq!((nothing.days, nothing.interest, nothing.holds, nothing.proposals), (0, 0, 0, 0));
}

/// The specification's example: 400,000 cents, +2 % up to 300,000 and −1 % above, 30 days.
#[test]
fn the_worked_example_is_posted_on_the_first_of_the_month() {
    for (day_count, posted) in [(DayCount::Actual365, 410), (DayCount::Actual360, 416)] {
        let mut both = Both::new(|genesis| {
            // All of June.
            genesis.created_at = Timestamp(day_of(2027, 6, 1) as u64 * DAY_MS);
            genesis.day_count = day_count;
            genesis.policy.classes[0].tiers = model::network::tiers(&[(300_000, 20_000)], -10_000);
            genesis.books = model::network::books_with_reserves(1_000_000);
        });
        both.open("alice", 1, Class::HOUSEHOLD, 400_000);
        let alice = both.wallets[0];
        both.network.now = Timestamp(day_of(2027, 7, 1) as u64 * DAY_MS - 1);
        both.block(&[]);
        assert_eq!(both.network.available(alice), 400_000);
        both.network.wait(1);
        both.block(&[]);
        let account = *both.network.ledger.account(alice).unwrap();
        assert_eq!(account.available, amount(400_000 + posted));
        let unit = i128::from(day_count.days()) * 1_000_000;
        assert_eq!(account.accrued, (300_000 * 20_000 - 100_000 * 10_000) * 30 - i128::from(posted) * unit);
        assert_eq!(account.claim, Amount::ZERO);
    }
}

/// A canary: the property above proves little unless its histories post, owe and fall behind.
#[test]
fn the_histories_post_both_ways_and_leave_claims() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut posts, mut takes, mut claims) = (0, 0, 0);
    for _ in 0..40 {
        let plans = prop::collection::vec(steps(), 40).new_tree(&mut runner).unwrap().current();
        let mut both =
            opened(|genesis| genesis.books = model::network::books_with_reserves(3_000_000), &[50_000; 5], [0, 1, 2]);
        for step in &plans {
            both.play(step);
        }
        posts += usize::from(both.model.terms.interest > 0);
        takes += usize::from(both.model.terms.demurrage > 0);
        claims += usize::from(both.model.claims.values().any(|claim| *claim > 0));
    }
    assert!(posts > 20 && takes > 20 && claims > 3, "{posts} post, {takes} take, {claims} leave a claim");
}
