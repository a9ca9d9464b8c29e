//! Interest of wallets, eagerly: at the end of every day every wallet accrues, at 00:00 of every capitalisation date
//! every wallet is posted.

use cbdc_ledger::books::BookAccount;
use cbdc_ledger::{AccountId, HolderId};

use super::calendar::date_of;
use super::policy::Policy;
use super::{MAX, Model};

impl Model {
    /// The parameters whose rates hold on a day: the last ones that were enacted on a day before.
    pub fn rates_on(&self, day: i128) -> &Policy {
        let in_force = self.policies.iter().rfind(|version| version.enacted_on < day);
        &in_force.expect("genesis' rates hold from the first day on").policy
    }

    /// Ends every day before `today`.
    pub(super) fn end_days_of_wallets(&mut self, today: i128) {
        for day in self.today()..today {
            let policy = self.rates_on(day).clone();
            let wallets: Vec<AccountId> =
                self.wallets.iter().filter(|(_, wallet)| wallet.open).map(|(id, _)| *id).collect();
            let (_, _, day_of_month) = date_of(day + 1);
            for id in wallets {
                let own = self.own(id);
                let rates = &policy.rates[&self.class_of(id)];
                let wallet = self.wallets.get_mut(&id).unwrap();
                wallet.accrued += rates.accrual(own, wallet.allowance);
                if policy.daily || day_of_month == 1 {
                    self.post_interest(id);
                }
            }
        }
    }

    fn post_interest(&mut self, id: AccountId) {
        let unit = self.unit();
        let accrued = self.wallets[&id].accrued;
        let posted = accrued / unit;
        if posted > 0 {
            if self.supply() + posted > MAX || self.terms.interest + posted > MAX {
                return;
            }
            self.entry(BookAccount::Equity, BookAccount::Cbdc, posted).unwrap();
            self.terms.interest += posted;
            self.wallets.get_mut(&id).unwrap().available += posted;
        }
        if posted < 0 {
            let taken = self.spendable(id).min(-posted);
            self.take_demurrage(id, taken);
            self.wallets.get_mut(&id).unwrap().claim += -posted - taken;
        }
        self.wallets.get_mut(&id).unwrap().accrued = accrued - posted * unit;
    }

    /// What a holder owes as demurrage.
    pub fn claim_of(&self, holder: HolderId) -> i128 {
        self.claims.get(&holder).copied().unwrap_or_default()
    }

    /// Adds what fell due on a wallet to what its holder owes, once the wallet is used.
    pub(super) fn settle_due(&mut self, id: AccountId) {
        let wallet = self.wallets.get_mut(&id).unwrap();
        let due = std::mem::take(&mut wallet.claim);
        if due > 0 {
            *self.claims.entry(wallet.holder).or_default() += due;
        }
    }

    /// The sweep does it to wallets with which nothing is done.
    pub(super) fn sweep(&mut self) {
        let is_swept = |id: &AccountId| self.swept.as_ref().is_none_or(|swept| swept.contains(id));
        let open = self.wallets.iter().filter(|(_, wallet)| wallet.open).map(|(id, _)| *id);
        for id in open.filter(is_swept).collect::<Vec<_>>() {
            self.settle_due(id);
        }
    }

    /// Takes what is owed of a credit of `credited`, which has been made. Returns what was taken.
    pub(super) fn take_claim(&mut self, id: AccountId, credited: i128) -> i128 {
        self.settle_due(id);
        let holder = self.wallets[&id].holder;
        let taken = self.claim_of(holder).min(credited).min(self.spendable(id));
        self.take_demurrage(id, taken);
        *self.claims.entry(holder).or_default() -= taken;
        taken
    }

    fn take_demurrage(&mut self, id: AccountId, taken: i128) {
        self.entry(BookAccount::Cbdc, BookAccount::Equity, taken).unwrap();
        self.terms.demurrage += taken;
        self.wallets.get_mut(&id).unwrap().available -= taken;
    }
}
