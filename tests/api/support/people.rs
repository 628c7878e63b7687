//! Users, their tokens and their permissions. The key of a token is its user's name; all other names are made as those
//! of the people in authentik's recorded answers.

use ak_stages::clock::{Clock, Ids};
use ak_stages::db::bootstrap::{NewToken, NewUser};
use chrono::Duration;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Client, TestApp, now};

/// `view_` of the four resources.
const VIEWER: [&str; 4] =
    ["view_emailstage", "view_userwritestage", "view_invitationstage", "view_invitation"];

/// Make the people whom every test finds: beside the superuser `akadmin` with the key `admin` there are `viewer` and
/// `plain`, and three keys that open nothing: `expired`, `apppw` (an app password) and `inactive`.
pub async fn populate(pool: &PgPool) {
    let viewer = VIEWER.into_iter().fold(Person::named("viewer"), Person::may);
    viewer.enter(pool).await;
    Person::named("plain").enter(pool).await;
    Person::named("inactive").enter(pool).await;
    token(pool, "expired", "akadmin", Some(Duration::microseconds(-1))).await;
    token(pool, "apppw", "akadmin", None).await;
    for statement in [
        "UPDATE authentik_core_user SET is_active = FALSE WHERE username = 'inactive'",
        "UPDATE authentik_core_token SET intent = 'app_password' WHERE key = 'apppw'",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
}

/// Make a token of `username` that is valid for this long.
async fn token(pool: &PgPool, key: &str, username: &str, life: Option<Duration>) {
    let user = sqlx::query_scalar("SELECT id FROM authentik_core_user WHERE username = $1");
    let user: i32 = user.bind(username).fetch_one(pool).await.unwrap();
    let expires = life.map(|life| now() + life);
    let token = NewToken { identifier: key, user, description: "", key, expires };
    token.insert(&mut pool.acquire().await.unwrap(), Ids::Random.next()).await.unwrap();
}

/// Somebody who is about to be made.
#[derive(Debug, Default, Clone)]
#[must_use = "a person exists once they entered"]
pub struct Person {
    name: String,
    kind: &'static str,
    everywhere: Vec<&'static str>,
    on: Vec<(&'static str, String)>,
}

impl Person {
    /// A user without any permission.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), kind: "internal", ..Self::default() }
    }

    /// A user of another type.
    pub fn of_type(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Give them a permission, such as `view_emailstage`.
    pub fn may(mut self, codename: &'static str) -> Self {
        self.everywhere.push(codename);
        self
    }

    /// Give them a permission on one object.
    pub fn may_on(mut self, codename: &'static str, pk: &str) -> Self {
        self.on.push((codename, pk.to_owned()));
        self
    }

    /// Make the user, a token, and a role with the permissions if there are any.
    async fn enter(&self, pool: &PgPool) {
        let (first, rest) = self.name.split_at(1);
        let name = format!("{}{rest} User", first.to_uppercase());
        let email = format!("{}@peer.invalid", self.name);
        let new = NewUser { username: &self.name, name: &name, email: &email, kind: self.kind };
        let mut connection = pool.acquire().await.unwrap();
        let user = new.insert(&mut connection, &Clock::Fixed(now()), &Ids::Random).await.unwrap();
        drop(connection);
        token(pool, &self.name, &self.name, None).await;
        if self.everywhere.is_empty() && self.on.is_empty() {
            return;
        }
        let role = role(pool, &format!("peer-{}-role", self.name), &self.everywhere, &self.on).await;
        sqlx::query("INSERT INTO authentik_core_user_roles (user_id, role_id) VALUES ($1, $2)")
            .bind(user)
            .bind(role)
            .execute(pool)
            .await
            .unwrap();
    }
}

/// Make a role with permissions on everything, and on single objects.
async fn role(pool: &PgPool, name: &str, everywhere: &[&str], on: &[(&str, String)]) -> Uuid {
    let role = Ids::Random.next();
    sqlx::query("INSERT INTO authentik_rbac_role (uuid, name, managed) VALUES ($1, $2, NULL)")
        .bind(role)
        .bind(name)
        .execute(pool)
        .await
        .unwrap();
    for codename in everywhere {
        let done = sqlx::query(
            "INSERT INTO guardian_rolemodelpermission (content_type_id, permission_id, role_id) \
             SELECT content_type_id, id, $1 FROM auth_permission WHERE codename = $2",
        );
        let done = done.bind(role).bind(codename).execute(pool).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "there is one permission {codename}");
    }
    for (codename, pk) in on {
        let done = sqlx::query(
            "INSERT INTO guardian_roleobjectpermission (content_type_id, permission_id, role_id, object_pk) \
             SELECT content_type_id, id, $1, $3 FROM auth_permission WHERE codename = $2",
        );
        let done = done.bind(role).bind(codename).bind(pk).execute(pool).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "there is one permission {codename}");
    }
    role
}

impl Client {
    /// The key of the user who asks.
    pub async fn user_id(&self) -> i32 {
        let me = self.get("/core/users/me/").await.status(200).json();
        me["user"]["pk"].as_i64().unwrap().try_into().unwrap()
    }
}

impl TestApp {
    /// Let somebody in.
    pub async fn enter(&self, person: Person) -> Client {
        person.enter(&self.pool).await;
        self.bearer(&person.name)
    }

    /// Somebody who may do this with every object.
    pub async fn someone_who_may(&self, codenames: &[&'static str]) -> Client {
        let person = Person::named(&format!("person-{}", self.fresh()));
        self.enter(codenames.iter().copied().fold(person, Person::may)).await
    }

    /// Somebody who may do this with one object.
    pub async fn granted(&self, codenames: &[&'static str], pk: &str) -> Client {
        let person = Person::named(&format!("person-{}", self.fresh()));
        self.enter(codenames.iter().fold(person, |person, codename| person.may_on(codename, pk))).await
    }

    /// Another token of the superuser, valid for this long.
    pub async fn token_of_admin(&self, key: &str, life: Duration) {
        token(&self.pool, key, "akadmin", Some(life)).await;
    }

    /// A role with these permissions, held by nobody.
    pub async fn role(&self, codenames: &[&str]) -> Uuid {
        self.role_on(codenames, &[]).await
    }

    /// The same, with permissions on single objects, too.
    pub async fn role_on(&self, codenames: &[&str], on: &[(&str, String)]) -> Uuid {
        role(&self.pool, &format!("role-{}", self.fresh()), codenames, on).await
    }
}
