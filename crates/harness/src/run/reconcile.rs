//! Comparison of answers with the chain: every answered payment is in the chain once, with the same outcome.
//!
//! Every payment that was ordered is also counted under the policy version in its block's header, and every other one
//! as not ordered.

use std::collections::BTreeMap;

use cbdc_client::{Chain, Height};
use cbdc_ledger::outcome::Stage;
use cbdc_ledger::{Amount, Command, Outcome};
use cbdc_proto::packed::Answer;

use super::signed_payments::SignedPayments;
use crate::result::{NotOrdered, PolicyVersionReport};

/// The findings; sentences are bounded in number.
#[derive(Default, Debug)]
pub struct Reconciliation {
    /// Payments of the run that the chain settled.
    pub settled_in_chain: u64,
    /// The commands applied under each version of the policy, by the chain's own outcomes.
    pub versions: BTreeMap<u32, PolicyVersionReport>,
    /// Payments that are in no block, and so under no version.
    pub not_ordered: NotOrdered,
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
        answers.iter().map(|stream| vec![None; stream.len()]).collect();
    let mut follower = chain.follow(Height(1)).await?;
    let mut height = Height(0);
    while height < newest {
        let Some(block) = follower.next().await? else { break };
        height = block.height();
        for (index, (command, outcome)) in block.commands().iter().zip(&block.outcomes).enumerate() {
            let payment = match command {
                Command::Payment(payment) => payment,
                Command::ReverseWaterfall(order) => &order.record.transfer,
                _ => continue,
            };
            let key = (payment.record.from, payment.record.head.sequence);
            let Some((stream, at)) = payments.positions.get(&key).copied() else { continue };
            if outcome.reason.stage() == Stage::BeforeOrdering {
                continue;
            }
            let slot = &mut in_chain[stream as usize][at as usize];
            if slot.replace((height, index as u32, *outcome)).is_some() {
                result.find(format!(
                    "payment {} of {} used its sequence number twice, again at {height}/{index}",
                    key.1, key.0
                ));
            }
            result.settled_in_chain += u64::from(outcome.is_settled());
            let version = block.header.header.policy_version;
            count(result.versions.entry(version).or_default(), height, payment.record.amount, outcome);
        }
    }
    for (stream, (answers, in_chain)) in answers.iter().zip(&in_chain).enumerate() {
        for (at, (answer, in_chain)) in answers.iter().zip(in_chain).enumerate() {
            if in_chain.is_none() {
                count_not_ordered(&mut result.not_ordered, answer.as_ref());
            }
            if let Some(finding) = differing(answer.as_ref(), in_chain.as_ref()) {
                let (bank, kind) = (stream % payments.banks + 1, if stream < payments.banks { "" } else { "top-up " });
                result.find(format!("{kind}payment {at} of bank {bank}: {finding}"));
            }
        }
    }
    Ok(result)
}

/// Counts a payment that was applied in the block at `height`.
fn count(version: &mut PolicyVersionReport, height: Height, amount: Amount, outcome: &Outcome) {
    version.first_height.get_or_insert(height.0);
    version.last_height = Some(height.0);
    if outcome.is_settled() {
        version.settled += 1;
        version.settled_minor = version.settled_minor.saturating_add(amount.minor());
    } else {
        version.refused += 1;
        *version.refusals.entry(outcome.reason.name().to_owned()).or_default() += 1;
    }
}

/// Counts a payment that used no sequence number: refused before ordering, or never answered.
fn count_not_ordered(not_ordered: &mut NotOrdered, answer: Option<&Answer>) {
    match answer {
        Some(answer) => {
            not_ordered.refused += 1;
            *not_ordered.refusals.entry(answer.outcome.reason.name().to_owned()).or_default() += 1;
        }
        None => not_ordered.unanswered += 1,
    }
}

/// The difference between an answer and the chain, as a sentence.
fn differing(answer: Option<&Answer>, in_chain: Option<&(Height, u32, Outcome)>) -> Option<String> {
    match (answer, in_chain) {
        (Some(answer), None) if answer.is_ordered() => {
            Some(format!("it was answered {} at height {}, but is not in the chain", answer.outcome, answer.height))
        }
        (Some(answer), Some((height, index, outcome))) => {
            let same = answer.outcome == *outcome && answer.height == *height && answer.index == *index;
            let (found, answered_at) = (answer.outcome, answer.height);
            (!same).then(|| {
                format!(
                    "it was answered {found} at {answered_at}/{}, the chain has {outcome} at {height}/{index}",
                    answer.index
                )
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::Reason;

    use super::*;

    #[test]
    fn payments_are_counted_under_their_version() {
        let mut version = PolicyVersionReport::default();
        count(&mut version, Height(3), Amount::from_minor(500), &Outcome::settled());
        count(&mut version, Height(4), Amount::from_minor(700), &Outcome::settled());
        count(&mut version, Height(9), Amount::from_minor(900), &Outcome::refused(Reason::HoldingLimit, 5, 6));
        assert_eq!((version.settled, version.settled_minor), (2, 1_200));
        assert_eq!((version.first_height, version.last_height), (Some(3), Some(9)));
        assert_eq!(version.refusals, BTreeMap::from([("HOLDING_LIMIT".to_owned(), 1)]));
    }

    #[test]
    fn what_stands_in_no_block_is_counted_by_reason_or_as_unanswered() {
        let mut found = NotOrdered::default();
        let refused = Answer::not_ordered(Outcome::refused(Reason::UnknownPayee, 0, 0));
        [Some(&refused), Some(&refused), None].into_iter().for_each(|answer| count_not_ordered(&mut found, answer));
        assert_eq!((found.refused, found.unanswered), (2, 1));
        assert_eq!(found.refusals, BTreeMap::from([("UNKNOWN_PAYEE".to_owned(), 2)]));
    }
}
