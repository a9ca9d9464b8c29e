//! Money between two wallets: both records, the rules of each side, and what moves along with the money. Transfers,
//! holds and captures are made of it.
//!
//! A transfer is checked in this order: payee, limits of the payer's holder, fee, funds, and the other effects of the
//! credit ([`super::credit`]). It draws on earmarked money that may be spent at this payee, the earliest expiry first,
//! then on available money. Between two wallets of one holder nothing is charged or counted, and no earmarked money is
//! used; of the limits only the holding limit applies, to what a bank adds.
//!
//! Each side is looked up once, its record is copied, and the rules work on the copies. The steps of a transfer are
//! compiled into one function (`inline(always)`): passing the copies from one to the next would cost as much as the
//! rules.

use super::context::{Settled, StateAt, Transition};
use super::credit::{Credit, TopUp};
use super::party::Party;
use super::remuneration::{Current, Flows};
use crate::command::Payment;
use crate::policy::{FeeTo, day_limit, holding_limit, month_limit, payment_limit, velocity};
use crate::state::account::Account;
use crate::state::holder::Holder;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId, Class};
use crate::types::outcome::{Charges, Outcome, Reason};
use crate::types::time::Timestamp;

/// The purpose-bound money that a payment draws on: programme and amount.
#[derive(Default)]
pub(super) struct Draw {
    pub(super) earmarks: Vec<(u64, Amount)>,
    pub(super) sum: Amount,
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

/// The two wallets of a payment. Both records are copies, brought to today: the payment is made on them, and they are
/// stored once no rule has refused it.
pub(super) struct Pair {
    pub(super) from: AccountId,
    pub(super) payer: Current,
    pub(super) to: AccountId,
    pub(super) payee: Current,
}

impl Pair {
    /// Whether both wallets belong to one holder.
    pub(super) fn is_own(&self) -> bool {
        self.payer.account.holder == self.payee.account.holder
    }
}

/// The payer's side of a payment between wallets. The payer's record is as it will be after the payment.
pub(super) struct PayerSide {
    pub(super) fee: Fee,
    /// The decrease of the payer's holder's money: their own, without what a bank adds.
    pub(super) own_money: Amount,
    pub(super) reverse_waterfall: Option<(BankId, Amount)>,
}

/// The movements of a payment between wallets, apart from the money on its two records.
pub(super) struct Payout {
    amount: Amount,
    own_money: Amount,
    fee: Amount,
    pub(super) payee_fee: Amount,
    pub(super) credit: Credit,
    flows: Flows,
    /// Fees to the treasury of the payee's bank.
    fees_to_bank: Amount,
}

impl Transition<'_> {
    /// Wallet to wallet, with or without money of the payer's linked bank.
    #[inline(always)]
    pub(super) fn transfer(&mut self, payment: &Payment, top_up: Option<TopUp>) -> Settled {
        let at = self.at();
        let payee = at.payee_wallet(payment.to)?;
        let mut pair = at.pair(payment.from, payment.to, payee);
        let (payout, draw) = at.transfer(payment, top_up, &mut pair)?;
        let outcome = self.pay_out(&pair, &payout)?;
        for (programme, drawn) in draw.earmarks {
            self.change_earmark(payment.from, programme, |earmark| {
                earmark.amount = earmark.amount.minus_or_zero(drawn)
            });
        }
        Ok(outcome)
    }

    /// Makes a payment between wallets.
    #[inline(always)]
    pub(super) fn pay_out(&mut self, pair: &Pair, payout: &Payout) -> Settled {
        let flows = &payout.flows;
        self.post_flows(flows)?;

        // From here on nothing can be refused.
        let (today, first_of_month) = (self.today, self.first_of_month);
        let payer = self.store_wallet(pair.from, &pair.payer, Amount::ZERO, payout.own_money);
        if !pair.is_own() {
            payer.note_payment(today, first_of_month, payout.amount);
            let class = payer.class;
            self.note_time(pair.payer.account.holder, class);
        }
        self.store_wallet(pair.to, &pair.payee, payout.credit.credited, Amount::ZERO);
        if !payout.fees_to_bank.is_zero() {
            let treasury = self.account_mut(AccountId::treasury(pair.to.bank));
            let available = treasury.available.plus(payout.fees_to_bank);
            treasury.available = available.expect("all CBDC fits the range, so a part does");
        }
        self.note_deposits(pair.from, pair.to, flows);
        let reverse_waterfall = flows.reverse_waterfall.map_or(Amount::ZERO, |(_, amount)| amount);
        Ok(Outcome::paid(Charges { fee: payout.fee, payee_fee: payout.payee_fee, reverse_waterfall }))
    }

