//! `[[event]]`: changes of the network or the policy while the load runs.
//!
//! | key | meaning |
//! |---|---|
//! | `at_s` | seconds from the first payment due, warm-up included; required |
//! | `action` | required; one of those below |
//! | `times` | the action happens so often, once by default |
//! | `every_s` | seconds from one time to the next; required with `times` above 1 |
//!
//! | action | further keys |
//! |---|---|
//! | `"kill"` (SIGKILL), `"stop"` (SIGTERM), `"restart"` | `node` |
//! | `"pause"` (SIGSTOP), `"resume"` (SIGCONT) | `node` |
//! | `"hand-over"` | `to`: a node of the central bank; by default the one that follows the leader most closely |
//! | `"partition"` | `nodes`, the list of those on one side; `direction`: `"both"`, `"in"` or `"out"` |
//! | `"slow-link"` | `nodes`; `delay_ms` on each way; `rate_kib_per_s` of each connection (0: any) |
//! | `"slow-disk"` | `nodes` of the central bank; `delay_ms` of each sync |
//! | `"heal"` | none: ends every partition, slow link and slow disk |
//! | `"policy"` | the keys of `[policy]` but `preset`, at least one |
//! | `"grant"` | `class`, `amount_minor` for each holder; `first` so many holders (0: all), `bank` |
//! | | for targeted money also `expires_in_s`, `payees` (classes), `funding` (`"equity"` or `"government"`) |
//! | `"bank-status"` | `node` (a bank), `status`: `"active"`, `"suspended"` or `"resolved"` |
//! | `"freeze"`, `"unfreeze"` | `amount_minor` a wallet; `wallet` (index from 0), or `class` and `count` (0: all) |
//! | `"seize"` | the same, and `to_wallet`, the wallet that is paid |
//! | `"reclassify"` | `wallet`, `class`: its holder's class from now on |
//! | `"report-deposits"` | `node` (a bank) |
//! | `"issue"`, `"redeem"` | `node` (a bank), `amount_minor` |
//! | `"operation"` | `kind`, `bank`, `amount_minor` |
//! | | for securities also `price` (`"99.5 %"`), for refinancing `rate` and `matures_in_days` |
//!
//! A `node` is `"central-bank-1"` and so on, `"bank-1"` and so on, `"leader"`, the central bank's node that leads when
//! the event happens, or `"former-leader"`, the one that the last event with `"leader"` met, such as the one that it
//! killed. Where the central bank has one node, `"central-bank"` is it. Links are those among the central bank's nodes
//! and between them and the banks; customers, and the run itself, reach every node at any time. A partition freezes
//! what is on the way, as a broken line does: no connection is closed, and what was sent arrives when it is healed.
//!
//! Policy, grants and a bank's status are decided by the committee's vote and apply when enacted; an operation is the
//! operator's, freezes and seizures are a court's order, a holder's class is the registrar's. Wallets are counted as in
//! `[wallets]`: wallet `i` is at bank `i % banks`.

use cbdc_devnet::policy::change::policy_keys;
use cbdc_devnet::policy::per_class::{CLASS_WORDS, read_classes};
use cbdc_devnet::policy::{MINOR_MAX, PolicyChange};
use cbdc_ledger::Class;
use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::command::OperationKind;
use cbdc_ledger::policy::text;
use cbdc_ledger::programme::Funding;
use serde::Serialize;

use super::action::{
    Action, Chosen, DIRECTIONS, GrantFigures, OPERATIONS, OperationFigures, OrderFigures, PurposeFigures, word_of,
};
use super::error::ScenarioError;
use super::network::Network;
use super::node::{NodeChoice, NodeName, bank_of, read_node, read_nodes, read_successor};
use super::section::Section;
use super::wallets::Wallets;

/// The most times that one event may happen.
const TIMES_MAX: u64 = 10_000;
/// The longest delay of a slow link.
const DELAY_MS_MAX: u64 = 60_000;
/// The highest rate of a slow link that is one.
const RATE_KIB_PER_S_MAX: u64 = 1_048_576;

/// An action at a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Seconds from the first payment due, warm-up included.
    pub at_s: f64,
    /// The action.
    #[serde(flatten)]
    pub action: Action,
}

