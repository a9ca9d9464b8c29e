//! `report.html`: one self-contained page. Style, script and plots are inside it, and it makes no network request.
//! Light or dark follows the reader's system.
//!
//! From top to bottom: the verdict and its caveats; headline figures; rate, latency and refusals over time; outcomes,
//! amounts and holdings; supply and balance sheet; the policy and the payments under it; the audit; the configuration,
//! the machine, and how to repeat the run.

use std::fmt::Write;

use cbdc_report::page::document;

use super::format::{
    count, date, figure, given, in_window, leaders, money, network, percent, rounded, share, stalls, verdict, warnings,
};
use super::plot::escape;
use super::{curve, flows, plots, policy};
use crate::result::RunResult;

/// The page of a result.
pub fn page(result: &RunResult) -> String {
    let mut body = String::new();
    head(&mut body, result);
    tiles(&mut body, result);
    plots(&mut body, result);
    curve::section(&mut body, result);
    events(&mut body, result);
    policy::section(&mut body, result);
    books_and_audit(&mut body, result);
    flows::deposits(&mut body, result);
    what_ran(&mut body, result);
    repeat(&mut body, result);
    document(&format!("{} \u{b7} cbdc bench", result.scenario.name), "", &body)
}

fn head(html: &mut String, result: &RunResult) {
    let _ = write!(
        html,
        "<header><p class=\"eyebrow\">cbdc bench \u{b7} {}</p><h1>{}</h1><p class=\"lead\">{}</p><ul class=\"badges\" \
        aria-label=\"Checks\">",
        date(result.started_unix_ms),
        escape(&result.scenario.name),
        escape(&result.scenario.description)
    );
    for (name, on) in result.named_checks() {
        let (class, sign, state) = match on {
            Some(true) => ("on", "\u{2713}", "on"),
            Some(false) => ("off", "!", "OFF"),
            None => ("off", "?", "unknown"),
        };
        let _ =
            write!(html, "<li class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> {name} {state}</li>");
    }
    let _ = write!(html, "</ul></header>");
    let good = result.audit.ok && result.slo.held;
    let class = if good { "good" } else { "bad" };
    let _ = write!(html, "<p class=\"verdict {class}\">{}</p>", escape(&verdict(result).join(" ")));
    for warning in warnings(result) {
        let _ = write!(html, "<p class=\"verdict warning\">{}</p>", escape(&warning));
    }
}

fn tiles(html: &mut String, result: &RunResult) {
    let ms = &result.latency_ms;
    let cpu = &result.cpu_us_per_payment;
    let bound = if result.slo.held { "held" } else { "missed" };
    let audit = if result.audit.ok { "ok" } else { "failed" };
    let rows = [
        (
            "settled a second",
            rounded(result.settled_per_s),
            in_window(result).unwrap_or_else(|| {
                format!("of {} offered", rounded(result.offered as f64 / result.duration_s.max(0.001)))
            }),
            "",
        ),
        ("p50 latency", unit(ms.p50, "ms"), format!("mean {} ms", figure(ms.mean)), ""),
        (
            "p99 latency",
            unit(ms.p99, "ms"),
            format!("bound {} ms {bound}", given(result.slo.p99_ms)),
            if result.slo.held { "good" } else { "bad" },
        ),
        (
            "refused",
            count(result.refused),
            format!("{} of offered", percent(share(result.refused, result.offered))),
            "",
        ),
        ("CPU a payment", unit(cpu.total, "\u{b5}s"), format!("signatures {} \u{b5}s", figure(cpu.verify)), ""),
        (
            "audit",
            audit.to_owned(),
            format!("{} blocks", count(result.audit.blocks)),
            if result.audit.ok { "good" } else { "bad" },
        ),
    ];
    html.push_str("<section class=\"tiles\" aria-label=\"Headline figures\">");
    for (name, value, below, class) in rows {
        let value = if value.contains('<') { value } else { escape(&value) };
        let _ = write!(
            html,
            "<div class=\"card tile {class}\"><h2>{name}</h2><p class=\"value\">{value}</p><p \
            class=\"below\">{}</p></div>",
            escape(&below)
        );
    }
    html.push_str("</section>");
}

fn unit(value: f64, unit: &str) -> String {
    format!("{}<small> {unit}</small>", figure(value))
}

