//! The page of reasons matches the table of reasons. `UPDATE_DOCS=1 cargo test` rewrites it.

use std::path::Path;

use cbdc_ledger::Reason;
use cbdc_ledger::outcome::Stage;

/// The text of the page above the list of reasons.
const ABOVE_THE_LIST: &str = "\
# Reasons

Every answer to a command carries one of these reasons, in the same words in the API, on the command line and here.

An entry of [the list](#all-reasons) gives code, name and meaning, and in italics what else holds:

- *number used*: the command's sequence number is used up;
- *final*: the answer decides the record for good; otherwise a copy of it may still settle;
- *later*: the same intent, re-signed, may succeed later.

**What the ledger decided comes as an outcome, what never reached it as a status.** A refusal that uses the number is an
outcome with a block position, and always final. Any other is a status of the call, and applies to the copy that was
sent. So each reason comes in one way only, whichever call gives it; `EXPIRED` and `VALIDITY_TOO_LONG` alone come in
both, since nodes check the time before the ledger does. In a stream of packed answers a status is an answer with
height 0.

The `google.rpc.ErrorInfo` of a status says what follows for the record:

| metadata | meaning | what to do |
|---|---|---|
| `final` = `true` | the record never settles, whoever sends it | re-sign if you like |
| `may_settle_until_ms` | not ordered; another copy may settle until then | send the same record again, or replace it |
| neither, `UNAVAILABLE`, `CLOCK_JUMP` or `LOST_BLOCKS` | a copy *may have been ordered* | send the same record again |
| neither, `NOT_LEADER` | the same | send it to the node at `leader`, if that is given, or else to the next one |
| neither, `SEQUENCE_USED` | the number's first outcome stands, of this record or another | ask the wallet's own bank |

A copy settles until `may_settle_until_ms` if it is sent before that time of the chain, the record's valid-until, and
the obstacle is gone by then. To replace the record, sign another with the same sequence number: only one of them
settles.

Submitted again after its valid-until, the same record gets a final answer: its outcome, or, once the chain's time has
passed valid-until without it, the status `EXPIRED`. In a stream of packed answers the state says *unknown*, and the
list below what is final: a wallet's number 65, refused with `SEQUENCE_OUT_OF_WINDOW`, settles if it is submitted again
after number 1 was used.

## All reasons

";

/// Appends an item of a list, its lines at most 120 characters long.
fn push_item(page: &mut String, text: &str) {
    let mut width = 1;
    page.push('-');
    for word in text.split(' ') {
        let length = word.chars().count();
        if width + 1 + length > 120 {
            page.push_str("\n ");
            width = 1;
        }
        page.push(' ');
        page.push_str(word);
        width += 1 + length;
    }
    page.push('\n');
}

fn page() -> String {
    let mut page = ABOVE_THE_LIST.to_owned();
    for reason in Reason::ALL {
        let is_used = reason.stage() != Stage::BeforeOrdering;
        let is_final = match reason {
            reason if reason.says_sequence_used() => Some("final"),
            Reason::RequestRejected => Some("final"),
            Reason::KeyChanged => Some("final where the key named is the older one"),
            reason if is_used || reason.shows_never_ordered() => Some("final"),
            _ => None,
        };
        let holds = [is_used.then_some("number used"), is_final, reason.later_may_help().then_some("later")];
        let holds: Vec<&str> = holds.into_iter().flatten().collect();
        let holds = if holds.is_empty() { String::new() } else { format!(" *{}*", holds.join(", ")) };
        push_item(&mut page, &format!("{} `{}`: {}{holds}", *reason as u16, reason.name(), reason.text()));
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
