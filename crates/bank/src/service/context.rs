//! The parts of the bank that most requests need: its number, its replica of the ledger, its deposits and its
//! connection to the central bank.

use std::sync::Arc;
use std::time::Duration;

use cbdc_ledger::{AccountId, Amount, BankId, Height, Outcome, Reason};
use cbdc_node::source_standing::{SourceStanding, Turn};
use cbdc_node::{ArchiveError, LedgerHandle, Share};
use cbdc_proto::answers::Answers;
use cbdc_proto::convert::account;
use cbdc_proto::packed::Answer;
use cbdc_proto::status::{invalid, of_reason, of_refusal, unavailable};
use cbdc_proto::v1;
use tonic::Status;

use crate::deposit_service::DepositService;
use crate::deposits::Deposit;
use crate::relay::{CentralBankState, Relay};

/// The longest wait for the replica after an outcome is known.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(5);

/// The time that one command waits for its turn if its source is slowed.
const TURN_TIMEOUT: Duration = Duration::from_secs(3);

/// The parts of the bank that most requests need.
#[derive(Clone)]
pub struct BankContext {
    pub bank: BankId,
    pub ledger: LedgerHandle,
    pub deposits: Arc<DepositService>,
    pub relay: Relay,
}

impl BankContext {
    /// Whether the bank keeps a partial replica.
    pub fn is_partial_replica(&self) -> bool {
        self.ledger.read(|ledger| ledger.partial_replica_of().is_some())
    }

    /// An account of this bank, in IBAN form.
    pub fn own_account(&self, field: &str, text: &str) -> Result<AccountId, Status> {
        let account = account(field, text)?;
        if account.bank != self.bank {
            let sentence = format!("expected an account of bank {}, found one of bank {}", self.bank, account.bank);
            return Err(invalid(field, sentence));
        }
        Ok(account)
    }

    /// An account that has or may have a deposit here: of this bank, or linked to it.
    pub fn deposit_account(&self, field: &str, text: &str) -> Result<AccountId, Status> {
        let found = account(field, text)?;
        let is_linked = || {
            self.ledger.read(|ledger| ledger.open_wallet(found).is_some_and(|wallet| wallet.linked_bank == self.bank))
        };
        if found.bank == self.bank || self.deposits.has_linked_deposit(found) || is_linked() {
            return Ok(found);
        }
        let sentence = format!(
            "expected an account of bank {}, or one that is linked to it; found one of bank {}",
            self.bank, found.bank
        );
        Err(invalid(field, sentence))
    }

    /// Refuses an account that is not an open wallet.
    pub fn require_open_wallet(&self, account: AccountId) -> Result<(), Status> {
        match self.ledger.read(|ledger| ledger.open_wallet(account).is_some()) {
            true => Ok(()),
            false => Err(of_refusal(&Outcome::refused(Reason::UnknownAccount, 0, 0))),
        }
    }

    /// A wallet's deposit, as a message.
    ///
    /// # Errors
    /// `CATCHING_UP`, `DEPOSITS_IN_DOUBT`.
    pub async fn deposit_of(&self, id: AccountId) -> Result<v1::Deposit, Status> {
        let deposit = self.deposits.certain_deposit(id).await.map_err(|refusal| of_refusal(&refusal))?;
        Ok(deposit_message(id, &deposit))
    }

    /// The answer if a record's status is unknown, as far as is known why.
    pub fn status_unknown(&self) -> Status {
        if let Some((shown, newest)) = self.relay.lost_blocks() {
            let lacks = match shown > newest {
                true => format!("its newest block is {newest}, and a bank has block {shown}"),
                false => format!("a bank has another block {shown} than it has"),
            };
            return unavailable(format!(
                "the central bank has lost blocks that the network has settled ({lacks}), and settles nothing until an \
                operator has mended that; whether the command was ordered is not known; \
                ask again, or send the same request again, which is safe"
            ));
        }
        match self.relay.central_bank_state() {
            CentralBankState::NotSettling => unavailable(
                "the central bank answers that it settles nothing now: it waits for banks after its start, or for an \
                operator; whether the command was ordered, or will be once it settles, is not known; ask again, or \
                send the same request again, which is safe",
            ),
            CentralBankState::Serving | CentralBankState::Unreachable => status_unknown(),
        }
    }

    /// Waits until the replica has followed the block at `height`; false if that takes too long.
    pub async fn replica_at(&self, height: Height) -> bool {
        let mut announced = self.ledger.announced();
        let reached = announced.wait_for(|reached| *reached >= height);
        matches!(tokio::time::timeout(REPLICA_TIMEOUT, reached).await, Ok(Ok(_)))
    }
}

/// A deposit, as a message.
pub fn deposit_message(id: AccountId, deposit: &Deposit) -> v1::Deposit {
    v1::Deposit {
        account: id.to_string(),
        balance_minor: deposit.balance.minor(),
        in_transit_minor: deposit.in_transit.minor(),
    }
}

/// An amount field that must be more than zero.
pub fn positive_amount(amount_minor: u64) -> Result<Amount, Status> {
    match amount_minor {
        0 => Err(invalid("amount_minor", "expected more than 0, found 0")),
        minor => Ok(Amount::from_minor(minor)),
    }
}

/// The answer to the only command of a submission.
pub fn only_answer(answers: &Answers) -> Answer {
    answers.only().unwrap_or_else(Answer::unknown)
}

/// The answer if a record's status is unknown.
pub fn status_unknown() -> Status {
    unavailable(
        "the central bank has not answered: whether the command was ordered is not known; ask again, or send the same \
        request again, which is safe",
    )
}

/// The same, if the present copy was refused for a reason that says nothing about the others.
pub fn status_unknown_beside(reason: Reason) -> Status {
    match reason {
        Reason::Unavailable => status_unknown(),
        Reason::LostBlocks => of_reason(reason, reason.text()),
        reason => unavailable(format!(
            "this copy was refused with {reason}, but another was sent before or may have been: whether that one was \
            ordered is not known; ask again, or send the same request again, which is safe"
        )),
    }
}

/// The turn of one command among those of its source ([`SourceStanding`]); `None` if it does not come in time.
pub async fn turn() -> Option<Turn> {
    SourceStanding::current().turn_within(TURN_TIMEOUT).await
}

/// The refusal if a turn does not come in time.
pub fn slowed() -> Status {
    of_reason(
        Reason::Overloaded,
        "too much of what came from this address was refused of late; try again in a few seconds",
    )
}

/// Runs a task to its end, even if its caller gives up: what has left this node is answered and counted. `None` if the
/// node stops.
pub async fn to_its_end<R: Send + 'static>(work: impl Future<Output = R> + Send + 'static) -> Option<R> {
    let working = match Share::current() {
        Some(share) => tokio::spawn(share.scope(work)),
        None => tokio::spawn(work),
    };
    working.await.ok()
}

/// Runs a look-up that may read the disk on a blocking thread.
pub async fn look_up<R: Send + 'static>(
    look: impl FnOnce() -> Result<R, ArchiveError> + Send + 'static,
) -> Result<R, Status> {
    let looked = cbdc_node::look_up(look).await;
    looked.map_err(|_| unavailable("the node is stopping"))?.map_err(|error| {
        tracing::error!(%error, "the archive cannot be read");
        Status::data_loss(error.to_string())
    })
}
