//! The pages of docs/reference/policy match the ledger: every example on them is run, and every number in the text
//! beside one appears in it.
//!
//! An example is a fenced block with the info string `example`, and runs on a network of its own: three banks with
//! reserves of 1000.00 each, on actual/365, from 2026-11-23T00:00. A line is `statement | result`.
//!
//! * On the left is one statement of [`Player::act`], or nothing. Opening figures (`begin …`) come first.
//! * On the right are results, separated by semicolons: first the outcome ([`Player::outcome`]), then what can be read
//!   afterwards ([`Player::read`]). If none is named, the command must settle, without fee, waterfall and top-up.
//! * Amounts have two decimals and a point, counts none. `alice@2` is a second wallet of alice. Commas are optional.
//! * `decide` and `operate` take the words of `cbdc policy propose` and `cbdc policy operate`; the other statements are
//!   listed in docs/reference/policy/README.md.
//!
//! What the player does not understand fails, with page and line.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model;
use crate::model::network::{DAY_MS, HOUR_MS, Network, books_with_reserves, genesis, unsigned};
use cbdc_ledger::block::DepositDirection;
use cbdc_ledger::books::{BookAccount, Income};
use cbdc_ledger::command::{
    FreezeKind, GovernanceAction, IssuanceKind, Operation, OperationKind, Payment, PlaceHold, Record, SeizeOrder,
};
use cbdc_ledger::genesis::DayCount;
use cbdc_ledger::outcome::Charges;
use cbdc_ledger::policy::{Parameters, text};
use cbdc_ledger::programme::{Classes, Cohort, Grant, Purpose};
use cbdc_ledger::time::LedgerDay;
use cbdc_ledger::{AccountId, Amount, BankId, Block, Class, Command, Genesis, Outcome, Reason, Signed};

macro_rules! pages {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../../../docs/reference/policy/", $name, ".md")))),*]
    };
}

const PAGES: &[(&str, &str)] = pages![
    "README",
    "issue-redeem",
    "supply-cap-and-quota",
    "holding-limit",
    "waterfall",
    "payment-limits",
    "remuneration",
    "demurrage",
    "reserves",
    "standing-facilities",
    "refinancing",
    "market-operations",
    "banknotes-and-government",
    "unbacked-issuance",
    "purpose-bound-money",
    "holds",
    "freeze-and-seize",
    "fees",
    "bank-status"
];

/// Every amount of the examples has two decimals.
const EXPONENT: u8 = 2;

type Read<T> = Result<T, String>;

fn money(text: &str) -> Read<u64> {
    let is_exact = text.split_once('.').is_some_and(|(_, decimals)| decimals.len() == usize::from(EXPONENT));
    let amount = Amount::parse_major(text, EXPONENT).ok().filter(|_| is_exact);
    amount.map(Amount::minor).ok_or_else(|| format!("expected an amount such as 12.50, found `{text}`"))
}

/// An amount if there is a point, otherwise a plain number.
fn figure(text: &str) -> Read<u64> {
    if text.contains('.') { money(text) } else { number(text) }
}

fn number<T: std::str::FromStr>(text: &str) -> Read<T> {
    text.parse().map_err(|_| format!("expected a number, found `{text}`"))
}

fn bank(text: &str) -> Read<BankId> {
    let bank = text.strip_prefix("bank-").ok_or_else(|| format!("expected a bank such as bank-2, found `{text}`"))?;
    number(bank).map(BankId)
}

fn show(minor: i128) -> String {
    let digits = Amount::from_minor(u64::try_from(minor.unsigned_abs()).unwrap()).to_major(EXPONENT);
    format!("{}{digits}", if minor < 0 { "-" } else { "" })
}

fn shown(amount: Amount) -> String {
    show(i128::from(amount.minor()))
}

/// Splits a line into words; commas and colons after a word are ignored.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().map(|word| word.trim_end_matches([',', ':'])).collect()
}

