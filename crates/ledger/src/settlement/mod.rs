//! Settlement: how a proposal changes the ledger and becomes a block.
//!
//! 1. The block's time is the proposal's, but never before the parent's.
//! 2. What falls due at that time is done, in this order: ledger days end (interest and repayments of banks), holds and
//!    purpose-bound money expire, proposals are enacted or expire, a sweep posts the interest of wallets that nobody touched,
//!    and programmes pay their cohorts. Policy bounds each of the four kinds of work per block.
//! 3. Each command, in order: its signer is *admitted* (known, key in force, number free; a refusal here uses no
//!    number), the number is used, and the command's own room checks its rules in a fixed order and then changes the
//!    state, or refuses and changes nothing.
//! 4. The block is sealed: roots, balance sheet, supply terms.
//!
//! Rooms: [`payment`], [`transfer`], [`mod@hold`], [`credit`] (what a credit to a person's wallet brings with it),
//! [`remuneration`], [`wallet`], [`consent`], [`issuance`], [`order`], [`operation`], [`day_end`], [`programme`], [`committee`].

mod committee;
mod consent;
mod credit;
mod day_end;
mod hold;
mod issuance;
mod operation;
mod order;
mod payment;
mod programme;
mod remuneration;
mod transfer;
mod wallet;

pub use payment::Quote;

use std::hint::black_box;

use arrayvec::ArrayVec;

use crate::account::Account;
use crate::amount::Amount;
use crate::bank_leaf::BankLeaf;
use crate::bank_position::{BankPosition, BankStatus};
use crate::block::{Block, Changes, Header, KeyChange, command_leaves};
use crate::command::{Command, Head, Signer};
use crate::holder::Holder;
use crate::identity::{AccountId, BankId};
use crate::ledger::{BankAccounts, Ledger, books_digest};
use crate::member::{Member, Role};
use crate::merkle::{self, Hash};
use crate::outcome::{Outcome, Reason};
use crate::policy::Parameters;
use crate::policy::velocity::RecentPayments;
use crate::sequence::Standing;
use crate::time::{LedgerDay, Timestamp};
use crate::verification::VerifiedProposal;

/// How many commands' records are fetched before they are worked on: so many fit the processor's nearest cache.
pub const LOOK_AHEAD: usize = 64;

/// A command is settled with an outcome, or refused with one.
type Settled = Result<Outcome, Outcome>;

fn refuse<T>(reason: Reason) -> Result<T, Outcome> {
    Err(Outcome::refused(reason, 0, 0))
}

/// The ledger while a block is being applied.
struct Settlement<'a> {
    ledger: &'a mut Ledger,
    time: Timestamp,
    today: LedgerDay,
    first_of_month: LedgerDay,
    changes: Changes,
    /// The place of the command that is being settled.
    index: u32,
    /// How much more of the work at hand the ledger may do of its own accord in this block.
    work_left: u32,
}

/// The ledger as a command meets it at a block's time. It only reads: what it computes is stored by [`Settlement`], or
/// told as a quote.
#[derive(Clone, Copy)]
struct At<'a> {
    ledger: &'a Ledger,
    time: Timestamp,
    today: LedgerDay,
    first_of_month: LedgerDay,
}

impl Ledger {
    /// Applies the next ordered proposal and returns its block.
    pub fn apply(&mut self, verified: &VerifiedProposal<'_>) -> Block {
        self.apply_noting_settled(verified, &mut || ())
    }

