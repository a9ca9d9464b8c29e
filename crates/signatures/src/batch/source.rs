//! Sources: who sent the signatures of a batch, as far as it matters to verification.

/// What is known of the source of some signatures. It decides how they are verified, never what their verdicts are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Source {
    /// It has shown no bad signature of late: its signatures are verified in one sum with those of the others, if there
    /// are enough of them. A single bad one makes the sum fail, and everybody's signatures are looked at again.
    #[default]
    Clean,
    /// It has shown bad signatures: each of its signatures is verified by itself, and costs the others nothing.
    Suspect,
}
