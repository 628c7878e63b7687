//! [`App`]: the state that requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drf::intake::Dialect;
use tokio::sync::{Notify, Semaphore};

use crate::clock::{Clock, Ids};
use crate::config::Settings;
use crate::db::Database;
use crate::email_templates::Templates;
use crate::memory::Memory;
use crate::throttle::Throttle;

/// The server's state; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// See [`App`].
pub struct Inner {
    /// PostgreSQL.
    pub database: Database,
    /// Configuration.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
    /// New keys.
    pub ids: Ids,
    /// Email templates.
    pub templates: Templates,
    /// What was read before.
    pub memory: Memory,
    /// Room for the bodies of requests, in bytes.
    pub bodies: Arc<Semaphore>,
    /// Room for answers that clients have yet to take, in bytes.
    pub answers: Arc<Semaphore>,
    /// How many tests of SMTP servers users may still ask for.
    pub mail_tests: Throttle<i32>,
    /// Whoever delivers mail is told of a new one.
    pub mail_waker: Arc<Notify>,
    stopping: AtomicBool,
}

impl App {
    /// Put the parts together.
    pub fn new(database: Database, settings: Settings, clock: Clock, ids: Ids) -> Self {
        let templates = Templates::new(settings.template_dir.clone());
        let memory = Memory::new(settings.answer_cache);
        let room = |bytes: usize| Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner {
            bodies: room(settings.bodies),
            answers: room(settings.answers),
            mail_tests: Throttle::new(settings.mail.tests),
            database,
            settings,
            clock,
            ids,
            templates,
            memory,
            mail_waker: Arc::default(),
            stopping: AtomicBool::new(false),
        }))
    }

    /// The server is about to stop: from now on it isn't ready.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What this installation takes from requests.
    pub fn dialect(&self) -> Dialect {
        Dialect {
            nested: self.settings.flow_set_is_applied(),
            max_nested: self.settings.flow_set_entries,
            version: self.database.layout.release().api(),
        }
    }
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}
