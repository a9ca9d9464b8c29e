//! Invariant I3: funding, defunding and waterfalls conserve a holder's deposit + CBDC + amount in transit. The ledger
//! sees only CBDC and a bank only its deposits; the harness sees both, so it checks.
//!
//! 1. Before the set-up each bank reports its deposits and amounts in transit ([`Deposits::open`]).
//! 2. During the audit the flows between wallets and deposits are counted by bank ([`FlowCounter`]).
//! 3. At the end, once its replica has reached the audited tip, each bank must have ([`Deposits::check`]):
//!    before + the harness's credits + defunded + waterfall − funded − reverse waterfall.
//!
//! A difference is a finding of the audit. A bank that the scenario left stopped is not read, and the result says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use cbdc_client::{BankId, BankOffice, NetworkFolder};
use cbdc_ledger::block::DepositDirection;
use cbdc_ledger::command::PaymentKind;
use cbdc_ledger::{Block, BlockProposal, Command, Height, Timestamp};
use tokio::time::Instant;

use super::committee::bank_id;
use crate::result::{BankDeposits, EventRecord};
use crate::scenario::{Action, NodeChoice, NodeName, Scenario};

/// The longest time in which a bank must reach the tip and book it.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(100);

/// A bank's deposit book at a height of its replica, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub height: u64,
    pub deposits: u64,
    pub in_transit: u64,
}

impl Totals {
    fn sum(self) -> i128 {
        i128::from(self.deposits) + i128::from(self.in_transit)
    }
}

/// Flows between wallets and deposits at one bank, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flows {
    pub funded: u64,
    pub defunded: u64,
    pub waterfall: u64,
    pub reverse_waterfall: u64,
    /// Moved by the waterfall since the load began.
    pub waterfall_in_load: u64,
    /// Moved by the reverse waterfall since the load began.
    pub reverse_waterfall_in_load: u64,
}

/// Counts the flows between wallets and deposits, block by block.
///
/// The deposit of a waterfall depends on the wallet's link at that command, which only applying the chain reveals; the
/// auditor's blocks carry it.
pub struct FlowCounter {
    load_began: Timestamp,
    flows: BTreeMap<BankId, Flows>,
    /// The waterfalls of payments in the load, by the version of policy.
    waterfalls: BTreeMap<u32, u64>,
}

impl FlowCounter {
    pub fn new(load_began: Timestamp) -> FlowCounter {
        FlowCounter { load_began, flows: BTreeMap::new(), waterfalls: BTreeMap::new() }
    }

    /// Counts a block as computed by the auditor.
    pub fn block(&mut self, proposal: &BlockProposal<'_>, block: &Block) {
        let in_load = block.header.time >= self.load_began;
        for moved in &block.changes.deposits {
            let (flows, amount) = (self.flows.entry(moved.bank).or_default(), moved.amount.minor());
            let (whole, part) = match moved.direction {
                DepositDirection::ToDeposit => (&mut flows.waterfall, &mut flows.waterfall_in_load),
                DepositDirection::FromDeposit => (&mut flows.reverse_waterfall, &mut flows.reverse_waterfall_in_load),
            };
            *whole = whole.saturating_add(amount);
            *part = part.saturating_add(if in_load { amount } else { 0 });
            if in_load && moved.direction == DepositDirection::ToDeposit && is_payment(proposal, moved.index) {
                let waterfalls = self.waterfalls.entry(block.header.policy_version).or_default();
                *waterfalls = waterfalls.saturating_add(amount);
            }
        }
        for (command, outcome) in proposal.commands.iter().zip(&block.outcomes) {
            let Command::Payment(payment) = command else { continue };
            if !outcome.is_settled() {
                continue;
            }
            let flows = self.flows.entry(payment.record.from.bank).or_default();
            let amount = payment.record.amount.minor();
            match payment.record.kind {
                PaymentKind::Fund => flows.funded = flows.funded.saturating_add(amount),
                PaymentKind::Defund => flows.defunded = flows.defunded.saturating_add(amount),
                PaymentKind::Transfer => {}
            }
        }
    }

    /// The waterfalls of payments in the load under a version of policy.
    pub fn waterfall_under(&self, version: u32) -> u64 {
        self.waterfalls.get(&version).copied().unwrap_or_default()
    }

