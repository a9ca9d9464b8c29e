//! Opening wallets and looking at them and at the deposits beside them.

use std::sync::Arc;

use cbdc_ledger::command::{Certificate, OpenWallet};
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Class, HolderId, MemberId, PublicKey, Reason, Signature};
use cbdc_node::views::wallet;
use cbdc_proto::convert::{exact, number_u16, public_key, required};
use cbdc_proto::status::{invalid, not_found, of_reason, of_refusal};
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use tonic::Status;

use super::Desks;
use crate::signing::SHORT_VALIDITY;

pub fn status(desks: &Desks) -> v1::BankStatus {
    let genesis = &desks.genesis;
    // Before the ledger is locked: the desk locks the books first and then the ledger.
    let outbox = desks.desk.outbox_len() as u64;
    desks.ledger.read(|ledger| v1::BankStatus {
        bank: u32::from(desks.bank.0),
        name: ledger
            .members()
            .seat(Role::Bank, MemberId(desks.bank.0))
            .map_or_else(String::new, |seat| seat.member.name.clone()),
        network_id: ledger.network().0.to_vec().into(),
        currency: String::from_utf8_lossy(&genesis.currency).into_owned(),
        currency_exponent: u32::from(genesis.currency_exponent),
        height: ledger.height().0,
        time_ms: ledger.tip().time.0,
        central_bank_reachable: desks.relay.is_reachable(),
        outbox,
    })
}

pub async fn get(desks: &Desks, request: v1::GetWalletRequest) -> Result<v1::Wallet, Status> {
    let found = find(desks, request)?;
    if found.earmarked_minor == 0 || !desks.is_partial_replica() {
        return Ok(found);
    }
    // What the money is bound to is the programmes' to say, which this bank does not keep.
    let wallet = Some(v1::get_wallet_request::Wallet::Account(found.account));
    let request = v1::GetWalletRequest { wallet };
    desks.central_bank.ask(|channel| async { SettlementClient::new(channel).get_wallet(request).await }).await
}

fn find(desks: &Desks, request: v1::GetWalletRequest) -> Result<v1::Wallet, Status> {
    use v1::get_wallet_request::Wallet;
    match required("wallet", request.wallet)? {
        Wallet::Account(text) => {
            let id = desks.own_account("account", &text)?;
            desks.ledger.read(|ledger| wallet(ledger, id)).ok_or_else(|| not_found(format!("there is no wallet {id}")))
        }
        Wallet::PublicKey(bytes) => {
            let key = public_key("public_key", &bytes)?;
            let found = desks.ledger.read(|ledger| wallet(ledger, ledger.wallet_by_key(desks.bank, key)?));
            found.ok_or_else(|| not_found(format!("bank {} has no wallet with the key {key}", desks.bank)))
        }
    }
}

pub async fn open(desks: &Arc<Desks>, request: &v1::OpenWalletRequest) -> Result<v1::Wallet, Status> {
    let holder = HolderId(exact("holder", &request.holder)?);
    let class: Class = request.class.parse().map_err(|error| invalid("class", error))?;
    let key = public_key("public_key", &request.public_key)?;
    let certificate = Certificate {
        registrar: MemberId(number_u16("registrar", request.registrar)?),
        registrar_key_version: request.registrar_key_version,
        signature: Signature(exact("registrar_signature", &request.registrar_signature)?),
    };
    if let Some(opened) = opened_before(desks, key, holder, class)? {
        return Ok(opened);
    }
    let make = |head| OpenWallet { head, bank: desks.bank, class, holder, key, certificate };
    let answer = desks.settle_own(SHORT_VALIDITY, make).await?;
    match answer.outcome.reason {
        Reason::Settled => {
            let id = AccountId::from_u64(answer.outcome.amount);
            let opened = id.and_then(|id| desks.ledger.read(|ledger| wallet(ledger, id)));
            opened.ok_or_else(super::status_unknown)
        }
        // The same request, sent twice at once: the other one has opened it.
        Reason::KeyInUse => match opened_before(desks, key, holder, class)? {
            Some(opened) => Ok(opened),
            None => Err(of_refusal(&answer.outcome)),
        },
        _ => Err(of_refusal(&answer.outcome)),
    }
}

/// The wallet that this key opened already, if the request is the same.
fn opened_before(desks: &Desks, key: PublicKey, holder: HolderId, class: Class) -> Result<Option<v1::Wallet>, Status> {
    desks.ledger.read(|ledger| {
        let Some(id) = ledger.wallet_by_key(desks.bank, key) else { return Ok(None) };
        let is_same = ledger.holder_of(id).is_some_and(|found| found.id == holder && found.class == class);
        if !is_same {
            return Err(of_reason(
                Reason::KeyInUse,
                "the key has opened a wallet of another holder or class at this bank",
            ));
        }
        Ok(wallet(ledger, id))
    })
}

pub fn deposit(desks: &Desks, request: &v1::GetDepositRequest) -> Result<v1::Deposit, Status> {
    let id = desks.deposit_account("account", &request.account)?;
    if desks.ledger.read(|ledger| wallet(ledger, id).is_none()) {
        return Err(not_found(format!("there is no wallet {id}, and so no deposit beside it")));
    }
    Ok(deposit_of(desks, id))
}

pub fn deposit_of(desks: &Desks, id: AccountId) -> v1::Deposit {
    let deposit = desks.desk.deposit(id);
    v1::Deposit {
        account: id.to_string(),
        balance_minor: deposit.balance.minor(),
        in_transit_minor: deposit.in_transit.minor(),
    }
}
