//! What the operations desk books for banks, and what the end of a ledger day does with it.
//!
//! Most sums are chosen so that a day's interest is a whole number: 36,500 at 1 % is 1 a day on actual/365.

use crate::model::network::{DAY_MS, HOUR_MS, Network, START, amount, books_with_reserves};
use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::bank_position::{BankPosition, BankStatus, Loan};
use cbdc_ledger::books::{BankBooks, BookAccount, Income};
use cbdc_ledger::command::{GovernanceAction, Operation, OperationKind};
use cbdc_ledger::genesis::DayCount;
use cbdc_ledger::member::Role;
use cbdc_ledger::policy::{KeyRates, PolicyChange, ReserveRules};
use cbdc_ledger::time::LedgerDay;
use cbdc_ledger::{BankId, Genesis, Outcome, Reason, Timestamp};

/// The ledger day of [`START`].
const TODAY: u32 = 20_780;
const PAR: u32 = 1_000_000;
const PERCENT: i32 = 10_000;

/// Deposit 2 %, policy 3 %, lending 5 %, penalty 10 %; a tenth is taken off collateral.
fn with_key_rates(genesis: &mut Genesis) {
    let [policy, deposit, lending, penalty] = [3, 2, 5, 10].map(|percent| RatePpm(percent * PERCENT));
    genesis.policy.key_rates = KeyRates { policy, deposit, lending, penalty };
    genesis.policy.haircut_ppm = 100_000;
}

/// A network with [`with_key_rates`] in which bank 1 has pledged 100,000, which covers 90,000.
fn with_collateral() -> Network {
    let mut network = Network::build(with_key_rates);
    network.must_settle(network.operation(OperationKind::Pledge, 1, 100_000));
    network
}

fn reserve_rules(rate_up_to: i32, rate_above: i32, period_days: u16) -> ReserveRules {
    ReserveRules {
        rate_up_to: RatePpm(rate_up_to),
        rate_above: RatePpm(rate_above),
        requirement_ppm: 100_000,
        period_days,
        shortfall_rate: RatePpm(0),
    }
}

fn refused(reason: Reason, limit: u64, amount: u64) -> Outcome {
    Outcome::refused(reason, limit, amount)
}

impl Network {
    fn trade(&self, kind: OperationKind, bank: u16, nominal: u64, price_ppm: u32) -> Operation {
        Operation { price_ppm, ..self.operation(kind, bank, nominal) }
    }

    fn refinance(&self, bank: u16, minor: u64, rate: i32, matures: u32) -> Operation {
        self.refinancing(bank, minor, rate, LedgerDay(matures))
    }

    fn bank(&self, bank: u16) -> BankBooks {
        self.ledger.books().bank(BankId(bank))
    }

    fn reserves(&self, bank: u16) -> u64 {
        self.bank(bank).reserves.minor()
    }

    fn position(&self, bank: u16) -> &BankPosition {
        self.ledger.positions().bank(BankId(bank)).expect("the bank is a member")
    }

    /// Lets `days` midnights pass and cuts one block at the last; returns the number of day ends it processed.
    fn sleep(&mut self, days: u64) -> u32 {
        self.now = Timestamp(self.now.0 / DAY_MS * DAY_MS).plus_ms(days * DAY_MS);
        self.block(&[]).changes.work.days_closed
    }

    /// Moves reserves between banks so that `bank` has exactly `minor`; bank 3 is the other side.
    fn leave_reserves(&mut self, bank: u16, minor: u64) {
        let has = self.reserves(bank);
        if has > minor {
            self.must_settle(self.reserves_transfer(bank, 3, has - minor));
        } else if has < minor {
            self.must_settle(self.reserves_transfer(3, bank, minor - has));
        }
    }

    /// Every balance of the balance sheet, equity last.
    fn sheet(&self) -> Vec<(BookAccount, i128)> {
        let books = self.ledger.books();
        let accounts = books.accounts().into_iter().chain([BookAccount::Equity]);
        accounts.map(|account| (account, books.balance(account))).collect()
    }

    /// The changes that `act` makes on the balance sheet.
    fn entries(&mut self, act: impl FnOnce(&mut Network)) -> Vec<(BookAccount, i128)> {
        let before = self.sheet();
        act(self);
        let after = self.sheet();
        assert_eq!(before.len(), after.len(), "no account is opened");
        let changes = before.iter().zip(after).map(|((_, before), (account, after))| (account, after - before));
        changes.filter(|(_, change)| *change != 0).collect()
    }
}

// Operations.

#[test]
fn each_operation_posts_its_entries() {
    use BookAccount::{Banknotes, DepositFacility, Government, Loans, Reserves, Securities};
    let bank = BankId(1);
    let mut network = with_collateral();
    for (kind, debit, credit) in [
        (OperationKind::WithdrawBanknotes, (Reserves(bank), -300), (Banknotes, 300)),
        (OperationKind::DepositBanknotes, (Reserves(bank), 300), (Banknotes, -300)),
        (OperationKind::CollectForGovernment, (Reserves(bank), -300), (Government, 300)),
        (OperationKind::PayFromGovernment, (Reserves(bank), 300), (Government, -300)),
        (OperationKind::BuySecurities, (Securities, 300), (Reserves(bank), 300)),
        (OperationKind::SellSecurities, (Securities, -300), (Reserves(bank), -300)),
        (OperationKind::PlaceDeposit, (Reserves(bank), -300), (DepositFacility(bank), 300)),
        (OperationKind::Lend, (Loans(bank), 300), (Reserves(bank), 300)),
        (OperationKind::Refinance, (Loans(bank), 300), (Reserves(bank), 300)),
    ] {
        let mut operation = network.operation(kind, 1, 300);
        match kind {
            OperationKind::BuySecurities | OperationKind::SellSecurities => operation.price_ppm = PAR,
            OperationKind::Refinance => operation.matures = LedgerDay(TODAY + 7),
            _ => {}
        }
        let mut entries = network.entries(|network| assert_eq!(network.settle(operation), Outcome::settled()));
        let mut expected = [debit, credit];
        entries.sort();
        expected.sort();
        assert_eq!(entries, expected, "{kind:?}");
    }
    let terms: Vec<_> = network.position(1).loans.iter().map(|loan| (loan.rate, loan.matures.0)).collect();
    assert_eq!(terms, [(None, TODAY + 1), (Some(RatePpm(0)), TODAY + 7)]);
}

