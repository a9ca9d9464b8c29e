//! One process's part of a plan: part `index` of `count` has every `count`-th run, beginning with run `index`.
//!
//! Both come from the command line or from the scheduler's environment:
//! - `index` from `SLURM_ARRAY_TASK_ID` or `JOB_COMPLETION_INDEX` (Kubernetes), `count` from `SLURM_ARRAY_TASK_COUNT`;
//! - the command line overrides the environment;
//! - without either there is one part, which holds all runs.
//!
//! Indices start at 0. A Slurm array that does not is refused in each of its tasks before anything is simulated, since
//! nobody would run part 0.

/// A part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    index: u32,
    count: u32,
}

/// The reason why no part could be determined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// A variable of the environment is not a number.
    #[error("{name}: expected a whole number from 0 to 4294967295, found `{found}`")]
    NotANumber {
        /// The variable.
        name: &'static str,
        /// Its value.
        found: String,
    },
    /// An index without a count.
    #[error(
        "the index is {index} ({index_from}), and the count of parts is not given: expected --count K with K above \
        {index}"
    )]
    NoCount {
        /// The index.
        index: u32,
        /// The option or variable that gave it.
        index_from: &'static str,
    },
    /// A count without an index.
    #[error(
        "the count of parts is {count} ({count_from}), and the index is not given: expected --index I with I from 0 to \
         {}, or one of the variables SLURM_ARRAY_TASK_ID and JOB_COMPLETION_INDEX", count.saturating_sub(1)
    )]
    NoIndex {
        /// The count.
        count: u32,
        /// The option or variable that gave it.
        count_from: &'static str,
    },
    /// A count of 0.
    #[error("the count of parts ({from}): expected 1 or more, found 0")]
    Empty {
        /// The option or variable that gave it.
        from: &'static str,
    },
    /// The index is not below the count.
    #[error(
        "the index of the part ({index_from}): expected 0 to {} for {count} parts ({count_from}), found {index}",
        count - 1
    )]
    Outside {
        /// The index.
        index: u32,
        /// The option or variable that gave it.
        index_from: &'static str,
        /// The count.
        count: u32,
        /// The option or variable that gave it.
        count_from: &'static str,
    },
    /// A Slurm array that is not numbered from 0 in steps of 1.
    #[error(
        "the Slurm array is numbered from {min} in steps of {step}: expected `--array=0-{}`, or --count with the \
         number of parts when only some of them are run again", count.saturating_sub(1)
    )]
    Array {
        /// `SLURM_ARRAY_TASK_MIN`.
        min: u32,
        /// `SLURM_ARRAY_TASK_STEP`.
        step: u32,
        /// `SLURM_ARRAY_TASK_COUNT`.
        count: u32,
    },
}

impl Part {
    /// All runs.
    pub const WHOLE: Part = Part { index: 0, count: 1 };

    /// Determines the part from the command line and the environment.
    ///
    /// # Errors
    /// They name no part; the error says which of them is wrong.
    pub fn chosen(
        index: Option<u32>,
        count: Option<u32>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Part, PartError> {
        let variable = |name: &'static str| match environment(name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => match value.parse::<u32>() {
                Ok(number) => Ok(Some((number, name))),
                Err(_) => Err(PartError::NotANumber { name, found: value }),
            },
        };
        let index = match index {
            Some(index) => Some((index, "--index")),
            None => match variable("SLURM_ARRAY_TASK_ID")? {
                Some(found) => Some(found),
                None => variable("JOB_COMPLETION_INDEX")?,
            },
        };
        let is_given = count.is_some();
        let count = match count {
            Some(count) => Some((count, "--count")),
            None => variable("SLURM_ARRAY_TASK_COUNT")?,
        };
        match (index, count) {
            (None, None) => Ok(Part::WHOLE),
            (_, Some((0, from))) => Err(PartError::Empty { from }),
            (Some((index, index_from)), None) => Err(PartError::NoCount { index, index_from }),
            (None, Some((count, count_from))) => Err(PartError::NoIndex { count, count_from }),
            (Some((index, index_from)), Some((count, count_from))) => {
                let min = variable("SLURM_ARRAY_TASK_MIN")?.map_or(0, |(min, _)| min);
                let step = variable("SLURM_ARRAY_TASK_STEP")?.map_or(1, |(step, _)| step);
                if index_from == "SLURM_ARRAY_TASK_ID" && !is_given && (min != 0 || step != 1) {
                    return Err(PartError::Array { min, step, count });
                }
                if index >= count {
                    return Err(PartError::Outside { index, index_from, count, count_from });
                }
                Ok(Part { index, count })
            }
        }
    }

    /// Whether a run is in this part.
    pub fn has(self, run: u32) -> bool {
        run % self.count == self.index
    }

    /// Its number, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Number of parts.
    pub fn count(self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(index: Option<u32>, count: Option<u32>, environment: &[(&str, &str)]) -> Result<Part, String> {
        let lookup =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Part::chosen(index, count, &lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn every_run_is_in_exactly_one_part() {
        for count in 1..9 {
            let parts: Vec<Part> = (0..count).map(|index| chosen(Some(index), Some(count), &[]).unwrap()).collect();
            for run in 0..100 {
                assert_eq!(parts.iter().filter(|part| part.has(run)).count(), 1);
            }
        }
    }

    #[test]
    fn the_scheduler_says_it_and_the_command_line_stands_above() {
        let slurm = [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_COUNT", "8"), ("SLURM_ARRAY_TASK_MIN", "0")];
        assert_eq!(chosen(None, None, &slurm), Ok(Part { index: 3, count: 8 }));
        assert_eq!(chosen(Some(1), Some(2), &slurm), Ok(Part { index: 1, count: 2 }));
        assert_eq!(chosen(None, Some(5), &[("JOB_COMPLETION_INDEX", "4")]), Ok(Part { index: 4, count: 5 }));
        assert_eq!(chosen(None, None, &[]), Ok(Part::WHOLE));
    }

    #[test]
    fn one_task_of_an_array_can_be_run_again() {
        let again = [("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_ARRAY_TASK_COUNT", "1"), ("SLURM_ARRAY_TASK_MIN", "7")];
        assert_eq!(chosen(None, Some(8), &again), Ok(Part { index: 7, count: 8 }));
        assert!(chosen(None, None, &again).is_err());
    }

    #[test]
    fn a_part_that_does_not_exist_is_named_with_its_origin() {
        let from_one = [("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "8"), ("SLURM_ARRAY_TASK_MIN", "1")];
        for (result, expected) in [
            (chosen(Some(3), Some(3), &[]), "(--index): expected 0 to 2 for 3 parts (--count), found 3"),
            (chosen(Some(0), None, &[]), "expected --count K"),
            (chosen(None, Some(4), &[]), "expected --index I with I from 0 to 3"),
            (chosen(Some(0), Some(0), &[]), "expected 1 or more, found 0"),
            (chosen(None, Some(4), &[("JOB_COMPLETION_INDEX", "-1")]), "JOB_COMPLETION_INDEX: expected a whole number"),
            (chosen(None, Some(4), &[("JOB_COMPLETION_INDEX", "9")]), "(JOB_COMPLETION_INDEX): expected 0 to 3"),
            (chosen(None, None, &from_one), "expected `--array=0-7`"),
        ] {
            let error = result.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
