//! Opening and funding very many wallets in bulk, with two commands each instead of five calls.
//!
//! Opened singly ([`super::setup`]), a wallet costs an opening, a credit and a funding as unary calls and two synced
//! writes at its bank: about a millisecond of CPU over all nodes, minutes for a hundred thousand. In bulk:
//!
//! 1. Each bank's openings are signed with the bank's and the registrar's keys and submitted at the central bank over
//!    the stream on which banks relay, with the bank's own certificate, as a bank that migrates its customers would do.
//!    Sequence numbers begin at the bank's first: nothing else of the bank may have been ordered yet.
//! 2. When each bank's replica has caught up, money is issued to it, and its first [`PAYERS_MAX`] wallets are credited
//!    and funded the usual way, with the opening balances of all of the bank's wallets.
//! 3. These pay the others of their bank over the payment stream, in rounds, so that no payer's sequence window runs
//!    full.
//!
//! Every signature is verified, every command is ordered and durable as always, and deposits move by the same sums.
//! Policy applies to the payments of step 3, so this is for scenarios in which no rule can refuse them or change the
//! amount that arrives ([`is_wanted`]).

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use cbdc_client::{BankId, BankOffice, ClientError, NetworkFolder, NodeName, Role, Wallet, payment_stream};
use cbdc_ledger::command::{Head, Payment, PaymentKind, Record};
use cbdc_ledger::encoding::Writer;
use cbdc_ledger::policy::{ClassRules, Tiers};
use cbdc_ledger::{AccountId, Amount, Class, Height, MemberId, NetworkId, Timestamp};
use cbdc_proto::packed::{State, unpack};
use cbdc_proto::transport::MESSAGE_BYTES_MAX;
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use cbdc_proto::wall_clock::wall_clock;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::VALIDITY_MS;
use super::leaders::ELECTED_WITHIN;
use super::setup::{self, holder_of, key_of};
use super::signed_payments::Purse;
use crate::scenario::Scenario;

/// The number of wallets below which they are opened singly, over the calls that customers use.
const WALLETS_MIN: u32 = 20_000;
/// The number of wallets per bank that pay the others.
const PAYERS_MAX: usize = 256;
/// Openings in a batch, and payments in one.
const BATCH: usize = 500;
/// Openings of all banks in flight at once: half of what a node queues by default.
const OPENINGS_IN_FLIGHT_MAX: usize = 32_768;
/// Payments that a payer may have in flight: a quarter of its window.
const PAYMENTS_IN_FLIGHT_MAX: usize = 16;
/// The longest time that a bank may take to follow the chain until its wallets are open, and then to have it on disk.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(120);
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Whether a scenario's wallets are opened in bulk: there are many, and no rule limits or changes a payment among them.
pub fn is_wanted(scenario: &Scenario) -> bool {
    let is_free = |rules: &ClassRules| *rules == ClassRules { tiers: rules.tiers, ..ClassRules::default() };
    let rules = Class::all().map(|class| scenario.policy.parameters.class(class));
    scenario.wallets.count >= WALLETS_MIN
        && rules.into_iter().all(|rules| is_free(rules) && rules.tiers == Tiers::default())
        && (0..scenario.wallets.count).all(|wallet| !scenario.is_linked(wallet))
}

/// Opens and funds every wallet of the scenario, in the order of their index, on a network on which nothing has
/// happened yet. `progress` is called with the number opened.
pub async fn open_wallets(folder: &NetworkFolder, scenario: &Scenario, progress: impl Fn(u64)) -> Result<Vec<Purse>> {
    let banks: Vec<BankId> = folder.banks().collect();
    let opened = banks.iter().map(|bank| open_at(folder, scenario, *bank, banks.len(), &progress));
    let opened = futures::future::try_join_all(opened).await?;
    for (bank, (_, height)) in banks.iter().zip(&opened) {
        wait_until_followed(folder, *bank, *height).await?;
    }
    setup::issue(folder, scenario).await?;
    let funded = banks.iter().zip(opened).map(|(bank, (accounts, _))| fund_at(folder, scenario, *bank, accounts));
    let of_banks = futures::future::try_join_all(funded).await?;
    let mut of_banks: Vec<_> = of_banks.into_iter().map(Vec::into_iter).collect();
    let purse = |wallet| of_banks[scenario.bank_of(wallet) as usize].next().context("a wallet has no account");
    (0..scenario.wallets.count).map(purse).collect()
}

/// The scenario's wallets at a bank, by index.
fn wallets_at(scenario: &Scenario, bank: BankId) -> impl Iterator<Item = u32> + use<> {
    let banks = scenario.network.banks;
    (u32::from(bank.0) - 1..scenario.wallets.count).step_by(banks as usize)
}

