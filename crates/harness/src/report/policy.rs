//! The page's section on policy: the source of its figures, the payments under each version, the rules that refused
//! payments, and holdings compared with the limit.

use std::collections::BTreeMap;
use std::fmt::Write;

use cbdc_ledger::Reason;

use super::format::{count, money, percent, share};
use super::plot::{Bar, Series, bars, escape};
use crate::result::{ClassHoldings, NotOrdered, PolicyVersionReport, PresetFacts, RunResult, Second};

/// Colours of rules in a stack, the most frequent first; the last one is for all others.
const RULE_COLOURS: [&str; 6] = ["c3", "c4", "c5", "c1", "c7", "c6"];
/// The most classes whose holdings are drawn.
const CLASSES_MAX: usize = 3;

/// Refusals per second: one series for each of the five most frequent rules, and one for all others.
pub fn refusals_by_rule(rows: &[Second]) -> Vec<Series> {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for (rule, number) in rows.iter().flat_map(|row| &row.refusals) {
        *totals.entry(rule).or_default() += number;
    }
    let mut rules: Vec<(&str, u64)> = totals.into_iter().collect();
    rules.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let of = |row: &Second, rule: &str| row.refusals.get(rule).copied().unwrap_or(0);
    let series = |name: &str, colour, value: &dyn Fn(&Second) -> u64| Series {
        name: name.to_owned(),
        colour,
        values: rows.iter().map(|row| Some(value(row) as f64)).collect(),
    };
    let (alone, others) = rules.split_at(rules.len().min(RULE_COLOURS.len() - 1));
    let mut all: Vec<Series> =
        alone.iter().zip(RULE_COLOURS).map(|((rule, _), colour)| series(rule, colour, &|row| of(row, rule))).collect();
    if !others.is_empty() {
        let rest = |row: &Second| others.iter().map(|(rule, _)| of(row, rule)).sum();
        all.push(series("other rules", RULE_COLOURS[RULE_COLOURS.len() - 1], &rest));
    }
    all
}

/// The holdings to draw: those of classes with a limit, or of the largest class if none has one.
pub fn drawn_holdings(result: &RunResult) -> Vec<&ClassHoldings> {
    let mut limited: Vec<&ClassHoldings> =
        result.holdings.iter().filter(|class| class.limit_minor.is_some_and(|limit| limit > 0)).collect();
    if limited.is_empty() {
        limited.extend(result.holdings.iter().max_by_key(|class| class.holders));
    }
    limited.truncate(CLASSES_MAX);
    limited
}

/// Holders of a class by holdings, those above the limit in another colour.
pub fn holdings_bars(result: &RunResult, class: &ClassHoldings, number: usize) -> String {
    let code = escape(&result.currency.code);
    let amount = |minor: u64| money(i64::try_from(minor).unwrap_or(i64::MAX), &result.currency);
    let mut low = 0;
    let mut rows = Vec::new();
    for bucket in &class.buckets {
        let is_above = class.limit_minor.is_some_and(|limit| bucket.up_to_minor.is_none_or(|up_to| up_to > limit));
        let name = match bucket.up_to_minor {
            Some(up_to) => format!("up to {}", amount(up_to)),
            None => format!("above {}", amount(low)),
        };
        low = bucket.up_to_minor.unwrap_or(low);
        if bucket.up_to_minor.is_some() || bucket.holders > 0 {
            let colour = if is_above { "c4" } else { "c2" };
            rows.push(Bar { name, colour, value: bucket.holders as f64, label: count(bucket.holders) });
        }
    }
    let limit = class.limit_minor.map_or("no limit".to_owned(), |limit| format!("limit {} {code}", amount(limit)));
    let note = match class.limit_minor {
        Some(_) => format!(
            "{} of {} holders hold more than the {limit}. They may spend; what would add to it is refused or swept.",
            count(class.above_limit),
            count(class.holders)
        ),
        None => format!("{} holders; the class has no holding limit.", count(class.holders)),
    };
    let description = format!("Holders of class {} by what they hold at the end; {limit}.", class.class);
    format!(
        "<figure class=\"card plot\"><figcaption><h3>Holdings at the end: {}, {code}</h3><ul class=\"legend\"><li>\
         <span class=\"swatch c2\"></span>within the limit</li><li><span class=\"swatch c4\"></span>above it</li></ul>\
         </figcaption>{}<p class=\"note\">{note}</p></figure>",
        escape(&class.class),
        bars(number, &format!("Holdings of {}", class.class), &description, 120.0, &rows)
    )
}

