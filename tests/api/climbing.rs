//! A search for ways up: from every permission alone, with sight of everything, and among some others, random sequences
//! of calls by somebody who knows every key. Afterwards nobody has a right that neither they nor the caller had before;
//! no answer shows what the caller may not see.
//!
//! `AK_STAGES_SEED` repeats a run, `AK_STAGES_CLIMBS` asks for so many times as many sequences.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ak_stages::config::Settings;
use ak_stages::resources;
use drf::action::{Action, Method, RequestBody, Route};
use drf::field::{Field, FieldKind};
use rstest::rstest;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::support::{
    Client, Declared, EMAIL, INVITATION, INVITATION_STAGE, Person, TestApp, USER_WRITE, asked,
    flow_set_entry, registered, seed,
};

const CALLS: usize = 30;
const ROLES: &str = "/rbac/roles/";
const ASSIGNED: &str = "/rbac/permissions/assigned_by_roles/";

/// What only those see who hold one of these permissions.
const SECRETS: &[(&str, &[&str])] = &[
    ("flow", &["view_flow"]),
    ("group", &["view_group"]),
    ("user", &["view_user"]),
    ("role", &["view_role"]),
    ("stage", &["view_stage", "view_emailstage"]),
    ("invitation", &["view_invitation"]),
    ("key", &["view_token_key"]),
    ("password", &[]),
];

/// A key as text.
fn key_text(key: &Value) -> String {
    key.as_str().map_or(key.to_string(), str::to_owned)
}

/// `SplitMix64`: the same numbers from the same seed, everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// Whether something happens that does so this often in a hundred times.
    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// How much the caller may do beside the one permission.
#[derive(Debug, Clone, Copy)]
enum Company {
    Alone,
    SeesAll,
    Others(usize),
}

#[rstest]
#[case::alone(Company::Alone)]
#[case::seeing_all(Company::SeesAll)]
#[case::among_others(Company::Others(12))]
#[tokio::test]
async fn nobody_climbs(#[case] company: Company) {
    let seed = seed(&format!("{company:?}"));
    let mut chance = Chance(seed);
    let all: Vec<&'static str> =
        resources::permissions().into_iter().map(|(_, codename)| &*codename.leak()).collect();
    let all: Vec<_> = BTreeSet::from_iter(all).into_iter().collect();
    // Nobody is to be called: stages may name no SMTP server.
    let nowhere =
        |name: &str| (name == "AUTHENTIK_STAGES__EMAIL_HOSTS").then(|| "mail.invalid:25".to_owned());
    let mail = Settings::read(nowhere).unwrap().mail;
    let app = TestApp::with(|settings| settings.mail = mail).await;
    let (mut calls, mut written) = (0, 0);
    for _ in 0..asked("AK_STAGES_CLIMBS").unwrap_or(1) {
        // What is asked for together with others is asked for by few of the calls, so there are more of them.
        let often = |permission: &'static str| if with_partners(permission).len() > 1 { 5 } else { 1 };
        for permission in all.iter().flat_map(|permission| vec![*permission; often(permission)]) {
            let mut held = with_partners(permission);
            match company {
                Company::Alone => {}
                Company::SeesAll => held.extend(all.iter().filter(|codename| codename.starts_with("view_"))),
                Company::Others(count) => held.extend((0..count).map(|_| *chance.pick(&all))),
            }
            let context = format!("seed {seed}, {company:?}, a caller who may {held:?}");
            let climb = Climb::prepare(&app, held, context).await;
            let (sent, done) = climb.run(&mut chance).await;
            (calls, written) = (calls + sent, written + done);
        }
    }
    assert!(calls >= all.len() * CALLS, "{calls} calls");
    assert!(written > 0, "{written} of {calls} calls wrote something");
    print_figures(company, calls, written);
}

