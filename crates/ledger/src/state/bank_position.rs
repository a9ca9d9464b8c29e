//! Banks' positions at the central bank beyond the books: status, collateral, loans, statements, maintenance period.
//!
//! The books hold the balances of a bank's accounts; this module holds their terms. The header's books digest covers
//! `Positions::encode`, so two nodes that differ in a loan's terms differ in their headers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::reserve_rules::ReserveRules;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::{Amount, RatePpm};
use crate::types::identity::BankId;
use crate::types::time::LedgerDay;

/// A bank's status in the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum BankStatus {
    /// In good standing.
    #[default]
    Active = 1,
    /// No new customers and no issuance; its customers keep paying, funding and defunding.
    Suspended = 2,
    /// Nothing signed by the bank itself is accepted; its customers keep paying. Final.
    Resolved = 3,
    /// No longer a member: it has left with nothing on the ledger.
    Dismissed = 4,
}

impl BankStatus {
    /// Every status.
    pub const ALL: [BankStatus; 4] =
        [BankStatus::Active, BankStatus::Suspended, BankStatus::Resolved, BankStatus::Dismissed];

    /// The name in texts.
    pub fn name(self) -> &'static str {
        match self {
            BankStatus::Active => "active",
            BankStatus::Suspended => "suspended",
            BankStatus::Resolved => "resolved",
            BankStatus::Dismissed => "dismissed",
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<BankStatus, DecodeError> {
        let status = input.u8()?;
        let known = BankStatus::ALL.into_iter().find(|known| *known as u8 == status);
        known.ok_or_else(|| input.wrong("a known status of a bank", u64::from(status)))
    }
}

impl fmt::Display for BankStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BankStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        BankStatus::ALL
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or_else(|| format!("expected a bank's status (active, suspended, resolved), found `{text}`"))
    }
}

/// A loan from the central bank to a bank: overnight on the lending facility, or a refinancing operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loan {
    /// The amount lent and not repaid.
    pub principal: Amount,
    /// Yearly rate; `None` is the lending rate of each day (overnight on the facility).
    pub rate: Option<RatePpm>,
    /// The day at whose beginning, 00:00, it is repaid with interest.
    pub matures: LedgerDay,
    /// Whether it could not be repaid and was rolled over to the next day at the penalty rate.
    pub overdue: bool,
    /// Interest accrued so far, in minor units × ppm × days.
    pub accrued: i128,
}

/// The handover of a resolved bank's customers to another bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handover {
    /// The bank that takes them over.
    pub to: BankId,
    /// The serial of the next wallet to move.
    pub next: u32,
}

/// One bank's position.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BankPosition {
    /// The bank's status in the network.
    pub status: BankStatus,
    /// Market value of pledged collateral, before the haircut.
    pub collateral: Amount,
    /// The deposits in the bank's last signed statement.
    pub deposits_reported: Amount,
    /// Whether the bank has given a statement since the maintenance period began.
    pub has_reported: bool,
    /// Whether it has ever given a statement.
    pub has_ever_reported: bool,
    /// The sum, over the ended days of the maintenance period, of the deposits last reported.
    pub reported_sum: u128,
    /// The largest statement or base that the bank ever had.
    pub highest_base: Amount,
    /// The base of the requirement in the running maintenance period.
    pub requirement_base: Amount,
    /// The sum of the day-end reserves of the maintenance period so far.
    pub day_end_sum: u128,
    /// Loans in the order in which they were granted.
    pub loans: Vec<Loan>,
    /// Interest on reserves and on the deposit facility that is not posted yet, in minor units × ppm × days.
    pub accrued_on_reserves: i128,
    /// Interest on the deposit facility that is not posted yet, likewise.
    pub accrued_on_deposit: i128,
    /// The handover of the bank's customers, while it is in progress.
    pub handover: Option<Handover>,
}

impl BankPosition {
    /// Whether a loan of the bank is overdue.
    pub fn is_overdue(&self) -> bool {
        self.loans.iter().any(|loan| loan.overdue)
    }

    /// Deducts an amount from the loans, the oldest first. The books are posted separately.
    pub(crate) fn repay(&mut self, amount: Amount) {
        let mut left = amount;
        for loan in &mut self.loans {
            let paid = loan.principal.min(left);
            loan.principal = loan.principal.minus_or_zero(paid);
            left = left.minus_or_zero(paid);
        }
        self.loans.retain(|loan| !loan.principal.is_zero());
    }
}

/// All banks' positions and the maintenance period.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Positions {
    pub(crate) banks: BTreeMap<BankId, BankPosition>,
    /// The first day whose end was not processed yet.
    pub(crate) next_day_end: LedgerDay,
    /// First day of the maintenance period.
    pub(crate) period_start: LedgerDay,
    /// Its length in days; 0 if there was no requirement at its start.
    pub(crate) period_days: u16,
    /// The requirement's share of deposits and the penalty rate for all of the period.
    pub(crate) period_rules: ReserveRules,
}

