//! File descriptors: a node takes as many as the system allows it, and starts only if they suffice.
//!
//! A node that runs out of descriptors can neither take a connection nor open a file of its store, and stops in the
//! middle of its work. So the soft limit is raised to the hard one at the start, and a start with fewer than the
//! configuration may need is refused.

use cbdc_storage::OPEN_FILES_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::Limits;

/// Descriptors of the node itself, beside callers' connections and the store: logs, listeners, its own connections, and
/// handshakes that have just begun.
const OWN: u64 = 256;

/// There are too few descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this node may open {found} files and connections, and needs {needed}: {of_store} for its store, {of_customers} \
    for customers' connections (limits.connections) and {OWN} of its own; raise the hard limit (`ulimit -Hn`, \
    LimitNOFILE= of systemd) or lower limits.connections"
)]
pub struct TooFew {
    found: u64,
    needed: u64,
    of_store: u64,
    of_customers: u64,
}

/// Raises this process's soft limit to the hard one, and checks that a node with these limits has enough.
///
/// # Errors
/// The hard limit is lower than what the node may need.
pub fn raise(limits: &Limits) -> Result<(), TooFew> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
    check(getrlimit(Resource::Nofile).current, limits)
}

/// Checks that so many descriptors suffice; `None` is any number.
fn check(found: Option<u64>, limits: &Limits) -> Result<(), TooFew> {
    let (of_store, of_customers) = (u64::from(OPEN_FILES_MAX.unsigned_abs()), u64::from(limits.connections));
    let needed = of_store + of_customers + OWN;
    match found {
        Some(found) if found < needed => Err(TooFew { found, needed, of_store, of_customers }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_with_too_few_descriptors_is_told_how_many_it_needs() {
        let limits = Limits { connections: 100, ..Limits::default() };
        let needed = 512 + 100 + 256;
        let refused = check(Some(32), &limits).unwrap_err();
        assert_eq!((refused.found, refused.needed), (32, needed));
        assert!(refused.to_string().contains("needs 868") && refused.to_string().contains("limits.connections"));
        assert!(check(Some(needed - 1), &limits).is_err());
        assert!(check(Some(needed), &limits).is_ok() && check(None, &limits).is_ok());
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        raise(&Limits { connections: 1, ..Limits::default() }).unwrap();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
