//! Histories that break each property once.

use cbdc_client::{AccountId, Amount, BankId, BlockPosition, Height, Reason};
use cbdc_ledger::command::Signer;

use super::*;

fn account(serial: u32) -> AccountId {
    AccountId { bank: BankId(1), serial }
}

fn ms(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

fn at(height: u64, index: u32) -> BlockPosition {
    BlockPosition { height: Height(height), index }
}

fn settled(height: u64, index: u32) -> Answer {
    Answer::Settled(at(height, index))
}

fn hash(number: u8) -> Hash {
    [number; 32]
}

/// Payment `number`, of a payer of its own, handed in and answered at these times.
fn payment(number: u8, handed_in: u64, answered: u64, answer: Answer) -> Payment {
    Payment {
        record: hash(number),
        payer: account(u32::from(number)),
        payee: account(99),
        amount: Amount::from_minor(500),
        sequence: 7,
        handed_in: ms(handed_in),
        answers: vec![Answered { asked: ms(handed_in), answered: ms(answered), answer }],
        is_left: false,
    }
}

fn ordered(number: u8, reason: Reason) -> Ordered {
    Ordered { record: hash(number), signer: Signer::Holder(account(u32::from(number))), sequence: 7, reason }
}

fn read(asked: u64, height: u64, minor: u64) -> Read {
    Read {
        client: "wallet 1".to_owned(),
        node: "bank-1".to_owned(),
        subject: Subject::Balance(account(1)),
        asked: ms(asked),
        answered: ms(asked + 1),
        height: Height(height),
        minor,
    }
}

/// A run without a fault: payment 1 and 2 settle in block 1, 3 is refused in block 2, 4 settles there.
fn sound() -> (History, Ending) {
    let refused = Answer::RefusedAt(at(2, 0), Reason::InsufficientFunds);
    let payments = vec![
        payment(1, 10, 20, settled(1, 0)),
        payment(2, 11, 21, settled(1, 1)),
        payment(3, 30, 40, refused),
        payment(4, 31, 41, settled(2, 1)),
        payment(5, 31, 41, Answer::RefusedForGood(Reason::Expired)),
        payment(6, 31, 41, Answer::Unknown("no answer".to_owned())),
    ];
    let history = History { payments, reads: vec![read(25, 1, 100), read(45, 2, 90)] };
    let chain = vec![
        vec![ordered(1, Reason::Settled), ordered(2, Reason::Settled)],
        // The record of payment 1 again, which was answered with its first outcome, and a payment without an answer.
        vec![
            ordered(3, Reason::InsufficientFunds),
            ordered(4, Reason::Settled),
            ordered(1, Reason::SequenceUsed),
            ordered(6, Reason::Settled),
        ],
    ];
    let balance = Subject::Balance(account(1));
    let node = |node: &str, blocks: &[u8]| NodeBlocks {
        node: node.to_owned(),
        blocks: (1..).map(Height).zip(blocks.iter().copied().map(hash)).collect(),
    };
    let ending = Ending {
        chain,
        nodes: vec![node("central-bank-1", &[101, 102]), node("central-bank-2", &[101])],
        replay: [((Height(1), balance), 100), ((Height(2), balance), 90)].into(),
        findings: Vec::new(),
        above_limits: Vec::new(),
    };
    (history, ending)
}

/// The single violation of a run that was made unsound.
fn violation(make_unsound: impl FnOnce(&mut History, &mut Ending)) -> (Property, String) {
    let (mut history, mut ending) = sound();
    make_unsound(&mut history, &mut ending);
    let found = check(&history, &ending);
    let [Violation { property, sentence }] = found.as_slice() else { panic!("one violation, found {found:?}") };
    (*property, sentence.clone())
}

#[test]
fn a_sound_history_has_no_violation() {
    let (history, ending) = sound();
    assert_eq!(check(&history, &ending), []);
    let counts = history.counts();
    assert_eq!((counts.payments, counts.settled, counts.refused, counts.unknown), (6, 3, 2, 1));
    assert_eq!(history.settled_ns(), [20_000_000, 21_000_000, 41_000_000]);
}

#[test]
fn a_settled_payment_that_the_chain_does_not_have_is_found() {
    let (property, sentence) = violation(|history, _| {
        history.payments.push(payment(9, 60, 70, settled(3, 0)));
    });
    assert_eq!(property, Property::AnswersStand);
    assert!(sentence.contains("payment 6") && sentence.contains("settled at 3:0 at 0.070 s"), "{sentence}");
    assert!(sentence.contains("the chain, of 2 blocks, does not have it"), "{sentence}");
}

#[test]
fn an_accepted_payment_that_the_chain_does_not_have_is_found() {
    let mut left = payment(9, 60, 70, Answer::Accepted);
    left.is_left = true;
    let (property, sentence) = violation(|history, _| history.payments.push(left));
    assert_eq!(property, Property::AnswersStand);
    assert!(sentence.contains("was accepted and left to the bank"), "{sentence}");
}

#[test]
fn a_settled_payment_that_stands_elsewhere_is_found() {
    let (property, sentence) = violation(|history, _| history.payments[1].answers[0].answer = settled(1, 0));
    assert_eq!(property, Property::AnswersStand);
    assert!(sentence.contains("the chain has it at 1:1"), "{sentence}");
}

#[test]
fn an_answer_that_the_chain_contradicts_is_found() {
    let (property, sentence) = violation(|_, ending| ending.chain[1][1].reason = Reason::HoldingLimit);
    assert_eq!(property, Property::AnswersStand);
    assert!(sentence.contains("HOLDING_LIMIT"), "{sentence}");
    let (property, _) = violation(|_, ending| ending.chain[1][0].reason = Reason::Settled);
    assert_eq!(property, Property::AnswersStand);
}

#[test]
fn a_later_answer_that_differs_is_found_too() {
    let (property, sentence) = violation(|history, _| {
        let again = Answered { asked: ms(50), answered: ms(51), answer: settled(2, 2) };
        history.payments[0].answers.push(again);
    });
    assert_eq!(property, Property::AnswersStand);
    assert!(sentence.contains("settled at 2:2"), "{sentence}");
}

#[test]
fn a_record_that_settles_twice_is_found() {
    let (mut history, mut ending) = sound();
    history.payments.pop();
    ending.chain[1][2].reason = Reason::Settled;
    let found = check(&history, &ending);
    // The record, and its sequence number.
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|violation| violation.property == Property::SettlesOnce), "{found:?}");
    assert!(found[0].sentence.contains("1:0") && found[0].sentence.contains("2:2"), "{found:?}");
}

