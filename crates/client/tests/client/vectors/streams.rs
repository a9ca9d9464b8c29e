//! Answers to batches of a stream: 40 bytes each, and runs.

use cbdc_ledger::encoding::hex;
use cbdc_ledger::outcome::Charges;
use cbdc_ledger::{Amount, Height, Outcome, Reason};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, pack};
use cbdc_proto::v1;
use serde_json::{Value, json};

use super::number;

fn fields(answer: &Answer) -> Value {
    json!({
        "height": number(answer.height.0),
        "index": answer.index,
        "state": answer.state as u16,
        "reason_code": answer.outcome.reason as u16,
        "reason": answer.outcome.reason.to_string(),
        "fee": number(answer.outcome.charges().fee.minor()),
        "limit": number(answer.outcome.limit),
        "amount": number(answer.outcome.amount),
    })
}

pub fn vectors() -> Value {
    let charges = Charges {
        fee: Amount::from_minor(0x0102_0304_0506),
        payee_fee: Amount::from_minor(3),
        reverse_waterfall: Amount::from_minor(77),
    };
    let answers = [
        Answer::ordered(Height(10), 0, Outcome::settled()),
        Answer::ordered(Height(u64::MAX), u32::MAX, Outcome::paid(charges)),
        Answer::ordered(Height(11), 5, Outcome::refused(Reason::HoldingLimit, 300_000, 300_001)),
        Answer::not_ordered(Outcome::refused(Reason::SequenceOutOfWindow, 1, 65)),
        Answer::accepted(),
        Answer::unknown(),
    ];
    let each = answers.map(|answer| {
        let mut vector = fields(&answer);
        vector["bytes"] = json!(hex(&pack(&[answer])));
        vector
    });
    let run = v1::SettledRun { height: 12, first_index: 100, count: 3 };
    let message = v1::OutcomeBatch { batch_id: 7, outcomes: Vec::new().into(), settled_run: Some(run) };
    let unpacked = Answers::from_message(message).unwrap().unpacked().unwrap();
    let reasons = (0..=u16::MAX).filter_map(Reason::from_code);
    json!({
        "reasons": reasons.map(|reason| json!({ "code": reason as u16, "name": reason.name() })).collect::<Vec<_>>(),
        "answers": each,
        "packed": hex(&pack(&answers)),
        "settled_run": { "height": number(12), "first_index": 100, "count": 3,
            "answers": unpacked.iter().map(fields).collect::<Vec<_>>() },
        "refused": refused(),
    })
}

fn refused() -> Vec<Value> {
    let good = pack(&[Answer::unknown()]);
    let run = |height, first_index, count| v1::SettledRun { height, first_index, count };
    let cases = [
        ("the bytes are no multiple of 40", good[..39].to_vec(), None),
        ("outcomes and a run", good.to_vec(), Some(run(1, 0, 1))),
        ("a run at height 0", vec![], Some(run(0, 0, 1))),
        ("a run of nothing", vec![], Some(run(1, 0, 0))),
        ("a run longer than a batch", vec![], Some(run(1, 0, 8193))),
        ("a run beyond the last index", vec![], Some(run(1, u32::MAX, 1))),
    ];
    cases
        .map(|(why, outcomes, settled_run)| {
            let message = v1::OutcomeBatch { batch_id: 1, outcomes: outcomes.clone().into(), settled_run };
            assert!(Answers::from_message(message).is_err(), "{why}");
            let run = settled_run
                .map(|run| json!({ "height": number(run.height), "first_index": run.first_index, "count": run.count }));
            json!({ "why": why, "outcomes": hex(&outcomes), "settled_run": run })
        })
        .to_vec()
}
