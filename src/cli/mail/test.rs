//! `ak-stages mail test`: a test mail, and each step that it takes.

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use crate::cli::stdout::print;
use crate::clock::{Clock, Ids};
use crate::config::{Settings, SmtpServer};
use crate::contract::messages;
use crate::db::Server;
use crate::mail::message::Message;
use crate::mail::steps::Done;
use crate::mail::template;
use crate::mail::trial::{Extent, Trial};
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
            Mode::Send => Extent::Send(mail(settings, &sender, &recipient)?),
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

fn mail(settings: &Settings, sender: &Mailbox, recipient: &Mailbox) -> anyhow::Result<Message> {
    let host = settings.mail.public_url.as_ref().map_or("ak-stages", |url| url.host());
    let parts = template::of_a_test(settings.mail.locale, host);
    let parts = parts.map_err(|refused| anyhow::anyhow!("the test mail can't be made: {refused:?}"))?;
    let message = Message::test(sender, recipient, Ids::Random.next(), Clock::System.now(), &parts);
    message.map_err(anyhow::Error::msg)
}

fn line(done: &Done) -> String {
    let result = if done.is_ok { "ok" } else { "failed" };
    format!("{:9}  {result:6}  {:>6} ms  {}\n", done.step.name(), done.took.as_millis(), done.words)
}
