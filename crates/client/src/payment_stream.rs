//! Payments in volume: one bidirectional stream of packed batches.
//!
//! A batch is a run of pre-signed payments, 136 bytes each ([`SIGNED_PAYMENT_BYTES`]). Its answer carries the batch's
//! id and either one position, for a batch that settled as a whole, or 40 bytes per payment in the batch's order
//! ([`Answers`]). Nothing is allocated for a single payment.
//!
//! # Rules
//! * At most `in_flight_max` batches are unanswered; [`BatchSender::send`] waits until one of them is answered.
//! * Answers arrive in any order. [`BatchAnswers::next`] checks that each belongs to a batch that was sent, arrives
//!   once and is complete.
//! * If the stream breaks, the status of every unanswered batch is unknown: open another stream and send the same bytes
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

/// The longest silence of the stream while batches wait for answers.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The answers to one batch, in its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchAnswer {
    /// The id that [`BatchSender::send`] returned.
    pub batch_id: u64,
    /// One answer per payment.
    pub answers: Vec<Answer>,
}

/// The number of payments in each unanswered batch, by batch id.
type Unanswered = Arc<Mutex<HashMap<u64, usize>>>;

/// Opens a stream to a bank, with at most `in_flight_max` batches unanswered.
///
/// # Errors
/// [`ClientError::Usage`] for an `in_flight_max` of 0; otherwise those of a call to the bank.
pub async fn open(connection: &Connection, in_flight_max: usize) -> Result<(BatchSender, BatchAnswers), ClientError> {
    if in_flight_max == 0 {
        return Err(ClientError::Usage("expected at least 1 batch in flight, found 0".to_owned()));
    }
    let (batches, outgoing) = mpsc::channel(in_flight_max);
    let mut client = connection.bank();
    let incoming = connection.ask(client.submit_transfers(ReceiverStream::new(outgoing))).await?;
    let permits = Arc::new(Semaphore::new(in_flight_max));
    let unanswered = Unanswered::default();
    let sender = BatchSender { batches, permits: permits.clone(), unanswered: unanswered.clone(), next_id: 1 };
    let answers =
        BatchAnswers { connection: connection.clone(), incoming, permits, unanswered, silence_max: SILENCE_MAX };
    Ok((sender, answers))
}

/// The sending half of a stream.
pub struct BatchSender {
    batches: mpsc::Sender<v1::CommandBatch>,
    permits: Arc<Semaphore>,
    unanswered: Unanswered,
    next_id: u64,
}

impl BatchSender {
    /// Sends a run of pre-signed payments and returns the batch's id: 1, 2, 3 and so on. Waits while `in_flight_max`
    /// batches are unanswered.
    ///
    /// # Errors
    /// [`ClientError::Usage`] if the bytes are not a whole number of payments; [`ClientError::Unknown`] if the stream
    /// has ended: this batch was then not sent.
    pub async fn send(&mut self, commands: Bytes) -> Result<u64, ClientError> {
        let payments = commands.len() / SIGNED_PAYMENT_BYTES;
        if payments == 0 || !commands.len().is_multiple_of(SIGNED_PAYMENT_BYTES) {
            let found = commands.len();
            return Err(ClientError::Usage(format!(
                "expected a multiple of {SIGNED_PAYMENT_BYTES} bytes of signed payments, found {found}"
            )));
        }
        let ended = || ClientError::Unknown { why: "the stream has ended".to_owned() };
        self.permits.acquire().await.map_err(|_| ended())?.forget();
        let batch_id = self.next_id;
        self.next_id += 1;
        lock(&self.unanswered).insert(batch_id, payments);
        if self.batches.send(v1::CommandBatch { batch_id, commands, takes_runs: true }).await.is_err() {
            lock(&self.unanswered).remove(&batch_id);
            return Err(ended());
        }
        Ok(batch_id)
    }

    /// The number of batches that may be sent now without waiting.
    pub fn capacity(&self) -> usize {
        self.permits.available_permits()
    }
}

/// The receiving half of a stream.
pub struct BatchAnswers {
    connection: Connection,
    incoming: Streaming<v1::OutcomeBatch>,
    permits: Arc<Semaphore>,
    unanswered: Unanswered,
    silence_max: Duration,
}

impl BatchAnswers {
    /// The next answered batch; `None` when the sender is gone and all is answered.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] if the stream broke, or was silent for 30 s, while batches waited;
    /// [`ClientError::BadAnswer`] if an answer does not fit its batch. Either ends the stream.
    pub async fn next(&mut self) -> Result<Option<BatchAnswer>, ClientError> {
        let answer = self.receive().await;
        if !matches!(answer, Ok(Some(_))) {
            self.permits.close();
        }
        answer
    }

    async fn receive(&mut self) -> Result<Option<BatchAnswer>, ClientError> {
        let batch = loop {
            match tokio::time::timeout(self.silence_max, self.incoming.message()).await {
                Ok(Ok(Some(batch))) => break batch,
                Ok(Ok(None)) if lock(&self.unanswered).is_empty() => return Ok(None),
                Ok(Ok(None)) => return Err(self.broken("the bank ended the stream")),
                Ok(Err(status)) => return Err(self.broken(&format!("{:?}: {}", status.code(), status.message()))),
                Err(_) if lock(&self.unanswered).is_empty() => {}
                Err(_) => return Err(self.broken("no answer within 30 s")),
            }
        };
        let batch_id = batch.batch_id;
        let answers = Answers::from_message(batch).and_then(|answers| answers.unpacked());
        let answers = answers.map_err(|reason| self.connection.bad_answer(reason))?;
        let sent = lock(&self.unanswered).remove(&batch_id);
        match sent {
            Some(payments) if payments == answers.len() => {}
            Some(payments) => {
                let found = answers.len();
                return Err(self
                    .connection
                    .bad_answer(format!("expected {payments} answers to batch {batch_id}, found {found}")));
            }
            None => {
                return Err(self
                    .connection
                    .bad_answer(format!("expected an answer to an unanswered batch, found one to batch {batch_id}")));
            }
        }
        self.permits.add_permits(1);
        Ok(Some(BatchAnswer { batch_id, answers }))
    }

    fn broken(&self, why: &str) -> ClientError {
        let unanswered = lock(&self.unanswered).len();
        ClientError::Unknown {
            why: format!(
                "the stream to {} broke with {unanswered} batches unanswered: {why}",
                self.connection.address()
            ),
        }
    }

    /// The ids of the unanswered batches, in the order in which they were sent.
    pub fn unanswered(&self) -> Vec<u64> {
        let mut batches: Vec<u64> = lock(&self.unanswered).keys().copied().collect();
        batches.sort_unstable();
        batches
    }
}

fn lock(unanswered: &Unanswered) -> std::sync::MutexGuard<'_, HashMap<u64, usize>> {
    unanswered.lock().unwrap_or_else(PoisonError::into_inner)
}
