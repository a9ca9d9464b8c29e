//! Trust in whoever sent some signatures, as far as it matters to verification.

/// The trust in the sender of some signatures. It decides how they are verified, never what their verdicts are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trust {
    /// No recent bad signature: its signatures are verified in one sum with those of others, if there are enough of
    /// them. A single bad one makes the sum fail, and all signatures in it are verified again.
    #[default]
    Clean,
    /// Recent bad signatures: each of its signatures is verified by itself, and costs the others nothing.
    Suspect,
}
