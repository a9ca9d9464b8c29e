//! Exit codes for scripts, and the text of an error.

use std::io::ErrorKind;
use std::process::ExitCode;

use cbdc_client::ClientError;
use cbdc_devnet::NetworkError;
use cbdc_node::ConfigError;
use cbdc_node::audit::AuditError;
use serde_json::json;

use crate::output::Output;

/// The error of an audit with findings. They are printed already; only the exit code remains.
#[derive(Debug)]
pub struct AuditFound;

impl std::fmt::Display for AuditFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the audit found something")
    }
}

impl std::error::Error for AuditFound {}

/// An error that the answer already shows: only the exit code remains.
#[derive(Debug)]
pub struct Told(pub ClientError);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The error for a command line, file or value that cannot be used.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The error for what cannot be done while something else is in flight.
#[derive(Debug)]
pub struct StillOpen(pub String);

impl std::fmt::Display for StillOpen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StillOpen {}

/// Shows the error of a failed run, and returns its exit code.
pub fn code_of(result: anyhow::Result<()>, output: &Output) -> ExitCode {
    match result {
        Ok(()) if output.is_cut() => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = code(&error);
            show(&error, code, output);
            ExitCode::from(code)
        }
    }
}

fn show(error: &anyhow::Error, code: u8, output: &Output) {
    if error.is::<AuditFound>() || error.is::<Told>() {
        return;
    }
    if output.json {
        let reason = match client_error(error) {
            Some(ClientError::Refused(refusal)) => Some(json!({
                "reason": refusal.reason().name(),
                "limit": refusal.outcome.limit,
                "amount": refusal.outcome.amount,
                "later_may_help": refusal.reason().later_may_help(),
                "may_settle_until_ms": refusal.may_settle_until().map(|until| until.0),
                "position": refusal.position.map(|position| position.to_string()),
            })),
            _ => None,
        };
        output.line(&json!({ "error": sentence(error), "exit_code": code, "refusal": reason }).to_string());
    }
    output.note(&format!("error: {}", sentence(error)));
}

/// The error with its causes, leaving out a cause that the text before it contains, amounts in the currency.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !sentence.contains(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    match (client_error(error), crate::network::opened_anchor()) {
        (Some(ClientError::Refused(refusal)), Some(anchor)) => {
            sentence.replace(&refusal.to_string(), &refusal.describe(anchor))
        }
        _ => sentence,
    }
}

fn client_error(error: &anyhow::Error) -> Option<&ClientError> {
    error.chain().find_map(|cause| match cause.downcast_ref::<NetworkError>() {
        Some(NetworkError::Client(inner)) => Some(inner),
        _ => cause.downcast_ref::<ClientError>(),
    })
}

/// The exit code of an error.
fn code(error: &anyhow::Error) -> u8 {
    if error.is::<AuditFound>() {
        return 5;
    }
    if error.chain().any(|cause| cause.is::<Usage>()) {
        return 2;
    }
    if error.chain().any(|cause| cause.is::<StillOpen>()) {
        return 4;
    }
    let is_missing = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
    };
    // A configuration that cannot be read or has a mistake, and a folder that does not belong to a node.
    let is_unfit = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<ConfigError>() || matches!(cause.downcast_ref(), Some(AuditError::NoDataFolder { .. }))
    };
    if error.chain().any(|cause| is_missing(cause) || is_unfit(cause)) {
        return 2;
    }
    // What the command line asks of a new network.
    let is_no_network =
        |cause: &(dyn std::error::Error + 'static)| matches!(cause.downcast_ref(), Some(NetworkError::Spec { .. }));
    if error.chain().any(is_no_network) {
        return 2;
    }
    match client_error(error) {
        Some(ClientError::Usage(_) | ClientError::NotFound(_) | ClientError::UnknownMember { .. }) => 2,
        // The file or folder that the command line names.
        Some(ClientError::File { path, .. }) if !path.exists() => 2,
        Some(ClientError::Refused(_)) => 3,
        Some(
            ClientError::Unreachable { .. }
            | ClientError::NoLeader { .. }
            | ClientError::NoAnswer { .. }
            | ClientError::Unknown { .. }
            | ClientError::Accepted,
        ) => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use cbdc_client::{Finality, Reason, Refusal};
    use cbdc_ledger::Outcome;

    use super::*;

    fn of(error: ClientError) -> u8 {
        code(&Err::<(), _>(error).context("paying").unwrap_err())
    }

    #[test]
    fn a_cause_is_shown_once() {
        let inner = anyhow::anyhow!("the disk is full");
        let outer = inner.context("writing failed: the disk is full").context("the node cannot start");
        assert_eq!(sentence(&outer), "the node cannot start: writing failed: the disk is full");
    }

    #[test]
    fn each_kind_of_failure_has_its_own_code() {
        let outcome = Outcome::refused(Reason::HoldingLimit, 1, 2);
        assert_eq!(
            of(Refusal { outcome, sentence: String::new(), position: None, finality: Finality::Final }.into()),
            3
        );
        assert_eq!(of(ClientError::Unreachable { address: String::new(), reason: String::new() }), 4);
        assert_eq!(of(ClientError::NoLeader { said: String::new() }), 4);
        assert_eq!(of(ClientError::Unknown { why: String::new() }), 4);
        assert_eq!(of(ClientError::NotFound(String::new())), 2);
        assert_eq!(of(ClientError::Usage(String::new())), 2);
        assert_eq!(code(&Usage(String::new()).into()), 2);
        let missing = std::io::Error::from(ErrorKind::NotFound);
        assert_eq!(code(&Err::<(), _>(missing).context("reading").unwrap_err()), 2);
        let file = |path: &str| of(ClientError::File { path: path.into(), reason: String::new() });
        assert_eq!((file("/no/such/file"), file("/")), (2, 1), "missing, and unfit");
        assert_eq!(code(&StillOpen(String::new()).into()), 4);
        assert_eq!(code(&AuditFound.into()), 5);
        assert_eq!(code(&Told(ClientError::Unknown { why: String::new() }).into()), 4);
        assert_eq!(code(&NetworkError::Client(ClientError::Unknown { why: String::new() }).into()), 4);
    }
}
