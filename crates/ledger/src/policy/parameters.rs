//! The parameters of policy, their changes and their versions.

use std::collections::BTreeMap;

use crate::amount::Amount;
use crate::encoding::{DecodeError, Reader, Writer};
use crate::identity::{BankId, Class};
use crate::time::Timestamp;

/// All parameters. `None` means that there is no limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parameters {
    pub supply_cap: Option<Amount>,
    /// Gross issuance a ledger day, for each bank without a quota of its own.
    pub issuance_quota: Option<Amount>,
    pub issuance_quota_of_bank: BTreeMap<BankId, Amount>,
    pub classes: [ClassRules; Class::COUNT],
}

/// What holds for the holders of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClassRules {
    pub holding_limit: Option<Amount>,
    pub payment_limit: Option<Amount>,
    pub day_limit: Option<Amount>,
}

/// One change to the parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyChange {
    SupplyCap(Option<Amount>),
    IssuanceQuota(Option<Amount>),
    IssuanceQuotaOfBank { bank: BankId, quota: Option<Amount> },
    HoldingLimit { class: Class, limit: Option<Amount> },
    PaymentLimit { class: Class, limit: Option<Amount> },
    DayLimit { class: Class, limit: Option<Amount> },
}

impl Parameters {
    pub fn class(&self, class: Class) -> &ClassRules {
        static NONE: ClassRules = ClassRules { holding_limit: None, payment_limit: None, day_limit: None };
        self.classes.get(class.index()).unwrap_or(&NONE)
    }

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
        }
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.optional_u64(self.supply_cap.map(Amount::minor)).optional_u64(self.issuance_quota.map(Amount::minor));
        out.u16(self.issuance_quota_of_bank.len() as u16);
        for (bank, quota) in &self.issuance_quota_of_bank {
            out.u16(bank.0).u64(quota.minor());
        }
        for rules in &self.classes {
            for limit in [rules.holding_limit, rules.payment_limit, rules.day_limit] {
                out.optional_u64(limit.map(Amount::minor));
            }
        }
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
        for rules in &mut parameters.classes {
            *rules =
                ClassRules { holding_limit: amount(input)?, payment_limit: amount(input)?, day_limit: amount(input)? };
        }
        Ok(parameters)
    }
}

/// A version of the parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicySet {
    /// 1 is genesis' set.
    pub version: u32,
    pub in_force_since: Timestamp,
    pub parameters: Parameters,
}

/// Every version there has been; the last one is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyVersions(Vec<PolicySet>);

impl PolicyVersions {
    pub(crate) fn new(parameters: Parameters, since: Timestamp) -> Self {
        PolicyVersions(vec![PolicySet { version: 1, in_force_since: since, parameters }])
    }

    pub fn in_force(&self) -> &PolicySet {
        self.0.last().expect("there is always genesis' version")
    }

    pub fn version(&self, version: u32) -> Option<&PolicySet> {
        self.0.get(usize::try_from(version.checked_sub(1)?).ok()?)
    }

    pub fn all(&self) -> &[PolicySet] {
        &self.0
    }

    pub(crate) fn enact(&mut self, changes: &[PolicyChange], now: Timestamp) {
        let mut parameters = self.in_force().parameters.clone();
        changes.iter().for_each(|change| parameters.apply(change));
        let version = self.in_force().version + 1;
        self.0.push(PolicySet { version, in_force_since: now, parameters });
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u32(self.0.len() as u32);
        for set in &self.0 {
            out.u32(set.version).u64(set.in_force_since.0);
            set.parameters.encode(out);
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<PolicyVersions, DecodeError> {
        let count = input.u32()?;
        if count == 0 {
            return Err(input.wrong("at least one version of policy", 0));
        }
        let mut sets = Vec::new();
        for _ in 0..count {
            let (version, since) = (input.u32()?, Timestamp(input.u64()?));
            sets.push(PolicySet { version, in_force_since: since, parameters: Parameters::decode(input)? });
        }
        Ok(PolicyVersions(sets))
    }
}
