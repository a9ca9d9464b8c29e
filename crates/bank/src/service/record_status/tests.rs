//! The table of answers, and a property: over random histories of a bank, a central bank and their messages, no answer
//! is contradicted by the chain. The world here does not know the rules: it only has copies, blocks and losses.

use std::cell::RefCell;
use std::convert::Infallible;

use cbdc_ledger::command::{Head, Payment, PaymentKind, Signed};
use cbdc_ledger::{Amount, BankId, Signature};

use super::*;
use crate::service::unanswered::{SentCopy, Unanswered};

const ACCOUNT: AccountId = AccountId::new(BankId(1), 1);
const VALID_UNTIL: u64 = 1_000;
/// The longest validity.
const VALIDITY_MAX: u64 = 5_000;

/// One of two records with the same sequence number.
fn record(amount: u64) -> Command {
    let head = Head { flags: 0, key_version: 0, sequence: 1, valid_until: Timestamp(VALID_UNTIL) };
    let to = AccountId::new(BankId(1), 2);
    let (amount, max_fee) = (Amount::from_minor(amount), Amount::ZERO);
    let record = Payment { kind: PaymentKind::Transfer, head, from: ACCOUNT, to, amount, max_fee, reference: [0; 16] };
    Signed { record, signature: Signature([0; 64]) }.into()
}

fn id() -> RecordId {
    RecordId::of(&record(1)).unwrap()
}

/// Facts that do not change while they are read.
struct Fixed {
    unanswered: bool,
    answered_up_to: u64,
    chain: OnChain,
    first_use: FirstUse,
}

impl Knowledge for Fixed {
    type Error = Infallible;

