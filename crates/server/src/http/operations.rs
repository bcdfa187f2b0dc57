//! Every operation with what it needs and what it leaves in the audit trail; coverage tests hold it against the contract.

use keyholt_core::actor::{
    Action, Explain, Operate, ReadAudit, ReadKeys, ReadOwners, ReadProject, Verify, WriteKeys, WriteOwners,
    WriteProject, WriteSessions,
};
use keyholt_core::audit::Noun;
use keyholt_core::token::COMPONENT_STARTED;

/// One operation of the native API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Its name in the OpenAPI document.
    pub id: &'static str,
    /// Its method.
    pub method: &'static str,
    /// Its path, parameters in braces.
    pub path: &'static str,
    /// What a caller needs.
    pub needs: Needs,
    /// The action of its audit event; `None` for what changes nothing.
    pub audit: Option<&'static str>,
}

/// The kind of thing that an action is done to. Its first word says it, but for what is kept as something else.
pub fn done_to(action: &str) -> Option<Noun> {
    match action.split_once('.')?.0 {
        "session" => Some(Noun::Key),
        "component_session" => Some(Noun::Token),
        word => Noun::parse(word),
    }
}

/// What a caller needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Nothing: anybody may.
    Nothing,
    /// The set-up token in the body.
    SetupToken,
    /// A name and a password in the body.
    Password,
    /// A refresh token in the body, or the session cookie.
    Session,
    /// A key as an OAuth client, or what the grant takes in its place.
    Client,
    /// Any key that works.
    AnyKey,
    /// A scope, of a key in the project or of an operator's.
    Scope(&'static str),
    /// A scope for everybody's things, or another one for one's own.
    ScopeOrOwn(&'static str, &'static str),
}

impl Needs {
    /// Whether something else than a key is what the caller shows, or nothing.
    pub const fn is_met_without_a_key(self) -> bool {
        matches!(
            self,
            Self::Nothing | Self::SetupToken | Self::Password | Self::Session | Self::Client
        )
    }

    /// What the action needs.
    pub const fn action<A: Action>() -> Self {
        match A::OWN {
            None => Self::Scope(A::SCOPE),
            Some(own) => Self::ScopeOrOwn(A::SCOPE, own),
        }
    }
}

const READ_KEYS: Needs = Needs::action::<ReadKeys>();
const WRITE_KEYS: Needs = Needs::action::<WriteKeys>();
/// Many keys at once are no single owner's.
const WRITE_ALL_KEYS: Needs = Needs::Scope(WriteKeys::SCOPE);
const READ_OWNERS: Needs = Needs::action::<ReadOwners>();
const READ_ALL_OWNERS: Needs = Needs::Scope(ReadOwners::SCOPE);
const WRITE_OWNERS: Needs = Needs::action::<WriteOwners>();
const READ_PROJECT: Needs = Needs::action::<ReadProject>();
const WRITE_PROJECT: Needs = Needs::action::<WriteProject>();
const OPERATE: Needs = Needs::action::<Operate>();
const VERIFY: Needs = Needs::action::<Verify>();
const EXPLAIN: Needs = Needs::action::<Explain>();
const WRITE_SESSIONS: Needs = Needs::action::<WriteSessions>();
const READ_AUDIT: Needs = Needs::action::<ReadAudit>();

macro_rules! operations {
    ($($id:literal $method:ident $path:literal $needs:expr, $audit:expr;)*) => {
        &[$(Operation {
            id: $id,
            method: stringify!($method),
            path: $path,
            needs: $needs,
            audit: $audit,
        },)*]
    };
}

