//! The audit of a run: the chain is verified from genesis on a separate ledger, whose final state gives the versions of
//! the policy and the holdings. The chain's flows between wallets and deposits are counted on the way
//! ([`super::deposits`]).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cbdc_client::{BankId, Height, NodeName, Timestamp};
use cbdc_ledger::policy::{Parameters, text};
use cbdc_ledger::{Account, Amount, BlockProposal, Class, HolderId, Ledger};
use cbdc_node::archive::BlockParts;
use cbdc_node::audit::{AuditReport, Auditor};
use cbdc_proto::convert::header_from_message;
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;

use super::deposits::{FlowCounter, Flows};
use super::progress::Progress;
use crate::result::{ClassHoldings, HoldingBucket, PolicyVersionReport};
use cbdc_devnet::Network;
use cbdc_devnet::policy::CURRENCY_EXPONENT;

/// The most bars of a histogram.
const BUCKETS_MAX: u64 = 20;
/// The bars of a histogram up to the holding limit.
const BUCKETS_TO_THE_LIMIT: u64 = 10;

/// An audit, with the figures computed from the chain.
pub struct Audited {
    pub report: AuditReport,
    pub versions: Vec<PolicyVersionReport>,
    pub holdings: Vec<ClassHoldings>,
    /// The sums moved between wallets and deposits, by bank.
    pub flows: BTreeMap<BankId, Flows>,
    /// Height of the last block that verified.
    pub tip: Height,
}

/// Audits the chain served by a node, up to its newest block now. `load_began_ms` is the start of the load, Unix time.
pub async fn audit(network: &Network, node: NodeName, load_began_ms: u64, progress: &Progress) -> Result<Audited> {
    let connection = network.connect_reader(node).await?;
    let mut client =
        ChainClient::new(connection.channel()).max_decoding_message_size(cbdc_proto::transport::MESSAGE_BYTES_MAX);
    let newest = network.chain(node).await?.header(None).await?.header.height;
    let mut auditor = Auditor::new(network.anchor().genesis().clone())?;
    let mut flows = FlowCounter::new(Timestamp(load_began_ms));
    let bar = progress.counted("auditing the chain from genesis", 0);
    let mut blocks = client.follow(v1::FollowRequest { from_height: 1, testimony: None }).await?.into_inner();
    let mut finding = None;
    while auditor.height() < newest && finding.is_none() {
        let Some(block) = blocks.message().await? else {
            finding = Some(format!("the node ended the chain at block {}, its newest was {newest}", auditor.height()));
            break;
        };
        let parts = parts(block)?;
        // Verification is slow; other tasks of this thread continue meanwhile.
        match tokio::task::block_in_place(|| auditor.block(&parts)) {
            Ok(block) => {
                flows.block(&BlockProposal::decode(&parts.proposal).context("reading an audited block")?, &block)
            }
            Err(wrong) => finding = Some(wrong),
        }
        bar.set(auditor.height().0, newest.0);
    }
    let (mut versions, holdings) = (versions(auditor.ledger(), load_began_ms), holdings(auditor.ledger()));
    versions.iter_mut().for_each(|version| version.waterfall_minor = flows.waterfall_under(version.version));
    let (tip, flows) = (auditor.height(), flows.finish());
    Ok(Audited { report: auditor.finish(finding), versions, holdings, flows, tip })
}

fn parts(block: v1::Block) -> Result<BlockParts> {
    let header = block.header.as_ref().context("a block came without a header")?;
    let header = header_from_message(header)?;
    Ok(BlockParts { header, log_index: 0, proposal: block.proposal, outcomes: block.outcomes })
}

/// The versions of the policy with their changes, and no counts yet.
fn versions(ledger: &Ledger, load_began_ms: u64) -> Vec<PolicyVersionReport> {
    let mut before = Parameters::default();
    let report = |set: &cbdc_ledger::policy::PolicySet| {
        let changed = text::differences(&before, &set.parameters, CURRENCY_EXPONENT);
        before = set.parameters.clone();
        PolicyVersionReport {
            version: set.version,
            since_s: (set.in_force_since.0 as f64 - load_began_ms as f64) / 1_000.0,
            changed: changed.into_iter().map(|(name, value)| format!("{name} = {value}")).collect(),
            ..PolicyVersionReport::default()
        }
    };
    ledger.policy().all().iter().map(report).collect()
}

/// A holder's balance over all banks, and its accrual per day in minor units × ppm.
#[derive(Clone, Copy, Default)]
struct Holding {
    held: u64,
    accrual: i128,
}

