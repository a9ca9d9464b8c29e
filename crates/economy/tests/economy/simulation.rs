//! Behaviour of the economy: payments, limits, conservation, outage, failure, policy.

use crate::support::{run, scenario, settled};
use cbdc_economy::Results;

const TEXT: &str = "
[households]
count = 2_000
[firms]
count = 60
[banks]
count = 4
[time]
days = 60
period_days = 5
[adoption]
initial = 0.5
";

fn sum(results: &Results, instrument: &str, value: fn(&cbdc_economy::results::PaymentRow) -> i64) -> i64 {
    results.payment_rows.iter().filter(|row| row.instrument == instrument).map(value).sum()
}

#[test]
fn payments_are_as_many_and_as_large_as_the_reference() {
    // Rich households that pay all of their spending day by day, without seasonality: nothing is declined.
    let results = run(&scenario(
        TEXT,
        &[
            ("behaviour.seasonality", "even"),
            ("behaviour.consumption", "hand-to-mouth"),
            ("behaviour.prices", "fixed"),
            ("consumption.retail_share", "1.0"),
            ("households.deposit_minor_mean", "100_000_000"),
            ("households.deposit_sigma", "0.1"),
            ("households.age_max", "60"),
        ],
    ));
    let retail = ["cbdc", "cash", "deposit"];
    let count: i64 = retail.iter().map(|name| sum(&results, name, |row| row.count)).sum();
    let value: i64 = retail.iter().map(|name| sum(&results, name, |row| row.value_minor)).sum();
    assert_eq!(sum(&results, "deposit", |row| row.declined), 0);
    // The mean payment is EUR 56.4 (BRAIN); a household of EUR 3,600 a month makes 3,600 × 12 / 365 / 56.4 a day.
    let mean = value as f64 / count as f64;
    assert!((mean / 5_640.0 - 1.0).abs() < 0.03, "mean {mean}");
    let a_day = count as f64 / 2_000.0 / 60.0;
    assert!((a_day / (3_600.0 * 12.0 / 365.0 / 56.4) - 1.0).abs() < 0.03, "{a_day} a day");
    // An adopter pays 35 % with CBDC; half of the households have adopted, a few more by the end.
    let share = sum(&results, "cbdc", |row| row.count) as f64 / count as f64;
    assert!((0.16..0.20).contains(&share), "{share}");
    assert_eq!(
        settled(&results, "transfer") + settled(&results, "reverse-waterfall"),
        sum(&results, "cbdc", |row| row.count) as u64
    );
}

#[test]
fn no_credit_lifts_anybody_above_the_limit() {
    for limit in ["0", "7_500", "100_000"] {
        let results =
            run(&scenario(TEXT, &[("policy.holding_limit_minor", limit), ("behaviour.portfolio", "full-to-limit")]));
        let most: i64 = limit.replace('_', "").parse().unwrap();
        let largest = results.household_rows.iter().filter(|row| row.percentile == 100).map(|row| row.cbdc_minor).max();
        assert!(largest <= Some(most), "limit {limit}: {largest:?}");
        if most > 0 {
            assert_eq!(largest, Some(most), "somebody fills the wallet");
        }
        // Firms hold nothing: all they receive goes to their deposits.
        assert!(results.macro_rows.iter().all(|row| row.cbdc_firms_minor == 0));
    }
}

#[test]
fn money_changes_its_form_and_not_its_sum() {
    let results = run(&scenario(TEXT, &[]));
    for row in &results.macro_rows {
        let issued = row.central_bank_securities_minor + row.central_bank_loans_minor;
        let owed = row.cash_minor
            + row.vault_minor
            + row.cbdc_households_minor
            + row.cbdc_firms_minor
            + row.cbdc_treasuries_minor
            + row.reserves_minor
            + row.deposit_facility_minor
            + row.government_minor
            + row.central_bank_equity_minor;
        assert_eq!(issued, owed, "the central bank on {}", row.date);
        let of_banks: Vec<_> = results.bank_rows.iter().filter(|bank| bank.day == row.day).collect();
        let deposits: i64 = of_banks.iter().map(|bank| bank.deposits_minor).sum();
        let held = row.deposits_households_minor + row.deposits_firms_minor + row.deposits_investors_minor;
        assert_eq!(deposits, held, "deposits on {}", row.date);
    }
    let (fund, defund) = (settled(&results, "fund"), settled(&results, "defund"));
    assert!(fund > 0 && defund > 0 && settled(&results, "issue") > 0 && settled(&results, "redeem") > 0);
}

