//! Batches end to end: the same bytes for any number of threads and parts, resuming after a kill, missing runs named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cbdc_economy::{Go, Scenario, simulate};
use cbdc_sweep::table::Table;
use cbdc_sweep::{Part, Plan, SweepError, merge, run};
use cbdc_sweep::{folder, run_folder};

const SCENARIO: &str = "[households]\ncount = 120\n[firms]\ncount = 8\n[banks]\ncount = 3\n[time]\ndays = 40\n\
    [adoption]\ninnovation = 2.0\n";

const PLAN: &str = "name = \"Limits\"\nscenario = \"small.toml\"\nseeds = 4\n\
    [grid]\npolicy.holding_limit_minor = [20_000, 300_000, \"none\"]\n";

/// A folder with a plan that is not run yet.
fn planned(folder: &Path, scenario: &str, plan: &str) -> (PathBuf, Plan) {
    std::fs::write(folder.join("small.toml"), scenario).unwrap();
    std::fs::write(folder.join("limits.toml"), plan).unwrap();
    let plan = Plan::read(&folder.join("limits.toml")).unwrap();
    let out = folder.join("out");
    plan.write(&out).unwrap();
    (out.clone(), Plan::open(&out).unwrap())
}

fn part(index: u32, count: u32) -> Part {
    Part::chosen(Some(index), Some(count), &|_| None).unwrap()
}

/// The merged files by name.
fn merged_bytes(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn threads_and_parts_change_no_byte() {
    let mut all = Vec::new();
    for (threads, parts) in [(1, 1), (16, 1), (2, 3)] {
        let folder = tempfile::tempdir().unwrap();
        let (out, plan) = planned(folder.path(), SCENARIO, PLAN);
        for index in (0..parts).rev() {
            run(&out, &plan, part(index, parts), threads, &mut |_| Go::On).unwrap();
        }
        merge(&out, &plan, false).unwrap();
        all.push(merged_bytes(&out));
    }
    let names: Vec<&str> = all[0].keys().map(String::as_str).collect();
    let expected = "banks.parquet events.parquet households.parquet macro.parquet payments.parquet plan.json \
                    report.html runs.parquet summary.json";
    assert_eq!(names.join(" "), expected);
    for other in &all[1..] {
        for (name, bytes) in &all[0] {
            assert!(other[name] == *bytes, "{name} differs");
        }
    }
}

#[test]
fn a_merged_run_is_what_simulating_it_alone_gives() {
    let folder = tempfile::tempdir().unwrap();
    let (out, plan) = planned(folder.path(), SCENARIO, PLAN);
    run(&out, &plan, Part::WHOLE, 2, &mut |_| Go::On).unwrap();
    let merged = merge(&out, &plan, false).unwrap();
    let mut scenario = Scenario::parse("small.toml", SCENARIO).unwrap();
    scenario.set("policy.holding_limit_minor", "300_000").unwrap();
    let alone = simulate(&scenario, 3, &mut |_| Go::On).unwrap();
    let run = plan.runs.iter().find(|run| run.design == 1 && run.seed == 3).unwrap();
    let record = run_folder::record(&out, &plan, *run).unwrap().unwrap();
    assert_eq!(record.digest, alone.digest);
    assert_eq!(record.scenario_hash, alone.scenario_hash);
    let bytes = std::fs::read(out.join("macro.parquet")).unwrap();
    let table = Table::read(&out.join("macro.parquet"), &blake3::hash(&bytes).to_hex()).unwrap();
    let rows = |column: &str| {
        let chosen = table.integers("run").iter().zip(table.integers(column));
        chosen.filter(|(number, _)| **number == i64::from(run.run)).map(|(_, value)| *value).collect::<Vec<_>>()
    };
    let expected: Vec<i64> = alone.macro_rows.iter().map(|row| row.cbdc_households_minor).collect();
    assert_eq!(rows("cbdc_households_minor"), expected);
    assert!(expected.last().is_some_and(|held| *held > 0), "nobody holds CBDC: the test would prove nothing");
    assert_eq!(rows("seed"), vec![3; expected.len()]);
    let summary = &merged.designs[1].figures["cbdc_households_minor"];
    assert!(summary.p05 <= summary.median && summary.median <= summary.p95 && summary.p05 < summary.p95);
    // A mean of paired differences is the difference of means.
    let mean = |design: usize| merged.designs[design].figures["cbdc_households_minor"].mean;
    let difference = &merged.designs[1].against_first["cbdc_households_minor"];
    assert!((difference.mean - (mean(1) - mean(0))).abs() < 1e-6, "{difference:?}");
    assert!(merged.designs[0].against_first.is_empty());
}

#[test]
fn missing_runs_are_named_and_a_partial_merge_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (out, plan) = planned(folder.path(), SCENARIO, PLAN);
    let told = merge(&out, &plan, true).unwrap_err().to_string();
    assert!(told.contains("12 of 12 runs are missing: 0–11"), "{told}");
    run(&out, &plan, part(1, 3), 2, &mut |_| Go::On).unwrap();
    let told = merge(&out, &plan, false).unwrap_err().to_string();
    assert!(told.contains("8 of 12 runs are missing: 0, 2–3, 5–6, 8–9, 11"), "{told}");
    assert!(!out.join("summary.json").exists());
    let merged = merge(&out, &plan, true).unwrap();
    assert_eq!(merged.missing, [0, 2, 3, 5, 6, 8, 9, 11]);
    assert!(std::fs::read_to_string(out.join("report.html")).unwrap().contains("Missing runs: 0, 2–3, 5–6, 8–9, 11"));
}

