//! Admission: which of a customer's payments are relayed.
//!
//! 1. Form and customer ([`precheck::check`]).
//! 2. An account that has used up its share of refusals ([`crate::waste_shares`]) waits: `OVERLOADED`.
//! 3. Signatures, unless the bank is configured not to verify them.
//! 4. Watched accounts: records that the chain shows as decided, and those outside the window, are refused here, and of
//!    each number one copy is in flight. The replica must first have followed all that the central bank has answered,
//!    since a customer who was answered may use the next number; one that does not get there in time decides less, and
//!    what it leaves open outside the window waits.
//!
//! What is refused here was not relayed. Other copies may have been: [`super::records`] says what may be answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cbdc_environment::thread;
use cbdc_ledger::command::packed::PackedPayment;
use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_ledger::sequence::SequenceStatus;
use cbdc_ledger::{AccountId, Command, Height, Ledger, Outcome, Reason};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, PACKED_BYTES, State, state_and_code, unpack};

use super::context::BankContext;
use super::record_status::{OnChain, RecordId};
use crate::metrics::Metrics;
use crate::precheck::{self, Checked, SignaturePrecheck};
use crate::waste_shares::{InFlight, OfOthers, Treatment, WasteShares, Wasted};

/// The longest wait for the replica before a watched account's records are compared with it.
const REPLICA_WAIT: Duration = Duration::from_millis(250);

/// Decides what is relayed.
#[derive(Clone)]
pub struct Admission {
    pub context: BankContext,
    pub shares: Arc<WasteShares>,
    /// Verifies signatures before relaying, if the bank is configured to.
    pub precheck: Option<Arc<SignaturePrecheck>>,
    pub metrics: Arc<Metrics>,
}

/// A batch of which a part is relayed. Until it is dropped, no other copy of a watched account's records is.
pub struct Admitted {
    pub checked: Checked,
    /// The batch as it came.
    commands: Bytes,
    _in_flight: Vec<InFlight>,
}

impl Admission {
    /// Admits a batch of packed payments.
    pub async fn admit(&self, commands: Bytes) -> Admitted {
        let checked = precheck::check(self.context.bank, commands.clone());
        let treatments = self.treatments(&checked.relayed);
        let checked = match treatments.contains(&Treatment::Slowed) {
            true => checked.without(&treatments.iter().map(not_slowed).collect::<Vec<_>>()),
            false => checked,
        };
        let checked = self.verified(checked).await;
        let (checked, in_flight) = self.undecided(checked).await;
        Admitted { checked, commands, _in_flight: in_flight }
    }

    /// Whether an account's next command, of any kind, has to wait.
    pub fn is_slowed(&self, account: AccountId) -> bool {
        self.shares.treatment(Instant::now(), account) == Treatment::Slowed
    }

    /// Notes that a command of another bank's wallet is relayed. `None` if it has to wait.
    pub fn begin_of_others(&self) -> Option<OfOthers> {
        self.shares.begin_of_others(Instant::now())
    }

    fn treatments(&self, records: &[u8]) -> Vec<Treatment> {
        self.shares.treatments(Instant::now(), PackedPayment::each(records).map(|record| record.payer()))
    }

    /// Verifies signatures before relaying, if the bank is configured to.
    async fn verified(&self, checked: Checked) -> Checked {
        let Some(precheck) = self.precheck.clone().filter(|_| checked.count > 0) else { return checked };
        let total = checked.total();
        let (turn, log) = (precheck.turn().await, precheck.clone());
        let verified = thread::blocking(move || {
            let verified = checked.verified(&precheck);
            drop(turn);
            verified
        });
        match verified.await {
            Ok(verified) => {
                let bad = verified.bad_signatures();
                if bad > 0 {
                    log.log_bad(bad);
                    self.metrics.security_events(bad);
                }
                verified
            }
            // The node is stopping, or the verification failed: nothing was relayed.
            Err(_) => Checked::unknown(total),
        }
    }

    /// Removes watched accounts' records that the chain has decided, that lie outside the window, or of which a copy is
    /// in flight.
    async fn undecided(&self, checked: Checked) -> (Checked, Vec<InFlight>) {
        let treatments = self.treatments(&checked.relayed);
        if treatments.is_empty() {
            return (checked, Vec::new());
        }
        let answered_up_to = self.context.relay.answered_up_to();
        let followed = tokio::time::timeout(REPLICA_WAIT, self.context.replica_at(answered_up_to)).await;
        let is_current = matches!(followed, Ok(true));
        let mut verdicts: Vec<Result<(), Outcome>> = self.context.ledger.read(|ledger| {
            let records = PackedPayment::each(&checked.relayed).zip(&treatments);
            let verdict = |(record, treatment): (PackedPayment<'_>, &Treatment)| match treatment {
                Treatment::Watched => decided(ledger, record, is_current).map_or(Ok(()), Err),
                other => not_slowed(other),
            };
            records.map(verdict).collect()
        });
        // A copy whose signature nobody has verified keeps none back.
        let mut in_flight = Vec::new();
        if self.precheck.is_some() {
            let records = PackedPayment::each(&checked.relayed).zip(&treatments).zip(&mut verdicts);
            for ((record, treatment), verdict) in records {
                let Some(payer) = record.payer().filter(|_| *treatment == Treatment::Watched) else { continue };
                if verdict.is_ok() {
                    match self.shares.begin(payer, record.sequence()) {
                        Some(begun) => in_flight.push(begun),
                        None => *verdict = Err(overloaded()),
                    }
                }
            }
        }
        match verdicts.iter().all(Result::is_ok) {
            true => (checked, in_flight),
            false => (checked.without(&verdicts), in_flight),
        }
    }

