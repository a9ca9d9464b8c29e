//! Outcomes and their reasons: one table, in the same words in the API, the command line and the docs.

use std::fmt;

use crate::types::amount::Amount;

/// Bytes of an outcome in blocks.
pub const OUTCOME_BYTES: usize = 24;

/// The stage at which a reason arises, and its effect on the sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The command settled; its sequence number is used.
    Settled,
    /// Refused before ordering, or ordered without effect: no sequence number is used.
    BeforeOrdering,
    /// Refused when applied: the sequence number is used, and the refusal is final.
    Applied,
}

macro_rules! reasons {
    ($($code:literal $variant:ident $name:literal $stage:ident later=$later:literal $text:literal)*) => {
        /// The reason why a command was settled or refused.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        pub enum Reason { $(#[doc = $text] $variant = $code,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];

            /// The stable name, as in `google.rpc.ErrorInfo.reason`.
            pub const fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }

            /// The meaning, as a sentence.
            pub const fn text(self) -> &'static str {
                match self { $(Reason::$variant => $text,)* }
            }

            /// The stage at which the reason arises.
            pub const fn stage(self) -> Stage {
                match self { $(Reason::$variant => Stage::$stage,)* }
            }

            /// Whether the same intent, re-signed, may succeed later.
            pub const fn later_may_help(self) -> bool {
                match self { $(Reason::$variant => $later,)* }
            }

            /// The reason with a code; `None` if it is unknown.
            pub const fn from_code(code: u16) -> Option<Reason> {
                match code { $($code => Some(Reason::$variant),)* _ => None }
            }

            /// The reason with a stable name; `None` if it is unknown.
            pub fn from_name(name: &str) -> Option<Reason> {
                match name { $($name => Some(Reason::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    0  Settled             "SETTLED"               Settled        later=false "The command settled; it is final."
    1  Malformed           "MALFORMED"             BeforeOrdering later=false
        "The record is not of the form that its kind demands."
    2  BadSignature        "BAD_SIGNATURE"         BeforeOrdering later=false
        "The signature does not fit the record, the network and the signer's key."
    3  UnknownAccount      "UNKNOWN_ACCOUNT"       BeforeOrdering later=false
        "The signer's account does not exist or is closed."
    4  UnknownMember       "UNKNOWN_MEMBER"        BeforeOrdering later=false
        "The signer is not a member in that role, or was dismissed."
    5  KeyChanged          "KEY_CHANGED"           BeforeOrdering later=false
        "The record names another version of the signer's key than the one in force; limit is the version in force, \
         amount the one named."
    6  SequenceUsed        "SEQUENCE_USED"         BeforeOrdering later=false
        "The sequence number was used before; the first outcome stands."
    7  SequenceConflict    "SEQUENCE_CONFLICT"     BeforeOrdering later=false
        "The sequence number was used before by a different record."
    8  SequenceOutOfWindow "SEQUENCE_OUT_OF_WINDOW" BeforeOrdering later=true
        "The sequence number lies outside the window above the lowest unused one; limit is the lowest unused one, \
         amount the number found."
    9  NotAuthorised       "NOT_AUTHORISED"        BeforeOrdering later=false "This member may not submit this command."
    10 Overloaded          "OVERLOADED"            BeforeOrdering later=true
        "The queue is full; the command was not admitted."
    11 Unavailable         "UNAVAILABLE"           BeforeOrdering later=true
        "The node cannot settle at the moment; whether the command was ordered is not known, and sending the same \
         record again is safe."
    12 ClockJump           "CLOCK_JUMP"            BeforeOrdering later=true
        "The node's clock has jumped; it seals no block until an operator accepts the clock."
    13 DepositTooSmall     "DEPOSIT_TOO_SMALL"     BeforeOrdering later=true
        "The customer's deposit is too small; limit is its balance."
    14 NotAccepted         "NOT_ACCEPTED"          BeforeOrdering later=true
        "The central bank does not answer, and the wallet has too little for the bank to accept the payment \
         meanwhile; limit is what is available less what was accepted before, amount what is needed."
    15 DepositTooLarge     "DEPOSIT_TOO_LARGE"     BeforeOrdering later=true
        "The customer's deposit would be larger than a bank's book takes; limit is the most that it takes, amount \
         what would be added."
    16 Expired             "EXPIRED"               Applied        later=true
        "The record's valid-until has passed; limit is valid-until, amount the block's time, both in ms since 1970 \
         UTC."
    17 ValidityTooLong     "VALIDITY_TOO_LONG"     Applied        later=true
        "The record's valid-until lies further ahead than genesis allows; limit is the latest allowed, in ms since \
         1970 UTC."
    18 AmountZero          "AMOUNT_ZERO"           Applied        later=false "The amount is zero."
    19 SameAccount         "SAME_ACCOUNT"          Applied        later=false "Payer and payee are the same account."
    20 UnknownPayee        "UNKNOWN_PAYEE"         Applied        later=true
        "The payee's account does not exist, is closed, or is not of the kind that this command pays."
    21 WrongBank           "WRONG_BANK"            Applied        later=false "The account belongs to another bank."
    22 InsufficientFunds   "INSUFFICIENT_FUNDS"    Applied        later=true
        "The payer has too little available; limit is what is available."
    23 FundsFrozen         "FUNDS_FROZEN"          Applied        later=true
        "An order has frozen the money that this payment needs, or bars the wallet's closing; limit is what is not \
         frozen."
    24 HoldingLimit        "HOLDING_LIMIT"         Applied        later=true
        "The payee's holder would hold more than the holding limit of their class; limit is that limit, amount what \
         would be credited."
    25 PaymentLimit        "PAYMENT_LIMIT"         Applied        later=false
        "The amount is above the payment limit of the payer's class."
    26 DayLimit            "DAY_LIMIT"             Applied        later=true
        "The payer's holder would pay more this ledger day than the day limit of their class; limit is that limit, \
         amount what they would have paid."
    27 SupplyCap           "SUPPLY_CAP"            Applied        later=true
        "The CBDC in circulation would pass the supply cap; limit is the cap, amount what would circulate."
    28 IssuanceQuota       "ISSUANCE_QUOTA"        Applied        later=true
        "The bank's issuance of this ledger day would pass its quota; limit is the quota, amount what would be \
         issued."
    29 InsufficientReserves "INSUFFICIENT_RESERVES" Applied       later=true
        "The bank has too few reserves; limit is what it has."
    30 MaxFee              "MAX_FEE"               Applied        later=true
        "The fee is above the largest that the payer accepts; limit is what the payer accepts, amount the fee."
    31 KeyInUse            "KEY_IN_USE"            Applied        later=false
        "A wallet of the network has this key, or had it: a key signs for one wallet, once."
    32 KeyUnacceptable     "KEY_UNACCEPTABLE"      Applied        later=false
        "The key is not a point of the curve, or is of small order."
    33 HolderClassMismatch "HOLDER_CLASS_MISMATCH" Applied        later=false
        "The holder is registered in another class; limit is that class."
    34 UnknownClass        "UNKNOWN_CLASS"         Applied        later=false "Policy knows no such class."
    35 BalanceNotZero      "BALANCE_NOT_ZERO"      Applied        later=true
        "A wallet with money on it cannot be closed; amount is the balance."
    36 UnknownProposal     "UNKNOWN_PROPOSAL"      Applied        later=false "There is no such proposal."
    37 ProposalClosed      "PROPOSAL_CLOSED"       Applied        later=false
        "The proposal was enacted, rejected or withdrawn, or has expired."
    38 ActionUnacceptable "ACTION_UNACCEPTABLE"  Applied        later=false
        "An action of the proposal cannot be enacted; amount is its index, from 0."
    39 BankNotActive       "BANK_NOT_ACTIVE"       Applied        later=true  "The bank is not an active member."
    40 Overflow            "OVERFLOW"              Applied        later=false "A sum would exceed 2^64 − 1 minor units."
    41 UnknownRegistrar    "UNKNOWN_REGISTRAR"     BeforeOrdering later=false
        "The certificate's registrar is not an active member, or its key has changed."
    43 FreezeExceeded      "FREEZE_EXCEEDED"       Applied        later=false
        "More would be unfrozen than is frozen; limit is what is frozen."
    44 MonthLimit          "MONTH_LIMIT"           Applied        later=true
        "The payer's holder would pay more this calendar month than the month limit of their class; limit is that \
         limit, amount what they would have paid."
    45 Velocity            "VELOCITY"              Applied        later=true
        "The payer's holder would make more payments within the rolling window than the velocity rule of their class \
         allows; limit is that number of payments, amount the number it would be."
    46 LinkedBankInactive  "LINKED_BANK_INACTIVE"  Applied        later=true
        "The payee would be above the holding limit, and the linked bank that takes the excess is not active; limit \
         is the holding limit, amount what would be credited."
    47 NotLinked           "NOT_LINKED"            BeforeOrdering      later=false
        "The payer's wallet is not linked to the bank that would top it up; limit is the number of the linked bank, \
         0 for none, amount that of the bank that signed."
    48 TopUpMaximum        "TOP_UP_MAXIMUM"        Applied        later=true
        "The payer lacks more than the linked bank agreed to give; limit is what it agreed to, amount what is \
         lacking."
    49 UnknownHold         "UNKNOWN_HOLD"          Applied        later=false
        "There is no such open hold for a payee of this bank: it was captured or voided, it has expired, or it never \
         was."
    50 HoldExceeded        "HOLD_EXCEEDED"         Applied        later=true
        "More would be captured than is held; limit is the hold's maximum."
    51 TooManyHolds        "TOO_MANY_HOLDS"        Applied        later=true
        "The payer has so many open holds that no more are accepted; limit is that number."
    52 BankSuspended       "BANK_SUSPENDED"        Applied        later=true
        "The bank is suspended: it may open no wallets and have no CBDC issued."
    53 CollateralTooLow    "COLLATERAL_TOO_LOW"    Applied        later=true
        "The bank's pledged collateral after the haircut does not cover its loans; limit is what it covers, amount \
         what it would have to cover."
    54 SecuritiesTooFew    "SECURITIES_TOO_FEW"    Applied        later=false
        "The central bank holds too few securities; limit is their nominal amount."
    55 MaturityPast        "MATURITY_PAST"         Applied        later=false
        "The loan would mature today or earlier; limit is the first day it may mature on, amount the day named, both \
         in days since 1970."
    56 UnknownHolder       "UNKNOWN_HOLDER"        Applied        later=true  "No such holder is registered."
    57 DesignatedWallet    "DESIGNATED_WALLET"     Applied        later=true
        "This wallet carries the tier allowance of a holder who has other wallets: it can close once the holder has \
         designated another."
    58 NotTheProposer      "NOT_THE_PROPOSER"      Applied        later=false
        "Only the member that proposed it may withdraw a proposal."
    59 BankNotResolved     "BANK_NOT_RESOLVED"     Applied        later=true
        "The operation is for resolved banks alone, and this one is not resolved."
    60 RecoverableFirst    "RECOVERABLE_FIRST"     Applied        later=true
        "The bank has reserves or collateral left, which pay before a loss is taken; limit is what is left."
    70 CertificateExpired   "CERTIFICATE_EXPIRED"   Applied        later=true
        "A certificate or consent that the command carries has expired; limit is its end, amount the block's \
         time, both in ms since 1970 UTC."
    71 CertificateSpent     "CERTIFICATE_SPENT"     Applied        later=false
        "The certificate replaces another version of the wallet's key than the one in force; limit is the version in \
         force, amount the one it replaces."
    72 ConsentVoid          "CONSENT_VOID"          BeforeOrdering later=true
        "The bank whose consent the command carries is not an active member, or its key has changed."
    73 WalletMoved          "WALLET_MOVED"          Applied        later=false
        "The wallet has moved to another bank; amount is its new account id."
    74 SameBank             "SAME_BANK"             Applied        later=false "The wallet is at this bank already."
    75 RequestRejected      "REQUEST_REJECTED"      BeforeOrdering later=true
        "An operator has rejected the bank's request, which no operator can order any more."
    76 NoSession            "NO_SESSION"            BeforeOrdering later=false
        "The call needs the session of the wallet's holder: open one with BeginSession and OpenSession and send its \
         token as `authorization: Bearer TOKEN`."
    77 SessionExpired       "SESSION_EXPIRED"       BeforeOrdering later=false
        "The session or its challenge has expired, or the wallet's key was replaced: open another session."
    78 RequestConflict      "REQUEST_CONFLICT"      BeforeOrdering later=false
        "The caller's id names another request already, with other contents: nothing was done."
    79 DepositsInDoubt      "DEPOSITS_IN_DOUBT"     BeforeOrdering later=true
        "The bank's data folder is older than what the bank has done since: it shows and moves no deposits until its \
         back office has accepted them; limit is the height of the block that showed it, amount the height that is \
         booked."
    80 LostBlocks           "LOST_BLOCKS"           BeforeOrdering later=true
        "The central bank has lost blocks that the network has settled, and serves only genesis and headers until \
         they are recovered from a bank; whether the command was ordered is not known, and sending the same record again is safe; limit \
         is the height of a block that a bank has shown, amount the central bank's own."
    81 CatchingUp           "CATCHING_UP"           BeforeOrdering later=true
        "The bank has started and not yet the chain as far as it is known to reach: it shows and moves no deposits \
         until it has; limit is the height to be reached, 0 while nobody has named it, amount the height that is \
         booked."
    82 NotLeader            "NOT_LEADER"            BeforeOrdering later=true
        "This node of the central bank orders nothing, since another one leads or none does: the status names the \
         leader's address where it is known; whether the command was ordered before is not known, and sending the same \
         record again is safe."
    42 TooManyProposals    "TOO_MANY_PROPOSALS"    Applied        later=true
        "The seat has made so many proposals today, or it or the committee has so many open, that no more are \
         accepted; limit is that number."
}

/// The signer's knowledge of other copies of a refused record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtherCopies {
    /// None was ordered: there is no other copy, or the chain has another record with the sequence number.
    NotOrdered,
    /// One may have been ordered, or may still be: the record was sent before, and that attempt was not answered.
    MayBeOrdered,
}

impl Reason {
    /// Whether this refusal shows that another record used the sequence number. The refused record has then not settled
    /// and never will, so the same intent, re-signed with a new number, cannot act twice.
    ///
    /// * `SEQUENCE_CONFLICT` shows it: whoever answers so has seen the other record.
    /// * `SEQUENCE_USED` says only that the number is used. A copy of this very record may have used it, so it shows it
    ///   only if no copy was ordered.
    /// * No other reason does. In particular the number of `SEQUENCE_OUT_OF_WINDOW` is still free: the record settles
    ///   if somebody submits it again once the window has moved.
    pub const fn shows_sequence_taken(self, other_copies: OtherCopies) -> bool {
        match self {
            Reason::SequenceConflict => true,
            Reason::SequenceUsed => matches!(other_copies, OtherCopies::NotOrdered),
            _ => false,
        }
    }

    /// Whether a status may give this reason, since it is found before the ledger decides. What the ledger decides
    /// comes as an outcome. Two reasons come either way, since nodes look at the clock before the ledger does.
    pub const fn is_found_before_ordering(self) -> bool {
        matches!(self.stage(), Stage::BeforeOrdering) || matches!(self, Reason::Expired | Reason::ValidityTooLong)
    }

    /// Whether this refusal leaves open what became of the record: a copy may have been ordered, and sending the same
    /// record again is safe.
    pub const fn leaves_status_open(self) -> bool {
        matches!(self, Reason::Unavailable | Reason::ClockJump | Reason::LostBlocks | Reason::NotLeader)
    }

    /// Whether this refusal says that the sequence number is used up, by this record or another.
    pub const fn says_sequence_used(self) -> bool {
        matches!(self, Reason::SequenceUsed | Reason::SequenceConflict)
    }

    /// Whether this refusal shows that no copy of the record was ever ordered or will be, because the record itself is
    /// at fault. (A record names the version of the key that signed it.)
    pub const fn shows_never_ordered(self) -> bool {
        matches!(self, Reason::Malformed | Reason::BadSignature)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The outcome of one command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Why the command was settled or refused.
    pub reason: Reason,
    /// The payer's fee of a settled payment or capture, in 48 bits, so that an outcome stays at 24 bytes.
    pub(crate) fee: [u8; 6],
    /// The limit that the reason names; 0 if it names none.
    pub limit: u64,
    /// The amount that the reason names. For a settled command its result: the account id of an opened or moved wallet,
    /// the number of a proposal or a hold, the amount seized; otherwise 0. A settled payment or capture has [`Charges`]
    /// instead, which use `limit` as well.
    pub amount: u64,
}

// The fields fill a block's outcomes and their encoding alike.
const _: () = assert!(size_of::<Outcome>() == OUTCOME_BYTES);

/// The amounts that a settled payment or capture moved besides its own, as far as payer, payee and their banks may all
/// know them. What happened to the money on the payee's side (a waterfall, unpaid demurrage) is not included: an
/// outcome is proved to the payer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Charges {
    /// The payer's fee, in addition to the amount; at most [`Charges::FEE_MAX`].
    pub fee: Amount,
    /// The fee withheld from the payee, who is credited the rest of the amount.
    pub payee_fee: Amount,
    /// Added by the payer's linked bank from the deposit.
    pub reverse_waterfall: Amount,
}

impl Charges {
    /// The largest fee of a payer: 2^48 − 1 minor units.
    pub const FEE_MAX: Amount = Amount::from_minor((1 << 48) - 1);
}

impl Outcome {
    /// A settled command without a result.
    pub const fn settled() -> Outcome {
        Outcome::settled_with(0)
    }

    /// A settled command with its result.
    pub const fn settled_with(result: u64) -> Outcome {
        Outcome { reason: Reason::Settled, fee: [0; 6], limit: 0, amount: result }
    }

    /// A payment or a capture that settled.
    ///
    /// # Panics
    /// The payer's fee is above [`Charges::FEE_MAX`], which the ledger refuses.
    pub const fn paid(charges: Charges) -> Outcome {
        assert!(charges.fee.minor() <= Charges::FEE_MAX.minor());
        let [a, b, c, d, e, f, _, _] = charges.fee.minor().to_le_bytes();
        let (limit, amount) = (charges.reverse_waterfall.minor(), charges.payee_fee.minor());
        Outcome { reason: Reason::Settled, fee: [a, b, c, d, e, f], limit, amount }
    }

    /// A refused command, with the limit and the amount that its reason names.
    pub const fn refused(reason: Reason, limit: u64, amount: u64) -> Outcome {
        Outcome { reason, fee: [0; 6], limit, amount }
    }

    /// The charges of a settled payment or capture; zeros for a refused one. Meaningless for other commands.
    pub fn charges(&self) -> Charges {
        if !self.is_settled() {
            return Charges::default();
        }
        let [a, b, c, d, e, f] = self.fee;
        Charges {
            fee: Amount::from_minor(u64::from_le_bytes([a, b, c, d, e, f, 0, 0])),
            payee_fee: Amount::from_minor(self.amount),
            reverse_waterfall: Amount::from_minor(self.limit),
        }
    }

    /// Whether the command settled.
    pub fn is_settled(&self) -> bool {
        self.reason == Reason::Settled
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Settled => f.write_str("SETTLED"),
            reason => write!(f, "{reason}: {} (limit {}, amount {})", reason.text(), self.limit, self.amount),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_that_another_record_used_may_be_exchanged() {
        let shown = |copies| -> Vec<Reason> {
            Reason::ALL.iter().copied().filter(|reason| reason.shows_sequence_taken(copies)).collect()
        };
        assert_eq!(shown(OtherCopies::NotOrdered), [Reason::SequenceUsed, Reason::SequenceConflict]);
        assert_eq!(shown(OtherCopies::MayBeOrdered), [Reason::SequenceConflict]);
    }

    #[test]
    fn charges_are_those_that_were_paid_up_to_the_largest_fee() {
        let charges =
            Charges { fee: Charges::FEE_MAX, payee_fee: Amount::MAX, reverse_waterfall: Amount::from_minor(3) };
        assert_eq!(Outcome::paid(charges).charges(), charges);
        assert_eq!(Outcome::paid(Charges::default()), Outcome::settled());
        assert_eq!(Outcome::refused(Reason::MaxFee, 5, 7).charges(), Charges::default());
    }

    #[test]
    fn codes_and_names_lead_back_to_their_reason() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(*reason as u16), Some(*reason));
            assert_eq!(Reason::from_name(reason.name()), Some(*reason));
        }
    }
}
