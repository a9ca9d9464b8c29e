//! The exit code of a failed sweep.

use cbdc_sweep::SweepError;

use crate::exit::Usage;

/// Makes a [`Usage`] of an error that the user can mend on the command line or in the plan.
pub fn classified(error: SweepError) -> anyhow::Error {
    match error {
        SweepError::Mistake(_) | SweepError::Part(_) | SweepError::NoPlan { .. } | SweepError::OtherPlan { .. } => {
            Usage(error.to_string()).into()
        }
        other => other.into(),
    }
}