    pub fn finish(self) -> BTreeMap<BankId, Flows> {
        self.flows
    }
}

/// Whether the command at an index is a payment between wallets.
fn is_payment(proposal: &BlockProposal<'_>, index: u32) -> bool {
    match proposal.commands.get(index as usize) {
        Some(Command::Payment(payment)) => payment.record.kind == PaymentKind::Transfer,
        Some(Command::ReverseWaterfall(_)) => true,
        _ => false,
    }
}

/// The banks' deposit books before the run.
pub struct Deposits {
    before: Vec<(BankId, Totals)>,
}

impl Deposits {
    /// Reads every bank's book. Nothing may be in flight.
    pub async fn open(folder: &NetworkFolder) -> Result<Deposits> {
        let mut before = Vec::new();
        for bank in folder.banks() {
            let totals = read(&folder.bank_office(bank)?).await;
            before.push((bank, totals.with_context(|| format!("reading the deposits of bank {bank}"))?));
        }
        Ok(Deposits { before })
    }

    /// Compares every bank's book with the sum expected from the chain up to `tip` and the harness's credits; returns
    /// differences as sentences.
    pub async fn check(
        &self,
        folder: &NetworkFolder,
        tip: Height,
        flows: &BTreeMap<BankId, Flows>,
        credited: &[u64],
        stopped: &BTreeSet<BankId>,
    ) -> Result<(BTreeMap<String, BankDeposits>, Vec<String>)> {
        let (mut reports, mut findings) = (BTreeMap::new(), Vec::new());
        for ((bank, before), credited) in self.before.iter().zip(credited) {
            let flows = flows.get(bank).copied().unwrap_or_default();
            let mut report = expected(*before, *credited, flows);
            let name = format!("bank-{}", bank.0);
            if stopped.contains(bank) {
                report.note = Some("not read: the scenario left this bank stopped".to_owned());
            } else {
                let after = wait_for(&folder.bank_office(*bank)?, tip, report.expected_minor).await;
                findings.extend(judge(&name, &mut report, tip, after));
            }
            reports.insert(name, report);
        }
        Ok((reports, findings))
    }
}

async fn read(office: &BankOffice) -> Result<Totals> {
    let treasury = office.treasury().await?;
    Ok(Totals { height: treasury.height, deposits: treasury.deposits_minor, in_transit: treasury.in_transit_minor })
}

