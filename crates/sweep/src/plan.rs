//! A plan: numbered runs, each a design with a seed, in one self-contained file.
//!
//! 1. `plan.json` holds the scenario's text, every design's settings, and the hash of its effective values. A part on
//!    another machine needs nothing else.
//! 2. Runs are numbered design by design, within a design in the order of the seeds. Values are TOML, as in a scenario,
//!    so that a number is the same to the last bit wherever it is read.
//! 3. A plan is made and run by one version of this program: another version refuses it, since its results might
//!    differ.

use std::path::{Path, PathBuf};

use cbdc_economy::Scenario;
use serde::{Deserialize, Serialize};

use crate::error::SweepError;
use crate::folder;
use crate::plan_file::PlanFile;
use crate::setting::Setting;

/// The program's version, recorded in plans, runs and results.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

const FORMAT: u32 = 1;

/// The plan of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Format number of this file.
    pub format: u32,
    pub name: String,
    pub description: String,
    /// The plan file's name.
    pub file: String,
    /// The version of the program that made it.
    pub version: String,
    pub scenario: ScenarioText,
    /// Settings of all runs.
    pub set: Vec<Setting>,
    /// Keys that designs set, each once.
    pub keys: Vec<String>,
    pub designs: Vec<Design>,
    pub runs: Vec<Run>,
}

/// The scenario as it was when the plan was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioText {
    pub file: String,
    pub text: String,
}

/// A design: the settings that the runs of all seeds share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Design {
    pub design: u32,
    pub name: String,
    pub set: Vec<Setting>,
    /// BLAKE3 over the effective values.
    pub scenario_hash: String,
    pub households: u64,
    pub days: u32,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub run: u32,
    pub design: u32,
    pub seed: u64,
}

impl Plan {
    /// Makes a plan from a plan file.
    ///
    /// # Errors
    /// The first mistake in it or in its scenario, with its line.
    pub fn read(path: &Path) -> Result<Plan, SweepError> {
        let file = PlanFile::read(path)?;
        let designs: Vec<Design> = file
            .designs
            .into_iter()
            .enumerate()
            .map(|(number, read)| Design {
                design: number as u32,
                name: read.name.unwrap_or_else(|| label(&read.set)),
                set: read.set,
                scenario_hash: read.scenario.hash(),
                households: u64::from(read.scenario.values.households.count),
                days: read.scenario.values.time.days,
            })
            .collect();
        let pairs = designs.iter().flat_map(|design| file.seeds.iter().map(|seed| (design.design, *seed)));
        let runs = pairs.enumerate().map(|(run, (design, seed))| Run { run: run as u32, design, seed }).collect();
        Ok(Plan {
            format: FORMAT,
            name: file.name,
            description: file.description,
            file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            version: VERSION.to_owned(),
            scenario: ScenarioText { file: file.scenario_file, text: file.scenario_text },
            set: file.set,
            keys: file.keys,
            designs,
            runs,
        })
    }