#[test]
fn collateral_is_noted_without_entries() {
    let mut network = with_collateral();
    let entries = network.entries(|network| {
        network.must_settle(network.operation(OperationKind::Pledge, 1, 500));
        network.must_settle(network.operation(OperationKind::ReleaseCollateral, 1, 200));
    });
    assert_eq!((entries, network.position(1).collateral), (vec![], amount(100_300)));
}

#[test]
fn a_refused_operation_changes_nothing() {
    use OperationKind::*;
    let mut network = with_collateral();
    network.enact(vec![GovernanceAction::BankStatus { bank: BankId(2), status: BankStatus::Resolved }]);
    let before = (network.ledger.books().clone(), network.ledger.positions().clone());
    let max = u64::MAX;
    let (operation, trade) = (Network::operation, Network::trade);
    let table = [
        (operation(&network, WithdrawBanknotes, 1, 0), Reason::AmountZero, 0, 0),
        (operation(&network, WithdrawBanknotes, 9, 0), Reason::AmountZero, 0, 0),
        (operation(&network, WithdrawBanknotes, 9, 1), Reason::BankNotActive, 0, 0),
        (operation(&network, Pledge, 2, 1), Reason::BankNotActive, 0, 0),
        (operation(&network, WithdrawBanknotes, 1, 100_001), Reason::InsufficientReserves, 100_000, 100_001),
        (operation(&network, CollectForGovernment, 1, max), Reason::InsufficientReserves, 100_000, max),
        (operation(&network, PlaceDeposit, 1, 100_001), Reason::InsufficientReserves, 100_000, 100_001),
        (operation(&network, DepositBanknotes, 1, 5_001), Reason::InsufficientFunds, 5_000, 5_001),
        (operation(&network, PayFromGovernment, 1, 1), Reason::InsufficientFunds, 0, 1),
        (operation(&network, Pledge, 1, max), Reason::Overflow, 0, max),
        (operation(&network, ReleaseCollateral, 1, 100_001), Reason::InsufficientFunds, 100_000, 100_001),
        (operation(&network, Lend, 1, 90_001), Reason::CollateralTooLow, 90_000, 90_001),
        (operation(&network, Lend, 3, 1), Reason::CollateralTooLow, 0, 1),
        (network.refinance(1, 1, 0, TODAY), Reason::MaturityPast, u64::from(TODAY) + 1, u64::from(TODAY)),
        (network.refinance(3, 1, 0, 0), Reason::MaturityPast, u64::from(TODAY) + 1, 0),
        (network.refinance(1, 90_001, 0, TODAY + 1), Reason::CollateralTooLow, 90_000, 90_001),
        // 1 × 0.999999 rounds to nothing; the nominal held, 306,000, leaves nothing below 2^64; 2^64 − 1 at 2 is above
        // 2^64.
        (trade(&network, BuySecurities, 1, 1, 999_999), Reason::AmountZero, 0, 0),
        (trade(&network, BuySecurities, 1, max - 305_999, 1), Reason::Overflow, 0, max - 305_999),
        (trade(&network, BuySecurities, 1, max, 2 * PAR), Reason::Overflow, 0, max),
        // (2^63 − 153,000) at 2 and the 306,000 that the securities cost are 2^64.
        (trade(&network, BuySecurities, 1, (1 << 63) - 153_000, 2 * PAR), Reason::Overflow, 0, max - 305_999),
        (trade(&network, SellSecurities, 1, 306_001, PAR), Reason::SecuritiesTooFew, 306_000, 306_001),
        (trade(&network, SellSecurities, 1, 1, 999_999), Reason::AmountZero, 0, 0),
        (trade(&network, SellSecurities, 1, 100_001, PAR), Reason::InsufficientReserves, 100_000, 100_001),
    ];
    for (mut operation, reason, limit, amount) in table {
        operation.head = network.member_head(Role::Operator, 0);
        let refusal = refused(reason, limit, amount);
        assert_eq!(network.settle(operation), refusal, "{operation:?}");
        let after = (network.ledger.books().clone(), network.ledger.positions().clone());
        assert_eq!(after, before, "{operation:?}");
    }
    // A bank may use the last of its reserves.
    network.must_settle(network.trade(SellSecurities, 1, 100_000, PAR));
    assert_eq!(network.reserves(1), 0);
}

#[test]
fn an_account_without_room_refuses() {
    // Bank 1 may borrow until its loans or reserves are full: 2^64 − 1 − 100,000 fits, one more does not.
    let mut network = Network::build(|_| {});
    network.must_settle(network.operation(OperationKind::Pledge, 1, u64::MAX));
    let most = u64::MAX - 100_000;
    assert_eq!(
        network.settle(network.operation(OperationKind::Lend, 1, most + 1)),
        refused(Reason::Overflow, 0, most + 1)
    );
    assert_eq!((network.bank(1).loans, network.position(1).loans.len()), (amount(0), 0));
    network.must_settle(network.operation(OperationKind::Lend, 1, most));
    assert_eq!(
        network.settle(network.operation(OperationKind::DepositBanknotes, 1, 1)),
        refused(Reason::Overflow, 0, 1)
    );
    // The sum of the loans would exceed 2^64 − 1: no collateral covers it.
    assert_eq!(
        network.settle(network.operation(OperationKind::Lend, 1, 100_001)),
        refused(Reason::CollateralTooLow, u64::MAX, u64::MAX)
    );
}