    fn unanswered(&self, refused: &[Refused<'_>]) -> Vec<bool> {
        vec![self.unanswered; refused.len()]
    }

    fn answered_up_to(&self) -> Height {
        Height(self.answered_up_to)
    }

    fn on_chain(&self, refused: &[Refused<'_>]) -> Vec<OnChain> {
        vec![self.chain; refused.len()]
    }

    fn first_use(&self, _: &Refused<'_>) -> Result<FirstUse, Infallible> {
        Ok(self.first_use)
    }
}

const QUIET: Fixed = Fixed {
    unanswered: false,
    answered_up_to: 7,
    chain: OnChain {
        number: NumberStatus::Unused,
        key_version: Some(0),
        is_open: false,
        height: Height(7),
        time: Timestamp(VALID_UNTIL),
    },
    first_use: FirstUse::NotYetKnown,
};

fn judged<K: Knowledge<Error = Infallible>>(knowledge: &K, refused: Refused<'_>) -> Verdict {
    let before = read_before_the_chain(knowledge, &[refused]);
    let Ok(verdicts) = judge(knowledge, &[refused], &before);
    verdicts[0]
}

fn verdict(knowledge: &Fixed, by: RefusedBy, reason: Reason) -> Verdict {
    let (command, refusal) = (record(1), Outcome::refused(reason, 0, 0));
    judged(knowledge, Refused { command: &command, id: id(), refusal, by })
}

const BY_ALL: [RefusedBy; 4] = [
    RefusedBy::Bank,
    RefusedBy::CentralBank(OtherCopies::NotOrdered),
    RefusedBy::CentralBank(OtherCopies::MayBeOrdered),
    RefusedBy::CentralBankTheOrder,
];

#[test]
fn what_the_chain_has_decided_is_said_whoever_refused_the_copy_and_why() {
    let settled = Answer::ordered(Height(3), 0, Outcome::settled());
    let used = |first_use| Fixed {
        unanswered: true,
        answered_up_to: 9,
        chain: OnChain { number: NumberStatus::Used, ..QUIET.chain },
        first_use,
    };
    let unused = |time, key_version| Fixed {
        unanswered: true,
        answered_up_to: 9,
        chain: OnChain { time: Timestamp(time), key_version: Some(key_version), ..QUIET.chain },
        ..QUIET
    };
    let refused = |reason, limit, amount| Outcome::refused(reason, limit, amount);
    for by in BY_ALL {
        for reason in Reason::ALL.iter().copied().filter(|reason| *reason != Reason::Settled) {
            let said = |knowledge: &Fixed| verdict(knowledge, by, reason);
            assert_eq!(said(&used(FirstUse::This(settled))), Verdict::Ordered(settled));
            assert_eq!(said(&used(FirstUse::Another)), Verdict::Final(refused(Reason::SequenceConflict, 0, 1)));
            assert_eq!(said(&used(FirstUse::NotYetKnown)), Verdict::NotYet(refused(reason, 0, 0)));
            let stands = Verdict::FirstOutcomeStands(refused(Reason::SequenceUsed, 0, 1));
            assert_eq!(said(&used(FirstUse::KnownElsewhere)), stands);
            let expired = refused(Reason::Expired, VALID_UNTIL, VALID_UNTIL + 1);
            assert_eq!(said(&unused(VALID_UNTIL + 1, 0)), Verdict::Final(expired));
            assert_eq!(said(&unused(VALID_UNTIL, 2)), Verdict::Final(refused(Reason::KeyChanged, 2, 0)));
        }
    }
}

#[test]
fn a_refusal_stands_only_where_no_other_copy_is_unanswered() {
    let unanswered = Fixed { unanswered: true, ..QUIET };
    let behind = Fixed { answered_up_to: 8, ..QUIET };
    let of_the_record = [Reason::Malformed, Reason::BadSignature];
    for by in BY_ALL {
        let is_record = !matches!(by, RefusedBy::CentralBankTheOrder);
        let is_chain = matches!(by, RefusedBy::CentralBank(_));
        for reason in Reason::ALL.iter().copied().filter(|reason| *reason != Reason::Settled) {
            let refusal = Outcome::refused(reason, 0, 0);
            let [quiet, doubtful, behind] = [&QUIET, &unanswered, &behind].map(|facts| verdict(facts, by, reason));
            let expected = match reason {
                reason if is_record && of_the_record.contains(&reason) => [Verdict::Final(refusal); 3],
                Reason::Expired | Reason::SequenceConflict if is_chain => [Verdict::Final(refusal); 3],
                Reason::SequenceUsed if is_chain => [Verdict::NotYet(refusal); 3],
                Reason::Unavailable | Reason::LostBlocks => [Verdict::Unknown(refusal); 3],
                _ => [Verdict::NotFinal(refusal), Verdict::Unknown(refusal), Verdict::NotYet(refusal)],
            };
            assert_eq!([quiet, doubtful, behind], expected, "{by:?} {reason}");
        }
    }
}

#[test]
fn a_central_bank_that_does_not_know_an_account_of_this_replica_has_lost_blocks() {
    let open = Fixed { chain: OnChain { is_open: true, ..QUIET.chain }, ..QUIET };
    let refusal = Outcome::refused(Reason::UnknownAccount, 0, 0);
    let by = RefusedBy::CentralBank(OtherCopies::NotOrdered);
    assert_eq!(verdict(&open, by, Reason::UnknownAccount), Verdict::Unknown(refusal));
    assert_eq!(verdict(&QUIET, by, Reason::UnknownAccount), Verdict::NotFinal(refusal));
    assert_eq!(verdict(&open, RefusedBy::Bank, Reason::UnknownAccount), Verdict::NotFinal(refusal));
}

#[test]
fn of_a_wallet_that_this_replica_does_not_have_nothing_is_final() {
    let (number, key_version) = (NumberStatus::NotKnown, None);
    let chain = OnChain { number, key_version, ..QUIET.chain };
    let refusal = Outcome::refused(Reason::NotLinked, 0, 0);
    assert_eq!(verdict(&Fixed { chain, ..QUIET }, RefusedBy::Bank, Reason::NotLinked), Verdict::NotFinal(refusal));
    // A copy may have been ordered before it expired, by which time its line may be forgotten.
    let chain = OnChain { time: Timestamp(VALID_UNTIL + 1), ..chain };
    assert_eq!(verdict(&Fixed { chain, ..QUIET }, RefusedBy::Bank, Reason::NotLinked), Verdict::Unknown(refusal));
    assert!(!chain.is_decided(&id()) && chain.is_over(&id()));
}

/// A small generator, so that a seed repeats its history (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }
}

/// A copy of record 0 or 1, in flight to the central bank or inside it.
#[derive(Clone, Copy)]
struct Sending {
    record: usize,
    /// The event at which it was sent.
    sent_at: u64,
    /// The call of the bank that waits for its answer, if its stream is still open.
    call: Option<u64>,
}

/// A call of the bank that waits for the central bank's answer.
struct Call {
    number: u64,
    record: usize,
    sent: Option<SentCopy<'static>>,
    resent: bool,
}

/// The part of a block that concerns the two records.
#[derive(Clone, Copy)]
struct Seen {
    time: u64,
    key_version: u32,
    /// The record that used the number, and its answer.
    used: Option<(usize, Answer)>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Claim {
    NeverSettles,
    NoEarlierCopySettles,
}

struct World {
    dice: Dice,
    /// The number of events so far: the order of sendings and answers.
    now: u64,
    /// The state of the chain after each block, from genesis on.
    chain: Vec<Seen>,
    on_the_way: Vec<Sending>,
    /// Admitted by the central bank, and not in a block yet.
    admitted: Vec<Sending>,
    answers: Vec<(u64, Answer)>,
    replica: usize,
    history: usize,
    answered_up_to: u64,
    unanswered: &'static Unanswered,
    calls: Vec<Call>,
    calls_so_far: u64,
    /// Record 0 or 1 in the durable outbox.
    outbox: Option<usize>,
    claims: Vec<(usize, Claim, u64)>,
    /// The kinds of steps that this history has, so that rare combinations are not drowned out by frequent ones.
    has_step: [bool; STEPS],
}

/// Kinds of steps of the bank and the world.
const STEPS: usize = 15;

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice(seed);
        World {
            has_step: std::array::from_fn(|step| step >= 10 || !dice.one_in(3)),
            dice,
            now: 0,
            chain: vec![Seen { time: 0, key_version: 0, used: None }],
            on_the_way: Vec::new(),
            admitted: Vec::new(),
            answers: Vec::new(),
            replica: 0,
            history: 0,
            answered_up_to: 0,
            unanswered: Box::leak(Box::new(Unanswered::new(BankId(1), Timestamp(0)))),
            calls: Vec::new(),
            calls_so_far: 0,
            outbox: None,
            claims: Vec::new(),
        }
    }

