//! The audit: verifying a chain from genesis, trusting nobody.
//!
//! For each block the auditor checks that it follows its parent, that enough of the central bank's nodes signed its
//! header, and that every command with an effect carries the signatures that its kind requires, under keys in force at
//! that point. Then it applies the block proposal to its own ledger: the recomputed outcomes, roots, balance sheet and
//! supply terms must equal the block's. Invariants are checked over all accounts at intervals, and at the end.
//!
//! The first block that differs ends the audit and is named; nothing after it can be trusted.
//!
//! A chain that verifies may still be only a part of one: whoever cut it off left no error. So an audit can be given
//! [heads](Head) to find, published or asked from peers, and says so if there was none to compare with.
//!
//! * [`folder`]: the data folder of a stopped node, all of its columns, read only.
//! * [`live`]: a running node, through its chain service.

mod folder;
mod live;

use std::fmt;
use std::str::FromStr;

use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::encoding::{hex, hex_decode};
use cbdc_ledger::sections::Sections;
use cbdc_ledger::{Block, Genesis, Header, Height, Ledger, NetworkId, Outcome, VerifiedProposal};
use cbdc_signatures::BatchSeed;
use cbdc_storage::StoreError;
use rand::rngs::SysRng;

pub use self::folder::{archive_in, audit_data_folder, audit_store, check_data_folder, follow_partial_replica};
pub use self::live::{audit_live, newest_head};
use crate::archive::{BlockParts, decode_outcomes};

/// The number of blocks after which invariants are checked over all accounts.
const INVARIANTS_EVERY: u64 = 1_000;

/// The findings of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    pub ok: bool,
    /// Blocks that verified, not counting genesis.
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
    /// The questions that the audit could not answer.
    pub not_known: Vec<String>,
}

/// A block that a chain is expected to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub height: Height,
    /// The hash of its header.
    pub hash: [u8; 32],
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Head, String> {
        let expected =
            || format!("expected a height, a colon and the 64 hexadecimal digits of a header's hash, found `{text}`");
        let (height, hash) = text.split_once(':').ok_or_else(expected)?;
        let hash = hex_decode(hash).and_then(|bytes| bytes.try_into().ok());
        Ok(Head { height: Height(height.parse().map_err(|_| expected())?), hash: hash.ok_or_else(expected)? })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, hex(&self.hash))
    }
}

/// A head, and the party that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedHead {
    pub head: Head,
    /// The source's name, such as `bank-2` or `--expect-head`.
    pub named_by: String,
}

