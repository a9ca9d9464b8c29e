//! The bank's facts about records that holders signed, and the answers to those that were refused
//! ([`super::record_status`] decides).
//!
//! The replica's ledger says whether a sequence number is used, the history by which record. The ledger has a block a
//! moment before the history does.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_ledger::command::{Domain, Payment, Record, Signer, signing_prefix};
use cbdc_ledger::outcome::{OtherCopies, Stage};
use cbdc_ledger::sequence::SequenceStatus;
use cbdc_ledger::{Command, Height, Ledger, Outcome, Reason, Signed, Timestamp};
use cbdc_node::ArchiveError;
use cbdc_node::views::probable_time;
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{self, Answer, PACKED_BYTES, State, pack, unpack};
use cbdc_proto::status::{of_final_refusal, of_refusal, of_refusal_until};
use tonic::Status;

use super::context::{BankContext, look_up, status_unknown_beside};
use super::record_status::{
    FirstUse, Knowledge, OnChain, RecordId, Refused, RefusedBy, Verdict, judge, read_before_the_chain,
};
use super::unanswered::{SentCopy, Unanswered};
use crate::history::{History, PastCommand, RowsLeft, Sought, payment_of};
use crate::relay::Relayed;

/// The time in which a record is judged whose deciding block this replica or its history lacks, and the pause between
/// attempts. After it the status is unknown.
const JUDGED_WITHIN: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// Gathers the facts about records.
#[derive(Clone)]
pub struct Records {
    pub context: BankContext,
    pub history: Arc<History>,
    pub unanswered: Arc<Unanswered>,
}

