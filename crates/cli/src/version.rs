//! `cbdc --version`: the version; with `--verbose` also the parts of the build.

use cbdc_signatures::Backend;
use serde_json::json;

use crate::output::{Output, fields};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints the version; with `verbose` also the backend of signatures, the compiler, its target and RocksDB's version.
pub fn print(output: &Output, verbose: bool) {
    let short = format!("cbdc {VERSION}");
    if !verbose {
        output.print(json!({ "version": VERSION }), || short);
        return;
    }
    let parts = [
        // Checked against the portable backend first: the backend named here is the one that verifies.
        ("signatures", Backend::selected().name()),
        ("target", env!("CBDC_BUILD_TARGET")),
        ("compiler", env!("CBDC_BUILD_COMPILER")),
        ("rocksdb", env!("CBDC_BUILD_ROCKSDB")),
    ];
    let mut object = json!({ "version": VERSION });
    parts.iter().for_each(|(name, value)| object[name] = (*value).into());
    let rows = parts.map(|(name, value)| (name, value.to_owned()));
    output.print(object, || format!("{short}\n{}", fields(&rows)));
}
