//! The clients of a run, on a host of their own: the payers and readers of the fault runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use cbdc_client::{NodeName, Wallet};
use cbdc_devnet::Network;
use cbdc_harness::faults::clients::{Clients, Lives};
use cbdc_harness::faults::ending;
use cbdc_harness::faults::recorder::Recorder;
use cbdc_harness::history::Property;
use cbdc_harness::run::setup;
use cbdc_harness::run::signed_payments::Purse;
use cbdc_harness::scenario::Scenario;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::committee::Committee;

/// The time within which everything must be decided once the faults are over.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How far the clients are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Progress {
    #[default]
    SettingUp,
    Paying,
    Finished,
    Failed(String),
}

/// What the clients' host does.
pub struct ClientWork {
    pub network: Network,
    pub scenario: Scenario,
    /// Seed and payments a second.
    pub drawing: (u64, f64),
    pub recorder: Arc<Recorder>,
    pub lives: Lives,
    pub committee: Committee,
    pub progress: Arc<Mutex<Progress>>,
    pub finish: watch::Receiver<bool>,
}

impl ClientWork {
    /// Sets the network up, pays until it is told to finish, and learns what became of the payments.
    pub async fn run(self) {
        let progress = self.progress.clone();
        let set = |to| *progress.lock().unwrap_or_else(PoisonError::into_inner) = to;
        match self.pay(&set).await {
            Ok(()) => set(Progress::Finished),
            Err(error) => set(Progress::Failed(format!("{error:#}"))),
        }
    }

    /// Opens a wallet at the last bank for the person who has the first wallet; it is empty.
    async fn open_second_wallet(&self) -> Result<Purse> {
        let (seed, count) = (self.scenario.seed, self.scenario.wallets.count);
        let bank = self.network.banks().last().context("a network has banks")?;
        let key = || setup::key_of(seed, count);
        let (holder, class) = (setup::holder_of(seed, 0), self.scenario.class_of(0));
        let registration = self.network.registrar().await?.register(bank, holder, class, key().public_key());
        let connection = self.network.connect_customer(bank)?;
        let wallet = Wallet::open(connection, self.network.anchor().clone(), key(), &registration).await?;
        Ok(Purse { account: wallet.account(), key: key(), first_sequence: 1 })
    }

    async fn pay(mut self, set: &impl Fn(Progress)) -> Result<()> {
        sleep(Duration::from_secs(1)).await;
        setup::issue(&self.network, &self.scenario).await?;
        let mut purses = setup::open_wallets(&self.network, &self.scenario, || {}).await?;
        purses.push(self.open_second_wallet().await.context("opening a second wallet")?);
        let clients = Clients::start(&self.network, purses, self.drawing, &self.recorder, &self.lives)?;
        set(Progress::Paying);
        let decided = self.committee.decided.clone();
        let committee = tokio::spawn(self.committee.run());
        drop(self.finish.wait_for(|finish| *finish).await);
        clients.finish(PATIENCE).await;
        if timeout(PATIENCE, committee).await.is_err() {
            let sentence = format!("the committee's decision was not taken within {} s", PATIENCE.as_secs());
            self.recorder.violation(Property::Serves, sentence);
        }
        let orders = decided.lock().unwrap_or_else(PoisonError::into_inner).orders.clone();
        let nodes: Vec<NodeName> =
            self.network.nodes().filter(|node| orders.get(node).copied().unwrap_or(true)).collect();
        follow_members(&self.network, &nodes).await;
        ending::wait_for_the_same(&self.network, nodes, &self.recorder, PATIENCE).await;
        Ok(())
    }
}

/// Follows the membership until all nodes are known by it, from banks, which may be behind.
async fn follow_members(network: &Network, nodes: &[NodeName]) {
    let is_known = |node: &NodeName| network.anchor().membership().members().active(node.role(), node.id()).is_some();
    let give_up = Instant::now() + PATIENCE;
    while !nodes.iter().all(is_known) && Instant::now() < give_up {
        for bank in network.banks() {
            if let Ok(connection) = network.connect_customer(bank) {
                // What is not known yet shows when the nodes are asked.
                drop(network.anchor().follow_from(&connection).await);
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}
