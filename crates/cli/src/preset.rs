//! `cbdc presets`: published figures of known systems, as a first policy.

use cbdc_client::Anchor;
use cbdc_devnet::policy::{CURRENCY_EXPONENT, Preset, SourceMark};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use crate::output::{Output, fields, table};

/// List the presets: dated figures of known systems, with their source
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc presets                                  all of them
  cbdc presets e-naira                          one in full: figures, source, what is left out
  cbdc bench simulations/load/quickstart.toml --preset digital-euro
  cbdc up --preset sand-dollar

Marks: S read in the source or a report of it; C computed from such a figure; K known, not checked: provisional.")]
pub struct Presets {
    /// Show one in full
    #[arg(value_parser = names())]
    name: Option<String>,
}

/// The names of all presets, for the command line.
pub fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(Preset::names())
}

/// The preset that a network started with, recognised by its genesis.
pub fn of_network(anchor: &Anchor) -> Option<&'static Preset> {
    let first = &anchor.genesis().policy;
    Preset::all().iter().find(|preset| preset.currency == anchor.currency() && preset.parameters() == *first)
}

impl Presets {
    pub fn run(self, output: &Output) -> anyhow::Result<()> {
        let shown: Vec<&Preset> =
            Preset::all().iter().filter(|preset| self.name.as_ref().is_none_or(|name| *name == preset.name)).collect();
        let objects: Vec<Value> = shown.iter().map(|preset| object(preset)).collect();
        output.print(json!({ "presets": objects }), || match (&self.name, shown.as_slice()) {
            (Some(_), [preset]) => in_full(preset),
            _ => listed(&shown),
        });
        Ok(())
    }
}

fn listed(presets: &[&Preset]) -> String {
    let row = |preset: &&Preset| {
        let state = if preset.is_provisional() { "provisional" } else { "" };
        [&preset.name, &preset.date, &preset.currency, preset.mark.letter(), state, &preset.title]
            .map(str::to_owned)
            .to_vec()
    };
    let rows: Vec<Vec<String>> = presets.iter().map(row).collect();
    let mut text = table(&["name", "figures of", "currency", "mark", "", "system"], &rows);
    for preset in presets {
        let sentences =
            provisional(preset).into_iter().chain(preset.not_expressed.iter().map(|it| ("not expressed", it)));
        for (what, sentence) in sentences {
            text.push_str(&format!("\n{}, {what}: {sentence}", preset.name));
        }
    }
    text
}

fn provisional(preset: &Preset) -> Vec<(&'static str, &String)> {
    preset.provisional.iter().map(|sentence| ("provisional", sentence)).collect()
}

fn in_full(preset: &Preset) -> String {
    let mut rows = vec![
        ("preset", preset.name.clone()),
        ("system", preset.title.clone()),
        ("figures of", preset.date.clone()),
        ("source", preset.source.clone()),
        ("mark", format!("{}: {}", preset.mark.letter(), preset.mark.meaning())),
        ("currency", format!("{}: {}", preset.currency, preset.currency_note)),
    ];
    let lists = [
        ("provisional", &preset.provisional),
        ("not expressed", &preset.not_expressed),
        ("our choice", &preset.choices),
    ];
    for (label, sentences) in lists {
        rows.extend(sentences.iter().map(|sentence| (label, sentence.clone())));
    }
    format!("{}\n{}", fields(&rows), figures(preset).iter().map(|figure| format!("{figure}\n")).collect::<String>())
}

/// Every figure that differs from a policy without limits, fees and rates, in the form that `cbdc policy` reads.
fn figures(preset: &Preset) -> Vec<String> {
    let none = cbdc_ledger::policy::Parameters::default();
    let differences = cbdc_ledger::policy::text::differences(&none, &preset.parameters(), CURRENCY_EXPONENT);
    differences.into_iter().map(|(name, value)| format!("{name} = {value}")).collect()
}

fn object(preset: &Preset) -> Value {
    json!({
        "name": preset.name,
        "title": preset.title,
        "date": preset.date,
        "currency": preset.currency,
        "currency_note": preset.currency_note,
        "source": preset.source,
        "mark": preset.mark.letter(),
        "is_provisional": preset.is_provisional(),
        "provisional": preset.provisional,
        "not_expressed": preset.not_expressed,
        "choices": preset.choices,
        "figures": figures(preset),
    })
}

/// The notes for a user of the preset, one sentence per line.
pub fn cautions(preset: &Preset) -> Vec<String> {
    let mut cautions = vec![format!("preset {} ({}): {}", preset.name, preset.date, preset.title)];
    if preset.mark == SourceMark::Known {
        cautions.push(format!("preset {}: its figures are {}", preset.name, preset.mark.meaning()));
    }
    let sentences = preset.provisional.iter().map(|it| ("provisional", it));
    let sentences = sentences.chain(preset.not_expressed.iter().map(|it| ("not expressed", it)));
    cautions.extend(sentences.map(|(what, sentence)| format!("preset {}, {what}: {sentence}", preset.name)));
    cautions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_preset_and_says_which_are_provisional() {
        let all: Vec<&Preset> = Preset::all().iter().collect();
        let text = listed(&all);
        for preset in &all {
            let line = text.lines().find(|line| line.starts_with(&preset.name)).expect("each preset has a line");
            assert!(line.contains(&preset.date), "{line}");
            assert_eq!(line.contains("provisional"), preset.is_provisional(), "{line}");
        }
        assert!(text.contains("e-cny-before-2026, not expressed: Limits a year"), "{text}");
    }

    #[test]
    fn a_preset_in_full_has_its_source_and_every_figure() {
        let text = in_full(&Preset::named("sand-dollar").expect("a preset"));
        for words in ["Bahamas", "month-limit.tier-1 = 1500.00", "our choice"] {
            assert!(text.contains(words), "`{words}` is missing from\n{text}");
        }
    }
}
