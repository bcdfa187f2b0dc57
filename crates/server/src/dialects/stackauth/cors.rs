//! What lets pages of any origin use this dialect: nothing here goes by cookies, so an origin proves nothing.

use http::{HeaderMap, HeaderValue};

use crate::http::cors::Grant;

static GRANT: Grant = Grant::new(
    "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    SENT,
    "content-type, x-stack-actual-status, x-stack-known-error, x-hexclave-actual-status, x-hexclave-known-error, \
     x-request-id, retry-after",
    "86400",
);

/// What the clients send, by both families of names.
const SENT: &str = "content-type, authorization, baggage, sentry-trace, x-vercel-protection-bypass, \
    ngrok-skip-browser-warning, x-request-id, \
    x-stack-project-id, x-stack-branch-id, x-stack-access-type, x-stack-client-version, x-stack-publishable-client-key, \
    x-stack-secret-server-key, x-stack-super-secret-admin-key, x-stack-admin-access-token, x-stack-access-token, \
    x-stack-refresh-token, x-stack-allow-anonymous-user, x-stack-allow-restricted-user, x-stack-random-nonce, \
    x-stack-override-error-status, \
    x-hexclave-project-id, x-hexclave-branch-id, x-hexclave-access-type, x-hexclave-client-version, \
    x-hexclave-publishable-client-key, x-hexclave-secret-server-key, x-hexclave-super-secret-admin-key, \
    x-hexclave-admin-access-token, x-hexclave-access-token, x-hexclave-refresh-token, x-hexclave-allow-anonymous-user, \
    x-hexclave-allow-restricted-user, x-hexclave-random-nonce, x-hexclave-override-error-status";

/// Opens an answer to pages of any origin.
pub fn open(headers: &mut HeaderMap) {
    GRANT.open(headers, HeaderValue::from_static("*"));
}
