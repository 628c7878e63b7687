//! Requests that nobody should send, made of the declarations: each of them is one that somebody could mean, with
//! something wrong with it more often than not.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use ak_stages::contract::{API_PREFIX, paths};
use ak_stages::resources;
use axum::http::Uri;
use drf::action::{Action, Method, RequestBody, Route};
use drf::field::{Field, FieldKind};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::super::properties::NASTY;
use crate::support::{Declared, registered};

/// Who asks: what they are called here, and their `Authorization`.
pub type Persona = (&'static str, Option<String>);

/// JSON that is none, or that is more than one bargains for.
const NASTY_JSON: &[&str] = &[
    "null",
    "true",
    "-0",
    "0.0",
    "1e308",
    "-1e308",
    "1e309",
    "1e-400",
    "NaN",
    "-Infinity",
    "0x10",
    "01",
    "+1",
    ".5",
    "1.",
    "2147483648",
    "-2147483649",
    "9223372036854775808",
    "18446744073709551616",
    "1e16",
    "0.1e1",
    "99999999999999999999999999999999999999999999",
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "{\"a\":{\"a\":1}}",
    "\"\"",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\\x\"",
    "\"\\u00\"",
    "\"\u{7f}\u{80}\"",
    "\"\t\"",
    "\"open",
    "'x'",
    "undefined",
    "/*x*/1",
    "[1,]",
    "{\"a\":1,\"a\":2}",
    "{\"\":1}",
    "{\"__proto__\":{}}",
    "{1:2}",
    "tru",
    "\u{feff}1",
    "1 2",
    "]",
    "}",
    "\"\\ud800\\u0000\"",
];

/// Segments that are no key, percent-encoded.
const NASTY_KEYS: &[&str] = &[
    "",
    ".",
    "..",
    "%2e%2e",
    "%2F",
    "a%2Fb",
    "a.b",
    "%00",
    "a%00b",
    "%ff",
    "%F0%9F%98%80",
    "%",
    "%zz",
    "%e2%80%ae",
    "0",
    "-1",
    "+1",
    "1_0",
    "1e3",
    "2147483647",
    "2147483648",
    "99999999999999999999999999999999999999999",
    "%D9%A3",
    "%20",
    "%0d%0a",
    "null",
    "*",
    "{key}",
    "%7Bkey%7D",
    ";x=1",
    "a;b",
    "a&b",
    "a=b",
    "0a0b0c0d-1111-4222-8333-0000abcdef01",
    "0A0B0C0D1111422283330000ABCDEF01",
    "%7B0a0b0c0d-1111-4222-8333-0000abcdef01%7D",
    "urn:uuid:0a0b0c0d-1111-4222-8333-0000abcdef01",
    "00000000-0000-0000-0000-000000000000",
    "'%20OR%201=1--",
    "$1",
    "types",
    "templates",
    "me",
    "used_by",
    "view_key",
    "add_user",
];

const CONTENT_TYPES: &[&str] = &[
    "application/json; charset=utf-16",
    "application/json;charset=\"",
    "APPLICATION/JSON",
    "application/json, text/plain",
    "",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "text/json",
    "*/*",
    "json",
    "application/json\t;",
    "application/merge-patch+json",
    "text/html; charset=\u{ff}",
    ";",
    "application/json; charset=nonsense",
];

const ACCEPTS: &[&str] = &[
    "*/*",
    "text/html",
    "application/json; q=0",
    "application/json;indent=99999999999",
    "application/*",
    "",
    ",,,",
    ";",
    "text/*, */*;q=0.1",
    "application/json; version=9",
    "a",
    "*",
    "application/xml",
    "application/yaml",
    "\u{ff}",
    "application/json; indent=-1",
];

const METHODS: &[&str] = &[
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "PO-ST", "QUERY",
    "PURGE", "_", "M-SEARCH",
];

/// Headers that a request may have, whatever they say.
const HEADERS: &[&str] = &[
    "Cookie: a=b; =; ;;; authentik_session=%00; authentik_csrf=\"",
    "X-Forwarded-For: 1.2.3.4, ::1, \u{ff}",
    "X-Forwarded-For: ,,,,",
    "X-Forwarded-Host: a, b",
    "X-HTTP-Method-Override: DELETE",
    "X-Method-Override: PATCH",
    "If-None-Match: *",
    "If-Match: \"x\"",
    "If-Modified-Since: Thu, 99 Nov 2026 99:99:99 GMT",
    "Range: bytes=0-,5-1,-99999999999999",
    "Accept-Encoding: gzip;q=9, \u{ff}",
    "Accept-Encoding: gzip",
    "Accept-Language: *;q=x",
    "Accept-Charset: utf-7",
    "Content-Encoding: gzip",
    "Content-Language: \u{e4}",
    "Expect: 100-continue",
    "Expect: something",
    "Upgrade: h2c",
    "Connection: keep-alive, x",
    "Connection: close",
    "TE: trailers",
    "Traceparent: 00-00000000000000000000000000000000-0000000000000000-ff",
    "Traceparent: \u{ff}",
    "Origin: null",
    "Referer: http://[::1",
    "Authorization: Basic dTpw",
    "Authorization: Bearer \u{ff}",
    "Host: [::1",
    "Host: a b",
    "Forwarded: for=\"",
    "X-Authentik-Id: 1",
    "X-Request-Id: \t",
    "User-Agent: ",
    "Content-Md5: x",
    "Trailer: Content-Length",
    "Via: 1.1 a, 1.1 a",
];

/// What is wrong with a head, so that no one can tell where the request ends, or so that there is none.
const BROKEN_HEADERS: &[&str] = &[
    "Content-Length: -1",
    "Content-Length: abc",
    "Content-Length: +5",
    "Content-Length: 5, 6",
    "Content-Length: 99999999999999999999999",
    "Content-Length: 1\r\nContent-Length: 2",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: x",
    "Transfer-Encoding: chunked\r\nContent-Length: 3",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "No colon",
    "Na me: x",
    "Name : x",
    ": x",
    "\u{e4}: x",
    "X: a\0b",
    "X: a\rb",
    " folded: x",
    "X: a\r\n folded",
    "Host: a\r\nHost: b",
];

/// Bodies in chunks that are none.
const BROKEN_CHUNKS: &[&str] = &[
    "zz\r\n{}\r\n0\r\n\r\n",
    "-2\r\n{}\r\n0\r\n\r\n",
    "2\r\n{}0\r\n\r\n",
    "FFFFFFFFFFFFFFFFF\r\n{}\r\n",
    "7fffffffffffffff\r\n{}\r\n",
    "5\r\n{}",
    "2\r\n{}\r\n",
    "2\r\n{}\r\n0\r\nX",
    "\r\n",
    "2\n{}\n0\n\n",
    "2;x=\"\r\n{}\r\n0\r\n\r\n",
    "0x2\r\n{}\r\n0\r\n\r\n",
    "2 \r\n{}\r\n0\r\n\r\n",
    "2\r\n{}\r\n0\r\nno colon\r\n\r\n",
    "",
];

/// What is no request at all.
const NO_REQUESTS: &[&str] = &[
    "\r\n\r\n",
    "\0\0\0\0",
    "GET\r\n\r\n",
    "GET /\r\n\r\n",
    "GET / HTTP/3.0\r\n\r\n",
    "GET  / HTTP/1.1\r\n\r\n",
    "/ GET HTTP/1.1\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}",
    "CONNECT a:80 HTTP/1.1\r\n\r\n",
    "GET http:// HTTP/1.1\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /\u{ff} HTTP/1.1\r\n\r\n",
    "GET /%\0 HTTP/1.1\r\n\r\n",
    "GET /a b HTTP/1.1\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
    "GET /api/v3/core/users/me/ HTTP/1.1\nHost: a\n\n",
    "GET ?x HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\n",
    "G",
];

/// A request, and what is known of it.
pub struct Request {
    pub method: String,
    pub bytes: Vec<u8>,
    pub persona: &'static str,
    /// It has a head and an end that every server sees alike: it gets its answer from the router, and the connection stays.
    pub is_whole: bool,
    /// Where the object will be listed that it makes, if it makes one.
    pub makes: Option<&'static str>,
    /// Whether its path is one that is served.
    pub is_served: bool,
}

/// The objects that requests name.
#[derive(Default)]
pub struct Known {
    /// Where they stand, by the path of their resource.
    places: HashMap<&'static str, Vec<String>>,
    /// Their keys, by the table of their rows.
    keys: HashMap<&'static str, Vec<Value>>,
}

impl Known {
    /// There is this object.
    pub fn add(&mut self, resource: &Declared, row: &Value) {
        // Stages are named by the keys of their base.
        let base = resource.table.parent.filter(|_| resource.path.starts_with("/stages/"));
        let table = base.map_or(resource.table.name, |parent| parent.name);
        remember(self.places.entry(resource.path).or_default(), resource.path_of(row));
        remember(self.keys.entry(table).or_default(), row["pk"].clone());
    }
}

/// Add it to a list of not too many.
fn remember<T>(list: &mut Vec<T>, new: T) {
    if list.len() > 60 {
        list.remove(10);
    }
    list.push(new);
}

/// Makes requests.
pub struct Generator {
    chance: StdRng,
    known: Arc<Mutex<Known>>,
    people: Vec<Persona>,
    /// What the superuser leaves alone: whoever asks would be somebody else, or nobody, afterwards.
    spared: Arc<HashSet<String>>,
    resources: Vec<Declared>,
    /// Resource and action.
    actions: Vec<(usize, Action)>,
    /// Paths without a resource, and some that aren't served.
    others: Vec<(String, bool)>,
}

impl Generator {
    pub fn new(
        seed: u64,
        known: Arc<Mutex<Known>>,
        people: Vec<Persona>,
        spared: Arc<HashSet<String>>,
    ) -> Self {
        let resources = registered();
        let all = resources.iter().enumerate();
        let actions =
            all.flat_map(|(at, resource)| resource.actions.iter().map(move |action| (at, *action))).collect();
        let served =
            resources::endpoints().into_iter().map(|endpoint| format!("{API_PREFIX}{}", endpoint.path));
        let beside = [
            "/",
            "/api/v3/",
            "/api/v3",
            "/api/v3//stages/email/",
            "/-/health/ready/",
            "/static/browser/page.css",
        ];
        let others = served
            .filter(|path| !path.contains('{'))
            .chain(beside.map(str::to_owned))
            .map(|path| (path, true));
        let not_served = paths::templates().map(|path| (format!("{API_PREFIX}{path}"), false));
        let others = others.chain(not_served).collect();
        Self { chance: StdRng::seed_from_u64(seed), known, people, spared, resources, actions, others }
    }

    fn percent(&mut self, chance: u32) -> bool {
        self.chance.random_range(0..100) < chance
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        *all.choose(&mut self.chance).unwrap()
    }

    /// The next request.
    pub fn request(&mut self) -> Request {
        let (persona, authorization) = if self.percent(50) {
            self.people[0].clone()
        } else {
            self.people.choose(&mut self.chance).unwrap().clone()
        };
        if self.percent(2) {
            let bytes = latin(self.pick(NO_REQUESTS));
            return Request {
                method: String::from("GET"),
                bytes,
                persona,
                is_whole: false,
                makes: None,
                is_served: true,
            };
        }
        let (at, action) = self.pick(&self.actions.clone());
        let other = self.percent(6).then(|| self.others.choose(&mut self.chance).unwrap().clone());
        let method = if self.percent(85) { action.method.name() } else { self.pick(METHODS) };
        let (mut target, is_served) = match &other {
            Some((path, is_served)) => (path.replace("{key}", "x"), *is_served),
            None => (format!("{API_PREFIX}{}", self.place(at, &action, persona, method)), true),
        };
        let makes = other.is_none() && method == "POST" && action.route == Route::LIST;
        let mut is_whole = true;
        if self.percent(4) {
            target = self.bent(&target);
        }
        if self.percent(if method == "GET" { 70 } else { 10 }) {
            target = format!("{target}?{}", self.query(at));
        }
        let body = self.body(at, &action);
        let body = if method == "GET" && self.percent(90) { Vec::new() } else { body };

        let version = if self.percent(3) { "1.0" } else { "1.1" };
        let mut head = latin(&format!("{method} {target} HTTP/{version}\r\nHost: localhost\r\n"));
        let mut add = |line: &str| head.extend([latin(line), b"\r\n".to_vec()].concat());
        if let Some(authorization) = authorization {
            add(&format!("Authorization: {authorization}"));
        }
        match () {
            () if body.is_empty() && self.percent(90) => {}
            () if self.percent(92) => add("Content-Type: application/json"),
            () if self.percent(80) => add(&format!("Content-Type: {}", self.pick(CONTENT_TYPES))),
            () => {}
        }
        if self.percent(8) {
            add(&format!("Accept: {}", self.pick(ACCEPTS)));
        }
        for _ in 0..if self.percent(15) { self.chance.random_range(1..4) } else { 0 } {
            add(self.pick(HEADERS));
        }
        if self.percent(1) {
            let (count, length) = self.pick(&[(1, 5000), (60, 10), (1, 100_000), (150, 1), (1, 600_000)]);
            is_whole = count * length < 10_000 && count < 90;
            (0..count).for_each(|n| add(&format!("X-{n}: {}", "x".repeat(length))));
        }
        let framing = self.chance.random_range(0..100);
        let body = match framing {
            0..4 => {
                is_whole = false;
                add(self.pick(BROKEN_HEADERS));
                body
            }
            4..7 => {
                is_whole = false;
                add("Transfer-Encoding: chunked");
                latin(self.pick(BROKEN_CHUNKS))
            }
            7..9 => {
                is_whole = false;
                add(&format!("Content-Length: {}", body.len() + self.pick(&[1, 1000, 3_000_000, 1 << 40])));
                body
            }
            9..16 if version == "1.1" => {
                add("Transfer-Encoding: chunked");
                self.chunked(&body)
            }
            _ if body.is_empty() && self.percent(90) => body,
            _ => {
                add(&format!("Content-Length: {}", body.len()));
                body
            }
        };
        head.extend(b"\r\n");
        head.extend(body);
        // Hyper refuses a target that can't be one before the router sees it.
        let is_target = Uri::try_from(&latin(&target)[..]).is_ok();
        is_whole &=
            is_target && target.len() < 60_000 && !target.contains(|c: char| c.is_control() || c == ' ');
        let makes = makes.then(|| self.resources[at].path);
        Request { method: method.to_owned(), bytes: head, persona, is_whole, makes, is_served }
    }

    /// Where an action stands: of an object that is there, of one of another kind, or of none.
    fn place(&mut self, at: usize, action: &Action, persona: &str, method: &str) -> String {
        let path = self.resources[at].path;
        if !action.route.detail {
            return action.route.path(path, "");
        }
        let known = Arc::clone(&self.known);
        let known = known.lock().unwrap();
        let own = known.places.get(path).and_then(|places| places.choose(&mut self.chance).cloned());
        let object = match self.chance.random_range(0..100) {
            0..70 => own.unwrap_or_else(|| format!("{path}x/")),
            70..78 => {
                let of = self.pick(&known.places.keys().copied().collect::<Vec<_>>());
                let other = known.places[of].choose(&mut self.chance).unwrap();
                format!("{path}{}/", other.trim_end_matches('/').rsplit('/').next().unwrap_or_default())
            }
            78..82 => format!("{path}{}/", self.chance.random_range(0..60)),
            82..83 => format!("{path}{}/", "x".repeat(self.chance.random_range(100..8000))),
            _ => format!("{path}{}/", self.pick(NASTY_KEYS)),
        };
        // A superuser who does this to themselves is none afterwards.
        let key = object.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let is_spared = self.spared.contains(key) && persona == "superuser" && method != "GET";
        let object = if is_spared { format!("{path}0/") } else { object };
        Route { detail: false, ..action.route }.path(&object, "")
    }

    /// The same path, spelled in another way.
    fn bent(&mut self, target: &str) -> String {
        match self.chance.random_range(0..9) {
            0 => target.trim_end_matches('/').to_owned(),
            1 => target.replace('/', "//"),
            2 => target.replace("/api/", "/api/./"),
            3 => target.replacen("/v3/", "/v3/../v3/", 1),
            4 => target.replace('e', "%65"),
            5 => format!("http://elsewhere:99{target}"),
            6 => format!("{target}#fragment"),
            7 => target.to_uppercase(),
            _ => format!("{target}\u{e4}\u{ff}"),
        }
    }

    fn query(&mut self, at: usize) -> String {
        let resource = &self.resources[at];
        let mut names: Vec<_> = resource.fields.iter().map(|field| field.name).collect();
        names.extend(resource.filters.iter().map(|filter| filter.name));
        names.extend(resource.includes.iter().map(|(name, _)| *name));
        names.extend(["page", "page_size", "ordering", "search", "format", "attributes", "nothing", "lang"]);
        let mut parameters = Vec::new();
        for _ in 0..self.chance.random_range(1..5) {
            let name = self.pick(&names);
            let value = match self.chance.random_range(0..8) {
                0 => self.pick(NASTY).to_owned(),
                1 => self.pick(NASTY_JSON).to_owned(),
                2 => self.pick(&["1", "0", "true", "last", "name", "-name", "json", "20", "100"]).to_owned(),
                3 => self.pick(NASTY_KEYS).to_owned(),
                4 => self
                    .pick(&["x y z", "%", "_", "a,b", "\"a b\"", "e"])
                    .repeat(self.chance.random_range(1..40)),
                5 => self.known_key(None).to_string(),
                6 => {
                    let lookup = self.pick(&[
                        "",
                        "__gte",
                        "__regex",
                        "__in",
                        "__has_key",
                        "__isnull",
                        "__range",
                        "__0",
                        "__contains",
                    ]);
                    format!(
                        "{{\"{}{lookup}\":{}}}",
                        self.pick(&["n", "a__b", "0", ""]),
                        self.pick(NASTY_JSON)
                    )
                }
                _ => self.pick(names.as_slice()).to_owned(),
            };
            let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            parameters.push(match self.chance.random_range(0..12) {
                0 => format!("{name}={value}"),
                1 => name.to_owned(),
                2 => format!("{name}={encoded}&{name}="),
                3 => format!("{name}=%{encoded}"),
                _ => format!("{name}={encoded}"),
            });
        }
        parameters.join("&")
    }

    /// The key of a row of this table, or of any.
    fn known_key(&mut self, table: Option<&str>) -> Value {
        let known = Arc::clone(&self.known);
        let known = known.lock().unwrap();
        let all = known.keys.iter().filter(|(name, _)| table.is_none_or(|table| table == **name));
        let all: Vec<_> = all.flat_map(|(_, keys)| keys).collect();
        all.choose(&mut self.chance).map_or(Value::Null, |key| (*key).clone())
    }

    fn body(&mut self, at: usize, action: &Action) -> Vec<u8> {
        let resource = &self.resources[at];
        let (fields, in_part): (Vec<&Field>, _) = match action.body {
            RequestBody::None => {
                return if self.percent(90) { Vec::new() } else { latin(self.pick(NASTY_JSON)) };
            }
            RequestBody::Resource(_) => (resource.writable().collect(), action.method == Method::Patch),
            RequestBody::Fields { fields, .. } | RequestBody::Unchecked { fields, .. } => {
                (fields.iter().collect(), false)
            }
        };
        match self.chance.random_range(0..1000) {
            0..40 => return latin(self.pick(NASTY_JSON)),
            40..44 => return self.deep(),
            44..46 => return format!("{{\"name\":\"{}\"}}", "x".repeat(3_000_000)).into_bytes(),
            46..56 => return vec![self.chance.random(); self.chance.random_range(1..300)],
            56..60 => return (0..2000).map(|_| self.chance.random::<u8>()).collect(),
            _ => {}
        }
        let mut entries = Vec::new();
        for field in fields {
            if self.percent(if field.required && !in_part { 97 } else { 25 }) {
                let nasty = self.percent(12);
                let value = if nasty { self.nasty() } else { self.value(field).to_string().into_bytes() };
                entries.push((field.name.as_bytes().to_vec(), value));
            }
        }
        if self.percent(5) {
            let name = self.pick(&[
                "",
                "pk",
                "\\u0000",
                "__proto__",
                "managed",
                "is_superuser",
                "password",
                "\\ud800",
            ]);
            entries.push((name.into(), self.nasty()));
        }
        if self.percent(5) && !entries.is_empty() {
            let (name, _) = entries.choose(&mut self.chance).unwrap().clone();
            entries.push((name, self.nasty()));
        }
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(name, value)| [b"\"", &name[..], b"\":", &value[..]].concat())
            .collect();
        let mut body = [b"{", &entries.join(&b","[..])[..], b"}"].concat();
        match self.chance.random_range(0..60) {
            0 => body.truncate(body.len() / 2),
            1 => body.extend(b"{}"),
            2 => body.insert(body.len() / 2, self.chance.random()),
            3 => body.splice(..0, *b"\xef\xbb\xbf").for_each(drop),
            4 => body = [b"[", &body[..], b"]"].concat(),
            _ => {}
        }
        body
    }

    /// A value that the field takes, as far as that can be said without asking.
    fn value(&mut self, field: &Field) -> Value {
        let n: u32 = self.chance.random_range(0..1_000_000);
        match (field.name, field.kind) {
            ("token_expiry" | "recovery_cache_timeout", _) => json!(format!("hours={}", n % 99)),
            ("template", _) => json!("email/email_otp.html"),
            ("intent", _) => json!(self.pick(&["api", "app_password"])),
            ("path", _) => json!(format!("users/{n}")),
            ("pk", _) => self.known_key(Some("authentik_core_user")),
            (_, FieldKind::ForeignKey(_)) if field.nullable && self.percent(30) => Value::Null,
            (_, FieldKind::ForeignKey(target)) => self.known_key(Some(target.table)),
            (_, FieldKind::Many(target, _)) => {
                (0..self.chance.random_range(0..4)).map(|_| self.known_key(Some(target.table))).collect()
            }
            (_, FieldKind::Nested { .. }) => {
                let entry = |slug| json!({ "name": "A flow", "slug": slug, "title": "Welcome", "designation": "enrollment" });
                (0..self.chance.random_range(0..3))
                    .map(|_| entry(format!("flow-{}", self.chance.random_range(0..30))))
                    .collect()
            }
            (_, FieldKind::Boolean) => json!(n.is_multiple_of(2)),
            (_, FieldKind::Integer { .. }) => json!(n),
            (_, FieldKind::Choice(choices)) => json!(self.pick(choices.values).0),
            (_, FieldKind::DateTime) => json!(format!("20{}-01-02T03:04:05Z", 27 + n % 70)),
            (_, FieldKind::Dictionary) => json!({ "a": n, "b": [n, "x"] }),
            (_, FieldKind::Texts) => {
                json!([format!("authentik_core.{}", self.pick(&["view_group", "add_x", "y"]))])
            }
            (_, FieldKind::List) => json!([format!("person{n}@example.org")]),
            (_, FieldKind::Email) => json!(format!("person{n}@example.org")),
            (_, FieldKind::Slug) => json!(format!("slug-{n}")),
            _ => json!(format!("{} {n}", field.name)),
        }
    }

    fn nasty(&mut self) -> Vec<u8> {
        match self.chance.random_range(0..100) {
            0..40 => latin(self.pick(NASTY_JSON)),
            40..75 => json!(self.pick(NASTY)).to_string().into_bytes(),
            75..80 => json!("x".repeat(self.chance.random_range(100..20_000))).to_string().into_bytes(),
            80..82 => json!(vec![Value::Null; 3000]).to_string().into_bytes(),
            82..85 => json!((0..2000).collect::<Vec<_>>()).to_string().into_bytes(),
            85..90 => self.deep(),
            90..94 => json!(char::from_u32(self.chance.random_range(0..0xd800))).to_string().into_bytes(),
            94..96 => b"\"\xff\xfe\"".to_vec(),
            96..97 => b"\"\xed\xa0\x80\"".to_vec(),
            _ => self.known_key(None).to_string().into_bytes(),
        }
    }

    /// Something nested.
    fn deep(&mut self) -> Vec<u8> {
        let levels = self.pick(&[10, 127, 128, 1000, 1022, 1023, 1024, 1025, 20_000]);
        let (open, close) =
            self.pick(&[("[", "]"), ("{\"a\":", "}"), ("[", ""), ("", "]"), ("[1,{\"a\":", "}]")]);
        format!("{}1{}", open.repeat(levels), close.repeat(levels)).into_bytes()
    }

    fn chunked(&mut self, body: &[u8]) -> Vec<u8> {
        let mut chunks = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(self.chance.random_range(1..=rest.len().min(5000)));
            let extension = self.pick(&["", "", ";x=y", ";x=\"y\"", ";x"]);
            chunks.extend(format!("{:x}{extension}\r\n", chunk.len()).into_bytes());
            chunks.extend([chunk, b"\r\n"].concat());
            rest = behind;
        }
        let trailer = self.pick(&[
            "",
            "",
            "X-Trailer: x\r\n",
            "Content-Length: 9\r\n",
            "Authorization: Bearer admin\r\n",
        ]);
        chunks.extend(format!("0\r\n{trailer}\r\n").into_bytes());
        chunks
    }
}

/// The text byte by byte where it can be: U+00FF is the byte 255, which is no UTF-8.
fn latin(text: &str) -> Vec<u8> {
    let single = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>();
    single.unwrap_or_else(|| text.as_bytes().to_vec())
}
