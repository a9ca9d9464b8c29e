//! Payments in volume: one bidirectional stream of packed batches.
//!
//! A batch is pre-signed payments back to back, 136 bytes each ([`SIGNED_PAYMENT_BYTES`]); its answer, matched by batch id, is
//! the place of a batch that was settled whole, or 32 bytes a payment in the batch's order ([`Answers`]). Nothing is allocated
//! for a single payment.
//!
//! # Rules
//! * At most `in_flight_max` batches wait for answers; [`BatchSender::send`] waits for room.
//! * Answers come in any order. [`BatchAnswers::next`] checks that each is of a batch that was sent, once, whole.
//! * When the stream breaks, the status of every unanswered batch is unknown: open another stream and send the same bytes
//!   again, which is safe. [`BatchAnswers::unanswered`] names the batches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::Answer;
use cbdc_proto::v1;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::connection::Connection;
use crate::error::ClientError;

/// How long the stream may be silent while batches wait for answers.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The answers to one batch, in its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchAnswer {
    pub batch_id: u64,
    pub answers: Vec<Answer>,
}

/// Payments of each batch that waits for its answer.
type Waiting = Arc<Mutex<HashMap<u64, usize>>>;

/// Opens a stream to a bank, with at most `in_flight_max` batches unanswered.
pub async fn open(connection: &Connection, in_flight_max: usize) -> Result<(BatchSender, BatchAnswers), ClientError> {
    if in_flight_max == 0 {
        return Err(ClientError::Usage("expected at least 1 batch in flight, found 0".to_owned()));
    }
    let (batches, outgoing) = mpsc::channel(in_flight_max);
    let mut client = connection.bank();
    let incoming = connection.ask(client.submit_transfers(ReceiverStream::new(outgoing))).await?;
    let room = Arc::new(Semaphore::new(in_flight_max));
    let waiting = Waiting::default();
    let sender = BatchSender { batches, room: room.clone(), waiting: waiting.clone(), next_id: 1 };
    let answers = BatchAnswers { connection: connection.clone(), incoming, room, waiting, silence_max: SILENCE_MAX };
    Ok((sender, answers))
}

/// The sending half.
pub struct BatchSender {
    batches: mpsc::Sender<v1::CommandBatch>,
    room: Arc<Semaphore>,
    waiting: Waiting,
    next_id: u64,
}

impl BatchSender {
    /// Sends pre-signed payments, back to back, and returns the batch's id: 1, 2, 3 and so on. Waits for room.
    ///
    /// # Errors
    /// [`ClientError::Usage`] if the bytes are no whole number of payments; [`ClientError::Unknown`] if the stream has
    /// ended, and then this batch was not sent.
    pub async fn send(&mut self, commands: Bytes) -> Result<u64, ClientError> {
        let payments = commands.len() / SIGNED_PAYMENT_BYTES;
        if payments == 0 || !commands.len().is_multiple_of(SIGNED_PAYMENT_BYTES) {
            let found = commands.len();
            return Err(ClientError::Usage(format!(
                "expected a multiple of {SIGNED_PAYMENT_BYTES} bytes of signed payments, found {found}"
            )));
        }
        let ended = || ClientError::Unknown { why: "the stream has ended".to_owned() };
        self.room.acquire().await.map_err(|_| ended())?.forget();
        let batch_id = self.next_id;
        self.next_id += 1;
        lock(&self.waiting).insert(batch_id, payments);
        if self.batches.send(v1::CommandBatch { batch_id, commands, takes_runs: true }).await.is_err() {
            lock(&self.waiting).remove(&batch_id);
            return Err(ended());
        }
        Ok(batch_id)
    }

    /// Batches that may be sent now without waiting.
    pub fn room(&self) -> usize {
        self.room.available_permits()
    }
}

/// The answering half.
pub struct BatchAnswers {
    connection: Connection,
    incoming: Streaming<v1::OutcomeBatch>,
    room: Arc<Semaphore>,
    waiting: Waiting,
    silence_max: Duration,
}

impl BatchAnswers {
    /// The next answered batch; `None` when the sender is gone and all is answered.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] if the stream broke, or said nothing for 30 s, while batches waited;
    /// [`ClientError::BadAnswer`] if an answer does not fit its batch. Either ends the stream.
    pub async fn next(&mut self) -> Result<Option<BatchAnswer>, ClientError> {
        let answer = self.receive().await;
        if !matches!(answer, Ok(Some(_))) {
            self.room.close();
        }
        answer
    }

    async fn receive(&mut self) -> Result<Option<BatchAnswer>, ClientError> {
        let batch = loop {
            match tokio::time::timeout(self.silence_max, self.incoming.message()).await {
                Ok(Ok(Some(batch))) => break batch,
                Ok(Ok(None)) if lock(&self.waiting).is_empty() => return Ok(None),
                Ok(Ok(None)) => return Err(self.broken("the bank ended the stream")),
                Ok(Err(status)) => return Err(self.broken(&format!("{:?}: {}", status.code(), status.message()))),
                Err(_) if lock(&self.waiting).is_empty() => {}
                Err(_) => return Err(self.broken("no answer within 30 s")),
            }
        };
        let batch_id = batch.batch_id;
        let answers = Answers::from_message(batch).and_then(|answers| answers.unpacked());
        let answers = answers.map_err(|reason| self.connection.bad_answer(reason))?;
        let sent = lock(&self.waiting).remove(&batch_id);
        match sent {
            Some(payments) if payments == answers.len() => {}
            Some(payments) => {
                let found = answers.len();
                return Err(self
                    .connection
                    .bad_answer(format!("expected {payments} answers to batch {batch_id}, found {found}")));
            }
            None => {
                return Err(self.connection.bad_answer(format!("batch {batch_id} is answered, and does not wait")));
            }
        }
        self.room.add_permits(1);
        Ok(Some(BatchAnswer { batch_id, answers }))
    }

    fn broken(&self, why: &str) -> ClientError {
        let unanswered = lock(&self.waiting).len();
        ClientError::Unknown {
            why: format!(
                "the stream to {} broke with {unanswered} batches unanswered: {why}",
                self.connection.address()
            ),
        }
    }

    /// The batches that wait for answers, in the order in which they were sent.
    pub fn unanswered(&self) -> Vec<u64> {
        let mut batches: Vec<u64> = lock(&self.waiting).keys().copied().collect();
        batches.sort_unstable();
        batches
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<u64, usize>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