impl Records {
    /// Records that a copy of a record is sent. `None` for a command that a member signs.
    pub fn sent(&self, command: &Command) -> Option<SentCopy<'_>> {
        let id = RecordId::of(command)?;
        Some(self.context.ledger.read(|ledger| {
            let times = (ledger.tip().time, latest_valid_until(ledger));
            self.unanswered.sent(id, times, |id| OnChain::of(ledger, id).is_over(id))
        }))
    }

    /// Records that a copy was sent and that nobody waits for its answer any more.
    fn gave_up(&self, command: &Command) {
        // Dropped without an answer.
        let _unanswered = self.sent(command);
    }

    /// Records that a whole batch of payments is sent; those for which it is [told](SentBatch::answered) no answer stay
    /// unanswered.
    pub fn sent_batch(&self, commands: Bytes) -> SentBatch {
        let number = self.unanswered.batch_begins(commands.clone());
        SentBatch { records: self.clone(), number, commands }
    }

    /// The answer to a record that was refused before ordering: what the chain says, the refusal if that may stand, or
    /// that the status is unknown.
    ///
    /// # Errors
    /// Everything but an outcome in the chain.
    pub async fn answer_refusal(&self, command: &Command, refusal: Outcome, by: RefusedBy) -> Result<Answer, Status> {
        let Some(id) = RecordId::of(command) else { return Err(of_refusal(&refusal)) };
        let mut verdict = Verdict::NotYet(refusal);
        let deadline = tokio::time::Instant::now() + JUDGED_WITHIN;
        while matches!(verdict, Verdict::NotYet(_)) && tokio::time::Instant::now() < deadline {
            let before = read_before_the_chain(&self.looking(1, None), &[Refused { command, id, refusal, by }]);
            // One that lags is looked at as it is.
            let _ = tokio::time::timeout_at(deadline, self.context.replica_at(before.answered_up_to)).await;
            let (records, command) = (self.clone(), command.clone());
            let looked = look_up(move || {
                judge(&records.looking(1, None), &[Refused { command: &command, id, refusal, by }], &before)
            });
            // A history that cannot be read does not say that the record was refused.
            verdict = match looked.await {
                Ok(verdicts) => verdicts[0],
                Err(_) => Verdict::Unknown(refusal),
            };
            if matches!(verdict, Verdict::NotYet(_)) {
                tokio::time::sleep(PAUSE).await;
            }
        }
        match verdict {
            Verdict::Ordered(answer) => Ok(answer),
            Verdict::Final(refusal) => Err(of_final_refusal(&refusal)),
            Verdict::FirstOutcomeStands(refusal) => Err(of_refusal(&refusal)),
            Verdict::NotFinal(refusal) => Err(of_refusal_until(&refusal, id.valid_until)),
            Verdict::Unknown(refusal) | Verdict::NotYet(refusal) => Err(status_unknown_beside(refusal.reason)),
        }
    }

    /// The answer to a payment that was ordered before, from this bank's history; `None` for a sound one that was not.
    ///
    /// # Errors
    /// The payment is not sound, or its sequence number was used by another or unknown command.
    /// [`Records::answer_refusal`] judges the refusal.
    pub async fn answer_to(&self, payment: Signed<Payment>) -> Result<Option<Answer>, Outcome> {
        let records = self.clone();
        let looked = look_up(move || match sound(&records.context, &payment) {
            Ok(SequenceStatus::Used) => Ok(match records.first_use_by(&payment.into(), &mut RowsLeft::of_one())? {
                FirstUse::This(answer) => Ok(Some(answer)),
                _ => Err(Outcome::refused(Reason::SequenceUsed, 0, 0)),
            }),
            Ok(_) => Ok(Ok(None)),
            Err(refusal) => Ok(Err(refusal)),
        });
        looked.await.unwrap_or(Err(Outcome::refused(Reason::Unavailable, 0, 0)))
    }

    /// The answers to payments that were relayed: each that used no sequence number is judged, since the chain or an
    /// earlier copy may know better. Usually there is none.
    pub async fn complete(&self, sent: SentBatch, relayed: Relayed) -> Answers {
        let Answers::Each(packed) = &relayed.answers else {
            sent.answered();
            return relayed.answers;
        };
        if !packed.chunks_exact(PACKED_BYTES).any(used_no_number) {
            sent.answered();
            return relayed.answers;
        }
        let by = RefusedBy::CentralBank(relayed.other_copies());
        let unsettled = unsettled(&sent.commands, packed);
        let refused = as_refused(&unsettled, by);
        // The replica is usually a moment behind the central bank, and must reach the block read before.
        let before = read_before_the_chain(&self.looking(refused.len(), Some(sent.number)), &refused);
        self.context.replica_at(before.answered_up_to).await;
        let (records, packed) = (self.clone(), packed.clone());
        let looked = look_up(move || {
            let verdicts =
                judge(&records.looking(unsettled.len(), Some(sent.number)), &as_refused(&unsettled, by), &before)?;
            let mut completed = packed.to_vec();
            for (unsettled, verdict) in unsettled.iter().zip(verdicts) {
                let answer = records.told(unsettled, verdict);
                let bytes = unsettled.at * PACKED_BYTES..(unsettled.at + 1) * PACKED_BYTES;
                completed[bytes].copy_from_slice(&pack(&[answer]));
            }
            sent.answered();
            Ok(Answers::Each(completed.into()))
        });
        looked.await.unwrap_or_else(|_| Answers::all(Answer::unknown(), relayed.answers.len()))
    }

    /// The answers to records that this bank refused and did not relay, each with a place that is returned with it.
    pub async fn answers_to_refused(&self, refused: Vec<(usize, Command, Outcome)>) -> Vec<(usize, Answer)> {
        let unsettled: Vec<_> = refused
            .into_iter()
            .filter_map(|(at, command, refusal)| Some(Unsettled { at, id: RecordId::of(&command)?, command, refusal }))
            .collect();
        let places: Vec<_> = unsettled.iter().map(|unsettled| unsettled.at).collect();
        let refused = as_refused(&unsettled, RefusedBy::Bank);
        let before = read_before_the_chain(&self.looking(refused.len(), None), &refused);
        self.context.replica_at(before.answered_up_to).await;
        let records = self.clone();
        let looked = look_up(move || {
            let refused = as_refused(&unsettled, RefusedBy::Bank);
            let verdicts = judge(&records.looking(refused.len(), None), &refused, &before)?;
            let answer = |verdict| match verdict {
                Verdict::Ordered(answer) => answer,
                Verdict::Final(refusal) | Verdict::FirstOutcomeStands(refusal) | Verdict::NotFinal(refusal) => {
                    Answer::not_ordered(refusal)
                }
                Verdict::Unknown(_) | Verdict::NotYet(_) => Answer::unknown(),
            };
            Ok(verdicts.into_iter().map(answer).collect::<Vec<_>>())
        });
        let answers = looked.await.unwrap_or_else(|_| vec![Answer::unknown(); places.len()]);
        places.into_iter().zip(answers).collect()
    }

    /// The answer to one payment of a batch. A copy whose answer is *unknown* stays unanswered.
    fn told(&self, unsettled: &Unsettled, verdict: Verdict) -> Answer {
        match verdict {
            Verdict::Ordered(answer) => answer,
            Verdict::Final(refusal) | Verdict::FirstOutcomeStands(refusal) | Verdict::NotFinal(refusal) => {
                Answer::not_ordered(refusal)
            }
            Verdict::Unknown(_) | Verdict::NotYet(_) => {
                self.gave_up(&unsettled.command);
                Answer::unknown()
            }
        }
    }

    /// The record that used a command's number.
    fn first_use_by(&self, command: &Command, rows_left: &mut RowsLeft) -> Result<FirstUse, ArchiveError> {
        let Some(id) = RecordId::of(command) else { return Ok(FirstUse::KnownElsewhere) };
        let answer =
            |past: &PastCommand| Answer::ordered(past.ordered.height, past.ordered.index, past.ordered.outcome);
        Ok(match self.history.by_sequence(id.account, id.sequence, rows_left)? {
            Sought::Found(past) if is_of(&past.command, command) => FirstUse::This(answer(&past)),
            Sought::Found(_) => FirstUse::Another,
            Sought::Unknown if id.account.bank == self.context.bank => FirstUse::NotYetKnown,
            Sought::Unknown | Sought::TooFarBack => FirstUse::KnownElsewhere,
        })
    }

    /// This bank's knowledge for a call about so many records, which were refused in `batch`, if in one.
    fn looking(&self, count: usize, batch: Option<u64>) -> Looking<'_> {
        Looking { records: self, batch, rows_left: RefCell::new(RowsLeft::of_many(count)) }
    }
}

