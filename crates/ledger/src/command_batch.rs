//! Commands that travel together: their bytes, back to back, and what they say.
//!
//! A command has one encoding. So the bytes that a bank handed in are those that were signed and that are ordered and kept;
//! on that way no command is encoded again, and a batch none of whose commands is refused is moved as a whole.

use bytes::Bytes;

use crate::command::payment::SIGNED_PAYMENT_BYTES;
use crate::command::{Command, SIGNATURE_BYTES};
use crate::encoding::{DecodeError, Reader, Writer};

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandBatch {
    bytes: Bytes,
    commands: Vec<Command>,
    /// Where each command ends in `bytes`.
    ends: Vec<usize>,
}

/// Why bytes are no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("expected at most {commands_max} commands in a batch, found more")]
    TooMany { commands_max: usize },
    #[error("command {place} of the batch: {error}")]
    Command { place: usize, error: DecodeError },
}

impl CommandBatch {
    /// Reads commands that stand back to back.
    pub fn decode(bytes: Bytes, commands_max: usize) -> Result<CommandBatch, BatchError> {
        let capacity = (bytes.len() / SIGNED_PAYMENT_BYTES).min(commands_max);
        let (mut commands, mut ends) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        let mut input = Reader::new("command", &bytes);
        while !input.is_empty() {
            let place = commands.len();
            if place == commands_max {
                return Err(BatchError::TooMany { commands_max });
            }
            let command = Command::decode(&mut input);
            commands.push(command.map_err(|error| BatchError::Command { place, error })?);
            ends.push(bytes.len() - input.left());
        }
        Ok(CommandBatch { bytes, commands, ends })
    }

    pub fn len(&self) -> usize {
        self.commands.len()
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

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

    /// Leaves out the commands whose places are listed, in order.
    pub fn leave_out(&mut self, mut places: impl Iterator<Item = usize>) {
        let Some(mut next) = places.next() else { return };
        let mut out = Writer::with_capacity(self.bytes.len());
        let mut ends = Vec::with_capacity(self.ends.len());
        let mut left_out = Vec::with_capacity(self.commands.len());
        for (place, encoded) in encoded_commands(&self.bytes, 0, &self.ends).enumerate() {
            left_out.push(place == next);
            if place == next {
                next = places.next().unwrap_or(usize::MAX);
            } else {
                ends.push(out.raw(encoded).len());
            }
        }
        let mut left_out = left_out.into_iter();
        self.commands.retain(|_| left_out.next() == Some(false));
        (self.bytes, self.ends) = (out.finish().into(), ends);
    }

    /// Its commands and where each ends.
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

/// The bytes of commands of which the first begins at `start` and each ends where `ends` says.
pub(crate) fn encoded_commands<'a>(
    bytes: &'a [u8],
    start: usize,
    ends: &'a [usize],
) -> impl ExactSizeIterator<Item = &'a [u8]> {
    let mut start = start;
    ends.iter().map(move |end| &bytes[std::mem::replace(&mut start, *end)..*end])
}

/// What the signer of a command signs behind the prefix: its bytes without the signature.
pub(crate) fn signed_part(encoded: &[u8]) -> &[u8] {
    &encoded[..encoded.len() - SIGNATURE_BYTES]
}
