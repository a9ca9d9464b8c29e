//! Opening wallets, and reading wallets and their deposits.

use std::sync::Arc;

use cbdc_ledger::command::{Certificate, Head, OpenWallet, Statement};
use cbdc_ledger::member::Role;
use cbdc_ledger::sequence::SequenceStatus;
use cbdc_ledger::{AccountId, Class, HolderId, MemberId, Reason, Signature, Timestamp};
use cbdc_node::source_standing::Tally;
use cbdc_node::views::{self, wallet};
use cbdc_proto::convert::{account, exact, number_u16, outcome_to_message, public_key, required};
use cbdc_proto::status::{invalid, not_authorised, not_found, of_reason, of_refusal};
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use tonic::Status;

use super::context::{BankContext, slowed, status_unknown, to_its_end, turn};
use super::own_command::OwnCommands;
use super::session::Caller;
use super::tally::tally_of_refusal;
use crate::central_bank_client::CentralBankClient;
use crate::deposit_service::Waiting;
use crate::signing::SHORT_VALIDITY;

/// Opens and serves wallets.
pub struct WalletService {
    pub context: BankContext,
    pub own_commands: OwnCommands,
    /// Answers requests that a partial replica cannot.
    pub central_bank: Arc<CentralBankClient>,
}

impl WalletService {
    pub fn status(&self) -> v1::BankStatus {
        // Read before the ledger is locked: the deposit service locks its books first and then the ledger.
        let outbox = self.context.deposits.outbox_len() as u64;
        self.context.ledger.read(|ledger| v1::BankStatus {
            bank: u32::from(self.context.bank.0),
            name: ledger
                .members()
                .seat(Role::Bank, MemberId(self.context.bank.0))
                .map_or_else(String::new, |seat| seat.member.name.clone()),
            network_id: ledger.network().0.to_vec().into(),
            currency: String::from_utf8_lossy(&ledger.genesis().currency).into_owned(),
            currency_exponent: u32::from(ledger.genesis().currency_exponent),
            height: ledger.height().0,
            time_ms: ledger.tip().time.0,
            central_bank_reachable: self.context.relay.is_reachable(),
            central_bank_node: self.context.relay.central_bank_node().address.to_string(),
            central_bank_leads: self.context.relay.central_bank_node().leads,
            central_bank_state: self.context.relay.central_bank_state().name().to_owned(),
            outbox,
        })
    }

    pub async fn get(&self, caller: &Caller, request: v1::GetWalletRequest) -> Result<v1::Wallet, Status> {
        let id = self.wallet_named(caller, request)?;
        let waiting = self.context.deposits.waiting_of(id);
        let found = self.context.ledger.read(|ledger| wallet(ledger, id));
        let found = found.ok_or_else(|| not_found(format!("there is no wallet {id}")))?;
        let has_demurrage = || self.context.ledger.read(|ledger| ledger.policy().rates().any_below_zero());
        if !self.context.is_partial_replica() || (found.earmarked_minor == 0 && !has_demurrage()) {
            return Ok(self.less_what_waits(id, found, &waiting));
        }
        // Programmes hold the purposes of bound money, and unpaid demurrage is a claim on the holder, whose other
        // wallets may be at other banks: a partial replica has neither.
        let wallet = Some(v1::get_wallet_request::Wallet::Account(found.account.clone()));
        let request = v1::GetWalletRequest { wallet };
        let asked = self
            .central_bank
            .ask(|channel| async { SettlementClient::new(channel).get_wallet(request.clone()).await })
            .await;
        let found = match asked {
            Err(_) if found.earmarked_minor == 0 => v1::Wallet { claim_minor: None, ..found },
            Ok(asked) if found.earmarked_minor == 0 => v1::Wallet { claim_minor: asked.claim_minor, ..found },
            asked => asked?,
        };
        Ok(self.less_what_waits(id, found, &waiting))
    }

    /// A wallet, less the payments that this bank has accepted: they count as spent, and their numbers as used.
    fn less_what_waits(&self, id: AccountId, mut wallet: v1::Wallet, waiting: &Waiting) -> v1::Wallet {
        wallet.accepted_minor = waiting.spent.minor();
        wallet.available_minor = wallet.available_minor.saturating_sub(waiting.spent.minor());
        if !waiting.numbers.is_empty() {
            wallet.next_sequence = self.context.ledger.read(|ledger| {
                let is_used = |sequence: &u64| {
                    let status = ledger.account(id).map(|account| account.window.status(*sequence));
                    waiting.numbers.contains(sequence) || status == Some(SequenceStatus::Used)
                };
                (wallet.next_sequence..).find(|sequence| !is_used(sequence)).unwrap_or(wallet.next_sequence)
            });
        }
        wallet
    }