    pub(super) fn holder_mut(&mut self, position: u32) -> &mut Holder {
        self.ledger.holders.get_mut(position as usize).expect("every wallet has a holder")
    }

    /// Records the time of a holder's payment if a velocity rule needs it.
    fn note_time(&mut self, position: u32, class: Class) {
        if self.ledger.parameters().class(class).velocity.is_some() {
            let recent = self.ledger.recent_payments.get_mut(position as usize);
            recent.expect("every holder has a record of payments").note(self.time);
        }
    }
}

impl<'a> StateAt<'a> {
    /// Checks a transfer and makes it on both records.
    #[inline(always)]
    pub(super) fn transfer(
        &self,
        payment: &Payment,
        top_up: Option<TopUp>,
        pair: &mut Pair,
    ) -> Result<(Payout, Draw), Outcome> {
        let amount = payment.amount;
        let (mut fee, mut draw) = (Fee::NONE, Draw::default());
        if !pair.is_own() {
            let payer = self.party_of(&pair.payer.account);
            self.check_limits(&payer, pair.payer.account.holder, amount)?;
            fee = payer_fee(&payer, amount, payment.max_fee)?;
            draw = self.draw(pair, amount, self.time);
        }
        let account = &mut pair.payer.account;
        let rest = amount.minus_or_zero(draw.sum);
        let lacking = self.check_funds(account, rest, fee.amount, &draw, top_up)?;

        let needed = rest.plus(fee.amount);
        // With a top-up the wallet pays all that it may spend, and the bank the rest.
        let own_money = needed.filter(|_| lacking.is_zero()).unwrap_or(account.spendable());
        account.available = account.available.minus(own_money).expect("the funds were checked");
        account.earmarked = account.earmarked.minus_or_zero(draw.sum);
        let reverse_waterfall = top_up.filter(|_| !lacking.is_zero()).map(|top_up| (top_up.bank, lacking));
        let side = PayerSide { fee, own_money, reverse_waterfall };
        Ok((self.payout(side, pair, amount)?, draw))
    }

    /// Adds the payee's side: fee, claim, holding limit.
    #[inline(always)]
    pub(super) fn payout(&self, side: PayerSide, pair: &mut Pair, amount: Amount) -> Result<Payout, Outcome> {
        let (payee_fee, credit) = if pair.is_own() {
            pair.payee.join(self.holder(pair.payee.account.holder));
            pair.payer.hand_claim_to(&mut pair.payee);
            let credit = Credit::unlimited(&mut pair.payee, amount);
            if let Some((_, added)) = side.reverse_waterfall {
                self.check_growth(pair, added)?;
            }
            (Fee::NONE, credit)
        } else {
            let payee = self.party_of(&pair.payee.account);
            let fee = payee_fee(&payee, amount);
            (fee, self.credit_party(&payee, &mut pair.payee, amount.minus_or_zero(fee.amount))?)
        };
        let (waterfall, reverse_waterfall) = (credit.waterfall, side.reverse_waterfall);
        let mut flows = Flows { waterfall, reverse_waterfall, ..Flows::default() }.with(&pair.payer).with(&pair.payee);
        let mut fees_to_bank = Amount::ZERO;
        for fee in [side.fee, payee_fee] {
            let sum = if fee.to == FeeTo::Equity { &mut flows.fees } else { &mut fees_to_bank };
            *sum = sum.plus(fee.amount).ok_or(Outcome::refused(Reason::Overflow, 0, amount.minor()))?;
        }
        let (own_money, fee, payee_fee) = (side.own_money, side.fee.amount, payee_fee.amount);
        Ok(Payout { amount, own_money, fee, payee_fee, credit, flows, fees_to_bank })
    }

