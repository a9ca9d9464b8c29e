//! The same load with one call a payment, as a wallet's own app would make it.

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

use super::load::{LaneOutcome, LaneRunner};
use crate::measure::latency::LatencyRecorder;
use crate::measure::timeline::{self, Timeline};

/// Makes one call for each payment when it is due, with at most `in_flight_max` calls open.
pub async fn run(runner: LaneRunner, channel: Channel) -> LaneOutcome {
    let LaneRunner { lane, load, connection: _, start, live, patience } = runner;
    let warm_up_ns = (load.warm_up_s * 1e9) as u64;
    let mut outcome = LaneOutcome {
        due_ns: lane.due_ns.clone(),
        answers: vec![None; lane.len()],
        latency: LatencyRecorder::new(warm_up_ns),
        timeline: Timeline::new(load.total_s()),
        lateness: LatencyRecorder::new(warm_up_ns),
        own_lateness: LatencyRecorder::new(warm_up_ns),
        breaks: 0,
    };
    let elapsed_ns = move || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let (answered, mut answers) = mpsc::unbounded_channel::<(usize, u64, Option<Answer>)>();
    let room = Arc::new(Semaphore::new(load.in_flight_max as usize));
    let offer = {
        let lane = lane.clone();
        async move {
            let (mut lateness, mut no_room_until_ns) = (Vec::with_capacity(lane.len()), 0);
            for (place, due) in lane.due_ns.iter().enumerate() {
                tokio::time::sleep_until((start + Duration::from_nanos(*due)).into()).await;
                let (woke_ns, has_room) = (elapsed_ns(), room.available_permits() > 0);
                let own_late_ns = woke_ns.saturating_sub((*due).max(no_room_until_ns));
                let Ok(permit) = room.clone().acquire_owned().await else { break };
                lateness.push((*due, elapsed_ns(), own_late_ns));
                if !has_room {
                    no_room_until_ns = elapsed_ns();
                }
                let Ok(Command::Payment(payment)) = Command::from_bytes(&lane.slice(place, place + 1)) else {
                    continue;
                };
                let (bank, answered) = (BankClient::new(channel.clone()), answered.clone());
                let give_up = start + Duration::from_nanos(*due) + patience;
                tokio::spawn(async move {
                    let answer = until_final(bank, &payment, give_up).await;
                    answered.send((place, elapsed_ns(), answer)).ok();
                    drop(permit);
                });
            }
            lateness
        }
    };
    let offer = tokio::spawn(offer);
    while let Some((place, now_ns, answer)) = answers.recv().await {
        let due = lane.due_ns[place];
        outcome.timeline.offered(due);
        outcome.answers[place] = answer;
        let became = match answer {
            Some(answer) if answer.outcome.is_settled() => {
                live.settled.fetch_add(1, Ordering::Relaxed);
                outcome.latency.record(due, now_ns);
                timeline::Answer::Settled
            }
            Some(answer) => {
                live.refused.fetch_add(1, Ordering::Relaxed);
                timeline::Answer::Refused(answer.outcome.reason)
            }
            None => timeline::Answer::Failed,
        };
        outcome.timeline.answered(due, now_ns, became);
    }
    for (due, sent, own_late_ns) in offer.await.unwrap_or_default() {
        outcome.lateness.record(due, sent);
        outcome.own_lateness.record(due, due + own_late_ns);
    }
    outcome
}

/// Sends the same payment until its answer is final.
async fn until_final(mut bank: BankClient<Channel>, payment: &Signed<Payment>, give_up: Instant) -> Option<Answer> {
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
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}
