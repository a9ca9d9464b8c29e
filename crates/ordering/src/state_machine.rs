//! The state machine to which openraft applies committed entries: delivery. The actual state is the caller's ledger.
//!
//! - On apply: record position and membership, pass proposals to delivery, which waits when the caller is slow.
//! - At start: openraft is told that everything known to be committed is already applied, because delivery replays it
//!   from the log itself, in pieces and with backpressure; openraft's own replay would run inside its start, before the
//!   caller can receive anything.
//! - On snapshot: the caller's newest checkpoint, see [`crate::snapshot`]. Its log id and membership come from the log,
//!   or from a separate record if the log never had that entry.

use std::sync::Arc;

use cbdc_environment::thread;
use cbdc_storage::CheckpointManifest;
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta};
use tokio::sync::watch;

use crate::delivery::Delivery;
use crate::error::OrderingError;
use crate::leadership::Leadership;
use crate::log_store::LogStore;
use crate::snapshot::{SnapshotSource, SnapshotStream};
use crate::types::{Entry, LogId, RaftIoError, RaftStorageError, StoredMembership, Types, position_of};

pub(crate) struct StateMachine {
    delivery: Delivery,
    snapshots: Snapshots,
    applied: Option<LogId>,
    membership: StoredMembership,
    leadership: Arc<watch::Sender<Leadership>>,
}

impl StateMachine {
    /// A state machine that has applied everything up to `applied`.
    pub(crate) fn new(
        delivery: Delivery,
        log: LogStore,
        source: Arc<dyn SnapshotSource>,
        applied: Option<LogId>,
        membership: StoredMembership,
        leadership: Arc<watch::Sender<Leadership>>,
    ) -> Self {
        let snapshots = Snapshots { log, source, applied, membership: membership.clone() };
        let machine = StateMachine { delivery, snapshots, applied, membership, leadership };
        machine.show_committed();
        machine
    }

