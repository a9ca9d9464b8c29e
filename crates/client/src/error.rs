//! The errors of a client, and the three answers that must never be confused: refused, unknown, unreachable.
//!
//! * [`ClientError::Refused`]: a rule refused the command as it was sent, and the reason is known.
//!   [`Refusal::finality`] says whether the record can still settle through another copy.
//! * [`ClientError::Unknown`]: the command may or may not have settled. Send **the same record** again, which is safe.
//! * [`ClientError::Unreachable`]: no connection could be made; nothing was sent.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cbdc_ledger::block::ProofError;
use cbdc_ledger::genesis::GenesisError;
use cbdc_ledger::{AccountId, Amount, Outcome, Reason, Timestamp};
pub use cbdc_proto::status::Finality;
use cbdc_proto::status::{finality_of, refusal_of};
use cbdc_proto::transport::{ConnectError, IdentityError};
use tonic::{Code, Status};

use crate::anchor::Anchor;
use crate::position::BlockPosition;

/// A refusal by a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The reason with its limit and amount.
    pub outcome: Outcome,
    /// The node's explanation.
    pub sentence: String,
    /// The position of the refused command in the chain; none if it was refused before it was ordered, which uses no
    /// sequence number.
    pub position: Option<BlockPosition>,
    /// The finality for the signed record, which may still settle if only a copy of it was refused.
    pub finality: Finality,
}

impl Refusal {
    /// The rule that refused the command.
    pub fn reason(&self) -> Reason {
        self.outcome.reason
    }

    /// The time until which the same record may still settle, by the chain's time, if a copy of it is sent; `None` if
    /// it never can, or if the node does not say. Until then, only the same record or another one with the same
    /// sequence number may be sent for the same intent.
    pub fn may_settle_until(&self) -> Option<Timestamp> {
        match self.finality {
            Finality::MaySettleUntil(until) => Some(until),
            Finality::Final | Finality::NotStated => None,
        }
    }

    /// Whether the outcome's limit and amount are money, in minor units; otherwise they are numbers or times.
    pub fn speaks_of_money(&self) -> bool {
        matches!(
            self.outcome.reason,
            Reason::InsufficientFunds
                | Reason::DepositTooSmall
                | Reason::DepositTooLarge
                | Reason::NotAccepted
                | Reason::FundsFrozen
                | Reason::HoldingLimit
                | Reason::PaymentLimit
                | Reason::DayLimit
                | Reason::SupplyCap
                | Reason::IssuanceQuota
                | Reason::InsufficientReserves
                | Reason::MaxFee
                | Reason::BalanceNotZero
                | Reason::FreezeExceeded
                | Reason::MonthLimit
                | Reason::TopUpMaximum
                | Reason::HoldExceeded
                | Reason::LinkedBankInactive
                | Reason::RecoverableFirst
                | Reason::CollateralTooLow
                | Reason::SecuritiesTooFew
        )
    }
}

impl Refusal {
    /// The refusal for people: as it is displayed, but with money in major units and the currency.
    pub fn describe(&self, anchor: &Anchor) -> String {
        let figures = self.figures(|minor| anchor.show(Amount::from_minor(minor)), "");
        format!("{}: {}{figures}", self.outcome.reason, self.sentence)
    }

