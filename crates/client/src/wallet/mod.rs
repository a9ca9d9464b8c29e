//! A wallet: a key, an account, and the bank that serves it.
//!
//! # Paying
//! [`Wallet::pay`] signs with the next unused sequence number, sends, and sends the same record again until its status
//! is known. A program that must survive its own crash signs first ([`Wallet::sign_transfer`]), saves the record and
//! then submits it ([`Wallet::submit`]); after a restart it submits the saved record again, which cannot pay twice.
//!
//! # Beside payments
//! A holder consents to the waterfall and to top-ups ([`Wallet::link_bank`]), designates the wallet that has their tier
//! allowance ([`Wallet::designate`]) and holds money for a payee ([`Wallet::hold`]). A payment above the wallet's
//! balance is topped up from the deposit at the linked bank ([`Wallet::pay_with_top_up`]); if that is not the wallet's
//! own bank, the wallet needs a connection to it ([`Wallet::with_linked_bank`]).
//!
//! While the central bank is away the bank may accept a payment ([`Wallet::accepting`]), which settles later.
//!
//! # Sessions
//! Unsigned requests, for reading and funding, need the holder's session with the bank. The wallet opens one when it
//! first needs it and renews it by itself; clones share it, so keep one wallet rather than make a new one for each
//! call.
//!
//! # Sequence numbers
//! Up to 64 payments may be in flight at once. The wallet keeps count ([`crate::sequence`]), starting from the lowest
//! unused number that its bank reports. Another device with the same key may take a number first: the ledger then
//! refuses this one's record with `SEQUENCE_CONFLICT`, and `pay` re-signs with another number. That is safe, since the
//! first record can never settle.
//!
//! A record that was refused without finality may settle yet if a copy of it is sent. The next record therefore gets
//! its number, so that at most one of the two ever settles. If it is the earlier one, the later one is refused with
//! `SEQUENCE_CONFLICT`, and not re-signed: [`Wallet::receipt_of_sequence`] shows what settled instead.
//! [`Wallet::instead_of`] does the same across a restart of the program.

mod reading;
mod sequences;
mod sessions;
mod statement;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cbdc_ledger::command::{
    BankConsent, DesignateWallet, FLAG_REVERSE_WATERFALL, Head, LinkBank, MoveWallet, Payment, PaymentKind, PlaceHold,
    Record, Signed, Statement,
};
use cbdc_ledger::sequence::WALLET_WINDOW;
use cbdc_ledger::{AccountId, Amount, BankId, Command, Reason, SigningKey, Timestamp};
use cbdc_proto::convert::{self, payment_to_message};
use cbdc_proto::packed::Answer;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use cbdc_proto::v1::consent_request::To;
use tonic::Status;
use tonic::transport::Channel;

use crate::anchor::Anchor;
use crate::connection::Connection;
use crate::consent::ask_consent;
use crate::error::{ClientError, Finality};
use crate::registrar::Registration;
use crate::submission::{SubmissionStatus, TIMEOUT, until_known};

use sequences::WalletSequences;
use sessions::Sessions;

pub use statement::{Balance, BalanceChange, HistoryEntry, HistoryPage};

/// The number of times that a command is re-signed because another record took its sequence number. Numbers come from
/// the bank's replica, which may lag: each attempt passes one of those that other programs have used meanwhile.
const RE_SIGNATURES_MAX: usize = 16;

/// The terms of a payment apart from payee and amount. By default no reference, no fee and no top-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PaymentTerms {
    /// 16 bytes of the payer's own choice.
    pub reference: [u8; 16],
    /// The largest fee that the payer accepts; a payment that costs more is refused with `MAX_FEE`.
    pub max_fee: Amount,
    /// Whether the linked bank may add from the payer's deposit what the wallet lacks.
    pub top_up: bool,
}

impl PaymentTerms {
    fn with_reference(reference: [u8; 16]) -> PaymentTerms {
        PaymentTerms { reference, ..PaymentTerms::default() }
    }
}

/// A submitted payment and its status.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The record as signed: submit it again with [`Wallet::submit`] if its status is unknown.
    pub payment: Signed<Payment>,
    /// Its outcome.
    pub status: SubmissionStatus,
}