    /// Notes the answers to payments that were relayed when the chain had reached `height`.
    pub fn answered(&self, relayed: &[u8], answers: &Answers, height: Height) {
        let Answers::Each(packed) = answers else {
            return self.shares.answered(Instant::now(), answers.len(), std::iter::empty());
        };
        let answers = || packed.chunks_exact(PACKED_BYTES);
        let of_record = |(answer, record): (&[u8], PackedPayment<'_>)| {
            // Read in place: nearly all have settled.
            let wasted = if has_settled(answer, height) { None } else { wasted(&unpack(answer).ok()?.pop()?, height) };
            Some((record.payer()?, wasted?))
        };
        let settled = match self.shares.is_counting() {
            true => answers().filter(|answer| has_settled(answer, height)).count(),
            false => 0,
        };
        let wasted = answers().zip(PackedPayment::each(relayed)).filter_map(of_record);
        self.shares.answered(Instant::now(), settled, wasted);
    }

    /// Notes the answer to one command of an account.
    pub fn answered_one(&self, account: AccountId, answer: &Answer, height: Height) {
        let wasted = wasted(answer, height).map(|wasted| (account, wasted));
        let settled = usize::from(settles_anew(answer, height));
        self.shares.answered(Instant::now(), settled, wasted.into_iter());
    }
}

impl OfOthers {
    /// Notes the answer to the command, which was relayed when the chain had reached `height`.
    pub fn answered_one(self, answer: &Answer, height: Height) {
        self.answered(Instant::now(), settles_anew(answer, height), wasted(answer, height));
    }
}

impl Admitted {
    /// The records that were not relayed and of which another copy may have been, by index in the batch.
    pub fn to_judge(&self) -> Vec<(usize, Command, Outcome)> {
        let refused = self.checked.refused().filter(|(_, refusal)| {
            matches!(
                refusal.reason,
                Reason::Overloaded
                    | Reason::Expired
                    | Reason::KeyChanged
                    | Reason::SequenceUsed
                    | Reason::SequenceOutOfWindow
            )
        });
        let record = |at: usize| self.commands.get(at * SIGNED_PAYMENT_BYTES..(at + 1) * SIGNED_PAYMENT_BYTES);
        refused.filter_map(|(at, refusal)| Some((at, Command::from_bytes(record(at)?).ok()?, refusal))).collect()
    }
}

/// The refusal of what has to wait.
pub fn overloaded() -> Outcome {
    Outcome::refused(Reason::Overloaded, 0, 0)
}

fn not_slowed(treatment: &Treatment) -> Result<(), Outcome> {
    if *treatment == Treatment::Slowed { Err(overloaded()) } else { Ok(()) }
}

/// The refusal of a record that need not be relayed, by a replica that is current or not.
fn decided(ledger: &Ledger, record: PackedPayment<'_>, is_current: bool) -> Option<Outcome> {
    let id = RecordId::of(&Command::from_bytes(record.bytes()).ok()?)?;
    let window = ledger.account(id.account)?.window;
    let chain = OnChain::of(ledger, &id);
    match window.status(id.sequence) {
        SequenceStatus::Used => Some(Outcome::refused(Reason::SequenceUsed, 0, id.sequence)),
        _ if chain.is_decided(&id) => chain.excludes(&id),
        SequenceStatus::Free => None,
        SequenceStatus::OutOfWindow if is_current => {
            Some(Outcome::refused(Reason::SequenceOutOfWindow, window.lowest_unused(), id.sequence))
        }
        // What was answered since may have moved the window.
        SequenceStatus::OutOfWindow => Some(overloaded()),
    }
}

/// Whether a packed answer says that its command settled after the chain had reached `height`.
fn has_settled(answer: &[u8], height: Height) -> bool {
    const SETTLED: (u16, u16) = (State::Final as u16, Reason::Settled as u16);
    let at = answer.first_chunk().map_or(0, |at| u64::from_le_bytes(*at));
    state_and_code(answer) == SETTLED && at > height.0
}

/// Whether a command settled after the chain had reached `height`.
fn settles_anew(answer: &Answer, height: Height) -> bool {
    answer.outcome.is_settled() && answer.height > height
}

/// What a command wasted, if anything, that came when the chain had reached `height`.
fn wasted(answer: &Answer, height: Height) -> Option<Wasted> {
    let is_new = answer.height > height;
    match answer.outcome.reason {
        Reason::Settled if is_new => None,
        Reason::BadSignature => Some(Wasted::BadSignature),
        // Not the customer's fault.
        Reason::Overloaded => None,
        reason if reason.leaves_status_open() => None,
        _ if answer.has_used_its_number() && is_new => Some(Wasted::Refused),
        _ => Some(Wasted::NotOrdered),
    }
}