/// A payment of a batch whose answer used no sequence number.
struct Unsettled {
    /// Its index in the batch.
    at: usize,
    command: Command,
    id: RecordId,
    refusal: Outcome,
}

/// The payments of a batch whose answers used no number. (A code that is unknown here is for the customer to read.)
fn unsettled(commands: &[u8], answers: &[u8]) -> Vec<Unsettled> {
    let pairs = answers.chunks_exact(PACKED_BYTES).zip(commands.chunks_exact(SIGNED_PAYMENT_BYTES)).enumerate();
    let unsettled = |(at, (answer, command)): (usize, (&[u8], &[u8]))| {
        let answer = unpack(answer).ok()?.pop()?;
        let command = Command::from_bytes(command).ok()?;
        let id = RecordId::of(&command)?;
        // An unknown state leaves everything open, and so does this reason.
        let refusal = match answer.state {
            State::Final => answer.outcome,
            State::Accepted | State::Unknown => Answer::unknown().outcome,
        };
        Some(Unsettled { at, command, id, refusal })
    };
    pairs.filter(|(_, (answer, _))| used_no_number(answer)).filter_map(unsettled).collect()
}

fn as_refused(unsettled: &[Unsettled], by: RefusedBy) -> Vec<Refused<'_>> {
    unsettled.iter().map(|one| Refused { command: &one.command, id: one.id, refusal: one.refusal, by }).collect()
}

/// Whether a past command is a holder's record, or carries it.
fn is_of(past: &Command, record: &Command) -> bool {
    match payment_of(record) {
        Some(payment) => payment_of(past) == Some(payment),
        None => past == record,
    }
}

/// The latest valid-until that a record may have that is ordered now.
pub fn latest_valid_until(ledger: &Ledger) -> Timestamp {
    probable_time(ledger.tip().time).plus_ms(ledger.genesis().validity_ms_max)
}

/// This bank's knowledge, with a bound on what is read of the history.
struct Looking<'a> {
    records: &'a Records,
    /// The batch in which they were refused.
    batch: Option<u64>,
    rows_left: RefCell<RowsLeft>,
}

