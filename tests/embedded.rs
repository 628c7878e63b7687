//! The embedded PostgreSQL as the server runs it: with the settings, and with messages that name them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ak_stages::config::Settings;
use ak_stages::db::{Server, embedded::EmbeddedSettings};
use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection, query_scalar};

/// A `DATA_DIR` for one test, which the database user can reach. Removed at the end.
struct DataDir(PathBuf);

impl DataDir {
    fn new(test: &str) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("ak-stages-{test}-{}", std::process::id()));
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
        Ok(Self(dir))
    }

    fn settings(&self) -> Result<Settings> {
        self.settings_with_programs(std::env::var("PG_BIN_DIR").ok().as_deref())
    }

    fn settings_with_programs(&self, directory: Option<&str>) -> Result<Settings> {
        Settings::read(|name| match name {
            "DATA_DIR" => self.0.to_str().map(str::to_owned),
            "PG_BIN_DIR" => directory.map(str::to_owned),
            _ => None,
        })
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The message of a start that has to fail, as the operator reads it.
async fn refusal(settings: &Settings) -> Result<String> {
    let error = Server::start(&settings.database).await.err().context("the start has to fail")?;
    Ok(format!("{error:#}"))
}

#[tokio::test]
async fn a_tool_joins_the_server_and_a_second_server_learns_what_to_set() -> Result<()> {
    let dir = DataDir::new("second")?;
    let settings = dir.settings()?;
    let server = Server::start(&settings.database).await?;

    let tool = Server::join(&settings.database).await?;
    assert!(matches!(tool, Server::External(_)), "it started another");
    let mut connection = PgConnection::connect_with(tool.hosts().current()).await?;
    let names: Vec<String> =
        query_scalar("SELECT unnest(ARRAY[current_user::text, current_setting('cluster_name')])")
            .fetch_all(&mut connection)
            .await?;
    assert_eq!(names, ["app", "ak-stages"]);
    connection.close().await?;
    tool.stop()?;

    let message = refusal(&settings).await?;
    let expected = format!(
        "is in use by another process (pid {}); stop that one, or set DATA_DIR or DATABASE_URL",
        std::process::id()
    );
    assert!(message.ends_with(&expected), "{message}");
    server.stop()
}

#[tokio::test]
async fn pg_bin_dir_is_the_only_place_for_programs() -> Result<()> {
    let dir = DataDir::new("programs")?;
    let message = refusal(&dir.settings_with_programs(dir.0.to_str())?).await?;
    assert!(message.starts_with(&format!("in {} there are no postgres", dir.0.display())), "{message}");
    assert!(message.ends_with("; correct PG_BIN_DIR, or set DATABASE_URL"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() -> Result<()> {
    let dir = DataDir::new("refused")?;
    let file = dir.0.join("a-file");
    fs::write(&file, "")?;
    let settings = Settings::read(|name| (name == "DATA_DIR").then(|| file.display().to_string()))?;
    let message = refusal(&settings).await?;
    assert!(message.starts_with(&format!("cannot create {}/postgres: ", file.display())), "{message}");
    Ok(())
}

#[tokio::test]
async fn data_of_a_version_that_is_gone_can_be_left_alone() -> Result<()> {
    let dir = DataDir::new("version")?;
    let data = dir.0.join("postgres/pgdata");
    fs::create_dir_all(&data)?;
    fs::write(data.join("PG_VERSION"), "9\n")?;
    let message = refusal(&dir.settings()?).await?;
    assert!(message.contains("was made by PostgreSQL 9, which is not installed"), "{message}");
    assert!(message.ends_with(", or set DATABASE_URL"), "{message}");
    Ok(())
}

#[test]
fn the_operators_directory_is_taken_as_it_is() -> Result<()> {
    let data_dir = Some(PathBuf::from("/srv/stages"));
    let options = EmbeddedSettings { data_dir, programs: None }.options()?;
    assert_eq!(options.root, Path::new("/srv/stages/postgres"));
    let default = EmbeddedSettings::default().options()?;
    let in_the_working_directory = std::path::absolute("data/postgres")?;
    let is_fallback = default.root == Path::new("/var/lib/ak-stages/postgres");
    assert!(is_fallback || default.root == in_the_working_directory, "{}", default.root.display());
    assert_eq!(is_fallback, !embedded_postgres::is_reachable(&in_the_working_directory)?);
    Ok(())
}
