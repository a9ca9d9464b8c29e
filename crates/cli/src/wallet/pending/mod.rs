//! A wallet's records in flight: payments, defundings and holds whose answers were not shown yet.
//!
//! `NAME.pending` holds each signed record from before it is first sent until its final answer was shown. Ctrl-C, a
//! power cut or an outage therefore neither loses one nor makes one twice, and two commands for one wallet run one
//! after the other.
//!
//! 1. A command that asks for what a record does is that record's command: it submits the record again, which settles
//!    at most once, and shows its answer.
//! 2. For any other command a record is never submitted. What became of it is only looked up in the chain.
//! 3. While the status of another record is unknown, a new one is not made, unless it is meant *instead of* it.
//! 4. A new record is made beside records that the bank has accepted, and instead of those that were refused without
//!    finality or that it is meant instead of: it has the same sequence number, so that at most one of them settles. If
//!    an earlier one has settled already, the new one is not made.

mod record;

use cbdc_client::{BankId, BlockPosition, ClientError, InFlightFile, NetworkFolder, Reason, SubmissionStatus, Wallet};
use cbdc_ledger::Command;
use clap::Args;

use crate::earlier::Earlier;
use crate::exit::{StillOpen, Usage};
use crate::network::NetworkArgument;
use crate::output::Output;
use crate::wallet::receipt::payment_of;

pub use record::InFlight;
use record::State;

/// How often, and at which interval, the chain is asked which record has used a number: the bank's replica may
/// be a moment behind.
const LOOKS: usize = 20;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
/// How far the chain's time must be past a record's valid-until before a bank that does not know it is believed: the
/// bank's history is a moment behind its ledger.
const MARGIN_MS: u64 = 10_000;

#[derive(Args, Debug)]
pub struct InsteadArgument {
    /// Make this one instead of an earlier one whose status is not known, so that at most one of them settles
    #[arg(long)]
    pub instead: bool,
}

/// The intent of a command, for which a record may be in flight.
pub struct Intent<S> {
    /// Whether a record does what the command asks for.
    pub is_same: S,
    /// How long that lasts, for a hold; otherwise 0.
    pub lasts_s: u64,
    /// Whether it is meant instead of one whose status is unknown.
    pub instead: bool,
}

/// The record that a command has submitted, and its status.
pub struct Made {
    pub command: Command,
    pub status: SubmissionStatus,
}

/// The status of a record, as the chain shows it.
enum RecordStatus {
    Settled(BlockPosition),
    NeverSettles,
    Open,
}

/// A wallet's records in flight.
pub struct Pending {
    file: InFlightFile,
    name: String,
    /// What a printed command needs to find the network.
    suffix: String,
}

impl Pending {
    /// The records of the wallet `name`. Waits until other commands of the same wallet have ended.
    pub fn of(
        argument: &NetworkArgument,
        network: &NetworkFolder,
        name: &str,
        output: &Output,
    ) -> anyhow::Result<Pending> {
        // Checked before a file is created: the wallet must exist.
        network.wallet_file(name)?;
        let waits = || output.note(&format!("waiting for another command of the wallet `{name}` to end"));
        let file = InFlightFile::open(network.wallets_dir().join(format!("{name}.pending")), waits)?;
        Ok(Pending { file, name: name.to_owned(), suffix: argument.suffix() })
    }

    /// The wallet, connected to its linked bank if that is another bank than its own and `top_up` needs it: only the
    /// bank to which a payment was submitted knows its status.
    pub async fn wallet(&self, network: &NetworkFolder, top_up: bool) -> anyhow::Result<Wallet> {
        let wallet = network.wallet(&self.name)?;
        if !top_up {
            return Ok(wallet);
        }
        match BankId(u16::try_from(wallet.details().await?.linked_bank).unwrap_or_default()) {
            BankId(0) => Err(Usage(format!(
                "{0} is linked to no bank that could top it up; link one first: cbdc wallet link {0} --bank N",
                self.name
            ))
            .into()),
            own if own == wallet.account().bank => Ok(wallet),
            linked => Ok(wallet.with_linked_bank(network.connect_customer(linked)?)),
        }
    }

