//! `cbdc audit`: verifies a chain from genesis, trusting nobody.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use cbdc_client::{NetworkFolder, NodeName};
use cbdc_ledger::{Genesis, Height};
use cbdc_node::audit::{
    AuditReport, ExpectedHead, Head, audit_data_folder, audit_live, check_data_folder, newest_head,
};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::exit::AuditFound;
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};

/// Verify a chain from genesis: signatures, outcomes, balance sheet and supply
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc audit                                      the running network, from the central bank
  cbdc audit --node bank-2                        as a bank's replica has it
  cbdc audit --data network/central-bank-1/data   a stopped node's data folder, which is only read
  cbdc audit --data network/bank-1/data --peer central-bank-1   does it end where the network does?
  cbdc audit --expect-head 5120:8a3c…             and whether it has a head that was published

Checks every block against its parent, its signatures and those of its commands, then applies it to a ledger of the
auditor's own, which must give the same outcomes, roots, balance sheet and supply. Exit code 5 if anything differs.")]
pub struct Audit {
    /// The data folder of a stopped node, instead of a running network
    #[arg(long, value_name = "DIR", conflicts_with = "node")]
    data: Option<PathBuf>,
    /// The node that serves the chain: central-bank-1, bank-1, …
    #[arg(long, value_name = "NODE")]
    node: Option<NodeName>,
    /// A block that the chain must have: its height and its header's hash, as `cbdc chain head` shows them
    #[arg(long, value_name = "HEIGHT:HASH")]
    expect_head: Vec<Head>,
    /// A node whose newest block the chain must have: central-bank-1, bank-1, …
    #[arg(long, value_name = "NODE")]
    peer: Vec<NodeName>,
    /// The genesis to start from; by default that of the network
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Audit {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        if let Some(data) = &self.data {
            check_data_folder(data)?;
        }
        let genesis = self.genesis()?;
        let expected = self.expected().await?;
        let anchor = cbdc_client::Anchor::new(genesis.clone());
        let bar = progress_bar(output);
        let report = match &self.data {
            Some(data) => {
                let (data, seen) = (data.clone(), bar.clone());
                let audit =
                    move || audit_data_folder(&data, genesis, expected, |height, newest| show(&seen, height, newest));
                tokio::task::spawn_blocking(audit)
                    .await
                    .context("the audit's thread ended early, which is a defect of this program")?
            }
            None => {
                let network = self.network.open()?;
                let node = match self.node {
                    Some(node) => node,
                    None => network.reading_node().await?,
                };
                let connection = network.connect_reader(node).await?;
                connection.is_ready().await?;
                audit_live(connection.channel(), genesis, expected, |height, newest| show(&bar, height, newest)).await
            }
        };
        bar.finish_and_clear();
        let report = report.context("the audit could not be made")?;
        output.print(object(&report), || text(&anchor, &report));
        if report.ok { Ok(()) } else { Err(AuditFound.into()) }
    }

    /// The heads given on the command line, and those of the nodes to compare with.
    async fn expected(&self) -> anyhow::Result<Vec<ExpectedHead>> {
        let named = |head: &Head| ExpectedHead { head: *head, named_by: "--expect-head".to_owned() };
        let mut expected: Vec<ExpectedHead> = self.expect_head.iter().map(named).collect();
        for peer in &self.peer {
            let connection = self.network.open()?.connect_reader(*peer).await?;
            connection.is_ready().await?;
            let head =
                newest_head(connection.channel()).await.with_context(|| format!("asking {peer} for its head"))?;
            expected.extend(head.map(|head| ExpectedHead { head, named_by: peer.to_string() }));
        }
        Ok(expected)
    }

    /// The genesis given on the command line, or that above the data folder, or that of the network.
    fn genesis(&self) -> anyhow::Result<Genesis> {
        let path = self.genesis.clone().unwrap_or_else(|| match &self.data {
            Some(data) => data.join("../..").join(NetworkFolder::GENESIS),
            None => self.network.network.join(NetworkFolder::GENESIS),
        });
        let bytes = cbdc_proto::bounded_file::read(&path).with_context(|| {
            format!("cannot read the genesis {}; name it with --genesis, or its folder with --network", path.display())
        })?;
        Ok(Genesis::from_bytes(&bytes)?)
    }
}

fn progress_bar(output: &Output) -> ProgressBar {
    let target = if output.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("auditing {bar:40} block {pos} of {len} ({per_sec}, {eta} left)");
    let bar = ProgressBar::with_draw_target(Some(0), target);
    bar.enable_steady_tick(Duration::from_millis(200));
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

fn show(bar: &ProgressBar, height: Height, newest: Height) {
    bar.set_length(newest.0);
    bar.set_position(height.0);
}

fn object(report: &AuditReport) -> Value {
    let supply: Map<String, Value> =
        report.supply.iter().map(|(name, minor)| (format!("{name}_minor"), json!(minor))).collect();
    json!({
        "ok": report.ok,
        "blocks": report.blocks,
        "commands": report.commands,
        "settled": report.settled,
        "wallets": report.wallets,
        "holders": report.holders,
        "cbdc_minor": report.cbdc_minor,
        "supply": supply,
        "tip": report.tip,
        "findings": report.findings,
        "not_known": report.not_known,
    })
}

fn text(anchor: &cbdc_client::Anchor, report: &AuditReport) -> String {
    let verdict = if report.ok { "nothing is wrong" } else { "something is wrong" };
    let mut text = fields(&[
        ("audit", verdict.to_owned()),
        ("blocks verified", report.blocks.to_string()),
        ("commands", report.commands.to_string()),
        ("settled", report.settled.to_string()),
        ("wallets", report.wallets.to_string()),
        ("in circulation", money(anchor, report.cbdc_minor)),
        ("last header", report.tip.clone()),
    ]);
    for finding in &report.findings {
        text.push_str(&format!("\nfound: {finding}"));
    }
    for unknown in &report.not_known {
        text.push_str(&format!("\nnot known: {unknown}"));
    }
    text
}
