//! A token endpoint of OAuth 2.0.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running one. It gives these tokens one after the other, the last one again and again, and each for so many seconds; it
/// refuses where it has none.
pub struct TokenEndpoint {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TokenEndpoint {
    /// Listen on a free port.
    pub fn start(tokens: &'static [&'static str], seconds: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let shared = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let body = body(&stream);
                let mut asked = shared.lock().unwrap();
                let token = tokens.get(asked.len()).or(tokens.last());
                asked.push(body);
                drop(asked);
                answer(stream, token, seconds);
            }
        });
        Self { address, asked }
    }

    /// What makes a server log in as `mailer` with tokens of this one.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AUTHENTIK_EMAIL__USERNAME", "mailer".to_owned()),
            ("AUTHENTIK_STAGES__EMAIL_OAUTH_TOKEN_URL", format!("http://{}/token?tenant=a", self.address)),
            ("AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_ID", "the client".to_owned()),
            ("AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_SECRET", "client&secret".to_owned()),
            ("AUTHENTIK_STAGES__EMAIL_OAUTH_SCOPE", "https://mail.example/.default".to_owned()),
        ]
    }

    /// The bodies of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn body(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if matches!(line.as_str(), "\r\n" | "") {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn answer(mut stream: TcpStream, token: Option<&&str>, seconds: u64) {
    let (status, body) = match token {
        Some(token) => ("200 OK", format!("{{\"access_token\":\"{token}\",\"expires_in\":{seconds}}}")),
        None => (
            "401 Unauthorized",
            "{\"error\":\"invalid_client\",\"error_description\":\"not client&secret\"}".to_owned(),
        ),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all((head + &body).as_bytes()).ok();
}
