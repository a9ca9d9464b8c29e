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
//!    an earlier one has settled already, or was accepted, nothing is made instead of it.
//! 5. Once one of several records with one number has used it, each other one is *displaced*: its command, typed again,
//!    tells that once, and makes nothing.

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
    /// Another record has used its number.
    Displaced,
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
        let same =
            |records: &[InFlight]| records.iter().position(|record| record.is_of(account) && (intent.is_same)(record));
        if same(&records).is_some_and(|index| rivals(&records, &records[index].command).next().is_some()) {
            // The chain may have decided between the two by now.
            self.look_up(output, wallet, &mut records).await?;
        }
        if let Some(index) = same(&records) {
            self.require_not_displaced(wallet, &mut records, index)?;
            let command = records[index].command.clone();
            let what = records[index].describe(wallet.anchor());
            let status = wallet.submit_command(&command).await?;
            let found = Earlier::of(&status);
            if found == Earlier::NumberTaken && rivals(&records, &command).next().is_some() {
                // It was made instead of another, or another instead of it, and that one may have settled.
                self.require_none_settled(output, wallet, &mut records, &command).await?;
            }
            found.note(output, &what);
            if found == Earlier::IsTheSame {
                records[index].state = State::after(&status);
                if has_used_number(&status) {
                    displace_rivals(output, wallet, &mut records, &command);
                }
                self.keep(&records)?;
                return Ok(Made { command, status });
            }
            records.retain(|record| record.command != command);
        }
        loop {
            self.look_up(output, wallet, &mut records).await?;
            let number = self.number(wallet, &records, intent.instead).await?;
            let Made { command, status } = self.make_new(wallet, &records, number, intent.lasts_s, &sign).await?;
            if number.is_some() && status.sequence_was_taken() {
                self.require_none_settled(output, wallet, &mut records, &command).await?;
                continue;
            }
            if has_used_number(&status) {
                let mut kept = self.records()?;
                displace_rivals(output, wallet, &mut kept, &command);
                self.keep(&kept)?;
            }
            return Ok(Made { command, status });
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

    /// Fails if another record has used a record's number, which is told once; and if the bank has accepted another
    /// with its number, which decides.
    fn require_not_displaced(&self, wallet: &Wallet, records: &mut Vec<InFlight>, index: usize) -> anyhow::Result<()> {
        let (anchor, record) = (wallet.anchor(), records[index].clone());
        if record.state == State::Displaced {
            records.remove(index);
            self.keep(records)?;
            return Err(not_made(
                record.sequence(),
                format!(
                    "{} was not made and never will be, since another record with its number has settled; to make it \
                     as well, type it again",
                    record.describe(anchor)
                ),
            ));
        }
        let decides = rivals(records, &record.command).find(|other| other.state == State::Accepted);
        match decides {
            Some(other) if matches!(record.state, State::Sent | State::Refused) => Err(StillOpen(format!(
                "{} was accepted instead of {}: at most one of the two settles; ask first what became of that: {}",
                other.describe(anchor),
                record.describe(anchor),
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
    /// The status of a record is unknown, and the new one is not meant instead of it; or it is meant instead of one
    /// that will settle, or has.
    async fn number(&self, wallet: &Wallet, records: &[InFlight], instead: bool) -> anyhow::Result<Option<u64>> {
        let anchor = wallet.anchor();
        let own = || records.iter().filter(|record| record.is_of(wallet.account()));
        let is_accepted = |number| own().any(|record| record.sequence() == number && record.state == State::Accepted);
        // Of an accepted record and its rivals one settles, whatever is made beside them.
        let undecided = |state| own().filter(move |record| record.state == state && !is_accepted(record.sequence()));
        if let Some(unknown) = undecided(State::Sent).next() {
            if instead {
                return Ok(Some(unknown.sequence()));
            }
            return Err(StillOpen(format!(
                "{} is still in flight and may settle until {}, so this one is not made; ask first what became of it: \
                {}\nor add --instead, which gives this one its number, so that at most one of the two settles",
                unknown.describe(anchor),
                unknown.command.head().valid_until,
                unknown.command_line(anchor, &self.name, &self.suffix)
            ))
            .into());
        }
        let refused = undecided(State::Refused).map(InFlight::sequence).min();
        if !instead || refused.is_some() {
            return Ok(refused);
        }
        if let Some(accepted) = own().find(|record| record.state == State::Accepted) {
            return Err(StillOpen(format!(
                "{} was accepted and settles once the central bank answers, so this one is not made instead of it; \
                 leave out --instead to make both",
                accepted.describe(anchor)
            ))
            .into());
        }
        for over in own().filter(|record| record.state == State::Over) {
            if let RecordStatus::Settled(position) = status_in_chain(wallet, over, 0).await {
                return Err(not_made(
                    over.sequence(),
                    format!(
                        "{} has settled at {position}, so this one was not made instead of it; leave out --instead to \
                         make it as well",
                        over.describe(anchor)
                    ),
                ));
            }
        }
        Ok(None)
    }

    /// Looks up in the chain what became of the records, without submitting them.
    async fn look_up(&self, output: &Output, wallet: &Wallet, records: &mut Vec<InFlight>) -> anyhow::Result<()> {
        if !records.iter().any(|record| record.state != State::Over && record.is_of(wallet.account())) {
            return Ok(());
        }
        // Read before the receipts. A bank that does not answer knows nothing of the chain's time either.
        let time_ms = wallet.status().await.map_or(0, |status| status.time_ms);
        let all = std::mem::take(records);
        for record in &all {
            let has_rival = rivals(&all, &record.command).next().is_some();
            records.extend(looked_up(output, wallet, record.clone(), has_rival, time_ms).await);
        }
        self.keep(records)
    }

    /// After the number of a record was found to be used: fails if one of its rivals has settled, and displaces the
    /// others. Otherwise none of those with the number ever settles.
    async fn require_none_settled(
        &self,
        output: &Output,
        wallet: &Wallet,
        records: &mut Vec<InFlight>,
        command: &Command,
    ) -> anyhow::Result<()> {
        let number = command.head().sequence;
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
        let used = rivals(records, command).find(|rival| is_of(receipt.command(), &rival.command)).cloned();
        let Some(settled) = used.filter(|_| receipt.outcome().is_settled()) else {
            let signer = command.signer();
            records.retain(|record| record.sequence() != number || record.command.signer() != signer);
            return self.keep(records);
        };
        // This one is told now.
        records.retain(|record| record.command != *command);
        for record in records.iter_mut().filter(|record| record.command == settled.command) {
            record.state = State::Over;
        }
        displace_rivals(output, wallet, records, &settled.command);
        self.keep(records)?;
        Err(not_made(
            number,
            format!(
                "{}, which was in flight, has settled at {}, so this one was not made; to make it as well, type it \
                 again",
                settled.describe(wallet.anchor()),
                receipt.position()
            ),
        ))
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

/// The other records with the number of `command`: at most one of them all settles.
fn rivals<'a>(records: &'a [InFlight], command: &'a Command) -> impl Iterator<Item = &'a InFlight> {
    records.iter().filter(move |record| is_rival(record, command))
}

fn is_rival(record: &InFlight, command: &Command) -> bool {
    record.sequence() == command.head().sequence
        && record.command.signer() == command.signer()
        && record.command != *command
}

/// Whether the number of a record with this status is used.
fn has_used_number(status: &SubmissionStatus) -> bool {
    match status {
        SubmissionStatus::Settled { .. } => true,
        SubmissionStatus::Refused(refusal) => refusal.position.is_some(),
        _ => false,
    }
}

/// After a record has used its number: the others with that number never settle. Those whose commands know only that
/// they were sent or accepted stay, until they have told that; a refused one is forgotten.
fn displace_rivals(output: &Output, wallet: &Wallet, records: &mut Vec<InFlight>, command: &Command) {
    for rival in records.iter_mut().filter(|record| is_rival(record, command)) {
        if matches!(rival.state, State::Sent | State::Refused | State::Accepted) {
            let what = rival.describe(wallet.anchor());
            output.note(&format!("note: {what}, which was in flight, can never settle now: another took its number"));
        }
        if matches!(rival.state, State::Sent | State::Accepted) {
            rival.state = State::Displaced;
        }
    }
    records.retain(|record| record.state != State::Refused || !is_rival(record, command));
}

/// A record after its status was looked up in the chain, whose time was `time_ms` before; `None` if there is nothing
/// left to tell.
async fn looked_up(
    output: &Output,
    wallet: &Wallet,
    mut record: InFlight,
    has_rival: bool,
    time_ms: u64,
) -> Option<InFlight> {
    if record.state == State::Over || !record.is_of(wallet.account()) {
        return Some(record);
    }
    if record.state == State::Displaced {
        return (!is_past(&record, time_ms)).then_some(record);
    }
    let (became, state) = match status_in_chain(wallet, &record, time_ms).await {
        RecordStatus::Open => return Some(record),
        RecordStatus::Settled(position) => (format!("is settled at {position}"), Some(State::Over)),
        RecordStatus::Displaced if has_rival && record.state != State::Refused => {
            ("can never settle now: another took its number".to_owned(), Some(State::Displaced))
        }
        // The command that was answered "accepted" is still to be told.
        RecordStatus::Displaced | RecordStatus::NeverSettles => {
            ("can never settle any more".to_owned(), (record.state == State::Accepted).then_some(State::Over))
        }
    };
    output.note(&format!("note: {}, which was in flight, {became}", record.describe(wallet.anchor())));
    record.state = state?;
    Some(record)
}

/// The status of a record in the chain, whose time was `time_ms` before.
async fn status_in_chain(wallet: &Wallet, record: &InFlight, time_ms: u64) -> RecordStatus {
    match wallet.receipt_of_sequence(record.sequence()).await {
        Ok(receipt) if !is_of(receipt.command(), &record.command) => RecordStatus::Displaced,
        Ok(receipt) if receipt.outcome().is_settled() => RecordStatus::Settled(receipt.position()),
        Ok(_) => RecordStatus::NeverSettles,
        Err(ClientError::NotFound(_)) if is_past(record, time_ms) => RecordStatus::NeverSettles,
        Err(_) => RecordStatus::Open,
    }
}

/// Whether a record that has not settled at a time of the chain never does.
fn is_past(record: &InFlight, time_ms: u64) -> bool {
    record.command.head().valid_until.plus_ms(MARGIN_MS).0 < time_ms
}

/// A record was not made, since another has used its number.
fn not_made(number: u64, sentence: String) -> anyhow::Error {
    let outcome = cbdc_ledger::Outcome::refused(Reason::SequenceConflict, 0, number);
    let refusal = cbdc_client::Refusal {
        outcome,
        sentence: outcome.reason.text().to_owned(),
        position: None,
        finality: cbdc_client::Finality::Final,
    };
    anyhow::Error::new(ClientError::from(refusal)).context(sentence)
}

/// Whether a command of the chain is a record, or carries it.
fn is_of(found: &Command, record: &Command) -> bool {
    match (record, payment_of(found)) {
        (Command::Payment(payment), Some(found)) => found == payment,
        _ => found == record,
    }
}