/// The state of one example while it runs.
struct Player {
    genesis: Option<Genesis>,
    network: Network,
    wallets: BTreeMap<String, AccountId>,
    /// The balance sheet before the last statement.
    before: BTreeMap<String, i128>,
    /// The amount that the last statement's waterfalls moved, minor units.
    waterfall: u64,
}

impl Player {
    fn new() -> Player {
        let (wallets, before) = (BTreeMap::new(), BTreeMap::new());
        Player { genesis: Some(genesis()), network: Network::build(|_| {}), wallets, before, waterfall: 0 }
    }

    fn line(&mut self, line: &str) -> Read<()> {
        let (statement, results) = line.split_once('|').unwrap_or((line, ""));
        let mut results: Vec<&str> = results.split(';').map(str::trim).filter(|result| !result.is_empty()).collect();
        if !statement.trim().is_empty() {
            self.waterfall = 0;
            let outcome = self.act(statement.trim())?;
            let expected = results.first().map_or(Ok(None), |first| Player::outcome(first))?;
            if expected.is_some() {
                results.remove(0);
            }
            let (mut expected, waterfall) = expected.unwrap_or((Outcome::settled(), 0));
            if waterfall != self.waterfall {
                return Err(format!("expected a waterfall of {waterfall} minor units, found {}", self.waterfall));
            }
            if (expected.limit, expected.amount) == (u64::MAX, u64::MAX) {
                (expected.limit, expected.amount) = (outcome.limit, outcome.amount);
            }
            if outcome != expected {
                let say = |it: Outcome| {
                    let fee = it.charges().fee.minor();
                    format!("{}, limit {}, amount {}, fee {fee}", it.reason.name(), it.limit, it.amount)
                };
                return Err(format!("expected {}, found {} (minor units)", say(expected), say(outcome)));
            }
        }
        if !results.is_empty() {
            self.start();
        }
        results.into_iter().try_for_each(|result| self.read(&words(result)))
    }

    /// Begins with the opening figures, at the first statement or reading that is not one of them.
    fn start(&mut self) {
        if let Some(genesis) = self.genesis.take() {
            self.network = Network::build(|default| *default = genesis);
        }
    }

    /// Reads an outcome: `refused REASON [limit X, amount Y]`, `hold 1`, or what a payment moved besides the amount:
    /// `fee`, `payee's fee` and `reverse waterfall`, which its outcome has, and `waterfall`, which it does not have.
    fn outcome(result: &str) -> Read<Option<(Outcome, u64)>> {
        let reason = |name: &str| Reason::from_name(name).ok_or_else(|| format!("expected a reason, found `{name}`"));
        let (mut charges, mut waterfall) = (Charges::default(), 0);
        let words = words(result);
        let mut rest = &words[..];
        loop {
            let (field, value, left) = match *rest {
                ["fee", value, ref left @ ..] => (&mut charges.fee, value, left),
                ["payee's", "fee", value, ref left @ ..] => (&mut charges.payee_fee, value, left),
                ["reverse", "waterfall", value, ref left @ ..] => (&mut charges.reverse_waterfall, value, left),
                ["waterfall", value, ref left @ ..] => {
                    (waterfall, rest) = (money(value)?, left);
                    continue;
                }
                [] => return Ok(Some((Outcome::paid(charges), waterfall))),
                _ => break,
            };
            (*field, rest) = (Amount::from_minor(money(value)?), left);
        }
        Ok(Some((
            match words[..] {
                ["refused", name] => Outcome::refused(reason(name)?, u64::MAX, u64::MAX),
                ["refused", name, "limit", limit, "amount", amount] => {
                    Outcome::refused(reason(name)?, figure(limit)?, figure(amount)?)
                }
                ["takes", taken] => Outcome::settled_with(money(taken)?),
                ["hold", hold] => Outcome::settled_with(number(hold)?),
                _ => return Ok(None),
            },
            0,
        )))
    }

    /// A block, noting what its waterfalls moved.
    fn block(&mut self, commands: &[Command]) -> Block {
        let block = self.network.block(commands);
        let waterfalls = block.changes.deposits.iter().filter(|moved| moved.direction == DepositDirection::ToDeposit);
        self.waterfall += waterfalls.map(|moved| moved.amount.minor()).sum::<u64>();
        block
    }

