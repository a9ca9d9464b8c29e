//! Waiting for the central bank: a command that it keeps waiting says for what.
//!
//! A command that has not ended after three seconds has the central bank looked at. If that settles nothing at present
//! (no node leads, none is reached, or it may not seal blocks), that is said on standard error, with what helps; and
//! later, that it settles again. The command itself goes on as it would.

use std::convert::Infallible;
use std::time::Duration;

use cbdc_client::{ClientError, NodeName};
use cbdc_devnet::Network;

use crate::output::Output;

/// When the central bank is looked at.
struct Look {
    /// The time after which a command that waits has it looked at.
    after: Duration,
    /// The interval from then on.
    every: Duration,
}

const LOOK: Look = Look { after: Duration::from_secs(3), every: Duration::from_secs(2) };
/// The time that the leader has to say whether it serves.
const SERVES_WITHIN: Duration = Duration::from_secs(2);

/// Runs a command, and says meanwhile what it waits for. `hint` is what helps its user on.
pub async fn told<T>(output: &Output, hint: Option<&str>, command: impl Future<Output = T>) -> T {
    let look = async || match crate::network::opened() {
        Some(network) => why_nothing_settles(network).await,
        None => None,
    };
    tokio::select! {
        biased;
        done = command => done,
        never = say_why(LOOK, look, |text| output.note(text), hint) => match never {},
    }
}

async fn say_why(
    times: Look,
    look: impl AsyncFn() -> Option<String>,
    say: impl Fn(&str),
    hint: Option<&str>,
) -> Infallible {
    tokio::time::sleep(times.after).await;
    let mut said: Option<String> = None;
    loop {
        let why = look().await;
        match &why {
            Some(why) if said.as_ref() != Some(why) => {
                let hint = hint.filter(|_| said.is_none()).map(|hint| format!("\n  {hint}")).unwrap_or_default();
                say(&format!("waiting for the central bank: {why}{hint}"));
            }
            None if said.is_some() => say("the central bank settles again"),
            _ => {}
        }
        said = why;
        tokio::time::sleep(times.every).await;
    }
}

/// Why the central bank settles nothing at present, if so.
pub async fn why_nothing_settles(network: &Network) -> Option<String> {
    let known = network.leaderships().await;
    let Some(leader) = known.leader() else {
        let only = match known.0.as_slice() {
            [only] if known.majority() == 1 => only.answer.as_ref().err().map(ToString::to_string),
            _ => None,
        };
        return Some(only.unwrap_or_else(|| format!("nobody leads: {}", known.why_nobody_leads())));
    };
    let serves = tokio::time::timeout(SERVES_WITHIN, check_serves(network, leader)).await;
    match serves {
        Ok(Err(error @ (ClientError::Refused(_) | ClientError::NoAnswer { .. }))) => {
            Some(format!("{leader} leads, and settles nothing: {error}"))
        }
        _ => None,
    }
}

/// Whether a node seals blocks, as it says itself.
async fn check_serves(network: &Network, node: NodeName) -> Result<(), ClientError> {
    network.chain(node).await?.check_serves().await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What is said while the central bank is found like this, one time after another.
    async fn said(findings: &[Option<&str>]) -> Vec<String> {
        let (left, said) = (RefCell::new(findings.iter()), RefCell::new(Vec::new()));
        let look = async || {
            let next = left.borrow_mut().next();
            match next {
                Some(found) => found.map(str::to_owned),
                None => std::future::pending().await,
            }
        };
        let times = Look { after: Duration::ZERO, every: Duration::ZERO };
        let all_seen = async {
            while left.borrow().len() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // What follows from the last finding is said before the next look.
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let say = |text: &str| said.borrow_mut().push(text.to_owned());
        tokio::select! {
            () = all_seen => {}
            never = say_why(times, look, say, Some("a hint")) => match never {},
        }
        said.into_inner()
    }

    #[tokio::test]
    async fn a_command_that_waits_says_once_for_what_and_when_that_is_over() {
        let nobody = "waiting for the central bank: nobody leads\n  a hint";
        assert_eq!(said(&[None, None]).await, [""; 0]);
        assert_eq!(said(&[Some("nobody leads"), Some("nobody leads")]).await, [nobody]);
        let found = [None, Some("nobody leads"), Some("one is away"), None];
        let other = "waiting for the central bank: one is away";
        assert_eq!(said(&found).await, [nobody, other, "the central bank settles again"]);
    }
}
