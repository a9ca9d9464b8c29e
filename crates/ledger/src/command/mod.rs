//! Commands: signed records of fixed layout.
//!
//! # Layout
//! Every record begins with the same head of 24 bytes; integers are little-endian:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version (1) |
//! | 1 | 1 | kind ([`Kind`]) |
//! | 2 | 2 | flags ([`Head::flags`]; unknown flags are refused) |
//! | 4 | 4 | version of the key that signs (0 for a wallet's first key) |
//! | 8 | 8 | sequence number of the signer |
//! | 16 | 8 | valid until, ms since 1970 UTC |
//!
//! The kind's own fields follow, then the signature (64 bytes). The signed message is [`signing_prefix`] followed by
//! the record without that signature: the prefix (version, domain tag, network id) is never sent, so a record signed
//! for one network means nothing on another.
//!
//! # Modules
//! [`payment`] (transfer, fund, defund), [`reverse_waterfall`], [`mod@hold`] (hold, capture, void), [`wallet`] (open,
//! close, replace key), [`holder`] (link a bank, move or designate a wallet, reclassify), [`issuance`] (issue, redeem,
//! reserves transfer), [`operation`] (the operations desk, banks' statements), [`order`] (freeze, unfreeze, seize),
//! [`committee`] (propose, vote). Not a command is [`session`], the statement by which a holder opens a session with a
//! bank.

mod any_command;
pub mod authority;
pub mod committee;
pub mod hold;
pub mod holder;
pub mod issuance;
mod kind;
pub mod operation;
pub mod order;
pub mod packed;
pub mod payment;
pub(crate) mod record;
pub mod reverse_waterfall;
pub mod session;
pub mod wallet;

pub use any_command::Command;
pub use committee::{Ballot, Choice, GovernanceAction, GovernanceProposal};
pub use hold::{PlaceHold, ReleaseHold, ReleaseKind};
pub use holder::{BankConsent, ConsentStatement, DesignateWallet, LinkBank, MoveWallet, Reclassify};
pub use issuance::{IssuanceKind, IssuanceOrder, IssuanceRequest, ReservesTransfer};
pub use kind::Kind;
pub use operation::{DepositStatement, Operation, OperationKind};
pub use order::{FreezeKind, FreezeOrder, SeizeOrder};
pub use payment::{Payment, PaymentKind};
pub use record::{
    Domain, FLAG_REVERSE_WATERFALL, HEAD_BYTES, Head, PREFIX_BYTES, Record, SIGNATURE_BYTES, Signed, Signer,
    signing_prefix,
};
pub use reverse_waterfall::ReverseWaterfall;
pub use session::{SessionStatement, SignedSession};
pub use wallet::{Certificate, CertifiedFor, CloseWallet, OpenWallet, ReplaceKey, Statement};
