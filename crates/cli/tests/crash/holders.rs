//! Holders who pay each other, some of them customers of one bank with their deposit at another.
//!
//! Each decision follows from the seed. A payment is signed once; the same record is submitted until its status is
//! known, whichever nodes are killed meanwhile, and the final status is recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cbdc_client::bank_office::IssuanceAnswer;
use cbdc_client::{
    AccountId, Amount, BankId, Class, ClientError, HolderId, IssuanceKind, NetworkFolder, PaymentTerms, Reason,
    SigningKey, SubmissionStatus, Wallet, random_id,
};
use cbdc_ledger::command::{Payment, Signed};

use crate::kills::Dice;

/// The CBDC that each bank is issued to fund wallets with, minor units.
const ISSUED: u64 = 10_000_000;
/// The deposit of each holder at the start, minor units.
const CREDITED: u64 = 50_000;
/// The holding limit, minor units; payments are of this size, so that most of them move a deposit on either side.
pub const HOLDING_LIMIT: u64 = 2_000;
/// Payments of one holder that are in flight at once.
const AT_ONCE: u64 = 3;
/// The deadline of a call, and the time for which the wallet itself submits a record again: shorter than usual, so that
/// the holders have to submit again, too.
const DEADLINE: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(3);
/// The time within which a payment must have a status; the longest outage is far shorter.
const STATUS_WITHIN: Duration = Duration::from_secs(40);

#[derive(Clone)]
pub struct Holder {
    pub wallet: Wallet,
    /// The bank with the deposit that waterfalls go to and top-ups come from; without a linked bank, the one that
    /// fundings come from.
    pub deposit_at: BankId,
    pub is_linked: bool,
    /// The amount credited there at the start, minor units.
    pub credited: u64,
}

/// A holder's intent.
#[derive(Clone, Debug)]
pub enum Intent {
    Payment(Signed<Payment>),
    Funding { request: [u8; 16], amount: Amount },
}

/// The status of an intent, as the holder was told.
#[derive(Debug)]
pub struct Told {
    pub account: AccountId,
    pub intent: Intent,
    pub status: SubmissionStatus,
}

impl Holder {
    pub fn account(&self) -> AccountId {
        self.wallet.account()
    }
}

/// Opens `count` wallets in turn at all banks and gives the banks what fundings need. Each wallet is linked to its own
/// or another bank with a deposit there; but every seventh to none, so that a payment to it may be refused after all
/// when its payer's bank has promised a top-up.
pub async fn open(folder: &NetworkFolder, count: u64) -> Vec<Holder> {
    let banks: Vec<BankId> = folder.banks().collect();
    for bank in &banks {
        let office = folder.bank_office(*bank).unwrap();
        let issued =
            office.request_issuance(IssuanceKind::Issue, Amount::from_minor(ISSUED), random_id()).await.unwrap();
        assert!(matches!(issued, IssuanceAnswer::Ordered(SubmissionStatus::Settled { .. })), "{issued:?}");
    }
    let mut holders = Vec::new();
    for number in 0..count as usize {
        let (own, other) = (banks[number % banks.len()], banks[(number + number / banks.len()) % banks.len()]);
        let is_linked = number % 7 != 6;
        let deposit_at = if is_linked { other } else { own };
        holders.push(open_one(folder, number as u8, own, (deposit_at, is_linked)).await);
    }
    holders
}

