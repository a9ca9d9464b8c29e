//! Blocks: headers, their signatures, and receipts that prove one command's place and outcome.
//!
//! A block is an ordered proposal, the outcome of each of its commands, and a header. Height counts proposals.
//!
//! # Header, 400 bytes
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version (1) |
//! | 1 | 3 | reserved |
//! | 4 | 4 | number of commands |
//! | 8 | 8 | height |
//! | 16 | 8 | time, ms since 1970 UTC |
//! | 24 | 32 | hash of the parent's header (genesis: the network id) |
//! | 56 | 32 | commands root: leaf = index, command with signature, outcome |
//! | 88 | 32 | effects root: a leaf a bank = bank, its changed accounts in serial order |
//! | 120 | 32 | balances root (a Merkle-sum tree over all balances; zeros until it is in use) |
//! | 152 | 32 | digest of the balance sheet and the banks' positions |
//! | 184 | 4 | version of policy in force at the block's end |
//! | 188 | 4 | reserved |
//! | 192 | 8 | CBDC in circulation, minor units |
//! | 200 | 96 | supply terms since genesis, minor units |
//! | 296 | 104 | reserved for later terms |
//!
//! The hash is BLAKE3 over these bytes. It excludes signatures: each voting node signs the hash behind the prefix of
//! [`Domain::Header`].

use std::collections::{BTreeMap, BTreeSet};

use crate::amount::Amount;
use crate::command::{Command, Domain, signing_prefix};
use crate::encoding::{DecodeError, Reader, VERSION, Writer};
use crate::genesis::NetworkId;
use crate::identity::{AccountId, BankId, Height, MemberId};
use crate::member::{Members, Role};
use crate::merkle::{self, Hash};
use crate::outcome::Outcome;
use crate::time::Timestamp;
use cbdc_signatures::{Batch, BatchSeed, DecompressedKey, PublicKey, Signature, SigningKey};

/// Bytes of an encoded header.
pub const HEADER_BYTES: usize = 400;

/// The terms of I1, each the sum since genesis, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SupplyTerms {
    pub issued: Amount,
    pub redeemed: Amount,
    pub reverse_waterfall: Amount,
    pub waterfall: Amount,
    pub interest: Amount,
    pub demurrage: Amount,
    pub fees: Amount,
    pub unbacked: Amount,
    pub targeted: Amount,
    pub expired: Amount,
    pub offline_loaded: Amount,
    pub offline_unloaded: Amount,
}

