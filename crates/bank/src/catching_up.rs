//! Catching up after a start: until the replica has the chain as far as it is known to reach, a deposit book may be
//! older than what the bank has done since ([`crate::deposit_doubt`]), and nothing has shown it yet. So deposits are
//! neither shown nor moved meanwhile.
//!
//! 1. *Who names the head.* The central bank does, at the first contact after a start: the replica then has to reach
//!    that height. While it is away, the highest head that peers prove counts, until the central bank names one.
//! 2. *Nobody can be reached.* A node that stopped in an orderly way, and whose folder is the one in which it stopped
//!    ([`crate::orderly_stop`]), has all that the bank knew: it goes on. After any other end, and on a copy, deposits
//!    wait for a head to be named.
//!
//! A bank whose folder was empty may have run before, on another one. It did if the chain up to that head has a command
//! of an earlier time that went through it.

use cbdc_ledger::{Height, Timestamp};

/// How the folder on which a node starts was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FolderAtStart {
    /// Whether the process before stopped in an orderly way, and in this very folder.
    pub is_continued: bool,
    /// Whether nothing was in it.
    pub is_empty: bool,
    /// The time by this machine's clock.
    pub started_at: Timestamp,
}

/// The node that reports the chain's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadSource {
    CentralBank,
    Peer,
}

/// How far a started node has caught up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// Nobody has named a head.
    Unnamed,
    /// The replica has to reach this height.
    To(Height),
    Reached,
}

/// Catching up with the chain.
#[derive(Debug)]
pub struct CatchingUp {
    folder: FolderAtStart,
    progress: Progress,
    heard_central_bank: bool,
    ran_before: bool,
}

impl CatchingUp {
    pub fn new(folder: FolderAtStart) -> CatchingUp {
        let progress = if folder.is_continued { Progress::Reached } else { Progress::Unnamed };
        CatchingUp { folder, progress, heard_central_bank: false, ran_before: false }
    }

    /// Notes the chain's head, as `source` reports it while the replica is at `height`.
    pub fn named(&mut self, head: Height, source: HeadSource, height: Height) {
        match source {
            HeadSource::CentralBank if self.heard_central_bank => return,
            HeadSource::CentralBank => self.heard_central_bank = true,
            HeadSource::Peer if self.heard_central_bank || self.progress == Progress::Reached => return,
            HeadSource::Peer => {}
        }
        let head = match self.progress {
            Progress::To(before) if source == HeadSource::Peer => head.max(before),
            _ => head,
        };
        self.progress = Progress::To(head);
        self.follow(height);
    }

    /// Notes the height that the replica has reached.
    pub fn follow(&mut self, height: Height) {
        if let Progress::To(head) = self.progress
            && height >= head
        {
            self.progress = Progress::Reached;
        }
    }

    pub fn heard_central_bank(&self) -> bool {
        self.heard_central_bank
    }

    pub fn is_over(&self) -> bool {
        self.progress == Progress::Reached
    }

    /// The height to be reached; `None` if nobody has named one.
    pub fn head(&self) -> Option<Height> {
        match self.progress {
            Progress::To(head) => Some(head),
            Progress::Unnamed | Progress::Reached => None,
        }
    }

    /// Whether a block of this time is to be searched for commands that went through this bank before it started here.
    pub fn asks_whether_it_ran(&self, time: Timestamp) -> bool {
        self.folder.is_empty && !self.is_over() && !self.ran_before && time < self.folder.started_at
    }

    /// Notes that there is one.
    pub fn ran_before(&mut self) {
        self.ran_before = true;
    }

    /// Whether this bank has never run before, as far as the chain shows.
    pub fn is_new(&self) -> bool {
        self.folder.is_empty && self.is_over() && !self.ran_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(is_continued: bool, is_empty: bool) -> CatchingUp {
        CatchingUp::new(FolderAtStart { is_continued, is_empty, started_at: Timestamp(100) })
    }

    #[test]
    fn a_node_has_caught_up_once_it_reaches_the_head_that_the_central_bank_named_first() {
        let mut catching_up = start(false, false);
        catching_up.follow(Height(9));
        assert!(!catching_up.is_over(), "nobody has named a head");
        catching_up.named(Height(12), HeadSource::CentralBank, Height(9));
        catching_up.named(Height(10), HeadSource::Peer, Height(9));
        catching_up.named(Height(20), HeadSource::CentralBank, Height(9));
        assert_eq!(catching_up.head(), Some(Height(12)));
        catching_up.follow(Height(11));
        assert!(!catching_up.is_over());
        catching_up.follow(Height(12));
        assert!(catching_up.is_over());
    }

    #[test]
    fn peers_name_the_head_while_the_central_bank_is_away_and_no_longer_than_that() {
        let mut catching_up = start(false, false);
        catching_up.named(Height(12), HeadSource::Peer, Height(9));
        catching_up.named(Height(10), HeadSource::Peer, Height(9));
        assert_eq!(catching_up.head(), Some(Height(12)), "the highest counts");
        catching_up.follow(Height(12));
        assert!(catching_up.is_over());
        catching_up.named(Height(14), HeadSource::CentralBank, Height(12));
        assert_eq!(catching_up.head(), Some(Height(14)));
    }

    #[test]
    fn a_folder_that_is_continued_goes_on_until_the_central_bank_names_a_head() {
        let mut catching_up = start(true, false);
        assert!(catching_up.is_over());
        catching_up.named(Height(12), HeadSource::Peer, Height(9));
        assert!(catching_up.is_over(), "a peer may be further without this bank having run");
        catching_up.named(Height(12), HeadSource::CentralBank, Height(9));
        assert!(!catching_up.is_over());
    }

    #[test]
    fn an_empty_folder_is_a_new_banks_only_if_the_chain_has_nothing_that_went_through_it() {
        let mut catching_up = start(false, true);
        assert!(catching_up.asks_whether_it_ran(Timestamp(99)) && !catching_up.asks_whether_it_ran(Timestamp(100)));
        assert!(!catching_up.is_new(), "not before it has caught up");
        catching_up.named(Height(3), HeadSource::CentralBank, Height(0));
        catching_up.ran_before();
        assert!(!catching_up.asks_whether_it_ran(Timestamp(99)));
        catching_up.follow(Height(3));
        assert!(catching_up.is_over() && !catching_up.is_new());

        let mut catching_up = start(false, true);
        catching_up.named(Height(0), HeadSource::CentralBank, Height(0));
        assert!(catching_up.is_new());
        assert!(!start(false, false).asks_whether_it_ran(Timestamp(99)));
    }
}
