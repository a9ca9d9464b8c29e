//! Auditing the data folder of a stopped node: its chain, and every record of every column. Nothing is written.
//!
//! 1. The chain is verified from genesis ([`super`]), and each checkpoint against the ledger at its height.
//! 2. Every other record of the node (deposits, outbox, history, the log's own state) is opened: a flipped bit is
//!    reported with column and key.
//! 3. Evidence that blocks were lost ([`crate::evidence`]) is compared with the chain.
//! 4. No column may have blocks beyond the chain of headers.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cbdc_ledger::encoding::hex;
use cbdc_ledger::filtered_block::OwnCommand;
use cbdc_ledger::{AccountId, Genesis, Height, Ledger};
use cbdc_storage::{CheckpointStore, Column, Direction, KeyRange, RocksStore, Store, StoreError, sealed};

use super::{AuditError, AuditReport, Auditor, ExpectedHead, Verified};
use crate::archive::{Archive, ArchiveError, ProposalSource, ProposalsByHeight};
use crate::data_folder::{NODE_FILE, Owner};
use crate::evidence;

/// The damaged records that are named per column; further ones are counted.
const NAMED_MAX: usize = 5;

/// Audits the data folder of a stopped node, which may be on a read-only mount. `progress` is called with each verified
/// height and the newest.
pub fn audit_data_folder(
    path: &Path,
    genesis: Genesis,
    expected: Vec<ExpectedHead>,
    mut progress: impl FnMut(Height, Height),
) -> Result<AuditReport, AuditError> {
    check_data_folder(path)?;
    let (named, expected_network) = (Owner::read(path), genesis.network().to_string());
    if let Ok(Some((found, _))) = &named
        && found.network() != expected_network
    {
        let (path, found) = (path.to_owned(), found.to_string());
        return Err(AuditError::OtherNetwork { path, expected: expected_network, found });
    }
    let store: Arc<dyn Store> = Arc::new(RocksStore::open_read_only(path)?);
    let mut report = audit_store(&store, genesis, expected, &mut progress)?;
    if let Err(reason) = named {
        report.findings.push(format!("the file {NODE_FILE}, which says whose data these are: {reason}"));
        report.ok = false;
    }
    Ok(report)
}

/// Refuses a path that is not a data folder.
///
/// # Errors
/// [`AuditError::NoDataFolder`], which says what was found instead.
pub fn check_data_folder(path: &Path) -> Result<(), AuditError> {
    let found = match () {
        () if !path.exists() => "does not exist",
        () if !path.is_dir() => "is a file",
        () if path.join("data/CURRENT").exists() => "is a node's folder: add /data to it",
        () if path.join("CURRENT").exists() => return Ok(()),
        () => "holds no store (no file CURRENT)",
    };
    Err(AuditError::NoDataFolder { path: path.to_owned(), found })
}

/// Audits everything in an open store.
pub fn audit_store(
    store: &Arc<dyn Store>,
    genesis: Genesis,
    expected: Vec<ExpectedHead>,
    progress: &mut dyn FnMut(Height, Height),
) -> Result<AuditReport, AuditError> {
    let mut report = audit_chain(store, genesis, expected, progress)?;
    report.findings.extend(audit_columns(store));
    report.findings.extend(audit_ends(store, Height(report.blocks)));
    let archive = Archive::new(store.clone(), Arc::new(ProposalsByHeight(store.clone())));
    report.findings.extend(evidence::findings(store, &archive).unwrap_or_else(|error| vec![error.to_string()]));
    report.ok = report.findings.is_empty();
    Ok(report)
}

/// The blocks in an open store: of a node of the central bank, whose log has the proposals, or of a bank.
///
/// # Errors
/// The store's failures.
pub fn archive_in(store: &Arc<dyn Store>) -> Result<Archive, StoreError> {
    let is_ordered_here = !store.collect(Column::Raft, &KeyRange::all(), Direction::Forward, 1)?.is_empty();
    let proposals: Arc<dyn ProposalSource> = if is_ordered_here {
        Arc::new(LoggedProposals(store.clone()))
    } else {
        Arc::new(ProposalsByHeight(store.clone()))
    };
    Ok(Archive::new(store.clone(), proposals))
}

