//! An SMTP server that does what the address of a message says, good or bad.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::process::PATIENCE;

/// A message that the server has taken, whatever it said then.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The address in `MAIL FROM`, with what stood behind it.
    pub from: String,
    /// The address in `RCPT TO`.
    pub to: String,
    /// Headers and body.
    pub data: String,
}

impl Taken {
    /// A header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let of_name = |line: &str| line.strip_prefix(&format!("{name}: ")).map(str::to_owned);
        head.split("\r\n").find_map(of_name)
    }
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    /// How often each address was named.
    named: HashMap<String, usize>,
    connections: usize,
    credentials: Vec<String>,
    lines: Vec<String>,
}

/// A running server. The local part of an address says what becomes of a message to it, up to a `-`:
///
/// - `refused`: 550 to `RCPT`.
/// - `busy`: 451 to the first `RCPT`; `always`: 451 to every one.
/// - `stalled`: no answer to the first message, for longer than anybody waits.
/// - `dropped`: the first connection ends in the middle of the message.
/// - `deaf`: the first message is taken, and the connection ends before the 250.
/// - `late`: 452 to the first message.
/// - `mute`: 550 to `RCPT`, and no word after that.
/// - `endless`: to the first message 200 MB of an answer that has no end.
/// - `leaving`: 250, and then the connection ends.
/// - `slow`: 100 ms for a message.
/// - `rude`: 554 to the message, with the message's own words.
/// - anything else: 250.
pub struct Smtp {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What becomes of a connection before any message.
#[derive(Debug, Clone, Copy)]
pub enum Welcome {
    /// This is said, and the connection ends.
    Says(&'static str),
    /// Nothing is said, for longer than anybody waits.
    Silent,
    /// The client's hello is not answered.
    Deaf,
}

impl Smtp {
    /// Listen on a free port.
    pub fn start() -> Self {
        Self::welcoming(&[])
    }

