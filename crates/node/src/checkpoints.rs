//! Scheduling of checkpoints, and the thread that writes them alongside the node's work.
//!
//! A checkpoint's cost grows with the number of wallets, that of a replay after a restart with the work settled since.
//! So a small ledger gets one every `every_blocks` blocks, and one of millions of wallets only when the replay that it
//! saves is worth it: [`WORK_A_WALLET`] commands per wallet. With 10 million wallets that is 20 million commands, about
//! a quarter of a minute of replay, plus whatever settles while the checkpoint is being written.
//!
//! From version 2 of the formats on, a checkpoint is of a *checkpoint block*, whose header covers the whole state. The
//! central bank's node has its sequencer ask for one when a checkpoint is due; every node writes its own there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cbdc_environment::thread;
use cbdc_ledger::{FormatVersion, Header, Height};

/// The cost of replaying a block apart from its commands, in commands: reading it, checking and hashing its header.
const WORK_A_BLOCK: u64 = 100;
/// Commands to replay for each wallet that a checkpoint would hold.
const WORK_A_WALLET: u64 = 2;

/// The number of blocks after which a checkpoint block is asked for again: the block proposal that asked may not have
/// been ordered.
const ASK_AGAIN_BLOCKS: u64 = 256;

/// The action to take after a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckpointStep {
    /// Nothing.
    Wait,
    /// Ask for a checkpoint block.
    Ask,
    /// Write the checkpoint of this block.
    Write,
}

/// The checkpoints of one ledger.
pub struct Checkpoints {
    every_blocks: u64,
    /// The height of the newest checkpoint begun.
    last: Height,
    /// The ledger's own height.
    height: Height,
    commands_since: u64,
    /// The height at which a checkpoint block was asked for, if it has not come yet.
    asked_at: Option<Height>,
    /// Whether one is being written: two at once would remove each other's chunks.
    is_writing: Arc<AtomicBool>,
}

/// Clears the flag however the writing ends.
struct Writing(Arc<AtomicBool>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Checkpoints {
    /// The checkpoints of a ledger, at least `every_blocks` blocks apart (0: none is ever written). The newest one is
    /// at `last`; `commands` were replayed since.
    pub fn new(every_blocks: u64, last: Height, commands: u64) -> Checkpoints {
        let (height, commands_since) = (last, commands);
        Checkpoints { every_blocks, last, height, commands_since, asked_at: None, is_writing: Arc::default() }
    }

    /// Goes on from a checkpoint that came from another node.
    pub fn restart_at(&mut self, height: Height) {
        (self.last, self.height, self.commands_since, self.asked_at) = (height, height, 0, None);
    }

    /// Records the block at a height and its number of commands.
    pub fn note(&mut self, height: Height, commands: usize) {
        self.height = height;
        self.commands_since += commands as u64;
    }

    /// The action of the node that orders, after the block of a header. `wallets` is called only if the number of
    /// wallets matters.
    pub fn step(&mut self, header: &Header, wallets: impl FnOnce() -> usize) -> CheckpointStep {
        if !self.is_due(wallets) {
            return CheckpointStep::Wait;
        }
        if header.format == FormatVersion::One || header.is_of_checkpoint() {
            self.asked_at = None;
            return CheckpointStep::Write;
        }
        match self.asked_at {
            Some(asked_at) if header.height.0.saturating_sub(asked_at.0) < ASK_AGAIN_BLOCKS => CheckpointStep::Wait,
            _ => {
                self.asked_at = Some(header.height);
                CheckpointStep::Ask
            }
        }
    }

    /// Whether a following node writes the checkpoint of the block of a header: if the node that orders has asked for
    /// one or, before version 2 of the formats, if it is due here.
    pub fn is_due_at(&self, header: &Header, wallets: impl FnOnce() -> usize) -> bool {
        match header.format {
            FormatVersion::One => self.is_due(wallets),
            _ => header.is_of_checkpoint() && self.is_due(|| 0),
        }
    }

    /// Whether a checkpoint is due. `wallets` is called only if the number of wallets matters.
    fn is_due(&self, wallets: impl FnOnce() -> usize) -> bool {
        let blocks = self.height.0.saturating_sub(self.last.0);
        let work = self.commands_since + WORK_A_BLOCK * blocks;
        self.every_blocks > 0
            && blocks >= self.every_blocks
            && !self.is_writing.load(Ordering::Acquire)
            && work >= WORK_A_WALLET * wallets() as u64
    }

    /// Writes the checkpoint of this height on another thread. A failure to write poisons the store, which ends the
    /// node.
    pub fn begin(&mut self, write: impl Future<Output = ()> + Send + 'static) {
        self.is_writing.store(true, Ordering::Release);
        let writing = Writing(self.is_writing.clone());
        let write = async move || {
            let _writing = writing;
            write.await;
        };
        match thread::thread("checkpoint", write) {
            Ok(_) => (self.last, self.commands_since) = (self.height, 0),
            Err(error) => tracing::error!(%error, "no thread for a checkpoint"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(checkpoints: &Checkpoints) {
        while checkpoints.is_writing.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    }

    /// The heights at which a checkpoint is due in blocks of `commands`, each written at once.
    fn due(every_blocks: u64, first: u64, commands: usize, wallets: usize) -> Vec<u64> {
        let mut checkpoints = Checkpoints::new(every_blocks, Height(first), 0);
        let mut heights = Vec::new();
        for height in first + 1..=first + 40 {
            checkpoints.note(Height(height), commands);
            if checkpoints.is_due(|| wallets) {
                heights.push(height);
                checkpoints.begin(async {});
                wait(&checkpoints);
            }
        }
        heights
    }

    #[test]
    fn a_small_ledger_has_one_every_so_many_blocks() {
        assert_eq!(due(10, 5, 1, 20), [15, 25, 35, 45]);
        assert_eq!(due(0, 0, 1, 1), [0; 0], "none is wanted");
    }

    #[test]
    fn a_large_ledger_waits_until_a_replay_is_worth_it() {
        // 3,000 commands' worth of work; a block of 50 is worth 150.
        assert_eq!(due(1, 0, 50, 1_500), [20, 40]);
        let mut restarted = Checkpoints::new(1, Height(0), 2_900);
        restarted.note(Height(1), 0);
        assert!(restarted.is_due(|| 1_500), "what was replayed counts");
    }

    #[test]
    fn none_falls_due_while_one_is_written_and_one_that_fails_bars_no_other() {
        let mut checkpoints = Checkpoints::new(1, Height(0), 0);
        checkpoints.note(Height(1), 1);
        assert!(checkpoints.is_due(|| 1));
        let (finish, is_finished) = std::sync::mpsc::channel::<()>();
        checkpoints.begin(async move { is_finished.recv().unwrap() });
        checkpoints.note(Height(2), 1);
        assert!(!checkpoints.is_due(|| 1));
        drop(finish);
        wait(&checkpoints);
        assert!(checkpoints.is_due(|| 1), "although the thread panicked");
    }
}
