//! The actions of events, and their names in reports.

use std::fmt;

use cbdc_devnet::policy::per_class::word;
use cbdc_devnet::policy::{CURRENCY_EXPONENT, PolicyChange};
use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::command::OperationKind;
use cbdc_ledger::policy::text;
use cbdc_ledger::programme::Funding;
use cbdc_ledger::{Amount, Class};
use serde::{Serialize, Serializer};

use super::node::{NodeChoice, NodeName};

/// The action of an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// The node's process gets SIGKILL: nothing is flushed.
    Kill {
        /// The node.
        node: NodeChoice,
    },
    /// The node's process gets SIGTERM: a graceful stop.
    Stop {
        /// The node.
        node: NodeChoice,
    },
    /// The node is started again on its data.
    Restart {
        /// The node.
        node: NodeChoice,
    },
    /// The node's process gets SIGSTOP: it does nothing, and its connections stay open.
    Pause {
        /// The node.
        node: NodeChoice,
    },
    /// The node's process gets SIGCONT: it goes on where it was.
    Resume {
        /// The node.
        node: NodeChoice,
    },
    /// Nodes are cut off from all others: what is sent on the way arrives only after [`Action::Heal`].
    Partition {
        /// The nodes on one side; they reach each other.
        nodes: Vec<NodeChoice>,
        /// The way that is cut.
        direction: Direction,
    },
    /// Everything between these nodes and all others arrives later.
    SlowLink {
        /// The nodes on one side.
        nodes: Vec<NodeChoice>,
        /// The delay of each message on each way.
        delay_ms: u32,
        /// The most that passes through each connection on each way, 0 for any amount.
        rate_kib_per_s: u32,
    },
    /// Each sync of these nodes' disks takes longer.
    SlowDisk {
        /// Nodes of the central bank.
        nodes: Vec<NodeChoice>,
        /// The delay of each sync.
        delay_ms: u32,
    },
    /// Nothing is cut off or slow any more.
    Heal,
    /// The operator hands leadership over, as before work on the leader's machine.
    HandOver {
        /// The node that shall lead; the one that follows most closely if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<NodeName>,
    },
    /// The committee votes a change of policy.
    Policy(PolicyChange),
    /// The committee votes money for a cohort.
    Grant(GrantFigures),
    /// The committee votes on a bank's status.
    BankStatus {
        /// The bank.
        node: NodeName,
        /// Its new status.
        #[serde(serialize_with = "as_text")]
        status: BankStatus,
    },
    /// The central bank's operator executes an operation with a bank.
    Operation(OperationFigures),
    /// A court's order freezes an amount.
    Freeze(OrderFigures),
    /// A court's order unfreezes an amount.
    Unfreeze(OrderFigures),
    /// A court's order seizes an amount.
    Seize {
        /// The wallets, and the amount.
        #[serde(flatten)]
        order: OrderFigures,
        /// Index of the wallet that is paid.
        to_wallet: u32,
    },
    /// The registrar moves a wallet's holder to another class.
    Reclassify {
        /// The wallet's index.
        wallet: u32,
        /// The holder's class from now on.
        #[serde(serialize_with = "as_text")]
        class: Class,
    },
    /// A bank reports its deposits.
    ReportDeposits {
        /// The bank.
        node: NodeName,
    },
    /// A bank is issued CBDC against its reserves.
    Issue {
        /// The bank.
        node: NodeName,
        /// The amount.
        amount_minor: u64,
    },
    /// A bank redeems CBDC for reserves.
    Redeem {
        /// The bank.
        node: NodeName,
        /// The amount.
        amount_minor: u64,
    },
}

impl Action {
    /// The node that is killed, stopped or restarted.
    pub fn interrupted_node(&self) -> Option<NodeChoice> {
        match self {
            Self::Kill { node } | Self::Stop { node } | Self::Restart { node } => Some(*node),
            _ => None,
        }
    }

    /// The nodes that the event names.
    pub fn nodes(&self) -> Vec<NodeChoice> {
        match self {
            Self::Pause { node } | Self::Resume { node } => vec![*node],
            Self::Partition { nodes, .. } | Self::SlowLink { nodes, .. } | Self::SlowDisk { nodes, .. } => {
                nodes.clone()
            }
            _ => self.interrupted_node().into_iter().collect(),
        }
    }

    /// Whether the event changes links between nodes.
    pub fn is_about_links(&self) -> bool {
        matches!(self, Self::Partition { .. } | Self::SlowLink { .. } | Self::Heal)
    }

