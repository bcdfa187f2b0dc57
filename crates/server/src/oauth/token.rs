//! The token endpoint: one grant in, one access token out.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::oauth::{TokenAnswer, TokenRequest};
use keyholt_core::scope::ScopeSet;
use keyholt_core::text::Audience;
use keyholt_core::time::{Moment, Span};
use keyholt_core::token::{Subject, TokenWish, Wished};

use super::client::Posted;
use super::fail::OAuthFail;
use super::form::Form;
use super::refresh::refresh;
use super::{CLIENT_CREDENTIALS, REFRESH_TOKEN, TOKEN_EXCHANGE};
use crate::http::{Door, json};
use crate::keeper::{AccessToken, Keeper, Unauthenticated};

/// Longest list of scopes that is looked at.
const SCOPE_BYTES_MAX: usize = 8 << 10;

/// Get an access token
///
/// The OAuth token endpoint. With `client_credentials` a key, whose id is the client id and whose secret is the client
/// secret, becomes an access token: a JWT that says who may do what until when. It may do less than the key and never more,
/// and it dies with the key. With `urn:ietf:params:oauth:grant-type:token-exchange` a key or an access token becomes a
/// narrower one.
#[utoipa::path(post, path = "/oauth/token", operation_id = "oauth_token", tag = "OAuth",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token.", body = TokenAnswer),
        OAuthFail,
    ))]
pub async fn token(State(door): State<Door>, posted: Posted) -> Result<Response, OAuthFail> {
    let keeper = &door.keeper;
    match posted.form.need("grant_type")? {
        CLIENT_CREDENTIALS => {
            let client = posted.client(keeper)?;
            let wish = wish(&posted.form)?;
            let minted = keeper.mint_token(&client, wish).await?;
            Ok(given(minted, keeper.now(), None))
        }
        TOKEN_EXCHANGE => exchange(keeper, &posted).await,
        REFRESH_TOKEN => {
            let narrower = posted.form.get("scope").map(scopes).transpose()?;
            refresh(keeper, &posted.form, narrower, posted.source).await
        }
        _ => Err(OAuthFail::bad(
            "unsupported_grant_type",
            "this server does not know that grant",
        )),
    }
}

/// What RFC 8693 §3 calls an access token; ours are JWTs, so either word is right.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// What we call a key's secret.
const KEY: &str = "urn:keyholt:token-type:key";

/// One token from another: the subject's, narrower; with the actor in it, if that is somebody else.
async fn exchange(keeper: &Keeper, posted: &Posted) -> Result<Response, OAuthFail> {
    let client = posted.maybe_client(keeper)?;
    let Posted { form, source, .. } = posted;
    let subject = form.need("subject_token")?;
    check_type(form.need("subject_token_type")?)?;
    if form
        .get("requested_token_type")
        .is_some_and(|kind| ![ACCESS_TOKEN, JWT].contains(&kind))
    {
        return Err(OAuthFail::request("only access tokens are given"));
    }
    // What the RFC says of tokens that are no good: the request is wrong, not the client.
    let shown = |text: &str| {
        keeper.subject(text, source).map_err(|error| match error {
            Unauthenticated::Invalid | Unauthenticated::AddressNotAllowed => {
                OAuthFail::request("a token of the request is not good")
            }
            error => error.into(),
        })
    };
    let subject = shown(subject)?;
    let acting = match (form.get("actor_token"), form.get("actor_token_type")) {
        (None, None) => client,
        (Some(actor), Some(kind)) => {
            check_type(kind)?;
            Some(shown(actor)?)
        }
        _ => return Err(OAuthFail::request("`actor_token` and `actor_token_type` go together")),
    };
    let minted = keeper.exchange(&subject, acting.as_ref(), wish(form)?).await?;
    Ok(given(minted, keeper.now(), Some(ACCESS_TOKEN)))
}

fn check_type(kind: &str) -> Result<(), OAuthFail> {
    if [ACCESS_TOKEN, JWT, KEY].contains(&kind) {
        Ok(())
    } else {
        Err(OAuthFail::request("that is no type of token that this server knows"))
    }
}

/// What is asked for, whatever it is asked with.
pub fn wish(form: &Form) -> Result<TokenWish, OAuthFail> {
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

fn given(minted: AccessToken, now: Moment, issued: Option<&str>) -> Response {
    json(&told(&minted, now, issued))
}

/// The answer that carries a token.
pub fn told(minted: &AccessToken, now: Moment, issued: Option<&str>) -> TokenAnswer {
    TokenAnswer {
        expires_in: minted.expires_in(now),
        scope: minted.token.scope_text(),
        access_token: minted.text.to_string(),
        token_type: "Bearer".to_owned(),
        issued_token_type: issued.map(str::to_owned),
    }
}