    /// Writes `plan.json` into a folder, which is created if necessary.
    ///
    /// # Errors
    /// The folder holds runs of another plan, or cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, SweepError> {
        let path = folder.join("plan.json");
        let text = serde_json::to_string_pretty(self).expect("texts, numbers and lists always have a JSON form") + "\n";
        if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
            return Ok(path);
        }
        let runs = folder::count(folder)?;
        if runs > 0 {
            return Err(SweepError::OtherPlan { folder: folder.to_path_buf(), runs });
        }
        std::fs::create_dir_all(folder).map_err(SweepError::file(folder, "made"))?;
        let waiting = folder.join(".plan.json");
        std::fs::write(&waiting, text).map_err(SweepError::file(&waiting, "written"))?;
        std::fs::rename(&waiting, &path).map_err(SweepError::file(&path, "written"))?;
        Ok(path)
    }

    /// Opens the plan of a folder.
    ///
    /// # Errors
    /// There is none, or another version made it.
    pub fn open(folder: &Path) -> Result<Plan, SweepError> {
        let path = folder.join("plan.json");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(SweepError::NoPlan { folder: folder.to_path_buf() });
            }
            other => other.map_err(SweepError::file(&path, "read"))?,
        };
        let plan: Plan = serde_json::from_str(&text)
            .map_err(|error| SweepError::unexpected(&path, "a plan written by `cbdc sweep plan`", error.to_string()))?;
        if (plan.format, plan.version.as_str()) != (FORMAT, VERSION) {
            let expected = format!("a plan of version {VERSION} in form {FORMAT}");
            let found = format!("version {} in form {}: plan again", plan.version, plan.format);
            return Err(SweepError::unexpected(&path, expected, found));
        }
        let is_numbered = plan.runs.iter().zip(0..).all(|(run, number)| run.run == number)
            && plan.designs.iter().zip(0..).all(|(design, number)| design.design == number)
            && plan.runs.iter().all(|run| (run.design as usize) < plan.designs.len());
        if !is_numbered {
            return Err(SweepError::unexpected(&path, "runs and designs numbered from 0", "others: plan again"));
        }
        Ok(plan)
    }

    /// The design of a run.
    pub fn design(&self, run: Run) -> &Design {
        &self.designs[run.design as usize]
    }

    /// The scenario of a design, checked against its hash.
    ///
    /// # Errors
    /// The scenario is no longer valid, or has other effective values.
    pub fn scenario(&self, design: &Design) -> Result<Scenario, SweepError> {
        let mut scenario = Scenario::parse(&self.scenario.file, &self.scenario.text)?;
        let settings = self.set.iter().chain(&design.set);
        scenario.set_all(settings.map(|Setting { key, value }| (key.as_str(), value.as_str())))?;
        let found = scenario.hash();
        if found != design.scenario_hash {
            let expected = format!("design {} with the scenario hash {}", design.design, design.scenario_hash);
            return Err(SweepError::unexpected(Path::new("plan.json"), expected, format!("{found}: plan again")));
        }
        Ok(scenario)
    }

    /// Household-days of a run: the unit of its progress.
    pub fn household_days(&self, run: Run) -> f64 {
        let design = self.design(run);
        design.households as f64 * f64::from(design.days)
    }
}

/// A design's name from its settings: `holding limit EUR 500, adoption ceiling 0.7`.
fn label(set: &[Setting]) -> String {
    if set.is_empty() {
        return "the scenario as it is".to_owned();
    }
    set.iter().map(setting_label).collect::<Vec<_>>().join(", ")
}

fn setting_label(setting: &Setting) -> String {
    let last = setting.key.rsplit('.').next().unwrap_or(&setting.key);
    let value = setting.value.trim_matches('"');
    let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
    let (name, value) = match (last.strip_suffix("_minor"), last.strip_suffix("_ppm"), number) {
        (Some(name), _, Some(minor)) => (name, format!("EUR {}", cbdc_report::format::given(minor / 100.0))),
        (_, Some(name), Some(ppm)) => (name, format!("{} %", cbdc_report::format::given(ppm / 1e4))),
        (Some(name), _, None) | (_, Some(name), None) => (name, value.to_owned()),
        (None, None, Some(number)) => (last, cbdc_report::format::given(number)),
        (None, None, None) => (last, value.to_owned()),
    };
    format!("{} {value}", name.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(key: &str, value: &str) -> Setting {
        Setting { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn a_design_is_named_by_what_it_sets() {
        let set = [
            setting("policy.holding_limit_minor", "50000"),
            setting("policy.cbdc_rate_ppm", "2500"),
            setting("behaviour.portfolio", "\"logit\""),
            setting("adoption.ceiling", "0.25"),
        ];
        assert_eq!(label(&set), "holding limit EUR 500, cbdc rate 0.25 %, portfolio logit, ceiling 0.25");
        assert_eq!(label(&[setting("policy.holding_limit_minor", "\"none\"")]), "holding limit none");
    }
}
