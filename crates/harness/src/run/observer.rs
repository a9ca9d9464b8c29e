//! Samples the central bank's balance sheet and the supply's terms once a second while the load runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use cbdc_client::{NetworkFolder, v1};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::supply::terms_of;
use crate::result::{BooksSample, SupplySample};

/// The balance sheet at one moment.
pub struct Sample {
    pub at_ns: u64,
    pub cbdc_minor: i64,
    pub books: BooksSample,
    /// The supply's terms; absent if the node went down in between.
    pub supply: Option<SupplySample>,
}

pub struct Observer {
    supply_minor: Arc<AtomicI64>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Vec<Sample>>,
}

impl Observer {
    pub async fn start(folder: &NetworkFolder, start: Instant, total_s: f64) -> Result<Observer> {
        let mut reader = folder.governance_reader().await?;
        let folder = folder.clone();
        let supply_minor = Arc::new(AtomicI64::new(0));
        let shown = supply_minor.clone();
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut samples: Vec<Sample> = Vec::with_capacity(total_s as usize + 1);
            let mut tick = tokio::time::interval_at(start.into(), Duration::from_secs(1));
            loop {
                tokio::select! {
                    _ = tick.tick() => {}
                    _ = &mut stopped => return samples,
                }
                let at = start.elapsed();
                // A node that is down leaves a gap; another one may answer the next time.
                let sheet = match reader.balance_sheet().await {
                    Ok(sheet) => Some(sheet),
                    Err(_) => {
                        if let Ok(other) = folder.governance_reader().await {
                            reader = other;
                        }
                        None
                    }
                };
                if let Some(sheet) = sheet {
                    let supply = reader.supply().await.ok();
                    let sample = Sample {
                        at_ns: at.as_nanos() as u64,
                        cbdc_minor: signed(sheet.cbdc_minor),
                        books: books(at, &sheet),
                        supply: supply.map(|supply| SupplySample { at_s: at.as_secs(), terms: terms_of(&supply) }),
                    };
                    shown.store(sample.cbdc_minor, Ordering::Relaxed);
                    samples.push(sample);
                }
            }
        });
        Ok(Observer { supply_minor, stop, task })
    }

    /// The CBDC in circulation last seen, minor units.
    pub fn supply(&self) -> Arc<AtomicI64> {
        self.supply_minor.clone()
    }

    pub async fn finish(self) -> Vec<Sample> {
        drop(self.stop);
        self.task.await.unwrap_or_default()
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn books(at: Duration, sheet: &v1::BalanceSheet) -> BooksSample {
    let sum = |of: fn(&v1::BankBooks) -> u64| sheet.banks.iter().map(|bank| signed(of(bank))).sum();
    BooksSample {
        at_s: at.as_secs(),
        securities_minor: signed(sheet.securities_minor),
        loans_minor: sum(|bank| bank.loans_minor),
        banknotes_minor: signed(sheet.banknotes_minor),
        reserves_minor: sum(|bank| bank.reserves_minor),
        deposit_facility_minor: sum(|bank| bank.deposit_facility_minor),
        cbdc_minor: signed(sheet.cbdc_minor),
        government_minor: signed(sheet.government_minor),
        equity_minor: sheet.equity_minor.parse().unwrap_or(0),
    }
}
