//! The issuance queue: banks ask, the operator agrees.
//!
//! A request waits here, signed by its bank, until an operator fetches it and submits an order that carries it. Where
//! the node is configured with an operator's key, it signs the order itself at once: the committee's limits (cap,
//! quota) are in the ledger and hold either way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cbdc_ledger::command::{Head, IssuanceOrder, IssuanceRequest, Record, Signed, Signer};
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::OtherCopies;
use cbdc_ledger::{BankId, Command, Ledger, MemberId, NetworkId, Outcome, Reason, SigningKey, Timestamp};
use cbdc_node::LedgerHandle;
use cbdc_node::re_sign::{Attempt, sign_until_done};
use cbdc_proto::packed::Answer;

use crate::intake::Intake;
use crate::reply_cache::ReplyCache;

/// Requests of one bank that may wait.
const WAITING_MAX: usize = 64;

/// Requests by bank and the bank's sequence number.
type Waiting = BTreeMap<(BankId, u64), Signed<IssuanceRequest>>;

/// An operator's key that this node may sign orders with.
pub struct OperatorKey {
    pub member: MemberId,
    pub key: SigningKey,
}

#[derive(Clone)]
pub struct IssuanceQueue {
    network: NetworkId,
    operator: Option<Arc<OperatorKey>>,
    ledger: LedgerHandle,
    intake: Intake,
    reply_cache: ReplyCache,
    waiting: Arc<Mutex<Waiting>>,
    /// One order is signed at a time, so that sequence numbers are taken in turn.
    signing: Arc<tokio::sync::Mutex<()>>,
}

impl IssuanceQueue {
    pub fn new(
        network: NetworkId,
        operator: Option<OperatorKey>,
        ledger: LedgerHandle,
        intake: Intake,
        reply_cache: ReplyCache,
    ) -> IssuanceQueue {
        IssuanceQueue {
            network,
            operator: operator.map(Arc::new),
            ledger,
            intake,
            reply_cache,
            waiting: Arc::default(),
            signing: Arc::default(),
        }
    }

    /// Takes a bank's request in. Gives its answer if the order was signed at once, `None` while it waits for the
    /// operator.
    pub async fn request(&self, request: Signed<IssuanceRequest>) -> Result<Option<Answer>, Outcome> {
        if let Some(first) = self.first_answer(&request) {
            return first.map(Some);
        }
        match &self.operator {
            Some(operator) => self.order(operator, request).await.map(Some),
            None => self.wait_for_operator(request).map(|()| None),
        }
    }

    /// The answer to a request whose sequence number was used before.
    fn first_answer(&self, request: &Signed<IssuanceRequest>) -> Option<Result<Answer, Outcome>> {
        if self.is_unused(request) {
            return None;
        }
        let sequence = request.record.head.sequence;
        let bank = Signer::Member(Role::Bank, MemberId(request.record.bank.0));
        Some(match self.reply_cache.find(bank, sequence) {
            Some((Command::Issuance(order), answer)) if order.record.request == *request => Ok(answer),
            Some(_) => Err(Outcome::refused(Reason::SequenceConflict, 0, sequence)),
            None => Err(Outcome::refused(Reason::SequenceUsed, 0, sequence)),
        })
    }

    fn wait_for_operator(&self, request: Signed<IssuanceRequest>) -> Result<(), Outcome> {
        let now = self.ledger.read(|ledger| ledger.tip().time);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, request| request.record.head.valid_until >= now);
        let bank = request.record.bank;
        let of_bank = waiting.keys().filter(|(waiting_bank, _)| *waiting_bank == bank).count();
        if of_bank >= WAITING_MAX {
            return Err(Outcome::refused(Reason::Overloaded, WAITING_MAX as u64, of_bank as u64 + 1));
        }
        waiting.insert((bank, request.record.head.sequence), request);
        Ok(())
    }

    /// Requests that wait and could still settle.
    pub fn waiting(&self) -> Vec<Signed<IssuanceRequest>> {
        let now = self.ledger.read(|ledger| ledger.tip().time);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, request| request.record.head.valid_until >= now && self.is_unused(request));
        waiting.values().copied().collect()
    }

    fn is_unused(&self, request: &Signed<IssuanceRequest>) -> bool {
        let sequence = request.record.head.sequence;
        self.ledger.read(|ledger| {
            let seat = ledger.members().bank(request.record.bank);
            seat.is_some_and(|seat| seat.window.status(sequence) == cbdc_ledger::sequence::SequenceStatus::Free)
        })
    }

    /// Signs the order and submits it. The same request, made twice at once, is ordered once.
    async fn order(&self, operator: &OperatorKey, request: Signed<IssuanceRequest>) -> Result<Answer, Outcome> {
        let _turn = self.signing.lock().await;
        sign_until_done(|| self.order_once(operator, request)).await
    }

    async fn order_once(
        &self,
        operator: &OperatorKey,
        request: Signed<IssuanceRequest>,
    ) -> Attempt<Result<Answer, Outcome>> {
        if let Some(first) = self.first_answer(&request) {
            return Attempt::Done(first);
        }
        let Some(head) = self.ledger.read(|ledger| operator_head(ledger, operator.member, &request.record)) else {
            return Attempt::Done(Err(Outcome::refused(Reason::UnknownMember, 0, 0)));
        };
        let order = IssuanceOrder { head, operator: operator.member, request };
        let signed = order.sign(self.network, &operator.key);
        let answer = self.intake.submit_one((Role::Operator, operator.member), signed.into()).await;
        // The order was submitted once.
        match answer.outcome.reason.shows_sequence_taken(OtherCopies::NotOrdered) {
            true => Attempt::SignAgain(Ok(answer)),
            false => Attempt::Done(Ok(answer)),
        }
    }
}

/// The operator's next sequence number; the order is valid as long as the request.
fn operator_head(ledger: &Ledger, operator: MemberId, request: &IssuanceRequest) -> Option<Head> {
    let seat = ledger.members().active(Role::Operator, operator)?;
    let valid_until = Timestamp(request.head.valid_until.0);
    Some(Head { flags: 0, key_version: seat.key_version, sequence: seat.window.lowest_unused(), valid_until })
}
