//! Servers on a database that everything happens to, while clients write and read: nothing that was acknowledged is lost,
//! nothing is done twice, and nobody is told 500.
//!
//! In the suite it runs until each fault was there once, a minute or so; `make chaos` for as long as `CHAOS_SECONDS` says. The
//! order of the faults follows from `CHAOS_SEED`, which is printed.

#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "a test may put SQL together as it likes")]

mod database;
mod ledger;
mod lost_commit;
mod mail;
#[path = "../common/postgres.rs"]
mod postgres;
#[path = "../common/process.rs"]
mod process;
#[path = "../common/relay.rs"]
mod relay;
#[path = "../common/server.rs"]
mod server;
#[path = "../api/support/smtp.rs"]
#[expect(dead_code, reason = "the tests of mail delivery use all of it")]
mod smtp;
#[path = "../common/suite.rs"]
mod suite;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rustix::process::{Signal, kill_process};
use serde_json::json;
use sqlx::Row;

use database::Database;
use ledger::{Entry, Ledger};
use process::PATIENCE;
use relay::{Network, Relay};
use server::Server;
use suite::{alone, number};

const WRITERS: usize = 8;
const READERS: usize = 8;
/// Between two requests of one client: the machine has other work.
const PAUSE: Duration = Duration::from_millis(15);
/// Between two faults.
const CALM: Duration = Duration::from_millis(500);
/// What writers write.
const WRITTEN: &str = "/api/v3/stages/user_write/";
const LOCK: &str = "LOCK TABLE authentik_stages_user_write_userwritestage IN ACCESS EXCLUSIVE MODE";
/// What readers read. None of it needs the table of what writers write, but for the last.
const READ: [&str; 6] = [
    "/api/v3/stages/email/?page_size=5",
    "/api/v3/stages/invitation/invitations/?page_size=5",
    "/api/v3/core/groups/",
    "/api/v3/core/users/me/",
    "/api/v3/root/config/",
    "/api/v3/stages/user_write/?page_size=5",
];

/// How long after the database's return the first request succeeds, at most.
const FIRST_SUCCESS: Duration = Duration::from_secs(2);
/// The same where the network swallowed bytes.
const AFTER_SWALLOWING: Duration = Duration::from_secs(5);
/// How long any request takes, at most: 30 seconds up to its commit, then that.
const LONGEST: Duration = Duration::from_secs(45);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    ServerKilled,
    ServerRestarted,
    ServerStopped,
    BackendKilled,
    BackendTerminated,
    BackendStopped,
    PostmasterKilled,
    PostmasterStopped,
    DatabaseRestarted,
    DatabaseStopped,
    ReadOnly,
    DiskFull,
    NoConnections,
    NetworkCut,
    NetworkSlow,
    NetworkSwallows,
    Locked,
}

const FAULTS: [Fault; 17] = [
    Fault::ServerKilled,
    Fault::ServerRestarted,
    Fault::ServerStopped,
    Fault::BackendKilled,
    Fault::BackendTerminated,
    Fault::BackendStopped,
    Fault::PostmasterKilled,
    Fault::PostmasterStopped,
    Fault::DatabaseRestarted,
    Fault::DatabaseStopped,
    Fault::ReadOnly,
    Fault::DiskFull,
    Fault::NoConnections,
    Fault::NetworkCut,
    Fault::NetworkSlow,
    Fault::NetworkSwallows,
    Fault::Locked,
];

/// All that the faults happen to.
struct House {
    database: Database,
    relay: Relay,
    random: StdRng,
    /// Seconds for which the network swallows bytes, at most.
    longest_silence: f64,
}

impl House {
    fn seconds(&mut self, range: std::ops::Range<f64>) -> Duration {
        Duration::from_secs_f64(self.random.random_range(range))
    }