#[derive(Clone, Copy)]
enum Kind {
    Kill,
    Stop,
    Restart,
    Pause,
    Resume,
    HandOver,
    Partition,
    SlowLink,
    SlowDisk,
    Heal,
    Policy,
    Grant,
    BankStatus,
    Operation,
    Freeze,
    Unfreeze,
    Seize,
    Reclassify,
    ReportDeposits,
    Issue,
    Redeem,
}

const KINDS: [(&str, Kind); 21] = [
    ("kill", Kind::Kill),
    ("stop", Kind::Stop),
    ("restart", Kind::Restart),
    ("pause", Kind::Pause),
    ("resume", Kind::Resume),
    ("hand-over", Kind::HandOver),
    ("partition", Kind::Partition),
    ("slow-link", Kind::SlowLink),
    ("slow-disk", Kind::SlowDisk),
    ("heal", Kind::Heal),
    ("policy", Kind::Policy),
    ("grant", Kind::Grant),
    ("bank-status", Kind::BankStatus),
    ("operation", Kind::Operation),
    ("freeze", Kind::Freeze),
    ("unfreeze", Kind::Unfreeze),
    ("seize", Kind::Seize),
    ("reclassify", Kind::Reclassify),
    ("report-deposits", Kind::ReportDeposits),
    ("issue", Kind::Issue),
    ("redeem", Kind::Redeem),
];

impl Event {
    /// Reads an event, as often as it happens.
    pub(super) fn read(
        mut section: Section<'_>,
        network: &Network,
        wallets: &Wallets,
        total_s: f64,
    ) -> Result<Vec<Self>, ScenarioError> {
        let banks = network.banks;
        let Some(at_s) = section.optional_number("at_s", 0.0..=total_s)? else {
            return Err(section.mistake("at_s", "`at_s`, the event's time in seconds", "none"));
        };
        if !section.gives("action") {
            let words: Vec<_> = KINDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            return Err(section.mistake("action", format!("`action`, one of {}", words.join(", ")), "none"));
        }
        let kind = section.choice("action", &KINDS)?;
        say_where_keys_belong(&mut section);
        let action = match kind {
            Kind::Kill => Action::Kill { node: read_node(&mut section, network)? },
            Kind::Stop => Action::Stop { node: read_node(&mut section, network)? },
            Kind::Restart => Action::Restart { node: read_node(&mut section, network)? },
            Kind::Pause => Action::Pause { node: read_node(&mut section, network)? },
            Kind::Resume => Action::Resume { node: read_node(&mut section, network)? },
            Kind::HandOver => read_hand_over(&mut section, network)?,
            Kind::Partition => {
                let nodes = read_nodes(&mut section, network)?;
                Action::Partition { nodes, direction: section.choice("direction", &DIRECTIONS)? }
            }
            Kind::SlowLink => read_slow_link(&mut section, network)?,
            Kind::SlowDisk => read_slow_disk(&mut section, network)?,
            Kind::Heal => Action::Heal,
            Kind::Policy => Action::Policy(read_change(&mut section)?),
            Kind::Grant => Action::Grant(read_grant(&mut section, banks)?),
            Kind::BankStatus => read_status(&mut section, banks)?,
            Kind::Operation => Action::Operation(read_operation(&mut section, banks)?),
            Kind::Freeze => Action::Freeze(read_order(&mut section, banks, wallets)?),
            Kind::Unfreeze => Action::Unfreeze(read_order(&mut section, banks, wallets)?),
            Kind::Seize => read_seizure(&mut section, banks, wallets)?,
            Kind::Reclassify => {
                let wallet = read_wallet(&mut section, "wallet", wallets)?;
                Action::Reclassify { wallet, class: read_class(&mut section)? }
            }
            Kind::ReportDeposits => Action::ReportDeposits { node: read_bank(&mut section, "node", banks)? },
            Kind::Issue => {
                let node = read_bank(&mut section, "node", banks)?;
                Action::Issue { node, amount_minor: read_amount(&mut section)? }
            }
            Kind::Redeem => {
                let node = read_bank(&mut section, "node", banks)?;
                Action::Redeem { node, amount_minor: read_amount(&mut section)? }
            }
        };
        let (times, every_s) = read_times(&mut section, at_s, total_s)?;
        section.end()?;
        let at = |time: u64| Self { at_s: at_s + time as f64 * every_s, action: action.clone() };
        Ok((0..times).map(at).collect())
    }
}

