//! Metering of one connection's requests: each is charged to the [budget](crate::budget) while it lasts, its messages
//! as they arrive, its answers until they have been sent.
//!
//! 1. A request begins with the [charge of its call](crate::calls); if there is not enough memory, it is refused.
//! 2. A message that is larger than its call allows is refused at its first five bytes, which state its size.
//! 3. The bytes of an unfinished message are charged as they arrive, and it must be finished in time. The
//!    [unread](crate::unread) data of a stream is charged while the stream does not rest.
//! 4. Each piece of an answer is counted until the socket has it.
//! 5. A status from the transport without a reason gets one ([`with_reason`]).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cbdc_proto::status::{exhausted, with_reason};
use cbdc_proto::transport::Peer;
use cbdc_proto::transport::limits::MESSAGE_TIMEOUT;
use http::{HeaderMap, Request, Response, Uri};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::budget::{Charge, Exceeded, Share};
use crate::calls::Call;
use crate::unread::{StreamUnread, Unread};

/// The bytes before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Whether a connection has requests, and since when it has none.
#[derive(Debug)]
pub struct Activity {
    began: Instant,
    open: AtomicUsize,
    idle_since_ms: AtomicU64,
}

impl Activity {
    /// A connection without requests, as of now.
    pub fn new() -> Arc<Activity> {
        Arc::new(Activity { began: Instant::now(), open: AtomicUsize::new(0), idle_since_ms: AtomicU64::new(0) })
    }

    /// Opens a request.
    pub(crate) fn open_request(self: &Arc<Activity>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// The time without requests; `None` while there is one.
    pub fn idle_for(&self) -> Option<Duration> {
        let since = Duration::from_millis(self.idle_since_ms.load(Ordering::Relaxed));
        (self.open.load(Ordering::Relaxed) == 0).then(|| self.began.elapsed().saturating_sub(since))
    }
}

/// An open request; it ends when this is dropped.
pub(crate) struct Open(Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        let now_ms = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.idle_since_ms.store(now_ms, Ordering::Relaxed);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A node's services, as one connection uses them.
#[derive(Clone)]
pub struct Metered {
    pub routes: Routes,
    pub peer: Peer,
    pub share: Share,
    pub activity: Arc<Activity>,
    pub unread: Arc<Unread>,
}

impl hyper::service::Service<Request<Incoming>> for Metered {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let uri = request.uri().clone();
        let call = Call::of(uri.path());
        let (open, share) = (self.activity.open_request(), self.share.clone());
        let begun = share.take(call.charge_bytes).and_then(|charge| {
            let unread = call.takes_stream.then(|| StreamUnread::begin(&self.unread)).transpose()?;
            Ok((charge, unread))
        });
        let (charge, unread) = match begun {
            Ok(begun) => begun,
            Err(exceeded) => {
                let response = over_limit(exceeded).into_http::<Body>();
                let held = Held { share, unread: None, _charge: None, _open: open };
                return Box::pin(async move { Ok(answer(response, uri, held)) });
            }
        };
        let timeout = timeout_of(request.headers());
        let metered = (share.clone(), unread.clone());
        let mut request = request.map(|incoming| Body::new(RequestBody::new(incoming, call, metered)));
        request.extensions_mut().insert(self.peer.clone());
        let handled = share.clone().scope(self.routes.clone().call(request));
        Box::pin(async move {
            let handled = match timeout {
                Some(timeout) => tokio::time::timeout(timeout, handled).await,
                None => Ok(handled.await),
            };
            let response = match handled {
                Ok(Ok(response)) => response,
                Err(_) => Status::deadline_exceeded("no answer within the caller's own deadline").into_http(),
            };
            Ok(answer(response, uri, Held { share, unread, _charge: Some(charge), _open: open }))
        })
    }
}

/// The charges and guards of a request, held until its answer has left.
struct Held {
    share: Share,
    /// The unread bytes, if the call is a stream of messages.
    unread: Option<Arc<StreamUnread>>,
    _charge: Option<Charge>,
    _open: Open,
}

fn answer(mut response: Response<Body>, uri: Uri, held: Held) -> Response<AnswerBody> {
    name_reason(response.headers_mut(), &uri);
    response.map(|body| AnswerBody { body, uri, held, is_over: false })
}

/// The status of a request that exceeds a limit, counted.
fn over_limit(exceeded: Exceeded) -> Status {
    crate::server::count_refused("memory");
    Status::from(exceeded)
}

/// Adds a reason to the status in these headers or trailers, if there is a status without one.
fn name_reason(headers: &mut HeaderMap, uri: &Uri) {
    let named = Status::from_header_map(headers).and_then(|status| with_reason(&status, uri.path()));
    if let Some(named) = named {
        // The other headers stay.
        drop(named.add_header(headers));
    }
}

/// The timeout that a caller sets for its call, if any: up to eight digits and a unit.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// The body of a request, metered as it is read.
struct RequestBody {
    incoming: Incoming,
    meter: Meter,
    /// The unread bytes, if the call is a stream of messages.
    unread: Option<Arc<StreamUnread>>,
    /// Runs while a message is awaited.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    fn new(incoming: Incoming, call: Call, (share, unread): (Share, Option<Arc<StreamUnread>>)) -> RequestBody {
        let meter = Meter::new(call.message_bytes_max, share.take_anyway(0));
        RequestBody { incoming, meter, unread, deadline: None }
    }

