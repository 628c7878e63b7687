//! `ak-stages invitation export`.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write, stdout};

use chrono::{DateTime, Utc};
use drf::time;
use indicatif::ProgressBar;
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::Format;
use crate::db::Dictionary;

/// Invitations that are read at a time.
const BATCH: i64 = 1000;

/// What is printed of an invitation.
#[derive(Serialize, FromRow)]
struct Row {
    pk: Uuid,
    name: String,
    #[serde(serialize_with = "time::serialize_option")]
    expires: Option<DateTime<Utc>>,
    single_use: bool,
    max_uses: Option<i32>,
    uses: i32,
    flow: Option<String>,
    created_by: String,
    fixed_data: Dictionary,
}

const HEADER: [&str; 9] =
    ["pk", "name", "expires", "single_use", "max_uses", "uses", "flow", "created_by", "fixed_data"];

/// In pieces, so that no statement runs for long, however many there are.
const PAGE: &str = "\
    SELECT i.invite_uuid AS pk, i.name, i.expires, i.single_use, x.max_uses, coalesce(x.uses, 0) AS uses, \
      f.slug AS flow, u.username AS created_by, i.fixed_data \
    FROM authentik_stages_invitation_invitation i JOIN authentik_core_user u ON u.id = i.created_by_id \
    LEFT JOIN authentik_flows_flow f ON f.flow_uuid = i.flow_id \
    LEFT JOIN ak_stages.invitation_uses x ON x.invitation = i.invite_uuid \
    WHERE ($1::uuid IS NULL OR i.invite_uuid > $1) AND ($2::text IS NULL OR f.slug = $2) \
    ORDER BY i.invite_uuid LIMIT $3";

/// Print them all, or those for the flow with a slug. Their keys are the secrets of their links.
///
/// # Errors
/// The database failed, or standard output can't be written to. A reader that had enough and left is no error.
pub async fn run(pool: &PgPool, format: Format, flow: Option<&str>) -> anyhow::Result<()> {
    match print_all(pool, format, flow).await {
        Err(error) if has_left(&error) => Ok(()),
        done => done,
    }
}

/// Whether nobody reads any more.
fn has_left(error: &anyhow::Error) -> bool {
    let kind = match (error.downcast_ref::<io::Error>(), error.downcast_ref::<csv::Error>()) {
        (Some(error), _) => Some(error.kind()),
        (_, Some(error)) => match error.kind() {
            csv::ErrorKind::Io(error) => Some(error.kind()),
            _ => None,
        },
        _ => None,
    };
    kind == Some(io::ErrorKind::BrokenPipe)
}

async fn print_all(pool: &PgPool, format: Format, flow: Option<&str>) -> anyhow::Result<()> {
    // Beside lines on the terminal a bar would be in the way.
    let bar = if stdout().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let mut output = Output::new(format)?;
    let mut last: Option<Uuid> = None;
    loop {
        let rows: Vec<Row> = sqlx::query_as(PAGE).bind(last).bind(flow).bind(BATCH).fetch_all(pool).await?;
        let Some(row) = rows.last() else { break };
        last = Some(row.pk);
        for row in &rows {
            output.line(row)?;
        }
        bar.inc(rows.len() as u64);
    }
    bar.finish_and_clear();
    output.end()
}

/// Where lines go.
enum Output {
    Csv(Box<csv::Writer<Stdout>>),
    Jsonl(BufWriter<Stdout>),
}

impl Output {
    fn new(format: Format) -> anyhow::Result<Self> {
        Ok(match format {
            Format::Jsonl => Self::Jsonl(BufWriter::new(stdout())),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(stdout());
                writer.write_record(HEADER)?;
                Self::Csv(Box::new(writer))
            }
        })
    }

    fn line(&mut self, row: &Row) -> anyhow::Result<()> {
        match self {
            Self::Jsonl(writer) => {
                serde_json::to_writer(&mut *writer, row).map_err(io::Error::from)?;
                writer.write_all(b"\n")?;
            }
            Self::Csv(writer) => {
                let number =
                    |number: Option<i32>| number.map(|number| number.to_string()).unwrap_or_default();
                writer.write_record([
                    row.pk.to_string().as_str(),
                    &row.name,
                    &row.expires.as_ref().map(time::format).unwrap_or_default(),
                    if row.single_use { "true" } else { "false" },
                    &number(row.max_uses),
                    &row.uses.to_string(),
                    row.flow.as_deref().unwrap_or_default(),
                    &row.created_by,
                    row.fixed_data.text(),
                ])?;
            }
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Jsonl(mut writer) => writer.flush()?,
            Self::Csv(mut writer) => writer.flush()?,
        }
        Ok(())
    }
}