/// The sections on policy, below the plots.
pub fn section(html: &mut String, result: &RunResult) {
    if let Some(preset) = &result.policy.preset {
        preset_card(html, preset);
    }
    if !result.policy.versions.is_empty() {
        versions(html, result);
    }
    if !result.refusals.is_empty() {
        rules(html, result);
    }
    if !result.holdings.is_empty() {
        holders(html, result);
    }
}

fn preset_card(html: &mut String, preset: &PresetFacts) {
    let mark = match preset.mark.as_str() {
        "S" => "S: read in the source or a report of it",
        "C" => "C: computed from a figure read in the source",
        _ => "K: known, not checked against the source: provisional",
    };
    let _ = write!(
        html,
        "<section class=\"card\"><h2>Preset {}</h2><dl><dt>System</dt><dd>{}</dd><dt>Figures of</dt><dd>{}</dd>\
         <dt>Source</dt><dd>{}</dd><dt>Mark</dt><dd>{mark}</dd><dt>Currency</dt><dd>{}</dd>",
        escape(&preset.name),
        escape(&preset.title),
        escape(&preset.date),
        escape(&preset.source),
        escape(&preset.currency_note)
    );
    let lists = [
        ("Provisional", &preset.provisional),
        ("Not expressed", &preset.not_expressed),
        ("Our choices", &preset.choices),
    ];
    for (name, sentences) in lists {
        if !sentences.is_empty() {
            let _ = write!(html, "<dt>{name}</dt><dd>{}</dd>", escape(&sentences.join(" ")));
        }
    }
    html.push_str("</dl></section>");
}

fn versions(html: &mut String, result: &RunResult) {
    let _ = write!(
        html,
        "<section class=\"card\"><h2>Versions of the policy</h2><div class=\"scroll\"><table><caption>Payments of the \
         run, warm-up included, counted from the chain under the version that their block names; those that were not \
         ordered are in the last row</caption><thead><tr><th scope=\"col\">version</th>\
         <th scope=\"col\" class=\"number\">since, s</th><th scope=\"col\">what changed</th>\
         <th scope=\"col\">blocks</th><th scope=\"col\" class=\"number\">settled</th>\
         <th scope=\"col\" class=\"number\">refused</th><th scope=\"col\">refused by</th>\
         <th scope=\"col\" class=\"number\">waterfall, {}</th></tr></thead><tbody>",
        escape(&result.currency.code)
    );
    for version in &result.policy.versions {
        let since = if version.version == 1 { "genesis".to_owned() } else { format!("{:.2}", version.since_s) };
        let blocks = match (version.first_height, version.last_height) {
            (Some(first), Some(last)) => format!("{} \u{2013} {}", count(first), count(last)),
            _ => "none".to_owned(),
        };
        let waterfall = money(i64::try_from(version.waterfall_minor).unwrap_or(i64::MAX), &result.currency);
        let _ = write!(
            html,
            "<tr><td>{}</td><td class=\"number\">{since}</td><td>{}</td><td>{blocks}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td>{}</td><td class=\"number\">{waterfall}</td></tr>",
            version.version,
            changed(version),
            count(version.settled),
            count(version.refused),
            escape(&by_rule(&version.refusals, usize::MAX))
        );
    }
    not_ordered(html, result);
    html.push_str(
        "</tbody></table></div><p class=\"note\">Limits and fees hold from the block that enacts them. Rates hold from \
         the next ledger day, and interest is posted when it is capitalised: a run within one day posts none.</p>\
         </section>",
    );
}

/// The row of payments that are in no block.
fn not_ordered(html: &mut String, result: &RunResult) {
    let NotOrdered { refused, refusals, unanswered } = &result.policy.not_ordered;
    let mut why = by_rule(refusals, usize::MAX);
    if *unanswered > 0 {
        let comma = if why.is_empty() { "" } else { ", " };
        why = format!("{why}{comma}without an answer {}", count(*unanswered));
    }
    let _ = write!(
        html,
        "<tr><td>none</td><td></td><td>not ordered: refused before ordering, under no version</td><td></td>\
         <td class=\"number\">0</td><td class=\"number\">{}</td><td>{}</td><td></td></tr>",
        count(*refused),
        escape(&why)
    );
}

