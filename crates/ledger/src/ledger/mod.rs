//! The ledger's state in one struct, and functions to read it. Only [`crate::transition`] changes it.

mod admission;
pub mod genesis;
mod invariants;
mod state_root;

pub use admission::Admission;
pub use invariants::InvariantBroken;
pub(crate) use state_root::digest_of_roots;

use std::sync::Arc;

use cbdc_signatures::PublicKey;

use crate::codec::merkle;
use crate::governance::{GovernanceProposals, ProposalRecord, vote};
use crate::ledger::genesis::{Genesis, GenesisError};
use crate::policy::{Parameters, PolicyVersions};
use crate::state::account::Account;
use crate::state::bank_accounts::{BankAccounts, key_bytes};
use crate::state::bank_position::{BankPosition, Positions};
use crate::state::bank_table::BankTable;
use crate::state::books::Books;
use crate::state::class_history::ClassHistory;
use crate::state::cow_vec::CowVec;
use crate::state::freeze::Freezes;
use crate::state::header::{Header, SupplyTerms, books_digest};
use crate::state::hold::Holds;
use crate::state::holder::{Holder, holder_key};
use crate::state::index::Index;
use crate::state::member::{Member, Members, Role};
use crate::state::partial_replica::PartialReplica;
use crate::state::programme::Programmes;
use crate::state::recent_payments::RecentPayments;
use crate::state::remuneration_sweep::RemunerationSweep;
use crate::state::sections::Sections;
use crate::types::amount::Amount;
use crate::types::format::FormatVersion;
use crate::types::identity::{AccountId, BankId, Height, HolderId, NetworkId};
use crate::types::time::LedgerDay;

/// The whole state after a block.
pub struct Ledger {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) network: NetworkId,
    /// The version of the formats that the next block is sealed in.
    pub(crate) format: FormatVersion,
    pub(crate) tip: Header,
    pub(crate) tip_hash: merkle::Hash,
    /// The digests under the tip's state root; zeros in version 1.
    pub(crate) sections: Sections,
    pub(crate) members: Members,
    pub(crate) policy: PolicyVersions,
    pub(crate) proposals: GovernanceProposals,
    pub(crate) books: Books,
    pub(crate) supply: SupplyTerms,
    pub(crate) banks: BankTable<BankAccounts>,
    pub(crate) holders: CowVec<Holder>,
    /// The times of each holder's last payments, if a velocity rule needs them.
    pub(crate) recent_payments: CowVec<RecentPayments>,
    pub(crate) holder_index: Index,
    /// The classes of reclassified holders, each with the day from which it held.
    pub(crate) class_history: ClassHistory,
    pub(crate) holds: Holds,
    pub(crate) freezes: Freezes,
    pub(crate) programmes: Programmes,
    pub(crate) positions: Positions,
    pub(crate) sweep: RemunerationSweep,
    /// A partial replica's data besides its bank's accounts.
    pub(crate) partial_replica: Option<Box<PartialReplica>>,
}

impl Ledger {
    /// The ledger at height 0.
    pub fn new(genesis: Genesis) -> Result<Ledger, GenesisError> {
        genesis.validate()?;
        let network = genesis.network();
        let today = genesis.created_at.ledger_day(genesis.day_offset_minutes);
        let positions = Positions::new(today, genesis.policy.reserves);
        let mut ledger = Ledger {
            network,
            format: genesis.format,
            tip: Header {
                format: genesis.format,
                height: Height(0),
                time: genesis.created_at,
                parent: network.0,
                command_count: 0,
                commands_root: merkle::root(&[]),
                effects_root: merkle::root(&[]),
                balances_root: [0; 32],
                books_digest: books_digest(&genesis.books, &positions),
                policy_version: 1,
                cbdc: Amount::ZERO,
                supply: SupplyTerms::default(),
                state_root: [0; 32],
            },
            tip_hash: [0; 32],
            sections: Sections::default(),
            members: Members::new(genesis.threshold, genesis.header_signatures),
            policy: PolicyVersions::new(genesis.policy.clone(), genesis.created_at),
            proposals: GovernanceProposals::default(),
            books: genesis.books.clone(),
            supply: SupplyTerms::default(),
            banks: BankTable::default(),
            holders: CowVec::default(),
            recent_payments: CowVec::default(),
            holder_index: Index::default(),
            class_history: ClassHistory::default(),
            holds: Holds::default(),
            freezes: Freezes::default(),
            programmes: Programmes::default(),
            positions,
            sweep: RemunerationSweep { done: today, in_flight: None },
            partial_replica: None,
            genesis: Arc::new(genesis),
        };
        for member in ledger.genesis.clone().members.iter().cloned() {
            ledger.admit_member(member);
        }
        if ledger.format > FormatVersion::One {
            // Version 1 hashes the positions as they are before the first members have theirs.
            ledger.tip.books_digest = books_digest(&ledger.books, &ledger.positions);
        }
        (ledger.tip.state_root, ledger.tip.balances_root) = ledger.seal_state(true);
        ledger.tip_hash = ledger.tip.hash();
        Ok(ledger)
    }

