//! Transfers, funding, defunding, reverse waterfalls, holds and captures.

use cbdc_ledger::books::BookAccount;
use cbdc_ledger::command::{PlaceHold, ReleaseHold, ReleaseKind, ReverseWaterfall};
use cbdc_ledger::outcome::{Charges, Reason};
use cbdc_ledger::{AccountId, Amount, BankId, HolderId, Outcome};

use super::programmes::Hold;
use super::{Answer, DAY_MS, MAX, Model, Movement, done, minor, no};

/// The smallest fee that an outcome cannot represent.
const FEES_BELOW: i128 = 1 << 48;

/// A transfer's terms, whether a holder or a hold pays.
#[derive(Clone, Copy)]
pub struct Order {
    pub from: AccountId,
    pub to: AccountId,
    pub amount: i128,
    pub max_fee: i128,
}

/// The source of a transfer's money.
enum Funds {
    Wallet,
    /// The wallet, and what it lacks from the reserves of a bank.
    TopUp {
        bank: u16,
        maximum: i128,
    },
    Hold(u64),
}

/// How much of each earmark pays, in the order in which they are drawn on.
fn draw(usable: &[(u64, i128)], amount: i128) -> Vec<(u64, i128)> {
    let mut left = amount;
    let mut drawn = Vec::new();
    for (programme, free) in usable {
        let taken = left.min(*free);
        left -= taken;
        if taken > 0 {
            drawn.push((*programme, taken));
        }
    }
    drawn
}

fn sum(earmarks: &[(u64, i128)]) -> i128 {
    earmarks.iter().map(|(_, amount)| amount).sum()
}

impl Model {
    pub(super) fn transfer(&mut self, order: Order) -> Answer {
        if order.amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        if order.from == order.to {
            return no(Reason::SameAccount, 0, 0);
        }
        self.pay(order, Funds::Wallet)
    }

    pub(super) fn reverse_waterfall(&mut self, top_up: &ReverseWaterfall) -> Answer {
        let payment = &top_up.transfer.record;
        self.check_validity(&payment.head)?;
        self.check_unsuspended(top_up.bank.0)?;
        if payment.amount.is_zero() {
            return no(Reason::AmountZero, 0, 0);
        }
        if payment.from == payment.to {
            return no(Reason::SameAccount, 0, 0);
        }
        let source = Funds::TopUp { bank: top_up.bank.0, maximum: minor(top_up.maximum) };
        let (amount, max_fee) = (minor(payment.amount), minor(payment.max_fee));
        self.pay(Order { from: payment.from, to: payment.to, amount, max_fee }, source)
    }

    fn pay(&mut self, order: Order, source: Funds) -> Answer {
        let Order { from, to, amount, max_fee } = order;
        let payer = self.wallets[&from].clone();
        let Some(payee) = self.open_wallet(to).cloned() else { return self.no_payee(to) };
        self.settle_due(from);
        self.settle_due(to);
        let is_own = payer.holder == payee.holder;
        let mut fees = (0, 0);
        if !is_own {
            self.check_payment_limit(payer.holder, amount)?;
            self.check_sums_and_velocity(payer.holder, amount)?;
            fees = (self.payer_fee(payer.holder, amount), self.payee_fee(payee.holder, amount));
        }
        if fees.0 > max_fee && !is_own {
            return no(Reason::MaxFee, max_fee, fees.0);
        }
        if fees.0 >= FEES_BELOW {
            return no(Reason::Overflow, FEES_BELOW - 1, fees.0);
        }
        let usable = self.usable(from, to, self.time + 1);
        let mut topped_up = 0;
        let mut returned = 0;
        let drawn = match source {
            Funds::Wallet => {
                self.check_funds(from, amount, fees.0, &usable)?;
                draw(&usable, amount)
            }
            Funds::TopUp { bank, maximum } => {
                let drawn = draw(&usable, amount);
                let need = amount - sum(&drawn) + fees.0;
                topped_up = (need - self.spendable(from)).max(0);
                self.top_up(from, bank, topped_up, maximum)?;
                drawn
            }
            Funds::Hold(number) => {
                let hold = self.release(number);
                returned = hold.held;
                draw(&hold.earmarks, amount)
            }
        };
        self.take_earmarks(from, &drawn);
        let paid = amount - sum(&drawn) + fees.0;
        self.wallets.get_mut(&from).unwrap().available -= paid;
        self.take_claim(from, (returned - paid).max(0));
        self.credit(to, amount - fees.1, !is_own)?;
        if is_own && topped_up > 0 {
            self.check_growth(payer.holder, topped_up)?;
        }
        if !is_own {
            let (payer_schedule, payee_schedule) = self.fee_schedules(payer.holder, payee.holder);
            self.take_fee(to, fees.0, payer_schedule)?;
            self.take_fee(to, fees.1, payee_schedule)?;
            self.count_payment(payer.holder, amount);
        }
        // A payer is told the fees and what came from their own deposit.
        let charge = |value: i128| Amount::from_minor(value as u64);
        let (fee, payee_fee, reverse_waterfall) = (charge(fees.0), charge(fees.1), charge(topped_up));
        Ok(Outcome::paid(Charges { fee, payee_fee, reverse_waterfall }))
    }