/// How often an event happens, and the seconds from one time to the next.
fn read_times(section: &mut Section<'_>, at_s: f64, total_s: f64) -> Result<(u64, f64), ScenarioError> {
    let times = section.integer("times", 1..=TIMES_MAX, 1)?;
    let every_s = section.optional_number("every_s", 0.0..=total_s)?;
    match every_s {
        None if times > 1 => {
            Err(section.mistake("times", "`every_s`, the seconds from one time to the next, with `times`", "none"))
        }
        Some(_) if times == 1 => Err(section.mistake("every_s", "`every_s` only with `times` above 1", "one time")),
        Some(every_s) if at_s + (times - 1) as f64 * every_s > total_s => {
            let expected = format!("a last time within the run of {total_s} s");
            let last = at_s + (times - 1) as f64 * every_s;
            Err(section.mistake("times", expected, format!("one at {last} s")))
        }
        every_s => Ok((times, every_s.unwrap_or(0.0))),
    }
}

/// Explains where keys of other actions belong.
fn say_where_keys_belong(section: &mut Section<'_>) {
    section.only_when(&policy_keys(), "policy figures only with action = \"policy\"");
    let nodes = "`node` only with action = \"kill\", \"stop\", \"restart\", \"pause\", \"resume\", \"bank-status\", \
                 \"report-deposits\", \"issue\" or \"redeem\"";
    section.only_when(&["node"], nodes);
    section.only_when(&["nodes"], "`nodes` only with action = \"partition\", \"slow-link\" or \"slow-disk\"");
    section.only_when(&["direction"], "`direction` only with action = \"partition\"");
    section.only_when(&["delay_ms"], "`delay_ms` only with action = \"slow-link\" or \"slow-disk\"");
    section.only_when(&["rate_kib_per_s"], "`rate_kib_per_s` only with action = \"slow-link\"");
    section.only_when(&["to"], "`to` only with action = \"hand-over\"");
    section.only_when(&["status"], "`status` only with action = \"bank-status\"");
    let grant = "this key only with action = \"grant\"";
    section.only_when(&["first", "expires_in_s", "payees", "funding"], grant);
    section.only_when(&["bank"], "`bank` only with action = \"grant\" or \"operation\"; elsewhere a bank is a `node`");
    let orders = "\"freeze\", \"unfreeze\", \"seize\"";
    section.only_when(&["class"], &format!("`class` only with action = \"grant\", {orders} or \"reclassify\""));
    section.only_when(&["wallet"], &format!("`wallet` only with action = {orders} or \"reclassify\""));
    section.only_when(&["count"], &format!("`count` only with action = {orders}"));
    section.only_when(&["to_wallet"], "`to_wallet` only with action = \"seize\"");
    let amounts =
        format!("`amount_minor` only with action = \"grant\", \"operation\", {orders}, \"issue\" or \"redeem\"");
    section.only_when(&["amount_minor"], &amounts);
    let operation = "this key only with action = \"operation\"";
    section.only_when(&["kind", "price", "rate", "matures_in_days"], operation);
}

fn read_hand_over(section: &mut Section<'_>, network: &Network) -> Result<Action, ScenarioError> {
    if network.central_banks == 1 {
        let expected = "at least three nodes of the central bank (network.central_banks) for a hand-over";
        return Err(section.mistake("action", expected, "one"));
    }
    Ok(Action::HandOver { to: read_successor(section, network)? })
}

fn read_slow_link(section: &mut Section<'_>, network: &Network) -> Result<Action, ScenarioError> {
    let nodes = read_nodes(section, network)?;
    let delay_ms = section.integer("delay_ms", 0..=DELAY_MS_MAX, 0)? as u32;
    let rate_kib_per_s = section.integer("rate_kib_per_s", 0..=RATE_KIB_PER_S_MAX, 0)? as u32;
    if (delay_ms, rate_kib_per_s) == (0, 0) {
        let expected = "`delay_ms` or `rate_kib_per_s` above 0";
        return Err(section.mistake("action", expected, "a slow link that is not slow"));
    }
    Ok(Action::SlowLink { nodes, delay_ms, rate_kib_per_s })
}

fn read_slow_disk(section: &mut Section<'_>, network: &Network) -> Result<Action, ScenarioError> {
    let nodes = read_nodes(section, network)?;
    let is_bank = |node: &&NodeChoice| matches!(node, NodeChoice::Named(NodeName::Bank(_)));
    if let Some(bank) = nodes.iter().find(is_bank) {
        return Err(section.mistake("nodes", "nodes of the central bank, whose disks can be slow", bank.to_string()));
    }
    let delay_ms = section.integer("delay_ms", 1..=DELAY_MS_MAX, 20)? as u32;
    Ok(Action::SlowDisk { nodes, delay_ms })
}