    /// Carries out `intent`: submits the record that an earlier command left in flight for the same, or one that `sign`
    /// signs. It is kept on disk until [`Pending::show`] forgets it.
    pub async fn make<S>(
        &self,
        output: &Output,
        wallet: &Wallet,
        intent: Intent<S>,
        sign: impl AsyncFn(&Wallet) -> Result<Command, ClientError>,
    ) -> anyhow::Result<Made>
    where
        S: Fn(&InFlight) -> bool,
    {
        let mut records = self.records()?;
        let account = wallet.account();
        if let Some(index) = records.iter().position(|record| record.is_of(account) && (intent.is_same)(record)) {
            self.require_not_displaced(wallet, &records, index)?;
            let command = records[index].command.clone();
            let what = records[index].describe(wallet.anchor());
            let status = wallet.submit_command(&command).await?;
            let found = Earlier::of(&status);
            let is_rival = |record: &InFlight| {
                record.sequence() == records[index].sequence() && record.is_of(account) && record.command != command
            };
            // It was made instead of another, which may have settled after all.
            let number = records.iter().any(is_rival).then(|| records[index].sequence());
            if let (Earlier::NumberTaken, Some(number)) = (found, number) {
                self.require_none_settled(wallet, &mut records, number).await?;
            }
            found.note(output, &what);
            if found == Earlier::IsTheSame {
                records[index].state = State::after(&status);
                self.keep(&records)?;
                return Ok(Made { command, status });
            }
            records.retain(|record| record.command != command);
        }
        loop {
            self.look_up(output, wallet, &mut records).await?;
            let number = self.number(wallet, &records, intent.instead)?;
            let made = self.make_new(wallet, &records, number, intent.lasts_s, &sign).await?;
            match number {
                Some(number) if made.status.sequence_was_taken() => {
                    self.require_none_settled(wallet, &mut records, number).await?;
                }
                _ => {
                    self.end_of_rivals(output, wallet, &records, &made)?;
                    return Ok(made);
                }
            }
        }
    }

    /// Calls `show`, which shows a settled record or fails with any other status, and then removes the record if its
    /// status is final. A command that is killed before that, or whose answer could not be written, shows the same
    /// record again when it is repeated, instead of making another.
    pub fn show(
        &self,
        output: &Output,
        made: Made,
        show: impl FnOnce(&Command, SubmissionStatus) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Made { command, status } = made;
        let is_final = status.is_final();
        if let SubmissionStatus::Refused(refusal) = &status
            && let Some(until) = refusal.may_settle_until()
        {
            output.note(&format!(
                "note: it may still settle until {until} if a copy of it is sent; the same command, typed again, sends \
                it again; the next other one gets its number, so that at most one of the two settles"
            ));
        }
        let shown = show(&command, status);
        if is_final && !output.is_cut() {
            let mut records = self.records()?;
            records.retain(|record| record.command != command);
            self.keep(&records)?;
        }
        shown
    }

    /// Fails while a record of the wallet is in flight, which a command that moves the wallet elsewhere would strand.
    pub async fn require_none(&self, output: &Output, wallet: &Wallet) -> anyhow::Result<()> {
        let mut records = self.records()?;
        self.look_up(output, wallet, &mut records).await?;
        let open = |record: &&InFlight| matches!(record.state, State::Sent | State::Accepted);
        match records.iter().filter(|record| record.is_of(wallet.account())).find(open) {
            None => Ok(()),
            Some(record) => Err(StillOpen(format!(
                "{} may still settle until {}; ask first what became of it: {}",
                record.describe(wallet.anchor()),
                record.command.head().valid_until,
                record.command_line(wallet.anchor(), &self.name, &self.suffix)
            ))
            .into()),
        }
    }

    /// Fails if a record was refused and the bank has accepted another with its number, which decides.
    fn require_not_displaced(&self, wallet: &Wallet, records: &[InFlight], index: usize) -> anyhow::Result<()> {
        let (anchor, record) = (wallet.anchor(), &records[index]);
        let displaces = |other: &&InFlight| {
            other.state == State::Accepted && other.sequence() == record.sequence() && other.is_of(wallet.account())
        };
        match records.iter().find(displaces) {
            Some(other) if record.state == State::Refused => Err(StillOpen(format!(
                "{} was refused, and {} was accepted instead of it: at most one of the two settles; ask first what \
                became of that: {}",
                record.describe(anchor),
                other.describe(anchor),
                other.command_line(anchor, &self.name, &self.suffix)
            ))
            .into()),
            _ => Ok(()),
        }
    }