fn holdings(ledger: &Ledger) -> Vec<ClassHoldings> {
    let mut holders: BTreeMap<(u8, HolderId), Holding> = BTreeMap::new();
    for bank in ledger.banks().collect::<BTreeSet<_>>() {
        for (id, account) in ledger.wallets_of(bank) {
            let Some(holder) = ledger.holder_of(id) else { continue };
            let holding = holders.entry((holder.class.0, holder.id)).or_default();
            holding.held = holding.held.saturating_add(u64::try_from(account.own()).unwrap_or(0));
            holding.accrual += accrual(ledger.parameters(), holder.class, account);
        }
    }
    let unit = i128::from(ledger.genesis().day_count.days()) * 1_000_000;
    let of_class = |class: Class| {
        let own: Vec<Holding> = holders.iter().filter(|((of, _), _)| *of == class.0).map(|(_, own)| *own).collect();
        let limit = ledger.parameters().class(class).holding_limit.map(Amount::minor);
        (!own.is_empty()).then(|| of_holders(class, limit, &own, unit))
    };
    Class::all().filter_map(of_class).collect()
}

fn accrual(parameters: &Parameters, class: Class, account: &Account) -> i128 {
    parameters.class(class).tiers.accrual(account.own().unsigned_abs(), account.has_allowance)
}

fn of_holders(class: Class, limit: Option<u64>, holders: &[Holding], unit: i128) -> ClassHoldings {
    let accrual: i128 = holders.iter().map(|holder| holder.accrual).sum();
    ClassHoldings {
        class: class.to_string(),
        limit_minor: limit,
        holders: holders.len() as u64,
        above_limit: holders.iter().filter(|holder| limit.is_some_and(|limit| holder.held > limit)).count() as u64,
        total_minor: holders.iter().fold(0, |sum, holder| sum.saturating_add(holder.held)),
        accrual_a_day_minor: i64::try_from(accrual / unit).unwrap_or(0),
        buckets: buckets(limit, holders),
    }
}

/// Ranges of equal width with an edge at the limit; the last is open.
fn buckets(limit: Option<u64>, holders: &[Holding]) -> Vec<HoldingBucket> {
    let most = holders.iter().map(|holder| holder.held).max().unwrap_or(0);
    let by_limit = limit.filter(|limit| *limit > 0).map(|limit| limit.div_ceil(BUCKETS_TO_THE_LIMIT));
    let width = by_limit.unwrap_or_else(|| round_width(most.div_ceil(BUCKETS_MAX))).max(1);
    let count = most.div_ceil(width).clamp(1, BUCKETS_MAX);
    let mut buckets: Vec<HoldingBucket> =
        (1..=count).map(|number| HoldingBucket { up_to_minor: Some(number * width), holders: 0 }).collect();
    buckets.push(HoldingBucket::default());
    for holder in holders {
        let index = (holder.held.div_ceil(width).max(1) - 1).min(count);
        buckets[index as usize].holders += 1;
    }
    buckets
}

/// The next width of 1, 2 or 5 times a power of ten.
fn round_width(width: u64) -> u64 {
    let decades = (0..19).map(|exponent| 10_u64.pow(exponent));
    let steps = decades.flat_map(|decade| [1, 2, 5].map(|factor| decade.saturating_mul(factor)));
    steps.into_iter().find(|step| *step >= width).unwrap_or(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holders(held: &[u64]) -> Vec<Holding> {
        held.iter().map(|held| Holding { held: *held, accrual: -365_000_000 }).collect()
    }

    #[test]
    fn the_limit_is_an_edge_of_the_histogram() {
        let found = of_holders(Class::HOUSEHOLD, Some(500), &holders(&[0, 500, 501, 900, 99_999]), 365_000_000);
        assert_eq!((found.holders, found.above_limit, found.total_minor), (5, 3, 101_900));
        assert_eq!(found.accrual_a_day_minor, -5);
        let up_to = |limit: u64| {
            let below = found.buckets.iter().take_while(|bucket| bucket.up_to_minor.is_some_and(|edge| edge <= limit));
            below.map(|bucket| bucket.holders).sum::<u64>()
        };
        assert_eq!(up_to(500), 2);
        assert_eq!(found.buckets.last().map(|bucket| (bucket.up_to_minor, bucket.holders)), Some((None, 1)));
    }

    #[test]
    fn without_a_limit_the_bars_are_round_and_cover_everyone() {
        for limit in [None, Some(0)] {
            let found = of_holders(Class::MERCHANT, limit, &holders(&[0, 1, 12_345]), 1);
            assert_eq!(found.buckets.iter().map(|bucket| bucket.holders).sum::<u64>(), 3);
            assert_eq!(found.buckets[0].up_to_minor, Some(1_000));
        }
        assert_eq!(of_holders(Class::MERCHANT, Some(0), &holders(&[0, 1]), 1).above_limit, 1);
    }
}