#[test]
fn in_an_outage_nothing_moves_on_wallets_and_trust_suffers() {
    let quiet = scenario(TEXT, &[]);
    let outage = scenario(&format!("{TEXT}\n[[shock]]\nday = 20\nkind = \"outage\"\ndays = 10\n"), &[]);
    let (quiet, outage) = (run(&quiet), run(&outage));
    let paid = |results: &Results, day: i64| {
        results.payment_rows.iter().find(|row| row.instrument == "cbdc" && row.day == day).map(|row| row.count)
    };
    assert_eq!((paid(&outage, 25), paid(&outage, 30)), (Some(0), Some(0)));
    assert!(paid(&outage, 35) > Some(0) && paid(&outage, 35) < paid(&quiet, 35));
    let trust = |results: &Results| results.macro_rows[6].trust_cbdc;
    assert!(trust(&outage) < 0.85 && trust(&quiet) == 1.0);
    let held = |results: &Results, row: usize| results.macro_rows[row].cbdc_households_minor;
    assert_eq!(held(&outage, 4), held(&outage, 6), "CBDC stays where it is");
}

#[test]
fn a_failed_bank_is_wound_down_and_nobody_loses_cbdc() {
    let text = format!("{TEXT}\n[[shock]]\nday = 12\nkind = \"bank-loss\"\nbank = 1\nsize = 0.5\n");
    let results = run(&scenario(
        &text,
        &[("time.days", "100"), ("policy.cbdc_rate_ppm", "20_000"), ("policy.capitalisation", "daily")],
    ));
    let last = results.macro_rows.last().unwrap();
    assert_eq!(last.banks_alive, 3);
    let status = |day: i64| {
        let row = results.bank_rows.iter().find(|row| row.bank == 1 && row.day == day).unwrap();
        (row.status.clone(), row.customers, row.deposits_minor, row.cbdc_customers_minor)
    };
    assert_eq!(status(10).0, "active");
    assert_eq!(status(15), ("suspended".to_owned(), 0, 0, 0));
    assert_eq!(status(100), ("resolved".to_owned(), 0, 0, 0));
    let before = results.macro_rows.iter().find(|row| row.day == 10).unwrap().adopters;
    let after = results.macro_rows.iter().find(|row| row.day == 15).unwrap().adopters;
    assert!(after >= before, "holders keep their wallets");
    let borne = results.event_rows.iter().find(|event| event.what.contains("takes over")).unwrap();
    assert!(borne.what.contains("investors") && borne.proposal > 0, "{}", borne.what);
    assert!(last.trust_banks < 1.0);
}

#[test]
fn who_bears_a_loss_is_what_the_scenario_chose() {
    let text = format!("{TEXT}\n[[shock]]\nday = 12\nkind = \"bank-loss\"\nbank = 1\nsize = 0.9\n");
    let bearers = |model: &str| {
        let results = run(&scenario(&text, &[("behaviour.resolution", model), ("time.days", "20")]));
        let event = results.event_rows.iter().find(|event| event.what.contains("takes over")).unwrap();
        let numbers: Vec<i64> = event
            .what
            .split_once("borne by")
            .unwrap()
            .1
            .split(' ')
            .filter_map(|word| word.replace([',', '.'], "").parse().ok())
            .collect();
        [numbers[0], numbers[1], numbers[2]]
    };
    let [insured, bail_out, bail_in] = ["insured", "bail-out", "bail-in"].map(bearers);
    assert!(bail_out[0] == 0 && bail_out[1] == 0 && bail_out[2] > 0, "{bail_out:?}");
    assert!(bail_in[0] > 0 && bail_in[1] > 0 && bail_in[2] <= 4_000, "{bail_in:?}");
    assert!(insured[0] == bail_in[0] && insured[1] < bail_in[1] && insured[2] > 0, "{insured:?}");
}

