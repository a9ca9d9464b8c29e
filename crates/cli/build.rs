//! Hands facts about the build to `cbdc --version --verbose`.

use std::path::Path;
use std::process::Command;

fn main() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", lock.display());
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo:rustc-env=CBDC_BUILD_TARGET={target}");
    println!("cargo:rustc-env=CBDC_BUILD_COMPILER={}", compiler().unwrap_or_else(|| "unknown".to_owned()));
    let lock = std::fs::read_to_string(lock).unwrap_or_default();
    println!("cargo:rustc-env=CBDC_BUILD_ROCKSDB={}", rocksdb(&lock).unwrap_or("unknown"));
}

/// The compiler's own statement: `rustc 1.89.0 (…)`.
fn compiler() -> Option<String> {
    let output = Command::new(std::env::var_os("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The version of RocksDB, which the binding's version in `Cargo.lock` ends with: `0.17.1+9.9.3`.
fn rocksdb(lock: &str) -> Option<&str> {
    let (_, package) = lock.split_once("name = \"librocksdb-sys\"\nversion = \"")?;
    Some(package.split_once('"')?.0.split_once('+')?.1)
}
