//! The disks of the central bank's nodes, which a scenario may make slow: each node reads from a file in its folder how
//! long a sync waits.

use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};
use cbdc_client::{NetworkFolder, NodeName};
use cbdc_devnet::NetworkSpec;

fn file(folder: &NetworkFolder, node: NodeName) -> PathBuf {
    folder.config_path(node).with_file_name(NetworkSpec::SYNC_DELAY_MS_FILE)
}

/// Makes the syncs of some nodes wait.
pub fn slow(folder: &NetworkFolder, nodes: &[NodeName], delay_ms: u32) -> Result<()> {
    for node in nodes {
        let file = file(folder, *node);
        std::fs::write(&file, delay_ms.to_string()).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// Makes all disks as fast as they are.
pub fn heal(folder: &NetworkFolder) -> Result<()> {
    for node in folder.central_banks() {
        let file = file(folder, node);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("removing {}", file.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
