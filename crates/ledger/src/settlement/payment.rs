//! Transfer, fund and defund: money from account to account.
//!
//! A transfer is checked in this order: payee, limits of the payer's person, fee, funds, and what the credit brings
//! with it for the payee ([`super::credit`]). It draws on earmarked money that this payee may be paid with first, the
//! earliest expiry first, then on available money. Between two wallets of one person nothing is limited, charged or
//! counted, and nothing earmarked is used.

use super::credit::Credit;
use super::remuneration::{Current, Flows};
use super::{At, Settled, Settlement, refuse};
use crate::account::Account;
use crate::amount::Amount;
use crate::command::{Head, Payment, PaymentKind};
use crate::holder::Holder;
use crate::identity::{AccountId, BankId};
use crate::ledger::Ledger;
use crate::outcome::{Outcome, Reason};
use crate::policy::{FeeTo, day_limit, month_limit, payment_limit, velocity};
use crate::time::Timestamp;

/// Money bound to a purpose that a payment draws on: programme and amount.
#[derive(Default)]
pub(super) struct Draw {
    pub(super) earmarks: Vec<(u64, Amount)>,
    pub(super) sum: Amount,
}

/// What a bank agreed to add from the payer's deposit.
#[derive(Clone, Copy)]
pub(super) struct TopUp {
    pub(super) bank: BankId,
    pub(super) maximum: Amount,
}

/// A fee and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Fee {
    pub(super) amount: Amount,
    pub(super) to: FeeTo,
}

impl Fee {
    pub(super) const NONE: Fee = Fee { amount: Amount::ZERO, to: FeeTo::Equity };
}

/// The payer's side of a payment between wallets: the payer's record as it is after it has paid.
pub(super) struct PayerSide {
    pub(super) from: AccountId,
    pub(super) payer: Current,
    pub(super) fee: Fee,
    /// What the payer's person holds less afterwards: own money, without what a bank adds.
    pub(super) own_money: Amount,
    pub(super) reverse_waterfall: Option<(BankId, Amount)>,
}

/// A payment between wallets that no rule refuses, ready to be made.
pub(super) struct Payout {
    side: PayerSide,
    to: AccountId,
    amount: Amount,
    payee: Current,
    payee_fee: Fee,
    credit: Credit,
    flows: Flows,
    /// Fees to the treasury of the payee's bank.
    fees_to_bank: Amount,
}

/// What a transfer would come to at a given time, by the same rules that settle it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    /// Settled, or the refusal.
    pub outcome: Outcome,
    /// What the payer would pay beside the amount.
    pub fee: Amount,
    /// What would be kept back from the payee.
    pub payee_fee: Amount,
    /// What would go to the payee's deposit.
    pub waterfall: Amount,
}

impl Ledger {
    /// What a transfer would come to if it settled at `time`, which is not before the last block's.
    pub fn quote(&self, from: AccountId, to: AccountId, amount: Amount, max_fee: Amount, time: Timestamp) -> Quote {
        let refused = |outcome, fee| Quote { outcome, fee, payee_fee: Amount::ZERO, waterfall: Amount::ZERO };
        let at = At::new(self, time.max(self.tip.time));
        let is_payer = self.open_wallet(from).is_some();
        if !is_payer {
            return refused(Outcome::refused(Reason::UnknownAccount, 0, 0), Amount::ZERO);
        }
        let is_own = self.account(to).is_some_and(|payee| Some(payee.holder) == self.account(from).map(|it| it.holder));
        let schedule =
            self.holder_of(from).filter(|_| !is_own).map(|person| &at.parameters().class(person.class).payer_fee);
        let fee = schedule.map_or(Amount::ZERO, |schedule| schedule.fee(amount));
        let (sequence, reference) = (0, [0; 16]);
        let head = Head { flags: 0, key_version: 0, sequence, valid_until: time };
        let payment = Payment { kind: PaymentKind::Transfer, head, from, to, amount, max_fee, reference };
        match check_parties(from, to, amount).and_then(|()| at.transfer(&payment, None)) {
            Err(outcome) => refused(outcome, fee),
            Ok((payout, _)) => {
                let waterfall = payout.credit.waterfall.map_or(Amount::ZERO, |(_, amount)| amount);
                Quote { outcome: Outcome::settled(), fee, payee_fee: payout.payee_fee.amount, waterfall }
            }
        }
    }
}

