//! The bank's own back office: money paid in, issuance, statements of deposits, reserves paid to other banks, closing
//! wallets, the treasury.

use std::sync::Arc;

use cbdc_ledger::command::{CloseWallet, DepositStatement, IssuanceKind, IssuanceRequest, ReservesTransfer};
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::OtherCopies;
use cbdc_ledger::{AccountId, Amount, BankId, MemberId, Outcome, Reason};
use cbdc_node::Membership;
use cbdc_node::re_sign::{Attempt, sign_until_done};
use cbdc_proto::convert::{exact, number_u16, outcome_from_message, outcome_to_message};
use cbdc_proto::status::{invalid, not_authorised, of_reason, of_refusal, refusal_of, unavailable};
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::context::{BankContext, positive_amount};
use super::own_command::OwnCommands;
use crate::own_sequence::Taken;
use crate::relay::CentralBankEndpoint;
use crate::signing::{REQUEST_VALIDITY, SHORT_VALIDITY};

/// Serves the bank's own back office.
pub struct BackOfficeService {
    pub context: BankContext,
    pub own_commands: OwnCommands,
    pub central_bank_endpoint: Arc<CentralBankEndpoint>,
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
        self.context.deposits.credit(id, account, amount).await.map_err(|refusal| match refusal.reason {
            Reason::SequenceConflict => {
                of_reason(refusal.reason, "request_id: it was used before, for another account or amount")
            }
            _ => of_refusal(&refusal),
        })?;
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
        let channel = self.central_bank_endpoint.channel().map_err(|error| unavailable(error.to_string()))?;
        let outcome = sign_until_done(|| self.request_issuance_once(channel.clone(), kind, amount)).await?;
        Ok(v1::RequestBankIssuanceResponse { outcome })
    }

    /// Signs one request and sends it once. `None` while it waits for the operator.
    async fn request_issuance_once(
        &self,
        channel: Channel,
        kind: IssuanceKind,
        amount: Amount,
    ) -> Attempt<Result<Option<v1::Outcome>, Status>> {
        let signer = &self.own_commands.signer;
        let make = |head| IssuanceRequest { kind, head, bank: self.context.bank, amount };
        let signed = match signer.sign(REQUEST_VALIDITY, make) {
            Ok(signed) => signed,
            Err(refusal) => return Attempt::Done(Err(of_refusal(&refusal))),
        };
        let head = signed.record.head;
        let taken = Taken::new(signer.sequence.clone(), head.sequence, head.valid_until);
        let message = v1::RequestIssuanceRequest { request: signed.to_bytes().into() };
        let status = match SettlementClient::new(channel).request_issuance(message).await {
            Ok(answer) => return Attempt::Done(self.issuance_answered(answer.into_inner().outcome, taken).await),
            Err(status) => status,
        };
        match refusal_of(&status).map(|refusal| refusal.reason) {
            // The request was sent only once.
            Some(reason) if reason.shows_sequence_taken(OtherCopies::NotOrdered) => {
                return Attempt::SignAgain(Err(status));
            }
            Some(Reason::Unavailable) | None => {}
            Some(_) => taken.never_sent(),
        }
        Attempt::Done(Err(status))
    }

    async fn issuance_answered(
        &self,
        outcome: Option<v1::Outcome>,
        taken: Taken,
    ) -> Result<Option<v1::Outcome>, Status> {
        // Without an outcome the request waits for the operator, and its number with it.
        let Some(outcome) = outcome else { return Ok(None) };
        let answer = outcome_from_message(&outcome)?;
        if answer.is_ordered() && self.context.replica_at(answer.height).await {
            taken.used();
        }
        Ok(Some(outcome))
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

    /// Pays reserves to another bank. Each call signs a new transfer, so a caller that does not learn its status must
    /// not simply repeat it.
    pub async fn transfer_reserves(&self, request: &v1::TransferReservesRequest) -> Result<v1::Outcome, Status> {
        let (to, amount) = (BankId(number_u16("to", request.to)?), positive_amount(request.amount_minor)?);
        let make = |head| ReservesTransfer { head, from: self.context.bank, to, amount };
        let settled = self.own_commands.settle(SHORT_VALIDITY, make).await;
        let answer = settled.map_err(|status| match refusal_of(&status).map(|refusal| refusal.reason) {
            Some(Reason::Unavailable) => unavailable(
                "the central bank has not answered: whether the reserves were moved is not known; look at the treasury before asking again, which would be another transfer",
            ),
            _ => status,
        })?;
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
