//! Scenarios: what a run shall do, written in TOML, checked to the line and column before anything starts.
//!
//! 1. The file is parsed into a document that remembers places; `--set key=value` overrides are laid over it.
//! 2. Each section is read key by key with a default and a range; what nobody asked for is an error.
//! 3. Figures that depend on each other are checked last (opening balances against limits, wallets against rate).
//!
//! Units stand last in every key: `_s`, `_ms`, `_per_s`, `_minor` (cents); a name without a unit is a count, a share
//! or a word. The top level knows:
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
//! The resolved scenario, every default written out and keys sorted, is its *canonical* form; its BLAKE3 hash names
//! the scenario in every result, so two results with one hash ran the same thing.

mod class;
mod event;
mod load;
mod network;
mod policy;
mod preset;
#[cfg(test)]
mod tests;
mod wallets;

use std::path::{Path, PathBuf};

use cbdc_ledger::{Amount, BankId};
use cbdc_scenario_file::{document, error, section, suggestion};
use serde::Serialize;

pub use class::{Class, PerClass, is_person};
pub use error::{Mistake, ScenarioError};
pub use event::{Action, Chosen, Event, GrantFigures, NodeName, OperationFigures, OrderFigures};
pub use load::{Amounts, Load, Mode, Payees, Profile, RATE_PER_S_MAX};
pub use network::{Network, Replica};
pub use policy::{CURRENCY_EXPONENT, MINOR_MAX, Policy, PolicyChange};
pub use preset::{Preset, SourceMark};
pub use wallets::{WALLETS_MAX, Wallets};

use document::Document;
use section::Section;

/// A payer may use numbers this far above its lowest unused one (`cbdc_ledger::sequence`).
pub const SEQUENCE_WINDOW: u64 = 64;

/// A payment may stay unanswered this long at the peak rate before its payer's window could run full.
const WINDOW_SPAN_S_MIN: f64 = 1.0;

/// `[slo]`: the bound that the run is held against.
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
    /// Shown in reports.
    pub name: String,
    /// What it shows.
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
    /// What happens while the load runs, in order of time.
    #[serde(rename = "event")]
    pub events: Vec<Event>,
    /// The bound that the run is held against.
    pub slo: Slo,
    /// The file it came from; not part of the canonical form.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// In what it differs from what the file says, as sentences; not part of the canonical form.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl Scenario {
    /// Loads a scenario file.
    ///
    /// # Errors
    /// The file cannot be read, or the first mistake in it, with its place.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        Self::load_with(path, &[])
    }

    /// Loads a scenario file with `key=value` overrides laid over it, in order.
    ///
    /// A key is a dotted path (`load.rate_per_s`, `event.0.at_s`); a value is TOML, or bare text.
    ///
    /// # Errors
    /// As [`Scenario::load`]; a mistake in an override is shown on the override.
    pub fn load_with(path: &Path, overrides: &[(String, String)]) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Unreadable {
            path: path.to_owned(),
            suggestion: similar_file(path, &source),
            source,
        })?;
        let stem = path.file_stem().map_or("scenario".into(), |stem| stem.to_string_lossy().into_owned());
        let mut scenario = Self::parse(&path.display().to_string(), &stem, &text, overrides)?;
        scenario.file = Some(path.to_owned());
        Ok(scenario)
    }

    /// Reads a scenario from text. `file` is shown in mistakes, `stem` is the name unless the text gives one.
    ///
    /// # Errors
    /// The first mistake, with its place.
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
        let events = read_events(root.sections("event")?, network.banks, &wallets, load.total_s())?;
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

    /// In which currency amounts are: the preset's, or euros.
    pub fn currency(&self) -> &str {
        self.policy.preset.as_ref().map_or("EUR", |preset| &preset.currency)
    }

    /// Wallets of each class.
    pub fn wallets_by_class(&self) -> PerClass<u64> {
        let mut count = PerClass::all(0);
        (0..self.wallets.count).for_each(|wallet| *count.get_mut(self.class_of(wallet)) += 1);
        count
    }

    /// What wallet `wallet` holds when the clock starts, before any waterfall.
    pub fn opening_of(&self, wallet: u32) -> u64 {
        self.wallets.opening_of(wallet / self.network.banks)
    }

    /// Whether wallet `wallet` is linked to a deposit.
    pub fn is_linked(&self, wallet: u32) -> bool {
        self.wallets.is_linked(wallet / self.network.banks)
    }

    /// What the holder of wallet `wallet` has on deposit when the clock starts, before any waterfall.
    pub fn deposit_of(&self, wallet: u32) -> u64 {
        self.wallets.deposit_of(wallet / self.network.banks)
    }

    /// Wallets that pay: people's, or all if payees are chosen without regard to class or there are no people.
    pub fn payers(&self) -> u64 {
        let count = self.wallets_by_class();
        let people: u64 = Class::all().filter(|class| is_person(*class)).map(|class| *count.get(class)).sum();
        match self.load.payees {
            Payees::ByChannel if people > 0 => people,
            _ => u64::from(self.wallets.count),
        }
    }

    /// How long a payment may stay unanswered at the peak rate before its payer's sequence window could run full.
    ///
    /// Each payer pays once before any pays twice, so its 64th payment from now is at least 63 rounds away.
    pub fn window_span_s(&self) -> f64 {
        ((SEQUENCE_WINDOW - 1) * self.payers()) as f64 / self.load.profile.peak_per_s()
    }

    /// The same scenario under another rate: a constant load stays constant, every other becomes Poisson.
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

    /// Each bank is issued what its own wallets open with, under its own quota.
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

    /// What the wallets of each bank open with.
    fn opening_totals(&self) -> Vec<u128> {
        let mut totals = vec![0; self.network.banks as usize];
        for wallet in 0..self.wallets.count {
            totals[self.bank_of(wallet) as usize] += u128::from(self.opening_of(wallet));
        }
        totals
    }
}