#[test]
fn the_taylor_rule_moves_the_ledgers_key_rates() {
    let text = format!(
        "{TEXT}\n[[rule]]\nkind = \"taylor\"\nfrom_day = 10\nevery_days = 10\nneutral_rate = 0.03\nsmoothing = 0.5\n"
    );
    let results = run(&scenario(&text, &[("behaviour.prices", "fixed")]));
    // Without inflation and gap the wanted rate is 3 % − 1 %: each decision covers half of the distance.
    let rates: Vec<i64> = results.macro_rows.iter().map(|row| row.policy_rate_ppm).collect();
    assert_eq!(rates[0], 21_500);
    assert!(results.event_rows.iter().all(|event| event.kind == "rule" && event.proposal > 0));
    assert!(!results.event_rows.is_empty());
    let last = *rates.last().unwrap();
    // Chance moves the gap by some tenths of a point, and the rate by half of that.
    assert!((last - 20_000).abs() < 1_500, "{rates:?}");
}

#[test]
fn ladders_and_expressions_set_what_they_say() {
    let ladder = format!(
        "{TEXT}\n[[rule]]\nkind = \"limit-ladder\"\nfrom_day = 10\nevery_days = 10\nsteps_minor = [50_000, 60_000, \
        70_000]\nshare_low = 0.9\nshare_high = 1.0\n"
    );
    let results = run(&scenario(&ladder, &[("policy.holding_limit_minor", "50_000")]));
    let limits: Vec<i64> = results.macro_rows.iter().map(|row| row.holding_limit_minor.unwrap()).collect();
    assert_eq!((limits[0], *limits.last().unwrap()), (50_000, 70_000));
    let tier = format!("{TEXT}\n[[rule]]\nkind = \"tier-ladder\"\nfrom_day = 10\nevery_days = 50\nspread = 0.01\n");
    let results = run(&scenario(&tier, &[]));
    assert_eq!(results.macro_rows.last().unwrap().cbdc_rate_ppm, 10_000, "20,000 − 10,000 ppm");
    let written = format!(
        "{TEXT}\n[[rule]]\nkind = \"expression\"\nfrom_day = 10\nevery_days = 50\nlever = \"policy-rate\"\nexpression \
        = \"policy_rate + if(adopted > 0.3, 0.01, 0)\"\n"
    );
    let results = run(&scenario(&written, &[]));
    assert_eq!(
        results.macro_rows.iter().map(|row| row.policy_rate_ppm).max(),
        Some(31_500),
        "21,500 + 10,000 ppm, once by day 60"
    );
}

#[test]
fn the_k_percent_rule_grows_base_money_by_market_operations() {
    let base = |results: &Results, row: usize| {
        let row = &results.macro_rows[row];
        row.cash_minor + row.vault_minor + row.cbdc_households_minor + row.reserves_minor + row.deposit_facility_minor
    };
    let text = format!("{TEXT}\n[[rule]]\nkind = \"k-percent\"\nfrom_day = 5\nevery_days = 5\ngrowth = 1.0\n");
    let results = run(&scenario(&text, &[]));
    let last = results.macro_rows.len() - 1;
    let growth = base(&results, last) as f64 / base(&results, 0) as f64 - 1.0;
    // Eleven purchases of 5/365 of the base, on top of what the government and interest move.
    assert!((0.10..0.22).contains(&growth), "{growth}");
    assert!(settled(&results, "buy-securities") > 0);
}

#[test]
fn a_schedule_lowers_the_limit_and_holders_run_their_wallets_down() {
    let text = format!("{TEXT}\n[[schedule]]\nday = 30\nholding_limit_minor = 10_000\n");
    let results = run(&scenario(&text, &[("behaviour.portfolio", "full-to-limit")]));
    let held = |day: i64| results.macro_rows.iter().find(|row| row.day == day).unwrap().cbdc_households_minor;
    assert!(held(60) * 5 < held(30), "{} {}", held(60), held(30));
    assert_eq!(results.event_rows[0].kind, "schedule");
    assert!(results.event_rows[0].policy_version > 1);
}