fn read_change(section: &mut Section<'_>) -> Result<PolicyChange, ScenarioError> {
    let change = PolicyChange::read(section)?;
    if change.is_empty() && !section.gives("node") {
        let expected = format!("at least one of {}", policy_keys().join(", "));
        return Err(section.mistake("action", expected, "a policy event that changes nothing"));
    }
    Ok(change)
}

fn read_grant(section: &mut Section<'_>, banks: u32) -> Result<GrantFigures, ScenarioError> {
    let bank = if section.gives("bank") { Some(read_bank(section, "bank", banks)?) } else { None };
    let grant = GrantFigures {
        class: read_class(section)?,
        bank,
        first: section.integer("first", 0..=u64::from(u32::MAX), 0)? as u32,
        amount_minor: read_amount(section)?,
        purpose: None,
    };
    Ok(GrantFigures { purpose: read_purpose(section)?, ..grant })
}

/// The purpose of targeted money; `None` for unbacked money.
fn read_purpose(section: &mut Section<'_>) -> Result<Option<PurposeFigures>, ScenarioError> {
    let expires_in_s = section.optional_integer("expires_in_s", 1..=31_622_400)?;
    let payees = read_classes(section, "payees")?;
    let funding = section.choice("funding", &[("equity", Funding::Equity), ("government", Funding::Government)])?;
    if payees.as_ref().is_some_and(Vec::is_empty) {
        let expected = format!("at least one of {} in `payees`", CLASS_WORDS.join(", "));
        return Err(section.mistake("payees", expected, "an empty list: the money could be spent with nobody"));
    }
    let missing = |section: &Section<'_>, given: &'static str, missing: &str| {
        let expected = format!("{missing} beside `{given}` for targeted money, or no `{given}` for unbacked money");
        Err(section.mistake(given, expected, format!("`{given}` alone")))
    };
    match (expires_in_s, payees) {
        (Some(expires_in_s), Some(payees)) => Ok(Some(PurposeFigures { expires_in_s, payees, funding })),
        (Some(_), None) => missing(section, "expires_in_s", "`payees`, a list of classes,"),
        (None, Some(_)) => missing(section, "payees", "`expires_in_s`, a whole number of seconds,"),
        (None, None) if section.gives("funding") => missing(section, "funding", "`expires_in_s` and `payees`"),
        (None, None) => Ok(None),
    }
}

fn read_order(section: &mut Section<'_>, banks: u32, wallets: &Wallets) -> Result<OrderFigures, ScenarioError> {
    let chosen = match (section.gives("wallet"), section.gives("class")) {
        (true, true) => return Err(section.mistake("wallet", "either `wallet` or `class`", "both")),
        (false, false) => {
            let expected = "`wallet`, an index, or `class` with `count` (0: all) for the wallets of the order";
            return Err(section.mistake("action", expected, "neither"));
        }
        (true, false) => {
            if section.gives("count") {
                return Err(section.mistake("count", "`count` only beside `class`", "it beside `wallet`"));
            }
            Chosen::One { wallet: read_wallet(section, "wallet", wallets)? }
        }
        (false, true) => {
            let class = read_class(section)?;
            let there_are = (0..wallets.count).filter(|wallet| wallets.class_of(wallet / banks) == class).count();
            let count = section.integer("count", 0..=u64::from(u32::MAX), 0)? as u32;
            if there_are == 0 {
                let expected = "a class that has wallets under wallets.class_mix";
                return Err(section.mistake("class", expected, format!("{class}, which has none")));
            }
            if count as usize > there_are {
                let expected = format!("at most {there_are}, the wallets of class {class}");
                return Err(section.mistake("count", expected, count.to_string()));
            }
            Chosen::OfClass { class, count }
        }
    };
    Ok(OrderFigures { wallets: chosen, amount_minor: read_amount(section)? })
}

fn read_seizure(section: &mut Section<'_>, banks: u32, wallets: &Wallets) -> Result<Action, ScenarioError> {
    let order = read_order(section, banks, wallets)?;
    let to_wallet = read_wallet(section, "to_wallet", wallets)?;
    if order.wallets == (Chosen::One { wallet: to_wallet }) {
        let expected = "another wallet than the one that the money is taken from";
        return Err(section.mistake("to_wallet", expected, to_wallet.to_string()));
    }
    Ok(Action::Seize { order, to_wallet })
}