/// Opens a bank's wallets. Returns their accounts, in order, and the height at which the last was open.
async fn open_at(
    folder: &NetworkFolder,
    scenario: &Scenario,
    bank: BankId,
    banks: usize,
    progress: &impl Fn(u64),
) -> Result<(Vec<AccountId>, Height)> {
    let identity = folder.identity(Role::Bank, MemberId(bank.0))?;
    let central = folder.leader_within(ELECTED_WITHIN).await.context("no node of the central bank leads")?;
    let trust = folder.anchor().trust(central.role(), central.id())?;
    let channel = cbdc_proto::transport::connect(folder.address(central)?, Some(&identity), &trust)?;
    let mut client = SettlementClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (batches, outgoing) = mpsc::channel(1);
    let mut answers = client.submit(ReceiverStream::new(outgoing)).await?.into_inner();

    let batches_max = (OPENINGS_IN_FLIGHT_MAX / banks / BATCH).clamp(1, 16);
    let mut openings = sign_openings(folder, scenario, bank)?;
    let mut accounts: Vec<Option<AccountId>> = vec![None; wallets_at(scenario, bank).count()];
    let (mut sent, mut answered, mut height, mut is_signing) = (0_u64, 0_u64, Height(0), true);
    while is_signing || answered < sent {
        tokio::select! {
            next = openings.recv(), if is_signing && sent - answered < batches_max as u64 => match next {
                Some(commands) => {
                    let batch = v1::CommandBatch { batch_id: sent, commands, takes_runs: false };
                    batches.send(batch).await.ok().context("the central bank ended the stream")?;
                    sent += 1;
                }
                None => is_signing = false,
            },
            answer = answers.message(), if answered < sent => {
                let batch = answer?.context("the central bank ended the stream")?;
                let outcomes = unpack(&batch.outcomes).map_err(anyhow::Error::msg)?;
                progress(outcomes.len() as u64);
                for (index, answer) in (batch.batch_id as usize * BATCH..).zip(outcomes) {
                    ensure!(
                        answer.state == State::Final && answer.outcome.is_settled(),
                        "opening a wallet at bank {bank}: {}",
                        answer.outcome
                    );
                    height = height.max(answer.height);
                    accounts[index] = AccountId::from_u64(answer.outcome.amount);
                }
                answered += 1;
            }
        }
    }
    let accounts: Option<Vec<AccountId>> = accounts.into_iter().collect();
    Ok((accounts.with_context(|| format!("bank {bank} was given no account for a wallet"))?, height))
}