/// A holder's wallet at a bank. Clones share the connection, the key and the sequence numbers.
#[derive(Clone)]
pub struct Wallet {
    connection: Connection,
    linked_bank: Option<Connection>,
    anchor: Arc<Anchor>,
    key: Arc<SigningKey>,
    key_version: u32,
    account: AccountId,
    sequences: Arc<WalletSequences>,
    sessions: Arc<Sessions>,
    timeout: Duration,
    /// Whether the bank may accept transfers while the central bank does not answer.
    accepts: bool,
    /// The number with which every record is signed, instead of the next unused one.
    instead_of: Option<u64>,
}

impl Wallet {
    /// A wallet that is already open. `connection` leads to its bank.
    pub fn new(connection: Connection, anchor: Arc<Anchor>, key: SigningKey, account: AccountId) -> Wallet {
        let key = Arc::new(key);
        Wallet {
            connection,
            linked_bank: None,
            sessions: Sessions::new(anchor.network(), key.clone(), 0, account),
            anchor,
            key,
            key_version: 0,
            account,
            sequences: Arc::default(),
            timeout: TIMEOUT,
            accepts: false,
            instead_of: None,
        }
    }

    /// Opens a wallet at the bank. Safe to repeat: a bank opens one wallet per key, and answers a repetition with the
    /// same one.
    pub async fn open(
        connection: Connection,
        anchor: Arc<Anchor>,
        key: SigningKey,
        registration: &Registration,
    ) -> Result<Wallet, ClientError> {
        let Registration { network, statement, certificate } = registration;
        let Statement { holder, class, .. } = statement;
        let agreement = statement.agree(*network, certificate, &key);
        let request = v1::OpenWalletRequest {
            holder: Bytes::copy_from_slice(&holder.0),
            class: class.to_string(),
            public_key: Bytes::copy_from_slice(&key.public_key().0),
            registrar: u32::from(certificate.registrar.0),
            registrar_key_version: certificate.registrar_key_version,
            registrar_signature: Bytes::copy_from_slice(&certificate.signature.0),
            certificate_valid_until_ms: certificate.valid_until.0,
            agreement: Bytes::copy_from_slice(&agreement.0),
        };
        let answer = connection.ask(connection.bank().open_wallet(connection.request(request))).await?;
        if let Some(outcome) = &answer.outcome {
            let decided = convert::outcome_from_message(outcome).map_err(|status| connection.unreadable(status))?;
            SubmissionStatus::of_answer(&decided).settled()?;
        }
        let account = convert::account("account", &answer.account).map_err(|status| connection.unreadable(status))?;
        Ok(Wallet::new(connection, anchor, key, account))
    }

    /// Sets the connection to the bank that tops payments up, if the wallet is linked to another bank than its own.
    pub fn with_linked_bank(mut self, connection: Connection) -> Wallet {
        self.linked_bank = Some(connection);
        self
    }

    /// Sets the time for which a command is sent again before its status counts as unknown; 30 s unless set.
    pub fn with_timeout(mut self, timeout: Duration) -> Wallet {
        self.timeout = timeout;
        self
    }

    /// Lets the bank accept transfers into its outbox while the central bank does not answer. Such a payment has the
    /// status [`SubmissionStatus::Accepted`]: it counts as spent, and settles by itself once that is back, until its
    /// valid-until. Submit the same record again to learn what became of it.
    pub fn accepting(mut self) -> Wallet {
        self.accepts = true;
        self
    }

    /// Signs with the sequence number of an earlier record that may still settle, so that at most one of the two ever
    /// does. If that is the earlier one, the new one is refused with `SEQUENCE_CONFLICT` and not re-signed.
    pub fn instead_of(mut self, sequence: u64) -> Wallet {
        self.instead_of = Some(sequence);
        self
    }

    /// Never signs a record with this sequence number: a record whose status is open, which an earlier run of the
    /// program may have sent, has it.
    pub fn set_aside(&self, sequence: u64) {
        self.sequences.set_aside(sequence);
    }