#[test]
fn a_suspended_bank_is_served_and_a_resolved_one_is_not() {
    let mut network = with_collateral();
    network.enact(vec![GovernanceAction::BankStatus { bank: BankId(1), status: BankStatus::Suspended }]);
    network.must_settle(network.operation(OperationKind::Lend, 1, 1_000));
    network.must_settle(network.statement(1, 70));
    network.enact(vec![GovernanceAction::BankStatus { bank: BankId(1), status: BankStatus::Resolved }]);
    assert_eq!(network.settle(network.statement(1, 71)), refused(Reason::BankNotActive, 0, 0));
    assert_eq!(network.position(1).deposits_reported, amount(70));
    // Its loan is still collected.
    network.sleep(1);
    assert_eq!((network.bank(1).loans, network.position(1).loans.len()), (amount(0), 0));
}

#[test]
fn a_statement_of_deposits_replaces_the_one_before_and_may_say_zero() {
    let mut network = Network::build(|_| {});
    for deposits in [500, 70, 0] {
        assert_eq!(network.settle(network.statement(2, deposits)), Outcome::settled());
        assert_eq!(network.position(2).deposits_reported, amount(deposits));
    }
    assert_eq!(network.position(1).deposits_reported, amount(0));
}

#[test]
fn securities_are_sold_at_average_cost_and_the_difference_goes_to_equity() {
    use BookAccount::{Equity, Reserves, Securities};
    use OperationKind::{BuySecurities, SellSecurities};
    let bank = BankId(1);
    let mut network = Network::build(|_| {});
    let trade = |network: &mut Network, kind, nominal, price_ppm| {
        network.entries(|network| assert_eq!(network.must_settle(network.trade(kind, 1, nominal, price_ppm)), 0))
    };
    // Opening 306,000 at 306,000; 100,000 at 0.90 and 94,000 at 1.10 make 500,000 at 499,400.
    trade(&mut network, BuySecurities, 100_000, 900_000);
    let bought = trade(&mut network, BuySecurities, 94_000, 1_100_000);
    assert_eq!(bought, [(Securities, 103_400), (Reserves(bank), 103_400)]);
    assert_eq!(network.ledger.books().securities_nominal(), amount(500_000));
    // 1,001 at 1.05: proceeds 1,051.05 → 1,051, cost 499,400 × 1,001 ÷ 500,000 = 999.79 → 999: a gain of 52.
    let sold = trade(&mut network, SellSecurities, 1_001, 1_050_000);
    assert_eq!(sold, [(Securities, -999), (Reserves(bank), -1_051), (Equity, 52)]);
    // 1,000 at 0.95: proceeds 950, cost 498,401 × 1,000 ÷ 498,999 = 998.80 → 998: a loss of 48.
    let sold = trade(&mut network, SellSecurities, 1_000, 950_000);
    assert_eq!(sold, [(Securities, -998), (Reserves(bank), -950), (Equity, -48)]);
    // The rest, 497,999 at 0.00001: proceeds 4.97 → 4, and all that is left of the cost leaves the books.
    let sold = trade(&mut network, SellSecurities, 497_999, 10);
    assert_eq!(sold, [(Securities, -497_403), (Reserves(bank), -4), (Equity, -497_399)]);
    assert_eq!(network.ledger.books().securities_nominal(), amount(0));
    let nothing_left = network.settle(network.trade(SellSecurities, 1, 1, PAR));
    assert_eq!(nothing_left, refused(Reason::SecuritiesTooFew, 0, 1));
}

// Collateral.

#[test]
fn lending_goes_as_far_as_the_collateral_after_the_haircut() {
    let mut network = with_collateral();
    network.must_settle(network.refinance(1, 50_000, 0, TODAY + 2));
    network.must_settle(network.operation(OperationKind::Lend, 1, 40_000));
    let one_more = network.settle(network.operation(OperationKind::Lend, 1, 1));
    assert_eq!(one_more, refused(Reason::CollateralTooLow, 90_000, 90_001));
    // 100,001 less a tenth is 90,000.9: still 90,000.
    network.must_settle(network.operation(OperationKind::Pledge, 1, 1));
    let one_more = network.settle(network.operation(OperationKind::Lend, 1, 1));
    assert_eq!(one_more, refused(Reason::CollateralTooLow, 90_000, 90_001));
    network.must_settle(network.operation(OperationKind::Pledge, 1, 1));
    network.must_settle(network.operation(OperationKind::Lend, 1, 1));
}

#[test]
fn collateral_that_loans_need_is_not_released() {
    let mut network = with_collateral();
    network.must_settle(network.operation(OperationKind::Lend, 1, 45_000));
    // Without 50,001 the rest covers 44,999.1.
    let too_much = network.settle(network.operation(OperationKind::ReleaseCollateral, 1, 50_001));
    assert_eq!(too_much, refused(Reason::CollateralTooLow, 44_999, 45_000));
    network.must_settle(network.operation(OperationKind::ReleaseCollateral, 1, 50_000));
    // A higher haircut recalls no loan, but no collateral is released until the loan is repaid.
    network.enact(vec![GovernanceAction::Policy(PolicyChange::Haircut { ppm: 500_000 })]);
    let now_too_much = network.settle(network.operation(OperationKind::ReleaseCollateral, 1, 1));
    assert_eq!(now_too_much, refused(Reason::CollateralTooLow, 24_999, 45_000));
    network.sleep(1);
    network.must_settle(network.operation(OperationKind::ReleaseCollateral, 1, 50_000));
    assert_eq!(network.position(1).collateral, amount(0));
}

// Standing facilities.

#[test]
fn a_night_on_the_deposit_facility_earns_the_deposit_rate() {
    use BookAccount::{DepositFacility, Equity, Reserves};
    let mut network = Network::build(with_key_rates);
    network.must_settle(network.operation(OperationKind::PlaceDeposit, 1, 36_500));
    // 36,500 at 2 % is 2 a day. It earns for one night however many days pass; later days earn nothing.
    let mut days = 0;
    let unwound = network.entries(|network| days = network.sleep(30));
    assert_eq!(unwound, [(Reserves(BankId(1)), 36_502), (DepositFacility(BankId(1)), -36_500), (Equity, -2)]);
    assert_eq!((days, network.ledger.next_due()), (1, None));
}