impl SupplyTerms {
    pub fn named(&self) -> [(&'static str, Amount); 12] {
        [
            ("issued", self.issued),
            ("redeemed", self.redeemed),
            ("reverse_waterfall", self.reverse_waterfall),
            ("waterfall", self.waterfall),
            ("interest", self.interest),
            ("demurrage", self.demurrage),
            ("fees", self.fees),
            ("unbacked", self.unbacked),
            ("targeted", self.targeted),
            ("expired", self.expired),
            ("offline_loaded", self.offline_loaded),
            ("offline_unloaded", self.offline_unloaded),
        ]
    }

    /// The CBDC in circulation that the terms amount to.
    pub fn net(&self) -> i128 {
        let sum = |terms: &[Amount]| terms.iter().map(|term| i128::from(term.minor())).sum::<i128>();
        sum(&[self.issued, self.reverse_waterfall, self.interest, self.unbacked, self.targeted, self.offline_unloaded])
            - sum(&[self.redeemed, self.waterfall, self.demurrage, self.fees, self.expired, self.offline_loaded])
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        self.named().iter().for_each(|(_, term)| {
            out.u64(term.minor());
        });
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<SupplyTerms, DecodeError> {
        let mut amount = || input.u64().map(Amount::from_minor);
        Ok(SupplyTerms {
            issued: amount()?,
            redeemed: amount()?,
            reverse_waterfall: amount()?,
            waterfall: amount()?,
            interest: amount()?,
            demurrage: amount()?,
            fees: amount()?,
            unbacked: amount()?,
            targeted: amount()?,
            expired: amount()?,
            offline_loaded: amount()?,
            offline_unloaded: amount()?,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub height: Height,
    pub time: Timestamp,
    pub parent: Hash,
    pub command_count: u32,
    pub commands_root: Hash,
    pub effects_root: Hash,
    /// Zeros until the balances tree is in use.
    pub balances_root: Hash,
    pub books_digest: Hash,
    pub policy_version: u32,
    pub cbdc: Amount,
    pub supply: SupplyTerms,
}

impl Header {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(HEADER_BYTES);
        out.u8(VERSION).reserved(3).u32(self.command_count).u64(self.height.0).u64(self.time.0);
        out.raw(&self.parent).raw(&self.commands_root).raw(&self.effects_root);
        out.raw(&self.balances_root).raw(&self.books_digest);
        out.u32(self.policy_version).reserved(4).u64(self.cbdc.minor());
        self.supply.encode(&mut out);
        out.reserved(104);
        out.finish()
    }

    pub fn decode(input: &mut Reader<'_>) -> Result<Header, DecodeError> {
        input.version()?;
        input.reserved(3)?;
        let command_count = input.u32()?;
        let height = Height(input.u64()?);
        let time = Timestamp(input.u64()?);
        let (parent, commands_root, effects_root) = (input.array()?, input.array()?, input.array()?);
        let (balances_root, books_digest) = (input.array()?, input.array()?);
        let policy_version = input.u32()?;
        input.reserved(4)?;
        let cbdc = Amount::from_minor(input.u64()?);
        let supply = SupplyTerms::decode(input)?;
        input.reserved(104)?;
        Ok(Header {
            height,
            time,
            parent,
            command_count,
            commands_root,
            effects_root,
            balances_root,
            books_digest,
            policy_version,
            cbdc,
            supply,
        })
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Header, DecodeError> {
        let mut input = Reader::new("header", bytes);
        let header = Header::decode(&mut input)?;
        input.finish()?;
        Ok(header)
    }

    pub fn hash(&self) -> Hash {
        *blake3::hash(&self.to_bytes()).as_bytes()
    }
}

/// A header and the signatures of voting nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedHeader {
    pub header: Header,
    pub signatures: Vec<(MemberId, Signature)>,
}

/// What is wrong with a header or a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error(
        "the header of block {height} has {found} valid signatures of the central bank's nodes, {required} are required"
    )]
    TooFewSignatures { height: Height, required: u16, found: usize },
    #[error("the receipt's path does not lead to the commands root of block {height}")]
    PathElsewhere { height: Height },
    #[error("the receipt's command cannot be read: {0}")]
    Decode(#[from] DecodeError),
}

impl SignedHeader {
    pub fn sign(header: Header, network: NetworkId, node: MemberId, key: &SigningKey) -> SignedHeader {
        let signature = key.sign([&signing_prefix(Domain::Header, network), &header.hash()]);
        SignedHeader { header, signatures: vec![(node, signature)] }
    }

    /// Checks that enough distinct nodes signed. `key_of` gives a node's key.
    pub fn check(
        &self,
        network: NetworkId,
        required: u16,
        key_of: impl Fn(MemberId) -> Option<PublicKey>,
    ) -> Result<(), ProofError> {
        let (prefix, hash) = (signing_prefix(Domain::Header, network), self.header.hash());
        let mut signers = BTreeSet::new();
        for (node, signature) in &self.signatures {
            let key = (!signers.contains(node)).then(|| key_of(*node)?.decompress().ok()).flatten();
            if key.is_some_and(|key| cbdc_signatures::verify(&key, [&prefix, &hash], signature)) {
                signers.insert(*node);
            }
        }
        self.check_count(required, signers.len())
    }

    fn check_count(&self, required: u16, found: usize) -> Result<(), ProofError> {
        if found < usize::from(required) {
            return Err(ProofError::TooFewSignatures { height: self.header.height, required, found });
        }
        Ok(())
    }

    /// As [`SignedHeader::check`] of each, all signatures verified together.
    fn check_each(
        headers: &[SignedHeader],
        network: NetworkId,
        required: u16,
        key_of: impl Fn(MemberId) -> Option<PublicKey>,
        seed: BatchSeed,
    ) -> Vec<Result<(), ProofError>> {
        let prefix = signing_prefix(Domain::Header, network);
        let hashes: Vec<Hash> = headers.iter().map(|signed| signed.header.hash()).collect();
        let nodes: BTreeSet<MemberId> =
            headers.iter().flat_map(|signed| &signed.signatures).map(|(node, _)| *node).collect();
        let ready = |node: MemberId| Some((node, key_of(node)?.decompress().ok()?));
        let keys: BTreeMap<MemberId, DecompressedKey> = nodes.into_iter().filter_map(ready).collect();
        let mut batch = Batch::with_capacity(headers.len());
        let mut claimed = Vec::with_capacity(headers.len());
        for (at, (signed, hash)) in headers.iter().zip(&hashes).enumerate() {
            for (node, signature) in &signed.signatures {
                if let Some(key) = keys.get(node) {
                    batch.push(key, [&prefix, hash], signature);
                    claimed.push((at, *node));
                }
            }
        }
        let verdicts = batch.verdicts(seed).into_iter();
        let signers: BTreeSet<(usize, MemberId)> =
            claimed.into_iter().zip(verdicts).filter(|(_, good)| *good).map(|(signer, _)| signer).collect();
        let verdict = |(at, signed): (usize, &SignedHeader)| {
            let found = signers.range((at, MemberId(0))..=(at, MemberId(u16::MAX))).count();
            signed.check_count(required, found)
        };
        headers.iter().enumerate().map(verdict).collect()
    }

    /// As [`SignedHeader::check`], with the keys of a ledger's members.
    pub fn check_by_members(&self, network: NetworkId, required: u16, members: &Members) -> Result<(), ProofError> {
        self.check(network, required, |node| key_of_member(members, node))
    }

    /// As [`SignedHeader::check_by_members`] of each, all signatures verified together.
    pub fn check_each_by_members(
        headers: &[SignedHeader],
        network: NetworkId,
        required: u16,
        members: &Members,
        seed: BatchSeed,
    ) -> Vec<Result<(), ProofError>> {
        SignedHeader::check_each(headers, network, required, |node| key_of_member(members, node), seed)
    }

    pub fn encode(&self, out: &mut Writer) {
        out.raw(&self.header.to_bytes()).u16(self.signatures.len() as u16);
        for (node, signature) in &self.signatures {
            out.u16(node.0).raw(&signature.0);
        }
    }

    pub fn decode(input: &mut Reader<'_>) -> Result<SignedHeader, DecodeError> {
        let header = Header::decode(input)?;
        let mut signatures = Vec::new();
        for _ in 0..input.u16()? {
            signatures.push((MemberId(input.u16()?), Signature(input.array()?)));
        }
        Ok(SignedHeader { header, signatures })
    }
}

/// The key that a node of the central bank signs headers with.
fn key_of_member(members: &Members, node: MemberId) -> Option<PublicKey> {
    Some(members.active(Role::CentralBank, node)?.member.signing_key)
}

/// What applying a proposal gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    pub header: Header,
    /// One for each command of the proposal, in order.
    pub outcomes: Vec<Outcome>,
    /// The leaf hash of each command, for receipts.
    pub leaves: Vec<Hash>,
    /// The leaf hash of each bank's changed accounts, in bank order, for filtered blocks.
    pub effect_leaves: Vec<Hash>,
    pub changes: Changes,
}

/// What else a block changed that nodes follow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Keys of wallets that were opened, closed or replaced.
    pub keys: Vec<KeyChange>,
    /// Whether members, their keys or the threshold changed.
    pub members: bool,
    /// Accounts whose record changed, in id order.
    pub accounts: Vec<AccountId>,
    /// Proposals that were enacted, expired or became void.
    pub proposals_closed: Vec<u64>,
    /// What waterfalls and reverse waterfalls moved between wallets and deposits, in the commands' order.
    pub deposits: Vec<DepositMovement>,
    /// What the ledger itself did at the beginning of the block.
    pub work: Work,
}