impl Settlement<'_> {
    pub(super) fn payment(&mut self, payment: &Payment) -> Settled {
        check_parties(payment.from, payment.to, payment.amount)?;
        match payment.kind {
            PaymentKind::Transfer => self.transfer(payment, None),
            PaymentKind::Defund => self.defund(payment),
            PaymentKind::Fund => self.fund(payment),
        }
    }

    /// Wallet to wallet, with or without money of the payer's linked bank.
    #[inline]
    pub(super) fn transfer(&mut self, payment: &Payment, top_up: Option<TopUp>) -> Settled {
        let (payout, draw) = self.at().transfer(payment, top_up)?;
        let outcome = self.pay_out(payout)?;
        for (programme, drawn) in draw.earmarks {
            self.change_earmark(payment.from, programme, |earmark| {
                earmark.amount = earmark.amount.minus_or_zero(drawn)
            });
        }
        Ok(outcome)
    }

    /// Makes a payment between wallets.
    #[inline]
    pub(super) fn pay_out(&mut self, payout: Payout) -> Settled {
        let Payout { side, to, amount, payee, credit, flows, fees_to_bank, .. } = payout;
        self.post_flows(&flows)?;

        // From here on nothing can be refused.
        self.store(side.from, &side.payer, Amount::ZERO, side.own_money);
        self.store(to, &payee, credit.credited, Amount::ZERO);
        if !fees_to_bank.is_zero() {
            let treasury = self.account_mut(AccountId::treasury(to.bank));
            treasury.available =
                treasury.available.plus(fees_to_bank).expect("all CBDC fits the range, so a part does");
        }
        if side.payer.account.holder != payee.account.holder {
            self.note_payment(side.payer.account.holder, amount);
        }
        self.note_deposits(side.from, to, &flows);
        let moved = |flow: Option<(BankId, Amount)>| flow.map_or(0, |(_, amount)| amount.minor());
        Ok(Outcome::paid(moved(flows.waterfall), moved(flows.reverse_waterfall)))
    }

    /// Treasury to a customer's wallet.
    fn fund(&mut self, payment: &Payment) -> Settled {
        if !payment.from.is_treasury() || payment.to.bank != payment.from.bank {
            return refuse(Reason::WrongBank);
        }
        let at = self.at();
        at.payee_wallet(payment.to)?;
        let (mut treasury, mut wallet) = (at.current(payment.from), at.current(payment.to));
        check_spendable(&treasury.account, payment.amount.minor().into(), &Draw::default())?;
        let credit = at.credit(&mut wallet, payment.amount)?;
        let flows = Flows { waterfall: credit.waterfall, ..Flows::default() }.with(&wallet);
        self.post_flows(&flows)?;

        treasury.account.available = treasury.account.available.minus_or_zero(payment.amount);
        self.store(payment.from, &treasury, Amount::ZERO, Amount::ZERO);
        self.store(payment.to, &wallet, credit.credited, Amount::ZERO);
        self.note_deposits(payment.from, payment.to, &flows);
        Ok(Outcome::paid(credit.waterfall.map_or(0, |(_, amount)| amount.minor()), 0))
    }

    /// Wallet to the treasury of its own bank.
    fn defund(&mut self, payment: &Payment) -> Settled {
        if payment.to != AccountId::treasury(payment.from.bank) {
            return refuse(Reason::WrongBank);
        }
        self.at().active_bank(payment.to.bank)?;
        let mut wallet = self.at().current(payment.from);
        check_spendable(&wallet.account, payment.amount.minor().into(), &Draw::default())?;
        let treasury = self.treasury_credit(payment.to.bank, payment.amount)?;
        self.post_flows(&Flows::default().with(&wallet))?;

        wallet.account.available = wallet.account.available.minus_or_zero(payment.amount);
        self.store(payment.from, &wallet, Amount::ZERO, payment.amount);
        self.account_mut(payment.to).available = treasury;
        Ok(Outcome::settled())
    }

    pub(super) fn holder_mut(&mut self, position: u32) -> &mut Holder {
        self.ledger.holders.get_mut(position as usize).expect("every wallet has a holder")
    }

    pub(super) fn note_payment(&mut self, position: u32, amount: Amount) {
        let (today, first_of_month, time) = (self.today, self.first_of_month, self.time);
        let holder = self.holder_mut(position);
        holder.note_payment(today, first_of_month, amount);
        let class = holder.class;
        if self.ledger.parameters().class(class).velocity.is_some() {
            let recent = self.ledger.recent_payments.get_mut(position as usize);
            recent.expect("every holder has a record of payments").note(time);
        }
    }
}

