//! The ledger's state and what can be read from it. Only [`crate::settlement`] changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashTable;

use crate::account::{Account, NO_HOLDER};
use crate::amount::Amount;
use crate::bank_position::{BankPosition, Positions};
use crate::bank_table::BankTable;
use crate::block::{Header, SupplyTerms};
use crate::books::{BookAccount, Books};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::filtered_block::PartialReplica;
use crate::genesis::{Genesis, GenesisError, NetworkId};
use crate::hold::Holds;
use crate::holder::Holder;
use crate::identity::{AccountId, BankId, Class, Height, HolderId};
use crate::member::{Members, Role};
use crate::merkle;
use crate::pages::Pages;
use crate::policy::velocity::RecentPayments;
use crate::policy::{GovernanceProposals, Parameters, PolicyVersions, ProposalRecord};
use crate::programme::Programmes;
use crate::time::{LedgerDay, Timestamp};
use crate::touched::Touched;
use cbdc_signatures::PublicKey;

/// The whole state after a block.
pub struct Ledger {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) network: NetworkId,
    pub(crate) tip: Header,
    pub(crate) tip_hash: merkle::Hash,
    pub(crate) members: Members,
    pub(crate) policy: PolicyVersions,
    pub(crate) proposals: GovernanceProposals,
    pub(crate) books: Books,
    pub(crate) supply: SupplyTerms,
    pub(crate) banks: BankTable<BankAccounts>,
    pub(crate) holders: Pages<Holder>,
    /// The times of each holder's last payments, where a velocity rule asks for them.
    pub(crate) recent_payments: Pages<RecentPayments>,
    pub(crate) holder_index: Index,
    /// Of reclassified holders: from which day each of their classes held.
    pub(crate) class_history: BTreeMap<u32, Vec<(LedgerDay, Class)>>,
    pub(crate) holds: Holds,
    pub(crate) programmes: Programmes,
    pub(crate) positions: Positions,
    pub(crate) sweep: Sweep,
    /// Where this ledger keeps one bank's part and follows filtered blocks: what it has beside that bank's accounts.
    pub(crate) partial_replica: Option<Box<PartialReplica>>,
}

/// How far the ledger has come in posting the interest of wallets that nobody touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sweep {
    /// The capitalisation date up to which every wallet is posted.
    pub(crate) done: LedgerDay,
    /// The date that is being posted, and the next wallet; `None` between sweeps.
    pub(crate) in_flight: Option<(LedgerDay, AccountId)>,
}

impl Sweep {
    pub(crate) fn encode(&self, out: &mut Writer) {
        let (date, next) = self.in_flight.unwrap_or_default();
        out.u32(self.done.0).u8(u8::from(self.in_flight.is_some())).u32(date.0).u64(next.to_u64());
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Sweep, DecodeError> {
        let (done, is_in_flight) = (LedgerDay(input.u32()?), input.boolean()?);
        let in_flight = (LedgerDay(input.u32()?), AccountId::decode(input)?);
        Ok(Sweep { done, in_flight: is_in_flight.then_some(in_flight) })
    }
}

/// One bank's accounts: serial 0 is its treasury.
#[derive(Clone, Default)]
pub(crate) struct BankAccounts {
    pub(crate) accounts: Pages<Account>,
    /// The key of each serial; a treasury's is zeros, its commands are signed with the bank's member key.
    pub(crate) keys: Pages<PublicKey>,
    /// Keys that were replaced: a (bank, key) opens once.
    pub(crate) retired_keys: BTreeSet<PublicKey>,
    pub(crate) key_index: Index,
    /// Accounts that the block in flight has touched; empty between blocks.
    pub(crate) touched: Touched,
    /// Gross issuance on `issued_day`.
    pub(crate) issued_today: Amount,
    pub(crate) issued_day: LedgerDay,
}

impl BankAccounts {
    /// A bank that has only its treasury.
    pub(crate) fn with_treasury() -> BankAccounts {
        let mut accounts = BankAccounts::default();
        // A treasury earns no interest: no day ever comes that it has not accrued.
        accounts.accounts.push(Account::new(NO_HOLDER, LedgerDay(u32::MAX)));
        accounts.keys.push(PublicKey([0; 32]));
        accounts
    }

    /// Gross issuance on `day`.
    pub(crate) fn issued_on(&self, day: LedgerDay) -> Amount {
        if self.issued_day == day { self.issued_today } else { Amount::ZERO }
    }
}

/// Positions of records by a key that the records themselves hold: a few bytes an entry.
#[derive(Clone, Default)]
pub(crate) struct Index(HashTable<u32>);

impl Index {
    fn hash(key: &[u8]) -> u64 {
        use std::hash::Hasher;
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(key);
        hasher.finish()
    }