#[test]
fn the_remainder_of_a_nights_interest_is_carried_to_the_next_deposit() {
    let mut network = Network::build(with_key_rates);
    // 10,000 at 2 % is 200,000,000 of 365,000,000 a night: 0, 1, 0, 1, 0, 1, 1 …; after 73 nights exactly 40.
    for night in 1..=73 {
        network.must_settle(network.operation(OperationKind::PlaceDeposit, 1, 10_000));
        network.sleep(1);
        assert_eq!(network.reserves(1), 100_000 + night * 200 / 365, "night {night}");
    }
    assert_eq!((network.reserves(1), network.position(1).accrued_on_deposit), (100_040, 0));
}

#[test]
fn a_negative_deposit_rate_is_charged() {
    use BookAccount::{DepositFacility, Equity, Reserves};
    let mut network = Network::build(|genesis| genesis.policy.key_rates.deposit = RatePpm(-PERCENT));
    network.must_settle(network.operation(OperationKind::PlaceDeposit, 1, 54_750));
    // 1.5 a night at −1 %, rounded toward zero; the half is carried over to the next deposit.
    let unwound = network.entries(|network| assert_eq!(network.sleep(1), 1));
    assert_eq!(unwound, [(Reserves(BankId(1)), 54_749), (DepositFacility(BankId(1)), -54_750), (Equity, 1)]);
    assert_eq!(network.position(1).accrued_on_deposit, -365_000_000 / 2);
    network.must_settle(network.operation(OperationKind::PlaceDeposit, 1, 54_750));
    network.sleep(1);
    assert_eq!((network.reserves(1), network.position(1).accrued_on_deposit), (99_997, 0));
}

#[test]
fn a_night_on_the_lending_facility_costs_the_lending_rate() {
    use BookAccount::{Equity, Loans, Reserves};
    let mut network = with_collateral();
    network.must_settle(network.operation(OperationKind::Lend, 1, 36_500));
    // 36,500 at 5 % is 5 a day.
    let mut days = 0;
    let repaid = network.entries(|network| days = network.sleep(3));
    assert_eq!(repaid, [(Loans(BankId(1)), -36_500), (Reserves(BankId(1)), -36_505), (Equity, 5)]);
    assert_eq!((days, network.position(1).loans.len()), (1, 0));
}

#[test]
fn interest_follows_the_day_count_of_genesis() {
    let mut network = Network::build(|genesis| {
        with_key_rates(genesis);
        genesis.day_count = DayCount::Actual360;
    });
    // 36,000 at 2 % is 2 a day on actual/360, and less than 2 on actual/365.
    network.must_settle(network.operation(OperationKind::PlaceDeposit, 1, 36_000));
    network.sleep(1);
    assert_eq!(network.reserves(1), 100_002);
}

#[test]
fn rates_hold_from_the_day_after_their_enactment() {
    let mut network = Network::build(with_key_rates);
    let before = network.ledger.parameters().key_rates.deposit;
    let rates = |deposit: i32| KeyRates {
        deposit: RatePpm(deposit * PERCENT),
        policy: RatePpm(4 * PERCENT),
        lending: RatePpm(5 * PERCENT),
        penalty: RatePpm(10 * PERCENT),
    };
    assert_eq!(before, RatePpm(2 * PERCENT));
    network.must_settle(network.operation(OperationKind::PlaceDeposit, 1, 36_500));
    network.enact(vec![GovernanceAction::Policy(PolicyChange::KeyRates(rates(4)))]);
    // Today still earns 2 %, whatever is in force at its end; tomorrow 4 %.
    network.sleep(1);
    assert_eq!((network.ledger.parameters().key_rates, network.reserves(1)), (rates(4), 100_002));
    network.must_settle(network.operation(OperationKind::PlaceDeposit, 1, 36_500));
    network.sleep(1);
    assert_eq!(network.reserves(1), 100_006);
}

// Loans that cannot be repaid, and loans for longer.

#[test]
fn a_bank_that_cannot_repay_is_rolled_at_the_penalty_rate_until_it_can() {
    let mut network = with_collateral();
    network.must_settle(network.operation(OperationKind::Lend, 1, 36_500));
    network.leave_reserves(1, 0);
    let equity = network.ledger.books().equity();
    assert!(!network.position(1).is_overdue());
    // A night at 5 % is 5: it joins the principal.
    network.sleep(1);
    let rolled =
        Loan { principal: amount(36_505), rate: None, matures: LedgerDay(TODAY + 2), overdue: true, accrued: 0 };
    assert_eq!(network.position(1).loans, [rolled]);
    assert!(network.position(1).is_overdue());
    assert_eq!((network.bank(1).loans, network.ledger.books().equity()), (amount(36_505), equity + 5));
    // The next night at 10 % is 10 and 500,000 of 365,000,000: 36,515 are due, and one is missing.
    network.leave_reserves(1, 36_514);
    network.sleep(1);
    let rolled = Loan { principal: amount(36_515), matures: LedgerDay(TODAY + 3), accrued: 500_000, ..rolled };
    assert_eq!(network.position(1).loans, [rolled]);
    assert_eq!((network.bank(1).loans, network.reserves(1)), (amount(36_515), 36_514));
    // The third night is 10 and 2,000,000 of 365,000,000: 36,525 are due and available.
    network.leave_reserves(1, 36_525);
    network.sleep(1);
    assert_eq!((network.bank(1).loans, network.reserves(1)), (amount(0), 0));
    assert!(!network.position(1).is_overdue());
    assert_eq!(network.ledger.books().equity(), equity + 25);
}

#[test]
fn an_overdue_loan_is_tried_again_every_day_without_blocks_too() {
    let overdue = || {
        let mut network = with_collateral();
        network.must_settle(network.operation(OperationKind::Lend, 1, 36_500));
        network.leave_reserves(1, 100);
        network
    };
    let (mut daily, mut gap) = (overdue(), overdue());
    (0..40).for_each(|_| assert_eq!(daily.sleep(1), 1));
    assert_eq!(gap.sleep(40), 40);
    assert_eq!(daily.ledger.books(), gap.ledger.books());
    assert_eq!(daily.ledger.positions(), gap.ledger.positions());
    // 5, then 39 nights at 10 % compounded: 36,505 × (1 + 0.1 ÷ 365)^39, less what rounding leaves accrued.
    assert_eq!(daily.bank(1).loans, amount(36_897));
    assert_eq!(daily.position(1).loans[0].matures, LedgerDay(TODAY + 41));
}

