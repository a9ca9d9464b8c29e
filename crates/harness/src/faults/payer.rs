//! Payers: each pays, holds, moves money between wallet and deposit, asks again and reads, one act at a time.
//!
//! A payer sends a record again until the answer is final, as the SDK's contract has it. One whose bank accepts records
//! while the central bank is away may leave it at that: what the bank has accepted is its business from then on. What
//! a payer does next is drawn from the seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use cbdc_client::wallet::PaymentTerms;
use cbdc_client::{AccountId, Amount, BankId, BankOffice, ClientError, NodeName, Reason, SubmissionStatus, Wallet};
use cbdc_ledger::Command;
use cbdc_ledger::command::PlaceHold;
use cbdc_proto::wall_clock::wall_clock;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::clients::{Lives, command_hash, in_life, life_of};
use super::recorder::Recorder;
use crate::history::{self, Answer, Property, Read, Subject};

/// The pause before the next attempt where something could not be asked at all.
const PAUSE: Duration = Duration::from_millis(100);
/// More than any wallet has.
const TOO_MUCH: Amount = Amount::from_minor(50_000_000_000);
/// How long a hold is kept for its payee: some end before anybody asks for the money, others outlast the run, also
/// where a clock is put forward.
const HELD_FOR_MS: [u64; 2] = [5_000, 600_000];

/// The banks' back offices, which capture holds.
pub(super) type Offices = Arc<BTreeMap<BankId, BankOffice>>;

pub(super) struct Payer {
    pub name: String,
    /// The bank that it reads at.
    pub bank: NodeName,
    pub lives: Lives,
    pub wallet: Wallet,
    pub offices: Offices,
    pub accounts: Arc<[AccountId]>,
    pub pause_s: f64,
    pub random: StdRng,
    pub recorder: Arc<Recorder>,
    pub stopping: watch::Receiver<Option<Instant>>,
    /// Commands whose answer is final, with their numbers.
    pub paid: Vec<(usize, Command)>,
}

impl Payer {
    pub async fn run(mut self) {
        while self.stopping.borrow().is_none() {
            let share: f64 = self.random.random();
            let pause = Duration::from_secs_f64(-(1.0 - share).ln() * self.pause_s);
            let stops = self.stopping.wait_for(Option::is_some);
            if timeout(pause.min(Duration::from_secs(5)), stops).await.is_ok() {
                return;
            }
            match self.random.random_range(0..100) {
                0..10 => self.read().await,
                10..14 => self.ask_again().await,
                14..18 => self.look_up().await,
                _ => self.pay().await,
            }
        }
    }