impl<'a> At<'a> {
    /// Checks a transfer and computes both sides of it.
    #[inline]
    pub(super) fn transfer(&self, payment: &Payment, top_up: Option<TopUp>) -> Result<(Payout, Draw), Outcome> {
        let (from, to, amount) = (payment.from, payment.to, payment.amount);
        self.payee_wallet(to)?;
        let (mut payer, payee) = (self.current(from), self.current(to));
        let is_own = payer.account.holder == payee.account.holder;
        let mut fee = Fee::NONE;
        if !is_own {
            self.check_limits(payer.account.holder, amount)?;
            fee = self.payer_fee(payer.account.holder, amount, payment.max_fee)?;
        }
        let draw = if is_own { Draw::default() } else { self.draw(from, to, amount, self.time) };
        let rest = amount.minus_or_zero(draw.sum);
        let lacking = self.check_funds(&payer.account, rest, fee.amount, &draw, top_up)?;

        let needed = rest.plus(fee.amount);
        // With a top-up the wallet pays all that it may spend, and the bank the rest.
        let own_money = needed.filter(|_| lacking.is_zero()).unwrap_or(payer.account.spendable());
        payer.account.available = payer.account.available.minus(own_money).expect("the funds were checked");
        payer.account.earmarked = payer.account.earmarked.minus_or_zero(draw.sum);
        let reverse_waterfall = top_up.filter(|_| !lacking.is_zero()).map(|top_up| (top_up.bank, lacking));
        let side = PayerSide { from, payer, fee, own_money, reverse_waterfall };
        Ok((self.payout(side, to, payee, amount)?, draw))
    }

    /// Adds the payee's side: fee, claim, holding limit.
    #[inline]
    pub(super) fn payout(
        &self,
        side: PayerSide,
        to: AccountId,
        payee: Current,
        amount: Amount,
    ) -> Result<Payout, Outcome> {
        let mut payee = payee;
        let is_own = side.payer.account.holder == payee.account.holder;
        let payee_fee = if is_own { Fee::NONE } else { self.payee_fee(payee.account.holder, amount) };
        let net = amount.minus_or_zero(payee_fee.amount);
        let credit = if is_own { Credit::unlimited(&mut payee, net) } else { self.credit(&mut payee, net)? };
        let (waterfall, reverse_waterfall) = (credit.waterfall, side.reverse_waterfall);
        let mut flows = Flows { waterfall, reverse_waterfall, ..Flows::default() }.with(&side.payer).with(&payee);
        let mut fees_to_bank = Amount::ZERO;
        for fee in [side.fee, payee_fee] {
            let sum = if fee.to == FeeTo::Equity { &mut flows.fees } else { &mut fees_to_bank };
            *sum = sum.plus(fee.amount).ok_or(Outcome::refused(Reason::Overflow, 0, amount.minor()))?;
        }
        Ok(Payout { side, to, amount, payee, payee_fee, credit, flows, fees_to_bank })
    }

    pub(super) fn payee_wallet(&self, to: AccountId) -> Result<(), Outcome> {
        match self.ledger.open_wallet(to) {
            Some(_) => Ok(()),
            None => refuse(Reason::UnknownPayee),
        }
    }