    fn act(&mut self, statement: &str) -> Read<Outcome> {
        if let Some(opening) = statement.strip_prefix("begin with ") {
            let genesis = self.genesis.as_mut().ok_or("expected opening figures before everything else")?;
            return begin(genesis, opening).map(|()| Outcome::settled());
        }
        self.start();
        self.before = self.sheet();
        if let Some(actions) = statement.strip_prefix("decide ") {
            return self.decide(actions);
        }
        let of = |name: &str| {
            self.wallets.get(name).copied().ok_or_else(|| format!("expected an open wallet, found `{name}`"))
        };
        let net = &self.network;
        let words = words(statement);
        match words[..] {
            ["open", name, class, "at", "bank", at, ref with @ ..] => {
                self.open(name, class.parse()?, number(at)?, with)
            }
            ["close", name] => self.settle(net.closing(of(name)?)),
            ["issue", amount, "to", "bank", to] => self.issue(IssuanceKind::Issue, amount, to),
            ["redeem", amount, "of", "bank", of] => self.issue(IssuanceKind::Redeem, amount, of),
            ["fund", name, amount] => self.settle(net.funding(of(name)?, money(amount)?)),
            ["defund", name, amount] => self.settle(net.defunding(of(name)?, money(amount)?)),
            ["link", name, "to", "bank", to] => self.settle(net.link(of(name)?, number(to)?)),
            ["unlink", name] => self.settle(net.link(of(name)?, 0)),
            ["designate", name] => self.settle(net.designation(of(name)?)),
            ["reclassify", person, class] => self.settle(net.reclassification(person, class.parse()?)),
            [from, "pays", to, amount, ref terms @ ..] => {
                let transfer = net.transfer(of(from)?, of(to)?, money(amount)?);
                self.pay(transfer, terms)
            }
            [from, "holds", amount, "for", to, count, unit, ref terms @ ..] => {
                let hold = net.hold(of(from)?, of(to)?, money(amount)?);
                let max_fee = if let ["max", "fee", fee] = terms { money(fee)? } else { 0 };
                let expires_at = net.now.plus_ms(span(count, unit)?);
                self.settle(PlaceHold { expires_at, max_fee: Amount::from_minor(max_fee), ..hold })
            }
            ["bank", bank, "captures", "hold", hold, amount] => {
                self.settle(net.capture(number(bank)?, number(hold)?, money(amount)?))
            }
            ["bank", bank, "voids", "hold", hold] => self.settle(net.void(number(bank)?, number(hold)?)),
            ["freeze", amount, "of", name] => self.settle(net.order(FreezeKind::Freeze, of(name)?, money(amount)?)),
            ["unfreeze", amount, "of", name] => self.settle(net.order(FreezeKind::Unfreeze, of(name)?, money(amount)?)),
            ["seize", amount, "of", name, "for", to, "releasing", released] => {
                let released = Amount::from_minor(money(released)?);
                self.settle(SeizeOrder { released, ..net.seizure(of(name)?, money(amount)?, of(to)?) })
            }
            ["bank", from, "transfers", amount, "to", "bank", to] => {
                self.settle(net.reserves_transfer(number(from)?, number(to)?, money(amount)?))
            }
            ["bank", bank, "reports", "deposits", amount] => self.settle(net.statement(number(bank)?, money(amount)?)),
            ["operate", kind, amount, "--bank", bank, ref terms @ ..] => {
                let kind = OperationKind::ALL.into_iter().find(|it| it.kind().name() == kind);
                let kind = kind.ok_or_else(|| format!("expected an operation, found `{statement}`"))?;
                let operation = net.operation(kind, number(bank)?, money(amount)?);
                self.settle(with_terms(operation, terms)?)
            }
            ["after", count, unit] => {
                self.network.wait(span(count, unit)?);
                self.block(&[]);
                Ok(Outcome::settled())
            }
            ["on", date] => {
                self.network.now = date.parse::<LedgerDay>()?.start(0).max(self.network.now);
                self.block(&[]);
                Ok(Outcome::settled())
            }
            _ => Err(format!("expected a statement, found `{statement}`")),
        }
    }

