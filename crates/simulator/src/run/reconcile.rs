//! Answers against the chain: every payment that was answered stands in the chain with the same outcome, and once.

use cbdc_client::{Chain, Height};
use cbdc_ledger::outcome::Stage;
use cbdc_ledger::{Command, Outcome};
use cbdc_proto::packed::Answer;

use super::payments::SignedPayments;

/// What was found; sentences are bounded in number.
#[derive(Default, Debug)]
pub struct Reconciliation {
    /// Payments of the run that the chain settled.
    pub settled_in_chain: u64,
    pub findings: Vec<String>,
}

const FINDINGS_MAX: usize = 20;

impl Reconciliation {
    fn find(&mut self, finding: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// Walks the chain up to its newest block and compares.
pub async fn reconcile(
    chain: &Chain,
    payments: &SignedPayments,
    answers: &[Vec<Option<Answer>>],
) -> Result<Reconciliation, cbdc_client::ClientError> {
    let mut result = Reconciliation::default();
    let newest = chain.header(None).await?.header.height;
    let mut in_chain: Vec<Vec<Option<(Height, u32, Outcome)>>> =
        answers.iter().map(|lane| vec![None; lane.len()]).collect();
    let mut follower = chain.follow(Height(1)).await?;
    let mut height = Height(0);
    while height < newest {
        let Some(block) = follower.next().await? else { break };
        height = block.height();
        for (index, (command, outcome)) in block.commands().iter().zip(&block.outcomes).enumerate() {
            let Command::Payment(payment) = command else { continue };
            let key = (payment.record.from, payment.record.head.sequence);
            let Some((lane, place)) = payments.places.get(&key).copied() else { continue };
            if outcome.reason.stage() == Stage::BeforeOrdering {
                continue;
            }
            let slot = &mut in_chain[lane as usize][place as usize];
            if slot.replace((height, index as u32, *outcome)).is_some() {
                result.find(format!("payment {} of {} used its number twice, again at {height}/{index}", key.1, key.0));
            }
            result.settled_in_chain += u64::from(outcome.is_settled());
        }
    }
    for (lane, (answers, in_chain)) in answers.iter().zip(&in_chain).enumerate() {
        for (place, (answer, in_chain)) in answers.iter().zip(in_chain).enumerate() {
            if let Some(finding) = differing(answer.as_ref(), in_chain.as_ref()) {
                result.find(format!("payment {place} of bank {}: {finding}", lane + 1));
            }
        }
    }
    Ok(result)
}

/// In what an answer differs from the chain.
fn differing(answer: Option<&Answer>, in_chain: Option<&(Height, u32, Outcome)>) -> Option<String> {
    match (answer, in_chain) {
        (Some(answer), None) if answer.is_ordered() => {
            Some(format!("it was answered {} at height {}, but is not in the chain", answer.outcome, answer.height))
        }
        (Some(answer), Some((height, index, outcome))) => {
            let same = answer.outcome == *outcome && answer.height == *height && answer.index == *index;
            let (found, place) = (answer.outcome, answer.height);
            (!same).then(|| {
                format!(
                    "it was answered {found} at {place}/{}, the chain has {outcome} at {height}/{index}",
                    answer.index
                )
            })
        }
        _ => None,
    }
}
