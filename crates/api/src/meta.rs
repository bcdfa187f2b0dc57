//! What anybody may know about the server.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the server is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Meta {
    /// The version of the program.
    #[schema(examples("0.1.0"))]
    pub version: String,
    /// The version of this interface.
    #[schema(examples("v1"))]
    pub api: String,
}

/// How the server is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    #[schema(examples("ok"))]
    pub status: String,
    /// By how many seconds the machine's clock is behind the time that the server goes by, where it was set back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples(3600))]
    pub clock_behind_s: Option<u64>,
}