    fn settle<R: Record>(&mut self, record: R) -> Read<Outcome>
    where
        Command: From<Signed<R>>,
    {
        Ok(self.block(&[unsigned(record)]).outcomes[0])
    }

    fn issue(&mut self, kind: IssuanceKind, amount: &str, bank: &str) -> Read<Outcome> {
        self.settle(self.network.issuance(kind, number(bank)?, money(amount)?))
    }

    /// Opens a wallet, and issues and funds its opening balance.
    fn open(&mut self, name: &str, class: Class, bank: u16, with: &[&str]) -> Read<Outcome> {
        let person = name.split_once('@').map_or(name, |(person, _)| person);
        let outcome = self.settle(self.network.opening(bank, person, class))?;
        if !outcome.is_settled() {
            return Ok(outcome);
        }
        let id = AccountId::from_u64(outcome.amount).expect("the result of opening is an account id");
        self.wallets.insert(name.to_owned(), id);
        match with {
            [] => Ok(Outcome::settled()),
            ["with", amount] => {
                let issued = self.settle(self.network.issuance(IssuanceKind::Issue, bank, money(amount)?))?;
                if issued.is_settled() { self.settle(self.network.funding(id, money(amount)?)) } else { Ok(issued) }
            }
            _ => Err(format!("expected `with 10.00`, found {with:?}")),
        }
    }

    fn pay(&mut self, mut transfer: Payment, terms: &[&str]) -> Read<Outcome> {
        let mut top_up = None;
        let mut rest = terms;
        loop {
            rest = match *rest {
                ["max", "fee", fee, ref rest @ ..] => {
                    transfer.max_fee = Amount::from_minor(money(fee)?);
                    rest
                }
                ["bank", bank, "adds", "at", "most", maximum, ref rest @ ..] => {
                    top_up = Some((number(bank)?, money(maximum)?));
                    rest
                }
                [] => break,
                _ => return Err(format!("expected `max fee 0.10` or `bank 1 adds at most 5.00`, found {rest:?}")),
            }
        }
        match top_up {
            None => self.settle(transfer),
            Some((bank, maximum)) => self.settle(self.network.reverse_waterfall(bank, maximum, transfer)),
        }
    }

    /// Lets the committee propose, vote on and enact at once what is typed as for `cbdc policy propose`.
    fn decide(&mut self, typed: &str) -> Read<Outcome> {
        let in_force = self.network.ledger.parameters();
        let (mut wanted, mut others) = (in_force.clone(), Vec::new());
        for one in typed.split(';') {
            let (name, value) = one.split_once('=').ok_or_else(|| format!("expected name = value, found `{one}`"))?;
            match name.trim() {
                "grant" => others.push(GovernanceAction::Grant(grant(value)?)),
                "bank-status" => {
                    let (of, status) = value.trim().split_once(':').ok_or("expected bank-2:suspended")?;
                    others.push(GovernanceAction::BankStatus { bank: bank(of)?, status: status.parse()? });
                }
                name => text::set(&mut wanted, name, value, EXPONENT)?,
            }
        }
        let changes = text::changes(in_force, &wanted).into_iter().map(GovernanceAction::Policy);
        let actions: Vec<GovernanceAction> = changes.chain(others).collect();
        if actions.is_empty() {
            return Err("expected a change, found what is in force already".to_owned());
        }
        let proposed = self.settle(self.network.proposal(actions))?;
        if proposed.is_settled() {
            self.network.must_settle(self.network.ballot(1, true, proposed.amount));
            assert_eq!(self.block(&[]).changes.proposals_closed, [proposed.amount]);
            return Ok(Outcome::settled());
        }
        Ok(proposed)
    }

