//! `[policy]`: the monetary policy in force when the clock starts.
//!
//! The keys are those of [`PolicyChange`], and `preset`.

use cbdc_devnet::policy::change::unsound;
use cbdc_devnet::policy::{PolicyChange, Preset};
use cbdc_ledger::policy::Parameters;
use serde::{Serialize, Serializer};

use super::error::ScenarioError;
use super::section::Section;

/// The policy in force at the start: by default no limit, no fee and no rate.
///
/// | key | meaning |
/// |---|---|
/// | `preset` | figures of a published system ([`Preset`]); this table's own keys override them |
/// | `supply_cap_minor` | most CBDC in existence |
/// | `issuance_quota_minor` | most that one bank may be issued a ledger day, gross |
/// | `issuance_quota_of_bank_minor` | the same for single banks: `{ bank-2 = 500000 }` |
/// | `holding_limit_minor` | most a holder may hold across banks; one figure, or a table by class, as in all below |
/// | `payment_limit_minor` | most a single payment may move |
/// | `day_limit_minor`, `month_limit_minor` | most a holder may pay a calendar day or month |
/// | `velocity` | payments of a holder in a rolling window: `"10 in 24 h"` |
/// | `remuneration` | interest on wallets: `"0 % up to 3000, -1 % above"` |
/// | `payer_fee`, `payee_fee` | `"0.10 + 0.5 % up to 100, 1 above, to payee-bank"` |
///
/// And for all classes together: `capitalisation` (`"daily"` or `"monthly"`), `policy_rate`, `deposit_rate`,
/// `lending_rate`, `penalty_rate`, `reserves_rate_up_to`, `reserves_rate_above`, `reserve_requirement`,
/// `shortfall_rate`, `haircut` (each such as `"2 %"`), `maintenance_period` (days) and `work_per_block`.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The preset that the figures come from, if any.
    pub preset: Option<Preset>,
    /// All parameters.
    pub parameters: Parameters,
}

impl Policy {
    pub(super) fn read(mut section: Section<'_>) -> Result<Self, ScenarioError> {
        let preset = read_preset(&mut section)?;
        let change = PolicyChange::read(&mut section)?;
        let mut parameters = Parameters::default();
        preset.iter().for_each(|preset| preset.change.apply(&mut parameters));
        change.apply(&mut parameters);
        if let Some(expected) = unsound(&parameters) {
            return Err(section.mistake("policy_rate", expected, "other rates"));
        }
        section.end()?;
        Ok(Self { preset, parameters })
    }
}

impl Serialize for Policy {
    /// Every parameter, and the preset's name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Table<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            preset: Option<&'a str>,
            #[serde(flatten)]
            parameters: PolicyChange,
        }
        let preset = self.preset.as_ref().map(|preset| preset.name.as_str());
        Table { preset, parameters: PolicyChange::all_of(&self.parameters) }.serialize(serializer)
    }
}

fn read_preset(section: &mut Section<'_>) -> Result<Option<Preset>, ScenarioError> {
    let Some(name) = section.text("preset")? else { return Ok(None) };
    let preset = Preset::named(&name);
    let names = Preset::names().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    preset.map(Some).ok_or_else(|| section.mistake("preset", format!("a preset: {names}"), format!("\"{name}\"")))
}
