//! The page of reasons is what the table of reasons says. `UPDATE_DOCS=1 cargo test` writes it anew.

use std::fmt::Write;
use std::path::Path;

use cbdc_ledger::Reason;
use cbdc_ledger::outcome::Stage;

fn page() -> String {
    let mut page = String::from(
        "# Reasons\n\nEvery answer to a command carries one of these reasons, in the same words in the API, on the command line \
         and here.\n\n- *number used*: whether the command's sequence number is used up;\n- *later*: whether the same intent, \
         signed anew, may succeed later.\n\n| code | reason | meaning | number used | later |\n|---|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let used = if reason.stage() == Stage::BeforeOrdering { "no" } else { "yes" };
        let later = if reason.later_may_help() { "yes" } else { "no" };
        let (code, name, text) = (*reason as u16, reason.name(), reason.text());
        writeln!(page, "| {code} | `{name}` | {text} | {used} | {later} |").unwrap();
    }
    page
}

#[test]
fn the_page_of_reasons_is_the_table() {
    let path = Path::new("../../docs/reference/reasons.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == page(),
        "docs/reference/reasons.md is not what the table says; run UPDATE_DOCS=1 cargo test -p cbdc-ledger --test \
        documentation"
    );
}