#[test]
fn two_records_with_one_sequence_number_are_found() {
    let (property, sentence) = violation(|_, ending| {
        let other = Ordered { record: hash(77), ..ordered(2, Reason::InsufficientFunds) };
        ending.chain[1].push(other);
    });
    assert_eq!(property, Property::SettlesOnce);
    assert!(sentence.contains("sequence number 7") && sentence.contains("1:1 and at 2:4"), "{sentence}");
}

#[test]
fn a_payment_that_was_refused_for_good_and_settles_is_found() {
    let (property, sentence) = violation(|_, ending| ending.chain[1].push(ordered(5, Reason::Settled)));
    assert_eq!(property, Property::RefusalsStand);
    assert!(sentence.contains("payment 4") && sentence.contains("settled at 2:4"), "{sentence}");
}

#[test]
fn a_payment_that_stands_before_one_answered_earlier_is_found() {
    // Payment 6 was never answered, and stands before payment 4, which was answered before it was handed in.
    let (property, sentence) = violation(|history, ending| {
        history.payments[5].handed_in = ms(50);
        let unanswered = ending.chain[1].remove(3);
        ending.chain[0].push(unanswered);
    });
    assert_eq!(property, Property::RealTimeOrder);
    assert!(sentence.contains("payment 3") && sentence.contains("payment 5"), "{sentence}");
    assert!(sentence.contains("stands at 2:1") && sentence.contains("at 1:2"), "{sentence}");
}

#[test]
fn payments_in_flight_together_may_stand_in_any_order() {
    let (mut history, ending) = sound();
    history.payments[1].handed_in = ms(0);
    history.payments[0].handed_in = ms(20);
    history.payments[1].answers[0].answered = ms(20);
    assert_eq!(check(&history, &ending), []);
}

#[test]
fn a_read_that_is_not_the_replay_is_found() {
    let (property, sentence) = violation(|history, _| history.reads[1].minor = 91);
    assert_eq!(property, Property::ReadsAreReplay);
    assert!(sentence.contains("91 at height 2") && sentence.contains("the replay has 90"), "{sentence}");
    let (property, sentence) = violation(|history, _| history.reads.push(read(46, 3, 90)));
    assert_eq!(property, Property::ReadsAreReplay);
    assert!(sentence.contains("the chain has 2 blocks"), "{sentence}");
}

#[test]
fn reads_that_go_back_at_one_node_are_found() {
    let (property, sentence) = violation(|history, _| history.reads.push(read(60, 1, 100)));
    assert_eq!(property, Property::ReadsAreReplay);
    assert!(sentence.contains("at height 2, at 0.046 s") && sentence.contains("0.060 s"), "{sentence}");
    // At another node they may be older, and so may those that were asked at the same time.
    let (mut history, ending) = sound();
    history.reads.push(Read { node: "bank-2".to_owned(), ..read(60, 1, 100) });
    history.reads.push(read(45, 1, 100));
    assert_eq!(check(&history, &ending), []);
}

#[test]
fn nodes_with_different_blocks_are_found() {
    let (property, sentence) = violation(|_, ending| ending.nodes[1].blocks.extend([(Height(2), hash(66))]));
    assert_eq!(property, Property::OneChain);
    assert!(sentence.contains("central-bank-1") && sentence.contains("height 2"), "{sentence}");
}

#[test]
fn findings_of_the_audit_are_violations() {
    let (property, _) = violation(|_, ending| ending.findings.push("block 2: I3 is broken".to_owned()));
    assert_eq!(property, Property::Audit);
}

#[test]
fn the_sentences_of_one_property_are_bounded() {
    let (mut history, mut ending) = sound();
    for number in 10..90 {
        history.payments.push(payment(number, 60, 70, settled(3, 0)));
    }
    ending.findings.push("a finding".to_owned());
    let found = check(&history, &ending);
    assert_eq!(found.len(), 21, "{found:?}");
    assert_eq!(found.last().map(|violation| violation.property), Some(Property::Audit));
}
