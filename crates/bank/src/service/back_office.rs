//! The bank's own back office: money paid in, issuance, statements of deposits and accepting them, reserves paid to
//! other banks, closing wallets, the treasury.

use cbdc_environment::thread;
use cbdc_ledger::command::{CloseWallet, DepositStatement, IssuanceKind};
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Amount, BankId, MemberId, Outcome, Reason};
use cbdc_node::Membership;
use cbdc_node::views::wallet;
use cbdc_proto::convert::{exact, number_u16, outcome_to_message};
use cbdc_proto::status::{invalid, not_authorised, not_found, of_reason, of_refusal, unavailable};
use cbdc_proto::v1;
use tonic::{Request, Status};

use super::context::{BankContext, deposit_message, positive_amount, status_unknown};
use super::own_command::OwnCommands;
use super::own_request::OwnRequestSender;
use super::staged_balances::{StagedBalances, each_once};
use crate::deposit_doubt::Correction;
use crate::deposits::Deposit;
use crate::request_book::Intent;
use crate::signing::SHORT_VALIDITY;

/// The number of deposits on a page if none is asked for, and the most.
const DEPOSITS_PAGE: (u32, u32) = (50, 500);

/// Serves the bank's own back office.
pub struct BackOfficeService {
    pub context: BankContext,
    pub own_commands: OwnCommands,
    pub own_request_sender: OwnRequestSender,
    pub membership: Membership,
    pub staged_balances: StagedBalances,
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
        // Until then the wallet may be unknown here.
        self.context.deposits.caught_up().await.map_err(|refusal| of_refusal(&refusal))?;
        let account = self.context.deposit_account("account", &request.account)?;
        let amount = positive_amount(request.amount_minor)?;
        let id = exact("request_id", &request.request_id)?;
        self.context.require_open_wallet(account)?;
        let credited = self.context.deposits.credit(id, account, amount).await;
        let deposit = credited.map_err(|refusal| of_refusal(&refusal))?;
        Ok(deposit_message(account, &deposit))
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
        let totals = self.context.deposits.certain_totals().await;
        let (balances, in_transit) = totals.map_err(|refusal| of_refusal(&refusal))?;
        let deposits = Amount::from_minor(minor(balances + in_transit));
        let make = |head| DepositStatement { head, bank: self.context.bank, deposits };
        let answer = self.own_commands.settle(SHORT_VALIDITY, make).await?;
        Ok(v1::ReportDepositsResponse {
            outcome: Some(outcome_to_message(&answer.outcome, answer.height, answer.index)),
            deposits_minor: deposits.minor(),
        })
    }

    /// A page of the statement of deposits.
    pub async fn list_deposits(&self, request: &v1::ListDepositsRequest) -> Result<v1::ListDepositsResponse, Status> {
        let size = match request.page_size {
            0 => DEPOSITS_PAGE.0,
            size if size <= DEPOSITS_PAGE.1 => size,
            size => return Err(invalid("page_size", format!("expected at most {}, found {size}", DEPOSITS_PAGE.1))),
        } as usize;
        // A token is the account that comes next.
        let from: u64 = match request.page_token.as_str() {
            "" => 0,
            token => token.parse().map_err(|_| invalid("page_token", "expected it as the last answer gave it"))?,
        };
        let deposits = self.context.deposits.clone();
        let read = thread::blocking(move || deposits.statement(from, size + 1)).await;
        let statement = read.map_err(|_| unavailable("the node is stopping"))?;
        let mut statement = statement.map_err(|error| {
            tracing::error!(%error, "the deposit book cannot be read");
            Status::data_loss(error.to_string())
        })?;
        let next_page_token = match statement.deposits.len() > size {
            true => statement.deposits.pop().map_or_else(String::new, |(next, ..)| next.to_u64().to_string()),
            false => String::new(),
        };
        let line = |(account, deposit, correction): &(AccountId, Deposit, Correction)| v1::DepositLine {
            deposit: Some(deposit_message(*account, deposit)),
            debited_minor: correction.debited.minor(),
            shortfall_minor: correction.shortfall.minor(),
        };
        let (corrected, shortfall) = statement.corrected;
        Ok(v1::ListDepositsResponse {
            in_doubt: statement.since.is_some(),
            since_height: statement.since.unwrap_or_default().0,
            statement: statement.revision,
            height: statement.height.0,
            corrected,
            shortfall_minor: minor(shortfall),
            deposits: statement.deposits.iter().map(line).collect(),
            next_page_token,
            catching_up: statement.catching_up_to.is_some(),
            head: statement.catching_up_to.unwrap_or_default().0,
        })
    }

    /// Accepts the deposits as a statement shows them, with the balances set that are given.
    pub async fn accept_deposits(
        &self,
        request: &v1::AcceptDepositsRequest,
    ) -> Result<v1::AcceptDepositsResponse, Status> {
        let statement = request.statement;
        let balance = |v1::DepositBalance { account, balance_minor }: &v1::DepositBalance| {
            let account = self.context.deposit_account("account", account)?;
            if self.context.ledger.read(|ledger| wallet(ledger, account).is_none()) {
                return Err(not_found(format!("there is no wallet {account}, and so no deposit beside it")));
            }
            Ok((account, Amount::from_minor(*balance_minor)))
        };
        let balances = request.balances.iter().map(balance).collect::<Result<Vec<_>, Status>>()?;
        let two = |account| invalid("balances", format!("expected one balance of {account}, found two"));
        let balances = each_once(balances).map_err(two)?;
        self.context.deposits.caught_up().await.map_err(|refusal| of_refusal(&refusal))?;
        if !self.context.deposits.deposits_in_doubt() {
            return Ok(v1::AcceptDepositsResponse { accepted: false, kept: 0 });
        }
        if !self.context.deposits.has_shown(statement) {
            return Err(other_statement(statement));
        }
        let balances = if request.more || request.balances_total > 0 {
            let another = |account| {
                let sentence = format!(
                    "expected the balance of {account} that an earlier request had, found another; nothing was done: \
                     send all again"
                );
                invalid("balances", sentence)
            };
            let kept = self.staged_balances.add(statement, balances).map_err(another)?;
            if request.more {
                return Ok(v1::AcceptDepositsResponse { accepted: false, kept });
            }
            // Whatever becomes of them, they are not kept any longer: a corrected set begins anew.
            let all = self.staged_balances.take();
            let expected = request.balances_total;
            if kept != expected {
                let sentence =
                    format!("expected {expected} in all requests, found {kept}; nothing was done: send all again");
                return Err(invalid("balances_total", sentence));
            }
            all
        } else {
            balances
        };
        let accepted = self.context.deposits.accept_deposits(statement, balances.into_iter().collect()).await;
        let accepted = accepted.map_err(|refusal| match refusal.reason {
            Reason::DepositsInDoubt => other_statement(statement),
            _ => of_refusal(&refusal),
        })?;
        Ok(v1::AcceptDepositsResponse { accepted, kept: 0 })
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
        let deposits_in_doubt = self.context.deposits.deposits_in_doubt();
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
                deposits_in_doubt,
            })
        })
    }
}

/// The refusal of an acceptance that was not decided by the statement shown last, or by what still holds.
fn other_statement(statement: u64) -> Status {
    of_reason(
        Reason::DepositsInDoubt,
        format!(
            "statement {statement} is not the one shown last, or deposits have changed since: nothing was accepted; \
             list the deposits again and compare that statement"
        ),
    )
}

fn minor(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}
