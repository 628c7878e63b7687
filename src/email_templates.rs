//! The email templates that a stage may name: authentik's own, and the HTML files of a directory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;

use crate::contract::{Release, templates};

/// A template that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// What a stage stores.
    pub name: String,
    /// What people read.
    pub description: String,
}

/// The templates of an installation. The directory is read when a request that needs them comes in, and remembered for
/// the rest of that request: it holds a connection and locks rows by then, and a directory may be slow.
#[derive(Debug)]
pub struct Templates {
    directory: PathBuf,
    files: RwLock<Arc<Vec<String>>>,
    /// One reads at a time: what was read last is the newest, and a directory that hangs takes one thread and not all.
    reading: Mutex<()>,
}

impl Templates {
    /// Those in `directory`, none of which is known yet.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, files: RwLock::default(), reading: Mutex::default() }
    }

    /// Read the directory.
    pub async fn refresh(&self) {
        let _reading = self.reading.lock().await;
        let files = Arc::new(files(self.directory.clone()).await);
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = files;
    }

    fn files(&self) -> Arc<Vec<String>> {
        Arc::clone(&self.files.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// All templates, as of the last [`Self::refresh`]: the built-in ones of a release, then the readable `**/*.html` of
    /// the directory by name.
    pub fn list(&self, release: Release) -> Vec<Template> {
        let built_in = templates::built_in(release).map(|(name, description)| Template {
            name: name.to_owned(),
            description: description.to_owned(),
        });
        let files = self.files();
        let custom = files
            .iter()
            .map(|name| Template { description: format!("Custom Template: {name}"), name: name.clone() });
        built_in.chain(custom).collect()
    }

    /// Whether there is a template `name`, as of the last [`Self::refresh`].
    pub fn have(&self, release: Release, name: &str) -> bool {
        templates::built_in(release).any(|(built_in, _)| built_in == name)
            || self.files().iter().any(|file| file == name)
    }
}

/// Names of the templates in a directory, relative to it. Reading a few entries of a local directory is quick, but it
/// blocks, so it is done where that harms nobody.
async fn files(root: PathBuf) -> Vec<String> {
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

/// A file that can't be read is none. What isn't a file isn't opened: that of a named pipe waits for somebody to write.
fn is_template(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "html")
        && path.is_file()
        && std::fs::File::open(path).is_ok()
}
