//! The dispatcher: it sends the commands of the outbox until their outcome is known.
//!
//! When the chain has a command's outcome, the replica removes the command, not this module; see `outbox` for how an
//! entry leaves. This module only decides when a command is sent again, and recognises those that can never settle.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cbdc_ledger::member::Role;
use cbdc_ledger::sequence::SequenceStatus;
use cbdc_ledger::{BankId, MemberId, Reason};
use cbdc_node::LedgerHandle;
use cbdc_proto::packed::{Answer, State};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::deposit_service::DepositService;
use crate::deposits::OrderedOutcome;
use crate::outbox::OutboxKey;
use crate::relay::{ANSWER_TIMEOUT, Relay, Relayed, Timeout};

/// Commands in one submission.
const BATCH: usize = 1_024;
/// Submissions in flight at once.
const SUBMISSIONS_MAX: usize = 16;
/// The pause before a command that found no capacity is sent again.
const SOON: Duration = Duration::from_millis(200);
/// The pause before a command is sent again whose outcome the chain should bring first.
const LATER: Duration = Duration::from_secs(3);
/// The interval at which the outbox is searched for expired commands.
const TICK: Duration = Duration::from_millis(500);

pub struct Dispatcher {
    pub bank: BankId,
    pub deposits: Arc<DepositService>,
    pub relay: Relay,
    pub ledger: LedgerHandle,
}

/// The commands of a submission and the answer to it.
type Submitted = (Vec<(OutboxKey, Bytes)>, Option<Relayed>);

impl Dispatcher {
    /// Sends until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut submitted = FuturesUnordered::new();
        let mut tick = tokio::time::interval(TICK);
        let mut reachable = self.relay.reachable();
        loop {
            while self.relay.is_reachable() && submitted.len() < SUBMISSIONS_MAX {
                let due = self.deposits.due(BATCH);
                if due.is_empty() {
                    break;
                }
                submitted.push(self.submit(due));
            }
            tokio::select! {
                () = self.deposits.outbox_changed.notified() => {}
                changed = reachable.changed() => if changed.is_err() { return },
                Some(answered) = submitted.next(), if !submitted.is_empty() => self.answered(answered).await,
                _ = tick.tick() => {
                    self.deposits.note_alive();
                    self.expire().await;
                }
                () = stop.cancelled() => return,
            }
        }
    }

    async fn submit(&self, due: Vec<(OutboxKey, Bytes)>) -> Submitted {
        let mut commands = BytesMut::with_capacity(due.iter().map(|(_, command)| command.len()).sum());
        due.iter().for_each(|(_, command)| commands.extend_from_slice(command));
        let relayed = match self.relay.submit(commands.freeze(), due.len(), Timeout::Exactly(ANSWER_TIMEOUT)) {
            Ok(relayed) => Some(relayed.await),
            Err(_) => None,
        };
        (due, relayed)
    }

    async fn expire(&self) {
        for key in self.deposits.expired() {
            self.deposits.give_back(key, Reason::Expired).await;
        }
    }

    async fn answered(&self, (due, relayed): Submitted) {
        let resent = relayed.as_ref().is_none_or(|relayed| relayed.resent);
        let answers = relayed.and_then(|relayed| relayed.answers.unpacked().ok()).unwrap_or_default();
        for (at, (key, _)) in due.iter().enumerate() {
            let answer = answers.get(at).copied().unwrap_or_else(Answer::unknown);
            self.answered_one(key, &answer, resent).await;
        }
    }

    async fn answered_one(&self, key: &OutboxKey, answer: &Answer, resent: bool) {
        if answer.state != State::Final {
            return self.deposits.again(key, SOON);
        }
        if answer.has_used_its_number() {
            // The replica removes it; but an accepted payment may have been settled before it was in the outbox.
            let has_passed = self.deposits.outlived(key, answer.height);
            if let (true, OutboxKey::Customer { .. }) = (has_passed, key) {
                let ordered = OrderedOutcome { height: answer.height, index: answer.index, outcome: answer.outcome };
                self.deposits.ordered(*key, ordered).await;
            }
            return self.deposits.again(key, LATER);
        }
        match answer.outcome.reason {
            Reason::Overloaded | Reason::SequenceOutOfWindow => self.deposits.again(key, SOON),
            reason if reason.leaves_status_open() => self.deposits.again(key, SOON),
            reason if reason.says_sequence_used() => {
                if self.is_used_by_another(key) {
                    self.deposits.give_back(*key, answer.outcome.reason).await;
                }
                self.deposits.again(key, LATER);
            }
            reason => {
                tracing::warn!(?key, %reason, "the central bank refuses a command of the outbox");
                let only_copy = !resent && self.deposits.copies(key) == Some(1);
                // An accepted payment waits until it can never settle: whoever has it may submit it too.
                let is_done = match key {
                    OutboxKey::Own { .. } => only_copy,
                    OutboxKey::Customer { .. } => reason.shows_never_ordered(),
                };
                if is_done {
                    self.deposits.give_back(*key, reason).await;
                }
                self.deposits.again(key, LATER);
            }
        }
    }

    /// Whether the chain has used the number, as far as the replica has booked it, and the command is still in the
    /// outbox: then another record used it.
    fn is_used_by_another(&self, key: &OutboxKey) -> bool {
        let topped_up = self.deposits.topped_up(key);
        let (is_used, height) = self.ledger.read(|ledger| {
            let of_holder = |account, sequence| {
                ledger.account(account).is_some_and(|account| account.window.status(sequence) == SequenceStatus::Used)
            };
            let is_used = match *key {
                OutboxKey::Own { sequence } => {
                    let seat = ledger.members().seat(Role::Bank, MemberId(self.bank.0));
                    let of_bank = seat.is_some_and(|seat| seat.window.status(sequence) == SequenceStatus::Used);
                    of_bank || topped_up.is_some_and(|(payer, sequence)| of_holder(payer, sequence))
                }
                OutboxKey::Customer { account, sequence } => of_holder(account, sequence),
            };
            (is_used, ledger.height())
        });
        is_used && self.deposits.outlived(key, height)
    }
}
