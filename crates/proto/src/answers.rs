//! The answers to a batch, in the order of its commands.
//!
//! Nearly every batch is settled whole, in one block, its commands one after another. Such a batch is answered by its
//! position alone ([`Answers::Run`]) if its sender accepts that; any other with one answer per command, 40 bytes each
//! ([`crate::packed`]). Nodes forward answers unchanged.

use bytes::Bytes;
use cbdc_ledger::{Height, Outcome};

use crate::packed::{Answer, BATCH_COMMANDS_MAX, PACKED_BYTES, is_unknown, pack, unpack};
use crate::v1;

/// The answers to a batch of commands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answers {
    /// All settled, each with limit and amount 0, one after another in the block at `height` from index `first` on.
    Run {
        /// The block's height.
        height: Height,
        /// The index of the batch's first command.
        first: u32,
        /// The number of commands.
        count: usize,
    },
    /// One answer per command, packed.
    Each(Bytes),
}

impl From<&[Answer]> for Answers {
    fn from(answers: &[Answer]) -> Answers {
        Answers::Each(pack(answers))
    }
}

impl Answers {
    /// The same answer to each of `count` commands.
    pub fn all(answer: Answer, count: usize) -> Answers {
        Answers::Each(pack(&vec![answer; count]))
    }

    /// Reads the answers in a message.
    ///
    /// # Errors
    /// A sentence, if the message does not hold a whole number of answers, holds answers in both forms, or a run that
    /// no block or batch can hold.
    pub fn from_message(message: v1::OutcomeBatch) -> Result<Answers, String> {
        let v1::OutcomeBatch { outcomes, settled_run, .. } = message;
        let Some(v1::SettledRun { height, first_index, count }) = settled_run else {
            return match outcomes.len().is_multiple_of(PACKED_BYTES) {
                true => Ok(Answers::Each(outcomes)),
                false => {
                    Err(format!("expected a multiple of {PACKED_BYTES} bytes of outcomes, found {}", outcomes.len()))
                }
            };
        };
        if !outcomes.is_empty() {
            return Err("expected outcomes or a settled run, found both".to_owned());
        }
        let is_of_batch = (1..=BATCH_COMMANDS_MAX).contains(&(count as usize));
        let in_bounds = height > 0 && is_of_batch && first_index.checked_add(count).is_some();
        if !in_bounds {
            return Err(format!(
                "expected a run of 1 to {BATCH_COMMANDS_MAX} commands in a block, found {count} from index \
                {first_index} on at height {height}"
            ));
        }
        Ok(Answers::Run { height: Height(height), first: first_index, count: count as usize })
    }

    /// The message of a batch's answers, to a sender that accepts runs or not.
    pub fn into_message(self, batch_id: u64, takes_runs: bool) -> v1::OutcomeBatch {
        match self {
            Answers::Run { height, first, count } if takes_runs => {
                let run = v1::SettledRun { height: height.0, first_index: first, count: count as u32 };
                v1::OutcomeBatch { batch_id, outcomes: Bytes::new(), settled_run: Some(run) }
            }
            other => v1::OutcomeBatch { batch_id, outcomes: other.packed(), settled_run: None },
        }
    }

    /// The number of commands answered.
    pub fn len(&self) -> usize {
        match self {
            Answers::Run { count, .. } => *count,
            Answers::Each(packed) => packed.len() / PACKED_BYTES,
        }
    }

    /// Whether the batch had no command.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The answer to a batch of one command; `None` if there are more, or its code is unknown.
    pub fn only(&self) -> Option<Answer> {
        if self.len() != 1 {
            return None;
        }
        self.unpacked().ok()?.pop()
    }

    /// The newest block that an answer names; 0 if none was ordered.
    pub fn newest(&self) -> Height {
        match self {
            Answers::Run { height, .. } => *height,
            Answers::Each(packed) => {
                let heights = packed.chunks_exact(PACKED_BYTES).filter_map(|answer| answer.first_chunk());
                Height(heights.map(|height| u64::from_le_bytes(*height)).max().unwrap_or(0))
            }
        }
    }

    /// Whether what became of some command is not known to whoever answered: the same records have to be sent again, to
    /// it or to another node.
    pub fn has_unknown(&self) -> bool {
        match self {
            Answers::Run { .. } => false,
            Answers::Each(packed) => packed.chunks_exact(PACKED_BYTES).any(is_unknown),
        }
    }

    /// These answers of commands that were ordered, and `later` ones of the same commands for the rest.
    pub fn completed_by(self, later: Answers) -> Answers {
        match (self, later) {
            (Answers::Each(first), later) => {
                let later = later.packed();
                let pairs = first.chunks_exact(PACKED_BYTES).zip(later.chunks_exact(PACKED_BYTES));
                let was_ordered = |answer: &[u8]| answer[..8] != [0; 8];
                let chosen = pairs.flat_map(|(first, later)| if was_ordered(first) { first } else { later });
                Answers::Each(chosen.copied().collect())
            }
            (run, _) => run,
        }
    }