/// Signs a bank's openings on a separate thread, in batches.
fn sign_openings(folder: &NetworkFolder, scenario: &Scenario, bank: BankId) -> Result<mpsc::Receiver<Bytes>> {
    let network = folder.anchor().network();
    let bank_key = folder.signing_key(Role::Bank, MemberId(bank.0))?;
    let registrar = folder.first_registrar()?;
    let (seed, valid_until) = (scenario.seed, wall_clock().plus_ms(VALIDITY_MS));
    let wallets: Vec<(u32, Class)> =
        wallets_at(scenario, bank).map(|wallet| (wallet, scenario.class_of(wallet))).collect();
    let (signed, batches) = mpsc::channel(2);
    let work = move || {
        let mut sequence = 0;
        for wallets in wallets.chunks(BATCH) {
            let mut out = Writer::with_capacity(BATCH * 256);
            for (wallet, class) in wallets {
                sequence += 1;
                let (holder, key) = (holder_of(seed, *wallet), key_of(seed, *wallet));
                let head = Head { flags: 0, key_version: 0, sequence, valid_until };
                let registration = registrar.register(bank, holder, *class, key.public_key());
                let open = registration.opening(head, &key).expect("the certificate is for an opening");
                open.sign(network, &bank_key).encode(&mut out);
            }
            if signed.blocking_send(Bytes::from(out.finish())).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name(format!("openings-{bank}")).spawn(work)?;
    Ok(batches)
}

async fn wait_until_followed(folder: &NetworkFolder, bank: BankId, height: Height) -> Result<()> {
    let office = folder.bank_office(bank)?;
    let give_up = tokio::time::Instant::now() + FOLLOWED_WITHIN;
    loop {
        let at = office.treasury().await?.height;
        if at >= height.0 {
            return Ok(());
        }
        if tokio::time::Instant::now() > give_up {
            bail!(
                "{} was expected to follow to block {height} within {FOLLOWED_WITHIN:?}, it is at {at}",
                NodeName::Bank(bank)
            );
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// A payment that funds a wallet. Payer and payee are indices into the bank's wallets.
struct FundingPayment {
    payer: usize,
    payee: usize,
    sequence: u64,
    amount: u64,
}

/// Funds a payer. The bank's first synced write also flushes the openings, which may take longer than a call's
/// deadline; the same request is then repeated.
async fn fund_with_retries(wallet: &Wallet, office: &BankOffice, opening: u64, index: u32, seed: u64) -> Result<()> {
    let give_up = tokio::time::Instant::now() + FOLLOWED_WITHIN;
    loop {
        match setup::fund(wallet, office, (opening, 0), index, seed).await {
            Err(error) if is_unanswered(&error) && tokio::time::Instant::now() < give_up => {}
            funded => return funded,
        }
    }
}

fn is_unanswered(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::NoAnswer { .. }))
}

/// Funds a bank's wallets: the first ones the usual way, the others by payments of the first.
async fn fund_at(
    folder: &NetworkFolder,
    scenario: &Scenario,
    bank: BankId,
    accounts: Vec<AccountId>,
) -> Result<Vec<Purse>> {
    let wallets: Vec<u32> = wallets_at(scenario, bank).collect();
    let payers = wallets.len().min(PAYERS_MAX);
    let connection = folder.connect_customer(bank)?;
    let office = folder.bank_office(bank)?;
    let purse = |(wallet, account): (&u32, AccountId)| Purse {
        account,
        key: key_of(scenario.seed, *wallet),
        first_sequence: 1,
    };
    let mut purses: Vec<Purse> = wallets.iter().zip(accounts).map(purse).collect();
    let (office, connection_of_payer) = (&office, &connection);
    let funded = futures::stream::iter(0..payers).map(|payer| {
        let group = wallets[payer..].iter().step_by(payers);
        let opening = group.map(|wallet| scenario.opening_of(*wallet)).sum();
        let (index, account) = (wallets[payer], purses[payer].account);
        let key = key_of(scenario.seed, index);
        let wallet = Wallet::new(connection_of_payer.clone(), folder.anchor().clone(), key, account);
        async move {
            let funded = fund_with_retries(&wallet, office, opening, index, scenario.seed).await;
            funded.with_context(|| format!("funding wallet {index}"))
        }
    });
    funded.buffer_unordered(PAYERS_MAX).try_collect::<()>().await?;
    let mut payments = Vec::with_capacity(wallets.len());
    for (payee, wallet) in wallets.iter().enumerate().skip(payers) {
        let (payer, amount) = (payee % payers, scenario.opening_of(*wallet));
        if amount > 0 {
            let sequence = purses[payer].first_sequence;
            purses[payer].first_sequence += 1;
            payments.push(FundingPayment { payer, payee, sequence, amount });
        }
    }
    let (network, valid_until) = (folder.anchor().network(), wall_clock().plus_ms(VALIDITY_MS));
    let in_flight = (payers * PAYMENTS_IN_FLIGHT_MAX / BATCH).max(1);
    let (mut sender, mut answers) = payment_stream::open(&connection, in_flight).await?;
    let (mut batches, mut is_sent, mut waiting) = (payments.chunks(BATCH), false, 0_usize);
    while !is_sent || waiting > 0 {
        if !is_sent && waiting < in_flight {
            match batches.next() {
                Some(payments) => {
                    let records = tokio::task::block_in_place(|| sign(payments, &purses, network, valid_until));
                    sender.send(records).await?;
                    waiting += 1;
                }
                None => is_sent = true,
            }
            continue;
        }
        let batch = answers.next().await?.context("the bank ended the stream")?;
        let refused = batch.answers.iter().find(|answer| answer.state != State::Final || !answer.outcome.is_settled());
        if let Some(answer) = refused {
            bail!("a payment that funds a wallet at bank {bank} was answered {}", answer.outcome);
        }
        waiting -= 1;
    }
    Ok(purses)
}

fn sign(payments: &[FundingPayment], purses: &[Purse], network: NetworkId, valid_until: Timestamp) -> Bytes {
    let mut out = Writer::with_capacity(payments.len() * 136);
    for funding in payments {
        let payer = &purses[funding.payer];
        let payment = Payment {
            kind: PaymentKind::Transfer,
            head: Head { flags: 0, key_version: 0, sequence: funding.sequence, valid_until },
            from: payer.account,
            to: purses[funding.payee].account,
            amount: Amount::from_minor(funding.amount),
            max_fee: Amount::ZERO,
            reference: [0; 16],
        };
        payment.sign(network, &payer.key).encode(&mut out);
    }
    out.finish().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_wanted_for(text: &str) -> bool {
        is_wanted(&Scenario::parse("test.toml", "test", text, &[]).expect("the scenario is valid"))
    }

    #[test]
    fn only_many_wallets_that_no_rule_binds_are_opened_in_bulk() {
        assert!(is_wanted_for("[wallets]\ncount = 20_000"));
        assert!(!is_wanted_for("[wallets]\ncount = 19_999"));
        assert!(!is_wanted_for("[wallets]\ncount = 20_000\nlinked = 0.1"));
        for rule in ["payment_limit_minor = 100_000_000_000", "holding_limit_minor = { merchant = 9_000_000_000 }"] {
            assert!(!is_wanted_for(&format!("[wallets]\ncount = 20_000\n[policy]\n{rule}")), "{rule}");
        }
    }
}
