//! Explains a scenario: the population and the policy at the start, and each behaviour's model, equation, source and
//! parameters.

use crate::behaviour::Behaviour;
use crate::scenario::Scenario;

/// Every behaviour of a scenario, with the values in force.
pub fn explain(scenario: &Scenario) -> Vec<Behaviour> {
    scenario.values.behaviours.describe()
}

/// Population, policy and behaviours as text for a terminal.
pub fn explanation(scenario: &Scenario) -> String {
    let mut text = format!("{}  scenario {}\n", scenario.name, scenario.hash());
    text.push_str("\npopulation at the start\n");
    for provision in scenario.population() {
        text.push_str(&format!("  {} = {}  {}\n", provision.key, provision.value, provision.meaning));
    }
    text.push_str("\npolicy at the start, enforced by the ledger\n");
    for provision in scenario.values.policy.listed() {
        text.push_str(&format!("  {} = {}  {}\n", provision.key, provision.value, provision.meaning));
    }
    for behaviour in explain(scenario) {
        let others: Vec<&str> = behaviour.models.iter().copied().filter(|word| *word != behaviour.model).collect();
        let others = if others.is_empty() { String::new() } else { format!("  (or {})", others.join(", ")) };
        text.push_str(&format!(
            "\n{} = \"{}\"{others}\n  equation  {}\n  source    {}\n",
            behaviour.name, behaviour.model, behaviour.equation, behaviour.source
        ));
        for parameter in &behaviour.parameters {
            text.push_str(&format!(
                "  {} = {}  [{} to {}]  {}\n",
                parameter.key, parameter.value, parameter.least, parameter.most, parameter.meaning
            ));
        }
    }
    text
}
