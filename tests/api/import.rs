//! `ak-stages invitation`: the real program, and files.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{INVITATION, Program, TestApp, new_directory};

/// A directory with files, and a database for what becomes of them.
struct Desk {
    app: TestApp,
    directory: PathBuf,
}

impl Desk {
    async fn new() -> Self {
        let app = TestApp::new().await;
        app.flow("enrollment").await;
        Self { app, directory: new_directory("import") }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.join(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Program::command(&self.app.environment());
        command.current_dir(&self.directory).arg("invitation").args(arguments).output().unwrap()
    }

    /// What it says of an import, and what it says is wrong.
    fn import(&self, arguments: &[&str]) -> (String, Vec<String>) {
        let output = self.run(&[&["import", "--flow", "enrollment"], arguments].concat());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let wrong = text(&output.stderr).lines().map(str::to_owned).collect();
        (text(&output.stdout), wrong)
    }

    async fn rows(&self) -> Vec<Value> {
        self.app.admin().get(&format!("{INVITATION}?ordering=name&page_size=100&extended=true")).await.rows()
    }
}

fn said(made: usize, known: usize, refused: usize) -> String {
    format!("{made} invitations are made, {known} lines are in already, {refused} are refused\n")
}

const PEOPLE: &str = "\
name,email,expires,max_uses,team
anna,anna@example.org,2099-01-01T00:00:00Z,3,red
not a slug,ben@example.org,,,
carla,carla@example.org,soon,0,blue
dora,dora@example.org
emil,emil@example.org,,,
emil,emil@example.org,,,
";

#[tokio::test]
async fn a_file_with_bad_lines_is_imported_once() {
    let desk = Desk::new().await;
    desk.write("people.csv", PEOPLE);
    desk.write("t.json", r#"{"single_use": true, "fixed_data": {"team": "none", "source": "file"}}"#);
    let arguments = ["people.csv", "--template", "t.json", "--duration", "days=14"];

    let (dry, _) = desk.import(&[&arguments[..], &["--dry-run"]].concat());
    assert_eq!(dry, said(3, 0, 3).replace(" are made", " would be made"));
    assert_eq!(desk.rows().await, Vec::<Value>::new());

    let (outcome, wrong) = desk.import(&arguments);
    assert_eq!(outcome, said(3, 0, 3));
    assert_eq!(
        wrong[..3],
        [
            "line 5: 2 values under 5 columns",
            "line 3: name: Enter a valid “slug” consisting of letters, numbers, underscores or hyphens.",
            "line 4: expires: Datetime has wrong format. Use one of these formats instead: \
             YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].; \
             max_uses: Ensure this value is greater than or equal to 1.",
        ]
    );
    let rows = desk.rows().await;
    let shown = |row: &Value| json!([row["name"], row["fixed_data"], row["max_uses"], row["single_use"]]);
    let emil = json!(["emil", { "team": "none", "source": "file", "email": "emil@example.org" }, null, true]);
    assert_eq!(
        rows.iter().map(shown).collect::<Vec<_>>(),
        [
            json!(["anna", { "team": "red", "source": "file", "email": "anna@example.org" }, 3, true]),
            emil.clone(),
            emil,
        ]
    );
    assert_eq!(rows[0]["expires"], "2099-01-01T00:00:00Z");
    assert_eq!(
        (&rows[0]["flow_obj"]["slug"], &rows[0]["created_by"]["username"]),
        (&json!("enrollment"), &json!("akadmin"))
    );

    // Once more; and with one of the lines mended, the columns in another order, and an invitation used up.
    assert_eq!(desk.import(&arguments).0, said(0, 3, 3));
    let pk = rows[0]["pk"].as_str().unwrap();
    desk.app.admin().delete(&format!("{INVITATION}{pk}/")).await.status(204);
    desk.write(
        "people.csv",
        "email,name,team,expires,max_uses\n\
         ben@example.org,ben,,,\n\
         anna@example.org,anna,red,2099-01-01T00:00:00Z,3\n\
         emil@example.org,emil,,,\n\
         emil@example.org,emil,,,\n",
    );
    let (outcome, wrong) = desk.import(&arguments);
    assert_eq!((outcome, wrong), (said(1, 3, 0), Vec::new()));
    assert_eq!(desk.rows().await.len(), 3);
}

#[tokio::test]
async fn json_lines_and_numbered_names() {
    let desk = Desk::new().await;
    desk.write(
        "people.jsonl",
        "{\"email\": \"a@example.org\", \"n\": [1, {\"x\": 1.50}]}\n\n{\"email\": null}\n[]\n",
    );
    desk.write("t.json", r#"{"name": "guest", "expires": "2099-01-01T00:00:00Z"}"#);
    let (outcome, wrong) = desk.import(&["people.jsonl", "--template", "t.json"]);
    assert_eq!((outcome.as_str(), wrong[0].as_str()), (&*said(2, 0, 1), "line 4: not a JSON object"));
    let rows = desk.rows().await;
    let shown = |row: &Value| json!([row["name"], row["fixed_data"]]);
    assert_eq!(
        rows.iter().map(shown).collect::<Vec<_>>(),
        [
            json!(["guest-1", { "email": "a@example.org", "n": [1, { "x": 1.5 }] }]),
            json!(["guest-3", { "email": null }]),
        ]
    );
    let pk = rows[0]["pk"].as_str().unwrap();
    let history = desk.app.admin().get(&format!("{INVITATION}{pk}/history/")).await.json();
    assert_eq!((&history[0]["action"], &history[0]["username"]), (&json!("created"), &json!("akadmin")));
}

#[tokio::test]
async fn what_is_exported_is_what_there_is() {
    let desk = Desk::new().await;
    let body = json!({
        "name": "rich", "expires": "2099-01-01T00:00:00Z", "fixed_data": { "a": "x, \"y\"" }, "max_uses": 3,
    });
    let pk = desk.app.admin().post(INVITATION, body).await.status(201).pk();
    let bulk = json!({ "template": { "name": "many" }, "count": 2500 });
    desk.app.admin().post(&format!("{INVITATION}bulk/"), bulk).await.status(200);
    let csv = String::from_utf8(desk.run(&["export"]).stdout).unwrap();
    assert!(
        csv.starts_with("pk,name,expires,single_use,max_uses,uses,flow,created_by,fixed_data\n"),
        "{csv:.100}"
    );
    assert_eq!(csv.lines().count(), 2502);
    let line = format!(
        "{pk},rich,2099-01-01T00:00:00Z,false,3,0,,akadmin,\"{{\"\"a\"\":\"\"x, \\\"\"y\\\"\"\"\"}}\""
    );
    assert!(csv.lines().any(|found| found == line), "{line}");
    let jsonl = String::from_utf8(desk.run(&["export", "--format", "jsonl"]).stdout).unwrap();
    let rows: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2501);
    let rich = rows.iter().find(|row| row["name"] == "rich").unwrap();
    assert_eq!((&rich["fixed_data"], &rich["max_uses"]), (&json!({ "a": "x, \"y\"" }), &json!(3)));
    assert_eq!(desk.run(&["export", "--format", "jsonl", "--flow", "enrollment"]).stdout, b"");
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_said() {
    let desk = Desk::new().await;
    desk.write("people.csv", "name,pk\na,b\n");
    desk.write("good.csv", "name\na\n");
    desk.write("t.json", "[]");
    for (arguments, sentence) in [
        (
            vec!["import", "people.csv", "--flow", "enrollment"],
            "line 1: the column pk can't be set by a file",
        ),
        (vec!["import", "good.csv", "--flow", "nowhere"], "there is no flow nowhere"),
        (vec!["import", "none.csv", "--flow", "enrollment"], "cannot read none.csv"),
        (vec!["import", "good.csv", "--flow", "enrollment", "--user", "nobody"], "there is no user nobody"),
        (
            vec!["import", "good.csv", "--flow", "enrollment", "--template", "t.json"],
            "t.json: not a JSON object",
        ),
        (
            vec!["import", "good.csv", "--flow", "enrollment", "--duration", "soon"],
            "--duration: soon must be",
        ),
    ] {
        let output = desk.run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(sentence), "{said}");
    }
    assert_eq!(desk.rows().await, Vec::<Value>::new());
}