    /// Limits of the payer's person on settled outgoing payments.
    #[inline]
    pub(super) fn check_limits(&self, payer: u32, amount: Amount) -> Result<(), Outcome> {
        let (parameters, person) = (self.parameters(), self.person(payer));
        payment_limit::check(parameters, person, amount)?;
        day_limit::check(parameters, person, self.today, amount)?;
        month_limit::check(parameters, person, self.first_of_month, amount)?;
        let recent = || self.ledger.recent_payments.get(payer as usize).expect("every holder has a record of payments");
        velocity::check(parameters, person, recent, self.time)
    }

    pub(super) fn payer_fee(&self, payer: u32, amount: Amount, max_fee: Amount) -> Result<Fee, Outcome> {
        let schedule = &self.parameters().class(self.person(payer).class).payer_fee;
        let fee = Fee { amount: schedule.fee(amount), to: schedule.to };
        if fee.amount > max_fee {
            return Err(Outcome::refused(Reason::MaxFee, max_fee.minor(), fee.amount.minor()));
        }
        Ok(fee)
    }

    /// A payee's fee is never above what is paid.
    fn payee_fee(&self, payee: u32, amount: Amount) -> Fee {
        let schedule = &self.parameters().class(self.person(payee).class).payee_fee;
        Fee { amount: schedule.fee(amount).min(amount), to: schedule.to }
    }

    /// What a payment of `amount` takes from earmarks that outlive `until`.
    #[inline]
    pub(super) fn draw(&self, from: AccountId, to: AccountId, amount: Amount, until: Timestamp) -> Draw {
        let mut draw = Draw::default();
        let has_earmarks = self.ledger.account(from).is_some_and(|account| !account.earmarked.is_zero());
        if !has_earmarks {
            return draw;
        }
        let Some(class) = self.ledger.holder_of(to).map(|person| person.class) else { return draw };
        for (programme, earmark) in self.ledger.programmes.spendable(from, class, until) {
            let drawn = earmark.free().min(amount.minus_or_zero(draw.sum));
            if !drawn.is_zero() {
                draw.earmarks.push((programme, drawn));
                draw.sum = draw.sum.plus(drawn).expect("what is drawn is at most the amount");
            }
        }
        draw
    }

    /// What the payer lacks and the linked bank adds; without a top-up, whether nothing lacks.
    fn check_funds(
        &self,
        payer: &Account,
        rest: Amount,
        fee: Amount,
        draw: &Draw,
        top_up: Option<TopUp>,
    ) -> Result<Amount, Outcome> {
        let lacking =
            (u128::from(rest.minor()) + u128::from(fee.minor())).saturating_sub(payer.spendable().minor().into());
        match top_up {
            Some(top_up) if lacking > 0 => self.check_top_up(top_up, lacking),
            _ => {
                check_spendable(payer, u128::from(rest.minor()) + u128::from(fee.minor()), draw).map(|()| Amount::ZERO)
            }
        }
    }

    pub(super) fn person(&self, position: u32) -> &'a Holder {
        self.ledger.holders.get(position as usize).expect("every wallet has a holder")
    }
}

/// Checks that come before any look at an account.
pub(super) fn check_parties(from: AccountId, to: AccountId, amount: Amount) -> Result<(), Outcome> {
    if amount.is_zero() {
        return refuse(Reason::AmountZero);
    }
    if from == to {
        return refuse(Reason::SameAccount);
    }
    Ok(())
}

/// Whether `needed` minor units can be spent beside what earmarks give.
pub(super) fn check_spendable(payer: &Account, needed: u128, draw: &Draw) -> Result<(), Outcome> {
    let spendable = payer.spendable();
    if u128::from(spendable.minor()) >= needed {
        return Ok(());
    }
    let is_there = u128::from(payer.available.minor()) >= needed;
    let reason = if is_there { Reason::FundsFrozen } else { Reason::InsufficientFunds };
    let with_drawn = |minor: u128| u64::try_from(minor + u128::from(draw.sum.minor())).unwrap_or(u64::MAX);
    Err(Outcome::refused(reason, with_drawn(spendable.minor().into()), with_drawn(needed)))
}