    /// Let this happen, and undo it. Gives when the database was there again.
    fn strike(&mut self, fault: Fault, servers: &[Server; 2], ledger: &Ledger) -> Instant {
        let server = servers.choose(&mut self.random).unwrap();
        match fault {
            Fault::ServerKilled => {
                server.signal(Signal::KILL);
                server.wait();
                server.start();
            }
            Fault::ServerRestarted => {
                server.signal(Signal::TERM);
                server.wait();
                server.start();
            }
            Fault::ServerStopped => {
                server.signal(Signal::STOP);
                std::thread::sleep(self.seconds(0.5..3.0));
                server.signal(Signal::CONT);
            }
            Fault::BackendKilled | Fault::BackendTerminated | Fault::BackendStopped => {
                let backends = self.database.backends();
                let Some(&backend) = backends.choose(&mut self.random) else { return Instant::now() };
                match fault {
                    Fault::BackendKilled => kill_process(backend, Signal::KILL).ok(),
                    Fault::BackendTerminated => kill_process(backend, Signal::TERM).ok(),
                    _ => {
                        kill_process(backend, Signal::STOP).ok();
                        std::thread::sleep(self.seconds(0.5..5.0));
                        kill_process(backend, Signal::CONT).ok()
                    }
                };
            }
            Fault::PostmasterKilled => self.database.end(Signal::KILL),
            Fault::DatabaseRestarted => self.database.end(Signal::INT),
            Fault::PostmasterStopped => {
                let postmaster = self.database.postmaster();
                kill_process(postmaster, Signal::STOP).unwrap();
                std::thread::sleep(self.seconds(0.5..3.0));
                kill_process(postmaster, Signal::CONT).unwrap();
            }
            Fault::DatabaseStopped => {
                let processes = self.database.processes();
                let all = |signal| {
                    for process in &processes {
                        kill_process(*process, signal).ok(); // some end by themselves
                    }
                };
                all(Signal::STOP);
                std::thread::sleep(self.seconds(0.5..5.0));
                all(Signal::CONT);
            }
            Fault::ReadOnly => {
                let set = "ALTER SYSTEM SET default_transaction_read_only = on";
                self.database.execute(&[set, "SELECT pg_reload_conf()"]);
                std::thread::sleep(self.seconds(0.5..2.0));
                let (mine, reset) = (
                    "SET default_transaction_read_only = off",
                    "ALTER SYSTEM RESET default_transaction_read_only",
                );
                self.database.execute(&[mine, reset, "SELECT pg_reload_conf()"]);
            }
            Fault::DiskFull => {
                let time = self.seconds(1.0..2.0);
                self.database.fill_disk(time);
            }
            Fault::NoConnections => {
                let time = self.seconds(1.0..2.0);
                self.database.take_all_connections(time);
            }
            Fault::NetworkCut => self.relay.cut(),
            Fault::NetworkSlow => {
                self.relay.be(Network::Slow);
                std::thread::sleep(self.seconds(1.0..3.0));
                self.relay.be(Network::Good);
            }
            Fault::NetworkSwallows => {
                self.relay.be(Network::Swallows);
                std::thread::sleep(self.seconds(1.0..self.longest_silence));
                self.relay.be(Network::Good);
            }
            Fault::Locked => {
                let time = self.seconds(2.0..6.0);
                ledger.open().locked = Some(Instant::now());
                self.database.lock(LOCK, time);
                ledger.open().locked = None;
            }
        }
        self.database.returned()
    }
}

/// What a client knows of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done(u16),
    /// It says that nothing was changed.
    Refused,
    Unknown,
}

/// A client of one server.
struct Client<'a> {
    server: &'a Server,
    number: usize,
    ledger: &'a Ledger,
}

