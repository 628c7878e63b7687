//! The rooms of the code, and the arrows between them: `docs/ARCHITECTURE.md` has their order, and whatever a room uses
//! stands below it.

#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rooms from the top down, as the table under the heading `Rooms` names them.
fn rooms() -> Vec<String> {
    let text = read(top().join("docs/ARCHITECTURE.md"));
    let section = text.split("\n## ").find(|section| section.starts_with("Rooms")).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let name = Regex::new(r"`src/(\w+)(?:\.rs|/)`").unwrap();
    rows.flat_map(|cell| name.captures_iter(cell).map(|found| found[1].to_owned()).collect::<Vec<_>>())
        .collect()
}

/// The files below `directory`.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    directories.iter().flat_map(|directory| sources(directory)).chain(files).collect()
}

/// The room of a file: the directory in `src/`, or the file itself.
fn room(path: &Path) -> String {
    let below = path.strip_prefix(top().join("src")).unwrap();
    Path::new(below.components().next().unwrap().as_os_str()).with_extension("").display().to_string()
}

/// The rooms that a text names in paths from the root of the crate, those of `use crate::{…}` included. Comments don't
/// count.
fn used(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let single = Regex::new(r"\b(?:crate|ak_stages)::(\w+)").unwrap();
    let group = Regex::new(r"\bcrate::\{((?:[^{}]|\{[^{}]*\})*)\}").unwrap();
    let inner = Regex::new(r"(?:^|,)\s*(\w+)").unwrap();
    let singles = single.captures_iter(&code).map(|found| found[1].to_owned());
    let groups = group.captures_iter(&code).flat_map(|found| {
        let flat = Regex::new(r"\{[^{}]*\}").unwrap().replace_all(&found[1], "").into_owned();
        inner.captures_iter(&flat).map(|name| name[1].to_owned()).collect::<Vec<_>>()
    });
    singles.chain(groups).collect()
}

#[test]
fn arrows_between_rooms_point_down() {
    let rooms = rooms();
    let place: BTreeMap<_, _> =
        rooms.iter().enumerate().map(|(place, room)| (room.as_str(), place)).collect();
    let mut wrong = Vec::new();
    for path in sources(&top().join("src")) {
        let from = room(&path);
        if from == "lib" {
            continue; // names all rooms
        }
        let own = place.get(from.as_str());
        let own = own.unwrap_or_else(|| panic!("docs/ARCHITECTURE.md has no room for {}", path.display()));
        for to in used(&read(&path)) {
            match place.get(to.as_str()) {
                None => wrong.push(format!("{}: there is no room {to}", path.display())),
                Some(place) if place < own => {
                    wrong.push(format!("{}: {from} uses {to}, which is above it", path.display()));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_of_the_table_is_there() {
    for room in rooms() {
        let (file, directory) = (format!("src/{room}.rs"), format!("src/{room}"));
        assert!(top().join(&file).exists() || top().join(&directory).is_dir(), "{room}");
    }
}

#[test]
fn uses_are_found_in_all_their_forms() {
    let text = "use crate::db::Sql;\nuse crate::{app::App, error::{self, ApiError}, views};\n\
                // use crate::http;\nfn f() -> crate::auth::Caller {}\npub(crate) fn g() {}\n";
    assert_eq!(used(text), ["db", "auth", "app", "error", "views"]);
}

/// The transaction of a request has one owner. What happens before there are requests is the database's.
#[test]
fn transactions_begin_and_end_in_one_place() {
    let begins = Regex::new(r"\.begin(_with)?\(|\b(BEGIN|COMMIT|ROLLBACK|SAVEPOINT)\b").unwrap();
    let is_owner = |path: &Path| room(path) == "db" || path.ends_with("src/views/transaction.rs");
    let found = sources(&top().join("src"))
        .into_iter()
        .filter(|path| !is_owner(path) && begins.is_match(&read(path).replace("Transaction::begin(", "")));
    assert_eq!(found.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

/// The dialect does no I/O, and the embedded PostgreSQL knows no server of ours.
#[test]
fn the_crates_stay_pure() {
    let banned = ["tokio", "axum", "hyper", "sqlx", "tower", "ak-stages"];
    for package in ["drf", "embedded-postgres"] {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--locked"])
            .current_dir(top())
            .output()
            .unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout).unwrap();
        let names = || tree.lines().filter_map(|line| line.split(' ').next());
        assert!(names().any(|name| name == package), "{tree}");
        for name in banned {
            let found = names().any(|found| found == name || found.starts_with(&format!("{name}-")));
            assert!(!found, "{package} depends on {name}");
        }
    }
}
