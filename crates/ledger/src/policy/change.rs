//! Changes of single parameters, as the committee proposes them.

use super::fee::FeeSchedule;
use super::remuneration::{Capitalisation, Tiers};
use super::reserves::KeyRates;
use super::velocity::VelocityRule;
use super::work::WorkPerBlock;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::state::reserve_rules::ReserveRules;
use crate::types::amount::Amount;
use crate::types::identity::{BankId, Class};

/// One change to the parameters.
#[allow(missing_docs, reason = "a field is named for what it holds")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyChange {
    /// The most CBDC that may circulate.
    SupplyCap(Option<Amount>),
    /// Gross issuance per ledger day, for banks without a quota of their own.
    IssuanceQuota(Option<Amount>),
    /// A bank's own quota; `None` removes it.
    IssuanceQuotaOfBank { bank: BankId, quota: Option<Amount> },
    /// The most that a holder of a class may hold.
    HoldingLimit { class: Class, limit: Option<Amount> },
    /// The largest single payment of a class.
    PaymentLimit { class: Class, limit: Option<Amount> },
    /// The most that a holder of a class may pay on one ledger day.
    DayLimit { class: Class, limit: Option<Amount> },
    /// The most that a holder of a class may pay in one calendar month.
    MonthLimit { class: Class, limit: Option<Amount> },
    /// The number of payments that a holder of a class may make within a window.
    Velocity { class: Class, rule: Option<VelocityRule> },
    /// Interest on wallets of a class.
    Remuneration { class: Class, tiers: Tiers },
    /// The dates on which interest on wallets is posted.
    Capitalisation(Capitalisation),
    /// The fees that holders of a class pay as payers.
    PayerFee { class: Class, schedule: FeeSchedule },
    /// The fees withheld from holders of a class as payees.
    PayeeFee { class: Class, schedule: FeeSchedule },
    /// The rates of the standing facilities.
    KeyRates(KeyRates),
    /// Remuneration of reserves, and the reserve requirement.
    Reserves(ReserveRules),
    /// The haircut on pledged collateral, ppm of its value.
    Haircut { ppm: u32 },
    /// The amount of work that the ledger does by itself in one block.
    WorkPerBlock(WorkPerBlock),
}

impl PolicyChange {
    pub(crate) fn encode(&self, out: &mut Writer) {
        let limit = |out: &mut Writer, tag: u8, class: Class, limit: &Option<Amount>| {
            out.u8(tag).u8(class.0).optional_u64(limit.map(Amount::minor));
        };
        match self {
            PolicyChange::SupplyCap(cap) => {
                out.u8(1).optional_u64(cap.map(Amount::minor));
            }
            PolicyChange::IssuanceQuota(quota) => {
                out.u8(2).optional_u64(quota.map(Amount::minor));
            }
            PolicyChange::IssuanceQuotaOfBank { bank, quota } => {
                out.u8(3).u16(bank.0).optional_u64(quota.map(Amount::minor));
            }
            PolicyChange::HoldingLimit { class, limit: amount } => limit(out, 4, *class, amount),
            PolicyChange::PaymentLimit { class, limit: amount } => limit(out, 5, *class, amount),
            PolicyChange::DayLimit { class, limit: amount } => limit(out, 6, *class, amount),
            PolicyChange::MonthLimit { class, limit: amount } => limit(out, 7, *class, amount),
            PolicyChange::Velocity { class, rule } => {
                out.u8(8).u8(class.0);
                VelocityRule::encode(rule, out);
            }
            PolicyChange::Remuneration { class, tiers } => {
                out.u8(9).u8(class.0);
                tiers.encode(out);
            }
            PolicyChange::Capitalisation(capitalisation) => {
                out.u8(10).u8(*capitalisation as u8);
            }
            PolicyChange::PayerFee { class, schedule } => {
                out.u8(11).u8(class.0);
                schedule.encode(out);
            }
            PolicyChange::PayeeFee { class, schedule } => {
                out.u8(12).u8(class.0);
                schedule.encode(out);
            }
            PolicyChange::KeyRates(rates) => {
                out.u8(13);
                rates.encode(out);
            }
            PolicyChange::Reserves(rules) => {
                out.u8(14);
                rules.encode(out);
            }
            PolicyChange::Haircut { ppm } => {
                out.u8(15).u32(*ppm);
            }
            PolicyChange::WorkPerBlock(work) => {
                out.u8(16).u32(work.0);
            }
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<PolicyChange, DecodeError> {
        let amount = |input: &mut Reader<'_>| Ok::<_, DecodeError>(input.optional_u64()?.map(Amount::from_minor));
        Ok(match input.u8()? {
            1 => PolicyChange::SupplyCap(amount(input)?),
            2 => PolicyChange::IssuanceQuota(amount(input)?),
            3 => PolicyChange::IssuanceQuotaOfBank { bank: BankId(input.u16()?), quota: amount(input)? },
            4 => PolicyChange::HoldingLimit { class: Class::decode(input)?, limit: amount(input)? },
            5 => PolicyChange::PaymentLimit { class: Class::decode(input)?, limit: amount(input)? },
            6 => PolicyChange::DayLimit { class: Class::decode(input)?, limit: amount(input)? },
            7 => PolicyChange::MonthLimit { class: Class::decode(input)?, limit: amount(input)? },
            8 => PolicyChange::Velocity { class: Class::decode(input)?, rule: VelocityRule::decode(input)? },
            9 => PolicyChange::Remuneration { class: Class::decode(input)?, tiers: Tiers::decode(input)? },
            10 => PolicyChange::Capitalisation(Capitalisation::decode(input)?),
            11 => PolicyChange::PayerFee { class: Class::decode(input)?, schedule: FeeSchedule::decode(input)? },
            12 => PolicyChange::PayeeFee { class: Class::decode(input)?, schedule: FeeSchedule::decode(input)? },
            13 => PolicyChange::KeyRates(KeyRates::decode(input)?),
            14 => PolicyChange::Reserves(ReserveRules::decode(input)?),
            15 => PolicyChange::Haircut { ppm: input.u32()? },
            16 => PolicyChange::WorkPerBlock(WorkPerBlock(input.u32()?)),
            other => return Err(input.wrong("a known parameter of policy", u64::from(other))),
        })
    }
}
