//! Liquidity: money in a wallet pays everything that money pays.
//!
//! Deposit and CBDC are one purse. Where a bill, a loan's service, a card payment or a withdrawal of banknotes exceeds
//! the deposit, the holder's bank draws the remainder from the wallet: a *defund* on the ledger, which the holder signs
//! with the payment. What wallet and deposit together cannot pay is not drawn; a payment brings the rest to the bank in
//! banknotes. In an outage nothing is drawn.
//!
//! So the form in which a household holds its money changes nothing that it can pay.
//!
//! The holdings that households choose (*fund* and *defund* intents) move here as well.

use super::Economy;
use super::intent::{Intent, IntentKind};
use super::settlement::PROPOSAL_COMMANDS;
use crate::authority::{account, minor};
use crate::error::EconomyError;

/// A transfer between wallet and deposit in flight.
#[derive(Clone, Copy)]
struct Moved {
    household: usize,
    amount_minor: i64,
    is_funding: bool,
}

impl Economy<'_> {
    /// Draws from wallets what deposits lack for payments of these amounts, each by another household.
    pub(super) fn draw_from_wallets(&mut self, due: impl Iterator<Item = (usize, i64)>) -> Result<(), EconomyError> {
        let mut in_flight = Vec::new();
        for (household, due_minor) in due {
            let lacking = due_minor - self.households.deposit_minor[household].max(0);
            let drawn = lacking.min(self.households.cbdc_minor[household]);
            if drawn > 0 && self.draw_from_wallet(household, drawn) {
                self.households.cbdc_minor[household] -= drawn;
                in_flight.push(Moved { household, amount_minor: drawn, is_funding: false });
            }
            if in_flight.len() >= PROPOSAL_COMMANDS {
                self.settle_moved(&mut in_flight)?;
            }
        }
        self.settle_moved(&mut in_flight)
    }

    /// Writes the command that draws an amount from a wallet, if the wallet holds it and can be used.
    pub(super) fn draw_from_wallet(&mut self, household: usize, amount_minor: i64) -> bool {
        let Some(wallet) = account(self.households.wallet[household]) else { return false };
        if self.is_outage() || self.households.cbdc_minor[household] < amount_minor {
            return false;
        }
        self.households.sequence[household] += 1;
        let sequence = u64::from(self.households.sequence[household]);
        self.authority.defund(wallet, minor(amount_minor), sequence);
        true
    }

    /// CBDC that a household can pay with today.
    pub(super) fn usable_cbdc_minor(&self, household: usize) -> i64 {
        let usable = self.households.wallet[household] != 0 && !self.is_outage();
        if usable { self.households.cbdc_minor[household] } else { 0 }
    }

    /// Books an amount drawn from a wallet, as the ledger settled it.
    pub(super) fn book_draw(&mut self, household: usize, amount_minor: i64) {
        self.households.cbdc_minor[household] -= amount_minor;
        self.households.deposit_minor[household] += amount_minor;
        self.banks[usize::from(self.households.bank[household])].deposits_minor += amount_minor;
    }

    /// Funds and defunds wallets as households intend, out of what each bank's treasury holds.
    pub(super) fn move_wallets<'w>(
        &mut self,
        intents: impl Iterator<Item = &'w Intent>,
        mut treasuries: Vec<i64>,
    ) -> Result<(), EconomyError> {
        let mut in_flight = Vec::new();
        for intent in intents {
            let is_funding = match intent.kind {
                IntentKind::Fund => true,
                IntentKind::Defund => false,
                _ => continue,
            };
            let household = intent.household as usize;
            let Some(wallet) = account(self.households.wallet[household]) else { continue };
            let bank = usize::from(self.households.bank[household]);
            if is_funding {
                let amount = intent.amount_minor.min(self.households.deposit_minor[household]).min(treasuries[bank]);
                if amount <= 0 {
                    continue;
                }
                treasuries[bank] -= amount;
                self.households.deposit_minor[household] -= amount;
                self.authority.fund(wallet, minor(amount));
                in_flight.push(Moved { household, amount_minor: amount, is_funding });
            } else {
                let amount = intent.amount_minor.min(self.households.cbdc_minor[household]);
                if amount <= 0 || !self.draw_from_wallet(household, amount) {
                    continue;
                }
                self.households.cbdc_minor[household] -= amount;
                in_flight.push(Moved { household, amount_minor: amount, is_funding });
            }
            if in_flight.len() >= PROPOSAL_COMMANDS {
                self.settle_moved(&mut in_flight)?;
            }
        }
        self.settle_moved(&mut in_flight)
    }

    fn settle_moved(&mut self, in_flight: &mut Vec<Moved>) -> Result<(), EconomyError> {
        if in_flight.is_empty() {
            return Ok(());
        }
        let outcomes = self.settle_with_waterfalls()?;
        for (moved, (outcome, returned)) in in_flight.drain(..).zip(outcomes) {
            let Moved { household, amount_minor, is_funding } = moved;
            match (is_funding, outcome.is_settled()) {
                (true, true) => {
                    // The waterfall returned the amount above the limit.
                    self.households.cbdc_minor[household] += amount_minor - returned;
                    self.households.deposit_minor[household] += returned;
                    let bank = usize::from(self.households.bank[household]);
                    self.banks[bank].deposits_minor -= amount_minor - returned;
                }
                (true, false) => self.households.deposit_minor[household] += amount_minor,
                (false, is_drawn) => {
                    self.households.cbdc_minor[household] += amount_minor;
                    if is_drawn {
                        self.book_draw(household, amount_minor);
                    }
                }
            }
        }
        Ok(())
    }
}
