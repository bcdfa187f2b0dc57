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
}
