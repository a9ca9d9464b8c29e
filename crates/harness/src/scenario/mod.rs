//! Scenarios of load on a network, written in TOML and checked to the line and column before anything starts.
//!
//! 1. The file is parsed into a document that remembers spans; `--set key=value` overrides are laid over it.
//! 2. Each section is read key by key with a default and a range; unknown keys are errors.
//! 3. Figures that depend on each other are checked last (opening balances against limits, wallets against rate).
//!
//! Units are last in every key: `_s`, `_ms`, `_per_s`, `_minor` (cents); a name without a unit is a count, a share or a
//! word. The top level has:
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `name` | the file's stem | shown in reports |
//! | `description` | empty | one line on what it shows |
//! | `seed` | 1 | the same seed gives the same payments |
//! | `[network]` | | [`Network`] |
//! | `[wallets]` | | [`Wallets`] |
//! | `[load]` | | [`Load`] |
//! | `[policy]` | | [`Policy`] |
//! | `[[event]]` | none | [`Event`] |
//! | `[slo]` | | [`Slo`] |
//!
//! The resolved scenario, every default written out and keys sorted, is its *canonical* form; its BLAKE3 hash
//! identifies the scenario in every result, so two results with one hash ran the same thing.

mod action;
mod event;
mod load;
mod network;
mod node;
mod policy;
#[cfg(test)]
mod tests;
mod wallets;

use std::path::{Path, PathBuf};

use cbdc_devnet::policy::change::unsound;
use cbdc_devnet::policy::{MINOR_MAX, PerClass, is_person};
use cbdc_ledger::{Amount, BankId, Class};
use cbdc_scenario_file::{document, error, section, text_file};
use serde::Serialize;

pub use action::{Action, Chosen, Direction, GrantFigures, OperationFigures, OrderFigures};
pub use error::{Mistake, ScenarioError};
pub use event::Event;
pub use load::{Amounts, Load, Mode, Payees, Profile, RATE_PER_S_MAX};
pub use network::{Network, Replica};
pub use node::{NodeChoice, NodeName};
pub use policy::Policy;
pub use wallets::{WALLETS_MAX, Wallets};

use document::Document;
use section::Section;

/// The width of a payer's window of sequence numbers, from its lowest unused one.
pub const SEQUENCE_WINDOW: u64 = 64;

/// The least time, in seconds, that payments may stay unanswered at the peak rate before a payer's window could run
/// full.
const WINDOW_SPAN_S_MIN: f64 = 1.0;

/// `[slo]`: the bound with which the run is compared.
///
/// | key | default | range |
/// |---|---|---|
/// | `p99_ms` | 1,000 | 0.001 to 3,600,000 |
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slo {
    /// 99 of 100 payments are answered within this time of being due.
    pub p99_ms: f64,
}

