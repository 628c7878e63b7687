//! Use of invitations: `status/`, `redeem/`, reservations and `max_uses`. The database's clock counts here, not that of the
//! tests.

use futures_util::future::join_all;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Client, INVITATION, TestApp, seed};

const LATER: &str = "2099-01-01T00:00:00Z";

/// The path of an invitation that holds.
async fn invitation(app: &TestApp, mut body: Value) -> String {
    body["name"] = json!(app.new_name());
    if body.get("expires").is_none() {
        body["expires"] = json!(LATER);
    }
    format!("{INVITATION}{}/", app.admin().post(INVITATION, body).await.status(201).pk())
}

fn reason(answer: &Answer) -> Value {
    assert_eq!(answer.status, 400, "{answer}");
    answer.json()["code"].clone()
}

#[tokio::test]
async fn a_single_use_one_is_gone_with_its_use() {
    let app = TestApp::new().await;
    let flow = app.flow("enrollment").await;
    let body = json!({ "single_use": true, "flow": flow, "fixed_data": { "email": "a@example.org" } });
    let path = invitation(&app, body).await;
    let before = app.admin().get(&path).await.json();
    let state = json!({
        "usable": true, "reason": null, "expires": LATER, "max_uses": null, "uses": 0, "reserved": 0, "left": 1,
    });
    for _ in 0..3 {
        app.admin().get(&format!("{path}status/?flow=enrollment")).await.is(200, state.clone());
    }
    assert_eq!(app.admin().get(&path).await.json(), before, "a look burns nothing");
    let redeem = format!("{path}redeem/");
    assert_eq!(reason(&app.admin().post(&redeem, json!({ "flow": "other" })).await), "other_flow");
    let answer = app.admin().post(&redeem, json!({ "flow": "enrollment" })).await;
    answer.is(
        200,
        json!({
            "pk": before["pk"], "name": before["name"], "flow": flow, "fixed_data": { "email": "a@example.org" },
            "uses": 1, "ended": true, "reservation": null, "reserved_until": null,
        }),
    );
    let gone = json!({ "detail": "No Invitation matches the given query." });
    app.admin().post(&redeem, json!({})).await.is(404, gone.clone());
    app.admin().get(&path).await.is(404, gone);
}

#[tokio::test]
async fn one_without_a_limit_stays_and_is_counted() {
    let app = TestApp::new().await;
    let path = invitation(&app, json!({})).await;
    for uses in 1..=3 {
        let answer = app.admin().post(&format!("{path}redeem/"), json!({})).await.status(200).json();
        assert_eq!((&answer["uses"], &answer["ended"]), (&json!(uses), &json!(false)));
    }
    let state = app.admin().get(&format!("{path}status/?flow=any")).await.json();
    assert_eq!((&state["uses"], &state["left"], &state["usable"]), (&json!(3), &Value::Null, &json!(true)));
    // One that becomes a single-use one has one use left, as with authentik.
    app.admin().patch(&path, json!({ "single_use": true })).await.status(200);
    assert_eq!(app.admin().post(&format!("{path}redeem/"), json!({})).await.json()["ended"], true);
}

#[tokio::test]
async fn an_expired_one_is_refused_by_the_databases_clock() {
    let app = TestApp::new().await;
    // Of the year 2026, in March, as is the tests' clock.
    let path = invitation(&app, json!({ "expires": "2026-03-04T05:30:00Z" })).await;
    let state = app.admin().get(&format!("{path}status/")).await.status(200).json();
    assert_eq!((&state["usable"], &state["reason"]), (&json!(false), &json!("expired")));
    for body in [json!({}), json!({ "reserve": 5 })] {
        let answer = app.admin().post(&format!("{path}redeem/"), body).await;
        answer.is(400, json!({ "non_field_errors": ["Invitation has expired"], "code": "expired" }));
    }
    app.admin().get(&path).await.status(200);
}