    /// The same, but the first connections are welcomed like this, one each.
    pub fn welcoming(first: &'static [Welcome]) -> Self {
        let mut first = first.iter();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<Mutex<State>>::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.lock().unwrap().connections += 1;
                let (state, welcome) = (Arc::clone(&shared), first.next());
                thread::spawn(move || match welcome {
                    Some(welcome) => spoil(stream, *welcome),
                    None => Session::serve(stream, state),
                });
            }
        });
        Self { address, state }
    }

    /// What makes a server send through this one.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AUTHENTIK_STAGES__PUBLIC_URL", "https://id.example.com".to_owned()),
            ("AUTHENTIK_EMAIL__HOST", self.address.ip().to_string()),
            ("AUTHENTIK_EMAIL__PORT", self.address.port().to_string()),
            ("AUTHENTIK_EMAIL__FROM", "Example <id@example.com>".to_owned()),
            ("AUTHENTIK_EMAIL__TIMEOUT", "1".to_owned()),
            ("AUTHENTIK_STAGES__EMAIL_RETRY", "milliseconds=200".to_owned()),
        ]
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What was taken so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    /// Connections that were made.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// What clients said to log in.
    pub fn credentials(&self) -> Vec<String> {
        self.state.lock().unwrap().credentials.clone()
    }

    /// Wait until what was taken satisfies `enough`.
    #[track_caller]
    pub fn wait_for(&self, enough: impl Fn(&[Taken]) -> bool) -> Vec<Taken> {
        let started = Instant::now();
        loop {
            let taken = self.taken();
            if enough(&taken) {
                return taken;
            }
            let lines = self.state.lock().unwrap().lines.clone();
            assert!(started.elapsed() < PATIENCE, "{} messages, dialogue: {lines:#?}", taken.len());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn spoil(mut stream: TcpStream, welcome: Welcome) {
    match welcome {
        Welcome::Says(words) => stream.write_all(words.as_bytes()).unwrap(),
        Welcome::Silent => thread::sleep(PATIENCE),
        Welcome::Deaf => {
            stream.write_all(b"220 test\r\n").unwrap();
            thread::sleep(PATIENCE);
        }
    }
}

struct Session {
    reader: BufReader<TcpStream>,
    stream: TcpStream,
    state: Arc<Mutex<State>>,
}

impl Session {
    /// Until the client leaves, or we do.
    fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
        let reader = BufReader::new(stream.try_clone().unwrap());
        let mut session = Self { reader, stream, state };
        session.talk().ok();
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes())
    }

    fn talk(&mut self) -> io::Result<()> {
        self.say("220 test")?;
        let (mut from, mut to, mut times) = (String::new(), String::new(), 0);
        loop {
            let line = self.line()?.trim_end().to_owned();
            self.state.lock().unwrap().lines.push(line.clone());
            let (command, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match command.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    self.say("250-test")?;
                    self.say("250-8BITMIME")?;
                    self.say("250-SMTPUTF8")?;
                    self.say("250 AUTH PLAIN LOGIN XOAUTH2")?;
                }
                "AUTH" => {
                    self.state.lock().unwrap().credentials.push(rest.to_owned());
                    let wrong = rest.ends_with("B3cm9uZw=="); // `wrong`, behind a name
                    let stale = rest.starts_with("XOAUTH2") && rest.ends_with("c3RhbGUBAQ=="); // `stale`, behind a name
                    if stale {
                        self.say("334 eyJzdGF0dXMiOiI0MDEifQ==")?;
                        assert_eq!(self.line()?, "\r\n");
                    }
                    let words = format!("535 5.7.8 no, {rest}"); // which no server should repeat
                    self.say(if wrong || stale { &words } else { "235 yes" })?;
                }
                "MAIL" => {
                    rest.strip_prefix("FROM:").unwrap().clone_into(&mut from);
                    self.say("250 ok")?;
                }
                "RCPT" => {
                    rest.trim_start_matches("TO:<").trim_end_matches('>').clone_into(&mut to);
                    times = {
                        let mut state = self.state.lock().unwrap();
                        let named = state.named.entry(to.clone()).or_default();
                        *named += 1;
                        *named
                    };
                    match (behaviour(&to), times) {
                        ("refused", _) => self.say("550 5.1.1 nobody here")?,
                        ("mute", _) => {
                            self.say("550 5.1.1 nobody here")?;
                            thread::sleep(PATIENCE);
                            return Err(io::ErrorKind::TimedOut.into());
                        }
                        ("busy", 1) | ("always", _) => self.say("451 4.3.0 not now")?,
                        _ => self.say("250 ok")?,
                    }
                }
                "DATA" => self.data(&from, &to, times)?,
                "QUIT" => return self.say("221 bye"),
                "NOOP" | "RSET" => self.say("250 ok")?,
                _ => self.say("500 what?")?,
            }
        }
    }

    fn data(&mut self, from: &str, to: &str, times: usize) -> io::Result<()> {
        self.say("354 go on")?;
        let mut data = String::new();
        loop {
            let line = self.line()?;
            if line == ".\r\n" {
                break;
            }
            if behaviour(to) == "dropped" && times == 1 {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
        }
        match (behaviour(to), times) {
            ("stalled", 1) => {
                thread::sleep(PATIENCE);
                return Err(io::ErrorKind::TimedOut.into());
            }
            ("rude", _) => {
                let text = data.replace("=\r\n", "").replace("=3D", "=");
                let link = text.split_whitespace().find(|word| word.contains("itoken=")).unwrap().to_owned();
                return self.say(&format!("554 no such thing as {link}"));
            }
            ("late", 1) => return self.say("452 4.3.1 no room just now"),
            ("endless", 1) => {
                let megabyte = vec![b'2'; 1 << 20];
                for _ in 0..200 {
                    self.stream.write_all(&megabyte)?;
                }
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            ("slow", _) => thread::sleep(Duration::from_millis(100)),
            _ => {}
        }
        let taken = Taken { from: from.to_owned(), to: to.to_owned(), data };
        self.state.lock().unwrap().taken.push(taken);
        if behaviour(to) == "deaf" && times == 1 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.say("250 2.0.0 taken")?;
        if behaviour(to) == "leaving" { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

fn behaviour(address: &str) -> &str {
    address.split(['@', '-']).next().unwrap_or_default()
}
