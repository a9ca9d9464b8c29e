//! Holds: listing them, and capturing and voiding them for this bank's payees.

use std::sync::Arc;

use cbdc_ledger::Amount;
use cbdc_ledger::command::{ReleaseHold, ReleaseKind};
use cbdc_node::views;
use cbdc_proto::convert::outcome_to_message;
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use tonic::Status;

use super::context::{BankContext, positive_amount};
use super::own_command::OwnCommands;
use super::session::Caller;
use crate::central_bank_client::CentralBankClient;
use crate::signing::SHORT_VALIDITY;

/// Lists holds for payers and payees; captures and voids them for the back office.
pub struct HoldService {
    pub context: BankContext,
    pub own_commands: OwnCommands,
    /// Knows all holds; a partial replica does not.
    pub central_bank: Arc<CentralBankClient>,
}

impl HoldService {
    pub async fn list(&self, caller: &Caller, request: v1::ListHoldsRequest) -> Result<v1::ListHoldsResponse, Status> {
        let account = self.context.own_account("account", &request.account)?;
        caller.require_reader(account)?;
        if self.context.is_partial_replica() {
            return self
                .central_bank
                .ask(|channel| async { SettlementClient::new(channel).list_holds(request.clone()).await })
                .await;
        }
        self.context.ledger.read(|ledger| views::holds(ledger, account, &request))
    }

    pub async fn capture(&self, request: &v1::CaptureHoldRequest) -> Result<v1::Outcome, Status> {
        let amount = positive_amount(request.amount_minor)?;
        self.release(ReleaseKind::Capture, request.hold, amount).await
    }

    pub async fn void(&self, request: &v1::VoidHoldRequest) -> Result<v1::Outcome, Status> {
        self.release(ReleaseKind::Void, request.hold, Amount::ZERO).await
    }

    async fn release(&self, kind: ReleaseKind, hold: u64, amount: Amount) -> Result<v1::Outcome, Status> {
        // The ledger decides whether the hold exists and whose it is, so that the reason comes as an outcome from every
        // call.
        let make = |head| ReleaseHold { kind, head, bank: self.context.bank, hold, amount };
        let answer = self.own_commands.settle(SHORT_VALIDITY, make).await?;
        Ok(outcome_to_message(&answer.outcome, answer.height, answer.index))
    }
}