    /// A partial replica for one bank at height 0: it follows filtered blocks and never applies proposals.
    pub fn of_bank(genesis: Genesis, bank: BankId) -> Result<Ledger, GenesisError> {
        let mut ledger = Ledger::new(genesis)?;
        let key_roots = ledger.key_roots().collect();
        ledger.partial_replica = Some(Box::new(PartialReplica { key_roots, ..PartialReplica::new(bank) }));
        Ok(ledger)
    }

    /// The bank that this partial replica is for; `None` for a whole ledger.
    pub fn partial_replica_of(&self) -> Option<BankId> {
        self.partial_replica.as_ref().map(|part| part.bank)
    }

    /// Gives a member its seat, and a bank its treasury.
    pub(crate) fn admit_member(&mut self, member: Member) {
        if member.role == Role::Bank {
            self.positions.banks.insert(BankId(member.id.0), BankPosition::default());
            self.banks.insert(BankId(member.id.0), BankAccounts::with_treasury());
        }
        self.members.admit(member);
    }

    /// The network's genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The network's id.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The header of the last block.
    pub fn tip(&self) -> &Header {
        &self.tip
    }

    /// The height of the last block.
    pub fn height(&self) -> Height {
        self.tip.height
    }

    /// The hash of the last block's header.
    pub fn tip_hash(&self) -> merkle::Hash {
        self.tip_hash
    }

    /// The version of the formats that blocks are sealed in.
    pub fn format(&self) -> FormatVersion {
        self.format
    }

    /// The digests under the last block's state root; zeros in version 1.
    pub fn sections(&self) -> &Sections {
        &self.sections
    }

    /// The balance sheet.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// The supply terms since genesis.
    pub fn supply(&self) -> &SupplyTerms {
        &self.supply
    }

    /// All members.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The versions of policy.
    pub fn policy(&self) -> &PolicyVersions {
        &self.policy
    }

    /// The parameters in force.
    pub fn parameters(&self) -> &Parameters {
        &self.policy.in_force().parameters
    }

    /// The committee's proposals.
    pub fn proposals(&self) -> &GovernanceProposals {
        &self.proposals
    }

    /// The open holds.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// The amounts that courts have frozen.
    pub fn freezes(&self) -> &Freezes {
        &self.freezes
    }

    /// The programmes and the earmarks that they left.
    pub fn programmes(&self) -> &Programmes {
        &self.programmes
    }

    /// Banks' positions beyond the books.
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// The date up to which the remuneration sweep has posted all wallets, and where a sweep in progress continues.
    pub fn remuneration_sweep(&self) -> (LedgerDay, Option<AccountId>) {
        (self.sweep.done, self.sweep.in_flight.map(|(_, next)| next))
    }

    /// The ledger day of the last block.
    pub fn today(&self) -> LedgerDay {
        self.tip.time.ledger_day(self.genesis.day_offset_minutes)
    }

    /// Banks that ever were members, in order.
    pub fn banks(&self) -> impl Iterator<Item = BankId> {
        self.banks.iter().map(|(bank, _)| bank)
    }

