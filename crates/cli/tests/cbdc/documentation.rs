//! Whatever the Markdown pages point at exists: files, headings, and paths of the repository named in code spans. So
//! does every page that the sources cite.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Folders without hand-written files, or with nothing of this project.
const SKIPPED: [&str; 4] = ["target", "results", "network", "node_modules"];
/// A code span that begins with one of these names a path from the root.
const TOP: [&str; 8] = ["crates/", "docs/", "simulations/", "proto/", "deploy/", "benches/", "examples/", ".github/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All files below a folder with one of these endings, in order.
fn files(folder: &Path, endings: &[&str], found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.is_dir() {
            let is_hidden = name.starts_with('.') && name != ".github";
            let is_ours = !is_hidden && (!SKIPPED.contains(&name) || folder.ends_with("benches"));
            if is_ours {
                files(&path, endings, found);
            }
        } else if path.extension().and_then(OsStr::to_str).is_some_and(|ending| endings.contains(&ending)) {
            found.insert(path);
        }
    }
}

/// The page without its fenced and indented blocks of code.
fn prose(page: &str) -> String {
    let mut in_fence = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        in_fence ^= is_fence;
        !in_fence && !is_fence && !line.starts_with("    ")
    };
    page.lines().filter(is_prose).collect::<Vec<_>>().join("\n")
}

/// The code spans of a page.
fn code_spans(prose: &str) -> impl Iterator<Item = &str> {
    prose.split('`').skip(1).step_by(2)
}

/// The targets of all links and images, code spans left out.
fn links(prose: &str) -> Vec<String> {
    let text: String = prose.split('`').step_by(2).collect();
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The anchors that GitHub gives to a page's headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let kept = |character: &char| character.is_alphanumeric() || "-_ ".contains(*character);
    let slug = |heading: &str| heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
    prose(page).lines().filter(|line| line.starts_with('#')).map(|line| slug(line.trim_start_matches('#'))).collect()
}

/// The broken links of a page.
fn broken_links(file: &Path, page: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for link in links(&prose(page)) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let path = if target.is_empty() { file.to_owned() } else { file.parent().unwrap().join(target) };
        if !path.exists() {
            wrong.push(format!("expected {target}, found no such file"));
        } else if !anchor.is_empty() && !anchors(&std::fs::read_to_string(&path).unwrap()).contains(anchor) {
            wrong.push(format!("expected a heading #{anchor} in {target}, found none"));
        }
    }
    wrong
}

/// Paths of the repository that a page names and that do not exist.
fn missing_paths(root: &Path, page: &str) -> Vec<String> {
    let prose = prose(page);
    let is_path = |span: &&str| TOP.iter().any(|top| span.starts_with(top)) && !span.contains([' ', '*', '<', '…']);
    let missing = code_spans(&prose).filter(is_path).filter(|span| !root.join(span).exists());
    missing.map(|span| format!("expected {span}, found no such path")).collect()
}

