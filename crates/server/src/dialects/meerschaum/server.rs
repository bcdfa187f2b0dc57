//! What a Meerschaum instance tells about itself.

use axum::response::Response;

use crate::http::body::json;

/// The version of Meerschaum whose protocol is spoken here.
const VERSION: &str = "4.1.7";

/// The version.
pub async fn version() -> Response {
    json(&VERSION)
}

/// Whether instances may be chained through this one: there is no instance behind it.
pub async fn chaining() -> Response {
    json(&false)
}