#[tokio::test]
async fn a_reservation_is_committed_or_released_once() {
    let app = TestApp::new().await;
    let path = invitation(&app, json!({ "single_use": true })).await;
    let reserve = async || app.admin().post(&format!("{path}redeem/"), json!({ "reserve": 60 })).await;
    let first = reserve().await.status(200).json();
    assert!(first["reserved_until"].as_str().unwrap() > "2026-03-05", "{first}");
    assert_eq!((&first["ended"], &first["uses"]), (&json!(false), &json!(0)));
    assert_eq!(reason(&reserve().await), "reserved");
    assert_eq!(app.admin().get(&format!("{path}status/")).await.json()["reason"], "reserved");
    let at =
        |reservation: &Value, what| format!("{path}reservations/{}/{what}/", reservation.as_str().unwrap());
    app.admin().post(&at(&first["reservation"], "release"), json!({})).await.status(204);
    let gone = json!({ "detail": "No InvitationReservation matches the given query." });
    for what in ["release", "commit"] {
        app.admin().post(&at(&first["reservation"], what), json!({})).await.is(404, gone.clone());
    }
    let second = reserve().await.status(200).json();
    // The invitation may end meanwhile: it was promised.
    app.admin().patch(&path, json!({ "expires": "2026-03-05T00:00:00Z" })).await.status(200);
    let answer = app.admin().post(&at(&second["reservation"], "commit"), json!({})).await.status(200).json();
    assert_eq!((&answer["ended"], &answer["uses"]), (&json!(true), &json!(1)));
    app.admin().get(&path).await.status(404);
}

#[tokio::test]
async fn max_uses_is_shown_to_those_who_ask() {
    let app = TestApp::new().await;
    let path = invitation(&app, json!({ "max_uses": 2 })).await;
    let plain = app.admin().get(&path).await.json();
    assert_eq!(plain.get("max_uses"), None);
    let extended = format!("{path}?extended=true");
    let mut expected = plain.clone();
    expected["max_uses"] = json!(2);
    app.admin().get(&extended).await.is(200, expected.clone());
    app.admin().get(&format!("{INVITATION}?extended=true")).await.rows().iter().for_each(|row| {
        assert_eq!(row["max_uses"], 2);
    });
    app.admin().patch(&path, json!({ "max_uses": null })).await.is(200, plain);
    assert_eq!(app.admin().get(&extended).await.json()["max_uses"], Value::Null);
    app.admin()
        .patch(&path, json!({ "max_uses": 0 }))
        .await
        .is(400, json!({ "max_uses": ["Ensure this value is greater than or equal to 1."] }));
    // A limit below what was used ends it.
    for _ in 0..2 {
        app.admin().post(&format!("{path}redeem/"), json!({})).await.status(200);
    }
    app.admin().patch(&path, json!({ "max_uses": 1 })).await.status(200);
    assert_eq!(reason(&app.admin().post(&format!("{path}redeem/"), json!({})).await), "used_up");
}

#[tokio::test]
async fn to_use_one_takes_the_permission_to_delete_it() {
    let app = TestApp::new().await;
    let path = invitation(&app, json!({})).await;
    let pk = path.trim_end_matches('/').rsplit('/').next().unwrap();
    let viewer = app.granted(&["view_invitation"], pk).await;
    viewer.get(&format!("{path}status/")).await.status(200);
    let reservation = Uuid::nil();
    for what in [
        "redeem",
        &format!("reservations/{reservation}/commit"),
        &format!("reservations/{reservation}/release"),
    ] {
        viewer.post(&format!("{path}{what}/"), json!({})).await.status(403);
    }
    let executor = app.granted(&["view_invitation", "delete_invitation"], pk).await;
    executor.post(&format!("{path}redeem/"), json!({})).await.status(200);
}

/// So many at once: how many were let.
async fn let_in(app: &TestApp, path: &str, many: usize) -> usize {
    let client = app.admin();
    let attempts = (0..many).map(|_| {
        let (client, path) = (client.clone(), format!("{path}redeem/"));
        tokio::spawn(async move { client.post(&path, json!({})).await.status })
    });
    let statuses: Vec<u16> = join_all(attempts).await.into_iter().map(Result::unwrap).collect();
    assert!(statuses.iter().all(|status| matches!(status, 200 | 400 | 404)), "{statuses:?}");
    statuses.iter().filter(|status| **status == 200).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_at_once_as_many_are_let_as_the_limit_says() {
    let app = TestApp::new().await;
    let single = invitation(&app, json!({ "single_use": true })).await;
    assert_eq!(let_in(&app, &single, 100).await, 1);
    let seven = invitation(&app, json!({ "max_uses": 7 })).await;
    assert_eq!(let_in(&app, &seven, 100).await, 7);
    let free = invitation(&app, json!({})).await;
    assert_eq!(let_in(&app, &free, 20).await, 20);
}

/// What an invitation with a limit does, in words.
#[derive(Debug, Default)]
struct Model {
    limit: usize,
    used: usize,
    kept: Vec<Uuid>,
}

impl Model {
    /// What has to be answered to a use or a reservation.
    fn verdict(&self) -> (u16, Value) {
        match (self.used == self.limit, self.used + self.kept.len() == self.limit) {
            (true, _) => (404, Value::Null),
            (_, true) => (400, json!("reserved")),
            _ => (200, Value::Null),
        }
    }
}

/// One who uses reservations of an invitation at random.
struct Walk<'a> {
    app: &'a TestApp,
    client: Client,
    path: String,
    chance: SmallRng,
    /// Reservations that were abandoned: they count until they expire.
    model: Model,
}

