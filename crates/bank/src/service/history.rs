//! Receipts and past payments, from the replica's archive.

use std::sync::Arc;

use cbdc_ledger::block::{Cause, Entry};
use cbdc_ledger::command::{Kind, Payment, Record};
use cbdc_ledger::{Account, AccountId, Height, Outcome, Reason};
use cbdc_node::Archive;
use cbdc_proto::convert::{exact, payment_to_message, receipt_from_message, receipt_to_message, required};
use cbdc_proto::status::{invalid, not_authorised, not_found, unavailable};
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;
use tonic::Status;

use super::context::{BankContext, look_up};
use super::session::Caller;
use crate::central_bank_client::CentralBankClient;
use crate::history::{History, LinePosition, Page, PastChange, ROWS_MAX, RowsLeft, Sought};

const PAGE_SIZE: u32 = 50;
const PAGE_SIZE_MAX: u32 = 500;
/// The answer to a caller known only by a hash.
const NO_SUCH_COMMAND: &str = "there is no command with that hash at that position";

/// Serves receipts and past payments.
pub struct HistoryService {
    pub context: BankContext,
    pub history: Arc<History>,
    pub archive: Arc<Archive>,
    /// Provides the receipts of a partial replica, which keeps no whole blocks.
    pub central_bank: Arc<CentralBankClient>,
}

impl HistoryService {
    /// The receipt of a command, for a caller whom the command concerns or who has its hash.
    pub async fn receipt(&self, caller: &Caller, request: v1::GetBankReceiptRequest) -> Result<v1::Receipt, Status> {
        let hash = match request.command_hash.is_empty() {
            true => None,
            false => Some(blake3::Hash::from_bytes(exact("command_hash", &request.command_hash)?)),
        };
        use v1::get_bank_receipt_request::{BlockPosition, Command, SequenceNumber};
        let command = required("command", request.command)?;
        let is_by_sequence = matches!(command, Command::Sequence(_));
        let (height, index) = match command {
            Command::Position(BlockPosition { height, index }) => {
                if hash.is_none() && !caller.is_member() {
                    caller.holder()?;
                }
                (Height(height), index)
            }
            Command::Sequence(SequenceNumber { account, sequence }) => {
                let account = self.context.own_account("account", &account)?;
                let reader = caller.require_reader(account);
                if hash.is_none() {
                    reader.clone()?;
                }
                let history = self.history.clone();
                // Read before the chain: a record leaves the outbox once it is on the chain.
                let waits = self.context.deposits.waiting_of(account).numbers.contains(&sequence);
                let past = look_up(move || history.by_sequence(account, sequence, &mut RowsLeft::of_one())).await?;
                let missing = || match waits {
                    // The answer does not reveal how many payments a wallet has made either.
                    _ if reader.is_err() => not_found(NO_SUCH_COMMAND),
                    true => unavailable(format!(
                        "the payment of {account} with the sequence number {sequence} is in this bank's outbox and not \
                        settled yet: there is no receipt"
                    )),
                    false => {
                        not_found(format!("no command of {account} with the sequence number {sequence} is known here"))
                    }
                };
                let ordered = match past {
                    Sought::Found(past) => past.ordered,
                    Sought::TooFarBack if reader.is_ok() => {
                        return Err(invalid(
                            "sequence",
                            format!(
                                "the payment lies more than {ROWS_MAX} blocks with commands of {account} back; ask for \
                                its receipt by height and index, which ListPayments tells"
                            ),
                        ));
                    }
                    _ => return Err(missing()),
                };
                (ordered.height, ordered.index)
            }
        };
        let receipt = self.receipt_at(height, index).await?;
        match hash {
            Some(hash) if blake3::hash(&receipt.command) == hash => Ok(receipt),
            Some(_) => Err(not_found(NO_SUCH_COMMAND)),
            None if is_by_sequence || caller.is_member() => Ok(receipt),
            None if self.concerns(caller.holder()?, (height, index), &receipt).await? => Ok(receipt),
            None => Err(not_authorised("the command names another wallet than the session's")),
        }
    }

