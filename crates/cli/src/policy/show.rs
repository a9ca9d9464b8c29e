//! `cbdc policy show`: the parameters in force, of an earlier version, or at a height.

use cbdc_client::{Anchor, Height, Parameters, Timestamp, v1};
use cbdc_ledger::policy::text;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::network::NetworkArgument;
use crate::output::{Output, fields, limit, money, table};

/// Show the parameters of policy in force, of an earlier version, or at a height
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy show
  cbdc policy show --all                   also what is not set
  cbdc policy show --at 17                 what was in force at the end of block 17
  cbdc policy show --version-number 1 --json

Names and values are those that `cbdc policy propose` takes.")]
pub struct Show {
    /// The parameters in force at the end of this block
    #[arg(long, value_name = "HEIGHT", conflicts_with = "version_number")]
    at: Option<u64>,
    /// The parameters of this version
    #[arg(long, value_name = "N")]
    version_number: Option<u32>,
    /// Also show parameters that are not set
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Show {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let governance = network.governance_reader().await?;
        let set = match self.at {
            Some(height) => governance.policy_at(Height(height)).await?,
            None => governance.policy(self.version_number).await?,
        };
        output.print(object(&set), || sheet(&anchor, &set, self.all));
        Ok(())
    }
}

fn object(set: &v1::PolicySet) -> Value {
    let class = |rules: &v1::ClassRules| {
        let limits = json!({
            "holding_limit_minor": rules.holding_limit_minor,
            "payment_limit_minor": rules.payment_limit_minor,
            "day_limit_minor": rules.day_limit_minor,
            "month_limit_minor": rules.month_limit_minor,
        });
        (rules.class.clone(), limits)
    };
    let quota = |quota: &v1::BankQuota| (format!("bank-{}", quota.bank), json!(quota.quota_minor));
    let parameter = |parameter: &v1::Parameter| (parameter.name.clone(), json!(parameter.value));
    json!({
        "version": set.version,
        "in_force_since_ms": set.in_force_since_ms,
        "supply_cap_minor": set.supply_cap_minor,
        "issuance_quota_minor": set.issuance_quota_minor,
        "issuance_quota_of_bank_minor": set.bank_quotas.iter().map(quota).collect::<Map<_, _>>(),
        "classes": set.classes.iter().map(class).collect::<Map<_, _>>(),
        "parameters": set.parameters.iter().map(parameter).collect::<Map<_, _>>(),
        "height": set.height,
    })
}

/// The parameters as text: general, banks, and a table by class.
fn sheet(anchor: &Anchor, set: &v1::PolicySet, all: bool) -> String {
    let unset = text::show(&Parameters::default(), anchor.genesis().currency_exponent);
    let is_shown = |parameter: &&v1::Parameter| {
        all || !unset.iter().any(|(name, value)| (name, value) == (&parameter.name, &parameter.value))
    };
    let shown: Vec<&v1::Parameter> = set.parameters.iter().filter(is_shown).collect();
    let (of_classes, of_all): (Vec<_>, Vec<_>) = shown.into_iter().partition(|parameter| of_class(parameter).is_some());
    let (of_banks, general): (Vec<_>, Vec<_>) =
        of_all.into_iter().partition(|parameter| text::BANK_NAMES.contains(&parameter.name.as_str()));
    let mut parts = vec![fields(&[
        ("policy version", set.version.to_string()),
        ("in force since", Timestamp(set.in_force_since_ms).to_string()),
        ("as of block", set.height.to_string()),
    ])];
    for (title, parameters) in [("general", general), ("banks", of_banks)] {
        if !parameters.is_empty() {
            let rows: Vec<_> = parameters.iter().map(|one| (one.name.as_str(), value(anchor, set, one))).collect();
            parts.push(format!("{title}\n{}", fields(&rows)));
        }
    }
    if !of_classes.is_empty() {
        parts.push(format!("by class, amounts in {}\n{}", anchor.currency(), class_table(set, &of_classes)));
    }
    if parts.len() == 1 {
        parts.push("No parameter is set. See all of them: cbdc policy show --all".to_owned());
    }
    parts.join("\n")
}

