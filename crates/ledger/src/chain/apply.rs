//! Applying a verified block proposal: the state's transition, sealed into a block.

use arrayvec::ArrayVec;

use super::bank_leaf::BankLeaf;
use super::block::Block;
use super::command_leaf::command_leaves;
use super::verification::VerifiedProposal;
use crate::codec::merkle;
use crate::codec::merkle::Hash;
use crate::ledger::Ledger;
use crate::state::account::Account;
use crate::state::header::{Header, books_digest};
use crate::state::prefetch::{PREFETCH_BATCH, prefetch_accounts};
use crate::transition;
use crate::types::identity::{AccountId, BankId};

impl Ledger {
    /// Applies the next ordered proposal and returns its block.
    pub fn apply(&mut self, verified: &VerifiedProposal<'_>) -> Block {
        self.apply_noting_settled(verified, &mut || ())
    }

    /// Like [`Ledger::apply`]; calls `settled` once all commands are settled and before the block is sealed. For
    /// measurements.
    pub fn apply_noting_settled(&mut self, verified: &VerifiedProposal<'_>, settled: &mut dyn FnMut()) -> Block {
        let proposal = verified.proposal();
        let time = proposal.time.max(self.tip.time);
        let (outcomes, mut changes) = transition::run(self, time, &proposal.commands);
        settled();

        let leaves = command_leaves(proposal.encoded_commands().zip(&outcomes));
        changes.accounts = self.take_dirty(2 * outcomes.len());
        let effect_leaves = self.effect_leaves(&changes.accounts);
        let (state_root, balances_root) = self.seal_state(proposal.asks_for_checkpoint);
        let header = Header {
            format: self.format,
            height: self.tip.height.next(),
            time,
            parent: self.tip_hash,
            command_count: outcomes.len() as u32,
            commands_root: merkle::root(&leaves),
            effects_root: merkle::root(&effect_leaves),
            balances_root,
            books_digest: books_digest(&self.books, &self.positions),
            policy_version: self.policy.in_force().version,
            cbdc: self.books.cbdc(),
            supply: self.supply,
            state_root,
        };
        self.tip = header;
        self.tip_hash = header.hash();
        Block { header, outcomes, leaves, effect_leaves, changes }
    }

    /// One leaf per bank, in bank order: bank, then (serial, record) of each changed account in serial order.
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
        for ids in changed.chunks(2 * PREFETCH_BATCH) {
            let accounts: ArrayVec<&Account, { 2 * PREFETCH_BATCH }> = ids.iter().map(find).collect();
            prefetch_accounts(&accounts);
            for (id, account) in ids.iter().zip(accounts) {
                leaf.add(id.serial, account);
            }
        }
        leaf.finish()
    }

    /// The accounts that the block changed, in id order.
    fn take_dirty(&mut self, expected: usize) -> Vec<AccountId> {
        let mut accounts = Vec::with_capacity(expected);
        for (bank, own) in self.banks.iter_mut() {
            own.dirty.drain(|serial| accounts.push(AccountId::new(bank, serial as u32)));
        }
        accounts
    }
}
