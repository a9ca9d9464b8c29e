//! The metrics of a bank's node, all under `cbdc_bank_`, labelled with the bank's number.
//!
//! Handles are made once, so that a payment needs no look-up by name. The exporter must be installed before.

use std::time::Duration;

use cbdc_ledger::{BankId, Height, Reason};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, PACKED_BYTES, State, state_and_code};
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// The bound on reason codes.
const CODES: usize = 128;

const _: () = {
    let mut index = 0;
    while index < Reason::ALL.len() {
        assert!((Reason::ALL[index] as usize) < CODES);
        index += 1;
    }
};

pub struct Metrics {
    /// Counters by reason code; `None` for codes without a reason.
    payments: Vec<Option<Counter>>,
    unknown: Counter,
    accepted: Counter,
    relay: Histogram,
    relay_batch: Histogram,
    relay_queue: Gauge,
    reconnects: Counter,
    moves: Counter,
    gap: Histogram,
    outbox: Gauge,
    deposits_in_doubt: Gauge,
    height: Gauge,
    apply: Histogram,
    reachable: Gauge,
    security: Counter,
}

impl Metrics {
    /// Registers and describes all metrics of one bank.
    pub fn register(bank: BankId) -> Metrics {
        describe_counter!("cbdc_bank_payments_total", "Answers to customers' payments, by outcome");
        describe_histogram!("cbdc_bank_relay_seconds", "From taking commands in to their outcome");
        describe_histogram!("cbdc_bank_relay_batch_commands", "Commands in a batch to the central bank");
        describe_gauge!("cbdc_bank_relay_queue", "Commands waiting or in flight to the central bank");
        describe_counter!("cbdc_bank_relay_reconnects_total", "Streams opened to the central bank");
        describe_counter!(
            "cbdc_bank_central_bank_moves_total",
            "Moves of that stream to another node, which leads now"
        );
        describe_histogram!("cbdc_bank_central_bank_gap_seconds", "From the loss of that stream to the next one");
        describe_gauge!("cbdc_bank_outbox_entries", "Commands in the durable outbox");
        describe_gauge!("cbdc_bank_deposits_in_doubt", "1 while the back office has deposits to accept");
        describe_gauge!("cbdc_bank_replica_height", "The height that the replica has reached");
        describe_histogram!("cbdc_bank_replica_apply_seconds", "Verifying, applying and storing a block");
        describe_gauge!("cbdc_bank_central_bank_reachable", "1 while the central bank can be reached");
        describe_counter!("cbdc_bank_security_events_total", "Bad data from peers, bad signatures of customers");
        let label = bank.to_string();
        let of_outcome =
            |name: &'static str| counter!("cbdc_bank_payments_total", "bank" => label.clone(), "outcome" => name);
        Metrics {
            payments: (0..CODES as u16)
                .map(|code| Reason::from_code(code).map(|reason| of_outcome(reason.name())))
                .collect(),
            unknown: of_outcome("UNKNOWN"),
            accepted: of_outcome("ACCEPTED"),
            relay: histogram!("cbdc_bank_relay_seconds", "bank" => label.clone()),
            relay_batch: histogram!("cbdc_bank_relay_batch_commands", "bank" => label.clone()),
            relay_queue: gauge!("cbdc_bank_relay_queue", "bank" => label.clone()),
            reconnects: counter!("cbdc_bank_relay_reconnects_total", "bank" => label.clone()),
            moves: counter!("cbdc_bank_central_bank_moves_total", "bank" => label.clone()),
            gap: histogram!("cbdc_bank_central_bank_gap_seconds", "bank" => label.clone()),
            outbox: gauge!("cbdc_bank_outbox_entries", "bank" => label.clone()),
            deposits_in_doubt: gauge!("cbdc_bank_deposits_in_doubt", "bank" => label.clone()),
            height: gauge!("cbdc_bank_replica_height", "bank" => label.clone()),
            apply: histogram!("cbdc_bank_replica_apply_seconds", "bank" => label.clone()),
            reachable: gauge!("cbdc_bank_central_bank_reachable", "bank" => label.clone()),
            security: counter!("cbdc_bank_security_events_total", "bank" => label.clone()),
        }
    }

    /// Counts the payments of one answered batch.
    pub fn answered(&self, answers: &Answers) {
        let packed = match answers {
            Answers::Run { count, .. } => return self.count_payments(Reason::Settled as usize, *count as u64),
            Answers::Each(packed) => packed,
        };
        let mut by_code = [0_u64; CODES];
        let (mut unknown, mut accepted) = (0, 0);
        for outcome in packed.chunks_exact(PACKED_BYTES) {
            let (state, code) = state_and_code(outcome);
            match state {
                state if state == State::Unknown as u16 => unknown += 1,
                state if state == State::Accepted as u16 => accepted += 1,
                _ if usize::from(code) < CODES => by_code[usize::from(code)] += 1,
                _ => unknown += 1,
            }
        }
        by_code.into_iter().enumerate().for_each(|(code, count)| self.count_payments(code, count));
        if unknown > 0 {
            self.unknown.increment(unknown);
        }
        if accepted > 0 {
            self.accepted.increment(accepted);
        }
    }

    /// Counts one answered payment.
    pub fn answered_one(&self, answer: &Answer) {
        self.answered(&Answers::from(std::slice::from_ref(answer)));
    }

    fn count_payments(&self, code: usize, count: u64) {
        if let (Some(Some(counter)), 1..) = (self.payments.get(code), count) {
            counter.increment(count);
        }
    }

    pub fn relayed(&self, elapsed: Duration) {
        self.relay.record(elapsed.as_secs_f64());
    }

    pub fn batch_sent(&self, commands: usize) {
        self.relay_batch.record(commands as f64);
    }

    pub fn queue(&self, commands: usize) {
        self.relay_queue.set(commands as f64);
    }

    pub fn outbox(&self, entries: usize) {
        self.outbox.set(entries as f64);
    }

    pub fn deposits_in_doubt(&self, in_doubt: bool) {
        self.deposits_in_doubt.set(f64::from(u8::from(in_doubt)));
    }

    pub fn block_applied(&self, height: Height, elapsed: Duration) {
        self.height.set(height.0 as f64);
        self.apply.record(elapsed.as_secs_f64());
    }

    pub fn height(&self, height: Height) {
        self.height.set(height.0 as f64);
    }

    pub fn reachable(&self, reachable: bool) {
        self.reachable.set(f64::from(u8::from(reachable)));
    }

    /// Counts a stream to the central bank that was opened; `has_moved` if to another node than the one before, and
    /// `gap` is the time without a stream.
    pub fn stream_opened(&self, has_moved: bool, gap: Option<Duration>) {
        self.reconnects.increment(1);
        self.moves.increment(u64::from(has_moved));
        if let Some(gap) = gap {
            self.gap.record(gap.as_secs_f64());
        }
    }

    pub fn security_events(&self, count: u64) {
        self.security.increment(count);
    }
}