    /// A wallet or treasury, including closed ones.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        let found = self.banks.get(id.bank)?.accounts.get(id.serial as usize);
        found.or_else(|| self.linked(id).map(|(account, _)| account))
    }

    /// In a partial replica: another bank's wallet that is linked to its bank.
    #[cold]
    fn linked(&self, id: AccountId) -> Option<&(Account, PublicKey)> {
        self.partial_replica.as_ref()?.linked.get(&id)
    }

    /// An open wallet, not a treasury.
    pub fn open_wallet(&self, id: AccountId) -> Option<&Account> {
        self.account(id).filter(|account| account.open && !id.is_treasury())
    }

    /// A wallet's key.
    pub fn key(&self, id: AccountId) -> Option<PublicKey> {
        let found = self.banks.get(id.bank)?.keys.get(id.serial as usize);
        found.or_else(|| self.linked(id).map(|(_, key)| key)).copied().filter(|_| !id.is_treasury())
    }

    /// The holder of a wallet.
    pub fn holder_of(&self, id: AccountId) -> Option<&Holder> {
        self.holder_at(self.account(id)?.holder)
    }

    /// The holder at a position in the whole ledger.
    pub(crate) fn holder_at(&self, position: u32) -> Option<&Holder> {
        let found = self.holders.get(position as usize);
        found.or_else(|| self.partial_replica.as_ref()?.holders.get(&position))
    }

    /// The holder of an id.
    pub fn holder(&self, id: HolderId) -> Option<&Holder> {
        self.holders.get(self.holder_position(id)? as usize)
    }

    pub(crate) fn holder_position(&self, id: HolderId) -> Option<u32> {
        self.holder_index.find(&id.0, |position| holder_key(&self.holders, position))
    }

    /// The wallet that a key opened at a bank and still signs for.
    pub fn wallet_by_key(&self, bank: BankId, key: PublicKey) -> Option<AccountId> {
        let accounts = self.banks.get(bank)?;
        let serial = accounts.key_index.find(&key.0, |serial| key_bytes(&accounts.keys, serial))?;
        Some(AccountId::new(bank, serial))
    }

    /// All wallets of a bank in serial order, including closed ones.
    pub fn wallets_of(&self, bank: BankId) -> impl Iterator<Item = (AccountId, &Account)> {
        let accounts = self.banks.get(bank).into_iter().flat_map(|accounts| accounts.accounts.iter());
        accounts.enumerate().skip(1).map(move |(serial, account)| (AccountId::new(bank, serial as u32), account))
    }

    /// The number of wallets ever opened.
    pub fn wallet_count(&self) -> usize {
        self.banks.iter().map(|(_, accounts)| accounts.accounts.len().saturating_sub(1)).sum()
    }

    /// The number of registered holders.
    pub fn holder_count(&self) -> usize {
        self.holders.len()
    }

    /// Gross issuance to a bank on the ledger day of the last block.
    pub fn issued_today(&self, bank: BankId) -> Amount {
        self.banks.get(bank).map_or(Amount::ZERO, |accounts| accounts.issued_on(self.today()))
    }

    /// The account that replaced a wallet when it moved, then the one that replaced that, and so on; `None` if the
    /// wallet did not move.
    pub fn moved_to(&self, id: AccountId) -> Option<AccountId> {
        // A wallet moves to a new serial, so this ends.
        let mut last = self.account(id)?.moved_to()?;
        while let Some(next) = self.account(last).and_then(Account::moved_to) {
            last = next;
        }
        Some(last)
    }

    /// Whether a bank has nothing on the ledger that its dismissal would strand: no open wallet, money of its own or
    /// loan, and no customers on their way to or from it.
    pub(crate) fn may_leave(&self, bank: BankId) -> bool {
        let books = self.books.bank(bank);
        let treasury = self.account(AccountId::treasury(bank)).map_or(0, Account::posted);
        let is_on_the_way = |(other, position): (BankId, &BankPosition)| {
            position.handover.is_some_and(|handover| other == bank || handover.to == bank)
        };
        if self.positions.banks().any(is_on_the_way) {
            return false;
        }
        let sums = [books.reserves, books.loans, books.deposit_facility];
        sums.iter().all(|sum| sum.is_zero()) && treasury == 0 && !self.wallets_of(bank).any(|(_, wallet)| wallet.open)
    }

    pub(crate) fn is_approved(&self, proposed: &ProposalRecord) -> bool {
        vote::is_approved(&proposed.ballots, &self.members)
    }

    /// Whether enough members approve of a proposal now.
    pub fn approved(&self, number: u64) -> bool {
        self.proposals.get(number).is_some_and(|proposed| self.is_approved(proposed))
    }
}