impl Client<'_> {
    /// One request, noted. Gives what came of it, and the key of an object that was made.
    fn ask(&self, method: &str, path: &str, body: &str) -> (Outcome, Option<String>) {
        let locked_before = self.ledger.open().locked;
        let answered = self.server.ask(method, path, body);
        let mut ledger = self.ledger.open();
        let Ok(answer) = answered else {
            *ledger.statuses.entry(0).or_default() += 1;
            return (Outcome::Unknown, None);
        };
        *ledger.statuses.entry(answer.status).or_default() += 1;
        if answer.took > ledger.longest {
            ledger.longest = answer.took;
            ledger.longest_was = format!("{method} {path} {}", answer.status);
        }
        let is_fine = matches!(answer.status, 200..500) || answer.status == 503 && answer.says_when;
        if !is_fine {
            let body: String = answer.body.chars().take(200).collect();
            ledger.wrong.push(format!("{method} {path}: {} {body}", answer.status));
        }
        if (200..300).contains(&answer.status) {
            ledger.last_success.insert((self.number, method != "GET"), Instant::now());
        }
        if locked_before.is_some() && locked_before == ledger.locked && !path.starts_with(WRITTEN) {
            ledger.beside_lock.0 += 1;
            ledger.beside_lock.1 += usize::from(answer.status == 200);
        }
        drop(ledger);
        let pk = (answer.status == 201).then(|| answer.pk());
        match answer.status {
            503 if answer.is_unknown() => {
                self.ledger.open().unknown += 1;
                (Outcome::Unknown, pk)
            }
            503 => (Outcome::Refused, pk),
            status => (Outcome::Done(status), pk),
        }
    }

    fn note(&self, name: &str, may_be: Vec<Option<String>>) {
        self.ledger.open().entries.insert(name.to_owned(), Entry { may_be });
    }

    fn wrong(&self, what: String) {
        self.ledger.open().wrong.push(what);
    }

    /// Make an object, sending it again until it is known to be there. Gives its key.
    fn make(&self, name: &str, is_over: &AtomicBool) -> Option<String> {
        let (body, mut may_be_there) =
            (json!({ "name": name, "user_path_template": "0" }).to_string(), false);
        let there = || Some("0".to_owned());
        self.note(name, vec![None, there()]);
        while !is_over.load(Ordering::SeqCst) {
            match self.ask("POST", WRITTEN, &body) {
                (Outcome::Done(201), Some(pk)) => {
                    self.note(name, vec![there()]);
                    return Some(pk);
                }
                (Outcome::Done(400), _) if may_be_there => {
                    self.note(name, vec![there()]);
                    return None; // there, by a request whose answer was lost
                }
                (Outcome::Done(status), _) => {
                    self.wrong(format!("POST of {name}: {status}, though nothing can have stored it"));
                    return None;
                }
                (Outcome::Unknown, _) => may_be_there = true,
                (Outcome::Refused, _) => {}
            }
            if !may_be_there {
                self.note(name, vec![None]);
            }
            std::thread::sleep(PAUSE);
            self.note(name, vec![None, there()]);
        }
        // Nothing is under way any more.
        self.note(name, if may_be_there { vec![None, there()] } else { vec![None] });
        None
    }

    /// Give an object another value, or none: delete it. Sent once.
    fn change(&self, name: &str, pk: &str, known: &mut Vec<Option<String>>, to: Option<String>) {
        let mut after = known.clone();
        after.push(to.clone());
        self.note(name, after.clone());
        let path = format!("{WRITTEN}{pk}/");
        let outcome = match &to {
            Some(value) => self.ask("PATCH", &path, &json!({ "user_path_template": value }).to_string()).0,
            None => self.ask("DELETE", &path, "").0,
        };
        match outcome {
            Outcome::Done(200 | 204) => *known = vec![to],
            Outcome::Done(404) if known.contains(&None) => *known = vec![None],
            Outcome::Done(status) => self.wrong(format!("change of {name} to {to:?}: {status}")),
            Outcome::Unknown => *known = after,
            Outcome::Refused => {}
        }
        self.note(name, known.clone());
    }

    fn write(&self, writer: usize, is_over: &AtomicBool) {
        for number in 0_u32.. {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            let name = format!("{writer} {number}");
            let Some(pk) = self.make(&name, is_over) else { continue };
            let mut known = vec![Some("0".to_owned())];
            for value in 1..4 {
                std::thread::sleep(PAUSE);
                self.change(&name, &pk, &mut known, Some(value.to_string()));
            }
            if !number.is_multiple_of(8) {
                self.change(&name, &pk, &mut known, None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn read(&self, reader: usize, is_over: &AtomicBool) {
        for path in READ.iter().cycle().skip(reader) {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            self.ask("GET", path, "");
            std::thread::sleep(PAUSE);
        }
    }
}

/// The figures of one kind of fault.
#[derive(Default)]
struct Figures {
    times: usize,
    /// From the database's return to the first success, at worst.
    first: Duration,
    /// To a read and a write on each server, at worst.
    all: Duration,
}

#[test]
fn whatever_happens_to_the_database_nothing_is_lost_and_nobody_is_told_500() {
    let _alone = alone();
    let seed = number("CHAOS_SEED", u64::from(std::process::id()));
    let time = Duration::from_secs(number("CHAOS_SECONDS", 0));
    println!("CHAOS_SEED={seed}");
    let database = Database::start();
    let relay = Relay::to(database.socket());
    let servers = ["first", "second"].map(|name| Server::new(database.directory(), name, relay.address()));
    servers.iter().for_each(Server::start);
    let mut faults = FAULTS.to_vec();
    if !database.is_small {
        println!("SKIPPED: a full disk, since no file system can be mounted here");
        faults.retain(|fault| *fault != Fault::DiskFull);
    }
    let longest_silence = if time.is_zero() { 8.0 } else { 20.0 };
    let mut house = House { database, relay, random: StdRng::seed_from_u64(seed), longest_silence };
    let (ledger, is_over) = (Ledger::default(), AtomicBool::new(false));
    let mut figures: BTreeMap<Fault, Figures> = BTreeMap::new();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..WRITERS + READERS {
            let number = client % servers.len();
            let (server, ledger, is_over) = (&servers[number], &ledger, &is_over);
            let client_of = Client { server, number, ledger };
            scope.spawn(move || {
                if client < WRITERS {
                    client_of.write(client, is_over);
                } else {
                    client_of.read(client, is_over);
                }
            });
        }
        let faults_strike = std::panic::AssertUnwindSafe(|| {
            let mut coming = VecDeque::new();
            while began.elapsed() < time || !coming.is_empty() || figures.is_empty() {
                if coming.is_empty() {
                    faults.shuffle(&mut house.random);
                    coming.extend(faults.iter().copied());
                }
                std::thread::sleep(CALM);
                let Some(fault) = coming.pop_front() else { break };
                let returned = house.strike(fault, &servers, &ledger);
                let figures = figures.entry(fault).or_default();
                let (first, all) = successes(&ledger, &servers, returned, fault);
                figures.times += 1;
                figures.first = figures.first.max(first);
                figures.all = figures.all.max(all);
            }
        });
        // Whatever fails here, the clients have to be told to end.
        let struck = std::panic::catch_unwind(faults_strike);
        is_over.store(true, Ordering::SeqCst);
        struck.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    report(&ledger, &figures, began.elapsed());
    for line in servers.iter().flat_map(Server::internal_errors).take(5) {
        println!("{line}");
    }
    check(&ledger, &figures, &house.database);
}

/// Wait until both servers have served a read and a write after `since`: how long the first of all took, and all of them.
fn successes(ledger: &Ledger, servers: &[Server; 2], since: Instant, fault: Fault) -> (Duration, Duration) {
    loop {
        let times: Vec<_> = ledger.open().last_success.values().copied().filter(|at| *at > since).collect();
        let first = times.iter().min().map(|at| *at - since);
        if let (Some(first), true) = (first, times.len() == 2 * servers.len()) {
            return (first, since.elapsed());
        }
        assert!(since.elapsed() < PATIENCE, "{fault:?}: no service again: {}", servers[0].log());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn report(ledger: &Ledger, figures: &BTreeMap<Fault, Figures>, time: Duration) {
    let ledger = ledger.open();
    println!("{:<20}{:>6}{:>14}{:>24}", "fault", "times", "first success", "read and write on both");
    for (fault, figures) in figures {
        println!(
            "{:<20}{:>6}{:>12} ms{:>21} ms",
            format!("{fault:?}"),
            figures.times,
            figures.first.as_millis(),
            figures.all.as_millis()
        );
    }
    let total: usize = figures.values().map(|figures| figures.times).sum();
    println!("{total} faults in {} s; answers by status (0: none): {:?}", time.as_secs(), ledger.statuses);
    println!("commits without an answer: {}", ledger.unknown);
    println!("longest wait: {} ms ({})", ledger.longest.as_millis(), ledger.longest_was);
    let (asked, answered) = ledger.beside_lock;
    println!("other paths while one table was locked: {answered} of {asked} answered");
}

fn check(ledger: &Ledger, figures: &BTreeMap<Fault, Figures>, database: &Database) {
    let ledger = ledger.open();
    assert!(
        ledger.wrong.is_empty(),
        "{} wrong: {:#?}",
        ledger.wrong.len(),
        &ledger.wrong[..ledger.wrong.len().min(20)]
    );
    let select = "SELECT s.name::text, w.user_path_template::text \
                  FROM authentik_stages_user_write_userwritestage w \
                  JOIN authentik_flows_stage s ON s.stage_uuid = w.stage_ptr_id";
    let rows = database.with(async |connection| sqlx::query(select).fetch_all(connection).await).unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        found.entry(row.get(0)).or_default().push(row.get(1));
    }
    let mut off = Vec::new();
    for (name, entry) in &ledger.entries {
        let values = found.remove(name).unwrap_or_default();
        let is_right = values.len() < 2 && entry.may_be.contains(&values.first().cloned());
        if !is_right {
            off.push(format!("{name}: {values:?}, and may be {:?}", entry.may_be));
        }
    }
    println!("ledger: {} objects, {} off", ledger.entries.len(), off.len());
    assert!(off.is_empty(), "{off:#?}");
    assert!(found.is_empty(), "nobody wrote {found:?}");
    let (asked, answered) = ledger.beside_lock;
    assert!(asked > 0 && answered * 100 >= asked * 99, "one lock stopped the house");
    assert!(ledger.longest < LONGEST);
    for (fault, figures) in figures {
        let limit = if *fault == Fault::NetworkSwallows { AFTER_SWALLOWING } else { FIRST_SUCCESS };
        assert!(figures.first <= limit, "{fault:?}: {:?}", figures.first);
    }
}