    /// As [`Ledger::apply`]; calls `settled` when all commands are settled and the block is yet to be sealed. For
    /// measurements.
    pub fn apply_noting_settled(&mut self, verified: &VerifiedProposal<'_>, settled: &mut dyn FnMut()) -> Block {
        let proposal = verified.proposal();
        let time = proposal.time.max(self.tip.time);
        let today = time.ledger_day(self.genesis.day_offset_minutes);
        let first_of_month = today.first_of_month();
        let work_left = self.parameters().work_per_block.0;
        let changes = Changes::default();
        let mut settlement =
            Settlement { ledger: self, time, today, first_of_month, changes, index: u32::MAX, work_left };
        settlement.begin_block();
        let mut outcomes = Vec::with_capacity(proposal.commands.len());
        for commands in proposal.commands.chunks(LOOK_AHEAD) {
            settlement.at().fetch(commands);
            for command in commands {
                settlement.index = outcomes.len() as u32;
                outcomes.push(settlement.settle(command));
            }
        }
        let Settlement { mut changes, .. } = settlement;
        settled();

        let leaves = command_leaves(proposal.encoded_commands().zip(&outcomes));
        changes.accounts = self.take_touched(2 * outcomes.len());
        let effect_leaves = self.effect_leaves(&changes.accounts);
        let header = Header {
            height: self.tip.height.next(),
            time,
            parent: self.tip_hash,
            command_count: outcomes.len() as u32,
            commands_root: merkle::root(&leaves),
            effects_root: merkle::root(&effect_leaves),
            balances_root: [0; 32],
            books_digest: books_digest(&self.books, &self.positions),
            policy_version: self.policy.in_force().version,
            cbdc: self.books.cbdc(),
            supply: self.supply,
        };
        self.tip = header;
        self.tip_hash = header.hash();
        Block { header, outcomes, leaves, effect_leaves, changes }
    }

    /// One leaf a bank, in bank order: bank, then (serial, record) of each changed account in serial order.
    fn effect_leaves(&self, changed: &[AccountId]) -> Vec<Hash> {
        let leaf = |bank: BankId| {
            let from = changed.partition_point(|account| account.bank < bank);
            let to = changed.partition_point(|account| account.bank <= bank);
            self.effects_of_bank(bank, &changed[from..to])
        };
        self.banks().map(leaf).collect()
    }

    fn effects_of_bank(&self, bank: BankId, changed: &[AccountId]) -> Hash {
        let mut leaf = BankLeaf::new(bank);
        let find = |id: &AccountId| self.account(*id).expect("a changed account exists");
        for ids in changed.chunks(2 * LOOK_AHEAD) {
            let accounts: ArrayVec<&Account, { 2 * LOOK_AHEAD }> = ids.iter().map(find).collect();
            touch_all(&accounts);
            for (id, account) in ids.iter().zip(accounts) {
                leaf.add(id.serial, account);
            }
        }
        leaf.finish()
    }

    /// The accounts that the block touched, in id order.
    fn take_touched(&mut self, expected: usize) -> Vec<AccountId> {
        let mut accounts = Vec::with_capacity(expected);
        for (bank, own) in self.banks.iter_mut() {
            own.touched.drain(|serial| accounts.push(AccountId::new(bank, serial as u32)));
        }
        accounts
    }

    /// Gives a member its seat, and a bank its treasury.
    pub(crate) fn admit_member(&mut self, member: Member) {
        if member.role == Role::Bank {
            self.positions.banks.insert(BankId(member.id.0), BankPosition::default());
            self.banks.insert(BankId(member.id.0), BankAccounts::with_treasury());
        }
        self.members.admit(member);
    }
}

/// Reads a word of both cache lines of each account, all side by side.
pub(crate) fn touch_all(accounts: &[&Account]) {
    black_box(accounts.iter().fold(0, |read, account| read ^ account.touch()));
}

impl<'a> At<'a> {
    fn new(ledger: &'a Ledger, time: Timestamp) -> At<'a> {
        let today = time.ledger_day(ledger.genesis.day_offset_minutes);
        At { ledger, time, today, first_of_month: today.first_of_month() }
    }

    /// Reads a word of each cache line of the wallets and persons of payments. Settling one after another would wait for
    /// memory each time. First all places are found, then all are read: nothing stands between the reads, so that the
    /// processor waits for as many at once as it can.
    fn fetch(&self, commands: &[Command]) {
        let find = |id: AccountId| self.ledger.banks.get(id.bank)?.accounts.get(id.serial as usize);
        let mut wallets: ArrayVec<&Account, { 2 * LOOK_AHEAD }> = ArrayVec::new();
        for command in commands {
            if let Command::Payment(signed) = command {
                wallets.extend([signed.record.from, signed.record.to].into_iter().filter_map(find));
            }
        }
        touch_all(&wallets);
        let person = |wallet: &&Account| self.ledger.holders.get(wallet.holder as usize);
        let persons: ArrayVec<&Holder, { 2 * LOOK_AHEAD }> = wallets.iter().filter_map(person).collect();
        black_box(persons.iter().fold(0, |read, person| read ^ person.posted.minor()));
        if self.parameters().classes.iter().any(|rules| rules.velocity.is_some()) {
            // Every other one is a payer, as long as all wallets exist; else other lines are fetched, and nothing is lost.
            let recent = |payer: &&Account| self.ledger.recent_payments.get(payer.holder as usize);
            let recent: ArrayVec<&RecentPayments, { 2 * LOOK_AHEAD }> =
                wallets.iter().step_by(2).filter_map(recent).collect();
            black_box(recent.iter().fold(0, |read, recent| read ^ recent.touch()));
        }
    }

    fn parameters(&self) -> &'a Parameters {
        self.ledger.parameters()
    }

