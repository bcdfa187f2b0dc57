//! Meerschaum's tokens: its Python `Token`, its API connector and its command line.
//!
//! | route | keeper call | answer |
//! |---|---|---|
//! | `GET /version/mrsm` | – | the version whose protocol this is, as a JSON string |
//! | `GET /chaining` | – | `false` |
//!
//! Failures are FastAPI's: `{"detail": "text"}`, and 422 with a list of what is wrong where.

mod say;
mod server;

use async_trait::async_trait;
use axum::response::Response;

use super::{Dialect, Route};
use crate::http::{Fail, Needs};

/// Meerschaum.
#[derive(Clone, Copy, Debug)]
pub struct Meerschaum;

/// Its name among the settings and in metadata.
const NAME: &str = "meerschaum";

#[async_trait]
impl Dialect for Meerschaum {
    fn name(&self) -> &'static str {
        NAME
    }

    fn routes(&self) -> Vec<Route> {
        vec![
            Route::new(
                "version",
                ("GET", "/version/mrsm"),
                Needs::Nothing,
                None,
                server::version,
            ),
            Route::new("chaining", ("GET", "/chaining"), Needs::Nothing, None, server::chaining),
        ]
    }

    fn say(&self, fail: &Fail) -> Response {
        say::say(fail)
    }
}