    /// Whether nodes or links come back.
    pub fn is_a_recovery(&self) -> bool {
        matches!(self, Self::Restart { .. } | Self::Resume { .. } | Self::Heal)
    }

    /// Whether nodes or links fail, come back or change their parts: settling may pause.
    pub fn is_a_disturbance(&self) -> bool {
        self.is_about_links() || !self.nodes().is_empty() || matches!(self, Self::HandOver { .. })
    }
}

/// The way that a partition cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the nodes and from them.
    Both,
    /// Nothing reaches the nodes; others hear them.
    In,
    /// Nobody else hears the nodes; others reach them.
    Out,
}

pub(super) const DIRECTIONS: [(&str, Direction); 3] =
    [("both", Direction::Both), ("in", Direction::In), ("out", Direction::Out)];

/// The nodes with commas.
fn list(nodes: &[NodeChoice]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A court's order on wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OrderFigures {
    /// The wallets.
    #[serde(flatten)]
    pub wallets: Chosen,
    /// The amount for each of them.
    pub amount_minor: u64,
}

/// The wallets of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Chosen {
    /// One wallet.
    One {
        /// Its index.
        wallet: u32,
    },
    /// Wallets of a class, as they were opened.
    OfClass {
        /// The class.
        #[serde(serialize_with = "as_text")]
        class: Class,
        /// The number of wallets, the first by index; 0 is all.
        count: u32,
    },
}

/// A grant to each holder of a cohort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrantFigures {
    /// The cohort's class.
    #[serde(serialize_with = "as_text")]
    pub class: Class,
    /// Only those whose allowance wallet is at this bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank: Option<NodeName>,
    /// The number of holders, the first registered; 0 is all.
    pub first: u32,
    /// The amount for each.
    pub amount_minor: u64,
    /// The purpose it is bound to, if any.
    #[serde(flatten)]
    pub purpose: Option<PurposeFigures>,
}

/// The purpose of targeted money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PurposeFigures {
    /// Seconds after the event; unspent money then leaves the wallets.
    pub expires_in_s: u64,
    /// The classes of payees at which it may be spent.
    #[serde(serialize_with = "class_words")]
    pub payees: Vec<Class>,
    /// Its funding.
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
    /// The price of securities, in ppm of their nominal amount.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_rate")]
    pub price: Option<RatePpm>,
    /// The yearly rate of refinancing.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_rate")]
    pub rate: Option<RatePpm>,
    /// The term of refinancing, from the ledger day of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matures_in_days: Option<u32>,
}

pub(super) const OPERATIONS: [(&str, OperationKind); 13] = [
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
    ("realise-collateral", OperationKind::RealiseCollateral),
    ("write-off-loans", OperationKind::WriteOffLoans),
];

/// The word of the scenario file.
pub(super) fn word_of(kind: OperationKind) -> &'static str {
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
            Self::Pause { node } => write!(f, "pause {node}"),
            Self::Resume { node } => write!(f, "resume {node}"),
            Self::Partition { nodes, direction } => match direction {
                Direction::Both => write!(f, "cut off {}", list(nodes)),
                Direction::In => write!(f, "nothing reaches {}", list(nodes)),
                Direction::Out => write!(f, "nobody hears {}", list(nodes)),
            },
            Self::SlowLink { nodes, delay_ms, rate_kib_per_s } => {
                write!(f, "links of {} slow: {delay_ms} ms", list(nodes))?;
                if *rate_kib_per_s > 0 { write!(f, ", {rate_kib_per_s} KiB/s") } else { Ok(()) }
            }
            Self::SlowDisk { nodes, delay_ms } => write!(f, "disks of {} slow: {delay_ms} ms a sync", list(nodes)),
            Self::Heal => write!(f, "heal all links and disks"),
            Self::HandOver { to: None } => write!(f, "hand over"),
            Self::HandOver { to: Some(node) } => write!(f, "hand over to {node}"),
            Self::Policy(change) => write!(f, "policy: {change}"),
            Self::Grant(grant) => grant.fmt(f),
            Self::BankStatus { node, status } => write!(f, "{node} becomes {status}"),
            Self::Operation(operation) => operation.fmt(f),
            Self::Freeze(order) => write!(f, "freeze {order}"),
            Self::Unfreeze(order) => write!(f, "unfreeze {order}"),
            Self::Seize { order, to_wallet } => write!(f, "seize {order}, paid to wallet {to_wallet}"),
            Self::Reclassify { wallet, class } => write!(f, "the holder of wallet {wallet} becomes {class}"),
            Self::ReportDeposits { node } => write!(f, "{node} reports its deposits"),
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
