//! The bank's own back office: money paid in, issuance, statements of deposits, reserves paid to other banks, closing
//! wallets, the treasury.

use cbdc_ledger::command::{CloseWallet, DepositStatement, IssuanceKind};
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Amount, BankId, MemberId, Outcome, Reason};
use cbdc_node::Membership;
use cbdc_proto::convert::{exact, number_u16, outcome_to_message};
use cbdc_proto::status::{invalid, not_authorised, of_refusal};
use cbdc_proto::v1;
use tonic::{Request, Status};

use super::context::{BankContext, positive_amount, status_unknown};
use super::own_command::OwnCommands;
use super::own_request::OwnRequestSender;
use crate::request_book::Intent;
use crate::signing::SHORT_VALIDITY;

/// Serves the bank's own back office.
pub struct BackOfficeService {
    pub context: BankContext,
    pub own_commands: OwnCommands,
    pub own_request_sender: OwnRequestSender,
    pub membership: Membership,
}

impl BackOfficeService {
    /// Admits only callers with the bank's own node key.
    pub fn require<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let (_, member) = self.membership.require(request, &[Role::Bank])?;
        let bank = self.context.bank;
        if member != MemberId(bank.0) {
            return Err(not_authorised(format!("expected the node key of bank {bank}, found that of bank {member}")));
        }
        Ok(())
    }

    pub async fn credit(&self, request: &v1::CreditDepositRequest) -> Result<v1::Deposit, Status> {
        let account = self.context.deposit_account("account", &request.account)?;
        let amount = positive_amount(request.amount_minor)?;
        let id = exact("request_id", &request.request_id)?;
        self.context.require_open_wallet(account)?;
        self.context.deposits.credit(id, account, amount).await.map_err(|refusal| of_refusal(&refusal))?;
        Ok(self.context.deposit_of(account))
    }

    pub async fn request_issuance(
        &self,
        request: &v1::RequestBankIssuanceRequest,
    ) -> Result<v1::RequestBankIssuanceResponse, Status> {
        use v1::request_bank_issuance_request::Kind;
        let kind = match request.kind() {
            Kind::Issue => IssuanceKind::Issue,
            Kind::Redeem => IssuanceKind::Redeem,
            Kind::Unspecified => {
                return Err(invalid("kind", format!("expected issue or redeem, found {}", request.kind)));
            }
        };
        let amount = positive_amount(request.amount_minor)?;
        let intent = Intent::Issuance { kind, amount };
        let answer = self.own_request_sender.ask(exact("request_id", &request.request_id)?, intent).await?;
        let outcome = answer.map(|answer| outcome_to_message(&answer.outcome, answer.height, answer.index));
        Ok(v1::RequestBankIssuanceResponse { outcome })
    }

    /// Reports the deposit book's own sum. Money in transit is owed to customers until it has arrived.
    pub async fn report_deposits(&self) -> Result<v1::ReportDepositsResponse, Status> {
        let (balances, in_transit) = self.context.deposits.totals();
        let deposits = Amount::from_minor(minor(balances + in_transit));
        let make = |head| DepositStatement { head, bank: self.context.bank, deposits };
        let answer = self.own_commands.settle(SHORT_VALIDITY, make).await?;
        Ok(v1::ReportDepositsResponse {
            outcome: Some(outcome_to_message(&answer.outcome, answer.height, answer.index)),
            deposits_minor: deposits.minor(),
        })
    }

    /// Pays reserves to another bank, once for each request id.
    pub async fn transfer_reserves(&self, request: &v1::TransferReservesRequest) -> Result<v1::Outcome, Status> {
        let (to, amount) = (BankId(number_u16("to", request.to)?), positive_amount(request.amount_minor)?);
        let intent = Intent::TransferReserves { to, amount };
        let answer = self.own_request_sender.ask(exact("request_id", &request.request_id)?, intent).await?;
        let answer = answer.ok_or_else(status_unknown)?;
        Ok(outcome_to_message(&answer.outcome, answer.height, answer.index))
    }

    /// Closes an empty wallet of this bank. The wallet's deposit stays the customer's.
    pub async fn close_wallet(&self, request: &v1::CloseWalletRequest) -> Result<v1::Outcome, Status> {
        let account = self.context.own_account("account", &request.account)?;
        self.context.require_open_wallet(account)?;
        let answer = self.own_commands.settle(SHORT_VALIDITY, |head| CloseWallet { head, account }).await?;
        Ok(outcome_to_message(&answer.outcome, answer.height, answer.index))
    }

    pub fn treasury(&self) -> Result<v1::Treasury, Status> {
        let id = AccountId::treasury(self.context.bank);
        let (deposits, in_transit) = self.context.deposits.totals();
        self.context.ledger.read(|ledger| {
            let account =
                ledger.account(id).ok_or_else(|| of_refusal(&Outcome::refused(Reason::UnknownMember, 0, 0)))?;
            Ok(v1::Treasury {
                account: id.to_string(),
                available_minor: account.spendable().minor(),
                deposits_minor: minor(deposits),
                in_transit_minor: minor(in_transit),
                reserves_minor: ledger.books().bank(self.context.bank).reserves.minor(),
                height: ledger.height().0,
            })
        })
    }
}

fn minor(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}
