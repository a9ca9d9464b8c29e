//! The pipeline of a block proposal: prepared, ordered and made durable, applied, sealed, archived.
//!
//! Three parties, as in a node: a thread that prepares block proposals; this task, which proposes while fewer than
//! `in_flight` block proposals are unsettled; and a thread that settles them in the log's order. Each measures the CPU
//! time of its stages by its own thread's clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, mpsc as queue};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use cbdc_ledger::{Ledger, MemberId, SignedHeader, SigningKey, VerifiedProposal};
use cbdc_node::Archive;
use cbdc_ordering::{CommittedReceiver, Ordering};
use cbdc_storage::{Durability, RocksStore, Store, WriteBatch};
use tokio::sync::{Semaphore, mpsc};

use super::transfers::Transfers;
use crate::measure::latency::LatencyRecorder;
use crate::measure::thread_cpu;

/// The number of block proposals prepared ahead.
const PREPARED_MAX: usize = 4;

/// The figures of a lap.
pub struct Lap {
    pub proposals: u64,
    pub settled: u64,
    pub refused: u64,
    pub refusals: BTreeMap<String, u64>,
    /// From the first block proposal to the last one settled.
    pub duration: Duration,
    /// Latency of each block proposal, from being proposed to being settled.
    pub latency: LatencyRecorder,
    /// CPU time of the stages.
    pub prepare: Duration,
    pub decode: Duration,
    pub apply: Duration,
    pub archive: Duration,
}

impl Default for Lap {
    fn default() -> Self {
        let none = Duration::ZERO;
        Lap {
            proposals: 0,
            settled: 0,
            refused: 0,
            refusals: BTreeMap::new(),
            duration: none,
            latency: LatencyRecorder::new(0),
            prepare: none,
            decode: none,
            apply: none,
            archive: none,
        }
    }
}

pub struct Pipeline {
    ordering: Arc<Ordering>,
    /// `None` while a lap runs: the settling thread has it.
    settling: Option<Settling>,
    in_flight: u32,
}

impl Pipeline {
    pub fn new(ordering: Arc<Ordering>, settling: Settling, in_flight: u32) -> Pipeline {
        Pipeline { ordering, settling: Some(settling), in_flight: in_flight.max(1) }
    }

    /// Settles `count` transfers in block proposals of `batch`, and returns when the last one is settled.
    pub async fn run(&mut self, transfers: Transfers, count: u64, batch: usize) -> Result<(Transfers, Lap)> {
        let proposals = count.div_ceil(batch as u64);
        let (mut prepared, preparing) = prepare(transfers, count, batch)?;
        let ways = Arc::new(Semaphore::new(self.in_flight as usize));
        let (in_flight, proposed) = queue::channel();
        let settling = self.settling.take().context("the settling thread of the lap before failed")?;
        let began = Instant::now();
        let settling = settling.start(proposals, began, proposed, ways.clone())?;
        let mut pending = VecDeque::new();
        while let Some(proposal) = prepared.recv().await {
            // The channel is closed if settling failed; its thread returns the error below.
            let Ok(way) = ways.acquire().await else { break };
            way.forget();
            if pending.len() >= self.in_flight as usize
                && let Some(oldest) = pending.pop_front()
            {
                oldest.await?;
            }
            in_flight.send(began.elapsed()).ok();
            pending.push_back(self.ordering.propose_pipelined(proposal).await?);
        }
        drop(prepared);
        let (settling, mut lap) = tokio::task::block_in_place(|| join(settling))??;
        lap.duration = began.elapsed();
        for last in pending {
            last.await?;
        }
        self.settling = Some(settling);
        let (transfers, spent) = join(preparing)?;
        lap.prepare = spent;
        lap.proposals = proposals;
        Ok((transfers, lap))
    }

    /// Stops ordering and returns the ledger.
    pub async fn finish(self) -> Result<Ledger> {
        let ordering = Arc::into_inner(self.ordering).context("ordering is held by nobody else")?;
        ordering.shutdown().await?;
        Ok(self.settling.context("no lap is running")?.ledger)
    }
}

fn join<T>(thread: JoinHandle<T>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread of the measurement panicked; see above"))
}

type Preparing = JoinHandle<(Transfers, Duration)>;

/// Prepares block proposals on a separate thread, a few ahead.
fn prepare(mut transfers: Transfers, count: u64, batch: usize) -> Result<(mpsc::Receiver<Bytes>, Preparing)> {
    let (prepared, proposals) = mpsc::channel(PREPARED_MAX);
    let work = move || {
        let mut left = count;
        while left > 0 {
            let size = left.min(batch as u64);
            left -= size;
            if prepared.blocking_send(Bytes::from(transfers.proposal(size as usize))).is_err() {
                break;
            }
        }
        (transfers, thread_cpu::own())
    };
    Ok((proposals, std::thread::Builder::new().name("core-prepare".to_owned()).spawn(work)?))
}

/// The state of the settling thread.
pub struct Settling {
    ledger: Ledger,
    store: Arc<RocksStore>,
    committed: CommittedReceiver,
    key: SigningKey,
}

impl Settling {
    pub fn new(ledger: Ledger, store: Arc<RocksStore>, committed: CommittedReceiver) -> Settling {
        Settling { ledger, store, committed, key: SigningKey::from_seed([7; 32]) }
    }

    /// Settles the next `proposals` on a separate thread, and releases a permit for each.
    fn start(
        mut self,
        proposals: u64,
        began: Instant,
        proposed: queue::Receiver<Duration>,
        ways: Arc<Semaphore>,
    ) -> Result<JoinHandle<Result<(Settling, Lap)>>> {
        let work = move || {
            let mut lap = Lap::default();
            for _ in 0..proposals {
                if let Err(error) = self.settle_next(&mut lap) {
                    ways.close();
                    return Err(error);
                }
                let proposed_at = proposed.recv().context("every proposal is announced before it is proposed")?;
                lap.latency.record(proposed_at.as_nanos() as u64, began.elapsed().as_nanos() as u64);
                ways.add_permits(1);
            }
            Ok((self, lap))
        };
        Ok(std::thread::Builder::new().name("core-settle".to_owned()).spawn(work)?)
    }

    fn settle_next(&mut self, lap: &mut Lap) -> Result<()> {
        let committed =
            futures::executor::block_on(self.committed.recv())?.context("ordering ended before the last proposal")?;
        let started = thread_cpu::own();
        let verified = VerifiedProposal::from_own_log(&committed.proposal)?;
        let decoded = thread_cpu::own();
        let block = self.ledger.apply(&verified);
        for outcome in &block.outcomes {
            if outcome.is_settled() {
                lap.settled += 1;
            } else {
                lap.refused += 1;
                *lap.refusals.entry(outcome.reason.name().to_owned()).or_default() += 1;
            }
        }
        drop(verified);
        let applied = thread_cpu::own();
        let signed = SignedHeader::sign(block.header, self.ledger.network(), MemberId(0), &self.key);
        let mut batch = WriteBatch::new();
        Archive::put(&mut batch, &signed, committed.position.index, &block.outcomes);
        self.store.write(batch, Durability::Buffered)?;
        lap.decode += decoded - started;
        lap.apply += applied - decoded;
        lap.archive += thread_cpu::own() - applied;
        Ok(())
    }
}
