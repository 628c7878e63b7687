//! Lines of a file become invitations: what `ak-stages invitation import` does with the database.
//!
//! A line that is in leaves its digest. So a second run of the same file, or of one with more lines, makes no doubles,
//! whatever became of the invitations since.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use drf::Body;
use drf::intake::Draft;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::batch::{self, Entry, Made};
use super::{EXPIRES, FIXED_DATA, FLOW, Invitation, MAX_USES, NAME, SINGLE_USE, beyond};
use crate::app::App;
use crate::error::ApiError;
use crate::invitations::history::{self, Doer, Happened};
use crate::views::{Begins, Resource, Transaction};

/// The columns that are fields. All others go to the fixed data.
pub const COLUMNS: [&str; 5] = [NAME.name, EXPIRES.name, FIXED_DATA.name, SINGLE_USE.name, MAX_USES.name];

/// Fields that no file sets: a column with such a name would mean something else than it says.
pub fn is_reserved(column: &str) -> bool {
    !COLUMNS.contains(&column) && Invitation::DECLARATION.fields.get(column).is_some()
}

/// A line of a file.
#[derive(Debug)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Its values, by column; those that are empty are left out.
    pub values: BTreeMap<String, Value>,
}

/// An import.
pub struct Import<'a> {
    /// The database, and what holds for new invitations.
    pub app: &'a App,
    /// The user in whose name they are made.
    pub creator: (i32, &'a str),
    /// The flow that they are for.
    pub flow: Uuid,
    /// What the lines have in common.
    pub template: Map<String, Value>,
    /// When those end that don't say so.
    pub expires: DateTime<Utc>,
    /// Whether nothing is to be written.
    pub dry_run: bool,
    /// How often each line was seen.
    seen: HashMap<[u8; 32], u32>,
}

/// What became of lines.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Invitations that were made.
    pub made: u64,
    /// Lines that were in already.
    pub known: u64,
    /// What is wrong with the others: their numbers, and errors by field.
    pub refused: Vec<(u64, Value)>,
}

impl Outcome {
    /// Put the errors aside.
    fn sort(&mut self, entries: Vec<Entry>, lines: Vec<(u64, [u8; 32])>) -> (Vec<Draft>, Vec<[u8; 32]>) {
        let fields = Invitation::DECLARATION.fields;
        let mut good = (Vec::new(), Vec::new());
        for (entry, (number, digest)) in entries.into_iter().zip(lines) {
            match entry {
                Ok(draft) => {
                    good.0.push(draft);
                    good.1.push(digest);
                }
                Err(errors) => self.refused.push((number, errors.into_body(fields))),
            }
        }
        good
    }
}

impl<'a> Import<'a> {
    /// An import that has seen nothing yet.
    pub fn new(
        app: &'a App,
        creator: (i32, &'a str),
        flow: Uuid,
        template: Map<String, Value>,
        expires: DateTime<Utc>,
        dry_run: bool,
    ) -> Self {
        Self { app, creator, flow, template, expires, dry_run, seen: HashMap::new() }
    }

    /// Make invitations of lines, all that can be made, in one transaction.
    ///
    /// # Errors
    /// The database failed. Then none of them is in.
    pub async fn take(&mut self, lines: Vec<Line>) -> Result<Outcome, ApiError> {
        let digests: Vec<[u8; 32]> = lines.iter().map(|line| self.digest(line)).collect();
        let begins = if self.dry_run { Begins::Never } else { Begins::AtOnce };
        let mut transaction = Transaction::begin(&self.app.database, begins, false).await?;
        let (connection, _) = transaction.parts();
        let known = known(connection, &digests).await?;
        let mut outcome = Outcome::default();
        let (mut fresh, mut bodies) = (Vec::new(), Vec::new());
        for (line, digest) in lines.iter().zip(digests) {
            if known.contains(digest.as_slice()) {
                outcome.known += 1;
            } else {
                bodies.push(self.body(line));
                fresh.push((line.number, digest));
            }
        }
        let mut entries = batch::check(bodies, self.app.dialect(), self.expires).await?;
        batch::check_flows(connection, &mut entries, None).await?;
        let (drafts, digests) = outcome.sort(entries, fresh);
        outcome.made = drafts.len() as u64;
        if !self.dry_run && !drafts.is_empty() {
            let drafts: Vec<_> = drafts.iter().collect();
            let made = batch::insert(connection, &self.app.ids, &drafts, self.creator.0).await?;
            self.note(connection, &made, &digests).await?;
        }
        transaction.commit().await?;
        Ok(outcome)
    }

    /// What tells a line from all others: its flow, its values, and how many of the same there are before it in the file.
    fn digest(&mut self, line: &Line) -> [u8; 32] {
        let text = json!([self.flow, line.values]).to_string();
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let seen = self.seen.entry(digest).or_default();
        *seen += 1;
        if *seen == 1 { digest } else { Sha256::digest(format!("{text}{seen}").as_bytes()).into() }
    }

    /// The line as the body of a POST.
    fn body(&self, line: &Line) -> Body {
        let mut body = self.template.clone();
        let mut data = Map::new();
        for (column, value) in &line.values {
            if COLUMNS.contains(&column.as_str()) {
                body.insert(column.clone(), value.clone());
            } else {
                data.insert(column.clone(), value.clone());
            }
        }
        if let (Some(Value::String(name)), false) =
            (self.template.get(NAME.name), line.values.contains_key(NAME.name))
        {
            body.insert(NAME.name.to_owned(), json!(format!("{name}-{}", line.number)));
        }
        match body.get_mut(FIXED_DATA.name) {
            Some(Value::Object(given)) => given.extend(data),
            Some(_) => {} // is told to be wrong
            None => {
                body.insert(FIXED_DATA.name.to_owned(), Value::Object(data));
            }
        }
        body.insert(FLOW.name.to_owned(), json!(self.flow));
        Value::Object(body).into()
    }

    /// What goes beside the invitations: limits, the history, and the digests of their lines.
    async fn note(
        &self,
        connection: &mut PgConnection,
        made: &[Made],
        digests: &[[u8; 32]],
    ) -> Result<(), ApiError> {
        beyond::limit(connection, &Made::limits(made)).await?;
        let (user, username) = self.creator;
        let doer = Doer { user, username, at: self.app.clock.now() };
        history::note(connection, doer, Happened::Created, &Made::named(made), &json!({})).await?;
        sqlx::query(
            "INSERT INTO ak_stages.imported_line (digest, invitation) SELECT * FROM unnest($1::bytea[], $2::uuid[])",
        )
        .bind(digests.iter().map(|digest| digest.to_vec()).collect::<Vec<_>>())
        .bind(made.iter().map(|made| made.pk).collect::<Vec<_>>())
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Those of the digests whose lines are in.
async fn known(connection: &mut PgConnection, digests: &[[u8; 32]]) -> sqlx::Result<HashSet<Vec<u8>>> {
    let select = sqlx::query_scalar("SELECT digest FROM ak_stages.imported_line WHERE digest = ANY ($1)");
    let digests: Vec<Vec<u8>> = digests.iter().map(|digest| digest.to_vec()).collect();
    Ok(select.bind(digests).fetch_all(connection).await?.into_iter().collect())
}
