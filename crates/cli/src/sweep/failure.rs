//! The exit code of a failed sweep.

use cbdc_sweep::SweepError;

use crate::exit::Usage;

/// Turns an error that the user can fix on the command line or in the plan into a [`Usage`].
pub fn classified(error: SweepError) -> anyhow::Error {
    match error {
        SweepError::Mistake(_) | SweepError::Part(_) | SweepError::NoPlan { .. } | SweepError::OtherPlan { .. } => {
            Usage(error.to_string()).into()
        }
        other => other.into(),
    }
}
