//! The set-up of a run: issuance to every bank, opening and linking wallets, crediting deposits, funding wallets.
//!
//! All of it uses the services for a bank's back office and its customers. Keys and holders are derived from the
//! scenario's seed, so a run can be repeated. Very many wallets are opened in bulk instead ([`super::bulk`]).

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use cbdc_client::bank_office::IssuanceAnswer;
use cbdc_client::{BankId, BankOffice, IssuanceKind, NetworkFolder, Wallet, random_id};
use cbdc_ledger::{Amount, HolderId, SigningKey};
use futures::{StreamExt, TryStreamExt};

use super::signed_payments::Purse;
use crate::scenario::Scenario;

/// Wallets that are opened and funded concurrently.
const AT_ONCE: usize = 256;

/// The issuance each bank needs to fund its wallets, minor units.
pub fn funding_needed(scenario: &Scenario) -> Vec<u64> {
    let mut needed = vec![0_u64; scenario.network.banks as usize];
    for wallet in 0..scenario.wallets.count {
        needed[scenario.bank_of(wallet) as usize] += scenario.opening_of(wallet);
    }
    needed
}

/// The harness's credits to deposits at each bank: for funding wallets and for opening deposits, minor units.
pub fn credited(scenario: &Scenario) -> Vec<u64> {
    let mut credited = funding_needed(scenario);
    for wallet in 0..scenario.wallets.count {
        credited[scenario.bank_of(wallet) as usize] += scenario.deposit_of(wallet);
    }
    credited
}

/// Issues the CBDC that each bank's wallets need.
pub async fn issue(folder: &NetworkFolder, scenario: &Scenario) -> Result<()> {
    for (index, amount) in funding_needed(scenario).into_iter().enumerate().filter(|(_, amount)| *amount > 0) {
        let bank = BankId(index as u16 + 1);
        let office = folder.bank_office(bank)?;
        let answer = office.request_issuance(IssuanceKind::Issue, Amount::from_minor(amount), random_id()).await;
        match answer.with_context(|| format!("bank {bank} asked for issuance"))? {
            IssuanceAnswer::Ordered(status) => {
                status.settled().with_context(|| format!("issuing to bank {bank}"))?;
            }
            IssuanceAnswer::Waiting => {
                bail!("issuance to bank {bank} waits for an operator; it was expected to be ordered at once")
            }
        }
    }
    Ok(())
}

/// Opens and funds every wallet of the scenario, in the order of their index. `progress` is called after each.
pub async fn open_wallets(folder: &NetworkFolder, scenario: &Scenario, progress: impl Fn()) -> Result<Vec<Purse>> {
    let registrar = folder.registrar().await?;
    let mut banks = Vec::new();
    for bank in folder.banks() {
        banks.push((bank, folder.connect_customer(bank)?, Arc::new(folder.bank_office(bank)?)));
    }
    let opened = futures::stream::iter(0..scenario.wallets.count).map(|index| {
        let bank = scenario.bank_of(index) as usize;
        let (bank_id, connection, office) = banks[bank].clone();
        let (progress, registrar) = (&progress, &registrar);
        async move {
            let class = scenario.class_of(index);
            let key = || key_of(scenario.seed, index);
            let holder = holder_of(scenario.seed, index);
            let registration = registrar.register(bank_id, holder, class, key().public_key());
            let wallet = Wallet::open(connection, folder.anchor().clone(), key(), &registration).await;
            let wallet = wallet.with_context(|| format!("opening wallet {index}"))?;
            if scenario.is_linked(index) {
                let linked = wallet.link_bank().await.and_then(|status| status.settled());
                linked.with_context(|| format!("linking wallet {index} to its bank"))?;
            }
            let money = (scenario.opening_of(index), scenario.deposit_of(index));
            let funded = fund(&wallet, &office, money, index, scenario.seed).await;
            funded.with_context(|| format!("funding wallet {index}"))?;
            progress();
            // The consent used the wallet's first sequence number.
            let first_sequence = 1 + u64::from(scenario.is_linked(index));
            anyhow::Ok(Purse { account: wallet.account(), key: key(), first_sequence })
        }
    });
    opened.buffered(AT_ONCE).try_collect().await
}

/// Credits the deposit of a wallet's holder, as a salary would, then funds the wallet from it.
pub async fn fund(
    wallet: &Wallet,
    office: &BankOffice,
    (opening, deposit): (u64, u64),
    index: u32,
    seed: u64,
) -> Result<()> {
    let request = |purpose| seed_of(seed, purpose, index)[..16].try_into().expect("32 bytes hold 16");
    if opening + deposit > 0 {
        office.credit_deposit(wallet.account(), Amount::from_minor(opening + deposit), request("credit")).await?;
    }
    if opening > 0 {
        wallet.fund(Amount::from_minor(opening), request("fund")).await?.settled()?;
    }
    Ok(())
}

/// The pseudonymous id of a wallet's holder.
pub fn holder_of(seed: u64, wallet: u32) -> HolderId {
    HolderId(seed_of(seed, "holder", wallet)[..16].try_into().expect("32 bytes hold 16"))
}

/// The key of a wallet.
pub fn key_of(seed: u64, wallet: u32) -> SigningKey {
    SigningKey::from_seed(seed_of(seed, "key", wallet))
}

/// 32 bytes derived from the scenario's seed.
fn seed_of(seed: u64, purpose: &str, index: u32) -> [u8; 32] {
    let text = format!("cbdc harness wallet {seed} {purpose} {index}");
    *blake3::hash(text.as_bytes()).as_bytes()
}
