//! Receipts and past payments, from the replica's archive.

use std::sync::Arc;

use cbdc_ledger::Height;
use cbdc_ledger::command::Record;
use cbdc_node::Archive;
use cbdc_proto::convert::{receipt_to_message, required};
use cbdc_proto::status::{invalid, not_found};
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;
use tonic::Status;

use super::context::{BankContext, look_up};
use crate::central_bank_client::CentralBankClient;
use crate::history::{BlockPosition, History, PastPayment};

const PAGE_SIZE: u32 = 50;
const PAGE_SIZE_MAX: u32 = 500;

/// Serves receipts and past payments.
pub struct HistoryService {
    pub context: BankContext,
    pub history: Arc<History>,
    pub archive: Arc<Archive>,
    /// Gives the receipts of a partial replica, which keeps no whole blocks.
    pub central_bank: Arc<CentralBankClient>,
}

impl HistoryService {
    pub async fn receipt(&self, request: v1::GetBankReceiptRequest) -> Result<v1::Receipt, Status> {
        use v1::get_bank_receipt_request::{BlockPosition, Command, SequenceNumber};
        let (height, index) = match required("command", request.command)? {
            Command::Position(BlockPosition { height, index }) => (Height(height), index),
            Command::Sequence(SequenceNumber { account, sequence }) => {
                let account = self.context.own_account("account", &account)?;
                let history = self.history.clone();
                let past = look_up(move || history.by_sequence(account, sequence)).await?;
                let missing =
                    || not_found(format!("no command of {account} with the sequence number {sequence} is known here"));
                let ordered = past.ok_or_else(missing)?.ordered;
                (ordered.height, ordered.index)
            }
        };
        if self.context.is_partial_replica() {
            // Proved by the header, so whoever asked need not trust either bank.
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

    pub async fn list(&self, request: v1::ListPaymentsRequest) -> Result<v1::ListPaymentsResponse, Status> {
        let account = self.context.own_account("account", &request.account)?;
        let size = match request.page_size {
            0 => PAGE_SIZE,
            size if size <= PAGE_SIZE_MAX => size,
            size => return Err(invalid("page_size", format!("expected at most {PAGE_SIZE_MAX}, found {size}"))),
        };
        let before = match request.page_token.as_str() {
            "" => None,
            token => {
                Some(read_token(token).ok_or_else(|| invalid("page_token", "expected it as the last answer gave it"))?)
            }
        };
        let history = self.history.clone();
        let past = look_up(move || history.list(account, before, size as usize)).await?;
        let next_page_token = match past.last() {
            Some(last) if past.len() == size as usize => format!("{}.{}", last.ordered.height, last.ordered.index),
            _ => String::new(),
        };
        Ok(v1::ListPaymentsResponse { payments: past.iter().map(entry).collect(), next_page_token })
    }
}

/// Reads a page token: the position of the last payment shown, as height, dot, index.
fn read_token(token: &str) -> Option<BlockPosition> {
    let (height, index) = token.split_once('.')?;
    Some((Height(height.parse().ok()?), index.parse().ok()?))
}

fn entry(past: &PastPayment) -> v1::PaymentEntry {
    let record = &past.payment.record;
    v1::PaymentEntry {
        height: past.ordered.height.0,
        index: past.ordered.index,
        time_ms: past.time.0,
        kind: record.kind().name().to_owned(),
        from: record.from.to_string(),
        to: record.to.to_string(),
        amount_minor: record.amount.minor(),
        reference: record.reference.to_vec().into(),
        sequence: record.head.sequence,
        reason: past.ordered.outcome.reason.name().to_owned(),
        waterfall_minor: 0,
        reverse_waterfall_minor: past.ordered.outcome.charges().reverse_waterfall.minor(),
    }
}