    /// The answers to the commands `from..to`, which lie within the batch.
    pub fn part(&self, from: usize, to: usize) -> Answers {
        match self {
            Answers::Run { height, first, .. } => {
                Answers::Run { height: *height, first: first + from as u32, count: to - from }
            }
            Answers::Each(packed) => Answers::Each(packed.slice(from * PACKED_BYTES..to * PACKED_BYTES)),
        }
    }

    /// One answer per command, 40 bytes each.
    pub fn packed(self) -> Bytes {
        match self {
            Answers::Run { height, first, count } => pack(&run(height, first, count).collect::<Vec<_>>()),
            Answers::Each(packed) => packed,
        }
    }

    /// One answer per command.
    ///
    /// # Errors
    /// A sentence that names an unknown code.
    pub fn unpacked(&self) -> Result<Vec<Answer>, String> {
        match self {
            Answers::Run { height, first, count } => Ok(run(*height, *first, *count).collect()),
            Answers::Each(packed) => unpack(packed),
        }
    }
}

fn run(height: Height, first: u32, count: usize) -> impl Iterator<Item = Answer> {
    (first..).take(count).map(move |index| Answer::ordered(height, index, Outcome::settled()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_ledger::Reason;

    const RUN: Answers = Answers::Run { height: Height(7), first: 40, count: 3 };

    fn settled(index: u32) -> Answer {
        Answer::ordered(Height(7), index, Outcome::settled())
    }

    #[test]
    fn a_run_is_an_answer_a_command() {
        assert_eq!(RUN.unpacked().unwrap(), [40, 41, 42].map(settled));
        assert_eq!(RUN.packed(), pack(&[40, 41, 42].map(settled)));
        assert_eq!(RUN.part(1, 3).unpacked().unwrap(), [41, 42].map(settled));
        let each = Answers::from(&[40, 41, 42].map(settled)[..]);
        assert_eq!((each.len(), each.part(1, 3).unpacked().unwrap()), (3, vec![settled(41), settled(42)]));
    }

    #[test]
    fn commands_that_were_sent_again_keep_the_outcome_that_they_had_and_take_the_later_one_otherwise() {
        let overloaded = Answer::not_ordered(Outcome::refused(Reason::Overloaded, 0, 0));
        let first = Answers::from(&[settled(40), Answer::unknown(), overloaded][..]);
        assert!(first.has_unknown() && !RUN.has_unknown());
        let ceased_to_lead = Answer::not_ordered(Outcome::refused(Reason::NotLeader, 0, 0));
        assert!(Answers::from(&[settled(40), ceased_to_lead][..]).has_unknown());
        assert!(!Answers::from(&[settled(40), overloaded][..]).has_unknown());
        let later = Answers::Run { height: Height(9), first: 1, count: 3 };
        let [_, second, third] = later.unpacked().unwrap()[..] else { panic!("three answers") };
        assert_eq!(first.clone().completed_by(later).unpacked().unwrap(), [settled(40), second, third]);
        let still = first.completed_by(Answers::all(Answer::unknown(), 3));
        assert_eq!(still.unpacked().unwrap(), [settled(40), Answer::unknown(), Answer::unknown()]);
        assert_eq!(RUN.completed_by(Answers::all(Answer::unknown(), 3)), RUN);
    }

    #[test]
    fn a_run_travels_only_to_a_sender_that_takes_it() {
        let message = RUN.into_message(5, true);
        assert_eq!((message.batch_id, message.outcomes.len()), (5, 0));
        assert_eq!(Answers::from_message(message).unwrap(), RUN);
        let message = RUN.into_message(5, false);
        assert_eq!((message.outcomes.len(), message.settled_run), (120, None));
        assert_eq!(Answers::from_message(message).unwrap().unpacked(), RUN.unpacked());
        let refused = Answers::all(Answer::not_ordered(Outcome::refused(Reason::Overloaded, 0, 0)), 2);
        assert_eq!(Answers::from_message(refused.clone().into_message(5, true)).unwrap(), refused);
    }

    #[test]
    fn what_is_no_answer_to_a_batch_is_refused() {
        let refusal = |change: fn(&mut v1::OutcomeBatch, &mut v1::SettledRun)| {
            let mut message = RUN.into_message(5, true);
            let mut run = message.settled_run.take().unwrap();
            change(&mut message, &mut run);
            Answers::from_message(v1::OutcomeBatch { settled_run: Some(run), ..message }).unwrap_err()
        };
        assert!(refusal(|message, _| message.outcomes = vec![0; 32].into()).contains("found both"));
        assert!(refusal(|_, run| run.height = 0).contains("at height 0"));
        assert!(refusal(|_, run| run.count = 8_193).contains("found 8193"));
        assert!(refusal(|_, run| run.count = 0).contains("found 0"));
        assert!(refusal(|_, run| run.first_index = u32::MAX).contains("from index 4294967295"));
        let crooked = v1::OutcomeBatch { batch_id: 1, outcomes: vec![0; 31].into(), settled_run: None };
        assert!(Answers::from_message(crooked).unwrap_err().contains("multiple of 40"));
    }
}