/// Money that a command moved between a wallet and its holder's deposit at the linked bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DepositMovement {
    /// The command's place in the block; `u32::MAX` for a programme's credit, which no command made.
    pub index: u32,
    pub bank: BankId,
    pub wallet: AccountId,
    pub amount: Amount,
    pub direction: DepositDirection,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DepositDirection {
    /// Waterfall: the bank credits the deposit.
    ToDeposit,
    /// Reverse waterfall: the bank debits the deposit.
    FromDeposit,
}

/// Counts of what the ledger itself did in a block: its own orders, not commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    pub holds_expired: u32,
    pub earmarks_expired: u32,
    pub persons_paid: u32,
    pub wallets_swept: u32,
    pub days_closed: u32,
}

/// A wallet's key from now on; `None` where the wallet was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyChange {
    pub account: AccountId,
    pub key: Option<PublicKey>,
    pub version: u32,
}

/// The data of a command's leaf: index (4), length of the command (4), outcome (24), the command with its signature, zeros up
/// to a multiple of 64 bytes. A payment's is 192 bytes.
fn leaf_data(index: u32, command: &[u8], outcome: &Outcome, out: &mut Writer) {
    out.u32(index).u32(command.len() as u32);
    outcome.encode(out);
    out.raw(command).reserved((32 + command.len()).next_multiple_of(64) - 32 - command.len());
}

