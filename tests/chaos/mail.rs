//! Servers and their database are killed while mails wait: none is lost, and one comes twice only where nobody can know that
//! it came.
//!
//! In the suite with 150 mails for each kind of kill; `make chaos` takes as many as `CHAOS_MAILS` says, up to 1,000.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::database::Database;
use crate::process::PATIENCE;
use crate::relay::Relay;
use crate::server::{Answer, KEY, Server};
use crate::smtp::{Smtp, Taken};
use crate::{alone, number};

const INVITATIONS: &str = "/api/v3/stages/invitation/invitations/";
/// Mails that arrive between two kills.
const BETWEEN: usize = 40;
/// Every so manieth mail is one that the SMTP server takes without saying so.
const DEAF: usize = 10;

#[derive(Debug, Clone, Copy)]
enum Killed {
    OneServer,
    TwoReplicasInTurn,
    Database,
}

/// What came of the mails of one kind of kill.
#[derive(Default)]
struct Figures {
    kills: usize,
    /// Messages that came twice because the SMTP server ended the connection before its 250.
    lost_answers: usize,
    /// Messages that came twice, or once more, because their server was killed with them on their way.
    lost_servers: usize,
}

/// All that has to do with mail.
struct Office {
    database: Database,
    smtp: Smtp,
    servers: [Server; 2],
    _relay: Relay,
}

impl Office {
    fn open() -> Self {
        let (database, smtp) = (Database::start(), Smtp::start());
        let relay = Relay::to(database.socket());
        let mut settings = smtp.environment();
        settings.push(("AUTHENTIK_STAGES__EMAIL_PER_SENDER", "0".to_owned()));
        let server = |name| Server::new(database.directory(), name, relay.address()).with(&settings);
        let servers = ["first", "second"].map(server);
        Self { smtp, servers, _relay: relay, database }
    }

    fn ask(&self, path: &str, body: &serde_json::Value, expected: u16) -> Answer {
        let answer = self.servers[0].ask("POST", path, &body.to_string()).unwrap();
        assert_eq!(answer.status, expected, "{path}: {}", answer.body);
        answer
    }

    /// The path of an invitation.
    fn invitation(&self) -> String {
        let flow = json!({ "name": "Enroll", "slug": "enroll", "title": "Hi", "designation": "enrollment" });
        let flow = self.ask("/api/v3/flows/instances/", &flow, 201).pk();
        let invitation = json!({ "name": "welcome", "flow": flow, "expires": "2100-01-01T00:00:00Z" });
        format!("{INVITATIONS}{}/", self.ask(INVITATIONS, &invitation, 201).pk())
    }

    /// What the database says of messages.
    fn addresses(&self, condition: &str) -> sqlx::Result<BTreeSet<String>> {
        let select = format!("SELECT address FROM ak_stages.message WHERE {condition}");
        self.database.with(async |connection| {
            let select = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(select));
            Ok(select.fetch_all(connection).await?.into_iter().collect())
        })
    }

    /// Kill what is to be killed, and start it again. Gives the messages that a killed server may have had on their way.
    fn strike(&mut self, killed: Killed, kills: usize) -> BTreeSet<String> {
        match killed {
            Killed::OneServer | Killed::TwoReplicasInTurn => {
                let server = match killed {
                    Killed::OneServer => &self.servers[0],
                    _ => &self.servers[kills % 2],
                };
                server.signal(Signal::KILL);
                server.wait();
                let on_their_way = self.addresses("state = 'sending'").unwrap();
                server.start();
                return on_their_way;
            }
            Killed::Database if kills.is_multiple_of(2) => self.database.end(Signal::KILL),
            Killed::Database => {
                if let Some(&backend) = self.database.backends().first() {
                    kill_process(backend, Signal::KILL).unwrap();
                }
            }
        }
        self.database.returned();
        BTreeSet::new()
    }

    /// Queue these mails, and kill again and again until all have arrived.
    fn send(&mut self, killed: Killed, path: &str, addresses: &[String]) -> Figures {
        let before = self.smtp.taken().len();
        self.ask(&format!("{path}send_email/"), &json!({ "email_addresses": addresses }), 204);
        let (mut figures, mut on_their_way) = (Figures::default(), BTreeSet::new());
        for arrived in (BETWEEN..addresses.len()).step_by(BETWEEN) {
            self.smtp.wait_for(|taken| taken.len() >= before + arrived);
            on_their_way.extend(self.strike(killed, figures.kills));
            figures.kills += 1;
        }
        let began = Instant::now();
        while self.addresses("finished IS NULL").map_or(true, |waiting| !waiting.is_empty()) {
            assert!(began.elapsed() < PATIENCE, "some still wait: {}", self.servers[0].log());
            std::thread::sleep(Duration::from_millis(50));
        }
        let sent = self.addresses("state = 'sent'").unwrap();
        assert!(addresses.iter().all(|address| sent.contains(address)), "some are dead");
        count(&self.smtp.taken()[before..], addresses, &on_their_way, &mut figures);
        figures
    }
}