/// Reads a book until it is at the tip and as expected, or returns it unchanged at the timeout.
async fn wait_for(office: &BankOffice, tip: Height, expected_minor: i64) -> Result<Totals> {
    let give_up = Instant::now() + FOLLOWED_WITHIN;
    loop {
        let found = read(office).await;
        let is_there = |totals: &Totals| totals.height >= tip.0 && totals.sum() == i128::from(expected_minor);
        if found.as_ref().is_ok_and(is_there) || Instant::now() >= give_up {
            return found;
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// The expected book at the end.
fn expected(before: Totals, credited: u64, flows: Flows) -> BankDeposits {
    let sum = before.sum() + i128::from(credited) + i128::from(flows.defunded) + i128::from(flows.waterfall)
        - i128::from(flows.funded)
        - i128::from(flows.reverse_waterfall);
    BankDeposits {
        before_minor: i64::try_from(before.sum()).unwrap_or(i64::MAX),
        credited_minor: signed(credited),
        funded_minor: signed(flows.funded),
        defunded_minor: signed(flows.defunded),
        waterfall_minor: signed(flows.waterfall),
        reverse_waterfall_minor: signed(flows.reverse_waterfall),
        waterfall_in_load_minor: signed(flows.waterfall_in_load),
        reverse_waterfall_in_load_minor: signed(flows.reverse_waterfall_in_load),
        expected_minor: i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX }),
        ..BankDeposits::default()
    }
}

/// Records the book read and returns its fault, if any.
fn judge(name: &str, report: &mut BankDeposits, tip: Height, after: Result<Totals>) -> Option<String> {
    let after = match after {
        Ok(after) => after,
        Err(error) => {
            report.note = Some(format!("not read: {error:#}"));
            return Some(format!("I3: the deposits of {name} could not be read: {error:#}"));
        }
    };
    let (after_minor, expected_minor) = (i64::try_from(after.sum()).unwrap_or(i64::MAX), report.expected_minor);
    report.after_minor = Some(after_minor);
    report.in_transit_minor = Some(signed(after.in_transit));
    if after.height < tip.0 {
        report.note = Some(format!("read at height {}, the chain is at {tip}", after.height));
        return Some(format!(
            "I3: {name} has followed the chain to height {} only, {tip} was expected; its deposits cannot be compared",
            after.height
        ));
    }
    report.agrees = after_minor == expected_minor;
    (!report.agrees).then(|| {
        format!(
            "I3: {name} has {after_minor} minor units on deposit and in transit, {expected_minor} were expected from \
             the chain and the harness's credits"
        )
    })
}

/// The banks that the scenario's events left stopped.
pub fn stopped(scenario: &Scenario, events: &[EventRecord]) -> BTreeSet<BankId> {
    let mut stopped = BTreeSet::new();
    for (event, _) in scenario.events.iter().zip(events).filter(|(_, record)| record.done_at_s.is_some()) {
        let named = |node: NodeChoice| match node {
            NodeChoice::Named(bank @ NodeName::Bank(_)) => Some(bank_id(bank)),
            _ => None,
        };
        match event.action {
            Action::Kill { node } | Action::Stop { node } | Action::Pause { node } => stopped.extend(named(node)),
            Action::Restart { node } | Action::Resume { node } => {
                named(node).iter().for_each(|bank| _ = stopped.remove(bank));
            }
            _ => {}
        }
    }
    stopped
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Totals = Totals { height: 0, deposits: 70, in_transit: 30 };
    const FLOWS: Flows = Flows {
        funded: 500,
        defunded: 40,
        waterfall: 9,
        reverse_waterfall: 4,
        waterfall_in_load: 9,
        reverse_waterfall_in_load: 4,
    };

    #[test]
    fn deposits_change_by_what_the_chain_moved_and_the_harness_credited() {
        let mut report = expected(BEFORE, 600, FLOWS);
        assert_eq!(report.expected_minor, 100 + 600 - 500 + 40 + 9 - 4);
        let after = Totals { height: 7, deposits: 200, in_transit: 45 };
        assert_eq!(judge("bank-1", &mut report, Height(7), Ok(after)), None);
        assert!(report.agrees);
        assert_eq!((report.after_minor, report.in_transit_minor), (Some(245), Some(45)));
    }

    #[test]
    fn a_unit_too_few_or_a_bank_behind_the_chain_is_a_finding() {
        let mut report = expected(BEFORE, 600, FLOWS);
        let after = Totals { height: 7, deposits: 199, in_transit: 45 };
        let finding = judge("bank-1", &mut report, Height(7), Ok(after)).expect("a unit is missing");
        assert!(finding.contains("244") && finding.contains("245") && !report.agrees, "{finding}");
        let behind = Totals { deposits: 200, height: 6, ..after };
        let finding = judge("bank-1", &mut report, Height(7), Ok(behind)).expect("it is behind");
        assert!(finding.contains("height 6") && !report.agrees, "{finding}");
        let finding = judge("bank-1", &mut report, Height(7), Err(anyhow::anyhow!("no route"))).expect("unread");
        assert!(finding.contains("no route") && !report.agrees, "{finding}");
    }

    #[test]
    fn a_bank_that_was_restarted_is_asked_again() {
        let text = "[[event]]\nat_s = 1\naction = \"kill\"\nnode = \"bank-1\"\n[[event]]\nat_s = 2\naction = \"stop\"\n\
                    node = \"bank-2\"\n[[event]]\nat_s = 3\naction = \"restart\"\nnode = \"bank-1\"";
        let scenario = Scenario::parse("test.toml", "test", text, &[]).expect("valid");
        let record = |done_at_s| EventRecord { done_at_s, ..EventRecord::default() };
        assert_eq!(stopped(&scenario, &[record(Some(1.0)), record(Some(2.0)), record(Some(3.0))]), [BankId(2)].into());
        assert_eq!(stopped(&scenario, &[record(Some(1.0)), record(None), record(None)]), [BankId(1)].into());
    }
}