#[test]
fn a_refinancing_operation_is_repaid_at_its_maturity_with_its_own_rate() {
    use BookAccount::{Equity, Loans, Reserves};
    let mut network = with_collateral();
    network.must_settle(network.refinance(1, 36_500, 4 * PERCENT, TODAY + 3));
    // 4 a day, posted only at maturity.
    assert_eq!(network.entries(|network| assert_eq!(network.sleep(2), 2)), []);
    assert_eq!(network.position(1).loans[0].accrued, 2 * 4 * 365_000_000);
    network.now = network.now.plus_ms(DAY_MS - 1);
    assert_eq!(network.entries(|network| assert_eq!(network.block(&[]).changes.work.days_closed, 0)), []);
    let repaid = network.entries(|network| assert_eq!(network.sleep(1), 1));
    assert_eq!(repaid, [(Loans(BankId(1)), -36_500), (Reserves(BankId(1)), -36_512), (Equity, 12)]);
    assert_eq!(network.ledger.next_due(), None);
}

#[test]
fn an_overdue_refinancing_operation_pays_the_penalty_rate_and_keeps_its_own() {
    let mut network = with_collateral();
    network.must_settle(network.refinance(1, 36_500, 4 * PERCENT, TODAY + 1));
    network.leave_reserves(1, 0);
    network.sleep(2);
    // 4 for the first night; 36,504 at 10 % is 10 and 400,000 of 365,000,000.
    let loan = network.position(1).loans[0];
    assert_eq!((loan.principal, loan.rate, loan.accrued), (amount(36_514), Some(RatePpm(4 * PERCENT)), 400_000));
}

#[test]
fn loans_are_repaid_in_the_order_in_which_they_were_given() {
    let mut network = with_collateral();
    for (minor, matures) in [(10_000, TODAY + 9), (20_000, TODAY + 1), (5_000, TODAY + 1), (1_000, TODAY + 1)] {
        network.must_settle(network.refinance(1, minor, 0, matures));
    }
    // The first is not due; 21,000 suffice for the second, then not for the third, then for the fourth.
    network.leave_reserves(1, 21_000);
    network.sleep(1);
    let left: Vec<_> = network.position(1).loans.iter().map(|loan| (loan.principal.minor(), loan.overdue)).collect();
    assert_eq!((left, network.reserves(1)), (vec![(10_000, false), (5_000, true)], 0));
    assert_eq!(network.bank(1).loans, amount(15_000));
}

#[test]
fn a_negative_rate_on_a_loan_is_paid_to_the_bank() {
    use BookAccount::{Equity, Loans, Reserves};
    let mut network = with_collateral();
    network.must_settle(network.refinance(1, 36_500, -PERCENT, TODAY + 2));
    // −1 a day; the 2 come first and help to repay: 36,498 of its own suffice.
    network.leave_reserves(1, 36_498);
    let repaid = network.entries(|network| assert_eq!(network.sleep(2), 2));
    assert_eq!(repaid, [(Loans(BankId(1)), -36_500), (Reserves(BankId(1)), -36_498), (Equity, -2)]);

    // With one less it is rolled over; the interest is still paid, and only once.
    let mut network = with_collateral();
    network.must_settle(network.refinance(1, 36_500, -PERCENT, TODAY + 2));
    network.leave_reserves(1, 36_497);
    let rolled = network.entries(|network| assert_eq!(network.sleep(2), 2));
    assert_eq!(rolled, [(Reserves(BankId(1)), 2), (Equity, -2)]);
    let loan = network.position(1).loans[0];
    assert_eq!((loan.principal, loan.overdue, loan.accrued), (amount(36_500), true, 0));
}

// Reserves.

#[test]
fn reserves_earn_one_rate_up_to_the_requirement_and_another_above() {
    let mut network = Network::build(|genesis| {
        genesis.policy.reserves = reserve_rules(3 * PERCENT, -PERCENT, 1);
    });
    // Reported on the first day, 365,000 are the base from the second on: a requirement of 36,500.
    network.must_settle(network.statement(1, 365_000));
    network.leave_reserves(1, 73_000);
    // No requirement yet: 73,000 at −1 % is −2; bank 2, 100,000: −2.73, of which −2 now.
    let equity = network.ledger.books().equity();
    network.sleep(1);
    assert_eq!((network.reserves(1), network.reserves(2)), (72_998, 99_998));
    assert_eq!(network.position(2).accrued_on_reserves, -1_000_000_000 + 2 * 365_000_000);
    // Bank 3, 127,000: −3.47, of which −3 now.
    assert_eq!(network.ledger.books().equity(), equity + 2 + 2 + 3);
    // 36,500 at +3 % and 36,500 at −1 %: 3 − 1.
    network.leave_reserves(1, 73_000);
    network.sleep(1);
    assert_eq!(network.reserves(1), 73_002);
    // Below the requirement all of it earns 3 %.
    network.leave_reserves(1, 24_334);
    network.sleep(1);
    assert_eq!((network.reserves(1), network.position(1).accrued_on_reserves), (24_336, 20_000));
}

#[test]
fn without_a_maintenance_period_all_reserves_lie_above_the_requirement() {
    let mut network = Network::build(|genesis| {
        genesis.policy.reserves = reserve_rules(3 * PERCENT, PERCENT, 0);
    });
    network.must_settle(network.statement(1, 1_000_000));
    network.leave_reserves(1, 36_500);
    network.sleep(3);
    assert_eq!(network.reserves(1), 36_503);
    assert_eq!(network.position(1).day_end_sum, 0);
}

