//! Sizes and times of messages, streams and connections, the same at both ends.

use std::time::Duration;

/// Largest message that any node accepts, bytes: a full block with a margin.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Flow-control window of a stream, bytes.
pub const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Flow-control window of a connection, bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Largest frame of a message, bytes: a full batch of commands arrives in one piece.
pub const FRAME_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes read from a socket at once. TLS alone would ask the kernel for 4 KiB at a time.
pub const READ_BYTES: usize = 64 * 1024;
/// Idle connections are probed this often.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// A probe that is not answered for so long ends the connection.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