    /// Between wallets of one holder only what a bank adds is new money to the holder: all of it must fit under the
    /// holding limit. Both wallets are as the payment leaves them.
    #[cold]
    #[inline(never)]
    fn check_growth(&self, pair: &Pair, added: Amount) -> Result<(), Outcome> {
        let payee = self.party_of(&pair.payee.account);
        let Some(limit) = payee.rules.holding_limit else { return Ok(()) };
        let sides = [&pair.payer, &pair.payee];
        let posted = |sum: Option<Amount>, side: &&Current| sum?.plus(side.interest)?.minus(side.demurrage);
        let held = sides.iter().fold(payee.holder.posted.plus(added), posted);
        match held.is_some_and(|held| holding_limit::excess(limit, held).is_zero()) {
            true => Ok(()),
            false => Err(Outcome::refused(Reason::HoldingLimit, limit.minor(), added.minor())),
        }
    }

    /// The two wallets of a payment whose payee was looked up before.
    #[inline(always)]
    pub(super) fn pair(&self, from: AccountId, to: AccountId, payee: &Account) -> Pair {
        Pair { from, payer: self.current(from), to, payee: self.ledger.brought_to_today(*payee, self.today) }
    }

    /// Limits of the payer's holder on settled outgoing payments.
    #[inline(always)]
    pub(super) fn check_limits(&self, payer: &Party<'_>, position: u32, amount: Amount) -> Result<(), Outcome> {
        let Party { holder, rules } = payer;
        payment_limit::check(rules.payment_limit, amount)?;
        day_limit::check(rules.day_limit, holder, self.today, amount)?;
        month_limit::check(rules.month_limit, holder, self.first_of_month, amount)?;
        let recent = self.ledger.recent_payments.get(position as usize);
        velocity::check(rules.velocity, || recent.expect("every holder has a record of payments"), self.time)
    }

    /// The part of a payment of `amount` that earmarks outliving `until` cover.
    #[inline(always)]
    pub(super) fn draw(&self, pair: &Pair, amount: Amount, until: Timestamp) -> Draw {
        if pair.payer.account.earmarked.is_zero() {
            return Draw::default();
        }
        self.draw_on_earmarks(pair, amount, until)
    }

    fn draw_on_earmarks(&self, pair: &Pair, amount: Amount, until: Timestamp) -> Draw {
        let mut draw = Draw::default();
        let class = self.holder(pair.payee.account.holder).class;
        for (programme, earmark) in self.ledger.programmes.spendable(pair.from, class, until) {
            let drawn = earmark.free().min(amount.minus_or_zero(draw.sum));
            if !drawn.is_zero() {
                draw.earmarks.push((programme, drawn));
                draw.sum = draw.sum.plus(drawn).expect("what is drawn is at most the amount");
            }
        }
        draw
    }

    /// The amount that the payer lacks and the linked bank adds; without a top-up, a check that nothing is lacking.
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
}

#[inline(always)]
pub(super) fn payer_fee(payer: &Party<'_>, amount: Amount, max_fee: Amount) -> Result<Fee, Outcome> {
    let schedule = &payer.rules.payer_fee;
    let fee = Fee { amount: schedule.fee(amount), to: schedule.to };
    if fee.amount > max_fee {
        return Err(Outcome::refused(Reason::MaxFee, max_fee.minor(), fee.amount.minor()));
    }
    // An outcome can hold no more.
    if fee.amount > Charges::FEE_MAX {
        return Err(Outcome::refused(Reason::Overflow, Charges::FEE_MAX.minor(), fee.amount.minor()));
    }
    Ok(fee)
}

/// The payee's fee, never above what is paid.
pub(super) fn payee_fee(payee: &Party<'_>, amount: Amount) -> Fee {
    let schedule = &payee.rules.payee_fee;
    Fee { amount: schedule.fee(amount).min(amount), to: schedule.to }
}

/// Checks that `needed` minor units can be spent besides earmarked money.
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