/// The permission, and those without which an action that asks for it can't be done.
fn with_partners(permission: &'static str) -> BTreeSet<&'static str> {
    let mut held = BTreeSet::from([permission]);
    for resource in registered() {
        for action in &resource.actions {
            let asked = action.permission.codenames(&resource.model);
            if asked.iter().any(|asked| asked == permission) {
                held.extend(asked.into_iter().map(|asked| &*asked.leak()));
            }
        }
    }
    held
}

#[expect(clippy::print_stdout, reason = "how far the search went")]
fn print_figures(company: Company, calls: usize, written: usize) {
    println!("{company:?}: {calls} calls, {written} wrote something");
}

/// Things to climb on, and somebody who does.
struct Climb<'a> {
    app: &'a TestApp,
    n: usize,
    caller: Client,
    id: i32,
    held: BTreeSet<&'static str>,
    context: String,
    resources: Vec<Declared>,
    /// Keys by the table of their rows.
    keys: HashMap<&'static str, Vec<Value>>,
    /// Where objects stand, by the path of their resource.
    places: HashMap<&'static str, Vec<String>>,
    slugs: [String; 3],
    log: Vec<String>,
}

/// What somebody is and may, in words: `superuser`, a permission, a permission and a key.
type Rights = BTreeSet<String>;

impl<'a> Climb<'a> {
    /// What is there to be climbed on belongs to this climb alone: the others on the same server don't know its keys.
    async fn prepare(app: &'a TestApp, held: BTreeSet<&'static str>, context: String) -> Self {
        let n = app.fresh();
        let caller =
            app.enter(held.iter().copied().fold(Person::named(&format!("climber-{n}")), Person::may)).await;
        let id = caller.user_id().await;
        let mut climb = Self {
            app,
            n,
            caller,
            id,
            held,
            context,
            resources: registered(),
            keys: HashMap::new(),
            places: HashMap::new(),
            slugs: ["hidden", "bound", "new"].map(|slug| format!("{slug}-{n}")),
            log: Vec::new(),
        };
        let role: Uuid =
            sqlx::query_scalar("SELECT role_id FROM authentik_core_user_roles WHERE user_id = $1")
                .bind(id)
                .fetch_one(&app.pool)
                .await
                .unwrap();
        let (strong, secret) =
            (app.role(&["view_token", "view_token_key", "change_user"]).await, app.role(&[]).await);
        for (statement, marker, key) in [
            (
                "UPDATE authentik_rbac_role SET name = $1 WHERE uuid::text = $2",
                climb.secret("role"),
                secret.to_string(),
            ),
            (
                "UPDATE authentik_flows_flow SET title = $1 WHERE flow_uuid::text = $2",
                climb.secret("flow"),
                app.flow(&climb.slugs[0]).await.to_string(),
            ),
        ] {
            let done = sqlx::query(statement).bind(marker).bind(key).execute(&app.pool).await.unwrap();
            assert_eq!(done.rows_affected(), 1, "{statement}");
        }
        app.flow(&climb.slugs[1]).await;
        let powers = app.group(&format!("powers-{n}"), true, &[]).await;
        let below = app.group(&format!("below-{n}"), false, &[powers]).await;
        let with_role = app.group(&format!("role-{n}"), false, &[]).await;
        app.assign(with_role, strong).await;
        let mine = app.group(&format!("mine-{n}"), false, &[]).await;
        app.join(&format!("climber-{n}"), mine).await;
        let hidden = app.group(&climb.secret("group"), false, &[]).await;
        climb.found_roles(&[role, strong, secret]);

        let name = format!("one-{n}");
        let chief = json!({ "username": format!("chief-{n}"), "name": "Chief", "groups": [powers] });
        let chief = climb.make("/core/users/", chief).await;
        climb
            .make("/core/users/", json!({ "username": format!("victim-{n}"), "name": climb.secret("user") }))
            .await;
        climb.make(EMAIL, json!({ "name": climb.secret("stage") })).await;
        let stage = json!({
            "name": format!("email-{n}"), "host": "mail.example.org", "username": "mailer",
            "password": climb.secret("password"), "flow_set": [flow_set_entry(&climb.slugs[1])],
        });
        climb.make(EMAIL, stage).await;
        climb.make(USER_WRITE, json!({ "name": format!("write-{n}"), "create_users_group": mine })).await;
        climb.make(INVITATION_STAGE, json!({ "name": format!("invitation-{n}") })).await;
        climb
            .make(INVITATION, json!({ "name": name, "fixed_data": { "x": climb.secret("invitation") } }))
            .await;
        climb.make("/core/tokens/", json!({ "identifier": name, "user": chief["pk"] })).await;
        let key = sqlx::query("UPDATE authentik_core_token SET key = $1 WHERE identifier = $2");
        key.bind(climb.secret("key")).bind(name).execute(&app.pool).await.unwrap();
        for (path, keys) in [
            ("/core/groups/", [powers, below, with_role, mine, hidden].map(|key| key.to_string()).to_vec()),
            ("/core/users/", vec![id.to_string()]),
            ("/core/tokens/", vec![format!("climber-{n}")]),
            ("/flows/instances/", climb.slugs[..2].to_vec()),
        ] {
            let resource = Declared::at(path);
            for key in keys {
                let row = app.admin().get(&format!("{path}{key}/")).await.status(200).json();
                climb.found(&resource, &row);
            }
        }
        climb
    }