/// A resolved scenario: every figure present and in range.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// The name in reports.
    pub name: String,
    /// Its description.
    pub description: String,
    /// The same seed gives the same payments.
    pub seed: u64,
    /// The network's shape.
    pub network: Network,
    /// The wallets.
    pub wallets: Wallets,
    /// The payments.
    pub load: Load,
    /// Policy at the start.
    pub policy: Policy,
    /// Events while the load runs, in order of time.
    #[serde(rename = "event")]
    pub events: Vec<Event>,
    /// The bound with which the run is compared.
    pub slo: Slo,
    /// The file it came from; not part of the canonical form.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// Differences from the file, as sentences; not part of the canonical form.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl Scenario {
    /// Loads a scenario file.
    ///
    /// # Errors
    /// The file cannot be read, or the first mistake in it, with its line and column.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        Self::load_with(path, &[])
    }

    /// Loads a scenario file with `key=value` overrides laid over it, in order.
    ///
    /// A key is a dotted path (`load.rate_per_s`, `event.0.at_s`); a value is TOML, or bare text.
    ///
    /// # Errors
    /// Like [`Scenario::load`]; a mistake in an override is shown on the override.
    pub fn load_with(path: &Path, overrides: &[(String, String)]) -> Result<Self, ScenarioError> {
        let text = text_file::read(path, Path::new("simulations/load"))?;
        let stem = path.file_stem().map_or("scenario".into(), |stem| stem.to_string_lossy().into_owned());
        let mut scenario = Self::parse(&path.display().to_string(), &stem, &text, overrides)?;
        scenario.file = Some(path.to_owned());
        Ok(scenario)
    }

    /// Reads a scenario from text. `file` is shown in mistakes, `stem` is the name unless the text gives one.
    ///
    /// # Errors
    /// The first mistake, with its line and column.
    pub fn parse(file: &str, stem: &str, text: &str, overrides: &[(String, String)]) -> Result<Self, ScenarioError> {
        let mut document = Document::parse(file, text)?;
        for (key, value) in overrides {
            document.set(key, value)?;
        }
        let mut root = Section::root(&document);
        let name = root.text("name")?.unwrap_or_else(|| stem.to_owned());
        let description = root.text("description")?.unwrap_or_default();
        let seed = root.integer("seed", 0..=i64::MAX as u64, 1)?;
        let network = Network::read(root.section("network")?)?;
        let policy = Policy::read(root.section("policy")?)?;
        let linked = policy.preset.as_ref().map_or(PerClass::all(0.0), |preset| preset.linked);
        let mut wallets = Wallets::read(root.section("wallets")?, network.banks, linked)?;
        let mut notes = Vec::new();
        if policy.preset.is_some() {
            let lowered = keep_openings_within_limits(&mut wallets, &policy);
            if root.section("wallets")?.gives("opening_balance_minor") {
                notes = lowered;
            }
        }
        let load = Load::read(root.section("load")?, network.banks)?;
        let events = read_events(root.sections("event")?, &network, &wallets, load.total_s())?;
        check_former_leaders(&root.sections("event")?, &events)?;
        check_rates(&root.sections("event")?, &events, &policy)?;
        let events = events.into_iter().map(|(_, event)| event).collect();
        let mut slo_section = root.section("slo")?;
        let slo = Slo { p99_ms: slo_section.number("p99_ms", 0.001..=3_600_000.0, 1_000.0)? };
        slo_section.end()?;

        let scenario = Self { name, description, seed, network, wallets, load, policy, events, slo, file: None, notes };
        scenario.check_top_ups(&root.section("load")?)?;
        scenario.check_window(&root.section("wallets")?)?;
        scenario.check_opening(&root.section("wallets")?)?;
        root.end()?;
        Ok(scenario)
    }

    /// The resolved scenario as TOML, every default written out, keys sorted. Reading it gives the same scenario.
    pub fn canonical(&self) -> String {
        let table = toml::Table::try_from(self).expect("a scenario holds only values that TOML can hold");
        toml::to_string(&table).expect("a table of TOML values can be written as TOML")
    }

    /// BLAKE3 of the canonical form, in hexadecimal.
    pub fn scenario_hash(&self) -> String {
        blake3::hash(self.canonical().as_bytes()).to_hex().to_string()
    }

    /// The bank of wallet `wallet`.
    pub fn bank_of(&self, wallet: u32) -> u32 {
        wallet % self.network.banks
    }

    /// The class of wallet `wallet`.
    pub fn class_of(&self, wallet: u32) -> Class {
        self.wallets.class_of(wallet / self.network.banks)
    }

    /// The currency of amounts: the preset's, or euros.
    pub fn currency(&self) -> &str {
        self.policy.preset.as_ref().map_or("EUR", |preset| &preset.currency)
    }

    /// Wallets of each class.
    pub fn wallets_by_class(&self) -> PerClass<u64> {
        let mut count = PerClass::all(0);
        (0..self.wallets.count).for_each(|wallet| *count.get_mut(self.class_of(wallet)) += 1);
        count
    }

    /// The opening balance of wallet `wallet`, before any waterfall.
    pub fn opening_of(&self, wallet: u32) -> u64 {
        self.wallets.opening_of(wallet / self.network.banks)
    }

    /// Whether wallet `wallet` is linked to a deposit.
    pub fn is_linked(&self, wallet: u32) -> bool {
        self.wallets.is_linked(wallet / self.network.banks)
    }

    /// The opening deposit of wallet `wallet`'s holder, before any waterfall.
    pub fn deposit_of(&self, wallet: u32) -> u64 {
        self.wallets.deposit_of(wallet / self.network.banks)
    }

    /// The number of wallets that pay: people's, or all if payees are chosen without regard to class or there are no
    /// people.
    pub fn payers(&self) -> u64 {
        let count = self.wallets_by_class();
        let people: u64 = Class::all().filter(|class| is_person(*class)).map(|class| *count.get(class)).sum();
        match self.load.payees {
            Payees::ByChannel if people > 0 => people,
            _ => u64::from(self.wallets.count),
        }
    }

    /// The time for which a payment may stay unanswered at the peak rate before its payer's sequence window could run
    /// full.
    ///
    /// Each payer pays once before any pays twice, so its 64th payment from now is at least 63 rounds away.
    pub fn window_span_s(&self) -> f64 {
        ((SEQUENCE_WINDOW - 1) * self.payers()) as f64 / self.load.profile.peak_per_s()
    }

    /// The same scenario at another rate: a constant load stays constant, every other becomes Poisson.
    pub fn at_rate(&self, rate_per_s: f64) -> Self {
        let mut scenario = self.clone();
        scenario.load.profile = match self.load.profile {
            Profile::Constant { .. } => Profile::Constant { rate_per_s },
            _ => Profile::Poisson { rate_per_s },
        };
        scenario
    }

    fn check_top_ups(&self, load: &Section<'_>) -> Result<(), ScenarioError> {
        let share = self.load.top_up_share;
        if share == 0.0 || Class::all().any(|class| *self.wallets.linked.get(class) > 0.0) {
            return Ok(());
        }
        Err(load.mistake("top_up_share", "0, or wallets that are linked (wallets.linked)", share.to_string()))
    }

    fn check_window(&self, wallets: &Section<'_>) -> Result<(), ScenarioError> {
        if self.window_span_s() >= WINDOW_SPAN_S_MIN {
            return Ok(());
        }
        let share = self.payers() as f64 / f64::from(self.wallets.count);
        let rounds = (SEQUENCE_WINDOW - 1) as f64;
        let needed = (self.load.profile.peak_per_s() * WINDOW_SPAN_S_MIN / rounds / share).ceil();
        let key = if wallets.gives("per_bank") { "per_bank" } else { "count" };
        let expected = format!(
            "at least {needed} wallets for a peak of {} payments a second (a payer may have {SEQUENCE_WINDOW} \
             unanswered payments)",
            self.load.profile.peak_per_s()
        );
        Err(wallets.mistake(key, expected, format!("{} wallets", self.wallets.count)))
    }

    fn check_opening(&self, wallets: &Section<'_>) -> Result<(), ScenarioError> {
        let count = self.wallets_by_class();
        let key = "opening_balance_minor";
        let mut total: u128 = 0;
        for class in Class::all() {
            let opening = self.wallets.opening_max(class);
            total += u128::from(opening) * u128::from(*count.get(class));
            let Some(limit) = self.policy.parameters.class(class).holding_limit.map(Amount::minor) else { continue };
            let all_linked = *self.wallets.linked.get(class) >= 1.0;
            if *count.get(class) > 0 && opening > limit && !all_linked {
                let expected = format!("at most the holding limit of {class}, {limit}");
                return Err(wallets.mistake(key, expected, opening.to_string()));
            }
        }
        let cap = self.policy.parameters.supply_cap.map_or(MINOR_MAX, Amount::minor);
        if total > u128::from(cap) {
            let expected = format!("opening balances of at most {cap} in all (policy.supply_cap_minor)");
            return Err(wallets.mistake(key, expected, format!("{total}")));
        }
        self.check_quotas(wallets)
    }

    /// Checks that each bank's opening balances fit its issuance quota.
    fn check_quotas(&self, wallets: &Section<'_>) -> Result<(), ScenarioError> {
        let parameters = &self.policy.parameters;
        for (bank, needed) in self.opening_totals().into_iter().enumerate() {
            let own = parameters.issuance_quota_of_bank.get(&BankId(bank as u16 + 1)).copied();
            let word = if own.is_some() { "issuance_quota_of_bank_minor" } else { "issuance_quota_minor" };
            let Some(quota) = own.or(parameters.issuance_quota).map(Amount::minor) else { continue };
            if needed > u128::from(quota) {
                let node = NodeName::Bank(bank as u32);
                let expected = format!("opening balances of at most {quota} at {node} (policy.{word})");
                return Err(wallets.mistake("opening_balance_minor", expected, needed.to_string()));
            }
        }
        Ok(())
    }

    /// The opening balances of each bank's wallets, summed.
    fn opening_totals(&self) -> Vec<u128> {
        let mut totals = vec![0; self.network.banks as usize];
        for wallet in 0..self.wallets.count {
            totals[self.bank_of(wallet) as usize] += u128::from(self.opening_of(wallet));
        }
        totals
    }
}

