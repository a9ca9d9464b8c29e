//! The clients of a run: payers ([`super::payer`]), and readers at the central bank's nodes ([`super::reader`]). Each
//! notes what it is answered ([`Recorder`]); the history is judged later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use cbdc_client::{AccountId, NetworkFolder, NodeName, Wallet};
use cbdc_ledger::Command;
use cbdc_ledger::command::{Payment, Signed};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::payer::{Offices, Payer};
use super::reader::Reader;
use super::recorder::Recorder;
use crate::history;
use crate::run::signed_payments::Purse;
use crate::workload::random::rng;

/// The time for which the SDK sends a record again before its status counts as unknown. Short, so that unknown answers
/// are seen.
const UNKNOWN_AFTER: Duration = Duration::from_millis(1_500);
/// The longest that one call takes.
pub(super) const DEADLINE: Duration = Duration::from_secs(3);
/// Every so many wallets lets its bank accept payments while the central bank is away.
const ACCEPTS_EVERY: usize = 3;

/// How often each node was started, so that a reader can tell its lives apart.
pub type Lives = Arc<Mutex<BTreeMap<NodeName, u32>>>;

pub fn life_of(lives: &Lives, node: NodeName) -> u32 {
    lives.lock().unwrap_or_else(PoisonError::into_inner).get(&node).copied().unwrap_or(1)
}

/// A node in one of its lives: started again, it may not know yet how much of its log is committed.
pub(super) fn in_life(node: NodeName, life: u32) -> String {
    format!("{node} (start {life})")
}

/// The clients, running.
pub struct Clients {
    tasks: JoinSet<()>,
    stop: watch::Sender<Option<Instant>>,
}

impl Clients {
    /// Starts a payer for each purse and a reader for each node of the central bank.
    pub fn start(
        folder: &NetworkFolder,
        purses: Vec<Purse>,
        (seed, rate_per_s): (u64, f64),
        recorder: &Arc<Recorder>,
        lives: &Lives,
    ) -> Result<Clients> {
        let (stop, stopping) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let (mut banks, mut offices) = (BTreeMap::new(), BTreeMap::new());
        for bank in folder.banks() {
            offices.insert(bank, folder.bank_office(bank)?);
            banks.insert(bank, folder.connect_customer(bank)?.with_deadline(DEADLINE));
        }
        let offices: Offices = Arc::new(offices);
        let accounts: Arc<[AccountId]> = purses.iter().map(|purse| purse.account).collect();
        let pause_s = purses.len() as f64 / rate_per_s;
        for (index, purse) in purses.into_iter().enumerate() {
            let connection = banks[&purse.account.bank].clone();
            let wallet = Wallet::new(connection, folder.anchor().clone(), purse.key, purse.account);
            let wallet = wallet.with_timeout(UNKNOWN_AFTER);
            let accepts = index % ACCEPTS_EVERY == 0;
            let payer = Payer {
                name: format!("wallet {index}"),
                bank: NodeName::Bank(purse.account.bank),
                lives: lives.clone(),
                wallet: if accepts { wallet.accepting() } else { wallet },
                offices: offices.clone(),
                accounts: accounts.clone(),
                pause_s,
                random: rng(seed, 1 + index as u8),
                recorder: recorder.clone(),
                stopping: stopping.clone(),
                paid: Vec::new(),
            };
            tasks.spawn(payer.run());
        }
        for node in folder.central_banks() {
            let reader = Reader {
                node,
                folder: folder.clone(),
                recorder: recorder.clone(),
                stopping: stopping.clone(),
                lives: lives.clone(),
            };
            tasks.spawn(reader.run());
        }
        Ok(Clients { tasks, stop })
    }

    /// Lets the payers learn what became of their payments, for `limit` at most.
    pub async fn finish(mut self, limit: Duration) {
        self.stop.send_replace(Some(Instant::now() + limit));
        let all = async { while self.tasks.join_next().await.is_some() {} };
        timeout(limit + DEADLINE * 3, all).await.ok();
    }
}

/// The hash by which a payment is known.
pub fn record_hash(payment: &Signed<Payment>) -> history::Hash {
    command_hash(&Command::Payment(*payment))
}

/// The hash by which a command is known.
pub fn command_hash(command: &Command) -> history::Hash {
    *blake3::hash(&command.to_bytes()).as_bytes()
}