    /// A member, and not resolved: suspended banks still serve the customers they have.
    fn active_bank(&self, bank: BankId) -> Result<(), Outcome> {
        let is_resolved = self.ledger.positions.status(bank) == Some(BankStatus::Resolved);
        match self.ledger.members.bank(bank) {
            Some(_) if !is_resolved => Ok(()),
            _ => refuse(Reason::BankNotActive),
        }
    }

    /// A bank that may take new customers and new money.
    fn unsuspended_bank(&self, bank: BankId) -> Result<(), Outcome> {
        self.active_bank(bank)?;
        match self.ledger.positions.status(bank) {
            Some(BankStatus::Active) => Ok(()),
            _ => refuse(Reason::BankSuspended),
        }
    }
}

impl Settlement<'_> {
    fn at(&self) -> At<'_> {
        At { ledger: self.ledger, time: self.time, today: self.today, first_of_month: self.first_of_month }
    }

    /// What the ledger does of its own accord before the first command.
    fn begin_block(&mut self) {
        self.end_days();
        // Each has a budget of its own, so that none can starve another.
        let budget = self.work_left;
        self.expire_holds();
        self.work_left = budget;
        self.expire_earmarks();
        self.close_due_proposals();
        self.work_left = budget;
        self.sweep_interest();
        self.work_left = budget;
        self.pay_programmes();
    }

    /// Takes one piece off the work that the ledger may do in this block.
    fn take_work(&mut self) -> bool {
        let has_work = self.work_left > 0;
        self.work_left = self.work_left.saturating_sub(1);
        has_work
    }

    fn settle(&mut self, command: &Command) -> Outcome {
        let (Ok(outcome) | Err(outcome)) = self.try_settle(command);
        outcome
    }

    fn try_settle(&mut self, command: &Command) -> Settled {
        // Two signers, two numbers: both are admitted before either is used.
        match command {
            Command::Issuance(signed) => return self.issuance(&signed.record),
            Command::ReverseWaterfall(signed) => return self.reverse_waterfall(&signed.record),
            _ => {}
        }
        let (signer, head) = (command.signer(), command.head());
        self.admit(signer, head)?;
        self.admit_certificate(command)?;
        self.consume(signer, head.sequence);
        self.check_validity(head)?;
        if let Signer::Member(Role::Bank, id) = signer {
            self.at().active_bank(BankId(id.0))?;
        }
        match command {
            Command::Payment(signed) => self.payment(&signed.record),
            Command::OpenWallet(signed) => self.open_wallet(&signed.record),
            Command::CloseWallet(signed) => self.close_wallet(&signed.record),
            Command::ReplaceKey(signed) => self.replace_key(&signed.record),
            Command::Issuance(signed) => self.issuance(&signed.record),
            Command::ReservesTransfer(signed) => self.reserves_transfer(&signed.record),
            Command::Freeze(signed) => self.freeze(&signed.record),
            Command::Propose(signed) => self.propose(&signed.record),
            Command::Vote(signed) => self.vote(&signed.record),
            Command::ReverseWaterfall(signed) => self.reverse_waterfall(&signed.record),
            Command::Hold(signed) => self.place_hold(&signed.record),
            Command::Release(signed) => self.release_hold(&signed.record),
            Command::LinkBank(signed) => self.link_bank(&signed.record),
            Command::DesignateWallet(signed) => self.designate_wallet(&signed.record),
            Command::Reclassify(signed) => self.reclassify(&signed.record),
            Command::Operation(signed) => self.operation(&signed.record),
            Command::DepositStatement(signed) => self.deposit_statement(&signed.record),
            Command::Seize(signed) => self.seize(&signed.record),
        }
    }

    /// Whether the signer is known, signs with the key in force, and the number is free.
    fn admit(&self, signer: Signer, head: &Head) -> Result<(), Outcome> {
        let (key_version, standing, lowest) = match signer {
            Signer::Holder(id) => {
                let Some(account) = self.ledger.open_wallet(id) else { return refuse(Reason::UnknownAccount) };
                (account.key_version, account.window.standing(head.sequence), account.window.lowest_unused())
            }
            Signer::Member(role, id) => {
                let Some(seat) = self.ledger.members.active(role, id) else { return refuse(Reason::UnknownMember) };
                (seat.key_version, seat.window.standing(head.sequence), seat.window.lowest_unused())
            }
        };
        if key_version != head.key_version {
            return Err(Outcome::refused(Reason::KeyChanged, u64::from(key_version), u64::from(head.key_version)));
        }
        match standing {
            Standing::Free => Ok(()),
            Standing::Used => refuse(Reason::SequenceUsed),
            Standing::OutOfWindow => Err(Outcome::refused(Reason::SequenceOutOfWindow, lowest, head.sequence)),
        }
    }

    /// Uses an admitted signer's number.
    fn consume(&mut self, signer: Signer, sequence: u64) {
        match signer {
            Signer::Holder(id) => self.account_mut(id).window.consume(sequence),
            Signer::Member(role, id) => {
                let seat = self.ledger.members.seat_mut(role, id).expect("the signer was admitted");
                seat.window.consume(sequence);
            }
        }
    }

    fn check_validity(&self, head: &Head) -> Result<(), Outcome> {
        if head.valid_until < self.time {
            return Err(Outcome::refused(Reason::Expired, head.valid_until.0, self.time.0));
        }
        let latest = self.time.plus_ms(self.ledger.genesis.validity_ms_max);
        if head.valid_until > latest {
            return Err(Outcome::refused(Reason::ValidityTooLong, latest.0, head.valid_until.0));
        }
        Ok(())
    }

    /// An existing account, to be changed: its record enters the effects root.
    fn account_mut(&mut self, id: AccountId) -> &mut Account {
        let bank = self.ledger.banks.get_mut(id.bank).expect("the account was looked up before");
        bank.touched.mark(id.serial as usize);
        bank.accounts.get_mut(id.serial as usize).expect("the account was looked up before")
    }

    fn key_changed(&mut self, account: AccountId) {
        let wallet = self.ledger.account(account).expect("the wallet was just changed");
        let key = self.ledger.key(account).filter(|_| wallet.open);
        self.changes.keys.push(KeyChange { account, key, version: wallet.key_version });
    }

    /// The bank's treasury balance after a credit, if it fits.
    fn treasury_credit(&self, bank: BankId, amount: Amount) -> Result<Amount, Outcome> {
        let treasury = self.ledger.account(AccountId::treasury(bank));
        let balance = treasury.ok_or(Outcome::refused(Reason::BankNotActive, 0, 0))?.available;
        balance.plus(amount).ok_or(Outcome::refused(Reason::Overflow, 0, amount.minor()))
    }

    /// Whether the registrar whose certificate a command carries certifies with that key still. As with a signer's
    /// own key, a refusal uses no number: the key that could verify the certificate again is gone.
    fn admit_certificate(&self, command: &Command) -> Result<(), Outcome> {
        let certificate = match command {
            Command::OpenWallet(signed) => &signed.record.certificate,
            Command::ReplaceKey(signed) => &signed.record.certificate,
            _ => return Ok(()),
        };
        match self.ledger.members.active(Role::Registrar, certificate.registrar) {
            Some(seat) if seat.key_version == certificate.registrar_key_version => Ok(()),
            _ => refuse(Reason::UnknownRegistrar),
        }
    }
}
