//! The bytes that a caller may have sent on a connection's streams and that nobody has read yet.
//!
//! 1. A caller may send as much as its stream's window allows before it is read. While the node waits for the next
//!    bytes of a stream, everything received has been read: the stream *rests*, and nothing is charged for it here.
//! 2. While the node does something else, such as handling a message or waiting for an answer to be taken, a whole
//!    window may be unread. That is charged; if there is not enough memory for it, the stream ends.
//! 3. All streams of a connection together hold no more than the connection's window.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cbdc_proto::transport::limits::{
    CONNECTION_WINDOW_BYTES, CUSTOMER_CONNECTION_WINDOW_BYTES, CUSTOMER_STREAM_WINDOW_BYTES, STREAM_WINDOW_BYTES,
};

use crate::budget::{Charge, Exceeded, Share};

/// The bytes that may be unread on one connection.
pub struct Unread {
    stream_window: usize,
    connection_window: usize,
    open: Mutex<Open>,
}

struct Open {
    /// Streams that do not rest.
    streams: usize,
    charge: Charge,
}

/// The state of a stream whose next bytes the node waits for.
const RESTS: u8 = 0;
/// The state of a stream that may have bytes which nobody has read.
const MAY_BE_UNREAD: u8 = 1;
/// The state of a stream of which nothing more is read or kept.
const ENDED: u8 = 2;

/// The bytes that may be unread on one stream.
pub struct StreamUnread {
    connection: Arc<Unread>,
    /// Changed only while the connection's lock is held.
    state: AtomicU8,
}

impl Unread {
    /// A new connection of this share's tenant, with nothing unread.
    pub fn new(share: &Share) -> Arc<Unread> {
        let (stream_window, connection_window) = match share.tenant().is_member() {
            true => (STREAM_WINDOW_BYTES, CONNECTION_WINDOW_BYTES),
            false => (CUSTOMER_STREAM_WINDOW_BYTES, CUSTOMER_CONNECTION_WINDOW_BYTES),
        };
        Arc::new(Unread {
            stream_window: stream_window as usize,
            connection_window: connection_window as usize,
            open: Mutex::new(Open { streams: 0, charge: share.take_anyway(0) }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self, streams: usize) -> usize {
        streams.saturating_mul(self.stream_window).min(self.connection_window)
    }
}

impl StreamUnread {
    /// A new stream, which may have unread bytes already.
    pub fn begin(connection: &Arc<Unread>) -> Result<Arc<StreamUnread>, Exceeded> {
        let stream = Arc::new(StreamUnread { connection: connection.clone(), state: AtomicU8::new(RESTS) });
        stream.is_left()?;
        Ok(stream)
    }

    /// Notes that the node does something other than wait for the stream's next bytes.
    pub fn is_left(&self) -> Result<(), Exceeded> {
        if self.state.load(Ordering::Relaxed) != RESTS {
            return Ok(());
        }
        let mut open = self.connection.lock();
        if self.state.load(Ordering::Relaxed) == RESTS {
            let streams = open.streams + 1;
            open.charge.set(self.connection.bytes(streams))?;
            open.streams = streams;
            self.state.store(MAY_BE_UNREAD, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Notes that the node waits for the stream's next bytes: everything received was read.
    pub fn rests(&self) {
        self.is_read(RESTS);
    }

    /// Notes that no more of the stream is read or kept.
    pub fn ended(&self) {
        self.is_read(ENDED);
    }

    fn is_read(&self, now: u8) {
        if matches!(self.state.load(Ordering::Relaxed), state if state == now || state == ENDED) {
            return;
        }
        let mut open = self.connection.lock();
        if self.state.swap(now, Ordering::Relaxed) == MAY_BE_UNREAD {
            open.streams -= 1;
            let bytes = self.connection.bytes(open.streams);
            open.charge.set(bytes).expect("giving back is never refused");
        }
    }
}

impl Drop for StreamUnread {
    fn drop(&mut self) {
        self.ended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Budget, Tenant};
    use crate::limits::Limits;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn a_stream_is_charged_while_it_is_not_waited_for_and_a_connection_no_more_than_its_window() {
        let budget = Budget::new(&Limits::default());
        let connection = Unread::new(&budget.share(Tenant::Unknown));
        let streams: Vec<_> = (0..5).map(|_| StreamUnread::begin(&connection).unwrap()).collect();
        assert_eq!(budget.used_bytes(), 2 * MIB);
        streams[..4].iter().for_each(|stream| stream.rests());
        assert_eq!(budget.used_bytes(), MIB);
        streams[4].rests();
        assert_eq!(budget.used_bytes(), 0);
        for _ in 0..3 {
            streams[0].is_left().unwrap();
        }
        assert_eq!(budget.used_bytes(), MIB, "it is counted once");
        streams[0].ended();
        streams[0].is_left().unwrap();
        assert_eq!(budget.used_bytes(), 0, "what has ended keeps nothing");
        streams[1].is_left().unwrap();
        drop(streams);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_stream_whose_bytes_exceed_the_share_is_refused_and_changes_nothing() {
        let budget = Budget::new(&Limits { memory_mib: 32, ..Limits::default() });
        let share = budget.share(Tenant::Unknown);
        let connection = Unread::new(&share);
        let stream = StreamUnread::begin(&connection).unwrap();
        stream.rests();
        let taken = share.take(8 * MIB - MIB / 2).unwrap();
        stream.is_left().unwrap_err();
        assert!(StreamUnread::begin(&connection).is_err());
        drop(taken);
        assert_eq!(budget.used_bytes(), 0);
        stream.is_left().unwrap();
        assert_eq!(budget.used_bytes(), MIB);
    }
}