    /// The wallet's account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The trust anchor with which receipts are checked.
    pub fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// Pays, and waits until the payment's status is known.
    pub async fn pay(&self, to: AccountId, amount: Amount) -> Result<Submission, ClientError> {
        self.pay_with_reference(to, amount, [0; 16]).await
    }

    /// Pays with 16 bytes of the payer's own choice, and waits until the payment's status is known.
    pub async fn pay_with_reference(
        &self,
        to: AccountId,
        amount: Amount,
        reference: [u8; 16],
    ) -> Result<Submission, ClientError> {
        self.pay_on(to, amount, &PaymentTerms::with_reference(reference)).await
    }

    /// Pays on the payer's own terms, and waits until the payment's status is known.
    pub async fn pay_on(&self, to: AccountId, amount: Amount, terms: &PaymentTerms) -> Result<Submission, ClientError> {
        self.sign_and_submit(PaymentKind::Transfer, to, amount, terms).await
    }

    /// Pays, and lets the linked bank add from the deposit what the wallet lacks.
    pub async fn pay_with_top_up(
        &self,
        to: AccountId,
        amount: Amount,
        max_fee: Amount,
    ) -> Result<Submission, ClientError> {
        self.pay_on(to, amount, &PaymentTerms { max_fee, top_up: true, ..PaymentTerms::default() }).await
    }

    /// Moves money from the wallet to its deposit.
    pub async fn defund(&self, amount: Amount) -> Result<Submission, ClientError> {
        let treasury = AccountId::treasury(self.account.bank);
        self.sign_and_submit(PaymentKind::Defund, treasury, amount, &PaymentTerms::default()).await
    }

    /// Consents that credits above the holding limit go to the deposit at the wallet's own bank, and that this bank
    /// tops up payments that allow it. The consent holds until it is revoked.
    pub async fn link_bank(&self) -> Result<SubmissionStatus, ClientError> {
        let consent = ask_consent(&self.connection, self.account, To::LinkBank).await?;
        self.link_bank_with(self.account.bank, consent).await
    }

    /// Like [`Wallet::link_bank`], for a deposit at any bank, which has given its consent
    /// ([`BankOffice::consent_to_link`](crate::BankOffice::consent_to_link)).
    pub async fn link_bank_with(&self, bank: BankId, consent: BankConsent) -> Result<SubmissionStatus, ClientError> {
        self.command(|head| LinkBank { head, account: self.account, bank, consent: Some(consent) }).await
    }

    /// Revokes the consent of [`Wallet::link_bank`].
    pub async fn unlink_bank(&self) -> Result<SubmissionStatus, ClientError> {
        self.command(|head| LinkBank { head, account: self.account, bank: BankId(0), consent: None }).await
    }

    /// Moves the wallet to the bank at the other end of `connection`, with its money, its holds and its key, and
    /// returns the wallet there. Its deposit stays at the old bank. The new bank submits the move, so that the old one
    /// cannot delay it.
    ///
    /// # Errors
    /// Among others [`ClientError::Refused`] with `SAME_BANK`, `BANK_SUSPENDED` or `TOO_MANY_HOLDS`.
    pub async fn move_to(&self, bank: BankId, connection: Connection) -> Result<Wallet, ClientError> {
        let moved = |account| Wallet {
            connection: connection.clone(),
            linked_bank: None,
            account,
            sequences: Arc::default(),
            sessions: Sessions::new(self.anchor.network(), self.key.clone(), self.key_version, account),
            ..self.clone()
        };
        if let Some(account) = self.moved_account().await? {
            return Ok(moved(account));
        }
        let consent = ask_consent(&connection, self.account, To::MoveWallet).await?;
        let make = |head| MoveWallet { head, account: self.account, bank, consent };
        let (_, account) = self.command_through(&connection, make).await?.result()?;
        let account = AccountId::from_u64(account);
        Ok(moved(account.ok_or_else(|| connection.bad_answer("the outcome names no account"))?))
    }

    /// The account that replaced the wallet, if it has moved to another bank.
    pub async fn moved_account(&self) -> Result<Option<AccountId>, ClientError> {
        let moved_to = self.details().await?.moved_to;
        if moved_to.is_empty() {
            return Ok(None);
        }
        let account = convert::account("moved_to", &moved_to);
        account.map(Some).map_err(|status| self.connection.unreadable(status))
    }