    /// A text that only those see who may.
    fn secret(&self, of: &str) -> String {
        format!("secret-{of}-{:04}", self.n)
    }

    /// Something that a superuser makes.
    async fn make(&mut self, path: &str, body: Value) -> Value {
        let row = self.app.admin().post(path, body).await.status(201).json();
        self.found(&Declared::at(path), &row);
        row
    }

    /// The caller knows of these roles, and where they are given permissions.
    fn found_roles(&mut self, roles: &[Uuid]) {
        let keys = roles.iter().map(|key| json!(key));
        self.keys.entry("authentik_rbac_role").or_default().extend(keys);
        for path in [ROLES, ASSIGNED] {
            let places = roles.iter().map(|key| format!("{path}{key}/"));
            self.places.entry(path).or_default().extend(places);
        }
    }

    /// The caller knows of this object.
    fn found(&mut self, resource: &Declared, row: &Value) {
        if resource.path == ROLES {
            return self.found_roles(&[row["pk"].as_str().unwrap().parse().unwrap()]);
        }
        self.places.entry(resource.path).or_default().push(resource.path_of(row));
        let table = resource.table.parent.map_or(resource.table.name, |parent| parent.name);
        let table = if resource.path.starts_with("/stages/") { table } else { resource.table.name };
        self.keys.entry(table).or_default().push(row["pk"].clone());
    }

    /// Gives how many calls were sent, and how many of them wrote something.
    async fn run(mut self, chance: &mut Chance) -> (usize, usize) {
        let (rights, state) = (self.rights().await, self.state().await);
        let mut written = 0;
        for _ in 0..CALLS {
            written += usize::from(self.call(chance).await);
        }
        let after = self.rights().await;
        // Who may make superusers may become one, and then everything.
        let may_make = self.held.contains("enable_group_superuser");
        let nothing = Rights::new();
        let caller = format!("user {}", self.id);
        if may_make && after.get(&caller).unwrap_or(&nothing).contains("superuser") {
            return (CALLS, written);
        }
        let own = &rights[&caller];
        for (who, has) in &after {
            let had = rights.get(who).unwrap_or(&nothing);
            // Who may do something with everything may let others do it with an object.
            let owns = |right: &str| own.contains(right) || own.contains(right.split(' ').next().unwrap());
            let won = has.iter().filter(|right| !had.contains(*right) && !owns(right));
            let won: Vec<_> = won.filter(|right| !(may_make && *right == "superuser")).collect();
            assert!(won.is_empty(), "{who} won {won:?}\n{self}");
        }
        let won: Vec<_> = self.state().await.difference(&state).cloned().collect();
        assert!(won.is_empty(), "{won:?}\n{self}");
        (CALLS, written)
    }

