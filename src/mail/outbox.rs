//! The outbox: mails in the database, from the request that asks for them until the SMTP server has them.
//!
//! Whoever claims a message holds it for a while, its *lease*; if nothing is heard of it until then, somebody else
//! claims it. All times of the queue are the database's, so replicas need not agree on them.

use chrono::{DateTime, Duration, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::Mailbox;

/// The advisory lock of those who queue under limits.
const QUEUE_LOCK: i64 = 0x616b_6d61_696c; // "akmail"
/// The channel that tells of new messages.
pub const CHANNEL: &str = "ak_stages_mail";

/// How a recipient is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The mail is for them.
    To,
    /// They get a copy.
    Cc,
    /// They get a copy that nobody knows of.
    Bcc,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::To => "to",
            Self::Cc => "cc",
            Self::Bcc => "bcc",
        }
    }
}

/// A mail to queue.
pub struct Mail {
    /// Its key.
    pub key: Uuid,
    /// The time.
    pub created: DateTime<Utc>,
    /// Who asked for it.
    pub created_by: i32,
    /// The invitation that it is about.
    pub invitation: Uuid,
    /// The email stage whose SMTP server it goes through; that of the settings where there is none.
    pub stage: Option<Uuid>,
    /// The name of the template.
    pub template: String,
    /// The sender, as `Mailbox` prints it.
    pub sender: String,
    /// Where answers go, likewise; empty for the sender.
    pub reply_to: String,
    /// The subject.
    pub subject: String,
    /// The HTML part.
    pub html: String,
    /// The text part.
    pub plain: String,
    /// Who gets it.
    pub recipients: Vec<Recipient>,
}

/// Somebody who gets a mail.
pub struct Recipient {
    /// The message's key.
    pub key: Uuid,
    /// How they are named.
    pub kind: Kind,
    /// Who they are.
    pub mailbox: Mailbox,
}

/// How many messages there may be within [`PERIOD`]; 0 is for any number.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To one address.
    pub recipient: u32,
    /// Of one user.
    pub sender: u32,
}

/// What the limits are about: a day.
const PERIOD: Duration = Duration::days(1);

/// A limit that a mail would break.
#[derive(Debug, PartialEq, Eq)]
pub enum TooMany {
    /// To this address.
    Recipient(String),
    /// Of its sender.
    Sender,
}

/// Whether a mail keeps the limits. From here on until the end of the transaction nobody else queues one, so that two at
/// once can't break them together.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn exceeded(
    connection: &mut PgConnection,
    mail: &Mail,
    limits: Limits,
) -> sqlx::Result<Option<TooMany>> {
    if limits.recipient == 0 && limits.sender == 0 {
        return Ok(None);
    }
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(QUEUE_LOCK).execute(&mut *connection).await?;
    let since = mail.created - PERIOD;
    if limits.sender > 0 {
        let sent: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM ak_stages.mail l JOIN ak_stages.message m ON m.mail_uuid = l.mail_uuid \
             WHERE l.created_by = $1 AND l.created > $2",
        )
        .bind(mail.created_by)
        .bind(since)
        .fetch_one(&mut *connection)
        .await?;
        if usize::try_from(sent).unwrap_or(usize::MAX).saturating_add(mail.recipients.len())
            > limits.sender as usize
        {
            return Ok(Some(TooMany::Sender));
        }
    }
    if limits.recipient == 0 {
        return Ok(None);
    }
    let full: Option<String> = sqlx::query_scalar(
        "SELECT m.address FROM ak_stages.message m JOIN ak_stages.mail l ON l.mail_uuid = m.mail_uuid \
         WHERE m.address = ANY ($1) AND l.created > $2 GROUP BY m.address HAVING count(*) >= $3 \
         ORDER BY m.address LIMIT 1",
    )
    .bind(mail.recipients.iter().map(|recipient| bare(&recipient.mailbox)).collect::<Vec<_>>())
    .bind(since)
    .bind(i64::from(limits.recipient))
    .fetch_optional(connection)
    .await?;
    Ok(full.map(TooMany::Recipient))
}

/// An address as limits compare it.
fn bare(mailbox: &Mailbox) -> String {
    mailbox.address().to_string().to_lowercase()
}

