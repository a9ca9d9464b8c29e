//! Commands that travel together: their bytes, back to back, and the decoded commands.
//!
//! A command has one encoding. So the bytes that a bank submitted are those that were signed, and that are ordered and
//! kept: a batch is not encoded again on that way, and a batch without refusals is moved as a whole.

use std::ops::{Deref, Range};

use bytes::Bytes;

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::command::Command;
use crate::command::payment::SIGNED_PAYMENT_BYTES;

/// Commands, and their encoding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandBatch {
    bytes: Bytes,
    commands: Vec<Command>,
    /// The end of each command in `bytes`.
    ends: Vec<usize>,
}

/// The reason why bytes are not a batch.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("expected at most {commands_max} commands in a batch, found more")]
    TooMany { commands_max: usize },
    #[error("command {index} of the batch: {error}")]
    Command { index: usize, error: DecodeError },
}

impl CommandBatch {
    /// Reads commands that are back to back.
    pub fn decode(bytes: Bytes, commands_max: usize) -> Result<CommandBatch, BatchError> {
        let capacity = (bytes.len() / SIGNED_PAYMENT_BYTES).min(commands_max);
        let (mut commands, mut ends) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        let mut input = Reader::new("command", &bytes);
        while !input.is_empty() {
            let index = commands.len();
            if index == commands_max {
                return Err(BatchError::TooMany { commands_max });
            }
            let command = Command::decode(&mut input);
            commands.push(command.map_err(|error| BatchError::Command { index, error })?);
            ends.push(bytes.len() - input.left());
        }
        Ok(CommandBatch { bytes, commands, ends })
    }

    /// The number of commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is no command.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The commands, in order.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// All commands, back to back.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes of each command, in order.
    pub fn encoded_commands(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        encoded_commands(&self.bytes, 0, &self.ends)
    }

    /// The bytes of the command at an index.
    pub fn command_bytes(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.start(index)..*self.ends.get(index)?)
    }

    /// The number of bytes that the commands at these indices take.
    pub fn bytes_at(&self, indices: Range<usize>) -> usize {
        self.start(indices.end).saturating_sub(self.start(indices.start))
    }

    /// The offset at which the command at an index begins; for the index behind the last one, the end of that.
    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or(self.bytes.len()))
    }

    /// Keeps the commands at the indices that `keep` accepts.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        if (0..self.len()).all(&keep) {
            return;
        }
        let mut out = Writer::with_capacity(self.bytes.len());
        let kept = self.encoded_commands().enumerate().filter(|(index, _)| keep(*index));
        let ends = kept.map(|(_, encoded)| out.raw(encoded).len()).collect();
        let mut indices = 0..;
        self.commands.retain(|_| indices.next().is_some_and(&keep));
        (self.bytes, self.ends) = (out.finish().into(), ends);
    }

    /// The commands, and the offset at which each ends.
    pub(crate) fn into_parts(self) -> (Vec<Command>, Vec<usize>) {
        (self.commands, self.ends)
    }
}

impl From<Command> for CommandBatch {
    fn from(command: Command) -> CommandBatch {
        let bytes = Bytes::from(command.to_bytes());
        CommandBatch { ends: vec![bytes.len()], commands: vec![command], bytes }
    }
}

/// Commands whose signatures were checked against the keys in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedBatch(CommandBatch);

impl VerifiedBatch {
    /// A batch whose signatures the caller has checked.
    pub(super) fn vouched_for(batch: CommandBatch) -> VerifiedBatch {
        VerifiedBatch(batch)
    }

    pub(crate) fn into_parts(self) -> (Vec<Command>, Vec<usize>) {
        self.0.into_parts()
    }
}

impl Deref for VerifiedBatch {
    type Target = CommandBatch;

    fn deref(&self) -> &CommandBatch {
        &self.0
    }
}

/// The bytes of commands of which the first begins at `start` and each ends at its offset in `ends`.
pub(crate) fn encoded_commands<'a>(
    bytes: &'a [u8],
    mut start: usize,
    ends: &'a [usize],
) -> impl ExactSizeIterator<Item = &'a [u8]> {
    ends.iter().map(move |end| &bytes[std::mem::replace(&mut start, *end)..*end])
}
