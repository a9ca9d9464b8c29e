//! Refusals and failures as gRPC statuses, and back.
//!
//! What the ledger decided comes as an outcome, what never reached it as a status. So a status has no reason that the
//! ledger alone finds.
//!
//! Every status carries `google.rpc.ErrorInfo`: domain `cbdc.v1`, a stable reason from the ledger's table, and the
//! metadata `limit`, `amount` and `later_may_help`. One that refuses a signed record also says what follows for the
//! record ([`Finality`]): `final`, or `may_settle_until_ms`. What the transport itself refuses gets a reason on its way
//! out ([`with_reason`]).

use std::collections::HashMap;

use cbdc_ledger::{Outcome, Reason, Timestamp};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "cbdc.v1";

/// The metadata of a final refusal.
const FINAL: &str = "final";
/// The metadata that names the end of a refusal that is not final.
const MAY_SETTLE_UNTIL_MS: &str = "may_settle_until_ms";

/// The metadata that gives the address of the central bank's leader.
const LEADER: &str = "leader";

/// Whether a refused record may still settle by another copy, as a status states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finality {
    /// The record never settles, whoever sends it.
    Final,
    /// The record settles if a copy of it is sent, until a time of the chain, which is its valid-until.
    MaySettleUntil(Timestamp),
    /// Nothing is stated, or the call sends no record.
    NotStated,
}

/// A refusal that says nothing of other copies, or refuses no record.
pub fn of_refusal(outcome: &Outcome) -> Status {
    with_details(code_of(outcome.reason), outcome.reason.text(), outcome, Finality::NotStated)
}

/// A refusal before ordering of a record that never settles.
pub fn of_final_refusal(outcome: &Outcome) -> Status {
    with_details(code_of(outcome.reason), outcome.reason.text(), outcome, Finality::Final)
}

/// A refusal before ordering of a record that may settle yet, until a time of the chain, if a copy of it is sent.
pub fn of_refusal_until(outcome: &Outcome, valid_until: Timestamp) -> Status {
    with_details(code_of(outcome.reason), outcome.reason.text(), outcome, Finality::MaySettleUntil(valid_until))
}

/// The same of a status that has a sentence of its own.
pub fn may_settle_until(status: &Status, valid_until: Timestamp) -> Status {
    match refusal_of(status) {
        Some(refusal) => with_details(status.code(), status.message(), &refusal, Finality::MaySettleUntil(valid_until)),
        None => status.clone(),
    }
}

/// A status with a sentence of its own; `reason` stays the stable name.
pub fn of_reason(reason: Reason, sentence: impl Into<String>) -> Status {
    of_outcome(&Outcome::refused(reason, 0, 0), sentence)
}

/// The same, with the refusal's limit and amount.
pub fn of_outcome(refusal: &Outcome, sentence: impl Into<String>) -> Status {
    with_details(code_of(refusal.reason), sentence, refusal, Finality::NotStated)
}

/// The request itself is malformed: `field` was expected to be something else.
pub fn invalid(field: &str, sentence: impl std::fmt::Display) -> Status {
    of_reason(Reason::Malformed, format!("{field}: {sentence}"))
}

/// Something asked for does not exist.
pub fn not_found(sentence: impl Into<String>) -> Status {
    with_details(Code::NotFound, sentence, &Outcome::refused(Reason::UnknownAccount, 0, 0), Finality::NotStated)
}

/// The caller may not do that.
pub fn not_authorised(sentence: impl Into<String>) -> Status {
    of_reason(Reason::NotAuthorised, sentence)
}

/// A limit of the node was reached: `limit_name` says which, as the configuration or the documentation calls it.
///
/// The reason is `OVERLOADED` where waiting helps, and `MALFORMED` where the request itself is too large.
pub fn exhausted(limit_name: &str, limit: u64, amount: u64, later_may_help: bool) -> Status {
    let reason = if later_may_help { Reason::Overloaded } else { Reason::Malformed };
    let sentence = match later_may_help {
        true => format!("the node is busy: {limit_name} is {limit}, and this would make it {amount}; try again later"),
        false => format!("expected at most {limit} ({limit_name}), found {amount}"),
    };
    let named = [("limit_name".to_owned(), limit_name.to_owned())];
    with_metadata(Code::ResourceExhausted, sentence, &Outcome::refused(reason, limit, amount), named)
}

/// The node cannot answer just now; trying later may help.
pub fn unavailable(sentence: impl Into<String>) -> Status {
    of_reason(Reason::Unavailable, sentence)
}

/// This node of the central bank does not lead. `leader` is the leader's address, where it is known.
pub fn not_leader(leader: Option<&str>) -> Status {
    let sentence = match leader {
        Some(address) => format!("this node of the central bank does not lead; the node at {address} does"),
        None => "this node of the central bank does not lead, and no leader is known just now".to_owned(),
    };
    let named = leader.map(|address| (LEADER.to_owned(), address.to_owned()));
    with_metadata(Code::Unavailable, sentence, &Outcome::refused(Reason::NotLeader, 0, 0), named)
}