/// The leaf of one command.
pub fn command_leaf(index: u32, command: &[u8], outcome: &Outcome) -> Hash {
    let mut data = Writer::with_capacity(256);
    leaf_data(index, command, outcome, &mut data);
    merkle::leaf_hash(&[&data.finish()])
}

/// How much leaf data is gathered before it is hashed: 64 payments, which stay in the nearest cache.
const RUN_BYTES: usize = 64 * 192;

/// The leaves of a block's commands, in order. Runs of commands of the same length, such as payments, are hashed together.
pub fn command_leaves<'a>(commands: impl ExactSizeIterator<Item = (&'a [u8], &'a Outcome)>) -> Vec<Hash> {
    let mut leaves = Vec::with_capacity(commands.len());
    let mut run = Writer::with_capacity(RUN_BYTES);
    let mut run_length = 0;
    for (index, (command, outcome)) in (0..).zip(commands) {
        let length = (32 + command.len()).next_multiple_of(64);
        if length != run_length || run.len() >= RUN_BYTES {
            leaves.extend(merkle::leaf_hashes(run.as_bytes(), run_length));
            run.clear();
            run_length = length;
        }
        leaf_data(index, command, outcome, &mut run);
    }
    leaves.extend(merkle::leaf_hashes(run.as_bytes(), run_length));
    leaves
}

/// Proves one command's place and outcome in a signed block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    pub header: SignedHeader,
    pub index: u32,
    /// The command as it was ordered, signature included.
    pub command: Vec<u8>,
    pub outcome: Outcome,
    pub path: Vec<Hash>,
}

impl Receipt {
    /// Builds the receipt of the command at `index` from its block's leaves. `None` where there is no such command.
    pub fn build(
        header: SignedHeader,
        leaves: &[Hash],
        index: u32,
        command: Vec<u8>,
        outcome: Outcome,
    ) -> Option<Receipt> {
        let path = merkle::path(leaves, index as usize)?;
        Some(Receipt { header, index, command, outcome, path })
    }

    /// Checks the path and the header's signatures, and returns the command.
    pub fn check(
        &self,
        network: NetworkId,
        required: u16,
        key_of: impl Fn(MemberId) -> Option<PublicKey>,
    ) -> Result<Command, ProofError> {
        let header = &self.header.header;
        let leaf = command_leaf(self.index, &self.command, &self.outcome);
        let root = merkle::root_from_path(leaf, self.index as usize, header.command_count as usize, &self.path);
        if root != Some(header.commands_root) {
            return Err(ProofError::PathElsewhere { height: header.height });
        }
        self.header.check(network, required, key_of)?;
        Ok(Command::from_bytes(&self.command)?)
    }
}