/// Put a mail into the queue, in the transaction of the request. Servers hear of it with the commit.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn queue(connection: &mut PgConnection, mail: &Mail) -> sqlx::Result<()> {
    let of_kind = |wanted: Kind| {
        let all = mail.recipients.iter().filter(move |recipient| recipient.kind == wanted);
        all.map(|recipient| recipient.mailbox.to_string()).collect::<Vec<_>>()
    };
    sqlx::query(
        "INSERT INTO ak_stages.mail (mail_uuid, created, created_by, invitation, template, sender, reply_to, \
         to_addresses, cc_addresses, subject, html, plain, stage) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(mail.key)
    .bind(mail.created)
    .bind(mail.created_by)
    .bind(mail.invitation)
    .bind(&mail.template)
    .bind(&mail.sender)
    .bind(&mail.reply_to)
    .bind(of_kind(Kind::To))
    .bind(of_kind(Kind::Cc))
    .bind(&mail.subject)
    .bind(&mail.html)
    .bind(&mail.plain)
    .bind(mail.stage)
    .execute(&mut *connection)
    .await?;
    let recipients = || mail.recipients.iter();
    let keys: Vec<Uuid> = recipients().map(|recipient| recipient.key).collect();
    let kinds: Vec<&str> = recipients().map(|recipient| recipient.kind.name()).collect();
    let mailboxes: Vec<String> = recipients().map(|recipient| recipient.mailbox.to_string()).collect();
    let addresses: Vec<String> = recipients().map(|recipient| bare(&recipient.mailbox)).collect();
    sqlx::query(
        "INSERT INTO ak_stages.message \
         (message_uuid, mail_uuid, kind, mailbox, address, state, attempts, due, reply) \
         SELECT r.key, $1, r.kind, r.mailbox, r.address, 'queued', 0, now(), '' \
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS r (key, kind, mailbox, address)",
    )
    .bind(mail.key)
    .bind(keys)
    .bind(kinds)
    .bind(mailboxes)
    .bind(addresses)
    .execute(&mut *connection)
    .await?;
    tell(connection).await
}

/// Tell all servers that there is something to send, once the transaction is committed.
async fn tell(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(connection).await?;
    Ok(())
}

/// A message that somebody is about to send, with its mail.
#[derive(Debug, FromRow)]
pub struct Claimed {
    /// Its key.
    pub message_uuid: Uuid,
    /// The how manieth attempt this is.
    pub attempts: i32,
    /// `to`, `cc` or `bcc`.
    pub kind: String,
    /// Who gets it.
    pub address: String,
    /// The invitation's key.
    pub invitation: Uuid,
    /// When the mail was asked for.
    pub created: DateTime<Utc>,
    /// The sender.
    pub sender: String,
    /// Where answers go; empty for the sender.
    pub reply_to: String,
    /// Who is written to.
    pub to_addresses: Vec<String>,
    /// Who gets a copy.
    pub cc_addresses: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The HTML part.
    pub html: String,
    /// The text part.
    pub plain: String,
    /// The email stage whose SMTP server it goes through; that of the settings where there is none.
    pub stage: Option<Uuid>,
    /// Whether the invitation is still there and holds.
    pub usable: bool,
}

/// Claim the messages that have been due for longest, `most` at most, for `lease` seconds. Those that others are claiming are
/// passed over.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn claim(pool: &PgPool, lease: f64, now: DateTime<Utc>, most: usize) -> sqlx::Result<Vec<Claimed>> {
    sqlx::query_as(
        "WITH waiting AS MATERIALIZED (\
           SELECT message_uuid FROM ak_stages.message WHERE due <= now() \
           ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED), \
         claimed AS (\
           UPDATE ak_stages.message c SET state = 'sending', attempts = attempts + 1, \
             due = now() + make_interval(secs => $1) \
           FROM waiting w WHERE c.message_uuid = w.message_uuid \
           RETURNING c.message_uuid, mail_uuid, attempts, kind, mailbox) \
         SELECT c.message_uuid, c.attempts, c.kind, c.mailbox AS address, m.invitation, m.created, m.sender, m.reply_to, \
           m.to_addresses, m.cc_addresses, m.subject, m.html, m.plain, m.stage, \
           i.invite_uuid IS NOT NULL AND coalesce(i.expires > $2, TRUE) AS usable \
         FROM claimed c JOIN ak_stages.mail m ON m.mail_uuid = c.mail_uuid \
         LEFT JOIN authentik_stages_invitation_invitation i ON i.invite_uuid = m.invitation",
    )
    .bind(lease)
    .bind(now)
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
}

/// Claim a message for `lease` seconds from now on instead: its SMTP server may take longer than others.
///
/// # Errors
/// The database failed.
pub async fn hold(pool: &PgPool, claimed: &Claimed, lease: f64) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE ak_stages.message SET due = now() + make_interval(secs => $3) \
         WHERE message_uuid = $1 AND attempts = $2 AND state = 'sending'",
    )
    .bind(claimed.message_uuid)
    .bind(claimed.attempts)
    .bind(lease)
    .execute(pool)
    .await?;
    Ok(())
}

/// In how many seconds a message is due, if there is one that will be.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn next_due(pool: &PgPool) -> sqlx::Result<Option<f64>> {
    let select =
        "SELECT extract(epoch FROM min(due) - now())::float8 FROM ak_stages.message WHERE due IS NOT NULL";
    sqlx::query_scalar(select).fetch_one(pool).await
}

