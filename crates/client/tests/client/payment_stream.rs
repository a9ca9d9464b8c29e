//! The accounting of a payment stream: every batch is answered once, completely, or its status is unknown.

use std::time::Duration;

use bytes::Bytes;
use cbdc_client::payment_stream::{self, BatchAnswers, BatchSender};
use cbdc_client::{BankId, ClientError, Height, Reason};
use cbdc_ledger::Outcome;
use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::Answer;
use cbdc_proto::v1;

use crate::support::bank::{FakeBank, answered};

fn payments(count: usize) -> Bytes {
    vec![7; count * SIGNED_PAYMENT_BYTES].into()
}

fn settled(index: u32) -> Answer {
    Answer::ordered(Height(3), index, Outcome::settled())
}

async fn open(bank: &FakeBank, in_flight_max: usize) -> (BatchSender, BatchAnswers) {
    payment_stream::open(&bank.folder.connect_customer(BankId(1)).unwrap(), in_flight_max).await.unwrap()
}

/// The error of the first answer to one batch of two payments that the bank answers with these messages.
async fn error_of(
    react: impl Fn(&v1::CommandBatch) -> (Vec<v1::OutcomeBatch>, bool) + Send + Sync + 'static,
) -> ClientError {
    let bank = FakeBank::start().await;
    bank.on_batch(react);
    let (mut sender, mut answers) = open(&bank, 1).await;
    sender.send(payments(2)).await.unwrap();
    answers.next().await.unwrap_err()
}

#[tokio::test]
async fn each_batch_gets_its_own_answers_in_whatever_order_they_come() {
    let bank = FakeBank::start().await;
    bank.on_batch(|batch| match batch.batch_id {
        1 => (Vec::new(), false),
        // The second batch settled as a whole; the first comes after it, one of its payments refused.
        2 => {
            let run = Answers::Run { height: Height(3), first: 4, count: 2 }.into_message(2, batch.takes_runs);
            let refused = Answer::not_ordered(Outcome::refused(Reason::HoldingLimit, 5, 6));
            (vec![run, answered(1, &[settled(9), refused, settled(10)])], false)
        }
        other => panic!("batch {other}"),
    });
    let (mut sender, mut answers) = open(&bank, 2).await;
    assert_eq!((sender.send(payments(3)).await.unwrap(), sender.send(payments(2)).await.unwrap()), (1, 2));
    assert_eq!(answers.unanswered(), [1, 2]);
    let second = answers.next().await.unwrap().unwrap();
    assert_eq!((second.batch_id, second.answers), (2, vec![settled(4), settled(5)]));
    assert_eq!(answers.unanswered(), [1]);
    let first = answers.next().await.unwrap().unwrap();
    assert_eq!((first.batch_id, first.answers.len(), first.answers[1].outcome.reason), (1, 3, Reason::HoldingLimit));
    drop(sender);
    assert_eq!(answers.next().await.unwrap(), None);
}

#[tokio::test]
async fn no_more_batches_are_in_flight_than_were_allowed() {
    let bank = FakeBank::start().await;
    bank.on_batch(|batch| match batch.batch_id {
        1 => (Vec::new(), false),
        id => (vec![answered(1, &[settled(0)]), answered(id, &[settled(1)])], false),
    });
    let (mut sender, mut answers) = open(&bank, 2).await;
    assert_eq!(sender.capacity(), 2);
    sender.send(payments(1)).await.unwrap();
    sender.send(payments(1)).await.unwrap();
    assert_eq!(sender.capacity(), 0);
    let third = tokio::time::timeout(Duration::from_millis(100), sender.send(payments(1)));
    assert!(third.await.is_err(), "a third batch was sent before one was answered");
    answers.next().await.unwrap().unwrap();
    assert_eq!(sender.capacity(), 1);
}

#[tokio::test]
async fn a_broken_stream_leaves_its_unanswered_batches_unknown_and_names_them() {
    let bank = FakeBank::start().await;
    bank.on_batch(|batch| match batch.batch_id {
        2 => (vec![answered(2, &[settled(0)])], false),
        4 => (Vec::new(), true),
        _ => (Vec::new(), false),
    });
    let (mut sender, mut answers) = open(&bank, 8).await;
    for _ in 0..4 {
        sender.send(payments(1)).await.unwrap();
    }
    assert_eq!(answers.next().await.unwrap().unwrap().batch_id, 2);
    let error = answers.next().await.unwrap_err();
    assert!(matches!(&error, ClientError::Unknown { why } if why.contains("3 batches")), "{error}");
    assert_eq!(answers.unanswered(), [1, 3, 4]);
}

#[tokio::test]
async fn answers_that_do_not_fit_the_batch_are_not_believed() {
    let too_few = error_of(|batch| (vec![answered(batch.batch_id, &[settled(0)])], false)).await;
    assert!(too_few.to_string().contains("expected 2 answers to batch 1, found 1"), "{too_few}");
    let of_another = error_of(|batch| (vec![answered(batch.batch_id + 1, &[settled(0), settled(1)])], false)).await;
    assert!(matches!(&of_another, ClientError::BadAnswer { reason, .. } if reason.contains("batch 2")), "{of_another}");
    let half = error_of(|batch| {
        let outcomes = vec![0; 33].into();
        (vec![v1::OutcomeBatch { batch_id: batch.batch_id, outcomes, settled_run: None }], false)
    });
    assert!(matches!(half.await, ClientError::BadAnswer { .. }));
}

#[tokio::test]
async fn a_batch_answered_twice_is_not_believed_the_second_time() {
    let bank = FakeBank::start().await;
    bank.on_batch(|batch| (vec![answered(batch.batch_id, &[settled(0)]); 2], false));
    let (mut sender, mut answers) = open(&bank, 1).await;
    sender.send(payments(1)).await.unwrap();
    answers.next().await.unwrap().unwrap();
    assert!(matches!(answers.next().await, Err(ClientError::BadAnswer { .. })));
}

#[tokio::test]
async fn only_whole_payments_are_sent() {
    let bank = FakeBank::start().await;
    bank.on_batch(|_| (Vec::new(), false));
    let connection = bank.folder.connect_customer(BankId(1)).unwrap();
    assert!(matches!(payment_stream::open(&connection, 0).await, Err(ClientError::Usage(_))));
    let (mut sender, answers) = open(&bank, 1).await;
    for bytes in [0, 1, SIGNED_PAYMENT_BYTES - 1, SIGNED_PAYMENT_BYTES + 1] {
        let error = sender.send(vec![0; bytes].into()).await.unwrap_err();
        assert!(matches!(error, ClientError::Usage(_)), "{bytes} bytes: {error}");
    }
    assert_eq!((sender.capacity(), answers.unanswered().len()), (1, 0));
}