fn changed(version: &PolicyVersionReport) -> String {
    if version.changed.is_empty() {
        return "no limit, no fee, no rate".to_owned();
    }
    version.changed.iter().map(|clause| escape(clause)).collect::<Vec<_>>().join("<br>")
}

/// The most frequent refusals in a few words: `HOLDING_LIMIT 1,204, DAY_LIMIT 3`.
pub fn by_rule(refusals: &BTreeMap<String, u64>, most: usize) -> String {
    let mut rules: Vec<(&String, &u64)> = refusals.iter().collect();
    rules.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let shown = rules.iter().take(most).map(|(rule, number)| format!("{rule} {}", count(**number)));
    shown.collect::<Vec<_>>().join(", ")
}

fn rules(html: &mut String, result: &RunResult) {
    html.push_str(
        "<section class=\"card\"><h2>Rules that refused payments</h2><div class=\"scroll\"><table>\
         <caption>Payments due in the measured time</caption><thead><tr><th scope=\"col\">rule</th>\
         <th scope=\"col\" class=\"number\">refused</th><th scope=\"col\" class=\"number\">of offered</th>\
         <th scope=\"col\">what it means</th><th scope=\"col\">worth retrying</th></tr></thead><tbody>",
    );
    let mut rules: Vec<(&String, &u64)> = result.refusals.iter().collect();
    rules.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (rule, number) in rules {
        let reason = Reason::from_name(rule);
        let later = reason.map_or("", |reason| if reason.later_may_help() { "yes" } else { "no" });
        let _ = write!(
            html,
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td><td>{later}</td></tr>",
            escape(rule),
            count(*number),
            percent(share(*number, result.offered)),
            escape(reason.map_or("", Reason::text))
        );
    }
    html.push_str("</tbody></table></div></section>");
}

fn holders(html: &mut String, result: &RunResult) {
    let code = escape(&result.currency.code);
    let _ = write!(
        html,
        "<section class=\"card\"><h2>Holdings at the end</h2><div class=\"scroll\"><table><caption>Holders by class, \
         {code}; from the audited chain</caption><thead><tr><th scope=\"col\">class</th>\
         <th scope=\"col\" class=\"number\">holders</th><th scope=\"col\" class=\"number\">limit</th>\
         <th scope=\"col\" class=\"number\">above it</th><th scope=\"col\" class=\"number\">held</th>\
         <th scope=\"col\" class=\"number\">a day would accrue</th></tr></thead><tbody>"
    );
    let amount = |minor: u64| money(i64::try_from(minor).unwrap_or(i64::MAX), &result.currency);
    for class in &result.holdings {
        let _ = write!(
            html,
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            escape(&class.class),
            count(class.holders),
            class.limit_minor.map_or("none".to_owned(), amount),
            count(class.above_limit),
            amount(class.total_minor),
            money(class.accrual_a_day_minor, &result.currency)
        );
    }
    html.push_str(
        "</tbody></table></div><p class=\"note\">What a day would accrue is computed from these holdings and the rates \
         last enacted; the supply report shows what was posted.</p></section>",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_rarest_rules_share_one_series_and_none_is_lost() {
        let second = |refusals: &[(&str, u64)]| Second {
            refusals: refusals.iter().map(|(rule, number)| ((*rule).to_owned(), *number)).collect(),
            ..Second::default()
        };
        let rows =
            [second(&[("A", 9), ("B", 8), ("C", 7), ("D", 6), ("E", 5)]), second(&[("F", 1), ("G", 2), ("A", 1)])];
        let series = refusals_by_rule(&rows);
        let names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["A", "B", "C", "D", "E", "other rules"]);
        let total: f64 = series.iter().flat_map(|series| series.values.iter().flatten()).sum();
        assert_eq!(total, 39.0);
        assert!(refusals_by_rule(&[]).is_empty());
    }

    #[test]
    fn versions_rules_and_provisional_figures_are_on_the_page() {
        let mut html = String::new();
        section(&mut html, &sample::full_run());
        for words in [
            "not ordered",
            "holding-limit.household = 500.00",
            "HOLDING_LIMIT",
            "Provisional",
            "[K]",
            "European Central Bank",
        ] {
            assert!(html.contains(words), "`{words}` is missing");
        }
        assert!(html.contains(&escape(Reason::HoldingLimit.text())));
    }
}