/// Lowers opening balances to the preset's holding limits, so that any scenario runs under any preset. Returns the
/// changes, as sentences.
fn keep_openings_within_limits(wallets: &mut Wallets, policy: &Policy) -> Vec<String> {
    let mut notes = Vec::new();
    for class in Class::all() {
        if let Some(limit) = policy.parameters.class(class).holding_limit {
            let most = (limit.minor() as f64 / (1.0 + wallets.opening_spread)) as u64;
            let figure = wallets.opening_balance_minor.get_mut(class);
            if *figure > most && *wallets.class_mix.get(class) > 0.0 {
                notes.push(format!(
                    "Wallets of class {class} open with {most} minor units, not {figure}: more would be above the \
                     holding limit of {} under the preset.",
                    limit.minor()
                ));
            }
            *figure = (*figure).min(most);
        }
    }
    notes
}

/// The events in order of time, each with its index in the file.
fn read_events(
    sections: Vec<Section<'_>>,
    network: &Network,
    wallets: &Wallets,
    total_s: f64,
) -> Result<Vec<(usize, Event)>, ScenarioError> {
    let mut events = Vec::new();
    for (index, section) in sections.into_iter().enumerate() {
        let read = Event::read(section, network, wallets, total_s)?;
        events.extend(read.into_iter().map(|event| (index, event)));
    }
    events.sort_by(|(_, a), (_, b)| a.at_s.total_cmp(&b.at_s));
    Ok(events)
}

/// Checks that an event has met the leader before another one names the former.
fn check_former_leaders(sections: &[Section<'_>], events: &[(usize, Event)]) -> Result<(), ScenarioError> {
    let mut is_met = false;
    for (index, event) in events {
        let nodes = event.action.nodes();
        if nodes.contains(&NodeChoice::FormerLeader) && !is_met {
            let key = if sections[*index].gives("nodes") { "nodes" } else { "node" };
            let expected = "an earlier event with \"leader\", whose node the former leader is";
            return Err(sections[*index].mistake(key, expected, "none"));
        }
        is_met |= nodes.contains(&NodeChoice::Leader);
    }
    Ok(())
}

/// Checks that rates are consistent after each event: the ledger would refuse the proposal otherwise.
fn check_rates(sections: &[Section<'_>], events: &[(usize, Event)], policy: &Policy) -> Result<(), ScenarioError> {
    let mut parameters = policy.parameters.clone();
    for (index, event) in events {
        let Action::Policy(change) = &event.action else { continue };
        change.apply(&mut parameters);
        if let Some(expected) = unsound(&parameters) {
            return Err(sections[*index].mistake("action", expected, change.to_string()));
        }
    }
    Ok(())
}