    async fn pay(&mut self) {
        let payee = self.accounts[self.random.random_range(0..self.accounts.len())];
        let is_too_much = self.random.random_bool(0.03);
        let amount = Amount::from_minor(self.random.random_range(1..2_000));
        let amount = if is_too_much { TOO_MUCH } else { amount };
        if payee == self.wallet.account() {
            return;
        }
        let reference = self.random.random();
        let (command, payee): (Result<Command, _>, _) = match self.random.random_range(0..100) {
            0..10 => (self.sign_hold(payee, amount, reference).await, payee),
            10..16 => (self.wallet.sign_defund(amount).await.map(Command::from), self.wallet.account()),
            _ => (self.wallet.sign_transfer(payee, amount, reference).await.map(Command::from), payee),
        };
        let Ok(command) = command else { return sleep(PAUSE).await };
        let number = self.recorder.hand_in(history::Payment {
            record: command_hash(&command),
            payer: self.wallet.account(),
            payee,
            amount,
            sequence: command.head().sequence,
            handed_in: self.recorder.now(),
            answers: Vec::new(),
            is_left: false,
        });
        loop {
            let (answer, result) = self.submit(number, &command).await;
            match answer {
                answer if answer.is_final() => {
                    if let (Command::Hold(placed), Some(hold)) = (&command, result) {
                        self.release((hold, &placed.record), number).await;
                    }
                    self.paid.push((number, command));
                    return;
                }
                // The SDK gives its number to the next one.
                Answer::RefusedForNow(_) => return,
                Answer::Accepted if self.random.random_bool(0.3) => {
                    self.recorder.leave(number);
                    return;
                }
                _ => {}
            }
            if self.stopping.borrow().is_some_and(|until| Instant::now() > until) {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    async fn sign_hold(
        &mut self,
        payee: AccountId,
        amount: Amount,
        reference: [u8; 16],
    ) -> Result<Command, ClientError> {
        let until = wall_clock().plus_ms(HELD_FOR_MS[usize::from(self.random.random_bool(0.7))]);
        let terms = PaymentTerms { reference, ..PaymentTerms::default() };
        self.wallet.sign_hold(payee, amount, until, &terms).await.map(Command::from)
    }

    /// Lets the payee's bank capture a hold, void it, or forget it. What a repetition may be told is that the hold is
    /// known no more; the first that is answered must not be told so of one that has not ended.
    async fn release(&mut self, (hold, placed): (u64, &PlaceHold), number: usize) {
        let share = self.random.random_range(0..=placed.maximum.minor());
        let captures = match self.random.random_range(0..4) {
            0 => return,
            1 => false,
            _ => true,
        };
        let Some(office) = self.offices.get(&placed.to.bank) else { return };
        let mut is_first = true;
        while self.stopping.borrow().is_none() {
            let asked = match captures {
                true => office.capture(hold, Amount::from_minor(share.max(1))).await,
                false => office.void(hold).await,
            };
            match asked {
                Ok(SubmissionStatus::Settled { .. }) => return,
                Ok(SubmissionStatus::Refused(refusal)) if refusal.reason() == Reason::UnknownHold => {
                    let outlasts_the_run = placed.expires_at > wall_clock().plus_ms(HELD_FOR_MS[0]);
                    if is_first && outlasts_the_run {
                        let sentence = format!("hold {hold} settled, by payment {number}, and cannot be captured");
                        self.recorder.violation(Property::AnswersStand, sentence);
                    }
                    return;
                }
                Ok(SubmissionStatus::Refused(refusal)) if refusal.position.is_some() => return,
                _ => is_first = false,
            }
            sleep(PAUSE).await;
        }
    }

    /// Returns the answer, and the result of a command that settled.
    async fn submit(&self, number: usize, command: &Command) -> (Answer, Option<u64>) {
        let asked = self.recorder.now();
        let status = self.wallet.submit_command(command).await;
        let result = match &status {
            Ok(SubmissionStatus::Settled { result, .. }) => Some(*result),
            _ => None,
        };
        let answer = answer_of(status);
        self.recorder.answer(number, asked, answer.clone());
        (answer, result)
    }

    /// Sends a record again whose answer is known: the answer must be the same.
    async fn ask_again(&mut self) {
        if let Some((number, command)) = self.one_paid() {
            self.submit(number, &command).await;
        }
    }

    /// Asks for the receipt of a payment whose answer is known.
    async fn look_up(&mut self) {
        let Some((number, command)) = self.one_paid() else { return };
        let asked = self.recorder.now();
        let sequence = command.head().sequence;
        match self.wallet.receipt_of_sequence(sequence).await {
            Ok(receipt) if *receipt.command() == command => {
                let (position, reason) = (receipt.position(), receipt.outcome().reason);
                let is_settled = receipt.outcome().is_settled();
                let answer = if is_settled { Answer::Settled(position) } else { Answer::RefusedAt(position, reason) };
                self.recorder.answer(number, asked, answer);
            }
            // Another record used the number: this one was answered as refused for good.
            Ok(_) => {}
            Err(error @ (ClientError::Proof(_) | ClientError::OtherReceipt { .. })) => {
                let sentence = format!("{} asked for the receipt of payment {number}: {error}", self.name);
                self.recorder.violation(Property::AnswersStand, sentence);
            }
            Err(_) => {}
        }
    }

    fn one_paid(&mut self) -> Option<(usize, Command)> {
        if self.paid.is_empty() {
            return None;
        }
        let index = self.random.random_range(0..self.paid.len());
        Some(self.paid[index].clone())
    }

    async fn read(&self) {
        let (life, asked) = (life_of(&self.lives, self.bank), self.recorder.now());
        let Ok(balance) = self.wallet.balance().await else { return };
        if life_of(&self.lives, self.bank) != life {
            return;
        }
        self.recorder.read(Read {
            client: self.name.clone(),
            node: in_life(self.bank, life),
            subject: Subject::Balance(self.wallet.account()),
            asked,
            answered: self.recorder.now(),
            height: balance.height,
            minor: balance.posted.minor(),
        });
    }
}

fn answer_of(status: Result<SubmissionStatus, ClientError>) -> Answer {
    match status {
        Ok(SubmissionStatus::Settled { position, .. }) => Answer::Settled(position),
        Ok(SubmissionStatus::Accepted) => Answer::Accepted,
        Ok(SubmissionStatus::Unknown { why }) => Answer::Unknown(why),
        Ok(status) => {
            let is_final = status.is_final();
            let SubmissionStatus::Refused(refusal) = status else {
                return Answer::Unknown("an answer of another kind".to_owned());
            };
            match (refusal.position, is_final) {
                (Some(position), _) => Answer::RefusedAt(position, refusal.reason()),
                (None, true) => Answer::RefusedForGood(refusal.reason()),
                (None, false) => Answer::RefusedForNow(refusal.reason()),
            }
        }
        Err(error) => Answer::Unknown(error.to_string()),
    }
}