impl Walk<'_> {
    async fn step(&mut self) {
        match self.chance.random_range(0..6) {
            0 => self.redeem(json!({})).await,
            1 | 2 => self.redeem(json!({ "reserve": 3600 })).await,
            3 => self.finish("commit").await,
            4 => self.finish("release").await,
            _ => self.expire().await,
        }
        let state = self.client.get(&format!("{}status/", self.path)).await;
        if self.model.used < self.model.limit {
            let state = state.status(200).json();
            let shown = (&state["uses"], &state["reserved"]);
            assert_eq!(shown, (&json!(self.model.used), &json!(self.model.kept.len())), "{:?}", self.model);
        } else {
            state.status(404);
        }
    }

    async fn redeem(&mut self, body: Value) {
        let answer = self.client.post(&format!("{}redeem/", self.path), body.clone()).await;
        let (status, code) = self.model.verdict();
        assert_eq!((answer.status, &answer.json()["code"]), (status, &code), "{answer} {:?}", self.model);
        if status == 200 {
            match answer.json()["reservation"].as_str() {
                Some(key) => self.model.kept.push(key.parse().unwrap()),
                None => self.model.used += 1,
            }
        }
    }

    /// One that is kept, or one that never was.
    fn pick(&mut self) -> (Uuid, bool) {
        match self.model.kept.len() {
            0 => (Uuid::from_u128(self.chance.random()), false),
            kept => (self.model.kept.swap_remove(self.chance.random_range(0..kept)), true),
        }
    }

    async fn finish(&mut self, what: &str) {
        let (key, kept) = self.pick();
        let answer = self.client.post(&format!("{}reservations/{key}/{what}/", self.path), json!({})).await;
        let expected = match (kept, what) {
            (false, _) => 404,
            (true, "commit") => 200,
            (true, _) => 204,
        };
        assert_eq!(answer.status, expected, "{answer} {:?}", self.model);
        self.model.used += usize::from(expected == 200);
    }

    async fn expire(&mut self) {
        let (key, _) = self.pick();
        sqlx::query("UPDATE ak_stages.reservation SET expires = now() WHERE reservation_uuid = $1")
            .bind(key)
            .execute(&self.app.pool)
            .await
            .unwrap();
        let late = self.client.post(&format!("{}reservations/{key}/commit/", self.path), json!({})).await;
        late.status(404);
    }
}

#[tokio::test]
async fn what_is_reserved_committed_and_abandoned_at_random_is_never_more_than_the_limit() {
    let app = TestApp::new().await;
    let mut chance = SmallRng::seed_from_u64(seed("redeem"));
    for _ in 0..12 {
        let limit = chance.random_range(1..6);
        let body = if limit == 1 { json!({ "single_use": true }) } else { json!({ "max_uses": limit }) };
        let path = invitation(&app, body).await;
        let chance = SmallRng::seed_from_u64(chance.random());
        let model = Model { limit, ..Model::default() };
        let mut walk = Walk { app: &app, client: app.admin(), path, chance, model };
        for _ in 0..30 {
            walk.step().await;
        }
    }
}

/// The same by many at once, where nobody can say what has to be answered: only how often it may be yes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_is_it_where_many_do_so_at_once() {
    const LIMIT: usize = 7;
    let app = TestApp::new().await;
    let mut chance = SmallRng::seed_from_u64(seed("redeem"));
    let path = invitation(&app, json!({ "max_uses": LIMIT })).await;
    let walkers = (0..30).map(|_| {
        let (client, path) = (app.admin(), path.clone());
        let mut chance = SmallRng::seed_from_u64(chance.random());
        tokio::spawn(async move {
            let answer = client.post(&format!("{path}redeem/"), json!({ "reserve": 3600 })).await;
            if answer.status != 200 {
                return 0;
            }
            let key = answer.json()["reservation"].as_str().unwrap().to_owned();
            let what = if chance.random_range(0..3) == 0 { "release" } else { "commit" };
            let done = client.post(&format!("{path}reservations/{key}/{what}/"), json!({})).await;
            assert!(done.status < 300, "{done}: what is kept can be had");
            usize::from(what == "commit")
        })
    });
    let used: usize = join_all(walkers).await.into_iter().map(Result::unwrap).sum();
    assert!(used <= LIMIT, "{used} uses");
    assert_eq!(used + let_in(&app, &path, 30).await, LIMIT);
    app.admin().get(&path).await.status(404);
}
