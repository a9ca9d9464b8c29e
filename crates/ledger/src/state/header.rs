//! Block headers: the roots and sums that commit to the whole ledger after a block.
//!
//! # Layout, 400 bytes
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version of the formats (1 or 2) |
//! | 1 | 3 | reserved |
//! | 4 | 4 | number of commands |
//! | 8 | 8 | height |
//! | 16 | 8 | time, ms since 1970 UTC |
//! | 24 | 32 | hash of the parent's header (genesis: the network id) |
//! | 56 | 32 | commands root: leaf = index, command with signature, outcome |
//! | 88 | 32 | effects root: one leaf per bank = bank, its changed accounts in serial order |
//! | 120 | 32 | balances root: a Merkle-sum tree over all accounts; zeros except in a checkpoint block of version 2 |
//! | 152 | 32 | digest of the balance sheet and the banks' positions |
//! | 184 | 4 | version of policy in force at the block's end |
//! | 188 | 4 | reserved |
//! | 192 | 8 | CBDC in circulation, minor units |
//! | 200 | 96 | supply terms since genesis, minor units |
//! | 296 | 32 | state root: digests of all other parts of the state ([`super::sections`]); zeros in version 1 |
//! | 328 | 72 | reserved |
//!
//! The hash is BLAKE3 over these bytes. It excludes signatures: each voting node signs the hash behind the prefix of
//! `Domain::Header`.

use super::bank_position::Positions;
use super::books::Books;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::types::amount::Amount;
use crate::types::format::FormatVersion;
use crate::types::identity::Height;
use crate::types::time::Timestamp;

/// Bytes of an encoded header.
pub const HEADER_BYTES: usize = 400;

/// The terms of I1, each the sum since genesis, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SupplyTerms {
    /// Reserves that became CBDC.
    pub issued: Amount,
    /// CBDC that became reserves.
    pub redeemed: Amount,
    /// CBDC that linked banks added to payers' payments.
    pub reverse_waterfall: Amount,
    /// CBDC that went to deposits above a holding limit.
    pub waterfall: Amount,
    /// Interest posted on wallets.
    pub interest: Amount,
    /// Negative interest taken from wallets.
    pub demurrage: Amount,
    /// Fees to the central bank.
    pub fees: Amount,
    /// Unbacked issuance.
    pub unbacked: Amount,
    /// Targeted issuance.
    pub targeted: Amount,
    /// Targeted money taken back at expiry.
    pub expired: Amount,
    /// CBDC loaded onto offline devices.
    pub offline_loaded: Amount,
    /// CBDC returned from offline devices.
    pub offline_unloaded: Amount,
}

impl SupplyTerms {
    /// The terms by name, in the order of the encoding.
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

    /// The CBDC in circulation by these terms.
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

/// A block's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The version of the formats.
    pub format: FormatVersion,
    /// The block's height.
    pub height: Height,
    /// The block's time.
    pub time: Timestamp,
    /// The hash of the parent's header; the network's id at genesis.
    pub parent: Hash,
    /// The number of commands in the block.
    pub command_count: u32,
    /// The Merkle root over the commands' leaves.
    pub commands_root: Hash,
    /// The Merkle root over the banks' leaves.
    pub effects_root: Hash,
    /// The root over all accounts and their sum, in a checkpoint block of version 2; otherwise zeros.
    pub balances_root: Hash,
    /// The digest of the balance sheet and the banks' positions.
    pub books_digest: Hash,
    /// The version of policy in force at the block's end.
    pub policy_version: u32,
    /// The CBDC in circulation.
    pub cbdc: Amount,
    /// The supply terms since genesis.
    pub supply: SupplyTerms,
    /// The root over all other parts of the state; zeros in version 1.
    pub state_root: Hash,
}

impl Header {
    /// Whether the header covers the whole state, including every account and holder.
    pub fn is_of_checkpoint(&self) -> bool {
        self.balances_root != [0; 32]
    }

    /// The encoded header: 400 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(HEADER_BYTES);
        out.u8(self.format as u8).reserved(3).u32(self.command_count).u64(self.height.0).u64(self.time.0);
        out.raw(&self.parent).raw(&self.commands_root).raw(&self.effects_root);
        out.raw(&self.balances_root).raw(&self.books_digest);
        out.u32(self.policy_version).reserved(4).u64(self.cbdc.minor());
        self.supply.encode(&mut out);
        out.raw(&self.state_root).reserved(72);
        out.finish()
    }

    /// Reads what [`Header::to_bytes`] gave, from the front of `input`.
    pub fn decode(input: &mut Reader<'_>) -> Result<Header, DecodeError> {
        let format = FormatVersion::decode(input)?;
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
        let state_root = input.array()?;
        input.reserved(72)?;
        let is_plain = state_root == [0; 32] && balances_root == [0; 32];
        if format == FormatVersion::One && !is_plain {
            return Err(input.wrong("no root over the state in version 1", 1));
        }
        Ok(Header {
            format,
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
            state_root,
        })
    }

    /// Reads what [`Header::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Header, DecodeError> {
        let mut input = Reader::new("header", bytes);
        let header = Header::decode(&mut input)?;
        input.finish()?;
        Ok(header)
    }

    /// BLAKE3 of the encoded header: what voting nodes sign.
    pub fn hash(&self) -> Hash {
        *blake3::hash(&self.to_bytes()).as_bytes()
    }
}

/// The digest that a header carries of the balance sheet and the banks' positions.
pub(crate) fn books_digest(books: &Books, positions: &Positions) -> Hash {
    let mut out = Writer::with_capacity(512);
    books.encode(&mut out);
    positions.encode(&mut out);
    *blake3::hash(&out.finish()).as_bytes()
}
