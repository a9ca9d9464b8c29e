//! What callers may use of a node: memory within one budget, a number of connections, and no endless silence.

#[path = "bank/running/mod.rs"]
mod running;

use std::time::Duration;

use bytes::Bytes;
use cbdc_ledger::command::{Head, Payment, PaymentKind, Record};
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Amount, BankId, Class, Command, HolderId, MemberId, Reason, SigningKey, Timestamp};
use cbdc_node::Limits;
use cbdc_node::budget::Tenant;
use cbdc_proto::answers::Answers;
use cbdc_proto::convert::payment_to_message;
use cbdc_proto::status::refusal_of;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt;
use tower::ServiceExt;

use self::running::{RawBody, Running, Then, message, request, status_of, until};

const MIB: usize = 1024 * 1024;
const SUBMIT_TRANSFERS: &str = "/cbdc.v1.Bank/SubmitTransfers";

fn small() -> Limits {
    Limits { memory_mib: 32, ..Limits::default() }
}

/// A body that sends part of a message and then rests.
fn unfinished(length: usize) -> tonic::body::Body {
    let pieces = vec![7; length];
    let first = message(1_000_000, &[]);
    RawBody::body([first].into_iter().chain(pieces.chunks(16 * 1024).map(Bytes::copy_from_slice)), Then::Silence)
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_messages_take_an_address_share_and_no_more_and_members_still_find_room() {
    let running = Running::start(small()).await;
    let share = small().share_bytes();
    let used = || running.bank.budget().used_bytes();
    let mut open = Vec::new();
    let connected = running.to_bank(None);
    BankClient::new(connected.clone()).get_status(v1::GetStatusRequest {}).await.unwrap();
    for _ in 0..2 {
        let channel = running.to_bank(None);
        for _ in 0..20 {
            let channel = channel.clone();
            let body = unfinished(400 * 1024);
            open.push(tokio::spawn(channel.oneshot(request(SUBMIT_TRANSFERS, body))));
        }
    }
    // A message is charged with its pieces, and each piece needs capacity for what may be unread behind it.
    until("the messages are charged", || used() > share / 2).await;
    let more = (0..8).map(|_| {
        let channel = connected.clone();
        Box::pin(status_of(channel, request(SUBMIT_TRANSFERS, unfinished(990_000))))
    });
    let (refused, ..) = futures::future::select_all(more).await;
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let details = refused.get_details_error_info().expect("a refusal has its reason");
    assert_eq!(details.reason, "OVERLOADED");
    assert!(details.metadata["limit_name"].contains("share"), "{details:?}");
    assert!(used() <= share, "{} of {share}", used());
    // The bank's own back office is a member, with a share of its own.
    let identity = running.network.identity(Role::Bank, MemberId(1)).unwrap();
    let mut office = BankClient::new(running.to_bank(Some(&identity)));
    office.get_treasury(v1::GetTreasuryRequest {}).await.unwrap();
    open.iter().for_each(|request| request.abort());
    drop(open);
    // Only connections are left; the back office's alone takes a little more than 1 MiB.
    until("all is given back", || used() < 2 * MIB).await;
    running.serves_a_new_customer().await;
    running.stop().await;
}

/// Opens a stream of payments that sends nothing. It ends when the sender is dropped.
async fn resting(
    client: &mut BankClient<Channel>,
) -> (mpsc::Sender<v1::CommandBatch>, tonic::Streaming<v1::OutcomeBatch>) {
    let (send, batches) = mpsc::channel(1);
    (send, client.submit_transfers(ReceiverStream::new(batches)).await.unwrap().into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn resting_streams_of_a_few_addresses_take_little_and_lock_nobody_out() {
    let running = Running::start(small()).await;
    let mut streams = Vec::new();
    for last in 1..=4 {
        let mut client = BankClient::new(running.to_bank_from(last).await);
        for _ in 0..100 {
            streams.push(resting(&mut client).await);
        }
    }
    let used = running.bank.budget().used_bytes();
    assert!(used < 400 * 32 * 1024, "400 resting streams take {used} bytes");
    // Others can pay, at another address and at one of theirs.
    for last in [4, 5] {
        let mut client = BankClient::new(running.to_bank_from(last).await);
        let batch = v1::CommandBatch { batch_id: 9, commands: vec![0; 136].into(), takes_runs: true };
        let mut answers = client.submit_transfers(tokio_stream::once(batch)).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap().batch_id, 9);
    }
    drop(streams);
    until("all is given back", || running.bank.budget().used_bytes() < MIB).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_few_addresses_have_taken_leaves_room_for_another_that_takes_little() {
    let running = Running::start(small()).await;
    let share = |last| running.bank.budget().share(Tenant::Customers([127, 0, 0, last].into()));
    let taken: Vec<_> = (1..=3).map(|last| share(last).take(8 * MIB).unwrap()).collect();
    let mut client = BankClient::new(running.to_bank_from(5).await);
    client.get_status(v1::GetStatusRequest {}).await.unwrap();
    let batch = v1::CommandBatch { batch_id: 9, commands: vec![0; 136].into(), takes_runs: true };
    let mut answers = client.submit_transfers(tokio_stream::once(batch)).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().batch_id, 9);
    drop(taken);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_answers_are_not_taken_is_charged_for_what_may_be_unread() {
    let running = Running::start(small()).await;
    let used = || running.bank.budget().used_bytes();
    let mut client = BankClient::new(running.to_bank(None));
    client.get_status(v1::GetStatusRequest {}).await.unwrap();
    let before = used();
    // Answers of 40 bytes per payment, until windows and buffers are full.
    let batch = |batch_id| v1::CommandBatch { batch_id, commands: vec![0; 8_192 * 136].into(), takes_runs: true };
    let (send, answers) = resting(&mut client).await;
    let sending = tokio::spawn(async move {
        for batch_id in 0.. {
            if send.send(batch(batch_id)).await.is_err() {
                return;
            }
        }
    });
    until("it is read no further", || used() > before + MIB).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(used() > before + MIB, "{} after {before}", used());
    // Nobody else of its address waits for it.
    let mut other = BankClient::new(running.to_bank(None));
    let batch = v1::CommandBatch { batch_id: 7, commands: vec![0; 136].into(), takes_runs: true };
    let mut answered = other.submit_transfers(tokio_stream::once(batch)).await.unwrap().into_inner();
    let answered = tokio::time::timeout(Duration::from_secs(60), answered.message()).await;
    assert_eq!(answered.expect("it is answered").unwrap().unwrap().batch_id, 7);
    sending.abort();
    drop((answers, client, other));
    until("all is given back", || used() <= before).await;
    running.stop().await;
}

/// Opens a wallet of bank 1, whose replica knows it then.
async fn open_wallet(running: &Running) -> AccountId {
    let (network, key) = (&running.network, SigningKey::from_seed([1; 32]));
    let registrar = network.first_registrar().unwrap();
    let registration = registrar.register(BankId(1), HolderId([1; 16]), Class::HOUSEHOLD, key.public_key());
    let head = Head { flags: 0, key_version: 0, sequence: 1, valid_until: in_a_minute() };
    let signer = network.signing_key(Role::Bank, MemberId(1)).unwrap();
    let command: Command = registration.opening(head, &key).unwrap().sign(network.anchor().network(), &signer).into();
    let identity = network.identity(Role::Bank, MemberId(1)).unwrap();
    let trust = network.anchor().trust(Role::CentralBank, MemberId(1)).unwrap();
    let address = running.central_bank.address().to_string();
    let channel = cbdc_proto::transport::connect(&address, Some(&identity), &trust).unwrap();
    let mut settlement = v1::settlement_client::SettlementClient::new(channel);
    let request = v1::SubmitCommandRequest { command: command.to_bytes().into() };
    let outcome = settlement.submit_command(request).await.unwrap().into_inner();
    let account = AccountId::from_u64(outcome.amount).unwrap();
    let mut client = BankClient::new(running.to_bank(None));
    while client.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner().height < outcome.height {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    account
}

fn in_a_minute() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(now.as_millis() as u64 + 60_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_signatures_on_one_stream_slow_all_of_their_source_and_nobody_else() {
    let running = Running::start(Limits::default()).await;
    let from = open_wallet(&running).await;
    let forged = |sequence| {
        let head = Head { flags: 0, key_version: 0, sequence, valid_until: in_a_minute() };
        let (kind, amount, max_fee) = (PaymentKind::Transfer, Amount::from_minor(1), Amount::ZERO);
        let payment = Payment { kind, head, from, to: from, amount, max_fee, reference: [0; 16] };
        payment.sign(running.network.anchor().network(), &SigningKey::from_seed([2; 32]))
    };
    let forgeries: Bytes = (1..=8_192).flat_map(|sequence| forged(sequence).to_bytes()).collect::<Vec<_>>().into();
    let batch = |batch_id| v1::CommandBatch { batch_id, commands: forgeries.clone(), takes_runs: true };
    let mut hostile = BankClient::new(running.to_bank_from(2).await);
    let mut answers = hostile.submit_transfers(tokio_stream::once(batch(1))).await.unwrap().into_inner();
    answers.message().await.unwrap().expect("it is answered");
    drop((answers, hostile));

    // A new connection, another stream or a single payment is slowed as well.
    let mut again = BankClient::new(running.to_bank_from(2).await);
    let mut others = BankClient::new(running.to_bank_from(3).await);
    let request = || v1::SubmitTransferRequest { payment: Some(payment_to_message(&forged(1))), ..Default::default() };
    let mut second = again.submit_transfers(tokio_stream::once(batch(2))).await.unwrap().into_inner();
    let (slowed, served) = tokio::join!(again.submit_transfer(request()), others.submit_transfer(request()));
    let reason = |status: tonic::Status| refusal_of(&status).unwrap().reason;
    let reasons = (reason(slowed.unwrap_err()), reason(served.unwrap_err()));
    assert_eq!(reasons, (Reason::Overloaded, Reason::BadSignature));
    let session = again.open_session(v1::OpenSessionRequest::default()).await;
    assert_eq!(reason(session.unwrap_err()), Reason::Overloaded);
    // It is slowed, not shut out.
    assert_eq!(second.message().await.unwrap().expect("it is answered").batch_id, 2);
    running.stop().await;
}

/// A payment of one minor unit of the first wallet to itself, which the ledger refuses if nothing else does.
fn to_itself(running: &Running, from: AccountId, sequence: u64, valid_until: Timestamp) -> Vec<u8> {
    let head = Head { flags: 0, key_version: 0, sequence, valid_until };
    let (kind, amount, max_fee) = (PaymentKind::Transfer, Amount::from_minor(1), Amount::ZERO);
    let payment = Payment { kind, head, from, to: from, amount, max_fee, reference: [0; 16] };
    payment.sign(running.network.anchor().network(), &SigningKey::from_seed([1; 32])).to_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_customer_repeats_reaches_the_central_bank_no_more_from_however_many_addresses() {
    const COUNT: u64 = 256;
    let running = Running::start(Limits::default()).await;
    let from = open_wallet(&running).await;
    let (valid, past) = (in_a_minute(), Timestamp(in_a_minute().0 - 3_600_000));
    let wasted = || running.central_bank.conduct()[&(Role::Bank, MemberId(1))].not_ordered;
    let batch = |record: &dyn Fn(u64) -> Vec<u8>| -> Bytes { (0..COUNT).flat_map(record).collect::<Vec<_>>().into() };
    for (reason, commands) in [
        (Reason::SequenceOutOfWindow, batch(&|number| to_itself(&running, from, 1_000 + number, valid))),
        (Reason::Expired, batch(&|number| to_itself(&running, from, 1 + number % 64, past))),
        (Reason::SameAccount, batch(&|_| to_itself(&running, from, 1, valid))),
    ] {
        let mut after_the_first = None;
        for address in 2..=10 {
            let mut client = BankClient::new(running.to_bank_from(address).await);
            loop {
                let sent = v1::CommandBatch { batch_id: 1, commands: commands.clone(), takes_runs: true };
                let mut answers = client.submit_transfers(tokio_stream::once(sent)).await.unwrap().into_inner();
                let answers = answers.message().await.unwrap().expect("it is answered");
                let answers = Answers::from_message(answers).unwrap().unpacked().unwrap();
                let reasons = || answers.iter().map(|answer| answer.outcome.reason);
                // Other copies are in flight, or the replica has yet to follow: nothing that is wrong is answered.
                if reasons().all(|found| matches!(found, Reason::Overloaded | Reason::Unavailable) || found == reason)
                    && reasons().any(|found| found != reason)
                {
                    continue;
                }
                assert!(reasons().all(|found| found == reason), "{reason}: {answers:?}");
                break;
            }
            assert_eq!(wasted(), *after_the_first.get_or_insert_with(wasted), "{reason}, address {address}");
        }
    }
    // The customer is not shut out: her next payment is decided by the ledger.
    let mut client = BankClient::new(running.to_bank_from(11).await);
    let commands = to_itself(&running, from, 2, valid).into();
    let sent = v1::CommandBatch { batch_id: 1, commands, takes_runs: true };
    let mut answers = client.submit_transfers(tokio_stream::once(sent)).await.unwrap().into_inner();
    let answer = Answers::from_message(answers.message().await.unwrap().unwrap()).unwrap().only().unwrap();
    assert!(answer.is_ordered() && answer.outcome.reason == Reason::SameAccount, "{answer:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_has_nothing_in_flight_for_long_ends_and_says_so() {
    let running = Running::start(Limits { stream_idle_s: 1, ..small() }).await;
    let mut client = BankClient::new(running.to_bank(None));
    let (_send, mut answers) = resting(&mut client).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), answers.message()).await.expect("it ends");
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("nothing was in flight on this stream for 1 s"), "{status:?}");
    running.serves_a_new_customer().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_for_its_call_is_refused_with_the_limit_before_it_comes() {
    let running = Running::start(small()).await;
    for (path, length) in [
        ("/cbdc.v1.Bank/GetWallet", 64 * 1024 + 1),
        ("/cbdc.v1.Bank/SubmitTransfer", 4 * 1024 * 1024),
        (SUBMIT_TRANSFERS, 4 * 1024 * 1024),
        (SUBMIT_TRANSFERS, u32::MAX),
    ] {
        let body = RawBody::body([message(length, &[])], Then::Silence);
        let status = status_of(running.to_bank(None), request(path, body)).await;
        assert_eq!(status.code(), Code::ResourceExhausted, "{path}: {status:?}");
        let refusal = refusal_of(&status).expect("a refusal has its reason");
        assert_eq!((refusal.amount, refusal.reason.later_may_help()), (u64::from(length), false), "{path}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_transport_refuses_has_a_reason_as_well() {
    let running = Running::start(small()).await;
    let unreadable = message(3, &[0xff; 3]);
    for (path, sent, code, says) in [
        ("/cbdc.v1.Bank/GetWallet", unreadable.clone(), Code::InvalidArgument, "/cbdc.v1.Bank/GetWallet"),
        (SUBMIT_TRANSFERS, unreadable.clone(), Code::InvalidArgument, SUBMIT_TRANSFERS),
        ("/cbdc.v1.Bank/GetStatus", Bytes::from_static(&[7, 0, 0, 0, 0]), Code::InvalidArgument, "GetStatus"),
        ("/cbdc.v1.Bank/GetWallet", message(64 * 1024 + 1, &[]), Code::ResourceExhausted, "65536"),
        ("/cbdc.v1.Bank/PrintMoney", message(0, &[]), Code::Unimplemented, "/cbdc.v1.Bank/PrintMoney"),
        ("/cbdc.v1.Mint/Print", message(0, &[]), Code::Unimplemented, "/cbdc.v1.Mint/Print"),
    ] {
        let body = RawBody::body([sent], Then::Silence);
        let status = status_of(running.to_bank(None), request(path, body)).await;
        assert_eq!(status.code(), code, "{path}: {status:?}");
        assert!(status.message().contains(says), "{path}: {status:?}");
        let refusal = refusal_of(&status).unwrap_or_else(|| panic!("{path}: no reason in {status:?}"));
        assert_eq!(refusal.reason, Reason::Malformed, "{path}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_stay_within_the_budget() {
    let running = Running::start(small()).await;
    let client = BankClient::new(running.to_bank(None));
    let budget = running.bank.budget().clone();
    let asked = (0..500).map(|_| {
        let mut client = client.clone();
        async move { client.list_payments(v1::ListPaymentsRequest::default()).await.unwrap_err().code() }
    });
    let most = std::sync::atomic::AtomicUsize::new(0);
    let watching = async {
        loop {
            most.fetch_max(budget.used_bytes(), std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    };
    let codes = tokio::select! {
        codes = futures::future::join_all(asked) => codes,
        () = watching => unreachable!(),
    };
    assert_eq!(codes.len(), 500);
    assert!(most.into_inner() <= small().share_bytes() + MIB);
    running.serves_a_new_customer().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_nobody_out_and_end() {
    let running = Running::start(Limits::default()).await;
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(TcpStream::connect(running.bank.address()).await.unwrap());
        silent.push(TcpStream::connect(running.central_bank.address()).await.unwrap());
    }
    // A new customer and a new connection of a bank are served while all of them are silent.
    running.serves_a_new_customer().await;
    let identity = running.network.identity(Role::Bank, MemberId(1)).unwrap();
    let trust = running.network.anchor().trust(Role::CentralBank, MemberId(1)).unwrap();
    let address = running.central_bank.address().to_string();
    let channel = cbdc_proto::transport::connect(&address, Some(&identity), &trust).unwrap();
    let mut chain = v1::chain_client::ChainClient::new(channel);
    chain.get_genesis(v1::GetGenesisRequest {}).await.unwrap();
    // And the nodes end the silent ones by themselves.
    for mut connection in silent {
        let mut bytes = [0; 16];
        let ended = tokio::time::timeout(Duration::from_secs(20), connection.read(&mut bytes)).await;
        assert!(matches!(ended.expect("it ends"), Ok(0) | Err(_)));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_give_way_and_members_have_places_of_their_own() {
    let limits = Limits { connections: 20, connections_per_address: 10, ..Limits::default() };
    let running = Running::start(limits).await;
    let idle: Vec<_> = (0..40).map(|_| BankClient::new(running.to_bank(None))).collect();
    for client in &idle {
        client.clone().get_status(v1::GetStatusRequest {}).await.unwrap();
    }
    running.serves_a_new_customer().await;
    let identity = running.network.identity(Role::Bank, MemberId(1)).unwrap();
    BankClient::new(running.to_bank(Some(&identity))).get_treasury(v1::GetTreasuryRequest {}).await.unwrap();
    // One whose connection gave way connects again.
    for client in &idle[..3] {
        let mut answered = client.clone().get_status(v1::GetStatusRequest {}).await;
        if answered.is_err() {
            answered = client.clone().get_status(v1::GetStatusRequest {}).await;
        }
        answered.unwrap();
    }
    running.stop().await;
}

/// A TLS connection of a customer, for bytes of any kind.
async fn tls(running: &Running) -> impl AsyncReadExt + AsyncWriteExt + Unpin + use<> {
    let trust = running.bank_trust();
    let address = running.bank.address().to_string();
    let dialed = cbdc_proto::transport::channel::dial(&address, None, &trust);
    tokio::time::timeout(Duration::from_secs(20), dialed).await.expect("it is shaken hands with in time").unwrap()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Headers of a call to GetStatus, without Huffman coding or the dynamic table.
fn headers() -> Vec<u8> {
    let literal = |name: &str, value: &str| {
        [&[0, name.len() as u8][..], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    [
        literal(":method", "POST"),
        literal(":scheme", "http"),
        literal(":path", "/cbdc.v1.Bank/GetStatus"),
        literal(":authority", "bank"),
        literal("content-type", "application/grpc"),
        literal("te", "trailers"),
    ]
    .concat()
}

/// Sends frames on a connection of its own until the node ends it or all are sent.
async fn flood(running: &Running, frames: impl IntoIterator<Item = Vec<u8>>) {
    let connection = tls(running).await;
    let (mut read, mut write) = tokio::io::split(connection);
    let reading = tokio::spawn(async move {
        let mut bytes = vec![0; 65_536];
        while matches!(read.read(&mut bytes).await, Ok(1..)) {}
    });
    let sending = async {
        let mut bytes = [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
        for frame in frames {
            bytes.extend(frame);
            if bytes.len() > 16_384 && write.write_all(&std::mem::take(&mut bytes)).await.is_err() {
                return;
            }
        }
        drop(write.write_all(&bytes).await);
        drop(write.flush().await);
    };
    tokio::time::timeout(Duration::from_secs(60), sending).await.expect("it ends");
    reading.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_are_held_without_harm() {
    let running = Running::start(small()).await;
    let reset_at_once = (0..10_000_u32).flat_map(|number| {
        let stream = 2 * number + 1;
        [frame(HEADERS, END_HEADERS, stream, &headers()), frame(RESET, 0, stream, &[0, 0, 0, 8])]
    });
    flood(&running, reset_at_once).await;
    running.serves_a_new_customer().await;

    flood(&running, (0..50_000).map(|_| frame(PING, 0, 0, &[7; 8]))).await;
    running.serves_a_new_customer().await;

    let endless = [frame(HEADERS, 0, 1, &headers())].into_iter();
    flood(&running, endless.chain((0..20_000).map(|_| frame(CONTINUATION, 0, 1, &[0, 1, b'x', 1, b'y'])))).await;
    running.serves_a_new_customer().await;

    let noise = (0..200_u32).map(|number| noise_of(number).to_vec());
    flood(&running, noise).await;
    running.serves_a_new_customer().await;
    until("all is given back", || running.bank.budget().used_bytes() < MIB).await;
    running.stop().await;
}

/// Bytes that look random.
fn noise_of(number: u32) -> [u8; 64] {
    std::array::from_fn(|at| (number.wrapping_mul(2_654_435_761).rotate_left(at as u32) >> 7) as u8)
}

#[tokio::test(flavor = "multi_thread")]
async fn plaintext_noise_large_headers_and_compressed_messages_are_refused_and_the_node_goes_on() {
    let running = Running::start(small()).await;
    for noise in [&b"GET / HTTP/1.1\r\nhost: bank\r\n\r\n"[..], PREFACE, &[0x16; 3], &noise_of(1)] {
        let mut connection = TcpStream::connect(running.bank.address()).await.unwrap();
        connection.write_all(noise).await.unwrap();
        let mut bytes = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), connection.read_to_end(&mut bytes)).await;
        ended.expect("the node ends it").ok();
    }
    let mut large = request("/cbdc.v1.Bank/GetStatus", RawBody::body([message(0, &[])], Then::Silence));
    large.headers_mut().insert("x", "y".repeat(200_000).parse().unwrap());
    assert_ne!(status_of(running.to_bank(None), large).await.code(), Code::Ok);
    let mut compressed =
        request("/cbdc.v1.Bank/GetStatus", RawBody::body([Bytes::from(vec![1, 0, 0, 0, 1, 0])], Then::Silence));
    compressed.headers_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    assert_eq!(status_of(running.to_bank(None), compressed).await.code(), Code::Unimplemented);
    running.serves_a_new_customer().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_of_a_millisecond_and_many_handshakes_leave_nothing_behind() {
    let running = Running::start(Limits::default()).await;
    let client = BankClient::new(running.to_bank(None));
    let hasty = (0..200).map(|_| {
        let mut client = client.clone();
        async move {
            let mut request = tonic::Request::new(v1::GetStatusRequest {});
            request.set_timeout(Duration::from_millis(1));
            client.get_status(request).await.is_ok()
        }
    });
    tokio::time::timeout(Duration::from_secs(20), futures::future::join_all(hasty)).await.expect("they end");
    for _ in 0..10 {
        futures::future::join_all((0..20).map(|_| tls(&running))).await;
    }
    running.serves_a_new_customer().await;
    until("all is given back", || running.bank.budget().used_bytes() < 2 * MIB).await;
    running.stop().await;
}