    /// Signs and submits a new record beside the kept ones: with `number`, or with one that none of them has.
    async fn make_new(
        &self,
        wallet: &Wallet,
        others: &[InFlight],
        number: Option<u64>,
        lasts_s: u64,
        sign: &impl AsyncFn(&Wallet) -> Result<Command, ClientError>,
    ) -> anyhow::Result<Made> {
        let of_this_account = others.iter().filter(|record| record.is_of(wallet.account()));
        of_this_account.for_each(|record| wallet.set_aside(record.sequence()));
        let wallet = match number {
            Some(number) => wallet.clone().instead_of(number),
            None => wallet.clone(),
        };
        let attempt = || async {
            let command = sign(&wallet).await?;
            let kept = |state| {
                let new = InFlight { command: command.clone(), state, lasts_s };
                self.keep(&others.iter().cloned().chain([new]).collect::<Vec<_>>())
            };
            kept(State::Sent)?;
            match wallet.submit_command(&command).await {
                // Nothing was sent.
                Err(error @ ClientError::Unreachable { .. }) => {
                    self.keep(others)?;
                    Err(error.into())
                }
                Ok(status) if status.sequence_was_taken() => {
                    self.keep(others)?;
                    Ok((command, status))
                }
                Ok(status) => {
                    kept(State::after(&status))?;
                    Ok((command, status))
                }
                Err(error) => Err(anyhow::Error::new(error)),
            }
        };
        let (command, status) = wallet.re_sign_if_taken(attempt).await?;
        Ok(Made { command, status })
    }

    /// The number that a new record must have: that of records which were refused and may settle, or which it is made
    /// instead of. `None` is any that is unused.
    ///
    /// # Errors
    /// The status of a record is unknown, and the new one is not meant instead of it.
    fn number(&self, wallet: &Wallet, records: &[InFlight], instead: bool) -> anyhow::Result<Option<u64>> {
        let own = || records.iter().filter(|record| record.is_of(wallet.account()));
        if let Some(unknown) = own().find(|record| record.state == State::Sent) {
            if instead {
                return Ok(Some(unknown.sequence()));
            }
            let anchor = wallet.anchor();
            return Err(StillOpen(format!(
                "{} is still in flight and may settle until {}, so this one is not made; ask first what became \
                of it: {}\nor add --instead, which gives this one its number, so that at most one of the two settles",
                unknown.describe(anchor),
                unknown.command.head().valid_until,
                unknown.command_line(anchor, &self.name, &self.suffix)
            ))
            .into());
        }
        let is_accepted = |number| own().any(|record| record.sequence() == number && record.state == State::Accepted);
        let refused = own().filter(|record| record.state == State::Refused).map(InFlight::sequence);
        Ok(refused.filter(|number| !is_accepted(*number)).min())
    }

    /// Looks up in the chain what became of the records, without submitting them.
    async fn look_up(&self, output: &Output, wallet: &Wallet, records: &mut Vec<InFlight>) -> anyhow::Result<()> {
        let is_open = |record: &InFlight| record.state != State::Over && record.is_of(wallet.account());
        if !records.iter().any(is_open) {
            return Ok(());
        }
        // Read before the receipts. A bank that does not answer knows nothing of the chain's time either.
        let time_ms = wallet.status().await.map_or(0, |status| status.time_ms);
        let mut left = Vec::with_capacity(records.len());
        for mut record in std::mem::take(records) {
            let was = record.state;
            if is_open(&record) {
                let what = record.describe(wallet.anchor());
                let became = match status_in_chain(wallet, &record, time_ms).await {
                    RecordStatus::Open => None,
                    RecordStatus::Settled(position) => Some(format!("is settled at {position}")),
                    RecordStatus::NeverSettles => Some("can never settle any more".to_owned()),
                };
                if let Some(became) = became {
                    output.note(&format!("note: {what}, which was in flight, {became}"));
                    // The command that was answered "accepted", or not at all, is still to be told that it settled.
                    record.state = State::Over;
                    if was != State::Accepted && became.starts_with("can never") {
                        continue;
                    }
                }
            }
            left.push(record);
        }
        *records = left;
        self.keep(records)
    }

