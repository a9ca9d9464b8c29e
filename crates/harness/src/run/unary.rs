//! The load with one call per payment, as made by a wallet app.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cbdc_ledger::Reason;
use cbdc_ledger::command::{Command, Payment, Signed};
use cbdc_proto::convert::{outcome_from_message, payment_to_message};
use cbdc_proto::packed::Answer;
use cbdc_proto::status::refusal_of;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use tokio::sync::{Semaphore, mpsc};
use tonic::transport::Channel;

use super::load::StreamRunner;
use super::stream_outcome::{Departure, StreamOutcome};

/// Makes one call for each payment when it is due, with at most `in_flight_max` calls open.
pub async fn run(runner: StreamRunner, channel: Channel) -> StreamOutcome {
    let StreamRunner { stream, load, connection: _, start, live, timeout } = runner;
    let mut outcome = StreamOutcome::new(stream.due_ns.clone(), 0);
    let elapsed_ns = move || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let (answered, mut answers) = mpsc::unbounded_channel::<(usize, u64, Option<Answer>, Vec<u64>)>();
    let permits = Arc::new(Semaphore::new(load.in_flight_max as usize));
    let offer = {
        let stream = stream.clone();
        async move {
            let (mut departures, mut blocked_until_ns) = (Vec::with_capacity(stream.len()), 0);
            for (index, due) in stream.due_ns.iter().enumerate() {
                tokio::time::sleep_until((start + Duration::from_nanos(*due)).into()).await;
                let (ready_ns, has_capacity) = (elapsed_ns(), permits.available_permits() > 0);
                let Ok(permit) = permits.clone().acquire_owned().await else { break };
                let payments = index..index + 1;
                departures.push(Departure { payments, at_ns: elapsed_ns(), ready_ns, blocked_until_ns });
                if !has_capacity {
                    blocked_until_ns = elapsed_ns();
                }
                let Ok(Command::Payment(payment)) = Command::from_bytes(&stream.slice(index, index + 1)) else {
                    continue;
                };
                let (bank, answered) = (BankClient::new(channel.clone()), answered.clone());
                let give_up = start + Duration::from_nanos(*due) + timeout;
                tokio::spawn(async move {
                    let mut unknown_ns = Vec::new();
                    let answer = until_final(bank, &payment, give_up, || unknown_ns.push(elapsed_ns())).await;
                    answered.send((index, elapsed_ns(), answer, unknown_ns)).ok();
                    drop(permit);
                });
            }
            departures
        }
    };
    let offer = tokio::spawn(offer);
    while let Some((index, now_ns, answer, unknown_ns)) = answers.recv().await {
        outcome.unknown.extend(unknown_ns.into_iter().map(|at_ns| (at_ns, 1)));
        if let Some(answer) = answer {
            outcome.answers[index] = Some(answer);
            outcome.answered_ns[index] = now_ns;
            let counter = if answer.outcome.is_settled() { &live.settled } else { &live.refused };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
    outcome.departures = offer.await.unwrap_or_default();
    outcome.give_up(elapsed_ns());
    outcome
}

/// Sends the same payment until its answer is final. `unknown` is called for each answer that is not.
async fn until_final(
    mut bank: BankClient<Channel>,
    payment: &Signed<Payment>,
    give_up: Instant,
    mut unknown: impl FnMut(),
) -> Option<Answer> {
    let request =
        v1::SubmitTransferRequest { payment: Some(payment_to_message(payment)), accept_when_unreachable: false };
    while Instant::now() < give_up {
        match bank.submit_transfer(request.clone()).await {
            Ok(response) => {
                if let Some(outcome) = response.into_inner().outcome {
                    return outcome_from_message(&outcome).ok();
                }
            }
            Err(status) => match refusal_of(&status) {
                Some(outcome) if outcome.reason != Reason::Unavailable => return Some(Answer::not_ordered(outcome)),
                _ => {}
            },
        }
        unknown();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}