    /// Whether a receipt's command names a wallet, opened it, or captured or voided a hold of it.
    async fn concerns(&self, wallet: AccountId, position: LinePosition, receipt: &v1::Receipt) -> Result<bool, Status> {
        let receipt = receipt_from_message(receipt)?;
        let command = cbdc_ledger::Command::from_bytes(&receipt.command).map_err(|error| {
            tracing::error!(%error, "a command of the archive cannot be read");
            Status::data_loss(error.to_string())
        })?;
        match command.kind() {
            Kind::OpenWallet | Kind::MoveWallet
                if receipt.outcome.is_settled() && receipt.outcome.amount == wallet.to_u64() =>
            {
                Ok(true)
            }
            // The record names only the hold; the wallet's history knows whose it was.
            Kind::Capture | Kind::Void => {
                let history = self.history.clone();
                look_up(move || history.has_entry_at(wallet, position)).await
            }
            _ => Ok(command.accounts().any(|named| named == wallet)),
        }
    }

    async fn receipt_at(&self, height: Height, index: u32) -> Result<v1::Receipt, Status> {
        if self.context.is_partial_replica() {
            // The header proves it, so the caller need trust neither bank.
            let request = v1::GetReceiptRequest { height: height.0, index };
            return self
                .central_bank
                .ask(|channel| async { ChainClient::new(channel).get_receipt(request).await })
                .await;
        }
        let archive = self.archive.clone();
        let receipt = look_up(move || archive.receipt(height, index)).await?;
        let missing = || not_found(format!("there is no command {index} in block {height}"));
        Ok(receipt_to_message(&receipt.ok_or_else(missing)?))
    }

    pub async fn list(
        &self,
        caller: &Caller,
        request: v1::ListPaymentsRequest,
    ) -> Result<v1::ListPaymentsResponse, Status> {
        let account = self.context.own_account("account", &request.account)?;
        caller.require_reader(account)?;
        let size = match request.page_size {
            0 => PAGE_SIZE,
            size if size <= PAGE_SIZE_MAX => size,
            size => return Err(invalid("page_size", format!("expected at most {PAGE_SIZE_MAX}, found {size}"))),
        };
        // Read before the chain: a payment that settles in between is listed twice, but never missed.
        let accepted = match request.page_token.as_str() {
            "" => self.context.deposits.waiting_of(account).accepted,
            _ => Vec::new(),
        };
        let (page, balance) = self.page(account, &request.page_token, size as usize).await?;
        let (mut payments, mut left) = (Vec::with_capacity(page.changes.len()), balance);
        for change in &page.changes {
            payments.push(entry(account, change, left));
            left -= change.sum();
        }
        let next_page_token = page.next.map_or_else(String::new, |(height, index)| format!("{height}.{index}.{left}"));
        let accepted = accepted.iter().map(payment_to_message).collect();
        Ok(v1::ListPaymentsResponse { payments, next_page_token, accepted })
    }

    /// A page of a wallet's history, and the balance after its first line.
    async fn page(&self, account: AccountId, token: &str, size: usize) -> Result<(Page, i128), Status> {
        let history = self.history.clone();
        if token.is_empty() {
            let (height, balance) = self.newest(account).await?;
            return Ok((look_up(move || history.newest(account, height, size)).await?, balance));
        }
        let wrong = || invalid("page_token", "expected it as the last answer gave it, for the same wallet");
        let (before, balance) = read_token(token).ok_or_else(wrong)?;
        let page = look_up(move || history.before(account, before, size)).await?;
        Ok((page.ok_or_else(wrong)?, balance))
    }

