//! Sizes and times of messages, streams and connections, the same at both ends.

use std::time::Duration;

/// Largest message that any node accepts, bytes: a full block with a margin.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Flow-control window of a stream between members, and of one to a customer, bytes.
pub const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Flow-control window of a connection between members, and of one to a customer, bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Largest frame of a message between members, bytes: a full batch of commands arrives in one piece.
pub const FRAME_BYTES_MAX: u32 = 1024 * 1024;
/// Flow-control window of a stream on which a node reads a customer, bytes.
pub const CUSTOMER_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Flow-control window of a connection on which a node reads a customer, bytes.
pub const CUSTOMER_CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Largest frame that a node reads from a customer, bytes. A frame is held whole before any of it is counted.
pub const CUSTOMER_FRAME_BYTES_MAX: u32 = 32 * 1024;
/// The most that is kept of an answer whose reader is slow, bytes a stream.
pub const SEND_BYTES_MAX: usize = 256 * 1024;
/// Headers of a request, bytes.
pub const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// How long a TLS handshake, with the TCP connection that it needs, may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a message may take from its first byte to its last, and a request to its message.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes read from a socket at once. TLS alone would ask the kernel for 4 KiB at a time.
pub const READ_BYTES: usize = 64 * 1024;
/// Idle connections are probed this often.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// A probe that is not answered for so long ends the connection.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
