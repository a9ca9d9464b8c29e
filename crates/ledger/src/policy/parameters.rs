//! The parameters of policy, their changes and their versions.

use std::collections::BTreeMap;

use super::change::PolicyChange;
use super::fee::FeeSchedule;
use super::remuneration::{Capitalisation, Tiers};
use super::reserves::KeyRates;
use super::velocity::VelocityRule;
use super::work::WorkPerBlock;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::state::reserve_rules::ReserveRules;
use crate::types::amount::Amount;
use crate::types::identity::{BankId, Class};

/// All parameters. `None` means that there is no limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parameters {
    /// The most CBDC that may circulate.
    pub supply_cap: Option<Amount>,
    /// Gross issuance per ledger day, for each bank without a quota of its own.
    pub issuance_quota: Option<Amount>,
    /// Quotas of single banks, instead of the general one.
    pub issuance_quota_of_bank: BTreeMap<BankId, Amount>,
    /// The dates on which interest on wallets is posted.
    pub capitalisation: Capitalisation,
    /// The rates of the standing facilities.
    pub key_rates: KeyRates,
    /// Remuneration of reserves, and the reserve requirement.
    pub reserves: ReserveRules,
    /// The haircut on pledged collateral, ppm of its value.
    pub haircut_ppm: u32,
    /// The number of wallets, expiries and distributed credits that the ledger itself processes in one block.
    pub work_per_block: WorkPerBlock,
    /// The rules of each class, by [`Class::index`].
    pub classes: [ClassRules; Class::COUNT],
}

/// The rules for the holders of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClassRules {
    /// The most that a holder may hold, over all wallets.
    pub holding_limit: Option<Amount>,
    /// The largest single payment.
    pub payment_limit: Option<Amount>,
    /// The most that a holder may pay on one ledger day.
    pub day_limit: Option<Amount>,
    /// The most that a holder may pay in one calendar month.
    pub month_limit: Option<Amount>,
    /// The number of payments that a holder may make within a rolling window.
    pub velocity: Option<VelocityRule>,
    /// Interest on wallets, by balance.
    pub tiers: Tiers,
    /// The fees that holders of this class pay as payers.
    pub payer_fee: FeeSchedule,
    /// The fees withheld from holders of this class as payees.
    pub payee_fee: FeeSchedule,
}

impl Parameters {
    /// The rules of a class.
    pub fn class(&self, class: Class) -> &ClassRules {
        &self.classes[class.index()]
    }

    /// The most that may be issued to a bank on one ledger day: its own quota, else that of all banks.
    pub fn issuance_quota_of(&self, bank: BankId) -> Option<Amount> {
        self.issuance_quota_of_bank.get(&bank).copied().or(self.issuance_quota)
    }

    /// Whether the parameters can be in force together.
    pub fn is_sound(&self) -> bool {
        self.key_rates.is_sound()
            && self.reserves.is_sound()
            && self.haircut_ppm <= 1_000_000
            && self.work_per_block.is_sound()
            && self.classes.iter().all(|rules| rules.velocity.is_none_or(|rule| rule.is_sound()))
    }

    /// Applies one change.
    pub fn apply(&mut self, change: &PolicyChange) {
        match *change {
            PolicyChange::SupplyCap(cap) => self.supply_cap = cap,
            PolicyChange::IssuanceQuota(quota) => self.issuance_quota = quota,
            PolicyChange::IssuanceQuotaOfBank { bank, quota: Some(quota) } => {
                self.issuance_quota_of_bank.insert(bank, quota);
            }
            PolicyChange::IssuanceQuotaOfBank { bank, quota: None } => {
                self.issuance_quota_of_bank.remove(&bank);
            }
            PolicyChange::HoldingLimit { class, limit } => self.classes[class.index()].holding_limit = limit,
            PolicyChange::PaymentLimit { class, limit } => self.classes[class.index()].payment_limit = limit,
            PolicyChange::DayLimit { class, limit } => self.classes[class.index()].day_limit = limit,
            PolicyChange::MonthLimit { class, limit } => self.classes[class.index()].month_limit = limit,
            PolicyChange::Velocity { class, rule } => self.classes[class.index()].velocity = rule,
            PolicyChange::Remuneration { class, tiers } => self.classes[class.index()].tiers = tiers,
            PolicyChange::Capitalisation(capitalisation) => self.capitalisation = capitalisation,
            PolicyChange::PayerFee { class, schedule } => self.classes[class.index()].payer_fee = schedule,
            PolicyChange::PayeeFee { class, schedule } => self.classes[class.index()].payee_fee = schedule,
            PolicyChange::KeyRates(rates) => self.key_rates = rates,
            PolicyChange::Reserves(rules) => self.reserves = rules,
            PolicyChange::Haircut { ppm } => self.haircut_ppm = ppm,
            PolicyChange::WorkPerBlock(work) => self.work_per_block = work,
        }
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.optional_u64(self.supply_cap.map(Amount::minor)).optional_u64(self.issuance_quota.map(Amount::minor));
        out.u16(self.issuance_quota_of_bank.len() as u16);
        for (bank, quota) in &self.issuance_quota_of_bank {
            out.u16(bank.0).u64(quota.minor());
        }
        out.u8(self.capitalisation as u8);
        self.key_rates.encode(out);
        self.reserves.encode(out);
        out.u32(self.haircut_ppm).u32(self.work_per_block.0);
        self.classes.iter().for_each(|rules| rules.encode(out));
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Parameters, DecodeError> {
        let amount = |input: &mut Reader<'_>| Ok::<_, DecodeError>(input.optional_u64()?.map(Amount::from_minor));
        let mut parameters =
            Parameters { supply_cap: amount(input)?, issuance_quota: amount(input)?, ..Parameters::default() };
        for _ in 0..input.u16()? {
            let bank = BankId(input.u16()?);
            if parameters.issuance_quota_of_bank.last_key_value().is_some_and(|(last, _)| *last >= bank) {
                return Err(input.wrong("banks in ascending order", u64::from(bank.0)));
            }
            parameters.issuance_quota_of_bank.insert(bank, Amount::from_minor(input.u64()?));
        }
        parameters.capitalisation = Capitalisation::decode(input)?;
        parameters.key_rates = KeyRates::decode(input)?;
        parameters.reserves = ReserveRules::decode(input)?;
        (parameters.haircut_ppm, parameters.work_per_block) = (input.u32()?, WorkPerBlock(input.u32()?));
        for rules in &mut parameters.classes {
            *rules = ClassRules::decode(input)?;
        }
        Ok(parameters)
    }
}

impl ClassRules {
    fn encode(&self, out: &mut Writer) {
        for limit in [self.holding_limit, self.payment_limit, self.day_limit, self.month_limit] {
            out.optional_u64(limit.map(Amount::minor));
        }
        VelocityRule::encode(&self.velocity, out);
        self.tiers.encode(out);
        self.payer_fee.encode(out);
        self.payee_fee.encode(out);
    }

    fn decode(input: &mut Reader<'_>) -> Result<ClassRules, DecodeError> {
        let mut amount = || Ok::<_, DecodeError>(input.optional_u64()?.map(Amount::from_minor));
        let (holding_limit, payment_limit, day_limit, month_limit) = (amount()?, amount()?, amount()?, amount()?);
        Ok(ClassRules {
            holding_limit,
            payment_limit,
            day_limit,
            month_limit,
            velocity: VelocityRule::decode(input)?,
            tiers: Tiers::decode(input)?,
            payer_fee: FeeSchedule::decode(input)?,
            payee_fee: FeeSchedule::decode(input)?,
        })
    }
}