/// Whether a status says that the node does not lead, and if so, the leader's address where it is known.
pub fn leader_named_by(status: &Status) -> Option<Option<String>> {
    let info = status.get_details_error_info()?;
    let is_of_leader = info.domain == DOMAIN && info.reason == Reason::NotLeader.name();
    is_of_leader.then(|| info.metadata.get(LEADER).cloned())
}

/// This node does not serve the call, nor will it later.
pub fn not_served(sentence: impl Into<String>) -> Status {
    let refusal = Outcome::refused(Reason::Malformed, 0, 0);
    with_details(Code::Unimplemented, sentence, &refusal, Finality::NotStated)
}

/// The beginnings of what the transport says of a caller's message that it cannot read. What it says of anything else,
/// such as a connection to another node that broke, tells nothing of what was done with the request.
const UNREADABLE: [&str; 6] = [
    "failed to decode Protobuf message",
    "protocol error: received message",
    "Error decompressing",
    "Error, decoded message length too large",
    "Unexpected EOF decoding stream",
    "Missing request message",
];

/// The same status with a reason; `None` where it has one, or needs none. The transport's own statuses, for messages
/// that cannot be read, calls that do not exist and time that ran out, come without.
///
/// A message that cannot be read is its sender's mistake and told as INVALID_ARGUMENT; the transport says INTERNAL.
/// Everything else leaves open what was done: its reason is `UNAVAILABLE`, and its code none that sounds final.
///
/// Statuses of another node must not come here as they are: see [`passed_on`].
pub fn with_reason(status: &Status, path: &str) -> Option<Status> {
    if status.code() == Code::Ok || status.get_details_error_info().is_some() {
        return None;
    }
    let message = status.message();
    let is_unreadable = UNREADABLE.iter().any(|begin| message.starts_with(begin));
    let (code, reason, sentence) = match status.code() {
        Code::Internal if is_unreadable => {
            let sentence = format!("the message of {path} cannot be read: {message}");
            (Code::InvalidArgument, Reason::Malformed, sentence)
        }
        Code::OutOfRange if is_unreadable => (Code::OutOfRange, Reason::Malformed, message.to_owned()),
        Code::Unimplemented if message.is_empty() => {
            (Code::Unimplemented, Reason::Malformed, format!("this node has no call {path}"))
        }
        Code::Unimplemented => (Code::Unimplemented, Reason::Malformed, message.to_owned()),
        code => (left_open(code), Reason::Unavailable, message.to_owned()),
    };
    Some(with_details(code, sentence, &Outcome::refused(reason, 0, 0), Finality::NotStated))
}

/// Another node's status as it is passed on to this one's caller. What the transport made on the way there says nothing
/// of what that node did with the request, so it is UNAVAILABLE.
pub fn passed_on(status: Status) -> Status {
    match status.get_details_error_info() {
        Some(_) => status,
        None => unavailable(format!("another node's answer did not come: {:?}: {}", status.code(), status.message())),
    }
}

/// The code of a status that leaves open what was done with the request: its own, or UNAVAILABLE if that sounds final.
fn left_open(code: Code) -> Code {
    match code {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Unknown
        | Code::Internal
        | Code::Aborted
        | Code::DataLoss => code,
        _ => Code::Unavailable,
    }
}

fn with_details(code: Code, sentence: impl Into<String>, outcome: &Outcome, finality: Finality) -> Status {
    let more = match finality {
        Finality::Final => Some((FINAL.to_owned(), true.to_string())),
        Finality::MaySettleUntil(until) => Some((MAY_SETTLE_UNTIL_MS.to_owned(), until.0.to_string())),
        Finality::NotStated => None,
    };
    with_metadata(code, sentence, outcome, more)
}

fn with_metadata(
    code: Code,
    sentence: impl Into<String>,
    outcome: &Outcome,
    more: impl IntoIterator<Item = (String, String)>,
) -> Status {
    debug_assert!(
        outcome.reason.is_found_before_ordering(),
        "expected a reason that is found before ordering, found {}, which comes as an outcome",
        outcome.reason
    );
    let mut metadata = HashMap::from([
        ("limit".to_owned(), outcome.limit.to_string()),
        ("amount".to_owned(), outcome.amount.to_string()),
        ("later_may_help".to_owned(), outcome.reason.later_may_help().to_string()),
    ]);
    metadata.extend(more);
    let details = ErrorDetails::with_error_info(outcome.reason.name(), DOMAIN, metadata);
    Status::with_error_details(code, sentence, details)
}

fn code_of(reason: Reason) -> Code {
    match reason {
        Reason::Malformed => Code::InvalidArgument,
        Reason::BadSignature | Reason::NoSession | Reason::SessionExpired => Code::Unauthenticated,
        Reason::NotAuthorised | Reason::UnknownMember => Code::PermissionDenied,
        Reason::UnknownAccount => Code::NotFound,
        Reason::SequenceUsed | Reason::SequenceConflict | Reason::RequestConflict => Code::AlreadyExists,
        Reason::SequenceOutOfWindow => Code::OutOfRange,
        Reason::Overloaded => Code::ResourceExhausted,
        reason if reason.leaves_status_open() => Code::Unavailable,
        _ => Code::FailedPrecondition,
    }
}