/// All operations, in the order of the documentation.
pub const fn operations() -> &'static [Operation] {
    operations! {
        "set_up" POST "/v1/setup" Needs::SetupToken, Some("setup.complete");

        "verify" POST "/v1/verify" VERIFY, None;
        "verify_batch" POST "/v1/verify/batch" VERIFY, None;
        "verify_in_project" POST "/v1/projects/{project}/verify" VERIFY, None;
        "explain" POST "/v1/projects/{project}/explain" EXPLAIN, None;

        "whoami" GET "/v1/self" Needs::AnyKey, None;
        "revoke_self" POST "/v1/self/revoke" Needs::AnyKey, Some("key.revoke");

        "log_in" POST "/v1/projects/{project}/sessions" Needs::Password, Some("session.start");
        "refresh_session" POST "/v1/sessions/refresh" Needs::Session, Some("session.refresh");
        "log_out" POST "/v1/sessions/log-out" Needs::Session, Some("session.end");
        "list_own_sessions" GET "/v1/self/sessions" READ_KEYS, None;
        "end_own_sessions" DELETE "/v1/self/sessions" WRITE_KEYS, Some("session.end");
        "end_own_session" DELETE "/v1/self/sessions/{session}" WRITE_KEYS, Some("session.end");
        "list_user_sessions" GET "/v1/projects/{project}/users/{user}/sessions" READ_KEYS, None;
        "end_user_sessions" DELETE "/v1/projects/{project}/users/{user}/sessions" WRITE_KEYS, Some("session.end");
        "end_user_session" DELETE "/v1/projects/{project}/users/{user}/sessions/{session}" WRITE_KEYS, Some("session.end");
        "set_password" PUT "/v1/projects/{project}/users/{user}/password" WRITE_OWNERS, Some("password.set");
        "change_password" PUT "/v1/self/password" WRITE_KEYS, Some("password.change");

        "list_keys" GET "/v1/projects/{project}/keys" READ_KEYS, None;
        "create_key" POST "/v1/projects/{project}/keys" WRITE_KEYS, Some("key.issue");
        "find_key" POST "/v1/projects/{project}/keys/find" READ_KEYS, None;
        "import_keys" POST "/v1/projects/{project}/keys/import" WRITE_ALL_KEYS, Some("key.issue");
        "revoke_matching" POST "/v1/projects/{project}/keys/revoke-matching" WRITE_ALL_KEYS, Some("key.revoke");
        "show_key" GET "/v1/projects/{project}/keys/{key}" READ_KEYS, None;
        "amend_key" PATCH "/v1/projects/{project}/keys/{key}" WRITE_KEYS, Some("key.amend");
        "delete_key" DELETE "/v1/projects/{project}/keys/{key}" WRITE_KEYS, Some("key.delete");
        "rotate_key" POST "/v1/projects/{project}/keys/{key}/rotate" WRITE_KEYS, Some("key.rotate");
        "end_grace" POST "/v1/projects/{project}/keys/{key}/end-grace" WRITE_KEYS, Some("key.end_grace");
        "suspend_key" POST "/v1/projects/{project}/keys/{key}/suspend" WRITE_KEYS, Some("key.suspend");
        "resume_key" POST "/v1/projects/{project}/keys/{key}/resume" WRITE_KEYS, Some("key.resume");
        "revoke_key" POST "/v1/projects/{project}/keys/{key}/revoke" WRITE_KEYS, Some("key.revoke");
        "key_validity" GET "/v1/projects/{project}/keys/{key}/validity" READ_KEYS, None;
        "key_usage" GET "/v1/projects/{project}/keys/{key}/usage" READ_KEYS, None;

        "list_users" GET "/v1/projects/{project}/users" READ_ALL_OWNERS, None;
        "create_user" POST "/v1/projects/{project}/users" WRITE_OWNERS, Some("user.enrol");
        "show_user" GET "/v1/projects/{project}/users/{user}" READ_OWNERS, None;
        "amend_user" PATCH "/v1/projects/{project}/users/{user}" WRITE_OWNERS, Some("user.change");
        "delete_user" DELETE "/v1/projects/{project}/users/{user}" WRITE_OWNERS, Some("user.remove");
        "suspend_user" POST "/v1/projects/{project}/users/{user}/suspend" WRITE_OWNERS, Some("user.suspend");
        "resume_user" POST "/v1/projects/{project}/users/{user}/resume" WRITE_OWNERS, Some("user.resume");

        "list_teams" GET "/v1/projects/{project}/teams" READ_ALL_OWNERS, None;
        "create_team" POST "/v1/projects/{project}/teams" WRITE_OWNERS, Some("team.enrol");
        "show_team" GET "/v1/projects/{project}/teams/{team}" READ_OWNERS, None;
        "amend_team" PATCH "/v1/projects/{project}/teams/{team}" WRITE_OWNERS, Some("team.change");
        "delete_team" DELETE "/v1/projects/{project}/teams/{team}" WRITE_OWNERS, Some("team.remove");
        "suspend_team" POST "/v1/projects/{project}/teams/{team}/suspend" WRITE_OWNERS, Some("team.suspend");
        "resume_team" POST "/v1/projects/{project}/teams/{team}/resume" WRITE_OWNERS, Some("team.resume");
        "put_member" PUT "/v1/projects/{project}/teams/{team}/members/{user}" WRITE_OWNERS, Some("team.change");
        "delete_member" DELETE "/v1/projects/{project}/teams/{team}/members/{user}" WRITE_OWNERS, Some("team.change");

        "list_services" GET "/v1/projects/{project}/services" READ_ALL_OWNERS, None;
        "create_service" POST "/v1/projects/{project}/services" WRITE_OWNERS, Some("service.enrol");
        "show_service" GET "/v1/projects/{project}/services/{service}" READ_OWNERS, None;
        "amend_service" PATCH "/v1/projects/{project}/services/{service}" WRITE_OWNERS, Some("service.change");
        "delete_service" DELETE "/v1/projects/{project}/services/{service}" WRITE_OWNERS, Some("service.remove");
        "suspend_service" POST "/v1/projects/{project}/services/{service}/suspend" WRITE_OWNERS, Some("service.suspend");
        "resume_service" POST "/v1/projects/{project}/services/{service}/resume" WRITE_OWNERS, Some("service.resume");

        "list_roles" GET "/v1/projects/{project}/roles" READ_PROJECT, None;
        "create_role" POST "/v1/projects/{project}/roles" WRITE_PROJECT, Some("role.enrol");
        "show_role" GET "/v1/projects/{project}/roles/{role}" READ_PROJECT, None;
        "amend_role" PATCH "/v1/projects/{project}/roles/{role}" WRITE_PROJECT, Some("role.change");
        "delete_role" DELETE "/v1/projects/{project}/roles/{role}" WRITE_PROJECT, Some("role.remove");

        "list_projects" GET "/v1/projects" READ_PROJECT, None;
        "create_project" POST "/v1/projects" OPERATE, Some("project.found");
        "show_project" GET "/v1/projects/{project}" READ_PROJECT, None;
        "amend_project" PATCH "/v1/projects/{project}" WRITE_PROJECT, Some("project.change");
        "suspend_project" POST "/v1/projects/{project}/suspend" OPERATE, Some("project.suspend");
        "resume_project" POST "/v1/projects/{project}/resume" OPERATE, Some("project.resume");

        "list_events" GET "/v1/projects/{project}/events" READ_AUDIT, None;
        "export_events" GET "/v1/projects/{project}/events/export" READ_AUDIT, None;

        "list_signing_keys" GET "/v1/projects/{project}/signing-keys" READ_PROJECT, None;
        "rotate_signing_key" POST "/v1/projects/{project}/signing-keys" WRITE_PROJECT, Some("signing_key.rotate");
        "withdraw_signing_key" POST "/v1/projects/{project}/signing-keys/{kid}/withdraw" WRITE_PROJECT, Some("signing_key.withdraw");
        "start_component_session" POST "/v1/projects/{project}/component-sessions" WRITE_SESSIONS, Some(COMPONENT_STARTED);

        "oauth_introspect" POST "/oauth/introspect" Needs::Client, None;
        "oauth_revoke" POST "/oauth/revoke" Needs::Client, Some("token.revoke");
        "oauth_token" POST "/oauth/token" Needs::Client, None;
        "oauth_metadata" GET "/.well-known/oauth-authorization-server" Needs::Nothing, None;
        "oauth_project_metadata" GET "/.well-known/oauth-authorization-server/projects/{project}" Needs::Nothing, None;
        "oauth_keys" GET "/.well-known/jwks.json" Needs::Nothing, None;
        "oauth_project_keys" GET "/projects/{project}/.well-known/jwks.json" Needs::Nothing, None;
        "oauth_status_list" GET "/status-list" Needs::Nothing, None;
        "oauth_project_status_list" GET "/projects/{project}/status-list" Needs::Nothing, None;
        "oauth_status_lists" GET "/status-lists" Needs::Nothing, None;
        "oauth_project_status_lists" GET "/projects/{project}/status-lists" Needs::Nothing, None;

        "show_master_key" GET "/v1/master-key" OPERATE, None;
        "meta" GET "/v1/meta" Needs::Nothing, None;
        "livez" GET "/livez" Needs::Nothing, None;
        "readyz" GET "/readyz" Needs::Nothing, None;
        "openapi" GET "/openapi.json" Needs::Nothing, None;
    }
}
