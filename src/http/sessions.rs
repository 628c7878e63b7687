//! What answers say where sessions are taken: that they go by cookies, and that a cookie is of no use.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::auth::SessionCookie;

/// What makes a browser forget the cookie: of a page without https, and of one with it.
const FORGOTTEN: [HeaderValue; 2] = [
    HeaderValue::from_static(
        "authentik_session=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax",
    ),
    HeaderValue::from_static(
        "authentik_session=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=None; Secure",
    ),
];

/// Give an answer these headers, as authentik's have them. `session` is the request's cookie.
pub fn mark(headers: &mut HeaderMap, session: Option<&SessionCookie>) {
    headers.append(header::VARY, HeaderValue::from_static("Accept-Language, Cookie"));
    if let Some(session) = session.filter(|session| session.is_void()) {
        let [plain, secure] = FORGOTTEN;
        headers.append(header::SET_COOKIE, if session.is_secure() { secure } else { plain });
    }
}