#[test]
fn stopping_leaves_whole_runs_and_going_on_skips_them() {
    let folder = tempfile::tempdir().unwrap();
    let (out, plan) = planned(folder.path(), SCENARIO, PLAN);
    let mut seen = 0;
    let stopped = run(&out, &plan, Part::WHOLE, 1, &mut |progress| {
        seen = progress.runs_done;
        if progress.runs_done >= 2 { Go::Stop } else { Go::On }
    });
    let done = match stopped {
        Err(SweepError::Stopped { done, all: 12 }) => done,
        other => panic!("{other:?}"),
    };
    assert!(done >= seen && done >= 2, "{done} {seen}");
    assert_eq!(folder::count(&out).unwrap(), done);
    let rest = run(&out, &plan, Part::WHOLE, 2, &mut |_| Go::On).unwrap();
    assert_eq!((rest.skipped, rest.simulated), (done, 12 - done));
}

/// Not a test of its own: the process that `a_killed_process_leaves_only_whole_runs` kills.
#[test]
#[ignore = "is started and killed by another test"]
fn process_to_be_killed() {
    if let Some(out) = std::env::var_os("CBDC_SWEEP_KILLED").map(PathBuf::from) {
        run(&out, &Plan::open(&out).unwrap(), Part::WHOLE, 2, &mut |_| Go::On).unwrap();
    }
}

#[test]
fn a_killed_process_leaves_only_whole_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (out, plan) = planned(folder.path(), SCENARIO, &PLAN.replace("seeds = 4", "seeds = 40"));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_to_be_killed", "--ignored"])
        .env("CBDC_SWEEP_KILLED", &out)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while folder::count(&out).unwrap() < 3 {
        assert!(start.elapsed() < Duration::from_secs(300), "no run was done in five minutes");
        assert!(child.try_wait().unwrap().is_none(), "the process ended by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let done = folder::count(&out).unwrap();
    assert!(done < plan.runs.len(), "the process was done before it was killed");
    // A kill may also leave an unfinished folder. It is neither read nor in the way.
    std::fs::create_dir_all(out.join("runs/.000119-1-0")).unwrap();
    std::fs::write(out.join("runs/.000119-1-0/macro.parquet"), "half").unwrap();
    let rest = run(&out, &plan, Part::WHOLE, 2, &mut |_| Go::On).unwrap();
    assert_eq!((rest.skipped, rest.simulated), (done, plan.runs.len() - done));
    let resumed = merge(&out, &plan, false).unwrap();
    assert!(!out.join("runs/.000119-1-0").exists(), "leftovers are removed when all is merged");

    let other = tempfile::tempdir().unwrap();
    let (fresh, plan) = planned(other.path(), SCENARIO, &PLAN.replace("seeds = 4", "seeds = 40"));
    run(&fresh, &plan, Part::WHOLE, 2, &mut |_| Go::On).unwrap();
    assert_eq!(merge(&fresh, &plan, false).unwrap(), resumed);
}

#[test]
fn two_processes_may_do_the_same_part() {
    let folder = tempfile::tempdir().unwrap();
    let (out, plan) = planned(folder.path(), SCENARIO, PLAN);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| run(&out, &plan, Part::WHOLE, 1, &mut |_| Go::On).unwrap());
        }
    });
    assert_eq!(folder::count(&out).unwrap(), 12);
    merge(&out, &plan, false).unwrap();
}

#[test]
fn a_table_that_was_changed_ends_the_merge_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (out, plan) = planned(folder.path(), SCENARIO, PLAN);
    run(&out, &plan, Part::WHOLE, 2, &mut |_| Go::On).unwrap();
    let path = out.join("runs/000005/banks.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let told = merge(&out, &plan, true).unwrap_err().to_string();
    assert!(told.contains("runs/000005/banks.parquet"), "{told}");
    assert!(!out.join("summary.json").exists());
}

#[test]
fn runs_of_another_plan_are_not_mixed_in() {
    let folder = tempfile::tempdir().unwrap();
    let (out, plan) = planned(folder.path(), SCENARIO, PLAN);
    run(&out, &plan, part(0, 12), 1, &mut |_| Go::On).unwrap();
    std::fs::write(folder.path().join("limits.toml"), PLAN.replace("seeds = 4", "seeds = [5, 6]")).unwrap();
    let other = Plan::read(&folder.path().join("limits.toml")).unwrap();
    let told = other.write(&out).unwrap_err().to_string();
    assert!(told.contains("holds runs of another plan (1)"), "{told}");
    plan.write(&out).unwrap();
    let told = merge(&out, &other, true).unwrap_err().to_string();
    assert!(told.contains("expected run 0 of design 0 with seed 5") && told.contains("with seed 1"), "{told}");
    assert!(run(&out, &other, Part::WHOLE, 1, &mut |_| Go::On).is_err());
}

#[test]
fn a_collapse_counts_among_the_results() {
    // The second design's only bank fails on day 5: nobody is left to take over its customers.
    let scenario = "[households]\ncount = 60\n[firms]\ncount = 4\n[banks]\ncount = 1\n[time]\ndays = 20\n";
    let plan = "scenario = \"small.toml\"\nseeds = 2\n[[list]]\nname = \"calm\"\n[[list]]\nname = \"failing\"\n\
                shock = [{ day = 5, kind = \"fail-bank\", bank = 1 }]\n";
    let folder = tempfile::tempdir().unwrap();
    let (out, plan) = planned(folder.path(), scenario, plan);
    run(&out, &plan, Part::WHOLE, 1, &mut |_| Go::On).unwrap();
    assert_eq!(folder::count(&out).unwrap(), 4);
    let merged = merge(&out, &plan, false).unwrap();
    let collapsed = [0, 1].map(|design: usize| merged.designs[design].figures["collapsed"].mean);
    assert_eq!(collapsed, [0.0, 1.0]);
}
