//! How each call answers: what the ledger decided as an outcome, what never reached it as a status. Every call of the
//! contract × reasons that it may give, on a real central bank and two banks.

use std::collections::BTreeSet;

use bytes::Bytes;
use cbdc_client::{
    AccountId, Amount, BankId, HolderId, MemberId, NodeName, Reason, Role, SigningKey, Timestamp, random_id,
};
use cbdc_ledger::command::{
    Ballot, BankConsent, Choice, DesignateWallet, Head, IssuanceKind, IssuanceRequest, LinkBank, Payment, PaymentKind,
    PlaceHold, Record, SessionStatement,
};
use cbdc_ledger::{Command, Signed};
use cbdc_proto::answers::Answers;
use cbdc_proto::convert::payment_to_message;
use cbdc_proto::status::refusal_of;
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;
use cbdc_proto::v1::consent_request::To;
use cbdc_proto::v1::get_bank_receipt_request::{BlockPosition, Command as Wanted};
use cbdc_proto::v1::leadership_client::LeadershipClient;
use cbdc_proto::v1::policy_client::PolicyClient;
use cbdc_proto::v1::settlement_client::SettlementClient;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use crate::customers::{BANK, Running, head, opening};

/// What was asked and answered so far.
#[derive(Default)]
struct Table {
    calls: BTreeSet<&'static str>,
    wrong: Vec<String>,
}

impl Table {
    /// A row: a call, and how it has to answer: `-` for an answer without an outcome, `outcome REASON` or
    /// `status REASON`.
    fn row<T: Decided>(&mut self, call: &'static str, expected: &str, answer: Result<Response<T>, Status>) {
        self.calls.insert(call);
        let found = match answer.as_ref().map(|answer| answer.get_ref().decided()) {
            Ok(None) => "-".to_owned(),
            Ok(Some(outcome)) => self.outcome(call, &outcome),
            Err(status) => self.status(call, status),
        };
        if found != expected {
            self.wrong.push(format!("{call}: expected {expected}, found {found}: {:?}", answer.err()));
        }
    }

    fn outcome(&mut self, call: &str, outcome: &v1::Outcome) -> String {
        let reason = Reason::from_name(&outcome.reason).expect("a known reason");
        let is_decided = outcome.height > 0 && reason.stage() != cbdc_ledger::outcome::Stage::BeforeOrdering;
        if !is_decided || outcome.settled != (reason == Reason::Settled) {
            self.wrong.push(format!("{call}: the ledger has not decided {outcome:?}"));
        }
        format!("outcome {reason}")
    }

    fn status(&mut self, call: &str, status: &Status) -> String {
        let Some(refusal) = refusal_of(status) else {
            self.wrong.push(format!("{call}: no reason in {status:?}"));
            return "status".to_owned();
        };
        if !refusal.reason.is_found_before_ordering() {
            self.wrong.push(format!("{call}: the ledger alone finds {status:?}"));
        }
        format!("status {}", refusal.reason)
    }

    /// The first answer of a stream, where it tells outcomes by their packed form.
    async fn stream(
        &mut self,
        call: &'static str,
        expected: &[&str],
        answer: Result<Response<Streaming<v1::OutcomeBatch>>, Status>,
    ) {
        self.calls.insert(call);
        let batch = answer.unwrap().into_inner().message().await.unwrap().unwrap();
        let answers = Answers::from_message(batch).unwrap().unpacked().unwrap();
        let found = answers.iter().map(|answer| match (answer.height.0, answer.outcome.reason) {
            (0, reason) if reason.is_found_before_ordering() => format!("status {reason}"),
            (0, reason) => format!("{reason}, which the ledger alone finds, without a place"),
            (_, reason) => format!("outcome {reason}"),
        });
        let found: Vec<String> = found.collect();
        if found != expected {
            self.wrong.push(format!("{call}: expected {expected:?}, found {found:?}"));
        }
    }
}

/// An answer that may tell what the ledger decided.
trait Decided {
    fn decided(&self) -> Option<v1::Outcome> {
        None
    }
}

macro_rules! decided {
    ($($plain:ty)*; $($field:ty)*) => {
        $(impl Decided for $plain {})*
        $(impl Decided for $field {
            fn decided(&self) -> Option<v1::Outcome> {
                self.outcome.clone()
            }
        })*
    };
}