#[test]
fn distrust_sends_households_to_the_limit() {
    let text = format!("{TEXT}\n[[shock]]\nday = 30\nkind = \"trust-banks\"\nsize = 0.9\n");
    let results = run(&scenario(&text, &[]));
    let held = |day: i64| results.macro_rows.iter().find(|row| row.day == day).unwrap().cbdc_households_minor;
    assert!(held(40) > 2 * held(30));
}

#[test]
fn without_adopters_there_is_no_cbdc() {
    let results = run(&scenario(TEXT, &[("behaviour.adoption", "nobody")]));
    assert!(results.macro_rows.iter().all(|row| row.cbdc_households_minor == 0 && row.adopters == 0));
    assert_eq!(settled(&results, "transfer"), 0);
}

#[test]
fn scarce_reserves_make_banks_borrow() {
    let plenty = run(&scenario(TEXT, &[]));
    let scarce = run(&scenario(
        TEXT,
        &[
            ("banks.reserves_share", "0.02"),
            ("behaviour.funding", "central-bank"),
            ("behaviour.portfolio", "full-to-limit"),
        ],
    ));
    let lent = |results: &Results| results.macro_rows.iter().map(|row| row.central_bank_loans_minor).max();
    assert_eq!(lent(&plenty), Some(0));
    assert!(lent(&scarce) > Some(0));
    assert!(settled(&scarce, "refinance") > 0);
}

#[test]
fn wholesale_funding_that_was_raised_is_repaid_when_reserves_come_back() {
    // A scare that is soon over: reserves leave and come back.
    let text = format!("{TEXT}\n[[shock]]\nday = 10\nkind = \"trust-banks\"\nsize = 0.9\n");
    let wholesale = |days: &str| {
        let keys = [
            ("funding.wholesale_days", days),
            ("behaviour.funding", "wholesale"),
            ("behaviour.adoption", "everyone"),
            ("policy.holding_limit_minor", "none"),
            ("banks.reserves_share", "0.12"),
            ("investors.deposit_share", "0.3"),
            ("trust.half_life_days", "5"),
            ("time.days", "100"),
        ];
        let results = run(&scenario(&text, &keys));
        let at = |day: i64| results.macro_rows.iter().find(|row| row.day == day).unwrap().wholesale_minor;
        [0, 20, 100].map(at)
    };
    let [first, most, last] = wholesale("5");
    assert!(most > first * 11 / 10, "{first} {most}");
    assert!(last - first < (most - first) / 4, "{first} {most} {last}");
    let [_, _, kept] = wholesale("10000");
    assert!(kept > 2 * last, "{kept} {last}");
}

#[test]
fn without_a_limit_full_means_all_that_there_is() {
    let all = run(&scenario(
        TEXT,
        &[
            ("behaviour.portfolio", "full-to-limit"),
            ("policy.holding_limit_minor", "none"),
            ("behaviour.adoption", "everyone"),
            ("time.days", "10"),
        ],
    ));
    let last = all.macro_rows.last().unwrap();
    assert!(last.cbdc_households_minor > 9 * last.deposits_households_minor, "{last:?}");
    // And with a limit, a household whose whole deposit is below it moves that, however small it is.
    let limited = run(&scenario(
        TEXT,
        &[
            ("behaviour.portfolio", "full-to-limit"),
            ("policy.holding_limit_minor", "100_000_000"),
            ("behaviour.adoption", "everyone"),
            ("time.days", "10"),
        ],
    ));
    let median = limited.household_rows.iter().rfind(|row| row.percentile == 50).unwrap();
    assert!(median.cbdc_minor > 10 * median.deposit_minor.max(1), "{median:?}");
}

