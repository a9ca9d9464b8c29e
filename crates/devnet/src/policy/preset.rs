//! Presets: the published figures of known systems as a first policy, dated, with their source.
//!
//! Each is a file of `simulations/presets/`, built into the program. It names the source of its figures and how far
//! they were checked: `S` read in the source or a report of it, `C` computed from such a figure, `K` known but not
//! checked against the source. Unchecked figures are listed under `provisional`, and rules for which the ledger has no
//! parameter under `not_expressed`; both are shown wherever the preset is listed or used.
//!
//! | key | meaning |
//! |---|---|
//! | `name` | as in `--preset` and `preset = "…"`; the file's stem |
//! | `title`, `date` | the system, and the date of the figures |
//! | `currency`, `currency_note` | ISO 4217 code; the meaning of the amounts |
//! | `source` | where the figures were read |
//! | `mark` | `"S"`, `"C"` or `"K"` |
//! | `provisional`, `not_expressed`, `choices` | sentences: not checked; without a parameter; our own choices |
//! | `linked` | classes whose wallets are linked to a deposit unless a scenario says otherwise |
//! | `[policy]` | the keys of a scenario's `[policy]` |

use std::sync::LazyLock;

use cbdc_ledger::policy::Parameters;
use cbdc_scenario_file::document::Document;
use cbdc_scenario_file::error::ScenarioError;
use cbdc_scenario_file::section::Section;

use super::change::{PolicyChange, unsound};
use super::per_class::{PerClass, read_classes};

/// Name and text of each file.
const FILES: [(&str, &str); 7] = [
    ("digital-euro", include_str!("../../../../simulations/presets/digital-euro.toml")),
    ("digital-pound-10k", include_str!("../../../../simulations/presets/digital-pound-10k.toml")),
    ("digital-pound-20k", include_str!("../../../../simulations/presets/digital-pound-20k.toml")),
    ("e-cny-before-2026", include_str!("../../../../simulations/presets/e-cny-before-2026.toml")),
    ("e-naira", include_str!("../../../../simulations/presets/e-naira.toml")),
    ("sand-dollar", include_str!("../../../../simulations/presets/sand-dollar.toml")),
    ("bindseil-two-tier", include_str!("../../../../simulations/presets/bindseil-two-tier.toml")),
];

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let read = |(name, text)| Preset::parse(name, text).unwrap_or_else(|error| panic!("the built-in preset: {error}"));
    FILES.into_iter().map(read).collect()
});

/// The degree to which figures were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceMark {
    /// Read in the source or a report of it.
    Source,
    /// Computed from a figure that was read.
    Computed,
    /// Known, not checked against the source: provisional.
    Known,
}

impl SourceMark {
    /// The letter of the file.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Source => "S",
            Self::Computed => "C",
            Self::Known => "K",
        }
    }

    /// The meaning of the letter.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Source => "read in the source or a report of it",
            Self::Computed => "computed from a figure read in the source",
            Self::Known => "known, not checked against the source: provisional",
        }
    }
}

/// A first policy with its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    pub name: String,
    pub title: String,
    /// The date of the figures.
    pub date: String,
    pub currency: String,
    pub currency_note: String,
    pub source: String,
    pub mark: SourceMark,
    /// Figures not checked against a source, as sentences.
    pub provisional: Vec<String>,
    /// Rules that the ledger has no parameter for, as sentences.
    pub not_expressed: Vec<String>,
    /// Our own choices, as sentences.
    pub choices: Vec<String>,
    /// Share of wallets that are linked to a deposit, by class.
    pub linked: PerClass<f64>,
    /// The figures.
    pub change: PolicyChange,
}

