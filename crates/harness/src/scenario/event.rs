//! `[[event]]`: what happens to the network or to policy while the load runs.
//!
//! | key | meaning |
//! |---|---|
//! | `at_s` | seconds from the first payment due, warm-up included; required |
//! | `action` | required; one of those below |
//!
//! | action | further keys |
//! |---|---|
//! | `"kill"` (SIGKILL), `"stop"` (SIGTERM), `"restart"` | `node`: `"central-bank"`, or `"bank-1"` for the first bank and so on |
//! | `"policy"` | the keys of `[policy]` but `preset`, at least one |
//! | `"grant"` | `class`, `amount_minor` for each person; `first` so many persons (0: all), `bank` |
//! | | for targeted money also `expires_in_s`, `payees` (classes), `funding` (`"equity"` or `"government"`) |
//! | `"bank-status"` | `node` (a bank), `status`: `"active"`, `"suspended"` or `"resolved"` |
//! | `"freeze"`, `"unfreeze"` | `amount_minor` for each wallet; `wallet` (index from 0), or `class` and `count` (0: all) |
//! | `"seize"` | the same, and `to_wallet`, the wallet that is paid |
//! | `"reclassify"` | `wallet`, `class`: its holder's class from now on |
//! | `"report-deposits"` | `node` (a bank) |
//! | `"issue"`, `"redeem"` | `node` (a bank), `amount_minor` |
//! | `"operation"` | `kind`, `bank`, `amount_minor`; `price` (`"99.5 %"`) of securities; `rate`, `matures_in_days` of refinancing |
//!
//! Policy, grants and a bank's status are decided by the committee's vote and hold when enacted; an operation is the
//! operator's, freezes and seizures are a court's order, a holder's class is the registrar's. Wallets are counted as
//! in `[wallets]`: wallet `i` is at bank `i % banks`.

use std::fmt;

use cbdc_devnet::policy::change::policy_keys;
use cbdc_devnet::policy::per_class::{CLASS_WORDS, read_classes, word};
use cbdc_devnet::policy::{CURRENCY_EXPONENT, MINOR_MAX, PolicyChange};
use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::command::OperationKind;
use cbdc_ledger::policy::text;
use cbdc_ledger::programme::Funding;
use cbdc_ledger::{Amount, Class};
use serde::{Serialize, Serializer};

use super::error::ScenarioError;
use super::section::Section;
use super::wallets::Wallets;

/// A node of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeName {
    /// The central bank's node.
    CentralBank,
    /// A commercial bank by its index from 0; written `bank-1` for index 0.
    Bank(u32),
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CentralBank => f.write_str("central-bank"),
            Self::Bank(index) => write!(f, "bank-{}", index + 1),
        }
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What an event does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// The node's process gets SIGKILL: nothing is flushed.
    Kill {
        /// Which node.
        node: NodeName,
    },
    /// The node's process gets SIGTERM: a graceful stop.
    Stop {
        /// Which node.
        node: NodeName,
    },
    /// The node is started again on its data.
    Restart {
        /// Which node.
        node: NodeName,
    },
    /// The committee votes a change of policy.
    Policy(PolicyChange),
    /// The committee votes money for a cohort.
    Grant(GrantFigures),
    /// The committee votes on how a bank stands.
    BankStatus {
        /// Which bank.
        node: NodeName,
        /// Its new status.
        #[serde(serialize_with = "as_text")]
        status: BankStatus,
    },
    /// The central bank's desk does something with a bank.
    Operation(OperationFigures),
    /// A court's order adds to what holders may not spend.
    Freeze(OrderFigures),
    /// A court's order takes off what holders may not spend.
    Unfreeze(OrderFigures),
    /// A court's order takes money off wallets.
    Seize {
        /// Off which, and how much.
        #[serde(flatten)]
        order: OrderFigures,
        /// Index of the wallet that is paid.
        to_wallet: u32,
    },
    /// The registrar puts a wallet's holder into another class.
    Reclassify {
        /// The wallet's index.
        wallet: u32,
        /// The holder's class from now on.
        #[serde(serialize_with = "as_text")]
        class: Class,
    },
    /// A bank states its deposits.
    ReportDeposits {
        /// Which bank.
        node: NodeName,
    },
    /// A bank is issued CBDC against its reserves.
    Issue {
        /// Which bank.
        node: NodeName,
        /// How much.
        amount_minor: u64,
    },
    /// A bank gives CBDC back for reserves.
    Redeem {
        /// Which bank.
        node: NodeName,
        /// How much.
        amount_minor: u64,
    },
}