/// Reads every page of the repository and fails with all errors found.
fn judge_pages(findings: impl Fn(&Path, &str) -> Vec<String>) {
    let root = root();
    let mut pages = BTreeSet::new();
    files(&root, &["md"], &mut pages);
    assert!(pages.len() > 30, "expected all pages of the repository, found {}", pages.len());
    let mut wrong = Vec::new();
    for file in &pages {
        let page = std::fs::read_to_string(file).unwrap();
        let name = file.strip_prefix(&root).unwrap().display();
        wrong.extend(findings(file, &page).into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "pages point at what is not there:\n{}", wrong.join("\n"));
}

/// Names of pages in a source, such as `docs/reference/records.md`.
fn cited_pages(source: &str) -> impl Iterator<Item = &str> {
    let is_path = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    let words = source.split(move |character| !is_path(character));
    words.filter(|word| word.starts_with("docs/") && word.ends_with(".md"))
}

#[test]
fn every_link_leads_somewhere() {
    judge_pages(broken_links);
}

#[test]
fn every_path_named_on_a_page_is_there() {
    judge_pages(|_, page| missing_paths(&root(), page));
}

#[test]
fn every_page_that_a_source_cites_is_there() {
    let root = root();
    let mut sources = BTreeSet::new();
    files(&root, &["rs", "proto", "toml", "sh", "py"], &mut sources);
    let mut wrong = Vec::new();
    for file in sources.iter().filter(|file| !file.ends_with("crates/cli/tests/cbdc/documentation.rs")) {
        let source = std::fs::read_to_string(file).unwrap();
        for page in cited_pages(&source).filter(|page| !root.join(page).exists()) {
            wrong.push(format!("{}: expected {page}, found no such page", file.strip_prefix(&root).unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "sources cite pages that are not there:\n{}", wrong.join("\n"));
}

/// Account numbers in a text: the country code and 17 digits, in groups or not.
fn account_numbers(text: &str) -> Vec<String> {
    let starts = text.match_indices("XC").map(|(at, _)| at);
    let number = |at: usize| {
        let mut number = String::from("XC");
        for character in text[at + 2..].chars() {
            match character {
                digit if digit.is_ascii_digit() => number.push(digit),
                ' ' => {}
                _ => break,
            }
        }
        number
    };
    starts.map(number).filter(|number| number.len() >= 19).map(|number| number[..19].to_owned()).collect()
}

#[test]
fn every_account_number_that_is_shown_has_the_right_check_digits() {
    let root = root();
    let mut shown = BTreeSet::new();
    for folder in ["docs", "proto", "crates", "simulations"] {
        files(&root.join(folder), &["md", "proto", "rs", "toml"], &mut shown);
    }
    shown.insert(root.join("README.md"));
    let mut wrong = Vec::new();
    // Tests have wrong ones on purpose.
    for file in shown.iter().filter(|file| !file.components().any(|part| part.as_os_str() == "tests")) {
        let text = std::fs::read_to_string(file).unwrap();
        let examples = text.split("#[cfg(test)]").next().unwrap_or_default();
        for number in account_numbers(examples) {
            if let Err(why) = number.parse::<cbdc_client::AccountId>() {
                wrong.push(format!("{}: {number}: {why}", file.strip_prefix(&root).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "account numbers that nobody can have:\n{}", wrong.join("\n"));
}

/// The maximum line width, in characters.
const WIDTH: usize = 120;

/// Whether a line that is too long is prose: no table, command or heading of a page, and in a source a comment.
fn is_prose(line: &str, is_page: bool) -> bool {
    let line = line.trim_start();
    if is_page {
        return !line.starts_with(['|', '#', '<', '[', '`']);
    }
    let comment = line.strip_prefix("//").map(|text| text.trim_start_matches(['/', '!', ' ']));
    comment.is_some_and(|text| !text.starts_with('|'))
}

#[test]
fn prose_and_comments_keep_to_the_width() {
    let root = root();
    let mut found = BTreeSet::new();
    files(&root, &["md", "rs", "proto"], &mut found);
    let mut wrong = Vec::new();
    for file in &found {
        let text = std::fs::read_to_string(file).unwrap();
        let is_page = file.extension().is_some_and(|ending| ending == "md");
        let lines = if is_page { prose(&text) } else { text };
        for line in lines.lines().filter(|line| line.chars().count() > WIDTH && is_prose(line, is_page)) {
            wrong.push(format!("{}: {}", file.strip_prefix(&root).unwrap().display(), line.trim_start()));
        }
    }
    assert!(wrong.is_empty(), "lines of prose above {WIDTH} columns:\n{}", wrong.join("\n"));
}

/// A canary: each kind of broken reference is found, and valid ones are not reported.
#[test]
fn a_broken_reference_is_found() {
    let links = |page: &str| broken_links(&root().join("README.md"), page);
    assert_eq!(links("[a](docs/none.md)"), ["expected docs/none.md, found no such file"]);
    assert_eq!(links("[a\nb](README.md#none)"), ["expected a heading #none in README.md, found none"]);
    assert_eq!(links("# A b, c\n\n[a](#none)").len(), 1);
    assert_eq!(links("[a](https://example.org) `[b](none.md)`\n\n    [c](none.md)\n\n```\n[d](none.md)\n```").len(), 0);
    assert!(anchors("## The `CBDC` of I3: deposits, and more\n").contains("the-cbdc-of-i3-deposits-and-more"));
    assert_eq!(missing_paths(&root(), "see `crates/none`"), ["expected crates/none, found no such path"]);
    assert_eq!(missing_paths(&root(), "see `crates/cli/src`, `cbdc up` and `crates/*/tests`").len(), 0);
    assert_eq!(account_numbers("to `XC66 0000 1000 0000 007`, XCX, XC12"), ["XC66000010000000007"]);
    assert_eq!(cited_pages("//! see docs/none.md, or docs/x.rs").collect::<Vec<_>>(), ["docs/none.md"]);
}