    // Limits of the payer.

    fn check_payment_limit(&self, holder: HolderId, amount: i128) -> Result<(), Outcome> {
        match self.policy().payment.get(&self.classes[&holder]) {
            Some(limit) if amount > *limit => no(Reason::PaymentLimit, *limit, amount),
            _ => Ok(()),
        }
    }

    fn check_sums_and_velocity(&self, holder: HolderId, amount: i128) -> Result<(), Outcome> {
        let (policy, class) = (self.policy(), self.classes[&holder]);
        for (limits, paid, reason) in [
            (&policy.day, self.paid_today(holder), Reason::DayLimit),
            (&policy.month, self.paid_this_month(holder), Reason::MonthLimit),
        ] {
            let after = (paid + amount).min(MAX);
            if let Some(limit) = limits.get(&class)
                && after > *limit
            {
                return no(reason, *limit, after);
            }
        }
        if let Some((payments, window)) = policy.velocity.get(&class) {
            let count = self.payments_since(holder, i128::from(self.time) - window).min(64) + 1;
            if count > *payments {
                return no(Reason::Velocity, *payments, count);
            }
        }
        Ok(())
    }

    fn count_payment(&mut self, holder: HolderId, amount: i128) {
        self.payments.push((holder, self.today(), amount));
        if self.policy().velocity.contains_key(&self.classes[&holder]) {
            self.counted_payments.push((holder, self.time));
        }
    }

    // Fees.

    pub fn payer_fee(&self, holder: HolderId, amount: i128) -> i128 {
        self.policy().payer_fee[&self.classes[&holder]].of_amount(amount)
    }

    /// At most the amount.
    pub fn payee_fee(&self, holder: HolderId, amount: i128) -> i128 {
        self.policy().payee_fee[&self.classes[&holder]].of_amount(amount).min(amount)
    }

    /// Whether the fees of payer and payee go to the payee's bank.
    fn fee_schedules(&self, payer: HolderId, payee: HolderId) -> (bool, bool) {
        let policy = self.policy();
        (policy.payer_fee[&self.classes[&payer]].to_bank, policy.payee_fee[&self.classes[&payee]].to_bank)
    }

    /// Books a fee that was deducted.
    fn take_fee(&mut self, payee: AccountId, fee: i128, to_bank: bool) -> Result<(), Outcome> {
        if to_bank {
            *self.treasuries.get_mut(&payee.bank.0).unwrap() += fee;
            return Ok(());
        }
        self.entry(BookAccount::Cbdc, BookAccount::Equity, fee)?;
        if self.terms.fees + fee > MAX {
            return no(Reason::Overflow, 0, fee);
        }
        self.terms.fees += fee;
        Ok(())
    }

    // Money of the payer.

