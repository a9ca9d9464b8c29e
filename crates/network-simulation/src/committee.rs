//! The committee and the banks' treasuries: decisions that are taken while faults disturb, each until it is taken.
//!
//! Policy changes under way and so do the members who order: a node is admitted that has waited for it, and one that
//! ordered is dismissed. A decision whose answer got lost is taken again; what that comes to is the ledger's business,
//! which the judges read from the chain.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cbdc_client::{IssuanceKind, NetworkFolder, NodeName, SubmissionStatus, random_id};
use cbdc_ledger::command::{Choice, GovernanceAction};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::PolicyChange;
use cbdc_ledger::{Amount, BankId, Class, MemberId};
use cbdc_proto::wall_clock::wall_clock;
use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// The time after which a vote that is not answered is cast again.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// The pause before it is.
const PAUSE: Duration = Duration::from_millis(200);
/// Within this time a proposal is approved, or never.
const EXPIRES_AFTER_MS: u64 = 60_000;

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Decision {
    /// Households may hold so much, minor units; any amount if absent.
    HoldingLimit {
        minor: Option<u64>,
    },
    /// A household may pay so much at once, minor units.
    PaymentLimit {
        minor: u64,
    },
    /// A bank has CBDC issued against its reserves, or redeems it.
    Issue {
        bank: u16,
        minor: u64,
    },
    Redeem {
        bank: u16,
        minor: u64,
    },
    /// The node that waits for it may order.
    Admit,
    /// A node of the central bank, given by its place, orders no more.
    Dismiss {
        node: usize,
    },
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::HoldingLimit { minor: None } => f.write_str("households may hold any amount"),
            Decision::HoldingLimit { minor: Some(minor) } => write!(f, "households may hold {minor} cents"),
            Decision::PaymentLimit { minor } => write!(f, "households may pay {minor} cents at once"),
            Decision::Issue { bank, minor } => write!(f, "bank-{bank} has {minor} cents issued"),
            Decision::Redeem { bank, minor } => write!(f, "bank-{bank} redeems {minor} cents"),
            Decision::Admit => f.write_str("a further node may order"),
            Decision::Dismiss { node } => write!(f, "central-bank-{} orders no more", node + 1),
        }
    }
}

/// A decision and its time, from the beginning of the faults, ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PlannedDecision {
    pub at_ms: u64,
    pub decision: Decision,
}

/// Draws the decisions of a run; in many there are none.
pub fn draw(random: &mut StdRng, (central_banks, banks): (u16, u16), duration_ms: u64) -> Vec<PlannedDecision> {
    let count = [0, 0, 1, 2, 4][random.random_range(0..5)];
    let mut planned: Vec<PlannedDecision> = Vec::new();
    let (mut admits, mut dismisses) = (false, false);
    for _ in 0..count {
        let bank = random.random_range(1..=banks);
        let minor = random.random_range(1..1_000_000);
        let decision = match random.random_range(0..9) {
            0 | 8 => Decision::HoldingLimit {
                minor: random.random_bool(0.8).then(|| random.random_range(4_000_000..6_000_000)),
            },
            1 => Decision::PaymentLimit { minor: random.random_range(500..5_000) },
            2 | 3 => Decision::Issue { bank, minor },
            4 => Decision::Redeem { bank, minor },
            5 | 6 if central_banks > 1 && !admits => {
                admits = true;
                Decision::Admit
            }
            _ if central_banks > 1 && !dismisses => {
                dismisses = true;
                Decision::Dismiss { node: random.random_range(0..usize::from(central_banks)) }
            }
            _ => Decision::Issue { bank, minor },
        };
        planned.push(PlannedDecision { at_ms: random.random_range(0..duration_ms), decision });
    }
    planned.sort_by_key(|planned| planned.at_ms);
    planned
}

/// How far the committee is, for those who look after nodes.
#[derive(Debug, Clone, Default)]
pub struct Decided {
    /// Decisions begun and not told yet.
    pub begun: Vec<Decision>,
    /// Whether those nodes order of whom it is decided.
    pub orders: BTreeMap<NodeName, bool>,
}