    /// One call, of an action that the caller has the permission for more often than not. Gives whether it wrote.
    async fn call(&mut self, chance: &mut Chance) -> bool {
        let may = |resource: &Declared, action: &Action| {
            action.permission.codenames(&resource.model).iter().all(|asked| self.held.contains(&**asked))
        };
        let all =
            self.resources.iter().enumerate().flat_map(|(at, resource)| {
                resource.actions.iter().map(move |action| (at, resource, *action))
            });
        let (allowed, others): (Vec<_>, Vec<_>) =
            all.partition(|(_, resource, action)| may(resource, action));
        let writes = |action: &Action| action.method != Method::Get;
        let writing: Vec<_> = allowed.iter().filter(|(.., action)| writes(action)).copied().collect();
        let from = match () {
            () if !writing.is_empty() && chance.percent(75) => &writing,
            () if chance.percent(80) => &allowed,
            () => &others,
        };
        let (at, _, action) = *chance.pick(from);
        let nowhere = Vec::new();
        let resource = &self.resources[at];
        let path = if action.route.detail {
            let places = self.places.get(resource.path).unwrap_or(&nowhere);
            if places.is_empty() {
                return false;
            }
            let place = chance.pick(places).clone();
            Route { detail: false, ..action.route }.path(&place, "")
        } else {
            resource.place_of(&action, &Value::Null)
        };
        let body = match action.body {
            RequestBody::None => Value::Null,
            RequestBody::Fields { component: "PermissionAssign", .. } => self.assignment(chance),
            RequestBody::Fields { fields, .. } | RequestBody::Unchecked { fields, .. } => {
                self.body(fields.iter(), true, chance).await
            }
            RequestBody::Resource(_) => {
                self.body(resource.writable(), action.method == Method::Patch, chance).await
            }
        };
        let answer = self.caller.send_json(action.method.name(), &path, &body).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        self.log.push(format!("{} {path} {body} -> {}", action.method.name(), answer.status));
        assert!(answer.status < 500, "{answer}\n{self}");
        let superuser = self.held.contains("enable_group_superuser");
        for (secret, permissions) in SECRETS.iter().filter(|_| !superuser) {
            let may = permissions.iter().any(|permission| self.held.contains(permission));
            assert!(may || !text.contains(&self.secret(secret)), "{secret} is seen in {answer}\n{self}");
        }
        if answer.status == 201 && action.route == Route::LIST {
            let resource = &registered()[at];
            self.found(resource, &answer.json());
        }
        writes(&action) && answer.status < 300
    }

    /// A body with all required fields, or a part of all, and some of the others.
    async fn body(
        &self,
        fields: impl Iterator<Item = &'static Field>,
        in_part: bool,
        chance: &mut Chance,
    ) -> Value {
        let mut body = Map::new();
        for field in fields {
            let reference = matches!(field.kind, FieldKind::ForeignKey(_) | FieldKind::Many(..));
            let often = if field.name == "pk" {
                100
            } else if reference {
                50
            } else {
                25
            };
            if chance.percent(often) || (field.required && !in_part) {
                body.insert(field.name.to_owned(), self.value(field, chance).await);
            }
        }
        Value::Object(body)
    }

    /// Permissions for a role, of the caller's and of others: on everything, or on an object that the caller knows.
    fn assignment(&self, chance: &mut Chance) -> Value {
        let (model, codename) = if chance.percent(60) {
            let held: Vec<_> = self.held.iter().copied().collect();
            let codename = *chance.pick(&held);
            let all = resources::permissions();
            let (model, _) = all.into_iter().find(|(_, other)| other == codename).unwrap();
            (model, codename.to_owned())
        } else {
            chance.pick(&resources::permissions()).clone()
        };
        let global = format!("{}.{codename}", model.app_label);
        let table = format!("{}_{}", model.app_label, model.model);
        match self.keys.get(table.as_str()) {
            Some(keys) if chance.percent(50) => {
                json!({ "permissions": [codename], "model": model.label(), "object_pk": key_text(chance.pick(keys)) })
            }
            _ => json!({ "permissions": [global] }),
        }
    }

