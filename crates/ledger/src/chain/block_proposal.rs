//! A block proposal: commands in the order in which they are applied, with the time that the sequencer stamped.
//!
//! Layout: version (1), whether its block shall be a checkpoint block (1), reserved (2), number of commands (4), time
//! in ms (8), then the commands back to back. One block proposal is one entry of the ordered log, and becomes one
//! block.

use std::borrow::Cow;

use bytes::Bytes;

use super::command_batch::{VerifiedBatch, encoded_commands};
use crate::codec::encoding::{DecodeError, Reader, VERSION, Writer};
use crate::command::Command;
use crate::types::time::Timestamp;

/// Bytes before the first command.
pub const PROPOSAL_HEAD_BYTES: usize = 16;

/// A decoded block proposal, with the bytes of each command for its leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockProposal<'a> {
    /// The time that the sequencer stamped.
    pub time: Timestamp,
    /// Whether its block shall cover the whole state ([`crate::sections`]). Ignored before version 2.
    pub asks_for_checkpoint: bool,
    /// The commands, in order.
    pub commands: Cow<'a, [Command]>,
    bytes: &'a [u8],
    /// The end of each command in `bytes`.
    ends: Cow<'a, [usize]>,
}

impl<'a> BlockProposal<'a> {
    /// Reads a block proposal; bytes left over are refused.
    pub fn decode(bytes: &'a [u8]) -> Result<BlockProposal<'a>, DecodeError> {
        let mut input = Reader::new("proposal", bytes);
        input.version()?;
        let asks_for_checkpoint = input.boolean()?;
        input.reserved(2)?;
        let count = input.u32()? as usize;
        let time = Timestamp(input.u64()?);
        // A command takes at least 96 bytes: a false count cannot reserve more than the input justifies.
        let capacity = count.min(bytes.len() / 96 + 1);
        let (mut commands, mut ends) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        for _ in 0..count {
            commands.push(Command::decode(&mut input)?);
            ends.push(bytes.len() - input.left());
        }
        input.finish()?;
        Ok(BlockProposal { time, asks_for_checkpoint, commands: commands.into(), bytes, ends: ends.into() })
    }

    /// The bytes of each command, in order.
    pub fn encoded_commands(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        encoded_commands(self.bytes, PROPOSAL_HEAD_BYTES, &self.ends)
    }

    /// The bytes of the command at `index`.
    pub fn command_bytes(&self, index: usize) -> Option<&'a [u8]> {
        let start = if index == 0 { PROPOSAL_HEAD_BYTES } else { *self.ends.get(index - 1)? };
        Some(&self.bytes[start..*self.ends.get(index)?])
    }
}

/// Collects verified batches into a block proposal.
#[derive(Default)]
pub struct BlockProposalBuilder {
    batches: Vec<VerifiedBatch>,
    len: usize,
    bytes: usize,
    asks_for_checkpoint: bool,
}

/// A block proposal that was made here: its bytes, and its commands, which its maker need not decode again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuiltProposal {
    bytes: Bytes,
    time: Timestamp,
    asks_for_checkpoint: bool,
    commands: Vec<Command>,
    ends: Vec<usize>,
}

impl BlockProposalBuilder {
    /// Appends a batch.
    pub fn push(&mut self, batch: VerifiedBatch) {
        self.len += batch.len();
        self.bytes += batch.bytes().len();
        self.batches.push(batch);
    }

    /// The number of commands so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no command yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of the commands so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Asks for the proposal's block to be a checkpoint block.
    pub fn ask_for_checkpoint(&mut self) {
        self.asks_for_checkpoint = true;
    }

    /// Stamps the time.
    pub fn finish(self, time: Timestamp) -> BuiltProposal {
        let mut out = Writer::with_capacity(PROPOSAL_HEAD_BYTES + self.bytes);
        out.u8(VERSION).u8(u8::from(self.asks_for_checkpoint)).reserved(2).u32(self.len as u32).u64(time.0);
        let (mut commands, mut ends) = (Vec::with_capacity(self.len), Vec::with_capacity(self.len));
        for batch in self.batches {
            let start = out.len();
            out.raw(batch.bytes());
            let (batch_commands, batch_ends) = batch.into_parts();
            commands.extend(batch_commands);
            ends.extend(batch_ends.iter().map(|end| start + end));
        }
        BuiltProposal {
            bytes: out.finish().into(),
            time,
            asks_for_checkpoint: self.asks_for_checkpoint,
            commands,
            ends,
        }
    }
}

impl BuiltProposal {
    /// The encoded block proposal, which is ordered.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The commands, in order.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// Whether these are its bytes. Bytes that never left this process need no comparison.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        std::ptr::eq(&raw const self.bytes[..], bytes) || self.bytes == bytes
    }

    /// The proposal as [`BlockProposal::decode`] would read it from the bytes.
    pub(crate) fn proposal(&self) -> BlockProposal<'_> {
        let (commands, ends) = (Cow::Borrowed(&self.commands[..]), Cow::Borrowed(&self.ends[..]));
        BlockProposal {
            time: self.time,
            asks_for_checkpoint: self.asks_for_checkpoint,
            commands,
            bytes: &self.bytes,
            ends,
        }
    }
}
