//! Stack Auth's API of user and team keys: what `@stackframe/js` and `@stackframe/react` 2.8 send to their server.
//!
//! | in Stack Auth | in Keyholt |
//! |---|---|
//! | project | the project that the dialect is bound to |
//! | secret server key, super secret admin key | a key of the project, as a rule of a service; what it may do, its scopes say |
//! | publishable client key | a key of kind `publishable`; it opens nothing |
//! | user, team | user, team; what Keyholt has no word for is kept in the metadata as this dialect's notes |
//! | an id from Stack Auth | a user or team whose external id is `stackauth:<id>` goes by that id here |
//! | permission `$manage_api_keys` in a team | the member's right `manage_keys` |
//! | user API key, team API key | a key of that owner, for all that the owner may do in the product and nothing of Keyholt |
//! | `description` | the key's name; the whole text as its description where it is longer than a name |
//! | `isPublic` | kind `publishable` with no scope: it tells whose it is |
//! | `manuallyRevokedAt` | when it was revoked, or since when it is suspended |
//! | refresh token | the secret of a session; it stays the same, is looked up and judged each time |
//! | access token | Keyholt's, with the claims beside that the clients read |
//! | check of a key | `verify`: the judge decides here as everywhere |
//! | switches for user and team keys | the policy's `owners` |
//! | a set of project keys | keys of the service that the super secret admin key is of ([`project_keys`]) |
//! | a session that the server starts for a user | a session of the user, made with the server's key |
//!
//! All is below `/api/v1` or `/api/latest`. Failures are known errors with a header that says so, or plain text.

mod complaint;
mod cors;
mod keys;
mod payments;
mod people;
mod project;
mod project_keys;
mod sessions;
mod shape;
mod teams;
mod visitor;

use async_trait::async_trait;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, Uri};
use keyholt_core::actor::{
    ReadKeys, ReadOwners, ReadProject, Verify, WriteKeys, WriteOwners, WriteProject, WriteSessions,
};
use zeroize::Zeroizing;

use self::keys::Side;
use self::teams::Place;
use self::visitor::Visitor;
use super::caller::From;
use super::reading::{Body, Pairs, Words};
use super::{Desk, Dialect, Route};
use crate::http::{Fail, Needs};

/// Stack Auth.
#[derive(Clone, Copy, Debug)]
pub struct StackAuth;

/// Its name among the settings and in metadata.
const NAME: &str = "stackauth";

/// One route under both of its names: the clients say `v1`, and people who write requests themselves also `latest`.
macro_rules! routes {
    ($($id:literal $method:ident $path:literal $needs:expr, $audit:expr, $handler:expr;)*) => {
        vec![$(
            Route::new($id, (stringify!($method), concat!("/api/v1", $path)), $needs, $audit, $handler),
            Route::new(
                concat!($id, "_latest"),
                (stringify!($method), concat!("/api/latest", $path)),
                $needs,
                $audit,
                $handler,
            ),
        )*]
    };
}

/// The pairs of a query.
fn pairs(RawQuery(query): RawQuery) -> Pairs {
    Pairs::read(query.as_deref().unwrap_or_default())
}

type Desked = State<Desk>;
type One = Words<1>;
type Two = Words<2>;
type Three = Words<3>;

