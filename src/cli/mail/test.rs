//! `ak-stages mail test`: a test mail, and each step that it takes.

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use crate::cli::stdout::print;
use crate::clock::{Clock, Ids};
use crate::config::{Settings, SmtpServer};
use crate::contract::messages;
use crate::db::Server;
use crate::mail::steps::Done;
use crate::mail::trial::{self, Extent, Trial};
use crate::mail::{Mailbox, StageSmtp, Unusable};

/// Which test.
#[derive(Args)]
pub struct Test {
    /// Who gets it
    address: String,
    /// The email stage whose SMTP server it goes through; unset, that of the settings
    #[arg(long)]
    stage: Option<String>,
    /// How far it goes
    #[arg(long, value_enum, default_value_t = Mode::Send)]
    mode: Mode,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Exchange greetings
    Connect,
    /// Log in, too
    Auth,
    /// Send a mail
    Send,
}

impl Test {
    /// Do it, and print the steps.
    ///
    /// # Errors
    /// There is no such stage, its settings are of no use, or a step failed.
    pub async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let recipient = Mailbox::read(&self.address);
        let recipient = recipient.with_context(|| messages::invalid_address(&self.address))?;
        let (server, sender) = match &self.stage {
            Some(name) => of_stage(settings, name).await?,
            None => {
                let sender = Mailbox::read(&settings.mail.from);
                let sender = sender.context("AUTHENTIK_EMAIL__FROM: must be an email address")?;
                (settings.mail.smtp.clone(), sender)
            }
        };
        let extent = match self.mode {
            Mode::Connect => Extent::Connect,
            Mode::Auth => Extent::Auth,
            Mode::Send => {
                let (mail, key, now) = (&settings.mail, Ids::Random.next(), Clock::System.now());
                Extent::Send(trial::mail(mail, mail.locale, &sender, &recipient, key, now)?)
            }
        };
        let steps = Trial { server, extent }.run(&settings.mail).await?;
        print(&steps.iter().map(line).collect::<String>())?;
        ensure!(steps.iter().all(|step| step.is_ok), "the test failed");
        Ok(())
    }
}

/// What the stage of this name says.
async fn of_stage(settings: &Settings, name: &str) -> anyhow::Result<(SmtpServer, Mailbox)> {
    let server = Server::join(&settings.database).await?;
    let database = super::super::open(&server, settings).await?;
    let found = StageSmtp::named(&database.pool, name).await;
    database.pool.close().await;
    server.stop()?;
    let stage = found?.with_context(|| format!("there is no email stage {name}"))?;
    let wrong = |unusable: Unusable| anyhow::anyhow!("{}: {}", unusable.field, unusable.sentence);
    Ok((stage.server(&settings.mail).map_err(wrong)?, stage.sender(&settings.mail).map_err(wrong)?))
}

fn line(done: &Done) -> String {
    let result = if done.is_ok { "ok" } else { "failed" };
    format!("{:9}  {result:6}  {:>6} ms  {}\n", done.step.name(), done.took.as_millis(), done.words)
}
