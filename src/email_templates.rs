//! The email templates that a stage may name: authentik's own, and the HTML files of a directory.

use std::path::{Path, PathBuf};

use crate::db::Release;

/// A template that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// What a stage stores.
    pub name: String,
    /// What people read.
    pub description: String,
}

/// authentik's own templates, and the release that each came with as far as that is told apart.
const BUILT_IN: [(&str, &str, Release); 5] = [
    ("email/password_reset.html", "Password Reset", Release::V2025_12),
    ("email/account_confirmation.html", "Account Confirmation", Release::V2025_12),
    ("email/email_otp.html", "Email OTP", Release::V2025_12),
    ("email/event_notification.html", "Event Notification", Release::V2025_12),
    ("email/invitation.html", "Invitation", Release::V2026_5),
];

fn built_in(release: Release) -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILT_IN
        .into_iter()
        .filter(move |(.., since)| *since <= release)
        .map(|(name, description, _)| (name, description))
}

/// All templates: the built-in ones of a release, then the readable `**/*.html` below `directory` by name.
pub async fn list(directory: &Path, release: Release) -> Vec<Template> {
    let built_in = built_in(release)
        .map(|(name, description)| Template { name: name.to_owned(), description: description.to_owned() });
    let custom = files(directory)
        .await
        .into_iter()
        .map(|name| Template { description: format!("Custom Template: {name}"), name });
    built_in.chain(custom).collect()
}

/// Whether `name` is one of [`list`].
pub async fn exists(directory: &Path, release: Release, name: &str) -> bool {
    built_in(release).any(|(built_in, _)| built_in == name)
        || files(directory).await.iter().any(|file| file == name)
}

/// Names of the templates in a directory, relative to it. Reading a few entries of a local directory is quick, but it
/// blocks, so it is done where that harms nobody.
async fn files(directory: &Path) -> Vec<String> {
    let root = directory.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut names = Vec::new();
        walk(&root, &root, &mut names);
        names.sort();
        names
    })
    .await
    .unwrap_or_default()
}

/// Symbolic links to files are followed, those to directories are not: they may lead in a circle.
fn walk(root: &Path, directory: &Path, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(root, &path, names);
        } else if is_template(&path)
            && let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str)
        {
            names.push(name.to_owned());
        }
    }
}

fn is_template(path: &PathBuf) -> bool {
    path.extension().is_some_and(|extension| extension == "html")
        && std::fs::File::open(path).is_ok()
        && path.is_file()
}