/// The reason why an audit could not be made. A fault in the chain is a finding, not an error.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the genesis is not acceptable: {0}")]
    Genesis(#[from] cbdc_ledger::genesis::GenesisError),
    #[error("expected the data folder of a node, such as network/bank-1/data; {path} {found}")]
    NoDataFolder { path: std::path::PathBuf, found: &'static str },
    #[error("{path} holds data of {found}, expected network {expected}; name that network's genesis with --genesis")]
    OtherNetwork { path: std::path::PathBuf, expected: String, found: String },
    #[error("the node could not be asked: {0}")]
    Rpc(Box<tonic::Status>),
}

/// Verifies blocks one after the other.
pub struct Auditor {
    ledger: Ledger,
    directory: KeyDirectory,
    verified: Verified,
}

/// The verified part of the chain.
struct Verified {
    /// The hash of genesis' own header, at height 0.
    genesis: [u8; 32],
    tip: Header,
    commands: u64,
    settled: u64,
    expected: Vec<ExpectedHead>,
}

impl Auditor {
    pub fn new(genesis: Genesis) -> Result<Auditor, AuditError> {
        let ledger = Ledger::new(genesis)?;
        let directory = KeyDirectory::of(&ledger);
        let verified = Verified::genesis(&ledger);
        Ok(Auditor { ledger, directory, verified })
    }

    /// Expects the chain to have these blocks.
    pub fn expecting(mut self, heads: Vec<ExpectedHead>) -> Auditor {
        self.verified.expected = heads;
        self
    }

    /// The height of the last block that verified.
    pub fn height(&self) -> Height {
        self.verified.tip.height
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Verifies the next block, and returns it as the auditor's own ledger computed it.
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
        if let Some(index) = block.outcomes.iter().zip(&outcomes).position(|(computed, kept)| computed != kept) {
            return wrong(format!("command {index}: {}", differing_outcome(&block.outcomes[index], &outcomes[index])));
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
        if let Some(differs) = self.verified.go_on_to(block.header) {
            return wrong(differs);
        }
        self.verified.count(outcomes.iter());
        Ok(block)
    }

    /// Finishes the audit with the fault that ended it, if any.
    pub fn finish(self, finding: Option<String>) -> AuditReport {
        let mut findings: Vec<String> = finding.into_iter().collect();
        if findings.is_empty() {
            findings.extend(self.ledger.check_invariants().err().map(|error| error.to_string()));
            findings.extend(self.verified.of_another_genesis());
            findings.extend(self.verified.missing());
        }
        self.verified.report(&self.ledger, findings)
    }
}

impl Verified {
    fn genesis(ledger: &Ledger) -> Verified {
        let tip = *ledger.tip();
        Verified { genesis: tip.hash(), tip, commands: 0, settled: 0, expected: Vec::new() }
    }

    /// Moves to the next block; says if another one was expected.
    fn go_on_to(&mut self, header: Header) -> Option<String> {
        let hash = header.hash();
        let mut expected = self.expected.iter().filter(|expected| expected.head.height == header.height);
        if let Some(other) = expected.find(|expected| expected.head.hash != hash) {
            let (named_by, expected) = (&other.named_by, hex(&other.head.hash));
            return Some(format!("its header's hash is {}, {named_by} names {expected}", hex(&hash)));
        }
        self.tip = header;
        None
    }

    /// The heads that were named of another genesis.
    fn of_another_genesis(&self) -> impl Iterator<Item = String> {
        let others = self.expected.iter().filter(|expected| expected.head.height == Height(0));
        let others = others.filter(|expected| expected.head.hash != self.genesis);
        others.map(|expected| {
            let (named_by, named) = (&expected.named_by, hex(&expected.head.hash));
            format!("block 0, which is genesis: its header's hash is {}, {named_by} names {named}", hex(&self.genesis))
        })
    }

    /// The expected blocks beyond the end of the chain.
    fn missing(&self) -> Vec<String> {
        let end = self.tip.height;
        let above = self.expected.iter().filter(|expected| expected.head.height > end);
        let text = |expected: &ExpectedHead| {
            let (height, named_by) = (expected.head.height, &expected.named_by);
            format!(
                "the chain ends at block {end}, {named_by} names block {height}: {} blocks are missing",
                height.0 - end.0
            )
        };
        above.map(text).collect()
    }

    fn not_known(&self) -> Vec<String> {
        let end = self.tip.height;
        if self.expected.iter().any(|expected| expected.head.height >= end) {
            return Vec::new();
        }
        vec![format!(
            "whether block {end} is the newest: a chain that was cut off verifies as well; name a published head \
             (--expect-head HEIGHT:HASH) or a node to compare with (--peer NODE)"
        )]
    }

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
            not_known: if findings.is_empty() { self.not_known() } else { Vec::new() },
            findings,
        }
    }

    fn count<'a>(&mut self, outcomes: impl ExactSizeIterator<Item = &'a Outcome>) {
        self.commands += outcomes.len() as u64;
        self.settled += outcomes.filter(|outcome| outcome.is_settled()).count() as u64;
    }
}

/// The difference between a header found and the computed one. `sections` are the digests under the computed state
/// root; `claimed` are those that came with the header, if any.
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

/// The fields in which an outcome differs from the computed one.
fn differing_outcome(computed: &Outcome, found: &Outcome) -> String {
    let fields = [
        ("reason", found.reason.name().to_owned(), computed.reason.name().to_owned()),
        ("fee", found.charges().fee.to_string(), computed.charges().fee.to_string()),
        ("limit", found.limit.to_string(), computed.limit.to_string()),
        ("amount", found.amount.to_string(), computed.amount.to_string()),
    ];
    let differing = fields.into_iter().filter(|(_, found, computed)| found != computed);
    let texts: Vec<String> = differing
        .map(|(name, found, computed)| format!("the {name} of its outcome is {found}, computed {computed}"))
        .collect();
    texts.join("; ")
}

/// The first field in which a header differs from the computed one.
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

#[cfg(test)]
mod tests {
    use cbdc_ledger::outcome::Charges;
    use cbdc_ledger::{Amount, Reason};

    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_shown_and_anything_else_is_answered_with_its_form() {
        let head = Head { height: Height(59), hash: [0xab; 32] };
        assert_eq!(head.to_string().parse(), Ok(head));
        for wrong in ["", "59", "59:", ":abab", "59:abab", "x:0", &format!("{head}0")] {
            let error = wrong.parse::<Head>().unwrap_err();
            assert!(error.contains("64 hexadecimal digits") && error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn what_differs_in_an_outcome_is_named() {
        let settled = Outcome::settled_with;
        assert_eq!(differing_outcome(&settled(5), &settled(6)), "the amount of its outcome is 6, computed 5");
        let charged = Outcome::paid(Charges { fee: Amount::from_minor(3), ..Charges::default() });
        assert_eq!(differing_outcome(&settled(0), &charged), "the fee of its outcome is 3, computed 0");
        let refused = Outcome::refused(Reason::InsufficientFunds, 7, 5);
        let text = differing_outcome(&settled(5), &refused);
        assert!(text.contains("reason") && text.contains("limit") && !text.contains("amount"), "{text}");
    }
}
