//! The recipes in `docs/` fit this tree: what they show as diffs applies, and is as much as they say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;
use rstest::rstest;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page of `docs/`.
fn page(name: &str) -> String {
    let path = top().join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All diffs of a page, as one.
fn diff(page: &str) -> String {
    let mut blocks = page.split("```");
    let mut diff = String::new();
    while let (Some(_), Some(block)) = (blocks.next(), blocks.next()) {
        diff.push_str(block.strip_prefix("diff\n").unwrap_or_default());
    }
    diff
}

/// The files of a diff with the number of lines that it writes in each.
fn written(diff: &str) -> BTreeMap<&str, usize> {
    let (mut files, mut file) = (BTreeMap::new(), "");
    for line in diff.lines() {
        if let Some(name) = line.strip_prefix("+++ b/") {
            file = name;
            files.entry(file).or_default();
        } else if line.starts_with('+') {
            *files.entry(file).or_default() += 1;
        }
    }
    files
}

/// Which part of the project a file belongs to, as the pages call it.
fn part(file: &str) -> &'static str {
    match file.split('/').next() {
        Some("src" | "crates" | "migrations") => "server",
        Some("tests") => "tests",
        _ => "documents",
    }
}

#[rstest]
#[case::a_field("ADDING-A-FIELD.md")]
#[case::an_action("ADDING-AN-ACTION.md")]
#[case::a_type_of_stages("ADDING-A-STAGE.md")]
fn the_diffs_apply(#[case] name: &str) {
    let page = page(name);
    let diff = diff(&page);
    let mut git = Command::new("git")
        .args(["apply", "--check", "--verbose"])
        .env("LC_ALL", "C")
        .current_dir(top())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("git: {error}"));
    git.stdin.take().unwrap().write_all(diff.as_bytes()).unwrap();
    let output = git.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "docs/{name} doesn't fit this tree any more:\n{said}");
    // git passes over files that it takes to be outside of its tree.
    let checked: BTreeSet<_> = said.lines().filter_map(|line| line.strip_prefix("Checking patch ")).collect();
    let files = written(&diff).keys().map(|file| format!("{file}...")).collect::<Vec<_>>();
    assert_eq!(checked, files.iter().map(String::as_str).collect(), "{said}");
}

#[rstest]
#[case::a_field("ADDING-A-FIELD.md", &["server", "tests"])]
#[case::an_action("ADDING-AN-ACTION.md", &["server", "tests"])]
#[case::a_type_of_stages("ADDING-A-STAGE.md", &["documents", "server", "tests"])]
fn the_diffs_are_as_long_as_the_page_says(#[case] name: &str, #[case] parts: &[&str]) {
    let page = page(name);
    let count =
        Regex::new(r"(\d+)\s+files?\s+and\s+(\d+)\s+lines?\s+of\s+the\s+(server|tests|documents)").unwrap();
    let number = |text: &str| text.parse::<usize>().unwrap();
    let told = count
        .captures_iter(&page)
        .map(|told| (told[3].to_owned(), (number(&told[1]), number(&told[2]))))
        .collect::<BTreeMap<_, _>>();
    let mut counted = BTreeMap::new();
    let diff = diff(&page);
    for (file, lines) in written(&diff) {
        let part: &mut (usize, usize) = counted.entry(part(file).to_owned()).or_default();
        *part = (part.0 + 1, part.1 + lines);
    }
    assert_eq!(told, counted, "docs/{name}");
    assert!(told.keys().eq(parts), "{told:?}");
}

#[rstest]
#[case::a_field("ADDING-A-FIELD.md")]
#[case::a_type_of_stages("ADDING-A-STAGE.md")]
fn a_migration_has_the_next_number(#[case] name: &str) {
    let page = page(name);
    let diff = diff(&page);
    let new = written(&diff).into_keys().filter_map(|file| file.strip_prefix("migrations/"));
    let there = fs::read_dir(top().join("migrations")).unwrap().map(|entry| entry.unwrap().file_name());
    let last: usize = there.map(|name| name.to_str().unwrap()[..4].parse().unwrap()).max().unwrap();
    let next = format!("{:04}_", last + 1);
    let new: Vec<_> = new.collect();
    assert!(new.len() == 1 && new[0].starts_with(&next), "{new:?} rather than {next}…");
}

#[test]
fn diffs_are_found_and_counted() {
    let page = "A\n```sh\n+++ b/no\n```\n```diff\n--- a/src/x.rs\n+++ b/src/x.rs\n@@ -1 +1,2 @@\n-a\n+b\n+c\n```\n\
                ```diff\n--- /dev/null\n+++ b/tests/y\n@@ -0,0 +1 @@\n+++i\n```\n";
    let diff = diff(page);
    assert_eq!(written(&diff), BTreeMap::from([("src/x.rs", 2), ("tests/y", 1)]));
    assert_eq!(["src/x.rs", "tests/y", "README.md"].map(part), ["server", "tests", "documents"]);
}