    /// `SUBJECT field value, field value …`; a wallet's first field is `has`. `entries` are all that the statement
    /// made, as changes of balances.
    fn read(&self, words: &[&str]) -> Read<()> {
        let (subject, fields) = match words {
            ["bank" | "programme", id, fields @ ..] => (format!("{} {id}", words[0]), fields),
            [subject, fields @ ..] => ((*subject).to_owned(), fields),
            [] => return Err("expected what can be read".to_owned()),
        };
        if fields.is_empty() || !fields.len().is_multiple_of(2) {
            return Err(format!("expected fields and values of {subject}, found {fields:?}"));
        }
        if subject == "entries" {
            let expected: BTreeMap<_, _> = fields.chunks(2).map(|it| (it[0].to_owned(), it[1].to_owned())).collect();
            let found = self.entries();
            return if found == expected {
                Ok(())
            } else {
                Err(format!("expected entries {expected:?}, found {found:?}"))
            };
        }
        for field in fields.chunks(2) {
            let found = self.value(&subject, field[0])?;
            if found != field[1] {
                return Err(format!("expected {subject} {} {}, found {found}", field[0], field[1]));
            }
        }
        Ok(())
    }

    fn value(&self, subject: &str, field: &str) -> Read<String> {
        let ledger = &self.network.ledger;
        let unknown = || format!("expected something to read, found `{subject} {field}`");
        if let Some(id) = subject.strip_prefix("programme ") {
            let programme = ledger.programmes().get(number(id)?).ok_or_else(unknown)?;
            return Ok(match field {
                "paid" => programme.paid.to_string(),
                "refused" => programme.refused.to_string(),
                "expired" => shown(programme.expired),
                _ => return Err(unknown()),
            });
        }
        if let Some(bank) = subject.strip_prefix("bank ") {
            let id = BankId(number(bank)?);
            let position = ledger.positions().bank(id).ok_or_else(unknown)?;
            let overdue =
                position.loans.iter().filter(|loan| loan.overdue).map(|loan| i128::from(loan.principal.minor()));
            return Ok(match field {
                "treasury" => shown(ledger.account(AccountId::treasury(id)).ok_or_else(unknown)?.available),
                "collateral" => shown(position.collateral),
                "overdue" => show(overdue.sum()),
                "requirement" => shown(ledger.parameters().reserves.requirement(position.requirement_base)),
                "status" => position.status.to_string(),
                _ => return Err(unknown()),
            });
        }
        match subject {
            "books" => self.sheet().get(field).map(|balance| show(*balance)).ok_or_else(unknown),
            "supply" => {
                let term = ledger.supply().named().into_iter().find(|(name, _)| name.replace('_', "-") == field);
                term.map(|(_, amount)| shown(amount)).ok_or_else(unknown)
            }
            wallet => {
                let id = *self.wallets.get(wallet).ok_or_else(unknown)?;
                let wallet = ledger.account_today(id).ok_or_else(unknown)?;
                Ok(match field {
                    "has" => shown(wallet.available),
                    "held" => shown(wallet.held),
                    "frozen" => shown(wallet.frozen),
                    "earmarked" => shown(wallet.earmarked),
                    "claim" => shown(ledger.claim_on(id).ok_or_else(unknown)?),
                    "remainder" => wallet.accrued.to_string(),
                    _ => return Err(unknown()),
                })
            }
        }
    }

    /// The balance sheet by the names of its accounts, with the sources of equity and the nominal of the securities.
    fn sheet(&self) -> BTreeMap<String, i128> {
        let books = self.network.ledger.books();
        let name = |account: BookAccount| match account {
            BookAccount::Loans(bank) => format!("loans.bank-{bank}"),
            BookAccount::Reserves(bank) => format!("reserves.bank-{bank}"),
            BookAccount::DepositFacility(bank) => format!("deposit-facility.bank-{bank}"),
            BookAccount::Income(income) => format!("income.{}", income.name().replace('_', "-")),
            other => format!("{other:?}").to_lowercase(),
        };
        let sources = Income::ALL.map(BookAccount::Income);
        let accounts = books.accounts().into_iter().chain([BookAccount::Equity]).chain(sources);
        let mut sheet: BTreeMap<String, i128> = accounts.map(|it| (name(it), books.balance(it))).collect();
        sheet.insert("nominal".to_owned(), books.securities_nominal().minor().into());
        sheet
    }