impl Preset {
    /// Every preset, in a fixed order.
    pub fn all() -> &'static [Preset] {
        &PRESETS
    }

    /// The names of all presets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILES.into_iter().map(|(name, _)| name)
    }

    /// The preset of that name.
    pub fn named(name: &str) -> Option<Preset> {
        Self::all().iter().find(|preset| preset.name == name).cloned()
    }

    /// The policy of the preset.
    pub fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::default();
        self.change.apply(&mut parameters);
        parameters
    }

    /// Whether any figure was not checked against its source.
    pub fn is_provisional(&self) -> bool {
        self.mark == SourceMark::Known || !self.provisional.is_empty()
    }

    /// Reads a preset's file; `stem` must be its name.
    ///
    /// # Errors
    /// The first mistake, with its line and column.
    pub fn parse(stem: &str, text: &str) -> Result<Self, ScenarioError> {
        let document = Document::parse(&format!("simulations/presets/{stem}.toml"), text)?;
        let mut root = Section::root(&document);
        let marks = [("S", SourceMark::Source), ("C", SourceMark::Computed), ("K", SourceMark::Known)];
        let name = root.required_text("name")?;
        if name != stem {
            return Err(root.mistake("name", format!("the file's stem, \"{stem}\""), format!("\"{name}\"")));
        }
        if !root.gives("mark") {
            return Err(root.mistake("mark", "`mark`: \"S\", \"C\" or \"K\"", "none"));
        }
        let mut linked = PerClass::all(0.0);
        for class in read_classes(&mut root, "linked")?.unwrap_or_default() {
            *linked.get_mut(class) = 1.0;
        }
        let mut policy = root.section("policy")?;
        let change = PolicyChange::read(&mut policy)?;
        let preset = Self {
            name,
            title: root.required_text("title")?,
            date: root.required_text("date")?,
            currency: root.required_text("currency")?,
            currency_note: root.required_text("currency_note")?,
            source: root.required_text("source")?,
            mark: root.choice("mark", &marks)?,
            provisional: root.texts("provisional")?.unwrap_or_default(),
            not_expressed: root.texts("not_expressed")?.unwrap_or_default(),
            choices: root.texts("choices")?.unwrap_or_default(),
            linked,
            change,
        };
        if let Some(expected) = unsound(&preset.parameters()) {
            return Err(policy.mistake("policy_rate", expected, "other rates"));
        }
        policy.end()?;
        root.end()?;
        Ok(preset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_ledger::Class;

    #[test]
    fn every_preset_says_where_its_figures_come_from() {
        for (name, text) in FILES {
            let preset = Preset::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
            for said in [&preset.title, &preset.date, &preset.currency_note, &preset.source] {
                assert!(!said.is_empty(), "{name}");
            }
            assert!(preset.date.starts_with("20"), "{name}: {}", preset.date);
            assert_eq!(preset.currency.len(), 3, "{name}");
            assert!(preset.parameters().is_sound(), "{name}");
        }
    }

    #[test]
    fn what_is_only_known_is_provisional() {
        let provisional = |name: &str| Preset::named(name).is_some_and(|preset| preset.is_provisional());
        assert!(provisional("bindseil-two-tier") && provisional("digital-euro"));
        for name in ["digital-pound-10k", "digital-pound-20k", "e-naira", "sand-dollar"] {
            assert!(provisional(name), "{name}");
        }
        assert!(!provisional("e-cny-before-2026"));
    }

    #[test]
    fn where_one_class_of_people_is_limited_every_one_is() {
        for preset in Preset::all() {
            let parameters = preset.parameters();
            let people = || Class::all().filter(|class| super::super::per_class::is_person(*class));
            let limited = people().filter(|class| parameters.class(*class).holding_limit.is_some()).count();
            assert!(limited == 0 || limited == people().count(), "{}: {limited} classes", preset.name);
        }
    }

    #[test]
    fn the_figures_are_the_published_ones() {
        let rules = |name: &str, class| *Preset::named(name).expect("a preset").parameters().class(class);
        let major = |amount: u64| Some(cbdc_ledger::Amount::from_minor(amount * 100));
        assert_eq!(rules("digital-euro", Class::HOUSEHOLD).holding_limit, major(3_000));
        assert_eq!(rules("digital-euro", Class::BUSINESS).holding_limit, major(0));
        let second: Class = "tier-2".parse().expect("a class");
        let rules_of_second = rules("e-cny-before-2026", second);
        assert_eq!((rules_of_second.holding_limit, rules_of_second.payment_limit), (major(10_000), major(5_000)));
        assert_eq!(rules("sand-dollar", second).month_limit, major(10_000));
        let fee = |amount: u64| rules("e-naira", second).payer_fee.fee(cbdc_ledger::Amount::from_minor(amount)).minor();
        assert_eq!([499_999, 500_000, 5_000_000, 5_000_001].map(fee), [1_000, 2_500, 2_500, 5_000]);
        let tiers = rules("bindseil-two-tier", Class::HOUSEHOLD).tiers;
        assert_eq!((tiers.bounded()[0].rate.0, tiers.above().0), (10_000, 0));
    }

    #[test]
    fn a_preset_without_its_source_is_refused() {
        let text = FILES[0].1.replace("\nsource", "\nsauce");
        let error = Preset::parse("digital-euro", &text).expect_err("no source").to_string();
        assert!(error.contains("`source`"), "{error}");
    }
}