    /// Whether the caller still has to send the rest of a message, or its only one.
    fn is_owed(&self) -> bool {
        self.meter.is_within_message() || self.unread.is_none()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.unread.iter().for_each(|unread| unread.ended());
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        let Poll::Ready(frame) = polled else {
            self.unread.iter().for_each(|unread| unread.rests());
            if !self.is_owed() {
                return Poll::Pending;
            }
            let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(MESSAGE_TIMEOUT)));
            ready!(deadline.as_mut().poll(cx));
            let limit = MESSAGE_TIMEOUT.as_secs();
            let late = Status::deadline_exceeded(format!("expected the whole message within {limit} s"));
            return Poll::Ready(Some(Err(late.into())));
        };
        let Some(frame) = frame.transpose()? else { return Poll::Ready(None) };
        if let Some(data) = frame.data_ref() {
            self.meter.read(data)?;
            if let Some(unread) = &self.unread {
                unread.is_left().map_err(over_limit)?;
                if self.meter.messages > 0 {
                    self.deadline = None;
                }
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Follows the messages in a body, charging for the unfinished one.
struct Meter {
    message_bytes_max: usize,
    prefix: [u8; PREFIX_BYTES],
    prefix_read: usize,
    /// Bytes of the current message that were read, and that are still to come.
    read: usize,
    left: usize,
    /// Messages that the last piece completed.
    messages: usize,
    charge: Charge,
}

impl Meter {
    fn new(message_bytes_max: usize, charge: Charge) -> Meter {
        let prefix = [0; PREFIX_BYTES];
        Meter { message_bytes_max, prefix, prefix_read: 0, read: 0, left: 0, messages: 0, charge }
    }

    fn is_within_message(&self) -> bool {
        self.prefix_read > 0
    }

    /// Reads the next bytes of the body.
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        self.messages = 0;
        while !bytes.is_empty() {
            if self.prefix_read < PREFIX_BYTES {
                let wanted = (PREFIX_BYTES - self.prefix_read).min(bytes.len());
                let (head, rest) = bytes.split_at(wanted);
                self.prefix[self.prefix_read..][..wanted].copy_from_slice(head);
                self.prefix_read += wanted;
                bytes = rest;
                if self.prefix_read < PREFIX_BYTES {
                    break;
                }
                let [_, length @ ..] = self.prefix;
                let length = u32::from_be_bytes(length) as usize;
                if length > self.message_bytes_max {
                    crate::server::count_refused("message_bytes");
                    let (limit, found) = (self.message_bytes_max as u64, length as u64);
                    return Err(exhausted("bytes of this call's message", limit, found, false));
                }
                (self.read, self.left) = (0, length);
            }
            let of_message = self.left.min(bytes.len());
            bytes = &bytes[of_message..];
            self.read += of_message;
            self.left -= of_message;
            if self.left == 0 {
                (self.prefix_read, self.read) = (0, 0);
                self.messages += 1;
            }
        }
        self.charge.set(self.read).map_err(over_limit)?;
        Ok(())
    }
}

/// The body of an answer; each piece is counted until it has been sent.
pub struct AnswerBody {
    body: Body,
    uri: Uri,
    held: Held,
    /// Whether it was ended with a status of its own.
    is_over: bool,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let share = self.held.share.clone();
        let mut frame = ready!(share.clone().enter(|| Pin::new(&mut self.body).poll_frame(cx)));
        if let Some(Ok(frame)) = &mut frame {
            if let Some(trailers) = frame.trailers_mut() {
                name_reason(trailers, &self.uri);
            } else if let Some(Err(exceeded)) = self.held.unread.as_ref().map(|unread| unread.is_left()) {
                // While the answer is not taken the stream is not read either.
                self.is_over = true;
                let mut trailers = HeaderMap::new();
                over_limit(exceeded).add_header(&mut trailers)?;
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
        }
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| share.count(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::budget::{Budget, Tenant};
    use crate::limits::Limits;

    fn message(length: usize) -> Vec<u8> {
        [&[0][..], &(length as u32).to_be_bytes(), &vec![7; length]].concat()
    }

    #[test]
    fn messages_are_found_however_the_body_is_cut_and_only_the_unfinished_one_is_charged() {
        let body = [message(0), message(1), message(300), message(299)].concat();
        for piece in [1, 2, 5, 7, 64, 305, 306, 307, body.len()] {
            let budget = Budget::new(&Limits::default());
            let mut meter = Meter::new(300, budget.share(Tenant::Unknown).take_anyway(0));
            let mut messages = 0;
            for bytes in body.chunks(piece) {
                meter.read(bytes).unwrap();
                messages += meter.messages;
                assert_eq!(budget.used_bytes(), meter.read);
            }
            assert_eq!((messages, meter.is_within_message(), budget.used_bytes()), (4, false, 0), "pieces of {piece}");
            meter.read(&message(300)[..200]).unwrap();
            assert_eq!((meter.is_within_message(), budget.used_bytes()), (true, 195));
        }
    }

    #[test]
    fn a_message_that_is_too_large_is_refused_at_its_length() {
        let budget = Budget::new(&Limits::default());
        let mut meter = Meter::new(300, budget.share(Tenant::Unknown).take_anyway(0));
        let status = meter.read(&message(301)[..PREFIX_BYTES]).unwrap_err();
        let refusal = cbdc_proto::status::refusal_of(&status).unwrap();
        assert_eq!((status.code(), refusal.limit, refusal.amount), (Code::ResourceExhausted, 300, 301));
        let mut meter = Meter::new(300, budget.share(Tenant::Unknown).take_anyway(0));
        let status = meter.read(&[0, 255, 255, 255, 255]).unwrap_err();
        assert!(status.message().contains("4294967295"), "{status:?}");
    }

    #[test]
    fn a_callers_deadline_is_read_as_grpc_writes_it() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            timeout_of(&headers)
        };
        assert_eq!(of("1m"), Some(Duration::from_millis(1)));
        assert_eq!(of("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for wrong in ["", "m", "1", "1x", "-1m", "123456789m"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(timeout_of(&HeaderMap::new()), None);
    }
}
