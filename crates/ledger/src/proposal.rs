//! A proposal: commands in the order in which they are applied, with the time that the sequencer stamped.
//!
//! Layout: version (1), reserved (3), number of commands (4), time in ms (8), then the commands back to back. One
//! proposal is one entry of the ordered log, and becomes one block.

use std::borrow::Cow;

use bytes::Bytes;

use crate::command::Command;
use crate::encoding::{DecodeError, Reader, VERSION, Writer};
use crate::time::Timestamp;
use crate::verification::VerifiedCommand;

/// Bytes before the first command.
pub const PROPOSAL_HEAD_BYTES: usize = 16;

/// What a proposal says, with the bytes of each command for its leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal<'a> {
    pub time: Timestamp,
    pub commands: Cow<'a, [Command]>,
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
        Ok(Proposal { time, commands: commands.into(), encoded })
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
    commands: Vec<Command>,
    /// Where each command ends.
    ends: Vec<usize>,
}

/// A proposal that was made here: its bytes, and what they say, which its maker need not decode again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MadeProposal {
    bytes: Bytes,
    time: Timestamp,
    commands: Vec<Command>,
    ends: Vec<usize>,
}

impl Default for ProposalBuilder {
    fn default() -> Self {
        let mut out = Writer::with_capacity(4096);
        out.reserved(PROPOSAL_HEAD_BYTES);
        ProposalBuilder { out, commands: Vec::new(), ends: Vec::new() }
    }
}

impl ProposalBuilder {
    pub fn push(&mut self, command: VerifiedCommand) {
        let command = command.into_command();
        command.encode(&mut self.out);
        self.commands.push(command);
        self.ends.push(self.out.len());
    }

    pub fn len(&self) -> usize {
        self.commands.len()
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Bytes of the commands so far.
    pub fn bytes(&self) -> usize {
        self.out.len() - PROPOSAL_HEAD_BYTES
    }

    /// Stamps the time.
    pub fn finish(mut self, time: Timestamp) -> MadeProposal {
        let mut head = Writer::with_capacity(PROPOSAL_HEAD_BYTES);
        head.u8(VERSION).reserved(3).u32(self.commands.len() as u32).u64(time.0);
        let mut bytes = self.out.finish();
        bytes[..PROPOSAL_HEAD_BYTES].copy_from_slice(head.as_bytes());
        MadeProposal { bytes: bytes.into(), time, commands: self.commands, ends: self.ends }
    }
}

impl MadeProposal {
    /// What is ordered.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The commands, in order.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// Whether these are its bytes. Those that never left this process need no comparison.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        std::ptr::eq(&raw const self.bytes[..], bytes) || self.bytes == bytes
    }

    /// As [`Proposal::decode`] reads it from the bytes.
    pub(crate) fn proposal(&self) -> Proposal<'_> {
        let starts = std::iter::once(&PROPOSAL_HEAD_BYTES).chain(&self.ends);
        let encoded = starts.zip(&self.ends).map(|(start, end)| &self.bytes[*start..*end]).collect();
        Proposal { time: self.time, commands: Cow::Borrowed(&self.commands), encoded }
    }
}
