//! The versions of policy so far.

use super::change::PolicyChange;
use super::parameters::Parameters;
use super::rate_schedule::RateSchedule;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::state::sections::{Kept, digest};
use crate::types::time::{LedgerDay, Timestamp};

/// A version of the parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicySet {
    /// The version's number; 1 is the set in genesis.
    pub version: u32,
    /// The time of the block that enacted it.
    pub in_force_since: Timestamp,
    /// The parameters.
    pub parameters: Parameters,
}

impl PolicySet {
    fn encode(&self, out: &mut Writer) {
        out.u32(self.version).u64(self.in_force_since.0);
        self.parameters.encode(out);
    }

    fn decode(input: &mut Reader<'_>) -> Result<PolicySet, DecodeError> {
        let (version, in_force_since) = (input.u32()?, Timestamp(input.u64()?));
        Ok(PolicySet { version, in_force_since, parameters: Parameters::decode(input)? })
    }
}

/// Every version so far; the last one is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyVersions {
    sets: Vec<PolicySet>,
    rates: RateSchedule,
    digest: Kept<Hash>,
}

impl PolicyVersions {
    pub(crate) fn new(parameters: Parameters, since: Timestamp) -> Self {
        let rates = RateSchedule::new(&parameters);
        let sets = vec![PolicySet { version: 1, in_force_since: since, parameters }];
        PolicyVersions { sets, rates, digest: Kept::default() }
    }

    /// The version in force.
    pub fn in_force(&self) -> &PolicySet {
        self.sets.last().expect("there is always genesis' version")
    }

    /// The set whose rates apply on a ledger day: the last one enacted before it, or that of genesis.
    pub fn rates_of_day(&self, day: LedgerDay, day_offset_minutes: i16) -> &Parameters {
        let holds = |set: &&PolicySet| set.version == 1 || set.in_force_since.ledger_day(day_offset_minutes) < day;
        let set = self.sets.iter().rfind(holds).expect("genesis' version holds on every day");
        &set.parameters
    }

    /// The rates of wallets by day, from the first day on.
    pub fn rates(&self) -> &RateSchedule {
        &self.rates
    }

    /// The version with a number.
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
        self.digest.forget();
        self.rates.enact(&parameters, today);
        self.sets.push(PolicySet { version, in_force_since: now, parameters });
    }

    /// The digest of all versions.
    pub(crate) fn digest(&self) -> Hash {
        self.digest.get(|| digest(|out| self.encode(out)))
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u32(self.sets.len() as u32);
        self.sets.iter().for_each(|set| set.encode(out));
    }

    /// Appends the versions after one, for [`PolicyVersions::decode_after`].
    pub(crate) fn encode_after(&self, version: u32, out: &mut Writer) {
        let later = &self.sets[(version as usize).min(self.sets.len())..];
        out.u32(later.len() as u32);
        later.iter().for_each(|set| set.encode(out));
    }

    /// These versions and those after them; `None` if there are none.
    pub(crate) fn decode_after(
        &self,
        input: &mut Reader<'_>,
        day_offset_minutes: i16,
    ) -> Result<Option<PolicyVersions>, DecodeError> {
        let mut after = None;
        for _ in 0..input.u32()? {
            let versions = after.get_or_insert_with(|| self.clone());
            let set = PolicySet::decode(input)?;
            if set.version != versions.in_force().version + 1 {
                return Err(input.wrong("the next version of policy", u64::from(set.version)));
            }
            versions.push(set, day_offset_minutes);
        }
        Ok(after)
    }

    fn push(&mut self, set: PolicySet, day_offset_minutes: i16) {
        self.digest.forget();
        self.rates.enact(&set.parameters, set.in_force_since.ledger_day(day_offset_minutes));
        self.sets.push(set);
    }

    /// Reads the versions, and derives the rates by day from them.
    pub(crate) fn decode(input: &mut Reader<'_>, day_offset_minutes: i16) -> Result<PolicyVersions, DecodeError> {
        let count = input.u32()?;
        let mut versions: Option<PolicyVersions> = None;
        for _ in 0..count {
            let set = PolicySet::decode(input)?;
            let expected = versions.as_ref().map_or(1, |versions: &PolicyVersions| versions.in_force().version + 1);
            if set.version != expected {
                return Err(input.wrong("versions of policy in order", u64::from(set.version)));
            }
            match &mut versions {
                None => versions = Some(PolicyVersions::new(set.parameters, set.in_force_since)),
                Some(versions) => versions.push(set, day_offset_minutes),
            }
        }
        versions.ok_or_else(|| input.wrong("at least one version of policy", 0))
    }
}
