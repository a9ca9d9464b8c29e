//! Prefetching of the records that a batch of payments changes.

use std::hint::black_box;

use arrayvec::ArrayVec;

use super::context::StateAt;
use crate::command::Command;
use crate::state::account::Account;
use crate::state::holder::Holder;
use crate::state::prefetch::{PREFETCH_BATCH, prefetch_accounts};
use crate::state::recent_payments::RecentPayments;
use crate::types::identity::AccountId;

impl StateAt<'_> {
    /// Reads a word of each cache line of the wallets and holders of payments. Settling one after another would wait
    /// for memory each time. First all addresses are found, then all are read: nothing comes between the reads, so that
    /// the processor waits for as many at once as it can.
    pub(super) fn prefetch(&self, commands: &[Command]) {
        let find = |id: AccountId| self.ledger.banks.get(id.bank)?.accounts.get(id.serial as usize);
        let mut wallets: ArrayVec<&Account, { 2 * PREFETCH_BATCH }> = ArrayVec::new();
        for command in commands {
            if let Command::Payment(signed) = command {
                wallets.extend([signed.record.from, signed.record.to].into_iter().filter_map(find));
            }
        }
        prefetch_accounts(&wallets);
        let holder = |wallet: &&Account| self.ledger.holders.get(wallet.holder as usize);
        let holders: ArrayVec<&Holder, { 2 * PREFETCH_BATCH }> = wallets.iter().filter_map(holder).collect();
        black_box(holders.iter().fold(0, |read, holder| read ^ holder.posted.minor()));
        if self.parameters().classes.iter().any(|rules| rules.velocity.is_some()) {
            // Every other one is a payer if all wallets exist; if not, other lines are fetched, which does no harm.
            let recent = |payer: &&Account| self.ledger.recent_payments.get(payer.holder as usize);
            let recent: ArrayVec<&RecentPayments, { 2 * PREFETCH_BATCH }> =
                wallets.iter().step_by(2).filter_map(recent).collect();
            black_box(recent.iter().fold(0, |read, recent| read ^ recent.prefetch()));
        }
    }
}
