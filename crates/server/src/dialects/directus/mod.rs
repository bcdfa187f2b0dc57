//! Directus' users and static tokens: its SDK with `staticToken`, `withToken`, `authentication` and `rest`.
//!
//! | route | keeper call | answer |
//! |---|---|---|
//! | `GET /users`, `SEARCH /users` | `owners`, `keys` for `token` | the users that the question finds |
//! | `POST /users` | `enrol_owner`, `issue_key` for `token` | the new users |
//! | `PATCH /users`, `/users/{id}`, `/users/me` | `change_owner`, `issue_key`, `rotate_key`, `revoke_key`, `suspend_owner`, `set_password`, … | the users as they are now |
//! | `DELETE /users`, `/users/{id}` | `remove_owner` | nothing |
//! | `GET /users/{id}`, `/users/me` | `owner`, `keys` for `token` | the user |
//! | `GET /roles`, `/roles/{id}` | `roles`, `role` | roles |
//! | `GET /activity`, `/activity/{id}` | `events` | what happened |
//! | `POST /auth/login`, `/auth/refresh`, `/auth/logout` | `log_in`, `refresh`, `prolong_session`, `mint_token`, `log_out` | the session ([`auth`]) |
//! | `GET /utils/random/string` | `mint` | random characters |
//! | `GET /server/…`, `/auth` | `ready` | that somebody is there |
//!
//! A user is a user, `token` its one static key ([`token`]), `status` its standing, `role` and `policies` its roles
//! ([`person`]). Failures are `{"errors": [{"message", "extensions": {"code", …}}]}` ([`say`]).

mod activity;
mod answer;
mod auth;
mod body;
mod credential;
mod fields;
mod filter;
mod person;
mod query;
mod roles;
mod say;
mod server;
mod token;
mod users;
mod wish;

use async_trait::async_trait;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Uri};
use keyholt_core::actor::{Action, Actor, ReadAudit, ReadOwners, ReadProject, Source, WriteKeys, WriteOwners};
use zeroize::Zeroizing;

use self::credential::Shown;
use super::{Desk, Dialect, Route};
use crate::http::credential::{Misplaced, in_url_besides};
use crate::http::fail::Answer;
use crate::http::{Fail, Needs};

/// Directus.
#[derive(Clone, Copy, Debug)]
pub struct Directus;

/// Its name among the settings and in metadata.
const NAME: &str = "directus";

const ANYBODY: Needs = Needs::Nothing;
const WRITE_KEYS: Needs = Needs::action::<WriteKeys>();
const READ_OWNERS: Needs = Needs::action::<ReadOwners>();
const READ_ALL_OWNERS: Needs = Needs::Scope(ReadOwners::SCOPE);
const WRITE_OWNERS: Needs = Needs::action::<WriteOwners>();
const READ_PROJECT: Needs = Needs::action::<ReadProject>();
const READ_AUDIT: Needs = Needs::action::<ReadAudit>();

#[async_trait]
impl Dialect for Directus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn routes(&self) -> Vec<Route> {
        let mut routes = around();
        routes.extend(of_sessions());
        routes.extend(of_users());
        routes
    }

    fn say(&self, fail: &Fail) -> Response {
        say::say(fail)
    }

    async fn recognise(&self, desk: &Desk, parts: &Parts, source: Source) -> Answer<Actor> {
        match credential::shown(parts)? {
            Shown::Token(token) => Ok(desk.keeper.as_the_session(desk.authenticate(&token, source)?)),
            Shown::Cookie(_) => {
                let session = auth::in_cookies(parts, desk, credential::SESSION_COOKIE)?;
                desk.authenticate_session(&session.unwrap_or_default(), source)
            }
        }
    }

    fn shown(&self, uri: &Uri, headers: &HeaderMap) -> Vec<Zeroizing<String>> {
        credential::all(uri, headers)
    }

    /// `access_token` in the query is how Directus does it, so it is no accident here. No query is ever logged.
    fn in_url(&self, uri: &Uri) -> Option<Misplaced> {
        in_url_besides(uri, &[credential::PARAMETER])
    }
}

fn around() -> Vec<Route> {
    vec![
        Route::new("server_ping", ("GET", "/server/ping"), ANYBODY, None, server::ping),
        Route::new("server_info", ("GET", "/server/info"), ANYBODY, None, server::info),
        Route::new(
            "server_health",
            ("GET", "/server/health"),
            READ_PROJECT,
            None,
            server::health,
        ),
        Route::new(
            "random_string",
            ("GET", "/utils/random/string"),
            ANYBODY,
            None,
            server::random_string,
        ),
        Route::new("read_providers", ("GET", "/auth"), ANYBODY, None, server::providers),
        Route::new("read_roles", ("GET", "/roles"), READ_PROJECT, None, roles::list),
        Route::new("read_role", ("GET", "/roles/{id}"), READ_PROJECT, None, roles::read),
        Route::new(
            "read_activities",
            ("GET", "/activity"),
            READ_AUDIT,
            None,
            activity::list,
        ),
        Route::new(
            "read_activity",
            ("GET", "/activity/{id}"),
            READ_AUDIT,
            None,
            activity::read,
        ),
    ]
}

fn of_sessions() -> Vec<Route> {
    vec![
        Route::new(
            "login",
            ("POST", "/auth/login"),
            Needs::Password,
            Some("session.start"),
            auth::log_in,
        ),
        Route::new(
            "refresh",
            ("POST", "/auth/refresh"),
            Needs::Session,
            Some("session.refresh"),
            auth::refresh,
        ),
        Route::new(
            "logout",
            ("POST", "/auth/logout"),
            Needs::Session,
            Some("session.end"),
            auth::log_out,
        ),
    ]
}

fn of_users() -> Vec<Route> {
    vec![
        Route::new("read_users", ("GET", "/users"), READ_ALL_OWNERS, None, users::list),
        Route::new(
            "search_users",
            ("SEARCH", "/users"),
            READ_ALL_OWNERS,
            None,
            users::search,
        ),
        Route::new(
            "create_user",
            ("POST", "/users"),
            WRITE_OWNERS,
            Some("user.enrol"),
            users::create,
        ),
        Route::new(
            "update_users",
            ("PATCH", "/users"),
            WRITE_OWNERS,
            Some("user.change"),
            users::update_many,
        ),
        Route::new(
            "delete_users",
            ("DELETE", "/users"),
            WRITE_OWNERS,
            Some("user.remove"),
            users::delete_many,
        ),
        Route::new("read_me", ("GET", "/users/me"), Needs::AnyKey, None, users::read_me),
        Route::new(
            "update_me",
            ("PATCH", "/users/me"),
            WRITE_KEYS,
            Some("key.issue"),
            users::update_me,
        ),
        Route::new("read_user", ("GET", "/users/{id}"), READ_OWNERS, None, users::read),
        Route::new(
            "update_user",
            ("PATCH", "/users/{id}"),
            WRITE_OWNERS,
            Some("user.change"),
            users::update,
        ),
        Route::new(
            "delete_user",
            ("DELETE", "/users/{id}"),
            WRITE_OWNERS,
            Some("user.remove"),
            users::delete,
        ),
    ]
}
