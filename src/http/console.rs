//! The console at `/`: a page for people that speaks the API with the token that they enter. It is compiled in as
//! `console/` builds it (`docs/CONSOLE.md`), and open to everybody: there is nothing in it.

use axum::Router;
use axum::body::Bytes;

use super::assets::{self, Asset, CSS, HTML, JAVASCRIPT};
use crate::app::App;
use crate::config::PublicUrl;

const PAGE: &str = include_str!("../../assets/console/index.html");
/// Where the page is told how links begin.
const PUBLIC_URL: &str = "{public-url}";

const FILES: [Asset; 3] = [
    Asset::plain("/static/console/console.js", JAVASCRIPT, include_bytes!("../../assets/console/console.js")),
    Asset::plain("/static/console/console.css", CSS, include_bytes!("../../assets/console/console.css")),
    Asset::plain(
        "/static/console/icon.svg",
        "image/svg+xml",
        include_bytes!("../../assets/console/icon.svg"),
    ),
];

/// Nothing but our files and our API. The page holds a token, so no text ever becomes a script or HTML.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// The page and its files. Where `public_url` is known, links of invitations begin with it.
pub fn router(public_url: Option<&PublicUrl>) -> Router<App> {
    let public_url = public_url.map_or(String::new(), |url| url.as_str().replace('&', "&amp;"));
    let page = Asset {
        path: "/",
        content_type: HTML,
        encoding: None,
        bytes: Bytes::from(PAGE.replace(PUBLIC_URL, &public_url)),
    };
    assets::router([page].into_iter().chain(FILES), CONTENT_SECURITY_POLICY)
}