    /// The changes that the last statement made on the balance sheet.
    fn entries(&self) -> BTreeMap<String, String> {
        let mut entries = self.sheet();
        entries.retain(|name, _| name != "nominal" && !name.starts_with("income."));
        let change = |(name, after): (String, i128)| {
            let change = after - self.before.get(&name).copied().unwrap_or_default();
            (change != 0).then(|| (name, format!("{}{}", if change > 0 { "+" } else { "" }, show(change))))
        };
        entries.into_iter().filter_map(change).collect()
    }
}

/// `2027-06-01`, `actual/360`, `reserves 5000.00` for each bank, or a parameter of policy.
fn begin(genesis: &mut Genesis, opening: &str) -> Read<()> {
    match words(opening)[..] {
        ["actual/360"] => genesis.day_count = DayCount::Actual360,
        ["reserves", amount] => genesis.books = books_with_reserves(money(amount)?),
        [date] => genesis.created_at = date.parse::<LedgerDay>()?.start(0),
        _ => {
            let (name, value) =
                opening.split_once('=').ok_or_else(|| format!("expected a figure, found `{opening}`"))?;
            text::set(&mut genesis.policy, name.trim(), value, EXPONENT)?;
        }
    }
    Ok(())
}

fn span(count: &str, unit: &str) -> Read<u64> {
    match unit {
        "hour" | "hours" => Ok(number::<u64>(count)? * HOUR_MS),
        "day" | "days" => Ok(number::<u64>(count)? * DAY_MS),
        _ => Err(format!("expected hours or days, found `{unit}`")),
    }
}

/// Adds `--price PERCENT`, or `--rate PERCENT --matures DATE`.
fn with_terms(operation: Operation, terms: &[&str]) -> Read<Operation> {
    match *terms {
        [] => Ok(operation),
        ["--price", price] => Ok(Operation { price_ppm: text::rate(price)?.0 as u32, ..operation }),
        ["--rate", rate, "--matures", date] => {
            Ok(Operation { rate: text::rate(rate)?, matures: date.parse()?, ..operation })
        }
        _ => Err(format!("expected --price, or --rate and --matures, found {terms:?}")),
    }
}

/// `25.00 to household [first 2] [of bank-1] [from government for merchant,business until 2026-12-31]`.
fn grant(typed: &str) -> Read<Grant> {
    let typed: Vec<&str> = typed.split_whitespace().collect();
    let [amount, "to", class, clauses @ ..] = &typed[..] else {
        return Err(format!("expected a grant such as 25.00 to household, found {typed:?}"));
    };
    let mut cohort = Cohort { class: class.parse()?, bank: None, first: 0 };
    let mut purpose = None;
    for clause in clauses.chunks(2) {
        match *clause {
            ["first", count] => cohort.first = number(count)?,
            ["of", of] => cohort.bank = Some(bank(of)?),
            ["from", funding] => {
                let funding = funding.parse()?;
                purpose = Some(Purpose { expires_at: model::network::START, payees: Classes::default(), funding });
            }
            ["for", classes] => {
                let classes: Result<Vec<Class>, String> = classes.split(',').map(str::parse).collect();
                purpose.as_mut().ok_or("expected `from` first")?.payees = Classes::of(classes?);
            }
            ["until", date] => {
                purpose.as_mut().ok_or("expected `from` first")?.expires_at = date.parse::<LedgerDay>()?.start(0);
            }
            _ => return Err(format!("expected first, of, from, for or until, found {clause:?}")),
        }
    }
    Ok(Grant { cohort, amount_each: Amount::from_minor(money(amount)?), purpose })
}

