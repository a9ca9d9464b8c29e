//! Opening wallets and looking at them and at the deposits beside them.

use std::sync::Arc;

use cbdc_ledger::command::{Certificate, OpenWallet};
use cbdc_ledger::member::Role;
use cbdc_ledger::policy::remuneration::capitalise;
use cbdc_ledger::{AccountId, Class, HolderId, Ledger, MemberId, PublicKey, Reason, Signature};
use cbdc_proto::convert::{exact, number_u16, public_key, required};
use cbdc_proto::status::{invalid, not_found, of_reason, of_refusal};
use cbdc_proto::v1;
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

/// A wallet of the ledger as it stands today.
fn wallet(ledger: &Ledger, id: AccountId) -> Option<v1::Wallet> {
    let account = ledger.account_today(id).filter(|_| !id.is_treasury())?;
    let person = ledger.holder_of(id)?;
    let (accrued, _) = capitalise(account.accrued, ledger.genesis().day_count);
    Some(v1::Wallet {
        account: id.to_string(),
        class: person.class.to_string(),
        posted_minor: u64::try_from(account.posted()).unwrap_or(u64::MAX),
        available_minor: account.spendable().minor(),
        held_minor: account.held.minor(),
        frozen_minor: account.frozen.minor(),
        next_sequence: account.window.lowest_unused(),
        key_version: account.key_version,
        public_key: ledger.key(id)?.0.to_vec().into(),
        open: account.open,
        height: ledger.height().0,
        earmarked_minor: account.earmarked.minor(),
        earmarks: earmarks(ledger, id),
        claim_minor: account.claim.minor(),
        accrued_interest_minor: accrued.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
        linked_bank: u32::from(account.linked_bank.0),
        has_allowance: account.has_allowance,
    })
}

fn earmarks(ledger: &Ledger, id: AccountId) -> Vec<v1::Earmark> {
    let marks = ledger.programmes().earmarks_of(id).filter_map(|(programme, earmark)| {
        let purpose = ledger.programmes().get(programme)?.grant.purpose?;
        Some(v1::Earmark {
            programme,
            amount_minor: earmark.amount.minor(),
            held_minor: earmark.held.minor(),
            expires_at_ms: purpose.expires_at.0,
            payee_classes: purpose.payees.iter().map(|class| class.to_string()).collect(),
        })
    });
    marks.collect()
}

pub fn get(desks: &Desks, request: v1::GetWalletRequest) -> Result<v1::Wallet, Status> {
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
            opened.ok_or_else(super::fate_unknown)
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
