//! A watch on a running node's data folder: whether it is gone, or no longer the node's own.
//!
//! The store goes on writing into files that no longer have a name: nothing of it would be there after a restart. So
//! the node looks every few seconds, and stops.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use crate::data_folder::{NODE_FILE, Owner, STORE_FILE};

/// The time between two looks at the folder.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The data folder of a running node is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} {what} while this node runs: what it writes is lost; stop whatever removes or replaces its data, and \
    restore the folder before the node is started again"
)]
pub struct FolderGone {
    path: PathBuf,
    what: String,
}

/// Resolves once a node's data folder is gone.
pub type FolderWatch = Pin<Box<dyn Future<Output = FolderGone> + Send + Sync>>;

/// Watches the data folder of a running node. `owner` is whose it is.
pub fn watch(folder: PathBuf, owner: Owner) -> FolderWatch {
    Box::pin(gone(folder, owner))
}

async fn gone(folder: PathBuf, owner: Owner) -> FolderGone {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (looked_at, owner) = (folder.clone(), owner.clone());
        if let Ok(Err(gone)) = tokio::task::spawn_blocking(move || look(&looked_at, &owner)).await {
            return gone;
        }
    }
}

fn look(folder: &Path, owner: &Owner) -> Result<(), FolderGone> {
    let gone = |path: PathBuf, what: &str| Err(FolderGone { path, what: what.to_owned() });
    for path in [folder.to_owned(), folder.join(NODE_FILE), folder.join(STORE_FILE)] {
        if matches!(path.try_exists(), Ok(false)) {
            return gone(path, "is gone");
        }
    }
    match Owner::read(folder) {
        Ok(Some((found, _))) if found != *owner => gone(folder.join(NODE_FILE), "names another node"),
        _ => Ok(()),
    }
}