    /// Moves the holder's tier allowance to this wallet.
    pub async fn designate(&self) -> Result<SubmissionStatus, ClientError> {
        self.command(|head| DesignateWallet { head, account: self.account }).await
    }

    /// Holds `maximum`, and in addition `terms.max_fee`, for a payee until a time. The status's result is the hold's
    /// number, by which the payee's bank captures or voids it.
    pub async fn hold(
        &self,
        to: AccountId,
        maximum: Amount,
        expires_at: Timestamp,
        terms: &PaymentTerms,
    ) -> Result<SubmissionStatus, ClientError> {
        let PaymentTerms { reference, max_fee, .. } = *terms;
        self.command(|head| PlaceHold { head, from: self.account, to, maximum, max_fee, expires_at, reference }).await
    }

    /// Signs a hold ([`Wallet::hold`]) with the next unused sequence number, without sending it;
    /// [`Wallet::submit_command`] submits it.
    pub async fn sign_hold(
        &self,
        to: AccountId,
        maximum: Amount,
        expires_at: Timestamp,
        terms: &PaymentTerms,
    ) -> Result<Signed<PlaceHold>, ClientError> {
        let PaymentTerms { reference, max_fee, .. } = *terms;
        let hold =
            PlaceHold { head: self.head(0).await?, from: self.account, to, maximum, max_fee, expires_at, reference };
        Ok(hold.sign(self.anchor.network(), &self.key))
    }

    /// Signs a command with the next unused sequence number and submits it until its status is known.
    async fn command<R>(&self, make: impl Fn(Head) -> R) -> Result<SubmissionStatus, ClientError>
    where
        R: Record,
        Signed<R>: Into<Command>,
    {
        self.command_through(&self.connection, make).await
    }

    /// Like [`Wallet::command`], submitted to the bank at the other end of `bank`.
    async fn command_through<R>(
        &self,
        bank: &Connection,
        make: impl Fn(Head) -> R,
    ) -> Result<SubmissionStatus, ClientError>
    where
        R: Record,
        Signed<R>: Into<Command>,
    {
        let attempt = || async {
            let command: Command = make(self.head(0).await?).sign(self.anchor.network(), &self.key).into();
            let status = self.submit_through(bank, &command).await?;
            Ok::<_, ClientError>((command, status))
        };
        self.re_sign_if_taken(attempt).await.map(|(_, status)| status)
    }

    /// Submits a signed command, repeatedly, until its status is known or the timeout has passed. A payment is
    /// submitted as [`Wallet::submit`] does.
    ///
    /// # Errors
    /// Like [`Wallet::submit`].
    pub async fn submit_command(&self, command: &Command) -> Result<SubmissionStatus, ClientError> {
        match command {
            Command::Payment(payment) => self.submit(payment).await,
            command => self.submit_through(&self.connection, command).await,
        }
    }

    async fn submit_through(&self, bank: &Connection, command: &Command) -> Result<SubmissionStatus, ClientError> {
        let status = until_known(bank, self.timeout, || submit_command(bank, command)).await;
        self.settled(command.head().sequence, |found| found == command, status).await
    }

    /// Signs and submits a record, and re-signs it with a new sequence number while another record took the last one,
    /// sixteen times at most. A record that was signed with the number of an earlier one which might still settle is
    /// not re-signed: the earlier one may have settled instead.
    ///
    /// `attempt` signs one record, submits it with [`Wallet::submit`] and returns the record and its status. A program
    /// that saves its records before it submits them does so there.
    ///
    /// # Errors
    /// Those of `attempt`, or the bank could not be asked for the used sequence numbers.
    pub async fn re_sign_if_taken<T, E, A>(&self, attempt: impl Fn() -> A) -> Result<(T, SubmissionStatus), E>
    where
        T: Clone + Into<Command>,
        A: Future<Output = Result<(T, SubmissionStatus), E>>,
        E: From<ClientError>,
    {
        let mut re_signatures = 0;
        loop {
            let (record, status) = attempt().await?;
            if !status.sequence_was_taken() || re_signatures == RE_SIGNATURES_MAX {
                return Ok((record, status));
            }
            let sequence = record.clone().into().head().sequence;
            if self.instead_of == Some(sequence) || self.sequences.is_contested(sequence) {
                return Ok((record, status));
            }
            re_signatures += 1;
            self.refresh_numbers().await?;
        }
    }

