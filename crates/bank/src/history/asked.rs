//! A cache of commands recently looked up by their sequence numbers.
//!
//! A number is used once, so a result never changes. Misses are not cached.

use std::collections::HashMap;

use cbdc_ledger::AccountId;

use super::PastCommand;

/// Commands in each of the two generations.
const GENERATION_MAX: usize = 8_192;

/// The commands: the newest ones, and those before.
#[derive(Default)]
pub(super) struct Asked {
    newest: HashMap<(AccountId, u64), PastCommand>,
    before: HashMap<(AccountId, u64), PastCommand>,
}

impl Asked {
    pub(super) fn get(&self, wallet: AccountId, sequence: u64) -> Option<PastCommand> {
        let key = (wallet, sequence);
        self.newest.get(&key).or_else(|| self.before.get(&key)).cloned()
    }

    pub(super) fn insert(&mut self, wallet: AccountId, sequence: u64, found: &PastCommand) {
        if self.newest.len() >= GENERATION_MAX {
            self.before = std::mem::take(&mut self.newest);
        }
        self.newest.insert((wallet, sequence), found.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deposits::OrderedOutcome;
    use cbdc_ledger::command::{Head, Payment, PaymentKind};
    use cbdc_ledger::{Amount, BankId, Height, Outcome, Signature, Signed, Timestamp};

    #[test]
    fn what_was_found_is_kept_for_a_while_and_never_more_than_two_generations() {
        let wallet = AccountId::new(BankId(1), 1);
        let past = |sequence: u64| {
            let head = Head { sequence, ..Head::default() };
            let (amount, max_fee, reference) = (Amount::from_minor(1), Amount::ZERO, [0; 16]);
            let record =
                Payment { kind: PaymentKind::Transfer, head, from: wallet, to: wallet, amount, max_fee, reference };
            let command = Signed { record, signature: Signature([0; 64]) }.into();
            let ordered = OrderedOutcome { height: Height(sequence), index: 0, outcome: Outcome::settled() };
            PastCommand { command, ordered, time: Timestamp(0) }
        };
        let mut asked = Asked::default();
        for sequence in 1..=3 * GENERATION_MAX as u64 {
            assert!(asked.get(wallet, sequence).is_none());
            asked.insert(wallet, sequence, &past(sequence));
            let found = asked.get(wallet, sequence).unwrap();
            assert_eq!((found.command, found.ordered.height), (past(sequence).command, Height(sequence)));
            assert!(asked.newest.len() + asked.before.len() <= 2 * GENERATION_MAX);
        }
        assert!(asked.get(wallet, 1).is_none() && asked.get(wallet, 2 * GENERATION_MAX as u64).is_some());
    }
}
