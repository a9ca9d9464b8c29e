//! Audit: verifying a chain from genesis, trusting nobody.
//!
//! For each block the auditor checks that it follows its parent, that enough of the central bank's nodes signed its
//! header, and that every command that had effect carries the signatures its kind demands, under keys in force at
//! that point. Then it applies the proposal on a ledger of its own: the recomputed outcomes, roots, balance sheet and
//! supply terms must be the block's. Invariants are checked over all accounts now and then, and at the end.
//!
//! The first block that differs ends the audit and is named; nothing after it can be trusted.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::encoding::hex;
use cbdc_ledger::filtered_block::OwnCommand;
use cbdc_ledger::sections::Sections;
use cbdc_ledger::{Block, Genesis, Header, Height, Ledger, NetworkId, Outcome, VerifiedProposal};
use cbdc_proto::convert::header_from_message;
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;
use cbdc_signatures::BatchSeed;
use cbdc_storage::{Column, KeyRange, RocksStore, Store, StoreError};
use rand::rngs::SysRng;
use tonic::transport::Channel;

use crate::archive::{Archive, ArchiveError, BlockParts, ProposalSource, ProposalsByHeight, decode_outcomes};

/// Invariants are checked over all accounts after so many blocks.
const INVARIANTS_EVERY: u64 = 1_000;

/// The findings of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    pub ok: bool,
    /// Blocks that verified, genesis not counted.
    pub blocks: u64,
    pub commands: u64,
    pub settled: u64,
    pub wallets: u64,
    pub holders: u64,
    /// CBDC in circulation at the last block that verified, minor units.
    pub cbdc_minor: u64,
    /// The supply terms there, minor units.
    pub supply: Vec<(&'static str, u64)>,
    /// Hash of the last header that verified.
    pub tip: String,
    /// The first fault, if there is one, naming its height.
    pub findings: Vec<String>,
}

/// Why an audit could not be made. What is wrong with the chain is a finding, not an error.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the genesis is not acceptable: {0}")]
    Genesis(#[from] cbdc_ledger::genesis::GenesisError),
    #[error("{path} holds no blocks; expected the data folder of a node")]
    Empty { path: std::path::PathBuf },
    #[error("the node could not be asked: {0}")]
    Rpc(Box<tonic::Status>),
}

/// Verifies blocks one after the other.
pub struct Auditor {
    ledger: Ledger,
    directory: KeyDirectory,
    verified: Verified,
}

/// The chain as far as it verified.
#[derive(Clone, Copy)]
struct Verified {
    tip: Header,
    commands: u64,
    settled: u64,
}

impl Auditor {
    pub fn new(genesis: Genesis) -> Result<Auditor, AuditError> {
        let ledger = Ledger::new(genesis)?;
        let directory = KeyDirectory::of(&ledger);
        let verified = Verified { tip: *ledger.tip(), commands: 0, settled: 0 };
        Ok(Auditor { ledger, directory, verified })
    }

