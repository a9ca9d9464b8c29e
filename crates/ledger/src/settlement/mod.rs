//! Settlement: how a proposal changes the ledger and becomes a block.
//!
//! 1. The block's time is the proposal's, but never before the parent's.
//! 2. What falls due at that time is done: motions are enacted or lapse.
//! 3. Each command, in order: its signer is *admitted* (known, key in force, number free; a refusal here uses no
//!    number), the number is used, and the command's own room checks its rules in a fixed order and then changes the
//!    state, or refuses and changes nothing.
//! 4. The block is sealed: roots, balance sheet, supply terms.
//!
//! Rooms: [`payment`], [`wallet`], [`issuance`], [`order`], [`committee`].

mod committee;
mod issuance;
mod order;
mod payment;
mod wallet;

use crate::account::Account;
use crate::amount::Amount;
use crate::block::{Block, Changes, Header, KeyChange, command_leaf};
use crate::command::{Command, Head, Signer};
use crate::encoding::Writer;
use crate::identity::{AccountId, BankId};
use crate::ledger::{BankAccounts, Ledger};
use crate::member::{Member, Role};
use crate::merkle::{self, Hash};
use crate::outcome::{Outcome, Reason};
use crate::sequence::Standing;
use crate::time::{LedgerDay, Timestamp};
use crate::verification::VerifiedProposal;

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
    /// Accounts whose record changed, as integers, with repetitions.
    touched: Vec<u64>,
    changes: Changes,
}

impl Ledger {
    /// Applies the next ordered proposal and returns its block.
    pub fn apply(&mut self, verified: &VerifiedProposal<'_>) -> Block {
        let proposal = verified.proposal();
        let time = proposal.time.max(self.tip.time);
        let today = time.ledger_day(self.genesis.day_offset_minutes);
        let touched = Vec::with_capacity(2 * proposal.commands.len());
        let mut settlement = Settlement { ledger: self, time, today, touched, changes: Changes::default() };
        settlement.close_due_motions();
        let outcomes: Vec<Outcome> = proposal.commands.iter().map(|command| settlement.settle(command)).collect();
        let Settlement { touched, mut changes, .. } = settlement;

        let leaf = |index: usize| {
            let command = proposal.command_bytes(index).expect("every decoded command has its bytes");
            command_leaf(index as u32, command, &outcomes[index])
        };
        let leaves: Vec<Hash> = (0..outcomes.len()).map(leaf).collect();
        changes.accounts = distinct_in_order(touched);
        let header = Header {
            height: self.tip.height.next(),
            time,
            parent: self.tip_hash,
            command_count: outcomes.len() as u32,
            commands_root: merkle::root(&leaves),
            effects_root: self.effects_root(&changes.accounts),
            balances_root: [0; 32],
            books_digest: self.books.digest(),
            policy_version: self.policy.in_force().version,
            cbdc: self.books.cbdc(),
            supply: self.supply,
        };
        self.tip = header;
        self.tip_hash = header.hash();
        Block { header, outcomes, leaves, changes }
    }

    /// One leaf a bank, in bank order: bank, then (serial, record) of each changed account in serial order.
    fn effects_root(&self, changed: &[AccountId]) -> Hash {
        let leaf = |bank: BankId| {
            let from = changed.partition_point(|account| account.bank < bank);
            let own = changed[from..].iter().take_while(|account| account.bank == bank);
            merkle::leaf_hash(&[&self.effects_of_bank(bank, own.copied())])
        };
        let leaves: Vec<Hash> = self.banks().map(leaf).collect();
        merkle::root(&leaves)
    }

    fn effects_of_bank(&self, bank: BankId, changed: impl Iterator<Item = AccountId>) -> Vec<u8> {
        let mut out = Writer::with_capacity(4096);
        out.u16(bank.0);
        for id in changed {
            let account = self.account(id).expect("a changed account exists");
            out.u32(id.serial);
            account.encode(&mut out);
        }
        out.finish()
    }

    /// Gives a member its seat, and a bank its treasury.
    pub(crate) fn admit_member(&mut self, member: Member) {
        if member.role == Role::Bank {
            let mut accounts = BankAccounts::default();
            accounts.accounts.push(Account::new(crate::account::NO_HOLDER));
            accounts.keys.push(crate::signature::PublicKey([0; 32]));
            self.banks.insert(BankId(member.id.0), accounts);
        }
        self.members.admit(member);
    }
}

fn distinct_in_order(mut touched: Vec<u64>) -> Vec<AccountId> {
    touched.sort_unstable();
    touched.dedup();
    touched.into_iter().filter_map(AccountId::from_u64).collect()
}

impl Settlement<'_> {
    fn settle(&mut self, command: &Command) -> Outcome {
        self.try_settle(command).unwrap_or_else(|refusal| refusal)
    }

    fn try_settle(&mut self, command: &Command) -> Settled {
        if let Command::Issuance(signed) = command {
            // Two signers, two numbers: both are admitted before either is used.
            return self.issuance(&signed.record);
        }
        let (signer, head) = (command.signer(), command.head());
        self.admit(signer, head)?;
        self.admit_certificate(command)?;
        self.consume(signer, head.sequence);
        self.check_validity(head)?;
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
        self.touched.push(id.to_u64());
        let bank = self.ledger.banks.get_mut(&id.bank).expect("the account was looked up before");
        bank.accounts.get_mut(id.serial as usize).expect("the account was looked up before")
    }

    fn key_changed(&mut self, account: AccountId) {
        let wallet = self.ledger.account(account).expect("the wallet was just changed");
        let key = self.ledger.key(account).filter(|_| wallet.open);
        self.changes.keys.push(KeyChange { account, key, version: wallet.key_version });
    }

    fn active_bank(&self, bank: BankId) -> Result<(), Outcome> {
        match self.ledger.members.bank(bank) {
            Some(_) => Ok(()),
            None => refuse(Reason::BankNotActive),
        }
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