    async fn value(&self, field: &Field, chance: &mut Chance) -> Value {
        let known = |table: &str| self.keys.get(table).map_or(&[][..], |keys| &keys[..]);
        match field.kind {
            FieldKind::ForeignKey(_) if field.nullable && chance.percent(20) => Value::Null,
            FieldKind::ForeignKey(target) => chance.pick(known(target.table)).clone(),
            FieldKind::Many(target, _) => {
                (0..chance.below(3)).map(|_| chance.pick(known(target.table)).clone()).collect()
            }
            FieldKind::Nested { many: true, .. } => {
                (0..chance.below(3)).map(|_| flow_set_entry(chance.pick::<String>(&self.slugs))).collect()
            }
            // Of somebody to add to a group.
            FieldKind::Integer { .. } if field.name == "pk" && chance.percent(50) => json!(self.id),
            FieldKind::Integer { .. } if field.name == "pk" => {
                chance.pick(known("authentik_core_user")).clone()
            }
            FieldKind::Dictionary if chance.percent(50) => {
                json!({ "goauthentik.io/user/token-expires": false })
            }
            FieldKind::DateTime if chance.percent(30) => Value::Null,
            FieldKind::Boolean => json!(chance.percent(50)),
            _ if field.name == "intent" => json!(chance.pick(&["api", "app_password", "recovery"])),
            _ => self.app.sample(field, self.app.fresh()).await,
        }
    }

    /// What everybody is and may, and what they would be and might whom a stage puts into a group.
    async fn rights(&self) -> BTreeMap<String, Rights> {
        let mut transaction = self.app.pool.begin().await.unwrap();
        // The planner takes it for a large one, and would spend most of a second on compiling it.
        sqlx::query("SET LOCAL jit = off").execute(&mut *transaction).await.unwrap();
        let rows: Vec<(String, String)> = sqlx::query_as(
            "WITH RECURSIVE start (who, group_id, user_id) AS (\
               SELECT 'user ' || u.id, m.group_id, u.id FROM authentik_core_user u \
                 LEFT JOIN authentik_core_user_groups m ON m.user_id = u.id UNION ALL \
               SELECT 'stage ' || s.stage_ptr_id, s.create_users_group_id, NULL \
                 FROM authentik_stages_user_write_userwritestage s\
             ), up (who, id) AS (\
               SELECT who, group_id FROM start WHERE group_id IS NOT NULL UNION \
               SELECT up.who, a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
             ), roles (who, id) AS (\
               SELECT start.who, r.role_id FROM start JOIN authentik_core_user_roles r ON r.user_id = start.user_id UNION \
               SELECT up.who, r.role_id FROM up JOIN authentik_core_group_roles r ON r.group_id = up.id\
             ) SELECT who, 'superuser' FROM up JOIN authentik_core_group g ON g.group_uuid = up.id WHERE g.is_superuser \
             UNION SELECT who, p.codename FROM roles JOIN guardian_rolemodelpermission m ON m.role_id = roles.id \
               JOIN auth_permission p ON p.id = m.permission_id \
             UNION SELECT who, p.codename || ' ' || o.object_pk FROM roles \
               JOIN guardian_roleobjectpermission o ON o.role_id = roles.id JOIN auth_permission p ON p.id = o.permission_id \
             UNION SELECT who, 'is there' FROM start",
        )
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
        let mut rights: BTreeMap<String, Rights> = BTreeMap::new();
        for (who, right) in rows {
            let rights = rights.entry(who).or_default();
            if right != "is there" {
                rights.insert(right);
            }
        }
        rights
    }

    /// What nobody may bring about without being a superuser: tokens without end, tokens that authentik looks after, a
    /// mail server's password at another one.
    async fn state(&self) -> BTreeSet<String> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT 'unending token ' || token_uuid FROM authentik_core_token WHERE NOT expiring OR expires IS NULL \
             UNION SELECT 'managed token ' || token_uuid FROM authentik_core_token WHERE managed IS NOT NULL \
             UNION SELECT 'password at ' || host || ':' || port || ' for ' || username \
               FROM authentik_stages_email_emailstage WHERE password LIKE 'secret-password-%'",
        )
        .fetch_all(&self.app.pool)
        .await
        .unwrap();
        rows.into_iter().collect()
    }
}

impl std::fmt::Display for Climb<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}", self.context, self.log.join("\n"))
    }
}