    /// Free purpose-bound money that may pay `to` and lasts until `until`: earliest expiry first, then by programme.
    /// Between a holder's own wallets there is none.
    pub fn usable(&self, from: AccountId, to: AccountId, until: u64) -> Vec<(u64, i128)> {
        let (payer, payee) = (&self.wallets[&from], &self.wallets[&to]);
        let mut found = Vec::new();
        for (number, amount) in &payer.earmarks {
            let purpose = self.programmes[*number as usize - 1].grant.purpose.unwrap();
            let is_for = payer.holder != payee.holder && purpose.payees.contains(self.classes[&payee.holder]);
            if is_for && purpose.expires_at.0 >= until {
                found.push((purpose.expires_at.0, *number, amount - self.earmark_held(from, *number)));
            }
        }
        found.sort_unstable();
        found.into_iter().map(|(_, number, free)| (number, free)).collect()
    }

    fn check_funds(&self, from: AccountId, amount: i128, fee: i128, usable: &[(u64, i128)]) -> Result<(), Outcome> {
        let need = amount - sum(&draw(usable, amount)) + fee;
        if need <= self.spendable(from) {
            return Ok(());
        }
        let reason =
            if need <= self.wallets[&from].available { Reason::FundsFrozen } else { Reason::InsufficientFunds };
        no(reason, self.spendable(from) + sum(&draw(usable, amount)), amount + fee)
    }

    fn take_earmarks(&mut self, from: AccountId, drawn: &[(u64, i128)]) {
        let earmarks = &mut self.wallets.get_mut(&from).unwrap().earmarks;
        for (programme, amount) in drawn {
            *earmarks.get_mut(programme).unwrap() -= amount;
        }
        earmarks.retain(|_, amount| *amount > 0);
    }

    /// Brings what a payment lacks from the linked bank's reserves to the wallet.
    fn top_up(&mut self, wallet: AccountId, bank: u16, lacking: i128, maximum: i128) -> Result<(), Outcome> {
        if lacking == 0 {
            return Ok(());
        }
        if lacking > maximum {
            return no(Reason::TopUpMaximum, maximum, lacking);
        }
        self.check_issuance_limits(bank, lacking)?;
        self.entry(BookAccount::Reserves(BankId(bank)), BookAccount::Cbdc, lacking)?;
        if self.terms.reverse_waterfall + lacking > MAX {
            return no(Reason::Overflow, 0, lacking);
        }
        self.terms.reverse_waterfall += lacking;
        self.issuances.push((bank, self.today(), lacking));
        self.wallets.get_mut(&wallet).unwrap().available += lacking;
        self.movements.push(Movement { index: self.index, bank, wallet, amount: lacking, to_deposit: false });
        Ok(())
    }

    /// Whether a holder who was topped up keeps to the holding limit.
    fn check_growth(&self, holder: HolderId, added: i128) -> Result<(), Outcome> {
        match self.policy().holding.get(&self.classes[&holder]) {
            Some(limit) if self.holdings(holder) > *limit => no(Reason::HoldingLimit, *limit, added),
            _ => Ok(()),
        }
    }

    // Money to the payee.

    /// Credits a wallet: what it owes is taken, and the excess over the holding limit goes to the linked bank.
    pub(super) fn credit(&mut self, to: AccountId, amount: i128, is_limited: bool) -> Result<(), Outcome> {
        let wallet = self.wallets.get_mut(&to).unwrap();
        wallet.available += amount;
        let (holder, linked) = (wallet.holder, wallet.linked_bank);
        let kept = amount - self.take_claim(to, amount);
        let holdings = self.holdings(holder);
        let limit = self.policy().holding.get(&self.classes[&holder]).copied();
        let overage = limit.map_or(0, |limit| holdings - limit);
        let excess = kept.min(overage);
        if !is_limited || excess <= 0 {
            return if holdings > MAX { no(Reason::Overflow, 0, amount) } else { Ok(()) };
        }
        if linked == 0 {
            return no(Reason::HoldingLimit, limit.unwrap(), amount);
        }
        if !self.is_unsuspended(linked) {
            return no(Reason::LinkedBankInactive, limit.unwrap(), amount);
        }
        // A lien comes before the waterfall.
        let excess = excess.min(self.spendable(to));
        if excess == 0 {
            return Ok(());
        }
        self.entry(BookAccount::Cbdc, BookAccount::Reserves(BankId(linked)), excess)?;
        if self.terms.waterfall + excess > MAX {
            return no(Reason::Overflow, 0, excess);
        }
        self.terms.waterfall += excess;
        self.wallets.get_mut(&to).unwrap().available -= excess;
        self.movements.push(Movement { index: self.index, bank: linked, wallet: to, amount: excess, to_deposit: true });
        Ok(())
    }

