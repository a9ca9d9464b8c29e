//! The versions of policy there have been.

use super::change::PolicyChange;
use super::parameters::Parameters;
use super::rate_schedule::RateSchedule;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::time::{LedgerDay, Timestamp};

/// A version of the parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicySet {
    /// 1 is genesis' set.
    pub version: u32,
    /// The time of the block that enacted it.
    pub in_force_since: Timestamp,
    /// The parameters.
    pub parameters: Parameters,
}

/// Every version there has been; the last one is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyVersions {
    sets: Vec<PolicySet>,
    rates: RateSchedule,
}

impl PolicyVersions {
    pub(crate) fn new(parameters: Parameters, since: Timestamp) -> Self {
        let rates = RateSchedule::new(&parameters);
        PolicyVersions { sets: vec![PolicySet { version: 1, in_force_since: since, parameters }], rates }
    }

    /// The version in force.
    pub fn in_force(&self) -> &PolicySet {
        self.sets.last().expect("there is always genesis' version")
    }

    /// The set whose rates hold on a ledger day: the last one enacted before it, or genesis'.
    pub fn rates_of_day(&self, day: LedgerDay, day_offset_minutes: i16) -> &Parameters {
        let holds = |set: &&PolicySet| set.version == 1 || set.in_force_since.ledger_day(day_offset_minutes) < day;
        let set = self.sets.iter().rfind(holds).expect("genesis' version holds on every day");
        &set.parameters
    }

    /// The rates of wallets by day, from the first day on.
    pub fn rates(&self) -> &RateSchedule {
        &self.rates
    }

    /// The version of a number.
    pub fn version(&self, version: u32) -> Option<&PolicySet> {
        self.sets.get(usize::try_from(version.checked_sub(1)?).ok()?)
    }

    /// Every version, in order.
    pub fn all(&self) -> &[PolicySet] {
        &self.sets
    }

    /// Enacts changes at `now`, a time on ledger day `today`.
    pub(crate) fn enact(&mut self, changes: &[PolicyChange], now: Timestamp, today: LedgerDay) {
        let mut parameters = self.in_force().parameters.clone();
        changes.iter().for_each(|change| parameters.apply(change));
        let version = self.in_force().version + 1;
        self.rates.enact(&parameters, today);
        self.sets.push(PolicySet { version, in_force_since: now, parameters });
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u32(self.sets.len() as u32);
        for set in &self.sets {
            out.u32(set.version).u64(set.in_force_since.0);
            set.parameters.encode(out);
        }
    }

    /// Reads the versions, and derives the rates by day from them.
    pub(crate) fn decode(input: &mut Reader<'_>, day_offset_minutes: i16) -> Result<PolicyVersions, DecodeError> {
        let count = input.u32()?;
        let mut versions: Option<PolicyVersions> = None;
        for _ in 0..count {
            let (version, in_force_since) = (input.u32()?, Timestamp(input.u64()?));
            let parameters = Parameters::decode(input)?;
            let Some(versions) = &mut versions else {
                versions = Some(PolicyVersions::new(parameters, in_force_since));
                continue;
            };
            versions.rates.enact(&parameters, in_force_since.ledger_day(day_offset_minutes));
            versions.sets.push(PolicySet { version, in_force_since, parameters });
        }
        versions.ok_or_else(|| input.wrong("at least one version of policy", 0))
    }
}
