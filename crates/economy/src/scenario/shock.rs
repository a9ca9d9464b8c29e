//! Shocks: events from outside that hit the economy on a day.
//!
//! | kind | `size` | `days` | `bank` |
//! |---|---|---|---|
//! | `rates` | added to the policy rate by the committee, as a share a year | – | – |
//! | `trust-banks` | trust in every bank lost | – | – |
//! | `trust-bank` | trust in one bank lost | – | its number |
//! | `trust-cbdc` | trust in CBDC lost | – | – |
//! | `bank-loss` | share of one bank's loans that is written off | – | its number |
//! | `fail-bank` | – | – | the number of the bank that is resolved |
//! | `income` | share of wages lost while it lasts | how long | – |
//! | `outage` | – | how long CBDC cannot be used | – |

use cbdc_scenario_file::{ScenarioError, Section};
use serde::Serialize;

/// The kinds of shocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShockKind {
    Rates,
    TrustBanks,
    TrustBank,
    TrustCbdc,
    BankLoss,
    FailBank,
    Income,
    Outage,
}

const KINDS: &[(&str, ShockKind)] = &[
    ("rates", ShockKind::Rates),
    ("trust-banks", ShockKind::TrustBanks),
    ("trust-bank", ShockKind::TrustBank),
    ("trust-cbdc", ShockKind::TrustCbdc),
    ("bank-loss", ShockKind::BankLoss),
    ("fail-bank", ShockKind::FailBank),
    ("income", ShockKind::Income),
    ("outage", ShockKind::Outage),
];

/// `[[shock]]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shock {
    /// Days since the start.
    pub day: u32,
    pub kind: ShockKind,
    pub size: f64,
    pub days: u32,
    /// From 1; 0 if the kind has none.
    pub bank: u16,
}

impl Shock {
    pub(super) fn read_all(root: &mut Section<'_>, banks: u16) -> Result<Vec<Shock>, ScenarioError> {
        root.sections("shock")?.into_iter().map(|section| Shock::read(section, banks)).collect()
    }

    fn read(mut section: Section<'_>, banks: u16) -> Result<Shock, ScenarioError> {
        if !section.gives("kind") {
            let words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
            return Err(section.mistake("kind", format!("`kind`, one of {}", words.join(", ")), "none"));
        }
        let kind = section.choice("kind", KINDS)?;
        let day = section.integer("day", 0..=36_525, 0)? as u32;
        let names_bank = matches!(kind, ShockKind::TrustBank | ShockKind::BankLoss | ShockKind::FailBank);
        let (lasts, has_size) = (
            matches!(kind, ShockKind::Income | ShockKind::Outage),
            !matches!(kind, ShockKind::FailBank | ShockKind::Outage),
        );
        let mut shock = Shock { day, kind, size: 0.0, days: 0, bank: 0 };
        if has_size {
            let least = if kind == ShockKind::Rates { -0.5 } else { 0.0 };
            shock.size = section.number("size", least..=1.0, 0.0)?;
        } else {
            section.only_when(&["size"], "no `size` for this kind of shock");
        }
        if lasts {
            shock.days = section.integer("days", 1..=36_525, 1)? as u32;
        } else {
            section.only_when(&["days"], "no `days` for this kind of shock");
        }
        if names_bank {
            shock.bank = section.integer("bank", 1..=u64::from(banks), 1)? as u16;
        } else {
            section.only_when(&["bank"], "no `bank` for this kind of shock");
        }
        section.end()?;
        Ok(shock)
    }
}