fn plots(html: &mut String, result: &RunResult) {
    html.push_str("<section class=\"plots\" aria-label=\"Plots\">");
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    let rows = plots::trimmed(&result.timeline);
    if !rows.is_empty() {
        html.push_str(&plots::rate_plot(result, rows).figure(next()));
        html.push_str(&plots::latency_plot(result, rows).figure(next()));
    }
    if rows.iter().any(|row| !row.refusals.is_empty()) {
        html.push_str(&plots::refusals_plot(result, rows).figure(next()));
    }
    if !result.latency_distribution.is_empty() {
        html.push_str(&plots::distribution_plot(result).figure(next()));
    }
    if !result.load_curve.is_empty() {
        html.push_str(&curve::plot(result).figure(next()));
    }
    html.push_str(&plots::outcome_bars(result, next()));
    if result.amounts.iter().any(|bucket| bucket.count > 0) {
        html.push_str(&plots::amount_bars(result, next()));
    }
    for class in policy::drawn_holdings(result) {
        html.push_str(&policy::holdings_bars(result, class, next()));
    }
    if rows.iter().any(|row| row.supply_minor.is_some()) {
        html.push_str(&plots::supply_plot(result, rows).figure(next()));
    }
    if let Some(plot) = flows::plot(result, plots::marks(result)) {
        html.push_str(&plot.figure(next()));
    }
    if !result.books.is_empty() {
        html.push_str(&plots::books_plot(result).figure(next()));
    }
    html.push_str("</section>");
}

fn books_and_audit(html: &mut String, result: &RunResult) {
    let code = escape(&result.currency.code);
    let _ = write!(
        html,
        "<section class=\"two\"><div class=\"card\"><h2>Supply</h2><div class=\"scroll\"><table><caption>Terms of the \
         supply, {code}</caption><thead><tr><th scope=\"col\">Term</th>\
         <th scope=\"col\" class=\"number\">before the load</th><th scope=\"col\" class=\"number\">during it</th>\
         <th scope=\"col\" class=\"number\">at the end</th></tr></thead><tbody>"
    );
    let amount = |minor: i64| money(minor, &result.currency);
    let before = &result.supply_before;
    for ((name, minor), (_, earlier)) in result.supply.signed_terms().into_iter().zip(before.signed_terms()) {
        let class = if minor == 0 { " class=\"zero\"" } else { "" };
        let _ = write!(
            html,
            "<tr{class}><td>{name}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td \
            class=\"number\">{}</td></tr>",
            amount(earlier),
            amount(minor.saturating_sub(earlier)),
            amount(minor)
        );
    }
    let agrees = result.supply.expected_minor() == Some(result.supply.wallets_minor);
    let verdict =
        if agrees { "<span class=\"ok\">\u{2713} equal</span>" } else { "<span class=\"fail\">! not equal</span>" };
    let sum = result.supply.expected_minor().map_or("beyond 64 bits".to_owned(), amount);
    let _ = write!(
        html,
        "</tbody><tfoot><tr><th scope=\"row\">Sum of terms</th><td></td><td></td><td class=\"number\">{sum}</td></tr>\
         <tr><th scope=\"row\">All wallets {verdict}</th><td class=\"number\">{}</td><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td></tr></tfoot></table></div></div>",
        amount(before.wallets_minor),
        amount(result.supply.wallets_minor.saturating_sub(before.wallets_minor)),
        amount(result.supply.wallets_minor)
    );
    let audit = &result.audit;
    let _ = write!(html, "<div class=\"card\"><h2>Audit</h2>");
    if audit.ok {
        let _ = write!(
            html,
            "<p class=\"verdict good\">{} blocks read again from genesis: chain, signatures, outcomes, books, supply \
            and the banks' deposits agree.</p>",
            count(audit.blocks)
        );
    } else {
        let _ = write!(
            html,
            "<p class=\"verdict bad\">The audit failed over {} blocks.</p><ul class=\"findings\">",
            count(audit.blocks)
        );
        audit.findings.iter().for_each(|finding| {
            let _ = write!(html, "<li>{}</li>", escape(finding));
        });
        html.push_str("</ul>");
    }
    cpu_table(html, result);
    html.push_str("</div></section>");
}

