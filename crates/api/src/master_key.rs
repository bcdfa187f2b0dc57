//! What an operator may know about the master key.

use keyholt_core::id::{KeyId, ProjectId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What still hangs on an earlier master key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MasterKeyState {
    /// Whether the server is given the previous master key: what hangs on it works as long as it is.
    pub previous_known: bool,
    /// Whether rows are still being sealed with the new master key. Until that is over the server needs the previous one.
    pub sealing: bool,
    /// How many secrets of keys and sessions are recognised by an earlier master key alone. Each is renewed when it is shown.
    #[schema(examples(12))]
    pub secrets_left: u64,
    /// How many passwords are. Each is renewed when its user logs in.
    #[schema(examples(3))]
    pub passwords_left: u64,
    /// The keys and sessions of the first 1000 of those secrets.
    pub keys: Vec<HangingKey>,
}

/// A key or session that still hangs on an earlier master key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HangingKey {
    /// Its project.
    #[schema(value_type = Uuid)]
    pub project: ProjectId,
    /// Its id.
    #[schema(value_type = Uuid)]
    pub key: KeyId,
}