    /// The height of the last block that verified.
    pub fn height(&self) -> Height {
        self.verified.tip.height
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Verifies the next block, and gives it as the auditor's own ledger computed it.
    ///
    /// # Errors
    /// Its fault, as a sentence that names the height.
    pub fn block(&mut self, parts: &BlockParts) -> Result<Block, String> {
        let header = &parts.header.header;
        let height = self.ledger.height().next();
        let wrong = |what: String| Err(format!("block {height}: {what}"));
        if header.height != height || header.parent != self.ledger.tip_hash() {
            let (expected, found) = (hex(&self.ledger.tip_hash()), hex(&header.parent));
            return wrong(format!(
                "expected height {height} on parent {expected}, found height {} on {found}",
                header.height
            ));
        }
        let (network, required) = (self.ledger.network(), self.ledger.members().header_signatures());
        if let Err(error) = parts.header.check_by_members(network, required, self.ledger.members()) {
            return wrong(error.to_string());
        }
        let outcomes = match decode_outcomes(&parts.outcomes) {
            Ok(outcomes) => outcomes,
            Err(error) => return wrong(format!("its outcomes cannot be read: {error}")),
        };
        let seed = BatchSeed::draw(&mut SysRng);
        let verified = match VerifiedProposal::check(&parts.proposal, &outcomes, network, &self.directory, seed) {
            Ok(verified) => verified,
            Err(error) => return wrong(error.to_string()),
        };
        let block = self.ledger.apply(&verified);
        self.directory.follow(&self.ledger, &block.changes);
        if let Some(place) = block.outcomes.iter().zip(&outcomes).position(|(computed, kept)| computed != kept) {
            return wrong(format!(
                "command {place} has the outcome {}, computed {}",
                outcomes[place], block.outcomes[place]
            ));
        }
        if block.outcomes.len() != outcomes.len() {
            return wrong(format!("it has {} outcomes for {} commands", outcomes.len(), block.outcomes.len()));
        }
        if block.header != *header {
            return wrong(differing_field(&block.header, header));
        }
        if height.0.is_multiple_of(INVARIANTS_EVERY) {
            self.ledger.check_invariants().map_err(|error| error.to_string())?;
        }
        self.verified.tip = block.header;
        self.verified.count(outcomes.iter());
        Ok(block)
    }

    /// Closes the audit with what ended it, if anything did.
    pub fn finish(self, finding: Option<String>) -> AuditReport {
        let mut findings: Vec<String> = finding.into_iter().collect();
        if findings.is_empty() {
            findings.extend(self.ledger.check_invariants().err().map(|error| error.to_string()));
        }
        self.verified.report(&self.ledger, findings)
    }
}

impl Verified {
    fn report(&self, ledger: &Ledger, findings: Vec<String>) -> AuditReport {
        AuditReport {
            ok: findings.is_empty(),
            blocks: self.tip.height.0,
            commands: self.commands,
            settled: self.settled,
            wallets: ledger.wallet_count() as u64,
            holders: ledger.holder_count() as u64,
            cbdc_minor: self.tip.cbdc.minor(),
            supply: self.tip.supply.named().iter().map(|(name, term)| (*name, term.minor())).collect(),
            tip: hex(&self.tip.hash()),
            findings,
        }
    }

    fn count<'a>(&mut self, outcomes: impl ExactSizeIterator<Item = &'a Outcome>) {
        self.commands += outcomes.len() as u64;
        self.settled += outcomes.filter(|outcome| outcome.is_settled()).count() as u64;
    }
}

/// The difference between a header that was found and the one that was computed. `sections` are the digests under the
/// computed state root; `claimed` are those that came with the header, if any.
pub fn difference(
    (computed, sections): (&cbdc_ledger::Header, &Sections),
    (found, claimed): (&cbdc_ledger::Header, &[u8]),
    network: NetworkId,
) -> String {
    let claimed = Sections::from_bytes(claimed).filter(|claimed| claimed.root(network) == found.state_root);
    match claimed.and_then(|claimed| sections.first_difference(&claimed)) {
        Some(section) if computed.state_root != found.state_root => {
            format!("the state differs in its section: {section}")
        }
        _ => differing_field(computed, found),
    }
}

/// The first field in which a header is not what the chain computes to.
fn differing_field(computed: &cbdc_ledger::Header, found: &cbdc_ledger::Header) -> String {
    let roots = [
        ("commands root", computed.commands_root, found.commands_root),
        ("effects root", computed.effects_root, found.effects_root),
        ("balances root", computed.balances_root, found.balances_root),
        ("digest of the balance sheet", computed.books_digest, found.books_digest),
        ("state root", computed.state_root, found.state_root),
    ];
    if let Some((name, computed, found)) = roots.into_iter().find(|(_, computed, found)| computed != found) {
        return format!("its {name} is {}, computed {}", hex(&found), hex(&computed));
    }
    if computed.supply != found.supply || computed.cbdc != found.cbdc {
        return format!(
            "its supply is {:?} ({:?}), computed {:?} ({:?})",
            found.cbdc, found.supply, computed.cbdc, computed.supply
        );
    }
    format!("its header is {found:?}, computed {computed:?}")
}

/// Audits the data folder of a stopped node. `progress` is called with each height that verified and the newest.
pub fn audit_data_folder(
    path: &Path,
    genesis: Genesis,
    mut progress: impl FnMut(Height, Height),
) -> Result<AuditReport, AuditError> {
    if !path.join("CURRENT").exists() {
        return Err(AuditError::Empty { path: path.to_owned() });
    }
    let store: Arc<dyn Store> = Arc::new(RocksStore::open(path)?);
    audit_store(&store, genesis, &mut progress)
}