#[test]
fn many_small_days_of_interest_on_reserves_sum_to_the_exact_total() {
    let mut network = Network::build(|genesis| {
        genesis.policy.reserves = reserve_rules(0, PERCENT, 0);
    });
    // 100,000 at 1 % is 2.73 a day. With what it earned moved away each day, a year is 1,000 to the unit.
    let mut earned = 0;
    for day in 1..=365 {
        network.sleep(1);
        earned += network.reserves(1) - 100_000;
        assert_eq!(earned, day * 1_000 / 365, "day {day}");
        network.leave_reserves(1, 100_000);
    }
    assert_eq!((earned, network.position(1).accrued_on_reserves), (1_000, 0));
}

#[test]
fn days_without_blocks_earn_as_days_with_blocks() {
    let build = || {
        let mut network = Network::build(|genesis| {
            with_key_rates(genesis);
            genesis.policy.reserves =
                ReserveRules { shortfall_rate: RatePpm(7 * PERCENT), ..reserve_rules(3 * PERCENT, -2 * PERCENT, 7) };
        });
        network.must_settle(network.statement(1, 2_000_000));
        network.must_settle(network.operation(OperationKind::Pledge, 2, 50_000));
        network.must_settle(network.refinance(2, 30_000, 4 * PERCENT, TODAY + 12));
        network.must_settle(network.operation(OperationKind::PlaceDeposit, 3, 40_000));
        network
    };
    let (mut daily, mut gap) = (build(), build());
    (0..40).for_each(|_| assert_eq!(daily.sleep(1), 1));
    assert_eq!(gap.sleep(40), 40);
    assert_eq!(daily.ledger.books(), gap.ledger.books());
    assert_eq!(daily.ledger.positions(), gap.ledger.positions());
    assert_eq!(daily.ledger.tip().books_digest, gap.ledger.tip().books_digest);
}

/// Maintenance periods of four days, a requirement of a tenth, a penalty of 10 %. The first period has no base.
fn with_periods() -> Network {
    let mut network = Network::build(|genesis| {
        with_key_rates(genesis);
        genesis.policy.reserves = ReserveRules { shortfall_rate: RatePpm(10 * PERCENT), ..reserve_rules(0, 0, 4) };
    });
    network.must_settle(network.statement(1, 915_000));
    network.must_settle(network.statement(2, 365_150));
    network
}

#[test]
fn an_average_of_day_end_reserves_below_the_requirement_is_charged_at_the_periods_end() {
    use BookAccount::{Equity, Reserves};
    let mut network = with_periods();
    network.leave_reserves(1, 0);
    // The first period has a base of zero: nothing is charged at its end.
    assert_eq!(network.entries(|network| assert_eq!(network.sleep(4), 4)), []);
    assert_eq!(network.ledger.positions().maintenance_period(), (LedgerDay(TODAY + 4), 4));
    // Requirement 91,500. A statement within the period counts only from the next one.
    network.must_settle(network.statement(1, 5_000_000));
    // Day-end reserves 100,000, 40,000, 40,001, 40,002: 55,000.75 on average, 55,000 rounded down.
    for day_end in [100_000, 40_000, 40_001] {
        // Movements within a day do not count.
        network.leave_reserves(1, 90_000);
        network.leave_reserves(1, day_end);
        assert_eq!(network.entries(|network| assert_eq!(network.sleep(1), 1)), []);
    }
    network.leave_reserves(1, 40_002);
    // A shortfall of 36,500 at 10 % for four days is 40. Bank 2 has 100,000 for 36,515.
    let charged = network.entries(|network| assert_eq!(network.sleep(1), 1));
    assert_eq!(charged, [(Reserves(BankId(1)), -40), (Equity, 40)]);
    let (position, period) = (network.position(1), network.ledger.positions().maintenance_period());
    assert_eq!((position.requirement_base, position.day_end_sum), (amount(5_000_000), 0));
    assert_eq!(period, (LedgerDay(TODAY + 8), 4));
}

#[test]
fn a_penalty_above_the_reserves_becomes_an_overdue_loan() {
    let mut network = with_periods();
    network.leave_reserves(2, 15);
    network.sleep(7);
    let equity = network.ledger.books().equity();
    assert_eq!((network.reserves(2), network.position(2).day_end_sum), (15, 45));
    // Requirement 36,515, average 15: 36,500 at 10 % for four days is 40. 15 are taken and 25 lent, pledge or no
    // pledge.
    network.sleep(1);
    let lent = Loan { principal: amount(25), rate: None, matures: LedgerDay(TODAY + 9), overdue: true, accrued: 0 };
    assert_eq!(network.position(2).loans, [lent]);
    assert_eq!((network.reserves(2), network.bank(2).loans), (0, amount(25)));
    assert_eq!(network.ledger.books().equity(), equity + 40);
    // Another loan's collateral is not called for it, but no new loan is given on it.
    let refusal = network.settle(network.operation(OperationKind::Lend, 2, 1));
    assert_eq!(refusal, refused(Reason::CollateralTooLow, 0, 26));
    // A night's 25 at 10 % is less than 1: 25 repay it.
    network.leave_reserves(2, 25);
    network.sleep(1);
    assert_eq!((network.reserves(2), network.bank(2).loans), (0, amount(0)));
    assert!(!network.position(2).is_overdue());
}

#[test]
fn a_requirement_that_is_met_exactly_costs_nothing() {
    let mut network = with_periods();
    network.sleep(4);
    network.leave_reserves(2, 36_515);
    network.sleep(4);
    assert_eq!((network.reserves(2), network.bank(2).loans), (36_515, amount(0)));
}

