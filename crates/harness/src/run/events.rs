//! Events of the scenario, at their times.

use std::time::{Duration, Instant};

use anyhow::Result;
use cbdc_client::{AccountId, GovernanceAction, IssuanceKind, LedgerDay, NetworkFolder, OperationKind, RatePpm, Role};
use cbdc_ledger::Amount;
use cbdc_proto::wall_clock::wall_clock;

use super::committee::{Committee, bank_id};
use super::nodes::Nodes;
use super::orders::{self, Order};
use crate::result::EventRecord;
use crate::scenario::{Action, OperationFigures, Scenario};

/// Carries out the scenario's events, one after the other. `accounts` are the wallets' by index.
pub async fn happen(
    scenario: &Scenario,
    folder: &NetworkFolder,
    accounts: &[AccountId],
    nodes: &mut Nodes,
    start: Instant,
) -> Vec<EventRecord> {
    let mut records = Vec::new();
    let mut committee = Committee::new(folder, scenario.policy.parameters.clone());
    let court = async |figures, order| orders::order(scenario, folder, accounts, figures, order).await.map(Some);
    for event in &scenario.events {
        tokio::time::sleep_until((start + Duration::from_secs_f64(event.at_s)).into()).await;
        let done = match &event.action {
            Action::Kill { node } => nodes.kill(*node).await.map(|()| None),
            Action::Stop { node } => nodes.stop(*node).await.map(|()| None),
            Action::Restart { node } => nodes.restart(*node).await.map(|()| None),
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
        };
        let (done_at_s, note) = match done {
            Ok(note) => (Some(start.elapsed().as_secs_f64()), note),
            Err(error) => (None, Some(format!("failed: {error:#}"))),
        };
        records.push(EventRecord { at_s: event.at_s, done_at_s, what: event.action.to_string(), note });
    }
    records
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
