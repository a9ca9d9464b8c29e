//! The network as it ended: every block of every node, and the replay of the chain for each read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cbdc_client::{ClientError, GovernanceClient, Height, NetworkFolder, NodeName, Role};
use cbdc_ledger::{BlockProposal, Ledger};
use cbdc_node::Archive;
use cbdc_node::audit::{AuditReport, Auditor, archive_in};
use cbdc_storage::Store;
use tokio::time::{Instant, sleep};

use super::clients::command_hash;
use super::persons::Persons;
use super::recorder::Recorder;
use crate::history::{Ending, Hash, History, NodeBlocks, Ordered, Property, Subject};

const POLL_EVERY: Duration = Duration::from_millis(200);

/// Waits until all of these nodes have the same newest block; if that takes too long, it is a violation.
pub async fn wait_for_the_same(folder: &NetworkFolder, nodes: Vec<NodeName>, recorder: &Recorder, limit: Duration) {
    let give_up = Instant::now() + limit;
    let mut before = BTreeMap::new();
    loop {
        let mut heights = BTreeMap::new();
        let mut failure = None;
        for node in nodes.iter().copied() {
            match newest(folder, node).await {
                Ok(height) => drop(heights.insert(node, height)),
                Err(error) => failure = Some(format!("{node} does not serve its chain: {error}")),
            }
        }
        let distinct: BTreeSet<Height> = heights.values().copied().collect();
        // A node may have been asked before the last block came to it.
        if failure.is_none() && distinct.len() == 1 && heights == before {
            return;
        }
        if Instant::now() > give_up {
            let text: Vec<String> = heights.iter().map(|(node, height)| format!("{node} {height}")).collect();
            let why = failure.unwrap_or_else(|| format!("their newest blocks are {}", text.join(", ")));
            let sentence =
                format!("{} s after the last fault was over, not all nodes are the same: {why}", limit.as_secs());
            recorder.violation(Property::OneChain, sentence);
            return;
        }
        before = heights;
        sleep(POLL_EVERY).await;
    }
}