#[test]
fn limits_on_payments_send_what_is_above_them_to_the_deposit() {
    let free = run(&scenario(TEXT, &[]));
    assert!(free.ledger.refusals.is_empty(), "{:?}", free.ledger.refusals);
    for (key, reason) in [
        ("policy.payment_limit_minor", "PAYMENT_LIMIT"),
        ("policy.day_limit_minor", "DAY_LIMIT"),
        ("policy.month_limit_minor", "MONTH_LIMIT"),
    ] {
        let bound = run(&scenario(TEXT, &[(key, "5_000")]));
        let refused = bound.ledger.refusals.get(reason).copied().unwrap_or(0);
        assert!(refused > 100, "{key}: {:?}", bound.ledger.refusals);
        assert_eq!(sum(&bound, "cbdc", |row| row.refused) as u64, refused, "{key}");
        assert!(sum(&bound, "cbdc", |row| row.value_minor) < sum(&free, "cbdc", |row| row.value_minor), "{key}");
    }
    let largest = run(&scenario(TEXT, &[("policy.payment_limit_minor", "5_000")]));
    let mean = sum(&largest, "cbdc", |row| row.value_minor) / sum(&largest, "cbdc", |row| row.count);
    assert!(mean <= 5_000, "{mean}");
}

#[test]
fn fees_are_what_the_ledgers_schedule_says_and_go_where_it_says() {
    let with = |fees: &[(&str, &str)]| {
        let keys: Vec<(&str, &str)> = fees.iter().copied().chain([("instrument.fee_sensitivity", "0")]).collect();
        run(&scenario(TEXT, &keys))
    };
    let fees = |results: &Results| results.macro_rows.iter().map(|row| row.fees_minor).sum::<i64>();
    let count = |results: &Results| sum(results, "cbdc", |row| row.count);
    let equity = |results: &Results| results.macro_rows.last().unwrap().central_bank_equity_minor;
    let banks = |results: &Results| results.macro_rows.last().unwrap().bank_equity_minor;
    let free = with(&[]);
    assert_eq!(fees(&free), 0);

    let flat = with(&[("policy.payer_fee", "0.10")]);
    assert_eq!(fees(&flat), 10 * count(&flat), "ten cents for each payment");
    assert!(equity(&flat) > equity(&free));

    let merchants = with(&[("policy.merchant_fee", "1 %, to payee-bank")]);
    let value = sum(&merchants, "cbdc", |row| row.value_minor);
    // Households pay nothing as payees, and a fee is rounded down.
    assert!(fees(&merchants) * 100 < value && fees(&merchants) * 100 > value * 9 / 10, "{} {value}", fees(&merchants));
    assert!(banks(&merchants) > banks(&free));
}

#[test]
fn a_fee_of_payers_makes_payments_with_cbdc_rarer() {
    let count = |fee: &str| sum(&run(&scenario(TEXT, &[("policy.payer_fee", fee)])), "cbdc", |row| row.count);
    let (free, low, high) = (count("none"), count("0.1 %"), count("1 %"));
    assert!(low < free && high < low * 7 / 10, "{free} {low} {high}");
}

#[test]
fn fees_and_limits_change_on_a_day() {
    let text = format!("{TEXT}\n[[schedule]]\nday = 30\npayer_fee = \"0.10\"\nday_limit_minor = 3_000\n");
    let results = run(&scenario(&text, &[]));
    let fees = |day: i64| results.macro_rows.iter().find(|row| row.day == day).unwrap().fees_minor;
    assert!(fees(30) == 0 && fees(35) > 0);
    assert!(results.event_rows[0].what.contains("day limit EUR 30.00; payers' fee 0.1"));
    assert!(results.ledger.refusals.contains_key("DAY_LIMIT"));
}