/// A wallet by its index.
fn read_wallet(section: &mut Section<'_>, key: &'static str, wallets: &Wallets) -> Result<u32, ScenarioError> {
    match section.optional_integer(key, 0..=u64::from(wallets.count) - 1)? {
        Some(wallet) => Ok(wallet as u32),
        None => {
            let expected = format!("`{key}`, a wallet's index from 0 to {}", wallets.count - 1);
            Err(section.mistake(key, expected, "none"))
        }
    }
}

fn read_status(section: &mut Section<'_>, banks: u32) -> Result<Action, ScenarioError> {
    let node = read_bank(section, "node", banks)?;
    if !section.gives("status") {
        return Err(section.mistake("status", "`status`: \"active\", \"suspended\" or \"resolved\"", "none"));
    }
    let words = BankStatus::ALL.map(|status| (status.name(), status));
    Ok(Action::BankStatus { node, status: section.choice("status", &words)? })
}

fn read_operation(section: &mut Section<'_>, banks: u32) -> Result<OperationFigures, ScenarioError> {
    if !section.gives("kind") {
        let words: Vec<_> = OPERATIONS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        return Err(section.mistake("kind", format!("`kind`, one of {}", words.join(", ")), "none"));
    }
    let kind = section.choice("kind", &OPERATIONS)?;
    let is_market = matches!(kind, OperationKind::BuySecurities | OperationKind::SellSecurities);
    let is_refinancing = kind == OperationKind::Refinance;
    let operation = OperationFigures {
        kind,
        bank: read_bank(section, "bank", banks)?,
        amount_minor: read_amount(section)?,
        price: read_rate(section, "price", is_market)?,
        rate: read_rate(section, "rate", is_refinancing)?,
        matures_in_days: section.optional_integer("matures_in_days", 1..=36_600)?.map(|days| days as u32),
    };
    if operation.price.is_some_and(|price| price.0 <= 0) {
        return Err(section.mistake("price", "a price above 0 %, such as \"99.5 %\"", "none above it"));
    }
    if operation.matures_in_days.is_some() != is_refinancing {
        let expected = "`matures_in_days` with kind = \"refinance\", and only there";
        return Err(section.mistake("matures_in_days", expected, format!("kind = \"{}\"", word_of(kind))));
    }
    Ok(operation)
}

/// A rate that is required or forbidden by the kind of operation.
fn read_rate(section: &mut Section<'_>, key: &'static str, wanted: bool) -> Result<Option<RatePpm>, ScenarioError> {
    match (section.text(key)?, wanted) {
        (None, false) => Ok(None),
        (Some(text), true) => {
            let expected = "a rate such as \"2 %\", with at most four decimals";
            text::rate(&text).map(Some).map_err(|_| section.mistake(key, expected, format!("\"{text}\"")))
        }
        (None, true) => Err(section.mistake("kind", format!("`{key}` with this kind of operation"), "none")),
        (Some(_), false) => Err(section.mistake(key, format!("no `{key}` with this kind of operation"), "one")),
    }
}

fn read_amount(section: &mut Section<'_>) -> Result<u64, ScenarioError> {
    match section.optional_integer("amount_minor", 1..=MINOR_MAX)? {
        Some(amount) => Ok(amount),
        None => Err(section.mistake("amount_minor", "`amount_minor`, a whole number of minor units", "none")),
    }
}

fn read_class(section: &mut Section<'_>) -> Result<Class, ScenarioError> {
    if !section.gives("class") {
        return Err(section.mistake("class", format!("`class`, one of {}", CLASS_WORDS.join(", ")), "none"));
    }
    let words: Vec<(&str, Class)> = CLASS_WORDS.into_iter().zip(Class::all()).collect();
    section.choice("class", &words)
}

/// A commercial bank.
fn read_bank(section: &mut Section<'_>, key: &'static str, banks: u32) -> Result<NodeName, ScenarioError> {
    let expected = format!("\"bank-1\" to \"bank-{banks}\"");
    let Some(word) = section.text(key)? else {
        return Err(section.mistake(key, format!("`{key}`: {expected}"), "none"));
    };
    bank_of(&word, banks).ok_or_else(|| section.mistake(key, expected, format!("\"{word}\"")))
}