impl Knowledge for Looking<'_> {
    type Error = ArchiveError;

    fn unanswered(&self, refused: &[Refused<'_>]) -> Vec<bool> {
        let Records { context, unanswered, .. } = self.records;
        let time = context.ledger.read(|ledger| ledger.tip().time);
        let deposits = &context.deposits;
        let watches = deposits.watches_holders();
        let is_noted = |refused: &Refused<'_>| {
            let id = &refused.id;
            refused.by == RefusedBy::CentralBank(OtherCopies::MayBeOrdered)
                || unanswered.holds(id, time)
                || watches && deposits.has_in_outbox(id.account, id.sequence)
        };
        // The batches first: a record that is noted when its batch ends is then seen in one place or the other.
        let names = |refused: &Refused<'_>| (refused.id.account, refused.id.sequence);
        let in_flight = unanswered.in_batches(&refused.iter().map(names).collect(), self.batch);
        refused.iter().map(|refused| in_flight.contains(&names(refused)) || is_noted(refused)).collect()
    }

    fn answered_up_to(&self) -> Height {
        self.records.context.relay.answered_up_to()
    }

    fn on_chain(&self, refused: &[Refused<'_>]) -> Vec<OnChain> {
        let ledger = &self.records.context.ledger;
        ledger.read(|ledger| refused.iter().map(|refused| OnChain::of(ledger, &refused.id)).collect())
    }

    fn first_use(&self, refused: &Refused<'_>) -> Result<FirstUse, ArchiveError> {
        self.records.first_use_by(refused.command, &mut self.rows_left.borrow_mut())
    }
}

/// A batch that was sent. If it is dropped without being [`SentBatch::answered`], because its caller gave up or the
/// node stops, each of its records stays unanswered.
pub struct SentBatch {
    records: Records,
    /// Its number among the batches in flight.
    number: u64,
    /// Empty once it is answered.
    commands: Bytes,
}

impl SentBatch {
    fn answered(mut self) {
        self.commands = Bytes::new();
    }
}

impl Drop for SentBatch {
    fn drop(&mut self) {
        let commands = self.commands.chunks_exact(SIGNED_PAYMENT_BYTES).map(Command::from_bytes);
        commands.flatten().for_each(|command| self.records.gave_up(&command));
        self.records.unanswered.batch_ended(self.number);
    }
}

/// Whether a packed answer belongs to a command that used no sequence number: refused before ordering, ordered without
/// effect, or unknown.
fn used_no_number(answer: &[u8]) -> bool {
    let (_, code) = packed::state_and_code(answer);
    let no_effect = Reason::from_code(code).is_some_and(|reason| reason.stage() == Stage::BeforeOrdering);
    no_effect || answer[..8] == [0; 8]
}

/// Checks that a payment's payer, key, sequence number, time and signature are good, as far as is known here.
fn sound(context: &BankContext, payment: &Signed<Payment>) -> Result<SequenceStatus, Outcome> {
    let Payment { head, from, .. } = &payment.record;
    // A partial replica has only the linked wallets of other banks.
    let unknown = match context.is_partial_replica() && from.bank != context.bank {
        true => Outcome::refused(Reason::NotLinked, 0, u64::from(context.bank.0)),
        false => Outcome::refused(Reason::UnknownAccount, 0, 0),
    };
    let (key, status, network) = context.ledger.read(|ledger| {
        let now = probable_time(ledger.tip().time);
        let status = match ledger.check_admission(Signer::Holder(*from), head, now) {
            Ok(admission) => admission.validity.map(|()| SequenceStatus::Free),
            // It may have expired since it was ordered, but was never valid for longer than genesis allows.
            Err(refusal) if refusal.reason == Reason::SequenceUsed => match ledger.check_validity(head, now) {
                Err(refusal) if refusal.reason == Reason::ValidityTooLong => Err(refusal),
                _ => Ok(SequenceStatus::Used),
            },
            Err(refusal) => Err(refusal),
        };
        (ledger.key(*from), status, ledger.network())
    });
    match status {
        Err(refusal) if refusal.reason == Reason::UnknownAccount => return Err(unknown),
        Err(refusal) if refusal.reason == Reason::KeyChanged => return Err(refusal),
        _ => {}
    }
    // Everything else, such as how far the wallet's sequence numbers are used, is for its holder alone.
    let key = key.ok_or(unknown)?;
    let prefix = signing_prefix(Domain::Command, network);
    let bad_signature = Outcome::refused(Reason::BadSignature, 0, 0);
    let key = key.decompress().map_err(|_| bad_signature)?;
    if !cbdc_signatures::verify(&key, [&prefix, &payment.record.to_bytes()], &payment.signature) {
        return Err(bad_signature);
    }
    status
}
