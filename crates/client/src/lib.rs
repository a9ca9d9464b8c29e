//! The SDK for wallets, banks' back offices, governance members and auditors to talk to a network.
//!
//! # A payment in ten lines
//! ```no_run
//! # async fn pay() -> Result<(), cbdc_client::ClientError> {
//! use cbdc_client::{Anchor, BankId, Connection, MemberId, Role, Wallet, read_signing_key};
//! # let account = "XC96000010000000007".parse().unwrap();
//! # let payee = "XC96000010000000007".parse().unwrap();
//!
//! let anchor = Anchor::load("network/genesis.bin".as_ref())?;
//! let bank = Connection::new("127.0.0.1:7001", None, &anchor.trust(Role::Bank, MemberId(1))?)?;
//! let key = read_signing_key("network/wallets/alice.key".as_ref())?;
//! let wallet = Wallet::new(bank, anchor.into(), key, account);
//!
//! let position = wallet.pay(payee, wallet.anchor().parse("12.50")?).await?.status.settled()?;
//! let receipt = wallet.receipt(position).await?;
//! println!("settled at {position}, proved by {:?}", receipt.signers());
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//! | module | holds |
//! |---|---|
//! | [`anchor`] | genesis: the root of trust, and the network that signatures are for |
//! | [`connection`] | one node, with a deadline on every call |
//! | [`wallet`] | a holder's key and account: open, pay, defund, hold, link a bank, history, receipts |
//! | [`payment_stream`] | payments in volume: packed batches, answers by batch |
//! | [`bank_office`] | a bank's back office: deposits, holds for its payees, issuance, treasury |
//! | [`governance`] | committee, operator, registrar, court: policy, votes, books, operations; members' reading |
//! | [`central_bank`] | the central bank's nodes, of which the leader takes commands |
//! | [`chain`] | headers, blocks and receipts, each checked |
//! | [`leadership`] | which node of the central bank leads; handing leadership over |
//! | [`receipt`], [`position`] | proofs, and the position of a command in the chain |
//! | [`sequence`], [`submission`] | the next unused sequence number; sending until the status is known |
//! | [`in_flight_file`] | a program's data in flight, kept on disk until its answer was shown |
//! | [`folder`] | a development network's folder: its nodes, members and wallets |
//! | [`error`] | refused, unknown, unreachable: never confused |
//!
//! # Settled, refused, accepted, unknown
//! A submitted command ends in one of four states, which [`SubmissionStatus`] keeps apart: *settled*, *refused* with a
//! reason, *accepted* into a bank's outbox while the central bank cannot be reached, and *unknown*. Only *unknown*
//! calls for action: submit the same record again. Signing a new one instead might pay twice. A record that was refused
//! before it was ordered may still settle if a copy of it is sent; [`Refusal::may_settle_until`] says until when.
//!
//! An [`Amount`] counts minor units; [`Anchor::parse`] and [`Anchor::show`] convert from and to major ones.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod anchor;
pub mod bank_office;
pub mod central_bank;
pub mod chain;
pub mod connection;
mod consent;
pub mod error;
pub mod folder;
pub mod governance;
pub mod in_flight_file;
pub mod leadership;
pub mod payment_stream;
pub mod position;
mod random;
pub mod receipt;
mod registrar;
pub mod sequence;
pub mod submission;
pub mod wallet;

pub use anchor::Anchor;
pub use bank_office::BankOffice;
pub use central_bank::CentralBank;
pub use chain::{Chain, ChainBlock};
pub use connection::Connection;
pub use error::{ClientError, Finality, Refusal};
pub use folder::{AskedNode, HandOverOutcome, Leaderships, NetworkFolder, NodeName, WalletFile};
pub use governance::{GovernanceClient, MemberSigner};
pub use in_flight_file::InFlightFile;
pub use leadership::{HandOver, Leadership, NodePart, OrderingNode, hand_over};
pub use payment_stream::{BatchAnswer, BatchAnswers, BatchSender};
pub use position::BlockPosition;
pub use random::{random_bytes, random_id};
pub use receipt::VerifiedReceipt;
pub use registrar::{Registrar, Registration};
pub use submission::SubmissionStatus;
pub use wallet::{Balance, PaymentTerms, Submission, Wallet};

pub use cbdc_ledger::amount::RatePpm;
pub use cbdc_ledger::bank_position::BankStatus;
pub use cbdc_ledger::command::{Certificate, Choice, GovernanceAction, IssuanceKind, OperationKind};
pub use cbdc_ledger::member::Role;
pub use cbdc_ledger::policy::{Parameters, PolicyChange};
pub use cbdc_ledger::programme::Grant;
pub use cbdc_ledger::time::LedgerDay;
pub use cbdc_ledger::{AccountId, Amount, BankId, Class, Height, HolderId, MemberId, Reason, SigningKey, Timestamp};
pub use cbdc_proto::transport::key_file::read_signing_key;
pub use cbdc_proto::transport::{NodeIdentity, ServerTrust};
pub use cbdc_proto::v1;