    /// Limit and amount in brackets, each named; empty if the refusal has none.
    fn figures(&self, money: impl Fn(u64) -> String, unit: &str) -> String {
        let Outcome { reason, limit, amount, .. } = self.outcome;
        match reason {
            _ if (limit, amount) == (0, 0) => String::new(),
            Reason::DepositsInDoubt => format!(" (since block {limit}; booked up to block {amount})"),
            Reason::LostBlocks if limit > amount => {
                format!(" (a bank has block {limit}; the central bank's newest is {amount})")
            }
            Reason::LostBlocks => format!(" (a bank has another block {limit} than the central bank)"),
            Reason::Expired | Reason::CertificateExpired => {
                format!(" (valid until {}, and it was {})", Timestamp(limit), Timestamp(amount))
            }
            Reason::ValidityTooLong => format!(" (valid until {}, at most {})", Timestamp(amount), Timestamp(limit)),
            Reason::WalletMoved => match AccountId::from_u64(amount) {
                Some(account) => format!(" (now {account})"),
                None => String::new(),
            },
            reason if reason.says_sequence_used() => format!(" (number {amount})"),
            _ if self.speaks_of_money() => format!(" (limit {}, amount {}{unit})", money(limit), money(amount)),
            _ => format!(" (limit {limit}, amount {amount})"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.figures(|minor| minor.to_string(), " in minor units");
        write!(f, "{}: {}{figures}", self.outcome.reason, self.sentence)
    }
}

/// What to do where a status is unknown, unless the bank's answer says so already.
fn advice(why: &str) -> &'static str {
    if why.ends_with("which is safe") { "" } else { "; send the same record again, which is safe" }
}

/// An error of any call of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Membership could not be followed to the keys in force.
    #[error("membership could not be followed: {0}")]
    Membership(String),
    /// A rule refused the command as it was sent; see [`Refusal::finality`].
    #[error("refused with {0}")]
    Refused(Box<Refusal>),
    /// The bank took the payment into its outbox, because the central bank cannot be reached. It is not settled.
    #[error("accepted into the bank's outbox, not settled yet; ask again later, or send the same record again")]
    Accepted,
    /// The command may or may not have settled.
    #[error("whether the command settled is not known ({why}){}", advice(why))]
    Unknown {
        /// Why the status could not be learned.
        why: String,
    },
    /// The node could not be reached; nothing was sent.
    #[error("cannot reach the node at {address}: {reason}; check that it runs and that the address is right")]
    Unreachable {
        /// The node's address, `host:port`.
        address: String,
        /// The transport's error.
        reason: String,
    },
    /// No node of the central bank leads, or answers what only the leader knows; each has said why. Nothing was sent.
    #[error("no node of the central bank takes this just now ({said}); try again in a moment")]
    NoLeader {
        /// Each node's address, and what it said or why it said nothing.
        said: String,
    },
    /// Leadership was not handed over: the node that leads leads on.
    #[error("leadership was not handed over, and the same node leads on: {reason}")]
    NotHandedOver {
        /// Why, by the node that leads.
        reason: String,
    },
    /// The node did not answer a request in time, or broke off.
    #[error("the node at {address} gave no answer: {reason}; asking again is safe")]
    NoAnswer {
        /// The node's address, `host:port`.
        address: String,
        /// The failure, or how long the call waited.
        reason: String,
    },
    /// The requested thing does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// Any other gRPC status.
    #[error("the node at {address} answered {code:?}: {message}")]
    Status {
        /// The node's address, `host:port`.
        address: String,
        /// The gRPC status code.
        code: Code,
        /// The node's explanation.
        message: String,
    },
    /// The answer violates the contract.
    #[error("the answer of the node at {address} cannot be used: {reason}")]
    BadAnswer {
        /// The node's address, `host:port`.
        address: String,
        /// The expected and the found value.
        reason: String,
    },
    /// The node serves another network than the one that is trusted.
    #[error("expected a node of network {expected}, found one of network {found}; check the address and the genesis")]
    OtherNetwork {
        /// The id of the trusted network.
        expected: String,
        /// The id that the node gave.
        found: String,
    },
    /// A header's signatures or a receipt's path do not verify.
    #[error("the proof does not hold: {0}")]
    Proof(#[from] ProofError),
    /// A sound receipt, but of another command.
    #[error("expected a receipt of {expected}, found one of {found}")]
    OtherReceipt {
        /// The requested command.
        expected: String,
        /// The command that the receipt proves.
        found: String,
    },
    /// The whole window of sequence numbers is in flight.
    #[error(
        "all {window} sequence numbers that may be in flight are in use; wait until the status of earlier commands is \
        known"
    )]
    SequencesExhausted {
        /// The number of sequence numbers that may be in flight.
        window: u64,
    },
    /// Membership, as far as it was followed, names no such member, or no node key for it.
    #[error(
        "{role} {id} is no active member with a node key, as far as membership was followed here; known are {known}. If \
        the committee has admitted it since, follow that first (cbdc anchor --update)"
    )]
    UnknownMember {
        /// The requested role.
        role: String,
        /// The member's number.
        id: u16,
        /// The members with a node key, as `role number`.
        known: String,
    },
    /// The client signs for another role, or for none.
    #[error("expected the key of a {expected} for this command, found that of {found}")]
    WrongRole {
        /// The role that may sign the command.
        expected: &'static str,
        /// The signer's role and number, or `nobody`.
        found: String,
    },
    /// No member whose keys are in the folder may do this; the sentence says why.
    #[error("{0}")]
    NobodyActs(String),
    /// An argument cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A file or a folder cannot be used.
    #[error("{path} cannot be used: {reason}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// The bytes of a genesis are not sound.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A certificate or a key file cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An address cannot be connected to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl From<Refusal> for ClientError {
    fn from(refusal: Refusal) -> Self {
        ClientError::Refused(Box::new(refusal))
    }
}

/// The meaning of a status for the command that it answers.
pub(crate) enum Verdict {
    /// A rule refused the command before it was ordered.
    Refused(Refusal),
    /// No connection was made: nothing was sent.
    Unreachable(String),
    /// The command may have been ordered.
    Uncertain(String),
    /// The call itself was wrong.
    Other,
}

pub(crate) fn verdict(status: &Status) -> Verdict {
    if let Some(reason) = connect_failure(status) {
        return Verdict::Unreachable(reason);
    }
    match refusal_of(status) {
        Some(outcome) if !outcome.reason.leaves_status_open() => {
            let (sentence, finality) = (status.message().to_owned(), finality_of(status));
            return Verdict::Refused(Refusal { outcome, sentence, position: None, finality });
        }
        _ => {}
    }
    match status.code() {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Unknown
        | Code::Internal
        | Code::Aborted => Verdict::Uncertain(sentence_of(status)),
        _ => Verdict::Other,
    }
}

