//! The precheck: a bank's checks on a customer's batch before it is relayed.
//!
//! Form and customer are read straight from the packed records, without decoding them: version, kind (transfer or
//! defund), flags, that the payee is an account id at all, and that the payer is a customer of this bank. So everything
//! that is relayed can be decoded: a record that cannot would end the bank's stream. The ledger decides everything
//! else; a payment above the payee's holding limit, for example, settles if the payee's wallet is linked. Unless
//! `precheck_signatures` is off, the bank also verifies the signatures here, each customer's batch by itself and few
//! batches at once, so that junk is stopped here and delays no other customer for long; the central bank verifies all
//! of them again.
//!
//! A transfer that allows the reverse waterfall is relayed like any other: only the unary call tops it up, which needs
//! the bank's own signature.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cbdc_ledger::command::Kind;
use cbdc_ledger::command::packed::PackedPayment;
use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::verification::check_signatures;
use cbdc_ledger::{BankId, Command, NetworkId, Outcome, Reason};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, PACKED_BYTES, pack};
use cbdc_proto::transport::log_limit::LogLimit;
use cbdc_signatures::BatchSeed;
use rand::rngs::SysRng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Verifies customers' signatures.
pub struct SignaturePrecheck {
    network: NetworkId,
    directory: Arc<KeyDirectory>,
    /// A permit for each batch that may be verified at once, given in the order of arrival.
    turns: Arc<Semaphore>,
    log_limit: LogLimit,
}

/// A batch after the precheck: the records to relay, and the refusals.
pub struct Checked {
    /// Records to relay, back to back; the batch's own bytes if nothing is refused.
    pub relayed: Bytes,
    pub count: usize,
    /// Index in the batch and answer of each refused record, in order. Usually empty.
    refused: Vec<(usize, Answer)>,
}

/// The verdict on one packed record.
fn check_record(own: BankId, record: PackedPayment<'_>) -> Result<(), Reason> {
    let kind = record.kind().ok_or(Reason::Malformed)?;
    if !matches!(kind, Kind::Transfer | Kind::Defund) {
        return Err(Reason::NotAuthorised);
    }
    if !record.has_known_flags(kind) || record.payee().is_none() {
        return Err(Reason::Malformed);
    }
    let is_customer = record.payer().is_some_and(|payer| payer.bank == own);
    if is_customer { Ok(()) } else { Err(Reason::NotAuthorised) }
}

/// Checks form and customer of a whole batch; its length must be a multiple of 136 bytes.
pub fn check(own: BankId, commands: Bytes) -> Checked {
    let count = commands.len() / SIGNED_PAYMENT_BYTES;
    let all_good = PackedPayment::each(&commands).all(|record| check_record(own, record).is_ok());
    if all_good {
        return Checked { relayed: commands, count, refused: Vec::new() };
    }
    let verdict = |record| check_record(own, record).map_err(|reason| Outcome::refused(reason, 0, 0));
    let verdicts: Vec<_> = PackedPayment::each(&commands).map(verdict).collect();
    partition(&commands, &verdicts)
}

/// Partitions a batch by its verdicts.
fn partition(commands: &Bytes, verdicts: &[Result<(), Outcome>]) -> Checked {
    let mut relayed = BytesMut::with_capacity(commands.len());
    let mut refused = Vec::new();
    for (at, (record, verdict)) in commands.chunks_exact(SIGNED_PAYMENT_BYTES).zip(verdicts).enumerate() {
        match verdict {
            Ok(()) => relayed.extend_from_slice(record),
            Err(refusal) => refused.push((at, Answer::not_ordered(*refusal))),
        }
    }
    let count = relayed.len() / SIGNED_PAYMENT_BYTES;
    Checked { relayed: relayed.freeze(), count, refused }
}

impl SignaturePrecheck {
    /// A verifier of as many batches at once as there are cores.
    pub fn new(network: NetworkId, directory: Arc<KeyDirectory>) -> SignaturePrecheck {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        SignaturePrecheck { network, directory, turns: Arc::new(Semaphore::new(cores)), log_limit: LogLimit::default() }
    }

    /// Logs the number of bad signatures, at intervals.
    pub fn log_bad(&self, bad: u64) {
        if let Some(bad) = self.log_limit.count(bad) {
            tracing::warn!(
                target: "security", bad,
                "customers' commands with bad signatures were refused (count since the last such line)"
            );
        }
    }