decided! {
    v1::BankStatus v1::BeginSessionResponse v1::OpenSessionResponse v1::Wallet v1::Quote v1::ConsentResponse
    v1::ListHoldsResponse v1::ListDepositsResponse v1::AcceptDepositsResponse v1::Deposit v1::Receipt
    v1::ListPaymentsResponse v1::Treasury v1::PolicySet
    v1::ListPolicyVersionsResponse v1::BalanceSheet v1::Aggregates v1::ProfitAndLoss v1::ListProgrammesResponse
    v1::Supply v1::ListMembersResponse v1::ListProposalsResponse v1::ListIssuanceRequestsResponse
    v1::RejectIssuanceRequestResponse v1::ClockState v1::AcceptClockResponse v1::Genesis v1::SignedHeader v1::Block
    Streaming<v1::Block> Streaming<v1::FilteredBlock> Streaming<v1::CheckpointPart>
    Streaming<v1::MembershipChange> v1::GetLeadershipResponse v1::HandOverResponse;
    v1::OpenWalletResponse v1::SubmitTransferResponse v1::FundResponse v1::DefundResponse
    v1::RequestBankIssuanceResponse v1::ReportDepositsResponse v1::RequestIssuanceResponse
}

impl Decided for v1::Outcome {
    fn decided(&self) -> Option<v1::Outcome> {
        Some(self.clone())
    }
}

/// Signs for Alice, each record with a number of its own.
struct Signing<'a> {
    running: &'a Running,
    next: u64,
}

impl Signing<'_> {
    fn sign<R: Record>(&mut self, make: impl FnOnce(Head) -> R) -> Signed<R> {
        self.next += 1;
        make(head(self.next - 1)).sign(self.running.network.anchor().network(), &self.running.alice.key())
    }

    fn payment(&mut self, kind: PaymentKind, to: AccountId, amount_minor: u64) -> Signed<Payment> {
        let (from, amount, max_fee) = (self.running.alice.account, Amount::from_minor(amount_minor), Amount::ZERO);
        self.sign(|head| Payment { kind, head, from, to, amount, max_fee, reference: [0; 16] })
    }

    fn transfer(&mut self, to: AccountId, amount_minor: u64) -> Signed<Payment> {
        self.payment(PaymentKind::Transfer, to, amount_minor)
    }

    /// A transfer whose head is not as it should be.
    fn transfer_with(&mut self, change: impl FnOnce(&mut Head)) -> Signed<Payment> {
        let mut record = self.transfer(self.running.carol.account, 1).record;
        change(&mut record.head);
        record.sign(self.running.network.anchor().network(), &self.running.alice.key())
    }
}

fn submit(payment: &Signed<Payment>) -> v1::SubmitTransferRequest {
    v1::SubmitTransferRequest { payment: Some(payment_to_message(payment)), accept_when_unreachable: false }
}

fn forged(mut payment: Signed<Payment>) -> Signed<Payment> {
    payment.signature.0[40] ^= 1;
    payment
}

fn batch(payments: &[Signed<Payment>]) -> impl tonic::IntoStreamingRequest<Message = v1::CommandBatch> {
    let commands: Vec<u8> = payments.iter().flat_map(|payment| payment.to_bytes()).collect();
    tokio_stream::once(v1::CommandBatch { batch_id: 1, commands: commands.into(), takes_runs: false })
}

fn wallet_of(account: AccountId) -> v1::GetWalletRequest {
    v1::GetWalletRequest { wallet: Some(v1::get_wallet_request::Wallet::Account(account.to_string())) }
}

