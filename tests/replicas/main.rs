//! A server that reads from standbys: nobody reads the past of their own writes, nobody reads what is older than it may be,
//! and a standby that becomes the primary is found.
//!
//! In the suite it takes a minute; `make replicas` lets standbys fail for as long as `REPLICAS_SECONDS` says.

#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "a test may put SQL together as it likes")]

mod cluster;
mod failover;
#[path = "../common/postgres.rs"]
#[expect(dead_code, reason = "the tests of chaos use all of it")]
mod postgres;
#[path = "../common/process.rs"]
mod process;
#[path = "../common/relay.rs"]
#[expect(dead_code, reason = "the tests of chaos use all of it")]
mod relay;
#[path = "../common/server.rs"]
#[expect(dead_code, reason = "the tests of chaos use all of it")]
mod server;
mod site;
mod speed;
#[path = "../common/suite.rs"]
mod suite;
mod tokens;
mod writers;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use cluster::Node;
use postgres::Scratch;
use site::Site;
use suite::{alone, number};
use writers::{Findings, Tick, Writer};

const PREFIX: &str = "ak-stages-replicas-";
const WRITERS: usize = 8;
const READERS: usize = 4;
/// What writers write.
const WRITTEN: &str = "/api/v3/stages/user_write/";
/// How late the standby replays each commit, and by how much that is too late.
const DELAY: &str = "recovery_min_apply_delay = '1s'";
const LONG_DELAY: &str = "recovery_min_apply_delay = '20s'";
/// Between two faults.
const CALM: Duration = Duration::from_secs(3);

/// What happens to a standby while it is read from.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// All of its processes begin anew, further back in the log.
    BackendKilled,
    Killed,
    Stopped,
    TooLate,
}

const FAULTS: [Fault; 4] = [Fault::BackendKilled, Fault::Killed, Fault::Stopped, Fault::TooLate];

impl Fault {
    /// Let it happen to the standby, and undo it.
    fn strike(self, site: &Site, standby: &mut Node) {
        match self {
            Self::BackendKilled => {
                if let Some(&backend) = standby.postgres.backends().first() {
                    kill_process(backend, Signal::KILL).unwrap();
                }
            }
            Self::Killed => {
                standby.postgres.end(Signal::KILL);
                std::thread::sleep(Duration::from_secs(1));
            }
            Self::Stopped => {
                let processes = standby.postgres.processes();
                let all = |signal| {
                    for process in &processes {
                        kill_process(*process, signal).ok(); // some end by themselves
                    }
                };
                all(Signal::STOP);
                site.is_left_out(standby, "gone");
                all(Signal::CONT);
            }
            Self::TooLate => {
                standby.set(LONG_DELAY);
                site.is_left_out(standby, "behind");
                standby.set(DELAY);
            }
        }
        standby.postgres.returned();
    }
}

#[test]
fn nobody_reads_the_past_of_their_own_writes_from_a_standby_that_is_late_and_fails() {
    let _alone = alone();
    let time = Duration::from_secs(number("REPLICAS_SECONDS", 0));
    let scratch = Scratch::new(PREFIX);
    let primary = Node::primary(&scratch);
    let mut standby = primary.standby(&scratch, "standby");
    let site = Site::open(&scratch, "server", &[&primary], &[&standby]);
    standby.set(DELAY);
    site.is_in_use(&standby, true);
    let keys: Vec<_> =
        (0..=WRITERS + READERS).map(|client| site.token(&format!("client-{client}"))).collect();
    let (findings, is_over, began) = (Findings::default(), AtomicBool::new(false), Instant::now());
    let tick = Tick::begin(&site.server, &keys[WRITERS + READERS]);
    std::thread::scope(|scope| {
        for (number, key) in keys.iter().enumerate() {
            let (site, findings, tick, is_over) = (&site, &findings, &tick, &is_over);
            scope.spawn(move || {
                let writer = Writer { server: &site.server, key, number, findings };
                if number < WRITERS {
                    writer.write_and_read_back(is_over);
                } else if number < WRITERS + READERS {
                    tick.read(&writer, is_over);
                } else {
                    tick.go_on(&writer, is_over);
                }
            });
        }
        let faults_strike = std::panic::AssertUnwindSafe(|| {
            for fault in FAULTS.iter().cycle() {
                std::thread::sleep(CALM);
                fault.strike(&site, &mut standby);
                println!(
                    "{fault:?}: read from again after {} ms",
                    site.is_in_use(&standby, true).as_millis()
                );
                if began.elapsed() > time && matches!(fault, Fault::TooLate) {
                    break;
                }
            }
            std::thread::sleep(CALM);
        });
        // Whatever fails here, the clients have to be told to end.
        let struck = std::panic::catch_unwind(faults_strike);
        is_over.store(true, Ordering::SeqCst);
        struck.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let (by_standby, by_primary) = (site.reads(Some(&standby)), site.reads(None));
    println!("{by_standby} reads from the standby, {by_primary} from the primary, in {:?}", began.elapsed());
    println!("{findings}");
    findings.check(&primary);
    assert!(by_standby > 100.0 && by_primary > 100.0, "{}", site.server.log());
    assert!(site.server.internal_errors().is_empty(), "{:?}", site.server.internal_errors());
}