#[test]
fn distrust_of_one_bank_takes_customers_and_their_wallets_to_others() {
    let text = format!("{TEXT}\n[[shock]]\nday = 20\nkind = \"trust-bank\"\nbank = 1\nsize = 0.8\n");
    let of_first = |results: &Results, day: i64| {
        let row = results.bank_rows.iter().find(|row| row.bank == 1 && row.day == day).unwrap();
        (row.customers, row.deposits_minor, row.cbdc_customers_minor)
    };
    let (stays, moves) = (run(&scenario(&text, &[("behaviour.switching", "stay")])), run(&scenario(&text, &[])));
    assert_eq!(of_first(&stays, 20), of_first(&moves, 20));
    assert_eq!(of_first(&stays, 60).0, of_first(&stays, 20).0);
    let (before, after) = (of_first(&moves, 20), of_first(&moves, 60));
    assert!(after.0 < before.0 && after.1 < of_first(&stays, 60).1, "{before:?} {after:?}");
    let customers: i64 = moves.bank_rows.iter().filter(|row| row.day == 60).map(|row| row.customers).sum();
    assert_eq!(customers, 2_000);
    assert!(settled(&moves, "designate-wallet") > 0, "{:?}", moves.ledger.kinds);
    // Insured deposits run less.
    let calm = run(&scenario(&text, &[("switching.insured_calm", "0")]));
    assert!(of_first(&calm, 60).0 < after.0);
}

#[test]
fn what_lies_after_the_last_day_is_told() {
    let text = format!("{TEXT}\n[[shock]]\nday = 60\nkind = \"outage\"\n");
    let results = run(&scenario(&text, &[]));
    let told: Vec<&str> = results.event_rows.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(told, ["a shock on day 60 never happens: the last day is 59"]);
}

#[test]
fn amounts_that_outgrow_the_count_end_the_run_with_a_reason() {
    let scenario = scenario(
        TEXT,
        &[
            ("households.count", "100"),
            ("households.income_minor_mean", "1_000_000_000_000"),
            ("households.deposit_minor_mean", "1_000_000_000_000"),
            ("households.age_max", "60"),
            ("households.deposit_sigma", "0"),
            ("firms.deposit_months", "60"),
            ("prices.anchor", "0.2"),
            ("time.days", "36525"),
        ],
    );
    let error = crate::support::try_run(&scenario).unwrap_err().to_string();
    assert!(error.contains("200000000000000000 either way is the most"), "{error}");
}

#[test]
fn prices_begin_at_their_anchor() {
    let first = |keys: &[(&str, &str)]| run(&scenario(TEXT, keys)).macro_rows[0].inflation_ppm;
    assert_eq!(first(&[("behaviour.prices", "fixed"), ("time.days", "1")]), 0);
    assert_eq!(first(&[("prices.anchor", "0.05"), ("time.days", "1")]), 50_000);
}

#[test]
fn an_expression_sees_what_the_tables_show() {
    // The failed bank's frozen rates and lost trust affect neither.
    let text = format!(
        "{TEXT}\n[[shock]]\nday = 5\nkind = \"trust-bank\"\nbank = 1\nsize = 1\n[[shock]]\nday = 5\n\
         kind = \"fail-bank\"\nbank = 1\n\
         [[rule]]\nkind = \"expression\"\nfrom_day = 30\nevery_days = 50\nlever = \"holding-limit\"\n\
         expression = \"trust_banks * 1000000\"\n"
    );
    let results = run(&scenario(&text, &[("time.days", "31"), ("time.period_days", "1")]));
    let last = results.macro_rows.last().unwrap();
    assert!((last.holding_limit_minor.unwrap() as f64 - last.trust_banks * 1e6).abs() <= 1.0, "{last:?}");
}

#[test]
fn the_summary_says_what_the_tables_say() {
    let results = run(&scenario(TEXT, &[("policy.holding_limit_minor", "none"), ("time.days", "20")]));
    let (summary, last) = (results.summary(), results.macro_rows.last().unwrap());
    assert_eq!(summary.reserves_minor, last.reserves_minor);
    assert_eq!(summary.deposit_facility_minor, last.deposit_facility_minor);
    assert!(summary.deposit_facility_minor > 0);
    // Where there is no limit the cell is empty, and a date is a date.
    let mut csv = String::new();
    results.for_each_table(&mut |name, columns, rows| {
        if name == "macro" {
            csv = Results::csv(columns, &rows);
        }
    });
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| lines[0].iter().position(|column| *column == name).unwrap();
    assert_eq!((lines[1][column("holding_limit_minor")], lines[1][column("date")]), ("", "2027-01-01"));
}