fn cpu_table(html: &mut String, result: &RunResult) {
    let cpu = &result.cpu_us_per_payment;
    html.push_str("<h2>CPU time</h2><table><caption>\u{b5}s of CPU for each settled payment</caption><tbody>");
    let roles = [("Central bank", cpu.central_bank), ("Banks", cpu.banks), ("Load generator", cpu.load_generator)];
    for (name, value) in roles {
        if let Some(value) = value {
            let _ = write!(html, "<tr><td>{name}</td><td class=\"number\">{}</td></tr>", figure(value));
        }
    }
    let _ = write!(
        html,
        "</tbody><tfoot><tr><th scope=\"row\">All processes</th><td class=\"number\">{}</td></tr>\
         <tr><td>of which checking signatures</td><td class=\"number\">{}</td></tr></tfoot></table>",
        figure(cpu.total),
        figure(cpu.verify)
    );
}

fn events(html: &mut String, result: &RunResult) {
    if result.events.is_empty() {
        return;
    }
    html.push_str(
        "<section class=\"card\"><h2>Events</h2><div class=\"scroll\"><table><caption>Numbers as in the plots</caption>\
         <thead><tr><th scope=\"col\">#</th><th scope=\"col\" class=\"number\">planned, s</th>\
         <th scope=\"col\" class=\"number\">done, s</th><th scope=\"col\">what</th><th scope=\"col\">note</th></tr>\
         </thead><tbody>",
    );
    for (number, event) in result.events.iter().enumerate() {
        let done = event.done_at_s.map_or("never".to_owned(), |at_s| format!("{at_s:.2}"));
        let _ = write!(
            html,
            "<tr><td>{}</td><td class=\"number\">{:.2}</td><td class=\"number\">{done}</td><td>{}</td><td>{}</td></tr>",
            number + 1,
            event.at_s,
            escape(&event.what),
            escape(event.note.as_deref().unwrap_or(""))
        );
    }
    html.push_str("</tbody></table></div>");
    gaps(html, result);
    html.push_str("</section>");
}

/// The events that disturbed nodes or links, each with its gap in settling.
fn gaps(html: &mut String, result: &RunResult) {
    if result.events.iter().all(|event| event.settling.is_none()) {
        return;
    }
    html.push_str(
        "<h3>Gaps in settling</h3><div class=\"scroll\"><table><caption>From the last settlement before the pause to the \
         first after it, over all payers</caption><thead><tr><th scope=\"col\">#</th><th scope=\"col\">what</th>\
         <th scope=\"col\" class=\"number\">gap, ms</th><th scope=\"col\" class=\"number\">from, s</th>\
         <th scope=\"col\" class=\"number\">refused in it</th><th scope=\"col\" class=\"number\">unknown in it</th>\
         <th scope=\"col\">leader</th></tr></thead><tbody>",
    );
    for (number, event) in result.events.iter().enumerate() {
        let Some(gap) = &event.settling else { continue };
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{:.2}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
            number + 1,
            escape(&event.what),
            gap.gap_ms.map_or_else(|| "nothing settled after it".to_owned(), figure),
            gap.from_s,
            count(gap.refused),
            count(gap.unknown),
            escape(&leaders(gap))
        );
    }
    html.push_str(
        "</tbody></table></div><p class=\"note\">A payment whose outcome was unknown is sent again until it is known; no \
         payment settles twice.</p>",
    );
}

