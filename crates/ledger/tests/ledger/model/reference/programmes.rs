//! What falls due for holds and programmes: expiries, and payments to cohorts. Each step takes a unit of the block's
//! work.

use cbdc_ledger::AccountId;
use cbdc_ledger::books::BookAccount;
use cbdc_ledger::programme::{Funding, Grant};

use super::{MAX, Model, minor};

#[derive(Clone, PartialEq, Debug)]
pub struct Hold {
    pub payer: AccountId,
    pub payee: AccountId,
    pub maximum: i128,
    pub max_fee: i128,
    pub expires_at: u64,
    /// Taken from the payer's own money.
    pub held: i128,
    /// Taken from the payer's purpose-bound money: programme and amount.
    pub earmarks: Vec<(u64, i128)>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Programme {
    pub grant: Grant,
    pub next_holder: usize,
    pub end: usize,
    pub paid: i128,
    pub refused: i128,
    pub expired: i128,
    /// Its purpose-bound money has left the books.
    pub closed: bool,
}

impl Programme {
    pub fn expires_at(&self) -> Option<u64> {
        self.grant.purpose.map(|purpose| purpose.expires_at.0)
    }

    fn funding(&self) -> BookAccount {
        match self.grant.purpose.map(|purpose| purpose.funding) {
            Some(Funding::Government) => BookAccount::Government,
            Some(Funding::Equity) | None => BookAccount::Equity,
        }
    }
}

impl Model {
    pub(super) fn found_programme(&mut self, grant: Grant) {
        let end = self.registered.len();
        self.programmes.push(Programme { grant, next_holder: 0, end, paid: 0, refused: 0, expired: 0, closed: false });
    }

    fn take_work(&mut self) -> bool {
        self.work_left -= 1;
        self.work_left >= 0
    }

    pub(super) fn expire_holds(&mut self) {
        let mut expired: Vec<(u64, u64)> = self.holds.iter().map(|(number, hold)| (hold.expires_at, *number)).collect();
        expired.sort_unstable();
        for (expires_at, number) in expired {
            if expires_at <= self.time && self.take_work() {
                self.return_hold(number);
            }
        }
    }

    /// Returns a hold's money to its payer, who may owe some of it.
    pub(super) fn return_hold(&mut self, number: u64) {
        let hold = self.release(number);
        self.take_claim(hold.payer, hold.held);
    }

    /// Ends a hold: what was held is available again. (What earmarks had held follows from the open holds.)
    pub(super) fn release(&mut self, number: u64) -> Hold {
        let hold = self.holds.remove(&number).unwrap();
        self.wallets.get_mut(&hold.payer).unwrap().available += hold.held;
        hold
    }

    pub(super) fn expire_programmes(&mut self) {
        let open = |programme: &Programme| if programme.closed { None } else { programme.expires_at() };
        let mut expired: Vec<(u64, usize)> = (0..self.programmes.len())
            .filter_map(|index| open(&self.programmes[index]).map(|expires_at| (expires_at, index)))
            .filter(|(expires_at, _)| *expires_at <= self.time)
            .collect();
        expired.sort_unstable();
        for (_, index) in expired {
            let number = index as u64 + 1;
            let wallets: Vec<AccountId> = self.wallets.keys().copied().collect();
            for id in wallets {
                if self.earmark(id, number) == 0 {
                    continue;
                }
                if self.earmark_held(id, number) > 0 || !self.take_work() {
                    return;
                }
                let amount = self.earmark(id, number);
                self.entry(BookAccount::Cbdc, self.programmes[index].funding(), amount).unwrap();
                self.wallets.get_mut(&id).unwrap().earmarks.remove(&number);
                self.terms.expired += amount;
                self.programmes[index].expired += amount;
            }
            self.programmes[index].closed = true;
            self.programmes[index].next_holder = self.programmes[index].end;
        }
    }

    pub(super) fn pay_programmes(&mut self) {
        for index in 0..self.programmes.len() {
            while self.programmes[index].next_holder < self.programmes[index].end {
                if !self.take_work() {
                    return;
                }
                self.look_at_next_holder(index);
            }
        }
    }

    fn look_at_next_holder(&mut self, index: usize) {
        let programme = &mut self.programmes[index];
        let cohort = programme.grant.cohort;
        let holder = self.registered[programme.next_holder];
        programme.next_holder += 1;
        if self.classes[&holder] != cohort.class {
            return;
        }
        let Some(wallet) = self.allowance_of(holder) else { return };
        if cohort.bank.is_some_and(|bank| bank != wallet.bank) {
            return;
        }
        if !self.pay_holder(index, wallet) {
            self.programmes[index].refused += 1;
            return;
        }
        let programme = &mut self.programmes[index];
        programme.paid += 1;
        if programme.paid == i128::from(cohort.first) {
            programme.next_holder = programme.end;
        }
    }

    /// Whether the credit was made.
    fn pay_holder(&mut self, index: usize, id: AccountId) -> bool {
        let before = self.clone();
        let (grant, number) = (self.programmes[index].grant, index as u64 + 1);
        let amount = minor(grant.amount_each);
        let is_within_limits = self.check_issuance_limits(id.bank.0, amount).is_ok();
        let term = if grant.purpose.is_some() { self.terms.targeted } else { self.terms.unbacked };
        if !is_within_limits || term + amount > MAX {
            return false;
        }
        if self.entry(self.programmes[index].funding(), BookAccount::Cbdc, amount).is_err() {
            return false;
        }
        self.issuances.push((id.bank.0, self.today(), amount));
        let wallet = self.wallets.get_mut(&id).unwrap();
        if grant.purpose.is_some() {
            *wallet.earmarks.entry(number).or_default() += amount;
            self.terms.targeted += amount;
        } else {
            self.terms.unbacked += amount;
            // Like any credit it meets the holding limit.
            if self.credit(id, amount, true).is_err() {
                *self = before;
                return false;
            }
        }
        true
    }
}
