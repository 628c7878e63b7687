//! [`StageSmtp`]: what an email stage says of the SMTP server that its mail goes through.

use std::time::Duration;

use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

use super::Mailbox;
use crate::config::{Encryption, Login, MailSettings, SmtpServer};
use crate::contract::messages;

/// The port of a stage that says 0.
const USUAL_PORT: u16 = 25;

/// An email stage's settings. There is no `Debug`: the password is among them.
#[derive(FromRow)]
pub struct StageSmtp {
    /// Whether the server of the settings is meant, and the next seven and the sender don't count.
    pub use_global_settings: bool,
    /// The server.
    pub host: String,
    /// Its port; 0 for the usual one.
    pub port: i32,
    /// Who logs in; nobody where it is empty.
    pub username: String,
    /// The password for that.
    pub password: String,
    /// STARTTLS.
    pub use_tls: bool,
    /// TLS from the first byte.
    pub use_ssl: bool,
    /// Seconds that a step may take; 0 for those of the settings.
    pub timeout: i32,
    /// The sender.
    pub from_address: String,
}

/// Why a stage's settings are of no use.
#[derive(Debug)]
pub struct Unusable {
    /// The field that is wrong.
    pub field: &'static str,
    /// What is wrong with it.
    pub sentence: String,
}

impl StageSmtp {
    /// The settings of the stage with this key, if there is one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find(executor: impl PgExecutor<'_>, key: Uuid) -> sqlx::Result<Option<Self>> {
        let select = "SELECT use_global_settings, host, port, username, password, use_tls, use_ssl, timeout, \
             from_address FROM authentik_stages_email_emailstage WHERE stage_ptr_id = $1";
        sqlx::query_as(select).bind(key).fetch_optional(executor).await
    }

    /// The settings of the stage with this name, if there is one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn named(pool: &PgPool, name: &str) -> sqlx::Result<Option<Self>> {
        let select = sqlx::query_scalar("SELECT stage_uuid FROM authentik_flows_stage WHERE name = $1");
        match select.bind(name).fetch_optional(pool).await? {
            Some(key) => Self::find(pool, key).await,
            None => Ok(None),
        }
    }

    /// The server that they stand for.
    ///
    /// # Errors
    /// They can't all hold at once, or the server isn't one that stages may name.
    pub fn server(&self, settings: &MailSettings) -> Result<SmtpServer, Unusable> {
        if self.use_global_settings {
            return Ok(settings.smtp.clone());
        }
        let unusable = |field, sentence: String| Unusable { field, sentence };
        let encryption = Encryption::of(self.use_tls, self.use_ssl)
            .ok_or_else(|| unusable("use_ssl", messages::TLS_TWICE.to_owned()))?;
        let port = match self.port {
            0 => USUAL_PORT,
            port => u16::try_from(port).map_err(|_| unusable("port", messages::NOT_A_PORT.to_owned()))?,
        };
        let timeout = match u64::try_from(self.timeout) {
            Ok(seconds @ 1..) => Duration::from_secs(seconds.min(SmtpServer::MAX_TIMEOUT)),
            _ => settings.smtp.timeout,
        };
        let login = Login::of(self.username.clone(), self.password.clone());
        let server = SmtpServer { host: self.host.clone(), port, login, encryption, timeout };
        if !settings.allow(&server) {
            return Err(unusable("host", messages::host_not_allowed(&server.host, port)));
        }
        Ok(server)
    }

    /// Who sends what goes through it.
    ///
    /// # Errors
    /// That is no address.
    pub fn sender(&self, settings: &MailSettings) -> Result<Mailbox, Unusable> {
        let text = if self.use_global_settings { &settings.from } else { &self.from_address };
        let sentence = || messages::invalid_address(text);
        Mailbox::read(text).ok_or_else(|| Unusable { field: "from_address", sentence: sentence() })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::config::Settings;

    fn settings() -> MailSettings {
        let global = |name: &str| (name == "AUTHENTIK_EMAIL__HOST").then(|| "mail.example.com".to_owned());
        Settings::read(global).unwrap().mail
    }

    fn stage(change: impl FnOnce(&mut StageSmtp)) -> StageSmtp {
        let mut stage = StageSmtp {
            use_global_settings: false,
            host: "smtp.example.org".to_owned(),
            port: 587,
            username: "mailer".to_owned(),
            password: "secret".to_owned(),
            use_tls: true,
            use_ssl: false,
            timeout: 20,
            from_address: "stage@example.org".to_owned(),
        };
        change(&mut stage);
        stage
    }

    #[test]
    fn a_stage_has_a_server_of_its_own_or_the_global_one() {
        let Ok(server) = stage(|_| ()).server(&settings()) else { panic!() };
        assert_eq!(
            (server.host.as_str(), server.port, server.timeout.as_secs()),
            ("smtp.example.org", 587, 20)
        );
        assert!(server.encryption == Encryption::StartTls);
        assert!(server.login == Login::of("mailer".to_owned(), "secret".to_owned()));
        assert_eq!(stage(|_| ()).sender(&settings()).unwrap().to_string(), "stage@example.org");

        let global = stage(|stage| stage.use_global_settings = true);
        assert!(global.server(&settings()).is_ok_and(|server| server == settings().smtp));
        assert_eq!(global.sender(&settings()).unwrap().to_string(), "authentik@localhost");
    }

    #[test]
    fn nothing_stands_for_what_is_usual() {
        let bare = stage(|stage| (stage.port, stage.timeout, stage.use_tls) = (0, 0, false));
        let Ok(server) = bare.server(&settings()) else { panic!() };
        assert_eq!((server.port, server.timeout), (25, settings().smtp.timeout));
        let patient = stage(|stage| stage.timeout = i32::MAX);
        assert!(patient.server(&settings()).is_ok_and(|server| server.timeout.as_secs() == 300));
    }

    #[rstest]
    #[case::both_ways_of_tls(stage(|stage| stage.use_ssl = true), "use_ssl")]
    #[case::no_port(stage(|stage| stage.port = 65_536), "port")]
    #[case::a_negative_port(stage(|stage| stage.port = -1), "port")]
    #[case::a_port_of_something_else(stage(|stage| stage.port = 22), "host")]
    fn what_can_not_be_used_says_why(#[case] stage: StageSmtp, #[case] field: &str) {
        assert_eq!(stage.server(&settings()).err().map(|unusable| unusable.field), Some(field));
    }
}
