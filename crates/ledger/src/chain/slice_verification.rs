//! Verification of batches, a slice at a time.
//!
//! A large batch takes a while to verify, and whoever is queued behind it should not wait for all of it. A
//! [`PartlyVerified`] batch stays whole and records how far it is verified; [`verify_slices`] verifies the next
//! commands of several batches together. A batch becomes a [`VerifiedBatch`] ([`PartlyVerified::finish`]) only once
//! every command was verified or refused.

use cbdc_signatures::{BatchSeed, Trust};

use super::command_batch::{CommandBatch, VerifiedBatch};
use super::directory::KeyDirectory;
use super::verification::check_by_trust;
use crate::command::Command;
use crate::command::payment::SIGNED_PAYMENT_BYTES;
use crate::types::identity::NetworkId;
use crate::types::outcome::Outcome;

/// A batch whose commands are verified or refused up to some index.
#[derive(Debug)]
pub struct PartlyVerified {
    batch: CommandBatch,
    next: usize,
    /// Whether each command is refused; empty if none is.
    refused: Vec<bool>,
}

/// The next commands of a batch, up to a count.
pub struct Slice<'a> {
    /// The batch.
    pub batch: &'a mut PartlyVerified,
    /// The number of its commands.
    pub count: usize,
    /// The trust in whoever sent it.
    pub trust: Trust,
}

impl PartlyVerified {
    /// A batch of which nothing is verified yet.
    pub fn new(batch: CommandBatch) -> PartlyVerified {
        PartlyVerified { batch, next: 0, refused: Vec::new() }
    }

    /// The number of commands still to verify.
    pub fn left(&self) -> usize {
        self.batch.len() - self.next
    }

    /// The next commands, at most `count`, each with its index in the batch.
    pub fn upcoming(&self, count: usize) -> impl ExactSizeIterator<Item = (usize, &Command)> {
        self.batch.commands()[self.next..self.end(count)]
            .iter()
            .enumerate()
            .map(|(at, command)| (self.next + at, command))
    }

    /// The cost of the next commands, at most `count`: one each, or as much as their bytes would cost as payments.
    pub fn cost(&self, count: usize) -> usize {
        let next = self.next..self.end(count);
        self.batch.bytes_at(next.clone()).div_ceil(SIGNED_PAYMENT_BYTES).max(next.len())
    }

    /// Refuses the command at an index: its signature is not checked, and it is left out of the verified batch.
    pub fn refuse(&mut self, index: usize) {
        self.refused.resize(self.batch.len(), false);
        if let Some(refused) = self.refused.get_mut(index) {
            *refused = true;
        }
    }

    /// The commands that were not refused.
    ///
    /// # Errors
    /// The batch itself if commands are still to be verified.
    pub fn finish(mut self) -> Result<VerifiedBatch, PartlyVerified> {
        if self.left() > 0 {
            return Err(self);
        }
        self.batch.retain(|index| !is_refused(&self.refused, index));
        Ok(VerifiedBatch::vouched_for(self.batch))
    }

    fn end(&self, count: usize) -> usize {
        self.next + count.min(self.left())
    }
}

fn is_refused(refused: &[bool], index: usize) -> bool {
    refused.get(index).copied().unwrap_or(false)
}

/// Verifies the slices together against the keys in force; those of a suspect source cost the others nothing. For each
/// slice: the refusals, with their indices in the batch.
pub fn verify_slices(
    network: NetworkId,
    directory: &KeyDirectory,
    slices: &mut [Slice<'_>],
    seed: BatchSeed,
) -> Vec<Vec<(usize, Outcome)>> {
    let count = slices.iter().map(|slice| slice.count).sum();
    let (mut commands, mut trusts) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for Slice { batch, count, trust } in slices.iter() {
        let upcoming = batch.upcoming(*count).filter(|(index, _)| !is_refused(&batch.refused, *index));
        commands.extend(upcoming.filter_map(|(index, command)| Some((command, batch.batch.command_bytes(index)?))));
        trusts.resize(commands.len(), *trust);
    }
    let mut verdicts = check_by_trust(network, directory, &commands, |index| trusts[index], seed).into_iter();
    let advance = |Slice { batch, count, .. }: &mut Slice<'_>| {
        let indices = batch.next..batch.end(*count);
        let mut refusals = Vec::new();
        for index in indices.clone().filter(|index| !is_refused(&batch.refused, *index)) {
            if let Some(Err(refusal)) = verdicts.next() {
                refusals.push((index, refusal));
            }
        }
        refusals.iter().for_each(|(index, _)| batch.refuse(*index));
        batch.next = indices.end;
        refusals
    };
    slices.iter_mut().map(advance).collect()
}