    /// Waits for a permit to verify a batch. `None` if the node stops.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.turns.clone().acquire_owned().await.ok()
    }

    /// Verifies every signature of packed payments. Takes 3 to 20 µs per signature, good or bad: call it on a blocking
    /// thread.
    pub fn verify(&self, commands: &Bytes) -> Vec<Result<(), Outcome>> {
        let records = || commands.chunks_exact(SIGNED_PAYMENT_BYTES);
        let decoded: Vec<_> = records().map(Command::from_bytes).collect();
        let readable: Vec<_> = decoded
            .iter()
            .zip(records())
            .filter_map(|(command, record)| Some((command.as_ref().ok()?, record)))
            .collect();
        let mut verdicts =
            check_signatures(self.network, &self.directory, &readable, BatchSeed::draw(&mut SysRng)).into_iter();
        let malformed = Err(Outcome::refused(Reason::Malformed, 0, 0));
        let verdict = |command: &Result<Command, _>| match command {
            Ok(_) => verdicts.next().unwrap_or(malformed),
            Err(_) => malformed,
        };
        decoded.iter().map(verdict).collect()
    }

    /// Verifies one command of any kind.
    pub fn verify_one(&self, command: &Command) -> Result<(), Outcome> {
        let encoded = command.to_bytes();
        let seed = BatchSeed::draw(&mut SysRng);
        let verdicts = check_signatures(self.network, &self.directory, &[(command, &encoded)], seed);
        verdicts.into_iter().collect()
    }
}

impl Checked {
    /// Removes the records with bad signatures as well.
    pub fn verified(self, verifier: &SignaturePrecheck) -> Checked {
        let verdicts = verifier.verify(&self.relayed);
        if verdicts.iter().all(Result::is_ok) { self } else { self.without(&verdicts) }
    }

    /// Removes further records, by the verdicts on those that are left.
    pub fn without(self, verdicts: &[Result<(), Outcome>]) -> Checked {
        let partitioned = partition(&self.relayed, verdicts);
        // Indices in the partitioned batch count only what was relayed: add those that were refused before.
        let total = self.total();
        let mut earlier = self.refused.into_iter().peekable();
        let mut later = partitioned.refused.into_iter().peekable();
        let (mut refused, mut relayed_before) = (Vec::new(), 0);
        for at in 0..total {
            if let Some(known) = earlier.next_if(|(index, _)| *index == at) {
                refused.push(known);
                continue;
            }
            if let Some((_, answer)) = later.next_if(|(index, _)| *index == relayed_before) {
                refused.push((at, answer));
            }
            relayed_before += 1;
        }
        Checked { relayed: partitioned.relayed, count: partitioned.count, refused }
    }

    /// A batch of which nothing is relayed, and nothing known.
    pub fn unknown(count: usize) -> Checked {
        let refused = (0..count).map(|at| (at, Answer::unknown())).collect();
        Checked { relayed: Bytes::new(), count: 0, refused }
    }

    /// The number of records in the batch.
    pub fn total(&self) -> usize {
        self.count + self.refused.len()
    }

    /// The refused records: index in the batch, and refusal.
    pub fn refused(&self) -> impl Iterator<Item = (usize, Outcome)> {
        self.refused.iter().map(|(at, answer)| (*at, answer.outcome))
    }

    /// Replaces the answer to a refused record.
    pub fn answer(&mut self, at: usize, answer: Answer) {
        if let Ok(found) = self.refused.binary_search_by_key(&at, |(index, _)| *index) {
            self.refused[found].1 = answer;
        }
    }

    /// The refusal of a batch's only record.
    pub fn refusal_of_only(&self) -> Option<Outcome> {
        self.refused.first().filter(|_| self.count == 0).map(|(_, answer)| answer.outcome)
    }

    /// The number of refusals for a bad signature.
    pub fn bad_signatures(&self) -> u64 {
        self.refused.iter().filter(|(_, answer)| answer.outcome.reason == Reason::BadSignature).count() as u64
    }

