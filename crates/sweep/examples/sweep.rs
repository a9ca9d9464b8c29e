//! The three steps of a sweep without the rest of `cbdc`, for tests of schedulers and readers without RocksDB:
//!
//! ```text
//! sweep sweep plan FILE --out FOLDER
//! sweep sweep run FOLDER [--index I --count K] [--threads N]
//! sweep sweep merge FOLDER [--partial]
//! ```
//!
//! It takes the arguments of `cbdc sweep`, the word `sweep` first, so that a script cannot tell the two apart.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cbdc_economy::Go;
use cbdc_sweep::run::all_threads;
use cbdc_sweep::{Part, Plan, merge, run};

fn main() -> ExitCode {
    match step() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn step() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (Some("sweep"), Some(step), Some(target)) =
        (words.first().map(String::as_str), words.get(1), words.get(2).map(PathBuf::from))
    else {
        return Err("expected `sweep plan|run|merge FILE-OR-FOLDER`, found something else".into());
    };
    let rest = words.get(3..).unwrap_or_default();
    match step.as_str() {
        "plan" => {
            let plan = Plan::read(&target)?;
            let out = option(rest, "--out")?.ok_or("expected --out FOLDER, found none")?;
            println!("{} runs in {}", plan.runs.len(), plan.write(Path::new(&out))?.display());
        }
        "run" => {
            let number = |name| -> Result<Option<u32>, Box<dyn Error>> {
                Ok(option(rest, name)?.map(|text| text.parse()).transpose()?)
            };
            let part = Part::chosen(number("--index")?, number("--count")?, &|name| std::env::var(name).ok())?;
            let threads = number("--threads")?.map_or_else(all_threads, |threads| threads as usize);
            let done = run(&target, &Plan::open(&target)?, part, threads, &mut |_| Go::On)?;
            println!(
                "part {} of {}: {} runs, {} done before",
                part.index(),
                part.count(),
                done.simulated,
                done.skipped
            );
        }
        "merge" => {
            let merged = merge(&target, &Plan::open(&target)?, rest.iter().any(|word| word == "--partial"))?;
            println!("{} runs, digest {}", merged.runs - merged.missing.len(), merged.digest);
        }
        other => return Err(format!("expected plan, run or merge, found `{other}`").into()),
    }
    Ok(())
}

fn option(words: &[String], name: &str) -> Result<Option<String>, Box<dyn Error>> {
    match words.iter().position(|word| word == name) {
        None => Ok(None),
        Some(at) => {
            Ok(Some(words.get(at + 1).ok_or_else(|| format!("expected a value after {name}, found none"))?.clone()))
        }
    }
}