/// Under a preset any scenario shall run: wallets open with no more than they may hold. Says what was lowered.
fn keep_openings_within_limits(wallets: &mut Wallets, policy: &Policy) -> Vec<String> {
    let mut notes = Vec::new();
    for class in Class::all() {
        if let Some(limit) = policy.parameters.class(class).holding_limit {
            let most = (limit.minor() as f64 / (1.0 + wallets.opening_spread)) as u64;
            let figure = wallets.opening_balance_minor.get_mut(class);
            if *figure > most && *wallets.class_mix.get(class) > 0.0 {
                notes.push(format!(
                    "Wallets of class {class} open with {most} minor units, not {figure}: more would be above the holding limit of \
                     {} under the preset.",
                    limit.minor()
                ));
            }
            *figure = (*figure).min(most);
        }
    }
    notes
}

/// The events in order of time, each with its place in the file.
fn read_events(
    sections: Vec<Section<'_>>,
    banks: u32,
    wallets: &Wallets,
    total_s: f64,
) -> Result<Vec<(usize, Event)>, ScenarioError> {
    let mut events = Vec::new();
    for (place, section) in sections.into_iter().enumerate() {
        events.push((place, Event::read(section, banks, wallets, total_s)?));
    }
    events.sort_by(|(_, a), (_, b)| a.at_s.total_cmp(&b.at_s));
    Ok(events)
}

/// Rates must go together after each event: the ledger would refuse the proposal.
fn check_rates(sections: &[Section<'_>], events: &[(usize, Event)], policy: &Policy) -> Result<(), ScenarioError> {
    let mut parameters = policy.parameters.clone();
    for (place, event) in events {
        let Action::Policy(change) = &event.action else { continue };
        change.apply(&mut parameters);
        if let Some(expected) = policy::unsound(&parameters) {
            return Err(sections[*place].mistake("action", expected, change.to_string()));
        }
    }
    Ok(())
}

fn similar_file(path: &Path, error: &std::io::Error) -> Option<String> {
    if error.kind() != std::io::ErrorKind::NotFound {
        return None;
    }
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    let beside = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    [beside, Path::new("simulations")].into_iter().find_map(|folder| {
        let names: Vec<String> = std::fs::read_dir(folder)
            .ok()?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".toml"))
            .collect();
        let exact = names.iter().find(|name| **name == wanted || name.strip_suffix(".toml") == Some(&wanted));
        let near = exact.map(String::as_str).or_else(|| suggestion::nearest(&wanted, names.iter().map(String::as_str)));
        near.map(|name| folder.join(name).display().to_string())
    })
}
