//! Settlement: intents become commands and entries, in the order of households.
//!
//! 1. Wallets are opened; households that switch banks take deposit and wallet along.
//! 2. Banks prepare for their customers' withdrawals: banknotes for the vault, CBDC for the treasury, reserves for
//!    both. A bank that cannot get enough serves its customers first come, first served.
//! 3. Banknotes are drawn, wallets funded and defunded.
//! 4. Payments are made. Those with CBDC are commands: a payer's shortfall comes from their deposit by the reverse
//!    waterfall, a payee's excess goes to theirs by the waterfall, and both are booked as the ledger's outcome states.
//!    The payer accepts the fee that the ledger's schedule quotes; it is booked to the recipient that the schedule
//!    names. A payment that CBDC cannot make is paid from the deposit, which draws what it lacks from the wallet
//!    ([`liquidity`](super::liquidity)); failing that with banknotes, failing that not at all.

use cbdc_ledger::command::{IssuanceKind, OperationKind};
use cbdc_ledger::policy::FeeTo;

use super::fees::fee_of;
use super::intent::{Intent, IntentKind};
use super::{CASH, CBDC, DEPOSIT, Economy};
use crate::accounts::{Flow, Sector};
use crate::authority::{Transfer, account, minor};
use crate::error::EconomyError;

/// Commands in one block proposal.
pub(super) const PROPOSAL_COMMANDS: usize = 4_096;

/// A payment in flight, and the money set aside for it.
#[derive(Clone, Copy)]
struct InFlight {
    intent: Intent,
    is_to_person: bool,
    /// From the wallet.
    own_minor: i64,
    /// From the deposit.
    lacking_minor: i64,
    way: Way,
}

/// How a payment in flight is made.
#[derive(Clone, Copy)]
enum Way {
    /// From wallet to wallet; what the wallet lacks comes from the deposit.
    Cbdc { payer_fee_minor: i64 },
    /// From the deposit, once what it lacks has come from the wallet.
    DepositAfterDraw,
}

