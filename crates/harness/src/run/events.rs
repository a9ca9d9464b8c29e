//! Events of the scenario, at their times.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cbdc_client::{
    AccountId, GovernanceAction, IssuanceKind, LedgerDay, NetworkFolder, NodeName, OperationKind, RatePpm, Role,
};
use cbdc_ledger::Amount;
use cbdc_proto::wall_clock::wall_clock;

use super::committee::{Committee, bank_id};
use super::disks;
use super::leaders::ELECTED_WITHIN;
use super::links::{Links, Pace};
use super::nodes::{Nodes, name_of};
use super::orders::{self, Order};
use crate::result::EventRecord;
use crate::scenario::{Action, NodeChoice, OperationFigures, Scenario};

/// Carries out the scenario's events, one after the other. `accounts` are the wallets' by index.
pub async fn happen(
    scenario: &Scenario,
    folder: &NetworkFolder,
    accounts: &[AccountId],
    nodes: &mut Nodes,
    links: Option<&Links>,
    start: Instant,
) -> Vec<EventRecord> {
    let mut records = Vec::new();
    let mut met = Met { folder, former_leader: None };
    let mut committee = Committee::new(folder, scenario.policy.parameters.clone());
    let court = async |figures, order| orders::order(scenario, folder, accounts, figures, order).await.map(Some);
    for event in &scenario.events {
        tokio::time::sleep_until((start + Duration::from_secs_f64(event.at_s)).into()).await;
        let chosen = met.choose(&event.action.nodes()).await;
        let began_at_s = start.elapsed().as_secs_f64();
        let done = match &event.action {
            action if !action.nodes().is_empty() || *action == Action::Heal => match chosen {
                Ok(chosen) => disturb(action, chosen, folder, nodes, links).await,
                Err(error) => Err(error),
            },
            Action::HandOver { to } => folder
                .hand_over(to.map(|node| name_of(node).id()))
                .await
                .map(|done| Some(format!("nothing was ordered for {} ms", done.now().pause_ms)))
                .map_err(Into::into),
            Action::Policy(change) => committee.change_policy(change).await.map(Some),
            Action::Grant(grant) => committee.grant(grant).await.map(Some),
            Action::BankStatus { node, status } => {
                let action = GovernanceAction::BankStatus { bank: bank_id(*node), status: *status };
                committee.decide(vec![action]).await.map(Some)
            }
            Action::Operation(figures) => operate(folder, figures).await.map(|()| None),
            Action::Freeze(figures) => court(figures, Order::Freeze).await,
            Action::Unfreeze(figures) => court(figures, Order::Unfreeze).await,
            Action::Seize { order, to_wallet } => {
                court(order, Order::Seize { to: accounts[*to_wallet as usize] }).await
            }
            Action::Reclassify { wallet, class } => {
                orders::reclassify(scenario, folder, *wallet, *class).await.map(|()| None)
            }
            Action::ReportDeposits { node } => orders::report_deposits(folder, *node).await.map(Some),
            Action::Issue { node, amount_minor } => {
                orders::issuance(folder, *node, IssuanceKind::Issue, *amount_minor).await.map(|()| None)
            }
            Action::Redeem { node, amount_minor } => {
                orders::issuance(folder, *node, IssuanceKind::Redeem, *amount_minor).await.map(|()| None)
            }
            // The arms above have all that name nodes.
            _ => Ok(None),
        };
        let (done_at_s, note) = match done {
            Ok(note) => (Some(start.elapsed().as_secs_f64()), note),
            Err(error) => (None, Some(format!("failed: {error:#}"))),
        };
        let (what, began_at_s) = (event.action.to_string(), Some(began_at_s));
        records.push(EventRecord { at_s: event.at_s, began_at_s, done_at_s, what, note, settling: None });
    }
    records
}

/// The nodes that events met.
struct Met<'a> {
    folder: &'a NetworkFolder,
    /// The leader that an event met last.
    former_leader: Option<NodeName>,
}

impl Met<'_> {
    /// The nodes of an event, as it happens.
    async fn choose(&mut self, choices: &[NodeChoice]) -> Result<Vec<NodeName>> {
        let mut chosen = Vec::new();
        for choice in choices {
            chosen.push(match choice {
                NodeChoice::Named(node) => name_of(*node),
                NodeChoice::FormerLeader => self.former_leader.context("no event has met a leader")?,
                NodeChoice::Leader => {
                    let leader = self.folder.leader_within(ELECTED_WITHIN).await;
                    let leader = leader.context("no node of the central bank leads")?;
                    self.former_leader = Some(leader);
                    leader
                }
            });
        }
        Ok(chosen)
    }
}

/// Kills, stops, pauses or cuts off nodes, and brings them back. Returns the nodes that were not known by their names.
async fn disturb(
    action: &Action,
    chosen: Vec<NodeName>,
    folder: &NetworkFolder,
    nodes: &mut Nodes,
    links: Option<&Links>,
) -> Result<Option<String>> {
    let ruled = || links.context("links can be cut only between processes; run without --in-process");
    let names: Vec<String> = chosen.iter().map(ToString::to_string).collect();
    match (action, chosen.as_slice()) {
        (Action::Kill { .. }, [node]) => nodes.kill(*node).await?,
        (Action::Stop { .. }, [node]) => nodes.stop(*node).await?,
        (Action::Restart { .. }, [node]) => nodes.restart(*node).await?,
        (Action::Pause { .. }, [node]) => nodes.pause(*node).await?,
        (Action::Resume { .. }, [node]) => nodes.resume(*node).await?,
        (Action::Partition { direction, .. }, _) => ruled()?.cut(chosen.into_iter().collect(), *direction),
        (Action::SlowLink { delay_ms, rate_kib_per_s, .. }, _) => {
            let delay = Duration::from_millis(u64::from(*delay_ms));
            let pace = Pace { delay, bytes_per_s: u64::from(*rate_kib_per_s) * 1_024, ..Pace::default() };
            ruled()?.slow(chosen.into_iter().collect(), pace);
        }
        (Action::SlowDisk { delay_ms, .. }, _) => disks::slow(folder, &chosen, *delay_ms)?,
        _ => {
            disks::heal(folder)?;
            links.iter().for_each(|links| links.heal());
        }
    }
    let by_part = action.nodes().iter().any(|node| !matches!(node, NodeChoice::Named(_)));
    Ok(by_part.then(|| names.join(", ")))
}

async fn operate(folder: &NetworkFolder, figures: &OperationFigures) -> Result<()> {
    let genesis = folder.anchor().genesis();
    let today = wall_clock().ledger_day(genesis.day_offset_minutes);
    let (kind, bank, amount) = (figures.kind, bank_id(figures.bank), Amount::from_minor(figures.amount_minor));
    let price_ppm = figures.price.map_or(0, |price| price.0.unsigned_abs());
    let governance = folder.acting(Role::Operator).await?;
    let status = match kind {
        OperationKind::BuySecurities => governance.buy_securities(bank, amount, price_ppm).await?,
        OperationKind::SellSecurities => governance.sell_securities(bank, amount, price_ppm).await?,
        OperationKind::Refinance => {
            let matures = LedgerDay(today.0 + figures.matures_in_days.unwrap_or(1));
            governance.refinance(bank, amount, figures.rate.unwrap_or(RatePpm(0)), matures).await?
        }
        _ => governance.operate(kind, bank, amount).await?,
    };
    status.settled()?;
    Ok(())
}