/// What became of an attempt, with the words of the SMTP server or our own.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The SMTP server has it.
    Sent(String),
    /// It is tried again in so many seconds.
    Failed(String, f64),
    /// It is given up.
    Dead(String),
}

/// Write down what became of an attempt, unless somebody else has claimed the message since.
///
/// # Errors
/// The database failed.
pub async fn finish(pool: &PgPool, claimed: &Claimed, outcome: &Outcome) -> sqlx::Result<()> {
    let (state, reply, pause) = match outcome {
        Outcome::Sent(reply) => ("sent", reply, None),
        Outcome::Failed(reply, pause) => ("failed", reply, Some(*pause)),
        Outcome::Dead(reply) => ("dead", reply, None),
    };
    sqlx::query(
        "UPDATE ak_stages.message SET state = $3, reply = $4, due = now() + make_interval(secs => $5), \
           finished = CASE WHEN $5::float8 IS NULL THEN now() END \
         WHERE message_uuid = $1 AND attempts = $2 AND state = 'sending'",
    )
    .bind(claimed.message_uuid)
    .bind(claimed.attempts)
    .bind(state)
    .bind(reply)
    .bind(pause)
    .execute(pool)
    .await?;
    Ok(())
}

/// A message as it is shown.
#[derive(Debug, Serialize, FromRow)]
pub struct Shown {
    /// Its key.
    pub pk: Uuid,
    /// `to`, `cc` or `bcc`.
    pub kind: String,
    /// Who gets it.
    pub address: String,
    /// The name of the template.
    pub template: String,
    /// The subject.
    pub subject: String,
    /// `queued`, `sending`, `sent`, `failed` or `dead`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// What was answered last, by the SMTP server or by us.
    pub reply: String,
    /// When it was asked for.
    #[serde(serialize_with = "drf::time::serialize")]
    pub created: DateTime<Utc>,
    /// When it is tried next.
    #[serde(serialize_with = "drf::time::serialize_option")]
    pub next_attempt: Option<DateTime<Utc>>,
    /// When it was sent, or given up.
    #[serde(serialize_with = "drf::time::serialize_option")]
    pub finished: Option<DateTime<Utc>>,
}

/// Messages, the newest first; a parameter that is NULL stands for any.
const SHOWN: &str = "SELECT m.message_uuid AS pk, m.kind, m.mailbox AS address, l.template, l.subject, m.state, m.attempts, \
       m.reply, l.created, CASE WHEN m.state IN ('queued', 'failed') THEN m.due END AS next_attempt, m.finished \
     FROM ak_stages.message m JOIN ak_stages.mail l ON l.mail_uuid = m.mail_uuid \
     WHERE ($1::uuid IS NULL OR l.invitation = $1) AND ($2::uuid IS NULL OR m.message_uuid = $2) \
       AND ($3::text IS NULL OR m.state = $3) AND ($5::uuid IS NULL OR l.mail_uuid = $5) \
     ORDER BY l.created DESC, l.mail_uuid, m.kind DESC, m.address LIMIT $4";

/// Which messages are shown.
#[derive(Debug, Default)]
pub struct Which<'a> {
    /// Those of this mail.
    pub mail: Option<Uuid>,
    /// Those about this invitation.
    pub invitation: Option<Uuid>,
    /// The one of this key.
    pub message: Option<Uuid>,
    /// Those in this state.
    pub state: Option<&'a str>,
}

/// Messages, the newest first, at most `most`.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn show(connection: &mut PgConnection, which: &Which<'_>, most: i64) -> sqlx::Result<Vec<Shown>> {
    sqlx::query_as(SHOWN)
        .bind(which.invitation)
        .bind(which.message)
        .bind(which.state)
        .bind(most)
        .bind(which.mail)
        .fetch_all(connection)
        .await
}

/// Try a message that failed or was given up at once, and as often as a new one. Returns whether there is such a one.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn retry(connection: &mut PgConnection, message: Uuid) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE ak_stages.message SET state = 'queued', attempts = 0, due = now(), finished = NULL \
         WHERE message_uuid = $1 AND state IN ('failed', 'dead')",
    )
    .bind(message)
    .execute(&mut *connection)
    .await?;
    tell(connection).await?;
    Ok(done.rows_affected() > 0)
}

/// Delete the mails that were asked for before `before` and of which nothing waits any more. Returns how many.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn purge(connection: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM ak_stages.mail l WHERE l.created < $1 AND NOT EXISTS \
         (SELECT 1 FROM ak_stages.message m WHERE m.mail_uuid = l.mail_uuid AND m.due IS NOT NULL)",
    )
    .bind(before)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
