//! The pending payment, which a wallet's last command may have left in flight.
//!
//! `NAME.pending` holds the signed record from before it is first sent until its status is known. A command that finds
//! one submits *that* record first, which is safe: it settles at most once. Ctrl-C or a power cut during a payment
//! therefore neither loses it nor pays twice.

use std::path::PathBuf;

use anyhow::Context;
use cbdc_client::{BankId, ClientError, NetworkFolder, SubmissionStatus, Wallet};
use cbdc_ledger::Command;
use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, Payment, Signed};

use crate::exit::Usage;

/// The file of a wallet's pending payment.
pub struct Pending {
    path: PathBuf,
    name: String,
}

impl Pending {
    pub fn of(network: &NetworkFolder, name: &str) -> Pending {
        Pending { path: network.wallets_dir().join(format!("{name}.pending")), name: name.to_owned() }
    }

    /// The wallet, connected to its linked bank if that is another bank than its own and either `top_up` or the pending
    /// payment needs it: only the bank that a payment was submitted to knows its status.
    pub async fn wallet(&self, network: &NetworkFolder, top_up: bool) -> anyhow::Result<Wallet> {
        let wallet = network.wallet(&self.name)?;
        let may_top_up = |payment: Signed<Payment>| payment.record.head.flags & FLAG_REVERSE_WATERFALL != 0;
        if !top_up && !self.payment()?.is_some_and(may_top_up) {
            return Ok(wallet);
        }
        match BankId(u16::try_from(wallet.details().await?.linked_bank).unwrap_or_default()) {
            BankId(0) if top_up => Err(Usage(format!(
                "{0} is linked to no bank that could top it up; link one first: cbdc wallet link {0} --bank N",
                self.name
            ))
            .into()),
            BankId(0) => Ok(wallet),
            own if own == wallet.account().bank => Ok(wallet),
            linked => Ok(wallet.with_linked_bank(network.connect_customer(linked)?)),
        }
    }

    /// The pending payment, if there is one.
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

    /// Submits a payment, which is kept on disk until its status is known.
    pub async fn submit(&self, wallet: &Wallet, payment: &Signed<Payment>) -> anyhow::Result<SubmissionStatus> {
        self.keep(payment)?;
        let status = match wallet.submit(payment).await {
            // Nothing was sent now; only a record that was kept from before may have been sent earlier.
            Err(ClientError::Unreachable { address, reason }) => {
                return Err(ClientError::Unreachable { address, reason }.into());
            }
            status => status?,
        };
        if matches!(status, SubmissionStatus::Settled { .. } | SubmissionStatus::Refused(_)) {
            self.forget()?;
        }
        Ok(status)
    }

    /// As [`Pending::submit`], for a record that was just signed: if the bank cannot be reached, it is forgotten.
    pub async fn submit_new(&self, wallet: &Wallet, payment: &Signed<Payment>) -> anyhow::Result<SubmissionStatus> {
        let status = self.submit(wallet, payment).await;
        let was_not_sent =
            |error: &anyhow::Error| matches!(error.downcast_ref(), Some(ClientError::Unreachable { .. }));
        if status.as_ref().is_err_and(was_not_sent) {
            self.forget()?;
        }
        status
    }
}