    /// Merges the answers to relayed and refused records into the batch's order.
    pub fn merge(&self, relayed: Answers) -> Answers {
        if self.refused.is_empty() {
            return relayed;
        }
        // The bytes are kept: a code that is unknown here is for the customer to read.
        let (relayed, unknown) = (relayed.packed(), pack(&[Answer::unknown()]));
        let mut answers = relayed.chunks_exact(PACKED_BYTES);
        let mut refused = self.refused.iter().peekable();
        let mut merged = BytesMut::with_capacity(self.total() * PACKED_BYTES);
        for at in 0..self.total() {
            match refused.next_if(|(index, _)| *index == at) {
                Some((_, answer)) => merged.extend_from_slice(&pack(&[*answer])),
                None => merged.extend_from_slice(answers.next().unwrap_or(&unknown)),
            }
        }
        Answers::Each(merged.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, Head, Payment, PaymentKind, Record};
    use cbdc_ledger::{AccountId, Amount, Height, SigningKey};

    const OWN: BankId = BankId(2);

    fn record(kind: PaymentKind, bank: u16, sequence: u64) -> Vec<u8> {
        let head = Head { sequence, ..Head::default() };
        let (from, to) = (AccountId::new(BankId(bank), 7), AccountId::new(BankId(1), 1));
        let payment =
            Payment { kind, head, from, to, amount: Amount::from_minor(1), max_fee: Amount::ZERO, reference: [0; 16] };
        payment.sign(NetworkId([0; 32]), &SigningKey::from_seed([1; 32])).to_bytes()
    }

    #[test]
    fn a_good_batch_travels_as_it_came() {
        let batch: Bytes = [record(PaymentKind::Transfer, 2, 1), record(PaymentKind::Defund, 2, 2)].concat().into();
        let checked = check(OWN, batch.clone());
        assert_eq!((checked.count, checked.refused.len()), (2, 0));
        assert_eq!(checked.relayed.as_ptr(), batch.as_ptr());
    }

    #[test]
    fn a_record_that_nobody_could_decode_is_not_relayed() {
        let verdict = |record: &[u8]| check_record(OWN, PackedPayment::new(record).unwrap());
        let transfer = record(PaymentKind::Transfer, 2, 1);
        let with = |at: usize, byte: u8| {
            let mut changed = transfer.clone();
            changed[at] = byte;
            changed
        };
        assert_eq!(verdict(&with(2, FLAG_REVERSE_WATERFALL as u8)), Ok(()));
        for (at, byte) in [(2, 2), (3, 1), (38, 1), (39, 255)] {
            let changed = with(at, byte);
            assert!(Command::from_bytes(&changed).is_err(), "byte {at}");
            assert_eq!(verdict(&changed), Err(Reason::Malformed), "byte {at}");
        }
        let mut defund = record(PaymentKind::Defund, 2, 1);
        defund[2] = FLAG_REVERSE_WATERFALL as u8;
        assert_eq!(verdict(&defund), Err(Reason::Malformed));
    }

    #[test]
    fn a_batch_that_could_not_be_verified_is_answered_as_a_whole() {
        let answers = Checked::unknown(3).merge(Answers::all(Answer::unknown(), 0)).unpacked().unwrap();
        assert_eq!(answers, [Answer::unknown(); 3]);
        assert_eq!(Checked::unknown(1).refusal_of_only().map(|refusal| refusal.reason), Some(Reason::Unavailable));
    }

    #[test]
    fn what_the_precheck_refuses_is_answered_at_its_index() {
        let mut unknown_version = record(PaymentKind::Transfer, 2, 3);
        unknown_version[0] = 9;
        let parts = [
            record(PaymentKind::Fund, 2, 1),
            record(PaymentKind::Transfer, 2, 2),
            unknown_version,
            record(PaymentKind::Transfer, 3, 4),
        ];
        let checked = check(OWN, parts.concat().into());
        assert_eq!((checked.count, &checked.relayed[..]), (1, &parts[1][..]));
        // Everything that is relayed can be decoded.
        assert!(Command::from_bytes(&checked.relayed).is_ok());
        let settled = Answers::Run { height: Height(5), first: 0, count: 1 };
        let answers = checked.merge(settled).unpacked().unwrap();
        let reasons: Vec<_> = answers.iter().map(|answer| answer.outcome.reason).collect();
        assert_eq!(reasons, [Reason::NotAuthorised, Reason::Settled, Reason::Malformed, Reason::NotAuthorised]);
    }
}