#[async_trait]
impl Dialect for StackAuth {
    fn name(&self) -> &'static str {
        NAME
    }

    #[rustfmt::skip]
    fn routes(&self) -> Vec<Route> {
        use Side::{Team, User};
        const READ: Needs = Needs::action::<ReadKeys>();
        const WRITE: Needs = Needs::action::<WriteKeys>();
        const LEND: Needs = Needs::action::<WriteSessions>();
        const VERIFY: Needs = Needs::action::<Verify>();
        const READ_OWNER: Needs = Needs::action::<ReadOwners>();
        const READ_OWNERS: Needs = Needs::Scope(<ReadOwners as keyholt_core::actor::Action>::SCOPE);
        const LABEL: Needs = Needs::action::<keyholt_core::actor::Relabel>();
        const WRITE_OWNERS: Needs = Needs::action::<WriteOwners>();
        const READ_PROJECT: Needs = Needs::action::<ReadProject>();
        const WRITE_PROJECT: Needs = Needs::action::<WriteProject>();
        routes! {
            "list_user_keys" GET "/user-api-keys" READ, None,
                |State(desk): Desked, visitor: Visitor, query: RawQuery| keys::list(User, desk, visitor, pairs(query));
            "create_user_key" POST "/user-api-keys" WRITE, Some("key.issue"),
                |State(desk): Desked, visitor: Visitor, body: Body| keys::create(User, desk, visitor, body);
            "check_user_key" POST "/user-api-keys/check" VERIFY, None,
                |State(desk): Desked, visitor: Visitor, body: Body| keys::check(User, desk, visitor, body);
            "show_user_key" GET "/user-api-keys/{id}" READ, None,
                |State(desk): Desked, visitor: Visitor, Words([id]): One| keys::read(User, desk, visitor, id);
            "change_user_key" PATCH "/user-api-keys/{id}" WRITE, Some("key.amend"),
                |State(desk): Desked, visitor: Visitor, Words([id]): One, query: RawQuery, body: Body|
                    keys::change(User, desk, visitor, id, pairs(query), body);
            "list_team_keys" GET "/team-api-keys" READ, None,
                |State(desk): Desked, visitor: Visitor, query: RawQuery| keys::list(Team, desk, visitor, pairs(query));
            "create_team_key" POST "/team-api-keys" WRITE, Some("key.issue"),
                |State(desk): Desked, visitor: Visitor, body: Body| keys::create(Team, desk, visitor, body);
            "check_team_key" POST "/team-api-keys/check" VERIFY, None,
                |State(desk): Desked, visitor: Visitor, body: Body| keys::check(Team, desk, visitor, body);
            "show_team_key" GET "/team-api-keys/{id}" READ, None,
                |State(desk): Desked, visitor: Visitor, Words([id]): One| keys::read(Team, desk, visitor, id);
            "change_team_key" PATCH "/team-api-keys/{id}" WRITE, Some("key.amend"),
                |State(desk): Desked, visitor: Visitor, Words([id]): One, query: RawQuery, body: Body|
                    keys::change(Team, desk, visitor, id, pairs(query), body);
            "revoke_leaked_key" POST "/integrations/credential-scanning/revoke" Needs::Nothing, Some("key.revoke"),
                keys::revoke_leaked;

            "sign_in" POST "/auth/password/sign-in" Needs::Password, Some("session.start"),
                |State(desk): Desked, visitor: Visitor, from: From, body: Body| sessions::sign_in(desk, visitor, from, body);
            "refresh" POST "/auth/oauth/token" Needs::Session, Some("session.refresh"), sessions::token;
            "refresh_current" POST "/auth/sessions/current/refresh" Needs::Session, Some("session.refresh"),
                |State(desk): Desked, visitor: Visitor, from: From| sessions::refresh(desk, visitor, from);
            "sign_out" DELETE "/auth/sessions/current" Needs::Session, Some("session.end"),
                |State(desk): Desked, visitor: Visitor, from: From| sessions::sign_out(desk, visitor, from);
            "start_session" POST "/auth/sessions" LEND, Some("session.start"),
                |State(desk): Desked, visitor: Visitor, body: Body| sessions::lend(desk, visitor, body);
            "list_sessions" GET "/auth/sessions" READ, None,
                |State(desk): Desked, visitor: Visitor, query: RawQuery| sessions::list(desk, visitor, pairs(query));
            "end_session" DELETE "/auth/sessions/{id}" WRITE, Some("session.end"),
                |State(desk): Desked, visitor: Visitor, Words([id]): One, query: RawQuery|
                    sessions::end(desk, visitor, id, pairs(query));
            "change_password" POST "/auth/password/update" Needs::Session, Some("password.change"),
                |State(desk): Desked, visitor: Visitor, body: Body| sessions::change_password(desk, visitor, body);

            "list_users" GET "/users" READ_OWNERS, None,
                |State(desk): Desked, visitor: Visitor, query: RawQuery| people::list(desk, visitor, pairs(query));
            "create_user" POST "/users" WRITE_OWNERS, Some("user.enrol"),
                |State(desk): Desked, visitor: Visitor, body: Body| people::create(desk, visitor, body);
            "show_user" GET "/users/{id}" READ_OWNER, None,
                |State(desk): Desked, visitor: Visitor, Words([id]): One| people::read(desk, visitor, id);
            "change_user" PATCH "/users/{id}" LABEL, Some("user.change"),
                |State(desk): Desked, visitor: Visitor, Words([id]): One, body: Body| people::change(desk, visitor, id, body);
            "remove_user" DELETE "/users/{id}" WRITE_OWNERS, Some("user.remove"),
                |State(desk): Desked, visitor: Visitor, Words([id]): One| people::remove(desk, visitor, id);

            "list_teams" GET "/teams" READ_OWNERS, None,
                |State(desk): Desked, visitor: Visitor, query: RawQuery| teams::list(desk, visitor, pairs(query));
            "create_team" POST "/teams" WRITE_OWNERS, Some("team.enrol"),
                |State(desk): Desked, visitor: Visitor, body: Body| teams::create(desk, visitor, body);
            "show_team" GET "/teams/{id}" READ_OWNER, None,
                |State(desk): Desked, visitor: Visitor, Words([id]): One| teams::read(desk, visitor, id);
            "change_team" PATCH "/teams/{id}" LABEL, Some("team.change"),
                |State(desk): Desked, visitor: Visitor, Words([id]): One, body: Body| teams::change(desk, visitor, id, body);
            "remove_team" DELETE "/teams/{id}" WRITE_OWNERS, Some("team.remove"),
                |State(desk): Desked, visitor: Visitor, Words([id]): One| teams::remove(desk, visitor, id);
            "list_members" GET "/team-member-profiles" READ_OWNER, None,
                |State(desk): Desked, visitor: Visitor, query: RawQuery| teams::profiles(desk, visitor, pairs(query));
            "show_member" GET "/team-member-profiles/{team}/{user}" READ_OWNER, None,
                |State(desk): Desked, visitor: Visitor, Words(names): Two| teams::profile(desk, visitor, names);
            "join_team" POST "/team-memberships/{team}/{user}" WRITE_OWNERS, Some("team.change"),
                |State(desk): Desked, visitor: Visitor, Words([team, user]): Two|
                    teams::put(Place::Join, desk, visitor, team, user);
            "leave_team" DELETE "/team-memberships/{team}/{user}" WRITE_OWNERS, Some("team.change"),
                |State(desk): Desked, visitor: Visitor, Words([team, user]): Two|
                    teams::put(Place::Leave, desk, visitor, team, user);
            "list_permissions" GET "/team-permissions" READ_OWNER, None,
                |State(desk): Desked, visitor: Visitor, query: RawQuery| teams::permissions(desk, visitor, pairs(query));
            "grant_permission" POST "/team-permissions/{team}/{user}/{permission}" WRITE_OWNERS, Some("team.change"),
                |State(desk): Desked, visitor: Visitor, Words(names): Three|
                    teams::permit(Place::Grant, desk, visitor, names);
            "withdraw_permission" DELETE "/team-permissions/{team}/{user}/{permission}" WRITE_OWNERS, Some("team.change"),
                |State(desk): Desked, visitor: Visitor, Words(names): Three|
                    teams::permit(Place::Withdraw, desk, visitor, names);

            "show_billing" GET "/payments/billing/{kind}/{id}" Needs::AnyKey, None,
                |State(desk): Desked, visitor: Visitor, Words(names): Two| payments::billing(desk, visitor, names);
            "list_products" GET "/payments/products/{kind}/{id}" Needs::AnyKey, None,
                |State(desk): Desked, visitor: Visitor, Words(names): Two| payments::products(desk, visitor, names);

            "list_project_keys" GET "/internal/api-keys" READ, None,
                |State(desk): Desked, visitor: Visitor| project_keys::list(desk, visitor);
            "create_project_keys" POST "/internal/api-keys" WRITE, Some("key.issue"),
                |State(desk): Desked, visitor: Visitor, body: Body| project_keys::create(desk, visitor, body);
            "show_project_keys" GET "/internal/api-keys/{id}" READ, None,
                |State(desk): Desked, visitor: Visitor, Words([id]): One| project_keys::read(desk, visitor, id);
            "change_project_keys" PATCH "/internal/api-keys/{id}" WRITE, Some("key.amend"),
                |State(desk): Desked, visitor: Visitor, Words([id]): One, body: Body|
                    project_keys::change(desk, visitor, id, body);
            "show_project" GET "/projects/current" Needs::AnyKey, None,
                |State(desk): Desked, visitor: Visitor| project::read(desk, visitor);
            "show_whole_project" GET "/internal/projects/current" READ_PROJECT, None,
                |State(desk): Desked, visitor: Visitor| project::read_whole(desk, visitor);
            "change_project" PATCH "/internal/projects/current" WRITE_PROJECT, Some("project.change"),
                |State(desk): Desked, visitor: Visitor, body: Body| project::change(desk, visitor, body);
            "show_config" GET "/internal/config" READ_PROJECT, None,
                |State(desk): Desked, visitor: Visitor| project::read_config(desk, visitor);
            "change_config" PATCH "/internal/config/override/{level}" WRITE_PROJECT, Some("project.change"),
                |State(desk): Desked, visitor: Visitor, Words([level]): One, body: Body|
                    project::change_config(desk, visitor, level, body);
        }
    }

    fn say(&self, fail: &Fail) -> Response {
        complaint::say(fail)
    }

    fn shown(&self, _: &Uri, headers: &HeaderMap) -> Vec<Zeroizing<String>> {
        visitor::secrets(headers)
    }

    fn beforehand(&self, method: &Method, path: &str) -> Option<Response> {
        match (method, path) {
            (&Method::OPTIONS, _) => Some(Response::default()),
            // Nobody enrols themselves: the application's server does.
            (&Method::POST, path) if path.ends_with("/auth/password/sign-up") => {
                Some(complaint::no_sign_up().into_response())
            }
            _ => None,
        }
    }

    fn finish(&self, headers: &mut HeaderMap) {
        cors::open(headers);
    }
}