async fn open_one(folder: &NetworkFolder, number: u8, own: BankId, (deposit_at, is_linked): (BankId, bool)) -> Holder {
    let key = SigningKey::from_seed([number; 32]);
    let registrar = folder.registrar().await.unwrap();
    let registration = registrar.register(own, HolderId([number; 16]), Class::HOUSEHOLD, key.public_key());
    let connect = |bank| folder.connect_customer(bank).unwrap().with_deadline(DEADLINE);
    let wallet = Wallet::open(connect(own), folder.anchor().clone(), key, &registration).await.unwrap();
    if is_linked {
        let consent = folder.bank_office(deposit_at).unwrap().consent_to_link(wallet.account()).await.unwrap();
        wallet.link_bank_with(deposit_at, consent).await.unwrap().settled().unwrap();
    }
    // Another bank learns of its new customer from the chain.
    let office = folder.bank_office(deposit_at).unwrap();
    let give_up = Instant::now() + STATUS_WITHIN;
    while let Err(error) = office.credit_deposit(wallet.account(), Amount::from_minor(CREDITED), [number; 16]).await {
        assert!(Instant::now() < give_up, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let wallet = wallet.with_timeout(TIMEOUT);
    let wallet = if deposit_at == own { wallet } else { wallet.with_linked_bank(connect(deposit_at)) };
    Holder { wallet, deposit_at, is_linked, credited: CREDITED }
}

/// All holders, paying until they are stopped.
pub struct Paying {
    stop: Arc<AtomicBool>,
    tasks: tokio::task::JoinSet<Vec<Told>>,
}

impl Paying {
    /// Starts the holders; `dice` decide who pays whom, how much and how.
    pub fn begin(holders: &[Holder], dice: &mut Dice) -> Paying {
        let stop = Arc::new(AtomicBool::new(false));
        let accounts: Arc<[AccountId]> = holders.iter().map(Holder::account).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for holder in holders {
            for _ in 0..AT_ONCE {
                let dice = Dice::new(dice.roll(), 0);
                tasks.spawn(pay_on(holder.clone(), accounts.clone(), dice, stop.clone()));
            }
        }
        Paying { stop, tasks }
    }

    /// Stops making intents, waits until every status is known, and returns them.
    pub async fn end(self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

async fn pay_on(holder: Holder, accounts: Arc<[AccountId]>, mut dice: Dice, stop: Arc<AtomicBool>) -> Vec<Told> {
    let mut told = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(dice.among(1..60))).await;
        // Without its bank a wallet does not learn its next sequence number, so there is no payment either.
        let Ok(intent) = decide(&holder, &accounts, &mut dice).await else { continue };
        let status = until_known(&holder, &intent).await;
        told.push(Told { account: holder.account(), intent, status });
    }
    told
}

/// Draws the next intent: mostly a payment to another holder, sometimes a move between wallet and deposit.
async fn decide(holder: &Holder, accounts: &[AccountId], dice: &mut Dice) -> Result<Intent, ClientError> {
    let (what, amount) = (dice.share(), Amount::from_minor(dice.among(1..HOLDING_LIMIT * 3 / 2)));
    let mut reference = [0; 16];
    reference[..8].copy_from_slice(&dice.roll().to_le_bytes());
    let payees: Vec<AccountId> = accounts.iter().copied().filter(|account| *account != holder.account()).collect();
    let payee = payees[dice.among(0..payees.len() as u64) as usize];
    let terms = PaymentTerms { reference, top_up: what < 0.65, ..PaymentTerms::default() };
    match what {
        what if what < 0.85 => holder.wallet.sign_transfer_on(payee, amount, &terms).await.map(Intent::Payment),
        what if what < 0.92 => holder.wallet.sign_defund(amount).await.map(Intent::Payment),
        _ => Ok(Intent::Funding { request: reference, amount }),
    }
}

/// Submits the same record until its status is known.
async fn until_known(holder: &Holder, intent: &Intent) -> SubmissionStatus {
    let give_up = Instant::now() + STATUS_WITHIN;
    loop {
        let status = match intent {
            Intent::Payment(payment) => holder.wallet.submit(payment).await,
            Intent::Funding { request, amount } => holder.wallet.fund(*amount, *request).await,
        };
        match &status {
            Ok(SubmissionStatus::Settled { .. }) => {}
            // A full queue is no status: that attempt had no effect.
            Ok(SubmissionStatus::Refused(refusal)) if refusal.reason() != Reason::Overloaded => {}
            Ok(_) | Err(ClientError::Unreachable { .. }) => {
                assert!(Instant::now() < give_up, "{:?} has no status: {status:?}", intent);
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => panic!("{intent:?}: {error}"),
        }
        return status.expect("errors were sorted out");
    }
}