    /// The newest block, and a wallet's balance there.
    async fn newest(&self, account: AccountId) -> Result<(Height, i128), Status> {
        let (height, balance) = self.context.ledger.read(|ledger| {
            let balance = ledger.account(account).map_or(0, Account::posted);
            (ledger.height(), balance)
        });
        // The ledger has a block a moment before the history does.
        if !self.context.replica_at(height).await {
            return Err(unavailable("the history is behind the balance; ask again"));
        }
        Ok((height, balance))
    }
}

/// Reads a page token: height and index of the last line shown, and the balance before it.
fn read_token(token: &str) -> Option<(LinePosition, i128)> {
    let mut parts = token.split('.');
    let position = (Height(parts.next()?.parse().ok()?), parts.next()?.parse().ok()?);
    let balance: i128 = parts.next()?.parse().ok()?;
    // Sums of balances are far from overflowing, whatever a token says.
    let is_possible = balance.unsigned_abs() <= u128::from(u64::MAX);
    (parts.next().is_none() && is_possible).then_some((position, balance))
}

/// A line as a message; `balance` is the wallet's after it.
fn entry(account: AccountId, past: &PastChange, balance: i128) -> v1::PaymentEntry {
    let (height, index) = past.position;
    let minor = |sum: i128| u64::try_from(sum).unwrap_or_default();
    let sum_of =
        |cause| past.entries.iter().filter(|entry| entry.cause == cause).map(|entry| entry.amount.minor()).sum();
    let line = v1::PaymentEntry {
        height: height.0,
        index,
        time_ms: past.time.0,
        waterfall_minor: sum_of(Cause::Waterfall),
        changes: past.entries.iter().map(change).collect(),
        balance_minor: minor(balance),
        ..v1::PaymentEntry::default()
    };
    match (past.payment(), &past.command) {
        (Some(payment), Some((_, outcome))) => of_payment(line, &payment.record, outcome),
        (_, command) => {
            let kind = command.as_ref().map(|(command, _)| command.kind().name());
            of_other(line, account, &past.entries, kind)
        }
    }
}

fn of_payment(line: v1::PaymentEntry, record: &Payment, outcome: &Outcome) -> v1::PaymentEntry {
    v1::PaymentEntry {
        kind: record.kind().name().to_owned(),
        from: record.from.to_string(),
        to: record.to.to_string(),
        amount_minor: record.amount.minor(),
        reference: record.reference.to_vec().into(),
        sequence: record.head.sequence,
        reason: outcome.reason.name().to_owned(),
        reverse_waterfall_minor: outcome.charges().reverse_waterfall.minor(),
        ..line
    }
}

/// A line other than a payment: described by its main entry, and by the command if the holder signed it.
fn of_other(line: v1::PaymentEntry, account: AccountId, entries: &[Entry], command: Option<&str>) -> v1::PaymentEntry {
    let beside = [Cause::Interest, Cause::Fee, Cause::PayeeFee, Cause::Demurrage, Cause::Waterfall];
    let main = entries.iter().find(|entry| !beside.contains(&entry.cause)).or(entries.first());
    let (own, other) = (account.to_string(), main.and_then(|entry| entry.counterparty));
    let other = other.map_or_else(String::new, |other| other.to_string());
    let is_credit = main.is_some_and(|entry| entry.cause.is_credit());
    let (from, to) = if is_credit { (other, own) } else { (own, other) };
    let kind = command.or(main.map(|entry| entry.cause.name())).unwrap_or_default();
    v1::PaymentEntry {
        kind: kind.to_owned(),
        from,
        to,
        amount_minor: main.map_or(0, |entry| entry.amount.minor()),
        reason: Reason::Settled.name().to_owned(),
        ..line
    }
}

fn change(entry: &Entry) -> v1::BalanceChange {
    let amount = entry.amount.minor();
    let (credit_minor, debit_minor) = if entry.cause.is_credit() { (amount, 0) } else { (0, amount) };
    v1::BalanceChange {
        cause: entry.cause.name().to_owned(),
        credit_minor,
        debit_minor,
        counterparty: entry.counterparty.map_or_else(String::new, |other| other.to_string()),
        number: entry.number,
    }
}