    fn tip(&self) -> Seen {
        *self.chain.last().unwrap()
    }

    fn on_chain(&self) -> OnChain {
        let seen = self.chain[self.replica];
        let number = if seen.used.is_some() { NumberStatus::Used } else { NumberStatus::Unused };
        let (height, time) = (Height(self.replica as u64), Timestamp(seen.time));
        OnChain { number, key_version: Some(seen.key_version), is_open: true, height, time }
    }

    /// The central bank takes a copy: it answers, or admits it.
    fn intake(&mut self) {
        if self.on_the_way.is_empty() {
            return;
        }
        let at = self.dice.below(self.on_the_way.len());
        let copy = self.on_the_way.swap_remove(at);
        let (tip, height) = (self.tip(), self.chain.len() as u64 - 1);
        let refused = |reason, limit, amount| Some(Answer::not_ordered(Outcome::refused(reason, limit, amount)));
        let answer = match tip.used {
            Some((record, answer)) if record == copy.record && !self.dice.one_in(3) => Some(answer),
            Some((record, _)) if record != copy.record && !self.dice.one_in(3) => {
                refused(Reason::SequenceConflict, 0, 1)
            }
            Some(_) => refused(Reason::SequenceUsed, 0, 1),
            None if VALID_UNTIL < tip.time => refused(Reason::Expired, VALID_UNTIL, tip.time),
            None if tip.key_version > 0 => refused(Reason::KeyChanged, u64::from(tip.key_version), 0),
            None if self.dice.one_in(3) => {
                let reasons = [Reason::Overloaded, Reason::SequenceOutOfWindow, Reason::NotLinked, Reason::Unavailable];
                refused(self.dice.pick(&reasons), 0, height)
            }
            None => None,
        };
        match answer {
            Some(answer) => self.answers.extend(copy.call.map(|call| (call, answer))),
            None => self.admitted.push(copy),
        }
    }

    /// Makes the next block, with some of the admitted copies, in order.
    fn cut(&mut self) {
        let mut seen = self.tip();
        let height = Height(self.chain.len() as u64);
        seen.time += self.dice.pick(&[0, 1, 1, 5, 5, 60]);
        if self.dice.one_in(60) {
            seen.key_version += 1;
        }
        let count = self.dice.below(self.admitted.len() + 1);
        for (index, copy) in self.admitted.drain(..count).enumerate() {
            let outcome = match seen.used {
                Some(_) => Outcome::refused(Reason::SequenceUsed, 0, 1),
                None if seen.key_version > 0 => Outcome::refused(Reason::KeyChanged, 1, 0),
                None if VALID_UNTIL < seen.time => Outcome::refused(Reason::Expired, VALID_UNTIL, seen.time),
                None if self.dice.one_in(5) => Outcome::refused(Reason::InsufficientFunds, 0, 1),
                None => Outcome::settled(),
            };
            let answer = Answer::ordered(height, index as u32, outcome);
            if answer.has_used_its_number() {
                seen.used = Some((copy.record, answer));
            }
            if outcome.is_settled() {
                for (record, claim, said_at) in &self.claims {
                    let contradicts = match claim {
                        Claim::NeverSettles => true,
                        Claim::NoEarlierCopySettles => copy.sent_at < *said_at,
                    };
                    assert!(*record != copy.record || !contradicts, "settled after {claim:?}");
                }
            }
            self.answers.extend(copy.call.map(|call| (call, answer)));
        }
        self.chain.push(seen);
    }