    // Between treasuries and wallets.

    pub(super) fn fund(&mut self, from: AccountId, to: AccountId, amount: i128) -> Answer {
        if amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        if from == to {
            return no(Reason::SameAccount, 0, 0);
        }
        if from.serial != 0 || to.bank != from.bank {
            return no(Reason::WrongBank, 0, 0);
        }
        if self.open_wallet(to).is_none() {
            return self.no_payee(to);
        }
        let treasury = self.treasuries.get_mut(&from.bank.0).unwrap();
        if amount > *treasury {
            return no(Reason::InsufficientFunds, *treasury, amount);
        }
        *treasury -= amount;
        self.credit(to, amount, true)?;
        done(0)
    }

    pub(super) fn defund(&mut self, from: AccountId, to: AccountId, amount: i128) -> Answer {
        if amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        if from == to {
            return no(Reason::SameAccount, 0, 0);
        }
        if to.serial != 0 || to.bank != from.bank {
            return no(Reason::WrongBank, 0, 0);
        }
        self.check_active(to.bank.0)?;
        self.check_funds(from, amount, 0, &[])?;
        self.settle_due(from);
        self.wallets.get_mut(&from).unwrap().available -= amount;
        *self.treasuries.get_mut(&to.bank.0).unwrap() += amount;
        done(0)
    }

    // Holds.

    pub(super) fn place_hold(&mut self, hold: &PlaceHold) -> Answer {
        let (from, to) = (hold.from, hold.to);
        let (maximum, max_fee, expires_at) = (minor(hold.maximum), minor(hold.max_fee), hold.expires_at.0);
        if maximum == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        if from == to {
            return no(Reason::SameAccount, 0, 0);
        }
        let Some(payee) = self.open_wallet(to).cloned() else { return self.no_payee(to) };
        let (now, latest) = (i128::from(self.time), i128::from(self.time) + 31 * DAY_MS);
        if expires_at <= self.time {
            return no(Reason::Expired, expires_at.into(), now);
        }
        if i128::from(expires_at) > latest {
            return no(Reason::ValidityTooLong, latest, expires_at.into());
        }
        if self.holds.values().filter(|hold| hold.payer == from).count() >= 64 {
            return no(Reason::TooManyHolds, 64, 65);
        }
        let payer = self.wallets[&from].clone();
        if payer.holder != payee.holder {
            self.check_payment_limit(payer.holder, maximum)?;
            let fee = self.payer_fee(payer.holder, maximum);
            if fee > max_fee {
                return no(Reason::MaxFee, max_fee, fee);
            }
            if fee >= FEES_BELOW {
                return no(Reason::Overflow, FEES_BELOW - 1, fee);
            }
        }
        let usable = self.usable(from, to, expires_at);
        self.check_funds(from, maximum, max_fee, &usable)?;
        self.settle_due(from);
        let earmarks = draw(&usable, maximum);
        let held = maximum - sum(&earmarks) + max_fee;
        self.wallets.get_mut(&from).unwrap().available -= held;
        self.holds_placed += 1;
        let placed = Hold { payer: from, payee: to, maximum, max_fee, expires_at, held, earmarks };
        self.holds.insert(self.holds_placed, placed);
        done(self.holds_placed.into())
    }

    pub(super) fn release_hold(&mut self, release: &ReleaseHold) -> Answer {
        let amount = minor(release.amount);
        if release.kind == ReleaseKind::Capture && amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        let hold = self.holds.get(&release.hold).cloned();
        let open = |hold: &Hold| hold.payee.bank == release.bank && hold.expires_at > self.time;
        let Some(hold) = hold.filter(open) else { return no(Reason::UnknownHold, 0, 0) };
        if release.kind == ReleaseKind::Void {
            self.return_hold(release.hold);
            return done(0);
        }
        if amount > hold.maximum {
            return no(Reason::HoldExceeded, hold.maximum, amount);
        }
        let order = Order { from: hold.payer, to: hold.payee, amount, max_fee: hold.max_fee };
        self.pay(order, Funds::Hold(release.hold))
    }
}