#[test]
fn a_period_keeps_its_length_and_the_next_one_takes_what_policy_says_then() {
    let mut network = with_periods();
    let rules = |period_days| {
        let penalty = RatePpm(10 * PERCENT);
        let rules = ReserveRules { shortfall_rate: penalty, ..reserve_rules(0, 0, period_days) };
        vec![GovernanceAction::Policy(PolicyChange::Reserves(rules))]
    };
    let period = |network: &Network| network.ledger.positions().maintenance_period();
    network.enact(rules(2));
    assert_eq!((network.sleep(3), period(&network)), (3, (LedgerDay(TODAY), 4)));
    assert_eq!((network.sleep(1), period(&network)), (1, (LedgerDay(TODAY + 4), 2)));
    // No further period follows, but this one is completed: a shortfall of 36,500 for its two days is 20.
    network.leave_reserves(2, 15);
    network.enact(rules(0));
    assert_eq!((network.sleep(2), period(&network)), (2, (LedgerDay(TODAY + 6), 0)));
    assert_eq!((network.reserves(2), network.bank(2).loans), (0, amount(5)));
}

#[test]
fn a_first_period_begins_the_day_after_policy_asks_for_it() {
    let mut network = Network::build(|_| {});
    network.must_settle(network.statement(1, 5_000));
    network.sleep(10);
    network.enact(vec![GovernanceAction::Policy(PolicyChange::Reserves(reserve_rules(0, 0, 28)))]);
    assert_eq!(network.ledger.positions().maintenance_period().1, 0);
    assert_eq!(network.ledger.next_due(), Some(Timestamp(START.0 + 11 * DAY_MS)));
    network.sleep(1);
    assert_eq!(network.ledger.positions().maintenance_period(), (LedgerDay(TODAY + 11), 28));
    let position = network.position(1);
    assert_eq!((position.requirement_base, position.day_end_sum), (amount(5_000), 0));
}

// When a block is due.

#[test]
fn a_block_is_due_at_the_midnight_that_changes_something() {
    let mut network = Network::build(|genesis| {
        with_key_rates(genesis);
        genesis.day_offset_minutes = 60;
    });
    assert_eq!(network.ledger.next_due(), None);
    network.must_settle(network.operation(OperationKind::PlaceDeposit, 1, 36_500));
    let midnight = Timestamp(START.0 + DAY_MS - HOUR_MS);
    assert_eq!(network.ledger.next_due(), Some(midnight));
    network.now = Timestamp(midnight.0 - 1);
    assert_eq!(network.entries(|network| assert_eq!(network.block(&[]).changes.work.days_closed, 0)), []);
    assert_eq!(network.ledger.next_due(), Some(midnight));
    network.now = midnight;
    assert_eq!(network.block(&[]).changes.work.days_closed, 1);
    assert_eq!((network.bank(1).deposit_facility, network.ledger.next_due()), (amount(0), None));
}

#[test]
fn loans_reserves_that_earn_and_periods_make_a_block_due_every_midnight() {
    let next_midnight = Some(Timestamp(START.0 + DAY_MS));
    let mut with_loan = with_collateral();
    assert_eq!(with_loan.ledger.next_due(), None);
    with_loan.must_settle(with_loan.refinance(1, 10, 0, TODAY + 99));
    assert_eq!(with_loan.ledger.next_due(), next_midnight);
    for (rate_up_to, rate_above, period_days, due) in [
        (0, 0, 0, None),
        (0, 1, 0, next_midnight),
        (0, -1, 0, next_midnight),
        (0, 0, 1, next_midnight),
        // Without a period nothing is up to a requirement.
        (1, 0, 0, None),
    ] {
        let rules = reserve_rules(rate_up_to, rate_above, period_days);
        let network = Network::build(|genesis| genesis.policy.reserves = rules);
        assert_eq!(network.ledger.next_due(), due, "{rules:?}");
    }
    let no_reserves = Network::build(|genesis| {
        genesis.books = books_with_reserves(0);
        genesis.policy.reserves = reserve_rules(0, 1, 0);
    });
    assert_eq!(no_reserves.ledger.next_due(), None);
}

// Extremes.

#[test]
fn a_charge_above_the_reserves_is_lent_from_the_day_after() {
    // −73,000 % a year is −200 % a day: of 200,000, half is taken and half is lent.
    let mut network = Network::build(|genesis| {
        with_key_rates(genesis);
        genesis.policy.reserves = reserve_rules(0, -730_000_000, 0);
    });
    network.sleep(1);
    let lent =
        Loan { principal: amount(100_000), rate: None, matures: LedgerDay(TODAY + 2), overdue: true, accrued: 0 };
    assert_eq!((network.reserves(1), network.position(1).loans.as_slice()), (0, [lent].as_slice()));
}

#[test]
fn interest_that_no_account_can_hold_stays_accrued() {
    // Three banks with a third of the total each, at 214,748 % a year: more than 2^64 a day.
    let reserves = (u64::MAX - 6_000) / 3;
    for rate in [i32::MAX, i32::MIN] {
        let mut network = Network::build(|genesis| {
            genesis.books = books_with_reserves(reserves);
            genesis.policy.reserves = reserve_rules(0, rate, 0);
        });
        assert_eq!(network.entries(|network| assert_eq!(network.sleep(3), 3)), []);
        assert_eq!(network.position(1).accrued_on_reserves, 3 * i128::from(reserves) * i128::from(rate));
    }
}

#[test]
fn an_overdue_loan_whose_interest_no_account_can_hold_is_rolled_without_it() {
    let mut network = Network::build(|genesis| {
        let highest = RatePpm(i32::MAX);
        let lending = RatePpm(1);
        genesis.policy.key_rates = KeyRates { lending, penalty: highest, ..KeyRates::default() };
    });
    network.must_settle(network.operation(OperationKind::Pledge, 1, u64::MAX));
    let principal = u64::MAX - 300_000;
    network.must_settle(network.operation(OperationKind::Lend, 1, principal));
    network.leave_reserves(1, 0);
    // At 1 ppm the first night's interest would exceed 2^64 − 1; each later one does by far.
    network.sleep(3);
    let accrued = i128::from(principal) * (1 + 2 * i128::from(i32::MAX));
    let rolled =
        Loan { principal: amount(principal), rate: None, matures: LedgerDay(TODAY + 4), overdue: true, accrued };
    assert_eq!(network.position(1).loans, [rolled]);
    assert_eq!(network.bank(1).loans, amount(principal));
}