fn sentence_of(status: &Status) -> String {
    match status.message() {
        "" => format!("{:?}", status.code()),
        message => message.to_owned(),
    }
}

/// The innermost cause, if no connection could be made.
fn connect_failure(status: &Status) -> Option<String> {
    let mut source = std::error::Error::source(status);
    let mut is_connect = false;
    let mut innermost = String::new();
    while let Some(error) = source {
        is_connect |= error.is::<tonic::ConnectError>();
        innermost = error.to_string();
        source = error.source();
    }
    is_connect.then_some(innermost)
}

/// The error for a status that answers a request other than a command.
pub(crate) fn of_status(address: &str, status: &Status) -> ClientError {
    let address = address.to_owned();
    if status.code() == Code::NotFound {
        return ClientError::NotFound(status.message().to_owned());
    }
    match verdict(status) {
        Verdict::Refused(refusal) => refusal.into(),
        Verdict::Unreachable(reason) => ClientError::Unreachable { address, reason },
        Verdict::Uncertain(reason) => ClientError::NoAnswer { address, reason },
        Verdict::Other => ClientError::Status { address, code: status.code(), message: status.message().to_owned() },
    }
}

pub(crate) fn no_answer(address: &str, deadline: Duration) -> ClientError {
    ClientError::NoAnswer {
        address: address.to_owned(),
        reason: format!("none came within {} ms", deadline.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_proto::status::of_refusal;

    #[test]
    fn a_rules_refusal_is_known_and_a_broken_stream_is_not() {
        let refusal = of_refusal(&Outcome::refused(Reason::BadSignature, 0, 0));
        assert!(matches!(verdict(&refusal), Verdict::Refused(found) if found.reason() == Reason::BadSignature));
        for status in
            [Status::unavailable("gone"), Status::deadline_exceeded(""), Status::unknown("h2"), Status::cancelled("")]
        {
            assert!(matches!(verdict(&status), Verdict::Uncertain(_)), "{status:?}");
        }
    }

    #[test]
    fn a_node_that_cannot_settle_just_now_leaves_the_status_unknown() {
        for reason in [Reason::Unavailable, Reason::ClockJump, Reason::LostBlocks] {
            let status = of_refusal(&Outcome::refused(reason, 0, 0));
            assert!(matches!(verdict(&status), Verdict::Uncertain(_)), "{reason}");
        }
    }

    #[test]
    fn a_refusal_is_said_in_full() {
        let outcome = Outcome::refused(Reason::HoldingLimit, 300_000, 310_000);
        let (sentence, finality) = (outcome.reason.text().to_owned(), Finality::Final);
        let refusal = Refusal { outcome, sentence, position: None, finality };
        let text = ClientError::from(refusal).to_string();
        assert!(
            text.starts_with("refused with HOLDING_LIMIT") && text.contains("300000") && text.contains("310000"),
            "{text}"
        );
    }

    #[test]
    fn people_are_told_amounts_in_the_currency_and_dates_as_they_are() {
        let genesis = hex(include_str!("../tests/vectors/genesis.hex"));
        let anchor = Anchor::new(cbdc_ledger::Genesis::from_bytes(&genesis).unwrap());
        let finality = Finality::Final;
        let refusal = |outcome| Refusal { outcome, sentence: "Why.".to_owned(), position: None, finality };
        let told = |outcome: Outcome| refusal(outcome).describe(&anchor);
        let (limit, amount) = (anchor.show(Amount::from_minor(300_000)), anchor.show(Amount::from_minor(310_000)));
        assert!(limit.starts_with("3,000.00 "), "{limit}");
        let refused = told(Outcome::refused(Reason::HoldingLimit, 300_000, 310_000));
        assert_eq!(refused, format!("HOLDING_LIMIT: Why. (limit {limit}, amount {amount})"));
        assert_eq!(told(Outcome::refused(Reason::Velocity, 3, 4)), "VELOCITY: Why. (limit 3, amount 4)");
        let doubt = told(Outcome::refused(Reason::DepositsInDoubt, 3, 4));
        assert_eq!(doubt, "DEPOSITS_IN_DOUBT: Why. (since block 3; booked up to block 4)");
        let lost = told(Outcome::refused(Reason::LostBlocks, 8, 3));
        assert_eq!(lost, "LOST_BLOCKS: Why. (a bank has block 8; the central bank's newest is 3)");
        let forked = told(Outcome::refused(Reason::LostBlocks, 3, 3));
        assert_eq!(forked, "LOST_BLOCKS: Why. (a bank has another block 3 than the central bank)");
        let expired = told(Outcome::refused(Reason::Expired, 1_764_000_000_000, 1_764_000_001_000));
        assert_eq!(
            expired,
            "EXPIRED: Why. (valid until 2025-11-24T16:00:00.000Z, and it was 2025-11-24T16:00:01.000Z)"
        );
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let digit = |byte: u8| (byte as char).to_digit(16).expect("a hexadecimal digit") as u8;
        digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }
}