    /// Shows how far is applied, without waking those who watch the leadership.
    fn show_committed(&self) {
        let committed = self.applied.map(|log_id| log_id.index);
        self.leadership.send_if_modified(|known| {
            known.committed = committed;
            false
        });
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotBuilder = Snapshots;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), RaftStorageError> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, RaftStorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let answers = vec![(); entries.len()];
        let Some(last) = entries.last().map(|entry| entry.log_id) else { return Ok(answers) };
        for entry in &entries {
            if let EntryPayload::Membership(membership) = &entry.payload {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
            }
        }
        if !self.delivery.send(entries).await {
            let gone = OrderingError::Stopped("nobody receives the committed proposals any more".into());
            return Err(RaftIoError::apply(last, AnyError::new(&gone)).into());
        }
        self.applied = Some(last);
        self.show_committed();
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Snapshots {
        Snapshots { applied: self.applied, membership: self.membership.clone(), ..self.snapshots.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotStream>, RaftStorageError> {
        Ok(Box::new(SnapshotStream::receiving()))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, openraft::BasicNode>,
        snapshot: Box<SnapshotStream>,
    ) -> Result<(), RaftStorageError> {
        let failed = |reason: String| {
            let error = OrderingError::Stopped(format!("the snapshot could not be installed: {reason}"));
            RaftStorageError::from(RaftIoError::write_snapshot(Some(meta.signature()), AnyError::new(&error)))
        };
        // First: a note whose checkpoint is not there is passed over, and a checkpoint without its note is no start.
        if let Some(log_id) = meta.last_log_id {
            let noted = self.snapshots.log.note_snapshot(log_id, meta.last_membership.clone()).await;
            noted.map_err(|error| failed(error.to_string()))?;
        }
        let (source, log) = (self.snapshots.source.clone(), self.snapshots.log.clone());
        let installed = thread::blocking(move || {
            let installed = snapshot.install_into(source.as_ref());
            drop(source);
            drop(log);
            installed
        });
        let installed = installed.await;
        let manifest =
            installed.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
        if meta.last_log_id.as_ref().map(position_of) != Some(manifest.position) {
            return Err(failed(format!(
                "its manifest is for {:?}, openraft's for {:?}",
                manifest.position, meta.last_log_id
            )));
        }
        tracing::info!(
            height = manifest.height,
            index = manifest.position.index,
            "a checkpoint from the leader was installed"
        );
        if !self.delivery.send_checkpoint(manifest).await {
            return Err(failed("nobody receives what is committed any more".into()));
        }
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.show_committed();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, RaftStorageError> {
        let found = self.snapshots.current().map_err(read_failed)?;
        Ok(found.map(|(manifest, log_id, membership)| self.snapshots.describe(manifest, log_id, membership)))
    }
}

/// Reads and builds snapshots.
#[derive(Clone)]
pub(crate) struct Snapshots {
    /// Dropped first, so that the store is free once the log has no holders.
    source: Arc<dyn SnapshotSource>,
    log: LogStore,
    applied: Option<LogId>,
    membership: StoredMembership,
}

impl Snapshots {
    /// The newest checkpoint with its log id and membership; `None` if there is none that the log or the record knows.
    fn current(&self) -> Result<Option<(CheckpointManifest, LogId, StoredMembership)>, OrderingError> {
        let Some(manifest) = self.source.latest()? else { return Ok(None) };
        if let Some((log_id, membership)) = self.log.snapshot_note()?
            && position_of(&log_id) == manifest.position
        {
            return Ok(Some((manifest, log_id, membership)));
        }
        // The note may be of a later snapshot, whose installation broke off: then the marker knows the one before.
        let entry = self.log.entry(manifest.position.index)?.map(|entry| entry.log_id);
        let Some(log_id) = entry.or_else(|| self.log.purged()) else { return Ok(None) };
        if position_of(&log_id) != manifest.position {
            return Ok(None);
        }
        let membership = self.log.membership_at(log_id.index)?;
        Ok(Some((manifest, log_id, membership)))
    }

    fn describe(&self, manifest: CheckpointManifest, log_id: LogId, membership: StoredMembership) -> Snapshot<Types> {
        let meta = SnapshotMeta {
            last_log_id: Some(log_id),
            last_membership: membership,
            snapshot_id: format!("{}-{}", manifest.height, log_id),
        };
        Snapshot { meta, snapshot: Box::new(SnapshotStream::stored(self.source.clone(), manifest)) }
    }
}

impl RaftSnapshotBuilder<Types> for Snapshots {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, RaftStorageError> {
        let (source, applied) = (self.source.clone(), self.applied.as_ref().map(position_of));
        let log = self.log.clone();
        let built = thread::blocking(move || {
            let built = source.build(applied);
            drop(source);
            drop(log);
            built
        });
        let built = built.await;
        let built = built.map_err(|error| read_failed(OrderingError::Stopped(error.to_string())))?;
        let manifest = built.map_err(|error| read_failed(error.into()))?;
        // A checkpoint of exactly the applied state: its log id and membership are at hand, and recorded for later.
        if let (Some(manifest), Some(applied)) = (&manifest, self.applied)
            && manifest.position == position_of(&applied)
        {
            self.log.note_snapshot(applied, self.membership.clone()).await.map_err(read_failed)?;
        }
        match self.current().map_err(read_failed)? {
            Some((manifest, log_id, membership)) => Ok(self.describe(manifest, log_id, membership)),
            None => {
                // This happens only if the log was purged and its checkpoint lost. This member replays its archive and
                // continues; a member that needs the checkpoint does not get it.
                tracing::warn!(
                    newest = ?manifest.map(|manifest| manifest.position),
                    "no checkpoint of this log can serve as a snapshot"
                );
                Ok(Snapshot { meta: SnapshotMeta::default(), snapshot: Box::new(SnapshotStream::receiving()) })
            }
        }
    }
}

fn read_failed(error: OrderingError) -> RaftStorageError {
    RaftIoError::read_snapshot(None, AnyError::new(&error)).into()
}