    async fn sign_and_submit(
        &self,
        kind: PaymentKind,
        to: AccountId,
        amount: Amount,
        terms: &PaymentTerms,
    ) -> Result<Submission, ClientError> {
        let attempt = || async {
            let payment = self.sign(kind, to, amount, terms).await?;
            let status = self.submit(&payment).await?;
            Ok::<_, ClientError>((payment, status))
        };
        let (payment, status) = self.re_sign_if_taken(attempt).await?;
        Ok(Submission { payment, status })
    }

    /// Signs a transfer with the next unused sequence number, without sending it.
    pub async fn sign_transfer(
        &self,
        to: AccountId,
        amount: Amount,
        reference: [u8; 16],
    ) -> Result<Signed<Payment>, ClientError> {
        self.sign_transfer_on(to, amount, &PaymentTerms::with_reference(reference)).await
    }

    /// Signs a transfer on the payer's own terms, without sending it.
    pub async fn sign_transfer_on(
        &self,
        to: AccountId,
        amount: Amount,
        terms: &PaymentTerms,
    ) -> Result<Signed<Payment>, ClientError> {
        self.sign(PaymentKind::Transfer, to, amount, terms).await
    }

    /// Signs a defund with the next unused sequence number, without sending it.
    pub async fn sign_defund(&self, amount: Amount) -> Result<Signed<Payment>, ClientError> {
        let treasury = AccountId::treasury(self.account.bank);
        self.sign(PaymentKind::Defund, treasury, amount, &PaymentTerms::default()).await
    }

    async fn sign(
        &self,
        kind: PaymentKind,
        to: AccountId,
        amount: Amount,
        terms: &PaymentTerms,
    ) -> Result<Signed<Payment>, ClientError> {
        let PaymentTerms { reference, max_fee, top_up } = *terms;
        let head = self.head(if top_up { FLAG_REVERSE_WATERFALL } else { 0 }).await?;
        let payment = Payment { kind, head, from: self.account, to, amount, max_fee, reference };
        Ok(payment.sign(self.anchor.network(), &self.key))
    }

    /// A head with the next unused sequence number, or with the one of [`Wallet::instead_of`].
    async fn head(&self, flags: u16) -> Result<Head, ClientError> {
        let sequence = match self.instead_of {
            Some(sequence) => sequence,
            None => self.take_sequence().await?,
        };
        Ok(Head { flags, key_version: self.key_version, sequence, valid_until: self.anchor.valid_until() })
    }

    /// Submits a signed payment, repeatedly, until its status is known or the timeout has passed.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] if the bank cannot be reached at all; then nothing was sent.
    pub async fn submit(&self, payment: &Signed<Payment>) -> Result<SubmissionStatus, ClientError> {
        let bank = self.bank_of(payment);
        let status = match payment.record.kind {
            PaymentKind::Defund => until_known(bank, self.timeout, || self.submit_defund(payment)).await,
            _ => until_known(bank, self.timeout, || submit_transfer(bank, payment, self.accepts)).await,
        };
        let is_this = |found: &Command| match found {
            Command::Payment(found) => found == payment,
            Command::ReverseWaterfall(order) => order.record.transfer == *payment,
            _ => false,
        };
        self.settled(payment.record.head.sequence, is_this, status).await
    }

    /// The bank to which a payment is submitted: the wallet's own, or the linked one that may top it up.
    fn bank_of(&self, payment: &Signed<Payment>) -> &Connection {
        let may_top_up = payment.record.head.flags & FLAG_REVERSE_WATERFALL != 0;
        self.linked_bank.as_ref().filter(|_| may_top_up).unwrap_or(&self.connection)
    }

    /// Settles a command's sequence number by its status, and returns the status.
    async fn settled(
        &self,
        sequence: u64,
        is_this: impl Fn(&Command) -> bool,
        status: Result<SubmissionStatus, ClientError>,
    ) -> Result<SubmissionStatus, ClientError> {
        let status = match status {
            Ok(status) => self.status_of_used_sequence(sequence, is_this, status).await,
            Err(error) => {
                self.sequences.settle(sequence, None);
                return Err(error);
            }
        };
        self.sequences.settle(sequence, Some(&status));
        Ok(status)
    }