fn with_token<M>(token: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn customers_calls(running: &Running, table: &mut Table) {
    let mut bank = running.client(None);
    let (alice, carol, token) = (&running.alice, &running.carol, running.token(&running.alice).await);
    let (elsewhere, network) = (AccountId::new(BankId(2), 1), running.network.anchor().network());
    let nobody = AccountId::new(BANK, 999);
    // Alice's third number is the designation's.
    let mut signing = Signing { running, next: 4 };

    table.row("Bank.GetStatus", "-", bank.get_status(v1::GetStatusRequest {}).await);
    table.row("Bank.BeginSession", "-", bank.begin_session(v1::BeginSessionRequest {}).await);
    let good = running.statement(alice, BANK, 0).await;
    for (statement, key, expected) in [
        (good, alice.key(), "-"),
        (SessionStatement { bank: BankId(2), ..good }, alice.key(), "status MALFORMED"),
        (SessionStatement { challenge: [7; 32], ..good }, alice.key(), "status NO_SESSION"),
        (good, carol.key(), "status BAD_SIGNATURE"),
    ] {
        let statement = statement.sign(network, &key).to_bytes().to_vec().into();
        table.row("Bank.OpenSession", expected, bank.open_session(v1::OpenSessionRequest { statement }).await);
    }
    let unread = v1::OpenSessionRequest { statement: Bytes::from_static(&[1; 119]) };
    table.row("Bank.OpenSession", "status MALFORMED", bank.open_session(unread).await);

    // The key is Alice's: of another holder's wallet, and of another network's registrar.
    let again = running.opening.clone();
    let of_another = opening(&running.network, alice.seed, HolderId([99; 16]));
    let no_registrar = v1::OpenWalletRequest { registrar: 9, ..opening(&running.network, 60, HolderId([60; 16])) };
    let no_agreement = v1::OpenWalletRequest { agreement: vec![1; 64].into(), ..again.clone() };
    let no_class = v1::OpenWalletRequest { class: "nobility".to_owned(), ..again.clone() };
    for (request, expected) in [
        (again, "-"),
        (opening(&running.network, 61, HolderId([61; 16])), "outcome SETTLED"),
        (of_another, "outcome KEY_IN_USE"),
        (no_registrar, "status UNKNOWN_MEMBER"),
        (no_agreement, "status BAD_SIGNATURE"),
        (no_class, "status MALFORMED"),
    ] {
        table.row("Bank.OpenWallet", expected, bank.open_wallet(request).await);
    }

    table.row("Bank.GetWallet", "-", bank.get_wallet(with_token(&token, wallet_of(alice.account))).await);
    table.row("Bank.GetWallet", "status NO_SESSION", bank.get_wallet(wallet_of(alice.account)).await);
    table.row("Bank.GetWallet", "status MALFORMED", bank.get_wallet(with_token(&token, wallet_of(elsewhere))).await);
    table.row("Bank.GetWallet", "status NOT_AUTHORISED", bank.get_wallet(with_token(&token, wallet_of(nobody))).await);
    for (from, amount_minor, expected) in [(alice.account, 1, "-"), (elsewhere, 1, "status MALFORMED")] {
        let (from, to, max_fee_minor) = (from.to_string(), carol.account.to_string(), None);
        let request = v1::QuoteTransferRequest { from, to, amount_minor, max_fee_minor };
        table.row("Bank.QuoteTransfer", expected, bank.quote_transfer(with_token(&token, request)).await);
    }

    let paid = signing.transfer(carol.account, 1);
    let other_bytes = {
        let mut other = paid.record;
        other.amount = Amount::from_minor(2);
        other.sign(network, &alice.key())
    };
    let mut of_another_bank = paid;
    of_another_bank.record.from = elsewhere;
    for (payment, expected) in [
        (paid, "outcome SETTLED"),
        (paid, "outcome SETTLED"),
        (other_bytes, "status SEQUENCE_CONFLICT"),
        (signing.transfer(carol.account, 5_000), "outcome INSUFFICIENT_FUNDS"),
        (signing.transfer(carol.account, 100_001), "outcome PAYMENT_LIMIT"),
        (signing.transfer(carol.account, 0), "outcome AMOUNT_ZERO"),
        (signing.transfer(alice.account, 1), "outcome SAME_ACCOUNT"),
        (signing.transfer(nobody, 1), "outcome UNKNOWN_PAYEE"),
        (
            signing.transfer_with(|head| head.valid_until = head.valid_until.plus_ms(90_000_000)),
            "outcome VALIDITY_TOO_LONG",
        ),
        (signing.transfer_with(|head| head.valid_until = Timestamp(1)), "status EXPIRED"),
        (signing.transfer_with(|head| head.sequence = 500), "status SEQUENCE_OUT_OF_WINDOW"),
        (signing.transfer_with(|head| head.key_version = 7), "status KEY_CHANGED"),
        (forged(signing.transfer(carol.account, 1)), "status BAD_SIGNATURE"),
        (signing.payment(PaymentKind::Fund, carol.account, 1), "status NOT_AUTHORISED"),
        (of_another_bank, "status NOT_AUTHORISED"),
    ] {
        table.row("Bank.SubmitTransfer", expected, bank.submit_transfer(submit(&payment)).await);
    }
    let none = v1::SubmitTransferRequest { payment: None, accept_when_unreachable: false };
    table.row("Bank.SubmitTransfer", "status MALFORMED", bank.submit_transfer(none).await);

    let payments = [
        signing.transfer(carol.account, 1),
        signing.transfer(carol.account, 5_000),
        forged(signing.transfer(carol.account, 1)),
        other_bytes,
        signing.transfer_with(|head| head.sequence = 500),
    ];
    let expected = [
        "outcome SETTLED",
        "outcome INSUFFICIENT_FUNDS",
        "status BAD_SIGNATURE",
        "status SEQUENCE_CONFLICT",
        "status SEQUENCE_OUT_OF_WINDOW",
    ];
    table.stream("Bank.SubmitTransfers", &expected, bank.submit_transfers(batch(&payments)).await).await;

    let treasury = AccountId::treasury(BANK);
    for (payment, expected) in [
        (signing.payment(PaymentKind::Defund, treasury, 1), "outcome SETTLED"),
        (signing.payment(PaymentKind::Defund, treasury, 5_000), "outcome INSUFFICIENT_FUNDS"),
        (signing.transfer(carol.account, 1), "status MALFORMED"),
    ] {
        let payment = Some(payment_to_message(&payment));
        table.row("Bank.Defund", expected, bank.defund(v1::DefundRequest { payment }).await);
    }

    let consent = BankConsent { bank_key_version: 3, ..consent_of(running).await };
    let hold = |running: &Running, to, maximum, head: Head| {
        let (maximum, max_fee, expires_at) = (Amount::from_minor(maximum), Amount::ZERO, head.valid_until);
        PlaceHold { head, from: running.alice.account, to, maximum, max_fee, expires_at, reference: [0; 16] }
    };
    let account = alice.account;
    let vote = Ballot { head: head(1), member: MemberId(1), choice: Choice::Approve, proposal: 1 };
    for (command, expected) in [
        (Command::from(running.designation), "outcome SETTLED"),
        (
            signing.sign(|head| LinkBank { head, account, bank: BANK, consent: Some(consent) }).into(),
            "status KEY_CHANGED",
        ),
        (signing.sign(|head| hold(running, nobody, 1, head)).into(), "outcome UNKNOWN_PAYEE"),
        (signing.sign(|head| hold(running, carol.account, 5_000, head)).into(), "outcome INSUFFICIENT_FUNDS"),
        (signing.sign(|head| DesignateWallet { head, account: elsewhere }).into(), "status NOT_AUTHORISED"),
        (vote.sign(network, &alice.key()).into(), "status NOT_AUTHORISED"),
        (signing.transfer(carol.account, 1).into(), "status MALFORMED"),
    ] {
        let command = command.to_bytes().into();
        let answer = bank.submit_holder_command(v1::SubmitHolderCommandRequest { command }).await;
        table.row("Bank.SubmitHolderCommand", expected, answer);
    }

    for (account, to, expected) in [
        (alice.account, To::LinkBank, "-"),
        (alice.account, To::Unspecified, "status MALFORMED"),
        (elsewhere, To::LinkBank, "status NOT_AUTHORISED"),
    ] {
        let request = v1::ConsentRequest { account: account.to_string(), to: to.into() };
        table.row("Bank.Consent", expected, bank.consent(request).await);
    }
    for (account, page_size, expected) in [
        (alice.account, 0, "-"),
        (alice.account, 501, "status MALFORMED"),
        (elsewhere, 0, "status MALFORMED"),
        (carol.account, 0, "status NOT_AUTHORISED"),
    ] {
        let (account, page_token) = (account.to_string(), String::new());
        let request = v1::ListHoldsRequest { account: account.clone(), page_size, page_token: page_token.clone() };
        table.row("Bank.ListHolds", expected, bank.list_holds(with_token(&token, request)).await);
        let request = v1::ListPaymentsRequest { account, page_size, page_token };
        table.row("Bank.ListPayments", expected, bank.list_payments(with_token(&token, request)).await);
    }
    for (account, expected) in [(alice.account, "-"), (carol.account, "status NOT_AUTHORISED")] {
        let request = v1::GetDepositRequest { account: account.to_string() };
        table.row("Bank.GetDeposit", expected, bank.get_deposit(with_token(&token, request)).await);
    }
    let place = running.paid_at;
    for (height, hash, expected) in [
        (place.height.0, Vec::new(), "-"),
        (9_999_999, Vec::new(), "status UNKNOWN_ACCOUNT"),
        (place.height.0, vec![1; 32], "status UNKNOWN_ACCOUNT"),
        (place.height.0, vec![1; 31], "status MALFORMED"),
    ] {
        let command = Some(Wanted::Position(BlockPosition { height, index: place.index }));
        let request = v1::GetBankReceiptRequest { command, command_hash: hash.into() };
        table.row("Bank.GetReceipt", expected, bank.get_receipt(with_token(&token, request)).await);
    }
    fundings(running, table, &token).await;
}

/// A consent of bank 1 that Alice links her wallet to it.
async fn consent_of(running: &Running) -> BankConsent {
    let request = v1::ConsentRequest { account: running.alice.account.to_string(), to: To::LinkBank.into() };
    let given = running.client(None).consent(request).await.unwrap().into_inner();
    BankConsent {
        bank_key_version: given.bank_key_version,
        valid_until: Timestamp(given.valid_until_ms),
        signature: cbdc_ledger::Signature(given.signature.to_vec().try_into().unwrap()),
    }
}

async fn fundings(running: &Running, table: &mut Table, token: &str) {
    let (mut bank, mut office) = (running.client(None), running.client(Some((Role::Bank, 1))));
    let (alice, nobody) = (running.alice.account, AccountId::new(BANK, 999));
    let credit = |account: AccountId, amount_minor, id: u8| v1::CreditDepositRequest {
        account: account.to_string(),
        amount_minor,
        request_id: vec![id; 16].into(),
    };
    for (request, expected) in [
        (credit(alice, 2_000_000, 1), "-"),
        (credit(alice, 2_000_000, 1), "-"),
        (credit(alice, 1, 1), "status REQUEST_CONFLICT"),
        (credit(alice, u64::MAX, 2), "status DEPOSIT_TOO_LARGE"),
        (credit(alice, 0, 3), "status MALFORMED"),
        (credit(nobody, 1, 4), "status UNKNOWN_ACCOUNT"),
        (credit(AccountId::new(BankId(2), 9), 1, 4), "status MALFORMED"),
    ] {
        table.row("Bank.CreditDeposit", expected, office.credit_deposit(request).await);
    }
    table.row("Bank.CreditDeposit", "status NOT_AUTHORISED", bank.credit_deposit(credit(alice, 1, 5)).await);
    running
        .network
        .bank_office(BANK)
        .unwrap()
        .request_issuance(IssuanceKind::Issue, Amount::from_minor(1_000_000), random_id())
        .await
        .unwrap();
    let fund = |account: AccountId, amount_minor, id: u8| {
        let request = v1::FundRequest { account: account.to_string(), amount_minor, request_id: vec![id; 16].into() };
        with_token(token, request)
    };
    for (request, expected) in [
        (fund(alice, 1, 1), "outcome SETTLED"),
        (fund(alice, 1, 1), "outcome SETTLED"),
        (fund(alice, 2, 1), "status REQUEST_CONFLICT"),
        (fund(alice, 9_000_000, 2), "status DEPOSIT_TOO_SMALL"),
        // More than Alice may hold, and more than the treasury has.
        (fund(alice, 400_000, 3), "outcome HOLDING_LIMIT"),
        (fund(alice, 1_500_000, 4), "outcome INSUFFICIENT_FUNDS"),
        (fund(alice, 0, 5), "status MALFORMED"),
        (fund(running.carol.account, 1, 6), "status NOT_AUTHORISED"),
        (fund(AccountId::new(BankId(2), 1), 1, 7), "status MALFORMED"),
    ] {
        table.row("Bank.Fund", expected, bank.fund(request).await);
    }
}

async fn back_office_calls(running: &Running, table: &mut Table) {
    let mut office = running.client(Some((Role::Bank, 1)));
    let (alice, nobody, elsewhere) = (running.alice.account, AccountId::new(BANK, 999), AccountId::new(BankId(2), 1));
    use v1::request_bank_issuance_request::Kind;
    for (kind, amount_minor, id, expected) in [
        (Kind::Issue, 1, 1, "outcome SETTLED"),
        (Kind::Issue, 1, 1, "outcome SETTLED"),
        (Kind::Issue, 2, 1, "status REQUEST_CONFLICT"),
        (Kind::Issue, 6_000_000_000, 2, "outcome ISSUANCE_QUOTA"),
        (Kind::Redeem, 6_000_000_000, 3, "outcome INSUFFICIENT_FUNDS"),
        (Kind::Issue, 0, 4, "status MALFORMED"),
        (Kind::Unspecified, 1, 5, "status MALFORMED"),
    ] {
        let (kind, request_id) = (kind.into(), vec![id; 16].into());
        let request = v1::RequestBankIssuanceRequest { kind, amount_minor, request_id };
        table.row("Bank.RequestIssuance", expected, office.request_issuance(request).await);
    }
    for (amount_minor, expected) in [(1, "outcome UNKNOWN_HOLD"), (0, "status MALFORMED")] {
        let request = v1::CaptureHoldRequest { hold: 999, amount_minor };
        table.row("Bank.CaptureHold", expected, office.capture_hold(request).await);
    }
    table.row("Bank.VoidHold", "outcome UNKNOWN_HOLD", office.void_hold(v1::VoidHoldRequest { hold: 999 }).await);
    table.row("Bank.ReportDeposits", "outcome SETTLED", office.report_deposits(v1::ReportDepositsRequest {}).await);
    for (page_size, page_token, expected) in [(1, "", "-"), (501, "", "status MALFORMED"), (1, "x", "status MALFORMED")]
    {
        let request = v1::ListDepositsRequest { page_size, page_token: page_token.to_owned() };
        table.row("Bank.ListDeposits", expected, office.list_deposits(request).await);
    }
    for (accounts, expected) in [
        (vec![], "-"),
        (vec![alice], "-"),
        (vec![alice, alice], "status MALFORMED"),
        (vec![nobody], "status UNKNOWN_ACCOUNT"),
        (vec![elsewhere], "status MALFORMED"),
    ] {
        let balance = |account: &AccountId| v1::DepositBalance { account: account.to_string(), balance_minor: 1 };
        let balances = accounts.iter().map(balance).collect();
        let request = v1::AcceptDepositsRequest { balances, ..v1::AcceptDepositsRequest::default() };
        table.row("Bank.AcceptDeposits", expected, office.accept_deposits(request).await);
    }
    for (to, amount_minor, id, expected) in [
        (2, 1, 11, "outcome SETTLED"),
        (2, 1, 11, "outcome SETTLED"),
        (2, 2, 11, "status REQUEST_CONFLICT"),
        (2, 1, 1, "status REQUEST_CONFLICT"),
        (2, u64::MAX, 12, "outcome INSUFFICIENT_RESERVES"),
        (9, 1, 13, "outcome BANK_NOT_ACTIVE"),
        (70_000, 1, 14, "status MALFORMED"),
        (2, 0, 15, "status MALFORMED"),
    ] {
        let request = v1::TransferReservesRequest { to, amount_minor, request_id: vec![id; 16].into() };
        table.row("Bank.TransferReserves", expected, office.transfer_reserves(request).await);
    }
    for (account, expected) in
        [(alice, "outcome BALANCE_NOT_ZERO"), (nobody, "status UNKNOWN_ACCOUNT"), (elsewhere, "status MALFORMED")]
    {
        let request = v1::CloseWalletRequest { account: account.to_string() };
        table.row("Bank.CloseWallet", expected, office.close_wallet(request).await);
    }
    table.row("Bank.GetTreasury", "-", office.get_treasury(v1::GetTreasuryRequest {}).await);
    let of_a_stranger = running.client(None).get_treasury(v1::GetTreasuryRequest {}).await;
    table.row("Bank.GetTreasury", "status NOT_AUTHORISED", of_a_stranger);
}

fn central_bank(running: &Running, role: Role, id: u16) -> Channel {
    let node = running.network.central_bank();
    running.network.connect_member(role, MemberId(id), node).unwrap().channel()
}

async fn settlement_calls(running: &Running, table: &mut Table) {
    let mut settlement = SettlementClient::new(central_bank(running, Role::Bank, 1));
    let network = running.network.anchor().network();
    let key = running.network.signing_key(Role::Bank, MemberId(1)).unwrap();
    let (alice, carol) = (&running.alice, &running.carol);
    let elsewhere = AccountId::new(BankId(2), 1);
    // Far above those that the bank has used.
    let fund = |to, sequence| {
        let (kind, from, amount) = (PaymentKind::Fund, AccountId::treasury(BANK), Amount::from_minor(1));
        let payment =
            Payment { kind, head: head(sequence), from, to, amount, max_fee: Amount::ZERO, reference: [0; 16] };
        payment.sign(network, &key)
    };
    let mut signing = Signing { running, next: 40 };
    let payments = [signing.transfer(carol.account, 1), forged(signing.transfer(carol.account, 1))];
    let expected = ["outcome SETTLED", "status BAD_SIGNATURE"];
    table.stream("Settlement.Submit", &expected, settlement.submit(batch(&payments)).await).await;
    let of_another = Ballot { head: head(1), member: MemberId(1), choice: Choice::Approve, proposal: 1 };
    for (command, expected) in [
        (fund(alice.account, 1_000).to_bytes().to_vec(), "outcome SETTLED"),
        (fund(elsewhere, 1_001).to_bytes().to_vec(), "outcome WRONG_BANK"),
        (forged(fund(alice.account, 1_002)).to_bytes().to_vec(), "status BAD_SIGNATURE"),
        (Command::from(of_another.sign(network, &key)).to_bytes(), "status NOT_AUTHORISED"),
        (vec![1; 5], "status MALFORMED"),
    ] {
        let request = v1::SubmitCommandRequest { command: command.into() };
        table.row("Settlement.SubmitCommand", expected, settlement.submit_command(request).await);
    }
    let ask = |bank: u16, amount_minor, sequence| {
        let (kind, amount) = (IssuanceKind::Issue, Amount::from_minor(amount_minor));
        let request = IssuanceRequest { kind, head: head(sequence), bank: BankId(bank), amount };
        Bytes::copy_from_slice(&request.sign(network, &key).to_bytes())
    };
    for (request, expected) in [
        (ask(1, 1, 2_000), "outcome SETTLED"),
        (ask(1, 2, 2_000), "status SEQUENCE_CONFLICT"),
        (ask(1, 6_000_000_000, 2_001), "outcome ISSUANCE_QUOTA"),
        (ask(2, 1, 2_002), "status MALFORMED"),
        (Bytes::from_static(&[2; 104]), "status MALFORMED"),
    ] {
        let request = v1::RequestIssuanceRequest { request };
        table.row("Settlement.RequestIssuance", expected, settlement.request_issuance(request).await);
    }
    for (account, expected) in [(alice.account, "-"), (elsewhere, "status MALFORMED")] {
        table.row("Settlement.GetWallet", expected, settlement.get_wallet(wallet_of(account)).await);
        let (from, to) = (account.to_string(), carol.account.to_string());
        let request = v1::QuoteTransferRequest { from, to, amount_minor: 1, max_fee_minor: None };
        table.row("Settlement.QuoteTransfer", expected, settlement.quote_transfer(request).await);
        let request = v1::ListHoldsRequest { account: account.to_string(), ..Default::default() };
        table.row("Settlement.ListHolds", expected, settlement.list_holds(request).await);
    }
}

async fn policy_calls(running: &Running, table: &mut Table) {
    let as_role = |role| PolicyClient::new(central_bank(running, role, 1));
    let (mut seat, mut bank, mut operator) = (as_role(Role::Committee), as_role(Role::Bank), as_role(Role::Operator));
    let network = running.network.anchor().network();
    let key = running.network.signing_key(Role::Committee, MemberId(1)).unwrap();
    let vote = |key: &SigningKey, sequence| {
        let vote = Ballot { head: head(sequence), member: MemberId(1), choice: Choice::Approve, proposal: 99 };
        v1::SubmitPolicyCommandRequest { command: Command::from(vote.sign(network, key)).to_bytes().into() }
    };
    table.row("Policy.Submit", "outcome UNKNOWN_PROPOSAL", seat.submit(vote(&key, 1)).await);
    table.row("Policy.Submit", "status BAD_SIGNATURE", seat.submit(vote(&running.alice.key(), 2)).await);
    table.row("Policy.Submit", "status NOT_AUTHORISED", bank.submit(vote(&key, 2)).await);
    let unread = v1::SubmitPolicyCommandRequest { command: Bytes::from_static(&[1; 5]) };
    table.row("Policy.Submit", "status MALFORMED", seat.submit(unread).await);

    for (version, height, expected) in [
        (None, None, "-"),
        (Some(1), Some(1), "status MALFORMED"),
        (Some(99), None, "status UNKNOWN_ACCOUNT"),
        (None, Some(9_999_999), "status UNKNOWN_ACCOUNT"),
    ] {
        table.row("Policy.GetPolicy", expected, bank.get_policy(v1::GetPolicyRequest { version, height }).await);
    }
    for (page_token, expected) in [("", "-"), ("x", "status MALFORMED")] {
        let (page_size, page_token) = (0, page_token.to_owned());
        let request = v1::ListPolicyVersionsRequest { page_size, page_token: page_token.clone() };
        table.row("Policy.ListPolicyVersions", expected, bank.list_policy_versions(request).await);
        let request = v1::ListProgrammesRequest { page_size, page_token: page_token.clone() };
        table.row("Policy.ListProgrammes", expected, bank.list_programmes(request).await);
        let request = v1::ListProposalsRequest { page_size, page_token };
        table.row("Policy.ListProposals", expected, bank.list_proposals(request).await);
    }
    let request = v1::GetBalanceSheetRequest { with_unposted_interest: true };
    table.row("Policy.GetBalanceSheet", "-", bank.get_balance_sheet(request).await);
    table.row("Policy.GetAggregates", "-", bank.get_aggregates(v1::GetAggregatesRequest {}).await);
    table.row("Policy.GetProfitAndLoss", "-", bank.get_profit_and_loss(v1::GetProfitAndLossRequest {}).await);
    table.row("Policy.GetSupply", "-", bank.get_supply(v1::GetSupplyRequest {}).await);
    table.row("Policy.ListMembers", "-", bank.list_members(v1::ListMembersRequest {}).await);
    for (client, expected) in [(&mut operator, "-"), (&mut bank, "status NOT_AUTHORISED")] {
        let listed = client.list_issuance_requests(v1::ListIssuanceRequestsRequest {}).await;
        table.row("Policy.ListIssuanceRequests", expected, listed);
        table.row("Policy.GetClock", expected, client.get_clock(v1::GetClockRequest {}).await);
        table.row("Policy.AcceptClock", expected, client.accept_clock(v1::AcceptClockRequest {}).await);
        let expected = expected.replace('-', "status UNKNOWN_ACCOUNT");
        let rejected = client.reject_issuance_request(v1::RejectIssuanceRequestRequest { bank: 1, sequence: 9 }).await;
        table.row("Policy.RejectIssuanceRequest", &expected, rejected);
    }
}

async fn chain_calls(running: &Running, table: &mut Table, is_partial: bool) {
    let mut chain = ChainClient::new(central_bank(running, Role::Auditor, 1));
    let node = NodeName::Bank(BANK);
    let at_bank = |role| ChainClient::new(running.network.connect_member(role, MemberId(1), node).unwrap().channel());
    let (mut of_bank, mut as_bank) = (at_bank(Role::Auditor), at_bank(Role::Bank));
    let mut nobody = ChainClient::new(running.network.connect_customer(BANK).unwrap().channel());
    table.row("Chain.GetGenesis", "-", chain.get_genesis(v1::GetGenesisRequest {}).await);
    table.row("Chain.GetGenesis", "status NOT_AUTHORISED", nobody.get_genesis(v1::GetGenesisRequest {}).await);
    for (height, expected) in [(1, "-"), (9_999_999, "status UNKNOWN_ACCOUNT")] {
        let request = v1::GetHeaderRequest { height: Some(height) };
        table.row("Chain.GetHeader", expected, chain.get_header(request).await);
        table.row("Chain.GetBlock", expected, chain.get_block(v1::GetBlockRequest { height }).await);
        let request = v1::GetReceiptRequest { height, index: 0 };
        table.row("Chain.GetReceipt", expected, chain.get_receipt(request).await);
    }
    table.row("Chain.Follow", "-", chain.follow(v1::FollowRequest { from_height: 1, ..Default::default() }).await);
    table.row("Chain.GetCheckpoint", "status UNKNOWN_ACCOUNT", chain.get_checkpoint(v1::GetCheckpointRequest {}).await);
    let request = v1::GetMembershipChangesRequest { above_height: 0 };
    table.row("Chain.GetMembershipChanges", "-", nobody.get_membership_changes(request).await);
    // A bank has no filtered blocks to serve, and with a partial replica no whole ones.
    let request = v1::FollowFilteredBlocksRequest { from_height: 1, ..Default::default() };
    let filtered = as_bank.follow_filtered_blocks(request).await;
    table.row("Chain.FollowFilteredBlocks", "status MALFORMED", filtered);
    let expected = if is_partial { "status MALFORMED" } else { "-" };
    table.row("Chain.GetBlock", expected, of_bank.get_block(v1::GetBlockRequest { height: 1 }).await);
    table.row(
        "Chain.Follow",
        expected,
        of_bank.follow(v1::FollowRequest { from_height: 1, ..Default::default() }).await,
    );
}

async fn leadership_calls(running: &Running, table: &mut Table) {
    let mut member = LeadershipClient::new(central_bank(running, Role::Auditor, 1));
    table.row("Leadership.GetLeadership", "-", member.get_leadership(v1::GetLeadershipRequest {}).await);
    let request = v1::HandOverRequest { successor: None };
    table.row("Leadership.HandOver", "status NOT_AUTHORISED", member.hand_over(request).await);
    let mut operator = LeadershipClient::new(central_bank(running, Role::Operator, 1));
    // The only node has no other to hand over to.
    table.row("Leadership.HandOver", "status MALFORMED", operator.hand_over(request).await);
}

async fn each_answer_comes_the_one_way_or_the_other(full_replicas: u16) {
    let running = Running::start(full_replicas).await;
    let mut table = Table::default();
    customers_calls(&running, &mut table).await;
    back_office_calls(&running, &mut table).await;
    settlement_calls(&running, &mut table).await;
    policy_calls(&running, &mut table).await;
    chain_calls(&running, &mut table, full_replicas == 0).await;
    leadership_calls(&running, &mut table).await;

    let files = prost_types::FileDescriptorSet::decode(v1::DESCRIPTORS).unwrap().file;
    let services = files.iter().flat_map(|file| &file.service);
    let calls = services
        .flat_map(|service| service.method.iter().map(|method| format!("{}.{}", service.name(), method.name())));
    for call in calls.filter(|call| !call.starts_with("Server") && !call.starts_with("Health")) {
        assert!(table.calls.contains(call.as_str()), "{call} is not in the table");
    }
    assert!(table.wrong.is_empty(), "\n{}", table.wrong.join("\n"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_comes_the_one_way_or_the_other_with_full_replicas() {
    each_answer_comes_the_one_way_or_the_other(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_comes_the_one_way_or_the_other_with_partial_replicas() {
    each_answer_comes_the_one_way_or_the_other(0).await;
}

/// What decides how an answer comes is the reason alone, so that no call can get it wrong.
#[test]
fn an_ordered_answer_is_an_outcome_for_exactly_the_reasons_that_the_ledger_gives() {
    use cbdc_ledger::{Height, Outcome};
    use cbdc_proto::packed::Answer;
    for reason in Reason::ALL {
        let answer = Answer::ordered(Height(3), 0, Outcome::refused(*reason, 0, 0));
        let both = matches!(reason, Reason::Expired | Reason::ValidityTooLong);
        assert_eq!(answer.has_used_its_number(), both || !reason.is_found_before_ordering(), "{reason}");
    }
}