/// The height of a node's newest block. One of the central bank that has begun from a checkpoint, and has followed no
/// block since, has no block to show; it still tells at which height its reads are.
pub async fn newest(folder: &NetworkFolder, node: NodeName) -> Result<Height> {
    match folder.chain(node).await?.header(None).await {
        Ok(newest) => Ok(newest.header.height),
        Err(ClientError::NotFound(_)) if node.role() == Role::CentralBank => {
            let connection = folder.connect_reader(node).await?;
            let supply = GovernanceClient::new(connection, folder.anchor().clone()).supply().await?;
            Ok(Height(supply.height))
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads everything from the nodes' stores, once all have stopped: every node's headers, and the chain that counts,
/// which is audited on the way. A node that orders no more may lack what the others have signed since: its chain does
/// not count.
pub fn collect(
    folder: &NetworkFolder,
    history: &History,
    store_of: impl Fn(NodeName) -> Result<Arc<dyn Store>>,
    orders: impl Fn(NodeName) -> bool,
) -> Result<(Ending, AuditReport)> {
    let mut ending = Ending::default();
    let mut archives = BTreeMap::new();
    let mut of_central_bank = Vec::new();
    for node in folder.nodes() {
        let archive = archive_in(&store_of(node)?)?;
        let blocks = headers(&archive).with_context(|| format!("reading the chain of {node}"))?;
        if node.role() == Role::CentralBank && orders(node) {
            of_central_bank.push((node, blocks.clone()));
        }
        ending.nodes.push(NodeBlocks { node: node.to_string(), blocks });
        archives.insert(node, archive);
    }
    let counts = chain_that_counts(&of_central_bank).context("the central bank has no node")?;
    // What that node has not, since it began from a checkpoint, another has.
    let newest = archives[&counts].newest()?.unwrap_or_default();
    let others = of_central_bank.iter().filter(|(node, _)| *node != counts).map(|(node, _)| &archives[node]);
    let report = replay(
        folder,
        &[&archives[&counts]].into_iter().chain(others).collect::<Vec<_>>(),
        newest,
        history,
        &mut ending,
    )?;
    ending.findings = report.findings.clone();
    Ok((ending, report))
}

/// The hashes of a node's headers, which contain the roots of commands, outcomes and state.
fn headers(archive: &Archive) -> Result<BTreeMap<Height, Hash>> {
    let newest = archive.newest()?.unwrap_or_default();
    let heights = (1..=newest.0).map(Height);
    let header = |height| Ok(archive.header(height)?.map(|found| (height, found.0.header.hash())));
    heights.filter_map(|height| header(height).transpose()).collect()
}

/// The node whose chain counts: the longest of those that a majority agrees with as far as its own goes.
fn chain_that_counts(nodes: &[(NodeName, BTreeMap<Height, Hash>)]) -> Option<NodeName> {
    type Blocks = BTreeMap<Height, Hash>;
    let agree = |one: &Blocks, other: &Blocks| one.iter().all(|(at, own)| other.get(at).is_none_or(|its| its == own));
    let backing = |blocks: &Blocks| nodes.iter().filter(|(_, other)| agree(blocks, other)).count();
    let newest = |blocks: &Blocks| blocks.last_key_value().map(|(height, _)| *height);
    nodes.iter().max_by_key(|(_, blocks)| (backing(blocks), newest(blocks))).map(|(node, _)| *node)
}

/// Replays a chain from genesis, each block from the first archive that has it, with the audit's checks, and looks up
/// at each height what was read there.
fn replay(
    folder: &NetworkFolder,
    archives: &[&Archive],
    newest: Height,
    history: &History,
    ending: &mut Ending,
) -> Result<AuditReport> {
    let mut reads: BTreeMap<Height, BTreeSet<Subject>> = BTreeMap::new();
    for read in &history.reads {
        reads.entry(read.height).or_default().insert(read.subject);
    }
    let mut auditor = Auditor::new(folder.anchor().genesis().clone())?;
    let mut persons = Persons::default();
    while auditor.height() < newest {
        let height = auditor.height().next();
        let mut found = archives.iter().filter_map(|archive| archive.block(height).transpose());
        let parts = found.next().transpose()?.with_context(|| format!("block {height} is missing"))?;
        if let Err(wrong) = auditor.block(&parts) {
            return Ok(auditor.finish(Some(wrong)));
        }
        let proposal = BlockProposal::decode(&parts.proposal).context("reading an audited block")?;
        let outcomes = cbdc_proto::convert::outcomes_from_bytes(&parts.outcomes)?;
        let commands = proposal.commands.iter().zip(&outcomes);
        let ordered = commands.map(|(command, outcome)| Ordered {
            record: command_hash(command),
            signer: command.signer(),
            sequence: command.head().sequence,
            reason: outcome.reason,
        });
        ending.chain.push(ordered.collect());
        ending.above_limits.extend(persons.look(auditor.ledger()));
        for subject in reads.remove(&height).into_iter().flatten() {
            if let Some(minor) = look_up(auditor.ledger(), subject) {
                ending.replay.insert((height, subject), minor);
            }
        }
    }
    Ok(auditor.finish(None))
}

fn look_up(ledger: &Ledger, subject: Subject) -> Option<u64> {
    match subject {
        Subject::Balance(account) => u64::try_from(ledger.account(account)?.posted()).ok(),
        Subject::Supply => Some(ledger.books().cbdc().minor()),
    }
}

#[cfg(test)]
mod tests {
    use cbdc_client::MemberId;

    use super::*;

    #[test]
    fn the_chain_that_a_majority_has_counts_and_not_a_longer_one() {
        let node = |number, blocks: &[u8]| {
            (
                NodeName::CentralBank(MemberId(number)),
                (1..).map(Height).zip(blocks.iter().map(|block| [*block; 32])).collect::<BTreeMap<_, Hash>>(),
            )
        };
        let counts = |nodes: &[(NodeName, BTreeMap<Height, Hash>)]| chain_that_counts(nodes).map(|node| node.id().0);
        assert_eq!(counts(&[]), None);
        assert_eq!(counts(&[node(1, &[1, 7, 8, 9]), node(2, &[1, 2]), node(3, &[1, 2, 3])]), Some(3));
        assert_eq!(counts(&[node(1, &[1, 2, 3]), node(2, &[1]), node(3, &[1, 2])]), Some(1));
    }
}
