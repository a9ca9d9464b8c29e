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
/// Largest frame that a node reads from a customer, bytes. A frame is read whole before any of it is counted.
pub const CUSTOMER_FRAME_BYTES_MAX: u32 = 32 * 1024;
/// The most bytes of an answer that are buffered for a slow reader, per stream.
pub const SEND_BYTES_MAX: usize = 256 * 1024;
/// The size of a request's headers, bytes.
pub const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// The longest time for a TLS handshake, including its TCP connection.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest time from the first to the last byte of a message, and from a request to its message.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes read from a socket at once. TLS alone would ask the kernel for 4 KiB at a time.
pub const READ_BYTES: usize = 64 * 1024;
/// The interval at which idle connections are probed.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The time after which an unanswered probe ends the connection.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
