//! The API browser at `/api/v3/`: Swagger UI over our OpenAPI document. It is compiled in, needs no network, and is
//! open to everybody, as authentik's is; what it tries out takes a token.

use axum::Router;

use super::assets::{self, Asset, CSS, HTML, JAVASCRIPT};
use crate::app::App;

const ASSETS: [Asset; 5] = [
    Asset::plain("/api/v3/", HTML, include_bytes!("../../assets/browser/index.html")),
    Asset::plain("/static/browser/init.js", JAVASCRIPT, include_bytes!("../../assets/browser/init.js")),
    Asset::plain("/static/browser/page.css", CSS, include_bytes!("../../assets/browser/page.css")),
    Asset::gzip(
        "/static/browser/swagger-ui-bundle.js",
        JAVASCRIPT,
        include_bytes!("../../assets/swagger-ui/swagger-ui-bundle.js.gz"),
    ),
    Asset::gzip(
        "/static/browser/swagger-ui.css",
        CSS,
        include_bytes!("../../assets/swagger-ui/swagger-ui.css.gz"),
    ),
];

/// Nothing from elsewhere, and nothing sent elsewhere: the page holds a token. Swagger UI's style sheet has its images
/// in itself, as `data:`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// The page and its files.
pub fn router() -> Router<App> {
    assets::router(ASSETS, CONTENT_SECURITY_POLICY)
}
