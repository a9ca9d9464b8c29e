//! Who may call what: every call of a bank × everybody who can reach it, over TLS on a real bank.

use std::collections::BTreeSet;

use bytes::Bytes;
use cbdc_client::{
    AccountId, Amount, BankId, BlockPosition, Class, ClientError, HolderId, MemberId, Reason, Role, SigningKey,
    VerifiedReceipt,
};
use cbdc_ledger::command::{Payment, PaymentKind, Record, ReplaceKey, SessionStatement};
use cbdc_proto::convert::payment_to_message;
use cbdc_proto::status::refusal_of;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use cbdc_proto::v1::consent_request::To;
use cbdc_proto::v1::get_bank_receipt_request::{BlockPosition as Position, Command as Wanted, SequenceNumber};
use cbdc_proto::v1::settlement_client::SettlementClient;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::customers::{BANK, Holder, Running, head, opening};

/// One end of a connection to bank 1.
struct Caller {
    name: &'static str,
    client: BankClient<Channel>,
    token: Option<String>,
}

impl Caller {
    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        request
    }
}

/// In the order of the columns of [`TABLE`].
async fn callers(running: &Running) -> Vec<Caller> {
    let caller = |name, member| Caller { name, client: running.client(member), token: None };
    let holder = |name, token| Caller { token: Some(token), ..caller(name, None) };
    vec![
        caller("nobody", None),
        holder("another customer", running.token(&running.bob).await),
        holder("the holder", running.token(&running.alice).await),
        caller("the own back office", Some((Role::Bank, 1))),
        caller("another bank", Some((Role::Bank, 2))),
        caller("the central bank", Some((Role::CentralBank, 1))),
        caller("the auditor", Some((Role::Auditor, 1))),
    ]
}

/// What each caller is answered: `+` let in, `s` no session, `x` not authorised. A call that tells different things of
/// a wallet has a row for each; the name before the slash is the call's.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    // nobody, another customer, the holder, the own back office, another bank, the central bank, the auditor
    ("GetStatus",               "+++++++"),
    ("BeginSession",            "+++++++"),
    ("OpenSession",             "+++++++"),
    ("OpenWallet",              "+++++++"),
    ("GetWallet/account",       "sx++sss"),
    ("GetWallet/key",           "sx++sss"),
    ("GetWallet/unknown",       "sxx+sss"),
    ("QuoteTransfer",           "sx++sss"),
    ("ListHolds",               "sx++sss"),
    ("GetDeposit",              "sx++sss"),
    ("ListPayments",            "sx++sss"),
    ("GetReceipt/sequence",     "sx++sss"),
    ("GetReceipt/position",     "sx+++++"),
    ("GetReceipt/hash",         "+++++++"),
    ("GetReceipt/other hash",   "+++++++"),
    ("Fund",                    "sx+ssss"),
    ("SubmitTransfer",          "+++++++"),
    ("SubmitTransfers",         "+++++++"),
    ("Defund",                  "+++++++"),
    ("SubmitHolderCommand",     "+++++++"),
    ("Consent",                 "+++++++"),
    ("CreditDeposit",           "xxx+xxx"),
    ("RequestIssuance",         "xxx+xxx"),
    ("CaptureHold",             "xxx+xxx"),
    ("VoidHold",                "xxx+xxx"),
    ("ReportDeposits",          "xxx+xxx"),
    ("ListDeposits",            "xxx+xxx"),
    ("AcceptDeposits",          "xxx+xxx"),
    ("TransferReserves",        "xxx+xxx"),
    ("CloseWallet",             "xxx+xxx"),
    ("GetTreasury",             "xxx+xxx"),
];

fn receipt(command: Wanted, hash: &[u8]) -> v1::GetBankReceiptRequest {
    v1::GetBankReceiptRequest { command: Some(command), command_hash: Bytes::copy_from_slice(hash) }
}