fn audit_chain(
    store: &Arc<dyn Store>,
    genesis: Genesis,
    expected: Vec<ExpectedHead>,
    progress: &mut dyn FnMut(Height, Height),
) -> Result<AuditReport, AuditError> {
    let archive = archive_in(store)?;
    if archive.keeps_filtered_blocks().unwrap_or(false) {
        return audit_partial_replica(&archive, genesis, expected, progress);
    }
    let mut auditor = Auditor::new(genesis)?.expecting(expected);
    let newest = match archive.newest() {
        Ok(newest) => newest.unwrap_or_default(),
        Err(error) => return Ok(auditor.finish(Some(error.to_string()))),
    };
    while auditor.height() < newest {
        let height = auditor.height().next();
        let finding = match archive.block(height) {
            Ok(Some(parts)) => match auditor.block(&parts) {
                Ok(_) => auditor.checkpoint(store),
                Err(finding) => Some(finding),
            },
            Ok(None) => Some(format!("block {height}: it is missing, although block {newest} is there")),
            Err(error) => Some(format!("block {height}: {error}")),
        };
        if finding.is_some() {
            return Ok(auditor.finish(finding));
        }
        progress(height, newest);
    }
    Ok(auditor.finish(None))
}

/// Audits a partial replica: headers, their signatures, and that the headers prove the bank's accounts. The commands
/// counted are those of the bank's filtered blocks; wallets and holders are its own.
fn audit_partial_replica(
    archive: &Archive,
    genesis: Genesis,
    expected: Vec<ExpectedHead>,
    progress: &mut dyn FnMut(Height, Height),
) -> Result<AuditReport, AuditError> {
    let first = archive.filtered_block(Height(1)).ok().flatten();
    let bank = first.and_then(|(_, filtered_block)| cbdc_ledger::filtered_block::bank_of(&filtered_block));
    let mut ledger = Ledger::of_bank(genesis, bank.unwrap_or_default())?;
    let (mut verified, mut finding) = (Verified { expected, ..Verified::genesis(&ledger) }, None);
    let newest = match archive.newest() {
        Ok(newest) => newest.unwrap_or_default(),
        Err(error) => return Ok(verified.report(&ledger, vec![error.to_string()])),
    };
    while ledger.height() < newest && finding.is_none() {
        match follow_partial_replica(archive, &mut ledger) {
            Ok(followed) => {
                let tip = *ledger.tip();
                finding = verified.go_on_to(tip).map(|differs| format!("block {}: {differs}", tip.height));
                verified.count(followed.iter().map(|own| &own.outcome));
                progress(ledger.height(), newest);
            }
            Err(what) => finding = Some(format!("block {}: {what}", ledger.height().next())),
        }
    }
    let findings = finding.map_or_else(|| verified.missing(), |finding| vec![finding]);
    Ok(verified.report(&ledger, findings))
}

/// Verifies the next filtered block of an archive and follows it.
pub fn follow_partial_replica(archive: &Archive, ledger: &mut Ledger) -> Result<Vec<OwnCommand>, String> {
    let found = archive.filtered_block(ledger.height().next()).map_err(|error| error.to_string())?;
    let (header, filtered_block) = found.ok_or("its header or its filtered block is missing")?;
    let (network, required) = (ledger.network(), ledger.members().header_signatures());
    header.check_by_members(network, required, ledger.members()).map_err(|error| error.to_string())?;
    let followed = ledger.follow(&header.header, &filtered_block).map_err(|error| error.to_string())?;
    Ok(followed.commands)
}

struct LoggedProposals(Arc<dyn Store>);