    fn wallet_named(&self, caller: &Caller, request: v1::GetWalletRequest) -> Result<AccountId, Status> {
        use v1::get_wallet_request::Wallet;
        match required("wallet", request.wallet)? {
            Wallet::Account(text) => {
                let id = self.context.own_account("account", &text)?;
                caller.require_reader(id)?;
                Ok(id)
            }
            Wallet::PublicKey(bytes) => {
                let key = public_key("public_key", &bytes)?;
                let found = self.context.ledger.read(|ledger| ledger.wallet_by_key(self.context.bank, key));
                if !caller.is_back_office() && found != Some(caller.holder()?) {
                    return Err(not_authorised("the session is not that of the key's wallet"));
                }
                found.ok_or_else(|| not_found(format!("bank {} has no wallet with the key {key}", self.context.bank)))
            }
        }
    }

    /// Opens a wallet at the caller's turn: refusals count against its source.
    pub async fn open_in_turn(
        self: &Arc<Self>,
        request: v1::OpenWalletRequest,
    ) -> Result<v1::OpenWalletResponse, Status> {
        let (turn, service) = (turn().await.ok_or_else(slowed)?, self.clone());
        let opening = to_its_end(async move {
            let opened = service.open(&request).await;
            turn.answered(opened.as_ref().map_or_else(tally_of_refusal, |_| Tally::default()));
            opened
        });
        opening.await.unwrap_or_else(|| Err(status_unknown()))
    }

    async fn open(&self, request: &v1::OpenWalletRequest) -> Result<v1::OpenWalletResponse, Status> {
        let holder = HolderId(exact("holder", &request.holder)?);
        let class: Class = request.class.parse().map_err(|error| invalid("class", error))?;
        let key = public_key("public_key", &request.public_key)?;
        let certificate = Certificate {
            registrar: MemberId(number_u16("registrar", request.registrar)?),
            registrar_key_version: request.registrar_key_version,
            valid_until: Timestamp(request.certificate_valid_until_ms),
            signature: Signature(exact("registrar_signature", &request.registrar_signature)?),
        };
        let agreement = Signature(exact("agreement", &request.agreement)?);
        let make = |head| OpenWallet { head, bank: self.context.bank, class, holder, key, certificate, agreement };
        let statement = make(Head::default()).statement();
        if let Some(opened) = self.opened_before(&statement, &certificate, agreement)? {
            return Ok(opened);
        }
        let answer = self.own_commands.settle(SHORT_VALIDITY, make).await?;
        // The same request, sent twice at once: the other one has opened it.
        if answer.outcome.reason == Reason::KeyInUse
            && let Some(opened) = self.opened_before(&statement, &certificate, agreement)?
        {
            return Ok(opened);
        }
        let account = match answer.outcome.reason {
            Reason::Settled => AccountId::from_u64(answer.outcome.amount).ok_or_else(status_unknown)?.to_string(),
            _ => String::new(),
        };
        let outcome = Some(outcome_to_message(&answer.outcome, answer.height, answer.index));
        Ok(v1::OpenWalletResponse { account, outcome })
    }

    /// The wallet that this key opened already, if the request is the same and the key's holder has signed it. Where
    /// the key has opened another wallet, the ledger refuses.
    fn opened_before(
        &self,
        statement: &Statement,
        certificate: &Certificate,
        agreement: Signature,
    ) -> Result<Option<v1::OpenWalletResponse>, Status> {
        let Statement { holder, class, key, .. } = *statement;
        self.context.ledger.read(|ledger| {
            let Some(id) = ledger.wallet_by_key(self.context.bank, key) else { return Ok(None) };
            if !statement.is_agreed(ledger.network(), certificate, agreement) {
                return Err(of_reason(Reason::BadSignature, "agreement: it is not the key's over what is certified"));
            }
            let is_same = ledger.holder_of(id).is_some_and(|found| found.id == holder && found.class == class);
            Ok(is_same.then(|| opened(id)))
        })
    }

    pub async fn deposit(&self, caller: &Caller, request: &v1::GetDepositRequest) -> Result<v1::Deposit, Status> {
        caller.require_reader(account("account", &request.account)?)?;
        self.context.deposits.caught_up().await.map_err(|refusal| of_refusal(&refusal))?;
        let id = self.context.deposit_account("account", &request.account)?;
        if self.context.ledger.read(|ledger| wallet(ledger, id).is_none()) {
            return Err(not_found(format!("there is no wallet {id}, and so no deposit beside it")));
        }
        self.context.deposit_of(id).await
    }

    /// The costs of a transfer and whether it would settle now. A partial replica does not know the payee's side and
    /// asks the central bank.
    pub async fn quote_transfer(
        &self,
        caller: &Caller,
        request: v1::QuoteTransferRequest,
    ) -> Result<v1::Quote, Status> {
        let from = self.context.own_account("from", &request.from)?;
        caller.require_reader(from)?;
        if self.context.is_partial_replica() {
            let ask = |channel| async { SettlementClient::new(channel).quote_transfer(request.clone()).await };
            return self.central_bank.ask(ask).await;
        }
        self.context.ledger.read(|ledger| views::quote(ledger, from, &request))
    }
}

/// A wallet's account alone: whoever has seen the signed request may repeat it.
fn opened(id: AccountId) -> v1::OpenWalletResponse {
    v1::OpenWalletResponse { account: id.to_string(), outcome: None }
}
