//! Pages: how a list is asked for and where its next page starts.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The largest page.
pub const LIMIT_MAX: u64 = 1000;
/// The page of a question that does not say.
pub const LIMIT_DEFAULT: u64 = 100;
/// Most characters of a cursor.
pub const CURSOR_CHARS_MAX: usize = 200;

/// Which page of a list is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageRequest {
    /// How many entries, 1 to 1000; 100 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000, default = 100, nullable = false)]
    pub limit: Option<u64>,
    /// The `next_cursor` of the page before; left out for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 200, nullable = false)]
    pub cursor: Option<String>,
}
