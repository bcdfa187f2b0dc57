//! What a key may know about itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::key::Key;
use crate::project::ProjectName;
use crate::reference::OwnerName;

/// The presented key about itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// The key.
    pub key: Key,
    /// Whom it acts for.
    pub owner: OwnerName,
    /// What it may do now: its own scopes within what its owner may do.
    pub effective_scopes: Vec<String>,
    /// Its project.
    pub project: ProjectName,
}
