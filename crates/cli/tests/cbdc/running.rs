//! The program, run as a user runs it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub fn cbdc(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cbdc"));
    command.args(arguments).current_dir(dir).env("CBDC_NETWORK", "net").stdin(Stdio::null());
    command
}

pub fn run(dir: &Path, arguments: &[&str]) -> Output {
    cbdc(dir, arguments).output().unwrap()
}

pub fn code(dir: &Path, arguments: &[&str]) -> i32 {
    run(dir, arguments).status.code().unwrap()
}

/// Runs with `--json`, expects success, and reads the object.
pub fn object(dir: &Path, arguments: &[&str]) -> Value {
    let output = run(dir, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `cbdc up`, ready. Dropping it kills it.
pub struct Up {
    pub child: Child,
    pub greeting: Value,
}

impl Up {
    pub fn start(dir: &Path, arguments: &[&str]) -> Up {
        let log = std::fs::File::create(dir.join("up.err")).unwrap();
        let mut child = cbdc(dir, &[&["up", "--base-port", "0", "--json"], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let error = || std::fs::read_to_string(dir.join("up.err")).unwrap_or_default();
        let greeting = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no greeting but `{line}`: {}", error()));
        Up { child, greeting }
    }

    pub fn signal(&self, signal: &str) {
        Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
    }

    pub fn stop(mut self) {
        self.signal("-TERM");
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn available(dir: &Path, wallet: &str) -> u64 {
    object(dir, &["wallet", "show", wallet])["available_minor"].as_u64().unwrap()
}

/// Bob's bank follows the chain: it may be a moment behind the answer that alice's bank gave.
pub fn wait_for_balance(dir: &Path, wallet: &str, minor: u64) {
    let give_up = Instant::now() + Duration::from_secs(5);
    while available(dir, wallet) != minor {
        assert!(Instant::now() < give_up, "{wallet} has {}, expected {minor}", available(dir, wallet));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command, kills it after some milliseconds, and runs it again to its end; the places in the chain that either
/// run has shown.
pub fn killed_and_again(dir: &Path, words: &[&str], after_ms: u64) -> Vec<(Value, Value)> {
    let words = [words, &["--json"]].concat();
    let mut first = cbdc(dir, &words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(after_ms));
    first.kill().unwrap();
    let first = first.wait_with_output().unwrap();
    let second = run(dir, &words);
    assert!(second.status.success(), "{words:?}: {}", String::from_utf8_lossy(&second.stderr));
    let shown = [first.stdout, second.stdout];
    let shown = shown.iter().filter_map(|out| serde_json::from_slice::<Value>(out).ok());
    shown.map(|answer| (answer["height"].clone(), answer["index"].clone())).collect()
}

/// A process that the program has started.
pub fn child_of(up: &Up, named: &str) -> u32 {
    let own = up.child.id();
    let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
    let is_named = |pid: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains(named)
    };
    let mut children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    children.find(is_named).unwrap_or_else(|| panic!("no process of {named}"))
}