    /// The replica follows a block, then the history does; records that the block decides leave the outbox.
    fn follow(&mut self) {
        if self.history < self.replica {
            self.history += 1;
            let seen = self.chain[self.history];
            if seen.used.is_some() || VALID_UNTIL < seen.time {
                self.outbox = None;
            }
        } else if self.replica + 1 < self.chain.len() {
            self.replica += 1;
        }
    }

    /// The newest answer of a call, if there is one: the central bank's chain may then be ahead of the replica.
    fn hear(&mut self) -> Option<(Call, Answer)> {
        let at = self.answers.len().checked_sub(1)?;
        let (number, answer) = self.answers.swap_remove(self.dice.below(at + 1));
        let at = self.calls.iter().position(|call| call.number == number)?;
        self.answered_up_to = self.answered_up_to.max(answer.height.0);
        Some((self.calls.swap_remove(at), answer))
    }

    /// Events besides the bank's own work, often none.
    fn meanwhile(&mut self) {
        let steps = self.dice.pick(&[0, 0, 1, 6]);
        for _ in 0..steps {
            match self.dice.below(4) {
                0 => self.intake(),
                1 => self.cut(),
                _ => self.follow(),
            }
        }
    }

    fn send(&mut self, record: usize, call: Option<u64>) {
        self.now += 1;
        self.on_the_way.push(Sending { record, sent_at: self.now, call });
    }

    fn call(&mut self, record: usize) {
        let seen = self.chain[self.replica];
        let times = (Timestamp(seen.time), Timestamp(seen.time + VALIDITY_MAX));
        let chain = self.on_chain();
        let sent = Some(self.unanswered.sent(id(), times, |id| chain.is_over(id)));
        self.calls_so_far += 1;
        let number = self.calls_so_far;
        self.calls.push(Call { number, record, sent, resent: false });
        self.send(record, Some(number));
    }

    /// The stream breaks: its copies in flight are not answered, and are sent again.
    fn break_stream(&mut self) {
        self.answers.clear();
        for copy in self.on_the_way.iter_mut().chain(&mut self.admitted) {
            copy.call = None;
        }
        let again: Vec<_> = self
            .calls
            .iter_mut()
            .map(|call| {
                call.resent = true;
                (call.record, call.number)
            })
            .collect();
        again.into_iter().for_each(|(record, number)| self.send(record, Some(number)));
    }

    /// The bank restarts, with its outbox unchanged.
    fn restart(&mut self) {
        self.break_stream();
        self.calls.clear();
        self.on_the_way.iter_mut().for_each(|copy| copy.call = None);
        self.answered_up_to = 0;
        let all_until = Timestamp(self.chain[self.replica].time + VALIDITY_MAX);
        self.unanswered = Box::leak(Box::new(Unanswered::new(BankId(1), all_until)));
    }
}

/// The bank's facts about a world that changes while it is read.
struct Reading(RefCell<World>);

impl Knowledge for Reading {
    type Error = Infallible;

