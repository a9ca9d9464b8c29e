//! Snapshots: openraft's snapshot *is* the ledger's checkpoint, read and installed through [`SnapshotSource`].
//!
//! A member that is too far behind for the log receives the leader's newest checkpoint as one stream: frames of a
//! length (u32 little-endian) and that many bytes; the first frame is the manifest, the others are the chunks in order.
//! Reading takes one chunk at a time from the store. Receiving writes the frames to a file that has no name, so that
//! nothing is left of it, in a crash either; once it is complete, [`SnapshotSource::verify`] sees all of it, and what
//! the leader has sent to prove it, and only then [`SnapshotSource::install`].

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use cbdc_environment::thread;
use cbdc_proto::internal as wire;
use cbdc_storage::{
    CHUNK_BYTES_MAX, CheckpointManifest, CheckpointStore, CheckpointWriter, LogPosition as Position, Store, StoreError,
};
use futures::Stream;
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

/// The largest manifest of a received snapshot, bytes.
const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// The source and sink of snapshots.
pub trait SnapshotSource: Send + Sync + 'static {
    /// Called when openraft wants a snapshot; `applied` is the last entry passed to delivery. Returns the newest
    /// finished checkpoint, which may be older than `applied`, or `None` if there is none.
    fn build(&self, applied: Option<Position>) -> Result<Option<CheckpointManifest>, StoreError>;

    /// The newest finished checkpoint.
    fn latest(&self) -> Result<Option<CheckpointManifest>, StoreError>;

    /// One chunk of a checkpoint.
    fn read_chunk(&self, manifest: &CheckpointManifest, chunk: u32) -> Result<Bytes, StoreError>;

    /// What proves a checkpoint to another member. By itself there is nothing to prove.
    ///
    /// # Errors
    /// The reason why there is no proof: the checkpoint is not sent.
    fn proof(&self, _manifest: &CheckpointManifest) -> Result<wire::CheckpointProof, String> {
        Ok(wire::CheckpointProof::default())
    }

    /// Checks a checkpoint from the leader before anything of it is installed: whether it is whole, and whether it is
    /// the network's. By itself this only counts chunks and bytes; a ledger knows more.
    ///
    /// # Errors
    /// The reason why it is refused. The member goes on as it is, and the leader sends it again.
    fn verify(
        &self,
        manifest: &CheckpointManifest,
        _proof: &wire::CheckpointProof,
        chunks: &mut dyn Iterator<Item = Result<Bytes, StoreError>>,
    ) -> Result<(), String> {
        let (mut count, mut bytes) = (0u64, 0u64);
        for chunk in chunks {
            count += 1;
            bytes += chunk.map_err(|error| error.to_string())?.len() as u64;
        }
        if (count, bytes) == (u64::from(manifest.chunk_count), manifest.total_bytes) {
            return Ok(());
        }
        let expected = (manifest.chunk_count, manifest.total_bytes);
        Err(format!("expected {} chunks of {} bytes, found {count} of {bytes}", expected.0, expected.1))
    }

    /// Lets go of what was kept of the checkpoint that was verified last, unless it was installed.
    fn forget_unless_installed(&self) {}

    /// Makes the received checkpoint this node's newest, durably, before returning. It is delivered
    /// ([`Delivered::Checkpoint`](crate::Delivered)) between what came before and the proposals after it.
    fn install(
        &self,
        manifest: &CheckpointManifest,
        chunks: &mut dyn Iterator<Item = Result<Bytes, StoreError>>,
    ) -> Result<(), StoreError>;
}

/// The default source: the checkpoints in the node's own store, where the caller puts them.
#[derive(Debug)]
pub struct CheckpointSnapshots {
    store: Arc<dyn Store>,
    checkpoints: CheckpointStore,
}

impl CheckpointSnapshots {
    /// Snapshots from the checkpoints in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        CheckpointSnapshots { checkpoints: CheckpointStore::new(store.clone()), store }
    }
}

impl SnapshotSource for CheckpointSnapshots {
    fn build(&self, _applied: Option<Position>) -> Result<Option<CheckpointManifest>, StoreError> {
        self.checkpoints.latest()
    }

    fn latest(&self) -> Result<Option<CheckpointManifest>, StoreError> {
        self.checkpoints.latest()
    }

    fn read_chunk(&self, manifest: &CheckpointManifest, chunk: u32) -> Result<Bytes, StoreError> {
        self.checkpoints.read_chunk(manifest.height, chunk)
    }

    fn install(
        &self,
        manifest: &CheckpointManifest,
        chunks: &mut dyn Iterator<Item = Result<Bytes, StoreError>>,
    ) -> Result<(), StoreError> {
        if self.checkpoints.manifest(manifest.height)?.as_ref() == Some(manifest) {
            return Ok(());
        }
        let mut writer = CheckpointWriter::begin(self.store.clone(), manifest.height)?;
        for chunk in chunks {
            writer.chunk(&chunk?)?;
        }
        writer.finish(manifest.position, manifest.root, &manifest.extra)?;
        Ok(())
    }
}