/// A court's order about wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OrderFigures {
    /// Which wallets.
    #[serde(flatten)]
    pub wallets: Chosen,
    /// For each of them.
    pub amount_minor: u64,
}

/// Which wallets an order is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Chosen {
    /// One.
    One {
        /// Its index.
        wallet: u32,
    },
    /// Those of a class, as wallets were opened.
    OfClass {
        /// The class.
        #[serde(serialize_with = "as_text")]
        class: Class,
        /// The first so many, in order of their index; 0 is all.
        count: u32,
    },
}

/// Money for each person of a cohort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrantFigures {
    /// Whose persons.
    #[serde(serialize_with = "as_text")]
    pub class: Class,
    /// Only those whose allowance wallet is at this bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank: Option<NodeName>,
    /// Only the first so many; 0 is all.
    pub first: u32,
    /// What each gets.
    pub amount_minor: u64,
    /// What it is bound to, if anything.
    #[serde(flatten)]
    pub purpose: Option<PurposeFigures>,
}

/// What targeted money is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PurposeFigures {
    /// Seconds after the event; what is left then leaves the wallets.
    pub expires_in_s: u64,
    /// Whom it may be spent with.
    #[serde(serialize_with = "class_words")]
    pub payees: Vec<Class>,
    /// What pays for it.
    #[serde(serialize_with = "as_text")]
    pub funding: Funding,
}

/// An operation with a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OperationFigures {
    #[serde(serialize_with = "operation_word")]
    pub kind: OperationKind,
    pub bank: NodeName,
    pub amount_minor: u64,
    /// Of securities, in ppm of their nominal amount.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_rate")]
    pub price: Option<RatePpm>,
    /// Of refinancing, a year.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_rate")]
    pub rate: Option<RatePpm>,
    /// Of refinancing, from the ledger day of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matures_in_days: Option<u32>,
}

const OPERATIONS: [(&str, OperationKind); 11] = [
    ("withdraw-banknotes", OperationKind::WithdrawBanknotes),
    ("deposit-banknotes", OperationKind::DepositBanknotes),
    ("collect-for-government", OperationKind::CollectForGovernment),
    ("pay-from-government", OperationKind::PayFromGovernment),
    ("buy-securities", OperationKind::BuySecurities),
    ("sell-securities", OperationKind::SellSecurities),
    ("place-deposit", OperationKind::PlaceDeposit),
    ("lend", OperationKind::Lend),
    ("refinance", OperationKind::Refinance),
    ("pledge", OperationKind::Pledge),
    ("release-collateral", OperationKind::ReleaseCollateral),
];

fn word_of(kind: OperationKind) -> &'static str {
    OPERATIONS.iter().find(|(_, other)| *other == kind).map_or("operation", |(word, _)| word)
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn class_words<S: Serializer>(classes: &[Class], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(classes.iter().map(|class| word(*class)))
}

fn operation_word<S: Serializer>(kind: &OperationKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(word_of(*kind))
}

fn optional_rate<S: Serializer>(rate: &Option<RatePpm>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&text::show_rate(rate.unwrap_or_default()))
}

fn major(amount_minor: u64) -> String {
    Amount::from_minor(amount_minor).to_major(CURRENCY_EXPONENT)
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { node } => write!(f, "kill {node}"),
            Self::Stop { node } => write!(f, "stop {node}"),
            Self::Restart { node } => write!(f, "restart {node}"),
            Self::Policy(change) => write!(f, "policy: {change}"),
            Self::Grant(grant) => grant.fmt(f),
            Self::BankStatus { node, status } => write!(f, "{node} becomes {status}"),
            Self::Operation(operation) => operation.fmt(f),
            Self::Freeze(order) => write!(f, "freeze {order}"),
            Self::Unfreeze(order) => write!(f, "unfreeze {order}"),
            Self::Seize { order, to_wallet } => write!(f, "seize {order}, paid to wallet {to_wallet}"),
            Self::Reclassify { wallet, class } => write!(f, "the holder of wallet {wallet} becomes {class}"),
            Self::ReportDeposits { node } => write!(f, "{node} states its deposits"),
            Self::Issue { node, amount_minor } => write!(f, "issue {} to {node}", major(*amount_minor)),
            Self::Redeem { node, amount_minor } => write!(f, "redeem {} from {node}", major(*amount_minor)),
        }
    }
}

