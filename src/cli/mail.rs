//! `ak-stages mail`: what became of mails, what they say, and whether they would be sent.

mod test;

use anyhow::{Context, bail, ensure};
use clap::Subcommand;
use sqlx::PgConnection;
use uuid::Uuid;

use self::test::Test;
use super::stdout::print;
use crate::clock::Clock;
use crate::config::Settings;
use crate::contract::duration::parse_timedelta;
use crate::contract::messages;
use crate::db::{Server, extensions};
use crate::email_templates::Templates;
use crate::mail::outbox::{self, Shown, Which};
use crate::mail::preview::preview as rendered;
use crate::mail::template::{self, Refused};

/// Lines of a list.
const MAX_LISTED: i64 = 1000;

/// What to do with mails.
#[derive(Subcommand)]
pub enum Mail {
    /// List the newest messages, one a recipient
    List {
        /// Only those in this state: queued, sending, sent, failed or dead
        #[arg(long, value_parser = ["queued", "sending", "sent", "failed", "dead"])]
        state: Option<String>,
    },
    /// Show a message
    Show {
        /// Its key
        message: Uuid,
    },
    /// Try a message that failed or was given up once more, and at once
    Retry {
        /// Its key
        message: Uuid,
    },
    /// Print what a template says about a made-up invitation
    Preview {
        /// Its name, such as email/invitation.html
        template: String,
        /// The text part rather than the HTML
        #[arg(long)]
        text: bool,
    },
    /// Send a test mail as others are sent, and show each step
    Test(Test),
    /// Delete mails of which nothing waits any more, with their texts
    Purge {
        /// How old they have to be, such as days=30
        #[arg(long)]
        older_than: String,
    },
}

impl Mail {
    /// Do it, on authentik's database too.
    ///
    /// # Errors
    /// A sentence for whoever typed it.
    pub async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        if let Self::Preview { template, text } = &self {
            return print(&preview(settings, template, *text).await?);
        }
        if let Self::Test(test) = self {
            return test.run(settings).await;
        }
        let server = Server::join(&settings.database).await?;
        let database = super::open(&server, settings).await?;
        let mut connection = database.pool.acquire().await?;
        let done = match self.act(&mut connection).await {
            Err(error) if error.downcast_ref().is_some_and(extensions::are_missing) => {
                Err(anyhow::anyhow!(messages::NO_EXTENSIONS))
            }
            done => done,
        };
        drop(connection);
        database.pool.close().await;
        server.stop()?;
        print(&done?)
    }

    async fn act(self, connection: &mut PgConnection) -> anyhow::Result<String> {
        match self {
            Self::List { state } => {
                let which = Which { state: state.as_deref(), ..Which::default() };
                Ok(outbox::show(connection, &which, MAX_LISTED).await?.iter().map(line).collect())
            }
            Self::Show { message } => {
                let which = Which { message: Some(message), ..Which::default() };
                let shown = outbox::show(connection, &which, 1).await?.pop();
                Ok(whole(&shown.with_context(|| format!("there is no message {message}"))?))
            }
            Self::Retry { message } => {
                ensure!(outbox::retry(connection, message).await?, messages::NOT_FAILED);
                Ok(String::new())
            }
            Self::Preview { .. } | Self::Test(_) => Ok(String::new()), // handled above: they take no outbox
            Self::Purge { older_than } => {
                let age = parse_timedelta(&older_than)
                    .with_context(|| format!("{older_than}: must be a duration such as days=30"))?;
                let before = Clock::System.after(-age);
                Ok(format!("{} mails are deleted\n", outbox::purge(connection, before).await?))
            }
        }
    }
}

/// A template with values that are made up, in the language of the settings.
async fn preview(settings: &Settings, name: &str, text: bool) -> anyhow::Result<String> {
    let templates = Templates::new(settings.template_dir.clone());
    templates.read().await;
    let (name, sources, now) = (template::full_name(name), templates.sources(), Clock::System.now());
    match rendered(name, &sources, settings.release, settings.mail.locale, &settings.mail, now) {
        Ok(parts) if text => Ok(parts.plain),
        Ok(parts) => Ok(parts.html),
        Err(Refused::Unknown) => {
            let known = templates.list(settings.release);
            let names: Vec<&str> = known.iter().map(|template| template.name.as_str()).collect();
            bail!(messages::unknown_template(name, &names))
        }
        Err(Refused::Broken(reason)) => bail!(messages::broken_template(name, &reason)),
    }
}

fn line(message: &Shown) -> String {
    format!(
        "{}  {:7}  {}  {}  {}\n",
        message.pk,
        message.state,
        drf::time::format(&message.created),
        message.address,
        message.reply
    )
}

fn whole(message: &Shown) -> String {
    let time = |time: Option<_>| time.as_ref().map_or_else(|| "-".to_owned(), drf::time::format);
    format!(
        "message       {}\nstate         {}\n{:13} {}\nsubject       {}\ntemplate      {}\nattempts      {}\n\
         created       {}\nnext attempt  {}\nfinished      {}\nreply         {}\n",
        message.pk,
        message.state,
        message.kind,
        message.address,
        message.subject,
        message.template,
        message.attempts,
        drf::time::format(&message.created),
        time(message.next_attempt),
        time(message.finished),
        message.reply,
    )
}
