//! The pending payment, which a wallet's previous command may have left in flight.
//!
//! `NAME.pending` holds the signed record from before it is first sent until its status was shown. A command that finds
//! one submits *that* record first, which is safe: it settles at most once. Ctrl-C or a power cut during a payment
//! therefore neither loses it nor pays twice, and two commands for one wallet run one after the other.

use anyhow::Context;
use cbdc_client::{Anchor, BankId, ClientError, InFlightFile, NetworkFolder, SubmissionStatus, Wallet};
use cbdc_ledger::Command;
use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, Payment, PaymentKind, Signed};

use super::format::grouped;
use crate::earlier::Earlier;
use crate::exit::Usage;
use crate::output::Output;

/// A wallet's pending payment.
pub struct Pending {
    file: InFlightFile,
    name: String,
}

impl Pending {
    /// The pending payment of the wallet `name`. Waits until other commands of the same wallet have ended.
    pub fn of(network: &NetworkFolder, name: &str, output: &Output) -> anyhow::Result<Pending> {
        // Checked before a file is created: the wallet must exist.
        network.wallet_file(name)?;
        let waits = || output.note(&format!("waiting for another command of the wallet `{name}` to end"));
        let file = InFlightFile::open(network.wallets_dir().join(format!("{name}.pending")), waits)?;
        Ok(Pending { file, name: name.to_owned() })
    }

    /// The wallet, connected to its linked bank if that is another bank than its own and either `top_up` or the pending
    /// payment needs it: only the bank to which a payment was submitted knows its status.
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
    ///
    /// # Errors
    /// The file is damaged: nobody knows whether a payment is in flight.
    pub fn payment(&self) -> anyhow::Result<Option<Signed<Payment>>> {
        let Some(bytes) = self.file.read()? else { return Ok(None) };
        match Command::from_bytes(&bytes) {
            Ok(Command::Payment(payment)) => Ok(Some(payment)),
            _ => Err(self.file.damaged().into()),
        }
    }

    /// Calls `show`, which shows a settled payment or fails with any other status, and then removes the payment if its
    /// status is final. A command that is killed before that, or whose answer could not be written, shows the same
    /// payment again when it is repeated, instead of making another.
    pub fn show(
        &self,
        output: &Output,
        status: SubmissionStatus,
        show: impl FnOnce(SubmissionStatus) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let is_final = status.is_final();
        let shown = show(status);
        if is_final && !output.is_cut() {
            self.file.forget()?;
        }
        shown
    }

    /// Makes a payment, which `sign` signs: but first settles what an earlier command left in flight, and that is the
    /// answer if `is_same` says that it is what is asked for, or if its status is open still.
    pub async fn make(
        &self,
        output: &Output,
        wallet: &Wallet,
        is_same: impl Fn(&Payment) -> bool,
        sign: impl AsyncFn() -> Result<Signed<Payment>, ClientError>,
    ) -> anyhow::Result<(Signed<Payment>, SubmissionStatus)> {
        if let Some(earlier) = self.payment()? {
            let status = self.submit(wallet, &earlier).await.context("an earlier payment is still in flight")?;
            let found = Earlier::of(&status, is_same(&earlier.record));
            found.note(output, &describe(wallet.anchor(), &earlier.record));
            if found.is_the_answer() {
                return Ok((earlier, status));
            }
        }
        let attempt = || async {
            let payment = sign().await?;
            let status = self.submit_new(wallet, &payment).await?;
            anyhow::Ok((payment, status))
        };
        wallet.re_sign_if_taken(attempt).await
    }

    /// Submits a payment, which is kept on disk until [`Pending::show`] forgets it.
    async fn submit(&self, wallet: &Wallet, payment: &Signed<Payment>) -> anyhow::Result<SubmissionStatus> {
        self.file.keep(&payment.to_bytes())?;
        Ok(wallet.submit(payment).await?)
    }

    /// Like [`Pending::submit`], for a record that was just signed: if the bank cannot be reached, it is removed, since
    /// nothing was sent.
    async fn submit_new(&self, wallet: &Wallet, payment: &Signed<Payment>) -> anyhow::Result<SubmissionStatus> {
        let status = self.submit(wallet, payment).await;
        let was_not_sent =
            |error: &anyhow::Error| matches!(error.downcast_ref(), Some(ClientError::Unreachable { .. }));
        if status.as_ref().is_err_and(was_not_sent) {
            self.file.forget()?;
        }
        status
    }
}

fn describe(anchor: &Anchor, payment: &Payment) -> String {
    let amount = anchor.show(payment.amount);
    match payment.kind {
        PaymentKind::Defund => format!("a defunding of {amount}"),
        _ => format!("a payment of {amount} to {}", grouped(payment.to)),
    }
}