impl ProposalSource for LoggedProposals {
    fn proposal(&self, height: Height, log_index: u64) -> Result<Option<Bytes>, ArchiveError> {
        let proposal = cbdc_ordering::read_logged_proposal(self.0.as_ref(), log_index);
        proposal.map_err(|error| ArchiveError::Damaged { height, what: error.to_string() })
    }
}

impl Auditor {
    /// Compares the checkpoint at the auditor's height, if there is one, with the auditor's own ledger.
    fn checkpoint(&mut self, store: &Arc<dyn Store>) -> Option<String> {
        let height = self.height();
        match CheckpointStore::new(store.clone()).manifest(height.0) {
            Ok(None) => None,
            Ok(Some(manifest)) => {
                let root = self.ledger.snapshot().write(|_| Ok::<(), std::convert::Infallible>(()));
                let Ok(root) = root;
                let (computed, found) = (hex(&root), hex(&manifest.root));
                let differs = root != manifest.root;
                differs
                    .then(|| format!("the root of the checkpoint at height {height} is {found}, computed {computed}"))
            }
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Opens every record of every column.
fn audit_columns(store: &Arc<dyn Store>) -> Vec<String> {
    Column::ALL.into_iter().flat_map(|column| audit_column(store, column)).collect()
}

fn audit_column(store: &Arc<dyn Store>, column: Column) -> Vec<String> {
    let (mut findings, mut damaged) = (Vec::new(), 0_usize);
    let scanned = store.scan(column, &KeyRange::all(), Direction::Forward, &mut |key, record| {
        if let Err(error) = sealed::open(key, record) {
            damaged += 1;
            if findings.len() < NAMED_MAX {
                findings.push(format!("column {column}, {}: {error}", record_name(column, key)));
            }
        }
        ControlFlow::Continue(())
    });
    if damaged > findings.len() {
        findings.push(format!("column {column}: {} more records are damaged", damaged - findings.len()));
    }
    // The disk's own checksum failed: nothing after this record could be read.
    findings.extend(scanned.err().map(|error| error.to_string()));
    findings
}

/// A record's subject, as far as its key shows it.
fn record_name(column: Column, key: &[u8]) -> String {
    let last = key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
    match (column, key.first(), last) {
        (Column::Headers | Column::Outcomes | Column::FilteredBlocks, _, Some(height)) => format!("block {height}"),
        (Column::Log, _, Some(index)) => format!("entry {index}"),
        (Column::History, Some(b'r'), Some(height)) if key.len() == 9 => format!("the lines of block {height}"),
        (Column::Deposits, Some(0), Some(account)) if key.len() == 9 => match AccountId::from_u64(account) {
            Some(account) => format!("the deposit of {account}"),
            None => format!("record {}", hex(key)),
        },
        _ => format!("record {}", hex(key)),
    }
}

/// Checks that no column continues above the newest header: everything written with a header ends with it.
fn audit_ends(store: &Arc<dyn Store>, verified: Height) -> Vec<String> {
    let newest = |column, range: &KeyRange| -> Option<u64> {
        let last = store.collect(column, range, Direction::Reverse, 1).ok()?;
        let (key, _) = last.first()?;
        Some(u64::from_be_bytes(*key.last_chunk()?))
    };
    // If the chain itself was found wrong, its end says nothing.
    if newest(Column::Headers, &KeyRange::all()).unwrap_or(0) != verified.0 {
        return Vec::new();
    }
    let checkpoint = CheckpointStore::new(store.clone()).heights().ok().and_then(|heights| heights.last().copied());
    let columns = [
        ("outcomes", newest(Column::Outcomes, &KeyRange::all())),
        ("filtered blocks", newest(Column::FilteredBlocks, &KeyRange::all())),
        ("history", newest(Column::History, &KeyRange::with_prefix(b"r"))),
        ("checkpoints", checkpoint),
    ];
    let above =
        columns.into_iter().filter_map(|(name, height)| Some((name, height.filter(|height| *height > verified.0)?)));
    above
        .map(|(name, height)| format!("the headers end at block {verified}, but the {name} go on to block {height}"))
        .collect()
}