impl Positions {
    /// The positions before the first day ends.
    pub(crate) fn new(today: LedgerDay, rules: ReserveRules) -> Positions {
        let (banks, period_days) = (BTreeMap::new(), rules.period_days);
        Positions { banks, next_day_end: today, period_start: today, period_days, period_rules: rules }
    }

    /// A bank's position.
    pub fn bank(&self, bank: BankId) -> Option<&BankPosition> {
        self.banks.get(&bank)
    }

    /// All positions, in order of number.
    pub fn banks(&self) -> impl Iterator<Item = (BankId, &BankPosition)> {
        self.banks.iter().map(|(bank, position)| (*bank, position))
    }

    /// A bank's status; `None` for one that was never a member.
    pub fn status(&self, bank: BankId) -> Option<BankStatus> {
        self.banks.get(&bank).map(|position| position.status)
    }

    /// A bank's requirement in the maintenance period; zero if there is none.
    pub fn requirement(&self, bank: BankId) -> Amount {
        let base = self.banks.get(&bank).filter(|_| self.period_days > 0).map(|position| position.requirement_base);
        base.map_or(Amount::ZERO, |base| self.period_rules.requirement(base))
    }

    /// First day and length in days of the maintenance period; length 0 if there is none.
    pub fn maintenance_period(&self) -> (LedgerDay, u16) {
        (self.period_start, self.period_days)
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u32(self.next_day_end.0).u32(self.period_start.0).u16(self.period_days);
        self.period_rules.encode(out);
        out.u32(self.banks.len() as u32);
        for (bank, position) in &self.banks {
            out.u16(bank.0).u8(position.status as u8).u64(position.collateral.minor());
            out.u64(position.deposits_reported.minor()).u64(position.requirement_base.minor());
            let reports = u8::from(position.has_reported) | u8::from(position.has_ever_reported) << 1;
            out.u8(reports).u64(position.highest_base.minor());
            out.i128(position.reported_sum as i128);
            out.i128(position.day_end_sum as i128).i128(position.accrued_on_reserves).i128(position.accrued_on_deposit);
            let handover = position.handover.unwrap_or(Handover { to: BankId(0), next: 0 });
            out.u16(handover.to.0).u32(handover.next);
            out.u32(position.loans.len() as u32);
            for loan in &position.loans {
                out.u64(loan.principal.minor()).u8(u8::from(loan.rate.is_some()));
                out.u32(loan.rate.unwrap_or_default().0 as u32).u32(loan.matures.0).u8(u8::from(loan.overdue));
                out.i128(loan.accrued);
            }
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Positions, DecodeError> {
        let (next_day_end, period_start) = (LedgerDay(input.u32()?), LedgerDay(input.u32()?));
        let (period_days, period_rules) = (input.u16()?, ReserveRules::decode(input)?);
        let banks = BTreeMap::new();
        let mut positions = Positions { banks, next_day_end, period_start, period_days, period_rules };
        for _ in 0..input.u32()? {
            let bank = BankId(input.u16()?);
            let status = BankStatus::decode(input)?;
            let mut amount = || input.u64().map(Amount::from_minor);
            let (collateral, deposits_reported, requirement_base) = (amount()?, amount()?, amount()?);
            let (reports, highest_base) = (input.u8()?, Amount::from_minor(input.u64()?));
            if reports > 3 || reports == 1 {
                return Err(input.wrong("0, 2 or 3 for the statements that a bank gave", reports.into()));
            }
            let (has_reported, has_ever_reported) = (reports & 1 == 1, reports & 2 == 2);
            let reported_sum = u128::try_from(input.i128()?).map_err(|_| input.wrong("a sum of deposits", 0))?;
            let day_end_sum = u128::try_from(input.i128()?).map_err(|_| input.wrong("a sum of reserves", 0))?;
            let (accrued_on_reserves, accrued_on_deposit) = (input.i128()?, input.i128()?);
            let handover = Handover { to: BankId(input.u16()?), next: input.u32()? };
            if handover.to == BankId(0) && handover.next != 0 {
                return Err(input.wrong("no next wallet where no bank takes customers over", handover.next.into()));
            }
            let handover = Some(handover).filter(|handover| handover.to != BankId(0));
            let loans = (0..input.u32()?).map(|_| Loan::decode(input)).collect::<Result<_, _>>()?;
            let position = BankPosition {
                status,
                collateral,
                deposits_reported,
                has_reported,
                has_ever_reported,
                reported_sum,
                highest_base,
                requirement_base,
                day_end_sum,
                loans,
                accrued_on_reserves,
                accrued_on_deposit,
                handover,
            };
            positions.banks.insert(bank, position);
        }
        Ok(positions)
    }
}

impl Loan {
    fn decode(input: &mut Reader<'_>) -> Result<Loan, DecodeError> {
        let principal = Amount::from_minor(input.u64()?);
        let (has_rate, rate) = (input.boolean()?, RatePpm(input.u32()? as i32));
        let (matures, overdue) = (LedgerDay(input.u32()?), input.boolean()?);
        Ok(Loan { principal, rate: has_rate.then_some(rate), matures, overdue, accrued: input.i128()? })
    }
}
