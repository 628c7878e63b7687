//! The API browser at `/api/v3/`: Swagger UI over our OpenAPI document. It is compiled in, needs no network, and is
//! open to everybody, as authentik's is; what it tries out takes a token.

use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::app::App;

/// A file of the page.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    /// How `bytes` are compressed. They are sent so to every client: each browser takes gzip.
    encoding: Option<&'static str>,
    bytes: &'static [u8],
}

static ASSETS: [Asset; 5] = [
    Asset {
        path: "/api/v3/",
        content_type: "text/html; charset=utf-8",
        encoding: None,
        bytes: include_bytes!("../../assets/browser/index.html"),
    },
    Asset {
        path: "/static/browser/init.js",
        content_type: "text/javascript; charset=utf-8",
        encoding: None,
        bytes: include_bytes!("../../assets/browser/init.js"),
    },
    Asset {
        path: "/static/browser/page.css",
        content_type: "text/css; charset=utf-8",
        encoding: None,
        bytes: include_bytes!("../../assets/browser/page.css"),
    },
    Asset {
        path: "/static/browser/swagger-ui-bundle.js",
        content_type: "text/javascript; charset=utf-8",
        encoding: Some("gzip"),
        bytes: include_bytes!("../../assets/swagger-ui/swagger-ui-bundle.js.gz"),
    },
    Asset {
        path: "/static/browser/swagger-ui.css",
        content_type: "text/css; charset=utf-8",
        encoding: Some("gzip"),
        bytes: include_bytes!("../../assets/swagger-ui/swagger-ui.css.gz"),
    },
];

/// Nothing from elsewhere, and nothing sent elsewhere: the page holds a token. Swagger UI's style sheet has its images
/// in itself, as `data:`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// One tag for all files: they change together, with the program.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in &ASSETS {
        hash.update(asset.bytes);
    }
    let start = hash.finalize().iter().take(8).fold(0_u64, |start, byte| start << 8 | u64::from(*byte));
    format!("W/\"{start:016x}\"")
});

/// The page and its files.
pub fn router() -> Router<App> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        router.route(asset.path, get(async |headers: HeaderMap| asset.answer(&headers)))
    })
}

impl Asset {
    fn answer(&self, request: &HeaderMap) -> Response {
        let known = request.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let mut response = if known.is_some_and(|tags| tags.contains(TAG.as_str())) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.bytes.into_response()
        };
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        set(header::CONTENT_TYPE, self.content_type);
        set(header::ETAG, &TAG);
        set(header::CACHE_CONTROL, "no-cache"); // keep it, and ask whether it is still right
        set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if let Some(encoding) = self.encoding {
            set(header::CONTENT_ENCODING, encoding);
        }
        response
    }
}
