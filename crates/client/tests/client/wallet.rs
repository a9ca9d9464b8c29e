//! Paying through a bank whose answers are scripted: sent again, signed again, or reported as they came.

use std::time::Duration;

use cbdc_client::{AccountId, Amount, BankId, Timestamp};
use cbdc_client::{BlockPosition, ClientError, Height, Reason, SubmissionStatus};
use cbdc_ledger::Outcome;
use cbdc_proto::packed::Answer;
use cbdc_proto::status::{of_final_refusal, of_refusal, of_refusal_until};
use cbdc_proto::v1;
use tonic::Status;

use crate::support::bank::FakeBank;
use crate::support::receipt::payer;

fn payee() -> AccountId {
    AccountId::new(BankId(2), 9)
}

fn amount() -> Amount {
    Amount::from_minor(1250)
}

fn settled() -> Result<Answer, Status> {
    Ok(Answer::ordered(Height(17), 2, Outcome::settled()))
}

fn refused(reason: Reason) -> Result<Answer, Status> {
    Err(of_refusal(&Outcome::refused(reason, 0, 0)))
}

fn sequences(bank: &FakeBank) -> Vec<u64> {
    bank.script.submitted.lock().unwrap().iter().map(|payment| payment.sequence).collect()
}

#[tokio::test]
async fn a_payment_in_doubt_is_sent_again_as_it_was_signed() {
    let bank = FakeBank::start().await;
    bank.answer_transfers([Err(Status::unavailable("gone")), refused(Reason::Unavailable), settled()]);
    let submission = bank.wallet().pay(payee(), amount()).await.unwrap();
    assert_eq!(submission.status.settled().unwrap(), BlockPosition { height: Height(17), index: 2 });
    let submitted = bank.script.submitted.lock().unwrap();
    assert_eq!(submitted.len(), 3);
    assert!(submitted.iter().all(|payment| *payment == submitted[0]), "the same bytes each time");
}

#[tokio::test]
async fn a_payment_whose_sequence_number_another_device_took_is_signed_again() {
    for reason in [Reason::SequenceUsed, Reason::SequenceConflict] {
        let bank = FakeBank::start().await;
        // The chain has another payment with sequence number 3: that of the receipt.
        *bank.script.next_sequence.lock().unwrap() = 3;
        bank.answer_transfers([refused(reason), settled()]);
        let submission = bank.wallet().pay(payee(), amount()).await.unwrap();
        assert!(submission.status.settled().is_ok());
        assert_eq!(sequences(&bank), [3, 4], "{reason}");
    }
}