    /// After a new record found its number used: fails if one of those with the same number has settled. Otherwise none
    /// of them ever does.
    async fn require_none_settled(
        &self,
        wallet: &Wallet,
        records: &mut Vec<InFlight>,
        number: u64,
    ) -> anyhow::Result<()> {
        let mut looks = 0;
        let receipt = loop {
            match wallet.receipt_of_sequence(number).await {
                Err(ClientError::NotFound(_)) if looks < LOOKS => {
                    looks += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(receipt) => break receipt,
                Err(error) => {
                    return Err(StillOpen(format!(
                        "this one was not made, since another record has used its number; which one could not be \
                        learned: {error}"
                    ))
                    .into());
                }
            }
        };
        let rivals = |record: &InFlight| record.sequence() == number && record.is_of(wallet.account());
        let used = records.iter().position(|record| rivals(record) && is_of(receipt.command(), &record.command));
        let settled = used.filter(|_| receipt.outcome().is_settled()).map(|index| records[index].clone());
        records.retain(|record| !rivals(record));
        let Some(mut settled) = settled else {
            return self.keep(records);
        };
        settled.state = State::Over;
        let what = settled.describe(wallet.anchor());
        records.push(settled);
        self.keep(records)?;
        let taken = cbdc_ledger::Outcome::refused(Reason::SequenceConflict, 0, number);
        let refusal = cbdc_client::Refusal {
            outcome: taken,
            sentence: taken.reason.text().to_owned(),
            position: None,
            finality: cbdc_client::Finality::Final,
        };
        Err(anyhow::Error::new(ClientError::from(refusal)).context(format!(
            "{what}, which was in flight, has settled at {}, so this one was not made; to make it as well, type it \
            again",
            receipt.position()
        )))
    }

    /// After a new record used its number: the others with that number never settle.
    fn end_of_rivals(&self, output: &Output, wallet: &Wallet, records: &[InFlight], made: &Made) -> anyhow::Result<()> {
        let has_used = match &made.status {
            SubmissionStatus::Settled { .. } => true,
            SubmissionStatus::Refused(refusal) => refusal.position.is_some(),
            _ => false,
        };
        let number = made.command.head().sequence;
        let is_rival = |record: &InFlight| record.sequence() == number && record.is_of(wallet.account());
        if !has_used || !records.iter().any(is_rival) {
            return Ok(());
        }
        for rival in records.iter().filter(|record| is_rival(record)) {
            let what = rival.describe(wallet.anchor());
            output.note(&format!("note: {what}, which was in flight, can never settle now: this one took its number"));
        }
        let mut kept = self.records()?;
        kept.retain(|record| record.command == made.command || !is_rival(record));
        self.keep(&kept)
    }

    /// The records in flight.
    ///
    /// # Errors
    /// The file is damaged: nobody knows what is in flight.
    fn records(&self) -> anyhow::Result<Vec<InFlight>> {
        let Some(bytes) = self.file.read()? else { return Ok(Vec::new()) };
        Ok(record::from_bytes(&bytes).ok_or_else(|| self.file.damaged())?)
    }

    fn keep(&self, records: &[InFlight]) -> anyhow::Result<()> {
        match records {
            [] => self.file.forget()?,
            records => self.file.keep(&record::to_bytes(records))?,
        }
        Ok(())
    }
}

/// The status of a record in the chain, whose time was `time_ms` before.
async fn status_in_chain(wallet: &Wallet, record: &InFlight, time_ms: u64) -> RecordStatus {
    match wallet.receipt_of_sequence(record.sequence()).await {
        Ok(receipt) if is_of(receipt.command(), &record.command) && receipt.outcome().is_settled() => {
            RecordStatus::Settled(receipt.position())
        }
        Ok(_) => RecordStatus::NeverSettles,
        Err(ClientError::NotFound(_)) if record.command.head().valid_until.plus_ms(MARGIN_MS).0 < time_ms => {
            RecordStatus::NeverSettles
        }
        Err(_) => RecordStatus::Open,
    }
}

/// Whether a command of the chain is a record, or carries it.
fn is_of(found: &Command, record: &Command) -> bool {
    match (record, payment_of(found)) {
        (Command::Payment(payment), Some(found)) => found == payment,
        _ => found == record,
    }
}