/// A snapshot as openraft transfers it: read from a source, or received.
pub struct SnapshotStream {
    content: Content,
    position: u64,
}

enum Content {
    Stored { source: Arc<dyn SnapshotSource>, manifest: CheckpointManifest, next_frame: u32, rest_of_frame: Bytes },
    Received(Vec<u8>),
    ReceivedFile(ReceivedFile),
}

impl SnapshotStream {
    /// A snapshot that was received whole and verified.
    pub(crate) fn received(file: ReceivedFile) -> Self {
        SnapshotStream { content: Content::ReceivedFile(file), position: 0 }
    }

    pub(crate) fn stored(source: Arc<dyn SnapshotSource>, manifest: CheckpointManifest) -> Self {
        let content = Content::Stored { source, manifest, next_frame: 0, rest_of_frame: Bytes::new() };
        SnapshotStream { content, position: 0 }
    }

    /// What proves it to another member.
    ///
    /// # Errors
    /// As [`SnapshotSource::proof`]. Blocks on the disk.
    pub(crate) fn proof(&self) -> Result<wire::CheckpointProof, String> {
        match &self.content {
            Content::Stored { source, manifest, .. } => source.proof(manifest),
            Content::Received(_) | Content::ReceivedFile(_) => Err("it was only received".to_owned()),
        }
    }

    pub(crate) fn receiving() -> Self {
        SnapshotStream { content: Content::Received(Vec::new()), position: 0 }
    }

    /// Installs the whole snapshot into `target` and returns its manifest.
    pub(crate) fn install_into(self, target: &dyn SnapshotSource) -> Result<CheckpointManifest, SnapshotError> {
        match self.content {
            Content::Stored { source, manifest, .. } => {
                let mut chunks = (0..manifest.chunk_count).map(|chunk| source.read_chunk(&manifest, chunk));
                target.install(&manifest, &mut chunks)?;
                Ok(manifest)
            }
            Content::ReceivedFile(file) => {
                target.install(&file.manifest, &mut file.chunks()?)?;
                Ok(file.manifest)
            }
            Content::Received(bytes) => {
                let mut frames = frames(bytes.into())?.into_iter();
                let first = frames.next().ok_or_else(|| SnapshotError::Malformed("it is empty".into()))?;
                let manifest = CheckpointManifest::from_bytes(&first).map_err(SnapshotError::Malformed)?;
                if frames.len() as u64 != u64::from(manifest.chunk_count) {
                    let found = frames.len();
                    return Err(SnapshotError::Malformed(format!(
                        "its manifest says {} chunks, found {found}",
                        manifest.chunk_count
                    )));
                }
                target.install(&manifest, &mut frames.map(Ok))?;
                Ok(manifest)
            }
        }
    }
}

/// A snapshot as the leader sends it: the head, then each frame. It ends early if the checkpoint cannot be read to its
/// end; the receiver then refuses it.
pub(crate) fn parts(head: wire::SnapshotHead, stream: SnapshotStream) -> impl Stream<Item = wire::SnapshotPart> {
    use wire::snapshot_part::Part;
    let part = |part| wire::SnapshotPart { part: Some(part) };
    let head = futures::stream::iter([part(Part::Head(head))]);
    let frames = futures::stream::unfold((stream, 0), move |(stream, number)| async move {
        let Content::Stored { source, manifest, .. } = &stream.content else { return None };
        let frame = match number {
            0 => Bytes::from(manifest.to_bytes()),
            number if number <= manifest.chunk_count => {
                let (source, manifest) = (source.clone(), manifest.clone());
                let read = thread::blocking(move || source.read_chunk(&manifest, number - 1)).await;
                match read.map_err(|error| error.to_string()).and_then(|read| read.map_err(|error| error.to_string())) {
                    Ok(chunk) => chunk,
                    Err(error) => {
                        tracing::warn!(%error, chunk = number - 1, "a checkpoint that is being sent cannot be read");
                        return None;
                    }
                }
            }
            _ => return None,
        };
        Some((part(Part::Frame(frame)), (stream, number + 1)))
    });
    futures::StreamExt::chain(head, frames)
}

/// A snapshot that is being received.
pub(crate) struct ReceivingFile {
    file: Arc<File>,
    manifest: Option<CheckpointManifest>,
    chunks: u32,
}