/// Check what arrived, by address and `Message-ID`, and note what came twice.
fn count(taken: &[Taken], addresses: &[String], on_their_way: &BTreeSet<String>, figures: &mut Figures) {
    let mut arrived: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for message in taken {
        arrived.entry(&message.to).or_default().push(message.header("Message-ID").unwrap());
    }
    let ids: BTreeSet<_> = arrived.values().flatten().collect();
    assert_eq!(ids.len(), addresses.len(), "each has one Message-ID, however often it came");
    for address in addresses {
        let copies = arrived.get(address.as_str()).unwrap_or_else(|| panic!("{address} was lost"));
        assert!(copies.iter().all(|id| *id == copies[0]), "{address}: {copies:?}");
        let lost_answers = usize::from(address.starts_with("deaf") && copies.len() > 1);
        let others = copies.len() - 1 - lost_answers;
        let is_explained = others == 0 || on_their_way.contains(address);
        assert!(is_explained, "{address} came {} times, and its server knew that it had come", copies.len());
        figures.lost_answers += lost_answers;
        figures.lost_servers += others;
    }
}

#[test]
fn mails_that_wait_outlive_killed_servers_and_a_killed_database() {
    let _alone = alone();
    let mails = usize::try_from(number("CHAOS_MAILS", 150)).unwrap();
    let mut office = Office::open();
    office.servers[0].start();
    let path = office.invitation();
    for killed in [Killed::OneServer, Killed::TwoReplicasInTurn, Killed::Database] {
        if matches!(killed, Killed::TwoReplicasInTurn) {
            office.servers[1].start();
        }
        let address = |n: usize| {
            let behaviour = if n.is_multiple_of(DEAF) { "deaf" } else { "slow" };
            format!("{behaviour}-{n}-{killed:?}@example.org").to_lowercase()
        };
        let addresses: Vec<_> = (0..mails).map(address).collect();
        let began = Instant::now();
        let figures = office.send(killed, &path, &addresses);
        println!(
            "{killed:?}: {mails} mails, {} times killed, in {} s: 0 lost; twice, with one Message-ID: {} whose 250 was \
             dropped, {} whose server was killed",
            figures.kills,
            began.elapsed().as_secs(),
            figures.lost_answers,
            figures.lost_servers
        );
        assert!(figures.kills >= 2, "killed in the middle");
        // At most what a server has on its way at a time, for each that was killed.
        let most = if matches!(killed, Killed::Database) { 0 } else { 8 * figures.kills };
        assert!(figures.lost_servers <= most, "{}", figures.lost_servers);
    }
    let key = path.trim_end_matches('/').rsplit('/').next().unwrap();
    for server in &office.servers {
        assert!(server.has_logged(&["a mail was sent"]), "{}", server.log());
        assert!(!server.has_logged(&[key, KEY]), "a secret is in the log");
    }
}
