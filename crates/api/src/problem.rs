//! Problems: every error as `application/problem+json` (RFC 9457) with a stable code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::code::Code;
use crate::fault::{Fault, Faults};

/// The media type of problems.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong. Decide by `code`; the texts are for people and may change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference", examples("/docs/errors#not_found"))]
    pub kind: String,
    /// What the code means, in a few words.
    #[schema(examples("Not found"))]
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, examples(404))]
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// The stable code.
    #[schema(examples("not_found"))]
    pub code: String,
    /// The request's id, as in `X-Request-Id`.
    pub request_id: String,
    /// What is wrong with the members of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 100)]
    pub errors: Vec<Fault>,
    /// The true number of keys, with `count_differs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub count: Option<u64>,
}

impl Problem {
    /// A problem of this code, with the catalogue's words.
    pub fn new(code: Code, request_id: impl Into<String>) -> Self {
        let entry = code.entry();
        Self {
            kind: format!("/docs/errors#{}", code.as_str()),
            title: entry.title.to_owned(),
            status: entry.status,
            detail: entry.meaning.to_owned(),
            code: code.as_str().to_owned(),
            request_id: request_id.into(),
            errors: Vec::new(),
            count: None,
        }
    }

    /// The problem with what went wrong this time.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..self
        }
    }

    /// The problem with all that is wrong with the request.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self {
            errors: faults.into_entries(),
            ..self
        }
    }
}
