//! The page of reasons matches the table of reasons. `UPDATE_DOCS=1 cargo test` rewrites it.

use std::fmt::Write;
use std::path::Path;

use cbdc_ledger::Reason;
use cbdc_ledger::outcome::Stage;

/// The text of the page above the table of reasons.
const ABOVE_THE_TABLE: &str = "\
# Reasons

Every answer to a command carries one of these reasons, in the same words in the API, on the command line and here.

- *number used*: whether the command's sequence number is used up;
- *final*: whether the answer decides the record for good, or a copy of it may still settle;
- *later*: whether the same intent, re-signed, may succeed later.

**What the ledger decided comes as an outcome, what never reached it as a status.** A refusal that uses the number is an
outcome with a block position, and always final. Any other is a status of the call, and applies to the copy that was
sent. So each reason comes in one way only, whichever call gives it; `EXPIRED` and `VALIDITY_TOO_LONG` alone come in
both, since nodes check the time before the ledger does. In a stream of packed answers a status is an answer with
height 0.

The `google.rpc.ErrorInfo` of a status says what follows for the record:

| metadata | meaning | what to do |
|---|---|---|
| `final` = `true` | the record never settles, whoever sends it | re-sign if you like |
| `may_settle_until_ms` | not ordered; another copy settles if it is sent before that time of the chain, the record's \
valid-until, and the obstacle is gone by then | send the same record again; or sign another with the same sequence \
number, since only one of them settles |
| neither, `UNAVAILABLE` or `CLOCK_JUMP` | a copy *may have been ordered* | send the same record again |
| neither, `SEQUENCE_USED` | the number's first outcome stands, of this record or another | ask the wallet's own bank |

Submitted again after its valid-until, the same record gets a final answer: its outcome, or, once the chain's time has
passed valid-until without it, the status `EXPIRED`. In a stream of packed answers the state says *unknown*, and the
table below what is final: a wallet's number 65, refused with `SEQUENCE_OUT_OF_WINDOW`, settles if it is submitted again
after number 1 was used.

| code | reason | meaning | number used | final | later |
|---|---|---|---|---|---|
";

fn page() -> String {
    let mut page = ABOVE_THE_TABLE.to_owned();
    for reason in Reason::ALL {
        let used = if reason.stage() == Stage::BeforeOrdering { "no" } else { "yes" };
        let is_final = match reason {
            reason if reason.says_sequence_used() => "yes",
            Reason::KeyChanged => "where the key named is the older one",
            reason if used == "yes" || reason.shows_never_ordered() => "yes",
            _ => "no",
        };
        let later = if reason.later_may_help() { "yes" } else { "no" };
        let (code, name, text) = (*reason as u16, reason.name(), reason.text());
        writeln!(page, "| {code} | `{name}` | {text} | {used} | {is_final} | {later} |").unwrap();
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
        "docs/reference/reasons.md does not match the table; run UPDATE_DOCS=1 cargo test -p cbdc-ledger --test ledger \
        documentation"
    );
}