impl ReceivingFile {
    /// An empty one, in `folder`.
    pub(crate) async fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join("snapshot.receiving");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(ReceivingFile { file: Arc::new(file), manifest: None, chunks: 0 })
    }

    /// Writes the next frame.
    pub(crate) async fn frame(&mut self, frame: &Bytes) -> Result<(), SnapshotError> {
        let malformed = |reason: String| Err(SnapshotError::Malformed(reason));
        let Some(manifest) = &self.manifest else {
            if frame.len() > MANIFEST_BYTES_MAX {
                return malformed(format!("its manifest has {} bytes, at most {MANIFEST_BYTES_MAX}", frame.len()));
            }
            self.manifest = Some(CheckpointManifest::from_bytes(frame).map_err(SnapshotError::Malformed)?);
            return Ok(());
        };
        if self.chunks == manifest.chunk_count {
            return malformed(format!("its manifest says {} chunks, and there are more", manifest.chunk_count));
        }
        if frame.len() > CHUNK_BYTES_MAX {
            return malformed(format!("a chunk has {} bytes, at most {CHUNK_BYTES_MAX}", frame.len()));
        }
        self.chunks += 1;
        let (file, frame) = (self.file.clone(), frame.clone());
        let written = thread::blocking(move || {
            let mut file = &*file;
            file.write_all(&(frame.len() as u32).to_le_bytes())?;
            file.write_all(&frame)
        });
        Ok(written.await.map_err(io::Error::other)??)
    }

    /// The complete snapshot.
    pub(crate) fn finish(self) -> Result<ReceivedFile, SnapshotError> {
        let manifest = self.manifest.ok_or_else(|| SnapshotError::Malformed("it is empty".into()))?;
        if self.chunks != manifest.chunk_count {
            let reason = format!("its manifest says {} chunks, found {}", manifest.chunk_count, self.chunks);
            return Err(SnapshotError::Malformed(reason));
        }
        Ok(ReceivedFile { file: self.file, manifest })
    }
}

/// A snapshot that was received whole.
pub(crate) struct ReceivedFile {
    file: Arc<File>,
    manifest: CheckpointManifest,
}

impl ReceivedFile {
    pub(crate) fn manifest(&self) -> &CheckpointManifest {
        &self.manifest
    }

    /// Has `source` verify it.
    pub(crate) fn verify(&self, source: &dyn SnapshotSource, proof: &wire::CheckpointProof) -> Result<(), String> {
        let mut chunks = self.chunks().map_err(|error| error.to_string())?;
        source.verify(&self.manifest, proof, &mut chunks)
    }

    fn chunks(&self) -> io::Result<impl Iterator<Item = Result<Bytes, StoreError>>> {
        let mut file = &*self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        Ok((0..self.manifest.chunk_count).map(move |_| {
            let mut read = || {
                let mut length = [0; 4];
                reader.read_exact(&mut length)?;
                let mut chunk = vec![0; u32::from_le_bytes(length) as usize];
                reader.read_exact(&mut chunk)?;
                Ok(Bytes::from(chunk))
            };
            read().map_err(|error: io::Error| StoreError::Io {
                path: std::path::PathBuf::new(),
                doing: "reading a received snapshot".into(),
                reason: error.to_string(),
            })
        }))
    }
}

/// The reason why a snapshot could not be installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("the received snapshot is malformed: {0}")]
    Malformed(String),
    #[error("the received snapshot cannot be kept: {0}")]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Storage(#[from] StoreError),
}

fn frames(mut bytes: Bytes) -> Result<Vec<Bytes>, SnapshotError> {
    let mut frames = Vec::new();
    while bytes.has_remaining() {
        if bytes.remaining() < 4 {
            return Err(SnapshotError::Malformed("it ends within a frame's length".into()));
        }
        let length = bytes.get_u32_le() as usize;
        if bytes.remaining() < length {
            return Err(SnapshotError::Malformed(format!(
                "a frame says {length} bytes, {} are left",
                bytes.remaining()
            )));
        }
        frames.push(bytes.split_to(length));
    }
    Ok(frames)
}

fn frame(bytes: &[u8]) -> io::Result<Bytes> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("a frame is longer than 4 GiB"))?;
    Ok([&length.to_le_bytes(), bytes].concat().into())
}

impl Content {
    /// Copies up to `wanted` bytes into `sink`, from the read position; 0 at the end.
    fn read(&mut self, position: u64, wanted: usize, sink: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        match self {
            Content::Received(bytes) => {
                let start = usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
                let end = start.saturating_add(wanted).min(bytes.len());
                sink(&bytes[start..end]);
                Ok(end - start)
            }
            Content::Stored { source, manifest, next_frame, rest_of_frame } => {
                while rest_of_frame.is_empty() {
                    *rest_of_frame = match *next_frame {
                        0 => frame(&manifest.to_bytes())?,
                        number if number <= manifest.chunk_count => {
                            frame(&source.read_chunk(manifest, number - 1).map_err(io::Error::other)?)?
                        }
                        _ => return Ok(0),
                    };
                    *next_frame += 1;
                }
                let read = rest_of_frame.split_to(wanted.min(rest_of_frame.len()));
                sink(&read);
                Ok(read.len())
            }
            Content::ReceivedFile(_) => Err(io::Error::other("a received snapshot is only installed")),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Content::Received(bytes) => bytes.len() as u64,
            Content::ReceivedFile(file) => file.manifest.total_bytes,
            Content::Stored { manifest, .. } => {
                4 + manifest.to_bytes().len() as u64 + 4 * u64::from(manifest.chunk_count) + manifest.total_bytes
            }
        }
    }
}