/// The lines of a page with their numbers and whether they belong to an example; the fences themselves are neither.
struct Lines<'a> {
    examples: Vec<Vec<(usize, &'a str)>>,
    prose: Vec<(usize, &'a str)>,
}

fn lines(page: &str) -> Lines<'_> {
    let mut lines = Lines { examples: Vec::new(), prose: Vec::new() };
    let (mut in_fence, mut in_example) = (false, false);
    for (at, line) in page.lines().enumerate() {
        if let Some(info) = line.strip_prefix("```") {
            (in_fence, in_example) = (!in_fence, !in_fence && info == "example");
            if in_example {
                lines.examples.push(Vec::new());
            }
        } else if in_example {
            lines.examples.last_mut().expect("the example was begun").push((at + 1, line));
        } else {
            lines.prose.push((at + 1, line));
        }
    }
    lines
}

/// Words in backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Amounts in a line (two decimals), and large counts (`350,000,000`) both as they are and as minor units.
fn figures(line: &str) -> Vec<Vec<String>> {
    let is_part = |character: char| character.is_ascii_digit() || ".,".contains(character);
    let tokens = line.split(|character| !is_part(character)).map(|token| token.trim_matches(['.', ',']));
    let mut figures = Vec::new();
    for token in tokens {
        let plain = token.replace(',', "");
        if money(&plain).is_ok() {
            figures.push(vec![plain]);
        } else if token.contains(',')
            && let Ok(minor) = plain.parse::<u64>()
        {
            figures.push(vec![plain, show(i128::from(minor))]);
        }
    }
    figures
}

/// The line that is being run; printed if the ledger itself panics, as at a broken invariant.
struct Played(String);

impl Drop for Played {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Fails with all errors found on the pages.
fn judge(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "the pages and the ledger disagree:\n{}", wrong.join("\n"));
}

#[test]
fn every_example_comes_to_what_its_page_says() {
    let mut wrong = Vec::new();
    for (name, page) in PAGES {
        for example in lines(page).examples {
            let mut player = Player::new();
            for (at, line) in example {
                let _played = Played(format!("docs/reference/policy/{name}.md:{at}: {line}"));
                if let Err(why) = player.line(line) {
                    wrong.push(format!("docs/reference/policy/{name}.md:{at}: {why}\n    {line}"));
                    break;
                }
            }
        }
    }
    judge(wrong);
}

#[test]
fn every_page_has_an_example_and_is_listed() {
    let mut wrong = Vec::new();
    for (name, page) in PAGES {
        if lines(page).examples.iter().all(Vec::is_empty) {
            wrong.push(format!("docs/reference/policy/{name}.md: expected an example, found none"));
        }
        if *name != "README" && !PAGES[0].1.contains(&format!("({name}.md)")) {
            wrong.push(format!("docs/reference/policy/README.md: expected a line for {name}.md"));
        }
    }
    let folder = Path::new("../../docs/reference/policy");
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        if !PAGES.iter().any(|(name, _)| file == format!("{name}.md")) {
            wrong.push(format!("docs/reference/policy/{file}: expected it among the PAGES of this test"));
        }
    }
    judge(wrong);
}

#[test]
fn every_amount_beside_an_example_stands_in_it() {
    let mut wrong = Vec::new();
    for (name, page) in PAGES {
        let lines = lines(page);
        let run: Vec<String> =
            lines.examples.iter().flatten().flat_map(|(_, line)| words(line)).map(str::to_owned).collect();
        for (at, line) in &lines.prose {
            for figure in figures(line) {
                if !figure.iter().any(|figure| run.iter().any(|word| word.trim_matches([';', '-', '+']) == figure)) {
                    wrong.push(format!(
                        "docs/reference/policy/{name}.md:{at}: {} is in no example of the page",
                        figure[0]
                    ));
                }
            }
        }
    }
    judge(wrong);
}

