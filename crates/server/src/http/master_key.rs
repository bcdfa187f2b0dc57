//! The master key: what still hangs on the one before.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::master_key::{HangingKey, MasterKeyState};
use keyholt_core::bond::Sealing;

use super::Door;
use super::body::json;
use super::fail::Answer;
use super::place::Caller;
use crate::keeper::Known;

/// Read what still hangs on an earlier master key
///
/// For whoever replaced the master key and wants to know when the previous one can be taken away. It looks at every key and
/// password, so do not ask all the time.
#[utoipa::path(get, path = "/v1/master-key", operation_id = "show_master_key", tag = "Meta",
    responses((status = 200, description = "What is left.", body = MasterKeyState)))]
pub async fn read(State(door): State<Door>, Caller(actor): Caller) -> Answer<Response> {
    let hanging = door.keeper.hanging(&actor).await?;
    Ok(json(&MasterKeyState {
        previous_known: hanging.previous == Known::Yes,
        sealing: hanging.sealing == Sealing::UnderWay,
        secrets_left: hanging.digests,
        passwords_left: hanging.passwords,
        keys: hanging
            .keys
            .into_iter()
            .map(|(project, key)| HangingKey { project, key })
            .collect(),
    }))
}
