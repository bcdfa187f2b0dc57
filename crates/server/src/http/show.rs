//! Values of the keeper as answers.

use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use keyholt_api::key::Key;
use keyholt_api::reference::Names;
use keyholt_core::id::RoleId;
use keyholt_core::owner::Owner;
use serde::Serialize;

use super::body::json;
use super::condition::etag;
use crate::keeper::{Keeper, KeyView};

/// How the keeper's owners and roles are called.
pub struct Called<'a>(pub &'a Keeper);

impl Names for Called<'_> {
    fn owner(&self, owner: Owner) -> Option<String> {
        self.0.owner_handle(owner)
    }

    fn role(&self, role: RoleId) -> Option<String> {
        self.0.role_name(role)
    }
}

/// A key as it is shown now.
pub fn key(keeper: &Keeper, view: &KeyView) -> Key {
    let last_used_at = view.last_use.map(|last_use| last_use.last_at);
    Key::show(&view.key, last_used_at, &Called(keeper), keeper.now())
}

/// A record of this revision.
pub fn record(body: &impl Serialize, revision: u32) -> Response {
    let mut response = json(body);
    response.headers_mut().insert(ETAG, etag(revision));
    response
}

/// A record that was just made, and where it is.
pub fn made(location: &str, body: &impl Serialize, revision: u32) -> Response {
    let mut response = record(body, revision);
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Nothing left to show.
pub fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
