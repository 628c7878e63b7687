//! `ak-stages contract`: what clients of authentik's releases would miss.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use ak_stages::resources::document;
use serde_json::Value;

use crate::support::Program;

fn contract(arguments: &[&str]) -> Output {
    Program::command(&[]).arg("contract").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file in the directory of temporary ones.
fn file(name: &str, contents: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
    fs::write(&path, contents).unwrap();
    path
}

/// authentik's own documents are no part of this repository: they are looked for beside it. What is missed of each is in
/// `tests/api/contract/`.
#[test]
fn what_clients_of_each_release_miss_is_known() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(documents) = fs::read_dir(top.join("../shared/openapi")) else { return };
    for document in documents {
        let document = document.unwrap().path();
        let name = document.file_stem().unwrap().to_str().unwrap();
        let expected = top.join(format!("tests/api/contract/{name}.txt"));
        let expected =
            fs::read_to_string(&expected).unwrap_or_else(|error| panic!("{}: {error}", expected.display()));
        let output = contract(&[document.to_str().unwrap()]);
        assert_eq!(text(&output.stdout), expected, "{name}");
        assert_eq!(output.status.code(), Some(1), "{name}: {}", text(&output.stderr));
    }
}

#[test]
fn a_client_of_our_own_document_misses_nothing_in_yaml_and_in_json() {
    let document = document::document();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap()).count();
    for (name, contents) in [("own.yaml", document::yaml().unwrap()), ("own.json", document.to_string())] {
        let path = file(name, &contents);
        let output = contract(&["--json", path.to_str().unwrap()]);
        fs::remove_file(path).unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (output.status.code(), &report["served"]),
            (Some(0), &Value::from(operations)),
            "{report}"
        );
        assert_eq!(report["missing"], Value::from(Vec::<String>::new()), "{report}");
    }
}

#[test]
fn one_that_asks_for_more_is_told_so() {
    let mut document = document::document();
    let fields = &mut document["components"]["schemas"]["RoleRequest"]["properties"];
    fields["colour"] = serde_json::json!({ "type": "string" });
    let path = file("more.json", &document.to_string());
    let output = contract(&[path.to_str().unwrap()]);
    fs::remove_file(path).unwrap();
    let said = text(&output.stdout);
    assert!(said.contains("\n  POST /rbac/roles/\n    request.colour is not taken\n"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_is_no_document_is_no_answer() {
    for (name, contents) in [("text.yaml", "a text"), ("broken.yaml", "{ a: [")] {
        let path = file(name, contents);
        let output = contract(&[path.to_str().unwrap()]);
        fs::remove_file(path).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{name}");
        assert!(text(&output.stderr).contains(name), "{}", text(&output.stderr));
    }
    assert_eq!(contract(&["/nowhere/at/all.yaml"]).status.code(), Some(2));
}