/// Makes one call of [`TABLE`].
async fn call(running: &Running, caller: &Caller, row: &str) -> Result<(), Status> {
    let mut client = caller.client.clone();
    let alice = running.alice.account.to_string();
    let by_account = |account| v1::GetWalletRequest { wallet: Some(v1::get_wallet_request::Wallet::Account(account)) };
    let BlockPosition { height, index } = running.paid_at;
    let position = Wanted::Position(Position { height: height.0, index });
    let sequence = Wanted::Sequence(SequenceNumber { account: alice.clone(), sequence: 1 });
    let hash = blake3::hash(&running.payment.to_bytes());
    let amount_minor = 1;
    macro_rules! made {
        ($call:ident, $message:expr) => {
            client.$call(caller.request($message)).await.map(drop)
        };
    }
    match row {
        "GetStatus" => made!(get_status, v1::GetStatusRequest {}),
        "BeginSession" => made!(begin_session, v1::BeginSessionRequest {}),
        "OpenSession" => {
            let signed = running.statement(&running.alice, BANK, 0).await;
            let signed = signed.sign(running.network.anchor().network(), &running.alice.key());
            made!(open_session, v1::OpenSessionRequest { statement: signed.to_bytes().to_vec().into() })
        }
        "OpenWallet" => made!(open_wallet, running.opening.clone()),
        "GetWallet/account" => made!(get_wallet, by_account(alice)),
        "GetWallet/key" => {
            let key = running.alice.key().public_key().0.to_vec().into();
            made!(get_wallet, v1::GetWalletRequest { wallet: Some(v1::get_wallet_request::Wallet::PublicKey(key)) })
        }
        "GetWallet/unknown" => made!(get_wallet, by_account(AccountId::new(BANK, 999).to_string())),
        "QuoteTransfer" => {
            let (to, max_fee_minor) = (running.carol.account.to_string(), None);
            made!(quote_transfer, v1::QuoteTransferRequest { from: alice, to, amount_minor, max_fee_minor })
        }
        "ListHolds" => {
            made!(list_holds, v1::ListHoldsRequest { account: alice, ..v1::ListHoldsRequest::default() })
        }
        "GetDeposit" => made!(get_deposit, v1::GetDepositRequest { account: alice }),
        "ListPayments" => {
            made!(list_payments, v1::ListPaymentsRequest { account: alice, ..v1::ListPaymentsRequest::default() })
        }
        "GetReceipt/sequence" => made!(get_receipt, receipt(sequence, &[])),
        "GetReceipt/position" => made!(get_receipt, receipt(position, &[])),
        "GetReceipt/hash" => {
            made!(get_receipt, receipt(sequence, hash.as_bytes()))?;
            made!(get_receipt, receipt(position, hash.as_bytes()))
        }
        "GetReceipt/other hash" => {
            let refused = client.get_receipt(caller.request(receipt(position, &[7; 32]))).await.unwrap_err();
            assert_eq!(refused.code(), Code::NotFound, "{}: {refused}", caller.name);
            Ok(())
        }
        "Fund" => {
            made!(fund, v1::FundRequest { account: alice, amount_minor, request_id: vec![9; 16].into() })
        }
        "SubmitTransfer" => {
            let payment = Some(payment_to_message(&running.payment));
            made!(submit_transfer, v1::SubmitTransferRequest { payment, accept_when_unreachable: false })
        }
        "SubmitTransfers" => {
            let batch =
                v1::CommandBatch { batch_id: 1, commands: running.payment.to_bytes().into(), takes_runs: false };
            let mut answers = client.submit_transfers(caller.request(tokio_stream::once(batch))).await?.into_inner();
            answers.message().await.map(drop)
        }
        "Defund" => made!(defund, v1::DefundRequest { payment: Some(payment_to_message(&running.defund)) }),
        "SubmitHolderCommand" => {
            let command = running.designation.to_bytes().into();
            made!(submit_holder_command, v1::SubmitHolderCommandRequest { command })
        }
        "Consent" => made!(consent, v1::ConsentRequest { account: alice, to: To::LinkBank.into() }),
        "CreditDeposit" => {
            let request_id = vec![8; 16].into();
            made!(credit_deposit, v1::CreditDepositRequest { account: alice, amount_minor, request_id })
        }
        "RequestIssuance" => {
            let kind = v1::request_bank_issuance_request::Kind::Issue.into();
            made!(
                request_issuance,
                v1::RequestBankIssuanceRequest { kind, amount_minor, request_id: vec![7; 16].into() }
            )
        }
        "CaptureHold" => made!(capture_hold, v1::CaptureHoldRequest { hold: 999, amount_minor }),
        "VoidHold" => made!(void_hold, v1::VoidHoldRequest { hold: 999 }),
        "ReportDeposits" => made!(report_deposits, v1::ReportDepositsRequest {}),
        "ListDeposits" => made!(list_deposits, v1::ListDepositsRequest::default()),
        "AcceptDeposits" => made!(accept_deposits, v1::AcceptDepositsRequest::default()),
        "TransferReserves" => made!(
            transfer_reserves,
            v1::TransferReservesRequest { to: 2, amount_minor, request_id: vec![6; 16].into() }
        ),
        // Alice's is not empty, so the ledger refuses to close it.
        "CloseWallet" => made!(close_wallet, v1::CloseWalletRequest { account: alice }),
        "GetTreasury" => made!(get_treasury, v1::GetTreasuryRequest {}),
        row => panic!("{row} has no call"),
    }
}

