//! Random transfers in block proposals: payer and payee are drawn uniformly from all wallets, and each payer's sequence
//! numbers are consecutive.

use cbdc_ledger::block_proposal::PROPOSAL_HEAD_BYTES;
use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_ledger::command::{Payment, PaymentKind};
use cbdc_ledger::encoding::Writer;
use cbdc_ledger::{Amount, Signed, Timestamp};

use super::unsigned::{START, UNSIGNED, account, head, put_head};

/// Ledger time between block proposals, so that the windows of policy advance.
const PROPOSAL_EVERY_MS: u64 = 2;
/// The largest amount; the smallest is 1.
const AMOUNT_MINOR_MAX: u64 = 1_000;
/// An amount above the largest fee of the policy here.
const FEE_MINOR_MAX: u64 = 100;

/// A source of transfers, the same in every run.
pub struct Transfers {
    next_sequence: Vec<u32>,
    random: u64,
    time: Timestamp,
}

impl Transfers {
    pub fn new(wallets: u32) -> Transfers {
        Transfers { next_sequence: vec![1; wallets as usize], random: 1, time: START }
    }

    /// The next block proposal, of `count` transfers.
    pub fn proposal(&mut self, count: usize) -> Vec<u8> {
        self.time = self.time.plus_ms(PROPOSAL_EVERY_MS);
        let mut out = Writer::with_capacity(PROPOSAL_HEAD_BYTES + count * SIGNED_PAYMENT_BYTES);
        put_head(&mut out, count as u32, self.time);
        for _ in 0..count {
            self.transfer().encode(&mut out);
        }
        out.finish()
    }

    fn transfer(&mut self) -> Signed<Payment> {
        let (payer, mut payee) = (self.draw(), self.draw());
        if payer == payee {
            payee = (payee + 1) % self.next_sequence.len() as u32;
        }
        let sequence = self.next_sequence[payer as usize];
        self.next_sequence[payer as usize] += 1;
        let record = Payment {
            kind: PaymentKind::Transfer,
            head: head(u64::from(sequence)),
            from: account(payer),
            to: account(payee),
            amount: Amount::from_minor(1 + (self.random >> 40) % AMOUNT_MINOR_MAX),
            max_fee: Amount::from_minor(FEE_MINOR_MAX),
            reference: [0; 16],
        };
        Signed { record, signature: UNSIGNED }
    }

    fn draw(&mut self) -> u32 {
        // Knuth's MMIX generator; its upper bits are good enough to spread accesses.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) % self.next_sequence.len() as u64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::super::funded_ledger::make;
    use super::*;
    use cbdc_ledger::VerifiedProposal;

    #[test]
    fn every_transfer_settles_under_every_rule() {
        let mut ledger = make(1_000, true).expect("the set-up settles");
        let mut transfers = Transfers::new(1_000);
        for _ in 0..10 {
            let bytes = transfers.proposal(500);
            let block = ledger.apply(&VerifiedProposal::from_own_log(&bytes).expect("the proposal decodes"));
            let refused = block.outcomes.iter().find(|outcome| !outcome.is_settled());
            assert_eq!((block.outcomes.len(), refused), (500, None));
        }
        ledger.check_invariants().expect("the invariants hold");
    }
}
