//! The token endpoint: one grant in, one access token out.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use keyholt_api::oauth::{OAuthError, TokenAnswer, TokenRequest};
use keyholt_core::scope::ScopeSet;
use keyholt_core::text::Audience;
use keyholt_core::time::Span;
use keyholt_core::token::{Subject, TokenWish, Wished};

use super::CLIENT_CREDENTIALS;
use super::client::client;
use super::fail::OAuthFail;
use super::form::Form;
use crate::http::{Door, Whence, json};
use crate::keeper::AccessToken;

/// Longest list of scopes that is looked at.
const SCOPE_BYTES_MAX: usize = 8 << 10;

/// Get an access token
///
/// The OAuth token endpoint. With `client_credentials` a key, whose id is the client id and whose secret is the client
/// secret, becomes an access token: a JWT that says who may do what until when. It may do less than the key and never more,
/// and it dies with the key.
#[utoipa::path(post, path = "/oauth/token", operation_id = "oauth_token", tag = "OAuth",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token.", body = TokenAnswer),
        (status = 400, description = "The request is not as it must be.", body = OAuthError),
        (status = 401, description = "The client is not recognised.", body = OAuthError),
        (status = 413, description = "The request is too large.", body = OAuthError),
        (status = 429, description = "Too many wrong credentials came from this source.", body = OAuthError),
        (status = 500, description = "The server made a mistake.", body = OAuthError),
        (status = 503, description = "This node cannot answer now.", body = OAuthError),
    ))]
pub async fn token(
    State(door): State<Door>,
    Whence(source): Whence,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthFail> {
    let keeper = &door.keeper;
    match form.need("grant_type")? {
        CLIENT_CREDENTIALS => {
            let client = client(keeper, &headers, &form, &source)?;
            let wish = wish(&form)?;
            let minted = keeper.mint_token(&client, wish).await?;
            Ok(given(minted, keeper.now(), None))
        }
        _ => Err(OAuthFail::bad(
            "unsupported_grant_type",
            "this server does not know that grant",
        )),
    }
}

/// What is asked for, whatever it is asked with.
fn wish(form: &Form) -> Result<TokenWish, OAuthFail> {
    let audience = match (form.get("audience"), form.get("resource")) {
        (Some(_), Some(_)) => return Err(OAuthFail::bad("invalid_target", "name the audience once")),
        (Some(one), None) | (None, Some(one)) => Some(
            Audience::new(one).map_err(|_| OAuthFail::bad("invalid_target", "that is not the name of an audience"))?,
        ),
        (None, None) => None,
    };
    let lifetime = match form.get("expires_in") {
        None => None,
        Some(seconds) => {
            let seconds: u32 = seconds
                .parse()
                .map_err(|_| OAuthFail::request("`expires_in` is a whole number of seconds"))?;
            Some(Span::secs(seconds.into()))
        }
    };
    Ok(TokenWish {
        scopes: match form.get("scope") {
            None => Wished::All,
            Some(text) => Wished::Only(scopes(text)?),
        },
        audience,
        lifetime,
        subject: Subject::Client,
        actors: Vec::new(),
    })
}

/// Scopes with one space between two, each named once.
fn scopes(text: &str) -> Result<ScopeSet, OAuthFail> {
    let wrong = |why: &str| OAuthFail::bad("invalid_scope", why);
    if text.len() > SCOPE_BYTES_MAX {
        return Err(wrong("that are more scopes than a token carries"));
    }
    let count = text.split(' ').count();
    let scopes = ScopeSet::parse(text.split(' ')).map_err(|error| wrong(&error.to_string()))?;
    if scopes.len() == count {
        Ok(scopes)
    } else {
        Err(wrong("a scope is named twice"))
    }
}

/// The answer that carries a token.
fn given(minted: AccessToken, now: keyholt_core::time::Moment, issued: Option<&str>) -> Response {
    json(&TokenAnswer {
        expires_in: minted.expires_in(now),
        scope: minted.token.scope_text(),
        access_token: minted.text.to_string(),
        token_type: "Bearer".to_owned(),
        issued_token_type: issued.map(str::to_owned),
    })
}