    async fn submit_defund(&self, payment: &Signed<Payment>) -> Result<Answer, Status> {
        let request = self.connection.request(v1::DefundRequest { payment: Some(payment_to_message(payment)) });
        let answer = self.connection.send(self.connection.bank().defund(request)).await?;
        let outcome = answer.outcome.ok_or_else(|| Status::unknown("the bank's answer holds no outcome"))?;
        convert::outcome_from_message(&outcome)
    }

    /// Looks up in the chain which command used a sequence number; a refusal does not say.
    async fn status_of_used_sequence(
        &self,
        sequence: u64,
        is_this: impl Fn(&Command) -> bool,
        status: SubmissionStatus,
    ) -> SubmissionStatus {
        let SubmissionStatus::Refused(refusal) = &status else { return status };
        // Where the bank calls it final, it has seen the other record in the chain.
        let is_another = refusal.reason() == Reason::SequenceConflict && refusal.finality == Finality::Final;
        if is_another || !refusal.reason().says_sequence_used() || refusal.position.is_some() {
            return status;
        }
        match self.receipt_of_sequence(sequence).await {
            Ok(receipt) if is_this(receipt.command()) => {
                let position = receipt.position();
                SubmissionStatus::of_answer(&Answer::ordered(position.height, position.index, receipt.outcome()))
            }
            Ok(_) => status,
            Err(error) => SubmissionStatus::Unknown {
                why: format!("sequence number {sequence} was used, and by which command could not be learned: {error}"),
            },
        }
    }

    /// Moves money from the deposit to the wallet. Safe to repeat with the same `request_id`.
    pub async fn fund(&self, amount: Amount, request_id: [u8; 16]) -> Result<SubmissionStatus, ClientError> {
        let request = v1::FundRequest {
            account: self.account.to_string(),
            amount_minor: amount.minor(),
            request_id: Bytes::copy_from_slice(&request_id),
        };
        let attempt = || async {
            let fund = |mut bank: BankClient<Channel>, request| async move { bank.fund(request).await };
            let answer = self.sessions.call(self.account.bank, &self.connection, request.clone(), fund).await?;
            let outcome = answer.outcome.ok_or_else(|| Status::unknown("the bank's answer holds no outcome"))?;
            convert::outcome_from_message(&outcome)
        };
        until_known(&self.connection, self.timeout, attempt).await
    }

    async fn take_sequence(&self) -> Result<u64, ClientError> {
        if let Some(sequence) = self.sequences.take() {
            return Ok(sequence);
        }
        self.refresh_numbers().await?;
        self.sequences.take().ok_or(ClientError::SequencesExhausted { window: WALLET_WINDOW })
    }

    async fn refresh_numbers(&self) -> Result<(), ClientError> {
        self.sequences.observe(self.details().await?.next_sequence);
        Ok(())
    }
}

async fn submit_command(bank: &Connection, command: &Command) -> Result<Answer, Status> {
    let request = bank.request(v1::SubmitHolderCommandRequest { command: command.to_bytes().into() });
    let outcome = bank.send(bank.bank().submit_holder_command(request)).await?;
    convert::outcome_from_message(&outcome)
}

async fn submit_transfer(
    bank: &Connection,
    payment: &Signed<Payment>,
    accept_when_unreachable: bool,
) -> Result<Answer, Status> {
    let message = v1::SubmitTransferRequest { payment: Some(payment_to_message(payment)), accept_when_unreachable };
    let answer = bank.send(bank.bank().submit_transfer(bank.request(message))).await?;
    match (answer.state(), &answer.outcome) {
        (v1::submit_transfer_response::State::Accepted, _) => Ok(Answer::accepted()),
        (_, Some(outcome)) => convert::outcome_from_message(outcome),
        (_, None) => Err(Status::unknown("the bank's answer holds no outcome")),
    }
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wallet({} at {})", self.account, self.connection.address())
    }
}
