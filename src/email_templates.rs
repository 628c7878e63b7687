//! The email templates that a stage may name: authentik's own, and the HTML files of a directory.

use std::collections::BTreeMap;
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

/// Bytes that a file may have to be used.
const MAX_FILE: u64 = 256 * 1024;

/// What the files of the directory hold, by name: the templates, and beside them texts (`**/*.txt`).
#[derive(Debug, Clone, Default)]
pub struct Sources(Arc<BTreeMap<String, String>>);

impl Sources {
    /// These files.
    pub fn of(files: impl Iterator<Item = (String, String)>) -> Self {
        Self(Arc::new(files.collect()))
    }

    /// What a file holds.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The templates of an installation. The directory is read when a request that needs them comes in, and remembered for
/// the rest of that request: it holds a connection and locks rows by then, and a directory may be slow.
#[derive(Debug)]
pub struct Templates {
    directory: PathBuf,
    files: RwLock<Arc<Vec<String>>>,
    sources: RwLock<Sources>,
    /// One reads at a time: what was read last is the newest, and a directory that hangs takes one thread and not all.
    reading: Mutex<()>,
}

impl Templates {
    /// Those in `directory`, none of which is known yet.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, files: RwLock::default(), sources: RwLock::default(), reading: Mutex::default() }
    }

    /// Read the directory.
    pub async fn refresh(&self) {
        let _reading = self.reading.lock().await;
        let files = Arc::new(files(self.directory.clone(), &["html"]).await);
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// Read the directory, and what is in its files.
    pub async fn read(&self) {
        let _reading = self.reading.lock().await;
        let names = files(self.directory.clone(), &["html", "txt"]).await;
        let templates = names.iter().filter(|name| ends_in(Path::new(name), &["html"])).cloned().collect();
        let sources = sources(self.directory.clone(), names).await;
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(templates);
        *self.sources.write().unwrap_or_else(PoisonError::into_inner) = sources;
    }

    /// What the files hold, as of the last [`Self::read`].
    pub fn sources(&self) -> Sources {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).clone()
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
async fn files(root: PathBuf, endings: &'static [&'static str]) -> Vec<String> {
    tokio::task::spawn_blocking(move || {
        let mut names = Vec::new();
        walk(&root, &root, endings, &mut names);
        names.sort();
        names
    })
    .await
    .unwrap_or_default()
}

/// What is in the files of these names. One that is too large, or no text, counts as none.
async fn sources(root: PathBuf, names: Vec<String>) -> Sources {
    let read = move || {
        let content = |name: String| {
            let path = root.join(&name);
            let fits = path.metadata().is_ok_and(|metadata| metadata.len() <= MAX_FILE);
            let text = if fits { std::fs::read_to_string(path).ok() } else { None };
            text.map(|text| (name, text))
        };
        Sources::of(names.into_iter().filter_map(content))
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

/// Symbolic links to files are followed, those to directories are not: they may lead in a circle.
fn walk(root: &Path, directory: &Path, endings: &[&str], names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(root, &path, endings, names);
        } else if is_template(&path, endings)
            && let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str)
        {
            names.push(name.to_owned());
        }
    }
}

/// A file that can't be read is none. What isn't a file isn't opened: that of a named pipe waits for somebody to write.
fn is_template(path: &Path, endings: &[&str]) -> bool {
    ends_in(path, endings) && path.is_file() && std::fs::File::open(path).is_ok()
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|extension| endings.iter().any(|ending| extension == *ending))
}