/// `+`, `s` or `x`, as [`TABLE`] has it.
fn verdict(answer: &Result<(), Status>) -> char {
    let Err(status) = answer else { return '+' };
    match (status.code(), refusal_of(status).map(|refusal| refusal.reason)) {
        (Code::Unauthenticated, Some(Reason::NoSession)) => 's',
        (Code::PermissionDenied, Some(Reason::NotAuthorised)) => 'x',
        // Asked for what is not there.
        (Code::NotFound, _) => '+',
        _ => panic!("expected a right answer or a refusal of the caller, found {status:?}"),
    }
}

async fn each_caller_is_let_in_where_the_table_says_so_and_nowhere_else(full_replicas: u16) {
    let running = Running::start(full_replicas).await;
    let callers = callers(&running).await;
    for (row, expected) in TABLE {
        assert_eq!(expected.len(), callers.len(), "{row}");
        for (caller, expected) in callers.iter().zip(expected.chars()) {
            let answer = call(&running, caller, row).await;
            assert_eq!(verdict(&answer), expected, "{} calling {row}: {answer:?}", caller.name);
        }
    }
    drop(callers);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_is_let_in_where_the_table_says_so_with_full_replicas() {
    each_caller_is_let_in_where_the_table_says_so_and_nowhere_else(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_is_let_in_where_the_table_says_so_with_partial_replicas() {
    each_caller_is_let_in_where_the_table_says_so_and_nowhere_else(0).await;
}

#[test]
fn the_table_has_every_call_of_the_contract() {
    let set = prost_types::FileDescriptorSet::decode(v1::DESCRIPTORS).unwrap();
    let services = set.file.iter().flat_map(|file| &file.service);
    let bank = services.clone().find(|service| service.name() == "Bank").unwrap();
    let calls: BTreeSet<&str> = bank.method.iter().map(|method| method.name()).collect();
    let rows: BTreeSet<&str> = TABLE.iter().map(|(row, _)| row.split('/').next().unwrap()).collect();
    assert_eq!(rows, calls);
}

/// A stranger who has seen what is on the chain repeats it, and learns no more than that.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_repeated_by_a_stranger_tells_no_balance() {
    let running = Running::start(2).await;
    let mut stranger = running.client(None);
    let opened = stranger.open_wallet(running.opening.clone()).await.unwrap().into_inner();
    assert_eq!(opened, v1::OpenWalletResponse { account: running.alice.account.to_string(), outcome: None });
    let payment = Some(payment_to_message(&running.defund));
    let defunded = stranger.defund(v1::DefundRequest { payment }).await.unwrap().into_inner();
    let outcome = defunded.outcome.clone().unwrap();
    assert!(outcome.settled);
    assert_eq!(defunded, v1::DefundResponse { outcome: Some(outcome) });

    // Without the holder's agreement, not even the account; whatever the certificate says.
    for holder in [running.alice.id(), HolderId([99; 16])] {
        let mut forged = opening(&running.network, running.alice.seed, holder);
        let mut agreement = forged.agreement.to_vec();
        agreement[40] ^= 1;
        forged.agreement = agreement.into();
        let refused = stranger.open_wallet(forged).await.unwrap_err();
        assert_eq!(refusal_of(&refused).unwrap().reason, Reason::BadSignature, "{refused:?}");
    }
    drop(stranger);
    running.stop().await;
}

/// The stranger of the issue: genesis, the authority and an address are at hand, and no key.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_of_no_wallet_and_not_whether_there_is_one() {
    let running = Running::start(2).await;
    let mut stranger = running.client(None);
    let mut answers = BTreeSet::new();
    for serial in 1..40 {
        let account = AccountId::new(BANK, serial).to_string();
        let wallet = Some(v1::get_wallet_request::Wallet::Account(account.clone()));
        let read = stranger.get_wallet(v1::GetWalletRequest { wallet }).await.unwrap_err();
        let fund = v1::FundRequest { account, amount_minor: 150, request_id: vec![1; 16].into() };
        let moved = stranger.fund(fund).await.unwrap_err();
        for status in [read, moved] {
            answers.insert(format!("{:?}: {} {:?}", status.code(), status.message(), refusal_of(&status)));
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    drop(stranger);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_opened_by_the_wallets_own_key_at_the_bank_that_it_names_and_ends_with_that_key() {
    let running = Running::start(2).await;
    let (alice, bob) = (&running.alice, &running.bob);
    let reason = |answer: Result<String, Status>| refusal_of(&answer.unwrap_err()).unwrap().reason;
    // Another's key, a key version that is not in force, a wallet that is not there: one answer.
    for (statement, key) in [
        (running.statement(alice, BANK, 0).await, bob.key()),
        (running.statement(alice, BANK, 1).await, alice.key()),
        (running.statement(&Holder { account: AccountId::new(BANK, 999), seed: 10 }, BANK, 0).await, alice.key()),
        (running.statement(&Holder { account: AccountId::treasury(BANK), seed: 10 }, BANK, 0).await, alice.key()),
    ] {
        assert_eq!(reason(running.open_session(statement, &key).await), Reason::BadSignature, "{statement:?}");
    }
    // Meant for another bank, which has passed this one's challenge on.
    let for_another = running.statement(alice, BankId(2), 0).await;
    assert_eq!(reason(running.open_session(for_another, &alice.key()).await), Reason::Malformed);
    // A challenge of one's own, or one for a longer session.
    let made_up = SessionStatement { challenge: [3; 32], ..running.statement(alice, BANK, 0).await };
    assert_eq!(reason(running.open_session(made_up, &alice.key()).await), Reason::NoSession);
    let given = running.statement(alice, BANK, 0).await;
    let longer = SessionStatement { expires_at: given.expires_at.plus_ms(1), ..given };
    assert_eq!(reason(running.open_session(longer, &alice.key()).await), Reason::NoSession);
    // Another network's signature.
    let statement = running.statement(alice, BANK, 0).await;
    let elsewhere = statement.sign(cbdc_ledger::NetworkId([1; 32]), &alice.key()).to_bytes().to_vec().into();
    let refused = running.client(None).open_session(v1::OpenSessionRequest { statement: elsewhere }).await;
    assert_eq!(refusal_of(&refused.unwrap_err()).unwrap().reason, Reason::BadSignature);

    // A replaced key ends the sessions that it opened, and opens no more.
    let caller = Caller { name: "alice", client: running.client(None), token: Some(running.token(alice).await) };
    assert!(call(&running, &caller, "GetWallet/account").await.is_ok());
    let new_key = SigningKey::from_seed([77; 32]);
    let registrar = running.network.first_registrar().unwrap();
    let registration = registrar.replace_key((alice.account, 0), alice.id(), Class::HOUSEHOLD, new_key.public_key());
    let agreement = registration.statement.agree(registration.network, &registration.certificate, &new_key);
    let (certificate, key) = (registration.certificate, new_key.public_key());
    // A number above those that the bank has used in setting up.
    let make = |sequence| {
        let (head, account) = (head(sequence), alice.account);
        let record = ReplaceKey { head, account, class: Class::HOUSEHOLD, version: 0, key, certificate, agreement };
        record.sign(running.network.anchor().network(), &running.network.signing_key(Role::Bank, MemberId(1)).unwrap())
    };
    let central = running.network.central_bank();
    let as_bank = running.network.connect_member(Role::Bank, MemberId(1), central).unwrap();
    let request = v1::SubmitCommandRequest { command: make(30).to_bytes().into() };
    let outcome = SettlementClient::new(as_bank.channel()).submit_command(request).await.unwrap().into_inner();
    assert!(outcome.settled, "{outcome:?}");
    let ended = loop {
        match call(&running, &caller, "GetWallet/account").await {
            Ok(()) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            Err(status) => break status,
        }
    };
    assert_eq!((ended.code(), refusal_of(&ended).unwrap().reason), (Code::Unauthenticated, Reason::SessionExpired));
    for (version, key) in [(0, alice.key()), (1, alice.key()), (0, SigningKey::from_seed([77; 32]))] {
        let statement = running.statement(alice, BANK, version).await;
        assert_eq!(reason(running.open_session(statement, &key).await), Reason::BadSignature, "version {version}");
    }
    assert!(running.open_session(running.statement(alice, BANK, 1).await, &new_key).await.is_ok());
    drop(caller);
    running.stop().await;
}

/// Whoever was given position and hash checks the payment without being known to anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_the_commands_hash_fetches_the_receipt_and_no_other() {
    let running = Running::start(0).await;
    let (bank, anchor) = (running.network.connect_customer(BANK).unwrap(), running.network.anchor());
    let hash = *blake3::hash(&running.payment.to_bytes()).as_bytes();
    let fetched = VerifiedReceipt::fetch(&bank, anchor, running.paid_at, hash).await.unwrap();
    assert_eq!((fetched.command(), fetched.command_hash()), (&running.payment.into(), hash));
    let next = BlockPosition { index: running.paid_at.index + 1, ..running.paid_at };
    for (position, hash) in [(running.paid_at, [1; 32]), (next, hash)] {
        let error = VerifiedReceipt::fetch(&bank, anchor, position, hash).await.unwrap_err();
        assert!(matches!(error, ClientError::NotFound(_)), "{error}");
    }
    // With any hash, nobody can count a wallet's payments.
    let mut client = running.client(None);
    let mut answers = Vec::new();
    for sequence in [1, 2, 50] {
        let wanted = Wanted::Sequence(SequenceNumber { account: running.alice.account.to_string(), sequence });
        let error = client.get_receipt(receipt(wanted, &[0; 32])).await.unwrap_err();
        answers.push((error.code(), error.message().to_owned(), refusal_of(&error)));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    drop((bank, client));
    running.stop().await;
}

/// Payments are signed; a holder who only pays opens no session, and one who reads opens one.
#[tokio::test(flavor = "multi_thread")]
async fn the_payment_of_a_wallet_without_a_session_settles() {
    let running = Running::start(2).await;
    let (alice, carol) = (&running.alice, &running.carol);
    let (kind, from, to) = (PaymentKind::Transfer, alice.account, carol.account);
    let (amount, max_fee) = (Amount::from_minor(5), Amount::ZERO);
    let payment = Payment { kind, head: head(3), from, to, amount, max_fee, reference: [0; 16] };
    let payment = payment.sign(running.network.anchor().network(), &alice.key());
    let request =
        v1::SubmitTransferRequest { payment: Some(payment_to_message(&payment)), accept_when_unreachable: false };
    let answer = running.client(None).submit_transfer(request).await.unwrap().into_inner();
    assert!(answer.outcome.unwrap().settled);
    running.stop().await;
}
