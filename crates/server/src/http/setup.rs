//! Set-up: the token of the first start becomes the first operator.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::code::Code;
use keyholt_api::key::Key;
use keyholt_api::owner::User;
use keyholt_api::setup::{FirstOperatorKey, SetUp};
use keyholt_core::id::SYSTEM;

use super::body::Json;
use super::fail::{Answer, Fail};
use super::keys::revealed;
use super::place::From;
use super::{Door, show};

/// Where the set-up is; its body holds a credential.
pub(super) const PATH: &str = "/v1/setup";

/// Make the first operator
///
/// With the one-time token that the server prints until somebody used it. Of many attempts one wins, and then this is over.
#[utoipa::path(post, path = "/v1/setup", operation_id = "set_up", tag = "Set-up", request_body = SetUp,
    responses((status = 201, description = "The first operator, with a key that can do everything.", body = FirstOperatorKey)))]
pub async fn set_up(State(door): State<Door>, From(source): From, Json(body): Json<SetUp>) -> Answer<Response> {
    let who = body.read()?;
    let operator = door.keeper.set_up(body.token.expose(), who, source).await?;
    let names = show::Called(&door.keeper);
    let key = operator.issued.key;
    let secret = operator.issued.secret.ok_or_else(|| Fail::new(Code::Internal))?;
    let made = FirstOperatorKey {
        operator: User::show(&operator.user, &names),
        key: Key::show(&key, None, &names, door.keeper.now()),
        secret: revealed(secret),
    };
    let location = format!("/v1/projects/{SYSTEM}/users/{}", operator.user.id);
    Ok(show::made(&location, &made, operator.user.revision.number()))
}
