//! What verifiers and clients read: each project as an issuer, and its public keys.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use keyholt_api::code::Code;
use keyholt_api::oauth::{KeySet, ServerMetadata};

use super::GRANTS;
use crate::http::{Door, Fail, ProjectWord, json};
use crate::keeper::{Issuer, status_lists_uri};

/// Read the issuer's metadata
///
/// As RFC 8414 has it, of the project that the setting `oauth.root_project` names.
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", operation_id = "oauth_metadata", tag = "OAuth",
    responses((status = 200, description = "The metadata.", body = ServerMetadata)))]
pub async fn root_metadata(State(door): State<Door>) -> Result<Response, Fail> {
    let issuer = root(&door)?;
    metadata(&door, &issuer)
}

/// Read the metadata of a project as an issuer
///
/// The project is named by its id: an issuer's name never changes.
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server/projects/{project}",
    operation_id = "oauth_project_metadata", tag = "OAuth",
    responses((status = 200, description = "The metadata.", body = ServerMetadata)))]
pub async fn project_metadata(State(door): State<Door>, ProjectWord(project): ProjectWord) -> Result<Response, Fail> {
    let issuer = named(&door, &project)?;
    metadata(&door, &issuer)
}

/// Read the issuer's public keys
///
/// Keys are published before they sign, and stay until nothing signed with them is valid: keep this as long as its
/// `Cache-Control` says, and ask again when a token names a key that is not in it.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "oauth_keys", tag = "OAuth",
    responses((status = 200, description = "The keys.", body = KeySet)))]
pub async fn root_keys(State(door): State<Door>) -> Result<Response, Fail> {
    let issuer = root(&door)?;
    Ok(keys(&door, &issuer))
}

/// Read the public keys of a project as an issuer
#[utoipa::path(get, path = "/projects/{project}/.well-known/jwks.json", operation_id = "oauth_project_keys", tag = "OAuth",
    responses((status = 200, description = "The keys.", body = KeySet)))]
pub async fn project_keys(State(door): State<Door>, ProjectWord(project): ProjectWord) -> Result<Response, Fail> {
    let issuer = named(&door, &project)?;
    Ok(keys(&door, &issuer))
}

/// How clients say who they are.
const METHODS: [&str; 2] = ["client_secret_basic", "client_secret_post"];
/// The same where there are clients without a secret of their own: who refreshes, exchanges, or ends what a log-in gave.
const METHODS_OR_NONE: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];

pub(super) fn root(door: &Door) -> Result<Arc<Issuer>, Fail> {
    door.keeper.root_issuer().ok_or_else(|| Fail::new(Code::NotFound))
}

pub(super) fn named(door: &Door, project: &str) -> Result<Arc<Issuer>, Fail> {
    let issuer = project.parse().ok().and_then(|project| door.keeper.issuer(project));
    issuer.ok_or_else(|| Fail::new(Code::NotFound))
}

fn metadata(door: &Door, issuer: &Issuer) -> Result<Response, Fail> {
    let base = door.keeper.base_url();
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let answer = json(&ServerMetadata {
        issuer: issuer.name.to_string(),
        token_endpoint: format!("{base}/oauth/token"),
        jwks_uri: format!("{}/.well-known/jwks.json", issuer.name),
        introspection_endpoint: format!("{base}/oauth/introspect"),
        revocation_endpoint: format!("{base}/oauth/revoke"),
        status_list_aggregation_endpoint: status_lists_uri(issuer),
        response_types_supported: Vec::new(),
        grant_types_supported: texts(&GRANTS),
        token_endpoint_auth_methods_supported: texts(&METHODS_OR_NONE),
        introspection_endpoint_auth_methods_supported: texts(&METHODS),
        revocation_endpoint_auth_methods_supported: texts(&METHODS_OR_NONE),
    });
    Ok(kept(door, answer))
}

fn keys(door: &Door, issuer: &Issuer) -> Response {
    let published = issuer.published(door.keeper.now());
    let keys: Vec<_> = published
        .into_iter()
        .map(|key| {
            let mut members = key.public;
            members.insert("kid".to_owned(), key.kid);
            members.insert("alg".to_owned(), key.algorithm.as_str().to_owned());
            members.insert("use".to_owned(), "sig".to_owned());
            members
        })
        .collect();
    let none = keys.is_empty();
    let answer = json(&KeySet { keys });
    // The first key signs at once: whoever kept an empty set would not know it.
    if none { answer } else { kept(door, answer) }
}

/// An answer that may be kept for as long as keys are published ahead, and not longer.
fn kept(door: &Door, mut answer: Response) -> Response {
    let value = format!("public, max-age={}", door.keeper.published_ahead().ms() / 1_000);
    if let Ok(value) = HeaderValue::try_from(value) {
        answer.headers_mut().insert(CACHE_CONTROL, value);
    }
    answer
}
