//! The payments of a run, planned and signed before the clock starts.
//!
//! Each bank has a stream: the records of its customers' payments back to back, in order of their due times. Payments
//! that may be topped up have a separate stream, since they are sent singly. A record has its payer's next sequence
//! number, so (payer, sequence number) identifies a payment in the chain.

use std::collections::HashMap;

use bytes::Bytes;
use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, Head, Payment, PaymentKind, Record};
use cbdc_ledger::encoding::Writer;
use cbdc_ledger::{AccountId, Amount, NetworkId, SigningKey, Timestamp};

use crate::result::{AmountBucket, AmountCounter};
use crate::scenario::Scenario;
use crate::workload::amounts::REPORT_EDGES_MINOR;
use crate::workload::plan::{Plan, PlannedPayment};

/// A wallet of the run.
pub struct Purse {
    pub account: AccountId,
    pub key: SigningKey,
    /// The sequence number of its first payment.
    pub first_sequence: u64,
}

/// One bank's payments.
#[derive(Default)]
pub struct PaymentStream {
    /// Signed records back to back.
    pub records: Bytes,
    /// The times at which they are due, ns after the start.
    pub due_ns: Vec<u64>,
    /// Each one's amount, minor units.
    pub amounts: Vec<u64>,
}

impl PaymentStream {
    pub fn len(&self) -> usize {
        self.due_ns.len()
    }

    pub fn is_empty(&self) -> bool {
        self.due_ns.is_empty()
    }

    /// The bytes of payments `from..to`.
    pub fn slice(&self, from: usize, to: usize) -> Bytes {
        self.records.slice(from * SIGNED_PAYMENT_BYTES..to * SIGNED_PAYMENT_BYTES)
    }
}

/// All streams, and the position of each payment in them.
pub struct SignedPayments {
    pub banks: usize,
    /// One per bank, then, if the scenario has top-ups, another one per bank for payments that may be topped up.
    pub streams: Vec<PaymentStream>,
    /// (stream, index) by payer and sequence number.
    pub positions: HashMap<(AccountId, u64), (u32, u32)>,
    pub amounts: Vec<AmountBucket>,
}

/// Plans and signs every payment on all cores. `progress` is called with the number signed since the last call.
pub fn sign_all(
    scenario: &Scenario,
    network: NetworkId,
    purses: &[Purse],
    valid_until: Timestamp,
    progress: impl Fn(u64) + Sync,
) -> SignedPayments {
    let banks = scenario.network.banks as usize;
    let streams = if scenario.load.top_up_share > 0.0 { 2 * banks } else { banks };
    let mut planned: Vec<Vec<(PlannedPayment, u64)>> = vec![Vec::new(); streams];
    let mut next: Vec<u64> = purses.iter().map(|purse| purse.first_sequence).collect();
    let mut amounts = AmountCounter::new(&REPORT_EDGES_MINOR);
    let mut positions = HashMap::new();
    for payment in Plan::new(scenario) {
        let payer = payment.payer.0 as usize;
        let stream = payer % banks + if payment.may_top_up { banks } else { 0 };
        let sequence = next[payer];
        next[payer] += 1;
        positions.insert((purses[payer].account, sequence), (stream as u32, planned[stream].len() as u32));
        amounts.count(payment.amount_minor);
        planned[stream].push((payment, sequence));
    }
    let sign = |payments: &[(PlannedPayment, u64)]| {
        let mut out = Writer::with_capacity(payments.len() * SIGNED_PAYMENT_BYTES);
        for chunk in payments.chunks(1_000) {
            for (payment, sequence) in chunk {
                let flags = if payment.may_top_up { FLAG_REVERSE_WATERFALL } else { 0 };
                let head = Head { flags, key_version: 0, sequence: *sequence, valid_until };
                sign_one(payment, head, max_fee(scenario, payment), network, purses, &mut out);
            }
            progress(chunk.len() as u64);
        }
        out.finish()
    };
    let streams = planned.iter().map(|payments| PaymentStream {
        records: sign_on_all_cores(payments, &sign).into(),
        due_ns: payments.iter().map(|(payment, _)| payment.due_ns).collect(),
        amounts: payments.iter().map(|(payment, _)| payment.amount_minor).collect(),
    });
    SignedPayments { banks, streams: streams.collect(), positions, amounts: amounts.buckets() }
}

fn sign_on_all_cores<T: Sync>(payments: &[T], sign: &(impl Fn(&[T]) -> Vec<u8> + Sync)) -> Vec<u8> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let chunk = payments.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = payments.chunks(chunk).map(|part| scope.spawn(move || sign(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("signing does not panic")).collect()
    })
}

/// The largest fee that the payer accepts: the scenario's, or the fee under the policy at the start.
fn max_fee(scenario: &Scenario, payment: &PlannedPayment) -> Amount {
    match scenario.load.max_fee_minor {
        Some(max_fee) => Amount::from_minor(max_fee),
        None => {
            let class = scenario.class_of(payment.payer.0);
            scenario.policy.parameters.class(class).payer_fee.fee(Amount::from_minor(payment.amount_minor))
        }
    }
}

fn sign_one(
    planned: &PlannedPayment,
    head: Head,
    max_fee: Amount,
    network: NetworkId,
    purses: &[Purse],
    out: &mut Writer,
) {
    let payer = &purses[planned.payer.0 as usize];
    let payment = Payment {
        kind: PaymentKind::Transfer,
        head,
        from: payer.account,
        to: purses[planned.payee.0 as usize].account,
        amount: Amount::from_minor(planned.amount_minor),
        max_fee,
        reference: [0; 16],
    };
    payment.sign(network, &payer.key).encode(out);
}