/// Audits the blocks in an open store.
pub fn audit_store(
    store: &Arc<dyn Store>,
    genesis: Genesis,
    progress: &mut dyn FnMut(Height, Height),
) -> Result<AuditReport, AuditError> {
    let is_ordered_here =
        !store.collect(Column::Raft, &KeyRange::all(), cbdc_storage::Direction::Forward, 1)?.is_empty();
    let proposals: Arc<dyn ProposalSource> = if is_ordered_here {
        Arc::new(LoggedProposals(store.clone()))
    } else {
        Arc::new(ProposalsByHeight(store.clone()))
    };
    let archive = Archive::new(store.clone(), proposals);
    if archive.keeps_filtered_blocks().unwrap_or(false) {
        return audit_partial_replica(&archive, genesis, progress);
    }
    let mut auditor = Auditor::new(genesis)?;
    let newest = match archive.newest() {
        Ok(newest) => newest.unwrap_or_default(),
        Err(error) => return Ok(auditor.finish(Some(error.to_string()))),
    };
    while auditor.height() < newest {
        let height = auditor.height().next();
        let finding = match archive.block(height) {
            Ok(Some(parts)) => auditor.block(&parts).err(),
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

/// Audits a partial replica: headers, their signatures, and that the bank's accounts are those that the headers prove.
/// The commands counted are those of the bank's filtered blocks; wallets and holders are its own.
fn audit_partial_replica(
    archive: &Archive,
    genesis: Genesis,
    progress: &mut dyn FnMut(Height, Height),
) -> Result<AuditReport, AuditError> {
    let first = archive.filtered_block(Height(1)).ok().flatten();
    let bank = first.and_then(|(_, filtered_block)| cbdc_ledger::filtered_block::bank_of(&filtered_block));
    let mut ledger = Ledger::of_bank(genesis, bank.unwrap_or_default())?;
    let (mut verified, mut finding) = (Verified { tip: *ledger.tip(), commands: 0, settled: 0 }, None);
    let newest = archive.newest().unwrap_or_default().unwrap_or_default();
    while ledger.height() < newest && finding.is_none() {
        match follow_partial_replica(archive, &mut ledger) {
            Ok(followed) => {
                verified.tip = *ledger.tip();
                verified.count(followed.iter().map(|own| &own.outcome));
                progress(ledger.height(), newest);
            }
            Err(what) => finding = Some(format!("block {}: {what}", ledger.height().next())),
        }
    }
    Ok(verified.report(&ledger, finding.into_iter().collect()))
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

/// Audits a running network through a node's chain service, up to the newest block at the start.
pub async fn audit_live(
    channel: Channel,
    genesis: Genesis,
    mut progress: impl FnMut(Height, Height),
) -> Result<AuditReport, AuditError> {
    let rpc = |status: tonic::Status| AuditError::Rpc(Box::new(status));
    let mut client = ChainClient::new(channel).max_decoding_message_size(cbdc_proto::transport::MESSAGE_BYTES_MAX);
    let mut auditor = Auditor::new(genesis)?;
    let newest = client.get_header(v1::GetHeaderRequest { height: None }).await;
    let newest = match newest {
        Ok(header) => header_from_message(&header.into_inner()).map_err(rpc)?.header.height,
        // Nothing was sealed yet.
        Err(status) if status.code() == tonic::Code::NotFound => Height(0),
        Err(status) => return Err(rpc(status)),
    };
    let mut blocks = client.follow(v1::FollowRequest { from_height: 1 }).await.map_err(rpc)?.into_inner();
    while auditor.height() < newest {
        let Some(block) = blocks.message().await.map_err(rpc)? else {
            let finding = format!("the node ended the chain at block {}, its newest was {newest}", auditor.height());
            return Ok(auditor.finish(Some(finding)));
        };
        let header =
            block.header.as_ref().ok_or_else(|| rpc(tonic::Status::data_loss("a block came without a header")))?;
        let header = header_from_message(header).map_err(rpc)?;
        let parts = BlockParts { header, log_index: 0, proposal: block.proposal, outcomes: block.outcomes };
        // Verifying takes a while: other tasks of this thread go on.
        let verified = tokio::task::block_in_place(|| auditor.block(&parts));
        if let Err(finding) = verified {
            return Ok(auditor.finish(Some(finding)));
        }
        progress(auditor.height(), newest);
    }
    Ok(auditor.finish(None))
}
