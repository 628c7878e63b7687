//! `?search=` as SQL: Django's `icontains` on every declared text, put so that an index serves it, and those indexes.
//!
//! A term may stand in any of the texts, so the condition is an OR, which takes an index for each of its sides. The texts of
//! other rows are therefore looked up first: `t.created_by_id = ANY('{7,9}')` is served by the index of the foreign key,
//! and PostgreSQL knows how many rows that is, where it would have to guess for a join. Sides that can't hold, as a
//! letter in a key, are left out.

use drf::Declaration;
use drf::field::{Key, Target};
use drf::params::Test;
use drf::search::{Kind, Searched};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};

use super::statements::push_value;
use super::{Layout, Sql, bootstrap};

/// A search, with the keys of the other rows that it looks through.
#[derive(Debug, Default)]
pub struct Search(Vec<Term>);

#[derive(Debug)]
struct Term {
    text: String,
    /// The keys of the other rows where it stands, in the order of the declared texts of such; none where there are none.
    related: Vec<Option<Test>>,
}

/// What `pg_trgm`'s indexes find has three characters at least.
const TRIGRAM: usize = 3;

impl Search {
    /// All of these terms, with one statement about the rows of other tables if any are looked through.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of(
        connection: &mut PgConnection,
        declared: &Declaration,
        terms: Vec<String>,
    ) -> sqlx::Result<Self> {
        if declared.search.is_empty() {
            return Ok(Self::default()); // as DRF has it: every row fits
        }
        let related: Vec<(&Target, &str)> =
            declared.search.iter().filter_map(|searched| Some((searched.of?.1, searched.column))).collect();
        if terms.is_empty() || related.is_empty() {
            let plain = |text| Term { text, related: Vec::new() };
            return Ok(Self(terms.into_iter().map(plain).collect()));
        }
        let mut select = Sql::new("SELECT ");
        for (index, (term, (target, column))) in
            terms.iter().flat_map(|term| related.iter().map(move |of| (term, of))).enumerate()
        {
            select.push(if index > 0 { ", " } else { "" });
            select.push(format_args!("ARRAY(SELECT x.{} FROM {} x WHERE ", target.pk, target.table));
            push_contains(&mut select, &format!("(x.{column})::text"), term);
            select.push(")");
        }
        // Planned for these terms: what an index saves depends on how many rows a term finds.
        let row = select.build().persistent(false).fetch_one(connection).await?;
        let found = terms.into_iter().enumerate().map(|(number, text)| {
            let first = number * related.len();
            let keys = related.iter().enumerate().map(|(at, (target, _))| keys(&row, first + at, target.key));
            Ok(Term { text, related: keys.collect::<sqlx::Result<_>>()? })
        });
        found.collect::<sqlx::Result<_>>().map(Self)
    }

    /// Whether every row fits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Add the condition, with an AND before each term.
    pub(super) fn push(&self, query: &mut Sql, declared: &Declaration, layout: &Layout) {
        for Term { text, related } in &self.0 {
            let mut related = related.iter();
            let mut either = " AND (";
            for searched in declared.search {
                if let Some((link, _)) = searched.of {
                    let Some(keys) = related.next().and_then(Option::as_ref) else { continue };
                    query.push(either).push(link).push(" = ANY(");
                    push_value(query, keys);
                    query.push(")");
                } else if searched.may_contain(text) {
                    query.push(either);
                    push_contains(query, &printed(searched, layout, text), text);
                } else {
                    continue;
                }
                either = " OR ";
            }
            query.push(if either == " OR " { ")" } else { " AND FALSE" });
        }
    }
}

/// The keys in a column, if there are any.
fn keys(row: &PgRow, at: usize, key: Key) -> sqlx::Result<Option<Test>> {
    Ok(match key {
        Key::Uuid => Some(row.try_get(at)?).filter(|keys: &Vec<_>| !keys.is_empty()).map(Test::Uuids),
        Key::Integer => Some(row.try_get(at)?).filter(|keys: &Vec<_>| !keys.is_empty()).map(Test::Integers),
    })
}

/// Django's `icontains`.
fn push_contains(query: &mut Sql, text: &str, term: &str) {
    query.push("UPPER(").push(text).push(") LIKE UPPER(");
    query.bind(drf::search::contains_pattern(term)).push(")");
}

/// SQL of the text that is searched. On our own database an instant is printed by the function that its index has; but
/// for a term that no index finds PostgreSQL's own is faster, and the same.
fn printed(searched: &Searched, layout: &Layout, term: &str) -> String {
    let column = searched.column;
    if searched.kind == Kind::DateTime && !layout.is_attached() && term.chars().count() >= TRIGRAM {
        format!("ak_stages.datetime_text({column})")
    } else {
        format!("({column})::text")
    }
}

/// A text that has an index for searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Indexed {
    table: &'static str,
    column: &'static str,
    is_datetime: bool,
}

/// The texts that a resource's search looks through, where they stand.
pub fn indexed(declared: &'static Declaration) -> impl Iterator<Item = Indexed> {
    declared.search.iter().filter_map(|searched| {
        let (alias, column) = searched.column.split_once('.').unwrap_or(("", searched.column));
        let table = match (searched.of, alias) {
            (Some((_, target)), _) => target.table,
            (None, "p") => declared.table.parent?.name,
            (None, _) => declared.table.name,
        };
        Some(Indexed { table, column, is_datetime: searched.kind == Kind::DateTime })
    })
}

/// Make the indexes that are missing, which takes some seconds a million rows. Without the extension `pg_trgm` there are
/// none, and searches read all rows.
///
/// # Errors
/// The database failed.
pub async fn make_indexes(pool: &PgPool, texts: &[Indexed]) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await?;
    bootstrap::lock(&mut transaction).await?;
    let missing: Vec<i64> = sqlx::query_scalar(
        "SELECT number FROM unnest($1::text[]) WITH ORDINALITY AS n (name, number) WHERE to_regclass(name) IS NULL",
    )
    .bind(texts.iter().map(Indexed::name).collect::<Vec<_>>())
    .fetch_all(&mut *transaction)
    .await?;
    if missing.is_empty() {
        return Ok(());
    }
    if let Err(error) =
        sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm").execute(&mut *transaction).await
    {
        let reason = crate::error::redacted(&error.into());
        tracing::warn!(
            reason,
            "PostgreSQL's extension pg_trgm can't be had: searches work, but read all rows, which shows with many"
        );
        return Ok(());
    }
    for (_, text) in (1..).zip(texts).filter(|(number, _)| missing.contains(number)) {
        Sql::new(&text.definition()).build().persistent(false).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

impl Indexed {
    fn name(&self) -> String {
        format!("ak_search_{}_{}", self.table.trim_start_matches("authentik_"), self.column)
    }

    /// What is new stands in a list first, which each search reads through; so the list is kept short.
    fn definition(&self) -> String {
        let text = if self.is_datetime {
            format!("ak_stages.datetime_text({})", self.column)
        } else {
            format!("({})::text", self.column)
        };
        format!(
            "CREATE INDEX IF NOT EXISTS {} ON {} USING gin (upper({text}) gin_trgm_ops) WITH (gin_pending_list_limit = 256)",
            self.name(),
            self.table
        )
    }
}