fn what_ran(html: &mut String, result: &RunResult) {
    let shape = &result.shape;
    let processes = if shape.in_process { "all nodes in one process" } else { "each node its own process" };
    let messages = if shape.mode == "unary" {
        "unary calls".to_owned()
    } else {
        format!("streams, up to {} payments a message", count(u64::from(shape.batch_size)))
    };
    let central_bank_checks = if shape.verify_on_followers { "each node of the central bank" } else { "central bank" };
    let banks_check = if shape.precheck_signatures { " and banks" } else { "" };
    let ran = [
        ("Network", format!("{}, {processes}", network(shape))),
        ("Wallets", count(u64::from(shape.wallets))),
        (
            "Load",
            format!(
                "{}, {} a second on average, {} at the peak",
                shape.profile,
                rounded(shape.rate_per_s),
                rounded(shape.peak_per_s)
            ),
        ),
        ("Time", format!("{} s measured after {} s of warm-up", given(result.duration_s), given(shape.warm_up_s))),
        ("Messages", messages),
        ("Across banks", percent(shape.cross_bank_share)),
        ("Signatures checked by", format!("{central_bank_checks}{banks_check}")),
        (
            "Banks keep",
            match shape.replica.as_str() {
                "full" => "the whole chain".to_owned(),
                "partial" => "headers and their own customers' part".to_owned(),
                other => other.to_owned(),
            },
        ),
        (
            "Generator",
            format!("99 % of payments sent within {} ms of being due", figure(result.load_generator.late_ms_p99)),
        ),
    ];
    let machine = &result.machine;
    let on = [
        ("Processor", machine.cpu.clone()),
        ("Cores", machine.cores.to_string()),
        ("Memory", format!("{} GiB", machine.memory_gib)),
        ("Kernel", machine.kernel.clone()),
        (
            "Signature checks",
            format!("{} a second on one core, in batches, in this run", rounded(machine.verify_per_core_s)),
        ),
        ("Stalls when idle", machine.idle.map_or_else(|| "not measured".to_owned(), |idle| stalls(&idle))),
        ("cbdc", result.version.clone()),
    ];
    html.push_str("<section class=\"two\">");
    for (title, rows) in [("Run", &ran[..]), ("Machine", &on[..])] {
        let _ = write!(html, "<div class=\"card\"><h2>{title}</h2><dl>");
        for (name, value) in rows {
            let _ = write!(html, "<dt>{name}</dt><dd>{}</dd>", escape(value));
        }
        html.push_str("</dl></div>");
    }
    html.push_str("</section>");
}

fn repeat(html: &mut String, result: &RunResult) {
    let _ = write!(
        html,
        "<section class=\"card\"><h2>Repeat it</h2><pre><code>{}</code></pre><dl><dt>Seed</dt><dd>{}</dd>\
         <dt>Scenario hash</dt><dd><code>{}</code></dd><dt>Version</dt><dd>{}</dd></dl><details><summary>The scenario \
         with every default written out</summary><pre><code>{}</code></pre></details><p class=\"note\">Latency runs \
         from the moment a payment was due, so a stall counts against every payment it held up. Payments count in the \
         measured time when they were due in it. Figures on this page are those of summary.json.</p></section>",
        escape(&result.command),
        result.scenario.seed,
        escape(&result.scenario.hash),
        escape(&result.version),
        escape(&result.scenario.resolved_toml)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_page_asks_nothing_of_any_network() {
        let html = page(&sample::full_run());
        for forbidden in ["http://", "https://", "src=\"", "href=\"", "@import", "url("] {
            assert!(!html.contains(forbidden), "`{forbidden}` is in the page");
        }
    }

    #[test]
    fn a_check_that_was_off_stands_out() {
        let mut result = sample::full_run();
        assert!(!page(&result).contains("badge off"));
        result.checks.signatures = Some(false);
        let html = page(&result);
        assert!(html.contains("badge off"));
        assert!(html.contains("Not a run of real use: signatures off."));
        result.checks.signatures = None;
        assert!(page(&result).contains("</span> signatures unknown"));
    }

    #[test]
    fn what_a_scenario_says_cannot_become_markup() {
        let mut result = sample::full_run();
        result.scenario.name = "<script>alert(1)</script>".to_owned();
        result.refusals.insert("<img>".to_owned(), 3);
        result.events[0].what = "</title><b>".to_owned();
        let html = page(&result);
        assert!(!html.contains("<script>alert") && !html.contains("<img>") && !html.contains("</title><b>"));
    }

    #[test]
    fn every_drawing_names_and_describes_itself() {
        let html = page(&sample::full_run());
        let drawings = html.matches("<svg").count();
        assert!(drawings >= 9, "{drawings} drawings");
        assert_eq!(html.matches("<title id=").count(), drawings);
        assert_eq!(html.matches("<desc id=").count(), drawings);
        assert!(!html.contains("NaN") && !html.contains("inf "));
    }

    #[test]
    fn an_empty_result_still_makes_a_page() {
        assert!(page(&RunResult::default()).contains("</html>"));
    }
}