impl AsyncRead for SnapshotStream {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (position, wanted) = (self.position, buffer.remaining());
        if wanted == 0 {
            return Poll::Ready(Ok(()));
        }
        let read = self.content.read(position, wanted, &mut |bytes| buffer.put_slice(bytes))?;
        self.position += read as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for SnapshotStream {
    fn start_seek(mut self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
        let target = match to {
            SeekFrom::Start(target) => Some(target),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.content.length().checked_add_signed(offset),
        };
        let target = target.ok_or_else(|| io::Error::other("the position to seek is out of range"))?;
        if target == self.position {
            return Ok(());
        }
        if let Content::Stored { next_frame, rest_of_frame, .. } = &mut self.content {
            // Frames differ in length: go back to the first and read up to the target.
            (*next_frame, *rest_of_frame) = (0, Bytes::new());
            let mut skipped = 0;
            while skipped < target {
                let wanted = usize::try_from(target - skipped).unwrap_or(usize::MAX);
                match self.content.read(skipped, wanted, &mut |_| {})? {
                    0 => break,
                    read => skipped += read as u64,
                }
            }
        }
        self.position = target;
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.position))
    }
}

impl AsyncWrite for SnapshotStream {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let position = self.position;
        let Content::Received(received) = &mut self.content else {
            return Poll::Ready(Err(io::Error::other("a stored snapshot is not written to")));
        };
        // openraft sends a snapshot in order, and may send a piece again, never beyond the end.
        let start = usize::try_from(position).ok().filter(|start| *start <= received.len());
        let Some(start) = start else {
            return Poll::Ready(Err(io::Error::other(format!(
                "a piece at {position} leaves a hole after {}",
                received.len()
            ))));
        };
        received.truncate(start);
        received.extend_from_slice(bytes);
        self.position += bytes.len() as u64;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_storage::{LogPosition, MemoryStore};
    use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

    fn source_with_checkpoint() -> Arc<CheckpointSnapshots> {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut writer = CheckpointWriter::begin(store.clone(), 5).unwrap();
        for length in [0usize, 1, 1000, 70_000] {
            writer.chunk(&vec![length as u8; length]).unwrap();
        }
        writer.finish(LogPosition { term: 1, index: 9 }, [7; 32], b"extra").unwrap();
        Arc::new(CheckpointSnapshots::new(store))
    }

    #[tokio::test]
    async fn a_checkpoint_sent_in_pieces_is_installed_whole() {
        let source = source_with_checkpoint();
        let manifest = source.latest().unwrap().unwrap();
        let mut sent = SnapshotStream::stored(source.clone(), manifest.clone());
        let length = sent.seek(SeekFrom::End(0)).await.unwrap();
        let mut received = SnapshotStream::receiving();
        let mut offset = 0;
        while offset < length {
            // Each piece seeks again; some are sent twice.
            for _ in 0..1 + (offset / 3000) % 2 {
                sent.seek(SeekFrom::Start(offset)).await.unwrap();
                let mut piece = Vec::new();
                (&mut sent).take(3000).read_to_end(&mut piece).await.unwrap();
                received.seek(SeekFrom::Start(offset)).await.unwrap();
                received.write_all(&piece).await.unwrap();
            }
            offset += 3000;
        }
        let target = CheckpointSnapshots::new(Arc::new(MemoryStore::new()));
        assert_eq!(received.install_into(&target).unwrap(), manifest);
        assert_eq!(target.latest().unwrap(), Some(manifest.clone()));
        for chunk in 0..manifest.chunk_count {
            assert_eq!(target.read_chunk(&manifest, chunk).unwrap(), source.read_chunk(&manifest, chunk).unwrap());
        }
    }

    #[tokio::test]
    async fn a_malformed_snapshot_is_refused() {
        for bytes in [&b""[..], b"\x01", b"\xff\xff\xff\xff", b"\x02\0\0\0ab"] {
            let mut received = SnapshotStream::receiving();
            received.write_all(bytes).await.unwrap();
            let target = CheckpointSnapshots::new(Arc::new(MemoryStore::new()));
            assert!(matches!(received.install_into(&target), Err(SnapshotError::Malformed(_))));
        }
    }
}