#[test]
fn a_charge_whose_loan_no_account_can_hold_takes_nothing() {
    let mut network = Network::build(|genesis| genesis.policy.reserves = reserve_rules(0, -1_460_000_000, 0));
    network.must_settle(network.operation(OperationKind::Pledge, 1, u64::MAX));
    network.must_settle(network.refinance(1, u64::MAX - 299_999, 0, TODAY + 9));
    // −400 % a day of 100,000: 300,000 would be lent, 299,999 fit.
    network.leave_reserves(1, 100_000);
    network.sleep(1);
    assert_eq!((network.reserves(1), network.bank(1).loans), (100_000, amount(u64::MAX - 299_999)));
    assert_eq!(network.position(1).accrued_on_reserves, -100_000 * 1_460_000_000);
    assert_eq!(network.position(1).loans.len(), 1);
}

#[test]
fn blocks_come_through_to_the_end_of_time() {
    let mut network = with_collateral();
    network.now = Timestamp(u64::MAX);
    assert_eq!(network.block(&[]).changes.work.days_closed, 0);
    network.must_settle(network.operation(OperationKind::Lend, 1, 1));
    network.must_settle(network.operation(OperationKind::PlaceDeposit, 1, 1));
    let today = network.ledger.today().0;
    let refusal = network.settle(network.refinance(1, 1, 0, today));
    assert_eq!(refusal.reason, Reason::MaturityPast);
    network.block(&[]);
}

// The base of the reserve requirement.

#[test]
fn a_statement_just_before_the_period_does_not_lower_the_requirement() {
    let mut network = with_periods();
    // The last day of the first period: bank 1 reports zero.
    network.sleep(3);
    network.must_settle(network.statement(1, 0));
    network.sleep(1);
    // Three day ends with 915,000 and one with nothing.
    assert_eq!(network.position(1).requirement_base, amount(686_250));
    assert_eq!(network.position(2).requirement_base, amount(365_150));
    // Bank 3 never reported: its base is the highest statement of all.
    assert_eq!(network.position(3).requirement_base, amount(915_000));
    // A silent bank pays on the highest amount that it ever stated.
    network.sleep(4);
    assert_eq!(network.position(1).requirement_base, amount(915_000));
    assert_eq!(network.position(2).requirement_base, amount(365_150));
}

#[test]
fn the_days_before_a_first_statement_are_not_days_without_deposits() {
    let mut network = with_periods();
    network.sleep(3);
    network.must_settle(network.statement(3, 400_000));
    network.sleep(1);
    assert_eq!(network.position(3).requirement_base, amount(400_000));
    // From then on each day counts with its statement: one with 400,000, three with zero.
    network.must_settle(network.statement(3, 400_000));
    network.sleep(1);
    network.must_settle(network.statement(3, 0));
    network.sleep(3);
    assert_eq!(network.position(3).requirement_base, amount(100_000));
}

// Loans of resolved banks.

#[test]
fn what_a_resolved_bank_owes_is_repaid_realised_and_written_off_and_earns_nothing() {
    let mut network = with_collateral();
    network.must_settle(network.operation(OperationKind::Lend, 1, 80_000));
    network.leave_reserves(1, 30_000);
    let write_off = |network: &Network, minor| network.operation(OperationKind::WriteOffLoans, 1, minor);
    assert_eq!(network.settle(write_off(&network, 1)), refused(Reason::BankNotResolved, 0, 0));
    network.enact(vec![GovernanceAction::BankStatus { bank: BankId(1), status: BankStatus::Resolved }]);
    assert_eq!(network.settle(write_off(&network, 1)), refused(Reason::RecoverableFirst, 130_000, 1));

    // Its reserves repay at the day's end; nothing accrues, on that day or any later one.
    network.sleep(1);
    assert_eq!((network.reserves(1), network.bank(1).loans), (0, amount(50_000)));
    network.sleep(300);
    assert_eq!(network.bank(1).loans, amount(50_000));
    assert_eq!(network.ledger.books().income(Income::InterestOnLoans), 0);

    let realise = network.operation(OperationKind::RealiseCollateral, 1, 50_001);
    assert_eq!(network.settle(realise), refused(Reason::InsufficientFunds, 50_000, 50_001));
    let entries = network.entries(|network| {
        network.must_settle(network.operation(OperationKind::RealiseCollateral, 1, 30_000));
    });
    assert_eq!(entries, [(BookAccount::Securities, 30_000), (BookAccount::Loans(BankId(1)), -30_000)]);
    assert_eq!(network.settle(write_off(&network, 1)), refused(Reason::RecoverableFirst, 70_000, 1));
    assert_eq!(network.position(1).loans.len(), 1);
}

#[test]
fn a_loss_is_taken_when_nothing_is_left_to_recover() {
    let mut network = with_collateral();
    network.must_settle(network.operation(OperationKind::Lend, 1, 80_000));
    // What it lacks at the end of the day is rolled over with the penalty interest of three years; then it is resolved.
    network.leave_reserves(1, 0);
    network.sleep(3 * 365);
    network.enact(vec![GovernanceAction::BankStatus { bank: BankId(1), status: BankStatus::Resolved }]);
    network.must_settle(network.operation(OperationKind::RealiseCollateral, 1, 90_000));
    let owed = network.bank(1).loans.minor();
    let above = network.operation(OperationKind::RealiseCollateral, 1, 10_001);
    assert_eq!(network.settle(above), refused(Reason::InsufficientFunds, 10_000, 10_001));
    if owed > 10_000 {
        network.must_settle(network.operation(OperationKind::RealiseCollateral, 1, 10_000));
        let left = owed - 10_000;
        let entries = network.entries(|network| {
            network.must_settle(network.operation(OperationKind::WriteOffLoans, 1, left));
        });
        assert_eq!(
            entries,
            [(BookAccount::Loans(BankId(1)), -i128::from(left)), (BookAccount::Equity, -i128::from(left))]
        );
        assert_eq!(network.ledger.books().income(Income::LoanLosses), -i128::from(left));
        assert!(network.position(1).loans.is_empty());
    } else {
        panic!("expected a debt above the collateral, found {owed}");
    }
}