/// After an outage a bank's replica lags by seconds: other programs have used numbers that it still calls unused, and
/// it has none of their receipts.
#[tokio::test]
async fn a_payment_behind_a_lagging_replica_passes_the_numbers_that_others_used() {
    let bank = FakeBank::start().await;
    bank.answer_transfers((0..8).map(|_| taken()).chain([settled()]));
    let submission = bank.wallet().pay(payee(), amount()).await.unwrap();
    assert!(submission.status.settled().is_ok());
    assert_eq!(sequences(&bank), (1..=9).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_bank_accepts_only_for_a_wallet_that_lets_it() {
    for accepts in [false, true] {
        let bank = FakeBank::start().await;
        bank.answer_transfers([settled()]);
        let wallet = if accepts { bank.wallet().accepting() } else { bank.wallet() };
        wallet.pay(payee(), amount()).await.unwrap().status.settled().unwrap();
        assert_eq!(*bank.script.may_accept.lock().unwrap(), [accepts]);
    }
}

#[tokio::test]
async fn a_payment_ahead_of_the_window_is_not_signed_again_since_it_may_still_settle() {
    let bank = FakeBank::start().await;
    bank.answer_transfers([refused(Reason::SequenceOutOfWindow)]);
    let wallet = bank.wallet();
    let submission = wallet.pay(payee(), amount()).await.unwrap();
    assert!(matches!(
        &submission.status,
        SubmissionStatus::Refused(refusal) if refusal.reason() == Reason::SequenceOutOfWindow
    ));
    assert_eq!(sequences(&bank), [1]);
    bank.answer_transfers([settled()]);
    wallet.pay(payee(), amount()).await.unwrap().status.settled().unwrap();
    assert_eq!(sequences(&bank), [1, 2], "its number is not used for another payment");
}

#[tokio::test]
async fn a_refused_payment_gives_its_sequence_number_back() {
    let bank = FakeBank::start().await;
    bank.answer_transfers([refused(Reason::NotAccepted), settled()]);
    let wallet = bank.wallet();
    let first = wallet.pay(payee(), amount()).await.unwrap();
    assert!(matches!(first.status, SubmissionStatus::Refused(refusal) if refusal.position.is_none()));
    wallet.pay(payee(), amount()).await.unwrap().status.settled().unwrap();
    assert_eq!(sequences(&bank), [1, 1]);
}

/// A refusal that is not final: somebody who has the record may still send it.
fn refused_for_now() -> Result<Answer, Status> {
    Err(of_refusal_until(&Outcome::refused(Reason::NotAccepted, 0, 1), Timestamp(u64::MAX)))
}

fn taken() -> Result<Answer, Status> {
    Err(of_final_refusal(&Outcome::refused(Reason::SequenceConflict, 0, 0)))
}

#[tokio::test]
async fn where_a_refused_payment_settled_after_all_the_next_one_is_not_made_beside_it() {
    let bank = FakeBank::start().await;
    bank.answer_transfers([refused_for_now(), taken(), settled()]);
    let wallet = bank.wallet();
    let first = wallet.pay(payee(), amount()).await.unwrap();
    assert!(!first.status.is_final());
    // The first one has settled meanwhile: signed with another number, the second would settle too.
    let second = wallet.pay(payee(), amount()).await.unwrap();
    assert!(second.status.sequence_was_taken(), "{second:?}");
    wallet.pay(payee(), amount()).await.unwrap().status.settled().unwrap();
    assert_eq!(sequences(&bank), [1, 1, 2]);
}

#[tokio::test]
async fn a_payment_instead_of_another_has_its_number_and_no_other() {
    let bank = FakeBank::start().await;
    bank.answer_transfers([taken(), settled()]);
    let wallet = bank.wallet();
    let instead = wallet.clone().instead_of(1).pay(payee(), amount()).await.unwrap();
    assert!(instead.status.sequence_was_taken(), "{instead:?}");
    assert_eq!(sequences(&bank), [1]);
    // A number that an earlier run of the program has in flight is passed over.
    wallet.set_aside(1);
    wallet.pay(payee(), amount()).await.unwrap().status.settled().unwrap();
    assert_eq!(sequences(&bank), [1, 2]);
}

#[tokio::test]
async fn a_payment_whose_status_stays_unknown_keeps_its_sequence_number() {
    let bank = FakeBank::start().await;
    bank.answer_transfers([Err(Status::unavailable("gone"))]);
    let wallet = bank.wallet().with_timeout(Duration::from_millis(100));
    let first = wallet.pay(payee(), amount()).await.unwrap();
    assert!(matches!(first.status, SubmissionStatus::Unknown { .. }));
    bank.answer_transfers([settled()]);
    wallet.pay(payee(), amount()).await.unwrap().status.settled().unwrap();
    assert_eq!(sequences(&bank).last(), Some(&2));
    wallet.submit(&first.payment).await.unwrap().settled().unwrap();
    assert_eq!(sequences(&bank).last(), Some(&1), "the same record, submitted again");
}

#[tokio::test]
async fn accepted_by_a_bank_is_not_settled() {
    let bank = FakeBank::start().await;
    bank.answer_transfers([Ok(Answer::accepted())]);
    let submission = bank.wallet().pay(payee(), amount()).await.unwrap();
    assert!(matches!(submission.status.settled(), Err(ClientError::Accepted)));
}

#[tokio::test]
async fn a_sound_receipt_of_something_else_is_refused() {
    let bank = FakeBank::start().await;
    let wallet = bank.wallet();
    let position = BlockPosition { height: Height(17), index: 2 };
    assert_eq!(wallet.receipt(position).await.unwrap().position(), position);
    assert_eq!(wallet.receipt_of_sequence(3).await.unwrap().command().head().sequence, 3);
    let elsewhere = wallet.receipt(BlockPosition { height: Height(17), index: 1 }).await;
    assert!(matches!(elsewhere, Err(ClientError::OtherReceipt { .. })));
    let of_another = wallet.receipt_of_sequence(2).await;
    assert!(matches!(of_another, Err(ClientError::OtherReceipt { .. })));
}

#[tokio::test]
async fn a_bank_of_another_network_is_not_used() {
    let bank = FakeBank::start().await;
    assert!(bank.wallet().status().await.is_ok());
    *bank.script.network_id.lock().unwrap() = Some([9; 32]);
    assert!(matches!(bank.wallet().status().await, Err(ClientError::OtherNetwork { .. })));
}

#[tokio::test]
async fn history_is_read_whole_or_not_at_all() {
    let bank = FakeBank::start().await;
    let entry = v1::PaymentEntry {
        height: 17,
        index: 2,
        kind: "transfer".to_owned(),
        from: payer().to_string(),
        to: payee().to_string(),
        amount_minor: 1250,
        sequence: 3,
        reason: "SETTLED".to_owned(),
        changes: vec![v1::BalanceChange {
            cause: "paid".to_owned(),
            debit_minor: 1250,
            counterparty: payee().to_string(),
            ..v1::BalanceChange::default()
        }],
        balance_minor: 50,
        ..v1::PaymentEntry::default()
    };
    *bank.script.history.lock().unwrap() = vec![entry.clone()];
    let page = bank.wallet().history(5, None).await.unwrap();
    let [read] = page.entries.as_slice() else { panic!("{page:?}") };
    assert_eq!((read.from, read.to, read.amount, read.sequence), (Some(payer()), Some(payee()), amount(), 3));
    assert_eq!((read.reason, page.next), (Reason::Settled, None));
    let [change] = read.changes.as_slice() else { panic!("{read:?}") };
    assert_eq!((change.cause.name(), change.amount, change.counterparty), ("paid", amount(), Some(payee())));
    assert_eq!(read.balance.minor(), 50);
    let wrong = v1::PaymentEntry { reason: "BECAUSE".to_owned(), ..entry.clone() };
    *bank.script.history.lock().unwrap() = vec![entry, wrong];
    let error = bank.wallet().history(5, None).await.unwrap_err();
    assert!(matches!(&error, ClientError::BadAnswer { reason, .. } if reason.contains("BECAUSE")), "{error}");
}

#[tokio::test]
async fn calls_at_once_share_one_session_which_names_bank_account_and_challenge() {
    let bank = FakeBank::start().await;
    let wallet = bank.wallet();
    let readings = (0..20).map(|_| {
        let wallet = wallet.clone();
        tokio::spawn(async move { wallet.balance().await })
    });
    for reading in readings.collect::<Vec<_>>() {
        reading.await.unwrap().unwrap();
    }
    let sessions = bank.script.sessions.lock().unwrap().clone();
    let [session] = sessions[..] else { panic!("expected one session, found {sessions:?}") };
    assert_eq!((session.bank, session.account, session.key_version), (BankId(1), payer(), 0));
    assert_eq!((session.challenge, session.expires_at.0), ([7; 32], 1_800_000_000_000));
}

#[tokio::test]
async fn a_session_that_the_bank_forgot_or_that_is_over_is_opened_again_unseen() {
    let bank = FakeBank::start().await;
    let wallet = bank.wallet();
    wallet.balance().await.unwrap();
    bank.script.forgotten.lock().unwrap().push("Bearer token-1".to_owned());
    wallet.balance().await.unwrap();
    assert_eq!(bank.script.sessions.lock().unwrap().len(), 2);
    // One that lasts no time is renewed before each call.
    *bank.script.session_ms.lock().unwrap() = Some(0);
    bank.script.forgotten.lock().unwrap().push("Bearer token-2".to_owned());
    wallet.balance().await.unwrap();
    wallet.balance().await.unwrap();
    assert_eq!(bank.script.sessions.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_bank_that_refuses_every_session_is_asked_once_more_and_no_oftener() {
    let bank = FakeBank::start().await;
    bank.script.forgotten.lock().unwrap().extend((1..9).map(|number| format!("Bearer token-{number}")));
    let error = bank.wallet().balance().await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused(refusal) if refusal.reason() == Reason::NoSession), "{error}");
    assert_eq!(bank.script.sessions.lock().unwrap().len(), 2);
}
