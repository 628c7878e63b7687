//! `ak-stages export` and `import`: the real program, and blueprints.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{
    EMAIL, INVITATION, INVITATION_STAGE, Program, TestApp, USER_WRITE, database_of, empty_database,
    new_directory,
};

type Environment = Vec<(&'static str, String)>;

const GROUPS: &str = "/core/groups/";
const FLOWS: &str = "/flows/instances/";
const BINDINGS: &str = "/flows/bindings/";

/// The program in a directory with files.
struct Desk {
    directory: PathBuf,
}

impl Desk {
    fn new() -> Self {
        Self { directory: new_directory("blueprints") }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.join(name), text).unwrap();
    }

    fn run(&self, environment: &Environment, arguments: &[&str]) -> Output {
        let mut command = Program::command(environment);
        let directory = self.directory.to_str().unwrap();
        command
            .current_dir(directory)
            .env("BLUEPRINT_HOST", "mail.example.org")
            .args(arguments)
            .output()
            .unwrap()
    }

    /// What it says; of one that goes wrong, what it says of that.
    fn said(&self, environment: &Environment, arguments: &[&str]) -> Result<String, String> {
        let output = self.run(environment, arguments);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn export(&self, environment: &Environment) -> String {
        self.said(environment, &["export"]).unwrap()
    }
}

/// A database of which there is no more than a first start makes.
async fn elsewhere() -> Environment {
    let environment = empty_database().await;
    drop(Program::serve(&environment));
    environment
}

fn summary(made: usize, changed: usize, removed: usize, kept: usize, skipped: usize) -> String {
    format!(
        "{made} objects are made, {changed} changed, {removed} removed; {kept} stay as they are, {skipped} entries are \
         skipped\n"
    )
}

/// Objects of every kind that an export has, with what is awkward in YAML.
async fn furnish(app: &TestApp) {
    let admin = app.admin();
    let group =
        |name: &str, parents: Vec<String>| json!({ "name": name, "parents": parents, "attributes": {} });
    let top = admin.post(GROUPS, group("zz: top", vec![])).await.status(201).pk();
    let side = admin.post(GROUPS, group("yes", vec![])).await.status(201).pk();
    let body = json!({
        "name": "below", "parents": [top, side],
        "attributes": { "a": [1, 2.5, 1e100, null, true], "nested": { "x": "line\nbreak", "1:30": "1:30" } },
    });
    let below = admin.post(GROUPS, body).await.status(201).pk();
    let flow = |slug: &str, title: &str| json!({ "name": slug, "slug": slug, "title": title, "designation": "enrollment", "layout": "content_left" });
    let first = admin.post(FLOWS, flow("first", "# no comment")).await.status(201).pk();
    let second = admin.post(FLOWS, flow("second", "ÄÖ \"quoted\" 'too'")).await.status(201).pk();
    let email = json!({ "name": "mail", "host": "mail.example.com", "password": "very-secret-word", "subject": "010" });
    let email = admin.post(EMAIL, email).await.status(201).pk();
    let write =
        json!({ "name": "write {x}", "create_users_group": below, "user_path_template": "users/%(x)s" });
    let write = admin.post(USER_WRITE, write).await.status(201).pk();
    let invited = json!({ "name": "invited", "continue_flow_without_invitation": true });
    let invited = admin.post(INVITATION_STAGE, invited).await.status(201).pk();
    for (target, stage, order) in
        [(&first, &invited, 0), (&first, &write, 10), (&second, &email, 5), (&second, &invited, -3)]
    {
        let body =
            json!({ "target": target, "stage": stage, "order": order, "invalid_response_action": "restart" });
        admin.post(BINDINGS, body).await.status(201);
    }
    for number in 0..3 {
        let body = json!({
            "name": format!("guest-{number}"), "expires": format!("20{}-01-01T00:00:00.123456Z", 40 + number),
            "fixed_data": { "email": "guest@example.org", "n": number }, "single_use": number == 1,
            "flow": if number == 2 { Value::Null } else { json!(first) }, "max_uses": if number == 0 { json!(7) } else { Value::Null },
        });
        admin.post(INVITATION, body).await.status(201);
    }
}

#[tokio::test]
async fn an_export_makes_the_same_elsewhere() {
    let (app, desk) = (TestApp::new().await, Desk::new());
    furnish(&app).await;
    let here = app.environment();
    let exported = desk.export(&here);
    assert!(!exported.contains("very-secret-word"));
    desk.write("all.yaml", &exported);
    let entries = exported.matches("\n- model: ").count();

    let there = elsewhere().await;
    let before = desk.export(&there);
    let dry = desk.said(&there, &["import", "all.yaml", "--dry-run"]).unwrap();
    assert!(dry.contains("+ authentik_flows.flow slug=\"first\" (line "), "{dry}");
    assert!(dry.contains("\n    title: \"# no comment\"\n"), "{dry}");
    assert_eq!(desk.export(&there), before);

    let made = desk.said(&there, &["import", "all.yaml"]).unwrap();
    assert_eq!(made, summary(entries - 1, 0, 0, 1, 0), "the group of administrators is there already");
    assert_eq!(desk.export(&there), exported);
    assert_eq!(desk.said(&there, &["import", "all.yaml"]).unwrap(), summary(0, 0, 0, entries, 0));
    assert_eq!(desk.export(&there), exported);

    // Where it comes from nothing changes either: passwords stay.
    assert_eq!(desk.said(&here, &["import", "all.yaml"]).unwrap(), summary(0, 0, 0, entries, 0));
    let password: String = sqlx::query_scalar("SELECT password FROM authentik_stages_email_emailstage")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(password, "very-secret-word");
}

#[tokio::test]
async fn groups_above_each_other_come_through() {
    let (app, desk) = (TestApp::new().await, Desk::new());
    let admin = app.admin();
    let mut keys = Vec::new();
    for name in ["one", "two", "three"] {
        keys.push(admin.post(GROUPS, json!({ "name": name })).await.status(201).pk());
    }
    for place in 0..3 {
        let body = json!({ "parents": [keys[(place + 1) % 3]] });
        admin.patch(&format!("{GROUPS}{}/", keys[place]), body).await.status(200);
    }
    let exported = desk.export(&app.environment());
    desk.write("all.yaml", &exported);
    let there = elsewhere().await;
    desk.said(&there, &["import", "all.yaml"]).unwrap();
    assert_eq!(desk.export(&there), exported);
}

const EVERY_TAG: &str = r#"
version: 1
metadata:
  name: by hand
  labels: {blueprints.goauthentik.io/instantiate: "false"}
context:
  domain: example.org
  teams: [red, blue]
  deep: {list: [zero, one]}
  hosts: {a: 1, b: 2}
entries:
  groups:
  - &group
    model: authentik_core.group
    id: staff
    identifiers: {name: staff}
    attrs:
      attributes:
        env: !Env BLUEPRINT_HOST
        no_env: !Env [BLUEPRINT_NOWHERE, [default]]
        file: !File word.txt
        no_file: !File [nowhere.txt, none]
        context: !Context domain
        no_context: !Context [nothing, 5]
        dots: !Context deep.list.1
        format: !Format ["%s-%d%%", !Context domain, 3]
        if: !If [!Condition [AND, !Context domain, true], {yes: !Context domain}, no]
        short: !If [""]
        condition: !Condition [XOR, 1, 0]
        enumerate: !Enumerate [!Context teams, SEQ, !Format ["%d:%s", !Index 0, !Value 0]]
        mapping: !Enumerate [!Context hosts, MAP, [!Index 0, !Enumerate [!Context teams, SEQ, !Format ["%s%s", !Index 1, !Value 0]]]]
        nested: !Enumerate [!Context teams, MAP, [!Index 0, !Enumerate [!Value 1, SEQ, !Format ["%s: %d %s", !Value 1, !Index 0, !Value 0]]]]
        at: !AtIndex [!Context teams, 1]
        at_default: !AtIndex [!Context teams, 9, none]
        admin: !Find [authentik_core.user, [username, akadmin]]
        nobody: !Find [authentik_core.user, [username, nobody]]
  - <<: *group
    id: guests
    identifiers: {name: guests}
    attrs: {parents: [!KeyOf staff], attributes: {staff: !AtIndex [!FindObject [authentik_core.group, [name, staff]], name]}}
  others:
  - model: authentik_core.user
    identifiers: {username: carla}
    attrs: {name: Carla, groups: [!KeyOf guests]}
  - model: authentik_core.token
    identifiers: {identifier: carla}
    attrs: {user: !Find [authentik_core.user, [username, carla]], intent: api}
  - model: authentik_flows.flow
    id: flow
    identifiers: {slug: hand}
    attrs: {name: By hand, title: !Format ["Welcome to %s", !Context domain], designation: enrollment}
  - model: authentik_stages_email.emailstage
    id: mail
    identifiers: {name: mail}
    attrs: {host: !Env BLUEPRINT_HOST, password: !File word.txt, use_tls: yes}
  - model: authentik_stages_user_write.UserWriteStage
    id: write
    identifiers: {name: write}
    attrs: {create_users_group: !Find [authentik_core.group, [name, !Context [group, guests]]]}
  - model: !Format ["authentik_stages_%s.%sstage", invitation, invitation]
    id: invited
    identifiers: {name: invited}
  - {model: authentik_flows.flowstagebinding, identifiers: {target: !KeyOf flow, stage: !KeyOf invited, order: 0}}
  - {model: authentik_flows.flowstagebinding, identifiers: {target: !KeyOf flow, stage: !KeyOf write, order: 1}}
  - model: authentik_stages_invitation.invitation
    identifiers: {pk: 5b0d0c0e-0000-4000-8000-000000000001}
    attrs: {name: guest, flow: !KeyOf flow, expires: 2099-01-01T00:00:00Z, fixed_data: {team: !AtIndex [!Context teams, 0]}}
  - model: authentik_stages_invitation.invitation
    conditions: [true, !Condition [NEQ, !Context domain, example.org]]
    identifiers: {name: never}
  - model: authentik_core.group
    state: !If [true, absent, present]
    identifiers: {name: gone}
"#;

async fn group(app: &TestApp, name: &str) -> Option<Value> {
    app.admin().get(&format!("{GROUPS}?name={name}")).await.rows().pop()
}

#[tokio::test]
async fn every_tag_and_every_model_by_hand() {
    let (app, desk) = (TestApp::new().await, Desk::new());
    let admin = app.admin();
    admin.post(GROUPS, json!({ "name": "gone" })).await.status(201);
    desk.write("hand.yaml", EVERY_TAG);
    desk.write("word.txt", "a-word-in-a-file\n");
    let here = app.environment();
    assert_eq!(desk.said(&here, &["import", "hand.yaml"]).unwrap(), summary(11, 0, 1, 0, 1));

    let staff = group(&app, "staff").await.unwrap();
    let akadmin = admin.get("/core/users/?username=akadmin").await.rows()[0]["pk"].clone();
    assert_eq!(
        staff["attributes"],
        json!({
            "env": "mail.example.org", "no_env": ["default"], "file": "a-word-in-a-file", "no_file": "none",
            "context": "example.org", "no_context": 5, "dots": "one", "format": "example.org-3%",
            "if": { "true": "example.org" }, "short": false, "condition": true,
            "enumerate": ["0:red", "1:blue"], "nested": {
                "0": ["red: 0 r", "red: 1 e", "red: 2 d"],
                "1": ["blue: 0 b", "blue: 1 l", "blue: 2 u", "blue: 3 e"],
            },
            "mapping": { "a": ["ared", "ablue"], "b": ["bred", "bblue"] },
            "at": "blue", "at_default": "none", "admin": akadmin, "nobody": null,
        })
    );
    let guests = group(&app, "guests").await.unwrap();
    assert_eq!(
        (&guests["parents"], &guests["attributes"]),
        (&json!([staff["pk"]]), &json!({ "staff": "staff" }))
    );
    assert_eq!(group(&app, "gone").await, None);
    let stage = &admin.get(EMAIL).await.rows()[0];
    assert_eq!((&stage["host"], &stage["use_tls"]), (&json!("mail.example.org"), &json!(true)));
    let write = &admin.get(USER_WRITE).await.rows()[0];
    assert_eq!(write["create_users_group"], guests["pk"]);
    let flow = admin.get(&format!("{FLOWS}hand/")).await.json();
    assert_eq!(flow["title"], "Welcome to example.org");
    assert_eq!(flow["stages"].as_array().unwrap().len(), 2);
    let invitations = admin.get(INVITATION).await.rows();
    let shown: Vec<_> =
        invitations.iter().map(|row| [&row["pk"], &row["flow"], &row["fixed_data"]["team"]]).collect();
    assert_eq!(shown, [[&json!("5b0d0c0e-0000-4000-8000-000000000001"), &flow["pk"], &json!("red")]]);
    let token = admin.get("/core/tokens/carla/").await.json();
    assert_eq!((&token["intent"], &token["user_obj"]["username"]), (&json!("api"), &json!("carla")));

    // Again nothing is made. That the password is the same can't be seen.
    let again = desk.said(&here, &["import", "hand.yaml", "--dry-run"]).unwrap();
    assert!(again.contains("~ authentik_stages_email.emailstage name=\"mail\""), "{again}");
    assert!(
        again.contains("    password: \"(not shown)\" -> \"(not shown)\"\n") && !again.contains("a-word"),
        "{again}"
    );
    assert!(
        again.ends_with(
            "0 objects would be made, 1 changed, 0 removed; 11 stay as they are, 1 entries are skipped\n"
        ),
        "{again}"
    );

    // What is given from outside goes before the file's own.
    let arguments = ["import", "hand.yaml", "--context", "domain=example.com", "--context", "group=staff"];
    desk.said(&here, &arguments).unwrap();
    assert_eq!(admin.get(&format!("{FLOWS}hand/")).await.json()["title"], "Welcome to example.com");
    assert_eq!(admin.get(USER_WRITE).await.rows()[0]["create_users_group"], staff["pk"]);
    assert_eq!(admin.get(INVITATION).await.rows().len(), 2, "its condition holds now");
}

/// As authentik exports a flow: keys beside names, and what is empty.
const FROM_AUTHENTIK: &str = r"context: {}
entries:
- attrs:
    authentication: none
    denied_action: message_continue
    designation: enrollment
    layout: stacked
    name: Enrollment
    policy_engine_mode: any
    title: Welcome
  conditions: []
  identifiers:
    pk: 11111111-1111-4111-8111-111111111111
    slug: enrollment
  model: authentik_flows.flow
  permissions: []
  state: present
- attrs:
    user_creation_mode: always_create
  conditions: []
  identifiers:
    name: writer
    pk: 22222222-2222-4222-8222-222222222222
  model: authentik_stages_user_write.userwritestage
  permissions: []
  state: present
- attrs:
    evaluate_on_plan: false
    invalid_response_action: retry
    policy_engine_mode: all
    re_evaluate_policies: true
  conditions: []
  identifiers:
    order: 10
    pk: 33333333-3333-4333-8333-333333333333
    stage: 22222222-2222-4222-8222-222222222222
    target: 11111111-1111-4111-8111-111111111111
  model: authentik_flows.flowstagebinding
  permissions: []
  state: present
metadata:
  labels:
    blueprints.goauthentik.io/generated: 'true'
  name: authentik Export - 2026-03-04 05:06:07.000008+00:00
version: 1
";

#[tokio::test]
async fn keys_from_elsewhere_lead_to_what_is_here() {
    let desk = Desk::new();
    desk.write("flow.yaml", FROM_AUTHENTIK);
    // In an empty database the objects get the keys of the file.
    let app = TestApp::new().await;
    assert_eq!(desk.said(&app.environment(), &["import", "flow.yaml"]).unwrap(), summary(3, 0, 0, 0, 0));
    let binding = &app.admin().get(BINDINGS).await.rows()[0];
    assert_eq!(binding["pk"], "33333333-3333-4333-8333-333333333333");
    assert_eq!(binding["target"], "11111111-1111-4111-8111-111111111111");

    // Where they are known by other keys, those count.
    let app = TestApp::new().await;
    let flow = app.flow("enrollment").await;
    let said = desk.said(&app.environment(), &["import", "flow.yaml"]).unwrap();
    assert_eq!(said, summary(2, 1, 0, 0, 0));
    let binding = &app.admin().get(BINDINGS).await.rows()[0];
    assert_eq!((&binding["target"], &binding["policy_engine_mode"]), (&json!(flow), &json!("all")));
    assert_eq!(desk.said(&app.environment(), &["import", "flow.yaml"]).unwrap(), summary(0, 0, 0, 3, 0));
}

#[tokio::test]
async fn states_say_what_becomes_of_what_is_there() {
    let (app, desk) = (TestApp::new().await, Desk::new());
    let here = app.environment();
    let write = |state: &str, title: &str| {
        let text = format!(
            "entries:\n- model: authentik_flows.flow\n  state: {state}\n  identifiers: {{slug: s}}\n  \
             attrs: {{name: s, title: {title}, designation: recovery}}\n"
        );
        desk.write("state.yaml", &text);
        desk.said(&here, &["import", "state.yaml"])
    };
    assert_eq!(write("absent", "none").unwrap(), summary(0, 0, 0, 1, 0));
    assert_eq!(write("must_created", "one").unwrap(), summary(1, 0, 0, 0, 0));
    let refused = write("must_created", "two").unwrap_err();
    assert!(refused.contains("state.yaml: line 2: it must be created, and is there already"), "{refused}");
    assert_eq!(write("created", "two").unwrap(), summary(0, 0, 0, 1, 0));
    let title = async || app.admin().get(&format!("{FLOWS}s/")).await.json()["title"].clone();
    assert_eq!(title().await, "one");
    assert_eq!(write("present", "two").unwrap(), summary(0, 1, 0, 0, 0));
    assert_eq!(title().await, "two");
    assert_eq!(write("absent", "two").unwrap(), summary(0, 0, 1, 0, 0));
    app.admin().get(&format!("{FLOWS}s/")).await.status(404);
}

#[tokio::test]
async fn a_dictionary_finds_what_holds_it() {
    let (app, desk) = (TestApp::new().await, Desk::new());
    let attributes = json!({ "site": { "town": "Oslo", "floor": 3 }, "tags": ["a", "b"] });
    app.admin().post(GROUPS, json!({ "name": "there", "attributes": attributes })).await.status(201);
    let import = |town: &str| {
        let text = format!(
            "entries:\n- model: authentik_core.group\n  identifiers: {{attributes: {{site: {{town: {town}}}, tags: [b]}}}}\n  \
             attrs: {{name: {town}, is_superuser: true}}\n"
        );
        desk.write("group.yaml", &text);
        desk.said(&app.environment(), &["import", "group.yaml"]).unwrap()
    };
    assert_eq!(import("Oslo"), summary(0, 1, 0, 0, 0));
    assert_eq!(import("Bergen"), summary(1, 0, 0, 0, 0));
    let oslo = group(&app, "Oslo").await.unwrap();
    assert_eq!((&oslo["attributes"], &oslo["is_superuser"]), (&attributes, &json!(true)));
    let bergen = group(&app, "Bergen").await.unwrap();
    assert_eq!(bergen["attributes"], json!({ "site": { "town": "Bergen" }, "tags": ["b"] }));
}

/// Two resources are of the model of roles.
#[tokio::test]
async fn a_role_is_made_named_and_removed() {
    let (app, desk) = (TestApp::new().await, Desk::new());
    desk.write(
        "role.yaml",
        "entries:\n- model: authentik_rbac.role\n  identifiers: {name: readers}\n\
         - model: authentik_core.group\n  identifiers: {name: them}\n  \
         attrs: {roles: [!Find [authentik_rbac.role, [name, readers]]]}\n",
    );
    let import = |file: &str| desk.said(&app.environment(), &["import", file]).unwrap();
    assert_eq!(import("role.yaml"), summary(2, 0, 0, 0, 0));
    let role = app.admin().get("/rbac/roles/?name=readers").await.rows()[0]["pk"].clone();
    assert_eq!(group(&app, "them").await.unwrap()["roles"], json!([role]));
    assert_eq!(import("role.yaml"), summary(0, 0, 0, 2, 0));
    desk.write(
        "no-role.yaml",
        "entries:\n- model: authentik_rbac.role\n  state: absent\n  identifiers: {name: readers}\n",
    );
    assert_eq!(import("no-role.yaml"), summary(0, 0, 1, 0, 0));
    assert_eq!(group(&app, "them").await.unwrap()["roles"], json!([]));
}

/// Before each of them stands an entry that is fine, on lines 1 to 4.
const WRONG: [(&str, usize, &str); 16] = [
    (
        "- {model: authentik_stages_prompt.prompt, identifiers: {name: x}}",
        5,
        "the model authentik_stages_prompt.prompt is not known",
    ),
    ("- model: !Format [\"%s.x\", y]\n  identifiers: {name: x}", 5, "the model y.x is not known"),
    (
        "- model: authentik_core.group\n  identifiers: {name: x}\n  attrs:\n    attributes: {a: !Secret b}",
        8,
        "the tag !Secret is not known",
    ),
    (
        "- model: authentik_core.group\n  identifiers: {name: x}\n  attrs:\n    attributes: {a: !KeyOf b}",
        8,
        "!KeyOf: no entry before has the id b",
    ),
    (
        "- model: authentik_core.group\n  identifiers: {name: !Format [\"%x\", 1]}",
        6,
        "!Format: %x is not supported",
    ),
    (
        "- model: authentik_core.group\n  identifiers: {name: !Find [a.b, [c, d]]}",
        6,
        "!Find: the model a.b is not known",
    ),
    (
        "- model: authentik_core.group\n  identifiers: {name: !Find [authentik_core.group, [c, d]]}",
        6,
        "c: Not a field by which it can be found.",
    ),
    (
        "- model: authentik_core.group\n  identifiers: {nam: x}",
        6,
        "nam: Not a field by which it can be found.",
    ),
    ("- model: authentik_core.group\n  attrs: {name: x}", 5, "an entry must have identifiers"),
    (
        "- model: authentik_flows.flow\n  identifiers: {slug: x}\n  attrs:\n    name: x\n    designation: nothing",
        8,
        "title: This field is required.; designation: \"nothing\" is not a valid choice.",
    ),
    (
        "- model: authentik_core.group\n  identifiers: {name: !Value 0}",
        6,
        "!Value: there is no !Enumerate so far around it",
    ),
    (
        "- model: authentik_core.group\n  identifiers: {name: !Enumerate [!Value 0, SEQ, x]}",
        6,
        "!Value: an !Enumerate can't go through itself",
    ),
    (
        "- model: authentik_core.group\n  identifiers: {name: x}\n  attrs: {attributes: {a: !Find [authentik_core.group]}}",
        7,
        "!Find: it takes a model and pairs of a field and a value",
    ),
    ("- model: authentik_flows.stage\n  identifiers: {name: x}", 5, "This can't be done with it."),
    (
        "- model: authentik_core.group\n  state: gone\n  identifiers: {name: x}",
        6,
        "a state must be present, created, must_created or absent",
    ),
    ("- model: authentik_core.group\n  identifiers: {name: [}", 6, ""),
];

#[tokio::test]
async fn nothing_is_written_of_a_blueprint_with_a_wrong_entry() {
    let (app, desk) = (TestApp::new().await, Desk::new());
    let (here, before) = (app.environment(), app.everything().await);
    for (entry, line, sentence) in WRONG {
        let fine = "entries:\n- model: authentik_core.group\n  identifiers: {name: fine}\n  attrs: {is_superuser: true}";
        desk.write("wrong.yaml", &format!("{fine}\n{entry}\n"));
        let said = desk.said(&here, &["import", "wrong.yaml"]).unwrap_err();
        assert!(
            said.contains(&format!("wrong.yaml: line {line}: ")) && said.contains(sentence),
            "{entry}: {said}"
        );
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_user_does_what_it_may() {
    let (app, desk) = (TestApp::new().await, Desk::new());
    let here = app.environment();
    app.flow("seen").await;
    desk.write(
        "flow.yaml",
        "entries:\n- model: authentik_flows.flow\n  identifiers: {slug: seen}\n  attrs: {title: x}\n",
    );
    let said = desk.said(&here, &["import", "flow.yaml", "--user", "plain"]).unwrap_err();
    assert!(
        said.contains("line 2: name: This field is required") || said.contains("may not do this"),
        "{said}"
    );
    let said = desk.said(&here, &["import", "flow.yaml", "--user", "nobody"]).unwrap_err();
    assert!(said.contains("there is no active user nobody"), "{said}");
    let said = desk.said(&here, &["import", "flow.yaml", "--context", "x"]).unwrap_err();
    assert!(said.contains("--context: x must be a name, an equals sign and a value"), "{said}");
    let said = desk.said(&here, &["import", "nowhere.yaml"]).unwrap_err();
    assert!(said.contains("cannot read nowhere.yaml"), "{said}");
}

#[tokio::test]
async fn many_invitations_keep_their_keys() {
    let (app, desk) = (TestApp::new().await, Desk::new());
    let bulk = json!({ "template": { "name": "many", "expires": "2099-01-01T00:00:00Z" }, "count": 1200 });
    app.admin().post(&format!("{INVITATION}bulk/"), bulk).await.status(200);
    let exported = desk.export(&app.environment());
    assert_eq!(exported.matches("authentik_stages_invitation.invitation\n").count(), 1200);
    desk.write("many.yaml", &exported);
    let there = elsewhere().await;
    assert!(desk.said(&there, &["import", "many.yaml"]).unwrap().starts_with("1200 objects are made"));
    assert_eq!(desk.export(&there), exported);
    let history: Vec<(String, i64)> =
        sqlx::query_as("SELECT action, count(*) FROM ak_stages.invitation_history GROUP BY action")
            .fetch_all(&database_of(&there))
            .await
            .unwrap();
    assert_eq!(BTreeMap::from_iter(history), BTreeMap::from([("created".to_owned(), 1200)]));
}
