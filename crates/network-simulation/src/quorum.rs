//! Whether a majority has on its disks what a node takes for committed.
//!
//! It is looked at from the outside, tick by tick: a leader that takes too much for committed is found out at once, and
//! not only if it is lost before the others have caught up. Runs whose members change are not judged: there two
//! majorities count.

use std::ops::ControlFlow;

use cbdc_storage::{Column, Direction, KeyRange, Store};

/// The index up to which committed entries were looked at.
#[derive(Debug, Default)]
pub struct Quorum {
    looked_up_to: u64,
}

impl Quorum {
    /// Looks at the newest entry that a node takes for committed, and at the disks of all. Returns a sentence if fewer
    /// than a majority have it.
    pub fn look(&mut self, committed: Option<u64>, disks: &[&dyn Store]) -> Option<String> {
        let committed = committed.filter(|index| *index > self.looked_up_to)?;
        self.looked_up_to = committed;
        let has = disks.iter().filter(|disk| last_index(**disk).is_none_or(|last| last >= committed)).count();
        let few = has <= disks.len() / 2;
        few.then(|| format!("log entry {committed} counts as committed, and {has} of {} nodes have it", disks.len()))
    }
}

/// The index of a log's last entry; `None` where the log is empty, as after a checkpoint, or cannot be read.
fn last_index(disk: &dyn Store) -> Option<u64> {
    let mut last = None;
    let look = &mut |key: &[u8], _: &[u8]| {
        last = key.try_into().ok().map(u64::from_be_bytes);
        ControlFlow::Break(())
    };
    disk.scan(Column::Log, &KeyRange::all(), Direction::Reverse, look).ok()?;
    last
}

#[cfg(test)]
mod tests {
    use cbdc_storage::{Durability, MemoryStore, WriteBatch};

    use super::*;

    #[test]
    fn what_a_majority_lacks_is_not_committed() {
        let disk = |last: u64| {
            let (disk, mut batch) = (MemoryStore::new(), WriteBatch::new());
            for index in 1..=last {
                batch.put(Column::Log, index.to_be_bytes(), b"entry".as_slice());
            }
            disk.write(batch, Durability::Synced).unwrap();
            disk
        };
        let disks = [disk(9), disk(7), disk(4)];
        let disks: Vec<&dyn Store> = disks.iter().map(|disk| disk as &dyn Store).collect();
        let mut quorum = Quorum::default();
        assert_eq!(quorum.look(Some(7), &disks), None);
        let found = quorum.look(Some(9), &disks).unwrap();
        assert!(found.contains("log entry 9 counts as committed, and 1 of 3 nodes have it"), "{found}");
        assert_eq!(quorum.look(Some(9), &disks), None, "once is enough");
    }
}