impl Economy<'_> {
    pub(super) fn settle_intents(&mut self) -> Result<(), EconomyError> {
        let lists = std::mem::take(&mut self.intents);
        let all = || lists.iter().flatten();
        let opened: Vec<usize> =
            all().filter(|intent| intent.kind == IntentKind::Open).map(|intent| intent.household as usize).collect();
        self.open_household_wallets(&opened)?;
        self.change_banks(all().filter(|intent| intent.kind == IntentKind::Switch))?;
        let (notes, cbdc) = self.prepare_banks(all())?;
        let draws = all().filter(|intent| intent.kind == IntentKind::Draw);
        self.draw_from_wallets(draws.map(|intent| (intent.household as usize, intent.amount_minor)))?;
        self.draw_banknotes(all(), notes);
        self.return_banknotes(all());
        self.move_wallets(all(), cbdc)?;
        self.count_spending_day();
        self.make_payments(all())?;
        self.intents = lists;
        Ok(())
    }

    /// Moves households to other banks: deposits by clearing, CBDC by transfers between wallets of the same holder.
    fn change_banks<'w>(&mut self, intents: impl Iterator<Item = &'w Intent>) -> Result<(), EconomyError> {
        let mut changed = Vec::new();
        for intent in intents {
            let (household, to) = (intent.household as usize, intent.payee as usize);
            let from = usize::from(self.households.bank[household]);
            self.clear(from, to, self.households.deposit_minor[household]);
            self.households.bank[household] = to as u16;
            changed.push(household);
        }
        self.move_household_wallets(&changed)
    }

    /// Provides each bank with the banknotes and the CBDC that its customers will withdraw today, as far as it can get
    /// them. Returns what each may pay out.
    fn prepare_banks<'w>(
        &mut self,
        intents: impl Iterator<Item = &'w Intent>,
    ) -> Result<(Vec<i64>, Vec<i64>), EconomyError> {
        let (mut notes, mut cbdc) = (vec![0_i64; self.banks.len()], vec![0_i64; self.banks.len()]);
        for intent in intents {
            let bank = usize::from(self.households.bank[intent.household as usize]);
            match intent.kind {
                IntentKind::Draw => notes[bank] += intent.amount_minor,
                IntentKind::Fund => cbdc[bank] += intent.amount_minor,
                _ => {}
            }
        }
        for index in 0..self.banks.len() {
            if !self.banks[index].is_active() {
                (notes[index], cbdc[index]) = (0, 0);
                continue;
            }
            let id = self.banks[index].id;
            let [reserves, _, _] = self.central_bank_accounts(index);
            let ordered = (notes[index] - self.banks[index].vault_minor).max(0);
            let needed = ordered + cbdc[index];
            let lacking = (needed - reserves).max(0);
            let lent = if lacking > 0 { self.borrow_overnight(index, lacking) } else { 0 };
            let mut left = reserves + lent;
            let ordered = ordered.min(left);
            left -= ordered;
            let issued = cbdc[index].min(left).min(self.issuable_minor(&cbdc[..index]));
            if ordered > 0 {
                self.authority.operation(OperationKind::WithdrawBanknotes, id, minor(ordered));
                self.banks[index].vault_minor += ordered;
            }
            if issued > 0 {
                self.authority.issuance(IssuanceKind::Issue, id, minor(issued));
            }
            (notes[index], cbdc[index]) = (self.banks[index].vault_minor, issued);
        }
        self.settle_all()?;
        Ok((notes, cbdc))
    }

    /// The amount that the supply cap leaves for a bank, after the issuance of the banks before it.
    fn issuable_minor(&self, before: &[i64]) -> i64 {
        let ledger = self.authority.ledger();
        let Some(cap) = ledger.parameters().supply_cap else { return i64::MAX };
        let circulating = ledger.books().cbdc().minor() as i64 + before.iter().sum::<i64>();
        (cap.minor().min(i64::MAX as u64) as i64 - circulating).max(0)
    }

    fn draw_banknotes<'w>(&mut self, intents: impl Iterator<Item = &'w Intent>, mut notes: Vec<i64>) {
        for intent in intents.filter(|intent| intent.kind == IntentKind::Draw) {
            let household = intent.household as usize;
            let bank = usize::from(self.households.bank[household]);
            let drawn = intent.amount_minor.min(self.households.deposit_minor[household]).min(notes[bank]);
            if drawn <= 0 {
                continue;
            }
            notes[bank] -= drawn;
            self.households.deposit_minor[household] -= drawn;
            self.households.cash_minor[household] += drawn;
            self.banks[bank].deposits_minor -= drawn;
            self.banks[bank].vault_minor -= drawn;
        }
    }

    fn return_banknotes<'w>(&mut self, intents: impl Iterator<Item = &'w Intent>) {
        for intent in intents.filter(|intent| intent.kind == IntentKind::Return) {
            let household = intent.household as usize;
            self.bring_banknotes(household, intent.amount_minor.min(self.households.cash_minor[household]));
        }
    }

    fn bring_banknotes(&mut self, household: usize, amount_minor: i64) {
        self.households.cash_minor[household] -= amount_minor;
        self.households.deposit_minor[household] += amount_minor;
        let bank = &mut self.banks[usize::from(self.households.bank[household])];
        bank.deposits_minor += amount_minor;
        bank.vault_minor += amount_minor;
    }

    fn make_payments<'w>(&mut self, intents: impl Iterator<Item = &'w Intent>) -> Result<(), EconomyError> {
        let mut in_flight = Vec::with_capacity(PROPOSAL_COMMANDS);
        let mut spent = 0;
        for intent in intents {
            let IntentKind::Pay { instrument, is_to_person } = intent.kind else { continue };
            let is_paid = match usize::from(instrument) {
                CBDC => self.offer_cbdc(intent, is_to_person, &mut in_flight),
                CASH => self.pay_cash(intent, is_to_person, &mut spent),
                _ => false,
            };
            if !is_paid {
                self.pay_otherwise(intent, is_to_person, &mut in_flight, &mut spent);
            }
            if in_flight.len() >= PROPOSAL_COMMANDS {
                self.settle_payments(&mut in_flight, &mut spent)?;
            }
        }
        // A payment that the ledger refuses may draw on the wallet instead, with another command.
        while !in_flight.is_empty() {
            self.settle_payments(&mut in_flight, &mut spent)?;
        }
        self.flows_today.record(Flow::Consumption, Sector::Households, Sector::Firms, spent);
        self.macro_state.month_retail_minor += spent;
        Ok(())
    }

    /// Writes a CBDC payment as a command, if payer and payee can make it.
    fn offer_cbdc(&mut self, intent: &Intent, is_to_person: bool, in_flight: &mut Vec<InFlight>) -> bool {
        let (payer, payee, amount) = (intent.household as usize, intent.payee as usize, intent.amount_minor);
        let to = if is_to_person { self.households.wallet[payee] } else { self.firms.wallet[payee] };
        let (Some(from), Some(to)) = (account(self.households.wallet[payer]), account(to)) else { return false };
        let payer_fee_minor = fee_of(&self.payer_fees(), amount);
        let due = amount.saturating_add(payer_fee_minor);
        let own_minor = self.households.cbdc_minor[payer].min(due);
        let lacking_minor = due - own_minor;
        let tops_up = self.values.policy.waterfall && self.values.policy.reverse_waterfall;
        if lacking_minor > 0 && (!tops_up || self.households.deposit_minor[payer] < lacking_minor) {
            return false;
        }
        self.households.sequence[payer] += 1;
        let sequence = u64::from(self.households.sequence[payer]);
        self.households.cbdc_minor[payer] -= own_minor;
        let transfer = Transfer { from, to, amount: minor(amount), max_fee: minor(payer_fee_minor), sequence };
        if lacking_minor == 0 {
            self.authority.transfer(transfer);
        } else {
            self.households.deposit_minor[payer] -= lacking_minor;
            let bank = self.banks[usize::from(self.households.bank[payer])].id;
            self.authority.transfer_with_top_up(transfer, bank, minor(lacking_minor));
        }
        let way = Way::Cbdc { payer_fee_minor };
        in_flight.push(InFlight { intent: *intent, is_to_person, own_minor, lacking_minor, way });
        true
    }

    /// Applies the payments in flight and books their outcomes. Those that are tried again are left in flight.
    fn settle_payments(&mut self, in_flight: &mut Vec<InFlight>, spent: &mut i64) -> Result<(), EconomyError> {
        if in_flight.is_empty() {
            return Ok(());
        }
        let outcomes = self.settle_with_waterfalls()?;
        let (payer_fees, merchant_fees) = (self.payer_fees(), self.merchant_fees());
        let mut again = Vec::new();
        for (payment, (outcome, waterfall)) in in_flight.drain(..).zip(outcomes) {
            let InFlight { intent, is_to_person, own_minor, lacking_minor, way } = payment;
            let (payer, payee, amount) = (intent.household as usize, intent.payee as usize, intent.amount_minor);
            self.households.cbdc_minor[payer] += own_minor;
            self.households.deposit_minor[payer] += lacking_minor;
            let payer_fee_minor = match way {
                Way::DepositAfterDraw => {
                    self.pay_after_draw(&intent, is_to_person, own_minor, outcome.is_settled(), spent);
                    continue;
                }
                Way::Cbdc { .. } if !outcome.is_settled() => {
                    self.used[CBDC].refused += 1;
                    self.pay_otherwise(&intent, is_to_person, &mut again, spent);
                    continue;
                }
                Way::Cbdc { payer_fee_minor } => payer_fee_minor,
            };
            let topped_up = outcome.charges().reverse_waterfall.minor() as i64;
            self.households.cbdc_minor[payer] -= amount + payer_fee_minor - topped_up;
            self.households.deposit_minor[payer] -= topped_up;
            self.banks[usize::from(self.households.bank[payer])].deposits_minor -= topped_up;
            let bank = if is_to_person {
                self.households.cbdc_minor[payee] += amount - waterfall;
                self.households.deposit_minor[payee] += waterfall;
                self.households.bank[payee]
            } else {
                let fee = fee_of(&merchant_fees, amount).min(amount);
                self.firms.cbdc_minor[payee] += amount - fee - waterfall;
                self.firms.deposit_minor[payee] += waterfall;
                self.firms.surplus_minor[payee] += amount - fee;
                *spent += amount;
                let bank = self.firms.bank[payee];
                self.book_fee(Sector::Firms, bank, merchant_fees.to, fee);
                bank
            };
            self.book_fee(Sector::Households, bank, payer_fees.to, payer_fee_minor);
            self.banks[usize::from(bank)].deposits_minor += waterfall;
            let used = &mut self.used[CBDC];
            used.count += 1;
            used.value_minor += amount;
            used.reverse_waterfall_minor += topped_up;
            used.waterfall_minor += waterfall;
        }
        in_flight.append(&mut again);
        Ok(())
    }

    /// Books a fee as income of the central bank or of the payee's bank, in whose treasury it stays until the evening.
    fn book_fee(&mut self, from: Sector, payee_bank: u16, to: FeeTo, fee_minor: i64) {
        match to {
            FeeTo::Equity => self.flows_today.record(Flow::Fees, from, Sector::CentralBank, fee_minor),
            FeeTo::PayeeBank => {
                self.banks[usize::from(payee_bank)].gain(fee_minor);
                self.flows_today.record(Flow::Fees, from, Sector::Banks, fee_minor);
            }
        }
    }

    fn pay_cash(&mut self, intent: &Intent, is_to_person: bool, spent: &mut i64) -> bool {
        let (payer, payee, amount) = (intent.household as usize, intent.payee as usize, intent.amount_minor);
        if self.households.cash_minor[payer] < amount {
            return false;
        }
        self.households.cash_minor[payer] -= amount;
        if is_to_person {
            self.households.cash_minor[payee] += amount;
        } else {
            self.firms.cash_minor[payee] += amount;
            self.firms.surplus_minor[payee] += amount;
            *spent += amount;
        }
        self.used[CASH].count += 1;
        self.used[CASH].value_minor += amount;
        true
    }

    /// Pays from the deposit, failing that from deposit and wallet together, failing that with banknotes, failing that
    /// with all three, failing that not at all.
    fn pay_otherwise(&mut self, intent: &Intent, is_to_person: bool, in_flight: &mut Vec<InFlight>, spent: &mut i64) {
        if self.pay_from_account(intent, is_to_person, in_flight, spent) || self.pay_cash(intent, is_to_person, spent) {
            return;
        }
        // What deposit and wallet lack is brought to the bank in banknotes.
        let (payer, amount) = (intent.household as usize, intent.amount_minor);
        let short = amount - self.households.deposit_minor[payer] - self.usable_cbdc_minor(payer);
        if self.households.cash_minor[payer] < short {
            self.used[DEPOSIT].declined += 1;
            return;
        }
        self.bring_banknotes(payer, short);
        if !self.pay_from_account(intent, is_to_person, in_flight, spent) {
            self.used[DEPOSIT].declined += 1;
        }
    }

    /// Pays from the deposit, or from deposit and wallet together; false if they do not hold enough.
    fn pay_from_account(
        &mut self,
        intent: &Intent,
        is_to_person: bool,
        in_flight: &mut Vec<InFlight>,
        spent: &mut i64,
    ) -> bool {
        let (payer, amount) = (intent.household as usize, intent.amount_minor);
        let lacking = amount - self.households.deposit_minor[payer];
        if lacking <= 0 {
            self.pay_from_deposit(intent, is_to_person, spent);
            return true;
        }
        if !self.draw_from_wallet(payer, lacking) {
            return false;
        }
        // The deposit's part is set aside, so that no other payment of the day uses it.
        let from_deposit = amount - lacking;
        self.households.cbdc_minor[payer] -= lacking;
        self.households.deposit_minor[payer] -= from_deposit;
        let way = Way::DepositAfterDraw;
        let intent = *intent;
        in_flight.push(InFlight { intent, is_to_person, own_minor: lacking, lacking_minor: from_deposit, way });
        true
    }

    /// Pays from the deposit what was drawn for it from the wallet; with banknotes if the ledger refused that.
    fn pay_after_draw(
        &mut self,
        intent: &Intent,
        is_to_person: bool,
        drawn_minor: i64,
        is_drawn: bool,
        spent: &mut i64,
    ) {
        if is_drawn {
            self.book_draw(intent.household as usize, drawn_minor);
            self.pay_from_deposit(intent, is_to_person, spent);
        } else if !self.pay_cash(intent, is_to_person, spent) {
            self.used[DEPOSIT].declined += 1;
        }
    }

    fn pay_from_deposit(&mut self, intent: &Intent, is_to_person: bool, spent: &mut i64) {
        let (payer, payee, amount) = (intent.household as usize, intent.payee as usize, intent.amount_minor);
        let from_bank = usize::from(self.households.bank[payer]);
        self.households.deposit_minor[payer] -= amount;
        let to_bank = if is_to_person {
            self.households.deposit_minor[payee] += amount;
            self.households.bank[payee]
        } else {
            self.firms.deposit_minor[payee] += amount;
            self.firms.surplus_minor[payee] += amount;
            *spent += amount;
            self.firms.bank[payee]
        };
        self.clear(from_bank, usize::from(to_bank), amount);
        self.used[DEPOSIT].count += 1;
        self.used[DEPOSIT].value_minor += amount;
    }
}
