//! The central bank's profit: coupons on its securities, less what it pays on its liabilities, goes to the government.
//!
//! On the first of a month the government owes the coupons of the month that ended. The central bank remits what its
//! equity exceeds its real amount at the start by, and only the difference is paid: an excess beyond the coupons stays
//! in equity, and a loss reduces the remittance until it is made up for.
//!
//! The ledger books the difference as the gain of a redemption: a bank, as paying agent, takes securities over at 110
//! and sells them back at par; the government pays the bank in the evening.

use cbdc_ledger::books::BookAccount;
use cbdc_ledger::command::OperationKind;

use super::Economy;
use crate::accounts::{Flow, Sector, interest, ppm};
use crate::authority::minor;
use crate::error::EconomyError;

/// Price at which the paying agent takes securities over: a tenth above par.
const REDEMPTION_PPM: u32 = 1_100_000;

impl Economy<'_> {
    pub(super) fn book_central_bank_profit(&mut self, days: u32) -> Result<(), EconomyError> {
        let books = self.authority.ledger().books();
        let securities = books.balance(BookAccount::Securities) as i64;
        let coupons = interest(securities, ppm(self.policy_rate().max(0.0)), days);
        let wanted = (self.rest.central_bank_equity_minor * self.macro_state.price_level) as i64;
        let lacking = wanted - books.equity() as i64;
        let agent = (0..self.banks.len())
            .filter(|bank| self.banks[*bank].is_active())
            .max_by_key(|bank| (self.central_bank_accounts(*bank)[0], std::cmp::Reverse(*bank)));
        let Some(agent) = agent else { return Ok(()) };
        // Ten times the difference is redeemed, which the agent advances.
        let advanced = self.central_bank_accounts(agent)[0] / 11;
        let paid = lacking.min(coupons).min(advanced).min(securities / 10).max(0);
        if paid > 0 {
            let id = self.banks[agent].id;
            self.authority.market_operation(OperationKind::SellSecurities, id, minor(10 * paid), REDEMPTION_PPM);
            self.authority.operation(OperationKind::BuySecurities, id, minor(10 * paid));
            self.settle_all()?;
            self.banks[agent].fiscal_minor -= paid;
            self.macro_state.month_obligations_minor += paid;
        }
        self.flows_today.record(Flow::Coupons, Sector::Government, Sector::CentralBank, coupons);
        self.flows_today.record(Flow::Remittance, Sector::CentralBank, Sector::Government, coupons - paid);
        Ok(())
    }
}