impl fmt::Display for OrderFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = major(self.amount_minor);
        match self.wallets {
            Chosen::One { wallet } => write!(f, "{amount} of wallet {wallet}"),
            Chosen::OfClass { class, count: 0 } => write!(f, "{amount} of every {class} wallet"),
            Chosen::OfClass { class, count } => write!(f, "{amount} each of the first {count} {class} wallets"),
        }
    }
}

impl fmt::Display for GrantFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = match self.first {
            0 => "every".to_owned(),
            first => format!("the first {first} of class"),
        };
        write!(f, "grant: {} to {whom} {}", major(self.amount_minor), self.class)?;
        self.bank.iter().try_for_each(|bank| write!(f, " of {bank}"))?;
        match &self.purpose {
            None => write!(f, ", unbacked"),
            Some(purpose) => {
                let payees: Vec<&str> = purpose.payees.iter().map(|class| word(*class)).collect();
                let (payees, funding) = (payees.join(", "), purpose.funding);
                write!(f, ", to be spent with {payees} within {} s, paid by {funding}", purpose.expires_in_s)
            }
        }
    }
}

impl fmt::Display for OperationFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation: {} {} with {}", word_of(self.kind), major(self.amount_minor), self.bank)?;
        self.price.iter().try_for_each(|price| write!(f, " at {}", text::show_rate(*price)))?;
        self.rate.iter().try_for_each(|rate| write!(f, " at {}", text::show_rate(*rate)))?;
        self.matures_in_days.iter().try_for_each(|days| write!(f, " for {days} days"))
    }
}

/// One thing that happens at one time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Seconds from the first payment due, warm-up included.
    pub at_s: f64,
    /// What happens.
    #[serde(flatten)]
    pub action: Action,
}

#[derive(Clone, Copy)]
enum Kind {
    Kill,
    Stop,
    Restart,
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

const KINDS: [(&str, Kind); 14] = [
    ("kill", Kind::Kill),
    ("stop", Kind::Stop),
    ("restart", Kind::Restart),
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
    pub(super) fn read(
        mut section: Section<'_>,
        banks: u32,
        wallets: &Wallets,
        total_s: f64,
    ) -> Result<Self, ScenarioError> {
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
            Kind::Kill => Action::Kill { node: read_node(&mut section, banks)? },
            Kind::Stop => Action::Stop { node: read_node(&mut section, banks)? },
            Kind::Restart => Action::Restart { node: read_node(&mut section, banks)? },
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
        section.end()?;
        Ok(Self { at_s, action })
    }
}

/// What a key of another action is told.
fn say_where_keys_belong(section: &mut Section<'_>) {
    section.only_when(&policy_keys(), "policy figures only with action = \"policy\"");
    let nodes = "`node` only with action = \"kill\", \"stop\", \"restart\", \"bank-status\", \"report-deposits\", \"issue\" or \
                 \"redeem\"";
    section.only_when(&["node"], nodes);
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

/// What targeted money is bound to; nothing for unbacked money.
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

/// A rate that must be there if it is wanted, and must not otherwise.
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

fn bank_of(word: &str, banks: u32) -> Option<NodeName> {
    let number = word.strip_prefix("bank-").and_then(|number| number.parse::<u32>().ok());
    number.filter(|number| (1..=banks).contains(number)).map(|number| NodeName::Bank(number - 1))
}

fn read_node(section: &mut Section<'_>, banks: u32) -> Result<NodeName, ScenarioError> {
    let expected = format!("\"central-bank\", or \"bank-1\" to \"bank-{banks}\"");
    let Some(word) = section.text("node")? else {
        return Err(section.mistake("node", format!("`node`: {expected}"), "none"));
    };
    if word == "central-bank" {
        return Ok(NodeName::CentralBank);
    }
    bank_of(&word, banks).ok_or_else(|| section.mistake("node", expected, format!("\"{word}\"")))
}