    fn unanswered(&self, refused: &[Refused<'_>]) -> Vec<bool> {
        let mut world = self.0.borrow_mut();
        let by_resending = refused[0].by == RefusedBy::CentralBank(OtherCopies::MayBeOrdered);
        let time = Timestamp(world.chain[world.replica].time);
        world.meanwhile();
        let is_noted = world.unanswered.holds(&refused[0].id, time);
        let waits = world.outbox.is_some();
        world.meanwhile();
        vec![by_resending || is_noted || waits]
    }

    fn answered_up_to(&self) -> Height {
        let mut world = self.0.borrow_mut();
        world.meanwhile();
        Height(world.answered_up_to)
    }

    fn on_chain(&self, _: &[Refused<'_>]) -> Vec<OnChain> {
        let mut world = self.0.borrow_mut();
        world.meanwhile();
        vec![world.on_chain()]
    }

    fn first_use(&self, refused: &Refused<'_>) -> Result<FirstUse, Infallible> {
        let mut world = self.0.borrow_mut();
        world.meanwhile();
        Ok(match world.chain[world.history].used {
            Some((used_by, answer)) if record(used_by as u64) == *refused.command => FirstUse::This(answer),
            Some(_) => FirstUse::Another,
            None => FirstUse::NotYetKnown,
        })
    }
}

impl Reading {
    /// The bank answers a refused copy, and its answer is recorded.
    fn refuse(&self, number: usize, refusal: Outcome, by: RefusedBy) {
        let command = record(number as u64);
        let verdict = judged(self, Refused { command: &command, id: id(), refusal, by });
        let mut world = self.0.borrow_mut();
        world.now += 1;
        let used = world.tip().used;
        let said_at = world.now;
        match verdict {
            Verdict::Ordered(answer) => assert_eq!(Some((number, answer)), used),
            Verdict::Final(_) | Verdict::NotFinal(_) => {
                let is_settled = used.is_some_and(|(by, answer)| by == number && answer.outcome.is_settled());
                assert!(!is_settled, "{verdict:?} of a settled record");
                let is_final = matches!(verdict, Verdict::Final(_));
                let claim = if is_final { Claim::NeverSettles } else { Claim::NoEarlierCopySettles };
                world.claims.push((number, claim, said_at));
            }
            Verdict::FirstOutcomeStands(_) | Verdict::Unknown(_) | Verdict::NotYet(_) => {}
        }
    }

    fn step(&self) {
        let mut world = self.0.borrow_mut();
        let record = usize::from(world.dice.one_in(4));
        let step = world.dice.below(STEPS);
        match step {
            step if !world.has_step[step] => world.follow(),
            0 | 1 => world.call(record),
            2 => {
                // The bank refuses a copy itself.
                let reasons = [
                    Reason::Overloaded,
                    Reason::NotAccepted,
                    Reason::Expired,
                    Reason::SequenceConflict,
                    Reason::SequenceOutOfWindow,
                    Reason::NotLinked,
                    Reason::Unavailable,
                ];
                let reason = world.dice.pick(&reasons);
                let by = world.dice.pick(&[RefusedBy::Bank, RefusedBy::CentralBankTheOrder]);
                let order = [Reason::BadSignature, Reason::Expired, Reason::SequenceUsed];
                let reason = if by == RefusedBy::Bank { reason } else { world.dice.pick(&order) };
                drop(world);
                self.refuse(record, Outcome::refused(reason, 0, 0), by);
            }
            3 | 4 => {
                let Some((mut call, answer)) = world.hear() else { return };
                let sent = call.sent.take().unwrap();
                if answer.has_used_its_number() {
                    sent.answered();
                    return;
                }
                if !call.resent {
                    sent.answered();
                }
                let other = if call.resent { OtherCopies::MayBeOrdered } else { OtherCopies::NotOrdered };
                drop(world);
                self.refuse(call.record, answer.outcome, RefusedBy::CentralBank(other));
            }
            // A caller gives up, or the bank takes the payment into its outbox instead.
            5 if !world.calls.is_empty() => {
                let count = world.calls.len();
                let at = world.dice.below(count);
                let call = world.calls.swap_remove(at);
                if world.outbox.is_none() && world.on_chain().number == NumberStatus::Unused && world.dice.one_in(2) {
                    world.outbox = Some(call.record);
                }
            }
            6 => {
                if let Some(record) = world.outbox {
                    world.send(record, None);
                }
            }
            7 if world.dice.one_in(3) => world.break_stream(),
            8 if world.dice.one_in(15) => world.restart(),
            // The central bank is known to be unreachable: the payment is accepted, and no copy was sent.
            9 if world.outbox.is_none() && world.on_chain().number == NumberStatus::Unused => {
                world.outbox = Some(record);
            }
            10 | 11 => world.cut(),
            12 | 13 => world.intake(),
            _ => world.follow(),
        }
    }
}

#[test]
fn no_answer_is_contradicted_by_the_chain() {
    let (mut never, mut not_yet, mut contested) = (0, 0, 0);
    for seed in 0..20_000 {
        let run = || {
            let reading = Reading(RefCell::new(World::new(seed)));
            (0..120).for_each(|_| reading.step());
            // Whoever has the records sends them all again, and everything arrives.
            let mut world = reading.0.into_inner();
            (0..6).for_each(|at| world.send(at % 2, None));
            for _ in 0..60 {
                world.intake();
                world.cut();
            }
            let of = |claim| world.claims.iter().filter(|(_, found, _)| *found == claim).count();
            let settled = world.tip().used.is_some_and(|(_, answer)| answer.outcome.is_settled());
            (of(Claim::NeverSettles), of(Claim::NoEarlierCopySettles), settled)
        };
        let (final_, open, settled) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
            .unwrap_or_else(|_| panic!("contradicted in the history of seed {seed}"));
        never += final_;
        not_yet += open;
        contested += usize::from(settled && final_ + open > 0);
    }
    // Otherwise the test would be vacuous.
    assert!(never > 10_000 && not_yet > 3_000 && contested > 1_000, "{never} {not_yet} {contested}");
}
