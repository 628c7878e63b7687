//! What somebody sends, and what they get.

use std::net::SocketAddr;

use ak_stages::contract::API_PREFIX;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, header};
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt;

use super::contract;

/// The headers of a JSON body.
pub const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Somebody who talks to the server.
#[derive(Clone)]
pub struct Client {
    router: Router,
    authorization: Option<String>,
    peer: Option<SocketAddr>,
}

impl Client {
    /// Whoever holds this key, or nobody.
    pub fn new(router: Router, key: Option<&str>) -> Self {
        Self { router, authorization: key.map(|key| format!("Bearer {key}")), peer: None }
    }

    /// The same through a proxy on this machine, which is trusted.
    pub fn behind_a_proxy(mut self) -> Self {
        self.peer = Some(SocketAddr::from(([127, 0, 0, 1], 4711)));
        self
    }

    /// The same, with this `Authorization` header instead of a bearer key.
    pub fn with_authorization(mut self, header: &str) -> Self {
        self.authorization = Some(header.to_owned());
        self
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_json("POST", path, &body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send_json("PUT", path, &body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send_json("PATCH", path, &body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    pub async fn send_json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &JSON, body.to_string()).await
    }

    /// Any request. A path that doesn't say where it starts is one of the API. Whatever the answer, it has to be one
    /// that the OpenAPI document allows.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let absolute =
            path == "/" || [API_PREFIX, "/-/", "/static/"].iter().any(|start| path.starts_with(start));
        let path = if absolute { path.to_owned() } else { format!("{API_PREFIX}{path}") };
        let mut request = Request::builder().method(method).uri(&path);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(peer) = self.peer {
            request = request.extension(ConnectInfo(peer));
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer {
            request: format!("{method} {path}"),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        };
        contract::check(method, &path, &answer);
        answer
    }
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    request: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Fails unless the status is this one.
    #[track_caller]
    pub fn status(self, expected: u16) -> Self {
        assert_eq!(self.status, expected, "{self}");
        self
    }

    /// Fails unless status and body are these.
    #[track_caller]
    pub fn is(&self, status: u16, body: Value) {
        assert_eq!((self.status, self.json()), (status, body), "{self}");
    }

    /// The body, as deeply nested as it may be.
    #[track_caller]
    pub fn json(&self) -> Value {
        let mut deserializer = serde_json::Deserializer::from_slice(&self.body);
        deserializer.disable_recursion_limit();
        match Value::deserialize(&mut deserializer) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {self}"),
        }
    }

    /// A header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type, without its parameters.
    pub fn media_type(&self) -> &str {
        self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default()
    }

    /// The key of the object.
    #[track_caller]
    pub fn pk(&self) -> String {
        match &self.json()["pk"] {
            Value::String(pk) => pk.clone(),
            _ => panic!("no pk in {self}"),
        }
    }

    /// The rows of a list.
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        match self.json()["results"].take() {
            Value::Array(rows) => rows,
            _ => panic!("no list in {self}"),
        }
    }

    /// This key of every row of a list.
    #[track_caller]
    pub fn column(&self, key: &str) -> Vec<Value> {
        self.rows().into_iter().map(|mut row| row[key].take()).collect()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} → {} {}", self.request, self.status, body.chars().take(2000).collect::<String>())
    }
}
