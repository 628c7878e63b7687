//! The primary is killed or not heard of any more, and a standby is promoted, while clients write: nothing that was
//! acknowledged is lost.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use rustix::process::Signal;
use serde_json::json;

use crate::cluster::Node;
use crate::postgres::Scratch;
use crate::process::PATIENCE;
use crate::server::Server;
use crate::site::Site;
use crate::writers::stored;
use crate::{PREFIX, WRITERS, WRITTEN, alone};

/// How long after the primary's end it takes until somebody can write again, at most.
const SERVICE_WITHIN: Duration = Duration::from_secs(5);
/// Between two requests of one client: the machine has other work.
const PAUSE: Duration = Duration::from_millis(15);

/// How the primary is lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// Its connections end.
    Killed,
    /// The network swallows what is sent to it.
    Silent,
}

impl Loss {
    fn strike(self, primary: &mut Node) {
        match self {
            Self::Killed => primary.postgres.end(Signal::KILL),
            Self::Silent => primary.fall_silent(),
        }
    }
}

/// What is known of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    There,
    Perhaps,
    NotThere,
}

/// What came of all requests.
#[derive(Default)]
struct Ledger {
    objects: Mutex<BTreeMap<String, Known>>,
    /// When writes were acknowledged.
    acknowledged: Mutex<Vec<Instant>>,
    wrong: Mutex<Vec<String>>,
}

impl Ledger {
    /// Make objects, each once, and read them back.
    fn write(&self, server: &Server, key: &str, writer: usize, is_over: &AtomicBool) {
        for object in 0_u32.. {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            let name = format!("{writer} {object}");
            let body = json!({ "name": name, "user_path_template": "0" }).to_string();
            let (known, pk) = match server.ask_as(key, "POST", WRITTEN, &body) {
                Ok(answer) if answer.status == 201 => {
                    self.acknowledged.lock().unwrap().push(Instant::now());
                    (Known::There, Some(answer.pk()))
                }
                Ok(answer) if answer.status == 503 && !answer.is_unknown() => (Known::NotThere, None),
                Ok(answer) if answer.status == 503 => (Known::Perhaps, None),
                Ok(answer) => {
                    let wrong = format!("POST of {name}: {} {}", answer.status, answer.body);
                    self.wrong.lock().unwrap().push(wrong);
                    (Known::Perhaps, None)
                }
                Err(_) => (Known::Perhaps, None),
            };
            self.objects.lock().unwrap().insert(name, known);
            if let Some(pk) = pk {
                let read =
                    server.ask_as(key, "GET", &format!("{WRITTEN}{pk}/"), "").map(|answer| answer.status);
                if !matches!(read, Ok(200 | 503)) {
                    self.wrong.lock().unwrap().push(format!("GET of {pk}: {read:?}"));
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Read what others made, with a token that writes nothing.
    fn read(&self, server: &Server, key: &str, is_over: &AtomicBool) {
        while !is_over.load(Ordering::SeqCst) {
            let read = server.ask_as(key, "GET", &format!("{WRITTEN}?page_size=5"), "");
            let read = read.map(|answer| answer.status);
            if !matches!(read, Ok(200 | 503)) {
                self.wrong.lock().unwrap().push(format!("GET of a page: {read:?}"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Wait until a write is acknowledged after `since`: when that was.
    fn service_after(&self, since: Instant) -> Instant {
        loop {
            let first = self.acknowledged.lock().unwrap().iter().find(|at| **at > since).copied();
            if let Some(first) = first {
                return first;
            }
            assert!(since.elapsed() < PATIENCE, "no service again");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether all is there that is known to be, and nothing that isn't.
    fn check(&self, node: &Node) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{} wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
        let (found, objects) = (stored(node), self.objects.lock().unwrap());
        let count = |known| objects.values().filter(|is| **is == known).count();
        println!(
            "ledger: {} acknowledged, {} refused, {} unknown; {} are there",
            count(Known::There),
            count(Known::NotThere),
            count(Known::Perhaps),
            found.len()
        );
        let off = objects.iter().filter(|(name, known)| match known {
            Known::There => !found.contains_key(*name),
            Known::NotThere => found.contains_key(*name),
            Known::Perhaps => false,
        });
        assert_eq!(off.collect::<Vec<_>>(), []);
        assert!(found.keys().all(|name| objects.contains_key(name)), "somebody else wrote");
    }
}

#[rstest]
#[case(Loss::Killed)]
#[case(Loss::Silent)]
fn a_promoted_standby_serves_within_five_seconds_and_has_all_that_was_acknowledged(#[case] loss: Loss) {
    let _alone = alone();
    let scratch = Scratch::new(PREFIX);
    let mut first = Node::primary(&scratch);
    let second = first.standby(&scratch, "second");
    let third = second.standby(&scratch, "third");
    first.is_followed_by(1);
    second.is_followed_by(1);
    first.set("synchronous_standby_names = 'second'");
    let site = Site::open(&scratch, "server", &[&first, &second], &[&second, &third]);
    let keys: Vec<_> = (0..=WRITERS).map(|client| site.token(&format!("client-{client}"))).collect();
    site.is_in_use(&second, true);
    site.is_in_use(&third, true);
    let (ledger, is_over) = (Ledger::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (client, key) in keys.iter().enumerate() {
            let (server, ledger, is_over) = (&site.server, &ledger, &is_over);
            scope.spawn(move || match client {
                0..WRITERS => ledger.write(server, key, client, is_over),
                _ => ledger.read(server, key, is_over),
            });
        }
        let fail_over = std::panic::AssertUnwindSafe(|| {
            std::thread::sleep(Duration::from_secs(3));
            let lost = Instant::now();
            loss.strike(&mut first);
            second.promote();
            let promoted = Instant::now();
            let service = ledger.service_after(promoted) - lost;
            let promoted = (promoted - lost).as_millis();
            println!("{loss:?}: promoted after {promoted} ms, served after {} ms", service.as_millis());
            assert!(service < SERVICE_WITHIN);
            // One is the primary now, and the other follows it.
            site.is_in_use(&second, false);
            std::thread::sleep(Duration::from_secs(1));
            println!(
                "the third is read from again after {} ms more",
                site.is_in_use(&third, true).as_millis()
            );
            let read_before = site.reads(Some(&third));
            std::thread::sleep(Duration::from_secs(2));
            assert!(site.reads(Some(&third)) > read_before + 10.0, "{}", site.server.log());
        });
        let failed_over = std::panic::catch_unwind(fail_over);
        is_over.store(true, Ordering::SeqCst);
        failed_over.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    println!("{} reads from the third, {} from the primary", site.reads(Some(&third)), site.reads(None));
    ledger.check(&second);
    assert!(site.server.has_logged(&["another server takes writes now"]), "{}", site.server.log());
    assert!(site.server.internal_errors().is_empty(), "{:?}", site.server.internal_errors());
}
