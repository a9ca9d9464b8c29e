//! A proposal: commands in the order in which they are applied, with the time that the sequencer stamped.
//!
//! Layout: version (1), reserved (3), number of commands (4), time in ms (8), then the commands back to back. One
//! proposal is one entry of the ordered log, and becomes one block.

use crate::command::Command;
use crate::encoding::{DecodeError, Reader, VERSION, Writer};
use crate::time::Timestamp;
use crate::verification::VerifiedCommand;

/// Bytes before the first command.
pub const PROPOSAL_HEAD_BYTES: usize = 16;

/// A decoded proposal that keeps the bytes of each command for its leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal<'a> {
    pub time: Timestamp,
    pub commands: Vec<Command>,
    encoded: Vec<&'a [u8]>,
}

impl<'a> Proposal<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Proposal<'a>, DecodeError> {
        let mut input = Reader::new("proposal", bytes);
        input.version()?;
        input.reserved(3)?;
        let count = input.u32()? as usize;
        let time = Timestamp(input.u64()?);
        // A command takes at least 96 bytes: a false count cannot reserve more than the bytes at hand justify.
        let capacity = count.min(bytes.len() / 96 + 1);
        let (mut commands, mut encoded) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        for _ in 0..count {
            let before = input.left();
            commands.push(Command::decode(&mut input)?);
            let start = bytes.len() - before;
            encoded.push(&bytes[start..bytes.len() - input.left()]);
        }
        input.finish()?;
        Ok(Proposal { time, commands, encoded })
    }

    /// The bytes of each command, in order.
    pub fn encoded_commands(&self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.encoded.iter().copied()
    }

    /// The bytes of the command at `index`.
    pub fn command_bytes(&self, index: usize) -> Option<&'a [u8]> {
        self.encoded.get(index).copied()
    }
}

/// Collects verified commands into a proposal.
pub struct ProposalBuilder {
    /// The proposal, its head still empty.
    out: Writer,
    count: u32,
}

impl Default for ProposalBuilder {
    fn default() -> Self {
        let mut out = Writer::with_capacity(4096);
        out.reserved(PROPOSAL_HEAD_BYTES);
        ProposalBuilder { out, count: 0 }
    }
}

impl ProposalBuilder {
    pub fn push(&mut self, command: &VerifiedCommand) {
        command.command().encode(&mut self.out);
        self.count += 1;
    }

    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the commands so far.
    pub fn bytes(&self) -> usize {
        self.out.len() - PROPOSAL_HEAD_BYTES
    }

    /// Stamps the time and gives the proposal's bytes.
    pub fn finish(mut self, time: Timestamp) -> Vec<u8> {
        let mut head = Writer::with_capacity(PROPOSAL_HEAD_BYTES);
        head.u8(VERSION).reserved(3).u32(self.count).u64(time.0);
        let mut proposal = self.out.finish();
        proposal[..PROPOSAL_HEAD_BYTES].copy_from_slice(head.as_bytes());
        proposal
    }
}