/// The committee, with the banks' treasuries.
pub struct Committee {
    pub folder: NetworkFolder,
    pub decisions: Vec<PlannedDecision>,
    /// The node that waits to be admitted.
    pub newcomer: Option<Member>,
    pub decided: Arc<Mutex<Decided>>,
    pub finish: watch::Receiver<bool>,
}

impl Committee {
    /// Takes the decisions at their times. None begins once the run is to finish.
    pub async fn run(mut self) {
        if let Some(newcomer) = &self.newcomer {
            self.note(|decided| decided.orders.extend([(NodeName::CentralBank(newcomer.id), false)]));
        }
        let begun = Instant::now();
        for planned in std::mem::take(&mut self.decisions) {
            let at = begun + Duration::from_millis(planned.at_ms);
            tokio::select! {
                () = sleep_until(at) => {}
                _ = self.finish.wait_for(|finish| *finish) => return,
            }
            self.note(|decided| decided.begun.push(planned.decision));
            self.take(planned.decision).await;
        }
    }

    fn note(&self, note: impl FnOnce(&mut Decided)) {
        note(&mut self.decided.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn take(&self, decision: Decision) {
        let household = Class::HOUSEHOLD;
        let action = match decision {
            Decision::Issue { bank, minor } => return self.ask(bank, IssuanceKind::Issue, minor).await,
            Decision::Redeem { bank, minor } => return self.ask(bank, IssuanceKind::Redeem, minor).await,
            Decision::HoldingLimit { minor } => {
                let limit = minor.map(Amount::from_minor);
                GovernanceAction::Policy(PolicyChange::HoldingLimit { class: household, limit })
            }
            Decision::PaymentLimit { minor } => {
                let limit = Some(Amount::from_minor(minor));
                GovernanceAction::Policy(PolicyChange::PaymentLimit { class: household, limit })
            }
            Decision::Admit => match &self.newcomer {
                Some(newcomer) => GovernanceAction::AdmitMember(newcomer.clone()),
                None => return,
            },
            Decision::Dismiss { node } => {
                let name = NodeName::CentralBank(MemberId(node as u16 + 1));
                self.note(|decided| decided.orders.extend([(name, false)]));
                GovernanceAction::DismissMember { role: Role::CentralBank, id: MemberId(node as u16 + 1) }
            }
        };
        while self.vote(&action).await.is_none() {
            sleep(PAUSE).await;
        }
        if let (Decision::Admit, Some(newcomer)) = (decision, &self.newcomer) {
            self.note(|decided| decided.orders.extend([(NodeName::CentralBank(newcomer.id), true)]));
        }
    }

    /// Proposes and approves. `None` if it may not have been taken.
    async fn vote(&self, action: &GovernanceAction) -> Option<()> {
        let member = |id| {
            let client = self.folder.governance(Role::Committee, MemberId(id)).ok()?;
            Some(client.with_timeout(ANSWERED_WITHIN))
        };
        let now = wall_clock();
        let proposed = member(1)?.propose(vec![action.clone()], now, now.plus_ms(EXPIRES_AFTER_MS)).await;
        // Refused by a rule: an earlier attempt was enacted.
        let number = match proposed {
            Ok(SubmissionStatus::Settled { result, .. }) => result,
            Ok(SubmissionStatus::Refused(refusal)) if refusal.position.is_some() => return Some(()),
            _ => return None,
        };
        let approved = member(2)?.vote(number, Choice::Approve).await;
        matches!(approved, Ok(SubmissionStatus::Settled { .. })).then_some(())
    }

    async fn ask(&self, bank: u16, kind: IssuanceKind, minor: u64) {
        let Ok(office) = self.folder.bank_office(BankId(bank)) else { return };
        let id = random_id();
        // The same request again, until it is answered: it counts once.
        while office.request_issuance(kind, Amount::from_minor(minor), id).await.is_err() {
            if *self.finish.borrow() {
                return;
            }
            sleep(PAUSE).await;
        }
    }
}
