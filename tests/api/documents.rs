//! The documents that are checked in say what the code does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ak_stages::config::SETTINGS;
use regex::Regex;

use crate::support::Program;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_openapi_document_is_up_to_date() {
    let printed = Program::command(&[]).arg("openapi").output().unwrap();
    let is_current = fs::read(top().join("openapi.yaml")).unwrap() == printed.stdout;
    assert!(is_current, "write it anew: `cargo run -- openapi > openapi.yaml`");
}

#[test]
fn a_reader_of_the_openapi_document_may_leave_early() {
    let mut command = Program::command(&[]);
    let mut child = command.arg("openapi").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let readme = read(&top().join("README.md"));
    let rows: Vec<_> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    for setting in SETTINGS {
        let default =
            if setting.default.is_empty() { "–".to_owned() } else { format!("`{}`", setting.default) };
        let row = format!("| `{}` | {default} | {} |", setting.name, setting.help);
        assert!(rows.contains(&row.as_str()), "README.md has no line\n{row}");
    }
    let is_setting = |row: &&&str| SETTINGS.iter().any(|s| row.starts_with(&format!("| `{}` |", s.name)));
    assert_eq!(rows.iter().filter(is_setting).count(), SETTINGS.len(), "a setting is listed twice");
}

#[test]
fn every_link_to_a_file_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let pages = documents();
    assert!(pages.iter().any(|page| page.ends_with("README.md")), "{pages:?}");
    for page in pages {
        let text = read(&page);
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            if path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            let file = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(file.exists(), "{} links to {target}", page.display());
            if !anchor.is_empty() && file.extension().is_some_and(|extension| extension == "md") {
                assert!(
                    anchors(&read(&file)).contains(&anchor.to_owned()),
                    "{} links to {target}",
                    page.display()
                );
            }
        }
    }
}

#[test]
fn the_files_of_code_that_the_pages_name_are_there() {
    let name = Regex::new(r"`((?:[a-z0-9_-]+/)*[a-z0-9_-]+\.rs)`").unwrap();
    let mut named = 0;
    for page in documents() {
        for file in name.captures_iter(&read(&page)).map(|found| found[1].to_owned()) {
            let places = ["", "src", "tests/api"].map(|place| top().join(place).join(&file));
            assert!(places.iter().any(|place| place.exists()), "{} names {file}", page.display());
            named += 1;
        }
    }
    assert!(named > 20, "{named} files are named");
}

#[test]
fn the_tests_that_compatibility_names_are_there() {
    let page = read(&top().join("docs/COMPATIBILITY.md"));
    let name = Regex::new(r"`([a-z_/]+)`").unwrap();
    let (mut in_table, mut named) = (false, 0);
    for line in page.lines() {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        let last = cells.last().unwrap().trim();
        in_table = line.starts_with('|') && (in_table || last == "test");
        for test in name.captures_iter(last).map(|found| found[1].to_owned()).filter(|_| in_table) {
            let places = [format!("tests/api/{test}.rs"), test];
            assert!(places.iter().any(|place| top().join(place).exists()), "{line}");
            named += 1;
        }
    }
    assert!(named > 20, "{named} tests were found");
}

/// The README and what is in `docs/`.
fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(top().join("docs")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.chain([top().join("README.md")]).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}
