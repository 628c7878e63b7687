//! Files of pages for people, compiled in: those of the API browser and of the console.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::app::App;

/// A file of a page.
pub struct Asset {
    /// Where it is.
    pub path: &'static str,
    /// What it is.
    pub content_type: &'static str,
    /// How `bytes` are compressed. They are sent so to every client: each browser takes gzip.
    pub encoding: Option<&'static str>,
    /// The file.
    pub bytes: Bytes,
}

/// `text/html`.
pub const HTML: &str = "text/html; charset=utf-8";
/// `text/javascript`.
pub const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// `text/css`.
pub const CSS: &str = "text/css; charset=utf-8";

impl Asset {
    /// A file that isn't compressed.
    pub const fn plain(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        Self { path, content_type, encoding: None, bytes: Bytes::from_static(bytes) }
    }

    /// A file that is.
    pub const fn gzip(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        Self { path, content_type, encoding: Some("gzip"), bytes: Bytes::from_static(bytes) }
    }

    fn answer(&self, page: &Page, request: &HeaderMap) -> Response {
        let known = request.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let mut response = if known.is_some_and(|tags| tags.contains(&page.tag)) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.bytes.clone().into_response()
        };
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        set(header::CONTENT_TYPE, self.content_type);
        set(header::ETAG, &page.tag);
        set(header::CACHE_CONTROL, "no-cache"); // keep it, and ask whether it is still right
        set(header::CONTENT_SECURITY_POLICY, page.content_security_policy);
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if let Some(encoding) = self.encoding {
            set(header::CONTENT_ENCODING, encoding);
        }
        response
    }
}

/// What the files of a page have in common.
struct Page {
    /// One tag for all files: they change together, with the program.
    tag: String,
    content_security_policy: &'static str,
}

/// A page and its files, with the policy that all are sent with.
pub fn router(assets: impl IntoIterator<Item = Asset>, content_security_policy: &'static str) -> Router<App> {
    let assets: Vec<Asset> = assets.into_iter().collect();
    let page = Arc::new(Page { tag: tag(&assets), content_security_policy });
    assets.into_iter().fold(Router::new(), |router, asset| {
        let (path, asset, page) = (asset.path, Arc::new(asset), Arc::clone(&page));
        let answer = move |headers: HeaderMap| {
            let response = asset.answer(&page, &headers);
            async { response }
        };
        router.route(path, get(answer))
    })
}

fn tag(assets: &[Asset]) -> String {
    let mut hash = Sha256::new();
    for asset in assets {
        hash.update(&asset.bytes);
    }
    let start = hash.finalize().iter().take(8).fold(0_u64, |start, byte| start << 8 | u64::from(*byte));
    format!("W/\"{start:016x}\"")
}
