//! Meerschaum's tokens: its Python `Token`, its API connector and its command line.
//!
//! Its client knows only host and port, so it needs a listener of its own. A token is a key of kind `standard`.
//!
//! | route | keeper call | answer |
//! |---|---|---|
//! | `POST /login` with name and password | `log_in`, `mint_token` | an access token with its end |
//! | `POST /login` with id and secret of a token | `authenticate`, `mint_token` | the same |
//! | `POST /tokens/register` | `issue_key` for the caller | label, secret, id, API key, expiration |
//! | `GET /tokens`, `?labels=` | `keys` of the caller | a list of tokens, invalid ones too |
//! | `GET /tokens/{id}` | `key` | a token, with its last use |
//! | `POST /tokens/{id}/edit` | `amend_key`; `revoke_key` where `is_valid` is false | `[true, "Success"]` |
//! | `POST /tokens/{id}/invalidate` | `revoke_key` | `[true, "Success"]` |
//! | `DELETE /tokens/{id}` | `delete_key` | `[true, "Success"]` |
//! | `POST /tokens/validate` | `authenticate` | `[true, "Success"]` |
//! | `POST /tokens/import` | `import_keys` | not Meerschaum's own: see [`imported`] |
//! | `GET /users`, `/users/{name}/id` | `carries` `users:read`, then `owners`, `owner` | names, an id |
//! | `GET /users/me` | `authenticate` | the caller |
//! | `GET /version`, `/version/mrsm`, `/info` | – | the version whose protocol this is |
//! | `GET /chaining` | – | `false` |
//! | `GET /healthcheck` | `ready` | `success` |
//!
//! | Meerschaum's word | Keyholt's |
//! |---|---|
//! | client id, client secret | the key's id and its secret |
//! | API key | both in one text, see [`credential`] |
//! | label | name |
//! | user, user name, user id | owner, external id, id |
//! | expiration, null | expiry, never |
//! | scopes | scopes of the same names; `*` is all of them; an empty list is nothing |
//! | `is_valid` | whether nobody suspended or revoked it; invalidation is revocation |
//! | id and hash of an imported token | notes in the key's metadata |
//!
//! Failures are FastAPI's: `{"detail": "text"}`, and 422 with a list of what is wrong where. That an edit, invalidation or
//! deletion finds no token is told as `[false, "…"]` with 200.

mod credential;
mod imported;
mod login;
mod say;
mod scopes;
mod server;
mod times;
mod tokens;
mod users;

use async_trait::async_trait;
use axum::response::Response;
use http::HeaderMap;
use http::request::Parts;
use keyholt_core::actor::{Action, Actor, ReadKeys, Source, WriteKeys};
use zeroize::Zeroizing;

use super::{Desk, Dialect, Route};
use crate::http::fail::Answer;
use crate::http::{Fail, Needs};

/// Meerschaum.
#[derive(Clone, Copy, Debug)]
pub struct Meerschaum;

/// Its name among the settings and in metadata.
const NAME: &str = "meerschaum";
/// The scope of Meerschaum's that reading users needs.
const USERS_READ: &str = "users:read";

#[async_trait]
impl Dialect for Meerschaum {
    fn name(&self) -> &'static str {
        NAME
    }

    #[rustfmt::skip]
    fn routes(&self) -> Vec<Route> {
        let (read, write) = (Needs::action::<ReadKeys>(), Needs::action::<WriteKeys>());
        vec![
            Route::new("login", ("POST", "/login"), Needs::AnyKey, None, login::login),
            Route::new("register", ("POST", "/tokens/register"), write, Some("key.issue"), tokens::register),
            Route::new("list", ("GET", "/tokens"), read, None, tokens::list),
            Route::new("read", ("GET", "/tokens/{id}"), read, None, tokens::read),
            Route::new("edit", ("POST", "/tokens/{id}/edit"), write, Some("key.amend"), tokens::edit),
            Route::new("invalidate", ("POST", "/tokens/{id}/invalidate"), write, Some("key.revoke"), tokens::invalidate),
            Route::new("delete", ("DELETE", "/tokens/{id}"), write, Some("key.delete"), tokens::delete),
            Route::new("validate", ("POST", "/tokens/validate"), Needs::AnyKey, None, tokens::validate),
            Route::new("import", ("POST", "/tokens/import"), Needs::Scope(WriteKeys::SCOPE), Some("key.issue"), imported::import),
            Route::new("users", ("GET", "/users"), Needs::Scope(USERS_READ), None, users::list),
            Route::new("user_id", ("GET", "/users/{name}/id"), Needs::Scope(USERS_READ), None, users::id),
            Route::new("me", ("GET", "/users/me"), Needs::AnyKey, None, users::me),
            Route::new("version", ("GET", "/version"), Needs::Nothing, None, server::version),
            Route::new("mrsm_version", ("GET", "/version/mrsm"), Needs::Nothing, None, server::version),
            Route::new("info", ("GET", "/info"), Needs::Nothing, None, server::info),
            Route::new("chaining", ("GET", "/chaining"), Needs::Nothing, None, server::chaining),
            Route::new("healthcheck", ("GET", "/healthcheck"), Needs::Nothing, None, server::healthcheck),
        ]
    }

    fn say(&self, fail: &Fail) -> Response {
        say::say(fail)
    }

    fn presented(&self, headers: &HeaderMap) -> Answer<Zeroizing<String>> {
        credential::presented(headers).map(|shown| shown.secret)
    }

    async fn recognise(&self, desk: &Desk, parts: &Parts, source: Source) -> Answer<Actor> {
        credential::recognise(desk, &credential::presented(&parts.headers)?, source).await
    }
}
