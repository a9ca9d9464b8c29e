//! The payment that a wallet's last command may have left under way.
//!
//! `NAME.pending` holds the signed record from before it is first sent until its fate is known. A command that finds
//! one hands in *that* record first, which is safe: it settles at most once. So Ctrl-C or a power cut in the middle of a
//! payment neither loses it nor pays twice.

use std::path::PathBuf;

use anyhow::Context;
use cbdc_client::{ClientError, Fate, NetworkFolder, Wallet};
use cbdc_ledger::Command;
use cbdc_ledger::command::{Payment, Signed};

/// Where a wallet's unfinished payment is kept.
pub struct Pending {
    path: PathBuf,
}

impl Pending {
    pub fn of(network: &NetworkFolder, name: &str) -> Pending {
        Pending { path: network.wallets_dir().join(format!("{name}.pending")) }
    }

    /// The unfinished payment, if there is one.
    pub fn payment(&self) -> anyhow::Result<Option<Signed<Payment>>> {
        let bytes = match std::fs::read(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("cannot read {}", self.path.display()))?,
        };
        match Command::from_bytes(&bytes) {
            Ok(Command::Payment(payment)) => Ok(Some(payment)),
            // It was cut short before it was ever sent.
            _ => self.forget().map(|()| None),
        }
    }

    fn forget(&self) -> anyhow::Result<()> {
        std::fs::remove_file(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))
    }

    fn keep(&self, payment: &Signed<Payment>) -> anyhow::Result<()> {
        let written = std::fs::File::create(&self.path).and_then(|mut file| {
            std::io::Write::write_all(&mut file, &payment.to_bytes())?;
            file.sync_all()
        });
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Hands a payment in; it is kept on disk until its fate is known.
    pub async fn submit(&self, wallet: &Wallet, payment: &Signed<Payment>) -> anyhow::Result<Fate> {
        self.keep(payment)?;
        let fate = match wallet.submit(payment).await {
            // Nothing was sent now; only a record that was kept from before may have been sent earlier.
            Err(ClientError::Unreachable { address, reason }) => {
                return Err(ClientError::Unreachable { address, reason }.into());
            }
            fate => fate?,
        };
        if matches!(fate, Fate::Settled { .. } | Fate::Refused(_)) {
            self.forget()?;
        }
        Ok(fate)
    }

    /// As [`Pending::submit`], for a record that was just signed: where nobody could be reached, it is forgotten.
    pub async fn submit_new(&self, wallet: &Wallet, payment: &Signed<Payment>) -> anyhow::Result<Fate> {
        let fate = self.submit(wallet, payment).await;
        let was_not_sent =
            |error: &anyhow::Error| matches!(error.downcast_ref(), Some(ClientError::Unreachable { .. }));
        if fate.as_ref().is_err_and(was_not_sent) {
            self.forget()?;
        }
        fate
    }
}
