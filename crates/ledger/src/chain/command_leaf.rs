//! The leaves of a block's commands under its commands root.

use crate::codec::encoding::Writer;
use crate::codec::merkle;
use crate::codec::merkle::Hash;
use crate::types::outcome::Outcome;

/// The data of a command's leaf: index (4), length of the command (4), outcome (24), the command with its signature,
/// zeros up to a multiple of 64 bytes. A payment's is 192 bytes.
fn leaf_data(index: u32, command: &[u8], outcome: &Outcome, out: &mut Writer) {
    out.u32(index).u32(command.len() as u32);
    outcome.encode(out);
    out.raw(command).reserved((32 + command.len()).next_multiple_of(64) - 32 - command.len());
}

/// The leaf of one command.
pub fn command_leaf(index: u32, command: &[u8], outcome: &Outcome) -> Hash {
    let mut data = Writer::with_capacity(256);
    leaf_data(index, command, outcome, &mut data);
    merkle::leaf_hash(&[&data.finish()])
}

/// The leaf data that is gathered before it is hashed: 64 payments, which fit the nearest cache.
const RUN_BYTES: usize = 64 * 192;

/// The leaves of a block's commands, in order. Runs of commands of the same length, such as payments, are hashed
/// together.
pub fn command_leaves<'a>(commands: impl ExactSizeIterator<Item = (&'a [u8], &'a Outcome)>) -> Vec<Hash> {
    let mut leaves = Vec::with_capacity(commands.len());
    let mut run = Writer::with_capacity(RUN_BYTES);
    let mut run_length = 0;
    for (index, (command, outcome)) in (0..).zip(commands) {
        let length = (32 + command.len()).next_multiple_of(64);
        if length != run_length || run.len() >= RUN_BYTES {
            leaves.extend(merkle::leaf_hashes(run.as_bytes(), run_length));
            run.clear();
            run_length = length;
        }
        leaf_data(index, command, outcome, &mut run);
    }
    leaves.extend(merkle::leaf_hashes(run.as_bytes(), run_length));
    leaves
}