/// A parameter's value as text; money with its currency.
fn value(anchor: &Anchor, set: &v1::PolicySet, parameter: &v1::Parameter) -> String {
    let quota = set.bank_quotas.iter().find(|quota| parameter.name == format!("issuance-quota.bank-{}", quota.bank));
    match (parameter.name.as_str(), quota) {
        ("supply-cap", _) => limit(anchor, set.supply_cap_minor),
        ("issuance-quota", _) => limit(anchor, set.issuance_quota_minor),
        (_, Some(quota)) => money(anchor, quota.quota_minor),
        _ => parameter.value.clone(),
    }
}

/// The name and class of a parameter by class.
fn of_class(parameter: &v1::Parameter) -> Option<(&str, &str)> {
    parameter.name.split_once('.').filter(|(name, _)| text::CLASS_NAMES.contains(name))
}

/// A table with a row per class and a column per parameter, as far as any value is shown.
fn class_table(set: &v1::PolicySet, shown: &[&v1::Parameter]) -> String {
    let is_shown =
        |name: &str| shown.iter().filter_map(|one| of_class(one)).any(|(of, class)| of == name || class == name);
    let columns: Vec<&str> = text::CLASS_NAMES.into_iter().filter(|name| is_shown(name)).collect();
    let classes = set.classes.iter().map(|rules| rules.class.as_str()).filter(|class| is_shown(class));
    let value = |name: &str, class: &str| {
        let found = set.parameters.iter().find(|one| of_class(one) == Some((name, class)));
        found.map(|one| one.value.clone()).unwrap_or_default()
    };
    let row =
        |class: &str| std::iter::once(class.to_owned()).chain(columns.iter().map(|name| value(name, class))).collect();
    let rows: Vec<Vec<String>> = classes.map(row).collect();
    let aligned =
        columns.iter().map(|name| if name.ends_with("-limit") { format!(">{name}") } else { (*name).to_owned() });
    let headings: Vec<String> = std::iter::once("class".to_owned()).chain(aligned).collect();
    table(&headings.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
}

#[cfg(test)]
mod tests {
    use super::super::action::tests::anchor;
    use super::*;

    fn policy(values: &[(&str, &str)]) -> v1::PolicySet {
        let mut parameters = Parameters::default();
        for (name, value) in values {
            text::set(&mut parameters, name, value, 2).unwrap();
        }
        let shown = text::show(&parameters, 2).into_iter();
        let class =
            |class: cbdc_client::Class| v1::ClassRules { class: class.to_string(), ..v1::ClassRules::default() };
        v1::PolicySet {
            version: 3,
            supply_cap_minor: parameters.supply_cap.map(cbdc_client::Amount::minor),
            parameters: shown.map(|(name, value)| v1::Parameter { name, value }).collect(),
            classes: cbdc_client::Class::all().map(class).collect(),
            ..v1::PolicySet::default()
        }
    }

    #[test]
    fn what_is_set_is_shown_by_section_and_the_rest_only_when_asked_for() {
        let set = policy(&[
            ("supply-cap", "1000"),
            ("policy-rate", "0 %"),
            ("haircut", "10 %"),
            ("holding-limit.household", "3000"),
            ("payee-fee.merchant", "0.2 %"),
        ]);
        let text = sheet(&anchor(), &set, false);
        let (_, sections) = text.split_once("\n\n").unwrap();
        assert_eq!(
            sections,
            "general\nsupply-cap  1,000.00 XTS\n\nbanks\nhaircut  10 %\n\nby class, amounts in XTS\n\
             class      holding-limit  payee-fee\n\
             household        3000.00  none\n\
             merchant            none  0.2 % above, to equity\n"
        );
        let all = sheet(&anchor(), &set, true);
        for name in text::NAMES.iter().chain(&text::CLASS_NAMES) {
            assert!(all.contains(name), "{name} is missing in {all}");
        }
        assert!(sheet(&anchor(), &policy(&[]), false).contains("No parameter is set"));
    }
}
