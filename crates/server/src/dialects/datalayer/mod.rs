//! Datalayer's IAM tokens and API keys: its Python client of all eras, its command line, its web client.
//!
//! `…` is `/api/iam/v1`. Clients up to 1.1.24 say `…/tokens`, later ones `…/api-keys`; both mean the caller's own keys of
//! kind `standard`, whoever made them and wherever.
//!
//! | route | keeper call | answer |
//! |---|---|---|
//! | `POST …/login` with `token` | `authenticate` | `token` as it was shown, `user` |
//! | `POST …/login`, `…/authentication/login` with `handle` and `password` | `log_in`, `issue_key` with that session, `log_out` | `token`: a key that lasts as long as a log-in, `user` |
//! | `GET …/logout`, `…/authentication/logout` | `revoke_own_key`, where a log-in made the key | `success` |
//! | `GET …/whoami` | `owner`, or what the key itself tells | `profile` |
//! | `GET …/auth` | `authenticate` | 200 or 401, for reverse proxies |
//! | `GET …/memberships` | `owner` of each team that the caller manages | `memberships` |
//! | `GET …/tokens`, `…/api-keys` | `keys` of the caller, revoked ones left out | `tokens`, `apiKeys` and `api_keys` |
//! | `POST …/tokens`, `…/api-keys` | `issue_key` for the caller | the key with its value, in every form that a client reads |
//! | `GET …/{uid}` | `key` | `token`, `apiKey` and `api_key` |
//! | `PUT …/{uid}` | `amend_key` | the same |
//! | `DELETE …/{uid}` | `delete_key` | `success` |
//!
//! | Datalayer's word | Keyholt's |
//! |---|---|
//! | `uid` | the key's id |
//! | `name`, `description` | the same; from clients up to 1.2.18 the description is Base64 |
//! | `variant`, `type` | a note in the key's metadata; it decides nothing |
//! | `expiration_date` (s, 0 = never), `expirationDate` (ms) | the expiry; never: as long as policy and the caller's own key allow |
//! | what the key may do | what the caller's key may do |
//! | the value | a text of the form of a JWT around id and secret, see [`credential`] |
//!
//! Failures are `{"success": false, "message": "text"}` with the status of the native API.

mod credential;
mod keys;
mod people;
mod say;
mod wish;

use async_trait::async_trait;
use axum::response::Response;
use http::HeaderMap;
use http::request::Parts;
use keyholt_core::actor::{Actor, ReadKeys, Source, WriteKeys};
use zeroize::Zeroizing;

use super::{Desk, Dialect, Route};
use crate::http::fail::Answer;
use crate::http::{Fail, Needs, credential as header};

/// Datalayer.
#[derive(Clone, Copy, Debug)]
pub struct Datalayer;

/// Its name among the settings and in metadata.
const NAME: &str = "datalayer";

#[async_trait]
impl Dialect for Datalayer {
    fn name(&self) -> &'static str {
        NAME
    }

    #[rustfmt::skip]
    fn routes(&self) -> Vec<Route> {
        let (read, write) = (Needs::action::<ReadKeys>(), Needs::action::<WriteKeys>());
        vec![
            Route::new("login", ("POST", "/api/iam/v1/login"), Needs::AnyKey, None, people::login),
            Route::new("login_by_name", ("POST", "/api/iam/v1/authentication/login"), Needs::AnyKey, None, people::login),
            Route::new("logout", ("GET", "/api/iam/v1/logout"), Needs::AnyKey, None, people::logout),
            Route::new("logout_by_name", ("GET", "/api/iam/v1/authentication/logout"), Needs::AnyKey, None, people::logout),
            Route::new("whoami", ("GET", "/api/iam/v1/whoami"), Needs::AnyKey, None, people::whoami),
            Route::new("auth", ("GET", "/api/iam/v1/auth"), Needs::AnyKey, None, people::auth),
            Route::new("memberships", ("GET", "/api/iam/v1/memberships"), Needs::AnyKey, None, people::memberships),
            Route::new("list_tokens", ("GET", "/api/iam/v1/tokens"), read, None, keys::list),
            Route::new("create_token", ("POST", "/api/iam/v1/tokens"), write, Some("key.issue"), keys::create_token),
            Route::new("show_token", ("GET", "/api/iam/v1/tokens/{uid}"), read, None, keys::read),
            Route::new("update_token", ("PUT", "/api/iam/v1/tokens/{uid}"), write, Some("key.amend"), keys::amend),
            Route::new("delete_token", ("DELETE", "/api/iam/v1/tokens/{uid}"), write, Some("key.delete"), keys::delete),
            Route::new("list_api_keys", ("GET", "/api/iam/v1/api-keys"), read, None, keys::list),
            Route::new("create_api_key", ("POST", "/api/iam/v1/api-keys"), write, Some("key.issue"), keys::create_api_key),
            Route::new("show_api_key", ("GET", "/api/iam/v1/api-keys/{uid}"), read, None, keys::read),
            Route::new("update_api_key", ("PUT", "/api/iam/v1/api-keys/{uid}"), write, Some("key.amend"), keys::amend),
            Route::new("delete_api_key", ("DELETE", "/api/iam/v1/api-keys/{uid}"), write, Some("key.delete"), keys::delete),
        ]
    }

    fn say(&self, fail: &Fail) -> Response {
        say::say(fail)
    }

    fn presented(&self, headers: &HeaderMap) -> Answer<Zeroizing<String>> {
        let shown = header::presented(headers)?;
        Ok(Zeroizing::new(credential::secret_in(shown).to_owned()))
    }

    async fn recognise(&self, desk: &Desk, parts: &Parts, source: Source) -> Answer<Actor> {
        credential::recognise(desk, header::presented(&parts.headers)?, source)
    }
}