/// The refusal that a status carries, if it carries one.
pub fn refusal_of(status: &Status) -> Option<Outcome> {
    let info = status.get_details_error_info()?;
    let number = |key: &str| info.metadata.get(key).and_then(|text| text.parse().ok()).unwrap_or(0);
    let reason = Reason::from_name(&info.reason).filter(|_| info.domain == DOMAIN)?;
    Some(Outcome::refused(reason, number("limit"), number("amount")))
}

/// The finality of the refusal, as a status states it.
pub fn finality_of(status: &Status) -> Finality {
    let Some(info) = status.get_details_error_info().filter(|info| info.domain == DOMAIN) else {
        return Finality::NotStated;
    };
    let until = info.metadata.get(MAY_SETTLE_UNTIL_MS).and_then(|text| text.parse().ok());
    match (until, info.metadata.get(FINAL).map(String::as_str)) {
        (Some(until), _) => Finality::MaySettleUntil(Timestamp(until)),
        (None, Some("true")) => Finality::Final,
        _ => Finality::NotStated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_was_reached_is_named() {
        for later_may_help in [true, false] {
            let status = exhausted("limits.memory_mib", 512, 513, later_may_help);
            let refusal = refusal_of(&status).unwrap();
            assert_eq!((status.code(), refusal.limit, refusal.amount), (Code::ResourceExhausted, 512, 513));
            assert_eq!(refusal.reason.later_may_help(), later_may_help);
            assert_eq!(status.get_details_error_info().unwrap().metadata["limit_name"], "limits.memory_mib");
        }
    }

    #[test]
    fn a_status_without_a_reason_gets_one_and_another_stays_as_it_is() {
        let too_large = "Error, decoded message length too large: found 2 bytes, the limit is: 1 bytes";
        for (status, code, reason) in [
            (Status::internal(UNREADABLE[0]), Code::InvalidArgument, Reason::Malformed),
            (Status::unimplemented(""), Code::Unimplemented, Reason::Malformed),
            (Status::out_of_range(too_large), Code::OutOfRange, Reason::Malformed),
            (Status::deadline_exceeded("late"), Code::DeadlineExceeded, Reason::Unavailable),
            (Status::data_loss("a bit flipped"), Code::DataLoss, Reason::Unavailable),
        ] {
            let named = with_reason(&status, "/cbdc.v1.Bank/Call").unwrap();
            let refusal = refusal_of(&named).unwrap();
            assert_eq!((named.code(), refusal.reason), (code, reason), "{status:?}");
            assert!(named.message().contains(status.message()) && !named.message().is_empty(), "{named:?}");
        }
        assert!(with_reason(&exhausted("limits.memory_mib", 512, 513, true), "").is_none());
        assert!(with_reason(&Status::ok(""), "").is_none());
    }

    #[test]
    fn what_the_transport_says_of_anything_but_a_callers_message_sounds_never_final() {
        let codes = (1..=16).map(Code::from_i32).filter(|code| *code != Code::Unimplemented);
        let statuses = codes.map(|code| Status::new(code, "h2 protocol error: the connection broke"));
        let answers = ["Error encoding: no room", "Error, encoded message length too large: found 2 bytes"];
        let statuses = statuses.chain(answers.map(Status::internal)).chain(answers.map(Status::out_of_range));
        for status in statuses {
            for told in [with_reason(&status, "/cbdc.v1.Bank/SubmitTransfer").unwrap(), passed_on(status.clone())] {
                assert_eq!(refusal_of(&told).unwrap().reason, Reason::Unavailable, "{status:?}: {told:?}");
                assert_eq!(left_open(told.code()), told.code(), "{status:?}: {told:?}");
            }
        }
        // An answer of another node that this one could not read is no mistake of the caller's.
        let unread = passed_on(Status::internal(UNREADABLE[0]));
        assert_eq!((unread.code(), with_reason(&unread, "").is_none()), (Code::Unavailable, true));
        let refused = of_reason(Reason::NotLinked, "Why.");
        assert_eq!(refusal_of(&passed_on(refused)).unwrap().reason, Reason::NotLinked);
    }

    #[test]
    fn a_refusal_survives_being_a_status() {
        for reason in Reason::ALL.iter().filter(|reason| reason.is_found_before_ordering()) {
            let refusal = Outcome::refused(*reason, 3, u64::MAX);
            let status = of_refusal(&refusal);
            assert_eq!(refusal_of(&status), Some(refusal));
            assert_eq!((status.message(), finality_of(&status)), (reason.text(), Finality::NotStated));
            let until = Finality::MaySettleUntil(Timestamp(7));
            let with_sentence = may_settle_until(&of_reason(*reason, "Why."), Timestamp(7));
            assert_eq!((with_sentence.message(), finality_of(&with_sentence)), ("Why.", until));
            for (status, finality) in
                [(of_refusal_until(&refusal, Timestamp(7)), until), (of_final_refusal(&refusal), Finality::Final)]
            {
                assert_eq!((refusal_of(&status), finality_of(&status)), (Some(refusal), finality));
            }
        }
    }
}