#[test]
fn the_pages_name_every_parameter_with_its_default_and_no_unknown_reason() {
    let mut wrong = Vec::new();
    let defaults = text::show(&Parameters::default(), EXPONENT);
    let mut missing: Vec<&str> = text::NAMES.into_iter().chain(text::CLASS_NAMES).collect();
    for (name, page) in PAGES {
        for (at, line) in &lines(page).prose {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let parameter = cells.get(1).and_then(|cell| quoted(cell).next()).unwrap_or_default();
            let default = defaults.iter().find(|(name, _)| *name == parameter.replace("CLASS", "household"));
            if let Some((_, default)) = default {
                missing.retain(|name| *name != parameter.trim_end_matches(".CLASS"));
                if cells.get(3) != Some(&default.as_str()) {
                    wrong.push(format!(
                        "docs/reference/policy/{name}.md:{at}: expected `{default}` as the default of {parameter}"
                    ));
                }
            }
            for reason in quoted(line).filter(|word| {
                word.contains(|it: char| it.is_ascii_uppercase())
                    && word.chars().all(|it| it.is_ascii_uppercase() || it == '_')
            }) {
                if Reason::from_name(reason).is_none() && reason != "CLASS" {
                    wrong.push(format!("docs/reference/policy/{name}.md:{at}: expected a reason, found `{reason}`"));
                }
            }
        }
    }
    wrong.extend(
        missing.into_iter().map(|name| format!("docs/reference/policy: expected a page with the parameter {name}")),
    );
    judge(wrong);
}

/// A canary: the player refuses what it does not understand, and sees every kind of difference.
#[test]
fn the_player_is_strict() {
    for (line, why) in [
        ("alice pays bob 1.00", "expected an open wallet, found `alice`"),
        ("sing a song", "expected a statement, found `sing a song`"),
        ("issue 1 to bank 1", "expected an amount such as 12.50, found `1`"),
        (
            "issue 1.00 to bank 1 | refused SUPPLY_CAP",
            "expected SUPPLY_CAP, limit 0, amount 0, fee 0, found SETTLED, limit 0, amount 0, fee 0 (minor units)",
        ),
        (
            "issue 2000.00 to bank 1",
            "expected SETTLED, limit 0, amount 0, fee 0, found INSUFFICIENT_RESERVES, limit 100000, amount 200000,",
        ),
        ("issue 1.00 to bank 1 | books: cbdc 1.01", "expected books cbdc 1.01, found 1.00"),
        ("issue 1.00 to bank 1 | books: gold 1.00", "expected something to read, found `books gold`"),
        ("issue 1.00 to bank 1 | books: cbdc", "expected fields and values of books, found [\"cbdc\"]"),
        ("decide no-such = 1", "expected a parameter"),
    ] {
        let found = Player::new().line(line).expect_err(line);
        assert!(found.starts_with(why), "{line}: {found}");
    }
    let mut player = Player::new();
    player.line("issue 1.00 to bank 1").unwrap();
    assert!(player.line("begin with reserves 1.00").is_err(), "opening figures come first");
}

/// A canary: a change of any number that a page gives as a result would be noticed.
#[test]
fn a_changed_number_is_found() {
    let (mut changed, mut wrong) = (0, Vec::new());
    for (name, page) in PAGES {
        for example in lines(page).examples {
            for (index, (at, line)) in example.iter().enumerate() {
                let Some((statement, results)) = line.split_once('|') else { continue };
                let words: Vec<&str> = results.split(' ').collect();
                for (nth, word) in words.iter().enumerate() {
                    let digits = word.trim_matches([',', ';', '+', '-']);
                    let Ok(minor) = figure(digits) else { continue };
                    let other =
                        if digits.contains('.') { show(i128::from(minor) + 1) } else { (minor + 1).to_string() };
                    let mut words = words.clone();
                    let word = word.replace(digits, &other);
                    words[nth] = &word;
                    let altered = format!("{statement}|{}", words.join(" "));
                    let mut player = Player::new();
                    let mut played = example.iter().map(|(_, line)| *line).take(index).chain([&*altered]);
                    if played.all(|line| player.line(line).is_ok()) {
                        wrong.push(format!("docs/reference/policy/{name}.md:{at}: expected this to fail: {altered}"));
                    }
                    changed += 1;
                }
            }
        }
    }
    judge(wrong);
    assert!(changed > 300, "the pages have {changed} numbers");
}
