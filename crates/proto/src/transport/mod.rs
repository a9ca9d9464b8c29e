//! The transport: gRPC over TLS 1.3, with peers identified by their keys.
//!
//! A node is identified by the Ed25519 key in its certificate, which membership names. Certificates are matched to that
//! key: an authority's signature alone admits nobody, and dates are ignored, because membership decides. Customers
//! (wallets) present no certificate; they are identified by their signatures.
//!
//! * [`identity`]: a node's certificate and private key, from files that nobody else may read.
//! * [`key_file`]: signing keys, in such files as well.
//! * [`server`]: accepting connections; each request carries its [`server::Peer`].
//! * [`handshakes`]: the connections that have not identified themselves yet.
//! * [`channel`]: connecting to a node whose key, or whose authority, is known.
//! * [`log_limit`]: a limit on log lines that anybody can cause.
//! * [`limits`]: sizes and times of messages, streams and connections.
//! * [`read_ahead`]: reading from a socket in large pieces.

pub mod channel;
pub mod handshakes;
pub mod identity;
pub mod key_file;
pub mod limits;
pub mod log_limit;
pub mod read_ahead;
pub mod server;
mod tls;

pub use channel::{ConnectError, FollowedKeys, ServerTrust, connect, refuses_certificate};
pub use identity::{IdentityError, NodeIdentity};
pub use limits::MESSAGE_BYTES_MAX;
pub use server::{ClientAuthentication, Peer, Pins, incoming};