    /// The index of all records at once: none is hashed twice, as those of a growing index are.
    pub(crate) fn over<'a>(positions: std::ops::Range<u32>, key_at: impl Fn(u32) -> &'a [u8]) -> Index {
        let mut index = Index(HashTable::with_capacity(positions.len()));
        positions.for_each(|position| index.insert(position, &key_at));
        index
    }

    pub(crate) fn find<'a>(&self, key: &[u8], key_at: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        self.0.find(Index::hash(key), |position| key_at(*position) == key).copied()
    }

    pub(crate) fn remove(&mut self, key: &[u8], position: u32) {
        if let Ok(entry) = self.0.find_entry(Index::hash(key), |found| *found == position) {
            entry.remove();
        }
    }

    pub(crate) fn insert<'a>(&mut self, position: u32, key_at: impl Fn(u32) -> &'a [u8]) {
        let hash = Index::hash(key_at(position));
        self.0.insert_unique(hash, position, |position| Index::hash(key_at(*position)));
    }
}

/// A rule that does not hold: the ledger must not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invariant {invariant} does not hold at height {height}: {what}")]
pub struct InvariantBroken {
    pub invariant: &'static str,
    pub height: Height,
    pub what: String,
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
            tip: Header {
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
            },
            tip_hash: [0; 32],
            members: Members::new(genesis.threshold, genesis.header_signatures),
            policy: PolicyVersions::new(genesis.policy.clone(), genesis.created_at),
            proposals: GovernanceProposals::default(),
            books: genesis.books.clone(),
            supply: SupplyTerms::default(),
            banks: BankTable::default(),
            holders: Pages::default(),
            recent_payments: Pages::default(),
            holder_index: Index::default(),
            class_history: BTreeMap::new(),
            holds: Holds::default(),
            programmes: Programmes::default(),
            positions,
            sweep: Sweep { done: today, in_flight: None },
            partial_replica: None,
            genesis: Arc::new(genesis),
        };
        ledger.tip_hash = ledger.tip.hash();
        for member in ledger.genesis.clone().members.iter().cloned() {
            ledger.admit_member(member);
        }
        Ok(ledger)
    }

    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The header of the last block.
    pub fn tip(&self) -> &Header {
        &self.tip
    }

    pub fn height(&self) -> Height {
        self.tip.height
    }

    pub fn tip_hash(&self) -> merkle::Hash {
        self.tip_hash
    }

    pub fn books(&self) -> &Books {
        &self.books
    }

    pub fn supply(&self) -> &SupplyTerms {
        &self.supply
    }

    pub fn members(&self) -> &Members {
        &self.members
    }

    pub fn policy(&self) -> &PolicyVersions {
        &self.policy
    }

    pub fn parameters(&self) -> &Parameters {
        &self.policy.in_force().parameters
    }

    pub fn proposals(&self) -> &GovernanceProposals {
        &self.proposals
    }

    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    pub fn programmes(&self) -> &Programmes {
        &self.programmes
    }

    /// Banks' positions beyond the books.
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// The ledger day of the last block.
    pub fn today(&self) -> LedgerDay {
        self.tip.time.ledger_day(self.genesis.day_offset_minutes)
    }

    /// Banks that ever were members, in order.
    pub fn banks(&self) -> impl Iterator<Item = BankId> {
        self.banks.iter().map(|(bank, _)| bank)
    }

    /// A wallet or treasury, closed ones included.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        let found = self.banks.get(id.bank)?.accounts.get(id.serial as usize);
        found.or_else(|| self.linked(id).map(|(account, _)| account))
    }

    /// In a ledger of one bank's part: another bank's wallet that is linked to it.
    #[cold]
    fn linked(&self, id: AccountId) -> Option<&(Account, PublicKey)> {
        self.partial_replica.as_ref()?.linked.get(&id)
    }

    /// An open wallet, no treasury.
    pub fn open_wallet(&self, id: AccountId) -> Option<&Account> {
        self.account(id).filter(|account| account.open && !id.is_treasury())
    }

    /// A wallet's key.
    pub fn key(&self, id: AccountId) -> Option<PublicKey> {
        let found = self.banks.get(id.bank)?.keys.get(id.serial as usize);
        found.or_else(|| self.linked(id).map(|(_, key)| key)).copied().filter(|_| !id.is_treasury())
    }

    pub fn holder_of(&self, id: AccountId) -> Option<&Holder> {
        self.person(self.account(id)?.holder)
    }

    /// The holder at a place in the whole ledger.
    pub(crate) fn person(&self, place: u32) -> Option<&Holder> {
        let found = self.holders.get(place as usize);
        found.or_else(|| self.partial_replica.as_ref()?.persons.get(&place))
    }

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

    /// All wallets of a bank in serial order, closed ones included.
    pub fn wallets_of(&self, bank: BankId) -> impl Iterator<Item = (AccountId, &Account)> {
        let accounts = self.banks.get(bank).into_iter().flat_map(|accounts| accounts.accounts.iter());
        accounts.enumerate().skip(1).map(move |(serial, account)| (AccountId::new(bank, serial as u32), account))
    }

    /// How many wallets were ever opened.
    pub fn wallet_count(&self) -> usize {
        self.banks.iter().map(|(_, accounts)| accounts.accounts.len().saturating_sub(1)).sum()
    }

    pub fn holder_count(&self) -> usize {
        self.holders.len()
    }

    /// Gross issuance to a bank on the ledger day of the last block.
    pub fn issued_today(&self, bank: BankId) -> Amount {
        self.banks.get(bank).map_or(Amount::ZERO, |accounts| accounts.issued_on(self.today()))
    }

    pub(crate) fn is_approved(&self, proposed: &ProposalRecord) -> bool {
        let approves = |(id, approve): (&crate::identity::MemberId, &bool)| {
            *approve && self.members.active(Role::Committee, *id).is_some()
        };
        proposed.ballots.iter().filter(|ballot| approves(*ballot)).count() >= usize::from(self.members.threshold())
    }

    /// Whether enough members approve of a proposal now.
    pub fn approved(&self, number: u64) -> bool {
        self.proposals.get(number).is_some_and(|proposed| self.is_approved(proposed))
    }

    /// Whether a bank has nothing left on the ledger that its dismissal would strand: no open wallet, no money of its own,
    /// no loan.
    pub(crate) fn may_leave(&self, bank: BankId) -> bool {
        let books = self.books.bank(bank);
        let treasury = self.account(AccountId::treasury(bank)).map_or(0, Account::posted);
        let sums = [books.reserves, books.loans, books.deposit_facility];
        sums.iter().all(|sum| sum.is_zero()) && treasury == 0 && !self.wallets_of(bank).any(|(_, wallet)| wallet.open)
    }

    /// When the ledger itself next has something to do: a block is due then even without commands.
    pub fn next_due(&self) -> Option<Timestamp> {
        let proposals = self.proposals.next_due(|proposed| self.is_approved(proposed));
        let expiries = [self.holds.next_expiry(), self.programmes.next_expiry()];
        let work = [self.next_remuneration_due(), self.next_day_end_due()];
        let paying = self.programmes.next_paying().map(|_| self.tip.time);
        [proposals, paying].into_iter().chain(expiries).chain(work).flatten().min()
    }

    /// Checks I0 to I2 and I4 over the whole state. Linear in the number of accounts. In a ledger of one bank's part, whose
    /// sums nobody can make, only that the balance sheet balances.
    pub fn check_invariants(&self) -> Result<(), InvariantBroken> {
        if self.partial_replica.is_some() {
            return self.check_balance_sheet();
        }
        let broken = |invariant, what| Err(InvariantBroken { invariant, height: self.height(), what });
        let cbdc = self.books.balance(BookAccount::Cbdc);
        let mut wallets = 0;
        let mut held: BTreeMap<AccountId, Amount> = BTreeMap::new();
        let mut held_of_earmarks: BTreeMap<(AccountId, u64), Amount> = BTreeMap::new();
        for (_, hold) in self.holds.open() {
            let sum = held.entry(hold.payer).or_default();
            *sum = sum.plus(hold.held).unwrap_or(Amount::MAX);
            for (programme, amount) in &hold.earmarks {
                let sum = held_of_earmarks.entry((hold.payer, *programme)).or_default();
                *sum = sum.plus(*amount).unwrap_or(Amount::MAX);
            }
        }
        let mut of_holder = vec![0_i128; self.holders.len()];
        let mut open_of_holder = vec![0_u32; self.holders.len()];
        for (bank, accounts) in self.banks.iter() {
            for (serial, account) in accounts.accounts.iter().enumerate() {
                let id = AccountId::new(bank, serial as u32);
                wallets += account.posted();
                if (serial == 0) != (account.holder == NO_HOLDER) {
                    return broken("I4", format!("account {id} is both treasury and wallet"));
                }
                if account.holder != NO_HOLDER {
                    if account.holder as usize >= of_holder.len() {
                        return broken("I4", format!("wallet {id} has no holder"));
                    }
                    of_holder[account.holder as usize] += account.own();
                    open_of_holder[account.holder as usize] += u32::from(account.open);
                }
                if account.held != held.remove(&id).unwrap_or_default() {
                    return broken("I4", format!("account {id} has another sum of holds than its open holds"));
                }
                for (programme, mark) in self.programmes.earmarks_of(id) {
                    let held = held_of_earmarks.remove(&(id, programme)).unwrap_or_default();
                    if mark.held != held || mark.held > mark.amount {
                        return broken("I4", format!("account {id} has another earmark held than its open holds"));
                    }
                }
                let bound: i128 =
                    self.programmes.earmarks_of(id).map(|(_, mark)| i128::from(mark.amount.minor())).sum();
                if bound != i128::from(account.earmarked.minor()) {
                    return broken("I4", format!("account {id} has another sum of earmarks than its programmes"));
                }
                if !account.open && account.posted() != 0 {
                    return broken("I4", format!("closed wallet {id} holds money"));
                }
            }
        }
        if !held.is_empty() || !held_of_earmarks.is_empty() {
            return broken("I4", "a hold has a payer or an earmark that does not exist".to_owned());
        }
        for (bank, own) in self.books.banks() {
            let lent =
                |position: &BankPosition| position.loans.iter().map(|loan| i128::from(loan.principal.minor())).sum();
            if self.positions.bank(bank).map_or(0, lent) != i128::from(own.loans.minor()) {
                return broken("I2", format!("bank {bank} has another sum of loans than the books"));
            }
        }
        if let Some(bank) = self.banks().find(|bank| self.positions.bank(*bank).is_none()) {
            return broken("I4", format!("bank {bank} has no position"));
        }
        let without_treasury = |seat: &&crate::member::Seat| {
            seat.member.role == Role::Bank && self.account(AccountId::treasury(BankId(seat.member.id.0))).is_none()
        };
        if let Some(seat) = self.members.seats().find(without_treasury) {
            return broken("I4", format!("bank {} has no treasury", seat.member.id));
        }
        if wallets != cbdc {
            return broken("I1", format!("wallets hold {wallets} minor units, the books say {cbdc}"));
        }
        if self.supply.net() != cbdc {
            return broken(
                "I1",
                format!("the supply terms amount to {} minor units, the books say {cbdc}", self.supply.net()),
            );
        }
        self.check_balance_sheet()?;
        for (position, holder) in self.holders.iter().enumerate() {
            let is_allowance =
                |id: AccountId| self.account(id).is_some_and(|account| account.has_allowance && account.open);
            if holder.allowance.is_some_and(|id| !is_allowance(id)) {
                return broken(
                    "I4",
                    format!("holder {} has the tier allowance on a wallet that knows nothing of it", holder.id),
                );
            }
            if i128::from(holder.posted.minor()) != of_holder[position] || holder.wallets != open_of_holder[position] {
                return broken(
                    "I4",
                    format!("holder {} has a running sum that its wallets do not amount to", holder.id),
                );
            }
        }
        Ok(())
    }
}

impl Ledger {
    fn check_balance_sheet(&self) -> Result<(), InvariantBroken> {
        if self.books.balances() {
            return Ok(());
        }
        let (assets, liabilities, equity) = (self.books.assets(), self.books.liabilities(), self.books.equity());
        let what = format!("assets {assets}, liabilities {liabilities}, equity {equity} minor units");
        Err(InvariantBroken { invariant: "I2", height: self.height(), what })
    }
}

/// What a header's books digest covers: the balance sheet and the banks' positions.
pub(crate) fn books_digest(books: &Books, positions: &Positions) -> merkle::Hash {
    let mut out = Writer::with_capacity(512);
    books.encode(&mut out);
    positions.encode(&mut out);
    *blake3::hash(&out.finish()).as_bytes()
}

pub(crate) fn holder_key(holders: &Pages<Holder>, position: u32) -> &[u8] {
    holders.get(position as usize).map_or(&[], |holder| &holder.id.0)
}

pub(crate) fn key_bytes(keys: &Pages<PublicKey>, serial: u32) -> &[u8] {
    keys.get(serial as usize).map_or(&[], |key| &key.0)
}
