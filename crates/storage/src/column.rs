//! The columns of a store.

use std::fmt;

/// A column: a separate ordered key space within the one store of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// Block proposals by log index: the only large write, and the block archive. Blob files.
    Log,
    /// Raft's own state: vote, committed, purge marker, memberships.
    Raft,
    /// Block headers by height.
    Headers,
    /// Outcomes of a block's commands by height, about a byte each.
    Outcomes,
    /// Checkpoint chunks and manifests. Blob files.
    Checkpoint,
    /// A bank's deposit book.
    Deposits,
    /// A bank's payments on their way to the central bank.
    Outbox,
    /// A bank's history index of its own customers.
    History,
    /// Filtered blocks by height, at a bank with a partial replica. Blob files.
    FilteredBlocks,
    /// Small facts about the node itself: format version, network id, cursors.
    Meta,
}

impl Column {
    /// All columns, in the order of their declaration.
    pub const ALL: [Column; 10] = [
        Column::Log,
        Column::Raft,
        Column::Headers,
        Column::Outcomes,
        Column::Checkpoint,
        Column::Deposits,
        Column::Outbox,
        Column::History,
        Column::FilteredBlocks,
        Column::Meta,
    ];

    /// The column's name on disk. Part of the stored format: never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Column::Log => "log",
            Column::Raft => "raft",
            Column::Headers => "headers",
            Column::Outcomes => "outcomes",
            Column::Checkpoint => "checkpoint",
            Column::Deposits => "deposits",
            Column::Outbox => "outbox",
            Column::History => "history",
            Column::FilteredBlocks => "filtered_blocks",
            Column::Meta => "meta",
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
